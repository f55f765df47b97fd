// counter.h -- numbers that one core counts up and anybody may read.
//
// A counter has one writer, so adding needs no locked instruction: it is an ordinary load, addition and store that
// the compiler may not tear. A reader sees some value that the counter had, a moment old. Counters order nothing
// else: whoever needs to see data behind a number uses a ring.

#ifndef PLX_BASE_COUNTER_H
#define PLX_BASE_COUNTER_H

#include <stdatomic.h>
#include <stdint.h>

struct plx_counter {
    _Atomic uint64_t v;
};

// The owning core.
static inline void plx_counter_add(struct plx_counter *c, uint64_t n)
{
    uint64_t v = atomic_load_explicit(&c->v, memory_order_relaxed);
    atomic_store_explicit(&c->v, v + n, memory_order_relaxed);
}

// The owning core: for a level (objects in use) rather than a sum.
static inline void plx_counter_set(struct plx_counter *c, uint64_t v)
{
    atomic_store_explicit(&c->v, v, memory_order_relaxed);
}

// Any thread.
static inline uint64_t plx_counter_read(const struct plx_counter *c)
{
    return atomic_load_explicit(&c->v, memory_order_relaxed);
}

// PLX_COUNTER_ADD(stats->rx_packets, n)
#define PLX_COUNTER_ADD(counter, n) plx_counter_add(&(counter), (n))

#endif
