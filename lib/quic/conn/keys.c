// keys.c -- packet protection keys of a connection: levels, key phases, limits (RFC 9001 sections 4.9, 5 and 6).
//
// Initial and Handshake keys live in the handshake object and die with it. 1-RTT keys live in a pool object of their own: one
// sending key and two receiving keys, one per value of the Key Phase bit. The receiving key of the other phase is either the
// previous one (for two PTOs after the update, for late packets) or the next one, expanded ahead so that a packet with a flipped
// bit costs what any packet costs (section 6.3 of RFC 9001). So the bit alone selects the key, and what a packet proves by opening
// is decided afterwards:
//
//   bit as now         nothing new
//   other, previous    late when its number is below all of the present phase, else KEY_UPDATE_ERROR (section 6.4)
//   other, next        the peer updates; we follow with the sending key before anything is sent
//
// A peer that updates again while we still hold the previous key has its packets rejected once: seeing one beyond everything received makes
// the swap happen at the next tick. (We wait for three PTOs before we start an update, and keep old keys for two, because the two ends do
// not agree about how long a PTO is.) Expanding happens in the receive and timer phases only,
// because seal jobs of the send phase point at the sending key until the engine has run them.
//
// After some seconds of silence the expanded keys are given back to their pool. What they are expanded from stays (the octets of the keys,
// not only the secrets, whose hashing is the dearer half), and the first packet in or out makes them again. The receiving key of the
// next phase can wait: it is expanded at the next tick that is not a rest's, or when a packet wants it before.

#include "quic/conn/conn_impl.h"

#include "base/pool.h"

// --- levels before 1-RTT ---------------------------------------------------------------------------------------

static void level_set(struct plx_conn *c, struct conn_level *l, bool is_tx, const struct plx_secret *s)
{
    plx_keys_both(c->env->aead, PLX_QUIC_V1, s, is_tx ? &l->tx : &l->rx, is_tx ? &l->tx_hp : &l->rx_hp);
    if (is_tx)
        l->has_tx = true;
    else
        l->has_rx = true;
}

void conn_keys_initial(struct plx_conn *c, const struct plx_cid *dcid)
{
    struct plx_secret client, server;
    plx_secret_initial(PLX_QUIC_V1, dcid->bytes, dcid->len, &client, &server);
    struct conn_level *l = &c->hs->level[PLX_SPACE_INITIAL];
    level_set(c, l, true, c->is_server ? &server : &client);
    level_set(c, l, false, c->is_server ? &client : &server);
}

bool conn_keys_install(struct plx_conn *c, enum plx_level level, bool is_tx, const struct plx_secret *s)
{
    if (level == PLX_LEVEL_HANDSHAKE) {
        level_set(c, &c->hs->level[PLX_SPACE_HANDSHAKE], is_tx, s);
        return true;
    }
    if (level == PLX_LEVEL_EARLY)
        conn_early_on_secret(c, is_tx, s);
    if (level != PLX_LEVEL_APP)
        return true;
    if (c->keys == NULL && (c->keys = plx_pool_take(c->env->keys)) == NULL)
        return false;
    if (is_tx) {
        c->tx_secret = *s;
        plx_material_all(PLX_QUIC_V1, s, &c->tx_raw, NULL);
        plx_expand_aead(c->env->aead, &c->tx_raw, &c->keys->tx);
        plx_expand_hp(c->env->aead, &c->tx_raw, &c->keys->tx_hp);
        c->has_tx_keys = true;
    } else {
        plx_material_all(PLX_QUIC_V1, s, &c->rx_raw, &c->rx_secret);
        plx_expand_aead(c->env->aead, &c->rx_raw, &c->keys->rx[0]);
        plx_expand_hp(c->env->aead, &c->rx_raw, &c->keys->rx_hp);
        plx_keys_aead(c->env->aead, PLX_QUIC_V1, &c->rx_secret, &c->keys->rx[1]);
        c->keys->has_both = true;
        c->has_rx_keys = true;
    }
    return true;
}

// Keys of a level are used no more. Their octets stay until the handshake object goes, because jobs of this breath may point at them.
void conn_keys_discard(struct plx_conn *c, enum plx_space_id space)
{
    struct conn_hs *hs = c->hs;
    if (hs == NULL || hs->level[space].is_discarded)
        return;
    hs->level[space].has_rx = hs->level[space].has_tx = false;
    hs->level[space].is_discarded = true;
    plx_recovery_discard_space(&c->recovery, &hs->space[space], space);
    plx_space_fini(&hs->space[space]);
    plx_cstream_tx_fini(&hs->ctx[space], c->env->slab);
    if (space == PLX_SPACE_INITIAL && c->is_server && hs->has_odcid_route) {
        hs->has_odcid_route = false;
        c->env->events->on_cid_retired(c->env->events_arg, c, &hs->first_dcid);
    }
}

// --- which key opens a packet --------------------------------------------------------------------------------------

bool conn_keys_can_open(const struct plx_conn *c, enum plx_space_id space)
{
    if (space != PLX_SPACE_APP)
        return c->hs != NULL && c->hs->level[space].has_rx;
    //= rfc9001 5.7 "MUST NOT process incoming 1-RTT protected packets before the TLS handshake is complete"
    return c->has_rx_keys && !(c->is_server && c->state == PLX_CONN_HANDSHAKE);
}

const struct plx_hp_key *conn_keys_rx_hp(const struct plx_conn *c, enum plx_space_id space)
{
    return space == PLX_SPACE_APP ? &c->keys->rx_hp : &c->hs->level[space].rx_hp;
}

const struct plx_aead_key *conn_keys_rx(const struct plx_conn *c, enum plx_space_id space, uint8_t phase)
{
    return space == PLX_SPACE_APP ? &c->keys->rx[phase] : &c->hs->level[space].rx;
}

bool conn_keys_can_seal(const struct plx_conn *c, enum plx_space_id space)
{
    if (space != PLX_SPACE_APP)
        return c->hs != NULL && c->hs->level[space].has_tx;
    // A server may speak before it has heard Finished, but has nothing to say that could not wait for it, unless it answers early data.
    return c->state != PLX_CONN_HANDSHAKE ? c->has_tx_keys
                                          : conn_is_early(c) && (c->has_tx_keys || !c->is_server);
}

// --- key phases ----------------------------------------------------------------------------------------------------

static void tx_update(struct plx_conn *c)
{
    struct plx_secret next;
    plx_secret_next(PLX_QUIC_V1, &c->tx_secret, &next);
    c->tx_secret = next;
    plx_secret_wipe(&next);
    plx_material_aead(PLX_QUIC_V1, &c->tx_secret, &c->tx_raw);
    plx_expand_aead(c->env->aead, &c->tx_raw, &c->keys->tx);
    c->tx_phase ^= 1;
    c->tx_phase_first = c->space.next_pn;
    c->tx_sealed = 0;
    c->update_from = PLX_NEVER;
    c->want &= (uint16_t)~CONN_WANT_KEY_UPDATE; // whoever wanted it, and if the peer was faster
    c->env->stats.key_updates++;
}

void conn_keys_next(struct plx_conn *c)
{
    if (c->keys->has_both)
        return;
    //= rfc9001 6.3 "An endpoint MAY generate new keys as part of packet processing"
    plx_keys_aead(c->env->aead, PLX_QUIC_V1, &c->rx_secret, &c->keys->rx[c->rx_phase ^ 1]);
    c->keys->has_both = true;
}

// The previous receiving key is replaced by the next one.
static void rx_swap(struct plx_conn *c)
{
    struct plx_secret next;
    plx_secret_next(PLX_QUIC_V1, &c->rx_secret, &next);
    c->rx_secret = next;
    plx_secret_wipe(&next);
    plx_keys_aead(c->env->aead, PLX_QUIC_V1, &c->rx_secret, &c->keys->rx[c->rx_phase ^ 1]);
    c->old_keys_until = PLX_NEVER;
}

bool conn_keys_on_opened(struct plx_conn *c, uint8_t phase, uint64_t pn, plx_time now)
{
    if (phase == c->rx_phase) {
        if (pn < c->rx_phase_first)
            c->rx_phase_first = pn;
        return true;
    }
    bool is_previous = !plx_time_is_never(c->old_keys_until);
    //= rfc9001 6.4 "MUST treat this as a connection error of type KEY_UPDATE_ERROR"
    if (is_previous ? pn > c->rx_phase_first : pn < c->space.acks.end) {
        conn_fail(c, PLX_QUIC_KEY_UPDATE_ERROR, 0, "old keys above new ones");
        return false;
    }
    if (is_previous)
        return true;
    //= rfc9001 6.2 "MUST update its send keys to the corresponding key phase in response"
    c->rx_phase ^= 1;
    c->rx_phase_first = pn;
    plx_material_aead(PLX_QUIC_V1, &c->rx_secret, &c->rx_raw);
    c->old_keys_until =
        plx_time_after(now, plx_dur_mul(plx_recovery_pto(&c->recovery, PLX_SPACE_APP), CONN_OLD_KEYS_PTOS));
    if (c->tx_phase != c->rx_phase)
        tx_update(c);
    return true;
}

bool conn_keys_on_open_failed(struct plx_conn *c, enum plx_space_id space, uint8_t phase, uint64_t pn,
                              plx_time now)
{
    bool is_app = space == PLX_SPACE_APP;
    if (is_app && phase != c->rx_phase && !plx_time_is_never(c->old_keys_until) && pn >= c->space.acks.end)
        c->old_keys_until = now; // perhaps a second update: have its key at the next tick
    //= rfc9001 6.6 "If the total number of received packets that fail"
    const struct plx_aead_key *k =
        conn_keys_can_open(c, space) ? conn_keys_rx(c, space, is_app ? phase : 0) : NULL;
    if (k != NULL && ++c->rx_failed > plx_aead_open_limit(k->alg)) {
        conn_fail(c, PLX_QUIC_AEAD_LIMIT_REACHED, 0, "too many packets failed authentication");
        return false;
    }
    return true;
}

void conn_keys_on_acked(struct plx_conn *c, plx_time now)
{
    if (!plx_time_is_never(c->update_from) || c->space.largest_acked < c->tx_phase_first)
        return;
    //= rfc9001 6.5 "Endpoints SHOULD wait three times the PTO before initiating a key update after receiving an acknowledgment"
    plx_dur wait = c->tx_phase_first == 0
                       ? (plx_dur){0}
                       : plx_dur_mul(plx_recovery_pto(&c->recovery, PLX_SPACE_APP), CONN_UPDATE_WAIT_PTOS);
    c->update_from = plx_time_after(now, wait);
}

// Confirmed, and the last update is over at both ends.
static bool is_settled(const struct plx_conn *c)
{
    return c->state == PLX_CONN_CONFIRMED && c->tx_phase == c->rx_phase &&
           plx_time_is_never(c->old_keys_until);
}

static uint64_t update_after(const struct plx_conn *c)
{
    uint64_t limit = plx_aead_seal_limit(c->keys->tx.alg) / 2;
    uint64_t wish = c->env->cfg->key_update_packets;
    return wish != 0 && wish < limit ? wish : limit;
}

void conn_keys_tick(struct plx_conn *c, plx_time now)
{
    if (conn_is_winding_down(c) ||
        (c->keys == NULL && !((c->want & CONN_WANT_KEY_UPDATE) && conn_keys_awake(c))))
        return;
    if (plx_time_reached(c->old_keys_until, now) && !plx_time_is_never(c->old_keys_until))
        rx_swap(c);
    if (c->has_rx_keys && !c->keys->has_both &&
        !plx_time_reached(plx_time_after(c->heard_at, CONN_REST_AFTER), now))
        conn_keys_next(c);
    if (c->has_tx_keys)
        c->tx_restless = update_after(c);
    bool is_wanted =
        (c->want & CONN_WANT_KEY_UPDATE) != 0 || (c->has_tx_keys && c->tx_sealed >= c->tx_restless);
    if (is_wanted && is_settled(c) && plx_time_reached(c->update_from, now)) {
        tx_update(c);
        conn_cids_rotate(c); // what links the packets before and after to one connection goes with the keys
    }
    //= rfc9001 6.6 "RECOMMENDED that endpoints immediately close the connection with a connection error of type AEAD_LIMIT_REACHED"
    if (c->has_tx_keys && c->tx_sealed >= plx_aead_seal_limit(c->keys->tx.alg) - CONN_SEAL_RESERVE)
        conn_fail(c, PLX_QUIC_AEAD_LIMIT_REACHED, 0, "no key update was possible in time");
}

enum plx_err plx_conn_update_keys(struct plx_conn *c)
{
    if (conn_is_winding_down(c))
        return PLX_ERR_CLOSED;
    if ((c->want & CONN_WANT_KEY_UPDATE) || !is_settled(c))
        return PLX_ERR_AGAIN;
    c->want |= CONN_WANT_KEY_UPDATE; // not before the next tick: seal jobs may point at the present key
    conn_wake(c);
    return PLX_OK;
}

// --- rest --------------------------------------------------------------------------------------------------------------

bool conn_keys_can_rest(const struct plx_conn *c)
{
    return c->keys != NULL && c->state == PLX_CONN_CONFIRMED && c->hs == NULL &&
           c->recovery.bytes_in_flight == 0 && plx_time_is_never(c->old_keys_until) &&
           !(c->want & CONN_WANT_KEY_UPDATE);
}

static void keys_give(struct plx_conn *c)
{
    plx_bytes_wipe(c->keys, sizeof *c->keys);
    plx_pool_give(c->env->keys, c->keys);
    c->keys = NULL;
}

void conn_keys_rest(struct plx_conn *c)
{
    plx_check(conn_keys_can_rest(c));
    keys_give(c);
}

bool conn_keys_awake(struct plx_conn *c)
{
    if (c->keys != NULL)
        return true;
    if (!c->has_rx_keys || !c->has_tx_keys)
        return false;
    if (!conn_is_winding_down(c) && !conn_has_room(c)) // who says goodbye needs no streams for it
        return false;
    if ((c->keys = plx_pool_take(c->env->keys)) == NULL)
        return false;
    const struct plx_aead_backend *b = c->env->aead;
    plx_expand_aead(b, &c->tx_raw, &c->keys->tx);
    plx_expand_aead(b, &c->rx_raw, &c->keys->rx[c->rx_phase]);
    plx_expand_hp(b, &c->tx_raw, &c->keys->tx_hp);
    plx_expand_hp(b, &c->rx_raw, &c->keys->rx_hp);
    c->keys->has_both = false;
    return true;
}

void conn_keys_release(struct plx_conn *c)
{
    c->has_rx_keys = c->has_tx_keys = false;
    plx_secret_wipe(&c->rx_secret);
    plx_secret_wipe(&c->tx_secret);
    plx_bytes_wipe(&c->rx_raw, sizeof c->rx_raw);
    plx_bytes_wipe(&c->tx_raw, sizeof c->tx_raw);
    if (c->keys != NULL)
        keys_give(c);
}
