// control.c -- the peer's control stream (RFC 9114 section 6.2.1): SETTINGS first, then frames that carry one ID.

#include "h3/conn_int.h"

enum { ID_LEN_MAX = 8 };

static void fail(struct ustream *u, uint64_t code, const char *why)
{
    plx_h3_conn_fail(u->s.conn, code, why);
}

// A frame has begun: may it stand here, and is its length possible?
static void frame_on_begin(struct ustream *u)
{
    struct plx_h3_conn *c = u->s.conn;
    const struct plx_framing *f = &u->framing;

    //= rfc9114 6.2.1 "If the first frame of the control stream is any other frame type"
    if (!c->has_settings && f->kind != PLX_FRAME_SETTINGS)
        return fail(u, PLX_H3_MISSING_SETTINGS, "the control stream does not begin with SETTINGS");
    //= rfc9114 7.2.4 "If an endpoint receives a second SETTINGS frame on the control stream"
    if (c->has_settings && f->kind == PLX_FRAME_SETTINGS)
        return fail(u, PLX_H3_FRAME_UNEXPECTED, "a second SETTINGS frame");
    if (!plx_frame_is_allowed(f->kind, ON_CONTROL, c->is_server ? TO_SERVER : TO_CLIENT))
        return fail(u, PLX_H3_FRAME_UNEXPECTED, "a frame that does not belong on the control stream");
    if (f->kind == PLX_FRAME_UNKNOWN) {
        (void)plx_h3_conn_junk(c, 1);
    } else if (f->kind == PLX_FRAME_SETTINGS) {
        c->has_settings = true;
        if (f->left > PLX_SETTINGS_LEN_MAX)
            fail(u, PLX_H3_EXCESSIVE_LOAD, "SETTINGS longer than 1024 octets");
    } else if (f->left == 0 || f->left > ID_LEN_MAX) {
        fail(u, PLX_H3_FRAME_ERROR, "a frame whose length is not that of an ID");
    }
}

static void settings_on(struct ustream *u, struct plx_rd *r)
{
    struct plx_h3_conn *c = u->s.conn;
    struct plx_settings then = c->peer;

    switch (plx_settings_read(&c->peer, r)) {
    case PLX_SETTINGS_OK:
        //= rfc9114 7.2.4.2 "this MUST be treated as a connection error of type H3_SETTINGS_ERROR"
        if (c->is_remembered && !plx_h3_settings_are_kept(&then, &c->peer))
            fail(u, PLX_H3_SETTINGS_ERROR, "early data was accepted, and its settings lowered");
        return;
    case PLX_SETTINGS_CUT:
        return fail(u, PLX_H3_FRAME_ERROR, "SETTINGS end within a setting");
    case PLX_SETTINGS_FORBIDDEN:
        return fail(u, PLX_H3_SETTINGS_ERROR,
                    "a setting given twice, of HTTP/2, or with a value it cannot have");
    }
}

static void max_push_id_on(struct plx_h3_conn *c, uint64_t id)
{
    //= rfc9114 7.2.7 "a smaller value than previously received MUST be treated as a connection error of type H3_ID_ERROR"
    if (c->has_max_push_id && id < c->max_push_id)
        plx_h3_conn_fail(c, PLX_H3_ID_ERROR, "MAX_PUSH_ID went down");
    c->has_max_push_id = true;
    c->max_push_id = id;
}

// A whole payload.
static void frame_on(struct ustream *u, const uint8_t *p, size_t len)
{
    struct plx_h3_conn *c = u->s.conn;
    struct plx_rd r = plx_rd_init(p, len);

    if (u->framing.kind == PLX_FRAME_SETTINGS)
        return settings_on(u, &r);
    uint64_t id = plx_rd_varint(&r);
    //= rfc9114 7.1 "A frame payload that contains additional bytes after the identified fields"
    if (r.is_short || plx_rd_left(&r) > 0)
        return fail(u, PLX_H3_FRAME_ERROR, "a frame whose length is not that of its ID");
    if (!plx_h3_conn_junk(c, 1)) // they are allowed, but a peer that repeats them forever is up to something
        return;
    if (u->framing.kind == PLX_FRAME_GOAWAY)
        plx_h3_goaway_on(c, id);
    else if (u->framing.kind == PLX_FRAME_MAX_PUSH_ID)
        max_push_id_on(c, id);
    else
        //= rfc9114 7.2.3 "references a push ID greater than currently allowed on the connection"
        //= rfc9114 7.2.3 "a push ID that has not yet been mentioned by a PUSH_PROMISE frame"
        fail(u, PLX_H3_ID_ERROR, "CANCEL_PUSH of a push that never was");
}

// Takes what there is of the payload; true when the frame is finished.
static bool payload(struct ustream *u, struct plx_rd *r)
{
    struct plx_framing *f = &u->framing;
    struct plx_slab *slab = u->s.conn->env->slab;
    size_t len = f->left < plx_rd_left(r) ? (size_t)f->left : plx_rd_left(r);
    const uint8_t *p = plx_rd_bytes(r, len);

    f->left -= len;
    f->is_open = f->left > 0;
    if (f->kind == PLX_FRAME_UNKNOWN)
        return !f->is_open;
    if (!f->is_open && u->stash.len == 0) {
        frame_on(u, p, len);
        return true;
    }
    if (!plx_stash_append(&u->stash, slab, p, len)) {
        fail(u, PLX_H3_INTERNAL_ERROR, "no memory for a frame that is cut; raise the slab");
        return false;
    }
    if (f->is_open)
        return false;
    frame_on(u, u->stash.p, u->stash.len);
    plx_stash_drop(&u->stash, slab);
    return true;
}

void plx_h3_control_on_data(struct ustream *u, struct plx_rd *r)
{
    while (plx_h3_conn_is_open(u->s.conn)) {
        if (!u->framing.is_open) {
            if (!plx_framing_begin(&u->framing, r))
                return;
            frame_on_begin(u);
        } else if (plx_rd_left(r) == 0) {
            return;
        }
        if (plx_h3_conn_is_open(u->s.conn) && !payload(u, r))
            return;
    }
}
