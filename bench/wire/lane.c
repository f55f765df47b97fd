// lane.c -- see lane.h.

#include "bench/wire/lane.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/time.h"
#include "bench/wire/client.h"
#include "bench/wire/sides.h"
#include "engine/clock.h"
#include "engine/engine.h"

enum { BREATHS_PER_TURN = 8, QUIET_TURNS = 2000 };

struct lane {
    _Alignas(128) struct lanes *all; // a lane is one thread's: no line of it is a neighbour's
    struct plx_engine *client;
    struct plx_core *worker; // of the server
    struct client asking;
    uint8_t pad[128];
};

// --- the server ----------------------------------------------------------------------------------------------

static void on_request(struct plx_h3_req *req, const struct plx_h3_head *head, bool has_body)
{
    const struct lanes *l = plx_h3_req_ctx(req);

    (void)head, (void)has_body;
    uint16_t worker = plx_core_index(plx_conn_core(plx_h3_conn_transport(plx_h3_req_conn(req))));
    plx_check(plx_h3_respond_block(req, l->block[worker]) == PLX_OK);
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
    client_start_many(&l->asking);
}

uint64_t lane_ended(const struct lane *l)
{
    return l->asking.ended;
}

void lanes_count(const struct lanes *l, struct lanes_count *out)
{
    *out = (struct lanes_count){0};
    for (uint16_t i = 0; i < l->count; i++) {
        out->ended += l->lane[i]->asking.ended;
        out->handed_over += l->server->cores[i]->n.handed_over;
        out->datagrams_rx += l->server->cores[i]->n.datagrams_rx;
    }
}

static uint64_t under_way(const struct lanes *l, uint64_t *datagrams)
{
    uint64_t n = 0;

    *datagrams = 0;
    for (uint16_t i = 0; i < l->count; i++) {
        n += l->lane[i]->asking.begun - l->lane[i]->asking.ended;
        *datagrams += l->server->cores[i]->n.datagrams_rx + l->lane[i]->client->cores[0]->n.datagrams_rx;
    }
    return n;
}

void lanes_rest(struct lanes *l)
{
    uint64_t seen = UINT64_MAX, now;

    for (uint16_t i = 0; i < l->count; i++)
        client_stop(&l->lane[i]->asking);
    for (unsigned quiet = 0; quiet < QUIET_TURNS; quiet++) {
        for (uint16_t i = 0; i < l->count; i++)
            lane_turn(l->lane[i], plx_clock_now());
        if (under_way(l, &now) > 0 || now != seen)
            quiet = 0;
        seen = now;
    }
}

// --- making and ending --------------------------------------------------------------------------------------

static struct plx_engine *server_new(struct lanes *l)
{
    const struct sides_cfg cfg = {.program = "cores",
                                  .port = &l->fan->port,
                                  .handler = &l->answering,
                                  .conns = l->cfg.conns,
                                  .in_flight = l->cfg.in_flight,
                                  .buffer_memory = UINT64_C(1) << 30,
                                  .listen = &l->addr,
                                  .workers = l->count};

    return sides_engine(&cfg, plx_clock_now(), 7919);
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

    while (!client_is_open(&l->asking)) {
        client_connect(&l->asking, l->client->cores[0], &l->all->addr, plx_clock_now());
        lane_turn(l, plx_clock_now());
        plx_check(plx_time_lt(plx_clock_now(), limit));
    }
}

static struct lane *lane_new(struct lanes *all, uint16_t number, struct plx_port *port)
{
    struct lane *l = aligned_alloc(128, sizeof *l);

    plx_check(l != NULL);
    memset(l, 0, sizeof *l);
    l->all = all;
    l->worker = all->server->cores[number];
    client_init(&l->asking, "cores", all->cfg.conns, all->cfg.in_flight, 0);
    const struct sides_cfg cfg = {.program = "cores",
                                  .port = port,
                                  .handler = &l->asking.handler,
                                  .conns = all->cfg.conns,
                                  .in_flight = all->cfg.in_flight,
                                  .buffer_memory = UINT64_C(1) << 30};
    l->client = sides_engine(&cfg, plx_clock_now(), 7920u + number);
    l->client->cores[0]->env.random = random_unaimed;
    return l;
}

struct lanes *lanes_new(uint16_t count, const struct lane_cfg *cfg)
{
    struct plx_port *ports[FAN_QUEUES_MAX];
    struct lanes *l = calloc(1, sizeof *l);

    plx_check(l != NULL && plx_addr_parse("127.0.0.1:1", &l->addr));
    l->count = count;
    l->cfg = *cfg;
    l->answering = (struct plx_h3_handler){.ctx = l, .on_request = on_request};
    l->body = sides_body(cfg->body);
    for (uint16_t i = 0; i < count; i++)
        l->block[i] = sides_answer(l->body, cfg->body);
    l->fan = fan_new(count, ports);
    plx_check(l->fan != NULL);
    l->server = server_new(l);
    for (uint16_t i = 0; i < count; i++)
        l->lane[i] = lane_new(l, i, ports[i]);
    for (uint16_t i = 0; i < count; i++)
        connect_all(l->lane[i]);
    lanes_rest(l);
    return l;
}

void lanes_free(struct lanes *l)
{
    for (uint16_t i = 0; i < l->count; i++) {
        client_leave(&l->lane[i]->asking);
        plx_engine_free(l->lane[i]->client);
    }
    plx_engine_free(l->server);
    for (uint16_t i = 0; i < l->count; i++) {
        client_fini(&l->lane[i]->asking);
        free(l->lane[i]);
    }
    for (uint16_t i = 0; i < l->count; i++)
        plx_h3_block_free(l->block[i]);
    free(l->body);
    free(l);
}
