// flow.c -- headers in front of a datagram.
//
// Per packet only the ports, the lengths, the ECN bits and the sums over them change, so a flow keeps the rest finished: 42 to 66
// octets to copy, and the one's complement sums of what is in them, to which a packet adds its own share. Ports do not make a flow:
// a client with a port for each connection, and a server with many clients behind one address, use one line of memory for all.

#include "base/check.h"
#include "base/time.h"
#include "net/net.h"

static const uint8_t NO_IP[16];

// --- which flow --------------------------------------------------------------------------------------------

static struct plx_net_flow *flow_slot(struct plx_net *n, const struct plx_addr *peer,
                                      const struct plx_addr *local)
{
    uint64_t a, b, c, d;
    memcpy(&a, peer->ip, 8);
    memcpy(&b, peer->ip + 8, 8);
    memcpy(&c, local->ip, 8);
    memcpy(&d, local->ip + 8, 8);
    return plx_net_flow_slot(n, a, b, c, d);
}

bool plx_net_flow_is_heard(struct plx_net *n, const struct plx_pkt *pkt, const uint8_t mac[6], plx_time now)
{
    struct plx_net_flow *f = flow_slot(n, &pkt->peer, &pkt->local);

    if (!plx_addr_ip_eq(&f->peer, &pkt->peer) || f->generation != n->neigh.generation ||
        memcmp(f->hdr + sizeof f->hdr - f->hdr_len, mac, 6) != 0)
        return false;
    if (!plx_time_reached(f->heard_until, now))
        return true;
    f->heard_until = plx_time_after(now, PLX_SEC(1));
    return false;
}

// --- where to ----------------------------------------------------------------------------------------------

// The link-layer address for a peer; false when it is not known (a question may now be pending) or there is no way.
static bool next_hop(struct plx_net *n, const struct plx_addr *peer, plx_time now, uint8_t mac[6])
{
    bool is_ip6 = peer->af == PLX_AF_IP6;
    const struct plx_addr *gateway = is_ip6 ? &n->cfg.gateway6 : &n->cfg.gateway4;
    struct plx_addr hop = *peer;
    hop.port = 0;

    if (!plx_net_is_on_link(n, peer)) {
        if (gateway->af == PLX_AF_NONE) {
            n->no_route += !n->has_router[is_ip6];
            memcpy(mac, n->router_mac[is_ip6], 6);
            return n->has_router[is_ip6];
        }
        hop = *gateway;
    }
    struct plx_neigh_answer a = plx_neigh_find(&n->neigh, &hop, now);
    if (a.ask)
        plx_net_ask(n, &hop, false);
    n->no_neighbour += !a.is_known;
    memcpy(mac, a.mac, 6);
    return a.is_known;
}

// Completes a local address of which parts may be missing; false when we have none of that family, or not this one.
static bool local_complete(const struct plx_net *n, uint8_t af, const struct plx_addr *wanted,
                           struct plx_addr *local)
{
    *local = *wanted;
    local->af = af;
    if (memcmp(local->ip, NO_IP, sizeof NO_IP) == 0) {
        uint8_t i = 0;
        while (i < n->cfg.addr_count && n->cfg.addrs[i].ip.af != af)
            i++;
        if (i == n->cfg.addr_count)
            return false;
        memcpy(local->ip, n->cfg.addrs[i].ip.ip, sizeof local->ip);
    }
    if (plx_net_own(n, af, local->ip) == NULL)
        return false; // nobody may send in another's name
    if (local->port == 0)
        local->port = n->cfg.port_count > 0 ? n->cfg.ports[0] : n->cfg.client_first;
    return local->port != 0;
}

// --- the finished headers ----------------------------------------------------------------------------------

static void ip_write(struct plx_wr *w, struct plx_net_flow *f, const struct plx_addr *peer,
                     const struct plx_addr *local)
{
    const uint8_t *start = w->p;

    if (peer->af == PLX_AF_IP4) {
        struct plx_ip4 ip = {.proto = PLX_IP_UDP, .ttl = PLX_IP_HOPS};
        memcpy(ip.src, local->ip, 4);
        memcpy(ip.dst, peer->ip, 4);
        plx_ip4_write(w, &ip);
        plx_store_be16(w->p - 18, 0); // total length and checksum: each packet's own
        plx_store_be16(w->p - 10, 0);
        f->ip_sum = plx_cksum_add(0, start, PLX_IP4_LEN);
        f->udp_sum = plx_ip4_pseudo(ip.src, ip.dst, PLX_IP_UDP);
    } else {
        struct plx_ip6 ip = {.proto = PLX_IP_UDP, .hops = PLX_IP_HOPS};
        memcpy(ip.src, local->ip, 16);
        memcpy(ip.dst, peer->ip, 16);
        plx_ip6_write(w, &ip);
        f->udp_sum = plx_ip6_pseudo(ip.src, ip.dst, PLX_IP_UDP, 0);
    }
}

// What the peer's frames begin with: our headers with both addresses turned round. Nobody is believed to be who no host can be.
static void heard_build(const struct plx_net *n, struct plx_net_flow *f, const struct plx_addr *peer,
                        const struct plx_eth *eth, const struct plx_addr *local)
{
    struct plx_wr w = plx_wr_init(f->heard, sizeof f->heard);
    struct plx_eth back = {.type = PLX_ETH_IP4};
    struct plx_ip4 ip = {.proto = PLX_IP_UDP};

    f->is_plain = peer->af == PLX_AF_IP4 && n->cfg.vlan == 0 && !plx_ip4_is_bad_source(peer->ip);
    if (!f->is_plain)
        return;
    memcpy(back.dst, eth->src, 6);
    memcpy(back.src, eth->dst, 6);
    memcpy(ip.src, peer->ip, 4);
    memcpy(ip.dst, local->ip, 4);
    plx_eth_write(&w, &back);
    plx_ip4_write(&w, &ip);
    plx_check(!w.is_full);
}

static bool flow_build(struct plx_net *n, struct plx_net_flow *f, const struct plx_pkt *pkt, plx_time now)
{
    struct plx_eth eth = {.vlan = n->cfg.vlan,
                          .type = pkt->peer.af == PLX_AF_IP4 ? PLX_ETH_IP4 : PLX_ETH_IP6};
    struct plx_addr local;

    f->peer.af = PLX_AF_NONE; // until it is finished
    if ((pkt->peer.af != PLX_AF_IP4 && pkt->peer.af != PLX_AF_IP6) ||
        !local_complete(n, pkt->peer.af, &pkt->local, &local)) {
        n->no_route++;
        return false;
    }
    if (!next_hop(n, &pkt->peer, now, eth.dst))
        return false;
    memcpy(eth.src, n->cfg.mac, 6);

    uint8_t hdr[PLX_NET_HEADERS_MAX];
    struct plx_wr w = plx_wr_init(hdr, sizeof hdr);
    plx_eth_write(&w, &eth);
    f->ip_at = (uint8_t)(w.p - hdr);
    ip_write(&w, f, &pkt->peer, &local);
    struct plx_udp udp = {.src = 0, .dst = 0}; // each packet's own
    plx_udp_write(&w, &udp);
    plx_check(!w.is_full);
    f->hdr_len = (uint8_t)(w.p - hdr);
    memcpy(f->hdr + sizeof f->hdr - f->hdr_len, hdr, f->hdr_len);
    heard_build(n, f, &pkt->peer, &eth, &local);
    f->peer = pkt->peer;
    f->local = pkt->local;
    f->port = local.port;
    f->until = plx_time_after(now, PLX_SEC(1));
    f->heard_until = now;
    f->generation = n->neigh.generation;
    return true;
}

// --- one packet --------------------------------------------------------------------------------------------

bool plx_net_tx(struct plx_net *n, struct plx_pkt *pkt, plx_time now)
{
    struct plx_net_flow *f = flow_slot(n, &pkt->peer, &pkt->local);

    if (!plx_addr_ip_eq(&f->peer, &pkt->peer) || !plx_addr_ip_eq(&f->local, &pkt->local) ||
        f->generation != n->neigh.generation || plx_time_reached(f->until, now)) {
        if (!flow_build(n, f, pkt, now))
            return false;
    }

    uint16_t udp_len = (uint16_t)(PLX_UDP_LEN + pkt->len);
    uint16_t from = pkt->local.port != 0 ? pkt->local.port : f->port, check;
    uint64_t sum = plx_cksum_add16(f->udp_sum, udp_len);
    if (n->cfg.tx_csum) {
        check = plx_cksum_fold(sum); // the pseudo-header's share, as devices want it
        pkt->flags |= PLX_PKT_CSUM_TX;
    } else {
        // Fields as numbers, the payload from memory: what was only just written there is slow to read back.
        sum = plx_cksum_add16(plx_cksum_add16(plx_cksum_add16(sum, from), pkt->peer.port), udp_len);
        check = plx_cksum_end(plx_cksum_add(sum, pkt->data, pkt->len));
        check = check == 0 ? 0xffff : check;
    }
    uint8_t *udp = pkt->data - PLX_UDP_LEN;
    uint8_t *ip = pkt->data - f->hdr_len + f->ip_at;
    memcpy(pkt->data - sizeof f->hdr, f->hdr,
           sizeof f->hdr); // as many as there can be: a length that is known needs no loop
    plx_store_be16(udp, from);
    plx_store_be16(udp + 2, pkt->peer.port);
    plx_store_be16(udp + 4, udp_len);
    plx_store_be16(udp + 6, check);
    if (pkt->peer.af == PLX_AF_IP4) {
        uint16_t total_len = (uint16_t)(PLX_IP4_LEN + udp_len);
        ip[1] = pkt->ecn;
        plx_store_be16(ip + 2, total_len);
        if (!n->cfg.tx_csum)
            plx_store_be16(ip + 10,
                           plx_cksum_end(plx_cksum_add16(plx_cksum_add16(f->ip_sum, total_len), pkt->ecn)));
    } else {
        ip[1] = (uint8_t)(pkt->ecn << 4);
        plx_store_be16(ip + 4, udp_len);
    }
    pkt->data -= f->hdr_len;
    pkt->len = (uint16_t)(pkt->len + f->hdr_len);
    return true;
}
