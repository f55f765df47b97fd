// test_vneg.c -- Version Negotiation: what a server answers, and what a client believes.

#include "quic/wire/vneg.h"

#include "../base/rows.h"
#include "../crypto/hex.h"

static void test_answer(void **state)
{
    static const struct {
        const char *dgram;
        bool is_answered;
        uint8_t dcid_len, scid_len;
    } row[] = {
        {"c01a2a3a4a02aabb03ccddee0011", true, 3, 2}, // IDs change places
        {"801a2a3a4a0000", true, 0, 0},
        {"c01a2a3a4a02aabb03ccdd", false, 0, 0},
        {"401a2a3a4a02aabb03ccddee", false, 0, 0}, // not a long header
        {"c00000000002aabb03ccddee", false, 0, 0}, // one of these itself
        {"", false, 0, 0},
    };
    (void)state;
    for (unsigned i = 0; i < ROWS(row); i++) {
        for (uint32_t random = 0; random < 4; random++) {
            uint8_t in[64], out[64];
            size_t len = hex_read(row[i].dgram, in, sizeof in);
            struct plx_wr w = plx_wr_init(out, sizeof out);
            struct plx_pkt_hdr h;
            uint32_t chosen;
            EXPECT_ROW(i, plx_vneg_write_for(&w, in, len, random * 0x51515151u) == row[i].is_answered);
            if (!row[i].is_answered) {
                EXPECT_ROW(i, w.p == out);
                continue;
            }
            EXPECT_ROW(i, plx_pkt_parse(out, (size_t)(w.p - out), 8, &h) == PLX_PKT_PARSED &&
                              h.type == PLX_PKT_VNEG);
            EXPECT_ROW(i, h.dcid.len == row[i].dcid_len && h.scid.len == row[i].scid_len);
            EXPECT_ROW(i, (out[0] & 0xc0) == 0xc0);
            EXPECT_ROW(i, plx_vneg_choose(out + h.pn_offset, h.pkt_len - h.pn_offset, 0x1a2a3a4a, &chosen) ==
                              PLX_VNEG_RETRY);
            EXPECT_ROW(i, chosen == plx_versions[0]);
            EXPECT_ROW(i, plx_vneg_choose(out + h.pn_offset, h.pkt_len - h.pn_offset, 1, &chosen) ==
                              PLX_VNEG_IGNORE);
        }
    }
}

// IDs of any length come back: versions to come may have longer ones.
static void test_long_ids(void **state)
{
    uint8_t in[5 + 1 + 255 + 1 + 200], out[600];
    (void)state;
    memset(in, 0xc1, sizeof in);
    in[5] = 255;
    memset(in + 6, 0xdd, 255);
    in[6 + 255] = 200;
    memset(in + 7 + 255, 0x55, 200);
    struct plx_wr w = plx_wr_init(out, sizeof out);
    assert_true(plx_vneg_write_for(&w, in, sizeof in, 0));
    assert_int_equal(out[5], 200);
    assert_memory_equal(out + 6, in + 7 + 255, 200);
    assert_int_equal(out[6 + 200], 255);
    assert_memory_equal(out + 7 + 200, in + 6, 255);
    for (size_t cap = 0; cap < (size_t)(w.p - out); cap += 13) {
        struct plx_wr small = plx_wr_init(out, cap);
        EXPECT_ROW(cap, !plx_vneg_write_for(&small, in, sizeof in, 0) && small.p == out);
    }
}

static void test_choose(void **state)
{
    static const struct {
        const char *list;
        enum plx_vneg_result result;
    } row[] = {
        {"", PLX_VNEG_IGNORE},
        {"00000001", PLX_VNEG_RETRY},
        {"0a0a0a0a00000001", PLX_VNEG_RETRY},
        {"0a0a0a0a6b3343cf", PLX_VNEG_NONE},
        {"0a0a0a0aff00001d", PLX_VNEG_IGNORE}, // what we tried
        {"00000001ff00001d", PLX_VNEG_IGNORE},
        {"0000000100", PLX_VNEG_IGNORE},
    };
    (void)state;
    for (unsigned i = 0; i < ROWS(row); i++) {
        uint8_t list[32];
        size_t len = hex_read(row[i].list, list, sizeof list);
        uint32_t chosen = 0;
        EXPECT_ROW(i, plx_vneg_choose(list, len, 0xff00001d, &chosen) == row[i].result);
        EXPECT_ROW(i, (chosen == 1) == (row[i].result == PLX_VNEG_RETRY) || row[i].result == PLX_VNEG_IGNORE);
    }
}

static void test_from_parsed_ids(void **state)
{
    struct plx_cid dcid = {.len = 3, .bytes = "abc"}, scid = {.len = 0};
    uint32_t versions[] = {1, 2};
    uint8_t out[64];
    struct plx_wr w = plx_wr_init(out, sizeof out);
    struct plx_pkt_hdr h;
    (void)state;
    assert_true(plx_pkt_write_vneg(&w, &dcid, &scid, versions, 2, 0xf0f0f0f1));
    assert_int_equal(plx_pkt_parse(out, (size_t)(w.p - out), 8, &h), PLX_PKT_PARSED);
    assert_true(plx_cid_eq(&h.dcid, &dcid) && plx_cid_eq(&h.scid, &scid));
    assert_int_equal(h.pkt_len - h.pn_offset, 12);
    assert_int_equal(out[h.pn_offset + 3] & 0x0f, 0x0a); // a reserved version among them
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answer),
        cmocka_unit_test(test_long_ids),
        cmocka_unit_test(test_choose),
        cmocka_unit_test(test_from_parsed_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
