// pair.h -- two connections and the wire between them, in memory and virtual time. Test programs only.
//
// Each end has pools of its own, so that "everything was given back" can be asked at the end. Datagrams travel through an array with
// a fixed delay; a filter of the test may drop, change or copy each. Crypto jobs run as the engine runs them: masks, opens, delivers
// of a datagram; seals, masks of what a connection wrote. The application is a table of counters with a small protocol: a request is
// eight octets that say how many octets of a known pattern to answer, and a FIN.

#ifndef PLX_TEST_PAIR_H
#define PLX_TEST_PAIR_H

#include "../tls/certs.h"

#include "base/pool.h"
#include "base/prng.h"
#include "base/slab.h"
#include "quic/conn/conn_impl.h"
#include "quic/wire/token.h"
#include "quic/wire/vneg.h"

enum { CLIENT, SERVER };
enum {
    PAIR_DGRAMS = 512,
    PAIR_DGRAM_LEN = 1600,
    PAIR_CIDS = 32,
    PAIR_PATTERN = 1 << 20,
    PAIR_STEPS_MAX = 200000, // a run that takes more goes round in circles
};

struct pair;

struct pair_dgram {
    bool is_used;
    plx_time at;
    uint64_t order;
    uint8_t to; // CLIENT or SERVER
    uint8_t ecn;
    uint16_t len;
    struct plx_addr from_addr, to_addr;
    uint8_t data[PAIR_DGRAM_LEN];
};

struct pair_end {
    struct pair *pair;
    uint8_t side;
    struct plx_conn_env env;
    struct plx_quic_cfg cfg;
    struct plx_pool handshakes, keys, streams;
    struct plx_slab slab;
    struct plx_conn *conn; // NULL: none
    void *memory;
    struct plx_addr addr;
    struct plx_cid cids[PAIR_CIDS];
    unsigned cid_count;
    struct plx_prng prng;
    // what happened
    unsigned opened, dead, wakes, sessions, tokens, closed_streams, resets, stops;
    uint64_t rx_total, rx_requests, fins; // octets of stream data; requests and answers that came whole
    bool is_pattern_broken;
    struct plx_close_info close;
    uint8_t session[8192], token[256];
    size_t session_len, token_len;
    unsigned steps[16]; // enum plx_rx_step
    uint64_t dgrams_tx, dgrams_rx, bytes_tx, bytes_rx;
    bool leaves;     // takes its name off streams that were answered whole
    size_t take_max; // on_data takes at most this much at once; 0: all
    struct plx_stream *paused;
    uint8_t reset_tokens[PLX_PATHS_MAX][PLX_RESET_TOKEN_LEN]; // in use, as the connection told last
    unsigned reset_token_count;
    // early data
    unsigned earlies;
    bool refuses_early, wants_early;
    void (*on_early)(struct pair_end *e, struct plx_conn *c);
};

struct pair {
    struct pair_end e[2];
    plx_time now;
    plx_dur delay;
    uint64_t dgrams_sent;
    struct pair_dgram dgrams[PAIR_DGRAMS];
    // What becomes of a datagram on its way: false drops it. May change it, or its time.
    bool (*filter)(struct pair *p, struct pair_dgram *d);
    uint64_t filter_arg;
    bool with_retry; // the server answers an Initial without a token with Retry
    bool token_checks;
    struct plx_token_keys token_keys;
    struct plx_token_seen seen;
    uint8_t reset_key[32];
    bool is_batch; // datagrams that come together are opened together
};

static const struct plx_aead_backend *pair_aead;
static struct plx_tls_ctx *pair_tls_server, *pair_tls_client;
static uint8_t pair_pattern[PAIR_PATTERN];

static inline int pair_group_setup(void **state)
{
    char text[256];
    certs_setup(state);
    pair_aead = plx_aead_pick(NULL, text, sizeof text);
    plx_check(pair_aead != NULL);
    static char main_cert[128], main_key[128], ca[128];
    snprintf(main_cert, sizeof main_cert, "%s/main.pem", certs_dir);
    snprintf(main_key, sizeof main_key, "%s/main.key", certs_dir);
    snprintf(ca, sizeof ca, "%s/ca.pem", certs_dir);
    struct plx_tls_cert cert = {main_cert, main_key};
    struct plx_tls_cfg server = {
        .is_server = true, .certs = &cert, .cert_count = 1, .tickets = 1, .early_data = true};
    struct plx_tls_cfg client = {.ca_file = ca, .verify_peer = true};
    pair_tls_server = plx_tls_ctx_new(&server, text, sizeof text);
    pair_tls_client = plx_tls_ctx_new(&client, text, sizeof text);
    plx_check(pair_tls_server != NULL);
    plx_check(pair_tls_client != NULL);
    for (size_t i = 0; i < sizeof pair_pattern; i++)
        pair_pattern[i] = (uint8_t)(i * 31 + (i >> 8));
    return 0;
}

static inline int pair_group_teardown(void **state)
{
    plx_tls_ctx_free(pair_tls_server);
    plx_tls_ctx_free(pair_tls_client);
    return certs_teardown(state);
}

// --- the application -----------------------------------------------------------------------------------------------------

static inline void app_on_open(void *arg, struct plx_conn *c)
{
    (void)c;
    ((struct pair_end *)arg)->opened++;
}
static inline void app_on_stream(void *arg, struct plx_conn *c, struct plx_stream *s)
{
    (void)arg, (void)c, (void)s;
}
// A request may come in pieces: the stream's user pointer holds what is known of its number (7 octets) and how many octets came (1).
static inline void app_on_request(struct pair_end *e, struct plx_stream *s, const uint8_t *data, size_t len)
{
    uint64_t known = (uint64_t)(uintptr_t)plx_stream_user(s);
    for (size_t i = 0; i < len; i++) {
        known = (known >> 8 << 8 | data[i]) << 8 | ((known & 0xff) + 1);
        if ((known & 0xff) != 8)
            continue;
        uint64_t want = known >> 8;
        struct plx_buf buf = {pair_pattern, want <= sizeof pair_pattern ? want : 0, NULL};
        e->rx_requests++;
        if (plx_stream_send(s, buf, true) != PLX_OK)
            e->is_pattern_broken = true;
    }
    plx_stream_set_user(s, (void *)(uintptr_t)known);
}
static inline size_t app_on_data(void *arg, struct plx_conn *c, struct plx_stream *s, const uint8_t *data,
                                 size_t len, bool fin)
{
    struct pair_end *e = arg;
    uint64_t at = (uint64_t)(uintptr_t)plx_stream_user(s);
    (void)c;
    size_t take = e->take_max != 0 && len > e->take_max ? e->take_max : len;
    if (e->side == CLIENT || plx_stream_is_uni(s)) {
        if (at + take > sizeof pair_pattern || (take != 0 && memcmp(data, pair_pattern + at, take) != 0))
            e->is_pattern_broken = true;
        plx_stream_set_user(s, (void *)(uintptr_t)(at + take));
    } else {
        app_on_request(e, s, data, take);
    }
    e->rx_total += take;
    if (take < len)
        e->paused = s;
    else
        e->fins += fin;
    return take;
}
static inline void app_on_reset(void *arg, struct plx_conn *c, struct plx_stream *s, uint64_t code)
{
    (void)c, (void)s, (void)code;
    ((struct pair_end *)arg)->resets++;
}
static inline void app_on_stop(void *arg, struct plx_conn *c, struct plx_stream *s, uint64_t code)
{
    (void)c, (void)s, (void)code;
    ((struct pair_end *)arg)->stops++;
}
static inline void app_on_writable(void *arg, struct plx_conn *c, struct plx_stream *s)
{
    (void)arg, (void)c, (void)s;
}
static inline void app_on_stream_closed(void *arg, struct plx_conn *c, struct plx_stream *s)
{
    struct pair_end *e = arg;
    (void)c;
    e->closed_streams++;
    if (e->paused == s)
        e->paused = NULL;
}
static inline void app_on_available(void *arg, struct plx_conn *c, bool is_uni)
{
    (void)arg, (void)c, (void)is_uni;
}
static inline void app_on_session(void *arg, struct plx_conn *c, const void *session, size_t len)
{
    struct pair_end *e = arg;
    (void)c;
    e->sessions++;
    plx_check(len <= sizeof e->session);
    memcpy(e->session, session, len);
    e->session_len = len;
}
static inline void app_on_token(void *arg, struct plx_conn *c, const uint8_t *token, size_t len)
{
    struct pair_end *e = arg;
    (void)c;
    e->tokens++;
    if (len <= sizeof e->token) {
        memcpy(e->token, token, len);
        e->token_len = len;
    }
}
static inline void app_on_dead(void *arg, struct plx_conn *c)
{
    struct pair_end *e = arg;
    plx_check(e->conn == c);
    e->dead++;
    plx_conn_close_info(c, &e->close);
}
static inline bool app_on_cid_issued(void *arg, struct plx_conn *c, const struct plx_cid *cid)
{
    struct pair_end *e = arg;
    (void)c;
    if (e->cid_count == PAIR_CIDS)
        return false;
    for (unsigned i = 0; i < e->cid_count; i++)
        if (plx_cid_eq(&e->cids[i], cid))
            return false;
    e->cids[e->cid_count++] = *cid;
    return true;
}
static inline void app_on_cid_retired(void *arg, struct plx_conn *c, const struct plx_cid *cid)
{
    struct pair_end *e = arg;
    (void)c;
    for (unsigned i = 0; i < e->cid_count; i++)
        if (plx_cid_eq(&e->cids[i], cid)) {
            e->cids[i] = e->cids[--e->cid_count];
            return;
        }
    plx_check(!"retired what was never issued");
}
static inline void app_on_wake(void *arg, struct plx_conn *c)
{
    (void)c;
    ((struct pair_end *)arg)->wakes++;
}

static inline void app_on_reset_tokens(void *arg, struct plx_conn *c, const uint8_t (*tokens)[16],
                                       unsigned count)
{
    struct pair_end *e = arg;
    (void)c;
    plx_check(count <= PLX_PATHS_MAX);
    memcpy(e->reset_tokens, tokens, count * sizeof *tokens);
    e->reset_token_count = count;
}

static inline void app_on_early(void *arg, struct plx_conn *c, const uint8_t *app, size_t len)
{
    struct pair_end *e = arg;
    if (e->side == CLIENT && e->on_early != NULL)
        plx_check(len == 5 && memcmp(app, "later", len) == 0);
    e->earlies++;
    if (e->on_early != NULL)
        e->on_early(e, c);
}
static inline size_t app_early_context(void *arg, struct plx_conn *c, uint8_t *out, size_t cap)
{
    (void)arg;
    plx_check(cap >= 5);
    memcpy(out, plx_conn_is_server(c) ? "sooner" : "later", plx_conn_is_server(c) ? 6 : 5);
    return plx_conn_is_server(c) ? 6 : 5;
}
static inline bool app_accepts_early(void *arg, struct plx_conn *c, const char *alpn, const uint8_t *app,
                                     size_t len)
{
    struct pair_end *e = arg;
    (void)c;
    plx_check(strcmp(alpn, "h3") == 0 && len == 6 && memcmp(app, "sooner", 6) == 0);
    return !e->refuses_early;
}

static inline size_t app_on_message(void *arg, struct plx_conn *c, struct plx_stream *s, const uint8_t *data,
                                    size_t len)
{
    app_on_stream(arg, c, s);
    return app_on_data(arg, c, s, data, len, true);
}

static inline size_t app_on_answer(void *arg, struct plx_conn *c, struct plx_stream *s, const uint8_t *data,
                                   size_t len)
{
    const struct pair_end *e = arg;
    size_t taken = app_on_data(arg, c, s, data, len, true);

    if (e->leaves)
        plx_stream_set_user(s, NULL);
    return taken;
}

static const struct plx_conn_events app_events = {
    app_on_early,
    app_early_context,
    app_accepts_early,
    app_on_open,
    app_on_stream,
    app_on_data,
    app_on_reset,
    app_on_stop,
    app_on_writable,
    app_on_stream_closed,
    app_on_available,
    app_on_session,
    app_on_token,
    app_on_dead,
    app_on_cid_issued,
    app_on_cid_retired,
    app_on_wake,
    app_on_reset_tokens,
    NULL, // nobody parks
    NULL,
    app_on_message,
    app_on_answer,
};

static inline void app_random(void *arg, void *out, size_t len)
{
    struct pair_end *e = arg;
    plx_prng_bytes(&e->prng, out, len);
}

// --- birth and death -----------------------------------------------------------------------------------------------------

static inline void pair_init(struct pair *p, uint64_t seed)
{
    static const uint8_t secret[PLX_TOKEN_SECRET_LEN] = {7};
    memset(p, 0, sizeof *p);
    p->now = (plx_time){UINT64_C(1000000000)};
    p->delay = PLX_MS(10);
    memset(p->reset_key, 9, sizeof p->reset_key);
    plx_token_keys_init(&p->token_keys, pair_aead);
    plx_token_keys_rotate(&p->token_keys, secret);
    plx_token_seen_init(&p->seen, p->now);
    for (uint8_t side = 0; side < 2; side++) {
        struct pair_end *e = &p->e[side];
        e->pair = p;
        e->side = side;
        plx_prng_init(&e->prng, seed * 2 + side + 1);
        plx_quic_cfg_init(&e->cfg);
        e->cfg.payload_max = 1452;
        plx_check(plx_pool_init(&e->handshakes, "handshakes", plx_conn_handshake_size(), 2, NULL));
        plx_check(plx_pool_init(&e->keys, "keys", plx_conn_keys_size(), 2, NULL));
        plx_check(plx_pool_init(&e->streams, "streams", plx_conn_stream_size(), 256, NULL));
        plx_check(plx_slab_init(&e->slab, 8 << 20, PLX_NODE_ANY));
        e->memory = aligned_alloc(64, plx_align_up(plx_conn_size(), 64));
        e->addr = (struct plx_addr){
            .ip = {10, 0, 0, side == SERVER ? 2 : 1}, .port = side == SERVER ? 443 : 50000, .af = PLX_AF_IP4};
        e->env = (struct plx_conn_env){
            .cfg = &e->cfg,
            .aead = pair_aead,
            .tls_server = pair_tls_server,
            .tls_client = pair_tls_client,
            .events = &app_events,
            .events_arg = e,
            .handshakes = &e->handshakes,
            .keys = &e->keys,
            .streams = &e->streams,
            .slab = &e->slab,
            .token_keys = &p->token_keys,
            .reset_key = p->reset_key,
            .random = app_random,
            .random_arg = e,
        };
    }
}

static inline void pair_end_free(struct pair_end *e)
{
    if (e->conn != NULL)
        plx_conn_fini(e->conn);
    e->conn = NULL;
}

// Ends both, and everything has come back.
static inline void pair_fini(struct pair *p)
{
    for (int side = 0; side < 2; side++) {
        struct pair_end *e = &p->e[side];
        pair_end_free(e);
        plx_check(plx_pool_in_use(&e->handshakes) == 0);
        plx_check(plx_pool_in_use(&e->keys) == 0);
        plx_check(plx_pool_in_use(&e->streams) == 0);
        plx_check(plx_slab_bytes_in_use(&e->slab) == 0);
        plx_check(e->cid_count == 0);
        plx_pool_fini(&e->handshakes);
        plx_pool_fini(&e->keys);
        plx_pool_fini(&e->streams);
        plx_slab_fini(&e->slab);
        free(e->memory);
    }
}

static inline bool pair_connect_with(struct pair *p, const void *session, size_t session_len,
                                     const uint8_t *token, size_t token_len)
{
    struct pair_end *e = &p->e[CLIENT];
    struct plx_conn_client_cfg cfg = {
        .server_name = "main.test",
        .peer = p->e[SERVER].addr,
        .local = e->addr,
        .session = session,
        .session_len = session_len,
        .token = token,
        .token_len = token_len,
        .early_data = e->wants_early,
    };
    e->conn = e->memory;
    if (!plx_conn_init_client(e->conn, &e->env, &cfg, p->now))
        e->conn = NULL;
    return e->conn != NULL;
}
static inline bool pair_connect(struct pair *p)
{
    return pair_connect_with(p, NULL, 0, NULL, 0);
}

// --- the wire --------------------------------------------------------------------------------------------------------------

static inline struct pair_dgram *pair_wire_put(struct pair *p, uint8_t to, const uint8_t *data, uint16_t len)
{
    for (int i = 0; i < PAIR_DGRAMS; i++) {
        struct pair_dgram *d = &p->dgrams[i];
        if (d->is_used)
            continue;
        *d = (struct pair_dgram){.is_used = true,
                                 .at = plx_time_after(p->now, p->delay),
                                 .order = ++p->dgrams_sent,
                                 .to = to,
                                 .len = len,
                                 .from_addr = p->e[!to].addr,
                                 .to_addr = p->e[to].addr};
        plx_check(len <= sizeof d->data);
        memcpy(d->data, data, len);
        return d;
    }
    plx_check(!"the wire is full");
    return NULL;
}

static inline struct pair_dgram *pair_wire_next(struct pair *p, plx_time until)
{
    struct pair_dgram *best = NULL;
    for (int i = 0; i < PAIR_DGRAMS; i++) {
        struct pair_dgram *d = &p->dgrams[i];
        if (d->is_used && plx_time_reached(d->at, until) &&
            (best == NULL || plx_time_lt(d->at, best->at) ||
             (d->at.ns == best->at.ns && d->order < best->order)))
            best = d;
    }
    return best;
}

static inline plx_time pair_wire_at(const struct pair *p)
{
    plx_time t = PLX_NEVER;
    for (int i = 0; i < PAIR_DGRAMS; i++)
        if (p->dgrams[i].is_used)
            t = plx_time_min(t, p->dgrams[i].at);
    return t;
}

// --- receiving as the engine does ---------------------------------------------------------------------------------------------

static inline void pair_answer(struct pair *p, struct pair_dgram *in, const uint8_t *data, size_t len)
{
    struct pair_dgram *d = pair_wire_put(p, !in->to, data, (uint16_t)len);
    d->from_addr = in->to_addr;
    d->to_addr = in->from_addr;
}

static inline void pair_send_retry(struct pair *p, struct pair_dgram *in, const struct plx_pkt_hdr *hdr)
{
    struct pair_end *e = &p->e[SERVER];
    uint8_t token[PLX_TOKEN_LEN_MAX], nonce[PLX_TOKEN_NONCE_LEN], out[256];
    struct plx_cid scid = {.len = 8};
    app_random(e, scid.bytes, 8);
    app_random(e, nonce, sizeof nonce);
    size_t token_len =
        plx_token_seal_retry(&p->token_keys, &hdr->dcid, &scid, &in->from_addr, p->now, nonce, token);
    struct plx_wr w = plx_wr_init(out, sizeof out);
    plx_check(plx_pkt_write_retry(&w, PLX_QUIC_V1, &hdr->scid, &scid, token, token_len, 5));
    size_t len = (size_t)(w.p - out);
    plx_retry_tag(pair_aead, PLX_QUIC_V1, hdr->dcid.bytes, hdr->dcid.len, out, len, out + len);
    pair_answer(p, in, out, len + PLX_AEAD_TAG_LEN);
}

// A server connection for an Initial. False: the datagram is over.
static inline bool pair_accept(struct pair *p, struct pair_dgram *in, const struct plx_pkt *pkt,
                               const struct plx_pkt_hdr *hdr)
{
    struct pair_end *e = &p->e[SERVER];
    struct plx_token_life life = {PLX_SEC(600), PLX_SEC(86400)}; // wires of fuzzers may be slow
    struct plx_token_info info;
    if (hdr->type != PLX_PKT_INITIAL || in->len < PLX_DGRAM_MIN)
        return false;
    enum plx_token_result r = plx_token_open(&p->token_keys, in->data + hdr->token_offset, hdr->token_len,
                                             &in->from_addr, &hdr->dcid, p->now, &life, &p->seen, &info);
    bool is_ok = hdr->token_len != 0 && r == PLX_TOKEN_OK;
    if (p->with_retry && !is_ok) {
        pair_send_retry(p, in, hdr);
        return false;
    }
    bool was_retried = is_ok && info.kind == PLX_TOKEN_RETRY;
    e->conn = e->memory;
    if (plx_conn_init_server(e->conn, &e->env, hdr, was_retried ? &info.odcid : &hdr->dcid, was_retried,
                             is_ok, pkt, p->now))
        return true;
    e->conn = NULL;
    return false;
}

static inline bool pair_owns(const struct pair_end *e, const struct plx_cid *cid)
{
    for (unsigned i = 0; i < e->cid_count; i++)
        if (plx_cid_eq(&e->cids[i], cid))
            return true;
    return false;
}

// One QUIC packet through the three steps. LATER comes back as such.
static inline enum plx_rx_step pair_steps(struct pair *p, struct pair_end *e, struct plx_rx *rx)
{
    struct plx_mask_job mask;
    struct plx_aead_job open;
    enum plx_rx_step step = plx_conn_rx_begin(e->conn, rx, &mask, p->now);
    if (step == PLX_RX_GO) {
        pair_aead->mask(&mask, 1);
        step = plx_conn_rx_number(e->conn, rx, &mask, &open);
    }
    if (step == PLX_RX_GO) {
        pair_aead->open(&open, 1);
        step = plx_conn_rx_deliver(e->conn, rx, &open, p->now);
    }
    if (step != PLX_RX_LATER)
        e->steps[step]++;
    return step;
}

static inline void pair_reap(struct pair_end *e)
{
    if (e->conn == NULL)
        return;
    plx_conn_verify(e->conn);
    if (plx_conn_state(e->conn) == PLX_CONN_DEAD)
        pair_end_free(e);
}

static inline void pair_unstash(struct pair *p, struct pair_end *e)
{
    struct plx_pkt *pkt;
    while (e->conn != NULL && (pkt = plx_conn_rx_unstash(e->conn)) != NULL) {
        struct plx_rx rx = {.pkt = pkt, .p = pkt->data, .dgram_len = pkt->len};
        plx_check(plx_pkt_parse(pkt->data, pkt->len, PLX_CID_LEN, &rx.hdr) == PLX_PKT_PARSED);
        pair_steps(p, e, &rx);
        plx_conn_rx_unstash_done(e->conn, pkt);
    }
}

static inline void pair_deliver(struct pair *p, struct pair_dgram *d)
{
    struct pair_end *e = &p->e[d->to];
    struct plx_pkt pkt = {.data = d->data,
                          .len = d->len,
                          .cap = d->len,
                          .ecn = d->ecn,
                          .time = p->now,
                          .peer = d->from_addr,
                          .local = d->to_addr};
    struct plx_rx rx[8];
    unsigned count = 0;
    e->dgrams_rx++;
    e->bytes_rx += d->len;
    for (size_t at = 0; at < d->len && count < 8;) {
        struct plx_rx *r = &rx[count];
        *r = (struct plx_rx){.pkt = &pkt, .p = d->data + at, .dgram_len = at == 0 ? d->len : 0};
        enum plx_pkt_parse parsed = plx_pkt_parse(r->p, d->len - at, PLX_CID_LEN, &r->hdr);
        if (parsed != PLX_PKT_PARSED)
            break;
        at += r->hdr.pkt_len;
        if (e->conn == NULL && (e->side == CLIENT || !pair_accept(p, d, &pkt, &r->hdr)))
            break;
        // A client finds a stateless reset, whose connection ID is noise, by the address.
        if (!pair_owns(e, &r->hdr.dcid) && !(e->side == CLIENT && r->hdr.type == PLX_PKT_SHORT))
            continue;
        count++;
    }
    bool is_waiting = true;
    for (int round = 0; round < 3 && is_waiting; round++) {
        is_waiting = false;
        for (unsigned i = 0; i < count && e->conn != NULL; i++) {
            if (rx[i].p == NULL)
                continue;
            if (pair_steps(p, e, &rx[i]) == PLX_RX_LATER)
                is_waiting = true;
            else
                rx[i].p = NULL;
        }
    }
    for (unsigned i = 0; i < count && e->conn != NULL; i++)
        if (rx[i].p != NULL && !plx_conn_rx_stash(e->conn, &rx[i], p->now))
            e->steps[PLX_RX_DROP_KEYS]++;
    pair_unstash(p, e);
    d->is_used = false;
    pair_reap(e);
}

// --- sending as the engine does -----------------------------------------------------------------------------------------------

enum { PAIR_TX = 64, PAIR_JOBS = 3 * PAIR_TX };

static inline bool pair_tx_some(struct pair *p, struct pair_end *e)
{
    static uint8_t bufs[PAIR_TX][PAIR_DGRAM_LEN];
    struct plx_pkt pkts[PAIR_TX], *spare[PAIR_TX], *out[PAIR_TX];
    struct plx_aead_job seals[PAIR_JOBS];
    struct plx_mask_job masks[PAIR_JOBS];
    struct plx_tx_mask headers[PAIR_JOBS];
    for (int i = 0; i < PAIR_TX; i++) {
        pkts[i] = (struct plx_pkt){.data = bufs[i], .cap = PAIR_DGRAM_LEN};
        spare[i] = &pkts[i];
    }
    struct plx_tx tx = {.spare = spare,
                        .spare_count = PAIR_TX,
                        .out = out,
                        .out_max = PAIR_TX,
                        .seals = seals,
                        .masks = masks,
                        .headers = headers,
                        .job_max = PAIR_JOBS};
    bool has_more = plx_conn_tx(e->conn, &tx, 16, p->now);
    pair_aead->seal(seals, tx.job_count);
    pair_aead->mask(masks, tx.job_count);
    plx_tx_apply_masks(&tx);
    for (unsigned i = 0; i < tx.out_count; i++) {
        e->dgrams_tx++;
        e->bytes_tx += out[i]->len;
        struct pair_dgram *d = pair_wire_put(p, !e->side, out[i]->data, out[i]->len);
        d->ecn = out[i]->ecn;
        d->to_addr = out[i]->peer;
        d->from_addr = out[i]->local;
        if (p->filter != NULL && !p->filter(p, d))
            d->is_used = false;
    }
    return has_more;
}

static inline void pair_tx(struct pair *p, struct pair_end *e)
{
    if (e->conn == NULL)
        return;
    if (e->paused != NULL)
        plx_stream_resume(e->paused);
    int rounds = 0;
    while (e->conn != NULL && plx_conn_wants_tx(e->conn)) {
        bool has_more = pair_tx_some(p, e);
        plx_check(++rounds < 1000);
        if (!has_more)
            break;
    }
    pair_reap(e);
}

// --- time --------------------------------------------------------------------------------------------------------------------

static inline plx_time pair_next(const struct pair *p)
{
    plx_time t = pair_wire_at(p);
    for (int side = 0; side < 2; side++)
        if (p->e[side].conn != NULL)
            t = plx_time_min(t, plx_conn_deadline(p->e[side].conn));
    return t;
}

static inline void pair_step(struct pair *p)
{
    for (struct pair_dgram *d; (d = pair_wire_next(p, p->now)) != NULL;)
        pair_deliver(p, d);
    for (int side = 0; side < 2; side++) {
        struct pair_end *e = &p->e[side];
        if (e->conn != NULL && plx_time_reached(plx_conn_deadline(e->conn), p->now)) {
            plx_conn_on_timeout(e->conn, p->now);
            pair_reap(e);
        }
        pair_tx(p, e);
    }
}

// Runs for so long, or until nothing will ever happen again.
static inline void pair_run(struct pair *p, plx_dur how_long)
{
    plx_time until = plx_time_after(p->now, how_long);
    unsigned steps = 0;
    for (;;) {
        pair_step(p);
        plx_time next = pair_next(p);
        if (plx_time_is_never(next) || plx_time_lt(until, next))
            break;
        p->now = plx_time_max(p->now, next);
        plx_check(++steps < PAIR_STEPS_MAX);
    }
    p->now = plx_time_max(p->now, until);
}

static inline bool pair_is_confirmed(const struct pair *p)
{
    for (int side = 0; side < 2; side++)
        if (p->e[side].conn == NULL || plx_conn_state(p->e[side].conn) != PLX_CONN_CONFIRMED)
            return false;
    return true;
}

// Connects and runs until both ends are confirmed.
static inline void pair_establish(struct pair *p)
{
    plx_check(pair_connect(p));
    pair_run(p, PLX_MS(500));
    plx_check(pair_is_confirmed(p));
}

// --- requests ------------------------------------------------------------------------------------------------------------------

static inline struct plx_stream *pair_request(struct pair *p, uint64_t answer)
{
    struct plx_stream *s;
    uint8_t request[8];
    plx_store_be64(request, answer);
    if (plx_stream_open(p->e[CLIENT].conn, false, &s) != PLX_OK)
        return NULL;
    plx_check(plx_stream_send_copy(s, request, sizeof request, true) == PLX_OK);
    return s;
}

#endif
