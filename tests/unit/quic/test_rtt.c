// test_rtt.c -- the estimate of the round-trip time, sample by sample; figures follow from RFC 9002 section 5.3 by hand.

#include "quic/recovery/rtt.h"

#include "../base/rows.h"

static void test_timeline(void **state)
{
    static const struct { // microseconds
        uint64_t sample, delay, min, smoothed, var;
    } row[] = {
        {100000, 50000, 100000, 100000, 50000}, // the first counts as it is, without the delay
        {100000, 0, 100000, 100000, 37500},     {120000, 20000, 100000, 100000, 28125}, // 120 - 20
        {110000, 20000, 100000, 101250, 23593}, // 110 - 20 would be below the minimum: 110. var: (3 * 28125 + 10000) / 4
        {80000, 0, 80000, 98593, 23007},     // a new minimum
        {80000, 40000, 80000, 96269, 21904}, // never adjusted below it
    };
    struct plx_rtt r;
    (void)state;
    plx_rtt_init(&r, PLX_MS(333));
    assert_true(!r.has_sample && r.smoothed.ns == PLX_MS(333).ns && r.var.ns == PLX_US(166500).ns);
    assert_true(plx_time_is_never(r.first_sample_at));
    for (unsigned i = 0; i < ROWS(row); i++) {
        plx_rtt_update(&r, PLX_US(row[i].sample), PLX_US(row[i].delay), (plx_time){1000 + i});
        EXPECT_ROW(i, r.latest.ns == PLX_US(row[i].sample).ns);
        EXPECT_ROW(i, r.min.ns == PLX_US(row[i].min).ns);
        EXPECT_ROW(i, r.smoothed.ns / 1000 == row[i].smoothed);
        EXPECT_ROW(i, r.var.ns / 1000 == row[i].var);
        EXPECT_ROW(i, r.first_sample_at.ns == 1000);
    }
}

static void test_derived(void **state)
{
    struct plx_rtt r = {.latest = PLX_MS(90), .smoothed = PLX_MS(80), .var = PLX_MS(5)};
    (void)state;
    assert_true(plx_rtt_pto(&r).ns == PLX_MS(100).ns);
    assert_true(plx_rtt_loss_delay(&r).ns == PLX_US(101250).ns); // 9/8 of the latest
    r.latest = PLX_MS(10);
    assert_true(plx_rtt_loss_delay(&r).ns == PLX_MS(90).ns); // 9/8 of the mean
    r = (struct plx_rtt){.latest = PLX_US(100), .smoothed = PLX_US(100), .var = PLX_US(1)};
    assert_true(plx_rtt_pto(&r).ns == PLX_US(1100).ns); // no finer than a millisecond
    assert_true(plx_rtt_loss_delay(&r).ns == PLX_MS(1).ns);
}

static void test_absurd_delay(void **state)
{
    struct plx_rtt r;
    (void)state;
    plx_rtt_init(&r, PLX_MS(333));
    plx_rtt_update(&r, PLX_MS(10), PLX_NS(0), (plx_time){1});
    plx_rtt_update(&r, PLX_MS(10), PLX_DUR_MAX, (plx_time){2});
    assert_true(r.smoothed.ns == PLX_MS(10).ns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timeline),
        cmocka_unit_test(test_derived),
        cmocka_unit_test(test_absurd_delay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
