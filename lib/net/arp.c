// arp.c -- see arp.h.

#include "net/arp.h"

#include "net/eth.h"

enum { HARDWARE_ETHERNET = 1 };

bool plx_arp_read(struct plx_rd *r, struct plx_arp *a)
{
    uint16_t hardware = plx_rd_u16(r), protocol = plx_rd_u16(r);
    uint8_t hardware_len = plx_rd_u8(r), protocol_len = plx_rd_u8(r);

    a->op = plx_rd_u16(r);
    plx_rd_copy(r, a->sender_mac, 6);
    plx_rd_copy(r, a->sender_ip, 4);
    plx_rd_copy(r, a->target_mac, 6);
    plx_rd_copy(r, a->target_ip, 4);
    return !r->is_short && hardware == HARDWARE_ETHERNET && protocol == PLX_ETH_IP4 && hardware_len == 6 &&
           protocol_len == 4;
}

void plx_arp_write(struct plx_wr *w, const struct plx_arp *a)
{
    plx_wr_u16(w, HARDWARE_ETHERNET);
    plx_wr_u16(w, PLX_ETH_IP4);
    plx_wr_u8(w, 6);
    plx_wr_u8(w, 4);
    plx_wr_u16(w, a->op);
    plx_wr_bytes(w, a->sender_mac, 6);
    plx_wr_bytes(w, a->sender_ip, 4);
    plx_wr_bytes(w, a->target_mac, 6);
    plx_wr_bytes(w, a->target_ip, 4);
}
