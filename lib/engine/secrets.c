// secrets.c -- TLS contexts, the keys of tokens and resets, and the key log: what all cores of an engine share.

#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/time.h"
#include "engine/engine.h"

enum { ALPN_MAX = 16 };

// the newest two keys open: a token lives a day at most
static const plx_dur token_rotate_every = PLX_SEC(12 * 3600);
static const plx_dur ticket_look_every = PLX_SEC(1);

static void on_keylog(void *arg, const char *line)
{
    struct plx_engine *e = arg;

    pthread_mutex_lock(&e->keylog_lock);
    fprintf(e->keylog, "%s\n", line);
    fflush(e->keylog);
    pthread_mutex_unlock(&e->keylog_lock);
}

static void random_bytes(struct plx_engine *e, void *out, size_t len)
{
    if (e->seed == 0) {
        plx_check(plx_random_bytes(out, len));
        return;
    }
    struct plx_prng prng;
    plx_prng_init(&prng, e->seed ^ (uint64_t)len);
    plx_prng_bytes(&prng, out, len);
}

static void rotate_tokens(struct plx_engine *e, plx_time now)
{
    uint8_t secret[PLX_TOKEN_SECRET_LEN];

    random_bytes(e, secret, sizeof secret);
    plx_token_keys_rotate(&e->token_keys, secret);
    plx_bytes_wipe(secret, sizeof secret);
    e->token_rotate_at = plx_time_after(now, token_rotate_every);
}

static enum plx_err tls_init(struct plx_engine *e, char *err, size_t err_len)
{
    const struct plx_engine_cfg *cfg = &e->cfg;
    const char *alpn[ALPN_MAX];
    size_t alpn_count = 0;

    if (cfg->h3 != NULL)
        alpn[alpn_count++] = "h3";
    for (size_t i = 0; i < cfg->alpn_count && alpn_count < ALPN_MAX; i++)
        if (strcmp(cfg->alpn[i], "h3") != 0 || cfg->h3 == NULL)
            alpn[alpn_count++] = cfg->alpn[i];
    struct plx_tls_cfg tls = {
        .alpn = alpn,
        .alpn_count = alpn_count,
        .ca_file = cfg->ca_file,
        .verify_peer = !cfg->insecure,
        .ciphersuites = cfg->ciphersuites,
        .groups = cfg->groups,
        .tickets = cfg->tickets,
        .early_data = cfg->early_data && cfg->h3 != NULL,
        .keylog = e->keylog != NULL ? on_keylog : NULL,
        .keylog_arg = e,
    };
    if ((e->tls_client = plx_tls_ctx_new(&tls, err, err_len)) == NULL)
        return PLX_ERR_SYSTEM;
    if (cfg->cert_count == 0)
        return PLX_OK;
    struct plx_tls_cert certs[64];
    if (cfg->cert_count > sizeof certs / sizeof *certs) {
        snprintf(err, err_len, "%zu certificates are more than the 64 an engine takes", cfg->cert_count);
        return PLX_ERR_INVALID;
    }
    for (size_t i = 0; i < cfg->cert_count; i++)
        certs[i] = (struct plx_tls_cert){cfg->certs[i].cert_file, cfg->certs[i].key_file};
    tls.is_server = true;
    tls.certs = certs;
    tls.cert_count = cfg->cert_count;
    e->tls_server = plx_tls_ctx_new(&tls, err, err_len);
    return e->tls_server != NULL ? PLX_OK : PLX_ERR_SYSTEM;
}

enum plx_err plx_engine_secrets_init(struct plx_engine *e, plx_time now, char *err, size_t err_len)
{
    char why[128] = "";

    e->aead = plx_aead_pick(e->cfg.crypto, why, sizeof why);
    if (e->aead == NULL) {
        snprintf(err, err_len, "packet protection: %s", why);
        return PLX_ERR_SYSTEM;
    }
    size_t used = strlen(e->describe);
    snprintf(e->describe + used, sizeof e->describe - used, ", crypto %s", why);
    pthread_mutex_init(&e->keylog_lock, NULL);
    if (e->cfg.keylog_file != NULL && (e->keylog = fopen(e->cfg.keylog_file, "a")) == NULL) {
        snprintf(err, err_len, "key log %s: %s", e->cfg.keylog_file, strerror(errno));
        return PLX_ERR_SYSTEM;
    }
    plx_token_keys_init(&e->token_keys, e->aead);
    rotate_tokens(e, now);
    random_bytes(e, e->reset_key, sizeof e->reset_key);
    return tls_init(e, err, err_len);
}

void plx_engine_secrets_fini(struct plx_engine *e)
{
    if (e->tls_server != NULL)
        plx_tls_ctx_free(e->tls_server);
    if (e->tls_client != NULL)
        plx_tls_ctx_free(e->tls_client);
    if (e->keylog != NULL)
        fclose(e->keylog);
    pthread_mutex_destroy(&e->keylog_lock);
    plx_bytes_wipe(e->reset_key, sizeof e->reset_key);
    plx_bytes_wipe(&e->token_keys, sizeof e->token_keys);
}

void plx_engine_tick(struct plx_engine *e, plx_time now)
{
    if (plx_time_reached(e->token_rotate_at, now))
        rotate_tokens(e, now);
    if (e->tls_server != NULL && plx_time_reached(e->ticket_rotate_at, now)) {
        plx_tls_ctx_rotate(e->tls_server, now);
        e->ticket_rotate_at = plx_time_after(now, ticket_look_every);
    }
}
