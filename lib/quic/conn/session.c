// session.c -- what a client takes along to its next connection: a TLS session, remembered transport parameters, an address token.
//
// One opaque blob, so that whoever stores it needs no knowledge of it:  1 octet form | token | parameters | what the application
// remembers for early data | TLS session,  each with a length of two octets. A blob of another form is as good as none. A NEW_TOKEN that comes before the ticket or in the same packet
// travels inside; each is also told by itself (on_new_token), and what plx_conn_client_cfg.token says goes first.

#include "quic/conn/conn_impl.h"

#include "base/slab.h"
#include "quic/wire/token.h"

enum { SESSION_FORM = 2, SESSION_HEAD = 1 + 4 * 2 };

void conn_session_forget(struct plx_conn *c)
{
    struct conn_hs *hs = c->hs;
    if (hs->session != NULL)
        plx_slab_give(c->env->slab, hs->session, hs->session_len);
    hs->session = NULL;
    hs->session_len = 0;
}

void conn_session_keep(struct plx_conn *c, const uint8_t *tls, size_t len)
{
    struct conn_hs *hs = c->hs;
    conn_session_forget(c); // of several tickets the last one
    if (len == 0 || len > UINT16_MAX || (hs->session = plx_slab_take(c->env->slab, len)) == NULL)
        return; // resumption is a convenience
    memcpy(hs->session, tls, len);
    hs->session_len = (uint32_t)len;
}

void conn_session_emit(struct plx_conn *c)
{
    const struct conn_hs *hs = c->hs;
    if (hs->session == NULL)
        return;
    size_t token_len = hs->has_new_token ? hs->token_len : 0;
    uint8_t app[CONN_EARLY_APP_MAX];
    size_t app_len = c->env->events->early_context(c->env->events_arg, c, app, sizeof app);
    size_t size = SESSION_HEAD + token_len + hs->remembered_len + app_len + hs->session_len;
    uint8_t *blob = plx_slab_take(c->env->slab, size);
    if (blob != NULL) {
        struct plx_wr w = plx_wr_init(blob, size);
        plx_wr_u8(&w, SESSION_FORM);
        plx_wr_u16(&w, (uint16_t)token_len);
        plx_wr_bytes(&w, hs->token, token_len);
        plx_wr_u16(&w, hs->remembered_len);
        plx_wr_bytes(&w, hs->remembered, hs->remembered_len);
        plx_wr_u16(&w, (uint16_t)app_len);
        plx_wr_bytes(&w, app, app_len);
        plx_wr_u16(&w, (uint16_t)hs->session_len);
        plx_wr_bytes(&w, hs->session, hs->session_len);
        plx_check(!w.is_full);
        c->env->events->on_session(c->env->events_arg, c, blob, size);
        plx_slab_give(c->env->slab, blob, size);
    }
    conn_session_forget(c);
}

bool conn_session_read(const void *blob, size_t len, struct conn_session *out)
{
    struct plx_rd r = plx_rd_init(blob, len);
    uint8_t form = plx_rd_u8(&r);
    out->token = plx_rd_span(&r, plx_rd_u16(&r));
    out->params = plx_rd_span(&r, plx_rd_u16(&r));
    out->app = plx_rd_span(&r, plx_rd_u16(&r));
    out->tls = plx_rd_span(&r, plx_rd_u16(&r));
    return form == SESSION_FORM && !r.is_short && plx_rd_left(&r) == 0;
}

uint64_t conn_on_new_token(struct plx_conn *c, const struct plx_frame_new_token *f)
{
    //= rfc9000 19.7 "A server MUST treat receipt of a NEW_TOKEN frame as a connection error of type PROTOCOL_VIOLATION."
    if (c->is_server)
        return PLX_QUIC_PROTOCOL_VIOLATION;
    if (c->hs != NULL && conn_token_set(c, f->token, f->len))
        c->hs->has_new_token = true;
    c->env->events->on_new_token(c->env->events_arg, c, f->token, f->len);
    return 0;
}

bool conn_new_token_write(struct plx_conn *c, struct plx_wr *w, struct plx_refs *refs, plx_time now)
{
    uint8_t nonce[PLX_TOKEN_NONCE_LEN], token[PLX_TOKEN_LEN_MAX];
    c->env->random(c->env->random_arg, nonce, sizeof nonce);
    size_t len =
        plx_token_seal_new(c->env->token_keys, &plx_paths_active(&c->paths)->peer, now, nonce, token);
    if (len == 0) {
        c->want &= (uint16_t)~CONN_WANT_NEW_TOKEN; // no key yet
        return false;
    }
    if (!plx_refs_has_room(refs) || !plx_frame_new_token_write(w, token, len))
        return false;
    refs->v[refs->count++] = (struct plx_ref){.kind = PLX_REF_NEW_TOKEN};
    c->want &= (uint16_t)~CONN_WANT_NEW_TOKEN;
    return true;
}
