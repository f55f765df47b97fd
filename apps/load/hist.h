// hist.h -- a histogram of times with three significant digits, from a nanosecond to over an hour.
//
// The layout is that of HdrHistogram: values below 2048 have a bucket each; above, every power of two is cut into 1024 equal ones, so
// a value is known to one part in a thousand whatever its size, and adding it is a count of leading zeros and an increment. Two
// histograms are merged by adding their buckets: nothing is lost by measuring on many cores or machines. A value read back is the
// largest that its bucket stands for. The text form (.hgrm) is the one that HdrHistogram's plotters read.
//
// Debian 12 has no package of the C library, and this is a page of code.

#ifndef PLX_APPS_LOAD_HIST_H
#define PLX_APPS_LOAD_HIST_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum {
    HIST_HALF_LOG2 = 10,  // buckets per power of two
    HIST_VALUE_LOG2 = 42, // 2^42 ns: 73 minutes; what is longer counts as that
    HIST_BUCKETS = (HIST_VALUE_LOG2 - HIST_HALF_LOG2 + 1) << HIST_HALF_LOG2,
};
#define HIST_VALUE_MAX ((UINT64_C(1) << HIST_VALUE_LOG2) - 1)

struct hist {
    uint64_t count, min, max; // min: UINT64_MAX while empty
    double sum, sum_squares;
    uint64_t *bucket; // HIST_BUCKETS
};

bool hist_init(struct hist *h); // false: no memory
void hist_fini(struct hist *h);

static inline uint32_t hist_index(uint64_t value)
{
    if (value < UINT64_C(2) << HIST_HALF_LOG2)
        return (uint32_t)value;
    if (value > HIST_VALUE_MAX)
        value = HIST_VALUE_MAX;
    uint32_t shift = 63 - (uint32_t)__builtin_clzll(value) - HIST_HALF_LOG2;
    return (shift << HIST_HALF_LOG2) + (uint32_t)(value >> shift);
}

// The least and the largest value of a bucket.
uint64_t hist_lowest(uint32_t index);
uint64_t hist_highest(uint32_t index);

void hist_add_many(struct hist *h, uint64_t value, uint64_t times);
static inline void hist_add(struct hist *h, uint64_t value)
{
    hist_add_many(h, value, 1);
}
void hist_merge(struct hist *into, const struct hist *from);

// The value that so many per cent of all are not above; 0 when empty. 100 is the largest.
uint64_t hist_at(const struct hist *h, double percent);
double hist_mean(const struct hist *h);
double hist_deviation(const struct hist *h);

// HdrHistogram's percentile text, values in milliseconds, five lines for each halving of the distance to 100 %.
void hist_write_hgrm(const struct hist *h, FILE *out);

#endif
