// glue_h3.c -- see glue_h3.h. One half gives HTTP/3 the streams it asks for, the other brings it their events.

#include "engine/glue_h3.h"

#include <string.h>

#include "base/time.h"
#include "engine/engine.h"

// --- what HTTP/3 may do with the transport: struct plx_h3_io, its arg is the connection ----------------------

static void *io_open(struct plx_conn *c, struct plx_h3_stream *hs, bool is_uni, uint64_t *id)
{
    struct plx_stream *s;

    if (plx_stream_open(c, is_uni, &s) != PLX_OK)
        return NULL;
    plx_stream_set_user(s, hs);
    *id = plx_stream_id(s);
    return s;
}

static void *io_open_uni(void *arg, struct plx_h3_stream *hs, uint64_t *id)
{
    return io_open(arg, hs, true, id);
}

static void *io_open_bidi(void *arg, struct plx_h3_stream *hs, uint64_t *id)
{
    void *s = io_open(arg, hs, false, id);
    if (s != NULL)
        plx_conn_core(arg)->n.requests++;
    return s;
}

static void *io_ask(void *arg, struct plx_h3_stream *hs, const struct plx_buf *buf, uint64_t *id)
{
    struct plx_stream *s = plx_conn_ask(arg, buf, hs);

    if (s == NULL)
        return NULL;
    plx_conn_core(arg)->n.requests++;
    *id = plx_stream_id(s);
    return s;
}

static enum plx_err io_send(void *arg, void *ts, const struct plx_buf *bufs, uint16_t count, bool fin)
{
    (void)arg;
    return plx_stream_send_many(ts, bufs, count, fin);
}

static enum plx_err io_send_copy(void *arg, void *ts, const void *data, size_t len, bool fin)
{
    (void)arg;
    return plx_stream_send_copy(ts, data, len, fin);
}

static void io_reset(void *arg, void *ts, uint64_t code)
{
    (void)arg;
    plx_stream_reset(ts, code);
}

static void io_stop_sending(void *arg, void *ts, uint64_t code)
{
    (void)arg;
    plx_stream_stop_sending(ts, code);
}

static void io_resume(void *arg, void *ts)
{
    (void)arg;
    plx_stream_resume(ts);
}

static uint64_t io_unsent(void *arg, void *ts)
{
    (void)arg;
    return plx_stream_unsent(ts);
}

static void io_notify(void *arg, void *ts, uint64_t below)
{
    (void)arg;
    plx_stream_notify(ts, below);
}

static void io_close(void *arg, uint64_t code, const char *why)
{
    plx_conn_close(arg, code, why);
}

static void io_wake(void *arg)
{
    plx_unpark(plx_conn_core(arg), arg);
}

static const struct plx_h3_io io = {
    .open_uni = io_open_uni,
    .open_bidi = io_open_bidi,
    .ask = io_ask,
    .send = io_send,
    .send_copy = io_send_copy,
    .reset = io_reset,
    .stop_sending = io_stop_sending,
    .resume = io_resume,
    .unsent = io_unsent,
    .notify = io_notify,
    .close = io_close,
    .wake = io_wake,
};

// --- what the transport tells HTTP/3 --------------------------------------------------------------------------

static bool begin(struct plx_core *k, struct plx_conn *c)
{
    struct plx_econn *e = plx_econn_of(k, c);

    e->h3 = plx_h3_conn_new(&k->h3_env, plx_conn_is_server(c), &io, c, k->engine->cfg.h3, c);
    if (e->h3 != NULL)
        plx_h3_conn_set_user(e->h3, plx_conn_user(c));
    plx_conn_want_messages(c);
    return e->h3 != NULL;
}

static void start(struct plx_core *k, struct plx_h3_conn *h3, void (*tell)(struct plx_h3_conn *h3))
{
    plx_h3_conn_start(h3);
    if (k->stop_stage != PLX_STOP_NO)
        plx_h3_conn_shutdown(h3);
    if (tell != NULL)
        tell(h3);
}

bool plx_glue_h3_open(struct plx_core *k, struct plx_conn *c)
{
    if (!begin(k, c))
        return false;
    start(k, plx_econn_of(k, c)->h3, k->engine->cfg.h3->on_open);
    return true;
}

bool plx_glue_h3_early(struct plx_core *k, struct plx_conn *c, const uint8_t *app, size_t len)
{
    const struct plx_h3_handler *handler = k->engine->cfg.h3;
    struct plx_econn *e = plx_econn_of(k, c);

    if (!begin(k, c))
        return false;
    plx_h3_conn_early(e->h3, app, len);
    start(k, e->h3, plx_conn_is_server(c) ? handler->on_open : handler->on_early);
    return true;
}

void plx_glue_h3_complete(struct plx_core *k, struct plx_conn *c, bool was_accepted)
{
    const struct plx_h3_handler *handler = k->engine->cfg.h3;
    struct plx_econn *e = plx_econn_of(k, c);

    plx_h3_conn_complete(e->h3, was_accepted);
    if (!plx_conn_is_server(c) && handler->on_open != NULL)
        handler->on_open(e->h3);
}

size_t plx_glue_h3_remember(struct plx_core *k, struct plx_conn *c, uint8_t *out, size_t cap)
{
    const struct plx_econn *e = plx_econn_of(k, c);

    if (plx_conn_is_server(c))
        return plx_h3_cfg_remember(&k->h3_env.cfg, true, out, cap);
    return e->h3 != NULL ? plx_h3_conn_remember(e->h3, out, cap) : 0;
}

static void refuse(struct plx_stream *s)
{
    plx_stream_stop_sending(s, PLX_H3_REQUEST_REJECTED);
    if (!plx_stream_is_uni(s))
        plx_stream_reset(s, PLX_H3_REQUEST_REJECTED);
}

void plx_glue_h3_stream(struct plx_core *k, struct plx_conn *c, struct plx_stream *s)
{
    struct plx_econn *e = plx_econn_of(k, c);
    bool is_uni = plx_stream_is_uni(s);
    struct plx_h3_stream *hs = plx_h3_on_open(e->h3, s, plx_stream_id(s), is_uni);

    plx_stream_set_user(s, hs);
    if (hs == NULL) {
        refuse(s);
        return;
    }
    k->n.requests += !is_uni;
}

// A request in one piece: what plx_glue_h3_stream() and plx_glue_h3_data() do for others, at a server.
size_t plx_glue_h3_message(struct plx_core *k, struct plx_h3_conn *h3, struct plx_stream *s,
                           const uint8_t *data, size_t len)
{
    struct plx_h3_stream *hs = h3 != NULL ? plx_h3_on_open(h3, s, plx_stream_id(s), false) : NULL;

    plx_stream_set_user(s, hs);
    if (hs == NULL) {
        refuse(s);
        return len;
    }
    k->n.requests++;
    return plx_h3_on_message(h3, hs, data, len);
}

// GOAWAY is out and the last request is done: nothing keeps the connection (RFC 9114 section 5.2). A client ends it at once. A server
// leaves that to the client for a while, whose program may not have read yet what its transport has acknowledged: see plx_glue_h3_linger.
static void close_if_drained(struct plx_conn *c, struct plx_h3_conn *h3)
{
    if (!plx_conn_is_server(c) && plx_h3_conn_is_drained(h3))
        plx_conn_close(c, PLX_H3_NO_ERROR, "");
}

void plx_glue_h3_linger(struct plx_core *k, struct plx_econn *e)
{
    static const plx_dur linger = PLX_SEC(3);

    if (e->is_dead)
        return;
    plx_h3_conn_shutdown(e->h3); // again, if GOAWAY found no stream or no memory
    if (plx_h3_conn_is_drained(e->h3) && plx_time_reached(plx_time_after(e->heard_at, linger), k->now))
        plx_conn_close(plx_econn_conn(e), PLX_H3_NO_ERROR, "");
}

void plx_glue_h3_shutdown(struct plx_conn *c, struct plx_h3_conn *h3)
{
    plx_h3_conn_shutdown(h3);
    close_if_drained(c, h3);
}

// An answer in one piece. As a rule its request is open until its stream is closed, and nothing can be drained by it.
size_t plx_glue_h3_answer(struct plx_conn *c, struct plx_h3_conn *h3, struct plx_stream *s,
                          const uint8_t *data, size_t len)
{
    struct plx_h3_stream *hs = plx_stream_user(s);
    bool is_gone;

    if (h3 == NULL || hs == NULL)
        return len;
    size_t taken = plx_h3_on_answer(h3, hs, data, len, &is_gone);
    if (is_gone) {
        plx_stream_set_user(s, NULL);
        close_if_drained(c, h3);
    }
    return taken;
}

size_t plx_glue_h3_data(struct plx_conn *c, struct plx_h3_conn *h3, struct plx_stream *s, const uint8_t *data,
                        size_t len, bool fin)
{
    struct plx_h3_stream *hs = plx_stream_user(s);

    if (hs == NULL)
        return len; // refused above
    size_t taken = plx_h3_on_data(h3, hs, data, len, fin);
    close_if_drained(c, h3);
    return taken;
}

void plx_glue_h3_closed(struct plx_conn *c, struct plx_h3_conn *h3, struct plx_stream *s)
{
    struct plx_h3_stream *hs = plx_stream_user(s);

    if (hs == NULL)
        return;
    plx_stream_set_user(s, NULL);
    plx_h3_on_closed(h3, hs);
    close_if_drained(c, h3);
}

void plx_glue_h3_dead(struct plx_core *k, struct plx_conn *c)
{
    struct plx_econn *e = plx_econn_of(k, c);
    const struct plx_h3_handler *handler = k->engine->cfg.h3;
    struct plx_h3_conn *h3 = e->h3;
    struct plx_close_info why;

    plx_conn_close_info(c, &why);
    if (handler->on_close != NULL)
        handler->on_close(h3, c, &why);
    if (h3 == NULL)
        return;
    uint64_t code = why.how == PLX_CLOSE_APPLICATION ? why.code : PLX_H3_INTERNAL_ERROR;
    e->h3 = NULL; // what the transport still says about its streams is of no interest any more
    plx_h3_conn_free(h3, code, why.is_peer);
}
