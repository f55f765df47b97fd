// eth.h -- Ethernet II headers, with at most one IEEE 802.1Q tag.
//
// The tag is part of the header here: a VLAN identifier of 0 means "no VLAN", which is also what a priority tag says
// (IEEE 802.1Q-2022 table 9-2). A second tag is an unknown Ethernet type like any other.

#ifndef PLX_NET_ETH_H
#define PLX_NET_ETH_H

#include "base/cursor.h"

enum {
    PLX_ETH_IP4 = 0x0800,
    PLX_ETH_ARP = 0x0806,
    PLX_ETH_VLAN = 0x8100,
    PLX_ETH_IP6 = 0x86dd,
    PLX_ETH_LEN = 14,
    PLX_ETH_LEN_MAX = 18, // with a tag
};

struct plx_eth {
    uint8_t dst[6], src[6];
    uint16_t vlan; // identifier, 0 for none
    uint16_t type;
};

// The next len octets into `to`; zeros when there are fewer.
static inline void plx_rd_copy(struct plx_rd *r, void *to, size_t len)
{
    const uint8_t *p = plx_rd_bytes(r, len);
    if (p != NULL)
        memcpy(to, p, len);
    else
        memset(to, 0, len);
}

static inline bool plx_eth_read(struct plx_rd *r, struct plx_eth *e)
{
    plx_rd_copy(r, e->dst, sizeof e->dst);
    plx_rd_copy(r, e->src, sizeof e->src);
    e->vlan = 0;
    e->type = plx_rd_u16(r);
    if (e->type == PLX_ETH_VLAN) {
        e->vlan = plx_rd_u16(r) & 0x0fff; // above it: priority and the drop-eligible bit, which we do not use
        e->type = plx_rd_u16(r);
    }
    return !r->is_short;
}

static inline void plx_eth_write(struct plx_wr *w, const struct plx_eth *e)
{
    plx_wr_bytes(w, e->dst, sizeof e->dst);
    plx_wr_bytes(w, e->src, sizeof e->src);
    if (e->vlan != 0) {
        plx_wr_u16(w, PLX_ETH_VLAN);
        plx_wr_u16(w, e->vlan);
    }
    plx_wr_u16(w, e->type);
}

static inline bool plx_eth_is_multicast(const uint8_t mac[6])
{
    return (mac[0] & 1) != 0;
}

#endif
