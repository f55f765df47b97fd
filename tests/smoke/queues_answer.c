// queues_answer.c -- the application threads of queues.c: they answer with random appetite, and press every call that is not allowed.
//
// A request with a body is an echo: blocks are kept, and consumed when their octets are on the way back. One without is a page of as many
// octets as its path says. Either may be written in pieces, put off until the next event, or given up.

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "tests/smoke/queues.h"

struct answerer answerers[THREADS];

static bool has_more(const struct work *w)
{
    return w->is_echo ? w->count > 0 : w->sent < w->want;
}

// False when CLOSED stands further behind among the events of the same poll.
static bool is_accepted(enum plx_err err)
{
    plx_check(err == PLX_OK || err == PLX_ERR_CLOSED);
    return err == PLX_OK;
}

static void write_some(struct answerer *a, struct plx_queue_req *req, struct work *w)
{
    uint8_t *p;
    size_t room;

    while (!w->is_done && has_more(w) && (p = plx_queue_reserve(req, &room)) != NULL) {
        struct plx_queue_event *b = &w->kept[w->first];
        uint64_t have = w->is_echo ? b->len - w->used : w->want - w->sent;
        size_t n = have < room ? (size_t)have : room;
        if (chance(&a->rng, 4))
            n = 1 + plx_prng_below(&a->rng, n);
        plx_check(room == BLOCK_LEN && plx_queue_reserve(req, &room) == p); // the same until it is committed
        memcpy(p, w->is_echo ? b->data + w->used : octets + w->sent, n);
        w->sent += n;
        if (w->is_echo && (w->used += n) == b->len) {
            plx_queue_consumed(req, b->block);
            w->first = (w->first + 1) % AHEAD, w->count--, w->used = 0;
        }
        w->is_done = !w->is_echo && w->sent == w->want;
        if (!is_accepted(plx_queue_commit(req, n, w->is_done))) {
            w->is_done = true;
            return;
        }
        if (w->sent >= w->cancel_at) {
            plx_queue_cancel(req, PLX_H3_INTERNAL_ERROR);
            plx_queue_cancel(req, PLX_H3_NO_ERROR); // does nothing
            plx_check(plx_queue_commit(req, 0, true) == PLX_ERR_CLOSED);
            w->is_done = true;
            a->cancelled++;
        }
    }
    if (!w->is_done && w->is_echo && w->has_ended && w->count == 0) {
        (void)is_accepted(plx_queue_commit(req, 0, true));
        w->is_done = true;
    }
}

static void work_begin(struct answerer *a, const struct plx_queue_event *e)
{
    const struct plx_field fields[] = {{.name = "x-thread", .name_len = 8, .value = "yes", .value_len = 3}};
    struct plx_span path = e->head->path;
    struct work *w = a->work;
    char number[24] = {0};

    while (w->is_used)
        w++;
    plx_check(w < a->work + WORKERS * SLOTS && path.len > 0 && path.len < sizeof number);
    *w = (struct work){.is_used = true, .is_echo = e->has_body, .cancel_at = UINT64_MAX};
    a->begun++;
    plx_check(plx_queue_user(e->req) == NULL);
    plx_queue_set_user(e->req, w);
    memcpy(number, path.p + 1, path.len - 1);
    w->want = strtoull(number, NULL, 10);
    if (chance(&a->rng, 12))
        w->cancel_at = 1 + plx_prng_below(&a->rng, 20000);
    if (chance(&a->rng, 30)) { // without any answer
        plx_queue_cancel(e->req, PLX_H3_REQUEST_CANCELLED);
        w->is_done = true;
        a->cancelled++;
        return;
    }
    w->is_done = !w->is_echo && w->want == 0;
    plx_check(plx_queue_commit(e->req, 0, true) != PLX_OK); // no head yet
    if (!is_accepted(plx_queue_respond(e->req, 200, fields, 1, w->is_done))) {
        w->is_done = true;
        return;
    }
    plx_check(plx_queue_respond(e->req, 200, NULL, 0, true) == PLX_ERR_INVALID); // a second
    write_some(a, e->req, w);
}

static void work_end(struct answerer *a, const struct plx_queue_event *e, struct work *w)
{
    size_t room;

    a->closed++;
    plx_check(plx_queue_commit(e->req, 0, true) == PLX_ERR_CLOSED &&
              plx_queue_reserve(e->req, &room) == NULL);
    plx_check(plx_queue_respond(e->req, 200, NULL, 0, true) == PLX_ERR_CLOSED);
    for (; w->count > 0; w->count--) // the last first
        plx_queue_consumed(e->req, w->kept[(w->first + w->count - 1) % AHEAD].block);
    w->is_used = false;
    plx_queue_release(e->req);
}

static void on_event(struct answerer *a, const struct plx_queue_event *e)
{
    struct work *w = e->what == PLX_QUEUE_OVER ? NULL : plx_queue_user(e->req);

    switch (e->what) {
    case PLX_QUEUE_REQUEST:
        work_begin(a, e);
        return;
    case PLX_QUEUE_BODY:
        plx_check(w->is_used && w->is_echo && !w->has_ended && e->len > 0 && e->len <= BLOCK_LEN);
        if (w->is_done) {
            plx_queue_consumed(e->req, e->block);
            return;
        }
        plx_check(w->count < AHEAD);
        w->kept[(w->first + w->count++) % AHEAD] = *e;
        if (!chance(&a->rng, 3)) // or later
            write_some(a, e->req, w);
        return;
    case PLX_QUEUE_END:
        plx_check(w->is_used && !w->has_ended);
        w->has_ended = true;
        write_some(a, e->req, w);
        return;
    case PLX_QUEUE_WRITABLE:
        plx_check(w->is_used);
        write_some(a, e->req, w);
        return;
    case PLX_QUEUE_CLOSED:
        plx_check(w->is_used);
        work_end(a, e, w);
        return;
    case PLX_QUEUE_OVER:
        plx_check(!a->heard_over && e->req == NULL);
        a->heard_over = true;
    }
}

// A block whose writing was put off must not wait for an event that never comes.
static void go_on(struct answerer *a, struct plx_queue_req *const *req, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct work *w = plx_queue_user(req[i]);
        if (w != NULL && w->is_used && w->count > 0)
            write_some(a, req[i], w);
    }
}

void *answer(void *arg)
{
    struct answerer *a = arg;
    struct plx_queue_event ev[16];

    while (!a->heard_over) {
        struct plx_queue_req *late[16];
        unsigned late_count = 0;
        unsigned n = plx_queue_poll(a->q, ev, 1 + (unsigned)plx_prng_below(&a->rng, 16));
        for (unsigned i = 0; i < n; i++) {
            on_event(a, &ev[i]);
            if (ev[i].what == PLX_QUEUE_BODY)
                late[late_count++] = ev[i].req;
            for (unsigned k = 0; ev[i].what == PLX_QUEUE_CLOSED && k < late_count; k++)
                if (late[k] == ev[i].req)
                    late[k--] = late[--late_count];
        }
        if (chance(&a->rng, 50))
            usleep((useconds_t)plx_prng_below(&a->rng, 3000));
        go_on(a, late, late_count);
        if (a->begun >= a->stop_after) {
            plx_queue_stop(a->q);
            a->has_stopped = true;
            return NULL;
        }
        if (n == 0)
            plx_queue_wait(a->q, chance(&a->rng, 2) ? -1 : (int)plx_prng_below(&a->rng, 5));
    }
    return NULL;
}

void answerers_init(void)
{
    for (unsigned t = 0; t < THREADS; t++) {
        struct answerer *a = &answerers[t];
        memset(a, 0, sizeof *a);
        a->q = plx_queues_thread(drawn.queues, (uint16_t)t);
        plx_prng_init(&a->rng, drawn.seed * 100 + 50 + t);
        bool stops = drawn.all_stop || (drawn.one_stops && t == 1);
        a->stop_after = stops ? 1 + plx_prng_below(&a->rng, 30) : UINT64_MAX;
    }
}
