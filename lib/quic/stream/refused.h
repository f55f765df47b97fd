// refused.h -- streams of the peer for which there was no object: what must be known of them nevertheless.
//
// The pool of stream objects is sized by configuration; a peer within its limits may still find it empty, because other connections
// use it. Such a stream is refused with STOP_SENDING and, if it has our half, RESET_STREAM (RFC 9000 section 3.5), and its octets still
// count against the connection's window (section 4.5), or the two ends would disagree about credit for ever. That takes 24 octets
// in a small array, searched linearly: nobody is fast while being refused.

#ifndef PLX_QUIC_REFUSED_H
#define PLX_QUIC_REFUSED_H

#include <stdbool.h>
#include <stdint.h>

struct plx_slab;

enum plx_refused_flag {
    PLX_REFUSED_STOP = 1,       // STOP_SENDING is to be written
    PLX_REFUSED_STOP_DONE = 2,  // acknowledged, or no longer of use
    PLX_REFUSED_RESET = 4,      // RESET_STREAM is to be written
    PLX_REFUSED_RESET_DONE = 8, // acknowledged, or a unidirectional stream
    PLX_REFUSED_SIZE_KNOWN = 16,
};

struct plx_refused {
    uint64_t id;
    uint64_t recvd; // highest offset; the final size with SIZE_KNOWN
    uint32_t flags; // enum plx_refused_flag
    uint32_t reserved;
};

struct plx_refused_list {
    struct plx_refused *v;
    uint32_t count, cap;
};

// NULL: no memory.
struct plx_refused *plx_refused_add(struct plx_refused_list *l, struct plx_slab *slab, uint64_t id);
struct plx_refused *plx_refused_find(const struct plx_refused_list *l, uint64_t id);
static inline bool plx_refused_is_over(const struct plx_refused *r)
{
    unsigned all = PLX_REFUSED_STOP_DONE | PLX_REFUSED_RESET_DONE | PLX_REFUSED_SIZE_KNOWN;
    return (r->flags & all) == all;
}
void plx_refused_remove(struct plx_refused_list *l, struct plx_slab *slab, struct plx_refused *r);
void plx_refused_fini(struct plx_refused_list *l, struct plx_slab *slab);

#endif
