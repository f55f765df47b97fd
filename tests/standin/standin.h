// standin.h -- a server that answers after known delays, to hold a load generator's figures against.
//
// The n-th request waits for the (n modulo count)-th delay. Some time after the first request the server may stall once: nothing is
// taken up and nothing answered meanwhile; what came is taken up at the end. How it stalls is the program's business: it blocks
// (a real process), or says until when nothing happens (virtual time).
//
// One worker. What has been answered is kept, with both times, for whoever compares.

#ifndef PLX_TESTS_STANDIN_H
#define PLX_TESTS_STANDIN_H

#include <plx/plx.h>

enum { STANDIN_DELAYS_MAX = 8, STANDIN_WAITING_MAX = 1 << 16 };

struct standin_wait {
    struct plx_h3_req *req; // NULL: it has gone meanwhile
    plx_time came, due;
    uint64_t number; // the n-th request
};

struct standin_queue { // in order of arrival, which with one delay is the order of answers
    struct standin_wait v[STANDIN_WAITING_MAX];
    uint64_t first, next;
};

struct standin_record {
    uint64_t number, came_ns, answered_ns;
};

struct standin {
    plx_dur delays[STANDIN_DELAYS_MAX];
    unsigned delay_count;
    plx_dur stall_after, stall; // counted from the first request; stall 0: never
    uint64_t goaway_after;      // a connection that has made so many requests is sent away; 0: never
    void (*block)(plx_dur d);   // NULL: virtual time
    struct standin_queue queue[STANDIN_DELAYS_MAX];
    uint64_t requests;
    plx_time stall_at, frozen_until;
    struct standin_record *records;
    uint64_t record_count, record_cap;
};

// Sets cfg's handler, ctx and alarm. The stand-in lives as long as the engine.
void standin_init(struct standin *s, struct plx_engine_cfg *cfg);
void standin_fini(struct standin *s);

#endif
