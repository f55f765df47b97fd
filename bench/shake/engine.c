// engine.c -- whole connections: two engines back to back over drivers/loop, in virtual time, as in bench/wire.
//
// A batch of connections is opened, rests until tickets, tokens and acknowledgements are through (a fifth of a second of virtual time), is
// closed by the client, and both sides are let breathe until the server has forgotten it. All breaths of the server count, so this holds
// packet protection, both Initial packets, HTTP/3's first streams, the goodbye, and the timers of the closing period.

#include "bench/shake/way.h"

#include <plx/plx.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/time.h"
#include "drivers/loop/loop.h"
#include "engine/engine.h"

enum { AT_ONCE = 16, STEP_US = 20, BREATHS_PER_TURN = 8, SESSION_MAX = 4096 };

struct engines {
    struct plx_engine *server, *client;
    struct plx_addr addr;
    struct plx_h3_handler handler;
    plx_time now;
    bool is_resumed;
    struct plx_conn *conns[AT_ONCE];
    unsigned open_count;
    uint8_t session[SESSION_MAX];
    size_t session_len;
};

// --- the client ---------------------------------------------------------------------------------------------

static struct engines *self; // one at a time

static void on_open(struct plx_h3_conn *h3)
{
    (void)h3;
    self->open_count++;
}

static void on_close(struct plx_h3_conn *h3, struct plx_conn *transport, const struct plx_close_info *why)
{
    (void)transport;
    if (h3 != NULL && why->code == 0)
        return;
    fprintf(stderr, "shake: a connection ended: %d, code %llu, %s\n", (int)why->how,
            (unsigned long long)why->code, why->reason);
    exit(1);
}

static void on_session(struct plx_h3_conn *h3, const void *session, size_t len)
{
    (void)h3;
    plx_check(len <= SESSION_MAX);
    memcpy(self->session, session, len);
    self->session_len = len;
}

// --- time ---------------------------------------------------------------------------------------------------

static void turn(struct engines *e, struct plx_core *k)
{
    for (unsigned i = 0; i < BREATHS_PER_TURN; i++) {
        plx_core_breath(k, e->now);
        if (k->rx_count < PLX_PULL_MAX && plx_list_is_empty(&k->ready))
            break;
    }
}

static void server_turn(void *arg)
{
    struct engines *e = arg;
    turn(e, e->server->cores[0]);
}

static uint64_t received(const struct engines *e)
{
    return e->client->cores[0]->n.datagrams_rx + e->server->cores[0]->n.datagrams_rx;
}

static void step(struct engines *e, struct shake_count *count)
{
    uint64_t before = received(e);

    turn(e, e->client->cores[0]);
    shake_server(count, server_turn, e);
    e->now = plx_time_after(e->now, PLX_US(STEP_US));
    if (before != received(e))
        return;
    // Nothing was under way: on to whatever comes next.
    plx_time next =
        plx_time_min(plx_core_deadline(e->client->cores[0]), plx_core_deadline(e->server->cores[0]));
    e->now = plx_time_max(e->now, plx_time_is_never(next) ? e->now : next);
}

static uint32_t conns_of(const struct plx_engine *e)
{
    return plx_pool_in_use(&e->cores[0]->conns);
}

static void batch(struct engines *e, unsigned size, struct shake_count *count)
{
    struct plx_core *client = e->client->cores[0];
    const struct plx_connect_cfg cfg = {.server_name = "main.test",
                                        .peer = e->addr,
                                        .session = e->is_resumed ? e->session : NULL,
                                        .session_len = e->is_resumed ? e->session_len : 0};
    uint64_t resumed = e->server->cores[0]->env.stats.resumed;

    self = e;
    e->open_count = 0;
    client->now = e->now;
    for (unsigned i = 0; i < size; i++)
        plx_check(plx_core_connect(client, &cfg, &e->conns[i]) == PLX_OK);
    while (e->open_count < size)
        step(e, count);
    plx_time until = plx_time_after(e->now, PLX_MS(200));
    while (plx_time_lt(e->now, until))
        step(e, count);
    for (unsigned i = 0; i < size; i++)
        plx_conn_close(e->conns[i], 0, NULL);
    while (conns_of(e->server) + conns_of(e->client) > 0)
        step(e, count);
    plx_check(e->server->cores[0]->env.stats.resumed == resumed + (cfg.session_len > 0 ? size : 0));
}

// --- the way ------------------------------------------------------------------------------------------------

static struct plx_engine *engine_new(struct plx_engine_cfg *cfg, plx_time now, uint64_t seed)
{
    char err[512];

    cfg->conns_max = cfg->handshakes_max = 2 * AT_ONCE;
    cfg->streams_max = 32 * AT_ONCE;
    cfg->buffer_memory = UINT64_C(64) << 20;
    cfg->retry = PLX_RETRY_NEVER;
    cfg->insecure = true;
    struct plx_engine *engine = plx_engine_new_at(cfg, now, seed, err, sizeof err);
    if (engine == NULL) {
        fprintf(stderr, "shake: %s\n", err);
        exit(1);
    }
    return engine;
}

static void *engines_open(const struct shake_cfg *cfg)
{
    static const struct plx_h3_handler answering;
    struct engines *e = calloc(1, sizeof *e);
    const struct plx_cert cert = {cfg->cert_file, cfg->key_file};
    struct plx_engine_cfg server, client;

    plx_check(e != NULL && plx_addr_parse("127.0.0.1:1", &e->addr));
    e->now = (plx_time){UINT64_C(1000000000000)};
    e->handler = (struct plx_h3_handler){.on_open = on_open, .on_close = on_close, .on_session = on_session};
    plx_engine_cfg_init(&server);
    plx_engine_cfg_init(&client);
    plx_check(plx_loop_pair(&server.port, &client.port, 1024));
    server.h3 = &answering;
    server.listen = &e->addr;
    server.listen_count = 1;
    server.certs = &cert;
    server.cert_count = 1;
    client.h3 = &e->handler;
    client.groups = cfg->groups;
    e->server = engine_new(&server, e->now, 7919);
    e->client = engine_new(&client, e->now, 104729);
    batch(e, 1, NULL); // for its ticket
    plx_check(e->session_len > 0);
    e->is_resumed = cfg->is_resumed;
    return e;
}

static void engines_run(void *state, unsigned handshakes, struct shake_count *count)
{
    struct engines *e = state;
    const struct plx_counters *n = &e->server->cores[0]->n;
    struct plx_counters before = *n;

    for (unsigned left = handshakes, size; left > 0; left -= size) {
        size = left < AT_ONCE ? left : AT_ONCE;
        batch(e, size, count);
    }
    if (count == NULL)
        return;
    count->datagrams_rx = n->datagrams_rx - before.datagrams_rx;
    count->datagrams_tx = n->datagrams_tx - before.datagrams_tx;
    count->bytes_rx = n->bytes_rx - before.bytes_rx;
    count->bytes_tx = n->bytes_tx - before.bytes_tx;
}

static void engines_close(void *state)
{
    struct engines *e = state;

    plx_engine_free(e->client);
    plx_engine_free(e->server);
    free(e);
}

const struct shake_way shake_engine = {"engine", "a whole connection", engines_open, engines_run,
                                       engines_close};
