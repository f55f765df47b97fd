// resolve.c -- questions about neighbours: those that we answer, and those that we ask.
//
// ARP and neighbour discovery say the same things in two ways, so they stand side by side: an answer to a question
// about one of our addresses, made in the packet that asked; the note that is taken of an answer to us; and the frames
// that we owe the link, which wait in a short ring until the engine has a packet for them.

#include "base/check.h"
#include "net/arp.h"
#include "net/nd.h"
#include "net/net.h"

static const uint8_t BROADCAST[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
static const uint8_t ALL_NODES[16] = {0xff, 0x02, [15] = 0x01};

static void note(struct plx_net *n, uint8_t af, const uint8_t *ip, const uint8_t mac[6], plx_time now)
{
    n->news = (struct plx_net_news){.ip = {.af = af}};
    memcpy(n->news.ip.ip, ip, af == PLX_AF_IP4 ? 4 : 16);
    memcpy(n->news.mac, mac, 6);
    plx_net_learn(n, &n->news.ip, mac, now);
}

// --- ARP ---------------------------------------------------------------------------------------------------

static void arp_frame(struct plx_wr *w, const struct plx_net *n, const uint8_t dst[6],
                      const struct plx_arp *a)
{
    struct plx_eth eth = {.vlan = n->cfg.vlan, .type = PLX_ETH_ARP};
    memcpy(eth.dst, dst, 6);
    memcpy(eth.src, n->cfg.mac, 6);
    plx_eth_write(w, &eth);
    plx_arp_write(w, a);
}

enum plx_net_verdict plx_net_on_arp(struct plx_net *n, struct plx_pkt *pkt, struct plx_rd *r,
                                    const struct plx_eth *eth, plx_time now)
{
    struct plx_arp a;

    if (!plx_arp_read(r, &a) || memcmp(a.sender_mac, eth->src, 6) != 0)
        return PLX_NET_DROP_arp; // a sender that is not the frame's is a proxy at best
    struct plx_addr sender = {.af = PLX_AF_IP4};
    memcpy(sender.ip, a.sender_ip, 4);
    static const uint8_t nobody[4];
    bool is_probe = memcmp(a.sender_ip, nobody, 4) == 0; // RFC 5227: asks without having the address yet
    bool is_question = a.op == PLX_ARP_REQUEST && plx_net_own(n, PLX_AF_IP4, a.target_ip) != NULL;
    if (plx_net_own(n, PLX_AF_IP4, a.sender_ip) != NULL || (!is_probe && !plx_net_is_on_link(n, &sender)))
        return PLX_NET_DROP_arp;
    // RFC 826: what is known is brought up to date by any packet, what is not known only by one that is for us.
    if (!is_probe && (is_question || plx_neigh_has(&n->neigh, &sender)))
        note(n, PLX_AF_IP4, a.sender_ip, a.sender_mac, now);
    else if (!is_question)
        return PLX_NET_DROP_arp;
    if (!is_question)
        return PLX_NET_DONE;

    struct plx_arp reply = {.op = PLX_ARP_REPLY};
    memcpy(reply.sender_mac, n->cfg.mac, 6);
    memcpy(reply.sender_ip, a.target_ip, 4);
    memcpy(reply.target_mac, a.sender_mac, 6);
    memcpy(reply.target_ip, a.sender_ip, 4);
    struct plx_wr w = plx_wr_init(pkt->data, pkt->cap);
    arp_frame(&w, n, eth->src, &reply);
    if (w.is_full)
        return PLX_NET_DROP_no_room;
    pkt->len = (uint16_t)(w.p - pkt->data);
    return PLX_NET_REPLY;
}

// --- neighbour discovery -----------------------------------------------------------------------------------

static void nd_frame(struct plx_wr *w, const struct plx_net *n, const uint8_t dst_mac[6],
                     const uint8_t src[16], const uint8_t dst[16], const struct plx_nd *nd)
{
    struct plx_eth eth = {.vlan = n->cfg.vlan, .type = PLX_ETH_IP6};
    memcpy(eth.dst, dst_mac, 6);
    memcpy(eth.src, n->cfg.mac, 6);
    plx_eth_write(w, &eth);
    plx_nd_write(w, src, dst, nd);
}

static enum plx_net_verdict on_solicitation(struct plx_net *n, struct plx_pkt *pkt, const struct plx_eth *eth,
                                            const struct plx_ip6 *ip, const struct plx_nd *nd, plx_time now)
{
    bool is_probe = plx_ip6_is_unspecified(ip->src); // duplicate address detection, RFC 4862
    struct plx_nd reply = {.type = PLX_ND_ADVERTISE, .flags = PLX_ND_OVERRIDE};
    uint8_t group_mac[6];

    struct plx_addr sender = {.af = PLX_AF_IP6};
    memcpy(sender.ip, ip->src, 16);
    if (!is_probe && nd->has_mac && plx_net_is_on_link(n, &sender))
        note(n, PLX_AF_IP6, ip->src, nd->mac, now);
    if (!is_probe)
        reply.flags |= PLX_ND_SOLICITED;
    memcpy(reply.target, nd->target, 16);
    memcpy(reply.mac, n->cfg.mac, 6);
    plx_nd_multicast_mac(ALL_NODES, group_mac);
    struct plx_wr w = plx_wr_init(pkt->data, pkt->cap);
    nd_frame(&w, n, is_probe ? group_mac : eth->src, nd->target, is_probe ? ALL_NODES : ip->src, &reply);
    if (w.is_full)
        return PLX_NET_DROP_no_room;
    pkt->len = (uint16_t)(w.p - pkt->data);
    return PLX_NET_REPLY;
}

enum plx_net_verdict plx_net_on_nd(struct plx_net *n, struct plx_pkt *pkt, struct plx_rd *r,
                                   const struct plx_eth *eth, const struct plx_ip6 *ip, plx_time now)
{
    struct plx_ip6 header = *ip; // copies: the reply is written over the originals
    struct plx_eth link = *eth;
    struct plx_nd nd;

    enum plx_net_verdict v = plx_nd_read(r, ip, &nd);
    if (v != PLX_NET_FINE)
        return v;
    if (nd.type == PLX_ND_SOLICIT) {
        if (plx_net_own(n, PLX_AF_IP6, nd.target) == NULL || plx_net_own(n, PLX_AF_IP6, ip->src) != NULL)
            return PLX_NET_DROP_nd;
        return on_solicitation(n, pkt, &link, &header, &nd, now);
    }
    struct plx_addr about = {.af = PLX_AF_IP6};
    memcpy(about.ip, nd.target, 16);
    if (plx_net_own(n, PLX_AF_IP6, nd.target) != NULL || !plx_neigh_has(&n->neigh, &about))
        return PLX_NET_DROP_nd; // RFC 4861 section 7.2.5: no entry, no interest
    // RFC 4861 section 7.2.5: without the override flag a known address is not replaced.
    const uint8_t *mac = nd.has_mac ? nd.mac : eth->src;
    uint8_t known[6];
    if ((nd.flags & PLX_ND_OVERRIDE) == 0 && plx_neigh_peek(&n->neigh, &about, now, known) &&
        memcmp(known, mac, 6) != 0)
        return PLX_NET_DROP_nd;
    note(n, PLX_AF_IP6, nd.target, mac, now);
    return PLX_NET_DONE;
}

// --- what we owe the link ----------------------------------------------------------------------------------

void plx_net_ask(struct plx_net *n, const struct plx_addr *about, bool is_announcement)
{
    if (n->pending_count == PLX_NET_PENDING_MAX) {
        n->pending_full++; // the neighbour's next turn comes in a second
        return;
    }
    uint8_t at = (uint8_t)((n->pending_at + n->pending_count++) % PLX_NET_PENDING_MAX);
    n->pending[at] = (struct plx_net_pending){*about, is_announcement};
}

// Our address that a question about `ip` comes from: one in the same network, else the family's first.
static const struct plx_addr *own_beside(const struct plx_net *n, const struct plx_addr *ip)
{
    const struct plx_addr *first = NULL;

    for (uint8_t i = 0; i < n->cfg.addr_count; i++) {
        if (n->cfg.addrs[i].ip.af != ip->af)
            continue;
        if (plx_net_addr_holds(&n->cfg.addrs[i], ip))
            return &n->cfg.addrs[i].ip;
        first = first == NULL ? &n->cfg.addrs[i].ip : first;
    }
    return first;
}

static void question_write(struct plx_wr *w, const struct plx_net *n, const struct plx_net_pending *p)
{
    const struct plx_addr *own = p->is_announcement ? &p->about : own_beside(n, &p->about);
    plx_check(own != NULL); // nothing is asked about a family that we have no address of

    if (p->about.af == PLX_AF_IP4) { // an announcement asks about ourselves, RFC 5227 section 2.3
        struct plx_arp a = {.op = PLX_ARP_REQUEST};
        memcpy(a.sender_mac, n->cfg.mac, 6);
        memcpy(a.sender_ip, own->ip, 4);
        memcpy(a.target_ip, p->about.ip, 4);
        arp_frame(w, n, BROADCAST, &a);
        return;
    }
    struct plx_nd nd = {.type = p->is_announcement ? PLX_ND_ADVERTISE : PLX_ND_SOLICIT,
                        .flags = p->is_announcement ? PLX_ND_OVERRIDE : 0};
    uint8_t group[16], mac[6];
    memcpy(nd.target, p->about.ip, 16);
    memcpy(nd.mac, n->cfg.mac, 6);
    if (p->is_announcement) // RFC 4861 section 7.2.6
        memcpy(group, ALL_NODES, 16);
    else
        plx_nd_solicited_node(p->about.ip, group);
    plx_nd_multicast_mac(group, mac);
    nd_frame(w, n, mac, own->ip, group, &nd);
}

bool plx_net_pending(struct plx_net *n, struct plx_pkt *pkt)
{
    if (n->pending_count == 0)
        return false;
    struct plx_net_pending p = n->pending[n->pending_at];
    n->pending_at = (uint8_t)((n->pending_at + 1) % PLX_NET_PENDING_MAX);
    n->pending_count--;

    struct plx_wr w = plx_wr_init(pkt->data, pkt->cap);
    question_write(&w, n, &p);
    plx_check(!w.is_full); // the caller gives PLX_NET_FRAME_MIN octets
    pkt->len = (uint16_t)(w.p - pkt->data);
    return true;
}
