// ctx.h -- what all handshakes of one role share: OpenSSL's contexts, names, ticket keys. Inside lib/tls only.

#ifndef PLX_TLS_CTX_H
#define PLX_TLS_CTX_H

#include "tls/tls.h"
#include "tls/cert.h"
#include "tls/replay.h"
#include "tls/ticket.h"

enum { PLX_TLS_ALPN_MAX = 256 }; // octets of the whole list in wire format

struct plx_tls_ctx {
    SSL_CTX **ssl_ctxs; // server: one per certificate, in the order of the configuration; client: one
    size_t ssl_ctx_count;
    struct plx_cert_names names; // server: who answers to which name
    struct plx_ticket_keys tickets;
    struct plx_replay replay;       // server with early data
    uint8_t alpn[PLX_TLS_ALPN_MAX]; // RFC 7301: each name with its length in front
    size_t alpn_len;
    void (*keylog)(void *arg, const char *line);
    void *keylog_arg;
    bool is_server, verify_peer, has_early; // has_early: server, takes early data
};

// The ALPN protocol of ours (in our order) that also stands in the peer's list, or NULL. Points into ctx.
const uint8_t *plx_tls_alpn_choose(const struct plx_tls_ctx *ctx, const uint8_t *peer, size_t peer_len);

// Server: a ClientHello has arrived; what it must hold beyond OpenSSL's own opinion. In pump.c.
int plx_tls_on_client_hello(SSL *ssl, int *alert, void *arg);
// Server: what early data needs of a context. False: OpenSSL has no memory. In early.c.
bool plx_tls_early_ctx(struct plx_tls_ctx *ctx, SSL_CTX *c);
// Client: OpenSSL has a new session. In session.c.
int plx_tls_on_new_session(SSL *ssl, SSL_SESSION *session);

// One sentence into err: printf format. Returns NULL, so that callers can `return`.
void *plx_tls_err(char *err, size_t err_len, const char *format, ...) __attribute__((format(printf, 3, 4)));
// What OpenSSL said first, for the end of such a sentence; empties its list.
const char *plx_tls_ossl_reason(void);

#endif
