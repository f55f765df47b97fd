// streams_image.c -- see streams_image.h.

#include "quic/stream/streams_image.h"

#include <string.h>

#include "base/pool.h"
#include "base/slab.h"
#include "quic/stream/streams_int.h"

enum { IMAGE_NEW, IMAGE_CLOSED, IMAGE_STREAM };

static bool stream_can_sleep(const struct plx_stream *s)
{
    const struct plx_sendbuf *b = &s->send;

    return plx_stream_id_is_uni(s->id) && s->ctl == 0 && s->ready_in == PLX_SCHED_NONE &&
           !plx_list_is_linked(&s->ctl_node) && !plx_list_is_linked(&s->later) && s->held == NULL &&
           (s->flags & ~(unsigned)PLX_STREAM_DISCARDING) == 0 && b->count == 0 && b->fin == PLX_FIN_NONE &&
           b->acks == NULL && b->lost == NULL && b->acked == b->end;
}

bool plx_streams_can_sleep(const struct plx_streams *ss)
{
    if (ss->count > PLX_IMAGE_STREAMS_MAX || ss->depth != 0 || ss->ctl != 0 || ss->is_ending ||
        ss->refused.count != 0 || !plx_list_is_empty(&ss->ctl_streams) || !plx_list_is_empty(&ss->resumed) ||
        !plx_list_is_empty(&ss->over) || !plx_list_is_empty(&ss->sched.owed) ||
        !plx_list_is_empty(&ss->sched.fresh))
        return false;
    for (unsigned kind = 0; kind < 4; kind++) {
        const struct plx_window *w = &ss->window[kind];
        if (w->old_count > 0 || w->next - w->base > PLX_IMAGE_SPAN)
            return false;
        struct plx_stream *s;
        for (uint64_t n = 0; (s = plx_window_walk(w, &n)) != NULL; n++)
            if (!plx_slot_is_stream(s) || !stream_can_sleep(s))
                return false;
    }
    return true;
}

static void stream_save(const struct plx_stream *s, struct plx_stream *to)
{
    *to = *s;
    to->streams = NULL;
    to->user = NULL;
    memset(&to->ready, 0, sizeof to->ready);
    memset(&to->ctl_node, 0, sizeof to->ctl_node);
    memset(&to->later, 0, sizeof to->later);
    memset(to->send.piece, 0, sizeof to->send.piece); // none is in use
}

void plx_streams_save(const struct plx_streams *ss, struct plx_streams_image *img,
                      void *users[PLX_IMAGE_STREAMS_MAX])
{
    for (unsigned kind = 0; kind < 4; kind++) {
        const struct plx_window *w = &ss->window[kind];
        for (uint64_t n = w->base; n < w->next; n++) {
            const struct plx_stream *s = plx_window_find(w, n);
            uint8_t *slot = &img->head.slot[kind][n - w->base];
            *slot = s == PLX_SLOT_NEW ? IMAGE_NEW : IMAGE_CLOSED;
            if (!plx_slot_is_stream(s))
                continue;
            *slot = (uint8_t)(IMAGE_STREAM + img->head.count);
            users[img->head.count] = s->user;
            stream_save(s, &img->v[img->head.count++]);
        }
    }
}

bool plx_streams_is_bare(const struct plx_streams *ss)
{
    for (unsigned kind = 0; kind < 4; kind++)
        if (ss->window[kind].base != ss->window[kind].next && !plx_window_is_away(&ss->window[kind]))
            return false;
    return ss->count == 0;
}

static void window_blank(struct plx_window *w)
{
    w->ring = NULL;
    w->old = NULL;
    w->cap = w->old_cap = 0;
}

void plx_streams_blank(struct plx_streams *copy)
{
    for (unsigned kind = 0; kind < 4; kind++)
        window_blank(&copy->window[kind]);
    copy->arg = NULL;
    memset(&copy->sched, 0, sizeof copy->sched);
    memset(&copy->ctl_streams, 0, sizeof copy->ctl_streams);
    memset(&copy->resumed, 0, sizeof copy->resumed);
    memset(&copy->over, 0, sizeof copy->over);
    memset(&copy->refused, 0, sizeof copy->refused);
}

void plx_streams_revive(struct plx_streams *ss, void *arg)
{
    ss->arg = arg;
    plx_sched_init(&ss->sched);
    plx_list_init(&ss->ctl_streams);
    plx_list_init(&ss->resumed);
    plx_list_init(&ss->over);
}

void plx_streams_release(struct plx_streams *ss)
{
    for (unsigned kind = 0; kind < 4; kind++)
        plx_window_fini(&ss->window[kind], ss->slab);
    plx_refused_fini(&ss->refused, ss->slab);
}

void plx_streams_park(struct plx_streams *ss)
{
    for (unsigned kind = 0; kind < 4; kind++) {
        struct plx_window *w = &ss->window[kind], numbers = *w;
        struct plx_stream *s;
        for (uint64_t n = w->base; (s = plx_window_walk(w, &n)) != NULL; n++)
            plx_pool_give(ss->pool, s);
        plx_window_fini(w, ss->slab);
        window_blank(&numbers);
        *w = numbers;
    }
    ss->count = 0;
}

uint64_t plx_streams_forget(struct plx_streams *ss)
{
    uint64_t count = 0;

    for (unsigned kind = 0; kind < 4; kind++) {
        struct plx_window *w = &ss->window[kind];
        if (!plx_window_is_away(w))
            continue;
        count += w->next - w->closed;
        w->base = w->closed = w->next;
    }
    return count;
}

// --- back again --------------------------------------------------------------------------------------------

struct recall {
    struct plx_streams_image_head head;
    struct plx_stream **ring[4]; // of the windows that are away
};

static bool rings_take(struct plx_streams *ss, struct recall *r)
{
    bool ok = true;

    for (unsigned kind = 0; kind < 4; kind++) {
        r->ring[kind] = NULL;
        if (!plx_window_is_away(&ss->window[kind]))
            continue; // something has begun since
        r->ring[kind] = plx_slab_take(ss->slab, PLX_IMAGE_SPAN * sizeof(struct plx_stream *));
        ok = ok && r->ring[kind] != NULL;
    }
    return ok;
}

static void unmake(struct plx_streams *ss, struct recall *r, struct plx_stream **made, uint64_t count)
{
    while (count > 0)
        plx_pool_give(ss->pool, made[--count]);
    for (unsigned kind = 0; kind < 4; kind++)
        if (r->ring[kind] != NULL)
            plx_slab_give(ss->slab, r->ring[kind], PLX_IMAGE_SPAN * sizeof(struct plx_stream *));
}

static void window_fill(struct plx_window *w, struct plx_stream **ring, const uint8_t *slot,
                        struct plx_stream **made)
{
    w->ring = ring;
    w->cap = PLX_IMAGE_SPAN;
    memset(w->ring, 0, PLX_IMAGE_SPAN * sizeof *w->ring);
    for (uint64_t n = w->base; n < w->next; n++) {
        uint8_t what = slot[n - w->base];
        w->ring[n & (w->cap - 1)] = what == IMAGE_NEW      ? PLX_SLOT_NEW
                                    : what == IMAGE_CLOSED ? PLX_SLOT_CLOSED
                                                           : made[what - IMAGE_STREAM];
    }
}

bool plx_streams_recall(struct plx_streams *ss, struct plx_unsqueeze *img,
                        struct plx_stream *made[PLX_IMAGE_STREAMS_MAX])
{
    struct recall r;

    plx_unsqueeze(img, &r.head, sizeof r.head / 8);
    if (!rings_take(ss, &r)) {
        unmake(ss, &r, made, 0);
        return false;
    }
    for (uint64_t i = 0; i < r.head.count; i++) {
        struct plx_stream *s = made[i] = plx_pool_take(ss->pool);
        if (s == NULL) {
            unmake(ss, &r, made, i);
            return false;
        }
        plx_unsqueeze(img, s, sizeof *s / 8);
        s->streams = ss;
        plx_list_init(&s->ready);
        plx_list_init(&s->ctl_node);
        plx_list_init(&s->later);
    }
    plx_unsqueeze_skip(img, (PLX_IMAGE_STREAMS_MAX - r.head.count) * sizeof(struct plx_stream) / 8);
    for (unsigned kind = 0; kind < 4; kind++)
        if (r.ring[kind] != NULL)
            window_fill(&ss->window[kind], r.ring[kind], r.head.slot[kind], made);
    ss->count += (uint32_t)r.head.count;
    return true;
}
