// socket.c -- the sockets of one queue.
//
// A queue's table begins with one socket per listen address; then come two slots for the default sockets of a client
// (IPv4, IPv6), opened when the first packet of the family leaves without a local address; then source ports, opened
// on request, one per connection of a load generator. A packet finds its socket by its local port: the few fixed ones
// are searched, source ports have a table.
//
// IPv4 and IPv6 never share a socket (V6ONLY): with mapped addresses, ECN and packet info would come and go in two
// ways each. A socket on a wildcard address asks for packet info, so that an answer leaves from the address that was
// spoken to. Every socket sets DF and ignores what the kernel believes about path MTU (PMTUDISC_PROBE): QUIC probes
// for itself.
//
//= rfc9000 14 "UDP datagrams MUST NOT be fragmented at the IP layer."

#include <errno.h>
#include <linux/filter.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/check.h"
#include "udp.h"

// --- addresses ---------------------------------------------------------------------------------------------

socklen_t udp_sa_write(const struct plx_addr *a, union udp_sa *sa)
{
    if (a->af == PLX_AF_IP4) {
        sa->in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(a->port)};
        memcpy(&sa->in.sin_addr, a->ip, 4);
        return sizeof sa->in;
    }
    sa->in6 = (struct sockaddr_in6){
        .sin6_family = AF_INET6, .sin6_port = htons(a->port), .sin6_scope_id = a->scope};
    memcpy(&sa->in6.sin6_addr, a->ip, 16);
    return sizeof sa->in6;
}

bool udp_sa_read(const union udp_sa *sa, struct plx_addr *a)
{
    *a = (struct plx_addr){0};
    if (sa->sa.sa_family == AF_INET) {
        a->af = PLX_AF_IP4;
        a->port = ntohs(sa->in.sin_port);
        memcpy(a->ip, &sa->in.sin_addr, 4);
        return true;
    }
    if (sa->sa.sa_family == AF_INET6) {
        a->af = PLX_AF_IP6;
        a->port = ntohs(sa->in6.sin6_port);
        a->scope = sa->in6.sin6_scope_id;
        memcpy(a->ip, &sa->in6.sin6_addr, 16);
        return true;
    }
    return false;
}

static bool ip_is_unspecified(const struct plx_addr *a)
{
    static const uint8_t none[16];
    return memcmp(a->ip, none, sizeof none) == 0;
}

// --- one socket --------------------------------------------------------------------------------------------

static bool set_int(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

// Large buffers: FORCE passes net.core.?mem_max and needs CAP_NET_ADMIN, else take what the limit allows.
static void set_buffers(int fd)
{
    if (!set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, UDP_SOCKET_BYTES))
        set_int(fd, SOL_SOCKET, SO_RCVBUF, UDP_SOCKET_BYTES);
    if (!set_int(fd, SOL_SOCKET, SO_SNDBUFFORCE, UDP_SOCKET_BYTES))
        set_int(fd, SOL_SOCKET, SO_SNDBUF, UDP_SOCKET_BYTES);
}

// Everything the driver relies on. False when one of them is refused, with errno set.
static bool set_required(const struct udp_port *p, const struct udp_sock *s)
{
    bool ok = !p->is_shared || set_int(s->fd, SOL_SOCKET, SO_REUSEPORT, 1);

    if (s->bound.af == PLX_AF_IP4)
        return ok && set_int(s->fd, IPPROTO_IP, IP_RECVTOS, 1) &&
               set_int(s->fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE) &&
               (!s->is_wildcard || set_int(s->fd, IPPROTO_IP, IP_PKTINFO, 1));
    return ok && set_int(s->fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) &&
           set_int(s->fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1) &&
           set_int(s->fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE) &&
           (!s->is_wildcard || set_int(s->fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1));
}

// Creates, prepares and binds; on failure nothing stays open, and errno tells.
static bool sock_make(const struct udp_port *p, struct udp_sock *s, const struct plx_addr *at)
{
    union udp_sa sa;
    socklen_t len = udp_sa_write(at, &sa);

    *s = (struct udp_sock){.bound = *at, .is_wildcard = ip_is_unspecified(at)};
    s->fd = socket(sa.sa.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd < 0)
        return false;
    set_buffers(s->fd);
    s->has_gso = p->want_gso && set_int(s->fd, SOL_UDP, UDP_SEGMENT, 0); // 0 changes nothing: a question only
    s->has_gro = p->want_gro && set_int(s->fd, SOL_UDP, UDP_GRO, 1);
    if (!set_required(p, s) || bind(s->fd, &sa.sa, len) != 0 || getsockname(s->fd, &sa.sa, &len) != 0) {
        int why = errno;
        close(s->fd);
        s->fd = -1;
        errno = why;
        return false;
    }
    s->bound.port = ntohs(at->af == PLX_AF_IP4 ? sa.in.sin_port : sa.in6.sin6_port);
    return true;
}

uint32_t udp_own_mtu(const struct plx_addr *at)
{
    bool is_ip4 = at->af == PLX_AF_IP4;
    struct plx_addr to = *at;
    union udp_sa sa;
    int mtu = 0;
    socklen_t len = sizeof mtu;

    to.port = to.port != 0 ? to.port : 1; // nothing is sent there
    socklen_t sa_len = udp_sa_write(&to, &sa);
    int fd = socket(sa.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    if (connect(fd, &sa.sa, sa_len) != 0 ||
        getsockopt(fd, is_ip4 ? IPPROTO_IP : IPPROTO_IPV6, is_ip4 ? IP_MTU : IPV6_MTU, &mtu, &len) != 0)
        mtu = 0;
    close(fd);
    return mtu > 0 ? (uint32_t)mtu : 0;
}

// --- steering ----------------------------------------------------------------------------------------------

// A classic BPF program over the UDP payload whose result is the number of the queue: the low seven bits of the first octet of
// the destination connection ID, if that has the eight octets of ours (a short header does not say: there it is always
// ours). It is what the engine's hand-over goes by, packet for packet, so that nothing is left for it to do. The ID that a client
// invents for its first packets may have eight octets too, and then name a core by accident; it mostly names none: the result is out of
// range, and then the kernel chooses by the hash of the tuple, as it does for all datagrams without the program. False with errno set.
bool udp_sock_steer(const struct udp_sock *s)
{
    enum { OWN_CORE = 0x7f, LONG_HEADER = 0x80, OWN_LEN = 8, NOBODY = 0xffff };
    static struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, LONG_HEADER, 2, 0),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 1), // short header: the ID follows at once
        BPF_JUMP(BPF_JMP | BPF_JA, 3, 0, 0),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 5), // long header: behind the version, with its length in front
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OWN_LEN, 0, 3),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 6),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, OWN_CORE),
        BPF_STMT(BPF_RET | BPF_A, 0),
        BPF_STMT(BPF_RET | BPF_K, NOBODY),
    };
    static const struct sock_fprog program = {sizeof code / sizeof *code, code};
    return setsockopt(s->fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program) == 0;
}

// --- the table ---------------------------------------------------------------------------------------------

bool udp_socks_init(struct udp_queue *q, uint32_t listeners)
{
    q->socks_fixed = q->socks_len = listeners + 2;
    q->socks = calloc(UDP_SOCKS_MAX, sizeof *q->socks);
    if (q->socks == NULL) {
        q->socks_len = 0;
        return false;
    }
    for (uint32_t i = 0; i < q->socks_len; i++)
        q->socks[i].fd = -1;
    return true;
}

void udp_socks_fini(struct udp_queue *q)
{
    for (uint32_t i = 0; i < q->socks_len; i++)
        if (q->socks[i].fd >= 0)
            close(q->socks[i].fd);
    free(q->socks);
    free(q->by_port[0]);
    free(q->by_port[1]);
    q->socks = NULL;
    q->socks_len = q->socks_open = 0;
}

// A free slot behind the fixed ones; UDP_SLOT_ANY when there is none.
static uint32_t slot_take(struct udp_queue *q)
{
    if (q->hole != 0) {
        uint32_t slot = q->hole;
        q->hole = q->socks[slot].next_hole;
        return slot;
    }
    if (q->socks_len == UDP_SOCKS_MAX)
        return UDP_SLOT_ANY;
    q->socks[q->socks_len] = (struct udp_sock){.fd = -1};
    return q->socks_len++;
}

static void slot_give(struct udp_queue *q, uint32_t slot)
{
    if (slot < q->socks_fixed)
        return; // a place of its own
    q->socks[slot].next_hole = q->hole;
    q->hole = slot;
}

struct udp_sock *udp_sock_open(struct udp_port *p, struct udp_queue *q, const struct plx_addr *at,
                               uint32_t slot)
{
    struct udp_sock made;

    if (!sock_make(p, &made, at))
        return NULL;
    if (slot == UDP_SLOT_ANY)
        slot = slot_take(q);
    struct epoll_event ev = {.events = EPOLLIN, .data.u32 = slot};
    if (slot == UDP_SLOT_ANY || epoll_ctl(q->epoll_fd, EPOLL_CTL_ADD, made.fd, &ev) != 0) {
        close(made.fd);
        if (slot != UDP_SLOT_ANY)
            slot_give(q, slot);
        errno = ENOMEM; // as epoll says it
        return NULL;
    }
    plx_check(q->socks[slot].fd < 0);
    q->socks[slot] = made;
    q->socks_open++;
    return &q->socks[slot];
}

void udp_sock_close(struct udp_queue *q, struct udp_sock *s)
{
    plx_check(s->fd >= 0 && q->socks_open > 0);
    close(s->fd); // leaves the epoll set by itself
    s->fd = -1;
    q->socks_open--;
    slot_give(q, (uint32_t)(s - q->socks));
}

// --- which socket ------------------------------------------------------------------------------------------

// The default of a family: its first listener, else a socket of the client's own, opened on first use.
static struct udp_sock *default_sock(struct udp_port *p, struct udp_queue *q, enum plx_af af)
{
    uint32_t own = q->socks_fixed - (af == PLX_AF_IP4 ? 2 : 1);

    for (uint32_t i = 0; i < q->socks_fixed - 2; i++)
        if (q->socks[i].fd >= 0 && q->socks[i].bound.af == af)
            return &q->socks[i];
    if (q->socks[own].fd >= 0)
        return &q->socks[own];
    struct plx_addr any = {.af = (uint8_t)af};
    return udp_sock_open(p, q, &any, own);
}

struct udp_sock *udp_sock_for(struct udp_port *p, struct udp_queue *q, const struct plx_addr *local,
                              enum plx_af af)
{
    if (af != PLX_AF_IP4 && af != PLX_AF_IP6)
        return NULL;
    if (local->af == PLX_AF_NONE || local->port == 0)
        return default_sock(p, q, af);
    if (local->af != af)
        return NULL;

    const uint16_t *by_port = q->by_port[af == PLX_AF_IP6];
    if (by_port != NULL && by_port[local->port] != 0)
        return &q->socks[by_port[local->port]];
    for (uint32_t i = 0; i < q->socks_fixed; i++) {
        struct udp_sock *s = &q->socks[i];
        if (s->fd >= 0 && s->bound.af == af && s->bound.port == local->port &&
            (s->is_wildcard || memcmp(s->bound.ip, local->ip, sizeof local->ip) == 0 ||
             ip_is_unspecified(local)))
            return s;
    }
    return NULL;
}

// --- source ports ------------------------------------------------------------------------------------------

enum plx_err udp_source_open(struct plx_port *port, uint16_t queue, enum plx_af af, struct plx_addr *local)
{
    struct udp_queue *q = udp_queue_of(port, queue);
    uint16_t **by_port = &q->by_port[af == PLX_AF_IP6];
    struct plx_addr any = {.af = (uint8_t)af};

    if (af != PLX_AF_IP4 && af != PLX_AF_IP6)
        return PLX_ERR_INVALID;
    if (*by_port == NULL && (*by_port = calloc(UINT16_MAX + 1u, sizeof **by_port)) == NULL)
        return PLX_ERR_SYSTEM;
    struct udp_sock *s = udp_sock_open((struct udp_port *)port, q, &any, UDP_SLOT_ANY);
    if (s == NULL)
        return PLX_ERR_SYSTEM;
    *local = s->bound;
    (*by_port)[local->port] = (uint16_t)(s - q->socks);
    return PLX_OK;
}

void udp_source_close(struct plx_port *port, uint16_t queue, const struct plx_addr *local)
{
    struct udp_queue *q = udp_queue_of(port, queue);
    uint16_t *by_port = q->by_port[local->af == PLX_AF_IP6];

    plx_check(by_port != NULL && by_port[local->port] != 0);
    udp_sock_close(q, &q->socks[by_port[local->port]]);
    by_port[local->port] = 0;
}
