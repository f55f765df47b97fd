// hq.c -- requests over hq-interop: "GET /path\r\n" on a stream, and the octets of the file until the stream ends.

#include <string.h>

#include "load.h"

enum { HQ_CANCELLED = 0x1 };

enum plx_err load_hq_send(struct load_conn *c, struct load_slot *s)
{
    char line[4096];
    int len = snprintf(line, sizeof line, "GET %s\r\n", s->item->path);

    if (len < 0 || (size_t)len >= sizeof line)
        return PLX_ERR_INVALID;
    enum plx_err err = plx_stream_open(c->transport, false, &s->stream);
    if (err != PLX_OK)
        return err;
    plx_stream_set_user(s->stream, s);
    err = plx_stream_send_copy(s->stream, line, (size_t)len, true);
    if (err == PLX_OK)
        return PLX_OK;
    plx_stream_set_user(s->stream, NULL);
    plx_stream_reset(s->stream, HQ_CANCELLED);
    plx_stream_stop_sending(s->stream, HQ_CANCELLED);
    s->stream = NULL;
    return err;
}

static size_t on_data(struct plx_stream *stream, const uint8_t *data, size_t len, bool fin)
{
    struct load_slot *s = plx_stream_user(stream);

    if (s == NULL)
        return len;
    load_slot_received(s, data, len);
    if (fin) {
        plx_stream_set_user(stream, NULL);
        load_slot_end(s);
    }
    return len;
}

static void end_by(struct plx_stream *stream, enum error_kind kind)
{
    struct load_slot *s = plx_stream_user(stream);

    if (s == NULL)
        return;
    plx_stream_set_user(stream, NULL);
    load_slot_fail(s, s->is_cancelled ? ERROR_timeout : kind);
}

static void on_reset(struct plx_stream *stream, uint64_t code)
{
    (void)code;
    end_by(stream, ERROR_reset);
}

static void on_stream_closed(struct plx_stream *stream)
{
    end_by(stream, ERROR_lost);
}

static void on_open(struct plx_conn *conn)
{
    if (plx_conn_user(conn) != NULL) // else left while it was opening
        load_conn_opened(plx_conn_user(conn));
}

static void on_streams_available(struct plx_conn *conn)
{
    struct load_conn *c = plx_conn_user(conn);

    if (c == NULL)
        return;
    c->is_blocked = false;
    load_conn_settle(c);
    load_pump(c->worker);
}

static void on_session(struct plx_conn *conn, const void *session, size_t len)
{
    load_conn_session(plx_conn_user(conn), session, len);
}

// Nothing more is said about its streams. With the last of its requests a connection may make way for another one.
static void lose_slots(struct load_conn *c)
{
    struct load_worker *w = c->worker;

    for (uint32_t i = 0, left = c->in_flight; left > 0 && i < w->slot_count; i++) {
        struct load_slot *s = &w->slots[i];
        if (s->conn != c)
            continue;
        left--;
        load_slot_fail(s, s->is_cancelled ? ERROR_timeout : ERROR_lost);
    }
}

static void on_close(struct plx_conn *conn, const struct plx_close_info *info)
{
    struct load_conn *c = plx_conn_user(conn);

    if (c == NULL)
        return; // we left it
    load_conn_closed(c, info, c->state != CONN_OPENING);
    lose_slots(c);
    load_conn_settle(c);
}

const struct plx_conn_handler load_hq_handler = {
    .on_open = on_open,
    .on_data = on_data,
    .on_reset = on_reset,
    .on_stream_closed = on_stream_closed,
    .on_streams_available = on_streams_available,
    .on_session = on_session,
    .on_close = on_close,
};
