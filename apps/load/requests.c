// requests.c -- the life of a request: sent from a prepared block, its answer checked, its times put into the histograms.
//
// A request is over, for the measurement, when its answer is complete; the stream may live a little longer, until both sides have
// acknowledged everything. Its slot is free from then on.

#include <string.h>
#include <zlib.h>

#include "load.h"

// --- slots --------------------------------------------------------------------------------------------------

struct load_slot *load_slot_take(struct load_conn *c, const struct load_item *item, plx_time due,
                                 plx_time now)
{
    struct load_worker *w = c->worker;
    struct load_slot *s = w->free_slots[--w->free_count];

    *s = (struct load_slot){.conn = c, .item = item, .due = due, .sent = now};
    c->in_flight++;
    w->in_flight++;
    return s;
}

void load_slot_free(struct load_slot *s)
{
    struct load_conn *c = s->conn;
    struct load_worker *w = c->worker;

    s->conn = NULL;
    w->free_slots[w->free_count++] = s;
    c->in_flight--;
    w->in_flight--;
    c->is_blocked = false; // perhaps: a stream of ours is on its way out
}

// What follows the end of any request.
static void settle(struct load_conn *c)
{
    struct load_worker *w = c->worker;

    load_conn_settle(c);
    load_pump_soon(w);
}

static void count_error(struct load_slot *s, enum error_kind kind)
{
    struct load_worker *w = s->conn->worker;
    struct report *r = &w->report;

    if (w->load->is_interrupted)
        return;
    r->all_failed++;
    if (!load_is_in_window(w, s->due))
        return;
    r->failed++;
    r->errors[kind]++;
}

void load_slot_fail(struct load_slot *s, enum error_kind kind)
{
    struct load_conn *c = s->conn;

    count_error(s, kind);
    load_slot_free(s);
    settle(c);
}

void load_slot_again(struct load_slot *s)
{
    struct load_conn *c = s->conn;
    struct load_worker *w = c->worker;

    w->again[(w->again_first + w->again_count++) % w->slot_count] = (struct load_again){s->due, s->item};
    w->report.retried++;
    load_slot_free(s);
    settle(c);
}

void load_slot_received(struct load_slot *s, const uint8_t *data, size_t len)
{
    struct load_worker *w = s->conn->worker;

    if (s->first.ns == 0)
        s->first = plx_core_now(w->core);
    s->received += len;
    if (w->has_begun && !w->has_ended)
        w->report.body_bytes += len;
    if (s->item->crc32 != LOAD_ANY)
        s->crc = (uint32_t)crc32(s->crc, data, (unsigned)len);
}

// ERROR_COUNT: it is as expected.
static enum error_kind check(const struct load_slot *s)
{
    const struct load_item *i = s->item;

    if (s->status != 0 && (i->status != LOAD_ANY ? s->status != i->status : s->status >= 400))
        return ERROR_status;
    if (i->length != LOAD_ANY && s->received != i->length)
        return ERROR_length;
    if (i->crc32 != LOAD_ANY && s->crc != i->crc32)
        return ERROR_checksum;
    return ERROR_COUNT;
}

void load_run_flush(struct load_worker *w)
{
    const struct load_run *run = &w->run;
    struct report *r = &w->report;
    uint64_t n = run->count;

    w->run.count = 0;
    r->all_ok += n;
    if (w->has_begun && !w->has_ended)
        r->answered_in_window += n;
    if (n == 0 || !load_is_in_window(w, run->due))
        return;
    r->ok += n;
    if (run->status > 0 && run->status < STATUS_COUNT)
        r->status[run->status] += n;
    hist_add_many(&r->hist[HIST_REQUEST], run->at.ns - run->due.ns, n);
    hist_add_many(&r->hist[HIST_TTFB], (run->first.ns > 0 ? run->first.ns : run->at.ns) - run->due.ns, n);
}

static bool is_of_run(const struct load_run *run, const struct load_slot *s, plx_time now)
{
    return run->at.ns == now.ns && run->due.ns == s->due.ns && run->first.ns == s->first.ns &&
           run->received == s->received && run->item == s->item && run->status == s->status &&
           run->crc == s->crc;
}

static void end_wrong(struct load_slot *s, enum error_kind wrong)
{
    struct load_worker *w = s->conn->worker;
    struct report *r = &w->report;

    if (w->has_begun && !w->has_ended)
        r->answered_in_window++;
    if (load_is_in_window(w, s->due) && s->status < STATUS_COUNT && s->status > 0)
        r->status[s->status]++;
    load_slot_fail(s, wrong);
}

void load_slot_end(struct load_slot *s)
{
    struct load_conn *c = s->conn;
    struct load_worker *w = c->worker;
    plx_time now = plx_core_now(w->core);

    c->done++;
    if (!is_of_run(&w->run, s, now)) {
        enum error_kind wrong = check(s);
        w->progress_at = now;
        if (wrong != ERROR_COUNT) {
            end_wrong(s, wrong);
            return;
        }
        load_run_flush(w);
        w->run = (struct load_run){.item = s->item,
                                   .due = s->due,
                                   .first = s->first,
                                   .at = now,
                                   .received = s->received,
                                   .crc = s->crc,
                                   .status = s->status};
    }
    w->run.count++;
    load_slot_free(s);
    if (!load_pump_next(c))
        settle(c);
}

// Walks all slots: now and then, not per request.
void load_slots_time_out(struct load_worker *w, plx_time now)
{
    for (uint32_t i = 0; i < w->slot_count; i++) {
        struct load_slot *s = &w->slots[i];
        if (s->conn == NULL || s->is_cancelled || now.ns < s->sent.ns + w->load->opts.timeout.ns)
            continue;
        s->is_cancelled = true; // on_closed (or its like) follows and counts it
        if (!w->load->opts.hq && s->req != NULL)
            plx_h3_cancel(s->req, PLX_H3_REQUEST_CANCELLED);
        if (w->load->opts.hq && s->stream != NULL) {
            plx_stream_reset(s->stream, PLX_H3_REQUEST_CANCELLED);
            plx_stream_stop_sending(s->stream, PLX_H3_REQUEST_CANCELLED);
        }
    }
}

// --- HTTP/3 -------------------------------------------------------------------------------------------------

enum plx_err load_request_send(struct load_conn *c, struct load_slot *s)
{
    struct load_worker *w = c->worker;

    return plx_h3_request_block(c->h3, w->blocks[s->item - w->load->items], s, &s->req);
}

static void on_response(struct plx_h3_req *req, const struct plx_h3_head *head)
{
    struct load_slot *s = plx_h3_req_user(req);

    if (s == NULL)
        return;
    s->status = head->status;
    if (load_stats_is(s))
        return;
    s->first = plx_core_now(s->conn->worker->core);
}

static size_t on_body(struct plx_h3_req *req, const uint8_t *data, size_t len)
{
    struct load_slot *s = plx_h3_req_user(req);

    if (s != NULL && load_stats_is(s))
        load_stats_body(s->conn->worker, data, len);
    else if (s != NULL)
        load_slot_received(s, data, len);
    return len;
}

// All of an answer at once, of a kind that has come before: most are.
static bool on_answer(struct plx_h3_req *req, const struct plx_h3_head *head, const uint8_t *body, size_t len)
{
    struct load_slot *s = plx_h3_req_user(req);

    if (s == NULL || load_stats_is(s))
        return false;
    plx_h3_req_set_user(req, NULL);
    s->status = head->status;
    s->first = plx_core_now(s->conn->worker->core);
    load_slot_received(s, body, len);
    load_slot_end(s);
    return true;
}

static void on_end(struct plx_h3_req *req, const struct plx_field *trailers, uint16_t count)
{
    struct load_slot *s = plx_h3_req_user(req);

    (void)trailers, (void)count;
    if (s == NULL)
        return;
    plx_h3_req_set_user(req, NULL);
    if (load_stats_is(s))
        load_stats_end(s->conn->worker);
    else
        load_slot_end(s);
}

// Only requests whose answer did not complete still have a slot here.
static void on_closed(struct plx_h3_req *req, uint64_t code, bool is_peer)
{
    struct load_slot *s = plx_h3_req_user(req);

    if (s == NULL)
        return;
    plx_h3_req_set_user(req, NULL);
    if (load_stats_is(s))
        load_stats_failed(s->conn->worker);
    else if (s->is_cancelled)
        load_slot_fail(s, ERROR_timeout);
    else if (code == PLX_H3_REQUEST_REJECTED || (s->conn->was_goaway && s->status == 0))
        load_slot_again(s); // RFC 9114 section 4.1.1: as though it had never been sent
    else if (s->conn->state == CONN_DEAD)
        load_slot_fail(s, ERROR_lost);
    else
        load_slot_fail(s, is_peer ? ERROR_reset : ERROR_protocol);
}

// --- connections --------------------------------------------------------------------------------------------

static void on_early(struct plx_h3_conn *h3)
{
    struct load_conn *c = plx_h3_conn_user(h3);

    if (c == NULL)
        return;
    c->h3 = h3;
    load_conn_early(c);
}

static void on_open(struct plx_h3_conn *h3)
{
    struct load_conn *c = plx_h3_conn_user(h3);

    if (c == NULL)
        return; // left while it was opening
    c->h3 = h3;
    load_conn_opened(c);
}

static void on_streams_available(struct plx_h3_conn *h3)
{
    struct load_conn *c = plx_h3_conn_user(h3);

    if (c == NULL)
        return;
    c->is_blocked = false;
    settle(c);
}

static void on_session(struct plx_h3_conn *h3, const void *session, size_t len)
{
    load_conn_session(plx_h3_conn_user(h3), session, len);
}

static void on_goaway(struct plx_h3_conn *h3, uint64_t id)
{
    struct load_conn *c = plx_h3_conn_user(h3);

    (void)id;
    if (c == NULL)
        return;
    c->was_goaway = true;
    if (c->state == CONN_OPEN)
        c->state = CONN_LEAVING;
    settle(c);
}

static void on_close(struct plx_h3_conn *h3, struct plx_conn *transport, const struct plx_close_info *why)
{
    struct load_conn *c = plx_conn_user(transport);

    if (c == NULL)
        return; // we left it
    (void)h3;   // there from early data on
    load_conn_closed(c, why, c->state != CONN_OPENING);
    settle(c); // its requests hear on_closed next, one by one
}

const struct plx_h3_handler load_h3_handler = {
    .on_early = on_early,
    .on_open = on_open,
    .on_close = on_close,
    .on_streams_available = on_streams_available,
    .on_session = on_session,
    .on_response = on_response,
    .on_body = on_body,
    .on_answer = on_answer,
    .on_end = on_end,
    .on_closed = on_closed,
    .on_goaway = on_goaway,
};
