// test_json.c -- a report that is written and read again is the same; what is none is refused.

#include <string.h>

#include "apps/load/report.h"
#include "scratch.h"

static void fill(struct report *r)
{
    uint64_t n = 3;
#define X(name, how, text) r->name = n++ * 1000003;
#include "apps/load/report.def"
#undef X
    for (unsigned i = 0; i < ERROR_COUNT; i++)
        r->errors[i] = i * 7;
    r->status[200] = 12345;
    r->status[599] = 1;
    for (unsigned i = 0; i < HIST_COUNT; i++)
        for (uint64_t v = 1; v < UINT64_C(1) << 50; v *= 3)
            hist_add_many(&r->hist[i], v + i, v % 5);
    snprintf(r->target, sizeof r->target, "https://example (\"quoted\")");
    snprintf(r->mode, sizeof r->mode, "a mode");
    report_note(r, "one note");
    report_note(r, "one note"); // once
    report_note(r, "another");
}

static void test_round_trip(void **state)
{
    struct report a, b, sum;
    char err[300];

    (void)state;
    assert_true(report_init(&a) && report_init(&b) && report_init(&sum));
    fill(&a);
    assert_int_equal(a.note_count, 2);
    assert_true(report_write_json(&a, path, err, sizeof err));
    assert_true(report_read_json(&b, path, err, sizeof err));
#define X(name, how, text) assert_int_equal(a.name, b.name);
#include "apps/load/report.def"
#undef X
    assert_memory_equal(a.errors, b.errors, sizeof a.errors);
    assert_memory_equal(a.status, b.status, sizeof a.status);
    assert_string_equal(a.target, b.target);
    assert_int_equal(b.note_count, 2);
    assert_string_equal(b.notes[1], "another");
    for (unsigned i = 0; i < HIST_COUNT; i++) {
        assert_memory_equal(a.hist[i].bucket, b.hist[i].bucket, HIST_BUCKETS * sizeof(uint64_t));
        assert_int_equal(a.hist[i].count, b.hist[i].count);
        assert_int_equal(a.hist[i].min, b.hist[i].min);
        assert_int_equal(a.hist[i].max, b.hist[i].max);
        assert_true(hist_deviation(&a.hist[i]) == hist_deviation(&b.hist[i]));
    }
    report_add(&sum, &a);
    report_add(&sum, &b);
    assert_int_equal(sum.ok, 2 * a.ok);               // a sum
    assert_int_equal(sum.late_max_ns, a.late_max_ns); // a maximum
    assert_int_equal(sum.rtt_min_ns, a.rtt_min_ns);   // a minimum, of which 0 is none
    assert_int_equal(sum.hist[0].count, 2 * a.hist[0].count);
    assert_int_equal(sum.note_count, 2);
    report_fini(&a);
    report_fini(&b);
    report_fini(&sum);
}

static void test_refused(void **state)
{
    static const char *const row[] = {
        "",
        "[]",
        "{}",
        "{\"plx_load\": 2, \"counts\": {}, \"latency\": {}}",
        "{\"plx_load\": 1}",
        "{\"plx_load\": 1, \"counts\": {}, \"latency\": {\"request\": {}}}",
        "{\"plx_load\": 1, \"counts\": {}, \"latency\": {\"request\": {\"count\": 2, \"buckets\": [[1, 1]]}}}",
        "{\"plx_load\": 1, \"counts\": {}, \"latency\": {\"request\": {\"count\": 1, \"buckets\": [[-1, 1]]}}}",
        "{\"plx_load\": 1, \"counts\": {}, \"latency\": {\"request\": {\"count\": 0, \"buckets\": [7]}}}",
    };
    struct report r;
    char err[300];

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        scratch_write(row[i]);
        assert_true(report_init(&r));
        assert_false(report_read_json(&r, path, err, sizeof err));
        assert_non_null(strstr(err, path));
        report_fini(&r);
    }
    assert_true(report_init(&r));
    assert_false(report_read_json(&r, "/nowhere/at/all", err, sizeof err));
    assert_false(report_write_json(&r, "/nowhere/at/all", err, sizeof err));
    report_fini(&r);
}

static void test_limits(void **state)
{
    struct report r;
    FILE *null = fopen("/dev/null", "w");

    (void)state;
    assert_true(report_init(&r));
    struct limits none = {0}, p99 = {.p99_ns = 1000}, number = {.has_errors = true, .errors = 2},
                  percent = {.has_errors = true, .is_percent = true, .errors = 1};
    assert_true(report_is_within(&r, &none, null));
    assert_false(report_is_within(&r, &p99, null)); // nothing measured is nothing proved
    hist_add_many(&r.hist[HIST_REQUEST], 900, 99);
    hist_add(&r.hist[HIST_REQUEST], 5000);
    assert_true(report_is_within(&r, &p99, null));
    hist_add(&r.hist[HIST_REQUEST], 5000);
    assert_false(report_is_within(&r, &p99, null));
    r.requests = 300;
    r.errors[ERROR_reset] = 2;
    assert_true(report_is_within(&r, &number, null) && report_is_within(&r, &percent, null));
    r.errors[ERROR_connect] = 1;
    assert_true(!report_is_within(&r, &number, null) && report_is_within(&r, &percent, null));
    r.errors[ERROR_status] = 1;
    assert_false(report_is_within(&r, &percent, null));
    report_fini(&r);
    fclose(null);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
