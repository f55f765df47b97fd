// admit.c -- packets that no connection claims: births, and answers that need no state.
//
//   Initial, known version   a new connection; or a Retry when we are busy (or always, by configuration); or a refusal
//   unknown version          Version Negotiation, RFC 9000 section 6
//   short header             perhaps a stateless reset for us; else one from us, RFC 9000 section 10.3, at a limited rate
//   anything else            dropped: its connection is gone, or never was
//
// Nothing is remembered here of those that are turned away, so a flood of them costs time but no memory.

#include <string.h>

#include "engine/core.h"
#include "engine/engine.h"
#include "quic/path/cidcodec.h"
#include "quic/wire/error.h"
#include "quic/wire/frame.h"
#include "quic/wire/reset.h"
#include "quic/wire/token.h"

enum { INITIAL_DGRAM_MIN = 1200 }; // RFC 9000 section 14.1

static const struct plx_token_life token_life = {
    .retry = PLX_SEC(10),
    .new_token = PLX_SEC(24 * 3600),
};

void plx_admit_vneg(struct plx_core *k, const struct plx_slot *s)
{
    static const uint32_t versions[] = {PLX_QUIC_V1};
    const struct plx_pkt_hdr *hdr = &s->rx.hdr;
    uint32_t random;

    //= rfc9000 5.2.2 "Servers MUST drop smaller packets that specify unsupported versions"
    if (s->rx.pkt->len < INITIAL_DGRAM_MIN || !k->engine->is_server)
        return;
    struct plx_pkt *out = plx_tx_reply(k, s->rx.pkt);
    if (out == NULL) {
        plx_core_drop(k, PLX_DROP_tx_no_buffer);
        return;
    }
    plx_random_get(&k->random, &random, sizeof random);
    struct plx_wr w = plx_wr_init(out->data, out->cap);
    if (!plx_pkt_write_vneg(&w, &hdr->scid, &hdr->dcid, versions, sizeof versions / sizeof *versions,
                            random)) {
        k->ops->give(k->port, k->queue, &out, 1);
        return;
    }
    out->len = (uint16_t)(w.p - out->data);
    k->n.vnegs++;
    plx_tx_reply_send(k, out);
}

static void send_reset(struct plx_core *k, const struct plx_slot *s)
{
    uint8_t token[PLX_RESET_TOKEN_LEN], random[PLX_RESET_LEN_MAX];

    if (k->resets_left == 0)
        return;
    struct plx_pkt *out = plx_tx_reply(k, s->rx.pkt);
    if (out == NULL)
        return;
    plx_reset_token(k->env.reset_key, &s->rx.hdr.dcid, token);
    plx_random_get(&k->random, random, sizeof random);
    struct plx_wr w = plx_wr_init(out->data, out->cap);
    out->len = (uint16_t)plx_reset_write(&w, s->rx.pkt->len, token, random);
    if (out->len == 0) {
        k->ops->give(k->port, k->queue, &out, 1);
        return;
    }
    k->resets_left--;
    k->n.resets++;
    plx_tx_reply_send(k, out);
}

static void new_cid(struct plx_core *k, struct plx_cid *cid)
{
    uint8_t random[PLX_CID_MAX];

    plx_random_get(&k->random, random, sizeof random);
    plx_cid_make(&k->engine->codec, (uint8_t)k->index, random, cid);
}

static void send_retry(struct plx_core *k, const struct plx_slot *s)
{
    const struct plx_pkt_hdr *hdr = &s->rx.hdr;
    uint8_t nonce[PLX_TOKEN_NONCE_LEN], token[PLX_TOKEN_LEN_MAX];
    struct plx_cid scid;

    struct plx_pkt *out = plx_tx_reply(k, s->rx.pkt);
    if (out == NULL) {
        plx_core_drop(k, PLX_DROP_tx_no_buffer);
        return;
    }
    new_cid(k, &scid);
    plx_random_get(&k->random, nonce, sizeof nonce);
    size_t token_len =
        plx_token_seal_retry(k->env.token_keys, &hdr->dcid, &scid, &s->rx.pkt->peer, k->now, nonce, token);
    struct plx_wr w = plx_wr_init(out->data, out->cap);
    plx_pkt_write_retry(&w, hdr->version, &hdr->scid, &scid, token, token_len, nonce[0]);
    uint8_t *tag = plx_wr_skip(&w, PLX_AEAD_TAG_LEN);
    if (tag == NULL || token_len == 0) {
        k->ops->give(k->port, k->queue, &out, 1);
        return;
    }
    plx_retry_tag(k->env.aead, hdr->version, hdr->dcid.bytes, hdr->dcid.len, out->data,
                  (size_t)(tag - out->data), tag);
    out->len = (uint16_t)(w.p - out->data);
    k->n.retries++;
    plx_tx_reply_send(k, out);
}

// An Initial with CONNECTION_CLOSE and nothing else, for a connection that we do not begin (RFC 9000 sections 5.2.2, 8.1.2).
static void send_refusal(struct plx_core *k, const struct plx_slot *s, uint64_t code, const char *why)
{
    const struct plx_pkt_hdr *hdr = &s->rx.hdr;
    struct plx_secret client, server;
    struct plx_pkt_built built;
    struct plx_pkt *out = plx_tx_reply(k, s->rx.pkt);
    if (out == NULL) {
        plx_core_drop(k, PLX_DROP_tx_no_buffer);
        return;
    }
    plx_secret_initial(hdr->version, hdr->dcid.bytes, hdr->dcid.len, &client, &server);
    plx_keys_both(k->env.aead, hdr->version, &server, &k->scratch_key, &k->scratch_hp);

    struct plx_wr w = plx_wr_init(out->data, out->cap - PLX_AEAD_TAG_LEN);
    plx_pkt_write_long(&w, PLX_PKT_INITIAL, hdr->version, &hdr->scid, &hdr->dcid, NULL, 0, 0, 2, &built);
    uint8_t *payload = w.p;
    struct plx_frame_close close = {.code = code, .reason = (const uint8_t *)why, .reason_len = strlen(why)};
    plx_frame_close_write(&w, &close);
    if (w.is_full) {
        k->ops->give(k->port, k->queue, &out, 1);
        return;
    }
    uint16_t text_len = (uint16_t)(w.p - payload);
    plx_pkt_length_patch(&built, built.pn_len + text_len + PLX_AEAD_TAG_LEN);

    struct plx_aead_job seal = {.key = &k->scratch_key,
                                .text = payload,
                                .aad = built.first,
                                .pn = 0,
                                .text_len = text_len,
                                .aad_len = (uint16_t)(payload - built.first)};
    struct plx_mask_job mask = {.key = &k->scratch_hp, .sample = built.pn + 4};
    struct plx_tx_mask header = {.first = built.first, .pn = built.pn, .pn_len = built.pn_len};
    struct plx_tx one = {.masks = &mask, .headers = &header, .job_count = 1};
    k->env.aead->seal(&seal, 1);
    k->env.aead->mask(&mask, 1);
    plx_tx_apply_masks(&one);
    out->len = (uint16_t)(payload - out->data + text_len + PLX_AEAD_TAG_LEN);
    plx_tx_reply_send(k, out);
}

static bool wants_retry(const struct plx_core *k)
{
    switch (k->engine->cfg.retry) {
    case PLX_RETRY_ALWAYS:
        return true;
    case PLX_RETRY_NEVER:
        return false;
    default:
        return plx_pool_in_use(&k->handshakes) > k->handshakes.count / 2;
    }
}

// HTTP/3 opens up to four unidirectional streams in each direction, and cannot do without them (RFC 9114 section 6.2): who is let in without room for
// those breaks as soon as it has shaken hands. Those that are shaking hands now have yet to open theirs.
enum { STREAMS_OF_A_CONNECTION = 8 };

static bool has_streams(const struct plx_core *k)
{
    uint64_t want = (uint64_t)STREAMS_OF_A_CONNECTION * (plx_pool_in_use(&k->handshakes) + 1);
    return k->engine->cfg.h3 == NULL || plx_pool_left(&k->streams) >= want;
}

static struct plx_conn *accept_initial(struct plx_core *k, struct plx_slot *s, const struct plx_cid *odcid,
                                       bool was_retried, bool is_validated)
{
    if (!has_streams(k)) {
        plx_core_drop(k, PLX_DROP_streams_full);
        send_refusal(k, s, PLX_QUIC_CONNECTION_REFUSED, "no room for the streams of another connection");
        return NULL;
    }
    struct plx_conn *c = plx_core_conn_take(k);
    if (c == NULL) {
        plx_core_drop(k, PLX_DROP_conns_full);
        send_refusal(k, s, PLX_QUIC_CONNECTION_REFUSED, "no room for another connection");
        return NULL;
    }
    plx_demux_expect_odcid(k, c, &s->rx.hdr.dcid);
    if (!plx_conn_init_server(c, &k->env, &s->rx.hdr, odcid, was_retried, is_validated, s->rx.pkt, k->now)) {
        plx_core_drop(k, PLX_DROP_handshakes_full);
        plx_core_conn_give(k, c);
        send_refusal(k, s, PLX_QUIC_CONNECTION_REFUSED, "too many handshakes at once");
        return NULL;
    }
    plx_core_conn_begin(k, c);
    return c;
}

static struct plx_conn *admit_initial(struct plx_core *k, struct plx_slot *s)
{
    const struct plx_pkt_hdr *hdr = &s->rx.hdr;
    struct plx_token_info token = {.odcid = hdr->dcid};
    bool is_validated = false, was_retried = false;

    if (!k->engine->is_server) {
        plx_core_drop(k, PLX_DROP_not_serving);
        return NULL;
    }
    //= rfc9000 14.1 "A server MUST discard an Initial packet that is carried in a UDP"
    if (s->rx.pkt->len < INITIAL_DGRAM_MIN || !s->work.is_first) {
        plx_core_drop(k, PLX_DROP_small_initial);
        return NULL;
    }
    //= rfc9000 7.2 "This Destination Connection ID MUST be at least 8 bytes in"
    if (hdr->dcid.len < 8) {
        plx_core_drop(k, PLX_DROP_invalid);
        return NULL;
    }
    if (k->stop_stage != PLX_STOP_NO) {
        plx_core_drop(k, PLX_DROP_stopping);
        send_refusal(k, s, PLX_QUIC_CONNECTION_REFUSED, "shutting down");
        return NULL;
    }
    if (hdr->token_len > 0) {
        const uint8_t *bytes = s->rx.p + hdr->token_offset;
        enum plx_token_result r = plx_token_open(k->env.token_keys, bytes, hdr->token_len, &s->rx.pkt->peer,
                                                 &hdr->dcid, k->now, &token_life, &k->tokens_seen, &token);
        is_validated = r == PLX_TOKEN_OK;
        was_retried = is_validated && token.kind == PLX_TOKEN_RETRY;
        //= rfc9000 8.1.2 "the server SHOULD immediately"
        if (!is_validated && plx_token_kind(bytes, hdr->token_len) == PLX_TOKEN_RETRY &&
            r != PLX_TOKEN_INVALID) {
            plx_core_drop(k, PLX_DROP_bad_token);
            send_refusal(k, s, PLX_QUIC_INVALID_TOKEN, "token expired, or of another address");
            return NULL;
        }
    }
    if (!is_validated && wants_retry(k)) {
        send_retry(k, s);
        return NULL;
    }
    return accept_initial(k, s, was_retried ? &token.odcid : &hdr->dcid, was_retried, is_validated);
}

// The peer of a connection of ours has forgotten it.
bool plx_admit_reset(struct plx_core *k, const struct plx_slot *s)
{
    const struct plx_pkt *pkt = s->rx.pkt;
    struct plx_conn *c = s->work.is_first ? plx_demux_find_reset(k, pkt->data, pkt->len) : NULL;

    if (c == NULL || plx_econn_of(k, c)->is_dead || !plx_conn_rx_reset(c, pkt->data, pkt->len, k->now))
        return false;
    plx_core_wake(k, c);
    return true;
}

struct plx_conn *plx_admit(struct plx_core *k, struct plx_slot *s)
{
    switch (s->rx.hdr.type) {
    case PLX_PKT_INITIAL:
        return admit_initial(k, s);
    case PLX_PKT_SHORT:
        plx_core_drop(k, PLX_DROP_unknown_cid);
        if (s->work.is_first)
            send_reset(k, s);
        return NULL;
    default:
        plx_core_drop(k, PLX_DROP_unknown_cid);
        return NULL;
    }
}
