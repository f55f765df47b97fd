// test_net.c -- whole frames in, verdicts and datagrams out.
//
// Bad frames are a table: a good frame, one thing done to it, the verdict.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "frames.h"
#include "instance.h"

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

static void test_refused6(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        int at;
        uint8_t value;
        int cut;
        enum plx_net_verdict v;
    } row[] = {
        {"as it is", -1, 0, 0, PLX_NET_UDP},
        {"cut in IP", -1, 0, 82 - 53, PLX_NET_DROP_short},
        {"cut in payload", -1, 0, 1, PLX_NET_DROP_short},
        {"version 4", 14, 0x40, 0, PLX_NET_DROP_bad_header},
        {"payload length beyond", 18, 1, 0, PLX_NET_DROP_short},
        {"payload length too short for UDP", 19, 7, 0, PLX_NET_DROP_short},
        {"TCP", 20, 6, 0, PLX_NET_DROP_not_udp},
        {"multicast source", 22, 0xff, 0, PLX_NET_DROP_bad_source},
        {"another address", 53, 9, 0, PLX_NET_DROP_not_ours},
        {"the group's MAC", 0, 0x33, 0, PLX_NET_DROP_not_ours},
        {"source changed", 37, 7, 0, PLX_NET_DROP_bad_checksum},
        {"payload changed", 70, 0x11, 0, PLX_NET_DROP_bad_checksum},
    };
    struct plx_net_cfg cfg = net_cfg();
    struct plx_net *n = net_open(&cfg);
    for (unsigned i = 0; i < sizeof row / sizeof *row; i++) {
        uint8_t data[20] = {1, 2, 3};
        struct frame f = udp6_frame(443, data, sizeof data), got;
        struct plx_pkt pkt;
        if (row[i].at >= 0)
            f.b[row[i].at] = row[i].value;
        f.len = (uint16_t)(f.len - row[i].cut);
        enum plx_net_verdict v = receive(n, &f, f.len, &pkt, &got);
        if (v != row[i].v)
            fail_msg("%s: %s", row[i].what, plx_net_verdict_name(v));
    }
    static const uint8_t loopback[16] = {[15] = 1}, none[16];
    for (unsigned i = 0; i < 2; i++) {
        struct frame f = udp6_frame(443, "x", 1), got;
        struct plx_pkt pkt;
        memcpy(f.b + 22, i ? none : loopback, 16);
        assert_int_equal(receive(n, &f, f.len, &pkt, &got), PLX_NET_DROP_bad_source);
    }
    test_free(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_datagram),
        cmocka_unit_test(test_refused4),
        cmocka_unit_test(test_refused6),
        cmocka_unit_test(test_ports_tags_and_zero_checksums),
        cmocka_unit_test(test_ip4_options_and_ip6_extensions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
