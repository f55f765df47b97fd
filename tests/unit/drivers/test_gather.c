// test_gather.c -- when a queue is asked for packets, as a timeline: drivers/ethdev/gather.h.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "drivers/ethdev/gather.h"

enum { MOST = 400, BURST = 64 };

static void test_waits_as_the_burst_was_large(void **state)
{
    (void)state;
    static const struct {
        uint16_t got;
        uint64_t wait;
    } row[] = {{0, 0},    {1, MOST / 4}, {2, MOST / 2},     {3, 3 * MOST / 4},
               {4, MOST}, {5, MOST},     {BURST - 1, MOST}, {BURST, 0}};
    for (unsigned i = 0; i < sizeof row / sizeof *row; i++) {
        struct ethdev_gather g = {.most = MOST, .until = 0};
        ethdev_gather_on_fetch(&g, 1000, row[i].got, BURST);
        assert_true(ethdev_gather_is_due(&g, 1000 + row[i].wait));
        if (row[i].wait > 0)
            assert_false(ethdev_gather_is_due(&g, 1000 + row[i].wait - 1));
    }
}

static void test_who_heard_nothing_waits_for_nobody(void **state)
{
    (void)state;
    struct ethdev_gather g = {.most = MOST};

    for (uint64_t now = 0; now < 3 * MOST; now++) { // polls that find nothing
        assert_true(ethdev_gather_is_due(&g, now));
        ethdev_gather_on_fetch(&g, now, 0, BURST);
    }
    ethdev_gather_on_fetch(&g, 2000, 2, BURST);
    assert_false(ethdev_gather_is_due(&g, 2001));
    assert_true(ethdev_gather_is_due(&g, 1000000));
}

// Packets that come one by one in steps; how many fetches bring a thousand of them.
static unsigned fetches_of(uint64_t step, uint64_t most)
{
    struct ethdev_gather g = {.most = most};
    unsigned fetches = 0, fetched = 0;

    for (uint64_t now = 0; fetched < 1000; now++) {
        if (most > 0 && !ethdev_gather_is_due(&g, now))
            continue;
        unsigned waiting = (unsigned)(now / step) - fetched;
        uint16_t got = (uint16_t)(waiting < BURST ? waiting : BURST);
        ethdev_gather_on_fetch(&g, now, got, BURST);
        fetched += got;
        fetches += got > 0;
    }
    return fetches;
}

static void test_waits_grow_only_where_they_bring_more(void **state)
{
    (void)state;
    assert_int_equal(fetches_of(MOST / 8, 0), 1000);    // not gathered: each by itself
    assert_int_equal(fetches_of(MOST / 2, MOST), 1000); // rare: each by itself, although fetches are put off
    assert_int_equal(fetches_of(MOST, MOST), 1000);
    assert_in_range(fetches_of(MOST / 8, MOST), 100, 140); // eight come in the longest wait
    assert_in_range(fetches_of(MOST / 40, MOST), 20, 30);  // forty
    assert_in_range(fetches_of(MOST / 400, MOST), 10, 20); // more than a burst holds: nobody waits
}

static void test_the_counter_may_wrap(void **state)
{
    (void)state;
    struct ethdev_gather g = {.most = MOST, .until = UINT64_MAX - 50};

    assert_true(ethdev_gather_is_due(&g, UINT64_MAX - 50));
    ethdev_gather_on_fetch(&g, UINT64_MAX - 50, 8, BURST);
    assert_false(ethdev_gather_is_due(&g, UINT64_MAX));
    assert_false(ethdev_gather_is_due(&g, MOST - 52));
    assert_true(ethdev_gather_is_due(&g, MOST - 51));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_waits_as_the_burst_was_large),
        cmocka_unit_test(test_who_heard_nothing_waits_for_nobody),
        cmocka_unit_test(test_waits_grow_only_where_they_bring_more),
        cmocka_unit_test(test_the_counter_may_wrap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
