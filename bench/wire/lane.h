// lane.h -- a worker of a server and a client of its own, for one thread: what bench/wire/cores runs side by side.

#ifndef PLX_BENCH_WIRE_LANE_H
#define PLX_BENCH_WIRE_LANE_H

#include <plx/plx.h>

#include "bench/wire/fan.h"

struct lane_cfg {
    uint32_t conns, in_flight; // of each lane
    uint64_t body;             // octets of each answer
};

struct lane;

struct lanes {
    uint16_t count;
    struct fan *fan;
    struct plx_engine *server;
    struct lane_cfg cfg;
    struct plx_h3_handler answering;
    struct plx_h3_block *block[FAN_QUEUES_MAX]; // of each worker
    uint8_t *body;
    struct plx_addr addr;
    struct lane *lane[FAN_QUEUES_MAX];
};

struct lanes_count { // over all lanes
    uint64_t ended, handed_over, datagrams_rx;
};

// All connections are open and at rest; exits with a sentence when that fails.
struct lanes *lanes_new(uint16_t count, const struct lane_cfg *cfg);
void lanes_free(struct lanes *l);
// No lane runs: lets them end what they have begun, and begin nothing, until nothing is under way.
void lanes_rest(struct lanes *l);
void lanes_count(const struct lanes *l, struct lanes_count *out);

// By the lane's own thread: requests are made until lanes_rest(); a turn of both sides; requests answered so far.
void lane_start(struct lane *l);
void lane_turn(struct lane *l, plx_time now);
uint64_t lane_ended(const struct lane *l);

#endif
