// random.c -- see random.h.

#include "engine/random.h"

#include <string.h>

#include "base/check.h"
#include "crypto/keys.h"

void plx_random_init(struct plx_random *r, uint64_t seed)
{
    r->used = sizeof r->buf;
    r->seed = seed;
    if (seed != 0)
        plx_prng_init(&r->prng, seed);
}

static void refill(struct plx_random *r)
{
    if (r->seed != 0)
        plx_prng_bytes(&r->prng, r->buf, sizeof r->buf);
    else
        plx_check(
            plx_random_bytes(r->buf, sizeof r->buf)); // getrandom(2) does not fail once the system is up
    r->used = 0;
}

void plx_random_get(void *random, void *out, size_t len)
{
    struct plx_random *r = random;
    uint8_t *p = out;

    while (len > 0) {
        if (r->used == sizeof r->buf)
            refill(r);
        size_t n = sizeof r->buf - r->used;
        if (n > len)
            n = len;
        memcpy(p, r->buf + r->used, n);
        memset(r->buf + r->used, 0, n); // what was given out is nowhere else
        r->used += (uint16_t)n;
        p += n;
        len -= n;
    }
}
