// test_prng.c -- the same seed for ever the same sequence; even enough; within bounds.

#include "base/prng.h"

#include <string.h>

#include "rows.h"

static void test_known_sequences(void **state)
{
    struct plx_prng r;
    (void)state;

    // State 1, 2, 3, 4: the first outputs follow from the definition by hand: rotl(2 * 5, 7) * 9 = 11520, and so on.
    r = (struct plx_prng){{1, 2, 3, 4}};
    static const uint64_t row[] = {11520, 0, 1509978240, UINT64_C(1215971899390074240)};
    for (unsigned i = 0; i < ROWS(row); i++)
        EXPECT_ROW(i, plx_prng_u64(&r) == row[i]);

    // Seed 0: splitmix64's own first outputs are the state.
    plx_prng_init(&r, 0);
    assert_true(r.s[0] == UINT64_C(0xe220a8397b1dcdaf));
    assert_true(r.s[1] == UINT64_C(0x6e789e6aa1b965f4));
    assert_true(r.s[2] == UINT64_C(0x06c45d188009454f));
    assert_true(r.s[3] == UINT64_C(0xf88bb8a8724c81ec));
}

static void test_bounds(void **state)
{
    static const uint64_t row[] = {1, 2, 3, 10, 1000, UINT64_C(1) << 40, UINT64_C(3) << 62, UINT64_MAX};
    struct plx_prng r;
    (void)state;

    plx_prng_init(&r, 1);
    assert_true(plx_prng_below(&r, 0) == 0);
    for (unsigned i = 0; i < ROWS(row); i++) {
        for (unsigned round = 0; round < 1000; round++) {
            EXPECT_ROW(i, plx_prng_below(&r, row[i]) < row[i]);
            uint64_t v = plx_prng_between(&r, row[i] / 2, row[i]);
            EXPECT_ROW(i, v >= row[i] / 2 && v <= row[i]);
        }
    }
    assert_true(plx_prng_between(&r, 5, 5) == 5);
    (void)plx_prng_between(&r, 0, UINT64_MAX); // the whole range is a range too
    for (unsigned round = 0; round < 100; round++) {
        assert_false(plx_prng_chance(&r, 0, 10));
        assert_true(plx_prng_chance(&r, 10, 10));
    }
}

static void test_evenness(void **state)
{
    unsigned bucket[10] = {0}, yes = 0;
    struct plx_prng r;
    (void)state;

    plx_prng_init(&r, 42);
    for (unsigned i = 0; i < 100000; i++) {
        bucket[plx_prng_below(&r, 10)]++;
        yes += plx_prng_chance(&r, 1, 4);
    }
    for (unsigned i = 0; i < 10; i++) // sigma is about 95; the seed is fixed, so this is no game of chance
        EXPECT_ROW(i, bucket[i] > 9500 && bucket[i] < 10500);
    assert_in_range(yes, 24000, 26000);
}

// Where 2^64 is no multiple of n some values would come twice as often, were they not drawn again: here each third one.
static void test_large_bounds_are_even_too(void **state)
{
    unsigned third[3] = {0};
    struct plx_prng r;
    (void)state;

    plx_prng_init(&r, 42);
    for (unsigned i = 0; i < 30000; i++)
        third[plx_prng_below(&r, UINT64_C(3) << 62) % 3]++;
    for (unsigned i = 0; i < 3; i++)
        EXPECT_ROW(i, third[i] > 9600 && third[i] < 10400);
}

static void test_bytes(void **state)
{
    struct plx_prng r;
    (void)state;

    for (size_t len = 0; len <= 20; len++) {
        uint8_t buf[24], again[24];
        memset(buf, 0x55, sizeof buf);
        memset(again, 0x55, sizeof again);
        plx_prng_init(&r, len);
        plx_prng_bytes(&r, buf, len);
        plx_prng_init(&r, len);
        plx_prng_bytes(&r, again, len);
        EXPECT_ROW(len, memcmp(buf, again, sizeof buf) == 0);
        for (size_t i = len; i < sizeof buf; i++)
            EXPECT_ROW(len, buf[i] == 0x55); // and not one more
    }
    unsigned ones = 0;
    uint8_t many[1001];
    plx_prng_bytes(&r, many, sizeof many);
    for (size_t i = 0; i < sizeof many; i++)
        ones += (unsigned)__builtin_popcount(many[i]);
    assert_in_range(ones, 3800, 4200);
}

static void test_seeds_are_unrelated(void **state)
{
    (void)state;

    for (uint64_t seed = 0; seed < 100; seed++) {
        struct plx_prng a, b;
        plx_prng_init(&a, seed);
        plx_prng_init(&b, seed + 1);
        int differing = 0;
        for (int i = 0; i < 16; i++)
            differing += __builtin_popcountll(plx_prng_u64(&a) ^ plx_prng_u64(&b));
        EXPECT_ROW(seed, differing > 400 && differing < 624); // of 1024 bits about half
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_sequences),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_evenness),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_seeds_are_unrelated),
        cmocka_unit_test(test_large_bounds_are_even_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
