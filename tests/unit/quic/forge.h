// forge.h -- a peer that says what no honest peer would: packets with any payload, sealed with the real keys of an end of a pair.
//
// The forged packet takes the next number of the end it pretends to come from, which that end never sent: whoever is lied to may
// acknowledge it, and the honest connection would then complain about that; tests look at the one that was lied to. Test programs only.

#ifndef PLX_TEST_FORGE_H
#define PLX_TEST_FORGE_H

#include "pair.h"
#include "tests/lib/forged.h"

struct forge_opt {
    uint8_t first_xor;  // into the first octet before protection: reserved bits, key phase
    int64_t pn_add;     // to the number that would be next
    bool use_next_keys; // 1-RTT: those of the next phase
};

// Payload in a packet of that space, from one end to the other, delivered now. len may be 0.
static inline void forge_send(struct pair *p, int from, enum plx_space_id space, const void *payload,
                              size_t len, struct forge_opt opt)
{
    struct plx_conn *c = p->e[from].conn;
    struct plx_space *sp = conn_space(c, space);
    plx_check(sp != NULL);
    uint8_t out[PAIR_DGRAM_LEN];
    uint64_t pn = sp->next_pn + (uint64_t)opt.pn_add;
    if (opt.pn_add >= 0)
        sp->next_pn = pn + 1;
    const struct forged how = {
        .space = space, .pn = pn, .first_xor = opt.first_xor, .use_next_keys = opt.use_next_keys};
    size_t out_len = forged_write(c, &how, payload, len, out, sizeof out);
    if (space == PLX_SPACE_INITIAL && out_len < PLX_DGRAM_MIN) { // padded as it must be, behind the packet
        memset(out + out_len, 0, PLX_DGRAM_MIN - out_len);
        out_len = PLX_DGRAM_MIN;
    }
    struct pair_dgram *d = pair_wire_put(p, (uint8_t)!from, out, (uint16_t)out_len);
    d->at = p->now;
    pair_deliver(p, d);
}

// The same without any cryptography: as if a packet with that payload had opened. For fuzzing.
static inline enum plx_rx_step forge_deliver(struct pair *p, int to, enum plx_space_id space, uint64_t pn,
                                             const void *payload, size_t len)
{
    static const uint8_t types[] = {PLX_PKT_INITIAL, PLX_PKT_HANDSHAKE, PLX_PKT_SHORT},
                         levels[] = {PLX_LEVEL_INITIAL, PLX_LEVEL_HANDSHAKE, PLX_LEVEL_APP};
    struct pair_end *e = &p->e[to];
    static uint8_t buf[PAIR_DGRAM_LEN + 64];
    struct plx_pkt pkt = {.data = buf,
                          .len = (uint16_t)(32 + len + PLX_AEAD_TAG_LEN),
                          .time = p->now,
                          .peer = p->e[!to].addr,
                          .local = e->addr};
    plx_check(len <= PAIR_DGRAM_LEN);
    memset(buf, 0, 32);
    if (len != 0)
        memcpy(buf + 32, payload, len);
    const struct plx_cid_peer *scid = plx_cids_peer_get(&e->conn->peer_cids, 0);
    struct plx_rx rx = {
        .pkt = &pkt, .p = buf, .dgram_len = pkt.len, .pn = pn, .pn_len = 4, .level = levels[space]};
    rx.hdr = (struct plx_pkt_hdr){.type = types[space],
                                  .pkt_len = pkt.len,
                                  .pn_offset = 28,
                                  .version = PLX_QUIC_V1,
                                  .dcid = e->conn->cids.v[0].cid};
    if (scid != NULL)
        rx.hdr.scid = scid->cid;
    rx.key_phase = e->conn->rx_phase;
    struct plx_aead_job job = {.text = buf + 32,
                               .text_len = (uint16_t)(len + PLX_AEAD_TAG_LEN),
                               .aad = buf,
                               .aad_len = 32,
                               .pn = pn,
                               .is_ok = true};
    enum plx_rx_step step = plx_conn_rx_deliver(e->conn, &rx, &job, p->now);
    pair_reap(e);
    return step;
}

// --- stages of a handshake at which one may lie ------------------------------------------------------------------------------------

enum forge_stage {
    FORGE_FIRST, // the client's first flight has arrived; nothing of the server has: both have Initial keys
    FORGE_HANDSHAKE, // the server's flight has arrived, nothing of the client since: both have Handshake keys
    FORGE_CONFIRMED,
};

static inline bool forge_drop_late(struct pair *p, struct pair_dgram *d)
{
    return d->to == CLIENT ? p->filter_arg >> 32 == FORGE_HANDSHAKE : d->order <= (uint32_t)p->filter_arg;
}

static inline void forge_reach(struct pair *p, enum forge_stage stage)
{
    if (stage == FORGE_CONFIRMED) {
        pair_establish(p);
        pair_run(p, PLX_MS(200));
        return;
    }
    plx_check(pair_connect(p));
    pair_step(p);
    p->filter = forge_drop_late;
    p->filter_arg = (uint64_t)stage << 32 | p->dgrams_sent;
    pair_run(p, PLX_MS(25));
    plx_check(p->e[SERVER].conn != NULL);
}

#endif
