// test_request.c -- the two state machines against their drawing, and what configuration changes about a connection.

#include "app.h"
#include "array.h"

#include <string.h>

#include "../base/rows.h"
#include "h3/conn_int.h"

static struct world w;
static struct app a;

static const char *const state_names[] = {
    [MESSAGE_HEAD] = "HEAD",     [MESSAGE_BODY] = "BODY", [MESSAGE_TRAILED] = "TRAILED",
    [MESSAGE_TUNNEL] = "TUNNEL", [MESSAGE_DONE] = "DONE", [MESSAGE_ABANDONED] = "ABANDONED",
};
static const char *const event_names[] = {
    [EVENT_INTERIM] = "INTERIM", [EVENT_HEAD] = "HEAD",         [EVENT_CONNECT] = "CONNECT",
    [EVENT_DATA] = "DATA",       [EVENT_TRAILERS] = "TRAILERS", [EVENT_FIN] = "FIN",
};

// Every arrow that there is, as text: a change of the tables shows here.
static void test_arrows(void **state)
{
    static const char rx[] =
        "HEAD INTERIM HEAD; HEAD HEAD BODY; HEAD CONNECT TUNNEL; BODY DATA BODY; BODY TRAILERS TRAILED; "
        "BODY FIN DONE; TRAILED FIN DONE; TUNNEL DATA TUNNEL; TUNNEL FIN DONE; ";
    static const char tx[] = "HEAD INTERIM HEAD; HEAD HEAD BODY; BODY DATA BODY; BODY FIN DONE; ";
    char got[2][512];
    size_t at[2] = {0, 0};

    (void)state;
    for (unsigned s = MESSAGE_HEAD; s < MESSAGE_STATE_COUNT; s++) {
        for (unsigned e = 0; e < EVENT_COUNT; e++) {
            struct plx_h3_req req = {.rx = (uint8_t)s, .tx = (uint8_t)s};
            bool can[2] = {plx_h3_rx_can(&req, e), plx_h3_tx_can(&req, e)};
            assert_true(plx_h3_rx_on(&req, e) == can[0]);
            assert_true(plx_h3_tx_on(&req, e) == can[1]);
            for (unsigned k = 0; k < 2; k++) {
                uint8_t to = k == 0 ? req.rx : req.tx;
                assert_true(can[k] || to == s); // no arrow: nothing happens
                if (can[k])
                    at[k] += (size_t)snprintf(got[k] + at[k], sizeof got[k] - at[k], "%s %s %s; ",
                                              state_names[s], event_names[e], state_names[to]);
            }
        }
    }
    assert_string_equal(got[0], rx);
    assert_string_equal(got[1], tx);
}

static unsigned unidirectional_streams(unsigned side)
{
    unsigned count = 0;
    for (unsigned i = 0; i < WORLD_STREAMS; i++)
        count += w.stream[i].is_used && w.stream[i].is_uni && w.stream[i].opener == side;
    return count;
}

static void test_grease(void **state)
{
    static const struct plx_h3_cfg plain = {.no_grease = true};

    (void)state;
    world_init(&w, 1, 0, &plain, &app_client, &app_server);
    assert_int_equal(unidirectional_streams(CLIENT), 2);
    assert_int_equal(unidirectional_streams(SERVER), 2);
    // The stream's type, SETTINGS with three values that differ from the initial ones, and nothing else.
    static const uint8_t want[] = {0x00, 0x04, 0x0a, 0x01, 0x50, 0x00, 0x06,
                                   0x80, 0x00, 0x40, 0x00, 0x07, 0x10};
    assert_int_equal(w.stream[0].dir[CLIENT].len, sizeof want);
    assert_memory_equal(w.stream[0].dir[CLIENT].p, want, sizeof want);
    world_fini(&w, PLX_H3_NO_ERROR);

    world_init(&w, 1, 0, NULL, &app_client, &app_server);
    assert_int_equal(unidirectional_streams(CLIENT),
                     4); // with its encoder's, which nginx wants to see before any unknown type
    assert_int_equal(unidirectional_streams(SERVER), 3);
    assert_true(w.stream[0].dir[CLIENT].len > sizeof want);
    world_run(&w, 1000);
    assert_false(w.side[CLIENT].is_closed || w.side[SERVER].is_closed);
    world_fini(&w, PLX_H3_NO_ERROR);
}

static void test_extended_connect(void **state)
{
    static const struct plx_h3_cfg cfg = {.connect_protocol = true};
    static const struct plx_h3_head head = {.method = SPAN("CONNECT"),
                                            .scheme = SPAN("https"),
                                            .authority = SPAN("a"),
                                            .path = SPAN("/never"),
                                            .protocol = SPAN("websocket")};
    struct plx_h3_req *req;

    (void)state;
    world_init(&w, 1, 0, &cfg, &app_client, &app_server);
    app_init(&a);
    // Not before the server has said that it takes it.
    assert_int_equal(plx_h3_request(w.side[CLIENT].conn, &head, true, &a.client[0], &req), PLX_ERR_INVALID);
    world_run(&w, 1000);
    assert_int_equal(plx_h3_request(w.side[CLIENT].conn, &head, true, &a.client[0], &req), PLX_OK);
    assert_int_equal(plx_h3_send_trailers(req, NULL, 0), PLX_ERR_INVALID); // a tunnel has none
    assert_int_equal(plx_h3_send_body(req, (struct plx_buf){"frames", 6, NULL}, false), PLX_OK);
    world_run(&w, 1000);
    assert_int_equal(a.server_count, 1);
    assert_string_equal(a.server[0].path, "/never");
    assert_int_equal(a.server[0].body_len, 6);
    assert_int_equal(plx_h3_respond(a.server[0].req, 200, NULL, 0, (struct plx_buf){NULL, 0, NULL}, false),
                     PLX_OK);
    assert_int_equal(plx_h3_send_body(a.server[0].req, (struct plx_buf){"echo", 4, NULL}, true), PLX_OK);
    world_run(&w, 1000);
    assert_int_equal(a.client[0].status, 200);
    assert_int_equal(a.client[0].body_len, 4);
    assert_int_equal(a.client[0].ends, 1);
    world_fini(&w, PLX_H3_NO_ERROR);
    app_fini(&a);
}

// What the peer says about the size of its field sections is respected.
static void test_peer_limit(void **state)
{
    static const struct plx_h3_cfg small = {.field_section_max = 300};
    static char long_value[300];
    struct plx_field f = {"x", long_value, 1, sizeof long_value, false};
    struct plx_h3_head head = {.method = SPAN("GET"),
                               .scheme = SPAN("https"),
                               .authority = SPAN("a"),
                               .path = SPAN("/"),
                               .fields = &f,
                               .field_count = 1};
    struct plx_h3_req *req;

    (void)state;
    memset(long_value, 'v', sizeof long_value);
    world_init(&w, 1, 0, &small, &app_client, &app_server);
    app_init(&a);
    world_run(&w, 1000);
    assert_int_equal(plx_h3_request(w.side[CLIENT].conn, &head, false, &a.client[0], &req), PLX_ERR_INVALID);
    head.field_count = 0;
    assert_int_equal(plx_h3_request(w.side[CLIENT].conn, &head, false, &a.client[0], &req), PLX_OK);
    world_fini(&w, PLX_H3_NO_ERROR);
    app_fini(&a);
}

// A prepared request is what plx_h3_request would have sent, again and again, with its body.
static void test_request_block(void **state)
{
    static const struct plx_h3_cfg small = {.field_section_max = 300};
    static char long_value[300];
    struct plx_field f = {"x-tag", "1", 5, 1, false}, big = {"x", long_value, 1, sizeof long_value, false},
                     upper = {"X", "1", 1, 1, false};
    struct plx_h3_head head = {.method = SPAN("POST"),
                               .scheme = SPAN("https"),
                               .authority = SPAN("a"),
                               .path = SPAN("/echo"),
                               .fields = &f,
                               .field_count = 1};
    static const struct plx_h3_head connect = {.method = SPAN("CONNECT"), .authority = SPAN("a:1")};
    struct plx_buf none = {NULL, 0, NULL};
    struct plx_h3_req *req;

    (void)state;
    memset(long_value, 'v', sizeof long_value);
    world_init(&w, 1, 0, &small, &app_client, &app_server);
    app_init(&a);
    world_run(&w, 1000);
    struct plx_h3_block *block = plx_h3_block_new_request(&head, (struct plx_buf){"over and over", 13, NULL});
    assert_non_null(block);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(plx_h3_request_block(w.side[CLIENT].conn, block, &a.client[i], &req), PLX_OK);
        assert_ptr_equal(plx_h3_req_user(req), &a.client[i]);
    }
    assert_int_equal(plx_h3_request_block(w.side[SERVER].conn, block, NULL, &req), PLX_ERR_INVALID);
    world_run(&w, 10000);
    for (unsigned i = 0; i < 3; i++) {
        assert_string_equal(a.server[i].path, "/echo");
        assert_int_equal(a.client[i].status, 200);
        assert_int_equal(a.client[i].body_len, 13);
        assert_memory_equal(a.client[i].body, "over and over", 13);
        assert_int_equal(a.client[i].closes, 1);
        assert_int_equal(a.client[i].code, PLX_H3_NO_ERROR);
    }
    plx_h3_block_free(block);
    // A response is no request; the peer's limit counts here too.
    assert_int_equal(plx_h3_request_block(w.side[CLIENT].conn, a.block, NULL, &req), PLX_ERR_INVALID);
    head.fields = &big;
    block = plx_h3_block_new_request(&head, none);
    assert_non_null(block);
    assert_int_equal(plx_h3_request_block(w.side[CLIENT].conn, block, NULL, &req), PLX_ERR_INVALID);
    plx_h3_block_free(block);
    world_fini(&w, PLX_H3_NO_ERROR);
    app_fini(&a);

    head.fields = &upper;
    assert_null(plx_h3_block_new_request(&head, none));
    head.field_count = 0;
    head.path = (struct plx_span){NULL, 0};
    assert_null(plx_h3_block_new_request(&head, none));
    assert_null(plx_h3_block_new_request(&connect, none));
}

// A borrowed block outlives its free for as long as somebody uses it.
static void test_block_life(void **state)
{
    (void)state;
    world_init(&w, 1, 0, NULL, &app_client, &app_server);
    app_init(&a);
    assert_int_equal(app_get(w.side[CLIENT].conn, 0, "GET", "/bigblock", 0), PLX_OK);
    while (a.server_count == 0 || a.server[0].ends == 0)
        world_run(&w, 1);
    unsigned before = a.releases;
    plx_h3_block_free(a.big_block);
    a.big_block = NULL;
    assert_int_equal(a.releases, before); // the transport still has it
    world_run(&w, 100000);
    assert_int_equal(a.client[0].body_len, sizeof app_bytes);
    assert_int_equal(a.releases, before + 1);
    world_fini(&w, PLX_H3_NO_ERROR);
    app_fini(&a);

    struct plx_field bad = {"Upper", "x", 5, 1, false};
    struct plx_buf none = {NULL, 0, NULL};
    assert_null(plx_h3_block_new(200, &bad, 1, none));
    assert_null(plx_h3_block_new(199, NULL, 0, none));
    assert_null(plx_h3_block_new(600, NULL, 0, none));
    assert_null(plx_h3_block_new(204, NULL, 0, (struct plx_buf){"x", 1, NULL}));
    plx_h3_block_free(NULL);
}

// --- answers that are known (request_whole.c) ------------------------------------------------------------------

enum leave { LEAVE_NOT, LEAVE_AT_HEAD, LEAVE_AT_BODY };
static enum leave leave;

static void leaving_on_response(struct plx_h3_req *req, const struct plx_h3_head *head)
{
    app_client.on_response(req, head);
    if (leave == LEAVE_AT_HEAD)
        plx_h3_cancel(req, PLX_H3_REQUEST_CANCELLED);
}

static size_t leaving_on_body(struct plx_h3_req *req, const uint8_t *data, size_t len)
{
    size_t taken = app_client.on_body(req, data, len);

    if (leave == LEAVE_AT_BODY)
        plx_h3_cancel(req, PLX_H3_REQUEST_CANCELLED);
    return taken;
}

static void ask(const char *method, const char *path, bool is_slow)
{
    assert_int_equal(app_get(w.side[CLIENT].conn, 0, method, path, 0), PLX_OK);
    a.client[0].is_slow = is_slow;
    for (unsigned i = 0; i < 20; i++) {
        world_run(&w, 1000);
        app_tick();
    }
}

static unsigned answers_taken;

// Takes an answer whole, unless something is to be done about its parts.
static bool leaving_on_answer(struct plx_h3_req *req, const struct plx_h3_head *head, const uint8_t *body,
                              size_t len)
{
    struct exchange *x = plx_h3_req_user(req);

    if (leave != LEAVE_NOT || x->is_slow)
        return false;
    app_client.on_response(req, head);
    if (len > 0)
        assert_int_equal(app_client.on_body(req, body, len), len);
    app_client.on_end(req, NULL, 0);
    app_client.on_closed(req, PLX_H3_NO_ERROR, false); // which does not come by itself
    answers_taken++;
    return true;
}

// The same answers over and over, and what a program may do about them: with the road for known ones; without a memo, without; and taken whole.
static void test_known_answers(void **state)
{
    static const struct {
        const char *method, *path;
        bool is_slow;
        enum leave leave;
        uint16_t status;
        size_t body_len;
        unsigned ends;
        uint64_t code;
        bool is_known; // in one piece, and with a head that can be known
    } row[] = {
        {"GET", "/block", false, LEAVE_NOT, 200, 8, 1, PLX_H3_NO_ERROR, true},
        {"GET", "/block", true, LEAVE_NOT, 200, 8, 1, PLX_H3_NO_ERROR, true},
        {"GET", "/block", false, LEAVE_AT_HEAD, 200, 0, 0, PLX_H3_REQUEST_CANCELLED, true},
        {"GET", "/block", false, LEAVE_AT_BODY, 200, 8, 0, PLX_H3_REQUEST_CANCELLED, true},
        {"GET", "/block", true, LEAVE_AT_BODY, 200, 3, 0, PLX_H3_REQUEST_CANCELLED, true},
        {"HEAD", "/block", false, LEAVE_NOT, 200, 0, 1, PLX_H3_NO_ERROR, false},
        {"GET", "/none", false, LEAVE_NOT, 404, 0, 1, PLX_H3_NO_ERROR, true},
        {"GET", "/none", false, LEAVE_AT_HEAD, 404, 0, 0, PLX_H3_REQUEST_CANCELLED, true},
        {"GET", "/204", false, LEAVE_NOT, 204, 0, 1, PLX_H3_NO_ERROR, false},
        {"GET", "/interim", false, LEAVE_NOT, 200, 5, 1, PLX_H3_NO_ERROR, false},
    };
    struct plx_h3_handler client = app_client;

    (void)state;
    client.on_response = leaving_on_response;
    client.on_body = leaving_on_body;
    for (size_t i = 0; i < 3 * sizeof row / sizeof *row; i++) {
        bool has_memo = i % 3 != 1, takes_whole = i % 3 == 2;
        const struct exchange *x = &a.client[0];
        leave = LEAVE_NOT;
        answers_taken = 0;
        client.on_answer = takes_whole ? leaving_on_answer : NULL;
        world_init(&w, 1, 0, NULL, &client, &app_server);
        app_init(&a);
        if (!has_memo)
            w.side[CLIENT].env.memo = NULL;
        for (unsigned n = 0; n < 3; n++)
            ask(row[i / 3].method, row[i / 3].path, false); // kept the second time, found the third
        for (unsigned n = 0; n < 2; n++) {
            leave = row[i / 3].leave;
            ask(row[i / 3].method, row[i / 3].path, row[i / 3].is_slow);
            EXPECT_ROW(i, x->status == row[i / 3].status && x->body_len == row[i / 3].body_len);
            EXPECT_ROW(i, x->ends == row[i / 3].ends && x->closes == 1 && x->code == row[i / 3].code);
        }
        // The third is found, the fourth came last and is known by that, the fifth is like it.
        bool is_parted = row[i / 3].leave != LEAVE_NOT || row[i / 3].is_slow;
        EXPECT_ROW(i, answers_taken == (!takes_whole || !row[i / 3].is_known ? 0u : is_parted ? 0u : 2u));
        EXPECT_ROW(i, plx_h3_conn_open_requests(w.side[CLIENT].conn) == 0);
        plx_memo_verify(w.side[CLIENT].env.memo != NULL ? w.side[CLIENT].env.memo : w.side[SERVER].env.memo);
        EXPECT_ROW(i, !w.side[CLIENT].is_closed && !w.side[SERVER].is_closed);
        world_fini(&w, PLX_H3_NO_ERROR);
        app_fini(&a);
    }
}

// --- requests of one line ------------------------------------------------------------------------------------------

static void does_nothing(struct plx_h3_req *req)
{
    assert_false(plx_h3_req_is_early(req));
    (void)plx_h3_req_unsent(req);
    assert_true(req->is_lean);
}
static void is_cancelled(struct plx_h3_req *req)
{
    plx_h3_cancel(req, PLX_H3_REQUEST_CANCELLED);
}
static void is_told_to_stop(struct plx_h3_req *req)
{
    plx_h3_on_stop_sending(plx_h3_req_conn(req), &req->s, 0x1234);
}
static void is_reset(struct plx_h3_req *req)
{
    plx_h3_on_reset(plx_h3_req_conn(req), &req->s, 0x1234);
}
static void has_room(struct plx_h3_req *req)
{
    plx_h3_on_writable(plx_h3_req_conn(req), &req->s);
    assert_false(req->is_lean);
}
static void says_more(struct plx_h3_req *req)
{
    assert_int_equal(plx_h3_send_body(req, (struct plx_buf){"x", 1, NULL}, true), PLX_ERR_INVALID);
    assert_int_equal(plx_h3_send_trailers(req, NULL, 0), PLX_ERR_INVALID);
    plx_h3_resume(req);
}
static void server_leaves(struct plx_h3_req *req)
{
    plx_h3_goaway_on(plx_h3_req_conn(req), 0);
}

static enum plx_err ask_prepared(const char *path, struct plx_h3_req **req)
{
    const struct plx_h3_head head = {.method = SPAN("GET"),
                                     .scheme = SPAN("https"),
                                     .authority = SPAN("a"),
                                     .path = {(const uint8_t *)path, strlen(path)}};
    struct plx_h3_block *block = plx_h3_block_new_request(&head, (struct plx_buf){NULL, 0, NULL});

    assert_non_null(block);
    a.client[0] = (struct exchange){.path = ""};
    enum plx_err err = plx_h3_request_block(w.side[CLIENT].conn, block, &a.client[0], req);
    plx_h3_block_free(block); // until it was sent it is used
    a.client[0].req = *req;
    return err;
}

// A prepared request holds nothing but its first line. What the others would hold is there as soon as anything asks, whatever it is. (With
// PLX_DEBUG what is there before is no zeros.)
static void test_lean_requests(void **state)
{
    static const struct {
        const char *path;
        size_t piece_max; // 1: nothing comes whole
        void (*act)(struct plx_h3_req *req);
        uint16_t status;
        size_t body_len;
        unsigned interims, ends;
        uint64_t code;
        bool is_peer;
    } row[] = {
        {"/block", 0, does_nothing, 200, 8, 0, 1, PLX_H3_NO_ERROR, false},
        {"/block", 1, does_nothing, 200, 8, 0, 1, PLX_H3_NO_ERROR, false},
        {"/block", 0, has_room, 200, 8, 0, 1, PLX_H3_NO_ERROR, false},
        {"/block", 0, says_more, 200, 8, 0, 1, PLX_H3_NO_ERROR, false},
        {"/204", 0, does_nothing, 204, 0, 0, 1, PLX_H3_NO_ERROR, false},
        {"/interim", 0, does_nothing, 200, 5, 1, 1, PLX_H3_NO_ERROR, false},
        {"/interim", 1, does_nothing, 200, 5, 1, 1, PLX_H3_NO_ERROR, false},
        {"/never", 0, is_cancelled, 0, 0, 0, 0, PLX_H3_REQUEST_CANCELLED, false},
        {"/never", 0, is_reset, 0, 0, 0, 0, 0x1234, true},
        {"/never", 0, is_told_to_stop, 0, 0, 0, 0, 0x1234, true},
        {"/never", 0, server_leaves, 0, 0, 0, 0, PLX_H3_REQUEST_REJECTED, true},
        {"/never", 0, does_nothing, 0, 0, 0, 0, PLX_H3_INTERNAL_ERROR, true}, // the connection ends
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct plx_h3_req *req;
        const struct exchange *x = &a.client[0];
        world_init(&w, 1 + i, row[i].piece_max, NULL, &app_client, &app_server);
        app_init(&a);
        world_run(&w, 1000);
        assert_int_equal(ask_prepared(row[i].path, &req), PLX_OK);
        assert_true(req->is_lean);
        row[i].act(req);
        for (unsigned n = 0; n < 20; n++) {
            world_run(&w, 1000);
            app_tick();
        }
        world_fini(&w, PLX_H3_INTERNAL_ERROR);
        EXPECT_ROW(i, x->status == row[i].status && x->body_len == row[i].body_len);
        EXPECT_ROW(i, x->interims == row[i].interims && x->ends == row[i].ends);
        EXPECT_ROW(i, x->closes == 1 && x->code == row[i].code && x->is_peer == row[i].is_peer);
        app_fini(&a);
    }
}

// An answer like the last one is taken without them ever being there; what is not known, without a stream, or not wanted whole, is not.
static void test_lean_to_the_end(void **state)
{
    struct plx_h3_handler client = app_client;
    struct plx_h3_req *req;

    (void)state;
    client.on_answer = leaving_on_answer;
    leave = LEAVE_NOT;
    answers_taken = 0;
    world_init(&w, 1, 0, NULL, &client, &app_server);
    app_init(&a);
    world_run(&w, 1000);
    for (unsigned n = 0; n < 8; n++) {
        assert_int_equal(ask_prepared(n == 6 ? "/none" : "/block", &req), PLX_OK);
        a.client[0].is_slow = n == 5;
        for (unsigned k = 0; k < 20; k++) {
            world_run(&w, 1000);
            app_tick();
        }
        assert_int_equal(a.client[0].closes, 1);
        assert_int_equal(a.client[0].ends, 1);
        assert_int_equal(a.client[0].status, n == 6 ? 404 : 200);
    }
    assert_int_equal(answers_taken, 3); // the fourth, the fifth, and the last
    w.side[CLIENT].bidi_max = 1;
    assert_int_equal(ask_prepared("/block", &req), PLX_ERR_AGAIN);
    assert_int_equal(plx_h3_conn_open_requests(w.side[CLIENT].conn), 0);
    world_fini(&w, PLX_H3_NO_ERROR);
    app_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lean_requests),    cmocka_unit_test(test_lean_to_the_end),
        cmocka_unit_test(test_arrows),           cmocka_unit_test(test_grease),
        cmocka_unit_test(test_extended_connect), cmocka_unit_test(test_peer_limit),
        cmocka_unit_test(test_block_life),       cmocka_unit_test(test_request_block),
        cmocka_unit_test(test_known_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
