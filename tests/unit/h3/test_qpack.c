// test_qpack.c -- QPACK by the examples of RFC 9204 Appendix B, by tables of bad input, and by round trips in every cut.

#include <string.h>

#include "../base/rows.h"
#include "array.h"
#include "base/check.h"
#include "base/slab.h"
#include "h3/fields.h"
#include "h3/huffman.h"
#include "h3/qpack_dec.h"
#include "h3/qpack_enc.h"
#include "h3/qpack_int.h"
#include "h3/qpack_static.h"

static struct plx_slab slab;
static struct plx_field fields[64];
static uint8_t classes[64], text[4096];
static uint64_t seed = 1;

static uint64_t rnd(void)
{
    return xorshift(&seed);
}

static struct plx_qpack_section section(void)
{
    return (struct plx_qpack_section){.fields = fields,
                                      .classes = classes,
                                      .text = text,
                                      .text_cap = sizeof text,
                                      .size_max = sizeof text,
                                      .count_max = 64};
}

static bool field_is(const struct plx_field *f, const char *name, const char *value)
{
    return f->name_len == strlen(name) && memcmp(f->name, name, f->name_len) == 0 &&
           f->value_len == strlen(value) && memcmp(f->value, value, f->value_len) == 0;
}

static bool entry_is(const struct plx_qpack_table *t, uint64_t abs, const char *name, const char *value)
{
    const struct plx_qpack_entry *e = plx_qpack_table_at(t, abs);
    struct plx_field f;
    if (e == NULL)
        return false;
    f = (struct plx_field){e->text, e->text + e->name_len, e->name_len, e->value_len, false};
    return field_is(&f, name, value);
}

#define FEED(t, bytes) \
    plx_qpack_table_on_data(t, (const uint8_t *)(bytes), sizeof(bytes) - 1, &(const char *){NULL})
#define DECODE(t, bytes, s) plx_qpack_dec_section(t, (const uint8_t *)(bytes), sizeof(bytes) - 1, s)

// RFC 9204 Appendix B, B.1 to B.5.
static void test_appendix_b(void **state)
{
    struct plx_qpack_table t;
    struct plx_qpack_section s = section();

    (void)state;
    plx_qpack_table_init(&t, &slab, 220);
    assert_int_equal(DECODE(&t, "\x00\x00\x51\x0b/index.html", &s), PLX_QPACK_OK);
    assert_true(s.count == 1 && s.required == 0 && field_is(&fields[0], ":path", "/index.html"));

    assert_int_equal(DECODE(&t, "\x03\x81\x10\x11", &s), PLX_QPACK_BLOCKED);
    assert_int_equal(s.required, 2);
    assert_int_equal(FEED(&t, "\x3f\xbd\x01\xc0\x0fwww.example.com\xc1\x0c/sample/path"), PLX_QPACK_OK);
    assert_int_equal(t.size, 106);
    assert_int_equal(DECODE(&t, "\x03\x81\x10\x11", &s), PLX_QPACK_OK);
    assert_true(s.count == 2 && field_is(&fields[0], ":authority", "www.example.com"));
    assert_true(field_is(&fields[1], ":path", "/sample/path"));
    assert_int_equal(classes[1], PLX_FIELD_PATH);

    assert_int_equal(FEED(&t, "\x4a"
                              "custom-key\x0c"
                              "custom-value"),
                     PLX_QPACK_OK);
    assert_int_equal(t.size, 160);
    assert_true(entry_is(&t, 2, "custom-key", "custom-value"));

    assert_int_equal(FEED(&t, "\x02"), PLX_QPACK_OK);
    assert_int_equal(t.size, 217);
    assert_int_equal(DECODE(&t, "\x05\x00\x80\xc1\x81", &s), PLX_QPACK_OK);
    assert_int_equal(s.required, 4);
    assert_true(s.count == 3 && field_is(&fields[0], ":authority", "www.example.com"));
    assert_true(field_is(&fields[1], ":path", "/") && field_is(&fields[2], "custom-key", "custom-value"));

    assert_int_equal(FEED(&t, "\x81\x0d"
                              "custom-value2"),
                     PLX_QPACK_OK);
    assert_int_equal(t.size, 215);
    assert_null(plx_qpack_table_at(&t, 0));
    assert_true(entry_is(&t, 4, "custom-key", "custom-value2"));
    // The first section, sent again: its entry is evicted now.
    assert_int_equal(DECODE(&t, "\x03\x81\x10\x11", &s), PLX_QPACK_FAILED);
    plx_qpack_table_verify(&t);
    plx_qpack_table_fini(&t);
}

// Section 4.5.1.1: "if the dynamic table is 100 bytes ... a decoder has received 10 inserts ... 4 indicates 9".
static void test_required_insert_count(void **state)
{
    static const struct {
        uint32_t capacity_max;
        uint64_t inserts, encoded, required;
    } row[] = {
        {100, 10, 4, 9},         {100, 10, 0, 0},     {100, 10, 7, UINT64_MAX},
        {0, 0, 1, UINT64_MAX},   {100, 0, 2, 1},      {100, 0, 1, UINT64_MAX},
        {100, 0, 5, UINT64_MAX}, {4096, 0, 129, 128}, {4096, 0, 130, UINT64_MAX},
    };
    (void)state;
    for (unsigned i = 0; i < ROWS(row); i++) {
        struct plx_qpack_table t = {.capacity_max = row[i].capacity_max, .insert_count = row[i].inserts};
        EXPECT_ROW(i, plx_qpack_table_required(&t, row[i].encoded) == row[i].required);
    }
    // Every value that an encoder may send comes back.
    for (uint64_t inserts = 0; inserts < 500; inserts++) {
        struct plx_qpack_table t = {.capacity_max = 320, .insert_count = inserts};
        for (uint64_t required = inserts > 10 ? inserts - 9 : 1; required <= inserts + 10; required++)
            assert_int_equal(plx_qpack_table_required(&t, required % 20 + 1), required);
    }
}

static void test_integers(void **state)
{
    static const uint64_t values[] = {
        0,   1,   6,   7,   14,  15,  30,   31,    62,       63,
        126, 127, 128, 254, 255, 256, 1337, 16383, 1u << 20, (UINT64_C(1) << 62) - 1};
    (void)state;
    for (unsigned prefix = 3; prefix <= 8; prefix++) {
        for (unsigned i = 0; i < ROWS(values); i++) {
            uint8_t buf[PLX_QPACK_INT_MAX_LEN + 1];
            struct plx_wr w = plx_wr_init(buf, sizeof buf);
            bool is_bad = false;
            plx_qpack_wr_int(&w, 0, prefix, values[i]);
            EXPECT_ROW(i, !w.is_full);
            struct plx_rd r = plx_rd_init(buf + 1, (size_t)(w.p - buf - 1));
            EXPECT_ROW(i, plx_qpack_rd_int(&r, buf[0], prefix, &is_bad) == values[i]);
            EXPECT_ROW(i, !is_bad && !r.is_short && plx_rd_left(&r) == 0);
            if (w.p - buf > 1) { // cut: short, not bad
                r = plx_rd_init(buf + 1, (size_t)(w.p - buf - 2));
                (void)plx_qpack_rd_int(&r, buf[0], prefix, &is_bad);
                EXPECT_ROW(i, r.is_short && !is_bad);
            }
        }
    }
    static const struct {
        const char *bytes;
        size_t len;
        bool is_bad;
    } bad[] = {
        {"\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 9, true},       // beyond 62 bits
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 10, false}, // zeros, within the limit of length
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 11, true},
    };
    for (unsigned i = 0; i < ROWS(bad); i++) {
        struct plx_rd r = plx_rd_init(bad[i].bytes, bad[i].len);
        bool is_bad = false;
        (void)plx_qpack_rd_int(&r, 0xff, 8, &is_bad);
        EXPECT_ROW(i, is_bad == bad[i].is_bad);
    }
}

static void test_static_table(void **state)
{
    (void)state;
    for (int i = 0; i < PLX_QPACK_STATIC_COUNT; i++) {
        const struct plx_qpack_row *row = &plx_qpack_static[i];
        bool is_whole;
        EXPECT_ROW(
            i, plx_qpack_static_find(row->name, row->name_len, row->value, row->value_len, &is_whole) == i &&
                   is_whole);
        int any = plx_qpack_static_find(row->name, row->name_len, "no such value", 13, &is_whole);
        EXPECT_ROW(i,
                   any >= 0 && any <= i && !is_whole && strcmp(plx_qpack_static[any].name, row->name) == 0);
        EXPECT_ROW(i, plx_field_name_class(row->name, row->name_len) == row->name_class);
        EXPECT_ROW(i, plx_field_value_is_valid(row->value, row->value_len));
        char other[64];
        memcpy(other, row->name, row->name_len);
        other[row->name_len / 3]++;
        EXPECT_ROW(i, plx_qpack_static_find(other, row->name_len, "", 0, &is_whole) < 0);
    }
    bool is_whole;
    assert_int_equal(plx_qpack_static_find("", 0, "", 0, &is_whole), -1);
    assert_int_equal(plx_qpack_static_find("ag", 2, "0", 1, &is_whole), -1);
}

// Encode and decode; never_index survives; raw, Huffman, static name, whole row.
static void test_round_trip(void **state)
{
    struct plx_qpack_table t;

    (void)state;
    plx_qpack_table_init(&t, &slab, 0);
    for (unsigned round = 0; round < 2000; round++) {
        struct plx_field in[20];
        char chars[20][2][40];
        uint8_t out[4096];
        uint16_t count = (uint16_t)(rnd() % 20);
        struct plx_wr w = plx_wr_init(out, sizeof out);

        plx_qpack_enc_prefix(&w);
        for (uint16_t i = 0; i < count; i++) {
            const struct plx_qpack_row *row = &plx_qpack_static[rnd() % PLX_QPACK_STATIC_COUNT];
            for (unsigned k = 0; k < 2; k++) {
                for (unsigned j = 0; j < 40; j++)
                    chars[i][k][j] = (char)(round % 2 ? 'a' + rnd() % 26 : rnd());
            }
            in[i] = (struct plx_field){chars[i][0], chars[i][1], (uint32_t)(rnd() % 40),
                                       (uint32_t)(rnd() % 40), rnd() % 4 == 0};
            if (rnd() % 2)
                in[i].name = row->name, in[i].name_len = row->name_len;
            if (rnd() % 4 == 0)
                in[i].value = row->value, in[i].value_len = row->value_len;
            plx_qpack_enc_field(&w, &in[i]);
        }
        assert_false(w.is_full);
        assert_true((size_t)(w.p - out) <= plx_qpack_enc_len_max(in, count));
        struct plx_qpack_section s = section();
        assert_int_equal(plx_qpack_dec_section(&t, out, (size_t)(w.p - out), &s), PLX_QPACK_OK);
        assert_int_equal(s.count, count);
        for (uint16_t i = 0; i < count; i++) {
            EXPECT_ROW(i, in[i].name_len == fields[i].name_len &&
                              memcmp(in[i].name, fields[i].name, in[i].name_len) == 0);
            EXPECT_ROW(i, in[i].value_len == fields[i].value_len &&
                              memcmp(in[i].value, fields[i].value, in[i].value_len) == 0);
            EXPECT_ROW(i, in[i].never_index == fields[i].never_index);
            EXPECT_ROW(i, classes[i] == plx_field_class_of(plx_field_name_class(in[i].name, in[i].name_len),
                                                           in[i].value, in[i].value_len));
        }
        // Every prefix of it is either a shorter list or an error, never a crash; none is longer.
        for (size_t len = 0; len < (size_t)(w.p - out); len++) {
            enum plx_qpack_err err = plx_qpack_dec_section(&t, out, len, &s);
            assert_true(err == PLX_QPACK_FAILED || (err == PLX_QPACK_OK && s.count <= count));
        }
    }
    plx_qpack_table_fini(&t);
}

static void test_limits(void **state)
{
    static const uint8_t many[] = {0, 0, 0xd1, 0xd1, 0xd1, 0xd1}; // :method GET: 7 + 3 + 32 each
    struct plx_qpack_table t;

    (void)state;
    plx_qpack_table_init(&t, &slab, 0);
    struct plx_qpack_section s = section();
    s.count_max = 3;
    assert_int_equal(plx_qpack_dec_section(&t, many, sizeof many, &s), PLX_QPACK_TOO_LARGE);
    s.count_max = 4;
    assert_int_equal(plx_qpack_dec_section(&t, many, sizeof many, &s), PLX_QPACK_OK);
    s.size_max = 4 * 42 - 1;
    assert_int_equal(plx_qpack_dec_section(&t, many, sizeof many, &s), PLX_QPACK_TOO_LARGE);
    s.size_max = 4096;
    s.text_cap = 2;
    assert_int_equal(DECODE(&t, "\x00\x00\x51\x82\x1c\x64", &s),
                     PLX_QPACK_TOO_LARGE); // "aaa"-like: three octets of text
    plx_qpack_table_fini(&t);
}

// The encoder stream in every cut: the table comes out the same.
static void test_stream_in_every_cut(void **state)
{
    static const char bytes[] = "\x3f\xbd\x01\xc0\x0fwww.example.com\xc1\x0c/sample/path\x4a"
                                "custom-key\x0c"
                                "custom-value"
                                "\x02\x81\x0d"
                                "custom-value2\x3f\x01\x3f\xbd\x01\xc0\x00\x40\x00\x60\x80";
    size_t len = sizeof bytes - 1;
    const char *why;

    (void)state;
    for (size_t piece = 1; piece <= len; piece++) {
        struct plx_qpack_table t;
        plx_qpack_table_init(&t, &slab, 220);
        for (size_t at = 0; at < len; at += piece) {
            size_t n = len - at < piece ? len - at : piece;
            EXPECT_ROW(piece,
                       plx_qpack_table_on_data(&t, (const uint8_t *)bytes + at, n, &why) == PLX_QPACK_OK);
            plx_qpack_table_verify(&t);
        }
        EXPECT_ROW(piece, t.insert_count == 8 && t.count == 3 && t.size == 10 + 3 * 32);
        EXPECT_ROW(piece, entry_is(&t, 5, ":authority", ""));
        EXPECT_ROW(piece, t.stash.len == 0);
        plx_qpack_table_fini(&t);
    }
    assert_int_equal(plx_slab_bytes_in_use(&slab), 0);
}

static int group_setup(void **state)
{
    (void)state;
    return plx_slab_init(&slab, 1 << 20, PLX_NODE_ANY) ? 0 : -1;
}

static int group_teardown(void **state)
{
    (void)state;
    plx_check(plx_slab_bytes_in_use(&slab) == 0);
    plx_slab_fini(&slab);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appendix_b),
        cmocka_unit_test(test_required_insert_count),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_static_table),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_stream_in_every_cut),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
