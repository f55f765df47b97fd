// frame.c -- the table of frames, and the dispatch of what is read.
//
// One octet decides nearly always: all types of RFC 9000 are below 0x40, so their shortest encoding is the octet itself. What begins
// with anything else is either a longer encoding of something we know (a violation) or a frame that nobody negotiated.
// Frames with a payload or with ranges have files of their own (frame_data.c, frame_ack.c); those that are a few integers are
// in frame_control.c; runs of PADDING, which are most of the octets of a handshake, are skipped here, 32 at a time.

#include "quic/wire/frame.h"

#include "quic/wire/frame_parts.h"

enum {
    I = 1 << PLX_PKT_INITIAL,
    H = 1 << PLX_PKT_HANDSHAKE,
    Z = 1 << PLX_PKT_ZERO_RTT,
    S = 1 << PLX_PKT_SHORT
};
enum { IH01 = I | H | Z | S, IH_1 = I | H | S, xx01 = Z | S, xxx1 = S };
enum {
    SPEC_N = PLX_FRAME_NOT_ELICITING,
    SPEC_C = PLX_FRAME_NOT_IN_FLIGHT,
    SPEC_P = PLX_FRAME_PROBING,
    SPEC_F = PLX_FRAME_FLOW_CONTROLLED,
};

const struct plx_frame_info plx_frame_info[PLX_FRAME_TYPE_COUNT] = {
#define X(first, last, name, NAME, pkts, spec, help) [first... last] = {#name, pkts, spec},
#include "quic/wire/frame.def"
#undef X
};

// Zero octets at the front of [p, end).
static size_t zeros_count(const uint8_t *p, const uint8_t *end)
{
    const uint8_t *from = p;

    for (; end - p >= 32; p += 32) {
        uint64_t v[4];
        memcpy(v, p, sizeof v);
        if ((v[0] | v[1] | v[2] | v[3]) != 0)
            break;
    }
    for (; end - p >= 8; p += 8) {
        uint64_t v = plx_load_le64(p);
        if (v != 0)
            return (size_t)(p - from) + plx_ctz64(v) / 8;
    }
    while (p < end && *p == 0)
        p++;
    return (size_t)(p - from);
}

static bool body_read(struct plx_rd *r, uint8_t type, struct plx_frame *out)
{
    if ((type & 0xf8) == PLX_FRAME_STREAM)
        return plx_frame_stream_read(r, type, &out->stream);
    switch (type) {
    case PLX_FRAME_ACK:
    case PLX_FRAME_ACK_ECN:
        return plx_frame_ack_read(r, type, &out->ack);
    case PLX_FRAME_CRYPTO:
        return plx_frame_crypto_read(r, &out->crypto);
    case PLX_FRAME_PADDING: {
        size_t more = zeros_count(r->p, r->end);
        plx_rd_skip(r, more);
        out->padding.count = 1 + more;
        return true;
    }
    case PLX_FRAME_PING:
    case PLX_FRAME_HANDSHAKE_DONE:
        return true;
    default:
        return plx_frame_control_read(r, type, out);
    }
}

enum plx_frame_read plx_frame_read(struct plx_rd *r, struct plx_frame *out)
{
    const uint8_t *from = r->p;

    if (plx_rd_left(r) > 0 && *from < PLX_FRAME_TYPE_COUNT) {
        uint8_t type = *from;
        out->type = type;
        r->p = from + 1;
        return body_read(r, type, out) ? PLX_FRAME_OK : PLX_FRAME_BAD;
    }
    out->type = plx_rd_varint(r);
    if (r->is_short)
        return PLX_FRAME_BAD;
    //= rfc9000 12.4 "An endpoint MAY treat the receipt of a frame type that uses a longer encoding than necessary as a connection error of type PROTOCOL_VIOLATION"
    if ((size_t)(r->p - from) != plx_varint_len(out->type))
        return PLX_FRAME_NOT_MINIMAL;
    return PLX_FRAME_UNKNOWN;
}

uint64_t plx_frame_read_error(enum plx_frame_read result)
{
    switch (result) {
    case PLX_FRAME_OK:
        return PLX_QUIC_NO_ERROR;
    case PLX_FRAME_NOT_MINIMAL:
        return PLX_QUIC_PROTOCOL_VIOLATION;
    case PLX_FRAME_BAD:
    case PLX_FRAME_UNKNOWN:
        break;
    }
    //= rfc9000 12.4 "An endpoint MUST treat the receipt of a frame of unknown type as a connection error of type FRAME_ENCODING_ERROR"
    return PLX_QUIC_FRAME_ENCODING_ERROR;
}

// --- frames that are a type and nothing else -----------------------------------------------------------------

bool plx_frame_padding_write(struct plx_wr *w, size_t count)
{
    if (plx_wr_left(w) < count)
        return false;
    uint8_t *p = plx_wr_skip(w, count);
    if (count > 0)
        memset(p, 0, count);
    return true;
}

static bool bare_write(struct plx_wr *w, uint8_t type)
{
    if (plx_wr_left(w) < 1)
        return false;
    plx_wr_u8(w, type);
    return true;
}

bool plx_frame_ping_write(struct plx_wr *w)
{
    return bare_write(w, PLX_FRAME_PING);
}

bool plx_frame_handshake_done_write(struct plx_wr *w)
{
    return bare_write(w, PLX_FRAME_HANDSHAKE_DONE);
}
