// test_config.c -- what a configuration may say, what is said about the rest, and what the layers below are told.

#include "fake.h"

static struct plx_engine_cfg good(void)
{
    static struct plx_port port;
    struct plx_engine_cfg cfg;

    plx_engine_cfg_init(&cfg);
    cfg.port = &port;
    cfg.h3 = &fake_handler;
    return cfg;
}

#define CASE(name, change, what)               \
    static void name(struct plx_engine_cfg *c) \
    {                                          \
        change;                                \
    }
#define CASES(X)                                                \
    X(no_port, c->port = NULL, "no port")                       \
    X(no_workers, c->workers = 0, "1 to 128")                   \
    X(many_workers, c->workers = 129, "1 to 128")               \
    X(no_handler, c->h3 = NULL, "no handler")                   \
    X(no_certificate, c->listen_count = 1, "certificate")       \
    X(no_conns, c->conns_max = 0, "at least 1")                 \
    X(no_handshakes, c->handshakes_max = 0, "at least 1")       \
    X(no_streams, c->streams_max = 0, "at least 1")             \
    X(many_conns, c->conns_max = (1 << 24) + 1, "16777216")     \
    X(many_streams, c->streams_max = (1 << 26) + 1, "67108864") \
    X(little_memory, c->buffer_memory = (4 << 20) - 1, "4 MiB") \
    X(impatient, c->idle_timeout = PLX_MS(99), "100 ms")        \
    X(slow_acks, c->max_ack_delay = PLX_MS(16384), "16384 ms")  \
    X(fast_tick, c->tick = PLX_US(999), "1 ms")
CASES(CASE)

static void test_refusals(void **state)
{
    static const struct {
        const char *name;
        void (*change)(struct plx_engine_cfg *c);
        const char *what;
    } rows[] = {
#define ROW(name, change, what) {#name, name, what},
        CASES(ROW)};
    char err[256];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct plx_engine_cfg cfg = good();
        rows[i].change(&cfg);
        err[0] = '\0';
        if (plx_config_check(&cfg, err, sizeof err) != PLX_ERR_INVALID || strstr(err, rows[i].what) == NULL)
            fail_msg("%s: \"%s\"", rows[i].name, err);
    }
}

static void test_limits_that_are_fine(void **state)
{
    struct plx_engine_cfg cfg = good();
    char err[256] = "";

    (void)state;
    assert_int_equal(plx_config_check(&cfg, err, sizeof err), PLX_OK); // the defaults
    cfg.workers = 128;
    cfg.conns_max = 1 << 24;
    cfg.streams_max = 1 << 26;
    cfg.buffer_memory = 4 << 20;
    cfg.idle_timeout = PLX_MS(100);
    cfg.max_ack_delay = PLX_MS(16383);
    cfg.tick = PLX_MS(1);
    assert_int_equal(plx_config_check(&cfg, err, sizeof err), PLX_OK);
    cfg.idle_timeout = PLX_MS(0);
    cfg.h3 = NULL;
    cfg.raw = &(struct plx_conn_handler){.ctx = NULL};
    assert_int_equal(plx_config_check(&cfg, err, sizeof err), PLX_OK);
    assert_string_equal(err, "");
}

static void test_what_is_passed_down(void **state)
{
    struct plx_engine_cfg cfg = good();
    struct plx_port_caps caps = {.payload_max = 1452, .can_ecn = true};
    struct plx_quic_cfg q;
    struct plx_h3_cfg h;

    (void)state;
    cfg.idle_timeout = PLX_MS(1234);
    cfg.keep_alive = PLX_MS(77);
    cfg.handshake_timeout = PLX_MS(55);
    cfg.congestion = PLX_CONGESTION_NEWRENO;
    cfg.conn_window = 1, cfg.conn_window_max = 2, cfg.stream_window = 3, cfg.stream_window_max = 4;
    cfg.streams_bidi = 5, cfg.streams_uni = 6;
    cfg.key_update_packets = 9;
    plx_config_quic(&cfg, &caps, &q);
    assert_int_equal(q.idle_timeout.ns, PLX_MS(1234).ns);
    assert_int_equal(q.keep_alive.ns, PLX_MS(77).ns);
    assert_int_equal(q.handshake_timeout.ns, PLX_MS(55).ns);
    assert_int_equal(q.cc, PLX_CC_NEWRENO);
    assert_int_equal(
        q.conn_window + 10 * q.conn_window_max + 100 * q.stream_window + 1000 * q.stream_window_max, 4321);
    assert_int_equal(q.streams_bidi + 10 * q.streams_uni, 65);
    assert_int_equal(q.key_update_packets, 9);
    assert_int_equal(q.payload_max, 1452);
    assert_false(q.no_ecn);
    assert_int_equal(q.refuse_code, PLX_H3_REQUEST_REJECTED);
    caps.can_ecn = false; // the port's limits count
    cfg.h3 = NULL;
    plx_config_quic(&cfg, &caps, &q);
    assert_true(q.no_ecn);
    assert_int_equal(q.refuse_code, 0);
    cfg.field_section_max = 11, cfg.qpack_table_max = 12, cfg.qpack_blocked_max = 13, cfg.no_grease = true;
    plx_config_h3(&cfg, &h);
    assert_int_equal(h.field_section_max, 11);
    assert_int_equal(h.qpack_table_max, 12);
    assert_int_equal(h.qpack_blocked_max, 13);
    assert_true(h.no_grease);
}

// An engine that cannot be made says why, and leaves nothing behind (the sanitizers look).
static void test_engines_that_cannot_be(void **state)
{
    static const struct {
        const char *what, *cert, *key, *ciphers, *groups, *crypto, *keylog;
        uint16_t workers;
        uint32_t section;
    } rows[] = {
        {"/nonexistent", "/nonexistent", NULL, NULL, NULL, NULL, NULL, 1, 0},
        {"/nonexistent", NULL, "/nonexistent", NULL, NULL, NULL, NULL, 1, 0},
        {"NONE", NULL, NULL, "NONE", NULL, NULL, NULL, 1, 0},
        {"nogroup", NULL, NULL, NULL, "nogroup", NULL, NULL, 1, 0},
        {"rot13", NULL, NULL, NULL, NULL, "rot13", NULL, 1, 0},
        {"/nonexistent/log", NULL, NULL, NULL, NULL, NULL, "/nonexistent/log", 1, 0},
        {"queues", NULL, NULL, NULL, NULL, NULL, NULL, FAKE_QUEUES + 1, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fake *f = calloc(1, sizeof *f);
        struct plx_cert cert = {rows[i].cert != NULL ? rows[i].cert : world_cert(),
                                rows[i].key != NULL ? rows[i].key : world_key()};
        struct plx_addr listen;
        struct plx_engine_cfg cfg;
        char err[512] = "";

        assert_non_null(f);
        assert_true(plx_addr_parse("10.0.0.1:443", &listen));
        for (unsigned q = 0; q < FAKE_QUEUES; q++)
            f->q[q].free_count = FAKE_SLOTS;
        f->port = (struct plx_port){.ops = &fake_ops, .free = fake_port_free};
        fake_cfg(&cfg);
        cfg.port = &f->port;
        cfg.h3 = &fake_handler;
        cfg.listen = &listen;
        cfg.listen_count = cfg.cert_count = 1;
        cfg.certs = &cert;
        cfg.ciphersuites = rows[i].ciphers;
        cfg.groups = rows[i].groups;
        cfg.crypto = rows[i].crypto;
        cfg.keylog_file = rows[i].keylog;
        cfg.workers = rows[i].workers;
        struct plx_engine *e = plx_engine_new_at(&cfg, ((plx_time){1000000000}), 1, err, sizeof err);
        if (e != NULL || strstr(err, rows[i].what) == NULL)
            fail_msg("row %zu: \"%s\"", i, err);
        free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_limits_that_are_fine),
        cmocka_unit_test(test_what_is_passed_down), cmocka_unit_test(test_engines_that_cannot_be)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
