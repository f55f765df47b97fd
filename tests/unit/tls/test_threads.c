// test_threads.c -- cores share a context: handshakes on several threads while another one rotates the ticket keys.

#include "peers.h"

#include <pthread.h>
#include <stdatomic.h>

enum { THREADS = 4, ROUNDS = 40 };

static const char *const main_only[] = {"main"};
static struct plx_tls_ctx *sc, *cc;
static _Atomic unsigned resumed, failed, running;

// cmocka's assertions belong to the main thread; here everything is counted.
static void *core(void *arg)
{
    struct peer *last = NULL;
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        struct peer *client = peer_new(cc, "main.test", last), *server = peer_new(sc, NULL, NULL);
        struct plx_tls_info info;
        bool is_ok = peers_run(client, server, cut_none) && client->completes == 1 && server->completes == 1;
        failed += !is_ok;
        plx_tls_info(server->tls, &info);
        resumed += info.was_resumed;
        struct plx_aead_key key; // the thread's own contexts of OpenSSL come and go with it
        plx_keys_aead(plx_aead_pick("openssl", NULL, 0), PLX_QUIC_V1, &client->secret[PLX_LEVEL_APP][1],
                      &key);
        struct plx_aead_job job = {
            .key = &key, .text = client->wire[0], .aad = client->params, .text_len = 100, .aad_len = 4};
        plx_aead_pick("openssl", NULL, 0)->seal(&job, 1);
        if (last != NULL)
            peer_free(last);
        last = client;
        peer_free(server);
    }
    peer_free(last);
    running--;
    return NULL;
}

static void test_cores_share_a_context(void **state)
{
    (void)state;
    pthread_t thread[THREADS];
    uint64_t second = 0;

    sc = server_ctx(&(struct plx_tls_cfg){.tickets = 1, .ticket_lifetime = PLX_SEC(1)}, main_only, 1);
    cc = client_ctx(NULL);
    assert_non_null(plx_aead_pick("openssl", NULL, 0));
    running = THREADS;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, core, NULL), 0);
    while (running > 0) {
        plx_tls_ctx_rotate(sc, (plx_time){second * 1000000000u / 2});
        second++;
        usleep(3000); // the engine's second, shortened
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    assert_int_equal(failed, 0);
    assert_true(resumed > 0);
    plx_tls_ctx_free(sc);
    plx_tls_ctx_free(cc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cores_share_a_context)};
    return cmocka_run_group_tests(tests, certs_setup, certs_teardown);
}
