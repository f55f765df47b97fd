// vneg.c -- see vneg.h for the idea.
//
// What goes out ends with a reserved version made from random bits (section 6.3: so that clients learn to ignore what they do not
// know); where it stands in the list follows from the same bits. Nothing here depends on state.

#include "quic/wire/vneg.h"

#include "crypto/keys.h"

const uint32_t plx_versions[] = {PLX_QUIC_V1};
const size_t plx_versions_count = sizeof plx_versions / sizeof *plx_versions;

static void versions_write(struct plx_wr *w, const uint32_t *versions, size_t count, uint32_t random)
{
    //= rfc9000 15 "0x?a?a?a?a"
    uint32_t reserved = (random & UINT32_C(0xf0f0f0f0)) | UINT32_C(0x0a0a0a0a);
    bool is_reserved_first = random & 1;

    if (is_reserved_first)
        plx_wr_u32(w, reserved);
    for (size_t i = 0; i < count; i++)
        plx_wr_u32(w, versions[i]);
    if (!is_reserved_first)
        plx_wr_u32(w, reserved);
}

static void header_write(struct plx_wr *w, uint32_t random, struct plx_span dcid, struct plx_span scid)
{
    //= rfc9000 17.2.1 "The value in the Unused field is set to an arbitrary value by the server"
    //= rfc9000 17.2.1 "servers SHOULD set the most significant bit of this field (0x40) to 1"
    plx_wr_u8(w, (uint8_t)(0xc0 | (random >> 1 & 0x3f)));
    plx_wr_u32(w, 0);
    plx_wr_u8(w, (uint8_t)dcid.len);
    plx_wr_bytes(w, dcid.p, dcid.len);
    plx_wr_u8(w, (uint8_t)scid.len);
    plx_wr_bytes(w, scid.p, scid.len);
}

bool plx_pkt_write_vneg(struct plx_wr *w, const struct plx_cid *dcid, const struct plx_cid *scid,
                        const uint32_t *versions, size_t count, uint32_t random)
{
    struct plx_wr t = *w;

    header_write(&t, random, (struct plx_span){dcid->bytes, dcid->len},
                 (struct plx_span){scid->bytes, scid->len});
    versions_write(&t, versions, count, random);
    if (t.is_full)
        return false;
    *w = t;
    return true;
}

bool plx_vneg_write_for(struct plx_wr *w, const uint8_t *dgram, size_t len, uint32_t random)
{
    struct plx_wr t = *w;
    struct plx_rd r = plx_rd_init(dgram, len);
    uint8_t first = plx_rd_u8(&r);
    uint32_t version = plx_rd_u32(&r);
    struct plx_span dcid = plx_rd_span(&r, plx_rd_u8(&r));
    struct plx_span scid = plx_rd_span(&r, plx_rd_u8(&r));

    //= rfc9000 6.1 "An endpoint MUST NOT send a Version Negotiation packet in response to receiving a Version Negotiation packet"
    if (r.is_short || !(first & 0x80) || version == 0)
        return false;
    //= rfc9000 17.2.1 "The server MUST include the value from the Source Connection ID field of the packet it receives in the Destination Connection ID field"
    header_write(&t, random, scid, dcid);
    versions_write(&t, plx_versions, plx_versions_count, random);
    if (t.is_full)
        return false;
    *w = t;
    return true;
}

enum plx_vneg_result plx_vneg_choose(const uint8_t *list, size_t len, uint32_t tried, uint32_t *chosen)
{
    enum plx_vneg_result result = PLX_VNEG_NONE;
    size_t best = plx_versions_count;

    if (len == 0 || len % 4 != 0)
        return PLX_VNEG_IGNORE;
    for (struct plx_rd r = plx_rd_init(list, len); plx_rd_left(&r) > 0;) {
        uint32_t version = plx_rd_u32(&r);
        //= rfc9000 6.2 "A client MUST discard a Version Negotiation packet that lists the QUIC version selected by the client"
        if (version == tried)
            return PLX_VNEG_IGNORE;
        for (size_t i = 0; i < best; i++) {
            if (plx_versions[i] == version) {
                best = i;
                *chosen = version;
                result = PLX_VNEG_RETRY;
            }
        }
    }
    return result;
}
