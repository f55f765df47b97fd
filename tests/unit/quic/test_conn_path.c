// test_conn_path.c -- the peer moves: a NAT that forgets, another network, somebody who copies packets, probes that are only probes.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "forge.h"
#include "../base/rows.h"

static struct pair p;

// --- a NAT between the two ---------------------------------------------------------------------------------------------------------

static struct plx_addr outside;  // what the server sees instead of the client's address
static uint64_t to_elsewhere;    // octets of the server to where nobody is any more
static uint64_t max_unvalidated; // most octets the server had sent outside before it heard an answer
static uint64_t heard_outside, sent_outside;

static bool nat(struct pair *pair, struct pair_dgram *d)
{
    if (d->to == SERVER) {
        d->from_addr = outside;
        heard_outside += d->len;
        return true;
    }
    if (!plx_addr_eq(&d->to_addr, &outside)) {
        to_elsewhere += d->len;
        return false;
    }
    sent_outside += d->len;
    d->to_addr = pair->e[CLIENT].addr;
    const struct plx_conn *s = pair->e[SERVER].conn;
    if (plx_path_allowance(&s->paths.v[s->paths.active]) != UINT64_MAX && sent_outside > max_unvalidated)
        max_unvalidated = sent_outside;
    return true;
}

static void move_to(uint8_t last_octet, uint16_t port)
{
    outside = p.e[CLIENT].addr;
    outside.ip[3] = last_octet;
    outside.port = port;
    heard_outside = sent_outside = max_unvalidated = to_elsewhere = 0;
    p.filter = nat;
}

static void test_rebinding(void **state)
{
    (void)state;
    static const struct {
        uint8_t ip;
        uint16_t port;
        uint64_t migrations;
    } row[] = {{1, 50001, 0}, {77, 50001, 1}, {77, 50000, 1}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        pair_init(&p, i);
        pair_establish(&p);
        EXPECT_ROW(i, pair_request(&p, 400000) != NULL);
        pair_run(&p, PLX_MS(45)); // in the middle of it
        EXPECT_ROW(i, p.e[CLIENT].rx_total > 0 && p.e[CLIENT].fins == 0);
        move_to(row[i].ip, row[i].port);
        pair_run(&p, PLX_SEC(6));
        EXPECT_ROW(i,
                   p.e[CLIENT].fins == 1 && p.e[CLIENT].rx_total == 400000 && !p.e[CLIENT].is_pattern_broken);
        EXPECT_ROW(i, p.e[SERVER].env.stats.migrations == row[i].migrations);
        struct plx_conn_info info;
        plx_conn_info(p.e[SERVER].conn, &info);
        EXPECT_ROW(i, plx_addr_eq(&info.peer, &outside));
        EXPECT_ROW(i, info.mtu == 1452);
        EXPECT_ROW(i, p.e[SERVER].conn->paths.previous == PLX_PATH_NONE);
        EXPECT_ROW(i, max_unvalidated <= 3 * heard_outside);
        pair_fini(&p);
    }
}

// Moves again and again; each path gets a connection ID of its own, and the peer supplies new ones.
static void test_many_moves(void **state)
{
    (void)state;
    pair_init(&p, 4);
    pair_establish(&p);
    for (uint8_t i = 0; i < 20; i++) {
        uint64_t fins = p.e[CLIENT].fins;
        move_to((uint8_t)(20 + i), (uint16_t)(40000 + i));
        EXPECT_ROW(i, pair_request(&p, 30000) != NULL);
        pair_run(&p, PLX_SEC(2));
        EXPECT_ROW(i, p.e[CLIENT].fins == fins + 1);
        EXPECT_ROW(i, plx_paths_active(&p.e[SERVER].conn->paths)->dcid_seq == i + 1u);
        EXPECT_ROW(i, p.e[CLIENT].cid_count <= 5);
    }
    assert_int_equal(p.e[SERVER].env.stats.migrations, 20);
    pair_fini(&p);
}

// --- an attacker ---------------------------------------------------------------------------------------------------------------------

static const struct plx_addr attacker = {.ip = {10, 9, 9, 9}, .port = 666, .af = PLX_AF_IP4};
static unsigned to_attacker, stolen;

// Takes one packet of the client off the wire and puts it back from another address; hears, and does not answer, what comes of it.
static bool thief(struct pair *pair, struct pair_dgram *d)
{
    (void)pair;
    if (d->to == SERVER && stolen == 0) {
        d->from_addr = attacker;
        stolen++;
    }
    if (d->to == CLIENT && plx_addr_eq(&d->to_addr, &attacker)) {
        to_attacker++;
        return false;
    }
    return true;
}

static void test_copied_packet(void **state)
{
    (void)state;
    pair_init(&p, 5);
    pair_establish(&p);
    pair_run(&p, PLX_MS(200));
    to_attacker = stolen = 0;
    p.filter = thief;
    assert_non_null(pair_request(&p, 300000));
    pair_run(&p, PLX_SEC(8));
    assert_true(to_attacker > 0);
    assert_int_equal(p.e[CLIENT].fins, 1);
    assert_false(p.e[CLIENT].is_pattern_broken);
    struct plx_conn_info info;
    plx_conn_info(p.e[SERVER].conn, &info);
    assert_true(plx_addr_eq(&info.peer, &p.e[CLIENT].addr));
    pair_fini(&p);
}

// A client that is gone after its packet was stolen: the false path is given up for the old one, which is silent.
static bool thief_and_silence(struct pair *pair, struct pair_dgram *d)
{
    bool was_first = stolen == 0;
    return thief(pair, d) && (d->to == CLIENT || was_first);
}

static void test_return(void **state)
{
    (void)state;
    pair_init(&p, 6);
    p.e[SERVER].cfg.idle_timeout = PLX_SEC(20);
    pair_establish(&p);
    pair_run(&p, PLX_MS(200));
    to_attacker = stolen = 0;
    p.filter = thief_and_silence;
    assert_non_null(pair_request(&p, 100));
    pair_run(&p, PLX_MS(500));
    const struct plx_conn *s = p.e[SERVER].conn;
    assert_true(plx_addr_eq(&s->paths.v[s->paths.active].peer, &attacker));
    pair_run(&p, PLX_SEC(8));
    assert_true(plx_addr_eq(&s->paths.v[s->paths.active].peer, &p.e[CLIENT].addr));
    pair_run(&p, PLX_SEC(40));
    assert_int_equal(p.e[SERVER].dead, 1);
    assert_int_equal(p.e[SERVER].close.how, PLX_CLOSE_IDLE);
    pair_fini(&p);
}

// --- probes --------------------------------------------------------------------------------------------------------------------------

static struct plx_addr probe_from;
static unsigned answers_to_probe;
static bool is_probing;

static bool probing(struct pair *pair, struct pair_dgram *d)
{
    (void)pair;
    if (d->to == SERVER && is_probing)
        d->from_addr = probe_from;
    if (d->to == CLIENT && plx_addr_eq(&d->to_addr, &probe_from)) {
        answers_to_probe++;
        assert_true(d->len >= PLX_DGRAM_MIN || d->len >= 3 * 60);
        return false;
    }
    return true;
}

static void test_probing_only(void **state)
{
    (void)state;
    pair_init(&p, 7);
    pair_establish(&p);
    pair_run(&p, PLX_MS(200));
    probe_from = p.e[CLIENT].addr;
    probe_from.port++;
    p.filter = probing;
    // The forger puts its datagram onto the wire itself: give it the address that it claims.
    struct plx_addr real = p.e[CLIENT].addr;
    p.e[CLIENT].addr = probe_from;
    uint8_t frames[1100] = {0x1a, 1, 2, 3, 4, 5, 6, 7, 8};
    forge_send(&p, CLIENT, PLX_SPACE_APP, frames, sizeof frames, (struct forge_opt){0});
    p.e[CLIENT].addr = real;
    pair_run(&p, PLX_MS(100));
    const struct plx_conn *s = p.e[SERVER].conn;
    assert_int_equal(answers_to_probe, 1);
    assert_true(plx_addr_eq(&s->paths.v[s->paths.active].peer, &real));
    assert_int_equal(p.e[SERVER].env.stats.migrations, 0);
    pair_fini(&p);
}

// --- what a client and a young server do not accept ----------------------------------------------------------------------------------------

static bool from_elsewhere(struct pair *pair, struct pair_dgram *d)
{
    if (d->to == pair->filter_arg)
        d->from_addr.port++;
    return true;
}

static void test_unknown_server(void **state)
{
    (void)state;
    pair_init(&p, 8);
    pair_establish(&p);
    pair_run(&p, PLX_MS(200));
    p.filter = from_elsewhere;
    p.filter_arg = CLIENT;
    assert_non_null(pair_request(&p, 1000));
    pair_run(&p, PLX_MS(300));
    assert_int_equal(p.e[CLIENT].fins, 0);
    assert_true(p.e[CLIENT].steps[PLX_RX_DROP_STATE] > 0);
    p.filter = NULL;
    pair_run(&p, PLX_SEC(5));
    assert_int_equal(p.e[CLIENT].fins, 1);
    pair_fini(&p);
}

static bool moves_once(struct pair *pair, struct pair_dgram *d)
{
    if (d->to == SERVER && d->order > pair->filter_arg && p.e[SERVER].opened == 0)
        d->from_addr.port++;
    return true;
}

static void test_no_move_during_handshake(void **state)
{
    (void)state;
    pair_init(&p, 9);
    assert_true(pair_connect(&p));
    pair_step(&p);
    p.filter = moves_once;
    p.filter_arg = p.dgrams_sent;
    pair_run(&p, PLX_MS(600));
    assert_int_equal(p.e[SERVER].opened, 0);
    assert_true(p.e[SERVER].steps[PLX_RX_DROP_STATE] > 0);
    p.filter = NULL;
    pair_run(&p, PLX_SEC(4));
    assert_true(pair_is_confirmed(&p));
    pair_fini(&p);
}

// A path that swallows large datagrams without a word: after a few probe timeouts small ones go.
static bool swallow_large(struct pair *pair, struct pair_dgram *d)
{
    (void)pair;
    return d->len <= 1300;
}

static void test_black_hole(void **state)
{
    (void)state;
    pair_init(&p, 10);
    pair_establish(&p);
    p.filter = swallow_large;
    assert_non_null(pair_request(&p, 200000));
    pair_run(&p, PLX_SEC(15));
    assert_int_equal(p.e[CLIENT].fins, 1);
    struct plx_conn_info info;
    plx_conn_info(p.e[SERVER].conn, &info);
    assert_int_equal(info.mtu, PLX_DGRAM_MIN);
    pair_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rebinding),
        cmocka_unit_test(test_many_moves),
        cmocka_unit_test(test_copied_packet),
        cmocka_unit_test(test_return),
        cmocka_unit_test(test_probing_only),
        cmocka_unit_test(test_unknown_server),
        cmocka_unit_test(test_no_move_during_handshake),
        cmocka_unit_test(test_black_hole),
    };
    return cmocka_run_group_tests(tests, pair_group_setup, pair_group_teardown);
}
