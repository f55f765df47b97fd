// test_gate.c -- bursts and DPDK's interrupt thread take turns: drivers/ethdev/gate.h.
//
// First the gate itself, with a thread in the keeper's place that takes memory away as memif's driver does; then the keeper, in the interrupt thread of a
// DPDK without devices, which a handler of ours is called in (an alarm's).

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <rte_alarm.h>

#include "drivers/ethdev/gate.h"
#include "plx/port.h"

static void rest_us(long us)
{
    nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}

// --- the gate ----------------------------------------------------------------------------------------------

enum { WORKERS = 3, TURNS = 300, MEMORY = 64 };

static uint64_t *memory; // only while the gate is open; NULL in between
static atomic_bool is_over;

struct worker {
    struct ethdev_pass pass;
    uint64_t bursts, refused;
};

static void *work(void *arg)
{
    struct worker *w = arg;

    while (!atomic_load(&is_over)) {
        if (!ethdev_gate_enter(&w->pass)) {
            w->refused++;
            rest_us(1);
            continue;
        }
        for (unsigned i = 0; i < MEMORY; i++)
            w->bursts += memory[i]; // ones
        ethdev_gate_leave(&w->pass);
    }
    return NULL;
}

static void test_nobody_is_in_while_it_is_shut(void **state)
{
    (void)state;
    static struct worker w[WORKERS];
    pthread_t thread[WORKERS];

    ethdev_gate_shut();
    for (unsigned i = 0; i < WORKERS; i++) {
        ethdev_gate_add(&w[i].pass);
        assert_false(ethdev_gate_enter(&w[i].pass));
        assert_int_equal(pthread_create(&thread[i], NULL, work, &w[i]), 0);
    }
    for (unsigned turn = 0; turn < TURNS; turn++) {
        memory = malloc(MEMORY * sizeof *memory);
        assert_non_null(memory);
        for (unsigned i = 0; i < MEMORY; i++)
            memory[i] = 1;
        ethdev_gate_open();
        rest_us(turn % 100);
        ethdev_gate_shut();
        free(memory); // whoever is in one of its bursts now is seen by the sanitizers, or by the kernel
        memory = NULL;
    }
    memory = calloc(MEMORY, sizeof *memory);
    ethdev_gate_open();
    for (unsigned i = 0; i < WORKERS; i++) // everybody had a turn, and after the last one it is open to all
        assert_true(ethdev_gate_enter(&(struct ethdev_pass){0}));
    rest_us(2000);
    atomic_store(&is_over, true);
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
        ethdev_gate_remove(&w[i].pass);
        assert_int_equal(w[i].bursts % MEMORY, 0);
    }
    assert_null(ethdev_gate.passes);
    ethdev_gate_shut();
    free(memory);
}

static void test_who_leaves_is_not_waited_for(void **state)
{
    (void)state;
    struct ethdev_pass a = {0}, b = {0}, c = {0};

    ethdev_gate_open();
    ethdev_gate_add(&a);
    ethdev_gate_add(&b);
    ethdev_gate_add(&c);
    assert_true(ethdev_gate_enter(&b));
    ethdev_gate_remove(&b); // from the middle
    ethdev_gate_shut();     // would wait for ever
    assert_false(ethdev_gate_enter(&a));
    assert_false(ethdev_gate_enter(&c));
    ethdev_gate_remove(&c);
    ethdev_gate_remove(&a);
    ethdev_gate_remove(&b); // twice does no harm
    assert_null(ethdev_gate.passes);
}

// --- the keeper --------------------------------------------------------------------------------------------

static struct {
    struct ethdev_pass *pass;
    atomic_uint calls, entered;
} alarms;

// In DPDK's interrupt thread, as memif's handlers are.
static void on_alarm(void *arg)
{
    (void)arg;
    if (ethdev_gate_enter(alarms.pass)) {
        ethdev_gate_leave(alarms.pass);
        atomic_fetch_add(&alarms.entered, 1);
    }
    atomic_fetch_add(&alarms.calls, 1);
}

static bool is_open_in_time(struct ethdev_pass *p)
{
    for (unsigned tries = 0; tries < 20000; tries++, rest_us(500))
        if (ethdev_gate_enter(p)) {
            ethdev_gate_leave(p);
            return true;
        }
    return false;
}

static void test_others_have_their_turn_behind_a_shut_gate(void **state)
{
    (void)state;
    struct ethdev_pass pass = {0};

    for (unsigned life = 0; life < 3; life++) { // ports come and go
        ethdev_gate_add(&pass);
        alarms.pass = &pass;
        atomic_store(&alarms.calls, 0);
        assert_true(ethdev_gate_hire());
        assert_true(ethdev_gate_hire()); // a second port
        assert_true(is_open_in_time(&pass));
        for (unsigned i = 0; i < 20; i++) {
            unsigned before = atomic_load(&alarms.calls);
            assert_true(is_open_in_time(&pass));
            assert_int_equal(rte_eal_alarm_set(1 + i * 50, on_alarm, NULL), 0);
            for (unsigned tries = 0; tries < 20000 && atomic_load(&alarms.calls) == before; tries++)
                rest_us(500);
            assert_int_equal(atomic_load(&alarms.calls), before + 1);
        }
        assert_int_equal(atomic_load(&alarms.entered), 0);
        assert_true(is_open_in_time(&pass)); // and after each of them it is opened again
        ethdev_gate_dismiss();
        assert_true(is_open_in_time(&pass)); // the other port is still there
        ethdev_gate_dismiss();
        assert_false(ethdev_gate_enter(&pass)); // nobody keeps it: nobody passes
        ethdev_gate_remove(&pass);
    }
}

static int eal_start(void **state)
{
    (void)state;
    // without shared files there is no thread that waits for other processes and ends with this one
    static char *args[] = {"--no-pci",    "--no-huge",      "-m",          "64",
                           "--no-shconf", "--no-telemetry", "--log-level", "critical"};
    char err[512];

    return plx_eal_init(sizeof args / sizeof *args, args, err, sizeof err) == PLX_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody_is_in_while_it_is_shut),
        cmocka_unit_test(test_who_leaves_is_not_waited_for),
        cmocka_unit_test_setup(test_others_have_their_turn_behind_a_shut_gate, eal_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
