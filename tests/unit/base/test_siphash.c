// test_siphash.c -- the reference vectors of SipHash-2-4.

#include "base/siphash.h"

#include <string.h>

#include "rows.h"

static void test_reference_vectors(void **state)
{
    // Key 00 01 ... 0f; the input of row n is the n octets 00 01 ... n-1. The last is the paper's own example.
    static const uint64_t row[] = {
        UINT64_C(0x726fdb47dd0e0e31), UINT64_C(0x74f839c593dc67fd), UINT64_C(0x0d6c8009d9a94f5a),
        UINT64_C(0x85676696d7fb7e2d), UINT64_C(0xcf2794e0277187b7), UINT64_C(0x18765564cd99a68d),
        UINT64_C(0xcbc9466e58fee3ce), UINT64_C(0xab0200f58b01d137), UINT64_C(0x93f5f5799a932462),
        UINT64_C(0x9e0082df0ba9e4b0), UINT64_C(0x7a5dbbc594ddb9f3), UINT64_C(0xf4b32f46226bada7),
        UINT64_C(0x751e8fbc860ee5fb), UINT64_C(0x14ea5627c0843d90), UINT64_C(0xf723ca908e7af2ee),
        UINT64_C(0xa129ca6149be45e5),
    };
    uint8_t key[16], text[16];
    (void)state;

    for (unsigned i = 0; i < 16; i++)
        key[i] = text[i] = (uint8_t)i;
    for (unsigned i = 0; i < ROWS(row); i++)
        EXPECT_ROW(i, plx_siphash(key, text, i) == row[i]);
    assert_true(plx_siphash(key, NULL, 0) == row[0]);
}

static void test_every_bit_counts(void **state)
{
    uint8_t key[16] = {1}, text[24] = {2};
    (void)state;

    uint64_t plain = plx_siphash(key, text, sizeof text);
    for (unsigned bit = 0; bit < 8 * sizeof text; bit++) {
        text[bit / 8] ^= (uint8_t)(1u << (bit & 7));
        EXPECT_ROW(bit, plx_siphash(key, text, sizeof text) != plain);
        text[bit / 8] ^= (uint8_t)(1u << (bit & 7));
    }
    for (unsigned bit = 0; bit < 8 * sizeof key; bit++) {
        key[bit / 8] ^= (uint8_t)(1u << (bit & 7));
        EXPECT_ROW(bit, plx_siphash(key, text, sizeof text) != plain);
        key[bit / 8] ^= (uint8_t)(1u << (bit & 7));
    }
    assert_true(plx_siphash(key, text + 1, 16) == plx_siphash(key, text + 1, 16)); // an odd address is fine
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference_vectors),
        cmocka_unit_test(test_every_bit_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
