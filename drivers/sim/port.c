// port.c -- an endpoint of a simulated world as a port of datagrams.
//
// Sending copies into the world's memory, so a sender's slots are home again when tx() returns; receiving hands out the
// world's own memory. The port has no clock: a datagram leaves at the time of the last plx_sim_advance().

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "world.h"

enum { SIM_BURST_MAX = 64, SIM_OVERHEAD = 28, SIM_PORT_DEFAULT = 50000 };

static struct sim_port *port_of(struct plx_port *port)
{
    return (struct sim_port *)port;
}

// --- the datapath ------------------------------------------------------------------------------------------

static uint16_t sim_take(struct plx_port *port, uint16_t queue, struct plx_pkt **pkts, uint16_t count)
{
    struct sim_port *p = port_of(port);
    (void)queue;

    if (p->free_count < count)
        count = (uint16_t)p->free_count;
    for (uint16_t i = 0; i < count; i++) {
        struct plx_pkt *pkt = p->free[--p->free_count];
        *pkt = (struct plx_pkt){.data = p->mem + (size_t)(pkt - p->slots) * p->cap, .cap = p->cap};
        pkts[i] = pkt;
    }
    return count;
}

static void sim_give(struct plx_port *port, uint16_t queue, struct plx_pkt **pkts, uint16_t count)
{
    struct sim_port *p = port_of(port);
    (void)queue;

    for (uint16_t i = 0; i < count; i++) {
        if (pkts[i]->driver != NULL) {
            sim_flight_give(p->world, pkts[i]->driver);
            continue;
        }
        plx_check(p->free_count < p->slot_count);
        p->free[p->free_count++] = pkts[i];
    }
}

static void source_complete(const struct sim_port *p, struct plx_addr *local)
{
    static const uint8_t none[16];

    if (local->af == PLX_AF_NONE)
        *local = p->addr;
    if (memcmp(local->ip, none, sizeof none) == 0)
        memcpy(local->ip, p->addr.ip, sizeof local->ip);
    if (local->port == 0)
        local->port = p->addr.port;
}

static uint16_t sim_tx(struct plx_port *port, uint16_t queue, struct plx_pkt **pkts, uint16_t count)
{
    struct sim_port *p = port_of(port);

    for (uint16_t i = 0; i < count; i++) {
        source_complete(p, &pkts[i]->local);
        p->stats.tx_packets++;
        p->stats.tx_bytes += pkts[i]->len;
        sim_link_send(p->world, p->link, pkts[i]);
    }
    sim_give(port, queue, pkts, count);
    return count;
}

static uint16_t sim_rx(struct plx_port *port, uint16_t queue, struct plx_pkt **pkts, uint16_t max)
{
    struct sim_port *p = port_of(port);
    uint16_t n = 0;
    (void)queue;

    while (n < max && p->inbox != NULL) {
        struct sim_flight *f = p->inbox;
        p->inbox = f->next;
        if (p->inbox == NULL)
            p->inbox_end = &p->inbox;
        p->stats.rx_packets++;
        p->stats.rx_bytes += f->pkt.len;
        pkts[n++] = &f->pkt;
    }
    return n;
}

// --- the rest of the contract ------------------------------------------------------------------------------

static enum plx_err sim_open(struct plx_port *port, const struct plx_port_cfg *cfg,
                             struct plx_port_caps *caps, char *err, size_t err_len)
{
    struct sim_port *p = port_of(port);
    uint32_t mtu = cfg->mtu > 0 ? cfg->mtu : p->world->mtu_max;

    if (mtu > p->world->mtu_max || mtu < 1228 || cfg->queues > 1 || p->is_open) {
        snprintf(err, err_len, "sim: %s",
                 p->is_open        ? "this endpoint is open already"
                 : cfg->queues > 1 ? "an endpoint has one queue; run one worker on it"
                                   : "the MTU must be from 1228 to the world's mtu_max");
        return PLX_ERR_INVALID;
    }
    p->cap = (uint16_t)(mtu - SIM_OVERHEAD);
    p->slot_count = cfg->buffers > 0 ? cfg->buffers : SIM_TX_SLOTS;
    // Nothing is cleared: take() writes whole slots, a sender its octets, and no more of the memory is touched than is sent at once.
    p->slots = malloc(p->slot_count * sizeof *p->slots);
    p->free = malloc(p->slot_count * sizeof(struct plx_pkt *));
    p->mem = malloc((size_t)p->slot_count * p->cap);
    if (p->slots == NULL || p->free == NULL || p->mem == NULL) {
        free(p->slots), free(p->free), free(p->mem);
        snprintf(err, err_len, "sim: no memory for %u packets; ask for fewer buffers", p->slot_count);
        return PLX_ERR_SYSTEM;
    }
    for (p->free_count = 0; p->free_count < p->slot_count; p->free_count++)
        p->free[p->free_count] = &p->slots[p->free_count];
    if (cfg->listen_count > 0 && cfg->listen[0].port != 0)
        p->addr.port = cfg->listen[0].port;
    p->is_open = true;
    *caps = (struct plx_port_caps){.queues_max = 1,
                                   .burst_max = SIM_BURST_MAX,
                                   .payload_max = p->cap,
                                   .rx_csum = true,
                                   .tx_csum = true,
                                   .can_ecn = true,
                                   .numa_node = -1,
                                   .bound = p->addr};
    snprintf(caps->describe, sizeof caps->describe, "sim, endpoint in a world of %u links, seed %llu",
             p->world->link_count, (unsigned long long)p->world->seed);
    return PLX_OK;
}

static void sim_close(struct plx_port *port)
{
    struct sim_port *p = port_of(port);
    struct plx_pkt *pkt;

    while (sim_rx(port, 0, &pkt, 1) == 1) // arrived, but never received
        sim_give(port, 0, &pkt, 1);
    plx_check(p->free_count == p->slot_count); // all have been given back
    free(p->slots);
    free(p->free);
    free(p->mem);
    p->is_open = false;
}

static void sim_thread_attach(struct plx_port *port, uint16_t queue)
{
    plx_check(queue == 0 && port_of(port)->is_open);
}

static void sim_stats(const struct plx_port *port, uint16_t queue, struct plx_port_stats *out)
{
    (void)queue;
    *out = ((const struct sim_port *)port)->stats;
}

static void sim_port_free(struct plx_port *port)
{
    struct sim_port *p = port_of(port);
    struct plx_sim_world *w = p->world;
    unsigned i = 0;

    plx_check(!p->is_open);
    while (w->ports[i] != p)
        i++;
    w->ports[i] = w->ports[--w->port_count];
    free(p);
}

static const struct plx_port_ops sim_ops = {
    .name = "sim",
    .open = sim_open,
    .close = sim_close,
    .thread_attach = sim_thread_attach,
    .rx = sim_rx,
    .tx = sim_tx,
    .take = sim_take,
    .give = sim_give,
    .stats = sim_stats,
};

bool plx_sim_port_has_mail(const struct plx_port *port)
{
    return ((const struct sim_port *)port)->inbox != NULL;
}

struct plx_port *plx_sim_port_add(struct plx_sim_world *w, const struct plx_addr *ip, unsigned link)
{
    plx_check(w->port_count < PLX_SIM_PORTS_MAX && link < w->link_count);
    struct sim_port *p = calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    p->port = (struct plx_port){.ops = &sim_ops, .free = sim_port_free};
    p->world = w;
    p->addr = *ip;
    p->addr.port = ip->port != 0 ? ip->port : SIM_PORT_DEFAULT;
    p->link = (uint8_t)link;
    p->inbox_end = &p->inbox;
    w->ports[w->port_count++] = p;
    return &p->port;
}
