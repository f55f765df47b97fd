// counters.c -- a resource that tells what the server has done so far: for monitoring, and for load generators that want to know what
// their load costs the server (plx-load --server-stats).
//
// The text is the exposition format that Prometheus reads: one counter a line. One's own worker is exact, the others' figures may be a tenth
// of a second old.

#include <stdarg.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "serve.h"

enum { TEXT_MAX = 8192 };

struct text {
    struct plx_owner owner; // frees it when it has been sent
    char buf[TEXT_MAX];
    size_t len;
};

static void __attribute__((format(printf, 2, 3))) add(struct text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(t->buf + t->len, sizeof t->buf - t->len, format, args);
    va_end(args);
    if (n > 0 && (size_t)n < sizeof t->buf - t->len)
        t->len += (size_t)n; // what does not fit is left out as a whole line
}

static void counter(struct text *t, const char *name, const char *help, uint64_t value)
{
    add(t, "# HELP %s %s\n# TYPE %s counter\n%s %llu\n", name, help, name, name, (unsigned long long)value);
}

static void gauge(struct text *t, const char *name, const char *help, uint64_t value)
{
    add(t, "# HELP %s %s\n# TYPE %s gauge\n%s %llu\n", name, help, name, name, (unsigned long long)value);
}

static void seconds(struct text *t, const char *name, const char *help, double value)
{
    add(t, "# HELP %s %s\n# TYPE %s counter\n%s %.9f\n", name, help, name, name, value);
}

static double seconds_of(struct timeval v)
{
    return (double)v.tv_sec + (double)v.tv_usec / 1e6;
}

// Busy time with the present state of the worker that answers instead of what it published last.
static void add_own(const struct site *s, struct plx_core_stats *sum)
{
    struct plx_core_stats old, now;

    plx_engine_stats(s->engine, plx_core_index(s->core), &old);
    plx_core_stats(s->core, &now);
    sum->busy_ns += now.busy_ns - old.busy_ns;
    sum->requests += now.requests - old.requests;
    sum->datagrams_rx += now.datagrams_rx - old.datagrams_rx;
    sum->datagrams_tx += now.datagrams_tx - old.datagrams_tx;
}

static void write_all(const struct site *s, struct text *t)
{
    struct plx_core_stats c;
    struct rusage u;

    plx_engine_stats(s->engine, UINT16_MAX, &c);
    add_own(s, &c);
    getrusage(RUSAGE_SELF, &u);
    bool never_sleeps = s->opts->busy_poll || !plx_engine_caps(s->engine)->can_wait;
    double cpu = seconds_of(u.ru_utime) + seconds_of(u.ru_stime), busy = (double)c.busy_ns / 1e9;

    seconds(
        t, "plx_cpu_seconds_total",
        "Time that was spent on work: of workers that never sleep their busy time, else the process's CPU time.",
        never_sleeps ? busy : cpu);
    seconds(t, "plx_busy_seconds_total", "Breaths of the workers that did something.", busy);
    seconds(t, "process_cpu_seconds_total", "User and system time of the process.", cpu);
    counter(t, "plx_requests_total", "HTTP/3 requests.", c.requests);
    counter(t, "plx_connections_opened_total", "Connections, failed handshakes included.", c.conns_opened);
    counter(t, "plx_handshakes_total", "Handshakes that completed.", c.handshakes_ok);
    counter(t, "plx_handshakes_resumed_total", "Of them, resumed.", c.resumed);
    counter(t, "plx_early_data_accepted_total", "Handshakes with early data (0-RTT) that was accepted.",
            c.early_accepted);
    counter(t, "plx_early_data_refused_total", "Handshakes with early data that was refused.",
            c.early_refused);
    counter(t, "plx_handshakes_failed_total", "Handshakes that failed.", c.handshakes_failed);
    counter(t, "plx_datagrams_received_total", "UDP datagrams.", c.datagrams_rx);
    counter(t, "plx_datagrams_sent_total", "UDP datagrams.", c.datagrams_tx);
    counter(t, "plx_octets_received_total", "UDP payload.", c.bytes_rx);
    counter(t, "plx_octets_sent_total", "UDP payload.", c.bytes_tx);
    counter(t, "plx_packets_lost_total", "QUIC packets that were declared lost.", c.packets_lost);
    counter(t, "plx_handed_over_total", "Datagrams that landed on the wrong worker.", c.handed_over);
    gauge(t, "plx_connections", "Connections that are open.", c.conns_open);
    gauge(t, "plx_connections_parked", "Of them, those whose own streams are put away since they rested.",
          c.conns_parked);
    gauge(t, "plx_connections_hibernated", "Of them, those without objects.", c.conns_hibernated);
    add(t,
        "# HELP plx_dropped_total Packets that were dropped, by reason.\n# TYPE plx_dropped_total counter\n");
    const char *name, *help;
    uint64_t count;
    for (unsigned i = 0; plx_engine_drops(s->engine, UINT16_MAX, i, &name, &help, &count); i++)
        if (count > 0)
            add(t, "plx_dropped_total{reason=\"%s\"} %llu\n", name, (unsigned long long)count);
}

static void text_release(struct plx_owner *owner, const void *data, size_t len)
{
    (void)data, (void)len;
    free((struct text *)owner); // its first member
}

enum plx_err counters_send(const struct site *s, struct plx_h3_req *req, bool is_head, size_t *octets)
{
    char length[24];
    struct text *t = calloc(1, sizeof *t);

    *octets = 0;
    if (t == NULL)
        return PLX_ERR_NOMEM;
    t->owner.release = text_release;
    write_all(s, t);
    int n = snprintf(length, sizeof length, "%zu", t->len);
    const struct plx_field fields[] = {
        {"content-type", "text/plain; version=0.0.4", 12, 25, false},
        {"content-length", length, 14, (uint32_t)n, false},
        {"cache-control", "no-store", 13, 8, false},
    };
    *octets = is_head ? 0 : t->len;
    struct plx_buf body = {t->buf, t->len, &t->owner};
    if (is_head) {
        free(t);
        body = (struct plx_buf){NULL, 0, NULL};
    }
    enum plx_err err = plx_h3_respond(req, 200, fields, sizeof fields / sizeof *fields, body, true);
    if (err != PLX_OK && err != PLX_ERR_CLOSED && body.owner != NULL)
        free(t); // it was not taken
    return err;
}
