// streams.c -- birth, finding and death of streams; see streams.h. What arrives is in streams_recv.c, what leaves in
// streams_send.c and streams_ctl.c.

#include "quic/stream/streams_int.h"

#include "base/pool.h"

enum { CONCURRENT_LOCAL = 2048 }; // of ours: sizes the ring at most, limits nothing

void plx_streams_init(struct plx_streams *ss, const struct plx_streams_cfg *cfg, struct plx_pool *pool,
                      struct plx_slab *slab, const struct plx_streams_events *events, void *arg)
{
    *ss = (struct plx_streams){.events = events, .arg = arg, .pool = pool, .slab = slab, .cfg = *cfg};
    struct plx_streams_cfg *c = &ss->cfg;
    // Windows never grow beyond what a receive buffer can hold. What was announced already stays as it is.
    if (c->stream_window_max > PLX_RECVBUF_WINDOW_MAX)
        c->stream_window_max = PLX_RECVBUF_WINDOW_MAX;
    if (c->stream_window_max < c->stream_window)
        c->stream_window_max = c->stream_window;
    c->conn_window_max = c->conn_window_max > c->conn_window ? c->conn_window_max : c->conn_window;

    ss->is_server = c->is_server;
    ss->request_window = c->stream_window < UINT32_MAX ? (uint32_t)c->stream_window : UINT32_MAX;
    plx_flow_init(&ss->flow, c->conn_window);
    plx_sched_init(&ss->sched);
    plx_list_init(&ss->ctl_streams);
    plx_list_init(&ss->resumed);
    plx_list_init(&ss->over);
    for (unsigned kind = 0; kind < 4; kind++) {
        uint32_t concurrent = plx_stream_id_is_uni(kind) ? c->streams_uni : c->streams_bidi;
        uint32_t step = concurrent / 8 > 1 ? concurrent / 8 : 1;
        *(plx_stream_id_is_uni(kind) ? &ss->unis_ahead : &ss->requests_ahead) = (int32_t)(concurrent - step);
        if (stream_id_is_local(ss, kind))
            plx_window_init(&ss->window[kind], 0, CONCURRENT_LOCAL);
        else
            plx_window_init(&ss->window[kind], concurrent, concurrent);
    }
}

// --- limits of the peer ------------------------------------------------------------------------------------

// What the peer lets us send on a stream at first.
static uint64_t send_limit_of(const struct plx_streams *ss, uint64_t id)
{
    bool is_local = stream_id_is_local(ss, id);
    if (plx_stream_id_is_uni(id))
        return is_local ? ss->peer.max_stream_data_uni : 0;
    return is_local ? ss->peer.max_stream_data_bidi_remote : ss->peer.max_stream_data_bidi_local;
}

static void raise(uint64_t *limit, uint64_t value)
{
    *limit = value > *limit ? value : *limit;
}

void plx_streams_set_peer(struct plx_streams *ss, const struct plx_streams_peer *p)
{
    raise(&ss->peer.max_data, p->max_data);
    raise(&ss->peer.max_stream_data_bidi_local, p->max_stream_data_bidi_local);
    raise(&ss->peer.max_stream_data_bidi_remote, p->max_stream_data_bidi_remote);
    raise(&ss->peer.max_stream_data_uni, p->max_stream_data_uni);
    raise(&ss->peer.max_streams_bidi, p->max_streams_bidi);
    raise(&ss->peer.max_streams_uni, p->max_streams_uni);
    ss->request_send_limit = send_limit_of(ss, 0);

    streams_enter(ss);
    (void)plx_streams_on_max_data(ss, ss->peer.max_data);
    for (unsigned kind = 0; kind < 4; kind++) {
        uint64_t number = 0;
        for (struct plx_stream *s; (s = plx_window_walk(&ss->window[kind], &number)) != NULL; number++)
            if (plx_slot_is_stream(s))
                plx_stream_raise_limit(s, send_limit_of(ss, s->id));
    }
    for (unsigned uni = 0; uni < 2; uni++) {
        uint64_t maximum = uni ? ss->peer.max_streams_uni : ss->peer.max_streams_bidi;
        if (!plx_streams_raise_streams(ss, uni, maximum) || !ss->is_available_owed[uni])
            continue; // nobody waits: most often this is the handshake, and on_open will follow
        ss->is_available_owed[uni] = false;
        ss->events->on_available(ss->arg, uni);
    }
    plx_streams_leave(ss);
}

static bool is_within(const struct plx_streams *ss, const struct plx_streams_peer *p)
{
    uint64_t number;

    for (unsigned kind = 0; kind < 4; kind++) {
        if (stream_id_is_local(ss, kind) &&
            ss->window[kind].next > (plx_stream_id_is_uni(kind) ? p->max_streams_uni : p->max_streams_bidi))
            return false;
        uint64_t most = plx_stream_id_is_uni(kind) ? p->max_stream_data_uni : p->max_stream_data_bidi_remote;
        number = 0;
        for (struct plx_stream *s; (s = plx_window_walk(&ss->window[kind], &number)) != NULL; number++)
            if (plx_slot_is_stream(s)) {
                plx_stream_unfold(s);
                if (s->send.sent_max > most)
                    return false;
            }
    }
    return ss->sent <= p->max_data;
}

bool plx_streams_reset_peer(struct plx_streams *ss, const struct plx_streams_peer *p)
{
    if (!is_within(ss, p))
        return false;
    ss->peer = *p;
    ss->request_send_limit = send_limit_of(ss, 0);
    ss->send_limit = p->max_data;
    ss->told = 0; // that we are blocked: by other limits
    for (unsigned kind = 0; kind < 4; kind++) {
        uint64_t number = 0;
        if (stream_id_is_local(ss, kind))
            ss->window[kind].limit = plx_stream_id_is_uni(kind) ? p->max_streams_uni : p->max_streams_bidi;
        for (struct plx_stream *s; (s = plx_window_walk(&ss->window[kind], &number)) != NULL; number++) {
            if (!plx_slot_is_stream(s))
                continue;
            plx_stream_unfold(s);
            s->send_limit = send_limit_of(ss, s->id);
            s->flags &= (uint16_t)~PLX_STREAM_BLOCKED_TOLD;
            plx_stream_reschedule(s);
        }
    }
    return true;
}

// --- birth -------------------------------------------------------------------------------------------------

static void stream_init(struct plx_streams *ss, struct plx_stream *s, uint64_t id)
{
    bool is_uni = plx_stream_id_is_uni(id), is_local = stream_id_is_local(ss, id);

    stream_begin(ss, s, id);
    s->send_state = is_uni && !is_local ? PLX_SEND_NONE : PLX_SEND_READY;
    s->recv_state = is_uni && is_local ? PLX_RECV_NONE : PLX_RECV_RECV;
    s->recv_limit = ss->cfg.stream_window;
    s->send_limit = send_limit_of(ss, id);
    if (is_uni) // no message
        plx_stream_unfold(s);
}

enum plx_err plx_streams_open(struct plx_streams *ss, bool is_uni, struct plx_stream **out)
{
    unsigned kind = (ss->cfg.is_server ? 1u : 0u) | (is_uni ? 2u : 0u);
    struct plx_window *w = &ss->window[kind];

    //= rfc9000 4.6 "Endpoints MUST NOT exceed the limit set by their peer."
    if (w->next >= w->limit) {
        ss->is_available_owed[is_uni] = true;
        if ((ss->told & PLX_TOLD_STREAMS_BLOCKED << is_uni) == 0) {
            ss->told |= (uint8_t)(PLX_TOLD_STREAMS_BLOCKED << is_uni);
            plx_streams_want_ctl(ss, PLX_CTL_STREAMS_BLOCKED << is_uni);
        }
        return PLX_ERR_AGAIN;
    }
    if (plx_window_is_away(w) && !ss->events->on_recall(ss->arg))
        return PLX_ERR_NOMEM;
    struct plx_stream *s = plx_pool_take(ss->pool);
    if (s == NULL)
        return PLX_ERR_NOMEM;
    uint64_t number = w->next;
    if (!plx_window_set(w, ss->slab, number, s)) {
        plx_pool_give(ss->pool, s);
        return PLX_ERR_NOMEM;
    }
    stream_init(ss, s, number << 2 | kind);
    ss->count++;
    *out = s;
    return PLX_OK;
}

// A stream of the peer for which there is no object.
__attribute__((noinline)) static struct plx_lookup refuse_new(struct plx_streams *ss, uint64_t id)
{
    struct plx_refused *r = plx_refused_add(&ss->refused, ss->slab, id);
    if (r == NULL)
        return (struct plx_lookup){.error = PLX_QUIC_INTERNAL_ERROR};
    if (!plx_window_set(window_of(ss, id), ss->slab, stream_number(id), PLX_SLOT_REFUSED)) {
        plx_refused_remove(&ss->refused, ss->slab, r);
        return (struct plx_lookup){.error = PLX_QUIC_INTERNAL_ERROR};
    }
    r->flags = PLX_REFUSED_STOP;
    r->flags |= plx_stream_id_is_uni(id) ? PLX_REFUSED_RESET_DONE : PLX_REFUSED_RESET;
    ss->is_refused_waiting = true;
    ss->refused_total++;
    streams_wake(ss);
    return (struct plx_lookup){.refused = r};
}

static struct plx_lookup make_peers(struct plx_streams *ss, uint64_t id)
{
    struct plx_stream *s = plx_pool_take(ss->pool);
    if (s == NULL)
        return refuse_new(ss, id);
    if (!plx_window_set(window_of(ss, id), ss->slab, stream_number(id), s)) {
        plx_pool_give(ss->pool, s);
        return (struct plx_lookup){.error = PLX_QUIC_INTERNAL_ERROR};
    }
    stream_init(ss, s, id);
    ss->count++;
    ss->events->on_stream(ss->arg, s);
    return (struct plx_lookup){.stream = s};
}

// Somebody speaks on streams that were put away.
__attribute__((noinline)) static struct plx_lookup look_up_away(struct plx_streams *ss, uint64_t id,
                                                                enum plx_stream_half half)
{
    if (!ss->events->on_recall(ss->arg))
        return (struct plx_lookup){.error = PLX_QUIC_INTERNAL_ERROR};
    plx_check(!plx_window_is_away(window_of(ss, id)));
    return plx_streams_look_up(ss, id, half);
}

struct plx_lookup plx_streams_look_up(struct plx_streams *ss, uint64_t id, enum plx_stream_half half)
{
    bool is_local = stream_id_is_local(ss, id);
    struct plx_window *w = window_of(ss, id);
    uint64_t number = stream_number(id);

    //= rfc9000 19.8 "An endpoint MUST terminate the connection with error STREAM_STATE_ERROR if it receives a STREAM frame"
    if (plx_stream_id_is_uni(id) && is_local == (half == PLX_HALF_RECV))
        return (struct plx_lookup){.error = PLX_QUIC_STREAM_STATE_ERROR};
    if (number >= w->next) {
        if (is_local)
            return (struct plx_lookup){.error = PLX_QUIC_STREAM_STATE_ERROR};
        //= rfc9000 4.6 "MUST treat this as a connection error of type STREAM_LIMIT_ERROR"
        if (number >= w->limit)
            return (struct plx_lookup){.error = PLX_QUIC_STREAM_LIMIT_ERROR};
    }
    struct plx_stream *slot = plx_window_find(w, number);
    if (__builtin_expect(plx_slot_is_stream(slot), 1))
        return (struct plx_lookup){.stream = slot};
    if (slot == PLX_SLOT_NEW)
        return plx_window_is_away(w) ? look_up_away(ss, id, half) : make_peers(ss, id);
    if (slot == PLX_SLOT_REFUSED)
        return (struct plx_lookup){.refused = plx_refused_find(&ss->refused, id)};
    ss->ignored_total++;
    return (struct plx_lookup){0};
}

// --- death -------------------------------------------------------------------------------------------------

// The peer may open another one, once a few are gone.
static inline bool is_grant_due(const struct plx_streams *ss, const struct plx_window *w, bool is_uni)
{
    return w->closed + (is_uni ? ss->unis_ahead : ss->requests_ahead) >= w->limit;
}

// Apart, so that closing a stream calls nothing.
__attribute__((noinline)) static void grant_streams(struct plx_streams *ss, bool is_uni)
{
    plx_streams_want_ctl(ss, PLX_CTL_MAX_STREAMS << is_uni);
}

static inline void number_close(struct plx_streams *ss, uint64_t id)
{
    struct plx_window *w = window_of(ss, id);
    bool is_uni = plx_stream_id_is_uni(id);

    plx_window_close(w, stream_number(id));
    if (!stream_id_is_local(ss, id) && is_grant_due(ss, w, is_uni))
        grant_streams(ss, is_uni);
}

void plx_stream_forget(struct plx_streams *ss, struct plx_stream *s)
{
    s->flags |= PLX_STREAM_OVER | PLX_STREAM_DISCARDING;
    number_close(ss, s->id);
    ss->count--;
    ss->events->on_closed(ss->arg, s);
    plx_pool_give(ss->pool, s);
}

// The peer never learns more than that the number is used up.
static void stream_close(struct plx_streams *ss, struct plx_stream *s)
{
    plx_stream_unfold(s);
    if (plx_list_is_linked(&s->later))
        plx_list_remove(&s->later);
    if (s->ctl != 0)
        plx_list_remove(&s->ctl_node);
    s->ctl = 0;
    if (s->ready_in != PLX_SCHED_NONE)
        plx_sched_remove(s);
    if (s->held != NULL)
        plx_recvbuf_clear(&s->held, ss->slab);
    s->flags |= PLX_STREAM_OVER | PLX_STREAM_DISCARDING;
    if (s->send.count != 0 || !plx_send_is_over(s->send_state)) {
        if (s->send_state != PLX_SEND_NONE)
            s->send_state = PLX_SEND_RESET_SENT; // nothing may be added from inside a release
        plx_sendbuf_clear(&s->send, ss->slab);
    }
    plx_stream_forget(ss, s);
}

void plx_streams_bury(struct plx_streams *ss)
{
    struct plx_list *node;
    while ((node = plx_list_take_first(&ss->over)) != NULL)
        stream_close(ss, PLX_CONTAINER(node, struct plx_stream, later));
}

void plx_streams_set_over(struct plx_streams *ss, struct plx_stream *s)
{
    if ((s->flags & PLX_STREAM_OVER) != 0)
        return;
    plx_stream_unfold(s);
    s->flags |= PLX_STREAM_OVER;
    if (plx_list_is_linked(&s->later)) // it may have been waiting to be resumed
        plx_list_remove(&s->later);
    plx_list_add_tail(&ss->over, &s->later);
    if (ss->depth == 0)
        streams_wake(ss);
}

void plx_streams_end_refused(struct plx_streams *ss, struct plx_refused *r)
{
    if (!plx_refused_is_over(r))
        return;
    uint64_t id = r->id;
    plx_refused_remove(&ss->refused, ss->slab, r);
    number_close(ss, id);
}

void plx_streams_fini(struct plx_streams *ss)
{
    streams_enter(ss);
    ss->is_ending = true;
    for (unsigned kind = 0; kind < 4; kind++) {
        ss->window[kind].limit = ss->window[kind].next; // nothing new is opened from inside on_closed
        uint64_t number = 0;
        for (struct plx_stream *s; (s = plx_window_walk(&ss->window[kind], &number)) != NULL; number++)
            if (plx_slot_is_stream(s))
                stream_close(ss, s);
    }
    for (unsigned kind = 0; kind < 4; kind++)
        plx_window_fini(&ss->window[kind], ss->slab);
    plx_refused_fini(&ss->refused, ss->slab);
    plx_list_init(&ss->over);
    ss->ctl = 0; // nobody is left to be told
    ss->depth--;
}

// --- proof -------------------------------------------------------------------------------------------------

static void lean_verify(const struct plx_streams *ss, const struct plx_stream *s)
{
    static const uint8_t state[] = {[PLX_LEAN_READY] = PLX_SEND_READY,
                                    [PLX_LEAN_QUEUED] = PLX_SEND_READY,
                                    [PLX_LEAN_SENT] = PLX_SEND_DATA_SENT,
                                    [PLX_LEAN_ACKED] = PLX_SEND_DATA_RECVD};

    plx_check(s->lean <= PLX_LEAN_ACKED);
    plx_check(s->read <= s->recvd);
    plx_check(!plx_stream_id_is_uni(s->id));
    plx_check(s->send_state == state[s->lean]);
    plx_check(s->ctl == 0);
    plx_check((s->flags & (PLX_STREAM_OVER | PLX_STREAM_RESUMED | PLX_STREAM_PAUSED)) == 0);
    plx_check(s->ready_in == (s->lean == PLX_LEAN_QUEUED ? PLX_SCHED_FRESH : PLX_SCHED_NONE));
    plx_check(plx_list_is_linked(&s->ready) == (s->ready_in != PLX_SCHED_NONE));
    if (s->lean == PLX_LEAN_QUEUED || s->lean == PLX_LEAN_SENT)
        plx_check(s->send.piece[0].len > 0);
    if (s->lean == PLX_LEAN_SENT)
        plx_check(s->send.piece[0].len <= s->send_limit);
    plx_check(s->recv_state != PLX_RECV_RECV || s->recv_limit == ss->cfg.stream_window);
}

static void stream_verify(const struct plx_streams *ss, const struct plx_stream *s)
{
    plx_check(s->streams == ss);
    plx_check(s->recvd <= s->recv_limit);
    if (s->lean != PLX_LEAN_NO) {
        lean_verify(ss, s);
        return;
    }
    plx_check(s->read + plx_recvbuf_held(s->held) <= s->recvd);
    if (s->recv_state == PLX_RECV_RECV)
        plx_check(s->recv_limit == s->flow.limit);
    plx_check(plx_list_is_linked(&s->ctl_node) == (s->ctl != 0));
    plx_check(plx_list_is_linked(&s->later) == ((s->flags & (PLX_STREAM_OVER | PLX_STREAM_RESUMED)) != 0));
    plx_check(plx_list_is_linked(&s->ready) == (s->ready_in != PLX_SCHED_NONE));
    plx_check(s->send.sent_max <= s->send_limit);
    plx_recvbuf_verify(s->held, s->read);
    plx_check(s->held == NULL || !plx_recv_is_over(s->recv_state));
    plx_sendbuf_verify(&s->send);
}

void plx_streams_verify(const struct plx_streams *ss)
{
    uint32_t count = 0;
    uint64_t refused = 0, recvd_open = 0, consumed_open = 0;

    for (unsigned kind = 0; kind < 4; kind++) {
        uint64_t number = 0;
        plx_window_verify(&ss->window[kind]);
        for (struct plx_stream *s; (s = plx_window_walk(&ss->window[kind], &number)) != NULL; number++) {
            if (s == PLX_SLOT_REFUSED) {
                plx_check(plx_refused_find(&ss->refused, number << 2 | kind) != NULL);
                refused++;
                continue;
            }
            plx_check(s->id == (number << 2 | kind));
            stream_verify(ss, s);
            recvd_open += s->recvd;
            consumed_open += s->read;
            count++;
        }
    }
    plx_check(count == ss->count);
    plx_check(ss->is_server == ss->cfg.is_server);
    plx_check(ss->request_send_limit == send_limit_of(ss, 0));
    plx_check(refused == ss->refused.count);
    plx_check(ss->recvd <= ss->flow.limit);
    plx_check(ss->recvd - ss->consumed == recvd_open - consumed_open); // what is gone was consumed as a whole
    plx_check(ss->sent <= ss->send_limit);
    plx_list_verify(&ss->ctl_streams);
    plx_list_verify(&ss->resumed);
    plx_list_verify(&ss->over);
    plx_sched_verify(&ss->sched);
}

uint32_t plx_streams_count(const struct plx_streams *ss)
{
    return ss->count;
}
