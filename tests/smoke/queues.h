// queues.h -- what the two sides of tests/smoke/queues.c know of each other, and of the round they are in.

#ifndef PLX_TESTS_SMOKE_QUEUES_H
#define PLX_TESTS_SMOKE_QUEUES_H

#include <plx/plx.h>

#include <pthread.h>

#include "base/prng.h"

enum {
    WORKERS = 2,
    THREADS = 2,
    CONNS = 8,
    PER_CONN = 40,
    AT_ONCE = 6,
    SLOTS = 8, // of each pair: fewer than what is asked for at once
    BLOCKS = 24,
    BLOCK_LEN = 1500,
    AHEAD = 6,
    HEAD_MAX = 1024,
};

// What was drawn for this round. Nobody writes it while there are threads.
struct queues_round {
    uint64_t seed;
    bool one_stops, all_stop, engine_stops;
    struct plx_queues *queues;
    struct plx_addr server;
};
extern struct queues_round drawn;
extern const uint8_t *octets; // of bodies

bool expect(bool ok, const char *what); // false is counted, and told with the seed

static inline bool chance(struct plx_prng *r, unsigned one_in)
{
    return plx_prng_below(r, one_in) == 0;
}

// --- the application threads (queues_answer.c) --------------------------------------------------------------

struct work {
    bool is_used, is_echo, has_ended, is_done;
    struct plx_queue_event kept[AHEAD];
    unsigned first, count;
    size_t used;
    uint64_t sent, want, cancel_at;
};

struct answerer {
    pthread_t thread;
    struct plx_queue *q;
    struct plx_prng rng;
    struct work work[WORKERS * SLOTS];
    uint64_t begun, closed, cancelled, stop_after;
    bool has_stopped, heard_over;
};
extern struct answerer answerers[THREADS];

void answerers_init(void);
void *answer(void *answerer); // a thread, until it hears that all is over, or stops in the middle

// --- the client (queues_ask.c) ------------------------------------------------------------------------------

struct ask {
    uint64_t want, got, cancel_at;
    uint16_t status;
    bool is_bad, is_long;
    unsigned ends;
};

struct asker {
    struct plx_prng rng;
    struct ask ask[PER_CONN];
    unsigned begun, open;
    bool is_over;
};
extern struct asker askers[CONNS];

struct asked { // of all of them, in this round
    _Atomic unsigned begun, ended, whole, refused_503, refused_431, given_up, broken, closed_conns;
};
extern struct asked asked;

void askers_init(void);
// The client's share of an engine's configuration.
void askers_attach(struct plx_engine_cfg *cfg);

// --- the end of a round (queues_census.c) -------------------------------------------------------------------

// Expects every slot and every block at home, or with a thread that stopped, and one end of each request.
void census(void);

#endif
