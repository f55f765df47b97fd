// request.c -- what every request has, on either side: its states, what the program may ask about it, and its end.

#include "h3/conn_int.h"

#include <string.h>

#include "base/check.h"
#include "base/poison.h"

enum { LINE = 64 };
_Static_assert(sizeof(struct plx_h3_req) > 2 * LINE && sizeof(struct plx_h3_req) <= 3 * LINE, "three lines");
_Static_assert(offsetof(struct plx_h3_req, framing) == LINE, "what is lean fills one line");

// --- states (message_state.def) ----------------------------------------------------------------------------

static const uint8_t rx_next[MESSAGE_STATE_COUNT][EVENT_COUNT] = {
#define RX(from, event, to) [MESSAGE_##from][EVENT_##event] = MESSAGE_##to,
#include "h3/message_state.def"
#undef RX
};

static const uint8_t tx_next[MESSAGE_STATE_COUNT][EVENT_COUNT] = {
#define TX(from, event, to) [MESSAGE_##from][EVENT_##event] = MESSAGE_##to,
#include "h3/message_state.def"
#undef TX
};

bool plx_h3_rx_can(const struct plx_h3_req *req, enum message_event ev)
{
    return rx_next[req->rx][ev] != MESSAGE_NONE;
}
bool plx_h3_tx_can(const struct plx_h3_req *req, enum message_event ev)
{
    return tx_next[req->tx][ev] != MESSAGE_NONE;
}

bool plx_h3_rx_on(struct plx_h3_req *req, enum message_event ev)
{
    if (!plx_h3_rx_can(req, ev))
        return false;
    req->rx = rx_next[req->rx][ev];
    return true;
}

bool plx_h3_tx_on(struct plx_h3_req *req, enum message_event ev)
{
    if (!plx_h3_tx_can(req, ev))
        return false;
    req->tx = tx_next[req->tx][ev];
    return true;
}

// --- life --------------------------------------------------------------------------------------------------

struct plx_h3_req *plx_h3_req_new(struct plx_h3_conn *c, void *ts, uint64_t id)
{
    struct plx_h3_req *req = plx_pool_take(c->env->streams);
    if (req == NULL)
        return NULL;
    memset(req, 0, LINE);
    req->s = (struct plx_h3_stream){.conn = c, .ts = ts, .id = id, .kind = STREAM_REQUEST};
    req->rx = req->tx = MESSAGE_HEAD;
    req->is_lean = true;
    plx_list_init(&req->node);
    plx_list_add_tail(&c->requests, &req->node);
    plx_poison((uint8_t *)req + LINE, sizeof *req - LINE); // whoever looks there shall notice
    return req;
}

// Line by line: as a whole it would be a loop.
void plx_h3_req_unfold_lean(struct plx_h3_req *req)
{
    plx_unpoison((uint8_t *)req + LINE, sizeof *req - LINE);
    req->is_lean = false;
    memset((uint8_t *)req + LINE, 0, LINE);
    memset((uint8_t *)req + 2 * LINE, 0, sizeof *req - 2 * LINE);
    req->content_length = PLX_H3_LENGTH_UNKNOWN;
    plx_list_init(&req->blocked);
}

static void unblock(struct plx_h3_req *req)
{
    if (plx_list_is_linked(&req->blocked)) {
        plx_list_remove(&req->blocked);
        req->s.conn->blocked_count--;
    }
}

static void pending_drop(struct plx_h3_req *req)
{
    if (req->pending.data == NULL)
        return;
    struct plx_buf b = req->pending;
    req->pending = (struct plx_buf){NULL, 0, NULL};
    plx_h3_buf_release(&b);
}

// What it holds. Of a lean one that is nothing.
static void give_back(struct plx_h3_req *req)
{
    unblock(req);
    if (req->stash.cap > 0)
        plx_stash_drop(&req->stash, req->s.conn->env->slab);
    pending_drop(req);
}

void plx_h3_req_free(struct plx_h3_req *req)
{
    struct plx_h3_conn *c = req->s.conn;
    bool is_whole = req->rx == MESSAGE_DONE && req->tx == MESSAGE_DONE;
    bool is_peer = !req->is_lean && req->is_peer;
    uint64_t code = !req->is_lean && req->close_code != 0 ? req->close_code : PLX_H3_NO_ERROR;

    // The end of the connection, however friendly, does not make half an exchange a whole one.
    if (!is_whole && c->state == CONN_FREED && code == PLX_H3_NO_ERROR)
        code = PLX_H3_REQUEST_CANCELLED;
    plx_list_remove(&req->node);
    if (!req->is_lean)
        give_back(req);
    req->rx = req->tx = MESSAGE_ABANDONED; // nothing that on_closed may call does anything any more
    req->s.ts = NULL;
    if (req->is_announced) {
        c->open_requests--;
        if (c->handler->on_closed != NULL)
            c->handler->on_closed(req, code, is_peer);
    }
    plx_pool_give(c->env->streams, req);
}

void plx_h3_rx_abandon(struct plx_h3_req *req, uint64_t code, bool tell_peer)
{
    struct plx_h3_conn *c = req->s.conn;

    if (plx_h3_rx_is_over(req))
        return;
    plx_h3_req_unfold(req);
    req->rx = MESSAGE_ABANDONED;
    req->wait = WAIT_NONE;
    unblock(req);
    plx_stash_drop(&req->stash, c->env->slab);
    if (tell_peer)
        c->io->stop_sending(c->io_arg, req->s.ts, code);
    plx_h3_decoder_cancel(c, req->s.id);
}

void plx_h3_tx_abandon(struct plx_h3_req *req, uint64_t code)
{
    struct plx_h3_conn *c = req->s.conn;

    if (req->tx == MESSAGE_ABANDONED)
        return;
    plx_h3_req_unfold(req);
    req->tx = MESSAGE_ABANDONED;
    c->io->reset(c->io_arg, req->s.ts, code);
    pending_drop(req);
}

void plx_h3_req_fail(struct plx_h3_req *req, uint64_t code, uint64_t heard, bool is_peer)
{
    plx_h3_req_unfold(req);
    if (req->close_code == 0) {
        req->close_code = heard;
        req->is_peer = is_peer;
    }
    plx_h3_rx_abandon(req, code, true);
    if (!plx_h3_tx_is_over(req))
        plx_h3_tx_abandon(req, code);
}

void plx_h3_cancel(struct plx_h3_req *req, uint64_t code)
{
    struct plx_h3_conn *c = req->s.conn;

    if (!plx_h3_conn_is_open(c))
        return;
    plx_h3_req_fail(req, code, code, false);
    if (req->s.ts != NULL)
        plx_h3_tx_abandon(req, code); // even what is queued whole but not yet delivered
    plx_h3_decoder_flush(c);
}

void plx_h3_resume(struct plx_h3_req *req)
{
    struct plx_h3_conn *c = req->s.conn;

    if (!plx_h3_conn_is_open(c) || req->wait != WAIT_PROGRAM)
        return;
    req->wait = WAIT_NONE;
    c->io->resume(c->io_arg, req->s.ts);
}

// --- about a request ---------------------------------------------------------------------------------------

void *plx_h3_req_user(const struct plx_h3_req *req)
{
    return req->user;
}
void plx_h3_req_set_user(struct plx_h3_req *req, void *user)
{
    req->user = user;
}
void *plx_h3_req_ctx(const struct plx_h3_req *req)
{
    return req->s.conn->handler->ctx;
}
struct plx_h3_conn *plx_h3_req_conn(const struct plx_h3_req *req)
{
    return req->s.conn;
}
uint64_t plx_h3_req_id(const struct plx_h3_req *req)
{
    return req->s.id;
}

bool plx_h3_req_is_early(const struct plx_h3_req *req)
{
    return !req->is_lean && req->is_early;
}

uint64_t plx_h3_req_unsent(const struct plx_h3_req *req)
{
    const struct plx_h3_conn *c = req->s.conn;

    if (!plx_h3_conn_is_open(c) || req->s.ts == NULL)
        return 0;
    return c->io->unsent(c->io_arg, req->s.ts) + (req->is_lean ? 0 : req->pending.len);
}

void plx_h3_req_notify(struct plx_h3_req *req, uint64_t below)
{
    const struct plx_h3_conn *c = req->s.conn;

    if (plx_h3_conn_is_open(c) && req->s.ts != NULL)
        c->io->notify(c->io_arg, req->s.ts, below);
}
