// idle.c -- many connections that nobody uses: octets for each of them, and what waking one costs.
//
// Two engines back to back over drivers/loop, in one thread and in real time. The client opens so many connections, every one with a handshake of its
// own; they hibernate on both sides; after the time to hold them, some are picked at random and a request is made on each, alone, and
// then another one while it is awake: what the first takes more of the server's time is waking (the record read, objects made, keys
// expanded). Octets: pages of each engine's own memory (its arena and its slab) that are resident, less what was before the first
// connection; and the whole process's RSS, which is both sides, the program's own array, and the heap (TLS, libraries).

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "base/time.h"
#include "drivers/loop/loop.h"
#include "engine/clock.h"
#include "engine/engine.h"
#include "engine/phase.h"
#include "tests/sim/world.h"

enum { OPENING_MAX = 64, HANDSHAKES_MAX = 16384, PAGE = 4096 };

static const char usage[] =
    "Usage: idle [OPTION...]\n"
    "\n"
    "Idle HTTP/3 connections over two engines back to back: octets for each, and what waking costs.\n"
    "\n"
    "  --conns N      connections (10000)\n"
    "  --awake N      of them awake at once, at most, on each side (65536)\n"
    "  --hold S       seconds to hold them (600)\n"
    "  --wake N       connections to wake (10000)\n"
    "  --after MS     quiet time before a connection hibernates; 0: never (2000)\n"
    "  --full         every handshake a full one (else they resume the first's session)\n"
    "  --json FILE    writes the figures there too\n"
    "  --help         this\n";

static struct {
    uint32_t conns, awake, hold, wake, after;
    bool is_full;
    const char *json;
} opt = {.conns = 10000, .awake = 65536, .hold = 600, .wake = 10000, .after = 2000};

struct idle_conn {
    struct plx_h3_conn *h3; // NULL: asleep, or not open
    uint32_t id;            // of the sleeper
    bool is_open, is_asleep;
};

static struct {
    struct plx_engine *server, *client;
    struct plx_core *sk, *ck;
    struct plx_h3_handler server_handler, client_handler;
    struct plx_h3_block *block;
    struct idle_conn *conns;
    uint32_t begun, open;
    uint64_t answered;
    struct plx_addr addr;
    uint8_t session[4096];
    size_t session_len;
    uint64_t server_ns; // busy breaths of the server since somebody set it to 0
} w;

// Phases of the server's breaths since somebody cleared them, and of all others.
static struct plx_phases book, nowhere;
struct plx_phases *plx_phases = &nowhere;

// --- handlers -----------------------------------------------------------------------------------------------

static void server_on_request(struct plx_h3_req *req, const struct plx_h3_head *head, bool has_body)
{
    (void)head, (void)has_body;
    plx_check(plx_h3_respond_block(req, w.block) == PLX_OK);
}

static void client_on_open(struct plx_h3_conn *h3)
{
    struct idle_conn *c = plx_h3_conn_user(h3);

    c->h3 = h3;
    c->is_open = true;
    w.open++;
}

static void client_on_close(struct plx_h3_conn *h3, struct plx_conn *transport,
                            const struct plx_close_info *why)
{
    (void)h3, (void)transport;
    fprintf(stderr, "idle: a connection ended: %d, code %llu, %s\n", (int)why->how,
            (unsigned long long)why->code, why->reason);
    exit(1);
}

static void client_on_session(struct plx_h3_conn *h3, const void *session, size_t len)
{
    (void)h3;
    if (w.session_len != 0 || len > sizeof w.session)
        return;
    memcpy(w.session, session, len);
    w.session_len = len;
}

static void client_on_end(struct plx_h3_req *req, const struct plx_field *trailers, uint16_t count)
{
    (void)req, (void)trailers, (void)count;
    w.answered++;
}

static bool client_on_hibernate(void *ctx, struct plx_conn *conn, uint32_t id)
{
    struct idle_conn *c = plx_conn_user(conn);

    (void)ctx;
    c->h3 = NULL;
    c->id = id;
    c->is_asleep = true;
    return true;
}

static struct plx_h3_conn *woken;

static void client_on_wake(void *ctx, struct plx_conn *conn, uint32_t id)
{
    struct idle_conn *c = plx_conn_user(conn);

    (void)ctx, (void)id;
    c->is_asleep = false;
    c->h3 = plx_conn_h3(conn);
    woken = c->h3;
}

// --- engines ------------------------------------------------------------------------------------------------

static struct plx_engine *engine_new(struct plx_port *port, bool is_server)
{
    struct plx_engine_cfg e;
    struct plx_cert cert = {world_cert(), world_key()};
    uint32_t awake = opt.after == 0 || opt.awake > opt.conns ? opt.conns : opt.awake;
    char err[512];

    plx_engine_cfg_init(&e);
    e.port = port;
    e.conns_max = awake + 64;
    e.handshakes_max =
        (awake < HANDSHAKES_MAX ? awake : HANDSHAKES_MAX) + 64; // a client's lasts until its ticket has come
    e.streams_max = awake * 8 + 1024;
    e.hibernate_after = PLX_MS(opt.after);
    e.hibernated_max = opt.conns;
    e.buffer_memory = UINT64_C(8) << 30; // touched as used
    e.idle_timeout = PLX_SEC(24 * 3600);
    e.retry = PLX_RETRY_NEVER;
    e.insecure = true;
    e.h3 = is_server ? &w.server_handler : &w.client_handler;
    if (is_server) {
        e.listen = &w.addr;
        e.listen_count = 1;
        e.certs = &cert;
        e.cert_count = 1;
    } else {
        e.on_hibernate = client_on_hibernate;
        e.on_wake = client_on_wake;
    }
    struct plx_engine *engine = plx_engine_new_at(&e, plx_clock_now(), 0, err, sizeof err);
    if (engine == NULL) {
        fprintf(stderr, "idle: %s\n", err);
        exit(1);
    }
    return engine;
}

static bool step(void)
{
    bool did = plx_core_breath(w.ck, plx_clock_now());
    uint64_t was[PLX_PHASE_COUNT];
    plx_time before = plx_clock_now();

    memcpy(was, book.cycles, sizeof was);
    book.is_in = PLX_PHASE_OTHER;
    book.since = __builtin_ia32_rdtsc();
    plx_phases = &book;
    if (plx_core_breath(w.sk, before)) {
        plx_phase(PLX_PHASE_OTHER);
        w.server_ns += plx_time_since(plx_clock_now(), before).ns;
        did = true;
    } else {
        memcpy(book.cycles, was, sizeof was);
    }
    plx_phases = &nowhere;
    return did;
}

static void run_for(plx_dur d)
{
    plx_time until = plx_time_after(plx_clock_now(), d);

    while (plx_time_lt(plx_clock_now(), until))
        if (!step())
            usleep(100);
}

// --- octets -------------------------------------------------------------------------------------------------

static uint64_t resident(const void *base, size_t size)
{
    static unsigned char map[1 << 16];
    uint64_t pages = 0;
    const uint8_t *p = (const uint8_t *)((uintptr_t)base & ~(uintptr_t)(PAGE - 1));
    const uint8_t *end = (const uint8_t *)base + size;

    while (p < end) {
        size_t n = ((size_t)(end - p) + PAGE - 1) / PAGE;
        n = n < sizeof map ? n : sizeof map;
        if (mincore((void *)(uintptr_t)p, n * PAGE, map) != 0)
            break;
        for (size_t i = 0; i < n; i++)
            pages += map[i] & 1;
        p += n * PAGE;
    }
    return pages * PAGE;
}

static uint64_t core_resident(const struct plx_core *k)
{
    return resident(k->memory.base, k->memory.size) + resident(k->slab.base, k->slab.size);
}

// What of it is whose: objects out of each pool, and pages of the pool that were ever touched.
static void account(FILE *f, const char *side, const struct plx_core *k)
{
    const struct plx_pool *const pool[] = {&k->conns,   &k->handshakes, &k->keys,
                                           &k->streams, &k->h3_conns,   &k->h3_streams};
    const struct plx_table *const table[] = {&k->cids, &k->odcids, &k->resets};
    static const char *const table_name[] = {"connection IDs", "first IDs", "reset tokens"};
    double n = opt.conns;

    fprintf(f, "idle: %s: octets of each, each per connection: in use, resident\n", side);
    for (size_t i = 0; i < sizeof pool / sizeof *pool; i++) {
        const struct plx_pool *p = pool[i];
        fprintf(f, "idle:   %-22s %6zu %8.2f %8.0f\n", p->name, p->stride, plx_pool_in_use(p) / n,
                (double)resident(p->base, p->stride * p->count) / n);
    }
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        fprintf(f, "idle:   %-22s %6zu %8.2f %8.0f\n", table_name[i], sizeof *table[i]->v,
                plx_table_count(table[i]) / n,
                (double)resident(table[i]->v, table[i]->buckets * sizeof *table[i]->v) / n);
    fprintf(f, "idle:   %-22s %6d %8.2f %8.0f\n", "berths", PLX_BERTH_LEN,
            (double)(k->berths.count - k->berths.left) / n,
            (double)resident(k->berths.v, (size_t)k->berths.count * PLX_BERTH_LEN) / n);
    fprintf(f, "idle:   %-22s %6d %8.0f %8.0f\n", "slab", 1, (double)plx_slab_bytes_in_use(&k->slab) / n,
            (double)resident(k->slab.base, k->slab.size) / n);
}

static uint64_t rss(void)
{
    unsigned long long size, pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");

    plx_check(f != NULL && fscanf(f, "%llu %llu", &size, &pages) == 2);
    fclose(f);
    return pages * PAGE;
}

// --- phases -------------------------------------------------------------------------------------------------

static bool connect_one(void)
{
    struct plx_connect_cfg cfg = {.server_name = "localhost", .peer = w.addr, .user = &w.conns[w.begun]};
    struct plx_conn *transport;

    if (!opt.is_full && w.session_len > 0) {
        cfg.session = w.session;
        cfg.session_len = w.session_len;
    }
    enum plx_err err = plx_core_connect(w.ck, &cfg, &transport);
    plx_check(err == PLX_OK || err == PLX_ERR_NOMEM);
    w.begun += err == PLX_OK;
    return err == PLX_OK;
}

static double open_all(void)
{
    plx_time begun = plx_clock_now(), said = begun;

    while (w.open < opt.conns) {
        // the first alone: its session serves the others
        uint32_t max = w.session_len == 0 && !opt.is_full ? 1 : OPENING_MAX;
        while (w.begun < opt.conns && w.begun - w.open < max && (max > 1 || w.begun == 0) && connect_one())
            ;
        if (!step())
            usleep(100);
        plx_time now = plx_clock_now();
        if (plx_time_reached(plx_time_after(said, PLX_SEC(5)), now)) {
            fprintf(stderr, "idle: %u open, %llu asleep at the server, %llu at the client\n", w.open,
                    (unsigned long long)w.sk->n.conns_hibernated,
                    (unsigned long long)w.ck->n.conns_hibernated);
            said = now;
        }
    }
    return (double)plx_time_since(plx_clock_now(), begun).ns / 1e9;
}

static uint64_t ask(struct plx_h3_conn *h3)
{
#define SPAN(s)                             \
    {                                       \
        (const uint8_t *)(s), sizeof(s) - 1 \
    }
    const struct plx_h3_head head = {.method = SPAN("GET"),
                                     .scheme = SPAN("https"),
                                     .authority = SPAN("localhost"),
                                     .path = SPAN("/index.html"),
                                     .content_length = PLX_H3_LENGTH_UNKNOWN};
    struct plx_h3_req *req;
    uint64_t want = w.answered + 1;

    plx_check(plx_h3_request(h3, &head, false, NULL, &req) == PLX_OK);
    w.server_ns = 0;
    memset(book.cycles, 0, sizeof book.cycles);
    plx_time limit = plx_time_after(plx_clock_now(), PLX_SEC(30));
    while (w.answered < want) {
        step();
        plx_check(plx_time_lt(plx_clock_now(), limit));
    }
    return w.server_ns;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

struct waking {
    uint64_t *call, *first,
        *second; // ns: the client's call, the server's breaths for a request asleep and awake
    uint64_t *phase[2][PLX_PHASE_COUNT]; // cycles of those breaths
    double cycles_per_ns;
    uint32_t count, were_awake;
};

static void phases_keep(struct waking *m, unsigned which)
{
    for (unsigned p = 0; p < PLX_PHASE_COUNT; p++)
        m->phase[which][p][m->count] = book.cycles[p];
}

static void wake_some(struct waking *m)
{
    unsigned seed = 1;
    uint64_t cycles = __builtin_ia32_rdtsc();
    plx_time begun = plx_clock_now();

    while (m->count < opt.wake) {
        struct idle_conn *c = &w.conns[(uint32_t)rand_r(&seed) % opt.conns];
        if (!c->is_asleep && opt.after > 0) { // woken a moment ago
            m->were_awake++;
            run_for(PLX_MS(1));
            continue;
        }
        if (c->is_asleep) {
            plx_time before = plx_clock_now();
            if (plx_core_wake_conn(w.ck, c->id) == NULL) { // too many are awake
                run_for(PLX_MS(50));
                continue;
            }
            m->call[m->count] = plx_time_since(plx_clock_now(), before).ns;
            plx_check(woken == c->h3);
        }
        m->first[m->count] = ask(c->h3);
        phases_keep(m, 0);
        m->second[m->count] = ask(c->h3);
        phases_keep(m, 1);
        m->count++;
    }
    m->cycles_per_ns =
        (double)(__builtin_ia32_rdtsc() - cycles) / (double)plx_time_since(plx_clock_now(), begun).ns;
    for (unsigned p = 0; p < 2 * PLX_PHASE_COUNT; p++)
        qsort(m->phase[p / PLX_PHASE_COUNT][p % PLX_PHASE_COUNT], m->count, sizeof **m->phase[0], by_size);
    qsort(m->call, m->count, sizeof *m->call, by_size);
    qsort(m->first, m->count, sizeof *m->first, by_size);
    qsort(m->second, m->count, sizeof *m->second, by_size);
}

// --- the program --------------------------------------------------------------------------------------------

static void options(int argc, char **argv)
{
    static const struct option longs[] = {
        {"conns", 1, NULL, 'c'}, {"awake", 1, NULL, 'a'}, {"hold", 1, NULL, 'h'},
        {"wake", 1, NULL, 'w'},  {"after", 1, NULL, 'q'}, {"full", 0, NULL, 'f'},
        {"json", 1, NULL, 'j'},  {"help", 0, NULL, 'H'},  {0}};
    int o;

    while ((o = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        uint32_t n = optarg != NULL ? (uint32_t)strtoul(optarg, NULL, 10) : 0;
        if (o == 'c')
            opt.conns = n;
        else if (o == 'a')
            opt.awake = n;
        else if (o == 'h')
            opt.hold = n;
        else if (o == 'w')
            opt.wake = n;
        else if (o == 'q')
            opt.after = n;
        else if (o == 'f')
            opt.is_full = true;
        else if (o == 'j')
            opt.json = optarg;
        else {
            fputs(usage, o == 'H' ? stdout : stderr);
            exit(o == 'H' ? 0 : 2);
        }
    }
    if (opt.conns == 0 || opt.conns > 1 << 24 || opt.wake == 0 || opt.awake == 0 || optind < argc) {
        fputs(usage, stderr);
        exit(2);
    }
}

static void setup(void)
{
    struct plx_port *a, *b;
    static uint8_t body[64];
    const struct plx_field field = {.name = "content-length", .name_len = 14, .value = "64", .value_len = 2};

    w.conns = calloc(opt.conns, sizeof *w.conns);
    plx_check(w.conns != NULL && plx_addr_parse("127.0.0.1:1", &w.addr) && plx_loop_pair(&a, &b, 4096));
    w.block = plx_h3_block_new(200, &field, 1, (struct plx_buf){body, sizeof body, NULL});
    plx_check(w.block != NULL);
    w.server_handler = (struct plx_h3_handler){.on_request = server_on_request};
    w.client_handler = (struct plx_h3_handler){.on_open = client_on_open,
                                               .on_close = client_on_close,
                                               .on_session = client_on_session,
                                               .on_end = client_on_end};
    w.server = engine_new(a, true);
    w.client = engine_new(b, false);
    w.sk = w.server->cores[0];
    w.ck = w.client->cores[0];
}

static void report(FILE *f, double opening, const uint64_t *base, const uint64_t *held,
                   const struct waking *m)
{
    double n = opt.conns;
    uint32_t low = m->count / 10, mid = m->count / 2, high = m->count - 1 - m->count / 100;

    fprintf(
        f,
        "{\"conns\": %u, \"opening_s\": %.1f, \"held_s\": %u, \"hibernated_server\": %llu,\n"
        " \"server_bytes\": %.0f, \"client_bytes\": %.0f, \"rss_bytes\": %.0f, \"record_bytes\": %.0f,\n"
        " \"tables_bytes\": %.0f, \"woken\": %u, \"were_awake\": %u,\n"
        " \"call_ns\": [%llu, %llu, %llu], \"asleep_ns\": [%llu, %llu, %llu], \"awake_ns\": [%llu, %llu, %llu]}\n",
        opt.conns, opening, opt.hold, (unsigned long long)held[3], (double)(held[0] - base[0]) / n,
        (double)(held[1] - base[1]) / n, (double)(held[2] - base[2]) / n, (double)held[4] / n,
        (double)base[0] / n, m->count, m->were_awake, (unsigned long long)m->call[mid],
        (unsigned long long)m->call[high], (unsigned long long)m->call[low],
        (unsigned long long)m->first[mid], (unsigned long long)m->first[high],
        (unsigned long long)m->first[low], (unsigned long long)m->second[mid],
        (unsigned long long)m->second[high], (unsigned long long)m->second[low]);
}

static void phases_say(FILE *f, const struct waking *m)
{
    static const char *const name[] = {"other",   "receive", "parse", "find", "unmask", "open",
                                       "deliver", "timers",  "build", "seal", "mask",   "send"};

    fprintf(f, "idle: server, ns by phase, medians: a request asleep, the next one\n");
    for (unsigned p = 0; p < PLX_PHASE_COUNT; p++)
        fprintf(f, "idle:   %-22s %6.0f %8.0f\n", name[p],
                (double)m->phase[0][p][m->count / 2] / m->cycles_per_ns,
                (double)m->phase[1][p][m->count / 2] / m->cycles_per_ns);
}

int main(int argc, char **argv)
{
    struct waking m = {0};

    options(argc, argv);
    setup();
    uint64_t base[] = {core_resident(w.sk), core_resident(w.ck), rss()};
    double opening = open_all();
    fprintf(stderr, "idle: all %u open after %.1f s\n", opt.conns, opening);
    run_for(PLX_MS(opt.after + 6000)); // the last ones fall asleep: a client waits five seconds for a ticket
    run_for(PLX_SEC(opt.hold));
    uint64_t held[] = {core_resident(w.sk), core_resident(w.ck), rss(), w.sk->n.conns_hibernated,
                       w.sk->n.hibernated_bytes};
    fprintf(stderr, "idle: %llu of %u asleep at the server, %llu at the client\n",
            (unsigned long long)held[3], opt.conns, (unsigned long long)w.ck->n.conns_hibernated);
    account(stderr, "server", w.sk);
    account(stderr, "client", w.ck);
    m.call = calloc(opt.wake, sizeof *m.call);
    m.first = calloc(opt.wake, sizeof *m.first);
    m.second = calloc(opt.wake, sizeof *m.second);
    for (unsigned p = 0; p < 2 * PLX_PHASE_COUNT; p++)
        m.phase[p / PLX_PHASE_COUNT][p % PLX_PHASE_COUNT] = calloc(opt.wake, sizeof *m.first);
    plx_check(m.call != NULL && m.first != NULL && m.second != NULL);
    wake_some(&m);
    phases_say(stderr, &m);
    report(stdout, opening, base, held, &m);
    if (opt.json != NULL) {
        FILE *f = fopen(opt.json, "w");
        plx_check(f != NULL);
        report(f, opening, base, held, &m);
        fclose(f);
    }
    w.client_handler.on_close = NULL;
    plx_engine_free(w.client);
    plx_engine_free(w.server);
    plx_h3_block_free(w.block);
    free(w.conns);
    free(m.call), free(m.first), free(m.second);
    for (unsigned p = 0; p < 2 * PLX_PHASE_COUNT; p++)
        free(m.phase[p / PLX_PHASE_COUNT][p % PLX_PHASE_COUNT]);
    return 0;
}
