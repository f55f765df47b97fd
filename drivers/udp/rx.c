// rx.c -- datagrams out of kernel sockets.
//
// One recvmmsg() fetches up to a burst of messages. With GRO a message may be a train: up to 64 datagrams of one sender
// that the kernel has glued together, with the length of each in a control message. A train is not taken apart by
// copying: its datagrams are handed out as packets that point into the one buffer. A train may hold more datagrams than
// the caller wants, so fetched messages wait in `pending` and the next call begins with them; sockets are asked only
// when nothing is pending, and for about as many messages as will fill the burst, judging by the last trains.
//
// When receive buffers or packet records run out (the engine holds them), nothing is read and the datagrams wait in the
// kernel, where an overflow is counted as rx_dropped. Errors that a socket reports here are ICMP's echoes of something
// sent earlier; any node on the path can forge them, QUIC has its own ways to notice, and reading goes on.

#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/check.h"
#include "udp.h"

// --- splitting ---------------------------------------------------------------------------------------------

// Hands out datagrams of pending messages: at most max, fewer when packet records run out.
static uint16_t pending_split(struct udp_queue *q, uint16_t queue, struct plx_pkt **pkts, uint16_t max)
{
    uint16_t n = 0;
    uint64_t bytes = 0;

    while (q->pending_at < q->pending_len && n < max && q->rx_free_len > 0) {
        struct udp_pending *m = &q->pending[q->pending_at];
        uint32_t left = m->len - m->at;
        uint32_t len = left < m->segment ? left : m->segment;
        struct plx_pkt *pkt = q->rx_free[--q->rx_free_len];

        *pkt = (struct plx_pkt){
            .data = m->buf->mem + m->at,
            .len = (uint16_t)len,
            .cap = (uint16_t)len,
            .ecn = m->ecn,
            .queue = (uint8_t)queue,
            .flags = PLX_PKT_CSUM_OK,
            .peer = m->peer,
            .local = m->local,
            .driver = m->buf,
        };
        m->buf->refs++;
        m->at += len;
        bytes += len;
        pkts[n++] = pkt;
        if (m->at == m->len) {
            udp_rxbuf_release(q, m->buf); // the splitter's own reference
            q->pending_at++;
        }
    }
    udp_count(&q->stats.rx_packets, n);
    udp_count(&q->stats.rx_bytes, bytes);
    return n;
}

// --- one message -------------------------------------------------------------------------------------------

static void control_read(struct msghdr *h, struct udp_pending *m)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c != NULL; c = CMSG_NXTHDR(h, c)) {
        const void *v = CMSG_DATA(c);
        int number = 0;
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
            m->ecn = *(const uint8_t *)v & 3;
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
            memcpy(&number, v, sizeof number);
            m->ecn = (uint8_t)(number & 3);
        } else if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
            memcpy(&number, v, sizeof number);
            m->segment = number > 0 ? (uint32_t)number : m->segment;
        } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, v, sizeof info);
            memcpy(m->local.ip, &info.ipi_addr, 4);
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, v, sizeof info);
            memcpy(m->local.ip, &info.ipi6_addr, 16);
            m->local.scope = IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr) ? info.ipi6_ifindex : 0;
        }
    }
}

// Turns slot i of the last recvmmsg() into a pending message; a cut-off one is dropped and counted.
static void message_on_recv(struct udp_queue *q, const struct udp_sock *s, unsigned i)
{
    struct msghdr *h = &q->rx_msg[i].msg_hdr;
    struct udp_pending *m = &q->pending[q->pending_len];
    struct udp_rxbuf *buf = q->rx_buf[i];

    *m = (struct udp_pending){.buf = buf, .len = q->rx_msg[i].msg_len, .local = s->bound};
    m->segment = m->len;
    control_read(h, m);
    if ((h->msg_flags & MSG_TRUNC) != 0 || !udp_sa_read(&q->rx_name[i], &m->peer)) {
        udp_count(&q->stats.rx_dropped, 1);
        return; // the slot keeps its buffer
    }
    buf->refs = 1;
    q->rx_buf[i] = NULL;
    q->pending_len++;
}

// Makes the first `want` message slots ready; returns how many have a buffer.
static unsigned slots_fill(struct udp_queue *q, unsigned want)
{
    for (unsigned i = 0; i < want; i++) {
        if (q->rx_buf[i] == NULL) {
            if (q->buf_free_len == 0)
                return i;
            q->rx_buf[i] = q->buf_free[--q->buf_free_len];
        }
        q->rx_iov[i] = (struct iovec){q->rx_buf[i]->mem, q->rx_buf_bytes};
        q->rx_msg[i].msg_hdr = (struct msghdr){
            .msg_name = &q->rx_name[i],
            .msg_namelen = sizeof q->rx_name[i],
            .msg_iov = &q->rx_iov[i],
            .msg_iovlen = 1,
            .msg_control = q->rx_ctl[i],
            .msg_controllen = sizeof q->rx_ctl[i],
        };
    }
    return want;
}

// --- sockets -----------------------------------------------------------------------------------------------

// Fetches messages for about `want` packets. True when the socket may hold more.
static bool sock_recv(struct udp_queue *q, const struct udp_sock *s, uint16_t want)
{
    unsigned messages = (want + q->segments_seen - 1u) / q->segments_seen;
    messages = slots_fill(q, messages < UDP_BURST_MAX ? messages : UDP_BURST_MAX);
    if (messages == 0)
        return false;

    int got;
    unsigned tries = 2; // a pending socket error is reported once and then gone
    do {
        got = recvmmsg(s->fd, q->rx_msg, messages, MSG_DONTWAIT, NULL);
        udp_count(&q->stats.syscalls, 1);
    } while (got < 0 && errno != EAGAIN && --tries > 0);
    if (got <= 0)
        return false;

    q->pending_at = q->pending_len = 0;
    unsigned segments = 0;
    for (unsigned i = 0; i < (unsigned)got; i++) {
        uint16_t before = q->pending_len;
        message_on_recv(q, s, i);
        if (q->pending_len > before && q->pending[before].segment > 0)
            segments +=
                (q->pending[before].len + q->pending[before].segment - 1) / q->pending[before].segment;
    }
    unsigned average = segments / (unsigned)got;
    q->segments_seen = (uint16_t)(average > 1 ? average : 1);
    return (unsigned)got == messages;
}

// Reads one socket until the burst is full or it runs dry; returns the new number of packets.
static uint16_t sock_drain(struct udp_queue *q, uint16_t queue, const struct udp_sock *s,
                           struct plx_pkt **pkts, uint16_t n, uint16_t max)
{
    bool has_more = true;

    while (has_more && n < max && q->pending_at == q->pending_len) {
        has_more = sock_recv(q, s, (uint16_t)(max - n));
        n = (uint16_t)(n + pending_split(q, queue, pkts + n, (uint16_t)(max - n)));
    }
    return n;
}

// Many sockets: ask the kernel which ones are worth a call.
static uint16_t rx_ready(struct udp_queue *q, uint16_t queue, struct plx_pkt **pkts, uint16_t n, uint16_t max)
{
    struct epoll_event ready[UDP_BURST_MAX];
    int count = epoll_wait(q->epoll_fd, ready, UDP_BURST_MAX, 0);

    udp_count(&q->stats.syscalls, 1);
    for (int i = 0; i < count && n < max; i++) {
        uint32_t at = ready[i].data.u32; // the eventfd is registered as UINT32_MAX
        if (at < q->socks_len && q->socks[at].fd >= 0)
            n = sock_drain(q, queue, &q->socks[at], pkts, n, max);
    }
    return n;
}

uint16_t udp_rx(struct plx_port *port, uint16_t queue, struct plx_pkt **pkts, uint16_t max)
{
    struct udp_queue *q = udp_queue_of(port, queue);

    if (++q->rx_calls % UDP_DROPS_STRIDE == 0)
        udp_drops_refresh(q);
    uint16_t n = pending_split(q, queue, pkts, max);
    if (n == max || q->pending_at < q->pending_len)
        return n;
    if (q->socks_open > 2 || q->socks_len > q->socks_fixed)
        return rx_ready(q, queue, pkts, n, max);
    for (uint32_t i = 0; i < q->socks_fixed && n < max; i++)
        if (q->socks[i].fd >= 0)
            n = sock_drain(q, queue, &q->socks[i], pkts, n, max);
    return n;
}

// Adds what the kernel has dropped for want of room since the last look. One getsockopt per socket.
void udp_drops_refresh(struct udp_queue *q)
{
    for (uint32_t i = 0; i < q->socks_fixed; i++) {
        struct udp_sock *s = &q->socks[i];
        uint32_t info[SK_MEMINFO_VARS] = {0};
        socklen_t len = sizeof info;
        if (s->fd < 0 || getsockopt(s->fd, SOL_SOCKET, SO_MEMINFO, info, &len) != 0)
            continue;
        udp_count(&q->stats.rx_dropped, info[SK_MEMINFO_DROPS] - s->drops_seen);
        s->drops_seen = info[SK_MEMINFO_DROPS];
    }
}
