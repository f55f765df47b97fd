// nd.c -- see nd.h.

#include "net/nd.h"

#include "net/cksum.h"
#include "net/eth.h"
#include "net/ip4.h"

enum { HOPS = 255, OPTION_SOURCE = 1, OPTION_TARGET = 2, FLAG_SOLICITED = 0x40, FLAG_OVERRIDE = 0x20 };

void plx_nd_solicited_node(const uint8_t ip[16], uint8_t group[16])
{
    static const uint8_t prefix[13] = {0xff, 0x02, [11] = 0x01, [12] = 0xff};
    memcpy(group, prefix, sizeof prefix);
    memcpy(group + 13, ip + 13, 3);
}

void plx_nd_multicast_mac(const uint8_t group[16], uint8_t mac[6])
{
    mac[0] = mac[1] = 0x33;
    memcpy(mac + 2, group + 12, 4);
}

static bool is_solicited_node(const uint8_t ip[16], const uint8_t target[16])
{
    uint8_t group[16];
    plx_nd_solicited_node(target, group);
    return memcmp(ip, group, sizeof group) == 0;
}

// Options are type, length in units of 8 octets, value. A length of 0 condemns the message (RFC 4861 section 4.6).
static bool options_read(struct plx_rd *r, uint8_t wanted, struct plx_nd *nd)
{
    while (plx_rd_left(r) > 0) {
        uint8_t type = plx_rd_u8(r), units = plx_rd_u8(r);
        if (units == 0)
            return false;
        struct plx_span value = plx_rd_span(r, 8u * units - 2u);
        if (r->is_short)
            return false;
        if (type == wanted && units == 1) {
            memcpy(nd->mac, value.p, 6);
            nd->has_mac = true;
        }
    }
    return true;
}

enum plx_net_verdict plx_nd_read(struct plx_rd *r, const struct plx_ip6 *ip, struct plx_nd *nd)
{
    uint64_t sum = plx_ip6_pseudo(ip->src, ip->dst, PLX_IP_ICMP6, ip->payload_len);
    if (plx_cksum_end(plx_cksum_add(sum, r->p, plx_rd_left(r))) != 0)
        return PLX_NET_DROP_bad_checksum;

    *nd = (struct plx_nd){.type = plx_rd_u8(r)};
    uint8_t code = plx_rd_u8(r);
    plx_rd_skip(r, 2);
    uint8_t flags = plx_rd_u8(r);
    plx_rd_skip(r, 3);
    plx_rd_copy(r, nd->target, 16);
    if (r->is_short)
        return PLX_NET_DROP_short;
    // A hop limit of 255 proves that no router has passed it on: the sender is on our link.
    if (ip->hops != HOPS || code != 0 || plx_ip6_is_multicast(nd->target))
        return PLX_NET_DROP_nd;
    bool is_ask = nd->type == PLX_ND_SOLICIT;
    if (!options_read(r, is_ask ? OPTION_SOURCE : OPTION_TARGET, nd))
        return PLX_NET_DROP_nd;
    if (is_ask && plx_ip6_is_unspecified(ip->src) && (nd->has_mac || !is_solicited_node(ip->dst, nd->target)))
        return PLX_NET_DROP_nd;
    if (!is_ask && plx_ip6_is_multicast(ip->dst) && (flags & FLAG_SOLICITED) != 0)
        return PLX_NET_DROP_nd;
    if (!is_ask)
        nd->flags = (uint8_t)((flags & FLAG_SOLICITED ? PLX_ND_SOLICITED : 0) |
                              (flags & FLAG_OVERRIDE ? PLX_ND_OVERRIDE : 0));
    return PLX_NET_FINE;
}

void plx_nd_write(struct plx_wr *w, const uint8_t src[16], const uint8_t dst[16], const struct plx_nd *nd)
{
    struct plx_ip6 ip = {.proto = PLX_IP_ICMP6, .hops = HOPS, .payload_len = PLX_ND_LEN};
    memcpy(ip.src, src, 16);
    memcpy(ip.dst, dst, 16);
    plx_ip6_write(w, &ip);
    uint8_t *msg = plx_wr_skip(w, PLX_ND_LEN);
    if (msg == NULL)
        return;
    struct plx_wr m = plx_wr_init(msg, PLX_ND_LEN);
    plx_wr_u8(&m, nd->type);
    plx_wr_u8(&m, 0);
    uint8_t *check = plx_wr_skip(&m, 2);
    plx_store_be16(check, 0);
    plx_wr_u8(&m, (uint8_t)((nd->flags & PLX_ND_SOLICITED ? FLAG_SOLICITED : 0) |
                            (nd->flags & PLX_ND_OVERRIDE ? FLAG_OVERRIDE : 0)));
    plx_wr_u24(&m, 0);
    plx_wr_bytes(&m, nd->target, 16);
    plx_wr_u8(&m, nd->type == PLX_ND_SOLICIT ? OPTION_SOURCE : OPTION_TARGET);
    plx_wr_u8(&m, 1);
    plx_wr_bytes(&m, nd->mac, 6);
    uint64_t sum = plx_ip6_pseudo(src, dst, PLX_IP_ICMP6, PLX_ND_LEN);
    plx_store_be16(check, plx_cksum_end(plx_cksum_add(sum, msg, PLX_ND_LEN)));
}
