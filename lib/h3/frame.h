// frame.h -- the frames of HTTP/3 (RFC 9114 section 7): where a frame begins and ends in a stream that is cut anywhere.
//
// A frame's header is two variable-length integers, at most 16 octets; while it is not whole, what there is of it waits
// here. After that `left` counts the payload down. Nobody but this file looks at a header, so every stream that
// carries frames sees the same thing whether the bytes come one by one or all at once.

#ifndef PLX_H3_FRAME_H
#define PLX_H3_FRAME_H

#include "base/cursor.h"

enum plx_frame_place { ON_NONE = 0, ON_CONTROL = 1, ON_REQUEST = 2, ON_PUSH = 4 };
enum plx_frame_side { TO_NONE = 0, TO_SERVER = 1, TO_CLIENT = 2, TO_BOTH = 3 };

enum plx_frame_kind {
#define X(type, name, places, sides) PLX_FRAME_##name,
#include "h3/frame.def"
#undef X
    PLX_FRAME_UNKNOWN,
};

enum plx_frame_type {
#define X(type, name, places, sides) PLX_FRAME_TYPE_##name = (type),
#include "h3/frame.def"
#undef X
};

enum { PLX_FRAME_HEAD_MAX = 16 };

struct plx_framing {
    uint64_t left;                    // octets of the payload still to come, when is_open
    uint8_t head[PLX_FRAME_HEAD_MAX]; // of a header that is cut
    uint8_t head_len;
    uint8_t kind; // enum plx_frame_kind of the open frame
    bool is_open; // a header has been read and its payload is not finished
};

// Reads a header; true when it is whole: the frame is open. False: all of r has been taken and more is needed.
bool plx_framing_begin(struct plx_framing *f, struct plx_rd *r);

// A frame has begun and not ended: the stream must not end here.
static inline bool plx_framing_is_cut(const struct plx_framing *f)
{
    return f->is_open || f->head_len > 0;
}

// May such a frame stand there?
bool plx_frame_is_allowed(uint8_t kind, enum plx_frame_place place, enum plx_frame_side side);

const char *plx_frame_name(uint8_t kind);

// A header, the counterpart of plx_framing_begin.
static inline void plx_frame_wr_head(struct plx_wr *w, uint64_t type, uint64_t len)
{
    plx_wr_varint(w, type);
    plx_wr_varint(w, len);
}

#endif
