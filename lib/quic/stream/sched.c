// sched.c -- see sched.h.

#include "quic/stream/sched.h"

void plx_sched_init(struct plx_sched *q)
{
    plx_list_init(&q->owed);
    plx_list_init(&q->fresh);
}

static struct plx_list *list_of(struct plx_sched *q, uint8_t list)
{
    return list == PLX_SCHED_OWED ? &q->owed : &q->fresh;
}

static uint8_t list_for(const struct plx_stream *s)
{
    plx_debug(s->lean == PLX_LEAN_NO);
    if (s->send_state == PLX_SEND_NONE || s->send_state > PLX_SEND_DATA_SENT)
        return PLX_SCHED_NONE;
    if (plx_sendbuf_has_owed(&s->send))
        return PLX_SCHED_OWED;
    if (plx_sendbuf_has_fresh(&s->send) && s->send.sent_max < s->send_limit)
        return PLX_SCHED_FRESH;
    return PLX_SCHED_NONE;
}

void plx_sched_update(struct plx_sched *q, struct plx_stream *s)
{
    uint8_t list = list_for(s);
    if (list == s->ready_in)
        return;
    if (s->ready_in != PLX_SCHED_NONE)
        plx_list_remove(&s->ready);
    s->ready_in = list;
    if (list != PLX_SCHED_NONE)
        plx_list_add_tail(list_of(q, list), &s->ready);
}

void plx_sched_remove(struct plx_stream *s)
{
    plx_list_remove(&s->ready);
    s->ready_in = PLX_SCHED_NONE;
}

void plx_sched_rotate(struct plx_sched *q, struct plx_stream *s)
{
    if (s->ready_in == PLX_SCHED_NONE)
        return;
    plx_list_remove(&s->ready);
    plx_list_add_tail(list_of(q, s->ready_in), &s->ready);
}

struct plx_stream *plx_sched_first(const struct plx_sched *q, bool with_fresh)
{
    struct plx_list *node = plx_list_first(&q->owed);
    if (node == NULL && with_fresh)
        node = plx_list_first(&q->fresh);
    return node != NULL ? PLX_CONTAINER(node, struct plx_stream, ready) : NULL;
}

void plx_sched_verify(const struct plx_sched *q)
{
    const struct plx_list *heads[] = {&q->owed, &q->fresh};
    const uint8_t lists[] = {PLX_SCHED_OWED, PLX_SCHED_FRESH};

    for (unsigned i = 0; i < 2; i++) {
        plx_list_verify(heads[i]);
        for (const struct plx_list *n = heads[i]->next; n != heads[i]; n = n->next) {
            const struct plx_stream *s =
                (const struct plx_stream *)((const char *)n - offsetof(struct plx_stream, ready));
            plx_check(s->ready_in == lists[i]);
            plx_check((s->lean != PLX_LEAN_NO ? PLX_SCHED_FRESH : list_for(s)) == lists[i]);
        }
    }
}
