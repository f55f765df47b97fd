// seeds.c -- see seeds.h.

#include "tests/sim/seeds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

static struct {
    uint64_t from, count;
    bool is_whole, is_spread;
} asked;

bool seeds_are_spread(void)
{
    return asked.is_spread || (PLX_IS_DEBUG && !asked.is_whole);
}

static bool number_of(const char *text, uint64_t *out)
{
    char *end = NULL;

    if (text == NULL || *text < '0' || *text > '9')
        return false;
    *out = strtoull(text, &end, 10);
    return *end == '\0';
}

// What the environment says, or three seeds. False when it says something else than numbers.
static bool environment_read(void)
{
    const char *count = getenv("PLX_SIM_SEEDS"), *from = getenv("PLX_SIM_FROM"),
               *whole = getenv("PLX_SIM_WHOLE");

    asked.count = 3;
    asked.from = 1;
    asked.is_whole = whole != NULL && *whole != '\0';
    asked.is_spread = false;
    return (count == NULL || number_of(count, &asked.count)) &&
           (from == NULL || number_of(from, &asked.from));
}

// Takes options out of argv and leaves the names: their number, or -1 when an option is wrong.
static int options_read(int argc, char **argv)
{
    int names = 0;

    for (int i = 1; i < argc; i++) {
        bool is_seed = strcmp(argv[i], "--seed") == 0, is_count = strcmp(argv[i], "--seeds") == 0;
        if (strncmp(argv[i], "--", 2) != 0) {
            argv[1 + names++] = argv[i];
            continue;
        }
        if (strcmp(argv[i], "--spread") == 0) {
            asked.is_spread = true;
            continue;
        }
        if (!is_seed && !is_count && strcmp(argv[i], "--from") != 0)
            return -1;
        if (i + 1 >= argc || !number_of(argv[i + 1], is_count ? &asked.count : &asked.from))
            return -1;
        i++;
        if (is_seed)
            asked.count = 1;
        asked.is_whole |= is_seed || is_count;
    }
    return names;
}

static uint64_t count_of(const struct seeds_row *row)
{
    unsigned weight = PLX_IS_DEBUG && row->weight_checked > 0 ? row->weight_checked : row->weight;

    return asked.is_whole || weight == 0 ? asked.count : (asked.count + weight - 1) / weight;
}

static bool row_run(const char *program, const struct seeds_row *row)
{
    uint64_t count = count_of(row), seed = asked.from;
    bool ok = true;

    for (; ok && seed < asked.from + count; seed++)
        ok = row->run(seed);
    if (!ok)
        fprintf(stderr, "  replay: %s %s --seed %llu%s\n", program, row->name, (unsigned long long)seed - 1,
                seeds_are_spread() ? " --spread" : "");
    printf("%s %s (%llu seeds)\n", ok ? "ok" : "not ok", row->name, (unsigned long long)count);
    return ok;
}

static bool is_named(const struct seeds_row *row, char **name, int names)
{
    for (int i = 0; i < names; i++)
        if (strcmp(name[i], row->name) == 0)
            return true;
    return names == 0;
}

int seeds_main(int argc, char **argv, const struct seeds_row *row, unsigned count)
{
    unsigned ran = 0, failed = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (unsigned i = 0; i < count; i++)
            puts(row[i].name);
        return 0;
    }
    bool is_sane = environment_read();
    int names = options_read(argc, argv);
    if (!is_sane || names < 0 || asked.count == 0) {
        fprintf(stderr, "usage: %s [NAME...] [--seeds N] [--from N] [--seed N] [--spread] | --list\n",
                argv[0]);
        return 2;
    }
    for (unsigned i = 0; i < count; i++) {
        if (!is_named(&row[i], argv + 1, names))
            continue;
        ran++;
        failed += !row_run(argv[0], &row[i]);
    }
    if (names > 0 && ran < (unsigned)names)
        fprintf(stderr, "%s: %u of %d names are scenarios; --list tells them\n", argv[0], ran, names);
    return ran == 0 || failed > 0 || (names > 0 && ran < (unsigned)names);
}
