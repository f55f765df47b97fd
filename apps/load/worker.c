// worker.c -- a core's part of the run.
//
//   start ──────► begin ──────────────► end ───────► done
//         warm-up        the window           drain
//
// Time comes from the engine: load_on_alarm() is called at the next moment at which something is due (the schedule is arithmetic, so
// nothing is queued), load_on_tick() every few milliseconds for housekeeping. Answers call load_pump() again, which sends what has
// become due while there was no room.

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "load.h"

static const plx_dur scan_every = PLX_MS(250);

static plx_time earlier(plx_time a, plx_time b)
{
    return a.ns < b.ns ? a : b;
}

bool load_is_in_window(const struct load_worker *w, plx_time t)
{
    return t.ns >= w->load->begin.ns && t.ns < w->load->end.ns;
}

void load_give_up(struct load *l, const char *format, ...)
{
    va_list args;

    if (atomic_exchange(&l->is_failed, true))
        return; // once is enough
    load_show_end(l);
    fputs("plx-load: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    plx_engine_stop(l->engine, PLX_NS(0));
}

// --- the window ---------------------------------------------------------------------------------------------

static uint64_t server_cpu(struct load *l)
{
    uint64_t sum = 0, us;

    for (unsigned i = 0; i < l->opts.server_pid_count; i++) {
        if (load_cpu_of_us(l->opts.server_pid[i], &us))
            sum += us;
        else
            load_give_up(l, "--server-pid %d: no such process", l->opts.server_pid[i]);
    }
    return sum;
}

static void window_begin(struct load_worker *w)
{
    load_run_flush(w);
    w->has_begun = true;
    if (TAILQ_EMPTY(&w->ready) || w->free_count == 0)
        load_skip_until(w, w->load->begin);
    plx_core_stats(w->core, &w->at_begin);
    if (w->index == 0) {
        w->load->client_cpu_us = load_cpu_own_us();
        w->load->server_cpu_us = server_cpu(w->load);
        load_stats_want(w);
    }
}

static void window_end(struct load_worker *w)
{
    struct load *l = w->load;
    struct report *r = &w->report;
    const struct plx_core_stats *a = &w->at_begin;
    struct plx_core_stats b;
    plx_time now = plx_core_now(w->core);

    load_run_flush(w);
    w->has_ended = true;
    plx_core_stats(w->core, &b);
    r->datagrams_rx = b.datagrams_rx - a->datagrams_rx;
    r->datagrams_tx = b.datagrams_tx - a->datagrams_tx;
    r->udp_unchecked = b.udp_unchecked - a->udp_unchecked;
    r->bytes_rx = b.bytes_rx - a->bytes_rx;
    r->bytes_tx = b.bytes_tx - a->bytes_tx;
    r->packets_rx = b.packets_rx - a->packets_rx;
    r->packets_tx = b.packets_tx - a->packets_tx;
    r->packets_lost = b.packets_lost - a->packets_lost;
    r->busy_ns = b.busy_ns - a->busy_ns;
    r->engine_requests = l->opts.hq ? r->answered_in_window : b.requests - a->requests;
    r->wall_ns = now.ns - l->begin.ns;
    r->window_ns = earlier(now, l->end).ns - l->begin.ns;
    if (w->index == 0) {
        r->client_cpu_us = load_cpu_own_us() - l->client_cpu_us;
        r->server_cpu_us = server_cpu(l) - l->server_cpu_us;
        load_stats_want(w);
    }
}

// --- time ---------------------------------------------------------------------------------------------------

void load_arm(struct load_worker *w)
{
    const struct load *l = w->load;
    plx_time at = PLX_NEVER;

    if (w->phase == PHASE_DONE || w->is_pumping)
        return;
    if (w->phase == PHASE_WAIT) {
        plx_core_alarm(w->core, l->start);
        return;
    }
    if (!w->has_begun)
        at = l->begin;
    else if (!w->has_ended)
        at = l->end;
    if (w->phase == PHASE_RUN && w->conn_interval_ns > 0)
        at = earlier(at, load_at_step(w->first_conn, w->conn_interval_ns, w->next_conn));
    if (w->phase == PHASE_RUN && w->churn_interval_ns > 0)
        at = earlier(at, load_at_step(w->first_conn, w->churn_interval_ns, w->next_churn + 1));
    if (w->interval_ns > 0 && !w->is_starved && load_next_due(w).ns < l->end.ns && w->quota_left > 0)
        at = earlier(at, load_next_due(w));
    plx_core_alarm(w->core, at);
}

void load_on_alarm(void *ctx, struct plx_core *core, plx_time now)
{
    struct load_worker *w = plx_core_user(core);
    struct load *l = ctx;

    if (w == NULL || w->phase == PHASE_DONE)
        return;
    w->is_pump_owed = false;
    if (w->phase == PHASE_WAIT && now.ns >= l->start.ns) {
        w->phase = PHASE_RUN;
        w->progress_at = now;
        load_conns_open(w);
    }
    if (!w->has_begun && now.ns >= l->begin.ns)
        window_begin(w);
    if (!w->has_ended && now.ns >= l->end.ns) {
        window_end(w);
        w->phase = PHASE_DRAIN;
    }
    for (uint64_t had = UINT64_MAX;
         w->phase == PHASE_RUN && w->conn_interval_ns > 0 && had != w->next_conn;) {
        plx_time due = load_at_step(w->first_conn, w->conn_interval_ns, w->next_conn);
        had = w->next_conn;
        if (due.ns <= now.ns)
            load_conn_open_due(w, due);
    }
    while (w->phase == PHASE_RUN && w->churn_interval_ns > 0 &&
           load_at_step(w->first_conn, w->churn_interval_ns, w->next_churn + 1).ns <= now.ns) {
        w->next_churn++;
        load_conn_churn(w);
    }
    load_pump(w);
    load_arm(w);
    load_finish_if_done(w);
}

// Streams that a server refused may be free again without a word about it; time-outs are looked for; the last of the drain ends.
static void scan(struct load_worker *w, plx_time now)
{
    struct load *l = w->load;

    load_slots_time_out(w, now);
    for (uint32_t i = 0; i < w->conn_count; i++) {
        struct load_conn *c = &w->conns[i];
        if (c->state != CONN_OPEN && c->state != CONN_LEAVING)
            continue;
        c->is_blocked = false;
        load_conn_settle(c);
    }
    w->missing += w->missing_later;
    w->missing_later = 0;
    load_conns_open(w);
    if (load_stats_is_owed(w))
        load_stats_ask(w);
    load_pump(w);
    if (l->opts.requests > 0 && w->in_flight == 0 && now.ns > w->progress_at.ns + 3 * l->opts.timeout.ns)
        load_give_up(l, "no progress: nothing was answered for %.0f s", 3 * (double)l->opts.timeout.ns / 1e9);
}

void load_on_tick(void *ctx, struct plx_core *core, plx_time now)
{
    struct load_worker *w = plx_core_user(core);
    struct load *l = ctx;

    if (w == NULL || w->phase == PHASE_WAIT)
        return;
    atomic_store_explicit(&w->shown_answers, w->report.all_ok + w->run.count + w->report.all_failed,
                          memory_order_relaxed);
    atomic_store_explicit(&w->shown_errors, w->report.all_failed + w->report.connections_failed,
                          memory_order_relaxed);
    atomic_store_explicit(&w->shown_in_flight, w->in_flight, memory_order_relaxed);
    atomic_store_explicit(&w->shown_open, w->open, memory_order_relaxed);
    if (w->index == 0)
        load_show(l, now);
    if (w->phase == PHASE_DONE || now.ns < w->scan_at.ns)
        return;
    w->scan_at = (plx_time){now.ns + scan_every.ns};
    scan(w, now);
    load_finish_if_done(w);
}

// --- the end ------------------------------------------------------------------------------------------------

// Requests of the schedule that found no room until the very end. They were due, so they count.
static void count_unsent(struct load_worker *w)
{
    struct report *r = &w->report;

    for (; w->interval_ns > 0 && w->quota_left > 0 && load_next_due(w).ns < w->load->end.ns &&
           w->load->end.ns != PLX_NEVER.ns;
         w->next++) {
        if (!load_is_in_window(w, load_next_due(w)))
            continue;
        r->requests++;
        r->failed++;
        r->errors[ERROR_unsent]++;
        w->quota_left -= w->quota_left != UINT64_MAX;
    }
    for (; w->again_count > 0; w->again_count--, w->again_first = (w->again_first + 1) % w->slot_count)
        if (load_is_in_window(w, w->again[w->again_first].due)) {
            r->failed++;
            r->errors[ERROR_unsent]++;
        }
}

void load_finish_if_done(struct load_worker *w)
{
    struct load *l = w->load;

    if (w->phase != PHASE_DRAIN)
        return;
    plx_time due, now = plx_core_now(w->core);
    bool is_late = l->end.ns != PLX_NEVER.ns && now.ns > l->end.ns + l->opts.timeout.ns + PLX_SEC(1).ns;

    if (!is_late && (w->in_flight > 0 || load_is_due(w, now, &due)))
        return;
    if (!w->has_ended)
        window_end(w);
    if ((w->stats.is_under_way || load_stats_is_owed(w)) && !is_late)
        return;
    w->phase = PHASE_DONE; // from here on nothing is sent
    for (uint32_t i = 0; i < w->slot_count && w->in_flight > 0; i++)
        if (w->slots[i].conn != NULL) {
            if (!l->opts.hq && w->slots[i].req != NULL)
                plx_h3_req_set_user(w->slots[i].req, NULL);
            if (l->opts.hq && w->slots[i].stream != NULL)
                plx_stream_set_user(w->slots[i].stream, NULL);
            load_slot_fail(&w->slots[i], ERROR_timeout);
        }
    count_unsent(w);
    load_run_flush(w);
    if (w->stats.is_under_way)
        plx_h3_req_set_user(w->stats.slot.req, NULL);
    load_conns_close(w);
    plx_core_alarm(w->core, PLX_NEVER);
    if (atomic_fetch_add(&l->done, 1) + 1 == l->worker_count)
        plx_engine_stop(l->engine, PLX_MS(100));
}

// --- the beginning ------------------------------------------------------------------------------------------

static uint64_t share(uint64_t total, uint16_t index, uint16_t workers)
{
    return total / workers + (index < total % workers);
}

static double interval(double rate, uint16_t workers)
{
    return rate > 0 ? 1e9 * workers / rate : 0;
}

bool load_worker_init(struct load_worker *w, struct load *l, uint16_t index)
{
    const struct load_opts *o = &l->opts;
    uint16_t n = l->worker_count;

    *w = (struct load_worker){.load = l, .index = index, .prng = UINT64_C(0x9e3779b97f4a7c15) * (index + 1u)};
    TAILQ_INIT(&w->ready);
    TAILQ_INIT(&w->unused);
    w->missing = o->conn_rate > 0 ? 0 : (uint32_t)share(o->connections, index, n);
    w->conn_count = (uint32_t)share(o->connections, index, n);
    w->slot_count = w->conn_count * (uint32_t)o->streams;
    w->quota = w->quota_left = o->requests > 0 ? share(o->requests, index, n) : UINT64_MAX;
    w->interval_ns = interval(o->rate, n);
    w->is_one_by_one =
        o->streams == 1 && o->rate == 0 && o->requests == 0 && o->requests_per_conn == 0 && !o->hq;
    w->conn_interval_ns = interval(o->conn_rate, n);
    w->churn_interval_ns = interval(o->churn, n);
    // Workers take turns, so that the whole of them keeps the rate evenly.
    w->first = load_at_step(l->start, w->interval_ns / n, index);
    w->first_conn = load_at_step(
        l->start, (w->conn_interval_ns > 0 ? w->conn_interval_ns : w->churn_interval_ns) / n, index);
    w->conns = calloc(w->conn_count + 1u, sizeof *w->conns);
    w->slots_memory = calloc(w->slot_count + 1u, sizeof *w->slots);
    w->free_slots = calloc(w->slot_count + 1u, sizeof(void *));
    w->again = calloc(w->slot_count + 1u, sizeof *w->again);
    if (w->conns == NULL || w->slots_memory == NULL || w->free_slots == NULL || w->again == NULL ||
        !report_init(&w->report))
        return false;
    w->report.workers = 1;
    for (uint32_t i = 0; i < w->conn_count; i++) {
        w->conns[i].worker = w;
        TAILQ_INSERT_TAIL(&w->unused, &w->conns[i], ready);
    }
    // Each on a line of its own: there is one more than are used.
    w->slots = (struct load_slot *)(((uintptr_t)w->slots_memory + sizeof *w->slots - 1) &
                                    ~(uintptr_t)(sizeof *w->slots - 1));
    for (uint32_t i = w->slot_count; i > 0; i--)
        w->free_slots[w->free_count++] = &w->slots[i - 1];
    return load_mix_blocks(w);
}

void load_worker_fini(struct load_worker *w)
{
    load_mix_blocks_free(w);
    report_fini(&w->report);
    free(w->conns);
    free(w->slots_memory);
    free(w->free_slots);
    free(w->again);
    free(w->session);
}

void *load_core_start(void *ctx, struct plx_core *core)
{
    struct load *l = ctx;
    struct load_worker *w = &l->workers[plx_core_index(core)];

    w->core = core;
    prctl(PR_SET_TIMERSLACK, 1); // a sleep that ends 50 us late is a request that leaves 50 us late
    plx_core_alarm(core, l->start);
    return w;
}

void load_core_stop(void *ctx, struct plx_core *core)
{
    struct load_worker *w = plx_core_user(core);

    (void)ctx;
    if (w->has_begun && !w->has_ended) // interrupted
        window_end(w);
    load_run_flush(w);
    if (w->index == 0)
        load_stats_judge(w);
    w->phase = PHASE_DONE;
}
