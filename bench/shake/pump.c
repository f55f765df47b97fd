// pump.c -- the handshake of lib/tls without QUIC: OpenSSL as a server of ours uses it, certificates by name, our own keys of tickets.
//
// Events only carry CRYPTO octets to the other side; secrets are thrown away, so no packet keys are derived.

#include "bench/shake/way.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "tls/tls.h"

enum { INBOX = 8192, SESSION_MAX = 4096 };

struct end {
    struct plx_tls *tls;
    struct end *peer;
    bool is_complete;
    size_t len[PLX_LEVEL_COUNT];
    uint8_t inbox[PLX_LEVEL_COUNT][INBOX];
    uint8_t session[SESSION_MAX]; // of the client
    size_t session_len;
};

struct pump {
    struct plx_tls_ctx *server_ctx, *client_ctx;
    bool is_resumed;
    struct end server, client;
};

static void on_secret(void *arg, enum plx_level level, bool is_tx, const struct plx_secret *s)
{
    (void)arg, (void)level, (void)is_tx, (void)s;
}

static void on_send(void *arg, enum plx_level level, const uint8_t *data, size_t len)
{
    struct end *to = ((struct end *)arg)->peer;

    plx_check(to->len[level] + len <= INBOX);
    memcpy(to->inbox[level] + to->len[level], data, len);
    to->len[level] += len;
}

static bool on_peer_params(void *arg, const uint8_t *data, size_t len)
{
    (void)arg, (void)data, (void)len;
    return true;
}

static void on_complete(void *arg)
{
    ((struct end *)arg)->is_complete = true;
}

static void on_alert(void *arg, uint8_t alert, const char *why)
{
    (void)arg;
    fprintf(stderr, "shake: alert %u: %s\n", alert, why);
    exit(1);
}

static void on_session(void *arg, const uint8_t *session, size_t len)
{
    struct end *e = arg;

    plx_check(len <= SESSION_MAX);
    memcpy(e->session, session, len);
    e->session_len = len;
}

static const struct plx_tls_events events = {.on_secret = on_secret,
                                             .on_send = on_send,
                                             .on_peer_params = on_peer_params,
                                             .on_complete = on_complete,
                                             .on_alert = on_alert,
                                             .on_session = on_session};

static void end_open(struct end *e, struct plx_tls_ctx *ctx, bool is_resumed)
{
    static const uint8_t params[64];
    const struct plx_tls_new_cfg cfg = {.events = &events,
                                        .arg = e,
                                        .server_name = "main.test",
                                        .session = is_resumed ? e->session : NULL,
                                        .session_len = is_resumed ? e->session_len : 0,
                                        .params = params,
                                        .params_len = sizeof params};

    e->tls = plx_tls_new(ctx, &cfg);
    plx_check(e->tls != NULL && plx_tls_start(e->tls));
}

static void end_reset(struct end *e, struct end *peer)
{
    memset(e->len, 0, sizeof e->len);
    e->tls = NULL;
    e->peer = peer;
    e->is_complete = false;
}

static void end_read(struct end *e)
{
    for (int level = 0; level < PLX_LEVEL_COUNT; level++) {
        size_t len = e->len[level];
        e->len[level] = 0;
        plx_check(plx_tls_recv(e->tls, (enum plx_level)level, e->inbox[level], len));
    }
}

static void server_work(void *arg)
{
    struct pump *p = arg;

    if (p->server.tls == NULL)
        end_open(&p->server, p->server_ctx, false);
    end_read(&p->server);
    if (plx_tls_is_done(p->server.tls))
        plx_tls_free(p->server.tls);
}

static void shake(struct pump *p, bool is_resumed, struct shake_count *count)
{
    struct plx_tls_info info;

    end_reset(&p->server, &p->client);
    end_reset(&p->client, &p->server);
    end_open(&p->client, p->client_ctx, is_resumed);
    shake_server(count, server_work, p);
    end_read(&p->client);
    shake_server(count, server_work, p);
    end_read(&p->client); // the ticket
    plx_check(p->server.is_complete && p->client.is_complete);
    plx_tls_info(p->client.tls, &info);
    plx_check(info.was_resumed == is_resumed);
    plx_tls_free(p->client.tls);
}

static struct plx_tls_ctx *ctx_new(const struct plx_tls_cfg *cfg)
{
    char err[256];
    struct plx_tls_ctx *ctx = plx_tls_ctx_new(cfg, err, sizeof err);

    if (ctx == NULL) {
        fprintf(stderr, "shake: %s\n", err);
        exit(1);
    }
    return ctx;
}

static void *pump_open(const struct shake_cfg *cfg)
{
    struct pump *p = calloc(1, sizeof *p);
    const struct plx_tls_cert cert = {cfg->cert_file, cfg->key_file};

    plx_check(p != NULL);
    p->server_ctx = ctx_new(
        &(struct plx_tls_cfg){.is_server = true, .certs = &cert, .cert_count = 1, .tickets = UINT32_MAX});
    p->client_ctx = ctx_new(&(struct plx_tls_cfg){.groups = cfg->groups});
    p->is_resumed = cfg->is_resumed;
    shake(p, false, NULL); // for its ticket
    plx_check(p->client.session_len > 0);
    return p;
}

static void pump_run(void *state, unsigned handshakes, struct shake_count *count)
{
    struct pump *p = state;

    for (unsigned i = 0; i < handshakes; i++)
        shake(p, p->is_resumed, count);
}

static void pump_close(void *state)
{
    struct pump *p = state;

    plx_tls_ctx_free(p->server_ctx);
    plx_tls_ctx_free(p->client_ctx);
    free(p);
}

const struct shake_way shake_pump = {"pump", "lib/tls: OpenSSL as we use it", pump_open, pump_run,
                                     pump_close};
