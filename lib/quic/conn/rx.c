// rx.c -- a packet on its way in: begin, number, deliver, with masks and opens of the whole burst between them.
//
//   begin    which keys? counts the datagram; Retry, Version Negotiation and everything while closing end here
//   number   the mask is known: first octet and packet number in clear, key phase, the job that opens
//   deliver  it opened, or not: duplicates, reserved bits, key updates, connection IDs, the path, then the frames
//
// Whether a number was received before is decided after opening (RFC 9001 section 9.5): an answer before it would tell the number
// to whoever measures time. Between the steps of one packet those of others may have run, so each step asks for its keys again.

#include "quic/conn/conn_impl.h"

static enum plx_space_id space_of(const struct plx_rx *rx)
{
    return rx->hdr.type == PLX_PKT_INITIAL     ? PLX_SPACE_INITIAL
           : rx->hdr.type == PLX_PKT_HANDSHAKE ? PLX_SPACE_HANDSHAKE
                                               : PLX_SPACE_APP;
}

static bool is_early(const struct plx_rx *rx)
{
    return rx->hdr.type == PLX_PKT_ZERO_RTT;
}

static uint8_t level_of(const struct plx_rx *rx, enum plx_space_id space)
{
    return is_early(rx)                   ? PLX_LEVEL_EARLY
           : space == PLX_SPACE_INITIAL   ? PLX_LEVEL_INITIAL
           : space == PLX_SPACE_HANDSHAKE ? PLX_LEVEL_HANDSHAKE
                                          : PLX_LEVEL_APP;
}

// --- begin -----------------------------------------------------------------------------------------------------------------

// Whether keys that are not there will come.
static bool will_have_keys(const struct plx_conn *c, const struct plx_rx *rx, enum plx_space_id space)
{
    if (is_early(rx))
        return conn_early_is_awaited(c);
    if (c->hs == NULL)
        return false;
    if (space == PLX_SPACE_APP)
        return conn_is_handshaking(c);
    return !c->hs->level[space].is_discarded;
}

static bool initial_is_right(const struct plx_conn *c, const struct plx_rx *rx)
{
    //= rfc9000 14.1 "A server MUST discard an Initial packet that is carried in a UDP datagram with a payload that is smaller than"
    if (c->is_server)
        return rx->pkt->len >= PLX_DGRAM_MIN;
    //= rfc9000 17.2.2 "clients that receive an Initial packet with a non-zero Token Length field MUST either discard the packet or generate a connection error"
    return rx->hdr.token_len == 0;
}

static enum plx_rx_step begin(struct plx_conn *c, struct plx_rx *rx, struct plx_mask_job *job, plx_time now)
{
    if (conn_stash_is_mine(c, rx->pkt))
        rx->dgram_len = 0; // counted when it came
    c->bytes_rx += rx->dgram_len;
    c->datagrams_rx += rx->dgram_len != 0;
    if (conn_is_winding_down(c)) {
        conn_on_packet_while_closing(c, rx);
        return PLX_RX_DONE;
    }
    if (rx->hdr.type == PLX_PKT_VNEG)
        return conn_on_version_negotiation(c, rx);
    if (rx->hdr.type == PLX_PKT_RETRY)
        return conn_on_retry(c, rx, now);
    if (rx->hdr.type != PLX_PKT_SHORT && rx->hdr.version != PLX_QUIC_V1)
        return PLX_RX_DROP_VERSION;

    enum plx_space_id space = space_of(rx);
    rx->level = level_of(rx, space);
    if (space == PLX_SPACE_INITIAL && !initial_is_right(c, rx))
        return PLX_RX_DROP_INVALID;
    if (rx->hdr.pkt_len <
        rx->hdr.pn_offset + 4u + PLX_HP_SAMPLE_LEN) // RFC 9001 section 5.4.2: too short to be sampled
        return PLX_RX_DROP_INVALID;
    if (is_early(rx) && c->is_server && c->hs != NULL && plx_time_reached(c->hs->early.until, now))
        conn_early_discard(c);
    if (is_early(rx) ? !conn_early_can_open(c) : !conn_keys_can_open(c, space))
        return will_have_keys(c, rx, space) ? PLX_RX_LATER : PLX_RX_DROP_KEYS;
    if (rx->hdr.type == PLX_PKT_SHORT && !conn_keys_awake(c))
        return PLX_RX_DROP_NO_ROOM;
    job->key = is_early(rx) ? &c->hs->early.hp : conn_keys_rx_hp(c, space);
    job->sample = rx->p + rx->hdr.pn_offset + 4;
    return PLX_RX_GO;
}

enum plx_rx_step plx_conn_rx_begin(struct plx_conn *c, struct plx_rx *rx, struct plx_mask_job *job,
                                   plx_time now)
{
    conn_enter(c, now);
    enum plx_rx_step step = begin(c, rx, job, now);
    conn_leave(c);
    return step;
}

// --- number ----------------------------------------------------------------------------------------------------------------

// Between the steps of one packet others may have taken its keys away.
static inline __attribute__((always_inline)) bool has_keys(const struct plx_conn *c, const struct plx_rx *rx,
                                                           enum plx_space_id space, bool is_short)
{
    if (!is_short && is_early(rx))
        return conn_early_can_open(c);
    return conn_keys_can_open(c, space) && !(is_short && c->keys == NULL);
}

// Inlined twice, so that what is asked about the form of the header is answered by the compiler where it is known.
static inline __attribute__((always_inline)) enum plx_rx_step number(struct plx_conn *c, struct plx_rx *rx,
                                                                     const struct plx_mask_job *mask,
                                                                     struct plx_aead_job *job,
                                                                     enum plx_space_id space, bool is_short)
{
    if (conn_is_winding_down(c))
        return PLX_RX_DONE;
    if (!has_keys(c, rx, space, is_short))
        return PLX_RX_DROP_KEYS;
    //= rfc9001 5.4 "The four least significant bits of the first byte are protected for packets with long headers"
    uint8_t *p = rx->p;
    p[0] ^= mask->mask[0] & (is_short ? 0x1f : 0x0f);
    rx->pn_len = (uint8_t)((p[0] & 0x03) + 1);
    uint64_t truncated = 0;
    for (unsigned i = 0; i < rx->pn_len; i++) {
        p[rx->hdr.pn_offset + i] ^= mask->mask[1 + i];
        truncated = truncated << 8 | p[rx->hdr.pn_offset + i];
    }
    rx->pn = plx_pkt_number_expand(truncated, rx->pn_len, plx_acks_largest(&conn_space(c, space)->acks));
    rx->key_phase = is_short ? p[0] >> 2 & 1 : 0;
    if (is_short && __builtin_expect(rx->key_phase != c->rx_phase, 0))
        conn_keys_next(c);

    uint16_t hdr_len = (uint16_t)(rx->hdr.pn_offset + rx->pn_len);
    job->key = !is_short && is_early(rx) ? &c->hs->early.key : conn_keys_rx(c, space, rx->key_phase);
    job->aad = p;
    job->aad_len = hdr_len;
    job->text = p + hdr_len;
    job->text_len = (uint16_t)(rx->hdr.pkt_len - hdr_len);
    job->pn = rx->pn;
    job->is_ok = false;
    return PLX_RX_GO;
}

enum plx_rx_step plx_conn_rx_number(struct plx_conn *c, struct plx_rx *rx, const struct plx_mask_job *mask,
                                    struct plx_aead_job *job)
{
    if (rx->hdr.type == PLX_PKT_SHORT)
        return number(c, rx, mask, job, PLX_SPACE_APP, true);
    return number(c, rx, mask, job, space_of(rx), false);
}

// --- deliver ---------------------------------------------------------------------------------------------------------------

static enum plx_rx_step on_unopened(struct plx_conn *c, struct plx_rx *rx, plx_time now)
{
    enum plx_space_id space = space_of(rx);
    plx_paths_on_unauthenticated(&c->paths, &rx->pkt->peer, rx->dgram_len);
    //= rfc9000 10.3.1 "the last 16 bytes of the datagram"
    size_t left = (size_t)(rx->pkt->data + rx->pkt->len - rx->p);
    if (rx->hdr.type == PLX_PKT_SHORT && rx->p == rx->pkt->data &&
        plx_cids_peer_is_reset(&c->peer_cids, rx->p, left)) {
        conn_on_stateless_reset(c);
        return PLX_RX_DONE;
    }
    if (!conn_keys_on_open_failed(c, space, rx->key_phase, rx->pn, now))
        return PLX_RX_DROP_AUTH;
    // A server connection that noise brought to life: the Initial that it was made for does not open.
    if (c->is_server && c->hs != NULL && !c->hs->is_processed)
        conn_expire(c, PLX_CLOSE_HANDSHAKE_TIMEOUT);
    return PLX_RX_DROP_AUTH;
}

// RFC 9000 section 7.2: the first Initial of a server tells its ID, and nobody changes his during the handshake.
static bool scid_is_right(struct plx_conn *c, const struct plx_rx *rx)
{
    if (!c->is_server && !c->hs->has_peer_scid) {
        c->hs->has_peer_scid = true;
        plx_cids_peer_set_first(&c->peer_cids, &rx->hdr.scid);
        return true;
    }
    //= rfc9000 7.2 "it MUST discard any subsequent packet it receives on that connection with a different Source Connection ID"
    const struct plx_cid_peer *first = plx_cids_peer_get(&c->peer_cids, 0);
    return first == NULL || plx_cid_eq(&first->cid, &rx->hdr.scid);
}

static void on_spin(struct plx_conn *c, const struct plx_rx *rx)
{
    //= rfc9000 17.4 "it sets the spin value for that path to be equal to the spin bit in the received packet"
    bool bit = (rx->p[0] & 0x20) != 0;
    c->spin = c->is_server ? bit : !bit;
}

// What an authentic packet of a level proves by itself.
static void on_authentic(struct plx_conn *c, enum plx_space_id space)
{
    if (c->hs != NULL)
        c->hs->is_processed = true;
    //= rfc9000 8.1 "Once an endpoint has successfully processed a Handshake packet from the peer, it can consider the peer address to have been validated."
    if (space == PLX_SPACE_HANDSHAKE && c->is_server) {
        conn_on_validated(c);
        conn_keys_discard(c, PLX_SPACE_INITIAL); // RFC 9001 section 4.9.1
    }
}

static inline __attribute__((always_inline)) enum plx_rx_step admit(struct plx_conn *c, struct plx_rx *rx,
                                                                    const struct plx_aead_job *job,
                                                                    enum plx_space_id space, bool is_short,
                                                                    plx_time now)
{
    struct plx_space *sp = conn_space(c, space);
    if (conn_is_winding_down(c)) {
        conn_on_packet_while_closing(c, rx);
        return PLX_RX_DONE;
    }
    if (sp == NULL || !has_keys(c, rx, space, is_short))
        return PLX_RX_DROP_KEYS;
    if (!job->is_ok)
        return on_unopened(c, rx, now);
    if (plx_acks_is_duplicate(&sp->acks, rx->pn)) {
        plx_paths_on_unauthenticated(&c->paths, &rx->pkt->peer, rx->dgram_len);
        return PLX_RX_DROP_DUPLICATE;
    }
    //= rfc9000 17.2 "MUST treat receipt of a packet that has a non-zero value for these bits after removing both packet and header protection"
    if (rx->p[0] & (is_short ? 0x18 : 0x0c)) {
        conn_fail(c, PLX_QUIC_PROTOCOL_VIOLATION, 0, "reserved bits are set");
        return PLX_RX_DROP_RESERVED_BITS;
    }
    if (is_short ? !conn_keys_on_opened(c, rx->key_phase, rx->pn, now) : !scid_is_right(c, rx))
        return PLX_RX_DROP_INVALID;
    uint8_t path =
        plx_paths_on_datagram(&c->paths, &c->peer_cids, &rx->pkt->peer, &rx->pkt->local, rx->dgram_len);
    if (path == PLX_PATH_NONE)
        return PLX_RX_DROP_STATE;
    c->rx_path = path;
    if (c->hold == CONN_HOLD_ADDRESS)
        c->hold = CONN_HOLD_NONE;
    on_authentic(c, space);
    return PLX_RX_GO;
}

bool plx_conn_rx_reset(struct plx_conn *c, const uint8_t *dgram, size_t len, plx_time now)
{
    if (conn_is_winding_down(c) || !plx_cids_peer_is_reset(&c->peer_cids, dgram, len))
        return false;
    conn_enter(c, now);
    conn_on_stateless_reset(c);
    conn_leave(c);
    return true;
}

static inline __attribute__((always_inline)) void on_delivered(struct plx_conn *c,
                                                               const struct conn_delivery *d,
                                                               enum plx_space_id space, bool is_short,
                                                               bool is_newest, plx_time now)
{
    const struct plx_rx *rx = d->rx;
    struct plx_space *sp = conn_space(c, space);
    if (sp != NULL)
        plx_acks_on_received(&sp->acks, rx->pn, d->is_eliciting, rx->pkt->ecn, now);
    c->packets_rx++;
    c->env->stats.packets_rx++;
    conn_timer_on_heard(c, now);
    if (is_short) {
        if (is_newest && c->is_spin)
            on_spin(c, rx);
        if (c->rx_path != c->paths.active)
            conn_on_path_event(c, plx_paths_on_packet(&c->paths, &c->peer_cids, c->rx_path, is_newest,
                                                      d->is_probing_only, now, conn_pto(c)));
    }
    if (c->hs != NULL)
        conn_handshake_advance(c, now);
    if (conn_keys_are_restless(c, now))
        conn_keys_tick(c, now);
    if (c->hs != NULL)
        conn_handshake_settle(c, now);
}

static inline __attribute__((always_inline)) enum plx_rx_step deliver(struct plx_conn *c, struct plx_rx *rx,
                                                                      const struct plx_aead_job *job,
                                                                      enum plx_space_id space, bool is_short,
                                                                      plx_time now)
{
    enum plx_rx_step step = admit(c, rx, job, space, is_short, now);
    if (step != PLX_RX_GO)
        return step;
    struct conn_delivery d = {.rx = rx, .space = space, .is_probing_only = true};
    bool is_newest = rx->pn >= conn_space(c, space)->acks.end;
    if (!conn_frames_deliver(c, &d, job->text, (size_t)job->text_len - PLX_AEAD_TAG_LEN, now))
        return PLX_RX_DONE;
    on_delivered(c, &d, space, is_short, is_newest, now);
    return PLX_RX_DONE;
}

enum plx_rx_step plx_conn_rx_deliver(struct plx_conn *c, struct plx_rx *rx, const struct plx_aead_job *job,
                                     plx_time now)
{
    conn_enter(c, now);
    enum plx_rx_step step = rx->hdr.type == PLX_PKT_SHORT ? deliver(c, rx, job, PLX_SPACE_APP, true, now)
                                                          : deliver(c, rx, job, space_of(rx), false, now);
    conn_leave(c);
    return step;
}
