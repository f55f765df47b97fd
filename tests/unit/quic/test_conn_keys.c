// test_conn_keys.c -- key updates from both ends, late packets of the old phase, counts that force one, and limits that end everything.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "pair.h"

static struct pair p;

static void request(uint64_t len)
{
    uint64_t fins = p.e[CLIENT].fins;
    assert_non_null(pair_request(&p, len));
    pair_run(&p, PLX_MS(800));
    assert_int_equal(p.e[CLIENT].fins, fins + 1);
    assert_false(p.e[CLIENT].is_pattern_broken);
}

static void assert_phase(uint8_t phase)
{
    for (int side = 0; side < 2; side++) {
        assert_int_equal(p.e[side].conn->tx_phase, phase);
        assert_int_equal(p.e[side].conn->rx_phase, phase);
        assert_int_equal(p.e[side].steps[PLX_RX_DROP_AUTH], 0);
    }
}

static void test_both_initiate(void **state)
{
    (void)state;
    for (int side = 0; side < 2; side++) {
        pair_init(&p, (uint64_t)side);
        pair_establish(&p);
        request(1000);
        assert_phase(0);
        for (unsigned update = 1; update <= 5; update++) {
            assert_int_equal(plx_conn_update_keys(p.e[side].conn), PLX_OK);
            assert_int_equal(plx_conn_update_keys(p.e[side].conn), PLX_ERR_AGAIN); // one at a time
            request(20000);
            assert_phase(update & 1);
            assert_int_equal(p.e[CLIENT].env.stats.key_updates, update);
            assert_int_equal(p.e[SERVER].env.stats.key_updates, update);
            pair_run(&p, PLX_MS(800)); // three PTOs: the old keys go
        }
        pair_fini(&p);
    }
}

static void test_both_at_once(void **state)
{
    (void)state;
    pair_init(&p, 2);
    pair_establish(&p);
    request(1000);
    assert_int_equal(plx_conn_update_keys(p.e[CLIENT].conn), PLX_OK);
    assert_int_equal(plx_conn_update_keys(p.e[SERVER].conn), PLX_OK);
    request(50000);
    assert_phase(1);
    pair_fini(&p);
}

static uint64_t lowest_of_ours(const struct plx_conn *c)
{
    uint64_t low = UINT64_MAX;
    for (unsigned i = 0; i < PLX_CIDS_LOCAL_MAX; i++)
        if (c->cids.v[i].state != PLX_CID_FREE && c->cids.v[i].seq < low)
            low = c->cids.v[i].seq;
    return low;
}

// Every ID that was in use, in either direction, is gone a round trip later; with a key update of ours it goes without asking.
static void test_ids_rotate(void **state)
{
    (void)state;
    for (int side = 0; side < 2; side++) {
        pair_init(&p, 20 + (uint64_t)side);
        assert_true(pair_connect(&p));
        assert_int_equal(plx_conn_rotate_cids(p.e[CLIENT].conn), PLX_ERR_AGAIN); // not confirmed
        pair_run(&p, PLX_MS(300));
        request(1000);
        struct plx_conn *us = p.e[side].conn, *peer = p.e[!side].conn;
        for (unsigned round = 1; round <= 6; round++) {
            uint64_t first_new = us->cids.next_seq, in_use = plx_paths_active(&us->paths)->dcid_seq;
            if (round & 1) {
                assert_int_equal(plx_conn_rotate_cids(us), PLX_OK);
                assert_int_equal(plx_conn_rotate_cids(us), PLX_ERR_AGAIN); // one at a time
            } else {
                assert_int_equal(plx_conn_update_keys(us), PLX_OK);
            }
            request(20000);
            assert_true(lowest_of_ours(us) >= first_new);
            assert_true(us->cids.count > 1);
            assert_true(plx_paths_active(&peer->paths)->dcid_seq >= first_new);
            assert_true(plx_paths_active(&us->paths)->dcid_seq != in_use);
            assert_null(plx_cids_peer_get(&us->peer_cids, in_use));
            assert_int_equal(us->env->stats.cid_rotations, round);
            assert_int_equal(us->peer_cids.retired_count + peer->peer_cids.retired_count, 0);
            pair_run(&p, PLX_MS(800));
        }
        plx_conn_close(us, 0, NULL);
        assert_int_equal(plx_conn_rotate_cids(us), PLX_ERR_CLOSED);
        pair_run(&p, PLX_MS(300));
        pair_fini(&p);
    }
}

static void test_not_before_confirmed(void **state)
{
    (void)state;
    pair_init(&p, 3);
    assert_true(pair_connect(&p));
    assert_int_equal(plx_conn_update_keys(p.e[CLIENT].conn), PLX_ERR_AGAIN);
    pair_run(&p, PLX_MS(300));
    plx_conn_close(p.e[CLIENT].conn, 0, NULL);
    assert_int_equal(plx_conn_update_keys(p.e[CLIENT].conn), PLX_ERR_CLOSED);
    pair_run(&p, PLX_MS(300));
    pair_fini(&p);
}

// After so many packets, without anybody asking.
static void test_by_count(void **state)
{
    (void)state;
    pair_init(&p, 4);
    p.e[SERVER].cfg.key_update_packets = 100;
    pair_establish(&p);
    for (int i = 0; i < 10; i++)
        request(PAIR_PATTERN / 4);
    assert_true(p.e[SERVER].env.stats.key_updates >= 5);
    pair_run(&p, PLX_SEC(1));
    assert_in_range(p.e[CLIENT].env.stats.key_updates, p.e[SERVER].env.stats.key_updates - 1,
                    p.e[SERVER].env.stats.key_updates);
    assert_int_equal(p.e[CLIENT].steps[PLX_RX_DROP_AUTH], 0);
    pair_fini(&p);
}

// Packets of the old phase that arrive after the first of the new one are still opened.
static bool delay_some(struct pair *pair, struct pair_dgram *d)
{
    if (plx_prng_chance(&pair->e[SERVER].prng, 1, 3))
        d->at = plx_time_after(d->at, PLX_US(plx_prng_below(&pair->e[SERVER].prng, 20000)));
    return !plx_prng_chance(&pair->e[SERVER].prng, 1, 30);
}

static void test_reordering(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 10; seed++) {
        pair_init(&p, 50 + seed);
        p.e[SERVER].cfg.key_update_packets = 60;
        p.e[CLIENT].cfg.key_update_packets = 45;
        pair_establish(&p);
        p.filter = delay_some;
        for (int i = 0; i < 8; i++)
            assert_non_null(pair_request(&p, 60000));
        pair_run(&p, PLX_SEC(20));
        assert_int_equal(p.e[CLIENT].fins, 8);
        assert_int_equal(p.e[CLIENT].rx_total, 480000);
        assert_true(p.e[SERVER].env.stats.key_updates >= 2);
        assert_int_equal(p.e[CLIENT].steps[PLX_RX_DROP_AUTH] + p.e[SERVER].steps[PLX_RX_DROP_AUTH], 0);
        pair_fini(&p);
    }
}

// An idle connection keeps only secrets; a packet in either direction brings the keys back, in every phase.
static void test_rest(void **state)
{
    (void)state;
    pair_init(&p, 7);
    pair_establish(&p);
    for (unsigned i = 0; i < 6; i++) {
        struct plx_conn *s = p.e[SERVER].conn;
        pair_run(&p, PLX_SEC(12));
        for (int side = 0; side < 2; side++) {
            assert_int_equal(plx_pool_in_use(&p.e[side].keys), 0);
            assert_int_equal(plx_conn_state(p.e[side].conn), PLX_CONN_CONFIRMED);
        }
        if (i % 3 == 1) { // the server is the first to speak
            uint64_t rx = p.e[CLIENT].rx_total;
            struct plx_stream *st;
            assert_int_equal(plx_stream_open(s, true, &st), PLX_OK);
            struct plx_buf buf = {pair_pattern, 4000, NULL};
            assert_int_equal(plx_stream_send(st, buf, true), PLX_OK);
            pair_run(&p, PLX_MS(300));
            assert_int_equal(p.e[CLIENT].rx_total, rx + 4000);
        } else if (i % 3 == 2) {
            assert_int_equal(plx_conn_update_keys(s), PLX_OK);
        }
        request(3000);
        assert_phase((i + 1) / 3 & 1);
    }
    // Without room in the pool nothing moves until there is some.
    pair_run(&p, PLX_SEC(12));
    void *a = plx_pool_take(&p.e[SERVER].keys), *b = plx_pool_take(&p.e[SERVER].keys);
    uint64_t fins = p.e[CLIENT].fins;
    assert_non_null(pair_request(&p, 10));
    pair_run(&p, PLX_MS(500));
    assert_int_equal(p.e[CLIENT].fins, fins);
    plx_pool_give(&p.e[SERVER].keys, a);
    plx_pool_give(&p.e[SERVER].keys, b);
    pair_run(&p, PLX_SEC(3));
    assert_int_equal(p.e[CLIENT].fins, fins + 1);
    pair_fini(&p);
}

// --- limits ----------------------------------------------------------------------------------------------------------------------

static void test_integrity_limit(void **state)
{
    (void)state;
    pair_init(&p, 5);
    pair_establish(&p);
    struct plx_conn *c = p.e[SERVER].conn;
    c->rx_failed = plx_aead_open_limit(c->keys->rx[0].alg) - 1;
    for (int i = 0; i < 2; i++) {
        uint8_t noise[60] = {0x40};
        memcpy(noise + 1, c->cids.v[0].cid.bytes, 8);
        noise[30] = (uint8_t)i;
        assert_int_equal(plx_conn_state(c), PLX_CONN_CONFIRMED);
        pair_wire_put(&p, SERVER, noise, sizeof noise);
        pair_run(&p, PLX_MS(11));
    }
    assert_int_equal(plx_conn_state(c), PLX_CONN_CLOSING);
    assert_int_equal(c->close_code, PLX_QUIC_AEAD_LIMIT_REACHED);
    pair_run(&p, PLX_SEC(1));
    assert_int_equal(p.e[CLIENT].close.code, PLX_QUIC_AEAD_LIMIT_REACHED);
    pair_fini(&p);
}

static bool drop_to_server(struct pair *pair, struct pair_dgram *d)
{
    (void)pair;
    return d->to == CLIENT;
}

// Nothing is acknowledged, so no update is possible: before the limit there is an end.
static void test_confidentiality_limit(void **state)
{
    (void)state;
    pair_init(&p, 6);
    pair_establish(&p);
    request(1000);
    struct plx_conn *c = p.e[SERVER].conn;
    p.filter = drop_to_server;
    c->tx_phase_first = c->space.next_pn; // as if it had just been updated
    c->update_from = PLX_NEVER;
    c->tx_sealed = plx_aead_seal_limit(c->keys->tx.alg) - CONN_SEAL_RESERVE - 3;
    struct plx_stream *s;
    assert_int_equal(plx_stream_open(c, true, &s), PLX_OK);
    struct plx_buf buf = {pair_pattern, 50000, NULL};
    assert_int_equal(plx_stream_send(s, buf, true), PLX_OK);
    pair_run(&p, PLX_SEC(1));
    assert_true(p.e[SERVER].dead == 1 || plx_conn_state(c) >= PLX_CONN_CLOSING);
    pair_run(&p, PLX_SEC(3));
    assert_int_equal(p.e[SERVER].close.code, PLX_QUIC_AEAD_LIMIT_REACHED);
    pair_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_initiate),
        cmocka_unit_test(test_both_at_once),
        cmocka_unit_test(test_ids_rotate),
        cmocka_unit_test(test_not_before_confirmed),
        cmocka_unit_test(test_by_count),
        cmocka_unit_test(test_reordering),
        cmocka_unit_test(test_rest),
        cmocka_unit_test(test_integrity_limit),
        cmocka_unit_test(test_confidentiality_limit),
    };
    return cmocka_run_group_tests(tests, pair_group_setup, pair_group_teardown);
}
