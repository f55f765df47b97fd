// hpmask_chacha20.c -- one block of ChaCha20 (RFC 8439 section 2.3) for header protection.
//
// A mask is the first five octets of a block whose counter and nonce come from the sample. No library offers
// one block without a context, and twenty lines of C are correct everywhere.

#include "crypto/hpmask.h"

#include <string.h>

static inline uint32_t rotl(uint32_t x, int n)
{
    return x << n | x >> (32 - n);
}

static inline void quarter(uint32_t *a, uint32_t *b, uint32_t *c, uint32_t *d)
{
    *a += *b;
    *d = rotl(*d ^ *a, 16);
    *c += *d;
    *b = rotl(*b ^ *c, 12);
    *a += *b;
    *d = rotl(*d ^ *a, 8);
    *c += *d;
    *b = rotl(*b ^ *c, 7);
}

void plx_hp_chacha20_mask(uint8_t mask[PLX_HP_MASK_LEN], const uint8_t *key,
                          const uint8_t sample[PLX_HP_SAMPLE_LEN])
{
    // "expand 32-byte k", the key, and counter and nonce straight from the sample (little-endian machine).
    uint32_t in[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574}, x[16];

    memcpy(in + 4, key, 32);
    //= rfc9001 5.4.4 "The first 4 bytes of the sampled ciphertext are the block counter"
    memcpy(in + 12, sample, PLX_HP_SAMPLE_LEN);
    memcpy(x, in, sizeof x);
    for (int i = 0; i < 10; i++) {
        quarter(&x[0], &x[4], &x[8], &x[12]);
        quarter(&x[1], &x[5], &x[9], &x[13]);
        quarter(&x[2], &x[6], &x[10], &x[14]);
        quarter(&x[3], &x[7], &x[11], &x[15]);
        quarter(&x[0], &x[5], &x[10], &x[15]);
        quarter(&x[1], &x[6], &x[11], &x[12]);
        quarter(&x[2], &x[7], &x[8], &x[13]);
        quarter(&x[3], &x[4], &x[9], &x[14]);
    }
    x[0] += in[0];
    x[1] += in[1];
    memcpy(mask, x, PLX_HP_MASK_LEN);
}
