// hibernate.h -- an HTTP/3 connection without requests, as a block of numbers (see quic/conn/hibernate.h).
//
// What is left of it are settings and a few counters; its unidirectional streams are put away before (plx_h3_park). A dynamic table that the
// peer's encoder has filled stays where it is, in its blocks of the slab: the image holds pointers to them, and they belong to whoever holds the
// image.

#ifndef PLX_H3_HIBERNATE_H
#define PLX_H3_HIBERNATE_H

#include "base/squeeze.h"
#include "h3/conn.h"

size_t plx_h3_image_size(void); // a multiple of 64
// No request, no half a frame, no shutdown under way, nothing to tell the peer's encoder.
bool plx_h3_can_sleep(const struct plx_h3_conn *c);
void plx_h3_save(const struct plx_h3_conn *c, void *image);
void plx_h3_release(struct plx_h3_conn *c); // after save: gives the objects back, keeps the table's blocks
// The image is what comes next. NULL: a pool is empty; nothing is held then.
struct plx_h3_conn *plx_h3_restore(struct plx_h3_env *env, struct plx_unsqueeze *image, void *io_arg,
                                   struct plx_conn *transport);

// Only the unidirectional streams, while the connection stays where it is (plx_h3_can_sleep() allows it): an image, and then the
// objects are given back. Later they are made again and bound; false: none is left, and it stays parked. What HTTP/3 itself has to say on one of
// them it says after io.wake.
size_t plx_h3_park_size(void);
unsigned plx_h3_park_save(const struct plx_h3_conn *c, void *image); // returns how many objects it stands for
void plx_h3_park(struct plx_h3_conn *c);
PLX_MUST_USE bool plx_h3_unpark(struct plx_h3_conn *c, struct plx_unsqueeze *image);
// A number for the object of a stream (NULL: 0) by which plx_h3_bind() finds its successor.
uint8_t plx_h3_name(const struct plx_h3_conn *c, const struct plx_h3_stream *hs);
// The object of that name, which belongs to the transport's stream ts from now on.
struct plx_h3_stream *plx_h3_bind(struct plx_h3_conn *c, uint8_t name, void *ts);

#endif
