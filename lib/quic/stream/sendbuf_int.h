// sendbuf_int.h -- what the two files of the send buffer share.

#ifndef PLX_QUIC_SENDBUF_INT_H
#define PLX_QUIC_SENDBUF_INT_H

#include "quic/stream/sendbuf.h"

// Piece number i from the front; also the place for the next one (i == count, once there is room).
static inline struct plx_buf *plx_sendbuf_piece(const struct plx_sendbuf *b, uint32_t i)
{
    if (__builtin_expect(b->ring == NULL, 1))
        return (struct plx_buf *)&b->piece[(b->head + i) & (PLX_SENDBUF_INLINE - 1)];
    return &b->ring[(b->head + i) & ((1u << b->ring_log2) - 1)];
}

// Room for so many more pieces. PLX_OK, PLX_ERR_AGAIN, PLX_ERR_NOMEM.
enum plx_err plx_sendbuf_reserve(struct plx_sendbuf *b, struct plx_slab *slab, uint32_t extra);

// The ring goes with its last piece.
void plx_sendbuf_trim(struct plx_sendbuf *b, struct plx_slab *slab);

#endif
