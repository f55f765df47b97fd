// stats.c -- counters that other threads may read.
//
// A core counts in plain memory and copies its counters to relaxed atomics ten times a second: the packet path pays nothing, and
// a reader sees figures at most a tick old.

#include <string.h>

#include "engine/engine.h"
#include "engine/frames.h"

static const char *const drop_name[] = {
#define X(name, side, help) #name,
#include "engine/drops.def"
#undef X
};
static const char *const drop_help[] = {
#define X(name, side, help) help,
#include "engine/drops.def"
#undef X
};

static void copy_out(struct plx_counter *to, const void *from, size_t count)
{
    const uint64_t *v = from;
    for (size_t i = 0; i < count; i++)
        plx_counter_set(&to[i], v[i]);
}

static void copy_in(void *to, const struct plx_counter *from, size_t count)
{
    uint64_t *v = to;
    for (size_t i = 0; i < count; i++)
        v[i] = plx_counter_read(&from[i]);
}

void plx_core_publish(struct plx_core *k)
{
    k->n.streams_open = plx_pool_in_use(&k->streams);
    k->n.buffer_bytes = plx_slab_bytes_in_use(&k->slab);
    k->n.udp_unchecked = k->frames != NULL ? k->frames->net.unchecked : 0;
    copy_out(k->pub_n, &k->n, sizeof k->n / 8);
    copy_out(k->pub_conn, &k->env.stats, sizeof k->env.stats / 8);
}

static void core_add(const struct plx_core *k, struct plx_core_stats *out)
{
    struct plx_counters n;
    struct plx_conn_stats c;
    struct plx_port_stats port = {0};

    copy_in(&n, k->pub_n, sizeof n / 8);
    copy_in(&c, k->pub_conn, sizeof c / 8);
    if (k->ops->stats != NULL)
        k->ops->stats(k->port, k->queue, &port);
    out->busy_ns += n.busy_ns;
    out->idle_ns += n.idle_ns;
    out->breaths += n.breaths;
    out->breaths_busy += n.breaths_busy;
    out->datagrams_rx += n.datagrams_rx;
    out->datagrams_tx += n.datagrams_tx;
    out->bytes_rx += n.bytes_rx;
    out->bytes_tx += n.bytes_tx;
    out->udp_unchecked += n.udp_unchecked;
    out->packets_rx += c.packets_rx;
    out->packets_tx += c.packets_tx;
    out->packets_lost += c.packets_lost;
    out->conns_open += n.conns_open;
    out->conns_parked += n.conns_parked;
    out->conns_cut += n.conns_cut;
    out->conns_hibernated += n.conns_hibernated;
    out->hibernated_bytes += n.hibernated_bytes;
    out->hibernations += n.hibernations;
    out->hibernations_refused += n.hibernations_refused;
    out->wakes += n.wakes;
    out->conns_opened += c.conns_opened;
    out->conns_closed += c.conns_closed;
    out->handshakes_ok += c.handshakes_ok;
    out->handshakes_failed += c.handshakes_failed;
    out->resumed += c.resumed;
    out->early_accepted += c.early_accepted;
    out->early_refused += c.early_refused;
    out->streams_open += n.streams_open;
    out->requests += n.requests;
    out->handed_over += n.handed_over;
    out->taken_over += n.taken_over;
    out->retries_sent += n.retries;
    out->vneg_sent += n.vnegs;
    out->resets_sent += n.resets;
    out->buffer_bytes += n.buffer_bytes;
    for (unsigned i = 0; i < PLX_DROP_COUNT; i++)
        out->dropped += n.drops[i];
    uint64_t *sum = (uint64_t *)&out->port;
    const uint64_t *add = (const uint64_t *)&port;
    for (size_t i = 0; i < sizeof port / 8; i++)
        sum[i] += add[i];
}

void plx_engine_stats(const struct plx_engine *e, uint16_t core, struct plx_core_stats *out)
{
    memset(out, 0, sizeof *out);
    for (uint16_t i = 0; i < e->core_count; i++)
        if (core == UINT16_MAX || core == i)
            core_add(e->cores[i], out);
}

void plx_core_stats(struct plx_core *k, struct plx_core_stats *out)
{
    plx_core_publish(k);
    plx_engine_stats(k->engine, k->index, out);
}

bool plx_engine_drops(const struct plx_engine *e, uint16_t core, unsigned i, const char **name,
                      const char **help, uint64_t *count)
{
    size_t first = offsetof(struct plx_counters, drops) / 8;

    if (i >= PLX_DROP_COUNT)
        return false;
    *name = drop_name[i];
    *help = drop_help[i];
    *count = 0;
    for (uint16_t c = 0; c < e->core_count; c++)
        if (core == UINT16_MAX || core == c)
            *count += plx_counter_read(&e->cores[c]->pub_n[first + i]);
    return true;
}
