// stream.c -- what a stream costs, in nanoseconds: the life of a request, and octets in bulk.
//
// Usage: bench_stream [WORD]   Only the cases whose name contains WORD.
//
// A life is a frame with FIN in, on_data, a response of 120 octets (one piece, or two) out, its acknowledgement, and
// the end of the stream, on a server, with everything that belongs to it: credit for streams and octets, the
// scheduler, the pool. Several are under way at once, as in a burst: ten responses share a packet. The case with
// many connections takes them in turn, so that neither container nor streams are in the nearest cache.

#include <stdlib.h>

#include "base/pool.h"
#include "base/slab.h"
#include "measure.h"
#include "quic/stream/streams.h"

enum { OPS = 4000, BATCH = 10, CONNS = 4096 };

static struct {
    struct plx_pool pool;
    struct plx_slab slab;
    struct plx_streams *conn;
    uint64_t *next;
    unsigned conn_count, conn_idx;
    uint16_t pieces;
    struct plx_owner owner;
    uint64_t released;
} b;

static uint8_t body[16384], packet[1500];

static void on_stream(void *arg, struct plx_stream *s)
{
    (void)arg;
    s->user = &b;
}

static size_t on_data(void *arg, struct plx_stream *s, const uint8_t *data, size_t len, bool fin)
{
    struct plx_streams *ss = arg;
    measure_keep(*data);
    if (fin) {
        struct plx_buf buf[2] = {{body, b.pieces == 1 ? 120 : 20, NULL}, {body, 100, &b.owner}};
        plx_check(plx_streams_send(ss, s, buf, b.pieces, true) == PLX_OK);
    }
    return len;
}

static void on_code(void *arg, struct plx_stream *s, uint64_t code)
{
    (void)arg, (void)s, (void)code;
}

static void on_one(void *arg, struct plx_stream *s)
{
    (void)arg, (void)s;
}

static size_t on_message(void *arg, struct plx_stream *s, const uint8_t *data, size_t len)
{
    on_stream(arg, s);
    return on_data(arg, s, data, len, true);
}

static void on_available(void *arg, bool is_uni)
{
    (void)arg, (void)is_uni;
}

static void on_wake(void *arg)
{
    (void)arg;
}

static void released(struct plx_owner *o, const void *data, size_t len)
{
    (void)o, (void)data, (void)len;
    b.released++;
}

static const struct plx_streams_events events = {
    on_stream,           on_data, on_code, on_code, on_one, on_one, on_available, on_wake, on_message,
    NULL /* a server */, NULL};

// Writes all that there is and acknowledges it.
static void flush(struct plx_streams *ss)
{
    static struct plx_refs refs;
    while (plx_streams_wants_write(ss)) {
        struct plx_wr w = plx_wr_init(packet, sizeof packet);
        refs.count = 0;
        plx_streams_write(ss, &w, &refs, (plx_time){1}, PLX_MS(1));
        for (unsigned i = 0; i < refs.count; i++)
            plx_streams_on_acked(ss, &refs.v[i]);
    }
}

static void run_lives(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < OPS / BATCH; i++) {
        unsigned at = b.conn_idx;
        struct plx_streams *ss = &b.conn[at];
        b.conn_idx = at + 1 == b.conn_count ? 0 : at + 1;
        for (unsigned k = 0; k < BATCH; k++) {
            struct plx_frame_stream f = {b.next[at] << 2, 0, body, 60, true};
            b.next[at]++;
            plx_check(plx_streams_on_stream(ss, &f, (plx_time){1}) == PLX_QUIC_NO_ERROR);
        }
        flush(ss);
        plx_check(ss->count == 0);
    }
}

// A large response: per packet of 1400 octets.
static void run_bulk_send(void *arg)
{
    struct plx_streams *ss = &b.conn[0];
    static struct plx_refs refs;
    struct plx_stream *s = arg;

    for (unsigned i = 0; i < OPS; i++) {
        struct plx_wr w = plx_wr_init(packet, 1400);
        if (s->send.count < 4) {
            struct plx_buf buf = {body, sizeof body, &b.owner};
            plx_check(plx_streams_send(ss, s, &buf, 1, false) == PLX_OK);
        }
        refs.count = 0;
        plx_streams_write(ss, &w, &refs, (plx_time){1}, PLX_MS(1));
        for (unsigned k = 0; k < refs.count; k++)
            plx_streams_on_acked(ss, &refs.v[k]);
    }
}

static void run_bulk_recv(void *arg)
{
    struct plx_streams *ss = &b.conn[0];
    static struct plx_refs refs;
    static uint64_t offset;
    (void)arg;

    for (unsigned i = 0; i < OPS; i++, offset += 1350) {
        struct plx_frame_stream f = {2, offset, body, 1350, false};
        plx_check(plx_streams_on_stream(ss, &f, (plx_time){1}) == PLX_QUIC_NO_ERROR);
        if (!plx_streams_wants_write(ss))
            continue;
        struct plx_wr w = plx_wr_init(packet, sizeof packet);
        refs.count = 0;
        plx_streams_write(ss, &w, &refs, (plx_time){1}, PLX_MS(1));
    }
}

static void setup(void)
{
    struct plx_streams_cfg cfg = {.is_server = true,
                                  .conn_window = 1 << 20,
                                  .conn_window_max = 64 << 20,
                                  .stream_window = 256 << 10,
                                  .stream_window_max = 16 << 20,
                                  .streams_bidi = 128,
                                  .streams_uni = 8};
    struct plx_streams_peer peer = {
        UINT64_C(1) << 60, UINT64_C(1) << 60, UINT64_C(1) << 60, UINT64_C(1) << 60, 8, 8};

    b.owner.release = released;
    b.conn = calloc(CONNS, sizeof *b.conn);
    b.next = calloc(CONNS, sizeof *b.next);
    plx_check(b.conn != NULL);
    plx_check(b.next != NULL);
    plx_check(plx_pool_init(&b.pool, "streams", sizeof(struct plx_stream), 64, NULL));
    plx_check(plx_slab_init(&b.slab, 8 << 20, PLX_NODE_ANY));
    for (unsigned i = 0; i < CONNS; i++) {
        plx_streams_init(&b.conn[i], &cfg, &b.pool, &b.slab, &events, &b.conn[i]);
        plx_streams_set_peer(&b.conn[i], &peer);
    }
}

int main(int argc, char **argv)
{
    struct plx_stream *s;

    measure_only = argc > 1 ? argv[1] : NULL;
    setup();
    printf("octets: a stream %zu, the streams of a connection %zu\n", sizeof(struct plx_stream),
           sizeof(struct plx_streams));
    b.conn_count = 1;
    b.pieces = 1;
    measure("life of a request, 1 piece", OPS, run_lives, NULL);
    b.pieces = 2;
    measure("life of a request, 2 pieces", OPS, run_lives, NULL);
    b.conn_count = CONNS;
    measure("life of a request, 2 pieces, 4096 connections", OPS, run_lives, NULL);
    plx_check(plx_streams_open(&b.conn[0], true, &s) == PLX_OK);
    measure("bulk, sending a packet of 1400", OPS, run_bulk_send, s);
    measure("bulk, receiving a frame of 1350", OPS, run_bulk_recv, NULL);
    for (unsigned i = 0; i < CONNS; i++)
        plx_streams_fini(&b.conn[i]);
    plx_slab_fini(&b.slab);
    plx_pool_fini(&b.pool);
    free(b.conn);
    free(b.next);
    return 0;
}
