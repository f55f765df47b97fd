// get.h -- plx-get, in three parts: options.c reads the command line, fetch.c makes the requests, report.c
// what a person sees. main.c joins them.
//
// URLs with the same scheme, host and port share one connection (an origin), and run side by side on it.

#ifndef PLX_APPS_GET_H
#define PLX_APPS_GET_H

#include <plx/plx.h>
#include <stdio.h>

#include "common/port_opts.h"
#include "common/url.h"

// What the program ends with. Curl's numbers where curl has one, so that scripts need not learn new ones.
enum get_exit {
    GET_OK = 0,
    GET_USAGE = 2,
    GET_BAD_URL = 3,
    GET_NO_HOST = 6,
    GET_NO_CONNECTION = 7,
    GET_HTTP_ERROR = 22, // --fail and a status from 400
    GET_WRITE_ERROR = 23,
    GET_READ_ERROR = 26,
    GET_TIMEOUT = 28,
    GET_CERTIFICATE = 60,
    GET_HTTP3 = 95, // the exchange failed on the HTTP/3 or QUIC level
};

struct get_opts {
    const char **urls;
    uint32_t url_count;
    const char **outputs; // -o, in the order of the URLs; fewer is fine
    uint32_t output_count;
    const char *cacert, *ciphers, *groups, *session, *connect_to, *method, *keylog;
    bool insecure, head, verbose, silent, include, fail, early_data;
    struct plx_field *fields; // -H; name and value are NUL-terminated copies
    uint16_t field_count;
    char *data; // -d
    size_t data_len;
    bool has_data;
    uint32_t parallel; // requests at once on one connection
    double max_time, connect_timeout;
    struct port_opts port;
};

struct get_origin;

struct get_transfer {
    const char *text; // the URL as given
    struct url url;
    struct get_origin *origin;
    struct get_transfer *next; // of the same origin, not started yet
    FILE *out;
    const char *out_name;
    struct plx_h3_req *req;
    uint64_t received, expected; // PLX_H3_LENGTH_UNKNOWN when the server did not say
    size_t sent;
    uint16_t status;
    bool is_complete, is_over;
};

struct get_origin {
    struct url url;
    struct plx_addr addr;
    struct plx_h3_conn *conn;
    struct get_transfer *waiting, **waiting_tail;
    uint32_t running;
    bool is_open, is_closed, has_session;
};

struct get {
    struct get_opts opts;
    struct plx_engine *engine;
    struct plx_core *core;
    struct get_transfer *transfers;
    struct get_origin *origins;
    uint32_t origin_count, done;
    uint8_t *session; // --session: what the file held
    size_t session_len;
    plx_time started, ended, finish_by;
    enum get_exit exit; // the first thing that went wrong
    bool is_finishing, is_tty;
    int bar_width;
};

// options.c: false: the program ends with *code (help was printed, or what is wrong).
bool get_options(struct get_opts *o, int argc, char **argv, int *code);
void get_options_free(struct get_opts *o);

// fetch.c
extern const struct plx_h3_handler get_handler;
bool get_prepare(struct get *g);
void *get_start(void *ctx, struct plx_core *core);
void get_fail(struct get *g, enum get_exit code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void get_finish_if_done(struct get *g);
void get_cleanup(struct get *g);

// report.c
void get_tick(void *ctx, struct plx_core *core, plx_time now);
void get_clear_line(struct get *g);
void get_say_connection(struct get *g, struct plx_h3_conn *conn);
void get_say_end(struct get *g, struct plx_conn *conn);
void get_say_head(struct get *g, const struct get_transfer *t, const struct plx_h3_head *head);

#endif
