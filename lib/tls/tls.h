// tls.h -- the TLS 1.3 handshake as a byte pump per encryption level, RFC 9001 section 4.
//
// QUIC gives CRYPTO bytes in, TLS gives CRYPTO bytes, secrets, the peer's transport parameters and alerts
// back through the events of the caller. Nothing here knows packets, and nothing outside lib/tls knows
// OpenSSL. A plx_tls lives only as long as the handshake (and, on a server, until its tickets are out): it
// is the one part of a connection that allocates by the library's will, which is why it must not stay.
//
// Thread context: a context (plx_tls_ctx) is shared by all cores, read-only but for OpenSSL's own counters;
// a plx_tls belongs to one core, and its events are called from inside plx_tls_start and plx_tls_recv only.

#ifndef PLX_TLS_TLS_H
#define PLX_TLS_TLS_H

#include "crypto/keys.h"
#include <plx/types.h>

// Encryption levels in the order of RFC 9001 section 2.1, Table 1.
enum plx_level { PLX_LEVEL_INITIAL, PLX_LEVEL_EARLY, PLX_LEVEL_HANDSHAKE, PLX_LEVEL_APP, PLX_LEVEL_COUNT };

struct plx_tls;
struct plx_tls_ctx;

// All pointers are borrowed during the call of plx_tls_ctx_new only. NULL or 0 takes the default.
struct plx_tls_cert {
    const char *cert_file, *key_file;
}; // PEM chain and key; SNI names come from the certificate

struct plx_tls_cfg {
    bool is_server;
    const struct plx_tls_cert *certs; // server: at least one; the first answers unknown names
    size_t cert_count;
    const char *const *alpn; // in order of preference; default {"h3"}
    size_t alpn_count;
    const char *ca_file;      // client: PEM roots; NULL: the system's
    bool verify_peer;         // client: chain and name (default for clients: set it true)
    const char *ciphersuites; // "TLS_AES_128_GCM_SHA256:…"; default AES-128, AES-256, ChaCha20
    const char *groups;       // "X25519MLKEM768:X25519:P-256:P-384" by default
    uint32_t tickets;         // server: session tickets per full handshake; default 1 when UINT32_MAX
    plx_dur ticket_lifetime;  // server: default 1 day
    bool early_data; // server: tickets allow early data, and it is taken where events.accepts_early agrees
    void (*keylog)(void *arg,
                   const char *line); // NSS key log lines without newline; called on the core that handshakes
    void *keylog_arg;
};

// Returns NULL with one sentence in err (cause and remedy: which file, what is wrong with it). Starting thread.
struct plx_tls_ctx *plx_tls_ctx_new(const struct plx_tls_cfg *cfg, char *err, size_t err_len);
void plx_tls_ctx_free(struct plx_tls_ctx *ctx);

// Replaces the key that session tickets are sealed with when it has served for one ticket_lifetime (the one before it still opens
// tickets). Call about once a second, from one thread at a time; handshakes on other cores go on meanwhile. Does nothing on a client.
void plx_tls_ctx_rotate(struct plx_tls_ctx *ctx, plx_time now);

struct plx_tls_events {
    // A secret is ready. is_tx: we protect with it, else we unprotect with it. s is borrowed.
    void (*on_secret)(void *arg, enum plx_level level, bool is_tx, const struct plx_secret *s);
    // CRYPTO bytes to send at that level; borrowed during the call.
    void (*on_send)(void *arg, enum plx_level level, const uint8_t *data, size_t len);
    // The peer's quic_transport_parameters, once, authenticated as far as TLS is by then. False fails the handshake (no alert;
    // the caller has stored its own error).
    bool (*on_peer_params)(void *arg, const uint8_t *data, size_t len);
    // The handshake is complete in the sense of RFC 9001 section 4.1.1 (both Finished: sent and verified).
    void (*on_complete)(void *arg);
    // TLS gives up; alert is the TLS alert number: CRYPTO_ERROR 0x0100 + alert, RFC 9001 section 4.8.
    void (*on_alert)(void *arg, uint8_t alert, const char *why);
    // The peer broke a rule that QUIC adds to TLS: close with PROTOCOL_VIOLATION, RFC 9001 sections 4.1.3 and 8.4. May be NULL:
    // on_alert then hears unexpected_message or illegal_parameter instead.
    void (*on_violation)(void *arg, const char *why);
    // Client: a session that can be resumed, serialised (opaque; includes nothing of QUIC). Borrowed.
    void (*on_session)(void *arg, const uint8_t *session, size_t len);
    // Server with plx_tls_cfg.early_data: early data is offered under a fresh ticket, for the protocol alpn; context is what
    // plx_tls_new_cfg.early_context said when the ticket was made. False, or NULL: it is refused, and the handshake goes on. An
    // early secret (on_secret) follows when it is accepted.
    bool (*accepts_early)(void *arg, const char *alpn, const uint8_t *context, size_t len);
};

struct plx_tls_new_cfg {
    const struct plx_tls_events *events;
    void *arg;
    const char *server_name; // client: SNI and the name to verify (a DNS name or a numeric address)
    const uint8_t *session;  // client: from on_session of an earlier connection, or NULL
    size_t session_len;
    const uint8_t *params; // our quic_transport_parameters; copied
    size_t params_len;
    // Server: what early data under the tickets of this handshake may rely on; opaque, copied.
    const uint8_t *early_context;
    size_t early_context_len;
    bool
        early_data; // client: offer early data if the session allows it: then plx_tls_start brings an early secret
};

// NULL when OpenSSL has no memory.
struct plx_tls *plx_tls_new(struct plx_tls_ctx *ctx, const struct plx_tls_new_cfg *cfg);
void plx_tls_free(struct plx_tls *tls);

// Client: produces the ClientHello. Server: nothing to do, but legal. False after on_alert (or on_peer_params said no).
bool plx_tls_start(struct plx_tls *tls);
// In-order CRYPTO bytes of one level; consumes all of them (TLS buffers partial messages itself). False as above.
// Bytes at a level that TLS has left are a violation, RFC 9001 section 4.1.3; at one it has not reached, an unexpected_message alert.
bool plx_tls_recv(struct plx_tls *tls, enum plx_level level, const uint8_t *data, size_t len);

// What became of early data. Before the handshake is complete also: a server knows it with the ClientHello.
enum plx_tls_early { PLX_TLS_EARLY_NONE, PLX_TLS_EARLY_REFUSED, PLX_TLS_EARLY_ACCEPTED };
enum plx_tls_early plx_tls_early(const struct plx_tls *tls);

// The protocol that early data speaks, as soon as there is an early secret; "" without.
const char *plx_tls_alpn(const struct plx_tls *tls);

// What was negotiated, valid after on_complete; pointers live as long as the plx_tls (strings of ciphers and groups are static).
struct plx_tls_info {
    const char *cipher, *group; // "TLS_AES_128_GCM_SHA256", "X25519MLKEM768"
    const char *alpn;           // NUL-terminated copy inside plx_tls
    const char *server_name;    // server: what the client asked for, or NULL
    bool was_resumed;
    enum plx_tls_early early; // with PLX_TLS_EARLY_NONE: none was offered
    char verify_error[128];   // client: why the certificate was refused, after on_alert; else empty
};
void plx_tls_info(const struct plx_tls *tls, struct plx_tls_info *out);

// True on a server once all tickets were handed to on_send, and on a client always: after on_complete the object may be freed
// (client: after it, no later NewSessionTicket is seen).
bool plx_tls_is_done(const struct plx_tls *tls);

#endif
