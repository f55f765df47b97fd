// flow.c -- see flow.h.

#include "quic/stream/flow.h"

bool plx_flow_move(struct plx_flow *f, uint64_t consumed, uint64_t window_max, plx_time now, plx_dur rtt)
{
    bool has_grown = false;
    bool is_fast = f->moved_at.ns != 0 && plx_dur_lt(plx_time_since(now, f->moved_at), plx_dur_mul(rtt, 2));

    // A step that is not due (sent again, or asked for by a blocked peer) says nothing about the path.
    if (plx_flow_is_due(f, consumed)) {
        if (is_fast && f->window < window_max) {
            f->window = f->window > window_max / 2 ? window_max : f->window * 2;
            has_grown = true;
        }
        f->moved_at = now;
    }
    //= rfc9000 4.1 "it is not an error to advertise a smaller limit, but the smaller limit has no effect"
    uint64_t limit = consumed + f->window;
    if (limit > f->limit)
        f->limit = limit;
    return has_grown;
}
