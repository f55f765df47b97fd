// queues.c -- stream queues under a randomised schedule: two workers, two application threads, and everything that can end. For
// ThreadSanitizer, and for the other sanitizers too.
//
// Each round is drawn from its seed. A client asks a server over kernel sockets for pages and echoes of random sizes, gives some of them up
// half-way, and sends some heads that are too large; the application threads read with random appetite, keep blocks, sleep and give up
// requests of their own. The queues are so small that all of it runs short: requests are refused, blocks run out, both
// directions are held back. In some rounds one thread, or both, stop in the middle; in some the engine is told to stop with requests open.
//
// In the end: every answer that came whole is right; every request that was begun got exactly one end, on both sides; and
// every slot and every block of octets is at home, or is known to be with a thread that stopped.
//
//   queues [FIRST-SEED [ROUNDS]]      exit status 0 when all of that is so

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/list.h"
#include "base/prng.h"
#include "engine/queue.h"
#include "tests/sim/world.h"

enum {
    WORKERS = 2,
    THREADS = 2,
    CONNS = 8,
    PER_CONN = 40,
    AT_ONCE = 6,
    SLOTS = 8, // of each pair: fewer than what is asked for at once
    BLOCKS = 24,
    BLOCK_LEN = 1500,
    AHEAD = 6,
    HEAD_MAX = 1024,
    LONG_PATH = 2000,
};

static uint64_t seed;
static bool one_stops, all_stop, engine_stops;
static struct plx_queues *queues;
static unsigned failures, sum_503, sum_431;

static bool expect(bool ok, const char *what)
{
    if (!ok)
        fprintf(stderr, "queues: seed %llu: %s\n", (unsigned long long)seed, what);
    failures += !ok;
    return ok;
}

static uint64_t size_draw(struct plx_prng *r)
{
    return plx_prng_below(r, UINT64_C(1) << plx_prng_below(r, 18));
}

// --- the application threads --------------------------------------------------------------------------------

struct work {
    bool is_used, is_echo, has_ended, is_done;
    struct plx_queue_event kept[AHEAD];
    unsigned first, count;
    size_t used;
    uint64_t sent, want, cancel_at;
};

struct answerer {
    pthread_t thread;
    unsigned index;
    struct plx_queue *q;
    struct plx_prng rng;
    struct work work[WORKERS * SLOTS];
    uint64_t begun, closed, cancelled, stop_after;
    bool has_stopped, heard_over;
};
static struct answerer answerers[THREADS];
static const uint8_t *octets; // of bodies

static bool chance(struct plx_prng *r, unsigned one_in)
{
    return plx_prng_below(r, one_in) == 0;
}

static bool has_more(const struct work *w)
{
    return w->is_echo ? w->count > 0 : w->sent < w->want;
}

// False when CLOSED stands further behind among the events of the same poll.
static bool is_accepted(enum plx_err err)
{
    plx_check(err == PLX_OK || err == PLX_ERR_CLOSED);
    return err == PLX_OK;
}

static void write_some(struct answerer *a, struct plx_queue_req *req, struct work *w)
{
    uint8_t *p;
    size_t room;

    while (!w->is_done && has_more(w) && (p = plx_queue_reserve(req, &room)) != NULL) {
        struct plx_queue_event *b = &w->kept[w->first];
        uint64_t have = w->is_echo ? b->len - w->used : w->want - w->sent;
        size_t n = have < room ? (size_t)have : room;
        if (chance(&a->rng, 4))
            n = 1 + plx_prng_below(&a->rng, n);
        plx_check(room == BLOCK_LEN && plx_queue_reserve(req, &room) == p); // the same until it is committed
        memcpy(p, w->is_echo ? b->data + w->used : octets + w->sent, n);
        w->sent += n;
        if (w->is_echo && (w->used += n) == b->len) {
            plx_queue_consumed(req, b->block);
            w->first = (w->first + 1) % AHEAD, w->count--, w->used = 0;
        }
        w->is_done = !w->is_echo && w->sent == w->want;
        if (!is_accepted(plx_queue_commit(req, n, w->is_done))) {
            w->is_done = true;
            return;
        }
        if (w->sent >= w->cancel_at) {
            plx_queue_cancel(req, PLX_H3_INTERNAL_ERROR);
            plx_queue_cancel(req, PLX_H3_NO_ERROR); // does nothing
            plx_check(plx_queue_commit(req, 0, true) == PLX_ERR_CLOSED);
            w->is_done = true;
            a->cancelled++;
        }
    }
    if (!w->is_done && w->is_echo && w->has_ended && w->count == 0) {
        (void)is_accepted(plx_queue_commit(req, 0, true));
        w->is_done = true;
    }
}

static void work_begin(struct answerer *a, const struct plx_queue_event *e)
{
    const struct plx_field fields[] = {{.name = "x-thread", .name_len = 8, .value = "yes", .value_len = 3}};
    struct plx_span path = e->head->path;
    struct work *w = a->work;
    char number[24] = {0};

    while (w->is_used)
        w++;
    plx_check(w < a->work + WORKERS * SLOTS && path.len > 0 && path.len < sizeof number);
    *w = (struct work){.is_used = true, .is_echo = e->has_body, .cancel_at = UINT64_MAX};
    a->begun++;
    plx_check(plx_queue_user(e->req) == NULL);
    plx_queue_set_user(e->req, w);
    memcpy(number, path.p + 1, path.len - 1);
    w->want = strtoull(number, NULL, 10);
    if (chance(&a->rng, 12))
        w->cancel_at = 1 + plx_prng_below(&a->rng, 20000);
    if (chance(&a->rng, 30)) { // without any answer
        plx_queue_cancel(e->req, PLX_H3_REQUEST_CANCELLED);
        w->is_done = true;
        a->cancelled++;
        return;
    }
    w->is_done = !w->is_echo && w->want == 0;
    plx_check(plx_queue_commit(e->req, 0, true) != PLX_OK); // no head yet
    if (!is_accepted(plx_queue_respond(e->req, 200, fields, 1, w->is_done))) {
        w->is_done = true;
        return;
    }
    plx_check(plx_queue_respond(e->req, 200, NULL, 0, true) == PLX_ERR_INVALID); // a second
    write_some(a, e->req, w);
}

static void work_end(struct answerer *a, const struct plx_queue_event *e, struct work *w)
{
    size_t room;

    a->closed++;
    plx_check(plx_queue_commit(e->req, 0, true) == PLX_ERR_CLOSED &&
              plx_queue_reserve(e->req, &room) == NULL);
    plx_check(plx_queue_respond(e->req, 200, NULL, 0, true) == PLX_ERR_CLOSED);
    for (; w->count > 0; w->count--) // the last first
        plx_queue_consumed(e->req, w->kept[(w->first + w->count - 1) % AHEAD].block);
    w->is_used = false;
    plx_queue_release(e->req);
}

static void on_event(struct answerer *a, const struct plx_queue_event *e)
{
    struct work *w = e->what == PLX_QUEUE_OVER ? NULL : plx_queue_user(e->req);

    switch (e->what) {
    case PLX_QUEUE_REQUEST:
        work_begin(a, e);
        return;
    case PLX_QUEUE_BODY:
        plx_check(w->is_used && w->is_echo && !w->has_ended && e->len > 0 && e->len <= BLOCK_LEN);
        if (w->is_done) {
            plx_queue_consumed(e->req, e->block);
            return;
        }
        plx_check(w->count < AHEAD);
        w->kept[(w->first + w->count++) % AHEAD] = *e;
        if (!chance(&a->rng, 3)) // or later
            write_some(a, e->req, w);
        return;
    case PLX_QUEUE_END:
        plx_check(w->is_used && !w->has_ended);
        w->has_ended = true;
        write_some(a, e->req, w);
        return;
    case PLX_QUEUE_WRITABLE:
        plx_check(w->is_used);
        write_some(a, e->req, w);
        return;
    case PLX_QUEUE_CLOSED:
        plx_check(w->is_used);
        work_end(a, e, w);
        return;
    case PLX_QUEUE_OVER:
        plx_check(!a->heard_over && e->req == NULL);
        a->heard_over = true;
    }
}

// A block whose writing was put off must not wait for an event that never comes.
static void go_on(struct answerer *a, struct plx_queue_req *const *req, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct work *w = plx_queue_user(req[i]);
        if (w != NULL && w->is_used && w->count > 0)
            write_some(a, req[i], w);
    }
}

static void *answer(void *arg)
{
    struct answerer *a = arg;
    struct plx_queue_event ev[16];

    while (!a->heard_over) {
        struct plx_queue_req *late[16];
        unsigned late_count = 0;
        unsigned n = plx_queue_poll(a->q, ev, 1 + (unsigned)plx_prng_below(&a->rng, 16));
        for (unsigned i = 0; i < n; i++) {
            on_event(a, &ev[i]);
            if (ev[i].what == PLX_QUEUE_BODY)
                late[late_count++] = ev[i].req;
            for (unsigned k = 0; ev[i].what == PLX_QUEUE_CLOSED && k < late_count; k++)
                if (late[k] == ev[i].req)
                    late[k--] = late[--late_count];
        }
        if (chance(&a->rng, 50))
            usleep((useconds_t)plx_prng_below(&a->rng, 3000));
        go_on(a, late, late_count);
        if (a->begun >= a->stop_after) {
            plx_queue_stop(a->q);
            a->has_stopped = true;
            return NULL;
        }
        if (n == 0)
            plx_queue_wait(a->q, chance(&a->rng, 2) ? -1 : (int)plx_prng_below(&a->rng, 5));
    }
    return NULL;
}

// --- the client ---------------------------------------------------------------------------------------------

struct ask {
    uint64_t want, got, cancel_at;
    uint16_t status;
    bool is_bad, is_long;
    unsigned ends;
};

struct asker {
    struct plx_prng rng;
    struct ask ask[PER_CONN];
    unsigned begun, open;
    bool is_over;
};
static struct asker askers[CONNS];
static struct plx_addr target;
static _Atomic unsigned begun, ended, whole, refused_503, refused_431, given_up, broken, closed_conns;
static char long_path[LONG_PATH + 1];

static struct plx_span span(const char *s)
{
    return (struct plx_span){(const uint8_t *)s, strlen(s)};
}

static bool ask(struct plx_h3_conn *h3, struct asker *k)
{
    struct ask *q = &k->ask[k->begun];
    bool is_post = chance(&k->rng, 2);
    struct plx_h3_req *req;
    char path[32];

    *q = (struct ask){.want = size_draw(&k->rng), .cancel_at = UINT64_MAX, .is_long = chance(&k->rng, 16)};
    snprintf(path, sizeof path, "/%llu", (unsigned long long)q->want);
    if (chance(&k->rng, 6))
        q->cancel_at = plx_prng_below(&k->rng, 30000);
    struct plx_h3_head head = {.method = span(is_post ? "POST" : "GET"),
                               .scheme = span("https"),
                               .authority = span("localhost"),
                               .path = span(q->is_long ? long_path : path),
                               .content_length = PLX_H3_LENGTH_UNKNOWN};
    if (plx_h3_request(h3, &head, is_post, q, &req) != PLX_OK)
        return false;
    k->begun++, k->open++;
    begun++;
    if (is_post)
        plx_check(plx_h3_send_body(req, (struct plx_buf){octets, q->want, NULL}, true) == PLX_OK);
    if (q->cancel_at == 0)
        plx_h3_cancel(req, PLX_H3_REQUEST_CANCELLED);
    return true;
}

static void ask_more(struct plx_h3_conn *h3)
{
    struct asker *k = plx_h3_conn_user(h3);

    while (k->begun < PER_CONN && k->open < AT_ONCE && ask(h3, k)) {
    }
    if (k->begun == PER_CONN && k->open == 0)
        plx_h3_conn_shutdown(h3);
}

static void on_response(struct plx_h3_req *req, const struct plx_h3_head *head)
{
    struct ask *q = plx_h3_req_user(req);

    q->status = head->status;
    q->is_bad |= head->status == 200 && plx_h3_head_find(head, "x-thread") == NULL;
}

static size_t on_body(struct plx_h3_req *req, const uint8_t *data, size_t len)
{
    struct ask *q = plx_h3_req_user(req);

    q->is_bad |= q->got + len > q->want || memcmp(octets + q->got, data, len) != 0;
    q->got += len;
    if (q->got >= q->cancel_at)
        plx_h3_cancel(req, PLX_H3_REQUEST_CANCELLED);
    return len;
}

static void on_closed(struct plx_h3_req *req, uint64_t code, bool is_peer)
{
    struct plx_h3_conn *h3 = plx_h3_req_conn(req);
    struct asker *k = plx_h3_conn_user(h3);
    struct ask *q = plx_h3_req_user(req);

    (void)is_peer;
    ended++;
    q->ends++, k->open--;
    bool is_whole = code == PLX_H3_NO_ERROR && q->status == 200;
    whole += is_whole;
    refused_503 += q->status == 503;
    refused_431 += q->status == 431;
    given_up += code != PLX_H3_NO_ERROR;
    if (q->is_bad || (is_whole && (q->got != q->want || q->is_long)) || (q->status == 431 && !q->is_long))
        broken++;
    if (!k->is_over)
        ask_more(h3);
}

static void on_close(struct plx_h3_conn *h3, struct plx_conn *transport, const struct plx_close_info *why)
{
    (void)why;
    if (h3 == NULL)
        broken += !engine_stops;
    else
        ((struct asker *)plx_h3_conn_user(h3))->is_over = true;
    if (++closed_conns == CONNS)
        plx_engine_stop(plx_core_engine(plx_conn_core(transport)), PLX_SEC(1));
}

static void *on_core_start(void *ctx, struct plx_core *core)
{
    struct plx_conn *c;

    (void)ctx;
    for (unsigned i = 0; i < CONNS; i++) {
        struct plx_connect_cfg cfg = {
            .server_name = "localhost", .peer = target, .own_port = true, .user = &askers[i]};
        plx_check(plx_core_connect(core, &cfg, &c) == PLX_OK);
    }
    return NULL;
}

static const struct plx_h3_handler client_handler = {.on_open = ask_more,
                                                     .on_streams_available = ask_more,
                                                     .on_response = on_response,
                                                     .on_body = on_body,
                                                     .on_closed = on_closed,
                                                     .on_close = on_close};

// --- the engines --------------------------------------------------------------------------------------------

static struct plx_engine *engine_make(struct plx_engine_cfg *cfg)
{
    char err[512];

    cfg->port = plx_port_udp();
    cfg->conns_max = cfg->handshakes_max = 4 * CONNS;
    cfg->streams_max = 1024;
    cfg->buffer_memory = 64 << 20;
    cfg->tick = PLX_MS(5);
    cfg->handshake_timeout = PLX_SEC(60); // sanitizers are slow
    struct plx_engine *e = plx_engine_new(cfg, err, sizeof err);
    if (e == NULL)
        fprintf(stderr, "queues: %s\n", err);
    plx_check(e != NULL);
    return e;
}

static struct plx_engine *server_new(void)
{
    static struct plx_addr listen;
    struct plx_cert cert = {world_cert(), world_key()};
    struct plx_engine_cfg cfg;

    plx_engine_cfg_init(&cfg);
    plx_check(plx_addr_parse("127.0.0.1:0", &listen));
    cfg.listen = &listen;
    cfg.listen_count = 1;
    cfg.workers = WORKERS;
    cfg.certs = &cert;
    cfg.cert_count = 1;
    plx_queues_attach(queues, &cfg);
    return engine_make(&cfg);
}

static struct plx_engine *client_new(void)
{
    struct plx_engine_cfg cfg;

    plx_engine_cfg_init(&cfg);
    cfg.ca_file = world_cert();
    cfg.keep_alive = PLX_MS(500);
    cfg.h3 = &client_handler;
    cfg.on_core_start = on_core_start;
    return engine_make(&cfg);
}

static void *run(void *arg)
{
    plx_check(plx_engine_run(arg) == PLX_OK);
    return NULL;
}

// --- the end of a round: where is everything? ---------------------------------------------------------------

struct census {
    struct plx_qpair *pair;
    bool has_in[BLOCKS], has_out[BLOCKS], has_slot[SLOTS];
    unsigned in, out, slots;
};

static void count_block(struct census *c, const struct plx_qblock *b)
{
    bool is_in = b->m.kind == QMSG_IN;
    ptrdiff_t i = is_in ? b - c->pair->in : b - c->pair->out;
    bool *has = is_in ? c->has_in : c->has_out;

    plx_check(i >= 0 && i < BLOCKS && b->pair == c->pair && !has[i]); // nowhere twice
    has[i] = true;
    *(is_in ? &c->in : &c->out) += 1;
}

static void count_slot(struct census *c, const struct plx_queue_req *s)
{
    ptrdiff_t i = s - c->pair->slot;

    plx_check(i >= 0 && i < SLOTS && !c->has_slot[i]);
    c->has_slot[i] = true;
    c->slots++;
}

static void count_ring(struct census *c, struct plx_spsc *r)
{
    struct plx_qmsg *m;

    while ((m = plx_spsc_pop(r)) != NULL) {
        if (m->kind == QMSG_IN || m->kind == QMSG_OUT)
            count_block(c, PLX_CONTAINER(m, struct plx_qblock, m));
        if (m->kind == QMSG_RELEASE)
            count_slot(c, m->slot);
    }
}

static void look_at_pair(struct plx_qpair *p, const struct answerer *a)
{
    struct census c = {.pair = p};
    unsigned kept = 0;

    count_ring(&c, &p->up);
    count_ring(&c, &p->down);
    for (struct plx_qblock *b = p->in_free; b != NULL; b = b->next)
        count_block(&c, b);
    for (struct plx_qblock *b = p->out_free; b != NULL; b = b->next)
        count_block(&c, b);
    for (struct plx_queue_req *s = p->free_slots; s != NULL; s = s->next_free)
        count_slot(&c, s);
    for (unsigned i = 0; i < SLOTS; i++) {
        for (struct plx_qblock *b = p->slot[i].out_first; b != NULL; b = b->next)
            count_block(&c, b);
        if (p->slot[i].reserved != NULL && a->has_stopped)
            count_block(&c, p->slot[i].reserved);
    }
    for (unsigned i = 0; a->has_stopped && i < WORKERS * SLOTS; i++)
        for (unsigned k = 0; a->work[i].is_used && k < a->work[i].count; k++) {
            const struct plx_qblock *b = a->work[i].kept[(a->work[i].first + k) % AHEAD].block;
            kept += b->pair == p;
        }
    expect(c.in + kept == BLOCKS, "a block for bodies of requests is lost");
    expect(c.out == BLOCKS, "a block for bodies of responses is lost");
    expect(c.slots == SLOTS || a->has_stopped, "a place for a request is lost");
}

static void look(void)
{
    for (unsigned t = 0; t < THREADS; t++) {
        const struct answerer *a = &answerers[t];
        expect(a->has_stopped || a->closed == a->begun, "a request on a thread had no end");
        expect(a->has_stopped != a->heard_over, "a thread has not heard that it is over");
        expect(a->has_stopped == (a->stop_after != UINT64_MAX), "a thread should have stopped in the middle");
        for (unsigned w = 0; w < WORKERS; w++)
            look_at_pair(&queues->pair[w * THREADS + t], a);
    }
    for (unsigned i = 0; i < CONNS; i++)
        for (unsigned k = 0; k < askers[i].begun; k++)
            expect(askers[i].ask[k].ends == 1, "a request of the client had not exactly one end");
    expect(begun == ended, "the client waits for requests");
    expect(broken == 0, "an answer is wrong");
    expect(engine_stops || begun == CONNS * PER_CONN, "not every request was made");
}

// --- a round ------------------------------------------------------------------------------------------------

static void round_init(void)
{
    const struct plx_queues_cfg cfg = {WORKERS, THREADS, SLOTS, BLOCKS, BLOCK_LEN, AHEAD, HEAD_MAX};

    one_stops = seed % 4 == 1;
    engine_stops = seed % 4 == 2;
    all_stop = seed % 4 == 3;
    begun = ended = whole = refused_503 = refused_431 = given_up = broken = closed_conns = 0;
    queues = plx_queues_new(&cfg);
    plx_check(queues != NULL);
    for (unsigned i = 0; i < CONNS; i++) {
        memset(&askers[i], 0, sizeof askers[i]);
        plx_prng_init(&askers[i].rng, seed * 100 + i);
    }
    for (unsigned t = 0; t < THREADS; t++) {
        struct answerer *a = &answerers[t];
        memset(a, 0, sizeof *a);
        a->q = plx_queues_thread(queues, (uint16_t)t);
        plx_prng_init(&a->rng, seed * 100 + 50 + t);
        bool stops = all_stop || (one_stops && t == 1);
        a->stop_after = stops ? 1 + plx_prng_below(&a->rng, 30) : UINT64_MAX;
    }
}

static void play(void)
{
    pthread_t serving, asking;

    round_init();
    struct plx_engine *server = server_new();
    plx_check(plx_addr_parse("127.0.0.1:1", &target));
    target.port = plx_engine_caps(server)->bound.port;
    struct plx_engine *client = client_new();
    for (unsigned t = 0; t < THREADS; t++)
        plx_check(pthread_create(&answerers[t].thread, NULL, answer, &answerers[t]) == 0);
    plx_check(pthread_create(&serving, NULL, run, server) == 0);
    plx_check(pthread_create(&asking, NULL, run, client) == 0);
    while (engine_stops && ended < CONNS * PER_CONN / 3)
        usleep(500);
    if (engine_stops)
        plx_engine_stop(server, PLX_MS(seed % 8 == 2 ? 0 : 20));
    pthread_join(asking, NULL);
    if (!engine_stops)
        plx_engine_stop(server, PLX_SEC(0));
    pthread_join(serving, NULL);
    plx_queues_end(queues);
    for (unsigned t = 0; t < THREADS; t++)
        pthread_join(answerers[t].thread, NULL);
    plx_engine_free(client);
    plx_engine_free(server);
    look();
    printf(
        "queues: seed %llu: %u asked, %u whole, %u given up, 503 for %u, 431 for %u, threads cancelled %llu, "
        "%llu refused%s%s%s\n",
        (unsigned long long)seed, begun, whole, given_up, refused_503, refused_431,
        (unsigned long long)(answerers[0].cancelled + answerers[1].cancelled),
        (unsigned long long)plx_queues_refused(queues), one_stops ? ", a thread stopped" : "",
        all_stop ? ", both threads stopped" : "", engine_stops ? ", the engine stopped" : "");
    fflush(stdout);
    expect(all_stop || whole > 0, "no answer came whole");
    sum_503 += refused_503;
    sum_431 += refused_431;
    plx_queues_free(queues);
}

int main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 0,
             rounds = argc > 2 ? strtoull(argv[2], NULL, 10) : 8;

    octets = world_body(); // before there are threads
    long_path[0] = '/';
    memset(long_path + 1, 'a', LONG_PATH - 1);
    for (seed = first; seed < first + rounds; seed++)
        play();
    expect(rounds < 4 || (sum_503 > 0 && sum_431 > 0), "nothing was refused");
    printf("queues: %llu rounds: %s\n", (unsigned long long)rounds, failures == 0 ? "ok" : "FAILED");
    return failures == 0 ? 0 : 1;
}
