// arp.h -- the Address Resolution Protocol over Ethernet and IPv4, RFC 826.

#ifndef PLX_NET_ARP_H
#define PLX_NET_ARP_H

#include "base/cursor.h"

enum { PLX_ARP_REQUEST = 1, PLX_ARP_REPLY = 2, PLX_ARP_LEN = 28 };

struct plx_arp {
    uint16_t op;
    uint8_t sender_mac[6], sender_ip[4];
    uint8_t target_mac[6], target_ip[4];
};

// False when it is short, or not about Ethernet and IPv4.
bool plx_arp_read(struct plx_rd *r, struct plx_arp *a);
void plx_arp_write(struct plx_wr *w, const struct plx_arp *a);

#endif
