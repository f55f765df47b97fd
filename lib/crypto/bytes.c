// bytes.c -- secrets as bytes: forgetting them, comparing them, and making new ones.

#include "crypto/keys.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

void plx_bytes_wipe(void *p, size_t len)
{
    explicit_bzero(p, len);
}

void plx_secret_wipe(struct plx_secret *s)
{
    explicit_bzero(s, sizeof *s);
}

bool plx_bytes_equal(const void *a, const void *b, size_t len)
{
    const volatile uint8_t *x = a, *y = b; // volatile: no early exit may be invented
    uint8_t differ = 0;
    for (size_t i = 0; i < len; i++)
        differ |= x[i] ^ y[i];
    return differ == 0;
}

bool plx_random_bytes(void *p, size_t len)
{
    uint8_t *at = p;
    while (len > 0) {
        ssize_t got = getrandom(at, len, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        at += got;
        len -= (size_t)got;
    }
    return true;
}
