// instance.h -- one or two instances of lib/net in a test, and how frames get into them.

#ifndef PLX_TESTS_NET_INSTANCE_H
#define PLX_TESTS_NET_INSTANCE_H

#include "frames.h"

static const plx_time NOW = {UINT64_C(1000000000)};

// Of an instance that is the peer.
static inline struct plx_net_cfg peer_cfg(void)
{
    struct plx_net_cfg c = net_cfg();
    memcpy(c.mac, PEER_MAC, 6);
    memcpy(c.addrs[0].ip.ip, PEER_IP4, 4);
    memcpy(c.addrs[1].ip.ip, PEER_IP6, 16);
    c.ports[0] = 5555;
    return c;
}

static inline struct plx_net *net_open(const struct plx_net_cfg *cfg)
{
    struct plx_net *n = test_malloc(sizeof *n);
    assert_int_equal(plx_net_init(n, cfg), PLX_OK);
    struct frame f;
    struct plx_pkt pkt = {.data = f.b, .cap = sizeof f.b};
    while (plx_net_pending(n, &pkt)) // announcements: tested in their own case
        pkt.data = f.b;
    return n;
}

// The same octets in an allocation of exactly cap, so that AddressSanitizer sees a step over its end.
static inline enum plx_net_verdict receive(struct plx_net *n, const struct frame *f, uint16_t cap,
                                           struct plx_pkt *out, struct frame *copy)
{
    uint8_t *exact = test_malloc(cap);
    memcpy(exact, f->b, f->len);
    *out = (struct plx_pkt){.data = exact, .len = f->len, .cap = cap};
    enum plx_net_verdict v = plx_net_rx(n, out, NOW);
    assert_in_range(out->data - exact, 0, cap);
    assert_true(out->len <= cap - (out->data - exact));
    memcpy(copy->b, out->data, out->len);
    copy->len = out->len;
    out->data = copy->b;
    test_free(exact);
    return v;
}

// Carries a frame from one instance to the other.
static inline enum plx_net_verdict carry(struct plx_net *to, const struct plx_pkt *pkt, struct plx_pkt *out,
                                         struct frame *got)
{
    struct frame f = {.len = 0};
    put(&f, pkt->data, pkt->len);
    return receive(to, &f, (uint16_t)(f.len + 32), out, got);
}

#endif
