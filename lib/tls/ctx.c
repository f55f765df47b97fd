// ctx.c -- building a context from a configuration, with one sentence for each thing that can be wrong with it.
//
// A server makes one SSL_CTX per certificate and switches to the one that fits the client's server name before
// anything is signed; everything else is the same in all of them. Ciphers and groups are checked word by word, because
// OpenSSL skips what it does not know, and a typing error would then quietly weaken a server.

#include "tls/ctx.h"
#include "base/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <openssl/err.h>

void *plx_tls_err(char *err, size_t err_len, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (err_len > 0)
        vsnprintf(err, err_len, format, args);
    va_end(args);
    return NULL;
}

const char *plx_tls_ossl_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    ERR_clear_error();
    return reason != NULL ? reason : "no reason was given";
}

// --- words: ciphers, groups, protocols ----------------------------------------------------------------------

//= rfc9001 5.3 "QUIC can use any of the cipher suites defined in [TLS13]"
static const char ciphersuites_default[] =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
// A client sends a key share for the starred ones: one round trip with servers that lack the first.
static const char groups_default_server[] = "X25519MLKEM768:X25519:P-256:P-384";
static const char groups_default_client[] = "*X25519MLKEM768:*X25519:P-256:P-384";

// The next word of a list with colons, into word. False at its end. A word that does not fit comes back cut: no name
// that we know is as long.
static bool word_next(const char **list, char *word, size_t max)
{
    if (*list == NULL || **list == '\0')
        return false;
    size_t len = strcspn(*list, ":"), copy = len < max ? len : max - 1;
    memcpy(word, *list, copy);
    word[copy] = '\0';
    *list += len + ((*list)[len] == ':');
    return true;
}

static bool ciphersuites_set(SSL_CTX *ctx, const char *list, char *err, size_t err_len)
{
    const char *rest = list, *known;
    char word[64], name[64];

    while (word_next(&rest, word, sizeof word)) {
        for (known = ciphersuites_default; word_next(&known, name, sizeof name);) {
            if (strcmp(word, name) == 0)
                goto next;
        }
        plx_tls_err(err, err_len, "there is no cipher suite \"%s\" here: use some of %s", word,
                    ciphersuites_default);
        return false;
    next:;
    }
    if (SSL_CTX_set_ciphersuites(ctx, list) == 1 && *list != '\0')
        return true;
    plx_tls_err(err, err_len, "the list of cipher suites \"%s\" is empty: use some of %s", list,
                ciphersuites_default);
    return false;
}

static bool groups_set(SSL_CTX *ctx, const char *list, char *err, size_t err_len)
{
    const char *rest = list;
    char word[64];

    ERR_clear_error();
    while (word_next(&rest, word, sizeof word)) {
        if (SSL_CTX_set1_groups_list(ctx, word) == 1)
            continue;
        ERR_clear_error();
        plx_tls_err(err, err_len, "there is no group \"%s\" here: use some of %s", word,
                    groups_default_server);
        return false;
    }
    if (SSL_CTX_set1_groups_list(ctx, list) == 1 && *list != '\0')
        return true;
    plx_tls_err(err, err_len, "the list of groups \"%s\" cannot be used: %s", list, plx_tls_ossl_reason());
    return false;
}

static bool alpn_set(struct plx_tls_ctx *ctx, const struct plx_tls_cfg *cfg, char *err, size_t err_len)
{
    static const char *const h3[] = {"h3"};
    const char *const *list = cfg->alpn_count > 0 ? cfg->alpn : h3;
    size_t count = cfg->alpn_count > 0 ? cfg->alpn_count : 1;

    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(list[i]);
        if (len == 0 || len > 255 || ctx->alpn_len + 1 + len > sizeof ctx->alpn) {
            plx_tls_err(err, err_len,
                        "the application protocol \"%.40s\" is empty, or the list is longer than %d octets",
                        list[i], PLX_TLS_ALPN_MAX);
            return false;
        }
        ctx->alpn[ctx->alpn_len++] = (uint8_t)len;
        memcpy(ctx->alpn + ctx->alpn_len, list[i], len);
        ctx->alpn_len += len;
    }
    return true;
}

const uint8_t *plx_tls_alpn_choose(const struct plx_tls_ctx *ctx, const uint8_t *peer, size_t peer_len)
{
    for (size_t i = 0; i < ctx->alpn_len; i += 1u + ctx->alpn[i]) {
        for (size_t j = 0; j < peer_len && j + 1u + peer[j] <= peer_len; j += 1u + peer[j]) {
            if (ctx->alpn[i] == peer[j] && memcmp(ctx->alpn + i + 1, peer + j + 1, peer[j]) == 0)
                return ctx->alpn + i;
        }
    }
    return NULL;
}

// --- callbacks that need no connection ------------------------------------------------------------------------

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                   unsigned int in_len, void *arg)
{
    (void)ssl;
    const uint8_t *chosen = plx_tls_alpn_choose(arg, in, in_len);
    if (chosen == NULL)
        return SSL_TLSEXT_ERR_ALERT_FATAL; // OpenSSL makes it no_application_protocol
    *out = chosen + 1;
    *out_len = chosen[0];
    return SSL_TLSEXT_ERR_OK;
}

static int on_server_name(SSL *ssl, int *alert, void *arg)
{
    const struct plx_tls_ctx *ctx = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    (void)alert;

    if (name == NULL)
        return SSL_TLSEXT_ERR_NOACK;
    SSL_CTX *fits = ctx->ssl_ctxs[plx_cert_names_find(&ctx->names, name)];
    if (fits != SSL_get_SSL_CTX(ssl) && SSL_set_SSL_CTX(ssl, fits) == NULL)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    return SSL_TLSEXT_ERR_OK;
}

static struct plx_tls_ctx *ctx_of(const SSL *ssl)
{
    return SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
}

static int on_ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                         EVP_MAC_CTX *mac, int is_sealing)
{
    return plx_ticket_keys_use(&ctx_of(ssl)->tickets, name, iv, cipher, mac, is_sealing != 0);
}

static void on_keylog(const SSL *ssl, const char *line)
{
    const struct plx_tls_ctx *ctx = ctx_of(ssl);
    ctx->keylog(ctx->keylog_arg, line);
}

// --- roles -------------------------------------------------------------------------------------------------

static bool server_setup(struct plx_tls_ctx *ctx, SSL_CTX *c, const struct plx_tls_cfg *cfg, size_t idx,
                         char *err, size_t err_len)
{
    if (!plx_cert_load(c, cfg->certs[idx].cert_file, cfg->certs[idx].key_file, err, err_len))
        return false;
    if (!plx_cert_names_add(&ctx->names, c, idx)) {
        plx_tls_err(err, err_len, "no memory for the names of %s", cfg->certs[idx].cert_file);
        return false;
    }
    SSL_CTX_set_alpn_select_cb(c, on_alpn, ctx);
    SSL_CTX_set_tlsext_servername_callback(c, on_server_name);
    SSL_CTX_set_tlsext_servername_arg(c, ctx);
    SSL_CTX_set_client_hello_cb(c, plx_tls_on_client_hello, ctx);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(c, on_ticket_key);
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
    // What is sent is what the file has: looking for the issuer of a certificate that stands alone would be done anew in every handshake.
    SSL_CTX_set_mode(c, SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_num_tickets(c, cfg->tickets == UINT32_MAX ? 1 : cfg->tickets);
    SSL_CTX_set_timeout(c, (long)(ctx->tickets.period.ns / PLX_SEC(1).ns));
    if (ctx->has_early && !plx_tls_early_ctx(ctx, c)) {
        plx_tls_err(err, err_len, "no memory for early data");
        return false;
    }
    return true;
}

// Our own OpenSSL has no roots of its own beside it: look where systems keep theirs.
static bool roots_load_default(SSL_CTX *c)
{
    static const char *const places[] = {"/etc/ssl/certs/ca-certificates.crt",
                                         "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"};
    SSL_CTX_set_default_verify_paths(c); // SSL_CERT_FILE and SSL_CERT_DIR count here
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (access(places[i], R_OK) == 0)
            return SSL_CTX_load_verify_file(c, places[i]) == 1;
    }
    return true; // perhaps the environment named some; if not, verification will say so
}

static bool client_setup(struct plx_tls_ctx *ctx, SSL_CTX *c, const struct plx_tls_cfg *cfg, char *err,
                         size_t err_len)
{
    ERR_clear_error();
    if (cfg->verify_peer && cfg->ca_file != NULL && access(cfg->ca_file, R_OK) != 0) {
        plx_tls_err(err, err_len, "cannot read the CA file %s", cfg->ca_file);
        return false;
    }
    if (cfg->verify_peer && cfg->ca_file != NULL && SSL_CTX_load_verify_file(c, cfg->ca_file) != 1) {
        plx_tls_err(err, err_len, "the CA file %s holds no certificate (PEM is needed): %s", cfg->ca_file,
                    plx_tls_ossl_reason());
        return false;
    }
    if (cfg->verify_peer && cfg->ca_file == NULL && !roots_load_default(c)) {
        plx_tls_err(err, err_len, "the system's CA file cannot be read: %s; name one of your own",
                    plx_tls_ossl_reason());
        return false;
    }
    ERR_clear_error();
    if (SSL_CTX_set_alpn_protos(c, ctx->alpn, (unsigned)ctx->alpn_len) != 0) { // 0 is success here
        plx_tls_err(err, err_len, "no memory for the application protocols");
        return false;
    }
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(c, plx_tls_on_new_session);
    return true;
}

// What both roles want from every SSL_CTX.
static SSL_CTX *ssl_ctx_new(struct plx_tls_ctx *ctx, const struct plx_tls_cfg *cfg, char *err, size_t err_len)
{
    const char *groups = cfg->is_server ? groups_default_server : groups_default_client;
    SSL_CTX *c = SSL_CTX_new(cfg->is_server ? TLS_server_method() : TLS_client_method());
    if (c == NULL)
        return plx_tls_err(err, err_len, "OpenSSL cannot make a context: %s", plx_tls_ossl_reason());
    //= rfc9001 4.2 "Clients MUST NOT offer TLS versions older than 1.3."
    SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION);
    SSL_CTX_set_max_proto_version(c, TLS1_3_VERSION);
    //= rfc9001 8.4 "A client MUST NOT request the use of the"
    SSL_CTX_clear_options(c, SSL_OP_ENABLE_MIDDLEBOX_COMPAT);
    SSL_CTX_set_options(c, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                               SSL_OP_NO_TX_CERTIFICATE_COMPRESSION | SSL_OP_NO_RX_CERTIFICATE_COMPRESSION);
    SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_app_data(c, ctx);
    if (ctx->keylog != NULL)
        SSL_CTX_set_keylog_callback(c, on_keylog);
    if (ciphersuites_set(c, cfg->ciphersuites ? cfg->ciphersuites : ciphersuites_default, err, err_len) &&
        groups_set(c, cfg->groups ? cfg->groups : groups, err, err_len))
        return c;
    SSL_CTX_free(c);
    return NULL;
}

static bool ssl_ctxs_make(struct plx_tls_ctx *ctx, const struct plx_tls_cfg *cfg, char *err, size_t err_len)
{
    size_t count = cfg->is_server ? cfg->cert_count : 1;

    ctx->ssl_ctxs = OPENSSL_zalloc(count * sizeof(SSL_CTX *));
    if (ctx->ssl_ctxs == NULL) {
        plx_tls_err(err, err_len, "no memory for %zu certificates", count);
        return false;
    }
    for (; ctx->ssl_ctx_count < count; ctx->ssl_ctx_count++) {
        size_t i = ctx->ssl_ctx_count;
        SSL_CTX *c = ssl_ctx_new(ctx, cfg, err, err_len);
        if (c == NULL)
            return false;
        if (!(cfg->is_server ? server_setup(ctx, c, cfg, i, err, err_len)
                             : client_setup(ctx, c, cfg, err, err_len))) {
            SSL_CTX_free(c);
            return false;
        }
        ctx->ssl_ctxs[i] = c;
    }
    plx_cert_names_sort(&ctx->names);
    return true;
}

struct plx_tls_ctx *plx_tls_ctx_new(const struct plx_tls_cfg *cfg, char *err, size_t err_len)
{
    plx_dur lifetime = cfg->ticket_lifetime.ns > 0 ? cfg->ticket_lifetime : PLX_SEC(86400);

    if (cfg->is_server && cfg->cert_count == 0)
        return plx_tls_err(err, err_len, "a server needs a certificate and its key");
    if (lifetime.ns < PLX_SEC(1).ns ||
        lifetime.ns > PLX_SEC(7 * 86400).ns) // RFC 8446 section 4.6.1: seven days
        return plx_tls_err(err, err_len, "a ticket lifetime must lie between one second and seven days");
    if (cfg->is_server && cfg->tickets != UINT32_MAX && cfg->tickets > 16)
        return plx_tls_err(err, err_len, "%u session tickets per handshake are too many: 16 at most",
                           cfg->tickets);
    struct plx_tls_ctx *ctx = OPENSSL_zalloc(sizeof *ctx);
    if (ctx == NULL)
        return plx_tls_err(err, err_len, "no memory for a TLS context");
    ctx->is_server = cfg->is_server;
    ctx->verify_peer = cfg->verify_peer;
    ctx->has_early = cfg->is_server && cfg->early_data;
    ctx->keylog = cfg->keylog;
    ctx->keylog_arg = cfg->keylog_arg;
    if (!plx_ticket_keys_init(&ctx->tickets, lifetime)) {
        plx_tls_err(err, err_len, "no random numbers for the keys of session tickets");
    } else if (ctx->has_early && !plx_replay_init(&ctx->replay)) {
        plx_tls_err(err, err_len,
                    "no memory to remember early data: early_data needs 16 MiB of address space");
    } else if (alpn_set(ctx, cfg, err, err_len) && ssl_ctxs_make(ctx, cfg, err, err_len)) {
        return ctx;
    }
    plx_tls_ctx_free(ctx);
    return NULL;
}

void plx_tls_ctx_free(struct plx_tls_ctx *ctx)
{
    if (ctx == NULL)
        return;
    for (size_t i = 0; i < ctx->ssl_ctx_count; i++)
        SSL_CTX_free(ctx->ssl_ctxs[i]);
    OPENSSL_free(ctx->ssl_ctxs);
    plx_cert_names_fini(&ctx->names);
    plx_ticket_keys_fini(&ctx->tickets);
    plx_replay_fini(&ctx->replay);
    OPENSSL_free(ctx);
}

void plx_tls_ctx_rotate(struct plx_tls_ctx *ctx, plx_time now)
{
    if (!ctx->is_server)
        return;
    plx_ticket_keys_tick(&ctx->tickets, now);
    plx_replay_tick(&ctx->replay, now);
}
