// test_table.c -- finding, refusing, and removal that leaves no trace.

#include "base/table.h"

#include "base/prng.h"
#include "rows.h"

static void test_timeline(void **state)
{
    struct plx_table t;
    (void)state;

    assert_true(plx_table_init(&t, 100, NULL));
    assert_true(plx_table_find(&t, 7) == PLX_TABLE_NONE);
    assert_true(plx_table_remove(&t, 7) == PLX_TABLE_NONE);
    assert_true(plx_table_add(&t, 7, 70));
    assert_true(plx_table_add(&t, 0, 1)); // no key is special
    assert_true(plx_table_add(&t, UINT64_MAX, 2));
    assert_false(plx_table_add(&t, 7, 71)); // it is there, and stays
    plx_table_prefetch(&t, 7);
    assert_int_equal(plx_table_find(&t, 7), 70);
    assert_int_equal(plx_table_find(&t, 0), 1);
    assert_int_equal(plx_table_find(&t, UINT64_MAX), 2);
    assert_int_equal(plx_table_count(&t), 3);
    plx_table_verify(&t);
    assert_int_equal(plx_table_remove(&t, 7), 70);
    assert_true(plx_table_find(&t, 7) == PLX_TABLE_NONE);
    assert_int_equal(plx_table_find(&t, 0), 1);
    assert_int_equal(plx_table_count(&t), 2);
    plx_table_verify(&t);
    plx_table_fini(&t);
}

static void test_capacity_is_kept_and_then_refused(void **state)
{
    static const uint32_t row[] = {1, 5, 6, 7, 96, 1000, 1 << 14};
    (void)state;

    for (unsigned i = 0; i < ROWS(row); i++) {
        struct plx_table t;
        EXPECT_ROW(i, plx_table_init(&t, row[i], NULL));
        uint32_t count = 0;
        while (plx_table_add(&t, count * UINT64_C(0x100000000), count)) // equal low halves
            count++;
        EXPECT_ROW(i, count >= row[i]);
        EXPECT_ROW(i, count == t.buckets / 8 * 7);
        plx_table_verify(&t);
        for (uint32_t k = 0; k < count; k++)
            EXPECT_ROW(i, plx_table_find(&t, k * UINT64_C(0x100000000)) == k);
        for (uint32_t k = 0; k < count; k++)
            EXPECT_ROW(i, plx_table_remove(&t, k * UINT64_C(0x100000000)) == k);
        EXPECT_ROW(i, plx_table_count(&t) == 0);
        plx_table_verify(&t);
        plx_table_fini(&t);
    }
}

// A full table of long runs, in which keys come and go: nothing is lost, nothing appears.
static void test_runs_close_up(void **state)
{
    enum { KEYS = 256, ROUNDS = 20000 };
    uint32_t model[KEYS];
    struct plx_table t;
    struct plx_prng rng;
    (void)state;

    plx_prng_init(&rng, 5);
    for (unsigned i = 0; i < KEYS; i++)
        model[i] = PLX_TABLE_NONE;
    assert_true(plx_table_init(&t, 96, NULL)); // 128 buckets, 112 keys: at its limit most of the time
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint32_t key = (uint32_t)plx_prng_below(&rng, KEYS);
        if (plx_prng_chance(&rng, 2, 3)) {
            bool fits = model[key] == PLX_TABLE_NONE && plx_table_count(&t) < t.count_max;
            assert_int_equal(plx_table_add(&t, key, round), fits);
            if (fits)
                model[key] = round;
        } else {
            assert_int_equal(plx_table_remove(&t, key), model[key]);
            model[key] = PLX_TABLE_NONE;
        }
        if (round % 16 != 0)
            continue;
        plx_table_verify(&t);
        for (uint32_t i = 0; i < KEYS; i++)
            assert_int_equal(plx_table_find(&t, i), model[i]);
    }
    plx_table_fini(&t);
}

static void test_secrets_differ(void **state)
{
    struct plx_table a, b;
    (void)state;

    assert_true(plx_table_init(&a, 1 << 12, NULL));
    assert_true(plx_table_init(&b, 1 << 12, NULL));
    unsigned same = 0;
    for (uint64_t key = 0; key < 1000; key++)
        same += plx_table_home(&a, key) == plx_table_home(&b, key);
    assert_true(same < 100); // by chance a few
    assert_true(plx_table_key(&a, "fish", 4) != plx_table_key(&b, "fish", 4));
    assert_true(plx_table_key(&a, "fish", 4) == plx_table_key(&a, "fish", 4));
    assert_true(plx_table_key(&a, "fish", 4) != plx_table_key(&a, "fisk", 4));
    plx_table_fini(&a);
    plx_table_fini(&b);
}

static void test_from_an_arena(void **state)
{
    struct plx_arena a;
    struct plx_table t, more;
    (void)state;

    assert_true(plx_arena_init(&a, plx_table_bytes(1000), PLX_NODE_ANY, false));
    assert_true(plx_table_init(&t, 1000, &a));
    assert_false(plx_table_init(&more, 100000, &a));
    assert_true(plx_table_add(&t, 1, 2));
    assert_int_equal(plx_table_find(&t, 1), 2);
    plx_table_fini(&t);
    plx_arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timeline),      cmocka_unit_test(test_capacity_is_kept_and_then_refused),
        cmocka_unit_test(test_runs_close_up), cmocka_unit_test(test_secrets_differ),
        cmocka_unit_test(test_from_an_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
