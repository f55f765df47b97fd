// client.c -- the datapath of a memif client: nothing is copied, either way.
//
// All buffers lie in the region that the server maps, in any order, and a descriptor can point at each of them. So what take() gives is
// filled where the server will read it, and what the server fills is handed to the engine where it stands:
//
//           take ┌────────────── free buffers, a stack ◀─────────────┐ give
//                ▼                  │            ▲                   │
//           the engine              │ offer      │ fetched           │
//                │ tx               ▼            │                   │
//                │            ┌─ ring to us ─┐   │             the engine
//                │            │ empty ▶ full │ ──│──────────────────▶  rx
//                │            └──────────────┘   │
//                │            ┌─ ring from us ┐  │
//                └──────────▶ │ full ▶ fetched│ ─┘
//                             └───────────────┘
//
// Which buffer is at which place of a ring is in tables of ours: of what the server writes only its two counters, and a filled buffer's
// length and flags, are read.

#include <string.h>

#include "base/check.h"
#include "memif.h"

static uint8_t *buffer_of(const struct memif_area *a, uint32_t number)
{
    return a->buffers + number * a->stride;
}

uint32_t memif_client_held(const struct memif_port *p)
{
    uint32_t in_rings = 0;

    if (p->control.state == MEMIF_UP)
        in_rings = (uint32_t)(uint16_t)(p->tx.next - p->tx.seen) + (uint16_t)(p->rx.ours - p->rx.next);
    return p->pool->count - p->pool->free_count - in_rings;
}

// --- receive -----------------------------------------------------------------------------------------------

// Every place of the ring to us has a buffer, as far as there are any.
static void buffers_offer(struct memif_port *p)
{
    struct memif_area *a = p->pool;
    struct memif_rx *rx = &p->rx;
    uint32_t n = (uint32_t)rx->mask + 1 - (uint16_t)(rx->ours - rx->next);
    const uint8_t *mem = a->region[0].mem;

    if (n > a->free_count)
        n = a->free_count;
    if (n == 0)
        return;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t number = a->free[--a->free_count];
        uint16_t place = rx->ours++ & rx->mask;
        rx->slot[place] = number;
        memif_desc_write(&rx->ring->desc[place], 0, p->offer, (uint32_t)(buffer_of(a, number) - mem));
    }
    memif_counter_move(&rx->ring->head, rx->ours);
}

void memif_client_start(struct memif_port *p)
{
    struct memif_area *a = p->pool;
    uint16_t mask = (uint16_t)((1u << p->ring_log2) - 1);

    p->tx = (struct memif_tx){.ring = (struct memif_ring *)a->region[0].mem, .mask = mask, .slot = a->sent};
    p->rx = (struct memif_rx){.ring = (struct memif_ring *)(a->region[0].mem + memif_ring_size(p->ring_log2)),
                              .mask = mask,
                              .slot = a->offered};
    p->rx.ring->flags = MEMIF_RING_NO_INT;
    buffers_offer(p);
    p->is_up = true;
}

// Their records and first lines: what is in them is read, decrypted in place and so written to, right after.
static void ahead(const struct memif_port *p, uint16_t n)
{
    for (uint16_t i = 0; i < n; i++) {
        const uint8_t *data = buffer_of(p->pool, p->rx.slot[(uint16_t)(p->rx.next + i) & p->rx.mask]);
        __builtin_prefetch(data, 1);
        __builtin_prefetch(data + 64, 1);
    }
}

uint16_t memif_client_rx(struct memif_port *p, struct plx_pkt **pkts, uint16_t max)
{
    struct memif_rx *rx = &p->rx;
    struct memif_area *a = p->pool;
    uint64_t bytes = 0;
    uint16_t out = 0, dropped = 0;

    if (!p->is_up)
        return memif_idle(p), 0;
    uint16_t n = (uint16_t)(memif_counter_look(&rx->ring->tail) - rx->next);
    if (n > (uint16_t)(rx->ours - rx->next)) {
        memif_accuse(p, "more buffers were filled than offered");
        return 0;
    }
    n = n < max ? n : max;
    ahead(p, n);
    for (uint16_t i = 0; i < n; i++) {
        uint16_t place = rx->next & rx->mask;
        struct memif_desc d = memif_desc_read(&rx->ring->desc[place]);
        uint32_t number = rx->slot[place];
        if (d.length > p->offer) {
            memif_accuse(p, "a packet is longer than its buffer");
            break;
        }
        rx->next++;
        bool goes_on = (d.flags & MEMIF_DESC_NEXT) != 0;
        if (goes_on ||
            rx->is_in_chain) { // longer than the MTU: buffers are sized so that nothing we want needs two
            a->free[a->free_count++] = number;
            dropped += !goes_on;
            rx->is_in_chain = goes_on;
            continue;
        }
        struct plx_pkt *pkt = &a->recs[number].pkt;
        *pkt = (struct plx_pkt){
            .data = buffer_of(a, number), .len = (uint16_t)d.length, .cap = (uint16_t)p->offer};
        bytes += d.length;
        pkts[out++] = pkt;
    }
    if (p->is_up)
        buffers_offer(p);
    if (out > 0) {
        plx_counter_add(&p->stats.rx_packets, out);
        plx_counter_add(&p->stats.rx_bytes, bytes);
    }
    if (dropped > 0)
        plx_counter_add(&p->stats.rx_dropped, dropped);
    if (n == 0)
        memif_idle(p);
    return out;
}

// --- transmit ----------------------------------------------------------------------------------------------

void memif_client_reclaim(struct memif_port *p)
{
    struct memif_tx *tx = &p->tx;
    struct memif_area *a = p->pool;
    uint16_t tail = memif_counter_look(&tx->ring->tail);

    if ((uint16_t)(tail - tx->seen) > (uint16_t)(tx->next - tx->seen)) {
        memif_accuse(p, "more packets were fetched than sent");
        return;
    }
    while (tx->seen != tail)
        a->free[a->free_count++] = tx->slot[tx->seen++ & tx->mask];
}

// A packet that was taken when there was another server, in memory that this one does not have: the engine keeps a burst of them at hand.
// It is copied. NULL when there is no buffer left.
static struct plx_pkt *packet_move(struct memif_port *p, struct plx_pkt *old)
{
    struct memif_area *a = p->pool;
    struct plx_pkt *pkt = NULL;

    if (a->free_count > 0 && old->len <= p->offer) {
        uint32_t number = a->free[--a->free_count];
        pkt = &a->recs[number].pkt;
        *pkt = (struct plx_pkt){.data = buffer_of(a, number), .len = old->len};
        memcpy(pkt->data, old->data, old->len);
    }
    memif_give(p, &old, 1);
    return pkt;
}

// Puts n packets, for which there is room, into the ring. Returns how many found a buffer there.
static uint16_t packets_put(struct memif_port *p, struct plx_pkt **pkts, uint16_t n, uint64_t *bytes)
{
    struct memif_tx *tx = &p->tx;
    const struct memif_area *a = p->pool;
    const uint8_t *mem = a->region[0].mem;
    uint16_t put = 0;

    for (uint16_t i = 0; i < n; i++) {
        struct plx_pkt *pkt = pkts[i];
        uint64_t number = memif_area_number(a, pkt);
        if (number >= a->count) {
            if ((pkt = packet_move(p, pkt)) == NULL)
                continue;
            number = memif_area_number(a, pkt);
        }
        uint16_t place = (uint16_t)(tx->next + put++) & tx->mask;
        tx->slot[place] = (uint32_t)number;
        *bytes += pkt->len;
        memif_desc_write(&tx->ring->desc[place], 0, pkt->len, (uint32_t)(pkt->data - mem));
    }
    tx->next = (uint16_t)(tx->next + put);
    memif_counter_move(&tx->ring->head, tx->next);
    return put;
}

uint16_t memif_client_tx(struct memif_port *p, struct plx_pkt **pkts, uint16_t count)
{
    struct memif_tx *tx = &p->tx;
    uint16_t done = 0, sent = 0;
    uint64_t bytes = 0;

    for (unsigned tries = 0; p->is_up && done < count;) {
        uint16_t left = (uint16_t)(tx->next - tx->seen), size = (uint16_t)(tx->mask + 1),
                 n = (uint16_t)(count - done);
        if (left > MEMIF_TX_LEFT || size - left < n) {
            memif_client_reclaim(p);
            if (!p->is_up)
                break;
            left = (uint16_t)(tx->next - tx->seen);
        }
        n = n < size - left ? n : (uint16_t)(size - left);
        if (n == 0) {
            if (++tries == MEMIF_TX_TRIES)
                break; // the server is behind: waiting longer would hold up the whole core
            __builtin_ia32_pause();
            continue;
        }
        sent = (uint16_t)(sent + packets_put(p, pkts + done, n, &bytes));
        done = (uint16_t)(done + n);
    }
    memif_give(p, pkts + done, (uint16_t)(count - done));
    if (sent < count)
        plx_counter_add(&p->stats.tx_dropped, count - sent);
    plx_counter_add(&p->stats.tx_packets, sent);
    plx_counter_add(&p->stats.tx_bytes, bytes);
    return sent;
}
