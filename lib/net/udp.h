// udp.h -- UDP headers (RFC 768) and their checksum over both families.
//
// Over IPv4 a checksum of zero means that the sender made none (RFC 768); over IPv6 it is an error (RFC 8200 section
// 8.1). A computed zero is sent as all ones in both.

#ifndef PLX_NET_UDP_H
#define PLX_NET_UDP_H

#include "base/cursor.h"
#include "net/cksum.h"
#include "net/ip4.h"
#include "net/verdict.h"

enum { PLX_UDP_LEN = 8 };

struct plx_udp {
    uint16_t src, dst;
    uint16_t len; // header and payload
    uint16_t check;
};

// Reads the header and leaves r over exactly the payload. `pseudo` is the pseudo-header's sum over addresses and
// protocol, without the length; is_ip6 forbids the zero checksum; a packet whose checksum the hardware has verified
// passes is_verified. FINE, or DROP_short, DROP_bad_header, DROP_bad_checksum.
static inline enum plx_net_verdict plx_udp_read(struct plx_rd *r, struct plx_udp *udp, uint64_t pseudo,
                                                bool is_ip6, bool is_verified)
{
    const uint8_t *start = r->p;
    size_t have = plx_rd_left(r);

    udp->src = plx_rd_u16(r);
    udp->dst = plx_rd_u16(r);
    udp->len = plx_rd_u16(r);
    udp->check = plx_rd_u16(r);
    if (r->is_short || udp->len > have)
        return PLX_NET_DROP_short;
    if (udp->len < PLX_UDP_LEN || udp->src == 0)
        return PLX_NET_DROP_bad_header; // port 0 asks for no answer: nobody speaks QUIC from it
    if (udp->check == 0 && is_ip6)
        return PLX_NET_DROP_bad_checksum;
    if (udp->check != 0 && !is_verified &&
        plx_cksum_end(plx_cksum_add(plx_cksum_add16(pseudo, udp->len), start, udp->len)) != 0)
        return PLX_NET_DROP_bad_checksum;
    *r = plx_rd_init(r->p, (size_t)udp->len - PLX_UDP_LEN);
    return PLX_NET_FINE;
}

static inline void plx_udp_write(struct plx_wr *w, const struct plx_udp *udp)
{
    plx_wr_u16(w, udp->src);
    plx_wr_u16(w, udp->dst);
    plx_wr_u16(w, udp->len);
    plx_wr_u16(w, udp->check);
}

// The pseudo-header's sum over IPv4 (RFC 768), without the length.
static inline uint64_t plx_ip4_pseudo(const uint8_t src[4], const uint8_t dst[4], uint8_t proto)
{
    return plx_cksum_add16(plx_cksum_add_words(plx_cksum_add_words(0, src, 1), dst, 1), proto);
}

#endif
