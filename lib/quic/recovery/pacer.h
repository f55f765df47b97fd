// pacer.h -- spreads a congestion window over a round trip (RFC 9002 section 7.7).
//
// A token bucket that is never ticked: tokens are computed from elapsed time when somebody asks. Over any interval d in which the
// pacer is the limit, octets sent stay within
//         rate * d - mtu   <   sent   <=   rate * d + burst
// burst is 10 packets (the RFC allows the initial window), or what the rate gives in a millisecond if that is more, so that timers of
// a millisecond can keep a fast path full. Rate is 5/4 * cwnd / smoothed_rtt (in slow start twice: else pacing would be what
// limits the growth). Every acknowledgement changes the rate; it is worked out (a division) when there is less than plenty in the bucket: a
// connection that answers requests never comes to that. A timer-driven bucket was rejected: it needs one timer per connection and is wrong after idle.

#ifndef PLX_QUIC_PACER_H
#define PLX_QUIC_PACER_H

#include "base/time.h"
#include "quic/limits.h"

struct plx_pacer {
    plx_time last;   // when tokens was right
    uint64_t rate;   // octets per nanosecond, 32.32 fixed point; 0: no pacing
    uint64_t tokens; // octets that may leave at `last`
    uint64_t burst;  // the most that tokens can be
    uint32_t mtu;
    uint32_t frac;     // of a token, in 2^-32
    uint32_t per_srtt; // octets per smoothed round trip: the rate as it was set last …
    bool is_enabled;
    bool is_stale; // … and is not worked out yet
    plx_dur srtt;
};

void plx_pacer_init(struct plx_pacer *p, bool is_enabled, uint32_t mtu, plx_time now);
// A new window or RTT: a division, at once or when the bucket runs low.
void plx_pacer_set_rate(struct plx_pacer *p, uint64_t cwnd, plx_dur srtt, bool is_slow_start, plx_time now);
// Octets that may leave now (UINT64_MAX: not paced); 0 with *wait_until: when a full packet may.
uint64_t plx_pacer_can_send(struct plx_pacer *p, plx_time now, plx_time *wait_until);
void plx_pacer_on_sent(struct plx_pacer *p, uint64_t bytes, plx_time now);

#endif
