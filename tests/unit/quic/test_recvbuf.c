// test_recvbuf.c -- what is kept, in which pieces it is offered again, and what it costs. (fuzz_recvbuf does the rest.)

#include "quic/stream/recvbuf.h"

#include <string.h>

#include "base/slab.h"
#include "tests/unit/base/rows.h"

enum { SIZE = 1 << 17 };

static uint8_t octets[SIZE];

static int setup(void **state)
{
    static struct plx_slab slab;
    for (unsigned i = 0; i < SIZE; i++)
        octets[i] = (uint8_t)(i * 3 + (i >> 8));
    assert_true(plx_slab_init(&slab, 1, PLX_NODE_ANY));
    *state = &slab;
    return 0;
}

static int teardown(void **state)
{
    struct plx_slab *slab = *state;
    assert_int_equal(plx_slab_bytes_in_use(slab), 0);
    plx_slab_fini(slab);
    return 0;
}

static void put(struct plx_recvbuf **b, struct plx_slab *slab, uint64_t read, uint64_t first, uint64_t end)
{
    assert_true(plx_recvbuf_put(b, slab, read, first, octets + first, (size_t)(end - first)));
    plx_recvbuf_verify(*b, read);
}

static void test_offered_pieces(void **state)
{
    // Ranges put with read 0, and what peek(read) must say afterwards.
    static const struct {
        uint64_t put[4][2];
        uint64_t read, len, held;
    } row[] = {
        {{{0, 10}}, 0, 10, 10},
        {{{5, 10}}, 0, 0, 5},
        {{{5, 10}}, 5, 5, 5},
        {{{5, 10}, {0, 5}}, 0, 10, 10},
        {{{5, 10}, {12, 20}, {0, 5}}, 0, 10, 18}, // a second extent: a bitmap
        {{{5, 10}, {12, 20}, {0, 5}}, 12, 8, 18},
        {{{0, 4096}}, 0, 4096, 4096},
        {{{0, 4097}}, 0, 4096, 4097}, // the next chunk is another piece
        {{{0, 4097}}, 4096, 1, 4097},
        {{{1, 4096}, {0, 1}}, 0, 4096, 4096},
        {{{10, 20}, {30, 40}, {0, 4096}}, 0, 4096, 4096}, // whole again: no bitmap
        {{{10, 30}, {20, 40}, {25, 26}}, 10, 30, 30},     // overlap and duplicate
        {{{63, 65}, {127, 129}, {0, 1}}, 127, 2, 5},      // over the edges of words
        {{{100000, 100100}, {0, 1}}, 0, 1, 101},          // far: the ring grows
    };
    struct plx_slab *slab = *state;

    for (unsigned i = 0; i < ROWS(row); i++) {
        struct plx_recvbuf *b = NULL;
        const uint8_t *data;
        for (unsigned k = 0; k < 4 && row[i].put[k][1] != 0; k++)
            put(&b, slab, 0, row[i].put[k][0], row[i].put[k][1]);
        EXPECT_ROW(i, plx_recvbuf_held(b) == row[i].held);
        size_t len = plx_recvbuf_peek(b, row[i].read, &data);
        EXPECT_ROW(i, len == row[i].len);
        EXPECT_ROW(i, len == 0 || memcmp(data, octets + row[i].read, len) == 0);
        plx_recvbuf_clear(&b, slab);
        EXPECT_ROW(i, plx_slab_bytes_in_use(slab) == 0);
    }
}

static void test_below_read_is_cut_off(void **state)
{
    struct plx_slab *slab = *state;
    struct plx_recvbuf *b = NULL;
    const uint8_t *data;

    assert_true(plx_recvbuf_put(&b, slab, 100, 0, octets, 100)); // all of it old
    assert_null(b);
    assert_true(plx_recvbuf_put(&b, slab, 100, 0, octets, 150));
    assert_int_equal(plx_recvbuf_held(b), 50);
    assert_int_equal(plx_recvbuf_peek(b, 100, &data), 50);
    assert_memory_equal(data, octets + 100, 50);
    plx_recvbuf_drop(&b, slab, 100, 49);
    assert_int_equal(plx_recvbuf_held(b), 1);
    plx_recvbuf_verify(b, 149);
    plx_recvbuf_drop(&b, slab, 149, 5000); // more than is there: it arrived otherwise
    assert_null(b);
}

static void test_memory_follows_what_is_kept(void **state)
{
    struct plx_slab *slab = *state;
    struct plx_recvbuf *b = NULL;

    put(&b, slab, 0, 4096, 5 * 4096);
    uint64_t full = plx_slab_bytes_in_use(slab);
    assert_true(full >= 4 * 4096);
    assert_true(full < 5 * 4096);
    plx_recvbuf_drop(&b, slab, 0, 2 * 4096); // chunk 1 is done with
    assert_int_equal(plx_slab_bytes_in_use(slab), full - 4096);
    plx_recvbuf_drop(&b, slab, 2 * 4096, 3 * 4096);
    assert_null(b);
    assert_int_equal(plx_slab_bytes_in_use(slab), 0);
}

// Every second octet: the worst that a peer can do costs an eighth more, and nothing is forgotten.
static void test_a_hole_after_every_octet(void **state)
{
    struct plx_slab *slab = *state;
    struct plx_recvbuf *b = NULL;
    const uint8_t *data;
    uint64_t read = 0;

    for (uint64_t at = 0; at < 16384; at += 2)
        put(&b, slab, 0, at, at + 1);
    assert_int_equal(plx_recvbuf_held(b), 8192);
    assert_true(plx_slab_bytes_in_use(slab) <= 4 * (4096 + 512) + 1024);
    for (uint64_t at = 1; at < 16384; at += 2)
        put(&b, slab, 0, at, at + 1);
    assert_int_equal(plx_recvbuf_held(b), 16384);
    for (size_t len; (len = plx_recvbuf_peek(b, read, &data)) > 0; read += len) {
        assert_memory_equal(data, octets + read, len);
        plx_recvbuf_drop(&b, slab, read, len);
    }
    assert_int_equal(read, 16384);
}

static void test_out_of_memory(void **state)
{
    struct plx_slab *slab = *state;
    struct plx_recvbuf *b = NULL;
    void *hog[256];
    unsigned hogs = 0;

    put(&b, slab, 0, 10, 20);
    for (size_t size = PLX_SLAB_BLOCK_MAX; size >= 64; size /= 2)
        while (hogs < 256 && (hog[hogs] = plx_slab_take(slab, size)) != NULL)
            hogs += 1; // sizes are found again by taking the largest first
    assert_false(plx_recvbuf_put(&b, slab, 0, 4096, octets, 10));   // no chunk
    assert_false(plx_recvbuf_put(&b, slab, 0, 30, octets, 10));     // no bitmap
    assert_true(plx_recvbuf_put(&b, slab, 0, 20, octets + 20, 10)); // needs nothing
    plx_recvbuf_verify(b, 0);
    assert_int_equal(plx_recvbuf_held(b), 20);
    plx_recvbuf_clear(&b, slab);
    assert_true(plx_recvbuf_put(&b, slab, 0, 0, octets, 10)); // what was given back is there again
    plx_recvbuf_clear(&b, slab);
    plx_slab_fini(slab);
    assert_true(plx_slab_init(slab, 1, PLX_NODE_ANY));
}

static void test_beyond_the_largest_ring(void **state)
{
    struct plx_slab *slab = *state;
    struct plx_recvbuf *b = NULL;

    assert_false(plx_recvbuf_put(&b, slab, 0, UINT64_C(1) << 40, octets,
                                 10)); // the caller checks windows; this is the last wall
    assert_null(b);
    assert_true(plx_recvbuf_put(&b, slab, UINT64_C(1) << 40, (UINT64_C(1) << 40) + 9, octets, 10));
    plx_recvbuf_clear(&b, slab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_offered_pieces, setup, teardown),
        cmocka_unit_test_setup_teardown(test_below_read_is_cut_off, setup, teardown),
        cmocka_unit_test_setup_teardown(test_memory_follows_what_is_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_hole_after_every_octet, setup, teardown),
        cmocka_unit_test_setup_teardown(test_out_of_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_beyond_the_largest_ring, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
