// cc_newreno.c -- the controller of RFC 9002 section 7 and appendix B: the plain one that the other is compared with.
//
// Congestion avoidance grows by one packet per window that was acknowledged. Octets are collected until they make a window, so there
// is no division: RFC 9002 section 7.3.3 names appropriate byte counting (RFC 3465) as an example.

#include "quic/recovery/cc.h"

static void newreno_on_ack(struct plx_cc *cc, const struct plx_cc_ack *ack)
{
    uint64_t bytes = ack->bytes;

    //= rfc9002 7.8 "When bytes in flight is smaller than the congestion window and sending is not pacing limited"
    if (ack->is_app_limited)
        return;
    if (plx_cc_is_slow_start(cc)) {
        bytes = plx_cc_slow_start(cc, ack);
        if (plx_cc_is_slow_start(cc))
            return;
    }
    cc->acked += bytes;
    //= rfc9002 7.3.3 "to the congestion window to at most one maximum datagram size for each congestion window that is acknowledged"
    while (cc->acked >= cc->cwnd) {
        cc->acked -= cc->cwnd;
        cc->cwnd += cc->mtu;
    }
}

static void newreno_on_congestion(struct plx_cc *cc, plx_time now)
{
    (void)now;
    cc->events++;
    cc->prior_cwnd = cc->cwnd;
    cc->prior_ssthresh = cc->ssthresh;
    //= rfc9002 7.3.2 "a sender MUST set the slow start threshold to half the value of the congestion window when loss is detected"
    cc->ssthresh = cc->cwnd / 2 > plx_cc_cwnd_min(cc) ? cc->cwnd / 2 : plx_cc_cwnd_min(cc);
    cc->cwnd = cc->ssthresh;
    cc->acked = 0;
}

static void newreno_on_persistent(struct plx_cc *cc)
{
    //= rfc9002 7.6.2 "the sender's congestion window MUST be reduced to the minimum congestion window (kMinimumWindow)"
    cc->cwnd = plx_cc_cwnd_min(cc);
    cc->prior_cwnd = 0;
    cc->acked = 0;
}

static void newreno_on_spurious(struct plx_cc *cc, plx_time now)
{
    (void)now;
    if (cc->prior_cwnd <= cc->cwnd)
        return;
    cc->cwnd = cc->prior_cwnd;
    cc->ssthresh = cc->prior_ssthresh;
    cc->prior_cwnd = 0;
}

const struct plx_cc_ops plx_cc_newreno = {"newreno", newreno_on_ack, newreno_on_congestion,
                                          newreno_on_persistent, newreno_on_spurious};
