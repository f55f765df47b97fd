// test_sim.c -- a simulated link does what it was told, when it was told, and the same again from the same seed.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/prng.h"
#include "drivers/sim/sim.h"

static struct plx_addr ip(uint8_t n)
{
    return (struct plx_addr){.af = PLX_AF_IP4, .ip = {10, 0, 0, n}};
}

struct net {
    struct plx_sim_world *w;
    // two clients (10.0.0.1, .2) that share link 0, and a server (.9) that sends into link 1
    struct plx_port *port[3];
};

static struct net net_open(uint64_t seed, const struct plx_sim_link_cfg *up,
                           const struct plx_sim_link_cfg *down)
{
    struct net n = {.w = plx_sim_new(&(struct plx_sim_cfg){.seed = seed, .in_flight_max = 5000})};
    assert_non_null(n.w);
    plx_sim_link_add(n.w, up);
    plx_sim_link_add(n.w, down);
    for (unsigned i = 0; i < 3; i++) {
        struct plx_addr a = ip(i < 2 ? (uint8_t)(i + 1) : 9);
        struct plx_port_cfg cfg = {.queues = 1};
        struct plx_port_caps caps;
        char err[200] = "";
        n.port[i] = plx_sim_port_add(n.w, &a, i == 2);
        assert_non_null(n.port[i]);
        assert_int_equal(n.port[i]->ops->open(n.port[i], &cfg, &caps, err, sizeof err), PLX_OK);
        n.port[i]->ops->thread_attach(n.port[i], 0);
        assert_int_equal(caps.payload_max, 1472);
    }
    return n;
}

static void net_close(struct net *n)
{
    plx_sim_verify(n->w);
    for (unsigned i = 0; i < 3; i++) {
        n->port[i]->ops->close(n->port[i]);
        plx_port_free(n->port[i]);
    }
    plx_sim_free(n->w);
}

static void send_one(struct net *n, unsigned from, struct plx_addr to, uint16_t to_port, uint16_t from_port,
                     uint32_t number, uint16_t len, uint8_t ecn)
{
    struct plx_pkt *pkt;
    assert_int_equal(n->port[from]->ops->take(n->port[from], 0, &pkt, 1), 1);
    memset(pkt->data, 0, len);
    memcpy(pkt->data, &number, 4);
    pkt->len = len;
    pkt->ecn = ecn;
    pkt->peer = to;
    pkt->peer.port = to_port;
    pkt->local.af = PLX_AF_IP4; // the IP is filled in
    pkt->local.port = from_port;
    assert_int_equal(n->port[from]->ops->tx(n->port[from], 0, &pkt, 1), 1);
}

struct arrival {
    uint64_t ns;
    uint32_t number;
    uint16_t len;
    uint8_t ecn;
    unsigned wrong_bits;
    struct plx_addr peer;
};

// Runs the world until nothing is under way; what arrives at port `at` is noted.
static unsigned run(struct net *n, unsigned at, struct arrival *out, unsigned max)
{
    unsigned count = 0;
    for (plx_time t; (t = plx_sim_next(n->w)).ns != UINT64_MAX;) {
        plx_sim_advance(n->w, t);
        struct plx_pkt *pkt;
        while (n->port[at]->ops->rx(n->port[at], 0, &pkt, 1) == 1) {
            assert_true(count < max);
            struct arrival *a = &out[count++];
            *a = (struct arrival){.ns = pkt->time.ns, .len = pkt->len, .ecn = pkt->ecn, .peer = pkt->peer};
            assert_true(pkt->time.ns <= t.ns); // earlier where it was left waiting
            memcpy(&a->number, pkt->data, 4);
            for (uint16_t i = 4; i < pkt->len; i++)
                a->wrong_bits += (unsigned)__builtin_popcount(pkt->data[i]);
            n->port[at]->ops->give(n->port[at], 0, &pkt, 1);
        }
        for (unsigned i = 0; i < 3; i++) // what others get is of no interest here
            while (n->port[i]->ops->rx(n->port[i], 0, &pkt, 1) == 1)
                n->port[i]->ops->give(n->port[i], 0, &pkt, 1);
    }
    plx_sim_verify(n->w);
    return count;
}

// --- exact behaviour ---------------------------------------------------------------------------------------

static void test_rate_and_delay_are_exact(void **state)
{
    (void)state;
    // 972 + 28 = 1000 octets at 8 Mbit/s: one millisecond each.
    struct plx_sim_link_cfg up = {.rate_bps = 8000000, .delay = PLX_MS(20)}, down = {.delay = PLX_MS(5)};
    struct net n = net_open(1, &up, &down);
    struct arrival a[100];
    for (uint32_t i = 0; i < 10; i++)
        send_one(&n, i % 2, ip(9), 443, 1000, i, 972, 0); // two clients, one queue
    assert_int_equal(run(&n, 2, a, 100), 10);
    for (uint32_t i = 0; i < 10; i++) {
        assert_int_equal(a[i].ns, (i + 1 + 20) * 1000000u);
        assert_int_equal(a[i].number, i);
        assert_int_equal(a[i].peer.ip[3], 1 + i % 2);
        assert_int_equal(a[i].peer.port, 1000);
    }
    send_one(&n, 2, ip(2), 1000, 443, 77, 100, 0); // no rate: only the delay
    assert_int_equal(run(&n, 1, a, 100), 1);
    assert_int_equal(a[0].ns, 35000000);
    assert_int_equal(plx_sim_link_stats(n.w, 0).queue_packets_most, 10);
    assert_int_equal(plx_sim_link_stats(n.w, 0).bytes, 10000);
    net_close(&n);
}

static void test_one_at_a_time(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        struct plx_sim_link_cfg link;
        uint16_t len;
        unsigned sent, arrive;
        size_t counter; // offset in the statistics
        uint64_t count;
    } row[] = {
#define AT(field) offsetof(struct plx_sim_link_stats, field)
        {"nothing", {0}, 100, 50, 50, AT(delivered), 50},
        {"three packets of queue",
         {.rate_bps = 1000000, .queue_packets = 3},
         100,
         10,
         3,
         AT(lost_by_queue),
         7},
        {"room for two", {.rate_bps = 1000000, .queue_bytes = 300}, 100, 10, 2, AT(lost_by_queue), 8},
        {"the first, third and tenth", {.loss_mask = 0x205}, 100, 64, 61, AT(lost_by_mask), 3},
        {"the last of the mask only", {.loss_mask = UINT64_C(1) << 63}, 100, 200, 199, AT(lost_by_mask), 1},
        {"all lost", {.loss = 1}, 100, 50, 0, AT(lost), 50},
        {"all twice", {.duplicate = 1}, 100, 50, 100, AT(duplicated), 50},
        {"all damaged", {.corrupt = 1}, 100, 50, 50, AT(corrupted), 50},
        {"too long", {.mtu = 1280}, 1253, 5, 0, AT(lost_by_mtu), 5},
        {"just short enough", {.mtu = 1280}, 1252, 5, 5, AT(lost_by_mtu), 0},
        {"marked behind two", {.rate_bps = 1000000, .ecn_bytes = 256}, 100, 10, 10, AT(marked), 8},
#undef AT
    };
    for (unsigned i = 0; i < sizeof row / sizeof *row; i++) {
        struct net n = net_open(5, &row[i].link, &(struct plx_sim_link_cfg){0});
        struct arrival a[200];
        for (uint32_t k = 0; k < row[i].sent; k++)
            send_one(&n, 0, ip(9), 443, 1, k, row[i].len, PLX_ECN_ECT0);
        unsigned got = run(&n, 2, a, 200);
        struct plx_sim_link_stats s = plx_sim_link_stats(n.w, 0);
        uint64_t counted;
        memcpy(&counted, (const uint8_t *)&s + row[i].counter, sizeof counted);
        if (got != row[i].arrive || counted != row[i].count)
            fail_msg("%s: %u arrive, %d counted", row[i].what, got, (int)counted);
        unsigned marked = 0;
        for (unsigned k = 0; k < got; k++) {
            marked += a[k].ecn == PLX_ECN_CE;
            assert_true(a[k].wrong_bits <= (row[i].link.corrupt > 0));
        }
        assert_int_equal(marked, s.marked);
        net_close(&n);
    }
}

static void test_forged_source_and_nobody_there(void **state)
{
    (void)state;
    struct net n = net_open(1, &(struct plx_sim_link_cfg){0}, &(struct plx_sim_link_cfg){0});
    struct plx_pkt *pkt;
    struct arrival a[4];
    assert_int_equal(n.port[0]->ops->take(n.port[0], 0, &pkt, 1), 1);
    pkt->len = 4;
    pkt->peer = ip(9);
    pkt->local = ip(77);
    pkt->local.port = 53;
    n.port[0]->ops->tx(n.port[0], 0, &pkt, 1);
    assert_int_equal(run(&n, 2, a, 4), 1);
    assert_int_equal(a[0].peer.ip[3], 77);
    send_one(&n, 2, a[0].peer, 53, 443, 0, 8, 0);
    assert_int_equal(run(&n, 0, a, 4), 0);
    assert_int_equal(plx_sim_link_stats(n.w, 1).no_endpoint, 1);
    net_close(&n);
}

// --- address translation -----------------------------------------------------------------------------------

static void test_rebinding(void **state)
{
    (void)state;
    for (int with_ip = 0; with_ip < 2; with_ip++) {
        struct plx_sim_link_cfg up = {.delay = PLX_MS(1), .rebind_every = PLX_SEC(1), .rebind_ip = with_ip};
        struct net n = net_open(1, &up, &(struct plx_sim_link_cfg){.delay = PLX_MS(1)});
        struct arrival a[4], old = {0};
        for (unsigned epoch = 0; epoch < 5; epoch++) {
            plx_sim_advance(n.w, (plx_time){epoch * UINT64_C(1000000000)});
            if (epoch > 0) { // the client is silent: what goes to the old mapping disappears
                send_one(&n, 2, old.peer, old.peer.port, 443, 1, 8, 0);
                assert_int_equal(run(&n, 0, a, 4), 0);
            }
            send_one(&n, 0, ip(9), 443, 7000, 2, 8, 0);
            send_one(&n, 0, ip(9), 443, 7000, 3, 8, 0);
            assert_int_equal(run(&n, 2, a, 4), 2);
            assert_true(plx_addr_eq(&a[0].peer, &a[1].peer));
            assert_int_equal(plx_addr_eq(&a[0].peer, &old.peer), 0);
            assert_int_equal(a[0].peer.port == 7000, epoch == 0);
            assert_int_equal(a[0].peer.ip[3] == 1, epoch == 0 || !with_ip);
            if (epoch > 0) { // neither does the old one come back to life
                send_one(&n, 2, old.peer, old.peer.port, 443, 4, 8, 0);
                assert_int_equal(run(&n, 0, a + 2, 2), 0);
            }
            old = a[0];
            send_one(&n, 2, old.peer, old.peer.port, 443, 5, 8, 0);
            assert_int_equal(run(&n, 0, a, 4), 1);
            assert_int_equal(a[0].number, 5);
        }
        assert_int_equal(plx_sim_link_stats(n.w, 1).lost_by_nat, 8);
        net_close(&n);
    }
}

// --- chance ------------------------------------------------------------------------------------------------

enum { MANY = 20000 };

// All kinds of mischief at once; returns a digest of everything that arrived.
static uint64_t mischief(uint64_t seed, bool *is_ordered, struct plx_sim_link_stats *stats)
{
    struct plx_sim_link_cfg up = {.rate_bps = 100000000,
                                  .delay = PLX_MS(10),
                                  .jitter = PLX_MS(3),
                                  .loss = 0.1,
                                  .duplicate = 0.05,
                                  .corrupt = 0.01,
                                  .reorder = *is_ordered ? 0 : 0.1};
    struct net n = net_open(seed, &up, &(struct plx_sim_link_cfg){0});
    static struct arrival a[400];
    uint64_t digest = 0;
    uint32_t last = 0;
    *is_ordered = true;
    for (uint32_t sent = 0; sent < MANY;) {
        for (unsigned k = 0; k < 100; k++)
            send_one(&n, 0, ip(9), 443, 1, ++sent, 200, 0);
        unsigned got = run(&n, 2, a, 400);
        for (unsigned i = 0; i < got; i++) {
            digest = (digest ^ a[i].ns ^ a[i].number) * UINT64_C(0x100000001b3) + a[i].wrong_bits;
            *is_ordered = *is_ordered && a[i].number >= last;
            last = a[i].number > last && a[i].number < MANY + 1 ? a[i].number : last;
        }
    }
    *stats = plx_sim_link_stats(n.w, 0);
    net_close(&n);
    return digest;
}

static void test_chance_keeps_its_promises(void **state)
{
    (void)state;
    struct plx_sim_link_stats s, t;
    bool is_ordered = false;
    uint64_t first = mischief(42, &is_ordered, &s);
    assert_false(is_ordered);
    assert_int_equal(s.offered, MANY);
    assert_int_equal(s.delivered, s.offered - s.lost + s.duplicated);
    // Five standard deviations around the mean.
    assert_in_range(s.lost, 2000 - 212, 2000 + 212);
    assert_in_range(s.duplicated, 900 - 150, 900 + 150);
    assert_in_range(s.corrupted, 180 - 68, 180 + 68);
    assert_in_range(s.reordered, 1800 - 205, 1800 + 205);

    is_ordered = false;
    assert_true(mischief(42, &is_ordered, &t) == first); // one seed, one run
    assert_memory_equal(&s, &t, sizeof s);
    is_ordered = false;
    assert_true(mischief(43, &is_ordered, &t) != first);
}

static void test_jitter_alone_keeps_the_order(void **state)
{
    (void)state;
    struct net n = net_open(9, &(struct plx_sim_link_cfg){.delay = PLX_MS(10), .jitter = PLX_MS(50)},
                            &(struct plx_sim_link_cfg){0});
    static struct arrival a[2000];
    uint64_t least = UINT64_MAX, most = 0;
    for (uint32_t i = 0; i < 2000; i++)
        send_one(&n, 0, ip(9), 443, 1, i, 100, 0);
    assert_int_equal(run(&n, 2, a, 2000), 2000);
    for (uint32_t i = 0; i < 2000; i++) {
        assert_int_equal(a[i].number, i);
        least = a[i].ns < least ? a[i].ns : least;
        most = a[i].ns > most ? a[i].ns : most;
    }
    assert_in_range(least, 10000000, 60000000);
    assert_in_range(most, 10000000, 60000000);
    net_close(&n);
}

// --- a busy world against the law of conservation ----------------------------------------------------------

static void test_nothing_is_lost_uncounted(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct plx_prng r;
        plx_prng_init(&r, seed);
        struct plx_sim_link_cfg link[2];
        for (unsigned i = 0; i < 2; i++)
            link[i] = (struct plx_sim_link_cfg){
                .rate_bps = plx_prng_chance(&r, 1, 4) ? 0 : plx_prng_between(&r, 64000, 100000000),
                .delay = PLX_US(plx_prng_below(&r, 100000)),
                .jitter = PLX_US(plx_prng_below(&r, 5000)),
                .queue_bytes = (uint32_t)plx_prng_below(&r, 50000),
                .queue_packets = (uint32_t)plx_prng_below(&r, 30),
                .ecn_bytes = (uint32_t)plx_prng_below(&r, 20000),
                .loss_mask = plx_prng_u64(&r) & plx_prng_u64(&r),
                .loss = (double)plx_prng_below(&r, 30) / 100,
                .reorder = (double)plx_prng_below(&r, 30) / 100,
                .duplicate = (double)plx_prng_below(&r, 30) / 100,
                .corrupt = (double)plx_prng_below(&r, 30) / 100,
                .mtu = (uint16_t)plx_prng_between(&r, 600, 1500),
                .rebind_every = PLX_MS(plx_prng_chance(&r, 1, 2) ? 0 : 300)};
        struct net n = net_open(seed, &link[0], &link[1]);
        uint64_t received[3] = {0}, now = 0;
        struct plx_addr client = {0};
        for (unsigned step = 0; step < 1500; step++) {
            now += plx_prng_below(&r, 3000000);
            plx_sim_advance(n.w, (plx_time){now});
            unsigned from = (unsigned)plx_prng_below(&r, 3);
            if (from < 2 || client.af != 0)
                send_one(&n, from, from == 2 ? client : ip(9), from == 2 ? client.port : 443, 99, step,
                         (uint16_t)plx_prng_between(&r, 4, 1472), (uint8_t)plx_prng_below(&r, 3));
            for (unsigned at = 0; at < 3; at++) {
                struct plx_pkt *pkt[8];
                uint16_t got = n.port[at]->ops->rx(n.port[at], 0, pkt, (uint16_t)plx_prng_below(&r, 8));
                if (got > 0 && at == 2)
                    client = pkt[0]->peer;
                received[at] += got;
                n.port[at]->ops->give(n.port[at], 0, pkt, got);
            }
            plx_sim_verify(n.w);
        }
        struct arrival a[1500];
        received[2] += run(&n, 2, a, 1500);
        for (unsigned l = 0; l < 2; l++) {
            struct plx_sim_link_stats s = plx_sim_link_stats(n.w, l);
            assert_int_equal(s.offered + s.duplicated, s.delivered + s.lost + s.lost_by_mask + s.lost_by_mtu +
                                                           s.lost_by_queue + s.lost_by_nat + s.no_memory +
                                                           s.no_endpoint);
        }
        assert_int_equal(received[2], plx_sim_link_stats(n.w, 0).delivered);
        net_close(&n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rate_and_delay_are_exact),
        cmocka_unit_test(test_one_at_a_time),
        cmocka_unit_test(test_forged_source_and_nobody_there),
        cmocka_unit_test(test_rebinding),
        cmocka_unit_test(test_chance_keeps_its_promises),
        cmocka_unit_test(test_jitter_alone_keeps_the_order),
        cmocka_unit_test(test_nothing_is_lost_uncounted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
