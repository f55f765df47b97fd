// pump.c -- requests that are due, sent as far as there is room for them.
//
// What is due: in a closed loop, whatever there is room for; on a schedule, the next moment of an arithmetic sequence (nothing is queued); and
// before either, requests that have to be sent again. Where: the connections with room stand in a list (`ready`), each takes its turn.
//
// A closed loop without a number of requests is the common case, and the generator must not be the limit: there whole connections are
// filled at once, and what left is counted once.

#include "load.h"

static const plx_dur late_from = PLX_MS(1), stale_from = PLX_MS(100);

// The moment for which the next request was meant. False: none is due now.
bool load_is_due(const struct load_worker *w, plx_time now, plx_time *due)
{
    if (w->again_count > 0) {
        *due = w->again[w->again_first].due;
        return w->phase != PHASE_DONE;
    }
    if (w->phase == PHASE_DONE ||
        (w->quota_left == 0 && now.ns >= w->load->begin.ns /* -n speaks of the window */))
        return false;
    if (w->interval_ns == 0) {
        *due = now;
        return w->phase == PHASE_RUN;
    }
    *due = load_next_due(w);
    return due->ns <= now.ns && due->ns < w->load->end.ns;
}

static void count_sent(struct load_worker *w, plx_time due, plx_time now)
{
    struct report *r = &w->report;

    r->all_sent++;
    if (!load_is_in_window(w, due))
        return;
    r->requests++;
    if (w->quota_left != UINT64_MAX)
        w->quota_left--;
    if (w->interval_ns == 0)
        return;
    uint64_t late = now.ns - due.ns;
    if (late < late_from.ns)
        return;
    if (due.ns <= w->no_room_at.ns) {
        r->waited++;
        return;
    }
    r->late++;
    r->late_max_ns = late > r->late_max_ns ? late : r->late_max_ns;
}

// What the schedule, or the ring of those to be sent again, has handed out.
static void take_due(struct load_worker *w, plx_time due, plx_time now)
{
    if (w->again_count > 0) {
        w->again_first = (w->again_first + 1) % w->slot_count;
        w->again_count--;
        w->report.all_sent++; // it has been counted otherwise
        return;
    }
    if (w->interval_ns > 0)
        w->next++;
    count_sent(w, due, now);
}

// It could not be sent: not here, or not now.
static void send_failed(struct load_conn *c, struct load_slot *s, enum plx_err err)
{
    const char *path = s->item->path;

    load_slot_free(s);
    if (err == PLX_ERR_CLOSED && c->state == CONN_OPEN)
        c->state = CONN_LEAVING;
    else if (err == PLX_ERR_INVALID)
        load_give_up(c->worker->load, "%s: the server takes no request with a head of this size", path);
    c->is_blocked = true;
    load_conn_settle(c);
}

static void send_on(struct load_conn *c, plx_time due, plx_time now)
{
    struct load_worker *w = c->worker;
    const struct load_item *item = w->again_count > 0 ? w->again[w->again_first].item : load_mix_pick(w);
    struct load_slot *s = load_slot_take(c, item, due, now);
    enum plx_err err = w->load->opts.hq ? load_hq_send(c, s) : load_request_send(c, s);

    if (err == PLX_OK) {
        c->sent++;
        take_due(w, due, now);
        if (w->interval_ns > 0 || w->quota_left != UINT64_MAX)
            load_conn_ready(
                c,
                false); // behind the others. In a closed loop all get what they have room for: one after the other
        load_conn_settle(c);
        return;
    }
    send_failed(c, s, err);
}

// As many requests as the connection has room for.
static uint64_t fill(struct load_conn *c, plx_time now)
{
    struct load_worker *w = c->worker;
    const struct load_opts *o = &w->load->opts;
    uint64_t room = o->streams - c->in_flight, sent = 0;

    if (o->requests_per_conn > 0 && room > o->requests_per_conn - c->sent)
        room = o->requests_per_conn - c->sent;
    for (room = room < w->free_count ? room : w->free_count; sent < room; sent++) {
        struct load_slot *s = load_slot_take(c, load_mix_pick(w), now, now);
        enum plx_err err = o->hq ? load_hq_send(c, s) : load_request_send(c, s);
        if (err == PLX_OK)
            continue;
        c->sent += sent;
        send_failed(c, s, err);
        return sent;
    }
    c->sent += sent;
    load_conn_settle(c);
    return sent;
}

// In a closed loop without a number of requests whatever there is room for is due now: connection after connection is filled, and what
// left is counted once.
static bool pump_full(struct load_worker *w, plx_time now)
{
    struct load_conn *c;
    uint64_t sent = 0;

    if (w->interval_ns > 0 || w->quota_left != UINT64_MAX || w->again_count > 0 || w->phase != PHASE_RUN)
        return false;
    while ((c = TAILQ_FIRST(&w->ready)) != NULL && w->free_count > 0)
        sent += fill(c, now);
    w->report.all_sent += sent;
    w->report.requests += load_is_in_window(w, now) ? sent : 0;
    return true;
}

// One request at a time, in a closed loop: the answer that has just been counted makes room for one on its own connection and nowhere else, so it leaves
// without going through any list. False: it is not that simple.
bool load_pump_next(struct load_conn *c)
{
    struct load_worker *w = c->worker;
    plx_time now = plx_core_now(w->core);

    if (!w->is_one_by_one || w->phase != PHASE_RUN || w->again_count > 0 || c->state != CONN_OPEN ||
        c->is_ready || c->is_blocked || load_stats_is_owed(w))
        return false;
    struct load_slot *s = load_slot_take(c, load_mix_pick(w), now, now);
    enum plx_err err = load_request_send(c, s);
    if (err != PLX_OK) {
        send_failed(c, s, err);
        return true;
    }
    c->sent++;
    w->report.all_sent++;
    w->report.requests += load_is_in_window(w, now);
    return true;
}

// In a closed loop each answer makes room for a request. They are sent when all answers of the breath are through: the alarm of a
// moment that has come runs behind them, in the same breath. A schedule does not wait for that.
void load_pump_owe(struct load_worker *w)
{
    if (w->interval_ns > 0 || w->phase == PHASE_WAIT) {
        load_pump(w);
        load_finish_if_done(w);
        return;
    }
    if (w->phase == PHASE_DONE)
        return;
    w->is_pump_owed = true;
    plx_core_alarm(w->core, plx_core_now(w->core));
}

// The schedule goes on at the first moment that is not before t.
void load_skip_until(struct load_worker *w, plx_time t)
{
    if (w->interval_ns == 0 || t.ns <= w->first.ns)
        return;
    uint64_t step = (uint64_t)((double)(t.ns - w->first.ns) / w->interval_ns);
    w->next = step > w->next ? step : w->next;
    while (load_next_due(w).ns < t.ns)
        w->next++;
}

// The warm-up is not made up for: what found no stream then, for want of connections most of all, would stand in front of what is
// measured, and be its latency for seconds. Within the window nothing is left out.
static bool skip_warmup(struct load_worker *w, plx_time due, plx_time now)
{
    if (w->interval_ns == 0 || w->again_count > 0 || now.ns >= w->load->begin.ns ||
        now.ns - due.ns < stale_from.ns)
        return false;
    load_skip_until(w, now);
    return true;
}

void load_pump(struct load_worker *w)
{
    plx_time due, now = plx_core_now(w->core);

    if (w->is_pumping)
        return;
    w->is_pumping = true;
    if (load_stats_is_owed(w))
        load_stats_ask(w); // before all streams are taken again
    if (w->is_starved)
        w->no_room_at = now; // up to now there was no room
    w->is_starved = false;
    while (!pump_full(w, now) && load_is_due(w, now, &due)) {
        struct load_conn *c = TAILQ_FIRST(&w->ready);
        if (c == NULL || w->free_count == 0) {
            if (skip_warmup(w, due, now))
                break;
            w->is_starved = w->interval_ns > 0;
            if (w->is_starved)
                w->no_room_at = now;
            break;
        }
        send_on(c, due, now);
    }
    w->is_pumping = false;
    if (w->phase == PHASE_RUN && w->quota_left == 0)
        w->phase = PHASE_DRAIN;
    if (w->interval_ns > 0)
        load_arm(w); // in a closed loop no answer moves the next moment
}
