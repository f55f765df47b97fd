// pacer.c -- see pacer.h for the idea.

#include "quic/recovery/pacer.h"

#define ELAPSED_MAX PLX_SEC(1)          // longer than any bucket takes to fill
#define CWND_MAX    (UINT64_C(1) << 30) // keeps the division within 64 bits

enum { PLENTY = 4 }; // packets: a bucket with so much in it limits nobody yet

void plx_pacer_init(struct plx_pacer *p, bool is_enabled, uint32_t mtu, plx_time now)
{
    uint64_t burst = (uint64_t)PLX_PACER_BURST_PACKETS * mtu;
    *p = (struct plx_pacer){
        .last = now, .tokens = burst, .burst = burst, .mtu = mtu, .is_enabled = is_enabled};
}

static void refill(struct plx_pacer *p, plx_time now)
{
    if (now.ns <= p->last.ns)
        return;
    plx_dur elapsed = plx_dur_min(plx_time_since(now, p->last), ELAPSED_MAX);
    unsigned __int128 sum = (unsigned __int128)elapsed.ns * p->rate + p->frac;
    p->last = now;
    p->tokens += (uint64_t)(sum >> 32);
    p->frac = (uint32_t)sum;
    if (p->tokens >= p->burst) {
        p->tokens = p->burst;
        p->frac = 0;
    }
}

static void rate_apply(struct plx_pacer *p)
{
    p->rate = ((uint64_t)p->per_srtt << 32) / p->srtt.ns;
    uint64_t per_ms = (uint64_t)((unsigned __int128)p->rate * 1000000 >> 32);
    uint64_t burst = (uint64_t)PLX_PACER_BURST_PACKETS * p->mtu;
    p->burst = per_ms > burst ? per_ms : burst;
    p->is_stale = false;
}

void plx_pacer_set_rate(struct plx_pacer *p, uint64_t cwnd, plx_dur srtt, bool is_slow_start, plx_time now)
{
    if (!p->is_enabled || srtt.ns == 0)
        return;
    if (cwnd > CWND_MAX)
        cwnd = CWND_MAX;
    //= rfc9002 7.7 "ensures that variations in RTT do not result in underutilization of the congestion window"
    p->per_srtt = (uint32_t)(is_slow_start ? cwnd * 2 : cwnd + cwnd / 4);
    p->srtt = srtt;
    p->is_stale = true;
    if (p->rate > 0 && p->tokens >= PLENTY * (uint64_t)p->mtu)
        return;     // who sends so little is not limited by any rate: the division can wait
    refill(p, now); // what has passed, passed at the old rate
    rate_apply(p);
}

uint64_t plx_pacer_can_send(struct plx_pacer *p, plx_time now, plx_time *wait_until)
{
    if (!p->is_enabled || p->rate == 0)
        return UINT64_MAX;
    refill(p, now);
    if (p->tokens >= p->mtu)
        return p->tokens;
    uint64_t ns = ((p->mtu - p->tokens) << 32) / p->rate + 1;
    *wait_until = plx_time_after(now, PLX_NS(ns));
    return 0;
}

void plx_pacer_on_sent(struct plx_pacer *p, uint64_t bytes, plx_time now)
{
    if (!p->is_enabled || p->rate == 0)
        return;
    refill(p, now);
    p->tokens -= bytes < p->tokens ? bytes : p->tokens; // probes are not held back, but they count
    if (p->is_stale && p->tokens < PLENTY * (uint64_t)p->mtu)
        rate_apply(p);
}
