// arena.h -- one large piece of memory, taken at start, handed out from one end.
//
// A core takes what its configuration asks for in one mapping, on its own NUMA node, on huge pages where there are
// any, and cuts pools, tables and rings from it. Nothing is given back before the end, so there is nothing to
// keep track of: an allocation is an addition. What is large and begins on a huge page of its own is cut from the other end, so that what is
// small and always used stays together (plx_arena_alloc_far). Memory is zero when it is handed out; pages are not touched before
// somebody uses them, so an arena may be larger than what is ever used.
//
// A third way of pages is to advise the kernel only (plx_arena_advise_huge): nothing is set aside, and where it can it backs
// 2 MB at a time. Tens of thousands of connections reach more pages of 4 KB than a processor's second TLB has entries.
//
// Huge pages and NUMA are wishes: where the machine has neither, the arena is an ordinary one and says so in
// is_huge and is_on_node. Only a mapping that fails altogether is an error. After plx_arena_freeze() an allocation
// is a broken promise ("nothing is allocated after start").

#ifndef PLX_BASE_ARENA_H
#define PLX_BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plx/types.h"

#define PLX_NODE_ANY (-1)

struct plx_arena {
    uint8_t *base;
    size_t size, used, used_far; // bytes: altogether, from the beginning, from the end
    bool is_huge;                // reserved huge pages, not merely advice to the kernel
    bool is_on_node;             // the kernel accepted the preference for the node
    bool is_frozen;
};

// Maps at least size bytes. node: NUMA node, or PLX_NODE_ANY. want_huge: try reserved huge pages of 2 MB first,
// then advise the kernel to use transparent ones.
// Returns: false when the system gives no such mapping; the arena is then empty and needs no fini.
PLX_MUST_USE bool plx_arena_init(struct plx_arena *a, size_t size, int node, bool want_huge);

// Asks for transparent huge pages, for all that has not been touched yet. Memory is then taken 2 MB at a time, as it is touched. A kernel
// that has none, or was told to give none, goes on with ordinary pages: nobody needs to know. Start-up only.
void plx_arena_advise_huge(struct plx_arena *a);

// Zeroed memory for as long as the arena lives, or NULL when too little is left. align: a power of two, at most
// 4096. Start-up only.
void *plx_arena_alloc(struct plx_arena *a, size_t size, size_t align);

// The same from the other end. align: a power of two, at most 2 MB, of the address.
void *plx_arena_alloc_far(struct plx_arena *a, size_t size, size_t align);

static inline size_t plx_arena_left(const struct plx_arena *a)
{
    return a->size - a->used - a->used_far;
}

static inline void plx_arena_freeze(struct plx_arena *a)
{
    a->is_frozen = true;
}

// Everything cut from it is gone with it.
void plx_arena_fini(struct plx_arena *a);

#endif
