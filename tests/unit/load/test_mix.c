// test_mix.c -- files of requests: what a line says, what is refused, how often each is picked.

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "apps/load/load.h"
#include "scratch.h"

static struct load l;
static char err[600];

static bool read_mix(const char *text)
{
    scratch_write(text);
    l = (struct load){.opts = {.file = path, .status = LOAD_ANY, .length = LOAD_ANY, .crc32 = LOAD_ANY}};
    return load_mix(&l, err, sizeof err);
}

static void test_lines(void **state)
{
    (void)state;
    assert_true(read_mix(
        "# a comment\n"
        "\n"
        "  2.5 GET https://Example.org:8443/a?b=c#part status=204 length=0 crc32=DEADBEEF # and more\n"
        "1 POST /up body=\"two words\" header=\"X-Note:  a b\" header=y:z\r\n"
        "1 GET https://example.org:8443"));
    assert_int_equal(l.item_count, 3);
    const struct load_item *i = l.items;
    assert_true(i[0].weight == 2.5);
    assert_string_equal(i[0].authority, "Example.org:8443");
    assert_string_equal(i[0].path, "/a?b=c");
    assert_int_equal(i[0].status, 204);
    assert_int_equal(i[0].length, 0);
    assert_int_equal(i[0].crc32, 0xdeadbeef);
    assert_string_equal(i[1].method, "POST");
    assert_string_equal(i[1].authority, "Example.org:8443");
    assert_string_equal(i[1].path, "/up");
    assert_int_equal(i[1].body_len, 9);
    assert_memory_equal(i[1].body, "two words", 9);
    assert_int_equal(i[1].field_count, 3); // content-length is ours
    assert_string_equal(i[1].fields[0].name, "x-note");
    assert_string_equal(i[1].fields[0].value, "a b");
    assert_string_equal(i[1].fields[2].name, "content-length");
    assert_string_equal(i[1].fields[2].value, "9");
    assert_int_equal(i[1].status, LOAD_ANY);
    assert_string_equal(i[2].path, "/");
    assert_string_equal(l.url.host, "Example.org");
    assert_int_equal(l.url.port, 8443);
    load_mix_free(&l);
}

static void test_refused(void **state)
{
    static const struct {
        const char *text, *says;
    } row[] = {
        {"", "no requests"},
        {"# nothing\n", "no requests"},
        {"1 GET /first\n", "line 1: /first: the first request needs a whole URL"},
        {"x GET https://a/\n", "line 1: want WEIGHT METHOD URL"},
        {"0 GET https://a/\n", "line 1: want WEIGHT"},
        {"-1 GET https://a/\n", "line 1: want WEIGHT"},
        {"nan GET https://a/\n", "line 1: want WEIGHT"},
        {"1 GET\n", "line 1: want WEIGHT"},
        {"\n\n1 GET http://a/\n", "line 3: http://a/: want https://"},
        {"1 GET https://a/\n1 GET https://b/\n", "line 2: https://b/: another host"},
        {"1 GET https://a/ status=99\n", "\"status=99\": not understood"},
        {"1 GET https://a/ status\n", "\"status\": not understood"},
        {"1 GET https://a/ crc32=123456789\n", "not understood"},
        {"1 GET https://a/ header=nothing\n", "not understood"},
        {"1 GET https://a/ body=@/nowhere/at/all\n", "not understood"},
        {"1 GET https://a/ body=\"open\n", "a quote is not closed"},
        {"1 GET https://a:0/\n", "want https://"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        bool ok = read_mix(row[i].text);
        if (ok || strstr(err, row[i].says) == NULL)
            print_error("row %zu: %d %s\n", i, ok, err);
        assert_false(ok);
        assert_non_null(strstr(err, row[i].says));
        load_mix_free(&l);
    }
}

static void test_weights(void **state)
{
    enum { PICKS = 100000 };
    struct load_worker w = {.load = &l, .prng = 1};
    uint64_t picked[3] = {0};

    (void)state;
    assert_true(read_mix("5 GET https://a/1\n0.5 GET /2\n4.5 GET /3\n"));
    assert_true(load_mix_blocks(&w));
    for (unsigned i = 0; i < PICKS; i++)
        picked[load_mix_pick(&w) - l.items]++;
    for (unsigned i = 0; i < 3; i++) {
        double want = l.items[i].weight / 10 * PICKS;
        assert_true(fabs((double)picked[i] - want) < 5 * sqrt(want));
    }
    load_mix_blocks_free(&w);
    load_mix_free(&l);
    assert_true(read_mix("1 GET https://a/ header=connection:close\n")); // HTTP/3 has no such field
    w = (struct load_worker){.load = &l};
    assert_false(load_mix_blocks(&w));
    load_mix_blocks_free(&w);
    load_mix_free(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_weights),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
