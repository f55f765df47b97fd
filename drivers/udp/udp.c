// udp.c -- a port of datagrams over kernel sockets: needs no root, no huge pages, no device of its own.
//
// Each queue has its own sockets, memory, epoll set and eventfd, so that a worker shares nothing with its neighbours;
// the kernel spreads the peers over the queues (SO_REUSEPORT, by a hash of the tuple). A server binds cfg->listen on
// every queue. A client binds nothing: the first packet without a local address opens a socket on a port that the
// kernel chooses, one per family and queue; source_open() gives more of them.
//
// cfg->args: words separated by commas. "nogso", "nogro": do without, to compare, or where a device lies about it.
// With several queues, datagrams reach the queue that the first octet of their connection ID names (its low seven bits, as the
// plain codec writes them). "nosteer": the kernel goes by the tuple instead, and a peer whose address changes lands on another queue;
// for who shares the addresses with another process, whose sockets would be none of the queues counted here.
//
// Sleeping and waking: wait() sleeps in ppoll() on the epoll set, in which the queue's eventfd stands beside its
// sockets. wake() writes to the eventfd only if no earlier wake() is still unseen, so that a burst of hand-offs costs
// one system call:
//   W1 (release, woken := 1) pairs with W2 (acquire, woken := 0): what the waker did before it called wake() is
//   visible to the queue's owner after wait() returns.

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "udp.h"

static const uint32_t WAKE_MARK = UINT32_MAX; // the eventfd's place in the epoll set

// --- one queue ---------------------------------------------------------------------------------------------

static void queue_free(struct udp_queue *q)
{
    if (q == NULL)
        return;
    udp_socks_fini(q);
    udp_pool_fini(q);
    if (q->epoll_fd >= 0)
        close(q->epoll_fd);
    if (q->wake_fd >= 0)
        close(q->wake_fd);
    free(q);
}

// A queue without its sockets and memory; NULL with errno set.
static struct udp_queue *queue_new(uint32_t listeners)
{
    struct udp_queue *q = aligned_alloc(64, (sizeof *q + 63) / 64 * 64);
    if (q == NULL)
        return NULL;
    *q = (struct udp_queue){.segments_seen = 1};
    q->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    q->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct epoll_event ev = {.events = EPOLLIN, .data.u32 = WAKE_MARK};
    if (q->epoll_fd < 0 || q->wake_fd < 0 || !udp_socks_init(q, listeners) ||
        epoll_ctl(q->epoll_fd, EPOLL_CTL_ADD, q->wake_fd, &ev) != 0) {
        int why = errno;
        queue_free(q);
        errno = why;
        return NULL;
    }
    return q;
}

// --- open --------------------------------------------------------------------------------------------------

static enum plx_err say_bind(char *err, size_t err_len, const struct plx_addr *a, int why)
{
    char text[PLX_ADDR_STRLEN];
    const char *remedy = why == EADDRINUSE      ? "stop the program that has it, or choose another port"
                         : why == EACCES        ? "choose a port from 1024 up, or grant CAP_NET_BIND_SERVICE"
                         : why == EADDRNOTAVAIL ? "choose an address that this machine has (ip address)"
                         : why == EAFNOSUPPORT
                             ? "this kernel is without that address family; leave the address out"
                         : why == EMFILE ? "raise the limit of open files (ulimit -n)"
                                         : "see the system's log";
    snprintf(err, err_len, "udp: cannot listen on %s: %s; %s", plx_addr_str(a, text), strerror(why), remedy);
    return PLX_ERR_SYSTEM;
}

// Binds queue i's listeners. Queue 0 decides what number a port 0 becomes; the others follow.
static enum plx_err listeners_open(struct udp_port *p, uint16_t i, const struct plx_port_cfg *cfg, char *err,
                                   size_t err_len)
{
    for (uint16_t l = 0; l < cfg->listen_count; l++) {
        struct plx_addr at = cfg->listen[l];
        if (at.af != PLX_AF_IP4 && at.af != PLX_AF_IP6) {
            snprintf(err, err_len,
                     "udp: listen address %u has no family; write it as 192.0.2.1:443 or [::]:443", l);
            return PLX_ERR_INVALID;
        }
        if (i > 0)
            at.port = p->queues[0]->socks[l].bound.port;
        if (udp_sock_open(p, p->queues[i], &at, l) == NULL)
            return say_bind(err, err_len, &at, errno);
    }
    return PLX_OK;
}

// Whether the kernel knows trains both ways: asked of a socket that is closed again.
static bool kernel_has(struct udp_port *p, bool *gso, bool *gro)
{
    struct udp_queue *q = queue_new(0);
    struct plx_addr any = {.af = PLX_AF_IP4};
    struct udp_sock *s = q == NULL ? NULL : udp_sock_open(p, q, &any, 0);
    struct plx_addr any6 = {.af = PLX_AF_IP6};

    if (s == NULL && q != NULL)
        s = udp_sock_open(p, q, &any6, 0); // a machine without IPv4
    *gso = s != NULL && s->has_gso;
    *gro = s != NULL && s->has_gro;
    bool works = s != NULL;
    queue_free(q);
    return works;
}

static enum plx_err args_read(struct udp_port *p, const char *args, char *err, size_t err_len)
{
    p->want_gso = p->want_gro = p->want_steer = true;
    for (const char *at = args == NULL ? "" : args; *at != '\0';) {
        size_t len = strcspn(at, ",");
        if (len == 5 && memcmp(at, "nogso", 5) == 0) {
            p->want_gso = false;
        } else if (len == 5 && memcmp(at, "nogro", 5) == 0) {
            p->want_gro = false;
        } else if (len == 7 && memcmp(at, "nosteer", 7) == 0) {
            p->want_steer = false;
        } else {
            snprintf(err, err_len,
                     "udp: unknown driver argument \"%.*s\"; there are nogso, nogro and nosteer", (int)len,
                     at);
            return PLX_ERR_INVALID;
        }
        at += len + (at[len] == ',');
    }
    return PLX_OK;
}

static void steering_say(const struct udp_port *p, const struct plx_port_cfg *cfg, char *out, size_t out_len)
{
    if (!p->is_shared)
        return;
    if (cfg->listen_count == 0) { // each queue has sockets of its own
        snprintf(out, out_len, "by the port that the answered packet came from");
        return;
    }
    if (p->is_steered) {
        snprintf(out, out_len, "by connection ID, a BPF program on the sockets");
        return;
    }
    snprintf(
        out, out_len,
        "by the kernel's hash of addresses and ports, and handed over in software where that is wrong; not by "
        "connection ID: %s%s",
        p->want_steer ? "the kernel took no BPF program on its sockets: " : "",
        p->want_steer ? strerror(p->steer_errno) : "nosteer was asked for");
}

static void caps_fill(const struct udp_port *p, const struct plx_port_cfg *cfg, struct plx_port_caps *caps)
{
    const struct udp_sock *first = cfg->listen_count > 0 ? &p->queues[0]->socks[0] : NULL;
    int granted = 0;
    socklen_t len = sizeof granted;

    *caps = (struct plx_port_caps){
        .queues_max = p->queue_count,
        .burst_max = UDP_BURST_MAX,
        .payload_max = p->payload_max,
        .can_ecn = true,
        .can_wait = true,
        .steer_by_cid = p->is_steered,
        .rx_csum = true,
        .tx_csum = true,
        .numa_node = -1,
    };
    steering_say(p, cfg, caps->steering, sizeof caps->steering);
    if (first != NULL) {
        caps->bound = first->bound;
        if (getsockopt(first->fd, SOL_SOCKET, SO_RCVBUF, &granted, &len) != 0)
            granted = 0;
    }
    int at =
        snprintf(caps->describe, sizeof caps->describe, "kernel UDP sockets, %u queue%s%s, %sGSO, %sGRO, ECN",
                 p->queue_count, p->queue_count == 1 ? "" : "s", p->is_steered ? " by connection ID" : "",
                 p->want_gso ? "" : "no ", p->want_gro ? "" : "no ");
    if (granted > 0) // the kernel reports twice what was asked for, its own overhead included
        snprintf(caps->describe + at, sizeof caps->describe - (size_t)at, ", %d KB receive buffer per socket",
                 granted / 2048);
}

static void udp_close(struct plx_port *port)
{
    struct udp_port *p = (struct udp_port *)port;

    for (uint16_t i = 0; i < p->queue_count; i++)
        queue_free(p->queues[i]);
    free(p->queues);
    p->queues = NULL;
    p->queue_count = 0;
}

static enum plx_err queues_open(struct udp_port *p, const struct plx_port_cfg *cfg, char *err, size_t err_len)
{
    struct udp_pool_cfg pool = {
        .tx_count = cfg->buffers > 0 ? cfg->buffers : UDP_TX_DEFAULT,
        .payload_max = p->payload_max,
        .has_gro = p->want_gro,
        .numa_node = cfg->numa_node,
    };
    for (uint16_t i = 0; i < p->queue_count; i++) {
        p->queues[i] = queue_new(cfg->listen_count);
        if (p->queues[i] == NULL || !udp_pool_init(p->queues[i], &pool)) {
            snprintf(err, err_len, "udp: no resources for queue %u: %s; ask for fewer buffers or workers", i,
                     strerror(errno));
            return PLX_ERR_SYSTEM;
        }
        enum plx_err e = listeners_open(p, i, cfg, err, err_len);
        if (e != PLX_OK)
            return e;
    }
    p->is_steered = p->want_steer && p->is_shared && cfg->listen_count > 0;
    for (uint16_t l = 0; l < cfg->listen_count && p->is_steered;
         l++) { // a program belongs to all sockets of an address
        p->is_steered = udp_sock_steer(&p->queues[0]->socks[l]);
        p->steer_errno = errno;
    }
    return PLX_OK;
}

static bool is_loopback(const struct plx_addr *a)
{
    static const uint8_t one[16] = {[15] = 1};
    return a->af == PLX_AF_IP4 ? a->ip[0] == 127 : a->af == PLX_AF_IP6 && memcmp(a->ip, one, sizeof one) == 0;
}

// The MTU that nobody has named: Ethernet's. Who listens on loopback addresses alone speaks with programs of the same machine alone, and
// there the kernel knows what passes: fewer and larger datagrams then, which the peer may still limit (decision 19).
static uint32_t mtu_default(const struct plx_port_cfg *cfg)
{
    uint32_t mtu = cfg->listen_count > 0 ? UDP_MTU_OWN : UDP_MTU_DEFAULT;

    for (uint16_t l = 0; l < cfg->listen_count && mtu > UDP_MTU_DEFAULT; l++) {
        uint32_t own = is_loopback(&cfg->listen[l]) ? udp_own_mtu(&cfg->listen[l]) : 0;
        mtu = own < mtu ? own : mtu;
    }
    return mtu > UDP_MTU_DEFAULT ? mtu : UDP_MTU_DEFAULT;
}

static enum plx_err udp_open(struct plx_port *port, const struct plx_port_cfg *cfg,
                             struct plx_port_caps *caps, char *err, size_t err_len)
{
    struct udp_port *p = (struct udp_port *)port;
    uint32_t mtu = cfg->mtu > 0 ? cfg->mtu : mtu_default(cfg);
    bool gso, gro;

    enum plx_err e = args_read(p, cfg->args, err, err_len);
    if (e != PLX_OK)
        return e;
    if (mtu < 1228 || cfg->queues > 256) {
        //= rfc9000 14 "QUIC MUST NOT be used if the network path cannot support a maximum datagram size of at least 1200 bytes."
        snprintf(err, err_len, "udp: %s",
                 mtu < 1228 ? "QUIC needs an MTU of 1228 or more; raise mtu"
                            : "at most 256 queues; ask for fewer workers");
        return PLX_ERR_INVALID;
    }
    p->payload_max =
        (uint16_t)(mtu - UDP_IP4_OVERHEAD < UDP_TRAIN_BYTES ? mtu - UDP_IP4_OVERHEAD : UDP_TRAIN_BYTES);
    if (!kernel_has(p, &gso, &gro)) {
        snprintf(err, err_len,
                 "udp: cannot make a UDP socket: %s; see ulimit -n, and what confines this process",
                 strerror(errno));
        return PLX_ERR_SYSTEM;
    }
    p->want_gso = gso;
    p->want_gro = gro;
    uint16_t queues = cfg->queues > 0 ? cfg->queues : 1;
    p->is_shared = queues > 1;
    p->queues = calloc(queues, sizeof *p->queues);
    if (p->queues == NULL) {
        snprintf(err, err_len, "udp: out of memory for %u queues; ask for fewer workers", queues);
        return PLX_ERR_NOMEM;
    }
    p->queue_count = queues;
    e = queues_open(p, cfg, err, err_len);
    if (e != PLX_OK) {
        udp_close(port);
        return e;
    }
    caps_fill(p, cfg, caps);
    return PLX_OK;
}

// --- the rest of the contract ------------------------------------------------------------------------------

static void udp_thread_attach(struct plx_port *port, uint16_t queue)
{
    plx_check(queue < ((struct udp_port *)port)->queue_count); // a socket does not care which thread uses it
}

static uint16_t udp_take(struct plx_port *port, uint16_t queue, struct plx_pkt **pkts, uint16_t count)
{
    return udp_pool_take(udp_queue_of(port, queue), pkts, count, ((struct udp_port *)port)->payload_max);
}

static void udp_give(struct plx_port *port, uint16_t queue, struct plx_pkt **pkts, uint16_t count)
{
    udp_pool_give(udp_queue_of(port, queue), pkts, count);
}

static void udp_wait(struct plx_port *port, uint16_t queue, plx_dur max)
{
    struct udp_queue *q = udp_queue_of(port, queue);
    struct pollfd p = {.fd = q->epoll_fd, .events = POLLIN};
    struct timespec most = {.tv_sec = (time_t)(max.ns / 1000000000), .tv_nsec = (long)(max.ns % 1000000000)};
    static const uint64_t LONG = UINT64_C(1000000000) << 20; // twelve days; PLX_NEVER would overflow time_t

    udp_drops_refresh(q);
    if (q->pending_at == q->pending_len && __atomic_load_n(&q->woken, __ATOMIC_RELAXED) == 0) {
        udp_count(&q->stats.syscalls, 1);
        ppoll(&p, 1, max.ns < LONG ? &most : NULL, NULL); // EINTR is a reason to look, too
    }
    if (__atomic_load_n(&q->woken, __ATOMIC_ACQUIRE) ==
        0) // W2, also where the exchange below is left for later
        return;
    uint64_t times;
    udp_count(&q->stats.syscalls, 1);
    if (read(q->wake_fd, &times, sizeof times) == sizeof times)
        (void)__atomic_exchange_n(&q->woken, 0, __ATOMIC_ACQ_REL); // W2
    // else the waker stands between its flag and its write: the next wait() returns at once and clears both
}

static void udp_wake(struct plx_port *port, uint16_t queue)
{
    struct udp_queue *q = udp_queue_of(port, queue);
    uint64_t one = 1;

    if (__atomic_exchange_n(&q->woken, 1, __ATOMIC_ACQ_REL) != 0) // W1
        return;
    ssize_t wrote = write(q->wake_fd, &one, sizeof one);
    plx_check(wrote == sizeof one); // a counter of 0 or 1 is never full
}

static void udp_stats(const struct plx_port *port, uint16_t queue, struct plx_port_stats *out)
{
    const struct plx_port_stats *s = &((const struct udp_port *)port)->queues[queue]->stats;

    *out = (struct plx_port_stats){
#define READ(field) .field = __atomic_load_n(&s->field, __ATOMIC_RELAXED)
        READ(rx_packets), READ(rx_bytes),   READ(tx_packets),   READ(tx_bytes),
        READ(rx_dropped), READ(tx_dropped), READ(tx_fallbacks), READ(syscalls),
#undef READ
    };
}

static const struct plx_port_ops udp_ops = {
    .name = "udp",
    .open = udp_open,
    .close = udp_close,
    .thread_attach = udp_thread_attach,
    .rx = udp_rx,
    .tx = udp_tx,
    .take = udp_take,
    .give = udp_give,
    .wait = udp_wait,
    .wake = udp_wake,
    .stats = udp_stats,
    .source_open = udp_source_open,
    .source_close = udp_source_close,
};

static void udp_free(struct plx_port *port)
{
    plx_check(((struct udp_port *)port)->queues == NULL); // closed first
    free(port);
}

struct plx_port *plx_port_udp(void)
{
    struct udp_port *p = calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    p->port = (struct plx_port){.ops = &udp_ops, .free = udp_free};
    return &p->port;
}
