// test_squeeze.c -- whatever two blocks hold, one comes out again of the other and the difference.

#include "base/squeeze.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { WORDS = 1024 };

static uint64_t a[WORDS], b[WORDS], back[WORDS + 2];
static uint8_t text[PLX_SQUEEZE_MAX(WORDS)];

static uint64_t random_word(unsigned *seed)
{
    uint64_t v = 0;
    for (int i = 0; i < 4; i++)
        v = v << 16 | ((unsigned)rand_r(seed) & 0xffff);
    return v;
}

static void read_whole(size_t words, size_t len)
{
    struct plx_unsqueeze u;

    memset(back, 0x5a, sizeof back);
    plx_unsqueeze_begin(&u, b, text);
    plx_unsqueeze(&u, back, words);
    assert_memory_equal(back, a, words * sizeof *a);
    assert_int_equal(u.at, words);
    assert_int_equal(u.octets - text, len);
}

// Pieces of that many words, each somewhere else; then every other one is not wanted.
static void read_pieces(size_t words, size_t piece, size_t len)
{
    for (unsigned turn = 0; turn < 3; turn++) {
        struct plx_unsqueeze u;
        plx_unsqueeze_begin(&u, b, text);
        for (size_t at = 0, i = turn; at < words; at += piece, i++) {
            size_t n = words - at < piece ? words - at : piece;
            if (turn > 0 && i % 2 == 0) {
                plx_unsqueeze_skip(&u, n);
                continue;
            }
            memset(back, 0x5a, sizeof back);
            plx_unsqueeze(&u, back + 1, n);
            assert_memory_equal(back + 1, a + at, n * sizeof *a);
            assert_int_equal(back[0], UINT64_C(0x5a5a5a5a5a5a5a5a)); // nothing beside it
            assert_int_equal(back[n + 1], UINT64_C(0x5a5a5a5a5a5a5a5a));
        }
        assert_int_equal(u.at, words);
        assert_int_equal(u.octets - text, len);
    }
}

static size_t round_trip(size_t words)
{
    memset(text, 0xa5, sizeof text);
    size_t len = plx_squeeze(a, b, words, text);
    assert_true(len + PLX_SQUEEZE_SLACK <= PLX_SQUEEZE_MAX(words));
    read_whole(words, len);
    for (size_t piece = 1; piece < words; piece = piece * 3 + 1)
        read_pieces(words, piece, len);
    return len;
}

static void test_equal_is_a_count(void **state)
{
    (void)state;
    memset(a, 7, sizeof a);
    memcpy(b, a, sizeof b);
    assert_int_equal(round_trip(WORDS), 2);
    assert_int_equal(round_trip(8), 2);
}

static void test_single_octets(void **state)
{
    (void)state;
    memset(a, 0, sizeof a);
    memset(b, 0, sizeof b);
    for (size_t i = 0; i < WORDS; i += 37)
        for (unsigned bit = 0; bit < 64; bit++) {
            size_t steps = i / 255; // words passed on the way, of three octets each
            a[i] = UINT64_C(1) << bit;
            assert_int_equal(round_trip(WORDS), 2 + 3 * steps + (i + 1 - 255 * steps > 3 ? 3 : 2));
            a[i] = 0;
        }
    a[2] = UINT64_C(0x00ff000000ff0000); // from the third octet to the seventh
    assert_int_equal(round_trip(WORDS), 2 + 1 + 5);
}

// Two words at every distance from each other: in the shape, in an octet, beyond an octet.
static void test_distances(void **state)
{
    (void)state;
    memset(a, 0, sizeof a);
    memset(b, 0, sizeof b);
    a[0] = 1;
    for (size_t gap = 1; gap < WORDS; gap++) {
        a[gap] = UINT64_C(0x8000000000000000);
        assert_int_equal(round_trip(WORDS),
                         2 + 2 + 3 * ((gap - 1) / 255) + ((gap - 1) % 255 + 1 > 3 ? 3 : 2));
        a[gap] = 0;
    }
}

static void test_all_differ(void **state)
{
    (void)state;
    memset(a, 0xff, sizeof a);
    memset(b, 0, sizeof b);
    assert_int_equal(round_trip(WORDS) + PLX_SQUEEZE_SLACK, PLX_SQUEEZE_MAX(WORDS));
}

static void test_random(void **state)
{
    unsigned seed = 11;

    (void)state;
    for (unsigned turn = 0; turn < 2000; turn++) {
        size_t words = 8 * (1 + (size_t)rand_r(&seed) % (WORDS / 8));
        unsigned some = 1 + (unsigned)rand_r(&seed) % 100;
        for (size_t i = 0; i < words; i++) {
            b[i] = random_word(&seed);
            a[i] = b[i];
            if ((unsigned)rand_r(&seed) % some == 0)
                a[i] ^= random_word(&seed) >> (unsigned)rand_r(&seed) % 64 << (unsigned)rand_r(&seed) % 64;
        }
        round_trip(words);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_is_a_count), cmocka_unit_test(test_single_octets),
        cmocka_unit_test(test_distances),        cmocka_unit_test(test_all_differ),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
