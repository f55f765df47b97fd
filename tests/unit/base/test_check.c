// test_check.c -- the three strengths of assertion.

#include "base/check.h"

#include "rows.h"

static void check_value(void *arg)
{
    plx_check(*(int *)arg == 7);
}

static void debug_value(void *arg)
{
    plx_debug(*(int *)arg == 7);
}

static void test_check_breaks_on_false_only(void **state)
{
    int seven = 7, eight = 8;
    (void)state;

    assert_false(ends_in_check(check_value, &seven));
    assert_true(ends_in_check(check_value, &eight));
}

static void test_debug_follows_the_build(void **state)
{
    int seven = 7, eight = 8;
    (void)state;

    assert_false(ends_in_check(debug_value, &seven));
    assert_int_equal(ends_in_check(debug_value, &eight), PLX_IS_DEBUG);
}

static void test_arguments_are_evaluated_once_or_not_at_all(void **state)
{
    int count = 0;
    (void)state;

    plx_check(++count == 1);
    assert_int_equal(count, 1);
    plx_debug(++count > 0);
    assert_int_equal(count, 1 + PLX_IS_DEBUG);
}

// The message names the expression and the place, for whoever finds it in a log.
static void test_message_names_the_promise(void **state)
{
    int pipe_fd[2], status;
    char text[256];
    (void)state;

    assert_int_equal(pipe(pipe_fd), 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(pipe_fd[1], STDERR_FILENO);
        setrlimit(RLIMIT_CORE, &(struct rlimit){0});
        plx_check_failed("fish > 3", "pond.c", 12);
    }
    close(pipe_fd[1]);
    ssize_t len = read(pipe_fd[0], text, sizeof text - 1);
    close(pipe_fd[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(len > 0);
    text[len] = '\0';
    assert_string_equal(text, "pond.c:12: check failed: fish > 3\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check_breaks_on_false_only),
        cmocka_unit_test(test_debug_follows_the_build),
        cmocka_unit_test(test_arguments_are_evaluated_once_or_not_at_all),
        cmocka_unit_test(test_message_names_the_promise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
