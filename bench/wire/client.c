// client.c -- see client.h.

#include "bench/wire/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "engine/engine.h"

enum { OPENING_MAX = 64 };

static struct plx_span span(const char *s)
{
    return (struct plx_span){(const uint8_t *)s, strlen(s)};
}

// Prepared, as plx-load's are.
static struct plx_h3_block *request_make(uint32_t ask_len)
{
    char *text = malloc(ask_len + 1);
    const struct plx_field ask = {.name = "x-ask", .name_len = 5, .value = text, .value_len = ask_len};
    const struct plx_h3_head head = {.method = span("GET"),
                                     .scheme = span("https"),
                                     .authority = span("localhost"),
                                     .path = span("/index.html"),
                                     .fields = &ask,
                                     .field_count = ask_len > 0,
                                     .content_length = PLX_H3_LENGTH_UNKNOWN};

    plx_check(text != NULL);
    memset(text, 'x', ask_len);
    struct plx_h3_block *request = plx_h3_block_new_request(&head, (struct plx_buf){NULL, 0, NULL});
    plx_check(request != NULL);
    free(text);
    return request;
}

static void start_more(struct client_conn *conn)
{
    struct client *c = conn->client;

    while (conn->open < c->in_flight && c->to_start > 0) {
        struct plx_h3_req *req;
        enum plx_err err = plx_h3_request_block(conn->h3, c->request, conn, &req);
        if (err == PLX_ERR_AGAIN)
            return; // on_streams_available
        plx_check(err == PLX_OK);
        conn->open++;
        c->to_start--;
        c->begun++;
    }
}

// --- what the engine says -----------------------------------------------------------------------------------

static void on_open(struct plx_h3_conn *h3)
{
    struct client_conn *conn = plx_h3_conn_user(h3);

    conn->h3 = h3;
    conn->client->conns_open++;
}

static void on_close(struct plx_h3_conn *h3, struct plx_conn *transport, const struct plx_close_info *why)
{
    const struct client_conn *conn = plx_conn_user(transport);

    (void)h3;
    fprintf(stderr, "%s: a connection ended: %d, code %llu, %s\n", conn->client->program, (int)why->how,
            (unsigned long long)why->code, why->reason);
    exit(1);
}

static void on_streams_available(struct plx_h3_conn *h3)
{
    start_more(plx_h3_conn_user(h3));
}

static void on_end(struct plx_h3_req *req, const struct plx_field *trailers, uint16_t count)
{
    struct client_conn *conn = plx_h3_req_user(req);

    (void)trailers, (void)count;
    conn->open--;
    conn->client->ended++;
    start_more(conn);
}

// As plx-load takes them.
static bool on_answer(struct plx_h3_req *req, const struct plx_h3_head *head, const uint8_t *body, size_t len)
{
    (void)head, (void)body, (void)len;
    on_end(req, NULL, 0);
    return true;
}

// --- what the program says ----------------------------------------------------------------------------------

void client_init(struct client *c, const char *program, uint32_t conns, uint32_t in_flight, uint32_t ask)
{
    *c = (struct client){.program = program,
                         .handler = {.on_open = on_open,
                                     .on_close = on_close,
                                     .on_streams_available = on_streams_available,
                                     .on_answer = on_answer,
                                     .on_end = on_end},
                         .conns_max = conns,
                         .in_flight = in_flight,
                         .conns = calloc(conns, sizeof *c->conns),
                         .request = request_make(ask)};
    plx_check(c->conns != NULL);
    for (uint32_t i = 0; i < conns; i++)
        c->conns[i].client = c;
}

void client_fini(struct client *c)
{
    free(c->conns);
    plx_h3_block_free(c->request);
}

void client_connect(struct client *c, struct plx_core *core, const struct plx_addr *peer, plx_time now)
{
    while (c->conns_begun < c->conns_max && c->conns_begun - c->conns_open < OPENING_MAX) {
        const struct plx_connect_cfg cfg = {
            .server_name = "localhost", .peer = *peer, .user = &c->conns[c->conns_begun++]};
        struct plx_conn *transport;
        core->now = now;
        plx_check(plx_core_connect(core, &cfg, &transport) == PLX_OK);
    }
}

bool client_is_open(const struct client *c)
{
    return c->conns_open == c->conns_max;
}

void client_start(struct client *c, uint64_t requests)
{
    c->to_start += requests;
    for (uint32_t i = 0; i < c->conns_max; i++)
        start_more(&c->conns[i]);
}

void client_start_many(struct client *c)
{
    c->to_start = 0;
    client_start(c, UINT64_MAX);
}

void client_stop(struct client *c)
{
    c->to_start = 0;
}

void client_leave(struct client *c)
{
    c->handler.on_close = NULL;
}
