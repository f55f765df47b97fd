// test_sent.c -- the ring of sent packets: out of order, skipped numbers, growing, shrinking, memory that is not there.

#include "quic/recovery/sent.h"

#include "../base/rows.h"

static struct plx_slab slab;

static int setup(void **state)
{
    (void)state;
    return plx_slab_init(&slab, 8 << 20, PLX_NODE_ANY) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(plx_slab_bytes_in_use(&slab), 0);
    plx_slab_verify(&slab);
    plx_slab_fini(&slab);
    return 0;
}

static bool add(struct plx_sent *s, uint64_t pn, uint8_t refs_count)
{
    struct plx_sent_rec rec = {
        .time = {pn}, .bytes = 1200, .is_eliciting = refs_count > 0, .is_in_flight = refs_count > 0};
    struct plx_refs refs = {.count = refs_count};
    for (unsigned i = 0; i < refs_count; i++)
        refs.v[i] = (struct plx_ref){.kind = PLX_REF_STREAM, .id = pn, .offset = i};
    bool is_added = plx_sent_add(s, pn, &rec, &refs);
    plx_sent_verify(s);
    return is_added;
}

static void ack(struct plx_sent *s, uint64_t pn)
{
    struct plx_sent_rec *rec = plx_sent_at(s, pn);
    for (unsigned i = 0; i < rec->refs_count; i++) {
        assert_int_equal(plx_sent_ref(s, rec, i)->id, pn);
        assert_int_equal(plx_sent_ref(s, rec, i)->offset, i);
    }
    plx_sent_set_acked(s, rec);
}

static void test_in_order(void **state)
{
    struct plx_sent s;
    (void)state;
    plx_sent_init(&s, &slab);
    for (uint64_t pn = 0; pn < 10000; pn++) {
        assert_true(add(&s, pn, (uint8_t)(pn % 4)));
        if (pn >= 8) {
            ack(&s, pn - 8);
            plx_sent_retire(&s);
            assert_int_equal(s.base, pn - 7);
        }
    }
    assert_int_equal(s.recs_cap, PLX_SENT_MIN); // eight in flight never need more
    assert_int_equal(s.outstanding, 8);
    plx_sent_fini(&s);
    plx_sent_verify(&s);
}

static void test_out_of_order(void **state)
{
    struct plx_sent s;
    (void)state;
    plx_sent_init(&s, &slab);
    for (uint64_t pn = 0; pn < 1000; pn++)
        assert_true(add(&s, pn, 2));
    for (uint64_t i = 0; i < 1000; i++) { // 7 and 1000 have no common factor: every number once
        ack(&s, i * 7 % 1000);
        plx_sent_retire(&s);
        plx_sent_verify(&s);
    }
    assert_int_equal(s.base, 1000);
    assert_int_equal(s.outstanding, 0);
    assert_int_equal(s.refs_head, s.refs_tail);
    plx_sent_fini(&s);
}

static void test_skipped(void **state)
{
    struct plx_sent s;
    (void)state;
    plx_sent_init(&s, &slab);
    assert_true(add(&s, 0, 1) && add(&s, 1, 1) && add(&s, 3, 1)); // 2 is skipped
    assert_int_equal(plx_sent_at(&s, 2)->state, PLX_SENT_SKIPPED);
    ack(&s, 0);
    ack(&s, 1);
    plx_sent_retire(&s);
    assert_int_equal(s.base, 2); // watched as long as 3 is out
    ack(&s, 3);
    plx_sent_retire(&s);
    assert_int_equal(s.base, 4);
    assert_true(add(&s, 6, 1)); // nothing was kept: the gap is remembered all the same
    assert_int_equal(plx_sent_at(&s, 5)->state, PLX_SENT_SKIPPED);
    ack(&s, 6);
    plx_sent_retire(&s);
    assert_true(add(&s, 1000000, 1)); // a great gap is not worth records
    assert_int_equal(s.base, 1000000);
    plx_sent_fini(&s);
}

static void test_lost_and_late(void **state)
{
    struct plx_sent s;
    (void)state;
    plx_sent_init(&s, &slab);
    for (uint64_t pn = 0; pn < 10; pn++)
        assert_true(add(&s, pn, 1));
    plx_sent_set_lost(&s, plx_sent_at(&s, 0));
    plx_sent_set_lost(&s, plx_sent_at(&s, 4));
    for (uint64_t pn = 1; pn < 4; pn++)
        ack(&s, pn);
    plx_sent_retire(&s);
    plx_sent_verify(&s);
    assert_int_equal(s.base, 0); // kept for a late ACK
    assert_int_equal(s.lost, 2);
    plx_sent_set_acked(&s, plx_sent_at(&s, 0)); // which comes
    plx_sent_retire(&s);
    plx_sent_verify(&s);
    assert_int_equal(s.base, 4);
    plx_sent_forget_lost(&s, (plx_time){4}); // it left at 4: not before 4
    assert_int_equal(s.base, 4);
    plx_sent_forget_lost(&s, (plx_time){5});
    plx_sent_verify(&s);
    assert_int_equal(s.base, 5);
    assert_int_equal(s.lost, 0);
    assert_int_equal(s.outstanding, 5);
    plx_sent_fini(&s);
}

// A download's client sends nothing but ACKs, and nobody acknowledges those.
static void test_acks_alone_do_not_pile_up(void **state)
{
    struct plx_sent s;
    (void)state;
    plx_sent_init(&s, &slab);
    for (uint64_t pn = 0; pn < 100000; pn++) {
        struct plx_sent_rec rec = {.time = {pn}, .bytes = 40};
        struct plx_refs refs = {.count = 1, .v = {{.kind = PLX_REF_ACK, .offset = pn}}};
        assert_true(plx_sent_add(&s, pn, &rec, &refs));
    }
    plx_sent_verify(&s);
    assert_true(s.end - s.base <= 64);
    assert_true(s.recs_cap <= 128 && s.refs_cap <= 128);
    plx_sent_fini(&s);
}

static void test_limits(void **state)
{
    struct plx_sent s;
    uint64_t pn = 0;
    (void)state;
    plx_sent_init(&s, &slab);
    struct plx_sent_rec rec = {.bytes = 1200, .is_eliciting = true, .is_in_flight = true};
    struct plx_refs refs = {.count = 1};
    while (plx_sent_add(&s, pn, &rec, &refs))
        pn++;
    plx_sent_verify(&s);
    assert_int_equal(pn, PLX_SENT_REFS_MAX);
    assert_false(plx_sent_reserve(&s, pn, 1));
    assert_int_equal(s.end, pn); // nothing has changed
    plx_sent_set_acked(&s, plx_sent_at(&s, 0));
    plx_sent_retire(&s);
    assert_true(plx_sent_reserve(&s, pn, 1));
    assert_true(plx_sent_add(&s, pn, &rec, &refs));
    plx_sent_fini(&s);
}

static void test_no_memory(void **state)
{
    struct plx_sent s;
    void *all[600];
    unsigned taken = 0;
    (void)state;
    plx_sent_init(&s, &slab);
    for (uint64_t pn = 0; pn < PLX_SENT_MIN; pn++)
        assert_true(add(&s, pn, 1));
    for (size_t size = PLX_SLAB_BLOCK_MAX; size >= 64 && taken < 600; size /= 2)
        while (taken < 600 && (all[taken] = plx_slab_take(&slab, size)) != NULL)
            taken++;
    assert_true(taken < 600);
    assert_false(plx_sent_reserve(&s, PLX_SENT_MIN, 1));
    assert_false(add(&s, PLX_SENT_MIN, 1)); // an ordinary outcome: verified in add()
    assert_int_equal(s.outstanding, PLX_SENT_MIN);
    plx_slab_fini(&slab); // all blocks with it
    assert_true(plx_slab_init(&slab, 8 << 20, PLX_NODE_ANY));
}

static void test_shrinks(void **state)
{
    struct plx_sent s;
    uint64_t pn = 0;
    (void)state;
    plx_sent_init(&s, &slab);
    for (; pn < 5000; pn++)
        assert_true(add(&s, pn, 1));
    assert_int_equal(s.recs_cap, 8192);
    for (uint64_t i = 0; i < pn; i++)
        ack(&s, i);
    plx_sent_retire(&s);
    for (unsigned i = 0; i < 1000; i++, pn++) { // one at a time for a while
        assert_true(add(&s, pn, 1));
        ack(&s, pn);
        plx_sent_retire(&s);
        plx_sent_verify(&s);
    }
    assert_int_equal(s.recs_cap, PLX_SENT_MIN);
    assert_int_equal(s.refs_cap, PLX_SENT_REFS_MIN);
    plx_sent_release(&s);
    plx_sent_verify(&s);
    assert_int_equal(plx_slab_bytes_in_use(&slab), 0); // an idle connection has none
    assert_true(add(&s, pn, 1));
    plx_sent_release(&s); // not idle: nothing happens
    assert_int_equal(s.outstanding, 1);
    plx_sent_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_out_of_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_skipped, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lost_and_late, setup, teardown),
        cmocka_unit_test_setup_teardown(test_acks_alone_do_not_pile_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shrinks, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
