// queue_thread.c -- the application thread's side of stream queues. See queue.h.

#include "engine/queue.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/list.h"
#include "engine/engine.h"

static void up(struct plx_qpair *p, struct plx_qmsg *m)
{
    plx_check(plx_spsc_push(&p->up, m));       // room for every message there is
    atomic_thread_fence(memory_order_seq_cst); // Q4
    struct plx_core *core = atomic_load_explicit(&p->core, memory_order_acquire);
    if (core != NULL)
        plx_core_ring(core);
}

static void want(struct plx_queue_req *s)
{
    s->wants = true;
    if (s->is_listed)
        return;
    s->is_listed = true;
    s->next_wanting = NULL;
    *s->pair->wanting_last = s;
    s->pair->wanting_last = &s->next_wanting;
}

static void on_out_home(struct plx_qpair *p, struct plx_qblock *b)
{
    struct plx_queue_req *s = b->m.slot;

    b->next = p->out_free;
    p->out_free = b;
    if (b->generation != s->generation)
        return; // the slot has another request by now
    s->out_count--;
    if (s->wants)
        want(s);
}

static void begin(struct plx_queue_req *s)
{
    s->generation++;
    s->out_count = 0;
    s->reserved = NULL;
    s->wants = s->is_answered = s->is_ended = s->is_cancelled = s->is_closed = false;
    s->user = NULL;
}

// False: nothing that the program hears of.
static bool to_event(struct plx_qpair *p, struct plx_qmsg *m, struct plx_queue_event *ev)
{
    struct plx_queue_req *s = m->slot;

    *ev = (struct plx_queue_event){.req = s};
    switch (m->kind) {
    case QMSG_REQUEST:
        begin(s);
        ev->what = PLX_QUEUE_REQUEST;
        ev->head = &s->head;
        ev->has_body = s->has_body;
        ev->is_early = s->is_early;
        return true;
    case QMSG_IN: {
        struct plx_qblock *b = PLX_CONTAINER(m, struct plx_qblock, m);
        ev->what = PLX_QUEUE_BODY;
        ev->data = b->data;
        ev->len = b->len;
        ev->block = b;
        return true;
    }
    case QMSG_END:
        ev->what = PLX_QUEUE_END;
        return true;
    case QMSG_CLOSED:
        s->is_closed = true;
        ev->what = PLX_QUEUE_CLOSED;
        ev->code = s->code;
        ev->is_peer = s->is_peer;
        return true;
    case QMSG_OUT:
        on_out_home(p, PLX_CONTAINER(m, struct plx_qblock, m));
        return false;
    default:
        plx_check(m->kind == QMSG_OVER);
        p->q->over_count++;
        return false;
    }
}

static bool next_writable(struct plx_qpair *p, struct plx_queue_event *ev)
{
    while (p->wanting_first != NULL && p->out_free != NULL) {
        struct plx_queue_req *s = p->wanting_first;
        if ((p->wanting_first = s->next_wanting) == NULL)
            p->wanting_last = &p->wanting_first;
        s->is_listed = false;
        // One that waits for its own blocks is listed again when one comes home.
        if (!s->wants || s->is_closed || s->out_count >= p->qs->cfg.ahead_max)
            continue;
        s->wants = false;
        *ev = (struct plx_queue_event){.what = PLX_QUEUE_WRITABLE, .req = s};
        return true;
    }
    return false;
}

unsigned plx_queue_poll(struct plx_queue *q, struct plx_queue_event *ev, unsigned max)
{
    struct plx_queues *qs = q->qs;
    unsigned n = 0;

    // Each time another worker is the first, so that a busy one cannot hide the others from a small max.
    q->turn = q->turn + 1 < qs->cfg.workers ? q->turn + 1 : 0;
    for (uint16_t i = 0, w = q->turn; i < qs->cfg.workers; i++, w = w + 1 < qs->cfg.workers ? w + 1 : 0) {
        struct plx_qpair *p = &qs->pair[w * qs->cfg.threads + q->index];
        struct plx_qmsg *m;
        while (n < max && (m = plx_spsc_pop(&p->down)) != NULL)
            n += to_event(p, m, &ev[n]);
        while (n < max && next_writable(p, &ev[n]))
            n++;
    }
    if (n < max && q->over_count == qs->cfg.workers && !q->is_over_told) {
        q->is_over_told = true;
        ev[n++] = (struct plx_queue_event){.what = PLX_QUEUE_OVER};
    }
    return n;
}

void plx_queue_wait(struct plx_queue *q, int timeout_ms)
{
    struct plx_queues *qs = q->qs;
    struct pollfd fd = {.fd = q->fd, .events = POLLIN};
    uint64_t count;
    bool is_empty =
        q->over_count < qs->cfg.workers || q->is_over_told; // OVER may have found no place in the last poll

    atomic_store_explicit(&q->is_asleep, true, memory_order_seq_cst); // Q1
    atomic_thread_fence(memory_order_seq_cst);
    for (uint16_t w = 0; w < qs->cfg.workers; w++) {
        const struct plx_qpair *p = &qs->pair[w * qs->cfg.threads + q->index];
        is_empty &= plx_spsc_count(&p->down) == 0 && (p->wanting_first == NULL || p->out_free == NULL);
    }
    if (is_empty && poll(&fd, 1, timeout_ms) > 0) {
        ssize_t n = read(q->fd, &count, sizeof count); // does not block; a late ring only wakes us once more
        (void)n;
    }
    atomic_store_explicit(&q->is_asleep, false, memory_order_relaxed);
}

void plx_queue_consumed(struct plx_queue_req *s, void *block)
{
    struct plx_qblock *b = block;

    plx_check(b->m.slot == s);
    up(s->pair, &b->m);
}

static const char *copy(uint8_t **to, const char *from, size_t len)
{
    char *p = (char *)*to;

    if (len > 0) // an empty value may be NULL
        memcpy(p, from, len);
    *to += len;
    return p;
}

enum plx_err plx_queue_respond(struct plx_queue_req *s, uint16_t status, const struct plx_field *fields,
                               uint16_t count, bool fin)
{
    size_t table = count * sizeof *fields, left = s->pair->qs->cfg.head_max;
    struct plx_field *f = (struct plx_field *)s->answer_mem;
    uint8_t *p = s->answer_mem + table;

    if (s->is_closed || s->is_cancelled)
        return PLX_ERR_CLOSED;
    if (s->is_answered || table > left)
        return PLX_ERR_INVALID;
    left -= table;
    for (uint16_t i = 0; i < count; i++) {
        size_t len = (size_t)fields[i].name_len + fields[i].value_len;
        if (len > left)
            return PLX_ERR_INVALID;
        f[i] = fields[i];
        f[i].name = copy(&p, fields[i].name, fields[i].name_len);
        f[i].value = copy(&p, fields[i].value, fields[i].value_len);
        left -= len;
    }
    s->status = status;
    s->field_count = count;
    s->is_fin_at_once = s->is_ended = fin;
    s->is_answered = true;
    up(s->pair, &s->msg[QMSG_RESPOND]);
    return PLX_OK;
}

uint8_t *plx_queue_reserve(struct plx_queue_req *s, size_t *room)
{
    struct plx_qpair *p = s->pair;

    *room = p->qs->cfg.block_len;
    if (s->is_closed || s->is_ended || s->is_cancelled)
        return NULL;
    if (s->reserved != NULL)
        return s->reserved->data;
    if (s->out_count >= p->qs->cfg.ahead_max) {
        s->wants = true; // listed when one of its own comes home
        return NULL;
    }
    if (p->out_free == NULL) {
        want(s);
        return NULL;
    }
    s->reserved = p->out_free;
    p->out_free = s->reserved->next;
    s->out_count++;
    s->reserved->generation = s->generation;
    s->reserved->m.slot = s;
    return s->reserved->data;
}

static void reserved_drop(struct plx_queue_req *s)
{
    if (s->reserved == NULL)
        return;
    on_out_home(s->pair, s->reserved);
    s->reserved = NULL;
}

enum plx_err plx_queue_commit(struct plx_queue_req *s, size_t len, bool fin)
{
    if (s->is_closed || s->is_cancelled)
        return PLX_ERR_CLOSED;
    if (!s->is_answered || s->is_ended || len > s->pair->qs->cfg.block_len || (len == 0 && !fin) ||
        (len > 0 && s->reserved == NULL))
        return PLX_ERR_INVALID;
    s->is_ended = fin;
    if (len == 0) {
        reserved_drop(s);
        up(s->pair, &s->msg[QMSG_FIN]);
        return PLX_OK;
    }
    struct plx_qblock *b = s->reserved;
    s->reserved = NULL;
    b->len = len;
    b->fin = fin;
    up(s->pair, &b->m);
    return PLX_OK;
}

void plx_queue_cancel(struct plx_queue_req *s, uint64_t code)
{
    if (s->is_cancelled || s->is_closed)
        return;
    s->is_cancelled = true;
    s->cancel_code = code;
    reserved_drop(s);
    up(s->pair, &s->msg[QMSG_CANCEL]);
}

void plx_queue_release(struct plx_queue_req *s)
{
    plx_check(s->is_closed);
    reserved_drop(s);
    up(s->pair, &s->msg[QMSG_RELEASE]);
}

void plx_queue_stop(struct plx_queue *q)
{
    for (uint16_t w = 0; w < q->qs->cfg.workers; w++) {
        struct plx_qpair *p = &q->qs->pair[w * q->qs->cfg.threads + q->index];
        up(p, &p->stop);
    }
}

void plx_queue_set_user(struct plx_queue_req *s, void *user)
{
    s->user = user;
}

void *plx_queue_user(const struct plx_queue_req *s)
{
    return s->user;
}
