// slab.c -- see slab.h for the idea.
//
// A block of class k has 64 << k bytes and begins at a multiple of its size; its buddy is at the offset that
// differs in that one bit. state[offset / 64] says what begins at an offset:
//
//      0          the inside of a block (or memory that was never carved)
//      USED | k   a block of class k that somebody holds
//      FREE | k   a block of class k in the free list: may be joined
//      KEPT | k   a block of class k in the cache: whole until flushed
//
// Joining asks one question: is the buddy's byte exactly FREE | k? Bytes inside a block are always 0, so a stale
// byte can never answer yes.

#include "base/slab.h"

#include "base/bits.h"
#include "base/check.h"
#include "base/poison.h"

enum { USED = 0x40, FREE = 0x80, KEPT = 0xc0, KIND = 0xc0, CLASS = 0x3f, TOP = PLX_SLAB_CLASSES - 1 };

struct plx_slab_block {
    struct plx_slab_block *next, *prev; // prev is unused in a cache
};

static size_t class_bytes(unsigned k)
{
    return (size_t)1 << (k + PLX_SLAB_MIN_LOG2);
}

static unsigned class_of(size_t size)
{
    return size <= class_bytes(0) ? 0 : plx_log2_ceil(size) - PLX_SLAB_MIN_LOG2;
}

static uint8_t *state_of(const struct plx_slab *s, const void *block)
{
    return &s->state[(size_t)((const uint8_t *)block - s->base) >> PLX_SLAB_MIN_LOG2];
}

// --- the free lists --------------------------------------------------------------------------------------

static void free_add(struct plx_slab *s, struct plx_slab_block *b, unsigned k)
{
    b->prev = NULL;
    b->next = s->free[k];
    if (b->next != NULL)
        b->next->prev = b;
    s->free[k] = b;
    *state_of(s, b) = (uint8_t)(FREE | k);
}

static void free_remove(struct plx_slab *s, struct plx_slab_block *b, unsigned k)
{
    if (b->prev != NULL)
        b->prev->next = b->next;
    else
        s->free[k] = b->next;
    if (b->next != NULL)
        b->next->prev = b->prev;
    *state_of(s, b) = 0;
}

// Puts a block that is nobody's back, joined with its buddy as often as that is free.
static void join(struct plx_slab *s, uint8_t *block, unsigned k)
{
    *state_of(s, block) = 0;
    for (; k < TOP; k++) {
        uint8_t *buddy = s->base + ((size_t)(block - s->base) ^ class_bytes(k));
        if (*state_of(s, buddy) != (FREE | k))
            break;
        free_remove(s, (struct plx_slab_block *)buddy, k);
        if (buddy < block)
            block = buddy;
    }
    free_add(s, (struct plx_slab_block *)block, k);
}

// A block of class k, by halving a larger one where there is none; NULL when there is none of those either.
static uint8_t *cut(struct plx_slab *s, unsigned k)
{
    unsigned from = k;
    while (from <= TOP && s->free[from] == NULL)
        from++;

    uint8_t *block;
    if (from <= TOP) {
        block = (uint8_t *)s->free[from];
        free_remove(s, s->free[from], from);
    } else if (s->carved < s->size) {
        block = s->base + s->carved;
        s->carved += class_bytes(TOP);
        from = TOP;
        plx_unpoison(block, sizeof(struct plx_slab_block));
    } else {
        return NULL;
    }
    while (from > k) { // the upper half stays behind
        from--;
        uint8_t *half = block + class_bytes(from);
        plx_unpoison(half, sizeof(struct plx_slab_block));
        free_add(s, (struct plx_slab_block *)half, from);
    }
    return block;
}

// Joins everything that the caches hold. True when there was anything.
static bool flush(struct plx_slab *s)
{
    bool was_any = false;
    for (unsigned k = 0; k < PLX_SLAB_CLASSES; k++) {
        while (s->cache[k] != NULL) {
            struct plx_slab_block *b = s->cache[k];
            s->cache[k] = b->next;
            join(s, (uint8_t *)b, k);
            was_any = true;
        }
        s->cache_count[k] = 0;
    }
    return was_any;
}

// --- the interface -----------------------------------------------------------------------------------------

bool plx_slab_init(struct plx_slab *s, size_t arena_bytes, int node)
{
    *s = (struct plx_slab){0};
    if (arena_bytes > SIZE_MAX / 4)
        return false;
    s->size = plx_align_up(arena_bytes > 0 ? arena_bytes : 1, PLX_SLAB_BLOCK_MAX);
    size_t units = s->size >> PLX_SLAB_MIN_LOG2;
    if (!plx_arena_init(&s->arena, s->size + units, node, false)) {
        s->size = 0;
        return false;
    }
    s->base = plx_arena_alloc(&s->arena, s->size, 4096);
    s->state = plx_arena_alloc(&s->arena, units, 64);
    plx_check(s->base != NULL);
    plx_check(s->state != NULL);
    plx_arena_advise_huge(&s->arena); // advice, not a share of the reserved ones
    plx_poison(s->base, s->size);
    return true;
}

void plx_slab_fini(struct plx_slab *s)
{
    if (s->base != NULL)
        plx_unpoison(s->base, s->size);
    plx_arena_fini(&s->arena);
    *s = (struct plx_slab){0};
}

size_t plx_slab_round(size_t size)
{
    plx_check(size <= PLX_SLAB_BLOCK_MAX);
    return class_bytes(class_of(size));
}

void *plx_slab_take(struct plx_slab *s, size_t size)
{
    if (size > PLX_SLAB_BLOCK_MAX) {
        s->exhausted++;
        return NULL;
    }
    unsigned k = class_of(size);
    uint8_t *block = (uint8_t *)s->cache[k];
    if (block != NULL) {
        s->cache[k] = s->cache[k]->next;
        s->cache_count[k]--;
    } else {
        block = cut(s, k);
        if (block == NULL && flush(s))
            block = cut(s, k);
    }
    if (block == NULL) {
        s->exhausted++;
        return NULL;
    }
    *state_of(s, block) = (uint8_t)(USED | k);
    s->bytes_in_use += class_bytes(k);
    plx_unpoison(block, size);
    return block;
}

void plx_slab_give(struct plx_slab *s, void *p, size_t size)
{
    plx_check((size_t)((uint8_t *)p - s->base) < s->carved); // ours
    plx_check(size <= PLX_SLAB_BLOCK_MAX);
    unsigned k = class_of(size);
    plx_check(*state_of(s, p) == (USED | k)); // taken, not given since, and with this size

    s->bytes_in_use -= class_bytes(k);
    plx_poison(p, class_bytes(k));
    plx_unpoison(p, sizeof(struct plx_slab_block));
    if (s->cache_count[k] == PLX_SLAB_CACHE_MAX) {
        join(s, p, k);
        return;
    }
    struct plx_slab_block *b = p;
    b->next = s->cache[k];
    s->cache[k] = b;
    s->cache_count[k]++;
    *state_of(s, p) = (uint8_t)(KEPT | k);
}

// --- proof -------------------------------------------------------------------------------------------------

void plx_slab_verify(const struct plx_slab *s)
{
    size_t found[4][PLX_SLAB_CLASSES] = {0}, used = 0;

    plx_check(s->carved <= s->size);
    for (size_t at = 0; at < s->carved;) { // the blocks tile the memory without gap or overlap
        uint8_t state = s->state[at >> PLX_SLAB_MIN_LOG2];
        unsigned k = state & CLASS;
        plx_check((state & KIND) != 0);
        plx_check(k < PLX_SLAB_CLASSES);
        plx_check(at % class_bytes(k) == 0);
        for (size_t in = 1; in < class_bytes(k) >> PLX_SLAB_MIN_LOG2; in++)
            plx_check(s->state[(at >> PLX_SLAB_MIN_LOG2) + in] == 0);
        if ((state & KIND) == FREE && k < TOP) // joined as far as possible
            plx_check(s->state[(at ^ class_bytes(k)) >> PLX_SLAB_MIN_LOG2] != state);
        if ((state & KIND) == USED)
            used += class_bytes(k);
        found[state >> 6][k]++;
        at += class_bytes(k);
    }
    plx_check(used == s->bytes_in_use);
    for (unsigned k = 0; k < PLX_SLAB_CLASSES; k++) {
        size_t count = 0;
        for (const struct plx_slab_block *b = s->free[k]; b != NULL; b = b->next, count++) {
            plx_check(*state_of(s, b) == (FREE | k));
            plx_check(b->next == NULL || b->next->prev == b);
        }
        plx_check(count == found[FREE >> 6][k]);
        count = 0;
        for (const struct plx_slab_block *b = s->cache[k]; b != NULL; b = b->next, count++)
            plx_check(*state_of(s, b) == (KEPT | k));
        plx_check(count == s->cache_count[k]);
        plx_check(count == found[KEPT >> 6][k]);
        plx_check(count <= PLX_SLAB_CACHE_MAX);
    }
}
