// request_whole.c -- messages in one piece: what nearly every request is, and every short response. A HEADERS frame, behind it
// nothing or one DATA frame, and the end of the stream, all in the octets of one call.
//
// The steps are those of request_rx.c, and mostly its functions: the head is decoded and validated as any other, the length of the body is
// held against content-length, and what may not stand on the stream fails it. Only the framing is missing, which there is no
// need of: nothing is cut, so nothing is remembered between calls. There are no trailers here either: with a third frame a message
// is not one of these. Where a message stops in the middle all the same, because its head waits for the dynamic table or the
// program does not take all of its body, the request is left as the long road would leave it, which then goes on.

#include "h3/conn_int.h"

#include "base/check.h"

struct whole {
    const uint8_t *section, *body;
    size_t section_len, body_len, rest_len; // rest: the DATA frame with its header
};

static bool whole_read(struct whole *m, const uint8_t *data, size_t len)
{
    struct plx_rd r = plx_rd_init(data, len);

    if (plx_rd_varint(&r) != PLX_FRAME_TYPE_HEADERS)
        return false;
    uint64_t section_len = plx_rd_varint(&r);
    if (r.is_short || section_len > plx_rd_left(&r))
        return false;
    m->section_len = (size_t)section_len;
    m->section = plx_rd_bytes(&r, m->section_len);
    m->rest_len = plx_rd_left(&r);
    m->body = NULL;
    m->body_len = 0;
    if (m->rest_len == 0)
        return true;
    if (plx_rd_varint(&r) != PLX_FRAME_TYPE_DATA)
        return false;
    uint64_t body_len = plx_rd_varint(&r);
    m->body = r.p;
    m->body_len = plx_rd_left(&r);
    return m->body_len > 0 && m->body_len == body_len;
}

// The DATA frame. Where it may not stand, or the program does not take all of it, the framing is left as the long road would leave it.
static size_t whole_body(struct plx_h3_req *req, const struct whole *m)
{
    const struct plx_h3_handler *h = req->s.conn->handler;
    size_t len = m->body_len, taken = len;

    req->framing.left = len;
    plx_h3_rx_data_begin(req);
    if (!plx_h3_rx_can_go_on(req))
        return len;
    if (h->on_body != NULL)
        taken = h->on_body(req, m->body, len);
    plx_check(taken <= len); // the program's promise
    req->framing.left = len - taken;
    if (taken == len)
        return 0;
    req->framing.kind = PLX_FRAME_DATA;
    req->framing.is_open = true;
    if (!plx_h3_rx_is_over(req))
        req->wait = WAIT_PROGRAM;
    return len - taken;
}

// Returns the octets that were left.
static size_t whole_on_data(struct plx_h3_req *req, const struct whole *m)
{
    struct plx_stash own = {NULL, 0, 0};
    size_t left = 0;

    plx_h3_rx_head(req, m->section, m->section_len, &own, m->rest_len == 0);
    if (m->rest_len > 0)
        left = plx_h3_rx_can_go_on(req) ? whole_body(req, m) : m->rest_len;
    if (left > 0 || plx_h3_rx_is_over(req))
        return left;
    req->has_fin = true;
    if (!plx_h3_rx_can_go_on(req))
        return 0;
    if (plx_h3_rx_can(req, EVENT_FIN))
        plx_h3_rx_end(req, NULL, 0);
    else
        plx_h3_rx_incomplete(req);
    return 0;
}

bool plx_h3_rx_whole(struct plx_h3_req *req, const uint8_t *data, size_t len, size_t *left)
{
    struct whole m;

    if (!whole_read(&m, data, len) || m.section_len > req->s.conn->env->cfg.field_section_max)
        return false;
    *left = whole_on_data(req, &m);
    return true;
}
