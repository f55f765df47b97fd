// test_flow.c -- when credit is due, how far it goes, and when the window doubles.

#include "quic/stream/flow.h"
#include "tests/unit/base/rows.h"

static void test_due_at_half(void **state)
{
    static const struct {
        uint64_t window, consumed;
        bool is_due;
    } row[] = {{1000, 0, false},   {1000, 499, false}, {1000, 500, true},
               {1000, 1000, true}, {1, 0, false},      {1, 1, true}};
    (void)state;

    for (unsigned i = 0; i < ROWS(row); i++) {
        struct plx_flow f;
        plx_flow_init(&f, row[i].window);
        EXPECT_ROW(i, f.limit == row[i].window);
        EXPECT_ROW(i, plx_flow_is_due(&f, row[i].consumed) == row[i].is_due);
    }
}

// A timeline: at each moment so much is consumed and the limit moves. RTT 10 ms, window 1000, at most 4000.
static void test_tuning(void **state)
{
    static const struct {
        uint64_t at_ms, consumed, rtt_ms, limit, window;
        bool has_grown;
    } row[] = {
        {100, 500, 10, 1500, 1000, false},  // the first step has nothing to compare with
        {119, 1000, 10, 3000, 2000, true},  // within two round trips
        {138, 2000, 10, 6000, 4000, true},  //
        {140, 4000, 10, 8000, 4000, false}, // the ceiling
        {160, 6000, 10, 10000, 4000, false},
        {170, 6100, 10, 10100, 4000, false}, // not due (asked for): no tuning, but the limit moves
        {171, 6000, 10, 10100, 4000, false}, // never back
    };
    struct plx_flow f;
    (void)state;

    plx_flow_init(&f, 1000);
    for (unsigned i = 0; i < ROWS(row); i++) {
        bool has_grown = plx_flow_move(&f, row[i].consumed, 4000, (plx_time){row[i].at_ms * 1000000},
                                       PLX_MS(row[i].rtt_ms));
        EXPECT_ROW(i, f.limit == row[i].limit);
        EXPECT_ROW(i, f.window == row[i].window);
        EXPECT_ROW(i, has_grown == row[i].has_grown);
    }
}

static void test_slow_or_unknown_does_not_grow(void **state)
{
    static const struct {
        uint64_t gap_ms, rtt_ms;
        bool has_grown;
    } row[] = {{19, 10, true}, {20, 10, false},   {21, 10, false},
               {0, 0, false},  {1000, 10, false}, {1000, 600, true}};
    (void)state;

    for (unsigned i = 0; i < ROWS(row); i++) {
        struct plx_flow f;
        plx_flow_init(&f, 1000);
        f.moved_at = (plx_time){5000000};
        plx_time now = plx_time_after(f.moved_at, PLX_MS(row[i].gap_ms));
        EXPECT_ROW(i, plx_flow_move(&f, 600, 100000, now, PLX_MS(row[i].rtt_ms)) == row[i].has_grown);
        EXPECT_ROW(i, f.window == (row[i].has_grown ? 2000 : 1000));
        EXPECT_ROW(i, f.limit == 600 + f.window);
    }
}

static void test_odd_ceiling_and_widening(void **state)
{
    struct plx_flow f;
    (void)state;

    plx_flow_init(&f, 1000);
    f.moved_at = (plx_time){1};
    assert_true(plx_flow_move(&f, 1000, 1700, (plx_time){2}, PLX_MS(1)));
    assert_int_equal(f.window, 1700); // not 2000
    plx_flow_widen(&f, 1500, 9000);
    assert_int_equal(f.window, 1700); // never narrower
    plx_flow_widen(&f, 3000, 9000);
    assert_int_equal(f.window, 3000);
    plx_flow_widen(&f, 90000, 9000);
    assert_int_equal(f.window, 9000);
    assert_int_equal(f.limit, 2700); // the limit follows with the next step
    assert_true(plx_flow_is_due(&f, 1000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_due_at_half),
        cmocka_unit_test(test_tuning),
        cmocka_unit_test(test_slow_or_unknown_does_not_grow),
        cmocka_unit_test(test_odd_ceiling_and_widening),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
