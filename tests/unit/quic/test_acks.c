// test_acks.c -- which packets are duplicates, when an ACK is due, what it says, and what is forgotten.

#include "base/check.h"
#include "base/slab.h"
#include "quic/recovery/acks.h"

#include "../base/rows.h"

static struct plx_slab slab;

enum { NOT_ECT, ECT1, ECT0, CE };
enum { AT_ONCE = 0, DELAYED = 25, NONE = -1 };

static plx_time at_ms(uint64_t ms)
{
    return (plx_time){PLX_MS(1000 + ms).ns};
}

static const struct plx_ranges *ranges_of(const struct plx_acks *a)
{
    static struct plx_ranges r;
    plx_acks_ranges(a, &r);
    return &r;
}

// A packet per row, all at the same time; what is due afterwards. SEND: an ACK goes out.
static void test_when_due(void **state)
{
    enum { SEND = -1 };
    static const struct {
        int pn;
        bool is_eliciting;
        uint8_t ecn;
        int due;
    } row[] = {
        {0, false, NOT_ECT, NONE},   // nothing to say about an ACK
        {1, true, NOT_ECT, DELAYED}, // the first waits
        {2, true, NOT_ECT, AT_ONCE}, // the second does not
        {SEND, false, 0, NONE},
        {3, true, ECT0, DELAYED},
        {4, false, ECT0, DELAYED},
        {SEND, false, 0, NONE},
        {5, false, ECT0, NONE},
        {6, true, ECT0, DELAYED}, // 4 and 5 are no gap, though they elicit nothing
        {SEND, false, 0, NONE},
        {8, true, ECT0, AT_ONCE}, // a gap
        {SEND, false, 0, NONE},
        {9, true, ECT0, DELAYED}, // 7 is still missing, but that was reported
        {SEND, false, 0, NONE},
        {7, true, ECT0, AT_ONCE}, // out of order
        {SEND, false, 0, NONE},
        {10, true, CE, AT_ONCE}, // congestion
        {SEND, false, 0, NONE},
        {12, false, ECT0, NONE},
        {13, true, ECT0, AT_ONCE}, // 11 is missing before it
        {SEND, false, 0, NONE},
        {1000, true, ECT0, AT_ONCE}, // far ahead
        {SEND, false, 0, NONE},
    };
    struct plx_acks a;
    (void)state;
    plx_acks_init(&a, &slab, PLX_MS(25));
    for (unsigned i = 0; i < ROWS(row); i++) {
        plx_time now = at_ms(i);
        if (row[i].pn == SEND) {
            uint8_t buf[200];
            struct plx_wr w = plx_wr_init(buf, sizeof buf);
            struct plx_refs refs = {.count = 0};
            EXPECT_ROW(i, plx_acks_write(&a, &w, &refs, 3, now));
            EXPECT_ROW(i, refs.count == 1 && refs.v[0].kind == PLX_REF_ACK &&
                              refs.v[0].offset == plx_acks_largest(&a));
        } else {
            EXPECT_ROW(i, !plx_acks_is_duplicate(&a, (uint64_t)row[i].pn));
            plx_acks_on_received(&a, (uint64_t)row[i].pn, row[i].is_eliciting, row[i].ecn, now);
            EXPECT_ROW(i, plx_acks_is_duplicate(&a, (uint64_t)row[i].pn));
        }
        plx_acks_verify(&a);
        if (row[i].due == NONE) {
            EXPECT_ROW(i, plx_time_is_never(plx_acks_deadline(&a)) && !plx_acks_has_news(&a));
            EXPECT_ROW(i, !plx_acks_is_due(&a, PLX_NEVER));
            continue;
        }
        EXPECT_ROW(i, plx_acks_has_news(&a));
        EXPECT_ROW(i, plx_acks_is_due(&a, now) == (row[i].due == AT_ONCE));
        // A delay runs from the first packet that waits, which may be an earlier row.
        EXPECT_ROW(i, plx_acks_deadline(&a).ns <= plx_time_after(now, PLX_MS((uint64_t)row[i].due)).ns);
    }
    assert_true(a.has_ecn);
    assert_int_equal(a.ecn.ect0, 10);
    assert_int_equal(a.ecn.ce, 1);
}

static void test_handshake_is_immediate(void **state)
{
    struct plx_acks a;
    (void)state;
    plx_acks_init(&a, &slab, PLX_NS(0));
    plx_acks_on_received(&a, 0, true, NOT_ECT, at_ms(5));
    assert_true(plx_acks_is_due(&a, at_ms(5)));
}

static void test_delay_runs_from_the_first(void **state)
{
    struct plx_acks a;
    (void)state;
    plx_acks_init(&a, &slab, PLX_MS(25));
    a.every = 10;
    for (unsigned i = 0; i < 5; i++)
        plx_acks_on_received(&a, i, true, NOT_ECT, at_ms(10 + i));
    assert_true(plx_acks_deadline(&a).ns == at_ms(35).ns);
}

static void test_frame(void **state)
{
    struct plx_acks a;
    uint8_t buf[200];
    struct plx_wr w = plx_wr_init(buf, sizeof buf);
    struct plx_refs refs = {.count = 0};
    struct plx_frame f;
    (void)state;
    plx_acks_init(&a, &slab, PLX_MS(25));
    assert_false(plx_acks_write(&a, &w, &refs, 3, at_ms(0))); // nothing came yet
    assert_true(w.p == buf && refs.count == 0);
    plx_acks_on_received(&a, 1, true, NOT_ECT, at_ms(0));
    plx_acks_on_received(&a, 2, true, NOT_ECT, at_ms(1));
    plx_acks_on_received(&a, 5, true, NOT_ECT, at_ms(2));
    plx_acks_on_received(&a, 4, true, NOT_ECT,
                         at_ms(7)); // older than the largest: the delay does not count from here
    assert_true(plx_acks_write(&a, &w, &refs, 3, at_ms(10)));
    struct plx_rd r = plx_rd_init(buf, (size_t)(w.p - buf));
    assert_int_equal(plx_frame_read(&r, &f), PLX_FRAME_OK);
    assert_int_equal(f.type, PLX_FRAME_ACK);
    assert_int_equal(f.ack.largest, 5);
    assert_int_equal(f.ack.first_range, 1);
    assert_int_equal(f.ack.range_count, 1);
    assert_int_equal(f.ack.delay, 1000); // 8 ms in units of 8 us

    refs.count = PLX_REFS_MAX;
    plx_acks_on_received(&a, 6, true, NOT_ECT, at_ms(11));
    assert_false(plx_acks_write(&a, &w, &refs, 3, at_ms(11))); // nowhere to remember it
    assert_true(plx_acks_has_news(&a));
    refs.count = 0;
    w = plx_wr_init(buf, 4);
    assert_false(plx_acks_write(&a, &w, &refs, 3, at_ms(11)));
    assert_true(plx_acks_has_news(&a) && w.p == buf && refs.count == 0);
}

static void test_ack_of_ack_forgets(void **state)
{
    struct plx_acks a;
    (void)state;
    plx_acks_init(&a, &slab, PLX_MS(25));
    plx_acks_on_acked(&a, 0); // of a time before anything came: nothing
    for (uint64_t pn = 0; pn < 100; pn += 1 + (pn % 10 == 3))
        plx_acks_on_received(&a, pn, true, ECT0, at_ms(pn));
    assert_int_equal(ranges_of(&a)->count, 11); // 4, 14, 24, … are missing
    plx_acks_on_acked(&a, 52);
    plx_acks_verify(&a);
    assert_int_equal(ranges_of(&a)->count, 6);
    assert_int_equal(plx_ranges_first(ranges_of(&a))->first, 53);
    assert_false(plx_acks_is_duplicate(&a, 24)); // never came: may come yet
    assert_true(plx_acks_is_duplicate(&a, 23));
    plx_acks_on_received(&a, 24, true, ECT0, at_ms(200));
    plx_acks_verify(&a);
    assert_true(plx_ranges_has(ranges_of(&a), 24));
    plx_acks_on_acked(&a, 99);
    plx_acks_verify(&a);
    assert_int_equal(ranges_of(&a)->count, 1); // the largest stays
    assert_int_equal(plx_slab_bytes_in_use(&slab), 0);
    assert_int_equal(plx_acks_largest(&a), 99);
}

static void test_window(void **state)
{
    struct plx_acks a;
    (void)state;
    plx_acks_init(&a, &slab, PLX_MS(25));
    assert_true(plx_acks_largest(&a) == UINT64_MAX);
    assert_false(plx_acks_is_duplicate(&a, 0));
    plx_acks_on_received(&a, 1000, true, NOT_ECT, at_ms(0));
    assert_true(plx_acks_is_duplicate(&a, 1000));
    assert_false(plx_acks_is_duplicate(&a, 1001));
    assert_false(plx_acks_is_duplicate(&a, 1000 - PLX_ACK_WINDOW + 1));
    assert_true(plx_acks_is_duplicate(&a, 1000 - PLX_ACK_WINDOW)); // nobody knows: dropped
    plx_acks_on_received(&a, 1000 - PLX_ACK_WINDOW + 1, true, NOT_ECT, at_ms(0));
    plx_acks_verify(&a);
    plx_acks_on_received(&a, 1000 + PLX_ACK_WINDOW, true, NOT_ECT, at_ms(0)); // 1000 leaves the window
    plx_acks_verify(&a);
    assert_true(plx_acks_is_duplicate(&a, 1000));
    assert_false(plx_acks_is_duplicate(&a, 1001));
}

static void test_many_holes(void **state)
{
    struct plx_acks a;
    uint8_t buf[400];
    struct plx_wr w = plx_wr_init(buf, sizeof buf);
    struct plx_refs refs = {.count = 0};
    struct plx_frame f;
    (void)state;
    plx_acks_init(&a, &slab, PLX_MS(25));
    for (uint64_t pn = 0; pn < 200; pn += 2) {
        plx_acks_on_received(&a, pn, true, NOT_ECT, at_ms(pn));
        plx_acks_verify(&a);
    }
    assert_int_equal(ranges_of(&a)->count, PLX_RANGES_MAX);
    assert_true(plx_acks_write(&a, &w, &refs, 3, at_ms(300)));
    struct plx_rd r = plx_rd_init(buf, (size_t)(w.p - buf));
    assert_int_equal(plx_frame_read(&r, &f), PLX_FRAME_OK);
    assert_int_equal(f.ack.range_count, PLX_ACK_RANGES_TX - 1);
    assert_int_equal(f.ack.largest, 198);
    assert_true(plx_slab_bytes_in_use(&slab) > 0);
    plx_acks_shrink(&a); // the highest stay
    plx_acks_verify(&a);
    assert_int_equal(plx_slab_bytes_in_use(&slab), 0);
    assert_int_equal(ranges_of(&a)->count, PLX_ACKS_FEW);
    assert_int_equal(plx_ranges_first(ranges_of(&a))->first, 198 - 2 * (PLX_ACKS_FEW - 1));
}

// Without memory the lowest ranges are forgotten, and their numbers are still known for duplicates.
static void test_no_memory(void **state)
{
    struct plx_acks a;
    (void)state;
    plx_acks_init(&a, NULL, PLX_MS(25));
    for (uint64_t pn = 0; pn < 100; pn += 2) {
        plx_acks_on_received(&a, pn, true, NOT_ECT, at_ms(pn));
        plx_acks_verify(&a);
    }
    assert_int_equal(ranges_of(&a)->count, PLX_ACKS_FEW);
    assert_true(plx_ranges_has(ranges_of(&a), 94) && !plx_ranges_has(ranges_of(&a), 92));
    assert_true(plx_acks_is_duplicate(&a, 0));
    plx_acks_on_received(&a, 1, true, NOT_ECT, at_ms(200)); // below all that is reported
    plx_acks_verify(&a);
    assert_int_equal(plx_ranges_first(ranges_of(&a))->first, 94);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_when_due),
        cmocka_unit_test(test_handshake_is_immediate),
        cmocka_unit_test(test_delay_runs_from_the_first),
        cmocka_unit_test(test_frame),
        cmocka_unit_test(test_ack_of_ack_forgets),
        cmocka_unit_test(test_window),
        cmocka_unit_test(test_many_holes),
        cmocka_unit_test(test_no_memory),
    };
    plx_check(plx_slab_init(&slab, 1 << 20, PLX_NODE_ANY));
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    plx_slab_fini(&slab);
    return failed;
}
