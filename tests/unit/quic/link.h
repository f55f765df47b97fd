// link.h -- a sender and a receiver over a queue of a fixed rate, in virtual time: enough of a network to see a controller at work.
//
// The sender is the real plx_recovery with one packet number space, the receiver the real plx_acks; between them a bottleneck (a rate, a
// delay, a queue that drops at its tail or marks) and a way back that only delays. Nothing but packet numbers travels.

#ifndef PLX_TESTS_UNIT_QUIC_LINK_H
#define PLX_TESTS_UNIT_QUIC_LINK_H

#include <plx/types.h>

#include "../base/rows.h"
#include "base/prng.h"
#include "quic/recovery/recovery.h"

enum { LINK_MTU = 1250, LINK_RING = 1 << 16 };

struct link_cfg {
    uint64_t rate_bps;
    plx_dur rtt; // without the queue
    uint64_t queue_bytes;
    uint64_t mark_bytes;    // ECN: a queue beyond this marks; 0: never
    unsigned loss_per_100k; // random loss on the way out
    plx_dur jitter;         // on the way back
    const struct plx_cc_ops *cc;
    bool pacing, hystart, ecn;
    plx_time app_until; // the application has data until then
};

struct link_pkt {
    uint64_t pn;
    plx_time at;
    uint8_t ecn;
};
struct link_ack {
    uint8_t len;
    uint8_t buf[80];
    plx_time at;
};

struct link {
    struct link_cfg cfg;
    struct plx_slab slab;
    struct plx_recovery r;
    struct plx_space sp;
    struct plx_acks acks;
    struct plx_prng prng;
    plx_time now, free_at; // when the bottleneck has sent all it was given
    struct link_pkt *pkts; // on their way out
    struct link_ack *back; // on their way back
    uint32_t pkts_head, pkts_tail, back_head, back_tail;
    uint64_t delivered, dropped, lost_refs, acked_refs, queue_max;
    uint64_t cwnd_max;
    bool is_failed;
};

static inline void link_on_acked(void *arg, enum plx_space_id id, const struct plx_ref *refs, unsigned count)
{
    (void)id, (void)refs;
    ((struct link *)arg)->acked_refs += count;
}

static inline void link_on_lost(void *arg, enum plx_space_id id, const struct plx_ref *ref)
{
    (void)id, (void)ref;
    ((struct link *)arg)->lost_refs++;
}

static const struct plx_recovery_events link_events = {link_on_acked, link_on_lost};

static inline void link_init(struct link *l, const struct link_cfg *cfg)
{
    struct plx_recovery_cfg rc = {.cc = cfg->cc,
                                  .initial_cwnd_packets = 10,
                                  .hystart = cfg->hystart,
                                  .pacing = cfg->pacing,
                                  .ecn = cfg->ecn,
                                  .initial_rtt = PLX_MS(333)};
    *l = (struct link){.cfg = *cfg, .now = {PLX_SEC(1).ns}};
    l->pkts = calloc(LINK_RING, sizeof *l->pkts);
    l->back = calloc(LINK_RING, sizeof *l->back);
    assert_non_null(l->pkts);
    assert_non_null(l->back);
    assert_true(plx_slab_init(&l->slab, 16 << 20, PLX_NODE_ANY));
    plx_recovery_init(&l->r, &rc, LINK_MTU, &link_events, l);
    plx_recovery_on_handshake_confirmed(&l->r);
    plx_space_init(&l->sp, &l->slab, PLX_MS(25));
    plx_acks_init(&l->acks, &l->slab, PLX_MS(25));
    plx_prng_init(&l->prng, 1);
}

static inline void link_fini(struct link *l)
{
    struct plx_space *sp[PLX_SPACE_COUNT] = {NULL, NULL, &l->sp};
    plx_recovery_verify(&l->r, sp);
    plx_recovery_discard_space(&l->r, &l->sp, PLX_SPACE_APP);
    assert_int_equal(l->r.bytes_in_flight, 0);
    plx_space_fini(&l->sp);
    plx_acks_shrink(&l->acks);
    assert_int_equal(plx_slab_bytes_in_use(&l->slab), 0);
    plx_slab_fini(&l->slab);
    free(l->pkts);
    free(l->back);
}

static inline void link_send_one(struct link *l)
{
    struct plx_refs refs = {.count = 1, .v = {{.kind = PLX_REF_STREAM, .id = l->sp.next_pn}}};
    uint64_t pn = l->sp.next_pn;
    uint8_t mark = plx_recovery_ecn_mark(&l->r);

    assert_true(
        plx_recovery_on_sent(&l->r, &l->sp, PLX_SPACE_APP, pn, LINK_MTU, true, true, mark, &refs, l->now));
    assert_int_equal(l->sp.next_pn, pn + 1);
    plx_time from = plx_time_max(l->now, l->free_at);
    uint64_t queued = (from.ns - l->now.ns) * (l->cfg.rate_bps / 8) / UINT64_C(1000000000);
    l->queue_max = queued > l->queue_max ? queued : l->queue_max;
    if (queued + LINK_MTU > l->cfg.queue_bytes || plx_prng_chance(&l->prng, l->cfg.loss_per_100k, 100000)) {
        l->dropped++;
        return;
    }
    l->free_at = plx_time_after(from, PLX_NS(LINK_MTU * 8 * UINT64_C(1000000000) / l->cfg.rate_bps));
    if (mark != 0 && l->cfg.mark_bytes != 0 && queued > l->cfg.mark_bytes)
        mark = 3;
    l->pkts[l->pkts_tail++ % LINK_RING] =
        (struct link_pkt){pn, plx_time_after(l->free_at, (plx_dur){l->cfg.rtt.ns / 2}), mark};
    assert_true(l->pkts_tail - l->pkts_head < LINK_RING);
}

// Returns when the sender wants to be asked again.
static inline plx_time link_send(struct link *l)
{
    plx_time wait = PLX_NEVER;

    if (plx_time_reached(l->cfg.app_until, l->now)) {
        plx_recovery_set_app_limited(&l->r, true);
        return wait;
    }
    while (l->sp.probes_wanted > 0)
        link_send_one(l);
    while (plx_recovery_can_send(&l->r, l->now, &wait) >= LINK_MTU)
        link_send_one(l);
    l->cwnd_max = l->r.cc.cwnd > l->cwnd_max ? l->r.cc.cwnd : l->cwnd_max;
    return wait;
}

static inline void link_deliver(struct link *l, const struct link_pkt *p)
{
    if (plx_acks_is_duplicate(&l->acks, p->pn))
        return;
    plx_acks_on_received(&l->acks, p->pn, true, p->ecn, l->now);
    l->delivered += LINK_MTU;
}

static inline void link_ack_back(struct link *l)
{
    struct link_ack *a = &l->back[l->back_tail % LINK_RING];
    struct plx_wr w = plx_wr_init(a->buf, sizeof a->buf);
    struct plx_refs refs = {.count = 0};

    assert_true(plx_acks_write(&l->acks, &w, &refs, 3, l->now));
    a->len = (uint8_t)(w.p - a->buf);
    a->at =
        plx_time_after(l->now, (plx_dur){l->cfg.rtt.ns / 2 + plx_prng_below(&l->prng, l->cfg.jitter.ns + 1)});
    l->back_tail++;
}

static inline void link_on_ack(struct link *l, const struct link_ack *a)
{
    struct plx_rd r = plx_rd_init(a->buf, a->len);
    struct plx_frame f;
    struct plx_recovery_ack_result result;

    assert_int_equal(plx_frame_read(&r, &f), PLX_FRAME_OK);
    plx_recovery_on_ack(&l->r, &l->sp, PLX_SPACE_APP, &f.ack, l->now, &result);
    assert_int_equal(result.error, 0);
    l->is_failed |= result.ecn_failed;
}

static inline plx_time link_next(const struct link *l, plx_time wait)
{
    struct plx_space *sp[PLX_SPACE_COUNT] = {NULL, NULL, (struct plx_space *)&l->sp};
    plx_time t = plx_time_min(wait, plx_recovery_deadline(&l->r, sp, true, false));

    t = plx_time_min(t, plx_acks_deadline(&l->acks));
    if (l->pkts_head != l->pkts_tail)
        t = plx_time_min(t, l->pkts[l->pkts_head % LINK_RING].at);
    if (l->back_head != l->back_tail)
        t = plx_time_min(t, l->back[l->back_head % LINK_RING].at);
    return t;
}

// Runs for a time; returns octets that arrived in it.
static inline uint64_t link_run(struct link *l, plx_dur d)
{
    struct plx_space *sp[PLX_SPACE_COUNT] = {NULL, NULL, &l->sp};
    plx_time end = plx_time_after(l->now, d);
    uint64_t before = l->delivered;

    for (;;) {
        plx_time t = link_next(l, link_send(l));
        if (!plx_time_lt(t, end))
            break;
        l->now = plx_time_max(t, l->now);
        while (l->pkts_head != l->pkts_tail && plx_time_reached(l->pkts[l->pkts_head % LINK_RING].at, l->now))
            link_deliver(l, &l->pkts[l->pkts_head++ % LINK_RING]);
        if (plx_acks_is_due(&l->acks, l->now))
            link_ack_back(l);
        while (l->back_head != l->back_tail && plx_time_reached(l->back[l->back_head % LINK_RING].at, l->now))
            link_on_ack(l, &l->back[l->back_head++ % LINK_RING]);
        enum plx_space_id id;
        if (plx_time_reached(plx_recovery_deadline(&l->r, sp, true, false), l->now))
            plx_recovery_on_timeout(&l->r, sp, true, false, l->now, &id);
    }
    l->now = end;
    return l->delivered - before;
}

#endif
