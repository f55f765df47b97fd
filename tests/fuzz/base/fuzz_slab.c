// fuzz_slab.c -- a slab against a map of who owns which 64 bytes.

#include <string.h>

#include "base/slab.h"
#include "ops.h"

enum { BYTES = 2 << 20, UNITS = BYTES / 64, HELD_MAX = 64 };

struct held {
    uint8_t *p;
    size_t size;
};

static uint8_t owner[UNITS]; // 0: nobody

static void claim(const struct plx_slab *s, const struct held *h, uint8_t from, uint8_t to)
{
    size_t first = (size_t)(h->p - s->base) / 64, count = plx_slab_round(h->size) / 64;

    plx_check(first % count == 0);
    plx_check(first + count <= UNITS);
    for (size_t i = first; i < first + count; i++) {
        plx_check(owner[i] == from);
        owner[i] = to;
    }
}

// Whether some aligned stretch of `size` bytes is free: then a refusal would be a lie.
static bool could_fit(size_t size)
{
    size_t count = plx_slab_round(size) / 64;

    for (size_t first = 0; first < UNITS; first += count) {
        size_t i = 0;
        while (i < count && owner[first + i] == 0)
            i++;
        if (i == count)
            return true;
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct ops o = {data, data + len};
    struct plx_slab s;
    struct held held[HELD_MAX];
    unsigned count = 0;
    uint64_t in_use = 0;

    if (len > 1024)
        return 0;
    memset(owner, 0, sizeof owner);
    plx_check(plx_slab_init(&s, BYTES, PLX_NODE_ANY));
    while (ops_left(&o)) {
        uint8_t op = ops_u8(&o);
        if (op < 150 && count < HELD_MAX) {
            struct held *h = &held[count];
            h->size = ((size_t)1 << (op % 21)) - (ops_u8(&o) & 1);
            h->p = plx_slab_take(&s, h->size);
            if (h->p == NULL) {
                plx_check(!could_fit(h->size));
                continue;
            }
            claim(&s, h, 0, (uint8_t)(1 + (count++ & 0x7f)));
            in_use += plx_slab_round(h->size);
            for (size_t at = 0; at < h->size; at += 64)
                h->p[at] = 0xee; // ours to write on
        } else if (count > 0) {
            unsigned i = ops_u8(&o) % count;
            claim(&s, &held[i], owner[(held[i].p - s.base) / 64], 0);
            in_use -= plx_slab_round(held[i].size);
            plx_slab_give(&s, held[i].p, held[i].size);
            held[i] = held[--count];
        }
        plx_check(plx_slab_bytes_in_use(&s) == in_use);
        if ((op & 7) == 0)
            plx_slab_verify(&s);
    }
    plx_slab_verify(&s);
    plx_slab_fini(&s);
    return 0;
}
