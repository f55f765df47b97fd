// loop.c -- two ports back to back in one process.
//
// A packet is a slot: its record and its memory, owned by the end that made it. It travels as a pointer through two
// rings of one producer and one consumer each, and always comes home:
//
//      end a                                                  end b
//      ┌──────────────┐ tx   ┌────────── out ──────────┐  rx  ┌───────────────┐
//      │ take ◀ free  │ ───▶ │ a's slots, full         │ ───▶ │ the engine    │
//      │        ▲     │      └─────────────────────────┘      │ reads, alters │
//      │        │     │ home ┌───────── back ──────────┐ give │               │
//      │        └─────│ ◀─── │ a's slots, done with    │ ◀─── │               │
//      └──────────────┘      └─────────────────────────┘      └───────────────┘
//                    and the same once more with a and b exchanged
//
// Both rings of an end have room for all of its slots, so neither is ever full, and sending cannot fail: an end whose
// neighbour does not read simply runs out of slots. Whoever holds a slot may write to it, so a receiver decrypts in
// place, in memory that is still warm from the sender. The rings' edges (spsc.h) order everything in the slot; nothing
// else is shared while the ends run. The pair outlives whichever end is freed first.

#include "drivers/loop/loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/bits.h"
#include "base/check.h"
#include "base/counter.h"
#include "base/spsc.h"

enum {
    LOOP_BURST_MAX = 64,
    LOOP_SLOTS_MAX = 65536,
    LOOP_MTU_DEFAULT = 1500,
    LOOP_OVERHEAD = 28, // what IPv4 and UDP would take of the MTU
};

struct loop_pair;

struct loop_end {
    struct plx_port port; // first
    struct loop_pair *pair;
    struct loop_end *other;
    struct plx_addr addr; // stands in where the sender names none
    uint16_t cap;         // octets in each slot

    // --- this end's thread alone ---------------------------------------------------------------------------
    struct plx_pkt **free; // slots at home, a stack
    uint32_t free_count;

    // --- shared with the other end -------------------------------------------------------------------------
    struct plx_spsc out;  // our slots, on their way to the other end
    struct plx_spsc back; // our slots, on their way home

    // --- memory, until both ends are freed -----------------------------------------------------------------
    struct plx_arena arena;
    struct plx_pkt *slots;
    uint8_t *mem;
    size_t stride;

    _Alignas(64) struct {
        struct plx_counter rx_packets, rx_bytes, tx_packets, tx_bytes;
    } stats;
};

struct loop_pair {
    struct loop_end end[2];
    uint32_t slots;     // of each end
    unsigned ends_left; // not freed yet
};

static struct loop_end *end_of(struct plx_port *port)
{
    return (struct loop_end *)port;
}

// --- slots -------------------------------------------------------------------------------------------------

static bool slots_init(struct loop_end *e, uint32_t count)
{
    e->stride = plx_align_up(e->cap, 64);
    if (!plx_arena_init(&e->arena, count * (sizeof *e->slots + e->stride) + 128, PLX_NODE_ANY, false))
        return false;
    e->slots = plx_arena_alloc(&e->arena, count * sizeof *e->slots, 64);
    e->mem = plx_arena_alloc(&e->arena, count * e->stride, 64);
    plx_check(e->slots != NULL && e->mem != NULL);
    for (uint32_t i = 0; i < count; i++)
        e->free[e->free_count++] = &e->slots[i];
    return true;
}

static void slots_put_home(struct loop_end *e, struct plx_pkt *const *pkts, uint32_t count)
{
    plx_check(count <= e->pair->slots - e->free_count); // a double give shows up here
    memcpy(e->free + e->free_count, pkts, count * sizeof *pkts);
    e->free_count += count;
}

static void slots_fetch_home(struct loop_end *e)
{
    void *home[LOOP_BURST_MAX];
    uint32_t n;

    while ((n = plx_spsc_pop_burst(&e->back, home, LOOP_BURST_MAX)) > 0)
        slots_put_home(e, (struct plx_pkt *const *)home, n);
}

// --- the datapath ------------------------------------------------------------------------------------------

static uint16_t loop_take(struct plx_port *port, uint16_t queue, struct plx_pkt **pkts, uint16_t count)
{
    struct loop_end *e = end_of(port);
    (void)queue;

    if (e->free_count < count)
        slots_fetch_home(e);
    if (e->free_count < count)
        count = (uint16_t)e->free_count;
    for (uint16_t i = 0; i < count; i++) {
        struct plx_pkt *pkt = e->free[--e->free_count];
        *pkt = (struct plx_pkt){
            .data = e->mem + (size_t)(pkt - e->slots) * e->stride, .cap = e->cap, .driver = e};
        pkts[i] = pkt;
    }
    return count;
}

static void loop_give(struct plx_port *port, uint16_t queue, struct plx_pkt **pkts, uint16_t count)
{
    struct loop_end *e = end_of(port);
    (void)queue;

    for (uint16_t i = 0, n; i < count; i = (uint16_t)(i + n)) { // runs with one home
        struct loop_end *home = pkts[i]->driver;
        for (n = 1; i + n < count && pkts[i + n]->driver == home;)
            n++;
        if (home == e) {
            slots_put_home(e, pkts + i, n);
        } else {
            uint32_t pushed = plx_spsc_push_burst(&home->back, (void *const *)(pkts + i), n);
            plx_check(pushed == n); // the ring holds all slots there are
        }
    }
}

// What is `local` here is `peer` there.
static void addresses_turn(const struct loop_end *e, struct plx_pkt *pkt)
{
    static const uint8_t none[16];
    struct plx_addr from = pkt->local;

    if (from.af == PLX_AF_NONE)
        from = e->addr;
    else if (from.af == e->addr.af && memcmp(from.ip, none, sizeof none) == 0)
        memcpy(from.ip, e->addr.ip, sizeof from.ip);
    pkt->local = pkt->peer;
    pkt->peer = from;
}

static uint16_t loop_tx(struct plx_port *port, uint16_t queue, struct plx_pkt **pkts, uint16_t count)
{
    struct loop_end *e = end_of(port);
    uint64_t bytes = 0;
    (void)queue;

    for (uint16_t i = 0; i < count; i++) {
        plx_check(pkts[i]->driver == e); // only our own slots: what was received is given back
        addresses_turn(e, pkts[i]);
        pkts[i]->time = (plx_time){0};
        pkts[i]->flags = PLX_PKT_CSUM_OK;
        pkts[i]->cap = pkts[i]->len;
        bytes += pkts[i]->len;
    }
    uint32_t pushed = plx_spsc_push_burst(&e->out, (void *const *)pkts, count);
    plx_check(pushed == count);
    plx_counter_add(&e->stats.tx_packets, count);
    plx_counter_add(&e->stats.tx_bytes, bytes);
    return count;
}

static uint16_t loop_rx(struct plx_port *port, uint16_t queue, struct plx_pkt **pkts, uint16_t max)
{
    struct loop_end *e = end_of(port);
    uint64_t bytes = 0;
    (void)queue;

    uint16_t count = (uint16_t)plx_spsc_pop_burst(&e->other->out, (void **)pkts, max);
    for (uint16_t i = 0; i < count; i++)
        bytes += pkts[i]->len;
    if (count > 0) {
        plx_counter_add(&e->stats.rx_packets, count);
        plx_counter_add(&e->stats.rx_bytes, bytes);
    }
    return count;
}

// --- the rest of the contract ------------------------------------------------------------------------------

static enum plx_err loop_open(struct plx_port *port, const struct plx_port_cfg *cfg,
                              struct plx_port_caps *caps, char *err, size_t err_len)
{
    struct loop_end *e = end_of(port);
    uint32_t mtu = cfg->mtu > 0 ? cfg->mtu : LOOP_MTU_DEFAULT;

    if (mtu < 1228 || cfg->queues > 1 || e->slots != NULL) {
        snprintf(err, err_len, "loop: %s",
                 mtu < 1228        ? "QUIC needs an MTU of 1228 or more; raise mtu"
                 : cfg->queues > 1 ? "an end has one queue; run one worker on it"
                                   : "an end is opened once; make a new pair");
        return PLX_ERR_INVALID;
    }
    e->cap = (uint16_t)(mtu - LOOP_OVERHEAD);
    if (!slots_init(e, e->pair->slots)) {
        snprintf(err, err_len, "loop: no memory for %u slots; make the pair with fewer", e->pair->slots);
        return PLX_ERR_SYSTEM;
    }
    if (cfg->listen_count > 0)
        e->addr = cfg->listen[0];
    *caps = (struct plx_port_caps){.queues_max = 1,
                                   .burst_max = LOOP_BURST_MAX,
                                   .payload_max = e->cap,
                                   .rx_csum = true,
                                   .tx_csum = true,
                                   .can_ecn = true,
                                   .numa_node = -1,
                                   .bound = e->addr};
    snprintf(caps->describe, sizeof caps->describe, "loop, end %c of two back to back, %u slots of %u octets",
             e == &e->pair->end[0] ? 'a' : 'b', e->pair->slots, e->cap);
    return PLX_OK;
}

static void loop_close(struct plx_port *port)
{
    slots_fetch_home(end_of(port)); // the memory stays: the other end may be holding some of it
}

static void loop_thread_attach(struct plx_port *port, uint16_t queue)
{
    plx_check(queue == 0 && end_of(port)->slots != NULL);
}

static void loop_stats(const struct plx_port *port, uint16_t queue, struct plx_port_stats *out)
{
    const struct loop_end *e = (const struct loop_end *)port;
    (void)queue;

    *out = (struct plx_port_stats){
        .rx_packets = plx_counter_read(&e->stats.rx_packets),
        .rx_bytes = plx_counter_read(&e->stats.rx_bytes),
        .tx_packets = plx_counter_read(&e->stats.tx_packets),
        .tx_bytes = plx_counter_read(&e->stats.tx_bytes),
    };
}

static const struct plx_port_ops loop_ops = {
    .name = "loop",
    .open = loop_open,
    .close = loop_close,
    .thread_attach = loop_thread_attach,
    .rx = loop_rx,
    .tx = loop_tx,
    .take = loop_take,
    .give = loop_give,
    .stats = loop_stats,
};

// --- birth and end of a pair -------------------------------------------------------------------------------

static void pair_free(struct loop_pair *p)
{
    for (unsigned i = 0; i < 2; i++) {
        plx_arena_fini(&p->end[i].arena);
        free(p->end[i].out.slot);
        free(p->end[i].back.slot);
        free(p->end[i].free);
    }
    free(p);
}

static void loop_free(struct plx_port *port)
{
    struct loop_pair *p = end_of(port)->pair;
    if (--p->ends_left == 0)
        pair_free(p);
}

// False when memory is short; pair_free() cleans up either way.
static bool end_init(struct loop_pair *p, unsigned i)
{
    struct loop_end *e = &p->end[i];
    uint32_t capacity = (uint32_t)plx_pow2_ceil(p->slots);
    void **out = calloc(capacity, sizeof *out), **back = calloc(capacity, sizeof *back);

    e->port = (struct plx_port){.ops = &loop_ops, .free = loop_free};
    e->pair = p;
    e->other = &p->end[1 - i];
    e->addr = (struct plx_addr){.af = PLX_AF_IP4, .ip = {127, 0, 0, 1}, .port = (uint16_t)(1 + i)};
    e->free = calloc(p->slots, sizeof(struct plx_pkt *));
    plx_spsc_init(&e->out, out, capacity);
    plx_spsc_init(&e->back, back, capacity);
    return out != NULL && back != NULL && e->free != NULL;
}

bool plx_loop_pair(struct plx_port **a, struct plx_port **b, uint32_t slots)
{
    plx_check(slots >= 2 && slots <= LOOP_SLOTS_MAX);
    struct loop_pair *p = aligned_alloc(64, plx_align_up(sizeof *p, 64));
    if (p == NULL)
        return false;
    memset(p, 0, sizeof *p);
    p->slots = slots;
    p->ends_left = 2;
    bool is_whole = end_init(p, 0);
    is_whole = end_init(p, 1) && is_whole;
    if (!is_whole) {
        pair_free(p);
        return false;
    }
    *a = &p->end[0].port;
    *b = &p->end[1].port;
    return true;
}
