// world.h -- the inside of a simulated world: what its files share.
//
//   world.c  birth, time, the datagrams in flight and the order in which they arrive
//   link.c   what one direction of a path does to a datagram
//   nat.c    the translator in front of a link
//   port.c   an endpoint as a port

#ifndef PLX_DRIVERS_SIM_WORLD_H
#define PLX_DRIVERS_SIM_WORLD_H

#include "base/arena.h"
#include "base/prng.h"
#include "drivers/sim/sim.h"

enum { SIM_NAT_MAX = 256, SIM_TX_SLOTS = 4096 };

// A datagram under way: a copy of what was sent. While it is in an endpoint's hands, pkt is what the endpoint sees.
struct sim_flight {
    struct plx_pkt pkt;
    struct sim_flight *next; // in an inbox, or among the free ones
    uint8_t link;
};

// Its place in the heap, with what is compared: looking into every datagram on the way would cost a tenth of a long run.
struct sim_arrival {
    plx_time at;
    uint64_t order; // among those that arrive at the same time: as they were sent
    struct sim_flight *flight;
};

struct sim_mapping { // of a NAT: inside address as outside address
    struct plx_addr inside, outside;
    uint64_t epoch;
};

struct sim_link {
    struct plx_sim_link_cfg cfg;
    struct plx_sim_link_stats stats;
    struct plx_prng prng;
    plx_time busy_until;   // the line is sending until then
    plx_time last_arrival; // jitter does not reorder
    struct {               // what has not left the queue yet, oldest first
        plx_time leaves;
        uint32_t bytes;
    } * queue;
    uint32_t queue_at, queue_count, queue_bytes;
    struct sim_mapping nat[SIM_NAT_MAX];
    uint32_t nat_count;
    uint16_t nat_port; // the next outside port
};

struct sim_port {
    struct plx_port port; // first
    struct plx_sim_world *world;
    struct plx_addr addr;
    uint8_t link;
    bool is_open;
    uint16_t cap;
    struct sim_flight *inbox, **inbox_end;
    struct plx_pkt *slots; // for sending
    uint8_t *mem;
    struct plx_pkt **free;
    uint32_t slot_count, free_count;
    struct plx_port_stats stats;
};

struct plx_sim_world {
    plx_time now;
    uint64_t seed, order;
    uint16_t mtu_max;
    uint32_t flight_max;
    struct plx_arena arena;
    struct sim_flight *flights, *free;
    uint32_t free_count, carved; // of the flights, those beyond `carved` were never touched
    uint8_t *mem;
    struct sim_arrival *heap; // the earliest at 0
    uint32_t heap_count;
    struct sim_link links[PLX_SIM_LINKS_MAX];
    unsigned link_count;
    struct sim_port *ports[PLX_SIM_PORTS_MAX];
    unsigned port_count;
};

// world.c: memory of datagrams, and the order of arrivals.
struct sim_flight *sim_flight_take(struct plx_sim_world *w); // NULL when too many are under way
void sim_flight_give(struct plx_sim_world *w, struct sim_flight *f);
void sim_flight_launch(struct plx_sim_world *w, struct sim_flight *f, plx_time arrives);

// link.c: sends a datagram (a borrowed packet with complete addresses) into a link at the world's time.
void sim_link_send(struct plx_sim_world *w, unsigned link, const struct plx_pkt *pkt);

// nat.c: the outside of an inside source, made if there is none; and back. False: nobody sends from there any more.
struct plx_addr sim_nat_out(struct sim_link *l, const struct plx_addr *inside, plx_time now);
bool sim_nat_in(const struct sim_link *l, const struct plx_addr *outside, plx_time now,
                struct plx_addr *inside);

#endif
