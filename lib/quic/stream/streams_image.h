// streams_image.h -- streams that are put away: no object, no ring, only what they hold.
//
// Only a connection whose open streams are few, unidirectional and idle has them put away (HTTP/3's control and QPACK streams): nothing queued,
// nothing kept, nothing to say. Pointers into objects that will lie elsewhere are zero in an image; so two of them differ in numbers only.
//
// The container goes on meanwhile: its windows know their numbers, and other streams open and close. Whoever comes to a number of a window that is away
// asks for all of them first (events.on_recall).

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
// No stream, and no number that anything must be known of but what is put away.
bool plx_streams_is_bare(const struct plx_streams *ss);
// img is zero before. users: of each stream in v.
void plx_streams_save(const struct plx_streams *ss, struct plx_streams_image *img,
                      void *users[PLX_IMAGE_STREAMS_MAX]);
// After save: objects and rings go without a word to anybody, the image has it all.
void plx_streams_park(struct plx_streams *ss);
// It will not be recalled: ss is about to end. Returns how many streams that were.
uint64_t plx_streams_forget(struct plx_streams *ss);
// After park, perhaps long after. img: the image is what comes next. made: the objects, their user pointers NULL. False: pool or slab are empty; nothing
// is held then, and where img is nobody knows.
bool plx_streams_recall(struct plx_streams *ss, struct plx_unsqueeze *img,
                        struct plx_stream *made[PLX_IMAGE_STREAMS_MAX]);

// The container itself, while it is bare: in a bytewise copy nothing is left that points into it or to memory of its own; the original may go then. A copy of that
// is a container again.
void plx_streams_blank(struct plx_streams *copy);
void plx_streams_release(struct plx_streams *ss);
void plx_streams_revive(struct plx_streams *ss, void *arg);

#endif
