// fake.h -- a port that is a few arrays, and engines on it that breathe when a test says so.
//
// What a test gives to a queue is received there; what the engine sends is kept for the test to read; and every buffer
// is counted, so that one which does not come home is noticed in fake_free(). Datagrams or frames, as many queues as cores.

#ifndef PLX_TESTS_ENGINE_FAKE_H
#define PLX_TESTS_ENGINE_FAKE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/time.h"
#include "engine/engine.h"
#include "tests/sim/world.h"

enum { FAKE_QUEUES = 4, FAKE_SLOTS = 256, FAKE_ROOM = 2048, FAKE_HEADROOM = 128, FAKE_SENT = 512 };

struct fake_sent {
    uint8_t p[FAKE_ROOM];
    uint16_t len;
    struct plx_addr peer, local;
};

struct fake_queue {
    struct plx_pkt slot[FAKE_SLOTS];
    uint8_t mem[FAKE_SLOTS][FAKE_HEADROOM + FAKE_ROOM];
    struct plx_pkt *free[FAKE_SLOTS];
    unsigned free_count;
    struct plx_pkt *inbox[FAKE_SLOTS];
    unsigned inbox_count;
    struct fake_sent sent[FAKE_SENT];
    unsigned sent_count;
    unsigned wakes;
};

struct fake {
    struct plx_port port; // first
    bool is_frames;
    uint8_t mac[6];
    struct fake_queue q[FAKE_QUEUES];
    struct plx_engine *engine;
    plx_time now;
};

static struct fake_queue *fake_q(struct plx_port *port, uint16_t queue)
{
    plx_check(queue < FAKE_QUEUES);
    return &((struct fake *)port)->q[queue];
}

static enum plx_err fake_open(struct plx_port *port, const struct plx_port_cfg *cfg,
                              struct plx_port_caps *caps, char *err, size_t err_len)
{
    struct fake *f = (struct fake *)port;

    (void)cfg, (void)err, (void)err_len;
    *caps = (struct plx_port_caps){.queues_max = FAKE_QUEUES,
                                   .burst_max = 16,
                                   .headroom = FAKE_HEADROOM,
                                   .payload_max = 1452,
                                   .is_frames = f->is_frames,
                                   .can_ecn = true,
                                   .describe = "fake"};
    memcpy(caps->mac, f->mac, 6);
    return PLX_OK;
}

static void fake_close(struct plx_port *port)
{
    for (uint16_t i = 0; i < FAKE_QUEUES; i++) { // what nobody received
        struct fake_queue *q = fake_q(port, i);
        while (q->inbox_count > 0)
            q->free[q->free_count++] = q->inbox[--q->inbox_count];
        plx_check(q->free_count == FAKE_SLOTS); // every buffer is home
    }
}

static uint16_t fake_rx(struct plx_port *port, uint16_t queue, struct plx_pkt **pkts, uint16_t max)
{
    struct fake_queue *q = fake_q(port, queue);
    uint16_t n = q->inbox_count < max ? (uint16_t)q->inbox_count : max;

    memcpy(pkts, q->inbox, n * sizeof *pkts);
    q->inbox_count -= n;
    memmove(q->inbox, q->inbox + n, q->inbox_count * sizeof *pkts);
    return n;
}

static void fake_give(struct plx_port *port, uint16_t queue, struct plx_pkt **pkts, uint16_t count)
{
    struct fake_queue *q = fake_q(port, queue);

    for (uint16_t i = 0; i < count; i++) {
        plx_check(pkts[i] >= q->slot && pkts[i] < q->slot + FAKE_SLOTS); // of this queue, and no other
        for (unsigned j = 0; j < q->free_count; j++)
            plx_check(q->free[j] != pkts[i]); // not given twice
        q->free[q->free_count++] = pkts[i];
    }
}

static uint16_t fake_tx(struct plx_port *port, uint16_t queue, struct plx_pkt **pkts, uint16_t count)
{
    struct fake_queue *q = fake_q(port, queue);

    for (uint16_t i = 0; i < count && q->sent_count < FAKE_SENT; i++) {
        struct fake_sent *s = &q->sent[q->sent_count++];
        plx_check(pkts[i]->len <= sizeof s->p);
        memcpy(s->p, pkts[i]->data, pkts[i]->len);
        s->len = pkts[i]->len;
        s->peer = pkts[i]->peer;
        s->local = pkts[i]->local;
    }
    fake_give(port, queue, pkts, count);
    return count;
}

static uint16_t fake_take(struct plx_port *port, uint16_t queue, struct plx_pkt **pkts, uint16_t count)
{
    struct fake_queue *q = fake_q(port, queue);
    uint16_t n = 0;

    for (; n < count && q->free_count > FAKE_SLOTS / 4; n++) { // the rest is for receiving
        struct plx_pkt *pkt = q->free[--q->free_count];
        size_t slot = (size_t)(pkt - q->slot);
        *pkt =
            (struct plx_pkt){.data = q->mem[slot] + FAKE_HEADROOM, .cap = FAKE_ROOM, .queue = (uint8_t)queue};
        pkts[n] = pkt;
    }
    return n;
}

static void fake_wake(struct plx_port *port, uint16_t queue)
{
    fake_q(port, queue)->wakes++;
}

static void fake_port_free(struct plx_port *port)
{
    (void)port; // the test's own
}

static const struct plx_port_ops fake_ops = {.name = "fake",
                                             .open = fake_open,
                                             .close = fake_close,
                                             .rx = fake_rx,
                                             .tx = fake_tx,
                                             .take = fake_take,
                                             .give = fake_give,
                                             .wake = fake_wake};

// --- engines ------------------------------------------------------------------------------------------------

static void fake_on_request(struct plx_h3_req *req, const struct plx_h3_head *head, bool has_body)
{
    (void)head, (void)has_body;
    plx_h3_cancel(req, PLX_H3_INTERNAL_ERROR);
}
static const struct plx_h3_handler fake_handler = {.on_request = fake_on_request};

// cfg begins with what a test wants; is_server adds a certificate and an address.
static inline struct fake *fake_new(struct plx_engine_cfg *cfg, bool is_server)
{
    struct fake *f = calloc(1, sizeof *f);
    struct plx_cert cert = {world_cert(), world_key()};
    struct plx_addr listen;
    char err[512] = "";

    plx_check(f != NULL && plx_addr_parse("10.0.0.1:443", &listen));
    f->port = (struct plx_port){.ops = &fake_ops, .free = fake_port_free};
    f->is_frames = cfg->ip_count > 0;
    memcpy(f->mac, "\x02\0\0\0\0\x01", 6);
    for (unsigned i = 0; i < FAKE_QUEUES; i++)
        for (unsigned j = 0; j < FAKE_SLOTS; j++)
            f->q[i].free[f->q[i].free_count++] = &f->q[i].slot[j];
    f->now = (plx_time){UINT64_C(1000000000000)};
    cfg->port = &f->port;
    cfg->h3 = cfg->h3 != NULL ? cfg->h3 : &fake_handler;
    cfg->listen = &listen;
    cfg->listen_count = is_server;
    cfg->certs = &cert;
    cfg->cert_count = is_server;
    cfg->ca_file = world_cert();
    f->engine = plx_engine_new_at(cfg, f->now, 7, err, sizeof err);
    if (f->engine == NULL)
        fail_msg("no engine: %s", err);
    return f;
}

static inline void fake_cfg(struct plx_engine_cfg *cfg)
{
    plx_engine_cfg_init(cfg);
    cfg->conns_max = cfg->handshakes_max = 16;
    cfg->streams_max = 256;
    cfg->buffer_memory = 8 << 20;
}

static inline void fake_free(struct fake *f)
{
    plx_engine_free(f->engine); // fake_close() looks whether every buffer is home
    free(f);
}

static inline struct plx_core *fake_core(struct fake *f, uint16_t i)
{
    return f->engine->cores[i];
}

// A datagram, or frame, arrives at a queue. from: NULL for 10.0.0.9:999.
static inline void fake_arrives(struct fake *f, uint16_t queue, const void *data, uint16_t len,
                                const char *from)
{
    struct fake_queue *q = &f->q[queue];

    plx_check(q->free_count > 0 && len <= FAKE_ROOM);
    struct plx_pkt *pkt = q->free[--q->free_count];
    size_t slot = (size_t)(pkt - q->slot);
    *pkt = (struct plx_pkt){
        .data = q->mem[slot] + FAKE_HEADROOM, .len = len, .cap = FAKE_ROOM, .queue = (uint8_t)queue};
    memcpy(pkt->data, data, len);
    if (!f->is_frames) {
        plx_check(plx_addr_parse(from != NULL ? from : "10.0.0.9:999", &pkt->peer));
        plx_check(plx_addr_parse("10.0.0.1:443", &pkt->local));
    }
    q->inbox[q->inbox_count++] = pkt;
}

static inline void fake_breathe(struct fake *f, uint16_t core, plx_dur later)
{
    f->now = plx_time_after(f->now, later);
    for (unsigned i = 0; i < 100 && plx_core_breath(fake_core(f, core), f->now); i++)
        continue;
}

static inline uint64_t fake_drops(struct fake *f, enum plx_drop why)
{
    uint64_t sum = 0;
    for (uint16_t i = 0; i < f->engine->core_count; i++)
        sum += f->engine->cores[i]->n.drops[why];
    return sum;
}

static inline uint64_t fake_all_drops(struct fake *f)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < PLX_DROP_COUNT; i++)
        sum += fake_drops(f, (enum plx_drop)i);
    return sum;
}

#endif
