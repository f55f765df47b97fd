// qpack_static.h -- the static table (RFC 9204 section 3.1 and Appendix A), by index and by name.
//
// The rows are in qpack_static.def. Looking a name up is one multiplication and one comparison: a perfect hash over
// the name's length and three of its octets, made by tools/gen-qpack, so nothing has to be built at start.

#ifndef PLX_H3_QPACK_STATIC_H
#define PLX_H3_QPACK_STATIC_H

#include <plx/types.h>

struct plx_qpack_row {
    const char *name, *value;
    uint8_t name_len, value_len;
    uint8_t name_class; // enum plx_field_class of the name
};

enum { PLX_QPACK_STATIC_COUNT = 99 };
extern const struct plx_qpack_row plx_qpack_static[PLX_QPACK_STATIC_COUNT];

// The row of that name and value, *is_whole true; or the first row of that name, *is_whole false; or -1.
int plx_qpack_static_find(const char *name, size_t name_len, const char *value, size_t value_len,
                          bool *is_whole);

#endif
