// fuzz_engine_rx.c -- whatever arrives at a server of two cores: parsing, finding, hand-over, admission, and every answer to it.
//
// The input is datagrams: octet 0 says which queue (bit 0), from which of four addresses (bits 1, 2), and what happens to it first (bits 3
// to 5): nothing; a header of version 1, of an unknown version, or a short one with an ID of core 0 or 1 is put in front; or the
// shutdown begins. Two octets of length follow, then the octets. After each the cores breathe. A datagram must not be lost without a
// count, and every buffer must be home again, which the port checks.

#include "../../unit/engine/fake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint16_t shape(struct fake *f, unsigned how, const uint8_t *p, uint16_t len, uint8_t *out)
{
    uint8_t random[PLX_CID_MAX] = {0};
    struct plx_cid cid;
    uint16_t at = 0;

    if (how == 1 || how == 2) {
        memcpy(out, how == 1 ? "\xc0\0\0\0\1\x08" : "\xc0\x1a\x2a\x3a\x4a\x08", 6);
        at = 6;
    } else if (how == 3 || how == 4) {
        memcpy(random, p, len < sizeof random ? len : sizeof random);
        plx_cid_make(&f->engine->codec, (uint8_t)(how - 3), random, &cid);
        out[0] = 0x40;
        memcpy(out + 1, cid.bytes, cid.len);
        at = (uint16_t)(1 + cid.len);
    }
    memcpy(out + at, p, len);
    return (uint16_t)(at + len);
}

static struct fake *engine_new(uint8_t retry)
{
    struct plx_engine_cfg cfg;

    fake_cfg(&cfg);
    cfg.workers = 2;
    cfg.retry = retry % 3;
    cfg.handshake_timeout = PLX_MS(200);
    return fake_new(&cfg, true);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const from[] = {"10.0.0.9:999", "10.0.0.9:1000", "[2001:db8::9]:999", "10.9.9.9:443"};
    uint8_t buf[FAKE_ROOM];

    if (size == 0)
        return 0;
    struct fake *f = engine_new(data[0]);
    for (size_t at = 1; at + 3 <= size;) {
        uint8_t op = data[at];
        uint16_t len = (uint16_t)((data[at + 1] << 8 | data[at + 2]) % 1500);
        at += 3;
        if (len > size - at)
            len = (uint16_t)(size - at);
        unsigned how = op >> 3 & 7;
        if (how == 7)
            for (uint16_t i = 0; i < 2; i++)
                plx_core_stop(fake_core(f, i), plx_time_after(f->now, PLX_MS(100)));
        // Small inputs shall reach what wants 1200 octets: the top bit fills up.
        memset(buf, 0, sizeof buf);
        uint16_t total = shape(f, how, data + at, len, buf);
        if ((op & 0x80) && total < 1200)
            total = 1200;
        at += len;
        if (total == 0)
            continue;
        fake_arrives(f, op & 1, buf, total, from[op >> 1 & 3]);
        fake_breathe(f, op & 1, PLX_MS(3));
        fake_breathe(f, !(op & 1), PLX_MS(3));
        fake_breathe(f, op & 1, PLX_MS(3));
        f->q[0].sent_count = f->q[1].sent_count = 0;
    }
    for (int i = 0; i < 20; i++) { // what began has timed out
        fake_breathe(f, 0, PLX_MS(250));
        fake_breathe(f, 1, PLX_MS(250));
        f->q[0].sent_count = f->q[1].sent_count = 0;
    }
    for (uint16_t i = 0; i < 2; i++) {
        plx_check(fake_core(f, i)->n.conns_open == 0);
        plx_check(plx_pool_in_use(&fake_core(f, i)->handshakes) == 0 &&
                  plx_pool_in_use(&fake_core(f, i)->keys) == 0);
        plx_slab_verify(&fake_core(f, i)->slab);
    }
    fake_free(f);
    return 0;
}
