// sendbuf_copy.c -- octets that do not outlive the call: copied into blocks of the slab, which are pieces like any other.
//
// A copied piece is marked by its owner, a constant of this file that is compared and never called; its block begins a few octets
// before its data. As long as the last piece of the queue is a copied one and its block has room, more octets join it: somebody who
// writes a line at a time does not use up the queue. Blocks of one stream grow from 256 octets to 4 KB, so that little costs little.

#include "quic/stream/sendbuf_int.h"

#include <string.h>

#include "base/check.h"
#include "base/slab.h"

enum { GROW_MAX = 4096 };

struct copy_block {
    size_t size; // as taken
    uint8_t data[];
};

static struct plx_owner copied; // never called

static struct copy_block *block_of(const struct plx_buf *piece)
{
    return (struct copy_block *)((uint8_t *)piece->data - offsetof(struct copy_block, data));
}

void plx_sendbuf_release(struct plx_slab *slab, const struct plx_buf *piece)
{
    if (piece->owner == &copied) {
        struct copy_block *block = block_of(piece);
        plx_slab_give(slab, block, block->size);
    } else if (piece->owner != NULL) {
        piece->owner->release(piece->owner, piece->data, piece->len);
    }
}

// The last piece, when it is a copied one; else NULL.
static struct plx_buf *last_copied(const struct plx_sendbuf *b)
{
    struct plx_buf *last = b->count > 0 ? plx_sendbuf_piece(b, b->count - 1u) : NULL;
    return last != NULL && last->owner == &copied ? last : NULL;
}

static size_t room_in(const struct plx_buf *piece)
{
    return piece != NULL ? block_of(piece)->size - sizeof(struct copy_block) - piece->len : 0;
}

// The size of a block for len octets that come after one of size_last (0: none).
static size_t size_for(size_t len, size_t size_last)
{
    size_t want = len + sizeof(struct copy_block),
           grown = size_last * 2 < GROW_MAX ? size_last * 2 : GROW_MAX;
    want = want < PLX_SENDBUF_COPY_MIN ? PLX_SENDBUF_COPY_MIN : want;
    want = want < grown ? grown : want;
    return plx_slab_round(want < PLX_SENDBUF_COPY_BLOCK ? want : PLX_SENDBUF_COPY_BLOCK);
}

// Fills pieces behind the queue, which are not counted yet. Returns how many; 0: no memory, and nothing has changed.
static uint32_t take_blocks(struct plx_sendbuf *b, struct plx_slab *slab, const uint8_t *data, size_t len,
                            size_t size_last)
{
    uint32_t count = 0;
    while (len > 0) {
        size_t size = size_for(len, size_last);
        struct copy_block *block = plx_slab_take(slab, size);
        if (block == NULL) {
            while (count > 0)
                plx_sendbuf_release(slab, plx_sendbuf_piece(b, b->count + --count));
            return 0;
        }
        block->size = size;
        size_t n = size - sizeof *block < len ? size - sizeof *block : len;
        memcpy(block->data, data, n);
        *plx_sendbuf_piece(b, b->count + count++) = (struct plx_buf){block->data, n, &copied};
        data += n;
        len -= n;
    }
    return count;
}

bool plx_sendbuf_copy_whole(struct plx_slab *slab, const void *data, size_t len, struct plx_buf *piece)
{
    struct copy_block *block;
    size_t size = size_for(len, 0);

    if (len > size - sizeof *block || (block = plx_slab_take(slab, size)) == NULL)
        return false;
    block->size = size;
    memcpy(block->data, data, len);
    *piece = (struct plx_buf){block->data, len, &copied};
    return true;
}

enum plx_err plx_sendbuf_add_copy(struct plx_sendbuf *b, struct plx_slab *slab, const void *data, size_t len,
                                  bool fin)
{
    enum { PER_BLOCK = PLX_SENDBUF_COPY_BLOCK - sizeof(struct copy_block) };
    struct plx_buf *last = last_copied(b);
    size_t room = room_in(last), joined = len < room ? len : room, rest = len - joined;
    size_t size_last = last != NULL ? block_of(last)->size : 0;
    uint32_t count = 0;

    plx_check(b->fin == PLX_FIN_NONE);
    if (rest > (size_t)PLX_SENDBUF_PIECES_MAX * PER_BLOCK)
        return PLX_ERR_NOMEM;
    if (rest > 0) {
        enum plx_err err = plx_sendbuf_reserve(b, slab, (uint32_t)((rest + PER_BLOCK - 1) / PER_BLOCK));
        if (err != PLX_OK)
            return err;
        count = take_blocks(b, slab, (const uint8_t *)data + joined, rest, size_last);
        if (count == 0) {
            plx_sendbuf_trim(b, slab);
            return PLX_ERR_NOMEM;
        }
        last = last_copied(b); // the pieces may have moved
    }
    if (joined > 0) {
        memcpy((uint8_t *)block_of(last)->data + last->len, data, joined);
        if (b->cursor == b->count) { // next stood behind this piece and is now inside it
            b->cursor--;
            b->cursor_off = b->end - last->len;
        }
        last->len += joined;
    }
    b->count = (uint16_t)(b->count + count);
    b->end += len;
    if (fin)
        b->fin = PLX_FIN_QUEUED;
    return PLX_OK;
}
