// squeeze.c -- see squeeze.h.
//
//   text  = how many words differ (2 octets, little-endian), an octet of shape for each of them, then what each has
//   shape = how many octets follow the first that differs (3 bits), which one that is (3 bits), words since the one before (2 bits)
//   what  = words since the one before, if that is more than three (the shape has 0 then), and the octets
//
// The shapes stand together because reading waits for nothing then: where the next word's octets are depends on shapes alone, and the loop
// has no branch but its ends. With bitmaps, and each shape before its octets, half of the time went into branches guessed wrong.

#include "base/squeeze.h"

#include <stdbool.h>
#include <string.h>

#include "base/check.h"

enum { HEAD_LEN = 2, NEAR = 3, FAR = 255, GROUP = 4, WORDS_MAX = UINT16_MAX };

// The octets of a word from the first that differs to the last. Writes eight.
static uint8_t *put_word(uint8_t *p, uint64_t d, uint8_t *shape, size_t gap)
{
    unsigned lo = (unsigned)__builtin_ctzll(d) / 8, hi = 7 - (unsigned)__builtin_clzll(d) / 8;

    *shape = (uint8_t)((hi - lo) | lo << 3 | (gap > NEAR ? 0 : gap << 6));
    if (gap > NEAR)
        *p++ = (uint8_t)gap;
    d >>= 8 * lo;
    memcpy(p, &d, sizeof d);
    return p + (hi - lo + 1);
}

size_t plx_squeeze(const uint64_t *v, const uint64_t *pattern, size_t words, uint8_t *out)
{
    uint8_t *shape = out + HEAD_LEN, *what = shape + words, *p = what;
    size_t next = 0; // words that have been dealt with

    plx_check(words <= WORDS_MAX);
    for (size_t i = 0; i < words; i++) {
        uint64_t d = v[i] ^ pattern[i];
        if (d == 0)
            continue;
        for (; i + 1 - next > FAR; next += FAR) { // a word on the way that does not differ, as if it did
            *shape++ = 0;
            *p++ = FAR;
            *p++ = 0;
        }
        p = put_word(p, d, shape++, i + 1 - next);
        next = i + 1;
    }
    size_t count = (size_t)(shape - out) - HEAD_LEN, len = (size_t)(p - what);
    out[0] = (uint8_t)count;
    out[1] = (uint8_t)(count >> 8);
    memmove(shape, what, len);
    return HEAD_LEN + count + len;
}

void plx_unsqueeze_begin(struct plx_unsqueeze *u, const uint64_t *pattern, const uint8_t *in)
{
    const uint8_t *shape = in + HEAD_LEN, *end = shape + (in[0] | (size_t)in[1] << 8);

    *u = (struct plx_unsqueeze){.pattern = pattern, .shape = shape, .shape_end = end, .octets = end};
}

// The words that differ as far as the end of the next piece, whose place is v. That is written only: it may be far away.
static inline void piece_read(struct plx_unsqueeze *u, uint64_t *v, size_t words, bool is_wanted)
{
    static const uint64_t low[8] = {0xff,         0xffff,         0xffffff,         0xffffffff,
                                    0xffffffffff, 0xffffffffffff, 0xffffffffffffff, UINT64_MAX};
    const uint8_t *shape = u->shape, *end = u->shape_end, *p = u->octets;
    const uint64_t *pattern = u->pattern;
    size_t next = u->next, at = u->at, to_here = at + words;

    for (; shape < end; shape++) {
        unsigned near = *shape >> 6, is_far = near == 0, more = *shape & 7;
        size_t to = next + (near | (*p & (0 - is_far))); // no branch: it would be guessed wrong
        uint64_t d;
        if (to > to_here)
            break;
        next = to;
        p += is_far;
        memcpy(&d, p, sizeof d);
        p += more + 1;
        if (is_wanted)
            v[next - 1 - at] = pattern[next - 1] ^ (d & low[more]) << (*shape & 0x38);
    }
    u->shape = shape;
    u->octets = p;
    u->next = next;
    u->at = to_here;
}

typedef uint64_t group __attribute__((vector_size(8 * GROUP), aligned(8)));

// memcpy() would take an instruction for it that waits until all of the memory has come.
static inline void copy(uint64_t *to, const uint64_t *from, size_t words)
{
    for (; words >= GROUP; words -= GROUP, to += GROUP, from += GROUP)
        *(group *)to = *(const group *)from;
    for (; words > 0; words--)
        *to++ = *from++;
}

void plx_unsqueeze(struct plx_unsqueeze *u, void *out, size_t words)
{
    copy(out, u->pattern + u->at, words);
    piece_read(u, out, words, true);
}

void plx_unsqueeze_skip(struct plx_unsqueeze *u, size_t words)
{
    piece_read(u, NULL, words, false);
}
