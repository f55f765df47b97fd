// packet.c -- building one packet, and one datagram out of up to three: header, frames, padding, jobs.
//
//   conn_packet_begin   a header behind what the datagram already holds, and room for frames
//   (writers of frames append to b->w and leave references in b->refs)
//   conn_packet_close   no further frame, or conn_packet_cancel: as if it had not been begun
//   conn_dgram_finish   padding, Length fields, one seal job and one mask job per packet, recovery's record, the buffer goes out
//
// Packets of a datagram are only finished together, because only then is it known which one is the last and takes the padding. A packet
// is begun only when recovery can remember it, so that nothing can fail once frames are written: writers have already forgotten
// what they wrote.

#include "quic/conn/conn_impl.h"

enum {
    CONN_FRAMES_MIN = 16, // room for frames below which a packet is not worth its header
    OVERTAKEN_UNIT =
        128, // one packet may be overtaken for so many octets of the window: eight windows of full packets
    CONN_LONG_MAX = 16000, // of a long header packet without its tag: its Length field has two octets
};
_Static_assert(CONN_LONG_MAX + PLX_AEAD_TAG_LEN < 16384, "RFC 9000 section 16");

static enum plx_pkt_type type_of(enum plx_space_id space)
{
    return space == PLX_SPACE_INITIAL     ? PLX_PKT_INITIAL
           : space == PLX_SPACE_HANDSHAKE ? PLX_PKT_HANDSHAKE
                                          : PLX_PKT_ZERO_RTT;
}

//= rfc9000 21.4 "an endpoint that acknowledges packets it has not received might cause a congestion controller to permit sending at rates beyond"
static uint64_t number_next(struct plx_conn *c, struct plx_space *sp, enum plx_space_id space)
{
    if (space == PLX_SPACE_APP && sp->next_pn == c->skip_at) {
        uint16_t random;
        c->env->random(c->env->random_arg, &random, sizeof random);
        sp->next_pn++;
        c->skip_at = sp->next_pn + CONN_SKIP_MIN + random % CONN_SKIP_SPAN;
    }
    return sp->next_pn;
}

// Nothing can be sent just now, and not because of the peer.
static struct conn_build *lacks_means(struct plx_conn *c, const struct conn_dgram *dg)
{
    if (dg->count == 0) {
        c->hold = CONN_HOLD_MEANS;
        c->pace_at = plx_time_after(c->now, CONN_MEANS_WAIT);
    }
    return NULL;
}

struct conn_build *conn_packet_begin(struct plx_conn *c, struct conn_dgram *dg, enum plx_space_id space)
{
    struct plx_space *sp = conn_space(c, space);
    const struct plx_cid_peer *to = plx_cids_peer_get(&c->peer_cids, dg->path->dcid_seq);
    uint64_t pn = number_next(c, sp, space);
    bool is_long = space != PLX_SPACE_APP || (!c->is_server && conn_is_handshaking(c));
    if (to == NULL || (!is_long && !conn_keys_awake(c)) || !plx_recovery_can_remember(sp))
        return lacks_means(c, dg);
    if (dg->len + PLX_AEAD_TAG_LEN >= dg->room)
        return NULL;
    struct conn_build *b = &dg->b[dg->count];
    size_t room = (size_t)(dg->room - dg->len - PLX_AEAD_TAG_LEN);
    if (is_long && room > CONN_LONG_MAX)
        room = CONN_LONG_MAX;
    b->w = plx_wr_init(dg->pkt->data + dg->len, room);
    b->refs.count = 0;
    b->is_eliciting = b->is_in_flight = false;
    b->space = space;
    b->is_long = is_long;
    b->pn = pn;
    uint8_t pn_len = plx_pkt_number_len(b->pn, sp->largest_acked, c->recovery.cc.cwnd / OVERTAKEN_UNIT);
    bool is_written;
    if (!is_long) {
        is_written = plx_pkt_write_short(&b->w, &to->cid, c->spin, c->tx_phase, b->pn, pn_len, &b->hdr);
    } else {
        bool has_token = space == PLX_SPACE_INITIAL && !c->is_server;
        is_written = plx_pkt_write_long(&b->w, type_of(space), PLX_QUIC_V1, &to->cid, &c->cids.v[0].cid,
                                        has_token ? c->hs->token : NULL, has_token ? c->hs->token_len : 0,
                                        b->pn, pn_len, &b->hdr);
    }
    if (!is_written || plx_wr_left(&b->w) < CONN_FRAMES_MIN)
        return NULL;
    b->payload = b->w.p;
    dg->count++;
    return b;
}

void conn_packet_cancel(struct conn_dgram *dg)
{
    dg->count--;
}

void conn_packet_close(struct conn_dgram *dg)
{
    const struct conn_build *b = &dg->b[dg->count - 1];
    dg->len = (uint16_t)(dg->len + conn_build_len(b) + PLX_AEAD_TAG_LEN);
}

// PADDING to the end of the datagram, or as far as there must be.
static void pad(struct conn_dgram *dg, bool is_filled)
{
    struct conn_build *b = &dg->b[dg->count - 1];
    size_t want = 0;
    if (is_filled)
        want = plx_wr_left(&b->w);
    else if (dg->is_1200 && dg->len < PLX_DGRAM_MIN)
        want = (size_t)(PLX_DGRAM_MIN - dg->len);
    if (want > plx_wr_left(&b->w))
        want = plx_wr_left(&b->w);
    if (want == 0)
        return;
    if (!plx_frame_padding_write(&b->w, want))
        plx_check(!"padding was cut to the room");
    b->is_in_flight = true; // RFC 9002 section 2: packets with PADDING count
    dg->len = (uint16_t)(dg->len + want);
}

// RFC 9001 section 5.4.2: the sample begins four octets behind the start of the number and must exist.
static void pad_for_sample(struct conn_dgram *dg, struct conn_build *b)
{
    size_t have = (size_t)(b->w.p - b->hdr.pn);
    if (have >= 4)
        return;
    // A short packet is always the last one of its datagram; a long one with so little in it does not occur before another.
    if (b == &dg->b[dg->count - 1] && plx_frame_padding_write(&b->w, 4 - have)) {
        b->is_in_flight = true;
        dg->len = (uint16_t)(dg->len + (4 - have));
    }
}

static void add_jobs(struct plx_conn *c, const struct conn_build *b, struct plx_tx *tx)
{
    bool is_app = b->space == PLX_SPACE_APP;
    const struct plx_aead_key *key = !b->is_long ? &c->keys->tx
                                     : is_app    ? &c->hs->early.key
                                                 : &c->hs->level[b->space].tx;
    uint16_t j = tx->job_count++;
    tx->seals[j] = (struct plx_aead_job){
        .key = key,
        .text = b->payload,
        .aad = b->hdr.first,
        .pn = b->pn,
        .text_len = (uint16_t)(b->w.p - b->payload),
        .aad_len = (uint16_t)(b->payload - b->hdr.first),
    };
    tx->masks[j].key = !b->is_long ? &c->keys->tx_hp
                       : is_app    ? &c->hs->early.hp
                                   : &c->hs->level[b->space].tx_hp;
    tx->masks[j].sample = b->hdr.pn + 4;
    tx->headers[j] = (struct plx_tx_mask){b->hdr.first, b->hdr.pn, b->hdr.pn_len};
}

static void record(struct plx_conn *c, struct conn_build *b, uint8_t ecn, plx_time now)
{
    struct plx_space *sp = conn_space(c, (enum plx_space_id)b->space);
    uint16_t bytes = (uint16_t)(conn_build_len(b) + PLX_AEAD_TAG_LEN);
    sp->next_pn = b->pn + 1;
    bool is_kept =
        plx_recovery_on_sent(&c->recovery, sp, (enum plx_space_id)b->space, b->pn, bytes, b->is_eliciting,
                             b->is_eliciting || b->is_in_flight, ecn, &b->refs, now);
    plx_check(is_kept); // conn_packet_begin has asked
    c->packets_tx++;
    c->env->stats.packets_tx++;
    if (b->is_eliciting) {
        if (!c->has_spoken)
            c->spoke_at = now;
        c->has_spoken = true;
    } else if (b->refs.count > 0) {
        c->env->stats.acks_only_tx++;
    }
    if (b->space == PLX_SPACE_APP)
        c->tx_sealed++;
}

bool conn_dgram_finish(struct plx_conn *c, struct conn_dgram *dg, struct plx_tx *tx, bool is_filled,
                       plx_time now)
{
    if (dg->count == 0)
        return false;
    struct plx_pkt *pkt = dg->pkt;
    uint8_t ecn = plx_recovery_ecn_mark(&c->recovery);
    bool has_handshake = false;
    pad(dg, is_filled);
    for (unsigned i = 0; i < dg->count; i++) {
        struct conn_build *b = &dg->b[i];
        pad_for_sample(dg, b);
        if (b->is_long)
            plx_pkt_length_patch(&b->hdr, (size_t)(b->w.p - b->hdr.pn) + PLX_AEAD_TAG_LEN);
        has_handshake |= b->space == PLX_SPACE_HANDSHAKE;
        add_jobs(c, b, tx);
        record(c, b, ecn, now);
    }
    pkt->len = dg->len;
    pkt->ecn = ecn;
    pkt->flags = 0;
    pkt->time = (plx_time){0};
    pkt->peer = dg->path->peer;
    pkt->local = dg->path->local;
    tx->spare_count--;
    tx->out[tx->out_count++] = pkt;

    plx_path_on_sent(dg->path, dg->len);
    c->bytes_tx += dg->len;
    c->datagrams_tx++;
    //= rfc9001 4.9.1 "a client MUST discard Initial keys when it first sends a Handshake packet"
    if (has_handshake && !c->is_server && !conn_is_winding_down(c))
        conn_keys_discard(c, PLX_SPACE_INITIAL);
    return true;
}

void plx_tx_apply_masks(struct plx_tx *tx)
{
    for (uint16_t i = 0; i < tx->job_count; i++) {
        const struct plx_tx_mask *h = &tx->headers[i];
        const uint8_t *mask = tx->masks[i].mask;
        h->first[0] ^= mask[0] & (h->first[0] & 0x80 ? 0x0f : 0x1f);
        for (unsigned n = 0; n < h->pn_len; n++)
            h->pn[n] ^= mask[1 + n];
    }
}
