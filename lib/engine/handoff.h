// handoff.h -- a datagram that landed on the wrong core goes to the right one (DESIGN: "finding the core").
//
// The owner of a connection is named in its connection ID, so any core can tell whose a packet is. The buffer itself is
// handed over through the owner's inbox; when the owner is done it comes back through the returns of the core whose
// queue it belongs to, because only that core may give it to the driver. Both rings are struct plx_mailbox
// (many producers, one consumer); a returns ring has room for every buffer of its queue and so never overflows.
//
// A core that sleeps in port->wait() must be woken, and waking is a system call: struct plx_sleep makes it one only when
// the core is really asleep.
//   S1 (seq_cst store, is_asleep = true) before the sleeper looks at its inbox once more
//   S2 (seq_cst fence) of a sender between its push and its look at is_asleep:
//   either the sleeper sees the packet, or the sender sees the sleeper.

#ifndef PLX_ENGINE_HANDOFF_H
#define PLX_ENGINE_HANDOFF_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct plx_core;
struct plx_pkt;
struct plx_pkt_hdr;

struct plx_sleep {
    _Atomic bool is_asleep;
    _Atomic bool is_rung; // plx_core_ring(): somebody wants on_ring
};

// Which core's the packet is, when that is another of this engine's.
bool plx_handoff_wanted(const struct plx_core *k, const struct plx_pkt_hdr *hdr, uint16_t *core);
// false: the inbox there is full
bool plx_handoff_send(struct plx_core *k, struct plx_pkt *pkt, uint16_t core);
uint16_t plx_handoff_pull(struct plx_core *k, struct plx_pkt **pkts, uint16_t max);
// to whoever owns each buffer; NULLs are passed over
void plx_handoff_give(struct plx_core *k, struct plx_pkt **pkts, uint16_t count);
void plx_handoff_collect(struct plx_core *k); // our buffers that came back
// When no core runs any more: what was handed over to one that had left before its neighbour is counted as dropped and goes home.
void plx_handoff_drain(struct plx_core *k);
// Takes back a ring: true when there was one, and what was written before it can be read.
bool plx_handoff_answer(struct plx_core *k);
// Around port->wait(). False: something came, do not sleep.
bool plx_handoff_sleep(struct plx_core *k);
void plx_handoff_awake(struct plx_core *k);

#endif
