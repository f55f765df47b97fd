// rtt.h -- the estimate of the round-trip time, RFC 9002 section 5.
//
// Four numbers and no history. The caller has capped ack_delay by the peer's max_ack_delay (after the handshake is confirmed) and
// ignored it for Initial packets, as section 5.3 says. The minimum is never adjusted for ack_delay; it can be forgotten, which a
// path change does. Everything is integer nanoseconds; shifts instead of divisions.

#ifndef PLX_QUIC_RTT_H
#define PLX_QUIC_RTT_H

#include "base/time.h"

struct plx_rtt {
    plx_dur latest, min, smoothed, var;
    plx_time first_sample_at; // section 7.6.2: persistent congestion counts only from here on
    bool has_sample;
};

void plx_rtt_init(struct plx_rtt *r, plx_dur initial_rtt); // kInitialRtt: 333 ms
void plx_rtt_update(struct plx_rtt *r, plx_dur sample, plx_dur ack_delay, plx_time now);

// smoothed + max(4 * var, 1 ms), section 6.2.1, without max_ack_delay and backoff.
plx_dur plx_rtt_pto(const struct plx_rtt *r);
// max(9/8 * max(smoothed, latest), 1 ms), section 6.1.2.
plx_dur plx_rtt_loss_delay(const struct plx_rtt *r);

#endif
