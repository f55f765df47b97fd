// report.c -- see report.h.

#include "report.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

static const char *const error_name[] = {
#define X(name, text) #name,
#include "errors.def"
#undef X
};
static const char *const error_text[] = {
#define X(name, text) text,
#include "errors.def"
#undef X
};

const char *hist_name(enum hist_kind kind)
{
    static const char *const name[] = {"request", "ttfb", "handshake"};
    return name[kind];
}

bool report_init(struct report *r)
{
    memset(r, 0, sizeof *r);
    bool ok = true;
    for (unsigned i = 0; i < HIST_COUNT; i++)
        ok &= hist_init(&r->hist[i]);
    return ok;
}

void report_fini(struct report *r)
{
    for (unsigned i = 0; i < HIST_COUNT; i++)
        hist_fini(&r->hist[i]);
}

static uint64_t join_sum(uint64_t a, uint64_t b)
{
    return a + b;
}
static uint64_t join_max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}
static uint64_t join_min(uint64_t a, uint64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

void report_add(struct report *into, const struct report *from)
{
#define X(name, how, text) into->name = join_##how(into->name, from->name);
#include "report.def"
#undef X
    for (unsigned i = 0; i < ERROR_COUNT; i++)
        into->errors[i] += from->errors[i];
    for (unsigned i = 0; i < STATUS_COUNT; i++)
        into->status[i] += from->status[i];
    for (unsigned i = 0; i < HIST_COUNT; i++)
        hist_merge(&into->hist[i], &from->hist[i]);
    if (into->target[0] == '\0')
        memcpy(into->target, from->target, sizeof into->target);
    if (into->mode[0] == '\0')
        memcpy(into->mode, from->mode, sizeof into->mode);
    for (unsigned i = 0; i < from->note_count; i++)
        report_note(into, "%s", from->notes[i]);
}

void report_note(struct report *r, const char *format, ...)
{
    char text[NOTE_LEN];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (unsigned i = 0; i < r->note_count; i++)
        if (strcmp(r->notes[i], text) == 0)
            return;
    if (r->note_count < NOTES_MAX)
        memcpy(r->notes[r->note_count++], text, sizeof text);
}

uint64_t report_errors(const struct report *r)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < ERROR_COUNT; i++)
        n += r->errors[i];
    return n;
}

static double per(double value, uint64_t count)
{
    return count > 0 ? value / (double)count : 0;
}

double report_rate(const struct report *r)
{
    return per((double)r->answered_in_window * 1e9, r->window_ns);
}

void report_judge(struct report *r, bool is_open_loop)
{
    double busy = per((double)r->busy_ns, r->wall_ns);

    if (r->late > 0)
        report_note(
            r,
            "the generator fell behind: %llu requests (%.3f %%) left more than 1 ms late, the latest by %.1f ms, and not for want "
            "of streams",
            (unsigned long long)r->late, 100 * per((double)r->late, r->requests),
            (double)r->late_max_ns / 1e6);
    if (busy > 0.9)
        report_note(
            r,
            "the generator is the limit: its workers were busy %.0f %% of the time; give it more cores (-t)",
            100 * busy);
    if (is_open_loop && r->waited > 0)
        report_note(
            r,
            "%llu requests (%.3f %%) waited for a free stream; their latency counts from when they were due. More connections "
            "(-c) or streams (-m) make room, if the server allows",
            (unsigned long long)r->waited, 100 * per((double)r->waited, r->requests));
    if (r->requests == 0)
        report_note(r, "no request was due in the window");
}

// --- for people ---------------------------------------------------------------------------------------------

static const char *span_text(uint64_t ns, char out[16])
{
    double v = (double)ns;

    if (v < 1e6)
        snprintf(out, 16, "%.1f us", v / 1e3);
    else if (v < 1e9)
        snprintf(out, 16, "%.2f ms", v / 1e6);
    else
        snprintf(out, 16, "%.3f s", v / 1e9);
    return out;
}

static void print_latency(const struct report *r, FILE *out)
{
    static const double at[] = {50, 75, 90, 99, 99.9, 99.99, 99.999, 100};
    static const char *const label[] = {"request", "first byte", "handshake"};
    char text[16];

    fprintf(out, "\n%-11s %9s %10s %10s %10s %10s %10s %10s %10s %10s %10s\n", "latency", "count", "mean",
            "50%", "75%", "90%", "99%", "99.9%", "99.99%", "99.999%", "max");
    for (unsigned i = 0; i < HIST_COUNT; i++) {
        const struct hist *h = &r->hist[i];
        if (h->count == 0)
            continue;
        fprintf(out, "%-11s %9llu %10s", label[i], (unsigned long long)h->count,
                span_text((uint64_t)hist_mean(h), text));
        for (size_t j = 0; j < sizeof at / sizeof *at; j++)
            fprintf(out, " %10s", span_text(hist_at(h, at[j]), text));
        fputc('\n', out);
    }
    fputc('\n', out);
}

static void print_outcome(const struct report *r, FILE *out)
{
    fprintf(out, "status     ");
    bool any = false;
    for (unsigned i = 0; i < STATUS_COUNT; i++)
        if (r->status[i] > 0) {
            fprintf(out, "  %u: %llu", i, (unsigned long long)r->status[i]);
            any = true;
        }
    fprintf(out, "%s\n", any ? "" : "  none");
    fprintf(out, "errors     ");
    any = false;
    for (unsigned i = 0; i < ERROR_COUNT; i++)
        if (r->errors[i] > 0) {
            fprintf(out, "  %s: %llu (%s)", error_name[i], (unsigned long long)r->errors[i], error_text[i]);
            any = true;
        }
    fprintf(out, "%s\n", any ? "" : "  none");
    fprintf(
        out,
        "connections  %llu opened, %llu resumed, %llu failed, %llu lost, %.1f handshakes/s in the window\n",
        (unsigned long long)r->connections, (unsigned long long)r->resumed,
        (unsigned long long)r->connections_failed, (unsigned long long)r->connections_lost,
        per((double)r->handshakes_in_window * 1e9, r->window_ns));
    if (r->early_accepted + r->early_refused > 0)
        fprintf(out, "early data   %llu connections accepted, %llu refused\n",
                (unsigned long long)r->early_accepted, (unsigned long long)r->early_refused);
}

static void print_network(const struct report *r, FILE *out)
{
    uint64_t n = r->engine_requests;
    char a[16], b[16], c[16];

    fprintf(
        out,
        "per request  %.3f datagrams and %.0f octets out, %.3f datagrams and %.0f octets in (UDP payload)\n",
        per((double)r->datagrams_tx, n), per((double)r->bytes_tx, n), per((double)r->datagrams_rx, n),
        per((double)r->bytes_rx, n));
    fprintf(
        out,
        "network      %.1f Mbit/s of bodies; %llu packets lost of %llu sent, %llu frames sent again; RTT %s least, %s mean, %s most\n",
        per((double)r->body_bytes * 8e3, r->window_ns), (unsigned long long)r->packets_lost,
        (unsigned long long)r->packets_tx, (unsigned long long)r->frames_retransmitted,
        span_text(r->rtt_min_ns, a), span_text((uint64_t)per((double)r->rtt_sum_ns, r->rtt_count), b),
        span_text(r->rtt_max_ns, c));
}

void report_print(const struct report *r, FILE *out)
{
    double seconds = (double)r->window_ns / 1e9;

    fprintf(out, "%s\n%s\n\n", r->target, r->mode);
    fprintf(out, "requests     %llu in %.2f s: %.1f requests/s, %llu ok, %llu failed\n",
            (unsigned long long)r->requests, seconds, report_rate(r), (unsigned long long)r->ok,
            (unsigned long long)r->failed);
    fprintf(out, "whole run    %llu sent, %llu ok, %llu failed, %llu sent again after GOAWAY\n",
            (unsigned long long)r->all_sent, (unsigned long long)r->all_ok, (unsigned long long)r->all_failed,
            (unsigned long long)r->retried);
    print_latency(r, out);
    print_outcome(r, out);
    print_network(r, out);
    fprintf(
        out,
        "generator    busy %.0f ns per request, %.1f %% of %llu core%s; %.2f s of CPU, %.2f us per request\n",
        per((double)r->busy_ns, r->engine_requests), 100 * per((double)r->busy_ns, r->wall_ns),
        (unsigned long long)r->workers, r->workers == 1 ? "" : "s", (double)r->client_cpu_us / 1e6,
        per((double)r->client_cpu_us, r->engine_requests));
    if (r->server_cpu_us > 0)
        fprintf(out, "server       %.2f s of CPU, %.2f us per request\n", (double)r->server_cpu_us / 1e6,
                per((double)r->server_cpu_us, r->engine_requests));
    for (unsigned i = 0; i < r->note_count; i++)
        fprintf(out, "note: %s\n", r->notes[i]);
}

bool report_write_hgrm(const struct report *r, const char *prefix, char *err, size_t err_len)
{
    for (unsigned i = 0; i < HIST_COUNT; i++) {
        char path[4096];
        if ((size_t)snprintf(path, sizeof path, "%s.%s.hgrm", prefix, hist_name(i)) >= sizeof path) {
            snprintf(err, err_len, "--hgrm: the name is too long");
            return false;
        }
        FILE *f = fopen(path, "w");
        if (f != NULL)
            hist_write_hgrm(&r->hist[i], f);
        bool ok = f != NULL && !ferror(f);
        if (f != NULL)
            ok &= fclose(f) == 0;
        if (!ok) {
            snprintf(err, err_len, "%s: %s", path, strerror(errno));
            return false;
        }
    }
    return true;
}

bool report_is_within(const struct report *r, const struct limits *l, FILE *out)
{
    uint64_t p99 = hist_at(&r->hist[HIST_REQUEST], 99), errors = report_errors(r);
    double most = l->is_percent ? l->errors / 100 * (double)r->requests : l->errors;
    char a[16], b[16];
    bool ok = true;

    if (l->p99_ns > 0 && (p99 > l->p99_ns || r->hist[HIST_REQUEST].count == 0)) {
        fprintf(out, "plx-load: the 99th percentile, %s, is above --max-p99 %s\n", span_text(p99, a),
                span_text(l->p99_ns, b));
        ok = false;
    }
    if (l->has_errors && (double)errors > most) {
        fprintf(out, "plx-load: %llu errors are more than --max-errors %g%s\n", (unsigned long long)errors,
                l->errors, l->is_percent ? "%" : "");
        ok = false;
    }
    return ok;
}
