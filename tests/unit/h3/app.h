// app.h -- a program on either side of an HTTP/3 connection, for tests: a server whose paths exercise the interface, and
// a client that remembers what it got.

#ifndef PLX_TESTS_H3_APP_H
#define PLX_TESTS_H3_APP_H

#include <plx/h3.h>

struct
    exchange { // one request, from the client's view; on the server the same object holds what was received
    struct plx_h3_req *req;
    char path[64];
    uint16_t status;
    unsigned interims, ends, closes;
    uint64_t code, content_length;
    bool is_peer, has_body;
    size_t body_len;
    char trailers[128];
    bool is_slow; // takes three octets at a time
    // what is being sent
    const uint8_t *out;
    size_t out_len, out_sent, piece;
    bool out_trailers;
    uint8_t body[1 << 17]; // last: what is in it beyond body_len means nothing and is never cleared
};

struct app {
    struct exchange client[32], server[32];
    unsigned server_count;
    unsigned owners_out, releases; // buffers handed over, and given back
    uint64_t goaway;
    unsigned goaways;
    struct plx_owner owner;
    struct plx_h3_block *block, *big_block;
    unsigned resumes_due;
};

extern struct app *app; // of the test that runs
extern const struct plx_h3_handler app_client, app_server;
extern const uint8_t app_bytes[1 << 17];

void app_init(struct app *a);
void app_fini(struct app *a);

// Sends a request. body_len octets of app_bytes follow in pieces; 0: none.
enum plx_err app_get(struct plx_h3_conn *c, unsigned slot, const char *method, const char *path,
                     size_t body_len);
// Goes on where the transport had no room, and lets slow readers read on.
void app_tick(void);

#endif
