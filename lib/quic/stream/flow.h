// flow.h -- a window of receive credit: what the peer may send, and when it is told that it may send more (RFC 9000 section 4).
//
// Used for the connection and for each stream. Credit returns as the application consumes, not as octets arrive, so a slow reader
// holds its peer back and not our memory. It returns in steps: when half of the window has been consumed, the limit moves to
// consumed + window in one frame. Auto-tuning: when those steps follow each other within two round trips, the window, and not the path,
// is what limits the peer, and it doubles, up to a ceiling. All positions are octet counts from the start; nothing here knows streams.

#ifndef PLX_QUIC_FLOW_H
#define PLX_QUIC_FLOW_H

#include "base/time.h"

struct plx_flow {
    uint64_t limit;    // what the peer was told: it may send octets below
    uint64_t window;   // octets beyond what is consumed
    plx_time moved_at; // when limit moved last; 0: not since the beginning
};

static inline void plx_flow_init(struct plx_flow *f, uint64_t window)
{
    *f = (struct plx_flow){.limit = window, .window = window};
}

// Whether the limit should move, with so much consumed.
static inline bool plx_flow_is_due(const struct plx_flow *f, uint64_t consumed)
{
    return consumed + f->window / 2 >= f->limit;
}

// Moves the limit (never back) and tunes the window. rtt zero: unknown, no tuning. Returns whether the window grew.
bool plx_flow_move(struct plx_flow *f, uint64_t consumed, uint64_t window_max, plx_time now, plx_dur rtt);
// A larger window from elsewhere (the connection follows its streams); the limit follows with the next move.
static inline void plx_flow_widen(struct plx_flow *f, uint64_t window, uint64_t window_max)
{
    window = window < window_max ? window : window_max;
    f->window = f->window > window ? f->window : window;
}

#endif
