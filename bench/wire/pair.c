// pair.c -- see pair.h.

#include "bench/wire/pair.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/time.h"
#include "bench/wire/client.h"
#include "bench/wire/sides.h"
#include "drivers/loop/loop.h"

struct pair {
    struct wire_cell cell;
    struct plx_engine *server, *client;
    struct client asking;
    struct plx_h3_handler answering;
    struct plx_h3_block *block;
    uint8_t *body;
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

// The same for the client: bench/check counts it in cells of its own.
__attribute__((noinline)) void wire_client_breath(struct plx_core *k, plx_time now);
void wire_client_breath(struct plx_core *k, plx_time now)
{
    plx_core_breath(k, now);
    __asm__ volatile("" : : : "memory"); // or it is the same function as the one above
}

static void turn(struct pair *p, struct plx_engine *e, uint64_t *cycles)
{
    struct plx_core *k = e->cores[0];

    if (cycles != NULL)
        books_open(cycles);
    for (unsigned i = 0; i < WIRE_BREATHS_PER_TURN && (i == 0 || !is_quiet(k)); i++) {
        if (cycles == NULL)
            plx_core_breath(k, p->now);
        else if (e == p->server)
            wire_measured_breath(k, p->now);
        else
            wire_client_breath(k, p->now);
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
    const uint64_t *ended = &p->asking.ended, until = *ended + requests;
    uint64_t stuck = 0;

    client_start(&p->asking, requests);
    while (*ended < until) {
        uint64_t before = *ended + p->client->cores[0]->n.datagrams_rx;
        step(p, server, client);
        stuck = before == *ended + p->client->cores[0]->n.datagrams_rx ? stuck + 1 : 0;
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

static void engines_make(struct pair *p, const char *crypto)
{
    struct plx_port *a, *b;
    struct sides_cfg cfg = {.program = "wire",
                            .conns = p->cell.conns,
                            .in_flight = p->cell.in_flight,
                            .buffer_memory = UINT64_C(4) << 30,
                            .crypto = crypto};

    plx_check(plx_loop_pair(&a, &b, 4096));
    cfg.port = b;
    cfg.handler = &p->asking.handler;
    struct sides_cfg server = cfg;
    server.port = a;
    server.handler = &p->answering;
    server.listen = &p->addr;
    server.workers = 1;
    p->server = sides_engine(&server, p->now, 7919);
    p->client = sides_engine(&cfg, p->now, 104729);
}

static void connect_all(struct pair *p)
{
    plx_time limit = plx_time_after(p->now, PLX_SEC(600));

    while (!client_is_open(&p->asking)) {
        client_connect(&p->asking, p->client->cores[0], &p->addr, p->now);
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

    plx_check(p != NULL && cell->in_flight <= WIRE_IN_FLIGHT_MAX && cell->ask <= WIRE_ASK_MAX);
    p->cell = *cell;
    p->now = (plx_time){UINT64_C(1000000000000)};
    plx_check(plx_addr_parse("127.0.0.1:1", &p->addr));
    p->answering = (struct plx_h3_handler){.ctx = p, .on_request = on_request};
    client_init(&p->asking, "wire", cell->conns, cell->in_flight, cell->ask);
    p->body = sides_body(cell->body);
    p->block = sides_answer(p->body, cell->body);
    engines_make(p, crypto);
    connect_all(p);
    return p;
}

const char *pair_describe(const struct pair *p)
{
    return plx_engine_describe(p->server);
}

void pair_free(struct pair *p)
{
    client_leave(&p->asking);
    plx_engine_free(p->client);
    plx_engine_free(p->server);
    plx_h3_block_free(p->block);
    free(p->body);
    client_fini(&p->asking);
    free(p);
}
