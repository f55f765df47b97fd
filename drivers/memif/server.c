// server.c -- the datapath of a memif server: what is received stays where it stands, what is sent is copied once.
//
// A client's packet is handed to the engine in the client's own memory. Its place in the ring goes back when it has been given back, in
// the order of the ring: the tail moves over all places that are done with, and what comes back out of turn is remembered until then.
// Whoever keeps a packet for long keeps the ring from moving; the engine gives back at the end of a breath.
//
// The other way the client's offers are a row of empty buffers, and the n-th packet has to be in the n-th. Which packets leave, and in
// which order, is known when they are sent and not when they are taken: the engine builds some, and gives others back. So they are built
// in memory of ours, and the copy into the offered buffers is the price of this role.
//
// The whole of a client's memory may be written to by the client at any time. What descriptors and counters say is read once and must lie
// inside of what is mapped; a client for which it does not is disconnected.

#include <string.h>

#include "base/check.h"
#include "memif.h"

// --- where a client's buffer is ------------------------------------------------------------------------------

static uint8_t *inside(const struct memif_area *a, const struct memif_desc *d)
{
    if (d->region >= a->regions)
        return NULL;
    const struct memif_region *r = &a->region[d->region];
    return d->length <= r->size && d->offset <= r->size - d->length ? r->mem + d->offset : NULL;
}

static struct memif_ring *ring_at(const struct memif_port *p, unsigned way)
{
    const struct memif_add_ring *r = &p->control.ring[way];
    return (struct memif_ring *)(p->map->region[r->region].mem + r->offset);
}

void memif_server_start(struct memif_port *p)
{
    p->rx = (struct memif_rx){
        .ring = ring_at(p, 0), .mask = (uint16_t)((1u << p->control.ring[0].log2) - 1), .done = p->map->done};
    p->tx = (struct memif_tx){.ring = ring_at(p, 1), .mask = (uint16_t)((1u << p->control.ring[1].log2) - 1)};
    p->ring_log2 = p->control.ring[0].log2;
    p->rx.ring->flags = MEMIF_RING_NO_INT;
    memif_counter_move(&p->rx.ring->tail, 0);
    memif_counter_move(&p->tx.ring->tail, 0);
    p->is_up = true;
}

uint32_t memif_server_held(const struct memif_port *p)
{
    uint32_t held = 0;
    for (uint16_t i = p->rx.ours; i != p->rx.next; i++)
        held += p->rx.done[i & p->rx.mask] == 0;
    return held;
}

// --- receive -----------------------------------------------------------------------------------------------

static void place_done(struct memif_rx *rx, uint16_t place)
{
    if (place != (rx->ours & rx->mask)) {
        rx->done[place] = 1;
        return;
    }
    for (rx->ours++; rx->done[rx->ours & rx->mask] != 0; rx->ours++)
        rx->done[rx->ours & rx->mask] = 0;
}

// What may be written to where data stands: its own length, or what a short answer needs. Every client's buffers have a frame's room, and
// so short a one is never near a buffer's end; but it shall not be near the end of the memory either.
static uint16_t room_of(const struct memif_area *a, const struct memif_desc *d)
{
    bool is_short = d->length < MEMIF_REPLY_ROOM && a->region[d->region].size - d->offset >= MEMIF_REPLY_ROOM;
    return is_short ? MEMIF_REPLY_ROOM : (uint16_t)d->length;
}

uint16_t memif_server_rx(struct memif_port *p, struct plx_pkt **pkts, uint16_t max)
{
    struct memif_rx *rx = &p->rx;
    const struct memif_area *a = p->map;
    uint64_t bytes = 0;
    uint16_t out = 0, dropped = 0;

    if (!p->is_up)
        return memif_idle(p), 0;
    uint16_t head = memif_counter_look(&rx->ring->head), n = (uint16_t)(head - rx->next);
    if ((uint16_t)(head - rx->ours) > rx->mask + 1u || n > (uint16_t)(head - rx->ours)) {
        memif_accuse(p, "more packets than the ring has places");
        return 0;
    }
    n = n < max ? n : max;
    for (uint16_t i = 0; i < n; i++) {
        uint16_t place = rx->next & rx->mask;
        struct memif_desc d = memif_desc_read(&rx->ring->desc[place]);
        uint8_t *data = inside(a, &d);
        if (data == NULL || d.length > UINT16_MAX) {
            memif_accuse(p, "a packet is not inside of its region");
            break;
        }
        __builtin_prefetch(data, 1); // it is read, decrypted in place and so written to, right after
        __builtin_prefetch(data + 64, 1);
        rx->next++;
        bool goes_on = (d.flags & MEMIF_DESC_NEXT) != 0;
        if (goes_on || rx->is_in_chain) { // longer than the MTU
            place_done(rx, place);
            dropped += !goes_on;
            rx->is_in_chain = goes_on;
            continue;
        }
        struct plx_pkt *pkt = &a->recs[place].pkt;
        *pkt = (struct plx_pkt){.data = data, .len = (uint16_t)d.length, .cap = room_of(a, &d)};
        bytes += d.length;
        pkts[out++] = pkt;
    }
    if (out > 0) {
        plx_counter_add(&p->stats.rx_packets, out);
        plx_counter_add(&p->stats.rx_bytes, bytes);
    }
    if (out < n && p->is_up)
        memif_counter_move(&rx->ring->tail, rx->ours);
    if (dropped > 0)
        plx_counter_add(&p->stats.rx_dropped, dropped);
    if (n == 0)
        memif_idle(p);
    return out;
}

void memif_server_give(struct memif_port *p, struct plx_pkt **pkts, uint16_t count)
{
    struct memif_rx *rx = &p->rx;

    if (p->map == NULL) {
        memif_give(p, pkts, count);
        return;
    }
    uint16_t before = rx->ours;
    for (uint16_t i = 0; i < count; i++) {
        uint64_t place = memif_area_number(p->map, pkts[i]);
        if (place < p->map->count) {
            plx_debug(((place - rx->ours) & rx->mask) < (uint16_t)(rx->next - rx->ours) &&
                      rx->done[place] == 0);
            place_done(rx, (uint16_t)place);
        } else {
            memif_give(p, &pkts[i], 1);
        }
    }
    if (rx->ours != before && p->is_up)
        memif_counter_move(&rx->ring->tail, rx->ours);
}

// --- transmit ----------------------------------------------------------------------------------------------

// The next n offers, at most a burst of them, as they are now. False: they are not to be believed.
static bool offers_read(struct memif_port *p, struct memif_desc *offers, uint8_t **at, uint16_t n)
{
    for (uint16_t i = 0; i < n; i++) {
        offers[i] = memif_desc_read(&p->tx.ring->desc[(uint16_t)(p->tx.next + i) & p->tx.mask]);
        at[i] = inside(p->map, &offers[i]);
        if (at[i] == NULL) {
            memif_accuse(p, "a buffer is not inside of its region");
            return false;
        }
        __builtin_prefetch(at[i], 1);
        __builtin_prefetch(at[i] + 64, 1);
        __builtin_prefetch(at[i] + 128, 1);
    }
    return true;
}

// Copies n packets, at most a burst, for which there are offers. Returns how many fitted.
static uint16_t packets_copy(struct memif_port *p, struct plx_pkt *const *pkts, uint16_t n, uint64_t *bytes)
{
    struct memif_tx *tx = &p->tx;
    struct memif_desc offers[MEMIF_BURST_MAX];
    uint8_t *at[MEMIF_BURST_MAX];
    uint16_t put = 0;

    if (!offers_read(p, offers, at, n))
        return 0;
    for (uint16_t i = 0; i < n; i++) {
        const struct plx_pkt *pkt = pkts[i];
        const struct memif_desc *d = &offers[put];
        if (pkt->len > d->length)
            continue; // the client's buffers are shorter than the MTU
        memcpy(at[put], pkt->data, pkt->len);
        memif_desc_write(&tx->ring->desc[(uint16_t)(tx->next + put) & tx->mask], d->region, pkt->len,
                         d->offset);
        *bytes += pkt->len;
        put++;
    }
    tx->next = (uint16_t)(tx->next + put);
    memif_counter_move(&tx->ring->tail, tx->next);
    return put;
}

// Offers that are left, at least `want` if there are as many.
static uint16_t offers_left(struct memif_port *p, uint16_t want)
{
    struct memif_tx *tx = &p->tx;
    uint16_t left = (uint16_t)(tx->seen - tx->next);

    if (left >= want)
        return left; // the client's counter is in a line that it writes to: it is looked at when it has to be
    tx->seen = memif_counter_look(&tx->ring->head);
    left = (uint16_t)(tx->seen - tx->next);
    if (left > tx->mask + 1u) {
        memif_accuse(p, "more buffers than the ring has places");
        return 0;
    }
    return left;
}

uint16_t memif_server_tx(struct memif_port *p, struct plx_pkt **pkts, uint16_t count)
{
    uint16_t done = 0, sent = 0;
    uint64_t bytes = 0;

    for (unsigned tries = 0; p->is_up && done < count;) {
        uint16_t n = (uint16_t)(count - done) < MEMIF_BURST_MAX ? (uint16_t)(count - done) : MEMIF_BURST_MAX;
        uint16_t left = offers_left(p, n);
        n = n < left ? n : left;
        if (n == 0) {
            if (++tries == MEMIF_TX_TRIES)
                break; // the client is behind: waiting longer would hold up the whole core
            __builtin_ia32_pause();
            continue;
        }
        sent = (uint16_t)(sent + packets_copy(p, pkts + done, n, &bytes));
        done = (uint16_t)(done + n);
    }
    memif_give(p, pkts, count); // all of them: what was sent is a copy
    plx_counter_add(&p->stats.tx_packets, sent);
    plx_counter_add(&p->stats.tx_bytes, bytes);
    if (sent < count)
        plx_counter_add(&p->stats.tx_dropped, count - sent);
    return sent;
}
