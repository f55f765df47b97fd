// connect.c -- a client's connection begins.

#include <string.h>

#include "engine/core.h"
#include "engine/engine.h"

enum plx_err plx_core_connect(struct plx_core *k, const struct plx_connect_cfg *cfg, struct plx_conn **out)
{
    struct plx_conn_client_cfg client = {
        .server_name = cfg->server_name,
        .peer = cfg->peer,
        .local = cfg->local,
        .session = cfg->session,
        .session_len = cfg->session_len,
    };

    if (cfg->peer.af == PLX_AF_NONE || cfg->peer.port == 0)
        return PLX_ERR_INVALID;
    if (k->stop_stage != PLX_STOP_NO)
        return PLX_ERR_CLOSED;
    struct plx_conn *c = plx_core_conn_take(k);
    if (c == NULL)
        return PLX_ERR_NOMEM;
    struct plx_econn *e = plx_econn_of(k, c);
    if (cfg->own_port && k->ops->source_open != NULL) {
        if (k->ops->source_open(k->port, k->queue, cfg->peer.af, &e->source) != PLX_OK) {
            e->source.af = PLX_AF_NONE;
            plx_core_conn_give(k, c);
            return PLX_ERR_SYSTEM;
        }
        client.local = e->source;
    } else if (k->frames != NULL && (client.local.af == PLX_AF_NONE || client.local.port == 0)) {
        plx_frames_source(k, &cfg->peer, cfg->own_port, &client.local);
    }
    e->wants_h3 = k->engine->cfg.h3 != NULL;
    client.early_data = cfg->early_data && e->wants_h3 && k->engine->cfg.h3->on_early != NULL;
    if (!plx_conn_init_client(c, &k->env, &client, k->now)) {
        plx_core_conn_give(k, c);
        return PLX_ERR_NOMEM;
    }
    plx_conn_set_user(c, cfg->user);
    plx_core_conn_begin(k, c);
    *out = c;
    return PLX_OK;
}
