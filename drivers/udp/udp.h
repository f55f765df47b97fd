// udp.h -- the inside of the kernel-socket driver: what its files share.
//
//   udp.c     the port: open, close, wait, wake, counters
//   socket.c  one socket: options, binding, addresses to and from the kernel's form; the table of a queue's sockets
//   pool.c    memory: packet records, transmit memory, receive buffers shared by the datagrams of one train
//   rx.c      recvmmsg, control messages, splitting of trains (GRO)
//   tx.c      sendmmsg, joining of neighbours into trains (GSO), what to do when the kernel refuses
//
// Nothing here is visible to other folders; the driver's door is plx_port_udp() in plx/port.h.

#ifndef PLX_DRIVERS_UDP_H
#define PLX_DRIVERS_UDP_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "plx/port.h"

enum {
    UDP_BURST_MAX = 64,       // messages per system call; the engine's burst
    UDP_SEGMENTS_MAX = 64,    // datagrams per train: UDP_MAX_SEGMENTS in linux/udp.h (128 since 6.9)
    UDP_TRAIN_BYTES = 65507,  // octets per train: 65535 less the smallest IPv4 and UDP headers
    UDP_TRAIN_BUFFER = 65536, // a receive buffer that holds any train
    UDP_MTU_DEFAULT = 1500,   // Ethernet
    UDP_MTU_OWN = 9216,       // between programs of one machine: seven datagrams fill a train
    UDP_IP4_OVERHEAD = 28,    // IPv4 and UDP headers
    UDP_DATAGRAM_MIN = 9216,  // a receive buffer without GRO: what a neighbour on the same machine may send
    UDP_TX_DEFAULT = 1024,    // packets that take() gives when the configuration names no number
    // 16 MB of trains at most; a buffer returns when its last datagram is given back
    UDP_RX_BUFFERS_GRO = 256,
    // wanted socket buffers: 5 ms at 12 Gbit/s; what the system grants is in describe
    UDP_SOCKET_BYTES = 8 << 20,
    UDP_GSO_FAILURES_MAX = 4, // refused trains in a row until a socket stops trying
    // listeners, defaults and source ports of one queue; untouched slots cost no memory
    UDP_SOCKS_MAX = 65536,
    UDP_CTL_BYTES = 128,     // control messages of one message: ECN, packet info and segment size need 88
    UDP_DROPS_STRIDE = 4096, // calls of rx() between two looks at the kernel's drop counter
};

_Static_assert((int)UDP_SEGMENTS_MAX <= (int)UDP_BURST_MAX, "the packets of a train come from one burst");

union udp_sa { // a socket address of either family
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

// Receive memory for one message. A train is split into packets that all point in here.
struct udp_rxbuf {
    uint8_t *mem;
    uint32_t refs; // packets not given back, plus one while it is being split
};

// One received message on its way to becoming packets.
struct udp_pending {
    struct udp_rxbuf *buf;
    uint32_t at, len; // next octet to hand out; octets in all
    uint32_t segment; // length of each datagram but the last
    uint8_t ecn;
    struct plx_addr peer, local;
};

struct udp_sock {
    int fd;                // -1: the slot is free, or not opened yet
    struct plx_addr bound; // with the real port; the IP is unspecified for wildcards
    bool is_wildcard;      // bound to every address: packet info tells and chooses the local one
    bool has_gso, has_gro;
    uint8_t gso_failures; // trains refused in a row
    uint32_t drops_seen;  // the kernel's drop counter when we last looked; it wraps
    uint32_t next_hole;   // a closed source slot: the next one, 0 for none
};

struct udp_queue {
    // --- sockets: listeners, then one default per family, then source ports -------------------------------
    struct udp_sock *socks;
    uint32_t socks_len, socks_fixed, socks_open;
    uint32_t hole;        // a closed source slot to use again, 0 for none
    uint16_t *by_port[2]; // IPv4, IPv6: port -> index of its source socket; made when the first one is opened
    int epoll_fd, wake_fd;
    uint32_t woken; // atomic: a wake() that wait() has not yet seen

    // --- receive -------------------------------------------------------------------------------------------
    struct udp_pending pending[UDP_BURST_MAX];
    uint16_t pending_at, pending_len;
    uint16_t segments_seen; // datagrams per message lately, to ask for no more messages than fit the burst
    uint32_t rx_calls;
    struct mmsghdr rx_msg[UDP_BURST_MAX];
    struct iovec rx_iov[UDP_BURST_MAX];
    union udp_sa rx_name[UDP_BURST_MAX];
    struct udp_rxbuf *rx_buf[UDP_BURST_MAX];
    _Alignas(8) uint8_t rx_ctl[UDP_BURST_MAX][UDP_CTL_BYTES];

    // --- transmit ------------------------------------------------------------------------------------------
    struct mmsghdr tx_msg[UDP_BURST_MAX];
    struct iovec tx_iov[UDP_BURST_MAX];
    union udp_sa tx_name[UDP_BURST_MAX];
    uint16_t tx_plain_ctl[UDP_BURST_MAX]; // control length without the segment size, which stands last
    uint8_t tx_waits;                     // waits for room that this call of tx() may still make
    _Alignas(8) uint8_t tx_ctl[UDP_BURST_MAX][UDP_CTL_BYTES];

    // --- memory: one slab, see pool.c ----------------------------------------------------------------------
    struct plx_arena slab;
    uint8_t *tx_mem;
    size_t tx_stride;
    uint32_t rx_buf_bytes; // room in each receive buffer
    struct plx_pkt *tx_pkts, *rx_pkts;
    struct udp_rxbuf *rx_bufs;
    struct plx_pkt **tx_free, **rx_free;
    struct udp_rxbuf **buf_free;
    uint32_t tx_count, rx_count, buf_count;          // how many there are
    uint32_t tx_free_len, rx_free_len, buf_free_len; // how many are at home

    _Alignas(64) struct plx_port_stats stats;
};

struct udp_port {
    struct plx_port port; // first
    struct udp_queue **queues;
    uint16_t queue_count;
    uint16_t payload_max;
    bool want_gso, want_gro;
    bool is_shared; // several queues on one address: SO_REUSEPORT
    bool want_steer, is_steered;
    int steer_errno; // why not
};

// --- pool.c: memory of a queue -----------------------------------------------------------------------------

struct udp_pool_cfg {
    uint32_t tx_count, payload_max;
    bool has_gro;
    int numa_node;
};

// Maps and carves the slab. False when the system has no memory. fini is safe after a failed or absent init.
bool udp_pool_init(struct udp_queue *q, const struct udp_pool_cfg *cfg);
void udp_pool_fini(struct udp_queue *q);
uint16_t udp_pool_take(struct udp_queue *q, struct plx_pkt **pkts, uint16_t count, uint16_t cap);
void udp_pool_give(struct udp_queue *q, struct plx_pkt **pkts, uint16_t count);
void udp_rxbuf_release(struct udp_queue *q, struct udp_rxbuf *buf);

// --- socket.c ----------------------------------------------------------------------------------------------

socklen_t udp_sa_write(const struct plx_addr *a, union udp_sa *sa);
bool udp_sa_read(const union udp_sa *sa, struct plx_addr *a);

// Opens and binds a socket and enters it into the queue's table at slot `at` (or a free one with UDP_SLOT_ANY).
// NULL on failure, with errno set. Owning core, or before it runs.
#define UDP_SLOT_ANY UINT32_MAX
struct udp_sock *udp_sock_open(struct udp_port *p, struct udp_queue *q, const struct plx_addr *at,
                               uint32_t slot);
// Lets the kernel choose among the queues of the address by the core number in connection IDs of the plain codec. False with errno set.
bool udp_sock_steer(const struct udp_sock *s);
void udp_sock_close(struct udp_queue *q, struct udp_sock *s);
// The MTU that the kernel has for the way to an address of the machine itself; 0 when it does not say.
uint32_t udp_own_mtu(const struct plx_addr *at);
bool udp_socks_init(struct udp_queue *q, uint32_t listeners);
void udp_socks_fini(struct udp_queue *q);

// The socket that a packet leaves by, opening the family's default on first use; NULL when there is none.
struct udp_sock *udp_sock_for(struct udp_port *p, struct udp_queue *q, const struct plx_addr *local,
                              enum plx_af af);

enum plx_err udp_source_open(struct plx_port *port, uint16_t queue, enum plx_af af, struct plx_addr *local);
void udp_source_close(struct plx_port *port, uint16_t queue, const struct plx_addr *local);

// --- rx.c, tx.c --------------------------------------------------------------------------------------------

uint16_t udp_rx(struct plx_port *port, uint16_t queue, struct plx_pkt **pkts, uint16_t max);
uint16_t udp_tx(struct plx_port *port, uint16_t queue, struct plx_pkt **pkts, uint16_t count);
void udp_drops_refresh(struct udp_queue *q);

static inline struct udp_queue *udp_queue_of(struct plx_port *port, uint16_t queue)
{
    return ((struct udp_port *)port)->queues[queue];
}

// Counters are written by one thread and read by any: a plain add, made visible without tearing.
static inline void udp_count(uint64_t *counter, uint64_t n)
{
    __atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

#endif
