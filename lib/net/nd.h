// nd.h -- neighbour solicitation and advertisement, RFC 4861 sections 4.3, 4.4, 7.1 and 7.2.
//
// The part of neighbour discovery that a host with configured addresses needs: who has this address, and the answer.
// Router discovery, redirects and address configuration are not ours; the gateway is configured.

#ifndef PLX_NET_ND_H
#define PLX_NET_ND_H

#include "net/ip6.h"

enum {
    PLX_ND_SOLICIT = 135,
    PLX_ND_ADVERTISE = 136,
    PLX_ND_LEN = 32, // either message with its link-layer address option
    PLX_ND_SOLICITED = 1,
    PLX_ND_OVERRIDE = 2,
};

struct plx_nd {
    uint8_t type;  // SOLICIT or ADVERTISE
    uint8_t flags; // of an advertisement
    uint8_t target[16];
    uint8_t mac[6]; // link-layer address option: the sender's (solicitation), the target's (advertisement)
    bool has_mac;
};

// Whether an ICMPv6 message is one that plx_nd_read() reads.
static inline bool plx_nd_is(uint8_t type)
{
    return type == PLX_ND_SOLICIT || type == PLX_ND_ADVERTISE;
}

// Reads and validates the message over r that came under ip. FINE, or DROP_short, DROP_bad_checksum, DROP_nd.
enum plx_net_verdict plx_nd_read(struct plx_rd *r, const struct plx_ip6 *ip, struct plx_nd *nd);

// Writes the IPv6 header and the message with its option and checksum: 72 octets.
void plx_nd_write(struct plx_wr *w, const uint8_t src[16], const uint8_t dst[16], const struct plx_nd *nd);

// The multicast address that listens for solicitations of ip, RFC 4291 section 2.7.1, and a multicast address's MAC,
// RFC 2464 section 7.
void plx_nd_solicited_node(const uint8_t ip[16], uint8_t group[16]);
void plx_nd_multicast_mac(const uint8_t group[16], uint8_t mac[6]);

#endif
