// first.c -- the two answers that a client may get to its first packet and that are not a handshake: Retry (RFC 9000 section 17.2.5)
// and Version Negotiation (section 6).
//
// Both come without encryption, so both are believed only before anything authentic has arrived, and only when they name
// connection IDs that only somebody on the path can know. What is not believed is dropped without a trace but the counter.

#include "quic/conn/conn_impl.h"

#include "base/slab.h"
#include "quic/wire/vneg.h"

// Neither is believed once something authentic has come.
static bool is_awaited(const struct plx_conn *c)
{
    return !c->is_server && conn_is_handshaking(c) && c->hs != NULL && !c->hs->is_processed;
}

bool conn_token_set(struct plx_conn *c, const uint8_t *token, size_t len)
{
    struct conn_hs *hs = c->hs;
    if (len > CONN_TOKEN_MAX)
        return false;
    if (hs->token == NULL && (hs->token = plx_slab_take(c->env->slab, CONN_TOKEN_MAX)) == NULL)
        return false;
    memcpy(hs->token, token, len);
    hs->token_len = (uint16_t)len;
    return true;
}

static bool retry_is_genuine(const struct plx_conn *c, const struct plx_rx *rx)
{
    const struct conn_hs *hs = c->hs;
    uint8_t tag[PLX_AEAD_TAG_LEN];
    if (rx->hdr.pkt_len < PLX_AEAD_TAG_LEN)
        return false;
    size_t len = rx->hdr.pkt_len - PLX_AEAD_TAG_LEN;
    plx_retry_tag(c->env->aead, PLX_QUIC_V1, hs->first_dcid.bytes, hs->first_dcid.len, rx->p, len, tag);
    return plx_bytes_equal(tag, rx->p + len, sizeof tag);
}

enum plx_rx_step conn_on_retry(struct plx_conn *c, const struct plx_rx *rx, plx_time now)
{
    struct conn_hs *hs = c->hs;
    //= rfc9000 17.2.5.2 "A client MUST accept and process at most one Retry packet for each connection attempt."
    if (!is_awaited(c) || hs->was_retried)
        return PLX_RX_DROP_STATE;
    //= rfc9000 17.2.5.1 "A client MUST discard a Retry packet that contains a Source Connection ID field that is identical to"
    //= rfc9000 17.2.5.2 "A client MUST discard a Retry packet with a zero-length Retry Token field."
    if (plx_cid_eq(&rx->hdr.scid, &hs->first_dcid) || rx->hdr.token_len == 0 ||
        rx->hdr.version != PLX_QUIC_V1)
        return PLX_RX_DROP_INVALID;
    //= rfc9000 17.2.5.2 "Clients MUST discard Retry packets that have a Retry Integrity Tag that cannot be validated"
    if (!retry_is_genuine(c, rx))
        return PLX_RX_DROP_AUTH;
    if (!conn_token_set(c, rx->p + rx->hdr.token_offset, rx->hdr.token_len))
        return PLX_RX_DROP_INVALID; // longer than we keep

    hs->was_retried = true;
    hs->retry_scid = hs->first_dcid = rx->hdr.scid;
    plx_cids_peer_set_first(&c->peer_cids, &rx->hdr.scid);
    conn_keys_initial(c, &rx->hdr.scid);
    // The same cryptographic message again, in packets whose numbers go on (section 17.2.5.3).
    plx_recovery_requeue_all(&c->recovery, &hs->space[PLX_SPACE_INITIAL], PLX_SPACE_INITIAL);
    //= rfc9000 17.2.3 "A client SHOULD attempt to resend data in 0-RTT packets after it sends a new Initial packet."
    plx_recovery_requeue_all(&c->recovery, &c->space, PLX_SPACE_APP);
    c->hold = CONN_HOLD_NONE;
    conn_timer_on_heard(c, now);
    return PLX_RX_DONE;
}

enum plx_rx_step conn_on_version_negotiation(struct plx_conn *c, const struct plx_rx *rx)
{
    if (!is_awaited(c) || c->hs->was_retried)
        return PLX_RX_DROP_STATE;
    if (!plx_cid_eq(&rx->hdr.dcid, &c->cids.v[0].cid) || !plx_cid_eq(&rx->hdr.scid, &c->hs->first_dcid))
        return PLX_RX_DROP_INVALID;
    uint32_t chosen;
    size_t len = (size_t)(rx->hdr.pkt_len - rx->hdr.pn_offset);
    //= rfc9000 6.2 "A client MUST discard a Version Negotiation packet that lists the QUIC version selected by the client."
    if (plx_vneg_choose(rx->p + rx->hdr.pn_offset, len, PLX_QUIC_V1, &chosen) == PLX_VNEG_IGNORE)
        return PLX_RX_DROP_VERSION;
    // Version 1 is the only one that we speak, so there is none to try next.
    //= rfc9000 6.2 "MUST abandon the current connection attempt if it receives a Version Negotiation packet"
    conn_expire(c, PLX_CLOSE_VERSION);
    return PLX_RX_DONE;
}
