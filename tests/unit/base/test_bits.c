// test_bits.c -- powers of two and network order, at their edges.

#include "base/bits.h"

#include "rows.h"

static void test_powers_of_two(void **state)
{
    static const struct {
        uint64_t v;
        unsigned floor, ceil;
        bool is_pow2;
    } row[] = {
        {1, 0, 0, true},
        {2, 1, 1, true},
        {3, 1, 2, false},
        {4, 2, 2, true},
        {5, 2, 3, false},
        {63, 5, 6, false},
        {64, 6, 6, true},
        {65, 6, 7, false},
        {UINT64_C(1) << 32, 32, 32, true},
        {(UINT64_C(1) << 62) + 1, 62, 63, false},
        {UINT64_C(1) << 63, 63, 63, true},
    };
    (void)state;

    for (unsigned i = 0; i < ROWS(row); i++) {
        EXPECT_ROW(i, plx_log2_floor(row[i].v) == row[i].floor);
        EXPECT_ROW(i, plx_log2_ceil(row[i].v) == row[i].ceil);
        EXPECT_ROW(i, plx_pow2_ceil(row[i].v) == UINT64_C(1) << row[i].ceil);
        EXPECT_ROW(i, plx_is_pow2(row[i].v) == row[i].is_pow2);
        EXPECT_ROW(i, plx_clz64(row[i].v) == 63 - row[i].floor);
    }
    assert_false(plx_is_pow2(0));
    assert_int_equal(plx_pow2_ceil(0), 1);
    assert_int_equal(plx_ctz64(0x50), 4);
    assert_int_equal(plx_popcount64(UINT64_MAX), 64);
}

static void test_align_up(void **state)
{
    static const uint64_t row[][3] = {{0, 64, 0}, {1, 64, 64}, {64, 64, 64}, {65, 64, 128}, {7, 1, 7}};
    (void)state;

    for (unsigned i = 0; i < ROWS(row); i++)
        EXPECT_ROW(i, plx_align_up(row[i][0], row[i][1]) == row[i][2]);
}

static void test_network_order(void **state)
{
    static const uint8_t wire[9] = {0xff, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08};
    uint8_t out[9] = {0};
    (void)state;

    // From an odd address: alignment must not matter.
    assert_int_equal(plx_load_be16(wire + 1), 0x0102);
    assert_int_equal(plx_load_be24(wire + 1), 0x010203);
    assert_int_equal(plx_load_be32(wire + 1), 0x01020304);
    assert_true(plx_load_be64(wire + 1) == UINT64_C(0x0102030405060708));
    assert_true(plx_load_le64(wire + 1) == UINT64_C(0x0807060504030201));

    plx_store_be64(out + 1, UINT64_C(0x0102030405060708));
    assert_memory_equal(out + 1, wire + 1, 8);
    memset(out, 0, sizeof out);
    plx_store_be32(out + 1, 0x01020304);
    plx_store_be16(out + 5, 0x0506);
    assert_memory_equal(out + 1, wire + 1, 6);
    plx_store_be24(out + 1, 0x010203);
    assert_memory_equal(out + 1, wire + 1, 3);
    plx_store_le64(out + 1, UINT64_C(0x0807060504030201));
    assert_memory_equal(out + 1, wire + 1, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_powers_of_two),
        cmocka_unit_test(test_align_up),
        cmocka_unit_test(test_network_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
