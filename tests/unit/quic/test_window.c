// test_window.c -- from numbers to streams: jumps, stragglers, growth, against a plain array.

#include "quic/stream/window.h"

#include <string.h>

#include "base/prng.h"
#include "base/slab.h"
#include "tests/unit/base/rows.h"

enum { NUMBERS = 20000 };

static char objects[NUMBERS]; // their addresses are all that counts

static struct plx_stream *object(uint64_t number)
{
    return (struct plx_stream *)(objects + number);
}

static void test_jump_costs_nothing(void **state)
{
    struct plx_slab slab;
    struct plx_window w;
    (void)state;

    assert_true(plx_slab_init(&slab, 1, PLX_NODE_ANY));
    plx_window_init(&w, 100, 100);
    assert_int_equal(plx_window_find(&w, 0), PLX_SLOT_NEW);
    assert_true(plx_window_set(&w, &slab, 99, object(99)));
    assert_int_equal(w.next, 100);
    assert_int_equal(w.base, 0);
    assert_int_equal(w.old_count, 0);
    assert_ptr_equal(plx_window_find(&w, 99), object(99));
    assert_ptr_equal(plx_window_find(&w, 98), PLX_SLOT_NEW); // open, and not made
    plx_window_verify(&w);
    uint64_t number = 0;
    assert_ptr_equal(plx_window_walk(&w, &number), object(99));
    assert_int_equal(number, 99);
    number++;
    assert_null(plx_window_walk(&w, &number));
    plx_window_close(&w, 99);
    assert_ptr_equal(plx_window_find(&w, 99), PLX_SLOT_CLOSED);
    assert_true(plx_window_set(&w, &slab, 0, PLX_SLOT_REFUSED));
    assert_ptr_equal(plx_window_find(&w, 0), PLX_SLOT_REFUSED);
    assert_false(plx_slot_is_stream(plx_window_find(&w, 0)));
    plx_window_close(&w, 0);
    assert_int_equal(w.base, 1);
    assert_int_equal(w.closed, 2);
    plx_window_verify(&w);
    plx_window_fini(&w, &slab);
    assert_int_equal(plx_slab_bytes_in_use(&slab), 0);
    plx_slab_fini(&slab);
}

// One stream stays open while thousands pass: the ring stays small, and it is found.
static void test_straggler(void **state)
{
    struct plx_slab slab;
    struct plx_window w;
    (void)state;

    assert_true(plx_slab_init(&slab, 1, PLX_NODE_ANY));
    plx_window_init(&w, 16, 16);
    assert_true(plx_window_set(&w, &slab, 0, object(0)));
    assert_true(plx_window_set(&w, &slab, 2, object(2))); // 1 is jumped over, for a long time
    for (uint64_t n = 3; n < NUMBERS; n++) {
        w.limit = n + 1;
        assert_true(plx_window_set(&w, &slab, n, object(n)));
        plx_window_close(&w, n);
        assert_ptr_equal(plx_window_find(&w, 0), object(0));
        assert_ptr_equal(plx_window_find(&w, 1), PLX_SLOT_NEW);
        assert_ptr_equal(plx_window_find(&w, n - 1), n == 3 ? object(2) : PLX_SLOT_CLOSED);
    }
    assert_int_equal(w.cap, 32);
    assert_int_equal(w.old_count, 3);
    plx_window_verify(&w);
    assert_true(plx_window_set(&w, &slab, 1, object(1)));
    assert_ptr_equal(plx_window_find(&w, 1), object(1));
    for (uint64_t n = 0; n < 3; n++)
        plx_window_close(&w, n);
    assert_int_equal(w.old_count, 0);
    assert_ptr_equal(plx_window_find(&w, 1), PLX_SLOT_CLOSED);
    plx_window_verify(&w);
    plx_window_fini(&w, &slab);
    assert_int_equal(plx_slab_bytes_in_use(&slab), 0);
    plx_slab_fini(&slab);
}

static void test_no_memory_changes_nothing(void **state)
{
    struct plx_slab slab;
    struct plx_window w;
    void *hog;
    (void)state;

    assert_true(plx_slab_init(&slab, 1, PLX_NODE_ANY));
    plx_window_init(&w, NUMBERS, 16);
    assert_non_null(hog = plx_slab_take(&slab, PLX_SLAB_BLOCK_MAX));
    assert_false(plx_window_set(&w, &slab, 0, object(0)));
    plx_window_verify(&w);
    plx_slab_give(&slab, hog, PLX_SLAB_BLOCK_MAX);
    for (uint64_t n = 0; n < 32; n++)
        assert_true(plx_window_set(&w, &slab, n, object(n)));
    void *hogs[64];
    unsigned count = 0;
    for (size_t size = PLX_SLAB_BLOCK_MAX; size >= 64; size /= 2)
        while (count < 64 && (hogs[count] = plx_slab_take(&slab, size)) != NULL)
            count++;
    assert_false(plx_window_set(&w, &slab, 32, object(32))); // no room for a straggler
    plx_window_verify(&w);
    assert_int_equal(w.next, 32);
    for (uint64_t n = 0; n < 32; n++)
        assert_ptr_equal(plx_window_find(&w, n), object(n));
    plx_window_close(&w, 0);
    assert_true(plx_window_set(&w, &slab, 32, object(32))); // the ring moved on
    plx_window_verify(&w);
    plx_window_fini(&w, &slab);
    plx_slab_fini(&slab);
}

static void test_random_operations(void **state)
{
    enum { CONCURRENT = 40, ROUNDS = 30000 };
    static struct plx_stream *model[NUMBERS];
    struct plx_prng rng;
    (void)state;

    for (unsigned seed = 0; seed < 6; seed++) {
        struct plx_slab slab;
        struct plx_window w;
        uint64_t closed = 0;
        plx_prng_init(&rng, seed);
        memset(model, 0, sizeof model);
        assert_true(plx_slab_init(&slab, 1, PLX_NODE_ANY));
        plx_window_init(&w, CONCURRENT, CONCURRENT);
        for (unsigned i = 0; i < ROUNDS && w.limit < NUMBERS; i++) {
            uint64_t lo = seed % 2 && w.limit > 60 ? w.limit - 60 : 0; // far back, or near the front
            uint64_t n = plx_prng_between(&rng, lo, w.limit - 1);
            assert_ptr_equal(plx_window_find(&w, n), model[n]);
            if (model[n] == PLX_SLOT_NEW) {
                struct plx_stream *slot = plx_prng_chance(&rng, 1, 8) ? PLX_SLOT_REFUSED : object(n);
                assert_true(plx_window_set(&w, &slab, n, slot));
                model[n] = slot;
            } else if (model[n] != PLX_SLOT_CLOSED) {
                plx_window_close(&w, n);
                model[n] = PLX_SLOT_CLOSED;
                closed++;
                w.limit = closed + CONCURRENT; // as the container grants
            }
            if (i % 64 == 0) {
                plx_window_verify(&w);
                for (uint64_t k = 0; k < w.limit; k++)
                    assert_ptr_equal(plx_window_find(&w, k), model[k]);
            }
        }
        assert_int_equal(w.closed, closed);
        assert_true(closed > 100);
        plx_window_fini(&w, &slab);
        assert_int_equal(plx_slab_bytes_in_use(&slab), 0);
        plx_slab_fini(&slab);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jump_costs_nothing),
        cmocka_unit_test(test_straggler),
        cmocka_unit_test(test_no_memory_changes_nothing),
        cmocka_unit_test(test_random_operations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
