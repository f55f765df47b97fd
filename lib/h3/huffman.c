// huffman.c -- see huffman.h for the idea.
//
// The decoder's window is 64 bits, aligned to the top, refilled by whole octets. While it holds at least FAST_BITS
// real bits and there is room for two octets, the fast table answers; the last few bits, the last octet of room, and
// long codes go through one_symbol(), which counts exactly.

#include "h3/huffman.h"

#include <string.h>

#include "base/bits.h"
#include "base/check.h"

struct huffman_code {
    uint32_t code;
    uint32_t bits;
};

struct huffman_long {
    uint32_t limit; // the first code beyond this length, at the top of 32 bits
    int32_t base;   // where this length's symbols begin, less its first code
};

#include "h3/huffman_tables.inc"

enum { FAST_BITS = 12, EOS = 256, EOS_BITS = 30, FAST_STEPS = 4 };
_Static_assert(FAST_STEPS *FAST_BITS <= 56, "all steps go without another refill");

// What an entry of huffman_fast says; see tools/gen-qpack. The number of bits is lowest, because the next look-up waits for
// it: a shift looks at no more than six bits of its count, so the entry is that count as it stands.
static unsigned entry_bits(uint32_t e)
{
    return e & 63;
}

static unsigned entry_count(uint32_t e)
{
    return e >> 24 & 15;
}

static unsigned entry_first(uint32_t e)
{
    return e >> 8 & 0xff;
}

static unsigned entry_first_bits(uint32_t e)
{
    return e >> 28;
}

// Both symbols; the second is overwritten by what comes next when there is only one.
static void entry_put(uint32_t e, uint8_t *to)
{
    uint16_t both = (uint16_t)(e >> 8);
    memcpy(to, &both, sizeof both);
}

struct window {
    const uint8_t *p, *end;
    // the next bit is on top; what lies below `count` bits is nothing, or what the next refill brings
    uint64_t bits;
    unsigned count;
};

// The last 1 to 7 octets, aligned to the top: loads that overlap instead of a loop, because most strings are that short.
static uint64_t load_rest(const uint8_t *p, size_t left)
{
    if (left >= 4)
        return (uint64_t)plx_load_be32(p) << 32 | (uint64_t)plx_load_be32(p + left - 4) << (64 - 8 * left);
    return (uint64_t)p[0] << 56 | (uint64_t)p[left >> 1] << (56 - 8 * (left >> 1)) |
           (uint64_t)p[left - 1] << (64 - 8 * left);
}

static void refill(struct window *w)
{
    if (w->end - w->p >= 8) {
        w->bits |= plx_load_be64(w->p) >> w->count;
        unsigned octets = (63 - w->count) >> 3;
        w->p += octets;
        w->count += octets * 8;
        return;
    }
    size_t left = (size_t)(w->end - w->p), octets = (63 - w->count) >> 3;
    if (left == 0 || octets == 0)
        return;
    w->bits |= load_rest(w->p, left) >> w->count;
    octets = octets < left ? octets : left;
    w->p += octets;
    w->count += (unsigned)octets * 8;
}

// The symbol that the 32 bits begin with, when it is longer than FAST_BITS.
static unsigned long_symbol(uint32_t v, unsigned *bits)
{
    for (unsigned n = HUFFMAN_LONG_MIN; n <= HUFFMAN_LONG_MAX; n++) {
        const struct huffman_long *l = &huffman_longs[n - HUFFMAN_LONG_MIN];
        if (v < l->limit) {
            *bits = n;
            return huffman_long_syms[(int32_t)(v >> (32 - n)) + l->base];
        }
    }
    *bits = EOS_BITS;
    return EOS;
}

// The next symbol; false when the bits that are left do not make one.
static bool one_symbol(struct window *w, unsigned *sym)
{
    // Bits that are not there count as ones, like padding: they can only complete a code longer than what is left.
    uint64_t v = w->count < 64 ? w->bits | ~UINT64_C(0) >> w->count : w->bits;
    uint32_t e = huffman_fast[v >> (64 - FAST_BITS)];
    unsigned bits;

    if (entry_count(e) > 0) {
        bits = entry_first_bits(e);
        *sym = entry_first(e);
    } else {
        *sym = long_symbol((uint32_t)(v >> 32), &bits);
    }
    if (bits > w->count)
        return false;
    w->bits <<= bits;
    w->count -= bits;
    return true;
}

// What is left at the end must be fewer than 8 bits, all ones.
static bool padding_is_valid(const struct window *w)
{
    return w->count < 8 && (w->count == 0 || w->bits >> (64 - w->count) == (1u << w->count) - 1);
}

enum plx_huffman plx_huffman_decode(const uint8_t *src, size_t len, uint8_t *dst, size_t cap, size_t *out_len)
{
    struct window w = {src, src + len, 0, 0};
    uint8_t *to = dst, *to_end = dst + cap;

    *out_len = 0;
    while (w.end - w.p >= 8 && to_end - to >= 2 * FAST_STEPS) {
        refill(&w); // at least 56 bits: enough for all steps
        unsigned step = 0;
        for (; step < FAST_STEPS; step++) {
            uint32_t e = huffman_fast[w.bits >> (64 - FAST_BITS)];
            if (entry_count(e) == 0)
                break;
            entry_put(e, to);
            to += entry_count(e);
            w.bits <<= entry_bits(e);
            w.count -= entry_bits(e);
        }
        if (step < FAST_STEPS)
            break; // a long code
    }
    for (;;) {
        refill(&w);
        while (w.count >= FAST_BITS && to_end - to >= 2) {
            uint32_t e = huffman_fast[w.bits >> (64 - FAST_BITS)];
            if (entry_count(e) == 0)
                break;
            entry_put(e, to);
            to += entry_count(e);
            w.bits <<= entry_bits(e);
            w.count -= entry_bits(e);
        }
        if (w.count >= FAST_BITS && w.count < EOS_BITS && w.p < w.end)
            continue; // a long code may need more bits than there are: fetch them first
        if (w.count < FAST_BITS && w.p < w.end)
            continue;
        // The last bits, with ones behind them like padding: an entry counts when it ends within what there is.
        while (w.p == w.end && w.count > 0 && w.count < FAST_BITS && to_end - to >= 2) {
            uint32_t e = huffman_fast[(w.bits | ~UINT64_C(0) >> w.count) >> (64 - FAST_BITS)];
            if (entry_count(e) == 0 || entry_bits(e) > w.count)
                break;
            entry_put(e, to);
            to += entry_count(e);
            w.bits <<= entry_bits(e);
            w.count -= entry_bits(e);
        }
        if (w.p == w.end && padding_is_valid(&w)) // no symbol is that short and all ones
            break;

        unsigned sym;
        if (!one_symbol(&w, &sym))
            break; // the input is used up, see above
        if (sym == EOS)
            return PLX_HUFFMAN_INVALID;
        if (to == to_end)
            return PLX_HUFFMAN_NO_ROOM;
        *to++ = (uint8_t)sym;
    }
    if (!padding_is_valid(&w))
        return PLX_HUFFMAN_INVALID;
    *out_len = (size_t)(to - dst);
    return PLX_HUFFMAN_OK;
}

size_t plx_huffman_len(const uint8_t *src, size_t len)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < len; i++)
        bits += huffman_codes[src[i]].bits;
    return (size_t)((bits + 7) / 8);
}

size_t plx_huffman_encode(const uint8_t *src, size_t len, uint8_t *dst)
{
    uint8_t *to = dst;
    uint64_t bits = 0; // the lowest `count` are waiting
    unsigned count = 0;

    for (size_t i = 0; i < len; i++) {
        const struct huffman_code *c = &huffman_codes[src[i]];
        bits = bits << c->bits | c->code; // at most 31 + 30
        count += c->bits;
        if (count >= 32) {
            count -= 32;
            plx_store_be32(to, (uint32_t)(bits >> count));
            to += 4;
        }
    }
    while (count >= 8) {
        count -= 8;
        *to++ = (uint8_t)(bits >> count);
    }
    if (count > 0) // the rest of the octet is the beginning of the end-of-string code: ones
        *to++ = (uint8_t)(bits << (8 - count) | 0xffu >> count);
    return (size_t)(to - dst);
}
