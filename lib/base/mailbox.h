// mailbox.h -- a bounded ring of pointers from many threads to one: hand-off between cores, answers from helpers.
//
// Producers reserve places by moving `tail` with a compare-and-swap, then write their pointers, then mark each
// place with its number; the consumer takes places in order as long as they are marked. A place carries the number
// of the pointer that it holds (position + 1), so nothing has to be cleared for the next round. There is room as
// long as tail is less than a capacity ahead of `head`, which the consumer publishes once per burst.
//
// Nobody waits: a full mailbox refuses (counted by the caller), an empty one yields nothing. A producer that is
// interrupted between reserving and marking holds up what comes behind it, never what came before. One
// producer's pointers arrive in its order.
//
// The memory-order edges, by name:
//   P1 (release, cell.number) pairs with C1 (acquire, cell.number): a pointer is written before it is visible.
//   C2 (release, head) pairs with P2 (acquire, head): a pointer is read before its place is reused.
// tail itself orders nothing: it only gives out places.

#ifndef PLX_BASE_MAILBOX_H
#define PLX_BASE_MAILBOX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "plx/types.h"

struct plx_mailbox_cell {
    _Atomic uint64_t number; // position + 1 of what it holds
    void *obj;
};

struct plx_mailbox {
    // --- the producers' line -------------------------------------------------------------------
    _Alignas(64) _Atomic uint64_t tail;
    // --- the consumer's line, read by producers -------------------------------------------------
    _Alignas(64) _Atomic uint64_t head;
    // --- read-only after init ------------------------------------------------------------------
    _Alignas(64) uint64_t mask;
    struct plx_mailbox_cell *cell;
    struct plx_arena own; // when no arena was given
};

// Room for capacity pointers (a power of two) from the arena, or a mapping of its own when arena is NULL. Start-up.
// Returns: false when there is not enough memory; nothing needs to be undone.
PLX_MUST_USE bool plx_mailbox_init(struct plx_mailbox *m, uint32_t capacity, struct plx_arena *arena);

// When no producer is left. What is still in it is forgotten.
void plx_mailbox_fini(struct plx_mailbox *m);

// Any thread. The first objects of the n that there is room for, in order; returns how many.
uint32_t plx_mailbox_push_burst(struct plx_mailbox *m, void *const *obj, uint32_t n);

// Any thread. False when the mailbox is full.
static inline PLX_MUST_USE bool plx_mailbox_push(struct plx_mailbox *m, void *obj)
{
    return plx_mailbox_push_burst(m, &obj, 1) == 1;
}

// The one consumer. At most max objects; returns how many.
uint32_t plx_mailbox_pop_burst(struct plx_mailbox *m, void **obj, uint32_t max);

// Places that are reserved or filled; any thread, already a little old.
uint32_t plx_mailbox_count(const struct plx_mailbox *m);

// Checks the invariants. Only while everybody rests.
void plx_mailbox_verify(const struct plx_mailbox *m);

#endif
