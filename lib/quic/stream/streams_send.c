// streams_send.c -- what leaves: octets from above into buffers, and from buffers into packets (RFC 9000 sections 3.1, 4.1).
//
// A packet is filled from the lists of sched.h: the first stream writes as much as there is and as fits; a small one is finished and the
// next shares the packet; one that fills it goes behind the others. So the packets of large streams alternate, and the small ones are packed.

#include "quic/stream/streams_int.h"

enum {
    SPLIT_MIN = 64, // rather leave so much of a packet empty than begin a larger stream in it
    PREFETCH_AHEAD =
        4, // full packets between the one that was written and the octets that are fetched from memory meanwhile
};

// --- from above --------------------------------------------------------------------------------------------

static bool is_writable(const struct plx_stream *s)
{
    return (s->send_state == PLX_SEND_READY || s->send_state == PLX_SEND_SEND) &&
           !plx_sendbuf_is_fin_queued(&s->send);
}

static enum plx_err queued(struct plx_stream *s, enum plx_err err)
{
    if (err == PLX_OK)
        plx_stream_reschedule(s);
    else if (err == PLX_ERR_AGAIN)
        s->flags |= PLX_STREAM_WANTS_ROOM;
    return err;
}

enum plx_err plx_streams_send(struct plx_streams *ss, struct plx_stream *s, const struct plx_buf *bufs,
                              uint16_t count, bool fin)
{
    if (count == 1 && fin && plx_stream_message_send(ss, s, bufs))
        return PLX_OK;
    plx_stream_unfold(s);
    if (!is_writable(s))
        return PLX_ERR_CLOSED;
    enum plx_err err = plx_sendbuf_add(&s->send, ss->slab, bufs, count, fin);
    // No memory for a longer queue: what stands in it will leave, and then there is room.
    return queued(s, err == PLX_ERR_NOMEM && s->send.count > 0 ? PLX_ERR_AGAIN : err);
}

enum plx_err plx_streams_send_copy(struct plx_streams *ss, struct plx_stream *s, const void *data, size_t len,
                                   bool fin)
{
    if (fin && plx_stream_message_send_copy(ss, s, data, len))
        return PLX_OK;
    plx_stream_unfold(s);
    if (!is_writable(s))
        return PLX_ERR_CLOSED;
    return queued(s, plx_sendbuf_add_copy(&s->send, ss->slab, data, len, fin));
}

void plx_stream_reset_half(struct plx_stream *s, uint64_t code)
{
    struct plx_streams *ss = s->streams;

    if (!plx_send_on(&s->send_state, PLX_SEND_ON_RESET))
        return;
    plx_stream_unfold(s);
    s->reset_code = code;
    s->flags &= (uint16_t)~PLX_STREAM_WANTS_ROOM;
    plx_sched_remove(s);
    plx_stream_drop_ctl(s, PLX_CTL_STREAM_DATA_BLOCKED);
    plx_stream_want_ctl(s, PLX_CTL_RESET_STREAM);
    plx_sendbuf_clear(&s->send, ss->slab);
}

void plx_streams_reset(struct plx_streams *ss, struct plx_stream *s, uint64_t code)
{
    (void)ss;
    plx_stream_reset_half(s, code);
}

void plx_streams_refuse(struct plx_streams *ss, struct plx_stream *s, uint64_t code)
{
    plx_streams_reset(ss, s, code);
    plx_streams_stop_sending(ss, s, code);
}

uint64_t plx_streams_on_stop_sending(struct plx_streams *ss, const struct plx_frame_stop_sending *f)
{
    streams_enter(ss);
    struct plx_lookup l = plx_streams_look_up(ss, f->id, PLX_HALF_SEND);
    if (l.stream != NULL && l.stream->send_state <= PLX_SEND_DATA_SENT) {
        //= rfc9000 3.5 "An endpoint that receives a STOP_SENDING frame MUST send a RESET_STREAM frame if the stream is in the "Ready" or "Send" state."
        plx_stream_reset_half(l.stream, f->code);
        ss->events->on_stop_sending(ss->arg, l.stream, f->code);
    }
    plx_streams_leave(ss);
    return l.error;
}

// --- into packets ------------------------------------------------------------------------------------------

// Writes what one stream has, frame by frame. False: the packet is full.
static bool write_stream(struct plx_streams *ss, struct plx_stream *s, struct plx_wr *w,
                         struct plx_refs *refs, bool is_empty)
{
    struct plx_sendbuf_chunk c;

    for (;;) {
        uint64_t credit = s->send.sent_max + (ss->send_limit - ss->sent);
        if (!plx_sendbuf_peek(&s->send, credit < s->send_limit ? credit : s->send_limit, &c))
            return true;
        if (!plx_refs_has_room(refs) || (!is_empty && plx_wr_left(w) < SPLIT_MIN && plx_wr_left(w) < c.len))
            return false;
        size_t len;
        uint8_t *to = plx_frame_stream_begin(w, s->id, c.offset, c.len, c.fin, false, &len);
        if (to == NULL)
            return false;
        plx_sendbuf_copy(&s->send, c.offset, len, to);
        bool fin = c.fin && len == c.len;
        uint64_t sent_old = s->send.sent_max;
        plx_sendbuf_on_sent(&s->send, ss->slab, &c, len, fin);
        ss->sent += s->send.sent_max - sent_old;
        (void)plx_send_on(&s->send_state, fin ? PLX_SEND_ON_FIN : PLX_SEND_ON_FRAME);
        refs->v[refs->count++] = (struct plx_ref){
            .id = s->id, .offset = c.offset, .len = (uint32_t)len, .kind = PLX_REF_STREAM, .fin = fin};
        is_empty = false;
        if (len < c.len) {
            plx_sendbuf_prefetch(&s->send, len * PREFETCH_AHEAD, len);
            return false;
        }
    }
}

static void write_streams(struct plx_streams *ss, struct plx_wr *w, struct plx_refs *refs, bool is_empty)
{
    struct plx_stream *s;

    while ((s = plx_sched_first(&ss->sched, ss->sent < ss->send_limit)) != NULL) {
        if (plx_stream_message_write(ss, s, w, refs)) {
            is_empty = false;
            continue;
        }
        unsigned count_old = refs->count;
        plx_stream_unfold(s);
        bool is_done = write_stream(ss, s, w, refs, is_empty);
        bool has_written = refs->count != count_old;
        is_empty = is_empty && !has_written;
        plx_stream_reschedule(s);
        if (is_done)
            continue;
        if (has_written)
            plx_sched_rotate(&ss->sched, s);
        return;
    }
}

void plx_streams_write(struct plx_streams *ss, struct plx_wr *w, struct plx_refs *refs, plx_time now,
                       plx_dur rtt)
{
    bool is_empty = refs->count == 0;

    streams_enter(ss);
    plx_streams_write_ctl(ss, w, refs, now, rtt);
    write_streams(ss, w, refs, is_empty && refs->count == 0);
    plx_streams_write_ctl(ss, w, refs, now, rtt); // what writing has brought about: BLOCKED
    plx_streams_leave(ss);
}

static bool can_send_octets(const struct plx_streams *ss)
{
    return !plx_list_is_empty(&ss->sched.owed) ||
           (!plx_list_is_empty(&ss->sched.fresh) && ss->sent < ss->send_limit);
}

bool plx_streams_wants_write(const struct plx_streams *ss)
{
    return can_send_octets(ss) || ss->ctl != 0 || !plx_list_is_empty(&ss->ctl_streams) ||
           ss->is_refused_waiting || !plx_list_is_empty(&ss->over);
}

bool plx_streams_is_app_limited(const struct plx_streams *ss)
{
    return !can_send_octets(ss);
}
