// hibernate.h -- connections that sleep: one record each, in a row of small berths, instead of objects of six pools.
//
// A connection that was quiet for cfg.hibernate_after, and has nothing under way, is written as one image: what the engine adds to it,
// the transport, HTTP/3 (quic/conn/hibernate.h, h3/hibernate.h). Connections of a role are much alike, so the first image of each role
// is kept as a pattern and a record holds only the difference (base/squeeze.h), in a chain of berths of two lines each. Its
// connection IDs and reset tokens stay in the core's tables and name the first berth instead of the object; its deadline stays in the wheel.
//
// Whatever concerns it wakes it: a packet, a stateless reset, its deadline, the program, the engine's end. Waking makes the objects again, at
// other addresses: a program that keeps pointers is told (cfg.on_hibernate, cfg.on_wake). When no object is left, the packet is dropped and
// counted, and the peer sends it again.
//
// Of what names it in the tables only the entry that was asked for is set right when it wakes. The others lead to its first berth as before until
// somebody asks for them: the berths stay behind with the number of the object, and are where the connection sleeps the next time.

#ifndef PLX_ENGINE_HIBERNATE_H
#define PLX_ENGINE_HIBERNATE_H

#include <plx/conn.h>

#include "base/arena.h"
#include "base/wheel.h"

struct plx_core;
struct plx_econn;

enum {
    PLX_BERTH_LEN = 128,
    PLX_BERTHS_EACH = 8, // per connection that may sleep: memory is reserved for so many, touched as used
    PLX_TIMER_SLEEPER = 1,
};
#define PLX_BERTH_NONE  UINT32_MAX
#define PLX_SLEEPER_BIT (UINT32_C(1) << 31) // in a table's value: the rest is the number of a berth
_Static_assert(PLX_SLEEPER_BIT > (UINT32_C(1) << 24), "no index of a pool looks like a sleeper");

struct plx_berth {
    uint32_t next;          // the next of the chain, or of those that are free; PLX_BERTH_NONE
    uint16_t len;           // head: octets of the whole text; 0: no head, or its connection is awake
    bool is_server;         // head: which pattern
    bool has_h3;            // head
    struct plx_timer timer; // head; octets of the text in others
    uint8_t
        text[PLX_BERTH_LEN - 8 - sizeof(struct plx_timer)]; // of one that stayed behind, the object's number
};
_Static_assert(sizeof(struct plx_berth) == PLX_BERTH_LEN, "two lines");

struct plx_berths {
    struct plx_berth *v;
    uint32_t count, fresh, free, left; // never used: from fresh on; left: berths that can be had
    uint32_t held, held_max;           // connections that are awake and have some
    uint32_t sleepers;
    uint32_t swept;       // while stopping: berths below need not be looked at
    uint64_t *image;      // one at a time
    uint64_t *pattern[2]; // by role
    bool has_pattern[2];
    uint8_t warmed; // of the steps of plx_hibernate_warm(), those that are done
    bool is_stuck;  // the last look-up found a sleeper, and no objects for it
    bool is_moving; // a program's on_hibernate or on_wake runs
    uint8_t *text;
    size_t conn_at, h3_at, size; // octets within an image
    plx_dur after;               // 0: nobody sleeps
};

// memory.c cuts them from the core's arena: octets for so many sleepers, 0 for none.
size_t plx_berths_bytes(uint32_t sleepers);
PLX_MUST_USE bool plx_berths_init(struct plx_berths *b, uint32_t sleepers, struct plx_arena *arena);

// The connection's timer went off and it has dealt with that. True: it sleeps now, and c is gone.
bool plx_hibernate_try(struct plx_core *k, struct plx_conn *c);
// NULL: an object is missing (counted); it sleeps on.
struct plx_conn *plx_hibernate_wake(struct plx_core *k, uint32_t berth);
// What a table's value says: a sleeper, which is woken as above, or one that has woken since.
struct plx_conn *plx_hibernate_find(struct plx_core *k, uint32_t berth);
// It ends, and no table names it any more.
void plx_hibernate_forget(struct plx_core *k, struct plx_econn *e);
// The sleeper's timer went off: woken; or NULL, and it is tried again shortly.
struct plx_econn *plx_hibernate_expired(struct plx_core *k, struct plx_timer *t);
// In a breath that had nothing to do: asks for some of the memory that the next one to wake will be made of. Cost: some tens of lines.
void plx_hibernate_warm(struct plx_core *k);
// Somebody sleeps, and what a packet wakes it with may be far away: asked for, if the berth is a sleeper's.
void plx_hibernate_prefetch(const struct plx_core *k, uint32_t berth);
// Some sleepers, as far as there are objects for them. True: there are more.
bool plx_hibernate_sweep(struct plx_core *k, uint32_t max);

#endif
