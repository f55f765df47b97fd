// replay.h -- which ClientHellos with early data came before, so that none is answered twice (RFC 8446 section 8.2).
//
// A ClientHello that is sent again by somebody who overheard it is the same to the octet: its binder leaves him no choice. So its
// random value is recorded, and early data is accepted only with one that was not. OpenSSL refuses early data whose ticket
// is not as old as the client says, ten seconds at most off the mark; what is recorded longer than that need not be.
//
// A record is one bit, chosen by a keyed hash, in a table of PLX_REPLAY_BITS. Two ClientHellos with one bit look like a replay, which
// costs the second its early data and no more. Time is cut into periods with a table each, and everything is recorded in the
// table of its own period and in the next one's: so the two looks at one ClientHello always meet in a table, wherever the
// periods change between them, and the one that comes second finds the bit set. It is one process that remembers: see
// docs/decisions/0028-early-data.md for what that leaves open.
//
// Cores record while one thread turns the tables. P1 (acquire-release, bit) pairs with itself: of two that set one bit, exactly
// one finds it clear. P2 (release, period) pairs with P3 (acquire, period): the table after the next is clear before it becomes the next.

#ifndef PLX_TLS_REPLAY_H
#define PLX_TLS_REPLAY_H

#include <plx/types.h>

#include "base/arena.h"

#include <stdatomic.h>

enum {
    PLX_REPLAY_BITS =
        1 << 25, // 4 MiB a table: of 10,000 early handshakes a second one in a hundred is refused
    PLX_REPLAY_TABLES =
        4, // the present one, the next, the one after it that is clear, and one for latecomers
};
#define PLX_REPLAY_PERIOD PLX_SEC(16) // more than OpenSSL's ten seconds, with the coarseness of its clock

struct plx_replay {
    struct plx_arena memory;
    _Atomic uint64_t *bits; // NULL: no early data here
    _Atomic uint32_t period;
    plx_time turned; // PLX_NEVER until the first tick
    size_t cleared;  // words of the table after the next: all of them before it becomes the next
    uint8_t key[16];
};

// False when there is no memory, or no random numbers.
PLX_MUST_USE bool plx_replay_init(struct plx_replay *r);
void plx_replay_fini(struct plx_replay *r);

// The next period begins when the present one has lasted long enough. One thread at a time, about once a second: a table is cleared in
// slices, so that no tick takes long.
void plx_replay_tick(struct plx_replay *r, plx_time now);

// Records; false when it may have been here before. Any thread.
PLX_MUST_USE bool plx_replay_is_first(struct plx_replay *r, const void *p, size_t len);

#endif
