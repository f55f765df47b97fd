// conn.c -- a connection's birth and death, its state, and the facts that others ask for.
//
// Every entry point from outside runs between conn_enter() and conn_leave(). What happens inside only changes state; leave() then
// does what must not be done from within a callback: closing streams, giving objects back, telling that the connection is dead.
// So an event handler may close the connection it is called for, and the frames behind it simply stop.

#include "quic/conn/conn_impl.h"

#include "base/pool.h"

// --- settings --------------------------------------------------------------------------------------------------------

void plx_quic_cfg_init(struct plx_quic_cfg *cfg)
{
    *cfg = (struct plx_quic_cfg){
        .idle_timeout = PLX_SEC(30),
        .handshake_timeout = PLX_SEC(10),
        .max_ack_delay = PLX_MS(25),
        .conn_window = 1 << 20,
        .conn_window_max = 64 << 20,
        .stream_window = 256 << 10,
        .stream_window_max = 16 << 20,
        .streams_bidi = 128,
        .streams_uni = 8,
        .cc = PLX_CC_CUBIC,
        .initial_cwnd_packets = PLX_CWND_INITIAL_PACKETS,
        .payload_max = PLX_DGRAM_MIN,
        .active_cid_limit = 4,
        .cid_len = PLX_CID_LEN,
    };
}

size_t plx_conn_size(void)
{
    return sizeof(struct plx_conn);
}
size_t plx_conn_handshake_size(void)
{
    return sizeof(struct conn_hs);
}
size_t plx_conn_keys_size(void)
{
    return sizeof(struct conn_keys);
}
size_t plx_conn_stream_size(void)
{
    return sizeof(struct plx_stream);
}

// --- state -----------------------------------------------------------------------------------------------------------

static const uint8_t state_next[CONN_STATE_COUNT][CONN_EV_COUNT] = {
// the next state + 1; 0: no arrow
#define X(from, event, to, why) [PLX_CONN_##from][CONN_EV_##event] = PLX_CONN_##to + 1,
#include "quic/conn/conn_state.def"
#undef X
};

bool conn_on_event(struct plx_conn *c, enum conn_event ev)
{
    uint8_t next = state_next[c->state][ev];
    if (next == 0)
        return false;
    c->state = next - 1;
    return true;
}

enum plx_conn_state plx_conn_state(const struct plx_conn *c)
{
    return (enum plx_conn_state)c->state;
}

static void tell_reset_tokens(struct plx_conn *c)
{
    uint8_t tokens[PLX_PATHS_MAX][PLX_RESET_TOKEN_LEN];
    unsigned count = plx_cids_peer_tokens(&c->peer_cids, tokens);

    c->tokens_told = c->peer_cids.tokens_changed;
    if (c->env->events->on_reset_tokens != NULL)
        c->env->events->on_reset_tokens(c->env->events_arg, c, (const uint8_t(*)[PLX_RESET_TOKEN_LEN])tokens,
                                        count);
}

void conn_settle(struct plx_conn *c)
{
    if (c->tokens_told != c->peer_cids.tokens_changed && !conn_is_winding_down(c))
        tell_reset_tokens(c);
    if (conn_is_winding_down(c))
        conn_wind_down(c);
}

// --- streams tell us -----------------------------------------------------------------------------------------------------

#define EVENT(c) ((c)->env->events)
#define ARG(c)   ((c)->env->events_arg)

static void streams_on_stream(void *arg, struct plx_stream *s)
{
    struct plx_conn *c = arg;
    c->env->stats.streams_opened++;
    EVENT(c)->on_stream(ARG(c), c, s);
}
static size_t streams_on_data(void *arg, struct plx_stream *s, const uint8_t *data, size_t len, bool fin)
{
    struct plx_conn *c = arg;
    return EVENT(c)->on_data(ARG(c), c, s, data, len, fin);
}
static size_t streams_on_message(void *arg, struct plx_stream *s, const uint8_t *data, size_t len)
{
    struct plx_conn *c = arg;
    c->env->stats.streams_opened++;
    return EVENT(c)->on_message(ARG(c), c, s, data, len);
}
static size_t streams_on_answer(void *arg, struct plx_stream *s, const uint8_t *data, size_t len)
{
    struct plx_conn *c = arg;
    return EVENT(c)->on_answer(ARG(c), c, s, data, len);
}
static void streams_on_reset(void *arg, struct plx_stream *s, uint64_t code)
{
    struct plx_conn *c = arg;
    EVENT(c)->on_reset(ARG(c), c, s, code);
}
static void streams_on_stop_sending(void *arg, struct plx_stream *s, uint64_t code)
{
    struct plx_conn *c = arg;
    EVENT(c)->on_stop_sending(ARG(c), c, s, code);
}
static void streams_on_writable(void *arg, struct plx_stream *s)
{
    struct plx_conn *c = arg;
    EVENT(c)->on_writable(ARG(c), c, s);
}
static void streams_on_closed(void *arg, struct plx_stream *s)
{
    struct plx_conn *c = arg;
    c->env->stats.streams_closed++;
    // Who wants answers and has taken his name off a stream has heard all of it. The end of a connection is another matter: it is told with
    // whatever stream is the first.
    if (c->streams.wants_answers && s->user == NULL && !conn_is_winding_down(c))
        return;
    EVENT(c)->on_stream_closed(ARG(c), c, s);
}
static void streams_on_available(void *arg, bool is_uni)
{
    struct plx_conn *c = arg;
    EVENT(c)->on_streams_available(ARG(c), c, is_uni);
}
static bool streams_on_recall(void *arg)
{
    struct plx_conn *c = arg;
    return EVENT(c)->on_unpark(ARG(c), c);
}
static void streams_on_wake(void *arg)
{
    conn_wake(arg);
}

static const struct plx_streams_events streams_events = {
    streams_on_stream,   streams_on_data,   streams_on_reset,     streams_on_stop_sending,
    streams_on_writable, streams_on_closed, streams_on_available, streams_on_wake,
    streams_on_message,  streams_on_answer, streams_on_recall,
};

void plx_conn_want_messages(struct plx_conn *c)
{
    c->streams.wants_messages = c->is_server;
    c->streams.wants_answers = !c->is_server;
}

struct plx_stream *plx_conn_ask(struct plx_conn *c, const struct plx_buf *buf, void *user)
{
    if (!conn_is_complete(c))
        return NULL;
    struct plx_stream *s = plx_streams_ask(&c->streams, buf, user);
    if (s != NULL)
        c->env->stats.streams_opened++;
    return s;
}

enum plx_err plx_stream_open(struct plx_conn *c, bool is_uni, struct plx_stream **out)
{
    if (conn_is_winding_down(c))
        return PLX_ERR_CLOSED;
    if (conn_is_handshaking(c) && !conn_is_early(c)) // the peer's limits are not known yet
        return PLX_ERR_AGAIN;
    enum plx_err err = plx_streams_open(&c->streams, is_uni, out);
    if (err == PLX_OK)
        c->env->stats.streams_opened++;
    return err;
}

// --- references come back ------------------------------------------------------------------------------------------------

// Apart, so that those of streams save no registers for it.
__attribute__((noinline)) static void on_acked_other(struct plx_conn *c, enum plx_space_id space,
                                                     const struct plx_ref *ref)
{
    switch (ref->kind) {
    case PLX_REF_CRYPTO:
        if (c->hs != NULL)
            plx_cstream_tx_on_acked(&c->hs->ctx[space], ref);
        return;
    case PLX_REF_NEW_CID:
        plx_cids_local_on_acked(&c->cids, ref->id);
        return;
    case PLX_REF_RETIRE_CID:
        plx_cids_peer_on_acked(&c->peer_cids, ref->id);
        return;
    case PLX_REF_PING:
    case PLX_REF_NEW_TOKEN:
    case PLX_REF_PATH_CHALLENGE:
    case PLX_REF_HANDSHAKE_DONE:
        return;
    default:
        plx_streams_on_acked(&c->streams, ref);
    }
}

static void on_acked(void *arg, enum plx_space_id space, const struct plx_ref *refs, unsigned count)
{
    struct plx_conn *c = arg;
    for (unsigned i = 0; i < count; i++) {
        if (refs[i].kind == PLX_REF_ACK)
            plx_acks_on_acked(&conn_space(c, space)->acks, refs[i].offset);
        else if (refs[i].kind == PLX_REF_STREAM) // nearly all there is, and they stand together
            i += plx_streams_on_frames_acked(&c->streams, refs + i, count - i) - 1;
        else
            on_acked_other(c, space, &refs[i]);
    }
}

static void requeued(struct plx_conn *c, uint32_t len)
{
    c->retransmitted++;
    c->env->stats.retransmitted_bytes += len;
}

static void on_lost(void *arg, enum plx_space_id space, const struct plx_ref *ref)
{
    struct plx_conn *c = arg;
    if (c->is_wound_down)
        return;
    if (ref->kind == PLX_REF_CRYPTO || ref->kind == PLX_REF_STREAM)
        requeued(c, ref->len);
    switch (ref->kind) {
    case PLX_REF_ACK:
    case PLX_REF_PING:
    case PLX_REF_PATH_CHALLENGE:
        return;
    case PLX_REF_CRYPTO:
        if (c->hs != NULL)
            plx_cstream_tx_on_lost(&c->hs->ctx[space], ref);
        return;
    case PLX_REF_NEW_CID:
        plx_cids_local_on_lost(&c->cids, ref->id);
        return;
    case PLX_REF_RETIRE_CID:
        plx_cids_peer_on_lost(&c->peer_cids, ref->id);
        return;
    case PLX_REF_NEW_TOKEN:
        c->want |= CONN_WANT_NEW_TOKEN;
        return;
    case PLX_REF_HANDSHAKE_DONE:
        //= rfc9000 13.3 "The HANDSHAKE_DONE frame MUST be retransmitted until it is acknowledged"
        c->want |= CONN_WANT_HANDSHAKE_DONE;
        return;
    default:
        plx_streams_on_lost(&c->streams, ref);
    }
}

static const struct plx_recovery_events recovery_events = {on_acked, on_lost};

// --- birth -----------------------------------------------------------------------------------------------------------

static void hs_init(struct plx_conn *c, plx_time now)
{
    struct conn_hs *hs = c->hs;
    memset(hs, 0, sizeof *hs);
    for (int i = 0; i < CONN_HS_SPACES; i++)
        plx_space_init(&hs->space[i], c->env->slab, (plx_dur){0});
    for (int i = 0; i < PLX_SPACE_COUNT; i++) {
        plx_cstream_tx_init(&hs->ctx[i]);
        plx_cstream_rx_init(&hs->crx[i]);
    }
    hs->deadline = plx_time_after(now, c->env->cfg->handshake_timeout);
    hs->ticket_until = PLX_NEVER;
    hs->early.until = PLX_NEVER;
}

static uint64_t random_u64(struct plx_conn *c)
{
    uint64_t v;
    c->env->random(c->env->random_arg, &v, sizeof v);
    return v;
}

// Everything that both roles share and that cannot fail but for the pool. The connection IDs come afterwards.
static bool conn_init(struct plx_conn *c, struct plx_conn_env *env, bool is_server, plx_time now)
{
    const struct plx_quic_cfg *cfg = env->cfg;
    memset(c, 0, sizeof *c);
    c->env = env;
    c->is_server = is_server;
    c->now = c->heard_at = c->opened_at = now;
    c->old_keys_until = PLX_NEVER;
    c->update_from = PLX_NEVER;
    c->rx_phase_first = UINT64_MAX;
    c->idle_timeout = cfg->idle_timeout;
    c->payload_max = PLX_DGRAM_MIN;
    c->cipher = c->group = "";
    c->skip_at = CONN_SKIP_MIN + random_u64(c) % CONN_SKIP_SPAN;
    //= rfc9000 17.4 "at least one in every 16 network paths"
    c->is_spin = cfg->is_spin && random_u64(c) % 16 != 0;
    //= rfc9000 17.4 "RECOMMENDED that endpoints set the spin bit to a random value"
    c->spin = !c->is_spin && (random_u64(c) & 1) != 0;
    c->hs = plx_pool_take(env->handshakes);
    if (c->hs == NULL)
        return false;
    hs_init(c, now);
    plx_space_init(&c->space, env->slab, cfg->max_ack_delay);

    struct plx_recovery_cfg rc = {
        .cc = cfg->cc == PLX_CC_NEWRENO ? &plx_cc_newreno : &plx_cc_cubic,
        .initial_cwnd_packets = (uint16_t)cfg->initial_cwnd_packets,
        .hystart = !cfg->no_hystart,
        .pacing = !cfg->no_pacing,
        .ecn = !cfg->no_ecn,
        .initial_rtt = PLX_MS(333),
    };
    plx_recovery_init(&c->recovery, &rc, PLX_DGRAM_MIN, &recovery_events, c);

    struct plx_streams_cfg sc = {
        .is_server = is_server,
        .conn_window = cfg->conn_window,
        .conn_window_max = cfg->conn_window_max,
        .stream_window = cfg->stream_window,
        .stream_window_max = cfg->stream_window_max,
        .streams_bidi = cfg->streams_bidi,
        .streams_uni = cfg->streams_uni,
        .refuse_code = cfg->refuse_code,
    };
    plx_streams_init(&c->streams, &sc, env->streams, env->slab, &streams_events, c);
    env->stats.conns_opened++;
    return true;
}

bool plx_conn_init_server(struct plx_conn *c, struct plx_conn_env *env, const struct plx_pkt_hdr *hdr,
                          const struct plx_cid *odcid, bool was_retried, bool is_validated,
                          const struct plx_pkt *pkt, plx_time now)
{
    struct plx_cid scid;
    if (env->tls_server == NULL || !conn_init(c, env, true, now))
        return false;
    if (!env->events->on_cid_issued(env->events_arg, c, &hdr->dcid))
        goto undo;
    c->hs->has_odcid_route = true;
    c->hs->first_dcid = hdr->dcid;
    if (!conn_cid_new(c, &scid))
        goto undo;
    plx_cids_local_init(&c->cids, &scid);
    plx_cids_peer_init(&c->peer_cids, &hdr->scid, env->cfg->active_cid_limit);
    plx_paths_init(&c->paths, true, &pkt->peer, &pkt->local, is_validated, PLX_DGRAM_MIN);
    conn_keys_initial(c, &hdr->dcid);
    c->hs->original_dcid = *odcid;
    c->hs->was_retried = was_retried;
    if (was_retried)
        c->hs->retry_scid = hdr->dcid;
    return true;

undo:
    plx_conn_fini(c);
    return false;
}

bool plx_conn_init_client(struct plx_conn *c, struct plx_conn_env *env, const struct plx_conn_client_cfg *cfg,
                          plx_time now)
{
    struct plx_cid scid, dcid = {.len = PLX_CID_LEN};
    struct conn_session session = {{NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}};
    if (env->tls_client == NULL || !conn_init(c, env, false, now))
        return false;
    if (!conn_cid_new(c, &scid))
        goto undo;
    plx_cids_local_init(&c->cids, &scid);
    //= rfc9000 7.2 "This Destination Connection ID MUST be at least 8 bytes in length"
    env->random(env->random_arg, dcid.bytes, dcid.len);
    plx_cids_peer_init(&c->peer_cids, &dcid, env->cfg->active_cid_limit);
    plx_paths_init(&c->paths, false, &cfg->peer, &cfg->local, true, PLX_DGRAM_MIN);
    c->hs->first_dcid = c->hs->original_dcid = dcid;
    conn_keys_initial(c, &dcid);

    if (cfg->session_len != 0 && !conn_session_read(cfg->session, cfg->session_len, &session))
        session = (struct conn_session){
            {NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}}; // of another version: a full handshake instead
    struct plx_span token =
        cfg->token_len != 0 ? (struct plx_span){cfg->token, cfg->token_len} : session.token;
    if (token.len != 0 && token.len <= CONN_TOKEN_MAX && !conn_token_set(c, token.p, token.len))
        goto undo;
    c->hs->server_name = cfg->server_name;
    c->is_inside = true; // TLS calls back
    bool wants_early = cfg->early_data && conn_early_remember(c, &session);
    bool is_ok = conn_tls_open(c, env->tls_client, session.tls, wants_early) && !conn_is_winding_down(c);
    conn_early_begin(c);
    c->is_inside = false;
    c->hs->server_name = NULL;
    if (is_ok)
        return true;
undo:
    plx_conn_fini(c);
    return false;
}

void plx_conn_fini(struct plx_conn *c)
{
    const struct plx_conn_events *ev = c->env->events;
    c->is_dead_told = true; // whoever ends it this way knows
    c->is_inside = true;
    c->state = PLX_CONN_DEAD;
    conn_wind_down(c);
    plx_recovery_discard_space(&c->recovery, &c->space,
                               PLX_SPACE_APP); // padded CONNECTION_CLOSEs were in flight
    plx_space_fini(&c->space);
    for (int i = 0; i < PLX_CIDS_LOCAL_MAX; i++)
        if (c->cids.v[i].state != PLX_CID_FREE)
            ev->on_cid_retired(c->env->events_arg, c, &c->cids.v[i].cid);
    c->cids.count = 0;
    conn_reason_forget(c);
    c->env->stats.conns_closed++;
}

// --- facts -----------------------------------------------------------------------------------------------------------

void *plx_conn_user(const struct plx_conn *c)
{
    return c->user;
}
void plx_conn_set_user(struct plx_conn *c, void *user)
{
    c->user = user;
}
bool plx_conn_is_server(const struct plx_conn *c)
{
    return c->is_server;
}

void plx_conn_ping(struct plx_conn *c)
{
    if (conn_is_winding_down(c))
        return;
    c->want |= CONN_WANT_PING;
    conn_wake(c);
}

void plx_conn_info(const struct plx_conn *c, struct plx_conn_info *out)
{
    const struct plx_path *path = &c->paths.v[c->paths.active];
    const struct plx_rtt *rtt = &c->recovery.rtt;
    *out = (struct plx_conn_info){
        .local = path->local,
        .peer = path->peer,
        .version = PLX_QUIC_V1,
        .cipher = c->cipher,
        .group = c->group,
        .alpn = c->alpn,
        .was_resumed = c->was_resumed,
        .early = c->early,
        .is_confirmed = c->recovery.is_confirmed,
        .cwnd = c->recovery.cc.cwnd,
        .bytes_in_flight = c->recovery.bytes_in_flight,
        .packets_rx = c->packets_rx,
        .packets_tx = c->packets_tx,
        .packets_lost = c->recovery.lost_packets,
        .packets_retransmitted = c->retransmitted,
        .bytes_rx = c->bytes_rx,
        .bytes_tx = c->bytes_tx,
        .datagrams_rx = c->datagrams_rx,
        .datagrams_tx = c->datagrams_tx,
        .ecn_ce = c->space.ecn_seen.last.ce,
        .mtu = path->mtu,
        .core = c->env->core,
    };
    if (rtt->has_sample) {
        out->rtt = rtt->smoothed;
        out->rtt_min = rtt->min;
        out->rtt_var = rtt->var;
    }
    if (c->completed_at.ns != 0)
        out->handshake = plx_time_since(c->completed_at, c->opened_at);
}
