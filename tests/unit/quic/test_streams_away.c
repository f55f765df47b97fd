// test_streams_away.c -- streams that are put away (streams_image.h) while the others go on.

#include "tests/unit/quic/stream_end.h"

static struct pair_away away;

static void put_away(void)
{
    uint64_t id[PLX_IMAGE_STREAMS_MAX];

    assert_true(plx_streams_can_sleep(&end.ss));
    assert_false(plx_streams_is_bare(&end.ss));
    pair_put_away(&end.ss, &away, id);
    assert_true(plx_streams_is_bare(&end.ss));
}

static bool recall(void)
{
    struct plx_stream *made[PLX_IMAGE_STREAMS_MAX];

    return pair_have_back(&end.ss, &away, made);
}

static int name[3];

// A server with a control stream on either side that has said something, and a request that is done.
static void begin(uint32_t objects)
{
    struct plx_stream *ours;

    end_init(objects);
    end.recall = recall;
    assert_int_equal(plx_streams_open(&end.ss, true, &ours), PLX_OK);
    ours->user = &name[0];
    end_send(ours, 10, false);
    end_expect_write(1200, "stream 3 0+10; ");
    end_acked();
    assert_int_equal(end_stream(2, 0, 5, false), 0);
    end.last->user = &name[1];
    assert_int_equal(end_stream(0, 0, 5, true), 0);
    end_send(end.last, 20, true);
    end_expect_write(1200, "stream 0 0+20 fin; ");
    end_acked();
    end_expect("open 2; data 2 5; open 0; data 0 5 fin; closed 0; ");
    assert_int_equal(plx_streams_count(&end.ss), 2);
    put_away();
    assert_int_equal(plx_streams_count(&end.ss), 0);
    assert_int_equal(plx_pool_in_use(&end.pool), 0);
    assert_int_equal(plx_slab_bytes_in_use(&end.slab), 0);
}

// Requests need none of them, whoever asks.
static void test_requests_go_on(void **state)
{
    struct plx_stream *ours;

    (void)state;
    begin(8);
    assert_int_equal(end_stream(4, 0, 5, true), 0);
    end_send(end.last, 20, true);
    assert_int_equal(plx_streams_open(&end.ss, false, &ours), PLX_OK);
    end_send(ours, 7, true);
    end_expect_write(1200, "stream 4 0+20 fin; stream 1 0+7 fin; ");
    end_acked();
    assert_int_equal(end_stream(1, 0, 3, true), 0);
    end_expect("open 4; data 4 5 fin; closed 4; data 1 3 fin; closed 1; ");
    assert_int_equal(end_stream(4, 0, 5, true), 0); // late
    end_expect("");
    end_fini();
}

// Whoever names one, or opens another, has all of them back, and they are what they were.
static void test_recalled(void **state)
{
    static const struct {
        struct {
            uint64_t id;
            enum { DATA, END, RESET, STOP, MAX_DATA, BLOCKED, OPEN, NEXT } what;
        } step;
        const char *want;
    } row[] = {
        {{2, DATA}, "recall; data 2 4; "},
        {{2, END}, "recall; data 2 4 fin; closed 2; "},
        {{2, RESET}, "recall; reset 2 7; closed 2; "},
        {{3, STOP}, "recall; stop 3 9; "},
        {{3, MAX_DATA}, "recall; "},
        {{2, BLOCKED}, "recall; "},
        {{0, OPEN}, "recall; "},
        {{6, NEXT}, "recall; open 6; data 6 1; "},
    };

    (void)state;
    for (size_t i = 0; i < ROWS(row); i++) {
        struct plx_stream *another = NULL;
        uint64_t id = row[i].step.id, err = 0;
        begin(8);
        assert_int_equal(end_stream(4, 0, 5, false), 0); // is open meanwhile
        end_expect("open 4; data 4 5; ");
        switch (row[i].step.what) {
        case DATA:
        case END:
            err = end_stream(id, 5, 4, row[i].step.what == END);
            break;
        case RESET:
            err = end_reset(id, 7, 5);
            break;
        case STOP:
            err = end_stop(id, 9);
            break;
        case MAX_DATA:
            err = plx_streams_on_max_stream_data(&end.ss, id, 4000);
            break;
        case BLOCKED:
            err = plx_streams_on_stream_data_blocked(&end.ss, id, 100);
            break;
        case OPEN:
            assert_int_equal(plx_streams_open(&end.ss, true, &another), PLX_OK);
            break;
        default:
            err = end_stream(id, 0, 1, false);
        }
        EXPECT_ROW(i, err == 0);
        end_expect(row[i].want);
        plx_streams_verify(&end.ss);
        const struct plx_stream *control = plx_window_find(&end.ss.window[3], 0);
        EXPECT_ROW(i, plx_slot_is_stream(control) && control->user == &name[0] && control->send.end == 10);
        const struct plx_stream *heard = plx_window_find(&end.ss.window[2], 0);
        if (plx_slot_is_stream(heard))
            EXPECT_ROW(i, heard->user == &name[1] && heard->recvd == (row[i].step.what == DATA ? 9u : 5u));
        assert_int_equal(end_stream(4, 5, 5, false), 0); // as if nothing had been
        end_expect("data 4 5; ");
        end_fini();
    }
}

// No object is left for them: nothing is held, and it can be asked again.
static void test_no_object(void **state)
{
    struct plx_stream *another;
    void *held[2];

    (void)state;
    begin(3);
    held[0] = plx_pool_take(&end.pool);
    held[1] = plx_pool_take(&end.pool);
    assert_int_equal(end_stream(2, 5, 4, false), PLX_QUIC_INTERNAL_ERROR);
    assert_int_equal(plx_streams_open(&end.ss, true, &another), PLX_ERR_NOMEM);
    end_expect("recall; recall; ");
    assert_int_equal(plx_pool_in_use(&end.pool), 2);
    assert_int_equal(plx_slab_bytes_in_use(&end.slab), 0);
    plx_streams_verify(&end.ss);
    plx_pool_give(&end.pool, held[0]);
    plx_pool_give(&end.pool, held[1]);
    assert_int_equal(end_stream(2, 5, 4, false), 0);
    end_expect("recall; data 2 4; ");
    end_fini();
}

static void test_no_memory(void **state)
{
    void *held[1 << 16];
    size_t n = 0;

    (void)state;
    begin(8);
    while (n < ROWS(held) && (held[n] = plx_slab_take(&end.slab, 64)) != NULL)
        n++;
    plx_slab_give(&end.slab, held[--n], 64); // one ring of two
    assert_int_equal(end_stream(2, 5, 4, false), PLX_QUIC_INTERNAL_ERROR);
    assert_int_equal(plx_pool_in_use(&end.pool), 0);
    while (n > 0)
        plx_slab_give(&end.slab, held[--n], 64);
    assert_int_equal(plx_slab_bytes_in_use(&end.slab), 0);
    plx_streams_verify(&end.ss);
    end_fini();
}

// The connection ends: they are not had back for that.
static void test_forgotten(void **state)
{
    (void)state;
    begin(8);
    assert_int_equal(end_stream(4, 0, 5, false), 0);
    assert_int_equal(plx_streams_forget(&end.ss), 2);
    end_expect("open 4; data 4 5; ");
    plx_streams_fini(&end.ss);
    end_expect("closed 4; ");
    assert_int_equal(plx_pool_in_use(&end.pool), 0);
    assert_int_equal(plx_slab_bytes_in_use(&end.slab), 0);
    plx_pool_fini(&end.pool);
    plx_slab_fini(&end.slab);
}

// A number that was jumped over counts as open: the window it is in goes away as well, and is had back for what comes.
static void test_with_a_gap(void **state)
{
    (void)state;
    end_init(8);
    end.recall = recall;
    assert_int_equal(end_stream(4, 0, 5, true), 0);
    end_send(end.last, 20, true);
    (void)end_write(1200);
    end_acked();
    end_expect("open 4; data 4 5 fin; closed 4; ");
    put_away();
    assert_int_equal(end_stream(4, 0, 5, true), 0); // late; nobody takes it for new
    end_expect("recall; ");
    put_away();
    assert_int_equal(end_stream(0, 0, 5, false), 0);
    end_expect("recall; open 0; data 0 5; ");
    end_fini();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_go_on), cmocka_unit_test(test_recalled),
        cmocka_unit_test(test_no_object),      cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_forgotten),      cmocka_unit_test(test_with_a_gap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
