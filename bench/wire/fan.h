// fan.h -- a port of several queues over `loop`, each with a client of its own at the other end, and a switch that sends every packet
// to the wrong worker.
//
// Queue i reads what client i sends, or, when crossed, what client i + 1 sends: then each packet's connection lives on the
// next worker, and all of them must be handed over. What is sent goes to the right client either way. The switch may be
// moved only while nothing is under way and no worker runs, because a loop's rings have one reader each.

#ifndef PLX_BENCH_WIRE_FAN_H
#define PLX_BENCH_WIRE_FAN_H

#include <stdbool.h>

#include "plx/port.h"

enum { FAN_QUEUES_MAX = 64 };

struct fan {
    struct plx_port port; // first
    struct plx_port *end[FAN_QUEUES_MAX];
    uint16_t queues;
    bool is_crossed;
};

// A port for the server, and one for each client. NULL when memory is short.
struct fan *fan_new(uint16_t queues, struct plx_port *clients[]);

#endif
