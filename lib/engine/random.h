// random.h -- unpredictable octets for connection IDs, challenges and resets, without a system call for each.
//
// A buffer that the operating system's generator refills, used once from front to back. The simulator gives a seed instead: then
// the octets are those of a plain generator, and a run can be replayed.

#ifndef PLX_ENGINE_RANDOM_H
#define PLX_ENGINE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

#include "base/prng.h"

struct plx_random {
    uint8_t buf[1024];
    uint16_t used;
    uint64_t seed; // not 0: deterministic
    struct plx_prng prng;
};

void plx_random_init(struct plx_random *r, uint64_t seed);
void plx_random_get(void *random, void *out, size_t len); // the signature of plx_conn_env.random

#endif
