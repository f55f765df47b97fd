// plx/port.h -- the contract between the engine and whatever carries its packets.
//
// A port is a set of queues; each queue belongs to one core. The engine takes a burst of packets out of a
// queue (rx), gives their buffers back (give), takes empty buffers (take), fills them, and hands them over
// (tx). The buffers stay the driver's own throughout: struct plx_pkt only points into them, so an mbuf, a
// kernel message and a slot of a simulated link look alike from above, and nothing is copied between them.
//
// A port of *datagrams* (udp, loop, sim) brings the addresses with each packet: data is the UDP payload.
// A port of *frames* (ethdev, pcap on top of one) brings link-layer frames: data is the Ethernet header, and
// the engine's parse phase (lib/net) fills in the addresses. On transmit the engine always writes the UDP
// payload and the addresses; a port of frames needs `headroom` octets before data for the headers, which the
// engine's tx phase writes through lib/net before the packet reaches tx().
//
// Nothing here blocks except wait(). All functions but open and close are called by the queue's owning core
// only, so a driver needs no lock.

#ifndef PLX_PORT_H
#define PLX_PORT_H

#include <plx/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum plx_ecn { PLX_ECN_NOT_ECT = 0, PLX_ECN_ECT1 = 1, PLX_ECN_ECT0 = 2, PLX_ECN_CE = 3 }; // RFC 3168

// One datagram, or one frame, in a buffer that the driver owns.
struct plx_pkt {
    uint8_t *data; // first octet; on take(): where the UDP payload goes, with headroom before it
    uint16_t len;  // octets at data; take() sets 0
    // octets that may be written at data; rx: at least len (a port of frames: a reply is made in place)
    uint16_t cap;
    uint8_t ecn;          // enum plx_ecn: as received, or to be set
    uint8_t queue;        // the queue it came from
    uint16_t flags;       // enum plx_pkt_flag
    plx_time time;        // rx: when it was received (the clock of the breath, unless the port knows better);
                          // tx: earliest departure, 0 for at once (ports without pacing ignore it)
    struct plx_addr peer; // rx: source; tx: destination
    struct plx_addr local; // rx: destination; tx: source (af NONE: the port chooses)
    void *driver;          // the driver's own: buffer, mbuf, refcount
};

enum plx_pkt_flag {
    PLX_PKT_CSUM_OK = 1 << 0, // rx: the hardware has verified IP and UDP checksums
    PLX_PKT_CSUM_TX = 1 << 1, // tx: the hardware will fill in the UDP checksum (and IPv4's)
};

struct plx_port_caps {
    uint16_t queues_max;   // queues this port can give; one per worker
    uint16_t burst_max;    // most packets per rx/tx call
    uint16_t headroom;     // octets free before data in take()n packets
    uint16_t payload_max;  // largest UDP payload that can be sent on this port over IPv4 (MTU - 28)
    bool is_frames;        // data begins with the Ethernet header; else with the UDP payload
    bool rx_csum, tx_csum; // IPv4 and UDP checksums in hardware
    bool can_ecn;          // ECN can be set and read
    bool can_wait;         // wait() can sleep until something arrives (kernel sockets); else the core polls
    bool steer_by_cid;     // packets reach the queue named by the core octet of the connection ID
    uint8_t mac[6];        // frames: our address
    uint16_t vlan;         // frames: tag to put on, 0 for none
    int numa_node;         // of the device: the engine keeps its memory there; -1: none in particular
    struct plx_addr bound; // datagrams: the first listen address in force, with the port that a 0 became
    char describe[160];    // one line for people: driver, device, offloads in force, instruction sets, …
    // for people, where there are several queues: how packets find theirs, and why what would be better is not in force
    char steering[256];
};

struct plx_port_cfg {
    const char *args; // the driver's own argument text (device name, interface, …); may be NULL
    // addresses to bind (udp) or to answer for (frames); may be empty for clients
    const struct plx_addr *listen;
    uint16_t listen_count;
    uint16_t queues;  // wanted: one per worker
    uint16_t mtu;     // IP MTU; 0: the driver's default (1500; kernel sockets: more on loopback)
    uint32_t buffers; // packets in flight per queue that take() must be able to give; 0: default
    int numa_node;    // where buffers should live; -1: anywhere
};

struct plx_port; // a driver's struct begins with this one

struct plx_port_stats {
    uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes; // packets: datagrams or frames; bytes: as in len
    uint64_t rx_dropped;   // lost before us (device or socket buffer), where the driver can know
    uint64_t tx_dropped;   // not sent: device or socket refused
    uint64_t tx_fallbacks; // trains that had to be sent packet by packet (GSO refused)
    uint64_t syscalls;     // kernel sockets: calls made
};

// What a driver implements. Each queue is used by one thread only.
struct plx_port_ops {
    const char *name;

    // Makes the port ready: binds, starts queues. On failure nothing stays open, and err holds one sentence
    // that names the cause and the remedy. Context: the starting thread, before any worker runs.
    PLX_MUST_USE enum plx_err (*open)(struct plx_port *port, const struct plx_port_cfg *cfg,
                                      struct plx_port_caps *caps, char *err, size_t err_len);

    // Undoes open(). All packets have been given back. Context: after the workers have ended.
    void (*close)(struct plx_port *port);

    // Called once per queue on the thread that will use it, before anything else there.
    void (*thread_attach)(struct plx_port *port, uint16_t queue);

    // Up to max received packets. They belong to the caller until give(). Never blocks.
    uint16_t (*rx)(struct plx_port *port, uint16_t queue, struct plx_pkt **pkts, uint16_t max);

    // Sends count packets in order and takes them back in any case: a packet that could not be sent is
    // dropped and counted (UDP promises no more). Returns how many were sent. Packets come from take() of the
    // same queue. The driver may join neighbours with equal addresses and length (GSO).
    uint16_t (*tx)(struct plx_port *port, uint16_t queue, struct plx_pkt **pkts, uint16_t count);

    // Up to count empty packets to fill; fewer when the pool is empty (try again in the next breath).
    uint16_t (*take)(struct plx_port *port, uint16_t queue, struct plx_pkt **pkts, uint16_t count);

    // Gives packets back unsent: those of rx() once delivered, those of take() not needed.
    void (*give)(struct plx_port *port, uint16_t queue, struct plx_pkt **pkts, uint16_t count);

    // Sleeps until a packet may have arrived, wake() was called, or max has passed. NULL when !can_wait.
    void (*wait)(struct plx_port *port, uint16_t queue, plx_dur max);

    // Ends a wait() of that queue, from any thread (a packet was put into its hand-off ring). NULL when
    // !can_wait.
    void (*wake)(struct plx_port *port, uint16_t queue);

    // Counters of this queue since open; any thread may read them (monotonic, relaxed).
    void (*stats)(const struct plx_port *port, uint16_t queue, struct plx_port_stats *out);

    // One more source port for a client that wants one per connection: *local gets an unspecified IP and the
    // new port; packets sent with it as `local` leave from there, and the answers come to this queue.
    // PLX_ERR_SYSTEM when the system has none left. Owning core, outside of the packet path (it makes a
    // socket). Both are NULL when the port sends from any port it is told to (frames, loop, sim): then the
    // caller picks numbers itself.
    PLX_MUST_USE enum plx_err (*source_open)(struct plx_port *port, uint16_t queue, enum plx_af af,
                                             struct plx_addr *local);
    void (*source_close)(struct plx_port *port, uint16_t queue, const struct plx_addr *local);
};

struct plx_port {
    const struct plx_port_ops *ops;
    void (*free)(struct plx_port *port); // releases the struct itself, after close()
};

// The ports that come with the library. Each returns a port not yet opened, or NULL when memory is short;
// free it with plx_port_free() after close(). Context: any thread.
PLX_API struct plx_port *plx_port_udp(void);
PLX_API struct plx_port *plx_port_ethdev(void); // NULL also when the library was built without DPDK
// Memory shared with another process that speaks memif 2.0: ourselves, DPDK's net_memif. One queue; needs no DPDK.
PLX_API struct plx_port *plx_port_memif(void);

// A recorder between the engine and another port: every packet that passes is appended to a pcapng file
// (datagram ports get a made-up Ethernet/IP/UDP header), with TLS secrets beside it as the caller's key log
// allows. Owns `under`, which plx_port_free() of the recorder frees; path is copied. NULL when memory is
// short (`under` is then still the caller's); a file that cannot be written makes open() fail, and says so.
// Any thread, before the engine is made. Cost: a copy of every packet.
PLX_API struct plx_port *plx_port_pcap(struct plx_port *under, const char *path);

// Puts lines of a TLS key log (NSS format) into the recording of a port that plx_port_pcap() made and that is
// open, ahead of the packets still in memory, so that a reader can decrypt what follows. Any thread.
PLX_API void plx_port_pcap_secrets(struct plx_port *port, const char *text, size_t len);

// From now on packets are stamped with this time instead of the wall clock: for simulations. Before the
// workers run, or by the only one.
PLX_API void plx_port_pcap_at(struct plx_port *port, plx_time now);

// Writes out what is in memory; the file is complete up to here. Call it where no worker uses the port
// (before close(), which does the same silently). Returns PLX_ERR_SYSTEM, with the cause in err, when any
// write since open() has failed: packets are missing then.
PLX_API PLX_MUST_USE enum plx_err plx_port_pcap_flush(struct plx_port *port, char *err, size_t err_len);

// Frees a port that is closed or was never opened; NULL is fine. A port that was given to plx_engine_new() is
// the engine's to free.
PLX_API void plx_port_free(struct plx_port *port);

// Hands EAL its arguments (those behind "--" on a command line). Once per process, before the first ethdev
// port opens; without it the port starts EAL with defaults. Returns PLX_ERR_SYSTEM with the cause and the
// remedy in err.
PLX_API PLX_MUST_USE enum plx_err plx_eal_init(int argc, char **argv, char *err, size_t err_len);

#ifdef __cplusplus
}
#endif
#endif
