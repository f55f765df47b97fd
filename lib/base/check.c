// check.c -- where a broken invariant ends.
//
// The message goes out with one write and without stdio's locks, so that it also appears when the thread that
// failed holds one. abort() leaves a core file and is what fuzzers and sanitizers wait for.

#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void plx_check_failed(const char *expr, const char *file, int line)
{
    char text[512];
    int len = snprintf(text, sizeof text, "%s:%d: check failed: %s\n", file, line, expr);

    if (len > (int)sizeof text - 1)
        len = (int)sizeof text - 1;
    if (len > 0 && write(STDERR_FILENO, text, (size_t)len) < 0)
        abort(); // nobody to tell: the core file tells it
    abort();
}
