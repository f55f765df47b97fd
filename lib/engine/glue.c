// glue.c -- events of connections to whoever they concern: the table of IDs, the ready list, HTTP/3, or a raw program.

#include "engine/core.h"
#include "engine/engine.h"
#include "engine/glue_h3.h"

#include <string.h>

static struct plx_econn *econn(const struct plx_conn *c)
{
    size_t size = (plx_conn_size() + PLX_CONN_ALIGN - 1) & ~(size_t)(PLX_CONN_ALIGN - 1);
    return (struct plx_econn *)((uint8_t *)(uintptr_t)c + size);
}

struct plx_core *plx_conn_core(const struct plx_conn *conn)
{
    return econn(conn)->core;
}

struct plx_h3_conn *plx_conn_h3(const struct plx_conn *conn)
{
    return econn(conn)->h3;
}

void *plx_conn_ctx(const struct plx_conn *conn)
{
    const struct plx_econn *e = econn(conn);
    const struct plx_engine_cfg *cfg = &e->core->engine->cfg;

    if (e->raw != NULL)
        return e->raw->ctx;
    if (e->h3 != NULL || e->wants_h3)
        return cfg->h3->ctx;
    return cfg->raw != NULL ? cfg->raw->ctx : NULL;
}

static void on_open(void *arg, struct plx_conn *c)
{
    struct plx_core *k = arg;
    struct plx_econn *e = plx_econn_of(k, c);
    struct plx_conn_info info;

    plx_conn_info(c, &info);
    if (e->h3 != NULL) { // since on_early
        plx_glue_h3_complete(k, c, info.early == PLX_EARLY_ACCEPTED);
        return;
    }
    if (k->engine->cfg.h3 != NULL && strcmp(info.alpn, "h3") == 0) {
        e->was_opened = true;
        if (!plx_glue_h3_open(k, c))
            plx_conn_close(c, PLX_H3_EXCESSIVE_LOAD, "no HTTP/3 connection object left");
        return;
    }
    if (k->engine->cfg.raw == NULL) { // TLS chose a protocol that the program named but does not serve
        plx_conn_close(c, 0, "no handler for this protocol");
        return;
    }
    e->was_opened = true;
    e->raw = k->engine->cfg.raw;
    if (e->raw->on_open != NULL)
        e->raw->on_open(c);
}

// Only HTTP/3 has early data: it knows which of its requests may come twice.
static bool accepts_early(void *arg, struct plx_conn *c, const char *alpn, const uint8_t *app, size_t len)
{
    struct plx_core *k = arg;
    uint8_t ours[64];

    if (k->engine->cfg.h3 == NULL || strcmp(alpn, "h3") != 0 || k->stop_stage != PLX_STOP_NO)
        return false;
    //= rfc9114 7.2.4.2 "it MUST NOT accept 0-RTT data"
    return plx_glue_h3_remember(k, c, ours, sizeof ours) == len && memcmp(ours, app, len) == 0;
}

static size_t early_context(void *arg, struct plx_conn *c, uint8_t *out, size_t cap)
{
    struct plx_core *k = arg;

    return k->engine->cfg.h3 != NULL ? plx_glue_h3_remember(k, c, out, cap) : 0;
}

static void on_early(void *arg, struct plx_conn *c, const uint8_t *app, size_t len)
{
    struct plx_core *k = arg;
    struct plx_conn_info info;

    plx_conn_info(c, &info);
    if (strcmp(info.alpn, "h3") != 0)
        return; // a client's session of another protocol: its early data stays empty
    plx_econn_of(k, c)->was_opened = true;
    if (!plx_glue_h3_early(k, c, app, len))
        plx_conn_close(c, PLX_H3_EXCESSIVE_LOAD, "no HTTP/3 connection object left");
}

static void on_stream(void *arg, struct plx_conn *c, struct plx_stream *s)
{
    struct plx_core *k = arg;
    struct plx_econn *e = plx_econn_of(k, c);

    if (e->h3 != NULL)
        plx_glue_h3_stream(k, c, s);
    else if (e->raw != NULL && e->raw->on_stream != NULL)
        e->raw->on_stream(s);
}

static size_t on_data(void *arg, struct plx_conn *c, struct plx_stream *s, const uint8_t *data, size_t len,
                      bool fin)
{
    struct plx_econn *e = plx_econn_of(arg, c);

    if (e->h3 != NULL)
        return plx_glue_h3_data(c, e->h3, s, data, len, fin);
    if (e->raw != NULL && e->raw->on_data != NULL)
        return e->raw->on_data(s, data, len, fin);
    return len;
}

static size_t on_message(void *arg, struct plx_conn *c, struct plx_stream *s, const uint8_t *data, size_t len)
{
    struct plx_core *k = arg;

    return plx_glue_h3_message(k, plx_econn_of(k, c)->h3, s, data, len);
}

static size_t on_answer(void *arg, struct plx_conn *c, struct plx_stream *s, const uint8_t *data, size_t len)
{
    return plx_glue_h3_answer(c, plx_econn_of(arg, c)->h3, s, data, len);
}

static void on_reset(void *arg, struct plx_conn *c, struct plx_stream *s, uint64_t code)
{
    struct plx_econn *e = plx_econn_of(arg, c);

    if (e->h3 != NULL && plx_stream_user(s) != NULL)
        plx_h3_on_reset(e->h3, plx_stream_user(s), code);
    else if (e->raw != NULL && e->raw->on_reset != NULL)
        e->raw->on_reset(s, code);
}

static void on_stop_sending(void *arg, struct plx_conn *c, struct plx_stream *s, uint64_t code)
{
    struct plx_econn *e = plx_econn_of(arg, c);

    if (e->h3 != NULL && plx_stream_user(s) != NULL)
        plx_h3_on_stop_sending(e->h3, plx_stream_user(s), code);
    else if (e->raw != NULL && e->raw->on_stop_sending != NULL)
        e->raw->on_stop_sending(s, code);
}

static void on_writable(void *arg, struct plx_conn *c, struct plx_stream *s)
{
    struct plx_econn *e = plx_econn_of(arg, c);

    if (e->h3 != NULL && plx_stream_user(s) != NULL)
        plx_h3_on_writable(e->h3, plx_stream_user(s));
    else if (e->raw != NULL && e->raw->on_writable != NULL)
        e->raw->on_writable(s);
}

static void on_stream_closed(void *arg, struct plx_conn *c, struct plx_stream *s)
{
    struct plx_core *k = arg;
    struct plx_econn *e = plx_econn_of(k, c);

    // Streams that end because their connection does: HTTP/3 ends first, as a whole and with the reason, so that nobody takes a
    // request that was cut off for one that is over, nor touches its stream any more.
    if (e->h3 != NULL && plx_conn_state(c) >= PLX_CONN_CLOSING) {
        e->is_told = true;
        plx_glue_h3_dead(k, c);
    } else if (e->h3 != NULL)
        plx_glue_h3_closed(c, e->h3, s);
    else if (e->raw != NULL && e->raw->on_stream_closed != NULL)
        e->raw->on_stream_closed(s);
}

static void on_streams_available(void *arg, struct plx_conn *c, bool is_uni)
{
    struct plx_core *k = arg;
    struct plx_econn *e = plx_econn_of(k, c);

    if (e->h3 != NULL) {
        if (!is_uni && k->engine->cfg.h3->on_streams_available != NULL)
            k->engine->cfg.h3->on_streams_available(e->h3);
    } else if (e->raw != NULL && e->raw->on_streams_available != NULL) {
        e->raw->on_streams_available(c);
    }
}

static void on_session(void *arg, struct plx_conn *c, const void *session, size_t len)
{
    struct plx_core *k = arg;
    struct plx_econn *e = plx_econn_of(k, c);

    if (e->h3 != NULL) {
        if (k->engine->cfg.h3->on_session != NULL)
            k->engine->cfg.h3->on_session(e->h3, session, len);
    } else if (e->raw != NULL && e->raw->on_session != NULL) {
        e->raw->on_session(c, session, len);
    }
}

// The token is part of the session that on_session brings; by itself it is of no use to a program.
static void on_new_token(void *arg, struct plx_conn *c, const uint8_t *token, size_t len)
{
    (void)arg, (void)c, (void)token, (void)len;
}

static void on_dead(void *arg, struct plx_conn *c)
{
    struct plx_core *k = arg;
    struct plx_econn *e = plx_econn_of(k, c);

    if (e->is_dead)
        return;
    e->is_dead = true;
    plx_list_remove(&e->ready);
    plx_list_remove(&e->all);
    plx_list_add_tail(&k->dead, &e->all);
}

static bool on_cid_issued(void *arg, struct plx_conn *c, const struct plx_cid *cid)
{
    struct plx_core *k = arg;

    if (plx_demux_is_odcid(k, c, cid))
        return plx_demux_add_odcid(k, c, cid);
    return plx_demux_add_cid(k, c, cid);
}

static void on_cid_retired(void *arg, struct plx_conn *c, const struct plx_cid *cid)
{
    struct plx_core *k = arg;
    struct plx_econn *e = plx_econn_of(k, c);

    if (plx_demux_is_odcid(k, c, cid))
        plx_demux_remove_odcid(k, e);
    else
        plx_demux_remove_cid(k, cid);
}

static void on_reset_tokens(void *arg, struct plx_conn *c, const uint8_t (*tokens)[16], unsigned count)
{
    plx_demux_set_resets(arg, c, tokens, count);
}

static bool on_unpark(void *arg, struct plx_conn *c)
{
    return plx_unpark(arg, c);
}

static bool can_unpark(void *arg, struct plx_conn *c)
{
    return plx_park_has_room(arg, plx_econn_of(arg, c)->parked);
}

static void on_wake(void *arg, struct plx_conn *c)
{
    plx_core_wake(arg, c);
}

const struct plx_conn_events plx_glue_events = {
    .on_early = on_early,
    .early_context = early_context,
    .accepts_early = accepts_early,
    .on_open = on_open,
    .on_stream = on_stream,
    .on_data = on_data,
    .on_message = on_message,
    .on_answer = on_answer,
    .on_reset = on_reset,
    .on_stop_sending = on_stop_sending,
    .on_writable = on_writable,
    .on_stream_closed = on_stream_closed,
    .on_streams_available = on_streams_available,
    .on_session = on_session,
    .on_new_token = on_new_token,
    .on_dead = on_dead,
    .on_cid_issued = on_cid_issued,
    .on_cid_retired = on_cid_retired,
    .on_reset_tokens = on_reset_tokens,
    .on_wake = on_wake,
    .on_unpark = on_unpark,
    .can_unpark = can_unpark,
};

void plx_glue_dead(struct plx_core *k, struct plx_conn *c)
{
    struct plx_econn *e = plx_econn_of(k, c);

    if (e->is_told)
        return;
    // A server's connection that never opened concerns nobody; a client's is waited for.
    if (!e->was_opened && plx_conn_is_server(c))
        return;
    if (e->h3 != NULL || (!e->was_opened && e->wants_h3)) {
        plx_glue_h3_dead(k, c);
        return;
    }
    const struct plx_conn_handler *raw = e->raw != NULL ? e->raw : k->engine->cfg.raw;
    struct plx_close_info why;

    e->raw = NULL; // nothing more about its streams
    if (raw != NULL && raw->on_close != NULL) {
        plx_conn_close_info(c, &why);
        raw->on_close(c, &why);
    }
}
