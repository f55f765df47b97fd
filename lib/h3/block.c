// block.c -- see block.h.
//
// Without a dynamic table an encoded response (or request) is the same on every connection and stream, so it is encoded once and
// every use is a pointer. The block is the owner of its buffers: the transport's releases count the uses down, and
// the block goes when it has been freed by the program and nobody uses it any more.
//
// Blocks are made at start or when content changes, not on the packet path: this is the one file of the layer that
// allocates.

#include "h3/block.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "h3/conn_int.h"
#include "h3/fields.h"
#include "h3/message.h"
#include "h3/qpack_enc.h"

struct plx_h3_block {
    struct plx_owner owner; // of the buffers that transports hold
    uint64_t uses;          // buffers not yet released
    bool is_freed;          // by the program
    struct plx_h3_block_info info;
    struct plx_buf body;  // when it is borrowed; data NULL otherwise
    size_t head_len, len; // octets of the HEADERS frame; of everything in the block
    uint8_t bytes[];
};

static void gone(struct plx_h3_block *b)
{
    if (!b->is_freed || b->uses > 0)
        return;
    plx_h3_buf_release(&b->body);
    free(b);
}

static void on_release(struct plx_owner *owner, const void *data, size_t len)
{
    struct plx_h3_block *b = PLX_CONTAINER(owner, struct plx_h3_block, owner);

    (void)data, (void)len;
    plx_check(b->uses > 0);
    b->uses--;
    gone(b);
}

// The encoded section and the body, framed, in one piece. NULL when memory is short.
static struct plx_h3_block *block_make(const uint8_t *section, size_t section_len, struct plx_buf body)
{
    bool is_copied = body.len <= PLX_H3_BLOCK_COPY_MAX;
    size_t cap = 2 * PLX_FRAME_HEAD_MAX + section_len + (is_copied ? body.len : 0);
    struct plx_h3_block *b = malloc(sizeof *b + cap);

    if (b == NULL)
        return NULL;
    *b = (struct plx_h3_block){.owner = {.release = on_release}};
    struct plx_wr w = plx_wr_init(b->bytes, cap);
    plx_frame_wr_head(&w, PLX_FRAME_TYPE_HEADERS, section_len);
    plx_wr_bytes(&w, section, section_len);
    b->head_len = (size_t)(w.p - b->bytes);
    if (body.len > 0) {
        plx_frame_wr_head(&w, PLX_FRAME_TYPE_DATA, body.len);
        if (is_copied)
            plx_wr_bytes(&w, body.data, body.len);
    }
    plx_check(!w.is_full);
    b->len = (size_t)(w.p - b->bytes);
    if (is_copied)
        plx_h3_buf_release(&body);
    else
        b->body = body;
    return b;
}

struct plx_h3_block *plx_h3_block_new(uint16_t status, const struct plx_field *fields, uint16_t count,
                                      struct plx_buf body)
{
    size_t section_max = plx_qpack_enc_len_max(fields, count);

    if (status < 200 || status > 599 || !plx_fields_are_sendable(fields, count) ||
        (body.len > 0 && (status == 204 || status == 304)))
        return NULL;
    uint8_t *section = malloc(section_max);
    if (section == NULL)
        return NULL;
    struct plx_wr s = plx_wr_init(section, section_max);
    plx_qpack_enc_prefix(&s);
    plx_qpack_enc_status(&s, status);
    for (uint16_t i = 0; i < count; i++)
        plx_qpack_enc_field(&s, &fields[i]);
    plx_check(!s.is_full);
    struct plx_h3_block *b = block_make(section, (size_t)(s.p - section), body);
    free(section);
    return b;
}

static uint16_t pseudo_fields(const struct plx_h3_head *head, struct plx_field out[4])
{
    const struct {
        const char *name;
        const struct plx_span *value;
    } row[] = {{":method", &head->method},
               {":scheme", &head->scheme},
               {":authority", &head->authority},
               {":path", &head->path}};
    uint16_t n = 0;

    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        if (row[i].value->p != NULL)
            out[n++] = (struct plx_field){row[i].name, (const char *)row[i].value->p,
                                          (uint32_t)strlen(row[i].name), (uint32_t)row[i].value->len, false};
    return n;
}

struct plx_h3_block *plx_h3_block_new_request(const struct plx_h3_head *head, struct plx_buf body)
{
    struct plx_field pseudo[4];
    uint64_t size = 0;

    // CONNECT keeps its stream open for what nobody can prepare.
    if (plx_span_is(head->method, "CONNECT") || !plx_fields_are_sendable(head->fields, head->field_count) ||
        plx_message_check_request(head, plx_h3_head_find(head, "host"), false) != NULL)
        return NULL;
    uint16_t count = pseudo_fields(head, pseudo);
    size_t section_max =
        plx_qpack_enc_len_max(pseudo, count) + plx_qpack_enc_len_max(head->fields, head->field_count);
    uint8_t *section = malloc(section_max);
    if (section == NULL)
        return NULL;
    struct plx_wr s = plx_wr_init(section, section_max);
    plx_qpack_enc_prefix(&s);
    for (uint16_t i = 0; i < count + head->field_count; i++) {
        const struct plx_field *f = i < count ? &pseudo[i] : &head->fields[i - count];
        plx_qpack_enc_field(&s, f);
        size += plx_field_size(f->name_len, f->value_len);
    }
    plx_check(!s.is_full);
    struct plx_h3_block *b = block_make(section, (size_t)(s.p - section), body);
    free(section);
    if (b != NULL)
        b->info = (struct plx_h3_block_info){
            .is_request = true,
            .is_head_method = plx_span_is(head->method, "HEAD"),
            .is_safe = plx_h3_method_is_safe(head->method) && body.len == 0,
            .section_size = size,
        };
    return b;
}

const struct plx_h3_block_info *plx_h3_block_info(const struct plx_h3_block *b)
{
    return &b->info;
}

void plx_h3_block_free(struct plx_h3_block *b)
{
    if (b == NULL)
        return;
    b->is_freed = true;
    gone(b);
}

uint16_t plx_h3_block_bufs(struct plx_h3_block *b, bool is_head, struct plx_buf bufs[2])
{
    bufs[0] = (struct plx_buf){b->bytes, is_head ? b->head_len : b->len, &b->owner};
    if (is_head || b->body.data == NULL)
        return 1;
    bufs[1] = (struct plx_buf){b->body.data, b->body.len, &b->owner};
    return 2;
}

void plx_h3_block_use(struct plx_h3_block *b, uint16_t count)
{
    b->uses += count;
}

void plx_h3_block_unuse(struct plx_h3_block *b, uint16_t count)
{
    plx_check(b->uses >= count);
    b->uses -= count;
    gone(b);
}
