// test_early.c -- early data: who gets a secret, who is refused, and that nobody is heard twice.

#include "peers.h"

#include "base/time.h"
#include "tls/replay.h"

#include <pthread.h>

static const char *const main_only[] = {"main"};

static struct plx_tls_ctx *early_server(const char *const *alpn)
{
    return server_ctx(
        &(struct plx_tls_cfg){.tickets = 1, .early_data = true, .alpn = alpn, .alpn_count = alpn != NULL},
        main_only, 1);
}

// A first handshake, whose session is wanted.
static struct peer *first_visit(struct plx_tls_ctx *cc, struct plx_tls_ctx *sc, const char *context)
{
    struct peer *client = peer_new(cc, "main.test", NULL), *server = peer_new_early(sc, NULL, NULL, context);
    assert_true(peers_run(client, server, cut_random));
    peers_agree(client, server);
    assert_int_equal(plx_tls_early(client->tls), PLX_TLS_EARLY_NONE);
    assert_int_equal(client->secret[PLX_LEVEL_EARLY][1].len, 0);
    assert_int_equal(client->sessions, 1);
    peer_free(server);
    return client;
}

// A second one with early data. What each end says about it must agree.
static enum plx_tls_early second_visit(struct plx_tls_ctx *cc, struct plx_tls_ctx *sc, struct peer *session,
                                       bool refuses, cut_fn *cut)
{
    struct peer *client = peer_new_early(cc, "main.test", session, "x");
    struct peer *server = peer_new_early(sc, NULL, NULL, "limits of today");
    struct plx_tls_info ci, si;

    server->refuses_early = refuses;
    assert_true(plx_tls_start(client->tls));
    bool has_offered = client->secret[PLX_LEVEL_EARLY][1].len > 0;
    assert_int_equal(client->secret[PLX_LEVEL_EARLY][0].len, 0);
    if (has_offered)
        assert_string_equal(plx_tls_alpn(client->tls), "h3");
    if (!peers_run(client, server, cut))
        fail_msg("client: %s (%d); server: %s (%d)", client->why, client->alert, server->why, server->alert);
    peers_agree(client, server);
    plx_tls_info(client->tls, &ci);
    plx_tls_info(server->tls, &si);
    assert_int_equal(ci.early, si.early);
    assert_int_equal(ci.early != PLX_TLS_EARLY_NONE, has_offered);
    const struct plx_secret *a = &client->secret[PLX_LEVEL_EARLY][1],
                            *b = &server->secret[PLX_LEVEL_EARLY][0];
    assert_int_equal(b->len > 0, si.early == PLX_TLS_EARLY_ACCEPTED);
    if (b->len > 0) {
        assert_int_equal(a->len, b->len);
        assert_int_equal(a->alg, b->alg);
        assert_memory_equal(a->bytes, b->bytes, a->len);
        assert_string_equal(server->early_context, "limits of then");
        assert_string_equal(server->early_alpn, "h3");
    }
    assert_int_equal(client->sessions, 1); // the next ticket
    assert_true(plx_tls_is_done(server->tls));
    peer_free(client);
    peer_free(server);
    return ci.early;
}

static void test_accepted(void **state)
{
    (void)state;
    static const char *const suites[] = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                                         "TLS_CHACHA20_POLY1305_SHA256"};
    for (size_t i = 0; i < 3; i++) {
        struct plx_tls_ctx *sc = early_server(NULL), *cc = client_ctx(&(struct plx_tls_cfg){
                                                         .verify_peer = true, .ciphersuites = suites[i]});
        struct peer *session = first_visit(cc, sc, "limits of then");
        assert_int_equal(second_visit(cc, sc, session, false, cut_none), PLX_TLS_EARLY_ACCEPTED);
        assert_int_equal(second_visit(cc, sc, session, false, cut_octet), PLX_TLS_EARLY_ACCEPTED);
        assert_int_equal(second_visit(cc, sc, session, false, cut_random), PLX_TLS_EARLY_ACCEPTED);
        peer_free(session);
        plx_tls_ctx_free(sc);
        plx_tls_ctx_free(cc);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const other[] = {"hq-interop"};
    struct plx_tls_ctx *sc = early_server(NULL), *stranger = early_server(NULL), *cc = client_ctx(NULL);
    struct plx_tls_ctx *plain = server_ctx(NULL, main_only, 1);
    struct plx_tls_ctx *other_client =
        client_ctx(&(struct plx_tls_cfg){.verify_peer = true, .alpn = other, .alpn_count = 1});
    struct peer *session = first_visit(cc, sc, "limits of then");
    struct peer *none = first_visit(cc, plain, "limits of then");

    assert_int_equal(second_visit(cc, sc, session, true, cut_none), PLX_TLS_EARLY_REFUSED); // by its owner
    assert_int_equal(second_visit(cc, stranger, session, false, cut_none), PLX_TLS_EARLY_REFUSED); // key lost
    assert_int_equal(second_visit(cc, plain, session, false, cut_none), PLX_TLS_EARLY_REFUSED);
    // A ticket that does not allow it: nothing is offered, whoever is asked.
    assert_int_equal(second_visit(cc, plain, none, false, cut_none), PLX_TLS_EARLY_NONE);
    assert_int_equal(second_visit(cc, sc, none, false, cut_none), PLX_TLS_EARLY_NONE);
    // Of a protocol that the client does not ask for any more: it does not even offer.
    struct peer *client = peer_new_early(other_client, "main.test", session, "x");
    assert_true(plx_tls_start(client->tls));
    assert_int_equal(client->secret[PLX_LEVEL_EARLY][1].len, 0);
    peer_free(client);
    peer_free(session);
    peer_free(none);
    plx_tls_ctx_free(sc);
    plx_tls_ctx_free(stranger);
    plx_tls_ctx_free(plain);
    plx_tls_ctx_free(cc);
    plx_tls_ctx_free(other_client);
}

// A key share that the server does not take: HelloRetryRequest, and early data is over (RFC 8446 section 4.2.10).
static void test_hello_retry(void **state)
{
    (void)state;
    struct plx_tls_ctx *sc =
        server_ctx(&(struct plx_tls_cfg){.tickets = 1, .early_data = true, .groups = "P-384"}, main_only, 1);
    struct plx_tls_ctx *cc = client_ctx(&(struct plx_tls_cfg){.verify_peer = true, .groups = "X25519:P-384"});
    struct peer *session = first_visit(cc, sc, "limits of then");
    assert_int_equal(second_visit(cc, sc, session, false, cut_random), PLX_TLS_EARLY_REFUSED);
    peer_free(session);
    plx_tls_ctx_free(sc);
    plx_tls_ctx_free(cc);
}

// The octets of a ClientHello sent again to the same process: no early secret the second time, nor after its periods have turned once.
static void test_replayed(void **state)
{
    (void)state;
    struct plx_tls_ctx *sc = early_server(NULL), *cc = client_ctx(NULL);
    struct peer *session = first_visit(cc, sc, "limits of then");
    struct peer *client = peer_new_early(cc, "main.test", session, "x");
    assert_true(plx_tls_start(client->tls));
    for (unsigned i = 0; i < 3; i++) {
        struct peer *server = peer_new_early(sc, NULL, NULL, "limits of today");
        bool did_move = false;
        client->wire_taken[PLX_LEVEL_INITIAL] = 0;
        assert_true(peer_deliver(client, server, cut_none, &did_move));
        assert_int_equal(server->early_asked, 1);
        assert_int_equal(plx_tls_early(server->tls), i == 0 ? PLX_TLS_EARLY_ACCEPTED : PLX_TLS_EARLY_REFUSED);
        assert_int_equal(server->secret[PLX_LEVEL_EARLY][0].len > 0, i == 0);
        assert_int_equal(server->completes, 0); // OpenSSL is content when it has sent Finished: we are not
        peer_free(server);
        plx_tls_ctx_rotate(sc, (plx_time){1000 + (i + 1) * PLX_SEC(20).ns});
    }
    peer_free(client);
    peer_free(session);
    plx_tls_ctx_free(sc);
    plx_tls_ctx_free(cc);
}

// --- the record ----------------------------------------------------------------------------------------------

static void test_record(void **state)
{
    (void)state;
    struct plx_replay r;
    plx_time now = {5};
    unsigned false_alarms = 0;

    assert_true(plx_replay_init(&r));
    plx_replay_tick(&r, now);
    for (uint64_t i = 0; i < 20000; i++)
        false_alarms += !plx_replay_is_first(&r, &i, sizeof i);
    assert_in_range(false_alarms, 0, 60); // 20000² / 2 / 2^25 = 6
    for (uint64_t i = 0; i < 20000; i++)
        assert_false(plx_replay_is_first(&r, &i, sizeof i));
    // Kept for a period at least, wherever in it it was recorded; forgotten when two have passed.
    for (unsigned step = 0; step < 12; step++) {
        uint64_t id = 1000000 + step;
        bool is_first = plx_replay_is_first(&r, &id, sizeof id);
        plx_time kept = plx_time_after(now, PLX_REPLAY_PERIOD);
        assert_true(is_first || false_alarms > 0);
        while (plx_time_lt(now, kept)) {
            assert_false(plx_replay_is_first(&r, &id, sizeof id));
            now = plx_time_after(now, PLX_SEC(1));
            plx_replay_tick(&r, now);
        }
        now = plx_time_after(now, PLX_MS(1500)); // another place in the period
    }
    uint64_t old = 3;
    for (unsigned i = 0; i < 64; i++) {
        now = plx_time_after(now, PLX_SEC(1));
        plx_replay_tick(&r, now);
    }
    assert_true(plx_replay_is_first(&r, &old, sizeof old));
    plx_replay_fini(&r);
}

struct racer {
    pthread_t thread;
    struct plx_replay *r;
    unsigned firsts;
};

enum { RACERS = 4, RACES = 20000 };

static void *race(void *arg)
{
    struct racer *me = arg;
    for (uint64_t i = 0; i < RACES; i++)
        me->firsts += plx_replay_is_first(me->r, &i, sizeof i);
    return NULL;
}

// Whoever comes with the same at the same time: one is the first, at most.
static void test_race(void **state)
{
    (void)state;
    struct plx_replay r;
    struct racer racer[RACERS];
    unsigned firsts = 0;

    assert_true(plx_replay_init(&r));
    for (unsigned i = 0; i < RACERS; i++) {
        racer[i] = (struct racer){.r = &r};
        assert_int_equal(pthread_create(&racer[i].thread, NULL, race, &racer[i]), 0);
    }
    plx_replay_tick(&r, (plx_time){1});
    plx_replay_tick(&r, (plx_time){1 + PLX_REPLAY_PERIOD.ns}); // in the middle of it
    for (unsigned i = 0; i < RACERS; i++) {
        pthread_join(racer[i].thread, NULL);
        firsts += racer[i].firsts;
    }
    assert_in_range(firsts, RACES * 9 / 10, RACES);
    plx_replay_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted), cmocka_unit_test(test_refused), cmocka_unit_test(test_hello_retry),
        cmocka_unit_test(test_replayed), cmocka_unit_test(test_record),  cmocka_unit_test(test_race),
    };
    return cmocka_run_group_tests(tests, certs_setup, certs_teardown);
}
