// streams_image.h -- the streams of a connection that hibernates: no object, no ring, only what they hold.
//
// Only a connection whose open streams are few, unidirectional and idle sleeps (HTTP/3's control and QPACK streams): nothing queued,
// nothing kept, nothing to say. Pointers into objects that will lie elsewhere are zero in an image; so two of them differ in numbers only.

#ifndef PLX_QUIC_STREAMS_IMAGE_H
#define PLX_QUIC_STREAMS_IMAGE_H

#include "base/squeeze.h"
#include "quic/stream/streams.h"

enum { PLX_IMAGE_STREAMS_MAX = 8, PLX_IMAGE_SPAN = PLX_WINDOW_MIN };

struct plx_streams_image {
    struct plx_streams_image_head {
        uint8_t slot[4]
                    [PLX_IMAGE_SPAN]; // numbers from each window's base on: 0 new, 1 closed, 2 + index into v
        uint64_t count, reserved[3];
    } head;
    struct plx_stream v[PLX_IMAGE_STREAMS_MAX];
};
_Static_assert(offsetof(struct plx_streams_image, v) == sizeof(struct plx_streams_image_head),
               "read one after the other");

bool plx_streams_can_sleep(const struct plx_streams *ss);
// img is zero before. copy: a bytewise copy of ss, whose pointers into itself and to streams are cleared; or NULL. users: of each stream in v.
void plx_streams_save(const struct plx_streams *ss, struct plx_streams *copy, struct plx_streams_image *img,
                      void *users[PLX_IMAGE_STREAMS_MAX]);
// Gives objects and rings back without a word to anybody: the image has it all.
void plx_streams_release(struct plx_streams *ss);
// The same, but ss stays: it can be restored, and until then nothing else may be asked of it than what it has to write or to wait for.
void plx_streams_park(struct plx_streams *ss);
// Nor will it be restored: ss is parked and about to end.
void plx_streams_forget(struct plx_streams *ss);
// ss: a bytewise copy of what save made, with events, arg and conn as they shall be. made: the objects, their user pointers NULL.
// Or ss is parked. img: the image is what comes next. False: pool or slab are empty; nothing is held then, and where img is nobody knows.
bool plx_streams_restore(struct plx_streams *ss, struct plx_unsqueeze *img,
                         struct plx_stream *made[PLX_IMAGE_STREAMS_MAX]);

#endif
