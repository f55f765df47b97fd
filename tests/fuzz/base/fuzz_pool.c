// fuzz_pool.c -- a pool against a count, with every object holding its owner's mark at both ends; every other pool is of several spans, and
// gives memory back.

#include <string.h>

#include "base/pool.h"
#include "ops.h"

enum { COUNT_MAX = 40 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct ops o = {data, data + len};
    struct plx_pool p;
    uint8_t *held[COUNT_MAX];
    uint32_t held_count = 0;
    uint64_t refused = 0;
    uint32_t count = ops_u8(&o) % COUNT_MAX;
    size_t size = 1 + ops_u8(&o);
    if (count % 2 == 1)
        size = 150000 + size * 1000;

    plx_check(plx_pool_init(&p, "fuzz", size, count, NULL));
    while (ops_left(&o)) {
        uint8_t op = ops_u8(&o);
        if (op == 0) {
            for (unsigned i = 0; i < 3; i++)
                (void)plx_pool_trim(&p);
        } else if (op < 144) {
            uint8_t *obj = plx_pool_take(&p);
            plx_check((obj != NULL) == (held_count < count));
            if (obj != NULL) {
                for (uint32_t i = 0; i < held_count; i++)
                    plx_check(held[i] != obj);
                obj[0] = obj[size - 1] = (uint8_t)plx_pool_idx(&p, obj);
                held[held_count++] = obj;
            } else {
                refused++;
            }
        } else if (held_count > 0) {
            uint32_t i = op % held_count;
            uint32_t idx = plx_pool_idx(&p, held[i]);
            plx_check(plx_pool_at(&p, idx) == held[i]);
            plx_check(held[i][0] == (uint8_t)idx &&
                      held[i][size - 1] == (uint8_t)idx); // nobody else wrote here
            plx_pool_give(&p, held[i]);
            held[i] = held[--held_count];
        }
        plx_check(plx_pool_in_use(&p) == held_count);
        plx_check(p.exhausted == refused);
        plx_pool_verify(&p);
    }
    plx_pool_fini(&p);
    return 0;
}
