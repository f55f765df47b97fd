// test_random.c -- the engine's unpredictable octets: given out once, the same for the same seed, and none left lying about.

#include "fake.h"

static void test_seeded(void **state)
{
    struct plx_random a, b, other;
    uint8_t x[5000], y[5000], z[5000];
    size_t at = 0;

    (void)state;
    plx_random_init(&a, 42);
    plx_random_init(&b, 42);
    plx_random_init(&other, 43);
    plx_random_get(&a, x, sizeof x);
    for (size_t n = 1; at < sizeof y; n = n * 3 % 257) { // in other pieces
        size_t len = n < sizeof y - at ? n : sizeof y - at;
        plx_random_get(&b, y + at, len);
        at += len;
    }
    plx_random_get(&other, z, sizeof z);
    assert_memory_equal(x, y, sizeof x);
    assert_memory_not_equal(x, z, sizeof x);
    assert_memory_not_equal(x, x + sizeof a.buf, 1024); // no buffer twice
}

static void test_of_the_system(void **state)
{
    struct plx_random a, b;
    uint8_t x[3000], y[3000];
    unsigned ones = 0;

    (void)state;
    plx_random_init(&a, 0);
    plx_random_init(&b, 0);
    plx_random_get(&a, x, sizeof x);
    plx_random_get(&b, y, sizeof y);
    assert_memory_not_equal(x, y, sizeof x);
    for (size_t i = 0; i < sizeof x; i++)
        ones += (unsigned)__builtin_popcount(x[i]);
    assert_in_range(ones, 24000 / 2 - 1000, 24000 / 2 + 1000); // thirteen standard deviations
    plx_random_get(&a, x, 0);
}

static void test_forgotten(void **state)
{
    struct plx_random r;
    uint8_t x[100];

    (void)state;
    plx_random_init(&r, 0);
    plx_random_get(&r, x, sizeof x);
    assert_int_equal(r.used, sizeof x);
    for (size_t i = 0; i < sizeof x; i++)
        assert_int_equal(r.buf[i], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_seeded), cmocka_unit_test(test_of_the_system),
                                       cmocka_unit_test(test_forgotten)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
