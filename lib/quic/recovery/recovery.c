// recovery.c -- what a sent packet and an ACK frame do to all the parts: appendix A of RFC 9002 in the order of the RFC.
//
// An ACK is worked through once: its ranges mark records as acknowledged (which hands their references back and empties the flight),
// the newest gives an RTT sample, ECN counts are compared, losses are declared, and only then the controller hears about both, the
// bad news first. A number that was skipped, or that never was, makes the whole frame a violation.
//
// "After the last congestion event" is decided by time. Packets are written after everything that arrived in the same breath was
// delivered, so a packet that left at the very moment of an event left after it.

#include "quic/recovery/recovery.h"

#include "quic/recovery/recovery_parts.h"

void plx_recovery_init(struct plx_recovery *r, const struct plx_recovery_cfg *cfg, uint16_t mtu,
                       const struct plx_recovery_events *ev, void *arg)
{
    *r = (struct plx_recovery){
        .events = ev, .arg = arg, .peer_max_ack_delay = PLX_MS(25), .peer_ack_delay_exponent = 3};
    r->initial_rtt = cfg->initial_rtt;
    r->initial_cwnd_packets = cfg->initial_cwnd_packets;
    r->has_hystart = cfg->hystart;
    r->has_ecn = cfg->ecn;
    plx_rtt_init(&r->rtt, cfg->initial_rtt);
    plx_cc_init(&r->cc, cfg->cc, mtu, cfg->initial_cwnd_packets, cfg->hystart);
    plx_pacer_init(&r->pacer, cfg->pacing, mtu, (plx_time){0});
    plx_ecn_init(&r->ecn, cfg->ecn);
}

void plx_recovery_set_peer(struct plx_recovery *r, plx_dur max_ack_delay, uint8_t ack_delay_exponent)
{
    r->peer_max_ack_delay = max_ack_delay;
    r->peer_ack_delay_exponent = ack_delay_exponent;
}

void plx_recovery_on_handshake_confirmed(struct plx_recovery *r)
{
    r->is_confirmed = true;
}

void plx_recovery_set_app_limited(struct plx_recovery *r, bool is_app_limited)
{
    r->is_app_limited = is_app_limited;
}

// --- sending -----------------------------------------------------------------------------------------------

bool plx_recovery_on_sent(struct plx_recovery *r, struct plx_space *sp, enum plx_space_id id, uint64_t pn,
                          uint16_t bytes, bool is_ack_eliciting, bool in_flight, uint8_t ecn_mark,
                          const struct plx_refs *refs, plx_time now)
{
    struct plx_sent_rec rec = {.time = now,
                               .bytes = bytes,
                               .is_eliciting = is_ack_eliciting,
                               .is_in_flight = in_flight,
                               .is_ect = ecn_mark != 0};

    (void)id;
    if (!plx_sent_add(&sp->sent, pn, &rec, refs))
        return false;
    if (sp->next_pn <= pn)
        sp->next_pn = pn + 1;
    r->last_at = now;
    plx_ecn_on_sent(&r->ecn, &sp->ecn_seen, ecn_mark);
    if (is_ack_eliciting) {
        sp->last_eliciting_at = now;
        if (sp->probes_wanted > 0)
            sp->probes_wanted--;
    }
    if (in_flight) {
        sp->bytes_in_flight += bytes;
        r->bytes_in_flight += bytes;
        plx_pacer_on_sent(&r->pacer, bytes, now);
    }
    return true;
}

uint64_t plx_recovery_can_send(struct plx_recovery *r, plx_time now, plx_time *wait_until)
{
    *wait_until = PLX_NEVER;
    uint64_t window = r->cc.cwnd > r->bytes_in_flight ? r->cc.cwnd - r->bytes_in_flight : 0;
    if (window < r->cc.mtu)
        r->full_at = now; // all that is in flight now is a full window
    if (window == 0)
        return 0;
    // Not full when only paced: that counts while there is more to send, which is_app_limited tells. What has run out of octets, or of
    // credit, far below the window did not miss a larger one.
    //= rfc9002 7.8 "When bytes in flight is smaller than the congestion window and sending is not pacing limited"
    uint64_t paced = plx_pacer_can_send(&r->pacer, now, wait_until);
    return paced < window ? paced : window;
}

// --- acknowledgements --------------------------------------------------------------------------------------

struct acked {              // by one frame
    uint64_t bytes;         // in flight, and grown on
    uint64_t bytes_limited; // in flight, but the window was not full when they left
    uint64_t ect0;
    uint64_t largest; // of newly acknowledged numbers
    plx_time largest_at;
    bool is_any, is_any_eliciting, is_skipped;
};

static void ack_record(struct plx_recovery *r, struct plx_space *sp, enum plx_space_id id,
                       struct plx_sent_rec *rec, struct acked *a)
{
    struct plx_sent *s = &sp->sent;

    plx_sent_set_acked(s, rec);
    sp->acked++;
    a->is_any = true;
    a->is_any_eliciting |= rec->is_eliciting;
    a->ect0 += rec->is_ect;
    if (rec->is_in_flight) {
        plx_check(sp->bytes_in_flight >= rec->bytes);
        plx_check(r->bytes_in_flight >= rec->bytes);
        sp->bytes_in_flight -= rec->bytes;
        r->bytes_in_flight -= rec->bytes;
        //= rfc9002 7.3.2 "A recovery period ends and the sender enters congestion avoidance when a packet sent during the recovery period is acknowledged"
        if (!plx_time_lt(rec->time, r->congestion_at)) {
            if (!r->is_app_limited || !plx_time_lt(r->full_at, rec->time))
                a->bytes += rec->bytes;
            else
                a->bytes_limited += rec->bytes;
        }
    }
    if (rec->is_probed)
        return;
    for (unsigned i = 0, run; i < rec->refs_count; i += run) { // once, or twice where the ring ends
        const struct plx_ref *refs = plx_sent_refs(s, rec, i, &run);
        r->events->on_acked(r->arg, id, refs, run);
    }
}

// A packet that was declared lost came after all.
static void ack_lost(struct plx_recovery *r, struct plx_space *sp, struct plx_sent_rec *rec, plx_time now)
{
    plx_sent_set_acked(&sp->sent, rec);
    sp->spurious_lost++;
    r->spurious_packets++;
    if (r->event_lost == 0 || !plx_time_lt(rec->time, r->congestion_at))
        return;
    if (--r->event_lost == 0)
        r->cc.ops->on_spurious(&r->cc, now);
}

static void ack_range(struct plx_recovery *r, struct plx_space *sp, enum plx_space_id id, uint64_t smallest,
                      uint64_t largest, plx_time now, struct acked *a)
{
    struct plx_sent *s = &sp->sent;
    uint64_t from = s->lost > 0 ? s->base : s->oldest; // below oldest only lost records are of interest

    if (from < smallest)
        from = smallest;
    for (uint64_t pn = from; pn <= largest && pn < s->end; pn++) {
        struct plx_sent_rec *rec = plx_sent_at(s, pn);
        switch ((enum plx_sent_state)rec->state) {
        case PLX_SENT_OUTSTANDING:
            if (!a->is_any || pn > a->largest) {
                a->largest = pn;
                a->largest_at = rec->time;
            }
            ack_record(r, sp, id, rec, a);
            break;
        case PLX_SENT_LOST:
            ack_lost(r, sp, rec, now);
            break;
        case PLX_SENT_SKIPPED:
            a->is_skipped = true;
            return;
        case PLX_SENT_ACKED:
            break;
        }
    }
}

// Section 5.3: what of the peer's delay is believed.
static plx_dur ack_delay(const struct plx_recovery *r, enum plx_space_id id, uint64_t raw)
{
    //= rfc9002 5.3 "MAY ignore the acknowledgment delay for Initial packets"
    if (id == PLX_SPACE_INITIAL)
        return PLX_NS(0);
    uint64_t us = raw >> 40 != 0 ? UINT64_C(1) << 40 : raw << r->peer_ack_delay_exponent;
    plx_dur delay = plx_dur_mul(PLX_US(1), us);
    //= rfc9002 5.3 "MUST use the lesser of the acknowledgment delay and the peer's max_ack_delay after the handshake is confirmed"
    return r->is_confirmed ? plx_dur_min(delay, r->peer_max_ack_delay) : delay;
}

// Once per round trip (section 7.3.2): a loss or mark of a packet that left before the last event is the same event.
static void congestion(struct plx_recovery *r, plx_time sent_at, uint32_t lost, plx_time now)
{
    if (plx_time_lt(sent_at, r->congestion_at)) {
        r->event_lost += r->event_lost > 0 ? lost : 0;
        return;
    }
    r->congestion_at = now;
    r->event_lost = lost;
    r->cc.ops->on_congestion(&r->cc, now);
}

struct lost_arg {
    struct plx_recovery *r;
    enum plx_space_id id;
};

static void on_ref_lost(void *arg, const struct plx_ref *ref)
{
    const struct lost_arg *l = arg;
    l->r->events->on_lost(l->r->arg, l->id, ref);
}

// Something is still under way.
__attribute__((noinline)) static void detect(struct plx_recovery *r, struct plx_space *sp,
                                             enum plx_space_id id, plx_time now, struct plx_loss *loss)
{
    struct lost_arg arg = {r, id};

    //= rfc9002 7.6.1 "(smoothed_rtt + max(4*rttvar, kGranularity) + max_ack_delay) * kPersistentCongestionThreshold"
    plx_dur persistent =
        plx_dur_mul(plx_dur_add(plx_rtt_pto(&r->rtt), r->peer_max_ack_delay), PLX_PERSISTENT_THRESHOLD);

    plx_loss_detect(sp, &r->rtt, now, persistent, on_ref_lost, &arg, loss);
    if (loss->packets == 0)
        return;
    plx_check(r->bytes_in_flight >= loss->bytes);
    r->bytes_in_flight -= loss->bytes;
    r->lost_packets += loss->packets;
    r->lost_bytes += loss->bytes;
    for (uint32_t i = 0; i < loss->marked; i++)
        plx_ecn_on_lost(&r->ecn, true);
    if (loss->bytes > 0)
        congestion(r, loss->largest_lost_at, loss->packets, now);
    if (loss->is_persistent) {
        r->persistent++;
        r->event_lost = 0;
        r->cc.ops->on_persistent(&r->cc);
        r->congestion_at = (plx_time){0};
        //= rfc9002 5.2 "Endpoints SHOULD set the min_rtt to the newest RTT sample after persistent congestion is established"
        r->rtt.min = r->rtt.latest;
    }
}

void plx_recovery_detect(struct plx_recovery *r, struct plx_space *sp, enum plx_space_id id, plx_time now,
                         struct plx_loss *loss)
{
    if (sp->sent.outstanding > 0) {
        detect(r, sp, id, now, loss);
        return;
    }
    *loss = (struct plx_loss){0}; // between two requests all has come home
    sp->loss_at = PLX_NEVER;
}

static void ecn_check(struct plx_recovery *r, struct plx_space *sp, const struct plx_frame_ack *ack,
                      const struct acked *a, plx_time now, struct plx_recovery_ack_result *out)
{
    struct plx_ecn_result e =
        plx_ecn_on_ack(&r->ecn, &sp->ecn_seen, a->ect0, ack->has_ecn ? &ack->ecn : NULL);

    out->ecn_failed = e.has_failed;
    if (e.ce_new > 0)
        congestion(r, a->largest_at, 0, now);
}

static void cc_on_acked(struct plx_recovery *r, const struct plx_space *sp, enum plx_space_id id,
                        const struct acked *a, uint64_t in_flight_before, bool has_sample, plx_time now)
{
    struct plx_cc_ack cc = {
        .bytes = a->bytes,
        .largest = a->largest,
        .next_pn = sp->next_pn,
        .bytes_in_flight = in_flight_before,
        .rtt = &r->rtt,
        .has_sample = has_sample && id == PLX_SPACE_APP, // rounds are counted in one space
        .is_app_limited = a->bytes == 0 && a->bytes_limited > 0,
        .now = now,
    };

    if (a->bytes + a->bytes_limited > 0)
        r->cc.ops->on_ack(&r->cc, &cc);
    if (r->pacer.is_enabled)
        plx_pacer_set_rate(&r->pacer, r->cc.cwnd, r->rtt.smoothed, plx_cc_is_slow_start(&r->cc), now);
}

// What was newly acknowledged is counted; now everybody hears of it.
static void ack_apply(struct plx_recovery *r, struct plx_space *sp, enum plx_space_id id,
                      const struct plx_frame_ack *ack, const struct acked *a, uint64_t in_flight_before,
                      plx_time now, struct plx_recovery_ack_result *out)
{
    struct plx_loss loss;
    //= rfc9002 5.1 "the largest acknowledged packet number is newly acknowledged"
    //= rfc9002 5.1 "at least one of the newly acknowledged packets was ack-eliciting"
    bool has_sample =
        a->largest == ack->largest && a->is_any_eliciting && !plx_time_lt(a->largest_at, r->path_at);

    if (has_sample)
        plx_rtt_update(&r->rtt, plx_time_since(now, a->largest_at), ack_delay(r, id, ack->delay), now);
    //= rfc9000 13.4.2.1 "An endpoint MUST NOT fail ECN validation as a result of processing an ACK frame that does not increase the largest acknowledged packet number"
    if (sp->largest_acked == UINT64_MAX || ack->largest > sp->largest_acked) {
        sp->largest_acked = ack->largest;
        ecn_check(r, sp, ack, a, now, out);
    }
    plx_recovery_detect(r, sp, id, now, &loss);
    out->any_lost = loss.packets > 0;
    out->persistent_congestion = loss.is_persistent;
    cc_on_acked(r, sp, id, a, in_flight_before, has_sample, now);

    if (!(id == PLX_SPACE_INITIAL && r->is_unvalidated))
        r->pto_count = 0;
    r->last_at = now;
}

void plx_recovery_on_ack(struct plx_recovery *r, struct plx_space *sp, enum plx_space_id id,
                         const struct plx_frame_ack *ack, plx_time now, struct plx_recovery_ack_result *out)
{
    struct acked a = {0};
    struct plx_ack_iter it;
    uint64_t smallest, largest, in_flight_before = r->bytes_in_flight;

    *out = (struct plx_recovery_ack_result){0};
    //= rfc9000 13.1 "An endpoint SHOULD treat receipt of an acknowledgment for a packet it did not send as a connection error of type PROTOCOL_VIOLATION"
    if (ack->largest >= sp->next_pn) {
        out->error = PLX_QUIC_PROTOCOL_VIOLATION;
        return;
    }
    plx_ack_iter_init(&it, ack);
    while (plx_ack_iter_next(&it, &smallest, &largest) && largest >= sp->sent.base)
        ack_range(r, sp, id, smallest, largest, now, &a);
    if (a.is_skipped) {
        out->error = PLX_QUIC_PROTOCOL_VIOLATION;
        return;
    }
    if (a.is_any) {
        out->newly_acked = true;
        out->any_ack_eliciting_acked = a.is_any_eliciting;
        out->largest_newly_acked = a.largest;
        ack_apply(r, sp, id, ack, &a, in_flight_before, now, out);
    }
    plx_sent_retire(&sp->sent);
    if (sp->sent.lost > 0)
        plx_sent_forget_lost(&sp->sent, plx_time_before(now, plx_dur_mul(plx_rtt_pto(&r->rtt), 2)));
}

// --- spaces and paths --------------------------------------------------------------------------------------

void plx_recovery_discard_space(struct plx_recovery *r, struct plx_space *sp, enum plx_space_id id)
{
    (void)id;
    plx_check(r->bytes_in_flight >= sp->bytes_in_flight);
    r->bytes_in_flight -= sp->bytes_in_flight;
    sp->bytes_in_flight = 0;
    sp->loss_at = PLX_NEVER;
    sp->probes_wanted = 0;
    plx_sent_fini(&sp->sent);
    //= rfc9002 6.2.2 "When Initial or Handshake keys are discarded, the PTO and loss detection timers MUST be reset"
    r->pto_count = 0;
}

void plx_recovery_requeue_all(struct plx_recovery *r, struct plx_space *sp, enum plx_space_id id)
{
    struct plx_sent *s = &sp->sent;

    for (uint64_t pn = s->oldest; pn < s->end; pn++) {
        const struct plx_sent_rec *rec = plx_sent_at(s, pn);
        if (rec->state != PLX_SENT_OUTSTANDING || rec->is_probed)
            continue;
        for (unsigned i = 0; i < rec->refs_count; i++)
            r->events->on_lost(r->arg, id, plx_sent_ref(s, rec, i));
    }
    plx_recovery_discard_space(r, sp, id);
}

void plx_recovery_on_path_change(struct plx_recovery *r, uint16_t mtu)
{
    bool is_paced = r->pacer.is_enabled;

    //= rfc9000 9.4 "an endpoint MUST immediately reset the congestion controller and round-trip time estimator for the new path to initial values"
    plx_rtt_init(&r->rtt, r->initial_rtt);
    plx_cc_init(&r->cc, r->cc.ops, mtu, r->initial_cwnd_packets, r->has_hystart);
    plx_pacer_init(&r->pacer, is_paced, mtu, r->last_at);
    plx_ecn_init(&r->ecn, r->has_ecn);
    r->pto_count = 0;
    r->event_lost = 0;
    // Packets of the old path are still out. They keep their place in flight until they are acknowledged or lost, within a round trip,
    // but whatever becomes of them says nothing about the new path.
    r->congestion_at = plx_time_after(r->last_at, PLX_NS(1));
    r->path_at = r->congestion_at;
    r->full_at = r->last_at;
}

void plx_recovery_set_mtu(struct plx_recovery *r, uint16_t mtu)
{
    plx_cc_set_mtu(&r->cc, mtu);
    r->pacer.mtu = mtu;
}

void plx_recovery_verify(const struct plx_recovery *r, struct plx_space *const sp[PLX_SPACE_COUNT])
{
    uint64_t bytes = 0;

    plx_cc_verify(&r->cc);
    for (unsigned i = 0; i < PLX_SPACE_COUNT; i++) {
        if (sp[i] == NULL)
            continue;
        plx_space_verify(sp[i]);
        bytes += sp[i]->bytes_in_flight;
    }
    plx_check(bytes == r->bytes_in_flight);
}
