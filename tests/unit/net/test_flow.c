// test_flow.c -- what we send is read by a second instance that stands for the neighbour.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "frames.h"
#include "instance.h"

static struct plx_pkt payload(struct frame *f, const struct plx_addr *to, uint16_t len, uint8_t ecn)
{
    struct plx_pkt pkt = {.data = f->b + 128, .len = len, .cap = 1500, .peer = *to, .ecn = ecn};
    for (uint16_t i = 0; i < len; i++)
        pkt.data[i] = (uint8_t)(i * 3);
    return pkt;
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

// A client has a port for each connection, and a server many peers behind one address: they share one flow.
static void test_ports_do_not_make_a_flow(void **state)
{
    (void)state;
    for (int is_ip6 = 0; is_ip6 < 2; is_ip6++) {
        struct plx_net_cfg ca = net_cfg(), cb = peer_cfg();
        ca.client_first = 20000;
        ca.client_last = 29999;
        struct plx_net *a = net_open(&ca), *b = net_open(&cb);
        struct plx_addr to = {.af = is_ip6 ? PLX_AF_IP6 : PLX_AF_IP4, .port = 5555}, from = to;
        memcpy(to.ip, is_ip6 ? PEER_IP6 : PEER_IP4, is_ip6 ? 16 : 4);
        memcpy(from.ip, is_ip6 ? OUR_IP6 : OUR_IP4, is_ip6 ? 16 : 4);
        struct frame buf, got;
        struct plx_pkt pkt, out;
        struct plx_addr ip = to;
        ip.port = 0;
        plx_net_learn(a, &ip, PEER_MAC, NOW);
        for (unsigned i = 0; i < 1000; i++) {
            from.port = (uint16_t)(20000 + i * 7);
            pkt = payload(&buf, &to, (uint16_t)(i + 1), 2);
            pkt.local = from;
            assert_true(plx_net_tx(a, &pkt, NOW));
            assert_int_equal(carry(b, &pkt, &out, &got), PLX_NET_UDP); // checksums hold
            assert_int_equal(out.peer.port, from.port);
            assert_int_equal(out.local.port, 5555);
            // and back, to each of them
            struct plx_addr back = out.peer;
            pkt = payload(&buf, &back, 100, 0);
            pkt.local = out.local;
            assert_true(plx_net_tx(b, &pkt, NOW));
            assert_int_equal(carry(a, &pkt, &out, &got), PLX_NET_UDP);
            assert_int_equal(out.local.port, from.port);
        }
        unsigned used = 0;
        for (unsigned i = 0; i < PLX_NET_FLOWS; i++)
            used += (a->flows[i].peer.af != PLX_AF_NONE) + (b->flows[i].peer.af != PLX_AF_NONE);
        assert_int_equal(used, 2);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_of_them_talk),
        cmocka_unit_test(test_ports_do_not_make_a_flow),
        cmocka_unit_test(test_ways_out),
        cmocka_unit_test(test_checksums_left_to_hardware),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
