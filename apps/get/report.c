// report.c -- what a person sees: a progress line on a terminal, and with -v the facts of the connection.

#include <string.h>

#include "get.h"

enum { BAR_WIDTH = 30 };

static void human(uint64_t octets, char out[16])
{
    static const char unit[] = "BKMGTP";
    double v = (double)octets;
    unsigned u = 0;

    while (v >= 1000 && u < 5)
        v /= 1000, u++;
    snprintf(out, 16, u == 0 ? "%.0f %c" : "%.1f %cB", v, unit[u]);
}

void get_clear_line(struct get *g)
{
    if (g->bar_width > 0)
        fprintf(stderr, "\r%*s\r", g->bar_width, "");
    g->bar_width = 0;
}

static void show_bar(struct get *g, plx_time now)
{
    uint64_t received = 0, expected = 0;
    bool is_known = true;
    char have[16], per_second[16], bar[BAR_WIDTH + 1];

    for (uint32_t i = 0; i < g->opts.url_count; i++) {
        const struct get_transfer *t = &g->transfers[i];
        received += t->received;
        if (t->is_over)
            expected += t->received;
        else if (t->expected == PLX_H3_LENGTH_UNKNOWN)
            is_known = false;
        else
            expected += t->expected;
    }
    double seconds = (double)(now.ns - g->started.ns) / 1e9;
    human(received, have);
    human(seconds > 0 ? (uint64_t)((double)received / seconds) : 0, per_second);
    int filled = is_known && expected > 0 ? (int)(received * BAR_WIDTH / expected) : 0;
    memset(bar, '.', BAR_WIDTH);
    memset(bar, '#', filled > BAR_WIDTH ? BAR_WIDTH : (size_t)filled);
    bar[BAR_WIDTH] = '\0';
    get_clear_line(g);
    g->bar_width = fprintf(stderr, "[%s] %s  %s/s  %u of %u done  %.1f s", bar, have, per_second, g->done,
                           g->opts.url_count, seconds);
    fflush(stderr);
}

void get_tick(void *ctx, struct plx_core *core, plx_time now)
{
    struct get *g = ctx;

    (void)core;
    if (g->opts.max_time > 0 && !g->is_finishing &&
        (double)(now.ns - g->started.ns) > g->opts.max_time * 1e9) {
        get_fail(g, GET_TIMEOUT, "time is up after %.1f s: %u of %u done", g->opts.max_time, g->done,
                 g->opts.url_count);
        g->is_finishing = true;
        plx_engine_stop(g->engine, PLX_NS(0));
        return;
    }
    if (g->is_finishing)
        get_finish_if_done(g);
    else if (g->is_tty && !g->opts.silent)
        show_bar(g, now);
}

void get_say_connection(struct get *g, struct plx_h3_conn *conn)
{
    static const char *const early[] = {
        [PLX_EARLY_NONE] = "",
        [PLX_EARLY_REFUSED] = ", early data refused",
        [PLX_EARLY_ACCEPTED] = ", early data accepted",
    };
    struct plx_conn_info i;
    char peer[PLX_ADDR_STRLEN], local[PLX_ADDR_STRLEN];

    if (!g->opts.verbose)
        return;
    plx_conn_info(plx_h3_conn_transport(conn), &i);
    get_clear_line(g);
    fprintf(stderr, "* connected to %s from %s\n", plx_addr_str(&i.peer, peer),
            plx_addr_str(&i.local, local));
    fprintf(stderr, "* QUIC version %u, %s, %s, ALPN %s%s%s\n", i.version, i.cipher, i.group, i.alpn,
            i.was_resumed ? ", resumed" : "", early[i.early]);
    fprintf(stderr, "* handshake %.3f ms, %s\n", (double)i.handshake.ns / 1e6,
            plx_engine_describe(g->engine));
}

void get_say_end(struct get *g, struct plx_conn *conn)
{
    struct plx_conn_info i;

    if (!g->opts.verbose)
        return;
    plx_conn_info(conn, &i);
    get_clear_line(g);
    fprintf(
        stderr,
        "* RTT %.3f ms (least %.3f ms), %llu packets lost, %llu of %llu sent, %llu received, datagrams of %u octets\n",
        (double)i.rtt.ns / 1e6, (double)i.rtt_min.ns / 1e6, (unsigned long long)i.packets_lost,
        (unsigned long long)i.packets_retransmitted, (unsigned long long)i.packets_tx,
        (unsigned long long)i.packets_rx, i.mtu);
}

static void print_fields(FILE *f, const char *prefix, const struct plx_h3_head *head)
{
    fprintf(f, "%sHTTP/3 %u\n", prefix, head->status);
    for (uint16_t i = 0; i < head->field_count; i++) {
        const struct plx_field *field = &head->fields[i];
        fprintf(f, "%s%.*s: %.*s\n", prefix, (int)field->name_len, field->name, (int)field->value_len,
                field->value);
    }
}

void get_say_head(struct get *g, const struct get_transfer *t, const struct plx_h3_head *head)
{
    if (g->opts.verbose) {
        get_clear_line(g);
        fprintf(stderr, "* %s\n", t->text);
        print_fields(stderr, "< ", head);
    }
    if ((g->opts.include || g->opts.head) && t->out != NULL) {
        print_fields(t->out, "", head);
        fputc('\n', t->out);
    }
}
