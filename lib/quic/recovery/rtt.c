// rtt.c -- RFC 9002 sections 5.1 to 5.3, in integers.
//
// The order of updates is that of appendix A.7: the variation against the old mean first, then the mean. Values that a peer could make
// absurd (a delay of hours) are only ever subtracted when the result stays above the minimum that was really seen.

#include "quic/recovery/rtt.h"

#define GRANULARITY PLX_MS(1) // kGranularity, RFC 9002 section 6.1.2

void plx_rtt_init(struct plx_rtt *r, plx_dur initial_rtt)
{
    //= rfc9002 5.3 "Before any RTT samples are available for a new path or when the estimator is reset, the estimator is initialized using the initial RTT"
    *r = (struct plx_rtt){.smoothed = initial_rtt, .var = {initial_rtt.ns / 2}, .first_sample_at = PLX_NEVER};
}

void plx_rtt_update(struct plx_rtt *r, plx_dur sample, plx_dur ack_delay, plx_time now)
{
    r->latest = sample;
    if (!r->has_sample) {
        r->min = sample;
        r->smoothed = sample;
        r->var.ns = sample.ns / 2;
        r->first_sample_at = now;
        r->has_sample = true;
        return;
    }
    if (sample.ns < r->min.ns)
        r->min = sample;

    uint64_t adjusted = sample.ns;
    //= rfc9002 5.3 "MUST NOT subtract the acknowledgment delay from the RTT sample if the resulting value is smaller than the min_rtt"
    if (adjusted >= plx_dur_add(r->min, ack_delay).ns)
        adjusted -= ack_delay.ns;
    uint64_t diff = r->smoothed.ns > adjusted ? r->smoothed.ns - adjusted : adjusted - r->smoothed.ns;
    r->var.ns = (3 * r->var.ns + diff) / 4;
    r->smoothed.ns = (7 * r->smoothed.ns + adjusted) / 8;
}

plx_dur plx_rtt_pto(const struct plx_rtt *r)
{
    return plx_dur_add(r->smoothed, plx_dur_max(plx_dur_mul(r->var, 4), GRANULARITY));
}

plx_dur plx_rtt_loss_delay(const struct plx_rtt *r)
{
    uint64_t rtt = plx_dur_max(r->smoothed, r->latest).ns;
    //= rfc9002 6.1.2 "The RECOMMENDED time threshold (kTimeThreshold), expressed as an RTT multiplier, is 9/8"
    return plx_dur_max((plx_dur){rtt + rtt / 8}, GRANULARITY);
}
