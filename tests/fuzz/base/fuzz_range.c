// fuzz_range.c -- ranges against an array of booleans.

#include <string.h>

#include "base/range.h"
#include "ops.h"

enum { SPACE = 128 }; // room for twice as many runs as a list holds

static uint16_t runs_of(const bool *model)
{
    uint16_t runs = 0;

    for (unsigned v = 0; v < SPACE; v++)
        runs = (uint16_t)(runs + (model[v] && (v == 0 || !model[v - 1])));
    return runs;
}

static void compare(const struct plx_ranges *r, const bool *model)
{
    plx_ranges_verify(r);
    plx_check(r->count == runs_of(model));
    for (unsigned v = 0; v < SPACE; v++)
        plx_check(plx_ranges_has(r, v) == model[v]);
    plx_check(!plx_ranges_has(r, SPACE));
}

static bool model_contains(const bool *model, unsigned first, unsigned end)
{
    for (unsigned v = first; v < end; v++)
        if (!model[v])
            return false;
    return true;
}

static void one(struct plx_ranges *r, bool *model, uint8_t op, unsigned first, unsigned end)
{
    bool after[SPACE];
    memcpy(after, model, sizeof after);
    bool is_add = op % 5 == 0 || op % 5 == 1;
    if (op % 5 == 3)
        memset(after, false, first * sizeof *after);
    else if (op % 5 != 4)
        memset(after + first, is_add, (end - first) * sizeof *after);
    bool fits = runs_of(after) <= PLX_RANGES_MAX;

    switch (op % 5) {
    case 0:
        plx_check(plx_ranges_add(r, first, end) == fits);
        break;
    case 1: {
        bool is_in = plx_ranges_add_drop_lowest(r, first, end);
        if (!fits) { // the lowest run goes, which may be the new one
            unsigned v = 0;
            while (!after[v])
                v++;
            plx_check(is_in == (v != first));
            plx_check(r->has_dropped);
            for (; after[v]; v++)
                after[v] = false;
            fits = true;
        } else {
            plx_check(is_in);
        }
        break;
    }
    case 2:
        plx_check(plx_ranges_remove(r, first, end) == fits);
        break;
    case 3:
        plx_ranges_remove_below(r, first);
        break;
    default:
        plx_check(plx_ranges_contains(r, first, end) == model_contains(model, first, end));
    }
    if (fits) // otherwise the structure must be unchanged
        memcpy(model, after, sizeof after);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct ops o = {data, data + len};
    struct plx_ranges r;
    bool model[SPACE] = {false};

    plx_ranges_init(&r);
    while (ops_left(&o)) {
        uint8_t op = ops_u8(&o);
        unsigned first = ops_u8(&o) % SPACE, end = first + (op >> 5);
        if (op >= 224) // now and then a long one
            end = first + ops_u8(&o);
        if (end > SPACE)
            end = SPACE;
        one(&r, model, op & 31, first, end);
        compare(&r, model);
    }
    return 0;
}
