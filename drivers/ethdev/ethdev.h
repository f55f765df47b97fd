// ethdev.h -- the inside of the DPDK driver: what its files share. Nothing named rte_* leaves this folder.
//
//   eal.c     starting DPDK's environment, once per process, and saying what it is missing
//   ethdev.c  the port: finding the device, configuring it, closing it
//   gate.h    when DPDK's interrupt thread may do what a burst would not survive
//   gather.h  when a queue is asked for packets, where asking often is dear
//   queue.c   the datapath of one queue
//   rule.c    flow rules by connection ID, as data
//   steer.c   putting them into the device, and what to do when it takes none
//   why.c     causes that DPDK does not name

#ifndef PLX_DRIVERS_ETHDEV_H
#define PLX_DRIVERS_ETHDEV_H

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "base/counter.h"
#include "gate.h"
#include "gather.h"
#include "plx/port.h"
#include "steer.h"

enum {
    ETHDEV_BURST_MAX = 64,
    ETHDEV_DESCRIPTORS = 1024, // per ring; the device may round it
    ETHDEV_BUFFERS = 4096,     // per queue for the engine, beyond those in rings and caches
    ETHDEV_CACHE = 256,        // of a mempool, per thread
    ETHDEV_RX_BUFFERED = 4096, // AF_XDP keeps two rings' worth of 2048 in the kernel
    ETHDEV_TX_TRIES = 64,      // for a full ring, before packets are dropped: some microseconds
    ETHDEV_GATE_TRIES = 4096,  // for the gate, before packets are dropped: some tenths of a millisecond
    ETHDEV_LINK_TRIES = 200,   // for the link to come up, 10 ms each
    ETHDEV_MTU_DEFAULT = 1500,
    ETHDEV_GATHER_XDP_US = 50, // between bursts over AF_XDP, unless it is said otherwise
    ETHDEV_GATHER_MAX_US = 1000,
    ETHDEV_WHY_MAX = 480, // octets of a remedy
};

struct ethdev_queue {
    struct rte_mempool *pool;
    uint16_t port_id, id;
    uint16_t cap; // octets for a payload behind the headroom
    struct ethdev_gather gather;
    bool is_gated; // each burst asks the gate
    struct ethdev_pass pass;
    _Alignas(64) struct {
        struct plx_counter rx_packets, rx_bytes, tx_packets, tx_bytes, rx_dropped, tx_dropped;
    } stats;
};

struct ethdev_port {
    struct plx_port port; // first
    uint16_t port_id, queue_count;
    bool is_configured, is_started, is_gated;
    struct ethdev_queue *queues;
    struct ethdev_steer steer;
};

// Starts EAL with its defaults unless it runs already.
enum plx_err ethdev_eal_ensure(char *err, size_t err_len);

// Keeps in mind what --vdev said, for ethdev_why().
void ethdev_why_note(int argc, char **argv);
bool ethdev_why_has_vdev(void);
// Something has failed: the remedy where a cause can be found, `otherwise` where not.
void ethdev_why(const char *otherwise, char *out, size_t out_len);

uint16_t ethdev_rx(struct plx_port *port, uint16_t queue, struct plx_pkt **pkts, uint16_t max);
uint16_t ethdev_tx(struct plx_port *port, uint16_t queue, struct plx_pkt **pkts, uint16_t count);
uint16_t ethdev_take(struct plx_port *port, uint16_t queue, struct plx_pkt **pkts, uint16_t count);
void ethdev_give(struct plx_port *port, uint16_t queue, struct plx_pkt **pkts, uint16_t count);

#endif
