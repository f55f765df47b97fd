// ip4.c -- see ip4.h.

#include "net/ip4.h"

#include "net/cksum.h"

enum { FLAG_DF = 0x4000, FLAG_MF = 0x2000, OFFSET = 0x1fff };

enum plx_net_verdict plx_ip4_read(struct plx_rd *r, struct plx_ip4 *ip)
{
    const uint8_t *start = r->p;
    uint8_t version_ihl = plx_rd_u8(r);
    uint8_t tos = plx_rd_u8(r);
    uint16_t total_len = plx_rd_u16(r);
    plx_rd_skip(r, 2); // identification
    uint16_t fragment = plx_rd_u16(r);
    ip->ttl = plx_rd_u8(r);
    ip->proto = plx_rd_u8(r);
    plx_rd_skip(r, 2); // checksum: verified over the whole header below
    const uint8_t *src = plx_rd_bytes(r, 4), *dst = plx_rd_bytes(r, 4);
    if (r->is_short)
        return PLX_NET_DROP_short;

    uint16_t hdr_len = (uint16_t)((version_ihl & 0x0f) * 4);
    if (version_ihl >> 4 != 4 || hdr_len < PLX_IP4_LEN || total_len < hdr_len)
        return PLX_NET_DROP_bad_header;
    plx_rd_skip(r, hdr_len - PLX_IP4_LEN); // options
    ip->payload_len = (uint16_t)(total_len - hdr_len);
    if (r->is_short || plx_rd_left(r) < ip->payload_len)
        return PLX_NET_DROP_short;
    uint64_t sum = plx_cksum_add_words(0, start, PLX_IP4_LEN / 4);
    if (hdr_len > PLX_IP4_LEN)
        sum = plx_cksum_add(sum, start + PLX_IP4_LEN, hdr_len - PLX_IP4_LEN);
    if (plx_cksum_end(sum) != 0)
        return PLX_NET_DROP_bad_checksum;
    if ((fragment & (FLAG_MF | OFFSET)) != 0)
        return PLX_NET_DROP_fragment;
    if (plx_ip4_is_bad_source(src))
        return PLX_NET_DROP_bad_source;

    memcpy(ip->src, src, 4);
    memcpy(ip->dst, dst, 4);
    ip->ecn = tos & 3;
    *r = plx_rd_init(r->p, ip->payload_len);
    return PLX_NET_FINE;
}

void plx_ip4_write(struct plx_wr *w, const struct plx_ip4 *ip)
{
    uint8_t *start = plx_wr_skip(w, PLX_IP4_LEN);
    if (start == NULL)
        return;
    struct plx_wr h = plx_wr_init(start, PLX_IP4_LEN);
    plx_wr_u8(&h, 0x45);
    plx_wr_u8(&h, ip->ecn);
    plx_wr_u16(&h, (uint16_t)(PLX_IP4_LEN + ip->payload_len));
    plx_wr_u16(&h, 0);
    plx_wr_u16(&h, FLAG_DF);
    plx_wr_u8(&h, ip->ttl);
    plx_wr_u8(&h, ip->proto);
    uint8_t *check = plx_wr_skip(&h, 2);
    plx_store_be16(check, 0);
    plx_wr_bytes(&h, ip->src, 4);
    plx_wr_bytes(&h, ip->dst, 4);
    plx_store_be16(check, plx_cksum_end(plx_cksum_add(0, start, PLX_IP4_LEN)));
}
