// stalls.c -- nothing may wait for ever: hosts that stop for seconds, paths that lose a lot, and things that come late.
//
// Everything that is done once and put aside until somebody calls for it can miss the call: timers that were passed over, rings and keys
// that an idle connection has given back, connections that hibernate, bodies that are read piece by piece, streams that wait for
// a window or for QPACK's table. Here each seed picks a path, a server whose answers are refilled piece by piece, requests of
// the sizes from nothing to a megabyte, and one to three moments at which one of the machines stops running for up to 15 seconds, with or without the
// datagrams that came meanwhile. The deadline is generous (time-outs are far away); whoever misses it has lost a wake-up.
//
// How many seeds: see seeds.h.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/prng.h"
#include "base/time.h"
#include "quic/conn/conn_impl.h"
#include "tests/sim/seeds.h"
#include "tests/sim/table.h"
#include "tests/sim/world.h"

enum { KIB = 1024, MIB = 1024 * KIB };
enum { BLOCK_LEN = 16 * KIB, SMALL_MAX = 32 * KIB };

static const uint64_t sizes[] = {0, 1, 64 * KIB, 256 * KIB, 1 * MIB};
enum { REQUESTS = sizeof sizes / sizeof *sizes };

static const plx_dur deadline = PLX_SEC(900); // idle time-outs lie beyond it

// --- the server's program: answers in pieces ------------------------------------------------------------------

static uint64_t ahead_max; // octets of an answer that may wait for acknowledgement

struct answer {
    uint64_t at, end, uploaded;
};

static void fill(struct plx_h3_req *req)
{
    struct answer *a = plx_h3_req_user(req);

    while (a->at < a->end && plx_h3_req_unsent(req) < ahead_max) {
        size_t len = a->end - a->at < BLOCK_LEN ? (size_t)(a->end - a->at) : BLOCK_LEN;
        struct plx_buf block = {world_body() + a->at, len, NULL};
        enum plx_err err = plx_h3_send_body(req, block, a->at + len == a->end);
        if (err != PLX_OK) {
            plx_check(err == PLX_ERR_AGAIN || err == PLX_ERR_CLOSED); // memory is plenty
            return;
        }
        a->at += len;
    }
    if (a->at < a->end)
        plx_h3_req_notify(req, ahead_max / 2);
}

static void on_request(struct plx_h3_req *req, const struct plx_h3_head *head, bool has_body)
{
    struct answer *a = calloc(1, sizeof *a);
    char path[24] = {0};

    (void)has_body;
    plx_check(a != NULL && head->path.len > 1 && head->path.len < sizeof path);
    memcpy(path, head->path.p, head->path.len);
    a->end = strtoull(path + 1, NULL, 10);
    plx_check(a->end <= WORLD_BODY_MAX);
    plx_h3_req_set_user(req, a);
    if (a->end <= SMALL_MAX) {
        struct plx_buf body = {world_body(), (size_t)a->end, NULL};
        a->at = a->end;
        plx_check(plx_h3_respond(req, 200, NULL, 0, body, true) == PLX_OK);
        return;
    }
    plx_check(plx_h3_respond(req, 200, NULL, 0, (struct plx_buf){0}, false) == PLX_OK);
    fill(req);
}

static size_t on_body(struct plx_h3_req *req, const uint8_t *data, size_t len)
{
    struct answer *a = plx_h3_req_user(req);

    plx_check(a->uploaded + len <= WORLD_BODY_MAX && memcmp(world_body() + a->uploaded, data, len) == 0);
    a->uploaded += len;
    return len;
}

static void on_closed(struct plx_h3_req *req, uint64_t code, bool is_peer)
{
    (void)code, (void)is_peer;
    free(plx_h3_req_user(req));
}

static const struct plx_h3_handler server_handler = {
    .on_request = on_request, .on_body = on_body, .on_writable = fill, .on_closed = on_closed};

// --- what a seed decides ----------------------------------------------------------------------------------------

static struct plx_prng dice;
static bool is_by_hand; // the client is one of table.h

static uint64_t pick(const uint64_t *of, unsigned count)
{
    return of[plx_prng_below(&dice, count)];
}
#define PICK(...) \
    pick((const uint64_t[]){__VA_ARGS__}, sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

// Between lo and hi, each order of magnitude alike.
static plx_dur about(plx_dur lo, plx_dur hi)
{
    uint64_t ns = lo.ns;

    while (ns < hi.ns && plx_prng_chance(&dice, 3, 4))
        ns *= 2;
    ns = plx_prng_between(&dice, ns, 2 * ns);
    return (plx_dur){ns < hi.ns ? ns : hi.ns};
}

static uint64_t window, hibernate_ms;

static void tune(struct plx_engine_cfg *cfg, bool is_server)
{
    cfg->idle_timeout = PLX_SEC(150); // world_fini() waits longer
    cfg->handshake_timeout = PLX_SEC(150);
    cfg->hibernate_after = PLX_MS(hibernate_ms);
    cfg->hibernated_max = 16;
    if (is_server) {
        cfg->h3 = &server_handler;
        return;
    }
    cfg->stream_window = window;
    cfg->stream_window_max = 4 * window;
    cfg->conn_window = cfg->conn_window_max = 2 * window;
    if (is_by_hand)
        table_tune(cfg);
}

static void path_pick(struct plx_sim_link_cfg *l)
{
    *l = (struct plx_sim_link_cfg){.rate_bps = PICK(10000000, 100000000, 1000000000),
                                   .delay = PLX_US(PICK(50, 1000, 10000, 100000)),
                                   .queue_bytes = (uint32_t)PICK(30000, 250000),
                                   .loss = (double)PICK(0, 0, 1, 2, 5, 10, 20) / 100,
                                   .reorder = (double)PICK(0, 0, 5, 20) / 100,
                                   .duplicate = (double)PICK(0, 0, 5) / 100};
    if (plx_prng_chance(&dice, 1, 2)) // and a few certain ones at the beginning
        l->loss_mask = UINT64_C(1) << plx_prng_below(&dice, 16) | UINT64_C(1) << plx_prng_below(&dice, 24);
}

static void start(struct world *w, uint64_t seed, bool by_hand)
{
    struct world_cfg cfg = {.seed = seed, .tune = tune};

    plx_prng_init(&dice, seed * 2 + by_hand);
    is_by_hand = by_hand;
    ahead_max = PICK(BLOCK_LEN, 4 * BLOCK_LEN, 1 * MIB);
    window = PICK(16 * KIB, 64 * KIB, 1 * MIB);
    hibernate_ms = PICK(1500, 10000);
    path_pick(&cfg.up);
    path_pick(&cfg.down);
    world_init(w, &cfg);
}

// --- the course of things ------------------------------------------------------------------------------------------

static plx_time in(const struct world *w, plx_dur d)
{
    return plx_time_after(w->now, d);
}

static bool fail(struct world *w, const char *what)
{
    const struct world_client *c = &w->client[0];

    fprintf(stderr, "  %s at %.3f s: open %d, closed %d (how %d, code 0x%llx, %s)", what,
            (double)(w->now.ns - UINT64_C(1000000000000)) / 1e9, c->is_open, c->is_closed, (int)c->why.how,
            (unsigned long long)c->why.code, c->why.reason);
    for (unsigned i = 0; i < c->size_count; i++)
        fprintf(stderr, ", %llu/%llu%s", (unsigned long long)c->request[i].got,
                (unsigned long long)c->request[i].want, c->request[i].has_bad_byte ? " BAD" : "");
    fputc('\n', stderr);
    return false;
}

// One of the machines stops, at some moment within `span`.
static void stop_somebody(struct world *w, plx_dur span)
{
    world_run(w, in(w, about(PLX_US(100), span)), NULL);
    int who = plx_prng_chance(&dice, 1, 2) ? WORLD_SERVER : 0;
    world_pause(w, who, in(w, about(PLX_MS(200), PLX_SEC(15))), plx_prng_chance(&dice, 1, 2));
}

static bool complete(struct world *w)
{
    if (!world_run(w, in(w, deadline), world_all_complete))
        return fail(w, "not complete");
    for (struct plx_list *n = w->server->cores[0]->all.next; n != &w->server->cores[0]->all; n = n->next)
        plx_conn_verify(plx_econn_conn(PLX_CONTAINER(n, struct plx_econn, all)));
    return true;
}

// Five requests at once over a fresh connection; then silence, in which things are given back (a second, five, or longer), and five more.
static bool pauses(uint64_t seed)
{
    struct world w;
    bool ok = true;

    start(&w, seed, false);
    world_fetch(&w, 0, sizes, REQUESTS, 0);
    for (unsigned round = 0; ok && round < 3; round++) {
        for (uint64_t i = plx_prng_below(&dice, 3); i > 0; i--)
            stop_somebody(&w, PLX_MS(500));
        ok = complete(&w);
        world_run(&w, in(&w, PLX_MS(PICK(0, 900, 1100, 4900, 5100, 12000))), NULL);
        if (plx_prng_chance(&dice, 1, 2))
            stop_somebody(&w, PLX_MS(1));
        if (ok && round < 2)
            world_ask(&w, 0, sizes, REQUESTS);
    }
    return world_fini(&w) && ok;
}

// Requests that refer to QPACK's table, whose contents come before, between and after them, in pieces, up to many seconds late.
static bool late_table(uint64_t seed)
{
    struct table t;
    struct world w;

    start(&w, seed, true);
    table_fetch(&t, &w, sizes, REQUESTS);
    if (plx_prng_chance(&dice, 1, 4))
        stop_somebody(&w, PLX_MS(50));
    bool ok = world_run(&w, in(&w, deadline), world_all_open) || fail(&w, "no handshake");
    unsigned asked = 0;
    while (ok && (asked < REQUESTS || t.told < t.text_len)) {
        bool may_tell = t.told < t.text_len;
        if (asked < REQUESTS && (!may_tell || plx_prng_chance(&dice, 2, 3)))
            table_ask(&t, asked++, PICK(0, 0, 1, 3000, 100000));
        else
            table_tell(&t, t.told + plx_prng_between(&dice, 1, t.text_len));
        if (plx_prng_chance(&dice, 1, 3))
            world_run(&w, in(&w, about(PLX_US(50), PLX_SEC(12))), NULL);
        if (plx_prng_chance(&dice, 1, 8))
            stop_somebody(&w, PLX_MS(20));
    }
    ok = ok && complete(&w);
    return world_fini(&w) && ok;
}

// The client's table does not come for a minute and a half, though its connection is alive: only what can be read is answered, what waits
// keeps the connection from hibernating, and all of it goes on when the table comes.
static bool silent_table(uint64_t seed)
{
    struct table t;
    struct world w;

    start(&w, seed, true);
    table_fetch(&t, &w, sizes, REQUESTS);
    bool ok = world_run(&w, in(&w, deadline), world_all_open) || fail(&w, "no handshake");
    for (unsigned i = 0; ok && i < REQUESTS; i++)
        table_ask(&t, i, 0);
    if (ok)
        table_tell(&t, 1);
    for (unsigned i = 0; ok && i < 6; i++) {
        world_run(&w, in(&w, PLX_SEC(15)), NULL);
        plx_conn_ping(w.client[0].conn);
    }
    const struct plx_core *k = w.server->cores[0];
    const struct world_request *r = w.client[0].request;
    ok = ok && (k->n.conns_open == 1 || fail(&w, "the server has let go of the connection"));
    ok = ok && (k->n.conns_hibernated == 0 || fail(&w, "hibernated with requests under way"));
    ok = ok && (k->n.requests == REQUESTS || fail(&w, "not every request has come"));
    ok = ok && (r[0].is_complete || fail(&w, "what needs no table has not been answered"));
    for (unsigned i = 1; ok && i < REQUESTS; i++)
        ok = r[i].got == 0 || fail(&w, "answered what cannot be read");
    if (ok)
        table_tell(&t, t.text_len);
    ok = ok && complete(&w);
    return world_fini(&w) && ok;
}

// ------------------------------------------------------------------------------------------------------------

static const struct seeds_row scenario[] = {
    {"pauses", pauses, 1, 1},
    {"late_table", late_table, 1, 1},
    {"silent_table", silent_table, 1, 1},
};

int main(int argc, char **argv)
{
    return seeds_main(argc, argv, scenario, sizeof scenario / sizeof *scenario);
}
