// verify.c -- what must be true of a connection between any two calls. For tests, fuzzers and simulation.

#include "quic/conn/conn_impl.h"

static void verify_handshake(const struct plx_conn *c)
{
    const struct conn_hs *hs = c->hs;
    plx_check(hs->stash_count <= CONN_STASH_MAX);
    for (int i = 0; i < CONN_HS_SPACES; i++) {
        if (hs->level[i].is_discarded) {
            plx_check(!hs->level[i].has_rx);
            plx_check(!hs->level[i].has_tx);
        } else {
            plx_space_verify(&hs->space[i]);
        }
    }
    for (int i = 0; i < PLX_SPACE_COUNT; i++)
        plx_cstream_verify(&hs->ctx[i], &hs->crx[i]);
    plx_check((hs->token == NULL) == (hs->token_len == 0));
}

void plx_conn_verify(const struct plx_conn *c)
{
    plx_check(!c->is_inside);
    plx_check(c->state < CONN_STATE_COUNT);
    plx_check(conn_is_winding_down(c) == c->is_wound_down);
    plx_check((c->state == PLX_CONN_DEAD) == c->is_dead_told);
    plx_check(!c->is_wound_down || c->has_close || c->is_dead_told);
    if (c->state == PLX_CONN_DRAINING || c->state == PLX_CONN_DEAD) {
        plx_check(c->hs == NULL);
        plx_check(c->keys == NULL);
    }
    if (conn_is_handshaking(c))
        plx_check(c->hs != NULL);
    if (c->keys == NULL && (c->has_rx_keys || c->has_tx_keys)) { // at rest
        plx_check(c->hs == NULL);
        plx_check(plx_time_is_never(c->old_keys_until));
    }
    if (conn_is_complete(c))
        plx_check(c->has_rx_keys && c->has_tx_keys);
    if (c->hs != NULL)
        verify_handshake(c);
    plx_cids_local_verify(&c->cids);
    plx_cids_peer_verify(&c->peer_cids);
    plx_paths_verify(&c->paths);
    plx_space_verify(&c->space);
    if (!c->is_wound_down) {
        struct plx_space *sp[PLX_SPACE_COUNT];
        conn_spaces(c, sp);
        plx_recovery_verify(&c->recovery, sp);
        plx_streams_verify(&c->streams);
    }
}
