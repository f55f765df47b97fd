// options.c -- the command line.

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

static const char help[] =
    "plx-load makes HTTP/3 load, and measures the answers.\n"
    "\n"
    "Usage: plx-load [OPTION...] URL...        plx-load [OPTION...] --file FILE\n"
    "       plx-load merge [--json FILE] [--hgrm PREFIX] [--max-p99 TIME] [--max-errors N] REPORT...\n"
    "\n"
    "How much:\n"
    "  -c, --connections N   connections kept open (default 1)\n"
    "  -m, --streams N       requests in flight on each, at most (default 1; with --rate 100)\n"
    "  -n, --requests N      so many requests, then the end\n"
    "  -d, --duration TIME   for so long (default 10s, unless -n is given)\n"
    "      --warmup TIME     before that, unmeasured (default 0)\n"
    "      --rate N          N requests per second on schedule, whatever the server does; latency counts from the schedule\n"
    "      --conn-rate N     N new connections per second on schedule; -c is the most open at once (default 4096)\n"
    "      --requests-per-conn N  then the connection is closed, and another one opened (with --conn-rate: default 1)\n"
    "      --churn N         N connections per second are closed and opened anew\n"
    "      --resume          resume TLS sessions, from the second connection on\n"
    "      --early-data      with --resume: send the first requests in early data (0-RTT) where the session allows it\n"
    "  -t, --workers N       cores (default 1)\n"
    "      --cpus LIST       where they run, for example 2,3 or 4-7\n"
    "      --start-at TIME   begin at that Unix time (seconds): many machines on one clock\n"
    "\n"
    "What:\n"
    "  -f, --file FILE       a mix: lines of WEIGHT METHOD URL [status=N] [length=N] [crc32=HEX] [body=TEXT|@FILE]\n"
    "                        [header=\"NAME: VALUE\"]\n"
    "  -X, --method METHOD   instead of GET, or of POST with --data\n"
    "  -H, --header NAME:VALUE   again for more\n"
    "      --data TEXT|@FILE a body\n"
    "      --hq              hq-interop (HTTP/0.9) instead of HTTP/3\n"
    "      --expect-status N, --expect-length N, --expect-crc32 HEX   anything else is an error (default: a status below 400)\n"
    "      --timeout TIME    for a request (default 10s);  --connect-timeout TIME for a connection (default 10s)\n"
    "\n"
    "To whom:\n"
    "      --connect-to ADDRESS:PORT  instead of the URL's address\n"
    "      --cacert FILE     trust these certificates instead of the system's;  -k, --insecure: trust anyone\n"
    "      --ciphers LIST, --groups LIST  TLS 1.3 ciphersuites and key exchange groups\n"
    "      --keylog FILE     append TLS secrets\n"
    "      --shared-port     all connections of a worker from one port (by default each has its own)\n"
    "      --busy-poll       never sleep\n"
    "      --crypto NAME     force a protection backend\n" PORT_OPTS_HELP "\n"
    "Report:\n"
    "      --json FILE       everything, for programs and for merge (- for standard output, instead of the text)\n"
    "      --hgrm PREFIX     PREFIX.request.hgrm, PREFIX.ttfb.hgrm, PREFIX.handshake.hgrm\n"
    "      --server-pid PID[,PID]  CPU time of the server's processes\n"
    "      --server-stats PATH  the server's time by its own account: where plx-serve --counters tells it\n"
    "      --max-p99 TIME    exit status 3 when the 99th percentile of request latency is above\n"
    "      --max-errors N[%]   exit status 3 when there are more errors\n"
    "  -q, --quiet           no progress line;  --help, --version\n"
    "\n"
    "TIME is a number with us, ms, s or m behind it; without, seconds.\n"
    "Exit status: 0 well, 1 could not run, 2 usage, 3 a threshold was exceeded.\n"
    "\n"
    "Examples:\n"
    "  plx-load -c 64 -m 10 -d 30s --warmup 2s https://localhost:4433/\n"
    "  plx-load -c 100 --rate 20000 -d 60s --max-p99 20ms --max-errors 0.1% --json run.json https://localhost:4433/\n"
    "  plx-load --conn-rate 500 --resume -d 10s https://localhost:4433/\n";

enum {
    OPT_WARMUP = 2000,
    OPT_RATE,
    OPT_CONN_RATE,
    OPT_PER_CONN,
    OPT_CHURN,
    OPT_RESUME,
    OPT_EARLY_DATA,
    OPT_CPUS,
    OPT_START_AT,
    OPT_DATA,
    OPT_HQ,
    OPT_STATUS,
    OPT_LENGTH,
    OPT_CRC32,
    OPT_TIMEOUT,
    OPT_CONNECT_TIMEOUT,
    OPT_CONNECT_TO,
    OPT_CACERT,
    OPT_CIPHERS,
    OPT_GROUPS,
    OPT_KEYLOG,
    OPT_SHARED_PORT,
    OPT_BUSY_POLL,
    OPT_CRYPTO,
    OPT_JSON,
    OPT_HGRM,
    OPT_SERVER_PID,
    OPT_SERVER_STATS,
    OPT_MAX_P99,
    OPT_MAX_ERRORS,
    OPT_HELP,
    OPT_VERSION
};

static const struct option longs[] = {
    {"connections", required_argument, NULL, 'c'},
    {"streams", required_argument, NULL, 'm'},
    {"requests", required_argument, NULL, 'n'},
    {"duration", required_argument, NULL, 'd'},
    {"warmup", required_argument, NULL, OPT_WARMUP},
    {"rate", required_argument, NULL, OPT_RATE},
    {"conn-rate", required_argument, NULL, OPT_CONN_RATE},
    {"requests-per-conn", required_argument, NULL, OPT_PER_CONN},
    {"churn", required_argument, NULL, OPT_CHURN},
    {"resume", no_argument, NULL, OPT_RESUME},
    {"early-data", no_argument, NULL, OPT_EARLY_DATA},
    {"workers", required_argument, NULL, 't'},
    {"threads", required_argument, NULL, 't'},
    {"cpus", required_argument, NULL, OPT_CPUS},
    {"start-at", required_argument, NULL, OPT_START_AT},
    {"file", required_argument, NULL, 'f'},
    {"method", required_argument, NULL, 'X'},
    {"header", required_argument, NULL, 'H'},
    {"data", required_argument, NULL, OPT_DATA},
    {"hq", no_argument, NULL, OPT_HQ},
    {"expect-status", required_argument, NULL, OPT_STATUS},
    {"expect-length", required_argument, NULL, OPT_LENGTH},
    {"expect-crc32", required_argument, NULL, OPT_CRC32},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"connect-timeout", required_argument, NULL, OPT_CONNECT_TIMEOUT},
    {"connect-to", required_argument, NULL, OPT_CONNECT_TO},
    {"cacert", required_argument, NULL, OPT_CACERT},
    {"insecure", no_argument, NULL, 'k'},
    {"ciphers", required_argument, NULL, OPT_CIPHERS},
    {"groups", required_argument, NULL, OPT_GROUPS},
    {"keylog", required_argument, NULL, OPT_KEYLOG},
    {"shared-port", no_argument, NULL, OPT_SHARED_PORT},
    {"busy-poll", no_argument, NULL, OPT_BUSY_POLL},
    {"crypto", required_argument, NULL, OPT_CRYPTO},
    {"json", required_argument, NULL, OPT_JSON},
    {"hgrm", required_argument, NULL, OPT_HGRM},
    {"server-pid", required_argument, NULL, OPT_SERVER_PID},
    {"server-stats", required_argument, NULL, OPT_SERVER_STATS},
    {"max-p99", required_argument, NULL, OPT_MAX_P99},
    {"max-errors", required_argument, NULL, OPT_MAX_ERRORS},
    {"quiet", no_argument, NULL, 'q'},
    PORT_OPTS_LONG,
    {"help", no_argument, NULL, OPT_HELP},
    {"version", no_argument, NULL, OPT_VERSION},
    {0},
};

// --- values -------------------------------------------------------------------------------------------------

bool load_field_parse(const char *text, struct plx_field **list, uint16_t *count)
{
    const char *colon = strchr(text, ':');
    char *copy = colon != NULL && colon != text ? strdup(text) : NULL;
    struct plx_field *more = copy != NULL ? realloc(*list, (*count + 1u) * sizeof *more) : NULL;

    if (more == NULL) {
        free(copy);
        return false;
    }
    size_t name_len = (size_t)(colon - text);
    copy[name_len] = '\0';
    for (size_t i = 0; i < name_len; i++)
        copy[i] = (char)tolower((unsigned char)copy[i]); // RFC 9114 section 4.2: lower case on the wire
    const char *value = copy + name_len + 1;
    value += strspn(value, " \t");
    *list = more;
    more[(*count)++] = (struct plx_field){
        .name = copy, .name_len = (uint32_t)name_len, .value = value, .value_len = (uint32_t)strlen(value)};
    return true;
}

void load_fields_free(struct plx_field *list, uint16_t count)
{
    for (uint16_t i = 0; i < count; i++)
        free((char *)(uintptr_t)list[i].name);
    free(list);
}

bool load_read_body(const char *value, char **body, size_t *len)
{
    FILE *f = value[0] == '@' ? fopen(value + 1, "rb") : NULL;
    size_t cap = 1 << 16;

    if (value[0] != '@') {
        *len = strlen(value);
        return (*body = strdup(value)) != NULL;
    }
    *len = 0;
    *body = f != NULL ? malloc(cap) : NULL;
    while (*body != NULL) {
        size_t n = fread(*body + *len, 1, cap - *len, f);
        *len += n;
        if (n == 0)
            break;
        char *more = *len == cap ? realloc(*body, cap *= 2) : *body;
        if (more == NULL)
            free(*body);
        *body = more;
    }
    bool ok = *body != NULL && !ferror(f);
    if (f != NULL)
        fclose(f);
    return ok;
}

bool load_read_hex(const char *text, uint64_t *out)
{
    char *end;
    *out = strtoull(text, &end, 16);
    return end != text && *end == '\0' && *out <= UINT32_MAX;
}

static bool read_time(const char *text, plx_dur *out)
{
    static const struct {
        const char *unit;
        double ns;
    } row[] = {{"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"", 1e9}, {"m", 60e9}};
    char *end;
    double v = strtod(text, &end);

    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        if (end != text && strcmp(end, row[i].unit) == 0 && v >= 0 && v * row[i].ns < 1e17) {
            *out = PLX_NS(v * row[i].ns);
            return true;
        }
    return false;
}

static bool read_real(const char *text, double *out)
{
    char *end;
    *out = strtod(text, &end);
    return end != text && *end == '\0' && *out > 0 && *out <= 1e9;
}

static bool read_errors(const char *text, struct limits *l)
{
    char *end;
    l->errors = strtod(text, &end);
    l->has_errors = true;
    l->is_percent = strcmp(end, "%") == 0;
    return end != text && (*end == '\0' || l->is_percent) && l->errors >= 0;
}

// "1,2,5-7"
static bool read_numbers(const char *text, int *list, unsigned max, unsigned *count, bool has_ranges)
{
    for (const char *p = text;; p++) {
        char *end;
        long first = strtol(p, &end, 10), last = first;
        if (end == p || first < 0 || first > INT32_MAX)
            return false;
        if (*end == '-' && has_ranges) {
            p = end + 1;
            last = strtol(p, &end, 10);
            if (end == p || last < first || last > INT32_MAX)
                return false;
        }
        for (long n = first; n <= last; n++) {
            if (*count == max)
                return false;
            list[(*count)++] = (int)n;
        }
        if (*end == '\0')
            return true;
        if (*end != ',')
            return false;
        p = end;
    }
}

// --- options ------------------------------------------------------------------------------------------------

static bool take_start_at(struct load_opts *o, const char *value)
{
    char *end;
    double v = strtod(value, &end);
    o->start_at_ms = (uint64_t)(v * 1000);
    return end != value && *end == '\0' && v > 0 && v < 1e11;
}

static bool take_report(struct load_opts *o, int option, const char *value)
{
    plx_dur d = {0};

    switch (option) {
    case OPT_JSON:
        o->json = value;
        return true;
    case OPT_HGRM:
        o->hgrm = value;
        return true;
    case OPT_SERVER_PID:
        return read_numbers(value, o->server_pid, 64, &o->server_pid_count, false);
    case OPT_SERVER_STATS:
        o->server_stats = value;
        return value[0] == '/';
    case OPT_MAX_P99:
        if (!read_time(value, &d) || d.ns == 0)
            return false;
        o->limits.p99_ns = d.ns;
        return true;
    case OPT_MAX_ERRORS:
        return read_errors(value, &o->limits);
    default:
        return o->quiet = true; // -q
    }
}

static bool take_target(struct load_opts *o, int option, const char *value)
{
    switch (option) {
    case OPT_CONNECT_TO:
        o->connect_to = value;
        return true;
    case OPT_CACERT:
        o->cacert = value;
        return true;
    case OPT_CIPHERS:
        o->ciphers = value;
        return true;
    case OPT_GROUPS:
        o->groups = value;
        return true;
    case OPT_KEYLOG:
        o->keylog = value;
        return true;
    case OPT_CRYPTO:
        o->crypto = value;
        return true;
    case OPT_SHARED_PORT:
        return o->shared_port = true;
    case OPT_BUSY_POLL:
        return o->busy_poll = true;
    case 'k':
        return o->insecure = true;
    default:
        return take_report(o, option, value);
    }
}

static bool take_request(struct load_opts *o, int option, const char *value)
{
    switch (option) {
    case 'f':
        o->file = value;
        return true;
    case 'X':
        o->method = value;
        return true;
    case 'H':
        return load_field_parse(value, &o->fields, &o->field_count);
    case OPT_DATA:
        free(o->body);
        return load_read_body(value, &o->body, &o->body_len);
    case OPT_HQ:
        return o->hq = true;
    case OPT_STATUS:
        return parse_number(value, 100, 599, &o->status);
    case OPT_LENGTH:
        return parse_number(value, 0, UINT64_MAX - 1, &o->length);
    case OPT_CRC32:
        return load_read_hex(value, &o->crc32);
    case OPT_TIMEOUT:
        return read_time(value, &o->timeout) && o->timeout.ns > 0;
    case OPT_CONNECT_TIMEOUT:
        return read_time(value, &o->connect_timeout) && o->connect_timeout.ns > 0;
    default:
        return take_target(o, option, value);
    }
}

static bool take_amount(struct load_opts *o, int option, const char *value)
{
    switch (option) {
    case 'c':
        return parse_number(value, 1, 1 << 20, &o->connections);
    case 'm':
        return parse_number(value, 1, 10000, &o->streams);
    case 'n':
        return parse_number(value, 1, UINT64_MAX / 2, &o->requests);
    case 'd':
        return read_time(value, &o->duration) && o->duration.ns > 0;
    case 't':
        return parse_number(value, 1, 128, &o->workers);
    case OPT_WARMUP:
        return read_time(value, &o->warmup);
    case OPT_RATE:
        return read_real(value, &o->rate);
    case OPT_CONN_RATE:
        return read_real(value, &o->conn_rate);
    case OPT_CHURN:
        return read_real(value, &o->churn);
    case OPT_PER_CONN:
        return parse_number(value, 1, UINT64_MAX / 2, &o->requests_per_conn);
    case OPT_RESUME:
        return o->resume = true;
    case OPT_EARLY_DATA:
        return o->early_data = true;
    case OPT_CPUS:
        return read_numbers(value, o->cpus, 128, &o->cpu_count, true);
    case OPT_START_AT:
        return take_start_at(o, value);
    default:
        return take_request(o, option, value);
    }
}

static const char *fill_in(struct load_opts *o)
{
    if (o->is_merge)
        return o->url_count > 0 ? NULL : "merge: no reports. Try: plx-load --help";
    if (o->url_count == 0 && o->file == NULL)
        return "no URL. Try: plx-load --help";
    if (o->rate > 0 && o->conn_rate > 0)
        return "--rate and --conn-rate exclude each other: --rate with --churn N opens N connections per second";
    if (o->server_stats != NULL && (o->hq || o->server_pid_count > 0))
        return "--server-stats asks over HTTP/3, and is instead of --server-pid: not with it, nor with --hq";
    if (o->early_data && (!o->resume || o->hq))
        return "--early-data needs --resume, whose sessions allow it, and is of HTTP/3: not with --hq";
    if (o->conn_rate > 0 && o->churn > 0)
        return "--conn-rate and --churn exclude each other: its connections end by themselves";
    if (o->conn_rate > 0 && o->requests_per_conn == 0)
        o->requests_per_conn = 1;
    if (o->connections == 0)
        o->connections = o->conn_rate > 0 ? 4096 : 1;
    if (o->streams == 0)
        o->streams = o->rate > 0 ? 100 : 1;
    if (o->workers == 0)
        o->workers = o->cpu_count > 0 ? o->cpu_count : 1;
    if (o->connections < o->workers)
        return "fewer connections (-c) than workers (-t): every worker needs one";
    if (o->cpu_count > 0 && o->cpu_count < o->workers)
        return "--cpus: fewer CPUs than workers (-t)";
    if (o->duration.ns == 0 && (o->requests == 0 || o->rate > 0 || o->conn_rate > 0))
        o->duration = o->requests > 0 ? (plx_dur){UINT64_C(1) << 56} : PLX_SEC(10);
    return NULL;
}

bool load_options(struct load_opts *o, int argc, char **argv, int *code)
{
    char err[256];
    const char *why;
    int option;

    *o = (struct load_opts){.timeout = PLX_SEC(10),
                            .connect_timeout = PLX_SEC(10),
                            .status = LOAD_ANY,
                            .length = LOAD_ANY,
                            .crc32 = LOAD_ANY,
                            .keylog = getenv("SSLKEYLOGFILE")};
    *code = LOAD_USAGE;
    argc = port_opts_split(&o->port, argc, argv);
    if (argc > 1 && strcmp(argv[1], "merge") == 0) {
        o->is_merge = true;
        argv[1] = argv[0];
        argc--, argv++;
    }
    while ((option = getopt_long(argc, argv, "c:m:n:d:t:f:X:H:kq", longs, NULL)) != -1) {
        if (option == '?')
            return false; // getopt has said what
        if (option == OPT_HELP || option == OPT_VERSION) {
            fputs(option == OPT_HELP ? help : "", stdout);
            if (option == OPT_VERSION)
                printf("plx-load %s\n", plx_version());
            *code = LOAD_OK;
            return false;
        }
        if (option >= PORT_OPT_FIRST && option <= PORT_OPT_LAST) {
            if (port_opts_take(&o->port, option, optarg, err, sizeof err))
                continue;
            fprintf(stderr, "plx-load: %s\n", err);
            return false;
        }
        if (!take_amount(o, option, optarg)) {
            fprintf(stderr, "plx-load: %s: not understood. Try: plx-load --help\n",
                    optarg != NULL ? optarg : "an option");
            return false;
        }
    }
    o->urls = argv + optind;
    o->url_count = argc - optind;
    if ((why = fill_in(o)) == NULL)
        return true;
    fprintf(stderr, "plx-load: %s\n", why);
    return false;
}

void load_options_free(struct load_opts *o)
{
    load_fields_free(o->fields, o->field_count);
    free(o->body);
}
