// fuzz_net.c -- any frames at all: nothing is read or written beyond the buffer, and what comes out holds together.
//
// Input: one octet of settings (bit 0: the hardware has verified checksums; bit 1: repair the checksums of what follows,
// so that the fuzzer gets behind them; bit 2: a VLAN; bits 4-7: octets of room behind each frame, times 8), then frames,
// each behind a length of two octets. A datagram is answered, and the answer must read back as what was asked for; a
// reply must be a well-formed frame from us.

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "net/nd.h"
#include "net/net.h"

static struct plx_net net;
static const uint8_t MAC[6] = {2, 0, 0, 0, 0, 1};

static void net_open(bool has_vlan)
{
    struct plx_net_cfg cfg = {.mac = {2, 0, 0, 0, 0, 1},
                              .vlan = has_vlan ? 7 : 0,
                              .addr_count = 2,
                              .ports = {443},
                              .port_count = 1,
                              .client_first = 0x8000,
                              .client_last = 0xffff};
    cfg.addrs[0] = (struct plx_net_addr){{.af = PLX_AF_IP4, .ip = {10, 0, 0, 1}}, 24};
    cfg.addrs[1] = (struct plx_net_addr){{.af = PLX_AF_IP6, .ip = {0xfd, [15] = 1}}, 64};
    cfg.gateway4 = (struct plx_addr){.af = PLX_AF_IP4, .ip = {10, 0, 0, 254}};
    plx_check(plx_net_init(&net, &cfg) == PLX_OK);
}

// Makes the IPv4 header's and ICMP's checksums right where the frame is long enough to have them.
static void repair(uint8_t *b, size_t len, size_t at)
{
    if (len >= at + 20 && b[at] >> 4 == 4 && (size_t)(b[at] & 15) * 4 >= 20 &&
        len >= at + (size_t)(b[at] & 15) * 4) {
        size_t hdr = (b[at] & 15) * 4u, total = (size_t)b[at + 2] << 8 | b[at + 3], l4 = at + hdr;
        plx_store_be16(b + at + 10, 0);
        plx_store_be16(b + at + 10, plx_cksum_plain(b + at, hdr));
        if (b[at + 9] == PLX_IP_ICMP4 && total >= hdr + 4 && at + total <= len) {
            plx_store_be16(b + l4 + 2, 0);
            plx_store_be16(b + l4 + 2, plx_cksum_plain(b + l4, total - hdr));
        }
    } else if (len >= at + 44 && b[at] >> 4 == 6 && b[at + 6] == PLX_IP_ICMP6) {
        uint16_t payload = plx_load_be16(b + at + 4);
        if (payload < 4 || at + 40 + payload > len)
            return;
        plx_store_be16(b + at + 42, 0);
        uint64_t sum = plx_ip6_pseudo(b + at + 8, b + at + 24, PLX_IP_ICMP6, payload);
        plx_store_be16(b + at + 42, plx_cksum_end(plx_cksum_add(sum, b + at + 40, payload)));
    }
}

// Whatever leaves us: from our MAC, headers whole, checksums right. Leaves the cursor over the innermost payload.
static void check_frame(const uint8_t *data, size_t len, uint16_t *udp_dst)
{
    struct plx_rd r = plx_rd_init(data, len);
    struct plx_eth eth;

    plx_check(plx_eth_read(&r, &eth));
    plx_check(memcmp(eth.src, MAC, 6) == 0);
    if (eth.type == PLX_ETH_IP4) {
        struct plx_ip4 ip;
        plx_check(plx_ip4_read(&r, &ip) == PLX_NET_FINE);
        if (ip.proto == PLX_IP_ICMP4) {
            plx_check(plx_cksum_plain(r.p, plx_rd_left(&r)) == 0);
            return;
        }
        struct plx_udp udp;
        plx_check(plx_udp_read(&r, &udp, plx_ip4_pseudo(ip.src, ip.dst, PLX_IP_UDP), false, false) ==
                  PLX_NET_FINE);
        plx_check(udp.check != 0);
        *udp_dst = udp.dst;
    } else if (eth.type == PLX_ETH_IP6) {
        struct plx_ip6 ip;
        plx_check(plx_ip6_read(&r, &ip) == PLX_NET_FINE);
        uint64_t pseudo = plx_ip6_pseudo(ip.src, ip.dst, ip.proto, 0);
        if (ip.proto == PLX_IP_ICMP6) {
            uint64_t sum = plx_cksum_add16(pseudo, ip.payload_len);
            plx_check(plx_cksum_end(plx_cksum_add(sum, r.p, plx_rd_left(&r))) == 0);
            return;
        }
        struct plx_udp udp;
        plx_check(plx_udp_read(&r, &udp, pseudo, true, false) == PLX_NET_FINE);
        *udp_dst = udp.dst;
    } else {
        plx_check(eth.type == PLX_ETH_ARP);
    }
}

static void answer(const struct plx_pkt *rx, plx_time now)
{
    uint8_t buf[PLX_NET_HEADERS_MAX + 40];
    struct plx_pkt tx = {
        .data = buf + PLX_NET_HEADERS_MAX, .len = 40, .ecn = rx->ecn, .peer = rx->peer, .local = rx->local};
    uint16_t port = 0;

    memset(buf, 0x55, sizeof buf);
    if (!plx_net_tx(&net, &tx, now))
        return;
    plx_check(tx.data >= buf && tx.data + tx.len == buf + sizeof buf);
    check_frame(tx.data, tx.len, &port);
    plx_check(port == rx->peer.port);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct plx_rd r = plx_rd_init(data, len);
    uint8_t settings = plx_rd_u8(&r);
    plx_time now = {0};

    net_open((settings & 4) != 0);
    while (plx_rd_left(&r) >= 2) {
        uint16_t frame_len = plx_rd_u16(&r);
        size_t have = plx_rd_left(&r) < frame_len ? plx_rd_left(&r) : frame_len,
               cap = have + (settings >> 4) * 8u;
        uint8_t *exact = malloc(cap + 1);
        plx_check(exact != NULL);
        if (have > 0)
            memcpy(exact, plx_rd_bytes(&r, have), have);
        if ((settings & 2) != 0)
            repair(exact, have, (settings & 4) != 0 ? 18 : 14);
        struct plx_pkt pkt = {.data = exact,
                              .len = (uint16_t)have,
                              .cap = (uint16_t)(cap < 65535 ? cap : 65535),
                              .flags = settings & 1 ? PLX_PKT_CSUM_OK : 0};
        now.ns += 300000000;
        enum plx_net_verdict v = plx_net_rx(&net, &pkt, now);
        plx_check(pkt.data >= exact && pkt.data + pkt.len <= exact + cap);
        uint16_t unused;
        if (v == PLX_NET_UDP)
            answer(&pkt, now);
        else if (v == PLX_NET_REPLY)
            check_frame(pkt.data, pkt.len, &unused);
        free(exact);

        uint8_t frame[PLX_NET_FRAME_MIN];
        struct plx_pkt owed = {.data = frame, .cap = sizeof frame};
        while (plx_net_pending(&net, &owed))
            check_frame(owed.data, owed.len, &unused);
    }
    plx_neigh_verify(&net.neigh);
    return 0;
}
