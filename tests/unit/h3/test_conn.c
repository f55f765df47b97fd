// test_conn.c -- whole exchanges between a client and a server, cut in every way, with every kind of message.

#include "array.h"
#include "app.h"

#include <string.h>

#include "../base/rows.h"

static struct world w;
static struct app a;

static void run(void)
{
    for (unsigned i = 0; i < 200000; i++) {
        world_run(&w, 10000000);
        if (app->resumes_due == 0)
            break;
        app_tick();
    }
}

static const struct {
    const char *method, *path;
    size_t body_len;
    uint16_t status;
    size_t got;
    unsigned interims;
    const char *trailers;
    uint64_t code;
} row[] = {
    {"GET", "/echo", 0, 200, 0, 0, "", PLX_H3_NO_ERROR},
    {"POST", "/echo", 1, 200, 1, 0, "", PLX_H3_NO_ERROR},
    {"POST", "/echo", 70000, 200, 70000, 0, "", PLX_H3_NO_ERROR},
    {"GET", "/block", 0, 200, 8, 0, "", PLX_H3_NO_ERROR},
    {"HEAD", "/block", 0, 200, 0, 0, "", PLX_H3_NO_ERROR},
    {"GET", "/bigblock", 0, 200, 1 << 17, 0, "", PLX_H3_NO_ERROR},
    {"HEAD", "/bigblock", 0, 200, 0, 0, "", PLX_H3_NO_ERROR},
    {"GET", "/interim", 0, 200, 5, 1, "", PLX_H3_NO_ERROR},
    {"HEAD", "/interim", 0, 200, 0, 1, "", PLX_H3_NO_ERROR},
    {"GET", "/pieces", 0, 200, 50000, 0, "x-sum=42;x-end=yes;", PLX_H3_NO_ERROR},
    {"POST", "/pieces", 2000, 200, 50000, 0, "x-sum=42;x-end=yes;", PLX_H3_NO_ERROR},
    {"HEAD", "/pieces", 0, 200, 0, 0, "x-sum=42;x-end=yes;", PLX_H3_NO_ERROR},
    {"GET", "/204", 0, 204, 0, 0, "", PLX_H3_NO_ERROR},
    {"GET", "/404", 0, 404, 0, 0, "", PLX_H3_NO_ERROR},
    {"POST", "/slow", 500, 404, 0, 0, "", PLX_H3_NO_ERROR},
    {"GET", "/cancel", 0, 0, 0, 0, "", PLX_H3_REQUEST_CANCELLED},
};

// Every kind of exchange at once, on one connection.
static void exchange_all(uint64_t seed, size_t piece_max, size_t room)
{
    world_init(&w, seed, piece_max, NULL, &app_client, &app_server);
    app_init(&a);
    w.side[CLIENT].room = w.side[SERVER].room = room;
    for (unsigned i = 0; i < ROWS(row); i++)
        EXPECT_ROW(i, app_get(w.side[CLIENT].conn, i, row[i].method, row[i].path, row[i].body_len) == PLX_OK);
    run();
    for (unsigned i = 0; i < ROWS(row); i++) {
        struct exchange *x = &a.client[i];
        EXPECT_ROW(i, x->closes == 1);
        EXPECT_ROW(i, x->code == row[i].code);
        EXPECT_ROW(i, x->status == row[i].status);
        EXPECT_ROW(i, x->body_len == row[i].got);
        EXPECT_ROW(i, x->ends == (row[i].code == PLX_H3_NO_ERROR));
        EXPECT_ROW(i, x->interims == row[i].interims);
        EXPECT_ROW(i, strcmp(x->trailers, row[i].trailers) == 0);
        EXPECT_ROW(i, memcmp(x->body,
                             row[i].got == 8   ? (const void *)"prepared"
                             : row[i].got == 5 ? (const void *)"hello"
                                               : app_bytes,
                             row[i].got) == 0);
    }
    assert_false(w.side[CLIENT].is_closed);
    assert_false(w.side[SERVER].is_closed);
    assert_int_equal(plx_h3_conn_open_requests(w.side[CLIENT].conn), 0);
    assert_int_equal(plx_h3_conn_open_requests(w.side[SERVER].conn), 0);
    app_fini(&a);
    world_fini(&w, PLX_H3_NO_ERROR);
}

static void test_exchanges_in_every_cut(void **state)
{
    (void)state;
    exchange_all(1, 0, 0);
    exchange_all(2, 1, 0); // octet by octet
    for (uint64_t seed = 3; seed < 23; seed++)
        exchange_all(seed, seed % 2 ? 5 : 3000, 0);
}

static void test_exchanges_with_little_room(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 11; seed++)
        exchange_all(seed, 2000, 1000 + 500 * seed); // bodies wait behind their heads, pieces behind pieces
}

// The connection ends in the middle, at every possible step: everything is given back, everybody hears of it once.
static void test_end_at_any_moment(void **state)
{
    (void)state;
    for (unsigned steps = 0; steps < 150; steps++) {
        world_init(&w, steps + 1, 300, NULL, &app_client, &app_server);
        app_init(&a);
        for (unsigned i = 0; i < ROWS(row); i++)
            EXPECT_ROW(i, app_get(w.side[CLIENT].conn, i, row[i].method, row[i].path, row[i].body_len) ==
                              PLX_OK);
        world_run(&w, steps);
        unsigned served = a.server_count;
        world_fini(&w, PLX_H3_INTERNAL_ERROR);
        for (unsigned i = 0; i < ROWS(row); i++)
            EXPECT_ROW(i, a.client[i].closes == 1);
        for (unsigned i = 0; i < served; i++)
            EXPECT_ROW(i, a.server[i].closes == 1);
        app_fini(&a);
    }
}

static void test_stream_limit_and_copies(void **state)
{
    (void)state;
    world_init(&w, 1, 0, NULL, &app_client, &app_server);
    app_init(&a);
    w.side[CLIENT].bidi_max = 1;
    assert_int_equal(app_get(w.side[CLIENT].conn, 0, "GET", "/block", 0), PLX_OK);
    assert_int_equal(app_get(w.side[CLIENT].conn, 1, "GET", "/block", 0), PLX_ERR_AGAIN);
    w.side[CLIENT].bidi_max = 2;
    w.side[CLIENT].is_short_of_copies = true;
    assert_int_equal(app_get(w.side[CLIENT].conn, 1, "GET", "/block", 0), PLX_ERR_NOMEM);
    w.side[CLIENT].is_short_of_copies = false;
    run();
    assert_int_equal(a.client[0].status, 200);
    assert_int_equal(a.client[1].closes, 0); // never began
    assert_false(w.side[SERVER].is_closed);
    world_fini(&w, PLX_H3_NO_ERROR);
    app_fini(&a);
}

// Unidirectional streams are put away between requests, and a request needs none of them.
static void test_streams_away(void **state)
{
    (void)state;
    for (unsigned by = 0; by < 2; by++) { // whose GOAWAY is the first that needs one
        world_init(&w, 9, 50, NULL, &app_client, &app_server);
        app_init(&a);
        assert_int_equal(app_get(w.side[CLIENT].conn, 0, "GET", "/block", 0), PLX_OK);
        assert_false(world_park(&w, CLIENT));
        run();
        for (unsigned i = 1; i < 4; i++) {
            assert_int_equal(world_park(&w, CLIENT), i == 1);
            assert_int_equal(world_park(&w, SERVER), i == 1);
            assert_int_equal(plx_pool_in_use(&w.side[CLIENT].streams), 0);
            assert_int_equal(app_get(w.side[CLIENT].conn, i, "GET", "/pieces", 0), PLX_OK);
            run();
            assert_int_equal(a.client[i].body_len, 50000);
            assert_int_equal(a.client[i].code, PLX_H3_NO_ERROR);
        }
        plx_h3_conn_shutdown(w.side[by].conn);
        assert_int_equal(w.side[by].wakes, 1);
        run();
        assert_int_equal(w.side[!by].wakes, 0); // the transport had them back for what it heard
        assert_true(plx_pool_in_use(&w.side[!by].streams) > 0);
        assert_int_equal(a.goaways, by == SERVER ? 2 : 1);
        assert_true(plx_h3_conn_is_drained(w.side[by].conn));
        world_fini(&w, PLX_H3_NO_ERROR);
        app_fini(&a);
    }
}

static void test_shutdown_by_server(void **state)
{
    (void)state;
    world_init(&w, 7, 50, NULL, &app_client, &app_server);
    app_init(&a);
    assert_int_equal(app_get(w.side[CLIENT].conn, 0, "GET", "/pieces", 0), PLX_OK);
    while (a.server_count == 0)
        world_run(&w, 1);
    plx_h3_conn_shutdown(w.side[SERVER].conn);
    assert_false(plx_h3_conn_is_drained(w.side[SERVER].conn));
    run();
    assert_int_equal(a.goaways, 2);
    assert_int_equal(a.goaway, 4);
    assert_int_equal(a.client[0].code, PLX_H3_NO_ERROR);
    assert_int_equal(a.client[0].body_len, 50000);
    assert_int_equal(app_get(w.side[CLIENT].conn, 1, "GET", "/block", 0), PLX_ERR_CLOSED);
    assert_true(plx_h3_conn_is_drained(w.side[SERVER].conn));
    assert_true(plx_h3_conn_is_drained(w.side[CLIENT].conn));
    world_fini(&w, PLX_H3_NO_ERROR);
    app_fini(&a);
}

// A request that the last GOAWAY does not cover is never heard of, and its sender is told so.
static void test_rejected_by_goaway(void **state)
{
    (void)state;
    world_init(&w, 7, 0, NULL, &app_client, &app_server);
    app_init(&a);
    world_run(&w, 1000); // SETTINGS are through
    plx_h3_conn_shutdown(w.side[SERVER].conn);
    assert_int_equal(app_get(w.side[CLIENT].conn, 0, "GET", "/block", 0), PLX_OK);
    struct dir *request = NULL;
    for (unsigned i = 0; i < WORLD_STREAMS; i++) {
        if (w.stream[i].is_used && !w.stream[i].is_uni)
            request = &w.stream[i].dir[CLIENT];
    }
    request->is_stalled = true; // it is still on its way
    world_run(&w, 1000);
    request->is_stalled = false;
    run();
    assert_int_equal(a.goaways, 2);
    assert_int_equal(a.goaway, 0);
    assert_int_equal(a.server_count, 0);
    assert_int_equal(a.client[0].closes, 1);
    assert_int_equal(a.client[0].code, PLX_H3_REQUEST_REJECTED);
    assert_true(a.client[0].is_peer);
    world_fini(&w, PLX_H3_NO_ERROR);
    app_fini(&a);
}

static void test_shutdown_by_client(void **state)
{
    (void)state;
    world_init(&w, 8, 50, NULL, &app_client, &app_server);
    app_init(&a);
    assert_int_equal(app_get(w.side[CLIENT].conn, 0, "GET", "/block", 0), PLX_OK);
    plx_h3_conn_shutdown(w.side[CLIENT].conn);
    assert_int_equal(app_get(w.side[CLIENT].conn, 1, "GET", "/block", 0), PLX_ERR_CLOSED);
    assert_false(plx_h3_conn_is_drained(w.side[CLIENT].conn));
    run();
    assert_int_equal(a.goaways, 1);
    assert_int_equal(a.client[0].status, 200);
    assert_true(plx_h3_conn_is_drained(w.side[CLIENT].conn));
    world_fini(&w, PLX_H3_NO_ERROR);
    app_fini(&a);
}

static void test_client_cancels(void **state)
{
    (void)state;
    world_init(&w, 9, 0, NULL, &app_client, &app_server);
    app_init(&a);
    assert_int_equal(app_get(w.side[CLIENT].conn, 0, "GET", "/never", 0), PLX_OK);
    assert_int_equal(app_get(w.side[CLIENT].conn, 1, "POST", "/echo", 10), PLX_OK);
    run();
    plx_h3_cancel(a.client[0].req, PLX_H3_REQUEST_CANCELLED);
    plx_h3_cancel(a.client[0].req, PLX_H3_INTERNAL_ERROR); // the first counts
    run();
    assert_int_equal(a.client[0].closes, 1);
    assert_int_equal(a.client[0].code, PLX_H3_REQUEST_CANCELLED);
    assert_false(a.client[0].is_peer);
    struct exchange *served = strcmp(a.server[0].path, "/never") == 0 ? &a.server[0] : &a.server[1];
    assert_int_equal(served->closes, 1);
    assert_int_equal(served->code, PLX_H3_REQUEST_CANCELLED);
    assert_true(served->is_peer);
    assert_int_equal(a.client[1].status, 200);
    world_fini(&w, PLX_H3_NO_ERROR);
    app_fini(&a);
}

// However friendly the connection ends, and with whatever code of the peer's program: half an exchange was none.
static void test_end_in_the_middle(void **state)
{
    static const struct {
        uint64_t code, heard;
    } ends[] = {
        {0, PLX_H3_REQUEST_CANCELLED},
        {PLX_H3_NO_ERROR, PLX_H3_REQUEST_CANCELLED},
        {PLX_H3_INTERNAL_ERROR, PLX_H3_INTERNAL_ERROR},
    };

    (void)state;
    for (unsigned i = 0; i < ROWS(ends); i++) {
        world_init(&w, 9, 0, NULL, &app_client, &app_server);
        app_init(&a);
        assert_int_equal(app_get(w.side[CLIENT].conn, 0, "GET", "/never", 0), PLX_OK);
        run();
        world_fini(&w, ends[i].code);
        EXPECT_ROW(i, a.client[0].closes == 1 && a.client[0].code == ends[i].heard);
        EXPECT_ROW(i, a.server[0].closes == 1 && a.server[0].code == ends[i].heard);
        app_fini(&a);
    }
}

// What the program must not send.
static void test_invalid_requests(void **state)
{
#define GET .method = SPAN("GET"), .scheme = SPAN("https"), .authority = SPAN("a"), .path = SPAN("/")
    static const struct plx_field upper = {"Accept", "x", 6, 1, false},
                                  conn = {"connection", "close", 10, 5, false},
                                  pseudo = {":path", "/", 5, 1, false}, line = {"a", "b\nc", 1, 3, false};
    const struct {
        struct plx_h3_head head;
        enum plx_err err;
    } bad[] = {
        {{GET}, PLX_OK},
        {{.method = SPAN("CONNECT"), .authority = SPAN("a:443")}, PLX_OK},
        {{.scheme = SPAN("https"), .authority = SPAN("a"), .path = SPAN("/")}, PLX_ERR_INVALID},
        {{.method = SPAN("G T"), .scheme = SPAN("https"), .authority = SPAN("a"), .path = SPAN("/")},
         PLX_ERR_INVALID},
        {{.method = SPAN("GET"), .scheme = SPAN("https"), .authority = SPAN("a")}, PLX_ERR_INVALID},
        {{.method = SPAN("GET"), .scheme = SPAN("https"), .path = SPAN("/")}, PLX_ERR_INVALID},
        {{.method = SPAN("GET"), .scheme = SPAN("https"), .authority = SPAN("u@a"), .path = SPAN("/")},
         PLX_ERR_INVALID},
        {{.method = SPAN("CONNECT"),
          .authority = SPAN("a"),
          .scheme = SPAN("https"),
          .path = SPAN("/"),
          .protocol = SPAN("websocket")},
         PLX_ERR_INVALID}, // the server has not announced it
        {{GET, .fields = &upper, .field_count = 1}, PLX_ERR_INVALID},
        {{GET, .fields = &conn, .field_count = 1}, PLX_ERR_INVALID},
        {{GET, .fields = &pseudo, .field_count = 1}, PLX_ERR_INVALID},
        {{GET, .fields = &line, .field_count = 1}, PLX_ERR_INVALID},
    };
    (void)state;
    world_init(&w, 10, 0, NULL, &app_client, &app_server);
    app_init(&a);
    for (unsigned i = 0; i < ROWS(bad); i++) {
        struct plx_h3_req *req;
        EXPECT_ROW(i, plx_h3_request(w.side[CLIENT].conn, &bad[i].head, false, &a.client[i], &req) ==
                          bad[i].err);
        EXPECT_ROW(i, (req != NULL) == (bad[i].err == PLX_OK));
    }
    world_fini(&w, PLX_H3_NO_ERROR);
    app_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exchanges_in_every_cut), cmocka_unit_test(test_exchanges_with_little_room),
        cmocka_unit_test(test_end_at_any_moment),      cmocka_unit_test(test_stream_limit_and_copies),
        cmocka_unit_test(test_streams_away),           cmocka_unit_test(test_shutdown_by_server),
        cmocka_unit_test(test_shutdown_by_client),     cmocka_unit_test(test_client_cancels),
        cmocka_unit_test(test_rejected_by_goaway),     cmocka_unit_test(test_invalid_requests),
        cmocka_unit_test(test_end_in_the_middle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
