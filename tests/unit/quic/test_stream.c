// test_stream.c -- the two state machines arrow by arrow, their pictures, and what applications see of a stream.

#include <string.h>

#include <plx/conn.h>

#include "quic/stream/stream.h"
#include "quic/stream/streams.h"
#include "tests/unit/base/rows.h"

// RFC 9000 figures 2 and 3, written down once more by hand: what the .def file must say.
static void test_send_arrows(void **state)
{
    static const struct {
        uint8_t from, event, to;
    } row[] = {
        {PLX_SEND_READY, PLX_SEND_ON_FRAME, PLX_SEND_SEND},
        {PLX_SEND_READY, PLX_SEND_ON_FIN, PLX_SEND_DATA_SENT},
        {PLX_SEND_READY, PLX_SEND_ON_RESET, PLX_SEND_RESET_SENT},
        {PLX_SEND_SEND, PLX_SEND_ON_FIN, PLX_SEND_DATA_SENT},
        {PLX_SEND_SEND, PLX_SEND_ON_RESET, PLX_SEND_RESET_SENT},
        {PLX_SEND_DATA_SENT, PLX_SEND_ON_ALL_ACKED, PLX_SEND_DATA_RECVD},
        {PLX_SEND_DATA_SENT, PLX_SEND_ON_RESET, PLX_SEND_RESET_SENT},
        {PLX_SEND_RESET_SENT, PLX_SEND_ON_RESET_ACK, PLX_SEND_RESET_RECVD},
    };
    unsigned arrows = 0;
    (void)state;

    for (uint8_t s = 0; s < PLX_SEND_STATE_COUNT; s++)
        for (uint8_t e = 0; e < PLX_SEND_EVENT_COUNT; e++) {
            uint8_t now = s, want = s;
            for (unsigned i = 0; i < ROWS(row); i++)
                if (row[i].from == s && row[i].event == e)
                    want = row[i].to;
            bool moved = plx_send_on(&now, e);
            EXPECT_ROW(s * 100 + e, now == want);
            EXPECT_ROW(s * 100 + e, moved == (want != s));
            arrows += moved;
        }
    assert_int_equal(arrows, ROWS(row));
    assert_true(plx_send_is_over(PLX_SEND_NONE));
    assert_false(plx_send_is_over(PLX_SEND_DATA_SENT));
    assert_true(plx_send_is_over(PLX_SEND_DATA_RECVD));
    assert_false(plx_send_is_over(PLX_SEND_RESET_SENT));
    assert_true(plx_send_is_over(PLX_SEND_RESET_RECVD));
}

static void test_recv_arrows(void **state)
{
    static const struct {
        uint8_t from, event, to;
    } row[] = {
        {PLX_RECV_RECV, PLX_RECV_ON_FIN, PLX_RECV_SIZE_KNOWN},
        {PLX_RECV_RECV, PLX_RECV_ON_RESET, PLX_RECV_RESET_RECVD},
        {PLX_RECV_SIZE_KNOWN, PLX_RECV_ON_ALL_DATA, PLX_RECV_DATA_RECVD},
        {PLX_RECV_SIZE_KNOWN, PLX_RECV_ON_RESET, PLX_RECV_RESET_RECVD},
        {PLX_RECV_DATA_RECVD, PLX_RECV_ON_APP_READ, PLX_RECV_DATA_READ},
        {PLX_RECV_RESET_RECVD, PLX_RECV_ON_APP_RESET, PLX_RECV_RESET_READ},
    };
    unsigned arrows = 0;
    (void)state;

    for (uint8_t s = 0; s < PLX_RECV_STATE_COUNT; s++)
        for (uint8_t e = 0; e < PLX_RECV_EVENT_COUNT; e++) {
            uint8_t now = s, want = s;
            for (unsigned i = 0; i < ROWS(row); i++)
                if (row[i].from == s && row[i].event == e)
                    want = row[i].to;
            bool moved = plx_recv_on(&now, e);
            EXPECT_ROW(s * 100 + e, now == want);
            EXPECT_ROW(s * 100 + e, moved == (want != s));
            arrows += moved;
        }
    assert_int_equal(arrows, ROWS(row));
    assert_true(plx_recv_is_over(PLX_RECV_DATA_READ));
    assert_true(plx_recv_is_over(PLX_RECV_RESET_READ));
    assert_false(plx_recv_is_over(PLX_RECV_DATA_RECVD));
    assert_false(plx_recv_is_over(PLX_RECV_RESET_RECVD));
}

static void test_names_and_pictures(void **state)
{
    char text[1024], small[8];
    (void)state;

    assert_string_equal(plx_send_state_name(PLX_SEND_DATA_SENT), "DATA_SENT");
    assert_string_equal(plx_recv_state_name(PLX_RECV_SIZE_KNOWN), "SIZE_KNOWN");
    assert_string_equal(plx_send_state_name(PLX_SEND_NONE), "NONE");
    assert_string_equal(plx_recv_state_name(200), "?");
    size_t len = plx_recv_dot(text, sizeof text);
    assert_string_equal(text, "digraph recv {\n"
                              "  RECV -> SIZE_KNOWN [label=\"FIN\"];\n"
                              "  RECV -> RESET_RECVD [label=\"RESET\"];\n"
                              "  SIZE_KNOWN -> DATA_RECVD [label=\"ALL_DATA\"];\n"
                              "  SIZE_KNOWN -> RESET_RECVD [label=\"RESET\"];\n"
                              "  DATA_RECVD -> DATA_READ [label=\"APP_READ\"];\n"
                              "  RESET_RECVD -> RESET_READ [label=\"APP_RESET\"];\n"
                              "}\n");
    assert_int_equal(len, strlen(text));
    assert_int_equal(plx_recv_dot(small, sizeof small), len); // cut, and it says so
    assert_string_equal(small, "digraph");
    len = plx_send_dot(text, sizeof text);
    assert_int_equal(len, strlen(text));
    assert_non_null(strstr(text, "  DATA_SENT -> DATA_RECVD [label=\"ALL_ACKED\"];\n"));
}

static void test_accessors(void **state)
{
    struct plx_streams ss = {.arg = &ss, .cfg.is_server = true};
    static const struct {
        uint64_t id;
        bool is_uni, is_local;
    } row[] = {{0, false, false}, {1, false, true},  {2, true, false},
               {3, true, true},   {4, false, false}, {403, true, true}};
    struct plx_stream s = {.streams = &ss, .send = {.acked = 10, .end = 35}};
    int user;
    (void)state;

    for (unsigned i = 0; i < ROWS(row); i++) {
        s.id = row[i].id;
        EXPECT_ROW(i, plx_stream_id(&s) == row[i].id);
        EXPECT_ROW(i, plx_stream_is_uni(&s) == row[i].is_uni);
        EXPECT_ROW(i, plx_stream_is_local(&s) == row[i].is_local);
    }
    assert_int_equal(plx_stream_unsent(&s), 25);
    assert_null(plx_stream_user(&s));
    plx_stream_set_user(&s, &user);
    assert_ptr_equal(plx_stream_user(&s), &user);
    assert_ptr_equal(plx_stream_conn(&s), &ss);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_send_arrows),
        cmocka_unit_test(test_recv_arrows),
        cmocka_unit_test(test_names_and_pictures),
        cmocka_unit_test(test_accessors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
