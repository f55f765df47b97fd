// streams_recv.c -- what arrives for the receiving part of streams (RFC 9000 sections 3.2, 3.5, 4.5, 19.4, 19.5, 19.8).
//
// The road of an octet in order: checked against final size and both windows, handed to on_data straight from the packet, consumed.
// Anything else is a detour: kept in the receive buffer (too early, or not taken), or thrown away and consumed at once (nobody wants it).
// on_data may call everything but is never called from inside itself: what it starts (stop, resume) is finished here after it returns.

#include "quic/stream/streams_int.h"

// --- consuming ---------------------------------------------------------------------------------------------

// The application took them, or nobody will.
static void consume(struct plx_stream *s, uint64_t len)
{
    s->read += len;
    plx_streams_consume(s->streams, len);
    if (s->recv_state == PLX_RECV_RECV && (s->flags & PLX_STREAM_DISCARDING) == 0 &&
        (s->ctl & PLX_CTL_MAX_STREAM_DATA) == 0 && plx_flow_is_due(&s->flow, s->read))
        plx_stream_want_ctl(s, PLX_CTL_MAX_STREAM_DATA);
}

// Nothing that is here or will come is wanted: it counts as consumed, and when its size is known the receiving part is over.
void plx_stream_finish_discard(struct plx_stream *s)
{
    if ((s->flags & PLX_STREAM_IN_DATA) != 0) // the application looks at a chunk right now
        return;
    if (s->held != NULL)
        plx_recvbuf_clear(&s->held, s->streams->slab);
    consume(s, s->recvd - s->read);
    if (s->recv_state == PLX_RECV_RECV || (s->flags & PLX_STREAM_STOP_HOLDS) != 0)
        return;
    (void)plx_recv_on(&s->recv_state, PLX_RECV_ON_ALL_DATA); // missing octets are as good as here
    (void)plx_recv_on(&s->recv_state, PLX_RECV_ON_APP_READ);
    plx_streams_check_over(s->streams, s);
}

void plx_stream_discard(struct plx_stream *s, uint64_t code)
{
    if (plx_recv_is_over(s->recv_state) || s->recv_state == PLX_RECV_RESET_RECVD ||
        (s->flags & (PLX_STREAM_DISCARDING | PLX_STREAM_OVER)) != 0)
        return;
    plx_stream_unfold(s);
    s->flags |= PLX_STREAM_DISCARDING;
    s->flags &= (uint16_t)~PLX_STREAM_PAUSED;
    plx_stream_drop_ctl(s, PLX_CTL_MAX_STREAM_DATA);
    if (s->recv_state != PLX_RECV_DATA_RECVD) {
        //= rfc9000 3.5 "If the stream is in the "Recv" or "Size Known" state, the transport SHOULD signal this"
        s->stop_code = code;
        plx_stream_want_ctl(s, PLX_CTL_STOP_SENDING);
        if (s->recv_state == PLX_RECV_SIZE_KNOWN) // no frame need come that would tell us that it arrived
            s->flags |= PLX_STREAM_STOP_HOLDS;
    }
    plx_stream_finish_discard(s);
}

// The slab is empty: octets that were acknowledged cannot be kept, so the stream cannot go on.
static void give_up(struct plx_stream *s)
{
    struct plx_streams *ss = s->streams;
    ss->stopped_total++;
    plx_stream_discard(s, ss->cfg.refuse_code);
    ss->events->on_reset(ss->arg, s, ss->cfg.refuse_code);
}

// --- handing on --------------------------------------------------------------------------------------------

static void note_all_here(struct plx_stream *s)
{
    if (s->recv_state == PLX_RECV_SIZE_KNOWN && s->read + plx_recvbuf_held(s->held) == s->recvd)
        (void)plx_recv_on(&s->recv_state, PLX_RECV_ON_ALL_DATA);
}

static bool is_last(const struct plx_stream *s, uint64_t end)
{
    return s->recv_state != PLX_RECV_RECV && end == s->recvd;
}

// What came of offering [read, read + len): so much was taken. Returns the same, or all when nobody wants it any more.
static size_t offered(struct plx_stream *s, size_t taken, size_t len, bool fin)
{
    struct plx_streams *ss = s->streams;

    s->flags &= (uint16_t)~PLX_STREAM_IN_DATA;
    plx_check(taken <= len);
    if ((s->flags & PLX_STREAM_DISCARDING) != 0) { // it called stop_sending
        plx_stream_finish_discard(s);
        return len;
    }
    if (s->held != NULL)
        plx_recvbuf_drop(&s->held, ss->slab, s->read, taken);
    consume(s, taken);
    if (taken < len) {
        s->flags |= PLX_STREAM_PAUSED;
    } else if (fin) {
        (void)plx_recv_on(&s->recv_state, PLX_RECV_ON_APP_READ);
        plx_streams_check_over(ss, s);
    }
    return taken;
}

// Offers [read, read + len), in one piece at data, and settles what came of it. Returns how much was taken (all, when nobody wants it
// any more); then the stream may be discarding, or its receiving part over.
static size_t offer(struct plx_stream *s, const uint8_t *data, size_t len, bool fin)
{
    struct plx_streams *ss = s->streams;

    if (fin) // whatever was missing is within
        (void)plx_recv_on(&s->recv_state, PLX_RECV_ON_ALL_DATA);
    s->flags |= PLX_STREAM_IN_DATA;
    return offered(s, ss->events->on_data(ss->arg, s, data, len, fin), len, fin);
}

static bool is_offering(const struct plx_stream *s)
{
    return (s->flags & (PLX_STREAM_PAUSED | PLX_STREAM_DISCARDING | PLX_STREAM_IN_DATA)) == 0 &&
           s->recv_state <= PLX_RECV_DATA_RECVD;
}

void plx_stream_offer(struct plx_stream *s)
{
    while (is_offering(s)) {
        const uint8_t *data = (const uint8_t *)"";
        size_t len = plx_recvbuf_peek(s->held, s->read, &data);
        bool fin = is_last(s, s->read + len);
        if (len == 0 && !fin)
            return;
        (void)offer(s, data, len, fin);
    }
}

// Of [data, data + len) so much was taken: the rest waits here. Behind it, others may have waited.
static void keep_rest(struct plx_stream *s, const uint8_t *data, size_t len, size_t taken)
{
    struct plx_slab *slab = s->streams->slab;

    if (taken < len && !plx_recvbuf_put(&s->held, slab, s->read, s->read, data + taken, len - taken))
        give_up(s);
    if (s->held != NULL) {
        note_all_here(s);
        plx_stream_offer(s);
    }
}

// Octets of a frame at or beyond what was read; they have been counted.
static void arrive(struct plx_stream *s, uint64_t offset, const uint8_t *data, size_t len)
{
    struct plx_streams *ss = s->streams;

    if (offset < s->read) { // the front is a duplicate
        size_t below = s->read - offset < len ? (size_t)(s->read - offset) : len;
        offset += below;
        data += below;
        len -= below;
    }
    if (offset != s->read || !is_offering(s)) {
        bool is_kept = plx_recvbuf_put(&s->held, ss->slab, s->read, offset, data, len);
        note_all_here(s);
        if (!is_kept)
            give_up(s);
        return;
    }
    bool fin = is_last(s, s->read + len);
    if (len == 0 && !fin)
        return;
    keep_rest(s, data, len, offer(s, data, len, fin));
}

// --- frames ------------------------------------------------------------------------------------------------

// The rules of final sizes, for a frame that reaches to `end` and, with fin, says that nothing follows. 0, or the error.
static uint64_t final_size_check(uint64_t recvd, bool is_known, uint64_t end, bool fin)
{
    //= rfc9000 4.5 "MUST NOT send data on a stream at or beyond the final size"
    if ((is_known && end > recvd) || (fin && end < recvd))
        return PLX_QUIC_FINAL_SIZE_ERROR;
    return PLX_QUIC_NO_ERROR;
}

// Counts what is new of a frame that reaches to `end` against both windows.
static uint64_t count_new(struct plx_stream *s, uint64_t end)
{
    if (end <= s->recvd)
        return PLX_QUIC_NO_ERROR;
    //= rfc9000 4.1 "A receiver MUST close the connection with an error of type FLOW_CONTROL_ERROR"
    if (end > s->recv_limit || !plx_streams_count_recvd(s->streams, end - s->recvd))
        return PLX_QUIC_FLOW_CONTROL_ERROR;
    s->recvd = end;
    return PLX_QUIC_NO_ERROR;
}

// A frame for a stream that was refused: its octets are counted and gone.
static uint64_t on_refused_data(struct plx_streams *ss, struct plx_refused *r, uint64_t end, bool fin)
{
    uint64_t err = final_size_check(r->recvd, (r->flags & PLX_REFUSED_SIZE_KNOWN) != 0, end, fin);
    if (err != PLX_QUIC_NO_ERROR)
        return err;
    if (end > r->recvd) {
        if (end > ss->cfg.stream_window || !plx_streams_count_recvd(ss, end - r->recvd))
            return PLX_QUIC_FLOW_CONTROL_ERROR;
        plx_streams_consume(ss, end - r->recvd);
        r->recvd = end;
    }
    if (fin) {
        r->flags |= PLX_REFUSED_SIZE_KNOWN;
        // The peer has nothing more to send: STOP_SENDING has lost its meaning.
        r->flags = (r->flags & ~(unsigned)PLX_REFUSED_STOP) | PLX_REFUSED_STOP_DONE;
        plx_streams_end_refused(ss, r);
    }
    return PLX_QUIC_NO_ERROR;
}

// A message that is one frame, on a stream that nothing has happened to: the arrows from RECV to DATA_READ are followed in one go.
static bool is_whole(const struct plx_stream *s, const struct plx_frame_stream *f)
{
    return f->fin && f->offset == 0 && f->len > 0 && s->recvd == 0 && s->recv_state == PLX_RECV_RECV &&
           s->flags == 0 && s->ctl == 0 && f->len <= s->recv_limit;
}

__attribute__((noinline)) void plx_stream_left(struct plx_stream *s, const struct plx_frame_stream *f,
                                               size_t taken)
{
    size_t len = (size_t)f->len;

    plx_stream_unfold(s);
    taken = offered(s, taken, len, true);
    keep_rest(s, f->data, len, taken);
}

static uint64_t on_whole(struct plx_stream *s, const struct plx_frame_stream *f)
{
    struct plx_streams *ss = s->streams;
    size_t len = (size_t)f->len;

    //= rfc9000 4.1 "A receiver MUST close the connection with an error of type FLOW_CONTROL_ERROR"
    if (!plx_streams_count_recvd(ss, len))
        return PLX_QUIC_FLOW_CONTROL_ERROR;
    s->recvd = len;
    s->recv_state = PLX_RECV_DATA_RECVD;
    s->flags = PLX_STREAM_IN_DATA;
    plx_stream_taken(s, f, ss->events->on_data(ss->arg, s, f->data, len, true));
    return PLX_QUIC_NO_ERROR;
}

static uint64_t on_data_frame(struct plx_stream *s, const struct plx_frame_stream *f, plx_time now)
{
    if (is_whole(s, f))
        return on_whole(s, f);
    uint64_t end = f->offset + f->len;
    uint64_t err = final_size_check(s->recvd, s->recv_state != PLX_RECV_RECV, end, f->fin);
    if (err == PLX_QUIC_NO_ERROR)
        err = count_new(s, end);
    if (err != PLX_QUIC_NO_ERROR)
        return err;
    if (s->recv_state > PLX_RECV_SIZE_KNOWN) // all of it is here, or none of it is wanted
        return PLX_QUIC_NO_ERROR;
    plx_stream_unfold(s);
    if (f->fin && plx_recv_on(&s->recv_state, PLX_RECV_ON_FIN)) {
        plx_stream_drop_ctl(s, PLX_CTL_MAX_STREAM_DATA);
        if ((s->flags & PLX_STREAM_DISCARDING) != 0 && (s->flags & PLX_STREAM_STOP_HOLDS) == 0)
            plx_stream_drop_ctl(s, PLX_CTL_STOP_SENDING);
    } else if (s->flow.moved_at.ns == 0) {
        s->flow.moved_at = now; // the first octets: auto-tuning measures from here
    }
    if ((s->flags & PLX_STREAM_DISCARDING) != 0) {
        plx_stream_finish_discard(s);
        return PLX_QUIC_NO_ERROR;
    }
    arrive(s, f->offset, f->data, (size_t)f->len);
    return PLX_QUIC_NO_ERROR;
}

// NULL: there is no stream that its octets are for, and *err says whether there may be none.
static struct plx_stream *look_further(struct plx_streams *ss, const struct plx_frame_stream *f,
                                       uint64_t *err)
{
    struct plx_lookup l = plx_streams_look_up(ss, f->id, PLX_HALF_RECV);

    *err = l.error;
    if (l.refused != NULL)
        *err = on_refused_data(ss, l.refused, f->offset + f->len, f->fin);
    return l.stream;
}

// Apart, so that what comes whole saves no registers for it.
__attribute__((noinline)) static uint64_t on_any(struct plx_streams *ss, const struct plx_frame_stream *f,
                                                 plx_time now)
{
    streams_enter(ss);
    uint64_t err = PLX_QUIC_NO_ERROR;
    struct plx_stream *s = plx_stream_id_is_uni(f->id) ? NULL : stream_of_ref(ss, f->id);
    if (s == NULL) // not an open stream of two directions: there are questions
        s = look_further(ss, f, &err);
    if (s != NULL)
        err = on_data_frame(s, f, now);
    plx_streams_leave(ss);
    return err;
}

uint64_t plx_streams_on_stream(struct plx_streams *ss, const struct plx_frame_stream *f, plx_time now)
{
    //= rfc9000 19.8 "the sum of the offset and data length -- cannot exceed 2^62-1"
    if (f->len > PLX_VARINT_MAX || f->offset > PLX_VARINT_MAX - f->len)
        return PLX_QUIC_FRAME_ENCODING_ERROR;
    if (ss->flow.moved_at.ns == 0)
        ss->flow.moved_at = now;
    if (plx_streams_on_message(ss, f) || plx_streams_on_answer(ss, f))
        return PLX_QUIC_NO_ERROR;
    return on_any(ss, f, now);
}

static uint64_t on_reset(struct plx_stream *s, const struct plx_frame_reset_stream *f)
{
    struct plx_streams *ss = s->streams;
    uint64_t err = final_size_check(s->recvd, s->recv_state != PLX_RECV_RECV, f->final_size, true);
    if (err == PLX_QUIC_NO_ERROR)
        err = count_new(s, f->final_size);
    if (err != PLX_QUIC_NO_ERROR)
        return err;
    if (!plx_recv_on(&s->recv_state, PLX_RECV_ON_RESET)) // a duplicate, or everything is here already
        return PLX_QUIC_NO_ERROR;
    plx_stream_unfold(s);
    plx_stream_drop_ctl(s, PLX_CTL_MAX_STREAM_DATA | PLX_CTL_STOP_SENDING);
    s->flags &= (uint16_t) ~(PLX_STREAM_STOP_HOLDS | PLX_STREAM_PAUSED);
    if (s->held != NULL)
        plx_recvbuf_clear(&s->held, ss->slab);
    consume(s, s->recvd - s->read);
    if ((s->flags & PLX_STREAM_DISCARDING) == 0)
        ss->events->on_reset(ss->arg, s, f->code);
    (void)plx_recv_on(&s->recv_state, PLX_RECV_ON_APP_RESET);
    plx_streams_check_over(ss, s);
    return PLX_QUIC_NO_ERROR;
}

uint64_t plx_streams_on_reset_stream(struct plx_streams *ss, const struct plx_frame_reset_stream *f)
{
    streams_enter(ss);
    struct plx_lookup l = plx_streams_look_up(ss, f->id, PLX_HALF_RECV);
    if (l.stream != NULL)
        l.error = on_reset(l.stream, f);
    else if (l.refused != NULL)
        l.error = on_refused_data(ss, l.refused, f->final_size, true);
    plx_streams_leave(ss);
    return l.error;
}

// --- going on ----------------------------------------------------------------------------------------------

void plx_streams_run_resumed(struct plx_streams *ss, plx_time now)
{
    struct plx_list todo, *node; // what is resumed from inside waits for the next time

    (void)now;
    streams_enter(ss);
    plx_list_init(&todo);
    plx_list_move_all(&todo, &ss->resumed);
    while ((node = plx_list_take_first(&todo)) != NULL) {
        struct plx_stream *s = PLX_CONTAINER(node, struct plx_stream, later);
        s->flags &= (uint16_t) ~(PLX_STREAM_RESUMED | PLX_STREAM_PAUSED);
        plx_stream_offer(s);
    }
    plx_streams_leave(ss);
}

void plx_streams_resume(struct plx_streams *ss, struct plx_stream *s)
{
    if ((s->flags & (PLX_STREAM_RESUMED | PLX_STREAM_OVER | PLX_STREAM_DISCARDING)) != 0 ||
        (s->flags & (PLX_STREAM_PAUSED | PLX_STREAM_IN_DATA)) == 0)
        return;
    plx_stream_unfold(s);
    s->flags |= PLX_STREAM_RESUMED;
    plx_list_add_tail(&ss->resumed, &s->later);
    streams_wake(ss);
}

void plx_streams_stop_sending(struct plx_streams *ss, struct plx_stream *s, uint64_t code)
{
    (void)ss;
    plx_stream_discard(s, code);
}
