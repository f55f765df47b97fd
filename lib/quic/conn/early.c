// early.c -- 0-RTT: what a client says before it has heard anything, and what a server makes of it (RFC 9001 section 4.6, RFC 9000 sections
// 7.4.1 and 17.2.3).
//
// Early data is nothing but 1-RTT data in packets of another form: it shares their numbers, their streams and their recovery, and they
// acknowledge it. What is its own is one key, for one direction, that comes with the first octets of TLS:
//
//   client   TLS has a session that allows it: the key is there before the first packet, and streams may be opened under the limits that the
//            session remembers. When the handshake is complete the server has accepted it, and all goes on; or refused it: then
//            everything sent so counts as never sent, and goes again in 1-RTT packets.
//   server   TLS has accepted the offer: the key is there when the ClientHello is through. Streams are delivered before the handshake is
//            complete, and answers may leave in 1-RTT packets at once, as far as the address is believed.
//
// A server's tickets carry what it promised when it made them (the limits of transport parameters, and what the application said):
//   2 octets length | parameters in their remembered form | the application's octets
// Early data is accepted when no limit is lower today and the application recognises its octets.

#include "quic/conn/conn_impl.h"

enum { CONN_EARLY_KEPT_PTOS = 3 };

void conn_early_on_secret(struct plx_conn *c, bool is_tx, const struct plx_secret *s)
{
    struct conn_early *e = &c->hs->early;
    if (is_tx == c->is_server) // a server sends none, a client receives none
        return;
    plx_keys_aead(c->env->aead, PLX_QUIC_V1, s, &e->key);
    plx_keys_hp(c->env->aead, PLX_QUIC_V1, s, &e->hp);
    e->has_key = true;
    e->is_offered = true;
    e->until = PLX_NEVER;
}

void conn_early_tell(struct plx_conn *c)
{
    struct conn_early *e = &c->hs->early;
    if (!conn_is_early(c) || e->is_told)
        return;
    e->is_told = true;
    conn_alpn_set(c, plx_tls_alpn(c->hs->tls));
    c->env->events->on_early(c->env->events_arg, c, e->app, e->app_len);
}

// --- what is promised --------------------------------------------------------------------------------------------------------

size_t conn_early_context_write(struct plx_conn *c, uint8_t *out, size_t cap)
{
    struct plx_tparams ours;
    struct plx_wr w = plx_wr_init(out, cap);
    conn_params_ours(c, &ours);
    uint8_t *len = plx_wr_skip(&w, 2);
    uint8_t *first = w.p;
    if (len == NULL || !plx_tparams_write_remembered(&w, &ours))
        return 0;
    plx_store_be16(len, (uint16_t)(w.p - first));
    uint8_t app[CONN_EARLY_APP_MAX];
    plx_wr_bytes(&w, app, c->env->events->early_context(c->env->events_arg, c, app, sizeof app));
    return w.is_full ? 0 : (size_t)(w.p - out);
}

bool conn_early_accepts(struct plx_conn *c, const char *alpn, const uint8_t *context, size_t len)
{
    struct plx_tparams then, ours;
    struct plx_rd r = plx_rd_init(context, len);
    struct plx_span params = plx_rd_span(&r, plx_rd_u16(&r));
    if (r.is_short || plx_tparams_read(params.p, params.len, true, &then) != NULL)
        return false;
    conn_params_ours(c, &ours);
    //= rfc9000 7.4.1 "If 0-RTT data is accepted by the server, the server MUST NOT reduce any limits"
    if (!plx_tparams_is_kept(&then, &ours))
        return false;
    return c->env->events->accepts_early(c->env->events_arg, c, alpn, r.p, plx_rd_left(&r));
}

// --- client ------------------------------------------------------------------------------------------------------------------

static struct plx_streams_peer limits_of(const struct plx_tparams *t)
{
    return (struct plx_streams_peer){
        .max_data = t->initial_max_data,
        .max_stream_data_bidi_local = t->initial_max_stream_data_bidi_local,
        .max_stream_data_bidi_remote = t->initial_max_stream_data_bidi_remote,
        .max_stream_data_uni = t->initial_max_stream_data_uni,
        .max_streams_bidi = t->initial_max_streams_bidi,
        .max_streams_uni = t->initial_max_streams_uni,
    };
}

bool conn_early_remember(struct plx_conn *c, const struct conn_session *s)
{
    struct conn_early *e = &c->hs->early;
    struct plx_tparams t;
    if (s->params.len == 0 || s->app.len > sizeof e->app ||
        plx_tparams_read(s->params.p, s->params.len, true, &t) != NULL)
        return false;
    e->then = limits_of(&t);
    e->app_len = (uint8_t)s->app.len;
    if (s->app.len != 0)
        memcpy(e->app, s->app.p, s->app.len);
    return true;
}

void conn_early_begin(struct plx_conn *c)
{
    if (!conn_is_early(c))
        return;
    plx_streams_set_peer(&c->streams, &c->hs->early.then);
    conn_wake(c);
}

// The server's parameters have come. While early data may still be sent the remembered ones are in force.
void conn_early_on_params(struct plx_conn *c, const struct plx_tparams *t)
{
    struct plx_streams_peer now = limits_of(t);
    //= rfc9000 7.4.1 "a client MUST only use remembered transport parameters"
    if (!c->is_server && c->hs->early.is_offered)
        c->hs->early.now = now;
    else
        plx_streams_set_peer(&c->streams, &now);
}

static bool is_kept(const struct plx_streams_peer *then, const struct plx_streams_peer *now)
{
    return now->max_data >= then->max_data &&
           now->max_stream_data_bidi_local >= then->max_stream_data_bidi_local &&
           now->max_stream_data_bidi_remote >= then->max_stream_data_bidi_remote &&
           now->max_stream_data_uni >= then->max_stream_data_uni &&
           now->max_streams_bidi >= then->max_streams_bidi && now->max_streams_uni >= then->max_streams_uni;
}

static void on_refused(struct plx_conn *c)
{
    struct conn_early *e = &c->hs->early;
    //= rfc9001 4.6.2 "The client therefore MUST reset the state of all"
    // That is what an application must see which is told nothing. Ours need not: what it has queued is still what it
    // would say, streams have the numbers that they would get again, and nothing of them has arrived.
    plx_recovery_requeue_all(&c->recovery, &c->space, PLX_SPACE_APP);
    if (!plx_streams_reset_peer(&c->streams, &e->now))
        conn_fail(c, PLX_QUIC_INTERNAL_ERROR, 0,
                  "early data was refused, and what it used is more than the server allows now");
}

static void client_complete(struct plx_conn *c, enum plx_tls_early verdict)
{
    struct conn_early *e = &c->hs->early;
    e->has_key = false;
    c->tx_phase_first = c->space.next_pn; // numbers below are of packets that another key sealed
    c->tx_sealed = 0;
    if (strncmp(c->alpn, plx_tls_alpn(c->hs->tls), sizeof c->alpn - 1) != 0 && e->is_told) {
        conn_fail(c, PLX_QUIC_INTERNAL_ERROR, 0, "early data spoke another protocol than was agreed upon");
    } else if (verdict != PLX_TLS_EARLY_ACCEPTED) {
        on_refused(c);
    } else if (!is_kept(&e->then, &e->now)) {
        //= rfc9000 7.4.1 "MUST NOT set values for the following parameters"
        conn_fail(c, PLX_QUIC_PROTOCOL_VIOLATION, PLX_FRAME_CRYPTO,
                  "early data was accepted and its limits lowered");
    } else {
        plx_streams_set_peer(&c->streams, &e->now);
    }
}

// --- the handshake is complete -----------------------------------------------------------------------------------------------

bool conn_early_complete(struct plx_conn *c, plx_time now)
{
    struct conn_early *e = &c->hs->early;
    enum plx_tls_early verdict = plx_tls_early(c->hs->tls);

    if (verdict == PLX_TLS_EARLY_NONE)
        return true;
    c->early = verdict == PLX_TLS_EARLY_ACCEPTED ? PLX_EARLY_ACCEPTED : PLX_EARLY_REFUSED;
    c->env->stats.early_accepted += verdict == PLX_TLS_EARLY_ACCEPTED;
    c->env->stats.early_refused += verdict == PLX_TLS_EARLY_REFUSED;
    if (c->is_server)
        //= rfc9001 4.9.3 "the RECOMMENDED time period is three times the Probe Timeout"
        e->until = plx_time_after(
            now, plx_dur_mul(plx_recovery_pto(&c->recovery, PLX_SPACE_APP), CONN_EARLY_KEPT_PTOS));
    else if (e->is_offered)
        client_complete(c, verdict);
    return !conn_is_winding_down(c);
}

void conn_early_discard(struct plx_conn *c)
{
    struct conn_early *e = &c->hs->early;
    e->has_key = false;
    e->until = PLX_NEVER;
    plx_bytes_wipe(&e->key, sizeof e->key);
    plx_bytes_wipe(&e->hp, sizeof e->hp);
}

// --- a server's packets ------------------------------------------------------------------------------------------------------

bool conn_early_can_open(const struct plx_conn *c)
{
    return c->is_server && c->hs != NULL && c->hs->early.has_key;
}

bool conn_early_is_awaited(const struct plx_conn *c)
{
    // TLS has not seen the ClientHello as long as it gave no key for what follows it.
    return c->is_server && c->env->cfg->early_data && conn_is_handshaking(c) &&
           !c->hs->level[PLX_SPACE_HANDSHAKE].has_tx;
}
