// main.c -- plx-serve: the engine, its workers' sites, signals.

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/crash.h"
#include "serve.h"

static struct plx_engine *engine;
static plx_dur grace;
static volatile sig_atomic_t signals;

static void on_signal(int sig)
{
    (void)sig;
    plx_engine_stop(engine, signals++ == 0 ? grace : PLX_NS(0));
}

struct serve {
    struct serve_opts opts;
    struct site *sites; // one per worker
    FILE *log;
};

static void *on_core_start(void *ctx, struct plx_core *core)
{
    struct serve *v = ctx;
    struct site *s = &v->sites[plx_core_index(core)];

    s->core = core;
    s->engine = engine;
    return s;
}

static bool sites_init(struct serve *v, char *err, size_t err_len)
{
    v->sites = calloc(v->opts.workers, sizeof *v->sites);
    if (v->sites == NULL) {
        snprintf(err, err_len, "not enough memory");
        return false;
    }
    for (uint64_t i = 0; i < v->opts.workers; i++)
        v->sites[i].root = -1;
    if (v->opts.access_log != NULL && (v->log = log_open(v->opts.access_log, err, err_len)) == NULL)
        return false;
    for (uint64_t i = 0; i < v->opts.workers; i++) {
        if (!site_init(&v->sites[i], &v->opts, NULL, err, err_len))
            return false;
        v->sites[i].log = v->log;
    }
    return true;
}

static bool make_engine(struct serve *v, char *err, size_t err_len)
{
    static const char *const alpn[] = {"hq-interop"};
    const struct serve_opts *o = &v->opts;
    struct plx_engine_cfg cfg;

    plx_engine_cfg_init(&cfg);
    cfg.listen = o->listen;
    cfg.listen_count = o->listen_count;
    cfg.certs = o->certs;
    cfg.cert_count = o->cert_count;
    cfg.h3 = &serve_handler;
    if (o->has_hq) {
        cfg.alpn = alpn;
        cfg.alpn_count = 1;
        cfg.raw = &serve_hq_handler;
    }
    cfg.ctx = v;
    cfg.on_core_start = on_core_start;
    cfg.workers = (uint16_t)o->workers;
    cfg.busy_poll = o->busy_poll;
    cfg.conns_max = (uint32_t)o->conns_max;
    cfg.handshakes_max = (uint32_t)o->handshakes_max;
    cfg.streams_max = (uint32_t)o->streams_max;
    cfg.buffer_memory = o->buffer_memory;
    cfg.hibernate_after = PLX_MS(o->hibernate_after_ms);
    cfg.hibernated_max = (uint32_t)o->hibernated_max;
    cfg.idle_timeout = PLX_MS(o->idle_timeout_ms);
    cfg.tickets = (uint32_t)o->tickets;
    cfg.early_data = o->early_data;
    cfg.key_update_packets = o->key_update_packets;
    cfg.keylog_file = o->keylog;
    cfg.ciphersuites = o->ciphers;
    cfg.groups = o->groups;
    cfg.crypto = o->crypto;
    cfg.retry = strcmp(o->retry, "always") == 0  ? PLX_RETRY_ALWAYS
                : strcmp(o->retry, "never") == 0 ? PLX_RETRY_NEVER
                                                 : PLX_RETRY_AUTO;
    cfg.congestion = strcmp(o->congestion, "newreno") == 0 ? PLX_CONGESTION_NEWRENO : PLX_CONGESTION_CUBIC;
    return port_opts_apply(&v->opts.port, &cfg, err, err_len) &&
           (engine = plx_engine_new(&cfg, err, err_len)) != NULL;
}

static void say_start(const struct serve_opts *o)
{
    char addr[PLX_ADDR_STRLEN];
    const struct plx_port_caps *caps = plx_engine_caps(engine);

    printf("plx-serve %s: https://", plx_version());
    for (uint16_t i = 0; i < o->listen_count; i++) {
        struct plx_addr a = o->listen[i];
        if (i == 0 && a.port == 0)
            a.port = caps->bound.port;
        printf("%s%s", i > 0 ? ", " : "", plx_addr_str(&a, addr));
    }
    printf(", root %s, %u worker%s, %s\n", o->root, plx_engine_workers(engine),
           plx_engine_workers(engine) == 1 ? "" : "s", plx_engine_describe(engine));
    if (plx_engine_workers(engine) > 1)
        printf("plx-serve: packets find their worker %s\n", caps->steering);
    fflush(stdout);
}

static void say_stats(void)
{
    struct plx_core_stats s;
    const char *name, *text;
    uint64_t count;

    plx_engine_stats(engine, UINT16_MAX, &s);
    printf(
        "requests %llu, connections %llu (failed handshakes %llu, resumed %llu), datagrams %llu in %llu out, packets lost %llu\n",
        (unsigned long long)s.requests, (unsigned long long)s.conns_opened,
        (unsigned long long)s.handshakes_failed, (unsigned long long)s.resumed,
        (unsigned long long)s.datagrams_rx, (unsigned long long)s.datagrams_tx,
        (unsigned long long)s.packets_lost);
    printf(
        "busy %.3f s, %.0f ns per request; closed when the grace was over: %llu connections; still open: %llu connections, %llu streams, %llu octets of buffers\n",
        (double)s.busy_ns / 1e9, s.requests > 0 ? (double)s.busy_ns / (double)s.requests : 0,
        (unsigned long long)s.conns_cut, (unsigned long long)s.conns_open, (unsigned long long)s.streams_open,
        (unsigned long long)s.buffer_bytes);
    printf(
        "own streams put away: %llu connections; hibernated: %llu in %llu octets; fell asleep %llu times, woke %llu, found no room %llu\n",
        (unsigned long long)s.conns_parked, (unsigned long long)s.conns_hibernated,
        (unsigned long long)s.hibernated_bytes, (unsigned long long)s.hibernations,
        (unsigned long long)s.wakes, (unsigned long long)s.hibernations_refused);
    printf(
        "port: %llu packets in, %llu out; dropped before they reached us %llu, refused when sent %llu; handed over between workers %llu\n",
        (unsigned long long)s.port.rx_packets, (unsigned long long)s.port.tx_packets,
        (unsigned long long)s.port.rx_dropped, (unsigned long long)s.port.tx_dropped,
        (unsigned long long)s.handed_over);
    for (unsigned i = 0; plx_engine_drops(engine, UINT16_MAX, i, &name, &text, &count); i++)
        if (count > 0)
            printf("dropped %s %llu (%s)\n", name, (unsigned long long)count, text);
}

int main(int argc, char **argv)
{
    static struct serve v;
    struct sigaction sa = {.sa_handler = on_signal}, ignore = {.sa_handler = SIG_IGN};
    char err[512] = "";
    int code;

    crash_explain("plx-serve");
    if (!serve_options(&v.opts, argc, argv, &code)) {
        serve_config_free(&v.opts);
        return code;
    }
    code = 1;
    if (sites_init(&v, err, sizeof err) && make_engine(&v, err, sizeof err)) {
        grace = PLX_MS(v.opts.grace_ms);
        sigaction(SIGTERM, &sa, NULL);
        sigaction(SIGINT, &sa, NULL);
        sigaction(SIGPIPE, &ignore, NULL);
        if (!v.opts.quiet)
            say_start(&v.opts);
        code = plx_engine_run(engine) == PLX_OK ? 0 : 1;
        if (v.opts.stats)
            say_stats();
    } else {
        fprintf(stderr, "plx-serve: %s\n", err);
    }
    plx_engine_free(engine);
    for (uint64_t i = 0; v.sites != NULL && i < v.opts.workers; i++)
        if (v.sites[i].newest.newer != NULL)
            site_fini(&v.sites[i]);
    free(v.sites);
    if (v.log != NULL && v.log != stdout)
        fclose(v.log);
    serve_config_free(&v.opts);
    return code;
}
