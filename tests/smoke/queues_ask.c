// queues_ask.c -- the client of queues.c: pages and echoes of random sizes on all connections, some given up half-way, some not to be asked for.

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "tests/sim/world.h"
#include "tests/smoke/queues.h"

enum { LONG_PATH = 2000 };
_Static_assert((int)LONG_PATH > (int)HEAD_MAX, "a head of that size is refused");

struct asker askers[CONNS];
struct asked asked;
static char long_path[LONG_PATH + 1];

static uint64_t size_draw(struct plx_prng *r)
{
    return plx_prng_below(r, UINT64_C(1) << plx_prng_below(r, 18));
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
    struct plx_h3_head head = {.method = world_span(is_post ? "POST" : "GET"),
                               .scheme = world_span("https"),
                               .authority = world_span("localhost"),
                               .path = world_span(q->is_long ? long_path : path),
                               .content_length = PLX_H3_LENGTH_UNKNOWN};
    if (plx_h3_request(h3, &head, is_post, q, &req) != PLX_OK)
        return false;
    k->begun++, k->open++;
    asked.begun++;
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
    asked.ended++;
    q->ends++, k->open--;
    bool is_whole = code == PLX_H3_NO_ERROR && q->status == 200;
    asked.whole += is_whole;
    asked.refused_503 += q->status == 503;
    asked.refused_431 += q->status == 431;
    asked.given_up += code != PLX_H3_NO_ERROR;
    if (q->is_bad || (is_whole && (q->got != q->want || q->is_long)) || (q->status == 431 && !q->is_long))
        asked.broken++;
    if (!k->is_over)
        ask_more(h3);
}

static void on_close(struct plx_h3_conn *h3, struct plx_conn *transport, const struct plx_close_info *why)
{
    (void)why;
    if (h3 == NULL)
        asked.broken += !drawn.engine_stops;
    else
        ((struct asker *)plx_h3_conn_user(h3))->is_over = true;
    if (++asked.closed_conns == CONNS)
        plx_engine_stop(plx_core_engine(plx_conn_core(transport)), PLX_SEC(1));
}

static void *on_core_start(void *ctx, struct plx_core *core)
{
    struct plx_conn *c;

    (void)ctx;
    for (unsigned i = 0; i < CONNS; i++) {
        struct plx_connect_cfg cfg = {
            .server_name = "localhost", .peer = drawn.server, .own_port = true, .user = &askers[i]};
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

void askers_attach(struct plx_engine_cfg *cfg)
{
    cfg->ca_file = world_cert();
    cfg->keep_alive = PLX_MS(500);
    cfg->h3 = &client_handler;
    cfg->on_core_start = on_core_start;
}

void askers_init(void)
{
    memset(&asked, 0, sizeof asked);
    memset(askers, 0, sizeof askers);
    for (unsigned i = 0; i < CONNS; i++)
        plx_prng_init(&askers[i].rng, drawn.seed * 100 + i);
    long_path[0] = '/';
    memset(long_path + 1, 'a', LONG_PATH - 1);
}
