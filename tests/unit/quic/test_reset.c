// test_reset.c -- stateless resets: sizes, what they look like, and who recognises them.

#include "quic/wire/reset.h"

#include "../base/rows.h"
#include "../crypto/hex.h"

static void test_token_is_a_function_of_key_and_id(void **state)
{
    uint8_t key[PLX_RESET_KEY_LEN] = {1}, other[PLX_RESET_KEY_LEN] = {2};
    struct plx_cid a = {.len = 8, .bytes = "abcdefgh"}, b = {.len = 7, .bytes = "abcdefg"};
    uint8_t t1[PLX_RESET_TOKEN_LEN], t2[PLX_RESET_TOKEN_LEN];
    (void)state;
    plx_reset_token(key, &a, t1);
    plx_reset_token(key, &a, t2);
    assert_memory_equal(t1, t2, sizeof t1);
    plx_reset_token(other, &a, t2);
    assert_memory_not_equal(t1, t2, sizeof t1);
    plx_reset_token(key, &b, t2);
    assert_memory_not_equal(t1, t2, sizeof t1);

    // HMAC pads keys with zeros, so a short key is a key of 32 octets too. Computed with Python's hmac module.
    uint8_t jefe[PLX_RESET_KEY_LEN] = "Jefe", expect[16];
    struct plx_cid what = {.len = 20, .bytes = "what do ya want for "};
    plx_reset_token(jefe, &what, t1);
    assert_int_equal(hex_read("25b3ae6bac316ba80b9fb4922cf4f723", expect, sizeof expect), 16);
    assert_memory_equal(t1, expect, sizeof t1);
}

static void test_sizes(void **state)
{
    static const struct {
        size_t trigger, expect;
    } row[] = {{0, 0},   {20, 0},  {21, 0},  {22, 21},   {30, 29},
               {43, 42}, {44, 43}, {45, 43}, {1200, 43}, {65535, 43}};
    uint8_t token[PLX_RESET_TOKEN_LEN], random[PLX_RESET_LEN_MAX], buf[64];
    (void)state;
    memset(token, 0xaa, sizeof token);
    for (unsigned i = 0; i < ROWS(row); i++) {
        for (unsigned fill = 0; fill < 256; fill += 85) {
            memset(random, (int)fill, sizeof random);
            struct plx_wr w = plx_wr_init(buf, sizeof buf);
            size_t len = plx_reset_write(&w, row[i].trigger, token, random);
            EXPECT_ROW(i, len == row[i].expect && (size_t)(w.p - buf) == len);
            EXPECT_ROW(i, len == 0 || (len < row[i].trigger && len >= PLX_RESET_LEN_MIN));
            EXPECT_ROW(i, len == 0 || (buf[0] & 0xc0) == 0x40); // a short header
            EXPECT_ROW(i, len == 0 || plx_reset_is_match(buf, len, token));
        }
    }
    struct plx_wr w = plx_wr_init(buf, 20);
    assert_int_equal(plx_reset_write(&w, 1200, token, random), 0);
}

static void test_match(void **state)
{
    uint8_t token[PLX_RESET_TOKEN_LEN], random[PLX_RESET_LEN_MAX] = {7}, buf[64];
    struct plx_wr w = plx_wr_init(buf, sizeof buf);
    (void)state;
    memset(token, 0xaa, sizeof token);
    size_t len = plx_reset_write(&w, 100, token, random);
    assert_true(plx_reset_is_match(buf, len, token));
    assert_false(plx_reset_is_match(buf, len - 1, token));
    assert_false(plx_reset_is_match(buf + len - 20, 20, token)); // too short to be one
    assert_true(plx_reset_is_match(buf + len - 21, 21, token));
    for (unsigned bit = 0; bit < 128; bit++) {
        buf[len - 1 - bit / 8] ^= (uint8_t)(1 << bit % 8);
        EXPECT_ROW(bit, !plx_reset_is_match(buf, len, token));
        buf[len - 1 - bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_token_is_a_function_of_key_and_id),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_match),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
