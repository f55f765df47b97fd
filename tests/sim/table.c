// table.c -- see table.h.

#include "tests/sim/table.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/cursor.h"

enum { FRAME_DATA = 0, FRAME_HEADERS = 1 };

static void path_of(const struct world_client *c, unsigned i, char path[24])
{
    snprintf(path, 24, "/%llu", (unsigned long long)c->sizes[i]);
}

// --- what is told and asked ---------------------------------------------------------------------------------

static struct plx_stream *open_uni(struct plx_conn *conn, const void *first, size_t len)
{
    struct plx_stream *s;

    plx_check(plx_stream_open(conn, true, &s) == PLX_OK);
    if (len > 0)
        plx_check(plx_stream_send_copy(s, first, len, false) == PLX_OK);
    return s;
}

// Type 2, a capacity of 4096, and ":path: /SIZE" for each request but the first (RFC 9204 sections 4.3.1 and 4.3.2).
static void text_make(struct table *t)
{
    struct plx_wr w = plx_wr_init(t->text, sizeof t->text);
    char path[24];

    plx_wr_bytes(&w, "\x02\x3f\xe1\x1f", 4);
    for (unsigned i = 1; i < t->client->size_count; i++) {
        path_of(t->client, i, path);
        plx_wr_u8(&w, 0xc1);
        plx_wr_u8(&w, (uint8_t)strlen(path));
        plx_wr_bytes(&w, path, strlen(path));
    }
    plx_check(!w.is_full);
    t->text_len = (size_t)(w.p - t->text);
}

void table_tell(struct table *t, size_t upto)
{
    size_t len = (upto < t->text_len ? upto : t->text_len) - t->told;

    t->client->engine->cores[0]->now = t->client->world->now;
    plx_check(plx_stream_send_copy(t->encoder, t->text + t->told, len, false) == PLX_OK);
    t->told += len;
}

// RFC 9204 section 4.5: required insert count i (never near a wrap), base the same, so that the newest entry has index 0.
static void section_write(const struct table *t, struct plx_wr *w, unsigned i, bool has_body)
{
    char path[24];

    plx_wr_u8(w, (uint8_t)(i > 0 ? i + 1 : 0));
    plx_wr_u8(w, 0);
    plx_wr_u8(w, has_body ? 0xd4 : 0xd1); // :method POST or GET
    plx_wr_u8(w, 0xd7);                   // :scheme https
    plx_wr_bytes(w, "\x50\x09localhost", 11);
    if (i > 0) {
        plx_wr_u8(w, 0x80);
        return;
    }
    path_of(t->client, i, path);
    plx_wr_u8(w, 0x51);
    plx_wr_u8(w, (uint8_t)strlen(path));
    plx_wr_bytes(w, path, strlen(path));
}

void table_ask(struct table *t, unsigned i, uint64_t upload)
{
    struct world_client *c = t->client;
    struct table_answer *a = &t->answer[i];
    uint8_t section[64], text[128];
    struct plx_wr s = plx_wr_init(section, sizeof section), w = plx_wr_init(text, sizeof text);

    c->engine->cores[0]->now = c->world->now;
    section_write(t, &s, i, upload > 0);
    plx_wr_varint(&w, FRAME_HEADERS);
    plx_wr_varint(&w, (uint64_t)(s.p - section));
    plx_wr_bytes(&w, section, (size_t)(s.p - section));
    if (upload > 0) {
        plx_wr_varint(&w, FRAME_DATA);
        plx_wr_varint(&w, upload);
    }
    plx_check(!s.is_full && !w.is_full && upload <= WORLD_BODY_MAX);
    c->request[i] = (struct world_request){.world = c->world, .want = c->sizes[i], .begun = c->world->now};
    plx_check(plx_stream_open(c->conn, false, &a->stream) == PLX_OK);
    a->request = &c->request[i];
    plx_stream_set_user(a->stream, a);
    c->started++;
    plx_check(plx_stream_send_copy(a->stream, text, (size_t)(w.p - text), upload == 0) == PLX_OK);
    if (upload > 0)
        plx_check(plx_stream_send(a->stream, (struct plx_buf){world_body(), (size_t)upload, NULL}, true) ==
                  PLX_OK);
}

// --- what is heard ------------------------------------------------------------------------------------------

static void on_open(struct plx_conn *conn)
{
    struct world_client *c = plx_conn_user(conn);
    struct table *t = c->h3_by_hand;

    c->is_open = true;
    (void)open_uni(conn, "\x00\x04\x00", 3); // control, with SETTINGS that say nothing
    t->encoder = open_uni(conn, NULL, 0);
    (void)open_uni(conn, "\x03", 1); // of our decoder, which has no table
}

// True when a frame's header is whole.
static bool head_read(struct table_answer *a, uint8_t octet)
{
    a->head[a->head_len++] = octet;
    struct plx_rd r = plx_rd_init(a->head, a->head_len);
    uint64_t type = plx_rd_varint(&r), left = plx_rd_varint(&r);
    if (r.is_short)
        return false;
    plx_check(type == FRAME_HEADERS || type == FRAME_DATA);
    a->head_len = 0;
    a->type = (uint8_t)type;
    a->left = left;
    return true;
}

static size_t on_data(struct plx_stream *stream, const uint8_t *data, size_t len, bool fin)
{
    struct table_answer *a = plx_stream_user(stream);

    if (a == NULL) // a stream of the server's own
        return len;
    struct world_request *r = a->request;
    for (size_t at = 0; at < len;) {
        if (a->left == 0) {
            (void)head_read(a, data[at++]);
            continue;
        }
        size_t n = a->left < len - at ? (size_t)a->left : len - at;
        if (a->type == FRAME_DATA) {
            if (r->got + n > r->want || memcmp(world_body() + r->got, data + at, n) != 0)
                r->has_bad_byte = true;
            r->got += n;
        }
        a->left -= n;
        at += n;
    }
    if (fin) {
        r->is_complete = r->got == r->want && !r->has_bad_byte && a->left == 0 && a->head_len == 0;
        r->ended = r->world->now;
    }
    return len;
}

static void on_close(struct plx_conn *conn, const struct plx_close_info *why)
{
    struct world_client *c = plx_conn_user(conn);

    c->is_closed = true;
    c->is_open = false;
    c->conn = NULL;
    c->why = *why;
}

static const struct plx_conn_handler handler = {.on_open = on_open, .on_data = on_data, .on_close = on_close};

void table_tune(struct plx_engine_cfg *cfg)
{
    static const char *const alpn[] = {"h3"};

    cfg->h3 = NULL;
    cfg->raw = &handler;
    cfg->alpn = alpn;
    cfg->alpn_count = 1;
}

void table_fetch(struct table *t, struct world *w, const uint64_t *sizes, unsigned count)
{
    plx_check(count <= TABLE_REQUESTS_MAX);
    *t = (struct table){.client = &w->client[0]};
    w->client[0].h3_by_hand = t;
    world_fetch(w, 0, sizes, count, 0);
    text_make(t);
}
