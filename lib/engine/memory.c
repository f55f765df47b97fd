// memory.c -- what a core's objects lie in: one arena on the port's NUMA node, cut once, and the slab beside it.
//
// The sizes come from the configuration alone, so all of it is known before the first packet: one mapping for the pools,
// the tables and the rings, frozen when they are cut, and one for the slab, whose pages nobody touches before they are used.
// Both prefer the node that the port names (struct plx_port_caps): a NIC writes to memory of its own node, the worker belongs
// beside it (place.c says so when it is not), and so does everything that the worker touches for a packet. A port
// that names no node leaves it to the kernel, which gives a page to the node of whoever touches it first.
//
// Both ask for transparent huge pages. A request reaches into eight objects of its connection, each on a page of its own: with many
// connections of ordinary pages every one of them misses the TLB as well as the cache. Reserved huge pages are left to DPDK.

#include <stdio.h>

#include "base/check.h"
#include "engine/core.h"
#include "engine/engine.h"
#include "h3/memo.h"

enum { INBOX_LEN = 4096, POOLS = 6, TABLES = 3, RINGS = 2, PLX_ASLEEP_CIDS = 4 };

struct plan {
    struct {
        struct plx_pool *pool;
        const char *name;
        size_t size;
        uint32_t count;
    } pools[POOLS];
    struct {
        struct plx_table *table;
        uint32_t count;
    } tables[TABLES];
    struct {
        struct plx_mailbox *ring;
        uint32_t len;
    } rings[RINGS];
};

static uint32_t sleepers_of(const struct plx_engine_cfg *cfg)
{
    return cfg->hibernate_after.ns > 0 ? cfg->hibernated_max : 0;
}

// Every ID of every connection that is awake makes 7/8, which is what a table takes at most; made is it for 3/4. Mostly there are four of each.
static uint32_t cids_of(uint32_t awake, uint32_t asleep)
{
    uint64_t ids = (uint64_t)awake * PLX_CIDS_LOCAL_MAX + (uint64_t)asleep * PLX_ASLEEP_CIDS;

    return (uint32_t)(ids - ids / 7 + 64); // 64: the first IDs of a handshake, with few connections
}

static struct plan plan_of(struct plx_core *k)
{
    const struct plx_engine_cfg *cfg = &k->engine->cfg;
    size_t conn = k->conn_size + sizeof(struct plx_econn);
    // The margin is for changes of path; those who sleep do not change theirs.
    uint32_t asleep = sleepers_of(cfg);

    return (struct plan){
        .pools = {{&k->conns, "conns_max", conn, cfg->conns_max},
                  {&k->handshakes, "handshakes_max", plx_conn_handshake_size(), cfg->handshakes_max},
                  {&k->keys, "conns_max (keys)", plx_conn_keys_size(), cfg->conns_max},
                  {&k->streams, "streams_max", plx_conn_stream_size(), cfg->streams_max},
                  {&k->h3_conns, "conns_max (HTTP/3)", plx_h3_conn_size(), cfg->conns_max},
                  {&k->h3_streams, "streams_max (HTTP/3)", plx_h3_stream_size(), cfg->streams_max}},
        .tables = {{&k->cids, cids_of(cfg->conns_max, asleep)},
                   {&k->odcids, cfg->handshakes_max * 2}, // half full at most
                   {&k->resets, cfg->conns_max + cfg->conns_max / 2 +
                                    asleep}}, // one each, and those that change their path
        .rings = {{&k->inbox, INBOX_LEN}, {&k->returns, PLX_RETURNS_MAX}},
    };
}

static size_t ring_bytes(uint32_t len)
{
    return len * sizeof(*(struct plx_mailbox *)NULL).cell[0] + 64; // 64: what alignment may cost
}

// A worker alone hands nothing over: a megabyte that it need not have.
static bool has_rings(const struct plx_core *k)
{
    return k->engine->cfg.workers > 1;
}

static size_t bytes_of(const struct plx_core *k, const struct plan *p)
{
    size_t sum = 0;

    for (unsigned i = 0; i < POOLS; i++)
        sum += plx_pool_bytes(p->pools[i].size, p->pools[i].count);
    for (unsigned i = 0; i < TABLES; i++)
        sum += plx_table_bytes(p->tables[i].count);
    for (unsigned i = 0; i < RINGS && has_rings(k); i++)
        sum += ring_bytes(p->rings[i].len);
    return sum + plx_berths_bytes(sleepers_of(&k->engine->cfg)) + plx_memo_size() + plx_parking_bytes() +
           64; // 64: what alignment may cost
}

static bool cut(struct plx_core *k, const struct plan *p)
{
    struct plx_arena *a = &k->memory;
    bool ok = true;

    for (unsigned i = 0; i < POOLS && ok; i++)
        ok = plx_pool_init(p->pools[i].pool, p->pools[i].name, p->pools[i].size, p->pools[i].count, a);
    for (unsigned i = 0; i < TABLES && ok; i++)
        ok = plx_table_init(p->tables[i].table, p->tables[i].count, a);
    for (unsigned i = 0; i < RINGS && ok && has_rings(k); i++)
        ok = plx_mailbox_init(p->rings[i].ring, p->rings[i].len, a);
    ok = ok && plx_parking_init(&k->parking, a);
    ok = ok && (k->memo_memory = plx_arena_alloc(a, plx_memo_size(), 64)) != NULL;
    return ok && plx_berths_init(&k->berths, sleepers_of(&k->engine->cfg),
                                 a); // last: what is not used of them lies before nobody
}

static enum plx_err no_memory(const struct plx_core *k, char *err, size_t err_len)
{
    const struct plx_engine_cfg *cfg = &k->engine->cfg;

    snprintf(
        err, err_len,
        "not enough memory for worker %u: lower conns_max (%u), streams_max (%u) or buffer_memory (%llu)",
        k->index, cfg->conns_max, cfg->streams_max, (unsigned long long)cfg->buffer_memory);
    return PLX_ERR_NOMEM;
}

enum plx_err plx_core_memory_init(struct plx_core *k, char *err, size_t err_len)
{
    const struct plx_engine_cfg *cfg = &k->engine->cfg;
    struct plan p = plan_of(k);
    int node = k->caps.numa_node;

    if (!plx_arena_init(&k->memory, bytes_of(k, &p), node, false))
        return no_memory(k, err, err_len);
    plx_arena_advise_huge(&k->memory); // before the tables are filled
    if (!cut(k, &p) || !plx_slab_init(&k->slab, cfg->buffer_memory, node))
        return no_memory(k, err, err_len);
    plx_arena_freeze(&k->memory);
    k->berths.after = cfg->hibernate_after;
    return PLX_OK;
}

void plx_core_memory_trim(struct plx_core *k)
{
    struct plx_pool *pool[] = {&k->conns,   &k->handshakes, &k->keys,
                               &k->streams, &k->h3_conns,   &k->h3_streams};

    for (unsigned i = 0; i < POOLS; i++)
        k->n.trimmed_bytes += plx_pool_trim(pool[i]);
}

void plx_core_memory_fini(struct plx_core *k)
{
    struct plan p = plan_of(k);

    for (unsigned i = 0; i < POOLS; i++)
        plx_pool_fini(p.pools[i].pool);
    for (unsigned i = 0; i < TABLES; i++)
        plx_table_fini(p.tables[i].table);
    for (unsigned i = 0; i < RINGS; i++)
        plx_mailbox_fini(p.rings[i].ring);
    plx_slab_fini(&k->slab);
    plx_arena_fini(&k->memory);
}
