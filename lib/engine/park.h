// park.h -- the streams of a connection that rests, put away: a few octets in the slab instead of nine objects.
//
// A connection that hears nothing for some seconds gives its expanded keys back (quic/conn/keys.c) and stays where it is, so that programs may
// keep pointers to it. The streams that HTTP/3 keeps open for itself (control and QPACK, of both sides) are then most of what is left, and
// nobody outside has ever seen them. They are written as an image, of which only the difference to the first one of that role is kept
// (base/squeeze.h), as hibernate.h does it with whole connections; their objects go back to the pools.
//
// There they stay when the connection goes on, and when it hibernates and wakes: a request needs none of them. Whoever does has all of them back
// first: the transport before a frame comes that names one, or a program opens another (events.on_recall); HTTP/3 before it says anything on
// one (io.wake). A connection that rests goes on only while there are objects for them, so that this cannot fail but when another
// connection has taken those meanwhile.

#ifndef PLX_ENGINE_PARK_H
#define PLX_ENGINE_PARK_H

#include <plx/types.h>

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
// Whether it rests or not. False: there is nothing that could be put away, or something is under way, or the slab is empty.
bool plx_park(struct plx_core *k, struct plx_conn *c);
// False: a pool is empty, and it stays parked; or it has ended meanwhile.
bool plx_unpark(struct plx_core *k, struct plx_conn *c);
// The connection goes, and what is kept of its streams with it.
void plx_park_forget(struct plx_core *k, struct plx_econn *e);

// A block as e->parked holds it; NULL: nothing is put away. Whether there are objects for what is in it.
bool plx_park_has_room(const struct plx_core *k, const uint8_t *block);

// What is put away, as octets that may lie anywhere: for whoever puts away the connection as well.
size_t plx_park_text_max(void);
// Returns how many: at least one, and plx_park_text_max() at most.
size_t plx_park_text(const struct plx_econn *e, uint8_t *out);
size_t plx_park_text_len(const uint8_t *text);
// e->parked is NULL, and is again what text was made of; false: the slab is empty.
PLX_MUST_USE bool plx_park_from_text(struct plx_core *k, struct plx_econn *e, const uint8_t *text);

#endif
