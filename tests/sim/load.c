// load.c -- the load generator's arithmetic, in virtual time: plx-load's own code against a stand-in server with known delays.
//
// Nothing here depends on the machine, so the figures can be held to one per cent, and counts to the last request: what a server that
// stalls for a second did to everybody who was due meanwhile (coordinated omission), what happens when streams or connections run out,
// quotas, weights, sessions.

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/time.h"
#include "apps/load/load.h"
#include "tests/sim/world.h"
#include "tests/standin/standin.h"

static struct load load;
static struct standin standin;
static unsigned failures;
static const char *scenario;

static const uint64_t one_way_us = 25;

#define EXPECT(what, ...)                                           \
    do {                                                            \
        if (!(what)) {                                              \
            fprintf(stderr, "%s: not so: %s\n  ", scenario, #what); \
            fprintf(stderr, __VA_ARGS__);                           \
            fputc('\n', stderr);                                    \
            failures++;                                             \
        }                                                           \
    } while (0)

// --- a run --------------------------------------------------------------------------------------------------

static bool server_takes_early;
static uint32_t server_streams; // the server's limit per connection, 0: as the stand-in has it

static void tune(struct plx_engine_cfg *cfg, bool is_server)
{
    cfg->streams_max = 65536;
    if (is_server) {
        standin_init(&standin, cfg);
        cfg->early_data = server_takes_early;
        if (server_streams > 0)
            cfg->streams_bidi = server_streams;
        cfg->conns_max = cfg->handshakes_max = 4096;
        return;
    }
    cfg->conns_max = cfg->handshakes_max = 4096;
    cfg->h3 = &load_h3_handler;
    cfg->ctx = &load;
    cfg->on_alarm = load_on_alarm;
    cfg->on_tick = load_on_tick;
    cfg->tick = PLX_MS(50);
}

static bool is_over(struct world *w)
{
    (void)w;
    return load.done > 0 || load.is_failed;
}

static struct load_opts defaults(void)
{
    static char *url = "https://localhost/";
    return (struct load_opts){.urls = &url,
                              .url_count = 1,
                              .connections = 1,
                              .streams = 1,
                              .workers = 1,
                              .timeout = PLX_SEC(10),
                              .connect_timeout = PLX_SEC(10),
                              .status = LOAD_ANY,
                              .length = LOAD_ANY,
                              .crc32 = LOAD_ANY,
                              .shared_port = true,
                              .quiet = true};
}

static struct report *run(struct load_opts opts)
{
    struct world w;
    struct load_worker *worker;
    char err[512];
    struct plx_sim_link_cfg link = {.delay = PLX_US(one_way_us)};

    load = (struct load){.opts = opts, .worker_count = 1, .is_open_loop = opts.rate > 0};
    world_init(&w, &(struct world_cfg){.seed = 1, .up = link, .down = link, .tune = tune});
    load.engine = w.client[0].engine;
    load.peer = w.server_addr;
    load.start = plx_time_after(w.now, PLX_MS(10));
    load.begin = plx_time_after(load.start, opts.warmup);
    load.end = opts.duration.ns > 0 ? plx_time_after(load.begin, opts.duration) : PLX_NEVER;
    plx_check(load_mix(&load, err, sizeof err));
    worker = load.workers = calloc(1, sizeof *worker);
    plx_check(worker != NULL && load_worker_init(worker, &load, 0));
    struct plx_core *core = load.engine->cores[0];
    core->user = load_core_start(&load, core);
    bool ended = world_run(&w, plx_time_after(w.now, PLX_SEC(600)), is_over);
    EXPECT(ended && !load.is_failed, "after 600 s: %llu sent", (unsigned long long)worker->report.all_sent);
    EXPECT(world_fini(&w), "something was left behind");
    return &worker->report;
}

static void run_end(void)
{
    load_worker_fini(load.workers);
    free(load.workers);
    load_mix_free(&load);
    standin_fini(&standin);
    memset(&standin, 0, sizeof standin);
    server_streams = 0;
    server_takes_early = false;
}

static void delays(const uint64_t *ms, unsigned count)
{
    standin.delay_count = count;
    for (unsigned i = 0; i < count; i++)
        standin.delays[i] = PLX_MS(ms[i]);
}

// --- figures ------------------------------------------------------------------------------------------------

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void expect_percentiles(const struct hist *h, uint64_t *truth, uint64_t count)
{
    static const double at[] = {1, 10, 25, 33, 34, 50, 60, 66, 67, 75, 90, 95, 99, 99.9, 99.99, 100};

    qsort(truth, count, sizeof *truth, by_size);
    EXPECT(h->count == count, "%llu measured, %llu due", (unsigned long long)h->count,
           (unsigned long long)count);
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        uint64_t idx = (uint64_t)ceil(at[i] / 100 * (double)count - 1e-9);
        double want = (double)truth[idx < 1 ? 0 : idx - 1], got = (double)hist_at(h, at[i]);
        EXPECT(fabs(got - want) <= 0.01 * want, "%g %%: %.3f ms, but it was %.3f ms", at[i], got / 1e6,
               want / 1e6);
    }
}

static bool known_delays(bool has_stall)
{
    static const uint64_t ms[] = {10, 50, 200};
    struct load_opts o = defaults();
    double rate = 700;
    uint64_t rtt = 2 * one_way_us * 1000;

    delays(ms, 3);
    if (has_stall) {
        standin.stall_after = PLX_SEC(4);
        standin.stall = PLX_SEC(1);
    }
    o.rate = rate;
    o.connections = 4;
    o.streams = 1000;
    o.warmup = PLX_SEC(1);
    o.duration = PLX_SEC(10);
    struct report *r = run(o);

    // The server's side of the story: the k-th request reaches it half a round trip after it was due, except those that were due
    // before there was a connection.
    uint64_t first = (uint64_t)(rate * 1), count = (uint64_t)(rate * 10),
             *truth = calloc(count, sizeof *truth);
    uint64_t stall = standin.frozen_until.ns, stalled_from = stall - standin.stall.ns;
    plx_check(truth != NULL);
    for (uint64_t k = 0; k < count; k++) {
        uint64_t due = load.start.ns + (uint64_t)((double)(first + k) * 1e9 / rate), came = due + rtt / 2;
        bool is_held = has_stall && came >= stalled_from && came < stall;
        uint64_t answered = (is_held ? stall : came) + ms[(first + k) % 3] * 1000000;
        if (has_stall && answered >= stalled_from && answered < stall)
            answered = stall;
        truth[k] = answered + rtt / 2 - due;
    }
    expect_percentiles(&r->hist[HIST_REQUEST], truth, count);
    expect_percentiles(&r->hist[HIST_TTFB], truth, count);
    EXPECT(r->late == 0 && r->failed == 0, "%llu late, %llu failed", (unsigned long long)r->late,
           (unsigned long long)r->failed);
    if (has_stall)
        EXPECT(r->hist[HIST_REQUEST].max > 1000000000, "%llu", (unsigned long long)r->hist[HIST_REQUEST].max);
    free(truth);
    run_end();
    return failures == 0;
}

// --- scenarios ----------------------------------------------------------------------------------------------

static bool known(void)
{
    return known_delays(false);
}

static bool stall(void)
{
    return known_delays(true);
}

// One answer per second and connection is all that the server gives, and more than that is due: it must show in the latencies, as
// waiting and not as lateness of ours, and what never found room is an error.
static bool no_room(void)
{
    static const uint64_t ms[] = {1000};
    struct load_opts o = defaults();

    delays(ms, 1);
    server_streams = 1;
    o.rate = 10;
    o.connections = 4;
    o.streams = 100;
    o.duration = PLX_SEC(10);
    o.timeout = PLX_SEC(4);
    struct report *r = run(o);
    EXPECT(r->requests == 100, "%llu", (unsigned long long)r->requests);
    EXPECT(r->late == 0, "%llu", (unsigned long long)r->late);
    EXPECT(r->waited > 50, "%llu", (unsigned long long)r->waited);
    EXPECT(r->errors[ERROR_unsent] > 20 && r->errors[ERROR_unsent] < 60, "%llu",
           (unsigned long long)r->errors[ERROR_unsent]);
    EXPECT(r->ok + r->failed == r->requests, "%llu + %llu", (unsigned long long)r->ok,
           (unsigned long long)r->failed);
    EXPECT(r->hist[HIST_REQUEST].max > 5000000000, "%llu", (unsigned long long)r->hist[HIST_REQUEST].max);
    run_end();
    return failures == 0;
}

// A closed loop of 8 over 100 ms: 80 a second, exactly as many as were asked for.
static bool closed(void)
{
    static const uint64_t ms[] = {100};
    struct load_opts o = defaults();

    delays(ms, 1);
    o.connections = 2;
    o.streams = 4;
    o.requests = 801;
    struct report *r = run(o);
    EXPECT(r->requests == 801 && r->ok == 801 && r->failed == 0, "%llu", (unsigned long long)r->ok);
    EXPECT(standin.record_count == 801, "%llu", (unsigned long long)standin.record_count);
    EXPECT(r->status[200] == 801, "%llu", (unsigned long long)r->status[200]);
    EXPECT(r->connections == 2 && r->connections_lost == 0, "%llu", (unsigned long long)r->connections);
    double rate = report_rate(r);
    EXPECT(rate > 78 && rate < 81, "%g", rate);
    EXPECT(fabs((double)hist_at(&r->hist[HIST_REQUEST], 99) / 1e6 - 100) < 1, "%llu",
           (unsigned long long)hist_at(&r->hist[HIST_REQUEST], 99));
    run_end();
    return failures == 0;
}

// Warm-up is not counted, and the drain is waited for.
static bool window(void)
{
    static const uint64_t ms[] = {300};
    struct load_opts o = defaults();

    delays(ms, 1);
    o.streams = 3;
    o.warmup = PLX_SEC(1);
    o.duration = PLX_SEC(2);
    struct report *r = run(o);
    EXPECT(r->all_ok == standin.record_count && r->all_failed == 0, "%llu", (unsigned long long)r->all_ok);
    EXPECT(r->all_ok > r->ok && r->ok == r->requests, "%llu of %llu", (unsigned long long)r->ok,
           (unsigned long long)r->all_ok);
    EXPECT(r->requests >= 18 && r->requests <= 21, "%llu", (unsigned long long)r->requests);
    EXPECT(r->window_ns == 2000000000, "%llu", (unsigned long long)r->window_ns);
    run_end();
    return failures == 0;
}

// Connections on schedule, one request each, resumed from the second on.
static bool connections(void)
{
    static const uint64_t ms[] = {20};
    struct load_opts o = defaults();

    delays(ms, 1);
    o.conn_rate = 50;
    o.connections = 100;
    o.requests_per_conn = 1;
    o.duration = PLX_SEC(4);
    o.resume = true;
    struct report *r = run(o);
    EXPECT(r->connections == 200 && r->connections_failed == 0, "%llu", (unsigned long long)r->connections);
    EXPECT(r->resumed >= 198 && r->resumed < 200, "%llu", (unsigned long long)r->resumed);
    EXPECT(r->ok >= 199 && r->all_ok == standin.record_count, "%llu", (unsigned long long)r->ok);
    EXPECT(r->hist[HIST_HANDSHAKE].count == 200, "%llu", (unsigned long long)r->hist[HIST_HANDSHAKE].count);
    run_end();

    o = defaults();
    delays(ms, 1);
    o.connections = 5;
    o.streams = 2;
    o.requests_per_conn = 4;
    o.requests = 40;
    r = run(o);
    EXPECT(r->ok == 40 && standin.record_count == 40, "%llu", (unsigned long long)r->ok);
    EXPECT(r->connections >= 10 && r->connections <= 15 && r->connections_lost == 0, "%llu",
           (unsigned long long)r->connections);
    EXPECT(r->resumed == 0, "%llu", (unsigned long long)r->resumed);
    run_end();

    o = defaults();
    delays(ms, 1);
    o.connections = 4;
    o.churn = 10;
    o.duration = PLX_SEC(5);
    r = run(o);
    EXPECT(r->connections >= 50 && r->connections <= 54 && r->connections_lost == 0, "%llu",
           (unsigned long long)r->connections);
    EXPECT(r->failed == 0 && r->all_ok == standin.record_count, "%llu", (unsigned long long)r->failed);
    run_end();
    return failures == 0;
}

// Early data: answers come one round trip earlier, and every request is counted once, whoever refuses what.
static bool early(void)
{
    static const uint64_t ms[] = {0};
    for (unsigned is_taken = 0; is_taken < 2; is_taken++) {
        for (unsigned is_post = 0; is_post < 2; is_post++) {
            struct load_opts o = defaults();
            delays(ms, 1);
            server_takes_early = is_taken;
            o.connections = 4;
            o.requests_per_conn = 1;
            o.requests = 200;
            o.resume = o.early_data = true;
            o.method = is_post ? "POST" : NULL;
            struct report *r = run(o);
            EXPECT(r->ok == 200 && standin.record_count == 200, "%llu", (unsigned long long)r->ok);
            EXPECT(r->connections_lost + r->connections_failed + report_errors(r) == 0, "%llu",
                   (unsigned long long)report_errors(r));
            EXPECT(is_taken ? r->early_accepted >= 196 : r->early_accepted == 0, "%llu",
                   (unsigned long long)r->early_accepted);
            EXPECT(r->early_refused == 0, "%llu", (unsigned long long)r->early_refused);
            run_end();
        }
    }
    // Several on each connection: the first ones go early, the rest follows on the same connections.
    struct load_opts o = defaults();
    delays(ms, 1);
    server_takes_early = true;
    o.connections = 3;
    o.streams = 4;
    o.requests_per_conn = 10;
    o.requests = 300;
    o.resume = o.early_data = true;
    struct report *r = run(o);
    EXPECT(r->ok == 300 && standin.record_count == 300, "%llu", (unsigned long long)r->ok);
    EXPECT(r->early_accepted >= 27 && r->connections_lost == 0, "%llu",
           (unsigned long long)r->early_accepted);
    run_end();
    return failures == 0;
}

// A server that sends its clients away after some requests, as many do: not one request is lost, at the end of the run neither.
static bool goaway(void)
{
    static const uint64_t ms[] = {20};
    struct report *r;

    for (unsigned streams = 1; streams <= 30; streams += 29) {
        struct load_opts o = defaults();
        delays(ms, 1);
        standin.goaway_after = 10;
        o.connections = 3;
        o.streams = streams;
        o.duration = PLX_SEC(3);
        r = run(o);
        EXPECT(r->failed == 0 && r->all_failed == 0 && report_errors(r) == 0, "%llu",
               (unsigned long long)report_errors(r));
        EXPECT(r->ok == r->requests && r->all_ok == standin.record_count, "%llu of %llu",
               (unsigned long long)r->ok, (unsigned long long)r->requests);
        EXPECT(r->all_sent == r->all_ok + r->retried, "%llu", (unsigned long long)r->all_sent);
        EXPECT(r->connections > 30 && r->connections_lost == 0 && r->connections_failed == 0, "%llu",
               (unsigned long long)r->connections);
        run_end();
    }
    return failures == 0;
}

// What is not answered in time is an error; what is answered wrongly is one, by kind.
static bool errors(void)
{
    static const uint64_t slow[] = {3000}, quick[] = {1};
    struct load_opts o = defaults();

    delays(slow, 1);
    o.requests = 3;
    o.timeout = PLX_SEC(1);
    struct report *r = run(o);
    EXPECT(r->failed == 3 && r->errors[ERROR_timeout] == 3 && r->ok == 0, "%llu",
           (unsigned long long)r->failed);
    run_end();
    for (unsigned i = 0; i < 3; i++) {
        o = defaults();
        delays(quick, 1);
        o.requests = 5;
        *(i == 0 ? &o.status : i == 1 ? &o.length : &o.crc32) = i == 0 ? 404 : 3;
        r = run(o);
        enum error_kind kind = i == 0 ? ERROR_status : i == 1 ? ERROR_length : ERROR_checksum;
        EXPECT(r->errors[kind] == 5 && report_errors(r) == 5 && r->failed == 5, "%u: %llu", i,
               (unsigned long long)r->errors[kind]);
        run_end();
    }
    o = defaults();
    delays(quick, 1);
    o.requests = 5;
    o.status = 200;
    o.length = 2;
    o.crc32 = 0x79dcdd47; // of "ok"
    r = run(o);
    EXPECT(r->ok == 5 && report_errors(r) == 0, "%llu", (unsigned long long)r->ok);
    run_end();
    return failures == 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        bool (*run)(void);
    } row[] = {{"known", known},   {"stall", stall},   {"no_room", no_room}, {"closed", closed},
               {"goaway", goaway}, {"window", window}, {"errors", errors},   {"connections", connections},
               {"early", early}};
    unsigned ran = 0;

    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        if (argc > 1 && strcmp(argv[1], row[i].name) != 0)
            continue;
        scenario = row[i].name;
        failures = 0;
        printf("%s load_%s\n", row[i].run() ? "ok" : "not ok", row[i].name);
        ran++;
        if (failures > 0)
            return 1;
    }
    return ran > 0 ? 0 : 1;
}
