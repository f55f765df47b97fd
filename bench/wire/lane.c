// lane.c -- see lane.h.

#include "bench/wire/lane.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/time.h"
#include "engine/clock.h"
#include "engine/engine.h"
#include "tests/sim/world.h"

enum { OPENING_MAX = 64, BREATHS_PER_TURN = 8, QUIET_TURNS = 2000 };

struct lane_conn {
    struct lane *lane;
    struct plx_h3_conn *h3;
    uint32_t open; // requests under way
};

struct lane {
    _Alignas(128) struct lanes *all; // a lane is one thread's: no line of it is a neighbour's
    struct plx_engine *client;
    struct plx_core *worker; // of the server
    struct lane_conn *conns;
    uint32_t conns_begun, conns_open;
    uint64_t ended, begun;
    bool is_on;
    uint8_t pad[128];
};

// --- both sides ---------------------------------------------------------------------------------------------

static void on_request(struct plx_h3_req *req, const struct plx_h3_head *head, bool has_body)
{
    const struct lanes *l = plx_h3_req_ctx(req);

    (void)head, (void)has_body;
    uint16_t worker = plx_core_index(plx_conn_core(plx_h3_conn_transport(plx_h3_req_conn(req))));
    plx_check(plx_h3_respond_block(req, l->block[worker]) == PLX_OK);
}

static struct plx_span span(const char *s)
{
    return (struct plx_span){(const uint8_t *)s, strlen(s)};
}

static void start_more(struct lane_conn *c)
{
    struct lane *l = c->lane;
    const struct plx_h3_head head = {.method = span("GET"),
                                     .scheme = span("https"),
                                     .authority = span("localhost"),
                                     .path = span("/index.html"),
                                     .content_length = PLX_H3_LENGTH_UNKNOWN};

    while (l->is_on && c->open < l->all->cfg.in_flight) {
        struct plx_h3_req *req;
        enum plx_err err = plx_h3_request(c->h3, &head, false, c, &req);
        if (err == PLX_ERR_AGAIN)
            return; // on_streams_available
        plx_check(err == PLX_OK);
        c->open++;
        l->begun++;
    }
}

static void on_open(struct plx_h3_conn *h3)
{
    struct lane_conn *c = plx_h3_conn_user(h3);

    c->h3 = h3;
    c->lane->conns_open++;
}

static void on_close(struct plx_h3_conn *h3, struct plx_conn *transport, const struct plx_close_info *why)
{
    (void)h3, (void)transport;
    fprintf(stderr, "cores: a connection ended: %d, code %llu, %s\n", (int)why->how,
            (unsigned long long)why->code, why->reason);
    exit(1);
}

static void on_streams_available(struct plx_h3_conn *h3)
{
    start_more(plx_h3_conn_user(h3));
}

static void on_end(struct plx_h3_req *req, const struct plx_field *trailers, uint16_t count)
{
    struct lane_conn *c = plx_h3_req_user(req);

    (void)trailers, (void)count;
    c->open--;
    c->lane->ended++;
    start_more(c);
}

// --- turns --------------------------------------------------------------------------------------------------

static void breathe(struct plx_core *k, plx_time now)
{
    for (unsigned i = 0; i < BREATHS_PER_TURN; i++) {
        plx_core_breath(k, now);
        if (k->rx_count < PLX_PULL_MAX && plx_list_is_empty(&k->ready))
            return;
    }
}

void lane_turn(struct lane *l, plx_time now)
{
    breathe(l->client->cores[0], now);
    breathe(l->worker, now);
}

void lane_start(struct lane *l)
{
    l->is_on = true;
    for (uint32_t i = 0; i < l->all->cfg.conns; i++)
        start_more(&l->conns[i]);
}

uint64_t lane_ended(const struct lane *l)
{
    return l->ended;
}

void lanes_count(const struct lanes *l, struct lanes_count *out)
{
    *out = (struct lanes_count){0};
    for (uint16_t i = 0; i < l->count; i++) {
        out->ended += l->lane[i]->ended;
        out->handed_over += l->server->cores[i]->n.handed_over;
        out->datagrams_rx += l->server->cores[i]->n.datagrams_rx;
    }
}

static uint64_t under_way(const struct lanes *l, uint64_t *datagrams)
{
    uint64_t n = 0;

    *datagrams = 0;
    for (uint16_t i = 0; i < l->count; i++) {
        n += l->lane[i]->begun - l->lane[i]->ended;
        *datagrams += l->server->cores[i]->n.datagrams_rx + l->lane[i]->client->cores[0]->n.datagrams_rx;
    }
    return n;
}

void lanes_rest(struct lanes *l)
{
    uint64_t seen = UINT64_MAX, now;

    for (uint16_t i = 0; i < l->count; i++)
        l->lane[i]->is_on = false;
    for (unsigned quiet = 0; quiet < QUIET_TURNS; quiet++) {
        for (uint16_t i = 0; i < l->count; i++)
            lane_turn(l->lane[i], plx_clock_now());
        if (under_way(l, &now) > 0 || now != seen)
            quiet = 0;
        seen = now;
    }
}

// --- making and ending --------------------------------------------------------------------------------------

static struct plx_engine *engine_new(struct lanes *l, struct plx_port *port, bool is_server, unsigned number)
{
    struct plx_engine_cfg e;
    struct plx_cert cert = {world_cert(), world_key()};
    char err[512];

    plx_engine_cfg_init(&e);
    e.port = port;
    e.conns_max = e.handshakes_max = l->cfg.conns + 16;
    e.streams_max =
        l->cfg.conns * (l->cfg.in_flight * 2 + 16) + 64; // the server keeps six for each handshake
    e.buffer_memory = UINT64_C(1) << 30;                 // touched as used
    e.idle_timeout = PLX_SEC(3600);
    e.retry = PLX_RETRY_NEVER;
    e.insecure = true;
    e.h3 = is_server ? &l->server_handler : &l->client_handler;
    if (is_server) {
        e.workers = l->count;
        e.listen = &l->addr;
        e.listen_count = 1;
        e.certs = &cert;
        e.cert_count = 1;
    }
    struct plx_engine *engine = plx_engine_new_at(&e, plx_clock_now(), 7919 + number, err, sizeof err);
    if (engine == NULL) {
        fprintf(stderr, "cores: %s\n", err);
        exit(1);
    }
    return engine;
}

static void blocks_make(struct lanes *l)
{
    char length[24];
    struct plx_field field[] = {
        {.name = "content-type", .name_len = 12, .value = "text/plain", .value_len = 10},
        {.name = "content-length", .name_len = 14, .value = length}};

    field[1].value_len = (uint32_t)snprintf(length, sizeof length, "%llu", (unsigned long long)l->cfg.body);
    l->body = malloc(l->cfg.body);
    plx_check(l->body != NULL);
    memset(l->body, 'x', l->cfg.body);
    for (uint16_t i = 0; i < l->count; i++) {
        l->block[i] = plx_h3_block_new(200, field, 2, (struct plx_buf){l->body, l->cfg.body, NULL});
        plx_check(l->block[i] != NULL);
    }
}

// A client invents the ID of its first packets, which may name one of the workers by accident (decisions/0015): its connection would then
// live on another lane. Here none does: there are fewer workers than this bit says.
static void random_unaimed(void *random, void *out, size_t len)
{
    _Static_assert((int)FAN_QUEUES_MAX <= 0x40, "no worker has this bit in its number");
    plx_random_get(random, out, len);
    if (len > 0)
        *(uint8_t *)out |= 0x40;
}

static void connect_all(struct lane *l)
{
    plx_time limit = plx_time_after(plx_clock_now(), PLX_SEC(600));
    struct plx_core *k = l->client->cores[0];

    while (l->conns_open < l->all->cfg.conns) {
        while (l->conns_begun < l->all->cfg.conns && l->conns_begun - l->conns_open < OPENING_MAX) {
            struct lane_conn *c = &l->conns[l->conns_begun++];
            struct plx_conn *transport;
            c->lane = l;
            k->now = plx_clock_now();
            plx_check(
                plx_core_connect(
                    k, &(struct plx_connect_cfg){.server_name = "localhost", .peer = l->all->addr, .user = c},
                    &transport) == PLX_OK);
        }
        lane_turn(l, plx_clock_now());
        plx_check(plx_time_lt(plx_clock_now(), limit));
    }
}

struct lanes *lanes_new(uint16_t count, const struct lane_cfg *cfg)
{
    struct plx_port *ports[FAN_QUEUES_MAX];
    struct lanes *l = calloc(1, sizeof *l);

    plx_check(l != NULL && plx_addr_parse("127.0.0.1:1", &l->addr));
    l->count = count;
    l->cfg = *cfg;
    l->server_handler = (struct plx_h3_handler){.ctx = l, .on_request = on_request};
    l->client_handler = (struct plx_h3_handler){.ctx = l,
                                                .on_open = on_open,
                                                .on_close = on_close,
                                                .on_streams_available = on_streams_available,
                                                .on_end = on_end};
    blocks_make(l);
    l->fan = fan_new(count, ports);
    plx_check(l->fan != NULL);
    l->server = engine_new(l, &l->fan->port, true, 0);
    for (uint16_t i = 0; i < count; i++) {
        struct lane *one = aligned_alloc(128, sizeof *one);
        plx_check(one != NULL);
        memset(one, 0, sizeof *one);
        l->lane[i] = one;
        one->all = l;
        one->worker = l->server->cores[i];
        one->client = engine_new(l, ports[i], false, i + 1u);
        one->client->cores[0]->env.random = random_unaimed;
        one->conns = calloc(cfg->conns, sizeof *one->conns);
        plx_check(one->conns != NULL);
    }
    for (uint16_t i = 0; i < count; i++)
        connect_all(l->lane[i]);
    lanes_rest(l);
    return l;
}

void lanes_free(struct lanes *l)
{
    l->client_handler.on_close = NULL;
    for (uint16_t i = 0; i < l->count; i++)
        plx_engine_free(l->lane[i]->client);
    plx_engine_free(l->server);
    for (uint16_t i = 0; i < l->count; i++) {
        free(l->lane[i]->conns);
        free(l->lane[i]);
    }
    for (uint16_t i = 0; i < l->count; i++)
        plx_h3_block_free(l->block[i]);
    free(l->body);
    free(l);
}
