// main.c -- plx-get: fetches URLs over HTTP/3, with curl's habits.

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "common/crash.h"
#include "get.h"

static struct plx_engine *engine;

static void on_signal(int sig)
{
    (void)sig;
    plx_engine_stop(engine, PLX_NS(0));
}

static bool make_engine(struct get *g)
{
    static struct plx_h3_handler handler; // outlives the engine
    struct plx_engine_cfg cfg;
    char err[512];

    if (g->opts.cacert != NULL && access(g->opts.cacert, R_OK) != 0) {
        get_fail(g, GET_READ_ERROR, "--cacert %s: %s", g->opts.cacert, strerror(errno));
        return false;
    }
    plx_engine_cfg_init(&cfg);
    handler = get_handler;
    handler.ctx = g;
    cfg.h3 = &handler;
    cfg.ctx = g;
    cfg.on_core_start = get_start;
    cfg.on_tick = get_tick;
    cfg.ca_file = g->opts.cacert;
    cfg.insecure = g->opts.insecure;
    cfg.ciphersuites = g->opts.ciphers;
    cfg.groups = g->opts.groups;
    cfg.keylog_file = g->opts.keylog;
    cfg.handshake_timeout = PLX_NS(g->opts.connect_timeout * 1e9);
    cfg.conns_max = cfg.handshakes_max = g->origin_count + 1;
    cfg.streams_max = g->origin_count * (g->opts.parallel + 64);
    cfg.stream_window = 1 << 20; // a client that fetches files has room for them
    cfg.conn_window = 4 << 20;
    if (!port_opts_apply(&g->opts.port, &cfg, err, sizeof err) ||
        (g->engine = plx_engine_new(&cfg, err, sizeof err)) == NULL) {
        get_fail(g, GET_NO_CONNECTION, "%s", err);
        return false;
    }
    return true;
}

// How the whole of it went, on a terminal or with -v.
static void summary(struct get *g)
{
    uint64_t received = 0;
    uint32_t complete = 0;
    double seconds = (double)(g->ended.ns - g->started.ns) / 1e9;

    get_clear_line(g);
    if (g->opts.silent || (!g->is_tty && !g->opts.verbose) || g->ended.ns == 0)
        return;
    for (uint32_t i = 0; i < g->opts.url_count; i++) {
        received += g->transfers[i].received;
        complete += g->transfers[i].is_complete;
    }
    fprintf(stderr, "%s%u of %u fetched, %llu octets in %.3f s, %.1f Mbit/s\n", g->opts.verbose ? "* " : "",
            complete, g->opts.url_count, (unsigned long long)received, seconds,
            seconds > 0 ? (double)received * 8 / seconds / 1e6 : 0);
}

int main(int argc, char **argv)
{
    static struct get g;
    struct sigaction stop = {.sa_handler = on_signal}, ignore = {.sa_handler = SIG_IGN};
    int code;

    crash_explain("plx-get");
    if (!get_options(&g.opts, argc, argv, &code)) {
        get_options_free(&g.opts);
        return code;
    }
    g.is_tty = isatty(STDERR_FILENO);
    if (get_prepare(&g) && make_engine(&g)) {
        engine = g.engine;
        sigaction(SIGINT, &stop, NULL);
        sigaction(SIGTERM, &stop, NULL);
        sigaction(SIGPIPE, &ignore, NULL);
        if (plx_engine_run(g.engine) != PLX_OK)
            get_fail(&g, GET_NO_CONNECTION, "the worker could not be started");
        if (g.done < g.opts.url_count && g.exit == GET_OK)
            get_fail(&g, GET_HTTP3, "stopped: %u of %u done", g.done, g.opts.url_count);
        plx_engine_free(g.engine);
        summary(&g);
    }
    get_cleanup(&g);
    return g.exit;
}
