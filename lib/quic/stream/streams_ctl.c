// streams_ctl.c -- the frames about streams: credit, blocked, reset and stop. What waits to be written is a bit per kind of
// frame, in the connection or in the stream, never a queued frame: values are taken when the frame is written, so a frame is
// never stale and the same kind never waits twice. A lost frame sets its bit again if it still says something (RFC 9000 section 13.3).

#include "quic/stream/streams_int.h"

// --- things to write ---------------------------------------------------------------------------------------

void plx_streams_want_ctl(struct plx_streams *ss, unsigned ctl)
{
    ss->ctl |= (uint8_t)ctl;
    streams_wake(ss);
}

void plx_stream_want_ctl(struct plx_stream *s, unsigned ctl)
{
    plx_stream_unfold(s);
    if (s->ctl == 0)
        plx_list_add_tail(&s->streams->ctl_streams, &s->ctl_node);
    s->ctl |= (uint8_t)ctl;
    streams_wake(s->streams);
}

void plx_stream_drop_ctl(struct plx_stream *s, unsigned ctl)
{
    if ((s->ctl & ctl) == 0)
        return;
    s->ctl &= (uint8_t)~ctl;
    if (s->ctl == 0)
        plx_list_remove(&s->ctl_node);
}

static bool is_stream_blocked(const struct plx_stream *s)
{
    return s->send.sent_max >= s->send_limit && s->send_state <= PLX_SEND_DATA_SENT &&
           plx_sendbuf_has_fresh(&s->send);
}

static bool is_conn_blocked(const struct plx_streams *ss)
{
    return ss->sent >= ss->send_limit && !plx_list_is_empty(&ss->sched.fresh);
}

void plx_stream_reschedule(struct plx_stream *s)
{
    struct plx_streams *ss = s->streams;

    plx_sched_update(&ss->sched, s);
    if (s->ready_in != PLX_SCHED_NONE)
        streams_wake(ss);
    //= rfc9000 4.1 "A sender SHOULD send a STREAM_DATA_BLOCKED or DATA_BLOCKED frame to indicate to the receiver"
    if (is_stream_blocked(s) && (s->flags & PLX_STREAM_BLOCKED_TOLD) == 0) {
        s->flags |= PLX_STREAM_BLOCKED_TOLD;
        plx_stream_want_ctl(s, PLX_CTL_STREAM_DATA_BLOCKED);
    }
    if (is_conn_blocked(ss) && (ss->told & PLX_TOLD_DATA_BLOCKED) == 0) {
        ss->told |= PLX_TOLD_DATA_BLOCKED;
        plx_streams_want_ctl(ss, PLX_CTL_DATA_BLOCKED);
    }
}

// --- credit for the peer -----------------------------------------------------------------------------------

bool plx_streams_count_recvd(struct plx_streams *ss, uint64_t len)
{
    if (len > ss->flow.limit - ss->recvd)
        return false;
    ss->recvd += len;
    return true;
}

void plx_streams_consume(struct plx_streams *ss, uint64_t len)
{
    ss->consumed += len;
    if (plx_flow_is_due(&ss->flow, ss->consumed) && (ss->ctl & PLX_CTL_MAX_DATA) == 0)
        plx_streams_want_ctl(ss, PLX_CTL_MAX_DATA);
}

// Said so by a peer that waits: what has been consumed since the last step need not wait for the next one.
uint64_t plx_streams_on_data_blocked(struct plx_streams *ss, uint64_t limit)
{
    (void)limit;
    if (ss->consumed + ss->flow.window > ss->flow.limit)
        plx_streams_want_ctl(ss, PLX_CTL_MAX_DATA);
    return PLX_QUIC_NO_ERROR;
}

uint64_t plx_streams_on_stream_data_blocked(struct plx_streams *ss, uint64_t id, uint64_t limit)
{
    (void)limit;
    streams_enter(ss);
    struct plx_lookup l = plx_streams_look_up(ss, id, PLX_HALF_RECV);
    if (l.stream != NULL && l.stream->recv_state == PLX_RECV_RECV && l.stream->lean == PLX_LEAN_NO &&
        l.stream->read + l.stream->flow.window > l.stream->recv_limit)
        plx_stream_want_ctl(l.stream, PLX_CTL_MAX_STREAM_DATA);
    plx_streams_leave(ss);
    return l.error;
}

static uint64_t streams_limit(const struct plx_streams *ss, bool is_uni)
{
    const struct plx_window *w = &ss->window[(ss->cfg.is_server ? 0u : 1u) | (is_uni ? 2u : 0u)];
    uint64_t limit = w->closed + (is_uni ? ss->cfg.streams_uni : ss->cfg.streams_bidi);
    return limit > w->limit ? limit : w->limit;
}

uint64_t plx_streams_on_streams_blocked(struct plx_streams *ss, bool is_uni, uint64_t limit)
{
    (void)limit;
    if (streams_limit(ss, is_uni) > ss->window[(ss->cfg.is_server ? 0u : 1u) | (is_uni ? 2u : 0u)].limit)
        plx_streams_want_ctl(ss, PLX_CTL_MAX_STREAMS << is_uni);
    return PLX_QUIC_NO_ERROR;
}

// --- credit from the peer ----------------------------------------------------------------------------------

uint64_t plx_streams_on_max_data(struct plx_streams *ss, uint64_t maximum)
{
    //= rfc9000 4.1 "A sender MUST ignore any MAX_STREAM_DATA or MAX_DATA frames that do not increase flow control limits."
    if (maximum <= ss->send_limit)
        return PLX_QUIC_NO_ERROR;
    ss->send_limit = maximum;
    ss->told &= (uint8_t)~PLX_TOLD_DATA_BLOCKED;
    ss->ctl &= (uint8_t)~PLX_CTL_DATA_BLOCKED;
    if (!plx_list_is_empty(&ss->sched.fresh))
        streams_wake(ss);
    return PLX_QUIC_NO_ERROR;
}

void plx_stream_raise_limit(struct plx_stream *s, uint64_t maximum)
{
    if (maximum <= s->send_limit)
        return;
    plx_stream_unfold(s);
    s->send_limit = maximum;
    s->flags &= (uint16_t)~PLX_STREAM_BLOCKED_TOLD;
    plx_stream_drop_ctl(s, PLX_CTL_STREAM_DATA_BLOCKED);
    plx_stream_reschedule(s);
}

uint64_t plx_streams_on_max_stream_data(struct plx_streams *ss, uint64_t id, uint64_t maximum)
{
    streams_enter(ss);
    struct plx_lookup l = plx_streams_look_up(ss, id, PLX_HALF_SEND);
    if (l.stream != NULL)
        plx_stream_raise_limit(l.stream, maximum);
    plx_streams_leave(ss);
    return l.error;
}

bool plx_streams_raise_streams(struct plx_streams *ss, bool is_uni, uint64_t maximum)
{
    struct plx_window *w = &ss->window[(ss->cfg.is_server ? 1u : 0u) | (is_uni ? 2u : 0u)];

    if (maximum <= w->limit)
        return false;
    w->limit = maximum;
    ss->told &= (uint8_t) ~(PLX_TOLD_STREAMS_BLOCKED << is_uni);
    ss->ctl &= (uint8_t) ~(PLX_CTL_STREAMS_BLOCKED << is_uni);
    return true;
}

uint64_t plx_streams_on_max_streams(struct plx_streams *ss, bool is_uni, uint64_t maximum)
{
    //= rfc9000 19.11 "Receipt of a frame that permits opening of a stream larger than this limit MUST be treated as a connection error"
    if (maximum > UINT64_C(1) << 60)
        return PLX_QUIC_FRAME_ENCODING_ERROR;
    if (!plx_streams_raise_streams(ss, is_uni, maximum))
        return PLX_QUIC_NO_ERROR;
    streams_enter(ss);
    ss->is_available_owed[is_uni] = false;
    ss->events->on_available(ss->arg, is_uni);
    plx_streams_leave(ss);
    return PLX_QUIC_NO_ERROR;
}

// --- writing -----------------------------------------------------------------------------------------------

static void refer(struct plx_refs *refs, enum plx_ref_kind kind, uint64_t id, uint64_t offset)
{
    refs->v[refs->count++] = (struct plx_ref){.kind = (uint8_t)kind, .id = id, .offset = offset};
}

static bool write_max_data(struct plx_streams *ss, struct plx_wr *w, struct plx_refs *refs, plx_time now,
                           plx_dur rtt)
{
    struct plx_flow flow = ss->flow; // moved only if the frame fits
    plx_flow_move(&flow, ss->consumed, ss->cfg.conn_window_max, now, rtt);
    if (!plx_frame_max_data_write(w, flow.limit))
        return false;
    ss->flow = flow;
    refer(refs, PLX_REF_MAX_DATA, 0, flow.limit);
    return true;
}

static bool write_max_streams(struct plx_streams *ss, bool is_uni, struct plx_wr *w, struct plx_refs *refs)
{
    uint64_t limit = streams_limit(ss, is_uni);
    if (!plx_frame_max_streams_write(w, is_uni, limit))
        return false;
    ss->window[(ss->cfg.is_server ? 0u : 1u) | (is_uni ? 2u : 0u)].limit = limit;
    refer(refs, PLX_REF_MAX_STREAMS, is_uni, limit);
    return true;
}

static bool write_streams_blocked(struct plx_streams *ss, bool is_uni, struct plx_wr *w,
                                  struct plx_refs *refs)
{
    uint64_t limit = ss->window[(ss->cfg.is_server ? 1u : 0u) | (is_uni ? 2u : 0u)].limit;
    if (!plx_frame_streams_blocked_write(w, is_uni, limit))
        return false;
    refer(refs, PLX_REF_STREAMS_BLOCKED, is_uni, limit);
    return true;
}

static bool write_data_blocked(struct plx_streams *ss, struct plx_wr *w, struct plx_refs *refs)
{
    if (!is_conn_blocked(ss)) // what was blocked is gone
        return true;
    if (!plx_frame_data_blocked_write(w, ss->send_limit))
        return false;
    refer(refs, PLX_REF_DATA_BLOCKED, 0, ss->send_limit);
    return true;
}

// The frames of the connection. False: something did not fit.
static bool write_conn_ctl(struct plx_streams *ss, struct plx_wr *w, struct plx_refs *refs, plx_time now,
                           plx_dur rtt)
{
    while (ss->ctl != 0) {
        unsigned bit = ss->ctl & -(unsigned)ss->ctl;
        bool is_in = false;
        if (!plx_refs_has_room(refs))
            return false;
        switch (bit) {
        case PLX_CTL_MAX_DATA:
            is_in = write_max_data(ss, w, refs, now, rtt);
            break;
        case PLX_CTL_DATA_BLOCKED:
            is_in = write_data_blocked(ss, w, refs);
            break;
        case PLX_CTL_MAX_STREAMS:
        case PLX_CTL_MAX_STREAMS << 1:
            is_in = write_max_streams(ss, bit != PLX_CTL_MAX_STREAMS, w, refs);
            break;
        default:
            is_in = write_streams_blocked(ss, bit != PLX_CTL_STREAMS_BLOCKED, w, refs);
        }
        if (!is_in)
            return false;
        ss->ctl &= (uint8_t)~bit;
    }
    return true;
}

static bool write_max_stream_data(struct plx_stream *s, struct plx_wr *w, struct plx_refs *refs, plx_time now,
                                  plx_dur rtt)
{
    struct plx_streams *ss = s->streams;
    //= rfc9000 3.2 "In this state, the endpoint no longer needs to send MAX_STREAM_DATA frames"
    if (s->recv_state != PLX_RECV_RECV || (s->flags & PLX_STREAM_DISCARDING) != 0)
        return true;
    struct plx_flow flow = s->flow;
    bool has_grown = plx_flow_move(&flow, s->read, ss->cfg.stream_window_max, now, rtt);
    if (!plx_frame_max_stream_data_write(w, s->id, flow.limit))
        return false;
    s->flow = flow;
    s->recv_limit = flow.limit;
    refer(refs, PLX_REF_MAX_STREAM_DATA, s->id, flow.limit);
    if (has_grown) { // one stream shall not be held back by the window of all
        plx_flow_widen(&ss->flow, flow.window + flow.window / 2, ss->cfg.conn_window_max);
        plx_streams_consume(ss, 0);
    }
    return true;
}

static bool write_stream_blocked(struct plx_stream *s, struct plx_wr *w, struct plx_refs *refs)
{
    if (!is_stream_blocked(s))
        return true;
    if (!plx_frame_stream_data_blocked_write(w, s->id, s->send_limit))
        return false;
    (void)plx_send_on(&s->send_state, PLX_SEND_ON_FRAME);
    refer(refs, PLX_REF_STREAM_DATA_BLOCKED, s->id, s->send_limit);
    return true;
}

static bool write_reset(uint64_t id, uint64_t code, uint64_t final_size, struct plx_wr *w,
                        struct plx_refs *refs)
{
    if (!plx_frame_reset_stream_write(w, &(struct plx_frame_reset_stream){id, code, final_size}))
        return false;
    refer(refs, PLX_REF_RESET_STREAM, id, 0);
    return true;
}

static bool write_stop(uint64_t id, uint64_t code, struct plx_wr *w, struct plx_refs *refs)
{
    if (!plx_frame_stop_sending_write(w, &(struct plx_frame_stop_sending){id, code}))
        return false;
    refer(refs, PLX_REF_STOP_SENDING, id, 0);
    return true;
}

static bool write_stream_ctl(struct plx_stream *s, struct plx_wr *w, struct plx_refs *refs, plx_time now,
                             plx_dur rtt)
{
    while (s->ctl != 0) {
        unsigned bit = s->ctl & -(unsigned)s->ctl;
        bool is_in = false;
        if (!plx_refs_has_room(refs))
            return false;
        switch (bit) {
        case PLX_CTL_RESET_STREAM:
            is_in = write_reset(s->id, s->reset_code, s->send.sent_max, w, refs);
            break;
        case PLX_CTL_STOP_SENDING:
            is_in = write_stop(s->id, s->stop_code, w, refs);
            break;
        case PLX_CTL_MAX_STREAM_DATA:
            is_in = write_max_stream_data(s, w, refs, now, rtt);
            break;
        default:
            is_in = write_stream_blocked(s, w, refs);
        }
        if (!is_in)
            return false;
        plx_stream_drop_ctl(s, bit);
    }
    return true;
}

static bool write_refused_ctl(struct plx_streams *ss, struct plx_wr *w, struct plx_refs *refs)
{
    for (uint32_t i = 0; i < ss->refused.count; i++) {
        struct plx_refused *r = &ss->refused.v[i];
        for (unsigned bit = PLX_REFUSED_STOP; bit <= PLX_REFUSED_RESET; bit <<= 2) {
            if ((r->flags & bit) == 0)
                continue;
            if (!plx_refs_has_room(refs))
                return false;
            if (!(bit == PLX_REFUSED_STOP ? write_stop(r->id, ss->cfg.refuse_code, w, refs)
                                          : write_reset(r->id, ss->cfg.refuse_code, 0, w, refs)))
                return false;
            r->flags &= ~bit;
        }
    }
    ss->is_refused_waiting = false;
    return true;
}

void plx_streams_write_all_ctl(struct plx_streams *ss, struct plx_wr *w, struct plx_refs *refs, plx_time now,
                               plx_dur rtt)
{
    if (ss->ctl != 0 && !write_conn_ctl(ss, w, refs, now, rtt))
        return;
    struct plx_list *node;
    while ((node = plx_list_first(&ss->ctl_streams)) != NULL)
        if (!write_stream_ctl(PLX_CONTAINER(node, struct plx_stream, ctl_node), w, refs, now, rtt))
            return;
    if (ss->is_refused_waiting)
        (void)write_refused_ctl(ss, w, refs); // what did not fit waits for the next packet
}
