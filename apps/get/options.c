// options.c -- the command line of plx-get.

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "get.h"

static const char help[] =
    "usage: plx-get [OPTION]… URL…\n"
    "\n"
    "Fetches URLs over HTTP/3. Those of one origin share a connection and run side by side.\n"
    "\n"
    "  -o FILE               write the body there (- for standard output, the default); again for the next URL\n"
    "  -I                    HEAD: show the fields, no body\n"
    "  -i                    show the response's fields before the body\n"
    "  -H NAME:VALUE         add a request field; again for more\n"
    "  -d DATA               send DATA as the body of a POST; @FILE takes it from a file, @- from standard input\n"
    "  -X METHOD             another method\n"
    "  -f, --fail            exit with 22 when the status is 400 or above\n"
    "  -v                    tell version, cipher, group, round trip, packets lost, and all fields\n"
    "  -s                    no progress, no messages but errors\n"
    "  --cacert FILE         trust the certificates in FILE (PEM) instead of the system's\n"
    "  --insecure, -k        do not verify the server\n"
    "  --connect-to ADDRESS:PORT  go there, whatever the URL's host is\n"
    "  --session FILE        resume from the session in FILE when there is one, and keep the new one there\n"
    "  --early-data          with --session: send GET, HEAD and OPTIONS in early data (0-RTT) if the session allows it\n"
    "  --parallel N          requests at once on one connection (default 64)\n"
    "  --max-time SECONDS    give up after so long\n"
    "  --connect-timeout SECONDS  give up connecting after so long (default 10)\n"
    "  --ciphers LIST, --groups LIST  TLS 1.3 ciphersuites and key exchange groups, in order of preference\n"
    "  --keylog FILE         append TLS secrets (default: $SSLKEYLOGFILE)\n" PORT_OPTS_HELP //
    "  --help, --version\n"
    "\n"
    "Exit status: 0 all went well, 2 usage, 3 bad URL, 6 unknown host, 7 no connection, 22 HTTP error (with --fail),\n"
    "23 cannot write, 26 cannot read, 28 time is up, 60 certificate refused, 95 HTTP/3 or QUIC error.\n"
    "\n"
    "Examples:\n"
    "  plx-get https://localhost:4433/\n"
    "  plx-get -v --cacert cert.pem -o a.bin -o b.bin https://localhost:4433/a https://localhost:4433/b\n"
    "  plx-get --driver ethdev --ip 10.7.0.2/24 https://10.7.0.1/ -- --no-pci --vdev net_af_xdp0,iface=veth0\n";

enum {
    OPT_CACERT = 2000,
    OPT_CONNECT_TO,
    OPT_SESSION,
    OPT_EARLY_DATA,
    OPT_PARALLEL,
    OPT_MAX_TIME,
    OPT_CONNECT_TIMEOUT,
    OPT_CIPHERS,
    OPT_GROUPS,
    OPT_KEYLOG,
    OPT_HELP,
    OPT_VERSION
};

static bool read_all(FILE *f, char **out, size_t *len)
{
    size_t cap = 1 << 16;
    *len = 0;
    *out = malloc(cap);
    for (size_t n; *out != NULL; *len += n) {
        if (*len == cap && (*out = realloc(*out, cap *= 2)) == NULL)
            break;
        n = fread(*out + *len, 1, cap - *len, f);
        if (n == 0)
            return ferror(f) == 0;
    }
    return false;
}

static bool take_data(struct get_opts *o, const char *value, int *code)
{
    o->has_data = true;
    if (value[0] != '@') {
        o->data = strdup(value);
        o->data_len = strlen(value);
        return o->data != NULL;
    }
    FILE *f = strcmp(value, "@-") == 0 ? stdin : fopen(value + 1, "rb");
    if (f != NULL && read_all(f, &o->data, &o->data_len)) {
        if (f != stdin)
            fclose(f);
        return true;
    }
    fprintf(stderr, "plx-get: -d %s: %s\n", value, strerror(errno));
    if (f != NULL && f != stdin)
        fclose(f);
    *code = GET_READ_ERROR;
    return false;
}

static bool take_field(struct get_opts *o, const char *text)
{
    const char *colon = strchr(text, ':');
    char *copy = colon != NULL && colon != text ? strdup(text) : NULL;
    struct plx_field *list = copy != NULL ? realloc(o->fields, (o->field_count + 1u) * sizeof *list) : NULL;

    if (list == NULL) {
        free(copy);
        fprintf(stderr, "plx-get: -H %s: want NAME:VALUE\n", text);
        return false;
    }
    o->fields = list;
    size_t name_len = (size_t)(colon - text);
    copy[name_len] = '\0';
    for (size_t i = 0; i < name_len; i++)
        copy[i] = (char)tolower((unsigned char)copy[i]); // RFC 9114 section 4.2: lower case on the wire
    const char *value = copy + name_len + 1;
    value += strspn(value, " \t");
    o->fields[o->field_count++] = (struct plx_field){
        .name = copy, .name_len = (uint32_t)name_len, .value = value, .value_len = (uint32_t)strlen(value)};
    return true;
}

static bool take_seconds(const char *name, const char *value, double *out)
{
    char *end;
    *out = strtod(value, &end);
    if (end != value && *end == '\0' && *out > 0 && *out < 1e6)
        return true;
    fprintf(stderr, "plx-get: --%s %s: want seconds\n", name, value);
    return false;
}

static bool take_long(struct get_opts *o, int option, const char *value)
{
    char err[256];
    uint64_t n;

    switch (option) {
    case OPT_CACERT:
        o->cacert = value;
        return true;
    case OPT_CONNECT_TO:
        o->connect_to = value;
        return true;
    case OPT_SESSION:
        o->session = value;
        return true;
    case OPT_EARLY_DATA:
        return o->early_data = true;
    case OPT_CIPHERS:
        o->ciphers = value;
        return true;
    case OPT_GROUPS:
        o->groups = value;
        return true;
    case OPT_KEYLOG:
        o->keylog = value;
        return true;
    case OPT_MAX_TIME:
        return take_seconds("max-time", value, &o->max_time);
    case OPT_CONNECT_TIMEOUT:
        return take_seconds("connect-timeout", value, &o->connect_timeout);
    case OPT_PARALLEL:
        if (parse_number(value, 1, 1000000, &n)) {
            o->parallel = (uint32_t)n;
            return true;
        }
        fprintf(stderr, "plx-get: --parallel %s: want a number from 1\n", value);
        return false;
    default:
        if (port_opts_take(&o->port, option, value, err, sizeof err))
            return true;
        fprintf(stderr, "plx-get: %s\n", err);
        return false;
    }
}

static bool take_option(struct get_opts *o, int option, const char *value, int *code)
{
    switch (option) {
    case 'o':
        o->outputs[o->output_count++] = value;
        return true;
    case 'I':
        return o->head = true;
    case 'i':
        return o->include = true;
    case 'H':
        return take_field(o, value);
    case 'd':
        return take_data(o, value, code);
    case 'X':
        o->method = value;
        return true;
    case 'f':
        return o->fail = true;
    case 'v':
        return o->verbose = true;
    case 's':
        return o->silent = true;
    case 'k':
        return o->insecure = true;
    case OPT_HELP:
        fputs(help, stdout);
        *code = GET_OK;
        return false;
    case OPT_VERSION:
        printf("plx-get %s\n", plx_version());
        *code = GET_OK;
        return false;
    case '?':
        return false; // getopt has said what
    default:
        return take_long(o, option, value);
    }
}

bool get_options(struct get_opts *o, int argc, char **argv, int *code)
{
    static const struct option longs[] = {
        {"cacert", required_argument, NULL, OPT_CACERT},
        {"insecure", no_argument, NULL, 'k'},
        {"connect-to", required_argument, NULL, OPT_CONNECT_TO},
        {"session", required_argument, NULL, OPT_SESSION},
        {"early-data", no_argument, NULL, OPT_EARLY_DATA},
        {"parallel", required_argument, NULL, OPT_PARALLEL},
        {"max-time", required_argument, NULL, OPT_MAX_TIME},
        {"connect-timeout", required_argument, NULL, OPT_CONNECT_TIMEOUT},
        {"ciphers", required_argument, NULL, OPT_CIPHERS},
        {"groups", required_argument, NULL, OPT_GROUPS},
        {"keylog", required_argument, NULL, OPT_KEYLOG},
        {"fail", no_argument, NULL, 'f'},
        {"head", no_argument, NULL, 'I'},
        {"include", no_argument, NULL, 'i'},
        {"output", required_argument, NULL, 'o'},
        {"header", required_argument, NULL, 'H'},
        {"data", required_argument, NULL, 'd'},
        {"request", required_argument, NULL, 'X'},
        {"verbose", no_argument, NULL, 'v'},
        {"silent", no_argument, NULL, 's'},
        PORT_OPTS_LONG,
        {"help", no_argument, NULL, OPT_HELP},
        {"version", no_argument, NULL, OPT_VERSION},
        {0},
    };
    int option;

    *o = (struct get_opts){.parallel = 64, .connect_timeout = 10, .keylog = getenv("SSLKEYLOGFILE")};
    *code = GET_USAGE;
    argc = port_opts_split(&o->port, argc, argv);
    o->outputs = calloc((size_t)argc + 1, sizeof *o->outputs);
    if (o->outputs == NULL)
        return false;
    while ((option = getopt_long(argc, argv, "o:IiH:d:X:fvsk", longs, NULL)) != -1)
        if (!take_option(o, option, optarg, code))
            return false;
    o->urls = (const char **)argv + optind;
    o->url_count = (uint32_t)(argc - optind);
    if (o->early_data && o->session == NULL) {
        fprintf(stderr, "plx-get: --early-data needs --session FILE: a session allows it\n");
        return false;
    }
    if (o->url_count > 0)
        return true;
    fprintf(stderr, "plx-get: no URL. Try: plx-get --help\n");
    return false;
}

void get_options_free(struct get_opts *o)
{
    for (uint16_t i = 0; i < o->field_count; i++)
        free((char *)(uintptr_t)o->fields[i].name);
    free(o->fields);
    free(o->outputs);
    free(o->data);
}
