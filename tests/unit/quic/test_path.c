// test_path.c -- paths: amplification limit, validation, a peer that moves, one that only seems to, and moving ourselves.

#include "quic/path/path.h"

#include "../base/rows.h"

static struct plx_paths ps;
static struct plx_cids_peer cids;
static struct plx_addr a, b, a2, local, local2; // a2: a with another port
static uint8_t challenge[PLX_PATH_DATA_LEN];    // the last one written

#define PTO PLX_MS(100)

static plx_time at(uint64_t ms)
{
    return (plx_time){PLX_MS(ms).ns};
}

static void init(bool is_server, bool is_validated)
{
    struct plx_cid first = {.len = 8, .bytes = "00000000"};
    assert_true(plx_addr_parse("192.0.2.1:1000", &a) && plx_addr_parse("198.51.100.1:1000", &b));
    assert_true(plx_addr_parse("192.0.2.1:2000", &a2));
    assert_true(plx_addr_parse("203.0.113.1:443", &local) && plx_addr_parse("203.0.113.2:443", &local2));
    plx_paths_init(&ps, is_server, &a, &local, is_validated, 1400);
    plx_cids_peer_init(&cids, &first, PLX_CIDS_PEER_MAX);
    for (uint64_t seq = 1; seq < PLX_CIDS_PEER_MAX; seq++) {
        struct plx_frame_new_connection_id f = {.seq = seq, .cid = {.len = 8}};
        memset(f.cid.bytes, (int)seq, 8);
        assert_int_equal(plx_cids_peer_on_new(&cids, &f), 0);
    }
    plx_paths_verify(&ps);
}

static uint8_t from(const struct plx_addr *peer, size_t bytes)
{
    uint8_t idx = plx_paths_on_datagram(&ps, &cids, peer, &local, bytes);
    plx_paths_verify(&ps);
    plx_cids_peer_verify(&cids);
    return idx;
}

static enum plx_path_event packet(const struct plx_addr *peer, bool is_newest, bool is_probing, uint64_t ms)
{
    enum plx_path_event e =
        plx_paths_on_packet(&ps, &cids, from(peer, 1200), is_newest, is_probing, at(ms), PTO);
    plx_paths_verify(&ps);
    plx_cids_peer_verify(&cids);
    return e;
}

// Writes what a path has to say: the types of its frames, "RRC" for two responses and a challenge.
static const char *say(uint8_t idx, uint64_t ms, char text[16])
{
    uint8_t buf[200], random[PLX_PATH_DATA_LEN];
    static uint8_t n;
    struct plx_wr w = plx_wr_init(buf, sizeof buf);
    struct plx_refs refs = {.count = 0};
    struct plx_frame f;
    size_t len = 0;

    memset(random, ++n, sizeof random);
    bool is_any = plx_path_write(&ps.v[idx], &w, &refs, random, at(ms));
    plx_path_on_sent(&ps.v[idx], 1200);
    struct plx_rd r = plx_rd_init(buf, (size_t)(w.p - buf));
    while (plx_rd_left(&r) > 0) {
        assert_int_equal(plx_frame_read(&r, &f), PLX_FRAME_OK);
        text[len++] = f.type == PLX_FRAME_PATH_CHALLENGE ? 'C' : 'R';
        if (f.type == PLX_FRAME_PATH_CHALLENGE)
            memcpy(challenge, f.path.data, sizeof challenge);
    }
    text[len] = '\0';
    assert_int_equal(is_any, len > 0);
    plx_paths_verify(&ps);
    return text;
}

static void test_amplification(void **state)
{
    (void)state;
    init(true, false);
    struct plx_path *p = plx_paths_active(&ps);
    assert_int_equal(plx_path_allowance(p), 0);
    from(&a, 1200);
    assert_int_equal(plx_path_allowance(p), 3600);
    from(&a, 0); // the second packet of the same datagram
    plx_path_on_sent(p, 3000);
    assert_int_equal(plx_path_allowance(p), 600);
    plx_paths_on_unauthenticated(&ps, &a, 100);
    plx_paths_on_unauthenticated(&ps, &b, 100);
    assert_int_equal(plx_path_allowance(p), 900);
    plx_path_on_sent(p, 1200); // a datagram too many does not wrap
    assert_int_equal(plx_path_allowance(p), 0);
    plx_paths_set_validated(&ps);
    assert_true(plx_path_allowance(p) == UINT64_MAX);
    init(false, true);
    assert_true(plx_path_allowance(plx_paths_active(&ps)) == UINT64_MAX); // a client may say what it likes
}

static void test_who_may_come(void **state)
{
    (void)state;
    init(true, true);
    assert_int_equal(from(&a, 100), 0);
    assert_int_equal(from(&b, 100), PLX_PATH_NONE); // not before the handshake is confirmed
    plx_paths_allow_migration(&ps, true);
    assert_int_equal(from(&b, 100), 1);
    assert_int_equal(ps.candidate, 1);
    assert_int_equal(ps.v[1].dcid_seq, 1); // an ID of its own
    assert_int_equal(from(&b, 100), 1);
    assert_int_equal(ps.v[1].rx_bytes, 200);
    assert_int_equal(from(&a2, 100), 1); // another takes its place, and its ID goes back
    assert_int_equal(ps.v[1].rx_bytes, 100);
    assert_int_equal(cids.retired_count, 1);
    init(false, true);
    plx_paths_allow_migration(&ps, true);
    assert_int_equal(from(&b, 100), PLX_PATH_NONE); // servers do not move
}

static void test_probing_moves_nothing(void **state)
{
    char text[16];
    uint8_t data[8] = "question";
    (void)state;
    init(true, true);
    plx_paths_allow_migration(&ps, true);
    assert_int_equal(packet(&b, true, true, 0), PLX_PATH_SAME);
    assert_int_equal(packet(&b, false, false, 0), PLX_PATH_SAME); // an old packet neither
    assert_int_equal(ps.active, 0);
    assert_int_equal(plx_paths_next_probe(&ps, at(0)), PLX_PATH_NONE);
    plx_path_on_challenge(&ps.v[1], data);
    assert_int_equal(plx_paths_next_probe(&ps, at(0)), 1); // answered where it came from
    assert_string_equal(say(1, 0, text), "R");
    assert_int_equal(plx_paths_next_probe(&ps, at(0)), PLX_PATH_NONE);
    for (unsigned i = 0; i < 10; i++)
        plx_path_on_challenge(&ps.v[1], data);
    assert_string_equal(say(1, 0, text), "RRRR"); // a flood is not answered in full
}

static void test_peer_moves(void **state)
{
    char text[16];
    (void)state;
    init(true, true);
    plx_paths_allow_migration(&ps, true);
    assert_int_equal(packet(&b, true, false, 1000), PLX_PATH_MIGRATED);
    assert_int_equal(ps.active, 1);
    assert_int_equal(ps.previous, 0);
    assert_int_equal(ps.v[1].mtu, PLX_DGRAM_MIN); // nothing is known of it
    assert_int_equal(plx_path_allowance(&ps.v[1]), 3600);
    assert_int_equal(plx_paths_deadline(&ps).ns, at(1000).ns);
    assert_int_equal(plx_paths_next_probe(&ps, at(1000)), 0); // the old one is asked too
    assert_string_equal(say(0, 1000, text), "C");
    uint8_t old[PLX_PATH_DATA_LEN];
    memcpy(old, challenge, sizeof old);
    assert_int_equal(plx_paths_next_probe(&ps, at(1000)), 1);
    assert_string_equal(say(1, 1000, text), "C");
    assert_int_equal(plx_paths_deadline(&ps).ns, at(1100).ns); // again after a probe timeout
    uint8_t first[PLX_PATH_DATA_LEN];
    memcpy(first, challenge, sizeof first);
    assert_string_equal(say(1, 1099, text), "");
    assert_string_equal(say(1, 1100, text), "C");
    assert_int_equal(plx_paths_next_probe(&ps, at(9000)), PLX_PATH_NONE); // three times what came is used up
    from(&b, 1200);
    assert_int_equal(plx_paths_deadline(&ps).ns, at(1300).ns); // doubled

    assert_int_equal(plx_paths_on_response(&ps, &cids, (const uint8_t *)"nonsense"), PLX_PATH_NONE);
    assert_int_equal(plx_paths_on_response(&ps, &cids, first),
                     1); // the first challenge may still be answered
    plx_paths_verify(&ps);
    assert_true(plx_path_allowance(&ps.v[1]) == UINT64_MAX);
    assert_true(plx_time_is_never(plx_paths_deadline(&ps)));
    assert_int_equal(ps.previous, PLX_PATH_NONE);
    assert_true(plx_cids_peer_is_stale(&cids, 0));                             // the old path's ID is retired
    assert_int_equal(plx_paths_on_response(&ps, &cids, first), PLX_PATH_NONE); // again: stale
    assert_int_equal(plx_paths_on_response(&ps, &cids, old), PLX_PATH_NONE);
    assert_int_equal(ps.migrations, 1);
}

static void test_nat_rebinding(void **state)
{
    (void)state;
    init(true, true);
    plx_paths_allow_migration(&ps, true);
    assert_int_equal(packet(&a2, true, false, 0), PLX_PATH_REBOUND);
    assert_int_equal(ps.v[ps.active].mtu, 1400);                  // the same network
    assert_int_equal(ps.v[ps.active].state, PLX_PATH_VALIDATING); // but it has to be asked
}

// Somebody copies a packet and sends it from elsewhere first (section 9.3.2, 9.3.3).
static void test_false_move(void **state)
{
    char text[16];
    (void)state;
    init(true, true);
    plx_paths_allow_migration(&ps, true);
    assert_int_equal(packet(&b, true, false, 0), PLX_PATH_MIGRATED);
    say(1, 0, text);
    assert_int_equal(plx_paths_on_timeout(&ps, &cids, at(2999)), PLX_PATH_SAME);
    assert_int_equal(plx_paths_on_timeout(&ps, &cids, at(3000)),
                     PLX_PATH_RETURNED); // three initial probe timeouts
    plx_paths_verify(&ps);
    assert_int_equal(ps.active, 0);
    assert_int_equal(ps.v[1].state, PLX_PATH_FREE);
    assert_int_equal(ps.previous, PLX_PATH_NONE);

    assert_int_equal(packet(&b, true, false, 5000), PLX_PATH_MIGRATED);
    assert_int_equal(packet(&a, true, false, 5001), PLX_PATH_MIGRATED); // the true peer speaks: back at once
    assert_int_equal(ps.active, 0);
    assert_int_equal(ps.v[0].state, PLX_PATH_VALIDATED);
    assert_int_equal(ps.previous, PLX_PATH_NONE); // nobody ever answered there
}

static void test_nowhere_to_return(void **state)
{
    (void)state;
    init(true, true);
    plx_paths_allow_migration(&ps, true);
    assert_int_equal(packet(&b, true, false, 0), PLX_PATH_MIGRATED);
    ps.v[0].state = PLX_PATH_FREE; // as if the previous one had been given up
    ps.previous = PLX_PATH_NONE;
    assert_int_equal(plx_paths_on_timeout(&ps, &cids, at(3000)), PLX_PATH_LOST);
}

static void test_moves_on_and_on(void **state)
{
    (void)state;
    init(true, true);
    plx_paths_allow_migration(&ps, true);
    for (unsigned i = 0; i < 500; i++) { // a peer that moves with every packet and acknowledges nothing
        struct plx_addr x = a;
        x.port = (uint16_t)(3000 + i);
        x.ip[3] = (uint8_t)i;
        packet(&x, true, false, i);
        EXPECT_ROW(i, plx_addr_eq(&plx_paths_active(&ps)->peer, &x));
        EXPECT_ROW(i, ps.previous != PLX_PATH_NONE &&
                          plx_addr_eq(&ps.v[ps.previous].peer, &a)); // the true one stays
    }
}

static void test_we_move(void **state)
{
    char text[16];
    (void)state;
    init(false, true);
    assert_false(plx_paths_migrate(&ps, &cids, &a, &local2, at(0), PTO)); // not before confirmation
    plx_paths_allow_migration(&ps, true);
    assert_true(plx_paths_migrate(&ps, &cids, &a, &local2, at(0), PTO));
    plx_paths_verify(&ps);
    assert_false(plx_paths_migrate(&ps, &cids, &a, &local2, at(0), PTO)); // one at a time
    assert_int_equal(ps.active, 0);
    assert_int_equal(plx_paths_next_probe(&ps, at(0)), 1);
    assert_string_equal(say(1, 0, text), "C"); // nobody limits us here
    assert_int_equal(plx_paths_on_response(&ps, &cids, challenge), 1);
    plx_paths_verify(&ps);
    assert_int_equal(ps.active, 1);
    assert_int_equal(ps.v[1].dcid_seq, 1);
    assert_true(plx_cids_peer_is_stale(&cids, 0));

    assert_true(plx_paths_migrate(&ps, &cids, &b, &local2, at(5000), PTO)); // to where nobody answers
    assert_int_equal(plx_paths_on_timeout(&ps, &cids, at(8000)), PLX_PATH_SAME);
    plx_paths_verify(&ps);
    assert_int_equal(ps.active, 1);
    assert_int_equal(ps.candidate, PLX_PATH_NONE);
}

static void test_ids_asked_back(void **state)
{
    (void)state;
    init(true, true);
    plx_paths_allow_migration(&ps, true);
    from(&b, 1200);
    struct plx_frame_new_connection_id f = {
        .seq = 4, .retire_prior_to = 3, .cid = {.len = 8, .bytes = "44444444"}};
    assert_int_equal(plx_cids_peer_on_new(&cids, &f), 0);
    plx_paths_refresh_cids(&ps, &cids);
    plx_paths_verify(&ps);
    plx_cids_peer_verify(&cids);
    assert_int_equal(ps.v[0].dcid_seq, 3);
    assert_int_equal(ps.v[1].dcid_seq, 4);
    f = (struct plx_frame_new_connection_id){
        .seq = 5, .retire_prior_to = 5, .cid = {.len = 8, .bytes = "55555555"}};
    assert_int_equal(plx_cids_peer_on_new(&cids, &f), 0);
    plx_paths_refresh_cids(&ps, &cids);
    plx_paths_verify(&ps);
    assert_int_equal(ps.v[0].dcid_seq, 5); // there is only one: it is the active path's
    assert_int_equal(ps.v[1].state, PLX_PATH_FREE);
}

// A client that names a source port but no interface learns from the first answer which one it was.
static void test_open_local(void **state)
{
    struct plx_addr any = {.af = PLX_AF_IP4, .port = 443}, elsewhere;

    (void)state;
    init(false, true);
    plx_paths_init(&ps, false, &a, &any, true, 1400);
    assert_int_equal(from(&a, 100), 0);
    assert_true(plx_addr_eq(&plx_paths_active(&ps)->local, &local));
    assert_int_equal(plx_paths_on_datagram(&ps, &cids, &a, &local2, 100), PLX_PATH_NONE); // known by now
    plx_paths_init(&ps, false, &a, &any, true, 1400);
    assert_true(plx_addr_parse("203.0.113.1:444", &elsewhere));
    assert_int_equal(plx_paths_on_datagram(&ps, &cids, &a, &elsewhere, 100), PLX_PATH_NONE); // another port
}

static void test_no_id_left(void **state)
{
    (void)state;
    init(true, true);
    plx_paths_allow_migration(&ps, true);
    while (plx_cids_peer_take(&cids) != NULL)
        ;
    assert_int_equal(packet(&a2, true, false, 0),
                     PLX_PATH_REBOUND); // goes on with the one it has, section 9.5
    assert_int_equal(plx_paths_active(&ps)->dcid_seq, 0);
    char text[16];
    say(ps.active, 0, text);
    uint8_t idx = ps.active;
    assert_int_equal(plx_paths_on_response(&ps, &cids, challenge), idx);
    plx_paths_verify(&ps);
    assert_non_null(plx_cids_peer_get(&cids, 0)); // the old path went, its ID is still needed
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_amplification),   cmocka_unit_test(test_who_may_come),
        cmocka_unit_test(test_peer_moves),      cmocka_unit_test(test_probing_moves_nothing),
        cmocka_unit_test(test_nat_rebinding),   cmocka_unit_test(test_false_move),
        cmocka_unit_test(test_moves_on_and_on), cmocka_unit_test(test_nowhere_to_return),
        cmocka_unit_test(test_we_move),         cmocka_unit_test(test_ids_asked_back),
        cmocka_unit_test(test_no_id_left),      cmocka_unit_test(test_open_local),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
