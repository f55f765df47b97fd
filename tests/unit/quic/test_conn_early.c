// test_conn_early.c -- 0-RTT between two connections: accepted, refused, retried, lost, forged.

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "forge.h"

enum { ANSWER = 4000 };

// A first visit, whose session is kept at the client; then the server is a new one of the same process.
static void visit(struct pair *p)
{
    pair_establish(p);
    pair_run(p, PLX_MS(300));
    plx_check(p->e[CLIENT].sessions == 1);
    for (int side = 0; side < 2; side++)
        pair_end_free(&p->e[side]);
    for (int i = 0; i < PAIR_DGRAMS; i++)
        p->dgrams[i].is_used = false;
    for (int side = 0; side < 2; side++) {
        struct pair_end *e = &p->e[side];
        e->opened = e->dead = e->earlies = e->sessions = e->closed_streams = 0;
        e->rx_total = e->rx_requests = e->fins = 0;
        memset(e->steps, 0, sizeof e->steps);
        memset(&e->env.stats, 0, sizeof e->env.stats);
    }
    p->e[CLIENT].wants_early = true;
}

static void ask(struct pair_end *e, struct plx_conn *c)
{
    (void)c;
    if (e->side == CLIENT)
        assert_non_null(pair_request(e->pair, ANSWER));
}

static void init_with(struct pair *p, uint64_t seed, bool has_token)
{
    pair_init(p, seed);
    if (!has_token)
        p->e[SERVER].env.token_keys = NULL;
    for (int side = 0; side < 2; side++)
        p->e[side].cfg.early_data = true;
    visit(p);
    p->e[CLIENT].on_early = ask;
}

static void init(struct pair *p, uint64_t seed)
{
    init_with(p, seed, true);
}

static bool connect(struct pair *p)
{
    struct pair_end *e = &p->e[CLIENT];
    return pair_connect_with(p, e->session, e->session_len, NULL, 0);
}

static enum plx_early verdict(const struct pair *p, int side)
{
    struct plx_conn_info info;
    plx_conn_info(p->e[side].conn, &info);
    return info.early;
}

static void all_is_well(struct pair *p, enum plx_early early)
{
    assert_true(pair_is_confirmed(p));
    assert_int_equal(p->e[CLIENT].rx_total, ANSWER);
    assert_int_equal(p->e[CLIENT].fins, 1);
    assert_int_equal(p->e[SERVER].rx_requests, 1); // once, not twice
    assert_int_equal(p->e[CLIENT].is_pattern_broken || p->e[SERVER].is_pattern_broken, 0);
    assert_int_equal(p->e[CLIENT].earlies, 1);
    assert_int_equal(p->e[SERVER].earlies, early == PLX_EARLY_ACCEPTED);
    assert_int_equal(verdict(p, CLIENT), early);
    assert_int_equal(verdict(p, SERVER), early);
    for (int side = 0; side < 2; side++) {
        const struct plx_conn_stats *s = &p->e[side].env.stats;
        assert_int_equal(p->e[side].opened, 1);
        assert_int_equal(s->resumed, early == PLX_EARLY_ACCEPTED || s->resumed);
        assert_int_equal(s->early_accepted, early == PLX_EARLY_ACCEPTED);
        assert_int_equal(s->early_refused, early == PLX_EARLY_REFUSED);
        plx_conn_verify(p->e[side].conn);
    }
}

static unsigned zero_rtt_seen;

// Counts datagrams that hold a 0-RTT packet, as an observer sees them: behind the Initials.
static bool count_zero_rtt(struct pair *p, struct pair_dgram *d)
{
    uint16_t at = 0;
    struct plx_pkt_hdr hdr;
    (void)p;
    while (at < d->len && plx_pkt_parse(d->data + at, d->len - at, PLX_CID_LEN, &hdr) == PLX_PKT_PARSED) {
        if (hdr.type == PLX_PKT_ZERO_RTT)
            zero_rtt_seen += d->to == SERVER ? 1 : 1000; // a server sends none
        at = (uint16_t)(at + hdr.pkt_len);
    }
    return true;
}

// The answer is there after one round trip: with the first flight of the server.
static void test_accepted(void **state)
{
    struct pair p;
    (void)state;
    init(&p, 1);
    zero_rtt_seen = 0;
    p.filter = count_zero_rtt;
    assert_true(connect(&p));
    pair_run(&p, PLX_MS(15));
    assert_int_equal(p.e[SERVER].rx_requests, 1);
    assert_int_equal(plx_conn_state(p.e[SERVER].conn), PLX_CONN_HANDSHAKE);
    assert_int_equal(p.e[SERVER].opened, 0);
    assert_true(zero_rtt_seen >= 1 && zero_rtt_seen < 1000);
    pair_run(&p, PLX_MS(10));
    assert_true(p.e[CLIENT].rx_total > 0); // as much of it as the address is trusted with
    pair_run(&p, PLX_MS(500));
    all_is_well(&p, PLX_EARLY_ACCEPTED);
    assert_null(p.e[SERVER].conn->hs); // and its early keys
    pair_fini(&p);
}

static void test_not_wanted(void **state)
{
    struct pair p;
    (void)state;
    init(&p, 2);
    p.e[CLIENT].wants_early = false;
    assert_true(connect(&p));
    pair_run(&p, PLX_MS(500));
    assert_true(pair_is_confirmed(&p));
    assert_int_equal(p.e[CLIENT].earlies + p.e[SERVER].earlies, 0);
    assert_int_equal(verdict(&p, CLIENT), PLX_EARLY_NONE);
    pair_fini(&p);
}

// By its owner, by limits that are lower now, and by a server without early data altogether.
static void test_refused(void **state)
{
    (void)state;
    for (unsigned why = 0; why < 4; why++) {
        struct pair p;
        init(&p, 3 + why);
        struct plx_quic_cfg *cfg = &p.e[SERVER].cfg;
        if (why == 0)
            p.e[SERVER].refuses_early = true;
        if (why == 1)
            cfg->conn_window -= 1;
        if (why == 2)
            cfg->streams_bidi = 5;
        if (why == 3)
            cfg->stream_window /= 2;
        assert_true(connect(&p));
        pair_run(&p, PLX_MS(500));
        all_is_well(&p, PLX_EARLY_REFUSED);
        const struct plx_streams *ss = &p.e[CLIENT].conn->streams;
        assert_int_equal(ss->peer.max_data, cfg->conn_window); // not what was remembered
        assert_int_equal(ss->peer.max_streams_bidi, cfg->streams_bidi);
        pair_fini(&p);
    }
}

// Higher limits are no reason: they are in force when the handshake is complete.
static void test_limits_raised(void **state)
{
    struct pair p;
    (void)state;
    init(&p, 9);
    p.e[SERVER].cfg.conn_window *= 2;
    p.e[SERVER].cfg.streams_bidi += 3;
    assert_true(connect(&p));
    pair_run(&p, PLX_MS(500));
    all_is_well(&p, PLX_EARLY_ACCEPTED);
    assert_int_equal(p.e[CLIENT].conn->streams.peer.max_data, p.e[SERVER].cfg.conn_window);
    pair_fini(&p);
}

static void ask_six(struct pair_end *e, struct plx_conn *c)
{
    (void)c;
    for (int i = 0; i < 6 && e->side == CLIENT; i++)
        assert_non_null(pair_request(e->pair, 10));
}

// Refused, and what was used is more than the server now allows: nothing can be made of that.
static void test_refused_beyond_repair(void **state)
{
    struct pair p;
    (void)state;
    init(&p, 10);
    p.e[SERVER].cfg.streams_bidi = 5;
    p.e[CLIENT].on_early = ask_six;
    assert_true(connect(&p));
    pair_run(&p, PLX_MS(500));
    assert_int_equal(p.e[CLIENT].dead + p.e[SERVER].dead > 0, 1);
    assert_int_equal(p.e[SERVER].rx_requests, 0);
    pair_fini(&p);
}

static void test_retry(void **state)
{
    struct pair p;
    (void)state;
    init_with(&p, 11, false); // who has a token is believed without Retry
    p.with_retry = true;
    p.filter = count_zero_rtt;
    zero_rtt_seen = 0;
    assert_true(connect(&p));
    pair_run(&p, PLX_MS(500));
    all_is_well(&p, PLX_EARLY_ACCEPTED);
    assert_true(zero_rtt_seen >= 2); // before it and after it
    pair_fini(&p);
}

static bool drop_nth(struct pair *p, struct pair_dgram *d)
{
    return d->order != p->filter_arg;
}

// Each of the first datagrams lost, whoever sent it.
static void test_loss(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth <= 12; nth++)
        for (unsigned refuses = 0; refuses < 2; refuses++) {
            struct pair p;
            init(&p, 100 + nth);
            p.e[SERVER].refuses_early = refuses;
            p.filter = drop_nth;
            p.filter_arg = p.dgrams_sent + nth;
            assert_true(connect(&p));
            pair_run(&p, PLX_SEC(6));
            enum plx_early early = refuses ? PLX_EARLY_REFUSED : PLX_EARLY_ACCEPTED;
            if (nth == 1 && !refuses && verdict(&p, SERVER) == PLX_EARLY_REFUSED)
                early = PLX_EARLY_REFUSED; // the ClientHello came in two halves, the second twice
            all_is_well(&p, early);
            pair_fini(&p);
        }
}

static bool late_first(struct pair *p, struct pair_dgram *d)
{
    if (d->order == p->filter_arg)
        d->at = plx_time_after(d->at, PLX_MS(3));
    return true;
}

// The first datagram comes last: what was behind it waits, or is sent again.
static void test_reordered(void **state)
{
    struct pair p;
    (void)state;
    init(&p, 12);
    p.filter = late_first;
    p.filter_arg = p.dgrams_sent + 1;
    assert_true(connect(&p));
    pair_run(&p, PLX_SEC(2));
    all_is_well(&p, PLX_EARLY_ACCEPTED);
    pair_fini(&p);
}

// --- forged ------------------------------------------------------------------------------------------------------------------

// A 0-RTT packet with any payload, with the client's own key.
static void forge_early(struct pair *p, const void *payload, size_t len, uint8_t first_xor)
{
    struct plx_conn *c = p->e[CLIENT].conn;
    uint8_t out[PAIR_DGRAM_LEN];
    const struct forged how = {
        .space = PLX_SPACE_APP, .is_early = true, .pn = c->space.next_pn++, .first_xor = first_xor};
    size_t out_len = forged_write(c, &how, payload, len, out, sizeof out);
    struct pair_dgram *d = pair_wire_put(p, SERVER, out, (uint16_t)out_len);
    d->at = p->now;
    pair_deliver(p, d);
}

// The client's first flight has arrived and early keys are there; nothing that the server says comes back.
static void reach_early(struct pair *p)
{
    assert_true(connect(p));
    pair_step(p);
    p->filter = forge_drop_late;
    p->filter_arg = (uint64_t)FORGE_FIRST << 32 | p->dgrams_sent;
    pair_run(p, PLX_MS(12));
    assert_non_null(p->e[SERVER].conn);
    assert_int_equal(p->e[SERVER].earlies, 1);
    for (int i = 0; i < PAIR_DGRAMS; i++) // the server's flight is lost
        p->dgrams[i].is_used = false;
}

static void test_frames_that_do_not_belong(void **state)
{
    static const struct {
        const char *name;
        uint8_t len, payload[24];
        uint64_t error;
    } row[] = {
        {"PING", 4, {0x01, 0, 0, 0}, 0},
        {"MAX_DATA", 4, {0x10, 0x05, 0, 0}, 0},
        {"ACK", 5, {0x02, 0, 0, 0, 0}, PLX_QUIC_PROTOCOL_VIOLATION},
        {"CRYPTO", 4, {0x06, 0, 1, 0}, PLX_QUIC_PROTOCOL_VIOLATION},
        {"NEW_TOKEN", 4, {0x07, 1, 1, 0}, PLX_QUIC_PROTOCOL_VIOLATION},
        {"PATH_RESPONSE", 9, {0x1b, 1, 2, 3, 4, 5, 6, 7, 8}, PLX_QUIC_PROTOCOL_VIOLATION},
        {"RETIRE_CONNECTION_ID", 4, {0x19, 0, 0, 0}, PLX_QUIC_PROTOCOL_VIOLATION},
        {"HANDSHAKE_DONE", 4, {0x1e, 0, 0, 0}, PLX_QUIC_PROTOCOL_VIOLATION},
        {"nothing", 0, {0}, PLX_QUIC_PROTOCOL_VIOLATION},
    };
    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct pair p;
        struct plx_close_info why;
        init(&p, 20 + i);
        reach_early(&p);
        forge_early(&p, row[i].payload, row[i].len, 0);
        struct plx_conn *server = p.e[SERVER].conn;
        assert_int_equal(plx_conn_state(server) == PLX_CONN_HANDSHAKE, row[i].error == 0);
        plx_conn_close_info(server, &why);
        if (row[i].error != 0 && why.code != row[i].error)
            fail_msg("%s: error 0x%llx", row[i].name, (unsigned long long)why.code);
        p.filter = NULL;
        pair_fini(&p);
    }
}

static void test_forged_headers(void **state)
{
    struct pair p;
    (void)state;
    init(&p, 40);
    reach_early(&p);
    unsigned bad = p.e[SERVER].steps[PLX_RX_DROP_AUTH];
    forge_early(&p, (const uint8_t[]){1, 0, 0, 0}, 4, 0);
    assert_int_equal(plx_conn_state(p.e[SERVER].conn), PLX_CONN_HANDSHAKE);
    // The same number again.
    p.e[CLIENT].conn->space.next_pn--;
    forge_early(&p, (const uint8_t[]){1, 0, 0, 0}, 4, 0);
    assert_int_equal(p.e[SERVER].steps[PLX_RX_DROP_DUPLICATE], 1);
    // Another key.
    p.e[CLIENT].conn->hs->early.key = p.e[CLIENT].conn->hs->level[PLX_SPACE_INITIAL].tx;
    forge_early(&p, (const uint8_t[]){1, 0, 0, 0}, 4, 0);
    assert_int_equal(p.e[SERVER].steps[PLX_RX_DROP_AUTH], bad + 1);
    assert_int_equal(plx_conn_state(p.e[SERVER].conn), PLX_CONN_HANDSHAKE);
    p.filter = NULL;
    pair_fini(&p);

    init(&p, 41);
    reach_early(&p);
    forge_early(&p, (const uint8_t[]){1, 0, 0, 0}, 4, 0x04); // a reserved bit
    assert_int_equal(plx_conn_state(p.e[SERVER].conn), PLX_CONN_CLOSING);
    p.filter = NULL;
    pair_fini(&p);
}

// 0-RTT packets where there is no key for them: refused, not there any more, or sent to a client.
static void test_without_keys(void **state)
{
    struct pair p;
    (void)state;
    init(&p, 50);
    p.e[SERVER].refuses_early = true;
    assert_true(connect(&p));
    pair_run(&p, PLX_MS(15));
    assert_true(p.e[SERVER].steps[PLX_RX_DROP_KEYS] >= 1);
    assert_int_equal(p.e[SERVER].conn->hs->stash_count, 0); // nothing waits for what will not come
    pair_run(&p, PLX_MS(500));
    all_is_well(&p, PLX_EARLY_REFUSED);
    pair_fini(&p);

    init(&p, 51);
    assert_true(connect(&p));
    struct conn_early early = p.e[CLIENT].conn->hs->early;
    pair_run(&p, PLX_MS(500));
    all_is_well(&p, PLX_EARLY_ACCEPTED);
    unsigned before = p.e[SERVER].steps[PLX_RX_DROP_KEYS];
    struct conn_hs hs = {.early = early};
    p.e[CLIENT].conn->hs = &hs;
    forge_early(&p, (const uint8_t[]){1, 0, 0, 0}, 4, 0);
    p.e[CLIENT].conn->hs = NULL;
    assert_int_equal(p.e[SERVER].steps[PLX_RX_DROP_KEYS], before + 1);
    assert_true(pair_is_confirmed(&p));
    pair_fini(&p);
}

// A session that somebody has damaged, or of an older form: a full handshake, or a resumed one without early data.
static void test_damaged_session(void **state)
{
    (void)state;
    for (size_t cut = 0; cut < 300; cut += 7) {
        struct pair p;
        init(&p, 60);
        struct pair_end *e = &p.e[CLIENT];
        p.e[CLIENT].on_early = NULL;
        if (cut < e->session_len)
            e->session[cut] ^= 0x55;
        if (pair_connect_with(&p, e->session, e->session_len, NULL, 0)) {
            pair_run(&p, PLX_SEC(20));
            assert_int_equal(e->dead > 0 || pair_is_confirmed(&p), 1);
        }
        pair_fini(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_not_wanted),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_limits_raised),
        cmocka_unit_test(test_refused_beyond_repair),
        cmocka_unit_test(test_retry),
        cmocka_unit_test(test_loss),
        cmocka_unit_test(test_reordered),
        cmocka_unit_test(test_frames_that_do_not_belong),
        cmocka_unit_test(test_forged_headers),
        cmocka_unit_test(test_without_keys),
        cmocka_unit_test(test_damaged_session),
    };
    return cmocka_run_group_tests(tests, pair_group_setup, pair_group_teardown);
}
