// fuzz_conn_wire.c -- two honest connections over a wire that the input decides about, and applications that do what it says.
//
// Input: each octet is what becomes of the next datagram (low three bits: pass, drop, copy, delay a little, delay much, flip a bit, from
// another port, mark CE) or, when its top bit is set, what an application does first (request, close, key update, ping, stop, reset...). When the octets
// are used up everything passes. The model is simple: what arrives is the pattern, in order and whole; nobody sees an error that
// an application did not cause; everything is given back.

#include "pair_once.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct pair p;
static struct plx_rd ops;
static bool is_closed;
static unsigned requests;

static bool wire(struct pair *pair, struct pair_dgram *d)
{
    uint8_t op = plx_rd_left(&ops) > 0 ? plx_rd_u8(&ops) : 0;
    struct pair_dgram *copy;
    switch (op & 7) {
    case 1:
        return false;
    case 2:
        copy = pair_wire_put(pair, d->to, d->data, d->len);
        copy->at = plx_time_after(copy->at, PLX_MS(op >> 3 & 15));
        copy->from_addr = d->from_addr;
        copy->to_addr = d->to_addr;
        return true;
    case 3:
        d->at = plx_time_after(d->at, PLX_MS(op >> 3 & 15));
        return true;
    case 4:
        d->at = plx_time_after(d->at, PLX_MS(20 * (op >> 3 & 15)));
        return true;
    case 5:
        d->data[(op >> 3 & 15) * (d->len / 16u)] ^= 1;
        return true;
    case 6:
        if (d->to == SERVER && pair->e[SERVER].opened) // a Retry token is for one port
            d->from_addr.port = (uint16_t)(d->from_addr.port + (op >> 3 & 1));
        return true;
    case 7:
        d->ecn = d->ecn != 0 ? PLX_ECN_CE : 0;
        return true;
    default:
        return true;
    }
}

static void act(uint8_t op)
{
    struct pair_end *e = &p.e[op & 1];
    struct plx_stream *s;
    if (e->conn == NULL)
        return;
    switch (op >> 1 & 7) {
    case 0:
    case 1:
        if (p.e[CLIENT].conn != NULL && p.e[CLIENT].opened &&
            pair_request(&p, (uint64_t)(op >> 4 & 7) * 7000) != NULL)
            requests++;
        return;
    case 2:
        (void)!plx_conn_update_keys(e->conn);
        return;
    case 3:
        plx_conn_ping(e->conn);
        return;
    case 4:
        if (plx_stream_open(e->conn, true, &s) == PLX_OK) {
            struct plx_buf buf = {pair_pattern, 3000, NULL};
            (void)!plx_stream_send(s, buf, true);
        }
        return;
    case 5:
        if (plx_stream_open(e->conn, false, &s) == PLX_OK) {
            (void)!plx_stream_send_copy(s, "abc", 3, false);
            plx_stream_reset(s, 3);
            plx_stream_stop_sending(s, 4);
        }
        return;
    case 6:
        pair_run(&p, PLX_MS(40 * (op >> 4 & 7)));
        return;
    default:
        if ((op >> 4 & 7) == 7) {
            is_closed = true;
            plx_conn_close(e->conn, 9, "enough");
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    pair_once();
    is_closed = false;
    requests = 0;
    pair_init(&p, 1);
    p.with_retry = len > 0 && (data[0] & 1) != 0;
    p.filter = wire;
    p.e[CLIENT].cfg.handshake_timeout = p.e[SERVER].cfg.handshake_timeout = PLX_SEC(120);
    p.e[CLIENT].cfg.idle_timeout = p.e[SERVER].cfg.idle_timeout = PLX_SEC(120);
    ops = plx_rd_init(data, len);
    plx_check(pair_connect(&p));
    while (plx_rd_left(&ops) > 0) {
        size_t left = plx_rd_left(&ops);
        if (*ops.p & 0x80)
            act(plx_rd_u8(&ops));
        pair_run(&p, PLX_MS(10));
        if (plx_rd_left(&ops) == left) // nothing was sent meanwhile
            plx_rd_skip(&ops, 1);
    }
    pair_run(&p, PLX_SEC(60));
    for (int side = 0; side < 2; side++)
        plx_check(!p.e[side].is_pattern_broken);
    if (!is_closed) {
        plx_check(pair_is_confirmed(&p));
        plx_check(p.e[CLIENT].fins >= requests);
        for (int side = 0; side < 2; side++)
            // A first Initial that was damaged brings a server connection to life that ends at once: that is all right.
            plx_check(p.e[side].dead == 0 ||
                      (side == SERVER && p.e[side].close.how == PLX_CLOSE_HANDSHAKE_TIMEOUT));
    }
    pair_fini(&p);
    return 0;
}
