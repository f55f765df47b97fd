// test_mailbox.c -- full, empty, wrapped; then several real producers (run under TSan as well).

#include "base/mailbox.h"

#include <pthread.h>
#include <sched.h>

#include "rows.h"

#define PTR(n) ((void *)(uintptr_t)(n))

static void test_full_and_empty(void **state)
{
    struct plx_mailbox m;
    void *out[8];
    (void)state;

    assert_true(plx_mailbox_init(&m, 4, NULL));
    for (uintptr_t round = 0; round < 10; round++) {
        assert_int_equal(plx_mailbox_pop_burst(&m, out, 8), 0);
        for (uintptr_t i = 1; i <= 4; i++) {
            assert_true(plx_mailbox_push(&m, PTR(round * 4 + i)));
            assert_int_equal(plx_mailbox_count(&m), i);
        }
        assert_false(plx_mailbox_push(&m, PTR(99)));
        plx_mailbox_verify(&m);
        assert_int_equal(plx_mailbox_pop_burst(&m, out, 3), 3);
        assert_true(plx_mailbox_push(&m, PTR(77)));
        assert_int_equal(plx_mailbox_pop_burst(&m, out + 3, 5), 2);
        for (uintptr_t i = 1; i <= 4; i++)
            assert_ptr_equal(out[i - 1], PTR(round * 4 + i));
        assert_ptr_equal(out[4], PTR(77));
        plx_mailbox_verify(&m);
    }
    plx_mailbox_fini(&m);
}

static void test_bursts(void **state)
{
    static const struct {
        uint32_t push, pushed, pop, popped;
    } row[] = {{3, 3, 2, 2}, {8, 7, 0, 0}, {1, 0, 8, 8}, {0, 0, 1, 0}, {9, 8, 5, 5}, {9, 5, 9, 8}};
    struct plx_mailbox m;
    void *in[9], *out[9];
    uintptr_t next = 1, expected = 1;
    (void)state;

    assert_true(plx_mailbox_init(&m, 8, NULL));
    for (unsigned i = 0; i < ROWS(row); i++) {
        for (uintptr_t j = 0; j < row[i].push; j++)
            in[j] = PTR(next + j);
        EXPECT_ROW(i, plx_mailbox_push_burst(&m, in, row[i].push) == row[i].pushed);
        next += row[i].pushed;
        EXPECT_ROW(i, plx_mailbox_pop_burst(&m, out, row[i].pop) == row[i].popped);
        for (uint32_t j = 0; j < row[i].popped; j++)
            EXPECT_ROW(i, out[j] == PTR(expected++));
        plx_mailbox_verify(&m);
    }
    plx_mailbox_fini(&m);
}

static void test_from_an_arena(void **state)
{
    struct plx_arena a;
    struct plx_mailbox m, more;
    (void)state;

    assert_true(plx_arena_init(&a, 64 * sizeof(struct plx_mailbox_cell), PLX_NODE_ANY, false));
    assert_true(plx_mailbox_init(&m, 64, &a));
    assert_false(plx_mailbox_init(&more, 4096, &a));
    assert_true(plx_mailbox_push(&m, PTR(1)));
    plx_mailbox_fini(&m);
    plx_arena_fini(&a);
}

// --- several threads ---------------------------------------------------------------------------------------

enum { PRODUCERS = 3, MESSAGES = 60000, PLACES = 64 };

struct message {
    uint32_t from, number; // plain memory: the mailbox alone must make it visible
};

struct sender {
    struct plx_mailbox *m;
    uint32_t id;
    struct message message[MESSAGES];
};

static void *producer(void *arg)
{
    struct sender *s = arg;

    for (uint32_t sent = 0; sent < MESSAGES;) {
        void *out[5];
        uint32_t n = sent % 5 + 1;
        if (n > MESSAGES - sent)
            n = MESSAGES - sent;
        for (uint32_t i = 0; i < n; i++) {
            s->message[sent + i] = (struct message){s->id, sent + i};
            out[i] = &s->message[sent + i];
        }
        n = n == 1 ? plx_mailbox_push(s->m, out[0]) : plx_mailbox_push_burst(s->m, out, n);
        if (n == 0)
            sched_yield();
        sent += n;
    }
    return NULL;
}

static void test_several_producers(void **state)
{
    static struct sender sender[PRODUCERS];
    pthread_t thread[PRODUCERS];
    uint32_t next[PRODUCERS] = {0};
    struct plx_mailbox m;
    (void)state;

    assert_true(plx_mailbox_init(&m, PLACES, NULL));
    for (uint32_t i = 0; i < PRODUCERS; i++) {
        sender[i].m = &m;
        sender[i].id = i;
        assert_int_equal(pthread_create(&thread[i], NULL, producer, &sender[i]), 0);
    }
    for (uint32_t received = 0; received < PRODUCERS * MESSAGES;) {
        void *in[16];
        uint32_t n = plx_mailbox_pop_burst(&m, in, received % 16 + 1);
        if (n == 0)
            sched_yield();
        for (uint32_t i = 0; i < n; i++) { // each producer's in its order, none twice, none lost
            const struct message *message = in[i];
            assert_true(message->from < PRODUCERS);
            if (message->number != next[message->from]++)
                fail_msg("producer %u: %u instead of %u", message->from, message->number,
                         next[message->from] - 1);
        }
        assert_true(plx_mailbox_count(&m) <= PLACES);
        received += n;
    }
    for (uint32_t i = 0; i < PRODUCERS; i++) {
        pthread_join(thread[i], NULL);
        assert_int_equal(next[i], MESSAGES);
    }
    plx_mailbox_verify(&m);
    assert_int_equal(plx_mailbox_count(&m), 0);
    plx_mailbox_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_and_empty),
        cmocka_unit_test(test_bursts),
        cmocka_unit_test(test_from_an_arena),
        cmocka_unit_test(test_several_producers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
