// streams_message.c -- the short road of messages that are one frame: what nearly every request is, and every short answer to one.
//
// The life of such a stream from its first frame to its last acknowledgement, top to bottom. Nothing here is another protocol: each step
// asks once whether it is that simple, does what the files around it would do one thing after another, and leaves the stream
// as they would leave it. So whatever comes in between (a loss, a reset, a program that does not take everything) goes on there, at any point.
// s->message says that nothing has come in between for what is sent; for what arrives it is the new number, the FIN, and no flags.

#include "quic/stream/streams_int.h"

#include <string.h>

#include "base/pool.h"

// --- a request comes ---------------------------------------------------------------------------------------

// The peer's next stream of two directions, all of it, and there is room for it.
static bool is_message(const struct plx_streams *ss, const struct plx_window *w,
                       const struct plx_frame_stream *f)
{
    return f->id == w->next << 2 && ss->wants_messages && f->fin && f->offset == 0 && f->len > 0 &&
           f->len <= ss->request_window && f->len <= ss->flow.limit - ss->recvd && w->next < w->limit &&
           w->next - w->base < w->cap;
}

// What both sides begin with.
static inline void stream_begin(struct plx_streams *ss, struct plx_stream *s, uint64_t id)
{
    memset(s, 0, offsetof(struct plx_stream, send)); // line by line: both at once are a loop
    memset(&s->send, 0, offsetof(struct plx_sendbuf, piece));
    s->send.acks = s->send.lost = NULL;
    s->id = id;
    s->streams = ss;
    s->send_state = PLX_SEND_READY;
    s->send_limit = ss->request_send_limit;
    plx_list_init(&s->ready);
    plx_list_init(&s->ctl_node);
    plx_list_init(&s->later);
    s->held = NULL;
    s->notify_below = 0;
}

// What is never read of a stream whose size is known from the beginning stays as it was.
static void message_init(struct plx_streams *ss, struct plx_stream *s, const struct plx_frame_stream *f)
{
    stream_begin(ss, s, f->id);
    s->recv_state = PLX_RECV_DATA_RECVD;
    s->flags = PLX_STREAM_IN_DATA;
    s->recvd = f->len;
    s->recv_limit = f->len; // nothing may follow
}

bool plx_streams_on_message(struct plx_streams *ss, const struct plx_frame_stream *f)
{
    struct plx_window *w = &ss->window[0]; // of streams that clients open

    if (!is_message(ss, w, f))
        return false;
    struct plx_stream *s = plx_pool_take(ss->pool);
    if (s == NULL)
        return false;
    plx_window_add(w, s);
    message_init(ss, s, f);
    ss->count++;
    ss->recvd += f->len;
    streams_enter(ss);
    plx_stream_taken(s, f, ss->events->on_message(ss->arg, s, f->data, (size_t)f->len));
    plx_streams_leave(ss);
    return true;
}

// --- what is sent ------------------------------------------------------------------------------------------

// The piece is all there is, and nothing is in its way.
static void queue(struct plx_streams *ss, struct plx_stream *s)
{
    s->message = PLX_MESSAGE_QUEUED;
    plx_sched_add_fresh(&ss->sched, s);
    streams_wake(ss);
}

// A request of ours: opened, and all of it queued.
struct plx_stream *plx_streams_ask(struct plx_streams *ss, const struct plx_buf *buf, void *user)
{
    struct plx_window *w = &ss->window[0];
    uint64_t limit = ss->request_window;

    if (ss->is_server || w->next >= w->limit || w->next - w->base >= w->cap || buf->len == 0 ||
        ss->request_send_limit == 0 || ss->sent >= ss->send_limit || limit == UINT32_MAX /* cut */)
        return NULL;
    struct plx_stream *s = plx_pool_take(ss->pool);
    if (s == NULL)
        return NULL;
    stream_begin(ss, s, w->next << 2);
    s->user = user;
    s->recv_state = PLX_RECV_RECV;
    s->recv_limit = limit;
    plx_flow_init(&s->flow, limit);
    s->reset_code = s->stop_code = 0;
    plx_window_add(w, s);
    ss->count++;
    plx_sendbuf_add_whole(&s->send, buf);
    queue(ss, s);
    return s;
}

bool plx_stream_message_send(struct plx_streams *ss, struct plx_stream *s, const struct plx_buf *buf)
{
    if (s->send_state != PLX_SEND_READY || s->send.end != 0 || s->send.fin != PLX_FIN_NONE || buf->len == 0 ||
        s->send_limit == 0 || ss->sent >= ss->send_limit)
        return false;
    plx_sendbuf_add_whole(&s->send, buf);
    queue(ss, s);
    return true;
}

bool plx_stream_message_queue(struct plx_streams *ss, struct plx_stream *s)
{
    if (!plx_sendbuf_is_whole(&s->send) || s->ready_in != PLX_SCHED_NONE || s->send_limit == 0 ||
        ss->sent >= ss->send_limit)
        return false;
    queue(ss, s);
    return true;
}

bool plx_stream_message_write(struct plx_streams *ss, struct plx_stream *s, struct plx_wr *w,
                              struct plx_refs *refs)
{
    uint64_t len = s->send.end;

    if (s->message != PLX_MESSAGE_QUEUED || len > s->send_limit || len >= ss->send_limit - ss->sent ||
        !plx_refs_has_room(refs) || plx_wr_left(w) < len + PLX_STREAM_HEAD_MAX)
        return false;
    uint8_t *to = plx_frame_stream_whole(w, s->id, len);
    plx_check(!w->is_full);
    plx_sendbuf_send_whole(&s->send, to);
    ss->sent += len;
    s->message = PLX_MESSAGE_SENT;
    s->send_state = PLX_SEND_DATA_SENT;
    refs->v[refs->count++] =
        (struct plx_ref){.id = s->id, .len = (uint32_t)len, .kind = PLX_REF_STREAM, .fin = true};
    plx_sched_remove(s);
    return true;
}

// --- an answer comes ---------------------------------------------------------------------------------------

// The stream of ours that nothing has been heard of, and this is all. NULL: it is not that simple.
static struct plx_stream *answered(const struct plx_streams *ss, const struct plx_frame_stream *f)
{
    const struct plx_window *w = &ss->window[0];
    uint64_t number = stream_number(f->id);

    if (!ss->wants_answers || stream_kind(f->id) != 0 || !f->fin || f->offset != 0 ||
        number - w->base >= w->cap)
        return NULL;
    struct plx_stream *s = w->ring[number & (w->cap - 1)];
    bool is_it = plx_slot_is_stream(s) && s->recv_state == PLX_RECV_RECV && s->recvd == 0 && s->flags == 0 &&
                 f->len > 0 && f->len <= s->recv_limit && f->len <= ss->flow.limit - ss->recvd;
    return is_it ? s : NULL;
}

bool plx_streams_on_answer(struct plx_streams *ss, const struct plx_frame_stream *f)
{
    struct plx_stream *s = answered(ss, f);

    if (s == NULL)
        return false;
    ss->recvd += f->len;
    s->recvd = f->len;
    s->recv_state = PLX_RECV_DATA_RECVD;
    s->flags = PLX_STREAM_IN_DATA;
    streams_enter(ss);
    plx_stream_taken(s, f, ss->events->on_answer(ss->arg, s, f->data, (size_t)f->len));
    plx_streams_leave(ss);
    return true;
}

// --- and its end -------------------------------------------------------------------------------------------

// Its one frame has arrived. In front of the owner's release, which may call us: nothing is left to reset.
void plx_stream_message_acked(struct plx_streams *ss, struct plx_stream *s)
{
    s->message = PLX_MESSAGE_NO;
    s->send_state = PLX_SEND_DATA_RECVD;
    plx_sendbuf_whole_acked(&s->send, ss->slab);
    if (plx_recv_is_over(s->recv_state))
        plx_stream_end(ss, s);
}
