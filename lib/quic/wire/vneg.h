// vneg.h -- Version Negotiation packets, RFC 9000 sections 6 and 17.2.1, for both ends.
//
// A server answers a version that it does not know with the list of those it does, from the invariants of the packet alone
// (RFC 8999), whose connection IDs may be longer than version 1 allows: hence plx_vneg_write_for() works on the datagram. A client
// believes such a packet only if it did not offer what the client tried: see plx_vneg_choose(). plx_pkt_write_vneg() of
// packet.h is the same for IDs that are already parsed.

#ifndef PLX_QUIC_VNEG_H
#define PLX_QUIC_VNEG_H

#include "quic/wire/packet.h"

// The versions that we speak, best first.
extern const uint32_t plx_versions[];
extern const size_t plx_versions_count;

// The answer to a long-header datagram of an unknown version. random: unpredictable bits. False: the datagram is no such thing,
// or w has too little room; *w is unchanged.
bool plx_vneg_write_for(struct plx_wr *w, const uint8_t *dgram, size_t len, uint32_t random);

enum plx_vneg_result {
    PLX_VNEG_IGNORE, // malformed, or it lists the version we tried: discard it (section 6.2)
    PLX_VNEG_NONE,   // no version in common: give up
    PLX_VNEG_RETRY,  // *chosen is one that we both speak
};
// list: the packet behind its header (hdr.pn_offset to hdr.pkt_len). tried: the version of our first packet.
enum plx_vneg_result plx_vneg_choose(const uint8_t *list, size_t len, uint32_t tried, uint32_t *chosen);

#endif
