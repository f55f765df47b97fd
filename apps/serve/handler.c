// handler.c -- requests over HTTP/3: which resource, which answer, and what remains to be done for it.

#include <stdlib.h>
#include <string.h>

#include "serve.h"

// Only requests that need remembering have one: a large file, the echo, or an access log.
struct request {
    struct site *site;
    struct stream *stream;
    struct echo *echo;
    uint16_t status;
    uint64_t octets;
    plx_time began;
    size_t method_len, path_len;
    char text[]; // method, path
};

static struct site *site_of(struct plx_h3_req *req)
{
    return plx_core_user(plx_conn_core(plx_h3_conn_transport(plx_h3_req_conn(req))));
}

static struct request *request_new(struct site *s, struct plx_h3_req *req, const struct plx_h3_head *head)
{
    struct request *r = calloc(1, sizeof *r + head->method.len + head->path.len);

    if (r == NULL)
        return NULL;
    r->site = s;
    r->began = plx_core_now(s->core);
    r->method_len = head->method.len;
    r->path_len = head->path.len;
    memcpy(r->text, head->method.p, head->method.len);
    memcpy(r->text + head->method.len, head->path.p, head->path.len);
    plx_h3_req_set_user(req, r);
    return r;
}

static void serve_echo(struct site *s, struct plx_h3_req *req, const struct plx_h3_head *head)
{
    struct request *r = request_new(s, req, head);

    if (r == NULL || (r->echo = echo_new(req, head)) == NULL)
        plx_h3_cancel(req, PLX_H3_INTERNAL_ERROR);
    else
        r->status = 200;
}

static bool path_is(const struct plx_h3_head *head, const char *path) // NULL: nothing is
{
    return path != NULL && head->path.len == strlen(path) && memcmp(head->path.p, path, head->path.len) == 0;
}

static void serve_counters(struct site *s, struct plx_h3_req *req, const struct plx_h3_head *head)
{
    size_t octets;
    bool is_head = head->method.len == 4 && memcmp(head->method.p, "HEAD", 4) == 0;
    enum plx_err err = counters_send(s, req, is_head, &octets);

    if (err == PLX_OK && s->log != NULL) {
        struct request *r = request_new(s, req, head);
        if (r != NULL) {
            r->status = 200;
            r->octets = octets;
        }
    }
    if (err != PLX_OK && err != PLX_ERR_CLOSED)
        plx_h3_cancel(req, PLX_H3_INTERNAL_ERROR);
}

static void serve_file(struct site *s, struct plx_h3_req *req, const struct plx_h3_head *head)
{
    struct answer a;
    bool is_streaming;

    answer_get(s, head, &a);
    enum plx_err err = answer_send(req, &a, &is_streaming);
    struct request *r = NULL;
    if (err == PLX_OK && (is_streaming || s->log != NULL)) {
        r = request_new(s, req, head);
        if (r == NULL)
            err = PLX_ERR_NOMEM;
    }
    if (r != NULL) {
        r->status = a.status;
        r->octets = a.is_head ? 0 : a.file != NULL ? a.end - a.first : a.text != NULL ? strlen(a.text) : 0;
    }
    if (r != NULL && is_streaming) {
        r->stream = stream_new(s, req, NULL, a.file, a.first, a.end);
        if (r->stream != NULL)
            a.file = NULL; // its user is the stream's now
        if (r->stream == NULL || !stream_fill(r->stream))
            err = PLX_ERR_SYSTEM;
    }
    if (a.file != NULL)
        file_release(a.file);
    if (err != PLX_OK && err != PLX_ERR_CLOSED)
        plx_h3_cancel(req, PLX_H3_INTERNAL_ERROR);
}

static void on_request(struct plx_h3_req *req, const struct plx_h3_head *head, bool has_body)
{
    struct site *s = site_of(req);

    (void)has_body; // a body that nobody asked for is read and thrown away
    // What has an answer ready is neither of the resources below: their paths never come to be routes.
    struct plx_h3_block *block = s->log == NULL ? answer_prepared(s, head) : NULL;
    if (block != NULL) {
        enum plx_err err = plx_h3_respond_block(req, block);
        if (err != PLX_OK && err != PLX_ERR_CLOSED)
            plx_h3_cancel(req, PLX_H3_INTERNAL_ERROR);
    } else if (path_is(head, s->opts->echo)) {
        serve_echo(s, req, head);
    } else if (path_is(head, s->opts->counters)) {
        serve_counters(s, req, head);
    } else {
        serve_file(s, req, head);
    }
}

static size_t on_body(struct plx_h3_req *req, const uint8_t *data, size_t len)
{
    struct request *r = plx_h3_req_user(req);
    return r != NULL && r->echo != NULL ? echo_body(r->echo, data, len) : len;
}

static void on_end(struct plx_h3_req *req, const struct plx_field *trailers, uint16_t count)
{
    struct request *r = plx_h3_req_user(req);

    (void)trailers, (void)count;
    if (r != NULL && r->echo != NULL)
        echo_end(r->echo);
}

static void on_writable(struct plx_h3_req *req)
{
    struct request *r = plx_h3_req_user(req);

    if (r == NULL)
        return;
    if (r->echo != NULL)
        echo_writable(r->echo);
    if (r->stream != NULL && !stream_fill(r->stream))
        plx_h3_cancel(req, PLX_H3_INTERNAL_ERROR);
}

static void on_closed(struct plx_h3_req *req, uint64_t code, bool is_peer)
{
    struct request *r = plx_h3_req_user(req);

    (void)is_peer;
    if (r == NULL)
        return;
    if (r->site->log != NULL)
        log_request(r->site, req, r->text, r->method_len, r->text + r->method_len, r->path_len, r->status,
                    r->octets, r->began, code);
    if (r->stream != NULL)
        stream_free(r->stream);
    if (r->echo != NULL)
        echo_free(r->echo);
    free(r);
}

const struct plx_h3_handler serve_handler = {
    .on_request = on_request,
    .on_body = on_body,
    .on_end = on_end,
    .on_writable = on_writable,
    .on_closed = on_closed,
};
