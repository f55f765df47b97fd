// pool.h -- a fixed number of objects of one size, taken and given in O(1).
//
// Objects stand side by side, each on its own cache lines; the free ones are a stack of pointers beside them, so
// the object that was given last, which is still in the cache, is the one taken next, and a free object is not
// touched by anybody. Sized at start from the configuration: an empty pool is an ordinary, counted outcome
// (NULL), never a reason to grow.
//
// One core owns a pool; there is no lock. Giving an object twice is caught at once with PLX_DEBUG (a bit per
// object), and by its count otherwise when the pool overflows; AddressSanitizer sees every use of a free object.
// An object's contents are whatever the last owner left: the new owner initialises it. (The first time it is zero.)

#ifndef PLX_BASE_POOL_H
#define PLX_BASE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/poison.h"
#include "plx/types.h"

struct plx_pool {
    void **free; // stack of the free objects; [0, free_count) are valid
    uint32_t free_count;
    uint32_t count;     // objects altogether
    uint64_t exhausted; // how often take() found nothing
    uint8_t *base;      // the first object
    size_t stride;      // bytes from one object to the next, a multiple of 64
    uint32_t obj_size;  // bytes asked for
    bool is_frozen;
    uint64_t *taken;      // with PLX_DEBUG: a bit per object that is out; otherwise NULL
    const char *name;     // for messages: which limit to raise
    struct plx_arena own; // when no arena was given
};

// Cuts count objects of obj_size bytes from the arena, or from a mapping of its own when arena is NULL. name is
// borrowed for the pool's life. Start-up only.
// Returns: false when there is not enough memory; nothing needs to be undone.
PLX_MUST_USE bool plx_pool_init(struct plx_pool *p, const char *name, size_t obj_size, uint32_t count,
                                struct plx_arena *arena);

// Bytes that plx_pool_init() takes of an arena at most: to size one.
size_t plx_pool_bytes(size_t obj_size, uint32_t count);

// Touches every page now, so that the first use of an object costs no page fault. Start-up only, before freeze.
void plx_pool_populate(struct plx_pool *p);

// Start-up is over.
static inline void plx_pool_freeze(struct plx_pool *p)
{
    plx_check(!p->is_frozen);
    p->is_frozen = true;
}

// The pool's memory goes away, if it is its own; whatever is still out goes with it.
void plx_pool_fini(struct plx_pool *p);

static inline uint32_t plx_pool_in_use(const struct plx_pool *p)
{
    return p->count - p->free_count;
}

// Position of an object in its pool, 0 to count - 1; the object that plx_pool_at() returns for it.
static inline uint32_t plx_pool_idx(const struct plx_pool *p, const void *obj)
{
    return (uint32_t)((size_t)((const uint8_t *)obj - p->base) / p->stride);
}

static inline void *plx_pool_at(const struct plx_pool *p, uint32_t idx)
{
    plx_check(idx < p->count);
    return p->base + (size_t)idx * p->stride;
}

// With PLX_DEBUG: an object changes hands.
void plx_pool_mark(struct plx_pool *p, const void *obj, bool is_taken);

// Borrows an object; NULL when the pool is exhausted (an expected, counted condition).
static inline void *plx_pool_take(struct plx_pool *p)
{
    if (p->free_count == 0) {
        p->exhausted++;
        return NULL;
    }
    void *obj = p->free[--p->free_count];
    plx_unpoison(obj, p->obj_size);
    if (PLX_IS_DEBUG)
        plx_pool_mark(p, obj, true);
    return obj;
}

static inline void plx_pool_give(struct plx_pool *p, void *obj)
{
    plx_check((size_t)((uint8_t *)obj - p->base) < p->count * p->stride); // neither NULL nor another pool's
    plx_check(p->free_count < p->count);                                  // a double give shows up here
    if (PLX_IS_DEBUG)
        plx_pool_mark(p, obj, false);
    plx_poison(obj, p->obj_size);
    p->free[p->free_count++] = obj;
}

// Checks every invariant, O(count). For tests, fuzzers and simulation.
void plx_pool_verify(const struct plx_pool *p);

#endif
