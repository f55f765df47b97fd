// pool.c -- the memory of one queue of kernel sockets.
//
// One arena per queue, made at open and cut in order:
//
//   packet records (transmit, receive) | their free stacks | receive buffers | free stack | tx memory | rx memory
//
// A transmit packet owns its memory for life: record i always points at stride i. A receive packet owns nothing: it
// points into a receive buffer, which a whole train of datagrams shares and which comes home when the last of them is
// given back. Which of the two a packet is, `driver` tells: the buffer, or NULL.
//
// Free things are stacks, so that the memory used next is the memory used last. With GRO a receive buffer is 64 KB, but
// the kernel writes only what arrived, and a page that was never written costs nothing: a queue that sees single
// datagrams touches one page per buffer. Strides are odd multiples of the cache line: with 64 KB exactly, the first
// lines of all buffers would fall into one set of every cache.

#include "base/check.h"
#include "udp.h"

static size_t odd_lines(size_t n)
{
    return ((n + 63) / 64 | 1) * 64;
}

// Octets of everything in the order of the picture above.
static size_t slab_bytes(const struct udp_queue *q)
{
    size_t records = (q->tx_count + q->rx_count) * (sizeof(struct plx_pkt) + sizeof(struct plx_pkt *)) +
                     q->buf_count * (sizeof(struct udp_rxbuf) + sizeof(struct udp_rxbuf *));
    return records + q->tx_count * q->tx_stride + q->buf_count * odd_lines(q->rx_buf_bytes) + 8 * 64;
}

bool udp_pool_init(struct udp_queue *q, const struct udp_pool_cfg *cfg)
{
    q->tx_count = cfg->tx_count;
    q->tx_stride = odd_lines(cfg->payload_max);
    if (cfg->has_gro) {
        q->rx_buf_bytes = UDP_TRAIN_BUFFER;
        q->buf_count = UDP_RX_BUFFERS_GRO;
        q->rx_count = UDP_RX_BUFFERS_GRO * 8; // records: enough for trains of eight in every buffer
    } else {
        q->rx_buf_bytes = cfg->payload_max > UDP_DATAGRAM_MIN ? cfg->payload_max : UDP_DATAGRAM_MIN;
        q->buf_count = cfg->tx_count > 2 * UDP_BURST_MAX ? cfg->tx_count : 2 * UDP_BURST_MAX;
        q->rx_count = q->buf_count;
    }

    struct plx_arena *a = &q->slab;
    if (!plx_arena_init(a, slab_bytes(q), cfg->numa_node, false))
        return false;
    q->tx_pkts = plx_arena_alloc(a, q->tx_count * sizeof *q->tx_pkts, 64);
    q->rx_pkts = plx_arena_alloc(a, q->rx_count * sizeof *q->rx_pkts, 64);
    q->rx_bufs = plx_arena_alloc(a, q->buf_count * sizeof *q->rx_bufs, 64);
    q->tx_free = plx_arena_alloc(a, q->tx_count * sizeof *q->tx_free, 64);
    q->rx_free = plx_arena_alloc(a, q->rx_count * sizeof *q->rx_free, 64);
    q->buf_free = plx_arena_alloc(a, q->buf_count * sizeof *q->buf_free, 64);
    q->tx_mem = plx_arena_alloc(a, q->tx_count * q->tx_stride, 64);
    uint8_t *rx_mem = plx_arena_alloc(a, q->buf_count * odd_lines(q->rx_buf_bytes), 64);
    plx_check(rx_mem != NULL); // the last one fits: slab_bytes() counts the same
    plx_arena_freeze(a);

    for (uint32_t i = 0; i < q->tx_count; i++)
        q->tx_free[q->tx_free_len++] = &q->tx_pkts[i];
    for (uint32_t i = 0; i < q->rx_count; i++)
        q->rx_free[q->rx_free_len++] = &q->rx_pkts[i];
    for (uint32_t i = 0; i < q->buf_count; i++) {
        q->rx_bufs[i].mem = rx_mem + i * odd_lines(q->rx_buf_bytes);
        q->buf_free[q->buf_free_len++] = &q->rx_bufs[i];
    }
    return true;
}

void udp_pool_fini(struct udp_queue *q)
{
    plx_arena_fini(&q->slab);
}

uint16_t udp_pool_take(struct udp_queue *q, struct plx_pkt **pkts, uint16_t count, uint16_t cap)
{
    uint32_t n = q->tx_free_len < count ? q->tx_free_len : count;

    for (uint32_t i = 0; i < n; i++) {
        struct plx_pkt *pkt = q->tx_free[--q->tx_free_len];
        *pkt = (struct plx_pkt){.data = q->tx_mem + (size_t)(pkt - q->tx_pkts) * q->tx_stride, .cap = cap};
        pkts[i] = pkt;
    }
    return (uint16_t)n;
}

void udp_rxbuf_release(struct udp_queue *q, struct udp_rxbuf *buf)
{
    plx_check(buf->refs > 0);
    if (--buf->refs > 0)
        return;
    plx_check(q->buf_free_len < q->buf_count); // a double give shows up here
    q->buf_free[q->buf_free_len++] = buf;
}

void udp_pool_give(struct udp_queue *q, struct plx_pkt **pkts, uint16_t count)
{
    for (uint16_t i = 0; i < count; i++) {
        struct plx_pkt *pkt = pkts[i];
        if (pkt->driver == NULL) {
            plx_check(q->tx_free_len < q->tx_count);
            q->tx_free[q->tx_free_len++] = pkt;
            continue;
        }
        plx_check(q->rx_free_len < q->rx_count);
        udp_rxbuf_release(q, pkt->driver);
        q->rx_free[q->rx_free_len++] = pkt;
    }
}
