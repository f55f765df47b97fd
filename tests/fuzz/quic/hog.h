// hog.h -- somebody who has taken everything that a slab had, so that whoever is fuzzed walks the ways out of memory.

#ifndef PLX_TESTS_FUZZ_QUIC_HOG_H
#define PLX_TESTS_FUZZ_QUIC_HOG_H

#include "base/slab.h"

enum { HOGS = 4096 };

struct hog {
    struct hogged {
        void *p;
        size_t size;
    } has[HOGS];
    unsigned count;
};

// Everything that the slab has, down to the smallest block.
static inline void hog_take(struct hog *h, struct plx_slab *slab)
{
    for (size_t size = PLX_SLAB_BLOCK_MAX; size >= 64; size /= 2) {
        void *p;
        while (h->count < HOGS && (p = plx_slab_take(slab, size)) != NULL)
            h->has[h->count++] = (struct hogged){p, size};
    }
}

static inline void hog_give(struct hog *h, struct plx_slab *slab)
{
    while (h->count > 0) {
        h->count--;
        plx_slab_give(slab, h->has[h->count].p, h->has[h->count].size);
    }
}

#endif
