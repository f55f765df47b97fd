// test_recovery.c -- recovery as a whole: ACK frames, timers and probes of three packet number spaces, as timelines in milliseconds.

#include "quic/recovery/recovery.h"

#include "../base/rows.h"

static struct plx_slab slab;
static struct plx_recovery r;
static struct plx_space initial, handshake, app;
static struct plx_space *spaces[PLX_SPACE_COUNT];
static char heard[256]; // "+5-6": 5 acknowledged, 6 lost

static void hear(char sign, const struct plx_ref *ref)
{
    size_t len = strlen(heard);
    snprintf(heard + len, sizeof heard - len, "%c%u", sign, (unsigned)ref->id);
}

static void on_acked(void *arg, enum plx_space_id id, const struct plx_ref *refs, unsigned count)
{
    (void)id;
    assert_ptr_equal(arg, &r);
    assert_true(count > 0);
    for (unsigned i = 0; i < count; i++)
        hear('+', &refs[i]);
}

static void on_lost(void *arg, enum plx_space_id id, const struct plx_ref *ref)
{
    (void)arg, (void)id;
    hear('-', ref);
}

static const struct plx_recovery_events events = {on_acked, on_lost};

static int setup(void **state)
{
    struct plx_recovery_cfg cfg = {.cc = &plx_cc_newreno,
                                   .initial_cwnd_packets = 10,
                                   .pacing = false,
                                   .ecn = true,
                                   .initial_rtt = PLX_MS(333)};
    (void)state;
    if (!plx_slab_init(&slab, 4 << 20, PLX_NODE_ANY))
        return -1;
    plx_recovery_init(&r, &cfg, 1200, &events, &r);
    plx_space_init(&initial, &slab, PLX_NS(0));
    plx_space_init(&handshake, &slab, PLX_NS(0));
    plx_space_init(&app, &slab, PLX_MS(25));
    spaces[0] = &initial;
    spaces[1] = &handshake;
    spaces[2] = &app;
    heard[0] = '\0';
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PLX_SPACE_COUNT; i++) {
        if (spaces[i] == NULL)
            continue;
        plx_recovery_discard_space(&r, spaces[i], (enum plx_space_id)i);
        plx_space_fini(spaces[i]);
    }
    assert_int_equal(r.bytes_in_flight, 0);
    assert_int_equal(plx_slab_bytes_in_use(&slab), 0);
    plx_slab_fini(&slab);
    return 0;
}

static plx_time at(uint64_t ms)
{
    return (plx_time){PLX_MS(ms).ns};
}

// One reference per packet, whose id is the packet number.
static void send(enum plx_space_id id, uint64_t pn, uint64_t ms, bool is_eliciting)
{
    struct plx_refs refs = {.count = 1,
                            .v = {{.kind = is_eliciting ? PLX_REF_STREAM : PLX_REF_ACK, .id = pn}}};
    assert_true(
        plx_recovery_on_sent(&r, spaces[id], id, pn, 1000, is_eliciting, is_eliciting, 0, &refs, at(ms)));
    plx_recovery_verify(&r, spaces);
}

// Ranges as pairs from the highest: {largest, smallest, ...}, ended by 0, 0 behind the first.
static struct plx_recovery_ack_result ack(enum plx_space_id id, uint64_t ms, uint64_t delay_us,
                                          const struct plx_range *v, unsigned count,
                                          const struct plx_ecn_counts *ecn)
{
    struct plx_recovery_ack_result out;
    struct plx_ranges ranges;
    uint8_t buf[200];
    struct plx_wr w = plx_wr_init(buf, sizeof buf);
    struct plx_frame f;

    plx_ranges_init(&ranges);
    for (unsigned i = 0; i < count; i++)
        assert_true(plx_ranges_add(&ranges, v[i].first, v[i].end));
    assert_true(plx_frame_ack_write(&w, &ranges, delay_us >> 3, ecn, 32));
    struct plx_rd rd = plx_rd_init(buf, (size_t)(w.p - buf));
    assert_int_equal(plx_frame_read(&rd, &f), PLX_FRAME_OK);
    heard[0] = '\0';
    plx_recovery_on_ack(&r, spaces[id], id, &f.ack, at(ms), &out);
    if (out.error == 0)
        plx_recovery_verify(&r, spaces);
    return out;
}

#define ACK(id, ms, delay_us, ...)                           \
    ack(id, ms, delay_us, (struct plx_range[]){__VA_ARGS__}, \
        sizeof((struct plx_range[]){__VA_ARGS__}) / sizeof(struct plx_range), NULL)

static plx_time deadline(void)
{
    return plx_recovery_deadline(&r, spaces, true, false);
}

static enum plx_recovery_fired fire(uint64_t ms, enum plx_space_id *id)
{
    heard[0] = '\0';
    enum plx_recovery_fired f = plx_recovery_on_timeout(&r, spaces, true, false, at(ms), id);
    plx_recovery_verify(&r, spaces);
    return f;
}

static void test_references_come_back_once(void **state)
{
    (void)state;
    for (uint64_t pn = 0; pn < 10; pn++)
        send(PLX_SPACE_APP, pn, 100, true);
    struct plx_recovery_ack_result a = ACK(PLX_SPACE_APP, 150, 0, {0, 2}, {4, 5});
    assert_true(a.newly_acked && a.any_ack_eliciting_acked && !a.any_lost);
    assert_int_equal(a.largest_newly_acked, 4);
    assert_string_equal(heard, "+4+0+1");
    a = ACK(PLX_SPACE_APP, 151, 0, {0, 2}, {4, 5}); // the same again says nothing
    assert_false(a.newly_acked);
    assert_string_equal(heard, "");
    a = ACK(PLX_SPACE_APP, 152, 0, {0, 2}, {4, 8});
    assert_true(a.any_lost);
    assert_string_equal(heard, "+5+6+7-2-3");
    assert_int_equal(r.bytes_in_flight, 2000);
    assert_int_equal(app.lost, 2);
    a = ACK(PLX_SPACE_APP, 153, 0, {0, 9}); // they were only late
    assert_int_equal(app.spurious_lost, 2);
    assert_string_equal(heard, "+8");
    assert_int_equal(r.cc.events, 1);
    assert_true(r.cc.cwnd >= 12000); // the reduction is undone
}

static void test_violations(void **state)
{
    (void)state;
    send(PLX_SPACE_APP, 0, 100, true);
    assert_int_equal(ACK(PLX_SPACE_APP, 150, 0, {0, 2}).error,
                     PLX_QUIC_PROTOCOL_VIOLATION); // 1 was never sent
    assert_string_equal(heard, "");
    send(PLX_SPACE_APP, 2, 100, true); // 1 is skipped
    assert_int_equal(ACK(PLX_SPACE_APP, 150, 0, {0, 1}, {2, 3}).error, 0);
    send(PLX_SPACE_APP, 4, 200, true);
    send(PLX_SPACE_APP, 5, 200, true);
    assert_int_equal(ACK(PLX_SPACE_APP, 250, 0, {3, 6}).error, PLX_QUIC_PROTOCOL_VIOLATION); // an optimist
}

static void test_rtt(void **state)
{
    (void)state;
    send(PLX_SPACE_INITIAL, 0, 0, true);
    ACK(PLX_SPACE_INITIAL, 60, 50000, {0, 1});
    assert_int_equal(r.rtt.smoothed.ns, PLX_MS(60).ns);
    send(PLX_SPACE_INITIAL, 1, 100, true);
    ACK(PLX_SPACE_INITIAL, 200, 40000, {0, 2}); // 100 ms: the delay of an Initial is not believed
    assert_int_equal(r.rtt.smoothed.ns, PLX_MS(65).ns);
    send(PLX_SPACE_APP, 0, 300, true);
    ACK(PLX_SPACE_APP, 405, 40000, {0, 1}); // 105 - 40: before confirmation the delay may be any
    assert_int_equal(r.rtt.smoothed.ns, PLX_MS(65).ns);
    plx_recovery_on_handshake_confirmed(&r);
    send(PLX_SPACE_APP, 1, 500, true);
    ACK(PLX_SPACE_APP, 590, 90000, {0, 2}); // 90 - 25: now at most max_ack_delay
    assert_int_equal(r.rtt.smoothed.ns, PLX_MS(65).ns);
    send(PLX_SPACE_APP, 2, 600, false);
    ACK(PLX_SPACE_APP, 990, 0, {0, 3}); // only an ACK was acknowledged: no sample
    assert_int_equal(r.rtt.latest.ns, PLX_MS(90).ns);
    send(PLX_SPACE_APP, 3, 1000, true);
    send(PLX_SPACE_APP, 4, 1010, true);
    ACK(PLX_SPACE_APP, 1100, 25000, {0, 3}, {4, 5});
    ACK(PLX_SPACE_APP, 1500, 0, {0, 5}); // the largest is not new: no sample
    assert_int_equal(r.rtt.latest.ns, PLX_MS(90).ns);
    plx_recovery_set_peer(&r, PLX_MS(10), 20); // exponent 20: a delay beyond all measure does no harm
    send(PLX_SPACE_APP, 5, 2000, true);
    ACK(PLX_SPACE_APP, 2075, UINT64_C(1) << 62, {0, 6});
    assert_int_equal(r.rtt.smoothed.ns, PLX_MS(65).ns);
}

static void test_one_event_per_round_trip(void **state)
{
    (void)state;
    for (uint64_t pn = 0; pn < 10; pn++)
        send(PLX_SPACE_APP, pn, 100, true);
    ACK(PLX_SPACE_APP, 200, 0, {3, 4});
    assert_int_equal(r.cc.events, 1);
    uint64_t cwnd = r.cc.cwnd;
    ACK(PLX_SPACE_APP, 201, 0, {3, 4}, {7, 8}); // 4 is lost too: the same event
    assert_string_equal(heard, "+7-1-2-4");
    assert_int_equal(r.cc.events, 1);
    assert_int_equal(r.cc.cwnd, cwnd); // nor does an ACK of what left before it let the window grow
    send(PLX_SPACE_APP, 10, 202, true);
    for (uint64_t pn = 11; pn < 14; pn++)
        send(PLX_SPACE_APP, pn, 210, true);
    ACK(PLX_SPACE_APP, 310, 0, {3, 4}, {7, 10}, {11, 14}); // 10 left after it: another event
    assert_int_equal(r.cc.events, 2);
}

static void test_pto_and_backoff(void **state)
{
    enum plx_space_id id = PLX_SPACE_INITIAL;
    (void)state;
    assert_true(plx_time_is_never(deadline())); // nothing is out
    send(PLX_SPACE_APP, 0, 100, true);
    assert_true(plx_time_is_never(deadline())); // not before the handshake is confirmed
    plx_recovery_on_handshake_confirmed(&r);
    ACK(PLX_SPACE_APP, 200, 0, {0, 1}); // 100 ms, variation 50
    assert_true(plx_time_is_never(deadline()));
    for (uint64_t pn = 1; pn < 5; pn++)
        send(PLX_SPACE_APP, pn, 1000, true);
    assert_int_equal(deadline().ns, at(1000 + 100 + 200 + 25).ns);
    assert_int_equal(fire(1324, &id), PLX_FIRED_NOTHING);
    assert_int_equal(fire(1325, &id), PLX_FIRED_PTO);
    assert_int_equal(id, PLX_SPACE_APP);
    assert_int_equal(app.probes_wanted, 2);
    assert_string_equal(heard, "-1-2");        // something useful for two probes
    assert_int_equal(r.bytes_in_flight, 4000); // nothing is lost
    assert_int_equal(r.cc.events, 0);
    assert_int_equal(deadline().ns, at(1000 + 650).ns); // doubled
    send(PLX_SPACE_APP, 5, 1325, true);
    send(PLX_SPACE_APP, 6, 1325, true);
    assert_int_equal(app.probes_wanted, 0);
    assert_int_equal(deadline().ns, at(1325 + 650).ns);
    assert_int_equal(fire(1975, &id), PLX_FIRED_PTO);
    assert_string_equal(heard, "-3-4");
    assert_int_equal(deadline().ns, at(1325 + 1300).ns);
    ACK(PLX_SPACE_APP, 2000, 0, {0, 1}, {5, 6});
    assert_string_equal(heard, "+5"); // 1 and 2 are lost now, but their references went into the probes
    assert_int_equal(app.lost, 4);
    assert_int_equal(r.pto_count, 0);
    for (unsigned i = 0; i < 40; i++)
        fire(UINT64_C(1) << 40, &id);
    assert_int_equal(r.pto_count, 40);
    assert_false(plx_time_is_never(deadline())); // capped
}

static void test_loss_timer_comes_first(void **state)
{
    enum plx_space_id id = PLX_SPACE_COUNT;
    (void)state;
    plx_recovery_on_handshake_confirmed(&r);
    send(PLX_SPACE_APP, 0, 100, true);
    send(PLX_SPACE_APP, 1, 110, true);
    ACK(PLX_SPACE_APP, 210, 0, {1, 2});
    assert_int_equal(deadline().ns, PLX_US(212500).ns); // 100 + 9/8 of 100
    assert_int_equal(fire(212, &id), PLX_FIRED_NOTHING);
    assert_int_equal(fire(213, &id), PLX_FIRED_LOSS);
    assert_string_equal(heard, "-0");
    assert_int_equal(r.pto_count, 0);
    assert_true(plx_time_is_never(deadline()));
}

static void test_spaces_in_order_of_their_packets(void **state)
{
    enum plx_space_id id = PLX_SPACE_COUNT;
    (void)state;
    send(PLX_SPACE_INITIAL, 0, 20, true);
    send(PLX_SPACE_HANDSHAKE, 0, 10, true);
    assert_int_equal(deadline().ns, at(10 + 999).ns); // 333 + 4 * 166.5
    assert_int_equal(fire(1009, &id), PLX_FIRED_PTO);
    assert_int_equal(id, PLX_SPACE_HANDSHAKE);
    plx_recovery_discard_space(&r, &handshake, PLX_SPACE_HANDSHAKE);
    assert_int_equal(r.pto_count, 0); // a fresh start
    assert_int_equal(r.bytes_in_flight, 1000);
    assert_int_equal(deadline().ns, at(20 + 999).ns);
    spaces[1] = NULL;
    assert_int_equal(deadline().ns, at(20 + 999).ns);
    spaces[1] = &handshake;
}

static void test_client_does_not_wait_for_ever(void **state)
{
    enum plx_space_id id = PLX_SPACE_COUNT;
    (void)state;
    send(PLX_SPACE_INITIAL, 0, 0, true);
    ACK(PLX_SPACE_INITIAL, 100, 0, {0, 1});
    assert_true(plx_time_is_never(plx_recovery_deadline(&r, spaces, false, false))); // nothing is out
    plx_time t = plx_recovery_deadline(&r, spaces, false, true); // but the server may be stuck
    assert_int_equal(t.ns, at(100 + 100 + 200).ns);
    assert_int_equal(plx_recovery_on_timeout(&r, spaces, false, true, t, &id), PLX_FIRED_PTO);
    assert_int_equal(id, PLX_SPACE_INITIAL);
    assert_int_equal(initial.probes_wanted, 1);
    t = plx_recovery_deadline(&r, spaces, true, true);
    assert_int_equal(t.ns, at(400 + 600).ns);
    assert_int_equal(plx_recovery_on_timeout(&r, spaces, true, true, t, &id), PLX_FIRED_PTO);
    assert_int_equal(id, PLX_SPACE_HANDSHAKE); // as soon as there are keys
    assert_int_equal(r.pto_count, 2);
    send(PLX_SPACE_INITIAL, 1, 1000, true);
    ACK(PLX_SPACE_INITIAL, 1100, 0, {0, 2});
    assert_int_equal(r.pto_count, 2); // an Initial acknowledged proves nothing about our address
    send(PLX_SPACE_HANDSHAKE, 0, 1100, true);
    ACK(PLX_SPACE_HANDSHAKE, 1200, 0, {0, 1});
    assert_int_equal(r.pto_count, 0);
}

static void test_requeue_all(void **state)
{
    (void)state;
    for (uint64_t pn = 0; pn < 4; pn++)
        send(PLX_SPACE_INITIAL, pn, 0, true);
    ACK(PLX_SPACE_INITIAL, 10, 0, {1, 2});
    heard[0] = '\0';
    plx_recovery_requeue_all(&r, &initial, PLX_SPACE_INITIAL);
    plx_recovery_verify(&r, spaces);
    assert_string_equal(heard, "-0-2-3");
    assert_int_equal(r.bytes_in_flight, 0);
    assert_int_equal(r.cc.events, 0);
    send(PLX_SPACE_INITIAL, 4, 20, true); // numbers go on
}

static void test_window(void **state)
{
    plx_time wait;
    (void)state;
    assert_int_equal(plx_recovery_can_send(&r, at(0), &wait), 12000);
    for (uint64_t pn = 0; pn < 12; pn++)
        send(PLX_SPACE_APP, pn, 0, true);
    assert_int_equal(plx_recovery_can_send(&r, at(0), &wait), 0);
    assert_true(plx_time_is_never(wait)); // only an ACK helps
    send(PLX_SPACE_APP, 12, 0, false);    // ACKs alone are not in flight
    assert_int_equal(r.bytes_in_flight, 12000);
}

// Growth counts what left while the window was full, whoever is idle by the time of the ACK.
static void test_app_limited(void **state)
{
    plx_time wait;
    (void)state;
    send(PLX_SPACE_APP, 0, 1, true);
    plx_recovery_set_app_limited(&r, true);
    ACK(PLX_SPACE_APP, 50, 0, {0, 1});
    assert_int_equal(r.cc.cwnd, 12000);
    for (uint64_t pn = 1; pn < 13; pn++)
        send(PLX_SPACE_APP, pn, 100, true);
    assert_int_equal(plx_recovery_can_send(&r, at(100), &wait), 0);
    ACK(PLX_SPACE_APP, 150, 0, {0, 13}); // the flag still stands, but these filled the window
    assert_int_equal(r.cc.cwnd, 24000);
}

// What the pacer holds back is a window in use as long as there is something to hold back: a burst that the pacer delayed and that ended
// far below the window did not need a larger one.
static void test_paced_burst_below_the_window(void **state)
{
    static const struct {
        bool is_all_said; // when the ACK comes
        uint64_t grown;
    } row[] = {{true, 0}, {false, 15000}};
    plx_time wait;
    uint64_t pn = 0, ms = 1000;
    (void)state;
    plx_pacer_init(&r.pacer, true, 1200, at(0));
    for (size_t i = 0; i < sizeof row / sizeof *row; i++, ms += 1000) {
        r.cc.cwnd = 120000;
        plx_pacer_set_rate(&r.pacer, r.cc.cwnd, PLX_MS(100), true, at(ms));
        plx_recovery_set_app_limited(&r, false);
        for (unsigned k = 0; k < 15; k++, pn++) {
            if (k == 12) {
                assert_int_equal(plx_recovery_can_send(&r, at(ms), &wait), 0);
                assert_false(plx_time_is_never(wait));
            }
            send(PLX_SPACE_APP, pn, ms + (k >= 12 ? 2 : 0), true);
        }
        plx_recovery_set_app_limited(&r, row[i].is_all_said);
        ACK(PLX_SPACE_APP, ms + 100, 0, {pn - 15, pn});
        assert_int_equal(r.cc.cwnd, 120000 + row[i].grown);
    }
}

static void test_ecn_event(void **state)
{
    struct plx_refs refs = {.count = 0};
    (void)state;
    assert_int_equal(plx_recovery_ecn_mark(&r), 2);
    for (uint64_t pn = 0; pn < 4; pn++)
        assert_true(plx_recovery_on_sent(&r, &app, PLX_SPACE_APP, pn, 1000, true, true, 2, &refs, at(10)));
    struct plx_range all = {0, 2};
    struct plx_recovery_ack_result a = ack(PLX_SPACE_APP, 60, 0, &all, 1, &(struct plx_ecn_counts){1, 0, 1});
    assert_false(a.ecn_failed);
    assert_int_equal(r.cc.events, 1);
    all.end = 3;
    ack(PLX_SPACE_APP, 61, 0, &all, 1, &(struct plx_ecn_counts){1, 0, 2});
    assert_int_equal(r.cc.events, 1); // the same round trip
    all.end = 4;
    a = ack(PLX_SPACE_APP, 62, 0, &all, 1, NULL);
    assert_true(a.ecn_failed);
    assert_int_equal(plx_recovery_ecn_mark(&r), 0);
}

static void test_new_path(void **state)
{
    (void)state;
    plx_recovery_on_handshake_confirmed(&r);
    for (uint64_t pn = 0; pn < 8; pn++)
        send(PLX_SPACE_APP, pn, 100, true);
    ACK(PLX_SPACE_APP, 200, 0, {0, 2});
    plx_recovery_on_path_change(&r, 1200);
    assert_false(r.rtt.has_sample);
    assert_int_equal(r.cc.cwnd, 12000);
    ACK(PLX_SPACE_APP, 900, 0, {0, 2}, {7, 8}); // of the old path: no sample, no congestion
    assert_false(r.rtt.has_sample);
    assert_int_equal(r.cc.events, 0);
    assert_int_equal(r.bytes_in_flight, 0);
    send(PLX_SPACE_APP, 8, 1000, true);
    ACK(PLX_SPACE_APP, 1030, 0, {8, 9});
    assert_int_equal(r.rtt.smoothed.ns, PLX_MS(30).ns);
}

static void test_no_memory(void **state)
{
    struct plx_refs refs = {.count = 1};
    uint64_t pn = 0;
    (void)state;
    while (plx_recovery_can_remember(&app)) {
        assert_true(plx_recovery_on_sent(&r, &app, PLX_SPACE_APP, pn, 100, true, true, 0, &refs, at(1)));
        pn++;
    }
    assert_true(pn > 1000);
    plx_recovery_verify(&r, spaces);
    heard[0] = '\0';
    struct plx_recovery_ack_result a = ACK(PLX_SPACE_APP, 50, 0, {0, 1000});
    assert_true(a.newly_acked);
    assert_true(plx_recovery_can_remember(&app));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_references_come_back_once),
        T(test_violations),
        T(test_rtt),
        T(test_one_event_per_round_trip),
        T(test_pto_and_backoff),
        T(test_loss_timer_comes_first),
        T(test_spaces_in_order_of_their_packets),
        T(test_client_does_not_wait_for_ever),
        T(test_requeue_all),
        T(test_window),
        T(test_app_limited),
        T(test_paced_burst_below_the_window),
        T(test_ecn_event),
        T(test_new_path),
        T(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
