// world.c -- see world.h.

#include "tests/sim/world.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/time.h"

static const plx_time world_epoch = {UINT64_C(1000000000000)}; // not zero: zero means "never was" in places

// --- what is served -----------------------------------------------------------------------------------------

const uint8_t *world_body(void)
{
    static uint8_t *body;

    if (body == NULL) {
        body = malloc(WORLD_BODY_MAX);
        plx_check(body != NULL);
        uint64_t x = 88172645463325252u;
        for (size_t i = 0; i < WORLD_BODY_MAX; i += 8) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            memcpy(body + i, &x, 8);
        }
    }
    return body;
}

static struct world *the_world; // worlds come one after the other

static void on_request(struct plx_h3_req *req, const struct plx_h3_head *head, bool has_body)
{
    struct plx_field length = {.name = "content-length", .name_len = 14};
    char text[24], path[24] = {0};

    (void)has_body;
    the_world->early_requests += plx_h3_req_is_early(req);
    plx_check(head->path.len > 1 && head->path.len < sizeof path);
    memcpy(path, head->path.p, head->path.len);
    uint64_t size = strtoull(path + 1, NULL, 10);
    plx_check(size <= WORLD_BODY_MAX);
    length.value = text;
    length.value_len = (uint32_t)snprintf(text, sizeof text, "%llu", (unsigned long long)size);
    struct plx_buf body = {world_body(), (size_t)size, NULL};
    if (plx_h3_respond(req, 200, &length, 1, body, true) != PLX_OK)
        plx_h3_cancel(req, PLX_H3_INTERNAL_ERROR);
}

static size_t on_server_body(struct plx_h3_req *req, const uint8_t *data, size_t len)
{
    uintptr_t at = (uintptr_t)plx_h3_req_user(req);

    plx_check(at + len <= WORLD_BODY_MAX && memcmp(world_body() + at, data, len) == 0);
    plx_h3_req_set_user(req, (void *)(at + len));
    return len;
}

static const struct plx_h3_handler server_handler = {.on_request = on_request, .on_body = on_server_body};

// --- who asks -----------------------------------------------------------------------------------------------

static void start_more(struct world_client *c)
{
    char path[24];

    while (c->started < c->size_count) {
        struct world_request *r = &c->request[c->started];
        snprintf(path, sizeof path, "/%llu", (unsigned long long)c->sizes[c->started]);
        struct plx_h3_head head = {.method = world_span(c->upload > 0 ? "POST" : "GET"),
                                   .scheme = world_span("https"),
                                   .authority = world_span("localhost"),
                                   .path = world_span(path),
                                   .content_length = PLX_H3_LENGTH_UNKNOWN};
        *r = (struct world_request){.world = c->world, .want = c->sizes[c->started], .begun = c->world->now};
        if (plx_h3_request(c->h3, &head, c->upload > 0, r, &r->req) != PLX_OK)
            return;
        c->started++;
        if (c->upload > 0)
            plx_check(plx_h3_send_body(r->req, (struct plx_buf){world_body(), (size_t)c->upload, NULL},
                                       true) == PLX_OK);
    }
}

static void on_early(struct plx_h3_conn *h3)
{
    struct world_client *c = plx_h3_conn_user(h3);

    c->h3 = h3;
    c->was_early = true;
    start_more(c);
}

static void on_open(struct plx_h3_conn *h3)
{
    struct world_client *c = plx_h3_conn_user(h3);

    c->h3 = h3;
    c->is_open = true;
    c->opened = c->world->now;
    start_more(c);
}

static void on_close(struct plx_h3_conn *h3, struct plx_conn *transport, const struct plx_close_info *why)
{
    struct world_client *c = plx_conn_user(transport);

    (void)h3;
    c->is_closed = true;
    c->is_open = false;
    c->h3 = NULL;
    c->conn = NULL;
    c->why = *why;
}

static void on_streams_available(struct plx_h3_conn *h3)
{
    start_more(plx_h3_conn_user(h3));
}

static void on_session(struct plx_h3_conn *h3, const void *session, size_t len)
{
    struct world_client *c = plx_h3_conn_user(h3);

    free(c->session);
    c->session = malloc(len);
    plx_check(c->session != NULL);
    memcpy(c->session, session, len);
    c->session_len = len;
}

static size_t on_body(struct plx_h3_req *req, const uint8_t *data, size_t len)
{
    struct world_request *r = plx_h3_req_user(req);

    if (r->got + len > r->want || memcmp(world_body() + r->got, data, len) != 0)
        r->has_bad_byte = true;
    r->got += len;
    return len;
}

static void on_end(struct plx_h3_req *req, const struct plx_field *trailers, uint16_t count)
{
    struct world_request *r = plx_h3_req_user(req);

    (void)trailers, (void)count;
    r->is_complete = r->got == r->want && !r->has_bad_byte;
    r->ended = r->world->now;
}

static void on_closed(struct plx_h3_req *req, uint64_t code, bool is_peer)
{
    struct world_request *r = plx_h3_req_user(req);

    r->is_peer = is_peer;
    r->is_closed = true;
    r->code = code;
    r->req = NULL;
}

static const struct plx_h3_handler client_handler = {
    .on_early = on_early,
    .on_open = on_open,
    .on_close = on_close,
    .on_streams_available = on_streams_available,
    .on_session = on_session,
    .on_body = on_body,
    .on_end = on_end,
    .on_closed = on_closed,
};

// --- making and ending --------------------------------------------------------------------------------------

static struct plx_engine *engine_new(struct world *w, const struct world_cfg *cfg, struct plx_port *port,
                                     bool is_server, uint64_t salt)
{
    struct plx_engine_cfg e;
    struct plx_cert cert = {world_cert(), world_key()};
    char err[512];

    plx_engine_cfg_init(&e);
    e.port = port;
    e.conns_max = 64;
    e.handshakes_max = 64;
    e.streams_max = 2048;
    e.buffer_memory =
        16 << 20; // no scenario has needed two; AddressSanitizer's marks cost each world time for every octet
    e.tick = PLX_SEC(1);
    e.h3 = is_server ? &server_handler : &client_handler;
    e.stream_window = 1 << 20;
    if (is_server) {
        e.listen = &w->server_addr;
        e.listen_count = 1;
        e.certs = &cert;
        e.cert_count = 1;
    }
    e.ca_file =
        world_cert(); // the server never connects, but with none it would read all of the system's roots: a third of a run's time
    if (cfg->tune != NULL)
        cfg->tune(&e, is_server);
    struct plx_engine *engine = plx_engine_new_at(&e, w->now, cfg->seed * 7919 + salt, err, sizeof err);
    if (engine == NULL)
        fprintf(stderr, "world: %s\n", err);
    plx_check(engine != NULL);
    if (port->ops->thread_attach != NULL)
        port->ops->thread_attach(port, 0);
    return engine;
}

void world_init(struct world *w, const struct world_cfg *cfg)
{
    struct plx_addr ip;
    char text[32];

    memset(w, 0, sizeof *w);
    the_world = w;
    w->now = world_epoch;
    w->clients = cfg->clients == 0 ? 1 : cfg->clients;
    plx_prng_init(&w->prng, cfg->seed);
    w->sim = plx_sim_new(&(struct plx_sim_cfg){.seed = cfg->seed});
    plx_check(w->sim != NULL);
    plx_sim_advance(w->sim, w->now);
    w->up = plx_sim_link_add(w->sim, &cfg->up);
    w->down = plx_sim_link_add(w->sim, &cfg->down);
    plx_check(plx_addr_parse("10.0.0.1:443", &w->server_addr));
    struct plx_port *port = plx_sim_port_add(w->sim, &w->server_addr, w->down);
    plx_check(port != NULL);
    w->server = engine_new(w, cfg, port, true, 1);
    for (uint16_t i = 0; i < w->clients; i++) {
        snprintf(text, sizeof text, "10.0.1.%u:40000", i + 1);
        plx_check(plx_addr_parse(text, &ip));
        port = plx_sim_port_add(w->sim, &ip, w->up);
        plx_check(port != NULL);
        w->client[i].world = w;
        w->client[i].engine = engine_new(w, cfg, port, false, 100 + i);
    }
}

void world_fetch(struct world *w, unsigned i, const uint64_t *sizes, unsigned count, uint64_t upload)
{
    struct world_client *c = &w->client[i];
    struct plx_connect_cfg cfg = {.server_name = "localhost",
                                  .peer = w->server_addr,
                                  .user = c,
                                  .session = c->session,
                                  .session_len = c->session_len,
                                  .early_data = c->wants_early};

    plx_check(count <= WORLD_REQUESTS_MAX);
    memcpy(c->sizes, sizes, count * sizeof *sizes);
    memset(c->request, 0, sizeof c->request);
    c->size_count = count;
    c->started = 0;
    c->upload = upload;
    c->is_open = c->is_closed = c->was_early = false;
    c->engine->cores[0]->now = w->now;
    plx_check(plx_core_connect(c->engine->cores[0], &cfg, &c->conn) == PLX_OK);
}

void world_ask(struct world *w, unsigned i, const uint64_t *sizes, unsigned count)
{
    struct world_client *c = &w->client[i];

    plx_check(c->is_open && c->size_count + count <= WORLD_REQUESTS_MAX);
    memcpy(c->sizes + c->size_count, sizes, count * sizeof *sizes);
    c->size_count += count;
    c->engine->cores[0]->now = w->now;
    start_more(c);
}

// --- time ---------------------------------------------------------------------------------------------------

static struct world_pause *pause_of(struct world *w, int who)
{
    return who == WORLD_SERVER ? &w->server_pause : &w->client[who].pause;
}

void world_pause(struct world *w, int who, plx_time until, bool is_deaf)
{
    *pause_of(w, who) = (struct world_pause){until, is_deaf};
}

static bool is_paused(struct world *w, int who)
{
    return !plx_time_reached(pause_of(w, who)->until, w->now);
}

static bool anybody_is_paused(struct world *w)
{
    for (int who = WORLD_SERVER; who < w->clients; who++)
        if (is_paused(w, who))
            return true;
    return false;
}

// What piled up is gone.
static void lose_mail(struct plx_port *port)
{
    struct plx_pkt *pkts[64];
    uint16_t n;

    while ((n = port->ops->rx(port, 0, pkts, 64)) > 0)
        port->ops->give(port, 0, pkts, n);
}

// Nothing has come, no timer is due, and nothing waits to be sent. An end that comes in steps wants every breath it can get.
static bool may_rest(const struct world *w, const struct plx_core *k)
{
    return !plx_sim_port_has_mail(k->port) && k->stop_stage == PLX_STOP_NO &&
           plx_time_lt(w->now, plx_core_deadline(k));
}

static plx_time breathe(struct world *w, int who, plx_time next, bool may_skip)
{
    struct plx_engine *e = who == WORLD_SERVER ? w->server : w->client[who].engine;
    struct world_pause *pause = pause_of(w, who);
    struct plx_core *k = e->cores[0];

    if (is_paused(w, who))
        return plx_time_min(pause->until, next);
    if (pause->is_deaf)
        lose_mail(k->port);
    pause->is_deaf = false;
    // A breath takes at most 64 datagrams, and a long transfer fills many: go on until there is nothing left. Of two or three hosts
    // usually one has something to do; breaths of the others were a fifth of a run.
    for (unsigned i = 0; !(may_skip && may_rest(w, k)) && plx_core_breath(k, w->now) && i < 10000; i++) {
        w->breaths++;
        may_skip = true;
    }
    plx_time at = plx_core_deadline(k);
    if (at.ns <= w->now.ns) // something waits for a resource: look again a little later
        at = plx_time_after(w->now, PLX_US(100));
    return plx_time_min(at, next);
}

// Clients are machines of their own: of two that hear something at the same nanosecond, which a link with jitter that keeps order often
// brings about, no one answers first as a rule. In a fixed order the first one's acknowledgements, and so the packets that they let go,
// would always stand in front of the other's.
static plx_time breathe_clients(struct world *w, plx_time next, bool may_skip)
{
    uint16_t first = w->clients > 1 ? (uint16_t)plx_prng_below(&w->prng, w->clients) : 0;

    for (uint16_t i = 0; i < w->clients; i++)
        next = breathe(w, (first + i) % w->clients, next, may_skip);
    return next;
}

bool world_run(struct world *w, plx_time until, bool (*done)(struct world *w))
{
    // In the first round everybody breathes: the test may have told an engine something since.
    for (bool may_skip = false;; may_skip = true) {
        plx_sim_advance(w->sim, w->now);
        plx_time next = breathe_clients(w, breathe(w, WORLD_SERVER, PLX_NEVER, may_skip), may_skip);
        plx_time mail = plx_sim_next(w->sim);
        if (plx_time_reached(mail, w->now) &&
            anybody_is_paused(w)) // theirs, who will not look: when others' comes is not known
            mail = plx_time_after(w->now, PLX_US(250));
        next = plx_time_min(next, mail);
        if (done != NULL && done(w))
            return true;
        if (next.ns > until.ns) {
            w->now = plx_time_lt(w->now, until) ? until : w->now; // the nanosecond below may have passed it
            return done == NULL;
        }
        w->now = plx_time_lt(w->now, next) ? next : plx_time_after(w->now, PLX_NS(1));
    }
}

bool world_all_complete(struct world *w)
{
    for (uint16_t i = 0; i < w->clients; i++) {
        struct world_client *c = &w->client[i];
        for (unsigned j = 0; j < c->size_count; j++)
            if (!c->request[j].is_complete)
                return false;
    }
    return true;
}

bool world_all_open(struct world *w)
{
    for (uint16_t i = 0; i < w->clients; i++)
        if (!w->client[i].is_open)
            return false;
    return true;
}

uint64_t world_drops(struct plx_engine *e, enum plx_drop why)
{
    return e->cores[0]->n.drops[why];
}

static bool everything_is_home(struct plx_engine *e, const char *who)
{
    struct plx_core *k = e->cores[0];
    struct {
        const char *name;
        uint32_t in_use;
    } pool[] = {
        {"connections", plx_pool_in_use(&k->conns)},
        {"handshakes", plx_pool_in_use(&k->handshakes)},
        {"keys", plx_pool_in_use(&k->keys)},
        {"streams", plx_pool_in_use(&k->streams)},
        {"HTTP/3 connections", plx_pool_in_use(&k->h3_conns)},
        {"HTTP/3 streams", plx_pool_in_use(&k->h3_streams)},
        {"connection IDs", plx_table_count(&k->cids)},
        {"first connection IDs", plx_table_count(&k->odcids)},
        {"berths", k->berths.count - k->berths.left},
    };
    bool ok = true;

    for (size_t i = 0; i < sizeof pool / sizeof *pool; i++)
        if (pool[i].in_use != 0) {
            fprintf(stderr, "world: %s still has %u %s\n", who, pool[i].in_use, pool[i].name);
            ok = false;
        }
    uint64_t scratch = plx_slab_round(plx_h3_scratch_size(&k->h3_env.cfg));
    if (plx_slab_bytes_in_use(&k->slab) != scratch) {
        fprintf(stderr, "world: %s still has %llu octets of buffers\n", who,
                (unsigned long long)(plx_slab_bytes_in_use(&k->slab) - scratch));
        ok = false;
    }
    plx_slab_verify(&k->slab);
    plx_table_verify(&k->cids);
    return ok;
}

static bool all_gone(struct world *w)
{
    bool gone = w->server->cores[0]->n.conns_open == 0;
    for (uint16_t i = 0; i < w->clients; i++)
        gone &= w->client[i].engine->cores[0]->n.conns_open == 0;
    return gone;
}

bool world_fini(struct world *w)
{
    for (uint16_t i = 0; i < w->clients; i++)
        if (w->client[i].conn != NULL)
            plx_conn_close(w->client[i].conn, PLX_H3_NO_ERROR, "");
    // Whoever did not hear the goodbye notices by the idle timeout.
    bool ok = world_run(w, plx_time_after(w->now, PLX_SEC(200)), all_gone);
    if (!ok)
        fprintf(stderr, "world: connections are still open at the end\n");
    ok &= everything_is_home(w->server, "the server");
    for (uint16_t i = 0; i < w->clients; i++)
        ok &= everything_is_home(w->client[i].engine, "the client");
    plx_engine_free(w->server);
    for (uint16_t i = 0; i < w->clients; i++) {
        plx_engine_free(w->client[i].engine);
        free(w->client[i].session);
    }
    plx_sim_verify(w->sim);
    plx_sim_free(w->sim);
    return ok;
}

// --- the certificate ----------------------------------------------------------------------------------------

static char cert_path[64], key_path[64];

static void cert_remove(void)
{
    unlink(cert_path);
    unlink(key_path);
}

static void cert_make(void)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    X509 *x = X509_new();
    X509V3_CTX ctx;

    snprintf(cert_path, sizeof cert_path, "/tmp/plx-world-%d.crt", (int)getpid());
    snprintf(key_path, sizeof key_path, "/tmp/plx-world-%d.key", (int)getpid());
    plx_check(key != NULL && x != NULL);
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 86400);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               (const unsigned char *)"localhost", -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
    X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, &ctx, NID_subject_alt_name, "DNS:localhost");
    plx_check(san != NULL && X509_add_ext(x, san, -1) == 1);
    X509_EXTENSION_free(san);
    plx_check(X509_sign(x, key, NULL) > 0);
    FILE *f = fopen(cert_path, "w");
    plx_check(f != NULL && PEM_write_X509(f, x) == 1 && fclose(f) == 0);
    f = fopen(key_path, "w");
    plx_check(f != NULL && PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1 && fclose(f) == 0);
    X509_free(x);
    EVP_PKEY_free(key);
    atexit(cert_remove);
}

const char *world_cert(void)
{
    if (cert_path[0] == '\0')
        cert_make();
    return cert_path;
}

const char *world_key(void)
{
    world_cert();
    return key_path;
}
