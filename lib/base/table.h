// table.h -- a hash table from 64-bit keys to 32-bit values: connection IDs to connections.
//
// Open addressing with linear probing: 16 bytes a bucket, four to a cache line, so nearly every answer costs one
// miss, which plx_table_prefetch() can start before it is needed. A removal moves the followers of a run back
// into the hole instead of leaving a tombstone, so the table never degrades with age and never needs rebuilding.
// Fixed size: beyond 7/8 full it refuses.
//
// Keys are mixed with a secret of the table (one wide multiplication, and another one to have a bucket of it). That is enough for keys that we have
// chosen ourselves (random or encrypted connection IDs) but is no defence against somebody who chooses keys and
// measures times. Strings that a peer chooses become keys by plx_table_key(), a SipHash under the table's
// secret; two different strings may then (once in 2^64) have one key, so the caller compares the string itself.
//
// Nothing can be listed in the order of buckets: what the program does never depends on the secret.
// Invariant: between a key's own bucket and the bucket that it is in, none is empty.

#ifndef PLX_BASE_TABLE_H
#define PLX_BASE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "plx/types.h"

#define PLX_TABLE_NONE UINT32_MAX // not a value: "no such key", and the mark of an empty bucket

struct plx_table_bucket {
    uint64_t key;
    uint32_t value; // PLX_TABLE_NONE: empty
    uint32_t reserved;
};
_Static_assert(sizeof(struct plx_table_bucket) == 16, "four buckets to a cache line");

struct plx_table {
    struct plx_table_bucket *v;
    uint64_t buckets;   // any number: memory for many connections need not double
    uint64_t secret[2]; // of this table
    uint32_t count, count_max;
    struct plx_arena own; // when no arena was given
};

// Room for at least capacity keys, at most 3/4 full then. Start-up only.
// Returns: false when there is not enough memory; nothing needs to be undone.
PLX_MUST_USE bool plx_table_init(struct plx_table *t, uint32_t capacity, struct plx_arena *arena);
void plx_table_fini(struct plx_table *t);

// Bytes that plx_table_init() takes of an arena at most.
size_t plx_table_bytes(uint32_t capacity);

static inline uint32_t plx_table_count(const struct plx_table *t)
{
    return t->count;
}

// The bucket where a key belongs.
static inline uint64_t plx_table_home(const struct plx_table *t, uint64_t key)
{
    unsigned __int128 product = (unsigned __int128)(key ^ t->secret[0]) * t->secret[1];
    uint64_t mixed = (uint64_t)(product >> 64) ^ (uint64_t)product;
    return (uint64_t)((unsigned __int128)mixed * t->buckets >> 64);
}

// The one behind it, around the end.
static inline uint64_t plx_table_after(const struct plx_table *t, uint64_t i)
{
    return i + 1 == t->buckets ? 0 : i + 1;
}

static inline void plx_table_prefetch(const struct plx_table *t, uint64_t key)
{
    __builtin_prefetch(&t->v[plx_table_home(t, key)]);
}

// The key's value, or PLX_TABLE_NONE.
static inline uint32_t plx_table_find(const struct plx_table *t, uint64_t key)
{
    for (uint64_t i = plx_table_home(t, key);; i = plx_table_after(t, i)) {
        const struct plx_table_bucket *b = &t->v[i];
        if (b->value == PLX_TABLE_NONE || b->key == key)
            return b->value;
    }
}

// Adds a key. value is anything but PLX_TABLE_NONE.
// Returns: false when the key is there already (its value stays) or the table is 7/8 full
// Another value for a key that is there; nothing when it is not.
static inline void plx_table_set(struct plx_table *t, uint64_t key, uint32_t value)
{
    for (uint64_t i = plx_table_home(t, key); t->v[i].value != PLX_TABLE_NONE; i = plx_table_after(t, i))
        if (t->v[i].key == key) {
            t->v[i].value = value;
            return;
        }
}

PLX_MUST_USE bool plx_table_add(struct plx_table *t, uint64_t key, uint32_t value);

// Removes a key and returns its value; PLX_TABLE_NONE when it was not there.
uint32_t plx_table_remove(struct plx_table *t, uint64_t key);

// A key for a string that a peer has chosen.
uint64_t plx_table_key(const struct plx_table *t, const void *p, size_t len);

// Checks every invariant, O(buckets). For tests, fuzzers and simulation.
void plx_table_verify(const struct plx_table *t);

#endif
