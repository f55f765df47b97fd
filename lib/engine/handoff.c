// handoff.c -- see handoff.h.

#include "engine/handoff.h"

#include "engine/core.h"
#include "engine/engine.h"
#include "quic/path/cidcodec.h"

bool plx_handoff_wanted(const struct plx_core *k, const struct plx_pkt_hdr *hdr, uint16_t *core)
{
    if (k->engine->core_count == 1 || hdr->dcid.len != PLX_CID_LEN)
        return false;
    // The ID that a client chose for its first packets names a core by accident. That does no harm: all its packets
    // then go to that core, which finds no connection either and makes one.
    struct plx_cid_where where;
    const struct plx_cid_codec *codec = &k->engine->codec;
    if (!codec->ops->read(codec, hdr->dcid.bytes, hdr->dcid.len, &where))
        return false;
    if (where.core >= k->engine->core_count || where.core == k->index)
        return false;
    *core = where.core;
    return true;
}

bool plx_handoff_send(struct plx_core *k, struct plx_pkt *pkt, uint16_t core)
{
    struct plx_core *to = k->engine->cores[core];

    if (!plx_mailbox_push(&to->inbox, pkt))
        return false;
    k->n.handed_over++;
    atomic_thread_fence(memory_order_seq_cst); // S2
    if (atomic_load_explicit(&to->sleep.is_asleep, memory_order_relaxed) && to->ops->wake != NULL)
        to->ops->wake(to->port, to->queue);
    return true;
}

uint16_t plx_handoff_pull(struct plx_core *k, struct plx_pkt **pkts, uint16_t max)
{
    if (k->engine->core_count == 1)
        return 0;
    uint16_t n = (uint16_t)plx_mailbox_pop_burst(&k->inbox, (void **)pkts, max);
    k->n.taken_over += n;
    return n;
}

void plx_handoff_give(struct plx_core *k, struct plx_pkt **pkts, uint16_t count)
{
    uint16_t n = 0;

    for (uint16_t i = 0; i < count; i++) {
        struct plx_pkt *pkt = pkts[i];
        if (pkt == NULL)
            continue;
        if (pkt->queue == k->queue) {
            pkts[n++] = pkt;
            continue;
        }
        // Its ring has room for every buffer of that queue.
        plx_check(plx_mailbox_push(&k->engine->cores[pkt->queue]->returns, pkt));
    }
    if (n > 0)
        k->ops->give(k->port, k->queue, pkts, n);
}

void plx_handoff_collect(struct plx_core *k)
{
    struct plx_pkt *back[PLX_BURST_MAX];

    if (k->engine->core_count == 1)
        return;
    for (;;) {
        uint16_t n = (uint16_t)plx_mailbox_pop_burst(&k->returns, (void **)back, PLX_BURST_MAX);
        if (n == 0)
            return;
        k->ops->give(k->port, k->queue, back, n);
    }
}

void plx_handoff_drain(struct plx_core *k)
{
    struct plx_pkt *pkts[PLX_BURST_MAX];
    uint16_t n;

    if (k->engine->core_count == 1 || k->inbox.cell == NULL)
        return;
    while ((n = (uint16_t)plx_mailbox_pop_burst(&k->inbox, (void **)pkts, PLX_BURST_MAX)) > 0) {
        k->n.taken_over += n;
        k->n.drops[PLX_DROP_core_ended] += n;
        plx_handoff_give(k, pkts, n);
    }
}

bool plx_handoff_sleep(struct plx_core *k)
{
    atomic_store_explicit(&k->sleep.is_asleep, true, memory_order_seq_cst); // S1
    // A core alone has no rings of other cores.
    bool is_alone = k->engine->core_count == 1;
    if (!atomic_load_explicit(&k->sleep.is_rung, memory_order_seq_cst) &&
        (is_alone || (plx_mailbox_count(&k->inbox) == 0 && plx_mailbox_count(&k->returns) == 0)))
        return true;
    plx_handoff_awake(k);
    return false;
}

void plx_handoff_awake(struct plx_core *k)
{
    atomic_store_explicit(&k->sleep.is_asleep, false, memory_order_relaxed);
}

// Whoever finds the bell rung already may leave: the exchange that answers it comes later, and sees what was written before.
void plx_core_ring(struct plx_core *k)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&k->sleep.is_rung, memory_order_relaxed))
        return;
    atomic_store_explicit(&k->sleep.is_rung, true, memory_order_seq_cst);
    atomic_thread_fence(memory_order_seq_cst); // S2
    if (atomic_load_explicit(&k->sleep.is_asleep, memory_order_relaxed) && k->ops->wake != NULL)
        k->ops->wake(k->port, k->queue);
}

bool plx_handoff_answer(struct plx_core *k)
{
    return atomic_load_explicit(&k->sleep.is_rung, memory_order_relaxed) &&
           atomic_exchange_explicit(&k->sleep.is_rung, false, memory_order_seq_cst);
}
