// range.c -- see range.h for the idea.
//
// Adding works in two steps that share one picture: [lo, hi) are the indices of the ranges that overlap or touch
// the new one. If there are none the new range is inserted at lo; otherwise they all become one. Removing is the
// mirror image with ranges that overlap (touching does not count), of which the outer two may leave a stump.

#include "base/range.h"

#include <string.h>

#include "base/check.h"

static void insert_at(struct plx_ranges *r, uint16_t at, uint64_t first, uint64_t end)
{
    plx_check(r->count < PLX_RANGES_MAX);
    memmove(&r->v[at + 1], &r->v[at], (size_t)(r->count - at) * sizeof r->v[0]);
    r->v[at] = (struct plx_range){first, end};
    r->count++;
}

static void erase(struct plx_ranges *r, uint16_t from, uint16_t to)
{
    if (from == to)
        return;
    memmove(&r->v[from], &r->v[to], (size_t)(r->count - to) * sizeof r->v[0]);
    r->count = (uint16_t)(r->count - (to - from));
}

// Index behind the last range that ends below v; searched from the top, where most things happen.
static uint16_t behind_ends_below(const struct plx_ranges *r, uint64_t v)
{
    uint16_t i = r->count;
    while (i > 0 && r->v[i - 1].end >= v)
        i--;
    return i;
}

bool plx_ranges_add_slow(struct plx_ranges *r, uint64_t first, uint64_t end)
{
    plx_check(first <= end);
    if (first == end)
        return true;

    uint16_t lo = behind_ends_below(r, first), hi = lo;
    while (hi < r->count && r->v[hi].first <= end)
        hi++;

    if (lo == hi) {
        if (r->count == PLX_RANGES_MAX)
            return false;
        insert_at(r, lo, first, end);
        return true;
    }
    if (first < r->v[lo].first)
        r->v[lo].first = first;
    uint64_t end_old = r->v[hi - 1].end;
    r->v[lo].end = end > end_old ? end : end_old;
    erase(r, (uint16_t)(lo + 1), hi);
    return true;
}

bool plx_ranges_add_drop_lowest(struct plx_ranges *r, uint64_t first, uint64_t end)
{
    if (plx_ranges_add(r, first, end))
        return true;
    r->has_dropped = true;
    if (end < r->v[0].first)
        return false;
    erase(r, 0, 1);
    return plx_ranges_add(r, first, end);
}

bool plx_ranges_remove(struct plx_ranges *r, uint64_t first, uint64_t end)
{
    plx_check(first <= end);
    if (first == end)
        return true;

    uint16_t lo = r->count;
    while (lo > 0 && r->v[lo - 1].end > first)
        lo--;
    if (lo == r->count)
        return true;

    if (r->v[lo].first < first && r->v[lo].end > end) { // a hole in the middle: one range becomes two
        if (r->count == PLX_RANGES_MAX)
            return false;
        insert_at(r, (uint16_t)(lo + 1), end, r->v[lo].end);
        r->v[lo].end = first;
        return true;
    }
    if (r->v[lo].first < first) // its lower part stays
        r->v[lo++].end = first;
    uint16_t hi = lo;
    while (hi < r->count && r->v[hi].end <= end)
        hi++;
    if (hi < r->count && r->v[hi].first < end) // its upper part stays
        r->v[hi].first = end;
    erase(r, lo, hi);
    return true;
}

void plx_ranges_remove_below(struct plx_ranges *r, uint64_t v)
{
    uint16_t hi = 0;
    while (hi < r->count && r->v[hi].end <= v)
        hi++;
    erase(r, 0, hi);
    if (r->count > 0 && r->v[0].first < v)
        r->v[0].first = v;
}

bool plx_ranges_has(const struct plx_ranges *r, uint64_t v)
{
    for (uint16_t i = r->count; i > 0; i--)
        if (v >= r->v[i - 1].first)
            return v < r->v[i - 1].end;
    return false;
}

bool plx_ranges_contains(const struct plx_ranges *r, uint64_t first, uint64_t end)
{
    if (first >= end)
        return true;
    for (uint16_t i = r->count; i > 0; i--)
        if (first >= r->v[i - 1].first)
            return end <= r->v[i - 1].end;
    return false;
}

void plx_ranges_verify(const struct plx_ranges *r)
{
    plx_check(r->count <= PLX_RANGES_MAX);
    for (uint16_t i = 0; i < r->count; i++) {
        plx_check(r->v[i].first < r->v[i].end); // never empty
        if (i > 0)
            plx_check(r->v[i - 1].end < r->v[i].first); // sorted, disjoint, not even touching
    }
}
