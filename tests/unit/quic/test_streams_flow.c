// test_streams_flow.c -- credit both ways: what we grant and when, what we say when we are held back (RFC 9000 section 4).

#include "tests/unit/quic/stream_end.h"

static void test_streams_are_granted_in_steps(void **state)
{
    (void)state;
    end_init(20);
    for (unsigned i = 0; i < 4; i++) { // two of sixteen are a step
        assert_int_equal(end_stream(i * 4, 0, 1, true), 0);
        end_send(end.last, 1, true);
        (void)end_write(1200);
        end_acked();
        assert_string_equal(end_write(1200), i % 2 == 0 ? ""
                                             : i == 1   ? "max_streams 0 18; "
                                                        : "max_streams 0 20; ");
    }
    end_lost(); // the newest is said again
    assert_int_equal(plx_streams_on_streams_blocked(&end.ss, false, 18), 0);
    end_expect_write(1200, "max_streams 0 20; ");
    assert_int_equal(end_stream(19 * 4, 0, 1, true), 0);
    assert_int_equal(end_stream(20 * 4, 0, 1, true), PLX_QUIC_STREAM_LIMIT_ERROR);
    assert_int_equal(end_stream(18, 0, 1, true), PLX_QUIC_STREAM_LIMIT_ERROR);
    assert_int_equal(end_stream(2, 0, 1, true), 0); // unidirectional ones end by themselves
    end_expect_write(1200, "max_streams 1 3; ");
    assert_int_equal(plx_streams_on_streams_blocked(&end.ss, true, 3), 0);
    end_expect_write(1200, ""); // nothing more to give
    end_fini();
}

static void test_credit_comes_in_steps(void **state)
{
    (void)state;
    end_init(4);
    assert_int_equal(end_stream(0, 0, 499, false), 0);
    end_expect_write(1200, "");
    assert_int_equal(end_stream(0, 499, 1, false), 0);
    end.now.ns += 30000000; // slower than two round trips
    end_expect_write(1200, "max_stream_data 0 1500; ");
    end_lost();
    end_expect_write(1200, "max_stream_data 0 1500; ");
    assert_int_equal(end_stream(0, 500, 500, false), 0);
    end.now.ns += 5000000; // fast: the window doubles, and the connection's follows: 1.5 * 2000, to its half
    end_expect_write(1200, "max_stream_data 0 3000; max_data 4000; ");
    assert_int_equal(end.ss.flow.window, 3000);
    end_lost();
    end_expect_write(1200, "max_data 4000; max_stream_data 0 3000; ");
    assert_int_equal(plx_streams_on_data_blocked(&end.ss, 0), 0);
    assert_int_equal(plx_streams_on_stream_data_blocked(&end.ss, 0, 0), 0);
    end_expect_write(1200, ""); // there is no more to give
    assert_int_equal(end_stream(0, 1000, 100, false), 0);
    assert_int_equal(plx_streams_on_stream_data_blocked(&end.ss, 0, 3000), 0);
    assert_int_equal(plx_streams_on_data_blocked(&end.ss, 4000), 0);
    end_expect_write(1200, "max_data 4100; max_stream_data 0 3100; "); // a peer that waits gets the rest
    end.now.ns += 100000000;
    assert_int_equal(end_stream(0, 1100, 1500, true), 0);
    end_expect_write(1200, "max_data 5600; "); // its size is known: no more credit for the stream
    end_fini();
}

static void test_blocked(void **state)
{
    struct plx_stream *s[4];
    (void)state;
    end_init(8);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(plx_streams_open(&end.ss, true, &s[i]), PLX_OK);
    end_send(s[0], 1200, true);
    end_expect_write(1500, "stream 3 0+1000; stream_data_blocked 3 1000; ");
    end_lost(); // still true: said again, behind the octets
    end_expect_write(1500, "stream_data_blocked 3 1000; stream 3 0+1000; ");
    assert_false(plx_streams_wants_write(&end.ss));
    assert_int_equal(plx_streams_on_max_stream_data(&end.ss, 3, 900), 0); // no raise
    end_expect_write(1500, "");
    assert_int_equal(plx_streams_on_max_stream_data(&end.ss, 3, 1100), 0);
    end_expect_write(1500, "stream 3 1000+100; stream_data_blocked 3 1100; ");
    assert_int_equal(plx_streams_on_max_stream_data(&end.ss, 3, 9000), 0);
    end_lost(); // no longer true: only the octets
    end_expect_write(1500, "stream 3 1000+100; stream 3 1100+100 fin; ");

    assert_int_equal(plx_streams_on_max_stream_data(&end.ss, 7, 9000), 0);
    end_send(s[1], 4000, false);
    for (unsigned sent = 0; sent < 3000; sent += 1000)
        (void)end_write(1010);
    end_send(s[2], 100, true);
    (void)end_write(1500);
    assert_int_equal(end.ss.sent, 5000);
    end_expect_write(1500, "");
    assert_true(plx_streams_is_app_limited(&end.ss));
    assert_int_equal(plx_streams_on_max_data(&end.ss, 5000), 0);
    assert_false(plx_streams_wants_write(&end.ss));
    unsigned wakes = end.wakes;
    assert_int_equal(plx_streams_on_max_data(&end.ss, 5050), 0);
    assert_true(end.wakes > wakes);
    assert_true(plx_streams_wants_write(&end.ss));
    assert_non_null(strstr(end_write(1500), "data_blocked 5050; ")); // once more for the new limit
    end_expect_write(1500, "");

    struct plx_stream *t;
    assert_int_equal(plx_streams_open(&end.ss, true, &t), PLX_ERR_AGAIN);
    assert_int_equal(plx_streams_open(&end.ss, true, &t), PLX_ERR_AGAIN);
    end_expect_write(1500, "streams_blocked 1 3; ");
    end_lost();
    end_expect_write(1500, "streams_blocked 1 3; ");
    end_expect("");
    assert_int_equal(plx_streams_on_max_streams(&end.ss, true, 3), 0);
    end_expect("");
    assert_int_equal(plx_streams_on_max_streams(&end.ss, true, 4), 0);
    end_expect("available uni; ");
    end_lost();
    end_expect_write(1500, "");
    assert_int_equal(plx_streams_open(&end.ss, true, &t), PLX_OK);
    assert_int_equal(t->id, 15);
    end_fini();
}

static void test_limits_of_the_peer_come_late(void **state)
{
    struct plx_streams_peer peer = {9000, 2000, 2000, 2000, 5, 5}, less = {0};
    struct plx_stream *s, *t;
    (void)state;
    end_init(8);
    assert_int_equal(plx_streams_open(&end.ss, false, &s), PLX_OK); // with remembered limits
    end_send(s, 1500, true);
    end_expect_write(1500, "stream 1 0+1000; stream_data_blocked 1 1000; ");
    while (plx_streams_open(&end.ss, false, &t) == PLX_OK)
        ;
    plx_streams_set_peer(&end.ss, &less);
    end_expect("");
    assert_int_equal(s->send_limit, 1000);
    plx_streams_set_peer(&end.ss, &peer);
    end_expect("available bidi; ");
    end_expect_write(1500, "stream 1 1000+500 fin; ");
    assert_int_equal(plx_streams_open(&end.ss, false, &t), PLX_OK);
    assert_int_equal(t->send_limit, 2000);
    end_fini();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams_are_granted_in_steps),
        cmocka_unit_test(test_credit_comes_in_steps),
        cmocka_unit_test(test_blocked),
        cmocka_unit_test(test_limits_of_the_peer_come_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
