// squeeze.c -- see squeeze.h.
//
//   text   = bitmap of groups that differ, then those groups
//   group  = octet with a bit per word that differs, then those words
//   word   = octet: first differing octet (3 bits) and how many more follow (3 bits), then the octets

#include "base/squeeze.h"

#include <string.h>

#include "base/check.h"

enum { GROUP = 8 };

static size_t map_len(size_t words)
{
    return (words / GROUP + 7) / 8;
}

static uint8_t *put_word(uint8_t *p, uint64_t d)
{
    unsigned lo = (unsigned)__builtin_ctzll(d) / 8, hi = 7 - (unsigned)__builtin_clzll(d) / 8;

    *p++ = (uint8_t)(lo | (hi - lo) << 3);
    d >>= 8 * lo;
    memcpy(p, &d, sizeof d);
    return p + (hi - lo + 1);
}

size_t plx_squeeze(const uint64_t *v, const uint64_t *pattern, size_t words, uint8_t *out)
{
    uint8_t *map = out, *p = out + map_len(words);

    plx_check(words % GROUP == 0);
    memset(map, 0, map_len(words));
    for (size_t g = 0; g < words / GROUP; g++) {
        const uint64_t *a = v + g * GROUP, *b = pattern + g * GROUP;
        uint64_t d[GROUP], any = 0;
        for (unsigned i = 0; i < GROUP; i++)
            any |= d[i] = a[i] ^ b[i];
        if (any == 0)
            continue;
        map[g / 8] |= (uint8_t)(1u << g % 8);
        uint8_t *which = p++;
        *which = 0;
        for (unsigned i = 0; i < GROUP; i++)
            if (d[i] != 0) {
                *which |= (uint8_t)(1u << i);
                p = put_word(p, d[i]);
            }
    }
    return (size_t)(p - out);
}

size_t plx_unsqueeze(uint64_t *v, const uint64_t *pattern, size_t words, const uint8_t *in)
{
    const uint8_t *map = in, *p = in + map_len(words);

    plx_check(words % GROUP == 0);
    memcpy(v, pattern, words * sizeof *v);
    for (size_t m = 0; m < map_len(words); m++)
        for (unsigned groups = map[m]; groups != 0; groups &= groups - 1) {
            uint64_t *to = v + (m * 8 + (unsigned)__builtin_ctz(groups)) * GROUP;
            for (unsigned which = *p++; which != 0; which &= which - 1) {
                unsigned head = *p++, shift = 8 * (head & 7), more = head >> 3 & 7;
                uint64_t d;
                memcpy(&d, p, sizeof d);
                d &= UINT64_MAX >> (56 - 8 * more);
                to[__builtin_ctz(which)] ^= d << shift;
                p += more + 1;
            }
        }
    return (size_t)(p - in);
}
