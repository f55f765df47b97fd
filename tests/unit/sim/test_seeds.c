// test_seeds.c -- which seeds a scenario runs with, what is spread, and that the line that replays a failure plays the same.

#include "tests/sim/seeds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "tests/unit/base/rows.h"

static struct {
    uint64_t first, count, fails;
    bool is_spread;
} seen;

static bool on_seed(uint64_t seed)
{
    if (seen.count++ == 0)
        seen.first = seed;
    seen.is_spread = seeds_are_spread();
    return seed != seen.fails;
}

static const struct seeds_row the_row[] = {{"game", on_seed, 2, 4}};

// Its status; what it prints is no result of ours, and goes to `said`.
static int run(const char *line, char *said, size_t room)
{
    char words[100], *argv[8] = {"program"};
    int argc = 1, kept[2] = {dup(1), dup(2)};
    FILE *file = tmpfile();

    assert_non_null(file);
    snprintf(words, sizeof words, "%s", line);
    for (char *at = words; at != NULL;) {
        argv[argc++] = at;
        at = strchr(at, ' ');
        if (at != NULL)
            *at++ = '\0';
    }
    fflush(stdout);
    dup2(fileno(file), 1);
    dup2(fileno(file), 2);
    int status = seeds_main(argc, argv, the_row, 1);
    fflush(stdout);
    for (int i = 0; i < 2; i++) {
        dup2(kept[i], i + 1);
        close(kept[i]);
    }
    rewind(file);
    said[fread(said, 1, room - 1, file)] = '\0';
    fclose(file);
    return status;
}

static void test_rows(void **state)
{
    // what is asked: of the environment, on the command line; which seed fails; what comes of it
    static const struct {
        const char *environment, *whole, *line;
        uint64_t fails, first, count, count_checked;
        bool is_spread; // in a build with debug checks; in another only where --spread stands
        const char *replay;
    } row[] = {
        {"8", NULL, "game", 0, 1, 4, 2, true, NULL},
        {"8", "1", "game", 0, 1, 8, 8, false, NULL},
        {"8", NULL, "game --seeds 3", 0, 1, 3, 3, false, NULL},
        {"8", NULL, "game --seed 7", 0, 7, 1, 1, false, NULL},
        {"8", NULL, "game --seed 7 --spread", 0, 7, 1, 1, true, NULL},
        {"8", NULL, "game", 2, 1, 2, 2, true, "game --seed 2"},
        {"8", "1", "game", 5, 1, 5, 5, false, "game --seed 5"},
        {NULL, NULL, "game --spread --seed 7", 7, 7, 1, 1, true, "game --seed 7"},
    };
    char said[500], replay[100];
    (void)state;

    for (unsigned i = 0; i < ROWS(row); i++) {
        bool is_asked = strstr(row[i].line, "--spread") != NULL,
             is_spread = row[i].is_spread && (PLX_IS_DEBUG || is_asked);
        unsetenv("PLX_SIM_FROM");
        (row[i].environment != NULL ? setenv("PLX_SIM_SEEDS", row[i].environment, 1)
                                    : unsetenv("PLX_SIM_SEEDS"));
        (row[i].whole != NULL ? setenv("PLX_SIM_WHOLE", row[i].whole, 1) : unsetenv("PLX_SIM_WHOLE"));
        seen.count = 0;
        seen.fails = row[i].fails;
        EXPECT_ROW(i, run(row[i].line, said, sizeof said) == (row[i].replay != NULL));
        EXPECT_ROW(i, seen.first == row[i].first &&
                          seen.count == (PLX_IS_DEBUG ? row[i].count_checked : row[i].count));
        EXPECT_ROW(i, seen.is_spread == is_spread);
        snprintf(replay, sizeof replay, "replay: program %s%s\n", row[i].replay,
                 is_spread ? " --spread" : "");
        EXPECT_ROW(i, row[i].replay == NULL ? strstr(said, "replay") == NULL : strstr(said, replay) != NULL);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
