// streams_int.h -- what the files of the container share: finding, making and ending streams, credit, and the list of what to write.

#ifndef PLX_QUIC_STREAMS_INT_H
#define PLX_QUIC_STREAMS_INT_H

#include <string.h>

#include "base/check.h"
#include "base/poison.h"
#include "quic/stream/streams.h"

// Streams are closed when the outermost call from below ends, so no pointer goes bad under anybody's feet.
static inline void streams_enter(struct plx_streams *ss)
{
    ss->depth++;
}
// Streams that are over are closed when nobody stands on them any more: by the outermost.
void plx_streams_bury(struct plx_streams *ss);
static inline void plx_streams_leave(struct plx_streams *ss)
{
    if (ss->depth == 1 && !plx_list_is_empty(&ss->over))
        plx_streams_bury(ss);
    ss->depth--;
}

static inline unsigned stream_kind(uint64_t id)
{
    return (unsigned)(id & 3);
}
static inline uint64_t stream_number(uint64_t id)
{
    return id >> 2;
}
static inline bool stream_id_is_local(const struct plx_streams *ss, uint64_t id)
{
    return plx_stream_id_is_server(id) == ss->is_server;
}
static inline struct plx_window *window_of(struct plx_streams *ss, uint64_t id)
{
    return &ss->window[stream_kind(id)];
}

// The stream that a reference of ours names; NULL when it is gone (or was refused).
static inline struct plx_stream *stream_of_ref(struct plx_streams *ss, uint64_t id)
{
    struct plx_stream *slot = plx_window_find(window_of(ss, id), stream_number(id));
    return plx_slot_is_stream(slot) ? slot : NULL;
}

// --- finding, for frames received ---
enum plx_stream_half { PLX_HALF_RECV, PLX_HALF_SEND }; // of ours: which one the frame is about
struct plx_lookup {
    struct plx_stream *stream; // both NULL with error 0: the stream is closed, the frame is to be ignored
    struct plx_refused *refused;
    uint64_t error;
};
// Makes the stream when it is the peer's and new.
struct plx_lookup plx_streams_look_up(struct plx_streams *ss, uint64_t id, enum plx_stream_half half);

// --- lean streams: what their other lines would say is written when somebody is about to look ---
void plx_stream_unfold_lean(struct plx_stream *s); // streams_message.c
static inline void plx_stream_unfold(struct plx_stream *s)
{
    if (s->lean != PLX_LEAN_NO)
        plx_stream_unfold_lean(s);
}
// One that nothing has happened to. AddressSanitizer finds whoever reads its other lines.
static inline void stream_begin(struct plx_streams *ss, struct plx_stream *s, uint64_t id)
{
    memset(s, 0, offsetof(struct plx_stream, ready));
    s->lean = PLX_LEAN_READY;
    s->id = id;
    s->streams = ss;
    s->send_state = PLX_SEND_READY;
    s->send_limit = ss->request_send_limit;
    plx_list_init(&s->ready);
    plx_poison((const uint8_t *)s + PLX_STREAM_LEAN_SIZE, sizeof *s - PLX_STREAM_LEAN_SIZE);
}

// --- messages of one frame: streams_message.c ---
// All of a request, on a new stream. False: it is not that, and nothing was done.
bool plx_streams_on_message(struct plx_streams *ss, const struct plx_frame_stream *f);
// All of an answer, on a stream of ours. False: it is not that, and nothing was done.
bool plx_streams_on_answer(struct plx_streams *ss, const struct plx_frame_stream *f);
// All of what will be sent, in one piece. False: it is not that simple, and nothing was done.
bool plx_stream_message_send(struct plx_streams *ss, struct plx_stream *s, const struct plx_buf *buf);
// The same for octets that are copied.
bool plx_stream_message_send_copy(struct plx_streams *ss, struct plx_stream *s, const void *data, size_t len);
bool plx_stream_message_write(struct plx_streams *ss, struct plx_stream *s, struct plx_wr *w,
                              struct plx_refs *refs);
void plx_stream_message_acked(struct plx_streams *ss, struct plx_stream *s); // lean is SENT
enum { PLX_STREAM_HEAD_MAX = 1 + 8 + 8 }; // of a frame with the first octets of a stream
// Of a message that came whole so much was taken, by on_message, on_answer or on_data: streams_recv.c.
void plx_stream_left(struct plx_stream *s, const struct plx_frame_stream *f, size_t taken);

// --- ending ---
// Its number, its place and the object: whoever closes it has seen to what it holds.
void plx_stream_forget(struct plx_streams *ss, struct plx_stream *s);
void plx_streams_end_refused(struct plx_streams *ss, struct plx_refused *r); // if it is over
void plx_streams_set_over(struct plx_streams *ss, struct plx_stream *s);     // both halves are
static inline void plx_streams_check_over(struct plx_streams *ss, struct plx_stream *s)
{
    if (plx_recv_is_over(s->recv_state) && plx_send_is_over(s->send_state))
        plx_streams_set_over(ss, s);
}

// Both halves have come to a good end. When nobody stands on the stream there is no need to wait.
static inline void plx_stream_end(struct plx_streams *ss, struct plx_stream *s)
{
    plx_debug(s->lean != PLX_LEAN_NO || s->held == NULL); // the end was good: all of it was taken
    if (ss->depth == 1 && s->flags == 0 && s->ctl == 0)
        plx_stream_forget(ss, s);
    else
        plx_streams_set_over(ss, s);
}

// Octets of the connection that are consumed, for whatever stream.
void plx_streams_consume(struct plx_streams *ss, uint64_t len);
static inline void plx_stream_taken(struct plx_stream *s, const struct plx_frame_stream *f, size_t taken)
{
    if (__builtin_expect(taken != f->len || s->flags != PLX_STREAM_IN_DATA, 0)) {
        plx_stream_left(s, f, taken);
        return;
    }
    s->flags = 0;
    s->read = taken;
    s->recv_state = PLX_RECV_DATA_READ;
    plx_streams_consume(s->streams, taken);
    if (plx_send_is_over(s->send_state))
        plx_stream_end(s->streams, s);
}

// --- credit ---
// Octets that arrived for the first time: counted against the connection's limit. False: beyond it.
bool plx_streams_count_recvd(struct plx_streams *ss, uint64_t len);

// --- things to write ---
static inline void streams_wake(struct plx_streams *ss)
{
    if (!ss->is_ending)
        ss->events->on_wake(ss->arg);
}
void plx_streams_want_ctl(struct plx_streams *ss, unsigned ctl);
void plx_stream_want_ctl(struct plx_stream *s, unsigned ctl);
void plx_stream_drop_ctl(struct plx_stream *s, unsigned ctl);
// After its buffers or limits changed: into the right list; BLOCKED frames where a limit is in the way.
void plx_stream_reschedule(struct plx_stream *s);
// The peer has raised how many streams we may open. False: it has not.
bool plx_streams_raise_streams(struct plx_streams *ss, bool is_uni, uint64_t maximum);
// The peer has raised what it allows on a stream: what was said about the old limit is void.
void plx_stream_raise_limit(struct plx_stream *s, uint64_t maximum);
void plx_streams_write_all_ctl(struct plx_streams *ss, struct plx_wr *w, struct plx_refs *refs, plx_time now,
                               plx_dur rtt);
static inline bool plx_streams_has_ctl(const struct plx_streams *ss)
{
    return ss->ctl != 0 || !plx_list_is_empty(&ss->ctl_streams) || ss->is_refused_waiting;
}
static inline void plx_streams_write_ctl(struct plx_streams *ss, struct plx_wr *w, struct plx_refs *refs,
                                         plx_time now, plx_dur rtt)
{
    if (plx_streams_has_ctl(ss))
        plx_streams_write_all_ctl(ss, w, refs, now, rtt);
}

// --- halves ---
void plx_stream_reset_half(struct plx_stream *s, uint64_t code); // the sending one; nothing when it is over
void plx_stream_discard(struct plx_stream *s,
                        uint64_t code); // the receiving one: STOP_SENDING where it helps
void plx_stream_finish_discard(struct plx_stream *s);
void plx_stream_offer(struct plx_stream *s); // kept octets, and a FIN that waits

#endif
