// migrate.c -- what a change of path means to the rest of the connection, and the connection IDs that go with it (RFC 9000 sections 5.1 and 9).
//
// path.c decides which address is the peer's. Here its verdicts reach recovery (a new path has its own RTT and window unless only the
// port changed), the size of datagrams (1200 octets until a path is validated), and the table of the engine.

#include "quic/conn/conn_impl.h"

bool conn_cid_new(struct plx_conn *c, struct plx_cid *out)
{
    struct plx_cid_codec plain;
    const struct plx_cid_codec *codec = c->env->cid_codec;
    if (codec == NULL) {
        plx_cid_codec_init_plain(&plain, c->env->cfg->cid_len, 0);
        codec = &plain;
    }
    for (int attempt = 0; attempt < 4; attempt++) {
        uint8_t random[PLX_CID_MAX];
        c->env->random(c->env->random_arg, random, sizeof random);
        plx_cid_make(codec, c->env->core, random, out);
        if (c->env->events->on_cid_issued(c->env->events_arg, c, out))
            return true;
    }
    return false;
}

void conn_cids_fill(struct plx_conn *c)
{
    struct plx_cid cid;
    while (plx_cids_local_room(&c->cids) > 0 && conn_cid_new(c, &cid))
        if (!plx_cids_local_add(&c->cids, &cid)) {
            c->env->events->on_cid_retired(c->env->events_arg, c, &cid);
            return;
        }
}

bool conn_cids_rotate(struct plx_conn *c)
{
    //= rfc9000 5.1.2 "Endpoints SHOULD NOT issue updates of the Retire Prior To field before receiving RETIRE_CONNECTION_ID frames"
    if (c->state != PLX_CONN_CONFIRMED || !plx_cids_local_rotate(&c->cids))
        return false;
    c->env->stats.cid_rotations++;
    conn_cids_fill(c);
    plx_paths_change_cid(&c->paths, &c->peer_cids);
    return true;
}

enum plx_err plx_conn_rotate_cids(struct plx_conn *c)
{
    if (conn_is_winding_down(c))
        return PLX_ERR_CLOSED;
    if (!conn_cids_rotate(c))
        return PLX_ERR_AGAIN;
    conn_wake(c);
    return PLX_OK;
}

uint64_t conn_on_new_connection_id(struct plx_conn *c, const struct plx_frame_new_connection_id *f)
{
    uint64_t err = plx_cids_peer_on_new(&c->peer_cids, f);
    if (err == 0)
        plx_paths_refresh_cids(&c->paths, &c->peer_cids);
    return err;
}

uint64_t conn_on_retire_connection_id(struct plx_conn *c, const struct plx_frame_retire_connection_id *f,
                                      const struct plx_cid *dcid)
{
    struct plx_cid retired;
    bool has_retired = false;
    uint64_t err = plx_cids_local_on_retire(&c->cids, f->seq, dcid, &retired, &has_retired);
    if (err != 0 || !has_retired)
        return err;
    c->env->events->on_cid_retired(c->env->events_arg, c, &retired);
    //= rfc9000 5.1.1 "An endpoint SHOULD supply a new connection ID when the peer retires a connection ID."
    conn_cids_fill(c);
    return 0;
}

void conn_path_mtu_update(struct plx_conn *c)
{
    struct plx_path *p = plx_paths_active(&c->paths);
    uint16_t mtu = p->state == PLX_PATH_VALIDATED && !c->is_black_hole ? c->payload_max : PLX_DGRAM_MIN;
    if (p->mtu == mtu)
        return;
    p->mtu = mtu;
    plx_recovery_set_mtu(&c->recovery, mtu);
}

void conn_on_path_event(struct plx_conn *c, enum plx_path_event ev)
{
    switch (ev) {
    case PLX_PATH_SAME:
        return;
    case PLX_PATH_REBOUND:
        break;
    case PLX_PATH_MIGRATED:
        c->env->stats.migrations++;
        c->is_black_hole = false;
        plx_recovery_on_path_change(&c->recovery, PLX_DGRAM_MIN);
        break;
    case PLX_PATH_RETURNED:
        plx_recovery_on_path_change(&c->recovery, PLX_DGRAM_MIN);
        break;
    case PLX_PATH_LOST:
        //= rfc9000 9.3.2 "it MUST close the connection silently by discarding all connection state"
        conn_expire_lost(c);
        return;
    }
    c->hold = CONN_HOLD_NONE;
    if (c->is_spin)
        c->spin = false; //= rfc9000 17.4 "An endpoint resets the spin value for a network path to 0"
    conn_path_mtu_update(c);
}
