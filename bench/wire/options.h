// options.h -- numbers on the command lines of bench/wire and bench/cores, and what ends them.

#ifndef PLX_BENCH_WIRE_OPTIONS_H
#define PLX_BENCH_WIRE_OPTIONS_H

#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

// A whole decimal number from min to max; exits with a sentence where it is none.
static inline uint64_t option_number(const char *program, const char *option, const char *text, uint64_t min,
                                     uint64_t max)
{
    char *end;
    uint64_t v = strtoull(text, &end, 10);

    if (end == text || *end != '\0' || v < min || v > max) {
        fprintf(stderr, "%s: --%s wants a number from %llu to %llu, not \"%s\"\n", program, option,
                (unsigned long long)min, (unsigned long long)max, text);
        exit(2);
    }
    return v;
}

// What every program does with an option that is none of its own: 'h' asks for help, anything else was a mistake.
static inline _Noreturn void option_other(const char *program, int option, const char *usage)
{
    if (option == 'h')
        fputs(usage, stdout);
    else
        fprintf(stderr, "%s --help says what there is\n", program);
    exit(option == 'h' ? 0 : 2);
}

// After the last option: there may be nothing else.
static inline void option_end(const char *program, int argc, char **argv)
{
    if (optind < argc) {
        fprintf(stderr, "%s: \"%s\" is no option; %s --help\n", program, argv[optind], program);
        exit(2);
    }
}

#endif
