// acks.c -- see acks.h for the idea.
//
// The window is a ring of bits: a number's bit is its number modulo the window's size. When the largest number rises, the bits of the
// numbers in between are cleared first: they have belonged to numbers that fall out of the window. A jump by more than
// the window clears everything.

#include "quic/recovery/acks.h"

#include "base/slab.h"

enum { ECT1 = 1, ECT0 = 2, CE = 3 }; // enum plx_ecn of plx/port.h

void plx_acks_init(struct plx_acks *a, struct plx_slab *slab, plx_dur delay_max)
{
    *a = (struct plx_acks){.delay_max = delay_max, .due = PLX_NEVER, .every = PLX_ACK_EVERY, .slab = slab};
}

// --- ranges --------------------------------------------------------------------------------------------------

static void ranges_copy(struct plx_ranges *to, const struct plx_range *v, uint16_t count)
{
    to->count = count;
    to->has_dropped = false;
    memcpy(to->v, v, count * sizeof *v);
}

void plx_acks_ranges(const struct plx_acks *a, struct plx_ranges *out)
{
    if (a->many != NULL)
        ranges_copy(out, a->many->v, a->many->count);
    else
        ranges_copy(out, a->few, a->few_count);
}

static bool ranges_are_empty(const struct plx_acks *a)
{
    return a->many == NULL && a->few_count == 0;
}

static const struct plx_range *ranges_last(const struct plx_acks *a)
{
    return a->many != NULL ? plx_ranges_last(a->many) : &a->few[a->few_count - 1];
}

// The highest of them have room.
static void ranges_keep_few(struct plx_acks *a, const struct plx_ranges *r)
{
    uint16_t count = r->count < PLX_ACKS_FEW ? r->count : PLX_ACKS_FEW;

    a->few_count = (uint8_t)count;
    memcpy(a->few, &r->v[r->count - count], count * sizeof r->v[0]);
}

static __attribute__((noinline)) void ranges_add_slow(struct plx_acks *a, uint64_t pn)
{
    struct plx_ranges r;

    plx_acks_ranges(a, &r);
    plx_ranges_add_drop_lowest(&r, pn, pn + 1);
    if (r.count > PLX_ACKS_FEW && a->slab != NULL)
        a->many = plx_slab_take(a->slab, sizeof *a->many);
    if (a->many == NULL)
        ranges_keep_few(a, &r);
    else
        ranges_copy(a->many, r.v, r.count);
}

static void ranges_add(struct plx_acks *a, uint64_t pn)
{
    if (a->many != NULL) {
        plx_ranges_add_drop_lowest(a->many, pn, pn + 1);
        return;
    }
    if (a->few_count > 0 && a->few[a->few_count - 1].end == pn)
        a->few[a->few_count - 1].end = pn + 1; // in order
    else
        ranges_add_slow(a, pn);
}

void plx_acks_shrink(struct plx_acks *a)
{
    if (a->many == NULL)
        return;
    ranges_keep_few(a, a->many);
    plx_slab_give(a->slab, a->many, sizeof *a->many);
    a->many = NULL;
}

static void ranges_remove_below(struct plx_acks *a, uint64_t below)
{
    if (a->many == NULL) {
        unsigned gone = 0;
        while (gone < a->few_count && a->few[gone].end <= below)
            gone++;
        a->few_count = (uint8_t)(a->few_count - gone);
        for (unsigned i = 0; gone > 0 && i < a->few_count; i++)
            a->few[i] = a->few[i + gone];
        if (a->few[0].first < below)
            a->few[0].first = below;
        return;
    }
    plx_ranges_remove_below(a->many, below);
    if (a->many->count == 1)
        plx_acks_shrink(a);
}

// --- the window ----------------------------------------------------------------------------------------------

static bool window_has(const struct plx_acks *a, uint64_t pn)
{
    return a->window[pn % PLX_ACK_WINDOW / 64] >> pn % 64 & 1;
}

static void window_set(struct plx_acks *a, uint64_t pn)
{
    a->window[pn % PLX_ACK_WINDOW / 64] |= UINT64_C(1) << pn % 64;
}

// The largest number rises to end - 1.
static void window_slide(struct plx_acks *a, uint64_t end)
{
    if (end - a->end >= PLX_ACK_WINDOW) {
        memset(a->window, 0, sizeof a->window);
    } else {
        for (uint64_t pn = a->end; pn < end; pn++)
            a->window[pn % PLX_ACK_WINDOW / 64] &= ~(UINT64_C(1) << pn % 64);
    }
    a->end = end;
}

bool plx_acks_is_duplicate(const struct plx_acks *a, uint64_t pn)
{
    if (pn >= a->end)
        return false;
    //= rfc9000 13.2.3 "A receiver MUST retain an ACK Range unless it can ensure that it will not subsequently accept packets with numbers in that range"
    if (a->end - pn > PLX_ACK_WINDOW)
        return true;
    return window_has(a, pn);
}

static void ecn_count(struct plx_acks *a, uint8_t ecn)
{
    a->has_ecn = true;
    a->ecn.ect0 += ecn == ECT0;
    a->ecn.ect1 += ecn == ECT1;
    a->ecn.ce += ecn == CE;
}

// Whether all numbers in [from, to) have come, as far as the window tells; to <= end.
static bool window_has_all(const struct plx_acks *a, uint64_t from, uint64_t to)
{
    if (a->end - from > PLX_ACK_WINDOW)
        return false;
    while (from < to) { // up to the end of a word at a time
        uint64_t n = 64 - from % 64;
        if (n > to - from)
            n = to - from;
        uint64_t bits = (n == 64 ? ~UINT64_C(0) : (UINT64_C(1) << n) - 1) << from % 64;
        if ((a->window[from % PLX_ACK_WINDOW / 64] & bits) != bits)
            return false;
        from += n;
    }
    return true;
}

// Whether this ack-eliciting packet, which is already counted, wants its ACK at once.
static bool is_urgent(const struct plx_acks *a, uint64_t pn, uint8_t ecn)
{
    //= rfc9000 13.2.1 "An endpoint MUST acknowledge all ack-eliciting Initial and Handshake packets immediately"
    if (a->delay_max.ns == 0)
        return true;
    //= rfc9000 13.2.2 "A receiver SHOULD send an ACK frame after receiving at least two"
    if (a->waiting >= a->every)
        return true;
    //= rfc9000 13.2.1 "when the received packet has a packet number less than another ack-eliciting packet that has been received"
    if (pn < a->eliciting_end)
        return true;
    if (!window_has_all(a, a->eliciting_end, pn))
        return true;
    //= rfc9000 13.2.1 "packets marked with the ECN Congestion Experienced (CE) codepoint in the IP header SHOULD be acknowledged immediately"
    return ecn == CE;
}

void plx_acks_on_received(struct plx_acks *a, uint64_t pn, bool is_ack_eliciting, uint8_t ecn, plx_time now)
{
    plx_debug(!plx_acks_is_duplicate(a, pn));
    if (pn == a->end) { // in order: its bit is written, whatever it was
        a->end = pn + 1;
        a->largest_at = now;
    } else if (pn > a->end) {
        window_slide(a, pn + 1);
        a->largest_at = now;
    }
    window_set(a, pn);
    ranges_add(a, pn);
    if (ecn != 0)
        ecn_count(a, ecn);
    //= rfc9000 13.2.1 "an endpoint MAY choose not to send an ACK frame with outgoing frames until an ack-eliciting packet has been received"
    if (!is_ack_eliciting)
        return;

    a->has_news = true;
    a->waiting++;
    plx_time due = is_urgent(a, pn, ecn) ? now : plx_time_after(now, a->delay_max);
    a->due = plx_time_min(a->due, due);
    if (pn >= a->eliciting_end)
        a->eliciting_end = pn + 1;
}

bool plx_acks_write(struct plx_acks *a, struct plx_wr *w, struct plx_refs *refs, uint8_t delay_exponent,
                    plx_time now)
{
    struct plx_ranges few;
    const struct plx_ranges *r = a->many != NULL ? a->many : &few;

    if (ranges_are_empty(a) || !plx_refs_has_room(refs))
        return false;
    if (a->many == NULL) { // all of them, whatever is in them: that is three moves
        few.count = a->few_count;
        few.has_dropped = false;
        memcpy(few.v, a->few, sizeof a->few);
    }
    uint64_t delay = plx_time_since(now, a->largest_at).ns / 1000 >> delay_exponent;
    if (!plx_frame_ack_write(w, r, delay, a->has_ecn ? &a->ecn : NULL, PLX_ACK_RANGES_TX))
        return false;
    uint64_t largest = plx_ranges_last(r)->end - 1;
    refs->v[refs->count++] = (struct plx_ref){.kind = PLX_REF_ACK, .offset = largest};
    a->due = PLX_NEVER;
    a->waiting = 0;
    a->has_news = false;
    return true;
}

void plx_acks_on_acked(struct plx_acks *a, uint64_t largest)
{
    if (ranges_are_empty(a))
        return;
    const struct plx_range *top = ranges_last(a);
    // The largest of all stays: an ACK frame cannot be without one, and RFC 9000 section 13.2.3 wants it to be kept.
    uint64_t below = largest + 1 < top->end ? largest + 1 : top->end - 1;
    ranges_remove_below(a, below);
}

void plx_acks_verify(const struct plx_acks *a)
{
    struct plx_ranges r;

    plx_check(a->few_count <= PLX_ACKS_FEW);
    plx_check(a->many == NULL || a->many->count > 0);
    plx_acks_ranges(a, &r);
    plx_ranges_verify(&r);
    plx_check(a->eliciting_end <= a->end);
    plx_check((a->waiting == 0) == plx_time_is_never(a->due));
    plx_check(a->has_news || a->waiting == 0);
    plx_check((a->end == 0) == plx_ranges_is_empty(&r));
    if (a->end == 0)
        return;
    plx_check(plx_ranges_last(&r)->end == a->end);
    for (uint64_t i = 0; i < PLX_ACK_WINDOW && i < a->end; i++) { // what is reported was received
        uint64_t pn = a->end - 1 - i;
        plx_check(!plx_ranges_has(&r, pn) || window_has(a, pn));
    }
}
