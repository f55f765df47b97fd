// memif.h -- the inside of the memif driver: what its files share.
//
//   wire.h     the protocol: messages, rings
//   args.c     what cfg->args says
//   area.c     memory: what a client shares, what a server maps, packet records, buffers
//   control.c  the control channel: connecting, being connected to, parting
//   client.c   the datapath of a client, which copies nothing
//   server.c   the datapath of a server, which copies what it sends
//   memif.c    the port
//
// Nothing here is visible to other folders; the driver's door is plx_port_memif() in plx/port.h.

#ifndef PLX_DRIVERS_MEMIF_H
#define PLX_DRIVERS_MEMIF_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/counter.h"
#include "plx/port.h"
#include "wire.h"

enum {
    MEMIF_BURST_MAX = 64,
    MEMIF_BUFFERS = 4096, // for the engine, beyond those in rings
    MEMIF_BUFFERS_MAX = 1 << 20,
    MEMIF_RX_HELD = 256,  // received and not given back yet, for as many the ring is still fully supplied
    MEMIF_RING_LOG2 = 10, // unless rsize says otherwise: DPDK's default
    MEMIF_BUFFER = 2048,  // unless bsize says otherwise: the same
    MEMIF_BUFFER_MAX = 16384,
    // for link-layer, IP and UDP headers of what take() gives. A frame over IPv4 without a tag, 42 octets of them, begins with a line, and
    // a pair of lines, which is what processors fetch: a small one is then two lines on their way to the other side, and not three
    MEMIF_FRAME_AT = 128,
    MEMIF_HEADROOM = MEMIF_FRAME_AT + 42,
    MEMIF_FRAME_MORE = 22, // Ethernet header, tag of a VLAN, and a check sequence that some leave on
    MEMIF_MTU_DEFAULT = 1500,
    MEMIF_TX_TRIES = 64,    // for a full ring, before packets are dropped: some microseconds
    MEMIF_TX_LEFT = 64,     // sent packets that may be waiting to be fetched before we look whether they were
    MEMIF_REPLY_ROOM = 128, // octets that an answer made in place may need, where the question was shorter
    MEMIF_REGIONS_MAX = 8,  // of one client: net_memif with zero-copy has one for each kind of its pages
    MEMIF_POLLS = 64,       // polls that find nothing, from one look at the clock to the next
    MEMIF_LOOK_US = 1000,   // from one look at the control channel to the next
    MEMIF_RETRY_US = 100000,  // from one attempt of a client to the next
    MEMIF_SHAKE_US = 1000000, // until a channel that does not come to CONNECTED is given up
    MEMIF_WAIT_MS = 250,      // unless wait says otherwise: more than from one attempt to the next
    MEMIF_PATH_MAX = 108,     // sizeof sun_path
};

// --- args.c ------------------------------------------------------------------------------------------------

struct memif_args {
    bool is_server;
    char path[MEMIF_PATH_MAX];
    uint32_t id;
    unsigned ring_log2;
    uint32_t buffer; // octets; 0: as much as the MTU needs, and MEMIF_BUFFER at least
    char secret[MEMIF_SECRET_LEN];
    uint8_t mac[6]; // all zeros: one that follows from the rest
    unsigned wait_ms;
};

enum plx_err memif_args_read(const char *args, struct memif_args *out, char *err, size_t err_len);

// --- area.c ------------------------------------------------------------------------------------------------

// A packet's record. They lie in an array, apart from all memory that is shared; which array a packet is from says where it lies, and its
// place there is the number of its buffer (or of its place in a server's ring).
struct memif_rec {
    struct plx_pkt pkt;
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct memif_rec) == 128, "two lines: an index is a shift");

struct memif_region {
    uint8_t *mem;
    uint64_t size;
};

// Packets and the memory that they lie in: a client's region, with its buffers and rings; a server's own buffers; or what a client
// shares with a server. It outlives its connection until every packet has been given back.
struct memif_area {
    struct memif_area *next; // retired ones
    struct memif_rec *recs;
    uint32_t count; // records
    uint32_t held;  // of a retired one: packets that the engine has
    struct plx_arena arena;

    // --- with buffers of ours: one for each record -----------------------------------------------------------
    uint8_t *buffers;
    size_t stride;
    uint32_t *free; // numbers of buffers at home: a stack, so that the warmest is taken first
    uint32_t free_count;
    uint32_t *sent, *offered; // a client's: the buffer at each place of its rings

    // --- shared ----------------------------------------------------------------------------------------------
    struct memif_region region[MEMIF_REGIONS_MAX];
    unsigned regions;
    int fd;        // a client's, of its region; -1 otherwise
    uint8_t *done; // of what is mapped: places of the client's ring that were given back out of turn
};

// buffers of size octets; ring_log2: in shared memory, with two rings in front of them, or negative for neither. NULL when memory is short.
struct memif_area *memif_area_new(uint32_t buffers, uint32_t size, int ring_log2, int numa_node);
// Nothing yet: for what a client shares.
struct memif_area *memif_area_map_new(void);
// Maps a region of it. NULL, or what is wrong with it. fd stays the caller's.
const char *memif_area_map(struct memif_area *a, int fd, uint64_t size);
// A record for each place of its ring. False when memory is short.
bool memif_area_map_records(struct memif_area *a, uint32_t count, int numa_node);
void memif_area_free(struct memif_area *a);

// The number of a packet's record; count or more when it is not of this area.
static inline uint64_t memif_area_number(const struct memif_area *a, const struct plx_pkt *pkt)
{
    return ((uintptr_t)pkt - (uintptr_t)a->recs) / sizeof(struct memif_rec);
}

// --- the port ----------------------------------------------------------------------------------------------

struct memif_tx { // our side of the ring that leads away from us
    struct memif_ring *ring;
    uint16_t mask;
    uint16_t next;  // the place that is filled next
    uint16_t seen;  // the other side's counter when we last looked
    uint32_t *slot; // client: which buffer was sent at each place
};

struct memif_rx { // … that leads to us
    struct memif_ring *ring;
    uint16_t mask;
    uint16_t next;    // the place that is read next
    uint16_t ours;    // the counter that we move: client, buffers offered; server, places given back
    bool is_in_chain; // what comes next is a piece of a packet that is dropped
    uint32_t *slot;   // client: which buffer was offered at each place
    uint8_t *done;    // server: places given back out of turn
};

enum memif_state {
    MEMIF_DOWN,    // no channel
    MEMIF_SHAKING, // a channel, no packets yet
    MEMIF_UP,
};

struct memif_control {
    enum memif_state state;
    int fd;        // the channel; -1
    int listen_fd; // server; -1
    int event_fd;  // client: what the protocol wants passed with each ring; -1
    unsigned step; // of a client's: messages sent; of a server's: 1 when INIT was good
    uint64_t look_at, retry_at, give_up_at; // us
    bool has_ring[2];                       // server: to it, from it
    struct memif_add_ring ring[2];
    uint64_t socket_dev, socket_ino; // of the socket file, which is removed by who made it
    char why[MEMIF_REASON_LEN + 64]; // the last one came to nothing
};

struct memif_port {
    struct plx_port port;    // first
    bool is_up;              // the rings may be used
    uint16_t cap;            // octets for a payload behind the headroom
    uint16_t idle;           // polls that found nothing since the last look at the clock
    unsigned ring_log2;      // in force
    uint32_t offer;          // octets of a buffer that is offered
    struct memif_area *pool; // take() takes from it; a client's is the one that it shares
    struct memif_area *map;  // server: what the client shares
    struct memif_tx tx;
    struct memif_rx rx;
    const char *lie; // what the other side did that cannot be; the channel is closed at the next look

    struct memif_area *retired;
    struct memif_control control;
    struct memif_args args;
    uint32_t buffers;
    int numa_node;
    bool is_open;

    _Alignas(64) struct {
        struct plx_counter rx_packets, rx_bytes, tx_packets, tx_bytes, rx_dropped, tx_dropped, syscalls;
    } stats;
};

// --- control.c ---------------------------------------------------------------------------------------------

enum plx_err memif_control_open(struct memif_port *p, char *err, size_t err_len);
void memif_control_close(struct memif_port *p);
// Does what can be done without waiting. Not from within a burst: memory may go.
void memif_control_look(struct memif_port *p, uint64_t now_us);
uint64_t memif_now_us(void);

// rx() has found nothing.
static inline void memif_idle(struct memif_port *p)
{
    if (++p->idle < MEMIF_POLLS && p->lie == NULL)
        return;
    p->idle = 0;
    uint64_t now = memif_now_us();
    if (p->control.state == MEMIF_SHAKING || p->lie != NULL || now >= p->control.look_at)
        memif_control_look(p, now);
}

// The other side has done what cannot be: nothing of it is believed from here on.
void memif_accuse(struct memif_port *p, const char *lie);

// --- memif.c: what both roles do alike -----------------------------------------------------------------------

uint16_t memif_take(struct memif_port *p, struct plx_pkt **pkts, uint16_t count);
// Packets come back to the pool, or to a connection that is over.
void memif_give(struct memif_port *p, struct plx_pkt **pkts, uint16_t count);

// --- client.c, server.c --------------------------------------------------------------------------------------

// A connection begins: rings and records are there.
void memif_client_start(struct memif_port *p);
uint16_t memif_client_rx(struct memif_port *p, struct plx_pkt **pkts, uint16_t max);
uint16_t memif_client_tx(struct memif_port *p, struct plx_pkt **pkts, uint16_t count);
// What the other side has fetched comes back to the pool.
void memif_client_reclaim(struct memif_port *p);
// Packets that are neither at home nor in a ring: the engine has them.
uint32_t memif_client_held(const struct memif_port *p);

void memif_server_start(struct memif_port *p);
uint16_t memif_server_rx(struct memif_port *p, struct plx_pkt **pkts, uint16_t max);
uint16_t memif_server_tx(struct memif_port *p, struct plx_pkt **pkts, uint16_t count);
void memif_server_give(struct memif_port *p, struct plx_pkt **pkts, uint16_t count);
uint32_t memif_server_held(const struct memif_port *p);

#endif
