// test_packet.c -- packet headers: the RFC's vectors, a table of good and bad ones, and the way there and back.

#include "quic/wire/packet.h"

#include "../base/rows.h"
#include "../crypto/hex.h"
#include "base/prng.h"
#include "crypto/keys.h"

static void test_number_expand(void **state)
{
    static const struct {
        uint64_t truncated;
        uint8_t len;
        uint64_t largest, expect;
    } row[] = {
        {0x9b32, 2, 0xa82f30ea, 0xa82f9b32}, // RFC 9000 appendix A.3
        {0, 1, UINT64_MAX, 0},               // the first of all
        {5, 1, UINT64_MAX, 5},
        {0xff, 1, UINT64_MAX, 0xff}, // nothing below zero to choose
        {0, 1, 0xff, 0x100},         // wraps upwards
        {0xff, 1, 0x100, 0xff},      // an older one
        {0x80, 1, 0x100, 0x180},     // the window's edges: expected 0x101
        {0x81, 1, 0x100, 0x181},
        {0x82, 1, 0x100, 0x82},
        {0x00, 1, 0x17f, 0x200}, // expected 0x180: 0x100 lies half a window back, which is out
        {0x01, 1, 0x17f, 0x101},
        {0xffff, 2, 0x10000, 0xffff},
        {0x000000, 3, 0xffffff, 0x1000000},
        {0xffffffff, 4, (UINT64_C(1) << 62) - 2, (UINT64_C(1) << 62) - 1}, // the last number there is
        {0x00, 1, (UINT64_C(1) << 62) - 2, (UINT64_C(1) << 62) - 256},     // never beyond it
    };
    (void)state;
    for (unsigned i = 0; i < ROWS(row); i++)
        EXPECT_ROW(i, plx_pkt_number_expand(row[i].truncated, row[i].len, row[i].largest) == row[i].expect);
}

static void test_number_len(void **state)
{
    static const struct {
        uint64_t pn, largest_acked;
        uint8_t expect;
        uint64_t ahead;
    } row[] = {
        {0xac5c02, 0xabe8b3, 2, 0}, // RFC 9000 appendix A.2
        {0xace8fe, 0xabe8b3, 3, 0},
        {0, UINT64_MAX, 1, 0},
        {127, UINT64_MAX, 1, 0}, // 128 unacknowledged: 8 bits
        {128, UINT64_MAX, 2, 0},
        {128, 0, 1, 0},
        {129, 0, 2, 0},
        {0x8000, 0, 2, 0},
        {0x8001, 0, 3, 0},
        {0x800000, 0, 3, 0},
        {0x800001, 0, 4, 0},
        {UINT64_C(1) << 40, 0, 4, 0},
        {1, 0, 1, 126}, // the first of a window, and the window behind it
        {1, 0, 2, 127},
        {1, 0, 2, 0x7ffe},
        {1, 0, 3, 0x7fff},
        {0xac5c02, 0xabe8b3, 3, 0x8000},
        {1, 0, 4, UINT64_C(1) << 40},
    };
    (void)state;
    for (unsigned i = 0; i < ROWS(row); i++)
        EXPECT_ROW(i, plx_pkt_number_len(row[i].pn, row[i].largest_acked, row[i].ahead) == row[i].expect);
}

// Whatever the receiver has got of what was not acknowledged, and of what was sent behind, it understands the number.
static void test_number_len_is_enough(void **state)
{
    struct plx_prng r;
    (void)state;
    plx_prng_init(&r, 1);
    for (unsigned i = 0; i < 100000; i++) {
        uint64_t acked = plx_prng_u64(&r) >> plx_prng_between(&r, 3, 63);
        uint64_t pn = acked + 1 + plx_prng_below(&r, UINT64_C(1) << plx_prng_below(&r, 31));
        uint64_t ahead = plx_prng_below(&r, UINT64_C(1) << plx_prng_below(&r, 31));
        uint64_t largest = plx_prng_between(&r, acked, pn - 1 + ahead);
        uint8_t len = plx_pkt_number_len(pn, acked, ahead);
        uint64_t truncated = pn & ((UINT64_C(1) << 8 * len) - 1);
        EXPECT_ROW(i, plx_pkt_number_expand(truncated, len, largest) == pn);
    }
}

#define CID8  "0102030405060708"
#define PAY20 "0000000000000000000000000000000000000000"

static void test_parse(void **state)
{
    static const struct {
        const char *hex;
        enum plx_pkt_parse result;
        enum plx_pkt_type type;
        uint16_t pn_offset, pkt_len, token_offset, token_len;
        uint8_t dcid_len, scid_len;
    } row[] = {
        // Initial of RFC 9001 appendix A.2, cut to 20 octets behind the header: Length says 0x44e, which is not there
        {"c300000001088394c8f03e5157080000449e" PAY20, PLX_PKT_TOO_SHORT, PLX_PKT_INITIAL, 0, 53, 16, 0, 8,
         0},
        {"c300000001088394c8f03e51570800004014" PAY20, PLX_PKT_PARSED, PLX_PKT_INITIAL, 18, 38, 16, 0, 8, 0},
        {"c300000001088394c8f03e51570800004014" PAY20 "aabb", PLX_PKT_PARSED, PLX_PKT_INITIAL, 18, 38, 16, 0,
         8, 0},
        {"c3000000010001aa03ccddee14" PAY20, PLX_PKT_PARSED, PLX_PKT_INITIAL, 13, 33, 9, 3, 0,
         1}, // with a token
        {"c3000000010001aa40" PAY20, PLX_PKT_TOO_SHORT, PLX_PKT_INITIAL, 0, 29, 0, 0, 0,
         1}, // Length below a sample
        {"d3000000010001aa14" PAY20, PLX_PKT_PARSED, PLX_PKT_ZERO_RTT, 9, 29, 0, 0, 0, 1},
        {"e3000000010001aa14" PAY20, PLX_PKT_PARSED, PLX_PKT_HANDSHAKE, 9, 29, 0, 0, 0, 1},
        {"e3000000010001aa13" PAY20, PLX_PKT_TOO_SHORT, PLX_PKT_HANDSHAKE, 0, 29, 0, 0, 0, 1},
        {"a3000000010001aa14" PAY20, PLX_PKT_BAD_FIXED_BIT, PLX_PKT_INITIAL, 0, 29, 0, 0, 0, 1},
        // Retry of RFC 9001 appendix A.4: token "token"
        {"ff000000010008f067a5502a4262b5746f6b656e04a265ba2eff4d829058fb3f0f2496ba", PLX_PKT_PARSED,
         PLX_PKT_RETRY, 15, 36, 15, 5, 0, 8},
        {"ff000000010008f067a5502a4262b504a265ba2eff4d829058fb3f0f2496ba", PLX_PKT_TOO_SHORT, PLX_PKT_RETRY,
         0, 31, 0, 0, 0, 8},
        {"800000000001aa02bbcc00000001", PLX_PKT_PARSED, PLX_PKT_VNEG, 10, 14, 0, 0, 1,
         2}, // without the fixed bit
        {"c01a2a3a4a01aa02bbcc", PLX_PKT_UNKNOWN_VERSION, PLX_PKT_INITIAL, 0, 10, 0, 0, 1, 2},
        {"c01a2a3a4a15" PAY20 "0000", PLX_PKT_UNKNOWN_VERSION, PLX_PKT_INITIAL, 0, 28, 0, 0, 0,
         0}, // 21 octets of ID
        {"c00000000115" PAY20 "0000", PLX_PKT_BAD_CID_LEN, PLX_PKT_INITIAL, 0, 0, 0, 0, 0, 0},
        {"c00000000115" PAY20, PLX_PKT_TOO_SHORT, PLX_PKT_INITIAL, 0, 0, 0, 0, 0, 0},
        {"c0000000", PLX_PKT_TOO_SHORT, PLX_PKT_INITIAL, 0, 0, 0, 0, 0, 0},
        {"", PLX_PKT_TOO_SHORT, PLX_PKT_INITIAL, 0, 0, 0, 0, 0, 0},
        {"40" CID8 PAY20, PLX_PKT_PARSED, PLX_PKT_SHORT, 9, 29, 0, 0, 8, 0},
        {"00" CID8 PAY20, PLX_PKT_BAD_FIXED_BIT, PLX_PKT_SHORT, 9, 29, 0, 0, 8, 0},
        {"40" CID8 "000000000000000000000000000000000000", PLX_PKT_TOO_SHORT, PLX_PKT_SHORT, 9, 27, 0, 0, 8,
         0},
        {"40010203", PLX_PKT_TOO_SHORT, PLX_PKT_SHORT, 0, 0, 0, 0, 0, 0},
    };
    (void)state;
    for (unsigned i = 0; i < ROWS(row); i++) {
        uint8_t buf[128];
        size_t len = hex_read(row[i].hex, buf, sizeof buf);
        struct plx_pkt_hdr h;
        EXPECT_ROW(i, plx_pkt_parse(buf, len, 8, &h) == row[i].result);
        EXPECT_ROW(i, h.type == row[i].type);
        EXPECT_ROW(i, h.dcid.len == row[i].dcid_len);
        EXPECT_ROW(i, h.scid.len == row[i].scid_len);
        if (row[i].result == PLX_PKT_PARSED || row[i].pn_offset != 0) {
            EXPECT_ROW(i, h.pn_offset == row[i].pn_offset);
            EXPECT_ROW(i, h.pkt_len == row[i].pkt_len);
        }
        if (row[i].result == PLX_PKT_PARSED) {
            EXPECT_ROW(i, h.token_offset == row[i].token_offset);
            EXPECT_ROW(i, h.token_len == row[i].token_len);
        }
    }
}

static struct plx_cid cid_of(struct plx_prng *r)
{
    struct plx_cid cid = {.len = (uint8_t)plx_prng_below(r, PLX_CID_MAX + 1)};
    plx_prng_bytes(r, cid.bytes, cid.len);
    return cid;
}

static void test_long_round_trip(void **state)
{
    struct plx_prng r;
    (void)state;
    plx_prng_init(&r, 2);
    for (unsigned i = 0; i < 10000; i++) {
        uint8_t buf[512] = {0}, token[100];
        struct plx_wr w = plx_wr_init(buf, sizeof buf);
        struct plx_cid dcid = cid_of(&r), scid = cid_of(&r);
        enum plx_pkt_type type = (enum plx_pkt_type)plx_prng_below(&r, PLX_PKT_HANDSHAKE + 1);
        size_t token_len = type == PLX_PKT_INITIAL ? plx_prng_below(&r, sizeof token) : 0;
        uint8_t pn_len = (uint8_t)plx_prng_between(&r, 1, 4);
        uint32_t pn = (uint32_t)(plx_prng_u64(&r) & ((UINT64_C(1) << 8 * pn_len) - 1));
        struct plx_pkt_built b;
        struct plx_pkt_hdr h;

        plx_prng_bytes(&r, token, sizeof token);
        EXPECT_ROW(i,
                   plx_pkt_write_long(&w, type, PLX_QUIC_V1, &dcid, &scid, token, token_len, pn, pn_len, &b));
        EXPECT_ROW(i, b.first == buf && b.pn + pn_len == w.p && b.pn_len == pn_len);
        size_t payload = plx_prng_between(&r, 20, 60);
        EXPECT_ROW(i, plx_wr_skip(&w, payload) != NULL);
        plx_pkt_length_patch(&b, (size_t)(w.p - b.pn));

        EXPECT_ROW(i,
                   plx_pkt_parse(buf, (size_t)(w.p - buf) + plx_prng_below(&r, 10), 8, &h) == PLX_PKT_PARSED);
        EXPECT_ROW(i, h.type == type && h.version == PLX_QUIC_V1);
        EXPECT_ROW(i, plx_cid_eq(&h.dcid, &dcid) && plx_cid_eq(&h.scid, &scid));
        EXPECT_ROW(i, h.pkt_len == w.p - buf && buf + h.pn_offset == b.pn);
        EXPECT_ROW(i, h.token_len == token_len && memcmp(buf + h.token_offset, token, token_len) == 0);
        EXPECT_ROW(i, (h.first & 3) + 1 == pn_len);
        uint32_t read = 0;
        for (unsigned k = 0; k < pn_len; k++)
            read = read << 8 | b.pn[k];
        EXPECT_ROW(i, read == pn);
    }
}

static void test_short_round_trip(void **state)
{
    uint8_t buf[64] = {0};
    struct plx_cid dcid = {.len = 8, .bytes = "abcdefgh"};
    struct plx_pkt_hdr h;
    (void)state;
    for (unsigned bits = 0; bits < 16; bits++) {
        struct plx_wr w = plx_wr_init(buf, sizeof buf);
        struct plx_pkt_built b;
        uint8_t pn_len = (uint8_t)(bits / 4 + 1);
        EXPECT_ROW(bits, plx_pkt_write_short(&w, &dcid, bits & 1, bits & 2, 0x01020304, pn_len, &b));
        EXPECT_ROW(bits, b.length_at == NULL && b.pn == buf + 9 && w.p == b.pn + pn_len);
        EXPECT_ROW(bits, b.pn[pn_len - 1] == 4);
        EXPECT_ROW(bits, buf[0] == (0x40 | (bits & 1 ? 0x20 : 0) | (bits & 2 ? 0x04 : 0) | (pn_len - 1)));
        EXPECT_ROW(bits, plx_pkt_parse(buf, 40, 8, &h) == PLX_PKT_PARSED);
        EXPECT_ROW(bits, h.type == PLX_PKT_SHORT && plx_cid_eq(&h.dcid, &dcid) && h.pn_offset == 9);
    }
}

static void test_no_room_leaves_no_trace(void **state)
{
    struct plx_cid dcid = {.len = 8}, scid = {.len = 8};
    uint8_t buf[64], token[4] = {1, 2, 3, 4};
    struct plx_pkt_built b;
    (void)state;
    for (unsigned cap = 0; cap < 26 + 5; cap++) {
        struct plx_wr w = plx_wr_init(buf, cap);
        EXPECT_ROW(cap, !plx_pkt_write_long(&w, PLX_PKT_INITIAL, 1, &dcid, &scid, token, 4, 7, 2, &b));
        EXPECT_ROW(cap, w.p == buf && !w.is_full && plx_wr_left(&w) == cap);
    }
    struct plx_wr w = plx_wr_init(buf, 11);
    assert_false(plx_pkt_write_short(&w, &dcid, false, false, 7, 3, &b));
    assert_true(w.p == buf && !w.is_full);
    assert_false(plx_pkt_write_retry(&w, 1, &dcid, &scid, token, 4, 0));
    assert_true(w.p == buf && !w.is_full);
}

// RFC 9001 appendix A.4: the packet as a whole, with its tag behind.
static void test_retry_vector(void **state)
{
    uint8_t expect[64], buf[64];
    size_t len = hex_read("ff000000010008f067a5502a4262b5746f6b656e", expect, sizeof expect);
    struct plx_wr w = plx_wr_init(buf, sizeof buf);
    struct plx_cid dcid = {.len = 0},
                   scid = {.len = 8, .bytes = {0xf0, 0x67, 0xa5, 0x50, 0x2a, 0x42, 0x62, 0xb5}};
    (void)state;
    assert_true(plx_pkt_write_retry(&w, PLX_QUIC_V1, &dcid, &scid, (const uint8_t *)"token", 5, 0xff));
    assert_int_equal(w.p - buf, len);
    assert_memory_equal(buf, expect, len);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_number_expand),           cmocka_unit_test(test_number_len),
        cmocka_unit_test(test_number_len_is_enough),    cmocka_unit_test(test_parse),
        cmocka_unit_test(test_long_round_trip),         cmocka_unit_test(test_short_round_trip),
        cmocka_unit_test(test_no_room_leaves_no_trace), cmocka_unit_test(test_retry_vector),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
