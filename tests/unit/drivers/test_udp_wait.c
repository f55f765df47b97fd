// test_udp_wait.c -- sleeping and waking: no wake() is ever lost.
//
// A lost one would leave a thread asleep for an hour: the test then runs into its time limit.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>

#include "base/spsc.h"
#include "drivers/udp/udp.h"
#include "plx/port.h"

static const plx_dur HOUR = {UINT64_C(3600) * 1000000000};

static struct plx_port *port_open(uint16_t queues, struct plx_addr *bound)
{
    struct plx_port *port = plx_port_udp();
    struct plx_addr at = {.af = PLX_AF_IP4, .ip = {127, 0, 0, 1}};
    struct plx_port_cfg cfg = {.queues = queues, .listen = &at, .listen_count = 1, .numa_node = -1};
    struct plx_port_caps caps;
    char err[256] = "";
    assert_non_null(port);
    if (port->ops->open(port, &cfg, &caps, err, sizeof err) != PLX_OK)
        fail_msg("%s", err);
    assert_true(caps.can_wait);
    *bound = caps.bound;
    return port;
}

static void port_close(struct plx_port *port)
{
    port->ops->close(port);
    plx_port_free(port);
}

static void test_wake_is_remembered(void **state)
{
    (void)state;
    struct plx_addr bound;
    struct plx_port *port = port_open(2, &bound);

    for (unsigned i = 0; i < 3; i++) {
        port->ops->wake(port, 1);
        port->ops->wake(port, 1);
        port->ops->wait(port, 1, HOUR);
        assert_int_equal(udp_queue_of(port, 1)->woken, 0);
    }
    port->ops->wait(port, 0, PLX_US(1)); // the other queue was not meant; it sleeps its time out
    port_close(port);
}

static void test_a_datagram_ends_the_wait(void **state)
{
    (void)state;
    struct plx_addr bound;
    struct plx_port *port = port_open(1, &bound);
    struct plx_pkt *pkt;

    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(port->ops->take(port, 0, &pkt, 1), 1);
        pkt->len = 100;
        pkt->peer = bound;
        assert_int_equal(port->ops->tx(port, 0, &pkt, 1), 1);
        port->ops->wait(port, 0, HOUR);
        assert_int_equal(port->ops->rx(port, 0, &pkt, 1), 1);
        port->ops->give(port, 0, &pkt, 1);
    }
    port_close(port);
}

// --- two threads that hand numbers to each other ----------------------------------------------------------

enum { ROUNDS = 20000, RING = 16 };

struct worker {
    struct plx_port *port;
    uint16_t queue;
    struct plx_spsc in;
    void *slots[RING];
    struct worker *other;
    uint64_t sum;
};

static void *worker_run(void *arg)
{
    struct worker *w = arg;
    uint64_t sent = 0, received = 0;

    w->port->ops->thread_attach(w->port, w->queue);
    while (received < ROUNDS || sent < ROUNDS) {
        void *number;
        bool is_idle = true;
        while ((number = plx_spsc_pop(&w->in)) != NULL) {
            w->sum += (uintptr_t)number;
            received++;
            is_idle = false;
        }
        // Never more than a ring ahead of what has come back: now and then one has to wait for the other.
        while (sent < ROUNDS && sent < received + RING / 2 &&
               plx_spsc_push(&w->other->in, (void *)(uintptr_t)(sent + 1))) {
            sent++;
            w->port->ops->wake(w->port, w->other->queue);
            is_idle = false;
        }
        if (is_idle)
            w->port->ops->wait(w->port, w->queue, HOUR);
    }
    return NULL;
}

static void test_no_wake_is_lost(void **state)
{
    (void)state;
    struct plx_addr bound;
    struct plx_port *port = port_open(2, &bound);
    static struct worker w[2];
    pthread_t thread[2];

    for (uint16_t i = 0; i < 2; i++) {
        w[i] = (struct worker){.port = port, .queue = i, .other = &w[1 - i]};
        plx_spsc_init(&w[i].in, w[i].slots, RING);
    }
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, worker_run, &w[i]), 0);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    }
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(w[i].sum, (uint64_t)ROUNDS * (ROUNDS + 1) / 2);
    port_close(port);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wake_is_remembered),
        cmocka_unit_test(test_a_datagram_ends_the_wait),
        cmocka_unit_test(test_no_wake_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
