// sendbuf.h -- the octets of a stream that wait to be sent or to be acknowledged: a queue of borrowed pieces.
//
// Nothing is copied: a piece is a struct plx_buf whose owner is told once when its octets are no longer needed, which is when
// everything up to its end has been acknowledged, or the stream is reset. A response is one or two pieces, so two stand in the
// object itself; more go to a ring from the slab, up to a limit. Octets that do not outlive the call are copied into blocks of the
// slab, and neighbours join: a hundred small writes are a few pieces.
//
//        released      acknowledged out of order      lost
//   ├───────────────┼───────────[█████]──────────────[░░░]──────────┼──────────────────────┤
//   0             acked                                            next                   end
//
// What is below `acked` is forgotten. Between `acked` and `next` octets are in flight, or in one of two lists of ranges that exist
// only while they are needed. When a list is full, or the slab has no block for it, the buffer degrades to sending more than it
// must: it moves `next` back to the range that it cannot remember. So losing memory never loses octets, and nothing here can fail
// after octets have been accepted. Octets that are sent once more for this reason need no flow-control credit again: sent_max says
// how far new credit was used.
//
// Pieces are found from a cursor at `next`; only octets sent again are searched for from the front (at most PIECES_MAX steps).

#ifndef PLX_QUIC_SENDBUF_H
#define PLX_QUIC_SENDBUF_H

#include <plx/types.h>

#include "base/range.h"

struct plx_slab;

enum {
    PLX_SENDBUF_INLINE = 2,         // pieces in the object: head and body
    PLX_SENDBUF_PIECES_MAX = 256,   // then PLX_ERR_AGAIN
    PLX_SENDBUF_COPY_MIN = 256,     // smallest block for copied octets
    PLX_SENDBUF_COPY_BLOCK = 16384, // largest one
};

struct plx_sendbuf {
    struct plx_buf piece[PLX_SENDBUF_INLINE];
    // --- one line: every send and acknowledgement ---
    uint64_t acked;    // everything below is acknowledged and released (but for the rest of the first piece)
    uint64_t next;     // next octet to send for the first time, or again after degrading
    uint64_t end;      // octets queued so far
    uint64_t head_off; // offset of the first piece
    uint64_t cursor_off;  // offset of piece number cursor
    uint64_t sent_max;    // highest offset ever sent
    struct plx_buf *ring; // NULL: the pieces are the inline ones
    uint16_t head, count; // pieces: index of the first, and how many
    uint16_t cursor;      // relative to head; count when next is at the end of the last piece
    uint8_t ring_log2;    // capacity of ring
    uint8_t fin;          // enum plx_sendbuf_fin
    // --- only under loss ---
    struct plx_ranges *acks; // acknowledged above acked
    struct plx_ranges *lost; // to be sent again, below next
};

enum plx_sendbuf_fin {
    PLX_FIN_NONE,
    PLX_FIN_QUEUED /* to be sent, for the first time or again */,
    PLX_FIN_SENT,
    PLX_FIN_ACKED
};

// Octets for one frame.
struct plx_sendbuf_chunk {
    uint64_t offset, len; // len may be 0 with fin
    bool fin;             // these are the last ones
    bool is_new;          // not a retransmission: needs credit for [sent_max, offset + len)
};

void plx_sendbuf_init(struct plx_sendbuf *b);
// Releases every owner and gives all memory back; what follows is an empty buffer whose offsets stay as they were: on_acked and
// on_lost for what was sent are ignored.
void plx_sendbuf_clear(struct plx_sendbuf *b, struct plx_slab *slab);

// Queues pieces, all or none. Empty ones are released at once. After fin nothing may be added.
// Returns:  PLX_OK, PLX_ERR_AGAIN (no room for so many pieces; has_room() will tell), PLX_ERR_INVALID (more than ever fit),
//           PLX_ERR_NOMEM (the slab is empty)
PLX_MUST_USE enum plx_err plx_sendbuf_add(struct plx_sendbuf *b, struct plx_slab *slab,
                                          const struct plx_buf *bufs, uint16_t count, bool fin);
// The same for octets that are copied.
PLX_MUST_USE enum plx_err plx_sendbuf_add_copy(struct plx_sendbuf *b, struct plx_slab *slab, const void *data,
                                               size_t len, bool fin);
// Half of the queue is free: the moment to wake a writer that was refused.
static inline bool plx_sendbuf_has_room(const struct plx_sendbuf *b)
{
    return b->count <= PLX_SENDBUF_PIECES_MAX / 2;
}

// What to send next: lost octets first, then new ones below credit (the peer's limit on this stream). False: nothing.
// out->len is as much as there is in one go; the caller may send less (then without fin).
bool plx_sendbuf_peek(const struct plx_sendbuf *b, uint64_t credit, struct plx_sendbuf_chunk *out);
// Copies [offset, offset+len), which is within a chunk of peek, to out.
void plx_sendbuf_copy(const struct plx_sendbuf *b, uint64_t offset, size_t len, uint8_t *out);
// A message of one piece with its FIN, as most requests are, and the answers to them, needs no buffer until something is lost, split or added. Who has
// kept such a piece itself makes the buffer then, as it would be if the piece had been added (QUEUED), sent in one frame (SENT) and
// acknowledged (ACKED: it is gone). NONE: nothing was added. piece must not be one of the buffer's own.
void plx_sendbuf_init_whole(struct plx_sendbuf *b, const struct plx_buf *piece, enum plx_sendbuf_fin how);
// Octets that do not outlive the call, as one such piece. False: they are too many for one, or the slab is empty.
PLX_MUST_USE bool plx_sendbuf_copy_whole(struct plx_slab *slab, const void *data, size_t len,
                                         struct plx_buf *piece);
// Tells the owner of a piece that has left the queue, or gives the block of a copied one back.
void plx_sendbuf_release(struct plx_slab *slab, const struct plx_buf *piece);
// Has len octets on their way into the cache that will be copied soon: those `ahead` octets behind the next one to be sent, as far as they
// lie in the piece that is being sent. A large body is read once, from memory, and the copy would wait for each of its lines.
void plx_sendbuf_prefetch(const struct plx_sendbuf *b, size_t ahead, size_t len);
// The first len octets of the chunk left in a packet; fin: it said so.
void plx_sendbuf_on_sent(struct plx_sendbuf *b, struct plx_slab *slab, const struct plx_sendbuf_chunk *c,
                         uint64_t len, bool fin);

// What became of a frame that was sent. Releases owners, which may call plx_sendbuf_add from inside.
void plx_sendbuf_on_acked(struct plx_sendbuf *b, struct plx_slab *slab, uint64_t offset, uint64_t len,
                          bool fin);
void plx_sendbuf_on_lost(struct plx_sendbuf *b, struct plx_slab *slab, uint64_t offset, uint64_t len,
                         bool fin);

static inline bool plx_sendbuf_is_fin_queued(const struct plx_sendbuf *b)
{
    return b->fin != PLX_FIN_NONE;
}
static inline bool plx_sendbuf_is_complete(const struct plx_sendbuf *b)
{
    return b->fin == PLX_FIN_ACKED && b->acked == b->end;
}
// Something to send that needs no new credit: octets sent before, or a bare FIN.
static inline bool plx_sendbuf_has_owed(const struct plx_sendbuf *b)
{
    return b->lost != NULL || b->next < b->sent_max || (b->fin == PLX_FIN_QUEUED && b->sent_max == b->end);
}
// Octets never sent.
static inline bool plx_sendbuf_has_fresh(const struct plx_sendbuf *b)
{
    return b->sent_max < b->end;
}

void plx_sendbuf_verify(const struct plx_sendbuf *b);

#endif
