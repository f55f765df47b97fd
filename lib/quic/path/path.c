// path.c -- see path.h for the idea.
//
// A slot's life: it is taken when a datagram comes from a new place (or when we move ourselves), and released, with its connection ID
// retired, when a newer candidate needs the place, when its validation fails, or when the path that followed it is validated. The
// active slot is never released without another taking its role.

#include "quic/path/path.h"

#include "base/check.h"

enum { ALLOWANCE_MIN = 64 }; // less than this cannot carry a protected challenge

#define PTO_INITIAL PLX_MS(1000) // with kInitialRtt: 333 ms + 4 * 166 ms, RFC 9002 section 6.2.2

// --- slots -------------------------------------------------------------------------------------------------------

static void slot_clear(struct plx_path *p)
{
    *p = (struct plx_path){.dcid_seq = PLX_CID_SEQ_NONE, .challenge_at = PLX_NEVER, .give_up_at = PLX_NEVER};
}

void plx_paths_init(struct plx_paths *ps, bool is_server, const struct plx_addr *peer,
                    const struct plx_addr *local, bool is_validated, uint16_t mtu)
{
    *ps = (struct plx_paths){
        .candidate = PLX_PATH_NONE, .previous = PLX_PATH_NONE, .is_server = is_server, .is_fixed = true};
    for (unsigned i = 0; i < PLX_PATHS_MAX; i++)
        slot_clear(&ps->v[i]);
    struct plx_path *p = &ps->v[0];
    p->peer = *peer;
    p->local = *local;
    p->mtu = mtu;
    p->dcid_seq = 0;
    p->is_limited = is_server;
    p->state = is_validated ? PLX_PATH_VALIDATED : PLX_PATH_UNKNOWN;
}

void plx_paths_allow_migration(struct plx_paths *ps, bool is_allowed)
{
    ps->is_fixed = !is_allowed;
}

static bool seq_is_shared(const struct plx_paths *ps, uint8_t idx)
{
    for (uint8_t i = 0; i < PLX_PATHS_MAX; i++)
        if (i != idx && ps->v[i].state != PLX_PATH_FREE && ps->v[i].dcid_seq == ps->v[idx].dcid_seq)
            return true;
    return false;
}

static void slot_release(struct plx_paths *ps, struct plx_cids_peer *cids, uint8_t idx)
{
    plx_check(idx != ps->active);
    if (ps->v[idx].dcid_seq != PLX_CID_SEQ_NONE && !seq_is_shared(ps, idx))
        plx_cids_peer_drop(cids, ps->v[idx].dcid_seq);
    slot_clear(&ps->v[idx]);
    if (ps->candidate == idx) {
        ps->candidate = PLX_PATH_NONE;
        ps->is_moving = false;
    }
    if (ps->previous == idx)
        ps->previous = PLX_PATH_NONE;
}

// A slot for a new candidate; the one before it gives way.
static uint8_t slot_take(struct plx_paths *ps, struct plx_cids_peer *cids)
{
    if (ps->candidate != PLX_PATH_NONE)
        slot_release(ps, cids, ps->candidate);
    for (uint8_t i = 0; i < PLX_PATHS_MAX; i++)
        if (ps->v[i].state == PLX_PATH_FREE)
            return i;
    plx_check(ps->previous != PLX_PATH_NONE); // three slots, at most three roles, and the candidate's is free
    uint8_t idx = ps->previous;
    slot_release(ps, cids, idx);
    return idx;
}

static void validation_begin(struct plx_path *p, plx_time now, plx_dur pto)
{
    p->state = PLX_PATH_VALIDATING;
    p->challenge_at = now;
    p->challenge_interval = pto;
    //= rfc9000 8.2.4 "A value of three times the larger of the current PTO or the PTO for the new path (using kInitialRtt, as defined in [QUIC-RECOVERY]) is RECOMMENDED"
    p->give_up_at = plx_time_after(now, plx_dur_mul(plx_dur_max(pto, PTO_INITIAL), 3));
}

// --- receive -----------------------------------------------------------------------------------------------------

// An address that leaves the choice to the port: no family, or a port of our own on whatever interface.
static bool is_open(const struct plx_addr *a)
{
    static const uint8_t zero[sizeof a->ip];
    return a->af == PLX_AF_NONE || memcmp(a->ip, zero, sizeof zero) == 0;
}

static bool local_is_same(const struct plx_addr *a, const struct plx_addr *b)
{
    if (a->af == PLX_AF_NONE || b->af == PLX_AF_NONE || plx_addr_eq(a, b))
        return true;
    return a->af == b->af && a->port == b->port && (is_open(a) || is_open(b));
}

static uint8_t slot_find(struct plx_paths *ps, const struct plx_addr *peer, const struct plx_addr *local)
{
    for (uint8_t i = 0; i < PLX_PATHS_MAX; i++) {
        struct plx_path *p = &ps->v[i];
        if (p->state != PLX_PATH_FREE && plx_addr_eq(&p->peer, peer) && local_is_same(&p->local, local)) {
            if (is_open(&p->local))
                p->local = *local; // the port has chosen it meanwhile
            return i;
        }
    }
    return PLX_PATH_NONE;
}

uint8_t plx_paths_on_datagram(struct plx_paths *ps, struct plx_cids_peer *cids, const struct plx_addr *peer,
                              const struct plx_addr *local, size_t bytes)
{
    uint8_t idx = slot_find(ps, peer, local);

    if (idx != PLX_PATH_NONE) {
        ps->v[idx].rx_bytes += bytes;
        return idx;
    }
    //= rfc9000 9 "If a client receives packets from an unknown server address, the client MUST discard these packets"
    if (!ps->is_server || ps->is_fixed)
        return PLX_PATH_NONE;

    const struct plx_path *from = &ps->v[ps->active];
    uint64_t seq = from->dcid_seq;
    idx = slot_take(ps, cids);
    const struct plx_cid_peer *cid = plx_cids_peer_take(cids);
    //= rfc9000 9.5 "it MAY continue to use the current connection ID with the new remote address while still sending from the same local address"
    if (cid != NULL)
        seq = cid->seq;
    struct plx_path *p = &ps->v[idx];
    p->peer = *peer;
    p->local = *local;
    p->rx_bytes = bytes;
    p->dcid_seq = seq;
    p->is_limited = true;
    p->mtu = plx_addr_ip_eq(peer, &from->peer) ? from->mtu : PLX_DGRAM_MIN;
    p->state = PLX_PATH_UNKNOWN;
    ps->candidate = idx;
    return idx;
}

void plx_paths_on_unauthenticated(struct plx_paths *ps, const struct plx_addr *peer, size_t bytes)
{
    for (unsigned i = 0; i < PLX_PATHS_MAX; i++) {
        if (ps->v[i].state != PLX_PATH_FREE && plx_addr_eq(&ps->v[i].peer, peer)) {
            ps->v[i].rx_bytes += bytes;
            return;
        }
    }
}

// idx becomes active. What was active stays as the one to fall back to when it was validated.
static enum plx_path_event activate(struct plx_paths *ps, struct plx_cids_peer *cids, uint8_t idx)
{
    uint8_t old = ps->active;
    bool is_rebound = plx_addr_ip_eq(&ps->v[old].peer, &ps->v[idx].peer) &&
                      local_is_same(&ps->v[old].local, &ps->v[idx].local);

    ps->active = idx;
    ps->migrations++;
    if (ps->candidate == idx) {
        ps->candidate = PLX_PATH_NONE;
        ps->is_moving = false;
    }
    if (ps->previous == idx)
        ps->previous = PLX_PATH_NONE;
    if (ps->v[old].state == PLX_PATH_VALIDATED) {
        if (ps->previous != PLX_PATH_NONE)
            slot_release(ps, cids, ps->previous);
        ps->previous = old;
    } else {
        slot_release(ps, cids, old); // nobody ever answered there; an older validated one stays
    }
    return is_rebound ? PLX_PATH_REBOUND : PLX_PATH_MIGRATED;
}

enum plx_path_event plx_paths_on_packet(struct plx_paths *ps, struct plx_cids_peer *cids, uint8_t idx,
                                        bool is_newest, bool is_probing_only, plx_time now, plx_dur pto)
{
    //= rfc9000 9.3 "An endpoint only changes the address to which it sends packets in response to the highest-numbered non-probing packet"
    if (idx == ps->active || !is_newest || is_probing_only || !ps->is_server)
        return PLX_PATH_SAME;

    enum plx_path_event event = activate(ps, cids, idx);
    if (ps->v[idx].state != PLX_PATH_VALIDATED && ps->v[idx].state != PLX_PATH_VALIDATING)
        validation_begin(&ps->v[idx], now, pto);
    //= rfc9000 9.3.3 "endpoints MUST validate the previously active path using a PATH_CHALLENGE frame"
    if (ps->previous != PLX_PATH_NONE) {
        ps->v[ps->previous].challenge_at = now;
        ps->v[ps->previous].challenge_interval = pto;
    }
    return event;
}

void plx_path_on_challenge(struct plx_path *p, const uint8_t data[PLX_PATH_DATA_LEN])
{
    if (p->response_count == PLX_PATH_RESPONSES) { // the oldest falls out: its asker will ask again
        memmove(p->responses[0], p->responses[1], sizeof p->responses - sizeof p->responses[0]);
        p->response_count--;
    }
    memcpy(p->responses[p->response_count++], data, PLX_PATH_DATA_LEN);
}

static bool has_challenge(const struct plx_path *p, const uint8_t data[PLX_PATH_DATA_LEN])
{
    for (unsigned i = 0; i < p->challenge_count; i++)
        if (memcmp(p->challenges[i], data, PLX_PATH_DATA_LEN) == 0)
            return true;
    return false;
}

static void set_validated(struct plx_path *p)
{
    p->state = PLX_PATH_VALIDATED;
    p->challenge_count = 0;
    p->challenge_next = 0;
    p->challenge_at = PLX_NEVER;
    p->give_up_at = PLX_NEVER;
}

uint8_t plx_paths_on_response(struct plx_paths *ps, struct plx_cids_peer *cids,
                              const uint8_t data[PLX_PATH_DATA_LEN])
{
    for (uint8_t i = 0; i < PLX_PATHS_MAX; i++) {
        struct plx_path *p = &ps->v[i];
        //= rfc9000 8.2.3 "Path validation succeeds when a PATH_RESPONSE frame is received that contains the data that was sent in a previous PATH_CHALLENGE frame"
        if (p->state == PLX_PATH_FREE || !has_challenge(p, data))
            continue;
        bool was_validated = p->state == PLX_PATH_VALIDATED;
        set_validated(p);
        if (was_validated)
            return PLX_PATH_NONE;
        if (i == ps->candidate && ps->is_moving)
            activate(ps, cids, i);
        if (i == ps->active && ps->previous != PLX_PATH_NONE)
            slot_release(ps, cids, ps->previous); // the new one is true: no need to fall back
        return i;
    }
    return PLX_PATH_NONE;
}

void plx_paths_set_validated(struct plx_paths *ps)
{
    set_validated(&ps->v[ps->active]);
}

// --- send --------------------------------------------------------------------------------------------------------

uint64_t plx_path_allowance(const struct plx_path *p)
{
    if (p->state == PLX_PATH_VALIDATED || !p->is_limited)
        return UINT64_MAX;
    //= rfc9000 8.1 "than three times as many bytes as the number of bytes they have received"
    uint64_t max = p->rx_bytes * PLX_ANTI_AMPLIFICATION;
    return max > p->tx_bytes ? max - p->tx_bytes : 0;
}

void plx_path_on_sent(struct plx_path *p, size_t bytes)
{
    p->tx_bytes += bytes;
}

static bool wants_probe(const struct plx_path *p, plx_time now)
{
    if (p->response_count == 0 &&
        (plx_time_is_never(p->challenge_at) || !plx_time_reached(p->challenge_at, now)))
        return false;
    return p->state != PLX_PATH_FREE && plx_path_allowance(p) >= ALLOWANCE_MIN;
}

// Nearly always: the other slots are free then, and asking costs one line of memory.
static bool has_one(const struct plx_paths *ps)
{
    return ps->candidate == PLX_PATH_NONE && ps->previous == PLX_PATH_NONE;
}

uint8_t plx_paths_next_probe(const struct plx_paths *ps, plx_time now)
{
    if (has_one(ps))
        return wants_probe(&ps->v[ps->active], now) ? ps->active : PLX_PATH_NONE;
    for (uint8_t i = 0; i < PLX_PATHS_MAX; i++)
        if (wants_probe(&ps->v[i], now))
            return i;
    return PLX_PATH_NONE;
}

static bool challenge_write(struct plx_path *p, struct plx_wr *w, struct plx_refs *refs,
                            const uint8_t random[PLX_PATH_DATA_LEN], plx_time now)
{
    if (!plx_refs_has_room(refs) || !plx_frame_path_challenge_write(w, random))
        return false;
    refs->v[refs->count++] = (struct plx_ref){.kind = PLX_REF_PATH_CHALLENGE};
    //= rfc9000 8.2.1 "The endpoint MUST use unpredictable data in every PATH_CHALLENGE frame"
    memcpy(p->challenges[p->challenge_next], random, PLX_PATH_DATA_LEN);
    p->challenge_next = (uint8_t)((p->challenge_next + 1) % PLX_PATH_CHALLENGES);
    if (p->challenge_count < PLX_PATH_CHALLENGES)
        p->challenge_count++;
    // A validated path is only asked once, for the sake of a peer that never left it.
    p->challenge_at =
        p->state == PLX_PATH_VALIDATING ? plx_time_after(now, p->challenge_interval) : PLX_NEVER;
    p->challenge_interval = plx_dur_mul(p->challenge_interval, 2);
    return true;
}

bool plx_path_write(struct plx_path *p, struct plx_wr *w, struct plx_refs *refs,
                    const uint8_t random[PLX_PATH_DATA_LEN], plx_time now)
{
    unsigned done = 0;
    bool is_any = false;

    while (done < p->response_count && plx_frame_path_response_write(w, p->responses[done]))
        done++;
    if (done > 0) {
        memmove(p->responses[0], p->responses[done], (p->response_count - done) * sizeof p->responses[0]);
        p->response_count = (uint8_t)(p->response_count - done);
        is_any = true;
    }
    if (!plx_time_is_never(p->challenge_at) && plx_time_reached(p->challenge_at, now))
        is_any |= challenge_write(p, w, refs, random, now);
    return is_any;
}

bool plx_paths_migrate(struct plx_paths *ps, struct plx_cids_peer *cids, const struct plx_addr *peer,
                       const struct plx_addr *local, plx_time now, plx_dur pto)
{
    //= rfc9000 9 "An endpoint MUST NOT initiate connection migration before the handshake is confirmed"
    if (ps->is_server || ps->is_fixed || ps->candidate != PLX_PATH_NONE)
        return false;
    const struct plx_cid_peer *cid = plx_cids_peer_take(cids);
    if (cid == NULL)
        return false;
    uint8_t idx = slot_take(ps, cids);
    struct plx_path *p = &ps->v[idx];
    p->peer = *peer;
    p->local = *local;
    p->dcid_seq = cid->seq;
    p->mtu = PLX_DGRAM_MIN;
    validation_begin(p, now, pto);
    ps->candidate = idx;
    ps->is_moving = true;
    return true;
}

static void refresh(struct plx_paths *ps, struct plx_cids_peer *cids, uint8_t idx)
{
    struct plx_path *p = &ps->v[idx];

    if (p->dcid_seq != PLX_CID_SEQ_NONE && !plx_cids_peer_is_stale(cids, p->dcid_seq))
        return;
    // One that two paths share stays for the other, which is refreshed in its turn.
    const struct plx_cid_peer *cid = p->dcid_seq == PLX_CID_SEQ_NONE || seq_is_shared(ps, idx)
                                         ? plx_cids_peer_take(cids)
                                         : plx_cids_peer_replace(cids, p->dcid_seq);
    if (cid != NULL)
        p->dcid_seq = cid->seq;
    else if (idx != ps->active)
        slot_release(ps, cids, idx);
}

void plx_paths_refresh_cids(struct plx_paths *ps, struct plx_cids_peer *cids)
{
    refresh(ps, cids, ps->active);
    for (uint8_t i = 0; i < PLX_PATHS_MAX; i++)
        if (i != ps->active && ps->v[i].state != PLX_PATH_FREE)
            refresh(ps, cids, i);
}

void plx_paths_change_cid(struct plx_paths *ps, struct plx_cids_peer *cids)
{
    struct plx_path *p = &ps->v[ps->active];

    if (p->dcid_seq == PLX_CID_SEQ_NONE || seq_is_shared(ps, ps->active))
        return;
    const struct plx_cid_peer *cid = plx_cids_peer_replace(cids, p->dcid_seq);
    if (cid != NULL)
        p->dcid_seq = cid->seq;
}

// --- time --------------------------------------------------------------------------------------------------------

plx_time plx_paths_deadline(const struct plx_paths *ps)
{
    plx_time at = PLX_NEVER;
    bool is_one = has_one(ps);

    for (unsigned i = is_one ? ps->active : 0; i < (is_one ? ps->active + 1u : PLX_PATHS_MAX); i++) {
        const struct plx_path *p = &ps->v[i];
        at = plx_time_min(at, p->give_up_at);
        if (plx_path_allowance(p) >= ALLOWANCE_MIN)
            at = plx_time_min(at, p->challenge_at);
    }
    return at;
}

static enum plx_path_event on_failed(struct plx_paths *ps, struct plx_cids_peer *cids, uint8_t idx)
{
    ps->v[idx].state = PLX_PATH_FAILED;
    ps->v[idx].challenge_at = PLX_NEVER;
    ps->v[idx].give_up_at = PLX_NEVER;
    if (idx != ps->active) {
        slot_release(ps, cids, idx);
        return PLX_PATH_SAME;
    }
    //= rfc9000 9.3.2 "an endpoint MUST revert to using the last validated peer address when validation of a new peer address fails"
    if (ps->previous == PLX_PATH_NONE)
        return PLX_PATH_LOST;
    ps->active = ps->previous;
    ps->previous = PLX_PATH_NONE;
    slot_release(ps, cids, idx);
    return PLX_PATH_RETURNED;
}

enum plx_path_event plx_paths_on_timeout(struct plx_paths *ps, struct plx_cids_peer *cids, plx_time now)
{
    enum plx_path_event event = PLX_PATH_SAME;

    for (uint8_t i = 0; i < PLX_PATHS_MAX; i++) {
        struct plx_path *p = &ps->v[i];
        if (p->state != PLX_PATH_VALIDATING || !plx_time_reached(p->give_up_at, now))
            continue;
        enum plx_path_event e = on_failed(ps, cids, i);
        event = e != PLX_PATH_SAME ? e : event;
    }
    return event;
}

void plx_paths_verify(const struct plx_paths *ps)
{
    plx_check(ps->active < PLX_PATHS_MAX);
    plx_check(ps->v[ps->active].state != PLX_PATH_FREE);
    plx_check(ps->candidate != ps->active);
    plx_check(ps->previous != ps->active);
    plx_check(ps->previous == PLX_PATH_NONE || ps->previous != ps->candidate);
    plx_check(ps->previous == PLX_PATH_NONE || ps->v[ps->previous].state == PLX_PATH_VALIDATED);
    for (uint8_t i = 0; i < PLX_PATHS_MAX; i++) {
        const struct plx_path *p = &ps->v[i];
        bool has_role = i == ps->active || i == ps->candidate || i == ps->previous;
        plx_check(has_role == (p->state != PLX_PATH_FREE));
        plx_check(p->response_count <= PLX_PATH_RESPONSES);
        plx_check(p->challenge_count <= PLX_PATH_CHALLENGES);
        plx_check((p->state == PLX_PATH_VALIDATING) == !plx_time_is_never(p->give_up_at));
    }
}
