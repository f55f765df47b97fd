// test_log.c -- levels, cut lines, hostile bytes, and the limit.

#include "base/log.h"

#include <string.h>

#include "rows.h"

#define AT(x) ((plx_time){(x)})

struct heard {
    unsigned count;
    enum plx_log_level level;
    char line[PLX_LOG_LINE_MAX * 2];
    char before[PLX_LOG_LINE_MAX * 2];
};

static void hear(void *arg, enum plx_log_level level, const char *line)
{
    struct heard *h = arg;

    h->count++;
    h->level = level;
    memcpy(h->before, h->line, sizeof h->before);
    snprintf(h->line, sizeof h->line, "%s", line);
}

static void test_levels(void **state)
{
    static const enum plx_log_level all[] = {PLX_LOG_ERROR, PLX_LOG_WARN, PLX_LOG_INFO, PLX_LOG_DEBUG};
    (void)state;

    for (unsigned limit = 0; limit < ROWS(all); limit++) {
        struct heard h = {0};
        struct plx_log log;
        int evaluated = 0;
        plx_log_init(&log, all[limit], hear, &h);
        for (unsigned i = 0; i < ROWS(all); i++) {
            unsigned before = h.count;
            plx_log(&log, all[i], "%s number %d", "line", ++evaluated);
            EXPECT_ROW(i, h.count == before + (i <= limit));
            plx_log_write(&log, all[i], "again");
            EXPECT_ROW(i, h.count == before + 2 * (i <= limit));
            if (i <= limit)
                EXPECT_ROW(i, h.level == all[i] && strcmp(h.line, "again") == 0);
        }
        assert_int_equal(evaluated, limit + 1); // what is off is not even evaluated
    }
    plx_log(NULL, PLX_LOG_ERROR, "nobody listens");
    plx_log_write(NULL, PLX_LOG_ERROR, "nobody listens");
}

static void test_lines(void **state)
{
    struct heard h = {0};
    struct plx_log log;
    char text[3 * PLX_LOG_LINE_MAX];
    (void)state;

    plx_log_init(&log, PLX_LOG_INFO, hear, &h);
    plx_log(&log, PLX_LOG_INFO, "bad\nname\x1b[31m \x7f %s", "caf\xc3\xa9");
    assert_string_equal(h.line, "bad?name?[31m ? caf\xc3\xa9");

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    plx_log(&log, PLX_LOG_INFO, "%s", text);
    assert_int_equal(strlen(h.line), PLX_LOG_LINE_MAX - 1);
    assert_string_equal(h.line + PLX_LOG_LINE_MAX - 5, "x...");
    text[PLX_LOG_LINE_MAX - 1] = '\0'; // just fits
    plx_log(&log, PLX_LOG_INFO, "%s", text);
    assert_string_equal(h.line, text);
}

static void test_names(void **state)
{
    static const enum plx_log_level all[] = {PLX_LOG_ERROR, PLX_LOG_WARN, PLX_LOG_INFO, PLX_LOG_DEBUG};
    enum plx_log_level level = PLX_LOG_INFO;
    (void)state;

    for (unsigned i = 0; i < ROWS(all); i++) {
        EXPECT_ROW(i, plx_log_level_parse(plx_log_level_str(all[i]), &level));
        EXPECT_ROW(i, level == all[i]);
    }
    assert_false(plx_log_level_parse("loud", &level));
    assert_false(plx_log_level_parse("", &level));
    assert_int_equal(level, PLX_LOG_DEBUG);
    assert_string_equal(plx_log_level_str((enum plx_log_level)44), "unknown");
}

static void test_limit(void **state)
{
    static const struct {
        uint64_t ms;
        bool is_allowed;
        uint64_t held_back;
    } row[] = {
        {100, true, 0},  {101, true, 0},  {102, false, 0},  {103, false, 0},  {1099, false, 0},
        {1100, true, 3}, {1101, true, 0}, {1102, false, 0}, {90000, true, 1}, {90000, true, 0},
    };
    struct plx_log_limit l;
    (void)state;

    plx_log_limit_init(&l, 2, PLX_SEC(1));
    l.since = AT(PLX_MS(100).ns);
    for (unsigned i = 0; i < ROWS(row); i++) {
        uint64_t held_back = 0;
        EXPECT_ROW(i, plx_log_limit_allows(&l, AT(PLX_MS(row[i].ms).ns), &held_back) == row[i].is_allowed);
        EXPECT_ROW(i, held_back == row[i].held_back);
    }
}

static void test_limited_lines(void **state)
{
    struct heard h = {0};
    struct plx_log log;
    struct plx_log_limit l;
    (void)state;

    plx_log_init(&log, PLX_LOG_WARN, hear, &h);
    plx_log_limit_init(&l, 1, PLX_SEC(1));
    for (int i = 0; i < 10; i++)
        plx_log_limited(&log, &l, AT(i), PLX_LOG_WARN, "drop %d", i);
    assert_int_equal(h.count, 1);
    assert_string_equal(h.line, "drop 0");
    plx_log_limited(&log, &l, AT(PLX_SEC(2).ns), PLX_LOG_DEBUG, "off"); // costs nothing of the limit
    plx_log_limited(&log, &l, AT(PLX_SEC(2).ns), PLX_LOG_WARN, "drop %d", 10);
    assert_int_equal(h.count, 3);
    assert_string_equal(h.before, "9 lines like the next were held back");
    assert_string_equal(h.line, "drop 10");
}

static void test_standard_error(void **state)
{
    struct plx_log log;
    int pipe_fd[2], saved = dup(STDERR_FILENO);
    char text[64] = {0};
    (void)state;

    assert_int_equal(pipe(pipe_fd), 0);
    dup2(pipe_fd[1], STDERR_FILENO);
    plx_log_init(&log, PLX_LOG_INFO, NULL, NULL);
    plx_log(&log, PLX_LOG_WARN, "%d fish", 3);
    dup2(saved, STDERR_FILENO);
    assert_true(read(pipe_fd[0], text, sizeof text - 1) > 0);
    assert_string_equal(text, "warn: 3 fish\n");
    close(pipe_fd[0]);
    close(pipe_fd[1]);
    close(saved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels),        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_names),         cmocka_unit_test(test_limit),
        cmocka_unit_test(test_limited_lines), cmocka_unit_test(test_standard_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
