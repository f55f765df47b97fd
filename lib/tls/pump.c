// pump.c -- OpenSSL as a byte pump: CRYPTO bytes in, CRYPTO bytes, secrets and verdicts out.
//
// OpenSSL (3.5 and later) hands over its record layer by callbacks: it asks for bytes, offers bytes, yields
// secrets. Bytes are offered without a level, but the order of the calls tells it: what comes after a writing secret
// goes out under that secret. The early secret is the exception, since no CRYPTO bytes ever travel in 0-RTT packets.
// Reading is the mirror image: a reading secret ends the level before it, and every byte of that level must have
// been consumed by then.
//
// What OpenSSL says in callbacks is passed on at once (bytes, secrets, parameters), but verdicts (alerts) wait until it
// has returned: only then is the reason known, and the caller may not free anything from inside.

#include "tls/pump.h"
#include "base/check.h"

#include <string.h>
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

// --- what OpenSSL calls -------------------------------------------------------------------------------------

static int on_crypto_send(SSL *ssl, const unsigned char *buf, size_t len, size_t *consumed, void *arg)
{
    struct plx_tls *tls = arg;
    (void)ssl;
    tls->events->on_send(tls->arg, (enum plx_level)tls->write_level, buf, len);
    *consumed = len;
    return 1;
}

static int on_crypto_recv(SSL *ssl, const unsigned char **buf, size_t *len, void *arg)
{
    struct plx_tls *tls = arg;
    (void)ssl;
    *buf = tls->in;
    *len = tls->in_len;
    tls->in_held += tls->in_len;
    tls->in_len = 0;
    return 1;
}

static int on_crypto_release(SSL *ssl, size_t len, void *arg)
{
    struct plx_tls *tls = arg;
    (void)ssl;
    tls->in_held -= len < tls->in_held ? len : tls->in_held;
    return 1;
}

static bool alg_of(SSL *ssl, enum plx_aead_alg *alg)
{
    const SSL_CIPHER *cipher = SSL_get_pending_cipher(ssl);
    if (cipher == NULL)
        cipher = SSL_get_current_cipher(ssl);
    if (cipher == NULL && SSL_get0_session(ssl) != NULL) // a client's early data: nothing is negotiated yet
        cipher = SSL_SESSION_get0_cipher(SSL_get0_session(ssl));
    switch (cipher != NULL ? SSL_CIPHER_get_protocol_id(cipher) : 0) { // RFC 8446 appendix B.4
    case 0x1301:
        *alg = PLX_AEAD_AES_128_GCM;
        return true;
    case 0x1302:
        *alg = PLX_AEAD_AES_256_GCM;
        return true;
    case 0x1303:
        *alg = PLX_AEAD_CHACHA20_POLY1305;
        return true;
    default:
        return false;
    }
}

static int on_secret(SSL *ssl, uint32_t prot_level, int direction, const unsigned char *bytes, size_t len,
                     void *arg)
{
    static const uint8_t levels[] = {
        [OSSL_RECORD_PROTECTION_LEVEL_NONE] = PLX_LEVEL_INITIAL,
        [OSSL_RECORD_PROTECTION_LEVEL_EARLY] = PLX_LEVEL_EARLY,
        [OSSL_RECORD_PROTECTION_LEVEL_HANDSHAKE] = PLX_LEVEL_HANDSHAKE,
        [OSSL_RECORD_PROTECTION_LEVEL_APPLICATION] = PLX_LEVEL_APP,
    };
    struct plx_tls *tls = arg;
    struct plx_secret s = {.len = (uint8_t)len};
    enum plx_aead_alg alg;
    bool is_tx = direction != 0;

    if (prot_level >= sizeof levels || (len != 32 && len != 48) || !alg_of(ssl, &alg))
        return 0;
    uint8_t level = levels[prot_level];
    if (level == PLX_LEVEL_EARLY && tls->has_early)
        return 1; // OpenSSL tells a client's again after a HelloRetryRequest, which has ended early data
    tls->has_early |= level == PLX_LEVEL_EARLY;
    //= rfc9001 4.1.3 "a previous encryption level that TLS has not consumed"
    if (!is_tx && level != PLX_LEVEL_EARLY && (tls->in_len > 0 || tls->in_held > 0)) {
        tls->violation = "CRYPTO data continues where TLS has changed keys";
        return 0;
    }
    if (is_tx && level != PLX_LEVEL_EARLY)
        tls->write_level = level;
    if (!is_tx && level != PLX_LEVEL_EARLY)
        tls->read_level = level;
    s.alg = (uint8_t)alg;
    memcpy(s.bytes, bytes, len);
    tls->events->on_secret(tls->arg, (enum plx_level)level, is_tx, &s);
    plx_secret_wipe(&s);
    return 1;
}

static int on_params(SSL *ssl, const unsigned char *params, size_t len, void *arg)
{
    struct plx_tls *tls = arg;
    (void)ssl;

    if (tls->has_peer_params) {
        // A HelloRetryRequest brings the extension again, and it must not change, RFC 8446 section 4.1.2.
        if (len == tls->peer_params_len && memcmp(params, tls->peer_params, len) == 0)
            return 1;
        tls->alert = SSL_AD_ILLEGAL_PARAMETER;
        tls->has_alert = true;
        return 0;
    }
    tls->peer_params = OPENSSL_memdup(params, len);
    tls->peer_params_len = len;
    if (tls->peer_params == NULL && len > 0)
        return 0;
    tls->has_peer_params = true;
    tls->is_refused = !tls->events->on_peer_params(tls->arg, params, len);
    return tls->is_refused ? 0 : 1;
}

static int on_alert(SSL *ssl, unsigned char alert, void *arg)
{
    struct plx_tls *tls = arg;
    (void)ssl;
    if (!tls->has_alert) // the first is the cause
        tls->alert = alert;
    tls->has_alert = true;
    return 1;
}

static const OSSL_DISPATCH callbacks[] = {
    {OSSL_FUNC_SSL_QUIC_TLS_CRYPTO_SEND, (void (*)(void))on_crypto_send},
    {OSSL_FUNC_SSL_QUIC_TLS_CRYPTO_RECV_RCD, (void (*)(void))on_crypto_recv},
    {OSSL_FUNC_SSL_QUIC_TLS_CRYPTO_RELEASE_RCD, (void (*)(void))on_crypto_release},
    {OSSL_FUNC_SSL_QUIC_TLS_YIELD_SECRET, (void (*)(void))on_secret},
    {OSSL_FUNC_SSL_QUIC_TLS_GOT_TRANSPORT_PARAMS, (void (*)(void))on_params},
    {OSSL_FUNC_SSL_QUIC_TLS_ALERT, (void (*)(void))on_alert},
    {0, NULL},
};

// Noted by ourselves as well: before the version is agreed, OpenSSL translates the alerts that only TLS 1.3 has.
static int hello_refuse(struct plx_tls *tls, int *alert, uint8_t which)
{
    *alert = which;
    tls->alert = which;
    tls->has_alert = true;
    return SSL_CLIENT_HELLO_ERROR;
}

int plx_tls_on_client_hello(SSL *ssl, int *alert, void *arg)
{
    struct plx_tls *tls = SSL_get_app_data(ssl);
    const unsigned char *p;
    size_t len;
    (void)arg;

    //= rfc9001 8.4 "A server SHOULD treat the receipt of a"
    if (SSL_client_hello_get0_session_id(ssl, &p) != 0) {
        tls->violation = "the ClientHello has a legacy_session_id";
        return hello_refuse(tls, alert, SSL_AD_ILLEGAL_PARAMETER);
    }
    // A client of an older TLS has no use for what follows: let OpenSSL tell it so.
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_supported_versions, &p, &len) != 1)
        return SSL_CLIENT_HELLO_SUCCESS;
    //= rfc9001 8.1 "MUST use ALPN for this purpose"
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &p, &len) != 1)
        return hello_refuse(tls, alert, SSL_AD_NO_APPLICATION_PROTOCOL);
    //= rfc9001 8.2 "quic_transport_parameters extension MUST close the connection with an"
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_quic_transport_parameters, &p, &len) != 1)
        return hello_refuse(tls, alert, SSL_AD_MISSING_EXTENSION);
    return SSL_CLIENT_HELLO_SUCCESS;
}

// --- verdicts ----------------------------------------------------------------------------------------------

// The one way into PLX_TLS_FAILED. Returns false, so that callers can return it.
static bool give_up(struct plx_tls *tls, uint8_t alert, const char *why)
{
    tls->state = PLX_TLS_FAILED;
    tls->in = NULL;
    tls->in_len = tls->in_held = 0;
    if (tls->is_refused)
        return false; // the caller has its own error
    if (tls->violation != NULL && tls->events->on_violation != NULL)
        tls->events->on_violation(tls->arg, tls->violation);
    else
        tls->events->on_alert(tls->arg, alert, tls->violation != NULL ? tls->violation : why);
    return false;
}

static bool give_up_from_openssl(struct plx_tls *tls)
{
    unsigned long code = ERR_peek_error();
    const char *why = ERR_reason_error_string(code);

    if (ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_NOT_ON_RECORD_BOUNDARY)
        tls->violation = "CRYPTO data continues where TLS has changed keys";
    //= rfc9001 4.6.1 "early_data extension with any other value as a connection error of type PROTOCOL_VIOLATION"
    if (ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_INVALID_MAX_EARLY_DATA)
        tls->violation = "a ticket limits early data to a number of octets";
    if (tls->verify_error[0] != '\0')
        why = tls->verify_error;
    give_up(tls, tls->has_alert ? tls->alert : SSL_AD_INTERNAL_ERROR,
            why != NULL ? why : "TLS failed without a reason");
    ERR_clear_error();
    return false;
}

// OpenSSL is content; are we?
static bool complete(struct plx_tls *tls)
{
    const unsigned char *alpn;
    unsigned int len;

    SSL_get0_alpn_selected(tls->ssl, &alpn, &len);
    uint8_t wire[256] = {(uint8_t)len};
    if (len > 0 && len < sizeof wire)
        memcpy(wire + 1, alpn, len);
    //= rfc9001 8.1 "QUIC clients MUST use error 0x0178 to terminate a"
    if (len == 0 || plx_tls_alpn_choose(tls->ctx, wire, 1u + len) == NULL)
        return give_up(tls, SSL_AD_NO_APPLICATION_PROTOCOL, "no application protocol in common");
    //= rfc9001 8.2 "quic_transport_parameters extension MUST close the connection with an"
    if (!tls->has_peer_params)
        return give_up(tls, SSL_AD_MISSING_EXTENSION, "no quic_transport_parameters");
    memcpy(tls->alpn, alpn, len);
    tls->alpn[len] = '\0';
    tls->state = PLX_TLS_COMPLETE;
    tls->events->on_complete(tls->arg);
    return true;
}

// Lets OpenSSL work until it wants bytes that we do not have.
static bool run(struct plx_tls *tls)
{
    for (;;) {
        char byte;
        bool was_shaking = tls->state == PLX_TLS_SHAKING;
        ERR_clear_error();
        int result = was_shaking ? SSL_do_handshake(tls->ssl) : SSL_read(tls->ssl, &byte, sizeof byte);
        if (result <= 0 && SSL_get_error(tls->ssl, result) != SSL_ERROR_WANT_READ)
            return give_up_from_openssl(tls);
        if (result <= 0)
            break;
        // A server that takes early data is told so when it has sent its Finished, not when the client's has come.
        if (was_shaking && !SSL_is_init_finished(tls->ssl))
            continue;
        if (!was_shaking) // there is no application data in CRYPTO frames
            return give_up(tls, SSL_AD_UNEXPECTED_MESSAGE, "application data inside TLS");
        if (!complete(tls))
            return false;
        if (tls->in_len == 0 && tls->in_held == 0)
            break;
    }
    if (tls->in_len == 0 && tls->in_held == 0)
        return true;
    return give_up(tls, SSL_AD_INTERNAL_ERROR, "TLS left bytes behind");
}

// --- the interface -----------------------------------------------------------------------------------------

// Sets the name to ask for and to verify. A numeric address is verified as one and never sent, RFC 6066 section 3.
static void client_name_set(struct plx_tls *tls)
{
    const char *name = tls->server_name;

    SSL_set_verify(tls->ssl, tls->ctx->verify_peer ? SSL_VERIFY_PEER : SSL_VERIFY_NONE,
                   tls->ctx->verify_peer ? plx_tls_on_verify : NULL);
    if (name == NULL || *name == '\0') {
        tls->bad_start =
            tls->ctx->verify_peer ? "there is no server name to verify the certificate against" : NULL;
        return;
    }
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls->ssl), name) == 1)
        return;
    ERR_clear_error();
    SSL_set_hostflags(tls->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (SSL_set1_host(tls->ssl, name) != 1 || SSL_set_tlsext_host_name(tls->ssl, name) != 1)
        tls->bad_start = "the server name cannot be used: neither an address nor a DNS name";
}

struct plx_tls *plx_tls_new(struct plx_tls_ctx *ctx, const struct plx_tls_new_cfg *cfg)
{
    size_t name_len = cfg->server_name != NULL ? strlen(cfg->server_name) + 1 : 0;
    struct plx_tls *tls = OPENSSL_zalloc(sizeof *tls + cfg->params_len + name_len + cfg->early_context_len);

    if (tls == NULL)
        return NULL;
    tls->ctx = ctx;
    tls->events = cfg->events;
    tls->arg = cfg->arg;
    tls->params_len = cfg->params_len;
    if (cfg->params_len > 0)
        memcpy(tls->params, cfg->params, cfg->params_len);
    if (name_len > 0)
        tls->server_name = memcpy(tls->params + cfg->params_len, cfg->server_name, name_len);
    tls->early_context_len = cfg->early_context_len;
    if (cfg->early_context_len > 0)
        tls->early_context =
            memcpy(tls->params + cfg->params_len + name_len, cfg->early_context, cfg->early_context_len);
    tls->wants_early = cfg->early_data;
    tls->ssl = SSL_new(ctx->ssl_ctxs[0]);
    if (tls->ssl == NULL || SSL_set_app_data(tls->ssl, tls) != 1 ||
        SSL_set_quic_tls_cbs(tls->ssl, callbacks, tls) != 1 ||
        SSL_set_quic_tls_transport_params(tls->ssl, tls->params, tls->params_len) != 1) {
        plx_tls_free(tls);
        return NULL;
    }
    if (ctx->is_server) {
        SSL_set_accept_state(tls->ssl);
        if (!ctx->has_early || plx_tls_early_serve(tls))
            return tls;
        plx_tls_free(tls);
        return NULL;
    }
    SSL_set_connect_state(tls->ssl);
    client_name_set(tls);
    if (cfg->session != NULL)
        plx_tls_session_use(tls, cfg->session, cfg->session_len);
    return tls;
}

void plx_tls_free(struct plx_tls *tls)
{
    if (tls == NULL)
        return;
    plx_check(!tls->is_inside);
    SSL_free(tls->ssl);
    OPENSSL_free(tls->peer_params);
    OPENSSL_free(tls);
}

bool plx_tls_start(struct plx_tls *tls)
{
    plx_check(!tls->is_inside);
    if (tls->state == PLX_TLS_FAILED)
        return false;
    if (tls->ctx->is_server || tls->state == PLX_TLS_COMPLETE)
        return true;
    tls->is_inside = true;
    bool is_ok = tls->bad_start == NULL ? run(tls) : give_up(tls, SSL_AD_INTERNAL_ERROR, tls->bad_start);
    tls->is_inside = false;
    return is_ok;
}

bool plx_tls_recv(struct plx_tls *tls, enum plx_level level, const uint8_t *data, size_t len)
{
    bool is_ok;

    plx_check(!tls->is_inside);
    if (tls->state == PLX_TLS_FAILED)
        return false;
    if (len == 0)
        return true;
    tls->is_inside = true;
    if (level == (enum plx_level)tls->read_level) {
        tls->in = data;
        tls->in_len = len;
        is_ok = run(tls);
        tls->in = NULL;
    } else {
        //= rfc9001 4.1.3 "MUST NOT contain data that extends past the end of previously"
        if (level < (enum plx_level)tls->read_level)
            tls->violation = "CRYPTO data at an encryption level that TLS has left";
        is_ok = give_up(tls, SSL_AD_UNEXPECTED_MESSAGE,
                        "CRYPTO data at an encryption level that TLS has not reached");
    }
    tls->is_inside = false;
    return is_ok;
}

bool plx_tls_is_done(const struct plx_tls *tls)
{
    return !tls->ctx->is_server ||
           tls->state == PLX_TLS_COMPLETE; // OpenSSL sends tickets before it reports completion
}

// OpenSSL's spelling to the one that people know; the string is static.
static const char *group_name(SSL *ssl)
{
    static const struct {
        const char *ossl, *name;
    } known[] = {
        {"X25519MLKEM768", "X25519MLKEM768"},
        {"SecP256r1MLKEM768", "SecP256r1MLKEM768"},
        {"SecP384r1MLKEM1024", "SecP384r1MLKEM1024"},
        {"x25519", "X25519"},
        {"x448", "X448"},
        {"secp256r1", "P-256"},
        {"secp384r1", "P-384"},
        {"secp521r1", "P-521"},
        {"ffdhe2048", "ffdhe2048"},
        {"ffdhe3072", "ffdhe3072"},
        {"MLKEM512", "MLKEM512"},
        {"MLKEM768", "MLKEM768"},
        {"MLKEM1024", "MLKEM1024"},
    };
    const char *name = SSL_get0_group_name(ssl);
    for (size_t i = 0; name != NULL && i < sizeof known / sizeof *known; i++) {
        if (OPENSSL_strcasecmp(name, known[i].ossl) == 0)
            return known[i].name;
    }
    return name != NULL ? "another group" : "none";
}

const char *plx_tls_alpn(const struct plx_tls *tls)
{
    return tls->alpn;
}

void plx_tls_info(const struct plx_tls *tls, struct plx_tls_info *out)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(tls->ssl);

    *out = (struct plx_tls_info){
        .cipher = cipher != NULL ? SSL_CIPHER_get_name(cipher) : "none",
        .group = group_name(tls->ssl),
        .alpn = tls->alpn,
        .server_name = tls->ctx->is_server ? SSL_get_servername(tls->ssl, TLSEXT_NAMETYPE_host_name) : NULL,
        .was_resumed = SSL_session_reused(tls->ssl) == 1,
        .early = plx_tls_early(tls),
    };
    memcpy(out->verify_error, tls->verify_error, sizeof out->verify_error);
}
