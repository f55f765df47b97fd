// test_cc.c -- congestion controllers: their formulas by themselves, and what they make of a link of 100 Mbit/s and 50 ms.

#include "quic/recovery/cc.h"

#include <math.h>
#include <stdlib.h>

#include "link.h"

enum { MTU = 1200 };

static const struct plx_rtt rtt50 = {
    .latest = {50000000}, .min = {50000000}, .smoothed = {50000000}, .has_sample = true};

static void acked(struct plx_cc *cc, uint64_t bytes, plx_time now)
{
    struct plx_cc_ack a = {.bytes = bytes, .rtt = &rtt50, .now = now, .bytes_in_flight = cc->cwnd};
    cc->ops->on_ack(cc, &a);
    plx_cc_verify(cc);
}

static void test_initial_window(void **state)
{
    static const struct {
        uint32_t mtu;
        uint16_t packets;
        uint64_t cwnd;
    } row[] = {{1200, 10, 12000}, {1472, 10, 14720}, {1500, 10, 14720},
               {9000, 10, 18000}, {1200, 32, 38400}, {1200, 1, 2400}};
    (void)state;
    for (unsigned i = 0; i < ROWS(row); i++) {
        struct plx_cc cc;
        plx_cc_init(&cc, &plx_cc_newreno, row[i].mtu, row[i].packets, false);
        EXPECT_ROW(i, cc.cwnd == row[i].cwnd);
        EXPECT_ROW(i, plx_cc_is_slow_start(&cc));
    }
    struct plx_cc cc;
    plx_cc_init(&cc, &plx_cc_newreno, 1200, 10, false);
    plx_cc_set_mtu(&cc, 1400);
    assert_int_equal(cc.cwnd, 14000);
    acked(&cc, 1400, (plx_time){1});
    plx_cc_set_mtu(&cc, 1472);
    assert_int_equal(cc.cwnd, 15400); // it has grown: only the packets are larger
}

static void test_newreno(void **state)
{
    struct plx_cc cc;
    (void)state;
    plx_cc_init(&cc, &plx_cc_newreno, MTU, 10, false);
    acked(&cc, 5 * MTU, (plx_time){1});
    assert_int_equal(cc.cwnd, 15 * MTU); // slow start: as much as was acknowledged
    cc.ops->on_congestion(&cc, (plx_time){2});
    assert_int_equal(cc.cwnd, 15 * MTU / 2);
    assert_false(plx_cc_is_slow_start(&cc));
    acked(&cc, 15 * MTU / 2 - 1, (plx_time){3});
    assert_int_equal(cc.cwnd, 15 * MTU / 2);
    acked(&cc, 1, (plx_time){3}); // a whole window
    assert_int_equal(cc.cwnd, 15 * MTU / 2 + MTU);
    struct plx_cc_ack idle = {.bytes = 100 * MTU, .rtt = &rtt50, .is_app_limited = true};
    cc.ops->on_ack(&cc, &idle);
    assert_int_equal(cc.cwnd, 15 * MTU / 2 + MTU);
    cc.ops->on_spurious(&cc, (plx_time){4});
    assert_int_equal(cc.cwnd, 15 * MTU);
    for (unsigned i = 0; i < 20; i++)
        cc.ops->on_congestion(&cc, (plx_time){5 + i});
    assert_int_equal(cc.cwnd, 2 * MTU); // never less
    assert_int_equal(cc.events, 21);
    cc.cwnd = 100 * MTU;
    cc.ops->on_persistent(&cc);
    assert_int_equal(cc.cwnd, 2 * MTU);
    plx_cc_verify(&cc);
}

static void test_slow_start_stops_at_the_threshold(void **state)
{
    static const struct plx_cc_ops *const ops[] = {&plx_cc_newreno, &plx_cc_cubic};
    (void)state;
    for (unsigned i = 0; i < ROWS(ops); i++) {
        struct plx_cc cc;
        plx_cc_init(&cc, ops[i], MTU, 10, false);
        cc.ssthresh = 15 * MTU;
        acked(&cc, 10 * MTU, (plx_time){1});
        EXPECT_ROW(i, cc.cwnd >= 15 * MTU && cc.cwnd <= 16 * MTU);
    }
}

// The window along the curve, against RFC 9438's formulas in floating point.
static void test_cubic_curve(void **state)
{
    struct plx_cc cc;
    double c = 0.4, mtu = MTU, w_max = 1000 * mtu;
    plx_time start = {PLX_SEC(100).ns};
    (void)state;
    plx_cc_init(&cc, &plx_cc_cubic, MTU, 10, false);
    cc.cwnd = (uint64_t)w_max;
    cc.ops->on_congestion(&cc, start);
    assert_true(fabs((double)cc.cwnd - 0.7 * w_max) < mtu);
    double k = cbrt((w_max - (double)cc.cwnd) / mtu / c);
    for (uint64_t ms = 0; ms <= 12000; ms += 50) {
        acked(&cc, cc.cwnd, plx_time_after(start, PLX_MS(ms)));
        double t = (double)ms / 1000 + 0.05 - k;
        double expect = c * t * t * t * mtu + w_max;
        EXPECT_ROW(ms, fabs((double)cc.cwnd - expect) < 0.01 * expect);
    }
    assert_true((double)cc.cwnd > w_max); // K was 9.1 s: by now it is probing beyond
}

static void test_cubic_fast_convergence(void **state)
{
    struct plx_cc cc;
    (void)state;
    plx_cc_init(&cc, &plx_cc_cubic, MTU, 10, false);
    cc.cwnd = 1000 * MTU;
    cc.ops->on_congestion(&cc, (plx_time){1});
    assert_int_equal(cc.cubic.w_max, 1000 * MTU);
    cc.cwnd = 900 * MTU; // lost again below the last maximum
    cc.ops->on_congestion(&cc, (plx_time){2});
    assert_in_range(cc.cubic.w_max, 764 * MTU, 766 * MTU); // 900 * 0.85
    assert_in_range(cc.cwnd, 629 * MTU, 631 * MTU);
    cc.ops->on_spurious(&cc, (plx_time){3});
    assert_int_equal(cc.cwnd, 900 * MTU);
    assert_int_equal(cc.cubic.w_max, 1000 * MTU);
}

// With a short round trip Reno would be faster than the curve: then CUBIC is Reno.
static void test_cubic_friendly(void **state)
{
    struct plx_cc cubic;
    struct plx_rtt rtt = {.smoothed = PLX_MS(1), .latest = PLX_MS(1), .min = PLX_MS(1), .has_sample = true};
    (void)state;
    plx_cc_init(&cubic, &plx_cc_cubic, MTU, 10, false);
    cubic.cwnd = 40 * MTU;
    cubic.ops->on_congestion(&cubic, (plx_time){PLX_SEC(1).ns});
    uint64_t from = cubic.cwnd;
    for (uint64_t i = 0; i < 20; i++) { // 20 windows, 0.53 packets each
        struct plx_cc_ack a = {
            .bytes = cubic.cwnd, .rtt = &rtt, .now = plx_time_after((plx_time){PLX_SEC(1).ns}, PLX_MS(i))};
        cubic.ops->on_ack(&cubic, &a);
    }
    assert_in_range(cubic.cwnd - from, 9 * MTU, 11 * MTU);
}

static void test_cubic_waits_while_the_application_does(void **state)
{
    struct plx_cc a, b;
    struct plx_cc_ack idle = {.bytes = 0, .rtt = &rtt50, .is_app_limited = true, .now = {PLX_SEC(102).ns}};
    (void)state;
    plx_cc_init(&a, &plx_cc_cubic, MTU, 10, false);
    a.cwnd = 1000 * MTU;
    a.ops->on_congestion(&a, (plx_time){PLX_SEC(100).ns});
    acked(&a, MTU, (plx_time){PLX_SEC(100).ns});
    b = a;
    b.ops->on_ack(&b, &idle); // an hour of silence
    acked(&a, a.cwnd, (plx_time){PLX_SEC(102).ns + PLX_MS(10).ns});
    acked(&b, b.cwnd, (plx_time){PLX_SEC(3702).ns + PLX_MS(10).ns});
    assert_true(b.cwnd <= a.cwnd);
    assert_true(b.cwnd < 1000 * MTU);
}

// RTTs of rounds of 20 ACKs: HyStart++ leaves slow start when they rise and stay up, not when one round was slow.
static void test_hystart(void **state)
{
    static const struct {
        uint64_t ms[12];
        bool is_over;
    } row[] = {
        {{50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50}, false},
        {{50, 50, 53, 50, 50, 50, 50, 50, 50, 50, 50, 50}, false}, // by less than an eighth
        {{50, 50, 60, 50, 50, 50, 50, 50, 50, 50, 50, 50}, false}, // noise
        {{50, 50, 60, 62, 64, 66, 68, 70, 72, 74, 76, 78}, true},
        {{10, 10, 13, 13, 13, 13, 13, 13, 13, 13, 13, 13}, false}, // below 4 ms is never a rise
        {{10, 10, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15}, true},
    };
    (void)state;
    for (unsigned i = 0; i < ROWS(row); i++) {
        struct plx_cc cc;
        uint64_t pn = 0;
        plx_cc_init(&cc, &plx_cc_cubic, MTU, 10, true);
        for (unsigned round = 0; round < 12 && plx_cc_is_slow_start(&cc); round++) {
            struct plx_rtt rtt = {.latest = PLX_MS(row[i].ms[round]), .smoothed = PLX_MS(50)};
            for (unsigned k = 0; k < 20; k++, pn++) {
                struct plx_cc_ack a = {
                    .bytes = MTU, .largest = pn, .next_pn = pn + 20, .rtt = &rtt, .has_sample = true};
                cc.ops->on_ack(&cc, &a);
                plx_cc_verify(&cc);
            }
        }
        EXPECT_ROW(i, plx_cc_is_slow_start(&cc) == !row[i].is_over);
    }
}

// --- on a link -----------------------------------------------------------------------------------------------------

#define MBIT UINT64_C(1000000)

static void test_fills_a_link(void **state)
{
    static const struct {
        const char *name;
        const struct plx_cc_ops *cc;
        bool pacing, hystart;
        uint64_t queue_bytes; // the bandwidth-delay product is 625000
    } row[] = {
        {"cubic", &plx_cc_cubic, true, true, 625000},
        {"cubic, half a queue", &plx_cc_cubic, true, true, 312500},
        {"cubic, no hystart", &plx_cc_cubic, true, false, 625000},
        {"cubic, no pacing", &plx_cc_cubic, false, true, 625000},
        {"newreno", &plx_cc_newreno, true, true, 625000},
        {"newreno, no pacing", &plx_cc_newreno, false, false, 625000},
    };
    (void)state;
    for (unsigned i = 0; i < ROWS(row); i++) {
        struct link l;
        struct link_cfg cfg = {.rate_bps = 100 * MBIT,
                               .rtt = PLX_MS(50),
                               .queue_bytes = row[i].queue_bytes,
                               .cc = row[i].cc,
                               .pacing = row[i].pacing,
                               .hystart = row[i].hystart,
                               .app_until = PLX_NEVER};
        link_init(&l, &cfg);
        uint64_t bytes = link_run(&l, PLX_SEC(30)); // from the first packet on
        double share = (double)bytes * 8 / (30.0 * 100e6);
        print_message("%s: %.1f %% of the link, %u of %u packets dropped, %u events, cwnd %u\n", row[i].name,
                      share * 100, (unsigned)l.dropped, (unsigned)l.sp.next_pn, (unsigned)l.r.cc.events,
                      (unsigned)l.r.cc.cwnd);
        EXPECT_ROW(i, share >= 0.90 && share <= 1.0);
        EXPECT_ROW(i, l.r.persistent == 0);
        EXPECT_ROW(i, l.r.spurious_packets == 0);
        EXPECT_ROW(i, l.dropped <= l.sp.next_pn / 50); // and does not do it by flooding
        link_fini(&l);
    }
}

// Marks instead of losses: nothing is dropped, the queue stays short, the link stays full.
static void test_marks_are_enough(void **state)
{
    struct link l;
    struct link_cfg cfg = {.rate_bps = 100 * MBIT,
                           .rtt = PLX_MS(50),
                           .queue_bytes = 2500000,
                           .mark_bytes = 300000,
                           .cc = &plx_cc_cubic,
                           .pacing = true,
                           .hystart = true,
                           .ecn = true,
                           .app_until = PLX_NEVER};
    (void)state;
    link_init(&l, &cfg);
    uint64_t bytes = link_run(&l, PLX_SEC(20));
    assert_true((double)bytes * 8 / (20.0 * 100e6) >= 0.90);
    assert_int_equal(l.dropped, 0);
    assert_false(l.is_failed);
    assert_int_equal(l.r.ecn.state, PLX_ECN_CAPABLE);
    assert_true(l.r.cc.events > 0);
    link_fini(&l);
}

static void test_random_loss(void **state)
{
    struct link l;
    struct link_cfg cfg = {.rate_bps = 20 * MBIT,
                           .rtt = PLX_MS(20),
                           .queue_bytes = 100000,
                           .loss_per_100k = 100,
                           .cc = &plx_cc_cubic,
                           .pacing = true,
                           .hystart = true,
                           .app_until = PLX_NEVER};
    (void)state;
    link_init(&l, &cfg);
    link_run(&l, PLX_SEC(20));
    assert_true(l.dropped > 10);
    assert_true(l.sp.lost <= l.dropped); // what was dropped last may not be known yet
    assert_true(l.sp.lost + 100 >= l.dropped);
    assert_int_equal(l.lost_refs, l.sp.lost);
    assert_true(l.acked_refs == l.sp.acked);
    assert_int_equal(l.sp.next_pn,
                     l.sp.acked + l.sp.lost + l.sp.sent.outstanding); // each is exactly one of the three
    link_fini(&l);
}

// A link that dies and comes back: probes find out, persistent congestion is noticed.
static void test_blackout(void **state)
{
    struct link l;
    struct link_cfg cfg = {.rate_bps = 20 * MBIT,
                           .rtt = PLX_MS(40),
                           .queue_bytes = 100000,
                           .cc = &plx_cc_cubic,
                           .pacing = true,
                           .hystart = true,
                           .app_until = PLX_NEVER};
    (void)state;
    link_init(&l, &cfg);
    link_run(&l, PLX_SEC(3));
    l.cfg.loss_per_100k = 100000;
    link_run(&l, PLX_SEC(2));
    assert_true(l.r.ptos >= 3 && l.r.ptos <= 8); // doubling
    uint64_t dropped = l.dropped;
    l.cfg.loss_per_100k = 0;
    uint64_t bytes = link_run(&l, PLX_SEC(10));
    assert_int_equal(l.r.persistent, 1);
    assert_true(dropped > 10);
    assert_true((double)bytes * 8 / (10.0 * 20e6) > 0.7);
    link_fini(&l);
}

static void test_application_limited_does_not_grow(void **state)
{
    struct link l;
    struct link_cfg cfg = {.rate_bps = 100 * MBIT,
                           .rtt = PLX_MS(50),
                           .queue_bytes = 625000,
                           .cc = &plx_cc_cubic,
                           .pacing = true,
                           .hystart = true,
                           .app_until = {0}};
    (void)state;
    link_init(&l, &cfg);
    for (unsigned i = 0; i < 200; i++) { // two packets a round trip
        link_send_one(&l);
        link_send_one(&l);
        link_run(&l, PLX_MS(60));
    }
    assert_int_equal(l.r.cc.cwnd, 10 * LINK_MTU);
    assert_int_equal(l.r.bytes_in_flight, 0);
    link_fini(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_initial_window),
        cmocka_unit_test(test_newreno),
        cmocka_unit_test(test_slow_start_stops_at_the_threshold),
        cmocka_unit_test(test_cubic_curve),
        cmocka_unit_test(test_cubic_fast_convergence),
        cmocka_unit_test(test_cubic_friendly),
        cmocka_unit_test(test_cubic_waits_while_the_application_does),
        cmocka_unit_test(test_hystart),
        cmocka_unit_test(test_fills_a_link),
        cmocka_unit_test(test_marks_are_enough),
        cmocka_unit_test(test_random_loss),
        cmocka_unit_test(test_blackout),
        cmocka_unit_test(test_application_limited_does_not_grow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
