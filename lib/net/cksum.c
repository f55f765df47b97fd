// cksum.c -- see cksum.h.

#include "net/cksum.h"

#include <string.h>

uint64_t plx_cksum_add(uint64_t sum, const void *p, size_t len)
{
    const uint8_t *b = p;
    size_t at = 0;

    for (; at + 64 <= len; at += 64) { // sixteen words: one load and two widening adds with AVX-512
        uint32_t word[16];
        memcpy(word, b + at, sizeof word);
        for (unsigned i = 0; i < 16; i++)
            sum += word[i];
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
