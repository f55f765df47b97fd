// fuzz_recovery.c -- recovery as a whole under any order of events: three spaces, packets, ACK frames of a peer that may lie, timers,
// discarded keys, new paths. Every reference comes back at most once, octets in flight are what the records say, and
// after the last key is discarded nothing is left of the memory.

#include <string.h>

#include "../base/ops.h"
#include "quic/recovery/recovery.h"

enum { REFS = 4096 };

static struct plx_slab slab;
static struct plx_recovery r;
static struct plx_space space[PLX_SPACE_COUNT];
static struct plx_space *spaces[PLX_SPACE_COUNT];
static bool is_back[REFS]; // reported as acknowledged or lost
static uint64_t refs_made;
static plx_time now;

static void on_ref(void *arg, enum plx_space_id id, const struct plx_ref *ref)
{
    plx_check(arg == &r);
    plx_check(ref->id < refs_made && ref->offset == id);
    plx_check(!is_back[ref->id]);
    is_back[ref->id] = true;
}

static void on_acked(void *arg, enum plx_space_id id, const struct plx_ref *refs, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        on_ref(arg, id, &refs[i]);
}

static const struct plx_recovery_events events = {on_acked, on_ref};

static void send(struct ops *o, enum plx_space_id id)
{
    uint8_t how = ops_u8(o);
    struct plx_refs refs = {.count = how % 4};
    struct plx_space *sp = spaces[id];
    uint64_t pn = sp->next_pn + (how >= 250);
    bool is_eliciting = how % 5 != 0;

    if (refs_made + refs.count > REFS || !plx_recovery_can_remember(sp))
        return;
    for (unsigned i = 0; i < refs.count; i++)
        refs.v[i] = (struct plx_ref){.id = refs_made++, .offset = id};
    uint8_t mark = how & 64 ? plx_recovery_ecn_mark(&r) : 0;
    plx_check(plx_recovery_on_sent(&r, sp, id, pn, (uint16_t)(40 + how * 5), is_eliciting,
                                   is_eliciting || how % 10 == 0, mark, &refs, now));
}

static void acknowledge(struct ops *o, enum plx_space_id id)
{
    struct plx_ranges v;
    struct plx_recovery_ack_result result;
    struct plx_space *sp = spaces[id];
    struct plx_frame f;
    uint8_t buf[300], how = ops_u8(o);
    struct plx_wr w = plx_wr_init(buf, sizeof buf);
    struct plx_ecn_counts ecn = {ops_u8(o), how & 2, ops_u8(o) % 8};
    uint64_t at = sp->next_pn > how ? sp->next_pn - how : 0;

    plx_ranges_init(&v);
    for (unsigned n = 1 + how % 5; n > 0; n--) {
        uint8_t gap = ops_u8(o);
        uint64_t end = at + 1 + gap % 16;
        if (end > sp->next_pn && gap < 250) // seldom a number that was never sent
            end = sp->next_pn;
        if (end <= at || !plx_ranges_add(&v, at, end))
            break;
        at = end + 1 + (gap >> 4);
    }
    if (v.count == 0)
        return;
    plx_check(plx_frame_ack_write(&w, &v, how, how & 1 ? &ecn : NULL, 32));
    struct plx_rd rd = plx_rd_init(buf, (size_t)(w.p - buf));
    plx_check(plx_frame_read(&rd, &f) == PLX_FRAME_OK);
    plx_recovery_on_ack(&r, sp, id, &f.ack, now, &result);
    plx_check(result.error == 0 || result.error == PLX_QUIC_PROTOCOL_VIOLATION);
    plx_check(!result.newly_acked || result.largest_newly_acked < sp->next_pn);
}

static void timeout(bool has_handshake_keys, bool is_client_unvalidated)
{
    plx_time at = plx_recovery_deadline(&r, spaces, has_handshake_keys, is_client_unvalidated);
    enum plx_space_id id = PLX_SPACE_COUNT;

    if (at.ns == UINT64_MAX)
        return;
    now = at.ns > now.ns ? at : now;
    unsigned lossy = PLX_SPACE_COUNT; // the space whose loss timer comes first
    for (unsigned i = PLX_SPACE_COUNT; i-- > 0;)
        if (spaces[i] != NULL && spaces[i]->loss_at.ns != UINT64_MAX &&
            (lossy == PLX_SPACE_COUNT || spaces[i]->loss_at.ns <= spaces[lossy]->loss_at.ns))
            lossy = i;
    enum plx_recovery_fired fired =
        plx_recovery_on_timeout(&r, spaces, has_handshake_keys, is_client_unvalidated, now, &id);
    plx_check(fired != PLX_FIRED_NOTHING);
    if (fired == PLX_FIRED_PTO)
        plx_check(id < PLX_SPACE_COUNT && spaces[id] != NULL && spaces[id]->probes_wanted > 0);
    for (unsigned i = 0; i < PLX_SPACE_COUNT;
         i++) // what time has brought in this space is not due a second time
        plx_check(spaces[i] == NULL || fired != PLX_FIRED_LOSS || i != lossy ||
                  spaces[i]->loss_at.ns > now.ns);
}

static void discard(enum plx_space_id id)
{
    if (id == PLX_SPACE_APP || spaces[id] == NULL)
        return;
    plx_recovery_discard_space(&r, spaces[id], id);
    plx_space_fini(spaces[id]);
    spaces[id] = NULL;
}

static void one(struct ops *o)
{
    uint8_t op = ops_u8(o);
    enum plx_space_id id = (enum plx_space_id)(ops_u8(o) % PLX_SPACE_COUNT);
    plx_time wait;

    if (spaces[id] == NULL)
        id = PLX_SPACE_APP;
    if (op < 110)
        send(o, id);
    else if (op < 190)
        acknowledge(o, id);
    else if (op < 215)
        timeout(op & 1, op & 2);
    else if (op < 235)
        now = plx_time_after(now, PLX_US((uint64_t)ops_u8(o) * ops_u8(o)));
    else if (op < 240)
        plx_recovery_set_app_limited(&r, op & 1);
    else if (op < 246)
        plx_check(plx_recovery_can_send(&r, now, &wait) <= r.cc.cwnd);
    else if (op < 248)
        discard(id);
    else if (op < 250)
        plx_recovery_requeue_all(&r, spaces[id], id);
    else if (op < 252)
        plx_recovery_on_path_change(&r, 1200);
    else if (op < 254)
        plx_recovery_set_mtu(&r, (uint16_t)(1200 + ops_u8(o)));
    else
        plx_recovery_on_handshake_confirmed(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct ops o = {data, data + len};
    uint8_t how = ops_u8(&o);
    struct plx_recovery_cfg cfg = {.cc = how & 1 ? &plx_cc_cubic : &plx_cc_newreno,
                                   .initial_cwnd_packets = 10,
                                   .hystart = how & 2,
                                   .pacing = how & 4,
                                   .ecn = how & 8,
                                   .initial_rtt = PLX_MS(333)};

    if (slab.base == NULL)
        plx_check(plx_slab_init(&slab, 4 << 20, PLX_NODE_ANY));
    memset(is_back, 0, sizeof is_back);
    refs_made = 0;
    now = (plx_time){PLX_SEC(1).ns};
    plx_recovery_init(&r, &cfg, 1200, &events, &r);
    for (unsigned i = 0; i < PLX_SPACE_COUNT; i++) {
        spaces[i] = &space[i];
        plx_space_init(spaces[i], &slab, i == PLX_SPACE_APP ? PLX_MS(25) : PLX_NS(0));
    }
    for (unsigned n = 0; ops_left(&o) && n < 2000; n++) {
        one(&o);
        plx_recovery_verify(&r, spaces);
    }
    discard(PLX_SPACE_INITIAL);
    discard(PLX_SPACE_HANDSHAKE);
    plx_recovery_discard_space(&r, spaces[PLX_SPACE_APP], PLX_SPACE_APP);
    plx_space_fini(spaces[PLX_SPACE_APP]);
    plx_check(r.bytes_in_flight == 0 && plx_slab_bytes_in_use(&slab) == 0);
    return 0;
}
