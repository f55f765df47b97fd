// prng.c -- see prng.h.

#include "base/prng.h"

#include <string.h>

#include "base/bits.h"
#include "base/check.h"

static uint64_t rotl(uint64_t v, unsigned by)
{
    return v << by | v >> (64 - by);
}

static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

void plx_prng_init(struct plx_prng *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        r->s[i] = splitmix(&seed);
}

uint64_t plx_prng_u64(struct plx_prng *r)
{
    uint64_t *s = r->s, out = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return out;
}

uint64_t plx_prng_below(struct plx_prng *r, uint64_t n)
{
    if (n == 0)
        return 0;
    // The high half of a product is even but for the first 2^64 mod n low halves, which are drawn again.
    uint64_t reject = -n % n;
    unsigned __int128 product;
    do {
        product = (unsigned __int128)plx_prng_u64(r) * n;
    } while ((uint64_t)product < reject);
    return (uint64_t)(product >> 64);
}

uint64_t plx_prng_between(struct plx_prng *r, uint64_t lo, uint64_t hi)
{
    plx_check(lo <= hi);
    uint64_t n = hi - lo + 1;
    return n == 0 ? plx_prng_u64(r) : lo + plx_prng_below(r, n);
}

bool plx_prng_chance(struct plx_prng *r, uint64_t parts, uint64_t whole)
{
    return plx_prng_below(r, whole) < parts;
}

void plx_prng_bytes(struct plx_prng *r, void *p, size_t len)
{
    uint8_t *to = p;

    for (; len >= 8; len -= 8, to += 8)
        plx_store_le64(to, plx_prng_u64(r));
    if (len > 0) {
        uint8_t last[8];
        plx_store_le64(last, plx_prng_u64(r));
        memcpy(to, last, len);
    }
}
