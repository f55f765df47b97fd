// slab.h -- blocks of 64 B to 1 MB, in powers of two, from a fixed amount of memory: a buddy allocator per core.
//
// For what grows with a peer's behaviour and cannot have one size: rings of sent packets, receive buffers, stream
// windows. A request is rounded up to a power of two; a block of 2^k is cut from a larger one by halving it, and
// when both halves are free again they become the larger one, so memory does not fragment over many thousands of
// connections of all kinds. A block is aligned to its own size (up to 4096 B guaranteed against virtual addresses),
// and has no header: one byte of state per 64 B lies elsewhere (1.6 % of the memory).
//
// Halving and joining on every call would be work for nothing when blocks of one size come and go, so each class
// keeps up to SLAB_CACHE_MAX given blocks in one piece, ready to be taken. When a request finds nothing, these are
// joined with their buddies and the request is tried once more; the caller's NULL is then the truth, up to
// fragmentation by blocks in use. The links of free blocks are in the blocks themselves. Memory is touched
// only when it is used for the first time.
//
// One core owns a slab; no lock. All operations are O(number of classes), with small constants, and the refill
// before a NULL is O(classes * SLAB_CACHE_MAX) at most.

#ifndef PLX_BASE_SLAB_H
#define PLX_BASE_SLAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "plx/types.h"

enum {
    PLX_SLAB_MIN_LOG2 = 6,  // 64 B: a cache line
    PLX_SLAB_MAX_LOG2 = 20, // 1 MB
    PLX_SLAB_CLASSES = PLX_SLAB_MAX_LOG2 - PLX_SLAB_MIN_LOG2 + 1,
    PLX_SLAB_CACHE_MAX = 16, // blocks that a class keeps in one piece
};
#define PLX_SLAB_BLOCK_MAX ((size_t)1 << PLX_SLAB_MAX_LOG2)

struct plx_slab_block; // the links inside a free block

struct plx_slab {
    struct plx_slab_block *cache[PLX_SLAB_CLASSES]; // given lately, kept whole
    uint8_t cache_count[PLX_SLAB_CLASSES];
    struct plx_slab_block *free[PLX_SLAB_CLASSES]; // ready to be joined with their buddies
    uint8_t *base;
    uint8_t *state;        // per 64 B: what begins here (see slab.c)
    size_t size;           // bytes altogether, a multiple of 1 MB
    size_t carved;         // bytes that have ever been used; beyond it nothing is touched
    uint64_t bytes_in_use; // rounded up to powers of two
    uint64_t exhausted;    // how often take() found nothing
    struct plx_arena arena;
};

// Room for arena_bytes (rounded up to whole megabytes) on a NUMA node, or PLX_NODE_ANY. Start-up only.
// Returns: false when the system gives no such mapping; nothing needs to be undone.
PLX_MUST_USE bool plx_slab_init(struct plx_slab *s, size_t arena_bytes, int node);
void plx_slab_fini(struct plx_slab *s);

// What take(size) really provides: the next power of two, at least 64. size <= PLX_SLAB_BLOCK_MAX.
size_t plx_slab_round(size_t size);

// A block of at least size bytes with any contents, the caller's until it gives it back with the same size (or
// anything that rounds to the same). NULL when there is none, or when size is beyond PLX_SLAB_BLOCK_MAX: counted.
void *plx_slab_take(struct plx_slab *s, size_t size);

// p as taken, size as taken.
void plx_slab_give(struct plx_slab *s, void *p, size_t size);

static inline uint64_t plx_slab_bytes_in_use(const struct plx_slab *s)
{
    return s->bytes_in_use;
}

// Checks every invariant, O(memory carved / 64). For tests, fuzzers and simulation.
void plx_slab_verify(const struct plx_slab *s);

#endif
