// test_pump.c -- whole handshakes between a client and a server in memory.

#include "peers.h"

static const char *const main_only[] = {"main"};

static void test_every_cipher_and_group(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum plx_aead_alg alg;
        uint8_t len;
    } cipher[] = {
        {"TLS_AES_128_GCM_SHA256", PLX_AEAD_AES_128_GCM, 32},
        {"TLS_AES_256_GCM_SHA384", PLX_AEAD_AES_256_GCM, 48},
        {"TLS_CHACHA20_POLY1305_SHA256", PLX_AEAD_CHACHA20_POLY1305, 32},
    };
    static const char *const group[] = {"X25519MLKEM768", "X25519", "P-256", "P-384"};
    for (size_t c = 0; c < 3; c++) {
        for (size_t g = 0; g < 4; g++) {
            struct plx_tls_ctx *sc = server_ctx(NULL, main_only, 1);
            struct plx_tls_ctx *cc = client_ctx(&(struct plx_tls_cfg){
                .verify_peer = true, .ciphersuites = cipher[c].name, .groups = group[g]});
            struct peer *client = peer_new(cc, "main.test", NULL), *server = peer_new(sc, NULL, NULL);
            assert_true(peers_run(client, server, cut_none));
            peers_agree(client, server);
            struct peer *const both[] = {client, server};
            for (int i = 0; i < 2; i++) {
                struct plx_tls_info info;
                plx_tls_info(both[i]->tls, &info);
                assert_string_equal(info.cipher, cipher[c].name);
                assert_string_equal(info.group, group[g]);
                assert_string_equal(info.alpn, "h3");
                assert_false(info.was_resumed);
                assert_string_equal(info.verify_error, "");
                assert_int_equal(both[i]->secret[PLX_LEVEL_APP][0].alg, cipher[c].alg);
                assert_int_equal(both[i]->secret[PLX_LEVEL_APP][0].len, cipher[c].len);
                assert_true(plx_tls_is_done(both[i]->tls));
            }
            assert_int_equal(client->sessions, 1);
            peer_free(client);
            peer_free(server);
            plx_tls_ctx_free(cc);
            plx_tls_ctx_free(sc);
        }
    }
}

// The defaults meet: post-quantum key exchange, a ClientHello beyond one packet, two key shares, an empty session id.
static void test_defaults(void **state)
{
    (void)state;
    struct plx_tls_ctx *sc = server_ctx(NULL, main_only, 1), *cc = client_ctx(NULL);
    struct peer *client = peer_new(cc, "main.test", NULL), *server = peer_new(sc, NULL, NULL);
    assert_true(plx_tls_start(server->tls)); // legal, and nothing happens
    assert_int_equal(server->wire_len[PLX_LEVEL_INITIAL], 0);
    assert_false(plx_tls_is_done(server->tls));
    assert_true(peers_run(client, server, cut_none));
    peers_agree(client, server);
    assert_true(client->wire_len[PLX_LEVEL_INITIAL] > 1200);
    assert_int_equal(client->wire[PLX_LEVEL_INITIAL][0], 1); // ClientHello
    assert_int_equal(client->wire[PLX_LEVEL_INITIAL][38],
                     0); // legacy_session_id is empty, RFC 9001 section 8.4
    struct plx_tls_info info;
    plx_tls_info(server->tls, &info);
    assert_string_equal(info.group, "X25519MLKEM768");
    assert_string_equal(info.server_name, "main.test");
    assert_int_equal(client->wire_len[PLX_LEVEL_APP], 0);
    assert_int_equal(client->wire_len[PLX_LEVEL_EARLY] + server->wire_len[PLX_LEVEL_EARLY], 0);
    peer_free(client);
    peer_free(server);

    // A server without the first group takes the second share: no second ClientHello.
    struct plx_tls_ctx *plain =
        server_ctx(&(struct plx_tls_cfg){.groups = "X25519", .tickets = 1}, main_only, 1);
    client = peer_new(cc, "main.test", NULL);
    server = peer_new(plain, NULL, NULL);
    assert_true(plx_tls_start(client->tls));
    size_t first_flight = client->wire_len[PLX_LEVEL_INITIAL];
    assert_true(peers_run(client, server, cut_none));
    peers_agree(client, server);
    assert_int_equal(client->wire_len[PLX_LEVEL_INITIAL], first_flight);
    peer_free(client);
    peer_free(server);
    plx_tls_ctx_free(plain);
    plx_tls_ctx_free(sc);
    plx_tls_ctx_free(cc);
}

static void test_hello_retry_request(void **state)
{
    (void)state;
    struct plx_tls_ctx *sc = server_ctx(&(struct plx_tls_cfg){.groups = "P-384", .tickets = 1}, main_only, 1);
    struct plx_tls_ctx *cc = client_ctx(&(struct plx_tls_cfg){.verify_peer = true, .groups = "X25519:P-384"});
    static cut_fn *const cuts[] = {cut_none, cut_octet, cut_random};
    for (int i = 0; i < 3; i++) {
        struct peer *client = peer_new(cc, "main.test", NULL), *server = peer_new(sc, NULL, NULL);
        assert_true(plx_tls_start(client->tls));
        size_t first_flight = client->wire_len[PLX_LEVEL_INITIAL];
        assert_true(peers_run(client, server, cuts[i]));
        peers_agree(client, server);
        assert_true(client->wire_len[PLX_LEVEL_INITIAL] > first_flight + 100); // said hello twice
        struct plx_tls_info info;
        plx_tls_info(client->tls, &info);
        assert_string_equal(info.group, "P-384");
        peer_free(client);
        peer_free(server);
    }
    plx_tls_ctx_free(sc);
    plx_tls_ctx_free(cc);
}

static void test_cut_anywhere(void **state)
{
    (void)state;
    struct plx_tls_ctx *sc = server_ctx(NULL, main_only, 1), *cc = client_ctx(NULL);
    for (int i = 0; i < 60; i++) {
        struct peer *client = peer_new(cc, "main.test", NULL), *server = peer_new(sc, NULL, NULL);
        assert_true(peers_run(client, server, i == 0 ? cut_octet : cut_random));
        peers_agree(client, server);
        assert_int_equal(client->sessions, 1);
        peer_free(client);
        peer_free(server);
    }
    plx_tls_ctx_free(sc);
    plx_tls_ctx_free(cc);
}

static void test_sni_chooses(void **state)
{
    (void)state;
    static const char *const stems[] = {"main", "shop", "blog"};
    static const struct {
        const char *name, *answers;
        bool fits;
    } row[] = {
        {"main.test", "main", true},
        {"www.main.test", "main", true},
        {"shop.test", "shop", true},
        {"a.shop.test", "shop", true},
        {"deep.shop.test", "blog", true},
        {"a.b.shop.test", "main", false},
        {"blog.test", "blog", true},
        {"BLOG.test", "blog", true},
        {"unknown.test", "main", false},
        {"127.0.0.1", "main", true},
        {"::1", "main", true},
        {"127.0.0.2", "main", false},
    };
    struct plx_tls_ctx *sc = server_ctx(NULL, stems, 3), *cc = client_ctx(NULL);
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct peer *client = peer_new(cc, row[i].name, NULL), *server = peer_new(sc, NULL, NULL);
        bool is_ok = peers_run(client, server, cut_none);
        struct plx_tls_info info;
        plx_tls_info(client->tls, &info);
        print_message("%s: %s\n", row[i].name, is_ok ? "fits" : info.verify_error);
        assert_int_equal(is_ok, row[i].fits);
        if (is_ok) {
            peers_agree(client, server);
        } else {
            assert_int_equal(client->alerts, 1);
            assert_int_equal(client->alert, 42); // bad_certificate
            assert_non_null(strstr(info.verify_error,
                                   "mismatch: certificate is for main.test, www.main.test, 127.0.0.1"));
            assert_string_equal(client->why, info.verify_error);
        }
        peer_free(client);
        peer_free(server);
    }
    plx_tls_ctx_free(sc);
    plx_tls_ctx_free(cc);
}

static void test_certificate_problems(void **state)
{
    (void)state;
    static const struct {
        const char *stem, *ca;
        uint8_t alert;
        const char *says;
    } row[] = {
        {"old", "ca.pem", 45, "certificate has expired on "},
        {"young", "ca.pem", 42, "certificate is not yet valid before "},
        {"main", "other.pem", 48, "unable to get local issuer certificate: CN = Test Authority"},
        {"shop", "ca.pem", 42, "hostname mismatch: certificate is for shop.test, *.shop.test"},
        {"other", "ca.pem", 48, "self-signed certificate"},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct plx_tls_ctx *sc = server_ctx(NULL, &row[i].stem, 1);
        struct plx_tls_ctx *cc =
            client_ctx(&(struct plx_tls_cfg){.verify_peer = true, .ca_file = in_dir(row[i].ca)});
        struct peer *client = peer_new(cc, "main.test", NULL), *server = peer_new(sc, NULL, NULL);
        struct plx_tls_info info;
        assert_false(peers_run(client, server, cut_none));
        plx_tls_info(client->tls, &info);
        print_message("%s: alert %d: %s\n", row[i].stem, client->alert, info.verify_error);
        assert_int_equal(client->alerts, 1);
        assert_int_equal(client->alert, row[i].alert);
        assert_int_equal(client->completes, 0);
        assert_ptr_equal(strstr(info.verify_error, row[i].says), info.verify_error);
        assert_false(
            plx_tls_recv(client->tls, PLX_LEVEL_HANDSHAKE, (const uint8_t *)"", 1)); // it stays failed,
        assert_int_equal(client->alerts, 1);                                         // and says so once
        peer_free(client);
        plx_tls_ctx_free(cc);

        // Whoever does not verify does not care.
        cc = client_ctx(&(struct plx_tls_cfg){.verify_peer = false});
        client = peer_new(cc, "main.test", NULL);
        peer_free(server);
        server = peer_new(sc, NULL, NULL);
        assert_true(peers_run(client, server, cut_none));
        peers_agree(client, server);
        peer_free(client);
        peer_free(server);
        plx_tls_ctx_free(cc);
        plx_tls_ctx_free(sc);
    }
}

static void test_alpn(void **state)
{
    (void)state;
    static const char *const h3[] = {"h3"}, *const hq[] = {"hq-interop"},
                             *const both[] = {"hq-interop", "h3"};
    static const struct {
        const char *const *client;
        size_t client_count;
        const char *const *server;
        size_t server_count;
        const char *chosen;
    } row[] = {
        {h3, 1, h3, 1, "h3"},   {hq, 1, both, 2, "hq-interop"},
        {both, 2, h3, 1, "h3"}, {both, 2, both, 2, "hq-interop"},
        {h3, 1, hq, 1, NULL},   {hq, 1, h3, 1, NULL},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct plx_tls_ctx *sc = server_ctx(
            &(struct plx_tls_cfg){.alpn = row[i].server, .alpn_count = row[i].server_count}, main_only, 1);
        struct plx_tls_ctx *cc = client_ctx(&(struct plx_tls_cfg){
            .verify_peer = true, .alpn = row[i].client, .alpn_count = row[i].client_count});
        struct peer *client = peer_new(cc, "main.test", NULL), *server = peer_new(sc, NULL, NULL);
        bool is_ok = peers_run(client, server, cut_none);
        assert_int_equal(is_ok, row[i].chosen != NULL);
        struct plx_tls_info info;
        plx_tls_info(server->tls, &info);
        if (is_ok) {
            assert_string_equal(info.alpn, row[i].chosen);
        } else {
            assert_int_equal(server->alerts, 1);
            assert_int_equal(server->alert, 120); // no_application_protocol
            assert_int_equal(server->wire_len[PLX_LEVEL_INITIAL], 0);
        }
        peer_free(client);
        peer_free(server);
        plx_tls_ctx_free(sc);
        plx_tls_ctx_free(cc);
    }
}

static void test_no_common_ground(void **state)
{
    (void)state;
    struct plx_tls_ctx *sc = server_ctx(
        &(struct plx_tls_cfg){.ciphersuites = "TLS_AES_256_GCM_SHA384", .groups = "P-384", .tickets = 1},
        main_only, 1);
    static const struct plx_tls_cfg row[] = {
        {.verify_peer = true, .ciphersuites = "TLS_AES_128_GCM_SHA256"},
        {.verify_peer = true, .groups = "X25519"},
    };
    for (size_t i = 0; i < 2; i++) {
        struct plx_tls_ctx *cc = client_ctx(&row[i]);
        struct peer *client = peer_new(cc, "main.test", NULL), *server = peer_new(sc, NULL, NULL);
        assert_false(peers_run(client, server, cut_none));
        assert_int_equal(server->alerts, 1);
        assert_int_equal(server->alert, 40); // handshake_failure
        assert_string_not_equal(server->why, "");
        peer_free(client);
        peer_free(server);
        plx_tls_ctx_free(cc);
    }
    plx_tls_ctx_free(sc);
}

// The caller's own no to the parameters fails the handshake without an alert, on either side.
static void test_refused_params(void **state)
{
    (void)state;
    struct plx_tls_ctx *sc = server_ctx(NULL, main_only, 1), *cc = client_ctx(NULL);
    for (int who = 0; who < 2; who++) {
        struct peer *client = peer_new(cc, "main.test", NULL), *server = peer_new(sc, NULL, NULL);
        (who ? client : server)->refuses_params = true;
        assert_false(peers_run(client, server, cut_none));
        assert_int_equal(client->alerts + server->alerts, 0);
        assert_int_equal(client->completes + server->completes, 0);
        assert_false(plx_tls_start((who ? client : server)->tls) && who);
        peer_free(client);
        peer_free(server);
    }
    plx_tls_ctx_free(sc);
    plx_tls_ctx_free(cc);
}

static char keylog[16][256];
static unsigned keylog_lines;

static void keylog_line(void *arg, const char *line)
{
    assert_ptr_equal(arg, keylog);
    snprintf(keylog[keylog_lines++ % 16], sizeof keylog[0], "%s", line);
}

static void test_keylog(void **state)
{
    (void)state;
    keylog_lines = 0;
    struct plx_tls_ctx *sc = server_ctx(
        &(struct plx_tls_cfg){.keylog = keylog_line, .keylog_arg = keylog, .tickets = 1}, main_only, 1);
    struct plx_tls_ctx *cc = client_ctx(NULL);
    struct peer *client = peer_new(cc, "main.test", NULL), *server = peer_new(sc, NULL, NULL);
    assert_true(peers_run(client, server, cut_none));
    static const struct {
        const char *label;
        int level, is_tx;
    } row[] = {
        {"CLIENT_HANDSHAKE_TRAFFIC_SECRET ", PLX_LEVEL_HANDSHAKE, 0},
        {"SERVER_HANDSHAKE_TRAFFIC_SECRET ", PLX_LEVEL_HANDSHAKE, 1},
        {"CLIENT_TRAFFIC_SECRET_0 ", PLX_LEVEL_APP, 0},
        {"SERVER_TRAFFIC_SECRET_0 ", PLX_LEVEL_APP, 1},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        const struct plx_secret *s = &server->secret[row[i].level][row[i].is_tx];
        char hex[2 * PLX_SECRET_MAX + 1];
        unsigned found = 0;
        for (uint8_t b = 0; b < s->len; b++)
            snprintf(hex + 2 * b, 3, "%02x", s->bytes[b]);
        for (unsigned l = 0; l < keylog_lines; l++) {
            if (strncmp(keylog[l], row[i].label, strlen(row[i].label)) != 0)
                continue;
            assert_string_equal(strrchr(keylog[l], ' ') + 1, hex);
            assert_null(strchr(keylog[l], '\n'));
            found++;
        }
        assert_int_equal(found, 1);
    }
    peer_free(client);
    peer_free(server);
    plx_tls_ctx_free(sc);
    plx_tls_ctx_free(cc);
}

static void test_client_without_a_usable_name(void **state)
{
    (void)state;
    static char long_name[400];
    memset(long_name, 'a', sizeof long_name - 1);
    const char *const names[] = {NULL, "", long_name};
    struct plx_tls_ctx *cc = client_ctx(NULL);
    for (size_t i = 0; i < 3; i++) {
        struct peer *client = peer_new(cc, names[i], NULL);
        assert_false(plx_tls_start(client->tls));
        assert_int_equal(client->alerts, 1);
        assert_non_null(strstr(client->why, "server name"));
        peer_free(client);
    }
    plx_tls_ctx_free(cc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_cipher_and_group),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_hello_retry_request),
        cmocka_unit_test(test_cut_anywhere),
        cmocka_unit_test(test_sni_chooses),
        cmocka_unit_test(test_certificate_problems),
        cmocka_unit_test(test_alpn),
        cmocka_unit_test(test_no_common_ground),
        cmocka_unit_test(test_refused_params),
        cmocka_unit_test(test_keylog),
        cmocka_unit_test(test_client_without_a_usable_name),
    };
    return cmocka_run_group_tests(tests, certs_setup, certs_teardown);
}
