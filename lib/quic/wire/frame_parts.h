// frame_parts.h -- what the files that read and write frames share among themselves; nobody else includes it.
//
// Readers get the cursor behind the type and return false when the frame is truncated or impossible.

#ifndef PLX_QUIC_FRAME_PARTS_H
#define PLX_QUIC_FRAME_PARTS_H

#include "quic/wire/frame.h"

// frame_ack.c
bool plx_frame_ack_read(struct plx_rd *r, uint8_t type, struct plx_frame_ack *f);
// frame_data.c
bool plx_frame_stream_read(struct plx_rd *r, uint8_t type, struct plx_frame_stream *f);
bool plx_frame_crypto_read(struct plx_rd *r, struct plx_frame_crypto *f);
// frame_control.c
bool plx_frame_control_read(struct plx_rd *r, uint8_t type, struct plx_frame *f);

// All or nothing: t is a copy of *w on which the frame was tried.
static inline bool plx_frame_commit(struct plx_wr *w, const struct plx_wr *t)
{
    if (t->is_full)
        return false;
    w->p = t->p;
    return true;
}

#endif
