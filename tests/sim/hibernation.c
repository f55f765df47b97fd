// hibernation.c -- connections that fall asleep and wake on both sides, in virtual time, over many seeds.
//
// Whatever happens to a connection may find it asleep: a request, a packet, another address, new keys, its idle timeout, the
// end of its peer or of its own engine, a stateless reset. Neither end's program sees anything of it but a new pointer.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/time.h"
#include "quic/conn/conn_impl.h"
#include "quic/conn/hibernate.h"
#include "tests/sim/seeds.h"
#include "tests/sim/world.h"

enum { KIB = 1024, ROUNDS = 8 };

static struct {
    uint32_t id;
    bool is_asleep;
    unsigned slept;
} bed[WORLD_CLIENTS_MAX];

static bool on_hibernate(void *ctx, struct plx_conn *conn, uint32_t id)
{
    struct world_client *c = plx_conn_user(conn);
    ptrdiff_t i = c - c->world->client;

    (void)ctx;
    plx_check(!bed[i].is_asleep && c->conn == conn);
    bed[i].is_asleep = true;
    bed[i].id = id;
    bed[i].slept++;
    c->conn = NULL;
    c->h3 = NULL;
    return true;
}

static void on_wake(void *ctx, struct plx_conn *conn, uint32_t id)
{
    struct world_client *c = plx_conn_user(conn);
    ptrdiff_t i = c - c->world->client;

    (void)ctx;
    plx_conn_verify(conn);
    plx_check(bed[i].is_asleep && bed[i].id == id);
    bed[i].is_asleep = false;
    c->conn = conn;
    c->h3 = plx_conn_h3(conn);
    plx_check(plx_h3_conn_user(c->h3) == c && plx_h3_conn_transport(c->h3) == conn);
}

static plx_dur idle_timeout;
static bool is_awake; // nobody hibernates
static bool
    is_late; // not before the streams have been put away, which they are with the keys after five seconds

static uint32_t beds; // with two of them nobody may leave berths behind

static void tune(struct plx_engine_cfg *cfg, bool is_server)
{
    cfg->hibernate_after = is_awake ? (plx_dur){0} : PLX_MS(is_late ? 8000 : 1500);
    cfg->hibernated_max = beds;
    cfg->idle_timeout = idle_timeout;
    if (!is_server) {
        cfg->on_hibernate = on_hibernate;
        cfg->on_wake = on_wake;
    }
}

static bool fail(const struct world *w, const char *why)
{
    fprintf(stderr, "  %s, at %.3f s\n", why, (double)(w->now.ns - UINT64_C(1000000000000)) / 1e9);
    return false;
}

static plx_time in(const struct world *w, plx_dur d)
{
    return plx_time_after(w->now, d);
}

static void start(struct world *w, struct world_cfg *cfg, plx_dur idle)
{
    idle_timeout = idle;
    beds = cfg->seed % 4 == 3 ? 2 : 16;
    memset(bed, 0, sizeof bed);
    cfg->tune = tune;
    cfg->up.delay = cfg->down.delay = PLX_MS(10);
    cfg->up.rate_bps = cfg->down.rate_bps = 20000000;
    cfg->up.queue_bytes = cfg->down.queue_bytes = 100000;
    world_init(w, cfg);
    for (unsigned i = 0; i < w->clients; i++)
        world_fetch(w, i, (uint64_t[]){1000}, 1, 0);
}

// The client's program has something to ask, on a connection that may sleep.
static void ask(struct world *w, unsigned i, uint64_t size, bool with_new_keys)
{
    struct world_client *c = &w->client[i];
    struct world_request *r = &c->request[c->size_count];
    struct plx_core *k = c->engine->cores[0];
    char path[24];

    k->now = w->now;
    if (bed[i].is_asleep)
        plx_check(plx_core_wake_conn(k, bed[i].id) == c->conn && c->conn != NULL);
    plx_check(plx_core_wake_conn(k, 12345678) == NULL);
    c->sizes[c->size_count++] = size;
    c->started++;
    snprintf(path, sizeof path, "/%llu", (unsigned long long)size);
    struct plx_h3_head head = {.method = world_span("GET"),
                               .scheme = world_span("https"),
                               .authority = world_span("localhost"),
                               .path = world_span(path),
                               .content_length = PLX_H3_LENGTH_UNKNOWN};
    *r = (struct world_request){.world = w, .want = size, .begun = w->now};
    enum plx_err err = with_new_keys ? plx_conn_update_keys(c->conn) : PLX_OK;
    plx_check(err == PLX_OK || err == PLX_ERR_AGAIN); // the last one is fresh
    plx_check(plx_h3_request(c->h3, &head, false, r, &r->req) == PLX_OK);
}

// All wake, so that the world finds them; what a server has that its client knows nothing of any more is closed.
static bool finish(struct world *w)
{
    struct plx_core *k = w->server->cores[0];

    for (unsigned i = 0; i < w->clients; i++)
        if (bed[i].is_asleep)
            plx_check(plx_core_wake_conn(w->client[i].engine->cores[0], bed[i].id) != NULL);
    k->now = w->now;
    for (uint32_t id = 0; k->berths.sleepers > 0; id++) {
        struct plx_conn *c = plx_core_wake_conn(k, id);
        bool is_known = false;
        for (unsigned i = 0; i < w->clients; i++)
            is_known |= w->client[i].conn != NULL;
        if (c != NULL && !is_known)
            plx_conn_close(c, PLX_H3_NO_ERROR, "");
    }
    world_run(w, in(w, PLX_SEC(1)), NULL);
    return world_fini(w);
}

static uint64_t asleep(const struct world *w)
{
    return w->server->cores[0]->berths.sleepers;
}

static bool all_asleep(struct world *w)
{
    for (unsigned i = 0; i < w->clients; i++)
        if (!bed[i].is_asleep)
            return false;
    return asleep(w) == w->clients;
}

// Rounds of sleep and requests, on both clients. (Idle timeouts of 150 s: a goodbye that is lost must not keep the other end beyond what
// world_fini() waits.)
static bool rounds(struct world_cfg *cfg, bool with_new_keys)
{
    unsigned seed = (unsigned)cfg->seed;
    struct world w;

    cfg->clients = 2;
    start(&w, cfg, PLX_SEC(150));
    bool ok =
        world_run(&w, in(&w, PLX_SEC(60)), world_all_complete) || fail(&w, "the first answers are missing");
    for (unsigned n = 0; n < ROUNDS && ok; n++) {
        ok = world_run(&w, in(&w, PLX_SEC(60)), all_asleep) || fail(&w, "not all fell asleep");
        if (!ok)
            break;
        world_run(&w, in(&w, PLX_MS((uint64_t)(unsigned)rand_r(&seed) % 2000)), NULL);
        unsigned i = (unsigned)rand_r(&seed) % 2, count = 1 + (unsigned)rand_r(&seed) % 3;
        while (count-- > 0)
            ask(&w, i, 1 + (uint64_t)(unsigned)rand_r(&seed) % (200 * KIB), with_new_keys);
        ok = world_run(&w, in(&w, PLX_SEC(120)), world_all_complete) || fail(&w, "an answer is missing");
    }
    const struct plx_core *k = w.server->cores[0];
    if (ok && (k->n.wakes < ROUNDS || k->n.hibernations < k->n.wakes))
        ok = fail(&w, "the server did not sleep between the requests");
    if (ok && with_new_keys && k->env.stats.key_updates == 0)
        ok = fail(&w, "no keys were updated");
    return finish(&w) && ok;
}

static bool clean(uint64_t seed)
{
    return rounds(&(struct world_cfg){.seed = seed}, false);
}

static bool loss(uint64_t seed)
{
    struct world_cfg cfg = {.seed = seed};
    cfg.up.loss = cfg.down.loss = 0.1;
    cfg.up.reorder = cfg.down.reorder = 0.05;
    cfg.up.duplicate = cfg.down.duplicate = 0.05;
    return rounds(&cfg, false);
}

static bool key_update(uint64_t seed)
{
    struct world_cfg cfg = {.seed = seed};
    cfg.up.loss = cfg.down.loss = 0.02;
    return rounds(&cfg, true);
}

static bool rebinding(uint64_t seed)
{
    struct world_cfg cfg = {.seed = seed};
    cfg.up.rebind_every = PLX_MS(1500);
    cfg.up.rebind_ip = seed % 2 == 0;
    return rounds(&cfg, false);
}

static bool idle(uint64_t seed)
{
    struct world_cfg cfg = {.seed = seed};
    struct world w;

    start(&w, &cfg, PLX_SEC(10));
    bool ok = world_run(&w, in(&w, PLX_SEC(9)), all_asleep) || fail(&w, "not all fell asleep");
    world_run(&w, in(&w, PLX_SEC(12)), NULL);
    ok = ok && (asleep(&w) == 0 || fail(&w, "the server's sleeps on beyond its idle timeout"));
    ok = ok && (w.server->cores[0]->n.conns_open == 0 || fail(&w, "the server's connection is there"));
    ok = ok && ((w.client[0].is_closed && w.client[0].why.how == PLX_CLOSE_IDLE) ||
                fail(&w, "the client's program was not told"));
    return finish(&w) && ok;
}

static bool closed_by_client(uint64_t seed)
{
    struct world_cfg cfg = {.seed = seed};
    struct world w;

    start(&w, &cfg, PLX_SEC(150));
    bool ok = world_run(&w, in(&w, PLX_SEC(60)), all_asleep) || fail(&w, "not all fell asleep");
    if (ok) {
        struct plx_conn *c = plx_core_wake_conn(w.client[0].engine->cores[0], bed[0].id);
        plx_conn_close(c, PLX_H3_NO_ERROR, "enough");
        world_run(&w, in(&w, PLX_SEC(5)), NULL);
        ok = (asleep(&w) == 0 && w.server->cores[0]->n.conns_open == 0) ||
             fail(&w, "the server has not heard");
    }
    return finish(&w) && ok;
}

static bool is_stopped(struct world *w)
{
    return plx_core_is_stopped(w->server->cores[0]);
}

static bool server_stops(uint64_t seed)
{
    struct world_cfg cfg = {.seed = seed, .clients = 2};
    struct world w;

    start(&w, &cfg, PLX_SEC(150));
    bool ok = world_run(&w, in(&w, PLX_SEC(60)), all_asleep) || fail(&w, "not all fell asleep");
    plx_core_stop(w.server->cores[0], in(&w, PLX_SEC(60)));
    ok = ok && (world_run(&w, in(&w, PLX_SEC(20)), is_stopped) || fail(&w, "the server waits for nothing"));
    world_run(&w, in(&w, PLX_SEC(2)), NULL);
    for (unsigned i = 0; i < 2 && ok; i++)
        ok = (w.client[i].is_closed && w.client[i].why.code == PLX_H3_NO_ERROR &&
              w.client[i].why.how == PLX_CLOSE_APPLICATION) ||
             fail(&w, "a client was not told");
    return finish(&w) && ok;
}

// A reset that comes while the client sleeps: its token leads to the record.
static bool reset(uint64_t seed)
{
    struct world_cfg cfg = {.seed = seed};
    uint8_t dgram[64];
    struct world w;

    start(&w, &cfg, PLX_SEC(150));
    bool ok = world_run(&w, in(&w, PLX_SEC(60)), world_all_complete) || fail(&w, "no answer");
    const struct plx_conn *c = w.client[0].conn;
    ok = ok && (c != NULL || fail(&w, "asleep already"));
    if (ok) {
        const struct plx_cid_peer *id =
            plx_cids_peer_get(&c->peer_cids, c->paths.v[c->paths.active].dcid_seq);
        memset(dgram, 0x41, sizeof dgram);
        memcpy(dgram + sizeof dgram - PLX_RESET_TOKEN_LEN, id->token, PLX_RESET_TOKEN_LEN);
        ok = world_run(&w, in(&w, PLX_SEC(60)), all_asleep) || fail(&w, "not all fell asleep");
    }
    if (ok) {
        struct plx_core *k = w.client[0].engine->cores[0];
        struct plx_conn *found = plx_demux_find_reset(k, dgram, sizeof dgram);
        ok = found != NULL && !bed[0].is_asleep && plx_conn_rx_reset(found, dgram, sizeof dgram, w.now);
        if (!ok)
            fail(&w, "the token leads nowhere");
        else
            plx_core_wake(k, found);
        world_run(&w, in(&w, PLX_SEC(5)), NULL);
        ok = ok && ((w.client[0].is_closed && w.client[0].why.how == PLX_CLOSE_STATELESS_RESET) ||
                    fail(&w, "the client's program was not told"));
    }
    // the server knows nothing of it, and sleeps
    return finish(&w) && ok;
}

// No object for it: the packet is dropped and counted, and what is repeated later arrives.
static bool no_room(uint64_t seed)
{
    struct world_cfg cfg = {.seed = seed};
    struct world w;
    static void *held[1 << 16];
    uint32_t count = 0;

    start(&w, &cfg, PLX_SEC(150));
    bool ok = world_run(&w, in(&w, PLX_SEC(60)), all_asleep) || fail(&w, "not all fell asleep");
    if (ok) {
        struct plx_core *k = w.server->cores[0];
        struct plx_pool *pool = seed % 3 == 0 ? &k->conns : seed % 3 == 1 ? &k->streams : &k->h3_streams;
        uint32_t leave = seed % 3 == 0 ? 0 : 2;
        while (plx_pool_left(pool) > leave && count < sizeof held / sizeof *held)
            held[count++] = plx_pool_take(pool);
        ask(&w, 0, 5000, false);
        if (plx_pool_left(pool) == leave) {
            ok = !world_run(&w, in(&w, PLX_SEC(2)), world_all_complete) || fail(&w, "woken without objects");
            ok = ok && (world_drops(w.server, PLX_DROP_no_room_to_wake) > 0 || fail(&w, "not counted"));
        }
        while (count > 0)
            plx_pool_give(pool, held[--count]);
        ok = ok && (world_run(&w, in(&w, PLX_SEC(60)), world_all_complete) || fail(&w, "never woken"));
    }
    return finish(&w) && ok;
}

static void *held[1 << 16];
static uint32_t held_count;

static void pool_take_all(struct plx_pool *pool, uint32_t leave)
{
    while (plx_pool_left(pool) > leave && held_count < sizeof held / sizeof *held)
        held[held_count++] = plx_pool_take(pool);
}

static void pool_give_all(struct plx_pool *pool)
{
    while (held_count > 0)
        plx_pool_give(pool, held[--held_count]);
}

static bool all_parked(struct world *w)
{
    const struct plx_core *s = w->server->cores[0], *c = w->client[0].engine->cores[0];

    return s->n.conns_parked == 1 && c->n.conns_parked == 1 && plx_pool_in_use(&s->streams) == 0 &&
           plx_pool_in_use(&c->streams) == 0 && plx_pool_in_use(&s->h3_streams) == 0 &&
           plx_pool_in_use(&s->keys) == 0;
}

// A request to a server that has no objects left for the streams of a connection at rest: it waits until there are some.
static bool unparked_late(struct world *w, uint64_t seed)
{
    struct plx_core *k = w->server->cores[0];
    struct plx_pool *pool = seed % 2 == 0 ? &k->streams : &k->h3_streams;

    pool_take_all(pool, 2);
    ask(w, 0, 5000, false);
    bool ok = !world_run(w, in(w, PLX_SEC(2)), world_all_complete) || fail(w, "unparked without objects");
    ok = ok && ((k->n.conns_parked == 1 && plx_pool_left(pool) == 2) || fail(w, "something was held"));
    ok = ok && (world_drops(w->server, PLX_DROP_no_room_to_wake) > 0 || fail(w, "not counted"));
    pool_give_all(pool);
    return ok && (world_run(w, in(w, PLX_SEC(60)), world_all_complete) || fail(w, "never unparked"));
}

// The ends that find the streams put away: the server's program, the client's, and silence.
static bool ends_parked(struct world *w, uint64_t seed)
{
    struct plx_core *k = w->server->cores[0];

    if (seed % 2 == 0) // and the server has no objects for them
        pool_take_all(&k->streams, 1);
    if (seed % 3 == 0)
        plx_core_stop(w->server->cores[0], in(w, PLX_SEC(10)));
    else if (seed % 3 == 1)
        plx_conn_close(w->client[0].conn, PLX_H3_NO_ERROR, "enough");
    world_run(w, in(w, PLX_SEC(60)),
              NULL); // a goodbye that finds no objects goes unheard, and silence ends it
    pool_give_all(&k->streams);
    if (!w->client[0].is_closed || w->server->cores[0]->n.conns_open > 0)
        return fail(w, "an end that was not heard of");
    enum { IDLE = PLX_CLOSE_IDLE, APPLICATION = PLX_CLOSE_APPLICATION };
    return (int)w->client[0].why.how == (seed % 3 == 2 ? (int)IDLE : (int)APPLICATION) ||
           fail(w, "another end than that");
}

// Nobody hibernates; streams are put away after five seconds of silence, and back for whatever comes.
static bool parked(uint64_t seed)
{
    struct world_cfg cfg = {.seed = seed};
    struct world w;

    is_awake = true;
    cfg.up.loss = cfg.down.loss = seed % 3 == 2 ? 0.02 : 0; // a goodbye that is lost would be another end
    start(&w, &cfg, PLX_SEC(40));
    bool ok = world_run(&w, in(&w, PLX_SEC(60)), world_all_complete) || fail(&w, "no answer");
    for (unsigned n = 0; n < ROUNDS && ok; n++) {
        ok = world_run(&w, in(&w, PLX_SEC(30)), all_parked) || fail(&w, "not put away");
        if (!ok)
            break;
        plx_conn_verify(w.client[0].conn);
        ask(&w, 0, 1 + 1000 * (n + seed), n % 3 == 2);
        ok = world_run(&w, in(&w, PLX_SEC(60)), world_all_complete) || fail(&w, "an answer is missing");
        plx_conn_verify(w.client[0].conn);
        ok = ok && (w.server->cores[0]->n.conns_parked == 1 || fail(&w, "a request had them all back"));
    }
    ok = ok && (world_run(&w, in(&w, PLX_SEC(30)), all_parked) || fail(&w, "not put away at last"));
    ok = ok && unparked_late(&w, seed);
    ok = ok && (world_run(&w, in(&w, PLX_SEC(30)), all_parked) || fail(&w, "not put away again"));
    ok = ok && ends_parked(&w, seed);
    ok = finish(&w) && ok;
    is_awake = false;
    return ok;
}

// A process that ends while streams are put away: world_fini() asks for every object.
static bool freed_parked(uint64_t seed)
{
    struct world_cfg cfg = {.seed = seed};
    struct world w;

    is_awake = true;
    start(&w, &cfg, PLX_SEC(150));
    bool ok = world_run(&w, in(&w, PLX_SEC(60)), all_parked) || fail(&w, "not put away");
    ok = finish(&w) && ok;
    is_awake = false;
    return ok;
}

static bool none_open(struct world *w)
{
    return w->server->cores[0]->n.conns_open == 0;
}

static struct plx_econn *first_of(struct plx_core *k)
{
    return PLX_CONTAINER(plx_list_first(&k->all), struct plx_econn, all);
}

// There is not one stream object when the server's program closes, so what was put away is given up. While its goodbye may still be
// asked for again there are some, and GOAWAY is asked for. world_fini() looks for what was taken for it.
static bool closed_then_stopped(struct world *w, struct plx_core *k)
{
    struct plx_econn *e = first_of(k);

    k->now = w->now;
    plx_conn_close(plx_econn_conn(e), PLX_H3_NO_ERROR, "enough");
    bool ok = !world_run(w, in(w, PLX_MS(5)), none_open) || fail(w, "nobody answers who did not hear it");
    pool_give_all(&k->streams);
    plx_core_stop(k, in(w, PLX_SEC(10)));
    return ok && (plx_pool_in_use(&k->streams) == 0 || fail(w, "streams for a connection that has ended"));
}

// There is none when the server stops either; a second later there are some, and nobody waits for the deadline.
static bool stopped_late(struct world *w, struct plx_core *k)
{
    plx_core_stop(k, in(w, PLX_SEC(10)));
    bool ok = !world_run(w, in(w, PLX_SEC(1)), none_open) || fail(w, "GOAWAY without a stream");
    pool_give_all(&k->streams);
    return ok && (world_run(w, in(w, PLX_SEC(5)), none_open) || fail(w, "GOAWAY was forgotten"));
}

static bool stops_parked(uint64_t seed)
{
    struct world_cfg cfg = {.seed = seed};
    struct world w;

    is_awake = true;
    start(&w, &cfg, PLX_SEC(150));
    struct plx_core *k = w.server->cores[0];
    bool ok = world_run(&w, in(&w, PLX_SEC(60)), all_parked) || fail(&w, "not put away");
    if (ok) {
        pool_take_all(&k->streams, 0);
        ok = seed % 2 == 0 ? closed_then_stopped(&w, k) : stopped_late(&w, k);
    }
    ok = finish(&w) && ok;
    is_awake = false;
    return ok;
}

// First the streams are put away, then the whole connection; asked between the two, and after both.
static bool parked_asleep(uint64_t seed)
{
    struct world_cfg cfg = {.seed = seed};
    struct world w;

    is_late = true;
    cfg.up.loss = cfg.down.loss = seed % 3 == 2 ? 0.02 : 0;
    start(&w, &cfg, PLX_SEC(150));
    bool ok = true;
    for (unsigned n = 0; n < ROUNDS && ok; n++) {
        ok = (world_run(&w, in(&w, PLX_SEC(30)), all_parked) || fail(&w, "not put away")) &&
             (n % 3 == 1 || world_run(&w, in(&w, PLX_SEC(30)), all_asleep) || fail(&w, "not asleep"));
        if (!ok)
            break;
        ask(&w, 0, 1 + 1000 * (n + seed), false);
        ok = world_run(&w, in(&w, PLX_SEC(60)), world_all_complete) || fail(&w, "an answer is missing");
    }
    ok = finish(&w) && ok;
    is_late = false;
    return ok;
}

// A request goes on without the streams that were put away; then there are none for them, and the peer speaks on one.
static bool recalled_late(uint64_t seed)
{
    struct world_cfg cfg = {.seed = seed};
    struct world w;

    is_awake = seed % 2 == 0;
    start(&w, &cfg, PLX_SEC(150));
    bool ok = true;
    if (is_awake)
        ok = world_run(&w, in(&w, PLX_SEC(60)), all_parked) || fail(&w, "not put away");
    else
        ok = world_run(&w, in(&w, PLX_SEC(60)), all_asleep) || fail(&w, "not asleep");
    struct plx_core *k = w.client[0].engine->cores[0];
    if (ok) {
        ask(&w, 0, 1000, false);
        ok = world_run(&w, in(&w, PLX_SEC(60)), world_all_complete) || fail(&w, "no answer");
        ok = ok && ((k->n.conns_parked == 1 && plx_pool_in_use(&k->streams) == 0) ||
                    fail(&w, "a request had them all back"));
        pool_take_all(&k->streams, 1);
        plx_core_stop(w.server->cores[0], in(&w, PLX_SEC(10))); // GOAWAY
        world_run(&w, in(&w, PLX_MS(200)), NULL);
        pool_give_all(&k->streams);
        world_run(&w, in(&w, PLX_SEC(20)), NULL);
        ok = ok && ((w.client[0].is_closed && w.client[0].why.how == PLX_CLOSE_TRANSPORT &&
                     w.client[0].why.code == PLX_QUIC_INTERNAL_ERROR && !w.client[0].why.is_peer) ||
                    fail(&w, "another end than that"));
    }
    ok = finish(&w) && ok;
    is_awake = false;
    return ok;
}

// Whoever has slept leaves berths behind, which tables name, as long as there are enough for all.
static bool berths_stay(uint64_t seed)
{
    struct world_cfg cfg = {.seed = seed};
    struct world w;

    start(&w, &cfg, PLX_SEC(150));
    struct plx_core *k = w.server->cores[0];
    struct plx_berths *b = &w.client[0].engine->cores[0]->berths;
    bool ok = world_run(&w, in(&w, PLX_SEC(60)), all_asleep) || fail(&w, "not all fell asleep");
    for (unsigned n = 0; n < 3 && ok; n++) {
        uint32_t left = b->left, id = bed[0].id;
        ask(&w, 0, 1000, false);
        ok = world_run(&w, in(&w, PLX_SEC(1)), world_all_complete) || fail(&w, "no answer");
        ok = ok && ((b->held == (beds > 2) && (b->left > left) == (beds == 2)) || fail(&w, "other berths"));
        left = b->left;
        if (beds > 2 && n == 2) // its own are enough
            b->left = 0;
        ok = ok && (world_run(&w, in(&w, PLX_SEC(60)), all_asleep) || fail(&w, "not asleep again"));
        if (beds > 2 && n == 2)
            b->left += left;
        ok = ok && ((b->held == 0 && bed[0].id == id) || fail(&w, "another bed"));
    }
    if (ok && seed % 2 == 0) { // all of its names lead to it, whichever is used
        ask(&w, 0, 1000, false);
        ok = world_run(&w, in(&w, PLX_SEC(1)), world_all_complete) || fail(&w, "no answer");
        struct plx_conn *c = plx_econn_conn(first_of(k));
        struct plx_cid cid[PLX_CONN_IMAGE_CIDS];
        unsigned count = plx_conn_cids(c, cid);
        ok = ok && (count > 1 || fail(&w, "it has one name"));
        for (unsigned i = 0; i < count && ok; i++) {
            struct plx_pkt_hdr hdr = {.type = PLX_PKT_SHORT, .dcid = cid[i]};
            ok = (plx_demux_find(k, &hdr) == c && plx_demux_find(k, &hdr) == c) || fail(&w, "not found");
        }
    }
    ok = finish(&w) && ok;
    return ok;
}

static const struct seeds_row scenario[] = {
    {"clean", clean, 1, 1},
    {"loss", loss, 1, 1},
    {"key_update", key_update, 1, 1},
    {"rebinding", rebinding, 1, 1},
    {"idle", idle, 1, 1},
    {"closed_by_client", closed_by_client, 1, 1},
    {"server_stops", server_stops, 1, 1},
    {"reset", reset, 1, 1},
    {"no_room", no_room, 1, 1},
    {"parked", parked, 1, 1},
    {"freed_parked", freed_parked, 1, 1},
    {"stops_parked", stops_parked, 1, 1},
    {"parked_asleep", parked_asleep, 1, 1},
    {"recalled_late", recalled_late, 1, 1},
    {"berths_stay", berths_stay, 1, 1},
};

int main(int argc, char **argv)
{
    return seeds_main(argc, argv, scenario, sizeof scenario / sizeof *scenario);
}
