// stash.h -- bytes that must wait for the rest of what they belong to, in a block of the slab.
//
// A frame or an instruction usually lies whole in what the transport offers and is read in place. When it is cut, its
// beginning is kept here until the rest has come. The block grows by doubling as bytes really arrive, never by what
// a length field promises: a peer pays for our memory with its own bytes.

#ifndef PLX_H3_STASH_H
#define PLX_H3_STASH_H

#include <string.h>

#include "base/slab.h"

struct plx_stash {
    uint8_t *p;
    uint32_t len, cap; // octets; cap 0: no block
};

static inline void plx_stash_drop(struct plx_stash *s, struct plx_slab *slab)
{
    if (s->cap > 0)
        plx_slab_give(slab, s->p, s->cap);
    *s = (struct plx_stash){NULL, 0, 0};
}

// False when the slab has no block of that size; the stash is then unchanged.
static inline PLX_MUST_USE bool plx_stash_append(struct plx_stash *s, struct plx_slab *slab, const uint8_t *p,
                                                 size_t len)
{
    if (len == 0)
        return true;
    if (len > s->cap - s->len) {
        if (len + s->len > PLX_SLAB_BLOCK_MAX)
            return false;
        size_t cap = plx_slab_round(len + s->len);
        uint8_t *to = plx_slab_take(slab, cap);
        if (to == NULL)
            return false;
        if (s->len > 0)
            memcpy(to, s->p, s->len);
        if (s->cap > 0)
            plx_slab_give(slab, s->p, s->cap);
        s->p = to;
        s->cap = (uint32_t)cap;
    }
    memcpy(s->p + s->len, p, len);
    s->len += (uint32_t)len;
    return true;
}

// Forgets the first len octets.
static inline void plx_stash_consume(struct plx_stash *s, size_t len)
{
    s->len -= (uint32_t)len;
    memmove(s->p, s->p + len, s->len);
}

#endif
