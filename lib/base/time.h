// time.h -- arithmetic on points in time and on intervals, saturating at both ends.
//
// Time enters the stack as a parameter and is never read below the engine. A deadline past the end of time is
// "never" (PLX_NEVER), an interval that would be negative is zero: so no caller has to think about wrapping, and
// a peer that sends absurd numbers gets absurd deadlines instead of a deadline in the past.

#ifndef PLX_BASE_TIME_H
#define PLX_BASE_TIME_H

#include <stdbool.h>
#include <stdint.h>

#include "plx/types.h"

#define PLX_DUR_MAX ((plx_dur){UINT64_MAX})

// --- points ----------------------------------------------------------------------------------------------

static inline plx_time plx_time_after(plx_time t, plx_dur d)
{
    // Saturate: a deadline past the end of time is simply "never".
    return d.ns > UINT64_MAX - t.ns ? PLX_NEVER : (plx_time){t.ns + d.ns};
}

// The point d earlier than t; the clock's origin when there is none.
static inline plx_time plx_time_before(plx_time t, plx_dur d)
{
    return (plx_time){d.ns > t.ns ? 0 : t.ns - d.ns};
}

// PLX_NEVER is never reached, except at the end of time itself.
static inline bool plx_time_reached(plx_time deadline, plx_time now)
{
    return now.ns >= deadline.ns;
}

// How long ago `then` was; 0 when it lies ahead.
static inline plx_dur plx_time_since(plx_time now, plx_time then)
{
    return (plx_dur){now.ns > then.ns ? now.ns - then.ns : 0};
}

static inline bool plx_time_lt(plx_time a, plx_time b)
{
    return a.ns < b.ns;
}
static inline bool plx_time_eq(plx_time a, plx_time b)
{
    return a.ns == b.ns;
}
static inline plx_time plx_time_min(plx_time a, plx_time b)
{
    return a.ns < b.ns ? a : b;
}
static inline plx_time plx_time_max(plx_time a, plx_time b)
{
    return a.ns > b.ns ? a : b;
}
static inline bool plx_time_is_never(plx_time t)
{
    return t.ns == UINT64_MAX;
}

// --- intervals ---------------------------------------------------------------------------------------------

static inline bool plx_dur_lt(plx_dur a, plx_dur b)
{
    return a.ns < b.ns;
}
static inline plx_dur plx_dur_min(plx_dur a, plx_dur b)
{
    return a.ns < b.ns ? a : b;
}
static inline plx_dur plx_dur_max(plx_dur a, plx_dur b)
{
    return a.ns > b.ns ? a : b;
}

static inline plx_dur plx_dur_add(plx_dur a, plx_dur b)
{
    return b.ns > UINT64_MAX - a.ns ? PLX_DUR_MAX : (plx_dur){a.ns + b.ns};
}

static inline plx_dur plx_dur_sub(plx_dur a, plx_dur b)
{
    return (plx_dur){a.ns > b.ns ? a.ns - b.ns : 0};
}

static inline plx_dur plx_dur_mul(plx_dur d, uint64_t n)
{
    uint64_t ns;
    return __builtin_mul_overflow(d.ns, n, &ns) ? PLX_DUR_MAX : (plx_dur){ns};
}

#endif
