// test_wheel.c -- never early, at most a tick late, whatever the distance; moved, cancelled, in the past, never.

#include "base/wheel.h"

#include <stdlib.h>

#include "base/prng.h"
#include "base/time.h"
#include "rows.h"

#define AT(x)    ((plx_time){(x)})
#define HOURS(x) PLX_SEC((x)*3600)
#define TICK     UINT64_C(262144) // what PLX_US(250) becomes

static const uint64_t start = UINT64_C(1700000000000000000); // not a round number of anything

static void test_tick_is_rounded_up(void **state)
{
    static const uint64_t row[][2] = {
        {0, 1024}, {1, 1024}, {1024, 1024}, {1025, 2048}, {250000, TICK}, {TICK, TICK}, {UINT64_MAX, 1 << 30},
    };
    static struct plx_wheel w;
    (void)state;

    for (unsigned i = 0; i < ROWS(row); i++) {
        plx_wheel_init(&w, AT(start), PLX_NS(row[i][0]));
        EXPECT_ROW(i, plx_wheel_tick(&w).ns == row[i][1]);
        EXPECT_ROW(i, plx_wheel_next(&w).ns == PLX_NEVER.ns);
        plx_wheel_verify(&w);
    }
}

// One timer at each distance: not handed out a nanosecond before its time, and handed out a tick after it.
static void test_every_distance(void **state)
{
    static const uint64_t base[] = {0, 1, TICK - 1, TICK, start, start + 77, (UINT64_C(1) << 63) - 5};
    static struct plx_wheel w;
    struct plx_timer t, *out[2];
    (void)state;

    for (unsigned i = 0; i < ROWS(base); i++) {
        for (unsigned bit = 0; bit < 63; bit++) {
            for (int near = -1; near <= 1; near++) {
                plx_time now = AT(base[i]),
                         at = plx_time_after(now, PLX_NS((UINT64_C(1) << bit) + (uint64_t)near));
                plx_wheel_init(&w, now, PLX_US(250));
                plx_timer_init(&t);
                plx_wheel_set(&w, &t, at);
                EXPECT_ROW(bit, plx_timer_is_armed(&t));
                plx_wheel_verify(&w);
                if (at.ns > now.ns) {
                    EXPECT_ROW(bit, plx_wheel_expire(&w, AT(at.ns - 1), out, 2) == 0);
                    plx_wheel_verify(&w);
                    EXPECT_ROW(bit, plx_wheel_next(&w).ns < at.ns + TICK); // never later than the tick
                }
                EXPECT_ROW(bit, plx_wheel_expire(&w, AT(at.ns + TICK - 1), out, 2) == 1);
                EXPECT_ROW(bit, out[0] == &t);
                EXPECT_ROW(bit, !plx_timer_is_armed(&t));
                EXPECT_ROW(bit, plx_wheel_count(&w) == 0);
                plx_wheel_verify(&w);
            }
        }
    }
}

static void test_following_next_finds_every_deadline(void **state)
{
    enum { TIMERS = 500 };
    static struct plx_wheel w;
    static struct plx_timer t[TIMERS];
    uint64_t at[TIMERS];
    struct plx_timer *out[8];
    struct plx_prng rng;
    (void)state;

    plx_prng_init(&rng, 11);
    plx_wheel_init(&w, AT(start), PLX_US(250));
    for (unsigned i = 0; i < TIMERS; i++) {
        at[i] = start + plx_prng_below(&rng, UINT64_C(1) << plx_prng_between(&rng, 10, 55));
        plx_timer_init(&t[i]);
        plx_wheel_set(&w, &t[i], AT(at[i]));
    }
    unsigned found = 0, calls = 0;
    for (plx_time now = AT(start); plx_wheel_count(&w) > 0; calls++) {
        plx_time next = plx_wheel_next(&w);
        assert_false(plx_time_is_never(next));
        now = plx_time_max(now, next); // sleep exactly so long
        uint32_t n = plx_wheel_expire(&w, now, out, 8);
        for (uint32_t i = 0; i < n; i++, found++) {
            uint64_t due = at[out[i] - t];
            assert_true(now.ns >= due);
            assert_true(now.ns - due < TICK);
        }
        plx_wheel_verify(&w);
    }
    assert_int_equal(found, TIMERS);
    assert_true(calls < TIMERS * PLX_WHEEL_LEVELS + TIMERS); // progress each time
    assert_true(plx_time_is_never(plx_wheel_next(&w)));
}

static void test_later_is_lazy_and_earlier_is_not(void **state)
{
    static struct plx_wheel w;
    struct plx_timer t, *out[4];
    (void)state;

    plx_wheel_init(&w, AT(start), PLX_US(250));
    plx_timer_init(&t);
    plx_wheel_set(&w, &t, AT(start + PLX_MS(10).ns));
    uint64_t placed = t.placed;
    for (uint64_t ms = 11; ms < 500; ms++) // every acknowledgement
        plx_wheel_set(&w, &t, AT(start + PLX_MS(ms).ns));
    assert_true(t.placed == placed); // it has not moved at all
    plx_wheel_verify(&w);
    assert_true(plx_wheel_next(&w).ns <= start + PLX_MS(11).ns); // early is allowed
    assert_int_equal(plx_wheel_expire(&w, AT(start + PLX_MS(498).ns), out, 4), 0);
    assert_true(t.placed > placed); // looked at once, and moved
    plx_wheel_verify(&w);
    plx_wheel_set(&w, &t, AT(start + PLX_MS(499).ns - 1));    // nearly the same: no move, or an earlier one
    plx_wheel_set(&w, &t, AT(start + PLX_MS(498).ns + TICK)); // earlier
    assert_int_equal(plx_wheel_expire(&w, AT(start + PLX_MS(498).ns + 2 * TICK), out, 4), 1);
    assert_int_equal(plx_wheel_count(&w), 0);

    plx_wheel_set(&w, &t, AT(start + HOURS(5).ns)); // from far away to near
    plx_wheel_set(&w, &t, AT(start + HOURS(1).ns));
    plx_wheel_verify(&w);
    assert_int_equal(plx_wheel_expire(&w, AT(start + HOURS(1).ns - 1), out, 4), 0);
    assert_int_equal(plx_wheel_expire(&w, AT(start + HOURS(1).ns + TICK), out, 4), 1);
}

static void test_disarming(void **state)
{
    static struct plx_wheel w;
    struct plx_timer a, b, c, *out[4];
    (void)state;

    plx_wheel_init(&w, AT(start), PLX_US(250));
    plx_timer_init(&a);
    plx_timer_init(&b);
    plx_timer_init(&c);
    plx_wheel_cancel(&w, &a); // was not armed: nothing happens
    plx_wheel_set(&w, &a, PLX_NEVER);
    assert_int_equal(plx_wheel_count(&w), 0);

    plx_wheel_set(&w, &a, AT(start + PLX_MS(1).ns));
    plx_wheel_set(&w, &b, AT(start + PLX_MS(1).ns));
    plx_wheel_set(&w, &c, AT(start + PLX_MS(1).ns));
    plx_wheel_cancel(&w, &a);
    plx_wheel_set(&w, &b, PLX_NEVER); // stays where it is, but is silent
    assert_false(plx_timer_is_armed(&a));
    assert_false(plx_timer_is_armed(&b));
    assert_int_equal(plx_wheel_count(&w), 2);
    plx_wheel_verify(&w);
    assert_int_equal(plx_wheel_expire(&w, AT(start + PLX_MS(5).ns), out, 4), 1);
    assert_ptr_equal(out[0], &c);
    assert_int_equal(plx_wheel_count(&w), 0);

    plx_wheel_set(&w, &a, AT(start)); // overdue, then disarmed before anybody looked
    plx_wheel_set(&w, &b, AT(start));
    plx_wheel_set(&w, &c, AT(start));
    plx_wheel_set(&w, &a, PLX_NEVER);
    plx_wheel_cancel(&w, &b);
    plx_wheel_set(&w, &c, AT(start + PLX_SEC(1).ns));
    plx_wheel_verify(&w);
    assert_int_equal(plx_wheel_expire(&w, AT(start + PLX_MS(5).ns), out, 4), 0);
    plx_wheel_verify(&w);
    assert_int_equal(plx_wheel_count(&w), 1);
    assert_int_equal(plx_wheel_expire(&w, AT(start + PLX_MS(1001).ns), out, 4), 1);
}

static void test_the_past_is_due_at_once(void **state)
{
    static struct plx_wheel w;
    struct plx_timer t, *out[1];
    (void)state;

    plx_wheel_init(&w, AT(start), PLX_US(250));
    plx_timer_init(&t);
    plx_wheel_set(&w, &t, AT(5));
    assert_true(plx_wheel_next(&w).ns <= start);
    assert_int_equal(plx_wheel_expire(&w, AT(start), out, 1), 1);
    plx_wheel_set(&w, &t, AT(start + 10 * TICK));
    plx_wheel_set(&w, &t, AT(0));
    assert_int_equal(plx_wheel_expire(&w, AT(start), out, 1), 1);
}

static void test_end_of_time(void **state)
{
    static struct plx_wheel w;
    struct plx_timer t, *out[1];
    (void)state;

    plx_wheel_init(&w, AT(start), PLX_US(250));
    plx_timer_init(&t);
    plx_wheel_set(&w, &t, AT(UINT64_MAX - 1)); // in the last tick: as good as never
    assert_false(plx_timer_is_armed(&t));
    plx_wheel_set(&w, &t, AT(UINT64_MAX - 2 * TICK));
    assert_true(plx_timer_is_armed(&t));
    plx_wheel_verify(&w);
    assert_int_equal(plx_wheel_expire(&w, AT(UINT64_MAX - 2 * TICK - 1), out, 1), 0);
    assert_int_equal(plx_wheel_expire(&w, AT(UINT64_MAX), out, 1), 1);
    assert_int_equal(plx_wheel_expire(&w, AT(UINT64_MAX), out, 1), 0);
    plx_wheel_verify(&w);
}

static void test_more_than_asked_for(void **state)
{
    enum { TIMERS = 100 };
    static struct plx_wheel w;
    static struct plx_timer t[TIMERS];
    struct plx_timer *out[7];
    unsigned found = 0;
    uint32_t n;
    (void)state;

    plx_wheel_init(&w, AT(start), PLX_US(250));
    for (unsigned i = 0; i < TIMERS; i++) {
        plx_timer_init(&t[i]);
        t[i].kind = (uint8_t)i;
        plx_wheel_set(&w, &t[i], AT(start + i * PLX_MS(3).ns));
    }
    do {
        n = plx_wheel_expire(&w, AT(start + PLX_SEC(1).ns), out, 7);
        for (uint32_t i = 0; i < n; i++)
            assert_int_equal(out[i]->kind, found++); // different ticks: in order
        if (found < TIMERS)
            assert_true(plx_wheel_next(&w).ns <= start + PLX_SEC(1).ns); // "call again"
        plx_wheel_verify(&w);
    } while (n == 7);
    assert_int_equal(found, TIMERS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tick_is_rounded_up),
        cmocka_unit_test(test_every_distance),
        cmocka_unit_test(test_following_next_finds_every_deadline),
        cmocka_unit_test(test_later_is_lazy_and_earlier_is_not),
        cmocka_unit_test(test_disarming),
        cmocka_unit_test(test_the_past_is_due_at_once),
        cmocka_unit_test(test_end_of_time),
        cmocka_unit_test(test_more_than_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
