// recovery_timer.c -- the one timer of loss recovery: RFC 9002 section 6.2 and appendix A.8, A.9.
//
// It means one of two things. When some packet only waits for time to be called lost, it is that moment. Otherwise it is the probe
// timeout (PTO) of the space whose last ack-eliciting packet is due first, doubled with every PTO in a row. A client whose
// address the server has not validated sets it even with nothing in flight, because a server that may not send more would wait for ever.
//
// A PTO declares nothing lost. It asks for one or two packets outside of the window, and hands the references of the oldest
// packets to on_lost so that those probes carry something useful; such a record is marked and hands them out no second time.

#include "quic/recovery/recovery_parts.h"

static plx_dur backed_off(const struct plx_recovery *r, plx_dur d)
{
    unsigned n = r->pto_count < PLX_PTO_BACKOFF_MAX ? r->pto_count : PLX_PTO_BACKOFF_MAX;
    return plx_dur_mul(d, UINT64_C(1) << n);
}

plx_dur plx_recovery_pto(const struct plx_recovery *r, enum plx_space_id id)
{
    plx_dur pto = plx_rtt_pto(&r->rtt);
    //= rfc9002 6.2.1 "the max_ack_delay in the PTO period computation is set to 0"
    return id == PLX_SPACE_APP ? plx_dur_add(pto, r->peer_max_ack_delay) : pto;
}

static plx_time loss_at(struct plx_space *const sp[PLX_SPACE_COUNT], enum plx_space_id *id)
{
    plx_time at = PLX_NEVER;

    for (unsigned i = 0; i < PLX_SPACE_COUNT; i++) {
        if (sp[i] != NULL && plx_time_lt(sp[i]->loss_at, at)) {
            at = sp[i]->loss_at;
            *id = (enum plx_space_id)i;
        }
    }
    return at;
}

static plx_time pto_at(const struct plx_recovery *r, struct plx_space *const sp[PLX_SPACE_COUNT],
                       bool has_handshake_keys, bool is_client_unvalidated, enum plx_space_id *id)
{
    plx_time at = PLX_NEVER;
    bool is_any = false;

    for (unsigned i = 0; i < PLX_SPACE_COUNT; i++) {
        if (sp[i] == NULL || !plx_space_has_eliciting_in_flight(sp[i]))
            continue;
        is_any = true;
        //= rfc9002 6.2.1 "An endpoint MUST NOT set its PTO timer for the Application Data packet number space until the handshake is confirmed"
        if (i == PLX_SPACE_APP && !r->is_confirmed)
            continue;
        plx_time t = plx_time_after(sp[i]->last_eliciting_at,
                                    backed_off(r, plx_recovery_pto(r, (enum plx_space_id)i)));
        if (plx_time_lt(t, at)) {
            at = t;
            *id = (enum plx_space_id)i;
        }
    }
    //= rfc9002 6.2.2.1 "the client MUST set the PTO timer if the client has not received an acknowledgment for any of its Handshake packets and the handshake is not confirmed"
    bool is_stuck = is_client_unvalidated && (!is_any || plx_time_is_never(at));
    if (is_stuck) {
        *id = has_handshake_keys ? PLX_SPACE_HANDSHAKE : PLX_SPACE_INITIAL;
        if (sp[*id] == NULL)
            return PLX_NEVER;
        return plx_time_after(r->last_at, backed_off(r, plx_rtt_pto(&r->rtt)));
    }
    return at;
}

plx_time plx_recovery_deadline(const struct plx_recovery *r, struct plx_space *const sp[PLX_SPACE_COUNT],
                               bool has_handshake_keys, bool is_client_unvalidated)
{
    enum plx_space_id id;
    plx_time at = loss_at(sp, &id);

    if (!plx_time_is_never(at))
        return at;
    return pto_at(r, sp, has_handshake_keys, is_client_unvalidated, &id);
}

plx_time plx_recovery_deadline_app(const struct plx_recovery *r, const struct plx_space *app)
{
    if (!plx_time_is_never(app->loss_at))
        return app->loss_at;
    if (!r->is_confirmed || !plx_space_has_eliciting_in_flight(app))
        return PLX_NEVER;
    return plx_time_after(app->last_eliciting_at, backed_off(r, plx_recovery_pto(r, PLX_SPACE_APP)));
}

// References of the oldest ack-eliciting packets that are still out, as something for the probes to carry.
static void probe_hint(struct plx_recovery *r, struct plx_space *sp, enum plx_space_id id)
{
    struct plx_sent *s = &sp->sent;
    unsigned count = 0;

    for (uint64_t pn = s->oldest; pn < s->end && count < PLX_PROBES; pn++) {
        struct plx_sent_rec *rec = plx_sent_at(s, pn);
        if (rec->state != PLX_SENT_OUTSTANDING || !rec->is_eliciting || rec->is_probed)
            continue;
        for (unsigned i = 0; i < rec->refs_count; i++)
            r->events->on_lost(r->arg, id, plx_sent_ref(s, rec, i));
        rec->is_probed = true;
        count++;
    }
}

static enum plx_recovery_fired fire_loss(struct plx_recovery *r, struct plx_space *sp, enum plx_space_id id,
                                         plx_time now)
{
    struct plx_loss loss;

    plx_recovery_detect(r, sp, id, now, &loss);
    plx_pacer_set_rate(&r->pacer, r->cc.cwnd, r->rtt.has_sample ? r->rtt.smoothed : PLX_NS(0),
                       plx_cc_is_slow_start(&r->cc), now);
    return PLX_FIRED_LOSS;
}

enum plx_recovery_fired plx_recovery_on_timeout(struct plx_recovery *r,
                                                struct plx_space *const sp[PLX_SPACE_COUNT],
                                                bool has_handshake_keys, bool is_client_unvalidated,
                                                plx_time now, enum plx_space_id *probe_space)
{
    enum plx_space_id id;
    plx_time at = loss_at(sp, &id);

    r->is_unvalidated = is_client_unvalidated;
    if (!plx_time_is_never(at))
        return plx_time_reached(at, now) ? fire_loss(r, sp[id], id, now) : PLX_FIRED_NOTHING;
    at = pto_at(r, sp, has_handshake_keys, is_client_unvalidated, &id);
    if (plx_time_is_never(at) || !plx_time_reached(at, now))
        return PLX_FIRED_NOTHING;

    r->ptos++;
    if (r->pto_count < UINT8_MAX)
        r->pto_count++;
    r->last_at = now;
    *probe_space = id;
    //= rfc9002 6.2.4 "an endpoint MAY send up to two full-sized datagrams containing ack-eliciting packets"
    sp[id]->probes_wanted = plx_space_has_eliciting_in_flight(sp[id]) ? PLX_PROBES : 1;
    probe_hint(r, sp[id], id);
    return PLX_FIRED_PTO;
}
