// packets.c -- see packets.h.

#include "bench/bare/packets.h"

#include <string.h>

#include "base/check.h"
#include "base/prng.h"
#include "engine/phase.h"

// --- making and ending --------------------------------------------------------------------------------------

void bare_packets_init(struct bare_packets *b, uint32_t conns, const char *crypto)
{
    struct plx_prng prng;
    uint8_t key[16], iv[PLX_AEAD_IV_LEN];

    b->aead = plx_aead_pick(crypto, NULL, 0);
    plx_check(b->aead != NULL && plx_table_init(&b->table, conns * 8, NULL));
    plx_check(plx_arena_init(&b->memory, conns * sizeof *b->conns, PLX_NODE_ANY, false));
    plx_arena_advise_huge(&b->memory); // as an engine does
    b->conns = plx_arena_alloc(&b->memory, conns * sizeof *b->conns, 64);
    plx_check(b->conns != NULL);
    b->count = conns;
    memset(b->text, 'x', sizeof b->text);
    plx_prng_init(&prng, 1);
    for (uint32_t i = 0; i < conns; i++) {
        struct bare_conn *c = &b->conns[i];
        plx_prng_bytes(&prng, key, sizeof key);
        plx_prng_bytes(&prng, iv, sizeof iv);
        plx_prng_bytes(&prng, &c->cid, sizeof c->cid);
        b->aead->expand(&c->rx, PLX_AEAD_AES_128_GCM, key, iv);
        b->aead->expand(&c->tx, PLX_AEAD_AES_128_GCM, key, iv);
        b->aead->hp_expand(&c->rx_hp, PLX_AEAD_AES_128_GCM, key);
        b->aead->hp_expand(&c->tx_hp, PLX_AEAD_AES_128_GCM, key);
        plx_check(plx_table_add(&b->table, c->cid, i));
    }
}

void bare_packets_fini(struct bare_packets *b)
{
    plx_table_fini(&b->table);
    plx_arena_fini(&b->memory);
}

// --- bursts -------------------------------------------------------------------------------------------------

static const uint8_t *sample_of(const struct plx_pkt *pkt)
{
    return pkt->data + 1 + BARE_CID_LEN + 4;
}

static void masks_apply(uint8_t *p, const uint8_t *mask)
{
    p[0] ^= mask[0] & 0x1f;
    for (unsigned i = 0; i < BARE_PN_LEN; i++)
        p[1 + BARE_CID_LEN + i] ^= mask[1 + i];
}

bool bare_packets_open(struct bare_packets *b, struct plx_pkt **pkts, uint16_t n, bool is_server)
{
    bool is_ok = true;

    plx_phase(PLX_PHASE_FIND);
    for (uint16_t i = 0; i < n; i++) {
        uint64_t cid;
        if (pkts[i]->len < BARE_PACKET_MIN)
            return false;
        memcpy(&cid, pkts[i]->data + 1, sizeof cid);
        uint32_t at = plx_table_find(&b->table, cid);
        if (at == PLX_TABLE_NONE)
            return false;
        b->from[i] = &b->conns[at];
        __builtin_prefetch(is_server ? &b->from[i]->rx_hp : &b->from[i]->tx_hp);
    }
    plx_phase(PLX_PHASE_UNMASK);
    for (uint16_t i = 0; i < n; i++)
        b->masks[i] = (struct plx_mask_job){.key = is_server ? &b->from[i]->rx_hp : &b->from[i]->tx_hp,
                                            .sample = sample_of(pkts[i])};
    b->aead->mask(b->masks, n);
    plx_phase(PLX_PHASE_OPEN);
    for (uint16_t i = 0; i < n; i++) {
        uint8_t *p = pkts[i]->data;
        uint32_t pn;
        masks_apply(p, b->masks[i].mask);
        memcpy(&pn, p + 1 + BARE_CID_LEN, sizeof pn);
        b->jobs[i] = (struct plx_aead_job){.key = is_server ? &b->from[i]->rx : &b->from[i]->tx,
                                           .text = p + BARE_HDR_LEN,
                                           .aad = p,
                                           .pn = pn,
                                           .text_len = (uint16_t)(pkts[i]->len - BARE_HDR_LEN),
                                           .aad_len = BARE_HDR_LEN};
    }
    b->aead->open(b->jobs, n);
    for (uint16_t i = 0; i < n; i++)
        is_ok &= b->jobs[i].is_ok;
    return is_ok;
}

void bare_packet_write(struct bare_packets *b, uint16_t i, struct plx_pkt *pkt, struct bare_conn *c,
                       uint16_t len, bool is_server)
{
    uint8_t *p = pkt->data;
    uint32_t pn = (uint32_t)++c->pn;

    p[0] = 0x43;
    memcpy(p + 1, &c->cid, BARE_CID_LEN);
    memcpy(p + 1 + BARE_CID_LEN, &pn, BARE_PN_LEN);
    memcpy(p + BARE_HDR_LEN, b->text, len - (size_t)BARE_OVERHEAD);
    pkt->len = len;
    b->jobs[i] = (struct plx_aead_job){.key = is_server ? &c->tx : &c->rx,
                                       .text = p + BARE_HDR_LEN,
                                       .aad = p,
                                       .pn = pn,
                                       .text_len = (uint16_t)(len - BARE_OVERHEAD),
                                       .aad_len = BARE_HDR_LEN};
    b->masks[i] = (struct plx_mask_job){.key = is_server ? &c->tx_hp : &c->rx_hp, .sample = sample_of(pkt)};
}

void bare_packets_seal(struct bare_packets *b, struct plx_pkt **pkts, uint16_t n)
{
    plx_phase(PLX_PHASE_SEAL);
    b->aead->seal(b->jobs, n);
    plx_phase(PLX_PHASE_MASK);
    b->aead->mask(b->masks, n);
    for (uint16_t i = 0; i < n; i++)
        masks_apply(pkts[i]->data, b->masks[i].mask);
}
