// cksum.c -- see cksum.h.

#include "net/cksum.h"

#include <string.h>

// Sixteen 32-bit words side by side, as wide as the processor has registers. Told to the compiler, because it does not see it
// everywhere: where this was inlined it summed word by word.
typedef uint32_t words __attribute__((vector_size(64)));

enum { BLOCKS_MAX = 32768 }; // blocks of 16-bit words that 32-bit sums hold

// The even and the odd 16-bit words are summed apart, so that no carry is lost.
static uint64_t blocks_add(const uint8_t *b, size_t count)
{
    words even = {0}, odd = {0};
    uint64_t sum = 0;

    for (size_t i = 0; i < count; i++) {
        words w;
        memcpy(&w, b + i * sizeof w, sizeof w);
        even += w & 0xffff;
        odd += w >> 16;
    }
    for (unsigned i = 0; i < 16; i++)
        sum += (uint64_t)even[i] + odd[i];
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
    for (; at + 4 <= len; at += 4) {
        uint32_t word;
        memcpy(&word, b + at, sizeof word);
        sum += word;
    }
    if (at < len) { // one to three octets: as if zeros followed
        uint32_t word = 0;
        memcpy(&word, b + at, len - at);
        sum += word;
    }
    return sum;
}

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
