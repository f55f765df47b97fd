// test_cursor.c -- wire bytes to integers and back; the fast varint reader against the plain loop.

#include "base/cursor.h"

#include <stdlib.h>

#include "base/prng.h"
#include "rows.h"

// The reader as the RFC describes it, byte by byte: the reference that the fast one must equal, RFC 9000 A.1.
static uint64_t varint_plain(struct plx_rd *r)
{
    size_t left = (size_t)(r->end - r->p);
    size_t len = left ? (size_t)1 << (*r->p >> 6) : 1;

    if (left < len) {
        r->is_short = true;
        r->p = r->end;
        return 0;
    }
    uint64_t v = *r->p++ & 0x3f;
    while (--len)
        v = v << 8 | *r->p++;
    return v;
}

static void expect_same(const uint8_t *p, size_t len)
{
    struct plx_rd fast = plx_rd_init(p, len), plain = fast;
    uint64_t v = plx_rd_varint(&fast), want = varint_plain(&plain);

    if (v != want || fast.p != plain.p || fast.is_short != plain.is_short)
        fail_msg("first byte %02x, %zu bytes: %llu instead of %llu", len ? p[0] : 0, len,
                 (unsigned long long)v, (unsigned long long)want);
}

static void test_varint_equals_plain_loop(void **state)
{
    struct plx_prng rng;
    (void)state;

    plx_prng_init(&rng, 1);
    for (unsigned first = 0; first < 256; first++) {
        for (size_t len = 0; len <= 17; len++) {
            for (unsigned round = 0; round < 20; round++) {
                uint8_t *p = malloc(len ? len : 1); // so that the sanitizer sees a read past the end
                assert_non_null(p);
                plx_prng_bytes(&rng, p, len);
                if (len > 0)
                    p[0] = (uint8_t)first;
                expect_same(p, len);
                free(p);
            }
        }
    }
    // Every value of two bytes, and streams of many integers without a gap.
    for (unsigned v = 0; v < 65536; v++) {
        uint8_t two[2] = {(uint8_t)(v >> 8), (uint8_t)v};
        expect_same(two, 2);
    }
    uint8_t text[512];
    for (unsigned round = 0; round < 200; round++) {
        plx_prng_bytes(&rng, text, sizeof text);
        struct plx_rd fast = plx_rd_init(text, sizeof text), plain = fast;
        while (plx_rd_left(&plain) > 0) {
            assert_true(plx_rd_varint(&fast) == varint_plain(&plain));
            assert_ptr_equal(fast.p, plain.p);
            assert_int_equal(fast.is_short, plain.is_short);
        }
    }
}

static void test_varint_rfc_samples(void **state)
{
    // RFC 9000 A.1
    static const struct {
        uint8_t wire[8];
        size_t len;
        uint64_t value;
    } row[] = {
        {{0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c}, 8, UINT64_C(151288809941952652)},
        {{0x9d, 0x7f, 0x3e, 0x7d}, 4, 494878333},
        {{0x7b, 0xbd}, 2, 15293},
        {{0x25}, 1, 37},
        {{0x40, 0x25}, 2, 37},
    };
    (void)state;

    for (unsigned i = 0; i < ROWS(row); i++) {
        struct plx_rd r = plx_rd_init(row[i].wire, row[i].len);
        EXPECT_ROW(i, plx_rd_varint(&r) == row[i].value);
        EXPECT_ROW(i, !r.is_short);
        EXPECT_ROW(i, plx_rd_left(&r) == 0);

        uint8_t out[8];
        struct plx_wr w = plx_wr_init(out, sizeof out);
        plx_wr_varint_fixed(&w, row[i].value, row[i].len);
        EXPECT_ROW(i, (size_t)(w.p - out) == row[i].len);
        EXPECT_ROW(i, memcmp(out, row[i].wire, row[i].len) == 0);
    }
}

static void test_varint_boundaries(void **state)
{
    static const struct {
        uint64_t value;
        size_t len;
    } row[] = {
        {0, 1},     {63, 1},         {64, 2},         {16383, 2},
        {16384, 4}, {1073741823, 4}, {1073741824, 8}, {PLX_VARINT_MAX, 8},
    };
    (void)state;

    for (unsigned i = 0; i < ROWS(row); i++) {
        uint8_t buf[8];
        struct plx_wr w = plx_wr_init(buf, sizeof buf);
        plx_wr_varint(&w, row[i].value);
        EXPECT_ROW(i, (size_t)(w.p - buf) == row[i].len);
        EXPECT_ROW(i, plx_varint_len(row[i].value) == row[i].len);
        struct plx_rd r = plx_rd_init(buf, row[i].len);
        EXPECT_ROW(i, plx_rd_varint(&r) == row[i].value);
        EXPECT_ROW(i, !r.is_short && r.p == r.end);

        for (size_t cap = 0; cap < row[i].len; cap++) { // one byte too few, two, ...
            w = plx_wr_init(buf, cap);
            plx_wr_varint(&w, row[i].value);
            EXPECT_ROW(i, w.is_full);
            EXPECT_ROW(i, w.p == buf);
        }
    }
}

static void test_varint_fixed_lengths(void **state)
{
    static const size_t len[] = {1, 2, 4, 8};
    (void)state;

    for (unsigned i = 0; i < ROWS(len); i++) {
        uint8_t buf[8];
        struct plx_wr w = plx_wr_init(buf, sizeof buf);
        plx_wr_varint_fixed(&w, 42, len[i]);
        EXPECT_ROW(i, (size_t)(w.p - buf) == len[i]);
        struct plx_rd r = plx_rd_init(buf, len[i]);
        EXPECT_ROW(i, plx_rd_varint(&r) == 42);
        EXPECT_ROW(i, plx_rd_left(&r) == 0);
    }
}

static void write_too_large(void *arg)
{
    uint8_t buf[8];
    struct plx_wr w = plx_wr_init(buf, sizeof buf);
    plx_wr_varint(&w, *(uint64_t *)arg);
}

static void test_values_beyond_62_bits_are_a_bug(void **state)
{
    uint64_t most = PLX_VARINT_MAX, more = PLX_VARINT_MAX + 1;
    (void)state;

    assert_false(ends_in_check(write_too_large, &most));
    assert_true(ends_in_check(write_too_large, &more));
}

static void test_integers_round_trip(void **state)
{
    uint8_t buf[32];
    struct plx_wr w = plx_wr_init(buf, sizeof buf);
    (void)state;

    plx_wr_u8(&w, 0x01);
    plx_wr_u16(&w, 0x0203);
    plx_wr_u24(&w, 0x040506);
    plx_wr_u32(&w, 0x0708090a);
    plx_wr_u64(&w, UINT64_C(0x0b0c0d0e0f101112));
    plx_wr_bytes(&w, "xyz", 3);
    assert_false(w.is_full);
    assert_int_equal(plx_wr_left(&w), sizeof buf - 21);
    for (unsigned i = 0; i < 18; i++)
        EXPECT_ROW(i, buf[i] == i + 1); // network order throughout

    struct plx_rd r = plx_rd_init(buf, 21);
    assert_int_equal(plx_rd_u8(&r), 0x01);
    assert_int_equal(plx_rd_u16(&r), 0x0203);
    assert_int_equal(plx_rd_u24(&r), 0x040506);
    assert_int_equal(plx_rd_u32(&r), 0x0708090a);
    assert_true(plx_rd_u64(&r) == UINT64_C(0x0b0c0d0e0f101112));
    struct plx_span s = plx_rd_span(&r, 3);
    assert_int_equal(s.len, 3);
    assert_memory_equal(s.p, "xyz", 3);
    assert_false(r.is_short);
    assert_int_equal(plx_rd_left(&r), 0);
}

static void test_short_reads_stick(void **state)
{
    static const uint8_t wire[3] = {1, 2, 3};
    struct plx_rd r = plx_rd_init(wire, sizeof wire);
    (void)state;

    assert_int_equal(plx_rd_u32(&r), 0); // four of three
    assert_true(r.is_short);
    assert_int_equal(plx_rd_u8(&r), 0); // would have fitted, but the parse is over
    assert_int_equal(plx_rd_u16(&r), 0);
    assert_int_equal(plx_rd_u24(&r), 0);
    assert_true(plx_rd_u64(&r) == 0);
    assert_true(plx_rd_varint(&r) == 0);
    assert_null(plx_rd_bytes(&r, 1));
    assert_null(plx_rd_span(&r, 1).p);
    assert_int_equal(plx_rd_span(&r, 1).len, 0);
    assert_int_equal(plx_rd_left(&r), 0);
    assert_true(r.is_short);

    r = plx_rd_init(wire, sizeof wire);
    plx_rd_skip(&r, 2);
    assert_false(r.is_short);
    plx_rd_skip(&r, SIZE_MAX); // a length from the wire may be anything
    assert_true(r.is_short);

    r = plx_rd_init(NULL, 0);
    assert_non_null(plx_rd_bytes(&r, 0));
    assert_false(r.is_short);
    assert_int_equal(plx_rd_u8(&r), 0);
    assert_true(r.is_short);
}

static void test_full_writes_stick(void **state)
{
    uint8_t buf[4] = {9, 9, 9, 9};
    struct plx_wr w = plx_wr_init(buf, 3);
    (void)state;

    plx_wr_u16(&w, 0x0102);
    plx_wr_u16(&w, 0x0304);
    assert_true(w.is_full);
    plx_wr_u8(&w, 5); // would have fitted, but something before it is missing
    plx_wr_varint(&w, 5);
    plx_wr_bytes(&w, "a", 1);
    assert_null(plx_wr_skip(&w, 1));
    assert_true(w.is_full);
    assert_int_equal(w.p - buf, 2);
    assert_int_equal(plx_wr_left(&w), 0);
    assert_memory_equal(buf, "\x01\x02\x09\x09", 4);

    w = plx_wr_init(buf, 4);
    assert_ptr_equal(plx_wr_skip(&w, 4), buf); // exactly full is not too full
    assert_false(w.is_full);
    assert_null(plx_wr_skip(&w, SIZE_MAX));
    assert_true(w.is_full);

    w = plx_wr_init(NULL, 0);
    plx_wr_bytes(&w, NULL, 0);
    assert_false(w.is_full);
    plx_wr_u8(&w, 1);
    assert_true(w.is_full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_varint_equals_plain_loop),
        cmocka_unit_test(test_varint_rfc_samples),
        cmocka_unit_test(test_varint_boundaries),
        cmocka_unit_test(test_varint_fixed_lengths),
        cmocka_unit_test(test_values_beyond_62_bits_are_a_bug),
        cmocka_unit_test(test_integers_round_trip),
        cmocka_unit_test(test_short_reads_stick),
        cmocka_unit_test(test_full_writes_stick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
