// window.c -- see window.h.
//
// Invariants: the number `base` is not closed, unless nothing at or above it was ever opened (base == next); slots of the ring outside of
// [base, next) are NEW; every straggler is below base and is not closed.

#include "quic/stream/window.h"

#include <string.h>

#include "base/bits.h"
#include "base/check.h"
#include "base/slab.h"

void plx_window_init(struct plx_window *w, uint64_t limit, uint64_t concurrent)
{
    *w = (struct plx_window){.limit = limit};
    // Twice the streams that can be open: a few that linger do not push each other out.
    uint64_t cap =
        concurrent >= PLX_WINDOW_RING_MAX / 2 ? PLX_WINDOW_RING_MAX : plx_pow2_ceil(2 * concurrent);
    w->cap_max = (uint32_t)(cap < 4 * PLX_WINDOW_MIN ? 4 * PLX_WINDOW_MIN : cap);
}

void plx_window_fini(struct plx_window *w, struct plx_slab *slab)
{
    if (w->ring != NULL)
        plx_slab_give(slab, w->ring, w->cap * sizeof *w->ring);
    if (w->old != NULL)
        plx_slab_give(slab, w->old, w->old_cap * sizeof *w->old);
    *w = (struct plx_window){0};
}

// --- stragglers --------------------------------------------------------------------------------------------

// The index of the first straggler at or above number.
static uint32_t old_at_or_above(const struct plx_window *w, uint64_t number)
{
    uint32_t lo = 0, hi = w->old_count;
    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;
        if (w->old[mid].number < number)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

struct plx_stream *plx_window_find_old(const struct plx_window *w, uint64_t number)
{
    uint32_t i = old_at_or_above(w, number);
    return i < w->old_count && w->old[i].number == number ? w->old[i].slot : PLX_SLOT_CLOSED;
}

static bool old_reserve(struct plx_window *w, struct plx_slab *slab, uint32_t extra)
{
    if (w->old_cap - w->old_count >= extra)
        return true;
    if (extra > PLX_WINDOW_OLD_MAX - w->old_count)
        return false;
    uint32_t cap = (uint32_t)plx_pow2_ceil(w->old_count + extra);
    cap = cap < 4 ? 4 : cap;
    struct plx_window_old *old = plx_slab_take(slab, cap * sizeof *old);
    if (old == NULL)
        return false;
    if (w->old != NULL) {
        memcpy(old, w->old, w->old_count * sizeof *old);
        plx_slab_give(slab, w->old, w->old_cap * sizeof *old);
    }
    w->old = old;
    w->old_cap = cap;
    return true;
}

// --- the ring ----------------------------------------------------------------------------------------------

static struct plx_stream **slot_of(const struct plx_window *w, uint64_t number)
{
    return &w->ring[number & (w->cap - 1)];
}

static bool ring_grow(struct plx_window *w, struct plx_slab *slab, uint32_t cap)
{
    struct plx_stream **ring = plx_slab_take(slab, cap * sizeof *ring);
    if (ring == NULL)
        return false;
    memset(ring, 0, cap * sizeof *ring);
    if (w->ring != NULL) {
        for (uint64_t n = w->base; n < w->next && n - w->base < w->cap; n++)
            ring[n & (cap - 1)] = *slot_of(w, n);
        plx_slab_give(slab, w->ring, w->cap * sizeof *ring);
    }
    w->ring = ring;
    w->cap = cap;
    return true;
}

void plx_window_skip_closed(struct plx_window *w)
{
    struct plx_stream **ring = w->ring;
    uint64_t base = w->base, next = w->next, mask = w->cap - 1;

    for (; base < next && ring[base & mask] == PLX_SLOT_CLOSED; base++)
        ring[base & mask] = PLX_SLOT_NEW;
    w->base = base;
}

// Moves the beginning of the ring up to `to`; what is not closed before it becomes a straggler.
static bool ring_slide(struct plx_window *w, struct plx_slab *slab, uint64_t to)
{
    // numbers from next on were never opened, yet count as open from now on
    uint64_t in_ring = to < w->next ? to : w->next;
    uint32_t extra = 0;
    for (uint64_t n = w->base; n < in_ring; n++)
        extra += *slot_of(w, n) != PLX_SLOT_CLOSED;
    if (to - in_ring > PLX_WINDOW_OLD_MAX || !old_reserve(w, slab, extra + (uint32_t)(to - in_ring)))
        return false;
    for (uint64_t n = w->base; n < to; n++) {
        struct plx_stream *slot = n < in_ring ? *slot_of(w, n) : PLX_SLOT_NEW;
        if (slot != PLX_SLOT_CLOSED)
            w->old[w->old_count++] = (struct plx_window_old){n, slot};
        *slot_of(w, n) = PLX_SLOT_NEW;
    }
    w->base = to;
    if (w->next < to)
        w->next = to;
    plx_window_skip_closed(w);
    return true;
}

// Makes the ring reach number.
__attribute__((noinline)) static bool ring_reach(struct plx_window *w, struct plx_slab *slab, uint64_t number)
{
    uint64_t span = number - w->base + 1;
    if (span > w->cap && w->cap < w->cap_max) {
        uint64_t cap = plx_pow2_ceil(span < PLX_WINDOW_MIN ? PLX_WINDOW_MIN
                                     : span < w->cap_max   ? span
                                                           : w->cap_max);
        if (!ring_grow(w, slab, (uint32_t)cap))
            return false;
    }
    return span <= w->cap || ring_slide(w, slab, number - w->cap + 1);
}

// Of a number that was jumped over long ago. Out of the way of the others, as its end below.
__attribute__((noinline)) static void old_set(struct plx_window *w, uint64_t number, struct plx_stream *slot)
{
    uint32_t i = old_at_or_above(w, number);
    plx_check(i < w->old_count);
    plx_check(w->old[i].number == number);
    plx_check(w->old[i].slot == PLX_SLOT_NEW);
    w->old[i].slot = slot;
}

__attribute__((noinline)) static void old_close(struct plx_window *w, uint64_t number)
{
    uint32_t i = old_at_or_above(w, number);
    plx_check(i < w->old_count);
    plx_check(w->old[i].number == number);
    w->old_count--;
    memmove(&w->old[i], &w->old[i + 1], (w->old_count - i) * sizeof *w->old);
}

bool plx_window_set(struct plx_window *w, struct plx_slab *slab, uint64_t number, struct plx_stream *slot)
{
    plx_check(number < w->limit);
    plx_check(!plx_window_is_away(w));
    if (number < w->base) {
        old_set(w, number, slot);
        return true;
    }
    if (number - w->base >= w->cap && !ring_reach(w, slab, number))
        return false;
    plx_check(*slot_of(w, number) == PLX_SLOT_NEW);
    *slot_of(w, number) = slot;
    if (w->next <= number)
        w->next = number + 1;
    return true;
}

void plx_window_close_any(struct plx_window *w, uint64_t number)
{
    w->closed++;
    if (number < w->base) {
        old_close(w, number);
        return;
    }
    plx_check(number - w->base < w->cap);
    *slot_of(w, number) = PLX_SLOT_CLOSED;
    if (number == w->base)
        plx_window_skip_closed(w);
}

struct plx_stream *plx_window_walk(const struct plx_window *w, uint64_t *number)
{
    for (uint32_t i = old_at_or_above(w, *number); i < w->old_count; i++)
        if (w->old[i].slot != PLX_SLOT_NEW) {
            *number = w->old[i].number;
            return w->old[i].slot;
        }
    if (plx_window_is_away(w))
        return NULL;
    for (uint64_t n = *number > w->base ? *number : w->base; n < w->next; n++) {
        struct plx_stream *slot = *slot_of(w, n);
        if (slot != PLX_SLOT_NEW && slot != PLX_SLOT_CLOSED) {
            *number = n;
            return slot;
        }
    }
    return NULL;
}

void plx_window_verify(const struct plx_window *w)
{
    plx_check(w->base <= w->next);
    plx_check(w->next <= w->limit);
    plx_check(w->cap <= w->cap_max);
    if (plx_window_is_away(w)) {
        plx_check(w->cap == 0 && w->old_count == 0);
        plx_check(w->closed <= w->next);
        return;
    }
    plx_check(w->next - w->base <= w->cap);
    uint64_t open = w->old_count;
    for (uint64_t n = w->base; n < w->base + w->cap; n++) {
        if (n < w->next)
            open += *slot_of(w, n) != PLX_SLOT_CLOSED;
        else
            plx_check(*slot_of(w, n) == PLX_SLOT_NEW);
    }
    if (w->base < w->next)
        plx_check(*slot_of(w, w->base) != PLX_SLOT_CLOSED);
    plx_check(open + w->closed == w->next); // each number below next is open or closed
    plx_check(w->old_count <= w->old_cap);
    for (uint32_t i = 0; i < w->old_count; i++) {
        plx_check(w->old[i].number < w->base);
        plx_check(w->old[i].slot != PLX_SLOT_CLOSED);
        if (i > 0)
            plx_check(w->old[i - 1].number < w->old[i].number);
    }
}
