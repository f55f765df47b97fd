// test_sendbuf.c -- pieces, copies, acknowledgements out of order, losses, and owners. (fuzz_sendbuf does the rest.)

#include "quic/stream/sendbuf.h"

#include <string.h>

#include "base/slab.h"
#include "tests/unit/base/rows.h"

enum { PIECES = 300 };

static struct fixture {
    struct plx_slab slab;
    struct plx_sendbuf b;
    struct plx_owner owner;
    unsigned released;
    size_t released_len;
    struct plx_buf refill; // added from inside a release, once, when len > 0
    char text[4096];
} f;

static void released(struct plx_owner *o, const void *data, size_t len)
{
    assert_ptr_equal(o, &f.owner);
    assert_true((const char *)data >= f.text);
    f.released++;
    f.released_len += len;
    struct plx_buf refill = f.refill;
    f.refill.len = 0;
    if (refill.len > 0)
        assert_int_equal(plx_sendbuf_add(&f.b, &f.slab, &refill, 1, false), PLX_OK);
}

static int setup(void **state)
{
    (void)state;
    memset(&f, 0, sizeof f);
    f.owner.release = released;
    for (unsigned i = 0; i < sizeof f.text; i++)
        f.text[i] = (char)('a' + i % 26);
    assert_true(plx_slab_init(&f.slab, 1, PLX_NODE_ANY));
    plx_sendbuf_init(&f.b);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    plx_sendbuf_clear(&f.b, &f.slab);
    assert_int_equal(plx_slab_bytes_in_use(&f.slab), 0);
    plx_slab_fini(&f.slab);
    return 0;
}

static enum plx_err add(size_t at, size_t len, bool fin)
{
    struct plx_buf buf = {f.text + at, len, &f.owner};
    return plx_sendbuf_add(&f.b, &f.slab, &buf, 1, fin);
}

static struct plx_sendbuf_chunk send(uint64_t credit, uint64_t max)
{
    struct plx_sendbuf_chunk c;
    uint8_t out[4096];
    if (!plx_sendbuf_peek(&f.b, credit, &c))
        return (struct plx_sendbuf_chunk){.offset = UINT64_MAX};
    if (c.len > max) {
        c.len = max;
        c.fin = false;
    }
    plx_sendbuf_copy(&f.b, c.offset, (size_t)c.len, out);
    for (uint64_t i = 0; i < c.len; i++)
        assert_int_equal(out[i], f.text[c.offset + i]);
    plx_sendbuf_on_sent(&f.b, &f.slab, &c, c.len, c.fin);
    plx_sendbuf_verify(&f.b);
    return c;
}

static void acked(uint64_t offset, uint64_t len, bool fin)
{
    plx_sendbuf_on_acked(&f.b, &f.slab, offset, len, fin);
    plx_sendbuf_verify(&f.b);
}

static void lost(uint64_t offset, uint64_t len, bool fin)
{
    plx_sendbuf_on_lost(&f.b, &f.slab, offset, len, fin);
    plx_sendbuf_verify(&f.b);
}

static void expect_chunk(struct plx_sendbuf_chunk c, uint64_t offset, uint64_t len, bool fin, bool is_new)
{
    assert_int_equal(c.offset, offset);
    assert_int_equal(c.len, len);
    assert_int_equal(c.fin, fin);
    assert_int_equal(c.is_new, is_new);
}

static void test_one_response(void **state)
{
    (void)state;
    assert_int_equal(add(0, 40, false), PLX_OK);
    assert_int_equal(add(40, 60, true), PLX_OK);
    assert_true(plx_sendbuf_is_fin_queued(&f.b));
    expect_chunk(send(UINT64_MAX, 1000), 0, 100, true, true); // two pieces, one frame
    assert_int_equal(send(UINT64_MAX, 1000).offset, UINT64_MAX);
    assert_int_equal(f.released, 0);
    acked(0, 100, true);
    assert_true(plx_sendbuf_is_complete(&f.b));
    assert_int_equal(f.released, 2);
    assert_int_equal(f.released_len, 100);
    assert_int_equal(plx_slab_bytes_in_use(&f.slab), 0);
}

// As if it had been added: what was kept outside goes on like any other.
static void test_whole_queued(void **state)
{
    (void)state;
    plx_sendbuf_init_whole(&f.b, &(struct plx_buf){f.text, 100, &f.owner}, PLX_FIN_QUEUED);
    plx_sendbuf_verify(&f.b);
    assert_true(plx_sendbuf_is_fin_queued(&f.b));
    expect_chunk(send(100, 60), 0, 60, false, true);
    expect_chunk(send(100, 60), 60, 40, true, true);
    acked(0, 100, true);
    assert_true(plx_sendbuf_is_complete(&f.b));
    assert_int_equal(f.released, 1);
}

static void test_whole_sent(void **state)
{
    (void)state;
    plx_sendbuf_init_whole(&f.b, &(struct plx_buf){f.text, 100, &f.owner}, PLX_FIN_SENT);
    plx_sendbuf_verify(&f.b);
    assert_int_equal(send(UINT64_MAX, 1000).offset, UINT64_MAX); // nothing is left
    lost(0, 100, true);
    expect_chunk(send(100, 60), 0, 60, false, false);
    acked(0, 60, false);
    acked(0, 100, true); // the first one was only late
    assert_true(plx_sendbuf_is_complete(&f.b));
    assert_false(plx_sendbuf_has_owed(&f.b));
    assert_int_equal(f.released, 1);
}

static void test_whole_acked(void **state)
{
    (void)state;
    plx_sendbuf_init_whole(&f.b, &(struct plx_buf){f.text, 100, &f.owner}, PLX_FIN_ACKED);
    plx_sendbuf_verify(&f.b);
    assert_true(plx_sendbuf_is_complete(&f.b));
    acked(0, 100, true); // said once more
    assert_int_equal(send(UINT64_MAX, 1000).offset, UINT64_MAX);
    assert_int_equal(f.released, 0); // whoever kept it has seen to that
}

static void test_whole_copied(void **state)
{
    struct plx_buf piece;
    uint8_t text[100];

    (void)state;
    memcpy(text, f.text, sizeof text);
    assert_true(plx_sendbuf_copy_whole(&f.slab, text, sizeof text, &piece));
    memset(text, 0, sizeof text);
    assert_memory_equal(piece.data, f.text, piece.len);
    plx_sendbuf_init_whole(&f.b, &piece, PLX_FIN_QUEUED);
    expect_chunk(send(100, 100), 0, 100, true, true);
    acked(0, 100, true);
    assert_int_equal(plx_slab_bytes_in_use(&f.slab), 0);
    assert_false(
        plx_sendbuf_copy_whole(&f.slab, f.text, PLX_SENDBUF_COPY_BLOCK, &piece)); // no room for its front
}

static void test_credit_and_fin(void **state)
{
    (void)state;
    assert_int_equal(add(0, 100, true), PLX_OK);
    expect_chunk(send(30, 1000), 0, 30, false, true);
    assert_int_equal(send(30, 1000).offset, UINT64_MAX); // blocked: no FIN either
    expect_chunk(send(100, 50), 30, 50, false, true);
    expect_chunk(send(100, 1000), 80, 20, true, true);
    lost(80, 20, true);
    expect_chunk(send(100, 10), 80, 10, false, false);
    expect_chunk(send(100, 100), 90, 10, true, false);
    acked(0, 30, false);
    acked(30, 50, false);
    acked(90, 10, true);
    assert_false(plx_sendbuf_is_complete(&f.b));
    acked(80, 10, false);
    assert_true(plx_sendbuf_is_complete(&f.b));
}

static void test_bare_fin(void **state)
{
    (void)state;
    assert_int_equal(add(0, 10, false), PLX_OK);
    send(UINT64_MAX, 100);
    assert_false(plx_sendbuf_has_owed(&f.b));
    assert_int_equal(plx_sendbuf_add(&f.b, &f.slab, NULL, 0, true), PLX_OK);
    assert_true(plx_sendbuf_has_owed(&f.b)); // needs no credit
    expect_chunk(send(0, 100), 10, 0, true, false);
    lost(10, 0, true);
    expect_chunk(send(0, 100), 10, 0, true, false);
    acked(10, 0, true); // before the octets
    assert_false(plx_sendbuf_is_complete(&f.b));
    lost(10, 0, true); // the older one: acknowledged is acknowledged
    assert_false(plx_sendbuf_has_owed(&f.b));
    acked(0, 10, false);
    assert_true(plx_sendbuf_is_complete(&f.b));
}

static void test_out_of_order(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(add(i * 100, 100, i == 3), PLX_OK);
    for (unsigned i = 0; i < 8; i++)
        send(UINT64_MAX, 50);
    acked(350, 50, true);
    acked(100, 50, false);
    assert_int_equal(f.released, 0); // owners follow the prefix
    lost(0, 350, false);             // but what is acknowledged is not sent again
    expect_chunk(send(UINT64_MAX, 1000), 0, 100, false, false);
    expect_chunk(send(UINT64_MAX, 1000), 150, 200, false, false);
    assert_int_equal(send(UINT64_MAX, 1000).offset, UINT64_MAX);
    acked(0, 50, false);
    assert_int_equal(f.released, 0);
    acked(50, 50, false);
    assert_int_equal(f.released, 1);
    lost(160, 10, false);
    acked(150, 200, false); // late: it was not lost after all
    assert_int_equal(f.released, 4);
    assert_true(plx_sendbuf_is_complete(&f.b));
    assert_false(plx_sendbuf_has_owed(&f.b));
    assert_int_equal(plx_slab_bytes_in_use(&f.slab), 0);
}

static void test_too_many_holes_go_back(void **state)
{
    (void)state;
    assert_int_equal(add(0, 1000, true), PLX_OK);
    for (unsigned i = 0; i < 100; i++)
        send(UINT64_MAX, 10);
    for (unsigned i = 1; i < 100; i += 2) // fifty ranges, and there is room for PLX_RANGES_MAX
        acked(i * 10, 10, i == 99);
    assert_true(f.b.next < 1000);
    assert_int_equal(f.b.sent_max, 1000);
    uint64_t again = 0;
    for (unsigned i = 0; i < 100; i += 2)
        lost(i * 10, 10, false);
    for (struct plx_sendbuf_chunk c; (c = send(0, 10)).offset != UINT64_MAX;) { // without any credit
        assert_false(c.is_new);
        again += c.len;
        acked(c.offset, c.len, c.fin);
    }
    assert_int_equal(again,
                     10 * PLX_RANGES_MAX +
                         (1000 - 20 * PLX_RANGES_MAX)); // what the lists could hold, and everything behind
    assert_true(plx_sendbuf_is_complete(&f.b));
    assert_int_equal(f.released, 1);
}

static void test_no_memory_for_ranges(void **state)
{
    void *hog;
    (void)state;
    assert_int_equal(add(0, 100, true), PLX_OK);
    for (unsigned i = 0; i < 10; i++)
        send(UINT64_MAX, 10);
    hog = plx_slab_take(&f.slab, PLX_SLAB_BLOCK_MAX); // all of it
    assert_non_null(hog);
    acked(50, 10, false); // cannot be remembered
    lost(20, 10, false);  // nor this
    assert_int_equal(f.b.next, 20);
    expect_chunk(send(0, 1000), 20, 80, false, false);
    plx_slab_give(&f.slab, hog, PLX_SLAB_BLOCK_MAX);
    acked(0, 90, false);
    acked(90, 10, true);
    assert_true(plx_sendbuf_is_complete(&f.b));
    assert_int_equal(f.released, 1);
}

// Where it goes back beyond octets that it knows to be acknowledged, it steps over them.
static void test_going_back_over_acknowledged_octets(void **state)
{
    (void)state;
    assert_int_equal(add(0, 100, true), PLX_OK);
    for (unsigned i = 0; i < 10; i++)
        send(UINT64_MAX, 10);
    acked(70, 10, false);
    while (plx_slab_take(&f.slab, 64) != NULL)
        ; // to the last block: the slab goes as a whole at the end
    lost(20, 10, false);
    expect_chunk(send(0, 1000), 20, 50, false, false);
    assert_int_equal(f.b.next, 80);
    expect_chunk(send(0, 1000), 80, 20, false, false);
    assert_false(plx_sendbuf_has_owed(&f.b));
    acked(0, 70, false);
    acked(80, 20, true);
    assert_true(plx_sendbuf_is_complete(&f.b));
    plx_slab_fini(&f.slab);
    assert_true(plx_slab_init(&f.slab, 1, PLX_NODE_ANY));
}

static void test_queue_limit(void **state)
{
    struct plx_buf bufs[PLX_SENDBUF_PIECES_MAX + 1];
    (void)state;
    for (unsigned i = 0; i < ROWS(bufs); i++)
        bufs[i] = (struct plx_buf){f.text + i, 1, &f.owner};
    assert_int_equal(plx_sendbuf_add(&f.b, &f.slab, bufs, ROWS(bufs), false), PLX_ERR_INVALID);
    assert_int_equal(plx_sendbuf_add(&f.b, &f.slab, bufs, 10, false), PLX_OK);
    assert_int_equal(plx_sendbuf_add(&f.b, &f.slab, bufs + 10, PLX_SENDBUF_PIECES_MAX - 9, false),
                     PLX_ERR_AGAIN);
    assert_int_equal(f.b.end, 10); // all or nothing
    assert_int_equal(plx_sendbuf_add(&f.b, &f.slab, bufs + 10, PLX_SENDBUF_PIECES_MAX - 10, true), PLX_OK);
    assert_false(plx_sendbuf_has_room(&f.b));
    send(UINT64_MAX, 4000);
    acked(0, 100, false);
    assert_false(plx_sendbuf_has_room(&f.b));
    acked(100, 28, false);
    assert_true(plx_sendbuf_has_room(&f.b));
    acked(128, 128, true);
    assert_int_equal(f.released, PLX_SENDBUF_PIECES_MAX);
    assert_true(plx_sendbuf_is_complete(&f.b));
    assert_int_equal(plx_slab_bytes_in_use(&f.slab), 0); // the ring went back
}

static void test_copies_join(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 400; i++) { // ten octets at a time, some sent in between
        char line[10];
        memcpy(line, f.text + i * 10, 10);
        assert_int_equal(plx_sendbuf_add_copy(&f.b, &f.slab, line, 10, i == 399), PLX_OK);
        memset(line, 0, sizeof line);
        plx_sendbuf_verify(&f.b);
        if (i % 50 == 0)
            send(UINT64_MAX, 4000);
    }
    assert_true(f.b.count <= 6);
    send(UINT64_MAX, 4000);
    acked(0, 4000, true);
    assert_true(plx_sendbuf_is_complete(&f.b));
    assert_int_equal(plx_slab_bytes_in_use(&f.slab), 0);
}

static void test_copy_without_memory(void **state)
{
    static uint8_t large[1 << 20];
    (void)state;
    assert_int_equal(plx_sendbuf_add_copy(&f.b, &f.slab, f.text, 100, false), PLX_OK);
    uint64_t used = plx_slab_bytes_in_use(&f.slab);
    assert_int_equal(plx_sendbuf_add_copy(&f.b, &f.slab, large, sizeof large, true), PLX_ERR_NOMEM);
    plx_sendbuf_verify(&f.b);
    assert_int_equal(f.b.end, 100);
    assert_false(plx_sendbuf_is_fin_queued(&f.b));
    assert_true(plx_slab_bytes_in_use(&f.slab) <= used + 4096); // the longer ring of pieces may stay
    assert_int_equal(plx_sendbuf_add_copy(&f.b, &f.slab, large, (size_t)8 << 20, true),
                     PLX_ERR_NOMEM); // more than ever fits
}

static void test_empty_pieces_and_constants(void **state)
{
    struct plx_buf bufs[] = {
        {f.text, 0, &f.owner}, {f.text, 5, NULL}, {f.text + 5, 0, NULL}, {f.text + 5, 5, &f.owner}};
    (void)state;
    assert_int_equal(plx_sendbuf_add(&f.b, &f.slab, bufs, 4, true), PLX_OK);
    assert_int_equal(f.released, 1); // the empty one
    assert_int_equal(f.b.count, 2);
    expect_chunk(send(UINT64_MAX, 100), 0, 10, true, true);
    acked(0, 10, true);
    assert_int_equal(f.released, 2);
}

static void test_adding_from_inside_a_release(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 6; i++) // more than stand in the object
        assert_int_equal(add(i * 10, 10, false), PLX_OK);
    send(UINT64_MAX, 100);
    f.refill = (struct plx_buf){f.text + 60, 10, &f.owner};
    acked(0, 60, false);
    assert_int_equal(f.released, 6);
    expect_chunk(send(UINT64_MAX, 100), 60, 10, false, true);
    acked(60, 10, false);
    assert_int_equal(f.released, 7);
}

static void test_clear_forgets_what_is_in_flight(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 9; i++)
        assert_int_equal(add(i * 10, 10, false), PLX_OK);
    send(UINT64_MAX, 25);
    send(UINT64_MAX, 25);
    acked(25, 25, false);
    plx_sendbuf_clear(&f.b, &f.slab);
    assert_int_equal(f.released, 9);
    assert_int_equal(f.b.sent_max, 50); // the final size
    assert_false(plx_sendbuf_has_owed(&f.b));
    assert_false(plx_sendbuf_has_fresh(&f.b));
    lost(0, 25, false);
    acked(0, 25, false);
    assert_false(plx_sendbuf_has_owed(&f.b));
    assert_int_equal(plx_slab_bytes_in_use(&f.slab), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_one_response),
        TEST(test_whole_queued),
        TEST(test_whole_sent),
        TEST(test_whole_acked),
        TEST(test_whole_copied),
        TEST(test_credit_and_fin),
        TEST(test_bare_fin),
        TEST(test_out_of_order),
        TEST(test_too_many_holes_go_back),
        TEST(test_no_memory_for_ranges),
        TEST(test_going_back_over_acknowledged_octets),
        TEST(test_queue_limit),
        TEST(test_copies_join),
        TEST(test_copy_without_memory),
        TEST(test_empty_pieces_and_constants),
        TEST(test_adding_from_inside_a_release),
        TEST(test_clear_forgets_what_is_in_flight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
