// table.c -- see table.h for the idea.
//
// Removal by moving back: after bucket `hole` has become empty, walk on to the end of the run; a key whose own
// bucket is not strictly between the hole and itself (cyclically) would be cut off by the hole, so it moves in,
// and the place it leaves is the new hole.

#include "base/table.h"

#include <string.h>
#include <sys/random.h>

#include "base/bits.h"
#include "base/check.h"
#include "base/siphash.h"

static uint64_t buckets_for(uint32_t capacity)
{
    uint64_t buckets = plx_align_up((uint64_t)capacity + capacity / 3 + 1, 8);
    return buckets < 8 ? 8 : buckets;
}

size_t plx_table_bytes(uint32_t capacity)
{
    return buckets_for(capacity) * sizeof(struct plx_table_bucket) + 64;
}

bool plx_table_init(struct plx_table *t, uint32_t capacity, struct plx_arena *arena)
{
    uint64_t buckets = buckets_for(capacity);

    *t = (struct plx_table){.buckets = buckets};
    t->count_max = (uint32_t)(buckets - buckets / 8 < UINT32_MAX ? buckets - buckets / 8 : UINT32_MAX - 1);
    // Entropy at start, like memory. The order of buckets is invisible, so a simulation stays repeatable.
    if (getrandom(t->secret, sizeof t->secret, 0) != (ssize_t)sizeof t->secret)
        return false;
    t->secret[1] |= 1; // an even factor would lose bits

    if (arena == NULL) {
        if (!plx_arena_init(&t->own, plx_table_bytes(capacity), PLX_NODE_ANY, false))
            return false;
        arena = &t->own;
    }
    t->v = plx_arena_alloc(arena, buckets * sizeof *t->v, 64);
    if (t->v == NULL)
        return false;
    for (uint64_t i = 0; i < buckets; i++)
        t->v[i].value = PLX_TABLE_NONE;
    return true;
}

void plx_table_fini(struct plx_table *t)
{
    plx_arena_fini(&t->own);
    *t = (struct plx_table){0};
}

bool plx_table_add(struct plx_table *t, uint64_t key, uint32_t value)
{
    plx_check(value != PLX_TABLE_NONE);

    uint64_t i = plx_table_home(t, key);
    for (; t->v[i].value != PLX_TABLE_NONE; i = plx_table_after(t, i))
        if (t->v[i].key == key)
            return false;
    if (t->count == t->count_max)
        return false;
    t->v[i] = (struct plx_table_bucket){.key = key, .value = value};
    t->count++;
    return true;
}

// Steps from one bucket to another, around the end.
static uint64_t distance(const struct plx_table *t, uint64_t from, uint64_t to)
{
    return to >= from ? to - from : to + t->buckets - from;
}

uint32_t plx_table_remove(struct plx_table *t, uint64_t key)
{
    uint64_t hole = plx_table_home(t, key);
    while (t->v[hole].value != PLX_TABLE_NONE && t->v[hole].key != key)
        hole = plx_table_after(t, hole);

    uint32_t value = t->v[hole].value;
    if (value == PLX_TABLE_NONE)
        return PLX_TABLE_NONE;

    for (uint64_t i = plx_table_after(t, hole); t->v[i].value != PLX_TABLE_NONE; i = plx_table_after(t, i)) {
        if (distance(t, plx_table_home(t, t->v[i].key), i) >=
            distance(t, hole, i)) { // its own bucket is at the hole or before it
            t->v[hole] = t->v[i];
            hole = i;
        }
    }
    t->v[hole].value = PLX_TABLE_NONE;
    t->count--;
    return value;
}

uint64_t plx_table_key(const struct plx_table *t, const void *p, size_t len)
{
    uint8_t key[16];
    memcpy(key, t->secret, sizeof key);
    return plx_siphash(key, p, len);
}

void plx_table_verify(const struct plx_table *t)
{
    uint32_t count = 0;

    plx_check(t->count <= t->count_max);
    plx_check(t->count_max < t->buckets); // at least one bucket is empty, or a search would not end
    for (uint64_t i = 0; i < t->buckets; i++) {
        if (t->v[i].value == PLX_TABLE_NONE)
            continue;
        count++;
        for (uint64_t j = plx_table_home(t, t->v[i].key); j != i; j = plx_table_after(t, j)) {
            plx_check(t->v[j].value != PLX_TABLE_NONE); // reachable
            plx_check(t->v[j].key != t->v[i].key);      // and the first of its kind
        }
    }
    plx_check(count == t->count);
}
