// server_stats.c -- what the load costs the server, by its own account: a resource of plx-serve (--counters) is read when the window begins and
// when it ends, over a connection of the load, and the time spent in between is the answer (--server-stats).
//
// This works where --server-pid does not: with the server on another machine, and with workers that never sleep, whose CPU time says
// nothing. The two requests are not part of what is measured.

#include <stdlib.h>
#include <string.h>

#include "load.h"

static const plx_dur patience = PLX_SEC(1); // at the end, for a stream
static const char metric[] = "plx_cpu_seconds_total ";

static bool ask_on(struct load_conn *c, const struct load *l, struct load_slot *slot)
{
    const char *path = l->opts.server_stats, *authority = l->items->authority;
    struct plx_h3_head head = {
        .method = {(const uint8_t *)"GET", 3},
        .scheme = {(const uint8_t *)"https", 5},
        .authority = {(const uint8_t *)authority, strlen(authority)},
        .path = {(const uint8_t *)path, strlen(path)},
        .content_length = PLX_H3_LENGTH_UNKNOWN,
    };

    *slot = (struct load_slot){.conn = c};
    return plx_h3_request(c->h3, &head, false, slot, &slot->req) == PLX_OK;
}

static void give_up(struct load_stats *t)
{
    t->has_failed = true;
    t->asked = t->wanted;
}

// Without a warm-up the window begins before there is a connection; and one whose streams are all in use has none for this. So it is tried
// on all of them, and again when an answer or a connection has come: at the end not for ever.
void load_stats_ask(struct load_worker *w)
{
    struct load_stats *t = &w->stats;
    bool is_late = t->wanted == 2 && plx_core_now(w->core).ns > t->until.ns, is_any = false;

    for (uint32_t i = 0; i < w->conn_count && load_stats_is_owed(w) && !t->is_under_way; i++) {
        struct load_conn *c = &w->conns[i];
        if (c->state != CONN_OPEN || c->h3 == NULL)
            continue;
        is_any = true;
        t->len = 0;
        t->is_under_way = ask_on(c, w->load, &t->slot);
        t->asked += t->is_under_way;
    }
    if (load_stats_is_owed(w) && !t->is_under_way && t->wanted == 2 && (is_late || !is_any))
        give_up(t);
}

void load_stats_want(struct load_worker *w)
{
    struct load_stats *t = &w->stats;

    if (w->load->opts.server_stats == NULL)
        return;
    t->has_failed |= load_stats_is_owed(w); // the window is over before its beginning could be asked for
    t->wanted++;
    t->until = (plx_time){plx_core_now(w->core).ns + patience.ns};
    if (t->has_failed)
        give_up(t); // the second alone says nothing
    else
        load_stats_ask(w);
}

bool load_stats_is(const struct load_slot *s)
{
    return s->item == NULL;
}

void load_stats_body(struct load_worker *w, const uint8_t *data, size_t len)
{
    struct load_stats *t = &w->stats;
    size_t room = sizeof t->text - 1 - t->len;

    memcpy(t->text + t->len, data, len < room ? len : room);
    t->len += len < room ? len : room;
}

static bool read_metric(struct load_stats *t, double *out)
{
    t->text[t->len] = '\0';
    for (char *line = t->text, *next; line != NULL; line = next) {
        next = strchr(line, '\n');
        next = next != NULL ? next + 1 : NULL;
        if (strncmp(line, metric, sizeof metric - 1) != 0)
            continue;
        char *end;
        *out = strtod(line + sizeof metric - 1, &end);
        return end > line + sizeof metric - 1;
    }
    return false;
}

void load_stats_end(struct load_worker *w)
{
    struct load_stats *t = &w->stats;
    double now;

    t->is_under_way = false;
    if (t->slot.status != 200 || !read_metric(t, &now))
        t->has_failed = true;
    else if (t->asked == 1)
        t->first = now;
    else
        w->report.server_cpu_us = (uint64_t)((now - t->first) * 1e6);
    if (load_stats_is_owed(w))
        load_stats_ask(w);
    load_finish_if_done(w);
}

void load_stats_failed(struct load_worker *w)
{
    w->stats.is_under_way = false;
    w->stats.has_failed = true;
    load_finish_if_done(w);
}

void load_stats_judge(struct load_worker *w)
{
    const struct load_stats *t = &w->stats;

    if (w->load->opts.server_stats == NULL || (t->asked == 2 && !t->has_failed && !t->is_under_way))
        return;
    w->report.server_cpu_us = 0;
    report_note(
        &w->report,
        "the server's statistics could not be read at %s (plx-serve --counters %s tells them there); its CPU time is not known",
        w->load->opts.server_stats, w->load->opts.server_stats);
}
