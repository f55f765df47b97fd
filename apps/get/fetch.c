// fetch.c -- origins, connections and requests.

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "get.h"

// for a ticket that --session wants and that comes after the last byte
static const plx_dur session_wait = PLX_MS(500);

void get_fail(struct get *g, enum get_exit code, const char *format, ...)
{
    va_list args;

    get_clear_line(g);
    fputs("plx-get: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    if (g->exit == GET_OK)
        g->exit = code;
}

// --- the end ------------------------------------------------------------------------------------------------

static bool wants_session(const struct get *g)
{
    return g->opts.session != NULL && g->origin_count > 0 && !g->origins[0].has_session &&
           !g->origins[0].is_closed;
}

void get_finish_if_done(struct get *g)
{
    plx_time now = plx_core_now(g->core);

    if (g->done < g->opts.url_count)
        return;
    if (!g->is_finishing) {
        g->is_finishing = true;
        g->ended = now;
        g->finish_by = (plx_time){now.ns + session_wait.ns};
    }
    if (wants_session(g) && now.ns < g->finish_by.ns)
        return; // asked again at the next tick
    plx_engine_stop(g->engine, PLX_MS(200));
}

static void transfer_over(struct get *g, struct get_transfer *t)
{
    if (t->is_over)
        return;
    t->is_over = true;
    t->req = NULL;
    if (t->out != NULL) {
        bool ok = fflush(t->out) == 0 && ferror(t->out) == 0;
        if (t->out != stdout)
            ok &= fclose(t->out) == 0;
        t->out = NULL;
        if (!ok)
            get_fail(g, GET_WRITE_ERROR, "%s: %s", t->out_name, strerror(errno));
    }
    g->done++;
    get_finish_if_done(g);
}

// --- requests -----------------------------------------------------------------------------------------------

static struct plx_span span(const char *text)
{
    return (struct plx_span){(const uint8_t *)text, strlen(text)};
}

static void send_data(struct get *g, struct get_transfer *t)
{
    struct plx_buf body = {g->opts.data, g->opts.data_len, NULL};

    if (t->sent > 0 || t->req == NULL)
        return;
    enum plx_err err = plx_h3_send_body(t->req, body, true);
    if (err == PLX_ERR_AGAIN)
        return; // on_writable
    t->sent = 1;
    if (err != PLX_OK && err != PLX_ERR_CLOSED)
        plx_h3_cancel(t->req, PLX_H3_REQUEST_CANCELLED);
}

static enum plx_err start(struct get *g, struct get_transfer *t)
{
    struct plx_field fields[128];
    char length[24];
    uint16_t n = 0;
    const char *method = g->opts.method != NULL ? g->opts.method
                         : g->opts.head         ? "HEAD"
                         : g->opts.has_data     ? "POST"
                                                : "GET";
    struct plx_h3_head head = {.method = span(method),
                               .scheme = span("https"),
                               .authority = span(t->url.authority),
                               .path = span(t->url.path),
                               .content_length = PLX_H3_LENGTH_UNKNOWN,
                               .fields = fields};

    fields[n++] = (struct plx_field){"user-agent", "plx-get", 10, 7, false};
    fields[n++] = (struct plx_field){"accept", "*/*", 6, 3, false};
    if (g->opts.has_data) {
        int len = snprintf(length, sizeof length, "%zu", g->opts.data_len);
        fields[n++] = (struct plx_field){"content-length", length, 14, (uint32_t)len, false};
    }
    for (uint16_t i = 0; i < g->opts.field_count && n < sizeof fields / sizeof *fields; i++)
        fields[n++] = g->opts.fields[i];
    head.field_count = n;
    enum plx_err err = plx_h3_request(t->origin->conn, &head, g->opts.has_data, t, &t->req);
    if (err == PLX_OK && g->opts.has_data)
        send_data(g, t);
    return err;
}

static void start_more(struct get *g, struct get_origin *o)
{
    while (o->waiting != NULL && o->conn != NULL && o->running < g->opts.parallel) {
        struct get_transfer *t = o->waiting;
        enum plx_err err = start(g, t);
        if (err == PLX_ERR_AGAIN)
            return; // when a request ends, or the server allows more
        o->waiting = t->next;
        if (err == PLX_OK) {
            o->running++;
            continue;
        }
        get_fail(g, err == PLX_ERR_INVALID ? GET_USAGE : GET_HTTP3, "%s: %s", t->text,
                 err == PLX_ERR_INVALID ? "a field that HTTP/3 forbids (RFC 9114 section 4.2)"
                                        : plx_err_str(err));
        transfer_over(g, t);
    }
}

// --- what the engine tells ----------------------------------------------------------------------------------

static struct get *of_conn(struct plx_h3_conn *conn)
{
    return plx_conn_ctx(plx_h3_conn_transport(conn));
}

static void on_early(struct plx_h3_conn *conn)
{
    struct get_origin *o = plx_h3_conn_user(conn);

    o->conn = conn;
    start_more(of_conn(conn), o); // what may not go early has its turn in on_open
}

static void on_open(struct plx_h3_conn *conn)
{
    struct get *g = of_conn(conn);
    struct get_origin *o = plx_h3_conn_user(conn);

    o->conn = conn;
    o->is_open = true;
    get_say_connection(g, conn);
    start_more(g, o);
}

static void on_streams_available(struct plx_h3_conn *conn)
{
    start_more(of_conn(conn), plx_h3_conn_user(conn));
}

static void on_session(struct plx_h3_conn *conn, const void *session, size_t len)
{
    struct get *g = of_conn(conn);
    struct get_origin *o = plx_h3_conn_user(conn);

    if (g->opts.session == NULL || o != &g->origins[0])
        return;
    FILE *f = fopen(g->opts.session, "wb");
    bool ok = f != NULL && fwrite(session, 1, len, f) == len;
    if (f != NULL)
        ok &= fclose(f) == 0;
    if (!ok)
        get_fail(g, GET_WRITE_ERROR, "--session %s: %s", g->opts.session, strerror(errno));
    o->has_session = true;
    if (g->is_finishing)
        get_finish_if_done(g);
}

static void on_response(struct plx_h3_req *req, const struct plx_h3_head *head)
{
    struct get *g = plx_h3_req_ctx(req);
    struct get_transfer *t = plx_h3_req_user(req);

    t->status = head->status;
    t->expected = g->opts.head ? 0 : head->content_length;
    get_say_head(g, t, head);
    if (g->opts.fail && head->status >= 400)
        get_fail(g, GET_HTTP_ERROR, "%s: status %u", t->text, head->status);
}

static size_t on_body(struct plx_h3_req *req, const uint8_t *data, size_t len)
{
    struct get *g = plx_h3_req_ctx(req);
    struct get_transfer *t = plx_h3_req_user(req);

    t->received += len;
    if (t->out == NULL || (g->opts.fail && t->status >= 400))
        return len;
    if (fwrite(data, 1, len, t->out) != len) {
        get_fail(g, GET_WRITE_ERROR, "%s: %s", t->out_name, strerror(errno));
        plx_h3_cancel(req, PLX_H3_REQUEST_CANCELLED);
    }
    return len;
}

static void on_end(struct plx_h3_req *req, const struct plx_field *trailers, uint16_t count)
{
    struct get *g = plx_h3_req_ctx(req);
    struct get_transfer *t = plx_h3_req_user(req);

    t->is_complete = true;
    for (uint16_t i = 0; i < count && g->opts.verbose; i++)
        fprintf(stderr, "< (trailer) %.*s: %.*s\n", (int)trailers[i].name_len, trailers[i].name,
                (int)trailers[i].value_len, trailers[i].value);
}

static void on_writable(struct plx_h3_req *req)
{
    struct get *g = plx_h3_req_ctx(req);

    if (g->opts.has_data)
        send_data(g, plx_h3_req_user(req));
}

static void on_closed(struct plx_h3_req *req, uint64_t code, bool is_peer)
{
    struct get *g = plx_h3_req_ctx(req);
    struct get_transfer *t = plx_h3_req_user(req);

    if (!t->is_complete && g->exit == GET_OK)
        get_fail(g, GET_HTTP3, "%s: %s ended it with error 0x%llx after %llu octets", t->text,
                 is_peer ? "the server" : "we", (unsigned long long)code, (unsigned long long)t->received);
    t->origin->running--;
    transfer_over(g, t);
    start_more(g, t->origin);
}

// Why a connection that was needed is gone, as an exit code and a sentence.
static void say_why(struct get *g, const struct get_origin *o, const struct plx_close_info *why,
                    bool was_open)
{
    char addr[PLX_ADDR_STRLEN];
    enum get_exit code = was_open ? GET_HTTP3 : GET_NO_CONNECTION;

    plx_addr_str(&o->addr, addr);
    switch (why->how) {
    case PLX_CLOSE_HANDSHAKE_TIMEOUT:
        get_fail(g, GET_TIMEOUT, "%s: no answer from %s: nothing speaks QUIC there, or UDP is blocked",
                 o->url.authority, addr);
        return;
    case PLX_CLOSE_IDLE:
        get_fail(g, GET_TIMEOUT, "%s: %s fell silent", o->url.authority, addr);
        return;
    case PLX_CLOSE_VERSION:
        get_fail(g, code, "%s: the server speaks no version of QUIC that we do", o->url.authority);
        return;
    case PLX_CLOSE_STATELESS_RESET:
        get_fail(g, code, "%s: the server has forgotten the connection (stateless reset)", o->url.authority);
        return;
    default:
        break;
    }
    // Alerts about certificates: RFC 8446 section 6.2, 42 bad_certificate to 48 unknown_ca.
    bool is_certificate = why->how == PLX_CLOSE_TRANSPORT && !why->is_peer && why->code >= 0x100 + 42 &&
                          why->code <= 0x100 + 48;
    get_fail(g, is_certificate ? GET_CERTIFICATE : code, "%s: %s with %s error 0x%llx%s%s", o->url.authority,
             why->is_peer ? "the server closed" : "closed",
             why->how == PLX_CLOSE_TRANSPORT ? "transport" : "application", (unsigned long long)why->code,
             why->reason[0] != '\0' ? ": " : "", why->reason);
    if (is_certificate)
        fprintf(stderr,
                "plx-get: trust its issuer with --cacert FILE, or look the other way with --insecure\n");
}

static void on_close(struct plx_h3_conn *conn, struct plx_conn *transport, const struct plx_close_info *why)
{
    struct get *g = plx_conn_ctx(transport);
    struct get_origin *o = plx_conn_user(transport);

    o->is_closed = true;
    o->conn = NULL;
    if (conn != NULL)
        get_say_end(g, transport);
    if ((o->waiting != NULL || o->running > 0) && !g->is_finishing)
        say_why(g, o, why, o->is_open);
    while (o->waiting != NULL) {
        struct get_transfer *t = o->waiting;
        o->waiting = t->next;
        transfer_over(g, t);
    }
}

static void on_goaway(struct plx_h3_conn *conn, uint64_t id)
{
    struct get *g = of_conn(conn);

    if (g->opts.verbose)
        fprintf(stderr, "* the server takes no requests from stream %llu on (GOAWAY)\n",
                (unsigned long long)id);
}

const struct plx_h3_handler get_handler = {
    .on_early = on_early,
    .on_open = on_open,
    .on_close = on_close,
    .on_streams_available = on_streams_available,
    .on_session = on_session,
    .on_response = on_response,
    .on_body = on_body,
    .on_end = on_end,
    .on_writable = on_writable,
    .on_closed = on_closed,
    .on_goaway = on_goaway,
};

// --- the beginning ------------------------------------------------------------------------------------------

static struct get_origin *origin_of(struct get *g, const struct get_transfer *t)
{
    const char *why = "";

    for (uint32_t i = 0; i < g->origin_count; i++)
        if (g->origins[i].url.port == t->url.port && strcasecmp(g->origins[i].url.host, t->url.host) == 0)
            return &g->origins[i];
    struct get_origin *o = &g->origins[g->origin_count];
    o->url = t->url;
    o->waiting_tail = &o->waiting;
    if (!url_resolve(&t->url, g->opts.connect_to, &o->addr, &why)) {
        get_fail(g, GET_NO_HOST, "%s: %s", t->url.host, why);
        return NULL;
    }
    g->origin_count++;
    return o;
}

static bool open_output(struct get *g, struct get_transfer *t, uint32_t i)
{
    t->out_name = i < g->opts.output_count ? g->opts.outputs[i] : "-";
    t->out = strcmp(t->out_name, "-") == 0 ? stdout : fopen(t->out_name, "wb");
    if (t->out == NULL)
        get_fail(g, GET_WRITE_ERROR, "%s: %s", t->out_name, strerror(errno));
    return t->out != NULL;
}

static void read_session(struct get *g)
{
    FILE *f = g->opts.session != NULL ? fopen(g->opts.session, "rb") : NULL;

    if (f == NULL)
        return; // the first time there is none
    g->session = malloc(1 << 16);
    if (g->session != NULL)
        g->session_len = fread(g->session, 1, 1 << 16, f);
    fclose(f);
}

bool get_prepare(struct get *g)
{
    uint32_t n = g->opts.url_count;

    g->transfers = calloc(n, sizeof *g->transfers);
    g->origins = calloc(n, sizeof *g->origins);
    if (g->transfers == NULL || g->origins == NULL) {
        get_fail(g, GET_USAGE, "not enough memory");
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct get_transfer *t = &g->transfers[i];
        t->text = g->opts.urls[i];
        t->expected = PLX_H3_LENGTH_UNKNOWN;
        if (!url_parse(t->text, &t->url)) {
            get_fail(g, GET_BAD_URL, "%s: want https://HOST[:PORT]/PATH", t->text);
            return false;
        }
        if ((t->origin = origin_of(g, t)) == NULL || !open_output(g, t, i))
            return false;
        *t->origin->waiting_tail = t;
        t->origin->waiting_tail = &t->next;
    }
    read_session(g);
    return true;
}

// On the worker: all origins at once.
void *get_start(void *ctx, struct plx_core *core)
{
    struct get *g = ctx;
    struct plx_conn *conn;

    g->core = core;
    g->started = plx_core_now(core);
    for (uint32_t i = 0; i < g->origin_count; i++) {
        struct get_origin *o = &g->origins[i];
        struct plx_connect_cfg cfg = {
            .server_name = o->url.host, .peer = o->addr, .user = o, .own_port = i > 0};
        if (i == 0) {
            cfg.session = g->session;
            cfg.session_len = g->session_len;
            cfg.early_data = g->opts.early_data;
        }
        enum plx_err err = plx_core_connect(core, &cfg, &conn);
        if (err == PLX_OK)
            continue;
        get_fail(g, GET_NO_CONNECTION, "%s: %s", o->url.authority, plx_err_str(err));
        plx_engine_stop(g->engine, PLX_NS(0));
    }
    return NULL;
}

void get_cleanup(struct get *g)
{
    for (uint32_t i = 0; g->transfers != NULL && i < g->opts.url_count; i++)
        if (g->transfers[i].out != NULL && g->transfers[i].out != stdout)
            fclose(g->transfers[i].out);
    free(g->transfers);
    free(g->origins);
    free(g->session);
    get_options_free(&g->opts);
}
