// main.c -- plx-load: the engine and its workers, the sum of their reports; and `merge`, which sums up files.

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "common/crash.h"
#include "load.h"

static struct load load; // the signal handler's way to it

static void on_signal(int sig)
{
    (void)sig;
    load.is_interrupted = true;
    plx_engine_stop(load.engine, PLX_NS(0));
}

static uint64_t clock_ns(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

// When the run starts, is measured and ends, on the engine's clock. Machines that share --start-at share all three.
static bool set_times(struct load *l, char *err, size_t err_len)
{
    uint64_t now = clock_ns(CLOCK_MONOTONIC), wall = clock_ns(CLOCK_REALTIME),
             at = l->opts.start_at_ms * UINT64_C(1000000);

    if (at > 0 && at < wall) {
        snprintf(err, err_len, "--start-at: that was %.1f s ago", (double)(wall - at) / 1e9);
        return false;
    }
    l->start.ns = at > 0 ? now + (at - wall) : now + PLX_MS(50).ns; // the pools are made meanwhile
    l->begin.ns = l->start.ns + l->opts.warmup.ns;
    l->end = l->opts.duration.ns > 0 ? (plx_time){l->begin.ns + l->opts.duration.ns} : PLX_NEVER;
    l->is_open_loop = l->opts.rate > 0;
    return true;
}

// Every connection with a port of its own is a socket.
static void raise_file_limit(void)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
        r.rlim_cur = r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
    }
}

// What has no more to say than fits a few packets needs nobody to space them. RFC 9002 section 7.7: bursts are to be paced, or limited to the initial
// window; all that is in flight on a connection at once is below that, as a rule, or was asked for with -m.
static bool has_uploads(const struct load *l)
{
    for (uint32_t i = 0; i < l->item_count; i++)
        if (l->items[i].body_len > 1024)
            return true;
    return false;
}

static bool make_engine(struct load *l, char *err, size_t err_len)
{
    static const char *const alpn[] = {"hq-interop"};
    const struct load_opts *o = &l->opts;
    uint64_t conns = o->connections / o->workers + 1;
    struct plx_engine_cfg cfg;

    plx_engine_cfg_init(&cfg);
    if (o->hq) {
        cfg.raw = &load_hq_handler;
        cfg.alpn = alpn;
        cfg.alpn_count = 1;
    } else {
        cfg.h3 = &load_h3_handler;
    }
    cfg.ctx = l;
    cfg.on_core_start = load_core_start;
    cfg.on_core_stop = load_core_stop;
    cfg.on_tick = load_on_tick;
    cfg.on_alarm = load_on_alarm;
    cfg.tick = PLX_MS(50);
    cfg.workers = (uint16_t)o->workers;
    cfg.cpus = o->cpu_count > 0 ? o->cpus : NULL;
    cfg.busy_poll = o->busy_poll;
    cfg.ca_file = o->cacert;
    cfg.insecure = o->insecure;
    cfg.ciphersuites = o->ciphers;
    cfg.groups = o->groups;
    cfg.keylog_file = o->keylog;
    cfg.crypto = o->crypto;
    cfg.handshake_timeout = o->connect_timeout;
    cfg.keep_alive = PLX_SEC(10);
    // Closed connections linger for some round trips; each has control streams besides its requests.
    cfg.conns_max = (uint32_t)(conns * 2 + 1024);
    cfg.handshakes_max = (uint32_t)(conns < 4096 ? conns + 512 : 4608);
    cfg.streams_max = (uint32_t)(conns * (2 * o->streams + 16) + 16384);
    cfg.no_pacing = !has_uploads(l);
    cfg.no_ecn =
        cfg.no_pacing; // marks on what is so small would slow down nothing. Those of the server are counted and reported all the same
    cfg.no_udp_check = true;
    cfg.stream_window = 1 << 20;
    cfg.conn_window = 16 << 20;
    if (!port_opts_apply(&l->opts.port, &cfg, err, err_len) ||
        (l->engine = plx_engine_new(&cfg, err, err_len)) == NULL)
        return false;
    return true;
}

static bool make_workers(struct load *l, char *err, size_t err_len)
{
    snprintf(err, err_len, "not enough memory, or a request that cannot be sent");
    l->workers = calloc(l->opts.workers, sizeof *l->workers);
    if (l->workers == NULL)
        return false;
    l->worker_count = (uint16_t)l->opts.workers;
    for (uint16_t i = 0; i < l->worker_count; i++)
        if (!load_worker_init(&l->workers[i], l, i))
            return false;
    return true;
}

static void describe(const struct load *l, struct report *r)
{
    const struct load_opts *o = &l->opts;
    char addr[PLX_ADDR_STRLEN], how[120];

    snprintf(r->target, sizeof r->target, "%s://%.160s (%s), %u kind%s of request", o->hq ? "hq" : "https",
             l->url.authority, plx_addr_str(&l->peer, addr), l->item_count, l->item_count == 1 ? "" : "s");
    if (o->conn_rate > 0)
        snprintf(how, sizeof how, "%g connections/s, %llu request%s each", o->conn_rate,
                 (unsigned long long)o->requests_per_conn, o->requests_per_conn == 1 ? "" : "s");
    else if (o->rate > 0)
        snprintf(how, sizeof how, "open loop, %g requests/s over %llu connections x %llu streams", o->rate,
                 (unsigned long long)o->connections, (unsigned long long)o->streams);
    else
        snprintf(how, sizeof how, "closed loop, %llu connections x %llu streams",
                 (unsigned long long)o->connections, (unsigned long long)o->streams);
    snprintf(r->mode, sizeof r->mode, "%s, %u worker%s, warm-up %.1f s; %.120s", how, l->worker_count,
             l->worker_count == 1 ? "" : "s", (double)o->warmup.ns / 1e9, plx_engine_describe(l->engine));
}

// What a report is good for: text, files, an exit status.
static int publish(struct report *r, const struct load_opts *o)
{
    char err[512];

    if (o->json == NULL || strcmp(o->json, "-") != 0)
        report_print(r, stdout);
    fflush(stdout);
    if ((o->json != NULL && !report_write_json(r, o->json, err, sizeof err)) ||
        (o->hgrm != NULL && !report_write_hgrm(r, o->hgrm, err, sizeof err))) {
        fprintf(stderr, "plx-load: %s\n", err);
        return LOAD_FAILED;
    }
    return report_is_within(r, &o->limits, stderr) ? LOAD_OK : LOAD_LIMITS;
}

static int sum_up(struct load *l)
{
    struct report sum;
    int code = LOAD_FAILED;

    if (report_init(&sum)) {
        describe(l, &sum);
        for (uint16_t i = 0; i < l->worker_count; i++)
            report_add(&sum, &l->workers[i].report);
        sum.processes = 1;
        if (l->is_interrupted)
            report_note(&sum, "interrupted before its end");
        report_judge(&sum, l->is_open_loop);
        code = publish(&sum, &l->opts);
        if (code == LOAD_OK && sum.all_ok == 0)
            code = LOAD_FAILED;
    }
    report_fini(&sum);
    return code;
}

static int merge(const struct load_opts *o)
{
    struct report sum, one;
    char err[512];
    int code = LOAD_OK;

    if (!report_init(&sum))
        return LOAD_FAILED;
    for (int i = 0; i < o->url_count && code == LOAD_OK; i++) {
        bool ok = report_init(&one);
        if (!ok)
            snprintf(err, sizeof err, "not enough memory");
        else if ((ok = report_read_json(&one, o->urls[i], err, sizeof err)))
            report_add(&sum, &one);
        if (!ok) {
            fprintf(stderr, "plx-load: %s\n", err);
            code = LOAD_FAILED;
        }
        report_fini(&one);
    }
    if (code == LOAD_OK)
        code = publish(&sum, o);
    report_fini(&sum);
    return code;
}

static int run(struct load *l)
{
    char err[512] = "";
    const char *why = "";
    struct sigaction sa = {.sa_handler = on_signal}, ignore = {.sa_handler = SIG_IGN};
    int code = LOAD_FAILED;

    if (!load_mix(l, err, sizeof err)) {
        fprintf(stderr, "plx-load: %s\n", err);
        return LOAD_USAGE;
    }
    if (!url_resolve(&l->url, l->opts.connect_to, &l->peer, &why)) {
        fprintf(stderr, "plx-load: %s: %s\n", l->url.host, why);
        return LOAD_FAILED;
    }
    raise_file_limit();
    if (!make_engine(l, err, sizeof err) || !set_times(l, err, sizeof err) ||
        !make_workers(l, err, sizeof err)) {
        fprintf(stderr, "plx-load: %s\n", err);
        return LOAD_FAILED;
    }
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
    if (plx_engine_run(l->engine) != PLX_OK)
        fprintf(stderr, "plx-load: a worker could not be started\n");
    else if (!l->is_failed)
        code = LOAD_OK;
    load_show_end(l);
    return code == LOAD_OK ? sum_up(l) : code;
}

int main(int argc, char **argv)
{
    struct load *l = &load;
    int code;

    crash_explain("plx-load");
    if (!load_options(&l->opts, argc, argv, &code)) {
        load_options_free(&l->opts);
        return code;
    }
    l->is_tty = isatty(STDERR_FILENO);
    code = l->opts.is_merge ? merge(&l->opts) : run(l);
    plx_engine_free(l->engine);
    for (uint16_t i = 0; i < l->worker_count; i++)
        load_worker_fini(&l->workers[i]);
    free(l->workers);
    load_mix_free(l);
    load_options_free(&l->opts);
    return code;
}
