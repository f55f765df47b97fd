// world.h -- a server, some clients and the links between them, in virtual time: real engines over drivers/sim.
//
// Everything that the engines do is what they do over a NIC; only the clock, the wire and the randomness are ours. A world is made
// from one seed, and a failure names it: the same seed plays the same game again. (TLS makes its own random numbers; the
// certificate is Ed25519 so that no message's length depends on them.)

#ifndef PLX_TESTS_SIM_WORLD_H
#define PLX_TESTS_SIM_WORLD_H

#include <plx/plx.h>

#include <string.h>

#include "base/prng.h"
#include "drivers/sim/sim.h"
#include "engine/engine.h"

enum { WORLD_SERVER = -1, WORLD_CLIENTS_MAX = 4, WORLD_REQUESTS_MAX = 256, WORLD_BODY_MAX = 64 << 20 };

struct world;

struct world_cfg {
    uint64_t seed;
    struct plx_sim_link_cfg up, down; // client to server, server to client; shared by all clients
    uint16_t clients;                 // 1
    void (*tune)(struct plx_engine_cfg *cfg, bool is_server); // may be NULL
};

struct world_request {
    struct world *world;
    struct plx_h3_req *req;
    uint64_t want, got; // octets of the answer
    bool has_bad_byte, is_complete, is_closed, is_peer;
    uint64_t code;
    plx_time begun, ended;
};

// A host whose program does not run: see world_pause.
struct world_pause {
    plx_time until;
    bool is_deaf; // what has come meanwhile is lost
};

struct world_client {
    struct world *world;
    struct world_pause pause;
    struct plx_engine *engine;
    struct plx_conn *conn;
    struct plx_h3_conn *h3;
    struct table *h3_by_hand; // table.h: then h3 is NULL
    struct plx_close_info why;
    bool is_open, is_closed;
    plx_time opened;
    uint64_t upload; // octets of the body of each request, 0: GET
    uint64_t sizes[WORLD_REQUESTS_MAX];
    unsigned size_count, started;
    struct world_request request[WORLD_REQUESTS_MAX];
    uint8_t *session;
    size_t session_len;
    bool wants_early, was_early; // early data: wanted, and requests could be sent in it
};

struct world {
    struct plx_sim_world *sim;
    unsigned up, down;
    struct plx_engine *server;
    struct world_pause server_pause;
    struct world_client client[WORLD_CLIENTS_MAX];
    uint16_t clients;
    plx_time now;
    struct plx_addr server_addr;
    uint64_t breaths, early_requests; // early_requests: that the server's program was given in early data
    struct plx_prng prng; // whose turn is first among clients that hear something at the same moment
};

void world_init(struct world *w, const struct world_cfg *cfg);
// Ends all connections, lets the goodbyes arrive, and checks that everything has come home. Returns false when something was lost.
bool world_fini(struct world *w);

// Client i connects and asks for bodies of these sizes, all at once. GET /SIZE; upload > 0: POST with a body of that size.
void world_fetch(struct world *w, unsigned i, const uint64_t *sizes, unsigned count, uint64_t upload);

// Client i, which is open, asks for more on the same connection; sizes and requests follow those it has.
void world_ask(struct world *w, unsigned i, const uint64_t *sizes, unsigned count);

// From now on a host (WORLD_SERVER, or the number of a client) does not run until `until`: its core has no breath, whatever its timers
// say, and datagrams pile up in front of it. So does a machine that is out of CPU. is_deaf: its ring overflows, and all of them are lost.
void world_pause(struct world *w, int who, plx_time until, bool is_deaf);

// Runs until done() says so or virtual time reaches `until`. False: time was up.
bool world_run(struct world *w, plx_time until, bool (*done)(struct world *w));
bool world_all_complete(struct world *w); // every request of every client has its whole, right answer
bool world_all_open(struct world *w);
uint64_t world_drops(struct plx_engine *e, enum plx_drop why);

// A string as requests want it.
static inline struct plx_span world_span(const char *text)
{
    return (struct plx_span){(const uint8_t *)text, strlen(text)};
}

// The certificate that all worlds share: made once.
const char *world_cert(void);
const char *world_key(void);
const uint8_t *world_body(void); // WORLD_BODY_MAX octets that depend on their place

#endif
