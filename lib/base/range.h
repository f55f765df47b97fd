// range.h -- a short sorted list of half-open ranges: packet numbers received, bytes acknowledged, bytes held.
//
// What a receiver of packets must remember is usually one range that grows at its end, sometimes two or three,
// and rarely more; so the ranges stand in one array, ascending, in place, without any allocation. Ranges never
// overlap and never touch (touching ones are merged), and none is empty. Adding at the end is the fast path: one
// or two comparisons. Everything else is a walk over at most PLX_RANGES_MAX entries, which is bounded, so that a
// peer who makes holes on purpose costs a fixed amount of time and memory.
//
// When the array is full there are two answers, and the caller chooses by the name that it calls:
//   plx_ranges_add              refuses, nothing changes (bytes of a stream must not be forgotten)
//   plx_ranges_add_drop_lowest  forgets the lowest range (packet numbers to acknowledge: old ones are stale)
// A tree was rejected: it pays only with hundreds of ranges, which nothing here may ever reach.

#ifndef PLX_BASE_RANGE_H
#define PLX_BASE_RANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plx/types.h"

enum { PLX_RANGES_MAX = 31 }; // more holes than any loss pattern that still moves; and half a kilobyte

struct plx_range {
    uint64_t first, end; // [first, end)
};

struct plx_ranges {
    uint16_t count;
    bool has_dropped; // plx_ranges_add_drop_lowest() has forgotten something since init
    struct plx_range v[PLX_RANGES_MAX];
};
_Static_assert(sizeof(struct plx_ranges) <= 512, "a block of the slab");

static inline void plx_ranges_init(struct plx_ranges *r)
{
    r->count = 0;
    r->has_dropped = false;
}

static inline bool plx_ranges_is_empty(const struct plx_ranges *r)
{
    return r->count == 0;
}

// The lowest range, borrowed until the next change; NULL when there is none.
static inline const struct plx_range *plx_ranges_first(const struct plx_ranges *r)
{
    return r->count > 0 ? &r->v[0] : NULL;
}

// The highest range, borrowed until the next change; NULL when there is none.
static inline const struct plx_range *plx_ranges_last(const struct plx_ranges *r)
{
    return r->count > 0 ? &r->v[r->count - 1] : NULL;
}

// The work of plx_ranges_add() that is not at the end of the list.
PLX_MUST_USE bool plx_ranges_add_slow(struct plx_ranges *r, uint64_t first, uint64_t end);

// Adds [first, end); an empty range adds nothing. first <= end.
// Returns: true   all of it is in
//          false  full, and it touches no range that is there: nothing has changed
static inline PLX_MUST_USE bool plx_ranges_add(struct plx_ranges *r, uint64_t first, uint64_t end)
{
    if (r->count > 0 && first < end) {
        struct plx_range *last = &r->v[r->count - 1];
        if (first >= last->first && first <= last->end) { // the next in order, or one that is there
            last->end = end > last->end ? end : last->end;
            return true;
        }
    }
    return plx_ranges_add_slow(r, first, end);
}

// Adds [first, end) and, when the list is full, forgets the lowest range for it.
// Returns: true   all of it is in
//          false  it was itself the lowest of too many, and is what has been forgotten
bool plx_ranges_add_drop_lowest(struct plx_ranges *r, uint64_t first, uint64_t end);

// Takes [first, end) out, whether it is in or not. first <= end.
// Returns: true   nothing of it is in any more
//          false  it would split a range and the list is full: nothing has changed
PLX_MUST_USE bool plx_ranges_remove(struct plx_ranges *r, uint64_t first, uint64_t end);

// Takes everything below v out. Cannot fail: it never splits.
void plx_ranges_remove_below(struct plx_ranges *r, uint64_t v);

// Whether v is in. Searches from the top: recent numbers are asked for most.
bool plx_ranges_has(const struct plx_ranges *r, uint64_t v);

// Whether all of [first, end) is in; true for an empty range.
bool plx_ranges_contains(const struct plx_ranges *r, uint64_t first, uint64_t end);

// Checks every invariant. For tests, fuzzers and simulation.
void plx_ranges_verify(const struct plx_ranges *r);

#endif
