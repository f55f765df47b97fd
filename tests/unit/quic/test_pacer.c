// test_pacer.c -- the two bounds of the token bucket, over many intervals, and its corners.

#include "quic/recovery/pacer.h"

#include "../base/rows.h"
#include "base/prng.h"

enum { MTU = 1200 };

// A sender that always has something to say, asked at arbitrary moments and at those the pacer names.
static void test_bounds(void **state)
{
    struct plx_prng r;
    (void)state;
    plx_prng_init(&r, 7);
    for (unsigned i = 0; i < 60; i++) {
        struct plx_pacer p;
        uint64_t cwnd = plx_prng_between(&r, 20 * MTU, 2000 * MTU), sent = 0;
        plx_dur srtt = PLX_US(plx_prng_between(&r, 200, 200000));
        plx_time start = {PLX_SEC(5).ns}, now = start;
        plx_pacer_init(&p, true, MTU, (plx_time){0});
        plx_pacer_set_rate(&p, cwnd, srtt, false, now);
        double rate = (double)cwnd * 1.25 / (double)srtt.ns;
        while (now.ns < start.ns + 20 * srtt.ns) {
            plx_time wait = PLX_NEVER;
            uint64_t can = plx_pacer_can_send(&p, now, &wait);
            double allowed = rate * (double)(now.ns - start.ns) + (double)p.burst;
            if (can == 0) {
                EXPECT_ROW(i, wait.ns > now.ns);
                // Held back: what is owed by the rate has been sent, but for less than a packet.
                EXPECT_ROW(i, (double)sent + MTU >= allowed - 1 - (double)sent * 1e-9 ||
                                  sent >= (uint64_t)(rate * (double)(now.ns - start.ns)));
                now = plx_prng_chance(&r, 1, 2)
                          ? wait
                          : plx_time_after(now, PLX_NS(plx_prng_below(&r, wait.ns - now.ns) + 1));
                continue;
            }
            EXPECT_ROW(i, can >= MTU);
            plx_pacer_on_sent(&p, MTU, now);
            sent += MTU;
            EXPECT_ROW(i, (double)sent <= allowed + 1);
        }
        double owed = rate * (double)(now.ns - start.ns);
        EXPECT_ROW(i, (double)sent >= owed * 0.99 - MTU);
    }
}

static void test_wait_is_exact(void **state)
{
    struct plx_pacer p;
    plx_time now = {PLX_SEC(1).ns}, wait;
    (void)state;
    plx_pacer_init(&p, true, MTU, now);
    plx_pacer_set_rate(&p, 100 * MTU, PLX_MS(125), false, now); // 125 packets in 125 ms: one each millisecond
    for (unsigned i = 0; i < PLX_PACER_BURST_PACKETS; i++) {
        assert_true(plx_pacer_can_send(&p, now, &wait) >= MTU);
        plx_pacer_on_sent(&p, MTU, now);
    }
    assert_int_equal(plx_pacer_can_send(&p, now, &wait), 0);
    assert_in_range(wait.ns - now.ns, PLX_MS(1).ns, PLX_MS(1).ns + 10);
    assert_int_equal(plx_pacer_can_send(&p, plx_time_before(wait, PLX_US(1)), &wait), 0);
    assert_true(plx_pacer_can_send(&p, wait, &wait) >= MTU);
}

static void test_corners(void **state)
{
    struct plx_pacer p;
    plx_time now = {PLX_SEC(1).ns}, wait = PLX_NEVER;
    (void)state;
    plx_pacer_init(&p, false, MTU, now); // switched off
    plx_pacer_set_rate(&p, 100000, PLX_MS(10), false, now);
    assert_true(plx_pacer_can_send(&p, now, &wait) == UINT64_MAX);

    plx_pacer_init(&p, true, MTU, now); // no RTT yet
    plx_pacer_on_sent(&p, 100 * MTU, now);
    assert_true(plx_pacer_can_send(&p, now, &wait) == UINT64_MAX);

    plx_pacer_set_rate(&p, UINT64_C(1) << 40, PLX_NS(1), true, now); // absurd: no overflow, plenty
    assert_true(plx_pacer_can_send(&p, plx_time_after(now, PLX_SEC(3600)), &wait) > UINT64_C(1) << 30);
    plx_pacer_on_sent(&p, p.tokens, plx_time_after(now, PLX_SEC(3600)));
    plx_pacer_set_rate(&p, 2 * MTU, PLX_SEC(100), false, now); // very slow, but it moves
    assert_int_equal(plx_pacer_can_send(&p, plx_time_after(now, PLX_SEC(3601)), &wait), 0);
    assert_false(plx_time_is_never(wait));
    plx_pacer_on_sent(&p, 1 << 20, now); // probes ask nobody
    assert_int_equal(p.tokens, 0);

    plx_pacer_init(&p, true, MTU, now);
    plx_pacer_set_rate(&p, 1000 * MTU, PLX_MS(10), false, now); // fast: a millisecond's worth is a burst
    assert_in_range(p.burst, 124 * MTU, 125 * MTU);
    plx_pacer_set_rate(&p, 1000 * MTU, PLX_MS(10), true, now); // twice the window in slow start
    assert_in_range(p.burst, 124 * MTU, 125 * MTU);            // nobody needs to know yet
    plx_pacer_on_sent(&p, p.tokens - 4 * MTU, now);
    assert_in_range(p.burst, 124 * MTU, 125 * MTU);
    plx_pacer_on_sent(&p, 1, now); // now it might come to it
    assert_in_range(p.burst, 199 * MTU, 200 * MTU);
    plx_pacer_set_rate(&p, 1000 * MTU, PLX_MS(10), false, now); // with so little left, at once
    assert_in_range(p.burst, 124 * MTU, 125 * MTU);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_wait_is_exact),
        cmocka_unit_test(test_corners),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
