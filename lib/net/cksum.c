// cksum.c -- see cksum.h.

#include "net/cksum.h"

#include <string.h>
#if defined(__AVX512BW__) && defined(__BMI2__)
#include <immintrin.h>
#endif

// Sixteen 32-bit words side by side, as wide as the processor has registers, and four of them for what is left. Told to the compiler,
// because it does not see it everywhere: where this was inlined it summed word by word.
typedef uint32_t words __attribute__((vector_size(64)));
typedef uint32_t words4 __attribute__((vector_size(16)));
typedef uint64_t longs __attribute__((vector_size(64)));
typedef uint64_t longs4 __attribute__((vector_size(32)));
typedef uint64_t longs2 __attribute__((vector_size(16)));

enum { BLOCKS_MAX = 32768 }; // blocks of 16-bit words that 32-bit sums hold, even and odd ones together
_Static_assert(UINT64_C(2) * BLOCKS_MAX * 0xffff <= UINT32_MAX, "a sum of both fits 32 bits");

static inline uint64_t across(
    const words *sum) // by address: who has no such registers has no way to pass them
{
    longs both = (longs)*sum;
    longs eight = (both & 0xffffffff) + (both >> 32);
    longs4 four =
        __builtin_shufflevector(eight, eight, 0, 1, 2, 3) + __builtin_shufflevector(eight, eight, 4, 5, 6, 7);
    longs2 two = __builtin_shufflevector(four, four, 0, 1) + __builtin_shufflevector(four, four, 2, 3);
    return two[0] + two[1];
}

#if defined(__AVX512BW__) && defined(__BMI2__)

// What is left after whole blocks is one more of them, of which only so many octets are there: the rest reads as zeros, and is not touched.
// The even and the odd 16-bit words are summed apart, so that no carry is lost.
static inline uint64_t blocks_add(const uint8_t *b, size_t len)
{
    words even = {0}, odd = {0};

    for (; len >= sizeof(words); b += sizeof(words), len -= sizeof(words)) {
        words w;
        memcpy(&w, b, sizeof w);
        even += w & 0xffff;
        odd += w >> 16;
    }
    words w = (words)_mm512_maskz_loadu_epi8(_bzhi_u64(UINT64_MAX, (unsigned)len), b);
    even += (w & 0xffff) + odd + (w >> 16);
    return across(&even);
}

uint64_t plx_cksum_add(uint64_t sum, const void *p, size_t len)
{
    const uint8_t *b = p;

    for (; len > BLOCKS_MAX; b += BLOCKS_MAX, len -= BLOCKS_MAX)
        sum += blocks_add(b, BLOCKS_MAX);
    return sum + blocks_add(b, len);
}

#else

// The even and the odd 16-bit words are summed apart, so that no carry is lost.
static uint64_t blocks_add(const uint8_t *b, size_t count)
{
    words even = {0}, odd = {0};

    for (size_t i = 0; i < count; i++) {
        words w;
        memcpy(&w, b + i * sizeof w, sizeof w);
        even += w & 0xffff;
        odd += w >> 16;
    }
    even += odd;
    return across(&even);
}

// Less than a block.
static inline uint64_t rest_add(const uint8_t *b, size_t len)
{
    uint64_t sum = 0;
    size_t at = 0;

    if (len >= sizeof(words4)) {
        words4 four = {0};
        for (; at + sizeof four <= len; at += sizeof four) {
            words4 w;
            memcpy(&w, b + at, sizeof w);
            four += (w & 0xffff) + (w >> 16);
        }
        longs2 two = ((longs2)four & 0xffffffff) + ((longs2)four >> 32);
        sum = two[0] + two[1];
    }
    for (; at + 4 <= len; at += 4) {
        uint32_t word;
        memcpy(&word, b + at, sizeof word);
        sum += word;
    }
    if ((len & 2) != 0) {
        uint16_t half;
        memcpy(&half, b + at, sizeof half);
        sum += half;
        at += 2;
    }
    if ((len & 1) != 0) { // as if a zero followed
        uint16_t half = 0;
        memcpy(&half, b + at, 1);
        sum += half;
    }
    return sum;
}

uint64_t plx_cksum_add(uint64_t sum, const void *p, size_t len)
{
    const uint8_t *b = p;
    size_t at = 0;

    while (len - at >= sizeof(words)) {
        size_t count = (len - at) / sizeof(words);
        count = count < BLOCKS_MAX ? count : BLOCKS_MAX;
        sum += blocks_add(b + at, count);
        at += count * sizeof(words);
    }
    return sum + rest_add(b + at, len - at);
}

#endif

uint16_t plx_cksum_plain(const void *p, size_t len)
{
    const uint8_t *b = p;
    uint32_t sum = 0;

    for (size_t at = 0; at < len; at++) {
        sum += (uint32_t)b[at] << (at % 2 == 0 ? 8 : 0);
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)~sum;
}
