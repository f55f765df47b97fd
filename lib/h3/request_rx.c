// request_rx.c -- what arrives on a request stream: frames, cut anywhere, become calls of the program's handler.
//
// A HEADERS frame that lies whole in the given bytes is decoded where it lies, and what the handler sees are spans
// into it. One that is cut gathers in the stash; one that waits for the dynamic table waits there too, and the stream
// stands still behind it. Trailers are kept encoded until the stream ends, because only then the message is known
// to be valid, and references into the dynamic table stay good for as long as they are not acknowledged.
//
// Body octets go to the handler as they come; what it does not take is left with the transport.

#include "h3/conn_int.h"

#include "base/check.h"
#include "h3/memo.h"
#include "h3/message.h"

static enum plx_frame_side side_of(const struct plx_h3_conn *c)
{
    return c->is_server ? TO_SERVER : TO_CLIENT;
}

static void malformed(struct plx_h3_req *req)
{
    //= rfc9114 4.1.2 "Malformed requests or responses that are detected MUST be treated as a stream error"
    plx_h3_req_fail(req, PLX_H3_MESSAGE_ERROR, PLX_H3_MESSAGE_ERROR, false);
}

static void out_of_memory(struct plx_h3_req *req)
{
    // Nothing of it has been processed when the program has not heard of it: the client may ask again.
    uint64_t code =
        req->s.conn->is_server && !req->is_announced ? PLX_H3_REQUEST_REJECTED : PLX_H3_INTERNAL_ERROR;
    plx_h3_req_fail(req, code, code, false);
}

// --- field sections ----------------------------------------------------------------------------------------

static void too_large(struct plx_h3_req *req)
{
    //= rfc9114 4.2.2 "A server that receives a larger header section than it is willing to handle can send an HTTP 431"
    if (req->s.conn->is_server && req->rx == MESSAGE_HEAD && plx_h3_request_refuse(req, 431) == PLX_OK) {
        plx_h3_rx_abandon(req, PLX_H3_NO_ERROR, true);
        return;
    }
    plx_h3_req_fail(req, PLX_H3_EXCESSIVE_LOAD, PLX_H3_EXCESSIVE_LOAD, false);
}

// The section waits in the request's stash; own is where it lies if it came from there.
static void block(struct plx_h3_req *req, const uint8_t *p, size_t len, struct plx_stash *own,
                  uint64_t required)
{
    struct plx_h3_conn *c = req->s.conn;

    //= rfc9204 2.1.2 "If a decoder encounters more blocked streams than it promised to support"
    if (c->blocked_count >= c->env->cfg.qpack_blocked_max) {
        plx_h3_conn_fail(c, PLX_QPACK_DECOMPRESSION_FAILED, "more blocked streams than we allowed");
        return;
    }
    if (own->cap > 0) {
        req->stash = *own;
        *own = (struct plx_stash){NULL, 0, 0};
    } else if (!plx_stash_append(&req->stash, c->env->slab, p, len)) {
        out_of_memory(req);
        return;
    }
    req->wait = WAIT_TABLE;
    req->required = required;
    plx_list_add_tail(&c->blocked, &req->blocked);
    c->blocked_count++;
}

// Decodes a section into the core's scratch. False: it is blocked, or the request or the connection has failed.
static bool decode(struct plx_h3_req *req, const uint8_t *p, size_t len, struct plx_stash *own,
                   struct plx_qpack_section *s)
{
    struct plx_h3_conn *c = req->s.conn;
    struct scratch scratch = plx_h3_scratch_of(c->env);

    *s = (struct plx_qpack_section){
        .fields = scratch.fields,
        .classes = scratch.classes,
        .text = scratch.text,
        .text_cap = c->env->cfg.field_section_max,
        .size_max = c->env->cfg.field_section_max,
        .count_max = c->env->cfg.field_count_max,
    };
    switch (plx_qpack_dec_section(&c->table, p, len, s)) {
    case PLX_QPACK_OK:
        if (s->required > 0)
            plx_h3_decoder_ack(c, req->s.id, s->required);
        return true;
    case PLX_QPACK_BLOCKED:
        block(req, p, len, own, s->required);
        return false;
    case PLX_QPACK_TOO_LARGE:
        too_large(req);
        return false;
    default:
        plx_h3_conn_fail(c, PLX_QPACK_DECOMPRESSION_FAILED, s->why);
        return false;
    }
}

// --- heads -------------------------------------------------------------------------------------------------

// It may be a copy, and what it asks for may not be done twice: RFC 8470 section 5.2. The program does not hear of it.
static void too_early(struct plx_h3_req *req)
{
    if (plx_h3_request_refuse(req, 425) == PLX_OK)
        plx_h3_rx_abandon(req, PLX_H3_NO_ERROR, true);
    else
        plx_h3_req_fail(req, PLX_H3_REQUEST_REJECTED, PLX_H3_REQUEST_REJECTED, false);
}

static void on_request_head(struct plx_h3_req *req, const struct plx_h3_head *head, bool is_last)
{
    struct plx_h3_conn *c = req->s.conn;

    req->is_head = plx_span_is(head->method, "HEAD");
    req->is_connect = plx_span_is(head->method, "CONNECT");
    (void)plx_h3_rx_on(req, req->is_connect ? EVENT_CONNECT : EVENT_HEAD);
    if (!req->is_connect)
        req->content_length = head->content_length;
    if (is_last && req->content_length != 0 && req->content_length != PLX_H3_LENGTH_UNKNOWN)
        return malformed(req); // known before the program hears of it
    req->is_early = c->is_early;
    if (c->is_early && !plx_h3_method_is_safe(head->method))
        return too_early(req);
    plx_h3_rx_announce(req);
    if (c->handler->on_request != NULL)
        c->handler->on_request(req, head, !is_last);
}

static void on_response_head(struct plx_h3_req *req, const struct plx_h3_head *head)
{
    const struct plx_h3_handler *h = req->s.conn->handler;

    if (head->status < 200) {
        (void)plx_h3_rx_on(req, EVENT_INTERIM);
        if (h->on_interim != NULL)
            h->on_interim(req, head);
        return;
    }
    bool is_tunnel = req->is_connect && head->status < 300;
    (void)plx_h3_rx_on(req, is_tunnel ? EVENT_CONNECT : EVENT_HEAD);
    //= rfc9114 4.1.2 "A response that is defined as never having content, even when a Content-Length is present"
    if (req->is_head || head->status == 204 || head->status == 304)
        req->content_length = 0;
    else if (!is_tunnel)
        req->content_length = head->content_length;
    plx_h3_rx_forgive(req->s.conn);
    if (h->on_response != NULL)
        h->on_response(req, head);
}

// Decodes and validates a head; NULL: it is blocked, malformed, or the connection has failed.
static const struct plx_h3_head *read_head(struct plx_h3_req *req, const uint8_t *p, size_t len,
                                           struct plx_stash *own, uint64_t mark, struct plx_h3_head *head)
{
    const struct plx_h3_env *env = req->s.conn->env;
    bool is_request = req->s.conn->is_server;
    struct plx_qpack_section s;

    if (!decode(req, p, len, own, &s))
        return NULL;
    if ((is_request ? plx_message_read_request(&s, env->cfg.connect_protocol, head)
                    : plx_message_read_response(&s, head)) != NULL) {
        malformed(req);
        return NULL;
    }
    if (env->memo != NULL)
        plx_memo_keep(env->memo, is_request ? PLX_MEMO_REQUEST : PLX_MEMO_RESPONSE, p, len, mark, &s, head);
    return head;
}

void plx_h3_rx_head(struct plx_h3_req *req, const uint8_t *p, size_t len, struct plx_stash *own, bool is_last)
{
    struct plx_memo *memo = req->s.conn->env->memo;
    bool is_request = req->s.conn->is_server;
    const struct plx_h3_head *head = NULL;
    struct plx_h3_head fresh;
    uint64_t mark = 0;

    if (memo != NULL)
        head = plx_memo_find(memo, is_request ? PLX_MEMO_REQUEST : PLX_MEMO_RESPONSE, p, len, &mark);
    if (head == NULL && (head = read_head(req, p, len, own, mark, &fresh)) == NULL)
        return;
    if (is_request)
        on_request_head(req, head, is_last);
    else
        on_response_head(req, head);
}

// --- the end -----------------------------------------------------------------------------------------------

// The stream has ended before a message was complete.
void plx_h3_rx_incomplete(struct plx_h3_req *req)
{
    //= rfc9114 4.1 "the server SHOULD abort its response stream with the error code H3_REQUEST_INCOMPLETE"
    uint64_t code = req->s.conn->is_server ? PLX_H3_REQUEST_INCOMPLETE : PLX_H3_MESSAGE_ERROR;
    plx_h3_req_fail(req, code, code, false);
}

// The last octet has been taken, and nothing is cut.
void plx_h3_rx_end(struct plx_h3_req *req, const struct plx_field *trailers, uint16_t count)
{
    const struct plx_h3_handler *h = req->s.conn->handler;

    if (req->content_length != PLX_H3_LENGTH_UNKNOWN && req->body_len != req->content_length)
        return malformed(req);
    (void)plx_h3_rx_on(req, EVENT_FIN);
    if (h->on_end != NULL)
        h->on_end(req, trailers, count);
}

// All octets have been taken. Trailers, when there are any, are at p, or in own, still encoded.
static void finish(struct plx_h3_req *req, const uint8_t *p, size_t len, struct plx_stash *own)
{
    struct plx_h3_conn *c = req->s.conn;
    struct plx_qpack_section s = {.count = 0};
    bool has_trailers = req->rx == MESSAGE_TRAILED;

    //= rfc9114 7.1 "if the last frame on the stream was truncated, this MUST be treated as a connection error"
    if (plx_framing_is_cut(&req->framing)) {
        plx_h3_conn_fail(c, PLX_H3_FRAME_ERROR, "a stream ends within a frame");
        return;
    }
    if (!plx_h3_rx_can(req, EVENT_FIN))
        return plx_h3_rx_incomplete(req);
    if (has_trailers) {
        if (!decode(req, p, len, own, &s))
            return;
        if (plx_message_read_trailers(&s) != NULL)
            return malformed(req);
    }
    plx_h3_rx_end(req, has_trailers ? s.fields : NULL, s.count);
}

static void finish_from_stash(struct plx_h3_req *req)
{
    // Out of the request while the program looks at it: a cancellation from inside must not take the bytes away.
    struct plx_stash own = req->stash;
    req->stash = (struct plx_stash){NULL, 0, 0};
    finish(req, own.p, own.len, &own);
    plx_stash_drop(&own, req->s.conn->env->slab);
}

// --- frames ------------------------------------------------------------------------------------------------

static void on_headers_begin(struct plx_h3_req *req)
{
    struct plx_h3_conn *c = req->s.conn;

    if (req->rx != MESSAGE_HEAD && !plx_h3_rx_can(req, EVENT_TRAILERS)) {
        //= rfc9114 4.4 "Receipt of any other known frame type MUST be treated as a connection error"
        plx_h3_conn_fail(c, PLX_H3_FRAME_UNEXPECTED, "HEADERS behind trailers or in a tunnel");
        return;
    }
    // Encoded sections are shorter than what they stand for, as that is counted: this one is not worth reading.
    if (req->framing.left > c->env->cfg.field_section_max)
        too_large(req);
}

void plx_h3_rx_data_begin(struct plx_h3_req *req)
{
    struct plx_h3_conn *c = req->s.conn;

    if (!plx_h3_rx_on(req, EVENT_DATA)) {
        plx_h3_conn_fail(c, PLX_H3_FRAME_UNEXPECTED, "DATA before a head or behind trailers");
        return;
    }
    if (req->framing.left == 0 && !plx_h3_conn_junk(c, 1))
        return;
    req->body_len += req->framing.left;
    if (req->body_len > req->content_length)
        malformed(req);
}

// A frame has begun: may it stand here?
static void frame_on_begin(struct plx_h3_req *req)
{
    struct plx_h3_conn *c = req->s.conn;

    if (!plx_frame_is_allowed(req->framing.kind, ON_REQUEST, side_of(c))) {
        plx_h3_conn_fail(c, PLX_H3_FRAME_UNEXPECTED, "a frame that does not belong on a request stream");
        return;
    }
    switch (req->framing.kind) {
    case PLX_FRAME_DATA:
        return plx_h3_rx_data_begin(req);
    case PLX_FRAME_HEADERS:
        return on_headers_begin(req);
    case PLX_FRAME_PUSH_PROMISE:
        //= rfc9114 7.2.5 "that contains a larger push ID than the client has advertised"
        plx_h3_conn_fail(c, req->framing.left == 0 ? PLX_H3_FRAME_ERROR : PLX_H3_ID_ERROR,
                         "a push that was not allowed");
        return;
    default:
        (void)plx_h3_conn_junk(c, 1);
    }
}

// A HEADERS frame is whole.
static void on_section(struct plx_h3_req *req, const uint8_t *p, size_t len, bool is_last)
{
    struct plx_stash own = {NULL, 0, 0};

    if (p == NULL) { // in the stash; see finish_from_stash
        own = req->stash;
        p = own.p;
        len = own.len;
        req->stash = (struct plx_stash){NULL, 0, 0};
    }
    if (req->rx == MESSAGE_HEAD) {
        plx_h3_rx_head(req, p, len, &own, is_last);
    } else {
        (void)plx_h3_rx_on(req, EVENT_TRAILERS);
        if (is_last) {
            req->has_fin = true;
            finish(req, p, len, &own);
        } else if (own.cap > 0) {
            req->stash = own;
            return;
        } else if (!plx_stash_append(&req->stash, req->s.conn->env->slab, p, len)) {
            out_of_memory(req);
        }
    }
    plx_stash_drop(&own, req->s.conn->env->slab);
}

static bool headers_payload(struct plx_h3_req *req, struct plx_rd *r, bool fin)
{
    struct plx_framing *f = &req->framing;
    size_t left = plx_rd_left(r), len = f->left < left ? (size_t)f->left : left;
    bool is_whole = f->left == len, is_last = fin && len == left;
    const uint8_t *p = plx_rd_bytes(r, len);

    f->left -= len;
    f->is_open = !is_whole;
    if (is_whole && req->stash.len == 0) {
        on_section(req, p, len, is_last);
        return true;
    }
    if (!plx_stash_append(&req->stash, req->s.conn->env->slab, p, len)) {
        out_of_memory(req);
        return false;
    }
    if (is_whole)
        on_section(req, NULL, 0, is_last);
    return is_whole;
}

static bool data_payload(struct plx_h3_req *req, struct plx_rd *r)
{
    struct plx_framing *f = &req->framing;
    const struct plx_h3_handler *h = req->s.conn->handler;
    size_t left = plx_rd_left(r), len = f->left < left ? (size_t)f->left : left, taken = len;

    if (len > 0 && h->on_body != NULL)
        taken = h->on_body(req, r->p, len);
    plx_check(taken <= len); // the program's promise
    plx_rd_skip(r, taken);
    f->left -= taken;
    f->is_open = f->left > 0;
    if (taken < len && !plx_h3_rx_is_over(req))
        req->wait = WAIT_PROGRAM;
    return !f->is_open;
}

// Takes what there is of the open frame's payload; true when the frame is finished.
static bool payload(struct plx_h3_req *req, struct plx_rd *r, bool fin)
{
    struct plx_framing *f = &req->framing;

    if (f->kind == PLX_FRAME_DATA)
        return data_payload(req, r);
    if (f->kind == PLX_FRAME_HEADERS)
        return headers_payload(req, r, fin);
    size_t left = plx_rd_left(r), len = f->left < left ? (size_t)f->left : left;
    plx_rd_skip(r, len);
    f->left -= len;
    f->is_open = f->left > 0;
    return !f->is_open;
}

// Frame by frame. Returns the octets that were left.
static size_t frames_on_data(struct plx_h3_req *req, const uint8_t *data, size_t len, bool fin)
{
    struct plx_rd r = plx_rd_init(data, len);

    while (plx_h3_rx_can_go_on(req)) {
        if (!req->framing.is_open) {
            if (!plx_framing_begin(&req->framing, &r))
                break;
            frame_on_begin(req);
        } else if (plx_rd_left(&r) == 0) {
            break;
        }
        if (plx_h3_rx_can_go_on(req) && !payload(req, &r, fin))
            break;
    }
    return plx_rd_left(&r);
}

size_t plx_h3_request_on_data(struct plx_h3_req *req, const uint8_t *data, size_t len, bool fin)
{
    size_t left;

    if (plx_h3_rx_is_over(req))
        return len;
    if (fin && req->rx == MESSAGE_HEAD && plx_h3_rx_can_go_on(req) && !plx_framing_is_cut(&req->framing) &&
        plx_h3_rx_whole(req, data, len, &left))
        return plx_h3_rx_is_over(req) ? len : len - left;
    left = frames_on_data(req, data, len, fin);
    if (plx_h3_rx_is_over(req))
        return len;
    if (fin && left == 0) {
        req->has_fin = true;
        if (plx_h3_rx_can_go_on(req))
            finish_from_stash(req);
    }
    return len - left;
}

// --- sections that were blocked ----------------------------------------------------------------------------

static void on_unblocked(struct plx_h3_req *req)
{
    struct plx_h3_conn *c = req->s.conn;

    plx_list_remove(&req->blocked);
    c->blocked_count--;
    req->wait = WAIT_NONE;
    if (req->rx == MESSAGE_HEAD) {
        on_section(req, NULL, 0, req->has_fin);
        if (!plx_h3_rx_can_go_on(req))
            return;
    }
    if (req->has_fin)
        finish_from_stash(req);
    else
        c->io->resume(c->io_arg, req->s.ts);
}

void plx_h3_request_unblock(struct plx_h3_conn *c)
{
    struct plx_h3_req *ready;

    // The handler may take any request out of the list, so the search begins anew after each; the list is short.
    do {
        ready = NULL;
        plx_list_foreach(node, &c->blocked) {
            struct plx_h3_req *req = PLX_CONTAINER(node, struct plx_h3_req, blocked);
            if (req->required <= c->table.insert_count) {
                ready = req;
                break;
            }
        }
        if (ready != NULL)
            on_unblocked(ready);
    } while (ready != NULL && plx_h3_conn_is_open(c));
}
