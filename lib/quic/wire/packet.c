// packet.c -- packet headers: the invariants first, then what version 1 makes of them.
//
// Reading follows the order of the octets: form bit, version, connection IDs (these three are the same in all versions, RFC 8999),
// and only for a version that we know the fixed bit, the type and the rest. A packet that cannot hold a sample for header
// protection is too short, so nobody behind this file has to look at lengths again before unmasking.
//
// Writing leaves two octets for Length whatever the payload will be: it is patched when the packet is full, and a datagram never
// needs more than 14 bits.

#include "quic/wire/packet.h"

#include "crypto/keys.h"

enum {
    FORM_LONG = 0x80,
    FIXED_BIT = 0x40,
    SPIN_BIT = 0x20,
    KEY_PHASE_BIT = 0x04,
    RETRY_TAG_LEN = 16,
    SAMPLE_END = 4 + 16, // the sample begins 4 octets behind the start of the number, RFC 9001 section 5.4.2
};

bool plx_version_is_supported(uint32_t version)
{
    return version == PLX_QUIC_V1;
}

// --- reading -----------------------------------------------------------------------------------------------

static bool cid_read(struct plx_rd *r, struct plx_cid *out)
{
    uint8_t len = plx_rd_u8(r);
    const uint8_t *p = plx_rd_bytes(r, len);

    *out = (struct plx_cid){0};
    if (p == NULL || len > PLX_CID_MAX)
        return false;
    out->len = len;
    memcpy(out->bytes, p, len);
    return true;
}

static enum plx_pkt_parse parse_short(const uint8_t *p, size_t len, uint8_t cid_len, struct plx_pkt_hdr *out)
{
    out->type = PLX_PKT_SHORT;
    if (len < 1u + cid_len)
        return PLX_PKT_TOO_SHORT;
    out->dcid.len = cid_len;
    memcpy(out->dcid.bytes, p + 1, cid_len);
    out->pn_offset = (uint16_t)(1 + cid_len);
    out->pkt_len = (uint16_t)len;
    //= rfc9000 17.3.1 "Packets containing a zero value for this bit are not valid packets in this version"
    if (!(*p & FIXED_BIT))
        return PLX_PKT_BAD_FIXED_BIT;
    if (len < (size_t)out->pn_offset + SAMPLE_END)
        return PLX_PKT_TOO_SHORT;
    return PLX_PKT_PARSED;
}

static enum plx_pkt_parse parse_retry(const uint8_t *p, struct plx_rd *r, struct plx_pkt_hdr *out)
{
    size_t left = plx_rd_left(r);

    //= rfc9000 17.2.5.2 "A client MUST discard a Retry packet with a zero-length Retry Token field"
    if (left <= RETRY_TAG_LEN)
        return PLX_PKT_TOO_SHORT;
    out->pn_offset = (uint16_t)(r->p - p);
    out->token_offset = out->pn_offset;
    out->token_len = (uint16_t)(left - RETRY_TAG_LEN);
    return PLX_PKT_PARSED;
}

// Behind the connection IDs of a version 1 packet.
static enum plx_pkt_parse parse_v1(const uint8_t *p, struct plx_rd *r, struct plx_pkt_hdr *out)
{
    out->type = out->first >> 4 & 3;
    if (out->type == PLX_PKT_RETRY)
        return parse_retry(p, r, out);
    if (out->type == PLX_PKT_INITIAL) {
        uint64_t token_len = plx_rd_varint(r);
        out->token_offset = (uint16_t)(r->p - p);
        if (token_len > plx_rd_left(r))
            return PLX_PKT_TOO_SHORT;
        out->token_len = (uint16_t)token_len;
        plx_rd_skip(r, token_len);
    }
    uint64_t length = plx_rd_varint(r);
    if (r->is_short || length > plx_rd_left(r) || length < SAMPLE_END)
        return PLX_PKT_TOO_SHORT;
    out->pn_offset = (uint16_t)(r->p - p);
    out->pkt_len = (uint16_t)(out->pn_offset + length);
    return PLX_PKT_PARSED;
}

enum plx_pkt_parse plx_pkt_parse(const uint8_t *p, size_t len, uint8_t short_cid_len, struct plx_pkt_hdr *out)
{
    *out = (struct plx_pkt_hdr){0};
    if (len == 0 || len > UINT16_MAX)
        return PLX_PKT_TOO_SHORT;
    out->first = *p;
    if (!(*p & FORM_LONG))
        return parse_short(p, len, short_cid_len, out);

    struct plx_rd r = plx_rd_init(p + 1, len - 1);
    out->version = plx_rd_u32(&r);
    bool is_known = out->version == 0 || plx_version_is_supported(out->version);
    bool is_fit = cid_read(&r, &out->dcid);
    is_fit &= cid_read(&r, &out->scid);
    if (r.is_short)
        return PLX_PKT_TOO_SHORT;
    //= rfc9000 17.2 "Endpoints that receive a version 1 long header with a value larger than 20 MUST drop the packet"
    if (is_known && !is_fit)
        return PLX_PKT_BAD_CID_LEN;
    out->pkt_len = (uint16_t)len;
    if (!is_known)
        return PLX_PKT_UNKNOWN_VERSION;
    if (out->version == 0) {
        out->type = PLX_PKT_VNEG;
        out->pn_offset = (uint16_t)(r.p - p);
        return PLX_PKT_PARSED;
    }
    if (!(*p & FIXED_BIT))
        return PLX_PKT_BAD_FIXED_BIT;
    return parse_v1(p, &r, out);
}

// --- packet numbers ----------------------------------------------------------------------------------------

// Appendix A.3. largest: the highest number processed so far, UINT64_MAX for none (then the next expected is 0).
uint64_t plx_pkt_number_expand(uint64_t truncated, uint8_t pn_len, uint64_t largest)
{
    uint64_t expected = largest + 1;
    uint64_t win = UINT64_C(1) << 8 * pn_len, half = win / 2;
    uint64_t candidate = (expected & ~(win - 1)) | truncated;

    if (candidate + half <= expected && candidate < (UINT64_C(1) << 62) - win)
        return candidate + win;
    if (candidate > expected + half && candidate >= win)
        return candidate - win;
    return candidate;
}

uint8_t plx_pkt_number_len(uint64_t pn, uint64_t largest_acked, uint64_t ahead)
{
    uint64_t unacked = pn - largest_acked; // UINT64_MAX: pn + 1, as appendix A.2 has it

    //= rfc9000 17.1 "able to represent more than twice as large a range as the difference between"
    //= rfc9000 17.1 "to be recovered even if the packet arrives after packets that are"
    unsigned bits = plx_log2_ceil(unacked > ahead + 2 ? unacked : ahead + 2) + 1;
    unsigned len = (bits + 7) / 8;
    return (uint8_t)(len > 4 ? 4 : len);
}

static void number_write(struct plx_wr *w, uint64_t pn, uint8_t pn_len)
{
    uint8_t *to = plx_wr_skip(w, pn_len);

    plx_check(pn_len >= 1);
    plx_check(pn_len <= 4);
    for (unsigned i = pn_len; to != NULL && i-- > 0; pn >>= 8)
        to[i] = (uint8_t)pn;
}

// --- writing -----------------------------------------------------------------------------------------------

static void long_begin_write(struct plx_wr *w, uint8_t first, uint32_t version, const struct plx_cid *dcid,
                             const struct plx_cid *scid)
{
    plx_wr_u8(w, first);
    plx_wr_u32(w, version);
    plx_wr_u8(w, dcid->len);
    plx_wr_bytes(w, dcid->bytes, dcid->len);
    plx_wr_u8(w, scid->len);
    plx_wr_bytes(w, scid->bytes, scid->len);
}

bool plx_pkt_write_long(struct plx_wr *w, enum plx_pkt_type type, uint32_t version,
                        const struct plx_cid *dcid, const struct plx_cid *scid, const uint8_t *token,
                        size_t token_len, uint64_t pn, uint8_t pn_len, struct plx_pkt_built *out)
{
    struct plx_wr t = *w;

    plx_check(type <= PLX_PKT_HANDSHAKE);
    plx_check(type == PLX_PKT_INITIAL || token_len == 0);
    long_begin_write(&t, (uint8_t)(FORM_LONG | FIXED_BIT | type << 4 | (pn_len - 1)), version, dcid, scid);
    if (type == PLX_PKT_INITIAL) {
        plx_wr_varint(&t, token_len);
        plx_wr_bytes(&t, token, token_len);
    }
    uint8_t *length_at = plx_wr_skip(&t, 2);
    uint8_t *pn_at = t.p;
    number_write(&t, pn, pn_len);
    if (t.is_full)
        return false;
    *out = (struct plx_pkt_built){.first = w->p, .pn = pn_at, .length_at = length_at, .pn_len = pn_len};
    *w = t;
    return true;
}

void plx_pkt_length_patch(const struct plx_pkt_built *b, size_t pn_and_payload_len)
{
    plx_check(pn_and_payload_len < 1u << 14);
    plx_store_be16(b->length_at, (uint16_t)(0x4000 | pn_and_payload_len));
}

// Where there may not be room for it.
__attribute__((noinline)) static bool short_write_tight(struct plx_wr *w, const struct plx_cid *dcid,
                                                        uint8_t first, uint64_t pn, uint8_t pn_len,
                                                        struct plx_pkt_built *out)
{
    struct plx_wr t = *w;

    plx_wr_u8(&t, first);
    plx_wr_bytes(&t, dcid->bytes, dcid->len);
    uint8_t *pn_at = t.p;
    number_write(&t, pn, pn_len);
    if (t.is_full)
        return false;
    *out = (struct plx_pkt_built){.first = w->p, .pn = pn_at, .length_at = NULL, .pn_len = pn_len};
    *w = t;
    return true;
}

// As a rule there is room for the longest: then all that an ID may be is copied, and as much as a number may be stored, and what is too much
// of either is written over by what follows.
bool plx_pkt_write_short(struct plx_wr *w, const struct plx_cid *dcid, bool spin, bool key_phase, uint64_t pn,
                         uint8_t pn_len, struct plx_pkt_built *out)
{
    uint8_t *p = w->p, first = (uint8_t)(FIXED_BIT | (spin ? SPIN_BIT : 0) | (key_phase ? KEY_PHASE_BIT : 0) |
                                         (pn_len - 1));

    plx_check(pn_len >= 1 && pn_len <= 4);
    if (__builtin_expect(plx_wr_left(w) < 1 + PLX_CID_MAX + 4, 0))
        return short_write_tight(w, dcid, first, pn, pn_len, out);
    *p = first;
    memcpy(p + 1, dcid->bytes, PLX_CID_MAX);
    p += 1 + dcid->len;
    plx_store_be32(p, (uint32_t)pn << (32 - 8 * pn_len));
    *out = (struct plx_pkt_built){.first = w->p, .pn = p, .length_at = NULL, .pn_len = pn_len};
    w->p = p + pn_len;
    return true;
}

bool plx_pkt_write_retry(struct plx_wr *w, uint32_t version, const struct plx_cid *dcid,
                         const struct plx_cid *scid, const uint8_t *token, size_t token_len,
                         uint8_t unused_bits)
{
    struct plx_wr t = *w;

    long_begin_write(&t, (uint8_t)(FORM_LONG | FIXED_BIT | PLX_PKT_RETRY << 4 | (unused_bits & 0x0f)),
                     version, dcid, scid);
    plx_wr_bytes(&t, token, token_len);
    if (t.is_full)
        return false;
    *w = t;
    return true;
}
