// test_spsc.c -- full, empty, wrapped; then two real threads (run under TSan as well).

#include "base/spsc.h"

#include <pthread.h>
#include <sched.h>

#include "rows.h"

#define PTR(n) ((void *)(uintptr_t)(n))

static void test_full_and_empty(void **state)
{
    struct plx_spsc q;
    void *slots[4], *out[8];
    (void)state;

    plx_spsc_init(&q, slots, 4);
    assert_int_equal(plx_spsc_capacity(&q), 4);
    assert_null(plx_spsc_pop(&q));
    assert_int_equal(plx_spsc_pop_burst(&q, out, 8), 0);
    for (uintptr_t i = 1; i <= 4; i++) {
        assert_true(plx_spsc_push(&q, PTR(i)));
        assert_int_equal(plx_spsc_count(&q), i);
    }
    assert_false(plx_spsc_push(&q, PTR(5)));
    plx_spsc_verify(&q);
    assert_ptr_equal(plx_spsc_pop(&q), PTR(1));
    assert_true(plx_spsc_push(&q, PTR(5)));
    assert_false(plx_spsc_push(&q, PTR(6)));
    for (uintptr_t i = 2; i <= 5; i++)
        assert_ptr_equal(plx_spsc_pop(&q), PTR(i));
    assert_null(plx_spsc_pop(&q));
    assert_int_equal(plx_spsc_count(&q), 0);
    plx_spsc_verify(&q);
}

static void test_bursts(void **state)
{
    static const struct {
        uint32_t push, pushed, pop, popped;
    } row[] = {{3, 3, 2, 2}, {8, 7, 0, 0}, {1, 0, 8, 8}, {0, 0, 1, 0}, {9, 8, 5, 5}, {9, 5, 9, 8}};
    struct plx_spsc q;
    void *slots[8], *in[9], *out[9];
    uintptr_t next = 1, expected = 1;
    (void)state;

    plx_spsc_init(&q, slots, 8);
    for (unsigned i = 0; i < ROWS(row); i++) {
        for (uintptr_t j = 0; j < row[i].push; j++)
            in[j] = PTR(next + j);
        EXPECT_ROW(i, plx_spsc_push_burst(&q, in, row[i].push) == row[i].pushed);
        next += row[i].pushed;
        EXPECT_ROW(i, plx_spsc_pop_burst(&q, out, row[i].pop) == row[i].popped);
        for (uint32_t j = 0; j < row[i].popped; j++)
            EXPECT_ROW(i, out[j] == PTR(expected++));
        plx_spsc_verify(&q);
    }
}

static void test_indices_wrap(void **state)
{
    struct plx_spsc q;
    void *slots[2];
    (void)state;

    plx_spsc_init(&q, slots, 2);
    atomic_store(&q.head, UINT32_MAX); // as after four thousand million pushes
    atomic_store(&q.tail, UINT32_MAX);
    q.head_seen = q.tail_seen = UINT32_MAX;
    for (uintptr_t i = 1; i < 10; i++) {
        assert_true(plx_spsc_push(&q, PTR(i)));
        assert_true(plx_spsc_push(&q, PTR(i + 100)));
        assert_false(plx_spsc_push(&q, PTR(9)));
        assert_int_equal(plx_spsc_count(&q), 2);
        plx_spsc_verify(&q);
        assert_ptr_equal(plx_spsc_pop(&q), PTR(i));
        assert_ptr_equal(plx_spsc_pop(&q), PTR(i + 100));
        assert_null(plx_spsc_pop(&q));
    }
}

// --- two threads -------------------------------------------------------------------------------------------

enum { MESSAGES = 200000, RING = 64 };

struct message {
    uint64_t number, twice; // plain memory: the ring alone must make it visible
};

struct both {
    struct plx_spsc there, back;
    void *there_slots[RING], *back_slots[RING];
    struct message message[RING];
};

// Takes empty messages from `back`, fills them, sends them `there`: singly and in bursts by turns.
static void *producer(void *arg)
{
    struct both *b = arg;

    for (uint64_t sent = 0; sent < MESSAGES;) {
        void *m[7];
        uint32_t n = plx_spsc_pop_burst(&b->back, m, sent % 7 + 1);
        if (n == 0)
            sched_yield();
        for (uint32_t i = 0; i < n; i++)
            *(struct message *)m[i] = (struct message){sent + i, 2 * (sent + i)};
        for (uint32_t done = 0; done < n;)
            done += n % 2 ? plx_spsc_push_burst(&b->there, m + done, n - done)
                          : plx_spsc_push(&b->there, m[done]);
        sent += n;
    }
    return NULL;
}

static void test_two_threads(void **state)
{
    static struct both b;
    pthread_t thread;
    uint64_t expected = 0;
    (void)state;

    plx_spsc_init(&b.there, b.there_slots, RING);
    plx_spsc_init(&b.back, b.back_slots, RING);
    for (unsigned i = 0; i < RING; i++)
        assert_true(plx_spsc_push(&b.back, &b.message[i]));
    assert_int_equal(pthread_create(&thread, NULL, producer, &b), 0);
    while (expected < MESSAGES) {
        void *m[16];
        uint32_t n = plx_spsc_pop_burst(&b.there, m, expected % 16 + 1);
        if (n == 0)
            sched_yield();
        for (uint32_t i = 0; i < n; i++, expected++) {
            const struct message *in = m[i];
            if (in->number != expected || in->twice != 2 * expected)
                fail_msg("message %llu holds %llu", (unsigned long long)expected,
                         (unsigned long long)in->number);
        }
        assert_true(plx_spsc_count(&b.there) <= RING);
        assert_int_equal(plx_spsc_push_burst(&b.back, m, n), n);
    }
    pthread_join(thread, NULL);
    plx_spsc_verify(&b.there);
    plx_spsc_verify(&b.back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_and_empty),
        cmocka_unit_test(test_bursts),
        cmocka_unit_test(test_indices_wrap),
        cmocka_unit_test(test_two_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
