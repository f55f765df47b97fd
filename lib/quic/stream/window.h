// window.h -- from the number of a stream to its object: one kind of streams (of four) of a connection.
//
// Numbers are given out in order and streams end nearly in order, so the live ones lie in a window of numbers: a ring of pointers,
// indexed by number, that begins at the oldest number not closed. A slot says one of four things: never created, closed, refused (the
// object pool was empty when it came: refused.h keeps what must be known), or the object. A number that the peer has jumped over is "never
// created" without anybody having touched it: opening the thousandth stream first costs nothing (RFC 9000 section 3.2 demands that the lower
// ones count as open, which they do: they are not closed).
//
// The ring grows by doubling from the slab, up to a size that follows from the limit on concurrent streams. A stream that stays open
// while thousands pass would hold the window back: it is moved to a short sorted array of stragglers, searched by halving, so that
// what is usual stays an index into an array. Numbers in use are at most as many as streams may be open at once, which bounds both.
//
// What a window holds can be put away, while its numbers stay (streams_image.h): then there is no ring though numbers are in use. Whoever finds NEW there
// must have it back before it says anything.

#ifndef PLX_QUIC_WINDOW_H
#define PLX_QUIC_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct plx_slab;
struct plx_stream;

enum { PLX_WINDOW_MIN = 8, PLX_WINDOW_RING_MAX = 1 << 16, PLX_WINDOW_OLD_MAX = 1 << 16 };

struct plx_window_old {
    uint64_t number;
    struct plx_stream *slot;
};

struct plx_window {
    struct plx_stream **ring;   // NULL until the first stream
    uint64_t base;              // oldest number in the ring
    uint64_t next;              // numbers below are open or closed
    uint64_t limit;             // numbers below may be opened
    uint64_t closed;            // how many are
    uint32_t cap, cap_max;      // slots: powers of two
    struct plx_window_old *old; // stragglers: below base, ascending
    uint32_t old_count, old_cap;
};

// What a slot says besides pointing at an object.
#define PLX_SLOT_NEW     ((struct plx_stream *)0) // never created
#define PLX_SLOT_CLOSED  ((struct plx_stream *)1)
#define PLX_SLOT_REFUSED ((struct plx_stream *)2)
static inline bool plx_slot_is_stream(const struct plx_stream *slot)
{
    return (uintptr_t)slot > 2;
}

// concurrent: how many may be open at once; the ring's largest size follows from it.
void plx_window_init(struct plx_window *w, uint64_t limit, uint64_t concurrent);
void plx_window_fini(struct plx_window *w, struct plx_slab *slab);

struct plx_stream *plx_window_find_old(const struct plx_window *w, uint64_t number);

// The slot of a number. Numbers beyond the ring are NEW.
static inline struct plx_stream *plx_window_find(const struct plx_window *w, uint64_t number)
{
    if (__builtin_expect(number - w->base < w->cap, 1))
        return w->ring[number & (w->cap - 1)];
    return number < w->base ? plx_window_find_old(w, number) : PLX_SLOT_NEW;
}

// What it holds is put away.
static inline bool plx_window_is_away(const struct plx_window *w)
{
    return w->ring == NULL && w->next != w->base;
}

// Puts an object (or REFUSED) where NEW was. Not while it is away. number < limit. False: no memory for the ring; nothing has changed.
bool plx_window_set(struct plx_window *w, struct plx_slab *slab, uint64_t number, struct plx_stream *slot);
// The same for the next number, which the ring reaches.
static inline void plx_window_add(struct plx_window *w, struct plx_stream *s)
{
    w->ring[w->next++ & (w->cap - 1)] = s;
}
// What was an object or REFUSED is closed.
void plx_window_close_any(struct plx_window *w, uint64_t number);
void plx_window_skip_closed(struct plx_window *w); // those behind it have been closed before
static inline void plx_window_close(struct plx_window *w, uint64_t number)
{
    if (number != w->base) {
        plx_window_close_any(w, number);
        return;
    }
    uint32_t mask = w->cap - 1; // the oldest: most end in the order in which they began
    w->ring[number & mask] = PLX_SLOT_NEW;
    w->closed++;
    w->base = number + 1;
    if (w->ring[w->base & mask] == PLX_SLOT_CLOSED)
        plx_window_skip_closed(w);
}

// Every object or REFUSED in ascending order: the first at or above *number; NULL when there is none. *number gets its number.
struct plx_stream *plx_window_walk(const struct plx_window *w, uint64_t *number);
void plx_window_verify(const struct plx_window *w);

#endif
