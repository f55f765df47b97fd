// hpmask_aesni.c -- the leaf file with the AES instructions; see hpmask.h for why it looks like this.
//
// The functions carry their target attribute, so the file compiles for any x86-64 and plx_hp_aes_is_usable asks
// the processor. The lanes of a group are independent chains over the same rounds: the inner loop over
// lanes has a constant trip count and is unrolled by the compiler into eight aesenc in flight.

#include "crypto/hpmask.h"

#include <immintrin.h>
#include <string.h>

#define AESNI __attribute__((target("aes,sse4.1")))
#define LANES 8

bool plx_hp_aes_is_usable(void)
{
    return __builtin_cpu_supports("aes") && __builtin_cpu_supports("sse4.1");
}

// prev XOR its own prefixes: the word chain of the FIPS 197 key expansion.
AESNI static inline __m128i chain(__m128i prev, __m128i last)
{
    prev = _mm_xor_si128(prev, _mm_slli_si128(prev, 4));
    prev = _mm_xor_si128(prev, _mm_slli_si128(prev, 8));
    return _mm_xor_si128(prev, last);
}

// The last word of k through the S-box, in all four places, XOR add. In four equal columns ShiftRows changes nothing, so AESENCLAST does
// what AESKEYGENASSIST is for; that one is microcode, and four schedules in a row take three times as long with it.
AESNI static inline __m128i sub_word(__m128i k, __m128i add)
{
    return _mm_aesenclast_si128(_mm_shuffle_epi32(k, 0xff), add);
}

// The same, and its octets rotated by one first.
AESNI static inline __m128i sub_rot_word(__m128i k, __m128i rcon)
{
    return _mm_aesenclast_si128(_mm_shuffle_epi8(k, _mm_set1_epi32(0x0c0f0e0d)), rcon);
}

AESNI void plx_hp_aes128_expand(uint8_t *sched, const uint8_t key[16])
{
    __m128i *out = (__m128i *)sched, k = _mm_loadu_si128((const __m128i *)key);

    _mm_storeu_si128(&out[0], k);
#define ROUND(i, rcon)                                   \
    k = chain(k, sub_rot_word(k, _mm_set1_epi32(rcon))); \
    _mm_storeu_si128(&out[i], k)
    ROUND(1, 0x01);
    ROUND(2, 0x02);
    ROUND(3, 0x04);
    ROUND(4, 0x08);
    ROUND(5, 0x10);
    ROUND(6, 0x20);
    ROUND(7, 0x40);
    ROUND(8, 0x80);
    ROUND(9, 0x1b);
    ROUND(10, 0x36);
#undef ROUND
}

AESNI void plx_hp_aes256_expand(uint8_t *sched, const uint8_t key[32])
{
    __m128i *out = (__m128i *)sched;
    __m128i a = _mm_loadu_si128((const __m128i *)key), b = _mm_loadu_si128((const __m128i *)(key + 16));

    _mm_storeu_si128(&out[0], a);
    _mm_storeu_si128(&out[1], b);
#define EVEN(i, rcon)                                    \
    a = chain(a, sub_rot_word(b, _mm_set1_epi32(rcon))); \
    _mm_storeu_si128(&out[i], a)
#define ODD(i)                                      \
    b = chain(b, sub_word(a, _mm_setzero_si128())); \
    _mm_storeu_si128(&out[i], b)
    EVEN(2, 0x01);
    ODD(3);
    EVEN(4, 0x02);
    ODD(5);
    EVEN(6, 0x04);
    ODD(7);
    EVEN(8, 0x08);
    ODD(9);
    EVEN(10, 0x10);
    ODD(11);
    EVEN(12, 0x20);
    ODD(13);
    EVEN(14, 0x40);
#undef EVEN
#undef ODD
}

// One group of blocks side by side. A short group repeats its last job: within the latency of the rounds the spare
// lanes are free, and the loops keep a constant length.
AESNI static inline __attribute__((always_inline)) void group(struct plx_mask_job *jobs, const uint8_t *idx,
                                                              size_t count, int lanes, int rounds)
{
    const __m128i *key[LANES];
    __m128i block[LANES];

#pragma GCC unroll 8
    for (int l = 0; l < lanes; l++) {
        const struct plx_mask_job *j = &jobs[idx[(size_t)l < count ? (size_t)l : count - 1]];
        key[l] = (const __m128i *)j->key->sched;
        block[l] = _mm_xor_si128(_mm_loadu_si128((const __m128i *)j->sample), _mm_load_si128(key[l]));
    }
    for (int r = 1; r < rounds; r++) {
#pragma GCC unroll 8
        for (int l = 0; l < lanes; l++)
            block[l] = _mm_aesenc_si128(block[l], _mm_load_si128(key[l] + r));
    }
#pragma GCC unroll 8
    for (int l = 0; l < lanes; l++)
        block[l] = _mm_aesenclast_si128(block[l], _mm_load_si128(key[l] + rounds));
#pragma GCC unroll 8
    for (int l = 0; l < lanes; l++) {
        uint64_t low = (uint64_t)_mm_cvtsi128_si64(block[l]);
        memcpy(jobs[idx[(size_t)l < count ? (size_t)l : count - 1]].mask, &low, PLX_HP_MASK_LEN);
    }
}

AESNI static inline __attribute__((always_inline)) void groups(struct plx_mask_job *jobs, const uint8_t *idx,
                                                               size_t count, int rounds)
{
    for (; count >= LANES; idx += LANES, count -= LANES)
        group(jobs, idx, LANES, LANES, rounds);
    if (count > 2)
        group(jobs, idx, count, LANES, rounds);
    else if (count == 2)
        group(jobs, idx, 2, 2, rounds);
    else if (count == 1)
        group(jobs, idx, 1, 1, rounds);
}

AESNI void plx_hp_aes128_mask(struct plx_mask_job *jobs, const uint8_t *idx, size_t count)
{
    groups(jobs, idx, count, 10);
}

AESNI void plx_hp_aes256_mask(struct plx_mask_job *jobs, const uint8_t *idx, size_t count)
{
    groups(jobs, idx, count, 14);
}
