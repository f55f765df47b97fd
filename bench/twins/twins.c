// twins.c -- where the hypervisor has put two processors: on one core, in one cache, or in two.
//
// A virtual machine is told a topology, and the host schedules as it likes. Two processors that are cores of their own by what the machine
// says can be, for a tenth of a second or for minutes, the two threads of one core (each then does half of its work), neighbours that
// share a third-level cache (what one has written the other has after 50 ns), or cores of two dies (after 200). Two programs that hand each
// other kilobytes have two speeds by that, and no counter inside the machine tells. Two measurements of microseconds do:
//
//   work        both do arithmetic that fills a core's units, at the same time; told as a share of what each did alone, at the start
//   round trip  a line of memory goes from one to the other and back
//
// A sample is both. A thread for each processor, pinned and, where it may, before everything else (SCHED_FIFO), sleeps until the moment of
// the sample, waits for LEAD so that its twin is awake too, and measures. That is a third of a millisecond, so samples may be taken while
// something else is measured: ten a second cost 0.3 %. What interrupts a thread (the host, the kernel) is seen as a gap between two readings
// of the clock, and not counted as work; a sample with many gaps, or for which a thread came late, says that it was disturbed.
//
// What a sample means is not decided here: bench/lib/twins.py does.

#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/time.h"
#include "bench/wire/options.h"
#include "engine/clock.h"

enum {
    SAMPLES_MAX = 1 << 17,
    PIECE = 500,     // loops between two readings of the clock: about a microsecond
    GAP_NS = 10000,  // a piece that took so long was interrupted
    LEAD_US = 100,   // from waking up to a sample: its twin wakes up meanwhile
    WORK_US = 150,   // of arithmetic
    PAUSE_US = 20,   // until both have ended it
    RALLY_US = 500,  // for the round trips, at most
    TRIPS = 100,     // round trips of a sample
    ALONE_MS = 2,    // of arithmetic by one processor alone, at the start …
    ALONE_TIMES = 3, // … in turn, so often
    SERVE = 1 << 20, // a sample's numbers on the ball: more than it has trips
};

static const char usage[] =
    "Usage: twins [OPTION...]\n"
    "\n"
    "How two processors work side by side: what a hypervisor does not tell about them.\n"
    "\n"
    "  --cpus A,B       the processors (0,1)\n"
    "  --samples N      so many, and the end (30); 0: until SIGTERM or SIGINT\n"
    "  --every MS       a sample (10)\n"
    "  --json FILE      every sample, there\n"
    "  --help           this\n";

static struct {
    unsigned cpu[2];
    uint64_t samples, every_ms;
    const char *json;
} opt = {.cpu = {0, 1}, .samples = 30, .every_ms = 10};

struct work {
    uint64_t loops, ns, lost_ns; // done, in that time; and time of interruptions, which is not in it
};

struct side { // what one processor saw of a sample
    struct work work;
    bool is_late;
};

struct sample {
    plx_time at;
    struct side side[2];
    double trip_ns; // 0: the ball did not come back
};

struct twin {
    unsigned id;
    pthread_t thread;
    bool is_first;             // of whatever wants to run
    double alone;              // loops per nanosecond
    atomic_uint_fast64_t done; // samples; release: what they say may be read
    pthread_barrier_t *step;
};

static struct sample sample[SAMPLES_MAX];
static plx_time start;
static _Alignas(128) atomic_uint_fast64_t ball;

static plx_dur us(uint64_t n)
{
    return (plx_dur){n * 1000};
}

static double rate(const struct work *w)
{
    return w->ns > 0 ? (double)w->loops / (double)w->ns : 0;
}

// --- measuring ----------------------------------------------------------------------------------------------

static void wait_for(plx_time at)
{
    while (!plx_time_reached(at, plx_clock_now())) {
    }
}

#define ADDS "add %8,%0\n add %8,%1\n add %8,%2\n add %8,%3\n add %8,%4\n add %8,%5\n add %8,%6\n add %8,%7\n"

// Eight chains of additions that do not wait for each other: whatever the core has of adders is busy, and a second thread on it finds no room.
static struct work work_until(plx_time end)
{
    struct work w = {0};
    uint64_t a[8] = {0};
    plx_time before = plx_clock_now(), now = before;

    while (!plx_time_reached(end, now)) {
        for (unsigned i = 0; i < PIECE; i++)
            __asm__ volatile(ADDS ADDS ADDS
                             : "+r"(a[0]), "+r"(a[1]), "+r"(a[2]), "+r"(a[3]), "+r"(a[4]), "+r"(a[5]),
                               "+r"(a[6]), "+r"(a[7])
                             : "r"(end.ns)
                             : "cc");
        now = plx_clock_now();
        uint64_t took = plx_time_since(now, before).ns;
        if (took < GAP_NS) {
            w.loops += PIECE;
            w.ns += took;
        } else {
            w.lost_ns += took;
        }
        before = now;
    }
    return w;
}

// The first serves: its number on the ball is odd, the answer even, and the last one ends the sample.
static double rally_serve(uint64_t base, plx_time end)
{
    plx_time begin = plx_clock_now();
    unsigned trips = 0;

    while (trips < TRIPS) {
        uint64_t mine = base + 2 * trips + 1;
        atomic_store_explicit(&ball, mine, memory_order_release);
        for (unsigned spins = 0; atomic_load_explicit(&ball, memory_order_acquire) == mine; spins++)
            if (spins % 1024 == 1023 && plx_time_reached(end, plx_clock_now()))
                goto out;
        trips++;
    }
out:;
    plx_time now = plx_clock_now();
    atomic_store_explicit(&ball, base + SERVE - 1, memory_order_release);
    return trips == TRIPS ? (double)plx_time_since(now, begin).ns / TRIPS : 0;
}

static void rally_answer(uint64_t base, plx_time end)
{
    uint64_t seen, want = base + 1;

    for (unsigned spins = 0; (seen = atomic_load_explicit(&ball, memory_order_acquire)) != base + SERVE - 1;
         spins++) {
        if (seen == want) {
            atomic_store_explicit(&ball, want + 1, memory_order_release);
            want += 2;
        }
        if (spins % 1024 == 1023 && plx_time_reached(end, plx_clock_now()))
            return;
    }
}

static void take(struct twin *t, uint64_t index)
{
    struct sample *s = &sample[index];
    struct side *side = &s->side[t->id];
    plx_time woken = plx_time_after(start, PLX_MS(index * opt.every_ms)),
             begin = plx_time_after(woken, us(LEAD_US)),
             rally = plx_time_after(begin, us(WORK_US + PAUSE_US)), end = plx_time_after(rally, us(RALLY_US));

    side->is_late = plx_time_reached(begin, plx_clock_now());
    wait_for(begin);
    side->work = work_until(plx_time_after(begin, us(WORK_US)));
    side->is_late |= plx_time_reached(rally, plx_clock_now());
    wait_for(rally);
    if (t->id == 0) {
        s->at = begin;
        s->trip_ns = rally_serve((index + 1) * SERVE, end);
    } else {
        rally_answer((index + 1) * SERVE, end);
    }
}

// --- threads ------------------------------------------------------------------------------------------------

static bool pin(unsigned cpu)
{
    cpu_set_t one;

    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    return pthread_setaffinity_np(pthread_self(), sizeof one, &one) == 0;
}

static void sleep_until(plx_time at)
{
    struct timespec ts = {(time_t)(at.ns / 1000000000u), (long)(at.ns % 1000000000u)};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR) {
    }
}

// The most that a processor does while its twin sleeps: the best of several times, as somebody else may share its core.
static void measure_alone(struct twin *t)
{
    for (unsigned turn = 0; turn < 2 * ALONE_TIMES; turn++) {
        pthread_barrier_wait(t->step);
        if (turn % 2 != t->id)
            continue;
        struct work w = work_until(plx_time_after(plx_clock_now(), PLX_MS(ALONE_MS)));
        if (rate(&w) > t->alone)
            t->alone = rate(&w);
    }
    pthread_barrier_wait(t->step);
}

static void *twin_main(void *arg)
{
    struct twin *t = arg;
    struct sched_param first = {.sched_priority = 10};

    if (!pin(opt.cpu[t->id])) {
        fprintf(stderr, "twins: processor %u cannot be had\n", opt.cpu[t->id]);
        exit(1);
    }
    t->is_first = pthread_setschedparam(pthread_self(), SCHED_FIFO, &first) == 0;
    measure_alone(t);
    if (t->id == 0) {
        start = plx_time_after(plx_clock_now(), PLX_MS(1));
        puts("ready"); // who started us may begin with what it measures
        fflush(stdout);
    }
    pthread_barrier_wait(t->step);
    for (uint64_t i = 0; i < (opt.samples > 0 ? opt.samples : SAMPLES_MAX); i++) {
        sleep_until(plx_time_after(start, PLX_MS(i * opt.every_ms)));
        take(t, i);
        atomic_store_explicit(&t->done, i + 1, memory_order_release);
    }
    return NULL;
}

// --- showing ------------------------------------------------------------------------------------------------

static bool is_undisturbed(const struct sample *s)
{
    for (unsigned i = 0; i < 2; i++) // nine tenths of the time for work were its own
        if (s->side[i].is_late || s->side[i].work.lost_ns > (uint64_t)WORK_US * 100)
            return false;
    return s->trip_ns > 0;
}

static void write_json(FILE *f, const struct twin twin[2], uint64_t count)
{
    fprintf(
        f,
        "{\"cpus\": [%u, %u], \"every_ms\": %llu, \"is_first\": %s, \"alone_per_us\": [%.1f, %.1f],\n \"samples\": [",
        opt.cpu[0], opt.cpu[1], (unsigned long long)opt.every_ms,
        twin[0].is_first && twin[1].is_first ? "true" : "false", twin[0].alone * 1e3, twin[1].alone * 1e3);
    for (uint64_t i = 0; i < count; i++) {
        const struct sample *s = &sample[i];
        fprintf(
            f,
            "%s\n  {\"at_ns\": %llu, \"work\": [%.3f, %.3f], \"round_trip_ns\": %.1f, \"is_undisturbed\": %s}",
            i > 0 ? "," : "", (unsigned long long)s->at.ns, rate(&s->side[0].work) / twin[0].alone,
            rate(&s->side[1].work) / twin[1].alone, s->trip_ns, is_undisturbed(s) ? "true" : "false");
    }
    fprintf(f, "]}\n");
}

static void show(const struct twin twin[2], uint64_t count)
{
    printf("alone: %.0f and %.0f loops a microsecond%s\n", twin[0].alone * 1e3, twin[1].alone * 1e3,
           twin[0].is_first && twin[1].is_first ? "" : "; others may run before us");
    printf("%10s %8s %8s %14s\n", "ms", "work", "work", "round trip ns");
    for (uint64_t i = 0; i < count; i++)
        printf("%10.1f %8.2f %8.2f %14.1f%s\n", (double)(sample[i].at.ns - sample[0].at.ns) / 1e6,
               rate(&sample[i].side[0].work) / twin[0].alone, rate(&sample[i].side[1].work) / twin[1].alone,
               sample[i].trip_ns, is_undisturbed(&sample[i]) ? "" : "  disturbed");
}

// --- options ------------------------------------------------------------------------------------------------

static void option_cpus(const char *text)
{
    char *end;
    unsigned long a = strtoul(text, &end, 10), b = *end == ',' ? strtoul(end + 1, &end, 10) : a;

    if (*end != '\0' || a == b || a >= CPU_SETSIZE || b >= CPU_SETSIZE) {
        fprintf(stderr, "twins: --cpus wants two processors, such as 0,1, not \"%s\"\n", text);
        exit(2);
    }
    opt.cpu[0] = (unsigned)a;
    opt.cpu[1] = (unsigned)b;
}

static void options(int argc, char **argv)
{
    static const struct option names[] = {{"cpus", 1, NULL, 'c'},  {"samples", 1, NULL, 's'},
                                          {"every", 1, NULL, 'e'}, {"json", 1, NULL, 'j'},
                                          {"help", 0, NULL, 'h'},  {0}};
    int o;

    while ((o = getopt_long(argc, argv, "h", names, NULL)) != -1)
        switch (o) {
        case 'c':
            option_cpus(optarg);
            break;
        case 's':
            opt.samples = option_number("twins", "samples", optarg, 0, SAMPLES_MAX);
            break;
        case 'e':
            opt.every_ms = option_number("twins", "every", optarg, 2, 60000);
            break;
        case 'j':
            opt.json = optarg;
            break;
        default:
            option_other("twins", o, usage);
        }
    option_end("twins", argc, argv);
}

// Until all samples are taken or, where there is no number of them, we are told to end: how many both have.
static uint64_t wait_for_end(struct twin twin[2], const sigset_t *told)
{
    uint64_t done[2];
    int number;

    if (opt.samples == 0)
        sigwait(told, &number);
    for (unsigned i = 0; i < 2; i++) {
        if (opt.samples > 0)
            pthread_join(twin[i].thread, NULL);
        done[i] = atomic_load_explicit(&twin[i].done, memory_order_acquire);
    }
    return done[0] < done[1] ? done[0] : done[1];
}

int main(int argc, char **argv)
{
    static pthread_barrier_t step;
    static struct twin twin[2] = {{.id = 0, .step = &step}, {.id = 1, .step = &step}};
    sigset_t told;

    options(argc, argv);
    FILE *json = opt.json != NULL ? fopen(opt.json, "w") : NULL;
    if (opt.json != NULL && json == NULL) {
        fprintf(stderr, "twins: %s: %s\n", opt.json, strerror(errno));
        return 1;
    }
    sigemptyset(&told);
    sigaddset(&told, SIGTERM);
    sigaddset(&told, SIGINT);
    if (opt.samples == 0)
        pthread_sigmask(SIG_BLOCK, &told, NULL); // of all threads: wait_for_end() takes them
    pthread_barrier_init(&step, NULL, 2);
    for (unsigned i = 0; i < 2; i++)
        plx_check(pthread_create(&twin[i].thread, NULL, twin_main, &twin[i]) == 0);
    uint64_t count = wait_for_end(twin, &told);
    if (json == NULL) {
        show(twin, count);
        return 0;
    }
    write_json(json, twin, count);
    return fclose(json) == 0 ? 0 : 1;
}
