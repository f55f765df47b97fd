// stream.c -- what applications call on a stream (include/plx/conn.h). The work is done by the container.

#include "quic/stream/stream.h"

#include <plx/conn.h>

#include "quic/stream/streams_int.h"

enum plx_err plx_stream_send(struct plx_stream *s, struct plx_buf buf, bool fin)
{
    return plx_streams_send(s->streams, s, &buf, 1, fin);
}

enum plx_err plx_stream_send_many(struct plx_stream *s, const struct plx_buf *bufs, uint16_t count, bool fin)
{
    return plx_streams_send(s->streams, s, bufs, count, fin);
}

enum plx_err plx_stream_send_copy(struct plx_stream *s, const void *data, size_t len, bool fin)
{
    return plx_streams_send_copy(s->streams, s, data, len, fin);
}

void plx_stream_reset(struct plx_stream *s, uint64_t code)
{
    plx_streams_reset(s->streams, s, code);
}

void plx_stream_stop_sending(struct plx_stream *s, uint64_t code)
{
    plx_streams_stop_sending(s->streams, s, code);
}

void plx_stream_resume(struct plx_stream *s)
{
    plx_streams_resume(s->streams, s);
}

uint64_t plx_stream_id(const struct plx_stream *s)
{
    return s->id;
}

bool plx_stream_is_uni(const struct plx_stream *s)
{
    return plx_stream_id_is_uni(s->id);
}

bool plx_stream_is_local(const struct plx_stream *s)
{
    return plx_stream_id_is_server(s->id) == s->streams->cfg.is_server;
}

void plx_stream_notify(struct plx_stream *s, uint64_t below)
{
    plx_stream_unfold(s);
    s->notify_below = below;
}

uint64_t plx_stream_unsent(const struct plx_stream *s)
{
    if (s->lean == PLX_LEAN_NO)
        return s->send.end - s->send.acked;
    return s->lean == PLX_LEAN_QUEUED || s->lean == PLX_LEAN_SENT ? s->send.piece[0].len : 0;
}

void *plx_stream_user(const struct plx_stream *s)
{
    return s->user;
}

void plx_stream_set_user(struct plx_stream *s, void *user)
{
    s->user = user;
}

struct plx_conn *plx_stream_conn(const struct plx_stream *s)
{
    return s->streams->arg;
}
