// request_tx.c -- what the program sends: heads, bodies, trailers, and new requests.
//
// A head is encoded into the core's scratch with room in front for its frame header, so that one pass makes one piece.
// A short body joins it there. A longer one is handed to the transport as it is, behind the copied head; should the
// transport have room for the head but not for the body, the body is kept in `pending` and goes first when there is
// room again, so that for the program a call either did everything or nothing.
//
// Ownership: a body is ours from PLX_OK on, and also with PLX_ERR_CLOSED, when its owner is told at once.

#include "h3/conn_int.h"

#include <string.h>

#include "base/check.h"
#include "h3/block.h"
#include "h3/fields.h"
#include "h3/message.h"
#include "h3/qpack_enc.h"

// --- the transport -----------------------------------------------------------------------------------------

static enum plx_err copy_out(struct plx_h3_req *req, const uint8_t *p, size_t len, bool fin)
{
    struct plx_h3_conn *c = req->s.conn;
    return c->io->send_copy(c->io_arg, req->s.ts, p, len, fin);
}

// Nothing more will be sent, as tx says. A server that has answered in full needs no more of a request that nobody reads.
static inline void tx_finished(struct plx_h3_req *req)
{
    const struct plx_h3_conn *c = req->s.conn;

    //= rfc9114 4.1 "The error code H3_NO_ERROR SHOULD be used when requesting that the client stop sending"
    if (c->is_server && c->handler->on_body == NULL && req->wait == WAIT_NONE && !req->has_fin &&
        !req->is_lean && req->framing.is_open && req->framing.kind == PLX_FRAME_DATA)
        plx_h3_rx_abandon(req, PLX_H3_NO_ERROR, true);
}

static void tx_finish(struct plx_h3_req *req)
{
    (void)plx_h3_tx_on(req, EVENT_FIN);
    tx_finished(req);
}

// Hands a body over behind what was copied; the head is out already, so there is no way back.
static enum plx_err body_out(struct plx_h3_req *req, struct plx_buf body, bool fin)
{
    struct plx_h3_conn *c = req->s.conn;

    switch (c->io->send(c->io_arg, req->s.ts, &body, 1, fin)) {
    case PLX_OK:
        return PLX_OK;
    case PLX_ERR_CLOSED:
        plx_h3_buf_release(&body);
        return PLX_ERR_CLOSED;
    default:
        req->pending = body;
        req->is_pending_fin = fin;
        return PLX_OK;
    }
}

void plx_h3_request_on_writable(struct plx_h3_req *req)
{
    struct plx_h3_conn *c = req->s.conn;

    if (req->tx == MESSAGE_ABANDONED)
        return;
    if (req->pending.data != NULL) {
        enum plx_err err = c->io->send(c->io_arg, req->s.ts, &req->pending, 1, req->is_pending_fin);
        if (err == PLX_ERR_AGAIN || err == PLX_ERR_NOMEM)
            return;
        struct plx_buf sent = req->pending;
        req->pending = (struct plx_buf){NULL, 0, NULL};
        if (err != PLX_OK)
            plx_h3_buf_release(&sent);
    }
    if (!plx_h3_tx_is_over(req) && c->handler->on_writable != NULL)
        c->handler->on_writable(req);
}

// --- field sections ----------------------------------------------------------------------------------------

// A HEADERS frame under construction in the core's scratch; p is where its payload begins.
struct head {
    struct plx_wr w;
    uint8_t *p;
};

static struct head head_begin(const struct plx_h3_conn *c)
{
    struct scratch s = plx_h3_scratch_of(c->env);
    struct head h = {.p = s.tx + PLX_H3_TX_HEADROOM};

    h.w = plx_wr_init(h.p, s.tx_len - PLX_H3_TX_HEADROOM - PLX_H3_TX_TAILROOM - PLX_H3_INLINE_BODY_MAX);
    plx_qpack_enc_prefix(&h.w);
    return h;
}

static void head_fields(struct head *h, const struct plx_field *fields, uint16_t count)
{
    for (uint16_t i = 0; i < count; i++)
        plx_qpack_enc_field(&h->w, &fields[i]);
}

static void head_pseudo(struct head *h, const char *name, struct plx_span value)
{
    if (value.p == NULL)
        return;
    struct plx_field f = {name, (const char *)value.p, (uint32_t)strlen(name), (uint32_t)value.len, false};
    plx_qpack_enc_field(&h->w, &f);
}

// Puts the frame's header before it. Returns its first octet; the writer may go on behind it, with the room that
// head_begin kept back. NULL: it is larger than we send.
static uint8_t *head_end(struct head *h)
{
    size_t len = (size_t)(h->w.p - h->p), head_len = 1 + plx_varint_len(len);
    uint8_t *first = h->p - head_len;
    struct plx_wr w = plx_wr_init(first, head_len);

    if (h->w.is_full)
        return NULL;
    plx_frame_wr_head(&w, PLX_FRAME_TYPE_HEADERS, len);
    h->w.end += PLX_H3_TX_TAILROOM + PLX_H3_INLINE_BODY_MAX;
    return first;
}

static uint64_t fields_size(const struct plx_field *fields, uint16_t count)
{
    uint64_t size = 0;
    for (uint16_t i = 0; i < count; i++)
        size += plx_field_size(fields[i].name_len, fields[i].value_len);
    return size;
}

//= rfc9114 4.2.2 "An implementation that has received this parameter SHOULD NOT send an HTTP message header that exceeds"
static bool fields_are_fine(const struct plx_h3_conn *c, const struct plx_field *fields, uint16_t count,
                            uint64_t pseudo)
{
    return plx_fields_are_sendable(fields, count) &&
           fields_size(fields, count) + pseudo <= c->peer.value[PLX_SETTING_MAX_FIELD_SECTION_SIZE];
}

// --- what the program calls --------------------------------------------------------------------------------

static bool is_writable(const struct plx_h3_req *req)
{
    return plx_h3_conn_is_open(req->s.conn) && req->tx != MESSAGE_ABANDONED;
}

// The same for what takes more than the first line of it: anything but a prepared answer.
static bool unfold_writable(struct plx_h3_req *req)
{
    if (!is_writable(req))
        return false;
    plx_h3_req_unfold(req);
    return true;
}

static enum plx_err closed(struct plx_buf body)
{
    plx_h3_buf_release(&body);
    return PLX_ERR_CLOSED;
}

// A final head, and a body that may be empty, behind the encoded head.
static enum plx_err head_and_body_out(struct plx_h3_req *req, struct head *h, struct plx_buf body, bool fin)
{
    uint8_t *first = head_end(h);
    bool is_inline = body.len <= PLX_H3_INLINE_BODY_MAX;

    if (first == NULL)
        return PLX_ERR_INVALID;
    if (body.len > 0) {
        plx_frame_wr_head(&h->w, PLX_FRAME_TYPE_DATA, body.len);
        if (is_inline)
            plx_wr_bytes(&h->w, body.data, body.len);
    }
    plx_check(!h->w.is_full);
    enum plx_err err = copy_out(req, first, (size_t)(h->w.p - first), fin && is_inline);
    if (err == PLX_ERR_CLOSED)
        return closed(body);
    if (err != PLX_OK)
        return err;
    if (is_inline)
        plx_h3_buf_release(&body);
    else if (body_out(req, body, fin) != PLX_OK)
        return PLX_ERR_CLOSED;
    (void)plx_h3_tx_on(req, EVENT_HEAD);
    if (fin)
        tx_finish(req);
    return PLX_OK;
}

// RFC 9110 sections 9.3.2, 15.3.5 and 15.4.5: these responses never have content.
static bool status_has_body(uint16_t status)
{
    return status != 204 && status != 304;
}

enum { STATUS_SIZE = 7 + 3 + 32 };

enum plx_err plx_h3_respond(struct plx_h3_req *req, uint16_t status, const struct plx_field *fields,
                            uint16_t count, struct plx_buf body, bool fin)
{
    struct plx_h3_conn *c = req->s.conn;

    if (!unfold_writable(req))
        return closed(body);
    if (!c->is_server || !plx_h3_tx_can(req, EVENT_HEAD) || status < 200 || status > 599 ||
        !fields_are_fine(c, fields, count, STATUS_SIZE) || (body.len > 0 && !status_has_body(status)))
        return PLX_ERR_INVALID;

    struct head h = head_begin(c);
    plx_qpack_enc_status(&h.w, status);
    head_fields(&h, fields, count);
    if (!req->is_head)
        return head_and_body_out(req, &h, body, fin);
    // The body was only handed over for its length: done with it as soon as the head is out.
    enum plx_err err = head_and_body_out(req, &h, (struct plx_buf){NULL, 0, NULL}, fin);
    if (err == PLX_OK || err == PLX_ERR_CLOSED)
        plx_h3_buf_release(&body);
    return err;
}

enum plx_err plx_h3_respond_block(struct plx_h3_req *req, struct plx_h3_block *block)
{
    struct plx_h3_conn *c = req->s.conn;
    struct plx_buf bufs[2];

    if (!is_writable(req))
        return PLX_ERR_CLOSED;
    if (!c->is_server || !plx_h3_tx_can(req, EVENT_HEAD))
        return PLX_ERR_INVALID;
    if (plx_h3_block_info(block)->is_request)
        return PLX_ERR_INVALID;
    uint16_t count = plx_h3_block_bufs(block, req->is_head, bufs);
    plx_h3_block_use(block, count); // before: a transport may be done with it at once
    enum plx_err err = c->io->send(c->io_arg, req->s.ts, bufs, count, true);
    if (err != PLX_OK) {
        plx_h3_block_unuse(block, count);
        return err;
    }
    req->tx = MESSAGE_DONE; // head and end at once, see message_state.def
    tx_finished(req);
    return PLX_OK;
}

enum plx_err plx_h3_send_interim(struct plx_h3_req *req, uint16_t status, const struct plx_field *fields,
                                 uint16_t count)
{
    struct plx_h3_conn *c = req->s.conn;

    if (!unfold_writable(req))
        return PLX_ERR_CLOSED;
    //= rfc9114 4.5 "or the 101 (Switching Protocols) informational status code"
    if (!c->is_server || !plx_h3_tx_can(req, EVENT_INTERIM) || status < 100 || status > 199 ||
        status == 101 || !fields_are_fine(c, fields, count, STATUS_SIZE))
        return PLX_ERR_INVALID;

    struct head h = head_begin(c);
    plx_qpack_enc_status(&h.w, status);
    head_fields(&h, fields, count);
    uint8_t *first = head_end(&h);
    return first == NULL ? PLX_ERR_INVALID : copy_out(req, first, (size_t)(h.w.p - first), false);
}

enum plx_err plx_h3_request_refuse(struct plx_h3_req *req, uint16_t status)
{
    if (!unfold_writable(req) || !plx_h3_tx_can(req, EVENT_HEAD))
        return PLX_ERR_CLOSED;
    struct head h = head_begin(req->s.conn);
    plx_qpack_enc_status(&h.w, status);
    return head_and_body_out(req, &h, (struct plx_buf){NULL, 0, NULL}, true);
}

enum plx_err plx_h3_send_body(struct plx_h3_req *req, struct plx_buf body, bool fin)
{
    uint8_t buf[PLX_FRAME_HEAD_MAX + PLX_H3_INLINE_BODY_MAX];
    struct plx_wr w = plx_wr_init(buf, sizeof buf);
    bool is_inline = body.len <= PLX_H3_INLINE_BODY_MAX;

    if (!unfold_writable(req))
        return closed(body);
    if (!plx_h3_tx_can(req, EVENT_DATA))
        return PLX_ERR_INVALID;
    if (req->pending.data != NULL)
        return PLX_ERR_AGAIN;
    if (req->is_head && req->s.conn->is_server) { // nothing of it goes out but the end
        plx_h3_buf_release(&body);
        body = (struct plx_buf){NULL, 0, NULL};
        is_inline = true;
    }
    if (body.len > 0) {
        plx_frame_wr_head(&w, PLX_FRAME_TYPE_DATA, body.len);
        if (is_inline)
            plx_wr_bytes(&w, body.data, body.len);
    }
    if (body.len > 0 || fin) {
        enum plx_err err = copy_out(req, buf, (size_t)(w.p - buf), fin && is_inline);
        if (err == PLX_ERR_CLOSED)
            return closed(body);
        if (err != PLX_OK)
            return err;
    }
    if (is_inline)
        plx_h3_buf_release(&body);
    else if (body_out(req, body, fin) != PLX_OK)
        return PLX_ERR_CLOSED;
    if (fin)
        tx_finish(req);
    return PLX_OK;
}

enum plx_err plx_h3_send_trailers(struct plx_h3_req *req, const struct plx_field *fields, uint16_t count)
{
    struct plx_h3_conn *c = req->s.conn;

    if (!unfold_writable(req))
        return PLX_ERR_CLOSED;
    if (!plx_h3_tx_can(req, EVENT_DATA) || req->is_connect || !fields_are_fine(c, fields, count, 0))
        return PLX_ERR_INVALID;
    if (req->pending.data != NULL)
        return PLX_ERR_AGAIN;
    struct head h = head_begin(c);
    head_fields(&h, fields, count);
    uint8_t *first = head_end(&h);
    if (first == NULL)
        return PLX_ERR_INVALID;
    enum plx_err err = copy_out(req, first, (size_t)(h.w.p - first), true);
    if (err == PLX_OK)
        tx_finish(req);
    return err;
}

// --- new requests ------------------------------------------------------------------------------------------

static uint64_t pseudo_size(const struct plx_h3_head *head)
{
    // The names are at most 10 octets, there are at most five of them.
    return head->method.len + head->scheme.len + head->authority.len + head->path.len + head->protocol.len +
           5 * (10 + 32);
}

static struct head request_encode(const struct plx_h3_conn *c, const struct plx_h3_head *head)
{
    struct head h = head_begin(c);

    head_pseudo(&h, ":method", head->method);
    head_pseudo(&h, ":scheme", head->scheme);
    head_pseudo(&h, ":authority", head->authority);
    head_pseudo(&h, ":path", head->path);
    head_pseudo(&h, ":protocol", head->protocol);
    head_fields(&h, head->fields, head->field_count);
    return h;
}

enum plx_err plx_h3_request(struct plx_h3_conn *c, const struct plx_h3_head *head, bool has_body, void *user,
                            struct plx_h3_req **out)
{
    *out = NULL;
    if (!plx_h3_conn_is_open(c) || c->shutdown != SHUTDOWN_NONE || c->goaway_received != UINT64_MAX)
        return PLX_ERR_CLOSED;
    bool allows_protocol = c->peer.value[PLX_SETTING_ENABLE_CONNECT_PROTOCOL] == 1;
    if (c->is_server ||
        plx_message_check_request(head, plx_h3_head_find(head, "host"), allows_protocol) != NULL ||
        !fields_are_fine(c, head->fields, head->field_count, pseudo_size(head)))
        return PLX_ERR_INVALID;
    if (c->is_early && (has_body || !plx_h3_method_is_safe(head->method)))
        return PLX_ERR_AGAIN;
    struct head h = request_encode(c, head);
    uint8_t *first = head_end(&h);
    if (first == NULL)
        return PLX_ERR_INVALID;

    struct plx_h3_req *req = plx_h3_req_new(c, NULL, 0);
    if (req == NULL)
        return PLX_ERR_NOMEM;
    req->s.ts = c->io->open_bidi(c->io_arg, &req->s, &req->s.id);
    if (req->s.ts == NULL) {
        plx_h3_req_free(req);
        return PLX_ERR_AGAIN;
    }
    enum plx_err err = copy_out(req, first, (size_t)(h.w.p - first), !has_body);
    if (err != PLX_OK) {
        // The stream exists and must be ended; the program never hears of it.
        plx_h3_req_fail(req, PLX_H3_REQUEST_CANCELLED, PLX_H3_REQUEST_CANCELLED, false);
        return err;
    }
    req->user = user;
    req->is_head = plx_span_is(head->method, "HEAD");
    req->is_connect = plx_span_is(head->method, "CONNECT");
    req->is_announced = true;
    c->open_requests++;
    (void)plx_h3_tx_on(req, EVENT_HEAD);
    if (!has_body)
        tx_finish(req);
    *out = req;
    return PLX_OK;
}

// What the transport does not do in one go: it has no stream or no room, or it is not that simple. Takes back the uses of the block that come to nothing.
__attribute__((noinline)) static enum plx_err block_out(struct plx_h3_req *req, struct plx_h3_block *block,
                                                        const struct plx_buf *bufs, uint16_t count)
{
    const struct plx_h3_conn *c = req->s.conn;

    req->s.ts = c->io->open_bidi(c->io_arg, &req->s, &req->s.id);
    if (req->s.ts == NULL) {
        plx_h3_block_unuse(block, count);
        plx_h3_req_free(req);
        return PLX_ERR_AGAIN;
    }
    enum plx_err err = c->io->send(c->io_arg, req->s.ts, bufs, count, true);
    if (err != PLX_OK) {
        plx_h3_block_unuse(block, count);
        // As above: the stream must be ended, and the program never hears of it.
        plx_h3_req_fail(req, PLX_H3_REQUEST_CANCELLED, PLX_H3_REQUEST_CANCELLED, false);
    }
    return err;
}

enum plx_err plx_h3_request_block(struct plx_h3_conn *c, struct plx_h3_block *block, void *user,
                                  struct plx_h3_req **out)
{
    const struct plx_h3_block_info *info = plx_h3_block_info(block);
    struct plx_buf bufs[2];

    *out = NULL;
    if (!plx_h3_conn_is_open(c) || c->shutdown != SHUTDOWN_NONE || c->goaway_received != UINT64_MAX)
        return PLX_ERR_CLOSED;
    if (c->is_server || !info->is_request ||
        info->section_size > c->peer.value[PLX_SETTING_MAX_FIELD_SECTION_SIZE])
        return PLX_ERR_INVALID;
    if (c->is_early && !info->is_safe)
        return PLX_ERR_AGAIN;
    struct plx_h3_req *req = plx_h3_req_new(c, NULL, 0);
    if (req == NULL)
        return PLX_ERR_NOMEM;
    uint16_t count = plx_h3_block_bufs(block, false, bufs);
    plx_h3_block_use(block, count); // before: a transport may be done with it at once
    if (count == 1)
        req->s.ts = c->io->ask(c->io_arg, &req->s, bufs, &req->s.id);
    if (req->s.ts == NULL) {
        enum plx_err err = block_out(req, block, bufs, count);
        if (err != PLX_OK)
            return err;
    }
    req->user = user;
    req->is_head = info->is_head_method;
    req->is_announced = true;
    c->open_requests++;
    req->tx = MESSAGE_DONE; // head and end at once, see message_state.def
    *out = req;
    return PLX_OK;
}
