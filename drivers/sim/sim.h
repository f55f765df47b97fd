// sim.h -- virtual links between endpoints in one process, in virtual time, from one seed.
//
// A *world* has links and endpoints. A link is one direction of a path: a queue, a line of some rate, and the mischief
// that happens on it. An endpoint is a port of datagrams with an IP address of its own (and all UDP ports of it); it
// sends into one link, and what leaves a link comes out at the endpoint that the destination address names. So two
// clients that send into the same link share its queue, and a server's answers share the other.
//
//   struct plx_sim_world *w = plx_sim_new(&(struct plx_sim_cfg){.seed = 7});
//   unsigned up = plx_sim_link_add(w, &(struct plx_sim_link_cfg){.rate_bps = 100000000, .delay = PLX_MS(25)});
//   unsigned down = plx_sim_link_add(w, &(struct plx_sim_link_cfg){.rate_bps = 100000000, .delay = PLX_MS(25)});
//   struct plx_port *client = plx_sim_port_add(w, &client_ip, up), *server = plx_sim_port_add(w, &server_ip, down);
//   ... open both like any port; then, again and again:
//   now = earliest of plx_sim_next(w) and the deadlines of the engines;
//   plx_sim_advance(w, now); let the engines have their breath at `now`.
//
// What happens to a datagram, in this order: loss_mask and mtu, the queue (tail drop, ECN mark), the line, and on the
// line: loss, corruption, reordering, duplication, delay and jitter. Everything is decided when it is sent, by a
// generator of the link's own, so a run depends on the seed and on what is sent when, and on nothing else.
//
// One thread. Memory is taken at plx_sim_new() and plx_sim_link_add().

#ifndef PLX_DRIVERS_SIM_H
#define PLX_DRIVERS_SIM_H

#include "plx/port.h"

enum { PLX_SIM_LINKS_MAX = 16, PLX_SIM_PORTS_MAX = 64 };

struct plx_sim_world;

struct plx_sim_cfg {
    uint64_t seed;
    // datagrams queued, on lines and not yet given back; 0: 65,536. More are lost (no_memory)
    uint32_t in_flight_max;
    uint16_t mtu_max; // largest IP packet any link carries; 0: 1500
};

// One direction. Zero means: without.
struct plx_sim_link_cfg {
    uint64_t rate_bps;    // of IP octets; 0: infinitely fast, and then without a queue
    plx_dur delay;        // from the line's end to the receiver
    plx_dur jitter;       // up to this much more, without changing the order
    uint32_t queue_bytes; // IP octets that may wait, the one being sent included; 0: any number
    uint32_t queue_packets;
    uint32_t ecn_bytes; // a packet that finds this much waiting and is ECN-capable is marked; 0: never
    uint16_t mtu;       // larger IP packets disappear; 0: mtu_max
    uint64_t loss_mask; // bit n: the n-th datagram (of the first 64) is lost
    double loss;        // probabilities, 0 to 1
    double reorder;     // held back by delay / 4 + 1 ms, so that later ones overtake
    double duplicate;
    double corrupt; // one bit is wrong
    // a NAT in front of the link forgets its mappings at this interval: the source port (see
    // nat.c) changes as seen by the far end, and what is sent to an old one disappears
    plx_dur rebind_every;
    bool rebind_ip; // and the source IP as well
};

struct plx_sim_link_stats {
    uint64_t offered;   // datagrams sent into the link
    uint64_t delivered; // put into an endpoint's hands, duplicates included
    uint64_t bytes;     // IP octets that passed the line
    uint64_t lost, lost_by_mask, lost_by_mtu, lost_by_queue, lost_by_nat, no_memory;
    uint64_t no_endpoint; // nobody has the destination address
    uint64_t duplicated, reordered, corrupted, marked;
    uint32_t queue_bytes_most, queue_packets_most;
};

// NULL when memory is short. Ports are closed and freed before the world is.
struct plx_sim_world *plx_sim_new(const struct plx_sim_cfg *cfg);
void plx_sim_free(struct plx_sim_world *w);

// Returns the link's number. At most PLX_SIM_LINKS_MAX.
unsigned plx_sim_link_add(struct plx_sim_world *w, const struct plx_sim_link_cfg *cfg);

// Changes a link from now on; what is already under way is not affected.
void plx_sim_link_set(struct plx_sim_world *w, unsigned link, const struct plx_sim_link_cfg *cfg);
struct plx_sim_link_stats plx_sim_link_stats(const struct plx_sim_world *w, unsigned link);

// An endpoint that sends into `link` and answers to ip (whose port, if not 0, is the source where a packet names none).
// Sending with another source IP than its own is possible: tests forge. One queue. NULL when memory is short.
struct plx_port *plx_sim_port_add(struct plx_sim_world *w, const struct plx_addr *ip, unsigned link);

// Moves the world to `now`, which never goes back: whatever arrives until then can be received.
void plx_sim_advance(struct plx_sim_world *w, plx_time now);

// When something can be received: now if something waits already, PLX_NEVER if nothing is under way.
plx_time plx_sim_next(const struct plx_sim_world *w);
// True when something waits for this endpoint, which must be one of a simulated world.
bool plx_sim_port_has_mail(const struct plx_port *port);

// Checks that every datagram's memory is in exactly one place. For tests.
void plx_sim_verify(const struct plx_sim_world *w);

#endif
