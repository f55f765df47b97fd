// forged.h -- a packet with any payload, sealed with the real keys of a connection, as it would write none itself.

#ifndef PLX_TESTS_LIB_FORGED_H
#define PLX_TESTS_LIB_FORGED_H

#include <string.h>

#include "base/check.h"
#include "quic/conn/conn_impl.h"

struct forged {
    enum plx_space_id space;
    bool is_early; // PLX_SPACE_APP: a 0-RTT packet of a client
    uint64_t pn;
    uint8_t first_xor;  // into the first octet before protection: reserved bits, key phase
    bool use_next_keys; // 1-RTT: those of the next phase
    bool is_spoilt;     // the tag is wrong
    size_t padded_to;   // octets in front of the tag: PADDING fills them up
};

static inline void forged_seal(struct plx_conn *c, const struct forged *f, const struct plx_pkt_built *b,
                               struct plx_aead_job *seal)
{
    struct plx_mask_job mask = {.sample = b->pn + 4};
    struct plx_aead_key next;

    if (f->is_early) {
        seal->key = &c->hs->early.key;
        mask.key = &c->hs->early.hp;
    } else if (f->space == PLX_SPACE_APP) {
        seal->key = &c->keys->tx;
        mask.key = &c->keys->tx_hp;
    } else {
        seal->key = &c->hs->level[f->space].tx;
        mask.key = &c->hs->level[f->space].tx_hp;
    }
    if (f->space == PLX_SPACE_APP && f->use_next_keys) {
        struct plx_secret secret;
        plx_secret_next(PLX_QUIC_V1, &c->tx_secret, &secret);
        plx_keys_aead(c->env->aead, PLX_QUIC_V1, &secret, &next);
        seal->key = &next;
    }
    c->env->aead->seal(seal, 1);
    seal->text[seal->text_len] ^= f->is_spoilt ? 1 : 0;
    c->env->aead->mask(&mask, 1);
    struct plx_tx_mask header = {b->first, b->pn, b->pn_len};
    struct plx_tx one = {.masks = &mask, .headers = &header, .job_count = 1};
    plx_tx_apply_masks(&one);
}

// The packet's length in out.
static inline size_t forged_write(struct plx_conn *c, const struct forged *f, const void *payload, size_t len,
                                  uint8_t *out, size_t out_len)
{
    const struct plx_cid *dcid =
        &plx_cids_peer_get(&c->peer_cids, plx_paths_active(&c->paths)->dcid_seq)->cid;
    struct plx_wr w = plx_wr_init(out, out_len);
    struct plx_pkt_built b;

    bool is_short = f->space == PLX_SPACE_APP && !f->is_early;
    enum plx_pkt_type type = f->space == PLX_SPACE_INITIAL     ? PLX_PKT_INITIAL
                             : f->space == PLX_SPACE_HANDSHAKE ? PLX_PKT_HANDSHAKE
                                                               : PLX_PKT_ZERO_RTT;

    if (is_short)
        plx_check(plx_pkt_write_short(&w, dcid, false, c->tx_phase, f->pn, 4, &b));
    else
        plx_check(plx_pkt_write_long(&w, type, PLX_QUIC_V1, dcid, &c->cids.v[0].cid, NULL, 0, f->pn, 4, &b));
    out[0] ^= f->first_xor;
    uint8_t *text = w.p;
    if (len > 0)
        plx_wr_bytes(&w, payload, len);
    while ((size_t)(w.p - out) < f->padded_to)
        plx_wr_u8(&w, 0); // PADDING
    plx_check(!w.is_full && plx_wr_left(&w) >= PLX_AEAD_TAG_LEN);
    len = (size_t)(w.p - text);
    if (!is_short)
        plx_pkt_length_patch(&b, 4 + len + PLX_AEAD_TAG_LEN);
    struct plx_aead_job seal = {
        .text = text, .aad = out, .pn = f->pn, .text_len = (uint16_t)len, .aad_len = (uint16_t)(text - out)};
    forged_seal(c, f, &b, &seal);
    return (size_t)(text - out) + len + PLX_AEAD_TAG_LEN;
}

#endif
