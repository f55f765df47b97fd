// wheel.h -- deadlines of very many connections, set and moved in O(1), never fired early, at most a tick late.
//
// Time is cut into ticks (a power of two of nanoseconds, about 250 us). A deadline's tick number is read as digits
// to the base of 64, and the wheel has a level of 64 slots for each digit. A timer lies on the level of the highest
// digit in which its tick differs from the current one, in the slot of that digit. From this one rule follows:
//
//   * everything on a lower level comes before everything on a higher one, and in a level slots come in order: the
//     next thing to do is found by looking for two lowest set bits;
//   * when the current tick reaches a slot, its timers differ only in lower digits: they move down, or are due;
//   * empty slots cost nothing: a jump of hours costs what lies in between, not its ticks;
//   * the digits cover all of time: there is no horizon and no overflow list.
//
// Moving a deadline to a later time writes one field: the timer stays where it is, and when its old slot
// comes, it is placed anew. (A loss timer moves later with every acknowledgement and nearly never fires.) The same
// holds for PLX_NEVER. So plx_wheel_next() may name a moment at which nothing turns out to be due, but never one
// that is too late. A timer is part of its owner (PLX_CONTAINER finds it); before the owner's memory goes
// away plx_wheel_cancel() takes the timer out at once.
//
// Invariant: each timer lies by the rule above for the tick `placed`, which is never after its deadline's tick.
// A binary heap was rejected: every move costs log n misses, and deadlines move far more often than they pass.

#ifndef PLX_BASE_WHEEL_H
#define PLX_BASE_WHEEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "plx/types.h"

enum {
    PLX_WHEEL_DIGIT_BITS = 6, // 64 slots: one word of occupancy
    PLX_WHEEL_SLOTS = 1 << PLX_WHEEL_DIGIT_BITS,
    PLX_WHEEL_TICK_LOG2_MIN = 10,                                             // about 1 us: the finest tick
    PLX_WHEEL_TICK_LOG2_MAX = 30,                                             // about 1 s: the coarsest
    PLX_WHEEL_LEVELS = (64 - PLX_WHEEL_TICK_LOG2_MIN) / PLX_WHEEL_DIGIT_BITS, // covers 64 bits of nanoseconds
};

struct plx_timer {
    struct plx_list link;
    plx_time at;     // the deadline; PLX_NEVER when it is not armed
    uint64_t placed; // the tick that it lies by, at or before the deadline's
    uint8_t level, slot;
    uint8_t kind; // the owner's own: to tell its timers apart
};

struct plx_wheel {
    uint64_t tick;                         // the current one: everything before it has been handed out
    uint32_t tick_log2;                    // nanoseconds in a tick
    uint32_t count;                        // timers that lie in the wheel, armed or not
    struct plx_list due;                   // reached, not handed out yet
    uint32_t levels_used;                  // a bit per level with a used slot
    uint64_t slots_used[PLX_WHEEL_LEVELS]; // a bit per slot with a timer
    struct plx_list slot[PLX_WHEEL_LEVELS][PLX_WHEEL_SLOTS];
};

// tick: rounded up to a power of two of nanoseconds, from 2^10 (1 us) to 2^30 (1 s); PLX_US(250) becomes 262 us.
void plx_wheel_init(struct plx_wheel *w, plx_time now, plx_dur tick);

static inline plx_dur plx_wheel_tick(const struct plx_wheel *w)
{
    return (plx_dur){UINT64_C(1) << w->tick_log2};
}

// Timers that lie in the wheel (some of them perhaps no longer armed).
static inline uint32_t plx_wheel_count(const struct plx_wheel *w)
{
    return w->count;
}

static inline void plx_timer_init(struct plx_timer *t)
{
    plx_list_init(&t->link);
    t->at = PLX_NEVER;
    t->placed = 0;
    t->level = t->slot = t->kind = 0;
}

static inline bool plx_timer_is_armed(const struct plx_timer *t)
{
    return t->at.ns != PLX_NEVER.ns;
}

// The part of plx_wheel_set() that moves the timer.
void plx_wheel_set_slow(struct plx_wheel *w, struct plx_timer *t, plx_time at);

// The first tick that is not before a point in time.
static inline uint64_t plx_wheel_tick_of(const struct plx_wheel *w, plx_time at)
{
    return (at.ns >> w->tick_log2) + ((at.ns & ((UINT64_C(1) << w->tick_log2) - 1)) != 0);
}

// Arms the timer for `at`, in place of whatever it was armed for. A time in the past is due at once; PLX_NEVER
// disarms it (it may stay in the wheel: cancel before freeing it). Later than before: one store.
static inline void plx_wheel_set(struct plx_wheel *w, struct plx_timer *t, plx_time at)
{
    if (plx_list_is_linked(&t->link) && plx_wheel_tick_of(w, at) >= t->placed) {
        t->at = at; // it will be placed anew when its old slot comes
        return;
    }
    plx_wheel_set_slow(w, t, at);
}

// Disarms the timer and takes it out of the wheel; nothing happens when it is in none.
void plx_wheel_cancel(struct plx_wheel *w, struct plx_timer *t);

// Moves time to now and hands out at most max timers that are due, disarmed; returns how many. When it returns
// max, there may be more: call again. No order is promised among those of one call.
// Cost: O(levels) for each timer handed out or moved down; nothing for empty time.
uint32_t plx_wheel_expire(struct plx_wheel *w, plx_time now, struct plx_timer **out, uint32_t max);

// When plx_wheel_expire() should be called next: never later than the first deadline's tick, perhaps earlier;
// PLX_NEVER when the wheel is empty. Calling it then always makes progress.
plx_time plx_wheel_next(const struct plx_wheel *w);

// Checks every invariant, O(slots + timers). For tests, fuzzers and simulation.
void plx_wheel_verify(const struct plx_wheel *w);

#endif
