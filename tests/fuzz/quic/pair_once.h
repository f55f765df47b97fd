// pair_once.h -- a pair of connections for fuzzers: what a group of tests sets up and tears down, once for all inputs.

#ifndef PLX_TESTS_FUZZ_QUIC_PAIR_ONCE_H
#define PLX_TESTS_FUZZ_QUIC_PAIR_ONCE_H

#include <stdlib.h>

#include "../../unit/quic/pair.h"

static inline void pair_once_leave(void)
{
    pair_group_teardown(NULL);
}

static inline void pair_once(void)
{
    static bool is_ready;

    if (is_ready)
        return;
    pair_group_setup(NULL);
    atexit(pair_once_leave);
    is_ready = true;
}

#endif
