// net.c -- what a received frame is.
//
// The road of a datagram is straight: Ethernet, IP, UDP, each a reader that names what is wrong. Questions about
// ourselves leave the road for resolve.c and icmp.c.

#include "net/net.h"

#include "base/check.h"
#include "base/time.h"
#include "net/icmp.h"
#include "net/nd.h"

// --- who we are --------------------------------------------------------------------------------------------

static size_t ip_len(uint8_t af)
{
    return af == PLX_AF_IP4 ? 4 : 16;
}

const struct plx_net_addr *plx_net_own(const struct plx_net *n, uint8_t af, const uint8_t *ip)
{
    for (uint8_t i = 0; i < n->cfg.addr_count; i++)
        if (n->cfg.addrs[i].ip.af == af && memcmp(n->cfg.addrs[i].ip.ip, ip, ip_len(af)) == 0)
            return &n->cfg.addrs[i];
    return NULL;
}

static bool is_same_prefix(const uint8_t *a, const uint8_t *b, uint8_t bits)
{
    if (memcmp(a, b, bits / 8) != 0)
        return false;
    return bits % 8 == 0 || (a[bits / 8] ^ b[bits / 8]) >> (8 - bits % 8) == 0;
}

bool plx_net_addr_holds(const struct plx_net_addr *own, const struct plx_addr *ip)
{
    return own->ip.af == ip->af && is_same_prefix(own->ip.ip, ip->ip, own->prefix_len);
}

bool plx_net_is_on_link(const struct plx_net *n, const struct plx_addr *ip)
{
    if (ip->af == PLX_AF_IP6 && plx_ip6_is_link_local(ip->ip))
        return true;
    for (uint8_t i = 0; i < n->cfg.addr_count; i++)
        if (plx_net_addr_holds(&n->cfg.addrs[i], ip))
            return true;
    return false;
}

// --- a sign of life ----------------------------------------------------------------------------------------

void plx_net_expect(struct plx_net *n, const struct plx_addr *ip, plx_time now)
{
    (void)plx_neigh_find(&n->neigh, ip, now); // makes the entry, as if the question had been ours
}

void plx_net_learn(struct plx_net *n, const struct plx_addr *ip, const uint8_t mac[6], plx_time now)
{
    if (!plx_eth_is_multicast(mac))
        plx_neigh_learn(&n->neigh, ip, mac, now);
}

// A datagram has come from pkt->peer by way of mac. A neighbour's own address is learned; a stranger's says who the
// router is, if we could not know otherwise.
void plx_net_on_heard(struct plx_net *n, const struct plx_pkt *pkt, const uint8_t mac[6], plx_time now)
{
    bool is_ip6 = pkt->peer.af == PLX_AF_IP6;
    const struct plx_addr *gateway = is_ip6 ? &n->cfg.gateway6 : &n->cfg.gateway4;
    struct plx_addr host = pkt->peer;
    host.port = 0;

    if (plx_net_is_on_link(n, &host)) {
        plx_net_learn(n, &host, mac, now);
    } else if (gateway->af != PLX_AF_NONE) {
        if (!plx_neigh_peek(&n->neigh, gateway, now, NULL))
            plx_net_learn(n, gateway, mac, now); // until the gateway itself says otherwise
    } else if (!n->has_router[is_ip6] || memcmp(n->router_mac[is_ip6], mac, 6) != 0) {
        if (plx_eth_is_multicast(mac))
            return;
        memcpy(n->router_mac[is_ip6], mac, 6);
        n->has_router[is_ip6] = true;
        n->neigh.generation++;
    }
}

// --- datagrams ---------------------------------------------------------------------------------------------

// The payload of an IP packet for us whose addresses already stand in pkt.
static enum plx_net_verdict on_udp(struct plx_net *n, struct plx_pkt *pkt, struct plx_rd *r,
                                   const struct plx_eth *eth, uint64_t pseudo, plx_time now)
{
    struct plx_udp udp;
    enum plx_net_verdict v =
        plx_udp_read(r, &udp, pseudo, pkt->peer.af == PLX_AF_IP6, (pkt->flags & PLX_PKT_CSUM_OK) != 0);
    if (v != PLX_NET_FINE)
        return v;
    if (!plx_net_is_own_port(n, udp.dst))
        return PLX_NET_DROP_wrong_port;
    pkt->peer.port = udp.src;
    pkt->local.port = udp.dst;
    pkt->cap = (uint16_t)(pkt->cap - (r->p - pkt->data));
    pkt->data = (uint8_t *)r->p;
    pkt->len = (uint16_t)plx_rd_left(r);
    if (!plx_net_flow_is_heard(n, pkt, eth->src, now))
        plx_net_on_heard(n, pkt, eth->src, now);
    return PLX_NET_UDP;
}

// Sends the frame back to where it came from: both headers' addresses change places, which leaves all sums as they are.
// What stands between (a tag) stays.
static void frame_turn(const struct plx_net *n, struct plx_pkt *pkt, const struct plx_eth *eth, uint8_t *src,
                       uint8_t *dst, size_t len, const uint8_t *end)
{
    struct plx_wr w = plx_wr_init(pkt->data, pkt->len);
    uint8_t ip[16];

    plx_wr_bytes(&w, eth->src, 6);
    plx_wr_bytes(&w, n->cfg.mac, 6);
    memcpy(ip, src, len);
    memcpy(src, dst, len);
    memcpy(dst, ip, len);
    pkt->len = (uint16_t)(end - pkt->data); // without the link's padding
}

// A reply has a whole way before it: RFC 1122 section 3.2.1.7 wants the host's own value, not what was left.
static void echo_hops(uint8_t *ip, uint8_t ttl)
{
    uint16_t from = (uint16_t)(ttl << 8 | PLX_IP_ICMP4), to = PLX_IP_HOPS << 8 | PLX_IP_ICMP4;
    plx_store_be16(ip + 8, to);
    plx_store_be16(ip + 10, plx_cksum_update(plx_load_be16(ip + 10), from, to));
}

static enum plx_net_verdict on_ip4(struct plx_net *n, struct plx_pkt *pkt, struct plx_rd *r,
                                   const struct plx_eth *eth, plx_time now)
{
    uint8_t *start = (uint8_t *)r->p;
    struct plx_ip4 ip;

    enum plx_net_verdict v = plx_ip4_read(r, &ip);
    if (v != PLX_NET_FINE)
        return v;
    if (plx_net_own(n, PLX_AF_IP4, ip.dst) == NULL || plx_eth_is_multicast(eth->dst))
        return PLX_NET_DROP_not_ours;
    if (ip.proto == PLX_IP_ICMP4) {
        v = plx_icmp_echo((uint8_t *)r->p, plx_rd_left(r), false, 0);
        if (v == PLX_NET_REPLY) {
            frame_turn(n, pkt, eth, start + 12, start + 16, 4, r->end);
            echo_hops(start, ip.ttl);
        }
        return v;
    }
    if (ip.proto != PLX_IP_UDP)
        return PLX_NET_DROP_not_udp;
    pkt->ecn = ip.ecn;
    pkt->peer = (struct plx_addr){.af = PLX_AF_IP4};
    pkt->local = (struct plx_addr){.af = PLX_AF_IP4};
    memcpy(pkt->peer.ip, ip.src, 4);
    memcpy(pkt->local.ip, ip.dst, 4);
    return on_udp(n, pkt, r, eth, plx_ip4_pseudo(ip.src, ip.dst, PLX_IP_UDP), now);
}

static enum plx_net_verdict on_icmp6(struct plx_net *n, struct plx_pkt *pkt, struct plx_rd *r,
                                     const struct plx_eth *eth, const struct plx_ip6 *ip, uint8_t *start,
                                     plx_time now)
{
    if (plx_rd_left(r) > 0 && plx_nd_is(*r->p))
        return plx_net_on_nd(n, pkt, r, eth, ip, now);
    if (plx_net_own(n, PLX_AF_IP6, ip->dst) == NULL)
        return PLX_NET_DROP_not_ours;
    if (plx_ip6_is_unspecified(ip->src))
        return PLX_NET_DROP_bad_source;
    uint64_t pseudo = plx_ip6_pseudo(ip->src, ip->dst, PLX_IP_ICMP6, ip->payload_len);
    enum plx_net_verdict v = plx_icmp_echo((uint8_t *)r->p, plx_rd_left(r), true, pseudo);
    if (v == PLX_NET_REPLY) {
        frame_turn(n, pkt, eth, start + 8, start + 24, 16, r->end);
        start[7] = PLX_IP_HOPS;
    }
    return v;
}

static enum plx_net_verdict on_ip6(struct plx_net *n, struct plx_pkt *pkt, struct plx_rd *r,
                                   const struct plx_eth *eth, plx_time now)
{
    uint8_t *start = (uint8_t *)r->p;
    struct plx_ip6 ip;

    enum plx_net_verdict v = plx_ip6_read(r, &ip);
    if (v != PLX_NET_FINE)
        return v;
    if (ip.proto == PLX_IP_ICMP6)
        return on_icmp6(n, pkt, r, eth, &ip, start, now);
    if (plx_net_own(n, PLX_AF_IP6, ip.dst) == NULL || plx_eth_is_multicast(eth->dst))
        return PLX_NET_DROP_not_ours;
    if (ip.proto != PLX_IP_UDP)
        return PLX_NET_DROP_not_udp;
    if (plx_ip6_is_unspecified(ip.src))
        return PLX_NET_DROP_bad_source;
    pkt->ecn = ip.ecn;
    pkt->peer = (struct plx_addr){.af = PLX_AF_IP6};
    pkt->local = (struct plx_addr){.af = PLX_AF_IP6};
    memcpy(pkt->peer.ip, ip.src, 16);
    memcpy(pkt->local.ip, ip.dst, 16);
    return on_udp(n, pkt, r, eth, plx_ip6_pseudo(ip.src, ip.dst, PLX_IP_UDP, 0), now);
}

// --- frames ------------------------------------------------------------------------------------------------

static enum plx_net_verdict on_frame(struct plx_net *n, struct plx_pkt *pkt, plx_time now)
{
    struct plx_rd r = plx_rd_init(pkt->data, pkt->len);
    struct plx_eth eth;

    if (!plx_eth_read(&r, &eth))
        return PLX_NET_DROP_short;
    if (eth.vlan != n->cfg.vlan)
        return PLX_NET_DROP_wrong_vlan;
    if (!plx_eth_is_multicast(eth.dst) && memcmp(eth.dst, n->cfg.mac, 6) != 0)
        return PLX_NET_DROP_not_ours;
    if (plx_eth_is_multicast(eth.src))
        return PLX_NET_DROP_bad_source;
    switch (eth.type) {
    case PLX_ETH_IP4:
        return on_ip4(n, pkt, &r, &eth, now);
    case PLX_ETH_IP6:
        return on_ip6(n, pkt, &r, &eth, now);
    case PLX_ETH_ARP:
        return plx_net_on_arp(n, pkt, &r, &eth, now);
    default:
        return PLX_NET_DROP_not_ip;
    }
}

enum plx_net_verdict plx_net_rx(struct plx_net *n, struct plx_pkt *pkt, plx_time now)
{
    plx_debug(pkt->cap >= pkt->len);
    enum plx_net_verdict v = plx_net_rx_heard(n, pkt, now) ? PLX_NET_UDP : on_frame(n, pkt, now);
    n->verdicts[v]++;
    return v;
}

// --- start -------------------------------------------------------------------------------------------------

enum plx_err plx_net_init(struct plx_net *n, const struct plx_net_cfg *cfg)
{
    if (cfg->addr_count > PLX_NET_ADDRS_MAX || cfg->port_count > PLX_NET_PORTS_MAX || cfg->vlan > 4094 ||
        cfg->client_first > cfg->client_last || plx_eth_is_multicast(cfg->mac))
        return PLX_ERR_INVALID;
    for (uint8_t i = 0; i < cfg->addr_count; i++) {
        uint8_t af = cfg->addrs[i].ip.af;
        if ((af != PLX_AF_IP4 && af != PLX_AF_IP6) || cfg->addrs[i].prefix_len > 8 * ip_len(af))
            return PLX_ERR_INVALID;
    }

    memset(n, 0, sizeof *n);
    n->cfg = *cfg;
    plx_neigh_init(&n->neigh, cfg->key);
    n->cfg.gateway4.port = n->cfg.gateway6.port = 0;
    if (cfg->gateway4.af != PLX_AF_NONE && !plx_neigh_pin(&n->neigh, &n->cfg.gateway4))
        return PLX_ERR_INVALID;
    if (cfg->gateway6.af != PLX_AF_NONE && !plx_neigh_pin(&n->neigh, &n->cfg.gateway6))
        return PLX_ERR_INVALID;
    for (uint8_t i = 0; i < cfg->addr_count; i++)
        plx_net_ask(n, &cfg->addrs[i].ip, true);
    return PLX_OK;
}
