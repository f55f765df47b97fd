// clock.h -- the only place of the library that reads a clock.
//
// Everything below the engine is told the time. One reading per breath is what the whole pipeline runs on.

#ifndef PLX_ENGINE_CLOCK_H
#define PLX_ENGINE_CLOCK_H

#include <plx/types.h>

plx_time plx_clock_now(void);     // monotonic
uint64_t plx_clock_unix_ms(void); // wall clock, for tokens that outlive the process

#endif
