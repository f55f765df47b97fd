// frame_control.c -- the frames that are a few integers, RFC 9000 sections 19.4, 19.5, 19.7 and 19.9 to 19.19.
//
// In the RFC's order, each reader with its writer, fields in the order of the wire. What is checked is what the frame alone can tell:
// a stream limit beyond 2^60, an empty token, a connection ID of an impossible length, a Retire Prior To beyond the sequence
// number. One switch stands at the end, so that every function above it is a straight line.

#include "quic/wire/frame_parts.h"

#define STREAMS_MAX (UINT64_C(1) << 60) // RFC 9000 section 4.6

// --- 19.4 RESET_STREAM -------------------------------------------------------------------------------------

static bool reset_stream_read(struct plx_rd *r, struct plx_frame_reset_stream *f)
{
    f->id = plx_rd_varint(r);
    f->code = plx_rd_varint(r);
    f->final_size = plx_rd_varint(r);
    return !r->is_short;
}

bool plx_frame_reset_stream_write(struct plx_wr *w, const struct plx_frame_reset_stream *f)
{
    struct plx_wr t = *w;
    plx_wr_u8(&t, PLX_FRAME_RESET_STREAM);
    plx_wr_varint(&t, f->id);
    plx_wr_varint(&t, f->code);
    plx_wr_varint(&t, f->final_size);
    return plx_frame_commit(w, &t);
}

// --- 19.5 STOP_SENDING -------------------------------------------------------------------------------------

static bool stop_sending_read(struct plx_rd *r, struct plx_frame_stop_sending *f)
{
    f->id = plx_rd_varint(r);
    f->code = plx_rd_varint(r);
    return !r->is_short;
}

bool plx_frame_stop_sending_write(struct plx_wr *w, const struct plx_frame_stop_sending *f)
{
    struct plx_wr t = *w;
    plx_wr_u8(&t, PLX_FRAME_STOP_SENDING);
    plx_wr_varint(&t, f->id);
    plx_wr_varint(&t, f->code);
    return plx_frame_commit(w, &t);
}

// --- 19.7 NEW_TOKEN ----------------------------------------------------------------------------------------

static bool new_token_read(struct plx_rd *r, struct plx_frame_new_token *f)
{
    f->len = plx_rd_varint(r);
    f->token = plx_rd_bytes(r, f->len);
    //= rfc9000 19.7 "A client MUST treat receipt of a NEW_TOKEN frame with an empty Token field as a connection error of type FRAME_ENCODING_ERROR"
    return !r->is_short && f->len > 0;
}

bool plx_frame_new_token_write(struct plx_wr *w, const uint8_t *token, size_t len)
{
    struct plx_wr t = *w;
    plx_check(len > 0);
    plx_wr_u8(&t, PLX_FRAME_NEW_TOKEN);
    plx_wr_varint(&t, len);
    plx_wr_bytes(&t, token, len);
    return plx_frame_commit(w, &t);
}

// --- 19.9 to 19.14: credit, and the want of it -----------------------------------------------------------------

static bool one_write(struct plx_wr *w, uint8_t type, uint64_t v)
{
    struct plx_wr t = *w;
    plx_wr_u8(&t, type);
    plx_wr_varint(&t, v);
    return plx_frame_commit(w, &t);
}

static bool two_write(struct plx_wr *w, uint8_t type, uint64_t a, uint64_t b)
{
    struct plx_wr t = *w;
    plx_wr_u8(&t, type);
    plx_wr_varint(&t, a);
    plx_wr_varint(&t, b);
    return plx_frame_commit(w, &t);
}

static bool max_data_read(struct plx_rd *r, struct plx_frame_max_data *f)
{
    f->maximum = plx_rd_varint(r);
    return !r->is_short;
}

bool plx_frame_max_data_write(struct plx_wr *w, uint64_t maximum)
{
    return one_write(w, PLX_FRAME_MAX_DATA, maximum);
}

static bool max_stream_data_read(struct plx_rd *r, struct plx_frame_max_stream_data *f)
{
    f->id = plx_rd_varint(r);
    f->maximum = plx_rd_varint(r);
    return !r->is_short;
}

bool plx_frame_max_stream_data_write(struct plx_wr *w, uint64_t id, uint64_t maximum)
{
    return two_write(w, PLX_FRAME_MAX_STREAM_DATA, id, maximum);
}

static bool max_streams_read(struct plx_rd *r, uint8_t type, struct plx_frame_max_streams *f)
{
    f->maximum = plx_rd_varint(r);
    f->is_uni = type == PLX_FRAME_MAX_STREAMS_UNI;
    //= rfc9000 19.11 "Receipt of a frame that permits opening of a stream larger than this limit MUST be treated as a connection error of type FRAME_ENCODING_ERROR"
    return !r->is_short && f->maximum <= STREAMS_MAX;
}

bool plx_frame_max_streams_write(struct plx_wr *w, bool is_uni, uint64_t maximum)
{
    return one_write(w, is_uni ? PLX_FRAME_MAX_STREAMS_UNI : PLX_FRAME_MAX_STREAMS, maximum);
}

static bool data_blocked_read(struct plx_rd *r, struct plx_frame_data_blocked *f)
{
    f->limit = plx_rd_varint(r);
    return !r->is_short;
}

bool plx_frame_data_blocked_write(struct plx_wr *w, uint64_t limit)
{
    return one_write(w, PLX_FRAME_DATA_BLOCKED, limit);
}

static bool stream_data_blocked_read(struct plx_rd *r, struct plx_frame_stream_data_blocked *f)
{
    f->id = plx_rd_varint(r);
    f->limit = plx_rd_varint(r);
    return !r->is_short;
}

bool plx_frame_stream_data_blocked_write(struct plx_wr *w, uint64_t id, uint64_t limit)
{
    return two_write(w, PLX_FRAME_STREAM_DATA_BLOCKED, id, limit);
}

static bool streams_blocked_read(struct plx_rd *r, uint8_t type, struct plx_frame_streams_blocked *f)
{
    f->limit = plx_rd_varint(r);
    f->is_uni = type == PLX_FRAME_STREAMS_BLOCKED_UNI;
    //= rfc9000 19.14 "Receipt of a frame that encodes a larger stream ID MUST be treated as a connection error of type STREAM_LIMIT_ERROR or FRAME_ENCODING_ERROR"
    return !r->is_short && f->limit <= STREAMS_MAX;
}

bool plx_frame_streams_blocked_write(struct plx_wr *w, bool is_uni, uint64_t limit)
{
    return one_write(w, is_uni ? PLX_FRAME_STREAMS_BLOCKED_UNI : PLX_FRAME_STREAMS_BLOCKED, limit);
}

// --- 19.15, 19.16 connection IDs ---------------------------------------------------------------------------

static bool new_connection_id_read(struct plx_rd *r, struct plx_frame_new_connection_id *f)
{
    f->seq = plx_rd_varint(r);
    f->retire_prior_to = plx_rd_varint(r);
    uint8_t len = plx_rd_u8(r);
    const uint8_t *cid = plx_rd_bytes(r, len);
    const uint8_t *token = plx_rd_bytes(r, PLX_RESET_TOKEN_LEN);

    //= rfc9000 19.15 "Values less than 1 and greater than 20 are invalid and MUST be treated as a connection error of type FRAME_ENCODING_ERROR"
    if (r->is_short || len < 1 || len > PLX_CID_MAX)
        return false;
    f->cid = (struct plx_cid){.len = len};
    memcpy(f->cid.bytes, cid, len);
    memcpy(f->token, token, PLX_RESET_TOKEN_LEN);
    //= rfc9000 19.15 "Receiving a value in the Retire Prior To field that is greater than that in the Sequence Number field MUST be treated as a connection error of type FRAME_ENCODING_ERROR"
    return f->retire_prior_to <= f->seq;
}

bool plx_frame_new_connection_id_write(struct plx_wr *w, const struct plx_frame_new_connection_id *f)
{
    struct plx_wr t = *w;
    plx_wr_u8(&t, PLX_FRAME_NEW_CONNECTION_ID);
    plx_wr_varint(&t, f->seq);
    plx_wr_varint(&t, f->retire_prior_to);
    plx_wr_u8(&t, f->cid.len);
    plx_wr_bytes(&t, f->cid.bytes, f->cid.len);
    plx_wr_bytes(&t, f->token, PLX_RESET_TOKEN_LEN);
    return plx_frame_commit(w, &t);
}

static bool retire_connection_id_read(struct plx_rd *r, struct plx_frame_retire_connection_id *f)
{
    f->seq = plx_rd_varint(r);
    return !r->is_short;
}

bool plx_frame_retire_connection_id_write(struct plx_wr *w, uint64_t seq)
{
    return one_write(w, PLX_FRAME_RETIRE_CONNECTION_ID, seq);
}

// --- 19.17, 19.18 path validation --------------------------------------------------------------------------

static bool path_read(struct plx_rd *r, struct plx_frame_path *f)
{
    const uint8_t *data = plx_rd_bytes(r, PLX_PATH_DATA_LEN);
    if (data == NULL)
        return false;
    memcpy(f->data, data, PLX_PATH_DATA_LEN);
    return true;
}

static bool path_write(struct plx_wr *w, uint8_t type, const uint8_t data[PLX_PATH_DATA_LEN])
{
    struct plx_wr t = *w;
    plx_wr_u8(&t, type);
    plx_wr_bytes(&t, data, PLX_PATH_DATA_LEN);
    return plx_frame_commit(w, &t);
}

bool plx_frame_path_challenge_write(struct plx_wr *w, const uint8_t data[PLX_PATH_DATA_LEN])
{
    return path_write(w, PLX_FRAME_PATH_CHALLENGE, data);
}

bool plx_frame_path_response_write(struct plx_wr *w, const uint8_t data[PLX_PATH_DATA_LEN])
{
    return path_write(w, PLX_FRAME_PATH_RESPONSE, data);
}

// --- 19.19 CONNECTION_CLOSE --------------------------------------------------------------------------------

static bool close_read(struct plx_rd *r, uint8_t type, struct plx_frame_close *f)
{
    f->is_application = type == PLX_FRAME_APPLICATION_CLOSE;
    f->code = plx_rd_varint(r);
    f->frame_type = f->is_application ? 0 : plx_rd_varint(r);
    f->reason_len = plx_rd_varint(r);
    f->reason = plx_rd_bytes(r, f->reason_len);
    return !r->is_short;
}

// The longest part of a text that fits and does not end within a character of UTF-8.
static uint64_t text_cut(const uint8_t *text, uint64_t len, uint64_t max)
{
    if (len <= max)
        return len;
    while (max > 0 && (text[max] & 0xc0) == 0x80)
        max--;
    return max;
}

bool plx_frame_close_write(struct plx_wr *w, const struct plx_frame_close *f)
{
    struct plx_wr t = *w;
    plx_wr_u8(&t, f->is_application ? PLX_FRAME_APPLICATION_CLOSE : PLX_FRAME_TRANSPORT_CLOSE);
    plx_wr_varint(&t, f->code);
    if (!f->is_application)
        plx_wr_varint(&t, f->frame_type);

    size_t left = plx_wr_left(&t);
    size_t len_len = plx_varint_len(f->reason_len < left ? f->reason_len : left);
    uint64_t len = left < len_len ? 0 : text_cut(f->reason, f->reason_len, left - len_len);
    plx_wr_varint(&t, len);
    plx_wr_bytes(&t, f->reason, len);
    return plx_frame_commit(w, &t);
}

// --- all of them -------------------------------------------------------------------------------------------

bool plx_frame_control_read(struct plx_rd *r, uint8_t type, struct plx_frame *f)
{
    switch (type) {
    case PLX_FRAME_RESET_STREAM:
        return reset_stream_read(r, &f->reset_stream);
    case PLX_FRAME_STOP_SENDING:
        return stop_sending_read(r, &f->stop_sending);
    case PLX_FRAME_NEW_TOKEN:
        return new_token_read(r, &f->new_token);
    case PLX_FRAME_MAX_DATA:
        return max_data_read(r, &f->max_data);
    case PLX_FRAME_MAX_STREAM_DATA:
        return max_stream_data_read(r, &f->max_stream_data);
    case PLX_FRAME_MAX_STREAMS:
    case PLX_FRAME_MAX_STREAMS_UNI:
        return max_streams_read(r, type, &f->max_streams);
    case PLX_FRAME_DATA_BLOCKED:
        return data_blocked_read(r, &f->data_blocked);
    case PLX_FRAME_STREAM_DATA_BLOCKED:
        return stream_data_blocked_read(r, &f->stream_data_blocked);
    case PLX_FRAME_STREAMS_BLOCKED:
    case PLX_FRAME_STREAMS_BLOCKED_UNI:
        return streams_blocked_read(r, type, &f->streams_blocked);
    case PLX_FRAME_NEW_CONNECTION_ID:
        return new_connection_id_read(r, &f->new_connection_id);
    case PLX_FRAME_RETIRE_CONNECTION_ID:
        return retire_connection_id_read(r, &f->retire_connection_id);
    case PLX_FRAME_PATH_CHALLENGE:
    case PLX_FRAME_PATH_RESPONSE:
        return path_read(r, &f->path);
    case PLX_FRAME_TRANSPORT_CLOSE:
    case PLX_FRAME_APPLICATION_CLOSE:
        return close_read(r, type, &f->close);
    default:
        return false;
    }
}
