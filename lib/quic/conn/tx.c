// tx.c -- what a connection has to say, in which order, and when it must be silent (RFC 9000 sections 8.1, 12.2, 13, 14; RFC 9002 section 7).
//
// One datagram at a time: Initial, Handshake and 1-RTT packets side by side as far as each has something to say, the acknowledgement
// first, then frames of the connection, then streams until the packet is full. Acknowledgements leave when they are due and ride along
// with whatever leaves anyway. What holds ack-eliciting packets back (window, pacing, an address that is not validated) is remembered in
// c->hold, so that plx_conn_wants_tx() and the deadline need not work it out again.
//
// During bulk all datagrams of a train have one length (the driver may send them as one): a packet that streams left a little
// short of full is padded while more is waiting.

#include "quic/conn/conn_impl.h"

enum { CONN_ROOM_MIN = 64 }; // of a datagram on a path that is not validated: an ACK, or a PATH_CHALLENGE

// --- is there anything? --------------------------------------------------------------------------------------------------------

bool conn_has_frames(const struct plx_conn *c)
{
    const uint16_t mine = CONN_WANT_PING | CONN_WANT_HANDSHAKE_DONE | CONN_WANT_NEW_TOKEN;
    return (c->want & mine) != 0 || plx_cids_local_wants_write(&c->cids) ||
           plx_cids_peer_wants_write(&c->peer_cids) ||
           (c->hs != NULL && plx_cstream_tx_wants(&c->hs->ctx[PLX_SPACE_APP]));
}

static bool space_has_frames(const struct plx_conn *c, enum plx_space_id space)
{
    if (!conn_keys_can_seal(c, space))
        return false;
    if (space != PLX_SPACE_APP)
        return plx_cstream_tx_wants(&c->hs->ctx[space]);
    if (conn_is_handshaking(c)) // early: streams, and what write_app() leaves out may wait
        return plx_streams_wants_write(&c->streams);
    return conn_has_frames(c) || plx_streams_wants_write(&c->streams);
}

// Handshake octets are not held back by application data that fills the window: the peer acknowledges none of that before it has the
// handshake, and no probe timeout runs for it until then (RFC 9002 section 6.2.1), so waiting for room could last for ever.
static bool may_shake_hands(const struct plx_conn *c)
{
    uint64_t bytes = PLX_DGRAM_MIN;
    if (c->hs == NULL)
        return false;
    for (int i = 0; i < CONN_HS_SPACES; i++)
        bytes += c->hs->level[i].is_discarded ? 0 : c->hs->space[i].bytes_in_flight;
    return bytes <= c->recovery.cc.cwnd;
}

// What there is to say, asked once for each datagram.
struct agenda {
    uint8_t frames; // bit per space: frames that wait for the congestion window
    bool is_urgent; // acknowledgements that are due, probes of recovery, octets of the handshake
    uint8_t probe;  // the path with a PATH_CHALLENGE or PATH_RESPONSE to send, PLX_PATH_NONE
};

static bool space_is_urgent(const struct plx_conn *c, const struct plx_space *sp)
{
    return plx_acks_is_due(&sp->acks, c->now) || sp->probes_wanted > 0;
}

// The spaces of a connection whose handshake is still there.
static void agenda_add_handshake(const struct plx_conn *c, struct agenda *a)
{
    for (int i = 0; i < CONN_HS_SPACES; i++) {
        if (!conn_keys_can_seal(c, (enum plx_space_id)i))
            continue;
        a->frames |= (uint8_t)(space_has_frames(c, (enum plx_space_id)i) << i);
        a->is_urgent |= !c->hs->level[i].is_discarded && space_is_urgent(c, &c->hs->space[i]);
    }
    a->is_urgent |= a->frames != 0 && may_shake_hands(c);
}

static struct agenda agenda_of(const struct plx_conn *c)
{
    struct agenda a = {.probe = PLX_PATH_NONE};
    if (c->hs != NULL)
        agenda_add_handshake(c, &a);
    if (!conn_keys_can_seal(c, PLX_SPACE_APP))
        return a;
    a.frames |= (uint8_t)(space_has_frames(c, PLX_SPACE_APP) << PLX_SPACE_APP);
    a.is_urgent |= space_is_urgent(c, &c->space);
    a.probe = plx_paths_next_probe(&c->paths, c->now);
    return a;
}

// The agenda names a path other than the active one, and that may be sent to.
static bool is_side(const struct plx_conn *c, const struct agenda *a)
{
    return a->probe != PLX_PATH_NONE && a->probe != c->paths.active &&
           plx_path_allowance(&c->paths.v[a->probe]) >= CONN_ROOM_MIN;
}

static bool is_worth_a_datagram(const struct plx_conn *c, const struct agenda *a)
{
    if (!a->is_urgent && a->frames == 0 && a->probe == PLX_PATH_NONE &&
        plx_list_is_empty(&c->streams.resumed))
        return false; // most connections that have just written
    if (c->hold == CONN_HOLD_MEANS)
        return false;
    // Streams that were resumed are looked at by plx_conn_tx(), whatever may be sent.
    if (is_side(c, a) || !plx_list_is_empty(&c->streams.resumed))
        return true;
    if (c->hold == CONN_HOLD_ADDRESS)
        return false;
    // Like acknowledgements, what probes the active path does not wait for the window.
    return a->is_urgent || a->probe == c->paths.active || (c->hold == CONN_HOLD_NONE && a->frames != 0);
}

// The datagram that was just written has said everything: most connections, most of the time. False says nothing.
static bool is_done(const struct plx_conn *c)
{
    return c->hs == NULL && c->want == 0 && !plx_streams_wants_write(&c->streams) &&
           plx_list_is_empty(&c->streams.resumed) && !space_is_urgent(c, &c->space) && !conn_has_frames(c) &&
           plx_paths_next_probe(&c->paths, c->now) == PLX_PATH_NONE;
}

bool plx_conn_wants_tx(const struct plx_conn *c)
{
    if (conn_is_winding_down(c))
        return c->state == PLX_CONN_CLOSING && (c->want & CONN_WANT_CLOSE) != 0;
    struct agenda a = agenda_of(c);
    return is_worth_a_datagram(c, &a);
}

// --- frames ----------------------------------------------------------------------------------------------------------------------

static void push_simple(struct conn_build *b, enum plx_ref_kind kind)
{
    b->refs.v[b->refs.count++] = (struct plx_ref){.kind = (uint8_t)kind};
}

static void write_path(struct plx_conn *c, struct conn_dgram *dg, struct conn_build *b, plx_time now)
{
    uint8_t random[PLX_PATH_DATA_LEN];
    c->env->random(c->env->random_arg, random, sizeof random);
    if (!plx_path_write(dg->path, &b->w, &b->refs, random, now))
        return;
    b->is_eliciting = true; // also a PATH_RESPONSE, which leaves no reference
    //= rfc9000 8.2.1 "An endpoint MUST expand datagrams that contain a PATH_CHALLENGE frame to at least the smallest allowed maximum datagram size"
    dg->is_1200 = true;
}

static void write_own(struct plx_conn *c, struct conn_build *b, plx_time now)
{
    if ((c->want & CONN_WANT_HANDSHAKE_DONE) && plx_frame_handshake_done_write(&b->w)) {
        push_simple(b, PLX_REF_HANDSHAKE_DONE);
        c->want &= (uint16_t)~CONN_WANT_HANDSHAKE_DONE;
    }
    if (c->want & CONN_WANT_NEW_TOKEN) // before the ticket: a client keeps both together
        conn_new_token_write(c, &b->w, &b->refs, now);
    if (c->hs != NULL)
        plx_cstream_tx_write(&c->hs->ctx[PLX_SPACE_APP], &b->w, &b->refs);
    if (plx_cids_local_wants_write(&c->cids))
        plx_cids_local_write(&c->cids, &b->w, &b->refs, c->env->reset_key);
    if (plx_cids_peer_wants_write(&c->peer_cids))
        plx_cids_peer_write(&c->peer_cids, &b->w, &b->refs);
    if ((c->want & CONN_WANT_PING) && plx_refs_has_room(&b->refs) && plx_frame_ping_write(&b->w)) {
        push_simple(b, PLX_REF_PING);
        c->want &= (uint16_t)~CONN_WANT_PING;
    }
}

static void write_app(struct plx_conn *c, struct conn_build *b, plx_time now)
{
    if (!conn_is_handshaking(c))
        write_own(c, b, now);
    plx_streams_write(&c->streams, &b->w, &b->refs, now, c->recovery.rtt.smoothed);
}

// One packet of a space, if there is anything to say in it.
static inline __attribute__((always_inline)) void write_space(struct plx_conn *c, struct conn_dgram *dg,
                                                              enum plx_space_id space, const struct agenda *a,
                                                              bool may_elicit, plx_time now)
{
    struct plx_space *sp = conn_space(c, space);
    if (sp == NULL || !conn_keys_can_seal(c, space))
        return;
    bool is_probe = sp->probes_wanted > 0;
    bool is_all = is_probe || (may_elicit && (a->frames >> space & 1) != 0);
    bool is_path = space == PLX_SPACE_APP && a->probe == c->paths.active;
    bool elicits = is_all || is_path;
    bool rides_along = dg->count > 0 && plx_acks_has_news(&sp->acks);
    if (!elicits && !rides_along && !plx_acks_is_due(&sp->acks, now))
        return;
    struct conn_build *b = conn_packet_begin(c, dg, space);
    if (b == NULL)
        return;
    if (plx_acks_has_news(&sp->acks) || plx_acks_is_due(&sp->acks, now))
        plx_acks_write(&sp->acks, &b->w, &b->refs, CONN_ACK_DELAY_EXPONENT, now);
    uint8_t quiet = b->refs.count; // references so far are of frames that elicit nothing
    if (is_path)
        write_path(c, dg, b, now);
    if (is_all && space == PLX_SPACE_APP)
        write_app(c, b, now);
    else if (is_all)
        plx_cstream_tx_write(&c->hs->ctx[space], &b->w, &b->refs);
    //= rfc9002 6.2.4 "the sender SHOULD send a PING or other ack-eliciting frame"
    if (is_probe && !b->is_eliciting && b->refs.count == quiet && plx_frame_ping_write(&b->w))
        push_simple(b, PLX_REF_PING);
    b->is_eliciting |= b->refs.count > quiet;
    if (b->w.p == b->payload) {
        conn_packet_cancel(dg);
        return;
    }
    conn_packet_close(dg);
    //= rfc9000 14.1 "A client MUST expand the payload of all UDP datagrams carrying Initial packets to at least the smallest allowed maximum datagram size"
    if (space == PLX_SPACE_INITIAL && (!c->is_server || b->is_eliciting))
        dg->is_1200 = true;
}

// --- datagrams -------------------------------------------------------------------------------------------------------------------

static void dgram_init(struct conn_dgram *dg, struct plx_tx *tx, struct plx_path *path)
{
    dg->pkt = tx->spare[tx->spare_count - 1];
    dg->path = path;
    dg->room = path->mtu < dg->pkt->cap ? path->mtu : dg->pkt->cap;
    dg->len = 0;
    dg->count = 0;
    dg->is_1200 = false;
}

// Section 8.1: three times what came, until the address is validated. While Initial packets are sent only whole datagrams count.
static bool allow(struct plx_conn *c, struct conn_dgram *dg)
{
    uint64_t allowance = plx_path_allowance(dg->path);
    bool is_whole = c->hs != NULL && !c->hs->level[PLX_SPACE_INITIAL].is_discarded;
    if (allowance < (is_whole ? PLX_DGRAM_MIN : CONN_ROOM_MIN)) {
        c->hold = CONN_HOLD_ADDRESS;
        return false;
    }
    if (allowance < dg->room)
        dg->room = (uint16_t)allowance;
    return true;
}

static bool may_elicit(struct plx_conn *c, plx_time now)
{
    plx_time wait = PLX_NEVER;
    // A rest of the window that no full packet fits into counts as none: in bulk it would only make small packets.
    if (plx_recovery_can_send(&c->recovery, now, &wait) >= plx_paths_active(&c->paths)->mtu)
        return true;
    c->hold = plx_time_is_never(wait) ? CONN_HOLD_WINDOW : CONN_HOLD_PACE;
    c->pace_at = wait;
    return false;
}

// False: nothing more can be said now.
static bool tx_dgram(struct plx_conn *c, struct plx_tx *tx, const struct agenda *a, plx_time now)
{
    struct conn_dgram dg;
    dgram_init(&dg, tx, plx_paths_active(&c->paths));
    if (!allow(c, &dg))
        return false;
    bool elicits = a->frames != 0 && may_elicit(c, now);
    for (int space = PLX_SPACE_INITIAL; c->hs != NULL && space < PLX_SPACE_APP; space++)
        write_space(c, &dg, (enum plx_space_id)space, a, elicits || may_shake_hands(c), now);
    write_space(c, &dg, PLX_SPACE_APP, a, elicits, now);
    if (dg.count == 0)
        return false;
    const struct conn_build *last = &dg.b[dg.count - 1];
    bool is_train = last->space == PLX_SPACE_APP && last->is_eliciting &&
                    plx_wr_left(&last->w) <= CONN_PAD_MAX && plx_streams_wants_write(&c->streams);
    return conn_dgram_finish(c, &dg, tx, is_train, now);
}

// A datagram that only probes a path which is not the active one.
static bool tx_side(struct plx_conn *c, struct plx_tx *tx, uint8_t idx, plx_time now)
{
    struct conn_dgram dg;
    dgram_init(&dg, tx, &c->paths.v[idx]);
    uint64_t allowance = plx_path_allowance(dg.path);
    dg.room = dg.room > PLX_DGRAM_MIN ? PLX_DGRAM_MIN : dg.room;
    dg.room = allowance < dg.room ? (uint16_t)allowance : dg.room;
    struct conn_build *b = conn_packet_begin(c, &dg, PLX_SPACE_APP);
    if (b == NULL)
        return false;
    write_path(c, &dg, b, now);
    if (b->w.p == b->payload) {
        conn_packet_cancel(&dg);
        return false;
    }
    conn_packet_close(&dg);
    return conn_dgram_finish(c, &dg, tx, false, now);
}

static bool has_room(const struct plx_tx *tx)
{
    return tx->spare_count > 0 && tx->out_count < tx->out_max &&
           tx->job_count + PLX_SPACE_COUNT <= tx->job_max;
}

static bool tx_some(struct plx_conn *c, struct plx_tx *tx, uint16_t dgrams_max, plx_time now)
{
    if (c->hs != NULL)
        conn_early_tell(c); // a client, before its first packet
    plx_streams_run_resumed(&c->streams, now);
    c->hold = CONN_HOLD_NONE;
    for (uint16_t count = 0; !conn_is_winding_down(c); count++) {
        struct agenda a = agenda_of(c);
        if (!is_worth_a_datagram(c, &a))
            break;
        if (count == dgrams_max || !has_room(tx))
            return true;
        if ((!is_side(c, &a) || !tx_side(c, tx, a.probe, now)) && !tx_dgram(c, tx, &a, now))
            break;
        if (is_done(c))
            break;
    }
    // Section 7.8 of RFC 9002: who has nothing to send does not use the window, and must not make it grow.
    plx_recovery_set_app_limited(&c->recovery,
                                 c->hold == CONN_HOLD_NONE && plx_streams_is_app_limited(&c->streams));
    return false;
}

bool plx_conn_tx(struct plx_conn *c, struct plx_tx *tx, uint16_t dgrams_max, plx_time now)
{
    bool has_more = false;
    conn_enter(c, now);
    if (!conn_is_winding_down(c))
        has_more = tx_some(c, tx, dgrams_max, now);
    if (c->state == PLX_CONN_CLOSING && (c->want & CONN_WANT_CLOSE)) {
        if (dgrams_max > 0 && has_room(tx))
            conn_tx_close(c, tx, now);
        else
            has_more = true;
    }
    conn_leave(c);
    return has_more;
}
