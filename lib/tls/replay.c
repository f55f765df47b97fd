// replay.c -- see replay.h.

#include "tls/replay.h"
#include "base/siphash.h"
#include "base/time.h"
#include "crypto/keys.h"

enum { WORDS = PLX_REPLAY_BITS / 64, SLICE = WORDS / 16 };
_Static_assert(WORDS % SLICE == 0, "whole slices");

static _Atomic uint64_t *table_of(struct plx_replay *r, uint32_t period)
{
    return r->bits + (size_t)(period % PLX_REPLAY_TABLES) * WORDS;
}

bool plx_replay_init(struct plx_replay *r)
{
    size_t size = (size_t)PLX_REPLAY_TABLES * WORDS * sizeof *r->bits;

    *r = (struct plx_replay){.turned = PLX_NEVER, .cleared = WORDS};
    if (!plx_random_bytes(r->key, sizeof r->key) || !plx_arena_init(&r->memory, size, PLX_NODE_ANY, false))
        return false;
    r->bits = plx_arena_alloc(&r->memory, size, 64); // zero pages: what is never recorded takes no memory
    return r->bits != NULL;
}

void plx_replay_fini(struct plx_replay *r)
{
    if (r->bits != NULL)
        plx_arena_fini(&r->memory);
    r->bits = NULL;
}

void plx_replay_tick(struct plx_replay *r, plx_time now)
{
    uint32_t period = atomic_load_explicit(&r->period, memory_order_relaxed); // ours alone to write

    if (r->bits == NULL)
        return;
    if (plx_time_is_never(r->turned))
        r->turned = now;
    // Nobody who knew this table as the present or the next one is still at work.
    _Atomic uint64_t *after = table_of(r, period + 2);
    for (size_t end = r->cleared + SLICE; r->cleared < end && r->cleared < WORDS; r->cleared++)
        if (atomic_load_explicit(&after[r->cleared], memory_order_relaxed) != 0) // untouched pages stay so
            atomic_store_explicit(&after[r->cleared], 0, memory_order_relaxed);
    if (r->cleared < WORDS || !plx_time_reached(plx_time_after(r->turned, PLX_REPLAY_PERIOD), now))
        return;
    r->turned = now;
    r->cleared = 0;
    atomic_store_explicit(&r->period, period + 1, memory_order_release); // P2
}

static bool set(_Atomic uint64_t *table, uint64_t hash)
{
    uint64_t bit = hash % PLX_REPLAY_BITS, mask = UINT64_C(1) << bit % 64;
    return (atomic_fetch_or_explicit(&table[bit / 64], mask, memory_order_acq_rel) & mask) == 0; // P1
}

bool plx_replay_is_first(struct plx_replay *r, const void *p, size_t len)
{
    uint64_t hash = plx_siphash(r->key, p, len);
    uint32_t period = atomic_load_explicit(&r->period, memory_order_acquire); // P3
    bool is_first = set(table_of(r, period), hash);
    return set(table_of(r, period + 1), hash) && is_first;
}
