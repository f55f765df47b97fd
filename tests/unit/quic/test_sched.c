// test_sched.c -- which stream stands in which list, and whose turn it is.

#include "quic/stream/sched.h"
#include "tests/unit/base/rows.h"

static void stream_init(struct plx_stream *s, uint64_t id)
{
    *s = (struct plx_stream){.id = id, .send_state = PLX_SEND_SEND, .send_limit = 1000};
    plx_list_init(&s->ready);
}

static void test_which_list(void **state)
{
    static struct plx_ranges lost = {.count = 1, .v = {{0, 1}}};
    static const struct {
        uint64_t next, sent_max, end, limit;
        uint8_t fin, send_state, list;
        bool is_lost;
    } row[] = {
        {0, 0, 0, 1000, PLX_FIN_NONE, PLX_SEND_READY, PLX_SCHED_NONE, false},    // nothing
        {0, 0, 10, 1000, PLX_FIN_NONE, PLX_SEND_READY, PLX_SCHED_FRESH, false},  // new octets
        {0, 0, 10, 0, PLX_FIN_NONE, PLX_SEND_READY, PLX_SCHED_NONE, false},      // blocked by its limit
        {5, 5, 10, 5, PLX_FIN_QUEUED, PLX_SEND_SEND, PLX_SCHED_NONE, false},     // blocked before its FIN
        {5, 5, 5, 5, PLX_FIN_QUEUED, PLX_SEND_SEND, PLX_SCHED_OWED, false},      // a bare FIN needs no credit
        {5, 5, 5, 5, PLX_FIN_SENT, PLX_SEND_DATA_SENT, PLX_SCHED_NONE, false},   // waits for acknowledgements
        {5, 5, 5, 5, PLX_FIN_SENT, PLX_SEND_DATA_SENT, PLX_SCHED_OWED, true},    // lost
        {3, 5, 5, 5, PLX_FIN_SENT, PLX_SEND_DATA_SENT, PLX_SCHED_OWED, false},   // went back
        {5, 5, 10, 5, PLX_FIN_NONE, PLX_SEND_SEND, PLX_SCHED_OWED, true},        // lost, though blocked
        {5, 5, 10, 20, PLX_FIN_NONE, PLX_SEND_RESET_SENT, PLX_SCHED_NONE, true}, // given up
        {0, 0, 0, 0, PLX_FIN_QUEUED, PLX_SEND_NONE, PLX_SCHED_NONE, false},      // not ours to send on
    };
    struct plx_sched q;
    struct plx_stream s;
    (void)state;

    plx_sched_init(&q);
    stream_init(&s, 0);
    for (unsigned i = 0; i < ROWS(row); i++) {
        s.send.next = row[i].next;
        s.send.sent_max = row[i].sent_max;
        s.send.end = row[i].end;
        s.send.fin = row[i].fin;
        s.send.lost = row[i].is_lost ? &lost : NULL;
        s.send_state = row[i].send_state;
        s.send_limit = row[i].limit;
        plx_sched_update(&q, &s);
        EXPECT_ROW(i, s.ready_in == row[i].list);
        EXPECT_ROW(i, plx_list_is_empty(&q.owed) == (row[i].list != PLX_SCHED_OWED));
        EXPECT_ROW(i, plx_list_is_empty(&q.fresh) == (row[i].list != PLX_SCHED_FRESH));
        plx_sched_verify(&q);
    }
}

static void test_turns(void **state)
{
    struct plx_sched q;
    struct plx_stream s[3];
    (void)state;

    plx_sched_init(&q);
    assert_null(plx_sched_first(&q, true));
    for (unsigned i = 0; i < 3; i++) {
        stream_init(&s[i], i);
        s[i].send.end = 100;
        plx_sched_update(&q, &s[i]);
    }
    plx_sched_update(&q, &s[0]); // again: keeps its place
    for (unsigned i = 0; i < 6; i++) {
        assert_ptr_equal(plx_sched_first(&q, true), &s[i % 3]);
        plx_sched_rotate(&q, &s[i % 3]);
    }
    assert_null(plx_sched_first(&q, false)); // the connection has no credit

    s[1].send.sent_max = s[1].send.end = 50; // a bare FIN: goes first, and without credit
    s[1].send.next = 50;
    s[1].send.fin = PLX_FIN_QUEUED;
    plx_sched_update(&q, &s[1]);
    assert_ptr_equal(plx_sched_first(&q, false), &s[1]);
    assert_ptr_equal(plx_sched_first(&q, true), &s[1]);
    plx_sched_verify(&q);

    plx_sched_remove(&s[1]);
    plx_sched_remove(&s[1]); // harmless
    plx_sched_rotate(&q, &s[1]);
    assert_int_equal(s[1].ready_in, PLX_SCHED_NONE);
    assert_ptr_equal(plx_sched_first(&q, true), &s[0]);
    plx_sched_verify(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_which_list),
        cmocka_unit_test(test_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
