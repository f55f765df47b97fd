// streams_ref.c -- what became of frames that were sent: acknowledged or lost (RFC 9000 section 13.3).

#include "quic/stream/streams_int.h"

#include "base/pool.h"

// --- acknowledged ------------------------------------------------------------------------------------------

__attribute__((noinline)) static void on_part_acked(struct plx_streams *ss, struct plx_stream *s,
                                                    const struct plx_ref *ref)
{
    plx_sendbuf_on_acked(&s->send, ss->slab, ref->offset, ref->len, ref->fin);
    if (plx_sendbuf_is_complete(&s->send) && plx_send_on(&s->send_state, PLX_SEND_ON_ALL_ACKED)) {
        plx_sched_remove(s);
        plx_streams_check_over(ss, s);
        return;
    }
    if (s->ready_in != PLX_SCHED_NONE || s->send.acks != NULL || s->send.next < s->send.sent_max)
        plx_stream_reschedule(s);
    bool has_room = (s->flags & PLX_STREAM_WANTS_ROOM) != 0 && plx_sendbuf_has_room(&s->send);
    if (has_room || (s->notify_below > 0 && s->send.end - s->send.acked < s->notify_below)) {
        s->flags &= (uint16_t)~PLX_STREAM_WANTS_ROOM;
        s->notify_below = 0;
        ss->events->on_writable(ss->arg, s);
    }
}

static void on_reset_acked(struct plx_streams *ss, uint64_t id)
{
    struct plx_stream *s = stream_of_ref(ss, id);
    struct plx_refused *r = s == NULL ? plx_refused_find(&ss->refused, id) : NULL;

    if (r != NULL) {
        r->flags = (r->flags & ~(unsigned)PLX_REFUSED_RESET) | PLX_REFUSED_RESET_DONE;
        plx_streams_end_refused(ss, r);
    }
    if (s == NULL || !plx_send_on(&s->send_state, PLX_SEND_ON_RESET_ACK))
        return;
    plx_stream_drop_ctl(s, PLX_CTL_RESET_STREAM);
    plx_streams_check_over(ss, s);
}

static void on_stop_acked(struct plx_streams *ss, uint64_t id)
{
    struct plx_stream *s = stream_of_ref(ss, id);
    struct plx_refused *r = s == NULL ? plx_refused_find(&ss->refused, id) : NULL;

    if (r != NULL) {
        r->flags = (r->flags & ~(unsigned)PLX_REFUSED_STOP) | PLX_REFUSED_STOP_DONE;
        plx_streams_end_refused(ss, r);
    }
    if (s == NULL)
        return;
    plx_stream_drop_ctl(s, PLX_CTL_STOP_SENDING);
    if ((s->flags & PLX_STREAM_STOP_HOLDS) == 0)
        return;
    s->flags &= (uint16_t)~PLX_STREAM_STOP_HOLDS;
    plx_stream_finish_discard(s);
}

__attribute__((noinline)) static void on_ctl_acked(struct plx_streams *ss, const struct plx_ref *ref)
{
    switch (ref->kind) {
    case PLX_REF_RESET_STREAM:
        on_reset_acked(ss, ref->id);
        break;
    case PLX_REF_STOP_SENDING:
        on_stop_acked(ss, ref->id);
        break;
    default: // credit and complaints are done with
        break;
    }
}

// What an acknowledgement ends was last touched a round trip ago, and many streams do not stay in the cache that long. So of those behind the
// present one the stream is asked for first and then, through it, what its owner has made of it; the next requests will take the same objects.
// As long as all streams of the core are few they do stay, and asking would be for nothing.
enum { STREAMS_CACHED = 2048 /* with their requests and a program's part: about half of the second cache */ };
enum { AHEAD_STREAM = 4, AHEAD_USER = 2, LINE = 64 };

// p may be NULL, which is asked for like anything else: a wasted line costs less than the branch.
static inline void fetch(const void *p, size_t len)
{
    for (size_t at = 0; at < len; at += 64)
        __builtin_prefetch((const void *)((uintptr_t)p + at), 1);
}

static void ahead(struct plx_streams *ss, const struct plx_ref *refs, unsigned count)
{
    const struct plx_stream *s;

    if (count > AHEAD_STREAM && plx_slot_is_stream(s = stream_of_ref(ss, refs[AHEAD_STREAM].id)))
        fetch(s, PLX_STREAM_LEAN_SIZE);
    if (count > AHEAD_USER && plx_slot_is_stream(s = stream_of_ref(ss, refs[AHEAD_USER].id))) {
        fetch(s->user, LINE); // a request is lean as well, as a rule
        if (s->lean == PLX_LEAN_NO)
            fetch((const uint8_t *)s + PLX_STREAM_LEAN_SIZE,
                  offsetof(struct plx_stream, flow) - PLX_STREAM_LEAN_SIZE);
    }
}

unsigned plx_streams_on_frames_acked(struct plx_streams *ss, const struct plx_ref *refs, unsigned count)
{
    bool is_far = plx_pool_in_use(ss->pool) > STREAMS_CACHED;
    unsigned n = 0;

    streams_enter(ss);
    do {
        if (is_far && count - n > AHEAD_USER)
            ahead(ss, refs + n, count - n);
        struct plx_stream *s = stream_of_ref(ss, refs[n].id);
        if (s != NULL && s->lean == PLX_LEAN_SENT)
            plx_stream_message_acked(ss, s);
        else if (s != NULL && s->send_state <= PLX_SEND_DATA_SENT) // neither closed nor given up
            on_part_acked(ss, s, &refs[n]);
    } while (++n < count && refs[n].kind == PLX_REF_STREAM);
    plx_streams_leave(ss);
    return n;
}

void plx_streams_on_acked(struct plx_streams *ss, const struct plx_ref *ref)
{
    if (ref->kind == PLX_REF_STREAM) {
        (void)plx_streams_on_frames_acked(ss, ref, 1);
        return;
    }
    streams_enter(ss);
    on_ctl_acked(ss, ref);
    plx_streams_leave(ss);
}

// --- lost --------------------------------------------------------------------------------------------------

static void on_stream_lost(struct plx_stream *s, const struct plx_ref *ref)
{
    if (s->send_state > PLX_SEND_DATA_SENT)
        return;
    plx_stream_unfold(s);
    plx_sendbuf_on_lost(&s->send, s->streams->slab, ref->offset, ref->len, ref->fin);
    plx_stream_reschedule(s);
}

static void on_refused_lost(struct plx_streams *ss, const struct plx_ref *ref)
{
    struct plx_refused *r = plx_refused_find(&ss->refused, ref->id);
    if (r == NULL)
        return;
    if (ref->kind == PLX_REF_STOP_SENDING && (r->flags & PLX_REFUSED_STOP_DONE) == 0)
        r->flags |= PLX_REFUSED_STOP;
    if (ref->kind == PLX_REF_RESET_STREAM && (r->flags & PLX_REFUSED_RESET_DONE) == 0)
        r->flags |= PLX_REFUSED_RESET;
    ss->is_refused_waiting = true;
    streams_wake(ss);
}

static void on_lost_of_stream(struct plx_streams *ss, const struct plx_ref *ref)
{
    struct plx_stream *s = stream_of_ref(ss, ref->id);

    if (s == NULL) {
        on_refused_lost(ss, ref);
        return;
    }
    switch (ref->kind) {
    case PLX_REF_STREAM:
        on_stream_lost(s, ref);
        break;
    case PLX_REF_RESET_STREAM:
        if (s->send_state == PLX_SEND_RESET_SENT)
            plx_stream_want_ctl(s, PLX_CTL_RESET_STREAM);
        break;
    case PLX_REF_STOP_SENDING:
        //= rfc9000 13.3 "is sent until the receiving part of the stream enters either"
        if (s->recv_state == PLX_RECV_RECV || (s->flags & PLX_STREAM_STOP_HOLDS) != 0)
            plx_stream_want_ctl(s, PLX_CTL_STOP_SENDING);
        break;
    case PLX_REF_MAX_STREAM_DATA: // only the newest says something
        if (ref->offset == s->recv_limit && s->recv_state == PLX_RECV_RECV)
            plx_stream_want_ctl(s, PLX_CTL_MAX_STREAM_DATA);
        break;
    case PLX_REF_STREAM_DATA_BLOCKED: // dropped when written if it is no longer true
        if (ref->offset == s->send_limit)
            plx_stream_want_ctl(s, PLX_CTL_STREAM_DATA_BLOCKED);
        break;
    }
}

void plx_streams_on_lost(struct plx_streams *ss, const struct plx_ref *ref)
{
    unsigned ours = ss->cfg.is_server ? 1 : 0, uni = (unsigned)ref->id & 1;

    switch (ref->kind) {
    case PLX_REF_MAX_DATA:
        if (ref->offset == ss->flow.limit)
            plx_streams_want_ctl(ss, PLX_CTL_MAX_DATA);
        break;
    case PLX_REF_MAX_STREAMS:
        if (ref->offset == ss->window[(ours ^ 1) | uni << 1].limit)
            plx_streams_want_ctl(ss, PLX_CTL_MAX_STREAMS << uni);
        break;
    case PLX_REF_DATA_BLOCKED:
        if (ref->offset == ss->send_limit)
            plx_streams_want_ctl(ss, PLX_CTL_DATA_BLOCKED);
        break;
    case PLX_REF_STREAMS_BLOCKED:
        if (ref->offset == ss->window[ours | uni << 1].limit)
            plx_streams_want_ctl(ss, PLX_CTL_STREAMS_BLOCKED << uni);
        break;
    default:
        on_lost_of_stream(ss, ref);
    }
}
