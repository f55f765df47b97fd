// cid_peer.c -- the connection IDs that the peer issued, RFC 9000 sections 5.1.2 and 19.15.
//
// An ID is unused, in use by a path, or gone; whoever is gone stands in the list of RETIRE_CONNECTION_IDs until that is acknowledged.
// Frames can arrive twice and late, so a bitmap remembers which sequence numbers were ever seen: an ID that we retired must
// not come back through a retransmission.
//
// Invariant: the list of retired IDs always has room for those in use, so dropping one never fails.

#include "base/check.h"
#include "quic/path/cid.h"
#include "quic/wire/reset.h"

static struct plx_cid_peer *by_seq(struct plx_cids_peer *p, uint64_t seq)
{
    for (unsigned i = 0; i < PLX_CIDS_PEER_SLOTS; i++)
        if (p->v[i].is_taken && p->v[i].seq == seq)
            return &p->v[i];
    return NULL;
}

static struct plx_cid_peer *unused(struct plx_cids_peer *p)
{
    struct plx_cid_peer *best = NULL; // the lowest number: the peer asks those back first

    for (unsigned i = 0; i < PLX_CIDS_PEER_SLOTS; i++) {
        struct plx_cid_peer *c = &p->v[i];
        if (c->is_taken && !c->is_in_use && (best == NULL || c->seq < best->seq))
            best = c;
    }
    return best;
}

// --- numbers that were seen ------------------------------------------------------------------------------------

static bool seen_has(const struct plx_cids_peer *p, uint64_t seq)
{
    return seq < p->seen_base || (seq - p->seen_base < 64 && (p->seen >> (seq - p->seen_base) & 1));
}

static void seen_add(struct plx_cids_peer *p, uint64_t seq)
{
    if (seq >= p->seen_base + 64) { // numbers that never came are given up
        uint64_t up = seq - 63 - p->seen_base;
        p->seen = up < 64 ? p->seen >> up : 0;
        p->seen_base += up;
    }
    p->seen |= UINT64_C(1) << (seq - p->seen_base);
    while (p->seen & 1) {
        p->seen >>= 1;
        p->seen_base++;
    }
}

// --- birth -----------------------------------------------------------------------------------------------------

void plx_cids_peer_init(struct plx_cids_peer *p, const struct plx_cid *first, uint64_t limit)
{
    *p = (struct plx_cids_peer){.in_use = 1, .is_empty = first->len == 0};
    p->limit = (uint8_t)(limit < 2 ? 2 : limit < PLX_CIDS_PEER_MAX ? limit : PLX_CIDS_PEER_MAX);
    p->v[0] = (struct plx_cid_peer){.cid = *first, .is_taken = true, .is_in_use = true};
    seen_add(p, 0);
}

void plx_cids_peer_set_first(struct plx_cids_peer *p, const struct plx_cid *cid)
{
    struct plx_cid_peer *first = by_seq(p, 0);

    if (first == NULL)
        return;
    first->cid = *cid;
    p->is_empty = cid->len == 0;
}

void plx_cids_peer_set_first_token(struct plx_cids_peer *p, const uint8_t token[PLX_RESET_TOKEN_LEN])
{
    struct plx_cid_peer *first = by_seq(p, 0);

    if (first == NULL)
        return;
    memcpy(first->token, token, PLX_RESET_TOKEN_LEN);
    first->has_token = true;
    p->tokens_changed++;
}

uint64_t plx_cids_peer_add_preferred(struct plx_cids_peer *p, const struct plx_cid *cid,
                                     const uint8_t token[PLX_RESET_TOKEN_LEN])
{
    struct plx_frame_new_connection_id f = {.seq = 1, .cid = *cid};

    memcpy(f.token, token, PLX_RESET_TOKEN_LEN);
    return plx_cids_peer_on_new(p, &f);
}

// --- retiring --------------------------------------------------------------------------------------------------

static bool can_retire(const struct plx_cids_peer *p)
{
    return p->retired_count + p->in_use < PLX_CIDS_RETIRED_MAX;
}

static void retire_seq(struct plx_cids_peer *p, uint64_t seq)
{
    plx_check(p->retired_count < PLX_CIDS_RETIRED_MAX);
    p->retired_sent &= (uint16_t) ~(1u << p->retired_count);
    p->retired[p->retired_count++] = seq;
}

static void retire(struct plx_cids_peer *p, struct plx_cid_peer *c)
{
    if (c->is_in_use) {
        p->in_use--;
        p->tokens_changed++;
    }
    retire_seq(p, c->seq);
    *c = (struct plx_cid_peer){0};
}

// The peer asks back all below prior_to. Those in use stay until their path has another.
static bool retire_below(struct plx_cids_peer *p, uint64_t prior_to)
{
    if (prior_to <= p->retire_prior_to)
        return true;
    p->retire_prior_to = prior_to;
    for (unsigned i = 0; i < PLX_CIDS_PEER_SLOTS; i++) {
        struct plx_cid_peer *c = &p->v[i];
        if (!c->is_taken || c->is_in_use || c->seq >= prior_to)
            continue;
        if (!can_retire(p))
            return false;
        retire(p, c);
    }
    return true;
}

// --- NEW_CONNECTION_ID -----------------------------------------------------------------------------------------

// Whether the frame says something else than what was said before.
static bool contradicts(const struct plx_cids_peer *p, const struct plx_frame_new_connection_id *f)
{
    for (unsigned i = 0; i < PLX_CIDS_PEER_SLOTS; i++) {
        const struct plx_cid_peer *c = &p->v[i];
        if (!c->is_taken)
            continue;
        bool is_same_seq = c->seq == f->seq, is_same_cid = plx_cid_eq(&c->cid, &f->cid);
        //= rfc9000 19.15 "or if a sequence number is used for different connection IDs, the endpoint MAY treat that receipt as a connection error of type PROTOCOL_VIOLATION"
        if (is_same_seq != is_same_cid)
            return true;
        if (is_same_seq && c->has_token && memcmp(c->token, f->token, PLX_RESET_TOKEN_LEN) != 0)
            return true;
    }
    return false;
}

static unsigned active_count(const struct plx_cids_peer *p)
{
    unsigned count = 0;

    for (unsigned i = 0; i < PLX_CIDS_PEER_SLOTS; i++)
        count += p->v[i].is_taken && p->v[i].seq >= p->retire_prior_to;
    return count;
}

static uint64_t add(struct plx_cids_peer *p, const struct plx_frame_new_connection_id *f)
{
    //= rfc9000 5.1.1 "an endpoint MUST close the connection with an error of type CONNECTION_ID_LIMIT_ERROR"
    if (active_count(p) >= p->limit)
        return PLX_QUIC_CONNECTION_ID_LIMIT_ERROR;
    for (unsigned i = 0; i < PLX_CIDS_PEER_SLOTS; i++) {
        struct plx_cid_peer *c = &p->v[i];
        if (c->is_taken)
            continue;
        *c = (struct plx_cid_peer){.seq = f->seq, .cid = f->cid, .has_token = true, .is_taken = true};
        memcpy(c->token, f->token, PLX_RESET_TOKEN_LEN);
        return PLX_QUIC_NO_ERROR;
    }
    return PLX_QUIC_CONNECTION_ID_LIMIT_ERROR;
}

uint64_t plx_cids_peer_on_new(struct plx_cids_peer *p, const struct plx_frame_new_connection_id *f)
{
    //= rfc9000 19.15 "An endpoint that is sending packets with a zero-length Destination Connection ID MUST treat receipt of a NEW_CONNECTION_ID frame as a connection error of type PROTOCOL_VIOLATION"
    if (p->is_empty)
        return PLX_QUIC_PROTOCOL_VIOLATION;
    if (f->retire_prior_to > f->seq)
        return PLX_QUIC_FRAME_ENCODING_ERROR;
    if (contradicts(p, f))
        return PLX_QUIC_PROTOCOL_VIOLATION;
    //= rfc9000 5.1.2 "treat having connection IDs in need of retirement that exceed this limit as a connection error of type CONNECTION_ID_LIMIT_ERROR"
    if (!retire_below(p, f->retire_prior_to))
        return PLX_QUIC_CONNECTION_ID_LIMIT_ERROR;
    //= rfc9000 19.15 "Receipt of the same frame multiple times MUST NOT be treated as a connection error"
    if (seen_has(p, f->seq))
        return PLX_QUIC_NO_ERROR;
    seen_add(p, f->seq);
    if (f->seq >= p->retire_prior_to)
        return add(p, f);
    //= rfc9000 19.15 "MUST send a corresponding RETIRE_CONNECTION_ID frame that retires the newly received connection ID"
    if (!can_retire(p))
        return PLX_QUIC_CONNECTION_ID_LIMIT_ERROR;
    retire_seq(p, f->seq);
    return PLX_QUIC_NO_ERROR;
}

// --- use -------------------------------------------------------------------------------------------------------

const struct plx_cid_peer *plx_cids_peer_get(const struct plx_cids_peer *p, uint64_t seq)
{
    for (unsigned i = 0; i < PLX_CIDS_PEER_SLOTS; i++)
        if (p->v[i].is_taken && p->v[i].seq == seq)
            return &p->v[i];
    return NULL;
}

const struct plx_cid_peer *plx_cids_peer_take(struct plx_cids_peer *p)
{
    if (p->is_empty)
        return &p->v[0];
    struct plx_cid_peer *c = unused(p);
    if (c == NULL ||
        !can_retire(p)) // a peer that moves on and on without acknowledging what we retire has to wait
        return NULL;
    c->is_in_use = true;
    p->in_use++;
    p->tokens_changed++;
    return c;
}

bool plx_cids_peer_has_unused(const struct plx_cids_peer *p)
{
    if (p->is_empty)
        return true;
    for (unsigned i = 0; i < PLX_CIDS_PEER_SLOTS; i++)
        if (p->v[i].is_taken && !p->v[i].is_in_use)
            return can_retire(p);
    return false;
}

void plx_cids_peer_drop(struct plx_cids_peer *p, uint64_t seq)
{
    struct plx_cid_peer *c = by_seq(p, seq);

    if (c != NULL && !p->is_empty)
        retire(p, c);
}

bool plx_cids_peer_is_stale(const struct plx_cids_peer *p, uint64_t seq)
{
    return !p->is_empty && (seq < p->retire_prior_to || plx_cids_peer_get(p, seq) == NULL);
}

const struct plx_cid_peer *plx_cids_peer_replace(struct plx_cids_peer *p, uint64_t seq)
{
    if (p->is_empty)
        return &p->v[0];
    struct plx_cid_peer *next = unused(p), *old = by_seq(p, seq);
    if (next == NULL || !can_retire(p))
        return NULL;
    if (old != NULL)
        retire(p, old);
    next->is_in_use = true;
    p->in_use++;
    p->tokens_changed++;
    return next;
}

// --- RETIRE_CONNECTION_ID --------------------------------------------------------------------------------------

void plx_cids_peer_write(struct plx_cids_peer *p, struct plx_wr *w, struct plx_refs *refs)
{
    for (unsigned i = 0; i < p->retired_count; i++) {
        if (p->retired_sent >> i & 1)
            continue;
        if (!plx_refs_has_room(refs) || !plx_frame_retire_connection_id_write(w, p->retired[i]))
            return;
        refs->v[refs->count++] = (struct plx_ref){.kind = PLX_REF_RETIRE_CID, .id = p->retired[i]};
        p->retired_sent |= (uint16_t)(1u << i);
    }
}

bool plx_cids_peer_wants_write(const struct plx_cids_peer *p)
{
    return p->retired_sent != (1u << p->retired_count) - 1;
}

// retired_count: it is not there.
static unsigned retired_by_seq(const struct plx_cids_peer *p, uint64_t seq)
{
    unsigned i = 0;

    while (i < p->retired_count && p->retired[i] != seq)
        i++;
    return i;
}

void plx_cids_peer_on_acked(struct plx_cids_peer *p, uint64_t seq)
{
    unsigned i = retired_by_seq(p, seq);

    if (i == p->retired_count)
        return;
    unsigned last = --p->retired_count; // takes its place
    unsigned is_sent = p->retired_sent >> last & 1;
    p->retired[i] = p->retired[last];
    p->retired_sent &= (uint16_t) ~(1u << i | 1u << last);
    if (i != last)
        p->retired_sent |= (uint16_t)(is_sent << i);
}

void plx_cids_peer_on_lost(struct plx_cids_peer *p, uint64_t seq)
{
    unsigned i = retired_by_seq(p, seq);

    if (i < p->retired_count)
        p->retired_sent &= (uint16_t) ~(1u << i);
}

// --- stateless reset -------------------------------------------------------------------------------------------

bool plx_cids_peer_is_reset(const struct plx_cids_peer *p, const uint8_t *dgram, size_t len)
{
    bool is_match = false;

    //= rfc9000 10.3.1 "An endpoint MUST NOT check for any stateless reset tokens associated with connection IDs it has not used or for connection IDs that have been retired"
    for (unsigned i = 0; i < PLX_CIDS_PEER_SLOTS; i++)
        if (p->v[i].is_taken && p->v[i].is_in_use && p->v[i].has_token)
            is_match |= plx_reset_is_match(dgram, len, p->v[i].token);
    return is_match;
}

unsigned plx_cids_peer_tokens(const struct plx_cids_peer *p, uint8_t out[PLX_PATHS_MAX][PLX_RESET_TOKEN_LEN])
{
    unsigned count = 0;

    for (unsigned i = 0; i < PLX_CIDS_PEER_SLOTS && count < PLX_PATHS_MAX; i++)
        if (p->v[i].is_taken && p->v[i].is_in_use && p->v[i].has_token)
            memcpy(out[count++], p->v[i].token, PLX_RESET_TOKEN_LEN);
    return count;
}

void plx_cids_peer_verify(const struct plx_cids_peer *p)
{
    unsigned in_use = 0;

    for (unsigned i = 0; i < PLX_CIDS_PEER_SLOTS; i++) {
        const struct plx_cid_peer *c = &p->v[i];
        if (!c->is_taken)
            continue;
        in_use += c->is_in_use;
        plx_check(seen_has(p, c->seq));
        plx_check(c->is_in_use || c->seq >= p->retire_prior_to);
        for (unsigned k = 0; k < i; k++)
            plx_check(!p->v[k].is_taken || p->v[k].seq != c->seq);
    }
    plx_check(in_use == p->in_use);
    plx_check(active_count(p) <= p->limit);
    plx_check(p->retired_count + p->in_use <= PLX_CIDS_RETIRED_MAX);
    plx_check(p->retired_sent >> p->retired_count == 0);
}
