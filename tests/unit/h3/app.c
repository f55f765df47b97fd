// app.c -- see app.h.

#include "app.h"
#include "array.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"

struct app *app;
const uint8_t app_bytes[1 << 17] = {[0 ... 99] = 'a', [100 ... 9999] = 'b', [10000 ... 131071] = 'c'};

#define F(n, v)                                 \
    {                                           \
        n, v, sizeof n - 1, sizeof v - 1, false \
    }

static void on_release(struct plx_owner *owner, const void *data, size_t len)
{
    (void)owner, (void)data, (void)len;
    app->releases++;
}

static struct plx_buf owned(const void *p, size_t len)
{
    app->owners_out++;
    return (struct plx_buf){p, len, &app->owner};
}

static void disown(enum plx_err err)
{
    if (err != PLX_OK && err != PLX_ERR_CLOSED)
        app->owners_out--; // it is still ours
}

static void exchange_clear(struct exchange *x)
{
    memset(x, 0, offsetof(struct exchange, body));
}

void app_init(struct app *a)
{
    static const struct plx_field fields[] = {F("content-type", "text/plain"), F("server", "pollux")};

    for (unsigned i = 0; i < 32; i++) {
        exchange_clear(&a->client[i]);
        exchange_clear(&a->server[i]);
    }
    memset(&a->server_count, 0, sizeof *a - offsetof(struct app, server_count));
    a->owner.release = on_release;
    app = a;
    a->block = plx_h3_block_new(200, fields, 2, owned("prepared", 8));
    a->big_block = plx_h3_block_new(200, fields, 2, owned(app_bytes, sizeof app_bytes));
    plx_check(a->block != NULL && a->big_block != NULL);
}

void app_fini(struct app *a)
{
    plx_h3_block_free(a->block);
    plx_h3_block_free(a->big_block);
    plx_check(a->owners_out == a->releases);
}

// --- sending ---------------------------------------------------------------------------------------------------

static void pump(struct exchange *x)
{
    static const struct plx_field trailers[] = {F("x-sum", "42"), F("x-end", "yes")};

    while (x->req != NULL && x->out != NULL) {
        size_t left = x->out_len - x->out_sent, len = left < x->piece ? left : x->piece;
        bool is_last = len == left;
        enum plx_err err =
            plx_h3_send_body(x->req, owned(x->out + x->out_sent, len), is_last && !x->out_trailers);
        disown(err);
        if (err == PLX_ERR_AGAIN || err == PLX_ERR_NOMEM)
            return;
        if (err == PLX_OK && is_last && x->out_trailers) {
            x->out_sent = x->out_len; // an empty piece, then the trailers again, if they do not fit now
            err = plx_h3_send_trailers(x->req, trailers, 2);
            if (err == PLX_ERR_AGAIN || err == PLX_ERR_NOMEM)
                return;
        }
        x->out_sent += is_last ? 0 : len;
        if (err != PLX_OK || is_last)
            x->out = NULL;
    }
}

static void on_writable(struct plx_h3_req *req)
{
    pump(plx_h3_req_user(req));
}

// --- receiving -------------------------------------------------------------------------------------------------

static size_t on_body(struct plx_h3_req *req, const uint8_t *data, size_t len)
{
    struct exchange *x = plx_h3_req_user(req);
    size_t taken = x->is_slow && len > 3 ? 3 : len;

    plx_check(x->body_len + taken <= sizeof x->body);
    memcpy(x->body + x->body_len, data, taken);
    x->body_len += taken;
    if (taken < len)
        app->resumes_due++;
    return taken;
}

static void note_end(struct exchange *x, const struct plx_field *trailers, uint16_t count)
{
    size_t at = 0;
    x->ends++;
    for (uint16_t i = 0; i < count; i++)
        at += (size_t)snprintf(x->trailers + at, sizeof x->trailers - at, "%.*s=%.*s;",
                               (int)trailers[i].name_len, trailers[i].name, (int)trailers[i].value_len,
                               trailers[i].value);
}

static void on_closed(struct plx_h3_req *req, uint64_t code, bool is_peer)
{
    struct exchange *x = plx_h3_req_user(req);

    x->closes++;
    x->code = code;
    x->is_peer = is_peer;
    x->req = NULL;
    // Whatever is called now must do nothing.
    plx_h3_cancel(req, 1);
    plx_check(plx_h3_send_body(req, (struct plx_buf){NULL, 0, NULL}, true) == PLX_ERR_CLOSED);
    plx_check(plx_h3_req_unsent(req) == 0);
}

// --- the server ------------------------------------------------------------------------------------------------

static bool path_is(const struct exchange *x, const char *path)
{
    return strcmp(x->path, path) == 0;
}

static void answer(struct exchange *x)
{
    static const struct plx_field fields[] = {F("content-type", "text/plain"), F("x-odd", "\x7e~}|")};
    struct plx_buf none = {NULL, 0, NULL};
    struct plx_h3_req *req = x->req;
    enum plx_err err = PLX_OK;

    if (path_is(x, "/echo")) {
        err = plx_h3_respond(req, 200, fields, 2, owned(x->body, x->body_len), true);
        disown(err);
    } else if (path_is(x, "/block")) {
        err = plx_h3_respond_block(req, app->block);
    } else if (path_is(x, "/bigblock")) {
        err = plx_h3_respond_block(req, app->big_block);
    } else if (path_is(x, "/interim")) {
        err = plx_h3_send_interim(req, 103, fields, 1);
        plx_check(err != PLX_OK || plx_h3_send_interim(req, 101, fields, 1) == PLX_ERR_INVALID);
        err = plx_h3_respond(req, 200, fields, 2, owned("hello", 5), true);
        disown(err);
    } else if (path_is(x, "/pieces")) {
        err = plx_h3_respond(req, 200, fields, 1, none, false);
        x->out = app_bytes;
        x->out_len = 50000;
        x->piece = 3000;
        x->out_trailers = true;
        pump(x);
    } else if (path_is(x, "/204")) {
        plx_check(plx_h3_respond(req, 204, NULL, 0, (struct plx_buf){"x", 1, NULL}, true) ==
                  PLX_ERR_INVALID); // no content
        err = plx_h3_respond(req, 204, NULL, 0, none, true);
    } else if (path_is(x, "/cancel")) {
        plx_h3_cancel(req, PLX_H3_REQUEST_CANCELLED);
        err = plx_h3_respond(req, 200, NULL, 0, owned("x", 1), true);
        plx_check(err == PLX_ERR_CLOSED);
        return;
    } else if (path_is(x, "/never")) {
        return;
    } else {
        err = plx_h3_respond(req, 404, fields, 2, none, true);
    }
    if (err == PLX_ERR_CLOSED)
        return; // the peer wants no answer
    plx_check(err == PLX_OK);
    if (!path_is(x, "/pieces"))
        plx_check(plx_h3_respond(req, 200, NULL, 0, none, true) == PLX_ERR_INVALID); // a second one
}

static void on_request(struct plx_h3_req *req, const struct plx_h3_head *head, bool has_body)
{
    struct exchange *x = &app->server[app->server_count++ % 32];

    plx_check(plx_h3_req_user(req) == NULL);
    exchange_clear(x);
    x->req = req;
    x->has_body = has_body;
    x->content_length = head->content_length;
    snprintf(x->path, sizeof x->path, "%.*s", (int)head->path.len, (const char *)head->path.p);
    x->is_slow = path_is(x, "/slow") || plx_h3_head_find(head, "x-slow") != NULL;
    plx_h3_req_set_user(req, x);
    if (path_is(x, "/early"))
        answer(x);
}

static void on_request_end(struct plx_h3_req *req, const struct plx_field *trailers, uint16_t count)
{
    struct exchange *x = plx_h3_req_user(req);
    note_end(x, trailers, count);
    if (!path_is(x, "/early"))
        answer(x);
}

static void on_goaway(struct plx_h3_conn *conn, uint64_t id)
{
    (void)conn;
    app->goaway = id;
    app->goaways++;
}

const struct plx_h3_handler app_server = {
    .on_request = on_request,
    .on_body = on_body,
    .on_end = on_request_end,
    .on_writable = on_writable,
    .on_closed = on_closed,
    .on_goaway = on_goaway,
};

// --- the client ------------------------------------------------------------------------------------------------

static void on_response(struct plx_h3_req *req, const struct plx_h3_head *head)
{
    struct exchange *x = plx_h3_req_user(req);
    x->status = head->status;
    x->content_length = head->content_length;
}

static void on_interim(struct plx_h3_req *req, const struct plx_h3_head *head)
{
    struct exchange *x = plx_h3_req_user(req);
    plx_check(head->status < 200 && x->status == 0);
    x->interims++;
}

static void on_response_end(struct plx_h3_req *req, const struct plx_field *trailers, uint16_t count)
{
    note_end(plx_h3_req_user(req), trailers, count);
}

const struct plx_h3_handler app_client = {
    .on_response = on_response,
    .on_interim = on_interim,
    .on_body = on_body,
    .on_end = on_response_end,
    .on_writable = on_writable,
    .on_closed = on_closed,
    .on_goaway = on_goaway,
};

enum plx_err app_get(struct plx_h3_conn *c, unsigned slot, const char *method, const char *path,
                     size_t body_len)
{
    static const struct plx_field fields[] = {F("user-agent", "app/1"), F("accept", "*/*"),
                                              F("te", "trailers")};
    struct exchange *x = &app->client[slot];
    struct plx_h3_head head = {.method = {(const uint8_t *)method, strlen(method)},
                               .scheme = SPAN("https"),
                               .authority = SPAN("localhost:4433"),
                               .path = {(const uint8_t *)path, strlen(path)},
                               .fields = fields,
                               .field_count = 3};

    exchange_clear(x);
    x->is_slow = strcmp(path, "/slow") == 0;
    enum plx_err err = plx_h3_request(c, &head, body_len > 0, x, &x->req);
    if (err != PLX_OK || body_len == 0)
        return err;
    x->out = app_bytes;
    x->out_len = body_len;
    x->piece = 700;
    pump(x);
    return PLX_OK;
}

void app_tick(void)
{
    app->resumes_due = 0;
    for (unsigned i = 0; i < 32; i++) {
        struct exchange *both[2] = {&app->client[i], &app->server[i]};
        for (unsigned k = 0; k < 2; k++) {
            if (both[k]->req == NULL)
                continue;
            pump(both[k]);
            if (both[k]->req != NULL)
                plx_h3_resume(both[k]->req);
        }
    }
}
