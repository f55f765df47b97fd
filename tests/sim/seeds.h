// seeds.h -- a table of scenarios, each run once per seed: what the programs of this folder have in common.
//
//   PROGRAM                          every scenario
//   PROGRAM NAME… --seeds 500        these, each with so many seeds
//   PROGRAM NAME --seed 137          exactly the run that failed
//   PROGRAM NAME --seed 137 --spread the same, where it failed in a build with debug checks and nobody had asked for the whole
//   PROGRAM NAME --from 101 --seeds 50
//   PROGRAM --list
//
// $PLX_SIM_SEEDS and $PLX_SIM_FROM say the same where there is no such option; without either, three seeds from 1 on. A number from
// the environment is divided by the scenario's weight, and what a scenario can spread over its seeds it does (seeds_are_spread),
// unless $PLX_SIM_WHOLE is set. A number on the command line is always whole.

#ifndef PLX_TESTS_SIM_SEEDS_H
#define PLX_TESTS_SIM_SEEDS_H

#include <stdbool.h>
#include <stdint.h>

struct seeds_row {
    const char *name;
    bool (*run)(uint64_t seed); // true when all went well
    unsigned weight;            // divides the number of seeds; 0 is 1
    unsigned
        weight_checked; // the same in builds with debug checks, where all is four times as dear; 0: as weight
};

// The program: its exit status. Prints "ok NAME" or "not ok NAME" for each scenario, and the line that replays a failure.
int seeds_main(int argc, char **argv, const struct seeds_row *row, unsigned count);

// A scenario that repeats itself under several conditions for each seed may take one of them per seed, in turn, and one that is long may be
// shorter with most seeds: in builds with debug checks, when nobody has asked for the whole, or when --spread asks for it.
bool seeds_are_spread(void);

#endif
