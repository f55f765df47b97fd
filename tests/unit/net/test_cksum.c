// test_cksum.c -- the fast sum against the definition; updates against sums made anew.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/bits.h"
#include "base/prng.h"
#include "net/cksum.h"

static void test_rfc1071_example(void **state)
{
    (void)state;
    const uint8_t data[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}; // RFC 1071 section 3
    assert_int_equal(plx_cksum_fold(plx_cksum_add(0, data, sizeof data)), 0xddf2);
    assert_int_equal(plx_cksum_plain(data, sizeof data), 0x220d);
    assert_int_equal(plx_cksum_end(0), 0xffff);
}

static void test_fast_equals_plain(void **state)
{
    (void)state;
    static uint8_t data[9100];
    struct plx_prng r;
    plx_prng_init(&r, 1);
    for (unsigned round = 0; round < 3000; round++) {
        size_t at = plx_prng_below(&r, 64), len = round < 400 ? round : plx_prng_below(&r, sizeof data - 64);
        if (round % 7 == 0)
            memset(data, 0xff, sizeof data);
        else
            plx_prng_bytes(&r, data, sizeof data);
        size_t cut = plx_prng_below(&r, len / 2 + 1) * 2; // in two pieces, the first of even length
        uint64_t sum = plx_cksum_add(plx_cksum_add(0, data + at, cut), data + at + cut, len - cut);
        assert_int_equal(plx_cksum_end(sum), plx_cksum_plain(data + at, len));
    }
}

// Longer than any packet: sums within the fast form must not overflow either.
static void test_fast_equals_plain_when_long(void **state)
{
    (void)state;
    static uint8_t data[(5 << 20) + 3];
    memset(data, 0xff, sizeof data);
    data[4 << 20] = 0x12;
    assert_int_equal(plx_cksum_end(plx_cksum_add(0, data, sizeof data)), plx_cksum_plain(data, sizeof data));
}

static void test_update_equals_anew(void **state)
{
    (void)state;
    uint8_t data[40];
    struct plx_prng r;
    plx_prng_init(&r, 2);
    for (unsigned round = 0; round < 20000; round++) {
        plx_prng_bytes(&r, data, sizeof data);
        size_t at = plx_prng_below(&r, sizeof data / 2) * 2;
        uint16_t check = plx_cksum_plain(data, sizeof data), from = plx_load_be16(data + at);
        uint16_t to = round % 5 == 0 ? 0 : round % 5 == 1 ? 0xffff : (uint16_t)plx_prng_u64(&r);
        plx_store_be16(data + at, to);
        assert_int_equal(plx_cksum_update(check, from, to), plx_cksum_plain(data, sizeof data));
    }
}

static void test_own_checksum_sums_to_zero(void **state)
{
    (void)state;
    uint8_t data[64];
    struct plx_prng r;
    plx_prng_init(&r, 3);
    for (unsigned round = 0; round < 1000; round++) {
        plx_prng_bytes(&r, data, sizeof data);
        plx_store_be16(data + 6, 0);
        plx_store_be16(data + 6, plx_cksum_end(plx_cksum_add(0, data, sizeof data)));
        assert_int_equal(plx_cksum_end(plx_cksum_add(0, data, sizeof data)), 0);
        data[round % 64] ^= (uint8_t)(1 << round % 8);
        assert_int_not_equal(plx_cksum_end(plx_cksum_add(0, data, sizeof data)), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc1071_example),
        cmocka_unit_test(test_fast_equals_plain),
        cmocka_unit_test(test_fast_equals_plain_when_long),
        cmocka_unit_test(test_update_equals_anew),
        cmocka_unit_test(test_own_checksum_sums_to_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
