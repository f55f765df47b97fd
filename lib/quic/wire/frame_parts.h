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

// For whoever knows that there is room for eight octets, whatever the integer takes: returns where it ends.
static inline uint8_t *plx_varint_put(uint8_t *p, uint64_t v)
{
    if (v < 1u << 6) {
        *p = (uint8_t)v;
        return p + 1;
    }
    if (v < 1u << 14) {
        plx_store_be16(p, (uint16_t)(v | 0x4000));
        return p + 2;
    }
    if (v < 1u << 30) {
        plx_store_be32(p, (uint32_t)v | 0x80000000u);
        return p + 4;
    }
    plx_check(v <= PLX_VARINT_MAX);
    plx_store_be64(p, v | UINT64_C(3) << 62);
    return p + 8;
}

// All or nothing: t is a copy of *w on which the frame was tried.
static inline bool plx_frame_commit(struct plx_wr *w, const struct plx_wr *t)
{
    if (t->is_full)
        return false;
    w->p = t->p;
    return true;
}

#endif
