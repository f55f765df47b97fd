// conns.c -- the connections of a worker: opened, used, given up, replaced.
//
// A connection that we close is forgotten at once (its transport lingers for a few round trips and tells nobody), so that its
// successor need not wait. One that could not be opened is tried again after a pause.

#include <stdlib.h>
#include <string.h>

#include "load.h"

enum {
    OPENING_MAX = 32, // handshakes under way at once, per worker: what small socket buffers of servers hold
    SCHEDULED_MAX = 2048,  // the same where a schedule says when they begin
    FAILURES_AT_FIRST = 3, // when not one connection has opened after so many failures, the run is pointless
};

static const plx_dur session_wait = PLX_SEC(1); // for a ticket to resume from

static bool has_room(const struct load_conn *c)
{
    const struct load_opts *o = &c->worker->load->opts;

    return (c->state == CONN_OPEN || c->is_early) && !c->is_blocked && c->in_flight < o->streams &&
           (o->requests_per_conn == 0 || c->sent < o->requests_per_conn);
}

// --- the end of one -----------------------------------------------------------------------------------------

static void note_path(struct load_conn *c)
{
    struct report *r = &c->worker->report;
    struct plx_conn_info i;

    plx_conn_info(c->transport, &i);
    r->frames_retransmitted += i.packets_retransmitted;
    if (i.rtt.ns == 0)
        return;
    r->rtt_count++;
    r->rtt_sum_ns += i.rtt.ns;
    r->rtt_max_ns = i.rtt.ns > r->rtt_max_ns ? i.rtt.ns : r->rtt_max_ns;
    r->rtt_min_ns = r->rtt_min_ns == 0 || i.rtt_min.ns < r->rtt_min_ns ? i.rtt_min.ns : r->rtt_min_ns;
}

static void forget(struct load_conn *c)
{
    struct load_worker *w = c->worker;

    load_conn_ready(c, false);
    c->transport = NULL;
    c->h3 = NULL;
    c->state = CONN_UNUSED;
    TAILQ_INSERT_TAIL(&w->unused, c, ready);
}

static void leave(struct load_conn *c)
{
    struct load_worker *w = c->worker;

    note_path(c);
    w->open--;
    plx_conn_set_user(c->transport, NULL);
    if (c->h3 != NULL)
        plx_h3_conn_set_user(c->h3, NULL);
    plx_conn_close(c->transport, c->h3 != NULL ? (uint64_t)PLX_H3_NO_ERROR : 0, "");
    forget(c);
}

// The one that brings the first ticket stays for it, though it has nothing else to do.
static bool waits_for_session(const struct load_conn *c)
{
    const struct load_worker *w = c->worker;

    return w->load->opts.resume && w->session == NULL &&
           plx_core_now(w->core).ns < c->opened.ns + session_wait.ns;
}

// It is gone: is another one wanted in its place?
static void replace(struct load_worker *w, bool is_later)
{
    if (w->load->opts.conn_rate > 0 || w->phase == PHASE_DONE)
        return;
    if (is_later)
        w->missing_later++;
    else
        w->missing++;
    load_conns_open(w);
}

void load_conn_settle_any(struct load_conn *c)
{
    const struct load_opts *o = &c->worker->load->opts;

    if (c->state == CONN_OPEN && o->requests_per_conn > 0 && c->sent >= o->requests_per_conn)
        c->state = CONN_LEAVING;
    load_conn_ready(c, has_room(c));
    if (c->in_flight > 0)
        return;
    if (c->state == CONN_LEAVING && !waits_for_session(c)) {
        leave(c);
        replace(c->worker, false);
    } else if (c->state == CONN_DEAD) {
        bool was_any_use = c->done > 0;
        forget(c);
        replace(c->worker, !was_any_use);
    }
}

void load_conns_close(struct load_worker *w)
{
    for (uint32_t i = 0; i < w->conn_count; i++) {
        struct load_conn *c = &w->conns[i];
        if (c->state != CONN_OPENING && c->state != CONN_OPEN && c->state != CONN_LEAVING)
            continue;
        if (c->state == CONN_OPENING) {
            w->opening--;
            w->open++; // leave() takes it back
        }
        leave(c);
    }
}

// --- what the transport says --------------------------------------------------------------------------------

void load_conn_early(struct load_conn *c)
{
    c->is_early = true;
    load_conn_settle(c);
    load_pump(c->worker);
}

void load_conn_opened(struct load_conn *c)
{
    struct load_worker *w = c->worker;
    struct report *r = &w->report;
    plx_time now = plx_core_now(w->core);
    struct plx_conn_info i;

    plx_conn_info(c->transport, &i);
    c->state = CONN_OPEN;
    c->is_early = c->is_blocked = false;
    c->opened = now;
    w->opening--;
    w->open++;
    w->opens_ok++;
    w->progress_at = now;
    r->connections++;
    r->resumed += i.was_resumed;
    r->early_accepted += i.early == PLX_EARLY_ACCEPTED;
    r->early_refused += i.early == PLX_EARLY_REFUSED;
    if (w->has_begun && !w->has_ended)
        r->handshakes_in_window++;
    hist_add(&r->hist[HIST_HANDSHAKE], now.ns - c->due.ns);
    if (load_stats_is_owed(w))
        load_stats_ask(w);
    load_conn_settle(c);
    load_conns_open(w);
    load_pump(w);
}

static void say_why(struct load_worker *w, const struct plx_close_info *why)
{
    char addr[PLX_ADDR_STRLEN];
    const char *to = plx_addr_str(&w->load->peer, addr);

    if (why->how == PLX_CLOSE_HANDSHAKE_TIMEOUT || why->how == PLX_CLOSE_IDLE)
        load_give_up(w->load, "no answer from %s: nothing speaks QUIC there, or UDP is blocked", to);
    else if (why->how == PLX_CLOSE_VERSION)
        load_give_up(w->load, "%s speaks no version of QUIC that we do", to);
    else
        load_give_up(w->load, "%s: %s with %s error 0x%llx%s%s%s", to,
                     why->is_peer ? "the server closed" : "closed",
                     why->how == PLX_CLOSE_APPLICATION ? "application" : "transport",
                     (unsigned long long)why->code, why->reason[0] != '\0' ? ": " : "", why->reason,
                     !why->is_peer && why->code >= 0x100 + 42 && why->code <= 0x100 + 48
                         ? " (trust its issuer with --cacert FILE, or look the other way with --insecure)"
                         : "");
}

static void failed_to_open(struct load_conn *c, const struct plx_close_info *why)
{
    struct load_worker *w = c->worker;
    struct report *r = &w->report;

    w->opening--;
    if (w->load->is_interrupted)
        return;
    r->connections_failed++;
    r->errors[why->how == PLX_CLOSE_HANDSHAKE_TIMEOUT || why->how == PLX_CLOSE_IDLE ? ERROR_connect
                                                                                    : ERROR_refused]++;
    if (w->opens_ok == 0 &&
        (r->connections_failed >= FAILURES_AT_FIRST || r->connections_failed >= w->load->opts.connections))
        say_why(w, why);
}

// The first one of a worker is told about; the others are counted.
static void count_lost(struct load_worker *w, const struct plx_close_info *why)
{
    static const char *const how[] = {
        [PLX_CLOSE_IDLE] = "the server has fallen silent (idle timeout)",
        [PLX_CLOSE_STATELESS_RESET] = "the server has forgotten it (stateless reset)",
    };
    const char *said = why->how < sizeof how / sizeof *how ? how[why->how] : NULL;

    if (w->report.connections_lost++ > 0)
        return;
    if (said != NULL)
        report_note(&w->report, "the first connection that was lost: %s", said);
    else
        report_note(&w->report, "the first connection that was lost: %s with %s error 0x%llx%s%s",
                    why->is_peer ? "the server closed it" : "we closed it",
                    why->how == PLX_CLOSE_APPLICATION ? "application" : "transport",
                    (unsigned long long)why->code, why->reason[0] != '\0' ? ": " : "", why->reason);
}

void load_conn_closed(struct load_conn *c, const struct plx_close_info *why, bool was_open)
{
    bool is_friendly = c->was_goaway || (why->how == PLX_CLOSE_APPLICATION && why->code == PLX_H3_NO_ERROR) ||
                       (why->how == PLX_CLOSE_IDLE && c->in_flight == 0);

    if (!was_open) {
        failed_to_open(c, why);
    } else {
        note_path(c);
        c->worker->open--;
        if (!is_friendly && !c->worker->load->is_interrupted)
            count_lost(c->worker, why);
    }
    c->state = CONN_DEAD;
    c->is_early = false;
    load_conn_ready(c, false);
}

void load_conn_session(struct load_conn *c, const void *session, size_t len)
{
    if (c == NULL || !c->worker->load->opts.resume)
        return;
    struct load_worker *w = c->worker;
    uint8_t *copy = malloc(len);
    if (copy == NULL)
        return; // the one before it serves on
    memcpy(copy, session, len);
    free(w->session);
    w->session = copy;
    w->session_len = len;
    load_conn_settle(c); // it, and others, may have waited for it
    load_conns_open(w);
}

// --- the beginning of one -----------------------------------------------------------------------------------

// Where it leaves from, on a port of frames with several addresses: each in turn.
static struct plx_addr source(const struct load_worker *w)
{
    const struct port_opts *p = &w->load->opts.port;
    uint64_t turn = w->report.connections + w->opening + w->index;

    for (uint16_t i = 0; i < p->ip_count; i++) {
        const struct plx_addr *a = &p->ip[(turn + i) % p->ip_count];
        if (a->af == w->load->peer.af && p->ip_count > 1)
            return *a;
    }
    return (struct plx_addr){.af = PLX_AF_NONE};
}

static bool open_one(struct load_worker *w, plx_time due)
{
    struct load *l = w->load;
    struct load_conn *c = TAILQ_FIRST(&w->unused);

    if (c == NULL)
        return false;
    struct plx_connect_cfg cfg = {
        .server_name = l->url.host,
        .peer = l->peer,
        .local = source(w),
        .own_port = !l->opts.shared_port,
        .session = w->session,
        .session_len = w->session_len,
        .early_data = l->opts.early_data,
        .user = c,
    };
    TAILQ_REMOVE(&w->unused, c, ready);
    *c = (struct load_conn){.worker = w, .state = CONN_OPENING, .due = due};
    enum plx_err err = plx_core_connect(w->core, &cfg, &c->transport);
    if (err == PLX_OK) {
        w->opening++;
        return true;
    }
    c->state = CONN_UNUSED;
    TAILQ_INSERT_HEAD(&w->unused, c, ready);
    if (err == PLX_ERR_SYSTEM)
        load_give_up(
            l,
            "no source port for another connection: raise ulimit -n or net.ipv4.ip_local_port_range, or use --shared-port");
    return false; // NOMEM: when a connection has gone
}

// Also during the drain, while something is still to be sent.
static bool is_needed(const struct load_worker *w)
{
    return w->phase == PHASE_RUN || (w->phase == PHASE_DRAIN && (w->again_count > 0 || w->is_starved));
}

void load_conns_open(struct load_worker *w)
{
    plx_time now = plx_core_now(w->core);

    while (is_needed(w) && w->missing > 0 && w->opening < OPENING_MAX) {
        bool waits_for_session =
            w->load->opts.resume && w->session == NULL && (w->opening > 0 || w->open > 0);
        if (waits_for_session && (w->opens_ok == 0 || now.ns < w->progress_at.ns + session_wait.ns))
            return; // the first one brings it
        if (!open_one(w, now))
            return;
        w->missing--;
    }
}

void load_conn_open_due(struct load_worker *w, plx_time due)
{
    if (w->opening < SCHEDULED_MAX && open_one(w, due))
        w->next_conn++;
}

// The one that has been used longest leaves; its place is taken as soon as it has gone.
void load_conn_churn(struct load_worker *w)
{
    uint32_t at = w->oldest != NULL ? (uint32_t)(w->oldest - w->conns) : 0;

    for (uint32_t i = 0; i < w->conn_count; i++) {
        struct load_conn *c = &w->conns[(at + i) % w->conn_count];
        if (c->state != CONN_OPEN)
            continue;
        w->oldest = &w->conns[(at + i + 1) % w->conn_count];
        c->state = CONN_LEAVING;
        load_conn_settle(c);
        return;
    }
}
