// test_session.c -- tickets and resumption: how many, for whom, and for how long.

#include "peers.h"

static const char *const main_only[] = {"main"};

static bool handshake(struct plx_tls_ctx *cc, struct plx_tls_ctx *sc, const char *name, struct peer *resumes,
                      struct peer **out)
{
    struct peer *client = peer_new(cc, name, resumes), *server = peer_new(sc, NULL, NULL);
    struct plx_tls_info ci, si;
    assert_true(peers_run(client, server, cut_random));
    peers_agree(client, server);
    plx_tls_info(client->tls, &ci);
    plx_tls_info(server->tls, &si);
    assert_int_equal(ci.was_resumed, si.was_resumed);
    assert_string_equal(ci.group, si.group);
    assert_string_equal(si.server_name ? si.server_name : "", strchr(name, ':') ? "" : name);
    peer_free(server);
    if (out != NULL)
        *out = client;
    else
        peer_free(client);
    return ci.was_resumed;
}

static void test_ticket_count(void **state)
{
    (void)state;
    static const struct {
        uint32_t cfg, comes;
    } row[] = {{0, 0}, {1, 1}, {2, 2}, {5, 5}, {UINT32_MAX, 1}};
    struct plx_tls_ctx *cc = client_ctx(NULL);
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct plx_tls_ctx *sc = server_ctx(&(struct plx_tls_cfg){.tickets = row[i].cfg}, main_only, 1);
        struct peer *client = peer_new(cc, "main.test", NULL), *server = peer_new(sc, NULL, NULL);
        assert_true(peers_run(client, server, cut_none));
        assert_int_equal(client->sessions, row[i].comes);
        assert_true(plx_tls_is_done(server->tls));
        peer_free(client);
        peer_free(server);
        plx_tls_ctx_free(sc);
    }
    plx_tls_ctx_free(cc);
}

// Every resumed handshake brings the next ticket, for every suite.
static void test_resumption_chain(void **state)
{
    (void)state;
    static const char *const suites[] = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                                         "TLS_CHACHA20_POLY1305_SHA256"};
    static const char *const names[] = {"main.test", "::1"};
    for (size_t i = 0; i < 6; i++) {
        const char *name = names[i % 2];
        struct plx_tls_ctx *sc = server_ctx(NULL, main_only, 1);
        struct plx_tls_ctx *cc =
            client_ctx(&(struct plx_tls_cfg){.verify_peer = true, .ciphersuites = suites[i / 2]});
        struct peer *last, *next;
        assert_false(handshake(cc, sc, name, NULL, &last));
        for (int n = 0; n < 4; n++) {
            assert_int_equal(last->sessions, 1);
            assert_true(handshake(cc, sc, name, last, &next));
            peer_free(last);
            last = next;
        }
        peer_free(last);
        plx_tls_ctx_free(cc);
        plx_tls_ctx_free(sc);
    }
}

static void test_sessions_that_must_not_resume(void **state)
{
    (void)state;
    static const char *const stems[] = {"main", "shop"};
    struct plx_tls_ctx *sc = server_ctx(NULL, stems, 2), *stranger = server_ctx(NULL, stems, 2);
    struct plx_tls_ctx *careful = client_ctx(NULL),
                       *careless = client_ctx(&(struct plx_tls_cfg){.verify_peer = false});
    struct peer *good, *unverified;
    assert_false(handshake(careful, sc, "main.test", NULL, &good));
    assert_false(handshake(careless, sc, "main.test", NULL, &unverified));

    assert_true(handshake(careful, sc, "main.test", good, NULL));
    assert_true(handshake(careless, sc, "main.test", unverified, NULL));
    assert_true(handshake(careless, sc, "main.test", good, NULL));
    assert_false(handshake(careful, sc, "main.test", unverified, NULL)); // never saw a verified certificate
    assert_false(handshake(careful, sc, "shop.test", good, NULL));       // another server's
    assert_false(handshake(careful, stranger, "main.test", good, NULL)); // ticket under a key we do not have

    // Damaged blobs: a full handshake, or a ticket that the server refuses, but never an error.
    for (size_t cut = 0; cut < good->session_len; cut += 1 + cut / 4) {
        struct peer broken = {.session_len = cut};
        memcpy(broken.session, good->session, cut);
        assert_false(handshake(careful, sc, "main.test", &broken, NULL));
    }
    peer_free(good);
    peer_free(unverified);
    plx_tls_ctx_free(sc);
    plx_tls_ctx_free(stranger);
    plx_tls_ctx_free(careful);
    plx_tls_ctx_free(careless);
}

// With a lifetime of an hour: the key changes every hour, and the one before it still opens.
static void test_rotation(void **state)
{
    (void)state;
    static const struct {
        uint64_t minute;
        bool resumes;
    } row[] = {
        {0, true}, {30, true}, {59, true}, {61, true}, {119, true}, {122, false}, {600, false},
    };
    struct plx_tls_ctx *cc = client_ctx(NULL);
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct plx_tls_ctx *sc =
            server_ctx(&(struct plx_tls_cfg){.tickets = 1, .ticket_lifetime = PLX_SEC(3600)}, main_only, 1);
        uint64_t start = 1000000;
        struct peer *first, *last;
        plx_tls_ctx_rotate(sc, (plx_time){start});
        assert_false(handshake(cc, sc, "main.test", NULL, &first));
        for (uint64_t s = 0; s <= row[i].minute * 60; s++)
            plx_tls_ctx_rotate(sc, (plx_time){start + s * 1000000000u});
        assert_int_equal(handshake(cc, sc, "main.test", first, &last), row[i].resumes);
        assert_true(handshake(cc, sc, "main.test", last, NULL)); // the new ticket is under a present key
        peer_free(first);
        peer_free(last);
        plx_tls_ctx_free(sc);
    }
    plx_tls_ctx_rotate(cc, (plx_time){5}); // nothing to do, but legal
    plx_tls_ctx_free(cc);
}

// Handshakes go on while tickets rotate without end.
static void test_many_rotations(void **state)
{
    (void)state;
    // Hours: OpenSSL has a clock of its own, in whole seconds, by which a ticket of one second may be dead at once.
    const uint64_t hour = PLX_SEC(3600).ns;
    struct plx_tls_ctx *sc = server_ctx(&(struct plx_tls_cfg){.tickets = 1, .ticket_lifetime = {hour}},
                                        main_only, 1),
                       *cc = client_ctx(NULL);
    struct peer *last = NULL, *next;
    for (uint64_t n = 0; n < 50; n++) {
        plx_tls_ctx_rotate(sc, (plx_time){n * hour});
        assert_int_equal(handshake(cc, sc, "main.test", last, &next), n > 0); // one rotation back opens
        if (last != NULL)
            peer_free(last);
        last = next;
    }
    plx_tls_ctx_rotate(sc, (plx_time){60 * hour});
    plx_tls_ctx_rotate(sc, (plx_time){62 * hour});
    assert_false(handshake(cc, sc, "main.test", last, NULL));
    peer_free(last);
    plx_tls_ctx_free(sc);
    plx_tls_ctx_free(cc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ticket_count),
        cmocka_unit_test(test_resumption_chain),
        cmocka_unit_test(test_sessions_that_must_not_resume),
        cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_many_rotations),
    };
    return cmocka_run_group_tests(tests, certs_setup, certs_teardown);
}
