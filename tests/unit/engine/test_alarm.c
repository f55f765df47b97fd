// test_alarm.c -- plx_core_alarm(): exact, one per worker, moved and taken back; and statistics on one's own worker.

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/time.h"
#include "drivers/sim/sim.h"
#include "engine/engine.h"

static const plx_time epoch = {UINT64_C(1000000000000)};

static struct plx_engine *engine;
static struct plx_sim_world *sim;
static plx_time went_off[16];
static unsigned count;
static plx_dur again; // the next one, asked for from inside; 0: none

static plx_time at_us(uint64_t us)
{
    return (plx_time){epoch.ns + us * 1000};
}

static void on_alarm(void *ctx, struct plx_core *core, plx_time now)
{
    assert_ptr_equal(ctx, &engine);
    assert_int_equal(plx_core_now(core).ns, now.ns);
    went_off[count++] = now;
    if (again.ns > 0)
        plx_core_alarm(core, plx_time_after(now, again));
}

static int set_up(void **state)
{
    static const struct plx_h3_handler none = {0};
    struct plx_engine_cfg cfg;
    struct plx_addr ip;
    char err[512];

    (void)state;
    count = 0;
    again = PLX_NS(0);
    sim = plx_sim_new(&(struct plx_sim_cfg){.seed = 1});
    plx_sim_advance(sim, epoch);
    assert_true(plx_addr_parse("10.0.0.1:443", &ip));
    plx_engine_cfg_init(&cfg);
    cfg.port = plx_sim_port_add(sim, &ip, plx_sim_link_add(sim, &(struct plx_sim_link_cfg){0}));
    cfg.h3 = &none;
    cfg.ctx = &engine;
    cfg.on_alarm = on_alarm;
    cfg.tick = PLX_SEC(3600);
    cfg.conns_max = cfg.handshakes_max = cfg.streams_max = 16;
    engine = plx_engine_new_at(&cfg, epoch, 1, err, sizeof err);
    assert_non_null(engine);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    plx_engine_free(engine);
    plx_sim_free(sim);
    return 0;
}

// From deadline to deadline, as a worker that sleeps in between does.
static void run_until(plx_time until)
{
    struct plx_core *k = engine->cores[0];

    for (plx_time now = k->now; now.ns <= until.ns; now = plx_core_deadline(k)) {
        plx_sim_advance(sim, now);
        plx_core_breath(k, now);
    }
}

static void test_exact(void **state)
{
    (void)state;
    struct plx_core *k = engine->cores[0];
    run_until(epoch);
    plx_core_alarm(k, (plx_time){epoch.ns + 12345});
    assert_int_equal(plx_core_deadline(k).ns, epoch.ns + 12345);
    run_until(at_us(1000));
    assert_int_equal(count, 1);
    assert_int_equal(went_off[0].ns, epoch.ns + 12345);
    run_until(at_us(2000)); // once is once
    assert_int_equal(count, 1);
}

static void test_moved_and_taken_back(void **state)
{
    (void)state;
    struct plx_core *k = engine->cores[0];
    run_until(epoch);
    plx_core_alarm(k, at_us(10));
    plx_core_alarm(k, at_us(30));
    run_until(at_us(20));
    assert_int_equal(count, 0);
    run_until(at_us(40));
    assert_int_equal(count, 1);
    plx_core_alarm(k, at_us(50));
    plx_core_alarm(k, PLX_NEVER);
    run_until(at_us(100));
    assert_int_equal(count, 1);
    plx_core_alarm(k, at_us(1)); // in the past: the next breath
    assert_true(plx_core_breath(k, at_us(100)));
    assert_int_equal(count, 2);
}

static void test_asked_from_inside(void **state)
{
    (void)state;
    run_until(epoch);
    again = PLX_US(7);
    plx_core_alarm(engine->cores[0], at_us(7));
    run_until(at_us(50));
    assert_int_equal(count, 7);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(went_off[i].ns, at_us(7 * (i + 1)).ns);
}

static void test_own_statistics(void **state)
{
    (void)state;
    struct plx_core_stats mine, published;
    run_until(epoch);
    plx_engine_stats(engine, 0, &published);
    plx_core_breath(engine->cores[0], at_us(1));
    plx_core_breath(engine->cores[0], at_us(2));
    plx_core_stats(engine->cores[0], &mine);
    assert_int_equal(mine.breaths, engine->cores[0]->n.breaths); // not a tick old
    assert_true(mine.breaths > published.breaths);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_exact, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_moved_and_taken_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_asked_from_inside, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_own_statistics, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
