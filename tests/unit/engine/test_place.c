// test_place.c -- memory goes to the port's NUMA node, and a worker on another one says so.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/core.h"
#include "engine/engine.h"
#include "engine/place.h"
#include "plx/plx.h"

static void test_far(void **state)
{
    static const struct {
        int port, cpu;
        bool is_far;
    } row[] = {{-1, -1, false}, {-1, 0, false}, {0, -1, false}, {0, 0, false},
               {0, 1, true},    {1, 0, true},   {3, 3, false}};

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        if (plx_place_is_far(row[i].port, row[i].cpu) != row[i].is_far)
            fail_msg("row %zu", i);
}

static int four_each(int cpu)
{
    return cpu / 4;
}

static int no_numa(int cpu)
{
    (void)cpu;
    return -1;
}

static void test_what_is_said_at_start(void **state)
{
    static const int one[] = {5}, mixed[] = {2, 3, 4, 5, 9};
    static const struct {
        const int *cpus;
        uint16_t workers;
        int port;
        int (*node_of)(int);
        const char *says;
    } row[] = {
        {NULL, 1, -1, four_each, ""},
        {NULL, 1, 1, four_each, ", port and memory on node 1"},
        {NULL, 2, -1, no_numa, ", CPUs 0-1"},
        {NULL, 4, 0, four_each, ", CPUs 0-3 of NUMA node 0, port and memory on node 0"},
        {NULL, 8, 1, four_each, ", CPUs 0-3 of NUMA node 0, 4-7 of NUMA node 1, port and memory on node 1"},
        {one, 1, -1, four_each, ", CPUs 5 of NUMA node 1"},
        {mixed, 5, -1, four_each, ", CPUs 2-3 of NUMA node 0, 4-5 of NUMA node 1, 9 of NUMA node 2"},
    };
    char text[160];

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        plx_place_describe(row[i].cpus, row[i].workers, row[i].port, row[i].node_of, text, sizeof text);
        assert_string_equal(text, row[i].says);
        for (size_t len = 1; len < sizeof text; len++) { // cut off, wherever
            char shorter[160];
            memset(shorter, '!', sizeof shorter);
            plx_place_describe(row[i].cpus, row[i].workers, row[i].port, row[i].node_of, shorter, len);
            assert_true(strlen(shorter) < len && strncmp(shorter, text, strlen(shorter)) == 0);
            for (size_t k = len; k < sizeof shorter; k++)
                assert_int_equal(shorter[k], '!');
        }
    }
}

static void test_cpus_that_do_not_exist(void **state)
{
    (void)state;
    assert_int_equal(plx_place_node_of_cpu(-1), -1);
    assert_int_equal(plx_place_node_of_cpu(1 << 20), -1);
    assert_true(plx_place_node_of_cpu(0) >= -1);
}

// --- an engine whose port claims to be on a node of our choice -----------------------------------------------

static struct plx_port_ops ops;
static enum plx_err (*real_open)(struct plx_port *, const struct plx_port_cfg *, struct plx_port_caps *,
                                 char *, size_t);
static int claimed_node, real_node;

static enum plx_err claiming_open(struct plx_port *port, const struct plx_port_cfg *cfg,
                                  struct plx_port_caps *caps, char *err, size_t err_len)
{
    enum plx_err r = real_open(port, cfg, caps, err, err_len);
    real_node = caps->numa_node;
    caps->numa_node = claimed_node;
    return r;
}

static struct {
    int far;        // warnings about nodes
    int pin;        // warnings about pinning
    bool bad_level; // something that is not a warning
} heard;

static void on_log(void *ctx, int level, const char *line)
{
    (void)ctx;
    heard.far += strstr(line, "NUMA node") != NULL;
    heard.pin += strstr(line, "pinned") != NULL;
    heard.bad_level |= level != 1;
}

static void *stop_at_once(void *ctx, struct plx_core *core)
{
    (void)ctx;
    plx_engine_stop(plx_core_engine(core), (plx_dur){0});
    return NULL;
}

static struct plx_engine *engine_on(int node, const int *cpus)
{
    static const struct plx_h3_handler handler = {0};
    struct plx_engine_cfg cfg;
    char err[256] = "";

    plx_engine_cfg_init(&cfg);
    cfg.port = plx_port_udp();
    assert_non_null(cfg.port);
    ops = *cfg.port->ops;
    real_open = ops.open;
    ops.open = claiming_open;
    cfg.port->ops = &ops;
    claimed_node = node;
    cfg.h3 = &handler;
    cfg.conns_max = 64;
    cfg.handshakes_max = 16;
    cfg.streams_max = 256;
    cfg.buffer_memory = 8 << 20;
    cfg.cpus = cpus;
    cfg.log = on_log;
    cfg.on_core_start = stop_at_once;
    memset(&heard, 0, sizeof heard);
    struct plx_engine *e = plx_engine_new(&cfg, err, sizeof err);
    if (e == NULL)
        fail_msg("%s", err);
    assert_int_equal(real_node, -1); // kernel sockets are on no node
    return e;
}

static void check_inside(const struct plx_arena *a, const void *p)
{
    assert_true((const uint8_t *)p >= a->base && (const uint8_t *)p < a->base + a->size);
}

static void test_memory_goes_to_the_ports_node(void **state)
{
    static const int node[] = {-1, 0};

    (void)state;
    for (size_t i = 0; i < sizeof node / sizeof *node; i++) {
        struct plx_engine *e = engine_on(node[i], NULL);
        const struct plx_core *k = plx_engine_core(e, 0);
        struct plx_arena same;
        // Whether the kernel takes a preference is its own affair (containers may forbid it): it must be as for any arena.
        assert_true(plx_arena_init(&same, 1 << 20, node[i], false));
        assert_int_equal(k->memory.is_on_node, same.is_on_node);
        assert_int_equal(k->slab.arena.is_on_node, same.is_on_node);
        assert_true(node[i] >= 0 || !same.is_on_node);
        plx_arena_fini(&same);

        assert_true(k->memory.is_frozen);
        check_inside(&k->memory, k->conns.base);
        check_inside(&k->memory, k->h3_streams.base);
        check_inside(&k->memory, k->resets.v);
        assert_null(k->returns.cell); // a worker alone has no rings to others
        assert_int_equal(plx_engine_caps(e)->numa_node, node[i]);
        plx_engine_free(e);
    }
}

static void test_a_worker_far_from_its_port_says_so(void **state)
{
    static const int cpus[] = {0};
    int here = plx_place_node_of_cpu(0);

    (void)state;
    for (int node = -1; node <= 1; node++) {
        struct plx_engine *e = engine_on(node, cpus);
        assert_int_equal(plx_engine_run(e), PLX_OK);
        // Where CPU 0 is not ours to use, the only warning is that.
        assert_int_equal(heard.far, heard.pin == 0 && plx_place_is_far(node, here));
        assert_false(heard.bad_level);
        plx_engine_free(e);
    }
    struct plx_engine *e = engine_on(1, NULL); // one worker, not pinned: it may go where it is best
    assert_int_equal(plx_engine_run(e), PLX_OK);
    assert_int_equal(heard.far + heard.pin, 0);
    plx_engine_free(e);
}

static void test_a_cpu_that_cannot_be_had(void **state)
{
    static const int nowhere[] = {1 << 20}, negative[] = {-1};
    const int *const cpus[] = {nowhere, negative};

    (void)state;
    for (size_t i = 0; i < sizeof cpus / sizeof *cpus; i++) {
        struct plx_engine *e = engine_on(0, cpus[i]);
        assert_int_equal(plx_engine_run(e), PLX_OK);
        assert_int_equal(heard.pin, 1);
        assert_int_equal(heard.far, 0);
        plx_engine_free(e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_far),
        cmocka_unit_test(test_what_is_said_at_start),
        cmocka_unit_test(test_cpus_that_do_not_exist),
        cmocka_unit_test(test_memory_goes_to_the_ports_node),
        cmocka_unit_test(test_a_worker_far_from_its_port_says_so),
        cmocka_unit_test(test_a_cpu_that_cannot_be_had),
    };
    return cmocka_run_group_tests_name("place", tests, NULL, NULL);
}
