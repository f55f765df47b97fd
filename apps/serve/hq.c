// hq.c -- the same files over HTTP/0.9 on raw QUIC streams (ALPN hq-interop): what interoperability tests and transport benchmarks
// speak. A request is "GET /path\r\n" on a stream of the client's; the answer is the octets of the file, or a reset.

#include <stdlib.h>
#include <string.h>

#include "serve.h"

enum { HQ_NO_SUCH_FILE = 0x1, HQ_BAD_REQUEST = 0x2 };

struct hq {
    struct stream *stream;
    size_t len;
    char line[NAME_MAX_LEN];
};

static void on_stream(struct plx_stream *s)
{
    plx_stream_set_user(s, calloc(1, sizeof(struct hq)));
}

static void give_up(struct plx_stream *s, uint64_t code)
{
    plx_stream_reset(s, code);
    plx_stream_stop_sending(s, code);
}

static void answer(struct plx_stream *s, struct hq *h)
{
    struct site *site = plx_core_user(plx_conn_core(plx_stream_conn(s)));
    char name[NAME_MAX_LEN];
    uint16_t status;
    bool wants_slash;

    if (strncmp(h->line, "GET ", 4) != 0) {
        give_up(s, HQ_BAD_REQUEST);
        return;
    }
    const char *path = h->line + 4;
    if (path_to_name(path, strcspn(path, " \r\n"), name) < 0) {
        give_up(s, HQ_BAD_REQUEST);
        return;
    }
    struct file *f = site_open(site, name, &status, &wants_slash);
    if (f == NULL) {
        give_up(s, HQ_NO_SUCH_FILE);
        return;
    }
    if (f->size == 0) {
        file_release(f);
        if (plx_stream_send(s, (struct plx_buf){0}, true) != PLX_OK)
            give_up(s, HQ_NO_SUCH_FILE);
        return;
    }
    h->stream = stream_new(site, NULL, s, f, 0, f->size);
    if (h->stream == NULL)
        file_release(f);
    if (h->stream == NULL || !stream_fill(h->stream))
        give_up(s, HQ_NO_SUCH_FILE);
}

static size_t on_data(struct plx_stream *s, const uint8_t *data, size_t len, bool fin)
{
    struct hq *h = plx_stream_user(s);

    if (h == NULL || plx_stream_is_uni(s) || h->stream != NULL)
        return len;
    if (len >= sizeof h->line - h->len) {
        give_up(s, HQ_BAD_REQUEST);
        return len;
    }
    memcpy(h->line + h->len, data, len);
    h->len += len;
    h->line[h->len] = '\0';
    if (fin || strchr(h->line, '\n') != NULL)
        answer(s, h);
    return len;
}

static void on_writable(struct plx_stream *s)
{
    struct hq *h = plx_stream_user(s);

    if (h != NULL && h->stream != NULL && !stream_fill(h->stream))
        give_up(s, HQ_NO_SUCH_FILE);
}

static void on_stream_closed(struct plx_stream *s)
{
    struct hq *h = plx_stream_user(s);

    if (h != NULL && h->stream != NULL)
        stream_free(h->stream);
    free(h);
}

const struct plx_conn_handler serve_hq_handler = {
    .on_stream = on_stream,
    .on_data = on_data,
    .on_writable = on_writable,
    .on_stream_closed = on_stream_closed,
};
