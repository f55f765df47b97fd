// wire.c -- requests on one core without a NIC: nanoseconds per request by phase, beside the bare floor.
//
// The server's side of a cell (so many connections, so many requests in flight on each) is measured in short rounds; the fastest is
// shown, because noise on a shared machine only ever adds, and beside it by how much the median round is slower, which is the noise. The bare path then
// moves packets of the same lengths, as many each way, without QUIC: see bare.h. One cell more is bulk: a download over one connection,
// in nanoseconds per datagram sent.
//
// wire-count is the same program without marks between the phases, for valgrind to count: bench/check.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "bench/wire/bare.h"
#include "bench/wire/options.h"
#include "bench/wire/pair.h"

enum { LIST_MAX = 16, ROUNDS_MAX = 64 };

static const char usage[] =
    "Usage: wire [OPTION...]\n"
    "\n"
    "What a request costs the server's core over two engines back to back: nanoseconds by phase, and the floor.\n"
    "\n"
    "  --conns LIST       connections (64,1024,16384)\n"
    "  --in-flight LIST   requests in flight on each, at most 120 (1,10,100)\n"
    "  --body OCTETS      of each answer (64)\n"
    "  --ask OCTETS       of a field that each request has besides the usual ones (none)\n"
    "  --requests N       in each round (the number in flight, but at least 10000; less for large bodies)\n"
    "  --rounds N         the fastest of so many counts (25)\n"
    "  --no-bulk          leaves the cell \"bulk\" out (it stands behind the standard ones)\n"
    "  --no-bare          leaves the floor out\n"
    "  --crypto NAME      ipsecmb, ipsecmb:avx2, ipsecmb:sse, openssl (the best)\n"
    "  --json FILE        writes the figures there too\n"
    "  --help             this\n";

static struct {
    uint64_t conns[LIST_MAX], in_flight[LIST_MAX];
    unsigned conns_count, in_flight_count, rounds;
    uint64_t body, requests;
    uint32_t ask;
    bool no_bulk, no_bare;
    const char *crypto, *json;
} opt = {.conns = {64, 1024, 16384},
         .conns_count = 3,
         .in_flight = {1, 10, 100},
         .in_flight_count = 3,
         .body = 64,
         .rounds = 25};

struct result {
    char name[64];
    struct wire_cell cell;
    struct wire_side server, client; // of the fastest round
    double ns_per_cycle;
    double ns[PLX_PHASE_COUNT], bare[PLX_PHASE_COUNT]; // per request
    double total, median, client_total, bare_total;
    bool is_bulk;
};

static const char *const phase_name[PLX_PHASE_COUNT] = {
    [PLX_PHASE_OTHER] = "other",     [PLX_PHASE_RECEIVE] = "receive", [PLX_PHASE_PARSE] = "parse",
    [PLX_PHASE_FIND] = "find",       [PLX_PHASE_UNMASK] = "unmask",   [PLX_PHASE_OPEN] = "open",
    [PLX_PHASE_DELIVER] = "deliver", [PLX_PHASE_TIMERS] = "timers",   [PLX_PHASE_BUILD] = "build",
    [PLX_PHASE_SEAL] = "seal",       [PLX_PHASE_MASK] = "mask",       [PLX_PHASE_SEND] = "send",
};

// --- measuring ----------------------------------------------------------------------------------------------

static double sum(const double *v)
{
    double s = 0;
    for (unsigned i = 0; i < PLX_PHASE_COUNT; i++)
        s += v[i];
    return s;
}

static uint64_t cycles_of(const uint64_t *v)
{
    uint64_t s = 0;
    for (unsigned i = 0; i < PLX_PHASE_COUNT; i++)
        s += v[i];
    return s;
}

// The cycle counter's rate, from both clocks over a tenth of a second.
static double ns_per_cycle(void)
{
    struct timespec a, b;
    uint64_t cycles = __builtin_ia32_rdtsc();

    clock_gettime(CLOCK_MONOTONIC, &a);
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    clock_gettime(CLOCK_MONOTONIC, &b);
    cycles = __builtin_ia32_rdtsc() - cycles;
    return ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / (double)cycles;
}

static int by_server_cycles(const void *a, const void *b)
{
    uint64_t x = cycles_of(((const struct result *)a)->server.cycles),
             y = cycles_of(((const struct result *)b)->server.cycles);
    return x < y ? -1 : x > y;
}

static void bare_run(struct result *r, double units)
{
    const struct wire_side *s = &r->server;
    struct bare_cell cell = {.conns = r->cell.conns,
                             .rx_len = (uint16_t)(s->bytes_rx / s->datagrams_rx),
                             .tx_len = (uint16_t)(s->bytes_tx / s->datagrams_tx),
                             .datagrams_rx = s->datagrams_rx,
                             .datagrams_tx = s->datagrams_tx,
                             .crypto = opt.crypto};
    struct bare *b = bare_new(&cell);
    double best = 0;

    bare_measure(b, s->datagrams_rx / 4 + 1, (uint64_t[PLX_PHASE_COUNT]){0});
    for (unsigned round = 0; round < opt.rounds; round++) {
        uint64_t cycles[PLX_PHASE_COUNT] = {0};
        bare_measure(b, s->datagrams_rx, cycles);
        double total = (double)cycles_of(cycles) * r->ns_per_cycle / units;
        if (round > 0 && total >= best)
            continue;
        best = total;
        for (unsigned i = 0; i < PLX_PHASE_COUNT; i++)
            r->bare[i] = (double)cycles[i] * r->ns_per_cycle / units;
    }
    r->bare_total = best;
    bare_free(b);
}

static uint64_t requests_of(const struct wire_cell *c)
{
    uint64_t n = (uint64_t)c->conns * c->in_flight;

    if (opt.requests > 0)
        return opt.requests;
    if (c->body > 4096)
        return (UINT64_C(64) << 20) / c->body + 1;
    return n > 10000 ? n : 10000;
}

static void cell_run(struct result *r, double rate)
{
    static struct result round[ROUNDS_MAX];
    struct pair *p = pair_new(&r->cell, opt.crypto);
    uint64_t requests = requests_of(&r->cell);

    pair_run(p, requests + (uint64_t)r->cell.conns * r->cell.in_flight);
    for (unsigned i = 0; i < opt.rounds; i++)
        pair_measure(p, requests, &round[i].server, &round[i].client);
    qsort(round, opt.rounds, sizeof *round, by_server_cycles);
    pair_free(p);
    r->server = round[0].server;
    r->client = round[0].client;
    r->ns_per_cycle = rate;
    r->cell.requests = requests;
    double units = r->is_bulk ? (double)r->server.datagrams_tx : (double)requests;
    for (unsigned i = 0; i < PLX_PHASE_COUNT; i++)
        r->ns[i] = (double)r->server.cycles[i] * rate / units;
    r->total = sum(r->ns);
    r->median = (double)cycles_of(round[opt.rounds / 2].server.cycles) * rate / units;
    r->client_total = (double)cycles_of(r->client.cycles) * rate / units;
    if (!opt.no_bare)
        bare_run(r, units);
}

// --- showing ------------------------------------------------------------------------------------------------

static void head_print(void)
{
    printf("%-14s %7s %7s %6s |", "cell", "total", "noise", "client");
    for (unsigned i = 1; i < PLX_PHASE_COUNT; i++)
        printf(" %7s", phase_name[i]);
    printf(" %7s | %9s %9s\n", phase_name[0], "rx/unit", "tx/unit");
}

static void row_print(const struct result *r)
{
    double units = r->is_bulk ? (double)r->server.datagrams_tx : (double)r->cell.requests;

#ifdef PLX_PHASES
    printf("%-14s %7.1f %6.1f%% %6.0f |", r->name, r->total, (r->median / r->total - 1) * 100,
           r->client_total);
    for (unsigned i = 1; i < PLX_PHASE_COUNT; i++)
        printf(" %7.1f", r->ns[i]);
    printf(" %7.1f |", r->ns[0]);
#else
    printf("%-14s |", r->name);
#endif
    printf(" %9.3f %9.3f\n", (double)r->server.datagrams_rx / units, (double)r->server.datagrams_tx / units);
#ifdef PLX_PHASES
    if (!opt.no_bare) {
        printf("%-14s %7.1f %7s %6s |", "  bare", r->bare_total, "", "");
        for (unsigned i = 1; i < PLX_PHASE_COUNT; i++)
            printf(" %7.1f", r->bare[i]);
        printf(" %7.1f | %5.0f oct %5.0f oct\n", r->bare[0],
               (double)r->server.bytes_rx / (double)r->server.datagrams_rx,
               (double)r->server.bytes_tx / (double)r->server.datagrams_tx);
    }
#endif
    fflush(stdout);
}

static void json_phases(FILE *f, const char *name, const double *ns)
{
    fprintf(f, "\"%s\": {", name);
    for (unsigned i = 0; i < PLX_PHASE_COUNT; i++)
        fprintf(f, "%s\"%s\": %.2f", i == 0 ? "" : ", ", phase_name[i], ns[i]);
    fprintf(f, "}");
}

static void json_write(const struct result *results, unsigned count)
{
    FILE *f = fopen(opt.json, "w");

    if (f == NULL) {
        fprintf(stderr, "wire: %s cannot be written\n", opt.json);
        exit(1);
    }
    fprintf(f, "{\"cells\": {");
    for (unsigned i = 0; i < count; i++) {
        const struct result *r = &results[i];
        fprintf(
            f,
            "%s\n  \"%s\": {\"unit\": \"%s\", \"conns\": %u, \"in_flight\": %u, \"body\": %llu, \"requests\": %llu,",
            i == 0 ? "" : ",", r->name, r->is_bulk ? "datagram sent" : "request", r->cell.conns,
            r->cell.in_flight, (unsigned long long)r->cell.body, (unsigned long long)r->cell.requests);
        fprintf(
            f,
            " \"datagrams_rx\": %llu, \"datagrams_tx\": %llu, \"bytes_rx\": %llu, \"bytes_tx\": %llu,\n   ",
            (unsigned long long)r->server.datagrams_rx, (unsigned long long)r->server.datagrams_tx,
            (unsigned long long)r->server.bytes_rx, (unsigned long long)r->server.bytes_tx);
        fprintf(f, " \"ns\": %.2f, \"ns_median\": %.2f, \"client_ns\": %.2f, \"bare_ns\": %.2f,\n    ",
                r->total, r->median, r->client_total, r->bare_total);
        json_phases(f, "phases", r->ns);
        fprintf(f, ",\n    ");
        json_phases(f, "bare_phases", r->bare);
        fprintf(f, "}");
    }
    fprintf(f, "\n}}\n");
    if (fclose(f) != 0) {
        fprintf(stderr, "wire: %s could not be written\n", opt.json);
        exit(1);
    }
}

// --- options ------------------------------------------------------------------------------------------------

static uint64_t number(const char *option, const char *text, uint64_t min, uint64_t max)
{
    return option_number("wire", option, text, min, max);
}

static unsigned list(const char *option, char *text, uint64_t *out, uint64_t max)
{
    unsigned n = 0;

    for (char *next; text != NULL; text = next) {
        next = strchr(text, ',');
        if (next != NULL)
            *next++ = '\0';
        if (n == LIST_MAX) {
            fprintf(stderr, "wire: --%s takes at most %d numbers\n", option, LIST_MAX);
            exit(2);
        }
        out[n++] = number(option, text, 1, max);
    }
    return n;
}

static void options(int argc, char **argv)
{
    static const struct option names[] = {
        {"conns", 1, NULL, 'c'},   {"in-flight", 1, NULL, 'm'}, {"body", 1, NULL, 'b'},
        {"ask", 1, NULL, 'a'},     {"requests", 1, NULL, 'n'},  {"rounds", 1, NULL, 'r'},
        {"no-bulk", 0, NULL, 'B'}, {"no-bare", 0, NULL, 'F'},   {"crypto", 1, NULL, 'C'},
        {"json", 1, NULL, 'j'},    {"help", 0, NULL, 'h'},      {0}};
    int o, at;

    while ((o = getopt_long(argc, argv, "h", names, &at)) != -1) {
        const char *name = o == 'h' || o == '?' ? "" : names[at].name;
        switch (o) {
        case 'c':
            opt.conns_count = list(name, optarg, opt.conns, 1 << 16);
            break;
        case 'm':
            opt.in_flight_count = list(name, optarg, opt.in_flight, WIRE_IN_FLIGHT_MAX);
            break;
        case 'b':
            opt.body = number(name, optarg, 1, 1 << 30);
            break;
        case 'a':
            opt.ask = (uint32_t)number(name, optarg, 1, WIRE_ASK_MAX);
            break;
        case 'n':
            opt.requests = number(name, optarg, 1, UINT64_MAX / 2);
            break;
        case 'r':
            opt.rounds = (unsigned)number(name, optarg, 1, ROUNDS_MAX);
            break;
        case 'B':
            opt.no_bulk = true;
            break;
        case 'F':
            opt.no_bare = true;
            break;
        case 'C':
            opt.crypto = optarg;
            break;
        case 'j':
            opt.json = optarg;
            break;
        default:
            option_other("wire", o, usage);
        }
    }
    option_end("wire", argc, argv);
}

int main(int argc, char **argv)
{
    static struct result results[LIST_MAX * LIST_MAX + 1];
    unsigned n = 0;

    options(argc, argv);
    for (unsigned i = 0; i < opt.conns_count; i++)
        for (unsigned j = 0; j < opt.in_flight_count; j++) {
            struct result *r = &results[n++];
            r->cell = (struct wire_cell){.conns = (uint32_t)opt.conns[i],
                                         .in_flight = (uint32_t)opt.in_flight[j],
                                         .body = opt.body,
                                         .ask = opt.ask};
            snprintf(r->name, sizeof r->name, "m%u/c%u", r->cell.in_flight, r->cell.conns);
        }
    if (!opt.no_bulk) {
        results[n].cell = (struct wire_cell){.conns = 1, .in_flight = 1, .body = UINT64_C(32) << 20};
        results[n].is_bulk = true;
        snprintf(results[n++].name, sizeof results[0].name, "bulk");
    }
    double rate = ns_per_cycle();
    printf(
        "ns per request (bulk: per datagram sent) on the server's core, fastest of %u rounds; noise: the median\n",
        opt.rounds);
    head_print();
    for (unsigned i = 0; i < n; i++) {
        cell_run(&results[i], rate);
        row_print(&results[i]);
    }
    if (opt.json != NULL)
        json_write(results, n);
    return 0;
}
