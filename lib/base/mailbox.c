// mailbox.c -- see mailbox.h for the idea and the names of the edges.

#include "base/mailbox.h"

#include "base/bits.h"
#include "base/check.h"

bool plx_mailbox_init(struct plx_mailbox *m, uint32_t capacity, struct plx_arena *arena)
{
    plx_check(plx_is_pow2(capacity));
    *m = (struct plx_mailbox){.mask = capacity - 1};
    atomic_init(&m->tail, 0);
    atomic_init(&m->head, 0);

    size_t bytes = capacity * sizeof *m->cell;
    if (arena == NULL) {
        if (!plx_arena_init(&m->own, bytes, PLX_NODE_ANY, false))
            return false;
        arena = &m->own;
    }
    m->cell = plx_arena_alloc(arena, bytes, 64);
    if (m->cell == NULL)
        return false;
    for (uint32_t i = 0; i < capacity; i++)
        atomic_init(&m->cell[i].number, 0); // no position has this number
    return true;
}

void plx_mailbox_fini(struct plx_mailbox *m)
{
    plx_arena_fini(&m->own);
    *m = (struct plx_mailbox){0};
}

uint32_t plx_mailbox_push_burst(struct plx_mailbox *m, void *const *obj, uint32_t n)
{
    uint64_t tail = atomic_load_explicit(&m->tail, memory_order_relaxed);

    do { // a failed exchange brings the current tail
        uint64_t head = atomic_load_explicit(&m->head, memory_order_acquire); // P2
        // Our tail may be older than this head, and then the difference is "negative"; the exchange will fail.
        uint64_t used = tail - head;
        uint64_t room = used <= m->mask + 1 ? m->mask + 1 - used : m->mask + 1;
        if (n > room)
            n = (uint32_t)room;
        if (n == 0)
            return 0;
    } while (!atomic_compare_exchange_weak_explicit(&m->tail, &tail, tail + n, memory_order_relaxed,
                                                    memory_order_relaxed));

    for (uint32_t i = 0; i < n; i++) {
        struct plx_mailbox_cell *c = &m->cell[(tail + i) & m->mask];
        c->obj = obj[i];
        atomic_store_explicit(&c->number, tail + i + 1, memory_order_release); // P1
    }
    return n;
}

uint32_t plx_mailbox_pop_burst(struct plx_mailbox *m, void **obj, uint32_t max)
{
    uint64_t head = atomic_load_explicit(&m->head, memory_order_relaxed); // ours alone
    uint32_t n = 0;

    for (; n < max; n++) {
        struct plx_mailbox_cell *c = &m->cell[(head + n) & m->mask];
        if (atomic_load_explicit(&c->number, memory_order_acquire) != head + n + 1) // C1
            break;
        obj[n] = c->obj;
    }
    if (n > 0)
        atomic_store_explicit(&m->head, head + n, memory_order_release); // C2
    return n;
}

uint32_t plx_mailbox_count(const struct plx_mailbox *m)
{
    // Head first: seen in this order the difference is never negative.
    uint64_t head = atomic_load_explicit(&m->head, memory_order_acquire);
    uint64_t count = atomic_load_explicit(&m->tail, memory_order_acquire) - head;
    return (uint32_t)(count <= m->mask + 1 ? count : m->mask + 1);
}

void plx_mailbox_verify(const struct plx_mailbox *m)
{
    uint64_t tail = atomic_load_explicit(&m->tail, memory_order_relaxed);
    uint64_t head = atomic_load_explicit(&m->head, memory_order_relaxed);

    plx_check(plx_is_pow2(m->mask + 1));
    plx_check(tail - head <= m->mask + 1);
    for (uint64_t at = head; at != tail; at++) // at rest every reserved place is marked
        plx_check(atomic_load_explicit(&m->cell[at & m->mask].number, memory_order_relaxed) == at + 1);
    for (uint64_t at = tail; at != head + m->mask + 1; at++) // and no other one is
        plx_check(atomic_load_explicit(&m->cell[at & m->mask].number, memory_order_relaxed) != at + 1);
}
