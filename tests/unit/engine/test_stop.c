// test_stop.c -- the end of an engine: requests that run are finished, nobody new is let in, a second word ends it, and no core leaves
// while packets for another may still land on its queue.

#include "fake.h"

static struct world w;

static void start(uint64_t size)
{
    struct plx_sim_link_cfg slow = {.rate_bps = 10000000, .delay = PLX_MS(10), .queue_bytes = 100000};

    world_init(&w, &(struct world_cfg){.seed = 3, .up = slow, .down = slow});
    world_fetch(&w, 0, &size, 1, 0);
    plx_check(world_run(&w, plx_time_after(w.now, PLX_SEC(5)), world_all_open));
    world_run(&w, plx_time_after(w.now, PLX_MS(200)), NULL);
}

static bool is_stopped(struct world *world)
{
    return plx_core_is_stopped(world->server->cores[0]);
}

static plx_time in(plx_dur d)
{
    return plx_time_after(w.now, d);
}

static void test_finishes_what_runs(void **state)
{
    (void)state;
    start(2 << 20); // two seconds' worth
    plx_core_stop(w.server->cores[0], in(PLX_SEC(60)));
    assert_true(world_run(&w, in(PLX_SEC(60)), is_stopped));
    world_run(&w, in(PLX_MS(100)), NULL);
    assert_true(w.client[0].request[0].is_complete);
    assert_true(w.client[0].is_closed);
    assert_int_equal(w.client[0].why.code, PLX_H3_NO_ERROR);
    assert_int_equal(w.server->cores[0]->n.conns_cut, 0);
    assert_true(w.now.ns < UINT64_C(1000000000000) + PLX_SEC(20).ns); // not only because the grace was over
    assert_true(world_fini(&w));
}

static void test_grace_is_over(void **state)
{
    (void)state;
    start(20 << 20);
    plx_core_stop(w.server->cores[0], in(PLX_MS(500)));
    assert_false(world_run(&w, in(PLX_MS(490)), is_stopped));
    assert_false(w.client[0].is_closed);
    assert_true(world_run(&w, in(PLX_MS(100)), is_stopped));
    assert_int_equal(w.server->cores[0]->n.conns_open, 0); // nobody is waited for any more
    assert_int_equal(plx_pool_in_use(&w.server->cores[0]->streams), 0);
    assert_int_equal(w.server->cores[0]->n.conns_cut, 1);
    world_run(&w, in(PLX_SEC(1)), NULL);
    assert_true(w.client[0].is_closed && w.client[0].why.is_peer); // it was told
    assert_int_equal(w.client[0].why.code, PLX_H3_NO_ERROR);
    assert_false(w.client[0].request[0].is_complete);
    assert_true(world_fini(&w));
}

static void test_second_word(void **state)
{
    (void)state;
    start(20 << 20);
    plx_core_stop(w.server->cores[0], in(PLX_SEC(3600)));
    assert_false(world_run(&w, in(PLX_SEC(2)), is_stopped));
    plx_core_stop(w.server->cores[0], w.now);
    assert_true(world_run(&w, in(PLX_MS(1)), is_stopped));
    world_run(&w, in(PLX_SEC(1)), NULL);
    assert_true(w.client[0].is_closed);
    assert_true(world_fini(&w));
}

static void test_nobody_new(void **state)
{
    uint64_t size = 100;
    struct plx_conn *c;
    struct plx_connect_cfg cfg = {.server_name = "localhost"};

    (void)state;
    world_init(&w, &(struct world_cfg){.seed = 4});
    plx_core_stop(w.server->cores[0], in(PLX_SEC(10)));
    world_fetch(&w, 0, &size, 1, 0);
    world_run(&w, in(PLX_SEC(10)), NULL); // three probe timeouts of a path that was never measured
    assert_true(w.client[0].is_closed && w.client[0].why.is_peer);
    assert_int_equal(w.client[0].why.code, 2); // CONNECTION_REFUSED
    assert_true(world_drops(w.server, PLX_DROP_stopping) > 0);
    plx_core_stop(w.client[0].engine->cores[0], in(PLX_SEC(10))); // and a client begins nothing
    cfg.peer = w.server_addr;
    assert_int_equal(plx_core_connect(w.client[0].engine->cores[0], &cfg, &c), PLX_ERR_CLOSED);
    assert_true(world_fini(&w));
}

// Two cores, one with a connection: the other stays to hand over its packets, until the connection is gone.
static void test_cores_wait_for_each_other(void **state)
{
    struct plx_engine_cfg cfg;
    struct plx_conn *c;
    struct plx_connect_cfg to = {.server_name = "localhost"};

    (void)state;
    fake_cfg(&cfg);
    cfg.workers = 2;
    cfg.handshake_timeout = PLX_SEC(2);
    struct fake *f = fake_new(&cfg, false);
    struct plx_core *a = fake_core(f, 0), *b = fake_core(f, 1);
    fake_breathe(f, 0, PLX_MS(1));
    fake_breathe(f, 1, PLX_MS(1));
    assert_true(plx_addr_parse("10.0.0.9:443", &to.peer));
    assert_int_equal(plx_core_connect(b, &to, &c), PLX_OK);
    plx_core_stop(a, plx_time_after(f->now, PLX_SEC(60)));
    plx_core_stop(b, plx_time_after(f->now, PLX_SEC(60)));
    for (int i = 0; i < 10; i++) {
        fake_breathe(f, 0, PLX_MS(50));
        fake_breathe(f, 1, PLX_MS(50));
    }
    assert_false(plx_core_is_stopped(a));
    assert_false(plx_core_is_stopped(b));
    for (int i = 0; i < 50; i++) { // nobody answers: the handshake times out
        fake_breathe(f, 0, PLX_MS(50));
        fake_breathe(f, 1, PLX_MS(50));
    }
    fake_breathe(f, 0, PLX_MS(50)); // who is stopped stays so
    fake_breathe(f, 1, PLX_MS(50));
    assert_true(plx_core_is_stopped(a));
    assert_true(plx_core_is_stopped(b));
    fake_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_finishes_what_runs),
                                       cmocka_unit_test(test_grace_is_over),
                                       cmocka_unit_test(test_second_word), cmocka_unit_test(test_nobody_new),
                                       cmocka_unit_test(test_cores_wait_for_each_other)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
