// memif.c -- a port of frames over the memif protocol: memory shared between two processes, and no kernel on the way of a packet.
//
// cfg->args: words separated by commas, those of DPDK's net_memif, which is one of the peers (VPP is another):
//
//   role=client|server   the client owns the memory and copies nothing; the server copies what it sends
//   socket=PATH          of the local socket that the server listens at (/run/memif.sock)
//   id=N                 which of a server's interfaces (0); the same on both sides
//   rsize=LOG2           of the places in a ring (10); the client's counts, up to what the server allows
//   bsize=N              octets of a buffer (2048, or what the MTU needs)
//   secret=TEXT          the client's has to be the server's, where that has one
//   mac=MAC              our address; otherwise one that follows from machine, socket, id and role, and so is the same each time: whoever
//                        remembers it finds the next process of that role
//   wait=MS              for the other side, when the port is opened (250); without it the link comes up when it comes
//
// One queue. Whoever shares memory with us can write into packets while they are being read, as a card can: the two trust each other. What
// he says about where packets are is checked all the same.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/check.h"
#include "base/siphash.h"
#include "memif.h"

static struct memif_port *memif_of(struct plx_port *port)
{
    return (struct memif_port *)port;
}

// --- buffers -----------------------------------------------------------------------------------------------

uint16_t memif_take(struct memif_port *p, struct plx_pkt **pkts, uint16_t count)
{
    struct memif_area *a = p->pool;

    if (a == NULL)
        return 0;
    if (a->free_count < count && p->is_up && !p->args.is_server)
        memif_client_reclaim(p);
    if (a->free_count < count)
        count = (uint16_t)a->free_count;
    for (uint16_t i = 0; i < count; i++) {
        uint32_t number = a->free[--a->free_count];
        struct plx_pkt *pkt = &a->recs[number].pkt;
        *pkt = (struct plx_pkt){.data = a->buffers + number * a->stride + MEMIF_HEADROOM, .cap = p->cap};
        for (unsigned line = 0; line < 3; line++) // the other side has read them last
            __builtin_prefetch(a->buffers + number * a->stride + MEMIF_FRAME_AT + line * 64, 1);
        pkts[i] = pkt;
    }
    return count;
}

// A packet of a connection that is over. The memory goes with the last one.
static void give_late(struct memif_port *p, const struct plx_pkt *pkt)
{
    struct memif_area **at = &p->retired;

    while (*at != NULL && memif_area_number(*at, pkt) >= (*at)->count)
        at = &(*at)->next;
    plx_check(*at != NULL); // it came from here
    struct memif_area *a = *at;
    if (--a->held > 0)
        return;
    *at = a->next;
    memif_area_free(a);
}

void memif_give(struct memif_port *p, struct plx_pkt **pkts, uint16_t count)
{
    struct memif_area *a = p->pool;

    for (uint16_t i = 0; i < count; i++) {
        uint64_t number = a != NULL ? memif_area_number(a, pkts[i]) : UINT64_MAX;
        if (a != NULL && number < a->count) {
            plx_check(a->free_count < a->count); // a double give shows up here
            a->free[a->free_count++] = (uint32_t)number;
        } else {
            give_late(p, pkts[i]);
        }
    }
}

static uint16_t port_take(struct plx_port *port, uint16_t queue, struct plx_pkt **pkts, uint16_t count)
{
    (void)queue;
    return memif_take(memif_of(port), pkts, count);
}

static void port_give(struct plx_port *port, uint16_t queue, struct plx_pkt **pkts, uint16_t count)
{
    struct memif_port *p = memif_of(port);
    (void)queue;

    if (p->args.is_server)
        memif_server_give(p, pkts, count);
    else
        memif_give(p, pkts, count);
}

// --- packets -----------------------------------------------------------------------------------------------

static uint16_t port_rx(struct plx_port *port, uint16_t queue, struct plx_pkt **pkts, uint16_t max)
{
    struct memif_port *p = memif_of(port);
    (void)queue;
    return p->args.is_server ? memif_server_rx(p, pkts, max) : memif_client_rx(p, pkts, max);
}

static uint16_t port_tx(struct plx_port *port, uint16_t queue, struct plx_pkt **pkts, uint16_t count)
{
    struct memif_port *p = memif_of(port);
    (void)queue;
    return p->args.is_server ? memif_server_tx(p, pkts, count) : memif_client_tx(p, pkts, count);
}

// --- the rest of the contract ------------------------------------------------------------------------------

// False: err says what does not go together.
static bool wishes_check(struct memif_port *p, const struct plx_port_cfg *cfg, uint32_t mtu, char *err,
                         size_t err_len)
{
    uint32_t frame = mtu + MEMIF_FRAME_MORE;

    if (cfg->queues > 1) {
        snprintf(
            err, err_len,
            "memif: one queue is all there is; run one worker, or DPDK's net_memif (the ethdev driver) for more");
        return false;
    }
    if (mtu < 1228 || mtu > 9600) {
        snprintf(err, err_len, "memif: the MTU must be from 1228 to 9600; ask for another");
        return false;
    }
    if (cfg->buffers > MEMIF_BUFFERS_MAX) {
        snprintf(err, err_len, "memif: at most %d buffers; ask for fewer", MEMIF_BUFFERS_MAX);
        return false;
    }
    if (p->args.buffer == 0)
        p->args.buffer = frame > MEMIF_BUFFER ? (uint32_t)plx_align_up(frame, 64) : MEMIF_BUFFER;
    if (p->args.buffer < frame) {
        snprintf(err, err_len,
                 "memif: bsize=%u does not hold a frame of %u octets; raise it or lower the MTU",
                 p->args.buffer, frame);
        return false;
    }
    return true;
}

static void mac_choose(struct memif_args *a)
{
    static const uint8_t none[6], key[16] = "plx-memif mac";
    char host[64] = "", text[256];

    if (memcmp(a->mac, none, 6) != 0)
        return;
    (void)gethostname(host, sizeof host - 1); // without one it is the same address on each such machine
    int n = snprintf(text, sizeof text, "%s %s %u %d", host, a->path, a->id, a->is_server);
    uint64_t h = plx_siphash(key, text, (size_t)n);
    memcpy(a->mac, &h, sizeof a->mac);
    a->mac[0] = (uint8_t)((a->mac[0] & 0xfe) | 2); // one station, locally administered
}

static void caps_fill(const struct memif_port *p, uint16_t mtu, struct plx_port_caps *caps)
{
    *caps = (struct plx_port_caps){
        .queues_max = 1,
        .burst_max = MEMIF_BURST_MAX,
        .headroom = MEMIF_HEADROOM,
        .payload_max = (uint16_t)(mtu - 28),
        .is_frames = true,
        .can_ecn = true,
        .numa_node = -1,
    };
    memcpy(caps->mac, p->args.mac, sizeof caps->mac);
    snprintf(caps->describe, sizeof caps->describe,
             "memif %s, id %u, rings of %u, socket %.48s, link %s%.38s",
             p->args.is_server ? "server" : "client", p->args.id, 1u << p->ring_log2, p->args.path,
             p->is_up ? "up" : "not up yet: ", p->is_up ? "" : p->control.why);
}

static void memif_close(struct plx_port *port)
{
    struct memif_port *p = memif_of(port);

    memif_control_close(p);
    p->is_open = false;
}

static enum plx_err memif_open(struct plx_port *port, const struct plx_port_cfg *cfg,
                               struct plx_port_caps *caps, char *err, size_t err_len)
{
    struct memif_port *p = memif_of(port);
    uint16_t mtu = cfg->mtu > 0 ? cfg->mtu : MEMIF_MTU_DEFAULT;
    enum plx_err e = memif_args_read(cfg->args, &p->args, err, err_len);

    if (e != PLX_OK)
        return e;
    if (!wishes_check(p, cfg, mtu, err, err_len))
        return PLX_ERR_INVALID;
    mac_choose(&p->args);
    p->buffers = cfg->buffers > 0 ? cfg->buffers : MEMIF_BUFFERS;
    p->numa_node = cfg->numa_node;
    p->cap = (uint16_t)(mtu - 28);
    p->offer = p->args.buffer;
    p->ring_log2 = p->args.ring_log2;
    e = memif_control_open(p, err, err_len);
    if (e != PLX_OK) {
        memif_close(port);
        return e;
    }
    p->is_open = true;
    caps_fill(p, mtu, caps);
    return PLX_OK;
}

static void memif_thread_attach(struct plx_port *port, uint16_t queue)
{
    plx_check(queue == 0 && memif_of(port)->is_open);
}

static void memif_stats(const struct plx_port *port, uint16_t queue, struct plx_port_stats *out)
{
    const struct memif_port *p = (const struct memif_port *)port;
    (void)queue;

    *out = (struct plx_port_stats){
        .rx_packets = plx_counter_read(&p->stats.rx_packets),
        .rx_bytes = plx_counter_read(&p->stats.rx_bytes),
        .tx_packets = plx_counter_read(&p->stats.tx_packets),
        .tx_bytes = plx_counter_read(&p->stats.tx_bytes),
        .rx_dropped = plx_counter_read(&p->stats.rx_dropped),
        .tx_dropped = plx_counter_read(&p->stats.tx_dropped),
        .syscalls = plx_counter_read(&p->stats.syscalls),
    };
}

static const struct plx_port_ops memif_ops = {
    .name = "memif",
    .open = memif_open,
    .close = memif_close,
    .thread_attach = memif_thread_attach,
    .rx = port_rx,
    .tx = port_tx,
    .take = port_take,
    .give = port_give,
    .stats = memif_stats,
};

static void memif_free(struct plx_port *port)
{
    plx_check(!memif_of(port)->is_open); // closed first
    free(port);
}

struct plx_port *plx_port_memif(void)
{
    struct memif_port *p = aligned_alloc(64, plx_align_up(sizeof *p, 64));
    if (p == NULL)
        return NULL;
    memset(p, 0, sizeof *p);
    p->port = (struct plx_port){.ops = &memif_ops, .free = memif_free};
    return &p->port;
}
