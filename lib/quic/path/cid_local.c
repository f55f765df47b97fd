// cid_local.c -- the connection IDs that we issue, RFC 9000 sections 5.1.1 and 19.15, 19.16.
//
// An ID leaves the array only when the peer retires it; asking it to (retire_prior_to) changes nothing but what room() counts: those asked
// back do not count against the peer's limit, because the frame that announces their successors also retires them.

#include "quic/path/cid.h"

#include "base/check.h"
#include "quic/wire/reset.h"

static struct plx_cid_local *free_slot(struct plx_cids_local *l)
{
    for (unsigned i = 0; i < PLX_CIDS_LOCAL_MAX; i++)
        if (l->v[i].state == PLX_CID_FREE)
            return &l->v[i];
    return NULL;
}

static struct plx_cid_local *by_seq(struct plx_cids_local *l, uint64_t seq)
{
    for (unsigned i = 0; i < PLX_CIDS_LOCAL_MAX; i++)
        if (l->v[i].state != PLX_CID_FREE && l->v[i].seq == seq)
            return &l->v[i];
    return NULL;
}

static bool add(struct plx_cids_local *l, const struct plx_cid *cid, enum plx_cid_local_state state)
{
    struct plx_cid_local *to = free_slot(l);

    if (to == NULL)
        return false;
    //= rfc9000 5.1.1 "The sequence number on each newly issued connection ID MUST increase by 1"
    *to = (struct plx_cid_local){
        .seq = l->next_seq++, .cid = *cid, .state = (uint8_t)state, .was_sent = state == PLX_CID_KNOWN};
    l->count++;
    l->may_want |= state == PLX_CID_TO_SEND;
    return true;
}

void plx_cids_local_init(struct plx_cids_local *l, const struct plx_cid *first)
{
    *l = (struct plx_cids_local){.limit = 2};
    plx_check(add(l, first, PLX_CID_KNOWN));
}

void plx_cids_local_set_limit(struct plx_cids_local *l, uint64_t peer_active_connection_id_limit)
{
    unsigned most =
        PLX_CIDS_LOCAL_MAX - 1; // a rotation needs one more, for the frame that asks the others back
    l->limit = (uint8_t)(peer_active_connection_id_limit < most ? peer_active_connection_id_limit : most);
}

bool plx_cids_local_add_known(struct plx_cids_local *l, const struct plx_cid *cid)
{
    return add(l, cid, PLX_CID_KNOWN);
}

unsigned plx_cids_local_room(const struct plx_cids_local *l)
{
    unsigned active = 0;

    for (unsigned i = 0; i < PLX_CIDS_LOCAL_MAX; i++)
        active += l->v[i].state != PLX_CID_FREE && l->v[i].seq >= l->retire_prior_to;
    unsigned wanted = active < l->limit ? l->limit - active : 0;
    unsigned slots = PLX_CIDS_LOCAL_MAX - l->count;
    return wanted < slots ? wanted : slots;
}

bool plx_cids_local_add(struct plx_cids_local *l, const struct plx_cid *cid)
{
    //= rfc9000 5.1.1 "An endpoint MUST NOT provide more connection IDs than the peer's limit"
    return plx_cids_local_room(l) > 0 && add(l, cid, PLX_CID_TO_SEND);
}

bool plx_cids_local_rotate(struct plx_cids_local *l)
{
    for (unsigned i = 0; i < PLX_CIDS_LOCAL_MAX; i++) // the last request has not been answered
        if (l->v[i].state != PLX_CID_FREE && l->v[i].seq < l->retire_prior_to)
            return false;
    if (l->count == PLX_CIDS_LOCAL_MAX)
        return false;
    l->retire_prior_to = l->next_seq;
    return true;
}

// --- frames --------------------------------------------------------------------------------------------------

void plx_cids_local_write(struct plx_cids_local *l, struct plx_wr *w, struct plx_refs *refs,
                          const uint8_t *reset_key)
{
    if (!l->may_want)
        return;
    for (unsigned i = 0; i < PLX_CIDS_LOCAL_MAX; i++) {
        struct plx_cid_local *c = &l->v[i];
        if (c->state != PLX_CID_TO_SEND)
            continue;
        if (!plx_refs_has_room(refs))
            return;
        uint64_t retire = l->retire_prior_to < c->seq ? l->retire_prior_to : c->seq;
        struct plx_frame_new_connection_id f = {.seq = c->seq, .retire_prior_to = retire, .cid = c->cid};
        plx_reset_token(reset_key, &c->cid, f.token);
        if (!plx_frame_new_connection_id_write(w, &f))
            return;
        refs->v[refs->count++] = (struct plx_ref){.kind = PLX_REF_NEW_CID, .id = c->seq};
        c->state = PLX_CID_SENT;
        c->was_sent = true;
    }
    l->may_want = false;
}

bool plx_cids_local_wants_write(const struct plx_cids_local *l)
{
    for (unsigned i = 0; l->may_want && i < PLX_CIDS_LOCAL_MAX; i++)
        if (l->v[i].state == PLX_CID_TO_SEND)
            return true;
    return false;
}

void plx_cids_local_on_acked(struct plx_cids_local *l, uint64_t seq)
{
    struct plx_cid_local *c = by_seq(l, seq);
    if (c != NULL)
        c->state = PLX_CID_KNOWN;
}

void plx_cids_local_on_lost(struct plx_cids_local *l, uint64_t seq)
{
    struct plx_cid_local *c = by_seq(l, seq);
    if (c != NULL && c->state == PLX_CID_SENT) {
        c->state = PLX_CID_TO_SEND;
        l->may_want = true;
    }
}

uint64_t plx_cids_local_on_retire(struct plx_cids_local *l, uint64_t seq, const struct plx_cid *packet_dcid,
                                  struct plx_cid *retired, bool *has_retired)
{
    struct plx_cid_local *c = by_seq(l, seq);

    *has_retired = false;
    //= rfc9000 19.16 "Receipt of a RETIRE_CONNECTION_ID frame containing a sequence number greater than any previously sent to the peer MUST be treated as a connection error of type PROTOCOL_VIOLATION"
    if (seq >= l->next_seq || (c != NULL && !c->was_sent))
        return PLX_QUIC_PROTOCOL_VIOLATION;
    if (c == NULL)
        return PLX_QUIC_NO_ERROR;
    //= rfc9000 19.16 "The sequence number specified in a RETIRE_CONNECTION_ID frame MUST NOT refer to the Destination Connection ID field of the packet in which the frame is contained"
    if (plx_cid_eq(&c->cid, packet_dcid))
        return PLX_QUIC_PROTOCOL_VIOLATION;
    *retired = c->cid;
    *has_retired = true;
    c->state = PLX_CID_FREE;
    l->count--;
    return PLX_QUIC_NO_ERROR;
}

uint64_t plx_cids_local_find(const struct plx_cids_local *l, const uint8_t *cid, size_t len)
{
    for (unsigned i = 0; i < PLX_CIDS_LOCAL_MAX; i++) {
        const struct plx_cid_local *c = &l->v[i];
        if (c->state != PLX_CID_FREE && c->cid.len == len && memcmp(c->cid.bytes, cid, len) == 0)
            return c->seq;
    }
    return PLX_CID_SEQ_NONE;
}

void plx_cids_local_verify(const struct plx_cids_local *l)
{
    unsigned count = 0;

    plx_check(l->limit <= PLX_CIDS_LOCAL_MAX);
    plx_check(l->retire_prior_to <= l->next_seq);
    for (unsigned i = 0; i < PLX_CIDS_LOCAL_MAX; i++) {
        if (l->v[i].state == PLX_CID_FREE)
            continue;
        count++;
        plx_check(l->v[i].seq < l->next_seq);
        plx_check(l->may_want || l->v[i].state != PLX_CID_TO_SEND);
        for (unsigned k = 0; k < i; k++)
            plx_check(l->v[k].state == PLX_CID_FREE || l->v[k].seq != l->v[i].seq);
    }
    plx_check(count == l->count);
}
