// ip4.h -- IPv4 headers (RFC 791), as far as a QUIC endpoint needs them.
//
// Options are skipped, never acted upon. Fragments are refused: QUIC's packets carry DF, and reassembly would be state
// that anybody can make us keep. What we send has no options, DF set and therefore an identification of zero (RFC 6864
// section 4.1: the field has no meaning for atomic datagrams).

#ifndef PLX_NET_IP4_H
#define PLX_NET_IP4_H

#include "base/cursor.h"
#include "net/verdict.h"

enum {
    PLX_IP_ICMP4 = 1, // protocol numbers, IANA
    PLX_IP_UDP = 17,
    PLX_IP_ICMP6 = 58,
    PLX_IP_HOPS = 64, // RFC 1700's recommended time to live
    PLX_IP4_LEN = 20, // without options
};

struct plx_ip4 {
    uint8_t src[4], dst[4];
    uint8_t proto, ttl, ecn;
    uint16_t payload_len; // what follows the header, by the header's own account
};

// RFC 1122 section 3.2.1.3: none of these is ever a host that could want an answer.
static inline bool plx_ip4_is_bad_source(const uint8_t src[4])
{
    return src[0] == 0 || src[0] == 127 || src[0] >= 224;
}

// Reads the header and leaves r over exactly its payload (link-layer padding cut off).
// FINE, or DROP_short, DROP_bad_header, DROP_bad_checksum, DROP_fragment, DROP_bad_source.
enum plx_net_verdict plx_ip4_read(struct plx_rd *r, struct plx_ip4 *ip);

// Writes a header without options for ip->payload_len octets, checksum included.
void plx_ip4_write(struct plx_wr *w, const struct plx_ip4 *ip);

#endif
