// test_early.c -- HTTP/3 before the handshake is complete: what may be asked and answered, and whose settings hold.

#include "array.h"
#include "app.h"

#include <string.h>

#include "../base/rows.h"
#include "h3/conn_int.h"

static struct world w;
static struct app a;

static const struct {
    const char *method;
    bool is_safe;
} row[] = {
    {"GET", true},     {"HEAD", true},   {"OPTIONS", true}, {"POST", false},  {"PUT", false},
    {"DELETE", false}, {"PATCH", false}, {"get", false},    {"TRACE", false}, {"QUERY", false},
};

// A server's program sees what is safe; the rest is told to come again, and may.
static void test_server(void **state)
{
    (void)state;
    world_init(&w, 1, 0, NULL, &app_client, &app_server);
    app_init(&a);
    plx_h3_conn_early(w.side[SERVER].conn, NULL, 0);
    for (unsigned i = 0; i < ROWS(row); i++)
        EXPECT_ROW(i, app_get(w.side[CLIENT].conn, i, row[i].method, "/never", 0) == PLX_OK);
    world_run(&w, 100000);
    unsigned safe = 0;
    for (unsigned i = 0; i < ROWS(row); i++) {
        safe += row[i].is_safe;
        EXPECT_ROW(i, a.client[i].status == (row[i].is_safe ? 0 : 425));
        EXPECT_ROW(i, a.client[i].closes == !row[i].is_safe &&
                          a.client[i].code == (row[i].is_safe ? 0 : PLX_H3_NO_ERROR));
    }
    assert_int_equal(a.server_count, safe);
    for (unsigned i = 0; i < a.server_count; i++)
        assert_true(plx_h3_req_is_early(a.server[i].req));
    plx_h3_conn_complete(w.side[SERVER].conn, true);
    assert_int_equal(app_get(w.side[CLIENT].conn, 20, "POST", "/never", 10), PLX_OK);
    world_run(&w, 100000);
    assert_int_equal(a.server_count, safe + 1);
    assert_false(plx_h3_req_is_early(a.server[safe].req));
    world_fini(&w, PLX_H3_NO_ERROR);
    app_fini(&a);
}

// A client does not send what is not safe, nor bodies, before it is open.
static void test_client(void **state)
{
    (void)state;
    struct plx_h3_req *req;
    world_init(&w, 2, 0, NULL, &app_client, &app_server);
    app_init(&a);
    struct plx_h3_conn *c = w.side[CLIENT].conn;
    plx_h3_conn_early(c, NULL, 0);
    for (unsigned pass = 0; pass < 2; pass++) {
        for (unsigned i = 0; i < ROWS(row); i++) {
            const struct plx_h3_head head = {
                .method = {(const uint8_t *)row[i].method, strlen(row[i].method)},
                .scheme = SPAN("https"),
                .authority = SPAN("test"),
                .path = SPAN("/never"),
                .content_length = PLX_H3_LENGTH_UNKNOWN};
            bool may = pass > 0 || row[i].is_safe;
            struct plx_h3_block *block = plx_h3_block_new_request(&head, (struct plx_buf){NULL, 0, NULL});
            EXPECT_ROW(i,
                       plx_h3_request(c, &head, false, &a.client[i], &req) == (may ? PLX_OK : PLX_ERR_AGAIN));
            if (may)
                plx_h3_cancel(req, PLX_H3_REQUEST_CANCELLED);
            EXPECT_ROW(i,
                       plx_h3_request_block(c, block, &a.client[i], &req) == (may ? PLX_OK : PLX_ERR_AGAIN));
            if (may)
                plx_h3_cancel(req, PLX_H3_REQUEST_CANCELLED);
            plx_h3_block_free(block);
            if (pass == 0)
                EXPECT_ROW(i, plx_h3_request(c, &head, true, &a.client[i], &req) == PLX_ERR_AGAIN);
        }
        plx_h3_conn_complete(c, true);
    }
    world_fini(&w, PLX_H3_NO_ERROR);
    app_fini(&a);
}

static uint8_t remembered[64];
static size_t remembered_len;

static void remember(const struct plx_h3_cfg *cfg)
{
    remembered_len = plx_h3_cfg_remember(cfg, true, remembered, sizeof remembered);
    assert_true(remembered_len > 0 && remembered_len <= 48);
}

// The server's settings against those that were remembered: accepted early data relies on them, refused does not.
static void test_settings(void **state)
{
    static const struct {
        struct plx_h3_cfg then;
        bool is_kept;
    } settings[] = {
        {{.field_section_max = 16384, .qpack_table_max = 4096, .qpack_blocked_max = 16}, true},
        {{.field_section_max = 16383, .qpack_table_max = 4096, .qpack_blocked_max = 16}, true},
        {{.field_section_max = 16384, .qpack_table_max = 1000, .qpack_blocked_max = 3}, true},
        {{.field_section_max = 16385, .qpack_table_max = 4096, .qpack_blocked_max = 16}, false},
        {{.field_section_max = 16384, .qpack_table_max = 4097, .qpack_blocked_max = 16}, false},
        {{.field_section_max = 16384, .qpack_table_max = 4096, .qpack_blocked_max = 17}, false},
        {{.field_section_max = 16384,
          .qpack_table_max = 4096,
          .qpack_blocked_max = 16,
          .connect_protocol = true},
         false},
    };
    (void)state;
    for (unsigned i = 0; i < ROWS(settings); i++)
        for (unsigned accepted = 0; accepted < 2; accepted++) {
            struct plx_h3_cfg now = {
                .field_section_max = 16384, .qpack_table_max = 4096, .qpack_blocked_max = 16};
            remember(&settings[i].then);
            world_init(&w, 3 + i, 1, &now, &app_client, &app_server);
            app_init(&a);
            struct plx_h3_conn *c = w.side[CLIENT].conn;
            plx_h3_conn_early(c, remembered, remembered_len);
            EXPECT_ROW(i, c->peer.value[PLX_SETTING_MAX_FIELD_SECTION_SIZE] ==
                              settings[i].then.field_section_max);
            uint8_t again[64];
            assert_int_equal(plx_h3_conn_remember(c, again, sizeof again),
                             0); // nothing is known of this server yet
            plx_h3_conn_complete(c, accepted);
            world_run(&w, 100000);
            bool is_fine = settings[i].is_kept || !accepted;
            EXPECT_ROW(i, w.side[CLIENT].is_closed == !is_fine);
            EXPECT_ROW(i, is_fine || w.side[CLIENT].close_code == PLX_H3_SETTINGS_ERROR);
            if (is_fine) {
                remember(&now);
                EXPECT_ROW(i, plx_h3_conn_remember(c, again, sizeof again) == remembered_len &&
                                  memcmp(again, remembered, remembered_len) == 0);
            }
            world_fini(&w, PLX_H3_NO_ERROR);
            app_fini(&a);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_server),
        cmocka_unit_test(test_client),
        cmocka_unit_test(test_settings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
