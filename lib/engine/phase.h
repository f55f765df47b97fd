// phase.h -- where the time of a breath goes: a mark at the beginning of each phase.
//
// bench/wire wants to know what parse, find, open and the others cost while they run as they always do. plx_phase() says "from here on
// it is that phase": with PLX_PHASES it reads the processor's cycle counter once and books what has passed to the phase before; without,
// it is nothing at all. Marks stand around whole bursts, never around packets, so that looking costs little more than not looking.
//
// libpollux is built without. bench/wire links a second build of lib/engine, the same sources with -DPLX_PHASES (lib/engine/meson.build).

#ifndef PLX_ENGINE_PHASE_H
#define PLX_ENGINE_PHASE_H

#include <stdint.h>

enum plx_phase {
    PLX_PHASE_OTHER,
    PLX_PHASE_RECEIVE,
    PLX_PHASE_PARSE,
    PLX_PHASE_FIND,
    PLX_PHASE_UNMASK,
    PLX_PHASE_OPEN,
    PLX_PHASE_DELIVER,
    PLX_PHASE_TIMERS,
    PLX_PHASE_BUILD,
    PLX_PHASE_SEAL,
    PLX_PHASE_MASK,
    PLX_PHASE_SEND,
    PLX_PHASE_COUNT,
};

#ifdef PLX_PHASES
struct plx_phases {
    uint64_t cycles[PLX_PHASE_COUNT];
    uint64_t since; // cycle count of the last mark
    enum plx_phase is_in;
};

extern struct plx_phases *plx_phases; // whose books these are; the bench sets it between breaths, one thread

static inline void plx_phase(enum plx_phase next)
{
    uint64_t at = __builtin_ia32_rdtsc();
    struct plx_phases *p = plx_phases;
    p->cycles[p->is_in] += at - p->since;
    p->since = at;
    p->is_in = next;
}
#else
static inline void plx_phase(enum plx_phase next)
{
    (void)next;
}
#endif

#endif
