// test_counter.c -- one thread counts, another reads along (run under TSan as well).

#include "base/counter.h"

#include <pthread.h>

#include "rows.h"

enum { ROUNDS = 100000 };

struct stats {
    struct plx_counter packets, level;
};

static void *count(void *arg)
{
    struct stats *s = arg;

    for (unsigned i = 0; i < ROUNDS; i++)
        PLX_COUNTER_ADD(s->packets, 3);
    return NULL;
}

static void test_adding_and_setting(void **state)
{
    struct stats s = {0};
    (void)state;

    assert_true(plx_counter_read(&s.packets) == 0);
    PLX_COUNTER_ADD(s.packets, 5);
    PLX_COUNTER_ADD(s.packets, UINT64_C(1) << 40);
    assert_true(plx_counter_read(&s.packets) == (UINT64_C(1) << 40) + 5);
    plx_counter_set(&s.level, 9);
    plx_counter_set(&s.level, 4);
    assert_true(plx_counter_read(&s.level) == 4);
}

static void test_a_reader_sees_it_grow(void **state)
{
    static struct stats s;
    pthread_t thread;
    uint64_t last = 0;
    (void)state;

    assert_int_equal(pthread_create(&thread, NULL, count, &s), 0);
    while (last < 3u * ROUNDS) {
        uint64_t v = plx_counter_read(&s.packets);
        assert_true(v >= last);
        assert_true(v % 3 == 0); // never half an addition
        last = v;
    }
    pthread_join(thread, NULL);
    assert_true(plx_counter_read(&s.packets) == 3u * ROUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adding_and_setting),
        cmocka_unit_test(test_a_reader_sees_it_grow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
