// peers.h -- a client and a server that talk through memory. Test programs only.

#ifndef PLX_TEST_PEERS_H
#define PLX_TEST_PEERS_H

#include "certs.h"
#include "tls/tls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

// --- peers -----------------------------------------------------------------------------------------------

enum { WIRE_MAX = 1 << 16 };

struct peer {
    struct plx_tls *tls;
    uint8_t wire[PLX_LEVEL_COUNT][WIRE_MAX]; // what this one has sent
    size_t wire_len[PLX_LEVEL_COUNT], wire_taken[PLX_LEVEL_COUNT];
    struct plx_secret secret[PLX_LEVEL_COUNT][2]; // [level][is_tx]
    uint8_t params[256];
    size_t params_len;
    uint8_t session[8192];
    size_t session_len;
    unsigned completes, alerts, violations, sessions, sends_at_app;
    int alert;
    char why[256];
    bool refuses_params;
    bool refuses_early; // server
    unsigned early_asked;
    char early_alpn[16], early_context[64]; // server: of the last offer
};

static inline void peer_on_secret(void *arg, enum plx_level level, bool is_tx, const struct plx_secret *s)
{
    struct peer *p = arg;
    assert_int_equal(p->secret[level][is_tx].len, 0); // each once
    p->secret[level][is_tx] = *s;
}

static inline void peer_on_send(void *arg, enum plx_level level, const uint8_t *data, size_t len)
{
    struct peer *p = arg;
    assert_true(p->wire_len[level] + len <= WIRE_MAX);
    memcpy(p->wire[level] + p->wire_len[level], data, len);
    p->wire_len[level] += len;
    p->sends_at_app += level == PLX_LEVEL_APP;
    if (level != PLX_LEVEL_INITIAL)
        assert_true(p->secret[level][1].len > 0); // the key comes before what it protects
}

static inline bool peer_on_params(void *arg, const uint8_t *data, size_t len)
{
    struct peer *p = arg;
    assert_int_equal(p->params_len, 0);
    assert_true(len <= sizeof p->params);
    memcpy(p->params, data, len);
    p->params_len = len;
    return !p->refuses_params;
}

static inline void peer_on_complete(void *arg)
{
    ((struct peer *)arg)->completes++;
}

static inline void peer_on_alert(void *arg, uint8_t alert, const char *why)
{
    struct peer *p = arg;
    p->alerts++;
    p->alert = alert;
    snprintf(p->why, sizeof p->why, "%s", why);
}

static inline void peer_on_violation(void *arg, const char *why)
{
    struct peer *p = arg;
    p->violations++;
    snprintf(p->why, sizeof p->why, "%s", why);
}

static inline void peer_on_session(void *arg, const uint8_t *session, size_t len)
{
    struct peer *p = arg;
    assert_true(len <= sizeof p->session);
    memcpy(p->session, session, len);
    p->session_len = len;
    p->sessions++;
}

static inline bool peer_accepts_early(void *arg, const char *alpn, const uint8_t *context, size_t len)
{
    struct peer *p = arg;
    p->early_asked++;
    assert_true(len < sizeof p->early_context);
    memcpy(p->early_context, context, len);
    snprintf(p->early_alpn, sizeof p->early_alpn, "%s", alpn);
    return !p->refuses_early;
}

static const struct plx_tls_events peer_events = {
    .on_secret = peer_on_secret,
    .on_send = peer_on_send,
    .on_peer_params = peer_on_params,
    .on_complete = peer_on_complete,
    .on_alert = peer_on_alert,
    .on_violation = peer_on_violation,
    .on_session = peer_on_session,
    .accepts_early = peer_accepts_early,
};

static inline struct peer *peer_new_early(struct plx_tls_ctx *ctx, const char *server_name,
                                          const struct peer *resumes, const char *early_context)
{
    struct peer *p = calloc(1, sizeof *p);
    assert_non_null(p);
    const uint8_t params[] = {0x01, 0x02, 0x67, 0x10}; // max_idle_timeout, any valid one will do
    struct plx_tls_new_cfg cfg = {.events = &peer_events,
                                  .arg = p,
                                  .server_name = server_name,
                                  .params = params,
                                  .params_len = sizeof params,
                                  .early_data = early_context != NULL};
    if (early_context != NULL) {
        cfg.early_context = (const uint8_t *)early_context;
        cfg.early_context_len = strlen(early_context);
    }
    if (resumes != NULL) {
        cfg.session = resumes->session;
        cfg.session_len = resumes->session_len;
    }
    p->tls = plx_tls_new(ctx, &cfg);
    assert_non_null(p->tls);
    return p;
}

static inline struct peer *peer_new(struct plx_tls_ctx *ctx, const char *server_name,
                                    const struct peer *resumes)
{
    return peer_new_early(ctx, server_name, resumes, NULL);
}

static inline void peer_free(struct peer *p)
{
    plx_tls_free(p->tls);
    free(p);
}

// How much of the next piece goes over at once: all of it, one octet, or a random cut.
typedef size_t cut_fn(size_t left);

static inline size_t cut_none(size_t left)
{
    return left;
}
static inline size_t cut_octet(size_t left)
{
    (void)left;
    return 1;
}
static inline size_t cut_random(size_t left)
{
    static uint64_t seed = 88172645463325252u;
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return 1 + (size_t)(seed % left);
}

// Moves everything that lies in from's wire to to, level by level. False when to has failed.
static inline bool peer_deliver(struct peer *from, struct peer *to, cut_fn *cut, bool *did_move)
{
    for (int level = 0; level < PLX_LEVEL_COUNT; level++) {
        while (from->wire_taken[level] < from->wire_len[level]) {
            size_t n = cut(from->wire_len[level] - from->wire_taken[level]);
            uint8_t *exact = malloc(n); // a copy of its own, so that ASan sees whoever keeps the pointer
            memcpy(exact, from->wire[level] + from->wire_taken[level], n);
            from->wire_taken[level] += n;
            *did_move = true;
            bool is_ok = plx_tls_recv(to->tls, (enum plx_level)level, exact, n);
            free(exact);
            if (!is_ok)
                return false;
        }
    }
    return true;
}

// A whole handshake. True when both are content and nothing is left to say.
static inline bool peers_run(struct peer *client, struct peer *server, cut_fn *cut)
{
    bool did_move = true;
    if (!plx_tls_start(client->tls))
        return false;
    while (did_move) {
        did_move = false;
        if (!peer_deliver(client, server, cut, &did_move) || !peer_deliver(server, client, cut, &did_move))
            return false;
    }
    return true;
}

// Both ends hold the same secrets, crosswise.
static inline void peers_agree(const struct peer *client, const struct peer *server)
{
    assert_int_equal(client->completes, 1);
    assert_int_equal(server->completes, 1);
    assert_int_equal(client->alerts + server->alerts + client->violations + server->violations, 0);
    assert_int_equal(client->params_len, 4);
    assert_int_equal(server->params_len, 4);
    for (int level = PLX_LEVEL_HANDSHAKE; level <= PLX_LEVEL_APP; level++) {
        for (int is_tx = 0; is_tx < 2; is_tx++) {
            const struct plx_secret *a = &client->secret[level][is_tx], *b = &server->secret[level][!is_tx];
            assert_true(a->len == 32 || a->len == 48);
            assert_int_equal(a->len, b->len);
            assert_int_equal(a->alg, b->alg);
            assert_memory_equal(a->bytes, b->bytes, a->len);
        }
    }
}

// --- contexts --------------------------------------------------------------------------------------------

static inline struct plx_tls_ctx *server_ctx(const struct plx_tls_cfg *extra, const char *const *stems,
                                             size_t count)
{
    struct plx_tls_cert certs[8];
    char path[8][2][128], name[64], err[256] = "";
    struct plx_tls_cfg cfg = extra ? *extra : (struct plx_tls_cfg){.tickets = UINT32_MAX};

    for (size_t i = 0; i < count; i++) {
        snprintf(name, sizeof name, "%s.pem", stems[i]);
        snprintf(path[i][0], sizeof path[i][0], "%s", in_dir(name));
        snprintf(name, sizeof name, "%s.key", stems[i]);
        snprintf(path[i][1], sizeof path[i][1], "%s", in_dir(name));
        certs[i] = (struct plx_tls_cert){path[i][0], path[i][1]};
    }
    cfg.is_server = true;
    cfg.certs = certs;
    cfg.cert_count = count;
    struct plx_tls_ctx *ctx = plx_tls_ctx_new(&cfg, err, sizeof err);
    if (ctx == NULL)
        fail_msg("%s", err);
    return ctx;
}

static inline struct plx_tls_ctx *client_ctx(const struct plx_tls_cfg *extra)
{
    char err[256] = "";
    struct plx_tls_cfg cfg = extra ? *extra : (struct plx_tls_cfg){.verify_peer = true};
    if (cfg.ca_file == NULL)
        cfg.ca_file = in_dir("ca.pem");
    struct plx_tls_ctx *ctx = plx_tls_ctx_new(&cfg, err, sizeof err);
    if (ctx == NULL)
        fail_msg("%s", err);
    return ctx;
}

#endif
