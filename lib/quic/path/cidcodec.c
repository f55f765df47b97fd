// cidcodec.c -- the plain codec; see cidcodec.h for the idea.
//
// Everything behind the first octet is the caller's randomness, untouched: what makes IDs unguessable and distinct is the generator, and
// what makes them collide with probability nobody sees is their length.

#include "quic/path/cidcodec.h"

#include "base/check.h"

enum { EPOCH_SHIFT = 7, CORE_MASK = 0x7f, LEN_MIN = 5 };

static void plain_make(const struct plx_cid_codec *c, uint8_t core, const uint8_t random[PLX_CID_MAX],
                       struct plx_cid *out)
{
    plx_check(core < PLX_CID_CORES_MAX);
    *out = (struct plx_cid){.len = c->len};
    memcpy(out->bytes, random, c->len);
    out->bytes[0] = (uint8_t)(c->epoch << EPOCH_SHIFT | core);
}

static bool plain_read(const struct plx_cid_codec *c, const uint8_t *cid, size_t len,
                       struct plx_cid_where *out)
{
    if (len != c->len) // anybody may have made it: the caller looks it up, and forwards only what it finds
        return false;
    *out = (struct plx_cid_where){.core = cid[0] & CORE_MASK, .epoch = cid[0] >> EPOCH_SHIFT};
    return true;
}

const struct plx_cid_codec_ops plx_cid_codec_plain = {"plain", plain_make, plain_read};

void plx_cid_codec_init_plain(struct plx_cid_codec *c, uint8_t len, uint8_t epoch)
{
    plx_check(len >= LEN_MIN);
    plx_check(len <= PLX_CID_MAX);
    plx_check(epoch <= 1);
    *c = (struct plx_cid_codec){.ops = &plx_cid_codec_plain, .len = len, .epoch = epoch};
}
