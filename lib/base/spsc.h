// spsc.h -- a ring of pointers between exactly two threads: one pushes, one pops, nobody waits.
//
// Two indices run freely and wrap at 2^32; the slot is the index modulo the capacity, a power of two. Each side
// owns one index and keeps, on its own cache line, the last value it has seen of the other's, so while the ring is
// neither full nor empty the two sides share no line but the slots themselves. Bursts pay for the edges once.
//
// The memory-order edges, by name:
//   P1 (release, tail) pairs with C1 (acquire, tail): slots are written before they are visible.
//   C2 (release, head) pairs with P2 (acquire, head): slots are read before they are reused.
// What was written to an object before it was pushed is seen by whoever pops it.

#ifndef PLX_BASE_SPSC_H
#define PLX_BASE_SPSC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bits.h"
#include "base/check.h"

struct plx_spsc {
    // --- the producer's line -------------------------------------------------------------------
    _Alignas(64) _Atomic uint32_t tail;
    uint32_t head_seen;
    // --- the consumer's line -------------------------------------------------------------------
    _Alignas(64) _Atomic uint32_t head;
    uint32_t tail_seen;
    // --- read-only after init ------------------------------------------------------------------
    _Alignas(64) uint32_t mask;
    void **slot;
};

_Static_assert(offsetof(struct plx_spsc, head) == 64, "producer and consumer have a line each");
_Static_assert(offsetof(struct plx_spsc, mask) == 128, "producer and consumer have a line each");

// slots: room for `capacity` pointers (a power of two), borrowed for the ring's life. Before either side starts.
static inline void plx_spsc_init(struct plx_spsc *q, void **slots, uint32_t capacity)
{
    plx_check(plx_is_pow2(capacity));
    plx_check(capacity <= UINT32_C(1) << 31);
    atomic_init(&q->tail, 0);
    atomic_init(&q->head, 0);
    q->head_seen = 0;
    q->tail_seen = 0;
    q->mask = capacity - 1;
    q->slot = slots;
}

static inline uint32_t plx_spsc_capacity(const struct plx_spsc *q)
{
    return q->mask + 1;
}

// How many are in it: exact for either side as long as the other rests, otherwise already a little old.
static inline uint32_t plx_spsc_count(const struct plx_spsc *q)
{
    // Head first: seen in this order the difference is never negative.
    uint32_t head = atomic_load_explicit(&q->head, memory_order_acquire);
    uint32_t count = atomic_load_explicit(&q->tail, memory_order_acquire) - head;
    return count <= q->mask + 1 ? count : q->mask + 1; // the other side ran on in between
}

// Producer. As many of the n objects as there is room for, in order; returns how many.
static inline uint32_t plx_spsc_push_burst(struct plx_spsc *q, void *const *obj, uint32_t n)
{
    uint32_t tail = atomic_load_explicit(&q->tail, memory_order_relaxed); // ours alone
    uint32_t room = q->mask + 1 - (tail - q->head_seen);

    if (room < n) { // looks full: refresh our view once
        q->head_seen = atomic_load_explicit(&q->head, memory_order_acquire); // P2
        room = q->mask + 1 - (tail - q->head_seen);
        if (room < n)
            n = room;
    }
    for (uint32_t i = 0; i < n; i++)
        q->slot[(tail + i) & q->mask] = obj[i];
    if (n > 0)
        atomic_store_explicit(&q->tail, tail + n, memory_order_release); // P1
    return n;
}

// Consumer. At most max objects, in order; returns how many.
static inline uint32_t plx_spsc_pop_burst(struct plx_spsc *q, void **obj, uint32_t max)
{
    uint32_t head = atomic_load_explicit(&q->head, memory_order_relaxed); // ours alone
    uint32_t n = q->tail_seen - head;

    if (n < max) { // looks (nearly) empty: refresh our view once
        q->tail_seen = atomic_load_explicit(&q->tail, memory_order_acquire); // C1
        n = q->tail_seen - head;
    }
    if (n > max)
        n = max;
    for (uint32_t i = 0; i < n; i++)
        obj[i] = q->slot[(head + i) & q->mask];
    if (n > 0)
        atomic_store_explicit(&q->head, head + n, memory_order_release); // C2
    return n;
}

// Producer. False when the ring is full.
static inline bool plx_spsc_push(struct plx_spsc *q, void *obj)
{
    return plx_spsc_push_burst(q, &obj, 1) == 1;
}

// Consumer. NULL when the ring is empty (so whoever uses this pushes no NULL).
static inline void *plx_spsc_pop(struct plx_spsc *q)
{
    void *obj = NULL;
    (void)plx_spsc_pop_burst(q, &obj, 1);
    return obj;
}

// Checks the invariants. Only while both sides rest.
static inline void plx_spsc_verify(const struct plx_spsc *q)
{
    uint32_t tail = atomic_load_explicit(&q->tail, memory_order_relaxed);
    uint32_t head = atomic_load_explicit(&q->head, memory_order_relaxed);

    plx_check(plx_is_pow2((uint64_t)q->mask + 1));
    plx_check(tail - head <= q->mask + 1);
    plx_check(tail - q->head_seen <= q->mask + 1); // neither view is ahead of the truth
    plx_check(q->tail_seen - head <= q->mask + 1);
    plx_check(head - q->head_seen <= q->mask + 1);
    plx_check(tail - q->tail_seen <= q->mask + 1);
}

#endif
