// progress.c -- once a second on a terminal: how it goes.

#include "load.h"

void load_show(struct load *l, plx_time now)
{
    uint64_t answers = 0, errors = 0, in_flight = 0, open = 0;
    const char *phase = now.ns < l->begin.ns ? "warm-up" : now.ns < l->end.ns ? "running" : "draining";

    if (!l->is_tty || l->opts.quiet || now.ns < l->shown_at.ns + PLX_SEC(1).ns)
        return;
    for (uint16_t i = 0; i < l->worker_count; i++) {
        const struct load_worker *w = &l->workers[i];
        answers += atomic_load_explicit(&w->shown_answers, memory_order_relaxed);
        errors += atomic_load_explicit(&w->shown_errors, memory_order_relaxed);
        in_flight += atomic_load_explicit(&w->shown_in_flight, memory_order_relaxed);
        open += atomic_load_explicit(&w->shown_open, memory_order_relaxed);
    }
    double since = l->shown_at.ns > 0 ? (double)(now.ns - l->shown_at.ns) / 1e9 : 1;
    fprintf(
        stderr,
        "\r%7.1f s  %-8s %10.0f requests/s  %llu answered  %llu in flight  %llu connections  %llu errors\x1b[K",
        (double)(now.ns - l->start.ns) / 1e9, phase, (double)(answers - l->shown_before) / since,
        (unsigned long long)answers, (unsigned long long)in_flight, (unsigned long long)open,
        (unsigned long long)errors);
    fflush(stderr);
    l->shown_at = now;
    l->shown_before = answers;
}

void load_show_end(struct load *l)
{
    if (l->is_tty && !l->opts.quiet && l->shown_at.ns > 0)
        fprintf(stderr, "\r\x1b[K");
}
