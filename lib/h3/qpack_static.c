// qpack_static.c -- see qpack_static.h.

#include "h3/qpack_static.h"

#include <string.h>

#include "h3/fields.h"

struct static_group {
    uint8_t first, count; // in static_order
};

#include "h3/qpack_static_tables.inc"

const struct plx_qpack_row plx_qpack_static[] = {
#define X(idx, name, value, class) \
    [idx] = {name, value, sizeof name - 1, sizeof value - 1, PLX_FIELD_##class},
#include "h3/qpack_static.def"
#undef X
};

enum { NAME_MIN = 3 }; // "age"

// As name_key() in tools/gen-qpack.
static uint32_t name_key(const uint8_t *name, size_t len)
{
    return (uint32_t)len | (uint32_t)name[len / 2] << 8 | (uint32_t)name[len - 3] << 16 |
           (uint32_t)name[len - 1] << 24;
}

int plx_qpack_static_find(const char *name, size_t name_len, const char *value, size_t value_len,
                          bool *is_whole)
{
    *is_whole = false;
    if (name_len < NAME_MIN || name_len > UINT8_MAX)
        return -1;
    uint32_t hash = name_key((const uint8_t *)name, name_len) * static_hash_mult;
    struct static_group g = static_groups[hash >> (32 - STATIC_HASH_BITS)];
    if (g.count == 0)
        return -1;
    const struct plx_qpack_row *first = &plx_qpack_static[static_order[g.first]];
    if (first->name_len != name_len || memcmp(first->name, name, name_len) != 0)
        return -1;
    for (unsigned i = 0; i < g.count; i++) {
        const struct plx_qpack_row *row = &plx_qpack_static[static_order[g.first + i]];
        if (row->value_len == value_len && memcmp(row->value, value, value_len) == 0) {
            *is_whole = true;
            return static_order[g.first + i];
        }
    }
    return static_order[g.first];
}
