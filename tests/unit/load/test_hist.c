// test_hist.c -- the histogram against sorted arrays, its buckets against their definition, its text form.

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "apps/load/hist.h"
#include "base/prng.h"

enum { VALUES = 20000 };

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void test_buckets(void **state)
{
    (void)state;
    // Each begins where the one before ends, and holds a thousandth of what it stands for at most.
    for (uint32_t i = 0; i < HIST_BUCKETS; i++) {
        uint64_t low = hist_lowest(i), high = hist_highest(i);
        assert_int_equal(hist_index(low), i);
        assert_int_equal(hist_index(high), i);
        assert_true((high - low) * 1000 <= low);
        if (i > 0)
            assert_int_equal(low, hist_highest(i - 1) + 1);
    }
    assert_int_equal(hist_highest(HIST_BUCKETS - 1), HIST_VALUE_MAX);
    assert_int_equal(hist_index(UINT64_MAX), HIST_BUCKETS - 1);
}

static void test_against_a_sorted_array(void **state)
{
    static const double at[] = {0, 1, 10, 50, 90, 99, 99.9, 99.99, 99.999, 100};
    static uint64_t value[VALUES];
    struct plx_prng prng;
    struct hist whole, part[3];

    (void)state;
    for (uint64_t seed = 1; seed < 20; seed++) {
        plx_prng_init(&prng, seed);
        assert_true(hist_init(&whole));
        for (unsigned p = 0; p < 3; p++)
            assert_true(hist_init(&part[p]));
        uint64_t count = 1 + plx_prng_u64(&prng) % VALUES;
        for (uint64_t i = 0; i < count; i++) {
            value[i] = plx_prng_u64(&prng) >> (22 + plx_prng_u64(&prng) % 42); // all sizes
            hist_add(&part[plx_prng_u64(&prng) % 3], value[i]);
        }
        for (unsigned p = 0; p < 3; p++)
            hist_merge(&whole, &part[p]);
        qsort(value, count, sizeof *value, by_size);
        assert_int_equal(whole.count, count);
        assert_int_equal(whole.min, value[0]);
        assert_int_equal(whole.max, value[count - 1]);
        for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
            uint64_t rank = (uint64_t)ceil(at[i] / 100 * (double)count - 1e-9);
            uint64_t want = value[rank < 1 ? 0 : rank - 1], got = hist_at(&whole, at[i]);
            assert_true(got >= want && got - want <= want / 1000);
        }
        for (unsigned p = 0; p < 3; p++)
            hist_fini(&part[p]);
        hist_fini(&whole);
    }
}

static void test_mean_and_deviation(void **state)
{
    struct hist h;

    (void)state;
    assert_true(hist_init(&h));
    assert_int_equal(hist_at(&h, 50), 0);
    assert_true(hist_mean(&h) == 0 && hist_deviation(&h) == 0);
    hist_add_many(&h, 1000, 3);
    hist_add_many(&h, 5000, 1);
    hist_add_many(&h, 9, 0); // nothing
    assert_int_equal(h.count, 4);
    assert_true(fabs(hist_mean(&h) - 2000) < 1e-6);
    assert_true(fabs(hist_deviation(&h) - sqrt(3e6)) < 1e-6);
    hist_fini(&h);
}

// Every line's values and counts only grow, the last line has them all, and the lines say what the histogram says.
static void test_text(void **state)
{
    struct hist h;
    char *text, *line, *save = NULL;
    size_t len;
    double last = -1;
    unsigned long long last_seen = 0;
    unsigned lines = 0;

    (void)state;
    assert_true(hist_init(&h));
    for (uint64_t i = 1; i <= 100000; i++)
        hist_add(&h, i * 1000);
    FILE *f = open_memstream(&text, &len);
    hist_write_hgrm(&h, f);
    fclose(f);
    for (line = strtok_r(text, "\n", &save); line != NULL && line[0] != '#';
         line = strtok_r(NULL, "\n", &save)) {
        double value, fraction;
        unsigned long long seen;
        if (sscanf(line, "%lf %lf %llu", &value, &fraction, &seen) != 3)
            continue; // the heading
        assert_true(value >= last && seen >= last_seen);
        assert_true((double)seen >= fraction * 100000 - 1e-3);
        assert_true(fabs(value - (double)seen / 1000) <=
                    value / 1000 + 0.001); // the n-th value is n microseconds
        last = value;
        last_seen = seen;
        lines++;
    }
    assert_true(lines > 50);
    assert_int_equal(last_seen, 100000);
    assert_non_null(strstr(line, "#[Mean    =       50.001, StdDeviation   =       28.868]"));
    free(text);
    hist_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buckets),
        cmocka_unit_test(test_against_a_sorted_array),
        cmocka_unit_test(test_mean_and_deviation),
        cmocka_unit_test(test_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
