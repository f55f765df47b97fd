// sendbuf.c -- see sendbuf.h. Copied pieces are in sendbuf_copy.c.
//
// Invariants: head_off <= acked <= next <= sent_max <= end; the pieces together are exactly [head_off, end); `cursor` is the piece that holds
// octet `next` (or count, when next == end); lost lies within [acked, next), acks above acked; next is not in acks; a list that
// exists is not empty.

#include "quic/stream/sendbuf_int.h"

#include <string.h>

#include "base/bits.h"
#include "base/check.h"
#include "base/slab.h"

enum { RING_LOG2_MIN = 4, LINE = 64 };

static size_t ring_bytes(unsigned log2)
{
    return sizeof(struct plx_buf) << log2;
}

void plx_sendbuf_init(struct plx_sendbuf *b)
{
    *b = (struct plx_sendbuf){0};
}

void plx_sendbuf_init_whole(struct plx_sendbuf *b, const struct plx_buf *piece, enum plx_sendbuf_fin how)
{
    *b = (struct plx_sendbuf){.fin = (uint8_t)how};
    if (how == PLX_FIN_NONE)
        return;
    b->end = piece->len;
    if (how != PLX_FIN_QUEUED)
        b->next = b->sent_max = b->cursor_off = b->end;
    if (how == PLX_FIN_ACKED) {
        b->acked = b->head_off = b->end;
        b->head = 1;
        return;
    }
    b->piece[0] = *piece;
    b->count = 1;
    b->cursor = how == PLX_FIN_SENT;
}

static enum plx_err ring_grow(struct plx_sendbuf *b, struct plx_slab *slab, uint32_t count)
{
    if (count > PLX_SENDBUF_PIECES_MAX)
        return PLX_ERR_AGAIN;
    unsigned log2 = plx_log2_ceil(count);
    log2 = log2 < RING_LOG2_MIN ? RING_LOG2_MIN : log2;
    struct plx_buf *ring = plx_slab_take(slab, ring_bytes(log2));
    if (ring == NULL)
        return PLX_ERR_NOMEM;
    for (uint16_t i = 0; i < b->count; i++)
        ring[i] = *plx_sendbuf_piece(b, i);
    if (b->ring != NULL)
        plx_slab_give(slab, b->ring, ring_bytes(b->ring_log2));
    b->ring = ring;
    b->ring_log2 = (uint8_t)log2;
    b->head = 0;
    return PLX_OK;
}

enum plx_err plx_sendbuf_reserve(struct plx_sendbuf *b, struct plx_slab *slab, uint32_t extra)
{
    uint32_t count = b->count + extra;

    if (b->ring == NULL && count <= PLX_SENDBUF_INLINE) // a response
        return PLX_OK;
    return b->ring != NULL && count <= 1u << b->ring_log2 ? PLX_OK : ring_grow(b, slab, count);
}

void plx_sendbuf_trim(struct plx_sendbuf *b, struct plx_slab *slab)
{
    if (b->count > 0 || b->ring == NULL)
        return;
    plx_slab_give(slab, b->ring, ring_bytes(b->ring_log2));
    b->ring = NULL;
    b->head = 0;
}

enum plx_err plx_sendbuf_add(struct plx_sendbuf *b, struct plx_slab *slab, const struct plx_buf *bufs,
                             uint16_t count, bool fin)
{
    plx_check(b->fin == PLX_FIN_NONE);
    if (count == 1 && b->end == 0 && bufs->len > 0 && b->ring == NULL) { // a prepared message
        b->piece[b->head & (PLX_SENDBUF_INLINE - 1)] = *bufs;
        b->count = 1;
        b->end = bufs->len;
        b->fin = fin ? PLX_FIN_QUEUED : PLX_FIN_NONE;
        return PLX_OK;
    }
    if (count > PLX_SENDBUF_PIECES_MAX)
        return PLX_ERR_INVALID;
    enum plx_err err = plx_sendbuf_reserve(b, slab, count);
    if (err != PLX_OK)
        return err;
    for (uint16_t i = 0; i < count; i++) {
        if (bufs[i].len == 0)
            continue;
        *plx_sendbuf_piece(b, b->count++) = bufs[i];
        b->end += bufs[i].len;
    }
    plx_sendbuf_trim(b, slab); // when all were empty
    if (fin)
        b->fin = PLX_FIN_QUEUED;
    for (uint16_t i = 0; i < count; i++) // last, because a release may come back here
        if (bufs[i].len == 0 && bufs[i].owner != NULL)
            bufs[i].owner->release(bufs[i].owner, bufs[i].data, 0);
    return PLX_OK;
}

// --- the lists of ranges -----------------------------------------------------------------------------------

static bool list_add(struct plx_ranges **l, struct plx_slab *slab, uint64_t first, uint64_t end)
{
    if (*l == NULL) {
        *l = plx_slab_take(slab, sizeof **l);
        if (*l == NULL)
            return false;
        plx_ranges_init(*l);
    }
    return plx_ranges_add(*l, first, end);
}

static void list_tidy(struct plx_ranges **l, struct plx_slab *slab)
{
    if (*l == NULL || !plx_ranges_is_empty(*l))
        return;
    plx_slab_give(slab, *l, sizeof **l);
    *l = NULL;
}

// --- the cursor --------------------------------------------------------------------------------------------

static void set_next(struct plx_sendbuf *b, uint64_t next)
{
    b->next = next;
    if (next < b->cursor_off) {
        b->cursor = 0;
        b->cursor_off = b->head_off;
    }
    while (b->cursor < b->count) {
        size_t len = plx_sendbuf_piece(b, b->cursor)->len;
        if (next - b->cursor_off < len)
            break;
        b->cursor_off += len;
        b->cursor++;
    }
}

// Where octets are sent again from next on, those acknowledged meanwhile are not.
static void skip_acked(struct plx_sendbuf *b)
{
    if (b->acks == NULL)
        return;
    for (uint16_t i = 0; i < b->acks->count; i++) {
        const struct plx_range *r = &b->acks->v[i];
        if (b->next < r->first)
            return;
        if (b->next < r->end)
            set_next(b, r->end);
    }
}

// The answer to everything that cannot be remembered: go back and send it again.
static void rewind_to(struct plx_sendbuf *b, struct plx_slab *slab, uint64_t offset)
{
    if (offset >= b->next)
        return;
    set_next(b, offset);
    if (b->lost != NULL) {
        bool is_out = plx_ranges_remove(b->lost, b->next, UINT64_MAX); // at the end: never splits
        plx_check(is_out);
        list_tidy(&b->lost, slab);
    }
}

// --- sending -----------------------------------------------------------------------------------------------

bool plx_sendbuf_peek(const struct plx_sendbuf *b, uint64_t credit, struct plx_sendbuf_chunk *out)
{
    uint64_t end;

    *out = (struct plx_sendbuf_chunk){.offset = b->next};
    if (b->lost != NULL) {
        out->offset = b->lost->v[0].first;
        end = b->lost->v[0].end;
    } else if (b->next < b->sent_max) {
        end = b->sent_max;
        for (uint16_t i = 0; b->acks != NULL && i < b->acks->count; i++)
            if (b->acks->v[i].first > b->next) {
                end = b->acks->v[i].first;
                break;
            }
    } else {
        end = b->end < credit ? b->end : credit;
        out->is_new = b->next < end;
    }
    out->len = end > out->offset ? end - out->offset : 0;
    out->fin = b->fin == PLX_FIN_QUEUED && out->offset + out->len == b->end;
    return out->len > 0 || out->fin;
}

void plx_sendbuf_copy(const struct plx_sendbuf *b, uint64_t offset, size_t len, uint8_t *out)
{
    bool is_ahead = offset >= b->cursor_off;
    uint16_t i = is_ahead ? b->cursor : 0;
    uint64_t off = is_ahead ? b->cursor_off : b->head_off;

    plx_check(offset + len <= b->end);
    plx_check(offset >= off);
    while (len > 0) {
        const struct plx_buf *piece = plx_sendbuf_piece(b, i);
        if (offset - off < piece->len) {
            size_t at = (size_t)(offset - off), n = piece->len - at < len ? piece->len - at : len;
            memcpy(out, (const uint8_t *)piece->data + at, n);
            out += n;
            offset += n;
            len -= n;
        }
        off += piece->len;
        i++;
    }
}

void plx_sendbuf_prefetch(const struct plx_sendbuf *b, size_t ahead, size_t len)
{
    if (b->cursor == b->count)
        return;
    const struct plx_buf *piece = plx_sendbuf_piece(b, b->cursor);
    size_t at = (size_t)(b->next - b->cursor_off) + ahead;
    size_t end = at + len < piece->len ? at + len : piece->len;
    for (; at < end; at += LINE)
        __builtin_prefetch((const uint8_t *)piece->data + at);
}

void plx_sendbuf_on_sent(struct plx_sendbuf *b, struct plx_slab *slab, const struct plx_sendbuf_chunk *c,
                         uint64_t len, bool fin)
{
    uint64_t end = c->offset + len;

    if (fin)
        b->fin = PLX_FIN_SENT;
    if (c->offset < b->next) { // the first lost range, or the front of it: nothing splits
        bool is_out = plx_ranges_remove(b->lost, c->offset, end);
        plx_check(is_out);
        list_tidy(&b->lost, slab);
        return;
    }
    set_next(b, end);
    if (end > b->sent_max)
        b->sent_max = end;
    skip_acked(b);
}

// --- what became of it -------------------------------------------------------------------------------------

// Gives back what has been acknowledged as a whole. The owner may add pieces from inside: everything is consistent before it is called.
static void release_acked(struct plx_sendbuf *b, struct plx_slab *slab)
{
    while (b->count > 0) {
        struct plx_buf piece = *plx_sendbuf_piece(b, 0);
        if (b->acked - b->head_off < piece.len)
            return;
        b->head_off += piece.len;
        b->head++;
        b->count--;
        plx_check(b->cursor > 0); // next is not below acked
        b->cursor--;
        plx_sendbuf_trim(b, slab);
        plx_sendbuf_release(slab, &piece);
    }
}

static void on_acked_in_order(struct plx_sendbuf *b, struct plx_slab *slab, uint64_t end)
{
    b->acked = end;
    if (b->acks != NULL) {
        for (uint16_t i = 0; i < b->acks->count && b->acks->v[i].first <= b->acked; i++)
            if (b->acks->v[i].end > b->acked)
                b->acked = b->acks->v[i].end;
        plx_ranges_remove_below(b->acks, b->acked);
        list_tidy(&b->acks, slab);
    }
    if (b->lost != NULL) {
        plx_ranges_remove_below(b->lost, b->acked);
        list_tidy(&b->lost, slab);
    }
    if (b->next < b->acked)
        set_next(b, b->acked);
    release_acked(b, slab);
}

void plx_sendbuf_on_acked(struct plx_sendbuf *b, struct plx_slab *slab, uint64_t offset, uint64_t len,
                          bool fin)
{
    uint64_t end = offset + len;

    if (fin)
        b->fin = PLX_FIN_ACKED;
    if (len == 0 || end <= b->acked)
        return;
    plx_check(end <= b->sent_max);
    if (offset <= b->acked) {
        on_acked_in_order(b, slab, end);
        return;
    }
    if (!list_add(&b->acks, slab, offset, end)) {
        rewind_to(b, slab, offset);
        return;
    }
    if (b->lost != NULL) {
        // When this would split a range of a full list it stays, and a few octets are sent for nothing.
        if (plx_ranges_remove(b->lost, offset, end))
            list_tidy(&b->lost, slab);
    }
    skip_acked(b);
}

void plx_sendbuf_on_lost(struct plx_sendbuf *b, struct plx_slab *slab, uint64_t offset, uint64_t len,
                         bool fin)
{
    uint64_t first = offset > b->acked ? offset : b->acked;
    uint64_t end = offset + len < b->next ? offset + len : b->next; // from next on it is sent anyway

    if (fin && b->fin == PLX_FIN_SENT)
        b->fin = PLX_FIN_QUEUED;
    for (uint16_t i = 0; first < end; i++) { // what has been acknowledged by another frame is not lost
        bool is_last = b->acks == NULL || i == b->acks->count;
        uint64_t gap_end = is_last || b->acks->v[i].first > end ? end : b->acks->v[i].first;
        if (first < gap_end && !list_add(&b->lost, slab, first, gap_end)) {
            rewind_to(b, slab, first);
            list_tidy(&b->lost, slab);
            return;
        }
        if (is_last || b->acks->v[i].first >= end)
            return;
        if (b->acks->v[i].end > first)
            first = b->acks->v[i].end;
    }
}

void plx_sendbuf_clear(struct plx_sendbuf *b, struct plx_slab *slab)
{
    struct plx_sendbuf old = *b;

    // First the buffer becomes what it will be: owners may look at it.
    *b = (struct plx_sendbuf){.acked = old.sent_max,
                              .next = old.sent_max,
                              .end = old.sent_max,
                              .head_off = old.sent_max,
                              .cursor_off = old.sent_max,
                              .sent_max = old.sent_max,
                              .fin = PLX_FIN_ACKED};
    for (uint16_t i = 0; i < old.count; i++)
        plx_sendbuf_release(slab, plx_sendbuf_piece(&old, i));
    if (old.ring != NULL)
        plx_slab_give(slab, old.ring, ring_bytes(old.ring_log2));
    if (old.acks != NULL)
        plx_slab_give(slab, old.acks, sizeof *old.acks);
    if (old.lost != NULL)
        plx_slab_give(slab, old.lost, sizeof *old.lost);
}

// --- proof -------------------------------------------------------------------------------------------------

void plx_sendbuf_verify(const struct plx_sendbuf *b)
{
    plx_check(b->head_off <= b->acked);
    plx_check(b->acked <= b->next);
    plx_check(b->next <= b->sent_max);
    plx_check(b->sent_max <= b->end);
    plx_check(b->count <= (b->ring != NULL ? 1u << b->ring_log2 : PLX_SENDBUF_INLINE));
    plx_check(b->cursor <= b->count);
    plx_check(b->count > 0 || b->ring == NULL);
    uint64_t off = b->head_off;
    for (uint16_t i = 0; i < b->count; i++) {
        const struct plx_buf *piece = plx_sendbuf_piece(b, i);
        plx_check(piece->len > 0);
        if (i == 0)
            plx_check(b->acked - off < piece->len); // else it would have been released
        if (i == b->cursor) {
            plx_check(b->cursor_off == off);
            plx_check(b->next - off < piece->len);
        }
        off += piece->len;
    }
    plx_check(off == b->end);
    if (b->cursor == b->count)
        plx_check(b->next == b->end);
    if (b->acks != NULL) {
        plx_ranges_verify(b->acks);
        plx_check(b->acks->count > 0);
        plx_check(b->acks->v[0].first > b->acked);
        plx_check(plx_ranges_last(b->acks)->end <= b->sent_max);
        plx_check(!plx_ranges_has(b->acks, b->next));
    }
    if (b->lost != NULL) {
        plx_ranges_verify(b->lost);
        plx_check(b->lost->count > 0);
        plx_check(b->lost->v[0].first >= b->acked);
        plx_check(plx_ranges_last(b->lost)->end <= b->next);
    }
}
