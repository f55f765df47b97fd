// cores.c -- what a second worker gives, and what a packet costs that lands on the wrong one.
//
// One server engine with a worker per core over a fan of loops (fan.h), and for each worker a client engine on the same core: a lane. A
// thread per lane, pinned, lets its client and its worker breathe in turn, in real time. So a core does nothing but requests from both
// sides, there is no kernel and no NIC, and two lanes share what two workers share: the engine, its mailboxes, the machine's caches and
// memory. Three arrangements in turn, several rounds of each:
//
//   one      one worker
//   several  --workers of them, each packet on the right one
//   wrong    the same with every packet on the wrong one: each is handed over, and its buffer comes back
//
// Throughput is the sum over the lanes; the fastest round counts, and the median beside it shows the noise. "wrong" against "several" gives
// the price of a packet that is handed over, everything included: mailboxes both ways, and its octets in another core's cache.
//
// With --one-thread the lanes take turns in a single thread: the ratio then says nothing, but the price is that of the instructions alone.

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/time.h"
#include "bench/wire/fan.h"
#include "bench/wire/lane.h"
#include "bench/wire/options.h"
#include "engine/clock.h"

enum { ROUNDS_MAX = 64, TRIES_MAX = 50 };
enum way { ONE, SEVERAL, WRONG, WAYS };

static const char usage[] =
    "Usage: cores [OPTION...]\n"
    "\n"
    "Requests per second of one worker, of several, and of several that get each other's packets, over loop.\n"
    "\n"
    "  --workers N      several (2); each wants a core of its own\n"
    "  --conns N        connections of each (64)\n"
    "  --in-flight N    requests in flight on each connection (1)\n"
    "  --body OCTETS    of each answer (64)\n"
    "  --ms N           milliseconds of each round (500)\n"
    "  --rounds N       (9)\n"
    "  --one-thread     all workers take turns in one thread\n"
    "  --json FILE      every round, there\n"
    "  --help           this\n";

static struct {
    uint64_t workers, ms, rounds;
    struct lane_cfg lane;
    bool one_thread;
    const char *json;
} opt = {.workers = 2, .ms = 500, .rounds = 9, .lane = {.conns = 64, .in_flight = 1, .body = 64}};

struct round {
    plx_time begin, end;
    double rate;    // requests per second, all lanes together
    double lane_ns; // of a core per request, both sides
    double handed;  // over, per request
    double packets; // that reached the server, per request
    double had;     // the share of the time that its threads had a processor: others want one, too
};

// --- running ------------------------------------------------------------------------------------------------

static void pin(unsigned lane)
{
    cpu_set_t all, one;
    unsigned at = 0;

    CPU_ZERO(&one);
    if (sched_getaffinity(0, sizeof all, &all) != 0)
        return;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &all) && at++ == lane)
            CPU_SET(cpu, &one);
    if (CPU_COUNT(&one) == 1)
        (void)pthread_setaffinity_np(pthread_self(), sizeof one, &one);
}

struct runner {
    struct lane *lane;
    pthread_barrier_t *start;
    pthread_t thread;
    unsigned index;
    uint64_t requests, ns, had_ns;
};

static uint64_t thread_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void *runner_main(void *arg)
{
    struct runner *r = arg;

    pin(r->index);
    lane_start(r->lane);
    pthread_barrier_wait(r->start);
    plx_time begin = plx_clock_now(), end = plx_time_after(begin, PLX_MS(opt.ms)), now = begin;
    uint64_t before = lane_ended(r->lane), had = thread_ns();
    while (plx_time_lt(now, end)) {
        lane_turn(r->lane, now);
        now = plx_clock_now();
    }
    r->requests = lane_ended(r->lane) - before;
    r->ns = plx_time_since(now, begin).ns;
    r->had_ns = thread_ns() - had;
    pthread_barrier_wait(
        r->start); // nobody leaves before all have counted: the others may need what it forwards
    return NULL;
}

static void run_threads(struct lanes *l, struct runner *r)
{
    pthread_barrier_t start;

    pthread_barrier_init(&start, NULL, l->count);
    for (unsigned i = 0; i < l->count; i++) {
        r[i] = (struct runner){.lane = l->lane[i], .start = &start, .index = i};
        plx_check(pthread_create(&r[i].thread, NULL, runner_main, &r[i]) == 0);
    }
    for (unsigned i = 0; i < l->count; i++)
        pthread_join(r[i].thread, NULL);
    pthread_barrier_destroy(&start);
}

static void run_in_turn(struct lanes *l, struct runner *r)
{
    plx_time begin = plx_clock_now(), end = plx_time_after(begin, PLX_MS(opt.ms)), now = begin;
    uint64_t had = thread_ns();

    for (unsigned i = 0; i < l->count; i++) {
        lane_start(l->lane[i]);
        r[i] = (struct runner){.requests = lane_ended(l->lane[i])};
    }
    while (plx_time_lt(now, end))
        for (unsigned i = 0; i < l->count; i++) {
            lane_turn(l->lane[i], now);
            now = plx_clock_now();
        }
    for (unsigned i = 0; i < l->count; i++) { // each had a share of the time
        r[i].requests = lane_ended(l->lane[i]) - r[i].requests;
        r[i].ns = plx_time_since(now, begin).ns;
        r[i].had_ns = thread_ns() - had;
    }
}

// What the lanes do in a round's time. False: no request was answered.
static bool round_try(struct lanes *l, struct runner *r, struct lanes_count *a, struct lanes_count *b,
                      struct round *out)
{
    uint64_t requests = 0;

    lanes_count(l, a);
    plx_time begin = plx_clock_now();
    (opt.one_thread ? run_in_turn : run_threads)(l, r);
    *out = (struct round){.begin = begin, .end = plx_clock_now()};
    lanes_rest(l); // nothing is under way when the switch may be moved
    lanes_count(l, b);
    for (unsigned i = 0; i < l->count; i++)
        requests += r[i].requests;
    return requests != 0 && b->ended != a->ended;
}

static void round_run(struct lanes *l, bool is_wrong, struct round *out)
{
    static struct runner r[FAN_QUEUES_MAX];
    struct lanes_count a, b;
    uint64_t requests = 0, ns = 0, had_ns = 0;
    unsigned tries = 1;

    l->fan->is_crossed = is_wrong;
    while (!round_try(l, r, &a, &b, out)) // where others had a processor all the time, nothing was measured
        if (tries++ == TRIES_MAX) {
            fprintf(stderr, "cores: no request was answered in %llu ms, %d times; raise --ms\n",
                    (unsigned long long)opt.ms, TRIES_MAX);
            exit(1);
        }
    for (unsigned i = 0; i < l->count; i++) {
        requests += r[i].requests;
        ns += r[i].ns;
        had_ns += r[i].had_ns;
        out->rate += (double)r[i].requests * 1e9 / (double)r[i].ns;
    }
    out->lane_ns = (double)ns / (double)requests / (opt.one_thread ? l->count : 1);
    out->had = (double)had_ns / (double)ns;
    out->handed = (double)(b.handed_over - a.handed_over) / (double)(b.ended - a.ended);
    out->packets = (double)(b.datagrams_rx - a.datagrams_rx) / (double)(b.ended - a.ended);
}

// --- showing ------------------------------------------------------------------------------------------------

static int by_rate(const void *a, const void *b)
{
    double x = ((const struct round *)a)->rate, y = ((const struct round *)b)->rate;
    return x > y ? -1 : x < y;
}

static const char *const way_name[WAYS] = {"one", "several", "wrong"};

static void show(struct round of[WAYS][ROUNDS_MAX])
{
    const unsigned middle = (unsigned)opt.rounds / 2;

    printf("%-8s %7s %12s %7s %12s %7s %10s %10s\n", "", "workers", "requests/s", "ratio", "median", "ratio",
           "rx/req", "handed/req");
    for (unsigned w = 0; w < WAYS; w++) {
        qsort(of[w], opt.rounds, sizeof of[w][0], by_rate);
        printf("%-8s %7u %12.0f %7.3f %12.0f %7.3f %10.3f %10.3f\n", way_name[w],
               w == ONE ? 1 : (unsigned)opt.workers, of[w][0].rate, of[w][0].rate / of[ONE][0].rate,
               of[w][middle].rate, of[w][middle].rate / of[ONE][middle].rate, of[w][0].packets,
               of[w][0].handed);
    }
    printf("a packet handed over: %.1f ns of a core (fastest rounds), %.1f ns (medians)\n",
           (of[WRONG][0].lane_ns - of[SEVERAL][0].lane_ns) / of[WRONG][0].handed,
           (of[WRONG][middle].lane_ns - of[SEVERAL][middle].lane_ns) / of[WRONG][middle].handed);
}

// In the order in which they were run; on the clock of bench/twins, which may have run beside them.
static void write_json(FILE *f, const struct round of[WAYS][ROUNDS_MAX])
{
    fprintf(f, "{\"workers\": %llu, \"rounds\": [", (unsigned long long)opt.workers);
    for (unsigned i = 0; i < opt.rounds; i++)
        for (unsigned w = 0; w < WAYS; w++)
            fprintf(
                f,
                "%s\n  {\"way\": \"%s\", \"begin_ns\": %llu, \"end_ns\": %llu, \"rate\": %.0f, \"had\": %.3f}",
                i + w > 0 ? "," : "", way_name[w], (unsigned long long)of[w][i].begin.ns,
                (unsigned long long)of[w][i].end.ns, of[w][i].rate, of[w][i].had);
    fprintf(f, "]}\n");
}

// --- options ------------------------------------------------------------------------------------------------

static uint64_t number(const char *option, const char *text, uint64_t min, uint64_t max)
{
    return option_number("cores", option, text, min, max);
}

static void options(int argc, char **argv)
{
    static const struct option names[] = {{"workers", 1, NULL, 'w'},    {"conns", 1, NULL, 'c'},
                                          {"in-flight", 1, NULL, 'm'},  {"body", 1, NULL, 'b'},
                                          {"ms", 1, NULL, 't'},         {"rounds", 1, NULL, 'r'},
                                          {"one-thread", 0, NULL, '1'}, {"json", 1, NULL, 'j'},
                                          {"help", 0, NULL, 'h'},       {0}};
    int o, at;

    while ((o = getopt_long(argc, argv, "h", names, &at)) != -1) {
        const char *name = o == 'h' || o == '?' ? "" : names[at].name;
        switch (o) {
        case 'w':
            opt.workers = number(name, optarg, 2, FAN_QUEUES_MAX);
            break;
        case 'c':
            opt.lane.conns = (uint32_t)number(name, optarg, 1, 1 << 16);
            break;
        case 'm':
            opt.lane.in_flight = (uint32_t)number(name, optarg, 1, 100);
            break;
        case 'b':
            opt.lane.body = number(name, optarg, 1, 1 << 24);
            break;
        case 't':
            opt.ms = number(name, optarg, 1, 600000);
            break;
        case 'r':
            opt.rounds = number(name, optarg, 1, ROUNDS_MAX);
            break;
        case '1':
            opt.one_thread = true;
            break;
        case 'j':
            opt.json = optarg;
            break;
        default:
            option_other("cores", o, usage);
        }
    }
    option_end("cores", argc, argv);
}

int main(int argc, char **argv)
{
    static struct round of[WAYS][ROUNDS_MAX];
    static const uint16_t only = 1;
    cpu_set_t all;

    options(argc, argv);
    FILE *json = opt.json != NULL ? fopen(opt.json, "w") : NULL;
    if (opt.json != NULL && json == NULL) {
        fprintf(stderr, "cores: %s cannot be written\n", opt.json);
        return 1;
    }
    if (!opt.one_thread && sched_getaffinity(0, sizeof all, &all) == 0 && CPU_COUNT(&all) < (int)opt.workers)
        fprintf(stderr, "cores: %llu workers on %d CPUs: they share, and the ratio says little\n",
                (unsigned long long)opt.workers, CPU_COUNT(&all));
    struct lanes *one = lanes_new(only, &opt.lane), *several = lanes_new((uint16_t)opt.workers, &opt.lane);
    for (unsigned i = 0; i < opt.rounds + 1; i++) { // one more to warm up, which the next overwrites
        unsigned at = i > 0 ? i - 1 : 0;
        round_run(one, false, &of[ONE][at]);
        round_run(several, false, &of[SEVERAL][at]);
        round_run(several, true, &of[WRONG][at]);
    }
    if (json != NULL)
        write_json(json, of);
    bool is_told = json == NULL || fclose(json) == 0;
    show(of);
    lanes_free(several);
    lanes_free(one);
    return is_told ? 0 : 1;
}
