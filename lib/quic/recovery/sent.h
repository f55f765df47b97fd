// sent.h -- packets that were sent, by number, until nobody needs them any more.
//
// A ring of 16-octet records indexed by packet number, and a FIFO ring of frame references beside it: the references of packet n
// stand in one piece behind those of n - 1. Nothing is searched, linked or copied: an acknowledged range is a walk over adjacent
// records, four to a cache line, and whatever lies below the oldest record still needed is given up in runs by moving
// two indices. Numbers that were skipped on purpose (RFC 9000 section 21.4) are records too, so that an acknowledgement
// of one is noticed.
//
// A lost packet hands its references back at once but its record stays for a while: a late ACK then tells that the loss was
// spurious. Such records go when plx_sent_forget_lost() says so or when their place is needed.
//
// Both rings live in slab blocks that double when they are full, up to a limit, and halve when they have been much too large for
// some time; plx_sent_release() of an idle connection gives them back altogether.
//
// Invariant: [base, end) are the numbers with a record; after a retire the one at base is outstanding, lost or skipped;
// refs_head..refs_tail are the references of records in that order, with the dead ones of acked and lost packets in between.

#ifndef PLX_QUIC_SENT_H
#define PLX_QUIC_SENT_H

#include "base/check.h"
#include "base/slab.h"
#include "base/time.h"
#include "quic/limits.h"
#include "quic/wire/ref.h"

enum plx_sent_state { PLX_SENT_SKIPPED, PLX_SENT_OUTSTANDING, PLX_SENT_ACKED, PLX_SENT_LOST };

struct plx_sent_rec {
    plx_time time;    // when it left
    uint32_t refs_at; // free-running index of its first reference
    uint16_t bytes;
    uint8_t refs_count;
    uint8_t state : 2; // enum plx_sent_state
    uint8_t is_eliciting : 1;
    uint8_t is_in_flight : 1;
    uint8_t is_ect : 1;    // left with an ECN mark
    uint8_t is_probed : 1; // its references were handed out for a probe: not again
    uint8_t is_app_limited : 1;
};
_Static_assert(sizeof(struct plx_sent_rec) == 16, "four to a cache line");

struct plx_sent {
    struct plx_sent_rec *recs; // NULL: no block
    struct plx_ref *refs;      // NULL: no block
    struct plx_slab *slab;
    uint64_t base, end;            // [base, end): numbers with a record
    uint64_t oldest;               // no number in [base, oldest) is outstanding: where walks begin
    uint32_t recs_cap, refs_cap;   // powers of two
    uint32_t refs_head, refs_tail; // free-running
    uint32_t outstanding;          // records in that state
    uint32_t eliciting;            // of them, ack-eliciting
    uint32_t lost;                 // records kept for spurious losses
    uint32_t peak, quiet; // for shrinking: most records since, and times it emptied while far below its size
};

void plx_sent_init(struct plx_sent *s, struct plx_slab *slab);
void plx_sent_fini(struct plx_sent *s); // gives the blocks back; references are gone without notice
void plx_sent_release(
    struct plx_sent *s); // the blocks, when nothing is outstanding; lost records are forgotten

// pn >= end; numbers between are skipped. False: no memory; nothing has changed.
bool plx_sent_add(struct plx_sent *s, uint64_t pn, const struct plx_sent_rec *rec,
                  const struct plx_refs *refs);

static inline bool plx_sent_has(const struct plx_sent *s, uint64_t pn)
{
    return pn >= s->base && pn < s->end;
}
static inline struct plx_sent_rec *plx_sent_at(const struct plx_sent *s, uint64_t pn)
{
    plx_debug(plx_sent_has(s, pn));
    return &s->recs[pn & (s->recs_cap - 1)];
}
static inline const struct plx_ref *plx_sent_ref(const struct plx_sent *s, const struct plx_sent_rec *rec,
                                                 unsigned i)
{
    return &s->refs[(rec->refs_at + i) & (s->refs_cap - 1)];
}

// The same with those behind it, as far as they stand in a row.
static inline const struct plx_ref *plx_sent_refs(const struct plx_sent *s, const struct plx_sent_rec *rec,
                                                  unsigned i, unsigned *count)
{
    uint32_t at = (rec->refs_at + i) & (s->refs_cap - 1);
    *count = s->refs_cap - at < rec->refs_count - i ? s->refs_cap - at : rec->refs_count - i;
    return &s->refs[at];
}

// The record at base would be missed by nobody but statistics.
static inline bool plx_sent_base_is_optional(const struct plx_sent *s)
{
    const struct plx_sent_rec *rec = plx_sent_at(s, s->base);
    return rec->state != PLX_SENT_OUTSTANDING || (!rec->is_eliciting && !rec->is_in_flight);
}

enum { PLX_SENT_IDLE_MAX = 64 }; // records kept behind one that elicits nothing

// Whether a record and refs_count references can be had (growing if need be). Ask before building a packet.
bool plx_sent_make_room(struct plx_sent *s, uint64_t pn, uint8_t refs_count);
static inline bool plx_sent_reserve(struct plx_sent *s, uint64_t pn, uint8_t refs_count)
{
    // Nothing has to go, and nothing to grow: nearly always.
    if (pn >= s->end && pn - s->base < s->recs_cap &&
        s->refs_cap - (s->refs_tail - s->refs_head) >= refs_count &&
        (pn - s->base < PLX_SENT_IDLE_MAX || (s->base < s->end && !plx_sent_base_is_optional(s))))
        return true;
    return plx_sent_make_room(s, pn, refs_count);
}

// Outstanding -> acked or lost; lost -> acked (it was spurious). The record's references have been handed out by the caller.
void plx_sent_set_acked(struct plx_sent *s, struct plx_sent_rec *rec);
void plx_sent_set_lost(struct plx_sent *s, struct plx_sent_rec *rec);

// Gives up what nobody needs at the lower end. Call once after a batch of set_acked and set_lost.
void plx_sent_retire(struct plx_sent *s);
// Records of lost packets that left before `before` are given up too.
void plx_sent_forget_lost(struct plx_sent *s, plx_time before);

void plx_sent_verify(const struct plx_sent *s);

#endif
