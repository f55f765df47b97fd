// bare.c -- see bare.h.

#include "bench/wire/bare.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/prng.h"
#include "base/table.h"
#include "bench/wire/pair.h"
#include "crypto/keys.h"
#include "drivers/loop/loop.h"

enum {
    BURST = 64,
    CID_LEN = 8,
    PN_LEN = 4,
    HDR_LEN = 1 + CID_LEN + PN_LEN,
    OVERHEAD = HDR_LEN + PLX_AEAD_TAG_LEN
};

struct bare_conn { // one key serves both directions; each has its lines to itself as in a connection
    struct plx_aead_key rx, tx;
    struct plx_hp_key rx_hp, tx_hp;
    uint64_t cid, pn;
};

struct bare {
    struct bare_cell cell;
    const struct plx_aead_backend *aead;
    struct plx_port *server, *client;
    struct plx_table table;
    struct bare_conn *conns;
    uint32_t turn;   // whose packet the client sends next
    uint64_t credit; // packets that the server still owes, in units of 1/datagrams_rx
    uint8_t answer[2048];
    struct plx_aead_job jobs[BURST];
    struct plx_mask_job masks[BURST];
    struct bare_conn *of[BURST];
};

// --- both ends ----------------------------------------------------------------------------------------------

static void packet_write(struct bare *b, struct plx_pkt *pkt, struct bare_conn *c, uint16_t len,
                         bool is_server, unsigned i)
{
    uint8_t *p = pkt->data;
    uint32_t pn = (uint32_t)++c->pn;

    p[0] = 0x43;
    memcpy(p + 1, &c->cid, CID_LEN);
    memcpy(p + 1 + CID_LEN, &pn, PN_LEN);
    memcpy(p + HDR_LEN, b->answer, len - (size_t)OVERHEAD);
    pkt->len = len;
    b->jobs[i] = (struct plx_aead_job){.key = is_server ? &c->tx : &c->rx,
                                       .text = p + HDR_LEN,
                                       .aad = p,
                                       .pn = pn,
                                       .text_len = (uint16_t)(len - OVERHEAD),
                                       .aad_len = HDR_LEN};
    b->masks[i] =
        (struct plx_mask_job){.key = is_server ? &c->tx_hp : &c->rx_hp, .sample = p + 1 + CID_LEN + 4};
}

static void masks_apply(uint8_t *p, const uint8_t *mask)
{
    p[0] ^= mask[0] & 0x1f;
    for (unsigned i = 0; i < PN_LEN; i++)
        p[1 + CID_LEN + i] ^= mask[1 + i];
}

static void packets_send(struct bare *b, struct plx_port *port, struct plx_pkt **pkts, uint16_t n)
{
    plx_phase(PLX_PHASE_SEAL);
    b->aead->seal(b->jobs, n);
    plx_phase(PLX_PHASE_MASK);
    b->aead->mask(b->masks, n);
    for (uint16_t i = 0; i < n; i++)
        masks_apply(pkts[i]->data, b->masks[i].mask);
    plx_phase(PLX_PHASE_SEND);
    plx_check(port->ops->tx(port, 0, pkts, n) == n);
}

static void client_send(struct bare *b, uint16_t n)
{
    struct plx_pkt *pkts[BURST], *back[BURST];
    uint16_t got;

    while ((got = b->client->ops->rx(b->client, 0, back, BURST)) > 0)
        b->client->ops->give(b->client, 0, back, got);
    plx_check(b->client->ops->take(b->client, 0, pkts, n) == n);
    for (uint16_t i = 0; i < n; i++) {
        packet_write(b, pkts[i], &b->conns[b->turn], b->cell.rx_len, false, i);
        b->turn = b->turn + 1 == b->cell.conns ? 0 : b->turn + 1;
    }
    packets_send(b, b->client, pkts, n);
}

// --- the server ---------------------------------------------------------------------------------------------

static uint16_t server_receive(struct bare *b)
{
    struct plx_pkt *pkts[BURST];

    plx_phase(PLX_PHASE_RECEIVE);
    uint16_t n = b->server->ops->rx(b->server, 0, pkts, BURST);
    plx_phase(PLX_PHASE_FIND);
    for (uint16_t i = 0; i < n; i++) {
        uint64_t cid;
        memcpy(&cid, pkts[i]->data + 1, sizeof cid);
        uint32_t at = plx_table_find(&b->table, cid);
        plx_check(at != PLX_TABLE_NONE);
        b->of[i] = &b->conns[at];
        __builtin_prefetch(&b->of[i]->rx_hp);
    }
    plx_phase(PLX_PHASE_UNMASK);
    for (uint16_t i = 0; i < n; i++)
        b->masks[i] =
            (struct plx_mask_job){.key = &b->of[i]->rx_hp, .sample = pkts[i]->data + 1 + CID_LEN + 4};
    b->aead->mask(b->masks, n);
    plx_phase(PLX_PHASE_OPEN);
    for (uint16_t i = 0; i < n; i++) {
        uint8_t *p = pkts[i]->data;
        uint32_t pn;
        masks_apply(p, b->masks[i].mask);
        memcpy(&pn, p + 1 + CID_LEN, sizeof pn);
        b->jobs[i] = (struct plx_aead_job){.key = &b->of[i]->rx,
                                           .text = p + HDR_LEN,
                                           .aad = p,
                                           .pn = pn,
                                           .text_len = (uint16_t)(pkts[i]->len - HDR_LEN),
                                           .aad_len = HDR_LEN};
    }
    b->aead->open(b->jobs, n);
    plx_phase(PLX_PHASE_RECEIVE);
    for (uint16_t i = 0; i < n; i++)
        plx_check(b->jobs[i].is_ok);
    b->server->ops->give(b->server, 0, pkts, n);
    return n;
}

// As many for as many as in the run whose floor this is, to those who asked.
static uint64_t server_answer(struct bare *b, uint16_t received)
{
    struct plx_pkt *pkts[BURST];
    uint64_t sent = 0;

    b->credit += received * b->cell.datagrams_tx;
    for (;;) {
        plx_phase(PLX_PHASE_BUILD);
        uint64_t owed = b->credit / b->cell.datagrams_rx;
        uint16_t n = owed < received ? (uint16_t)owed : received;
        if (n == 0)
            return sent;
        n = b->server->ops->take(b->server, 0, pkts, n);
        for (uint16_t i = 0; i < n; i++)
            packet_write(b, pkts[i], b->of[i], b->cell.tx_len, true, i);
        packets_send(b, b->server, pkts, n);
        b->credit -= (uint64_t)n * b->cell.datagrams_rx;
        sent += n;
    }
}

uint64_t bare_measure(struct bare *b, uint64_t datagrams, uint64_t cycles[PLX_PHASE_COUNT])
{
    uint64_t sent = 0;
    uint16_t most = BURST;

    // A bulk sender answers few packets with many: the burst is as large as its answers' slots allow.
    while (most > 1 && most * (b->cell.datagrams_tx / b->cell.datagrams_rx + 1) > 1024)
        most /= 2;
    for (uint64_t done = 0; done < datagrams;) {
        uint16_t n = datagrams - done < most ? (uint16_t)(datagrams - done) : most;
        client_send(b, n);
        books_open(cycles);
        plx_check(server_receive(b) == n);
        sent += server_answer(b, n);
        books_close();
        done += n;
    }
    return sent;
}

// --- making and ending --------------------------------------------------------------------------------------

static void conns_init(struct bare *b)
{
    struct plx_prng prng;
    uint8_t key[16], iv[PLX_AEAD_IV_LEN];

    plx_prng_init(&prng, 1);
    plx_check(plx_table_init(&b->table, b->cell.conns * 8, NULL));
    b->conns = aligned_alloc(64, b->cell.conns * sizeof *b->conns);
    plx_check(b->conns != NULL);
    for (uint32_t i = 0; i < b->cell.conns; i++) {
        struct bare_conn *c = &b->conns[i];
        plx_prng_bytes(&prng, key, sizeof key);
        plx_prng_bytes(&prng, iv, sizeof iv);
        plx_prng_bytes(&prng, &c->cid, sizeof c->cid);
        c->pn = 0;
        b->aead->expand(&c->rx, PLX_AEAD_AES_128_GCM, key, iv);
        b->aead->expand(&c->tx, PLX_AEAD_AES_128_GCM, key, iv);
        b->aead->hp_expand(&c->rx_hp, PLX_AEAD_AES_128_GCM, key);
        b->aead->hp_expand(&c->tx_hp, PLX_AEAD_AES_128_GCM, key);
        plx_check(plx_table_add(&b->table, c->cid, i));
    }
}

struct bare *bare_new(const struct bare_cell *cell)
{
    struct bare *b = calloc(1, sizeof *b);
    struct plx_port_caps caps;
    char err[256];

    plx_check(b != NULL && cell->rx_len > OVERHEAD + 4 && cell->tx_len > OVERHEAD + 4);
    b->cell = *cell;
    b->aead = plx_aead_pick(cell->crypto, NULL, 0);
    plx_check(b->aead != NULL && plx_loop_pair(&b->server, &b->client, 4096));
    plx_check(b->server->ops->open(b->server, &(struct plx_port_cfg){.queues = 1}, &caps, err, sizeof err) ==
              PLX_OK);
    plx_check(b->client->ops->open(b->client, &(struct plx_port_cfg){.queues = 1}, &caps, err, sizeof err) ==
              PLX_OK);
    plx_check(cell->rx_len <= caps.payload_max && cell->tx_len <= caps.payload_max);
    memset(b->answer, 'x', sizeof b->answer);
    conns_init(b);
    return b;
}

void bare_free(struct bare *b)
{
    b->server->ops->close(b->server);
    b->client->ops->close(b->client);
    b->server->free(b->server);
    b->client->free(b->client);
    plx_table_fini(&b->table);
    free(b->conns);
    free(b);
}
