// park.h -- the streams of a connection that rests, put away: a few octets in the slab instead of nine objects.
//
// A connection that hears nothing for some seconds gives its expanded keys back (quic/conn/keys.c) and stays where it is, so that programs may
// keep pointers to it. The streams that HTTP/3 keeps open for itself (control and QPACK, of both sides) are then most of what is left, and
// nobody outside has ever seen them. They are written as an image, of which only the difference to the first one of that role is kept
// (base/squeeze.h), as hibernate.h does it with whole connections; their objects go back to the pools.
//
// Whoever needs a stream or a key has them back first: the transport before a packet comes in or leaves, before a program opens a stream, and when
// the connection ends (events.on_unpark); HTTP/3 before it says GOAWAY (io.wake). So what is parked has no keys, and a packet on
// the usual way asks nothing that it did not ask before.

#ifndef PLX_ENGINE_PARK_H
#define PLX_ENGINE_PARK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

struct plx_conn;
struct plx_core;
struct plx_econn;

struct plx_parking {
    uint64_t *image;      // one at a time
    uint64_t *pattern[2]; // by role
    bool has_pattern[2];
    uint8_t *text;
    size_t h3_at, size; // octets within an image
};

// memory.c cuts it from the core's arena.
size_t plx_parking_bytes(void);
PLX_MUST_USE bool plx_parking_init(struct plx_parking *p, struct plx_arena *arena);

// After a timer of the connection went off. Nothing, unless it rests and has such streams.
void plx_park_try(struct plx_core *k, struct plx_conn *c);
// False: a pool is empty, and it stays parked; or it has ended meanwhile.
bool plx_unpark(struct plx_core *k, struct plx_conn *c);
// The connection goes, and what is kept of its streams with it.
void plx_park_forget(struct plx_core *k, struct plx_econn *e);

#endif
