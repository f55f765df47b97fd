// test_record.c -- texts in chains of berths, against an array of texts.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "base/prng.h"
#include "engine/record.h"

enum { BERTHS = 64, TEXTS = 12, TEXT_MAX = 1000 };

static struct plx_berth berth[BERTHS];
static uint8_t text[TEXT_MAX + PLX_RECORD_SLACK];

static struct plx_berths begin(void)
{
    memset(berth, 0xee, sizeof berth);
    return (struct plx_berths){
        .v = berth, .count = BERTHS, .left = BERTHS, .free = PLX_BERTH_NONE, .text = text};
}

static void test_how_many(void **state)
{
    size_t head = sizeof berth->text, more = PLX_BERTH_LEN - 8;

    (void)state;
    assert_int_equal(plx_record_berths(1), 1);
    assert_int_equal(plx_record_berths(head), 1);
    assert_int_equal(plx_record_berths(head + 1), 2);
    assert_int_equal(plx_record_berths(head + more), 2);
    assert_int_equal(plx_record_berths(head + more + 1), 3);
}

// Longer and shorter ones in the same chain, new ones, and ones that go: what was put in comes out, and no berth is lost.
static void test_against_an_array(void **state)
{
    static struct {
        bool is_there, is_empty;
        uint32_t head;
        size_t len;
        uint8_t text[TEXT_MAX];
    } model[TEXTS];
    struct plx_berths b = begin();
    struct plx_prng r;

    (void)state;
    plx_prng_init(&r, 7);
    for (unsigned step = 0; step < 20000; step++) {
        unsigned i = plx_prng_below(&r, TEXTS), what = plx_prng_below(&r, 4);
        size_t len = 1 + plx_prng_below(&r, TEXT_MAX);
        if (what == 0 && model[i].is_there) {
            plx_record_wipe(&b, model[i].head);
            assert_int_equal(berth[model[i].head].len, 0);
            model[i].is_empty = true;
        } else if (what == 1 && model[i].is_there) {
            plx_record_wipe(&b, model[i].head);
            plx_record_give(&b, model[i].head);
            model[i].is_there = false;
        } else if (what > 1 && plx_record_berths(len) <= b.left) {
            if (!model[i].is_there)
                model[i].head = plx_record_new(&b);
            model[i].is_there = true;
            model[i].is_empty = false;
            model[i].len = len;
            plx_prng_bytes(&r, model[i].text, len);
            memcpy(text, model[i].text, len);
            plx_record_make(&b, model[i].head, len);
            assert_int_equal(berth[model[i].head].len, len);
        }
        uint32_t used = 0;
        for (unsigned k = 0; k < TEXTS; k++) {
            if (!model[k].is_there)
                continue;
            used += plx_record_len(&b, model[k].head);
            if (model[k].is_empty)
                continue;
            memset(text, 0xee, sizeof text);
            plx_record_prefetch(&b, model[k].head);
            plx_record_read(&b, model[k].head);
            assert_memory_equal(text, model[k].text, model[k].len);
        }
        assert_int_equal(used + b.left, BERTHS);
    }
}

// Nothing of a text is left in the berths.
static void test_wiped(void **state)
{
    struct plx_berths b = begin();

    (void)state;
    memset(berth, 0, sizeof berth);
    uint32_t head = plx_record_new(&b);
    memset(text, 0x5a, sizeof text);
    plx_record_make(&b, head, 700);
    plx_record_wipe(&b, head);
    for (size_t i = 0; i < BERTHS; i++)
        assert_null(memchr(berth[i].text, 0x5a, sizeof berth[i].text));
    // the next one that is shorter gives back what it does not need
    plx_record_make(&b, head, 10);
    assert_int_equal(b.left, BERTHS - 1);
    plx_record_wipe(&b, head);
    plx_record_give(&b, head);
    assert_int_equal(b.left, BERTHS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_how_many),
        cmocka_unit_test(test_against_an_array),
        cmocka_unit_test(test_wiped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
