// arena.h -- one large piece of memory, taken at start, handed out from one end.
//
// A core takes what its configuration asks for in one mapping, on its own NUMA node, on huge pages where there are
// any, and cuts pools, tables and rings from it. Nothing is given back before the end, so there is nothing to
// keep track of: an allocation is an addition. Memory is zero when it is handed out; pages are not touched before
// somebody uses them, so an arena may be larger than what is ever used.
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
    size_t size, used; // bytes
    bool is_huge;      // reserved huge pages, not merely advice to the kernel
    bool is_on_node;   // the kernel accepted the preference for the node
    bool is_frozen;
};

// Maps at least size bytes. node: NUMA node, or PLX_NODE_ANY. want_huge: try reserved huge pages of 2 MB first,
// then advise the kernel to use transparent ones.
// Returns: false when the system gives no such mapping; the arena is then empty and needs no fini.
PLX_MUST_USE bool plx_arena_init(struct plx_arena *a, size_t size, int node, bool want_huge);

// Zeroed memory for as long as the arena lives, or NULL when too little is left. align: a power of two, at most
// 4096. Start-up only.
void *plx_arena_alloc(struct plx_arena *a, size_t size, size_t align);

static inline size_t plx_arena_left(const struct plx_arena *a)
{
    return a->size - a->used;
}

static inline void plx_arena_freeze(struct plx_arena *a)
{
    a->is_frozen = true;
}

// Everything cut from it is gone with it.
void plx_arena_fini(struct plx_arena *a);

#endif
