// test_streams_answer.c -- a client's short road: a request that is asked in one go and answered in one frame, and every place where
// something else comes in between. The server's is in test_streams_message.c.

#include "tests/unit/quic/stream_end.h"

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

// A client that wants answers; its first request, which makes the ring, goes the long road.
static void begin_client(uint32_t objects)
{
    static const struct plx_streams_peer peer = {5000, 1000, 1000, 1000, 1000, 3};
    struct plx_stream *s;

    end_init_as(objects, false);
    end.ss.wants_answers = true;
    plx_streams_set_peer(&end.ss, &peer);
    static const uint8_t octet[1];
    assert_null(plx_streams_ask(&end.ss, &(struct plx_buf){octet, 1, &end.owner}, NULL));
    assert_int_equal(plx_streams_open(&end.ss, false, &s), PLX_OK);
    end_send(s, 1, true);
    end_expect_write(1200, "stream 0 0+1 fin; ");
    end_acked();
    assert_int_equal(end_stream(0, 0, 1, true), 0);
    end_expect("answer data 0 1 fin; closed 0; ");
    end.released = 0;
}

static struct plx_stream *ask(size_t len)
{
    static const uint8_t zeros[8192];
    struct plx_stream *s = plx_streams_ask(&end.ss, &(struct plx_buf){zeros, len, &end.owner}, &end);
    plx_streams_verify(&end.ss);
    return s;
}

static struct plx_stream *asked(size_t len, const char *wrote)
{
    struct plx_stream *s = ask(len);

    assert_non_null(s);
    assert_ptr_equal(s->user, &end);
    assert_int_equal(s->lean, PLX_LEAN_QUEUED);
    assert_string_equal(end_write(1200), wrote);
    assert_int_equal(s->lean, PLX_LEAN_SENT);
    return s;
}

static void test_asked_and_answered(void **state)
{
    (void)state;
    begin_client(2);
    for (int id = 4; id < 4 * 200; id += 4) {
        char went[64], came[64], gone[128];
        snprintf(went, sizeof went, "stream %d 0+20 fin; ", id);
        snprintf(came, sizeof came, "answer data %d 9 fin; ", id);
        snprintf(gone, sizeof gone, "%sclosed %d; ", id % 8 != 0 ? came : "", id);
        struct plx_stream *s = ask(20);
        assert_non_null(s);
        char wrote[200];
        snprintf(wrote, sizeof wrote, "%s", end_write(1200));
        assert_non_null(strstr(wrote, went));
        if (id % 8 == 0) { // the answer may overtake the acknowledgement
            assert_int_equal(end_stream((uint64_t)id, 0, 9, true), 0);
            end_expect(came);
            assert_int_equal(s->recv_state, PLX_RECV_DATA_READ);
            assert_int_equal(end_stream((uint64_t)id, 0, 9, true), 0); // a duplicate of what is open
            end_acked();
        } else {
            end_acked();
            assert_int_equal(end_stream((uint64_t)id, 0, 9, true), 0);
        }
        end_expect(gone);
        assert_int_equal(end_stream((uint64_t)id, 0, 9, true), 0); // and of what is closed
        assert_int_equal(plx_streams_on_max_data(&end.ss, 100000), 0);
        end_expect("");
    }
    assert_int_equal(end.released, 199);
    assert_int_equal(plx_streams_count(&end.ss), 0);
    end_fini();
}

// What is not one answer in one frame comes as it always did.
static void test_other_answers_go_the_long_road(void **state)
{
    static const struct {
        const char *label;
        struct {
            uint64_t offset;
            size_t len;
            bool fin;
        } frame[3];
        const char *want;
    } row[] = {
        {"no end", {{0, 5, false}, {5, 0, true}}, "data 4 5; data 4 0 fin; closed 4; "},
        {"nothing but the end", {{0, 0, true}}, "data 4 0 fin; closed 4; "},
        {"two frames", {{0, 5, false}, {5, 4, true}}, "data 4 5; data 4 4 fin; closed 4; "},
        {"the second first", {{5, 4, true}, {0, 5, false}}, "data 4 5; data 4 4 fin; closed 4; "},
        {"all, behind a part", {{0, 5, false}, {0, 9, true}}, "data 4 5; data 4 4 fin; closed 4; "},
        {"all, behind the end", {{5, 4, true}, {0, 9, true}}, "data 4 9 fin; closed 4; "},
        {"as much as there may be", {{0, 1000, true}}, "answer data 4 1000 fin; closed 4; "},
    };
    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        begin_client(4);
        (void)asked(20, "stream 4 0+20 fin; ");
        end_acked();
        for (size_t k = 0; k < 3 && (row[i].frame[k].len > 0 || row[i].frame[k].fin); k++)
            EXPECT_ROW(i,
                       end_stream(4, row[i].frame[k].offset, row[i].frame[k].len, row[i].frame[k].fin) == 0);
        EXPECT_ROW(i, strcmp(end.log, row[i].want) == 0);
        end_fini();
    }
}

static void test_answers_that_may_not_be(void **state)
{
    (void)state;
    begin_client(4);
    (void)asked(20, "stream 4 0+20 fin; ");
    assert_int_equal(end_stream(4, 0, 1001, true), PLX_QUIC_FLOW_CONTROL_ERROR); // of the stream
    end_fini();
    begin_client(4);
    for (int i = 0; i < 3; i++)
        assert_non_null(ask(20));
    assert_int_equal(end_stream(4, 0, 1000, false), 0);
    assert_int_equal(end_stream(8, 0, 1000, false), 0);
    end.take = 0; // what was read came back as credit: nothing more does
    assert_int_equal(end_stream(12, 0, 1000, true), PLX_QUIC_FLOW_CONTROL_ERROR); // of the connection
    end_fini();
    begin_client(4);
    assert_int_equal(end_stream(4, 0, 5, true), PLX_QUIC_STREAM_STATE_ERROR); // nobody has asked
    assert_int_equal(end_stream(1, 0, 5, true), 0); // the peer's own is not an answer
    end_expect("open 1; data 1 5 fin; ");
    end_fini();
    end_init(4); // a server does not ask
    assert_null(ask(20));
    end_fini();
}

// What is in the way of asking is told by open and send.
static void test_cannot_ask(void **state)
{
    struct plx_stream *s;

    (void)state;
    begin_client(1);
    assert_null(ask(0));
    assert_non_null(ask(20));
    assert_null(ask(20)); // no object
    assert_int_equal(plx_streams_open(&end.ss, false, &s), PLX_ERR_NOMEM);
    end_fini();
    begin_client(16);
    for (int i = 0; i < 5; i++) {
        assert_non_null(ask(1000));
        (void)end_write(1990);
    }
    assert_null(ask(20)); // no credit of the connection
    end_fini();
    end_init_as(4, false);
    end.ss.wants_answers = true;
    for (int i = 0; i < 3; i++)
        assert_int_equal(plx_streams_open(&end.ss, false, &s), PLX_OK);
    assert_null(ask(20)); // no number
    assert_int_equal(plx_streams_open(&end.ss, false, &s), PLX_ERR_AGAIN);
    assert_int_equal(end.released, 0);
    end_fini();
}

static void test_request_lost(void **state)
{
    (void)state;
    begin_client(4);
    struct plx_stream *s = asked(300, "stream 4 0+300 fin; ");
    end_lost();
    assert_int_equal(s->lean, PLX_LEAN_NO);
    end_expect_write(150, "stream 4 0+146; ");
    end_acked();
    end_expect_write(1200, "stream 4 146+154 fin; ");
    struct plx_refs sent = end.refs;
    assert_int_equal(end_stream(4, 0, 9, true), 0); // the second part has arrived
    end_expect("answer data 4 9 fin; ");
    end_expect_write(1200, "");
    plx_streams_on_lost(&end.ss, &sent.v[0]); // but its acknowledgement has not
    end_expect_write(1200, "stream 4 146+154 fin; ");
    end_acked();
    end_expect("closed 4; ");
    assert_int_equal(end.released, 1);
    end_fini();
}

static void test_answer_taken_in_parts(void **state)
{
    (void)state;
    begin_client(4);
    struct plx_stream *s = asked(20, "stream 4 0+20 fin; ");
    end_acked();
    end.take = 3;
    assert_int_equal(end_stream(4, 0, 8, true), 0);
    end_expect("answer data 4 8 fin; ");
    assert_int_equal(plx_streams_count(&end.ss), 1);
    end.take = SIZE_MAX;
    plx_streams_resume(&end.ss, s);
    plx_streams_run_resumed(&end.ss, end.now);
    end_expect("data 4 5 fin; closed 4; ");
    (void)asked(20, "stream 8 0+20 fin; ");
    end_acked();
    end.take = 2;
    end.in_data = resume_it;
    assert_int_equal(end_stream(8, 0, 3, true), 0);
    plx_streams_run_resumed(&end.ss, end.now);
    end_expect("answer data 8 3 fin; data 8 1 fin; closed 8; ");
    end_fini();
}

static void ask_more(struct plx_stream *s)
{
    (void)s;
    assert_non_null(ask(20));
}

// What a program does from inside, and what comes of it.
static void test_from_inside_an_answer(void **state)
{
    static const struct {
        const char *label;
        void (*does)(struct plx_stream *s);
        bool is_acked_before;
        const char *want, *wrote, *then;
    } row[] = {
        {"asks for more", ask_more, true, "answer data 4 5 fin; closed 4; ", "stream 8 0+20 fin; ", ""},
        {"asks for more first", ask_more, false, "answer data 4 5 fin; ", "stream 8 0+20 fin; ", ""},
        {"stops what is all there", stop_it, true, "answer data 4 5 fin; closed 4; ", "", ""},
        {"refuses what is done", refuse_it, true, "answer data 4 5 fin; closed 4; ", "", ""},
        {"takes the request back", refuse_it, false, "answer data 4 5 fin; ", "reset_stream 4 7 20; ",
         "closed 4; "},
    };
    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        begin_client(4);
        (void)asked(20, "stream 4 0+20 fin; ");
        if (row[i].is_acked_before)
            end_acked();
        end.in_data = row[i].does;
        EXPECT_ROW(i, end_stream(4, 0, 5, true) == 0);
        EXPECT_ROW(i, strcmp(end.log, row[i].want) == 0);
        end.log[0] = '\0';
        EXPECT_ROW(i, strcmp(end_write(1200), row[i].wrote) == 0);
        end_acked();
        EXPECT_ROW(i, strcmp(end.log, row[i].then) == 0);
        end_fini();
    }
}

// Resets and STOP_SENDING, from either side, in front of the answer and behind it.
static void test_ends_around_an_answer(void **state)
{
    (void)state;
    begin_client(4);
    (void)asked(20, "stream 4 0+20 fin; ");
    end_acked();
    assert_int_equal(end_reset(4, 9, 0), 0); // in front
    end_expect("reset 4 9; closed 4; ");
    assert_int_equal(end_stream(4, 0, 5, true), 0);
    end_expect("");
    (void)asked(20, "stream 8 0+20 fin; ");
    assert_int_equal(end_stream(8, 0, 5, true), 0);
    assert_int_equal(end_reset(8, 9, 5), 0); // behind: everything is here
    assert_int_equal(end_reset(8, 9, 6), PLX_QUIC_FINAL_SIZE_ERROR);
    end_acked();
    end_expect("answer data 8 5 fin; closed 8; ");
    struct plx_stream *s = asked(20, "stream 12 0+20 fin; ");
    end_acked();
    plx_streams_stop_sending(&end.ss, s, 7);
    assert_int_equal(end_stream(12, 0, 5, true), 0); // ours, in front: nobody wants it
    plx_streams_verify(&end.ss);
    end_expect("closed 12; ");
    (void)asked(20, "stream 16 0+20 fin; ");
    assert_int_equal(end_stop(16, 5), 0); // the peer wants no more of the request, and answers
    end_expect_write(1200, "reset_stream 16 5 20; ");
    assert_int_equal(end_stream(16, 0, 5, true), 0);
    end_acked();
    end_expect("stop 16 5; answer data 16 5 fin; closed 16; ");
    (void)asked(20, "stream 20 0+20 fin; ");
    assert_int_equal(end_stream(20, 0, 5, true), 0);
    assert_int_equal(end_stop(20, 5), 0); // or answers first
    end_expect_write(1200, "reset_stream 20 5 20; ");
    end_acked();
    end_expect("answer data 20 5 fin; stop 20 5; closed 20; ");
    assert_int_equal(end.released, 5);
    end_fini();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_asked_and_answered),
        cmocka_unit_test(test_other_answers_go_the_long_road),
        cmocka_unit_test(test_answers_that_may_not_be),
        cmocka_unit_test(test_cannot_ask),
        cmocka_unit_test(test_request_lost),
        cmocka_unit_test(test_answer_taken_in_parts),
        cmocka_unit_test(test_from_inside_an_answer),
        cmocka_unit_test(test_ends_around_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
