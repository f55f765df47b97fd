// wheel.c -- see wheel.h for the idea.

#include "base/wheel.h"

#include "base/bits.h"
#include "base/check.h"

enum { LEVEL_DUE = 0xff };

static unsigned digit(uint64_t tick, unsigned level)
{
    return (unsigned)(tick >> (level * PLX_WHEEL_DIGIT_BITS)) & (PLX_WHEEL_SLOTS - 1);
}

// The last tick of which the whole lies within time; a deadline behind it is as good as never.
static bool is_beyond_time(const struct plx_wheel *w, plx_time at)
{
    return plx_wheel_tick_of(w, at) > UINT64_MAX >> w->tick_log2;
}

static void place(struct plx_wheel *w, struct plx_timer *t)
{
    t->placed = plx_wheel_tick_of(w, t->at);
    if (t->placed <= w->tick) {
        t->level = LEVEL_DUE;
        plx_list_add_tail(&w->due, &t->link);
        return;
    }
    t->level = (uint8_t)(plx_log2_floor(t->placed ^ w->tick) / PLX_WHEEL_DIGIT_BITS);
    t->slot = (uint8_t)digit(t->placed, t->level);
    plx_list_add_tail(&w->slot[t->level][t->slot], &t->link);
    w->slots_used[t->level] |= UINT64_C(1) << t->slot;
    w->levels_used |= 1u << t->level;
}

static void slot_is_empty(struct plx_wheel *w, unsigned level, unsigned slot)
{
    w->slots_used[level] &= ~(UINT64_C(1) << slot);
    if (w->slots_used[level] == 0)
        w->levels_used &= ~(1u << level);
}

static void unlink_timer(struct plx_wheel *w, struct plx_timer *t)
{
    plx_list_remove(&t->link);
    if (t->level != LEVEL_DUE && plx_list_is_empty(&w->slot[t->level][t->slot]))
        slot_is_empty(w, t->level, t->slot);
    w->count--;
}

void plx_wheel_init(struct plx_wheel *w, plx_time now, plx_dur tick)
{
    unsigned log2 = plx_log2_ceil(tick.ns <= UINT64_C(1) << 62 ? tick.ns : UINT64_C(1) << 62);

    if (log2 < PLX_WHEEL_TICK_LOG2_MIN)
        log2 = PLX_WHEEL_TICK_LOG2_MIN;
    if (log2 > PLX_WHEEL_TICK_LOG2_MAX)
        log2 = PLX_WHEEL_TICK_LOG2_MAX;
    w->tick_log2 = log2;
    w->tick = now.ns >> log2;
    w->count = 0;
    w->levels_used = 0;
    plx_list_init(&w->due);
    for (unsigned level = 0; level < PLX_WHEEL_LEVELS; level++) {
        w->slots_used[level] = 0;
        for (unsigned slot = 0; slot < PLX_WHEEL_SLOTS; slot++)
            plx_list_init(&w->slot[level][slot]);
    }
}

void plx_wheel_set_slow(struct plx_wheel *w, struct plx_timer *t, plx_time at)
{
    if (plx_list_is_linked(&t->link))
        unlink_timer(w, t);
    t->at = at;
    if (is_beyond_time(w, at)) {
        t->at = PLX_NEVER;
        return;
    }
    place(w, t);
    w->count++;
}

void plx_wheel_cancel(struct plx_wheel *w, struct plx_timer *t)
{
    t->at = PLX_NEVER;
    if (plx_list_is_linked(&t->link))
        unlink_timer(w, t);
}

// The lowest used level's lowest used slot is the next thing that happens. False when all are empty.
static bool next_slot(const struct plx_wheel *w, unsigned *level, unsigned *slot, uint64_t *first_tick)
{
    if (w->levels_used == 0)
        return false;
    *level = plx_ctz64(w->levels_used);
    *slot = plx_ctz64(w->slots_used[*level]);
    unsigned below = *level * PLX_WHEEL_DIGIT_BITS, upto = below + PLX_WHEEL_DIGIT_BITS;
    *first_tick = w->tick >> upto << upto | (uint64_t)*slot << below;
    return true;
}

// Makes first_tick the current one and moves the slot's timers to where they belong now.
static void enter_slot(struct plx_wheel *w, unsigned level, unsigned slot, uint64_t first_tick)
{
    struct plx_list moved;

    plx_check(first_tick > w->tick);
    w->tick = first_tick;
    plx_list_init(&moved);
    plx_list_move_all(&moved, &w->slot[level][slot]);
    slot_is_empty(w, level, slot);
    for (struct plx_list *link; (link = plx_list_take_first(&moved)) != NULL;) {
        struct plx_timer *t = PLX_CONTAINER(link, struct plx_timer, link);
        if (is_beyond_time(w, t->at)) { // disarmed meanwhile
            t->at = PLX_NEVER;
            w->count--;
            continue;
        }
        place(w, t);
    }
}

uint32_t plx_wheel_expire(struct plx_wheel *w, plx_time now, struct plx_timer **out, uint32_t max)
{
    uint64_t target = now.ns >> w->tick_log2, first_tick;
    unsigned level, slot;
    uint32_t count = 0;

    while (count < max) {
        struct plx_list *link = plx_list_first(&w->due);
        if (link != NULL) {
            struct plx_timer *t = PLX_CONTAINER(link, struct plx_timer, link);
            unlink_timer(w, t);
            if (plx_wheel_tick_of(w, t->at) > w->tick) { // moved to a later time while it was due
                plx_wheel_set_slow(w, t, t->at);
                continue;
            }
            t->at = PLX_NEVER;
            out[count++] = t;
            continue;
        }
        if (!next_slot(w, &level, &slot, &first_tick) || first_tick > target) {
            if (target > w->tick) // nothing lies between: each timer's level and slot stay right
                w->tick = target;
            break;
        }
        enter_slot(w, level, slot, first_tick);
    }
    return count;
}

plx_time plx_wheel_next(const struct plx_wheel *w)
{
    unsigned level, slot;
    uint64_t first_tick = w->tick;

    if (plx_list_is_empty(&w->due) && !next_slot(w, &level, &slot, &first_tick))
        return PLX_NEVER;
    return (plx_time){first_tick << w->tick_log2};
}

// --- proof -------------------------------------------------------------------------------------------------

static void timer_verify(const struct plx_wheel *w, const struct plx_timer *t, unsigned level, unsigned slot)
{
    plx_check(t->level == level);
    plx_check(t->placed <= plx_wheel_tick_of(w, t->at)); // it is looked at in time
    if (level == LEVEL_DUE) {
        plx_check(t->placed <= w->tick);
        return;
    }
    plx_check(t->slot == slot);
    plx_check(t->placed > w->tick);
    plx_check(plx_log2_floor(t->placed ^ w->tick) / PLX_WHEEL_DIGIT_BITS == level);
    plx_check(digit(t->placed, level) == slot);
    plx_check(slot > digit(w->tick, level));
}

static uint32_t slot_verify(const struct plx_wheel *w, const struct plx_list *head, unsigned level,
                            unsigned slot)
{
    uint32_t count = 0;

    plx_list_verify(head);
    for (const struct plx_list *link = head->next; link != head; link = link->next, count++)
        timer_verify(w, PLX_CONTAINER(link, struct plx_timer, link), level, slot);
    return count;
}

void plx_wheel_verify(const struct plx_wheel *w)
{
    uint32_t count = slot_verify(w, &w->due, LEVEL_DUE, 0);

    for (unsigned level = 0; level < PLX_WHEEL_LEVELS; level++) {
        plx_check((w->slots_used[level] != 0) == ((w->levels_used >> level & 1) != 0));
        for (unsigned slot = 0; slot < PLX_WHEEL_SLOTS; slot++) {
            uint32_t here = slot_verify(w, &w->slot[level][slot], level, slot);
            plx_check((here != 0) == ((w->slots_used[level] >> slot & 1) != 0));
            count += here;
        }
    }
    plx_check(count == w->count);
}
