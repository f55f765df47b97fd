// fuzz_h3_frames.c -- a connection and a forger who says anything on several streams. Everything is run twice, in the
// pieces of the input and octet by octet: the connection ends with the same code, the program hears the same, and
// nothing is left behind. (With an encoder stream that breaks its promises, by evicting what a waiting section refers to,
// the outcome may depend on the pieces; then only the last holds. fuzz_qpack_decoder.c compares encoder streams.)
//
// Input: the first octet says who is real (bit 0: the client). Then records: an octet whose low three bits choose a stream
// (0 to 3 unidirectional, 4 to 7 requests) and whose others say 0x08 end, 0x10 reset, 0x20 refuse; an octet of length;
// that many octets.

#include "../../unit/h3/app.h"
#include "../../unit/h3/array.h"

#include <string.h>

#include "base/check.h"
#include "h3/conn_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { STREAMS = 8, OURS = 2 };

static struct world w;
static struct app a;

struct outcome {
    bool is_closed, has_encoder;
    uint64_t code;
    unsigned served, ends, bytes;
};

static int stream_of(int known[STREAMS], unsigned i, unsigned real)
{
    if (known[i] >= 0)
        return known[i];
    // A server that is forged opens no requests; it speaks on those of the client.
    if (i >= STREAMS / 2 && real == CLIENT)
        return -1;
    known[i] = (int)world_forge_open(&w, !real, i < STREAMS / 2);
    return known[i];
}

// Until nothing moves, slow readers included.
static void settle(void)
{
    do {
        app->resumes_due = 0;
        world_run(&w, 100000);
        app_tick();
        world_run(&w, 100000);
    } while (app->resumes_due > 0);
}

static void play(const uint8_t *data, size_t len, unsigned real)
{
    int known[STREAMS];

    memset(known, -1, sizeof known);
    if (real == CLIENT) {
        for (unsigned i = 0; i < STREAMS / 2; i++)
            plx_check(app_get(w.side[CLIENT].conn, i, i == 0 ? "HEAD" : "GET", "/echo", i == 3 ? 10 : 0) ==
                      PLX_OK);
        unsigned next = STREAMS / 2;
        for (unsigned i = 0; i < WORLD_STREAMS && next < STREAMS; i++) {
            if (w.stream[i].is_used && !w.stream[i].is_uni)
                known[next++] = (int)i;
        }
    }
    while (len >= 2 && !w.side[real].is_closed) {
        uint8_t op = data[0];
        size_t n = data[1] < len - 2 ? data[1] : len - 2;
        int i = stream_of(known, op % STREAMS, real);
        const uint8_t *p = data + 2;
        data += 2 + n;
        len -= 2 + n;
        if (i < 0 || w.stream[i].dir[!real].has_fin || w.stream[i].dir[!real].is_reset ||
            !w.stream[i].is_used)
            continue;
        world_forge(&w, (unsigned)i, !real, p, n, op & 0x08);
        settle();
        if (op & 0x10)
            world_forge_reset(&w, (unsigned)i, !real, data[-1]);
        if ((op & 0x20) && !w.stream[i].is_uni)
            world_forge_refuse(&w, (unsigned)i, !real, data[-1]);
        settle();
    }
}

static struct outcome run(const uint8_t *data, size_t len, unsigned real, size_t piece_max)
{
    static const struct plx_h3_cfg cfg = {
        .qpack_blocked_max = 2, .field_section_max = 600, .field_count_max = 12, .qpack_table_max = 300};
    struct outcome o = {.is_closed = false};

    world_init(&w, 1, piece_max, &cfg, real == CLIENT ? &app_client : NULL,
               real == SERVER ? &app_server : NULL);
    app_init(&a);
    play(data, len, real);
    o.is_closed = w.side[real].is_closed;
    o.code = w.side[real].close_code;
    o.has_encoder = w.side[real].conn->has_encoder;
    world_fini(&w, PLX_H3_NO_ERROR);
    o.served = a.server_count;
    for (unsigned i = 0; i < 32; i++) {
        o.ends += a.client[i].ends + a.server[i].ends;
        o.bytes += (unsigned)(a.client[i].body_len + a.server[i].body_len);
        plx_check(a.client[i].closes <= 1 && a.server[i].closes <= 1);
    }
    app_fini(&a);
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0)
        return 0;
    unsigned real = data[0] & 1 ? CLIENT : SERVER;
    struct outcome whole = run(data + 1, len - 1, real, 0), cut = run(data + 1, len - 1, real, 1);

    if (whole.has_encoder || cut.has_encoder)
        return 0;
    plx_check(whole.is_closed == cut.is_closed);
    plx_check(whole.code == cut.code);
    plx_check(whole.served == cut.served);
    plx_check(whole.is_closed || whole.ends == cut.ends);
    plx_check(whole.is_closed || whole.bytes == cut.bytes);
    return 0;
}
