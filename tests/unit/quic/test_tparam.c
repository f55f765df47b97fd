// test_tparam.c -- transport parameters: one row per rule of section 18.2, and the way there and back.

#include "quic/wire/tparam.h"

#include "../base/rows.h"
#include "../crypto/hex.h"
#include "base/prng.h"

#define TOKEN16 "000102030405060708090a0b0c0d0e0f"
#define PREF                           \
    "c0a80001"                         \
    "01bb"                             \
    "20010db8000000000000000000000001" \
    "01bb"

static void test_read(void **state)
{
    static const struct {
        const char *hex;
        bool is_from_server;
        const char *wrong; // a part of the reason, NULL when it is good
    } row[] = {
        {"", true, NULL},
        {"0100", false, "not one integer"},
        {"010105", false, NULL},
        {"01020540", false, "not one integer"}, // an octet too many
        {"010245", false, "end within"},
        {"01", false, "end within"},
        {"0101050101"
         "05",
         false, "twice"},
        {"030244af", false, "max_udp_payload_size"}, // 1199
        {"030244b0", false, NULL},
        {"0308ffffffffffffffff", false, NULL},
        {"0808d000000000000000", false, NULL},
        {"0808d000000000000001", false, "initial_max_streams_bidi"},
        {"0908d000000000000001", false, "initial_max_streams_uni"},
        {"0a0114", false, NULL},
        {"0a0115", false, "ack_delay_exponent"},
        {"0b027fff", false, NULL},
        {"0b0480004000", false, "max_ack_delay"},
        {"0c00", false, NULL},
        {"0c0101", false, "flag"},
        {"0e0102", false, NULL},
        {"0e0101", false, "active_connection_id_limit"},
        {"0001aa", true, NULL},
        {"0001aa", false, "only servers"},
        {"0010" TOKEN16, true, NULL},
        {"0014" TOKEN16 "00000000", true, NULL},
        {"0015" TOKEN16 "0000000000", true, "longer than 20"},
        {"0f00", false, NULL},
        {"0f01aa", false, NULL},
        {"0f01aa0f01aa", false, "twice"},
        {"1001aa", true, NULL},
        {"1001aa", false, "only servers"},
        {"0210" TOKEN16, true, NULL},
        {"0210" TOKEN16, false, "only servers"},
        {"020f"
         "000102030405060708090a0b0c0d0e",
         true, "stateless_reset_token"},
        {"0d2a" PREF "01aa" TOKEN16, true, NULL},
        {"0d2a" PREF "01aa" TOKEN16, false, "only servers"},
        {"0d29" PREF "00" TOKEN16, true, "impossible connection ID"},
        {"0d2b" PREF "01aa" TOKEN16 "00", true, "wrong length"},
        {"0d10" TOKEN16, true, "wrong length"},
        {"1b0401020304", false, NULL}, // reserved: ignored
        {"7fff00"
         "7fff00",
         false, NULL},                 // unknown, even twice
        {"200480010000", false, NULL}, // datagrams
        {"6ab200", false, NULL},       // grease_quic_bit
        {"6ab200"
         "6ab200",
         false, "twice"},
        {"6ab20100", false, "flag"},
    };
    (void)state;
    for (unsigned i = 0; i < ROWS(row); i++) {
        uint8_t buf[128];
        size_t len = hex_read(row[i].hex, buf, sizeof buf);
        struct plx_tparams t;
        const char *wrong = plx_tparams_read(buf, len, row[i].is_from_server, &t);
        EXPECT_ROW(i, (wrong == NULL) == (row[i].wrong == NULL));
        EXPECT_ROW(i, wrong == NULL || strstr(wrong, row[i].wrong) != NULL);
    }
}

static void test_defaults(void **state)
{
    struct plx_tparams t;
    uint8_t buf[8];
    struct plx_wr w = plx_wr_init(buf, sizeof buf);
    (void)state;
    assert_null(plx_tparams_read(NULL, 0, false, &t));
    assert_int_equal(t.max_udp_payload_size, 65527);
    assert_int_equal(t.ack_delay_exponent, 3);
    assert_int_equal(t.max_ack_delay_ms, 25);
    assert_int_equal(t.active_connection_id_limit, 2);
    assert_int_equal(t.initial_max_data, 0);
    assert_false(t.disable_active_migration || t.grease_quic_bit || t.has_initial_scid);
    assert_true(plx_tparams_write(&w, &t, 0));
    assert_ptr_equal(w.p, buf); // defaults are not worth an octet
}

static void test_fields(void **state)
{
    uint8_t buf[128];
    struct plx_tparams t;
    size_t len = hex_read("0d2a" PREF "01aa" TOKEN16 "050450010203"
                          "0c00"
                          "0f02bbcc",
                          buf, sizeof buf);
    (void)state;
    buf[len - 10] = 0x90; // 0x10010203
    assert_null(plx_tparams_read(buf, len, true, &t));
    assert_true(t.has_preferred_addr && t.preferred_addr.ip4.port == 443 && t.preferred_addr.ip6.port == 443);
    char text[PLX_ADDR_STRLEN];
    assert_string_equal(plx_addr_str(&t.preferred_addr.ip4, text), "192.168.0.1:443");
    assert_string_equal(plx_addr_str(&t.preferred_addr.ip6, text), "[2001:db8::1]:443");
    assert_int_equal(t.preferred_addr.cid.len, 1);
    assert_int_equal(t.preferred_addr.token[15], 15);
    assert_int_equal(t.initial_max_stream_data_bidi_local, 0x10010203);
    assert_true(t.disable_active_migration);
    assert_true(t.has_initial_scid && t.initial_scid.len == 2 && t.initial_scid.bytes[1] == 0xcc);

    len = hex_read("0d2a"
                   "00000000"
                   "0000"
                   "20010db8000000000000000000000001"
                   "01bb"
                   "01aa" TOKEN16,
                   buf, sizeof buf);
    assert_null(plx_tparams_read(buf, len, true, &t));
    assert_int_equal(t.preferred_addr.ip4.af, PLX_AF_NONE);
    assert_int_equal(t.preferred_addr.ip6.af, PLX_AF_IP6);
}

static void fill(struct plx_prng *r, struct plx_tparams *t)
{
    plx_tparams_init(t);
    t->max_idle_timeout_ms = plx_prng_u64(r) >> plx_prng_between(r, 2, 63);
    t->max_udp_payload_size = plx_prng_between(r, 1200, 65527);
    t->initial_max_data = plx_prng_u64(r) >> plx_prng_between(r, 2, 63);
    t->initial_max_stream_data_bidi_local = plx_prng_u64(r) >> plx_prng_between(r, 2, 63);
    t->initial_max_stream_data_bidi_remote = plx_prng_u64(r) >> plx_prng_between(r, 2, 63);
    t->initial_max_stream_data_uni = plx_prng_u64(r) >> plx_prng_between(r, 2, 63);
    t->initial_max_streams_bidi = plx_prng_u64(r) >> plx_prng_between(r, 4, 63);
    t->initial_max_streams_uni = plx_prng_u64(r) >> plx_prng_between(r, 4, 63);
    t->ack_delay_exponent = plx_prng_below(r, 21);
    t->max_ack_delay_ms = plx_prng_below(r, 1 << 14);
    t->active_connection_id_limit = plx_prng_between(r, 2, 100);
    t->max_datagram_frame_size = plx_prng_below(r, 70000);
    t->disable_active_migration = plx_prng_chance(r, 1, 2);
    t->grease_quic_bit = plx_prng_chance(r, 1, 2);
    struct plx_cid *cids[] = {&t->original_dcid, &t->initial_scid, &t->retry_scid};
    bool *has[] = {&t->has_original_dcid, &t->has_initial_scid, &t->has_retry_scid};
    for (unsigned i = 0; i < 3; i++) {
        *has[i] = plx_prng_chance(r, 1, 2);
        cids[i]->len = *has[i] ? (uint8_t)plx_prng_below(r, 21) : 0;
        plx_prng_bytes(r, cids[i]->bytes, cids[i]->len);
    }
    t->has_reset_token = plx_prng_chance(r, 1, 2);
    if (t->has_reset_token)
        plx_prng_bytes(r, t->reset_token, sizeof t->reset_token);
    t->has_preferred_addr = plx_prng_chance(r, 1, 2);
    if (t->has_preferred_addr) {
        t->preferred_addr.ip4 = (struct plx_addr){.af = PLX_AF_IP4, .port = 443, .ip = {10, 1, 2, 3}};
        t->preferred_addr.cid.len = 20;
        plx_prng_bytes(r, t->preferred_addr.cid.bytes, 20);
    }
}

static void test_round_trip(void **state)
{
    struct plx_prng r;
    (void)state;
    plx_prng_init(&r, 6);
    for (unsigned i = 0; i < 5000; i++) {
        struct plx_tparams t, back, kept;
        uint8_t buf[PLX_TPARAMS_LEN_MAX];
        fill(&r, &t);
        struct plx_wr w = plx_wr_init(buf, sizeof buf);
        EXPECT_ROW(i, plx_tparams_write(&w, &t, plx_prng_u64(&r)));
        EXPECT_ROW(i, plx_tparams_read(buf, (size_t)(w.p - buf), true, &back) == NULL);
        EXPECT_ROW(i, memcmp(&t, &back, sizeof t) == 0);

        size_t cap = plx_prng_below(&r, (uint64_t)(w.p - buf));
        w = plx_wr_init(buf, cap);
        uint64_t grease = 0;
        if (!plx_tparams_write(&w, &t, grease))
            EXPECT_ROW(i, w.p == buf && plx_wr_left(&w) == cap);

        w = plx_wr_init(buf, sizeof buf);
        EXPECT_ROW(i, plx_tparams_write_remembered(&w, &t));
        EXPECT_ROW(i, plx_tparams_read(buf, (size_t)(w.p - buf), true, &kept) == NULL);
        EXPECT_ROW(i, kept.initial_max_data == t.initial_max_data &&
                          kept.initial_max_streams_uni == t.initial_max_streams_uni);
        EXPECT_ROW(i, kept.active_connection_id_limit == t.active_connection_id_limit);
        //= rfc9000 7.4.1 "A client MUST NOT use remembered values for the following parameters"
        EXPECT_ROW(i, !kept.has_original_dcid && !kept.has_reset_token && !kept.has_preferred_addr &&
                          kept.max_ack_delay_ms == 25);
        EXPECT_ROW(i, kept.max_udp_payload_size == t.max_udp_payload_size);
        EXPECT_ROW(i, kept.max_idle_timeout_ms == t.max_idle_timeout_ms);
        EXPECT_ROW(i, kept.disable_active_migration == t.disable_active_migration);
        EXPECT_ROW(i, plx_tparams_is_kept(&kept, &t));
        kept.max_idle_timeout_ms++; // a server may choose less of this
        EXPECT_ROW(i, plx_tparams_is_kept(&kept, &t));
        kept.initial_max_data++; // but not of that
        EXPECT_ROW(i, !plx_tparams_is_kept(&kept, &t));
    }
}

// What is greased is reserved, and stays so for a peer that keeps 16 bits of an identifier.
static void test_grease(void **state)
{
    struct plx_prng r;
    struct plx_tparams t;
    uint64_t least = UINT64_MAX, most = 0;

    (void)state;
    plx_prng_init(&r, 8);
    plx_tparams_init(&t);
    for (unsigned i = 0; i < 20000; i++) {
        uint8_t buf[PLX_TPARAMS_LEN_MAX];
        struct plx_wr w = plx_wr_init(buf, sizeof buf);
        // nothing else: all values are the defaults
        EXPECT_ROW(i, plx_tparams_write(&w, &t, plx_prng_u64(&r) | 1));
        struct plx_rd in = plx_rd_init(buf, (size_t)(w.p - buf));
        uint64_t id = plx_rd_varint(&in), len = plx_rd_varint(&in);
        EXPECT_ROW(i, id % 31 == 27 && id <= UINT16_MAX && !in.is_short && plx_rd_left(&in) == len);
        least = id < least ? id : least;
        most = id > most ? id : most;
    }
    assert_true(least < 1000 && most > 64000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),       cmocka_unit_test(test_defaults), cmocka_unit_test(test_fields),
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_grease),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
