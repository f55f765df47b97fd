// fuzz_tls_pump.c -- CRYPTO bytes from nobody in particular, to a server and to a client.
//
// Input: one octet that says who listens (bit 0: 0 server, 1 client) and when (bits 1 and 2: 0 before anything, 1 when
// the first flight has arrived, 2 when the handshake is over), then pieces: an octet with the level, two with the
// length, the bytes. OpenSSL's own parsers are its own business; what is watched here is the pump: after a failure nothing
// is sent and nothing more is said, at most one verdict falls, completion comes at most once, nothing leaks.

#include "../../unit/tls/certs.h"
#include "tls/tls.h"

#include <stdint.h>
#include <string.h>

struct end {
    struct plx_tls *tls;
    uint8_t wire[PLX_LEVEL_COUNT][16384];
    size_t wire_len[PLX_LEVEL_COUNT], wire_taken[PLX_LEVEL_COUNT];
    unsigned completes, verdicts;
};

static struct plx_tls_ctx *server_ctx, *client_ctx;

static void on_secret(void *arg, enum plx_level level, bool is_tx, const struct plx_secret *s)
{
    plx_check(((struct end *)arg)->verdicts == 0);
    plx_check(level != PLX_LEVEL_INITIAL);
    plx_check(s->len == 32 || s->len == 48);
    (void)is_tx;
}

static void on_send(void *arg, enum plx_level level, const uint8_t *data, size_t len)
{
    struct end *e = arg;
    plx_check(e->verdicts == 0);
    plx_check(e->wire_len[level] + len <= sizeof e->wire[level]);
    memcpy(e->wire[level] + e->wire_len[level], data, len);
    e->wire_len[level] += len;
}

static bool on_peer_params(void *arg, const uint8_t *data, size_t len)
{
    (void)arg;
    (void)data;
    (void)len;
    return true;
}

static void on_complete(void *arg)
{
    plx_check(++((struct end *)arg)->completes == 1);
}

static void on_alert(void *arg, uint8_t alert, const char *why)
{
    (void)alert;
    plx_check(*why != '\0');
    plx_check(++((struct end *)arg)->verdicts == 1);
}

static void on_violation(void *arg, const char *why)
{
    on_alert(arg, 0, why);
}

static void on_session(void *arg, const uint8_t *session, size_t len)
{
    plx_check(((struct end *)arg)->completes == 1);
    plx_check(len > 5 && session[0] == 'P');
}

static bool accepts_early(void *arg, const char *alpn, const uint8_t *context, size_t len)
{
    (void)arg;
    (void)context;
    plx_check(*alpn != '\0' && len == 0);
    return true;
}

static const struct plx_tls_events events = {on_secret, on_send,      on_peer_params, on_complete,
                                             on_alert,  on_violation, on_session,     accepts_early};

static void contexts_make(void)
{
    char err[256];
    certs_setup(NULL);
    struct plx_tls_cert cert = {in_dir("main.pem"), in_dir("main.key")};
    server_ctx = plx_tls_ctx_new(
        &(struct plx_tls_cfg){
            .is_server = true, .certs = &cert, .cert_count = 1, .tickets = 1, .early_data = true},
        err, sizeof err);
    client_ctx = plx_tls_ctx_new(
        &(struct plx_tls_cfg){.verify_peer = true, .ca_file = in_dir("ca.pem"), .groups = "X25519:P-256"},
        err, sizeof err);
    plx_check(server_ctx != NULL && client_ctx != NULL);
    certs_teardown(NULL);
}

static void end_open(struct end *e, struct plx_tls_ctx *ctx)
{
    memset(e, 0, sizeof *e);
    e->tls = plx_tls_new(ctx, &(struct plx_tls_new_cfg){.events = &events,
                                                        .arg = e,
                                                        .server_name = "main.test",
                                                        .params = (const uint8_t *)"\1\2\x67\x10",
                                                        .params_len = 4});
    plx_check(e->tls != NULL);
}

static void deliver(struct end *from, struct end *to)
{
    for (int level = 0; level < PLX_LEVEL_COUNT; level++) {
        size_t len = from->wire_len[level] - from->wire_taken[level];
        plx_check(
            plx_tls_recv(to->tls, (enum plx_level)level, from->wire[level] + from->wire_taken[level], len));
        from->wire_taken[level] += len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct end server, client;

    if (server_ctx == NULL)
        contexts_make();
    if (len == 0)
        return 0;
    end_open(&server, server_ctx);
    end_open(&client, client_ctx);
    plx_check(plx_tls_start(client.tls));
    unsigned stage = data[0] >> 1 & 3;
    struct end *victim = data[0] & 1 ? &client : &server;
    if (stage > 0)
        deliver(&client, &server);
    if (stage > 0 && victim == &client)
        deliver(&server, &client);
    if (stage > 1 && victim == &server)
        deliver(&server, &client);
    if (stage > 1)
        deliver(&client, &server);
    plx_check(server.verdicts == 0);
    plx_check(client.verdicts == 0);
    for (size_t at = 1; at + 3 <= len;) {
        enum plx_level level = (enum plx_level)(data[at] & 3);
        size_t size = (size_t)(data[at + 1] << 8 | data[at + 2]), left = len - at - 3;
        size = size < left ? size : left;
        bool was_failed = victim->verdicts > 0;
        bool is_ok = plx_tls_recv(victim->tls, level, data + at + 3, size);
        plx_check(is_ok == (victim->verdicts == 0));
        plx_check(!(was_failed && is_ok));
        at += 3 + size;
    }
    plx_tls_free(server.tls);
    plx_tls_free(client.tls);
    return 0;
}
