// qpack_dec.h -- an encoded field section becomes fields (RFC 9204 section 4.5).
//
// Nothing is copied that can be borrowed: what the static table has is a span into constants, what the dynamic table
// has a span into its entry, a raw literal a span into the received bytes. Only Huffman-coded strings need room, `text`.
// One pass, one field per representation, with the class of each (fields.h) beside it. All limits are enforced on
// the way: when a section is refused, the work done for it is bounded by what was asked for.

#ifndef PLX_H3_QPACK_DEC_H
#define PLX_H3_QPACK_DEC_H

#include "h3/qpack_table.h"

struct plx_qpack_section {
    // Where to, and limits; the caller's.
    struct plx_field *fields;
    uint8_t *classes; // enum plx_field_class, one per field
    uint8_t *text;
    size_t text_cap;
    uint64_t size_max; // as RFC 9114 section 4.2.2 counts
    uint16_t count_max;
    // What came.
    uint16_t count;
    uint64_t size;
    uint64_t required; // insert count that it needs; not 0: it must be acknowledged
    const char *why;   // of _FAILED
};

// Returns: _OK, _BLOCKED (nothing but `required` is set; try again when the table has grown), _TOO_LARGE or _FAILED.
// The fields are valid until the bytes, the table or the text change.
PLX_MUST_USE enum plx_qpack_err plx_qpack_dec_section(const struct plx_qpack_table *t, const uint8_t *p,
                                                      size_t len, struct plx_qpack_section *s);

#endif
