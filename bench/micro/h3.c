// h3.c -- what HTTP/3 costs apart from QUIC: a request from its first octet to the response that is queued, and its parts.
//
// Usage: bench_h3 [PART OF A NAME]
//
// The requests are what curl and Chromium send on a first connection (static table and Huffman), and what Chromium sends
// when its entries are in the dynamic table. The transport takes everything and forgets it.

#include "measure.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/pool.h"
#include "base/slab.h"
#include "h3/conn.h"
#include "h3/frame.h"
#include "h3/huffman.h"
#include "h3/message.h"
#include "h3/qpack_enc.h"
#include "h3/qpack_int.h"

#define F(n, v)                                 \
    {                                           \
        n, v, sizeof n - 1, sizeof v - 1, false \
    }
#define COUNT(a) (sizeof(a) / sizeof *(a))

enum { OPS = 256 };

static const struct plx_field curl[] = {
    F(":method", "GET"),       F(":scheme", "https"),          F(":authority", "localhost:4433"),
    F(":path", "/index.html"), F("user-agent", "curl/8.14.1"), F("accept", "*/*"),
};

static const struct plx_field chromium[] = {
    F(":method", "GET"),
    F(":authority", "www.example.com"),
    F(":scheme", "https"),
    F(":path", "/assets/app-5f2c1d9e.js?v=20240611"),
    F("sec-ch-ua", "\"Not A(Brand\";v=\"8\", \"Chromium\";v=\"132\", \"HeadlessChrome\";v=\"132\""),
    F("sec-ch-ua-mobile", "?0"),
    F("sec-ch-ua-platform", "\"Linux\""),
    F("user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/132.0.0.0 "
                    "Safari/537.36"),
    F("accept", "*/*"),
    F("sec-fetch-site", "same-origin"),
    F("sec-fetch-mode", "no-cors"),
    F("sec-fetch-dest", "script"),
    F("referer", "https://www.example.com/index.html"),
    F("accept-encoding", "gzip, deflate, br, zstd"),
    F("accept-language", "en-US,en;q=0.9"),
    F("priority", "u=1"),
};

static const struct plx_field response[] = {
    F("content-type", "text/html; charset=utf-8"),
    F("content-length", "64"),
    F("server", "pollux"),
    F("last-modified", "Tue, 11 Jun 2024 10:00:00 GMT"),
    F("etag", "\"5f2c1d9e-40\""),
    F("cache-control", "max-age=3600"),
};

static const uint8_t body[64] = "sixty-four octets of body, like the small files that are served";

// --- a transport that takes everything -----------------------------------------------------------------------

static int nothing;
static uint64_t sent;

static void *io_open(void *arg, struct plx_h3_stream *hs, uint64_t *id)
{
    (void)arg, (void)hs;
    *id = 3;
    return &nothing;
}

static void *io_ask(void *arg, struct plx_h3_stream *hs, const struct plx_buf *buf, uint64_t *id)
{
    sent += buf->len;
    return io_open(arg, hs, id);
}

static enum plx_err io_send(void *arg, void *ts, const struct plx_buf *bufs, uint16_t count, bool fin)
{
    (void)arg, (void)ts, (void)fin;
    for (uint16_t i = 0; i < count; i++) {
        sent += bufs[i].len;
        if (bufs[i].owner != NULL)
            bufs[i].owner->release(bufs[i].owner, bufs[i].data, bufs[i].len);
    }
    return PLX_OK;
}

static enum plx_err io_send_copy(void *arg, void *ts, const void *data, size_t len, bool fin)
{
    (void)arg, (void)ts, (void)data, (void)fin;
    sent += len;
    return PLX_OK;
}

static void io_end(void *arg, void *ts, uint64_t code)
{
    (void)arg, (void)ts, (void)code;
    plx_check(!"the benchmark's requests are good");
}

static void io_resume(void *arg, void *ts)
{
    (void)arg, (void)ts;
}
static uint64_t io_unsent(void *arg, void *ts)
{
    return (void)arg, (void)ts, UINT64_C(0);
}
static void io_close(void *arg, uint64_t code, const char *why)
{
    (void)arg, (void)code;
    plx_check(why == NULL);
}

static void io_notify(void *arg, void *ts, uint64_t below)
{
    (void)arg, (void)ts, (void)below; // whoever asks hears of every acknowledgement here
}

static const struct plx_h3_io io = {
    .open_uni = io_open,
    .open_bidi = io_open,
    .ask = io_ask,
    .send = io_send,
    .send_copy = io_send_copy,
    .reset = io_end,
    .stop_sending = io_end,
    .resume = io_resume,
    .unsent = io_unsent,
    .notify = io_notify,
    .close = io_close,
};

// --- the bench -------------------------------------------------------------------------------------------------

struct request {
    uint8_t frame[2048]; // a HEADERS frame
    size_t len, section_at;
};

static struct bench {
    struct plx_pool conns, streams;
    struct plx_slab slab;
    struct plx_h3_env env;
    struct plx_h3_conn *conn;
    struct plx_h3_block *block;
    uint64_t id;
    struct request curl, chromium, chromium_indexed;
    struct plx_qpack_table table;
    struct plx_field fields[128];
    uint8_t classes[128], text[1 << 14], coded[1 << 12];
    size_t coded_len;
} b;

static void request_wrap(struct request *r, const struct plx_wr *w, const uint8_t *section)
{
    size_t len = (size_t)(w->p - section);
    struct plx_wr f = plx_wr_init(r->frame, sizeof r->frame);

    plx_check(!w->is_full);
    plx_frame_wr_head(&f, PLX_FRAME_TYPE_HEADERS, len);
    r->section_at = (size_t)(f.p - r->frame);
    plx_wr_bytes(&f, section, len);
    r->len = (size_t)(f.p - r->frame);
}

static void request_encode(struct request *r, const struct plx_field *fields, uint16_t count)
{
    uint8_t section[2048];
    struct plx_wr w = plx_wr_init(section, sizeof section);

    plx_qpack_enc_prefix(&w);
    for (uint16_t i = 0; i < count; i++)
        plx_qpack_enc_field(&w, &fields[i]);
    request_wrap(r, &w, section);
}

// What Chromium's fields look like once they are in the table: one octet each. The encoder stream is for both tables.
static void request_index(struct request *r)
{
    uint8_t stream[4096], section[64];
    struct plx_wr s = plx_wr_init(stream, sizeof stream), w = plx_wr_init(section, sizeof section);
    const char *why = NULL;

    plx_qpack_wr_int(&s, 0x20, 5, 4096);
    for (unsigned i = 0; i < COUNT(chromium); i++) {
        plx_qpack_wr_int(&s, 0x40, 5, chromium[i].name_len);
        plx_wr_bytes(&s, chromium[i].name, chromium[i].name_len);
        plx_qpack_wr_int(&s, 0x00, 7, chromium[i].value_len);
        plx_wr_bytes(&s, chromium[i].value, chromium[i].value_len);
    }
    plx_check(!s.is_full);
    plx_check(plx_qpack_table_on_data(&b.table, stream, (size_t)(s.p - stream), &why) == PLX_QPACK_OK);
    struct plx_h3_stream *hs = plx_h3_on_open(b.conn, &nothing, 2, true);
    (void)plx_h3_on_data(b.conn, hs, (const uint8_t *)"\2", 1, false);
    (void)plx_h3_on_data(b.conn, hs, stream, (size_t)(s.p - stream), false);

    plx_wr_u8(&w, COUNT(chromium) + 1); // required insert count
    plx_wr_u8(&w, 0);
    for (unsigned i = 0; i < COUNT(chromium); i++)
        plx_qpack_wr_int(&w, 0x80, 6, COUNT(chromium) - 1 - i);
    request_wrap(r, &w, section);
}

static void run_decode(void *arg)
{
    const struct request *r = arg;
    for (unsigned i = 0; i < OPS; i++) {
        struct plx_qpack_section s = {.fields = b.fields,
                                      .classes = b.classes,
                                      .text = b.text,
                                      .text_cap = sizeof b.text,
                                      .size_max = sizeof b.text,
                                      .count_max = 128};
        struct plx_h3_head head;
        plx_check(plx_qpack_dec_section(&b.table, r->frame + r->section_at, r->len - r->section_at, &s) ==
                  PLX_QPACK_OK);
        plx_check(plx_message_read_request(&s, false, &head) == NULL);
        measure_keep(head.path.len);
    }
}

// A whole request: the stream opens, the frame comes with the end, the program answers, the stream is over.
static void run_exchange(void *arg)
{
    const struct request *r = arg;
    for (unsigned i = 0; i < OPS; i++) {
        struct plx_h3_stream *hs = plx_h3_on_open(b.conn, &nothing, b.id, false);
        b.id += 4;
        plx_check(plx_h3_on_data(b.conn, hs, r->frame, r->len, true) == r->len);
        plx_h3_on_closed(b.conn, hs);
    }
}

static void answer_block(struct plx_h3_req *req, const struct plx_field *trailers, uint16_t count)
{
    (void)trailers, (void)count;
    plx_check(plx_h3_respond_block(req, b.block) == PLX_OK);
}

static void answer_fields(struct plx_h3_req *req, const struct plx_field *trailers, uint16_t count)
{
    (void)trailers, (void)count;
    plx_check(plx_h3_respond(req, 200, response, COUNT(response), (struct plx_buf){body, sizeof body, NULL},
                             true) == PLX_OK);
}

static struct plx_h3_handler handler;

static void run_response(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < OPS; i++) {
        struct plx_wr w = plx_wr_init(b.coded, sizeof b.coded);
        plx_qpack_enc_prefix(&w);
        plx_qpack_enc_status(&w, 200);
        for (unsigned k = 0; k < COUNT(response); k++)
            plx_qpack_enc_field(&w, &response[k]);
        measure_keep((uint64_t)(uintptr_t)w.p);
    }
}

static const struct plx_field *agent = &chromium[7];

static void run_huffman_encode(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < OPS; i++)
        measure_keep(plx_huffman_encode((const uint8_t *)agent->value, agent->value_len, b.coded));
}

static void run_huffman_len(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < OPS; i++)
        measure_keep(plx_huffman_len((const uint8_t *)agent->value, agent->value_len));
}

static void run_huffman_decode(void *arg)
{
    size_t len;
    (void)arg;
    for (unsigned i = 0; i < OPS; i++) {
        plx_check(plx_huffman_decode(b.coded, b.coded_len, b.text, sizeof b.text, &len) == PLX_HUFFMAN_OK);
        measure_keep(len);
    }
}

static void setup(void)
{
    plx_check(plx_pool_init(&b.conns, "conns", plx_h3_conn_size(), 1, NULL));
    plx_check(plx_pool_init(&b.streams, "streams", plx_h3_stream_size(), 16, NULL));
    plx_check(plx_slab_init(&b.slab, 1 << 20, PLX_NODE_ANY));
    b.env = (struct plx_h3_env){.conns = &b.conns, .streams = &b.streams, .slab = &b.slab, .grease_seed = 1};
    b.env.scratch = malloc(plx_h3_scratch_size(&b.env.cfg));
    plx_check(b.env.scratch != NULL);
    handler.on_end = answer_block;
    b.conn = plx_h3_conn_new(&b.env, true, &io, NULL, &handler, NULL);
    plx_h3_conn_start(b.conn);
    b.block = plx_h3_block_new(200, response, COUNT(response), (struct plx_buf){body, sizeof body, NULL});
    plx_check(b.block != NULL);
    plx_qpack_table_init(&b.table, &b.slab, 4096);
    request_encode(&b.curl, curl, COUNT(curl));
    request_encode(&b.chromium, chromium, COUNT(chromium));
    request_index(&b.chromium_indexed);
}

int main(int argc, char **argv)
{
    measure_only = argc > 1 ? argv[1] : NULL;
    setup();
    printf("octets of a HEADERS frame: curl %zu, Chromium %zu, Chromium indexed %zu; a stream object %zu, a "
           "connection %zu\n",
           b.curl.len, b.chromium.len, b.chromium_indexed.len, plx_h3_stream_size(), plx_h3_conn_size());
    measure("decode and validate, curl", OPS, run_decode, &b.curl);
    measure("decode and validate, Chromium", OPS, run_decode, &b.chromium);
    measure("decode and validate, Chromium indexed", OPS, run_decode, &b.chromium_indexed);
    measure("exchange with a block, curl", OPS, run_exchange, &b.curl);
    measure("exchange with a block, Chromium", OPS, run_exchange, &b.chromium);
    measure("exchange with a block, Chromium indexed", OPS, run_exchange, &b.chromium_indexed);
    handler.on_end = answer_fields;
    measure("exchange with an encoded response, curl", OPS, run_exchange, &b.curl);
    measure("encode a response of six fields", OPS, run_response, NULL);
    measure("Huffman length, 105 octets", OPS, run_huffman_len, NULL);
    measure("Huffman encode, 105 octets", OPS, run_huffman_encode, NULL);
    b.coded_len = plx_huffman_encode((const uint8_t *)agent->value, agent->value_len, b.coded);
    measure("Huffman decode, 105 octets", OPS, run_huffman_decode, NULL);
    plx_h3_conn_free(b.conn, PLX_H3_NO_ERROR, false);
    plx_h3_block_free(b.block);
    plx_qpack_table_fini(&b.table);
    free(b.env.scratch);
    plx_slab_fini(&b.slab);
    plx_pool_fini(&b.streams);
    plx_pool_fini(&b.conns);
    return 0;
}
