// cidcodec.h -- what a connection ID of ours says to those who steer packets: which core owns it.
//
// The plain codec, 8 octets:  octet 0 = 1 bit process epoch, 7 bits core | 7 unpredictable octets.
// A NIC can match the first octet; the epoch tells two processes of a hot restart apart. Nothing is hidden from an observer but the
// link between the IDs of one connection (RFC 9000 section 5.1: IDs must not let it correlate them; a core is shared by
// very many). Other codecs (QUIC-LB) stand behind the same table of operations.

#ifndef PLX_QUIC_CIDCODEC_H
#define PLX_QUIC_CIDCODEC_H

#include "quic/wire/packet.h"

struct plx_cid_codec;

struct plx_cid_where {
    uint8_t core, epoch;
};

struct plx_cid_codec_ops {
    const char *name;
    // A new ID for a core. random: PLX_CID_MAX unpredictable octets.
    void (*make)(const struct plx_cid_codec *c, uint8_t core, const uint8_t random[PLX_CID_MAX],
                 struct plx_cid *out);
    // Whose it is. False: not an ID that this codec made (a client's first choice, or noise).
    bool (*read)(const struct plx_cid_codec *c, const uint8_t *cid, size_t len, struct plx_cid_where *out);
};

struct plx_cid_codec {
    const struct plx_cid_codec_ops *ops;
    uint8_t len;   // of every ID that it makes
    uint8_t epoch; // 0 or 1: this process's
};

enum { PLX_CID_CORES_MAX = 128 };

extern const struct plx_cid_codec_ops plx_cid_codec_plain;
// len: at least 5 (RFC 9000 wants unpredictability enough for the peer's tables; 8 is what we issue).
void plx_cid_codec_init_plain(struct plx_cid_codec *c, uint8_t len, uint8_t epoch);

static inline void plx_cid_make(const struct plx_cid_codec *c, uint8_t core,
                                const uint8_t random[PLX_CID_MAX], struct plx_cid *out)
{
    c->ops->make(c, core, random, out);
}

#endif
