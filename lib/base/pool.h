// pool.h -- a fixed number of objects of one size, taken and given in O(1), whose memory goes back when nobody needs it.
//
// Objects stand side by side, each on its own cache lines. The free ones are in two places. Those given lately are pointers on a short
// stack: what was given last, and is still in the cache, is taken next, and a free object is not touched by anybody. All others are cold: a
// bit each, set at start. When the stack runs empty it gets some of the cold ones with the lowest addresses; when it is full
// the oldest on it become cold. So a pool of which little is used stays together at its beginning, whatever the order in which objects
// came back, and what is not used costs a bit.
//
// Of each span of 2 MB (a huge page, where there are any) the pool counts its cold objects. plx_pool_trim(), called now and then by
// whoever has time, gives the memory of spans in which everything has been cold for a while back to the system. Their objects can be taken as
// before, with page faults as when it all began.
//
// Sized at start from the configuration: an empty pool is an ordinary, counted outcome (NULL), never a reason to grow.
//
// One core owns a pool; there is no lock. Giving an object twice is caught at once with PLX_DEBUG (a bit per
// object), and otherwise when it becomes cold twice; AddressSanitizer sees every use of a free object.
// An object's contents are whatever the last owner left, or zero: the new owner initialises it.

#ifndef PLX_BASE_POOL_H
#define PLX_BASE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/poison.h"
#include "plx/types.h"

enum {
    PLX_POOL_STACK_MAX = 16384, // free objects that are not cold: 128 KB of pointers, touched as used
    PLX_POOL_CHILL = 2048,      // of them that become cold at once, at most
    PLX_POOL_SPAN_LOG2 = 21,    // what goes back to the system in one piece
    PLX_POOL_TRIM_SPANS = 256,  // that one trim looks at
};

struct plx_pool_span {
    uint32_t cold;    // objects that reach into it and are cold
    bool is_resident; // some of them were out since it was given back
    bool was_cold;    // all of them were cold when trim looked last
};

struct plx_pool {
    void **free; // stack of the free objects that are not cold; [0, free_count) are valid
    uint32_t free_count;
    uint32_t free_max;   // beyond that they become cold
    uint32_t count;      // objects altogether
    uint32_t cold_count; // of them cold
    uint64_t exhausted;  // how often take() found nothing
    uint8_t *base;       // the first object
    size_t stride;       // bytes from one object to the next, a multiple of 64
    uint32_t obj_size;   // bytes asked for
    bool is_frozen;
    uint64_t *cold;      // a bit per object
    uint32_t cold_first; // no word of it before that one has a bit
    struct plx_pool_span *spans;
    uint32_t span_count, trim_next;
    uint64_t trimmed;     // spans that were given back
    uint64_t *taken;      // with PLX_DEBUG: a bit per object that is out; otherwise NULL
    const char *name;     // for messages: which limit to raise
    struct plx_arena own; // when no arena was given
};

// Cuts count objects of obj_size bytes from the arena (its other end, when they fill several spans), or from a mapping of its own when arena is NULL. name is
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

// Objects that can be taken.
static inline uint32_t plx_pool_left(const struct plx_pool *p)
{
    return p->free_count + p->cold_count;
}

static inline uint32_t plx_pool_in_use(const struct plx_pool *p)
{
    return p->count - plx_pool_left(p);
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

// The parts of take and give that see to cold objects: some onto the stack (false: there are none, counted), and off it.
PLX_MUST_USE bool plx_pool_warm(struct plx_pool *p);
void plx_pool_chill(struct plx_pool *p, uint32_t count);

// Up to half of the objects on the stack, those that were given longest ago, become cold, and one span that was all cold at the last look too goes
// back to the system. Returns the octets given back. Cost: some microseconds. Nothing for a pool of less than two spans.
size_t plx_pool_trim(struct plx_pool *p);

// Asks for the memory of the object that will be the n-th taken from now on, to be written: octets [from, to) of it. Advice: when the stack
// is shorter, nothing.
static inline void plx_pool_prefetch(const struct plx_pool *p, uint32_t n, size_t from, size_t to)
{
    if (n >= p->free_count)
        return;
    const uint8_t *obj = p->free[p->free_count - 1 - n];
    for (size_t at = from; at < to; at += 64)
        __builtin_prefetch(obj + at, 1);
}

// Borrows an object; NULL when the pool is exhausted (an expected, counted condition).
static inline void *plx_pool_take(struct plx_pool *p)
{
    if (__builtin_expect(p->free_count == 0, 0) && !plx_pool_warm(p))
        return NULL;
    void *obj = p->free[--p->free_count];
    plx_unpoison(obj, p->obj_size);
    if (PLX_IS_DEBUG)
        plx_pool_mark(p, obj, true);
    return obj;
}

static inline void plx_pool_give(struct plx_pool *p, void *obj)
{
    plx_check((size_t)((uint8_t *)obj - p->base) < p->count * p->stride); // neither NULL nor another pool's
    if (PLX_IS_DEBUG)
        plx_pool_mark(p, obj, false);
    plx_poison(obj, p->obj_size);
    if (__builtin_expect(p->free_count == p->free_max, 0))
        plx_pool_chill(p, p->free_max < PLX_POOL_CHILL ? p->free_count : PLX_POOL_CHILL);
    p->free[p->free_count++] = obj;
}

// Checks every invariant, O(count). For tests, fuzzers and simulation.
void plx_pool_verify(const struct plx_pool *p);

#endif
