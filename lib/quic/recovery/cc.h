// cc.h -- congestion controllers behind a table of operations: NewReno (RFC 9002 section 7) and CUBIC (RFC 9438), both with
// HyStart++ (RFC 9406) in slow start.
//
// A controller hears once per ACK frame how many octets were newly acknowledged, once per congestion event, and
// about persistent congestion. It owns cwnd and ssthresh and nothing else: bytes_in_flight, loss detection, pacing and the rule
// that one round trip has one congestion event are recovery's.

#ifndef PLX_QUIC_CC_H
#define PLX_QUIC_CC_H

#include "base/time.h"
#include "quic/limits.h"
#include "quic/recovery/rtt.h"

struct plx_cc;

struct plx_cc_ack {
    uint64_t bytes;           // newly acknowledged, sent after the last congestion event, in flight
    uint64_t largest;         // highest packet number newly acknowledged
    uint64_t next_pn;         // number of the next packet to be sent: ends a round of HyStart++
    uint64_t bytes_in_flight; // before this ACK
    const struct plx_rtt *rtt;
    bool has_sample;     // rtt.latest is new
    bool is_app_limited; // the window was not full: do not grow (section 7.8)
    plx_time now;
};

struct plx_cc_ops {
    const char *name;
    void (*on_ack)(struct plx_cc *cc, const struct plx_cc_ack *ack);
    void (*on_congestion)(struct plx_cc *cc, plx_time now); // loss or CE mark, once per round trip
    void (*on_persistent)(struct plx_cc *cc);               // cwnd becomes the minimum
    void (*on_spurious)(struct plx_cc *cc,
                        plx_time now); // every loss of the last congestion event turned out spurious
};
extern const struct plx_cc_ops plx_cc_newreno, plx_cc_cubic;

// HyStart++: leaves slow start when the round's smallest RTT has risen by an eighth, first into a slower growth (CSS) that
// looks whether the rise stays.
struct plx_hystart {
    uint64_t round_end; // packet number whose acknowledgement ends the round
    plx_dur round_min, last_min, css_base;
    uint8_t samples;    // in this round
    uint8_t css_rounds; // left to go; 0: not in CSS
    bool is_enabled;
};

struct plx_cubic {
    uint64_t w_max;       // octets
    uint64_t w_est;       // window of the Reno-friendly region, octets
    uint64_t k;           // time until w_max is reached again, in 2^-14 s
    uint64_t origin;      // w_max of this epoch's curve, octets
    plx_time epoch;       // NEVER: none
    plx_time idle_since;  // for shifting the epoch by application-limited time; NEVER
    uint64_t est_acked;   // octets not yet turned into growth of w_est, times 1024
    uint64_t prior_w_max; // before the last congestion event
};

struct plx_cc {
    const struct plx_cc_ops *ops;
    uint64_t cwnd, ssthresh;             // octets; ssthresh UINT64_MAX: none yet
    uint32_t mtu;                        // max_datagram_size
    uint64_t acked;                      // NewReno: octets towards the next packet of growth
    uint64_t events;                     // congestion events
    uint64_t prior_cwnd, prior_ssthresh; // before the last one: restored when it turns out spurious
    uint16_t initial_packets;
    struct plx_hystart hystart;
    struct plx_cubic cubic;
};

void plx_cc_init(struct plx_cc *cc, const struct plx_cc_ops *ops, uint32_t mtu, uint16_t initial_packets,
                 bool hystart);
void plx_cc_set_mtu(struct plx_cc *cc, uint32_t mtu); // section 7.2: a window that never grew is recalculated
static inline bool plx_cc_is_slow_start(const struct plx_cc *cc)
{
    return cc->cwnd < cc->ssthresh;
}
static inline uint64_t plx_cc_cwnd_min(const struct plx_cc *cc)
{
    return (uint64_t)PLX_CWND_MIN_PACKETS * cc->mtu;
}
void plx_cc_verify(const struct plx_cc *cc);

// Shared by the controllers: slow start with HyStart++. Returns octets that were left when slow start ended.
uint64_t plx_cc_slow_start(struct plx_cc *cc, const struct plx_cc_ack *ack);

#endif
