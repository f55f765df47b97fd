// fuzz_streams.c -- all streams of a connection: two well-behaved ends in a bad network, and one end with an evil peer.
//
// The first octet chooses. Even: the bytes decide what two ends do and what happens to their packets (stream_pair.h), then
// everything is drained and both models must agree. Odd: the bytes are frames, as they would stand in packets, for
// an end whose application behaves as badly as it may; an error code ends it, nothing else may happen.

#include "tests/fuzz/base/ops.h"
#include "tests/unit/quic/stream_pair.h"

static struct pair pair;

static void run_pair(const uint8_t *data, size_t len)
{
    pair_init(&pair, 1, data, len);
    unsigned loss = choose(&pair, 30);
    while (pair.data < pair.data_end)
        pair_step(&pair, loss);
    pair_drain(&pair);
    pair_fini(&pair, true);
}

// --- an evil peer ----------------------------------------------------------------------------------------

static struct evil {
    struct plx_streams ss;
    struct plx_pool pool;
    struct plx_slab slab;
    struct ops decide; // from the end of the input
    unsigned closed;
    bool is_in_data;
} e;

static uint8_t decide(void)
{
    return e.decide.p < e.decide.end ? *--e.decide.end : 0;
}

static void act(struct plx_stream *s)
{
    switch (decide() % 8) {
    case 0:
        plx_streams_stop_sending(&e.ss, s, 1);
        break;
    case 1:
        plx_streams_reset(&e.ss, s, 2);
        break;
    case 2:
        (void)plx_streams_send_copy(&e.ss, s, "some octets of an answer", 24, decide() & 1);
        break;
    case 3:
        plx_streams_resume(&e.ss, s);
        break;
    case 4: {
        struct plx_stream *other;
        (void)plx_streams_open(&e.ss, decide() & 1, &other);
        break;
    }
    case 5:
        (void)plx_streams_ask(&e.ss, &(struct plx_buf){"a whole request", 15, NULL}, NULL);
        break;
    default:
        break;
    }
}

static void evil_on_stream(void *arg, struct plx_stream *s)
{
    (void)arg;
    act(s);
}

static size_t evil_on_data(void *arg, struct plx_stream *s, const uint8_t *data, size_t len, bool fin)
{
    (void)arg, (void)fin;
    plx_check(!e.is_in_data);
    e.is_in_data = true;
    size_t taken = decide() & 1 ? len : decide() % (len + 1);
    act(s);
    for (size_t i = 0; i < len; i++) // still there, whatever was called
        __asm__ volatile("" : : "r"(data[i]));
    e.is_in_data = false;
    return taken;
}

static void evil_on_code(void *arg, struct plx_stream *s, uint64_t code)
{
    (void)arg, (void)code;
    act(s);
}

static void evil_on_one(void *arg, struct plx_stream *s)
{
    (void)arg;
    act(s);
}

static void evil_on_closed(void *arg, struct plx_stream *s)
{
    (void)arg;
    plx_check((s->flags & PLX_STREAM_OVER) != 0);
    act(s);
    e.closed++;
}

static void evil_on_available(void *arg, bool is_uni)
{
    struct plx_stream *s;
    (void)arg;
    (void)plx_streams_open(&e.ss, is_uni, &s);
}

static void evil_on_wake(void *arg)
{
    (void)arg;
}

static size_t evil_on_message(void *arg, struct plx_stream *s, const uint8_t *data, size_t len)
{
    evil_on_stream(arg, s);
    return evil_on_data(arg, s, data, len, true);
}

static size_t evil_on_answer(void *arg, struct plx_stream *s, const uint8_t *data, size_t len)
{
    return evil_on_data(arg, s, data, len, true);
}

static void run_evil(const uint8_t *data, size_t len)
{
    static const struct plx_streams_events events = {
        evil_on_stream,    evil_on_data, evil_on_code,    evil_on_code,   evil_on_one, evil_on_closed,
        evil_on_available, evil_on_wake, evil_on_message, evil_on_answer, NULL /* nothing is put away */};
    static struct plx_refs sent[16];
    struct plx_streams_cfg cfg = {.is_server = len % 3 != 0,
                                  .conn_window = 40000,
                                  .conn_window_max = 80000,
                                  .stream_window = 20000,
                                  .stream_window_max = 40000,
                                  .streams_bidi = 10,
                                  .streams_uni = 3,
                                  .refuse_code = 0x10b};
    struct plx_streams_peer peer = {1000, 200, 200, 200, 2, 2};
    unsigned sent_count = 0;
    struct plx_rd r = plx_rd_init(data, len);
    struct plx_frame f;

    memset(&e, 0, sizeof e);
    e.decide = (struct ops){data, data + len};
    plx_check(plx_pool_init(&e.pool, "streams", sizeof(struct plx_stream), 5,
                            NULL)); // fewer than the peer may open
    plx_check(plx_slab_init(&e.slab, 1, PLX_NODE_ANY));
    plx_streams_init(&e.ss, &cfg, &e.pool, &e.slab, &events, &e);
    plx_streams_set_peer(&e.ss, &peer);
    e.ss.wants_messages = cfg.is_server && len % 2 == 0;
    e.ss.wants_answers = !cfg.is_server && len % 2 == 0;
    struct plx_stream *first;
    (void)plx_streams_open(&e.ss, false, &first); // a client's ring is there then
    (void)plx_streams_ask(&e.ss, &(struct plx_buf){"a request", 9, NULL}, NULL);
    plx_time now = {1000};
    while (plx_rd_left(&r) > 0) {
        now.ns += 1000000;
        if (plx_frame_read(&r, &f) != PLX_FRAME_OK)
            break;
        uint64_t err =
            f.type >= 4 && f.type != 6 && f.type != 7 && f.type <= 0x17 ? pair_dispatch(&e.ss, &f, now) : 0;
        plx_check(err != PLX_QUIC_INTERNAL_ERROR);
        if (err != PLX_QUIC_NO_ERROR)
            break;
        plx_streams_verify(&e.ss);
        if (decide() & 1)
            plx_streams_run_resumed(&e.ss, now);
        if ((decide() & 1) && sent_count < 16) {
            uint8_t out[300];
            struct plx_wr w = plx_wr_init(out, sizeof out);
            sent[sent_count].count = 0;
            plx_streams_write(&e.ss, &w, &sent[sent_count++], now, PLX_MS(5));
        }
        if ((decide() & 1) && sent_count > 0) {
            bool is_acked = decide() & 1;
            sent_count--;
            for (unsigned i = 0; i < sent[sent_count].count; i++)
                (is_acked ? plx_streams_on_acked : plx_streams_on_lost)(&e.ss, &sent[sent_count].v[i]);
        }
        plx_streams_verify(&e.ss);
    }
    plx_streams_fini(&e.ss);
    plx_check(plx_pool_in_use(&e.pool) == 0);
    plx_check(plx_slab_bytes_in_use(&e.slab) == 0);
    plx_pool_fini(&e.pool);
    plx_slab_fini(&e.slab);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0 || len > 4096)
        return 0;
    if ((data[0] & 1) == 0)
        run_pair(data + 1, len - 1);
    else
        run_evil(data + 1, len - 1);
    return 0;
}
