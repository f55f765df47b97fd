// quic.c -- what the transport costs below its streams: headers, frames, acknowledgements, sent packets, congestion control, tokens.
//
// Usage: bench_quic [PART OF A NAME]

#include <stdlib.h>

#include "measure.h"
#include "quic/path/cid.h"
#include "quic/recovery/recovery.h"
#include "quic/wire/packet.h"
#include "quic/wire/reset.h"
#include "quic/wire/token.h"
#include "quic/wire/tparam.h"

enum { OPS = 256, MTU = 1200 };

static void must(bool ok)
{
    if (!ok)
        abort();
}

// --- wire ----------------------------------------------------------------------------------------------------------

struct packet {
    uint8_t buf[1500];
    size_t len;
};

static void run_parse(void *arg)
{
    const struct packet *p = arg;
    struct plx_pkt_hdr h;
    for (unsigned i = 0; i < OPS; i++) {
        must(plx_pkt_parse(p->buf, p->len, 8, &h) == PLX_PKT_PARSED);
        measure_keep(h.pkt_len);
    }
}

static void run_frames(void *arg)
{
    const struct packet *p = arg;
    struct plx_frame f;
    for (unsigned i = 0; i < OPS; i++)
        for (struct plx_rd r = plx_rd_init(p->buf, p->len); plx_rd_left(&r) > 0;) {
            must(plx_frame_read(&r, &f) == PLX_FRAME_OK);
            measure_keep(f.type);
        }
}

static void run_stream_write(void *arg)
{
    struct packet *p = arg;
    size_t len;
    for (unsigned i = 0; i < OPS; i++) {
        struct plx_wr w = plx_wr_init(p->buf, sizeof p->buf);
        measure_keep((uint64_t)(uintptr_t)plx_frame_stream_begin(&w, 4 * i, 0, 120, true, false, &len));
    }
}

static void bench_wire(void)
{
    static struct packet shorter, initial, request, bulk, padding;
    struct plx_cid cid = {.len = 8}, scid = {.len = 8};
    struct plx_pkt_built b;
    struct plx_ranges ranges;
    uint8_t data[1200] = {0};

    struct plx_wr w = plx_wr_init(shorter.buf, 100);
    must(plx_pkt_write_short(&w, &cid, false, false, 1, 2, &b));
    shorter.len = 100;
    w = plx_wr_init(initial.buf, 1200);
    must(plx_pkt_write_long(&w, PLX_PKT_INITIAL, 1, &cid, &scid, NULL, 0, 0, 2, &b));
    plx_pkt_length_patch(&b, (size_t)(w.end - b.pn));
    initial.len = 1200;

    plx_ranges_init(&ranges);
    must(plx_ranges_add(&ranges, 0, 1000));
    w = plx_wr_init(request.buf, sizeof request.buf);
    must(plx_frame_ack_write(&w, &ranges, 10, NULL, 8));
    must(plx_frame_stream_write(
             &w, &(struct plx_frame_stream){.id = 40, .data = data, .len = 50, .fin = true}, false) == 50);
    request.len = (size_t)(w.p - request.buf);
    w = plx_wr_init(bulk.buf, 1200);
    must(plx_frame_stream_write(
             &w, &(struct plx_frame_stream){.id = 40, .offset = 1 << 20, .data = data, .len = 1200}, true) >
         1000);
    bulk.len = (size_t)(w.p - bulk.buf);
    padding.len = 1100;

    measure("parse a short header", OPS, run_parse, &shorter);
    measure("parse an Initial header", OPS, run_parse, &initial);
    measure("read ACK + STREAM (a request)", OPS, run_frames, &request);
    measure("read one STREAM to the end", OPS, run_frames, &bulk);
    measure("skip 1100 octets of PADDING", OPS, run_frames, &padding);
    measure("write a STREAM header", OPS, run_stream_write, &shorter);
}

// --- recovery ------------------------------------------------------------------------------------------------------

static struct plx_slab slab;

struct ends {
    struct plx_recovery r;
    struct plx_space sp;
    struct plx_acks acks;
    plx_time now;
    unsigned per_ack; // packets between two ACK frames
};

static void on_ref(void *arg, enum plx_space_id id, const struct plx_ref *ref)
{
    (void)arg, (void)id;
    measure_keep(ref->id);
}

static void on_acked(void *arg, enum plx_space_id id, const struct plx_ref *refs, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        on_ref(arg, id, &refs[i]);
}

static const struct plx_recovery_events events = {on_acked, on_ref};

static void ends_init(struct ends *e, const struct plx_cc_ops *cc, unsigned per_ack)
{
    struct plx_recovery_cfg cfg = {.cc = cc,
                                   .initial_cwnd_packets = 1000,
                                   .pacing = true,
                                   .hystart = true,
                                   .ecn = true,
                                   .initial_rtt = PLX_MS(10)};
    *e = (struct ends){.now = {1000000}, .per_ack = per_ack};
    plx_recovery_init(&e->r, &cfg, MTU, &events, e);
    plx_recovery_on_handshake_confirmed(&e->r);
    plx_space_init(&e->sp, &slab, PLX_MS(25));
    plx_acks_init(&e->acks, NULL, PLX_MS(25));
    e->r.cc.ssthresh = 1000 * MTU; // congestion avoidance, as most of a connection's life
}

// Each packet: sent, received, and with its like acknowledged by one frame, which is written and read.
static void run_round(void *arg)
{
    struct ends *e = arg;
    struct plx_refs refs = {.count = 1, .v = {{.kind = PLX_REF_STREAM}}}, none;
    struct plx_recovery_ack_result result;
    struct plx_frame f;
    uint8_t buf[100];

    for (unsigned i = 0; i < OPS;) {
        for (unsigned k = 0; k < e->per_ack; k++, i++) {
            uint64_t pn = e->sp.next_pn;
            refs.v[0].id = pn;
            must(plx_recovery_on_sent(&e->r, &e->sp, PLX_SPACE_APP, pn, MTU, true, true, 2, &refs, e->now));
            e->now.ns += 100;
            must(!plx_acks_is_duplicate(&e->acks, pn));
            plx_acks_on_received(&e->acks, pn, true, 2, e->now);
        }
        none.count = 0;
        struct plx_wr w = plx_wr_init(buf, sizeof buf);
        must(plx_acks_write(&e->acks, &w, &none, 3, e->now));
        e->now.ns += 1000000;
        struct plx_rd r = plx_rd_init(buf, (size_t)(w.p - buf));
        must(plx_frame_read(&r, &f) == PLX_FRAME_OK);
        plx_recovery_on_ack(&e->r, &e->sp, PLX_SPACE_APP, &f.ack, e->now, &result);
        must(result.error == 0 && result.newly_acked);
    }
}

static void run_can_send(void *arg)
{
    struct ends *e = arg;
    plx_time wait;
    for (unsigned i = 0; i < OPS; i++, e->now.ns += 10)
        measure_keep(plx_recovery_can_send(&e->r, e->now, &wait));
}

static void run_duplicate(void *arg)
{
    struct ends *e = arg;
    for (unsigned i = 0; i < OPS; i++)
        measure_keep(plx_acks_is_duplicate(&e->acks, e->acks.end - i));
}

static void bench_recovery(void)
{
    static struct ends e;

    must(plx_slab_init(&slab, 16 << 20, PLX_NODE_ANY));
    ends_init(&e, &plx_cc_newreno, 2);
    measure("send, receive, ack; newreno, ACK per 2", OPS, run_round, &e);
    ends_init(&e, &plx_cc_cubic, 1);
    measure("send, receive, ack; cubic, ACK per 1", OPS, run_round, &e);
    ends_init(&e, &plx_cc_cubic, 2);
    measure("send, receive, ack; cubic, ACK per 2", OPS, run_round, &e);
    ends_init(&e, &plx_cc_cubic, 32);
    measure("send, receive, ack; cubic, ACK per 32", OPS, run_round, &e);
    measure("may a packet be sent", OPS, run_can_send, &e);
    measure("is a packet a duplicate", OPS, run_duplicate, &e);
}

// --- tokens --------------------------------------------------------------------------------------------------------

static struct plx_token_keys keys;
static const struct plx_addr peer = {.af = PLX_AF_IP4, .port = 443, .ip = {10, 0, 0, 1}};
static const struct plx_cid odcid = {.len = 8, .bytes = "original"}, rscid = {.len = 8, .bytes = "retryscd"};

static void run_token_seal(void *arg)
{
    uint8_t *out = arg, nonce[PLX_TOKEN_NONCE_LEN] = {0};
    for (unsigned i = 0; i < OPS; i++) {
        nonce[0] = (uint8_t)i;
        measure_keep(plx_token_seal_retry(&keys, &odcid, &rscid, &peer, (plx_time){1}, nonce, out));
    }
}

static void run_token_open(void *arg)
{
    struct plx_token_life life = {PLX_SEC(10), PLX_SEC(3600)};
    struct plx_token_info info;
    uint8_t nonce[PLX_TOKEN_NONCE_LEN] = {7}, *out = arg;
    size_t len = plx_token_seal_retry(&keys, &odcid, &rscid, &peer, (plx_time){1}, nonce, out);
    for (unsigned i = 0; i < OPS; i++)
        must(plx_token_open(&keys, out, len, &peer, &rscid, (plx_time){1}, &life, NULL, &info) ==
             PLX_TOKEN_OK);
}

static void run_reset_token(void *arg)
{
    for (unsigned i = 0; i < OPS; i++)
        plx_reset_token(arg, &odcid, arg);
}

static void run_tparams(void *arg)
{
    struct plx_tparams t;
    uint8_t buf[PLX_TPARAMS_LEN_MAX];
    (void)arg;
    for (unsigned i = 0; i < OPS; i++) {
        plx_tparams_init(&t);
        t.initial_max_data = 1 << 20;
        t.initial_max_streams_bidi = 128;
        t.has_initial_scid = true;
        t.initial_scid = odcid;
        struct plx_wr w = plx_wr_init(buf, sizeof buf);
        must(plx_tparams_write(&w, &t, i));
        must(plx_tparams_read(buf, (size_t)(w.p - buf), true, &t) == NULL);
    }
}

static void bench_tokens(void)
{
    static uint8_t space[256];
    char describe[128];
    uint8_t secret[PLX_TOKEN_SECRET_LEN] = {1};

    plx_token_keys_init(&keys, plx_aead_pick(NULL, describe, sizeof describe));
    plx_token_keys_rotate(&keys, secret);
    measure("seal a Retry token", OPS, run_token_seal, space);
    measure("open a Retry token", OPS, run_token_open, space);
    measure("make a reset token", OPS, run_reset_token, space);
    measure("write and read transport parameters", OPS, run_tparams, NULL);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        measure_only = argv[1];
    bench_wire();
    bench_recovery();
    bench_tokens();
    return 0;
}
