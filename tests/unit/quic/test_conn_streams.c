// test_conn_streams.c -- stream data through whole connections: sizes, directions, loss, back-pressure, many at once, refusals, trains.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "pair.h"
#include "../base/rows.h"

static struct pair p;

static void test_sizes(void **state)
{
    (void)state;
    static const uint64_t row[] = {0, 1, 100, 1199, 1200, 1201, 5000, 65536, 300000, PAIR_PATTERN};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        pair_init(&p, i);
        pair_establish(&p);
        EXPECT_ROW(i, pair_request(&p, row[i]) != NULL);
        pair_run(&p, PLX_SEC(3));
        EXPECT_ROW(i, p.e[SERVER].rx_requests == 1);
        EXPECT_ROW(i, p.e[CLIENT].fins == 1);
        EXPECT_ROW(i, p.e[CLIENT].rx_total == row[i]);
        EXPECT_ROW(i, !p.e[CLIENT].is_pattern_broken);
        EXPECT_ROW(i, p.e[CLIENT].closed_streams == 1 && p.e[SERVER].closed_streams == 1);
        EXPECT_ROW(i, p.e[SERVER].conn->recovery.lost_packets == 0);
        pair_fini(&p);
    }
}

// Requests one after another and many at once, far beyond the number that may be open.
static void test_many(void **state)
{
    (void)state;
    pair_init(&p, 1);
    p.e[SERVER].cfg.streams_bidi = 20;
    pair_establish(&p);
    unsigned sent = 0;
    for (int round = 0; round < 200 && p.e[CLIENT].fins < 500; round++) {
        while (sent < 500 && pair_request(&p, 300) != NULL)
            sent++;
        pair_run(&p, PLX_MS(20));
    }
    pair_run(&p, PLX_MS(500));
    assert_int_equal(sent, 500);
    assert_int_equal(p.e[CLIENT].fins, 500);
    assert_int_equal(p.e[SERVER].closed_streams, 500);
    assert_int_equal(p.e[CLIENT].closed_streams, 500);
    // Answers share packets: far fewer datagrams than answers.
    assert_true(p.e[SERVER].dgrams_tx < 300);
    pair_fini(&p);
}

// Who wants answers is not told of the end of a stream that he has taken his name off, but as ever of one that has it, and of all when the
// connection ends.
static void test_end_untold(void **state)
{
    (void)state;
    for (unsigned leaves = 0; leaves < 2; leaves++) {
        pair_init(&p, 1);
        pair_establish(&p);
        plx_conn_want_messages(p.e[CLIENT].conn);
        p.e[CLIENT].leaves = leaves;
        uint64_t before = p.e[CLIENT].env.stats.streams_closed;
        for (unsigned i = 0; i < 10; i++)
            assert_non_null(pair_request(&p, 50)); // all answers fit one packet: none is cut
        pair_run(&p, PLX_MS(500));
        assert_int_equal(p.e[CLIENT].fins, 10);
        assert_int_equal(p.e[CLIENT].env.stats.streams_closed - before, 10);
        assert_int_equal(p.e[CLIENT].closed_streams, leaves ? 0 : 10);
        unsigned told = p.e[CLIENT].closed_streams;
        assert_non_null(pair_request(&p, 300)); // nobody has put a name on it
        plx_conn_close(p.e[CLIENT].conn, 0, "");
        pair_run(&p, PLX_MS(500));
        assert_int_equal(p.e[CLIENT].closed_streams, told + 1);
        pair_fini(&p);
    }
}

static bool lossy(struct pair *pair, struct pair_dgram *d)
{
    (void)d;
    return !plx_prng_chance(&pair->e[SERVER].prng, pair->filter_arg, 100);
}

static void test_loss(void **state)
{
    (void)state;
    for (uint64_t percent = 1; percent <= 21; percent += 4) {
        pair_init(&p, percent);
        pair_establish(&p);
        p.filter = lossy;
        p.filter_arg = percent;
        for (int i = 0; i < 5; i++)
            EXPECT_ROW(percent, pair_request(&p, 60000) != NULL);
        pair_run(&p, PLX_SEC(25));
        EXPECT_ROW(percent, p.e[CLIENT].fins == 5);
        EXPECT_ROW(percent, p.e[CLIENT].rx_total == 300000);
        EXPECT_ROW(percent, !p.e[CLIENT].is_pattern_broken);
        EXPECT_ROW(percent, p.e[SERVER].env.stats.packets_lost > 0);
        pair_fini(&p);
    }
}

// A reader that takes a little at a time holds the sender back, and gets everything in the end.
static void test_backpressure(void **state)
{
    (void)state;
    pair_init(&p, 2);
    p.e[CLIENT].take_max = 1000;
    p.e[CLIENT].cfg.stream_window = 20000;
    p.e[CLIENT].cfg.stream_window_max = 20000;
    pair_establish(&p);
    assert_non_null(pair_request(&p, 200000));
    for (int i = 0; i < 2000 && p.e[CLIENT].fins == 0; i++)
        pair_run(&p, PLX_MS(5));
    assert_int_equal(p.e[CLIENT].fins, 1);
    assert_int_equal(p.e[CLIENT].rx_total, 200000);
    assert_false(p.e[CLIENT].is_pattern_broken);
    pair_fini(&p);
}

static void test_uni_both_ways(void **state)
{
    (void)state;
    pair_init(&p, 3);
    pair_establish(&p);
    for (int side = 0; side < 2; side++) {
        struct plx_stream *s;
        assert_int_equal(plx_stream_open(p.e[side].conn, true, &s), PLX_OK);
        assert_ptr_equal(plx_stream_conn(s), p.e[side].conn);
        struct plx_buf buf = {pair_pattern, 100000, NULL};
        assert_int_equal(plx_stream_send(s, buf, true), PLX_OK);
    }
    pair_run(&p, PLX_SEC(2));
    for (int side = 0; side < 2; side++) {
        assert_int_equal(p.e[side].rx_total, 100000);
        assert_int_equal(p.e[side].fins, 1);
        assert_false(p.e[side].is_pattern_broken);
    }
    pair_fini(&p);
}

static void test_reset_and_stop(void **state)
{
    (void)state;
    pair_init(&p, 4);
    pair_establish(&p);
    struct plx_stream *s = pair_request(&p, PAIR_PATTERN);
    pair_run(&p, PLX_MS(30));
    assert_true(p.e[CLIENT].rx_total > 0);
    plx_stream_stop_sending(s, 77);
    pair_run(&p, PLX_MS(200));
    assert_int_equal(p.e[SERVER].stops, 1);
    assert_true(p.e[CLIENT].rx_total < PAIR_PATTERN);
    assert_int_equal(p.e[CLIENT].closed_streams, 1);
    assert_int_equal(p.e[SERVER].closed_streams, 1);
    assert_int_equal(plx_stream_open(p.e[CLIENT].conn, true, &s), PLX_OK);
    assert_int_equal(plx_stream_send_copy(s, "abc", 3, false), PLX_OK);
    pair_run(&p, PLX_MS(50));
    plx_stream_reset(s, 5);
    pair_run(&p, PLX_MS(200));
    assert_int_equal(p.e[SERVER].resets, 1);
    pair_fini(&p);
}

// During bulk all datagrams of a train have one length, so that the driver may send them as one.
static unsigned lengths_seen[PAIR_DGRAM_LEN];
static bool note_length(struct pair *pair, struct pair_dgram *d)
{
    (void)pair;
    if (d->to == CLIENT)
        lengths_seen[d->len]++;
    return true;
}

static void test_trains(void **state)
{
    (void)state;
    pair_init(&p, 5);
    pair_establish(&p);
    pair_run(&p, PLX_MS(200));
    memset(lengths_seen, 0, sizeof lengths_seen);
    p.filter = note_length;
    for (int i = 0; i < 4; i++)
        assert_non_null(pair_request(&p, 250000));
    pair_run(&p, PLX_SEC(3));
    assert_int_equal(p.e[CLIENT].fins, 4);
    unsigned full = lengths_seen[1452], other = 0;
    for (size_t i = 0; i < PAIR_DGRAM_LEN; i++)
        other += i == 1452 ? 0 : lengths_seen[i];
    assert_true(full > 650);
    assert_true(other < 40);
    pair_fini(&p);
}

// Wakes: a call from the application outside of the engine's phases is told, one from inside is not.
static void test_wakes(void **state)
{
    (void)state;
    pair_init(&p, 6);
    pair_establish(&p);
    pair_run(&p, PLX_MS(100));
    unsigned wakes = p.e[CLIENT].wakes, server_wakes = p.e[SERVER].wakes;
    assert_false(plx_conn_wants_tx(p.e[CLIENT].conn));
    assert_non_null(pair_request(&p, 10));
    assert_true(p.e[CLIENT].wakes > wakes);
    assert_true(plx_conn_wants_tx(p.e[CLIENT].conn));
    pair_run(&p, PLX_MS(100));
    assert_int_equal(p.e[CLIENT].fins, 1);
    assert_int_equal(p.e[SERVER].wakes, server_wakes);
    pair_fini(&p);
}

// Nothing in the slab: nothing moves, nothing breaks, nobody spins; when there is something again it goes on.
static void test_empty_slab(void **state)
{
    (void)state;
    static void *taken[(8 << 20) / 64 + 1];
    for (int side = 0; side < 2; side++) {
        pair_init(&p, 9);
        pair_establish(&p);
        assert_non_null(pair_request(&p, 1000)); // the window of streams is there from now on
        pair_run(&p, PLX_SEC(8));
        assert_non_null(pair_request(&p, 60000));
        size_t count = 0;
        while ((taken[count] = plx_slab_take(&p.e[side].slab, 64)) != NULL)
            count++;
        pair_run(&p, PLX_MS(700));
        // Neither has a ring of sent packets any more: they went when it was idle.
        EXPECT_ROW(side, p.e[CLIENT].fins == 1);
        if (side == SERVER && pair_is_confirmed(&p))
            EXPECT_ROW(side,
                       p.e[SERVER].conn->hold == CONN_HOLD_MEANS && !plx_conn_wants_tx(p.e[SERVER].conn));
        while (count > 0)
            plx_slab_give(&p.e[side].slab, taken[--count], 64);
        pair_run(&p, PLX_SEC(2));
        if (!pair_is_confirmed(
                &p)) { // not even the window of the next stream could be had: an error of ours, and told as such
            EXPECT_ROW(side, side == SERVER && p.e[SERVER].close.code == PLX_QUIC_INTERNAL_ERROR);
        } else {
            if (p.e[CLIENT].fins == 1)
                EXPECT_ROW(side, pair_request(&p, 60000) != NULL); // refused for lack of memory
            pair_run(&p, PLX_SEC(5));
            EXPECT_ROW(side, p.e[CLIENT].fins == 2 && !p.e[CLIENT].is_pattern_broken);
        }
        pair_fini(&p);
    }
}

// An idle end keeps no rings and no buffers; what it had comes back when it is needed.
static void test_idle_memory(void **state)
{
    (void)state;
    pair_init(&p, 8);
    pair_establish(&p);
    for (int i = 0; i < 3; i++) {
        assert_non_null(pair_request(&p, 100000));
        pair_run(&p, PLX_SEC(8)); // longer than a client waits for tickets, shorter than the idle timeout
        assert_int_equal(p.e[CLIENT].fins, i + 1);
        assert_null(p.e[SERVER].conn->space.sent.recs);
        assert_null(p.e[SERVER].conn->hs);
        // What is left is the window of streams.
        assert_true(plx_slab_bytes_in_use(&p.e[SERVER].slab) <= 4096);
    }
    pair_fini(&p);
}

// The latency spin bit turns once per round trip on either side, and is constant where it is off.
static unsigned spins[2], last_spin[2], shorts;
static bool note_spin(struct pair *pair, struct pair_dgram *d)
{
    (void)pair;
    if (!(d->data[0] & 0x80)) {
        unsigned bit = d->data[0] >> 5 & 1;
        spins[d->to] += bit != last_spin[d->to];
        last_spin[d->to] = bit;
        shorts++;
    }
    return true;
}

static void test_spin(void **state)
{
    (void)state;
    for (int is_on = 0; is_on < 2; is_on++) {
        unsigned turned = 0;
        for (uint64_t seed = 0; seed < 6; seed++) { // one in sixteen is off by chance
            pair_init(&p, 70 + seed);
            p.e[CLIENT].cfg.is_spin = p.e[SERVER].cfg.is_spin = is_on;
            pair_establish(&p);
            memset(spins, 0, sizeof spins);
            p.filter = note_spin;
            assert_non_null(pair_request(&p, PAIR_PATTERN));
            pair_run(&p, PLX_SEC(3));
            EXPECT_ROW(seed, is_on || (spins[CLIENT] <= 1 && spins[SERVER] <= 1));
            turned += spins[CLIENT] >= 4 && spins[SERVER] >= 4;
            pair_fini(&p);
        }
        EXPECT_ROW(is_on, is_on ? turned >= 3 : turned == 0);
    }
}

static void test_refused_streams(void **state)
{
    (void)state;
    pair_init(&p, 7);
    p.e[SERVER].cfg.refuse_code = 0x10b;
    pair_establish(&p);
    void *taken[256];
    unsigned count = 0;
    while (plx_pool_in_use(&p.e[SERVER].streams) < 256)
        taken[count++] = plx_pool_take(&p.e[SERVER].streams);
    assert_non_null(pair_request(&p, 10));
    pair_run(&p, PLX_MS(300));
    assert_int_equal(p.e[CLIENT].fins, 0);
    assert_true(p.e[CLIENT].resets + p.e[CLIENT].stops > 0);
    while (count > 0)
        plx_pool_give(&p.e[SERVER].streams, taken[--count]);
    assert_non_null(pair_request(&p, 10));
    pair_run(&p, PLX_MS(300));
    assert_int_equal(p.e[CLIENT].fins, 1);
    pair_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),          cmocka_unit_test(test_many),
        cmocka_unit_test(test_end_untold),     cmocka_unit_test(test_loss),
        cmocka_unit_test(test_backpressure),   cmocka_unit_test(test_uni_both_ways),
        cmocka_unit_test(test_reset_and_stop), cmocka_unit_test(test_trains),
        cmocka_unit_test(test_wakes),          cmocka_unit_test(test_refused_streams),
        cmocka_unit_test(test_idle_memory),    cmocka_unit_test(test_spin),
        cmocka_unit_test(test_empty_slab),
    };
    return cmocka_run_group_tests(tests, pair_group_setup, pair_group_teardown);
}
