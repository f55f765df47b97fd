// test_demux.c -- whose is a packet: by the IDs that we issued, by a client's first choice, by a token of a stateless reset.

#include "fake.h"

static struct fake *f;
static struct plx_core *k;
static struct plx_conn *c[2];

static int setup(void **state)
{
    struct plx_engine_cfg cfg;

    (void)state;
    fake_cfg(&cfg);
    f = fake_new(&cfg, true);
    k = fake_core(f, 0);
    for (int i = 0; i < 2; i++)
        c[i] = plx_core_conn_take(k);
    return c[0] != NULL && c[1] != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++)
        plx_core_conn_give(k, c[i]);
    fake_free(f);
    return 0;
}

static struct plx_pkt_hdr packet(enum plx_pkt_type type, const struct plx_cid *to)
{
    return (struct plx_pkt_hdr){.type = type, .dcid = *to, .version = PLX_QUIC_V1};
}

static struct plx_conn *find(enum plx_pkt_type type, const struct plx_cid *to)
{
    struct plx_pkt_hdr hdr = packet(type, to);
    return plx_demux_find(k, &hdr);
}

static void test_ours(void **state)
{
    struct plx_cid a = {.len = 8, .bytes = "abcdefgh"}, b = {.len = 8, .bytes = "abcdefgi"},
                   longer = {.len = 9, .bytes = "abcdefghi"};

    (void)state;
    assert_null(find(PLX_PKT_SHORT, &a));
    assert_true(plx_demux_add_cid(k, c[0], &a));
    assert_false(plx_demux_add_cid(k, c[1], &a)); // a collision: another must be tried
    assert_true(plx_demux_add_cid(k, c[1], &b));
    static const enum plx_pkt_type types[] = {PLX_PKT_SHORT, PLX_PKT_INITIAL, PLX_PKT_HANDSHAKE,
                                              PLX_PKT_ZERO_RTT};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        assert_ptr_equal(find(types[i], &a), c[0]);
        assert_ptr_equal(find(types[i], &b), c[1]);
        assert_null(find(types[i], &longer));
    }
    plx_demux_remove_cid(k, &a);
    assert_null(find(PLX_PKT_SHORT, &a));
    assert_ptr_equal(find(PLX_PKT_SHORT, &b), c[1]);
    plx_demux_remove_cid(k, &b);
    assert_int_equal(plx_table_count(&k->cids), 0);
}

static void test_first_choice(void **state)
{
    struct plx_cid first = {.len = 17, .bytes = "0123456789abcdefg"},
                   other = {.len = 16, .bytes = "0123456789abcdef"};

    (void)state;
    assert_true(plx_demux_add_odcid(k, c[0], &first));
    assert_ptr_equal(find(PLX_PKT_INITIAL, &first), c[0]);
    assert_ptr_equal(find(PLX_PKT_ZERO_RTT, &first), c[0]);
    assert_null(find(PLX_PKT_HANDSHAKE, &first)); // by then the client uses ours
    assert_null(find(PLX_PKT_INITIAL, &other));
    assert_false(plx_demux_add_odcid(k, c[1], &first)); // two clients with one choice: the first has it
    plx_demux_remove_odcid(k, plx_econn_of(k, c[1]));   // which changes nothing for him
    assert_ptr_equal(find(PLX_PKT_INITIAL, &first), c[0]);
    plx_demux_remove_odcid(k, plx_econn_of(k, c[0]));
    plx_demux_remove_odcid(k, plx_econn_of(k, c[0])); // once is enough
    assert_null(find(PLX_PKT_INITIAL, &first));
    assert_int_equal(plx_table_count(&k->odcids), 0);
}

static void test_resets(void **state)
{
    static const uint8_t tokens[3][16] = {"token of path 00", "token of path 01", "token of path 02"};
    uint8_t dgram[21] = {0x40};

    (void)state;
    memcpy(dgram + 5, tokens[0], 16);
    assert_null(plx_demux_find_reset(k, dgram, sizeof dgram));
    plx_demux_set_resets(k, c[0], tokens, 2);
    assert_ptr_equal(plx_demux_find_reset(k, dgram, sizeof dgram), c[0]);
    assert_null(plx_demux_find_reset(k, dgram + 1, sizeof dgram - 1)); // too short to be one
    plx_demux_set_resets(k, c[1], tokens + 1, 2);                      // token 1 is taken, 2 is not
    memcpy(dgram + 5, tokens[1], 16);
    assert_ptr_equal(plx_demux_find_reset(k, dgram, sizeof dgram), c[0]);
    memcpy(dgram + 5, tokens[2], 16);
    assert_ptr_equal(plx_demux_find_reset(k, dgram, sizeof dgram), c[1]);
    plx_demux_set_resets(k, c[0], tokens, 1); // the path of token 1 is gone
    memcpy(dgram + 5, tokens[1], 16);
    assert_null(plx_demux_find_reset(k, dgram, sizeof dgram));
    plx_demux_set_resets(k, c[0], NULL, 0);
    plx_demux_set_resets(k, c[1], NULL, 0);
    assert_int_equal(plx_table_count(&k->resets), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_ours, setup, teardown),
                                       cmocka_unit_test_setup_teardown(test_first_choice, setup, teardown),
                                       cmocka_unit_test_setup_teardown(test_resets, setup, teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
