// options.c -- the command line of plx-serve.

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "serve.h"

static const char help[] =
    "usage: plx-serve --cert FILE --key FILE [--listen ADDRESS:PORT] [--root FOLDER] [OPTION]… [-- EAL ARGUMENTS]\n"
    "\n"
    "Serves the files of a folder over HTTP/3.\n"
    "\n"
    "  --listen ADDRESS:PORT where to serve (default 127.0.0.1:4433); again for more\n"
    "  --root FOLDER         what to serve (default: the current folder)\n"
    "  --cert FILE --key FILE  certificate with its chain, and its key (PEM); again for more names: SNI chooses\n"
    "  --index NAME          file that stands for a folder (default index.html)\n"
    "  --workers N           cores to use (default 1)\n"
    "  --config FILE         settings from a file; what stands on the command line wins.\n"
    "  --access-log FILE     one line a request (- for standard output)\n"
    "  --echo PATH           a resource that sends back the body of what is sent to it\n"
    "  --counters PATH       a resource that tells what the server has done, as Prometheus reads it\n"
    "  --hq                  also speak hq-interop (HTTP/0.9 over QUIC), for tests and benchmarks\n"
    "  --retry auto|always|never  validate addresses before a handshake (default auto: when busy)\n"
    "  --congestion cubic|newreno\n"
    "  --ciphers LIST, --groups LIST  TLS 1.3 ciphersuites and key exchange groups, in order of preference\n"
    "                        (default TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256,\n"
    "                        X25519MLKEM768:X25519:P-256:P-384)\n"
    "  --crypto NAME         packet protection: ipsecmb, openssl, or ipsecmb:sse, :avx2, :avx512 (default the best here)\n"
    "  --tickets N           session tickets per handshake (default 1, 0: no resumption)\n"
    "  --early-data          answer GET, HEAD and OPTIONS in early data (0-RTT), which may be replayed\n"
    "  --key-update N        new packet keys after N packets (default: only near the cipher's limit)\n"
    "  --conns N --handshakes N --streams N  most of each per worker (default 16384, 2048, 12 per connection)\n"
    "  --buffers MIB         memory for send and receive buffers per worker (default 512)\n"
    "  --cache MIB           memory for files that are kept whole, per worker (default 256)\n"
    "  --cache-file KIB      files up to this are kept whole (default 256); the first request for one waits until it is read\n"
    "  --idle-timeout MS     (default 30000)\n"
    "  --hibernate-after MS  a connection that was quiet for so long keeps a compact record only (default 10000, 0: never)\n"
    "  --hibernated N        most of those per worker, besides --conns (default 65536)\n"
    "  --grace MS            how long SIGTERM lets requests finish (default 10000)\n"
    "  --busy-poll           never sleep, also on kernel sockets\n"
    "  --keylog FILE         append TLS secrets (default: $SSLKEYLOGFILE)\n"
    "  --stats               print counters at the end\n"
    "  -q, --quiet           no line at start\n" PORT_OPTS_HELP //
    "  --help, --version\n"
    "\n"
    "SIGTERM or SIGINT: no new connections, running requests finish, then the end. Again: the end at once.\n"
    "\n"
    "Examples:\n"
    "  plx-serve --cert cert.pem --key key.pem --root site\n"
    "  plx-serve --listen 0.0.0.0:443 --listen [::]:443 --workers 4 --cert c.pem --key k.pem --root /srv/www\n"
    "  plx-serve --driver ethdev --ip 10.7.0.1/24 --listen 10.7.0.1:443 --cert c.pem --key k.pem --root site \\\n"
    "            -- --no-pci --no-huge -m 512 --vdev net_af_xdp0,iface=veth0\n";

enum {
    OPT_LISTEN = 2000,
    OPT_ROOT,
    OPT_CERT,
    OPT_KEY,
    OPT_INDEX,
    OPT_WORKERS,
    OPT_CONFIG,
    OPT_ACCESS_LOG,
    OPT_ECHO,
    OPT_COUNTERS,
    OPT_HQ,
    OPT_RETRY,
    OPT_CONGESTION,
    OPT_CIPHERS,
    OPT_GROUPS,
    OPT_CRYPTO,
    OPT_TICKETS,
    OPT_EARLY_DATA,
    OPT_KEY_UPDATE,
    OPT_CONNS,
    OPT_HANDSHAKES,
    OPT_STREAMS,
    OPT_BUFFERS,
    OPT_CACHE,
    OPT_CACHE_FILE,
    OPT_IDLE_TIMEOUT,
    OPT_HIBERNATE_AFTER,
    OPT_HIBERNATED,
    OPT_GRACE,
    OPT_BUSY_POLL,
    OPT_KEYLOG,
    OPT_STATS,
    OPT_HELP,
    OPT_VERSION
};

static bool number(const char *name, const char *value, uint64_t min, uint64_t max, uint64_t *out)
{
    if (parse_number(value, min, max, out))
        return true;
    fprintf(stderr, "plx-serve: --%s %s: want a number from %llu to %llu\n", name, value,
            (unsigned long long)min, (unsigned long long)max);
    return false;
}

static bool take_listen(struct serve_opts *o, const char *value)
{
    if (o->listen_count == LISTEN_MAX) {
        fprintf(stderr, "plx-serve: --listen: at most %d addresses\n", LISTEN_MAX);
        return false;
    }
    if (plx_addr_parse(value, &o->listen[o->listen_count])) {
        o->listen_count++;
        return true;
    }
    fprintf(stderr, "plx-serve: --listen %s: want ADDRESS:PORT, for example 0.0.0.0:443 or [::]:443\n",
            value);
    return false;
}

static bool one_of(const char *name, const char *value, const char *const *list, const char **out)
{
    for (; *list != NULL; list++)
        if (strcmp(value, *list) == 0) {
            *out = *list;
            return true;
        }
    fprintf(stderr, "plx-serve: --%s %s: not one of its values, see --help\n", name, value);
    return false;
}

static bool take_cert(struct serve_opts *o, const char *value, bool is_key)
{
    struct plx_cert *c = o->cert_count > 0 ? &o->certs[o->cert_count - 1] : NULL;

    // --cert and --key come in pairs, in either order.
    if (c != NULL && (is_key ? c->key_file : c->cert_file) == NULL) {
        *(is_key ? &c->key_file : &c->cert_file) = value;
        return true;
    }
    if (o->cert_count == CERTS_MAX) {
        fprintf(stderr, "plx-serve: at most %d certificates\n", CERTS_MAX);
        return false;
    }
    c = &o->certs[o->cert_count++];
    *c = (struct plx_cert){is_key ? NULL : value, is_key ? value : NULL};
    return true;
}

static bool take_numbers(struct serve_opts *o, int option, const char *value)
{
    switch (option) {
    case OPT_WORKERS:
        return number("workers", value, 1, 128, &o->workers);
    case OPT_TICKETS:
        return number("tickets", value, 0, 16, &o->tickets);
    case OPT_KEY_UPDATE:
        return number("key-update", value, 1, UINT64_C(1) << 62, &o->key_update_packets);
    case OPT_CONNS:
        return number("conns", value, 1, 1 << 24, &o->conns_max);
    case OPT_HANDSHAKES:
        return number("handshakes", value, 1, 1 << 24, &o->handshakes_max);
    case OPT_STREAMS:
        return number("streams", value, 1, 1 << 26, &o->streams_max);
    case OPT_BUFFERS:
        return number("buffers", value, 4, 1 << 20, &o->buffer_memory);
    case OPT_CACHE:
        return number("cache", value, 0, 1 << 20, &o->cache_memory);
    case OPT_CACHE_FILE:
        return number("cache-file", value, 0, 1 << 30, &o->cache_file_max);
    case OPT_IDLE_TIMEOUT:
        return number("idle-timeout", value, 100, 86400000, &o->idle_timeout_ms);
    case OPT_HIBERNATE_AFTER:
        return number("hibernate-after", value, 0, 86400000, &o->hibernate_after_ms);
    case OPT_HIBERNATED:
        return number("hibernated", value, 1, 1 << 26, &o->hibernated_max);
    default:
        return number("grace", value, 0, 86400000, &o->grace_ms);
    }
}

static bool take_option(struct serve_opts *o, int option, const char *value, int *code)
{
    static const char *const retries[] = {"auto", "always", "never", NULL};
    static const char *const controls[] = {"cubic", "newreno", NULL};
    char err[512];

    switch (option) {
    // clang-format off
    case OPT_LISTEN: return take_listen(o, value);
    case OPT_ROOT: o->root = value; return true;
    case OPT_CERT: return take_cert(o, value, false);
    case OPT_KEY: return take_cert(o, value, true);
    case OPT_INDEX: o->index = value; return true;
    case OPT_ACCESS_LOG: o->access_log = value; return true;
    case OPT_ECHO: o->echo = value; return true;
    case OPT_COUNTERS: o->counters = value; return true;
    case OPT_HQ: return o->has_hq = true;
    case OPT_RETRY: return one_of("retry", value, retries, &o->retry);
    case OPT_CONGESTION: return one_of("congestion", value, controls, &o->congestion);
    case OPT_CIPHERS: o->ciphers = value; return true;
    case OPT_GROUPS: o->groups = value; return true;
    case OPT_CRYPTO: o->crypto = value; return true;
    case OPT_BUSY_POLL: return o->busy_poll = true;
    case OPT_EARLY_DATA: return o->early_data = true;
    case OPT_KEYLOG: o->keylog = value; return true;
    case OPT_STATS: return o->stats = true;
    case 'q': return o->quiet = true;
    case OPT_CONFIG: return true; // read before the command line
    // clang-format on
    case OPT_HELP:
        fputs(help, stdout);
        *code = 0;
        return false;
    case OPT_VERSION:
        printf("plx-serve %s\n", plx_version());
        *code = 0;
        return false;
    case '?':
        return false;
    default:
        if (option >= OPT_LISTEN)
            return take_numbers(o, option, value);
        if (port_opts_take(&o->port, option, value, err, sizeof err))
            return true;
        fprintf(stderr, "plx-serve: %s\n", err);
        return false;
    }
}

static const struct option longs[] = {
    {"listen", required_argument, NULL, OPT_LISTEN},
    {"root", required_argument, NULL, OPT_ROOT},
    {"cert", required_argument, NULL, OPT_CERT},
    {"key", required_argument, NULL, OPT_KEY},
    {"index", required_argument, NULL, OPT_INDEX},
    {"workers", required_argument, NULL, OPT_WORKERS},
    {"config", required_argument, NULL, OPT_CONFIG},
    {"access-log", required_argument, NULL, OPT_ACCESS_LOG},
    {"echo", required_argument, NULL, OPT_ECHO},
    {"counters", required_argument, NULL, OPT_COUNTERS},
    {"hq", no_argument, NULL, OPT_HQ},
    {"retry", required_argument, NULL, OPT_RETRY},
    {"congestion", required_argument, NULL, OPT_CONGESTION},
    {"ciphers", required_argument, NULL, OPT_CIPHERS},
    {"groups", required_argument, NULL, OPT_GROUPS},
    {"crypto", required_argument, NULL, OPT_CRYPTO},
    {"tickets", required_argument, NULL, OPT_TICKETS},
    {"early-data", no_argument, NULL, OPT_EARLY_DATA},
    {"key-update", required_argument, NULL, OPT_KEY_UPDATE},
    {"conns", required_argument, NULL, OPT_CONNS},
    {"handshakes", required_argument, NULL, OPT_HANDSHAKES},
    {"streams", required_argument, NULL, OPT_STREAMS},
    {"buffers", required_argument, NULL, OPT_BUFFERS},
    {"cache", required_argument, NULL, OPT_CACHE},
    {"cache-file", required_argument, NULL, OPT_CACHE_FILE},
    {"idle-timeout", required_argument, NULL, OPT_IDLE_TIMEOUT},
    {"hibernate-after", required_argument, NULL, OPT_HIBERNATE_AFTER},
    {"hibernated", required_argument, NULL, OPT_HIBERNATED},
    {"grace", required_argument, NULL, OPT_GRACE},
    {"busy-poll", no_argument, NULL, OPT_BUSY_POLL},
    {"keylog", required_argument, NULL, OPT_KEYLOG},
    {"stats", no_argument, NULL, OPT_STATS},
    {"quiet", no_argument, NULL, 'q'},
    PORT_OPTS_LONG,
    {"help", no_argument, NULL, OPT_HELP},
    {"version", no_argument, NULL, OPT_VERSION},
    {0},
};

bool serve_option_by_name(struct serve_opts *o, const char *name, const char *value, bool is_flag_on)
{
    int code;

    for (const struct option *l = longs; l->name != NULL; l++) {
        if (strcmp(l->name, name) != 0 || l->val == OPT_CONFIG || l->val == OPT_HELP || l->val == OPT_VERSION)
            continue;
        if (l->has_arg == no_argument)
            return !is_flag_on || take_option(o, l->val, NULL, &code);
        return value != NULL && take_option(o, l->val, value, &code);
    }
    return false;
}

// The configuration file is read first, so that the command line can change what it says.
static bool read_config(struct serve_opts *o, int argc, char **argv)
{
    char err[512];

    for (int i = 1; i < argc; i++) {
        const char *file = NULL;
        if (strcmp(argv[i], "--config") == 0 && i + 1 < argc)
            file = argv[i + 1];
        else if (strncmp(argv[i], "--config=", 9) == 0)
            file = argv[i] + 9;
        if (file == NULL || serve_config_read(o, file, err, sizeof err))
            continue;
        fprintf(stderr, "plx-serve: %s\n", err);
        return false;
    }
    return true;
}

static bool check(struct serve_opts *o)
{
    if (o->listen_count == 0 && !plx_addr_parse("127.0.0.1:4433", &o->listen[o->listen_count++]))
        return false;
    if (o->cert_count == 0) {
        fprintf(
            stderr,
            "plx-serve: HTTP/3 needs a certificate: --cert FILE --key FILE. To make one for trying:\n"
            "  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost \\\n"
            "    -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout key.pem -out cert.pem\n");
        return false;
    }
    if (o->cache_file_max > WHOLE_MAX && o->cache_file_max > o->cache_memory) {
        fprintf(stderr,
                "plx-serve: --cache-file %llu: more than the cache, which has %llu KiB: raise --cache\n",
                (unsigned long long)o->cache_file_max >> 10, (unsigned long long)o->cache_memory >> 10);
        return false;
    }
    for (size_t i = 0; i < o->cert_count; i++)
        if (o->certs[i].cert_file == NULL || o->certs[i].key_file == NULL) {
            fprintf(stderr, "plx-serve: every --cert needs its --key: %s has none\n",
                    o->certs[i].cert_file != NULL ? o->certs[i].cert_file : o->certs[i].key_file);
            return false;
        }
    return true;
}

bool serve_options(struct serve_opts *o, int argc, char **argv, int *code)
{
    int option;

    *o = (struct serve_opts){.root = ".",
                             .index = "index.html",
                             .workers = 1,
                             .conns_max = 16384,
                             .handshakes_max = 2048,
                             .streams_max = 0, // by conns_max
                             .buffer_memory = 512,
                             .cache_memory = 256,
                             .cache_file_max = WHOLE_MAX >> 10,
                             .idle_timeout_ms = 30000,
                             .hibernate_after_ms = 10000,
                             .hibernated_max = 65536,
                             .grace_ms = 10000,
                             .tickets = 1,
                             .retry = "auto",
                             .congestion = "cubic",
                             .keylog = getenv("SSLKEYLOGFILE")};
    *code = 2;
    argc = port_opts_split(&o->port, argc, argv);
    if (!read_config(o, argc, argv))
        return false;
    bool has_listen = false, has_cert = false; // lists on the command line take the place of the file's
    while ((option = getopt_long(argc, argv, "q", longs, NULL)) != -1) {
        if (option == OPT_LISTEN && !has_listen)
            has_listen = true, o->listen_count = 0;
        if ((option == OPT_CERT || option == OPT_KEY) && !has_cert)
            has_cert = true, o->cert_count = 0;
        if (!take_option(o, option, optarg, code))
            return false;
    }
    if (optind < argc) {
        fprintf(stderr, "plx-serve: what is \"%s\"? See --help\n", argv[optind]);
        return false;
    }
    o->buffer_memory <<= 20;
    o->cache_memory <<= 20;
    o->cache_file_max <<= 10;
    if (o->streams_max == 0)
        o->streams_max = o->conns_max * 12 < 1 << 26 ? o->conns_max * 12 : 1 << 26;
    return check(o);
}
