// neigh.h -- which link-layer address a neighbour has: one cache for ARP (RFC 826) and ND (RFC 4861), sans-I/O.
//
//            ask                    learn
//   (none) ───────▶ INCOMPLETE ───────────────▶ REACHABLE ◀──┐ learn
//                     │   ▲                         │ 30 s   │
//                     └───┘ ask again, 1 s, then 5 s ▼        │
//                                                 STALE ─────┘
//                        INCOMPLETE ◀──────────────┘ three questions without an answer
//
// Anything heard from a neighbour, an answer or a datagram, proves that it is there and where: an address in use is
// confirmed by its own traffic and no question is ever asked. A STALE address is used while it is being asked for.
// Questions are limited per neighbour; the caller sends them.
//
// The table has a fixed size: sets of eight by a keyed hash. A new neighbour takes the place of the least worthy of its
// set: an unanswered one before a stale one before the one heard longest ago; pinned ones (gateways) stay. So a
// neighbour that invents addresses wins nothing but its own places, and no operation costs more than one set.
// Everything that makes an answer given earlier wrong increments `generation`, so callers may keep copies.

#ifndef PLX_NET_NEIGH_H
#define PLX_NET_NEIGH_H

#include "plx/types.h"

enum {
    PLX_NEIGH_SETS = 128,
    PLX_NEIGH_WAYS = 8,
    PLX_NEIGH_ASKS = 3, // RFC 4861 section 10, MAX_MULTICAST_SOLICIT and MAX_UNICAST_SOLICIT
};
#define PLX_NEIGH_REACHABLE PLX_SEC(30) // RFC 4861 section 10, REACHABLE_TIME
#define PLX_NEIGH_RETRANS \
    PLX_SEC(1) // RFC 4861 section 10, RETRANS_TIMER; RFC 1122 section 2.3.2.1 says the same
#define PLX_NEIGH_PAUSE PLX_SEC(5) // between questions once PLX_NEIGH_ASKS have gone unanswered

enum plx_neigh_state { PLX_NEIGH_NONE, PLX_NEIGH_INCOMPLETE, PLX_NEIGH_IS_REACHABLE, PLX_NEIGH_STALE };

struct plx_neigh_entry {
    uint8_t ip[16]; // IPv4: the first four octets
    uint8_t af;
    uint8_t state; // enum plx_neigh_state
    uint8_t asks;  // questions since the last sign of life
    bool is_pinned;
    uint8_t mac[6];
    plx_time heard; // last sign of life
    plx_time asked; // last question
};

struct plx_neigh {
    struct plx_neigh_entry set[PLX_NEIGH_SETS][PLX_NEIGH_WAYS];
    uint8_t key[16];
    uint64_t generation;
    uint64_t evicted; // living neighbours that had to make room
};

struct plx_neigh_answer {
    bool is_known; // mac is to be used
    bool ask;      // the caller shall send a question now; it has been counted as sent
    uint8_t mac[6];
};

// key: secret octets that place addresses in sets.
void plx_neigh_init(struct plx_neigh *t, const uint8_t key[16]);

// What to do for a packet to ip (port and scope are ignored).
struct plx_neigh_answer plx_neigh_find(struct plx_neigh *t, const struct plx_addr *ip, plx_time now);

// A sign of life from ip with this address.
void plx_neigh_learn(struct plx_neigh *t, const struct plx_addr *ip, const uint8_t mac[6], plx_time now);

// Whether mac is usable for ip at this time, without any effect. mac may be NULL.
bool plx_neigh_peek(const struct plx_neigh *t, const struct plx_addr *ip, plx_time now, uint8_t mac[6]);

// Whether there is an entry at all: somebody has spoken, or been spoken to. Unasked answers from others are not news.
bool plx_neigh_has(const struct plx_neigh *t, const struct plx_addr *ip);

// Keeps ip in the table from now on. False when its whole set is pinned.
PLX_MUST_USE bool plx_neigh_pin(struct plx_neigh *t, const struct plx_addr *ip);

void plx_neigh_verify(const struct plx_neigh *t);

#endif
