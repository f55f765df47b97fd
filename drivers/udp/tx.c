// tx.c -- datagrams into kernel sockets.
//
// Neighbours in the burst that go the same way (addresses, ECN) and have the same length, the last may be shorter, form
// a train: one message whose pieces are gathered by iovec from where they lie, with the segment size in a control
// message (GSO). All trains of one socket leave in one sendmmsg(). Most of what a datagram costs in the kernel is paid
// per message, so a train of 64 costs little more than one.
//
// What can go wrong, and what then:
//   no room (EAGAIN)     the device is behind. Wait for room, at most WAITS_MAX times WAIT_NS per call, then drop and
//                        count. Not waiting would turn every full queue into a burst of losses; waiting longer would
//                        hold up the other connections of the core, and their timers. The congestion controller
//                        learns of a drop as of any other loss.
//   train refused        (EIO: the device has no checksum offload; EINVAL, EMSGSIZE: a segment beyond the device's
//                        MTU, often a path MTU probe; a netfilter rule; …) Its datagrams go out one by one, and
//                        after a few refusals in a row the socket stops making trains.
//   anything else        (no route, refused by a filter, ICMP's echo of an earlier one) drop, count, go on.

#include <errno.h>
#include <netinet/udp.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#include "udp.h"

enum { WAITS_MAX = 4, WAIT_NS = 500 * 1000 };

// --- what goes together ------------------------------------------------------------------------------------

static bool is_same_way(const struct plx_pkt *a, const struct plx_pkt *b)
{
    return a->ecn == b->ecn && plx_addr_eq(&a->peer, &b->peer) && plx_addr_eq(&a->local, &b->local);
}

// Packets of the train that begins at pkts[0]: 1 when it stays alone.
static uint16_t train_count(struct plx_pkt **pkts, uint16_t count)
{
    uint16_t n = 1;
    uint32_t bytes = pkts[0]->len;

    while (n < count && n < UDP_SEGMENTS_MAX && pkts[0]->len > 0) {
        const struct plx_pkt *next = pkts[n];
        if (next->len == 0 || next->len > pkts[0]->len || bytes + next->len > UDP_TRAIN_BYTES ||
            !is_same_way(pkts[0], next))
            break;
        bytes += next->len;
        n++;
        if (next->len < pkts[0]->len)
            break; // the short one is the last
    }
    return n;
}

// --- one message -------------------------------------------------------------------------------------------

static void control_add(struct msghdr *h, int level, int type, const void *data, size_t len)
{
    struct cmsghdr *c = (struct cmsghdr *)((uint8_t *)h->msg_control + h->msg_controllen);

    c->cmsg_level = level;
    c->cmsg_type = type;
    c->cmsg_len = CMSG_LEN(len);
    memcpy(CMSG_DATA(c), data, len);
    h->msg_controllen += CMSG_SPACE(len);
}

static void control_add_source(struct msghdr *h, const struct plx_addr *local)
{
    if (local->af == PLX_AF_IP4) {
        struct in_pktinfo info = {0};
        memcpy(&info.ipi_spec_dst, local->ip, 4);
        control_add(h, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    } else {
        struct in6_pktinfo info = {.ipi6_ifindex = local->scope};
        memcpy(&info.ipi6_addr, local->ip, 16);
        control_add(h, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
    }
}

static bool names_source(const struct plx_addr *local)
{
    static const uint8_t none[16];
    return local->af != PLX_AF_NONE && memcmp(local->ip, none, sizeof none) != 0;
}

// Fills message slot m with a train of n packets whose iovecs begin at `iov`.
static void message_write(struct udp_queue *q, const struct udp_sock *s, unsigned m, unsigned iov,
                          struct plx_pkt **pkts, uint16_t n)
{
    const struct plx_pkt *first = pkts[0];
    struct msghdr *h = &q->tx_msg[m].msg_hdr;

    for (uint16_t i = 0; i < n; i++)
        q->tx_iov[iov + i] = (struct iovec){pkts[i]->data, pkts[i]->len};
    *h = (struct msghdr){
        .msg_name = &q->tx_name[m], .msg_iov = &q->tx_iov[iov], .msg_iovlen = n, .msg_control = q->tx_ctl[m]};
    h->msg_namelen = udp_sa_write(&first->peer, &q->tx_name[m]);

    if (first->ecn != PLX_ECN_NOT_ECT) {
        int tos = first->ecn;
        if (first->peer.af == PLX_AF_IP4)
            control_add(h, IPPROTO_IP, IP_TOS, &tos, sizeof tos);
        else
            control_add(h, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof tos);
    }
    if (s->is_wildcard && names_source(&first->local))
        control_add_source(h, &first->local);
    q->tx_plain_ctl[m] = (uint16_t)h->msg_controllen;
    if (n > 1)
        control_add(h, SOL_UDP, UDP_SEGMENT, &first->len, sizeof first->len);
    if (h->msg_controllen == 0)
        h->msg_control = NULL;
}

// --- sending -----------------------------------------------------------------------------------------------

// True when the socket has room again. One ppoll, bounded; a call of tx() has few of them.
static bool wait_for_room(struct udp_queue *q, const struct udp_sock *s)
{
    struct pollfd p = {.fd = s->fd, .events = POLLOUT};
    struct timespec most = {.tv_nsec = WAIT_NS};

    if (q->tx_waits == 0)
        return false;
    q->tx_waits--;
    udp_count(&q->stats.syscalls, 1);
    return ppoll(&p, 1, &most, NULL) > 0;
}

static size_t message_bytes(const struct msghdr *h)
{
    size_t bytes = 0;
    for (size_t i = 0; i < h->msg_iovlen; i++)
        bytes += h->msg_iov[i].iov_len;
    return bytes;
}

static void count_sent(struct udp_queue *q, const struct msghdr *h)
{
    udp_count(&q->stats.tx_packets, h->msg_iovlen);
    udp_count(&q->stats.tx_bytes, message_bytes(h));
}

// Sends the datagrams of a refused train one by one; returns how many went.
static uint16_t send_singly(struct udp_queue *q, const struct udp_sock *s, const struct msghdr *train,
                            uint16_t plain_ctl)
{
    uint16_t sent = 0;

    for (size_t i = 0; i < train->msg_iovlen; i++) {
        struct msghdr h = *train;
        h.msg_iov = &train->msg_iov[i];
        h.msg_iovlen = 1;
        h.msg_controllen = plain_ctl;
        if (plain_ctl == 0)
            h.msg_control = NULL;
        ssize_t r;
        do {
            r = sendmsg(s->fd, &h, MSG_DONTWAIT);
            udp_count(&q->stats.syscalls, 1);
        } while (r < 0 && (errno == EINTR || (errno == EAGAIN && wait_for_room(q, s))));
        if (r >= 0) {
            count_sent(q, &h);
            sent++;
        } else {
            udp_count(&q->stats.tx_dropped, 1);
        }
    }
    return sent;
}

// The first of the remaining messages was refused. Returns true when the same message shall be tried again;
// otherwise it is done with, and *sent has grown by what went out after all.
static bool on_refusal(struct udp_queue *q, struct udp_sock *s, unsigned m, int why, bool was_retried,
                       uint16_t *sent)
{
    const struct msghdr *h = &q->tx_msg[m].msg_hdr;

    if (why == EINTR || (why == EAGAIN && wait_for_room(q, s)))
        return true;
    if (!was_retried && (why == ECONNREFUSED || why == EHOSTUNREACH || why == ENETUNREACH))
        return true; // may be the pending error of an earlier datagram, which reporting has cleared
    bool is_train = h->msg_iovlen > 1;
    if (is_train && why != EAGAIN && why != ENOBUFS && why != ENOMEM) {
        udp_count(&q->stats.tx_fallbacks, 1);
        uint16_t singly = send_singly(q, s, h, q->tx_plain_ctl[m]);
        if (singly < h->msg_iovlen)
            s->gso_failures =
                0; // a datagram of it was at fault, a path MTU probe for instance, not the train
        else if (++s->gso_failures == UDP_GSO_FAILURES_MAX)
            s->has_gso = false;
        *sent = (uint16_t)(*sent + singly);
        return false;
    }
    udp_count(&q->stats.tx_dropped, h->msg_iovlen);
    return false;
}

// Sends `count` prepared messages through one socket; returns the number of packets that went.
static uint16_t messages_send(struct udp_queue *q, struct udp_sock *s, unsigned count)
{
    unsigned m = 0;
    uint16_t sent = 0;
    bool was_retried = false;

    while (m < count) {
        int r = sendmmsg(s->fd, &q->tx_msg[m], count - m, MSG_DONTWAIT);
        int why = errno;
        udp_count(&q->stats.syscalls, 1);
        for (int i = 0; i < r; i++) {
            const struct msghdr *h = &q->tx_msg[m++].msg_hdr;
            count_sent(q, h);
            sent = (uint16_t)(sent + h->msg_iovlen);
            if (h->msg_iovlen > 1)
                s->gso_failures = 0;
        }
        if (r > 0) {
            was_retried = false;
            continue;
        }
        was_retried = on_refusal(q, s, m, why, was_retried, &sent);
        if (!was_retried)
            m++;
    }
    return sent;
}

// Sends the packets at the front that share one socket; *taken says how many those were.
static uint16_t run_send(struct udp_port *p, struct udp_queue *q, struct plx_pkt **pkts, uint16_t count,
                         uint16_t *taken)
{
    struct udp_sock *s = udp_sock_for(p, q, &pkts[0]->local, pkts[0]->peer.af);
    unsigned messages = 0;
    uint16_t n = 0;

    if (s == NULL) {
        udp_count(&q->stats.tx_dropped, 1);
        *taken = 1;
        return 0;
    }
    while (n < count && n < UDP_BURST_MAX) {
        const struct plx_pkt *pkt = pkts[n];
        if (n > 0 &&
            (pkt->peer.af != pkts[n - 1]->peer.af || !plx_addr_eq(&pkt->local, &pkts[n - 1]->local)) &&
            udp_sock_for(p, q, &pkt->local, pkt->peer.af) != s)
            break;
        uint16_t left = (uint16_t)((count < UDP_BURST_MAX ? count : UDP_BURST_MAX) - n);
        uint16_t train = s->has_gso ? train_count(pkts + n, left) : 1;
        message_write(q, s, messages++, n, pkts + n, train);
        n = (uint16_t)(n + train);
    }
    *taken = n;
    return messages_send(q, s, messages);
}

uint16_t udp_tx(struct plx_port *port, uint16_t queue, struct plx_pkt **pkts, uint16_t count)
{
    struct udp_queue *q = udp_queue_of(port, queue);
    uint16_t sent = 0, taken;

    q->tx_waits = WAITS_MAX;
    for (uint16_t i = 0; i < count; i = (uint16_t)(i + taken))
        sent =
            (uint16_t)(sent + run_send((struct udp_port *)port, q, pkts + i, (uint16_t)(count - i), &taken));
    udp_pool_give(q, pkts, count);
    return sent;
}
