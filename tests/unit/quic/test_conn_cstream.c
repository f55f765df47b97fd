// test_conn_cstream.c -- CRYPTO streams: octets lost, repeated and out of order arrive once and in order; bounds hold.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/prng.h"
#include "base/slab.h"
#include "quic/conn/cstream.h"
#include "quic/wire/frame.h"

enum { TOTAL = 20000 };
static uint8_t pattern[TOTAL];
static struct plx_slab slab;

static int setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = (uint8_t)(i * 7 + i / 251);
    return plx_slab_init(&slab, 2 << 20, PLX_NODE_ANY) ? 0 : -1;
}
static int teardown(void **state)
{
    (void)state;
    plx_check(plx_slab_bytes_in_use(&slab) == 0);
    plx_slab_fini(&slab);
    return 0;
}

// A receiver that checks what it is given.
static uint64_t sink(struct plx_cstream_rx *rx, const struct plx_frame_crypto *f, uint64_t done)
{
    if (f->offset + f->len <= rx->read)
        return done;
    if (f->offset > rx->read) {
        assert_int_equal(plx_cstream_rx_hold(rx, &slab, f->offset, f->data, f->len), PLX_CSTREAM_OK);
        return done;
    }
    size_t skip = (size_t)(rx->read - f->offset), len = (size_t)f->len - skip;
    assert_memory_equal(f->data + skip, pattern + done, len);
    plx_cstream_rx_take(rx, &slab, len);
    done += len;
    for (struct plx_span s; (s = plx_cstream_rx_peek(rx)).len != 0;) {
        assert_memory_equal(s.p, pattern + done, s.len);
        done += s.len;
        plx_cstream_rx_take(rx, &slab, s.len);
    }
    return done;
}

// Packets of random sizes, of which some are lost, some arrive twice, all in random order: one seed replays each run.
static void test_any_order(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct plx_prng r;
        struct plx_cstream_tx tx;
        struct plx_cstream_rx rx;
        struct {
            uint8_t bytes[1500];
            size_t len;
            struct plx_refs refs;
        } pkt[40];
        unsigned count = 0;
        uint64_t done = 0;
        size_t pushed = 0;
        plx_prng_init(&r, seed);
        plx_cstream_tx_init(&tx);
        plx_cstream_rx_init(&rx);
        for (int guard = 0; done < TOTAL || !plx_cstream_tx_is_acked(&tx); guard++) {
            assert_true(guard < 100000);
            if (pushed < TOTAL) {
                size_t n = plx_prng_between(&r, 0, TOTAL - pushed < 3000 ? TOTAL - pushed : 3000);
                assert_true(plx_cstream_tx_push(&tx, &slab, pattern + pushed, n));
                pushed += n;
            }
            if (count < 40 && plx_cstream_tx_wants(&tx)) {
                struct plx_wr w =
                    plx_wr_init(pkt[count].bytes, plx_prng_between(&r, 10, sizeof pkt[0].bytes));
                pkt[count].refs.count = 0;
                plx_cstream_tx_write(&tx, &w, &pkt[count].refs);
                pkt[count].len = (size_t)(w.p - pkt[count].bytes);
                count += pkt[count].refs.count > 0;
            }
            plx_cstream_verify(&tx, &rx);
            if (count == 0 || plx_prng_chance(&r, 1, 2))
                continue;
            unsigned i = (unsigned)plx_prng_below(&r, count);
            bool is_lost = plx_prng_chance(&r, 1, 4), is_spurious = plx_prng_chance(&r, 1, 2);
            if (!is_lost || is_spurious) {
                struct plx_rd rd = plx_rd_init(pkt[i].bytes, pkt[i].len);
                struct plx_frame f;
                while (plx_rd_left(&rd) > 0) {
                    assert_int_equal(plx_frame_read(&rd, &f), PLX_FRAME_OK);
                    if (f.crypto.offset + f.crypto.len < rx.read + PLX_CSTREAM_HELD_MAX)
                        done = sink(&rx, &f.crypto, done);
                    plx_cstream_verify(&tx, &rx);
                }
            }
            for (unsigned k = 0; k < pkt[i].refs.count; k++)
                is_lost ? plx_cstream_tx_on_lost(&tx, &pkt[i].refs.v[k])
                        : plx_cstream_tx_on_acked(&tx, &pkt[i].refs.v[k]);
            pkt[i] = pkt[--count];
        }
        assert_int_equal(done, TOTAL);
        assert_false(plx_cstream_rx_has_held(&rx));
        plx_cstream_tx_fini(&tx, &slab);
        plx_cstream_rx_fini(&rx, &slab);
    }
}

static void test_bounds(void **state)
{
    (void)state;
    static const struct {
        uint64_t offset;
        size_t len;
        enum plx_cstream_held want;
    } row[] = {
        {1, 1, PLX_CSTREAM_OK},
        {100, 0, PLX_CSTREAM_OK},
        {PLX_CSTREAM_HELD_MAX - 10, 10, PLX_CSTREAM_OK},
        {PLX_CSTREAM_HELD_MAX - 10, 11, PLX_CSTREAM_EXCEEDED},
        {PLX_CSTREAM_HELD_MAX + 1, 1, PLX_CSTREAM_EXCEEDED},
        {PLX_VARINT_MAX - 5, 5, PLX_CSTREAM_EXCEEDED},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct plx_cstream_rx rx;
        struct plx_cstream_tx tx;
        plx_cstream_rx_init(&rx);
        plx_cstream_tx_init(&tx);
        if (plx_cstream_rx_hold(&rx, &slab, row[i].offset, pattern, row[i].len) != row[i].want)
            fail_msg("row %zu", i);
        plx_cstream_verify(&tx, &rx);
        plx_cstream_rx_fini(&rx, &slab);
    }
}

// More holes than can be remembered: refused, and nothing leaks.
static void test_holes(void **state)
{
    (void)state;
    struct plx_cstream_rx rx;
    plx_cstream_rx_init(&rx);
    for (unsigned i = 0; i < PLX_RANGES_MAX; i++)
        assert_int_equal(plx_cstream_rx_hold(&rx, &slab, 2 + 2 * i, pattern, 1), PLX_CSTREAM_OK);
    assert_int_equal(plx_cstream_rx_hold(&rx, &slab, 2 + 2 * PLX_RANGES_MAX, pattern, 1),
                     PLX_CSTREAM_EXCEEDED);
    plx_cstream_rx_fini(&rx, &slab);
}

static void test_too_much(void **state)
{
    (void)state;
    struct plx_cstream_tx tx;
    size_t pushed = 0;
    plx_cstream_tx_init(&tx);
    while (plx_cstream_tx_push(&tx, &slab, pattern, sizeof pattern))
        pushed += sizeof pattern;
    assert_true(pushed <= PLX_CSTREAM_SENT_MAX);
    assert_true(pushed + sizeof pattern > PLX_CSTREAM_SENT_MAX);
    plx_cstream_tx_fini(&tx, &slab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_order),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_holes),
        cmocka_unit_test(test_too_much),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
