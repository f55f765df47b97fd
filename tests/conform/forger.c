// forger.c -- provokes every error code that our server can send, and sees it come.
//
// For every code of RFC 9000 section 20.1, RFC 9114 section 8.1 and RFC 9204 section 6 there is a row in one of the tables, each a
// connection of its own to the real engine (stand.h): what the client does wrong, and the code that it hears for it. After the last row
// codes.def is gone through: a code that nobody has heard is a failure, and so is one that should never be heard. At the end of each row
// all that the engines own must be back in its pool.
//
// forger [TEXT]: only rows whose name contains TEXT; codes.def is not gone through then. One line for each failure, one at the end.

#include "tests/conform/forger.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *only;
static unsigned passed, failed;
static struct {
    enum forger_space space;
    uint64_t code;
} seen[256];
static unsigned seen_count;

void forger_saw(enum forger_space space, uint64_t code)
{
    for (unsigned i = 0; i < seen_count; i++)
        if (seen[i].space == space && seen[i].code == code)
            return;
    plx_check(seen_count < sizeof seen / sizeof *seen);
    seen[seen_count].space = space;
    seen[seen_count++].code = code;
}

static bool is_seen(enum forger_space space, uint64_t code)
{
    for (unsigned i = 0; i < seen_count; i++)
        if (seen[i].space == space && seen[i].code == code)
            return true;
    return false;
}

void forger_row(const char *part, const char *name, bool ok, const char *what, ...)
{
    va_list ap;

    if (ok) {
        passed++;
        return;
    }
    failed++;
    printf("FAILED %s: %s: ", part, name);
    va_start(ap, what);
    vprintf(what, ap);
    va_end(ap);
    printf("\n");
}

void forger_expect_close(struct stand *s, const char *part, const char *name, enum forger_space space,
                         uint64_t code)
{
    bool is_h3 = space == H3;

    stand_run_closed(s);
    bool ok = s->is_closed && s->why.is_peer && s->why.code == code &&
              s->why.how == (is_h3 ? PLX_CLOSE_APPLICATION : PLX_CLOSE_TRANSPORT);
    if (s->is_closed && s->why.is_peer)
        forger_saw(s->why.how == PLX_CLOSE_APPLICATION ? H3 : QUIC, s->why.code);
    struct plx_close_info why = s->why;
    bool is_closed = s->is_closed, is_home = stand_fini(s);
    forger_row(part, name, ok, "wanted code 0x%llx, got %s: way %d, code 0x%llx, by the %s: %s",
               (unsigned long long)code, is_closed ? "an end" : "no end", (int)why.how,
               (unsigned long long)why.code, why.is_peer ? "server" : "client", why.reason);
    forger_row(part, name, is_home, "something was not given back");
}

void forger_expect_fine(struct stand *s, const char *part, const char *name)
{
    stand_run(s, PLX_MS(300));
    bool ok = s->conn != NULL && plx_conn_state(s->conn) == PLX_CONN_CONFIRMED;
    if (ok) {
        plx_conn_ping(s->conn);
        uint64_t before = s->conn->packets_rx;
        stand_run(s, PLX_SEC(1));
        ok = s->conn != NULL && s->conn->packets_rx > before;
    }
    forger_row(part, name, ok, "the connection did not survive: code 0x%llx: %s",
               (unsigned long long)s->why.code, s->why.reason);
    forger_row(part, name, stand_fini(s), "something was not given back");
}

static void check_codes(void)
{
#define SEEN(space, name, code, how) \
    forger_row("codes", #name, is_seen(space, code), "no row has seen it come from the server: %s", how);
#define NEVER(space, name, code, why) \
    forger_row("codes", #name, !is_seen(space, code), "was seen, but codes.def says never: %s", why);
#include "tests/conform/codes.def"
#undef SEEN
#undef NEVER
}

bool forger_wants(const char *name)
{
    return only == NULL || strstr(name, only) != NULL;
}

int main(int argc, char **argv)
{
    only = argc > 1 ? argv[1] : NULL;
    forger_frames();
    forger_tls();
    forger_admission();
    forger_http();
    if (only == NULL)
        check_codes();
    printf("forger: %u passed, %u failed\n", passed, failed);
    return failed == 0 && passed > 0 ? 0 : 1;
}
