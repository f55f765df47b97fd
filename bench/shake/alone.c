// alone.c -- the floor: OpenSSL with a SSL object on each side and nothing else.
//
// It is used as a QUIC stack would use it, through the callbacks for CRYPTO octets, so there is no record layer; secrets are thrown away.
// One session ticket, made with OpenSSL's own keys for it. A server's time is from SSL_new() to SSL_free().

#include "bench/shake/way.h"

#include <stdlib.h>
#include <string.h>
#include <openssl/core_dispatch.h>
#include <openssl/ssl.h>

#include "base/check.h"

enum { LEVELS = OSSL_RECORD_PROTECTION_LEVEL_APPLICATION + 1, INBOX = 8192 };

struct alone;

struct end {
    SSL *ssl;
    struct end *peer;
    struct alone *alone; // of the client
    unsigned read_level, write_level;
    size_t len[LEVELS], taken[LEVELS]; // of what has come, by level
    uint8_t inbox[LEVELS][INBOX];
};

struct alone {
    SSL_CTX *server_ctx, *client_ctx;
    SSL_SESSION *session;
    bool is_resumed;
    struct end server, client;
};

// --- what OpenSSL calls -------------------------------------------------------------------------------------

static int on_send(SSL *ssl, const unsigned char *buf, size_t len, size_t *consumed, void *arg)
{
    struct end *e = arg, *to = e->peer;
    (void)ssl;

    plx_check(to->len[e->write_level] + len <= INBOX);
    memcpy(to->inbox[e->write_level] + to->len[e->write_level], buf, len);
    to->len[e->write_level] += len;
    *consumed = len;
    return 1;
}

static int on_recv(SSL *ssl, const unsigned char **buf, size_t *len, void *arg)
{
    struct end *e = arg;
    (void)ssl;
    *buf = e->inbox[e->read_level] + e->taken[e->read_level];
    *len = e->len[e->read_level] - e->taken[e->read_level];
    return 1;
}

static int on_release(SSL *ssl, size_t len, void *arg)
{
    struct end *e = arg;
    (void)ssl;
    e->taken[e->read_level] += len;
    return 1;
}

static int on_secret(SSL *ssl, uint32_t level, int direction, const unsigned char *bytes, size_t len,
                     void *arg)
{
    struct end *e = arg;
    (void)ssl, (void)bytes, (void)len;
    if (direction != 0)
        e->write_level = level;
    else
        e->read_level = level;
    return 1;
}

static int on_params(SSL *ssl, const unsigned char *params, size_t len, void *arg)
{
    (void)ssl, (void)params, (void)len, (void)arg;
    return 1;
}

static int on_alert(SSL *ssl, unsigned char alert, void *arg)
{
    (void)ssl, (void)alert, (void)arg;
    return 0;
}

static const OSSL_DISPATCH callbacks[] = {
    {OSSL_FUNC_SSL_QUIC_TLS_CRYPTO_SEND, (void (*)(void))on_send},
    {OSSL_FUNC_SSL_QUIC_TLS_CRYPTO_RECV_RCD, (void (*)(void))on_recv},
    {OSSL_FUNC_SSL_QUIC_TLS_CRYPTO_RELEASE_RCD, (void (*)(void))on_release},
    {OSSL_FUNC_SSL_QUIC_TLS_YIELD_SECRET, (void (*)(void))on_secret},
    {OSSL_FUNC_SSL_QUIC_TLS_GOT_TRANSPORT_PARAMS, (void (*)(void))on_params},
    {OSSL_FUNC_SSL_QUIC_TLS_ALERT, (void (*)(void))on_alert},
    {0, NULL},
};

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                   unsigned in_len, void *arg)
{
    (void)ssl, (void)arg;
    plx_check(in_len == 3 && memcmp(in, "\2h3", 3) == 0);
    *out = in + 1;
    *out_len = 2;
    return SSL_TLSEXT_ERR_OK;
}

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct end *e = SSL_get_app_data(ssl);

    SSL_SESSION_free(e->alone->session);
    e->alone->session = session; // the newest: a ticket serves once
    return 1;                    // ours now
}

// --- one handshake ------------------------------------------------------------------------------------------

static const uint8_t params[64]; // octets that OpenSSL does not look into

static void end_reset(struct end *e, struct end *peer)
{
    memset(e->len, 0, sizeof e->len);
    memset(e->taken, 0, sizeof e->taken);
    e->read_level = e->write_level = 0;
    e->peer = peer;
    e->ssl = NULL;
}

static void ssl_open(struct end *e, SSL_CTX *ctx)
{
    e->ssl = SSL_new(ctx);
    plx_check(e->ssl != NULL && SSL_set_quic_tls_cbs(e->ssl, callbacks, e) == 1);
    plx_check(SSL_set_quic_tls_transport_params(e->ssl, params, sizeof params) == 1);
}

static void server_work(void *arg)
{
    struct alone *a = arg;

    if (a->server.ssl == NULL) {
        ssl_open(&a->server, a->server_ctx);
        SSL_set_accept_state(a->server.ssl);
    }
    int r = SSL_do_handshake(a->server.ssl);
    plx_check(r == 1 || SSL_get_error(a->server.ssl, r) == SSL_ERROR_WANT_READ);
}

static void server_end(void *arg)
{
    struct alone *a = arg;
    SSL_free(a->server.ssl);
}

static void client_work(struct alone *a)
{
    int r = SSL_do_handshake(a->client.ssl);
    plx_check(r == 1 || SSL_get_error(a->client.ssl, r) == SSL_ERROR_WANT_READ);
}

static void shake(struct alone *a, struct shake_count *count)
{
    char byte;

    end_reset(&a->server, &a->client);
    end_reset(&a->client, &a->server);
    ssl_open(&a->client, a->client_ctx);
    SSL_set_app_data(a->client.ssl, &a->client);
    SSL_set_connect_state(a->client.ssl);
    SSL_set_tlsext_host_name(a->client.ssl, "main.test");
    SSL_set_alpn_protos(a->client.ssl, (const unsigned char *)"\2h3", 3);
    bool is_resumed = a->is_resumed && a->session != NULL;
    if (is_resumed)
        plx_check(SSL_set_session(a->client.ssl, a->session) == 1);
    client_work(a);
    shake_server(count, server_work, a);
    client_work(a);
    shake_server(count, server_work, a);
    plx_check(SSL_is_init_finished(a->server.ssl) && SSL_is_init_finished(a->client.ssl));
    plx_check((SSL_session_reused(a->server.ssl) == 1) == is_resumed);
    SSL_read(a->client.ssl, &byte, 1); // the ticket
    shake_server(count, server_end, a);
    SSL_set_shutdown(a->client.ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); // or its session is spoiled
    SSL_free(a->client.ssl);
}

// --- the way ------------------------------------------------------------------------------------------------

static SSL_CTX *ctx_new(const SSL_METHOD *method)
{
    SSL_CTX *c = SSL_CTX_new(method);

    plx_check(c != NULL);
    SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION);
    SSL_CTX_clear_options(c, SSL_OP_ENABLE_MIDDLEBOX_COMPAT);
    plx_check(SSL_CTX_set_ciphersuites(c, "TLS_AES_128_GCM_SHA256") == 1); // as ours chooses
    return c;
}

static void *alone_open(const struct shake_cfg *cfg)
{
    struct alone *a = calloc(1, sizeof *a);

    plx_check(a != NULL);
    a->server_ctx = ctx_new(TLS_server_method());
    a->client_ctx = ctx_new(TLS_client_method());
    a->client.alone = a;
    plx_check(SSL_CTX_use_certificate_chain_file(a->server_ctx, cfg->cert_file) == 1);
    plx_check(SSL_CTX_use_PrivateKey_file(a->server_ctx, cfg->key_file, SSL_FILETYPE_PEM) == 1);
    SSL_CTX_set_alpn_select_cb(a->server_ctx, on_alpn, NULL);
    SSL_CTX_set_session_cache_mode(a->server_ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(a->server_ctx, 1);
    plx_check(SSL_CTX_set1_groups_list(a->client_ctx, cfg->groups) == 1);
    SSL_CTX_set_session_cache_mode(a->client_ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(a->client_ctx, on_session);
    a->is_resumed = cfg->is_resumed;
    shake(a, NULL); // for its ticket
    plx_check(a->session != NULL);
    return a;
}

static void alone_run(void *state, unsigned handshakes, struct shake_count *count)
{
    for (unsigned i = 0; i < handshakes; i++)
        shake(state, count);
}

static void alone_close(void *state)
{
    struct alone *a = state;

    SSL_SESSION_free(a->session);
    SSL_CTX_free(a->server_ctx);
    SSL_CTX_free(a->client_ctx);
    free(a);
}

const struct shake_way shake_alone = {"alone", "OpenSSL and nothing else", alone_open, alone_run,
                                      alone_close};
