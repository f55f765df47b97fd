// test_conn_close.c -- every kind of end: by the application, at every stage; idle; keep-alive; stateless reset; answers while closing.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "pair.h"
#include "../base/rows.h"

static struct pair p;

static void test_application(void **state)
{
    (void)state;
    for (int side = 0; side < 2; side++) {
        pair_init(&p, (uint64_t)side);
        pair_establish(&p);
        assert_non_null(pair_request(&p, 100000));
        pair_run(&p, PLX_MS(25));
        unsigned wakes = p.e[side].wakes;
        plx_conn_close(p.e[side].conn, 42, "good\tbye");
        EXPECT_ROW(side, p.e[side].wakes == wakes + 1);
        struct plx_stream *s;
        EXPECT_ROW(side, plx_stream_open(p.e[side].conn, false, &s) == PLX_ERR_CLOSED);
        plx_conn_close(p.e[side].conn, 43, "an echo");
        pair_run(&p, PLX_MS(12));
        // Streams are gone at once on both sides; the rest waits.
        EXPECT_ROW(side, plx_conn_state(p.e[side].conn) == PLX_CONN_CLOSING);
        EXPECT_ROW(side, plx_conn_state(p.e[!side].conn) == PLX_CONN_DRAINING);
        EXPECT_ROW(side, p.e[CLIENT].closed_streams == 1 && p.e[SERVER].closed_streams == 1);
        pair_run(&p, PLX_SEC(2));
        for (int i = 0; i < 2; i++) {
            EXPECT_ROW(i, p.e[i].dead == 1);
            EXPECT_ROW(i, p.e[i].close.how == PLX_CLOSE_APPLICATION);
            EXPECT_ROW(i, p.e[i].close.code == 42);
            EXPECT_ROW(i, p.e[i].close.is_peer == (i != side));
        }
        EXPECT_ROW(side, strcmp(p.e[!side].close.reason, "good?bye") == 0);
        pair_fini(&p);
    }
}

// The closing period begins with the goodbye, however long ago anything else happened: a peer that did not hear it is answered.
static void test_application_at_rest(void **state)
{
    (void)state;
    for (int side = 0; side < 2; side++) {
        pair_init(&p, (uint64_t)side);
        pair_establish(&p);
        pair_run(&p, PLX_SEC(20));
        plx_conn_close(p.e[side].conn, 42, "");
        pair_run(&p, PLX_MS(12));
        EXPECT_ROW(side, p.e[side].dead == 0 && plx_conn_state(p.e[side].conn) == PLX_CONN_CLOSING);
        EXPECT_ROW(side, plx_conn_state(p.e[!side].conn) == PLX_CONN_DRAINING);
        pair_run(&p, PLX_SEC(2));
        EXPECT_ROW(side, p.e[side].dead == 1 && p.e[!side].dead == 1);
        pair_fini(&p);
    }
}

// During the handshake an application's close is told as a transport error without its secrets (section 10.2.3).
static void test_application_during_handshake(void **state)
{
    (void)state;
    for (unsigned steps = 1; steps < 6; steps++) {
        for (int side = 0; side < 2; side++) {
            pair_init(&p, steps);
            assert_true(pair_connect(&p));
            for (unsigned i = 0; i < steps; i++) {
                pair_step(&p);
                p.now = plx_time_after(p.now, PLX_MS(10));
            }
            if (p.e[side].conn == NULL)
                goto next; // the server has not heard of it
            plx_conn_close(p.e[side].conn, 42, "secret");
            pair_run(&p, PLX_SEC(5));
            EXPECT_ROW(steps, p.e[side].dead == 1 && p.e[side].close.code == 42 &&
                                  p.e[side].close.how == PLX_CLOSE_APPLICATION);
            if (p.e[!side].dead == 0 && p.e[!side].conn == NULL)
                goto next;
            EXPECT_ROW(steps, p.e[!side].dead == 1);
            bool is_same = p.e[!side].close.how == PLX_CLOSE_APPLICATION && p.e[!side].close.code == 42;
            bool is_hidden = p.e[!side].close.how == PLX_CLOSE_TRANSPORT &&
                             p.e[!side].close.code == PLX_QUIC_APPLICATION_ERROR &&
                             p.e[!side].close.reason[0] == 0;
            EXPECT_ROW(steps, is_same || is_hidden);
        next:
            pair_fini(&p);
        }
    }
}

static bool to_client_only(struct pair *pair, struct pair_dgram *d)
{
    (void)pair;
    return d->to == CLIENT;
}

// While closing, packets that come are answered after the 1st, 2nd, 4th, 8th...
static void test_closing_answers(void **state)
{
    (void)state;
    pair_init(&p, 3);
    pair_establish(&p);
    struct pair_end *e = &p.e[SERVER];
    plx_conn_close(e->conn, 1, "");
    p.filter = to_client_only;
    pair_tx(&p, e);
    uint64_t tx = e->dgrams_tx;
    struct plx_cid cid = e->conn->cids.v[0].cid;
    for (unsigned i = 1; i <= 20; i++) {
        uint8_t noise[100] = {0x40};
        memcpy(noise + 1, cid.bytes, 8);
        struct pair_dgram *d = pair_wire_put(&p, SERVER, noise, sizeof noise);
        d->at = p.now;
        pair_deliver(&p, d);
        pair_tx(&p, e);
    }
    assert_int_equal(e->dgrams_tx - tx, 5); // 1, 2, 4, 8, 16
    pair_run(&p, PLX_SEC(1));
    assert_int_equal(e->dead, 1);
    pair_fini(&p);
}

// --- silence -------------------------------------------------------------------------------------------------------------------------

static void test_idle(void **state)
{
    (void)state;
    static const struct {
        unsigned client_ms, server_ms, want_ms;
    } row[] = {{5000, 30000, 5000}, {30000, 4000, 4000}, {0, 6000, 6000}, {7000, 0, 7000}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        pair_init(&p, i);
        p.e[CLIENT].cfg.idle_timeout = PLX_MS(row[i].client_ms);
        p.e[SERVER].cfg.idle_timeout = PLX_MS(row[i].server_ms);
        pair_establish(&p);
        pair_run(&p, PLX_MS(200));
        uint64_t tx = p.e[CLIENT].dgrams_tx + p.e[SERVER].dgrams_tx;
        pair_run(&p, PLX_MS(row[i].want_ms - 1000));
        EXPECT_ROW(i, p.e[CLIENT].dead == 0 && p.e[SERVER].dead == 0);
        pair_run(&p, PLX_MS(1000));
        for (int side = 0; side < 2; side++) {
            EXPECT_ROW(i, p.e[side].dead == 1);
            EXPECT_ROW(i, p.e[side].close.how == PLX_CLOSE_IDLE);
            EXPECT_ROW(i, p.e[side].conn == NULL);
        }
        EXPECT_ROW(i, p.e[CLIENT].dgrams_tx + p.e[SERVER].dgrams_tx == tx); // silently
        pair_fini(&p);
    }
}

static void test_never_idle(void **state)
{
    (void)state;
    pair_init(&p, 4);
    p.e[CLIENT].cfg.idle_timeout = p.e[SERVER].cfg.idle_timeout = PLX_SEC(0);
    pair_establish(&p);
    pair_run(&p, PLX_SEC(3600));
    assert_true(pair_is_confirmed(&p));
    pair_fini(&p);
}

static void test_keep_alive(void **state)
{
    (void)state;
    pair_init(&p, 5);
    p.e[CLIENT].cfg.idle_timeout = PLX_SEC(5);
    p.e[CLIENT].cfg.keep_alive = PLX_SEC(2);
    pair_establish(&p);
    uint64_t tx = p.e[CLIENT].dgrams_tx;
    pair_run(&p, PLX_SEC(60));
    assert_true(pair_is_confirmed(&p));
    assert_in_range(p.e[CLIENT].dgrams_tx - tx, 25, 40);
    p.filter = to_client_only; // the server hears nothing any more
    pair_run(&p, PLX_SEC(20));
    assert_int_equal(p.e[CLIENT].dead, 1);
    assert_int_equal(p.e[CLIENT].close.how, PLX_CLOSE_IDLE);
    pair_fini(&p);
}

static void test_ping(void **state)
{
    (void)state;
    pair_init(&p, 6);
    pair_establish(&p);
    pair_run(&p, PLX_MS(200));
    uint64_t rx = p.e[SERVER].dgrams_rx, back = p.e[CLIENT].dgrams_rx;
    plx_conn_ping(p.e[CLIENT].conn);
    pair_run(&p, PLX_MS(100));
    assert_int_equal(p.e[SERVER].dgrams_rx, rx + 1);
    assert_int_equal(p.e[CLIENT].dgrams_rx, back + 1); // its acknowledgement
    pair_fini(&p);
}

// --- stateless reset -------------------------------------------------------------------------------------------------------------------

static void reset_to_client(uint8_t spoil, size_t trigger_len)
{
    uint8_t out[64], token[16], random[PLX_RESET_LEN_MAX];
    app_random(&p.e[SERVER], random, sizeof random);
    plx_reset_token(p.reset_key, &p.e[SERVER].conn->cids.v[0].cid, token);
    token[5] ^= spoil;
    struct plx_wr w = plx_wr_init(out, sizeof out);
    size_t len = plx_reset_write(&w, trigger_len, token, random);
    assert_true(len > 0);
    pair_wire_put(&p, CLIENT, out, (uint16_t)len);
}

static void test_stateless_reset(void **state)
{
    (void)state;
    pair_init(&p, 7);
    pair_establish(&p);
    pair_run(&p, PLX_MS(100));
    reset_to_client(1, 60);
    pair_run(&p, PLX_MS(50));
    assert_int_equal(plx_conn_state(p.e[CLIENT].conn), PLX_CONN_CONFIRMED);
    uint64_t tx = p.e[CLIENT].dgrams_tx;
    reset_to_client(0, 60);
    assert_non_null(pair_request(&p, 1000));
    pair_run(&p, PLX_MS(15));
    assert_int_equal(plx_conn_state(p.e[CLIENT].conn), PLX_CONN_DRAINING);
    tx = p.e[CLIENT].dgrams_tx;
    pair_run(&p, PLX_SEC(1));
    assert_int_equal(p.e[CLIENT].dgrams_tx, tx);
    assert_int_equal(p.e[CLIENT].dead, 1);
    assert_int_equal(p.e[CLIENT].close.how, PLX_CLOSE_STATELESS_RESET);
    pair_fini(&p);
}

// The engine finds the connection by the token, because nothing else in a reset says whose it is; it may be too short for a packet.
static void test_reset_by_token(void **state)
{
    (void)state;
    uint8_t token[16], dgram[PLX_RESET_LEN_MIN] = {0x41, 2, 3, 4, 5};
    pair_init(&p, 8);
    pair_establish(&p);
    pair_run(&p, PLX_MS(100));
    plx_reset_token(p.reset_key, &p.e[SERVER].conn->cids.v[0].cid, token);
    assert_int_equal(p.e[CLIENT].reset_token_count, 1);
    assert_memory_equal(p.e[CLIENT].reset_tokens[0], token, sizeof token);
    memcpy(dgram + sizeof dgram - sizeof token, token, sizeof token);
    dgram[sizeof dgram - 1] ^= 1;
    assert_false(plx_conn_rx_reset(p.e[CLIENT].conn, dgram, sizeof dgram, p.now));
    dgram[sizeof dgram - 1] ^= 1;
    assert_true(plx_conn_rx_reset(p.e[CLIENT].conn, dgram, sizeof dgram, p.now));
    assert_int_equal(plx_conn_state(p.e[CLIENT].conn), PLX_CONN_DRAINING);
    assert_false(plx_conn_rx_reset(p.e[CLIENT].conn, dgram, sizeof dgram, p.now));
    pair_run(&p, PLX_SEC(1));
    assert_int_equal(p.e[CLIENT].close.how, PLX_CLOSE_STATELESS_RESET);
    pair_fini(&p);
}

// Whatever happens to be in flight, fini alone gives everything back.
static void test_fini_at_any_time(void **state)
{
    (void)state;
    for (unsigned steps = 0; steps < 40; steps++) {
        pair_init(&p, steps);
        assert_true(pair_connect(&p));
        for (unsigned i = 0; i < steps; i++) {
            pair_step(&p);
            if (p.e[CLIENT].opened && p.e[CLIENT].conn != NULL)
                (void)pair_request(&p, 30000);
            p.now = plx_time_after(p.now, PLX_MS(2));
        }
        pair_fini(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_application),
        cmocka_unit_test(test_application_at_rest),
        cmocka_unit_test(test_application_during_handshake),
        cmocka_unit_test(test_closing_answers),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_never_idle),
        cmocka_unit_test(test_keep_alive),
        cmocka_unit_test(test_ping),
        cmocka_unit_test(test_stateless_reset),
        cmocka_unit_test(test_reset_by_token),
        cmocka_unit_test(test_fini_at_any_time),
    };
    return cmocka_run_group_tests(tests, pair_group_setup, pair_group_teardown);
}
