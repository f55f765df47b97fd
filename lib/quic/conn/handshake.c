// handshake.c -- TLS as a byte pump, and what follows from what it says (RFC 9001 section 4).
//
// CRYPTO octets of three levels go in, in order; CRYPTO octets, secrets and the peer's transport parameters come back from inside
// the pump. Nothing of weight happens there: events leave facts in the handshake object, and conn_handshake_advance() acts upon them when
// the pump has returned. When everything is said and acknowledged the object goes back to its pool:
//
//   TLS itself        server: when its tickets are written; client: when a ticket came, or CONN_TICKET_WAIT after completion
//   Initial keys      client: when it sends a Handshake packet; server: when it receives one (section 4.9.1)
//   Handshake keys    when the handshake is confirmed (section 4.9.2)
//   the rest          when the octets of the tickets are acknowledged
//
// A server makes its TLS object only when the first CRYPTO octets of an authentic Initial are there: noise costs no allocation.

#include "quic/conn/conn_impl.h"

#include "base/pool.h"
#include "base/slab.h"

enum { TLS_ALERT_UNEXPECTED_MESSAGE = 10, TLS_ALERT_MISSING_EXTENSION = 109 };

// --- what TLS says -------------------------------------------------------------------------------------------------------

static void on_secret(void *arg, enum plx_level level, bool is_tx, const struct plx_secret *s)
{
    struct plx_conn *c = arg;
    if (!conn_keys_install(c, level, is_tx, s))
        conn_fail(c, PLX_QUIC_INTERNAL_ERROR, PLX_FRAME_CRYPTO, "no room for keys");
}

static void on_send(void *arg, enum plx_level level, const uint8_t *data, size_t len)
{
    struct plx_conn *c = arg;
    // A second ClientHello: the server wants another key share, and with that early data is over.
    //= rfc8446 4.2.10 "A client MUST NOT include the"
    if (!c->is_server && level == PLX_LEVEL_INITIAL)
        c->hs->early.has_key = false;
    if (!plx_cstream_tx_push(&c->hs->ctx[conn_level_space(level)], c->env->slab, data, len))
        conn_fail(c, PLX_QUIC_INTERNAL_ERROR, PLX_FRAME_CRYPTO, "no room for handshake data");
}

static bool on_peer_params(void *arg, const uint8_t *data, size_t len)
{
    struct plx_conn *c = arg;
    c->hs->is_peer_params = true;
    return conn_params_read(c, data, len);
}

static void on_complete(void *arg)
{
    struct plx_conn *c = arg;
    c->hs->is_complete = true;
}

static void on_alert(void *arg, uint8_t alert, const char *why)
{
    //= rfc9001 4.8 "A TLS alert is converted into a QUIC connection error."
    conn_fail(arg, PLX_QUIC_CRYPTO_ERROR + alert, PLX_FRAME_CRYPTO, why);
}

static void on_violation(void *arg, const char *why)
{
    conn_fail(arg, PLX_QUIC_PROTOCOL_VIOLATION, PLX_FRAME_CRYPTO, why);
}

static void on_session(void *arg, const uint8_t *session, size_t len)
{
    struct plx_conn *c = arg;
    c->hs->has_session = true;
    conn_session_keep(c, session, len);
}

static bool accepts_early(void *arg, const char *alpn, const uint8_t *context, size_t len)
{
    return conn_early_accepts(arg, alpn, context, len);
}

static const struct plx_tls_events tls_events = {on_secret, on_send,      on_peer_params, on_complete,
                                                 on_alert,  on_violation, on_session,     accepts_early};

bool conn_tls_open(struct plx_conn *c, struct plx_tls_ctx *ctx, struct plx_span session, bool wants_early)
{
    uint8_t params[PLX_TPARAMS_LEN_MAX], context[PLX_TPARAMS_LEN_MAX];
    struct plx_tls_new_cfg cfg = {
        .events = &tls_events,
        .arg = c,
        .server_name = c->hs->server_name,
        .session = session.p,
        .session_len = session.len,
        .params = params,
        .params_len = conn_params_write(c, params, sizeof params),
        .early_context = context,
        .early_data = wants_early,
    };
    if (c->is_server && c->env->cfg->early_data)
        cfg.early_context_len = conn_early_context_write(c, context, sizeof context);
    c->hs->tls = plx_tls_new(ctx, &cfg);
    if (c->hs->tls == NULL) {
        conn_fail(c, PLX_QUIC_INTERNAL_ERROR, 0, "no memory for TLS");
        return false;
    }
    return plx_tls_start(c->hs->tls);
}

void conn_tls_close(struct plx_conn *c)
{
    if (c->hs == NULL || c->hs->tls == NULL)
        return;
    plx_tls_free(c->hs->tls);
    c->hs->tls = NULL;
}

// --- CRYPTO octets in ------------------------------------------------------------------------------------------------------

// TLS is gone: the handshake is long over.
static uint64_t on_late_crypto(const struct plx_conn *c, const struct plx_frame_crypto *f)
{
    if (f->len == 0 || !c->is_server)
        return 0; // a client has enough tickets; RFC 9000 section 7.5 lets it drop them
    // A client has nothing to say in CRYPTO after its Finished, a KeyUpdate least of all.
    //= rfc9001 6 "MUST treat the receipt of a TLS KeyUpdate message as a connection error of type 0x010a"
    return PLX_QUIC_CRYPTO_ERROR + TLS_ALERT_UNEXPECTED_MESSAGE;
}

static bool feed(struct plx_conn *c, enum plx_level level, const uint8_t *data, size_t len)
{
    struct plx_cstream_rx *rx = &c->hs->crx[conn_level_space(level)];
    bool is_ok = plx_tls_recv(c->hs->tls, level, data, len);
    plx_cstream_rx_take(rx, c->env->slab, len);
    return is_ok && !conn_is_winding_down(c);
}

uint64_t conn_on_crypto(struct plx_conn *c, enum plx_level level, const struct plx_frame_crypto *f)
{
    struct conn_hs *hs = c->hs;
    if (hs == NULL || (hs->tls == NULL && conn_is_complete(c)))
        return on_late_crypto(c, f);
    if (hs->tls == NULL && !conn_tls_open(c, c->env->tls_server, (struct plx_span){NULL, 0}, false))
        return 0; // has failed already

    struct plx_cstream_rx *rx = &hs->crx[conn_level_space(level)];
    if (f->offset + f->len <= rx->read)
        return 0;
    if (f->offset > rx->read) {
        switch (plx_cstream_rx_hold(rx, c->env->slab, f->offset, f->data, f->len)) {
        case PLX_CSTREAM_OK:
            return 0;
        case PLX_CSTREAM_EXCEEDED:
            return PLX_QUIC_CRYPTO_BUFFER_EXCEEDED;
        case PLX_CSTREAM_NOMEM:
            return PLX_QUIC_INTERNAL_ERROR;
        }
    }
    size_t skip = (size_t)(rx->read - f->offset);
    if (!feed(c, level, f->data + skip, (size_t)f->len - skip))
        return 0;
    for (struct plx_span held; (held = plx_cstream_rx_peek(rx)).len != 0;)
        if (!feed(c, level, held.p, held.len))
            return 0;
    return 0;
}

// --- what follows ----------------------------------------------------------------------------------------------------------

void conn_alpn_set(struct plx_conn *c, const char *alpn)
{
    size_t len = strlen(alpn);
    if (len >= sizeof c->alpn)
        len = sizeof c->alpn - 1;
    memcpy(c->alpn, alpn, len);
    c->alpn[len] = 0;
}

static void learn_negotiated(struct plx_conn *c)
{
    struct plx_tls_info info;
    plx_tls_info(c->hs->tls, &info);
    c->cipher = info.cipher != NULL ? info.cipher : "";
    c->group = info.group != NULL ? info.group : "";
    c->was_resumed = info.was_resumed;
    conn_alpn_set(c, info.alpn != NULL ? info.alpn : "");
}

void conn_handshake_advance(struct plx_conn *c, plx_time now)
{
    struct conn_hs *hs = c->hs;
    if (hs == NULL || conn_is_winding_down(c))
        return;
    //= rfc9001 4.1.3 "a previous encryption level that TLS has not consumed, this MUST be treated as a connection error of type PROTOCOL_VIOLATION"
    if (hs->level[PLX_SPACE_HANDSHAKE].has_rx && plx_cstream_rx_has_held(&hs->crx[PLX_SPACE_INITIAL])) {
        conn_fail(c, PLX_QUIC_PROTOCOL_VIOLATION, PLX_FRAME_CRYPTO,
                  "Initial data behind the end of its messages");
        return;
    }
    if (!conn_is_handshaking(c))
        return;
    if (!hs->is_complete) {
        if (c->is_server && hs->early.has_key)
            conn_early_tell(c);
        return;
    }
    //= rfc9001 8.2 "MUST close the connection with an error of type 0x016d"
    if (!hs->is_peer_params) {
        conn_fail(c, PLX_QUIC_CRYPTO_ERROR + TLS_ALERT_MISSING_EXTENSION, PLX_FRAME_CRYPTO,
                  "no transport parameters");
        return;
    }
    if (!conn_early_complete(c, now))
        return;
    learn_negotiated(c);
    c->completed_at = now;
    c->env->stats.handshakes_ok++;
    c->env->stats.resumed += c->was_resumed;
    if (c->is_server) {
        c->want |= CONN_WANT_HANDSHAKE_DONE;
        if (c->env->token_keys != NULL)
            c->want |= CONN_WANT_NEW_TOKEN;
        conn_handshake_confirm(c, now);
    } else {
        conn_on_event(c, CONN_EV_COMPLETE);
        hs->ticket_until = plx_time_after(now, CONN_TICKET_WAIT);
        conn_path_mtu_update(c);
    }
    conn_cids_fill(c);
    c->env->events->on_open(c->env->events_arg, c);
}

void conn_handshake_confirm(struct plx_conn *c, plx_time now)
{
    if (!conn_on_event(c, CONN_EV_CONFIRM))
        return;
    plx_recovery_on_handshake_confirmed(&c->recovery);
    conn_keys_discard(c, PLX_SPACE_INITIAL);
    conn_keys_discard(
        c,
        PLX_SPACE_HANDSHAKE); //= rfc9001 4.9.2 "MUST discard its Handshake keys when the TLS handshake is confirmed"
    plx_paths_allow_migration(&c->paths, true);
    conn_path_mtu_update(c);
    (void)now;
}

void conn_on_validated(struct plx_conn *c)
{
    if (plx_paths_active(&c->paths)->state == PLX_PATH_VALIDATED)
        return;
    plx_paths_set_validated(&c->paths);
    if (c->hold == CONN_HOLD_ADDRESS)
        c->hold = CONN_HOLD_NONE;
}

void conn_handshake_settle(struct plx_conn *c, plx_time now)
{
    struct conn_hs *hs = c->hs;
    if (hs == NULL || !conn_is_complete(c))
        return;
    conn_session_emit(c);
    if (plx_time_reached(hs->early.until, now))
        conn_early_discard(c);
    bool is_served = c->is_server ? hs->tls != NULL && plx_tls_is_done(hs->tls)
                                  : hs->has_session || plx_time_reached(hs->ticket_until, now);
    if (hs->tls != NULL && is_served) {
        conn_tls_close(c);
        hs->ticket_until = PLX_NEVER;
    }
    if (c->state != PLX_CONN_CONFIRMED || hs->tls != NULL ||
        !plx_cstream_tx_is_acked(&hs->ctx[PLX_SPACE_APP]))
        return;
    if (hs->stash_count > 0 && !plx_time_reached(hs->deadline, now))
        return; // early packets wait for the engine to ask
    conn_handshake_release(c);
}

void conn_handshake_release(struct plx_conn *c)
{
    struct conn_hs *hs = c->hs;
    if (hs == NULL)
        return;
    for (int i = 0; i < CONN_HS_SPACES; i++)
        conn_keys_discard(c, (enum plx_space_id)i);
    for (int i = 0; i < PLX_SPACE_COUNT; i++) {
        plx_cstream_tx_fini(&hs->ctx[i], c->env->slab);
        plx_cstream_rx_fini(&hs->crx[i], c->env->slab);
    }
    conn_stash_clear(c);
    conn_tls_close(c);
    if (hs->token != NULL)
        plx_slab_give(c->env->slab, hs->token, CONN_TOKEN_MAX);
    conn_session_forget(c);
    if (hs->remembered != NULL)
        plx_slab_give(c->env->slab, hs->remembered, CONN_REMEMBERED_MAX);
    conn_early_discard(c);
    plx_bytes_wipe(hs->level, sizeof hs->level);
    c->hs = NULL;
    plx_pool_give(c->env->handshakes, hs);
}
