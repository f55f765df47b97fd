// queue.c -- the worker's side of stream queues: an ordinary handler of requests. See queue.h.

#include "engine/queue.h"

#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/list.h"

void plx_queue_down(struct plx_qpair *p, struct plx_qmsg *m)
{
    struct plx_queue *q = p->q;

    plx_check(plx_spsc_push(&p->down, m));     // room for every message there is
    atomic_thread_fence(memory_order_seq_cst); // Q2
    if (atomic_load_explicit(&q->is_asleep, memory_order_relaxed) &&
        atomic_exchange_explicit(&q->is_asleep, false, memory_order_relaxed)) {
        // It can only fail when the count is full, and then the thread is awake already.
        ssize_t n = write(q->fd, &(uint64_t){1}, sizeof(uint64_t));
        (void)n;
    }
}

// The transport needs it no more, or will not have it.
void plx_queue_block_release(struct plx_owner *owner, const void *data, size_t len)
{
    struct plx_qblock *b = (struct plx_qblock *)owner;

    (void)data, (void)len;
    plx_queue_down(b->pair, &b->m);
}

static void out_drop(struct plx_queue_req *s)
{
    while (s->out_first != NULL) {
        struct plx_qblock *b = s->out_first;
        s->out_first = b->next;
        plx_queue_block_release(&b->owner, NULL, 0);
    }
    s->out_last = &s->out_first;
}

static void give_up(struct plx_queue_req *s, uint64_t code)
{
    s->wants_respond = s->wants_fin = false;
    out_drop(s);
    if (s->req != NULL)
        plx_h3_cancel(s->req, code);
}

// PLX_ERR_AGAIN: on_writable goes on. CLOSED: on_closed follows.
static bool went(struct plx_queue_req *s, enum plx_err err)
{
    if (err == PLX_ERR_INVALID || err == PLX_ERR_NOMEM)
        give_up(s, PLX_H3_INTERNAL_ERROR);
    return err == PLX_OK;
}

// Hands the transport what it takes of the response.
static void pump(struct plx_queue_req *s)
{
    if (s->req == NULL) {
        s->wants_respond = s->wants_fin = false;
        out_drop(s);
        return;
    }
    if (s->wants_respond) {
        if (!went(s, plx_h3_respond(s->req, s->status, (struct plx_field *)s->answer_mem, s->field_count,
                                    (struct plx_buf){0}, s->is_fin_at_once)))
            return;
        s->wants_respond = false;
        s->has_responded = true;
    }
    while (s->out_first != NULL) {
        struct plx_qblock *b = s->out_first, *next = b->next;
        // Before the call, which may release it at once, and then it is the thread's.
        enum plx_err err = plx_h3_send_body(s->req, (struct plx_buf){b->data, b->len, &b->owner}, b->fin);
        if (err == PLX_ERR_AGAIN || err == PLX_ERR_INVALID || err == PLX_ERR_NOMEM) {
            (void)went(s, err);
            return;
        }
        s->out_first = next;
        if (next == NULL)
            s->out_last = &s->out_first;
    }
    if (s->wants_fin && went(s, plx_h3_send_body(s->req, (struct plx_buf){0}, true)))
        s->wants_fin = false;
}

// --- from the thread ----------------------------------------------------------------------------------------

static void on_stop(struct plx_qpair *p)
{
    p->is_stopped = true;
    for (uint32_t i = 0; i < p->qs->cfg.requests_max; i++) {
        struct plx_queue_req *s = &p->slot[i];
        if (!s->is_live || s->req == NULL)
            continue;
        struct plx_h3_req *req = s->req;
        bool began = s->has_responded;
        s->wants_respond = s->wants_fin = false;
        out_drop(s);
        plx_h3_req_set_user(req, NULL);
        s->req = NULL;
        if (began || plx_h3_respond(req, 503, NULL, 0, (struct plx_buf){0}, true) != PLX_OK)
            plx_h3_cancel(req, PLX_H3_INTERNAL_ERROR);
        else
            plx_h3_resume(req); // the rest of its body is thrown away
    }
}

static void resume_held(struct plx_qpair *p)
{
    struct plx_queue_req *s = p->held_first;

    p->held_first = NULL; // who is held again stands in the list again
    p->held_last = &p->held_first;
    while (s != NULL) {
        struct plx_queue_req *next = s->next_held;
        s->is_held = false;
        if (s->req != NULL)
            plx_h3_resume(s->req);
        s = next;
    }
}

static void on_out(struct plx_qblock *b)
{
    struct plx_queue_req *s = b->m.slot;

    b->next = NULL;
    *s->out_last = b;
    s->out_last = &b->next;
    pump(s);
}

static void drain(struct plx_qpair *p)
{
    struct plx_qmsg *m;
    bool has_room = false;

    while ((m = plx_spsc_pop(&p->up)) != NULL) {
        struct plx_queue_req *s = m->slot;
        switch (m->kind) {
        case QMSG_RESPOND:
            s->wants_respond = true;
            pump(s);
            break;
        case QMSG_OUT:
            on_out(PLX_CONTAINER(m, struct plx_qblock, m));
            break;
        case QMSG_FIN:
            s->wants_fin = true;
            pump(s);
            break;
        case QMSG_CANCEL:
            give_up(s, s->cancel_code);
            break;
        case QMSG_RELEASE:
            plx_check(s->in_count == 0); // a block that is consumed later would count for another request
            s->is_live = false;
            s->next_free = p->free_slots;
            p->free_slots = s;
            break;
        case QMSG_IN: {
            struct plx_qblock *b = PLX_CONTAINER(m, struct plx_qblock, m);
            s->in_count--;
            b->next = p->in_free;
            p->in_free = b;
            has_room = true;
            break;
        }
        default:
            plx_check(m->kind == QMSG_STOP);
            on_stop(p);
        }
    }
    if (has_room)
        resume_held(p);
}

void plx_queue_on_ring(void *ctx, struct plx_core *core)
{
    struct plx_queues *qs = ctx;

    for (uint16_t t = 0; t < qs->cfg.threads; t++)
        drain(&qs->pair[plx_core_index(core) * qs->cfg.threads + t]);
}

// --- the handler --------------------------------------------------------------------------------------------

static bool copy_span(struct plx_span *to, struct plx_span from, uint8_t **p, size_t *left)
{
    *to = (struct plx_span){0};
    if (from.p == NULL)
        return true;
    if (from.len > *left)
        return false;
    memcpy(*p, from.p, from.len);
    *to = (struct plx_span){*p, from.len};
    *p += from.len;
    *left -= from.len;
    return true;
}

static bool head_copy(struct plx_queue_req *s, const struct plx_h3_head *from)
{
    size_t left = s->pair->qs->cfg.head_max, table = from->field_count * sizeof(struct plx_field);
    struct plx_field *f = (struct plx_field *)s->head_mem;
    uint8_t *p = s->head_mem + table;
    struct plx_h3_head *to = &s->head;
    struct plx_span name = {0}, value = {0};

    if (table > left)
        return false;
    left -= table;
    *to = *from;
    to->fields = f;
    bool ok =
        copy_span(&to->method, from->method, &p, &left) && copy_span(&to->scheme, from->scheme, &p, &left) &&
        copy_span(&to->authority, from->authority, &p, &left) &&
        copy_span(&to->path, from->path, &p, &left) && copy_span(&to->protocol, from->protocol, &p, &left);
    for (uint16_t i = 0; ok && i < from->field_count; i++) {
        const struct plx_field *g = &from->fields[i];
        ok = copy_span(&name, (struct plx_span){(const uint8_t *)g->name, g->name_len}, &p, &left) &&
             copy_span(&value, (struct plx_span){(const uint8_t *)g->value, g->value_len}, &p, &left);
        f[i] = *g;
        f[i].name = (const char *)name.p;
        f[i].value = (const char *)value.p;
    }
    return ok;
}

// The first request for a thread: from now on it can ring. It may have stopped before.
static void __attribute__((noinline)) meet(struct plx_qpair *p, struct plx_core *core)
{
    atomic_store_explicit(&p->core, core, memory_order_seq_cst); // Q3
    atomic_thread_fence(memory_order_seq_cst);
    drain(p);
}

// The next thread in turn that lives and has a place.
static struct plx_qpair *pick(struct plx_queues *qs, struct plx_core *core)
{
    uint16_t w = plx_core_index(core);

    for (uint16_t i = 0; i < qs->cfg.threads; i++) {
        uint16_t t = qs->turn[w]++ % qs->cfg.threads;
        struct plx_qpair *p = &qs->pair[w * qs->cfg.threads + t];
        if (atomic_load_explicit(&p->core, memory_order_relaxed) == NULL)
            meet(p, core);
        if (p->free_slots == NULL)
            drain(p);
        if (!p->is_stopped && p->free_slots != NULL)
            return p;
    }
    return NULL;
}

static void refuse(struct plx_h3_req *req, uint16_t status)
{
    if (plx_h3_respond(req, status, NULL, 0, (struct plx_buf){0}, true) != PLX_OK)
        plx_h3_cancel(req, PLX_H3_REQUEST_REJECTED);
}

static void on_request(struct plx_h3_req *req, const struct plx_h3_head *head, bool has_body)
{
    struct plx_queues *qs = plx_h3_req_ctx(req);
    struct plx_core *core = plx_conn_core(plx_h3_conn_transport(plx_h3_req_conn(req)));
    struct plx_qpair *p = pick(qs, core);

    if (p == NULL) {
        qs->pair[plx_core_index(core) * qs->cfg.threads].refused++;
        refuse(req, 503);
        return;
    }
    struct plx_queue_req *s = p->free_slots;
    if (!head_copy(s, head)) {
        p->refused++;
        refuse(req, 431);
        return;
    }
    p->free_slots = s->next_free;
    s->req = req;
    s->has_body = has_body;
    s->is_early = plx_h3_req_is_early(req);
    s->is_live = true;
    s->wants_respond = s->has_responded = s->wants_fin = false;
    plx_h3_req_set_user(req, s);
    plx_queue_down(p, &s->msg[QMSG_REQUEST]);
}

static void hold(struct plx_queue_req *s)
{
    if (s->is_held)
        return;
    s->is_held = true;
    s->next_held = NULL;
    *s->pair->held_last = s;
    s->pair->held_last = &s->next_held;
}

static size_t on_body(struct plx_h3_req *req, const uint8_t *data, size_t len)
{
    struct plx_queue_req *s = plx_h3_req_user(req);
    size_t taken = 0;

    if (s == NULL)
        return len; // refused
    struct plx_qpair *p = s->pair;
    while (taken < len) {
        struct plx_qblock *b = p->in_free;
        if (b == NULL || s->in_count == p->qs->cfg.ahead_max) {
            hold(s);
            break;
        }
        p->in_free = b->next;
        b->len = len - taken < p->qs->cfg.block_len ? len - taken : p->qs->cfg.block_len;
        memcpy(b->data, data + taken, b->len);
        taken += b->len;
        b->m.slot = s;
        s->in_count++;
        plx_queue_down(p, &b->m);
    }
    return taken;
}

static void on_end(struct plx_h3_req *req, const struct plx_field *trailers, uint16_t count)
{
    struct plx_queue_req *s = plx_h3_req_user(req);

    (void)trailers, (void)count;
    if (s != NULL)
        plx_queue_down(s->pair, &s->msg[QMSG_END]);
}

static void on_writable(struct plx_h3_req *req)
{
    struct plx_queue_req *s = plx_h3_req_user(req);

    if (s != NULL)
        pump(s);
}

static void on_closed(struct plx_h3_req *req, uint64_t code, bool is_peer)
{
    struct plx_queue_req *s = plx_h3_req_user(req);

    if (s == NULL)
        return;
    s->req = NULL;
    s->code = code;
    s->is_peer = is_peer;
    pump(s);
    plx_queue_down(s->pair, &s->msg[QMSG_CLOSED]);
}

const struct plx_h3_handler plx_queue_handler = {
    .on_request = on_request,
    .on_body = on_body,
    .on_end = on_end,
    .on_writable = on_writable,
    .on_closed = on_closed,
};
