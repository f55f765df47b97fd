// test_err.c -- every error has words of its own.

#include <string.h>

#include "plx/types.h"
#include "rows.h"

static void test_every_error_has_its_own_words(void **state)
{
    static const enum plx_err row[] = {PLX_OK,          PLX_ERR_AGAIN, PLX_ERR_CLOSED,
                                       PLX_ERR_INVALID, PLX_ERR_NOMEM, PLX_ERR_SYSTEM};
    (void)state;

    for (unsigned i = 0; i < ROWS(row); i++) {
        EXPECT_ROW(i, plx_err_str(row[i]) != NULL);
        EXPECT_ROW(i, strcmp(plx_err_str(row[i]), "unknown error") != 0);
        for (unsigned j = 0; j < i; j++)
            EXPECT_ROW(i, strcmp(plx_err_str(row[i]), plx_err_str(row[j])) != 0);
    }
    assert_string_equal(plx_err_str((enum plx_err)99), "unknown error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_error_has_its_own_words)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
