// test_heard.c -- the short road of a frame says nothing that the long one would not have said: lib/net/heard.c.
//
// Two instances with the same addresses. One has sent to the peer just now, so that its frames have the short road; the other has sent to nobody and knows the
// long one alone. Whatever comes, they say the same about it and make the same of it.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "frames.h"
#include "instance.h"

static struct {
    struct plx_net *quick, *slow;
    unsigned short_roads;
} both;

static const plx_time SOON = {UINT64_C(1000000000) + 1000};

static struct plx_addr peer_addr(const uint8_t ip[4])
{
    struct plx_addr to = {.af = PLX_AF_IP4, .port = 5555};
    memcpy(to.ip, ip, 4);
    return to;
}

// Sends one datagram to the peer and hears one of it by the long road: from now on, for a second, there is the short one.
static void quick_warm(const struct plx_net_cfg *cfg, const struct frame *of_peer)
{
    struct frame buf = {.len = 0}, copy;
    struct plx_addr to = peer_addr(PEER_IP4), host = to;
    host.port = 0;

    both.quick = net_open(cfg);
    both.slow = net_open(cfg);
    plx_net_learn(both.quick, &host, PEER_MAC, NOW);
    plx_net_learn(both.slow, &host, PEER_MAC, NOW);
    struct plx_pkt pkt = {.data = buf.b + 128, .len = 20, .cap = 1500, .peer = to}, out;
    memcpy(pkt.local.ip, OUR_IP4, 4); // as an answer is sent: the slot is that of both addresses
    pkt.local.af = PLX_AF_IP4;
    assert_true(plx_net_tx(both.quick, &pkt, NOW));
    assert_int_equal(receive(both.quick, of_peer, of_peer->len, &out, &copy), PLX_NET_UDP);
    both.short_roads = 0;
}

static void quick_end(void)
{
    test_free(both.quick);
    test_free(both.slow);
}

static struct plx_pkt rx(struct plx_net *n, const struct frame *f, uint16_t len, uint16_t flags,
                         enum plx_net_verdict *v, uint8_t **block)
{
    *block = test_malloc(len > 0 ? len : 1); // exactly: a step over the end is seen
    memcpy(*block, f->b, len);
    struct plx_pkt pkt = {.data = *block, .len = len, .cap = len, .flags = flags};
    *v = plx_net_rx(n, &pkt, NOW);
    return pkt;
}

// The same of both, for so many octets of the frame.
static void same(const struct frame *f, uint16_t len, uint16_t flags)
{
    enum plx_net_verdict vq, vs;
    uint8_t *bq, *bs;
    struct plx_pkt probe = {.data = (uint8_t *)f->b, .len = len, .cap = len, .flags = flags}, before = probe;

    bool is_short = plx_net_rx_heard(both.quick, &probe, NOW);
    if (!is_short)
        assert_memory_equal(&probe, &before, sizeof probe); // as it was
    before = probe = (struct plx_pkt){.data = (uint8_t *)f->b, .len = len, .cap = len, .flags = flags};
    assert_false(plx_net_rx_heard(both.slow, &probe, NOW));
    both.short_roads += is_short;

    struct plx_pkt q = rx(both.quick, f, len, flags, &vq, &bq), s = rx(both.slow, f, len, flags, &vs, &bs);
    assert_int_equal(vq, vs);
    if (is_short)
        assert_int_equal(vq, PLX_NET_UDP);
    assert_int_equal(q.data - bq, s.data - bs);
    assert_int_equal(q.len, s.len);
    if (vq == PLX_NET_UDP) {
        assert_int_equal(q.cap, s.cap);
        assert_int_equal(q.ecn, s.ecn);
        assert_memory_equal(&q.peer, &s.peer, sizeof q.peer);
        assert_memory_equal(&q.local, &s.local, sizeof q.local);
    }
    test_free(bq);
    test_free(bs);
}

// A datagram of the peer, built from octets.
static struct frame datagram(const uint8_t src[4], uint8_t tos, uint16_t len, bool has_sum)
{
    struct frame f = {.len = 0};
    put_eth(&f, OUR_MAC, PEER_MAC, -1, 0x0800);
    put_ip4(&f, src, OUR_IP4, 17, tos, 0x4000, (uint16_t)(8 + len), 0);
    put16(&f, 5555), put16(&f, 443), put16(&f, (uint16_t)(8 + len)), put16(&f, 0);
    for (uint16_t i = 0; i < len; i++)
        put8(&f, (uint8_t)(i * 7 + 1));
    if (has_sum) {
        uint8_t pseudo[2048];
        memcpy(pseudo, src, 4), memcpy(pseudo + 4, OUR_IP4, 4);
        pseudo[8] = 0, pseudo[9] = 17;
        pseudo[10] = (uint8_t)((8 + len) >> 8), pseudo[11] = (uint8_t)(8 + len);
        memcpy(pseudo + 12, f.b + 34, 8u + len);
        uint16_t check = plx_cksum_plain(pseudo, 20u + len);
        set16(&f, 40, check == 0 ? 0xffff : check);
    }
    return f;
}

static void test_every_bit(void **state)
{
    (void)state;
    struct plx_net_cfg cfg = net_cfg();
    struct frame f = datagram(PEER_IP4, 2, 33, true);

    unsigned short_roads = 0;

    for (uint16_t flags = 0; flags <= PLX_PKT_CSUM_OK;
         flags++) // the device has seen to checksums, or it has not
        for (unsigned bit = 0; bit < 8u * f.len; bit++) {
            struct frame g = f;
            quick_warm(&cfg, &f); // anew: another card's address, for one, is learned
            g.b[bit / 8] ^= (uint8_t)(1 << bit % 8);
            same(&g, g.len, flags);
            if (bit / 8 >= 14 && bit / 8 < 34) { // and where the header's sum is right again
                set16(&g, 24, 0);
                set16(&g, 24, plx_cksum_plain(g.b + 14, 20));
                same(&g, g.len, flags);
            }
            short_roads += both.short_roads;
            quick_end();
        }
    // Type of service, identification, "don't fragment" and time to live leave it on the short road, and with a device's word all of the payload does.
    assert_true(short_roads >= 2 * (8 + 16 + 1 + 8) + 8 * 33);
}

// Where QUIC's protection sees to the payload, its checksum may be wrong, on the short road alone: everything in front of it, and every other
// payload, is as before.
static void test_left_unchecked(void **state)
{
    (void)state;
    struct plx_net_cfg cfg = net_cfg(), all = cfg;
    static const uint8_t first[] = {0x00, 0x40, 0x7f,
                                    0x80, 0xc1, 0xff}; // of the payload; none is what was summed

    cfg.no_udp_check = true;
    for (unsigned i = 0; i < sizeof first; i++)
        for (unsigned at = 34; at < 34 + 8 + 33; at++) {
            struct frame good = datagram(PEER_IP4, 0, 33, true), f = good;
            enum plx_net_verdict v, full;
            uint8_t *block;
            // The peer's port, the checksum, or what is behind it. Our port and the length are looked at anyway.
            bool is_sealed = (at < 36 || at >= 40) && (first[i] & 0x80) == 0;
            f.b[42] = first[i];
            if (at != 42)
                f.b[at] ^= 4;
            quick_warm(&all, &good); // `slow` looks at everything
            (void)rx(both.slow, &f, f.len, 0, &full, &block);
            test_free(block);
            both.quick->cfg = cfg;
            (void)rx(both.quick, &f, f.len, 0, &v, &block);
            test_free(block);
            assert_int_not_equal(full, PLX_NET_UDP);
            assert_int_equal(v, is_sealed ? PLX_NET_UDP : full);
            assert_int_equal(both.quick->unchecked, is_sealed);
            quick_end();
        }
}

static void test_every_length(void **state)
{
    (void)state;
    struct plx_net_cfg cfg = net_cfg();

    for (uint16_t len = 0; len < 300; len++) {
        struct frame f = datagram(PEER_IP4, 0, len, len % 3 != 0);
        quick_warm(&cfg, &f);
        same(&f, f.len, 0);
        assert_int_equal(both.short_roads, 1);
        for (uint16_t cut = 0; cut <= f.len; cut = (uint16_t)(cut + 1 + len / 8)) // the end is missing
            same(&f, (uint16_t)(f.len - cut), 0);
        for (uint8_t i = 0; i < 18; i++) // the link's padding
            put8(&f, i);
        same(&f, f.len, 0);
        assert_true(both.short_roads >= 2);
        set16(&f, 38, (uint16_t)(8 + len + 1)); // UDP says more than IP has
        same(&f, f.len, PLX_PKT_CSUM_OK);
        quick_end();
    }
}

static void test_strangers_and_old_acquaintances(void **state)
{
    (void)state;
    static const uint8_t nobody[][4] = {
        {127, 0, 0, 1}, {0, 0, 0, 0}, {224, 0, 0, 1}, {255, 255, 255, 255}, {10, 0, 0, 3}};
    struct plx_net_cfg cfg = net_cfg();
    struct frame f = datagram(PEER_IP4, 0, 40, true);

    quick_warm(&cfg, &f);
    for (unsigned i = 0; i < sizeof nobody / sizeof *nobody; i++) {
        struct frame g = datagram(nobody[i], 0, 40, true);
        same(&g, g.len, 0);
    }
    assert_int_equal(both.short_roads, 0);

    struct plx_pkt pkt = {.data = f.b, .len = f.len, .cap = f.len};
    assert_false(plx_net_rx_heard(both.quick, &pkt,
                                  (plx_time){NOW.ns + UINT64_C(1000000000)})); // a sign of life is due
    assert_true(plx_net_rx_heard(both.quick, &pkt, SOON));
    pkt = (struct plx_pkt){.data = f.b, .len = f.len, .cap = f.len};
    struct plx_addr other = peer_addr(PEER_IP4);
    other.port = 0;
    static const uint8_t moved[6] = {2, 0, 0, 0, 0, 9};
    plx_net_learn(both.quick, &other, moved, SOON); // it has another card now
    assert_false(plx_net_rx_heard(both.quick, &pkt, SOON));
    quick_end();
}

// With a tag there is no short road.
static void test_what_has_none(void **state)
{
    (void)state;
    struct plx_net_cfg cfg = net_cfg();
    struct frame f = datagram(PEER_IP4, 0, 40, true);
    struct plx_addr to = peer_addr(PEER_IP4), host = to;
    struct frame buf;
    host.port = 0;

    cfg.vlan = 12;
    struct plx_net *n = net_open(&cfg);
    plx_net_learn(n, &host, PEER_MAC, NOW);
    struct plx_pkt pkt = {.data = buf.b + 128, .len = 20, .cap = 1500, .peer = to};
    memcpy(pkt.local.ip, OUR_IP4, 4);
    pkt.local.af = PLX_AF_IP4;
    assert_true(plx_net_tx(n, &pkt, NOW));
    pkt = (struct plx_pkt){.data = f.b, .len = f.len, .cap = f.len};
    assert_false(plx_net_rx_heard(n, &pkt, NOW));
    pkt = (struct plx_pkt){.data = f.b, .len = f.len, .cap = f.len};
    assert_int_equal(plx_net_rx(n, &pkt, NOW), PLX_NET_DROP_wrong_vlan);
    test_free(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_bit),     cmocka_unit_test(test_left_unchecked),
        cmocka_unit_test(test_every_length),  cmocka_unit_test(test_strangers_and_old_acquaintances),
        cmocka_unit_test(test_what_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
