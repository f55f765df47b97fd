// packet.h -- QUIC packet headers, RFC 9000 section 17 and the invariants of RFC 8999.
//
// A header is parsed into offsets and small copies, never into pointers that outlive the datagram. Parsing stops where header
// protection begins: packet number and key phase are read after the mask is known (plx_pkt_number_read).

#ifndef PLX_QUIC_PACKET_H
#define PLX_QUIC_PACKET_H

#include "base/cursor.h"

enum { PLX_CID_MAX = 20, PLX_CID_LEN = 8 /* length of every connection ID that we issue */ };

struct plx_cid {
    uint8_t len;
    uint8_t bytes[PLX_CID_MAX]; // octets behind len are zero
};

static inline bool plx_cid_eq(const struct plx_cid *a, const struct plx_cid *b)
{
    return __builtin_memcmp(a, b, sizeof *a) == 0;
}

enum plx_pkt_type {
    PLX_PKT_INITIAL,
    PLX_PKT_ZERO_RTT,
    PLX_PKT_HANDSHAKE,
    PLX_PKT_RETRY,
    PLX_PKT_VNEG,
    PLX_PKT_SHORT
};

struct plx_pkt_hdr {
    uint8_t type;  // enum plx_pkt_type
    uint8_t first; // first octet as received (low bits still masked)
    // where the (masked) packet number begins; RETRY: offset of the token; VNEG: of the version list
    uint16_t pn_offset;
    // octets of the datagram that belong to this packet (long header: Length; else all that is left)
    uint16_t pkt_len;
    uint16_t token_offset, token_len; // INITIAL; RETRY: token without the integrity tag
    uint32_t version;                 // 0 for SHORT and VNEG
    struct plx_cid dcid, scid;
};

enum plx_pkt_parse {
    PLX_PKT_PARSED,
    PLX_PKT_TOO_SHORT,       // truncated, or a Length beyond the datagram
    PLX_PKT_BAD_FIXED_BIT,   // RFC 9000 section 17.2: discard
    PLX_PKT_BAD_CID_LEN,     // longer than 20 in a version we know
    PLX_PKT_UNKNOWN_VERSION, // version, dcid, scid are set (invariants): answer with Version Negotiation
};

// One packet at the front of p[0, len). Short headers carry a connection ID of short_cid_len octets.
// A packet too short for a sample of header protection is TOO_SHORT; of a short header type and dcid are set even then, because a stateless
// reset may look like that. UNKNOWN_VERSION: an ID longer than PLX_CID_MAX is left empty; plx_vneg_write_for() answers those too.
enum plx_pkt_parse plx_pkt_parse(const uint8_t *p, size_t len, uint8_t short_cid_len,
                                 struct plx_pkt_hdr *out);

// After the mask: pn_len from the first octet, the truncated number, and its expansion (RFC 9000 appendix A.3).
uint64_t plx_pkt_number_expand(uint64_t truncated, uint8_t pn_len, uint64_t largest);
// How many octets (1..4) a number needs when largest_acked was acknowledged last (A.2). largest_acked UINT64_MAX: none yet. ahead: so many
// packets sent later may overtake this one, and it is still understood (17.1).
uint8_t plx_pkt_number_len(uint64_t pn, uint64_t largest_acked, uint64_t ahead);

// Writers: the header with a packet number of pn_len octets in clear. Long: length_at is where a 2-octet Length is patched in
// (plx_pkt_length_patch) once the payload is known.
struct plx_pkt_built {
    uint8_t *first, *pn, *length_at;
    uint8_t pn_len;
};
bool plx_pkt_write_long(struct plx_wr *w, enum plx_pkt_type type, uint32_t version,
                        const struct plx_cid *dcid, const struct plx_cid *scid, const uint8_t *token,
                        size_t token_len, uint64_t pn, uint8_t pn_len, struct plx_pkt_built *out);
bool plx_pkt_write_short(struct plx_wr *w, const struct plx_cid *dcid, bool spin, bool key_phase, uint64_t pn,
                         uint8_t pn_len, struct plx_pkt_built *out);
void plx_pkt_length_patch(const struct plx_pkt_built *b, size_t pn_and_payload_len); // <= 16383
// Retry without its tag (17.2.5), and Version Negotiation (17.2.1; random gives the unused bits and a reserved version).
bool plx_pkt_write_retry(struct plx_wr *w, uint32_t version, const struct plx_cid *dcid,
                         const struct plx_cid *scid, const uint8_t *token, size_t token_len,
                         uint8_t unused_bits);
bool plx_pkt_write_vneg(struct plx_wr *w, const struct plx_cid *dcid, const struct plx_cid *scid,
                        const uint32_t *versions, size_t count, uint32_t random);
bool plx_version_is_supported(uint32_t version);

#endif
