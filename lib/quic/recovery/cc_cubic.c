// cc_cubic.c -- CUBIC, RFC 9438, in integers.
//
// The window is a cubic function of the time since the last congestion event, flat around the window of that event (w_max):
//
//     W(t) = C * (t - K)^3 + w_max        K = cbrt((w_max - cwnd) / C)        C = 0.4 packets per second cubed
//
// Time enters the cube in units of 2^-14 s (61 us): 64 seconds are then 20 bits, their cube 60, and the product with packet size
// and C stays within 128 bits; units are chosen so that all scaling is by shifts. K needs a cube root, once per epoch. Each ACK frame
// costs one division (how fast to move towards the target); the estimate of what Reno would have (section 4.3) needs none, because it
// collects octets until they make a window.
//
// Section numbers are those of RFC 9438. Time in which the application, not the window, was the limit is taken out of t (section 5.8).

#include "quic/recovery/cc.h"

#include "base/check.h"

typedef unsigned __int128 u128;

enum {
    TICK_LOG2 = 14,      // t in 2^-14 s
    TICKS_MAX = 1 << 20, // 64 s
    BETA_1024 = 717,     // 0.7, section 4.6
    FAST_1024 = 870,     // (1 + beta) / 2, section 4.7
    ALPHA_1024 = 542,    // 3 * (1 - beta) / (1 + beta), section 4.3
    C_1024 = 410,        // 0.4, section 5
};

static uint64_t ticks(uint64_t ns)
{
    // 2^14 / 10^9 as 2^-60 * (2^74 / 10^9), which is 18889465931478.6
    uint64_t t = (uint64_t)((u128)ns * UINT64_C(18889465931479) >> 60);
    return t < TICKS_MAX ? t : TICKS_MAX;
}

// C * t^3 in octets.
static uint64_t cube_of(uint64_t t, uint32_t mtu)
{
    return (uint64_t)((u128)(t * t * t) * ((uint64_t)mtu * C_1024) >> (3 * TICK_LOG2 + 10));
}

// The t (in ticks) with C * t^3 = bytes: bits from the top, once per congestion event.
static uint64_t root_of(uint64_t bytes, uint32_t mtu)
{
    uint64_t t = 0;
    for (uint64_t bit = TICKS_MAX / 2; bit != 0; bit /= 2)
        if (cube_of(t | bit, mtu) <= bytes)
            t |= bit;
    return t;
}

static uint64_t max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void epoch_begin(struct plx_cc *cc, plx_time now)
{
    struct plx_cubic *q = &cc->cubic;

    q->epoch = now;
    q->w_est = cc->cwnd;
    q->est_acked = 0;
    if (cc->cwnd < q->w_max) {
        q->origin = q->w_max;
        q->k = root_of(q->w_max - cc->cwnd, cc->mtu);
    } else { // slow start ended without a loss, or above the last one: the curve begins flat (section 4.10)
        q->origin = cc->cwnd;
        q->k = 0;
    }
}

// W(t), section 4.2.
static uint64_t curve(const struct plx_cc *cc, uint64_t t)
{
    const struct plx_cubic *q = &cc->cubic;

    if (t >= q->k)
        return q->origin + cube_of(t - q->k, cc->mtu);
    uint64_t below = cube_of(q->k - t, cc->mtu);
    return q->origin > below ? q->origin - below : 0;
}

// Section 4.3: alpha packets per window until the estimate has grown past w_max, then one.
static void estimate_grow(struct plx_cc *cc, uint64_t bytes)
{
    struct plx_cubic *q = &cc->cubic;
    uint64_t alpha = q->w_est >= cc->prior_cwnd ? 1024 : ALPHA_1024;

    q->est_acked += bytes * alpha;
    while (q->est_acked >= cc->cwnd << 10) {
        q->est_acked -= cc->cwnd << 10;
        q->w_est += cc->mtu;
    }
}

static void avoid(struct plx_cc *cc, const struct plx_cc_ack *ack, uint64_t bytes)
{
    struct plx_cubic *q = &cc->cubic;

    if (plx_time_is_never(q->epoch))
        epoch_begin(cc, ack->now);
    estimate_grow(cc, bytes);

    uint64_t elapsed = plx_time_since(ack->now, q->epoch).ns;
    // Section 4.3: below what Reno would have, the curve is too timid.
    if (curve(cc, ticks(elapsed)) < q->w_est) {
        cc->cwnd = max(cc->cwnd, q->w_est);
        return;
    }
    // Sections 4.4 and 4.5: towards where the curve will be a round trip from now, within [cwnd, 1.5 * cwnd].
    uint64_t target = curve(cc, ticks(elapsed + ack->rtt->smoothed.ns));
    if (target <= cc->cwnd)
        return;
    if (target > cc->cwnd + cc->cwnd / 2)
        target = cc->cwnd + cc->cwnd / 2;
    cc->cwnd += (target - cc->cwnd) * bytes / cc->cwnd;
}

static void cubic_on_ack(struct plx_cc *cc, const struct plx_cc_ack *ack)
{
    struct plx_cubic *q = &cc->cubic;
    uint64_t bytes = ack->bytes;

    if (ack->is_app_limited) {
        if (plx_time_is_never(q->idle_since))
            q->idle_since = ack->now;
        return;
    }
    if (!plx_time_is_never(q->idle_since)) {
        if (!plx_time_is_never(q->epoch))
            q->epoch = plx_time_after(q->epoch, plx_time_since(ack->now, q->idle_since));
        q->idle_since = PLX_NEVER;
    }
    if (plx_cc_is_slow_start(cc)) {
        bytes = plx_cc_slow_start(cc, ack);
        if (plx_cc_is_slow_start(cc))
            return;
    }
    avoid(cc, ack, bytes);
}

static void cubic_on_congestion(struct plx_cc *cc, plx_time now)
{
    struct plx_cubic *q = &cc->cubic;

    (void)now;
    cc->events++;
    cc->prior_cwnd = cc->cwnd;
    cc->prior_ssthresh = cc->ssthresh;
    q->prior_w_max = q->w_max;
    // Section 4.7, fast convergence: the room shrinks while others come, so let go of more.
    q->w_max = cc->cwnd < q->w_max ? cc->cwnd * FAST_1024 >> 10 : cc->cwnd;
    cc->ssthresh = max(cc->cwnd * BETA_1024 >> 10, plx_cc_cwnd_min(cc));
    cc->cwnd = cc->ssthresh;
    q->epoch = PLX_NEVER; // begins with the first ACK of congestion avoidance
    q->idle_since = PLX_NEVER;
}

static void cubic_on_persistent(struct plx_cc *cc)
{
    //= rfc9002 7.6.2 "the sender's congestion window MUST be reduced to the minimum congestion window (kMinimumWindow)"
    cc->cwnd = plx_cc_cwnd_min(cc);
    cc->prior_cwnd = 0;
    cc->cubic.epoch = PLX_NEVER;
}

static void cubic_on_spurious(struct plx_cc *cc, plx_time now)
{
    (void)now;
    if (cc->prior_cwnd <= cc->cwnd) // section 4.9: it has grown past it already
        return;
    cc->cwnd = cc->prior_cwnd;
    cc->ssthresh = cc->prior_ssthresh;
    cc->cubic.w_max = cc->cubic.prior_w_max;
    cc->cubic.epoch = PLX_NEVER;
    cc->prior_cwnd = 0;
}

const struct plx_cc_ops plx_cc_cubic = {"cubic", cubic_on_ack, cubic_on_congestion, cubic_on_persistent,
                                        cubic_on_spurious};
