// shake.c -- what a handshake costs the server: OpenSSL alone, OpenSSL as we use it, and a whole connection.
//
// Three ways, each with more around the same cryptography, take turns round by round, so that a busy machine slows all of them; the fastest
// round of each counts, because noise only ever adds, and what one way costs more than the one before it is what it adds. Counted are the
// server's cycles and allocations alone (way.h). Nothing here is a network: client and server are in one thread.
//
// With --json FILE it writes what bench/check wants to know.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <openssl/crypto.h>

#include "bench/shake/way.h"
#include "bench/wire/options.h"
#include "tests/unit/tls/certs.h"

enum { ROUNDS_MAX = 200, WAYS = 3 };

static const char usage[] =
    "Usage: shake [OPTION...]\n"
    "\n"
    "What a handshake costs the server's core, full and resumed: OpenSSL alone, our use of it, a whole connection.\n"
    "\n"
    "  --kind full|resumed  only these (both)\n"
    "  --way NAME           alone, pump or engine (all three)\n"
    "  --groups LIST        the client's, for example X25519MLKEM768 (X25519)\n"
    "  --handshakes N       in each round (8)\n"
    "  --rounds N           of each, in turn; the fastest counts (100)\n"
    "  --json FILE          writes the figures there too\n"
    "  --help               this\n";

static const struct shake_way *const ways[WAYS] = {&shake_alone, &shake_pump, &shake_engine};
static const char *const kinds[] = {"full", "resumed"};

static struct {
    const char *kind, *way, *groups, *json;
    unsigned handshakes, rounds;
} opt = {.groups = "X25519", .handshakes = 8, .rounds = 100};

struct row {
    const struct shake_way *way;
    void *state;
    struct shake_count round[ROUNDS_MAX];
    double us, median;
};

// --- counting -----------------------------------------------------------------------------------------------

static uint64_t allocations;

static void *count_malloc(size_t len, const char *file, int line)
{
    (void)file, (void)line;
    allocations++;
    return malloc(len);
}

static void *count_realloc(void *p, size_t len, const char *file, int line)
{
    (void)file, (void)line;
    allocations++;
    return realloc(p, len);
}

static void count_free(void *p, const char *file, int line)
{
    (void)file, (void)line;
    free(p);
}

// Out of line and called for nothing else: valgrind counts what happens inside of it (--toggle-collect).
__attribute__((noinline)) void shake_counted(void (*work)(void *arg), void *arg);
void shake_counted(void (*work)(void *arg), void *arg)
{
    work(arg);
    __asm__ volatile("" : : : "memory"); // no tail call
}

void shake_server(struct shake_count *count, void (*work)(void *arg), void *arg)
{
    if (count == NULL) {
        work(arg);
        return;
    }
    __asm__("" : "+r"(work)); // unknown to the compiler, or it makes a shake_counted() for each
    uint64_t before = allocations, since = __builtin_ia32_rdtsc();
    shake_counted(work, arg);
    count->cycles += __builtin_ia32_rdtsc() - since;
    count->allocations += allocations - before;
}

// The cycle counter's rate, from both clocks over a tenth of a second.
static double us_per_cycle(void)
{
    struct timespec a, b;
    uint64_t cycles = __builtin_ia32_rdtsc();

    clock_gettime(CLOCK_MONOTONIC, &a);
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    clock_gettime(CLOCK_MONOTONIC, &b);
    cycles = __builtin_ia32_rdtsc() - cycles;
    return ((double)(b.tv_sec - a.tv_sec) * 1e6 + (double)(b.tv_nsec - a.tv_nsec) / 1e3) / (double)cycles;
}

static int by_cycles(const void *a, const void *b)
{
    uint64_t x = ((const struct shake_count *)a)->cycles, y = ((const struct shake_count *)b)->cycles;
    return x < y ? -1 : x > y;
}

// --- showing ------------------------------------------------------------------------------------------------

static void row_print(const struct row *r, const char *kind, double floor)
{
    const struct shake_count *c = &r->round[0];
    double n = (double)c->handshakes;
    char ratio[16] = "";

    if (floor > 0)
        snprintf(ratio, sizeof ratio, "%.2f", r->us / floor);
    printf("%-8s %-7s %8.1f %7.1f %% %7s %8.0f %8.1f %8.1f  %s\n", kind, r->way->name, r->us,
           (r->median / r->us - 1) * 100, ratio, (double)c->allocations / n, (double)c->datagrams_rx / n,
           (double)c->datagrams_tx / n, r->way->what);
    fflush(stdout);
}

static void row_write(FILE *f, const struct row *r, const char *kind, bool is_first)
{
    const struct shake_count *c = &r->round[0];

    fprintf(f,
            "%s\n  \"%s/%s\": {\"requests\": %llu, \"us\": %.2f, \"us_median\": %.2f, \"allocations\": %llu,"
            " \"datagrams_rx\": %llu, \"datagrams_tx\": %llu, \"bytes_rx\": %llu, \"bytes_tx\": %llu}",
            is_first ? "" : ",", kind, r->way->name, (unsigned long long)c->handshakes, r->us, r->median,
            (unsigned long long)c->allocations, (unsigned long long)c->datagrams_rx,
            (unsigned long long)c->datagrams_tx, (unsigned long long)c->bytes_rx,
            (unsigned long long)c->bytes_tx);
}

// --- running ------------------------------------------------------------------------------------------------

static unsigned kind_run(const struct shake_cfg *cfg, const char *kind, double rate, FILE *json,
                         unsigned written)
{
    static struct row rows[WAYS];
    unsigned n = 0;
    double floor = 0;

    for (unsigned i = 0; i < WAYS; i++) {
        if (opt.way != NULL && strcmp(opt.way, ways[i]->name) != 0)
            continue;
        rows[n] = (struct row){.way = ways[i], .state = ways[i]->open(cfg)};
        ways[i]->run(rows[n++].state, opt.handshakes, NULL); // to warm up
    }
    for (unsigned round = 0; round < opt.rounds; round++)
        for (unsigned i = 0; i < n; i++) {
            rows[i].round[round].handshakes = opt.handshakes;
            rows[i].way->run(rows[i].state, opt.handshakes, &rows[i].round[round]);
        }
    for (unsigned i = 0; i < n; i++) {
        struct row *r = &rows[i];
        r->way->close(r->state);
        qsort(r->round, opt.rounds, sizeof *r->round, by_cycles);
        r->us = (double)r->round[0].cycles * rate / opt.handshakes;
        r->median = (double)r->round[opt.rounds / 2].cycles * rate / opt.handshakes;
        if (r->way == &shake_alone)
            floor = r->us;
        row_print(r, kind, floor);
        if (json != NULL)
            row_write(json, r, kind, written++ == 0);
    }
    return written;
}

static const char *one_of(const char *option, const char *text, const char *const *names, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (strcmp(text, names[i]) == 0)
            return names[i];
    fprintf(stderr, "shake: --%s has no \"%s\"; shake --help\n", option, text);
    exit(2);
}

static void options(int argc, char **argv)
{
    static const struct option names[] = {{"kind", 1, NULL, 'k'},   {"way", 1, NULL, 'w'},
                                          {"groups", 1, NULL, 'g'}, {"handshakes", 1, NULL, 'n'},
                                          {"rounds", 1, NULL, 'r'}, {"json", 1, NULL, 'j'},
                                          {"help", 0, NULL, 'h'},   {0}};
    const char *const way_names[WAYS] = {ways[0]->name, ways[1]->name, ways[2]->name};
    int o;

    while ((o = getopt_long(argc, argv, "h", names, NULL)) != -1) {
        switch (o) {
        case 'k':
            opt.kind = one_of("kind", optarg, kinds, 2);
            break;
        case 'w':
            opt.way = one_of("way", optarg, way_names, WAYS);
            break;
        case 'g':
            opt.groups = optarg;
            break;
        case 'n':
            opt.handshakes = (unsigned)option_number("shake", "handshakes", optarg, 1, 100000);
            break;
        case 'r':
            opt.rounds = (unsigned)option_number("shake", "rounds", optarg, 1, ROUNDS_MAX);
            break;
        case 'j':
            opt.json = optarg;
            break;
        default:
            option_other("shake", o, usage);
        }
    }
    option_end("shake", argc, argv);
}

int main(int argc, char **argv)
{
    struct shake_cfg cfg;
    unsigned written = 0;
    FILE *json = NULL;

    options(argc, argv);
    plx_check(CRYPTO_set_mem_functions(count_malloc, count_realloc, count_free) == 1);
    if (opt.json != NULL && (json = fopen(opt.json, "w")) == NULL) {
        fprintf(stderr, "shake: %s cannot be written\n", opt.json);
        return 1;
    }
    plx_check(certs_setup(NULL) == 0);
    cfg = (struct shake_cfg){.cert_file = in_dir("main.pem"), .key_file = in_dir("main.key")};
    double rate = us_per_cycle();
    printf("us per handshake on the server's core, fastest of %u rounds of %u; noise: the median; %s\n",
           opt.rounds, opt.handshakes, opt.groups);
    printf("%-8s %-7s %8s %9s %7s %8s %8s %8s\n", "kind", "way", "us", "noise", "x alone", "allocs", "rx",
           "tx");
    if (json != NULL)
        fprintf(json, "{\"cells\": {");
    for (unsigned k = 0; k < 2; k++) {
        cfg.groups = opt.groups;
        cfg.is_resumed = k == 1;
        if (opt.kind == NULL || opt.kind == kinds[k])
            written = kind_run(&cfg, kinds[k], rate, json, written);
    }
    plx_check(certs_teardown(NULL) == 0);
    if (json != NULL) {
        fprintf(json, "\n}}\n");
        if (fclose(json) != 0) {
            fprintf(stderr, "shake: %s could not be written\n", opt.json);
            return 1;
        }
    }
    return 0;
}
