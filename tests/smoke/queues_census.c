// queues_census.c -- where everything is at the end of a round of queues.c.
//
// All threads are gone, so the queues' own structures may be looked into: each block and each slot must be in exactly one place, in a ring,
// in a free list, with a response, or in the hands of a thread that stopped in the middle.

#include "base/check.h"
#include "base/list.h"
#include "engine/queue.h"
#include "tests/smoke/queues.h"

struct census {
    struct plx_qpair *pair;
    bool has_in[BLOCKS], has_out[BLOCKS], has_slot[SLOTS];
    unsigned in, out, slots;
};

static void count_block(struct census *c, const struct plx_qblock *b)
{
    bool is_in = b->m.kind == QMSG_IN;
    ptrdiff_t i = is_in ? b - c->pair->in : b - c->pair->out;
    bool *has = is_in ? c->has_in : c->has_out;

    plx_check(i >= 0 && i < BLOCKS && b->pair == c->pair && !has[i]); // nowhere twice
    has[i] = true;
    *(is_in ? &c->in : &c->out) += 1;
}

static void count_slot(struct census *c, const struct plx_queue_req *s)
{
    ptrdiff_t i = s - c->pair->slot;

    plx_check(i >= 0 && i < SLOTS && !c->has_slot[i]);
    c->has_slot[i] = true;
    c->slots++;
}

static void count_ring(struct census *c, struct plx_spsc *r)
{
    struct plx_qmsg *m;

    while ((m = plx_spsc_pop(r)) != NULL) {
        if (m->kind == QMSG_IN || m->kind == QMSG_OUT)
            count_block(c, PLX_CONTAINER(m, struct plx_qblock, m));
        if (m->kind == QMSG_RELEASE)
            count_slot(c, m->slot);
    }
}

static void look_at_pair(struct plx_qpair *p, const struct answerer *a)
{
    struct census c = {.pair = p};
    unsigned kept = 0;

    count_ring(&c, &p->up);
    count_ring(&c, &p->down);
    for (struct plx_qblock *b = p->in_free; b != NULL; b = b->next)
        count_block(&c, b);
    for (struct plx_qblock *b = p->out_free; b != NULL; b = b->next)
        count_block(&c, b);
    for (struct plx_queue_req *s = p->free_slots; s != NULL; s = s->next_free)
        count_slot(&c, s);
    for (unsigned i = 0; i < SLOTS; i++) {
        for (struct plx_qblock *b = p->slot[i].out_first; b != NULL; b = b->next)
            count_block(&c, b);
        if (p->slot[i].reserved != NULL && a->has_stopped)
            count_block(&c, p->slot[i].reserved);
    }
    for (unsigned i = 0; a->has_stopped && i < WORKERS * SLOTS; i++)
        for (unsigned k = 0; a->work[i].is_used && k < a->work[i].count; k++) {
            const struct plx_qblock *b = a->work[i].kept[(a->work[i].first + k) % AHEAD].block;
            kept += b->pair == p;
        }
    expect(c.in + kept == BLOCKS, "a block for bodies of requests is lost");
    expect(c.out == BLOCKS, "a block for bodies of responses is lost");
    expect(c.slots == SLOTS || a->has_stopped, "a place for a request is lost");
}

void census(void)
{
    for (unsigned t = 0; t < THREADS; t++) {
        const struct answerer *a = &answerers[t];
        expect(a->has_stopped || a->closed == a->begun, "a request on a thread had no end");
        expect(a->has_stopped != a->heard_over, "a thread has not heard that it is over");
        // Where the other thread took nearly all, and most were refused, one may never have begun as many as it was to stop after.
        expect(a->has_stopped == (a->begun >= a->stop_after), "a thread should have stopped in the middle");
        for (unsigned w = 0; w < WORKERS; w++)
            look_at_pair(&drawn.queues->pair[w * THREADS + t], a);
    }
    for (unsigned i = 0; i < CONNS; i++)
        for (unsigned k = 0; k < askers[i].begun; k++)
            expect(askers[i].ask[k].ends == 1, "a request of the client had not exactly one end");
    expect(asked.begun == asked.ended, "the client waits for requests");
    expect(asked.broken == 0, "an answer is wrong");
    expect(drawn.engine_stops || asked.begun == CONNS * PER_CONN, "not every request was made");
}
