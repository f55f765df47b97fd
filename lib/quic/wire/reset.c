// reset.c -- see reset.h for the idea.

#include "quic/wire/reset.h"

#include "crypto/keys.h"

void plx_reset_token(const uint8_t key[PLX_RESET_KEY_LEN], const struct plx_cid *cid,
                     uint8_t token[PLX_RESET_TOKEN_LEN])
{
    uint8_t mac[32];

    // HKDF-Extract is HMAC(salt, input): section 10.3.2 suggests just that, with the static key as the key.
    plx_hkdf_extract(key, PLX_RESET_KEY_LEN, cid->bytes, cid->len, mac);
    memcpy(token, mac, PLX_RESET_TOKEN_LEN);
}

size_t plx_reset_write(struct plx_wr *w, size_t trigger_len, const uint8_t token[PLX_RESET_TOKEN_LEN],
                       const uint8_t *random)
{
    //= rfc9000 10.3.3 "An endpoint MUST ensure that every Stateless Reset that it sends is smaller than the packet that triggered it"
    if (trigger_len <= PLX_RESET_LEN_MIN)
        return 0;
    size_t len = trigger_len - 1 < PLX_RESET_LEN_MAX ? trigger_len - 1 : PLX_RESET_LEN_MAX;
    uint8_t *p = plx_wr_skip(w, len);
    if (p == NULL)
        return 0;
    memcpy(p, random, len - PLX_RESET_TOKEN_LEN);
    //= rfc9000 10.3 "The remainder of the first byte and an arbitrary number of bytes following it are set to values that SHOULD be indistinguishable from random"
    p[0] = (uint8_t)((p[0] & 0x3f) | 0x40); // a short header
    memcpy(p + len - PLX_RESET_TOKEN_LEN, token, PLX_RESET_TOKEN_LEN);
    return len;
}

bool plx_reset_is_match(const uint8_t *dgram, size_t len, const uint8_t token[PLX_RESET_TOKEN_LEN])
{
    if (len < PLX_RESET_LEN_MIN)
        return false;
    //= rfc9000 10.3.1 "endpoints MUST perform the comparison without leaking information about the value of the token"
    return plx_bytes_equal(dgram + len - PLX_RESET_TOKEN_LEN, token, PLX_RESET_TOKEN_LEN);
}
