// fuzz_huffman.c -- whatever decodes encodes to the same octets again: the code is a bijection on valid input.

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "h3/huffman.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    size_t cap = len * 8 / 5, out_len, again;
    uint8_t *out = malloc(cap + 1), *back = malloc(len + 1);

    plx_check(out != NULL && back != NULL);
    if (plx_huffman_decode(data, len, out, cap, &out_len) == PLX_HUFFMAN_OK) {
        plx_check(plx_huffman_len(out, out_len) == len);
        plx_check(plx_huffman_encode(out, out_len, back) == len);
        plx_check(memcmp(back, data, len) == 0);
        uint8_t *exact = malloc(out_len > 0 ? out_len : 1);
        plx_check(plx_huffman_decode(data, len, exact, out_len, &again) == PLX_HUFFMAN_OK);
        plx_check(again == out_len && memcmp(exact, out, out_len) == 0);
        if (out_len > 0)
            plx_check(plx_huffman_decode(data, len, exact, out_len - 1, &again) == PLX_HUFFMAN_NO_ROOM);
        free(exact);
    }
    // The other way around every string is valid.
    size_t coded_len = plx_huffman_len(data, len);
    uint8_t *coded = malloc(coded_len + 1), *plain = malloc(len + 1);
    plx_check(plx_huffman_encode(data, len, coded) == coded_len);
    plx_check(plx_huffman_decode(coded, coded_len, plain, len, &again) == PLX_HUFFMAN_OK);
    plx_check(again == len && memcmp(plain, data, len) == 0);
    free(coded);
    free(plain);
    free(out);
    free(back);
    return 0;
}
