// standin.c -- see standin.h.

#include "standin.h"

#include <stdlib.h>
#include <string.h>

static struct plx_h3_handler handler; // one stand-in per process and engine

static struct standin *of_req(struct plx_h3_req *req)
{
    return plx_h3_req_ctx(req);
}

static plx_time later(plx_time a, plx_time b)
{
    return a.ns > b.ns ? a : b;
}

static void arm(struct standin *s, struct plx_core *core)
{
    plx_time at = s->stall_at;

    for (unsigned i = 0; i < s->delay_count; i++) {
        const struct standin_queue *q = &s->queue[i];
        if (q->first < q->next) {
            plx_time due = later(q->v[q->first % STANDIN_WAITING_MAX].due, s->frozen_until);
            at = due.ns < at.ns ? due : at;
        }
    }
    plx_core_alarm(core, at);
}

static void on_request(struct plx_h3_req *req, const struct plx_h3_head *head, bool has_body)
{
    struct standin *s = of_req(req);
    struct plx_core *core = plx_conn_core(plx_h3_conn_transport(plx_h3_req_conn(req)));
    plx_time now = later(plx_core_now(core), s->frozen_until);
    unsigned kind = (unsigned)(s->requests++ % s->delay_count);
    struct standin_queue *q = &s->queue[kind];

    (void)head, (void)has_body;
    if (s->requests == 1 && s->stall.ns > 0)
        s->stall_at = (plx_time){now.ns + s->stall_after.ns};
    // A client's requests have the stream IDs 0, 4, 8, ... (RFC 9000 section 2.1).
    if (s->goaway_after > 0 && plx_h3_req_id(req) / 4 + 1 == s->goaway_after)
        plx_h3_conn_shutdown(plx_h3_req_conn(req));
    if (q->next - q->first == STANDIN_WAITING_MAX) {
        plx_h3_cancel(req, PLX_H3_EXCESSIVE_LOAD);
        return;
    }
    struct standin_wait *w = &q->v[q->next++ % STANDIN_WAITING_MAX];
    *w = (struct standin_wait){req, plx_core_now(core), {now.ns + s->delays[kind].ns}, s->requests - 1};
    plx_h3_req_set_user(req, w);
    arm(s, core);
}

static void on_closed(struct plx_h3_req *req, uint64_t code, bool is_peer)
{
    struct standin_wait *w = plx_h3_req_user(req);

    (void)code, (void)is_peer;
    if (w != NULL)
        w->req = NULL;
}

static void answer(struct standin *s, struct standin_wait *w, plx_time now)
{
    static const struct plx_field length = {"content-length", "2", 14, 1, false};

    if (w->req == NULL)
        return;
    plx_h3_req_set_user(w->req, NULL);
    if (plx_h3_respond(w->req, 200, &length, 1, (struct plx_buf){"ok", 2, NULL}, true) != PLX_OK)
        plx_h3_cancel(w->req, PLX_H3_INTERNAL_ERROR);
    if (s->record_count == s->record_cap) {
        s->record_cap = s->record_cap > 0 ? 2 * s->record_cap : 4096;
        s->records = realloc(s->records, s->record_cap * sizeof *s->records);
        if (s->records == NULL)
            abort();
    }
    s->records[s->record_count++] = (struct standin_record){w->number, w->came.ns, now.ns};
}

static void on_alarm(void *ctx, struct plx_core *core, plx_time now)
{
    struct standin *s = ctx;

    if (now.ns >= s->stall_at.ns) {
        s->stall_at = PLX_NEVER;
        if (s->block != NULL)
            s->block(s->stall);
        else
            s->frozen_until = (plx_time){now.ns + s->stall.ns};
    }
    for (unsigned i = 0; i < s->delay_count && now.ns >= s->frozen_until.ns; i++) {
        struct standin_queue *q = &s->queue[i];
        while (q->first < q->next && q->v[q->first % STANDIN_WAITING_MAX].due.ns <= now.ns)
            answer(s, &q->v[q->first++ % STANDIN_WAITING_MAX], now);
    }
    arm(s, core);
}

void standin_init(struct standin *s, struct plx_engine_cfg *cfg)
{
    s->stall_at = PLX_NEVER;
    handler = (struct plx_h3_handler){.ctx = s, .on_request = on_request, .on_closed = on_closed};
    cfg->h3 = &handler;
    cfg->ctx = s;
    cfg->on_alarm = on_alarm;
    cfg->streams_bidi = 4096; // whoever keeps a schedule must not wait for a stream
}

void standin_fini(struct standin *s)
{
    free(s->records);
}
