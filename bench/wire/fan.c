// fan.c -- see fan.h.

#include "bench/wire/fan.h"

#include <stdlib.h>

#include "base/check.h"
#include "drivers/loop/loop.h"

enum { SLOTS = 4096 };

static struct fan *fan_of(struct plx_port *port)
{
    return (struct fan *)port;
}

static enum plx_err fan_open(struct plx_port *port, const struct plx_port_cfg *cfg,
                             struct plx_port_caps *caps, char *err, size_t err_len)
{
    struct fan *f = fan_of(port);
    struct plx_port_cfg one = *cfg;

    one.queues = 1;
    for (uint16_t i = 0; i < f->queues; i++) {
        enum plx_err e = f->end[i]->ops->open(f->end[i], &one, caps, err, err_len);
        if (e != PLX_OK)
            return e;
    }
    caps->queues_max = f->queues;
    return PLX_OK;
}

static void fan_close(struct plx_port *port)
{
    struct fan *f = fan_of(port);

    for (uint16_t i = 0; i < f->queues; i++)
        f->end[i]->ops->close(f->end[i]);
}

static void fan_thread_attach(struct plx_port *port, uint16_t queue)
{
    plx_check(queue < fan_of(port)->queues);
}

static uint16_t fan_rx(struct plx_port *port, uint16_t queue, struct plx_pkt **pkts, uint16_t max)
{
    struct fan *f = fan_of(port);
    struct plx_port *from = f->end[f->is_crossed ? (queue + 1) % f->queues : queue];
    uint16_t n = from->ops->rx(from, 0, pkts, max);

    for (uint16_t i = 0; i < n; i++)
        pkts[i]->queue = (uint8_t)queue;
    return n;
}

static uint16_t fan_tx(struct plx_port *port, uint16_t queue, struct plx_pkt **pkts, uint16_t count)
{
    struct plx_port *to = fan_of(port)->end[queue];
    return to->ops->tx(to, 0, pkts, count);
}

static uint16_t fan_take(struct plx_port *port, uint16_t queue, struct plx_pkt **pkts, uint16_t count)
{
    struct plx_port *of = fan_of(port)->end[queue];
    return of->ops->take(of, 0, pkts, count);
}

static void fan_give(struct plx_port *port, uint16_t queue, struct plx_pkt **pkts, uint16_t count)
{
    struct plx_port *of = fan_of(port)->end[queue]; // a packet knows where it belongs, whichever end is told
    of->ops->give(of, 0, pkts, count);
}

static void fan_stats(const struct plx_port *port, uint16_t queue, struct plx_port_stats *out)
{
    const struct plx_port *of = ((const struct fan *)port)->end[queue];
    of->ops->stats(of, 0, out);
}

static const struct plx_port_ops fan_ops = {
    .name = "fan",
    .open = fan_open,
    .close = fan_close,
    .thread_attach = fan_thread_attach,
    .rx = fan_rx,
    .tx = fan_tx,
    .take = fan_take,
    .give = fan_give,
    .stats = fan_stats,
};

static void fan_free(struct plx_port *port)
{
    struct fan *f = fan_of(port);

    for (uint16_t i = 0; i < f->queues; i++)
        plx_port_free(f->end[i]);
    free(f);
}

struct fan *fan_new(uint16_t queues, struct plx_port *clients[])
{
    struct fan *f = calloc(1, sizeof *f);

    plx_check(queues >= 1 && queues <= FAN_QUEUES_MAX);
    if (f == NULL)
        return NULL;
    f->port = (struct plx_port){.ops = &fan_ops, .free = fan_free};
    for (; f->queues < queues; f->queues++)
        if (!plx_loop_pair(&f->end[f->queues], &clients[f->queues], SLOTS)) {
            while (f->queues > 0)
                plx_port_free(clients[--f->queues]), plx_port_free(f->end[f->queues]);
            free(f);
            return NULL;
        }
    return f;
}
