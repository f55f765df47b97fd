// pool.c -- see pool.h. What is here happens at start, at the end, or in debug builds.

#include "base/pool.h"

#include "base/bits.h"

enum { LINE = 64 };

static size_t stride_of(size_t obj_size)
{
    return plx_align_up(obj_size > 0 ? obj_size : 1, LINE);
}
static size_t stack_bytes(uint32_t count)
{
    return (size_t)count * sizeof(void *);
}
static size_t taken_bytes(uint32_t count)
{
    return ((size_t)count + 63) / 64 * sizeof(uint64_t);
}

size_t plx_pool_bytes(size_t obj_size, uint32_t count)
{
    return stride_of(obj_size) * count + stack_bytes(count) + taken_bytes(count) + (size_t)3 * LINE;
}

bool plx_pool_init(struct plx_pool *p, const char *name, size_t obj_size, uint32_t count,
                   struct plx_arena *arena)
{
    plx_check(obj_size <= UINT32_MAX - LINE);
    *p = (struct plx_pool){
        .name = name, .obj_size = (uint32_t)obj_size, .stride = stride_of(obj_size), .count = count};

    if (arena == NULL) {
        if (!plx_arena_init(&p->own, plx_pool_bytes(obj_size, count), PLX_NODE_ANY, false))
            return false;
        arena = &p->own;
    } else if (plx_arena_left(arena) < plx_pool_bytes(obj_size, count)) {
        return false; // seen beforehand, so that a refusal leaves the arena as it was
    }
    p->base = plx_arena_alloc(arena, p->stride * count, LINE);
    p->free = plx_arena_alloc(arena, stack_bytes(count), LINE);
    if (PLX_IS_DEBUG)
        p->taken = plx_arena_alloc(arena, taken_bytes(count), LINE);
    plx_check(p->base != NULL);
    plx_check(p->free != NULL);

    // The lowest address on top: a pool that is never full stays compact.
    for (uint32_t i = 0; i < count; i++)
        p->free[i] = p->base + (size_t)(count - 1 - i) * p->stride;
    p->free_count = count;
    plx_poison(p->base, p->stride * count);
    return true;
}

void plx_pool_populate(struct plx_pool *p)
{
    enum { PAGE = 4096 };
    plx_check(!p->is_frozen);
    plx_check(p->free_count == p->count);

    size_t bytes = p->stride * p->count;
    plx_unpoison(p->base, bytes);
    for (size_t at = 0; at < bytes; at += PAGE)
        *(volatile uint8_t *)(p->base + at) = 0;
    plx_poison(p->base, bytes);
}

void plx_pool_fini(struct plx_pool *p)
{
    if (p->base != NULL)
        plx_unpoison(p->base, p->stride * p->count); // the addresses may belong to somebody else next
    plx_arena_fini(&p->own);
    *p = (struct plx_pool){0};
}

void plx_pool_mark(struct plx_pool *p, const void *obj, bool is_taken)
{
    uint32_t idx = plx_pool_idx(p, obj);
    uint64_t bit = UINT64_C(1) << (idx & 63);
    uint64_t *word = &p->taken[idx / 64];

    plx_check(obj == p->base + (size_t)idx * p->stride); // the object itself, not a place inside it
    plx_check(((*word & bit) != 0) == !is_taken);        // given twice, or taken without having been given
    *word ^= bit;
}

void plx_pool_verify(const struct plx_pool *p)
{
    plx_check(p->free_count <= p->count);
    for (uint32_t i = 0; i < p->free_count; i++) {
        uint32_t idx = plx_pool_idx(p, p->free[i]);
        plx_check(idx < p->count);
        plx_check(p->free[i] == p->base + (size_t)idx * p->stride);
        if (p->taken != NULL)
            plx_check((p->taken[idx / 64] >> (idx & 63) & 1) == 0);
    }
    if (p->taken == NULL)
        return;
    uint32_t out = 0;
    for (uint32_t i = 0; i < (p->count + 63) / 64; i++)
        out += plx_popcount64(p->taken[i]);
    plx_check(out == plx_pool_in_use(p)); // with the above: the stack holds each free object exactly once
}
