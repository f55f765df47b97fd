// world.c -- time, and the datagrams that are under way in it.
//
// Datagrams under way stand in a binary heap by time of arrival; those that arrive at the same nanosecond come in the
// order in which they were sent. Advancing moves what has arrived into the inboxes of the endpoints. Which endpoint that
// is, is decided on arrival: a translator may have forgotten a mapping in the meantime.

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/check.h"
#include "base/time.h"
#include "world.h"

enum { FLIGHTS_DEFAULT = 65536, MTU_DEFAULT = 1500 };

// --- memory of datagrams -----------------------------------------------------------------------------------

struct sim_flight *sim_flight_take(struct plx_sim_world *w)
{
    struct sim_flight *f = w->free;

    if (f != NULL) {
        w->free = f->next;
        w->free_count--;
    } else if (w->carved < w->flight_max) {
        f = &w->flights[w->carved++];
    } else {
        return NULL;
    }
    f->next = NULL;
    f->pkt = (struct plx_pkt){.data = w->mem + (size_t)(f - w->flights) * w->mtu_max, .driver = f};
    return f;
}

void sim_flight_give(struct plx_sim_world *w, struct sim_flight *f)
{
    f->next = w->free;
    w->free = f;
    w->free_count++;
    plx_check(w->free_count <= w->carved); // a double give shows up here
}

// --- the heap ----------------------------------------------------------------------------------------------

static bool is_earlier(const struct sim_arrival *a, const struct sim_arrival *b)
{
    return a->at.ns != b->at.ns ? a->at.ns < b->at.ns : a->order < b->order;
}

void sim_flight_launch(struct plx_sim_world *w, struct sim_flight *f, plx_time arrives)
{
    struct sim_arrival entry = {arrives, w->order++, f};
    uint32_t at = w->heap_count++;

    for (; at > 0 && is_earlier(&entry, &w->heap[(at - 1) / 2]); at = (at - 1) / 2)
        w->heap[at] = w->heap[(at - 1) / 2];
    w->heap[at] = entry;
}

static struct sim_arrival heap_pop(struct plx_sim_world *w)
{
    struct sim_arrival first = w->heap[0], last = w->heap[--w->heap_count];
    uint32_t at = 0;

    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child + 1 < w->heap_count && is_earlier(&w->heap[child + 1], &w->heap[child]))
            child++;
        if (child >= w->heap_count || !is_earlier(&w->heap[child], &last))
            break;
        w->heap[at] = w->heap[child];
        at = child;
    }
    w->heap[at] = last;
    return first;
}

// --- arrival -----------------------------------------------------------------------------------------------

// The endpoint that a destination names, with the destination as it sees itself. NULL, and is_nat tells whether a
// translator is to blame.
static struct sim_port *port_find(struct plx_sim_world *w, struct plx_addr *dst, plx_time at, bool *is_nat)
{
    *is_nat = false;
    for (unsigned i = 0; i < w->port_count; i++) {
        struct sim_port *p = w->ports[i];
        const struct sim_link *l = &w->links[p->link];
        struct plx_addr inside;
        if (l->cfg.rebind_every.ns == 0) {
            if (plx_addr_ip_eq(&p->addr, dst))
                return p;
        } else if (sim_nat_in(l, dst, at, &inside) && plx_addr_ip_eq(&p->addr, &inside)) {
            *dst = inside;
            return p;
        } else {
            *is_nat = true;
        }
    }
    return NULL;
}

static void deliver(struct plx_sim_world *w, struct sim_arrival arrival)
{
    struct sim_flight *f = arrival.flight;
    struct sim_link *l = &w->links[f->link];
    struct plx_addr to = f->pkt.peer;
    bool is_nat;
    struct sim_port *p = port_find(w, &to, arrival.at, &is_nat);

    if (p == NULL || !p->is_open) {
        if (p == NULL && is_nat)
            l->stats.lost_by_nat++;
        else
            l->stats.no_endpoint++;
        sim_flight_give(w, f);
        return;
    }
    l->stats.delivered++;
    f->pkt.peer = f->pkt.local;
    f->pkt.local = to;
    f->pkt.time = arrival.at;
    f->pkt.flags = PLX_PKT_CSUM_OK;
    f->next = NULL;
    *p->inbox_end = f;
    p->inbox_end = &f->next;
}

void plx_sim_advance(struct plx_sim_world *w, plx_time now)
{
    plx_check(plx_time_reached(w->now, now)); // time never goes back
    w->now = now;
    while (w->heap_count > 0 && plx_time_reached(w->heap[0].at, now))
        deliver(w, heap_pop(w));
}

plx_time plx_sim_next(const struct plx_sim_world *w)
{
    for (unsigned i = 0; i < w->port_count; i++)
        if (w->ports[i]->inbox != NULL)
            return w->now;
    return w->heap_count > 0 ? w->heap[0].at : PLX_NEVER;
}

// --- links -------------------------------------------------------------------------------------------------

unsigned plx_sim_link_add(struct plx_sim_world *w, const struct plx_sim_link_cfg *cfg)
{
    plx_check(w->link_count < PLX_SIM_LINKS_MAX);
    struct sim_link *l = &w->links[w->link_count];
    l->cfg = *cfg;
    l->nat_port = 40000;
    plx_prng_init(&l->prng, w->seed * PLX_SIM_LINKS_MAX + w->link_count);
    return w->link_count++;
}

void plx_sim_link_set(struct plx_sim_world *w, unsigned link, const struct plx_sim_link_cfg *cfg)
{
    plx_check(link < w->link_count);
    w->links[link].cfg = *cfg;
}

struct plx_sim_link_stats plx_sim_link_stats(const struct plx_sim_world *w, unsigned link)
{
    plx_check(link < w->link_count);
    return w->links[link].stats;
}

// --- birth and end -----------------------------------------------------------------------------------------

// Cuts everything from the arena; false when there is no memory for it.
static bool world_alloc(struct plx_sim_world *w)
{
    size_t each =
        sizeof *w->flights + sizeof *w->heap + w->mtu_max + PLX_SIM_LINKS_MAX * sizeof *w->links[0].queue;
    if (!plx_arena_init(&w->arena, w->flight_max * each + 64 * (4 + PLX_SIM_LINKS_MAX), PLX_NODE_ANY, false))
        return false;
    w->flights = plx_arena_alloc(&w->arena, w->flight_max * sizeof *w->flights, 64);
    w->heap = plx_arena_alloc(&w->arena, w->flight_max * sizeof *w->heap, 64);
    for (unsigned i = 0; i < PLX_SIM_LINKS_MAX; i++)
        w->links[i].queue = plx_arena_alloc(&w->arena, w->flight_max * sizeof *w->links[i].queue, 64);
    w->mem = plx_arena_alloc(&w->arena, (size_t)w->flight_max * w->mtu_max, 64);
    plx_check(w->mem != NULL);
    return true;
}

struct plx_sim_world *plx_sim_new(const struct plx_sim_cfg *cfg)
{
    struct plx_sim_world *w = calloc(1, sizeof *w);
    if (w == NULL)
        return NULL;
    w->seed = cfg->seed;
    w->flight_max = cfg->in_flight_max > 0 ? cfg->in_flight_max : FLIGHTS_DEFAULT;
    w->mtu_max = cfg->mtu_max > 0 ? cfg->mtu_max : MTU_DEFAULT;
    if (!world_alloc(w)) {
        free(w);
        return NULL;
    }
    return w;
}

void plx_sim_free(struct plx_sim_world *w)
{
    if (w == NULL)
        return;
    plx_check(w->port_count == 0); // ports are freed first
    plx_arena_fini(&w->arena);
    free(w);
}

void plx_sim_verify(const struct plx_sim_world *w)
{
    uint32_t free_count = 0;

    for (const struct sim_flight *f = w->free; f != NULL; f = f->next)
        free_count++;
    plx_check(free_count == w->free_count);
    plx_check(free_count + w->heap_count <= w->carved);
    for (uint32_t i = 1; i < w->heap_count; i++)
        plx_check(is_earlier(&w->heap[(i - 1) / 2], &w->heap[i]));
    for (unsigned i = 0; i < w->link_count; i++) {
        const struct sim_link *l = &w->links[i];
        uint64_t bytes = 0;
        for (uint32_t k = 0; k < l->queue_count; k++)
            bytes += l->queue[(l->queue_at + k) % w->flight_max].bytes;
        plx_check(bytes == l->queue_bytes);
    }
}
