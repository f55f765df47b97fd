// path.h -- the paths of a connection: which addresses, validated or not, and how much may be sent (RFC 9000 sections 8 and 9).
//
// At most three paths exist at a time, in slots: the active one, where all packets go; a candidate, from which the peer probes
// or to which we move; and the previous one, to which we fall back when the new one turns out false. A path counts octets
// against amplification until it is validated (three times what came), answers PATH_CHALLENGEs where they came from, and sends its
// own until an answer comes or three probe timeouts have passed.
//
// A peer has moved when the packet with the highest number so far comes from elsewhere and holds more than probing frames. We then
// send to the new address at once, validate it, and also ask at the old one (section 9.3.3: somebody may only have
// copied a packet). When only the port changed it is taken for a NAT's work: congestion state is kept (section 9.4).
//
// Nothing here sends: the connection asks for challenges and responses to write, and says what came.

#ifndef PLX_QUIC_PATH_H
#define PLX_QUIC_PATH_H

#include <plx/types.h>

#include "base/time.h"
#include "quic/limits.h"
#include "quic/path/cid.h"

enum plx_path_state {
    PLX_PATH_FREE,
    PLX_PATH_UNKNOWN,    // nobody has asked yet whether the peer is there
    PLX_PATH_VALIDATING, // PATH_CHALLENGE is out or wants to go out
    PLX_PATH_VALIDATED,
    PLX_PATH_FAILED, // no answer came in time
};

struct plx_path {
    struct plx_addr peer, local;
    uint64_t rx_bytes, tx_bytes; // UDP payload, for the limit before validation
    uint64_t dcid_seq;           // the peer's ID in use here; PLX_CID_SEQ_NONE: none could be had
    plx_time challenge_at;       // when the next PATH_CHALLENGE goes out; NEVER
    plx_time give_up_at;         // when validation has failed; NEVER
    plx_dur challenge_interval;
    uint16_t mtu;                            // largest UDP payload that may be sent here
    uint8_t state;                           // enum plx_path_state
    uint8_t challenge_count, challenge_next; // data of the last few: any may be answered
    uint8_t response_count;
    bool is_limited; // three times what came, until validated: the peer brought us here
    uint8_t challenges[PLX_PATH_CHALLENGES][PLX_PATH_DATA_LEN];
    uint8_t responses[PLX_PATH_RESPONSES][PLX_PATH_DATA_LEN];
};

enum { PLX_PATH_NONE = 0xff };

struct
    plx_paths { // what every packet asks first, beside the first path, which is nearly always the active one
    uint8_t active;    // index
    uint8_t candidate; // index or PLX_PATH_NONE
    uint8_t previous;  // index or PLX_PATH_NONE
    bool is_server;
    // no migration: datagrams from elsewhere are dropped (before confirmation, or disable_active_migration)
    bool is_fixed;
    bool is_moving; // the candidate becomes active when it is validated: we began it
    struct plx_path v[PLX_PATHS_MAX];
    uint64_t migrations; // ever
};

// is_validated: the peer's address is known to be true (a client's view of its server, or a token said so).
void plx_paths_init(struct plx_paths *ps, bool is_server, const struct plx_addr *peer,
                    const struct plx_addr *local, bool is_validated, uint16_t mtu);
static inline struct plx_path *plx_paths_active(struct plx_paths *ps)
{
    return &ps->v[ps->active];
}
// From handshake confirmation on the peer may move (section 9).
void plx_paths_allow_migration(struct plx_paths *ps, bool is_allowed);

// --- receive ---------------------------------------------------------------------------------------------------

// A datagram's packet was authenticated: which path it came on. An unknown peer address becomes the candidate (server; it takes an unused ID of the
// peer's). PLX_PATH_NONE: from where nobody may come now; drop it (counted by the caller).
// bytes: of the whole datagram, 0 for its second and later packets.
uint8_t plx_paths_on_datagram(struct plx_paths *ps, struct plx_cids_peer *cids, const struct plx_addr *peer,
                              const struct plx_addr *local, size_t bytes);
// Octets of a datagram that could not be authenticated still count for the path with that address (section 8.1 counts all that came
// and were attributed to the connection). Nothing happens when there is none.
void plx_paths_on_unauthenticated(struct plx_paths *ps, const struct plx_addr *peer, size_t bytes);

enum plx_path_event {
    PLX_PATH_SAME,
    PLX_PATH_REBOUND,  // active moved, only the port differs: keep congestion state
    PLX_PATH_MIGRATED, // active moved: new congestion and RTT state (plx_recovery_on_path_change)
    PLX_PATH_RETURNED, // validation failed and active is the previous path again
    PLX_PATH_LOST, // validation failed and there is nothing to return to: the connection has no viable path
};
// The frames of a packet from path idx were processed. is_newest: its number is the highest so far. now and pto start the validation.
enum plx_path_event plx_paths_on_packet(struct plx_paths *ps, struct plx_cids_peer *cids, uint8_t idx,
                                        bool is_newest, bool is_probing_only, plx_time now, plx_dur pto);
void plx_path_on_challenge(struct plx_path *p, const uint8_t data[PLX_PATH_DATA_LEN]);
// PATH_RESPONSE, from whatever path. Returns the index that is validated by it now, or PLX_PATH_NONE (stale or unknown data). After
// plx_paths_migrate() that path may have become the active one by it: compare ps->active before and after.
uint8_t plx_paths_on_response(struct plx_paths *ps, struct plx_cids_peer *cids,
                              const uint8_t data[PLX_PATH_DATA_LEN]);
// The handshake (or a token) has validated the active path (section 8.1).
void plx_paths_set_validated(struct plx_paths *ps);

// --- send ------------------------------------------------------------------------------------------------------

// Octets that may still be sent on this path; UINT64_MAX once it is validated.
uint64_t plx_path_allowance(const struct plx_path *p);
void plx_path_on_sent(struct plx_path *p, size_t bytes);
// A slot with a challenge or responses to write now: its index, or PLX_PATH_NONE. The datagram goes to that path's addresses and ID and is
// padded to PLX_DGRAM_MIN octets as far as the allowance goes (section 8.2.1, 8.2.2).
uint8_t plx_paths_next_probe(const struct plx_paths *ps, plx_time now);
// Writes PATH_RESPONSEs, then a PATH_CHALLENGE if one is due; random: 8 unpredictable octets for it. False: nothing was written.
bool plx_path_write(struct plx_path *p, struct plx_wr *w, struct plx_refs *refs,
                    const uint8_t random[PLX_PATH_DATA_LEN], plx_time now);
// Client: moves to a new local address (active migration, or the preferred address of the server): takes an unused ID, begins validation, and becomes
// active when that succeeds. False: no ID left, a candidate is already under way, or migration is not allowed.
bool plx_paths_migrate(struct plx_paths *ps, struct plx_cids_peer *cids, const struct plx_addr *peer,
                       const struct plx_addr *local, plx_time now, plx_dur pto);
// The peer has asked IDs back: paths that use such an ID get another. Call after plx_cids_peer_on_new().
void plx_paths_refresh_cids(struct plx_paths *ps, struct plx_cids_peer *cids);
// Sends to another of the peer's IDs from now on, on the active path, if there is one to spare (section 5.1.2: an endpoint may at any time).
void plx_paths_change_cid(struct plx_paths *ps, struct plx_cids_peer *cids);

// --- time ------------------------------------------------------------------------------------------------------

plx_time plx_paths_deadline(const struct plx_paths *ps);
enum plx_path_event plx_paths_on_timeout(struct plx_paths *ps, struct plx_cids_peer *cids, plx_time now);

void plx_paths_verify(const struct plx_paths *ps);

#endif
