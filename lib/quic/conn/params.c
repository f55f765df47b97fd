// params.c -- transport parameters: what we say, and what the peer's mean for this connection (RFC 9000 sections 7.3, 7.4 and 18).
//
// The list itself is tparam.c's. Here stands what ties it to the connection: the three connection IDs that prove that nobody changed
// an ID on the way, and where each of the peer's limits goes.

#include "quic/conn/conn_impl.h"

#include "base/slab.h"

#define DUR_MS(d) ((d).ns / 1000000)

void conn_params_ours(const struct plx_conn *c, struct plx_tparams *t)
{
    const struct plx_quic_cfg *cfg = c->env->cfg;
    plx_tparams_init(t);
    t->max_idle_timeout_ms = DUR_MS(cfg->idle_timeout);
    t->initial_max_data = cfg->conn_window;
    t->initial_max_stream_data_bidi_local = cfg->stream_window;
    t->initial_max_stream_data_bidi_remote = cfg->stream_window;
    t->initial_max_stream_data_uni = cfg->stream_window;
    t->initial_max_streams_bidi = cfg->streams_bidi;
    t->initial_max_streams_uni = cfg->streams_uni;
    t->max_ack_delay_ms = DUR_MS(cfg->max_ack_delay);
    t->active_connection_id_limit = cfg->active_cid_limit;
    t->disable_active_migration = cfg->no_migration;
}

size_t conn_params_write(struct plx_conn *c, uint8_t *out, size_t cap)
{
    const struct conn_hs *hs = c->hs;
    struct plx_tparams t;
    conn_params_ours(c, &t);
    t.has_initial_scid = true;
    t.initial_scid = c->cids.v[0].cid;
    if (c->is_server) {
        t.has_original_dcid = true;
        t.original_dcid = hs->original_dcid;
        t.has_retry_scid = hs->was_retried;
        t.retry_scid = hs->retry_scid;
        t.has_reset_token = true;
        plx_reset_token(c->env->reset_key, &t.initial_scid, t.reset_token);
    }
    uint64_t grease;
    c->env->random(c->env->random_arg, &grease, sizeof grease);
    struct plx_wr w = plx_wr_init(out, cap);
    if (!plx_tparams_write(&w, &t, grease))
        return 0;
    return (size_t)(w.p - out);
}

//= rfc9000 7.3 "The values provided by a peer for these transport parameters MUST match the values that an endpoint used"
static const char *ids_differ(const struct plx_conn *c, const struct plx_tparams *t)
{
    const struct conn_hs *hs = c->hs;
    const struct plx_cid_peer *first = plx_cids_peer_get(&c->peer_cids, 0);
    if (!t->has_initial_scid || first == NULL || !plx_cid_eq(&t->initial_scid, &first->cid))
        return "initial_source_connection_id does not match";
    if (c->is_server)
        return NULL;
    if (!t->has_original_dcid || !plx_cid_eq(&t->original_dcid, &hs->original_dcid))
        return "original_destination_connection_id does not match";
    if (t->has_retry_scid != hs->was_retried)
        return hs->was_retried ? "retry_source_connection_id is missing"
                               : "retry_source_connection_id without a Retry";
    if (hs->was_retried && !plx_cid_eq(&t->retry_scid, &hs->retry_scid))
        return "retry_source_connection_id does not match";
    return NULL;
}

static void remember(struct plx_conn *c, const struct plx_tparams *t)
{
    struct conn_hs *hs = c->hs;
    if (hs->remembered == NULL && (hs->remembered = plx_slab_take(c->env->slab, CONN_REMEMBERED_MAX)) == NULL)
        return; // sessions will do without
    struct plx_wr w = plx_wr_init(hs->remembered, CONN_REMEMBERED_MAX);
    hs->remembered_len = plx_tparams_write_remembered(&w, t) ? (uint16_t)(w.p - hs->remembered) : 0;
}

// Only a client gets these.
static bool apply_servers_own(struct plx_conn *c, const struct plx_tparams *t)
{
    if (t->has_reset_token)
        plx_cids_peer_set_first_token(&c->peer_cids, t->reset_token);
    if (t->has_preferred_addr) { // we stay where we are, but its ID counts as issued
        uint64_t err =
            plx_cids_peer_add_preferred(&c->peer_cids, &t->preferred_addr.cid, t->preferred_addr.token);
        if (err != 0) {
            conn_fail(c, PLX_QUIC_TRANSPORT_PARAMETER_ERROR, PLX_FRAME_CRYPTO,
                      "preferred_address has a bad connection ID");
            return false;
        }
    }
    remember(c, t);
    return true;
}

static void apply(struct plx_conn *c, const struct plx_tparams *t)
{
    conn_early_on_params(c, t);
    plx_recovery_set_peer(&c->recovery, PLX_MS(t->max_ack_delay_ms), (uint8_t)t->ack_delay_exponent);
    plx_cids_local_set_limit(&c->cids, t->active_connection_id_limit);

    //= rfc9000 10.1 "Each endpoint advertises a max_idle_timeout, but the effective value at an endpoint is computed as the minimum of the two"
    plx_dur theirs =
        t->max_idle_timeout_ms < UINT64_MAX / 1000000 ? PLX_MS(t->max_idle_timeout_ms) : PLX_DUR_MAX;
    if (theirs.ns != 0 && (c->idle_timeout.ns == 0 || theirs.ns < c->idle_timeout.ns))
        c->idle_timeout = theirs;

    // The port's limit is for IPv4; IPv6 has a header that is 20 octets longer.
    bool is_ip6 = plx_paths_active(&c->paths)->peer.af == PLX_AF_IP6;
    uint32_t ours = c->env->cfg->payload_max;
    ours = is_ip6 && ours >= 20 ? ours - 20 : ours;
    if (t->max_udp_payload_size < ours)
        ours = (uint32_t)t->max_udp_payload_size;
    c->payload_max = (uint16_t)(ours < PLX_DGRAM_MIN ? PLX_DGRAM_MIN : ours);
}

bool conn_params_read(struct plx_conn *c, const uint8_t *data, size_t len)
{
    struct plx_tparams t;
    const char *why = plx_tparams_read(data, len, !c->is_server, &t);
    if (why == NULL)
        why = ids_differ(c, &t);
    if (why != NULL) {
        conn_fail(c, PLX_QUIC_TRANSPORT_PARAMETER_ERROR, PLX_FRAME_CRYPTO, why);
        return false;
    }
    if (!c->is_server && !apply_servers_own(c, &t))
        return false;
    apply(c, &t);
    return true;
}
