// hex.h -- vectors as text. Test programs only.

#ifndef PLX_TEST_HEX_H
#define PLX_TEST_HEX_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

// Hexadecimal digits, blanks ignored, into out. Returns the number of octets; aborts on anything else.
static inline size_t hex_read(const char *text, uint8_t *out, size_t max)
{
    size_t digits = 0;
    for (; *text != '\0'; text++) {
        if (*text == ' ')
            continue;
        int v = *text >= '0' && *text <= '9'   ? *text - '0'
                : *text >= 'a' && *text <= 'f' ? *text - 'a' + 10
                                               : -1;
        if (v < 0 || digits / 2 >= max)
            abort();
        out[digits / 2] = (uint8_t)(digits % 2 ? out[digits / 2] << 4 | v : v);
        digits++;
    }
    if (digits % 2)
        abort();
    return digits / 2;
}

#endif
