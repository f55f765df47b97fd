// session.c -- a session that a client takes home, as bytes.
//
//   octets  what
//   0..2    "PS" and the version of this form, 1
//   3       1 when the certificate was verified
//   4       length of the server's name, then the name
//   ...     OpenSSL's SSL_SESSION (DER)
//
// The name and the first flag are ours: a resumed handshake shows no certificate, so a session made without
// verification, or for another server, must not come back under a context that promises verification.

#include "tls/pump.h"

#include <string.h>
#include <openssl/err.h>

enum { HEADER_LEN = 5, FORM = 1 };

int plx_tls_on_new_session(SSL *ssl, SSL_SESSION *session)
{
    struct plx_tls *tls = SSL_get_app_data(ssl);
    size_t name_len = tls->server_name != NULL ? strlen(tls->server_name) : 0;
    int der_len = i2d_SSL_SESSION(session, NULL);

    if (tls->events->on_session == NULL || der_len <= 0 || name_len > 255)
        return 0;
    size_t len = HEADER_LEN + name_len + (size_t)der_len;
    uint8_t *blob = OPENSSL_malloc(len);
    if (blob == NULL)
        return 0; // no resumption then
    bool is_verified = tls->ctx->verify_peer && SSL_get_verify_result(ssl) == X509_V_OK;
    memcpy(blob, (const uint8_t[]){'P', 'S', FORM, is_verified, (uint8_t)name_len}, HEADER_LEN);
    if (name_len > 0)
        memcpy(blob + HEADER_LEN, tls->server_name, name_len);
    uint8_t *der = blob + HEADER_LEN + name_len;
    if (i2d_SSL_SESSION(session, &der) == der_len)
        tls->events->on_session(tls->arg, blob, len);
    OPENSSL_clear_free(blob, len);
    return 0; // OpenSSL keeps its reference
}

void plx_tls_session_use(struct plx_tls *tls, const uint8_t *session, size_t len)
{
    if (len < HEADER_LEN || memcmp(session, (const uint8_t[]){'P', 'S', FORM}, 3) != 0)
        return;
    size_t name_len = session[4];
    bool is_verified = session[3] == 1,
         has_name = tls->server_name != NULL && strlen(tls->server_name) == name_len;
    if (len < HEADER_LEN + name_len || (tls->ctx->verify_peer && !is_verified))
        return;
    if (!has_name || memcmp(session + HEADER_LEN, tls->server_name, name_len) != 0)
        return;
    const uint8_t *der = session + HEADER_LEN + name_len;
    SSL_SESSION *s = d2i_SSL_SESSION(NULL, &der, (long)(len - HEADER_LEN - name_len));
    bool is_set = s != NULL && SSL_SESSION_is_resumable(s) && SSL_set_session(tls->ssl, s) == 1;
    if (is_set && tls->wants_early) // if not, the handshake is a full one
        plx_tls_early_offer(tls, s);
    SSL_SESSION_free(s);
    ERR_clear_error();
}
