// sides.h -- what the engines of bench/wire and bench/cores have in common, on both sides, and the answer to every request.

#ifndef PLX_BENCH_WIRE_SIDES_H
#define PLX_BENCH_WIRE_SIDES_H

#include <plx/plx.h>

struct sides_cfg {
    const char *program; // for what it says before it ends
    struct plx_port *port;
    const struct plx_h3_handler *handler;
    uint32_t conns, in_flight; // each
    uint64_t buffer_memory;    // touched as used
    const char *crypto;
    const struct plx_addr *listen; // NULL: a client
    uint16_t workers;              // of a server
};

// Exits with a sentence when that fails.
struct plx_engine *sides_engine(const struct sides_cfg *cfg, plx_time now, uint64_t seed);

// So many octets, and an answer with them: of status 200, with a type and a length. One for each core.
uint8_t *sides_body(uint64_t octets);
struct plx_h3_block *sides_answer(const uint8_t *body, uint64_t octets);

#endif
