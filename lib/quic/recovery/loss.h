// loss.h -- which of the packets that were sent are lost, RFC 9002 sections 6.1 and 7.6.
//
// A packet is lost when one sent at least three numbers later was acknowledged, or when one sent later was acknowledged and it has
// been out for more than 9/8 of a round trip. The walk begins at the oldest record and ends at the largest acknowledged, or
// at the first packet that is too young for either reason (numbers and times rise together).
//
// Persistent congestion is seen in the same walk: two ack-eliciting packets were lost, nothing between them was acknowledged,
// both left after the first RTT sample, and they are further apart than three PTOs.

#ifndef PLX_QUIC_LOSS_H
#define PLX_QUIC_LOSS_H

#include "quic/recovery/rtt.h"
#include "quic/recovery/space.h"

struct plx_loss {
    uint64_t bytes; // octets in flight that were lost
    uint32_t packets;
    uint32_t marked;          // of them with an ECN mark
    plx_time largest_lost_at; // when the newest lost packet left; valid with packets > 0
    bool is_persistent;
};

// Declares packets lost: each loses its place in flight (sp->bytes_in_flight), its references go to on_lost, sp->loss_at is set for those that
// only wait for time. persistent: the duration of section 7.6.1.
void plx_loss_detect(struct plx_space *sp, const struct plx_rtt *rtt, plx_time now, plx_dur persistent,
                     void (*on_lost)(void *arg, const struct plx_ref *ref), void *arg, struct plx_loss *out);

#endif
