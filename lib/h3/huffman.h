// huffman.h -- the string code of HPACK and QPACK (RFC 7541 section 5.2 and Appendix B).
//
// Decoding looks at 12 bits at a time: every common symbol takes 5 or 6 bits, so one look-up mostly yields two
// octets, from a table of 16 KB of which ordinary text touches a part. Codes beyond 12 bits are rare (controls,
// UTF-8) and are found by their length, because the code is canonical. A byte-wise state machine was rejected: its
// table is eight times as large and it yields less than two octets per step as well.
//
// Both directions are pure functions from span to span. The tables are made by tools/gen-qpack.

#ifndef PLX_H3_HUFFMAN_H
#define PLX_H3_HUFFMAN_H

#include <plx/types.h>

enum plx_huffman {
    PLX_HUFFMAN_OK,
    PLX_HUFFMAN_INVALID, // the end-of-string symbol, or padding that is too long or not all ones
    PLX_HUFFMAN_NO_ROOM, // the string is longer than cap
};

// Decodes len octets into dst, at most cap of them; *out_len says how many. On failure dst holds anything.
enum plx_huffman plx_huffman_decode(const uint8_t *src, size_t len, uint8_t *dst, size_t cap,
                                    size_t *out_len);

// Octets that src takes when encoded.
size_t plx_huffman_len(const uint8_t *src, size_t len);

// Encodes into dst, which has room for plx_huffman_len(src, len) octets. Returns that number.
size_t plx_huffman_encode(const uint8_t *src, size_t len, uint8_t *dst);

#endif
