// log.c -- the access log: one line a request, when it is over.
//
//   2026-11-20T22:41:07.123Z 192.0.2.7:50123 GET /index.html 200 1234 0.412ms core=0
//
// The request that ended early says how: error=0x10c. Octets are those of the body that was to be sent. Control characters,
// blanks and non-ASCII in the path are shown percent-encoded, so that a line is a line. Each worker writes whole lines through its
// own buffer into one file opened for appending.

#include <errno.h>
#include <string.h>

#include "serve.h"

FILE *log_open(const char *path, char *err, size_t err_len)
{
    FILE *f = strcmp(path, "-") == 0 ? stdout : fopen(path, "ae");

    if (f == NULL)
        snprintf(err, err_len, "--access-log %s: %s", path, strerror(errno));
    else
        setvbuf(f, NULL, _IOLBF, 1 << 14);
    return f;
}

static size_t put_path(char *out, size_t cap, const char *path, size_t len)
{
    size_t n = 0;

    for (size_t i = 0; i < len && n + 4 < cap; i++) {
        unsigned char c = (unsigned char)path[i];
        if (c > 0x20 && c < 0x7f)
            out[n++] = (char)c;
        else
            n += (size_t)snprintf(out + n, cap - n, "%%%02X", c);
    }
    out[n] = '\0';
    return n;
}

void log_request(struct site *s, struct plx_h3_req *req, const char *method, size_t method_len,
                 const char *path, size_t path_len, uint16_t status, uint64_t octets, plx_time began,
                 uint64_t code)
{
    char peer[PLX_ADDR_STRLEN], when[32], shown[2 * NAME_MAX_LEN], verb[32], error[40] = "";
    struct plx_conn_info info;
    struct timespec now;
    struct tm tm;

    plx_conn_info(plx_h3_conn_transport(plx_h3_req_conn(req)), &info);
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm);
    put_path(shown, sizeof shown, path, path_len);
    put_path(verb, sizeof verb, method, method_len);
    if (code != PLX_H3_NO_ERROR)
        snprintf(error, sizeof error, " error=0x%llx", (unsigned long long)code);
    fprintf(s->log, "%s.%03ldZ %s %s %s %u %llu %.3fms core=%u%s\n", when, now.tv_nsec / 1000000,
            plx_addr_str(&info.peer, peer), verb, shown, status, (unsigned long long)octets,
            (double)(plx_core_now(s->core).ns - began.ns) / 1e6, info.core, error);
}
