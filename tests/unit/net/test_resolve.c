// test_resolve.c -- questions about us: ARP, neighbour discovery, ping; and what we tell others of ourselves.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "frames.h"
#include "instance.h"

// --- questions about us ------------------------------------------------------------------------------------

static void test_arp(void **state)
{
    (void)state;
    struct plx_net_cfg cfg = net_cfg();
    struct plx_net *n = net_open(&cfg);
    struct frame f = arp_frame(1, PEER_IP4, OUR_IP4), got, wanted = {.len = 0};
    struct plx_pkt pkt;

    assert_int_equal(receive(n, &f, f.len, &pkt, &got), PLX_NET_REPLY);
    put_eth(&wanted, PEER_MAC, OUR_MAC, -1, 0x0806);
    put16(&wanted, 1), put16(&wanted, 0x0800), put8(&wanted, 6), put8(&wanted, 4), put16(&wanted, 2);
    put(&wanted, OUR_MAC, 6), put(&wanted, OUR_IP4, 4), put(&wanted, PEER_MAC, 6), put(&wanted, PEER_IP4, 4);
    assert_int_equal(got.len, wanted.len);
    assert_memory_equal(got.b, wanted.b, wanted.len);
    struct plx_addr peer = {.af = PLX_AF_IP4};
    memcpy(peer.ip, PEER_IP4, 4);
    assert_true(plx_neigh_peek(&n->neigh, &peer, NOW, NULL)); // whoever asks wants to be answered

    f = arp_frame(1, PEER_IP4, FAR_IP4);
    assert_int_equal(receive(n, &f, f.len, &pkt, &got),
                     PLX_NET_DONE); // not for us, but from somebody we know
    f = arp_frame(1, FAR_IP4, OUR_IP4);
    assert_int_equal(receive(n, &f, f.len, &pkt, &got), PLX_NET_DROP_arp); // a stranger to this network
    f = arp_frame(1, (const uint8_t[4]){0}, OUR_IP4); // a probe: answered, nobody learned
    assert_int_equal(receive(n, &f, f.len, &pkt, &got), PLX_NET_REPLY);
    f = arp_frame(2, (const uint8_t[4]){10, 0, 0, 77}, OUR_IP4); // an answer to no question
    assert_int_equal(receive(n, &f, f.len, &pkt, &got), PLX_NET_DROP_arp);
    f = arp_frame(1, OUR_IP4, OUR_IP4); // somebody claims our address
    assert_int_equal(receive(n, &f, f.len, &pkt, &got), PLX_NET_DROP_arp);
    f = arp_frame(1, PEER_IP4, OUR_IP4), f.b[18] = 8; // hardware addresses of 8 octets
    assert_int_equal(receive(n, &f, f.len, &pkt, &got), PLX_NET_DROP_arp);
    f = arp_frame(1, PEER_IP4, OUR_IP4), f.len = 41;
    assert_int_equal(receive(n, &f, f.len, &pkt, &got), PLX_NET_DROP_arp);
    test_free(n);
}

static void test_nd(void **state)
{
    (void)state;
    struct plx_net_cfg cfg = net_cfg();
    struct plx_net *n = net_open(&cfg);
    const uint8_t group[16] = {0xff, 2, [11] = 1, [12] = 0xff, [15] = 1}, other[16] = {0xfd, 0, [15] = 9},
                  none[16] = {0}, all[16] = {0xff, 2, [15] = 1};
    struct frame f = nd_frame(135, PEER_IP6, group, OUR_IP6, 0, PEER_MAC, 255), got;
    struct plx_pkt pkt;

    assert_int_equal(receive(n, &f, f.len, &pkt, &got), PLX_NET_REPLY);
    struct frame wanted = {.len = 0};
    put_eth(&wanted, PEER_MAC, OUR_MAC, -1, 0x86dd);
    put32(&wanted, 6u << 28), put16(&wanted, 32), put8(&wanted, 58), put8(&wanted, 255);
    put(&wanted, OUR_IP6, 16), put(&wanted, PEER_IP6, 16);
    put8(&wanted, 136), put8(&wanted, 0), put16(&wanted, 0), put32(&wanted, 0x60000000),
        put(&wanted, OUR_IP6, 16);
    put8(&wanted, 2), put8(&wanted, 1), put(&wanted, OUR_MAC, 6);
    set16(&wanted, 14 + 40 + 2, l4_checksum(&wanted, 14 + 40, OUR_IP6, PEER_IP6, 16, 58));
    assert_int_equal(got.len, wanted.len);
    assert_memory_equal(got.b, wanted.b, wanted.len);

    f = nd_frame(135, none, group, OUR_IP6, 0, NULL,
                 255); // duplicate detection: the answer is longer than the question
    assert_int_equal(receive(n, &f, f.len, &pkt, &got), PLX_NET_DROP_no_room);
    assert_int_equal(receive(n, &f, 128, &pkt, &got), PLX_NET_REPLY);
    assert_memory_equal(got.b + 14 + 24, all, 16);

    static const uint8_t zero_option[8] = {1, 0};
    const struct {
        struct frame f;
        enum plx_net_verdict v;
    } row[] = {
        {nd_frame(135, PEER_IP6, group, OUR_IP6, 0, PEER_MAC, 254), PLX_NET_DROP_nd}, // came through a router
        {nd_frame(135, PEER_IP6, group, other, 0, PEER_MAC, 255), PLX_NET_DROP_nd},   // about somebody else
        {nd_frame(135, none, group, OUR_IP6, 0, PEER_MAC, 255), PLX_NET_DROP_nd}, // no source, yet an address
        {nd_frame(135, none, OUR_IP6, OUR_IP6, 0, NULL, 255), PLX_NET_DROP_nd}, // no source, not to the group
        {nd_frame(135, OUR_IP6, group, OUR_IP6, 0, PEER_MAC, 255), PLX_NET_DROP_nd}, // in our own name
        {nd_frame(136, PEER_IP6, all, PEER_IP6, 0x40, PEER_MAC, 255),
         PLX_NET_DROP_nd}, // solicited, to everybody
        {nd_frame(136, PEER_IP6, OUR_IP6, OUR_IP6, 0x60, PEER_MAC, 255), PLX_NET_DROP_nd}, // our own address
        {nd_frame(136, PEER_IP6, OUR_IP6, other, 0x60, PEER_MAC, 255), PLX_NET_DROP_nd},   // nobody asked
        {nd_frame(136, PEER_IP6, OUR_IP6, PEER_IP6, 0x60, PEER_MAC, 255),
         PLX_NET_DONE}, // known since its question
    };
    for (unsigned i = 0; i < sizeof row / sizeof *row; i++) {
        enum plx_net_verdict v = receive(n, &row[i].f, row[i].f.len, &pkt, &got);
        if (v != row[i].v)
            fail_msg("row %u: %s", i, plx_net_verdict_name(v));
    }
    f = nd_frame(135, PEER_IP6, group, OUR_IP6, 0, zero_option + 2, 255);
    f.b[14 + 40 + 25] = 0; // an option of length 0
    set16(&f, 56, 0), set16(&f, 56, l4_checksum(&f, 54, PEER_IP6, group, 16, 58));
    assert_int_equal(receive(n, &f, f.len, &pkt, &got), PLX_NET_DROP_nd);
    f = nd_frame(135, PEER_IP6, group, OUR_IP6, 0, PEER_MAC, 255), f.b[70] ^= 1;
    assert_int_equal(receive(n, &f, f.len, &pkt, &got), PLX_NET_DROP_bad_checksum);
    test_free(n);
}

static void test_echo(void **state)
{
    (void)state;
    struct plx_net_cfg cfg = net_cfg();
    struct plx_net *n = net_open(&cfg);
    struct frame got;
    struct plx_pkt pkt;

    for (int is_ip6 = 0; is_ip6 < 2; is_ip6++) {
        size_t ip = is_ip6 ? 40 : 20, at = 14 + ip;
        for (uint16_t len = 0; len < 1400; len = (uint16_t)(len + 77)) {
            struct frame f = echo_frame(is_ip6, len);
            assert_int_equal(receive(n, &f, f.len, &pkt, &got), PLX_NET_REPLY);
            assert_int_equal(got.len, f.len);
            assert_memory_equal(got.b, PEER_MAC, 6);
            assert_memory_equal(got.b + 6, OUR_MAC, 6);
            assert_memory_equal(got.b + at + 4, f.b + at + 4, f.len - at - 4);
            assert_int_equal(got.b[at], is_ip6 ? 129 : 0);
            assert_int_equal(got.b[is_ip6 ? 21 : 22], PLX_IP_HOPS);
            assert_int_equal(is_ip6 ? l4_checksum(&got, at, OUR_IP6, PEER_IP6, 16, 58)
                                    : plx_cksum_plain(got.b + at, got.len - at),
                             0);
            if (!is_ip6)
                assert_int_equal(plx_cksum_plain(got.b + 14, 20), 0);
            f.b[f.len - 1] ^= 4;
            assert_int_equal(receive(n, &f, f.len, &pkt, &got), PLX_NET_DROP_bad_checksum);
        }
        struct frame f = echo_frame(is_ip6, 8);
        f.b[at] = is_ip6 ? 1 : 3; // destination unreachable
        assert_int_equal(receive(n, &f, f.len, &pkt, &got), PLX_NET_DROP_icmp);
    }
    test_free(n);
}

// --- what we owe the link ----------------------------------------------------------------------------------

static void test_announcements(void **state)
{
    (void)state;
    struct plx_net_cfg ca = net_cfg(), cb = peer_cfg();
    struct plx_net *a = test_malloc(sizeof *a), *b = net_open(&cb);
    struct frame f, got;
    struct plx_pkt out;
    unsigned count = 0;
    assert_int_equal(plx_net_init(a, &ca), PLX_OK);
    for (struct plx_pkt q = {.data = f.b, .cap = PLX_NET_FRAME_MIN}; plx_net_pending(a, &q);
         q.data = f.b, count++) {
        struct plx_addr ours = ca.addrs[count].ip;
        enum plx_net_verdict v = carry(b, &q, &out, &got);
        assert_true(v == PLX_NET_DROP_arp ||
                    v == PLX_NET_DROP_nd);     // well formed, and no news to who does not know us
        plx_net_learn(b, &ours, ALL_MAC, NOW); // not a host's address: ignored
        assert_false(plx_neigh_has(&b->neigh, &ours));
        plx_net_learn(b, &ours, (const uint8_t[6]){2, 9}, NOW);
        assert_int_equal(carry(b, &q, &out, &got), PLX_NET_DONE); // it does know us now, at an old address
        uint8_t mac[6];
        assert_true(plx_neigh_peek(&b->neigh, &ours, NOW, mac));
        assert_memory_equal(mac, OUR_MAC, 6);
    }
    assert_int_equal(count, 2);
    ca.addrs[0].prefix_len = 33;
    assert_int_equal(plx_net_init(a, &ca), PLX_ERR_INVALID);
    test_free(a);
    test_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arp),
        cmocka_unit_test(test_nd),
        cmocka_unit_test(test_echo),
        cmocka_unit_test(test_announcements),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
