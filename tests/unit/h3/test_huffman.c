// test_huffman.c -- the string code against a decoder that reads bit by bit, on every symbol and on random strings.

#include "h3/huffman.h"

#include <string.h>

#include "../base/rows.h"
#include "array.h"

static const uint8_t lens[257] = {
#define X(sym, bits) [sym] = bits,
#include "h3/huffman.def"
#undef X
};

static uint64_t seed = 1;

static uint64_t rnd(void)
{
    return xorshift(&seed);
}

// The plain second opinion: counts up canonical codes until the bits match one.
static int slow_symbol(uint32_t code, unsigned bits)
{
    uint32_t next = 0;
    for (unsigned n = 1; n <= 30; n++) {
        next <<= 1;
        for (int sym = 0; sym < 257; sym++) {
            if (lens[sym] != n)
                continue;
            if (n == bits && next == code)
                return sym;
            next++;
        }
    }
    return -1;
}

static bool slow_decode(const uint8_t *p, size_t len, uint8_t *out, size_t *out_len)
{
    uint32_t code = 0;
    unsigned bits = 0;

    *out_len = 0;
    for (size_t i = 0; i < len * 8; i++) {
        code = code << 1 | (p[i / 8] >> (7 - i % 8) & 1);
        bits++;
        int sym = bits >= 5 ? slow_symbol(code, bits) : -1;
        if (sym == 256 || bits > 30)
            return false;
        if (sym >= 0) {
            out[(*out_len)++] = (uint8_t)sym;
            code = 0;
            bits = 0;
        }
    }
    return bits < 8 && code == (1u << bits) - 1;
}

static void test_every_symbol(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        for (size_t n = 1; n < 20; n++) {
            uint8_t in[20], coded[128], out[20];
            size_t out_len;
            memset(in, (int)c, sizeof in);
            size_t len = plx_huffman_encode(in, n, coded);
            EXPECT_ROW(c, len == (n * lens[c] + 7) / 8 && len == plx_huffman_len(in, n));
            EXPECT_ROW(c, plx_huffman_decode(coded, len, out, n, &out_len) == PLX_HUFFMAN_OK);
            EXPECT_ROW(c, out_len == n && memcmp(in, out, n) == 0);
            EXPECT_ROW(c, plx_huffman_decode(coded, len, out, n - 1, &out_len) == PLX_HUFFMAN_NO_ROOM);
        }
    }
}

// RFC 7541 Appendix C.
static void test_known(void **state)
{
    static const struct {
        const char *text, *coded;
    } row[] = {
        {"www.example.com", "\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff"},
        {"no-cache", "\xa8\xeb\x10\x64\x9c\xbf"},
        {"custom-key", "\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f"},
        {"custom-value", "\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf"},
        {"302", "\x64\x02"},
        {"private", "\xae\xc3\x77\x1a\x4b"},
    };
    (void)state;
    for (unsigned i = 0; i < ROWS(row); i++) {
        uint8_t coded[64];
        size_t len = plx_huffman_encode((const uint8_t *)row[i].text, strlen(row[i].text), coded);
        EXPECT_ROW(i, len == strlen(row[i].coded) && memcmp(coded, row[i].coded, len) == 0);
    }
}

static void test_bad(void **state)
{
    static const struct {
        const char *coded;
        size_t len;
        enum plx_huffman want;
    } row[] = {
        {"", 0, PLX_HUFFMAN_OK},
        {"\xff", 1, PLX_HUFFMAN_INVALID},             // eight bits of padding
        {"\x07", 1, PLX_HUFFMAN_OK},                  // '0' and three ones
        {"\x06", 1, PLX_HUFFMAN_INVALID},             // padding that is not all ones
        {"\x00", 1, PLX_HUFFMAN_INVALID},             // padding of zeros
        {"\x07\xff", 2, PLX_HUFFMAN_INVALID},         // padding of eleven bits
        {"\xff\xff\xff\xff", 4, PLX_HUFFMAN_INVALID}, // the end-of-string symbol
        {"\xff\xff\xff\xfc", 4, PLX_HUFFMAN_INVALID}, // its thirty bits, then zeros
        {"\xff\xff\xff\xf3", 4, PLX_HUFFMAN_OK},      // code of 10, padded by two ones
        {"\xff\xff\xff", 3, PLX_HUFFMAN_INVALID},     // a long code, cut
    };
    (void)state;
    for (unsigned i = 0; i < ROWS(row); i++) {
        uint8_t out[16];
        size_t out_len;
        EXPECT_ROW(i, plx_huffman_decode((const uint8_t *)row[i].coded, row[i].len, out, sizeof out,
                                         &out_len) == row[i].want);
    }
}

static void test_against_slow(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 3000; round++) {
        uint8_t in[64], text[64], out[128], slow[128];
        size_t len = rnd() % 40, out_len, slow_len;
        for (size_t i = 0; i < len; i++)
            text[i] = (uint8_t)(round % 3 == 0 ? rnd() : round % 3 == 1 ? 'a' + rnd() % 26 : rnd() % 64 + 64);
        if (round % 2)
            len = plx_huffman_encode(text, len / 4, in);
        else
            memcpy(in, text, len);
        if (len > 0 && round % 5 == 0)
            in[rnd() % len] ^= (uint8_t)(1 << rnd() % 8);
        bool is_valid = slow_decode(in, len, slow, &slow_len);
        enum plx_huffman got = plx_huffman_decode(in, len, out, sizeof out, &out_len);
        EXPECT_ROW(round, (got == PLX_HUFFMAN_OK) == is_valid);
        if (is_valid)
            EXPECT_ROW(round, out_len == slow_len && memcmp(out, slow, out_len) == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_symbol),
        cmocka_unit_test(test_known),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_against_slow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
