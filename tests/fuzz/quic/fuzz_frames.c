// fuzz_frames.c -- frames of a packet from arbitrary octets: what is read lies within it, and says the same when it is written again.

#include "../base/ops.h"
#include "quic/wire/frame.h"

static const uint8_t *from, *to; // the packet

static void within(const uint8_t *p, uint64_t len)
{
    plx_check(p >= from && p <= to && len <= (uint64_t)(to - p));
}

static void check_ack(const struct plx_frame_ack *ack)
{
    struct plx_ack_iter it;
    uint64_t smallest, largest, last = UINT64_MAX, count = 0;

    plx_ack_iter_init(&it, ack);
    while (plx_ack_iter_next(&it, &smallest, &largest)) {
        plx_check(smallest <= largest);
        plx_check(last == UINT64_MAX || largest + 1 < last); // descending, not touching
        last = smallest;
        count++;
    }
    plx_check(count == ack->range_count + 1);
    plx_check(!it.r.is_short && plx_rd_left(&it.r) == 0);
}

// Writes a frame by its own writer. False: there is none to compare with (ACK's ranges, PADDING's run).
static bool write_again(struct plx_wr *w, const struct plx_frame *f)
{
    switch (f->type) {
    case PLX_FRAME_PING:
        return plx_frame_ping_write(w);
    case PLX_FRAME_RESET_STREAM:
        return plx_frame_reset_stream_write(w, &f->reset_stream);
    case PLX_FRAME_STOP_SENDING:
        return plx_frame_stop_sending_write(w, &f->stop_sending);
    case PLX_FRAME_CRYPTO:
        return f->crypto.len > 0 && plx_frame_crypto_write(w, &f->crypto) == f->crypto.len;
    case PLX_FRAME_NEW_TOKEN:
        return plx_frame_new_token_write(w, f->new_token.token, f->new_token.len);
    case PLX_FRAME_MAX_DATA:
        return plx_frame_max_data_write(w, f->max_data.maximum);
    case PLX_FRAME_MAX_STREAM_DATA:
        return plx_frame_max_stream_data_write(w, f->max_stream_data.id, f->max_stream_data.maximum);
    case PLX_FRAME_MAX_STREAMS:
    case PLX_FRAME_MAX_STREAMS_UNI:
        return plx_frame_max_streams_write(w, f->max_streams.is_uni, f->max_streams.maximum);
    case PLX_FRAME_DATA_BLOCKED:
        return plx_frame_data_blocked_write(w, f->data_blocked.limit);
    case PLX_FRAME_STREAM_DATA_BLOCKED:
        return plx_frame_stream_data_blocked_write(w, f->stream_data_blocked.id,
                                                   f->stream_data_blocked.limit);
    case PLX_FRAME_STREAMS_BLOCKED:
    case PLX_FRAME_STREAMS_BLOCKED_UNI:
        return plx_frame_streams_blocked_write(w, f->streams_blocked.is_uni, f->streams_blocked.limit);
    case PLX_FRAME_NEW_CONNECTION_ID:
        return plx_frame_new_connection_id_write(w, &f->new_connection_id);
    case PLX_FRAME_RETIRE_CONNECTION_ID:
        return plx_frame_retire_connection_id_write(w, f->retire_connection_id.seq);
    case PLX_FRAME_PATH_CHALLENGE:
        return plx_frame_path_challenge_write(w, f->path.data);
    case PLX_FRAME_PATH_RESPONSE:
        return plx_frame_path_response_write(w, f->path.data);
    case PLX_FRAME_TRANSPORT_CLOSE:
    case PLX_FRAME_APPLICATION_CLOSE:
        return plx_frame_close_write(w, &f->close);
    case PLX_FRAME_HANDSHAKE_DONE:
        return plx_frame_handshake_done_write(w);
    default:
        break;
    }
    if ((f->type & 0xf8) == PLX_FRAME_STREAM && (f->stream.len > 0 || f->stream.fin))
        return plx_frame_stream_write(w, &f->stream, false) == f->stream.len;
    return false;
}

static void compare(const struct plx_frame *f)
{
    static uint8_t one[1 << 20], two[1 << 20];
    struct plx_wr w = plx_wr_init(one, sizeof one), w2 = plx_wr_init(two, sizeof two);
    struct plx_frame again;

    if (!write_again(&w, f))
        return;
    struct plx_rd r = plx_rd_init(one, (size_t)(w.p - one));
    plx_check(plx_frame_read(&r, &again) == PLX_FRAME_OK);
    plx_check(plx_rd_left(&r) == 0);
    plx_check(write_again(&w2, &again)); // a writer that loses nothing writes the same twice
    plx_check(w2.p - two == w.p - one && memcmp(one, two, (size_t)(w.p - one)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct plx_rd r = plx_rd_init(data, len);
    struct plx_frame f;

    from = r.p;
    to = r.end;
    while (plx_rd_left(&r) > 0) {
        const uint8_t *before = r.p;
        enum plx_frame_read result = plx_frame_read(&r, &f);
        plx_check(r.p > before && r.p <= to);
        plx_check((plx_frame_read_error(result) == 0) == (result == PLX_FRAME_OK));
        if (result != PLX_FRAME_OK)
            return 0;
        plx_check(f.type < PLX_FRAME_TYPE_COUNT && plx_frame_is_permitted(f.type, PLX_PKT_SHORT));
        if ((f.type & 0xf8) == PLX_FRAME_STREAM)
            within(f.stream.data, f.stream.len);
        if (f.type == PLX_FRAME_CRYPTO)
            within(f.crypto.data, f.crypto.len);
        if (f.type == PLX_FRAME_NEW_TOKEN)
            within(f.new_token.token, f.new_token.len);
        if (f.type == PLX_FRAME_TRANSPORT_CLOSE || f.type == PLX_FRAME_APPLICATION_CLOSE)
            within(f.close.reason, f.close.reason_len);
        if (f.type == PLX_FRAME_ACK || f.type == PLX_FRAME_ACK_ECN)
            check_ack(&f.ack);
        compare(&f);
    }
    return 0;
}
