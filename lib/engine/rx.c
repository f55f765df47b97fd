// rx.c -- the receive half of a breath: pull, parse, find, unmask, open, deliver.
//
// Each phase walks the round's slots and does one thing. A slot whose packet is dropped loses its connection and is counted
// under its reason; later phases pass over it. Buffers are given back once, all together, when the last round is over.

#include <string.h>

#include "engine/core.h"
#include "engine/engine.h"
#include "engine/phase.h"

static void slot_drop(struct plx_core *k, struct plx_slot *s, enum plx_drop why)
{
    plx_core_drop(k, why);
    s->conn = NULL;
}

// A packet of a connection's stash was looked at for the last time.
static void work_finish(struct plx_work *w)
{
    if (w->stash_of != NULL)
        plx_conn_rx_unstash_done(w->stash_of, w->pkt);
    w->stash_of = NULL;
}

static void work_push(struct plx_core *k, struct plx_work w)
{
    if (k->next_count == sizeof k->next / sizeof *k->next) {
        plx_core_drop(k, PLX_DROP_rounds);
        work_finish(&w);
        return;
    }
    k->next[k->next_count++] = w;
}

// --- pull: datagrams into work ------------------------------------------------------------------------------

static void rx_pull(struct plx_core *k)
{
    uint16_t n = plx_handoff_pull(k, k->rx_pkts, PLX_BURST_MAX / 2);
    uint16_t own = n;

    uint16_t room = PLX_BURST_MAX - n < PLX_PULL_MAX ? PLX_BURST_MAX - n : PLX_PULL_MAX;
    n += k->ops->rx(k->port, k->queue, k->rx_pkts + n, room);
    k->rx_count = n;
    k->work_count = 0;
    for (uint16_t i = 0; i < n; i++) {
        struct plx_pkt *pkt = k->rx_pkts[i];
        __builtin_prefetch(pkt->data);
        k->n.datagrams_rx++;
        k->n.bytes_rx += pkt->len;
        pkt->time = k->now;
        // What another core handed over has been through its parse phase.
        if (i >= own && k->frames != NULL && !plx_frames_rx(k, pkt))
            continue;
        k->work[k->work_count++] = (struct plx_work){.pkt = pkt, .is_first = true};
    }
}

// --- parse: QUIC headers ------------------------------------------------------------------------------------

static void parse_failed(struct plx_core *k, struct plx_slot *s, enum plx_pkt_parse why)
{
    switch (why) {
    case PLX_PKT_UNKNOWN_VERSION:
        plx_core_drop(k, PLX_DROP_unknown_version);
        if (s->work.is_first)
            plx_admit_vneg(k, s);
        break;
    case PLX_PKT_BAD_FIXED_BIT:
        plx_core_drop(k, PLX_DROP_fixed_bit);
        break;
    case PLX_PKT_BAD_CID_LEN:
        plx_core_drop(k, PLX_DROP_cid_len);
        break;
    default:
        // Too short for a packet, but perhaps not for a reset: one octet less than what it answers is enough.
        if (s->rx.hdr.type != PLX_PKT_SHORT || !plx_admit_reset(k, s))
            plx_core_drop(k, PLX_DROP_too_short);
    }
}

static void rx_parse(struct plx_core *k, struct plx_burst *b)
{
    b->count = 0;
    for (uint16_t i = 0; i < k->work_count; i++) {
        struct plx_work *w = &k->work[i];
        if (b->count == PLX_BURST_MAX) {
            work_push(k, *w);
            continue;
        }
        struct plx_slot *s = &b->slot[b->count];
        s->work = *w;
        s->conn = NULL;
        s->rx.pkt = w->pkt;
        s->rx.p = w->pkt->data + w->offset;
        s->rx.dgram_len = w->is_first && w->tries == 0 ? w->pkt->len : 0;

        uint16_t left = w->pkt->len - w->offset;
        enum plx_pkt_parse err = plx_pkt_parse(s->rx.p, left, PLX_CID_LEN, &s->rx.hdr);
        if (err != PLX_PKT_PARSED) {
            parse_failed(k, s, err);
            work_finish(&s->work);
            continue;
        }
        // The rest of the datagram has its turn in the next round, once.
        if (s->rx.hdr.pkt_len < left && w->tries == 0) {
            work_push(k, (struct plx_work){.pkt = w->pkt, .offset = w->offset + s->rx.hdr.pkt_len});
        }
        b->count++;
    }
}

// --- ahead: what the packets behind the present one will touch ------------------------------------------------

// The connection of job j, when there is one and it is not that of the job before.
static const struct plx_conn *ahead_at(const struct plx_burst *b, unsigned j)
{
    if (j >= b->job_count)
        return NULL;
    const struct plx_conn *c = b->slot[b->job_slot[j]].conn;
    return j > 0 && b->slot[b->job_slot[j - 1]].conn == c ? NULL : c;
}

// The keys of slot i: the mask of the whole burst comes first, so these are long under way when a packet is opened.
static void ahead_keys(const struct plx_burst *b, unsigned i)
{
    if (i < b->count && b->slot[i].conn != NULL)
        plx_conn_prefetch_rx_keys(b->slot[i].conn, b->slot[i].rx.hdr.pkt_len);
}

// One packet's distance between the steps is about 200 ns of work: twice what memory takes to answer.
enum { AHEAD_CONN = 4, AHEAD_RINGS = 3, AHEAD_STREAM = 2, AHEAD_REQUEST = 1, AHEAD_KEYS = 4 };

static void ahead_conn(const struct plx_core *k, const struct plx_conn *c)
{
    if (c == NULL)
        return;
    plx_conn_prefetch(c);
    const struct plx_econn *e = plx_econn_of(k, c);
    __builtin_prefetch(e);
    __builtin_prefetch(&e->core);
}

// j is the job whose turn it is.
static void ahead_deliver(const struct plx_core *k, const struct plx_burst *b, unsigned j)
{
    const struct plx_conn *c;

    ahead_conn(k, ahead_at(b, j + AHEAD_CONN));
    if ((c = ahead_at(b, j + AHEAD_RINGS)) != NULL) {
        plx_conn_prefetch_rings(c);
        if (plx_econn_of(k, c)->h3 != NULL)
            plx_h3_conn_prefetch(plx_econn_of(k, c)->h3);
    }
    if ((c = ahead_at(b, j + AHEAD_STREAM)) != NULL)
        plx_conn_prefetch_stream(c);
    if ((c = ahead_at(b, j + AHEAD_REQUEST)) != NULL && plx_econn_of(k, c)->h3 != NULL)
        plx_h3_req_prefetch(plx_conn_last_user(c));
}

// --- find: connection IDs to connections --------------------------------------------------------------------

// The look-up found a sleeper that cannot wake: its packet is counted already, and is nobody else's.
static bool is_stuck(struct plx_core *k)
{
    bool was = k->berths.is_stuck;

    k->berths.is_stuck = false;
    return was;
}

static void slot_find(struct plx_core *k, struct plx_slot *s)
{
    uint16_t core;

    s->conn = s->work.stash_of != NULL ? s->work.stash_of : plx_demux_find(k, &s->rx.hdr);
    if (s->conn != NULL || is_stuck(k))
        return;
    // Before the hand-over: a reset comes to the core that sent what it answers, and its connection ID is noise.
    if (s->rx.hdr.type == PLX_PKT_SHORT && plx_admit_reset(k, s))
        return;
    if (is_stuck(k))
        return;
    if (s->work.is_first && plx_handoff_wanted(k, &s->rx.hdr, &core)) {
        if (!plx_handoff_send(k, s->rx.pkt, core)) {
            plx_core_drop(k, PLX_DROP_handoff_full);
            return;
        }
        for (uint16_t i = 0; i < k->rx_count; i++) // not ours to give back any more
            if (k->rx_pkts[i] == s->rx.pkt)
                k->rx_pkts[i] = NULL;
        for (uint16_t i = 0; i < k->next_count; i++) // nor is what was coalesced behind it
            if (k->next[i].pkt == s->rx.pkt)
                k->next[i--] = k->next[--k->next_count];
        return;
    }
    s->conn = plx_admit(k, s);
}

static void rx_find(struct plx_core *k, struct plx_burst *b)
{
    bool is_far = plx_core_is_crowded(k);

    for (uint16_t i = 0; i < b->count && is_far; i++)
        plx_demux_prefetch(k, &b->slot[i].rx.hdr);
    for (uint16_t i = 0; i < b->count && b->count > 1 && k->berths.sleepers > 0; i++)
        plx_demux_prefetch_sleeper(k, &b->slot[i].rx.hdr);
    for (uint16_t i = 0; i < b->count; i++) {
        struct plx_slot *s = &b->slot[i];
        slot_find(k, s);
        if (s->conn != NULL && is_far) {
            plx_conn_prefetch_head(s->conn);
            __builtin_prefetch(&plx_econn_of(k, s->conn)->is_dead);
        }
    }
    for (uint16_t i = 0; i < b->count; i++) {
        struct plx_slot *s = &b->slot[i];
        if (s->conn != NULL && plx_econn_of(k, s->conn)->is_dead) // its last breath is this one
            slot_drop(k, s, PLX_DROP_wrong_state);
        if (s->conn == NULL)
            work_finish(&s->work);
    }
}

// --- the steps of a connection ------------------------------------------------------------------------------

static const enum plx_drop step_drop[] = {
    [PLX_RX_DROP_KEYS] = PLX_DROP_no_keys,
    [PLX_RX_DROP_AUTH] = PLX_DROP_auth_failed,
    [PLX_RX_DROP_DUPLICATE] = PLX_DROP_duplicate_pn,
    [PLX_RX_DROP_INVALID] = PLX_DROP_invalid,
    [PLX_RX_DROP_STATE] = PLX_DROP_wrong_state,
    [PLX_RX_DROP_VERSION] = PLX_DROP_unknown_version,
    [PLX_RX_DROP_RESERVED_BITS] = PLX_DROP_reserved_bits,
    [PLX_RX_DROP_NO_ROOM] = PLX_DROP_no_room_to_wake,
};

// What a step said about a slot: true to go on with it.
static bool slot_step(struct plx_core *k, struct plx_slot *s, enum plx_rx_step step)
{
    if (step == PLX_RX_GO)
        return true;
    if (step == PLX_RX_LATER) {
        if (s->work.tries < PLX_LATER_TRIES && s->work.stash_of == NULL) {
            s->work.tries++;
            work_push(k, s->work);
        } else if (!plx_conn_rx_stash(s->conn, &s->rx, k->now)) {
            plx_core_drop(k, PLX_DROP_no_keys);
        }
    } else if (step != PLX_RX_DONE) {
        plx_core_drop(k, step_drop[step]);
    }
    plx_core_wake(k, s->conn); // whatever it was, its deadline may have moved
    work_finish(&s->work);
    s->conn = NULL;
    return false;
}

static void rx_unmask(struct plx_core *k, struct plx_burst *b)
{
    bool is_far = plx_core_is_crowded(k);

    b->job_count = 0;
    for (unsigned i = 0; i < AHEAD_KEYS && is_far; i++)
        ahead_keys(b, i);
    for (uint16_t i = 0; i < b->count; i++) {
        struct plx_slot *s = &b->slot[i];
        if (is_far)
            ahead_keys(b, i + AHEAD_KEYS);
        if (s->conn == NULL)
            continue;
        if (!slot_step(k, s, plx_conn_rx_begin(s->conn, &s->rx, &b->mask[b->job_count], k->now)))
            continue;
        b->job_slot[b->job_count++] = (uint8_t)i;
    }
    k->env.aead->mask(b->mask, b->job_count);
}

static void rx_open(struct plx_core *k, struct plx_burst *b)
{
    uint16_t n = 0;

    for (uint16_t j = 0; j < b->job_count; j++) {
        struct plx_slot *s = &b->slot[b->job_slot[j]];
        if (!slot_step(k, s, plx_conn_rx_number(s->conn, &s->rx, &b->mask[j], &b->open[n])))
            continue;
        b->job_slot[n++] = b->job_slot[j];
    }
    b->job_count = n;
    if (plx_core_is_crowded(k))
        for (unsigned j = 0; j < AHEAD_CONN; j++)
            ahead_conn(k, ahead_at(b, j));
    k->env.aead->open(b->open, n);
}

static void rx_deliver(struct plx_core *k, struct plx_burst *b)
{
    bool is_far = plx_core_is_crowded(k);

    for (int j = -AHEAD_RINGS; j < 0 && is_far; j++) // the first ones have nobody before them
        ahead_deliver(k, b, (unsigned)j);
    for (uint16_t j = 0; j < b->job_count; j++) {
        struct plx_slot *s = &b->slot[b->job_slot[j]];
        if (is_far)
            ahead_deliver(k, b, j);
        struct plx_econn *e = plx_econn_of(k, s->conn);
        if (e->is_dead) { // by an earlier packet of this round
            slot_drop(k, s, PLX_DROP_wrong_state);
            work_finish(&s->work);
            continue;
        }
        enum plx_rx_step step = plx_conn_rx_deliver(s->conn, &s->rx, &b->open[j], k->now);
        if (step != PLX_RX_GO && step != PLX_RX_DONE) {
            slot_step(k, s, step);
            continue;
        }
        plx_core_wake(k, s->conn);
        if (k->stop_stage != PLX_STOP_NO)
            e->heard_at = k->now;
        // Packets that came before their keys: the keys may be here now. A server is confirmed by the very packet that they waited for.
        if (!e->is_dead) {
            struct plx_pkt *pkt = plx_conn_rx_unstash(s->conn);
            if (pkt != NULL)
                work_push(k, (struct plx_work){.pkt = pkt, .stash_of = s->conn});
        }
        work_finish(&s->work);
    }
}

// ------------------------------------------------------------------------------------------------------------

// Takes what has arrived and delivers it. Returns how many datagrams there were.
uint16_t plx_core_rx(struct plx_core *k)
{
    plx_phase(PLX_PHASE_RECEIVE);
    rx_pull(k);
    if (k->rx_count == 0)
        return 0;
    for (unsigned round = 0; k->work_count > 0; round++) {
        k->next_count = 0;
        if (round == PLX_ROUNDS_MAX) {
            k->n.drops[PLX_DROP_rounds] += k->work_count;
            for (uint16_t i = 0; i < k->work_count; i++)
                work_finish(&k->work[i]);
            break;
        }
        plx_phase(PLX_PHASE_PARSE);
        rx_parse(k, &k->burst);
        plx_phase(PLX_PHASE_FIND);
        rx_find(k, &k->burst);
        plx_phase(PLX_PHASE_UNMASK);
        rx_unmask(k, &k->burst);
        plx_phase(PLX_PHASE_OPEN);
        rx_open(k, &k->burst);
        plx_phase(PLX_PHASE_DELIVER);
        rx_deliver(k, &k->burst);
        memcpy(k->work, k->next, k->next_count * sizeof *k->next);
        k->work_count = k->next_count;
    }
    plx_phase(PLX_PHASE_RECEIVE);
    plx_handoff_give(k, k->rx_pkts, k->rx_count);
    return k->rx_count;
}
