// test_conn_handshake.c -- two ends find each other: plainly, after a Retry, over loss, reordering and duplication, resumed, and not at all.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "pair.h"
#include "../base/rows.h"

static struct pair p;

static void assert_open(void)
{
    assert_true(pair_is_confirmed(&p));
    for (int side = 0; side < 2; side++) {
        assert_int_equal(p.e[side].opened, 1);
        assert_int_equal(p.e[side].dead, 0);
        assert_int_equal(p.e[side].steps[PLX_RX_DROP_AUTH], 0);
        assert_int_equal(p.e[side].steps[PLX_RX_DROP_INVALID], 0);
    }
}

static void test_plain(void **state)
{
    (void)state;
    pair_init(&p, 1);
    pair_establish(&p);
    assert_open();
    struct plx_conn_info info;
    for (int side = 0; side < 2; side++) {
        plx_conn_info(p.e[side].conn, &info);
        assert_string_equal(info.alpn, "h3");
        assert_string_equal(info.cipher, "TLS_AES_128_GCM_SHA256");
        assert_true(info.is_confirmed);
        assert_false(info.was_resumed);
        assert_true(info.rtt_min.ns >= PLX_MS(20).ns);
        assert_true(info.handshake.ns >= PLX_MS(20).ns);
        assert_int_equal(info.mtu, 1452);
        assert_int_equal(info.packets_lost, 0);
    }
    assert_int_equal(p.e[CLIENT].sessions, 1);
    assert_int_equal(p.e[CLIENT].tokens, 1);
    pair_run(&p, PLX_MS(500));
    // TLS and all that belongs to it is gone on both sides, and the peer knows further connection IDs.
    for (int side = 0; side < 2; side++) {
        assert_null(p.e[side].conn->hs);
        assert_int_equal(plx_pool_in_use(&p.e[side].handshakes), 0);
        assert_int_equal(p.e[side].cid_count, 4);
        assert_true(plx_cids_peer_has_unused(&p.e[side].conn->peer_cids));
    }
    pair_fini(&p);
}

static void test_retry(void **state)
{
    (void)state;
    pair_init(&p, 2);
    p.with_retry = true;
    pair_establish(&p);
    assert_open();
    pair_fini(&p);
}

// A token of an earlier connection proves the address: no Retry, and no amplification limit.
static void test_new_token_and_resumption(void **state)
{
    (void)state;
    static struct pair q;
    pair_init(&p, 3);
    pair_establish(&p);
    struct conn_session session;
    assert_true(conn_session_read(p.e[CLIENT].session, p.e[CLIENT].session_len, &session));
    assert_int_equal(session.token.len, p.e[CLIENT].token_len);
    assert_memory_equal(session.token.p, p.e[CLIENT].token, session.token.len);
    struct plx_tparams remembered;
    assert_null(plx_tparams_read(session.params.p, session.params.len, true, &remembered));
    assert_int_equal(remembered.initial_max_data, p.e[SERVER].cfg.conn_window);
    pair_init(&q, 4);
    q.with_retry = true;
    q.now = p.now;
    assert_true(pair_connect_with(&q, p.e[CLIENT].session, p.e[CLIENT].session_len, NULL, 0));
    pair_run(&q, PLX_MS(300));
    assert_true(pair_is_confirmed(&q));
    struct plx_conn_info info;
    plx_conn_info(q.e[SERVER].conn, &info);
    assert_true(info.was_resumed);
    plx_conn_info(q.e[CLIENT].conn, &info);
    assert_true(info.was_resumed);
    assert_int_equal(q.e[SERVER].env.stats.resumed, 1);
    assert_int_equal(q.e[SERVER].dgrams_rx, q.e[CLIENT].dgrams_tx);
    assert_int_equal(q.e[CLIENT].conn->hs == NULL || !q.e[CLIENT].conn->hs->was_retried, 1);
    pair_fini(&p);
    pair_fini(&q);
}

// A session that makes no sense is a full handshake, not a failure.
static void test_bad_session(void **state)
{
    (void)state;
    static const uint8_t blobs[][8] = {
        {0}, {1, 0, 200, 1, 1}, {1, 0, 0, 0, 0, 0, 0, 9}, {2, 0, 0, 0, 0, 0, 0}};
    for (size_t i = 0; i < sizeof blobs / sizeof *blobs; i++) {
        pair_init(&p, 5 + i);
        assert_true(pair_connect_with(&p, blobs[i], sizeof blobs[i], NULL, 0));
        pair_run(&p, PLX_MS(300));
        assert_true(pair_is_confirmed(&p));
        pair_fini(&p);
    }
}

// --- loss ------------------------------------------------------------------------------------------------------------------

static bool drop_nth(struct pair *pair, struct pair_dgram *d)
{
    return d->order != pair->filter_arg;
}

static void test_any_single_loss(void **state)
{
    (void)state;
    for (uint64_t lost = 1; lost <= 20; lost++) {
        pair_init(&p, 100 + lost);
        p.filter = drop_nth;
        p.filter_arg = lost;
        EXPECT_ROW(lost, pair_connect(&p));
        pair_run(&p, PLX_MS(2500));
        EXPECT_ROW(lost, pair_is_confirmed(&p));
        EXPECT_ROW(lost, pair_request(&p, 5000) != NULL);
        pair_run(&p, PLX_MS(2500));
        EXPECT_ROW(lost, p.e[CLIENT].fins == 1 && p.e[CLIENT].rx_total == 5000);
        pair_fini(&p);
    }
}

static bool drop_mask(struct pair *pair, struct pair_dgram *d)
{
    return d->order > 64 || !(pair->filter_arg >> (d->order - 1) & 1);
}

static void test_any_two_losses(void **state)
{
    (void)state;
    for (unsigned a = 0; a < 10; a++)
        for (unsigned b = a + 1; b < 12; b++) {
            uint64_t mask = UINT64_C(1) << a | UINT64_C(1) << b;
            pair_init(&p, 200 + mask);
            p.filter = drop_mask;
            p.filter_arg = mask;
            EXPECT_ROW(mask, pair_connect(&p));
            pair_run(&p, PLX_SEC(6));
            EXPECT_ROW(mask, pair_is_confirmed(&p));
            pair_fini(&p);
        }
}

static bool chaos(struct pair *pair, struct pair_dgram *d)
{
    struct plx_prng *r = &pair->e[SERVER].prng;
    if (plx_prng_chance(r, 1, 10))
        return false;
    d->at = plx_time_after(d->at, PLX_US(plx_prng_below(r, 30000)));
    if (plx_prng_chance(r, 1, 8)) { // a copy, later
        struct pair_dgram *copy = pair_wire_put(pair, d->to, d->data, d->len);
        copy->at = plx_time_after(d->at, PLX_US(plx_prng_below(r, 60000)));
        copy->from_addr = d->from_addr;
        copy->to_addr = d->to_addr;
    }
    return true;
}

static void test_chaos(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 60; seed++) {
        pair_init(&p, 1000 + seed);
        p.filter = chaos;
        p.with_retry = seed % 3 == 0;
        p.e[CLIENT].cfg.handshake_timeout = p.e[SERVER].cfg.handshake_timeout = PLX_SEC(60);
        EXPECT_ROW(seed, pair_connect(&p));
        pair_run(&p, PLX_SEC(15));
        EXPECT_ROW(seed, pair_is_confirmed(&p));
        EXPECT_ROW(seed, pair_request(&p, 20000) != NULL);
        pair_run(&p, PLX_SEC(10));
        EXPECT_ROW(seed,
                   p.e[CLIENT].fins == 1 && p.e[CLIENT].rx_total == 20000 && !p.e[CLIENT].is_pattern_broken);
        pair_fini(&p);
    }
}

// The server's second datagram overtakes its first: Handshake packets wait for their keys.
static bool first_is_late(struct pair *pair, struct pair_dgram *d)
{
    if (d->to == CLIENT && d->order == pair->filter_arg)
        d->at =
            plx_time_after(d->at, PLX_MS(1)); // less than an eighth of a round trip: nobody takes it for lost
    return true;
}

static void test_early_packets_are_kept(void **state)
{
    (void)state;
    pair_init(&p, 7);
    p.filter = first_is_late;
    p.filter_arg = 2; // the client's Initials are one or two datagrams; the server's first is the 2nd or 3rd
    assert_true(pair_connect(&p));
    pair_step(&p);
    p.filter_arg = p.dgrams_sent + 1;
    pair_run(&p, PLX_MS(200));
    assert_open();
    assert_int_equal(p.e[CLIENT].steps[PLX_RX_DROP_KEYS], 0);
    assert_int_equal(p.e[CLIENT].conn->recovery.ptos, 0);
    pair_fini(&p);
}

// A request that overtakes the client's Finished waits for it (RFC 9001 section 5.7).
static bool finished_is_late(struct pair *pair, struct pair_dgram *d)
{
    struct plx_pkt_hdr hdr;
    if (d->to == SERVER && pair->e[CLIENT].opened && pair->filter_arg == 0 &&
        plx_pkt_parse(d->data, d->len, PLX_CID_LEN, &hdr) == PLX_PKT_PARSED && hdr.type != PLX_PKT_SHORT) {
        d->at = plx_time_after(d->at, PLX_MS(8));
        pair->filter_arg = 1;
    }
    return true;
}

static void test_early_request(void **state)
{
    (void)state;
    pair_init(&p, 11);
    p.filter = finished_is_late;
    assert_true(pair_connect(&p));
    while (p.e[CLIENT].opened == 0 || p.filter_arg == 0) {
        pair_step(&p);
        p.now = plx_time_after(p.now, PLX_MS(1));
    }
    assert_non_null(pair_request(&p, 5000));
    pair_run(&p, PLX_MS(11));
    assert_int_equal(p.e[SERVER].opened, 0);
    assert_int_equal(p.e[SERVER].conn->hs->stash_count, 1);
    pair_run(&p, PLX_MS(100));
    assert_open();
    assert_int_equal(p.e[CLIENT].fins, 1);
    assert_int_equal(p.e[CLIENT].conn->recovery.ptos, 0);
    pair_fini(&p);
}

// --- TLS says no -----------------------------------------------------------------------------------------------------------------

// Alerts become errors on both sides (RFC 9001 section 4.8).
static void test_tls_refuses(void **state)
{
    (void)state;
    static char ca[128];
    static const char *const other_alpn[] = {"something-else"};
    char err[256];
    snprintf(ca, sizeof ca, "%s/ca.pem", certs_dir);
    struct plx_tls_cfg alpn = {.ca_file = ca, .verify_peer = true, .alpn = other_alpn, .alpn_count = 1};
    static char wrong_ca[128];
    snprintf(wrong_ca, sizeof wrong_ca, "%s/other.pem", certs_dir);
    struct plx_tls_cfg roots = {.ca_file = wrong_ca, .verify_peer = true};
    const struct {
        const struct plx_tls_cfg *cfg;
        int offended;
        uint64_t code; // 0: any alert
    } row[] = {{&alpn, SERVER, PLX_QUIC_CRYPTO_ERROR + 120}, {&roots, CLIENT, 0}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct plx_tls_ctx *ctx = plx_tls_ctx_new(row[i].cfg, err, sizeof err);
        assert_non_null(ctx);
        pair_init(&p, 12);
        p.e[CLIENT].env.tls_client = ctx;
        assert_true(pair_connect(&p));
        pair_run(&p, PLX_SEC(5));
        const struct plx_close_info *mine = &p.e[row[i].offended].close,
                                    *theirs = &p.e[!row[i].offended].close;
        EXPECT_ROW(i, p.e[CLIENT].dead == 1 && p.e[SERVER].dead == 1);
        EXPECT_ROW(i, !mine->is_peer && theirs->is_peer && mine->code == theirs->code);
        EXPECT_ROW(i, mine->code > PLX_QUIC_CRYPTO_ERROR && mine->code <= PLX_QUIC_CRYPTO_ERROR + 255);
        EXPECT_ROW(i, row[i].code == 0 || mine->code == row[i].code);
        EXPECT_ROW(i, mine->reason[0] != 0 && strcmp(mine->reason, theirs->reason) == 0);
        EXPECT_ROW(i, p.e[CLIENT].opened == 0 && p.e[SERVER].opened == 0);
        pair_fini(&p);
        plx_tls_ctx_free(ctx);
    }
}

// --- not at all --------------------------------------------------------------------------------------------------------------

static bool drop_all(struct pair *pair, struct pair_dgram *d)
{
    (void)pair, (void)d;
    return false;
}

static void test_nobody_there(void **state)
{
    (void)state;
    pair_init(&p, 8);
    p.filter = drop_all;
    assert_true(pair_connect(&p));
    pair_run(&p, PLX_SEC(9));
    assert_int_equal(p.e[CLIENT].dead, 0);
    assert_true(p.e[CLIENT].dgrams_tx >= 4); // probes go on
    pair_run(&p, PLX_SEC(2));
    assert_int_equal(p.e[CLIENT].dead, 1);
    assert_int_equal(p.e[CLIENT].close.how, PLX_CLOSE_HANDSHAKE_TIMEOUT);
    assert_int_equal(p.e[CLIENT].env.stats.handshakes_failed, 1);
    pair_fini(&p);
}

static void vneg_to_client(const uint32_t *versions, size_t count, bool is_right_cid)
{
    uint8_t out[128];
    struct plx_conn *c = p.e[CLIENT].conn;
    struct plx_cid dcid = c->cids.v[0].cid, scid = c->hs->first_dcid;
    if (!is_right_cid)
        scid.bytes[0] ^= 1;
    struct plx_wr w = plx_wr_init(out, sizeof out);
    assert_true(plx_pkt_write_vneg(&w, &dcid, &scid, versions, count, 3));
    pair_wire_put(&p, CLIENT, out, (uint16_t)(w.p - out));
}

static void test_version_negotiation(void **state)
{
    (void)state;
    static const uint32_t others[] = {0x6b3343cf, 0xff00001d}, with_ours[] = {0x6b3343cf, PLX_QUIC_V1};
    static const struct {
        const uint32_t *v;
        bool is_right_cid;
        unsigned dead;
    } row[] = {
        {others, true, 1},
        {others, false, 0},
        {with_ours, true, 0},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        pair_init(&p, 9);
        p.filter = drop_all;
        assert_true(pair_connect(&p));
        pair_step(&p);
        vneg_to_client(row[i].v, 2, row[i].is_right_cid);
        pair_run(&p, PLX_MS(50));
        EXPECT_ROW(i, p.e[CLIENT].dead == row[i].dead);
        EXPECT_ROW(i, row[i].dead == 0 || p.e[CLIENT].close.how == PLX_CLOSE_VERSION);
        pair_fini(&p);
    }
    // Once the server has spoken nobody is believed any more.
    pair_init(&p, 10);
    assert_true(pair_connect(&p));
    struct plx_cid first = p.e[CLIENT].conn->hs->first_dcid;
    pair_run(&p, PLX_MS(25));
    assert_true(p.e[CLIENT].conn->hs->is_processed);
    p.e[CLIENT].conn->hs->first_dcid = first;
    vneg_to_client(others, 2, true);
    pair_run(&p, PLX_MS(300));
    assert_open();
    pair_fini(&p);
}

// --- Retry: what a client does not believe -------------------------------------------------------------------------------------

static void retry_to_client(int what)
{
    static const uint8_t token[] = "token";
    uint8_t out[256];
    struct plx_conn *c = p.e[CLIENT].conn;
    struct plx_cid odcid = c->hs->first_dcid, scid = {.len = 8, .bytes = {1, 2, 3}};
    if (what == 1)
        scid = odcid; // section 17.2.5.1
    if (what == 3)
        odcid.bytes[0] ^= 1;
    struct plx_wr w = plx_wr_init(out, sizeof out);
    assert_true(plx_pkt_write_retry(&w, PLX_QUIC_V1, &c->cids.v[0].cid, &scid, token, what == 2 ? 0 : 5, 0));
    size_t len = (size_t)(w.p - out);
    plx_retry_tag(pair_aead, PLX_QUIC_V1, odcid.bytes, odcid.len, out, len, out + len);
    if (what == 4)
        out[len + 3] ^= 1;
    pair_wire_put(&p, CLIENT, out, (uint16_t)(len + 16));
}

static void test_retry_refused(void **state)
{
    (void)state;
    for (int what = 0; what <= 5; what++) {
        pair_init(&p, 20);
        p.filter = drop_all;
        assert_true(pair_connect(&p));
        pair_step(&p);
        retry_to_client(what);
        pair_run(&p, PLX_MS(15));
        EXPECT_ROW(what, p.e[CLIENT].conn->hs->was_retried == (what == 0 || what == 5));
        if (what == 5) { // only one
            uint64_t tx = p.e[CLIENT].dgrams_tx;
            unsigned drops = p.e[CLIENT].steps[PLX_RX_DROP_STATE];
            retry_to_client(0);
            pair_run(&p, PLX_MS(15));
            EXPECT_ROW(what, p.e[CLIENT].dgrams_tx == tx);
            EXPECT_ROW(what, p.e[CLIENT].steps[PLX_RX_DROP_STATE] == drops + 1);
        }
        pair_fini(&p);
    }
}

// A Retry that did not come from the server: its transport parameters do not mention it.
static void test_retry_unmentioned(void **state)
{
    (void)state;
    pair_init(&p, 21);
    p.filter = drop_all;
    assert_true(pair_connect(&p));
    pair_step(&p);
    p.filter = NULL;
    retry_to_client(0);
    pair_run(&p, PLX_MS(15));
    assert_true(p.e[CLIENT].conn->hs->was_retried);
    pair_run(&p, PLX_SEC(2));
    assert_int_equal(p.e[CLIENT].dead, 1);
    assert_int_equal(p.e[CLIENT].close.code, PLX_QUIC_TRANSPORT_PARAMETER_ERROR);
    pair_fini(&p);
}

// RFC 9000 section 7.3: the connection IDs in the transport parameters are those of the packets.
enum {
    WHAT_RIGHT,
    WHAT_NO_SCID,
    WHAT_OTHER_SCID,
    WHAT_NO_ODCID,
    WHAT_OTHER_ODCID,
    WHAT_RETRY_UNSAID,
    WHAT_RETRY_MISSING,
    WHAT_RETRY_OTHER,
    WHAT_COUNT
};

static struct plx_tparams right_params(const struct plx_conn *c)
{
    struct plx_tparams t;
    plx_tparams_init(&t);
    t.has_initial_scid = true;
    t.initial_scid = plx_cids_peer_get(&c->peer_cids, 0)->cid;
    t.has_original_dcid = !c->is_server;
    t.original_dcid = c->hs->original_dcid;
    return t;
}

static uint64_t try_params(struct plx_conn *c, const struct plx_tparams *t)
{
    uint8_t buf[PLX_TPARAMS_LEN_MAX];
    struct plx_wr w = plx_wr_init(buf, sizeof buf);
    assert_true(plx_tparams_write(&w, t, 0));
    return conn_params_read(c, buf, (size_t)(w.p - buf)) ? 0 : c->close_code;
}

static void test_params_must_match(void **state)
{
    (void)state;
    for (int victim = 0; victim < 2; victim++)
        for (int what = 0; what < (victim == CLIENT ? WHAT_COUNT : WHAT_NO_ODCID); what++) {
            pair_init(&p, 22);
            assert_true(pair_connect(&p));
            pair_step(&p);
            p.now = plx_time_after(p.now, p.delay);
            pair_deliver(&p, pair_wire_next(&p, p.now));
            struct plx_conn *c = p.e[victim].conn;
            struct plx_tparams t = right_params(c);
            t.has_initial_scid = what != WHAT_NO_SCID;
            t.initial_scid.bytes[7] ^= what == WHAT_OTHER_SCID;
            t.has_original_dcid &= what != WHAT_NO_ODCID;
            t.original_dcid.bytes[0] ^= what == WHAT_OTHER_ODCID;
            t.has_retry_scid = what == WHAT_RETRY_UNSAID || what == WHAT_RETRY_OTHER;
            t.retry_scid = (struct plx_cid){.len = 4, .bytes = {1}};
            c->hs->was_retried = what == WHAT_RETRY_MISSING || what == WHAT_RETRY_OTHER;
            c->hs->retry_scid = (struct plx_cid){.len = 4, .bytes = {2}};
            uint64_t want = what == WHAT_RIGHT ? 0 : PLX_QUIC_TRANSPORT_PARAMETER_ERROR;
            EXPECT_ROW(what + 100 * victim, try_params(c, &t) == want);
            pair_fini(&p);
        }
}

// What only a server may send, and what nobody may.
static void test_params_from_a_client(void **state)
{
    (void)state;
    for (int what = 0; what < 4; what++) {
        pair_init(&p, 23);
        assert_true(pair_connect(&p));
        pair_step(&p);
        p.now = plx_time_after(p.now, p.delay);
        pair_deliver(&p, pair_wire_next(&p, p.now));
        struct plx_conn *c = p.e[SERVER].conn;
        struct plx_tparams t = right_params(c);
        t.has_reset_token = what == 0;
        t.has_original_dcid = what == 1;
        t.has_retry_scid = what == 2;
        t.max_ack_delay_ms = what == 3 ? 1u << 14 : 25;
        EXPECT_ROW(what, try_params(c, &t) == PLX_QUIC_TRANSPORT_PARAMETER_ERROR);
        pair_fini(&p);
    }
}

// --- limits --------------------------------------------------------------------------------------------------------------------

static bool client_only_once(struct pair *pair, struct pair_dgram *d)
{
    return d->to == CLIENT ? false : d->order <= pair->filter_arg;
}

// RFC 9000 section 8.1: never more than three times what came, however long it takes.
static void test_amplification(void **state)
{
    (void)state;
    for (uint64_t heard = 1; heard <= 2; heard++) {
        pair_init(&p, 30);
        p.filter = client_only_once;
        p.filter_arg = heard;
        assert_true(pair_connect(&p));
        pair_run(&p, PLX_SEC(8));
        struct pair_end *e = &p.e[SERVER];
        EXPECT_ROW(heard, e->dgrams_rx == heard);
        EXPECT_ROW(heard, e->bytes_tx <= 3 * e->bytes_rx);
        // The ClientHello takes two datagrams: one alone is only acknowledged.
        EXPECT_ROW(heard, heard == 1 ? e->bytes_tx > 0 : e->bytes_tx >= 2 * PLX_DGRAM_MIN);
        pair_fini(&p);
    }
}

static bool client_initials_are_large(struct pair *pair, struct pair_dgram *d)
{
    (void)pair;
    struct plx_pkt_hdr hdr;
    if (plx_pkt_parse(d->data, d->len, PLX_CID_LEN, &hdr) == PLX_PKT_PARSED && hdr.type == PLX_PKT_INITIAL &&
        d->to == SERVER)
        assert_true(d->len >= PLX_DGRAM_MIN);
    return true;
}

static void test_initials_are_padded(void **state)
{
    (void)state;
    pair_init(&p, 31);
    p.filter = client_initials_are_large;
    pair_establish(&p);
    assert_open();
    pair_fini(&p);
}

// Noise that looks like an Initial makes no connection that stays.
static void test_noise(void **state)
{
    (void)state;
    pair_init(&p, 32);
    uint8_t noise[1200];
    app_random(&p.e[CLIENT], noise, sizeof noise);
    static const uint8_t head[] = {0xc0, 0, 0, 0, 1, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0x44, 0x9e};
    memcpy(noise, head, sizeof head);
    pair_wire_put(&p, SERVER, noise, sizeof noise);
    pair_run(&p, PLX_MS(20));
    assert_int_equal(p.e[SERVER].steps[PLX_RX_DROP_AUTH], 1);
    assert_int_equal(p.e[SERVER].dead, 1);
    assert_null(p.e[SERVER].conn);
    assert_int_equal(p.e[SERVER].dgrams_tx, 0);
    pair_fini(&p);
}

// Empty pools are refusals, not failures.
static void test_empty_pools(void **state)
{
    (void)state;
    pair_init(&p, 33);
    void *a = plx_pool_take(&p.e[CLIENT].handshakes), *b = plx_pool_take(&p.e[CLIENT].handshakes);
    assert_false(pair_connect(&p));
    plx_pool_give(&p.e[CLIENT].handshakes, a);
    plx_pool_give(&p.e[CLIENT].handshakes, b);
    a = plx_pool_take(&p.e[SERVER].keys), b = plx_pool_take(&p.e[SERVER].keys);
    assert_true(pair_connect(&p));
    pair_run(&p, PLX_MS(200));
    assert_int_equal(p.e[CLIENT].close.is_peer || p.e[CLIENT].conn != NULL, 1);
    pair_run(&p, PLX_SEC(5));
    assert_int_equal(p.e[CLIENT].close.code, PLX_QUIC_INTERNAL_ERROR);
    assert_true(p.e[CLIENT].close.is_peer);
    plx_pool_give(&p.e[SERVER].keys, a);
    plx_pool_give(&p.e[SERVER].keys, b);
    pair_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_retry),
        cmocka_unit_test(test_new_token_and_resumption),
        cmocka_unit_test(test_bad_session),
        cmocka_unit_test(test_any_single_loss),
        cmocka_unit_test(test_any_two_losses),
        cmocka_unit_test(test_chaos),
        cmocka_unit_test(test_early_packets_are_kept),
        cmocka_unit_test(test_early_request),
        cmocka_unit_test(test_tls_refuses),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_version_negotiation),
        cmocka_unit_test(test_retry_refused),
        cmocka_unit_test(test_retry_unmentioned),
        cmocka_unit_test(test_params_must_match),
        cmocka_unit_test(test_params_from_a_client),
        cmocka_unit_test(test_amplification),
        cmocka_unit_test(test_initials_are_padded),
        cmocka_unit_test(test_noise),
        cmocka_unit_test(test_empty_pools),
    };
    return cmocka_run_group_tests(tests, pair_group_setup, pair_group_teardown);
}
