// link.c -- what one direction of a path does to a datagram.
//
// The queue is not a queue of packets but of departures: a line of constant rate that serves in order knows at once when
// a packet will have left, so each datagram is settled the moment it is sent. The queue's length at that moment is what
// has not left yet. Sizes are those of the IP packet: 28 or 48 octets on top of the payload.

#include <string.h>

#include "base/time.h"
#include "world.h"

static uint32_t ip_bytes(const struct plx_pkt *pkt)
{
    return pkt->len + (pkt->peer.af == PLX_AF_IP6 ? 48u : 28u);
}

static bool happens(struct sim_link *l, double probability)
{
    if (probability <= 0)
        return false; // and draws nothing: switching one thing on does not change the others
    return (double)(plx_prng_u64(&l->prng) >> 11) * 0x1p-53 < probability;
}

// Rounded up, in whole nanoseconds; 128 bits because 64 KB at 1 bit/s is far away.
static plx_dur serialization(const struct sim_link *l, uint32_t bytes)
{
    unsigned __int128 ns =
        ((unsigned __int128)bytes * 8 * 1000000000 + l->cfg.rate_bps - 1) / l->cfg.rate_bps;
    return (plx_dur){(uint64_t)ns};
}

// --- the queue ---------------------------------------------------------------------------------------------

static void queue_drain(const struct plx_sim_world *w, struct sim_link *l)
{
    while (l->queue_count > 0 && plx_time_reached(l->queue[l->queue_at].leaves, w->now)) {
        l->queue_bytes -= l->queue[l->queue_at].bytes;
        l->queue_at = (l->queue_at + 1) % w->flight_max;
        l->queue_count--;
    }
}

// When the packet has left the line; false when the queue has no room for it.
static bool queue_enter(const struct plx_sim_world *w, struct sim_link *l, uint32_t bytes, plx_time *leaves)
{
    *leaves = w->now;
    if (l->cfg.rate_bps == 0)
        return true;
    if ((l->cfg.queue_bytes > 0 && l->queue_bytes + bytes > l->cfg.queue_bytes) ||
        (l->cfg.queue_packets > 0 && l->queue_count >= l->cfg.queue_packets) ||
        l->queue_count == w->flight_max)
        return false;
    l->busy_until = plx_time_after(plx_time_max(l->busy_until, w->now), serialization(l, bytes));
    *leaves = l->busy_until;
    uint32_t at = (l->queue_at + l->queue_count++) % w->flight_max;
    l->queue[at].leaves = *leaves;
    l->queue[at].bytes = bytes;
    l->queue_bytes += bytes;
    if (l->queue_bytes > l->stats.queue_bytes_most)
        l->stats.queue_bytes_most = l->queue_bytes;
    if (l->queue_count > l->stats.queue_packets_most)
        l->stats.queue_packets_most = l->queue_count;
    return true;
}

// --- the line ----------------------------------------------------------------------------------------------

static plx_time arrival(struct sim_link *l, plx_time leaves)
{
    plx_time at = plx_time_after(leaves, l->cfg.delay);

    if (l->cfg.jitter.ns > 0)
        at = plx_time_after(at, (plx_dur){plx_prng_below(&l->prng, l->cfg.jitter.ns)});
    if (happens(l, l->cfg.reorder)) {
        l->stats.reordered++;
        return plx_time_after(at, (plx_dur){l->cfg.delay.ns / 4 + 1000000});
    }
    at = plx_time_max(at, l->last_arrival);
    l->last_arrival = at;
    return at;
}

static void launch_copy(struct plx_sim_world *w, unsigned link, const struct plx_pkt *pkt, plx_time at,
                        bool is_corrupt)
{
    struct sim_link *l = &w->links[link];
    struct sim_flight *f = sim_flight_take(w);

    if (f == NULL) {
        l->stats.no_memory++;
        return;
    }
    memcpy(f->pkt.data, pkt->data, pkt->len);
    f->pkt.len = f->pkt.cap = pkt->len;
    f->pkt.ecn = pkt->ecn;
    f->pkt.peer = pkt->peer;
    f->pkt.local = pkt->local;
    f->link = (uint8_t)link;
    if (is_corrupt && pkt->len > 0) {
        uint64_t bit = plx_prng_below(&l->prng, pkt->len * 8u);
        f->pkt.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        l->stats.corrupted++;
    }
    sim_flight_launch(w, f, at);
}

void sim_link_send(struct plx_sim_world *w, unsigned link, const struct plx_pkt *pkt)
{
    struct sim_link *l = &w->links[link];
    struct plx_pkt sent = *pkt;
    uint64_t number = l->stats.offered++;
    uint32_t bytes = ip_bytes(pkt);
    plx_time leaves;

    if (l->cfg.rebind_every.ns > 0)
        sent.local = sim_nat_out(l, &pkt->local, w->now);
    if (number < 64 && (l->cfg.loss_mask >> number & 1) != 0) {
        l->stats.lost_by_mask++;
        return;
    }
    if (bytes > (l->cfg.mtu > 0 ? l->cfg.mtu : w->mtu_max)) {
        l->stats.lost_by_mtu++;
        return;
    }
    queue_drain(w, l);
    bool is_marked =
        l->cfg.ecn_bytes > 0 && l->queue_bytes >= l->cfg.ecn_bytes && pkt->ecn != PLX_ECN_NOT_ECT;
    if (!queue_enter(w, l, bytes, &leaves)) {
        l->stats.lost_by_queue++;
        return;
    }
    if (is_marked) {
        sent.ecn = PLX_ECN_CE;
        l->stats.marked++;
    }
    l->stats.bytes += bytes;
    if (happens(l, l->cfg.loss)) {
        l->stats.lost++;
        return;
    }
    plx_time at = arrival(l, leaves);
    launch_copy(w, link, &sent, at, happens(l, l->cfg.corrupt));
    if (happens(l, l->cfg.duplicate)) {
        l->stats.duplicated++;
        launch_copy(w, link, &sent, plx_time_after(at, PLX_US(10)), false);
    }
}
