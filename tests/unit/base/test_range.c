// test_range.c -- adding, merging, removing, splitting, and what happens when the list is full.

#include "base/range.h"

#include <string.h>

#include "rows.h"

enum op { ADD, DEL, BELOW };

// "[1,3)[5,6)" for the comparison with a row.
static const char *text_of(const struct plx_ranges *r, char buf[1024])
{
    size_t len = 0;

    buf[0] = '\0';
    for (uint16_t i = 0; i < r->count; i++)
        len += (size_t)snprintf(buf + len, 1024 - len, "[%llu,%llu)", (unsigned long long)r->v[i].first,
                                (unsigned long long)r->v[i].end);
    return buf;
}

static void test_timeline(void **state)
{
    static const struct {
        enum op op;
        uint64_t first, end;
        const char *after;
    } row[] = {
        {ADD, 5, 5, ""},                       // nothing is nothing
        {ADD, 5, 7, "[5,7)"},                  //
        {ADD, 7, 8, "[5,8)"},                  // in order: extends the end
        {ADD, 5, 6, "[5,8)"},                  // a duplicate
        {ADD, 10, 12, "[5,8)[10,12)"},         // a hole
        {ADD, 2, 4, "[2,4)[5,8)[10,12)"},      // below all
        {ADD, 4, 5, "[2,8)[10,12)"},           // fills a hole exactly
        {ADD, 9, 10, "[2,8)[9,12)"},           // touches from below
        {ADD, 8, 9, "[2,12)"},                 // joins two
        {ADD, 20, 22, "[2,12)[20,22)"},        //
        {ADD, 14, 15, "[2,12)[14,15)[20,22)"}, // in the middle
        {ADD, 17, 18, "[2,12)[14,15)[17,18)[20,22)"},
        {ADD, 13, 19, "[2,12)[13,19)[20,22)"},        // swallows two
        {DEL, 12, 13, "[2,12)[13,19)[20,22)"},        // was not in
        {DEL, 15, 16, "[2,12)[13,15)[16,19)[20,22)"}, // splits
        {DEL, 16, 21, "[2,12)[13,15)[21,22)"},        // one whole and a lower part
        {DEL, 11, 14, "[2,11)[14,15)[21,22)"},        // two stumps
        {DEL, 14, 14, "[2,11)[14,15)[21,22)"},        // nothing is nothing
        {DEL, 14, 15, "[2,11)[21,22)"},               // exactly one
        {BELOW, 2, 0, "[2,11)[21,22)"},               //
        {BELOW, 5, 0, "[5,11)[21,22)"},               //
        {BELOW, 11, 0, "[21,22)"},                    //
        {ADD, 0, 100, "[0,100)"},                     // covers everything
        {DEL, 0, 1, "[1,100)"},                       //
        {DEL, 99, 200, "[1,99)"},                     //
        {BELOW, 1000, 0, ""},                         //
        {ADD, UINT64_MAX - 1, UINT64_MAX, "[18446744073709551614,18446744073709551615)"},
    };
    struct plx_ranges r;
    char buf[1024];
    (void)state;

    plx_ranges_init(&r);
    for (unsigned i = 0; i < ROWS(row); i++) {
        bool ok = true;
        if (row[i].op == ADD)
            ok = plx_ranges_add(&r, row[i].first, row[i].end);
        else if (row[i].op == DEL)
            ok = plx_ranges_remove(&r, row[i].first, row[i].end);
        else
            plx_ranges_remove_below(&r, row[i].first);
        plx_ranges_verify(&r);
        EXPECT_ROW(i, ok);
        if (strcmp(text_of(&r, buf), row[i].after) != 0)
            fail_msg("row %u: %s instead of %s", i, buf, row[i].after);
    }
}

static void test_questions(void **state)
{
    struct plx_ranges r;
    (void)state;

    plx_ranges_init(&r);
    assert_true(plx_ranges_is_empty(&r));
    assert_null(plx_ranges_first(&r));
    assert_null(plx_ranges_last(&r));
    assert_false(plx_ranges_has(&r, 0));
    assert_false(plx_ranges_contains(&r, 0, 1));
    assert_true(plx_ranges_contains(&r, 3, 3));

    assert_true(plx_ranges_add(&r, 10, 20));
    assert_true(plx_ranges_add(&r, 30, 40));
    assert_true(plx_ranges_first(&r)->first == 10);
    assert_true(plx_ranges_last(&r)->end == 40);
    static const struct {
        uint64_t v;
        bool is_in;
    } row[] = {{9, false},  {10, true}, {19, true}, {20, false},
               {29, false}, {30, true}, {39, true}, {40, false}};
    for (unsigned i = 0; i < ROWS(row); i++) {
        EXPECT_ROW(i, plx_ranges_has(&r, row[i].v) == row[i].is_in);
        EXPECT_ROW(i, plx_ranges_contains(&r, row[i].v, row[i].v + 1) == row[i].is_in);
    }
    assert_true(plx_ranges_contains(&r, 10, 20));
    assert_true(plx_ranges_contains(&r, 31, 39));
    assert_false(plx_ranges_contains(&r, 10, 21));
    assert_false(plx_ranges_contains(&r, 10, 40)); // the hole between
    assert_false(plx_ranges_contains(&r, 9, 11));
}

static void fill(struct plx_ranges *r) // [10,11) [20,21) ... one short of touching each other
{
    plx_ranges_init(r);
    for (uint64_t i = 1; i <= PLX_RANGES_MAX; i++)
        assert_true(plx_ranges_add(r, 10 * i, 10 * i + 1));
}

static void test_full_refuses_and_stays(void **state)
{
    struct plx_ranges r, before;
    (void)state;

    fill(&r);
    before = r;
    assert_false(plx_ranges_add(&r, 5, 6));       // below
    assert_false(plx_ranges_add(&r, 15, 16));     // between
    assert_false(plx_ranges_add(&r, 5000, 5001)); // above
    assert_memory_equal(&r, &before, sizeof r);
    assert_true(plx_ranges_add(&r, 11, 12)); // what touches needs no place
    assert_true(plx_ranges_add(&r, 12, 20));
    assert_int_equal(r.count, PLX_RANGES_MAX - 1);
    assert_true(plx_ranges_add(&r, 5000, 5001)); // and a merge makes one
    plx_ranges_verify(&r);

    fill(&r);
    assert_true(plx_ranges_add(&r, 21, 25));
    before = r;
    assert_false(plx_ranges_remove(&r, 22, 23)); // a split has no place either
    assert_memory_equal(&r, &before, sizeof r);
    assert_true(plx_ranges_remove(&r, 20, 22));
    assert_true(plx_ranges_remove(&r, 24, 26));
    plx_ranges_verify(&r);
}

static void test_drop_lowest(void **state)
{
    struct plx_ranges r;
    (void)state;

    fill(&r);
    assert_true(plx_ranges_add_drop_lowest(&r, 11, 12)); // fits: nothing is forgotten
    assert_false(r.has_dropped);
    assert_true(plx_ranges_add_drop_lowest(&r, 5000, 5001));
    assert_true(r.has_dropped);
    assert_int_equal(r.count, PLX_RANGES_MAX);
    assert_true(plx_ranges_first(&r)->first == 20);
    assert_true(plx_ranges_has(&r, 5000));
    assert_true(plx_ranges_add_drop_lowest(&r, 25, 26)); // becomes the lowest itself
    assert_true(plx_ranges_first(&r)->first == 25);
    assert_false(plx_ranges_add_drop_lowest(&r, 1, 2)); // older than all: it is what is forgotten
    assert_true(plx_ranges_first(&r)->first == 25);
    plx_ranges_verify(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timeline),
        cmocka_unit_test(test_questions),
        cmocka_unit_test(test_full_refuses_and_stays),
        cmocka_unit_test(test_drop_lowest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
