// test_net.c -- whole frames in, verdicts and frames out.
//
// Bad frames are a table: a good frame, one thing done to it, the verdict. What we send is read by a second instance
// that stands for the neighbour, and its questions are answered by the first.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "frames.h"

static const plx_time NOW = {UINT64_C(1000000000)};

static struct plx_net *net_open(const struct plx_net_cfg *cfg)
{
    struct plx_net *n = test_malloc(sizeof *n);
    assert_int_equal(plx_net_init(n, cfg), PLX_OK);
    struct frame f;
    struct plx_pkt pkt = {.data = f.b, .cap = sizeof f.b};
    while (plx_net_pending(n, &pkt)) // announcements: tested in their own case
        pkt.data = f.b;
    return n;
}

// The same octets in an allocation of exactly cap, so that AddressSanitizer sees a step over its end.
static enum plx_net_verdict receive(struct plx_net *n, const struct frame *f, uint16_t cap,
                                    struct plx_pkt *out, struct frame *copy)
{
    uint8_t *exact = test_malloc(cap);
    memcpy(exact, f->b, f->len);
    *out = (struct plx_pkt){.data = exact, .len = f->len, .cap = cap};
    enum plx_net_verdict v = plx_net_rx(n, out, NOW);
    assert_in_range(out->data - exact, 0, cap);
    assert_true(out->len <= cap - (out->data - exact));
    memcpy(copy->b, out->data, out->len);
    copy->len = out->len;
    out->data = copy->b;
    test_free(exact);
    return v;
}

// --- datagrams ---------------------------------------------------------------------------------------------

static void test_datagram(void **state)
{
    (void)state;
    struct plx_net_cfg cfg = net_cfg();
    struct plx_net *n = net_open(&cfg);
    struct plx_pkt pkt;
    struct frame got;

    for (uint16_t len = 0; len < 1400; len = (uint16_t)(len + 1 + len / 9)) {
        uint8_t data[1400];
        memset(data, 0x5a, len);
        for (int is_ip6 = 0; is_ip6 < 2; is_ip6++) {
            struct frame f = is_ip6 ? udp6_frame(443, data, len) : udp4_frame(443, data, len);
            for (int padding = 0; padding < 2; padding++, put(&f, "padding", 7)) {
                assert_int_equal(receive(n, &f, f.len, &pkt, &got), PLX_NET_UDP);
                assert_int_equal(pkt.len, len);
                assert_memory_equal(got.b, data, len);
                assert_int_equal(pkt.ecn, is_ip6 ? 1 : 2);
                assert_int_equal(pkt.peer.port, 5555);
                assert_int_equal(pkt.local.port, 443);
                assert_int_equal(pkt.peer.af, is_ip6 ? PLX_AF_IP6 : PLX_AF_IP4);
                assert_memory_equal(pkt.peer.ip, is_ip6 ? PEER_IP6 : PEER_IP4, is_ip6 ? 16 : 4);
                assert_memory_equal(pkt.local.ip, is_ip6 ? OUR_IP6 : OUR_IP4, is_ip6 ? 16 : 4);
            }
        }
    }
    test_free(n);
}

// --- what is refused ---------------------------------------------------------------------------------------

static void fix_ip4(struct frame *f)
{
    set16(f, 24, 0);
    set16(f, 24, plx_cksum_plain(f->b + 14, (f->b[14] & 15) * 4u));
}

static void test_refused4(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        int at; // octet of the frame to set, -1: none
        uint8_t value;
        bool is_fixed; // with the header checksum made right again
        int cut;       // octets to take away
        enum plx_net_verdict v;
    } row[] = {
        {"as it is", -1, 0, false, 0, PLX_NET_UDP},
        {"cut in Ethernet", -1, 0, false, 54 + 8 - 13, PLX_NET_DROP_short},
        {"cut in IP", -1, 0, false, 54 + 8 - 33, PLX_NET_DROP_short},
        {"cut in UDP", -1, 0, false, 54 + 8 - 41, PLX_NET_DROP_short},
        {"cut in payload", -1, 0, false, 1, PLX_NET_DROP_short},
        {"another MAC", 5, 9, false, 0, PLX_NET_DROP_not_ours},
        {"broadcast MAC", 0, 0xff, false, 0, PLX_NET_DROP_not_ours},
        {"multicast source MAC", 6, 1, false, 0, PLX_NET_DROP_bad_source},
        {"another type", 12, 0x09, false, 0, PLX_NET_DROP_not_ip},
        {"version 5", 14, 0x55, true, 0, PLX_NET_DROP_bad_header},
        {"header of 16", 14, 0x44, true, 0, PLX_NET_DROP_bad_header},
        {"total length 19", 17, 19, true, 0, PLX_NET_DROP_bad_header},
        {"header checksum", 25, 0x77, false, 0, PLX_NET_DROP_bad_checksum},
        {"first fragment", 20, 0x20, true, 0, PLX_NET_DROP_fragment},
        {"last fragment", 21, 0x08, true, 0, PLX_NET_DROP_fragment},
        {"TCP", 23, 6, true, 0, PLX_NET_DROP_not_udp},
        {"multicast source", 26, 224, true, 0, PLX_NET_DROP_bad_source},
        {"loopback source", 26, 127, true, 0, PLX_NET_DROP_bad_source},
        {"another address", 33, 9, true, 0, PLX_NET_DROP_not_ours},
        {"source port 0", 34, 0, false, 0, PLX_NET_DROP_bad_checksum},
        {"payload changed", 45, 0x11, false, 0, PLX_NET_DROP_bad_checksum},
        {"UDP length 7", 39, 7, false, 0, PLX_NET_DROP_bad_header},
        {"UDP length beyond", 38, 4, false, 0, PLX_NET_DROP_short},
    };
    struct plx_net_cfg cfg = net_cfg();
    struct plx_net *n = net_open(&cfg);
    for (unsigned i = 0; i < sizeof row / sizeof *row; i++) {
        uint8_t data[20] = {1, 2, 3};
        struct frame f = udp4_frame(443, data, sizeof data), got;
        struct plx_pkt pkt;
        if (row[i].at >= 0)
            f.b[row[i].at] = row[i].value;
        if (row[i].is_fixed)
            fix_ip4(&f);
        f.len = (uint16_t)(f.len - row[i].cut);
        uint64_t before = n->verdicts[row[i].v];
        enum plx_net_verdict v = receive(n, &f, f.len, &pkt, &got);
        if (v != row[i].v)
            fail_msg("%s: %s", row[i].what, plx_net_verdict_name(v));
        assert_int_equal(n->verdicts[row[i].v], before + 1);
    }
    test_free(n);
}

static void test_ports_tags_and_zero_checksums(void **state)
{
    (void)state;
    struct plx_net_cfg cfg = net_cfg();
    cfg.client_first = 40000, cfg.client_last = 40009;
    struct plx_net *n = net_open(&cfg);
    struct frame f, got;
    struct plx_pkt pkt;

    static const struct {
        uint16_t port;
        enum plx_net_verdict v;
    } row[] = {
        {443, PLX_NET_UDP},   {444, PLX_NET_DROP_wrong_port}, {39999, PLX_NET_DROP_wrong_port},
        {40000, PLX_NET_UDP}, {40009, PLX_NET_UDP},           {40010, PLX_NET_DROP_wrong_port},
    };
    for (unsigned i = 0; i < sizeof row / sizeof *row; i++) {
        f = udp4_frame(row[i].port, "x", 1);
        assert_int_equal(receive(n, &f, f.len, &pkt, &got), row[i].v);
    }

    f = udp4_frame(443, "x", 1), set16(&f, 40, 0); // no checksum: allowed over IPv4 only
    assert_int_equal(receive(n, &f, f.len, &pkt, &got), PLX_NET_UDP);
    f = udp6_frame(443, "x", 1), set16(&f, 60, 0);
    assert_int_equal(receive(n, &f, f.len, &pkt, &got), PLX_NET_DROP_bad_checksum);

    f = udp4_frame(443, "x", 1), f.b[42] ^= 1; // wrong, but the hardware says that it has looked
    pkt = (struct plx_pkt){.data = f.b, .len = f.len, .cap = f.len, .flags = PLX_PKT_CSUM_OK};
    assert_int_equal(plx_net_rx(n, &pkt, NOW), PLX_NET_UDP);

    for (int ours = 0; ours < 2; ours++) { // tags: ours, another, priority only, none
        cfg.vlan = ours ? 7 : 0;
        struct plx_net *t = net_open(&cfg);
        static const int tag[] = {7, 8, 0, -1};
        for (unsigned i = 0; i < 4; i++) {
            struct frame plain = udp4_frame(443, "x", 1);
            f.len = 0;
            put_eth(&f, OUR_MAC, PEER_MAC, tag[i] >= 0 ? tag[i] | 0xe000 : -1, 0x0800);
            put(&f, plain.b + 14, plain.len - 14u);
            bool fits = ours ? tag[i] == 7 : tag[i] <= 0;
            assert_int_equal(receive(t, &f, f.len, &pkt, &got), fits ? PLX_NET_UDP : PLX_NET_DROP_wrong_vlan);
        }
        test_free(t);
    }
    test_free(n);
}

static void test_ip4_options_and_ip6_extensions(void **state)
{
    (void)state;
    struct plx_net_cfg cfg = net_cfg();
    struct plx_net *n = net_open(&cfg);
    struct frame f = {.len = 0}, got;
    struct plx_pkt pkt;

    put_eth(&f, OUR_MAC, PEER_MAC, -1, 0x0800);
    put_ip4(&f, PEER_IP4, OUR_IP4, 17, 0, 0, 8 + 5, 40);
    put_udp(&f, 1, 443, "hello", 5);
    set16(&f, 14 + 60 + 6, l4_checksum(&f, 14 + 60, PEER_IP4, OUR_IP4, 4, 17));
    assert_int_equal(receive(n, &f, f.len, &pkt, &got), PLX_NET_UDP);
    assert_memory_equal(got.b, "hello", 5);

    static const struct {
        uint8_t kind;
        unsigned count;
        uint8_t segments_left;
        enum plx_net_verdict v;
    } row[] = {
        {60, 1, 0, PLX_NET_UDP},
        {0, 1, 0, PLX_NET_UDP},
        {43, 1, 0, PLX_NET_UDP},
        {60, 4, 0, PLX_NET_UDP},
        {60, 5, 0, PLX_NET_DROP_extension},
        {43, 1, 1, PLX_NET_DROP_extension},
        {44, 1, 0, PLX_NET_DROP_fragment},
        {51, 1, 0, PLX_NET_DROP_not_udp},
        {59, 1, 0, PLX_NET_DROP_not_udp},
    };
    for (unsigned i = 0; i < sizeof row / sizeof *row; i++) {
        f.len = 0;
        put_eth(&f, OUR_MAC, PEER_MAC, -1, 0x86dd);
        put_ip6(&f, PEER_IP6, OUR_IP6, row[i].kind, 3, 64, (uint16_t)(row[i].count * 16 + 8 + 5));
        for (unsigned k = 1; k <= row[i].count; k++) {
            put8(&f, k == row[i].count ? 17 : row[i].kind), put8(&f, 1), put8(&f, 0),
                put8(&f, row[i].segments_left);
            put32(&f, 0), put32(&f, 0), put32(&f, 0);
        }
        size_t at = f.len;
        put_udp(&f, 1, 443, "hello", 5);
        set16(&f, at + 6, l4_checksum(&f, at, PEER_IP6, OUR_IP6, 16, 17));
        enum plx_net_verdict v = receive(n, &f, f.len, &pkt, &got);
        if (v != row[i].v)
            fail_msg("row %u: %s", i, plx_net_verdict_name(v));
        for (uint16_t cut = 1; v == PLX_NET_UDP && cut < f.len; cut++) {
            struct frame less = f;
            less.len = (uint16_t)(f.len - cut);
            assert_int_equal(receive(n, &less, less.len, &pkt, &got), PLX_NET_DROP_short);
        }
    }
    test_free(n);
}

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

// --- what we send ------------------------------------------------------------------------------------------

static struct plx_net_cfg peer_cfg(void)
{
    struct plx_net_cfg c = net_cfg();
    memcpy(c.mac, PEER_MAC, 6);
    memcpy(c.addrs[0].ip.ip, PEER_IP4, 4);
    memcpy(c.addrs[1].ip.ip, PEER_IP6, 16);
    c.ports[0] = 5555;
    return c;
}

static struct plx_pkt payload(struct frame *f, const struct plx_addr *to, uint16_t len, uint8_t ecn)
{
    struct plx_pkt pkt = {.data = f->b + 128, .len = len, .cap = 1500, .peer = *to, .ecn = ecn};
    for (uint16_t i = 0; i < len; i++)
        pkt.data[i] = (uint8_t)(i * 3);
    return pkt;
}

// Carries a frame from one instance to the other.
static enum plx_net_verdict carry(struct plx_net *to, const struct plx_pkt *pkt, struct plx_pkt *out,
                                  struct frame *got)
{
    struct frame f = {.len = 0};
    put(&f, pkt->data, pkt->len);
    return receive(to, &f, (uint16_t)(f.len + 32), out, got);
}

static void test_two_of_them_talk(void **state)
{
    (void)state;
    for (int is_ip6 = 0; is_ip6 < 2; is_ip6++) {
        struct plx_net_cfg ca = net_cfg(), cb = peer_cfg();
        ca.vlan = cb.vlan = is_ip6 ? 12 : 0;
        struct plx_net *a = net_open(&ca), *b = net_open(&cb);
        struct plx_addr to = {.af = is_ip6 ? PLX_AF_IP6 : PLX_AF_IP4, .port = 5555};
        memcpy(to.ip, is_ip6 ? PEER_IP6 : PEER_IP4, is_ip6 ? 16 : 4);
        struct frame buf, got, got2;
        struct plx_pkt pkt = payload(&buf, &to, 100, 0), out;

        assert_false(plx_net_tx(a, &pkt, NOW)); // nobody knows anybody: one question, once
        assert_false(plx_net_tx(a, &pkt, NOW));
        assert_ptr_equal(pkt.data, buf.b + 128);
        struct frame question;
        struct plx_pkt q = {.data = question.b, .cap = PLX_NET_FRAME_MIN};
        assert_true(plx_net_pending(a, &q));
        assert_int_equal(carry(b, &q, &out, &got), PLX_NET_REPLY);
        assert_int_equal(carry(a, &out, &out, &got2), PLX_NET_DONE);
        assert_memory_equal(a->news.mac, PEER_MAC, 6);
        q.data = question.b;
        assert_false(plx_net_pending(a, &q));

        for (uint16_t len = 0; len < 1400; len = (uint16_t)(len + 1 + len / 5)) {
            for (uint8_t ecn = 0; ecn < 4; ecn++) {
                pkt = payload(&buf, &to, len, ecn);
                assert_true(plx_net_tx(a, &pkt, NOW));
                assert_int_equal(pkt.len, len + 14 + (is_ip6 ? 4 + 40 : 20) + 8);
                assert_int_equal(carry(b, &pkt, &out, &got), PLX_NET_UDP);
                assert_int_equal(out.len, len);
                assert_int_equal(out.ecn, ecn);
                assert_int_equal(out.peer.port, 443);
                assert_memory_equal(out.peer.ip, is_ip6 ? OUR_IP6 : OUR_IP4, is_ip6 ? 16 : 4);
                for (uint16_t i = 0; i < len; i++)
                    assert_int_equal(got.b[i], (uint8_t)(i * 3));
            }
        }
        // The answer needs no question: b has heard from a.
        struct plx_addr back = out.peer;
        pkt = payload(&buf, &back, 9, 0);
        pkt.local = out.local;
        assert_true(plx_net_tx(b, &pkt, NOW));
        assert_int_equal(carry(a, &pkt, &out, &got), PLX_NET_UDP);
        assert_int_equal(b->pending_count, 0);
        test_free(a);
        test_free(b);
    }
}

static void test_ways_out(void **state)
{
    (void)state;
    struct plx_addr far = {.af = PLX_AF_IP4, .port = 5555};
    memcpy(far.ip, FAR_IP4, 4);
    struct frame buf, got;
    struct plx_pkt pkt = payload(&buf, &far, 10, 0), out;
    struct plx_net_cfg cfg = net_cfg();
    struct plx_net *n = net_open(&cfg);

    assert_false(plx_net_tx(n, &pkt, NOW)); // no gateway, and nobody has shown the way
    assert_int_equal(n->no_route, 1);
    struct frame f = {.len = 0};
    put_eth(&f, OUR_MAC, PEER_MAC, -1, 0x0800);
    put_ip4(&f, FAR_IP4, OUR_IP4, 17, 0, 0, 8, 0);
    put_udp(&f, 5555, 443, "", 0);
    assert_int_equal(receive(n, &f, f.len, &out, &got), PLX_NET_UDP);
    assert_true(plx_net_tx(n, &pkt, NOW)); // back the way it came
    assert_memory_equal(pkt.data, PEER_MAC, 6);

    cfg.gateway4 = (struct plx_addr){.af = PLX_AF_IP4, .ip = {10, 0, 0, 254}};
    struct plx_net *g = net_open(&cfg);
    pkt = payload(&buf, &far, 10, 0);
    assert_false(plx_net_tx(g, &pkt, NOW));
    struct plx_pkt q = {.data = got.b, .cap = PLX_NET_FRAME_MIN};
    assert_true(plx_net_pending(g, &q));
    assert_memory_equal(q.data + 38, ((const uint8_t[]){10, 0, 0, 254}), 4); // asks for the gateway
    f = arp_frame(2, (const uint8_t[4]){10, 0, 0, 254}, OUR_IP4);
    assert_int_equal(receive(g, &f, f.len, &out, &got), PLX_NET_DONE);
    assert_true(plx_net_tx(g, &pkt, NOW));

    struct plx_addr peer6 = {.af = PLX_AF_IP6, .ip = {0xfe, 0x80}, .port = 1},
                    foreign = {.af = PLX_AF_IP4, .ip = {10, 0, 0, 3}, .port = 443};
    cfg.addr_count = 1; // IPv4 only
    struct plx_net *four = net_open(&cfg);
    pkt = payload(&buf, &peer6, 10, 0);
    assert_false(plx_net_tx(four, &pkt, NOW));
    pkt = payload(&buf, &far, 10, 0);
    pkt.local = foreign; // not our address
    assert_false(plx_net_tx(four, &pkt, NOW));
    assert_int_equal(four->no_route, 2);
    assert_int_equal(four->pending_count, 0);
    test_free(n);
    test_free(g);
    test_free(four);
}

static void test_checksums_left_to_hardware(void **state)
{
    (void)state;
    struct plx_net_cfg cfg = net_cfg();
    cfg.tx_csum = true;
    struct plx_net *n = net_open(&cfg);
    struct plx_addr to = {.af = PLX_AF_IP4, .port = 5555};
    memcpy(to.ip, PEER_IP4, 4);
    plx_net_learn(n, &to, PEER_MAC, NOW);
    struct plx_addr host = to;
    host.port = 0;
    plx_net_learn(n, &host, PEER_MAC, NOW);
    struct frame buf;
    struct plx_pkt pkt = payload(&buf, &to, 33, 0);
    assert_true(plx_net_tx(n, &pkt, NOW));
    assert_true(pkt.flags & PLX_PKT_CSUM_TX);
    assert_int_equal(pkt.data[24] | pkt.data[25], 0);
    // The field holds the pseudo-header's share: summing everything now gives the right checksum.
    uint16_t check = plx_cksum_end(plx_cksum_add(0, pkt.data + 34, pkt.len - 34u));
    struct frame f = {.len = 0};
    put(&f, pkt.data, pkt.len);
    set16(&f, 40, 0);
    assert_int_equal(check, l4_checksum(&f, 34, OUR_IP4, PEER_IP4, 4, 17));
    test_free(n);
}

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
        cmocka_unit_test(test_datagram),
        cmocka_unit_test(test_refused4),
        cmocka_unit_test(test_ports_tags_and_zero_checksums),
        cmocka_unit_test(test_ip4_options_and_ip6_extensions),
        cmocka_unit_test(test_arp),
        cmocka_unit_test(test_nd),
        cmocka_unit_test(test_echo),
        cmocka_unit_test(test_two_of_them_talk),
        cmocka_unit_test(test_ways_out),
        cmocka_unit_test(test_checksums_left_to_hardware),
        cmocka_unit_test(test_announcements),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
