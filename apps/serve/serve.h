// serve.h -- plx-serve: a file server over HTTP/3.
//
//   options.c  the command line and the configuration file       path.c   from :path to a name below the root
//   files.c    open files and their cache, per worker            answer.c conditional requests, ranges, the response
//   stream.c   bodies of files that are too large for memory     echo.c   a resource that sends back what it is sent
//   log.c      the access log                                    hq.c     the same files over HTTP/0.9 (hq-interop)
//
// Each worker has its own cache (struct site) and shares nothing with the others. A small file is read once and its answer
// prepared whole; a request for it then queues one pointer. A large file is read in blocks as the peer takes them.

#ifndef PLX_APPS_SERVE_H
#define PLX_APPS_SERVE_H

#include <plx/plx.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "common/port_opts.h"

enum {
    LISTEN_MAX = 16,
    CERTS_MAX = 64,
    NAME_MAX_LEN = 2048,   // longest name below the root
    WHOLE_MAX = 256 << 10, // files up to here are read whole, if not said otherwise
    BLOCK_LEN = 64 << 10,  // large files are read in pieces of this
    AHEAD_MAX = 4 << 20,   // octets of one response that may wait for acknowledgement
    CACHE_BUCKETS = 4096,
};

struct serve_opts {
    struct plx_addr listen[LISTEN_MAX];
    uint16_t listen_count;
    struct plx_cert certs[CERTS_MAX];
    size_t cert_count;
    const char *root, *index, *echo, *counters, *access_log, *keylog, *ciphers, *groups, *crypto, *retry,
        *congestion;
    uint64_t workers, conns_max, handshakes_max, streams_max, buffer_memory, cache_memory, cache_file_max,
        idle_timeout_ms, hibernate_after_ms, hibernated_max, grace_ms, tickets;
    uint64_t key_update_packets;
    bool busy_poll, quiet, has_hq, stats, early_data;
    struct port_opts port;
    void *config; // what the strings of a configuration file live in
};

// --- a file in a worker's cache ---------------------------------------------------------------------------------

struct file {
    struct plx_owner owner;     // releases one user
    struct file *next;          // of its bucket
    struct file *newer, *older; // by last use
    struct site *site;
    char *name;     // below the root, as the request path's key
    uint32_t users; // the cache, and every response under way
    bool is_cached;
    uint64_t size;
    struct timespec mtime;
    ino_t inode;
    dev_t device;
    int fd;           // large files; -1 otherwise
    uint8_t *body;    // small files
    plx_time checked; // when it was last compared with what lies on the disk
    const char *type;
    char etag[64], modified[40];
    struct plx_h3_block *block; // small files: the whole answer to a plain GET
};

struct block { // of a large file, on its way out
    struct plx_owner owner;
    struct site *site;
    struct block *next;
    uint8_t data[BLOCK_LEN];
};

// A path as clients write it, and the file of the cache that it names: nothing is decoded, and no name compared, for what is asked for again and
// again. Emptied when the file leaves the cache.
enum { ROUTES = 128, ROUTE_LEN_MAX = 112 };
struct route {
    struct file *file; // NULL: empty
    uint32_t len;
    char path[ROUTE_LEN_MAX];
};

struct site { // of one worker
    const struct serve_opts *opts;
    struct plx_core *core;
    const struct plx_engine *engine;
    int root; // folder
    struct file *bucket[CACHE_BUCKETS];
    struct route routes[ROUTES];
    const struct route
        *last_route;    // that led to a file last: nearly everybody asks for the same; NULL: none yet
    struct file newest; // ring of cached files by last use: newest.older is the newest
    uint64_t cached_bytes;
    struct block *free_blocks;
    uint32_t free_block_count;
    FILE *log;
    time_t date_at;
};

// path.c: decodes the path of a request into a name below the root, without leading slash, dot segments resolved, query cut off.
// Returns its length, or -1 when it is malformed or leads outside.
int path_to_name(const char *path, size_t len, char name[NAME_MAX_LEN]);
// The reverse: the path of a URL that names it, with a slash behind and the query of the request. False: longer than cap.
bool path_from_name(const char *name, const char *path, size_t len, char *out, size_t cap);
const char *media_type(const char *name);

// files.c
bool site_init(struct site *s, const struct serve_opts *opts, struct plx_core *core, char *err,
               size_t err_len);
void site_fini(struct site *s);
// The file of that name, with one user more; NULL and an HTTP status in *status. `wants_slash`: it is a folder, and the name lacks its slash.
struct file *site_open(struct site *s, const char *name, uint16_t *status, bool *wants_slash);
// The same for a path that was resolved before, and whose file has been looked at lately, without a user; NULL: take the long way.
struct file *site_route(struct site *s, const struct plx_span *path);
// The long way has led to this file.
void site_route_add(struct site *s, const struct plx_span *path, struct file *f);
void file_release(struct file *f);

// answer.c: what to say to a request. Everything that a response needs, decided before anything is sent.
struct answer {
    uint16_t status;
    struct file *file;   // NULL: text
    uint64_t first, end; // octets of the file
    bool is_head;
    const char *text;                // body of an error
    char location[2 * NAME_MAX_LEN]; // of a folder asked for without its slash
    char range[80];                  // content-range
};
void answer_get(struct site *s, const struct plx_h3_head *head, struct answer *a);
// What answer_get() and answer_send() would come to, when it is the whole of a small file that was answered with before; NULL: ask them.
struct plx_h3_block *answer_prepared(struct site *s, const struct plx_h3_head *head);
enum plx_err answer_send(struct plx_h3_req *req, const struct answer *a, bool *is_streaming);
const char *status_text(uint16_t status);

// stream.c
struct stream *stream_new(struct site *s, struct plx_h3_req *req, struct plx_stream *raw, struct file *f,
                          uint64_t first, uint64_t end);
bool stream_fill(struct stream *t); // false: reading failed, the response must be given up
void stream_free(struct stream *t);
void site_blocks_fini(struct site *s);

// counters.c: the text that tells what the server has done so far, as the whole answer. *octets: of its body.
enum plx_err counters_send(const struct site *s, struct plx_h3_req *req, bool is_head, size_t *octets);

// echo.c
struct echo *echo_new(struct plx_h3_req *req, const struct plx_h3_head *head);
size_t echo_body(struct echo *e, const uint8_t *data, size_t len);
void echo_end(struct echo *e);
void echo_writable(struct echo *e);
void echo_free(struct echo *e);

// log.c
FILE *log_open(const char *path, char *err, size_t err_len);
void log_request(struct site *s, struct plx_h3_req *req, const char *method, size_t method_len,
                 const char *path, size_t path_len, uint16_t status, uint64_t octets, plx_time began,
                 uint64_t code);

// options.c: false: the program ends with *code.
bool serve_options(struct serve_opts *o, int argc, char **argv, int *code);
// The option that a setting of a file stands for: same name, same value; flags take is_flag_on. False: no such option, or a bad value.
bool serve_option_by_name(struct serve_opts *o, const char *name, const char *value, bool is_flag_on);

// config.c
bool serve_config_read(struct serve_opts *o, const char *path, char *err, size_t err_len);
void serve_config_free(struct serve_opts *o);

// handler.c, hq.c
extern const struct plx_h3_handler serve_handler;
extern const struct plx_conn_handler serve_hq_handler;

#endif
