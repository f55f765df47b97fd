// test_hostile.c -- peers that break the rules: each is told so in the words that RFC 9001 and RFC 8446 demand.

#include "peers.h"
#include "tls/pump.h"

static const char *const main_only[] = {"main"};
static struct plx_tls_ctx *sc, *cc;

static int setup(void **state)
{
    certs_setup(state);
    sc = server_ctx(NULL, main_only, 1);
    cc = client_ctx(NULL);
    return 0;
}

static int teardown(void **state)
{
    plx_tls_ctx_free(sc);
    plx_tls_ctx_free(cc);
    return certs_teardown(state);
}

static bool recv_bytes(struct peer *p, enum plx_level level, const void *data, size_t len)
{
    return plx_tls_recv(p->tls, level, data, len);
}

// The client's first flight as bytes to tamper with.
static size_t client_hello(uint8_t *out)
{
    struct peer *client = peer_new(cc, "main.test", NULL);
    assert_true(plx_tls_start(client->tls));
    size_t len = client->wire_len[PLX_LEVEL_INITIAL];
    memcpy(out, client->wire[PLX_LEVEL_INITIAL], len);
    peer_free(client);
    return len;
}

static void u24_add(uint8_t *p, int n)
{
    int v = (p[0] << 16 | p[1] << 8 | p[2]) + n;
    p[0] = (uint8_t)(v >> 16);
    p[1] = (uint8_t)(v >> 8);
    p[2] = (uint8_t)v;
}

// Takes one extension out of a ClientHello without a session id. Returns the new length.
static size_t extension_remove(uint8_t *hello, size_t len, uint16_t type)
{
    size_t at = 4 + 2 + 32;
    assert_int_equal(hello[at], 0);
    at += 1;
    at += 2u + (size_t)(hello[at] << 8 | hello[at + 1]); // cipher suites
    at += 1u + hello[at];                                // compression methods
    uint8_t *total = hello + at;
    for (at += 2; at + 4 <= len;) {
        size_t size = 4u + (size_t)(hello[at + 2] << 8 | hello[at + 3]);
        if ((hello[at] << 8 | hello[at + 1]) == type) {
            memmove(hello + at, hello + at + size, len - at - size);
            int rest = (total[0] << 8 | total[1]) - (int)size;
            total[0] = (uint8_t)(rest >> 8);
            total[1] = (uint8_t)rest;
            u24_add(hello + 1, -(int)size);
            return len - size;
        }
        at += size;
    }
    fail_msg("no extension %u in the ClientHello", type);
    return 0;
}

static void test_missing_extensions(void **state)
{
    (void)state;
    static const struct {
        uint16_t type;
        int alert;
    } row[] = {
        {16, 120},   // application_layer_protocol_negotiation: no_application_protocol
        {0x39, 109}, // quic_transport_parameters: missing_extension
        {43, 70},    // supported_versions: an older TLS, protocol_version
        {13, 109},   // signature_algorithms: missing_extension
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        uint8_t hello[4096];
        size_t len = extension_remove(hello, client_hello(hello), row[i].type);
        struct peer *server = peer_new(sc, NULL, NULL);
        assert_false(recv_bytes(server, PLX_LEVEL_INITIAL, hello, len));
        assert_int_equal(server->alerts, 1);
        assert_int_equal(server->alert, row[i].alert);
        assert_int_equal(server->wire_len[PLX_LEVEL_INITIAL], 0);
        peer_free(server);
    }
}

// Without on_violation the caller hears the nearest alert.
static struct peer *deaf_server(void)
{
    static struct plx_tls_events deaf;
    struct peer *p = calloc(1, sizeof *p);
    deaf = peer_events;
    deaf.on_violation = NULL;
    p->tls = plx_tls_new(sc, &(struct plx_tls_new_cfg){
                                 .events = &deaf, .arg = p, .params = (const uint8_t *)"", .params_len = 0});
    assert_non_null(p->tls);
    return p;
}

static void test_legacy_session_id(void **state)
{
    (void)state;
    uint8_t hello[4096];
    size_t len = client_hello(hello), at = 4 + 2 + 32;
    memmove(hello + at + 33, hello + at + 1, len - at - 1);
    hello[at] = 32;
    memset(hello + at + 1, 7, 32);
    u24_add(hello + 1, 32);

    struct peer *server = peer_new(sc, NULL, NULL);
    assert_false(recv_bytes(server, PLX_LEVEL_INITIAL, hello, len + 32));
    assert_int_equal(server->violations, 1);
    assert_int_equal(server->alerts, 0);
    assert_non_null(strstr(server->why, "legacy_session_id"));
    peer_free(server);

    server = deaf_server();
    assert_false(recv_bytes(server, PLX_LEVEL_INITIAL, hello, len + 32));
    assert_int_equal(server->alerts, 1);
    assert_int_equal(server->alert, 47); // illegal_parameter
    peer_free(server);
}

static void test_bytes_beyond_a_level(void **state)
{
    (void)state;
    uint8_t hello[4096];
    size_t len = client_hello(hello);
    hello[len] = 1;

    struct peer *server = peer_new(sc, NULL, NULL); // in one piece with the ClientHello
    assert_false(recv_bytes(server, PLX_LEVEL_INITIAL, hello, len + 1));
    assert_int_equal(server->violations, 1);
    assert_int_equal(server->alerts, 0);
    peer_free(server);

    server = peer_new(sc, NULL, NULL); // after it
    assert_true(recv_bytes(server, PLX_LEVEL_INITIAL, hello, len));
    assert_false(recv_bytes(server, PLX_LEVEL_INITIAL, hello + len, 1));
    assert_int_equal(server->violations, 1);
    peer_free(server);

    server = deaf_server();
    assert_true(recv_bytes(server, PLX_LEVEL_INITIAL, hello, len));
    assert_false(recv_bytes(server, PLX_LEVEL_INITIAL, hello + len, 1));
    assert_int_equal(server->alert, 10);
    peer_free(server);

    struct peer *client =
        peer_new(cc, "main.test", NULL); // the same towards a client, behind the ServerHello
    server = peer_new(sc, NULL, NULL);
    assert_true(plx_tls_start(client->tls));
    assert_true(recv_bytes(server, PLX_LEVEL_INITIAL, client->wire[0], client->wire_len[0]));
    server->wire[0][server->wire_len[0]++] = 2;
    assert_false(recv_bytes(client, PLX_LEVEL_INITIAL, server->wire[0], server->wire_len[0]));
    assert_int_equal(client->violations, 1);
    peer_free(client);
    peer_free(server);
}

static void test_level_not_reached(void **state)
{
    (void)state;
    static const enum plx_level early[] = {PLX_LEVEL_EARLY, PLX_LEVEL_HANDSHAKE, PLX_LEVEL_APP};
    for (size_t i = 0; i < 3; i++) {
        struct peer *server = peer_new(sc, NULL, NULL);
        assert_true(recv_bytes(server, early[i], "", 0)); // no bytes, no crime
        assert_false(recv_bytes(server, early[i], "\1", 1));
        assert_int_equal(server->alerts, 1);
        assert_int_equal(server->alert, 10); // unexpected_message
        assert_int_equal(server->violations, 0);
        peer_free(server);
    }
}

// A server that chooses no protocol, or keeps its parameters to itself: made by reaching into ours.
static void test_server_falls_short(void **state)
{
    (void)state;
    struct plx_tls_ctx *mute = server_ctx(NULL, main_only, 1);
    SSL_CTX_set_alpn_select_cb(mute->ssl_ctxs[0], NULL, NULL);
    struct peer *client = peer_new(cc, "main.test", NULL), *server = peer_new(mute, NULL, NULL);
    assert_false(peers_run(client, server, cut_none));
    assert_int_equal(client->completes, 0);
    assert_int_equal(client->alerts, 1);
    assert_int_equal(client->alert, 120); // no_application_protocol
    peer_free(client);
    peer_free(server);
    plx_tls_ctx_free(mute);

    client = peer_new(cc, "main.test", NULL);
    server = peer_new(sc, NULL, NULL);
    client->tls->has_peer_params =
        true; // and so the extension that does come is a second one, with nothing in the first
    assert_false(peers_run(client, server, cut_none));
    assert_int_equal(client->alert, 47); // illegal_parameter
    assert_int_equal(client->alerts, 1);
    peer_free(client);
    peer_free(server);
}

// Messages that have no place after the handshake.
static void test_after_the_handshake(void **state)
{
    (void)state;
    static const uint8_t key_update[] = {24, 0, 0, 1, 0},
                         cert_request[] = {13, 0, 0, 13, 0, 0, 10, 0, 13, 0, 6, 0, 4, 4, 3, 8, 4};
    static const uint8_t finished[] = {20, 0, 0, 4, 1, 2, 3, 4}, unknown[] = {99, 0, 0, 1, 0},
                         hello_request[] = {0, 0, 0, 0};
    static const struct {
        const uint8_t *msg;
        size_t len;
    } row[] = {
        {key_update, sizeof key_update}, {cert_request, sizeof cert_request},   {finished, sizeof finished},
        {unknown, sizeof unknown},       {hello_request, sizeof hello_request},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        for (int to_server = 0; to_server < 2; to_server++) {
            struct peer *client = peer_new(cc, "main.test", NULL), *server = peer_new(sc, NULL, NULL);
            assert_true(peers_run(client, server, cut_none));
            struct peer *victim = to_server ? server : client;
            assert_false(recv_bytes(victim, PLX_LEVEL_APP, row[i].msg, row[i].len));
            assert_int_equal(victim->alerts, 1);
            assert_int_equal(victim->alert, 10); //= rfc9001 6 "unexpected_message"
            assert_int_equal(victim->completes, 1);
            peer_free(client);
            peer_free(server);
        }
    }
}

static void test_garbage(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
    } row[] = {
        {"GET / HTTP/1.1\r\n\r\n", 18},  // a type that does not exist
        {"\x01\xff\xff\xff", 4},         // a ClientHello of 16 MB
        {"\x01\x00\x00\x00", 4},         // an empty one
        {"\x02\x00\x00\x02\x03\x03", 6}, // a ServerHello to a server
        {"\x14\x00\x00\x00", 4},         // Finished at once
        {"\x05\x00\x00\x00", 4},         // EndOfEarlyData
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct peer *server = peer_new(sc, NULL, NULL);
        assert_false(recv_bytes(server, PLX_LEVEL_INITIAL, row[i].bytes, row[i].len));
        assert_int_equal(server->alerts, 1);
        assert_true(server->alert == 10 || server->alert == 47 || server->alert == 50);
        peer_free(server);
    }
}

// One flipped bit anywhere in the handshake: never do both ends complete, and one end says why.
static void test_flipped_bits(void **state)
{
    (void)state;
    for (size_t round = 0; round < 400; round++) {
        struct peer *client = peer_new(cc, "main.test", NULL), *server = peer_new(sc, NULL, NULL);
        bool is_ok = plx_tls_start(client->tls), did_move = true, did_flip = false;
        struct peer *victim = round % 2 ? client : server, *other = round % 2 ? server : client;
        int level = round % 4 < 2 ? PLX_LEVEL_INITIAL : PLX_LEVEL_HANDSHAKE;
        while (is_ok && did_move) {
            did_move = false;
            for (int i = 0; is_ok && i < 2; i++) {
                struct peer *from = i ? server : client, *to = i ? client : server;
                size_t taken = from->wire_taken[level], len = from->wire_len[level];
                if (from == other && len > taken && !did_flip) {
                    size_t bit = cut_random((len - taken) * 8) - 1;
                    from->wire[level][taken + bit / 8] ^= (uint8_t)(1u << bit % 8);
                    did_flip = true;
                }
                is_ok = peer_deliver(from, to, cut_none, &did_move);
            }
        }
        assert_true(did_flip);
        assert_int_equal(victim->completes && other->completes, 0);
        if (!is_ok)
            assert_int_equal(client->alerts + client->violations + server->alerts + server->violations, 1);
        peer_free(client);
        peer_free(server);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_missing_extensions),
        cmocka_unit_test(test_legacy_session_id),
        cmocka_unit_test(test_bytes_beyond_a_level),
        cmocka_unit_test(test_level_not_reached),
        cmocka_unit_test(test_server_falls_short),
        cmocka_unit_test(test_after_the_handshake),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_flipped_bits),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
