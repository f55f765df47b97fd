// test_memory.c -- a handshake gives back all it took, however far it came. Every allocation of OpenSSL is counted.

#include "peers.h"

static long live;
static size_t live_bytes;

static void *counted_malloc(size_t len, const char *file, int line)
{
    (void)file;
    (void)line;
    size_t *p = malloc(len + 16);
    if (p == NULL)
        return NULL;
    *p = len;
    live++;
    live_bytes += len;
    return p + 2;
}

static void counted_free(void *q, const char *file, int line)
{
    (void)file;
    (void)line;
    if (q == NULL)
        return;
    size_t *p = (size_t *)q - 2;
    live--;
    live_bytes -= *p;
    free(p);
}

static void *counted_realloc(void *q, size_t len, const char *file, int line)
{
    if (q == NULL)
        return counted_malloc(len, file, line);
    if (len == 0) {
        counted_free(q, file, line);
        return NULL;
    }
    void *made = counted_malloc(len, file, line);
    size_t old = ((size_t *)q)[-2];
    if (made != NULL) {
        memcpy(made, q, old < len ? old : len);
        counted_free(q, file, line);
    }
    return made;
}

static const char *const main_only[] = {"main"};

// A handshake that ends after a number of deliveries, or after none, or with an alert.
static void episode(struct plx_tls_ctx *cc, struct plx_tls_ctx *sc, unsigned steps, bool with_alert,
                    struct peer *keep)
{
    struct peer *client = peer_new(cc, "main.test", keep), *server = peer_new(sc, NULL, NULL);
    bool did_move, is_ok = steps == 0 || plx_tls_start(client->tls);
    for (unsigned i = 1; is_ok && i < steps; i++) {
        if (with_alert && i + 1 == steps)
            server->wire[i % 3][server->wire_taken[i % 3]] ^= 0xff;
        is_ok = peer_deliver(i % 2 ? client : server, i % 2 ? server : client, cut_none, &did_move);
    }
    if (keep != NULL && client->session_len > 0) {
        memcpy(keep->session, client->session, client->session_len);
        keep->session_len = client->session_len;
    }
    peer_free(client);
    peer_free(server);
}

static void test_everything_comes_back(void **state)
{
    (void)state;
    struct plx_tls_ctx *sc = server_ctx(NULL, main_only, 1), *cc = client_ctx(NULL);
    struct peer *keep = calloc(1, sizeof *keep);
    for (unsigned steps = 0; steps < 8; steps++) { // warm: caches of algorithms, error state of this thread
        episode(cc, sc, steps, false, keep);
        episode(cc, sc, steps, true, NULL);
    }
    episode(cc, sc, 8, false, keep);
    long live_before = live;
    size_t bytes_before = live_bytes;
    for (unsigned round = 0; round < 50; round++) {
        for (unsigned steps = 0; steps < 8; steps++) {
            episode(cc, sc, steps, round % 2, round % 4 == 0 ? keep : NULL);
            assert_int_equal(live, live_before);
            assert_int_equal(live_bytes, bytes_before);
        }
    }
    assert_true(live_before > 0);
    free(keep);
    plx_tls_ctx_free(sc);
    plx_tls_ctx_free(cc);
}

// Contexts come and go too (certificates are reloaded without a restart).
static void test_contexts_come_back(void **state)
{
    (void)state;
    static const char *const stems[] = {"main", "shop", "blog"};
    long live_before = 0;
    for (int i = 0; i < 6; i++) {
        struct plx_tls_ctx *sc = server_ctx(NULL, stems, 3), *cc = client_ctx(NULL);
        episode(cc, sc, 8, false, NULL);
        plx_tls_ctx_free(sc);
        plx_tls_ctx_free(cc);
        char err[256];
        assert_null(plx_tls_ctx_new(&(struct plx_tls_cfg){.groups = "none such"}, err, sizeof err));
        if (i == 2)
            live_before = live;
    }
    assert_int_equal(live, live_before);
}

int main(void)
{
    if (CRYPTO_set_mem_functions(counted_malloc, counted_realloc, counted_free) != 1)
        return 1; // something has allocated before us: the test would prove nothing
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_comes_back),
        cmocka_unit_test(test_contexts_come_back),
    };
    return cmocka_run_group_tests(tests, certs_setup, certs_teardown);
}
