// frame_ack.c -- ACK frames, RFC 9000 section 19.3.
//
// On the wire the ranges go from the highest number down, each as the distance to the one before. Reading walks them once to see
// that none falls below zero, and leaves them where they are: nobody has to choose how many ranges a frame may have, and
// the walk that uses them (plx_ack_iter) has nothing left to check. A range takes at least two octets, so a count that the packet
// cannot hold is refused before the walk.

#include "quic/wire/frame_parts.h"

// --- reading -----------------------------------------------------------------------------------------------

// Skips and validates the ranges below `smallest`.
static bool ranges_read(struct plx_rd *r, uint64_t count, uint64_t smallest)
{
    for (; count > 0; count--) {
        uint64_t gap = plx_rd_varint(r);
        uint64_t len = plx_rd_varint(r);
        //= rfc9000 19.3.1 "If any computed packet number is negative, an endpoint MUST generate a connection error of type FRAME_ENCODING_ERROR"
        if (smallest < gap + 2 || smallest - gap - 2 < len)
            return false;
        smallest -= gap + 2 + len;
    }
    return !r->is_short;
}

bool plx_frame_ack_read(struct plx_rd *r, uint8_t type, struct plx_frame_ack *f)
{
    struct plx_rd t = *r; // in registers

    f->largest = plx_rd_varint(&t);
    f->delay = plx_rd_varint(&t);
    f->range_count = plx_rd_varint(&t);
    f->first_range = plx_rd_varint(&t);
    *r = t;
    if (r->is_short || f->first_range > f->largest || f->range_count > plx_rd_left(r) / 2)
        return false;

    f->ranges = *r;
    if (!ranges_read(r, f->range_count, f->largest - f->first_range))
        return false;
    f->ranges.end = r->p;

    f->has_ecn = type == PLX_FRAME_ACK_ECN;
    if (f->has_ecn) {
        f->ecn.ect0 = plx_rd_varint(r);
        f->ecn.ect1 = plx_rd_varint(r);
        f->ecn.ce = plx_rd_varint(r);
    } else {
        f->ecn = (struct plx_ecn_counts){0};
    }
    return !r->is_short;
}

void plx_ack_iter_init(struct plx_ack_iter *it, const struct plx_frame_ack *ack)
{
    it->r = ack->ranges;
    it->left = ack->range_count;
    it->largest = ack->largest;
    it->smallest = ack->largest - ack->first_range;
    it->is_first = true;
}

bool plx_ack_iter_next(struct plx_ack_iter *it, uint64_t *smallest, uint64_t *largest)
{
    if (it->is_first) {
        it->is_first = false;
    } else {
        if (it->left == 0)
            return false;
        it->left--;
        it->largest = it->smallest - plx_rd_varint(&it->r) - 2;
        it->smallest = it->largest - plx_rd_varint(&it->r);
    }
    *smallest = it->smallest;
    *largest = it->largest;
    return true;
}

// --- writing -----------------------------------------------------------------------------------------------

enum { ONE_RANGE_MAX = 1 + 8 + 8 + 1 + 8 + 3 * 8 }; // octets of a frame with one range

// Most of them: nothing is missing, and there is room.
static void one_range_write(struct plx_wr *w, const struct plx_range *only, uint64_t delay,
                            const struct plx_ecn_counts *ecn)
{
    uint8_t *p = w->p;

    *p = ecn != NULL ? PLX_FRAME_ACK_ECN : PLX_FRAME_ACK;
    p = plx_varint_put(plx_varint_put(p + 1, only->end - 1), delay);
    *p = 0;
    p = plx_varint_put(p + 1, only->end - 1 - only->first);
    if (ecn != NULL)
        p = plx_varint_put(plx_varint_put(plx_varint_put(p, ecn->ect0), ecn->ect1), ecn->ce);
    w->p = p;
}

// Whatever they are.
__attribute__((noinline)) static bool ranges_write(struct plx_wr *w, const struct plx_ranges *ranges,
                                                   uint64_t delay, const struct plx_ecn_counts *ecn,
                                                   unsigned ranges_max)
{
    struct plx_wr t = *w;
    unsigned i = ranges->count, count = 0;
    size_t ecn_len = 0;

    plx_check(ranges->count > 0);
    if (ranges_max > 64)
        ranges_max = 64; // their count is one octet
    if (ecn != NULL)
        ecn_len = plx_varint_len(ecn->ect0) + plx_varint_len(ecn->ect1) + plx_varint_len(ecn->ce);
    if (plx_wr_left(&t) < ecn_len)
        return false;
    t.end -= ecn_len; // kept free for the counts

    const struct plx_range *top = &ranges->v[--i];
    plx_wr_u8(&t, ecn != NULL ? PLX_FRAME_ACK_ECN : PLX_FRAME_ACK);
    plx_wr_varint(&t, top->end - 1);
    plx_wr_varint(&t, delay <= PLX_VARINT_MAX ? delay : PLX_VARINT_MAX);
    uint8_t *count_at = plx_wr_skip(&t, 1);
    plx_wr_varint(&t, top->end - 1 - top->first);
    if (t.is_full)
        return false;

    for (uint64_t smallest = top->first; i > 0 && count + 1 < ranges_max; count++) {
        const struct plx_range *v = &ranges->v[--i];
        uint64_t gap = smallest - v->end - 1, len = v->end - 1 - v->first;
        if (plx_wr_left(&t) < plx_varint_len(gap) + plx_varint_len(len))
            break;
        plx_wr_varint(&t, gap);
        plx_wr_varint(&t, len);
        smallest = v->first;
    }
    *count_at = (uint8_t)count;

    t.end += ecn_len;
    if (ecn != NULL) {
        plx_wr_varint(&t, ecn->ect0);
        plx_wr_varint(&t, ecn->ect1);
        plx_wr_varint(&t, ecn->ce);
    }
    return plx_frame_commit(w, &t);
}

bool plx_frame_ack_write(struct plx_wr *w, const struct plx_ranges *ranges, uint64_t delay,
                         const struct plx_ecn_counts *ecn, unsigned ranges_max)
{
    if (ranges->count != 1 || delay > PLX_VARINT_MAX || plx_wr_left(w) < ONE_RANGE_MAX)
        return ranges_write(w, ranges, delay, ecn, ranges_max);
    one_range_write(w, &ranges->v[0], delay, ecn);
    return true;
}
