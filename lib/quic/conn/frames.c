// frames.c -- what each frame means to the connection: read, permitted, handed to whom it concerns (RFC 9000 sections 12.4 and 19).
//
// STREAM and ACK, which are nearly all there is in a busy connection, are told apart by the type before anything else; the rest goes
// through a table with one row per type. A handler returns a transport error code, and 0 for "go on". Whatever a handler calls may end
// the connection (an event of the application, for example); the loop notices and stops.

#include "quic/conn/conn_impl.h"

typedef uint64_t (*frame_handler)(struct plx_conn *c, struct conn_delivery *d, const struct plx_frame *f,
                                  plx_time now);

#define HANDLER(name)                                                                                \
    static uint64_t on_##name(                                                                       \
        struct plx_conn *c __attribute__((unused)), struct conn_delivery *d __attribute__((unused)), \
        const struct plx_frame *f __attribute__((unused)), plx_time now __attribute__((unused)))

HANDLER(padding)
{
    return 0;
}
HANDLER(ping)
{
    return 0;
}

// --- acknowledgements --------------------------------------------------------------------------------------------------------

HANDLER(ack)
{
    struct plx_space *sp = conn_space(c, d->space);
    struct plx_recovery_ack_result r;
    if (sp ==
        NULL) // the frames before it in this packet have confirmed the handshake: its keys and packets are gone
        return 0;
    // Section 6.2 of RFC 9001: whoever acknowledges our new keys must have new ones himself.
    if (d->space == PLX_SPACE_APP && d->rx->key_phase != c->tx_phase && f->ack.largest >= c->tx_phase_first)
        return PLX_QUIC_KEY_UPDATE_ERROR;
    uint64_t lost = c->recovery.lost_packets, spurious = c->recovery.spurious_packets;
    uint64_t events = c->recovery.cc.events;
    plx_recovery_on_ack(&c->recovery, sp, d->space, &f->ack, now, &r);
    if (r.error != 0)
        return r.error;
    struct plx_conn_stats *stats = &c->env->stats;
    stats->packets_lost += c->recovery.lost_packets - lost;
    stats->spurious_lost += c->recovery.spurious_packets - spurious;
    stats->cc_events += c->recovery.cc.events - events;
    stats->persistent_congestions += r.persistent_congestion;
    stats->ecn_validation_failed += r.ecn_failed;
    if (!r.newly_acked)
        return 0;
    c->ptos = 0;
    if (d->space == PLX_SPACE_APP)
        conn_keys_on_acked(c, now);
    if (c->hold == CONN_HOLD_WINDOW || c->hold == CONN_HOLD_PACE)
        c->hold = CONN_HOLD_NONE;
    if (!c->is_server && d->space == PLX_SPACE_HANDSHAKE && c->hs != NULL)
        c->hs->is_address_known = true;
    //= rfc9001 4.1.2 "a client MAY consider the handshake to be confirmed when it receives an acknowledgment for a 1-RTT packet"
    if (!c->is_server && d->space == PLX_SPACE_APP && r.largest_newly_acked >= c->tx_phase_first)
        conn_handshake_confirm(c, now); // not by one of a 0-RTT packet
    return 0;
}

// --- streams -----------------------------------------------------------------------------------------------------------------

HANDLER(stream)
{
    c->questions = 0;
    return plx_streams_on_stream(&c->streams, &f->stream, now);
}
HANDLER(reset_stream)
{
    return plx_streams_on_reset_stream(&c->streams, &f->reset_stream);
}
HANDLER(stop_sending)
{
    return plx_streams_on_stop_sending(&c->streams, &f->stop_sending);
}
HANDLER(max_data)
{
    return plx_streams_on_max_data(&c->streams, f->max_data.maximum);
}
HANDLER(max_stream_data)
{
    return plx_streams_on_max_stream_data(&c->streams, f->max_stream_data.id, f->max_stream_data.maximum);
}
HANDLER(max_streams)
{
    return plx_streams_on_max_streams(&c->streams, f->max_streams.is_uni, f->max_streams.maximum);
}
HANDLER(data_blocked)
{
    return plx_streams_on_data_blocked(&c->streams, f->data_blocked.limit);
}
HANDLER(stream_data_blocked)
{
    return plx_streams_on_stream_data_blocked(&c->streams, f->stream_data_blocked.id,
                                              f->stream_data_blocked.limit);
}
HANDLER(streams_blocked)
{
    return plx_streams_on_streams_blocked(&c->streams, f->streams_blocked.is_uni, f->streams_blocked.limit);
}

// --- handshake ---------------------------------------------------------------------------------------------------------------

HANDLER(crypto)
{
    uint64_t err = conn_on_crypto(c, (enum plx_level)d->rx->level, &f->crypto);
    // At once, not at the end of the packet: frames behind the last octets of the handshake may already need what it brought.
    if (err == 0)
        conn_handshake_advance(c, now);
    return err;
}
HANDLER(new_token)
{
    return conn_on_new_token(c, &f->new_token);
}
HANDLER(handshake_done)
{
    //= rfc9000 19.20 "A server MUST treat receipt of a HANDSHAKE_DONE frame as a connection error of type PROTOCOL_VIOLATION."
    if (c->is_server)
        return PLX_QUIC_PROTOCOL_VIOLATION;
    conn_handshake_confirm(c, now);
    return 0;
}

// --- connection IDs and paths ------------------------------------------------------------------------------------------------

HANDLER(new_connection_id)
{
    return conn_on_new_connection_id(c, &f->new_connection_id);
}
HANDLER(retire_connection_id)
{
    //= rfc9000 12.5 "A server MAY treat receipt of these frames in 0-RTT packets as a connection error of type PROTOCOL_VIOLATION."
    if (d->rx->level == PLX_LEVEL_EARLY)
        return PLX_QUIC_PROTOCOL_VIOLATION;
    return conn_on_retire_connection_id(c, &f->retire_connection_id, &d->rx->hdr.dcid);
}
HANDLER(path_challenge)
{
    //= rfc9000 8.2.2 "an endpoint MUST respond by echoing the data contained in the PATH_CHALLENGE frame"
    plx_path_on_challenge(&c->paths.v[c->rx_path], f->path.data);
    return 0;
}
HANDLER(path_response)
{
    uint8_t idx = plx_paths_on_response(&c->paths, &c->peer_cids, f->path.data);
    if (idx != PLX_PATH_NONE && idx == c->paths.active)
        conn_path_mtu_update(c);
    return 0;
}

// --- the end -----------------------------------------------------------------------------------------------------------------

HANDLER(transport_close)
{
    conn_on_peer_close(c, &f->close);
    return 0;
}
HANDLER(application_close)
{
    conn_on_peer_close(c, &f->close);
    return 0;
}

static const frame_handler handlers[PLX_FRAME_TYPE_COUNT] = {
#define X(first, last, name, NAME, pkts, spec, help) [first... last] = on_##name,
#include "quic/wire/frame.def"
#undef X
};

static inline uint64_t frame_deliver(struct plx_conn *c, struct conn_delivery *d, const struct plx_frame *f,
                                     plx_time now)
{
    if ((f->type & ~UINT64_C(7)) == PLX_FRAME_STREAM) {
        d->is_eliciting = true;
        d->is_probing_only = false;
        return on_stream(c, d, f, now);
    }
    if ((f->type & ~UINT64_C(1)) == PLX_FRAME_ACK) {
        d->is_probing_only = false;
        return on_ack(c, d, f, now);
    }
    d->is_eliciting |= plx_frame_is_eliciting(f->type);
    d->is_probing_only &= plx_frame_is_probing(f->type);
    return handlers[f->type](c, d, f, now);
}

static bool frames_fail(struct plx_conn *c, uint64_t code, uint64_t type, const char *why)
{
    conn_fail(c, code, type, why);
    return false;
}

bool conn_frames_deliver(struct plx_conn *c, struct conn_delivery *d, const uint8_t *payload, size_t len,
                         plx_time now)
{
    enum plx_pkt_type pkt = (enum plx_pkt_type)d->rx->hdr.type;
    struct plx_rd r = plx_rd_init(payload, len);
    struct plx_frame f;

    // Which packets a type may stand in is only asked of long headers: 1-RTT packets carry every type there is.
    //= rfc9000 12.4 "An endpoint MUST treat receipt of a packet containing no frames as a connection error of type PROTOCOL_VIOLATION."
    if (len == 0)
        return frames_fail(c, PLX_QUIC_PROTOCOL_VIOLATION, 0, "a packet without frames");
    while (plx_rd_left(&r) > 0) {
        enum plx_frame_read result = plx_frame_read(&r, &f);
        if (result != PLX_FRAME_OK)
            return frames_fail(c, plx_frame_read_error(result), f.type, "a frame that cannot be read");
        if (pkt != PLX_PKT_SHORT && !plx_frame_is_permitted(f.type, pkt))
            return frames_fail(c, PLX_QUIC_PROTOCOL_VIOLATION, f.type,
                               "a frame that does not belong into its packet");
        uint64_t err = frame_deliver(c, d, &f, now);
        if (err != 0)
            return frames_fail(c, err, f.type, plx_quic_error_help(err));
        if (conn_is_winding_down(c))
            return false;
    }
    return true;
}
