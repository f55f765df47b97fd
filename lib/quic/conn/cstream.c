// cstream.c -- see cstream.h for the idea.
//
// Offsets of what we send fit 32 bits because PLX_CSTREAM_SENT_MAX does; what a peer sends is 62 bits wide and is compared before
// anything is subtracted. When a list of ranges is full, sending errs towards sending again: that costs octets and never correctness.

#include "quic/conn/cstream.h"

#include <string.h>

#include "base/slab.h"
#include "quic/wire/frame.h"

_Static_assert(PLX_CSTREAM_HELD_MAX >= 4096, "RFC 9000 section 7.5");
_Static_assert(PLX_CSTREAM_HELD_MAX <= (1 << PLX_SLAB_MAX_LOG2), "one block must do");

enum { CSTREAM_BLOCK_MIN = 1024 };

// A larger block with the same content; false when there is none.
static bool block_grow(struct plx_slab *slab, uint8_t **buf, uint32_t *cap, uint32_t used, uint32_t need)
{
    size_t size = plx_slab_round(need < CSTREAM_BLOCK_MIN ? CSTREAM_BLOCK_MIN : need);
    uint8_t *to = plx_slab_take(slab, size);
    if (to == NULL)
        return false;
    if (*buf != NULL) {
        memcpy(to, *buf, used);
        plx_slab_give(slab, *buf, *cap);
    }
    *buf = to;
    *cap = (uint32_t)size;
    return true;
}

static void block_give(struct plx_slab *slab, uint8_t **buf, uint32_t *cap)
{
    if (*buf != NULL)
        plx_slab_give(slab, *buf, *cap);
    *buf = NULL;
    *cap = 0;
}

// --- sending ---------------------------------------------------------------------------------------------------

void plx_cstream_tx_init(struct plx_cstream_tx *s)
{
    s->buf = NULL;
    s->cap = s->len = s->next = 0;
    plx_ranges_init(&s->acked);
    plx_ranges_init(&s->lost);
}

void plx_cstream_tx_fini(struct plx_cstream_tx *s, struct plx_slab *slab)
{
    block_give(slab, &s->buf, &s->cap);
    plx_cstream_tx_init(s);
}

bool plx_cstream_tx_push(struct plx_cstream_tx *s, struct plx_slab *slab, const uint8_t *data, size_t len)
{
    if (len > PLX_CSTREAM_SENT_MAX - s->len)
        return false;
    if (len == 0)
        return true;
    uint32_t need = s->len + (uint32_t)len;
    if (need > s->cap && !block_grow(slab, &s->buf, &s->cap, s->len, need))
        return false;
    memcpy(s->buf + s->len, data, len);
    s->len = need;
    return true;
}

bool plx_cstream_tx_is_acked(const struct plx_cstream_tx *s)
{
    return plx_ranges_contains(&s->acked, 0, s->len);
}

// One frame of [first, end); returns how much of it went in.
static size_t write_some(struct plx_cstream_tx *s, struct plx_wr *w, struct plx_refs *refs, uint64_t first,
                         uint64_t end)
{
    size_t len;
    uint8_t *to = plx_refs_has_room(refs) ? plx_frame_crypto_begin(w, first, end - first, &len) : NULL;
    if (to == NULL)
        return 0;
    memcpy(to, s->buf + first, len);
    refs->v[refs->count++] = (struct plx_ref){.kind = PLX_REF_CRYPTO, .offset = first, .len = (uint32_t)len};
    return len;
}

void plx_cstream_tx_write(struct plx_cstream_tx *s, struct plx_wr *w, struct plx_refs *refs)
{
    const struct plx_range *r;
    while ((r = plx_ranges_first(&s->lost)) != NULL) {
        uint64_t first = r->first;
        size_t len = write_some(s, w, refs, first, r->end);
        if (len == 0)
            return;
        plx_ranges_remove_below(&s->lost, first + len);
    }
    if (s->next < s->len)
        s->next += (uint32_t)write_some(s, w, refs, s->next, s->len);
}

void plx_cstream_tx_on_acked(struct plx_cstream_tx *s, const struct plx_ref *ref)
{
    uint64_t end = ref->offset + ref->len;
    plx_check(end <= s->len);
    // Without room to remember it, it counts as lost: it will be sent and acknowledged again, when there is room.
    if (!plx_ranges_add(&s->acked, ref->offset, end)) {
        plx_cstream_tx_on_lost(s, ref);
        return;
    }
    if (!plx_ranges_remove(&s->lost, ref->offset, end))
        return; // would split a full list: these octets go once more
}

void plx_cstream_tx_on_lost(struct plx_cstream_tx *s, const struct plx_ref *ref)
{
    uint64_t first = ref->offset, end = ref->offset + ref->len;
    plx_check(end <= s->len);
    if (plx_ranges_contains(&s->acked, first, end)) // arrived in another packet meanwhile
        return;
    if (!plx_ranges_add(&s->lost, first, end)) { // too many holes: one large range instead of many small ones
        uint64_t low = plx_ranges_first(&s->lost)->first;
        plx_ranges_init(&s->lost);
        if (!plx_ranges_add(&s->lost, low < first ? low : first, s->next))
            plx_check(!"an empty list has room");
    }
}

// --- receiving -------------------------------------------------------------------------------------------------

void plx_cstream_rx_init(struct plx_cstream_rx *s)
{
    s->read = 0;
    s->buf = NULL;
    s->cap = 0;
    plx_ranges_init(&s->held);
}

void plx_cstream_rx_fini(struct plx_cstream_rx *s, struct plx_slab *slab)
{
    block_give(slab, &s->buf, &s->cap);
    plx_cstream_rx_init(s);
}

enum plx_cstream_held plx_cstream_rx_hold(struct plx_cstream_rx *s, struct plx_slab *slab, uint64_t offset,
                                          const uint8_t *data, size_t len)
{
    plx_check(offset > s->read);
    if (len == 0)
        return PLX_CSTREAM_OK;
    //= rfc9000 7.5 "If an endpoint's buffer is exceeded during the handshake"
    if (offset - s->read > PLX_CSTREAM_HELD_MAX || len > PLX_CSTREAM_HELD_MAX - (offset - s->read))
        return PLX_CSTREAM_EXCEEDED;
    uint32_t at = (uint32_t)(offset - s->read), need = at + (uint32_t)len;
    if (need > s->cap) {
        if (!block_grow(slab, &s->buf, &s->cap, s->cap, need))
            return PLX_CSTREAM_NOMEM;
    }
    if (!plx_ranges_add(&s->held, offset, offset + len)) {
        if (plx_ranges_is_empty(&s->held))
            block_give(slab, &s->buf, &s->cap);
        return PLX_CSTREAM_EXCEEDED;
    }
    memcpy(s->buf + at, data, len);
    return PLX_CSTREAM_OK;
}

struct plx_span plx_cstream_rx_peek(const struct plx_cstream_rx *s)
{
    const struct plx_range *r = plx_ranges_first(&s->held);
    if (r == NULL || r->first > s->read)
        return (struct plx_span){NULL, 0};
    return (struct plx_span){s->buf, (size_t)(r->end - s->read)};
}

void plx_cstream_rx_take(struct plx_cstream_rx *s, struct plx_slab *slab, size_t len)
{
    s->read += len;
    if (s->buf == NULL)
        return;
    plx_ranges_remove_below(&s->held, s->read);
    const struct plx_range *last = plx_ranges_last(&s->held);
    if (last == NULL) {
        block_give(slab, &s->buf, &s->cap);
        return;
    }
    // What is still held moves to the front, so that the block always begins at `read`. This happens a few times in a handshake
    // that has met loss, and never otherwise.
    memmove(s->buf, s->buf + len, (size_t)(last->end - s->read));
}

void plx_cstream_verify(const struct plx_cstream_tx *tx, const struct plx_cstream_rx *rx)
{
    plx_check(tx->next <= tx->len);
    plx_check(tx->len <= tx->cap);
    plx_check((tx->buf != NULL) == (tx->cap != 0));
    plx_ranges_verify(&tx->acked);
    plx_ranges_verify(&tx->lost);
    if (!plx_ranges_is_empty(&tx->lost))
        plx_check(plx_ranges_last(&tx->lost)->end <= tx->next);
    if (!plx_ranges_is_empty(&tx->acked))
        plx_check(plx_ranges_last(&tx->acked)->end <= tx->next);

    plx_ranges_verify(&rx->held);
    plx_check((rx->buf != NULL) == !plx_ranges_is_empty(&rx->held));
    if (rx->buf != NULL) {
        plx_check(plx_ranges_first(&rx->held)->first >= rx->read);
        plx_check(plx_ranges_last(&rx->held)->end - rx->read <= rx->cap);
    }
}
