// hibernate.h -- a connection that has long been silent, as a block of numbers.
//
// Between requests a connection needs no objects: nothing is in flight, nothing waits to be said, and the expanded keys have gone already. What
// is left are its numbers: secrets, packet numbers, connection IDs, the path, limits. plx_conn_save() writes them as an image without a
// pointer into anything that moves; the engine keeps what differs from other connections' images (base/squeeze.h) and gives the objects
// back. plx_conn_restore() makes the connection again, at another address; the peer cannot tell. Its streams are put away before
// (plx_conn_park), and stay so until one of them is needed.
//
// Its connection IDs and reset tokens stay in the engine's tables meanwhile, and its deadline in the wheel.

#ifndef PLX_QUIC_HIBERNATE_H
#define PLX_QUIC_HIBERNATE_H

#include "base/squeeze.h"
#include "quic/conn/conn.h"

enum { PLX_CONN_IMAGE_STREAMS = 8, PLX_CONN_IMAGE_CIDS = 8 };

size_t plx_conn_image_size(void); // a multiple of 64
// Since when nothing was heard or said.
plx_time plx_conn_quiet_since(const struct plx_conn *c);
// Nothing in flight, no timer but those of silence, no stream but idle unidirectional ones.
bool plx_conn_can_sleep(const struct plx_conn *c);
// No stream but those that are put away.
bool plx_conn_is_bare(const struct plx_conn *c);
// May be asked for a connection that can sleep and is bare; gives back what an idle connection does not need. image is 64-aligned.
void plx_conn_save(struct plx_conn *c, void *image);
// After save: objects and memory are given back, secrets forgotten, nobody is told. c may go.
void plx_conn_release(struct plx_conn *c);
// The image is what comes next.
void plx_conn_restore(struct plx_conn *c, struct plx_unsqueeze *image);
// Nothing was said for some seconds, and its expanded keys are gone.
bool plx_conn_rests(const struct plx_conn *c);
// Only the streams, while the connection stays: nothing is under way on them, and nobody but the engine has pointers to them.
bool plx_conn_can_park(const struct plx_conn *c);
size_t plx_conn_park_size(void); // of an image, a multiple of 64
// users: the user pointers of its streams, which the image does not hold. Returns how many. image is 64-aligned.
unsigned plx_conn_park_save(const struct plx_conn *c, void *image, void *users[PLX_CONN_IMAGE_STREAMS]);
void plx_conn_park(struct plx_conn *c); // after save: the objects go
// streams: the objects for users, in the same order. False: it stays parked, or it has ended since, and its streams with it.
bool plx_conn_unpark(struct plx_conn *c, struct plx_unsqueeze *image,
                     struct plx_stream *streams[PLX_CONN_IMAGE_STREAMS]);

// Clears what is secret in an image, so that it can serve as a pattern for others.
void plx_conn_image_blank(void *image);
// How much of an object of keys, from its beginning, is written when they are expanded again. After a key update it may be more.
size_t plx_conn_keys_waking(void);
// Our connection IDs that are in use; returns how many.
unsigned plx_conn_cids(const struct plx_conn *c, struct plx_cid out[PLX_CONN_IMAGE_CIDS]);

#endif
