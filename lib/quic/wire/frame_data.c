// frame_data.c -- STREAM and CRYPTO frames, RFC 9000 sections 19.8 and 19.6: the ones that carry octets.
//
// Reading borrows the octets from the packet. Writing puts the header and says where the octets go, because they may lie in several
// buffers; each octet is then copied once, from the application's memory into the packet.
//
// Fitting: with a Length field of n octets, min(want, room - n) octets go in, and n is what the whole room would need, so it is
// never too small. The one octet that may stay free at a boundary (64, 16384) is not worth a second try.

#include "quic/wire/frame_parts.h"

enum { STREAM_FIN = 1, STREAM_LEN = 2, STREAM_OFF = 4 };

bool plx_frame_stream_read(struct plx_rd *r, uint8_t type, struct plx_frame_stream *f)
{
    struct plx_rd t = *r; // in registers

    f->id = plx_rd_varint(&t);
    f->offset = type & STREAM_OFF ? plx_rd_varint(&t) : 0;
    f->len = type & STREAM_LEN ? plx_rd_varint(&t) : plx_rd_left(&t);
    f->data = plx_rd_bytes(&t, f->len);
    f->fin = type & STREAM_FIN;
    *r = t;
    //= rfc9000 19.8 "Receipt of a frame that exceeds this limit MUST be treated as a connection error of type FRAME_ENCODING_ERROR or FLOW_CONTROL_ERROR"
    return !t.is_short && f->offset + f->len <= PLX_VARINT_MAX;
}

bool plx_frame_crypto_read(struct plx_rd *r, struct plx_frame_crypto *f)
{
    f->offset = plx_rd_varint(r);
    f->len = plx_rd_varint(r);
    f->data = plx_rd_bytes(r, f->len);
    //= rfc9000 19.6 "Receipt of a frame that exceeds this limit MUST be treated as a connection error of type FRAME_ENCODING_ERROR or CRYPTO_BUFFER_EXCEEDED"
    return !r->is_short && f->offset + f->len <= PLX_VARINT_MAX;
}

static uint64_t min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

// What goes into `room` octets behind a Length field that precedes it. *len_len: octets of that field; 0: it does not fit.
static uint64_t fit(uint64_t want, size_t room, size_t *len_len)
{
    *len_len = plx_varint_len(min(want, room));
    if (room < *len_len) {
        *len_len = 0;
        return 0;
    }
    return min(want, room - *len_len);
}

uint8_t *plx_frame_stream_whole(struct plx_wr *w, uint64_t id, uint64_t len)
{
    uint8_t *p = w->p;

    plx_check(plx_wr_left(w) >= 1 + 8 + 8 + len);
    *p = PLX_FRAME_STREAM | STREAM_LEN | STREAM_FIN;
    p = plx_varint_put(plx_varint_put(p + 1, id), len);
    w->p = p + len;
    return p;
}

uint8_t *plx_frame_stream_begin(struct plx_wr *w, uint64_t id, uint64_t offset, uint64_t want, bool fin,
                                bool is_filling, size_t *len)
{
    size_t head = 1 + plx_varint_len(id) + (offset != 0 ? plx_varint_len(offset) : 0);
    size_t left = plx_wr_left(w), len_len;

    if (left < head)
        return NULL;
    size_t room = left - head;
    uint64_t n = fit(want, room, &len_len);
    bool is_last = is_filling && (n < want || len_len == 0);
    if (is_last)
        n = min(want, room);
    else if (len_len == 0)
        return NULL;
    if (n == 0 && (want > 0 || !fin))
        return NULL;

    uint8_t type = (uint8_t)(PLX_FRAME_STREAM | (offset != 0 ? STREAM_OFF : 0) | (is_last ? 0 : STREAM_LEN) |
                             (fin && n == want ? STREAM_FIN : 0));
    plx_wr_u8(w, type);
    plx_wr_varint(w, id);
    if (offset != 0)
        plx_wr_varint(w, offset);
    if (!is_last)
        plx_wr_varint(w, n);
    uint8_t *data = plx_wr_skip(w, n);
    if (is_last)
        w->end = w->p; // it reaches to the end of the packet, so the packet ends here
    *len = n;
    return data;
}

uint8_t *plx_frame_crypto_begin(struct plx_wr *w, uint64_t offset, uint64_t want, size_t *len)
{
    size_t head = 1 + plx_varint_len(offset), left = plx_wr_left(w), len_len;

    if (left < head)
        return NULL;
    uint64_t n = fit(want, left - head, &len_len);
    if (len_len == 0 || n == 0)
        return NULL;
    plx_wr_u8(w, PLX_FRAME_CRYPTO);
    plx_wr_varint(w, offset);
    plx_wr_varint(w, n);
    *len = n;
    return plx_wr_skip(w, n);
}

size_t plx_frame_stream_write(struct plx_wr *w, const struct plx_frame_stream *f, bool is_filling)
{
    size_t len;
    uint8_t *to = plx_frame_stream_begin(w, f->id, f->offset, f->len, f->fin, is_filling, &len);

    if (to == NULL)
        return SIZE_MAX;
    if (len > 0)
        memcpy(to, f->data, len);
    return len;
}

size_t plx_frame_crypto_write(struct plx_wr *w, const struct plx_frame_crypto *f)
{
    size_t len;
    uint8_t *to = plx_frame_crypto_begin(w, f->offset, f->len, &len);

    if (to == NULL)
        return SIZE_MAX;
    memcpy(to, f->data, len);
    return len;
}
