// timer.c -- one deadline out of many, and what happens when it is reached.
//
//   closing, draining   nothing but their end (RFC 9000 section 10.2)
//   silence             max_idle_timeout of both sides, but never less than three PTOs (section 10.1)
//   handshake           has to be complete in time; a client waits a little for a ticket afterwards
//   recovery            loss or probe timeout (RFC 9002), not while a server may not send for lack of a validated address
//   acknowledgements    of each space
//   pacing              when that is what held the last attempt to send; likewise a lack of memory
//   keys                the previous receiving keys go, the next come
//   paths               challenges to repeat, validations to give up
//   idleness            rings go back to the slab a second after the last packet, keys to their pool after five
//   keep-alive          a PING when nothing was heard for so long
//   question            a client that waits for an answer and hears nothing asks whether the path still works
//
// Nothing is scheduled: each moment is a field of whoever cares, and the deadline is their minimum whenever somebody asks.

#include "quic/conn/conn_impl.h"

enum { QUESTIONS_MAX = 6 }; // wait at most 64 times as long
static const plx_dur question_min = PLX_MS(100);

plx_dur conn_pto(const struct plx_conn *c)
{
    return plx_recovery_pto(&c->recovery, conn_is_handshaking(c) ? PLX_SPACE_HANDSHAKE : PLX_SPACE_APP);
}

void conn_timer_on_heard(struct plx_conn *c, plx_time now)
{
    c->heard_at = now;
    c->has_spoken = false;
}

bool conn_is_amplification_limited(const struct plx_conn *c)
{
    return c->hold == CONN_HOLD_ADDRESS;
}

// --- when ------------------------------------------------------------------------------------------------------------------

static plx_time idle_at(const struct plx_conn *c)
{
    if (c->idle_timeout.ns == 0)
        return PLX_NEVER;
    //= rfc9000 10.1 "endpoints MUST increase the idle timeout period to be at least three times the current Probe Timeout (PTO)"
    plx_dur timeout = plx_dur_max(c->idle_timeout, plx_dur_mul(conn_pto(c), 3));
    return plx_time_after(c->has_spoken ? plx_time_max(c->heard_at, c->spoke_at) : c->heard_at, timeout);
}

static plx_time keep_alive_at(const struct plx_conn *c)
{
    if (c->env->cfg->keep_alive.ns == 0 || !conn_is_complete(c))
        return PLX_NEVER;
    return plx_time_after(plx_time_max(c->heard_at, c->pinged_at), c->env->cfg->keep_alive);
}

// A client that waits for an answer and hears nothing asks whether the path still works. Without that, a download stalls for good when a
// NAT forgets its mapping while everything under way is on the way to us: we have nothing to send, so the server never learns our
// new address. RFC 9000 section 10.1.2 has it for the idle timeout. Each question without stream data doubles the next wait.
static plx_time question_at(const struct plx_conn *c)
{
    if (c->is_server || c->state != PLX_CONN_CONFIRMED || c->recovery.bytes_in_flight > 0 ||
        !plx_streams_is_expecting(&c->streams))
        return PLX_NEVER; // what is in flight has its probe timer
    plx_dur wait = plx_dur_max(plx_dur_mul(conn_pto(c), 4), question_min);
    return plx_time_after(plx_time_max(c->heard_at, c->pinged_at),
                          plx_dur_mul(wait, UINT64_C(1) << c->questions));
}

static bool has_handshake_keys(const struct plx_conn *c)
{
    return c->hs != NULL && c->hs->level[PLX_SPACE_HANDSHAKE].has_tx;
}

// RFC 9002 section 6.2.2.1: the server may be waiting for octets of ours to be allowed to send.
static bool is_client_unvalidated(const struct plx_conn *c)
{
    return !c->is_server && c->hs != NULL && !c->hs->is_address_known && c->state != PLX_CONN_CONFIRMED &&
           c->packets_tx > 0;
}

// An idle connection keeps no rings of sent packets.
static plx_time shrink_at(const struct plx_conn *c)
{
    if (c->space.sent.recs == NULL || c->space.bytes_in_flight > 0 ||
        plx_space_has_eliciting_in_flight(&c->space))
        return PLX_NEVER;
    return plx_time_after(c->heard_at, CONN_SHRINK_AFTER);
}

// Nor expanded keys.
static plx_time rest_at(const struct plx_conn *c)
{
    return conn_keys_can_rest(c) ? plx_time_after(c->heard_at, CONN_REST_AFTER) : PLX_NEVER;
}

static plx_time recovery_at(const struct plx_conn *c)
{
    if (c->hs == NULL)
        return plx_recovery_deadline_app(&c->recovery, &c->space);
    struct plx_space *sp[PLX_SPACE_COUNT];
    conn_spaces(c, sp);
    return plx_recovery_deadline(&c->recovery, sp, has_handshake_keys(c), is_client_unvalidated(c));
}

static plx_time handshake_at(const struct plx_conn *c)
{
    const struct conn_hs *hs = c->hs;
    plx_time t = PLX_NEVER;
    if (conn_is_handshaking(c) || hs->stash_count > 0)
        t = hs->deadline;
    t = plx_time_min(t, plx_time_min(hs->ticket_until, hs->early.until));
    for (int i = 0; i < CONN_HS_SPACES; i++)
        if (hs->level[i].has_tx && c->hold != CONN_HOLD_ADDRESS)
            t = plx_time_min(t, plx_acks_deadline(&hs->space[i].acks));
    return t;
}

// What follows from silence. None of it is nearer than a second after the last packet, unless the application has asked for shorter times.
static plx_time silence_at(const struct plx_conn *c)
{
    plx_time t = plx_time_min(idle_at(c), keep_alive_at(c));
    return plx_time_min(t, plx_time_min(shrink_at(c), rest_at(c)));
}

static bool is_before_silence(const struct plx_conn *c, plx_time t)
{
    uint64_t idle = c->idle_timeout.ns, alive = c->env->cfg->keep_alive.ns, wait = CONN_SHRINK_AFTER.ns;
    wait = idle != 0 && idle < wait ? idle : wait;
    wait = alive != 0 && alive < wait ? alive : wait;
    return !plx_time_lt(plx_time_after(c->heard_at, (plx_dur){wait}), t);
}

// What waits for octets to be sent, or for word of those that were.
static plx_time sending_at(const struct plx_conn *c)
{
    plx_time t = c->hold == CONN_HOLD_PACE ? c->pace_at : PLX_NEVER;
    if (c->hold == CONN_HOLD_ADDRESS)
        return t; // whatever else waits cannot be sent
    if (conn_keys_can_seal(c, PLX_SPACE_APP))
        t = plx_time_min(t, plx_acks_deadline(&c->space.acks));
    return plx_time_min(t, recovery_at(c));
}

plx_time plx_conn_deadline(const struct plx_conn *c)
{
    if (c->state == PLX_CONN_DEAD)
        return PLX_NEVER;
    if (conn_is_winding_down(c))
        return c->end_at;
    plx_time t = question_at(c);
    if (c->hold == CONN_HOLD_MEANS) // whatever else waits, waits for that
        return plx_time_min(plx_time_min(t, c->pace_at), plx_time_min(idle_at(c), keep_alive_at(c)));
    t = plx_time_min(t, sending_at(c));
    t = plx_time_min(t, plx_paths_deadline(&c->paths));
    t = plx_time_min(t, c->old_keys_until);
    if (c->want & CONN_WANT_KEY_UPDATE)
        t = plx_time_min(t, plx_time_max(c->update_from, c->now)); // at the next tick that may
    if (c->hs != NULL)
        t = plx_time_min(t, handshake_at(c));
    // A busy connection has something nearer, and the far ends need not be worked out.
    return is_before_silence(c, t) ? t : plx_time_min(t, silence_at(c));
}

// --- what ------------------------------------------------------------------------------------------------------------------

static void on_recovery_timeout(struct plx_conn *c, plx_time now)
{
    struct plx_space *sp[PLX_SPACE_COUNT];
    enum plx_space_id probe = PLX_SPACE_APP;
    conn_spaces(c, sp);
    uint64_t lost = c->recovery.lost_packets;
    enum plx_recovery_fired fired = plx_recovery_on_timeout(&c->recovery, sp, has_handshake_keys(c),
                                                            is_client_unvalidated(c), now, &probe);
    c->env->stats.packets_lost += c->recovery.lost_packets - lost;
    if (fired == PLX_FIRED_NOTHING)
        return;
    c->hold = CONN_HOLD_NONE;
    if (fired == PLX_FIRED_LOSS)
        return;
    c->env->stats.ptos++;
    c->ptos += c->ptos < UINT8_MAX;
    // Large datagrams that nobody ever acknowledges: perhaps the path does not carry them (RFC 8899 section 4.3).
    if (c->ptos >= CONN_BLACK_HOLE_PTOS && plx_paths_active(&c->paths)->mtu > PLX_DGRAM_MIN) {
        c->is_black_hole = true;
        conn_path_mtu_update(c);
    }
}

static void tick(struct plx_conn *c, plx_time now)
{
    if (conn_is_winding_down(c)) {
        conn_end_begin(c);
        if (plx_time_reached(c->end_at, now))
            conn_on_event(c, CONN_EV_EXPIRE);
        return;
    }
    if (conn_is_handshaking(c) && plx_time_reached(c->hs->deadline, now)) {
        conn_expire(c, PLX_CLOSE_HANDSHAKE_TIMEOUT);
        return;
    }
    //= rfc9000 10.1 "the connection is silently closed and its state is discarded when it remains idle"
    if (plx_time_reached(idle_at(c), now)) {
        conn_expire(c, PLX_CLOSE_IDLE);
        return;
    }
    conn_keys_tick(c, now);
    conn_on_path_event(c, plx_paths_on_timeout(&c->paths, &c->peer_cids, now));
    if (conn_is_winding_down(c))
        return;
    if ((c->hold == CONN_HOLD_PACE || c->hold == CONN_HOLD_MEANS) && plx_time_reached(c->pace_at, now))
        c->hold = CONN_HOLD_NONE;
    if (c->hold != CONN_HOLD_ADDRESS)
        on_recovery_timeout(c, now);
    bool is_question = plx_time_reached(question_at(c), now);
    if (is_question && c->questions < QUESTIONS_MAX)
        c->questions++;
    if (is_question || plx_time_reached(keep_alive_at(c), now)) {
        c->want |= CONN_WANT_PING;
        c->pinged_at = now;
    }
    if (plx_time_reached(shrink_at(c), now))
        plx_space_shrink(&c->space);
    if (plx_time_reached(rest_at(c), now))
        conn_keys_rest(c);
    conn_handshake_settle(c, now);
}

void plx_conn_on_timeout(struct plx_conn *c, plx_time now)
{
    conn_enter(c, now);
    tick(c, now);
    conn_leave(c);
}
