// early.c -- early data (0-RTT) in TLS: who may offer it, and who takes it (RFC 9001 section 4.6, RFC 8446 sections 2.3 and 8).
//
// Server: tickets say that early data may come, and carry what its owner promised beside it (a context: opaque here). It is
// accepted when OpenSSL finds the ticket fresh, this ClientHello was not here before (replay.h), and the owner says that the
// context still holds. OpenSSL's own protection keeps a list of tickets in memory and works with stateful ones only: off.
//
// Client: offered when the session allows it and fits; OpenSSL makes an error of some things that do not fit, so they are asked first.

#include "tls/pump.h"

#include <string.h>
#include <openssl/err.h>

//= rfc9001 4.6.1 "a sentinel value 0xffffffff"
static const uint32_t max_early_data = 0xffffffff;

// OpenSSL makes a ticket: what early data under it may rely on goes inside.
static int on_ticket(SSL *ssl, void *arg)
{
    struct plx_tls *tls = SSL_get_app_data(ssl);
    SSL_SESSION *session = SSL_get_session(ssl);
    (void)arg;

    if (session == NULL)
        return 1;
    return SSL_SESSION_set1_ticket_appdata(session, tls->early_context, tls->early_context_len);
}

static int on_early_offer(SSL *ssl, void *arg)
{
    struct plx_tls *tls = SSL_get_app_data(ssl);
    struct plx_tls_ctx *ctx = arg;
    uint8_t random[SSL3_RANDOM_SIZE];
    const unsigned char *alpn;
    void *context = NULL;
    size_t context_len = 0;
    unsigned alpn_len;

    SSL_get0_alpn_selected(ssl, &alpn, &alpn_len);
    if (alpn_len == 0 || alpn_len >= sizeof tls->alpn || tls->events->accepts_early == NULL)
        return 0;
    if (SSL_SESSION_get0_ticket_appdata(SSL_get_session(ssl), &context, &context_len) != 1)
        return 0;
    memcpy(tls->alpn, alpn, alpn_len);
    tls->alpn[alpn_len] = '\0';
    if (!tls->events->accepts_early(tls->arg, tls->alpn, context, context_len))
        return 0;
    //= rfc9001 9.2 "Endpoints MUST implement and use the replay protections described in"
    return SSL_get_client_random(ssl, random, sizeof random) == sizeof random &&
           plx_replay_is_first(&ctx->replay, random, sizeof random);
}

bool plx_tls_early_ctx(struct plx_tls_ctx *ctx, SSL_CTX *c)
{
    SSL_CTX_set_options(c, SSL_OP_NO_ANTI_REPLAY);
    SSL_CTX_set_allow_early_data_cb(c, on_early_offer, ctx);
    return SSL_CTX_set_session_ticket_cb(c, on_ticket, NULL, NULL) == 1 &&
           SSL_CTX_set_max_early_data(c, max_early_data) == 1;
}

bool plx_tls_early_serve(struct plx_tls *tls)
{
    return SSL_set_quic_tls_early_data_enabled(tls->ssl, 1) == 1;
}

// A HelloRetryRequest ends early data, RFC 8446 section 4.2.10. OpenSSL (3.5) knows that only of TLS over TCP: with QUIC's callbacks it would
// offer it once more, which a server takes for an error. A session that does not allow it makes it forget.
static void on_message(int is_write, int version, int type, const void *buf, size_t len, SSL *ssl, void *arg)
{
    static const uint8_t hello_retry[] = {// RFC 8446 section 4.1.3: SHA-256 of "HelloRetryRequest"
                                          0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c,
                                          0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb,
                                          0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c};
    enum { RANDOM_AT = 4 + 2 }; // behind the message's header and legacy_version
    const uint8_t *p = buf;

    (void)version, (void)arg;
    if (!is_write && type == SSL3_RT_HANDSHAKE && len >= RANDOM_AT + sizeof hello_retry &&
        p[0] == SSL3_MT_SERVER_HELLO && memcmp(p + RANDOM_AT, hello_retry, sizeof hello_retry) == 0)
        SSL_SESSION_set_max_early_data(SSL_get_session(ssl), 0);
}

void plx_tls_early_offer(struct plx_tls *tls, const SSL_SESSION *session)
{
    const unsigned char *alpn;
    size_t len;

    SSL_SESSION_get0_alpn_selected(session, &alpn, &len);
    if (SSL_SESSION_get_max_early_data(session) != max_early_data || len == 0 || len >= sizeof tls->alpn)
        return;
    uint8_t wire[256] = {(uint8_t)len};
    memcpy(wire + 1, alpn, len);
    if (plx_tls_alpn_choose(tls->ctx, wire, 1 + len) == NULL)
        return; // of a protocol that we do not ask for any more
    if (SSL_set_quic_tls_early_data_enabled(tls->ssl, 1) == 1) {
        memcpy(tls->alpn, alpn, len);
        tls->alpn[len] = '\0';
        SSL_set_msg_callback(tls->ssl, on_message);
    }
    ERR_clear_error();
}

enum plx_tls_early plx_tls_early(const struct plx_tls *tls)
{
    switch (SSL_get_early_data_status(tls->ssl)) {
    case SSL_EARLY_DATA_ACCEPTED:
        return PLX_TLS_EARLY_ACCEPTED;
    case SSL_EARLY_DATA_REJECTED:
        return PLX_TLS_EARLY_REFUSED;
    default:
        return PLX_TLS_EARLY_NONE;
    }
}
