// fuzz_packet.c -- packet headers, Version Negotiation and stateless resets from arbitrary octets.
//
// The first octet is the length of short connection IDs; what is parsed lies within the datagram, and a long header that is written
// again from its parts is the same header.

#include "../base/ops.h"
#include "quic/wire/packet.h"
#include "quic/wire/reset.h"
#include "quic/wire/vneg.h"

static void write_again(const uint8_t *p, const struct plx_pkt_hdr *h)
{
    uint8_t buf[2048];
    struct plx_wr w = plx_wr_init(buf, sizeof buf);
    struct plx_pkt_built b;
    struct plx_pkt_hdr again;

    if (h->type > PLX_PKT_HANDSHAKE || h->token_len > 1000)
        return;
    plx_check(plx_pkt_write_long(&w, (enum plx_pkt_type)h->type, h->version, &h->dcid, &h->scid,
                                 p + h->token_offset, h->token_len, 0, 1, &b));
    plx_check(plx_wr_skip(&w, 30) != NULL);
    plx_pkt_length_patch(&b, (size_t)(w.p - b.pn));
    plx_check(plx_pkt_parse(buf, (size_t)(w.p - buf), 8, &again) == PLX_PKT_PARSED);
    plx_check(again.type == h->type && again.version == h->version && again.token_len == h->token_len);
    plx_check(plx_cid_eq(&again.dcid, &h->dcid) && plx_cid_eq(&again.scid, &h->scid));
    plx_check(memcmp(buf + again.token_offset, p + h->token_offset, h->token_len) == 0);
}

static void datagram(const uint8_t *p, size_t len, uint8_t cid_len)
{
    while (len > 0) { // coalesced packets
        struct plx_pkt_hdr h;
        enum plx_pkt_parse result = plx_pkt_parse(p, len, cid_len, &h);
        plx_check(h.dcid.len <= PLX_CID_MAX && h.scid.len <= PLX_CID_MAX);
        for (unsigned i = h.dcid.len; i < PLX_CID_MAX; i++)
            plx_check(h.dcid.bytes[i] == 0);
        if (result != PLX_PKT_PARSED)
            return;
        plx_check(h.pkt_len <= len && h.pkt_len > 0);
        plx_check(h.pn_offset <= h.pkt_len);
        plx_check((size_t)h.token_offset + h.token_len <= h.pkt_len);
        if (h.type == PLX_PKT_VNEG) {
            uint32_t chosen;
            (void)plx_vneg_choose(p + h.pn_offset, (size_t)h.pkt_len - h.pn_offset, PLX_PKT_SHORT, &chosen);
        } else if (h.type != PLX_PKT_RETRY) {
            plx_check(h.pkt_len - h.pn_offset >= 20); // a sample can be taken
        }
        write_again(p, &h);
        p += h.pkt_len;
        len -= h.pkt_len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint8_t out[1024];
    struct plx_wr w = plx_wr_init(out, sizeof out);
    struct plx_pkt_hdr h;

    if (len == 0)
        return 0;
    uint8_t cid_len = data[0] % (PLX_CID_MAX + 1);
    data++, len--;
    datagram(data, len, cid_len);
    if (plx_vneg_write_for(&w, data, len, (uint32_t)len * 0x9e3779b9u)) {
        size_t out_len = (size_t)(w.p - out);
        enum plx_pkt_parse result = plx_pkt_parse(out, out_len, 8, &h);
        plx_check(result == PLX_PKT_PARSED || result == PLX_PKT_BAD_CID_LEN);
        plx_check(result != PLX_PKT_PARSED || h.type == PLX_PKT_VNEG);
    }
    if (len >= PLX_RESET_TOKEN_LEN)
        plx_check(plx_reset_is_match(data, len, data + len - PLX_RESET_TOKEN_LEN) ==
                  (len >= PLX_RESET_LEN_MIN));
    return 0;
}
