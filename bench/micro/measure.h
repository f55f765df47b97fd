// measure.h -- nanoseconds per operation, the best of several rounds.
//
// A case is a function that does `ops` operations on its argument. It is run once to warm up, then in rounds of about
// 20 ms each; the best round counts, because noise on a shared machine only ever adds. measure_keep() makes a result look
// used, so that the compiler does not remove the work.

#ifndef PLX_BENCH_MICRO_MEASURE_H
#define PLX_BENCH_MICRO_MEASURE_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { MEASURE_ROUNDS = 9, MEASURE_ROUND_NS = 20000000 };

static const char *measure_only; // only cases whose name contains it; NULL: all

static inline void measure_keep(uint64_t v)
{
    __asm__ volatile("" : : "r"(v) : "memory");
}

static inline uint64_t measure_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline double measure(const char *name, uint64_t ops, void (*run)(void *arg), void *arg)
{
    double best = 0;

    if (measure_only != NULL && strstr(name, measure_only) == NULL)
        return 0;
    run(arg);
    for (int round = 0; round < MEASURE_ROUNDS; round++) {
        uint64_t begin = measure_now(), calls = 0, spent;
        do {
            run(arg);
            calls++;
            spent = measure_now() - begin;
        } while (spent < MEASURE_ROUND_NS);
        double ns = (double)spent / (double)(calls * ops);
        if (round == 0 || ns < best)
            best = ns;
    }
    printf("%-44s %8.2f ns\n", name, best);
    fflush(stdout);
    return best;
}

#endif
