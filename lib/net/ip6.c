// ip6.c -- see ip6.h.

#include "net/ip6.h"

#include "net/cksum.h"

enum { HOP_BY_HOP = 0, ROUTING = 43, FRAGMENT = 44, DESTINATION = 60 }; // next-header values, IANA

bool plx_ip6_is_unspecified(const uint8_t ip[16])
{
    static const uint8_t none[16];
    return memcmp(ip, none, sizeof none) == 0;
}

static bool is_loopback(const uint8_t ip[16])
{
    static const uint8_t one[16] = {[15] = 1};
    return memcmp(ip, one, sizeof one) == 0;
}

// Steps over one extension header. RFC 8200 section 4: length in units of 8 octets, not counting the first 8.
static enum plx_net_verdict extension_skip(struct plx_rd *r, uint8_t *proto)
{
    uint8_t kind = *proto;
    *proto = plx_rd_u8(r);
    uint8_t units = plx_rd_u8(r);
    plx_rd_skip(r, 1);
    uint8_t segments_left = plx_rd_u8(r); // of a routing header; the others have options here
    plx_rd_skip(r, 4u + 8u * units);
    if (r->is_short)
        return PLX_NET_DROP_short;
    return kind == ROUTING && segments_left != 0 ? PLX_NET_DROP_extension : PLX_NET_FINE;
}

enum plx_net_verdict plx_ip6_read(struct plx_rd *r, struct plx_ip6 *ip)
{
    uint32_t version_class_label = plx_rd_u32(r);
    uint16_t payload_len = plx_rd_u16(r);
    ip->proto = plx_rd_u8(r);
    ip->hops = plx_rd_u8(r);
    const uint8_t *src = plx_rd_bytes(r, 16), *dst = plx_rd_bytes(r, 16);
    if (r->is_short || plx_rd_left(r) < payload_len)
        return PLX_NET_DROP_short;
    if (version_class_label >> 28 != 6)
        return PLX_NET_DROP_bad_header;
    if (plx_ip6_is_multicast(src) || is_loopback(src))
        return PLX_NET_DROP_bad_source;
    memcpy(ip->src, src, 16);
    memcpy(ip->dst, dst, 16);
    ip->ecn = version_class_label >> 20 & 3;
    *r = plx_rd_init(r->p, payload_len);

    for (unsigned n = 0; ip->proto == HOP_BY_HOP || ip->proto == ROUTING || ip->proto == DESTINATION; n++) {
        enum plx_net_verdict v =
            n < PLX_IP6_EXTENSIONS_MAX ? extension_skip(r, &ip->proto) : PLX_NET_DROP_extension;
        if (v != PLX_NET_FINE)
            return v;
    }
    if (ip->proto == FRAGMENT)
        return PLX_NET_DROP_fragment;
    ip->payload_len = (uint16_t)plx_rd_left(r);
    return PLX_NET_FINE;
}

void plx_ip6_write(struct plx_wr *w, const struct plx_ip6 *ip)
{
    plx_wr_u32(w, 6u << 28 | (uint32_t)ip->ecn << 20);
    plx_wr_u16(w, ip->payload_len);
    plx_wr_u8(w, ip->proto);
    plx_wr_u8(w, ip->hops);
    plx_wr_bytes(w, ip->src, 16);
    plx_wr_bytes(w, ip->dst, 16);
}

uint64_t plx_ip6_pseudo(const uint8_t src[16], const uint8_t dst[16], uint8_t proto, uint32_t len)
{
    uint64_t sum = plx_cksum_add(plx_cksum_add(0, src, 16), dst, 16);
    return plx_cksum_add16(plx_cksum_add16(plx_cksum_add16(sum, (uint16_t)(len >> 16)), (uint16_t)len),
                           proto);
}
