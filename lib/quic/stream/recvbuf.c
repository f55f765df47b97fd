// recvbuf.c -- see recvbuf.h.
//
// A chunk in use has at least one octet at or above `read`; what is below is taken out as read moves on, so `held` is exact and an
// empty buffer is no buffer.

#include "quic/stream/recvbuf.h"

#include <string.h>

#include "base/bits.h"
#include "base/check.h"
#include "base/slab.h"

enum { CHUNK = PLX_RECVBUF_CHUNK, BITS_BYTES = CHUNK / 8, RING_LOG2_MIN = 3 };

static struct plx_recvbuf_chunk *chunk_of(const struct plx_recvbuf *b, uint64_t idx)
{
    return &b->ring[idx & ((1u << b->ring_log2) - 1)];
}

static size_t ring_bytes(unsigned log2)
{
    return sizeof(struct plx_recvbuf_chunk) << log2;
}

// --- bits --------------------------------------------------------------------------------------------------

// The bits [from, to) of word i.
static uint64_t mask_of(unsigned i, unsigned from, unsigned to)
{
    uint64_t mask = UINT64_MAX;
    if (from > i * 64)
        mask &= UINT64_MAX << (from - i * 64);
    if (to < i * 64 + 64)
        mask &= UINT64_MAX >> (i * 64 + 64 - to);
    return mask;
}

// Sets [from, to), which is not empty, and says how many were not set.
static unsigned bits_set(uint64_t *bits, unsigned from, unsigned to)
{
    unsigned added = 0;
    for (unsigned i = from / 64; i <= (to - 1) / 64; i++) {
        uint64_t new = mask_of(i, from, to) & ~bits[i];
        bits[i] |= new;
        added += plx_popcount64(new);
    }
    return added;
}

static unsigned bits_clear(uint64_t *bits, unsigned from, unsigned to)
{
    unsigned removed = 0;
    for (unsigned i = from / 64; i <= (to - 1) / 64; i++) {
        uint64_t old = mask_of(i, from, to) & bits[i];
        bits[i] &= ~old;
        removed += plx_popcount64(old);
    }
    return removed;
}

// How many bits from `from` on are set without a gap.
static unsigned bits_run(const uint64_t *bits, unsigned from)
{
    for (unsigned i = from / 64; i < CHUNK / 64; i++) {
        uint64_t missing = ~bits[i] & mask_of(i, from, CHUNK);
        if (missing != 0)
            return i * 64 + plx_ctz64(missing) - from;
    }
    return CHUNK - from;
}

// --- one chunk ---------------------------------------------------------------------------------------------

static void chunk_give(struct plx_recvbuf *b, struct plx_slab *slab, struct plx_recvbuf_chunk *c)
{
    plx_slab_give(slab, c->data, CHUNK);
    if (c->bits != NULL)
        plx_slab_give(slab, c->bits, BITS_BYTES);
    *c = (struct plx_recvbuf_chunk){0};
    b->chunks--;
}

// Marks [from, to) as there. False: a bitmap is needed and there is no memory for it.
static bool chunk_mark(struct plx_recvbuf_chunk *c, struct plx_slab *slab, unsigned from, unsigned to)
{
    if (c->bits == NULL && c->count != 0 && (from > c->hi || to < c->lo)) { // a second extent
        c->bits = plx_slab_take(slab, BITS_BYTES);
        if (c->bits == NULL)
            return false;
        memset(c->bits, 0, BITS_BYTES);
        bits_set(c->bits, c->lo, c->hi);
    }
    if (c->bits == NULL) {
        c->lo = (uint16_t)(c->count == 0 || from < c->lo ? from : c->lo);
        c->hi = (uint16_t)(c->count == 0 || to > c->hi ? to : c->hi);
        c->count = (uint16_t)(c->hi - c->lo);
        return true;
    }
    c->count = (uint16_t)(c->count + bits_set(c->bits, from, to));
    if (c->count == CHUNK) { // whole again
        plx_slab_give(slab, c->bits, BITS_BYTES);
        c->bits = NULL;
        c->lo = 0;
        c->hi = CHUNK;
    }
    return true;
}

static bool chunk_put(struct plx_recvbuf *b, struct plx_slab *slab, uint64_t offset, const uint8_t *data,
                      size_t len)
{
    struct plx_recvbuf_chunk *c = chunk_of(b, offset / CHUNK);
    unsigned at = offset % CHUNK;

    if (c->data == NULL) {
        uint8_t *block = plx_slab_take(slab, CHUNK);
        if (block == NULL)
            return false;
        *c = (struct plx_recvbuf_chunk){.data = block};
        b->chunks++;
    }
    uint16_t count_old = c->count;
    if (!chunk_mark(c, slab, at, at + (unsigned)len))
        return false;
    b->held += (uint64_t)c->count - count_old;
    memcpy(c->data + at, data, len);
    return true;
}

// Takes out what is below `to`.
static void chunk_drop(struct plx_recvbuf *b, struct plx_slab *slab, struct plx_recvbuf_chunk *c, unsigned to)
{
    if (c->data == NULL || to == 0)
        return;
    uint16_t count_old = c->count;
    if (c->bits != NULL) {
        c->count = (uint16_t)(c->count - bits_clear(c->bits, 0, to));
    } else if (c->lo < to) {
        c->lo = (uint16_t)(to < c->hi ? to : c->hi);
        c->count = (uint16_t)(c->hi - c->lo);
    }
    b->held -= (uint64_t)count_old - c->count;
    if (c->count == 0)
        chunk_give(b, slab, c);
}

// --- the ring ----------------------------------------------------------------------------------------------

// Makes the ring cover the chunks [first, last].
static bool ring_reach(struct plx_recvbuf *b, struct plx_slab *slab, uint64_t first, uint64_t last)
{
    uint64_t last_old = b->end > 0 ? (b->end - 1) / CHUNK : 0;
    unsigned log2 = plx_log2_ceil((last > last_old ? last : last_old) - first + 1);

    if (b->ring != NULL && log2 <= b->ring_log2)
        return true;
    log2 = log2 < RING_LOG2_MIN ? RING_LOG2_MIN : log2;
    if (log2 > PLX_RECVBUF_RING_LOG2_MAX)
        return false;
    struct plx_recvbuf_chunk *ring = plx_slab_take(slab, ring_bytes(log2));
    if (ring == NULL)
        return false;
    memset(ring, 0, ring_bytes(log2));
    if (b->ring != NULL) {
        for (uint64_t i = first; i <= last_old; i++)
            ring[i & ((1u << log2) - 1)] = *chunk_of(b, i);
        plx_slab_give(slab, b->ring, ring_bytes(b->ring_log2));
    }
    b->ring = ring;
    b->ring_log2 = (uint8_t)log2;
    return true;
}

static bool put(struct plx_recvbuf *b, struct plx_slab *slab, uint64_t read, uint64_t offset,
                const uint8_t *data, size_t len)
{
    if (!ring_reach(b, slab, read / CHUNK, (offset + len - 1) / CHUNK))
        return false;
    while (len > 0) {
        size_t n = CHUNK - offset % CHUNK;
        n = n < len ? n : len;
        bool is_in = chunk_put(b, slab, offset, data, n);
        struct plx_recvbuf_chunk *c = chunk_of(b, offset / CHUNK);
        if (!is_in) {
            if (c->data != NULL && c->count == 0)
                chunk_give(b, slab, c);
            return false;
        }
        offset += n;
        data += n;
        len -= n;
        if (offset > b->end)
            b->end = offset;
    }
    return true;
}

// --- the interface -----------------------------------------------------------------------------------------

bool plx_recvbuf_put(struct plx_recvbuf **b, struct plx_slab *slab, uint64_t read, uint64_t offset,
                     const uint8_t *data, size_t len)
{
    if (offset < read) {
        size_t below = read - offset < len ? (size_t)(read - offset) : len;
        data += below;
        len -= below;
        offset = read;
    }
    if (len == 0)
        return true;
    if (*b == NULL) {
        *b = plx_slab_take(slab, sizeof **b);
        if (*b == NULL)
            return false;
        **b = (struct plx_recvbuf){0};
    }
    bool is_in = put(*b, slab, read, offset, data, len);
    if ((*b)->held == 0)
        plx_recvbuf_clear(b, slab);
    return is_in;
}

size_t plx_recvbuf_peek(const struct plx_recvbuf *b, uint64_t read, const uint8_t **data)
{
    if (b == NULL || read >= b->end)
        return 0;
    const struct plx_recvbuf_chunk *c = chunk_of(b, read / CHUNK);
    unsigned at = read % CHUNK;
    if (c->data == NULL)
        return 0;
    *data = c->data + at;
    if (c->bits != NULL)
        return bits_run(c->bits, at);
    return at >= c->lo && at < c->hi ? c->hi - at : 0u;
}

void plx_recvbuf_drop(struct plx_recvbuf **bp, struct plx_slab *slab, uint64_t read, uint64_t len)
{
    struct plx_recvbuf *b = *bp;
    if (b == NULL)
        return;
    uint64_t to = read + len < b->end ? read + len : b->end; // nothing lies behind end
    for (uint64_t at = read; at < to;) {
        uint64_t chunk_end = (at / CHUNK + 1) * CHUNK;
        chunk_drop(b, slab, chunk_of(b, at / CHUNK), to < chunk_end ? (unsigned)(to % CHUNK) : CHUNK);
        at = chunk_end;
    }
    if (b->held == 0)
        plx_recvbuf_clear(bp, slab);
}

void plx_recvbuf_clear(struct plx_recvbuf **bp, struct plx_slab *slab)
{
    struct plx_recvbuf *b = *bp;
    if (b == NULL)
        return;
    for (uint64_t i = 0; b->chunks > 0; i++) {
        plx_check(i >> b->ring_log2 == 0);
        if (b->ring[i].data != NULL)
            chunk_give(b, slab, &b->ring[i]);
    }
    if (b->ring != NULL)
        plx_slab_give(slab, b->ring, ring_bytes(b->ring_log2));
    plx_slab_give(slab, b, sizeof *b);
    *bp = NULL;
}

void plx_recvbuf_verify(const struct plx_recvbuf *b, uint64_t read)
{
    if (b == NULL)
        return;
    uint64_t held = 0;
    uint32_t chunks = 0;
    plx_check(b->held > 0);
    plx_check(b->end > read);
    for (uint64_t i = read / CHUNK; i < (read / CHUNK) + (UINT64_C(1) << b->ring_log2); i++) {
        const struct plx_recvbuf_chunk *c = chunk_of(b, i);
        if (c->data == NULL)
            continue;
        plx_check(i * CHUNK < b->end);
        chunks++;
        held += c->count;
        plx_check(c->count > 0);
        unsigned first = c->lo, count = (unsigned)(c->hi - c->lo);
        if (c->bits != NULL) {
            count = 0;
            first = CHUNK;
            for (unsigned k = 0; k < CHUNK / 64; k++) {
                if (c->bits[k] != 0 && first == CHUNK)
                    first = k * 64 + plx_ctz64(c->bits[k]);
                count += plx_popcount64(c->bits[k]);
            }
        }
        plx_check(count == c->count);
        plx_check(i * CHUNK + first >= read);
    }
    plx_check(chunks == b->chunks);
    plx_check(held == b->held);
}
