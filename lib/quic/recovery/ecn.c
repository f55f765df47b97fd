// ecn.c -- see ecn.h for the idea.

#include "quic/recovery/ecn.h"

void plx_ecn_init(struct plx_ecn_path *e, bool is_enabled)
{
    *e = (struct plx_ecn_path){.state = is_enabled ? PLX_ECN_TESTING : PLX_ECN_FAILED};
}

void plx_ecn_on_sent(struct plx_ecn_path *e, struct plx_ecn_seen *seen, uint8_t mark)
{
    if (mark == 0)
        return;
    seen->sent_ect0++;
    if (e->state != PLX_ECN_TESTING)
        return;
    e->test_sent++;
    if (e->test_sent >= PLX_ECN_TEST_PACKETS)
        e->state = PLX_ECN_UNKNOWN;
}

void plx_ecn_on_lost(struct plx_ecn_path *e, bool was_marked)
{
    if (!was_marked || (e->state != PLX_ECN_TESTING && e->state != PLX_ECN_UNKNOWN))
        return;
    e->test_lost++;
    //= rfc9000 A.4 "if marked packets are all declared lost"
    if (e->state == PLX_ECN_UNKNOWN && e->test_lost >= e->test_sent)
        e->state = PLX_ECN_FAILED;
}

// Section 13.4.2.1.
static bool counts_are_valid(const struct plx_ecn_seen *seen, uint64_t acked_ect0,
                             const struct plx_ecn_counts *c)
{
    const struct plx_ecn_counts *last = &seen->last;

    if (c->ect0 < last->ect0 || c->ce < last->ce)
        return false;
    //= rfc9000 13.4.2.1 "ECN validation also fails if the sum of the increase in ECT(0) and ECN-CE counts is less than the number of newly acknowledged packets that were originally sent with an ECT(0) marking"
    if (c->ect0 - last->ect0 + (c->ce - last->ce) < acked_ect0)
        return false;
    //= rfc9000 13.4.2.1 "validation will fail when an endpoint receives a non-zero ECN count corresponding to an ECT codepoint that it never applied"
    if (c->ect1 != 0)
        return false;
    return c->ect0 <= seen->sent_ect0 && c->ce <= seen->sent_ect0;
}

struct plx_ecn_result plx_ecn_on_ack(struct plx_ecn_path *e, struct plx_ecn_seen *seen, uint64_t acked_ect0,
                                     const struct plx_ecn_counts *counts)
{
    struct plx_ecn_result result = {0};

    if (e->state == PLX_ECN_FAILED)
        return result;
    if (counts == NULL) {
        //= rfc9000 13.4.2.1 "If an ACK frame newly acknowledges a packet that the endpoint sent with either the ECT(0) or ECT(1) codepoint set, ECN validation fails if the corresponding ECN counts are not present in the ACK frame"
        result.has_failed = acked_ect0 > 0;
    } else if (!counts_are_valid(seen, acked_ect0, counts)) {
        result.has_failed = true;
    } else {
        result.ce_new = counts->ce - seen->last.ce;
        seen->last = *counts;
        if (acked_ect0 > 0)
            e->state = PLX_ECN_CAPABLE;
    }
    if (result.has_failed)
        e->state = PLX_ECN_FAILED;
    return result;
}
