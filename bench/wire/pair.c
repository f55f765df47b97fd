// pair.c -- see pair.h.

#include "bench/wire/pair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/time.h"
#include "drivers/loop/loop.h"
#include "tests/sim/world.h"

enum { OPENING_MAX = 64, BLOCK_COPY_MAX = 16 << 10 };

struct wire_conn {
    struct pair *pair;
    struct plx_h3_conn *h3;
    uint32_t open; // requests under way
};

struct pair {
    struct wire_cell cell;
    struct plx_engine *server, *client;
    struct plx_h3_handler server_handler, client_handler;
    struct plx_h3_block *block;
    uint8_t *body;
    char ask[WIRE_ASK_MAX];
    struct wire_conn *conns;
    uint32_t conns_begun, conns_open;
    uint64_t to_start; // requests that are still to be sent in this run
    uint64_t ended;
    struct plx_addr addr;
    plx_time now;
};

// --- books --------------------------------------------------------------------------------------------------

#ifdef PLX_PHASES
static struct plx_phases nowhere;
static struct plx_phases book;
static uint64_t *book_of;
struct plx_phases *plx_phases = &nowhere;

void books_open(uint64_t *cycles)
{
    book_of = cycles;
    memcpy(book.cycles, cycles, sizeof book.cycles);
    book.is_in = PLX_PHASE_OTHER;
    book.since = __builtin_ia32_rdtsc();
    plx_phases = &book;
}

void books_close(void)
{
    plx_phase(PLX_PHASE_OTHER);
    memcpy(book_of, book.cycles, sizeof book.cycles);
    plx_phases = &nowhere;
}
#else
void books_open(uint64_t *cycles)
{
    (void)cycles;
}

void books_close(void) {}
#endif

// --- the server ---------------------------------------------------------------------------------------------

static void on_request(struct plx_h3_req *req, const struct plx_h3_head *head, bool has_body)
{
    struct pair *p = plx_h3_req_ctx(req);

    (void)head, (void)has_body;
    plx_check(plx_h3_respond_block(req, p->block) == PLX_OK);
}

static void block_make(struct pair *p)
{
    char length[24];
    struct plx_field field[] = {
        {.name = "content-type", .name_len = 12, .value = "text/plain", .value_len = 10},
        {.name = "content-length", .name_len = 14, .value = length}};

    field[1].value_len = (uint32_t)snprintf(length, sizeof length, "%llu", (unsigned long long)p->cell.body);
    p->body = malloc(p->cell.body + 1);
    plx_check(p->body != NULL);
    memset(p->body, 'x', p->cell.body);
    p->block = plx_h3_block_new(200, field, 2, (struct plx_buf){p->body, p->cell.body, NULL});
    plx_check(p->block != NULL);
}

// --- the client ---------------------------------------------------------------------------------------------

static struct plx_span span(const char *s)
{
    return (struct plx_span){(const uint8_t *)s, strlen(s)};
}

static void start_more(struct wire_conn *c)
{
    struct pair *p = c->pair;
    const struct plx_field ask = {.name = "x-ask", .name_len = 5, .value = p->ask, .value_len = p->cell.ask};
    const struct plx_h3_head head = {.method = span("GET"),
                                     .scheme = span("https"),
                                     .authority = span("localhost"),
                                     .path = span("/index.html"),
                                     .fields = &ask,
                                     .field_count = p->cell.ask > 0,
                                     .content_length = PLX_H3_LENGTH_UNKNOWN};

    while (c->open < p->cell.in_flight && p->to_start > 0) {
        struct plx_h3_req *req;
        enum plx_err err = plx_h3_request(c->h3, &head, false, c, &req);
        if (err == PLX_ERR_AGAIN)
            return; // on_streams_available
        plx_check(err == PLX_OK);
        c->open++;
        p->to_start--;
    }
}

static void on_open(struct plx_h3_conn *h3)
{
    struct wire_conn *c = plx_h3_conn_user(h3);

    c->h3 = h3;
    c->pair->conns_open++;
}

static void on_close(struct plx_h3_conn *h3, struct plx_conn *transport, const struct plx_close_info *why)
{
    (void)h3, (void)transport;
    fprintf(stderr, "wire: a connection ended: %d, code %llu, %s\n", (int)why->how,
            (unsigned long long)why->code, why->reason);
    exit(1);
}

static void on_streams_available(struct plx_h3_conn *h3)
{
    start_more(plx_h3_conn_user(h3));
}

static void on_end(struct plx_h3_req *req, const struct plx_field *trailers, uint16_t count)
{
    struct wire_conn *c = plx_h3_req_user(req);

    (void)trailers, (void)count;
    c->open--;
    c->pair->ended++;
    start_more(c);
}

// --- time ---------------------------------------------------------------------------------------------------

static bool is_quiet(const struct plx_core *k)
{
    return k->rx_count < PLX_PULL_MAX && plx_list_is_empty(&k->ready);
}

// Out of line and called for nothing else: valgrind counts what happens inside of it (--toggle-collect).
__attribute__((noinline)) void wire_measured_breath(struct plx_core *k, plx_time now);
void wire_measured_breath(struct plx_core *k, plx_time now)
{
    plx_core_breath(k, now);
}

static void turn(struct pair *p, struct plx_engine *e, uint64_t *cycles)
{
    struct plx_core *k = e->cores[0];

    if (cycles != NULL)
        books_open(cycles);
    for (unsigned i = 0; i < WIRE_BREATHS_PER_TURN && (i == 0 || !is_quiet(k)); i++) {
        if (cycles != NULL && e == p->server)
            wire_measured_breath(k, p->now);
        else
            plx_core_breath(k, p->now);
    }
    if (cycles != NULL)
        books_close();
}

static void step(struct pair *p, uint64_t *server, uint64_t *client)
{
    uint64_t before = p->client->cores[0]->n.datagrams_rx + p->server->cores[0]->n.datagrams_rx;

    turn(p, p->client, client);
    turn(p, p->server, server);
    p->now = plx_time_after(p->now, PLX_US(WIRE_STEP_US));
    if (before == p->client->cores[0]->n.datagrams_rx + p->server->cores[0]->n.datagrams_rx) {
        // Nothing was under way: on to whatever comes next.
        plx_time next =
            plx_time_min(plx_core_deadline(p->client->cores[0]), plx_core_deadline(p->server->cores[0]));
        p->now = plx_time_max(p->now, plx_time_is_never(next) ? p->now : next);
    }
}

static void run(struct pair *p, uint64_t requests, uint64_t *server, uint64_t *client)
{
    uint64_t until = p->ended + requests, stuck = 0;

    p->to_start += requests;
    for (uint32_t i = 0; i < p->cell.conns; i++)
        start_more(&p->conns[i]);
    while (p->ended < until) {
        uint64_t before = p->ended + p->client->cores[0]->n.datagrams_rx;
        step(p, server, client);
        stuck = before == p->ended + p->client->cores[0]->n.datagrams_rx ? stuck + 1 : 0;
        plx_check(stuck < 100000);
    }
}

void pair_run(struct pair *p, uint64_t requests)
{
    run(p, requests, NULL, NULL);
}

static void side_take(struct wire_side *s, const struct plx_engine *e, int sign)
{
    const struct plx_counters *n = &e->cores[0]->n;
    uint64_t *to[] = {&s->datagrams_rx, &s->datagrams_tx, &s->bytes_rx, &s->bytes_tx};
    const uint64_t now[] = {n->datagrams_rx, n->datagrams_tx, n->bytes_rx, n->bytes_tx};

    for (unsigned i = 0; i < 4; i++)
        *to[i] = sign > 0 ? now[i] - *to[i] : now[i];
}

void pair_measure(struct pair *p, uint64_t requests, struct wire_side *server, struct wire_side *client)
{
    memset(server, 0, sizeof *server);
    memset(client, 0, sizeof *client);
    side_take(server, p->server, -1);
    side_take(client, p->client, -1);
    run(p, requests, server->cycles, client->cycles);
    side_take(server, p->server, 1);
    side_take(client, p->client, 1);
}

// --- making and ending --------------------------------------------------------------------------------------

static struct plx_engine *engine_new(struct pair *p, struct plx_port *port, bool is_server,
                                     const char *crypto)
{
    struct plx_engine_cfg e;
    struct plx_cert cert = {world_cert(), world_key()};
    char err[512];

    plx_engine_cfg_init(&e);
    e.port = port;
    e.crypto = crypto;
    e.conns_max = p->cell.conns + 16;
    e.handshakes_max = p->cell.conns + 16; // theirs last until the ticket is out
    e.streams_max =
        p->cell.conns * (p->cell.in_flight * 2 + 16) + 64; // the server keeps six for each handshake
    e.buffer_memory = UINT64_C(4) << 30;                   // touched as used
    e.idle_timeout = PLX_SEC(3600);
    e.retry = PLX_RETRY_NEVER;
    e.insecure = true;
    e.h3 = is_server ? &p->server_handler : &p->client_handler;
    if (is_server) {
        e.listen = &p->addr;
        e.listen_count = 1;
        e.certs = &cert;
        e.cert_count = 1;
    }
    struct plx_engine *engine = plx_engine_new_at(&e, p->now, is_server ? 7919 : 104729, err, sizeof err);
    if (engine == NULL) {
        fprintf(stderr, "wire: %s\n", err);
        exit(1);
    }
    return engine;
}

static void connect_all(struct pair *p)
{
    plx_time limit = plx_time_after(p->now, PLX_SEC(600));

    while (p->conns_open < p->cell.conns) {
        while (p->conns_begun < p->cell.conns && p->conns_begun - p->conns_open < OPENING_MAX) {
            struct wire_conn *c = &p->conns[p->conns_begun++];
            struct plx_conn *transport;
            c->pair = p;
            p->client->cores[0]->now = p->now;
            plx_check(plx_core_connect(
                          p->client->cores[0],
                          &(struct plx_connect_cfg){.server_name = "localhost", .peer = p->addr, .user = c},
                          &transport) == PLX_OK);
        }
        step(p, NULL, NULL);
        plx_check(plx_time_lt(p->now, limit));
    }
    // Tickets, tokens and new connection IDs are through before anything is measured.
    plx_time until = plx_time_after(p->now, PLX_SEC(2));
    while (plx_time_lt(p->now, until))
        step(p, NULL, NULL);
}

struct pair *pair_new(const struct wire_cell *cell, const char *crypto)
{
    struct pair *p = calloc(1, sizeof *p);
    struct plx_port *a, *b;

    plx_check(p != NULL && cell->in_flight <= WIRE_IN_FLIGHT_MAX && cell->ask <= WIRE_ASK_MAX);
    p->cell = *cell;
    p->now = (plx_time){UINT64_C(1000000000000)};
    p->conns = calloc(cell->conns, sizeof *p->conns);
    plx_check(p->conns != NULL && plx_addr_parse("127.0.0.1:1", &p->addr));
    p->server_handler = (struct plx_h3_handler){.ctx = p, .on_request = on_request};
    p->client_handler = (struct plx_h3_handler){.ctx = p,
                                                .on_open = on_open,
                                                .on_close = on_close,
                                                .on_streams_available = on_streams_available,
                                                .on_end = on_end};
    memset(p->ask, 'x', sizeof p->ask);
    block_make(p);
    plx_check(plx_loop_pair(&a, &b, 4096));
    p->server = engine_new(p, a, true, crypto);
    p->client = engine_new(p, b, false, crypto);
    connect_all(p);
    return p;
}

const char *pair_describe(const struct pair *p)
{
    return plx_engine_describe(p->server);
}

void pair_free(struct pair *p)
{
    p->client_handler.on_close = NULL;
    plx_engine_free(p->client);
    plx_engine_free(p->server);
    plx_h3_block_free(p->block);
    free(p->body);
    free(p->conns);
    free(p);
}
