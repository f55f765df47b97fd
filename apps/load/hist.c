// hist.c -- see hist.h.

#include "hist.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool hist_init(struct hist *h)
{
    *h = (struct hist){.min = UINT64_MAX, .bucket = calloc(HIST_BUCKETS, sizeof *h->bucket)};
    return h->bucket != NULL;
}

void hist_fini(struct hist *h)
{
    free(h->bucket);
    h->bucket = NULL;
}

static uint32_t shift_of(uint32_t index)
{
    return index < 2u << HIST_HALF_LOG2 ? 0 : (index >> HIST_HALF_LOG2) - 1;
}

uint64_t hist_lowest(uint32_t index)
{
    uint32_t shift = shift_of(index);
    return (uint64_t)(index - (shift << HIST_HALF_LOG2)) << shift;
}

uint64_t hist_highest(uint32_t index)
{
    return hist_lowest(index) + (UINT64_C(1) << shift_of(index)) - 1;
}

void hist_add_many(struct hist *h, uint64_t value, uint64_t times)
{
    if (times == 0)
        return;
    if (value < h->min)
        h->min = value;
    if (value > h->max)
        h->max = value;
    h->count += times;
    h->sum += (double)value * (double)times;
    h->sum_squares += (double)value * (double)value * (double)times;
    h->bucket[hist_index(value)] += times;
}

void hist_merge(struct hist *into, const struct hist *from)
{
    into->min = from->min < into->min ? from->min : into->min;
    into->max = from->max > into->max ? from->max : into->max;
    into->count += from->count;
    into->sum += from->sum;
    into->sum_squares += from->sum_squares;
    for (uint32_t i = 0; i < HIST_BUCKETS; i++)
        into->bucket[i] += from->bucket[i];
}

uint64_t hist_at(const struct hist *h, double percent)
{
    uint64_t want = (uint64_t)ceil(percent / 100 * (double)h->count - 1e-9), seen = 0;

    if (h->count == 0)
        return 0;
    want = want < 1 ? 1 : want > h->count ? h->count : want;
    for (uint32_t i = 0; i < HIST_BUCKETS; i++) {
        seen += h->bucket[i];
        if (seen >= want) {
            uint64_t v = hist_highest(i);
            return v < h->max ? v : h->max;
        }
    }
    return h->max;
}

double hist_mean(const struct hist *h)
{
    return h->count > 0 ? h->sum / (double)h->count : 0;
}

double hist_deviation(const struct hist *h)
{
    double mean = hist_mean(h), square = h->count > 0 ? h->sum_squares / (double)h->count - mean * mean : 0;
    return square > 0 ? sqrt(square) : 0;
}

static uint64_t count_up_to(const struct hist *h, uint64_t value)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i <= hist_index(value); i++)
        n += h->bucket[i];
    return n;
}

void hist_write_hgrm(const struct hist *h, FILE *out)
{
    static const int lines_per_half = 5;
    double percent = 0;

    fprintf(out, "%12s %14s %10s %14s\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    while (h->count > 0) {
        uint64_t value = hist_at(h, percent), seen = count_up_to(h, value);
        if (seen >= h->count)
            break;
        fprintf(out, "%12.3f %2.12f %10llu %14.2f\n", (double)value / 1e6, percent / 100,
                (unsigned long long)seen, 1 / (1 - percent / 100));
        double halves = floor(log2(100 / (100 - percent))) + 1;
        percent += 100 / (pow(2, halves) * lines_per_half);
    }
    fprintf(out, "%12.3f %2.12f %10llu %14s\n", (double)h->max / 1e6, 1.0, (unsigned long long)h->count,
            "inf");
    fprintf(out, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n", hist_mean(h) / 1e6,
            hist_deviation(h) / 1e6);
    fprintf(out, "#[Max     = %12.3f, Total count    = %12llu]\n", (double)h->max / 1e6,
            (unsigned long long)h->count);
    fprintf(out, "#[Buckets = %12d, SubBuckets     = %12d]\n", HIST_VALUE_LOG2 - HIST_HALF_LOG2,
            2 << HIST_HALF_LOG2);
}
