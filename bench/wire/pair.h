// pair.h -- a client and a server engine back to back over drivers/loop, in one thread and in virtual time.
//
// Turns: the client breathes until it has nothing left (eight breaths at most), then the server, then the clock moves by a fixed step.
// Nothing else runs between the breaths, so what a breath of the server takes is what requests cost a core, without a NIC.
// One seed and no clock: every run of a cell does the same work but for what TLS draws (keys, certificates' signatures).

#ifndef PLX_BENCH_WIRE_PAIR_H
#define PLX_BENCH_WIRE_PAIR_H

#include <plx/plx.h>

#include "engine/engine.h"
#include "engine/phase.h"

enum { WIRE_STEP_US = 20, WIRE_BREATHS_PER_TURN = 8, WIRE_IN_FLIGHT_MAX = 120, WIRE_ASK_MAX = 1024 };

struct wire_cell {
    uint32_t conns, in_flight;
    uint64_t body;     // octets of each answer
    uint32_t ask;      // octets of a field that each request has besides, 0: none
    uint64_t requests; // in each measured round
};

struct wire_side {
    struct plx_engine *engine;
    uint64_t cycles[PLX_PHASE_COUNT]; // of a round; 0 without PLX_PHASES
    uint64_t datagrams_rx, datagrams_tx, bytes_rx, bytes_tx;
};

struct pair;

struct pair *pair_new(const struct wire_cell *cell,
                      const char *crypto); // all connections open; exits with a sentence when that fails
void pair_run(struct pair *p, uint64_t requests); // to warm up
// A round that counts. Both sides' figures are those of the round alone.
void pair_measure(struct pair *p, uint64_t requests, struct wire_side *server, struct wire_side *client);
const char *pair_describe(const struct pair *p);
void pair_free(struct pair *p);

// The books of plx_phase() for whoever runs next; NULL books throw away.
void books_open(uint64_t *cycles);
void books_close(void);

#endif
