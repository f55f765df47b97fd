// soak.c -- a hundred thousand connections come and go, and nothing is left of them.
//
// Two real engines over drivers/sim in virtual time; a few dozen connections live at once, and each has a fate: most ask for something and
// say goodbye, others are aborted within the handshake, cancelled, closed by the server, forgotten by one side or the other, or vanish
// without a word, so that only a timeout ends them; all on a path that loses packets. Every end frees in another order, so every
// order gets its few thousand turns.
//
// Flat means: at the end every pool is full, the slab holds what it held at the start, the C heap has grown by less than a few
// kilobytes since the warm-up, and the resident set by less than a few megabytes. (Under sanitizers, which keep freed memory on purpose, the
// last two are theirs to judge: LeakSanitizer looks at the heap; and fewer connections are made.)
//
//   soak [COUNT]      connections; one line at the end, exit status 0 when all is well

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/prng.h"
#include "base/time.h"
#include "quic/conn/conn_impl.h"
#include "tests/sim/world.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { IS_SANITIZED = 1, COUNT_DEFAULT = 3000 };
#else
enum { IS_SANITIZED = 0, COUNT_DEFAULT = 100000 };
#endif

enum {
    LIVES = 48,
    WARM_UP = 2000,
    BODY_MAX = 1 << 20,
    HEAP_GROWTH_MAX = 256 << 10,
    RSS_GROWTH_MAX = 8 << 20
};

enum fate {
    ASK_AND_LEAVE,   // one request, and a goodbye
    ASK_MORE,        // several requests and an upload
    ABORT,           // the client closes within the handshake
    VANISH_EARLY,    // the client is gone within the handshake
    VANISH,          // the client is gone with an answer under way
    CANCEL,          // requests are cancelled
    SERVER_CLOSES,   // the server closes at the request
    SERVER_FORGETS,  // the server has forgotten the connection: a stateless reset
    LEAVE_AT_ONCE,   // closed by the client when it opens
    GOODBYE_IS_LOST, // the client's goodbye does not arrive
    FATES,
};

static const char *const fate_name[FATES] = {"asked and left",
                                             "asked more",
                                             "aborted",
                                             "vanished early",
                                             "vanished",
                                             "cancelled",
                                             "closed by the server",
                                             "forgotten by the server",
                                             "left at once",
                                             "lost the goodbye"};

struct life {
    enum fate fate;
    struct plx_conn *conn;
    struct plx_h3_conn *h3;
    struct plx_h3_req *req[4];
    unsigned asked, answered;
    plx_time begun;
    bool is_open, is_over;
};

static struct world w;
static struct life life[LIVES];
static struct plx_prng prng;
static uint8_t body[BODY_MAX];
static struct plx_conn *forget[LIVES]; // server connections that are to be forgotten
static unsigned forget_count;
static uint8_t session[16384];
static size_t session_len;
static uint64_t ends[8], fates[FATES], started, over, answers, resumed;

// --- the server ---------------------------------------------------------------------------------------------

static void on_request(struct plx_h3_req *req, const struct plx_h3_head *head, bool has_body)
{
    struct plx_conn *c = plx_h3_conn_transport(plx_h3_req_conn(req));
    char path[24] = {0};

    (void)has_body;
    memcpy(path, head->path.p, head->path.len < 23 ? head->path.len : 23);
    if (strcmp(path, "/close") == 0) {
        plx_conn_close(c, 0x4242, "as you wish");
        return;
    }
    if (strcmp(path, "/forget") == 0) {
        if (forget_count < LIVES)
            forget[forget_count++] = c;
        return;
    }
    size_t size = strtoul(path + 1, NULL, 10);
    if (plx_h3_respond(req, 200, NULL, 0, (struct plx_buf){body, size, NULL}, true) != PLX_OK)
        plx_h3_cancel(req, PLX_H3_INTERNAL_ERROR);
}

static const struct plx_h3_handler server_handler = {.on_request = on_request};

// --- the client ---------------------------------------------------------------------------------------------

static void ask(struct life *l, const char *path, size_t upload)
{
    struct plx_h3_head head = {.method = world_span(upload > 0 ? "POST" : "GET"),
                               .scheme = world_span("https"),
                               .authority = world_span("localhost"),
                               .path = world_span(path),
                               .content_length = PLX_H3_LENGTH_UNKNOWN};
    struct plx_h3_req **req = &l->req[l->asked];

    plx_check(l->asked < 4);
    if (plx_h3_request(l->h3, &head, upload > 0, l, req) != PLX_OK)
        return;
    l->asked++;
    if (upload > 0 && plx_h3_send_body(*req, (struct plx_buf){body, upload, NULL}, true) != PLX_OK)
        plx_h3_cancel(*req, PLX_H3_REQUEST_CANCELLED);
}

static void on_open(struct plx_h3_conn *h3)
{
    struct life *l = plx_h3_conn_user(h3);

    l->h3 = h3;
    l->is_open = true;
    switch (l->fate) {
    case ASK_AND_LEAVE:
    case GOODBYE_IS_LOST:
        ask(l, "/64", 0);
        break;
    case ASK_MORE:
        ask(l, "/1000", 0), ask(l, "/100000", 0), ask(l, "/3", 30000);
        break;
    case VANISH:
    case CANCEL:
        ask(l, "/1000000", 0), ask(l, "/200000", 20000);
        break;
    case SERVER_CLOSES:
        ask(l, "/500000", 0), ask(l, "/close", 0);
        break;
    case SERVER_FORGETS:
        ask(l, "/forget", 0);
        break;
    default:
        plx_conn_close(l->conn, PLX_H3_NO_ERROR, "");
    }
}

static void on_close(struct plx_h3_conn *h3, struct plx_conn *transport, const struct plx_close_info *why)
{
    struct life *l = plx_conn_user(transport);

    (void)h3;
    l->is_over = true;
    l->conn = NULL;
    l->h3 = NULL;
    ends[why->how]++;
    over++;
}

static void on_end(struct plx_h3_req *req, const struct plx_field *trailers, uint16_t count)
{
    struct life *l = plx_h3_req_user(req);

    (void)trailers, (void)count;
    answers++;
    l->answered++;
}

static void on_closed(struct plx_h3_req *req, uint64_t code, bool is_peer)
{
    struct life *l = plx_h3_req_user(req);

    (void)code, (void)is_peer;
    for (unsigned i = 0; i < l->asked; i++)
        if (l->req[i] == req)
            l->req[i] = NULL;
}

static void on_session(struct plx_h3_conn *h3, const void *data, size_t len)
{
    (void)h3;
    if (len <= sizeof session)
        memcpy(session, data, len), session_len = len;
}

static const struct plx_h3_handler client_handler = {.on_open = on_open,
                                                     .on_close = on_close,
                                                     .on_end = on_end,
                                                     .on_closed = on_closed,
                                                     .on_session = on_session};

static void tune(struct plx_engine_cfg *cfg, bool is_server)
{
    cfg->h3 = is_server ? &server_handler : &client_handler;
    // Whoever vanishes is waited for: the server has room for many of them.
    cfg->conns_max = cfg->handshakes_max = 1024;
    cfg->streams_max = 8192;
    cfg->buffer_memory = 256 << 20;
    cfg->idle_timeout = PLX_SEC(3);
    cfg->handshake_timeout = PLX_SEC(3);
    cfg->groups = "X25519:X25519MLKEM768"; // a client offers the first, which is the cheaper one
}

// --- lives --------------------------------------------------------------------------------------------------

static void start(struct life *l)
{
    // A third of them are ordinary; the rest is dealt out evenly.
    enum fate fate = plx_prng_below(&prng, 3) == 0 ? ASK_AND_LEAVE : (enum fate)plx_prng_below(&prng, FATES);
    bool resumes = session_len > 0 && plx_prng_below(&prng, 4) == 0;
    struct plx_connect_cfg cfg = {.server_name = "localhost",
                                  .peer = w.server_addr,
                                  .user = l,
                                  .session = resumes ? session : NULL,
                                  .session_len = resumes ? session_len : 0};
    struct plx_core *k = w.client[0].engine->cores[0];

    *l = (struct life){.fate = fate, .begun = w.now};
    k->now = w.now;
    plx_check(plx_core_connect(k, &cfg, &l->conn) == PLX_OK);
    started++;
    fates[fate]++;
    resumed += resumes;
}

// A connection is gone, and nobody is told.
static void vanish(struct plx_conn *c)
{
    conn_enter(c, w.now);
    conn_expire(c, PLX_CLOSE_IDLE);
    conn_leave(c);
}

// What a life does that does not follow from an event of its own.
static void act(struct life *l)
{
    bool is_old = w.now.ns - l->begun.ns > PLX_MS(25).ns;

    if (l->is_over || plx_conn_state(l->conn) > PLX_CONN_CONFIRMED)
        return;
    switch (l->fate) {
    case ABORT:
        plx_conn_close(l->conn, PLX_H3_NO_ERROR, "");
        break;
    case VANISH_EARLY:
        vanish(l->conn);
        break;
    case VANISH:
        if (l->is_open && is_old)
            vanish(l->conn);
        break;
    case CANCEL:
        if (!l->is_open || !is_old)
            break;
        for (unsigned i = 0; i < l->asked; i++)
            if (l->req[i] != NULL)
                plx_h3_cancel(l->req[i], PLX_H3_REQUEST_CANCELLED);
        plx_conn_close(l->conn, PLX_H3_NO_ERROR, "");
        break;
    case SERVER_FORGETS:
        plx_conn_ping(l->conn); // what is sent to nobody is answered by a reset
        break;
    case GOODBYE_IS_LOST:
        if (l->answered == l->asked && l->is_open)
            vanish(l->conn);
        break;
    default:
        if (l->is_open && l->answered == l->asked)
            plx_conn_close(l->conn, PLX_H3_NO_ERROR, "");
    }
}

static void step(void)
{
    world_run(&w, plx_time_after(w.now, PLX_MS(5)), NULL);
    for (unsigned i = 0; i < forget_count; i++)
        if (plx_conn_state(forget[i]) <= PLX_CONN_CONFIRMED)
            vanish(forget[i]);
    forget_count = 0;
    for (unsigned i = 0; i < LIVES; i++)
        if (life[i].conn != NULL)
            act(&life[i]);
}

// --- figures ------------------------------------------------------------------------------------------------

static size_t rss(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    unsigned long whole, resident;

    plx_check(f != NULL && fscanf(f, "%lu %lu", &whole, &resident) == 2);
    fclose(f);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

static bool check(bool ok, const char *what, unsigned long long got, unsigned long long bound)
{
    if (!ok)
        fprintf(stderr, "soak: %s: %llu, at most %llu\n", what, got, bound);
    return ok;
}

static bool all_fates_met(void)
{
    bool ok = true;

    for (unsigned i = 0; i < FATES; i++)
        if (fates[i] == 0) {
            fprintf(stderr, "soak: no connection %s\n", fate_name[i]);
            ok = false;
        }
    if (ends[PLX_CLOSE_STATELESS_RESET] == 0 || ends[PLX_CLOSE_APPLICATION] == 0 ||
        ends[PLX_CLOSE_IDLE] == 0 || answers == 0 || w.server->cores[0]->env.stats.resumed == 0) {
        fprintf(stderr, "soak: some end never came\n");
        ok = false;
    }
    return ok;
}

int main(int argc, char **argv)
{
    struct plx_sim_link_cfg link = {.rate_bps = 1000000000,
                                    .delay = PLX_MS(2),
                                    .queue_bytes = 1 << 20,
                                    .loss = 0.01,
                                    .jitter = PLX_US(300)};
    uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : COUNT_DEFAULT;
    uint64_t warm_up = count / 4 < WARM_UP ? count / 4 : WARM_UP;
    size_t heap_warm = 0, rss_warm = 0;
    bool is_warm = false;

    plx_prng_init(&prng, 7);
    world_init(&w, &(struct world_cfg){.seed = 7, .up = link, .down = link, .tune = tune});
    for (unsigned i = 0; i < LIVES; i++)
        life[i].is_over = true;
    while (over < count) {
        for (unsigned i = 0; i < LIVES; i++)
            if (life[i].is_over && started < count)
                start(&life[i]);
        step();
        if (!is_warm && over >= warm_up) {
            is_warm = true;
            heap_warm = mallinfo2().uordblks;
            rss_warm = rss();
        }
    }
    world_run(&w, plx_time_after(w.now, PLX_SEC(10)), NULL); // those that the server still waits for
    size_t heap_end = mallinfo2().uordblks, rss_end = rss();
    struct plx_conn_stats stats = w.server->cores[0]->env.stats;
    bool ok = all_fates_met();
    ok &= world_fini(&w); // every pool full, the slab as it was
    if (!IS_SANITIZED) {
        ok &= check(heap_end <= heap_warm + HEAP_GROWTH_MAX, "C heap at the end", heap_end,
                    heap_warm + HEAP_GROWTH_MAX);
        ok &= check(rss_end <= rss_warm + RSS_GROWTH_MAX, "resident set at the end", rss_end,
                    rss_warm + RSS_GROWTH_MAX);
    }
    printf("soak: %llu connections, %llu handshakes at the server, %llu resumed, %llu answers; ends:",
           (unsigned long long)over, (unsigned long long)stats.handshakes_ok,
           (unsigned long long)stats.resumed, (unsigned long long)answers);
    for (unsigned i = 0; i < 6; i++)
        printf(" %llu", (unsigned long long)ends[i]);
    printf("; heap %zu to %zu, resident %zu to %zu KB: %s\n", heap_warm, heap_end, rss_warm >> 10,
           rss_end >> 10, ok ? "ok" : "FAILED");
    return ok ? 0 : 1;
}
