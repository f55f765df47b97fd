// array.c -- see array.h.

#include "array.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/squeeze.h"
#include "h3/hibernate.h"

uint64_t world_random(struct world *w)
{
    return xorshift(&w->seed);
}

static unsigned side_of(const struct side *s)
{
    return (unsigned)(s - s->world->side);
}

static void dir_append(struct dir *d, const void *p, size_t len)
{
    if (d->len + len > d->cap) {
        d->cap = (d->len + len) * 2;
        d->p = realloc(d->p, d->cap);
        plx_check(d->p != NULL);
    }
    if (len > 0)
        memcpy(d->p + d->len, p, len);
    d->len += len;
}

static void release_until(struct dir *d, uint64_t end)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < d->held_count; i++) {
        if (d->held[i].end <= end)
            d->held[i].owner->release(d->held[i].owner, d->held[i].data, d->held[i].len);
        else
            d->held[kept++] = d->held[i];
    }
    d->held_count = kept;
    d->acked = end;
}

// --- what HTTP/3 asks of a transport -----------------------------------------------------------------------

static struct wstream *stream_new(struct world *w, unsigned opener, bool is_uni)
{
    struct side *s = &w->side[opener];
    for (unsigned i = 0; i < WORLD_STREAMS; i++) {
        if (w->stream[i].is_used)
            continue;
        uint64_t *next = is_uni ? &s->next_uni : &s->next_bidi;
        struct dir keep[2] = {w->stream[i].dir[0], w->stream[i].dir[1]};
        w->stream[i] = (struct wstream){.is_used = true, .is_uni = is_uni, .opener = (uint8_t)opener};
        w->stream[i].id = 4 * (*next)++ + (is_uni ? 2 : 0) + opener;
        for (unsigned k = 0; k < 2; k++) {
            w->stream[i].dir[k].p = keep[k].p;
            w->stream[i].dir[k].cap = keep[k].cap;
        }
        return &w->stream[i];
    }
    return NULL;
}

static void *io_open(struct side *s, struct plx_h3_stream *hs, bool is_uni, uint64_t *id)
{
    if (!is_uni && s->bidi_max > 0 && s->next_bidi >= s->bidi_max)
        return NULL;
    struct wstream *ws = stream_new(s->world, side_of(s), is_uni);
    if (ws == NULL)
        return NULL;
    ws->hs[side_of(s)] = hs;
    *id = ws->id;
    return ws;
}

static void *io_open_uni(void *arg, struct plx_h3_stream *hs, uint64_t *id)
{
    return io_open(arg, hs, true, id);
}
static void *io_open_bidi(void *arg, struct plx_h3_stream *hs, uint64_t *id)
{
    return io_open(arg, hs, false, id);
}

static enum plx_err may_send(struct side *s, const struct dir *d, size_t len)
{
    if (d->is_reset || d->is_refused)
        return PLX_ERR_CLOSED;
    plx_check(!d->has_fin);
    // What is larger than the room goes when nothing else is there, or it would never go.
    return s->room > 0 && d->len > d->taken && d->len - d->taken + len > s->room ? PLX_ERR_AGAIN : PLX_OK;
}

static enum plx_err io_send(void *arg, void *ts, const struct plx_buf *bufs, uint16_t count, bool fin)
{
    struct side *s = arg;
    struct dir *d = &((struct wstream *)ts)->dir[side_of(s)];
    size_t len = 0;

    for (unsigned i = 0; i < count; i++)
        len += bufs[i].len;
    enum plx_err err = may_send(s, d, len);
    if (err != PLX_OK)
        return err;
    for (unsigned i = 0; i < count; i++) {
        dir_append(d, bufs[i].data, bufs[i].len);
        if (bufs[i].owner == NULL)
            continue;
        plx_check(d->held_count < sizeof d->held / sizeof *d->held);
        d->held[d->held_count].owner = bufs[i].owner;
        d->held[d->held_count].data = bufs[i].data;
        d->held[d->held_count].len = bufs[i].len;
        d->held[d->held_count++].end = d->len;
    }
    d->has_fin = fin;
    return PLX_OK;
}

static enum plx_err io_send_copy(void *arg, void *ts, const void *data, size_t len, bool fin)
{
    struct side *s = arg;
    struct dir *d = &((struct wstream *)ts)->dir[side_of(s)];
    enum plx_err err = may_send(s, d, len);

    if (err != PLX_OK)
        return err;
    if (s->is_short_of_copies)
        return PLX_ERR_NOMEM;
    dir_append(d, data, len);
    d->has_fin = fin;
    return PLX_OK;
}

// Every other time it is not that simple.
static void *io_ask(void *arg, struct plx_h3_stream *hs, const struct plx_buf *buf, uint64_t *id)
{
    struct side *s = arg;

    if (++s->asked % 2 == 0 || (s->room > 0 && buf->len > s->room))
        return NULL;
    void *ts = io_open(s, hs, false, id);
    if (ts != NULL)
        plx_check(io_send(s, ts, buf, 1, true) == PLX_OK);
    return ts;
}

static void io_reset(void *arg, void *ts, uint64_t code)
{
    struct side *s = arg;
    struct dir *d = &((struct wstream *)ts)->dir[side_of(s)];

    if (d->is_reset || (d->has_fin && d->is_fin_seen))
        return;
    d->is_reset = true;
    d->reset_code = code;
    release_until(d, UINT64_MAX);
}

static void io_stop_sending(void *arg, void *ts, uint64_t code)
{
    struct side *s = arg;
    struct dir *d = &((struct wstream *)ts)->dir[!side_of(s)];

    if (d->is_refused)
        return;
    d->is_refused = true;
    d->refused_code = code;
}

static void io_resume(void *arg, void *ts)
{
    struct side *s = arg;
    ((struct wstream *)ts)->dir[!side_of(s)].is_stalled = false;
}

static uint64_t io_unsent(void *arg, void *ts)
{
    struct side *s = arg;
    const struct dir *d = &((struct wstream *)ts)->dir[side_of(s)];
    return d->len - d->taken;
}

static void io_close(void *arg, uint64_t code, const char *why)
{
    struct side *s = arg;
    plx_check(!s->is_closed);
    s->is_closed = true;
    s->close_code = code;
    snprintf(s->close_why, sizeof s->close_why, "%s", why);
}

static void io_notify(void *arg, void *ts, uint64_t below)
{
    (void)arg, (void)ts, (void)below; // whoever asks hears of every acknowledgement here
}

// --- streams that are put away -----------------------------------------------------------------------------

static uint64_t *nothing(void)
{
    uint64_t *v = aligned_alloc(64, plx_h3_park_size());

    plx_check(v != NULL);
    return memset(v, 0, plx_h3_park_size());
}

bool world_park(struct world *w, unsigned k)
{
    struct side *s = &w->side[k];

    if (s->conn == NULL || s->parked != NULL || !plx_h3_can_sleep(s->conn))
        return false;
    uint64_t *image = nothing(), *pattern = nothing();
    plx_h3_park_save(s->conn, image);
    memset(s->name, 0, sizeof s->name);
    for (unsigned i = 0; i < WORLD_STREAMS; i++)
        if (w->stream[i].is_used && w->stream[i].is_uni) {
            s->name[i] = plx_h3_name(s->conn, w->stream[i].hs[k]);
            w->stream[i].hs[k] = NULL;
        }
    s->parked = malloc(PLX_SQUEEZE_MAX(plx_h3_park_size() / 8));
    plx_check(s->parked != NULL);
    (void)plx_squeeze(image, pattern, plx_h3_park_size() / 8, s->parked);
    plx_h3_park(s->conn);
    free(image);
    free(pattern);
    return true;
}

static void unpark(struct side *s)
{
    struct world *w = s->world;
    unsigned k = side_of(s);
    struct plx_unsqueeze text;

    if (s->parked == NULL)
        return;
    uint64_t *pattern = nothing();
    plx_unsqueeze_begin(&text, pattern, s->parked);
    plx_check(plx_h3_unpark(s->conn, &text));
    for (unsigned i = 0; i < WORLD_STREAMS; i++)
        if (w->stream[i].is_used && w->stream[i].is_uni)
            w->stream[i].hs[k] = plx_h3_bind(s->conn, s->name[i], &w->stream[i]);
    free(pattern);
    free(s->parked);
    s->parked = NULL;
}

static void io_wake(void *arg)
{
    struct side *s = arg;

    s->wakes++;
    unpark(s);
}

static const struct plx_h3_io io = {
    .open_uni = io_open_uni,
    .open_bidi = io_open_bidi,
    .ask = io_ask,
    .send = io_send,
    .send_copy = io_send_copy,
    .reset = io_reset,
    .stop_sending = io_stop_sending,
    .resume = io_resume,
    .unsent = io_unsent,
    .notify = io_notify,
    .close = io_close,
    .wake = io_wake,
};

// --- the world ---------------------------------------------------------------------------------------------

static void *memos[2];

static void side_init(struct world *w, unsigned k, const struct plx_h3_cfg *cfg,
                      const struct plx_h3_handler *handler)
{
    struct side *s = &w->side[k];

    *s = (struct side){.world = w};
    if (handler == NULL)
        return;
    plx_check(plx_pool_init(&s->conns, "conns", plx_h3_conn_size(), 1, NULL));
    plx_check(plx_pool_init(&s->streams, "streams", plx_h3_stream_size(), WORLD_STREAMS, NULL));
    plx_check(plx_slab_init(&s->slab, 4 << 20, PLX_NODE_ANY));
    if (cfg != NULL)
        s->env.cfg = *cfg;
    s->env.conns = &s->conns;
    s->env.streams = &s->streams;
    s->env.slab = &s->slab;
    s->env.scratch = malloc(plx_h3_scratch_size(&s->env.cfg));
    s->env.grease_seed = w->seed;
    if (memos[k] == NULL) // kept from world to world: a fuzzer makes many
        memos[k] = aligned_alloc(64, (plx_memo_size() + 63) & ~(size_t)63);
    plx_check(memos[k] != NULL);
    memset(memos[k], 0, plx_memo_size());
    s->env.memo = plx_memo_init(memos[k], w->seed);
    s->conn = plx_h3_conn_new(&s->env, k == SERVER, &io, s, handler, NULL);
    plx_check(s->conn != NULL);
    plx_h3_conn_start(s->conn);
}

void world_init(struct world *w, uint64_t seed, size_t piece_max, const struct plx_h3_cfg *cfg,
                const struct plx_h3_handler *client, const struct plx_h3_handler *server)
{
    memset(w, 0, sizeof *w);
    w->seed = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
    w->piece_max = piece_max;
    side_init(w, CLIENT, cfg, client);
    side_init(w, SERVER, cfg, server);
}

void world_fini(struct world *w, uint64_t code)
{
    for (unsigned k = 0; k < 2; k++) {
        struct side *s = &w->side[k];
        if (s->conn == NULL)
            continue;
        plx_h3_conn_free(s->conn, s->is_closed ? s->close_code : code, !s->is_closed);
        free(s->parked);
        plx_check(plx_pool_in_use(&s->conns) == 0);
        plx_check(plx_pool_in_use(&s->streams) == 0);
        plx_check(plx_slab_bytes_in_use(&s->slab) == 0);
    }
    for (unsigned i = 0; i < WORLD_STREAMS; i++) {
        for (unsigned k = 0; k < 2; k++) {
            release_until(&w->stream[i].dir[k], UINT64_MAX);
            free(w->stream[i].dir[k].p);
        }
    }
    for (unsigned k = 0; k < 2; k++) {
        struct side *s = &w->side[k];
        if (s->conn == NULL)
            continue;
        free(s->env.scratch);
        plx_pool_fini(&s->conns);
        plx_pool_fini(&s->streams);
        plx_slab_fini(&s->slab);
    }
}

// The receiver's object for a stream, opening it on the way. NULL: refused, or not real.
static struct plx_h3_stream *receiver(struct world *w, struct wstream *ws, unsigned to)
{
    struct side *s = &w->side[to];

    if (ws->is_uni && s->conn != NULL)
        unpark(s);
    if (ws->hs[to] == NULL && s->conn != NULL && ws->opener != to && !ws->is_over[to]) {
        ws->hs[to] = plx_h3_on_open(s->conn, ws, ws->id, ws->is_uni);
        if (ws->hs[to] == NULL) {
            ws->is_over[to] = true;
            io_stop_sending(s, ws, PLX_H3_REQUEST_REJECTED);
            if (!ws->is_uni)
                io_reset(s, ws, PLX_H3_REQUEST_REJECTED);
        }
    }
    return ws->hs[to];
}

static size_t piece_len(struct world *w, size_t left)
{
    size_t max = w->piece_max == 0 || w->piece_max > left ? left : w->piece_max;
    return w->piece_max <= 1 || max <= 1 ? max : 1 + world_random(w) % max;
}

// Delivers something of one direction; false when there is nothing to deliver.
static bool dir_step(struct world *w, struct wstream *ws, unsigned from)
{
    struct dir *d = &ws->dir[from];
    struct side *to = &w->side[!from], *back = &w->side[from];
    bool has_more = d->taken < d->len || (d->has_fin && !d->is_fin_seen);

    if (ws->is_uni && ws->opener != from)
        return false;
    if (d->is_refused && !d->is_refused_seen) {
        d->is_refused_seen = true;
        if (ws->is_uni && back->conn != NULL)
            unpark(back);
        if (back->conn != NULL && ws->hs[from] != NULL) {
            plx_h3_on_stop_sending(back->conn, ws->hs[from], d->refused_code);
            if (!d->is_reset) // the transport answers by itself
                io_reset(back, ws, d->refused_code);
        }
        return true;
    }
    if (to->conn == NULL || d->is_reset_seen)
        return false;
    if (d->is_reset) {
        d->is_reset_seen = true;
        struct plx_h3_stream *hs = receiver(w, ws, !from);
        if (hs != NULL)
            plx_h3_on_reset(to->conn, hs, d->reset_code);
        return true;
    }
    if (!has_more || d->is_stalled)
        return false;
    struct plx_h3_stream *hs = receiver(w, ws, !from);
    size_t left = d->len - d->taken, len = piece_len(w, left), used = len;
    bool fin = d->has_fin && len == left;
    uint8_t *exact = malloc(len > 0 ? len : 1); // so that the sanitizer sees what is read beyond it
    if (len > 0)
        memcpy(exact, d->p + d->taken, len);
    d->is_stalled = false;
    if (hs != NULL && !d->is_refused) {
        d->is_stalled = true; // unless it is taken, or resume is called from inside
        bool is_answer = side_of(to) == 0 && !ws->is_uni && fin && len > 0 && !d->was_offered;
        d->was_offered = true;
        bool is_gone = false;
        used = is_answer ? plx_h3_on_answer(to->conn, hs, exact, len, &is_gone)
                         : plx_h3_on_data(to->conn, hs, exact, len, fin);
        plx_check(!is_gone || used == len);
        if (is_gone)
            ws->hs[!from] = NULL;
        plx_check(used <= len);
        if (used == len)
            d->is_stalled = false;
    }
    free(exact);
    d->taken += used;
    d->is_fin_seen = fin && used == len;
    release_until(d, d->taken);
    if (back->conn != NULL && ws->hs[from] != NULL && used > 0 && !d->is_fin_seen)
        plx_h3_on_writable(back->conn, ws->hs[from]);
    return used > 0 || d->is_fin_seen;
}

// Tells both sides of a stream that is over in both directions.
static void stream_step(struct world *w, struct wstream *ws)
{
    for (unsigned k = 0; k < 2; k++) {
        const struct dir *out = &ws->dir[k], *in = &ws->dir[!k];
        bool sends = !ws->is_uni || ws->opener == k, receives = !ws->is_uni || ws->opener != k;
        bool is_sent = !sends || out->is_fin_seen || out->is_reset;
        bool is_received =
            !receives || in->is_fin_seen || in->is_reset_seen || (in->is_refused && in->is_reset);
        if (!ws->is_used || ws->is_over[k] || !is_sent || !is_received || w->side[k].conn == NULL)
            continue;
        ws->is_over[k] = true;
        if (ws->hs[k] != NULL)
            plx_h3_on_closed(w->side[k].conn, ws->hs[k]);
        ws->hs[k] = NULL;
    }
    if (ws->is_over[0] && ws->is_over[1])
        ws->is_used = false;
}

void world_run(struct world *w, unsigned steps)
{
    unsigned quiet = 0;

    while (steps-- > 0 && quiet < 2 * WORLD_STREAMS) {
        unsigned first = (unsigned)(world_random(w) % (2 * WORLD_STREAMS));
        for (quiet = 0; quiet < 2 * WORLD_STREAMS; quiet++) {
            unsigned at = (first + quiet) % (2 * WORLD_STREAMS);
            struct wstream *ws = &w->stream[at / 2];
            if (!ws->is_used)
                continue;
            bool has_moved = dir_step(w, ws, at % 2);
            stream_step(w, ws);
            if (has_moved)
                break;
        }
    }
}

// --- forging -------------------------------------------------------------------------------------------------

unsigned world_forge_open(struct world *w, unsigned from, bool is_uni)
{
    struct wstream *ws = stream_new(w, from, is_uni);
    plx_check(ws != NULL);
    return (unsigned)(ws - w->stream);
}

void world_forge(struct world *w, unsigned stream, unsigned from, const void *p, size_t len, bool fin)
{
    dir_append(&w->stream[stream].dir[from], p, len);
    w->stream[stream].dir[from].has_fin = fin;
}

void world_forge_reset(struct world *w, unsigned stream, unsigned from, uint64_t code)
{
    io_reset(&w->side[from], &w->stream[stream], code);
}

void world_forge_refuse(struct world *w, unsigned stream, unsigned by, uint64_t code)
{
    io_stop_sending(&w->side[by], &w->stream[stream], code);
}
