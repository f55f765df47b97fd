// test_frame.c -- frames: one row per good and bad encoding, the table of section 12.4, ranges of ACKs, and the way there and back.

#include "quic/wire/frame.h"

#include "../base/rows.h"
#include "../crypto/hex.h"
#include "base/prng.h"

enum {
    OK = PLX_FRAME_OK,
    BAD = PLX_FRAME_BAD,
    UNKNOWN = PLX_FRAME_UNKNOWN,
    NOT_MINIMAL = PLX_FRAME_NOT_MINIMAL
};

#define MAX62   "ffffffffffffffff"
#define TOKEN16 "000102030405060708090a0b0c0d0e0f"

// Frames that stand alone in their packet; all of it must be used up when they are good.
static void test_read(void **state)
{
    static const struct {
        const char *hex;
        int result;
        uint64_t type;
    } row[] = {
        {"00", OK, 0x00},
        {"01", OK, 0x01},
        {"1e", OK, 0x1e},
        {"0200000000", OK, 0x02},
        {"0205000000", OK, 0x02},
        {"0205000005", OK, 0x02},
        {"0205000006", BAD, 0x02}, // first range below zero
        {"020a00010002"
         "02",
         OK, 0x02},
        {"020a00010000"
         "08",
         OK, 0x02},
        {"020a00010000"
         "09",
         BAD, 0x02},
        {"020a00010009"
         "00",
         BAD, 0x02}, // gap below zero
        {"020a00010008"
         "00",
         OK, 0x02},
        {"020a00020000"
         "08",
         BAD, 0x02}, // more ranges than octets
        {"020a0001000"
         "8",
         BAD, 0x02},                             // cut within a range
        {"02" MAX62 "00" MAX62 "00", BAD, 0x02}, // a count nobody can send
        {"0305000000"
         "010203",
         OK, 0x03},
        {"0305000000"
         "0102",
         BAD, 0x03},
        {"04010203", OK, 0x04},
        {"040102", BAD, 0x04},
        {"050102", OK, 0x05},
        {"0501", BAD, 0x05},
        {"060002abcd", OK, 0x06},
        {"060003abcd", BAD, 0x06},
        {"06" MAX62 "01ab", BAD, 0x06}, // beyond 2^62 - 1
        {"06fffffffffffffffe01ab", OK, 0x06},
        {"070161", OK, 0x07},
        {"0700", BAD, 0x07}, // an empty token
        {"070261", BAD, 0x07},
        {"0804", OK, 0x08}, // to the end, which is here
        {"0804abcd", OK, 0x08},
        {"0904abcd", OK, 0x09},
        {"0a0402abcd", OK, 0x0a},
        {"0a0403abcd", BAD, 0x0a},
        {"0b0400", OK, 0x0b},
        {"0c0405abcd", OK, 0x0c},
        {"0f040502abcd", OK, 0x0f},
        {"0e04" MAX62 "01ab", BAD, 0x0e}, // final offset beyond 2^62 - 1
        {"0e04" MAX62 "00", OK, 0x0e},
        {"0c04" MAX62 "ab", BAD, 0x0c},
        {"0e04", BAD, 0x0e},
        {"10" MAX62, OK, 0x10},
        {"10", BAD, 0x10},
        {"110405", OK, 0x11},
        {"1104", BAD, 0x11},
        {"12d000000000000000", OK, 0x12}, // 2^60
        {"12d000000000000001", BAD, 0x12},
        {"13d000000000000000", OK, 0x13},
        {"13d000000000000001", BAD, 0x13},
        {"1405", OK, 0x14},
        {"14", BAD, 0x14},
        {"150405", OK, 0x15},
        {"1504", BAD, 0x15},
        {"16d000000000000000", OK, 0x16},
        {"16d000000000000001", BAD, 0x16},
        {"17d000000000000001", BAD, 0x17},
        {"180100"
         "01aa" TOKEN16,
         OK, 0x18},
        {"180101"
         "01aa" TOKEN16,
         OK, 0x18},
        {"180102"
         "01aa" TOKEN16,
         BAD, 0x18}, // Retire Prior To beyond Sequence Number
        {"180100"
         "00" TOKEN16,
         BAD, 0x18},
        {"180100"
         "15"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" TOKEN16,
         BAD, 0x18},
        {"180100"
         "14"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" TOKEN16,
         OK, 0x18},
        {"180100"
         "01aa"
         "0001020304050607",
         BAD, 0x18},
        {"1905", OK, 0x19},
        {"19", BAD, 0x19},
        {"1a0102030405060708", OK, 0x1a},
        {"1a01020304050607", BAD, 0x1a},
        {"1b0102030405060708", OK, 0x1b},
        {"1c0a0600", OK, 0x1c},
        {"1c0a060161", OK, 0x1c},
        {"1c0a0602"
         "61",
         BAD, 0x1c},
        {"1c0a", BAD, 0x1c},
        {"1d0a00", OK, 0x1d},
        {"1d0a0161", OK, 0x1d},
        {"1f", UNKNOWN, 0x1f},
        {"30", UNKNOWN, 0x30}, // DATAGRAM, which nobody negotiated
        {"4040", UNKNOWN, 0x40},
        {"4001", NOT_MINIMAL, 0x01},
        {"80000001", NOT_MINIMAL, 0x01},
        {"c000000000000001", NOT_MINIMAL, 0x01},
        {"803fffff", UNKNOWN, 0x3fffff},
        {"40", BAD, 0},
    };
    (void)state;
    for (unsigned i = 0; i < ROWS(row); i++) {
        uint8_t buf[64];
        const char *hex = row[i].hex;
        size_t digits = strlen(hex);
        char even[160];
        if (digits % 2) { // an octet cut in half: a whole one, cut after it
            memcpy(even, hex, digits - 1);
            even[digits - 1] = '\0';
            hex = even;
        }
        size_t len = hex_read(hex, buf, sizeof buf);
        struct plx_rd r = plx_rd_init(buf, len);
        struct plx_frame f;
        int result = (int)plx_frame_read(&r, &f);
        EXPECT_ROW(i, result == row[i].result);
        EXPECT_ROW(i, f.type == row[i].type);
        EXPECT_ROW(i, result != OK || plx_rd_left(&r) == 0);
        EXPECT_ROW(i, (plx_frame_read_error((enum plx_frame_read)result) == 0) == (result == OK));
    }
    assert_int_equal(plx_frame_read_error(PLX_FRAME_NOT_MINIMAL), PLX_QUIC_PROTOCOL_VIOLATION);
    assert_int_equal(plx_frame_read_error(PLX_FRAME_UNKNOWN), PLX_QUIC_FRAME_ENCODING_ERROR);
    assert_int_equal(plx_frame_read_error(PLX_FRAME_BAD), PLX_QUIC_FRAME_ENCODING_ERROR);
}

static void test_padding_runs(void **state)
{
    uint8_t buf[300];
    (void)state;
    for (size_t zeros = 1; zeros < 200; zeros++) {
        for (unsigned tail = 0; tail < 2; tail++) {
            memset(buf, 0, sizeof buf);
            buf[zeros] = 1;
            struct plx_rd r = plx_rd_init(buf, zeros + tail);
            struct plx_frame f;
            EXPECT_ROW(zeros, plx_frame_read(&r, &f) == PLX_FRAME_OK);
            EXPECT_ROW(zeros, f.type == PLX_FRAME_PADDING && f.padding.count == zeros);
            EXPECT_ROW(zeros, plx_rd_left(&r) == tail);
        }
    }
}

// RFC 9000 section 12.4, table 3, typed in a second time as the RFC prints it.
static void test_table(void **state)
{
    static const struct {
        uint64_t first, last;
        const char *pkts, *spec;
    } row[] = {
        {0x00, 0x00, "IH01", "NP"}, {0x01, 0x01, "IH01", ""},  {0x02, 0x03, "IH_1", "NC"},
        {0x04, 0x04, "__01", ""},   {0x05, 0x05, "__01", ""},  {0x06, 0x06, "IH_1", ""},
        {0x07, 0x07, "___1", ""},   {0x08, 0x0f, "__01", "F"}, {0x10, 0x10, "__01", ""},
        {0x11, 0x11, "__01", ""},   {0x12, 0x13, "__01", ""},  {0x14, 0x14, "__01", ""},
        {0x15, 0x15, "__01", ""},   {0x16, 0x17, "__01", ""},  {0x18, 0x18, "__01", "P"},
        {0x19, 0x19, "__01", ""},   {0x1a, 0x1a, "__01", "P"}, {0x1b, 0x1b, "___1", "P"},
        {0x1c, 0x1c, "IH01", "N"},  {0x1d, 0x1d, "__01", "N"}, {0x1e, 0x1e, "___1", ""},
    };
    uint64_t next = 0;
    (void)state;
    for (unsigned i = 0; i < ROWS(row); i++) {
        EXPECT_ROW(i, row[i].first == next);
        next = row[i].last + 1;
        for (uint64_t t = row[i].first; t <= row[i].last; t++) {
            EXPECT_ROW(i, plx_frame_is_permitted(t, PLX_PKT_INITIAL) == (row[i].pkts[0] == 'I'));
            EXPECT_ROW(i, plx_frame_is_permitted(t, PLX_PKT_HANDSHAKE) == (row[i].pkts[1] == 'H'));
            EXPECT_ROW(i, plx_frame_is_permitted(t, PLX_PKT_ZERO_RTT) == (row[i].pkts[2] == '0'));
            EXPECT_ROW(i, plx_frame_is_permitted(t, PLX_PKT_SHORT) == (row[i].pkts[3] == '1'));
            EXPECT_ROW(i, plx_frame_is_eliciting(t) == (strchr(row[i].spec, 'N') == NULL));
            EXPECT_ROW(i, plx_frame_is_probing(t) == (strchr(row[i].spec, 'P') != NULL));
            EXPECT_ROW(i, !(plx_frame_info[t].spec & PLX_FRAME_NOT_IN_FLIGHT) ==
                              (strchr(row[i].spec, 'C') == NULL));
            EXPECT_ROW(i, !(plx_frame_info[t].spec & PLX_FRAME_FLOW_CONTROLLED) ==
                              (strchr(row[i].spec, 'F') == NULL));
            EXPECT_ROW(i, plx_frame_info[t].name != NULL);
        }
    }
    assert_int_equal(next, PLX_FRAME_TYPE_COUNT);
    assert_false(plx_frame_is_permitted(PLX_FRAME_TYPE_COUNT, PLX_PKT_SHORT));
}

static void test_ack_ranges_round_trip(void **state)
{
    struct plx_prng r;
    (void)state;
    plx_prng_init(&r, 3);
    for (unsigned i = 0; i < 20000; i++) {
        struct plx_ranges v;
        uint8_t buf[400];
        struct plx_wr w = plx_wr_init(buf, plx_prng_between(&r, 0, sizeof buf));
        uint64_t at = plx_prng_u64(&r) >> plx_prng_between(&r, 4, 63);
        struct plx_ecn_counts ecn = {plx_prng_below(&r, 100000), plx_prng_below(&r, 10),
                                     plx_prng_below(&r, 1000)};
        bool has_ecn = plx_prng_chance(&r, 1, 2);
        unsigned max = (unsigned)plx_prng_between(&r, 1, 40);

        plx_ranges_init(&v);
        for (unsigned n = (unsigned)plx_prng_between(&r, 1, PLX_RANGES_MAX); n > 0; n--) {
            uint64_t end = at + 1 + plx_prng_below(&r, UINT64_C(1) << plx_prng_below(&r, 20));
            EXPECT_ROW(i, plx_ranges_add(&v, at, end));
            at = end + 1 + plx_prng_below(&r, UINT64_C(1) << plx_prng_below(&r, 20));
        }
        if (!plx_frame_ack_write(&w, &v, 77, has_ecn ? &ecn : NULL, max)) {
            EXPECT_ROW(i, w.p == buf && !w.is_full && w.end - buf < 50);
            continue;
        }
        struct plx_rd rd = plx_rd_init(buf, (size_t)(w.p - buf));
        struct plx_frame f;
        EXPECT_ROW(i, plx_frame_read(&rd, &f) == PLX_FRAME_OK && plx_rd_left(&rd) == 0);
        EXPECT_ROW(i, f.type == (has_ecn ? PLX_FRAME_ACK_ECN : PLX_FRAME_ACK));
        EXPECT_ROW(i, f.ack.delay == 77 && f.ack.has_ecn == has_ecn && f.ack.range_count < max);
        EXPECT_ROW(i, !has_ecn || memcmp(&f.ack.ecn, &ecn, sizeof ecn) == 0);
        struct plx_ack_iter it;
        uint64_t smallest, largest;
        unsigned n = 0;
        plx_ack_iter_init(&it, &f.ack);
        for (; plx_ack_iter_next(&it, &smallest, &largest); n++) {
            const struct plx_range *x = &v.v[v.count - 1 - n];
            EXPECT_ROW(i, smallest == x->first && largest == x->end - 1);
        }
        EXPECT_ROW(i, n == f.ack.range_count + 1);
        EXPECT_ROW(i, n == v.count || n == max || plx_wr_left(&w) < 16); // no more than fits, no less
    }
}

static void test_stream_fits(void **state)
{
    struct plx_prng r;
    static uint8_t data[20000];
    static uint8_t buf[20000];
    (void)state;
    plx_prng_init(&r, 4);
    plx_prng_bytes(&r, data, sizeof data);
    for (unsigned i = 0; i < 50000; i++) {
        size_t cap = plx_prng_below(&r, plx_prng_chance(&r, 1, 20) ? 18000 : 100);
        struct plx_wr w = plx_wr_init(buf, cap);
        struct plx_frame_stream in = {
            .id = plx_prng_u64(&r) >> plx_prng_between(&r, 2, 63),
            .offset = plx_prng_chance(&r, 1, 3) ? 0 : plx_prng_u64(&r) >> plx_prng_between(&r, 3, 63),
            .data = data,
            .len = plx_prng_below(&r, plx_prng_chance(&r, 1, 20) ? 18000 : 100),
            .fin = plx_prng_chance(&r, 1, 2),
        };
        bool is_filling = plx_prng_chance(&r, 1, 2);
        size_t written = plx_frame_stream_write(&w, &in, is_filling);
        if (written == SIZE_MAX) {
            EXPECT_ROW(i, w.p == buf && plx_wr_left(&w) == cap && !w.is_full);
            EXPECT_ROW(i, cap < 20 || (in.len == 0 && !in.fin));
            continue;
        }
        struct plx_rd rd = plx_rd_init(buf, (size_t)(w.p - buf));
        struct plx_frame f;
        EXPECT_ROW(i, plx_frame_read(&rd, &f) == PLX_FRAME_OK && plx_rd_left(&rd) == 0);
        EXPECT_ROW(i, f.stream.id == in.id && f.stream.offset == in.offset && f.stream.len == written);
        EXPECT_ROW(i, written <= in.len && memcmp(f.stream.data, data, written) == 0);
        EXPECT_ROW(i, f.stream.fin == (in.fin && written == in.len));
        EXPECT_ROW(i, written > 0 || (in.len == 0 && in.fin));
        EXPECT_ROW(i, written == in.len || plx_wr_left(&w) <= 2); // nothing wasted but at a boundary
        bool has_len = f.type & 2;
        EXPECT_ROW(i, has_len || (is_filling && plx_wr_left(&w) == 0));
        EXPECT_ROW(i, written == in.len || !is_filling || (!has_len && w.p == buf + cap));
    }
}

static void test_crypto_fits(void **state)
{
    uint8_t buf[600], data[600];
    (void)state;
    memset(data, 0x5a, sizeof data);
    for (size_t cap = 0; cap < sizeof buf; cap++) {
        struct plx_wr w = plx_wr_init(buf, cap);
        struct plx_frame_crypto in = {.offset = 70, .data = data, .len = 500};
        size_t written = plx_frame_crypto_write(&w, &in);
        if (cap < 5) {
            EXPECT_ROW(cap, written == SIZE_MAX && w.p == buf);
            continue;
        }
        struct plx_rd rd = plx_rd_init(buf, (size_t)(w.p - buf));
        struct plx_frame f;
        EXPECT_ROW(cap, plx_frame_read(&rd, &f) == PLX_FRAME_OK && plx_rd_left(&rd) == 0);
        EXPECT_ROW(cap, f.crypto.offset == 70 && f.crypto.len == written);
        EXPECT_ROW(cap, written == 500 || plx_wr_left(&w) <= 1);
    }
}

// A frame of every other kind with arbitrary fields, written into just too little room and into enough.
static bool any_write(struct plx_prng *r, struct plx_wr *w, unsigned kind, uint64_t *type)
{
    uint64_t a = plx_prng_u64(r) >> plx_prng_between(r, 2, 63),
             b = plx_prng_u64(r) >> plx_prng_between(r, 2, 63);
    struct plx_frame_reset_stream reset = {a, b, a / 2};
    struct plx_frame_stop_sending stop = {a, b};
    struct plx_frame_new_connection_id cid = {
        .seq = a, .retire_prior_to = a / 2, .cid = {.len = (uint8_t)(1 + b % 20)}};
    struct plx_frame_close close = {.code = a, .frame_type = b, .is_application = kind == 17};
    uint64_t limit = a >> 2;

    *type = (uint64_t[]){0x04, 0x05, 0x07, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16,
                         0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1e, 0x1c, 0x1d, 0x01}[kind];
    switch (kind) {
    case 0:
        return plx_frame_reset_stream_write(w, &reset);
    case 1:
        return plx_frame_stop_sending_write(w, &stop);
    case 2:
        return plx_frame_new_token_write(w, (const uint8_t *)"0123456789", 1 + a % 10);
    case 3:
        return plx_frame_max_data_write(w, a);
    case 4:
        return plx_frame_max_stream_data_write(w, a, b);
    case 5:
        return plx_frame_max_streams_write(w, false, limit);
    case 6:
        return plx_frame_max_streams_write(w, true, limit);
    case 7:
        return plx_frame_data_blocked_write(w, a);
    case 8:
        return plx_frame_stream_data_blocked_write(w, a, b);
    case 9:
        return plx_frame_streams_blocked_write(w, false, limit);
    case 10:
        return plx_frame_streams_blocked_write(w, true, limit);
    case 11:
        return plx_frame_new_connection_id_write(w, &cid);
    case 12:
        return plx_frame_retire_connection_id_write(w, a);
    case 13:
        return plx_frame_path_challenge_write(w, (const uint8_t *)"challeng");
    case 14:
        return plx_frame_path_response_write(w, (const uint8_t *)"response");
    case 15:
        return plx_frame_handshake_done_write(w);
    case 18:
        return plx_frame_ping_write(w);
    default:
        return plx_frame_close_write(w, &close);
    }
}

static void test_control_round_trip(void **state)
{
    struct plx_prng r;
    (void)state;
    plx_prng_init(&r, 5);
    for (unsigned i = 0; i < 20000; i++) {
        uint8_t buf[128], again[128];
        uint64_t type;
        unsigned kind = i % 19;
        struct plx_prng same = r;
        struct plx_wr w = plx_wr_init(buf, sizeof buf);
        EXPECT_ROW(i, any_write(&r, &w, kind, &type));
        size_t len = (size_t)(w.p - buf);
        struct plx_rd rd = plx_rd_init(buf, len);
        struct plx_frame f;
        EXPECT_ROW(i, plx_frame_read(&rd, &f) == PLX_FRAME_OK && plx_rd_left(&rd) == 0 && f.type == type);

        size_t cap = plx_prng_below(&r, len); // the same frame into too little room
        w = plx_wr_init(again, cap);
        EXPECT_ROW(i, !any_write(&same, &w, kind, &type));
        EXPECT_ROW(i, w.p == again && plx_wr_left(&w) == cap && !w.is_full);
    }
}

static void test_fields(void **state)
{
    uint8_t buf[64];
    struct plx_frame f;
    struct plx_frame_new_connection_id cid = {
        .seq = 9, .retire_prior_to = 4, .cid = {.len = 3, .bytes = "abc"}, .token = "0123456789abcde"};
    struct plx_wr w = plx_wr_init(buf, sizeof buf);
    (void)state;
    assert_true(plx_frame_new_connection_id_write(&w, &cid));
    struct plx_rd r = plx_rd_init(buf, (size_t)(w.p - buf));
    assert_int_equal(plx_frame_read(&r, &f), PLX_FRAME_OK);
    assert_true(f.new_connection_id.seq == 9 && f.new_connection_id.retire_prior_to == 4);
    assert_true(plx_cid_eq(&f.new_connection_id.cid, &cid.cid));
    assert_memory_equal(f.new_connection_id.token, cid.token, sizeof cid.token);

    w = plx_wr_init(buf, sizeof buf);
    assert_true(plx_frame_max_streams_write(&w, true, 77) && plx_frame_stream_data_blocked_write(&w, 5, 6));
    r = plx_rd_init(buf, (size_t)(w.p - buf));
    assert_int_equal(plx_frame_read(&r, &f), PLX_FRAME_OK);
    assert_true(f.max_streams.is_uni && f.max_streams.maximum == 77);
    assert_int_equal(plx_frame_read(&r, &f), PLX_FRAME_OK);
    assert_true(f.stream_data_blocked.id == 5 && f.stream_data_blocked.limit == 6);

    struct plx_frame_close close = {
        .code = 10, .frame_type = 6, .reason = (const uint8_t *)"caf\xc3\xa9", .reason_len = 5};
    static const struct {
        size_t cap, len;
    } row[] = {{9, 5}, {8, 3}, {7, 3}, {6, 2}, {4, 0}}; // never half of the last letter
    for (unsigned i = 0; i < ROWS(row); i++) {
        w = plx_wr_init(buf, row[i].cap);
        EXPECT_ROW(i, plx_frame_close_write(&w, &close));
        r = plx_rd_init(buf, (size_t)(w.p - buf));
        EXPECT_ROW(i, plx_frame_read(&r, &f) == PLX_FRAME_OK && f.close.reason_len == row[i].len);
        EXPECT_ROW(i, f.close.code == 10 && f.close.frame_type == 6 && !f.close.is_application);
    }
}

static void test_error_names(void **state)
{
    (void)state;
    assert_string_equal(plx_quic_error_name(PLX_QUIC_NO_ERROR), "NO_ERROR");
    assert_string_equal(plx_quic_error_name(0x10), "NO_VIABLE_PATH");
    assert_string_equal(plx_quic_error_name(0x11), "(unknown)");
    assert_string_equal(plx_quic_error_name(0x128), "CRYPTO_ERROR");
    assert_string_equal(plx_quic_error_name(0x200), "(unknown)");
    assert_string_equal(plx_quic_error_name(UINT64_MAX), "(unknown)");
    for (uint64_t code = 0; code < 0x220; code++)
        assert_true(plx_quic_error_help(code)[0] != '\0');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_padding_runs),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_ack_ranges_round_trip),
        cmocka_unit_test(test_stream_fits),
        cmocka_unit_test(test_crypto_fits),
        cmocka_unit_test(test_control_round_trip),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_error_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
