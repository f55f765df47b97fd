// frames.h -- ports of frames: what the pipeline does around lib/net on them, and does not do on ports of datagrams.
//
// A packet whose next hop is not known yet is held, a few at a time, until the answer comes or a second has passed: without
// that, a client's first packet would be lost to the question that it raised, and cost a probe timeout. What one core
// learns about neighbours it tells the others, because a NIC brings all ARP and ND to one queue; and what it asks, because
// that queue's core would take the answer for one that nobody wanted.

#ifndef PLX_ENGINE_FRAMES_H
#define PLX_ENGINE_FRAMES_H

#include <pthread.h>
#include <stdatomic.h>

#include "net/net.h"

struct plx_core;
struct plx_engine;

enum { PLX_FRAMES_HELD_MAX = 32, PLX_FRAMES_NEWS_MAX = 64 };

struct plx_frames { // of one core
    struct plx_net net;
    struct plx_pkt *held[PLX_FRAMES_HELD_MAX];
    uint16_t held_count;
    plx_time held_until;
    bool has_news;      // the neighbour cache has changed: held packets may go
    uint64_t news_seen; // what others told up to this number is in our cache
    uint16_t next_port; // for clients
};

struct plx_frames_news {    // of an engine: the last things any core learned
    pthread_mutex_t lock;   // rare: a neighbour's address
    _Atomic uint64_t count; // N1 (release) after an entry is written, N2 (acquire) before any is read
    struct plx_net_news v[PLX_FRAMES_NEWS_MAX];
    bool is_question[PLX_FRAMES_NEWS_MAX]; // asked by that core; else answered
    uint16_t by[PLX_FRAMES_NEWS_MAX];
};

PLX_MUST_USE enum plx_err plx_frames_init(struct plx_engine *e, struct plx_core *k, char *err,
                                          size_t err_len);
void plx_frames_fini(struct plx_core *k);
// A received frame: true when pkt is now a datagram for the pipeline; else it has been answered or counted.
bool plx_frames_rx(struct plx_core *k, struct plx_pkt *pkt);
// Headers in front of datagrams. Returns how many of pkts (in order, from the front) are to be sent now.
uint16_t plx_frames_tx(struct plx_core *k, struct plx_pkt **pkts, uint16_t count);
// At the beginning of a breath, before anything is received: news of other cores.
void plx_frames_hear(struct plx_core *k);
// At its end: questions that are pending, held packets.
void plx_frames_breath(struct plx_core *k);
// A source for a client's connection to peer: an address unless *local names one, and a port (its own if asked).
void plx_frames_source(struct plx_core *k, const struct plx_addr *peer, bool own_port,
                       struct plx_addr *local);

#endif
