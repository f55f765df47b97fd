// fuzz_acks.c -- received packet numbers against an array of booleans, and every ACK frame against what really came.

#include <string.h>

#include "../base/ops.h"
#include "base/slab.h"
#include "quic/recovery/acks.h"

enum { NUMBERS = 2048 };

static struct plx_slab slab;
static struct plx_acks a;
static bool came[NUMBERS],
    is_reported[NUMBERS]; // reported: not yet forgotten by us, as far as the model knows
static uint64_t end, now_ns;

static void receive(struct ops *o, uint8_t op)
{
    uint64_t pn = op & 1 ? end + ops_u8(o) % 4 : end - ops_u8(o); // onwards, or some way back
    if (op >= 240)
        pn = end + ops_u16(o) % 600;
    if (pn >= NUMBERS)
        return;
    bool is_known = pn < end && end - pn <= PLX_ACK_WINDOW; // the window tells exactly
    bool is_duplicate = plx_acks_is_duplicate(&a, pn);
    plx_check(is_duplicate == (pn >= end ? false : is_known ? came[pn] : true));
    if (is_duplicate)
        return;
    plx_acks_on_received(&a, pn, op & 2, op >> 2 & 3, (plx_time){++now_ns});
    came[pn] = true;
    is_reported[pn] = true;
    end = pn >= end ? pn + 1 : end;
    plx_check(plx_acks_is_duplicate(&a, pn));
    plx_check(!(op & 2) || plx_acks_deadline(&a).ns != UINT64_MAX);
}

static void report(struct ops *o)
{
    uint8_t buf[256];
    struct plx_wr w = plx_wr_init(buf, ops_u8(o));
    struct plx_refs refs = {.count = 0};
    struct plx_frame f;
    struct plx_ack_iter it;
    uint64_t smallest, largest;

    bool had_news = plx_acks_has_news(&a);
    if (!plx_acks_write(&a, &w, &refs, 3, (plx_time){now_ns})) {
        plx_check(w.p == buf && refs.count == 0 && plx_acks_has_news(&a) == had_news);
        return;
    }
    plx_check(!plx_acks_has_news(&a) && plx_acks_deadline(&a).ns == UINT64_MAX);
    struct plx_rd r = plx_rd_init(buf, (size_t)(w.p - buf));
    plx_check(plx_frame_read(&r, &f) == PLX_FRAME_OK && plx_rd_left(&r) == 0);
    plx_check(f.ack.largest == end - 1 && refs.v[0].offset == end - 1);
    plx_ack_iter_init(&it, &f.ack);
    while (plx_ack_iter_next(&it, &smallest, &largest))
        for (uint64_t pn = smallest; pn <= largest; pn++)
            plx_check(came[pn] && is_reported[pn]); // nothing that did not come
}

static void forget(struct ops *o)
{
    uint64_t back = ops_u8(o);
    if (end == 0 || back >= end)
        return;
    uint64_t largest = end - 1 - back;
    plx_acks_on_acked(&a, largest);
    for (uint64_t pn = 0; pn <= largest && pn + 1 < end; pn++)
        is_reported[pn] = false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct ops o = {data, data + len};

    memset(came, 0, sizeof came);
    memset(is_reported, 0, sizeof is_reported);
    end = 0;
    now_ns = 1000;
    plx_check(plx_slab_init(&slab, 4096, PLX_NODE_ANY));
    // sometimes without memory for more than a few ranges
    plx_acks_init(&a, len > 0 && data[0] & 2 ? NULL : &slab, len > 0 && data[0] & 1 ? PLX_MS(25) : PLX_NS(0));
    while (ops_left(&o)) {
        uint8_t op = ops_u8(&o);
        if (op < 2)
            plx_acks_shrink(&a);
        else if (op < 20)
            forget(&o);
        else if (op < 50)
            report(&o);
        else
            receive(&o, op);
        plx_acks_verify(&a);
        plx_check(a.end == end);
        for (uint64_t pn = end > PLX_ACK_WINDOW ? end - PLX_ACK_WINDOW : 0; pn < end; pn++)
            plx_check(plx_acks_is_duplicate(&a, pn) == came[pn]);
    }
    plx_acks_shrink(&a);
    plx_acks_verify(&a);
    plx_check(plx_slab_bytes_in_use(&slab) == 0);
    plx_slab_fini(&slab);
    return 0;
}
