// scratch.h -- the file that a test of this folder writes and has read: set up and torn down with its group.

#ifndef PLX_TESTS_UNIT_LOAD_SCRATCH_H
#define PLX_TESTS_UNIT_LOAD_SCRATCH_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char path[] = P_tmpdir "/plx-test-load-XXXXXX";

static inline int scratch_make(void **state)
{
    int fd = mkstemp(path);

    (void)state;
    return fd < 0 ? -1 : close(fd);
}

static inline int scratch_remove(void **state)
{
    (void)state;
    return unlink(path);
}

static inline void scratch_write(const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

#endif
