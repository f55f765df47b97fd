// pump.h -- one handshake. Inside lib/tls only.

#ifndef PLX_TLS_PUMP_H
#define PLX_TLS_PUMP_H

#include "tls/ctx.h"

enum plx_tls_state { PLX_TLS_SHAKING, PLX_TLS_COMPLETE, PLX_TLS_FAILED };

struct plx_tls {
    SSL *ssl;
    struct plx_tls_ctx *ctx;
    const struct plx_tls_events *events;
    void *arg;
    // The bytes of the present plx_tls_recv: what OpenSSL has not asked for yet, and what it holds but has not consumed.
    const uint8_t *in;
    size_t in_len, in_held;
    uint8_t state;       // enum plx_tls_state
    uint8_t read_level;  // enum plx_level: what the next CRYPTO bytes must come in
    uint8_t write_level; // enum plx_level: where OpenSSL's next bytes go
    uint8_t alert;       // what OpenSSL wants to tell, told when it has returned
    bool has_alert, has_peer_params, has_early, is_inside;
    bool is_refused;       // the caller said no to the peer's parameters and knows why
    const char *violation; // PROTOCOL_VIOLATION rather than an alert
    const char *bad_start; // client: why it cannot even begin
    uint8_t *peer_params;  // server: as in the first ClientHello, to compare with a second one
    size_t peer_params_len;
    char verify_error[128];
    char alpn[256];
    const char *server_name; // client: what to connect to, behind the parameters
    size_t params_len, early_context_len;
    const uint8_t *early_context; // server, behind the parameters
    bool wants_early;             // client
    uint8_t params[];
};

// Client: names what is wrong with the server's certificate into tls->verify_error. In verify.c.
int plx_tls_on_verify(int is_ok, X509_STORE_CTX *store);
// Client: takes up an earlier session if it fits this name and is as trustworthy as this context wants. In session.c.
void plx_tls_session_use(struct plx_tls *tls, const uint8_t *session, size_t len);

// In early.c. Server: takes early data; false: OpenSSL has no memory. Client: offers it under this session, if it may.
bool plx_tls_early_serve(struct plx_tls *tls);
void plx_tls_early_offer(struct plx_tls *tls, const SSL_SESSION *session);

#endif
