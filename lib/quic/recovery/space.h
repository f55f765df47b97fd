// space.h -- one packet number space: what was sent in it, what was received in it (RFC 9000 section 12.3).

#ifndef PLX_QUIC_SPACE_H
#define PLX_QUIC_SPACE_H

#include "quic/recovery/acks.h"
#include "quic/recovery/ecn.h"
#include "quic/recovery/sent.h"

struct plx_space {
    uint64_t next_pn;           // of the next packet; the connection adds one (or more, to skip) per packet
    uint64_t largest_acked;     // by the peer; UINT64_MAX: none. For plx_pkt_number_len
    plx_time last_eliciting_at; // when the last ack-eliciting packet left (section 6.2.1 of RFC 9002)
    plx_time loss_at;           // when the earliest packet will count as lost by time; NEVER: none waits
    uint64_t bytes_in_flight;   // this space's share
    uint64_t spurious_lost, lost, acked; // packets, ever
    uint8_t probes_wanted;               // ack-eliciting packets to send in spite of the congestion window
    struct plx_sent sent;
    struct plx_ecn_seen ecn_seen;
    struct plx_acks acks;
};

// ack_delay_max: see plx_acks_init. The slab gives the rings of sent packets.
void plx_space_init(struct plx_space *sp, struct plx_slab *slab, plx_dur ack_delay_max);
// Gives memory back. Packets in flight must have been taken out of the count first (plx_recovery_discard_space).
void plx_space_fini(struct plx_space *sp);
// An idle connection: gives back what is not needed while nothing is in flight.
void plx_space_shrink(struct plx_space *sp);
static inline bool plx_space_has_eliciting_in_flight(const struct plx_space *sp)
{
    return sp->sent.eliciting > 0;
}
void plx_space_verify(const struct plx_space *sp);

#endif
