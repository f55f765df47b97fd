// scenarios.c -- what the network can do to a connection, and by when the work must be done all the same.
//
// Each scenario is a topology, a workload and a deadline in virtual time. It runs once per seed; a failure prints the line that
// replays it:   build/tests/sim/scenarios NAME --seed N
//
// How many seeds: see seeds.h.

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/time.h"
#include "tests/sim/seeds.h"
#include "tests/sim/world.h"

#define MIB  (UINT64_C(1) << 20)
#define MBIT UINT64_C(1000000)

enum { LOST_MAX = 20 };

static const uint64_t ten_mib[] = {10 * MIB}, two_mib[] = {2 * MIB};

// Of a long transfer most repeats itself, and with the sanitizers each octet costs four times as much: spread over the seeds, every fifth is of
// the whole length, and the others a fifth as long.
static bool is_long(uint64_t seed)
{
    return !seeds_are_spread() || seed % 5 == 0;
}

static const uint64_t *body(uint64_t seed)
{
    return is_long(seed) ? ten_mib : two_mib;
}

// A path of 100 Mbit/s and 20 ms, with a queue of one round trip, to change to taste.
static struct plx_sim_link_cfg path(void)
{
    return (struct plx_sim_link_cfg){.rate_bps = 100 * MBIT, .delay = PLX_MS(10), .queue_bytes = 250000};
}

static plx_time in(const struct world *w, plx_dur d)
{
    return plx_time_after(w->now, d);
}

static bool fail(struct world *w, const char *what)
{
    const struct world_client *c = &w->client[0];

    fprintf(stderr, "  %s at %.3f s: open %d, closed %d (how %d, code 0x%llx, %s), %u of %u requests begun",
            what, (double)(w->now.ns - UINT64_C(1000000000000)) / 1e9, c->is_open, c->is_closed,
            (int)c->why.how, (unsigned long long)c->why.code, c->why.reason, c->started, c->size_count);
    for (unsigned i = 0; i < c->size_count && i < 3; i++)
        fprintf(stderr, ", %llu/%llu%s", (unsigned long long)c->request[i].got,
                (unsigned long long)c->request[i].want, c->request[i].has_bad_byte ? " BAD" : "");
    fputc('\n', stderr);
    return false;
}

// The usual run: one client fetches, everything must be there by the deadline, and nothing may be left behind.
static bool fetch(const struct world_cfg *cfg, const uint64_t *sizes, unsigned count, uint64_t upload,
                  plx_dur limit)
{
    struct world w;

    world_init(&w, cfg);
    world_fetch(&w, 0, sizes, count, upload);
    bool ok = world_run(&w, in(&w, limit), world_all_complete);
    if (!ok)
        fail(&w, "not complete");
    return world_fini(&w) && ok;
}

// --- the scenarios: true when all went well ------------------------------------------------------------------

static bool clean(uint64_t seed)
{
    struct world_cfg cfg = {.seed = seed, .up = path(), .down = path()};
    return fetch(&cfg, body(seed), 1, 0, PLX_SEC(3));
}

static bool upload(uint64_t seed)
{
    struct world_cfg cfg = {.seed = seed, .up = path(), .down = path()};
    return fetch(&cfg, (uint64_t[]){10}, 1, *body(seed), PLX_SEC(3));
}

static bool many_requests(uint64_t seed)
{
    struct world_cfg cfg = {.seed = seed, .up = path(), .down = path()};
    uint64_t sizes[200];
    for (unsigned i = 0; i < 200; i++)
        sizes[i] = (i * 7919 + seed * 31) % 20000;
    return fetch(&cfg, sizes, 200, 0, PLX_SEC(3));
}

static bool nth_lost(uint64_t seed, unsigned n, bool is_up)
{
    struct world_cfg cfg = {.seed = seed * LOST_MAX + n, .up = path(), .down = path()};
    struct world w;

    (is_up ? &cfg.up : &cfg.down)->loss_mask = UINT64_C(1) << n;
    world_init(&w, &cfg);
    world_fetch(&w, 0, (uint64_t[]){MIB}, 1, 0);
    bool ok = world_run(&w, in(&w, PLX_MS(3500)), world_all_open) || fail(&w, "handshake not complete");
    ok = ok && (world_run(&w, in(&w, PLX_SEC(10)), world_all_complete) || fail(&w, "transfer not complete"));
    ok = ok &&
         (plx_sim_link_stats(w.sim, is_up ? w.up : w.down).lost_by_mask == 1 || fail(&w, "nothing was lost"));
    ok = world_fini(&w) && ok;
    if (!ok)
        fprintf(stderr, "  lost: datagram %u %s\n", n, is_up ? "up" : "down");
    return ok;
}

// Exactly the n-th datagram of one direction is lost: two probe timeouts are enough, and the transfer follows. Each of the first 20
// with every seed; or, spread, one of them per seed, and a seed plays the same game either way. What is lost is lost in the first round
// trips; a mebibyte takes the connection through its recovery and some trips beyond.
static bool one_lost(uint64_t seed, bool is_up)
{
    if (seeds_are_spread())
        return nth_lost(seed, (unsigned)(seed % LOST_MAX), is_up);
    for (unsigned n = 0; n < LOST_MAX; n++)
        if (!nth_lost(seed, n, is_up))
            return false;
    return true;
}

static bool one_lost_up(uint64_t seed)
{
    return one_lost(seed, true);
}
static bool one_lost_down(uint64_t seed)
{
    return one_lost(seed, false);
}

static bool lossy(uint64_t seed, double loss, plx_dur limit)
{
    struct world_cfg cfg = {.seed = seed, .up = path(), .down = path()};
    cfg.up.loss = cfg.down.loss = loss;
    return fetch(&cfg, body(seed), 1, 0, limit);
}

static bool loss_1(uint64_t seed)
{
    return lossy(seed, 0.01, PLX_SEC(60));
}
static bool loss_5(uint64_t seed)
{
    return lossy(seed, 0.05, PLX_SEC(180));
}
static bool loss_10(uint64_t seed)
{
    return lossy(seed, 0.10, PLX_SEC(400));
}
static bool loss_20(uint64_t seed)
{
    return lossy(seed, 0.20, PLX_SEC(1500));
}

static bool reorder_10(uint64_t seed)
{
    struct world_cfg cfg = {.seed = seed, .up = path(), .down = path()};
    cfg.up.reorder = cfg.down.reorder = 0.10;
    return fetch(&cfg, body(seed), 1, 0, PLX_SEC(60));
}

static bool duplicate_10(uint64_t seed)
{
    struct world_cfg cfg = {.seed = seed, .up = path(), .down = path()};
    cfg.up.duplicate = cfg.down.duplicate = 0.10;
    return fetch(&cfg, body(seed), 1, 0, PLX_SEC(5));
}

static bool corrupt_1(uint64_t seed)
{
    struct world_cfg cfg = {.seed = seed, .up = path(), .down = path()};
    cfg.up.corrupt = cfg.down.corrupt = 0.01;
    return fetch(&cfg, body(seed), 1, 0, PLX_SEC(60));
}

static bool everything_at_once(uint64_t seed)
{
    struct world_cfg cfg = {.seed = seed, .up = path(), .down = path()};
    cfg.up.loss = cfg.down.loss = 0.02;
    cfg.up.reorder = cfg.down.reorder = 0.05;
    cfg.up.duplicate = cfg.down.duplicate = 0.05;
    cfg.up.corrupt = cfg.down.corrupt = 0.005;
    cfg.up.jitter = cfg.down.jitter = PLX_MS(5);
    return fetch(&cfg, body(seed), 1, 2 * MIB, PLX_SEC(200));
}

static bool satellite(uint64_t seed) // 600 ms there and back
{
    struct world_cfg cfg = {.seed = seed, .up = path(), .down = path()};
    cfg.up.delay = cfg.down.delay = PLX_MS(300);
    cfg.up.queue_bytes = cfg.down.queue_bytes = 4 << 20;
    return fetch(&cfg, body(seed), 1, 0, PLX_SEC(20));
}

static bool at_rate(uint64_t seed, uint64_t rate_bps, plx_dur limit)
{
    struct world_cfg cfg = {.seed = seed, .up = path(), .down = path()};
    cfg.up.rate_bps = cfg.down.rate_bps = rate_bps;
    // A round trip's worth of queue, but never less than a modem's handful of packets.
    uint64_t queue = rate_bps / 8 / 50;
    cfg.up.queue_bytes = cfg.down.queue_bytes = (uint32_t)(queue < 30000 ? 30000 : queue);
    return fetch(&cfg, body(seed), 1, 0, limit);
}

static bool rate_64k(uint64_t seed)
{
    return at_rate(seed, 64000, PLX_SEC(1700));
}
static bool rate_1m(uint64_t seed)
{
    return at_rate(seed, 1 * MBIT, PLX_SEC(110));
}
static bool rate_1g(uint64_t seed)
{
    return at_rate(seed, 1000 * MBIT, PLX_SEC(3));
}
static bool rate_10g(uint64_t seed)
{
    return at_rate(seed, 10000 * MBIT, PLX_SEC(3));
}

static bool queue_3(uint64_t seed)
{
    struct world_cfg cfg = {.seed = seed, .up = path(), .down = path()};
    cfg.up.queue_bytes = cfg.down.queue_bytes = 0;
    cfg.up.queue_packets = cfg.down.queue_packets = 3;
    return fetch(&cfg, body(seed), 1, 0, PLX_SEC(60));
}

static bool ecn_marking(uint64_t seed)
{
    struct world_cfg cfg = {.seed = seed, .up = path(), .down = path()};
    cfg.down.ecn_bytes = 60000;
    struct world w;
    world_init(&w, &cfg);
    world_fetch(&w, 0, body(seed), 1, 0);
    bool ok = world_run(&w, in(&w, PLX_SEC(5)), world_all_complete) || fail(&w, "not complete");
    struct plx_sim_link_stats s = plx_sim_link_stats(w.sim, w.down);
    if (ok && (s.marked == 0 || s.lost_by_queue > s.marked)) {
        fprintf(stderr, "  %llu marked, %llu lost by the queue: marks were not heeded\n",
                (unsigned long long)s.marked, (unsigned long long)s.lost_by_queue);
        ok = false;
    }
    return world_fini(&w) && ok;
}

static bool rebinding(uint64_t seed)
{
    struct world_cfg cfg = {.seed = seed, .up = path(), .down = path()};
    cfg.up.rate_bps = cfg.down.rate_bps = 20 * MBIT; // so that it takes long enough
    cfg.up.rebind_every = PLX_SEC(1);                // four times, so no length but this will do
    return fetch(&cfg, ten_mib, 1, 0, PLX_SEC(30));
}

static bool rebinding_ip(uint64_t seed)
{
    struct world_cfg cfg = {.seed = seed, .up = path(), .down = path()};
    cfg.up.rate_bps = cfg.down.rate_bps = 20 * MBIT;
    cfg.up.rebind_every = PLX_SEC(2);
    cfg.up.rebind_ip = true;
    return fetch(&cfg, ten_mib, 1, 0, PLX_SEC(60));
}

static void tune_retry(struct plx_engine_cfg *cfg, bool is_server)
{
    if (is_server)
        cfg->retry = PLX_RETRY_ALWAYS;
}

static bool retry(uint64_t seed)
{
    struct world_cfg cfg = {.seed = seed, .up = path(), .down = path(), .tune = tune_retry};
    cfg.up.loss = cfg.down.loss = 0.02;
    return fetch(&cfg, body(seed), 1, 0, PLX_SEC(100));
}

static void tune_keys(struct plx_engine_cfg *cfg, bool is_server)
{
    cfg->key_update_packets = is_server ? 300 : 170;
}

static bool key_updates(uint64_t seed)
{
    struct world_cfg cfg = {.seed = seed, .up = path(), .down = path(), .tune = tune_keys};
    cfg.up.loss = cfg.down.loss = 0.01;
    cfg.up.reorder = cfg.down.reorder = 0.05;
    return fetch(&cfg, body(seed), 1, 1 * MIB, PLX_SEC(60));
}

static void tune_newreno(struct plx_engine_cfg *cfg, bool is_server)
{
    (void)is_server;
    cfg->congestion = PLX_CONGESTION_NEWRENO;
}

static bool newreno(uint64_t seed)
{
    struct world_cfg cfg = {.seed = seed, .up = path(), .down = path(), .tune = tune_newreno};
    cfg.up.loss = cfg.down.loss = 0.01;
    return fetch(&cfg, body(seed), 1, 0, PLX_SEC(60));
}

// The second connection resumes with what the first was given.
static bool resumption(uint64_t seed)
{
    struct world_cfg cfg = {.seed = seed, .up = path(), .down = path()};
    struct plx_conn_info info;
    struct world w;

    world_init(&w, &cfg);
    world_fetch(&w, 0, (uint64_t[]){1000}, 1, 0);
    bool ok = world_run(&w, in(&w, PLX_SEC(2)), world_all_complete) || fail(&w, "first not complete");
    world_run(&w, in(&w, PLX_MS(200)), NULL); // the ticket
    ok = ok && (w.client[0].session_len > 0 || fail(&w, "no session"));
    if (w.client[0].conn != NULL)
        plx_conn_close(w.client[0].conn, PLX_H3_NO_ERROR, "");
    world_run(&w, in(&w, PLX_SEC(2)), NULL);
    if (ok) {
        world_fetch(&w, 0, (uint64_t[]){1000}, 1, 0);
        ok = world_run(&w, in(&w, PLX_SEC(2)), world_all_complete) || fail(&w, "second not complete");
        plx_conn_info(w.client[0].conn, &info);
        ok = ok && (info.was_resumed || fail(&w, "not resumed"));
    }
    return world_fini(&w) && ok;
}

// The server ends the connection in the middle: the request that is cut off says so, with the code and with who did it.
static bool closed_midway(uint64_t seed)
{
    struct world_cfg cfg = {.seed = seed, .up = path(), .down = path()};
    struct world w;

    world_init(&w, &cfg);
    world_fetch(&w, 0, ten_mib, 1, 0);
    world_run(&w, in(&w, PLX_MS(400)), NULL);
    struct plx_core *k = w.server->cores[0];
    plx_check(!plx_list_is_empty(&k->all));
    plx_conn_close(plx_econn_conn(PLX_CONTAINER(plx_list_first(&k->all), struct plx_econn, all)),
                   PLX_H3_EXCESSIVE_LOAD, "enough");
    world_run(&w, in(&w, PLX_SEC(1)), NULL);
    const struct world_request *r = &w.client[0].request[0];
    const struct plx_close_info *why = &w.client[0].why;
    bool ok = r->got > 0 && r->is_closed && !r->is_complete && r->code == PLX_H3_EXCESSIVE_LOAD &&
              r->is_peer && w.client[0].is_closed && why->how == PLX_CLOSE_APPLICATION &&
              why->code == PLX_H3_EXCESSIVE_LOAD && why->is_peer;
    if (!ok)
        fail(&w, "not told who closed and why");
    return world_fini(&w) && ok;
}

// CUBIC fills a clean path of 100 Mbit/s and 50 ms to 90 % and more (IP octets on the line), over the whole transfer, slow start included.
static bool throughput(uint64_t seed)
{
    struct world_cfg cfg = {.seed = seed, .up = path(), .down = path()};
    cfg.up.delay = cfg.down.delay = PLX_MS(25);
    cfg.up.queue_bytes = cfg.down.queue_bytes = 625000; // one bandwidth-delay product
    struct world w;
    uint64_t size[] = {(is_long(seed) ? 60 : 12) *
                       MIB}; // the shorter ones have not the time to make up for their slow start

    world_init(&w, &cfg);
    world_fetch(&w, 0, size, 1, 0);
    bool ok = world_run(&w, in(&w, PLX_SEC(20)), world_all_complete) || fail(&w, "not complete");
    const struct world_request *r = &w.client[0].request[0];
    double seconds = (double)(r->ended.ns - r->begun.ns) / 1e9;
    double rate = (double)plx_sim_link_stats(w.sim, w.down).bytes * 8 / seconds / 1e6;
    if (ok && is_long(seed) && rate < 90) {
        fprintf(stderr, "  %.1f Mbit/s of 100, %.1f of them body\n", rate,
                (double)size[0] * 8 / seconds / 1e6);
        ok = false;
    }
    return world_fini(&w) && ok;
}

// Two clients share the path down: between 60:40 and 40:60, the first with a second's start. A queue of one round trip; jitter of four
// packets' time on the link; over 400 s from 15 s on, which is some 50 congestion events of each. Over less, or over a link without any
// noise, CUBIC as such is not held to that bound: see two_cubics.c and docs/decisions/0023-what-fair-means.md.
static bool fairness(uint64_t seed)
{
    struct world_cfg cfg = {.seed = seed, .up = path(), .down = path(), .clients = 2};
    cfg.up.delay = cfg.down.delay = PLX_MS(25);
    cfg.up.queue_bytes = cfg.down.queue_bytes = 625000;
    cfg.up.jitter = cfg.down.jitter = PLX_US(500);
    enum { REQUESTS = 120 }; // more than the path carries in that time
    uint64_t sizes[REQUESTS], before[2], got[2];
    struct world w;

    for (unsigned j = 0; j < REQUESTS; j++)
        sizes[j] = 60 * MIB;
    world_init(&w, &cfg);
    world_fetch(&w, 0, sizes, REQUESTS, 0);
    world_run(&w, in(&w, PLX_SEC(1)), NULL);
    world_fetch(&w, 1, sizes, REQUESTS, 0);
    world_run(&w, in(&w, PLX_SEC(15)), NULL);
    for (unsigned pass = 0; pass < 2; pass++) {
        for (unsigned i = 0; i < 2; i++) {
            got[i] = 0;
            for (unsigned j = 0; j < REQUESTS; j++)
                got[i] += w.client[i].request[j].got;
            if (pass == 0)
                before[i] = got[i];
        }
        if (pass == 0)
            world_run(&w, in(&w, PLX_SEC(400)), NULL);
    }
    double a = (double)(got[0] - before[0]), b = (double)(got[1] - before[1]);
    bool ok = a / (a + b) >= 0.4 && a / (a + b) <= 0.6;
    printf("  seed %llu: shares %.1f : %.1f\n", (unsigned long long)seed, 100 * a / (a + b),
           100 * b / (a + b));
    return world_fini(&w) && ok;
}

// ------------------------------------------------------------------------------------------------------------

static const struct seeds_row scenario[] = {
    {"clean", clean, 1, 1},
    {"upload", upload, 1, 1},
    {"many_requests", many_requests, 1, 1},
    {"one_lost_up", one_lost_up, 1, 1},
    {"one_lost_down", one_lost_down, 1, 1},
    {"loss_1", loss_1, 1, 1},
    {"loss_5", loss_5, 1, 1},
    {"loss_10", loss_10, 1, 1},
    {"loss_20", loss_20, 1, 1},
    {"reorder_10", reorder_10, 1, 1},
    {"duplicate_10", duplicate_10, 1, 1},
    {"corrupt_1", corrupt_1, 1, 1},
    {"everything_at_once", everything_at_once, 1, 1},
    {"satellite", satellite, 1, 1},
    {"rate_64k", rate_64k, 1, 1},
    {"rate_1m", rate_1m, 1, 1},
    {"rate_1g", rate_1g, 1, 1},
    {"rate_10g", rate_10g, 1, 1},
    {"queue_3", queue_3, 1, 1},
    {"ecn_marking", ecn_marking, 1, 1},
    {"rebinding", rebinding, 1, 1},
    {"rebinding_ip", rebinding_ip, 1, 1},
    {"retry", retry, 1, 1},
    {"key_updates", key_updates, 1, 1},
    {"newreno", newreno, 1, 1},
    {"resumption", resumption, 1, 1},
    {"closed_midway", closed_midway, 1, 1},
    {"throughput", throughput, 1, 1},
    {"fairness", fairness, 50, 250}, // five gigabytes each
};

int main(int argc, char **argv)
{
    return seeds_main(argc, argv, scenario, sizeof scenario / sizeof *scenario);
}
