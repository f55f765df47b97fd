// test_stats.c -- counters as other threads see them: by core and in sum, a tick old, every reason with a name and a sentence.

#include "fake.h"

static void test_drop_names(void **state)
{
    struct plx_engine_cfg cfg;
    const char *name, *help, *names[PLX_DROP_COUNT];
    uint64_t count;
    unsigned n = 0;

    (void)state;
    fake_cfg(&cfg);
    struct fake *f = fake_new(&cfg, true);
    for (; plx_engine_drops(f->engine, UINT16_MAX, n, &name, &help, &count); n++) {
        assert_true(strlen(name) > 2 && strlen(help) > 10);
        assert_int_equal(count, 0);
        for (unsigned i = 0; i < n; i++)
            assert_string_not_equal(name, names[i]);
        names[n] = name;
    }
    assert_int_equal(n, PLX_DROP_COUNT);
    fake_free(f);
}

static void test_sums(void **state)
{
    uint8_t noise[100];
    struct plx_engine_cfg cfg;
    struct plx_core_stats s, one;
    const char *name, *help;
    uint64_t count, sum = 0;

    (void)state;
    memset(noise, 0x40, sizeof noise);
    noise[1] = 0x7f; // no core of ours
    fake_cfg(&cfg);
    cfg.workers = 3;
    struct fake *f = fake_new(&cfg, true);
    for (uint16_t i = 0; i < 3; i++) {
        for (uint16_t j = 0; j <= i; j++)
            fake_arrives(f, i, noise, sizeof noise, NULL);
        fake_breathe(f, i, PLX_MS(1)); // the first breath is a tick, and comes behind what was received
    }
    plx_engine_stats(f->engine, UINT16_MAX, &s);
    assert_int_equal(s.datagrams_rx, 6);
    assert_int_equal(s.bytes_rx, 600);
    assert_int_equal(s.dropped, 6);
    for (uint16_t i = 0; i < 3; i++) {
        plx_engine_stats(f->engine, i, &one);
        assert_int_equal(one.datagrams_rx, i + 1);
    }
    for (unsigned i = 0; plx_engine_drops(f->engine, UINT16_MAX, i, &name, &help, &count); i++)
        sum += count;
    assert_int_equal(sum, 6);
    assert_true(plx_engine_drops(f->engine, 2, PLX_DROP_unknown_cid, &name, &help, &count));
    assert_string_equal(name, "unknown_cid");
    assert_int_equal(count, 3);
    assert_false(plx_engine_drops(f->engine, 2, PLX_DROP_COUNT, &name, &help, &count));

    // Between ticks nothing changes for the reader.
    fake_arrives(f, 0, noise, sizeof noise, NULL);
    fake_breathe(f, 0, PLX_MS(1));
    plx_engine_stats(f->engine, UINT16_MAX, &one);
    assert_int_equal(one.datagrams_rx, 6);
    fake_breathe(f, 0, cfg.tick);
    plx_engine_stats(f->engine, UINT16_MAX, &one);
    assert_int_equal(one.datagrams_rx, 7);
    fake_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_drop_names), cmocka_unit_test(test_sums)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
