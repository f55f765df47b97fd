// test_pool.c -- taking, giving, running dry, and giving what is not ours.

#include "base/pool.h"

#include <string.h>
#include <sys/mman.h>

#include "rows.h"

static void test_take_all_and_give_back(void **state)
{
    enum { COUNT = 70 };
    static const size_t size[] = {1, 63, 64, 65, 1000};
    (void)state;

    for (unsigned row = 0; row < ROWS(size); row++) {
        struct plx_pool p;
        uint8_t *obj[COUNT];
        EXPECT_ROW(row, plx_pool_init(&p, "fish", size[row], COUNT, NULL));
        for (unsigned i = 0; i < COUNT; i++) {
            obj[i] = plx_pool_take(&p);
            EXPECT_ROW(row, obj[i] != NULL);
            EXPECT_ROW(row, (uintptr_t)obj[i] % 64 == 0);
            EXPECT_ROW(row, plx_pool_idx(&p, obj[i]) == i); // lowest address first
            EXPECT_ROW(row, plx_pool_at(&p, i) == obj[i]);
            EXPECT_ROW(row, obj[i][0] == 0 && obj[i][size[row] - 1] == 0);
            memset(obj[i], (int)i + 1, size[row]);
            EXPECT_ROW(row, plx_pool_in_use(&p) == i + 1);
        }
        EXPECT_ROW(row, plx_pool_take(&p) == NULL);
        EXPECT_ROW(row, plx_pool_take(&p) == NULL);
        EXPECT_ROW(row, p.exhausted == 2);
        plx_pool_verify(&p);
        for (unsigned i = 0; i < COUNT; i++) // nobody wrote into anybody else's
            EXPECT_ROW(row, obj[i][0] == i + 1 && obj[i][size[row] - 1] == i + 1);

        plx_pool_give(&p, obj[3]);
        EXPECT_ROW(row, plx_pool_take(&p) == obj[3]); // the last given is the next taken
        for (unsigned i = 0; i < COUNT; i++)
            plx_pool_give(&p, obj[i]);
        EXPECT_ROW(row, plx_pool_in_use(&p) == 0);
        plx_pool_verify(&p);
        plx_pool_fini(&p);
    }
}

static void test_from_an_arena(void **state)
{
    struct plx_arena a;
    struct plx_pool one, two, three;
    (void)state;

    size_t need = plx_pool_bytes(100, 10) + plx_pool_bytes(64, 5);
    assert_true(plx_arena_init(&a, need, PLX_NODE_ANY, false));
    assert_true(plx_pool_init(&one, "one", 100, 10, &a));
    assert_true(plx_pool_init(&two, "two", 64, 5, &a));
    size_t used = a.used;
    assert_true(used <= need);
    assert_false(plx_pool_init(&three, "three", 4096, 10, &a));
    assert_int_equal(a.used, used); // a refusal takes nothing
    assert_non_null(plx_pool_take(&one));
    assert_non_null(plx_pool_take(&two));
    plx_pool_verify(&one);
    plx_pool_verify(&two);
    plx_pool_fini(&two);
    plx_pool_fini(&one);
    plx_arena_fini(&a);
}

static void test_populate_and_freeze(void **state)
{
    struct plx_pool p;
    (void)state;

    assert_true(plx_pool_init(&p, "fish", 4096, 20, NULL));
    plx_pool_populate(&p);
    plx_pool_freeze(&p);
    assert_true(p.is_frozen);
    void *obj = plx_pool_take(&p);
    assert_non_null(obj);
    plx_pool_give(&p, obj);
    plx_pool_verify(&p);
    plx_pool_fini(&p);
}

static void test_empty_pool(void **state)
{
    struct plx_pool p;
    (void)state;

    assert_true(plx_pool_init(&p, "none", 100, 0, NULL));
    assert_null(plx_pool_take(&p));
    plx_pool_verify(&p);
    plx_pool_fini(&p);
}

// Pages of it that are there, in octets.
static size_t resident(const struct plx_pool *p)
{
    static unsigned char map[1 << 16];
    size_t pages = p->stride * p->count / 4096, sum = 0;

    assert_true(pages <= sizeof map);
    assert_int_equal(mincore(p->base, pages * 4096, map), 0);
    for (size_t i = 0; i < pages; i++)
        sum += map[i] & 1;
    return sum * 4096;
}

// What came back in any order is taken again from the beginning, and what nobody wants any more goes back to the system.
static void test_memory_goes_back(void **state)
{
    enum { SIZE = 4096, COUNT = 8192, FEW = 600, SPAN = 1 << PLX_POOL_SPAN_LOG2 };
    static uint8_t *obj[COUNT];
    struct plx_pool p;
    size_t back = 0;
    (void)state;

    assert_true(plx_pool_init(&p, "fish", SIZE, COUNT, NULL));
    assert_int_equal((uintptr_t)p.base % SPAN, 0);
    assert_int_equal(resident(&p), 0);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_non_null(obj[i] = plx_pool_take(&p));
        obj[i][0] = (uint8_t)(i + 1);
    }
    assert_null(plx_pool_take(&p));
    assert_int_equal(resident(&p), SIZE * COUNT);
    for (unsigned i = 0; i < COUNT; i++) { // each once, and not in order
        plx_pool_give(&p, obj[i * 5 % COUNT]);
        assert_int_equal(plx_pool_left(&p), i + 1);
    }
    plx_pool_verify(&p);
    for (unsigned i = 0; i < FEW; i++) { // off the stack: anywhere
        assert_non_null(obj[i] = plx_pool_take(&p));
        obj[i][SIZE - 1] = 7;
    }
    for (unsigned i = 0; i < 100; i++)
        back += plx_pool_trim(&p);
    plx_pool_verify(&p);
    assert_int_equal(back, SIZE * COUNT - resident(&p));
    for (unsigned i = 0; i < FEW; i++) {
        assert_int_equal(obj[i][SIZE - 1], 7); // what is out stays as it is
        plx_pool_give(&p, obj[i]);
    }
    for (unsigned i = 0; i < 100; i++)
        back += plx_pool_trim(&p);
    assert_int_equal(resident(&p), 0);
    assert_int_equal(back, SIZE * COUNT);
    assert_int_equal(p.trimmed, SIZE * COUNT / SPAN);
    for (unsigned i = 0; i < FEW; i++) { // from the beginning, and zero
        assert_ptr_equal(obj[i] = plx_pool_take(&p), p.base + (size_t)i * SIZE);
        assert_int_equal(obj[i][SIZE - 1], 0);
    }
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(plx_pool_trim(&p), 0); // nothing to be had
    assert_true(resident(&p) <= 2 * SPAN);
    plx_pool_verify(&p);
    plx_pool_fini(&p);
}

static void give_null(void *arg)
{
    plx_pool_give(arg, NULL);
}

static void give_foreign(void *arg)
{
    static uint64_t foreign[64];
    plx_pool_give(arg, foreign);
}

static void give_twice(void *arg)
{
    struct plx_pool *p = arg;
    void *a = plx_pool_take(p), *b = plx_pool_take(p);
    plx_pool_give(p, a);
    plx_pool_give(p, a);
    plx_pool_give(p, b); // at the latest here there are more free objects than objects
}

static void give_inside(void *arg)
{
    uint8_t *a = plx_pool_take(arg);
    plx_pool_give(arg, a + 64);
}

static void populate_frozen(void *arg)
{
    plx_pool_freeze(arg);
    plx_pool_populate(arg);
}

static void test_broken_promises(void **state)
{
    struct plx_pool p;
    (void)state;

    assert_true(plx_pool_init(&p, "fish", 128, 2, NULL));
    assert_true(ends_in_check(give_null, &p));
    assert_true(ends_in_check(give_foreign, &p));
    assert_true(ends_in_check(give_twice, &p));
    assert_int_equal(ends_in_check(give_inside, &p), PLX_IS_DEBUG);
    assert_true(ends_in_check(populate_frozen, &p));
    plx_pool_fini(&p);
}

#if PLX_IS_ASAN
static void test_asan_sees_free_objects(void **state)
{
    struct plx_pool p;
    (void)state;

    assert_true(plx_pool_init(&p, "fish", 128, 2, NULL));
    uint8_t *obj = plx_pool_take(&p);
    assert_false(__asan_address_is_poisoned(obj + 127));
    plx_pool_give(&p, obj);
    assert_true(__asan_address_is_poisoned(obj));
    plx_pool_fini(&p);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_take_all_and_give_back),
        cmocka_unit_test(test_from_an_arena),
        cmocka_unit_test(test_populate_and_freeze),
        cmocka_unit_test(test_empty_pool),
        cmocka_unit_test(test_memory_goes_back),
        cmocka_unit_test(test_broken_promises),
#if PLX_IS_ASAN
        cmocka_unit_test(test_asan_sees_free_objects),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
