// test_neigh.c -- the life of a neighbour, as timelines.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "net/neigh.h"

static const uint8_t KEY[16] = "sixteen octets!", MAC[2][6] = {{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}};

static struct plx_addr host(uint32_t i)
{
    struct plx_addr a = {.af = PLX_AF_IP4, .ip = {10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i}};
    return a;
}

static plx_time at_ms(uint64_t ms)
{
    return (plx_time){ms * 1000000};
}

enum step { FIND, LEARN0, LEARN1 };

// One neighbour; each row is a moment: what happens, and what find() must answer (known, ask).
static void test_timeline(void **state)
{
    (void)state;
    static const struct {
        uint64_t ms;
        enum step step;
        bool is_known, ask;
        int mac;
    } row[] = {
        {0, FIND, false, true, 0},  // unknown: the first question
        {1, FIND, false, false, 0}, // not twice within a second
        {999, FIND, false, false, 0},    {1000, FIND, false, true, 0},
        {2000, FIND, false, true, 0},                                     // the third
        {3000, FIND, false, false, 0},                                    // from now on every five seconds
        {7000, FIND, false, true, 0},    {7500, LEARN0, true, false, 0},  // the answer
        {37499, FIND, true, false, 0},                                    // reachable for 30 s
        {37500, FIND, true, true, 0},                                     // stale: used, and asked for
        {37600, FIND, true, false, 0},   {37700, LEARN0, true, false, 0}, // any sign of life will do
        {60000, LEARN1, true, false, 1},                                  // it has a new card
        {90000, FIND, true, true, 1},    {91000, FIND, true, true, 1},
        {92000, FIND, true, true, 1},                                    // three questions
        {92999, FIND, true, false, 1},   {93000, FIND, false, false, 0}, // no answer: gone
        {97000, FIND, false, true, 0},   {97001, LEARN0, true, false, 0},
    };
    struct plx_neigh *t = test_malloc(sizeof *t);
    plx_neigh_init(t, KEY);
    for (unsigned i = 0; i < sizeof row / sizeof *row; i++) {
        struct plx_addr a = host(7);
        uint64_t generation = t->generation;
        bool was_known = plx_neigh_peek(t, &a, at_ms(row[i].ms), NULL);
        if (row[i].step != FIND)
            plx_neigh_learn(t, &a, MAC[row[i].step == LEARN1], at_ms(row[i].ms));
        struct plx_neigh_answer r = plx_neigh_find(t, &a, at_ms(row[i].ms));
        if (r.is_known != row[i].is_known || r.ask != row[i].ask)
            fail_msg("row %u (%d ms): known %d, ask %d", i, (int)row[i].ms, r.is_known, r.ask);
        if (r.is_known)
            assert_memory_equal(r.mac, MAC[row[i].mac], 6);
        assert_int_equal(plx_neigh_peek(t, &a, at_ms(row[i].ms), NULL), r.is_known);
        if (row[i].step == LEARN1 || (was_known && !r.is_known))
            assert_true(t->generation > generation); // what was handed out is wrong now
        plx_neigh_verify(t);
    }
    test_free(t);
}

static void test_full_table_keeps_what_matters(void **state)
{
    (void)state;
    struct plx_neigh *t = test_malloc(sizeof *t);
    struct plx_addr gateway = host(0);
    plx_neigh_init(t, KEY);
    assert_true(plx_neigh_pin(t, &gateway));
    plx_neigh_learn(t, &gateway, MAC[0], at_ms(0));
    for (uint32_t i = 1; i <= 5000; i++) { // five times as many as there are places
        struct plx_addr a = host(i);
        plx_neigh_learn(t, &a, MAC[1], at_ms(i));
        assert_true(plx_neigh_peek(t, &a, at_ms(i), NULL));
    }
    plx_neigh_verify(t);
    assert_true(plx_neigh_peek(t, &gateway, at_ms(5000), NULL));
    assert_true(t->evicted >= 5000 - PLX_NEIGH_SETS * PLX_NEIGH_WAYS);
    unsigned alive = 0;
    for (uint32_t i = 1; i <= 5000; i++) {
        struct plx_addr a = host(i);
        alive += plx_neigh_has(t, &a);
    }
    assert_int_equal(alive, PLX_NEIGH_SETS * PLX_NEIGH_WAYS - 1);

    // Questions without answers take each other's places, not those of living neighbours, once one of them is there.
    uint64_t evicted = t->evicted;
    for (uint32_t i = 100000; i < 110000; i++) {
        struct plx_addr a = host(i);
        plx_neigh_find(t, &a, at_ms(6000));
    }
    assert_true(t->evicted - evicted <= PLX_NEIGH_SETS);
    plx_neigh_verify(t);
    test_free(t);
}

static void test_families_do_not_mix(void **state)
{
    (void)state;
    struct plx_neigh *t = test_malloc(sizeof *t);
    struct plx_addr a4 = host(7), a6 = a4;
    a6.af = PLX_AF_IP6; // the same octets
    plx_neigh_init(t, KEY);
    plx_neigh_learn(t, &a4, MAC[0], at_ms(0));
    assert_false(plx_neigh_has(t, &a6));
    plx_neigh_learn(t, &a6, MAC[1], at_ms(0));
    assert_memory_equal(plx_neigh_find(t, &a4, at_ms(1)).mac, MAC[0], 6);
    assert_memory_equal(plx_neigh_find(t, &a6, at_ms(1)).mac, MAC[1], 6);
    test_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timeline),
        cmocka_unit_test(test_full_table_keeps_what_matters),
        cmocka_unit_test(test_families_do_not_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
