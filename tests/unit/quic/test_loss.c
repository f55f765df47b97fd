// test_loss.c -- which packets are lost: thresholds of number and of time, and persistent congestion.

#include "quic/recovery/loss.h"

#include "../base/rows.h"

static struct plx_slab slab;
static struct plx_space sp;
static char lost[64]; // the last digits of the numbers whose references came back

static int setup(void **state)
{
    (void)state;
    if (!plx_slab_init(&slab, 1 << 20, PLX_NODE_ANY))
        return -1;
    plx_space_init(&sp, &slab, PLX_MS(25));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    plx_sent_fini(&sp.sent);
    plx_slab_fini(&slab);
    return 0;
}

static void on_lost(void *arg, const struct plx_ref *ref)
{
    (void)arg;
    size_t len = strlen(lost);
    lost[len] = (char)('0' + ref->id);
    lost[len + 1] = '\0';
}

static void send_at(uint64_t pn, uint64_t ms, bool is_eliciting)
{
    struct plx_sent_rec rec = {
        .time = {PLX_MS(ms).ns}, .bytes = 1000, .is_eliciting = is_eliciting, .is_in_flight = true};
    struct plx_refs refs = {.count = 1, .v = {{.kind = PLX_REF_PING, .id = pn}}};
    assert_true(plx_sent_add(&sp.sent, pn, &rec, &refs));
    sp.next_pn = pn + 1;
    sp.bytes_in_flight += 1000;
}

static void ack(uint64_t pn)
{
    struct plx_sent_rec *rec = plx_sent_at(&sp.sent, pn);
    plx_sent_set_acked(&sp.sent, rec);
    sp.bytes_in_flight -= rec->bytes;
    if (sp.largest_acked == UINT64_MAX || pn > sp.largest_acked)
        sp.largest_acked = pn;
}

static struct plx_loss detect(uint64_t ms, uint64_t rtt_ms)
{
    struct plx_rtt rtt = {
        .latest = PLX_MS(rtt_ms), .smoothed = PLX_MS(rtt_ms), .has_sample = true, .first_sample_at = {0}};
    struct plx_loss out;
    lost[0] = '\0';
    plx_loss_detect(&sp, &rtt, (plx_time){PLX_MS(ms).ns}, PLX_MS(300), on_lost, NULL, &out);
    plx_space_verify(&sp);
    return out;
}

static void test_packet_threshold(void **state)
{
    (void)state;
    for (uint64_t pn = 0; pn < 8; pn++)
        send_at(pn, 100, true);
    assert_int_equal(detect(150, 100).packets, 0); // nothing was acknowledged
    ack(2);
    assert_int_equal(detect(150, 100).packets, 0);
    ack(3);
    struct plx_loss l = detect(150, 100);
    assert_int_equal(l.packets, 1);
    assert_int_equal(l.bytes, 1000);
    assert_string_equal(lost, "0");
    ack(7);
    assert_int_equal(detect(150, 100).packets, 2);
    assert_string_equal(lost, "14");
    assert_int_equal(sp.loss_at.ns, PLX_US(212500).ns); // 5 and 6 wait for 9/8 of 100 ms
    assert_int_equal(detect(212, 100).packets, 0);
    assert_int_equal(detect(213, 100).packets, 2);
    assert_string_equal(lost, "56");
    assert_true(plx_time_is_never(sp.loss_at));
    assert_int_equal(sp.bytes_in_flight, 0);
}

static void test_time_threshold(void **state)
{
    (void)state;
    send_at(0, 0, true);
    send_at(1, 50, true);
    send_at(2, 100, true);
    ack(2);
    assert_int_equal(detect(110, 80).packets, 1); // 0 has been out for more than 90
    assert_string_equal(lost, "0");
    assert_int_equal(sp.loss_at.ns, PLX_MS(140).ns);
    assert_int_equal(detect(140, 80).packets, 1);
    assert_string_equal(lost, "1");
}

static void test_nothing_beyond_the_largest(void **state)
{
    (void)state;
    send_at(0, 0, true);
    send_at(1, 0, true);
    ack(0);
    assert_int_equal(detect(5000, 10).packets, 0); // that is the probe timeout's business
    assert_true(plx_time_is_never(sp.loss_at));
}

static void test_probed_references_come_back_once(void **state)
{
    (void)state;
    for (uint64_t pn = 0; pn < 5; pn++)
        send_at(pn, 0, true);
    plx_sent_at(&sp.sent, 0)->is_probed = true; // its references went into a probe
    ack(4);
    assert_int_equal(detect(1, 100).packets, 2);
    assert_string_equal(lost, "1");
}

// RFC 9002 section 7.6.3's kind of timeline: one row per packet, all but some are lost in one go.
static void test_persistent(void **state)
{
    static const struct {
        const char *name;
        uint64_t ms[5];
        const char *kind; // e: elicits, n: does not, a: acknowledged
        bool is_persistent;
    } row[] = {
        {"long enough", {10, 100, 200, 250, 311}, "eeeee", true},
        {"not long enough", {10, 100, 200, 250, 310}, "eeeee", false},
        {"an acknowledgement between", {10, 100, 200, 250, 400}, "eeaee", false},
        {"long enough after it", {10, 50, 100, 200, 500}, "eaeee", true},
        {"the first elicits nothing", {10, 100, 200, 250, 400}, "neeee", false},
        {"what is between may elicit nothing", {10, 100, 200, 250, 400}, "ennne", true},
        {"the first left before there was an RTT", {0, 100, 200, 250, 350}, "eeeee", false},
    };
    for (unsigned i = 0; i < ROWS(row); i++) {
        if (i > 0)
            setup(state);
        for (uint64_t pn = 0; pn < 5; pn++)
            send_at(pn, row[i].ms[pn], row[i].kind[pn] != 'n');
        send_at(8, 501, true);
        for (uint64_t pn = 0; pn < 5; pn++)
            if (row[i].kind[pn] == 'a')
                ack(pn);
        ack(8);
        EXPECT_ROW(i, detect(502, 10).is_persistent == row[i].is_persistent);
        EXPECT_ROW(i, sp.sent.outstanding == 0);
        if (i + 1 < ROWS(row))
            teardown(state);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_packet_threshold, setup, teardown),
        cmocka_unit_test_setup_teardown(test_time_threshold, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_beyond_the_largest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_probed_references_come_back_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_persistent, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
