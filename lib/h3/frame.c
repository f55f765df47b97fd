// frame.c -- see frame.h.

#include "h3/frame.h"

struct frame_row {
    const char *name;
    uint8_t places, sides;
};

static const struct frame_row rows[] = {
#define X(type, name, places, sides) [PLX_FRAME_##name] = {#name, places, sides},
#include "h3/frame.def"
#undef X
    [PLX_FRAME_UNKNOWN] = {"unknown", ON_CONTROL | ON_REQUEST | ON_PUSH, TO_BOTH},
};

static uint8_t kind_of(uint64_t type)
{
    switch (type) {
#define X(type, name, places, sides) \
    case type:                       \
        return PLX_FRAME_##name;
#include "h3/frame.def"
#undef X
    default:
        return PLX_FRAME_UNKNOWN;
    }
}

static bool head_read(struct plx_framing *f, struct plx_rd *r)
{
    uint64_t type = plx_rd_varint(r), left = plx_rd_varint(r);
    if (r->is_short)
        return false;
    f->kind = kind_of(type);
    f->left = left;
    f->is_open = true;
    return true;
}

bool plx_framing_begin(struct plx_framing *f, struct plx_rd *r)
{
    struct plx_rd whole = *r;

    if (f->head_len == 0 && head_read(f, &whole)) {
        *r = whole;
        return true;
    }
    // It is cut: octet by octet, so that nothing of the payload is taken along. Sixteen always make a header.
    while (plx_rd_left(r) > 0) {
        f->head[f->head_len++] = plx_rd_u8(r);
        whole = plx_rd_init(f->head, f->head_len);
        if (head_read(f, &whole)) {
            f->head_len = 0;
            return true;
        }
    }
    return false;
}

bool plx_frame_is_allowed(uint8_t kind, enum plx_frame_place place, enum plx_frame_side side)
{
    return (rows[kind].places & place) && (rows[kind].sides & side);
}

const char *plx_frame_name(uint8_t kind)
{
    return rows[kind].name;
}
