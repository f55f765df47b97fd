// test_streams.c -- all streams of a connection: errors by table, lives by timeline, and everything else by thousands of
// seeds through a pipe that loses and reorders (stream_pair.h).

#include "tests/unit/quic/stream_end.h"

// --- errors ----------------------------------------------------------------------------------------------

enum step_kind { NOTHING, STREAM, FIN, RESET, STOP, MAX_DATA, BLOCKED, MAX_STREAMS };

struct step {
    enum step_kind kind;
    uint64_t id, at; // offset + len, final size, value
    uint64_t len;
};

static uint64_t do_step(const struct step *s)
{
    switch (s->kind) {
    case STREAM:
    case FIN:
        return end_stream(s->id, s->at - s->len, s->len, s->kind == FIN);
    case RESET:
        return end_reset(s->id, 1, s->at);
    case STOP:
        return end_stop(s->id, 1);
    case MAX_DATA:
        return plx_streams_on_max_stream_data(&end.ss, s->id, s->at);
    case BLOCKED:
        return plx_streams_on_stream_data_blocked(&end.ss, s->id, s->at);
    case MAX_STREAMS:
        return plx_streams_on_max_streams(&end.ss, s->id, s->at);
    default:
        return 0;
    }
}

static void test_errors(void **state)
{
    enum {
        OK = 0,
        STATE = PLX_QUIC_STREAM_STATE_ERROR,
        LIMIT = PLX_QUIC_STREAM_LIMIT_ERROR,
        FLOW = PLX_QUIC_FLOW_CONTROL_ERROR,
        FINAL = PLX_QUIC_FINAL_SIZE_ERROR,
        CODING = PLX_QUIC_FRAME_ENCODING_ERROR
    };
    // We are the server, and have opened 1 (bidirectional) and 3 (unidirectional). The last step gives the error.
    static const struct {
        struct step step[4];
        uint64_t want;
    } row[] = {
        // a half that is not there, or a stream that we have not opened
        {{{STREAM, 3, 1, 1}}, STATE},
        {{{RESET, 3, 0, 0}}, STATE},
        {{{BLOCKED, 3, 0, 0}}, STATE},
        {{{STOP, 2, 0, 0}}, STATE},
        {{{MAX_DATA, 2, 9, 0}}, STATE},
        {{{STREAM, 5, 1, 1}}, STATE},
        {{{RESET, 5, 0, 0}}, STATE},
        {{{BLOCKED, 5, 0, 0}}, STATE},
        {{{STOP, 5, 0, 0}}, STATE},
        {{{STOP, 7, 0, 0}}, STATE},
        {{{MAX_DATA, 5, 9, 0}}, STATE},
        {{{MAX_DATA, 7, 9, 0}}, STATE},
        {{{STREAM, 1, 1, 1}, {STOP, 1, 0, 0}, {STOP, 3, 0, 0}, {MAX_DATA, 3, 9, 0}}, OK},
        // beyond the limit on streams
        {{{STREAM, 64, 1, 1}}, LIMIT},
        {{{RESET, 64, 0, 0}}, LIMIT},
        {{{STOP, 64, 0, 0}}, LIMIT},
        {{{MAX_DATA, 64, 0, 0}}, LIMIT},
        {{{BLOCKED, 64, 0, 0}}, LIMIT},
        {{{STREAM, 10, 1, 1}}, LIMIT},
        {{{STREAM, 60, 1, 1}, {STREAM, 6, 1, 1}}, OK},
        // beyond the window of a stream
        {{{STREAM, 0, 1000, 10}}, OK},
        {{{STREAM, 0, 1001, 1}}, FLOW},
        {{{FIN, 0, 1001, 0}}, FLOW},
        {{{RESET, 0, 1001, 0}}, FLOW},
        // beyond the window of the connection
        {{{STREAM, 0, 1000, 1}, {STREAM, 4, 1000, 1}, {STREAM, 8, 500, 1}}, OK},
        {{{STREAM, 0, 1000, 1}, {STREAM, 4, 1000, 1}, {STREAM, 8, 501, 1}}, FLOW},
        {{{STREAM, 0, 1000, 1}, {STREAM, 4, 1000, 1}, {RESET, 8, 500, 1}}, OK},
        {{{STREAM, 0, 1000, 1}, {STREAM, 4, 1000, 1}, {RESET, 8, 501, 1}}, FLOW},
        {{{STREAM, 0, 1000, 1}, {STREAM, 0, 1000, 1}, {STREAM, 4, 1000, 1}, {FIN, 2, 500, 0}},
         OK}, // counted once
        // the final size
        {{{FIN, 0, 10, 5}, {FIN, 0, 10, 10}, {STREAM, 0, 9, 9}}, OK},
        {{{FIN, 0, 10, 5}, {STREAM, 0, 11, 1}}, FINAL},
        {{{FIN, 0, 10, 5}, {FIN, 0, 9, 1}}, FINAL},
        {{{FIN, 0, 10, 5}, {FIN, 0, 11, 1}}, FINAL},
        {{{STREAM, 0, 20, 1}, {FIN, 0, 10, 10}}, FINAL},
        {{{STREAM, 0, 20, 1}, {FIN, 0, 20, 0}}, OK},
        {{{STREAM, 0, 20, 1}, {RESET, 0, 19, 0}}, FINAL},
        {{{STREAM, 0, 20, 1}, {RESET, 0, 20, 0}, {RESET, 0, 20, 0}}, OK},
        {{{FIN, 0, 10, 5}, {RESET, 0, 11, 0}}, FINAL},
        {{{FIN, 0, 10, 5}, {RESET, 0, 9, 0}}, FINAL},
        {{{FIN, 0, 10, 5}, {RESET, 0, 10, 0}, {FIN, 0, 10, 5}}, OK},
        {{{RESET, 0, 10, 0}, {STREAM, 0, 11, 1}}, FINAL},
        {{{RESET, 0, 10, 0}, {FIN, 0, 9, 1}}, FINAL},
        {{{RESET, 0, 10, 0}, {RESET, 0, 11, 0}}, FINAL},
        {{{RESET, 0, 10, 0}, {STREAM, 0, 10, 1}}, OK},
        {{{FIN, 0, 10, 10}, {STREAM, 0, 11, 1}}, FINAL}, // everything was read already
        {{{FIN, 0, 10, 10}, {RESET, 0, 11, 0}}, FINAL},
        {{{FIN, 0, 10, 10}, {RESET, 0, 10, 0}}, OK},
        // values that cannot be
        {{{STREAM, 0, (UINT64_C(1) << 62), 1}}, CODING},
        {{{STREAM, 0, (UINT64_C(1) << 62) - 1, 1}}, FLOW},
        {{{MAX_STREAMS, 0, (UINT64_C(1) << 60) + 1, 0}}, CODING},
        {{{MAX_STREAMS, 1, UINT64_C(1) << 60, 0}}, OK},
    };
    (void)state;

    for (unsigned i = 0; i < ROWS(row); i++) {
        struct plx_stream *s;
        end_init(20);
        EXPECT_ROW(i, plx_streams_open(&end.ss, false, &s) == PLX_OK && s->id == 1);
        EXPECT_ROW(i, plx_streams_open(&end.ss, true, &s) == PLX_OK && s->id == 3);
        for (unsigned k = 0; k < 4 && row[i].step[k].kind != NOTHING; k++) {
            bool is_last = k == 3 || row[i].step[k + 1].kind == NOTHING;
            EXPECT_ROW(i, do_step(&row[i].step[k]) == (is_last ? row[i].want : OK));
        }
        plx_streams_verify(&end.ss);
        end_fini();
    }
}

// --- lives -----------------------------------------------------------------------------------------------

static void test_request_and_response(void **state)
{
    (void)state;
    end_init(2);
    assert_int_equal(end_stream(0, 0, 50, true), 0);
    end_expect("open 0; data 0 50 fin; ");
    assert_int_equal(end.last->recv_state, PLX_RECV_DATA_READ);
    end_send(end.last, 30, false);
    end_send(end.last, 70, true);
    assert_true(plx_streams_wants_write(&end.ss));
    end_expect_write(1200, "stream 0 0+100 fin; ");
    assert_false(plx_streams_wants_write(&end.ss));
    assert_int_equal(end.last->send_state, PLX_SEND_DATA_SENT);
    end_expect("");
    end_acked();
    end_expect("closed 0; ");
    assert_int_equal(end.released, 2);
    assert_int_equal(plx_streams_count(&end.ss), 0);
    assert_int_equal(end_stream(0, 0, 50, true), 0); // a late duplicate is not a new stream
    assert_int_equal(end_reset(0, 1, 50), 0);
    assert_int_equal(end_stop(0, 1), 0);
    end_expect("");
    assert_int_equal(end.ss.ignored_total, 3);
    end_fini();
}

static void test_opened_in_any_order(void **state)
{
    (void)state;
    end_init(20);
    assert_int_equal(end_stream(40, 0, 1, false), 0);
    end_expect("open 40; data 40 1; ");
    assert_int_equal(plx_streams_count(&end.ss), 1); // the lower ones cost nothing
    assert_int_equal(end_stream(8, 5, 5, false), 0);
    end_expect("open 8; ");
    assert_int_equal(plx_streams_on_max_stream_data(&end.ss, 4, 5000), 0);
    end_expect("open 4; ");
    assert_int_equal(end.last->send_limit, 5000);
    assert_int_equal(end_stop(12, 3), 0);
    end_expect("open 12; stop 12 3; ");
    assert_int_equal(plx_streams_on_stream_data_blocked(&end.ss, 16, 0), 0);
    end_expect("open 16; ");
    assert_int_equal(end_reset(20, 8, 100), 0);
    end_expect("open 20; reset 20 8; ");
    end_fini();
    end_expect("closed 4; closed 8; closed 12; closed 16; closed 20; closed 40; ");
}

static void test_out_of_order_and_fin_once(void **state)
{
    (void)state;
    end_init(2);
    assert_int_equal(end_stream(2, 10, 10, true), 0);
    assert_int_equal(end.last->recv_state, PLX_RECV_SIZE_KNOWN);
    assert_int_equal(end_stream(2, 5, 2, false), 0);
    end_expect("open 2; ");
    assert_int_equal(end_stream(2, 0, 6, false), 0); // straight from the packet, then what was kept
    end_expect("data 2 6; data 2 1; ");
    assert_int_equal(end_stream(2, 7, 3, false), 0);
    end_expect("data 2 3; data 2 10 fin; closed 2; ");
    assert_int_equal(end_stream(6, 0, 3, false), 0);
    assert_int_equal(end_stream(6, 3, 0, true), 0);
    end_expect("open 6; data 6 3; data 6 0 fin; closed 6; ");
    end_fini();
}

static void test_pause_and_resume(void **state)
{
    (void)state;
    end_init(2);
    end.take = 4;
    assert_int_equal(end_stream(0, 0, 10, false), 0);
    end_expect("open 0; data 0 10; ");
    struct plx_stream *s = end.last;
    assert_int_equal(end_stream(0, 10, 2, true), 0); // nobody is asked
    plx_streams_run_resumed(&end.ss, end.now);
    end_expect("");
    plx_streams_resume(&end.ss, s);
    plx_streams_resume(&end.ss, s);
    end_expect(""); // not from inside
    assert_true(plx_streams_has_resumed(&end.ss));
    plx_streams_run_resumed(&end.ss, end.now);
    end_expect("data 0 8 fin; ");
    end.take = SIZE_MAX;
    assert_int_equal(s->read, 8);
    assert_int_equal(end.ss.consumed, 8); // credit comes with reading, not with receiving
    plx_streams_resume(&end.ss, s);
    plx_streams_run_resumed(&end.ss, end.now);
    end_expect("data 0 4 fin; ");
    assert_int_equal(s->recv_state, PLX_RECV_DATA_READ);
    plx_streams_resume(&end.ss, s); // means nothing any more
    assert_false(plx_streams_has_resumed(&end.ss));
    end_fini();
}

static void resume_inside(struct plx_stream *s)
{
    plx_streams_resume(&end.ss, s);
}

static void test_resume_from_inside_on_data(void **state)
{
    (void)state;
    end_init(2);
    end.take = 4;
    end.in_data = resume_inside;
    assert_int_equal(end_stream(2, 0, 10, true), 0);
    end_expect("open 2; data 2 10 fin; ");
    plx_streams_run_resumed(&end.ss, end.now);
    end_expect("data 2 6 fin; "); // once per call, however often it asks
    plx_streams_run_resumed(&end.ss, end.now);
    end_expect("data 2 2 fin; closed 2; ");
    end_fini();
}

static void test_reset_by_us(void **state)
{
    (void)state;
    end_init(2);
    assert_int_equal(end_stream(0, 0, 5, true), 0);
    end_expect("open 0; data 0 5 fin; ");
    end_send(end.last, 900, false);
    end_expect_write(300, "stream 0 0+296; ");
    struct plx_refs first = end.refs;
    plx_streams_reset(&end.ss, end.last, 7);
    assert_int_equal(end.released, 1);
    struct plx_buf more = {"x", 1, &end.owner};
    assert_int_equal(plx_streams_send(&end.ss, end.last, &more, 1, false), PLX_ERR_CLOSED);
    assert_int_equal(plx_streams_send_copy(&end.ss, end.last, "x", 1, false), PLX_ERR_CLOSED);
    assert_int_equal(end.released, 1);
    plx_streams_reset(&end.ss, end.last, 8); // the first counts
    end_expect_write(300, "reset_stream 0 7 296; ");
    end_lost();
    end_expect_write(300, "reset_stream 0 7 296; ");
    plx_streams_on_lost(&end.ss, &first.v[0]); // given up: not sent again
    end_expect_write(300, "");
    end.refs.v[0] = (struct plx_ref){.id = 0, .kind = PLX_REF_RESET_STREAM};
    end.refs.count = 1;
    end_acked();
    end_expect("closed 0; ");
    end_fini();
}

static void test_stop_sending_by_peer(void **state)
{
    static const struct {
        size_t queued, written;
        bool fin;
        const char *reset;
    } row[] = {
        {0, 0, false, "reset_stream 0 9 0; "},       // READY
        {100, 0, false, "reset_stream 0 9 0; "},     // READY, something queued
        {100, 50, false, "reset_stream 0 9 47; "},   // SEND
        {100, 1200, true, "reset_stream 0 9 100; "}, // DATA_SENT
    };
    (void)state;
    for (unsigned i = 0; i < ROWS(row); i++) {
        end_init(2);
        assert_int_equal(end_stream(0, 0, 5, true), 0);
        if (row[i].queued > 0)
            end_send(end.last, row[i].queued, row[i].fin);
        if (row[i].written > 0)
            (void)end_write(row[i].written);
        end.log[0] = '\0';
        assert_int_equal(end_stop(0, 9), 0);
        end_expect("stop 0 9; ");
        assert_int_equal(end_stop(0, 9), 0); // once
        end_expect("");
        EXPECT_ROW(i, end.released == (row[i].queued > 0));
        EXPECT_ROW(i, strcmp(end_write(1200), row[i].reset) == 0);
        end_acked();
        end_expect("closed 0; ");
        end_fini();
    }
}

static void test_stop_sending_by_us(void **state)
{
    (void)state;
    end_init(4);
    // RECV: until the peer says where it ends
    assert_int_equal(end_stream(2, 0, 5, false), 0);
    assert_int_equal(end_stream(2, 50, 5, false), 0);
    plx_streams_stop_sending(&end.ss, end.last, 4);
    assert_null(end.last->held);
    assert_int_equal(end.ss.consumed, 55); // thrown away is consumed
    end_expect_write(1200, "stop_sending 2 4; ");
    end_lost();
    end_expect_write(1200, "stop_sending 2 4; ");
    assert_int_equal(end_stream(2, 5, 100, false), 0); // nobody is asked, but it counts
    assert_int_equal(end.ss.consumed, 105);
    end_acked();
    end_expect("open 2; data 2 5; ");
    assert_int_equal(end_reset(2, 4, 110), 0); // what the peer answers; nobody waits for on_reset
    end_expect("closed 2; ");
    assert_int_equal(end.ss.consumed, 110);
    // RECV, answered by FIN: STOP_SENDING has become pointless
    end_expect_write(1200, "max_streams 1 3; ");
    assert_int_equal(end_stream(6, 0, 5, false), 0);
    plx_streams_stop_sending(&end.ss, end.last, 4);
    assert_int_equal(end_stream(6, 20, 5, true), 0);
    end_expect("open 6; data 6 5; closed 6; ");
    end_expect_write(1200, "max_streams 1 4; ");
    // SIZE_KNOWN: until it is acknowledged
    assert_int_equal(end_stream(10, 20, 5, true), 0);
    plx_streams_stop_sending(&end.ss, end.last, 4);
    end_expect_write(1200, "stop_sending 10 4; ");
    end_lost();
    end_expect_write(1200, "stop_sending 10 4; ");
    end_expect("open 10; ");
    end_acked();
    end_expect("closed 10; ");
    // DATA_RECVD: nothing to stop. It ends with the next call from below
    end.take = 1;
    (void)end_write(1200);
    assert_int_equal(end_stream(14, 0, 5, true), 0);
    plx_streams_stop_sending(&end.ss, end.last, 4);
    end_expect("open 14; data 14 5 fin; ");
    assert_true(plx_streams_wants_write(&end.ss));
    end_expect_write(1200, ""); // by now closed; the grant goes into the next packet
    end_expect("closed 14; ");
    end_fini();
}

static void stop_inside(struct plx_stream *s)
{
    plx_streams_refuse(&end.ss, s, 6);
}

static void test_refuse_from_inside_on_data(void **state)
{
    (void)state;
    end_init(2);
    end.in_data = stop_inside;
    end.take = 1;
    assert_int_equal(end_stream(0, 5, 5, false), 0);
    assert_int_equal(end_stream(0, 0, 7, false), 0);
    end_expect("open 0; data 0 7; ");
    assert_int_equal(end.ss.consumed, 10);
    end_expect_write(1200, "reset_stream 0 6 0; stop_sending 0 6; ");
    end_acked();
    assert_int_equal(end_reset(0, 6, 10), 0);
    end_expect("closed 0; ");
    end_fini();
}

// --- no objects, no memory -------------------------------------------------------------------------------

static void test_refused_without_an_object(void **state)
{
    (void)state;
    end_init(1);
    assert_int_equal(end_stream(0, 0, 5, false), 0);
    assert_int_equal(end_stream(4, 0, 300, false), 0);
    assert_int_equal(end_stream(2, 0, 300, false), 0);
    end_expect("open 0; data 0 5; ");
    assert_int_equal(end.ss.refused_total, 2);
    end_expect_write(1200, "stop_sending 4 267; reset_stream 4 267 0; stop_sending 2 267; ");
    end_lost();
    end_expect_write(1200, "stop_sending 4 267; reset_stream 4 267 0; stop_sending 2 267; ");
    assert_int_equal(end.ss.recvd, 605);
    assert_int_equal(end.ss.consumed, 605); // its octets are credit that comes back
    assert_int_equal(end_stream(4, 0, 400, false), 0);
    assert_int_equal(end.ss.recvd, 705);
    assert_int_equal(end_stream(4, 1000, 1, false), PLX_QUIC_FLOW_CONTROL_ERROR);
    assert_int_equal(plx_streams_on_max_stream_data(&end.ss, 4, 9999), 0);
    assert_int_equal(end_stop(4, 1), 0);
    end_acked();
    assert_int_equal(end.ss.refused.count, 2);
    assert_int_equal(end_reset(4, 267, 500), 0);
    assert_int_equal(end.ss.recvd, 805);
    assert_int_equal(end_stream(2, 300, 0, true), 0);
    assert_int_equal(end.ss.refused.count, 0);         // over
    assert_int_equal(end_stream(4, 0, 400, false), 0); // not a new one
    assert_int_equal(end_stream(8, 0, 1, true), 0);
    end_expect("");
    assert_int_equal(end_stream(8, 1, 1, true), PLX_QUIC_FINAL_SIZE_ERROR);
    end_fini();
    end_expect("closed 0; ");
}

static void test_slab_empty(void **state)
{
    void *hog[64];
    unsigned hogs = 0;
    (void)state;
    end_init(4);
    assert_int_equal(end_stream(0, 0, 5, false), 0);
    for (size_t size = PLX_SLAB_BLOCK_MAX; size >= 64; size /= 2)
        while (hogs < 64 && (hog[hogs] = plx_slab_take(&end.slab, size)) != NULL)
            hogs++;
    assert_int_equal(end_stream(0, 10, 5, false), 0); // cannot be kept
    end_expect("open 0; data 0 5; reset 0 267; ");
    assert_int_equal(end.ss.stopped_total, 1);
    end_expect_write(1200, "stop_sending 0 267; ");
    assert_int_equal(end_stream(0, 5, 5, false), 0);
    end_expect("");
    struct plx_stream *s;
    assert_int_equal(plx_streams_open(&end.ss, false, &s), PLX_ERR_NOMEM); // no window for ours yet
    assert_int_equal(plx_pool_in_use(&end.pool), 1);
    assert_int_equal(plx_streams_send_copy(&end.ss, end.last, "abc", 3, false), PLX_ERR_NOMEM);
    struct plx_buf bufs[5] = {{"a", 1, NULL}, {"b", 1, NULL}, {"c", 1, NULL}, {"d", 1, NULL}, {"e", 1, NULL}};
    assert_int_equal(plx_streams_send(&end.ss, end.last, bufs, 5, true), PLX_ERR_NOMEM);
    assert_int_equal(plx_streams_send(&end.ss, end.last, bufs, 2, false), PLX_OK);
    assert_int_equal(plx_streams_send(&end.ss, end.last, bufs + 2, 1, true),
                     PLX_ERR_AGAIN); // there will be room
    end_expect_write(1200, "stream 0 0+2; ");
    end_acked();
    end_expect("writable 0; ");
    assert_int_equal(end_stream(2, 0, 1, false), PLX_QUIC_INTERNAL_ERROR); // not even a window
    for (unsigned i = 0; i < hogs; i++) // the sizes are not known any more: the memory goes as a whole
        assert_non_null(hog[i]);
    plx_streams_fini(&end.ss);
    plx_pool_fini(&end.pool);
    plx_slab_fini(&end.slab);
}

// --- packets ---------------------------------------------------------------------------------------------

static void test_small_ones_share_and_large_ones_alternate(void **state)
{
    struct plx_stream *s[3];
    (void)state;
    end_init(8);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(plx_streams_open(&end.ss, false, &s[i]), PLX_OK);
        end_send(s[i], 40, false);
    }
    end_expect_write(1200, "stream 1 0+40; stream 5 0+40; stream 9 0+40; ");
    end_send(s[0], 500, true);
    end_send(s[1], 500, true);
    end_send(s[2], 20, true);
    end_expect_write(200, "stream 1 40+195; ");
    end_expect_write(200, "stream 5 40+195; ");
    end_expect_write(200, "stream 9 40+20 fin; stream 1 235+170; ");
    end_expect_write(200, "stream 5 235+194; ");
    end_expect_write(200, "stream 1 405+135 fin; "); // the 55 octets left are not worth beginning another one
    end_lost();
    end_expect_write(200, "stream 1 405+135 fin; "); // lost goes first
    end_expect_write(200, "stream 5 429+111 fin; ");
    assert_true(plx_streams_is_app_limited(&end.ss));
    end_expect_write(3, "");
    end_fini();
}

static void test_no_more_references_than_fit(void **state)
{
    (void)state;
    end_init(20);
    for (unsigned i = 0; i < 16; i++) {
        assert_int_equal(end_stream(i * 4, 0, 1, true), 0);
        end_send(end.last, 1, true);
    }
    struct plx_wr w = plx_wr_init(end.packet, sizeof end.packet);
    end.refs.count = PLX_REFS_MAX - 3;
    plx_streams_write(&end.ss, &w, &end.refs, end.now, PLX_MS(1));
    assert_int_equal(end.refs.count, PLX_REFS_MAX);
    assert_true(plx_streams_wants_write(&end.ss));
    end_fini();
    assert_int_equal(end.released, 16);
}

// --- everything ------------------------------------------------------------------------------------------

static void test_seeds(void **state)
{
    static struct pair p;
    unsigned recalls = 0;
    (void)state;
    for (uint64_t seed = 0; seed < 3000; seed++) {
        bool is_drained = seed % 10 != 9; // else the connection ends in the middle of it
        pair_init(&p, seed, NULL, 0);
        for (unsigned i = 0; i < 600; i++)
            pair_step(&p, seed % 5 * 8);
        if (is_drained)
            pair_drain(&p);
        recalls += p.side[0].recalls + p.side[1].recalls;
        pair_fini(&p, is_drained);
    }
    assert_true(recalls > 100); // streams were put away, and needed again
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_request_and_response),
        cmocka_unit_test(test_opened_in_any_order),
        cmocka_unit_test(test_out_of_order_and_fin_once),
        cmocka_unit_test(test_pause_and_resume),
        cmocka_unit_test(test_resume_from_inside_on_data),
        cmocka_unit_test(test_reset_by_us),
        cmocka_unit_test(test_stop_sending_by_peer),
        cmocka_unit_test(test_stop_sending_by_us),
        cmocka_unit_test(test_refuse_from_inside_on_data),
        cmocka_unit_test(test_refused_without_an_object),
        cmocka_unit_test(test_slab_empty),
        cmocka_unit_test(test_small_ones_share_and_large_ones_alternate),
        cmocka_unit_test(test_no_more_references_than_fit),
        cmocka_unit_test(test_seeds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
