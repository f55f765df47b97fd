// acks.h -- packet numbers received in one space: which are duplicates, and when to say ACK (RFC 9000 section 13.2).
//
// Two structures with two purposes. A bitmap of the last PLX_ACK_WINDOW numbers tells a duplicate from a late packet exactly; what
// lies below the window counts as a duplicate (section 13.2.3 lets a receiver drop below a minimum). A short list of ranges is
// what ACK frames say; when an ACK that we sent is acknowledged, the ranges it reported are forgotten, without forgetting
// in the bitmap which of their numbers never came.
//
// An ACK is due at once after every second ack-eliciting packet, when an ack-eliciting packet is out of order or leaves a gap,
// after a CE mark, and always in the Initial and Handshake spaces; else max_ack_delay after the first one that waits.

#ifndef PLX_QUIC_ACKS_H
#define PLX_QUIC_ACKS_H

#include "base/range.h"
#include "base/time.h"
#include "quic/limits.h"
#include "quic/wire/frame.h"
#include "quic/wire/ref.h"

struct plx_slab;

enum { PLX_ACKS_FEW = 3 };

struct plx_acks {
    uint64_t end; // largest received + 1; 0: none
    uint64_t window[PLX_ACK_WINDOW /
                    64];    // bit pn % PLX_ACK_WINDOW: received, for pn in [end - PLX_ACK_WINDOW, end)
    plx_time largest_at;    // when the largest was received: ack_delay counts from here
    plx_time due;           // when an ACK must leave; NEVER: nothing ack-eliciting waits
    plx_dur delay_max;      // 0: at once, always
    uint64_t eliciting_end; // largest ack-eliciting + 1
    uint32_t waiting;       // ack-eliciting packets since the last ACK that was sent
    uint32_t every;         // an ACK at once when so many wait
    bool has_news;          // something ack-eliciting was received since the last ACK
    bool has_ecn;           // some packet was marked: ACKs carry counts
    struct plx_ecn_counts ecn;
    // What ACK frames say: nearly always one range, so a few have their place here, and more are in a block of the slab.
    uint8_t few_count;
    struct plx_range few[PLX_ACKS_FEW];
    struct plx_ranges *many; // instead of the few; NULL: those
    struct plx_slab *slab;   // NULL, or empty: the lowest ranges are forgotten
};

// delay_max: 0 for Initial and Handshake, our max_ack_delay for the application space.
void plx_acks_init(struct plx_acks *a, struct plx_slab *slab, plx_dur delay_max);
// Gives the block back; the highest ranges stay.
void plx_acks_shrink(struct plx_acks *a);
// What an ACK frame would say; only as many of out's ranges are written as there are.
void plx_acks_ranges(const struct plx_acks *a, struct plx_ranges *out);

static inline uint64_t plx_acks_largest(const struct plx_acks *a)
{
    return a->end - 1;
} // UINT64_MAX: none

// Whether pn was received before, or lies so far back that nobody knows. Ask before the frames are processed.
bool plx_acks_is_duplicate(const struct plx_acks *a, uint64_t pn);

// A packet that was opened, is no duplicate, and whose frames were processed. ecn: enum plx_ecn as received.
void plx_acks_on_received(struct plx_acks *a, uint64_t pn, bool is_ack_eliciting, uint8_t ecn, plx_time now);

static inline plx_time plx_acks_deadline(const struct plx_acks *a)
{
    return a->due;
}
static inline bool plx_acks_is_due(const struct plx_acks *a, plx_time now)
{
    return plx_time_reached(a->due, now) && a->due.ns != UINT64_MAX;
}
// An ACK would tell something new: worth adding to a packet that leaves anyway.
static inline bool plx_acks_has_news(const struct plx_acks *a)
{
    return a->has_news;
}

// Writes an ACK frame (with the delay since the largest was received, in units of 2^exponent microseconds) and its reference.
// False: nothing to acknowledge, or no room; nothing has changed. Otherwise no ACK is due any more.
bool plx_acks_write(struct plx_acks *a, struct plx_wr *w, struct plx_refs *refs, uint8_t delay_exponent,
                    plx_time now);

// A PLX_REF_ACK that said `largest` was acknowledged: ranges up to it need not be reported again.
void plx_acks_on_acked(struct plx_acks *a, uint64_t largest);

void plx_acks_verify(const struct plx_acks *a);

#endif
