// test_frames.c -- ports of frames: questions answered, packets held until the answer comes, and news that one core tells the others.

#include "fake.h"

#include "../net/frames.h"

static struct fake *open_frames(uint16_t workers)
{
    static struct plx_addr ip;
    static const uint8_t prefix = 24;
    struct plx_engine_cfg cfg;

    plx_check(plx_addr_parse("10.0.0.1:1", &ip));
    fake_cfg(&cfg);
    cfg.ip = &ip;
    cfg.ip_prefix = &prefix;
    cfg.ip_count = 1;
    cfg.workers = workers;
    struct fake *f = fake_new(&cfg, true);
    for (uint16_t i = 0; i < workers; i++) {
        fake_breathe(f, i, PLX_MS(1)); // announcements
        f->q[i].sent_count = 0;
    }
    return f;
}

static void arrives(struct fake *f, uint16_t queue, struct frame frame)
{
    fake_arrives(f, queue, frame.b, frame.len, NULL);
    fake_breathe(f, queue, PLX_MS(1));
}

static bool is_arp(const struct fake_sent *s, uint8_t op)
{
    return s->len >= 42 && s->p[12] == 0x08 && s->p[13] == 0x06 && s->p[21] == op;
}

static bool is_udp(const struct fake_sent *s)
{
    return s->len > 42 && s->p[12] == 0x08 && s->p[13] == 0x00 && s->p[23] == 17;
}

static const uint8_t question[100] = {0x41, 9, 9, 9}; // a short header of no connection: answered by a reset

static void test_asked(void **state)
{
    struct fake *f = open_frames(1);

    (void)state;
    arrives(f, 0, arp_frame(1, PEER_IP4, OUR_IP4));
    assert_int_equal(f->q[0].sent_count, 1);
    assert_true(is_arp(&f->q[0].sent[0], 2));
    assert_memory_equal(f->q[0].sent[0].p, PEER_MAC, 6);
    arrives(f, 0, echo_frame(false, 56));
    assert_int_equal(f->q[0].sent_count, 2);
    arrives(f, 0, arp_frame(1, PEER_IP4, FAR_IP4)); // not about us
    assert_int_equal(f->q[0].sent_count, 2);
    assert_int_equal(fake_drops(f, PLX_DROP_unknown_cid), 0);
    fake_free(f);
}

static void test_drops(void **state)
{
    struct fake *f = open_frames(1);
    struct frame bad = udp4_frame(443, question, sizeof question);
    uint8_t noise[64] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x12, 0x34};

    (void)state;
    arrives(f, 0, udp4_frame(444, question, sizeof question));
    assert_int_equal(fake_drops(f, PLX_DROP_no_port), 1);
    bad.b[60] ^= 1;
    arrives(f, 0, bad);
    assert_int_equal(fake_drops(f, PLX_DROP_bad_checksum), 1);
    fake_arrives(f, 0, noise, sizeof noise, NULL);
    fake_breathe(f, 0, PLX_MS(1));
    fake_arrives(f, 0, noise, 5, NULL);
    fake_breathe(f, 0, PLX_MS(1));
    assert_int_equal(fake_drops(f, PLX_DROP_not_udp), 2);
    arrives(f, 0, udp4_frame(443, question, sizeof question));
    assert_int_equal(fake_drops(f, PLX_DROP_unknown_cid), 1);
    assert_int_equal(fake_all_drops(f), 5);
    fake_free(f);
}

// A client's first packet raises the question, waits for the answer, and goes.
static void connect_to(struct plx_core *k, const char *where)
{
    struct plx_connect_cfg to = {.server_name = "localhost"};
    struct plx_conn *c;

    assert_true(plx_addr_parse(where, &to.peer));
    assert_int_equal(plx_core_connect(k, &to, &c), PLX_OK);
}

static void test_held(void **state)
{
    struct fake *f = open_frames(1);
    struct plx_core *k = fake_core(f, 0);
    unsigned asked = 0;

    (void)state;
    connect_to(k, "10.0.0.2:443");
    fake_breathe(f, 0, PLX_MS(1));
    uint16_t held = k->frames->held_count;
    assert_true(held >= 1);
    for (unsigned i = 0; i < f->q[0].sent_count; i++) {
        assert_false(is_udp(&f->q[0].sent[i]));
        asked += is_arp(&f->q[0].sent[i], 1);
    }
    assert_int_equal(asked, 1);
    f->q[0].sent_count = 0;
    arrives(f, 0, arp_frame(2, PEER_IP4, OUR_IP4));
    assert_int_equal(k->frames->held_count, 0);
    assert_int_equal(f->q[0].sent_count, held);
    for (unsigned i = 0; i < held; i++) {
        assert_true(is_udp(&f->q[0].sent[i]));
        assert_memory_equal(f->q[0].sent[i].p, PEER_MAC, 6);
        assert_memory_equal(f->q[0].sent[i].p + 6, OUR_MAC, 6);
    }
    assert_int_equal(fake_drops(f, PLX_DROP_tx_no_neighbour), 0);
    fake_free(f);
}

static void test_never_answered(void **state)
{
    struct fake *f = open_frames(1);
    struct plx_core *k = fake_core(f, 0);

    (void)state;
    connect_to(k, "10.0.0.77:443");
    fake_breathe(f, 0, PLX_MS(1));
    assert_true(k->frames->held_count >= 1);
    for (int i = 0; i < 300; i++) // the client's probes are held, too, and each in its turn given up
        fake_breathe(f, 0, PLX_MS(50));
    assert_true(fake_drops(f, PLX_DROP_tx_no_neighbour) >= 2);
    assert_int_equal(k->frames->held_count, 0);
    assert_int_equal(k->n.conns_open, 0); // and so is the connection
    fake_free(f);
}

static void test_held_overflow(void **state)
{
    struct fake *f = open_frames(1);
    struct plx_core *k = fake_core(f, 0);

    (void)state;
    unsigned at_home = f->q[0].free_count;
    for (unsigned i = 0; i < PLX_FRAMES_HELD_MAX + 5; i++) {
        struct plx_pkt *pkt = plx_tx_reply(k, NULL);
        assert_non_null(pkt);
        assert_true(plx_addr_parse("10.0.0.77:443", &pkt->peer));
        pkt->len = 10;
        assert_int_equal(plx_frames_tx(k, &pkt, 1), 0);
    }
    assert_int_equal(k->frames->held_count, PLX_FRAMES_HELD_MAX);
    assert_int_equal(fake_drops(f, PLX_DROP_tx_no_neighbour), 5);
    fake_breathe(f, 0, PLX_SEC(2));
    assert_int_equal(fake_drops(f, PLX_DROP_tx_no_neighbour), PLX_FRAMES_HELD_MAX + 5);
    assert_true(f->q[0].free_count + k->tx.spare_count >= at_home);
    fake_free(f);
}

// ARP comes to one queue alone: the other core hears of it.
static void test_news(void **state)
{
    struct fake *f = open_frames(2);
    struct plx_core *b = fake_core(f, 1);

    (void)state;
    arrives(f, 0, arp_frame(2, PEER_IP4, OUR_IP4)); // asked for by nobody: of no interest
    fake_breathe(f, 1, PLX_MS(1));
    connect_to(b, "10.0.0.2:443");
    fake_breathe(f, 1, PLX_MS(1));
    uint16_t held = b->frames->held_count;
    assert_true(held >= 1);
    f->q[1].sent_count = 0;
    arrives(f, 0, arp_frame(2, PEER_IP4, OUR_IP4));
    assert_int_equal(b->frames->held_count, held);
    fake_breathe(f, 1, PLX_MS(1));
    assert_int_equal(b->frames->held_count, 0);
    assert_int_equal(f->q[1].sent_count, held);
    assert_true(is_udp(&f->q[1].sent[0]));
    assert_memory_equal(f->q[1].sent[0].p, PEER_MAC, 6);
    fake_free(f);
}

// More news than are kept: the oldest are forgotten, the newest arrive.
static void test_much_news(void **state)
{
    struct fake *f = open_frames(2);
    uint8_t ip[4] = {10, 0, 0, 0};

    (void)state;
    for (unsigned i = 0; i < PLX_FRAMES_NEWS_MAX + 20; i++) {
        ip[3] = (uint8_t)(3 + i);
        arrives(f, 0, arp_frame(1, ip, OUR_IP4)); // who asks for us says where he is
        f->q[0].sent_count = 0;
    }
    fake_breathe(f, 1, PLX_MS(1));
    f->q[1].sent_count = 0;
    char text[32];
    snprintf(text, sizeof text, "10.0.0.%u:443", ip[3]);
    connect_to(fake_core(f, 1), text);
    fake_breathe(f, 1, PLX_MS(1));
    assert_int_equal(fake_core(f, 1)->frames->held_count, 0);
    assert_true(f->q[1].sent_count > 0 && is_udp(&f->q[1].sent[0]));
    fake_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_asked),         cmocka_unit_test(test_drops),
        cmocka_unit_test(test_held),          cmocka_unit_test(test_never_answered),
        cmocka_unit_test(test_held_overflow), cmocka_unit_test(test_news),
        cmocka_unit_test(test_much_news)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
