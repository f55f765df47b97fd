// pool.c -- see pool.h. What is here happens at start, at the end, when objects become cold or warm, or in debug builds.

#include "base/pool.h"

#include <string.h>
#include <sys/mman.h>

#include "base/bits.h"

enum { LINE = 64, PAGE = 4096, WORD = 64 };
#define SPAN ((size_t)1 << PLX_POOL_SPAN_LOG2)

static size_t stride_of(size_t obj_size)
{
    return plx_align_up(obj_size > 0 ? obj_size : 1, LINE);
}

static uint32_t words_of(uint32_t count)
{
    return count / WORD + (count % WORD != 0);
}

static uint32_t stack_of(uint32_t count)
{
    return count < PLX_POOL_STACK_MAX ? count : PLX_POOL_STACK_MAX;
}

// Spans that the objects reach into, wherever they begin.
static uint32_t spans_of(size_t bytes)
{
    return (uint32_t)((bytes >> PLX_POOL_SPAN_LOG2) + 2);
}

// A pool that fills some spans begins with one, so that none of them is anybody else's; a small one stands among others.
static bool has_spans(size_t bytes)
{
    return bytes >= 2 * SPAN;
}

static size_t about_bytes(size_t obj_size, uint32_t count)
{
    size_t spans = spans_of(stride_of(obj_size) * count) * sizeof(struct plx_pool_span);

    return stack_of(count) * sizeof(void *) + 2 * words_of(count) * sizeof(uint64_t) + spans +
           (size_t)5 * LINE;
}

size_t plx_pool_bytes(size_t obj_size, uint32_t count)
{
    size_t objects = stride_of(obj_size) * count;

    return objects + (has_spans(objects) ? SPAN : LINE) + about_bytes(obj_size, count);
}

// --- spans --------------------------------------------------------------------------------------------------

static uint32_t span_at(const struct plx_pool *p, size_t offset)
{
    return (uint32_t)((((uintptr_t)p->base & (SPAN - 1)) + offset) >> PLX_POOL_SPAN_LOG2);
}

// Objects that reach into a span, and the whole pages of it that are ours alone.
static uint32_t span_objects(const struct plx_pool *p, uint32_t s, uint8_t **from, uint8_t **to)
{
    uintptr_t base = (uintptr_t)p->base, end = base + p->stride * p->count;
    uintptr_t lo = (base & ~(uintptr_t)(SPAN - 1)) + s * SPAN, hi = lo + SPAN;

    lo = lo < base ? base : lo;
    hi = hi > end ? end : hi;
    *from = (uint8_t *)plx_align_up(lo, PAGE);
    *to = (uint8_t *)(hi & ~(uintptr_t)(PAGE - 1));
    return lo >= hi ? 0 : (uint32_t)((hi - 1 - base) / p->stride - (lo - base) / p->stride + 1);
}

static void cold_set(struct plx_pool *p, uint32_t idx, bool is_cold)
{
    uint64_t bit = UINT64_C(1) << idx % WORD, *word = &p->cold[idx / WORD];
    uint32_t last = span_at(p, (idx + 1) * p->stride - 1);

    plx_check(((*word & bit) != 0) == !is_cold); // given twice
    *word ^= bit;
    p->cold_count += is_cold ? 1 : UINT32_MAX;
    if (is_cold && idx / WORD < p->cold_first)
        p->cold_first = idx / WORD;
    for (uint32_t s = span_at(p, idx * p->stride); s <= last; s++) {
        p->spans[s].cold += is_cold ? 1 : UINT32_MAX;
        p->spans[s].is_resident = true;
        p->spans[s].was_cold = false;
    }
}

bool plx_pool_warm(struct plx_pool *p)
{
    if (p->cold_count == 0) {
        p->exhausted++;
        return false;
    }
    while (p->cold[p->cold_first] == 0)
        p->cold_first++;
    // a word's worth, the lowest address on top
    for (uint64_t bits; (bits = p->cold[p->cold_first]) != 0 && p->free_count < p->free_max;) {
        uint32_t idx = p->cold_first * WORD + WORD - 1 - plx_clz64(bits);
        cold_set(p, idx, false);
        p->free[p->free_count++] = p->base + idx * p->stride;
    }
    return true;
}

void plx_pool_chill(struct plx_pool *p, uint32_t count)
{
    plx_check(count <= p->free_count);
    for (uint32_t i = 0; i < count; i++)
        cold_set(p, plx_pool_idx(p, p->free[i]), true);
    p->free_count -= count;
    memmove(p->free, p->free + count, p->free_count * sizeof *p->free);
}

size_t plx_pool_trim(struct plx_pool *p)
{
    if (!has_spans(p->stride * p->count))
        return 0;
    uint32_t half = p->free_count - p->free_count / 2;
    plx_pool_chill(p, half < PLX_POOL_CHILL ? half : PLX_POOL_CHILL);
    for (uint32_t n = 0; n < p->span_count && n < PLX_POOL_TRIM_SPANS; n++) {
        uint32_t s = p->trim_next;
        struct plx_pool_span *span = &p->spans[s];
        uint8_t *from, *to;

        p->trim_next = s + 1 < p->span_count ? s + 1 : 0;
        if (!span->is_resident || span->cold == 0 || span->cold != span_objects(p, s, &from, &to))
            continue;
        if (!span->was_cold) {
            span->was_cold = true;
            continue;
        }
        span->is_resident = span->was_cold = false;
        if (from >= to || madvise(from, (size_t)(to - from), MADV_DONTNEED) != 0)
            continue; // locked pages, for example: they stay
        p->trimmed++;
        return (size_t)(to - from);
    }
    return 0;
}

// --- birth and death ----------------------------------------------------------------------------------------

bool plx_pool_init(struct plx_pool *p, const char *name, size_t obj_size, uint32_t count,
                   struct plx_arena *arena)
{
    plx_check(obj_size <= UINT32_MAX - LINE);
    *p = (struct plx_pool){.name = name,
                           .obj_size = (uint32_t)obj_size,
                           .stride = stride_of(obj_size),
                           .count = count,
                           .cold_count = count,
                           .free_max = stack_of(count)};
    size_t bytes = p->stride * count;

    if (arena == NULL) {
        if (!plx_arena_init(&p->own, plx_pool_bytes(obj_size, count), PLX_NODE_ANY, false))
            return false;
        arena = &p->own;
    } else if (plx_arena_left(arena) < plx_pool_bytes(obj_size, count)) {
        return false; // seen beforehand, so that a refusal leaves the arena as it was
    }
    p->base =
        has_spans(bytes) ? plx_arena_alloc_far(arena, bytes, SPAN) : plx_arena_alloc(arena, bytes, LINE);
    p->free = plx_arena_alloc(arena, p->free_max * sizeof *p->free, LINE);
    p->cold = plx_arena_alloc(arena, words_of(count) * sizeof *p->cold, LINE);
    p->span_count = spans_of(bytes);
    p->spans = plx_arena_alloc(arena, p->span_count * sizeof *p->spans, LINE);
    if (PLX_IS_DEBUG)
        p->taken = plx_arena_alloc(arena, words_of(count) * sizeof *p->taken, LINE);
    plx_check(p->base != NULL && p->free != NULL && p->cold != NULL && p->spans != NULL);

    for (uint32_t i = 0; i < count; i++)
        p->cold[i / WORD] |= UINT64_C(1) << i % WORD;
    for (uint32_t s = 0; s < p->span_count; s++) {
        uint8_t *from, *to;
        p->spans[s].cold = span_objects(p, s, &from, &to);
    }
    plx_poison(p->base, bytes);
    return true;
}

void plx_pool_populate(struct plx_pool *p)
{
    plx_check(!p->is_frozen);
    plx_check(p->cold_count == p->count);

    size_t bytes = p->stride * p->count;
    plx_unpoison(p->base, bytes);
    for (size_t at = 0; at < bytes; at += PAGE)
        *(volatile uint8_t *)(p->base + at) = 0;
    plx_poison(p->base, bytes);
    for (uint32_t s = 0; s < p->span_count; s++)
        p->spans[s].is_resident = true;
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

static bool is_cold(const struct plx_pool *p, uint32_t idx)
{
    return (p->cold[idx / WORD] >> idx % WORD & 1) != 0;
}

static bool is_taken(const struct plx_pool *p, uint32_t idx)
{
    return p->taken != NULL && (p->taken[idx / WORD] >> idx % WORD & 1) != 0;
}

void plx_pool_verify(const struct plx_pool *p)
{
    uint32_t cold = 0, out = 0;

    plx_check(p->free_count <= p->free_max);
    plx_check(plx_pool_left(p) <= p->count);
    for (uint32_t i = 0; i < p->free_count; i++) {
        uint32_t idx = plx_pool_idx(p, p->free[i]);
        plx_check(idx < p->count);
        plx_check(p->free[i] == p->base + (size_t)idx * p->stride);
        plx_check(!is_cold(p, idx) && !is_taken(p, idx));
    }
    for (uint32_t i = 0; i < p->count; i++) {
        cold += is_cold(p, i);
        out += is_taken(p, i);
        plx_check(!(is_cold(p, i) && is_taken(p, i)));
        plx_check(!is_cold(p, i) || i / WORD >= p->cold_first);
    }
    plx_check(cold == p->cold_count);
    for (uint32_t s = 0, i = 0; s < p->span_count && p->count > 0; s++) {
        uint32_t in_it = 0;
        while (i > 0 && span_at(p, i * p->stride - 1) >= s) // back to the first one that reaches into it
            i--;
        for (; i < p->count && span_at(p, i * p->stride) <= s; i++)
            in_it += span_at(p, (i + 1) * p->stride - 1) >= s && is_cold(p, i);
        plx_check(in_it == p->spans[s].cold);
    }
    if (p->taken != NULL)
        plx_check(out == plx_pool_in_use(p)); // with the above: each free object is there exactly once
}
