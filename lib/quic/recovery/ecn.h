// ecn.h -- whether this path carries ECN marks, RFC 9000 section 13.4.2 and appendix A.4.
//
// TESTING   the first ten packets leave with ECT(0)
// UNKNOWN   no more marks; waiting for what the acknowledgements of those ten say
// CAPABLE   counts came and add up: marks on all packets, every count is validated
// FAILED    counts missing or impossible, or all marked packets lost: no marks on this path any more
//
// The state is the path's; counts are each packet number space's (struct plx_ecn_seen, in space.h). We only use ECT(0).

#ifndef PLX_QUIC_ECN_H
#define PLX_QUIC_ECN_H

#include "base/time.h"
#include "quic/limits.h"
#include "quic/wire/frame.h"

enum plx_ecn_state { PLX_ECN_TESTING, PLX_ECN_UNKNOWN, PLX_ECN_CAPABLE, PLX_ECN_FAILED };

struct plx_ecn_path {
    uint8_t state;     // enum plx_ecn_state
    uint8_t test_sent; // marked packets sent while testing
    uint8_t test_lost; // of them
};

struct plx_ecn_seen { // per space: what the peer's last counts were, and how many marked packets we sent
    struct plx_ecn_counts last;
    uint64_t sent_ect0;
};

void plx_ecn_init(struct plx_ecn_path *e, bool is_enabled);
// The mark for the next packet: PLX_ECN_ECT0 or PLX_ECN_NOT_ECT of plx/port.h (2 or 0).
static inline uint8_t plx_ecn_mark(const struct plx_ecn_path *e)
{
    return e->state == PLX_ECN_TESTING || e->state == PLX_ECN_CAPABLE ? 2 : 0;
}
void plx_ecn_on_sent(struct plx_ecn_path *e, struct plx_ecn_seen *seen, uint8_t mark);
void plx_ecn_on_lost(struct plx_ecn_path *e, bool was_marked);

struct plx_ecn_result {
    bool has_failed;
    uint64_t ce_new;
}; // failed just now; CE marks reported for the first time

// An ACK that raised the largest acknowledged. acked_ect0: marked packets that it newly acknowledges. counts NULL: it carried none.
struct plx_ecn_result plx_ecn_on_ack(struct plx_ecn_path *e, struct plx_ecn_seen *seen, uint64_t acked_ect0,
                                     const struct plx_ecn_counts *counts);

#endif
