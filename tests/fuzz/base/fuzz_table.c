// fuzz_table.c -- a small, crowded table against an array that is searched from one end to the other.

#include "base/table.h"
#include "ops.h"

enum { MODEL_MAX = 64 };

struct model {
    struct {
        uint64_t key;
        uint32_t value;
    } v[MODEL_MAX];
    uint32_t count;
};

static uint32_t model_find(const struct model *m, uint64_t key)
{
    for (uint32_t i = 0; i < m->count; i++)
        if (m->v[i].key == key)
            return i;
    return PLX_TABLE_NONE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct ops o = {data, data + len};
    struct plx_table t;
    struct model m = {.count = 0};
    uint32_t number = 0;

    plx_check(plx_table_init(&t, ops_u8(&o) % 45, NULL)); // 8 to 64 buckets
    t.secret[0] = ops_u16(&o);                            // so that an input means the same again
    t.secret[1] = (uint64_t)ops_u16(&o) << 48 | 1;        // and runs are long
    while (ops_left(&o)) {
        uint8_t op = ops_u8(&o);
        uint64_t key = (uint64_t)(op >> 2 & 3) << 62 | ops_u8(&o) % 96;
        uint32_t at = model_find(&m, key);
        plx_table_prefetch(&t, key);
        plx_check(plx_table_find(&t, key) == (at == PLX_TABLE_NONE ? PLX_TABLE_NONE : m.v[at].value));
        if (op & 3) {
            bool fits = at == PLX_TABLE_NONE && m.count < t.count_max;
            plx_check(plx_table_add(&t, key, number) == fits);
            if (fits) {
                m.v[m.count].key = key;
                m.v[m.count++].value = number;
            }
            number++;
        } else {
            plx_check(plx_table_remove(&t, key) == (at == PLX_TABLE_NONE ? PLX_TABLE_NONE : m.v[at].value));
            if (at != PLX_TABLE_NONE)
                m.v[at] = m.v[--m.count];
        }
        plx_check(plx_table_count(&t) == m.count);
        plx_table_verify(&t);
        for (uint32_t i = 0; i < m.count; i++)
            plx_check(plx_table_find(&t, m.v[i].key) == m.v[i].value);
    }
    plx_table_fini(&t);
    return 0;
}
