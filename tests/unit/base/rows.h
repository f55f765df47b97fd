// rows.h -- what the unit tests of this folder share: rows that name themselves, and promises that must break.

#ifndef PLX_TESTS_UNIT_BASE_ROWS_H
#define PLX_TESTS_UNIT_BASE_ROWS_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define ROWS(table) (sizeof(table) / sizeof *(table))

// Fails the test and says in which row of its table.
#define EXPECT_ROW(row, x)                                                          \
    do {                                                                            \
        if (!(x))                                                                   \
            fail_msg("%s:%d: row %u: %s", __FILE__, __LINE__, (unsigned)(row), #x); \
    } while (0)

// Whether fn(arg) ends in plx_check_failed(): run in a child, which nobody hears.
static inline bool ends_in_check(void (*fn)(void *arg), void *arg)
{
    int status;

    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        close(STDERR_FILENO);
        setrlimit(RLIMIT_CORE, &(struct rlimit){0}); // and which leaves nothing behind
        fn(arg);
        _exit(0);
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

#endif
