// test_streams_message.c -- the short road of messages of one frame, and every place where something else comes in between.

#include "tests/unit/quic/stream_end.h"

// A server that wants messages, and has a ring already: the first stream of a connection goes the long road.
static void begin(uint32_t objects)
{
    end_init(objects);
    end.ss.wants_messages = true;
    assert_int_equal(end_stream(0, 0, 1, true), 0);
    end_expect("open 0; data 0 1 fin; ");
    end_send(end.last, 1, true);
    end_expect_write(1200, "stream 0 0+1 fin; ");
    end_acked();
    end_expect("closed 0; ");
    end.released = 0;
}

static void test_life(void **state)
{
    (void)state;
    begin(2);
    for (uint64_t id = 4; id < 4 * 100; id += 4) {
        char came[64], went[64], gone[64];
        snprintf(came, sizeof came, "whole data %d 50 fin; ", (int)id);
        snprintf(went, sizeof went, "stream %d 0+70 fin; ", (int)id);
        snprintf(gone, sizeof gone, "closed %d; ", (int)id);
        assert_int_equal(end_stream(id, 0, 50, true), 0);
        end_expect(came);
        assert_int_equal(end.last->recv_state, PLX_RECV_DATA_READ);
        end_send(end.last, 70, true);
        assert_int_equal(end.last->lean, PLX_LEAN_QUEUED);
        char wrote[2000];
        snprintf(wrote, sizeof wrote, "%s", end_write(1200));
        assert_non_null(strstr(wrote, went));
        assert_int_equal(end.last->lean, PLX_LEAN_SENT);
        assert_int_equal(end.last->send_state, PLX_SEND_DATA_SENT);
        assert_int_equal(end_stream(id, 0, 50, true), 0); // a duplicate of what is open
        end_acked();
        end_expect(gone);
        assert_int_equal(end_stream(id, 0, 50, true), 0); // and of what is closed
        assert_int_equal(plx_streams_on_max_data(&end.ss, 100000), 0);
        end_expect("");
    }
    assert_int_equal(end.released, 99);
    assert_int_equal(plx_streams_count(&end.ss), 0);
    end_fini();
}

// What is not that simple comes as it always did.
static void test_others_go_the_long_road(void **state)
{
    static const struct {
        const char *label;
        uint64_t id, offset;
        size_t len;
        bool fin;
        const char *want;
    } row[] = {
        {"no end", 4, 0, 5, false, "open 4; data 4 5; "},
        {"nothing but the end", 4, 0, 0, true, "open 4; data 4 0 fin; "},
        {"its end first", 4, 3, 5, true, "open 4; "},
        {"out of turn", 8, 0, 5, true, "open 8; data 8 5 fin; "},
        {"of one direction", 2, 0, 5, true, "open 2; data 2 5 fin; closed 2; "},
    };
    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        begin(4);
        EXPECT_ROW(i, end_stream(row[i].id, row[i].offset, row[i].len, row[i].fin) == 0);
        EXPECT_ROW(i, strcmp(end.log, row[i].want) == 0);
        end_fini();
    }
}

static void test_limits(void **state)
{
    (void)state;
    begin(4);
    assert_int_equal(end_stream(4, 0, 1001, true), PLX_QUIC_FLOW_CONTROL_ERROR); // of the stream
    end_fini();
    begin(4);
    assert_int_equal(end_stream(2, 0, 1000, true), 0);
    assert_int_equal(end_stream(6, 0, 1000, false), 0);
    end.log[0] = '\0';
    assert_int_equal(end_stream(4, 0, 500, true), PLX_QUIC_FLOW_CONTROL_ERROR); // of the connection
    end_fini();
    begin(4);
    assert_int_equal(end_stream(4 * 17, 0, 5, true), PLX_QUIC_STREAM_LIMIT_ERROR);
    end_fini();
    begin(1);
    assert_int_equal(end_stream(4, 0, 5, true), 0);
    end_expect("whole data 4 5 fin; ");
    assert_int_equal(end_stream(8, 0, 5, true), 0); // no object: refused
    end_expect("");
    assert_int_equal(end.ss.refused_total, 1);
    end_expect_write(1200, "reset_stream 8 267 0; ");
    end_fini();
}

static void test_lost_and_sent_again(void **state)
{
    (void)state;
    begin(4);
    assert_int_equal(end_stream(4, 0, 5, true), 0);
    end_expect("whole data 4 5 fin; ");
    end_send(end.last, 300, true);
    end_expect_write(1200, "stream 4 0+300 fin; ");
    end_lost();
    assert_int_equal(end.last->lean, PLX_LEAN_NO);
    plx_streams_verify(&end.ss);
    end_expect_write(150, "stream 4 0+146; ");
    end_acked();
    end_expect("");
    end_expect_write(1200, "stream 4 146+154 fin; ");
    end_acked();
    end_expect("closed 4; ");
    assert_int_equal(end.released, 1);
    end_fini();
}

// The frame was declared lost, and then it was not.
static void test_lost_and_acknowledged(void **state)
{
    (void)state;
    begin(4);
    assert_int_equal(end_stream(4, 0, 5, true), 0);
    end_send(end.last, 300, true);
    end_expect_write(1200, "stream 4 0+300 fin; ");
    end.log[0] = '\0';
    end_lost();
    end_acked();
    end_expect("closed 4; ");
    assert_int_equal(end.released, 1);
    end_fini();
}

// Larger than the packet, than its own credit, than the connection's: in parts.
static void test_split(void **state)
{
    (void)state;
    begin(4);
    assert_int_equal(end_stream(4, 0, 5, true), 0);
    end_send(end.last, 600, true);
    end.log[0] = '\0';
    end_expect_write(205, "stream 4 0+201; ");
    assert_int_equal(end.last->lean, PLX_LEAN_NO);
    end_acked();
    end_expect_write(1200, "stream 4 201+399 fin; ");
    end_acked();
    end_expect("closed 4; ");
    assert_int_equal(end_stream(8, 0, 5, true), 0);
    end.log[0] = '\0';
    end_send(end.last, 1500, true);
    end_expect_write(1900, "max_streams 0 18; stream 8 0+1000; stream_data_blocked 8 1000; ");
    end_acked();
    assert_int_equal(plx_streams_on_max_stream_data(&end.ss, 8, 2000), 0);
    end_expect_write(1200, "stream 8 1000+500 fin; ");
    end_acked();
    end_expect("closed 8; ");
    end_fini();
}

static void stop_it(struct plx_stream *s)
{
    plx_streams_stop_sending(&end.ss, s, 7);
}
static void refuse_it(struct plx_stream *s)
{
    plx_streams_refuse(&end.ss, s, 7);
}
static void resume_it(struct plx_stream *s)
{
    plx_streams_resume(&end.ss, s);
}
static void answer_it(struct plx_stream *s)
{
    end.in_data = NULL;
    end_send(s, 9, true);
}

// What a program does from inside.
static void test_from_inside(void **state)
{
    (void)state;
    begin(4);
    end.in_data = answer_it;
    assert_int_equal(end_stream(4, 0, 5, true), 0);
    end_expect_write(1200, "stream 4 0+9 fin; ");
    end_acked();
    end_expect("whole data 4 5 fin; closed 4; ");
    end.in_data = stop_it; // it has everything already: there is nothing to stop
    assert_int_equal(end_stream(8, 0, 5, true), 0);
    end_expect("whole data 8 5 fin; ");
    end_expect_write(1200, "max_streams 0 18; ");
    end_send(end.last, 9, true);
    end_expect_write(1200, "stream 8 0+9 fin; ");
    end_acked();
    end_expect("closed 8; ");
    end.in_data = refuse_it;
    assert_int_equal(end_stream(12, 0, 5, true), 0);
    end_expect("whole data 12 5 fin; ");
    end_expect_write(1200, "reset_stream 12 7 0; ");
    end_acked();
    end_expect("closed 12; ");
    end_fini();
}

static void test_taken_in_parts(void **state)
{
    (void)state;
    begin(4);
    end.take = 3;
    assert_int_equal(end_stream(4, 0, 8, true), 0);
    end_expect("whole data 4 8 fin; ");
    end_send(end.last, 9, true);
    end_expect_write(1200, "stream 4 0+9 fin; ");
    end_acked(); // the answer is there before the question was read
    end_expect("");
    assert_int_equal(plx_streams_count(&end.ss), 1);
    end.take = SIZE_MAX;
    plx_streams_resume(&end.ss, end.last);
    plx_streams_run_resumed(&end.ss, end.now);
    end_expect("data 4 5 fin; closed 4; ");
    end.take = 2;
    end.in_data = resume_it;
    assert_int_equal(end_stream(8, 0, 3, true), 0);
    plx_streams_run_resumed(&end.ss, end.now);
    end_expect("whole data 8 3 fin; data 8 1 fin; ");
    end_fini();
}

static void test_reset_between(void **state)
{
    (void)state;
    begin(4);
    assert_int_equal(end_stream(4, 0, 8, true), 0);
    end_send(end.last, 9, true);
    plx_streams_reset(&end.ss, end.last, 3); // queued
    plx_streams_verify(&end.ss);
    end_expect_write(1200, "reset_stream 4 3 0; ");
    end_acked();
    end_expect("whole data 4 8 fin; closed 4; ");
    assert_int_equal(end_stream(8, 0, 8, true), 0);
    end_send(end.last, 9, true);
    end_expect_write(1200, "max_streams 0 18; stream 8 0+9 fin; ");
    struct plx_refs sent = end.refs;
    assert_int_equal(end_stop(8, 5), 0); // sent
    plx_streams_verify(&end.ss);
    end_expect_write(1200, "reset_stream 8 5 9; ");
    end_expect("whole data 8 8 fin; stop 8 5; ");
    plx_streams_on_acked(&end.ss, &sent.v[1]); // of octets that nobody wants any more
    end_expect("");
    end_acked();
    end_expect("closed 8; ");
    assert_int_equal(end.released, 2);
    end_fini();
}

// The owner's release may call anything, and nothing comes of it.
static void released_and_reset(struct plx_owner *o, const void *data, size_t len)
{
    (void)o, (void)data, (void)len;
    end.released++;
    plx_streams_refuse(&end.ss, end.last, 7);
    plx_streams_resume(&end.ss, end.last);
}

static void test_release_calls_back(void **state)
{
    static struct plx_owner owner = {released_and_reset};
    static const uint8_t octets[9];
    (void)state;
    begin(4);
    assert_int_equal(end_stream(4, 0, 8, true), 0);
    struct plx_buf buf = {octets, sizeof octets, &owner};
    assert_int_equal(plx_streams_send(&end.ss, end.last, &buf, 1, true), PLX_OK);
    end_expect_write(1200, "stream 4 0+9 fin; ");
    end_acked();
    end_expect("whole data 4 8 fin; closed 4; ");
    end_expect_write(1200, "max_streams 0 18; ");
    assert_int_equal(end.released, 1);
    end_fini();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_others_go_the_long_road),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_lost_and_sent_again),
        cmocka_unit_test(test_lost_and_acknowledged),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_from_inside),
        cmocka_unit_test(test_taken_in_parts),
        cmocka_unit_test(test_reset_between),
        cmocka_unit_test(test_release_calls_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
