// test_cid.c -- connection IDs: what we issue and take back, what the peer issues and asks back, and the plain codec.

#include "quic/path/cid.h"

#include "../base/rows.h"
#include "quic/path/cidcodec.h"
#include "quic/wire/reset.h"

static const uint8_t reset_key[PLX_RESET_KEY_LEN] = "a key that nobody else has, ever";

static struct plx_cid cid_of(unsigned n)
{
    struct plx_cid cid = {.len = 8};
    memset(cid.bytes, (int)n, 8);
    return cid;
}

// --- ours ------------------------------------------------------------------------------------------------------

// The NEW_CONNECTION_IDs in what was written, as "seq/retire_prior_to ".
static const char *frames_of(const uint8_t *p, size_t len, char text[128])
{
    struct plx_rd r = plx_rd_init(p, len);
    struct plx_frame f;

    text[0] = '\0';
    while (plx_rd_left(&r) > 0) {
        size_t at = strlen(text);
        assert_int_equal(plx_frame_read(&r, &f), PLX_FRAME_OK);
        if (f.type == PLX_FRAME_NEW_CONNECTION_ID) {
            uint8_t token[PLX_RESET_TOKEN_LEN];
            plx_reset_token(reset_key, &f.new_connection_id.cid, token);
            assert_memory_equal(token, f.new_connection_id.token, sizeof token);
            snprintf(text + at, 128 - at, "%u/%u ", (unsigned)f.new_connection_id.seq,
                     (unsigned)f.new_connection_id.retire_prior_to);
        } else {
            assert_int_equal(f.type, PLX_FRAME_RETIRE_CONNECTION_ID);
            snprintf(text + at, 128 - at, "%u ", (unsigned)f.retire_connection_id.seq);
        }
    }
    return text;
}

static const char *local_write(struct plx_cids_local *l, size_t cap, char text[128])
{
    uint8_t buf[512];
    struct plx_wr w = plx_wr_init(buf, cap);
    struct plx_refs refs = {.count = 0};
    plx_cids_local_write(l, &w, &refs, reset_key);
    plx_cids_local_verify(l);
    return frames_of(buf, (size_t)(w.p - buf), text);
}

static void test_local_issue(void **state)
{
    struct plx_cids_local l;
    struct plx_cid first = cid_of(0), cid;
    char text[128];
    (void)state;
    plx_cids_local_init(&l, &first);
    plx_cids_local_verify(&l);
    assert_int_equal(plx_cids_local_room(&l), 1); // the default limit is 2
    plx_cids_local_set_limit(&l, 4);
    assert_int_equal(plx_cids_local_room(&l), 3);
    for (unsigned i = 1; i < 4; i++) {
        cid = cid_of(i);
        assert_true(plx_cids_local_add(&l, &cid));
    }
    cid = cid_of(9);
    assert_false(plx_cids_local_add(&l, &cid));
    assert_int_equal(plx_cids_local_find(&l, first.bytes, 8), 0);
    cid = cid_of(3);
    assert_int_equal(plx_cids_local_find(&l, cid.bytes, 8), 3);
    assert_true(plx_cids_local_find(&l, cid.bytes, 7) == PLX_CID_SEQ_NONE);

    assert_true(plx_cids_local_wants_write(&l));
    assert_string_equal(local_write(&l, 70, text), "1/0 2/0 "); // as many as fit
    assert_string_equal(local_write(&l, 512, text), "3/0 ");
    assert_false(plx_cids_local_wants_write(&l));
    plx_cids_local_on_acked(&l, 1);
    plx_cids_local_on_lost(&l, 2);
    plx_cids_local_on_lost(&l, 1); // known already: a late loss changes nothing
    assert_string_equal(local_write(&l, 512, text), "2/0 ");
    plx_cids_local_set_limit(&l, UINT64_MAX);
    assert_int_equal(plx_cids_local_room(&l), PLX_CIDS_LOCAL_MAX - 1 - 4);
}

static void test_local_retire(void **state)
{
    struct plx_cids_local l;
    struct plx_cid first = cid_of(0), cid = cid_of(1), retired;
    bool has;
    char text[128];
    (void)state;
    plx_cids_local_init(&l, &first);
    assert_true(plx_cids_local_add(&l, &cid));
    assert_int_equal(plx_cids_local_on_retire(&l, 1, &first, &retired, &has),
                     PLX_QUIC_PROTOCOL_VIOLATION); // never told
    local_write(&l, 512, text);
    assert_int_equal(plx_cids_local_on_retire(&l, 2, &first, &retired, &has), PLX_QUIC_PROTOCOL_VIOLATION);
    assert_int_equal(plx_cids_local_on_retire(&l, 1, &cid, &retired, &has),
                     PLX_QUIC_PROTOCOL_VIOLATION); // it came to that one
    assert_int_equal(plx_cids_local_on_retire(&l, 0, &cid, &retired, &has), 0);
    assert_true(has && plx_cid_eq(&retired, &first));
    assert_int_equal(plx_cids_local_on_retire(&l, 0, &cid, &retired, &has),
                     0); // again: as if nothing had been said
    assert_false(has);
    assert_true(plx_cids_local_find(&l, first.bytes, 8) == PLX_CID_SEQ_NONE);
    assert_int_equal(plx_cids_local_room(&l), 1);
    plx_cids_local_on_lost(&l, 0); // of one that is gone
    plx_cids_local_on_acked(&l, 0);
    plx_cids_local_verify(&l);
}

static void test_local_rotate(void **state)
{
    struct plx_cids_local l;
    struct plx_cid first = cid_of(0), cid, retired;
    bool has;
    char text[128];
    (void)state;
    plx_cids_local_init(&l, &first);
    plx_cids_local_set_limit(&l, 3);
    for (unsigned i = 1; i < 3; i++) {
        cid = cid_of(i);
        assert_true(plx_cids_local_add(&l, &cid));
    }
    local_write(&l, 512, text);
    assert_int_equal(plx_cids_local_room(&l), 0);
    assert_true(plx_cids_local_rotate(&l));
    assert_int_equal(plx_cids_local_room(&l), 3); // those asked back do not count
    for (unsigned i = 3; i < 6; i++) {
        cid = cid_of(i);
        assert_true(plx_cids_local_add(&l, &cid));
    }
    assert_string_equal(local_write(&l, 512, text), "3/3 4/3 5/3 ");
    assert_false(plx_cids_local_rotate(&l));                      // first the answer
    assert_int_equal(plx_cids_local_find(&l, first.bytes, 8), 0); // still ours until then
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(plx_cids_local_on_retire(&l, i, &cid, &retired, &has), 0);
    assert_true(plx_cids_local_rotate(&l));
    plx_cids_local_verify(&l);
}

static void test_preferred_address_takes_number_one(void **state)
{
    struct plx_cids_local l;
    struct plx_cid first = cid_of(0), preferred = cid_of(1), next = cid_of(2);
    char text[128];
    (void)state;
    plx_cids_local_init(&l, &first);
    assert_true(plx_cids_local_add_known(&l, &preferred));
    plx_cids_local_set_limit(&l, 3);
    assert_true(plx_cids_local_add(&l, &next));
    assert_string_equal(local_write(&l, 512, text), "2/0 ");
}

// --- the peer's ------------------------------------------------------------------------------------------------

static uint64_t on_new(struct plx_cids_peer *p, uint64_t seq, uint64_t retire, unsigned cid, unsigned token)
{
    struct plx_frame_new_connection_id f = {.seq = seq, .retire_prior_to = retire, .cid = cid_of(cid)};
    memset(f.token, (int)token, sizeof f.token);
    uint64_t error = plx_cids_peer_on_new(p, &f);
    if (error == 0)
        plx_cids_peer_verify(p);
    return error;
}

static const char *peer_write(struct plx_cids_peer *p, char text[128])
{
    uint8_t buf[512];
    struct plx_wr w = plx_wr_init(buf, sizeof buf);
    struct plx_refs refs = {.count = 0};
    plx_cids_peer_write(p, &w, &refs);
    plx_cids_peer_verify(p);
    return frames_of(buf, (size_t)(w.p - buf), text);
}

// A row is one NEW_CONNECTION_ID on top of: limit 3, numbers 0 (in use) to 2, tokens equal to the ID.
static void test_peer_rules(void **state)
{
    static const struct {
        uint64_t seq, retire;
        unsigned cid, token;
        uint64_t error;
        const char *retired; // what is sent afterwards
    } row[] = {
        {1, 0, 1, 1, 0, ""},                                  // the same again
        {1, 0, 9, 1, PLX_QUIC_PROTOCOL_VIOLATION, ""},        // another ID under a known number
        {1, 0, 1, 9, PLX_QUIC_PROTOCOL_VIOLATION, ""},        // another token
        {3, 0, 1, 1, PLX_QUIC_PROTOCOL_VIOLATION, ""},        // a known ID under another number
        {3, 0, 3, 3, PLX_QUIC_CONNECTION_ID_LIMIT_ERROR, ""}, // a fourth
        {3, 1, 3, 3, 0, ""},                                  // asks 0 back, which is in use
        {3, 2, 3, 3, 0, "1 "},                                //
        {3, 3, 3, 3, 0, "1 2 "},                              //
        {3, 4, 3, 3, PLX_QUIC_FRAME_ENCODING_ERROR, ""},      //
        {50, 50, 50, 50, 0, "1 2 "},                          // numbers may be skipped
        {1, 1, 1, 1, 0, ""},                                  // an old frame with news: 0 is asked back
    };
    char text[128];
    (void)state;
    for (unsigned i = 0; i < ROWS(row); i++) {
        struct plx_cids_peer p;
        struct plx_cid first = cid_of(0);
        plx_cids_peer_init(&p, &first, 3);
        EXPECT_ROW(i, on_new(&p, 1, 0, 1, 1) == 0 && on_new(&p, 2, 0, 2, 2) == 0);
        EXPECT_ROW(i, on_new(&p, row[i].seq, row[i].retire, row[i].cid, row[i].token) == row[i].error);
        if (row[i].error == 0)
            EXPECT_ROW(i, strcmp(peer_write(&p, text), row[i].retired) == 0);
    }
}

static void test_peer_late_frames(void **state)
{
    struct plx_cids_peer p;
    struct plx_cid first = cid_of(0);
    char text[128];
    (void)state;
    plx_cids_peer_init(&p, &first, 4);
    assert_int_equal(on_new(&p, 5, 3, 5, 5), 0); // 1 to 4 come later
    assert_int_equal(on_new(&p, 2, 0, 2, 2), 0); // already asked back: retired at once
    assert_string_equal(peer_write(&p, text), "2 ");
    assert_int_equal(on_new(&p, 2, 0, 2, 2), 0); // a repetition
    assert_string_equal(peer_write(&p, text), "");
    plx_cids_peer_on_lost(&p, 2);
    assert_true(plx_cids_peer_wants_write(&p));
    assert_string_equal(peer_write(&p, text), "2 ");
    plx_cids_peer_on_acked(&p, 2);
    plx_cids_peer_on_lost(&p, 2); // too late
    assert_int_equal(on_new(&p, 2, 0, 2, 2), 0);
    assert_string_equal(peer_write(&p, text), "");

    assert_true(plx_cids_peer_is_stale(&p, 0));
    const struct plx_cid_peer *c = plx_cids_peer_replace(&p, 0);
    assert_non_null(c);
    assert_int_equal(c->seq, 5);
    assert_string_equal(peer_write(&p, text), "0 ");
    assert_null(plx_cids_peer_replace(&p, 5)); // no other
    assert_non_null(plx_cids_peer_get(&p, 5));
    assert_int_equal(on_new(&p, 0, 0, 0, 0), 0); // the first one does not come back either
    assert_false(plx_cids_peer_has_unused(&p));
}

static void test_peer_use(void **state)
{
    struct plx_cids_peer p;
    struct plx_cid first = cid_of(0);
    char text[128];
    (void)state;
    plx_cids_peer_init(&p, &first, 100);
    assert_int_equal(p.limit, PLX_CIDS_PEER_MAX);
    assert_null(plx_cids_peer_take(&p));
    assert_int_equal(on_new(&p, 2, 0, 2, 2), 0);
    assert_int_equal(on_new(&p, 1, 0, 1, 1), 0);
    assert_true(plx_cids_peer_has_unused(&p));
    assert_int_equal(plx_cids_peer_take(&p)->seq, 1); // the lowest first
    assert_int_equal(plx_cids_peer_take(&p)->seq, 2);
    assert_null(plx_cids_peer_take(&p));
    plx_cids_peer_drop(&p, 1);
    plx_cids_peer_drop(&p, 1); // gone already
    assert_null(plx_cids_peer_get(&p, 1));
    assert_string_equal(peer_write(&p, text), "1 ");
    assert_int_equal(on_new(&p, 1, 0, 1, 1), 0); // a late repetition must not bring it back
    assert_null(plx_cids_peer_get(&p, 1));
}

static void test_peer_retires_without_end(void **state)
{
    struct plx_cids_peer p;
    struct plx_cid first = cid_of(0);
    uint64_t seq = 1;
    (void)state;
    plx_cids_peer_init(&p, &first, 2);
    while (on_new(&p, seq, seq, (unsigned)seq, (unsigned)seq) == 0 && seq < 1000) // and never acknowledges
        seq++;
    assert_int_equal(seq, PLX_CIDS_RETIRED_MAX + 1);
}

static void test_peer_empty(void **state)
{
    struct plx_cids_peer p;
    struct plx_cid first = {.len = 0}, server = cid_of(7);
    (void)state;
    plx_cids_peer_init(&p, &first, 4);
    assert_int_equal(on_new(&p, 1, 0, 1, 1), PLX_QUIC_PROTOCOL_VIOLATION);
    assert_int_equal(plx_cids_peer_take(&p)->seq, 0); // every path uses it
    assert_int_equal(plx_cids_peer_replace(&p, 0)->seq, 0);
    plx_cids_peer_drop(&p, 0);
    assert_non_null(plx_cids_peer_get(&p, 0));
    assert_false(plx_cids_peer_is_stale(&p, 0));
    plx_cids_peer_verify(&p);
    plx_cids_peer_set_first(&p, &server);
    assert_int_equal(on_new(&p, 1, 0, 1, 1), 0);
    assert_true(plx_cid_eq(&plx_cids_peer_get(&p, 0)->cid, &server));
}

static void test_peer_reset(void **state)
{
    struct plx_cids_peer p;
    struct plx_cid first = cid_of(0);
    uint8_t dgram[40], token[PLX_RESET_TOKEN_LEN];
    (void)state;
    plx_cids_peer_init(&p, &first, 4);
    memset(dgram, 0, sizeof dgram);
    assert_false(plx_cids_peer_is_reset(&p, dgram, sizeof dgram)); // zeros are no token when there is none
    memset(token, 0x11, sizeof token);
    plx_cids_peer_set_first_token(&p, token);
    assert_int_equal(on_new(&p, 1, 0, 1, 0x22), 0);
    memset(dgram + 24, 0x11, 16);
    assert_true(plx_cids_peer_is_reset(&p, dgram, sizeof dgram));
    memset(dgram + 24, 0x22, 16);
    assert_false(plx_cids_peer_is_reset(&p, dgram, sizeof dgram)); // not in use: must not be looked at
    assert_non_null(plx_cids_peer_take(&p));
    assert_true(plx_cids_peer_is_reset(&p, dgram, sizeof dgram));
    plx_cids_peer_drop(&p, 1);
    assert_false(plx_cids_peer_is_reset(&p, dgram, sizeof dgram)); // retired
}

// --- codec -----------------------------------------------------------------------------------------------------

static void test_plain_codec(void **state)
{
    uint8_t random[PLX_CID_MAX];
    (void)state;
    memset(random, 0xee, sizeof random);
    for (unsigned core = 0; core < PLX_CID_CORES_MAX; core++) {
        for (uint8_t epoch = 0; epoch < 2; epoch++) {
            struct plx_cid_codec c;
            struct plx_cid_where where;
            struct plx_cid cid;
            plx_cid_codec_init_plain(&c, 8, epoch);
            plx_cid_make(&c, (uint8_t)core, random, &cid);
            EXPECT_ROW(core, cid.len == 8 && cid.bytes[0] == (epoch << 7 | core) && cid.bytes[7] == 0xee &&
                                 cid.bytes[8] == 0);
            EXPECT_ROW(core, c.ops->read(&c, cid.bytes, cid.len, &where) && where.core == core &&
                                 where.epoch == epoch);
            EXPECT_ROW(core, !c.ops->read(&c, cid.bytes, 7, &where));
            EXPECT_ROW(core, !c.ops->read(&c, cid.bytes, 9, &where));
            EXPECT_ROW(core, !c.ops->read(&c, cid.bytes, 0, &where));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_local_issue),  cmocka_unit_test(test_local_retire),
        cmocka_unit_test(test_local_rotate), cmocka_unit_test(test_preferred_address_takes_number_one),
        cmocka_unit_test(test_peer_rules),   cmocka_unit_test(test_peer_late_frames),
        cmocka_unit_test(test_peer_use),     cmocka_unit_test(test_peer_retires_without_end),
        cmocka_unit_test(test_peer_empty),   cmocka_unit_test(test_peer_reset),
        cmocka_unit_test(test_plain_codec),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
