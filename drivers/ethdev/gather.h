// gather.h -- fewer and larger bursts, where each burst costs a system call.
//
// A worker that polls a quick port finds each packet as it comes, and answers it by itself. Over AF_XDP that is dear: every burst that is
// sent is a call into the kernel, which costs as much as a third of a packet, and leaves the caches full of the kernel's own. So after a
// burst the queue is left alone for a while, and what comes meanwhile is fetched together, as network cards do with their interrupts. How
// long, the burst says: a quarter of the most for each packet in it. One by itself is hardly waited for; where packets come so fast that
// the wait brings more of them, waits grow to the most within a few bursts, and so do bursts. And it is never waited
//
//   - by who has heard nothing for that long: the first packet after a pause is fetched at once;
//   - behind a full burst: more is waiting there.
//
// Sending does not wait. Time is the processor's cycle counter: its reading costs less than the question of the ring that it saves.

#ifndef PLX_DRIVERS_ETHDEV_GATHER_H
#define PLX_DRIVERS_ETHDEV_GATHER_H

#include <stdbool.h>
#include <stdint.h>

struct ethdev_gather {
    uint64_t most;  // cycles from one fetch to the next; 0: none is ever put off
    uint64_t until; // the next fetch, once there was a burst
};

static inline bool ethdev_gather_is_due(const struct ethdev_gather *g, uint64_t now)
{
    return (int64_t)(now - g->until) >= 0;
}

// A fetch at `now` brought `got` of at most `max` packets.
static inline void ethdev_gather_on_fetch(struct ethdev_gather *g, uint64_t now, uint16_t got, uint16_t max)
{
    uint64_t wait = got < 4 ? got * g->most / 4 : g->most;

    g->until = got == max ? now : now + wait;
}

#endif
