// stand.c -- see stand.h: the world around the lie.

#include "tests/conform/stand.h"

#include <string.h>

#include "base/check.h"
#include "h3/qpack_enc.h"

static const struct plx_sim_link_cfg line = {.delay = PLX_MS(1)};

// --- the client ---------------------------------------------------------------------------------------------

static struct stand *stand_of(const struct plx_conn *c)
{
    return plx_conn_user(c);
}

static void on_open(struct plx_conn *c)
{
    stand_of(c)->is_open = true;
}

static void on_close(struct plx_conn *c, const struct plx_close_info *why)
{
    struct stand *s = stand_of(c);

    s->is_closed = true;
    s->is_open = false;
    s->conn = NULL;
    s->why = *why;
}

static void on_stream(struct plx_stream *t)
{
    struct stand *s = stand_of(plx_stream_conn(t));

    if (plx_stream_is_uni(t) && s->uni_count < STAND_UNI_MAX)
        s->uni[s->uni_count++] = t;
}

static void note(struct plx_stream *t, uint64_t code)
{
    struct stand *s = stand_of(plx_stream_conn(t));

    if (s->code_count < STAND_CODES_MAX)
        s->code[s->code_count++] = code;
}

static const struct plx_conn_handler client_handler = {.on_open = on_open,
                                                       .on_close = on_close,
                                                       .on_stream = on_stream,
                                                       .on_reset = note,
                                                       .on_stop_sending = note};

// --- the server ---------------------------------------------------------------------------------------------

static const struct plx_conn_handler raw_server = {.ctx = NULL}; // takes what comes

static void on_request(struct plx_h3_req *req, const struct plx_h3_head *head, bool has_body)
{
    (void)has_body;
    if (head->path.len == 5 && memcmp(head->path.p, "/wait", 5) == 0)
        return; // never answered
    if (plx_h3_respond(req, 200, NULL, 0, (struct plx_buf){"hello", 5, NULL}, true) != PLX_OK)
        plx_h3_cancel(req, PLX_H3_INTERNAL_ERROR);
}

static const struct plx_h3_handler h3_server = {.on_request = on_request};

// --- making and ending --------------------------------------------------------------------------------------

static bool wants_h3;
static void (*wants_tune)(struct plx_engine_cfg *cfg, bool is_server);

static void tune(struct plx_engine_cfg *cfg, bool is_server)
{
    static const char *const alpn[] = {"h3"};

    cfg->h3 = is_server && wants_h3 ? &h3_server : NULL;
    cfg->raw = is_server ? &raw_server : &client_handler;
    cfg->alpn = alpn;
    cfg->alpn_count = 1;
    cfg->buffer_memory = 16 << 20;
    cfg->no_grease = true;
    if (wants_tune != NULL)
        wants_tune(cfg, is_server);
}

void stand_init(struct stand *s, bool is_h3, void (*more)(struct plx_engine_cfg *cfg, bool is_server))
{
    wants_h3 = is_h3;
    wants_tune = more;
    memset(s, 0, sizeof *s);
    world_init(&s->w, &(struct world_cfg){.seed = 1, .up = line, .down = line, .tune = tune});
    s->server = s->w.server->cores[0];
    s->client = s->w.client[0].engine->cores[0];
}

bool stand_fini(struct stand *s)
{
    stand_lose(s, false, false);
    if (s->conn != NULL)
        plx_conn_close(s->conn, 0, "");
    return world_fini(&s->w);
}

void stand_connect(struct stand *s)
{
    struct plx_connect_cfg cfg = {.server_name = "localhost", .peer = s->w.server_addr, .user = s};

    s->client->now = s->w.now;
    plx_check(plx_core_connect(s->client, &cfg, &s->conn) == PLX_OK);
}

static struct stand *waiting; // world_run's question has no argument of its own

static bool is_over(struct world *w)
{
    (void)w;
    return waiting->is_closed;
}

static bool is_confirmed(struct world *w)
{
    (void)w;
    return waiting->is_closed ||
           (waiting->conn != NULL && plx_conn_state(waiting->conn) == PLX_CONN_CONFIRMED);
}

static bool has_arrived(struct world *w)
{
    return w->server->cores[0]->n.conns_open > 0;
}

static bool has_answer(struct world *w)
{
    (void)w;
    return waiting->conn->hs != NULL && waiting->conn->hs->level[PLX_SPACE_HANDSHAKE].has_tx;
}

void stand_run(struct stand *s, plx_dur d)
{
    world_run(&s->w, plx_time_after(s->w.now, d), NULL);
}

void stand_run_closed(struct stand *s)
{
    waiting = s;
    world_run(&s->w, plx_time_after(s->w.now, PLX_SEC(30)), is_over);
}

void stand_lose(struct stand *s, bool up, bool down)
{
    struct plx_sim_link_cfg l = line;

    l.loss = up ? 1.0 : 0.0;
    plx_sim_link_set(s->w.sim, s->w.up, &l);
    l.loss = down ? 1.0 : 0.0;
    plx_sim_link_set(s->w.sim, s->w.down, &l);
}

void stand_reach(struct stand *s, enum stand_stage stage)
{
    plx_time until = plx_time_after(s->w.now, PLX_SEC(5));

    waiting = s;
    stand_connect(s);
    switch (stage) {
    case STAND_NEW:
        stand_lose(s, true, false);
        stand_run(s, PLX_MS(3));
        break;
    case STAND_FIRST:
        stand_lose(s, false, true);
        plx_check(world_run(&s->w, until, has_arrived));
        stand_run(s, PLX_MS(3)); // a hello in two datagrams
        break;
    case STAND_HANDSHAKE:
        plx_check(world_run(&s->w, until, has_arrived));
        stand_lose(s, true, false);
        plx_check(world_run(&s->w, until, has_answer));
        break;
    case STAND_CONFIRMED:
        plx_check(world_run(&s->w, until, is_confirmed));
        stand_run(s, PLX_MS(100)); // tickets, tokens, connection IDs
        break;
    }
    stand_lose(s, false, false);
}

struct plx_conn *stand_server_conn(struct stand *s)
{
    return plx_list_is_empty(&s->server->all)
               ? NULL
               : plx_econn_conn(PLX_CONTAINER(plx_list_first(&s->server->all), struct plx_econn, all));
}

bool stand_has_code(const struct stand *s, uint64_t code)
{
    for (unsigned i = 0; i < s->code_count; i++)
        if (s->code[i] == code)
            return true;
    return false;
}

// --- streams ------------------------------------------------------------------------------------------------

static unsigned nibble(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

// [name=value|...]: a HEADERS frame. at: behind the bracket; returns what lies behind the closing one.
static const char *headers(const char *at, struct plx_wr *w)
{
    uint8_t section[1024];
    struct plx_wr s = plx_wr_init(section, sizeof section);

    plx_qpack_enc_prefix(&s);
    while (*at != ']') {
        size_t len = 1 + strcspn(at + 1, "|]"), name = 1 + strcspn(at + 1, "=");
        struct plx_field f = {at, at + name + 1, (uint32_t)name, (uint32_t)(len - name - 1), false};
        plx_check(name < len);
        plx_qpack_enc_field(&s, &f);
        at += len;
        at += *at == '|';
    }
    plx_wr_varint(w, 0x01); // HEADERS, RFC 9114 section 7.2.2
    plx_wr_varint(w, (uint64_t)(s.p - section));
    plx_wr_bytes(w, section, (size_t)(s.p - section));
    return at + 1;
}

static void put(struct stand *s, struct plx_stream *t, struct plx_wr *w, uint8_t *buf, bool fin)
{
    size_t len = (size_t)(w->p - buf);

    plx_check(!w->is_full);
    if ((len > 0 || fin) && plx_stream_send_copy(t, buf, len, fin) != PLX_OK)
        s->has_pushed_back = true;
    w->p = buf;
}

static const char *statement(struct stand *s, struct plx_stream *t, const char *at)
{
    uint8_t buf[4096];
    struct plx_wr w = plx_wr_init(buf, sizeof buf);
    bool fin = false;

    for (; *at != '\0' && *at != ';';) {
        char c = *at++;
        if (c == '[') {
            at = headers(at, &w);
        } else if (c == '.') {
            fin = true;
        } else if (c == '!') {
            put(s, t, &w, buf, false);
            stand_run(s, PLX_MS(20));
            plx_stream_reset(t, PLX_H3_REQUEST_CANCELLED);
        } else if (c != ' ') {
            plx_wr_u8(&w, (uint8_t)(nibble(c) << 4 | nibble(*at++)));
        }
    }
    put(s, t, &w, buf, fin);
    return at;
}

void stand_play(struct stand *s, const char *script)
{
    struct plx_stream *known[128] = {0};

    while (*script != '\0' && s->conn != NULL && plx_conn_state(s->conn) <= PLX_CONN_CONFIRMED) {
        char name = *script++;
        if (name == ' ' || name == ';')
            continue;
        s->client->now = s->w.now;
        if (name == '?') {
            unsigned n = nibble(*script++);
            plx_check(n < s->uni_count);
            plx_stream_stop_sending(s->uni[n], PLX_H3_NO_ERROR);
        } else {
            if (known[(int)name] == NULL)
                plx_check(plx_stream_open(s->conn, name >= 'a', &known[(int)name]) == PLX_OK);
            script = statement(s, known[(int)name], script);
        }
        stand_run(s, PLX_MS(20)); // statement by statement: the order between streams is part of the script
    }
}
