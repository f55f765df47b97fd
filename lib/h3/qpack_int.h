// qpack_int.h -- prefixed integers (RFC 9204 section 4.1.1, RFC 7541 section 5.1).
//
// The low `prefix` bits of an octet hold the value, or all ones and then what is above follows in groups of seven
// bits, lowest first. A reader and a writer, side by side, on the cursor. The reader tells two failures apart, because
// on a stream "not yet whole" is no error while "too large" is: r->is_short alone for the first, also *is_bad
// for the second.

#ifndef PLX_H3_QPACK_INT_H
#define PLX_H3_QPACK_INT_H

#include "base/cursor.h"

//= rfc9204 4.1.1 "MUST be able to decode integers up to and including 62 bits long"
enum {
    PLX_QPACK_INT_MAX_LEN = 11
}; // octets: 62 bits above a prefix take at most 9 groups; one more of slack for zeros

// first: the octet with the prefix, already read.
static inline uint64_t plx_qpack_rd_int(struct plx_rd *r, uint8_t first, unsigned prefix, bool *is_bad)
{
    uint64_t mask = (1u << prefix) - 1, v = first & mask;

    if (v < mask)
        return v;
    for (unsigned shift = 0; shift <= 63; shift += 7) {
        uint8_t b = plx_rd_u8(r);
        if (r->is_short)
            return 0;
        // Beyond 62 bits nothing may come, not even a group of zeros that goes on: the length is limited as well.
        //= rfc9204 7.4 "set a limit for the values it accepts for integers, as well as for the encoded length"
        if (shift == 63 && b != 0)
            break;
        v += (uint64_t)(b & 0x7f) << shift;
        if (v > PLX_VARINT_MAX)
            break;
        if (b < 0x80)
            return v;
    }
    *is_bad = true;
    plx_rd_fail(r);
    return 0;
}

// pattern: the bits of the first octet above the prefix.
static inline void plx_qpack_wr_int(struct plx_wr *w, uint8_t pattern, unsigned prefix, uint64_t v)
{
    uint8_t mask = (uint8_t)((1u << prefix) - 1);

    if (v < mask) {
        plx_wr_u8(w, (uint8_t)(pattern | v));
        return;
    }
    plx_wr_u8(w, pattern | mask);
    for (v -= mask; v >= 0x80; v >>= 7)
        plx_wr_u8(w, (uint8_t)(v | 0x80));
    plx_wr_u8(w, (uint8_t)v);
}

#endif
