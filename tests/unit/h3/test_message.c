// test_message.c -- which field sections are messages: a table of lists, each against the rule that it follows or breaks.

#include "h3/message.h"

#include <string.h>

#include "../base/rows.h"
#include "base/check.h"
#include "h3/fields.h"

enum kind {
    REQUEST,
    EXTENDED,
    RESPONSE,
    TRAILERS
}; // EXTENDED: a request, where extended CONNECT was announced

#define WEB ":method=GET|:scheme=https|:authority=a|:path=/"

static const struct {
    enum kind kind;
    bool is_valid;
    const char *fields; // name=value|...
    size_t len;         // 0: strlen
} row[] = {
    // section 4.3.1
    {REQUEST, true, WEB, 0},
    {REQUEST, true, ":method=GET|:scheme=http|:path=/|host=a", 0},
    {REQUEST, true, WEB "|host=a", 0},
    {REQUEST, true, ":path=/x?y=z&%20|:authority=[::1]:443|:scheme=https|:method=PATCH", 0},
    {REQUEST, true, ":method=OPTIONS|:scheme=https|:authority=a|:path=*", 0},
    {REQUEST, true, ":method=GET|:scheme=urn|:path=", 0},
    {REQUEST, false, "", 0},
    {REQUEST, false, ":method=GET|:scheme=https|:authority=a", 0},
    {REQUEST, false, ":method=GET|:authority=a|:path=/", 0},
    {REQUEST, false, ":scheme=https|:authority=a|:path=/", 0},
    {REQUEST, false, ":method=GET|:scheme=https|:path=/", 0},
    {REQUEST, false, ":method=GET|:scheme=https|:authority=|:path=/", 0},
    {REQUEST, false, ":method=GET|:scheme=https|:path=/|host=", 0},
    {REQUEST, false, WEB "|host=b", 0},
    {REQUEST, false, WEB "|host=a|host=a", 0},
    {REQUEST, false, ":method=GET|:scheme=https|:authority=u@a|:path=/", 0},
    {REQUEST, false, ":method=GET|:scheme=https|:authority=a/b|:path=/", 0},
    {REQUEST, false, ":method=GET|:scheme=https|:authority=a|:path=", 0},
    {REQUEST, false, ":method=GET|:scheme=https|:authority=a|:path=x", 0},
    {REQUEST, false, ":method=GET|:scheme=https|:authority=a|:path=*", 0},
    {REQUEST, false, ":method=GET|:scheme=https|:authority=a|:path=/ x", 0},
    {REQUEST, false, ":method=GET|:scheme=https|:authority=a|:path=/#x", 0},
    {REQUEST, false, ":method=|:scheme=https|:authority=a|:path=/", 0},
    {REQUEST, false, ":method=G(T|:scheme=https|:authority=a|:path=/", 0},
    {REQUEST, false, ":method=GET|:scheme=1x|:authority=a|:path=/", 0},
    // section 4.3
    {REQUEST, false, WEB "|:path=/", 0},
    {REQUEST, false, ":method=GET|:method=GET|:scheme=https|:authority=a|:path=/", 0},
    {REQUEST, false, ":method=GET|:scheme=https|:authority=a|x=y|:path=/", 0},
    {REQUEST, false, WEB "|:status=200", 0},
    {REQUEST, false, WEB "|:unknown=x", 0},
    {REQUEST, false, WEB "|:=x", 0},
    {RESPONSE, false, ":status=200|:path=/", 0},
    {RESPONSE, false, ":method=GET|:status=200", 0},
    {TRAILERS, false, ":path=/", 0},
    {TRAILERS, false, "a=b|:status=200", 0},
    // section 4.4 and RFC 9220
    {REQUEST, true, ":method=CONNECT|:authority=a:443", 0},
    {REQUEST, false, ":method=CONNECT", 0},
    {REQUEST, false, ":method=CONNECT|:authority=", 0},
    {REQUEST, false, ":method=CONNECT|:authority=a:1|:path=/", 0},
    {REQUEST, false, ":method=CONNECT|:authority=a:1|:scheme=https", 0},
    {EXTENDED, true, ":method=CONNECT|:protocol=websocket|:scheme=https|:authority=a|:path=/", 0},
    {EXTENDED, true, ":method=CONNECT|:authority=a:443", 0},
    {EXTENDED, false, ":method=CONNECT|:protocol=websocket|:authority=a|:path=/", 0},
    {EXTENDED, false, ":method=CONNECT|:protocol=|:scheme=https|:authority=a|:path=/", 0},
    {EXTENDED, false, WEB "|:protocol=websocket", 0},
    {REQUEST, false, ":method=CONNECT|:protocol=websocket|:scheme=https|:authority=a|:path=/", 0},
    // section 4.3.2
    {RESPONSE, true, ":status=200", 0},
    {RESPONSE, true, ":status=599|a=", 0},
    {RESPONSE, false, "", 0},
    {RESPONSE, false, "a=b", 0},
    {RESPONSE, false, ":status=", 0},
    {RESPONSE, false, ":status=99", 0},
    {RESPONSE, false, ":status=099", 0},
    {RESPONSE, false, ":status=2000", 0},
    {RESPONSE, false, ":status=2x0", 0},
    {RESPONSE, false, ":status=101", 0},
    {RESPONSE, false, ":status=200|:status=200", 0},
    // section 4.2, RFC 9110 section 5
    {TRAILERS, true, "", 0},
    {TRAILERS, true, "!#$%&'*+-.^_`~09az=x", 0},
    {REQUEST, true, WEB "|te=trailers", 0},
    {REQUEST, false, WEB "|te=gzip", 0},
    {REQUEST, false, WEB "|te=trailers, gzip", 0},
    {RESPONSE, false, ":status=200|te=trailers", 0},
    {REQUEST, false, WEB "|connection=close", 0},
    {REQUEST, false, WEB "|keep-alive=1", 0},
    {REQUEST, false, WEB "|proxy-connection=close", 0},
    {REQUEST, false, WEB "|transfer-encoding=chunked", 0},
    {REQUEST, false, WEB "|upgrade=h2c", 0},
    {TRAILERS, false, "upgrade=h2c", 0},
    {REQUEST, false, WEB "|Accept=x", 0},
    {REQUEST, false, WEB "|a b=x", 0},
    {REQUEST, false, WEB "|\xc3\xa4=x", 0},
    {TRAILERS, false, "=x", 0},
    {TRAILERS, true, "a=\xc3\xa4 \t~", 0},
    {TRAILERS, false, "a= x", 0},
    {TRAILERS, false, "a=x ", 0},
    {TRAILERS, false, "a=\tx", 0},
    {TRAILERS, false, "a=x\ny", 0},
    {TRAILERS, false, "a=x\ry", 0},
    {TRAILERS, false, "a=x\x7f", 0},
    {TRAILERS, false, "a=x\x01", 0},
    {TRAILERS, false, "a=x\0y", 5},
    // RFC 9110 section 8.6
    {REQUEST, true, WEB "|content-length=0", 0},
    {REQUEST, true, WEB "|content-length=5|content-length=5", 0},
    {REQUEST, true, WEB "|content-length=900000000000000000", 0},
    {REQUEST, false, WEB "|content-length=5|content-length=6", 0},
    {REQUEST, false, WEB "|content-length=", 0},
    {REQUEST, false, WEB "|content-length=+5", 0},
    {REQUEST, false, WEB "|content-length=5, 5", 0},
    {REQUEST, false, WEB "|content-length=0x5", 0},
    {REQUEST, false, WEB "|content-length=99999999999999999999", 0},
};

static struct plx_field fields[32];
static uint8_t classes[32];

static void section_of(const char *p, size_t len, struct plx_qpack_section *s)
{
    const char *end = p + len;

    *s = (struct plx_qpack_section){.fields = fields, .classes = classes};
    while (p < end) {
        const char *bar = memchr(p, '|', (size_t)(end - p)), *line_end = bar != NULL ? bar : end;
        // A name begins with what may itself be "=" in no row but the one without a name.
        const char *eq = memchr(p, '=', (size_t)(line_end - p));
        plx_check(eq != NULL && s->count < 32);
        struct plx_field *f = &fields[s->count];
        *f = (struct plx_field){p, eq + 1, (uint32_t)(eq - p), (uint32_t)(line_end - eq - 1), false};
        classes[s->count++] =
            plx_field_class_of(plx_field_name_class(f->name, f->name_len), f->value, f->value_len);
        p = line_end + 1;
    }
}

static void test_rules(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ROWS(row); i++) {
        struct plx_qpack_section s;
        struct plx_h3_head head;
        const char *why = NULL;

        section_of(row[i].fields, row[i].len > 0 ? row[i].len : strlen(row[i].fields), &s);
        if (row[i].kind == RESPONSE)
            why = plx_message_read_response(&s, &head);
        else if (row[i].kind == TRAILERS)
            why = plx_message_read_trailers(&s);
        else
            why = plx_message_read_request(&s, row[i].kind == EXTENDED, &head);
        if ((why == NULL) != row[i].is_valid)
            fail_msg("row %u (%s): %s", i, row[i].fields, why != NULL ? why : "taken for valid");
    }
}

static void test_head(void **state)
{
    struct plx_qpack_section s;
    struct plx_h3_head head;

    (void)state;
    section_of(WEB "|cookie=a|content-length=17|cookie=b", strlen(WEB "|cookie=a|content-length=17|cookie=b"),
               &s);
    assert_null(plx_message_read_request(&s, false, &head));
    assert_true(plx_span_is(head.method, "GET"));
    assert_true(plx_span_is(head.scheme, "https"));
    assert_true(plx_span_is(head.authority, "a"));
    assert_true(plx_span_is(head.path, "/"));
    assert_null(head.protocol.p);
    assert_int_equal(head.status, 0);
    assert_int_equal(head.content_length, 17);
    assert_int_equal(head.field_count, 3);
    assert_ptr_equal(plx_h3_head_find(&head, "cookie"), &head.fields[0]);
    assert_ptr_equal(plx_h3_head_find(&head, "content-length"), &head.fields[1]);
    assert_null(plx_h3_head_find(&head, "cooki"));
    assert_null(plx_h3_head_find(&head, ":path"));

    section_of(":status=404", 11, &s);
    assert_null(plx_message_read_response(&s, &head));
    assert_int_equal(head.status, 404);
    assert_true(head.content_length == PLX_H3_LENGTH_UNKNOWN);
    assert_null(head.path.p);
}

// A class says the same as the plain question, octet by octet.
static void test_octets(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        char text[3] = {'a', (char)c, 'a'};
        bool is_name = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                       (c != 0 && strchr("!#$%&'*+-.^_`|~", (int)c) != NULL);
        EXPECT_ROW(c, (plx_field_name_class(text, 3) == PLX_FIELD_PLAIN) == is_name);
        EXPECT_ROW(c, plx_field_value_is_valid(text, 3) == ((c >= 0x20 && c != 0x7f) || c == '\t'));
        EXPECT_ROW(c, plx_field_value_is_valid(text + 1, 1) == (c > 0x20 && c != 0x7f));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_octets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
