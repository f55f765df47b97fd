// fuzz_field_section.c -- an encoded field section against a table of three entries; what decodes is validated as every
// kind of message, stays within its limits, and survives being encoded and decoded again.

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "h3/fields.h"
#include "h3/memo.h"
#include "h3/message.h"
#include "h3/qpack_enc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { FIELDS_MAX = 32, SIZE_MAX_ = 2000, OUT_MAX = 8192 };

static struct plx_slab slab;
static struct plx_qpack_table table;
static struct plx_field fields[FIELDS_MAX], again[FIELDS_MAX];
static uint8_t classes[FIELDS_MAX], text[SIZE_MAX_], text_again[SIZE_MAX_], out[OUT_MAX];

static struct plx_qpack_section section(struct plx_field *f, uint8_t *t)
{
    return (struct plx_qpack_section){.fields = f,
                                      .classes = classes,
                                      .text = t,
                                      .text_cap = SIZE_MAX_,
                                      .size_max = SIZE_MAX_,
                                      .count_max = FIELDS_MAX};
}

static struct plx_memo *memo;

static void span_is_same(struct plx_span a, struct plx_span b)
{
    plx_check((a.p == NULL) == (b.p == NULL) && a.len == b.len);
    plx_check(a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

// What the memo says of these octets, after they have come twice, is what decoding says.
static void remember(enum plx_memo_kind kind, const uint8_t *data, size_t len,
                     const struct plx_qpack_section *s, const struct plx_h3_head *head)
{
    const struct plx_h3_head *kept = NULL;
    uint64_t mark;

    for (unsigned i = 0; i < 3; i++) {
        kept = plx_memo_find(memo, kind, data, len, &mark);
        if (kept == NULL)
            plx_memo_keep(memo, kind, data, len, mark, s, head);
    }
    if (kept == NULL)
        return;
    plx_check(s->required == 0);
    span_is_same(kept->method, head->method);
    span_is_same(kept->scheme, head->scheme);
    span_is_same(kept->authority, head->authority);
    span_is_same(kept->path, head->path);
    span_is_same(kept->protocol, head->protocol);
    plx_check(kept->status == head->status && kept->content_length == head->content_length);
    plx_check(kept->field_count == head->field_count);
    for (uint16_t i = 0; i < head->field_count; i++) {
        const struct plx_field *a = &kept->fields[i], *b = &head->fields[i];
        plx_check(a->name_len == b->name_len && memcmp(a->name, b->name, b->name_len) == 0);
        plx_check(a->value_len == b->value_len && memcmp(a->value, b->value, b->value_len) == 0);
        plx_check(!a->never_index && !b->never_index);
    }
}

static void setup(void)
{
    static const char inserts[] = "\x3f\xe1\x07\xc1\x05/path\x41x\x01y\x42te\x08trailers";
    const char *why;

    plx_check(plx_slab_init(&slab, 1 << 20, PLX_NODE_ANY));
    plx_qpack_table_init(&table, &slab, 1024);
    plx_check(plx_qpack_table_on_data(&table, (const uint8_t *)inserts, sizeof inserts - 1, &why) ==
              PLX_QPACK_OK);
    plx_check(table.insert_count == 3);
    void *mem = aligned_alloc(64, (plx_memo_size() + 63) & ~(size_t)63);
    plx_check(mem != NULL);
    memset(mem, 0, plx_memo_size());
    memo = plx_memo_init(mem, 1);
}

static void messages(const struct plx_qpack_section *s, const uint8_t *data, size_t len)
{
    struct plx_h3_head head;
    for (unsigned allows_protocol = 0; allows_protocol < 2; allows_protocol++) {
        if (plx_message_read_request(s, allows_protocol, &head) == NULL) {
            plx_check(head.method.len > 0);
            plx_check(head.fields + head.field_count == s->fields + s->count);
            remember(PLX_MEMO_REQUEST, data, len, s, &head);
        }
    }
    if (plx_message_read_response(s, &head) == NULL) {
        plx_check(head.status >= 100 && head.status <= 999);
        remember(PLX_MEMO_RESPONSE, data, len, s, &head);
    }
    if (plx_message_read_trailers(s) == NULL && s->count > 0)
        plx_check(s->fields[0].name_len > 0 && s->fields[0].name[0] != ':');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (table.slab == NULL)
        setup();
    struct plx_qpack_section s = section(fields, text);
    enum plx_qpack_err err = plx_qpack_dec_section(&table, data, len, &s);
    if (err != PLX_QPACK_OK) {
        plx_check(err != PLX_QPACK_BLOCKED || s.required > 3);
        return 0;
    }
    plx_check(s.count <= FIELDS_MAX && s.size <= SIZE_MAX_ && s.required <= 3);
    messages(&s, data, len);

    struct plx_wr w = plx_wr_init(out, sizeof out);
    plx_qpack_enc_prefix(&w);
    for (uint16_t i = 0; i < s.count; i++)
        plx_qpack_enc_field(&w, &fields[i]);
    plx_check(!w.is_full && (size_t)(w.p - out) <= plx_qpack_enc_len_max(fields, s.count));
    struct plx_qpack_section t = section(again, text_again);
    plx_check(plx_qpack_dec_section(&table, out, (size_t)(w.p - out), &t) == PLX_QPACK_OK);
    plx_check(t.count == s.count && t.size == s.size && t.required == 0);
    for (uint16_t i = 0; i < s.count; i++) {
        plx_check(fields[i].name_len == again[i].name_len &&
                  memcmp(fields[i].name, again[i].name, again[i].name_len) == 0);
        plx_check(fields[i].value_len == again[i].value_len &&
                  memcmp(fields[i].value, again[i].value, again[i].value_len) == 0);
        plx_check(fields[i].never_index == again[i].never_index);
    }
    return 0;
}
