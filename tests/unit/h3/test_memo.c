// test_memo.c -- what a memo of field sections gives back is what decoding gives, and what must not be remembered is not.

#include "h3/memo.h"

#include <stdlib.h>
#include <string.h>

#include "../base/rows.h"
#include "base/check.h"
#include "base/prng.h"
#include "h3/message.h"
#include "h3/qpack_enc.h"

enum { FIELDS_MAX = 64, OCTETS_MAX = 8192 };

static struct plx_slab slab;
static struct plx_qpack_table table;
static struct plx_memo *memo;
static struct plx_field fields[FIELDS_MAX];
static uint8_t classes[FIELDS_MAX], text[OCTETS_MAX];
static uint8_t bytes[OCTETS_MAX];
static size_t bytes_len;

static int setup(void **state)
{
    (void)state;
    plx_check(plx_slab_init(&slab, 1 << 20, PLX_NODE_ANY));
    plx_qpack_table_init(&table, &slab, 1024);
    void *mem = aligned_alloc(64, (plx_memo_size() + 63) & ~(size_t)63);
    plx_check(mem != NULL);
    memset(mem, 0, plx_memo_size());
    memo = plx_memo_init(mem, 7);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(memo);
    plx_qpack_table_fini(&table);
    plx_slab_fini(&slab);
    return 0;
}

// "name=value|..." becomes an encoded section in bytes; a name with ! in front is never indexed.
static void encode(const char *list)
{
    struct plx_wr w = plx_wr_init(bytes, sizeof bytes);

    plx_qpack_enc_prefix(&w);
    while (*list != '\0') {
        size_t len = strcspn(list, "|"), at = strcspn(list + 1, "=") + 1;
        bool is_secret = *list == '!';
        struct plx_field f = {list + is_secret, list + at + 1, (uint32_t)(at - is_secret),
                              (uint32_t)(len - at - 1), is_secret};
        plx_qpack_enc_field(&w, &f);
        list += len + (list[len] == '|');
    }
    assert_false(w.is_full);
    bytes_len = (size_t)(w.p - bytes);
}

static void decode(enum plx_memo_kind kind, struct plx_qpack_section *s, struct plx_h3_head *head)
{
    *s = (struct plx_qpack_section){.fields = fields,
                                    .classes = classes,
                                    .text = text,
                                    .text_cap = sizeof text,
                                    .size_max = OCTETS_MAX,
                                    .count_max = FIELDS_MAX};
    assert_int_equal(plx_qpack_dec_section(&table, bytes, bytes_len, s), PLX_QPACK_OK);
    const char *why = kind == PLX_MEMO_REQUEST ? plx_message_read_request(s, false, head)
                                               : plx_message_read_response(s, head);
    assert_null(why);
}

// As request_rx.c does it. True: the memo knew.
static bool offer(enum plx_memo_kind kind)
{
    struct plx_qpack_section s;
    struct plx_h3_head head;
    uint64_t mark;

    if (plx_memo_find(memo, kind, bytes, bytes_len, &mark) != NULL)
        return true;
    decode(kind, &s, &head);
    plx_memo_keep(memo, kind, bytes, bytes_len, mark, &s, &head);
    plx_memo_verify(memo);
    return false;
}

static void spans_equal(struct plx_span a, struct plx_span b)
{
    assert_int_equal(a.p == NULL, b.p == NULL);
    assert_int_equal(a.len, b.len);
    if (a.len > 0)
        assert_memory_equal(a.p, b.p, a.len);
}

static void heads_equal(const struct plx_h3_head *a, const struct plx_h3_head *b)
{
    spans_equal(a->method, b->method);
    spans_equal(a->scheme, b->scheme);
    spans_equal(a->authority, b->authority);
    spans_equal(a->path, b->path);
    spans_equal(a->protocol, b->protocol);
    assert_int_equal(a->status, b->status);
    assert_int_equal(a->content_length, b->content_length);
    assert_int_equal(a->field_count, b->field_count);
    for (uint16_t i = 0; i < a->field_count; i++) {
        const struct plx_field *f = &a->fields[i], *g = &b->fields[i];
        spans_equal((struct plx_span){(const uint8_t *)f->name, f->name_len},
                    (struct plx_span){(const uint8_t *)g->name, g->name_len});
        spans_equal((struct plx_span){(const uint8_t *)f->value, f->value_len},
                    (struct plx_span){(const uint8_t *)g->value, g->value_len});
        assert_int_equal(f->never_index, g->never_index);
    }
}

#define WEB ":method=GET|:scheme=https|:authority=localhost|:path=/index.html"

static void kept_when_it_comes_twice(void **state)
{
    (void)state;
    encode(WEB "|user-agent=someone|accept=*/*");
    assert_false(offer(PLX_MEMO_REQUEST));
    assert_false(offer(PLX_MEMO_REQUEST));
    assert_true(offer(PLX_MEMO_REQUEST));
}

static void gives_what_decoding_gives(void **state)
{
    static const struct {
        enum plx_memo_kind kind;
        const char *list;
    } row[] = {
        {PLX_MEMO_REQUEST, WEB},
        {PLX_MEMO_REQUEST, WEB "|empty=|content-length=12|x-y=z"},
        {PLX_MEMO_REQUEST, ":method=OPTIONS|:scheme=https|:path=*|host=a.example"},
        {PLX_MEMO_REQUEST, ":method=CONNECT|:authority=a.example:443"},
        {PLX_MEMO_RESPONSE, ":status=200|content-length=64|content-type=text/plain"},
        {PLX_MEMO_RESPONSE, ":status=103|link=</style.css>; rel=preload"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct plx_qpack_section s;
        struct plx_h3_head head;
        uint64_t mark;
        encode(row[i].list);
        (void)offer(row[i].kind), (void)offer(row[i].kind);
        const struct plx_h3_head *kept = plx_memo_find(memo, row[i].kind, bytes, bytes_len, &mark);
        if (kept == NULL)
            fail_msg("row %zu is not remembered", i);
        decode(row[i].kind, &s, &head);
        heads_equal(kept, &head);
        memset(text, 0xff, sizeof text); // nothing of it is borrowed
        memset(fields, 0, sizeof fields);
        uint8_t copy[OCTETS_MAX];
        memcpy(copy, bytes, bytes_len);
        memset(bytes, 0xff, bytes_len);
        kept = plx_memo_find(memo, row[i].kind, copy, bytes_len, &mark);
        memcpy(bytes, copy, bytes_len);
        decode(row[i].kind, &s, &head);
        heads_equal(kept, &head);
    }
}

static void not_what_is_secret_long_or_short(void **state)
{
    static const char *const list[] = {WEB "|!x=y", WEB "|cookie=a=b", WEB "|authorization=Basic x"};
    (void)state;
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        encode(list[i]);
        for (unsigned n = 0; n < 4; n++)
            if (offer(PLX_MEMO_REQUEST))
                fail_msg("%s was remembered", list[i]);
    }
    encode(":status=200"); // 3 octets
    for (unsigned n = 0; n < 4; n++)
        assert_false(offer(PLX_MEMO_RESPONSE));
    char many[2048] = WEB; // more fields than an entry has, then more octets
    const size_t web = sizeof WEB - 1;
    for (size_t i = 0; i <= PLX_MEMO_FIELDS_MAX; i++)
        memcpy(many + web + 4 * i, "|a=b", 4);
    encode(many);
    for (unsigned n = 0; n < 4; n++)
        assert_false(offer(PLX_MEMO_REQUEST));
    memcpy(many + web, "|long=", 6);
    memset(many + web + 6, '~', 1000);
    encode(many);
    for (unsigned n = 0; n < 4; n++)
        assert_false(offer(PLX_MEMO_REQUEST));
}

// A request's section that is also one of a response would be read as what it was kept for.
static void kinds_are_apart(void **state)
{
    uint64_t mark;
    (void)state;
    encode(WEB);
    (void)offer(PLX_MEMO_REQUEST), (void)offer(PLX_MEMO_REQUEST);
    assert_true(offer(PLX_MEMO_REQUEST));
    assert_null(plx_memo_find(memo, PLX_MEMO_RESPONSE, bytes, bytes_len, &mark));
}

// References to the dynamic table mean something else on the next connection.
static void nothing_of_the_dynamic_table(void **state)
{
    static const char inserts[] = "\xc1\x0b/somewhere/";
    const char *why;
    (void)state;
    assert_int_equal(plx_qpack_table_on_data(&table, (const uint8_t *)"\x3f\xe1\x07", 3, &why), PLX_QPACK_OK);
    assert_int_equal(plx_qpack_table_on_data(&table, (const uint8_t *)inserts, sizeof inserts - 1, &why),
                     PLX_QPACK_OK);
    // Required Insert Count 1, Base 1; GET, https, :authority "localhost", then the entry: /somewhere/
    static const uint8_t section[] = "\x02\x00\xd1\xd7\x50\x09localhost\x80";
    memcpy(bytes, section, bytes_len = sizeof section - 1);
    for (unsigned n = 0; n < 4; n++)
        assert_false(offer(PLX_MEMO_REQUEST));
}

// Sections of all kinds in any order: whatever is found is what decoding gives, and what repeats is found in the end.
static void found_is_always_right(void **state)
{
    struct plx_prng r;
    unsigned found = 0;
    (void)state;
    plx_prng_init(&r, 20261121);
    for (unsigned i = 0; i < 20000; i++) {
        char list[256];
        struct plx_qpack_section s;
        struct plx_h3_head head;
        uint64_t mark;
        enum plx_memo_kind kind = plx_prng_below(&r, 2) ? PLX_MEMO_REQUEST : PLX_MEMO_RESPONSE;
        unsigned which = (unsigned)plx_prng_below(&r, plx_prng_below(&r, 4) == 0 ? 100000 : 60);
        if (kind == PLX_MEMO_REQUEST)
            snprintf(list, sizeof list, WEB "?%u|user-agent=agent %u", which, which % 7);
        else
            snprintf(list, sizeof list, ":status=%u|content-length=%u|etag=\"%x\"", 200 + which % 5, which,
                     which);
        encode(list);
        const struct plx_h3_head *kept = plx_memo_find(memo, kind, bytes, bytes_len, &mark);
        decode(kind, &s, &head);
        if (kept != NULL)
            heads_equal(kept, &head);
        else
            plx_memo_keep(memo, kind, bytes, bytes_len, mark, &s, &head);
        found += kept != NULL;
    }
    plx_memo_verify(memo);
    assert_true(found > 5000); // 120 that repeat, 128 places
}

// What an answer begins with means the head that was found with it, for as long as the memo has that.
static void like_the_last(void **state)
{
    uint8_t answer[2 * PLX_MEMO_FRONT_MAX] = "a HEADERS frame and the beginning of DATA, then the body";
    const size_t len = 60, front = 42;
    const struct plx_h3_head *head;
    uint64_t mark;
    size_t at;

    (void)state;
    encode(":status=200|content-length=18|etag=\"some\"");
    (void)offer(PLX_MEMO_RESPONSE), (void)offer(PLX_MEMO_RESPONSE);
    head = plx_memo_find(memo, PLX_MEMO_RESPONSE, bytes, bytes_len, &mark);
    assert_non_null(head);
    assert_null(plx_memo_like(memo, answer, len, &at));
    plx_memo_like_set(memo, answer, len, front, head);
    plx_memo_verify(memo);
    assert_ptr_equal(plx_memo_like(memo, answer, len, &at), head);
    assert_int_equal(at, front);
    answer[front] ^= 1; // another body
    assert_ptr_equal(plx_memo_like(memo, answer, len, &at), head);
    assert_null(plx_memo_like(memo, answer, len - 1, &at));
    assert_null(plx_memo_like(memo, answer, len + 1, &at));
    for (size_t i = 0; i < front; i++) { // any octet of the front makes it another answer
        answer[i] ^= 1;
        assert_null(plx_memo_like(memo, answer, len, &at));
        answer[i] ^= 1;
    }
    // Too short, too long: what was there stays.
    plx_memo_like_set(memo, answer, len, PLX_MEMO_OCTETS_MIN - 1, head);
    plx_memo_like_set(memo, answer, sizeof answer, PLX_MEMO_FRONT_MAX + 1, head);
    assert_ptr_equal(plx_memo_like(memo, answer, len, &at), head);
    // Others push the head out, and what it was found by goes with it.
    for (unsigned i = 0; plx_memo_like(memo, answer, len, &at) != NULL; i++) {
        char list[64];
        assert_true(i < 100000);
        snprintf(list, sizeof list, ":status=200|content-length=%u|etag=\"more\"", 1000 + i);
        encode(list);
        (void)offer(PLX_MEMO_RESPONSE), (void)offer(PLX_MEMO_RESPONSE);
    }
    plx_memo_verify(memo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(kept_when_it_comes_twice, setup, teardown),
        cmocka_unit_test_setup_teardown(gives_what_decoding_gives, setup, teardown),
        cmocka_unit_test_setup_teardown(not_what_is_secret_long_or_short, setup, teardown),
        cmocka_unit_test_setup_teardown(kinds_are_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_of_the_dynamic_table, setup, teardown),
        cmocka_unit_test_setup_teardown(found_is_always_right, setup, teardown),
        cmocka_unit_test_setup_teardown(like_the_last, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
