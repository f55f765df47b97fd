// client.h -- the client of bench/wire and bench/cores: connections that are opened once and then kept at so many requests in flight.
//
// Whoever has one gives it its engine's core, lets it breathe, and says how many requests there are to be sent. It allocates before the
// first connection and after the last. A connection that ends is the end of the program: nothing here is lost, so something is broken.

#ifndef PLX_BENCH_WIRE_CLIENT_H
#define PLX_BENCH_WIRE_CLIENT_H

#include <plx/plx.h>

struct client;

struct client_conn {
    struct client *client;
    struct plx_h3_conn *h3;
    uint32_t open; // requests under way
};

struct client {
    const char *program; // for what it says before it ends
    struct plx_h3_handler handler;
    uint32_t conns_max, in_flight; // in_flight: on each connection
    struct client_conn *conns;
    uint32_t conns_begun, conns_open;
    uint64_t to_start; // requests that are still to be sent
    uint64_t begun, ended;
    struct plx_h3_block *request;
};

// ask: octets of a field that each request has besides, 0: none.
void client_init(struct client *c, const char *program, uint32_t conns, uint32_t in_flight, uint32_t ask);
void client_fini(struct client *c);

// Begins as many connections as may be opening at once. To be called between breaths until client_is_open().
void client_connect(struct client *c, struct plx_core *core, const struct plx_addr *peer, plx_time now);
bool client_is_open(const struct client *c);

void client_start(struct client *c, uint64_t requests); // so many more
void client_start_many(struct client *c);               // without end, until client_stop()
void client_stop(struct client *c);                     // begins no more
void client_leave(struct client *c);                    // from now on connections may end

#endif
