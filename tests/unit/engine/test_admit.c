// test_admit.c -- packets that no connection claims: each has one outcome, one counter, and at most one answer.

#include "fake.h"

#include "crypto/aead.h"
#include "crypto/keys.h"

enum { ANSWERED_RETRY = 1, ANSWERED_VNEG, ANSWERED_RESET, REFUSED, SILENT };

// A long header with an 8-octet token-less Initial's shape; the rest is junk that does not open.
static uint16_t build(uint8_t *out, uint8_t first, uint32_t version, uint8_t dcid_len, uint16_t len,
                      uint8_t token_len)
{
    struct plx_wr w = plx_wr_init(out, FAKE_ROOM);
    bool is_initial = (first & 0xb0) == 0x80;

    plx_wr_u8(&w, first);
    plx_wr_u32(&w, version);
    plx_wr_u8(&w, dcid_len);
    for (uint8_t i = 0; i < dcid_len; i++)
        plx_wr_u8(&w, (uint8_t)(0xd0 + i));
    plx_wr_u8(&w, 4);
    plx_wr_bytes(&w, "SCID", 4);
    if (is_initial) {
        plx_wr_u8(&w, token_len);
        for (uint8_t i = 0; i < token_len; i++)
            plx_wr_u8(&w, 0x55);
    }
    uint16_t head = (uint16_t)(w.p - out) + 2;
    plx_wr_u16(&w, (uint16_t)(0x4000 | (len - head)));
    while (w.p < out + len)
        plx_wr_u8(&w, 0xaa);
    plx_check(w.p == out + len);
    return len;
}

static const struct row {
    const char *name;
    uint8_t first;
    uint32_t version;
    uint8_t dcid_len;
    uint16_t len;
    bool is_server, is_stopping;
    enum plx_retry retry;
    int answer;
    int drop; // enum plx_drop, -1: none
} rows[] = {
    {"an Initial, and everybody is asked to come again", 0xc0, 1, 8, 1200, true, false, PLX_RETRY_ALWAYS,
     ANSWERED_RETRY, -1},
    {"an Initial that does not open", 0xc0, 1, 8, 1200, true, false, PLX_RETRY_NEVER, SILENT,
     PLX_DROP_auth_failed},
    {"an Initial that does not open, and nobody is busy", 0xc0, 1, 8, 1200, true, false, PLX_RETRY_AUTO,
     SILENT, PLX_DROP_auth_failed},
    {"an Initial that is too small", 0xc0, 1, 8, 1199, true, false, PLX_RETRY_ALWAYS, SILENT,
     PLX_DROP_small_initial},
    {"an Initial to 7 octets", 0xc0, 1, 7, 1200, true, false, PLX_RETRY_ALWAYS, SILENT, PLX_DROP_invalid},
    {"an Initial to 20 octets", 0xc0, 1, 20, 1200, true, false, PLX_RETRY_ALWAYS, ANSWERED_RETRY, -1},
    {"an Initial to 21 octets", 0xc0, 1, 21, 1200, true, false, PLX_RETRY_ALWAYS, SILENT, PLX_DROP_cid_len},
    {"an Initial while stopping", 0xc0, 1, 8, 1200, true, true, PLX_RETRY_ALWAYS, REFUSED, PLX_DROP_stopping},
    {"an Initial to a client", 0xc0, 1, 8, 1200, false, false, PLX_RETRY_AUTO, SILENT, PLX_DROP_not_serving},
    {"0-RTT", 0xd0, 1, 8, 1200, true, false, PLX_RETRY_ALWAYS, SILENT, PLX_DROP_unknown_cid},
    {"Handshake", 0xe0, 1, 8, 1200, true, false, PLX_RETRY_ALWAYS, SILENT, PLX_DROP_unknown_cid},
    {"Retry", 0xf0, 1, 8, 1200, true, false, PLX_RETRY_ALWAYS, SILENT, PLX_DROP_unknown_cid},
    {"Version Negotiation", 0x80, 0, 8, 1200, true, false, PLX_RETRY_ALWAYS, SILENT, PLX_DROP_unknown_cid},
    {"an unknown version", 0xc0, 0x1a2a3a4a, 8, 1200, true, false, PLX_RETRY_ALWAYS, ANSWERED_VNEG,
     PLX_DROP_unknown_version},
    {"an unknown version, too small", 0xc0, 0x1a2a3a4a, 8, 1199, true, false, PLX_RETRY_ALWAYS, SILENT,
     PLX_DROP_unknown_version},
    {"an unknown version to a client", 0xc0, 0x1a2a3a4a, 8, 1200, false, false, PLX_RETRY_AUTO, SILENT,
     PLX_DROP_unknown_version},
    {"no QUIC bit", 0x80, 1, 8, 1200, true, false, PLX_RETRY_ALWAYS, SILENT, PLX_DROP_fixed_bit},
    {"a short header", 0x40, 0, 0, 100, true, false, PLX_RETRY_ALWAYS, ANSWERED_RESET, PLX_DROP_unknown_cid},
    {"a short header to a client", 0x40, 0, 0, 100, false, false, PLX_RETRY_AUTO, ANSWERED_RESET,
     PLX_DROP_unknown_cid},
    {"a short header of 28 octets", 0x40, 0, 0, 28, true, false, PLX_RETRY_ALWAYS, SILENT,
     PLX_DROP_too_short},
    {"one octet", 0x40, 0, 0, 1, true, false, PLX_RETRY_ALWAYS, SILENT, PLX_DROP_too_short},
};

static bool is_answer(const struct plx_core *k, const struct fake_queue *q, const struct row *r)
{
    const uint8_t *p = q->sent[0].p;
    uint16_t len = q->sent[0].len;

    if (r->answer == SILENT)
        return q->sent_count == 0 && k->n.retries + k->n.vnegs + k->n.resets == 0;
    if (q->sent_count != 1 || len >= r->len || q->sent[0].peer.port != 999)
        return false;
    switch (r->answer) {
    case ANSWERED_RETRY:
        return (p[0] & 0xf0) == 0xf0 && k->n.retries == 1;
    case ANSWERED_VNEG:
        return memcmp(p + 1, "\0\0\0\0", 4) == 0 && k->n.vnegs == 1;
    case ANSWERED_RESET:
        return (p[0] & 0xc0) == 0x40 && k->n.resets == 1;
    default:
        return (p[0] & 0xf0) == 0xc0; // an Initial with CONNECTION_CLOSE
    }
}

static void test_rows(void **state)
{
    uint8_t buf[FAKE_ROOM];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *r = &rows[i];
        struct plx_engine_cfg cfg;
        fake_cfg(&cfg);
        cfg.retry = r->retry;
        struct fake *f = fake_new(&cfg, r->is_server);
        struct plx_core *k = fake_core(f, 0);
        fake_breathe(f, 0, PLX_MS(1)); // the first tick
        if (r->is_stopping)
            plx_core_stop(k, plx_time_after(f->now, PLX_SEC(10)));
        if (r->first & 0x80)
            build(buf, r->first, r->version, r->dcid_len, r->len, 0);
        else
            memset(buf, r->first, r->len);
        fake_arrives(f, 0, buf, r->len, NULL);
        fake_breathe(f, 0, PLX_MS(1));
        uint64_t all = fake_all_drops(f);
        if (all != (r->drop >= 0) || (r->drop >= 0 && fake_drops(f, (enum plx_drop)r->drop) != 1) ||
            !is_answer(k, &f->q[0], r))
            fail_msg("%s: %llu drops, %u answers", r->name, (unsigned long long)all, f->q[0].sent_count);
        fake_breathe(f, 0, PLX_SEC(1));
        if (k->n.conns_open != 0)
            fail_msg("%s: a connection is left of it", r->name);
        fake_free(f);
    }
}

// Half of the handshake objects are in use: the next Initial is asked to come again. None is left: refused.
static void test_busy(void **state)
{
    uint8_t buf[FAKE_ROOM];
    struct plx_engine_cfg cfg;
    void *taken[256];
    unsigned count = 0;

    (void)state;
    fake_cfg(&cfg);
    struct fake *f = fake_new(&cfg, true);
    struct plx_core *k = fake_core(f, 0);
    build(buf, 0xc0, 1, 8, 1200, 0);
    while (count < 9)
        taken[count++] = plx_pool_take(&k->handshakes);
    fake_arrives(f, 0, buf, 1200, NULL);
    fake_breathe(f, 0, PLX_MS(1));
    assert_int_equal(k->n.retries, 1);
    while (count > 8)
        plx_pool_give(&k->handshakes, taken[--count]);
    fake_arrives(f, 0, buf, 1200, NULL);
    fake_breathe(f, 0, PLX_MS(1));
    assert_int_equal(k->n.retries, 1);
    assert_int_equal(fake_drops(f, PLX_DROP_auth_failed), 1); // it was let in
    while (count > 0)
        plx_pool_give(&k->handshakes, taken[--count]);
    fake_free(f);

    cfg.retry = PLX_RETRY_NEVER;
    // without connections, without handshakes, without the streams that HTTP/3 has of its own
    static const enum plx_drop why[] = {PLX_DROP_conns_full, PLX_DROP_handshakes_full, PLX_DROP_streams_full};
    for (int i = 0; i < 3; i++) {
        f = fake_new(&cfg, true);
        k = fake_core(f, 0);
        struct plx_pool *pool = i == 0 ? &k->conns : i == 1 ? &k->handshakes : &k->streams;
        while (plx_pool_left(pool) > (i == 2 ? 7u : 0u))
            taken[count++] = plx_pool_take(pool);
        fake_arrives(f, 0, buf, 1200, NULL);
        fake_breathe(f, 0, PLX_MS(1));
        assert_int_equal(fake_drops(f, why[i]), 1);
        assert_int_equal(f->q[0].sent_count, 1);
        while (count > 0)
            plx_pool_give(pool, taken[--count]);
        fake_free(f);
    }
}

static void test_reset_rate(void **state)
{
    uint8_t buf[60];
    struct plx_engine_cfg cfg;

    (void)state;
    fake_cfg(&cfg);
    struct fake *f = fake_new(&cfg, true);
    struct plx_core *k = fake_core(f, 0);
    memset(buf, 0x41, sizeof buf);
    fake_breathe(f, 0, PLX_MS(1));
    for (unsigned i = 0; i < 2 * PLX_RESETS_PER_TICK; i++) {
        fake_arrives(f, 0, buf, sizeof buf, NULL);
        fake_breathe(f, 0, PLX_NS(1));
    }
    assert_int_equal(k->n.resets, PLX_RESETS_PER_TICK);
    assert_int_equal(fake_drops(f, PLX_DROP_unknown_cid), 2 * PLX_RESETS_PER_TICK);
    fake_breathe(f, 0, cfg.tick);
    fake_arrives(f, 0, buf, sizeof buf, NULL);
    fake_breathe(f, 0, PLX_NS(1));
    assert_int_equal(k->n.resets, PLX_RESETS_PER_TICK + 1);
    fake_free(f);
}

// Noise: every datagram without exception is counted, and every buffer comes home.
static void test_noise(void **state)
{
    static const uint8_t first[] = {0xc0, 0xe0, 0x40, 0x80, 0x00, 0xf0};
    uint8_t buf[1500];
    struct plx_engine_cfg cfg;
    struct plx_prng prng;

    (void)state;
    fake_cfg(&cfg);
    cfg.retry = PLX_RETRY_NEVER;
    struct fake *f = fake_new(&cfg, true);
    plx_prng_init(&prng, 3);
    for (unsigned i = 0; i < 20000; i++) {
        uint16_t len = 1 + (uint16_t)plx_prng_below(&prng, 1400);
        plx_prng_bytes(&prng, buf, len);
        buf[0] = (uint8_t)(first[plx_prng_below(&prng, sizeof first)] | (buf[0] & 15));
        if (len > 5 && (buf[0] & 0x80) && plx_prng_below(&prng, 2) == 0)
            memcpy(buf + 1, "\0\0\0\1", 4);
        uint64_t before = fake_all_drops(f);
        fake_arrives(f, 0, buf, len, NULL);
        fake_breathe(f, 0, PLX_MS(1));
        if (fake_all_drops(f) == before)
            fail_msg("datagram %u of %u octets, first 0x%02x, was not counted", i, len, buf[0]);
        f->q[0].sent_count = 0;
    }
    assert_int_equal(fake_core(f, 0)->n.datagrams_rx, 20000);
    fake_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_busy),
                                       cmocka_unit_test(test_reset_rate), cmocka_unit_test(test_noise)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
