// memo.h -- field sections that were read before, by their octets.
//
// A client sends the same request over and over, and so does a whole population of clients that run the same program: the encoded
// section is then the same, octet for octet, and what it means was worked out before. A section that needs nothing of the
// dynamic table means the same on every connection, so one memo serves all of a core: looked up by a hash, compared whole, and what
// comes out is the head as it was validated the first time. Neither decoding (Huffman above all) nor the rules of RFC 9114
// section 4 are gone through again.
//
// What cannot be remembered: references to the dynamic table, anything malformed, sections that are longer than the limits
// below, and fields that are secrets (the N bit of RFC 9204 section 7.1.3, cookies, authorization): how long a section takes must not
// tell whether somebody else has sent the same one.
//
// A section is kept when it comes the second time, so that a stream of sections that never repeat costs a hash and one store
// each, and pushes out nobody. A peer can push others out by sending things twice; then they are decoded again, that is all.

#ifndef PLX_H3_MEMO_H
#define PLX_H3_MEMO_H

#include <plx/h3.h>

#include "h3/qpack_dec.h"

enum {
    PLX_MEMO_SETS = 64, // of two entries each; a power of two
    PLX_MEMO_WAYS = 2,
    PLX_MEMO_OCTETS_MIN = 8,
    PLX_MEMO_OCTETS_MAX = 512, // encoded
    PLX_MEMO_TEXT_MAX = 1024,  // names and values
    PLX_MEMO_FIELDS_MAX = 32,  // behind the pseudo-fields
    PLX_MEMO_FRONT_MAX = 256,  // of an answer, in front of its body
};

enum plx_memo_kind { PLX_MEMO_REQUEST, PLX_MEMO_RESPONSE };

struct plx_memo; // one per core

size_t plx_memo_size(void); // octets, aligned to 64; may be zero pages that were never touched
// mem: zeroed. secret: differs per core and run, so that nobody can choose who shares a set with whom.
struct plx_memo *plx_memo_init(void *mem, uint64_t secret);

// What the section means, or NULL when it is not remembered; *mark is then for plx_memo_keep(). The head is good until the next
// plx_memo_keep(). Cost: a comparison for what was found last too, else about one multiplication per 8 octets besides.
const struct plx_h3_head *plx_memo_find(struct plx_memo *m, enum plx_memo_kind kind, const uint8_t *p,
                                        size_t len, uint64_t *mark);

// The same, where only the one that was found last will do: for whoever has a shorter road for what comes in a row.
const struct plx_h3_head *plx_memo_find_last(const struct plx_memo *m, enum plx_memo_kind kind,
                                             const uint8_t *p, size_t len);

// The same for all that stands in front of an answer's body: HEADERS frame, and the header of the DATA frame. An answer of the same length that begins
// with the same octets is the same again, whatever its body. NULL: it is not like the last one; else *front is how much of it is no body.
const struct plx_h3_head *plx_memo_like(const struct plx_memo *m, const uint8_t *answer, size_t len,
                                        size_t *front);
// This one was read in full: it was one HEADERS frame with the section that plx_memo_find_last() found, and a DATA frame or none.
void plx_memo_like_set(struct plx_memo *m, const uint8_t *answer, size_t len, size_t front,
                       const struct plx_h3_head *head);

// The section that was not found just now has been decoded and is valid. Kept if it has been seen before and can be.
void plx_memo_keep(struct plx_memo *m, enum plx_memo_kind kind, const uint8_t *p, size_t len, uint64_t mark,
                   const struct plx_qpack_section *s, const struct plx_h3_head *head);

void plx_memo_verify(const struct plx_memo *m);

#endif
