// shutdown.c -- the end that nobody loses a request by: GOAWAY in both directions (RFC 9114 section 5.2).
//
// A server says it twice: first the largest ID, so that the client stops asking; and when that has been acknowledged,
// so that requests already on their way have arrived, the ID behind the last request that it will answer. Nobody
// measures time here: the acknowledgment of the first is the round trip that the RFC asks to allow for. When no request
// is open nobody is made to wait for it: the second follows at once, and what it refuses can safely be asked elsewhere.

#include "h3/conn_int.h"

#include "base/check.h"

//= rfc9114 5.2 "2^62-4 for servers, 2^62-1 for clients"
static const uint64_t warning_id = (UINT64_C(1) << 62) - 4;

static bool goaway_send(struct plx_h3_conn *c, uint64_t id)
{
    uint8_t buf[PLX_FRAME_HEAD_MAX + 8];
    struct plx_wr w = plx_wr_init(buf, sizeof buf);

    plx_check(id <= c->goaway_sent); //= rfc9114 5.2 "the identifier in each frame MUST NOT be greater"
    plx_frame_wr_head(&w, PLX_FRAME_TYPE_GOAWAY, plx_varint_len(id));
    plx_wr_varint(&w, id);
    if (c->control.ts == NULL ||
        c->io->send_copy(c->io_arg, c->control.ts, buf, (size_t)(w.p - buf), false) != PLX_OK)
        return false; // tried again after the next event
    c->goaway_sent = id;
    return true;
}

void plx_h3_shutdown_step(struct plx_h3_conn *c)
{
    if (c->shutdown == SHUTDOWN_ASKED) {
        // A client takes no pushes, so the first ID that it refuses is 0.
        if (goaway_send(c, c->is_server ? warning_id : 0)) {
            c->shutdown = c->is_server ? SHUTDOWN_WARNED : SHUTDOWN_FINAL;
            // Its acknowledgment is an event even when nothing else happens on the connection.
            if (c->is_server)
                c->io->notify(c->io_arg, c->control.ts, 1);
        }
    }
    if (c->shutdown == SHUTDOWN_WARNED &&
        (plx_list_is_empty(&c->requests) || c->io->unsent(c->io_arg, c->control.ts) == 0)) {
        if (goaway_send(c, c->request_id_next))
            c->shutdown = SHUTDOWN_FINAL;
    }
}

void plx_h3_conn_shutdown(struct plx_h3_conn *c)
{
    if (!plx_h3_conn_is_open(c) || c->shutdown > SHUTDOWN_ASKED)
        return;
    if (c->is_parked)
        c->io->wake(c->io_arg);
    c->shutdown = SHUTDOWN_ASKED;
    plx_h3_shutdown_step(c);
}

bool plx_h3_conn_is_drained(const struct plx_h3_conn *c)
{
    if (!plx_h3_conn_is_open(c) || !plx_list_is_empty(&c->requests))
        return false;
    if (c->shutdown == SHUTDOWN_FINAL)
        return true;
    // A client that may ask for nothing more has no use for the connection either.
    return !c->is_server && c->goaway_received != UINT64_MAX;
}

void plx_h3_goaway_on(struct plx_h3_conn *c, uint64_t id)
{
    //= rfc9114 7.2.6 "a GOAWAY frame containing a stream ID of any other type"
    if (!c->is_server && id % 4 != 0)
        return plx_h3_conn_fail(c, PLX_H3_ID_ERROR, "GOAWAY with an ID that is not a request's");
    //= rfc9114 5.2 "Receiving a GOAWAY containing a larger identifier than previously received"
    if (id > c->goaway_received)
        return plx_h3_conn_fail(c, PLX_H3_ID_ERROR, "GOAWAY with a larger ID than before");
    c->goaway_received = id;
    if (!c->is_server) {
        // Never processed, so the program hears "rejected" and may ask elsewhere; on the wire we cancel.
        plx_list_foreach(node, &c->requests) {
            struct plx_h3_req *req = PLX_CONTAINER(node, struct plx_h3_req, node);
            if (req->s.id >= id)
                plx_h3_req_fail(req, PLX_H3_REQUEST_CANCELLED, PLX_H3_REQUEST_REJECTED, true);
        }
    }
    if (c->handler->on_goaway != NULL)
        c->handler->on_goaway(c, id);
}
