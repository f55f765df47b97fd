// ip6.h -- IPv6 headers (RFC 8200), as far as a QUIC endpoint needs them.
//
// Hop-by-hop and destination options are stepped over, and routing headers with nothing left to visit; four of them at
// most, because nobody honest sends more. Fragment headers are refused, "atomic" ones included (RFC 8021 deprecates
// them). Everything else in front of UDP or ICMPv6 ends the packet.

#ifndef PLX_NET_IP6_H
#define PLX_NET_IP6_H

#include "base/cursor.h"
#include "net/verdict.h"

enum { PLX_IP6_LEN = 40, PLX_IP6_EXTENSIONS_MAX = 4 };

struct plx_ip6 {
    uint8_t src[16], dst[16];
    uint8_t proto; // after the extension headers
    uint8_t hops, ecn;
    uint16_t payload_len; // likewise: what follows them
};

// Reads the header and its extensions and leaves r over exactly the payload.
// FINE, or DROP_short, DROP_bad_header, DROP_fragment, DROP_extension, DROP_bad_source.
enum plx_net_verdict plx_ip6_read(struct plx_rd *r, struct plx_ip6 *ip);

// Writes a header without extensions for ip->payload_len octets.
void plx_ip6_write(struct plx_wr *w, const struct plx_ip6 *ip);

// The sum over the pseudo-header of RFC 8200 section 8.1, to which the payload is added.
uint64_t plx_ip6_pseudo(const uint8_t src[16], const uint8_t dst[16], uint8_t proto, uint32_t len);

bool plx_ip6_is_unspecified(const uint8_t ip[16]);
static inline bool plx_ip6_is_multicast(const uint8_t ip[16])
{
    return ip[0] == 0xff;
}
static inline bool plx_ip6_is_link_local(const uint8_t ip[16])
{
    return ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80;
}

#endif
