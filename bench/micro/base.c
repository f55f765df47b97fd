// base.c -- what the structures of lib/base cost, in nanoseconds per operation.
//
// Usage: base [WORD]   Only the cases whose name contains WORD.
//
// The tables are measured at three sizes because their cost is the cache's: 64 entries live in L1, 16,384 in L2, a
// million in memory. The varint reader stands beside the plain loop that it replaced, and table lookups once alone
// and once with the prefetch of a burst, so that losing either is noticed.

#include <stdlib.h>

#include "base/cursor.h"
#include "base/mailbox.h"
#include "base/pool.h"
#include "base/prng.h"
#include "base/range.h"
#include "base/slab.h"
#include "base/spsc.h"
#include "base/table.h"
#include "base/time.h"
#include "base/wheel.h"
#include "measure.h"

enum { OPS = 4096 };

static struct plx_prng rng = {{1, 2, 3, 4}};

static void must(bool ok)
{
    if (ok)
        return;
    fprintf(stderr, "base: out of memory\n");
    exit(1);
}

// --- varints -----------------------------------------------------------------------------------------------

enum { VARINTS = 65536 }; // so many that no branch predictor learns them by heart

struct text {
    uint8_t bytes[VARINTS * 8];
    size_t len;
    uint64_t value[VARINTS];
};

static void text_init(struct text *t, unsigned kinds)
{
    struct plx_wr w = plx_wr_init(t->bytes, sizeof t->bytes);

    for (unsigned i = 0; i < VARINTS; i++) {
        static const unsigned bits[] = {6, 14, 30, 62};
        t->value[i] = plx_prng_below(&rng, UINT64_C(1) << bits[plx_prng_below(&rng, kinds)]);
        plx_wr_varint(&w, t->value[i]);
    }
    t->len = (size_t)(w.p - t->bytes);
}

static void run_varint_read(void *arg)
{
    struct text *t = arg;
    struct plx_rd r = plx_rd_init(t->bytes, t->len);
    uint64_t sum = 0;

    for (unsigned i = 0; i < VARINTS; i++)
        sum += plx_rd_varint(&r);
    measure_keep(sum);
}

static void run_varint_read_plain(void *arg)
{
    struct text *t = arg;
    const uint8_t *p = t->bytes, *end = p + t->len;
    uint64_t sum = 0;

    for (unsigned i = 0; i < VARINTS; i++) {
        size_t left = (size_t)(end - p), len = left ? (size_t)1 << (*p >> 6) : 1;
        if (left < len)
            break;
        uint64_t v = *p++ & 0x3f;
        while (--len)
            v = v << 8 | *p++;
        sum += v;
    }
    measure_keep(sum);
}

static void run_varint_write(void *arg)
{
    struct text *t = arg;
    struct plx_wr w = plx_wr_init(t->bytes, sizeof t->bytes);

    for (unsigned i = 0; i < VARINTS; i++)
        plx_wr_varint(&w, t->value[i]);
    measure_keep((uint64_t)w.p);
}

static void bench_varint(void)
{
    static struct text t;

    text_init(&t, 1);
    measure("varint read, 1 byte", VARINTS, run_varint_read, &t);
    measure("varint read, 1 byte, plain loop", VARINTS, run_varint_read_plain, &t);
    text_init(&t, 2);
    measure("varint read, 1 and 2 bytes mixed", VARINTS, run_varint_read, &t);
    measure("varint read, 1 and 2 bytes mixed, plain loop", VARINTS, run_varint_read_plain, &t);
    text_init(&t, 4);
    measure("varint read, all lengths mixed", VARINTS, run_varint_read, &t);
    measure("varint read, all lengths mixed, plain loop", VARINTS, run_varint_read_plain, &t);
    measure("varint write, all lengths mixed", VARINTS, run_varint_write, &t);
}

// --- ranges ------------------------------------------------------------------------------------------------

static void run_ranges_in_order(void *arg)
{
    struct plx_ranges *r = arg;

    plx_ranges_init(r);
    for (uint64_t v = 0; v < OPS; v++)
        measure_keep(plx_ranges_add(r, v, v + 1));
}

static void run_ranges_with_loss(void *arg) // one of 16 numbers is missing
{
    struct plx_ranges *r = arg;

    plx_ranges_init(r);
    for (uint64_t v = 0; v < OPS; v++)
        measure_keep(plx_ranges_add_drop_lowest(r, v + v / 16, v + v / 16 + 1));
}

static void run_ranges_swapped(void *arg) // each pair the wrong way round
{
    struct plx_ranges *r = arg;

    plx_ranges_init(r);
    for (uint64_t v = 0; v < OPS; v++)
        measure_keep(plx_ranges_add(r, v ^ 1, (v ^ 1) + 1));
}

static void bench_ranges(void)
{
    static struct plx_ranges r;

    measure("ranges add, in order", OPS, run_ranges_in_order, &r);
    measure("ranges add, pairs swapped", OPS, run_ranges_swapped, &r);
    measure("ranges add, a hole after every 16", OPS, run_ranges_with_loss, &r);
}

// --- wheel -------------------------------------------------------------------------------------------------

enum { TIMERS = 16384 };

struct clockwork {
    struct plx_wheel w;
    struct plx_timer t[TIMERS];
    plx_time now;
};

static void run_wheel_rearm_later(void *arg) // an acknowledgement moves the loss timer
{
    struct clockwork *c = arg;

    for (unsigned i = 0; i < OPS; i++) {
        c->now.ns += 1000;
        plx_wheel_set(&c->w, &c->t[i & 63], plx_time_after(c->now, PLX_MS(30)));
    }
}

static void run_wheel_set_cancel(void *arg)
{
    struct clockwork *c = arg;

    for (unsigned i = 0; i < OPS; i++) {
        struct plx_timer *t = &c->t[i * 61 % TIMERS];
        plx_wheel_set(&c->w, t, plx_time_after(c->now, PLX_US((i & 1023) * 100)));
        plx_wheel_cancel(&c->w, t);
    }
}

static void run_wheel_cycle(void *arg) // every timer armed, moved down the levels, and handed out
{
    struct clockwork *c = arg;
    struct plx_timer *out[64];
    uint32_t left = TIMERS;

    for (unsigned i = 0; i < TIMERS; i++)
        plx_wheel_set(&c->w, &c->t[i], plx_time_after(c->now, PLX_US(500 + i * 7919 % TIMERS * 10)));
    while (left > 0) {
        c->now = plx_time_after(c->now, PLX_US(100));
        left -= plx_wheel_expire(&c->w, c->now, out, 64);
    }
}

static void run_wheel_idle(void *arg) // a breath in which nothing is due
{
    struct clockwork *c = arg;
    struct plx_timer *out[64];

    for (unsigned i = 0; i < OPS; i++)
        measure_keep(plx_wheel_expire(&c->w, c->now, out, 64));
}

static void bench_wheel(void)
{
    static struct clockwork c = {.now = {UINT64_C(1700000000000000000)}};

    plx_wheel_init(&c.w, c.now, PLX_US(250));
    for (unsigned i = 0; i < TIMERS; i++)
        plx_timer_init(&c.t[i]);
    measure("wheel set and cancel", OPS, run_wheel_set_cancel, &c);
    measure("wheel set, cascade, expire, 16384 timers", TIMERS, run_wheel_cycle, &c);
    measure("wheel set to later (lazy)", OPS, run_wheel_rearm_later, &c);
    measure("wheel expire, nothing due", OPS, run_wheel_idle, &c);
}

// --- table -------------------------------------------------------------------------------------------------

struct lookup {
    struct plx_table t;
    uint64_t *key; // OPS of those that are there, in random order
};

static void run_table_find(void *arg)
{
    struct lookup *l = arg;
    uint64_t sum = 0;

    for (unsigned i = 0; i < OPS; i++) // each waits for the one before, as a packet's parse would
        sum += plx_table_find(&l->t, l->key[i] ^ (sum >> 63));
    measure_keep(sum);
}

static void run_table_find_burst(void *arg)
{
    struct lookup *l = arg;
    uint64_t sum = 0;

    for (unsigned i = 0; i < OPS; i += 32) {
        for (unsigned j = 0; j < 32; j++)
            plx_table_prefetch(&l->t, l->key[i + j]);
        for (unsigned j = 0; j < 32; j++)
            sum += plx_table_find(&l->t, l->key[i + j] ^ (sum >> 63));
    }
    measure_keep(sum);
}

static void run_table_remove_add(void *arg)
{
    struct lookup *l = arg;

    for (unsigned i = 0; i < OPS; i++) {
        uint32_t value = plx_table_remove(&l->t, l->key[i]);
        measure_keep(value != PLX_TABLE_NONE && plx_table_add(&l->t, l->key[i], value));
    }
}

static void bench_table(const char *size, uint32_t entries)
{
    struct lookup l;
    uint64_t *all = malloc(entries * sizeof *all);
    char name[64];

    must(all != NULL);
    must(plx_table_init(&l.t, entries, NULL));
    for (uint32_t i = 0; i < entries; i++) {
        all[i] = plx_prng_u64(&rng);
        must(plx_table_add(&l.t, all[i], i));
    }
    l.key = malloc(OPS * sizeof *l.key);
    must(l.key != NULL);
    for (unsigned i = 0; i < OPS; i++)
        l.key[i] = all[plx_prng_below(&rng, entries)];
    snprintf(name, sizeof name, "table find, %s entries", size);
    measure(name, OPS, run_table_find, &l);
    snprintf(name, sizeof name, "table find, %s entries, bursts of 32", size);
    measure(name, OPS, run_table_find_burst, &l);
    snprintf(name, sizeof name, "table remove and add, %s entries", size);
    measure(name, OPS, run_table_remove_add, &l);
    free(l.key);
    free(all);
    plx_table_fini(&l.t);
}

// --- rings and memory --------------------------------------------------------------------------------------

static void run_spsc_single(void *arg)
{
    for (unsigned i = 0; i < OPS; i++) {
        measure_keep(plx_spsc_push(arg, arg));
        measure_keep((uint64_t)plx_spsc_pop(arg));
    }
}

static void run_spsc_burst(void *arg)
{
    void *obj[32] = {arg};

    for (unsigned i = 0; i < OPS; i += 32) {
        measure_keep(plx_spsc_push_burst(arg, obj, 32));
        measure_keep(plx_spsc_pop_burst(arg, obj, 32));
    }
}

static void run_mailbox_burst(void *arg)
{
    void *obj[32] = {arg};

    for (unsigned i = 0; i < OPS; i += 32) {
        measure_keep(plx_mailbox_push_burst(arg, obj, 32));
        measure_keep(plx_mailbox_pop_burst(arg, obj, 32));
    }
}

static void run_pool(void *arg)
{
    void *obj[8];

    for (unsigned i = 0; i < OPS; i += 8) {
        for (unsigned j = 0; j < 8; j++)
            measure_keep((uint64_t)(obj[j] = plx_pool_take(arg)));
        for (unsigned j = 0; j < 8; j++)
            plx_pool_give(arg, obj[j]);
    }
}

static void run_slab(void *arg)
{
    void *obj[8];

    for (unsigned i = 0; i < OPS; i += 8) {
        for (unsigned j = 0; j < 8; j++)
            measure_keep((uint64_t)(obj[j] = plx_slab_take(arg, (size_t)64 << j)));
        for (unsigned j = 0; j < 8; j++)
            plx_slab_give(arg, obj[j], (size_t)64 << j);
    }
}

static void bench_rings_and_memory(void)
{
    static struct plx_spsc q;
    static void *slots[256];
    static struct plx_mailbox m;
    struct plx_pool p;
    struct plx_slab s;

    plx_spsc_init(&q, slots, 256);
    must(plx_mailbox_init(&m, 256, NULL));
    must(plx_pool_init(&p, "bench", 256, 1024, NULL));
    must(plx_slab_init(&s, 16 << 20, PLX_NODE_ANY));
    measure("spsc push and pop", OPS, run_spsc_single, &q);
    measure("spsc push and pop, bursts of 32", OPS, run_spsc_burst, &q);
    measure("mailbox push and pop, bursts of 32", OPS, run_mailbox_burst, &m);
    measure("pool take and give", OPS, run_pool, &p);
    measure("slab take and give, 64 B to 8 KB", OPS, run_slab, &s);
    plx_slab_fini(&s);
    plx_pool_fini(&p);
    plx_mailbox_fini(&m);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        measure_only = argv[1];
    bench_varint();
    bench_ranges();
    bench_wheel();
    bench_table("64", 64);
    bench_table("16k", 16384);
    bench_table("1M", 1 << 20);
    bench_rings_and_memory();
    return 0;
}
