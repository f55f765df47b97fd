// backends.h -- what the pieces of this folder share with each other and with nobody else.

#ifndef PLX_CRYPTO_BACKENDS_H
#define PLX_CRYPTO_BACKENDS_H

#include "crypto/aead.h"

// Each answers "may I be used, and as what": NULL when not usable here, with the reason in describe.
// isa: "" for the best one, else "sse", "avx2", "avx512".
const struct plx_aead_backend *plx_aead_ref_pick(char *describe, size_t describe_len);
const struct plx_aead_backend *plx_aead_ipsecmb_pick(const char *isa, char *describe, size_t describe_len);

// The nonce of RFC 9001 section 5.3: the IV with the packet number XORed into its last eight octets.
static inline void plx_aead_nonce(uint8_t nonce[PLX_AEAD_IV_LEN], const uint8_t iv[PLX_AEAD_IV_LEN],
                                  uint64_t pn)
{
    //= rfc9001 5.3 "The exclusive OR of the padded packet number and the IV forms the AEAD nonce"
    uint32_t high;
    uint64_t low;
    __builtin_memcpy(&high, iv, sizeof high);
    __builtin_memcpy(&low, iv + 4, sizeof low);
    low ^= __builtin_bswap64(pn);
    __builtin_memcpy(nonce, &high, sizeof high);
    __builtin_memcpy(nonce + 4, &low, sizeof low);
}

// Equal without a branch that depends on where they differ.
static inline bool plx_aead_tag_equal(const uint8_t a[PLX_AEAD_TAG_LEN], const uint8_t b[PLX_AEAD_TAG_LEN])
{
    uint64_t x[2], y[2];
    __builtin_memcpy(x, a, sizeof x);
    __builtin_memcpy(y, b, sizeof y);
    return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0;
}

#endif
