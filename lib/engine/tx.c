// tx.c -- the transmit half of a breath: build, seal, mask, send.
//
// All datagrams of the burst have been delivered before any connection writes: one datagram then carries the answers to many
// requests, and one ACK acknowledges many packets. Each connection on the ready list writes once; what it has left over waits
// for the next breath, so that a download cannot starve a request.

#include "engine/core.h"
#include "engine/phase.h"

// Empty buffers for whoever writes next. The port may have fewer than we want.
static void tx_refill(struct plx_core *k)
{
    if (k->tx.spare_count < PLX_BURST_MAX / 2)
        k->tx.spare_count += k->ops->take(k->port, k->queue, k->tx.spare + k->tx.spare_count,
                                          PLX_BURST_MAX - k->tx.spare_count);
}

void plx_tx_flush(struct plx_core *k)
{
    struct plx_tx *tx = &k->tx;

    if (tx->out_count == 0)
        return;
    plx_phase(PLX_PHASE_SEAL);
    k->env.aead->seal(tx->seals, tx->job_count);
    plx_phase(PLX_PHASE_MASK);
    k->env.aead->mask(tx->masks, tx->job_count);
    plx_tx_apply_masks(tx);
    plx_phase(PLX_PHASE_SEND);
    for (uint16_t i = 0; i < tx->out_count; i++)
        k->n.bytes_tx += tx->out[i]->len;
    k->n.datagrams_tx += tx->out_count;
    uint16_t n = tx->out_count;
    if (k->frames != NULL)
        n = plx_frames_tx(k, tx->out, n);
    for (uint16_t i = 0; i < n; i += k->caps.burst_max)
        k->ops->tx(k->port, k->queue, tx->out + i, n - i < k->caps.burst_max ? n - i : k->caps.burst_max);
    tx->out_count = tx->job_count = 0;
    plx_phase(PLX_PHASE_BUILD);
}

bool plx_core_tx(struct plx_core *k)
{
    // those that are ready now; who becomes ready again meanwhile waits for the next breath
    struct plx_list turn;
    bool has_more = false;
    bool is_far = plx_core_is_crowded(k);

    plx_list_init(&turn);
    plx_list_move_all(&turn, &k->ready);
    while (!plx_list_is_empty(&turn)) {
        struct plx_econn *e = PLX_CONTAINER(plx_list_first(&turn), struct plx_econn, ready);
        struct plx_conn *c = plx_econn_conn(e);

        if (is_far)
            plx_conn_prefetch_tx_keys(c);
        tx_refill(k);
        if (k->tx.spare_count == 0 || k->tx.job_max - k->tx.job_count < 2 * PLX_TX_QUANTUM)
            plx_tx_flush(k), tx_refill(k);
        if (k->tx.spare_count == 0) { // no buffer to be had: all wait
            plx_list_move_all(&k->ready, &turn);
            return true;
        }
        plx_list_remove(&e->ready);
        if (e->is_dead)
            continue;
        bool more = plx_conn_tx(c, &k->tx, PLX_TX_QUANTUM, k->now);
        if (e->is_dead)
            continue;
        if (more) {
            plx_core_wake(k, c);
            has_more = true;
        }
        plx_core_rearm(k, c);
    }
    plx_tx_flush(k);
    return has_more || !plx_list_is_empty(&k->ready);
}

// --- answers without a connection ---------------------------------------------------------------------------

struct plx_pkt *plx_tx_reply(struct plx_core *k, const struct plx_pkt *to)
{
    tx_refill(k);
    if (k->tx.spare_count == 0)
        return NULL;
    struct plx_pkt *pkt = k->tx.spare[--k->tx.spare_count];
    pkt->len = 0;
    pkt->ecn = PLX_ECN_NOT_ECT;
    pkt->time = (plx_time){0};
    if (to != NULL) {
        pkt->peer = to->peer;
        pkt->local = to->local;
    }
    return pkt;
}

void plx_tx_reply_send(struct plx_core *k, struct plx_pkt *pkt)
{
    k->n.datagrams_tx++;
    k->n.bytes_tx += pkt->len;
    if (k->frames != NULL && plx_frames_tx(k, &pkt, 1) == 0)
        return;
    k->ops->tx(k->port, k->queue, &pkt, 1);
}
