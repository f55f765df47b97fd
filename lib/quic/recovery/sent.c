// sent.c -- see sent.h for the idea.
//
// Growing copies a ring into one of twice the size, so that indices keep their meaning (number modulo capacity). Growth
// doubles, so it costs O(1) per packet. Retiring stops at the first record that somebody still waits for: outstanding ones
// wait for an ACK, lost ones for a late one. References of retired records are dropped by moving refs_head to where the next
// record's begin.
//
// Packets that elicit no acknowledgement (ACK alone) may never be acknowledged: a download's client sends nothing else. They are
// given up when PLX_SENT_IDLE_MAX younger ones have been sent; the only loss is that an ACK of such an ACK goes unnoticed.

#include "quic/recovery/sent.h"

#include <string.h>

enum {
    SKIP_MAX = 16,  // skipped numbers that get records when nothing else has one
    QUIET_MAX = 16, // times it emptied with less than a quarter in use before it halves
};
_Static_assert(PLX_SENT_REFS_MAX + 0 >= PLX_REFS_MAX + 0, "one packet always fits");

void plx_sent_init(struct plx_sent *s, struct plx_slab *slab)
{
    *s = (struct plx_sent){.slab = slab};
}

static void blocks_give(struct plx_sent *s)
{
    if (s->recs != NULL)
        plx_slab_give(s->slab, s->recs, s->recs_cap * sizeof *s->recs);
    if (s->refs != NULL)
        plx_slab_give(s->slab, s->refs, s->refs_cap * sizeof *s->refs);
    s->recs = NULL;
    s->refs = NULL;
    s->recs_cap = 0;
    s->refs_cap = 0;
}

void plx_sent_fini(struct plx_sent *s)
{
    blocks_give(s);
    *s = (struct plx_sent){.slab = s->slab, .base = s->end, .end = s->end, .oldest = s->end};
}

void plx_sent_release(struct plx_sent *s)
{
    if (s->outstanding > 0)
        return;
    blocks_give(s);
    s->base = s->end;
    s->oldest = s->end;
    s->refs_head = s->refs_tail;
    s->lost = 0;
    s->peak = 0;
    s->quiet = 0;
}

// --- capacity ----------------------------------------------------------------------------------------------

// cap is at least what is in use.
static bool recs_resize(struct plx_sent *s, uint32_t cap)
{
    struct plx_sent_rec *to = plx_slab_take(s->slab, cap * sizeof *to);

    if (to == NULL)
        return false;
    for (uint64_t pn = s->base; pn < s->end; pn++)
        to[pn & (cap - 1)] = s->recs[pn & (s->recs_cap - 1)];
    if (s->recs != NULL)
        plx_slab_give(s->slab, s->recs, s->recs_cap * sizeof *s->recs);
    s->recs = to;
    s->recs_cap = cap;
    return true;
}

static bool refs_resize(struct plx_sent *s, uint32_t cap)
{
    struct plx_ref *to = plx_slab_take(s->slab, cap * sizeof *to);

    if (to == NULL)
        return false;
    for (uint32_t i = s->refs_head; i != s->refs_tail; i++)
        to[i & (cap - 1)] = s->refs[i & (s->refs_cap - 1)];
    if (s->refs != NULL)
        plx_slab_give(s->slab, s->refs, s->refs_cap * sizeof *s->refs);
    s->refs = to;
    s->refs_cap = cap;
    return true;
}

static bool base_is_idle(const struct plx_sent *s)
{
    const struct plx_sent_rec *rec = plx_sent_at(s, s->base);
    return rec->state != PLX_SENT_LOST && plx_sent_base_is_optional(s);
}

static void base_drop(struct plx_sent *s)
{
    struct plx_sent_rec *rec = plx_sent_at(s, s->base);

    if (rec->state == PLX_SENT_OUTSTANDING)
        s->outstanding--;
    if (rec->state == PLX_SENT_LOST)
        s->lost--;
    s->base++;
    if (s->oldest < s->base)
        s->oldest = s->base;
}

// References of the records that are left begin where base's do. Without any the ring begins at its front again: a connection that answers
// a request now and then touches the same few lines of memory.
static void refs_trim(struct plx_sent *s)
{
    if (s->base < s->end) {
        s->refs_head = plx_sent_at(s, s->base)->refs_at;
        return;
    }
    s->refs_head = 0; // from the front again: a quiet connection touches the same few lines of memory
    s->refs_tail = 0;
}

// Where records begin when pn gets one. Nothing is kept: numbers far below pn need none.
static uint64_t base_for(const struct plx_sent *s, uint64_t pn)
{
    return s->base == s->end && pn - s->end > SKIP_MAX ? pn : s->base;
}

// Room for numbers up to pn. What is optional goes before the ring grows.
static bool recs_reserve(struct plx_sent *s, uint64_t pn)
{
    while (s->base < s->end && pn - s->base >= PLX_SENT_IDLE_MAX && base_is_idle(s))
        base_drop(s);
    while (s->base < s->end && pn - s->base >= s->recs_cap && plx_sent_base_is_optional(s))
        base_drop(s);
    refs_trim(s);
    uint64_t need = pn + 1 - base_for(s, pn);
    if (need > PLX_SENT_MAX)
        return false;
    uint32_t cap = s->recs_cap > 0 ? s->recs_cap : PLX_SENT_MIN;
    while (cap < need)
        cap *= 2;
    return cap == s->recs_cap || recs_resize(s, cap);
}

static bool refs_reserve(struct plx_sent *s, uint8_t count)
{
    uint32_t need = s->refs_tail - s->refs_head + count;
    if (need > PLX_SENT_REFS_MAX)
        return false;
    uint32_t cap = s->refs_cap > 0 ? s->refs_cap : PLX_SENT_REFS_MIN;
    while (cap < need)
        cap *= 2;
    return cap == s->refs_cap || refs_resize(s, cap);
}

bool plx_sent_make_room(struct plx_sent *s, uint64_t pn, uint8_t refs_count)
{
    plx_check(pn >= s->end);
    return recs_reserve(s, pn) && refs_reserve(s, refs_count);
}

// Everything is retired: a good moment to look whether the blocks are much too large.
static void shrink(struct plx_sent *s)
{
    bool is_small = s->peak * 4 < s->recs_cap;

    s->quiet = is_small ? s->quiet + 1 : 0;
    s->peak = 0;
    if (s->quiet < QUIET_MAX)
        return;
    s->quiet = 0;
    // A failure changes nothing: the larger block stays.
    if (s->recs_cap > PLX_SENT_MIN)
        (void)recs_resize(s, s->recs_cap / 2);
    if (s->refs_cap > PLX_SENT_REFS_MIN)
        (void)refs_resize(s, s->refs_cap / 2);
}

// --- records -----------------------------------------------------------------------------------------------

bool plx_sent_add(struct plx_sent *s, uint64_t pn, const struct plx_sent_rec *rec,
                  const struct plx_refs *refs)
{
    if (!plx_sent_reserve(s, pn, refs->count))
        return false;
    if (s->base == s->end) {
        s->base = base_for(s, pn);
        s->oldest = s->base;
        s->end = s->base;
    }
    for (; s->end < pn; s->end++)
        s->recs[s->end & (s->recs_cap - 1)] =
            (struct plx_sent_rec){.refs_at = s->refs_tail, .state = PLX_SENT_SKIPPED};

    struct plx_sent_rec *to = &s->recs[pn & (s->recs_cap - 1)];
    *to = *rec;
    to->state = PLX_SENT_OUTSTANDING;
    to->refs_at = s->refs_tail;
    to->refs_count = refs->count;
    s->end = pn + 1;
    uint32_t at = s->refs_tail, mask = s->refs_cap - 1;
    for (unsigned i = 0; i < refs->count; i++)
        s->refs[at++ & mask] = refs->v[i];
    s->refs_tail = at;
    s->outstanding++;
    s->eliciting += rec->is_eliciting;
    if (s->end - s->base > s->peak)
        s->peak = (uint32_t)(s->end - s->base);
    return true;
}

static void leave_outstanding(struct plx_sent *s, const struct plx_sent_rec *rec)
{
    plx_check(s->outstanding > 0);
    s->outstanding--;
    if (rec->is_eliciting) {
        plx_check(s->eliciting > 0);
        s->eliciting--;
    }
}

void plx_sent_set_acked(struct plx_sent *s, struct plx_sent_rec *rec)
{
    if (rec->state == PLX_SENT_OUTSTANDING) {
        leave_outstanding(s, rec);
    } else {
        plx_check(rec->state == PLX_SENT_LOST);
        s->lost--;
    }
    rec->state = PLX_SENT_ACKED;
}

void plx_sent_set_lost(struct plx_sent *s, struct plx_sent_rec *rec)
{
    plx_check(rec->state == PLX_SENT_OUTSTANDING);
    leave_outstanding(s, rec);
    s->lost++;
    rec->state = PLX_SENT_LOST;
}

// A skipped number is watched until the packets behind it are acknowledged: only then nobody can claim to have seen it.
static bool is_watched(const struct plx_sent *s, uint64_t pn)
{
    while (pn < s->end && plx_sent_at(s, pn)->state == PLX_SENT_SKIPPED)
        pn++;
    return pn < s->end && plx_sent_at(s, pn)->state == PLX_SENT_OUTSTANDING;
}

void plx_sent_retire(struct plx_sent *s)
{
    if (s->base == s->end) {
        refs_trim(s); // plx_sent_forget_lost() may have taken the last one
        return;
    }
    while (s->base < s->end) {
        uint8_t state = plx_sent_at(s, s->base)->state;
        if (state == PLX_SENT_OUTSTANDING || state == PLX_SENT_LOST)
            break;
        if (state == PLX_SENT_SKIPPED && is_watched(s, s->base))
            break;
        s->base++;
    }
    if (s->oldest < s->base)
        s->oldest = s->base;
    refs_trim(s);
    if (s->base == s->end)
        shrink(s);
}

void plx_sent_forget_lost(struct plx_sent *s, plx_time before)
{
    while (s->base < s->end) {
        const struct plx_sent_rec *rec = plx_sent_at(s, s->base);
        if (rec->state == PLX_SENT_LOST && plx_time_lt(rec->time, before)) {
            base_drop(s);
            continue;
        }
        if (rec->state != PLX_SENT_ACKED)
            break;
        base_drop(s);
    }
    plx_sent_retire(s);
}

void plx_sent_verify(const struct plx_sent *s)
{
    uint32_t outstanding = 0, eliciting = 0, lost = 0, refs_at = s->refs_head;

    plx_check(s->base <= s->oldest);
    plx_check(s->oldest <= s->end);
    plx_check(s->end - s->base <= s->recs_cap);
    plx_check(s->refs_tail - s->refs_head <= s->refs_cap);
    plx_check((s->recs == NULL) == (s->recs_cap == 0));
    plx_check((s->refs == NULL) == (s->refs_cap == 0));
    for (uint64_t pn = s->base; pn < s->end; pn++) {
        const struct plx_sent_rec *rec = plx_sent_at(s, pn);
        plx_check(pn >= s->oldest || rec->state != PLX_SENT_OUTSTANDING);
        plx_check(rec->refs_at == refs_at);
        refs_at += rec->refs_count;
        outstanding += rec->state == PLX_SENT_OUTSTANDING;
        eliciting += rec->state == PLX_SENT_OUTSTANDING && rec->is_eliciting;
        lost += rec->state == PLX_SENT_LOST;
    }
    plx_check(refs_at == s->refs_tail);
    plx_check(outstanding == s->outstanding);
    plx_check(eliciting == s->eliciting);
    plx_check(lost == s->lost);
}
