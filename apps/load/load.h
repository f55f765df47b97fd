// load.h -- plx-load: makes HTTP/3 load, and measures what comes back.
//
//   options.c  the command line          mix.c      what is asked for: requests with weights
//   main.c     the engine, `merge`       worker.c   a core's part of the run: schedule, phases, the end
//   conns.c    connections: opened, lost, replaced     requests.c  requests over HTTP/3: sent, checked, counted
//   hq.c       the same over hq-interop  usage.c    CPU time from /proc
//   report.*, json.c, hist.*  figures    progress.c the line on a terminal
//
// Every worker owns its connections, its share of the schedule and its histograms, and shares nothing while it runs; the reports are
// added up at the end. Connections with room for another request stand in a list (`ready`). One function, load_pump(), takes from it
// as long as something is due: in a closed loop that is always so, in an open loop when the next moment of the schedule has come. The
// moment at which a request was due is kept with it, and its latency counts from there: a server that stalls is charged for
// everything that it kept waiting, whether or not it had been sent.

#ifndef PLX_APPS_LOAD_H
#define PLX_APPS_LOAD_H

#include <plx/plx.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/queue.h>

#include "common/port_opts.h"
#include "common/url.h"
#include "report.h"

enum load_exit { LOAD_OK = 0, LOAD_FAILED = 1, LOAD_USAGE = 2, LOAD_LIMITS = 3 };

#define LOAD_ANY UINT64_MAX

struct load_item { // one kind of request
    double weight;
    char *method, *authority, *path;
    struct plx_field *fields; // names and values are NUL-terminated copies
    uint16_t field_count;
    char *body;
    size_t body_len;
    uint64_t status, length, crc32; // what the answer must be; LOAD_ANY: do not care (status: any below 400)
};

struct load_opts {
    char **urls;
    int url_count;
    const char *file, *method, *json, *hgrm, *connect_to, *cacert, *ciphers, *groups, *keylog, *crypto,
        *server_stats;
    struct plx_field *fields;
    uint16_t field_count;
    char *body;
    size_t body_len;
    uint64_t status, length, crc32;
    uint64_t connections, streams, requests, workers, requests_per_conn; // 0: not given
    plx_dur duration, warmup, timeout, connect_timeout;
    double rate, conn_rate, churn;
    uint64_t start_at_ms; // Unix time, 0: now
    bool hq, resume, early_data, shared_port, insecure, quiet, busy_poll, is_merge;
    int cpus[128];
    unsigned cpu_count;
    int server_pid[64];
    unsigned server_pid_count;
    struct limits limits;
    struct port_opts port;
};

enum load_conn_state { CONN_UNUSED, CONN_OPENING, CONN_OPEN, CONN_LEAVING /* no new requests */, CONN_DEAD };

struct load_conn {
    struct load_worker *worker;
    struct plx_conn *transport;
    struct plx_h3_conn *h3;
    TAILQ_ENTRY(load_conn) ready; // in worker->ready while is_ready; in worker->unused when unused
    plx_time due, opened;         // due: when it should have been opened
    uint32_t in_flight;
    uint64_t sent, done;
    enum load_conn_state state;
    bool is_early /* requests may go before it is open */, is_ready,
        is_blocked /* the server allows no stream now */, is_ours /* we closed it */, was_goaway;
};

struct load_slot {          // a request in flight: one line of memory
    struct load_conn *conn; // NULL: free
    const struct load_item *item;
    union {
        struct plx_h3_req *req;
        struct plx_stream *stream; // hq
    };
    plx_time due, sent, first;
    uint64_t received;
    uint32_t crc;
    uint16_t status;
    bool is_complete, is_cancelled;
};
_Static_assert(sizeof(struct load_slot) == 64, "one line");

// Answers that differ in nothing that is reported: in one breath to requests of one breath most are like that. They are counted here, and
// judged, and put into the figures, once.
struct load_run {
    const struct load_item *item;
    plx_time due, first, at; // at: when they were complete
    uint64_t received, count;
    uint32_t crc;
    uint16_t status;
};

struct load_again { // a request that must be sent again
    plx_time due;
    const struct load_item *item;
};

TAILQ_HEAD(load_conns, load_conn);

struct load_stats {        // of the server, by its own account: server_stats.c
    struct load_slot slot; // of the request under way; its item is NULL
    unsigned wanted;       // 1: at the beginning of the window, 2: at its end
    unsigned asked;        // of those: fewer while no connection is open, or none has a stream
    plx_time until;        // the last is tried before this
    bool is_under_way, has_failed;
    double first; // seconds, at the beginning
    char text[16384];
    size_t len;
};

enum load_phase {
    PHASE_WAIT /* for the moment to start */,
    PHASE_RUN,
    PHASE_DRAIN /* nothing new is due */,
    PHASE_DONE
};

struct load_worker {
    struct load *load;
    struct plx_core *core;
    uint16_t index;
    enum load_phase phase;
    bool has_begun, has_ended;   // the window
    bool is_one_by_one;          // a closed loop without end, one request in flight on each connection
    bool is_pump_owed;           // when all answers of this breath are through
    bool is_pumping, is_starved; // starved: something was due, and no stream was free
    struct report report;
    struct plx_core_stats at_begin;

    struct load_conn *conns;
    uint32_t conn_count, slot_count;
    struct load_conns ready, unused;
    struct load_slot *slots, **free_slots;
    void *slots_memory; // slots, and what brings them to the beginning of a line
    uint32_t free_count, in_flight, opening, open;
    uint32_t missing;         // connections to be opened as soon as may be
    uint32_t missing_later;   // after a pause, because the last attempts failed
    struct load_conn *oldest; // churn: a place in conns

    // the schedule; its k-th request is due at first + k * interval
    plx_time first, first_conn;
    double interval_ns, conn_interval_ns, churn_interval_ns; // 0: none
    uint64_t next, next_conn, next_churn;
    plx_time no_room_at;        // when something was due last and no stream was free
    uint64_t quota, quota_left; // -n: requests of the window still to be sent; UINT64_MAX: no such limit
    struct load_again *again;   // requests of connections that were on their way out; a ring of slot_count
    uint32_t again_first, again_count;

    struct plx_h3_block **blocks; // one per item
    uint64_t prng;
    double *weight_sums;

    uint8_t *session; // --resume: the newest
    size_t session_len;

    struct load_run run; // the answers that came last

    struct load_stats stats; // worker 0's

    plx_time progress_at; // when a request was last answered, or a connection opened
    plx_time scan_at;
    uint64_t opens_ok;
    // what the progress line reads from another thread
    _Atomic uint64_t shown_answers, shown_errors, shown_in_flight, shown_open;
};

struct load {
    struct load_opts opts;
    struct load_item *items;
    uint32_t item_count;
    struct url url; // of the first item: where the connections go
    struct plx_addr peer;
    struct plx_engine *engine;
    struct load_worker *workers;
    uint16_t worker_count;
    plx_time start, begin, end; // the window is [begin, end); end PLX_NEVER with -n alone
    bool is_open_loop, is_tty;
    _Atomic unsigned done;
    _Atomic bool is_failed;
    _Atomic bool is_interrupted;           // what ends from here on is our doing: it is not counted
    uint64_t client_cpu_us, server_cpu_us; // at the beginning of the window, then in it; worker 0's
    plx_time shown_at;
    uint64_t shown_before;
};

// options.c: false: the program ends with *code.
bool load_options(struct load_opts *o, int argc, char **argv, int *code);
void load_options_free(struct load_opts *o);
bool load_field_parse(const char *text, struct plx_field **list, uint16_t *count);
void load_fields_free(struct plx_field *list, uint16_t count);
bool load_read_body(const char *value, char **body, size_t *len); // TEXT, or @FILE
bool load_read_hex(const char *text, uint64_t *out);

// mix.c
bool load_mix(struct load *l, char *err, size_t err_len);
void load_mix_free(struct load *l);
bool load_mix_blocks(struct load_worker *w); // the prepared requests of a worker
void load_mix_blocks_free(struct load_worker *w);
const struct load_item *load_mix_pick(struct load_worker *w);

// worker.c
bool load_worker_init(struct load_worker *w, struct load *l, uint16_t index);
void load_worker_fini(struct load_worker *w);
// server_stats.c
void load_stats_want(struct load_worker *w); // does nothing without --server-stats
void load_stats_ask(struct load_worker *w);  // what is owed, if it can be
static inline bool load_stats_is_owed(const struct load_worker *w)
{
    return __builtin_expect(w->stats.asked < w->stats.wanted, 0);
}
bool load_stats_is(const struct load_slot *s);
void load_stats_body(struct load_worker *w, const uint8_t *data, size_t len);
void load_stats_end(struct load_worker *w);
void load_stats_failed(struct load_worker *w);
void load_stats_judge(struct load_worker *w); // at the end: what is to be remarked

void *load_core_start(void *ctx, struct plx_core *core);
void load_on_alarm(void *ctx, struct plx_core *core, plx_time now);
void load_on_tick(void *ctx, struct plx_core *core, plx_time now);
void load_core_stop(void *ctx, struct plx_core *core);

// pump.c
static inline plx_time load_at_step(plx_time first, double interval_ns, uint64_t step)
{
    return (plx_time){first.ns + (uint64_t)(interval_ns * (double)step)};
}

static inline plx_time load_next_due(const struct load_worker *w)
{
    return load_at_step(w->first, w->interval_ns, w->next);
}

bool load_is_due(const struct load_worker *w, plx_time now, plx_time *due);
void load_pump(struct load_worker *w); // sends what is due as far as there is room
void load_skip_until(struct load_worker *w, plx_time t);
void load_pump_owe(struct load_worker *w);
bool load_pump_next(struct load_conn *c); // after an answer on it
// After an answer: the next request may leave.
static inline void load_pump_soon(struct load_worker *w)
{
    if (!w->is_pump_owed)
        load_pump_owe(w);
}

// worker.c, and what all of them ask
void load_arm(struct load_worker *w);
void load_finish_if_done(struct load_worker *w);
bool load_is_in_window(const struct load_worker *w, plx_time t);
void load_give_up(struct load *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

// conns.c
void load_conns_open(struct load_worker *w);                  // those that are missing
void load_conn_open_due(struct load_worker *w, plx_time due); // one more, of a schedule
void load_conn_churn(struct load_worker *w);
static inline void load_conn_ready(struct load_conn *c, bool is_ready)
{
    struct load_worker *w = c->worker;

    if (is_ready == c->is_ready)
        return;
    c->is_ready = is_ready;
    if (is_ready)
        TAILQ_INSERT_TAIL(&w->ready, c, ready);
    else
        TAILQ_REMOVE(&w->ready, c, ready);
}
void load_conn_settle_any(struct load_conn *c);
// After something about it has changed: has it room, is it over.
static inline void load_conn_settle(struct load_conn *c)
{
    const struct load_opts *o = &c->worker->load->opts;

    if (c->state != CONN_OPEN || o->requests_per_conn > 0)
        load_conn_settle_any(c);
    else
        load_conn_ready(c, !c->is_blocked && c->in_flight < o->streams);
}
void load_conn_early(struct load_conn *c);
void load_conn_opened(struct load_conn *c);
void load_conn_closed(struct load_conn *c, const struct plx_close_info *why, bool was_open);
void load_conn_session(struct load_conn *c, const void *session, size_t len);
void load_conns_close(struct load_worker *w);

// requests.c
extern const struct plx_h3_handler load_h3_handler;
enum plx_err load_request_send(struct load_conn *c, struct load_slot *s);
struct load_slot *load_slot_take(struct load_conn *c, const struct load_item *item, plx_time due,
                                 plx_time now);
void load_slot_received(struct load_slot *s, const uint8_t *data, size_t len);
void load_slot_end(struct load_slot *s);                        // the answer is complete: check, count, free
void load_slot_fail(struct load_slot *s, enum error_kind kind); // count, free
void load_slot_again(struct load_slot *s);                      // to be sent on another connection
void load_slot_free(struct load_slot *s);
void load_slots_time_out(struct load_worker *w, plx_time now);
void load_run_flush(struct load_worker *w); // puts the run into the figures

// hq.c
extern const struct plx_conn_handler load_hq_handler;
enum plx_err load_hq_send(struct load_conn *c, struct load_slot *s);

// usage.c
uint64_t load_cpu_own_us(void);
bool load_cpu_of_us(int pid, uint64_t *us);

// progress.c
void load_show(struct load *l, plx_time now);
void load_show_end(struct load *l);

#endif
