// gate.h -- DPDK's interrupt thread and the workers' bursts keep out of each other's way.
//
// When the other side of a memif leaves, its driver (DPDK 22.11 and later) unmaps the shared memory in DPDK's interrupt thread and does not
// wait for a burst that is under way: the worker's next step is a segmentation fault. DPDK has no call to hold that thread back,
// and tells nobody beforehand. But what it does all day is wait in epoll_wait() and call handlers, and one of the handlers may be ours. Ours
// returns only to let the others have a turn:
//
//      handler entered:  the gate is opened, workers may burst
//                        ... sleeps until DPDK's epoll has something for somebody else
//                        the gate is shut; waits for bursts that are under way
//      handler returns:  DPDK calls the others, one of which may unmap what it likes; then ours again, whose descriptor is always ready
//
// So that thread is either in our handler, or no worker is in a burst: in whatever order DPDK calls handlers, and whatever wakes it.
// It is woken only when there is something to do, which under load is never. How does the handler know? A descriptor of epoll can be polled
// itself; which one is DPDK's, /proc tells: the one that has our descriptor in it. Were it not found, the others would have their turn 100 times
// a second.
//
// A burst takes two stores on a line of its queue's own, the first of them with a fence. There is one gate for the process, as there is one such thread;
// ports of other devices do not ask it.

#ifndef PLX_DRIVERS_ETHDEV_GATE_H
#define PLX_DRIVERS_ETHDEV_GATE_H

#include <stdatomic.h>
#include <stdbool.h>

struct ethdev_pass { // of a queue; its worker's
    atomic_bool is_in;
    struct ethdev_pass *next;
};

struct ethdev_gate {
    atomic_bool is_shut;
    struct ethdev_pass *passes; // all that there are; under a lock of gate.c
};
extern struct ethdev_gate ethdev_gate;

// True: in, until ethdev_gate_leave(). False: not now. The pair with ethdev_gate_shut(): each side says what it is about to do before it looks at
// what the other one said (G1 before G2 here, G3 before G4 there, all in one order), so that one of them sees the other.
static inline bool ethdev_gate_enter(struct ethdev_pass *p)
{
    atomic_store_explicit(&p->is_in, true, memory_order_seq_cst);          // G1
    if (!atomic_load_explicit(&ethdev_gate.is_shut, memory_order_seq_cst)) // G2
        return true;
    atomic_store_explicit(&p->is_in, false, memory_order_release);
    return false;
}

static inline void ethdev_gate_leave(struct ethdev_pass *p)
{
    atomic_store_explicit(&p->is_in, false, memory_order_release); // the burst is over: pairs with G4
}

// Shuts it and returns when nobody is in; the keeper's, as is opening it.
void ethdev_gate_shut(void);
void ethdev_gate_open(void);

// A queue that shall ask. Before its worker runs, and after it has ended.
void ethdev_gate_add(struct ethdev_pass *p);
void ethdev_gate_remove(struct ethdev_pass *p);

// The first port that needs it puts a keeper into DPDK's interrupt thread, the last one takes it out again. False: DPDK does not take it.
bool ethdev_gate_hire(void);
void ethdev_gate_dismiss(void);

#endif
