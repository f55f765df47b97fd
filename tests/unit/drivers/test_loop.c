// test_loop.c -- what goes in at one end comes out at the other, in order, and every slot comes home.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "drivers/loop/loop.h"
#include "base/prng.h"

static void ends_open(struct plx_port *end[2], uint32_t slots, struct plx_port_caps *caps)
{
    assert_true(plx_loop_pair(&end[0], &end[1], slots));
    for (unsigned i = 0; i < 2; i++) {
        struct plx_port_cfg cfg = {.queues = 1, .numa_node = -1};
        char err[200] = "";
        assert_int_equal(end[i]->ops->open(end[i], &cfg, caps, err, sizeof err), PLX_OK);
        end[i]->ops->thread_attach(end[i], 0);
    }
}

static void ends_close(struct plx_port *end[2], unsigned first)
{
    for (unsigned i = 0; i < 2; i++) {
        end[(first + i) % 2]->ops->close(end[(first + i) % 2]);
        plx_port_free(end[(first + i) % 2]);
    }
}

// --- one thread: operations against a model ----------------------------------------------------------------

enum { SLOTS = 48, HELD_MAX = 2 * SLOTS };

struct model { // what each end holds, and what is on its way from it
    struct plx_pkt *taken[2][SLOTS], *received[2][SLOTS];
    unsigned taken_count[2], received_count[2];
    uint32_t sent[2], arrived[2]; // numbers on the packets
    unsigned on_wire[2];
};

static void model_send(struct plx_port **end, struct model *m, unsigned e, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct plx_pkt *pkt = m->taken[e][m->taken_count[e] - n + i];
        memcpy(pkt->data, &m->sent[e], 4);
        pkt->len = (uint16_t)(4 + m->sent[e] % 1400);
        memset(pkt->data + 4, (int)(m->sent[e] & 0xff), pkt->len - 4u);
        pkt->ecn = m->sent[e] & 3;
        pkt->peer = (struct plx_addr){
            .af = PLX_AF_IP4, .ip = {10, 0, 0, (uint8_t)e}, .port = (uint16_t)(m->sent[e] & 0xffff)};
        m->sent[e]++;
    }
    m->taken_count[e] -= n;
    assert_int_equal(end[e]->ops->tx(end[e], 0, m->taken[e] + m->taken_count[e], (uint16_t)n), n);
    m->on_wire[e] += n;
}

static void model_receive(struct plx_port **end, struct model *m, unsigned e, unsigned max)
{
    struct plx_pkt **at = m->received[e] + m->received_count[e];
    unsigned n = end[e]->ops->rx(end[e], 0, at, (uint16_t)max), from = 1 - e;

    assert_int_equal(n, max < m->on_wire[from] ? max : m->on_wire[from]);
    for (unsigned i = 0; i < n; i++) {
        uint32_t number;
        memcpy(&number, at[i]->data, 4);
        assert_int_equal(number, m->arrived[from]++);
        assert_int_equal(at[i]->len, 4 + number % 1400);
        assert_int_equal(at[i]->ecn, number & 3);
        assert_int_equal(at[i]->data[at[i]->len - 1], at[i]->len > 4 ? (number & 0xff) : at[i]->data[3]);
        assert_int_equal(at[i]->local.port, number & 0xffff); // what was the destination
        assert_int_equal(at[i]->peer.port, 1 + from);         // the sender's own address
        memset(at[i]->data, 0xee, at[i]->cap);                // ours to write to
    }
    m->on_wire[from] -= n;
    m->received_count[e] += n;
}

static void test_operations(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct plx_port *end[2];
        struct plx_port_caps caps;
        struct model m = {.sent = {0}};
        struct plx_prng r;
        plx_prng_init(&r, seed);
        ends_open(end, SLOTS, &caps);
        for (unsigned step = 0; step < 4000; step++) {
            unsigned e = (unsigned)plx_prng_below(&r, 2), n = (unsigned)plx_prng_below(&r, 20), got;
            switch (plx_prng_below(&r, 5)) {
            case 0:
                got = end[e]->ops->take(end[e], 0, m.taken[e] + m.taken_count[e], (uint16_t)n);
                m.taken_count[e] += got;
                // Everything not taken, on the wire, or held by the other end can be taken.
                unsigned away = m.taken_count[e] + m.on_wire[e] + m.received_count[1 - e];
                assert_true(away <= SLOTS && (got == n || away == SLOTS));
                break;
            case 1:
                model_send(end, &m, e, n < m.taken_count[e] ? n : m.taken_count[e]);
                break;
            case 2:
                model_receive(end, &m, e, n < SLOTS - m.received_count[e] ? n : SLOTS - m.received_count[e]);
                break;
            case 3:
                n = n < m.received_count[e] ? n : m.received_count[e];
                m.received_count[e] -= n;
                end[e]->ops->give(end[e], 0, m.received[e] + m.received_count[e], (uint16_t)n);
                break;
            default: // unsent ones, mixed with received ones
                n = m.taken_count[e] / 2;
                m.taken_count[e] -= n;
                end[e]->ops->give(end[e], 0, m.taken[e] + m.taken_count[e], (uint16_t)n);
            }
        }
        struct plx_port_stats s;
        end[0]->ops->stats(end[0], 0, &s);
        assert_int_equal(s.tx_packets, m.sent[0]);
        assert_int_equal(s.rx_packets, m.arrived[1]);
        ends_close(end, seed % 2); // with packets still in flight
    }
}

// --- two threads -------------------------------------------------------------------------------------------

enum { TRIPS = 100000 };

struct side {
    struct plx_port *port;
    bool is_asking;
    uint64_t sum;
    uint32_t received;
};

// The asking side sends numbers; the other sends each number's square back from slots of its own.
static void *side_run(void *arg)
{
    struct side *s = arg;
    const struct plx_port_ops *ops = s->port->ops;
    uint32_t sent = 0;
    struct plx_pkt *rx[32], *tx[32];

    while (s->received < TRIPS) {
        uint16_t want = s->is_asking ? (uint16_t)(TRIPS - sent < 32 ? TRIPS - sent : 32) : 32;
        uint16_t room = ops->take(s->port, 0, tx, want), used = 0;
        uint16_t got = ops->rx(s->port, 0, rx, s->is_asking ? 32 : room);
        for (uint16_t i = 0; i < got; i++) {
            uint64_t number;
            memcpy(&number, rx[i]->data, 8);
            s->sum += number;
            if (s->is_asking)
                continue;
            number *= number;
            memcpy(tx[used]->data, &number, 8);
            tx[used]->len = 8;
            tx[used++]->peer = rx[i]->peer;
        }
        for (; s->is_asking && used < room; used++) {
            uint64_t number = ++sent;
            memcpy(tx[used]->data, &number, 8);
            tx[used]->len = 8;
        }
        s->received += got;
        ops->give(s->port, 0, rx, got);
        ops->tx(s->port, 0, tx, used);
        ops->give(s->port, 0, tx + used, (uint16_t)(room - used));
        if (got == 0)
            sched_yield();
    }
    return NULL;
}

static void test_two_threads(void **state)
{
    (void)state;
    struct plx_port *end[2];
    struct plx_port_caps caps;
    pthread_t thread[2];
    ends_open(end, 200, &caps); // not a power of two
    struct side side[2] = {{end[0], true, 0, 0}, {end[1], false, 0, 0}};
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, side_run, &side[i]), 0);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    uint64_t n = TRIPS;
    assert_int_equal(side[1].sum, n * (n + 1) / 2);
    assert_int_equal(side[0].sum, n * (n + 1) * (2 * n + 1) / 6);

    for (unsigned i = 0; i < 2; i++) { // everything is home again
        struct plx_pkt *all[201];
        assert_int_equal(end[i]->ops->take(end[i], 0, all, 201), 200);
        end[i]->ops->give(end[i], 0, all, 200);
    }
    ends_close(end, 0);
}

// --- opening -----------------------------------------------------------------------------------------------

static void test_open(void **state)
{
    (void)state;
    struct plx_port *end[2];
    struct plx_port_caps caps;
    struct plx_addr at = {.af = PLX_AF_IP6, .ip = {[15] = 1}, .port = 443};
    char err[200];
    assert_true(plx_loop_pair(&end[0], &end[1], 2));
    struct plx_port_cfg cfg = {.queues = 2, .numa_node = -1};
    assert_int_equal(end[0]->ops->open(end[0], &cfg, &caps, err, sizeof err), PLX_ERR_INVALID);
    assert_non_null(strstr(err, "one queue"));
    cfg = (struct plx_port_cfg){.queues = 1, .mtu = 500};
    assert_int_equal(end[0]->ops->open(end[0], &cfg, &caps, err, sizeof err), PLX_ERR_INVALID);
    cfg = (struct plx_port_cfg){.queues = 1, .mtu = 9000, .listen = &at, .listen_count = 1, .numa_node = -1};
    assert_int_equal(end[0]->ops->open(end[0], &cfg, &caps, err, sizeof err), PLX_OK);
    assert_int_equal(caps.payload_max, 8972);
    assert_int_equal(caps.bound.port, 443);
    end[0]->ops->close(end[0]);
    plx_port_free(end[0]);
    plx_port_free(end[1]); // never opened
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_operations),
        cmocka_unit_test(test_two_threads),
        cmocka_unit_test(test_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
