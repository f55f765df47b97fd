// queue.c -- packets in and out of one queue of a DPDK device.
//
// A plx_pkt is no object of its own here: it lies in the private area of the mbuf that holds its octets, so each is found
// from the other by adding a constant, and a burst touches no table. The mbuf belongs to the queue's own mempool from
// rx or take until give or tx, and the pool's per-thread cache makes both a copy of pointers.

#include <rte_cycles.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_pause.h>
#include <rte_udp.h>

#include "base/bits.h"
#include "ethdev.h"

_Static_assert(sizeof(struct plx_pkt) <= UINT16_MAX, "fits a private area");
_Static_assert(_Alignof(struct plx_pkt) <= RTE_MBUF_PRIV_ALIGN, "lies right in a private area");

static struct ethdev_queue *queue_of(struct plx_port *port, uint16_t queue)
{
    return &((struct ethdev_port *)port)->queues[queue];
}

// --- receive -----------------------------------------------------------------------------------------------

static uint16_t flags_of(const struct rte_mbuf *m)
{
    const uint64_t good = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
    const uint64_t good6 = RTE_MBUF_F_RX_L4_CKSUM_GOOD; // IPv6 has no header checksum to speak of
    uint64_t ip = m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK, l4 = m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
    return (ip | l4) == good || ((ip | l4) == good6 && ip == 0) ? PLX_PKT_CSUM_OK : 0;
}

// What the device has; nothing while the gate is shut.
static uint16_t burst_fetch(struct ethdev_queue *q, struct rte_mbuf **mbufs, uint16_t max)
{
    if (!q->is_gated)
        return rte_eth_rx_burst(q->port_id, q->id, mbufs, max);
    if (!ethdev_gate_enter(&q->pass))
        return 0;
    uint16_t got = rte_eth_rx_burst(q->port_id, q->id, mbufs, max);
    ethdev_gate_leave(&q->pass);
    return got;
}

uint16_t ethdev_rx(struct plx_port *port, uint16_t queue, struct plx_pkt **pkts, uint16_t max)
{
    struct ethdev_queue *q = queue_of(port, queue);
    struct rte_mbuf *mbufs[ETHDEV_BURST_MAX];
    uint64_t bytes = 0, now = 0;
    uint16_t n = 0;

    max = max < ETHDEV_BURST_MAX ? max : ETHDEV_BURST_MAX;
    if (q->gather.most > 0 && !ethdev_gather_is_due(&q->gather, now = rte_rdtsc()))
        return 0;
    uint16_t got = burst_fetch(q, mbufs, max);
    if (q->gather.most > 0)
        ethdev_gather_on_fetch(&q->gather, now, got, max);
    for (uint16_t i = 0; i < got; i++) {
        struct rte_mbuf *m = mbufs[i];
        if (m->nb_segs > 1) { // longer than the MTU: buffers are sized so that nothing we want needs two
            plx_counter_add(&q->stats.rx_dropped, 1);
            rte_pktmbuf_free(m);
            continue;
        }
        struct plx_pkt *pkt = rte_mbuf_to_priv(m);
        *pkt = (struct plx_pkt){
            .data = rte_pktmbuf_mtod(m, uint8_t *),
            .len = m->data_len,
            .cap = (uint16_t)(m->buf_len - m->data_off),
            .queue = (uint8_t)queue,
            .flags = flags_of(m),
            .driver = m,
        };
        bytes += m->data_len;
        pkts[n++] = pkt;
    }
    if (got > 0) {
        plx_counter_add(&q->stats.rx_packets, n);
        plx_counter_add(&q->stats.rx_bytes, bytes);
    }
    return n;
}

// --- transmit ----------------------------------------------------------------------------------------------

// Tells the device where the headers are whose checksums it shall fill in: lib/net wrote them.
static void offload_set(struct rte_mbuf *m)
{
    const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
    uint16_t type = plx_load_be16(frame + 12);

    m->l2_len = RTE_ETHER_HDR_LEN;
    if (type == RTE_ETHER_TYPE_VLAN) {
        m->l2_len += RTE_VLAN_HLEN;
        type = plx_load_be16(frame + 16);
    }
    if (type == RTE_ETHER_TYPE_IPV4) {
        m->l3_len = sizeof(struct rte_ipv4_hdr);
        m->ol_flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_UDP_CKSUM;
    } else {
        m->l3_len = sizeof(struct rte_ipv6_hdr);
        m->ol_flags |= RTE_MBUF_F_TX_IPV6 | RTE_MBUF_F_TX_UDP_CKSUM;
    }
}

// False: it stayed shut for too long.
static bool gate_pass(struct ethdev_queue *q)
{
    for (unsigned tries = 0; tries < ETHDEV_GATE_TRIES; tries++) {
        if (ethdev_gate_enter(&q->pass))
            return true;
        rte_pause();
    }
    return false;
}

static void burst_send(struct ethdev_queue *q, struct rte_mbuf **mbufs, uint16_t count, uint16_t *sent)
{
    uint16_t done = 0;
    bool is_in = !q->is_gated || gate_pass(q);

    for (unsigned tries = 0; is_in && done < count && tries < ETHDEV_TX_TRIES; tries++) {
        if (tries > 0)
            rte_pause();
        uint16_t n = rte_eth_tx_burst(q->port_id, q->id, mbufs + done, (uint16_t)(count - done));
        done = (uint16_t)(done + n);
    }
    if (q->is_gated && is_in)
        ethdev_gate_leave(&q->pass);
    if (done < count) { // the device is behind: waiting longer would hold up the whole core
        plx_counter_add(&q->stats.tx_dropped, count - done);
        rte_pktmbuf_free_bulk(mbufs + done, count - done);
    }
    *sent = (uint16_t)(*sent + done);
}

uint16_t ethdev_tx(struct plx_port *port, uint16_t queue, struct plx_pkt **pkts, uint16_t count)
{
    struct ethdev_queue *q = queue_of(port, queue);
    struct rte_mbuf *mbufs[ETHDEV_BURST_MAX];
    uint64_t bytes = 0;
    uint16_t sent = 0;

    for (uint16_t i = 0, n; i < count; i = (uint16_t)(i + n)) {
        for (n = 0; n < ETHDEV_BURST_MAX && i + n < count; n++) {
            const struct plx_pkt *pkt = pkts[i + n];
            struct rte_mbuf *m = pkt->driver;
            m->data_off = (uint16_t)(pkt->data - (uint8_t *)m->buf_addr);
            m->data_len = pkt->len;
            m->pkt_len = pkt->len;
            m->ol_flags = 0;
            if ((pkt->flags & PLX_PKT_CSUM_TX) != 0)
                offload_set(m);
            bytes += pkt->len;
            mbufs[n] = m;
        }
        burst_send(q, mbufs, n, &sent);
    }
    plx_counter_add(&q->stats.tx_packets, sent);
    plx_counter_add(&q->stats.tx_bytes, bytes);
    return sent;
}

// --- buffers -----------------------------------------------------------------------------------------------

uint16_t ethdev_take(struct plx_port *port, uint16_t queue, struct plx_pkt **pkts, uint16_t count)
{
    struct ethdev_queue *q = queue_of(port, queue);
    struct rte_mbuf *mbufs[ETHDEV_BURST_MAX];
    uint16_t taken = 0;

    while (taken < count) {
        uint16_t n =
            (uint16_t)(count - taken) < ETHDEV_BURST_MAX ? (uint16_t)(count - taken) : ETHDEV_BURST_MAX;
        while (n > 0 && rte_pktmbuf_alloc_bulk(q->pool, mbufs, n) != 0)
            n /= 2; // all or nothing: ask for less until the pool is really empty
        if (n == 0)
            break;
        for (uint16_t i = 0; i < n; i++) {
            struct plx_pkt *pkt = rte_mbuf_to_priv(mbufs[i]);
            *pkt = (struct plx_pkt){
                .data = rte_pktmbuf_mtod(mbufs[i], uint8_t *), .cap = q->cap, .driver = mbufs[i]};
            pkts[taken++] = pkt;
        }
    }
    return taken;
}

void ethdev_give(struct plx_port *port, uint16_t queue, struct plx_pkt **pkts, uint16_t count)
{
    struct rte_mbuf *mbufs[ETHDEV_BURST_MAX];
    (void)port;
    (void)queue;

    for (uint16_t i = 0, n; i < count; i = (uint16_t)(i + n)) {
        for (n = 0; n < ETHDEV_BURST_MAX && i + n < count; n++)
            mbufs[n] = pkts[i + n]->driver;
        rte_pktmbuf_free_bulk(mbufs, n);
    }
}
