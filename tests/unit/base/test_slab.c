// test_slab.c -- rounding, splitting, joining, running dry; and that mixed sizes do not fragment for ever.

#include "base/slab.h"

#include <string.h>

#include "base/poison.h"
#include "base/prng.h"
#include "rows.h"

static void test_rounding(void **state)
{
    static const size_t row[][2] = {{0, 64},      {1, 64},      {64, 64},           {65, 128},
                                    {1000, 1024}, {1024, 1024}, {1 << 20, 1 << 20}, {(1 << 19) + 1, 1 << 20}};
    struct plx_slab s;
    (void)state;

    assert_true(plx_slab_init(&s, 4 << 20, PLX_NODE_ANY));
    for (unsigned i = 0; i < ROWS(row); i++) {
        EXPECT_ROW(i, plx_slab_round(row[i][0]) == row[i][1]);
        uint8_t *p = plx_slab_take(&s, row[i][0]);
        EXPECT_ROW(i, p != NULL);
        EXPECT_ROW(i, (size_t)(p - s.base) % row[i][1] == 0); // aligned to its own size
        EXPECT_ROW(i, (uintptr_t)p % (row[i][1] < 4096 ? row[i][1] : 4096) == 0);
        EXPECT_ROW(i, plx_slab_bytes_in_use(&s) == row[i][1]);
        memset(p, 0xaa, row[i][0]);
        plx_slab_verify(&s);
        plx_slab_give(&s, p, row[i][0]);
        EXPECT_ROW(i, plx_slab_bytes_in_use(&s) == 0);
        plx_slab_verify(&s);
    }
    assert_null(plx_slab_take(&s, PLX_SLAB_BLOCK_MAX + 1));
    assert_null(plx_slab_take(&s, SIZE_MAX));
    assert_int_equal(s.exhausted, 2);
    plx_slab_fini(&s);
}

static void test_all_of_each_class(void **state)
{
    struct plx_slab s;
    (void)state;

    assert_true(plx_slab_init(&s, 2 << 20, PLX_NODE_ANY));
    for (size_t size = 64; size <= PLX_SLAB_BLOCK_MAX; size *= 2) { // every byte can be had in every size
        static void *held[(2 << 20) / 64 + 1];
        size_t count = 0;
        while ((held[count] = plx_slab_take(&s, size)) != NULL)
            count++;
        assert_int_equal(count, (2 << 20) / size);
        assert_int_equal(plx_slab_bytes_in_use(&s), 2 << 20);
        plx_slab_verify(&s);
        for (size_t i = 0; i < count; i++) // every second one first: joining has to wait
            plx_slab_give(&s, held[i * 2 % count + (count % 2 == 0 && i >= count / 2)], size);
        plx_slab_verify(&s);
        assert_int_equal(plx_slab_bytes_in_use(&s), 0);
    }
    plx_slab_fini(&s);
}

// Sizes come and go for a long time; when all is given back, the largest blocks can be had again.
static void test_no_lasting_fragments(void **state)
{
    enum { HELD = 400, ROUNDS = 20000 };
    struct {
        uint8_t *p;
        size_t size;
    } held[HELD] = {{0}};
    struct plx_slab s;
    struct plx_prng rng;
    (void)state;

    plx_prng_init(&rng, 3);
    assert_true(plx_slab_init(&s, 4 << 20, PLX_NODE_ANY));
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned i = (unsigned)plx_prng_below(&rng, HELD);
        if (held[i].p != NULL) {
            assert_int_equal(held[i].p[0], i & 0xff);
            assert_int_equal(held[i].p[held[i].size - 1], i & 0xff);
            plx_slab_give(&s, held[i].p, held[i].size);
            held[i].p = NULL;
        } else {
            held[i].size = 1 + (size_t)plx_prng_below(&rng, UINT64_C(1) << plx_prng_between(&rng, 4, 17));
            held[i].p = plx_slab_take(&s, held[i].size);
            if (held[i].p != NULL)
                memset(held[i].p, (int)i, held[i].size);
        }
        if (round % 1000 == 0)
            plx_slab_verify(&s);
    }
    for (unsigned i = 0; i < HELD; i++)
        if (held[i].p != NULL)
            plx_slab_give(&s, held[i].p, held[i].size);
    plx_slab_verify(&s);
    assert_int_equal(plx_slab_bytes_in_use(&s), 0);
    for (unsigned i = 0; i < 4; i++)
        assert_non_null(plx_slab_take(&s, PLX_SLAB_BLOCK_MAX));
    assert_null(plx_slab_take(&s, 1));
    plx_slab_fini(&s);
}

static void test_memory_is_carved_lazily(void **state)
{
    struct plx_slab s;
    (void)state;

    assert_true(plx_slab_init(&s, (size_t)1 << 32, PLX_NODE_ANY)); // far more than anybody touches
    for (unsigned i = 0; i < 100; i++) {
        void *p = plx_slab_take(&s, 1000);
        assert_non_null(p);
        plx_slab_give(&s, p, 1000);
    }
    assert_int_equal(s.carved, PLX_SLAB_BLOCK_MAX);
    plx_slab_fini(&s);
}

struct given {
    struct plx_slab *s;
    void *p;
    size_t size;
};

static void give(void *arg)
{
    struct given *g = arg;
    plx_slab_give(g->s, g->p, g->size);
}

static void test_broken_promises(void **state)
{
    struct plx_slab s;
    uint8_t foreign[64];
    (void)state;

    assert_true(plx_slab_init(&s, 1 << 20, PLX_NODE_ANY));
    uint8_t *p = plx_slab_take(&s, 256), *given = plx_slab_take(&s, 256);
    plx_slab_give(&s, given, 256);
    struct given row[] = {{&s, p, 512},   {&s, p, 128},      {&s, p + 64, 256},
                          {&s, NULL, 64}, {&s, foreign, 64}, {&s, given, 256}};
    for (unsigned i = 0; i < ROWS(row); i++)
        EXPECT_ROW(i, ends_in_check(give, &row[i]));
    struct given right = {&s, p, 200}; // rounds to the same
    assert_false(ends_in_check(give, &right));
    plx_slab_fini(&s);
}

#if PLX_IS_ASAN
static void test_asan_sees_free_blocks(void **state)
{
    struct plx_slab s;
    (void)state;

    assert_true(plx_slab_init(&s, 1 << 20, PLX_NODE_ANY));
    uint8_t *p = plx_slab_take(&s, 200);
    assert_false(__asan_address_is_poisoned(p + 199));
    assert_true(__asan_address_is_poisoned(p + 208)); // what was asked for, not what it was rounded to
    plx_slab_give(&s, p, 200);
    assert_true(__asan_address_is_poisoned(p + 100));
    plx_slab_fini(&s);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rounding),
        cmocka_unit_test(test_all_of_each_class),
        cmocka_unit_test(test_no_lasting_fragments),
        cmocka_unit_test(test_memory_is_carved_lazily),
        cmocka_unit_test(test_broken_promises),
#if PLX_IS_ASAN
        cmocka_unit_test(test_asan_sees_free_blocks),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
