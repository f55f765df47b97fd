// close.c -- every kind of end: ours, the peer's, a stateless reset, and dying of silence (RFC 9000 section 10).
//
// The first cause wins and is kept for on_dead; what follows are echoes. Closing keeps the sending keys and answers packets with
// CONNECTION_CLOSE, less and less often: after the 1st, 2nd, 4th, 8th... packet, and never more than three times the octets that
// came. Received packets are not opened any more. Draining keeps nothing but the clock.
//
// Streams go as soon as the connection winds down, but not from inside one of their own events: conn_leave() does it when the entry
// point that is on the stack ends.

#include "quic/conn/conn_impl.h"

#include "base/slab.h"
#include "quic/stream/streams_image.h"

// A program closes from outside, where c->now is when something happened last: perhaps long ago, and the end would be over at once. Then
// the time counts from the next step.
static void end_at_set(struct plx_conn *c)
{
    //= rfc9000 10.2 "at least three times the current PTO interval"
    c->end_at = c->is_inside ? plx_time_after(c->now, plx_dur_mul(conn_pto(c), 3)) : PLX_NEVER;
}

void conn_end_begin(struct plx_conn *c)
{
    if (plx_time_is_never(c->end_at))
        end_at_set(c);
}

// Cut at a character, and without control characters: this is shown to people. The slab may be empty: then there are no words.
static char *reason_keep(struct plx_conn *c, const uint8_t *reason, size_t len)
{
    char *out = len > 0 ? plx_slab_take(c->env->slab, CONN_REASON_MAX) : NULL;
    size_t n = len < CONN_REASON_MAX - 1 ? len : CONN_REASON_MAX - 1;

    if (out == NULL)
        return NULL;
    if (n < len)
        while (n > 0 && (reason[n] & 0xc0) == 0x80)
            n--;
    for (size_t i = 0; i < n; i++)
        out[i] = (char)(reason[i] < 0x20 || reason[i] == 0x7f ? '?' : reason[i]);
    out[n] = 0;
    return out;
}

static void close_info_set(struct plx_conn *c, int how, bool is_peer, uint64_t code, uint64_t frame_type,
                           const void *reason, size_t len)
{
    if (c->has_close)
        return;
    c->has_close = true;
    c->close_how = (uint8_t)how;
    c->is_close_by_peer = is_peer;
    c->close_code = code;
    c->close_frame_type = frame_type;
    c->close_reason = reason_keep(c, reason, len);
}

void conn_reason_forget(struct plx_conn *c)
{
    if (c->close_reason != NULL)
        plx_slab_give(c->env->slab, c->close_reason, CONN_REASON_MAX);
    c->close_reason = NULL;
}

void plx_conn_close_info(const struct plx_conn *c, struct plx_close_info *out)
{
    *out = (struct plx_close_info){.how = PLX_CLOSE_APPLICATION};
    if (!c->has_close)
        return;
    out->how = (__typeof__(out->how))c->close_how;
    out->is_peer = c->is_close_by_peer;
    out->code = c->close_code;
    out->frame_type = c->close_frame_type;
    if (c->close_reason != NULL)
        memcpy(out->reason, c->close_reason, CONN_REASON_MAX);
}

static void begin_closing(struct plx_conn *c)
{
    if (!conn_on_event(c, CONN_EV_CLOSE))
        return;
    c->want = CONN_WANT_CLOSE;
    end_at_set(c);
    conn_wake(c);
}

void conn_fail(struct plx_conn *c, uint64_t code, uint64_t frame_type, const char *why)
{
    if (conn_is_winding_down(c))
        return;
    close_info_set(c, PLX_CLOSE_TRANSPORT, false, code, frame_type, why, strlen(why));
    begin_closing(c);
}

void plx_conn_close(struct plx_conn *c, uint64_t code, const char *reason)
{
    if (conn_is_winding_down(c))
        return;
    const char *text = reason != NULL ? reason : "";
    close_info_set(c, PLX_CLOSE_APPLICATION, false, code <= PLX_VARINT_MAX ? code : PLX_VARINT_MAX, 0, text,
                   strlen(text));
    begin_closing(c);
}

static void begin_draining(struct plx_conn *c)
{
    bool was_closing = c->state == PLX_CONN_CLOSING;
    if (!conn_on_event(c, CONN_EV_PEER_CLOSE))
        return;
    c->want = 0;
    //= rfc9000 10.2.2 "the draining state ends when the closing state would have ended"
    if (!was_closing)
        c->end_at = PLX_NEVER;
    conn_end_begin(c);
}

void conn_on_peer_close(struct plx_conn *c, const struct plx_frame_close *f)
{
    close_info_set(c, f->is_application ? PLX_CLOSE_APPLICATION : PLX_CLOSE_TRANSPORT, true, f->code,
                   f->frame_type, f->reason, f->reason_len);
    begin_draining(c);
}

void conn_on_stateless_reset(struct plx_conn *c)
{
    //= rfc9000 10.3.1 "the endpoint MUST enter the draining period and not send any further packets on this connection"
    close_info_set(c, PLX_CLOSE_STATELESS_RESET, true, 0, 0, "", 0);
    begin_draining(c);
}

void conn_expire(struct plx_conn *c, int how)
{
    close_info_set(c, how, false, 0, 0, "", 0);
    conn_on_event(c, CONN_EV_EXPIRE);
}

void conn_expire_lost(struct plx_conn *c)
{
    static const char why[] = "no viable path";

    close_info_set(c, PLX_CLOSE_TRANSPORT, false, PLX_QUIC_NO_VIABLE_PATH, 0, why, sizeof why - 1);
    conn_on_event(c, CONN_EV_EXPIRE);
}

void conn_wind_down(struct plx_conn *c)
{
    if (!c->is_wound_down) {
        c->is_wound_down = true;
        if (c->completed_at.ns == 0)
            c->env->stats.handshakes_failed++;
        if (c->is_parked) // nobody will miss them
            c->env->stats.streams_closed += plx_streams_forget(&c->streams);
        c->is_parked = false;
        plx_streams_fini(&c->streams);
        conn_stash_clear(c);
        conn_tls_close(c); // by far the largest part of a handshake that failed
        plx_recovery_discard_space(&c->recovery, &c->space, PLX_SPACE_APP);
        plx_space_shrink(&c->space);
    }
    if (c->state != PLX_CONN_CLOSING) {
        conn_handshake_release(c);
        conn_keys_release(c);
    }
    if (c->state == PLX_CONN_DEAD && !c->is_dead_told) {
        c->is_dead_told = true;
        c->env->events->on_dead(c->env->events_arg, c);
    }
}

void conn_on_packet_while_closing(struct plx_conn *c, const struct plx_rx *rx)
{
    c->closing_rx_bytes += rx->dgram_len;
    if (c->state != PLX_CONN_CLOSING)
        return;
    c->closing_rx++;
    //= rfc9000 10.2.1 "SHOULD limit the rate at which it generates packets in the closing state"
    bool is_pow2 = (c->closing_rx & (c->closing_rx - 1)) == 0;
    if (is_pow2 && c->closing_tx_bytes < PLX_ANTI_AMPLIFICATION * c->closing_rx_bytes)
        c->want |= CONN_WANT_CLOSE;
}

// --- CONNECTION_CLOSE --------------------------------------------------------------------------------------------------

static void close_frame(const struct plx_conn *c, enum plx_space_id space, struct plx_frame_close *f)
{
    const char *reason = c->close_reason != NULL ? c->close_reason : "";
    *f = (struct plx_frame_close){.code = c->close_code,
                                  .frame_type = c->close_frame_type,
                                  .reason = (const uint8_t *)reason,
                                  .reason_len = strlen(reason),
                                  .is_application = c->close_how == PLX_CLOSE_APPLICATION};
    //= rfc9000 10.2.3 "A CONNECTION_CLOSE of type 0x1d MUST be replaced by a CONNECTION_CLOSE of type 0x1c"
    if (f->is_application && space != PLX_SPACE_APP)
        *f = (struct plx_frame_close){.code = PLX_QUIC_APPLICATION_ERROR};
}

// One datagram with the frame at every level whose keys the peer may have.
bool conn_tx_close(struct plx_conn *c, struct plx_tx *tx, plx_time now)
{
    c->want &= (uint16_t)~CONN_WANT_CLOSE;
    conn_end_begin(c);
    struct plx_path *path = plx_paths_active(&c->paths);
    uint64_t allowance = plx_path_allowance(path);
    struct conn_dgram dg;
    dg.pkt = tx->spare[tx->spare_count - 1];
    dg.path = path;
    dg.count = 0;
    dg.len = 0;
    dg.is_1200 = false;
    dg.room = path->mtu < dg.pkt->cap ? path->mtu : dg.pkt->cap;
    if (allowance < dg.room)
        dg.room = (uint16_t)allowance;

    // 1-RTT alone once that is sure to be understood, else all there is: no one level is sure.
    bool is_confirmed = c->hs == NULL || (c->is_server ? c->completed_at.ns != 0
                                                       : c->hs->level[PLX_SPACE_HANDSHAKE].is_discarded);
    for (int space = is_confirmed ? PLX_SPACE_APP : PLX_SPACE_INITIAL; space < PLX_SPACE_COUNT; space++) {
        bool has_key =
            space == PLX_SPACE_APP ? c->has_tx_keys : conn_keys_can_seal(c, (enum plx_space_id)space);
        struct conn_build *b = has_key ? conn_packet_begin(c, &dg, (enum plx_space_id)space) : NULL;
        if (b == NULL)
            continue;
        struct plx_frame_close f;
        close_frame(c, (enum plx_space_id)space, &f);
        if (!plx_frame_close_write(&b->w, &f)) {
            conn_packet_cancel(&dg);
            continue;
        }
        conn_packet_close(&dg);
        dg.is_1200 |= space == PLX_SPACE_INITIAL && !c->is_server; // section 14.1: whatever is in it
    }
    if (dg.count == 0)
        return false;
    bool is_sent = conn_dgram_finish(c, &dg, tx, false, now);
    if (is_sent)
        c->closing_tx_bytes += dg.len;
    return is_sent;
}
