// engine_queues.c -- stream queues are made before the engine, ended after it, and freed last. See queue.h.

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "engine/queue.h"

void plx_queues_cfg_init(struct plx_queues_cfg *cfg)
{
    *cfg = (struct plx_queues_cfg){1, 1, 256, 1024, 16384, 64, 8192};
}

static void *zeroed(size_t count, size_t size)
{
    if (size != 0 && count > (SIZE_MAX - 64) / size)
        return NULL;
    size_t len = (count * size + 63) & ~(size_t)63;
    void *p = aligned_alloc(64, len);
    return p == NULL ? NULL : memset(p, 0, len);
}

static bool ring_init(struct plx_spsc *r, uint64_t count)
{
    uint32_t capacity = 1;

    while (capacity < count && capacity < UINT32_C(1) << 30)
        capacity <<= 1;
    void **slots = zeroed(capacity, sizeof *slots);
    if (slots == NULL || capacity < count) {
        free(slots);
        return false;
    }
    plx_spsc_init(r, slots, capacity);
    return true;
}

static void blocks_init(struct plx_qpair *p)
{
    const struct plx_queues_cfg *cfg = &p->qs->cfg;

    for (uint32_t i = 0; i < 2 * cfg->blocks; i++) {
        bool is_in = i < cfg->blocks;
        struct plx_qblock *b = is_in ? &p->in[i] : &p->out[i - cfg->blocks];
        struct plx_qblock **list = is_in ? &p->in_free : &p->out_free;
        *b = (struct plx_qblock){.owner = {plx_queue_block_release}, .m = {is_in ? QMSG_IN : QMSG_OUT, NULL}};
        b->pair = p;
        b->data = p->octets + (size_t)i * cfg->block_len;
        b->next = *list;
        *list = b;
    }
}

static bool pair_init(struct plx_qpair *p, struct plx_queues *qs, struct plx_queue *q)
{
    const struct plx_queues_cfg *cfg = &qs->cfg;
    size_t head = ((size_t)cfg->head_max + 15) & ~(size_t)15;
    uint64_t messages = (uint64_t)cfg->requests_max * QMSG_SLOT_COUNT + 2 * (uint64_t)cfg->blocks + 2;

    p->qs = qs;
    p->q = q;
    p->held_last = &p->held_first;
    p->wanting_last = &p->wanting_first;
    p->stop.kind = QMSG_STOP;
    p->over.kind = QMSG_OVER;
    p->slot = zeroed(cfg->requests_max, sizeof *p->slot);
    p->in = zeroed(cfg->blocks, sizeof *p->in);
    p->out = zeroed(cfg->blocks, sizeof *p->out);
    p->octets = zeroed(2 * (size_t)cfg->blocks, cfg->block_len);
    uint8_t *heads = zeroed(2 * (size_t)cfg->requests_max, head);
    if (p->slot == NULL || p->in == NULL || p->out == NULL || p->octets == NULL || heads == NULL ||
        !ring_init(&p->down, messages) || !ring_init(&p->up, messages)) {
        free(heads);
        if (p->slot != NULL)
            p->slot[0].head_mem = NULL;
        return false;
    }
    blocks_init(p);
    for (uint32_t i = cfg->requests_max; i-- > 0;) {
        struct plx_queue_req *s = &p->slot[i];
        s->pair = p;
        s->head_mem = heads + 2 * i * head;
        s->answer_mem = s->head_mem + head;
        s->out_last = &s->out_first;
        for (unsigned k = 0; k < QMSG_SLOT_COUNT; k++)
            s->msg[k] = (struct plx_qmsg){(enum plx_qmsg_kind)k, s};
        s->next_free = p->free_slots;
        p->free_slots = s;
    }
    return true;
}

struct plx_queues *plx_queues_new(const struct plx_queues_cfg *cfg)
{
    if (cfg->workers == 0 || cfg->threads == 0 || cfg->requests_max == 0 || cfg->blocks == 0 ||
        cfg->block_len == 0 || cfg->ahead_max == 0 || cfg->head_max == 0)
        return NULL;
    struct plx_queues *qs = zeroed(1, sizeof *qs);
    if (qs == NULL)
        return NULL;
    qs->cfg = *cfg;
    qs->handler = plx_queue_handler;
    qs->handler.ctx = qs;
    qs->queue = zeroed(cfg->threads, sizeof *qs->queue);
    qs->pair = zeroed((size_t)cfg->workers * cfg->threads, sizeof *qs->pair);
    qs->turn = zeroed(cfg->workers, sizeof *qs->turn);
    bool ok = qs->queue != NULL && qs->pair != NULL && qs->turn != NULL;
    for (uint16_t t = 0; qs->queue != NULL && t < cfg->threads; t++) {
        struct plx_queue *q = &qs->queue[t];
        *q = (struct plx_queue){.qs = qs, .index = t, .fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
        ok &= q->fd >= 0;
    }
    for (uint32_t i = 0; ok && i < (uint32_t)cfg->workers * cfg->threads; i++)
        ok = pair_init(&qs->pair[i], qs, &qs->queue[i % cfg->threads]);
    if (ok)
        return qs;
    plx_queues_free(qs);
    return NULL;
}

void plx_queues_attach(struct plx_queues *qs, struct plx_engine_cfg *cfg)
{
    plx_check(cfg->workers <= qs->cfg.workers);
    cfg->h3 = &qs->handler;
    cfg->on_ring = plx_queue_on_ring;
    cfg->ring_ctx = qs;
}

struct plx_queue *plx_queues_thread(struct plx_queues *qs, uint16_t index)
{
    plx_check(index < qs->cfg.threads);
    return &qs->queue[index];
}

void plx_queues_end(struct plx_queues *qs)
{
    for (uint32_t i = 0; i < (uint32_t)qs->cfg.workers * qs->cfg.threads; i++) {
        struct plx_qpair *p = &qs->pair[i];
        for (uint32_t j = 0; j < qs->cfg.requests_max; j++) {
            struct plx_queue_req *s = &p->slot[j];
            if (!s->is_live || s->req == NULL)
                continue;
            plx_h3_req_set_user(s->req, NULL); // its on_closed, inside plx_engine_free(), has nobody to tell
            s->req = NULL;
            s->code = PLX_H3_INTERNAL_ERROR;
            s->is_peer = false;
            plx_queue_down(p, &s->msg[QMSG_CLOSED]);
        }
        plx_queue_down(p, &p->over);
    }
}

void plx_queues_free(struct plx_queues *qs)
{
    if (qs == NULL)
        return;
    for (uint32_t i = 0; qs->pair != NULL && i < (uint32_t)qs->cfg.workers * qs->cfg.threads; i++) {
        struct plx_qpair *p = &qs->pair[i];
        if (p->slot != NULL)
            free(p->slot[0].head_mem); // the first of one allocation
        free(p->slot);
        free(p->in);
        free(p->out);
        free(p->octets);
        free(p->down.slot);
        free(p->up.slot);
    }
    for (uint16_t t = 0; qs->queue != NULL && t < qs->cfg.threads; t++)
        if (qs->queue[t].fd >= 0)
            close(qs->queue[t].fd);
    free(qs->queue);
    free(qs->pair);
    free(qs->turn);
    free(qs);
}

uint64_t plx_queues_refused(const struct plx_queues *qs)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < (uint32_t)qs->cfg.workers * qs->cfg.threads; i++)
        n += qs->pair[i].refused;
    return n;
}
