// prng.h -- fast, repeatable pseudo-random numbers: for simulation, tests, jitter and grease.
//
// NOT FOR SECRETS: a few outputs reveal the whole state. Connection IDs, tokens, keys and PATH_CHALLENGE data come
// from the system's generator through the engine.
//
// xoshiro256** (Blackman and Vigna, 2018): 256 bits of state, period 2^256 - 1, filled from one 64-bit seed by
// splitmix64, so that seeds 1, 2, 3 give unrelated sequences and no seed gives the forbidden all-zero state. The same
// seed gives the same sequence on every machine, for ever: recorded seeds of failed simulations stay valid.

#ifndef PLX_BASE_PRNG_H
#define PLX_BASE_PRNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct plx_prng {
    uint64_t s[4];
};

void plx_prng_init(struct plx_prng *r, uint64_t seed);

uint64_t plx_prng_u64(struct plx_prng *r);

// Evenly from 0 to n - 1; 0 for n = 0.
uint64_t plx_prng_below(struct plx_prng *r, uint64_t n);

// Evenly from lo to hi, both included; lo <= hi.
uint64_t plx_prng_between(struct plx_prng *r, uint64_t lo, uint64_t hi);

// True in `parts` of `whole` cases.
bool plx_prng_chance(struct plx_prng *r, uint64_t parts, uint64_t whole);

void plx_prng_bytes(struct plx_prng *r, void *p, size_t len);

#endif
