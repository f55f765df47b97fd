// recvbuf.h -- octets of a stream that arrived too early, or that the application did not take yet.
//
// Octets in order never come here: they are handed on straight from the packet. What must be kept lies in chunks of 4 KB from the
// slab, in a ring indexed by offset / 4096, so a chunk is found by a shift and a mask and its place is the octet's place: overlap
// and duplicates are one more copy of the same octets to the same address. What is there is known per chunk: as one extent, which is
// all that ordinary loss needs, or, once a second extent appears, as a bitmap of its 4096 octets. So any pattern of holes is exact, and
// costs the peer's flow-control window and an eighth at most; a list of ranges was rejected because it has to give up
// somewhere, and acknowledged octets cannot be asked for again.
//
// The object itself (the ring and its counters) lives in the slab too and exists only while something is kept: a stream that is
// read in order holds one NULL pointer. The window of flow control, which the caller has checked, bounds everything.

#ifndef PLX_QUIC_RECVBUF_H
#define PLX_QUIC_RECVBUF_H

#include <plx/types.h>

struct plx_slab;

enum {
    PLX_RECVBUF_CHUNK_LOG2 = 12,
    PLX_RECVBUF_CHUNK = 1 << PLX_RECVBUF_CHUNK_LOG2,
    PLX_RECVBUF_RING_LOG2_MAX = 15,
};
// The largest window for which a ring can be had: half of the largest ring, so that a window anywhere fits.
#define PLX_RECVBUF_WINDOW_MAX ((uint64_t)PLX_RECVBUF_CHUNK << (PLX_RECVBUF_RING_LOG2_MAX - 1))

struct plx_recvbuf_chunk {
    uint8_t *data;  // NULL: nothing of it is here
    uint64_t *bits; // NULL: what is here is [lo, hi)
    uint16_t lo, hi;
    uint16_t count; // octets that are here
};

struct plx_recvbuf {
    uint64_t held;   // octets kept
    uint64_t end;    // highest offset kept
    uint32_t chunks; // chunks in use
    uint8_t ring_log2;
    struct plx_recvbuf_chunk *ring;
};

// Keeps data[0, len) of offset; what lies below `read` (the first octet still wanted) is cut off. *b NULL: made when needed.
// Returns: false when the slab is empty; what is kept is as before or a part of the data has been added, and stays valid.
PLX_MUST_USE bool plx_recvbuf_put(struct plx_recvbuf **b, struct plx_slab *slab, uint64_t read,
                                  uint64_t offset, const uint8_t *data, size_t len);
// The octets at `read` that lie in one piece, borrowed until the next call; 0 when the octet at read is not here.
size_t plx_recvbuf_peek(const struct plx_recvbuf *b, uint64_t read, const uint8_t **data);
// Octets [read, read + len) are done with: they were here (peek said so) or arrived otherwise. Gives back chunks; *b becomes NULL when
// nothing is left.
void plx_recvbuf_drop(struct plx_recvbuf **b, struct plx_slab *slab, uint64_t read, uint64_t len);
void plx_recvbuf_clear(struct plx_recvbuf **b, struct plx_slab *slab);
static inline uint64_t plx_recvbuf_held(const struct plx_recvbuf *b)
{
    return b != NULL ? b->held : 0;
}
// Octets at and above read.
void plx_recvbuf_verify(const struct plx_recvbuf *b, uint64_t read);

#endif
