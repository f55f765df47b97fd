// test_handoff.c -- datagrams that land on the wrong core: handed over, delivered there, and their buffers come home.

#include "fake.h"

static struct fake *two_cores(uint16_t workers)
{
    struct plx_engine_cfg cfg;

    fake_cfg(&cfg);
    cfg.workers = workers;
    struct fake *f = fake_new(&cfg, true);
    for (uint16_t i = 0; i < workers; i++)
        fake_breathe(f, i, PLX_MS(1));
    return f;
}

// A short header whose connection ID names a core.
static void to_core(struct fake *f, uint8_t core, uint8_t *out, uint16_t len)
{
    uint8_t random[PLX_CID_MAX];
    struct plx_cid cid;

    memset(random, 0x77, sizeof random);
    plx_cid_make(&f->engine->codec, core, random, &cid);
    memset(out, 0x33, len);
    out[0] = 0x40;
    memcpy(out + 1, cid.bytes, cid.len);
}

static void test_there_and_home(void **state)
{
    struct fake *f = two_cores(2);
    struct plx_core *a = fake_core(f, 0), *b = fake_core(f, 1);
    uint8_t buf[60];

    (void)state;
    to_core(f, 1, buf, sizeof buf);
    fake_arrives(f, 0, buf, sizeof buf, NULL);
    unsigned at_home = f->q[0].free_count;
    fake_breathe(f, 0, PLX_MS(1));
    assert_int_equal(a->n.handed_over, 1);
    assert_int_equal(fake_all_drops(f), 0);
    assert_int_equal(f->q[0].free_count, at_home); // it is under way
    assert_int_equal(f->q[1].wakes, 0);            // nobody was asleep
    fake_breathe(f, 1, PLX_MS(1));
    assert_int_equal(b->n.taken_over, 1);
    assert_int_equal(b->n.drops[PLX_DROP_unknown_cid], 1);
    assert_int_equal(f->q[1].sent_count, 1); // the owner answers, from its own queue
    assert_int_equal(f->q[0].free_count, at_home);
    fake_breathe(f, 0, PLX_MS(1));
    assert_int_equal(f->q[0].free_count, at_home + 1);
    assert_int_equal(a->n.taken_over + b->n.handed_over, 0);
    fake_free(f);
}

static void test_whose(void **state)
{
    static const struct {
        uint8_t core;
        bool is_handed;
    } rows[] = {{0, false}, {1, true}, {2, true}, {3, false}, {100, false}};
    uint8_t buf[60];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fake *f = two_cores(3); // cores 0 to 2: others are noise
        to_core(f, rows[i].core, buf, sizeof buf);
        fake_arrives(f, 0, buf, sizeof buf, NULL);
        fake_breathe(f, 0, PLX_MS(1));
        if (fake_core(f, 0)->n.handed_over != rows[i].is_handed ||
            fake_core(f, 0)->n.drops[PLX_DROP_unknown_cid] == rows[i].is_handed)
            fail_msg("core %u", rows[i].core);
        fake_free(f); // what is still in an inbox comes home, too
    }
}

static void test_full(void **state)
{
    struct fake *f = two_cores(2);
    struct plx_core *a = fake_core(f, 0), *b = fake_core(f, 1);
    uint8_t buf[60];
    struct plx_pkt dummy[1];
    uint32_t filled = 0;

    (void)state;
    to_core(f, 1, buf, sizeof buf);
    while (plx_mailbox_push(&b->inbox, dummy))
        filled++;
    unsigned at_home = f->q[0].free_count;
    fake_arrives(f, 0, buf, sizeof buf, NULL);
    fake_breathe(f, 0, PLX_MS(1));
    assert_int_equal(a->n.drops[PLX_DROP_handoff_full], 1);
    assert_int_equal(a->n.handed_over, 0);
    assert_int_equal(f->q[0].free_count, at_home);
    void *out[64];
    for (uint32_t n; (n = plx_mailbox_pop_burst(&b->inbox, out, 64)) > 0; filled -= n)
        continue;
    assert_int_equal(filled, 0);
    fake_free(f);
}

static void test_sleep(void **state)
{
    struct fake *f = two_cores(2);
    struct plx_core *b = fake_core(f, 1);
    uint8_t buf[60];

    (void)state;
    to_core(f, 1, buf, sizeof buf);
    assert_true(plx_handoff_sleep(b));
    fake_arrives(f, 0, buf, sizeof buf, NULL);
    fake_breathe(f, 0, PLX_MS(1));
    assert_int_equal(f->q[1].wakes, 1);
    plx_handoff_awake(b);
    assert_false(plx_handoff_sleep(b)); // something is there: no sleep
    fake_breathe(f, 1, PLX_MS(1));
    assert_int_equal(b->n.taken_over, 1);
    assert_false(plx_handoff_sleep(fake_core(f, 0))); // its buffer is back
    fake_breathe(f, 0, PLX_MS(1));
    assert_true(plx_handoff_sleep(fake_core(f, 0)));
    fake_free(f);
}

// A datagram of several packets goes as a whole, and is looked at once.
static void test_coalesced(void **state)
{
    struct fake *f = two_cores(2);
    uint8_t buf[1300] = {0xe0, 0, 0, 0, 1, 8};
    uint8_t random[PLX_CID_MAX] = {1, 2, 3};
    struct plx_cid cid;

    (void)state;
    plx_cid_make(&f->engine->codec, 1, random, &cid);
    memcpy(buf + 6, cid.bytes, 8);
    buf[14] = 0;                   // no source ID
    buf[15] = 0x40, buf[16] = 100; // Length
    memcpy(buf + 117, buf, 117);   // the same once more
    fake_arrives(f, 0, buf, 234, NULL);
    fake_breathe(f, 0, PLX_MS(1));
    assert_int_equal(fake_core(f, 0)->n.handed_over, 1);
    assert_int_equal(fake_all_drops(f), 0);
    fake_breathe(f, 1, PLX_MS(1));
    assert_int_equal(fake_core(f, 1)->n.drops[PLX_DROP_unknown_cid], 2);
    fake_breathe(f, 0, PLX_MS(1));
    fake_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_there_and_home), cmocka_unit_test(test_whose),
                                       cmocka_unit_test(test_full), cmocka_unit_test(test_sleep),
                                       cmocka_unit_test(test_coalesced)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
