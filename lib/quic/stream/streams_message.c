// streams_message.c -- the short road of messages that are one frame: what nearly every request is, and every short answer to one.
//
// The life of a lean stream (stream.h) from its first frame to its last acknowledgement, top to bottom. Nothing here is another protocol: each
// step asks once whether it is that simple, and does what the files around it would do one thing after another. When something comes in between
// (a loss, a reset, a program that does not take everything), at any point, the stream is unfolded: it becomes what those files
// would have made of it, and goes on there.
//
// For what is sent s->lean says how far it is; for what arrives it is the new number, the FIN, and no flags.

#include "quic/stream/streams_int.h"

#include <string.h>

#include "base/pool.h"

// --- the other lines ---------------------------------------------------------------------------------------

void plx_stream_unfold_lean(struct plx_stream *s)
{
    static const uint8_t fin[] = {[PLX_LEAN_READY] = PLX_FIN_NONE,
                                  [PLX_LEAN_QUEUED] = PLX_FIN_QUEUED,
                                  [PLX_LEAN_SENT] = PLX_FIN_SENT,
                                  [PLX_LEAN_ACKED] = PLX_FIN_ACKED};
    struct plx_buf piece = s->send.piece[0];

    plx_unpoison((const uint8_t *)s + PLX_STREAM_LEAN_SIZE, sizeof *s - PLX_STREAM_LEAN_SIZE);
    plx_sendbuf_init_whole(&s->send, &piece, fin[s->lean]);
    s->lean = PLX_LEAN_NO;
    plx_list_init(&s->ctl_node);
    plx_list_init(&s->later);
    s->held = NULL;
    s->reset_code = s->stop_code = s->notify_below = 0;
    plx_flow_init(&s->flow, s->recv_limit); // it was not raised so far
}

// --- a request comes ---------------------------------------------------------------------------------------

// The peer's next stream of two directions, all of it, and there is room for it.
static bool is_message(const struct plx_streams *ss, const struct plx_window *w,
                       const struct plx_frame_stream *f)
{
    return f->id == w->next << 2 && ss->wants_messages && f->fin && f->offset == 0 && f->len > 0 &&
           f->len <= ss->request_window && f->len <= ss->flow.limit - ss->recvd && w->next < w->limit &&
           w->next - w->base < w->cap;
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
    stream_begin(ss, s, f->id);
    s->recv_state = PLX_RECV_DATA_RECVD;
    s->flags = PLX_STREAM_IN_DATA;
    s->recvd = f->len;
    s->recv_limit = f->len; // nothing may follow
    ss->count++;
    ss->recvd += f->len;
    streams_enter(ss);
    plx_stream_taken(s, f, ss->events->on_message(ss->arg, s, f->data, (size_t)f->len));
    plx_streams_leave(ss);
    return true;
}

// --- what is sent ------------------------------------------------------------------------------------------

// The piece is all there is, and nothing is in its way.
static void queue(struct plx_streams *ss, struct plx_stream *s, const struct plx_buf *buf)
{
    s->send.piece[0] = *buf;
    s->lean = PLX_LEAN_QUEUED;
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
    plx_window_add(w, s);
    ss->count++;
    queue(ss, s, buf);
    return s;
}

static bool can_queue(const struct plx_streams *ss, const struct plx_stream *s, size_t len)
{
    return s->lean == PLX_LEAN_READY && len > 0 && s->send_limit > 0 && ss->sent < ss->send_limit;
}

bool plx_stream_message_send(struct plx_streams *ss, struct plx_stream *s, const struct plx_buf *buf)
{
    if (!can_queue(ss, s, buf->len))
        return false;
    queue(ss, s, buf);
    return true;
}

bool plx_stream_message_send_copy(struct plx_streams *ss, struct plx_stream *s, const void *data, size_t len)
{
    struct plx_buf piece;

    if (!can_queue(ss, s, len) || !plx_sendbuf_copy_whole(ss->slab, data, len, &piece))
        return false;
    queue(ss, s, &piece);
    return true;
}

bool plx_stream_message_write(struct plx_streams *ss, struct plx_stream *s, struct plx_wr *w,
                              struct plx_refs *refs)
{
    const struct plx_buf *piece = &s->send.piece[0];
    size_t len = piece->len;

    if (s->lean != PLX_LEAN_QUEUED || len > s->send_limit || len >= ss->send_limit - ss->sent ||
        !plx_refs_has_room(refs) || plx_wr_left(w) < len + PLX_STREAM_HEAD_MAX)
        return false;
    uint8_t *to = plx_frame_stream_whole(w, s->id, len);
    plx_check(!w->is_full);
    memcpy(to, piece->data, len);
    ss->sent += len;
    s->lean = PLX_LEAN_SENT;
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
    struct plx_buf piece = s->send.piece[0];

    s->lean = PLX_LEAN_ACKED;
    s->send_state = PLX_SEND_DATA_RECVD;
    plx_sendbuf_release(ss->slab, &piece);
    if (plx_recv_is_over(s->recv_state))
        plx_stream_end(ss, s);
}
