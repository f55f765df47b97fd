// loop.h -- two ports back to back: what one end sends, the other receives, without a copy and without the kernel.

#ifndef PLX_DRIVERS_LOOP_H
#define PLX_DRIVERS_LOOP_H

#include "plx/port.h"

// Makes a pair of ports of datagrams, each with one queue and `slots` packets of its own (2 to 65,536). The ends may be
// opened with different configurations and run on different threads; each is closed and freed like any port, in any
// order, and what one end still holds of the other's stays valid until both are freed.
//
// Addresses are carried, not checked: the receiver sees as `peer` what was sent as `local`. A packet sent without a
// local address or IP gets the end's own: the first of cfg->listen, else 127.0.0.1 with port 1 (a) or 2 (b).
//
// Context:  any thread, before the ends are used.
// Returns:  false when memory is short; nothing was made then.
PLX_MUST_USE bool plx_loop_pair(struct plx_port **a, struct plx_port **b, uint32_t slots);

#endif
