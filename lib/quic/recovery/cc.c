// cc.c -- what the controllers share: birth, the path's packet size, and slow start with HyStart++.
//
// HyStart++ (RFC 9406) measures rounds by packet numbers. When the smallest RTT of a round is larger by an eighth than that of the
// round before (within 4 to 16 ms), slow start goes on at a quarter of its pace for up to five rounds (CSS). If the RTT falls below
// where it was when CSS began, the rise was noise and slow start resumes; else congestion avoidance begins where the window
// is, without a loss. It is only used before the first congestion event.

#include "quic/recovery/cc.h"

#include "base/check.h"

enum {
    CSS_ROUNDS = 5, // RFC 9406 section 4.3
    CSS_GROWTH_DIVISOR = 4,
    RTT_SAMPLES = 8, // N_RTT_SAMPLE
    RTT_DIVISOR = 8, // MIN_RTT_DIVISOR
};
#define RTT_THRESH_MIN PLX_MS(4)
#define RTT_THRESH_MAX PLX_MS(16)

static uint64_t initial_window(uint32_t mtu, uint16_t packets)
{
    uint64_t cwnd = (uint64_t)packets * mtu, limit = PLX_CWND_INITIAL_BYTES;

    if (limit < 2 * (uint64_t)mtu)
        limit = 2 * (uint64_t)mtu;
    //= rfc9002 7.2 "while limiting the window to the larger of 14,720 bytes or twice the maximum datagram size"
    return packets <= PLX_CWND_INITIAL_PACKETS && cwnd > limit ? limit
                                                               : cwnd; // more packets: configured on purpose
}

void plx_cc_init(struct plx_cc *cc, const struct plx_cc_ops *ops, uint32_t mtu, uint16_t initial_packets,
                 bool hystart)
{
    if (initial_packets < PLX_CWND_MIN_PACKETS)
        initial_packets = PLX_CWND_MIN_PACKETS;
    *cc = (struct plx_cc){.ops = ops, .mtu = mtu, .ssthresh = UINT64_MAX, .initial_packets = initial_packets};
    cc->cwnd = initial_window(mtu, initial_packets);
    cc->hystart =
        (struct plx_hystart){.round_min = PLX_DUR_MAX, .last_min = PLX_DUR_MAX, .is_enabled = hystart};
    cc->cubic.epoch = PLX_NEVER;
    cc->cubic.idle_since = PLX_NEVER;
}

void plx_cc_set_mtu(struct plx_cc *cc, uint32_t mtu)
{
    bool is_initial = cc->events == 0 && cc->cwnd == initial_window(cc->mtu, cc->initial_packets);

    cc->mtu = mtu;
    if (is_initial) //= rfc9002 7.2 "the initial congestion window SHOULD be recalculated with the new size"
        cc->cwnd = initial_window(mtu, cc->initial_packets);
    if (cc->cwnd < plx_cc_cwnd_min(cc))
        cc->cwnd = plx_cc_cwnd_min(cc);
    if (cc->ssthresh < plx_cc_cwnd_min(cc)) // it may have been the minimum for smaller datagrams
        cc->ssthresh = plx_cc_cwnd_min(cc);
    if (cc->prior_ssthresh < plx_cc_cwnd_min(cc)) // and so may what an undone congestion event brings back
        cc->prior_ssthresh = plx_cc_cwnd_min(cc);
}

// --- HyStart++ -------------------------------------------------------------------------------------------------

static void round_begin(struct plx_hystart *h, uint64_t next_pn)
{
    h->round_end = next_pn;
    h->last_min = h->round_min;
    h->round_min = PLX_DUR_MAX;
    h->samples = 0;
}

static bool has_risen(const struct plx_hystart *h)
{
    if (h->samples < RTT_SAMPLES || h->last_min.ns == UINT64_MAX)
        return false;
    plx_dur thresh = {h->last_min.ns / RTT_DIVISOR};
    thresh = plx_dur_min(plx_dur_max(thresh, RTT_THRESH_MIN), RTT_THRESH_MAX);
    return h->round_min.ns >= plx_dur_add(h->last_min, thresh).ns;
}

// After each ACK in slow start. True: slow start is over.
static bool hystart_on_ack(struct plx_hystart *h, const struct plx_cc_ack *ack)
{
    bool is_round_over = ack->largest >= h->round_end;

    if (ack->has_sample) {
        h->round_min = plx_dur_min(h->round_min, ack->rtt->latest);
        if (h->samples < UINT8_MAX)
            h->samples++;
    }
    if (h->css_rounds == 0) {
        if (has_risen(h)) {
            h->css_base = h->round_min;
            h->css_rounds = CSS_ROUNDS;
        }
    } else if (h->samples >= RTT_SAMPLES && h->round_min.ns < h->css_base.ns) {
        h->css_rounds = 0; // the rise did not stay
    }
    if (!is_round_over)
        return false;
    bool is_over = h->css_rounds == 1;
    if (h->css_rounds > 1)
        h->css_rounds--;
    round_begin(h, ack->next_pn);
    return is_over;
}

uint64_t plx_cc_slow_start(struct plx_cc *cc, const struct plx_cc_ack *ack)
{
    struct plx_hystart *h = &cc->hystart;
    bool has_hystart = h->is_enabled && cc->ssthresh == UINT64_MAX;
    uint64_t grow = ack->bytes;

    if (has_hystart && hystart_on_ack(h, ack)) {
        cc->ssthresh = cc->cwnd;
        return ack->bytes;
    }
    if (has_hystart && h->css_rounds > 0)
        grow /= CSS_GROWTH_DIVISOR;
    if (grow <= cc->ssthresh - cc->cwnd) {
        cc->cwnd += grow;
        return 0;
    }
    uint64_t rest = grow - (cc->ssthresh - cc->cwnd);
    cc->cwnd = cc->ssthresh;
    return rest;
}

void plx_cc_verify(const struct plx_cc *cc)
{
    plx_check(cc->cwnd >= plx_cc_cwnd_min(cc));
    plx_check(cc->ssthresh >= plx_cc_cwnd_min(cc));
    plx_check(cc->mtu >= PLX_DGRAM_MIN);
    plx_check(cc->hystart.css_rounds <= CSS_ROUNDS);
}
