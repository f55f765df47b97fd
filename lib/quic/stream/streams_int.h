// streams_int.h -- what the files of the container share: finding, making and ending streams, credit, and the list of what to write.

#ifndef PLX_QUIC_STREAMS_INT_H
#define PLX_QUIC_STREAMS_INT_H

#include "base/check.h"
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
    return plx_stream_id_is_server(id) == ss->cfg.is_server;
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

// --- ending ---
void plx_streams_end_refused(struct plx_streams *ss, struct plx_refused *r); // if it is over
void plx_streams_check_over(struct plx_streams *ss, struct plx_stream *s);

// --- credit ---
// Octets that arrived for the first time: counted against the connection's limit. False: beyond it.
bool plx_streams_count_recvd(struct plx_streams *ss, uint64_t len);
// Octets of the connection that are consumed, for whatever stream.
void plx_streams_consume(struct plx_streams *ss, uint64_t len);

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
    return ss->ctl != 0 || !plx_list_is_empty(&ss->ctl_streams) || ss->refused.is_waiting;
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
