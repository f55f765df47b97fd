// qpack_enc.h -- fields become an encoded field section, without a dynamic table (RFC 9204 section 4.5).
//
// What the static table has is an index; the rest are literals, Huffman-coded where that is shorter. There is no
// state, so a section encoded once can be sent on any connection at any time: that is what prepared responses are.

#ifndef PLX_H3_QPACK_ENC_H
#define PLX_H3_QPACK_ENC_H

#include "base/cursor.h"

// Required Insert Count 0, Base 0: what every section begins with.
void plx_qpack_enc_prefix(struct plx_wr *w);

// One field line; its name in lower case. never_index: always a literal, with the bit that keeps it one on later hops.
void plx_qpack_enc_field(struct plx_wr *w, const struct plx_field *f);

// ":status", three digits. status: 100 to 999.
void plx_qpack_enc_status(struct plx_wr *w, uint16_t status);

// No section of these fields takes more octets than this, prefix and a status included.
size_t plx_qpack_enc_len_max(const struct plx_field *fields, uint16_t count);

#endif
