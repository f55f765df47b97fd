// test_time.c -- saturation at both ends of time.

#include "base/time.h"

#include "rows.h"

#define AT(x) ((plx_time){(x)})
#define END   UINT64_MAX

static void test_points(void **state)
{
    static const struct {
        uint64_t t, d, after, before;
    } row[] = {
        {0, 0, 0, 0},
        {5, 3, 8, 2},
        {3, 5, 8, 0},
        {END, 1, END, END - 1},
        {END - 1, 1, END, END - 2},
        {END - 1, 2, END, END - 3},
        {1, END, END, 0},
        {END, END, END, 0},
    };
    (void)state;

    for (unsigned i = 0; i < ROWS(row); i++) {
        EXPECT_ROW(i, plx_time_after(AT(row[i].t), PLX_NS(row[i].d)).ns == row[i].after);
        EXPECT_ROW(i, plx_time_before(AT(row[i].t), PLX_NS(row[i].d)).ns == row[i].before);
    }
}

static void test_comparisons(void **state)
{
    static const struct {
        uint64_t a, b;
    } row[] = {{0, 0}, {0, 1}, {1, 0}, {END, END}, {END, 0}, {END - 1, END}};
    (void)state;

    for (unsigned i = 0; i < ROWS(row); i++) {
        uint64_t a = row[i].a, b = row[i].b;
        EXPECT_ROW(i, plx_time_lt(AT(a), AT(b)) == (a < b));
        EXPECT_ROW(i, plx_time_eq(AT(a), AT(b)) == (a == b));
        EXPECT_ROW(i, plx_time_reached(AT(a), AT(b)) == (a <= b));
        EXPECT_ROW(i, plx_time_since(AT(a), AT(b)).ns == (a > b ? a - b : 0));
        EXPECT_ROW(i, plx_time_min(AT(a), AT(b)).ns == (a < b ? a : b));
        EXPECT_ROW(i, plx_time_max(AT(a), AT(b)).ns == (a > b ? a : b));
        EXPECT_ROW(i, plx_time_is_never(AT(a)) == (a == END));
    }
}

static void test_intervals(void **state)
{
    static const struct {
        uint64_t a, b, sum, difference, product;
    } row[] = {
        {0, 0, 0, 0, 0},
        {7, 3, 10, 4, 21},
        {3, 7, 10, 0, 21},
        {END, 1, END, END - 1, END},
        {END, 0, END, END, 0},
        {END / 2 + 1, 2, END / 2 + 3, END / 2 - 1, END},
        {END / 3, 3, END / 3 + 3, END / 3 - 3, END / 3 * 3},
    };
    (void)state;

    for (unsigned i = 0; i < ROWS(row); i++) {
        plx_dur a = PLX_NS(row[i].a), b = PLX_NS(row[i].b);
        EXPECT_ROW(i, plx_dur_add(a, b).ns == row[i].sum);
        EXPECT_ROW(i, plx_dur_add(b, a).ns == row[i].sum);
        EXPECT_ROW(i, plx_dur_sub(a, b).ns == row[i].difference);
        EXPECT_ROW(i, plx_dur_mul(a, row[i].b).ns == row[i].product);
        EXPECT_ROW(i, plx_dur_lt(a, b) == (row[i].a < row[i].b));
        EXPECT_ROW(i, plx_dur_min(a, b).ns == (row[i].a < row[i].b ? row[i].a : row[i].b));
        EXPECT_ROW(i, plx_dur_max(a, b).ns == (row[i].a > row[i].b ? row[i].a : row[i].b));
    }
    assert_true(PLX_SEC(3).ns == 1000 * PLX_MS(3).ns);
    assert_true(PLX_MS(3).ns == 1000 * PLX_US(3).ns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_points),
        cmocka_unit_test(test_comparisons),
        cmocka_unit_test(test_intervals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
