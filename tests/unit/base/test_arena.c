// test_arena.c -- alignment, exhaustion, zeroed memory, and wishes that cannot be granted.

#include "base/arena.h"

#include "rows.h"

static void test_allocations(void **state)
{
    static const size_t row[][2] = {{1, 1}, {1, 64}, {100, 8}, {0, 64}, {64, 64}, {1, 4096}, {5000, 16}};
    struct plx_arena a;
    uint8_t *end = NULL;
    (void)state;

    assert_true(plx_arena_init(&a, 65536, PLX_NODE_ANY, false));
    assert_true(a.size >= 65536);
    for (unsigned i = 0; i < ROWS(row); i++) {
        uint8_t *p = plx_arena_alloc(&a, row[i][0], row[i][1]);
        EXPECT_ROW(i, p != NULL);
        EXPECT_ROW(i, (uintptr_t)p % row[i][1] == 0);
        EXPECT_ROW(i, p >= end); // no overlap with what came before
        for (size_t j = 0; j < row[i][0]; j++) {
            EXPECT_ROW(i, p[j] == 0);
            p[j] = 0xaa;
        }
        end = p + row[i][0];
    }
    plx_arena_fini(&a);
    assert_null(a.base);
}

static void test_exhaustion(void **state)
{
    struct plx_arena a;
    (void)state;

    assert_true(plx_arena_init(&a, 4096, PLX_NODE_ANY, false));
    assert_null(plx_arena_alloc(&a, a.size + 1, 1));
    assert_null(plx_arena_alloc(&a, SIZE_MAX, 64));
    assert_non_null(plx_arena_alloc(&a, a.size - 1, 1)); // a refusal costs nothing
    assert_int_equal(plx_arena_left(&a), 1);
    assert_null(plx_arena_alloc(&a, 1, 64));
    assert_non_null(plx_arena_alloc(&a, 1, 1));
    assert_int_equal(plx_arena_left(&a), 0);
    plx_arena_fini(&a);
}

// Both ends of one arena: neither takes what the other has.
static void test_far_end(void **state)
{
    struct plx_arena a;
    (void)state;

    assert_true(plx_arena_init(&a, 6 << 20, PLX_NODE_ANY, false));
    uint8_t *far = plx_arena_alloc_far(&a, 3 << 20, 2 << 20);
    assert_non_null(far);
    assert_int_equal((uintptr_t)far % (2 << 20), 0);
    assert_true(far + (3 << 20) <= a.base + a.size);
    uint8_t *near = plx_arena_alloc(&a, 100, 64);
    assert_ptr_equal(near, a.base);
    size_t left = plx_arena_left(&a);
    assert_int_equal(left, (size_t)(far - near) - 100);
    assert_null(plx_arena_alloc(&a, left + 1, 1)); // a refusal costs nothing
    assert_null(plx_arena_alloc_far(&a, left + 1, 1));
    assert_null(plx_arena_alloc_far(&a, SIZE_MAX, 1));
    assert_int_equal(plx_arena_left(&a), left);
    assert_ptr_equal(plx_arena_alloc_far(&a, 64, 64), far - 64);
    assert_non_null(plx_arena_alloc(&a, plx_arena_left(&a), 1));
    assert_null(plx_arena_alloc_far(&a, 1, 1));
    plx_arena_fini(&a);
}

static void test_wishes(void **state)
{
    static const struct {
        int node;
        bool want_huge;
    } row[] = {{0, false}, {0, true}, {PLX_NODE_ANY, true}, {1023, true}, {100000, false}, {-7, true}};
    (void)state;

    for (unsigned i = 0; i < ROWS(row); i++) { // granted or not, the memory is there
        struct plx_arena a;
        EXPECT_ROW(i, plx_arena_init(&a, 3 << 20, row[i].node, row[i].want_huge));
        uint8_t *p = plx_arena_alloc(&a, 3 << 20, 4096);
        EXPECT_ROW(i, p != NULL);
        p[0] = p[(3 << 20) - 1] = 1;
        EXPECT_ROW(i, row[i].want_huge || !a.is_huge);
        EXPECT_ROW(i, row[i].node >= 0 || !a.is_on_node);
        plx_arena_fini(&a);
    }
}

// Advice changes nothing that anybody can see: zeroed memory, also when the kernel has no such pages, or the size is no multiple of them.
static void test_advice(void **state)
{
    static const size_t row[] = {4096, 2 << 20, (5 << 20) + 4096};
    (void)state;

    for (unsigned i = 0; i < ROWS(row); i++) {
        struct plx_arena a;
        EXPECT_ROW(i, plx_arena_init(&a, row[i], PLX_NODE_ANY, false));
        plx_arena_advise_huge(&a);
        EXPECT_ROW(i, !a.is_huge); // nothing is reserved
        uint8_t *p = plx_arena_alloc(&a, row[i], 1);
        EXPECT_ROW(i, p != NULL);
        for (size_t at = 0; at < row[i]; at += 4096)
            EXPECT_ROW(i, p[at] == 0);
        p[0] = p[row[i] - 1] = 1;
        plx_arena_fini(&a);
    }
}

static void test_impossible_sizes(void **state)
{
    static const size_t row[] = {0, SIZE_MAX, SIZE_MAX / 2 + 1, (size_t)1 << 60};
    (void)state;

    for (unsigned i = 0; i < ROWS(row); i++) {
        struct plx_arena a;
        EXPECT_ROW(i, !plx_arena_init(&a, row[i], PLX_NODE_ANY, true));
        EXPECT_ROW(i, a.base == NULL);
        plx_arena_fini(&a); // needs none, but bears it
    }
}

static void alloc_one(void *arg)
{
    (void)plx_arena_alloc(arg, 1, 1);
}

static void test_frozen(void **state)
{
    struct plx_arena a;
    (void)state;

    assert_true(plx_arena_init(&a, 4096, PLX_NODE_ANY, false));
    assert_false(ends_in_check(alloc_one, &a));
    plx_arena_freeze(&a);
    assert_true(ends_in_check(alloc_one, &a));
    plx_arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allocations), cmocka_unit_test(test_exhaustion),
        cmocka_unit_test(test_far_end),     cmocka_unit_test(test_wishes),
        cmocka_unit_test(test_advice),      cmocka_unit_test(test_impossible_sizes),
        cmocka_unit_test(test_frozen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
