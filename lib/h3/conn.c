// conn.c -- the life of a connection: made, started, fed by the transport, failed, freed.
//
// Every entry point looks the stream's kind up and hands on; then decoder instructions that have become due are
// sent together, and a shutdown that was waiting goes on. After a failure everything that comes is swallowed.

#include "h3/conn_int.h"

#include "base/check.h"
#include "h3/fields.h"

// --- configuration -----------------------------------------------------------------------------------------

enum {
    FIELD_SECTION_DEFAULT = 16 << 10,
    FIELD_COUNT_DEFAULT = 128,
    TABLE_DEFAULT = 4096,
    BLOCKED_DEFAULT = 16,
    FIELD_SECTION_MAX = PLX_SLAB_BLOCK_MAX / 2, // a section that is cut must fit in a block of the slab
    TABLE_MAX = 64 << 10, // and so must the longest instruction for a table of that capacity
};

static struct plx_h3_cfg cfg_resolved(const struct plx_h3_cfg *cfg)
{
    struct plx_h3_cfg c = *cfg;

    if (c.field_section_max == 0)
        c.field_section_max = FIELD_SECTION_DEFAULT;
    if (c.field_section_max > FIELD_SECTION_MAX)
        c.field_section_max = FIELD_SECTION_MAX;
    if (c.field_count_max == 0)
        c.field_count_max = FIELD_COUNT_DEFAULT;
    if (c.qpack_table_max == 0)
        c.qpack_table_max = TABLE_DEFAULT;
    if (c.qpack_table_max > TABLE_MAX)
        c.qpack_table_max = TABLE_MAX;
    if (c.qpack_blocked_max == 0)
        c.qpack_blocked_max = BLOCKED_DEFAULT;
    return c;
}

static size_t tx_len_of(const struct plx_h3_cfg *c)
{
    return PLX_H3_TX_HEADROOM + c->field_section_max + PLX_H3_TX_TAILROOM + PLX_H3_INLINE_BODY_MAX;
}

size_t plx_h3_scratch_size(const struct plx_h3_cfg *cfg)
{
    struct plx_h3_cfg c = cfg_resolved(cfg);
    return c.field_count_max * (sizeof(struct plx_field) + 1) + c.field_section_max + tx_len_of(&c);
}

struct scratch plx_h3_scratch_of(const struct plx_h3_env *env)
{
    struct scratch s = {.fields = env->scratch, .tx_len = tx_len_of(&env->cfg)};
    s.classes = (uint8_t *)(s.fields + env->cfg.field_count_max);
    s.text = s.classes + env->cfg.field_count_max;
    s.tx = s.text + env->cfg.field_section_max;
    return s;
}

void plx_h3_conn_prefetch(const struct plx_h3_conn *c)
{
    for (size_t at = 0; at < offsetof(struct plx_h3_conn, transport); at += 64)
        __builtin_prefetch((const uint8_t *)c + at);
}

void plx_h3_req_prefetch(const void *hs)
{
    __builtin_prefetch(hs); // as a rule it is lean
}

size_t plx_h3_conn_size(void)
{
    return sizeof(struct plx_h3_conn);
}

size_t plx_h3_stream_size(void)
{
    return sizeof(struct plx_h3_req) > sizeof(struct ustream) ? sizeof(struct plx_h3_req)
                                                              : sizeof(struct ustream);
}

// --- life --------------------------------------------------------------------------------------------------

struct plx_h3_conn *plx_h3_conn_new(struct plx_h3_env *env, bool is_server, const struct plx_h3_io *io,
                                    void *io_arg, const struct plx_h3_handler *handler,
                                    struct plx_conn *transport)
{
    struct plx_h3_conn *c = plx_pool_take(env->conns);
    if (c == NULL)
        return NULL;
    env->cfg = cfg_resolved(&env->cfg);
    *c = (struct plx_h3_conn){
        .env = env,
        .io = io,
        .io_arg = io_arg,
        .handler = handler,
        .transport = transport,
        .is_server = is_server,
        .goaway_sent = UINT64_MAX,
        .goaway_received = UINT64_MAX,
    };
    plx_list_init(&c->requests);
    plx_list_init(&c->ustreams);
    plx_list_init(&c->blocked);
    plx_settings_init(&c->peer);
    plx_qpack_table_init(&c->table, env->slab, env->cfg.qpack_table_max);
    return c;
}

// RFC 9114 section 7.2.8 and others: 0x1f * N + 0x21, another N for each use, connection and run.
static uint64_t grease(struct plx_h3_env *env)
{
    env->grease_seed = env->grease_seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (env->grease_seed >> 40) * 0x1f + 0x21;
}

static bool local_open(struct plx_h3_conn *c, struct plx_h3_stream *s, enum stream_kind kind,
                       const struct plx_wr *w, const uint8_t *first, bool fin)
{
    *s = (struct plx_h3_stream){.conn = c, .kind = (uint8_t)kind};
    s->ts = c->io->open_uni(c->io_arg, s, &s->id);
    if (s->ts == NULL)
        return false;
    return c->io->send_copy(c->io_arg, s->ts, first, (size_t)(w->p - first), fin) == PLX_OK;
}

static void settings_ours(const struct plx_h3_cfg *cfg, bool is_server, struct plx_settings *ours)
{
    plx_settings_init(ours);
    ours->value[PLX_SETTING_QPACK_MAX_TABLE_CAPACITY] = cfg->qpack_table_max;
    ours->value[PLX_SETTING_QPACK_BLOCKED_STREAMS] = cfg->qpack_blocked_max;
    ours->value[PLX_SETTING_MAX_FIELD_SECTION_SIZE] = cfg->field_section_max;
    if (is_server)
        ours->value[PLX_SETTING_ENABLE_CONNECT_PROTOCOL] = cfg->connect_protocol;
}

size_t plx_h3_cfg_remember(const struct plx_h3_cfg *cfg, bool is_server, uint8_t *out, size_t cap)
{
    struct plx_h3_cfg resolved = cfg_resolved(cfg);
    struct plx_wr w = plx_wr_init(out, cap);
    struct plx_settings ours;

    settings_ours(&resolved, is_server, &ours);
    plx_settings_write(&ours, 0, 0, &w);
    return w.is_full ? 0 : (size_t)(w.p - out);
}

static bool control_open(struct plx_h3_conn *c)
{
    uint8_t buf[256], payload[128];
    struct plx_wr w = plx_wr_init(buf, sizeof buf), p = plx_wr_init(payload, sizeof payload);
    struct plx_h3_cfg *cfg = &c->env->cfg;
    struct plx_settings ours;

    settings_ours(cfg, c->is_server, &ours);
    //= rfc9114 7.2.4.1 "Endpoints SHOULD include at least one such setting in their SETTINGS frame"
    plx_settings_write(&ours, cfg->no_grease ? 0 : grease(c->env), grease(c->env) & 0xff, &p);

    plx_wr_varint(&w, 0x00);
    plx_frame_wr_head(&w, PLX_FRAME_TYPE_SETTINGS, (uint64_t)(p.p - payload));
    plx_wr_bytes(&w, payload, (size_t)(p.p - payload));
    if (!cfg->no_grease) {
        plx_frame_wr_head(&w, grease(c->env), 3);
        plx_wr_bytes(&w, "plx", 3);
    }
    plx_check(!w.is_full && !p.is_full);
    return local_open(c, &c->control, STREAM_LOCAL_CONTROL, &w, buf, false);
}

// A stream of a reserved type, if the peer lets us open one; it ends at once and goes when the transport is done with it.
static void grease_open(struct plx_h3_conn *c)
{
    uint8_t buf[16];
    struct plx_wr w = plx_wr_init(buf, sizeof buf);
    struct ustream *u = plx_pool_take(c->env->streams);

    if (u == NULL)
        return;
    plx_h3_ustream_init(u, c, NULL, 0);
    plx_wr_varint(&w, grease(c->env));
    plx_wr_bytes(&w, "plx", 3);
    if (local_open(c, &u->s, STREAM_LOCAL_GREASE, &w, buf, true))
        return;
    if (u->s.ts == NULL)
        plx_h3_ustream_free(u);
    else
        c->io->reset(c->io_arg, u->s.ts, PLX_H3_NO_ERROR);
}

void plx_h3_conn_start(struct plx_h3_conn *c)
{
    uint8_t type = 0x03;
    struct plx_wr w = {&type + 1, &type + 1, false};

    //= rfc9114 6.2.1 "Each side MUST initiate a single control stream at the beginning of the connection"
    if (!control_open(c)) {
        plx_h3_conn_fail(c, PLX_H3_INTERNAL_ERROR,
                         "no control stream: the peer allows too few, or buffers are short");
        return;
    }
    //= rfc9204 4.2 "An endpoint MAY avoid creating an encoder stream if it will not be used"
    if (!local_open(c, &c->decoder, STREAM_LOCAL_DECODER, &w, &type, false)) {
        plx_h3_conn_fail(c, PLX_H3_INTERNAL_ERROR,
                         "no decoder stream: the peer allows too few, or buffers are short");
        return;
    }
    if (c->env->cfg.no_grease)
        return;
    // Our encoder has nothing to say, but nginx (1.26) takes a stream of an unknown type for an error until it has seen both of
    // QPACK's: a client opens them before it greases.
    type = 0x02;
    if (c->is_server || local_open(c, &c->encoder, STREAM_LOCAL_ENCODER, &w, &type, false))
        grease_open(c);
}

void plx_h3_conn_free(struct plx_h3_conn *c, uint64_t code, bool is_peer)
{
    struct plx_list *node;

    c->state = CONN_FREED;
    while ((node = plx_list_first(&c->requests)) != NULL) {
        struct plx_h3_req *req = PLX_CONTAINER(node, struct plx_h3_req, node);
        bool has_answer = !c->is_server && req->rx == MESSAGE_DONE && req->tx == MESSAGE_DONE;
        plx_h3_req_unfold(req);
        if (req->close_code == 0 && !has_answer) {
            req->close_code = code;
            req->is_peer = is_peer;
        }
        plx_h3_req_free(req);
    }
    while ((node = plx_list_first(&c->ustreams)) != NULL)
        plx_h3_ustream_free(PLX_CONTAINER(node, struct ustream, node));
    plx_qpack_table_fini(&c->table);
    plx_pool_give(c->env->conns, c);
}

void plx_h3_conn_fail(struct plx_h3_conn *c, uint64_t code, const char *why)
{
    if (c->state != CONN_OPEN)
        return; // later failures are echoes of the first
    c->state = CONN_FAILED;
    c->fail_code = code;
    c->io->close(c->io_arg, code, why);
}

bool plx_h3_conn_junk(struct plx_h3_conn *c, uint32_t weight)
{
    //= rfc9114 10.5 "Implementations SHOULD track the use of these features and set limits on their use"
    c->junk += weight;
    if (c->junk <= PLX_H3_JUNK_MAX)
        return true;
    plx_h3_conn_fail(c, PLX_H3_EXCESSIVE_LOAD, "too much that says nothing, or too many requests given up");
    return false;
}

// --- what the transport reports ----------------------------------------------------------------------------

// After an event: what has become due goes out together.
__attribute__((noinline)) static void settle_due(struct plx_h3_conn *c)
{
    if (!plx_h3_conn_is_open(c))
        return;
    if (c->decoder_out_len > 0 || c->table.insert_count != c->table.known_received)
        plx_h3_decoder_flush(c);
    if (c->shutdown != SHUTDOWN_NONE)
        plx_h3_shutdown_step(c);
}

// Most often nothing has.
static inline void settle(struct plx_h3_conn *c)
{
    if (c->decoder_out_len > 0 || c->table.insert_count != c->table.known_received ||
        c->shutdown != SHUTDOWN_NONE)
        settle_due(c);
}

// All of it, whatever is to happen.
static struct plx_h3_req *as_request(struct plx_h3_stream *hs)
{
    if (hs->kind != STREAM_REQUEST)
        return NULL;
    struct plx_h3_req *req = PLX_CONTAINER(hs, struct plx_h3_req, s);
    plx_h3_req_unfold(req);
    return req;
}

// One of ours that must live as long as the connection (RFC 9114 section 6.2.1, RFC 9204 section 4.2).
static bool is_critical(const struct plx_h3_stream *hs)
{
    return hs->kind == STREAM_LOCAL_CONTROL || hs->kind == STREAM_LOCAL_DECODER ||
           hs->kind == STREAM_LOCAL_ENCODER;
}

struct plx_h3_stream *plx_h3_on_open(struct plx_h3_conn *c, void *ts, uint64_t id, bool is_uni)
{
    if (!plx_h3_conn_is_open(c))
        return NULL;
    if (is_uni) {
        struct ustream *u = plx_pool_take(c->env->streams);
        if (u == NULL)
            return NULL;
        plx_h3_ustream_init(u, c, ts, id);
        return &u->s;
    }
    if (!c->is_server) {
        //= rfc9114 6.1 "Clients MUST treat receipt of a server-initiated bidirectional stream as a connection error"
        plx_h3_conn_fail(c, PLX_H3_STREAM_CREATION_ERROR, "a server opened a bidirectional stream");
        return NULL;
    }
    //= rfc9114 5.2 "Requests or pushes with the indicated identifier or greater are rejected"
    if (id >= c->goaway_sent)
        return NULL;
    struct plx_h3_req *req = plx_h3_req_new(c, ts, id);
    if (req == NULL)
        return NULL;
    if (id >= c->request_id_next)
        c->request_id_next = id + 4;
    return &req->s;
}

size_t plx_h3_on_data(struct plx_h3_conn *c, struct plx_h3_stream *hs, const uint8_t *data, size_t len,
                      bool fin)
{
    struct plx_h3_req *req = as_request(hs);
    size_t used = len;

    if (!plx_h3_conn_is_open(c))
        return len;
    if (req != NULL)
        used = plx_h3_request_on_data(req, data, len, fin);
    else
        plx_h3_ustream_on_data(PLX_CONTAINER(hs, struct ustream, s), data, len, fin);
    settle(c);
    return plx_h3_conn_is_open(c) ? used : len;
}

// What came whole was taken, but for so much: as the transport counts.
static size_t whole_taken(struct plx_h3_conn *c, const struct plx_h3_req *req, size_t len, size_t left)
{
    settle(c);
    return left == 0 || plx_h3_rx_is_over(req) || !plx_h3_conn_is_open(c) ? len : len - left;
}

size_t plx_h3_on_message(struct plx_h3_conn *c, struct plx_h3_stream *hs, const uint8_t *data, size_t len)
{
    struct plx_h3_req *req = PLX_CONTAINER(hs, struct plx_h3_req, s);
    size_t left;

    if (plx_h3_rx_whole(req, data, len, &left) == PLX_WHOLE_NO)
        return plx_h3_on_data(c, hs, data, len, true);
    return whole_taken(c, req, len, left);
}

__attribute__((noinline)) static size_t on_other_answer(struct plx_h3_conn *c, struct plx_h3_stream *hs,
                                                        const uint8_t *data, size_t len, bool *is_gone)
{
    struct plx_h3_req *req = as_request(hs);
    enum plx_whole whole = PLX_WHOLE_NO;
    size_t left = 0;

    if (plx_h3_conn_is_open(c) && req->rx == MESSAGE_HEAD)
        whole = plx_h3_rx_whole(req, data, len, &left);
    *is_gone = whole == PLX_WHOLE_GONE;
    if (whole == PLX_WHOLE_NO)
        return plx_h3_on_data(c, hs, data, len, true);
    if (whole == PLX_WHOLE_TAKEN)
        return whole_taken(c, req, len, left);
    settle(c);
    return len;
}

size_t plx_h3_on_answer(struct plx_h3_conn *c, struct plx_h3_stream *hs, const uint8_t *data, size_t len,
                        bool *is_gone)
{
    *is_gone = plx_h3_conn_is_open(c) && plx_h3_rx_like(PLX_CONTAINER(hs, struct plx_h3_req, s), data, len);
    if (!*is_gone)
        return on_other_answer(c, hs, data, len, is_gone);
    settle(c);
    return len;
}

void plx_h3_on_reset(struct plx_h3_conn *c, struct plx_h3_stream *hs, uint64_t code)
{
    struct plx_h3_req *req = as_request(hs);

    if (!plx_h3_conn_is_open(c))
        return;
    if (req == NULL) {
        //= rfc9114 6.2.1 "If either control stream is closed at any point, this MUST be treated as a connection error"
        if (hs->kind == STREAM_CONTROL || hs->kind == STREAM_ENCODER || hs->kind == STREAM_DECODER)
            plx_h3_conn_fail(c, PLX_H3_CLOSED_CRITICAL_STREAM, "the peer reset a critical stream");
        return;
    }
    if (c->is_server && req->tx != MESSAGE_ABANDONED && req->tx != MESSAGE_DONE &&
        !plx_h3_conn_junk(c, PLX_H3_JUNK_PER_CANCEL))
        return;
    if (!plx_h3_rx_is_over(req)) {
        // Half a message is of no use to either side: the other half is given up as well.
        uint64_t answer =
            req->is_announced || !c->is_server ? PLX_H3_REQUEST_CANCELLED : PLX_H3_REQUEST_REJECTED;
        // to the program a cut message is not a good end
        bool says_nothing = code == 0 || code == PLX_H3_NO_ERROR;
        plx_h3_rx_abandon(req, 0, false);
        plx_h3_req_fail(req, answer, says_nothing ? (uint64_t)PLX_H3_REQUEST_CANCELLED : code, true);
    }
    settle(c);
}

void plx_h3_on_stop_sending(struct plx_h3_conn *c, struct plx_h3_stream *hs, uint64_t code)
{
    struct plx_h3_req *req = as_request(hs);

    if (!plx_h3_conn_is_open(c))
        return;
    if (is_critical(hs)) {
        plx_h3_conn_fail(c, PLX_H3_CLOSED_CRITICAL_STREAM, "the peer refused a critical stream");
        return;
    }
    if (req == NULL || req->tx == MESSAGE_ABANDONED)
        return;
    if (c->is_server && req->tx != MESSAGE_DONE && !plx_h3_conn_junk(c, PLX_H3_JUNK_PER_CANCEL))
        return;
    //= rfc9114 4.1 "Clients MUST NOT discard complete responses as a result of having their request terminated abruptly"
    if (code != PLX_H3_NO_ERROR && req->close_code == 0) {
        req->close_code = code;
        req->is_peer = true;
    }
    plx_h3_tx_abandon(req, code);
    settle(c);
}

void plx_h3_on_writable(struct plx_h3_conn *c, struct plx_h3_stream *hs)
{
    struct plx_h3_req *req = as_request(hs);

    if (!plx_h3_conn_is_open(c))
        return;
    if (req != NULL)
        plx_h3_request_on_writable(req);
    settle(c);
}

void plx_h3_on_closed(struct plx_h3_conn *c, struct plx_h3_stream *hs)
{
    if (hs->kind == STREAM_REQUEST) {
        struct plx_h3_req *req = PLX_CONTAINER(hs, struct plx_h3_req, s);
        if (c->state == CONN_FAILED) {
            plx_h3_req_unfold(req);
            if (req->close_code == 0)
                req->close_code = c->fail_code; // it ends because the connection does
        }
        plx_h3_req_free(req);
    } else if (is_critical(hs))
        plx_h3_conn_fail(c, PLX_H3_CLOSED_CRITICAL_STREAM, "a critical stream of ours is closed");
    else
        plx_h3_ustream_free(PLX_CONTAINER(hs, struct ustream, s));
    settle(c);
}

// --- about a connection --------------------------------------------------------------------------------------

struct plx_conn *plx_h3_conn_transport(const struct plx_h3_conn *c)
{
    return c->transport;
}
void *plx_h3_conn_user(const struct plx_h3_conn *c)
{
    return c->user;
}
void plx_h3_conn_set_user(struct plx_h3_conn *c, void *user)
{
    c->user = user;
}
uint32_t plx_h3_conn_open_requests(const struct plx_h3_conn *c)
{
    return c->open_requests;
}
