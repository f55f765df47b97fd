// cid.h -- connection IDs on both sides, RFC 9000 sections 5.1 and 19.15, 19.16.
//
// plx_cids_local: the IDs we issued. Each has a sequence number; the peer chooses among them and retires them; we may ask it to retire
// all below a number. Frames that announce them are repeated when lost (PLX_REF_NEW_CID).
//
// plx_cids_peer: the IDs the peer issued to us, with their stateless reset tokens. Each path uses one of its own; one that is no
// longer used, or that the peer asks back, goes out in a RETIRE_CONNECTION_ID that is repeated when lost (PLX_REF_RETIRE_CID).
//
// Both are short arrays. IDs are kept in no order; sequence numbers identify them.

#ifndef PLX_QUIC_CID_H
#define PLX_QUIC_CID_H

#include "quic/limits.h"
#include "quic/wire/frame.h"
#include "quic/wire/ref.h"

#define PLX_CID_SEQ_NONE UINT64_MAX

// --- ours ------------------------------------------------------------------------------------------------------

enum plx_cid_local_state {
    PLX_CID_FREE,
    PLX_CID_TO_SEND,
    PLX_CID_SENT /* announced, on its way */,
    PLX_CID_KNOWN
};

struct plx_cid_local {
    uint64_t seq;
    struct plx_cid cid;
    uint8_t state; // enum plx_cid_local_state
    bool was_sent; // the peer may know it
};

struct plx_cids_local {
    struct plx_cid_local v[PLX_CIDS_LOCAL_MAX];
    uint64_t next_seq;
    uint64_t retire_prior_to; // what we ask the peer to retire
    uint8_t count;
    uint8_t limit; // min(the peer's active_connection_id_limit, PLX_CIDS_LOCAL_MAX - 1)
    bool may_want; // false: none is TO_SEND, and nobody need look
};

// first: the ID of the handshake, sequence number 0 (sections 5.1.1). limit is 2 until set.
void plx_cids_local_init(struct plx_cids_local *l, const struct plx_cid *first);
void plx_cids_local_set_limit(struct plx_cids_local *l, uint64_t peer_active_connection_id_limit);
// The next ID is already known to the peer (preferred_address, sequence number 1).
bool plx_cids_local_add_known(struct plx_cids_local *l, const struct plx_cid *cid);

// How many more IDs the peer has room for. The connection makes that many with the codec and adds each.
unsigned plx_cids_local_room(const struct plx_cids_local *l);
// Takes a new ID, to be announced. False: no room.
bool plx_cids_local_add(struct plx_cids_local *l, const struct plx_cid *cid);
// Rotation: asks the peer to give all IDs issued so far back; the connection then adds new ones (room() says how many). They are still ours until the
// peer retires them. False: the last request has not been answered, or nothing could be issued in place.
bool plx_cids_local_rotate(struct plx_cids_local *l);

// NEW_CONNECTION_ID frames that wait, as many as fit; reset_key makes the tokens (32 octets).
void plx_cids_local_write(struct plx_cids_local *l, struct plx_wr *w, struct plx_refs *refs,
                          const uint8_t *reset_key);
bool plx_cids_local_wants_write(const struct plx_cids_local *l);
void plx_cids_local_on_acked(struct plx_cids_local *l, uint64_t seq);
void plx_cids_local_on_lost(struct plx_cids_local *l, uint64_t seq);

// RETIRE_CONNECTION_ID came, in a packet with this destination ID. Returns 0 or PROTOCOL_VIOLATION. *retired gets the ID that nobody
// uses any more and *has_retired says so (false: it was retired before).
uint64_t plx_cids_local_on_retire(struct plx_cids_local *l, uint64_t seq, const struct plx_cid *packet_dcid,
                                  struct plx_cid *retired, bool *has_retired);

// The sequence number of an ID, PLX_CID_SEQ_NONE when it is not (or no longer) ours.
uint64_t plx_cids_local_find(const struct plx_cids_local *l, const uint8_t *cid, size_t len);
void plx_cids_local_verify(const struct plx_cids_local *l);

// --- the peer's ------------------------------------------------------------------------------------------------

struct plx_cid_peer {
    uint64_t seq;
    struct plx_cid cid;
    uint8_t token[PLX_RESET_TOKEN_LEN];
    bool has_token, is_taken, is_in_use; // is_taken: the slot. is_in_use: some path sends to it
};

enum { PLX_CIDS_PEER_SLOTS = PLX_CIDS_PEER_MAX + PLX_PATHS_MAX }; // paths may still use what was asked back

struct
    plx_cids_peer { // first what every packet asks, and the first ID, which is nearly always the one in use
    uint16_t retired_sent; // a bit for each of retired: on its way
    uint8_t retired_count;
    uint8_t in_use;         // by paths
    uint8_t limit;          // our active_connection_id_limit
    bool is_empty;          // the peer's ID is the empty one: there is only that, for every path
    uint8_t tokens_changed; // counts up whenever the set of reset tokens in use may have changed
    struct plx_cid_peer v[PLX_CIDS_PEER_SLOTS];
    uint64_t retired[PLX_CIDS_RETIRED_MAX]; // RETIRE_CONNECTION_IDs not yet acknowledged: sequence numbers
    uint64_t retire_prior_to;               // the greatest seen
    uint64_t seen_base; // all numbers below were seen, and bit i of seen tells about seen_base + i
    uint64_t seen;
};

// first: where the first packets go, sequence number 0, in use. limit: our active_connection_id_limit, 2..PLX_CIDS_PEER_MAX.
void plx_cids_peer_init(struct plx_cids_peer *p, const struct plx_cid *first, uint64_t limit);
// Client: the server chose its ID (first Initial or Retry): replaces that of sequence number 0, section 7.2.
void plx_cids_peer_set_first(struct plx_cids_peer *p, const struct plx_cid *cid);
// Client: stateless_reset_token of the transport parameters belongs to sequence number 0.
void plx_cids_peer_set_first_token(struct plx_cids_peer *p, const uint8_t token[PLX_RESET_TOKEN_LEN]);
// Client: the ID of preferred_address, sequence number 1.
uint64_t plx_cids_peer_add_preferred(struct plx_cids_peer *p, const struct plx_cid *cid,
                                     const uint8_t token[PLX_RESET_TOKEN_LEN]);

// NEW_CONNECTION_ID came. Returns 0, FRAME_ENCODING_ERROR, PROTOCOL_VIOLATION or CONNECTION_ID_LIMIT_ERROR.
// IDs in use that the peer asks back stay until plx_cids_peer_replace() (see plx_paths_refresh_cids()).
uint64_t plx_cids_peer_on_new(struct plx_cids_peer *p, const struct plx_frame_new_connection_id *f);

// The ID with a sequence number, NULL when there is none.
const struct plx_cid_peer *plx_cids_peer_get(const struct plx_cids_peer *p, uint64_t seq);
// An unused ID for another path; it is in use from now on. NULL: none is left. With an empty ID every path uses number 0.
const struct plx_cid_peer *plx_cids_peer_take(struct plx_cids_peer *p);
bool plx_cids_peer_has_unused(const struct plx_cids_peer *p);
// A path needs it no longer: it is to be retired.
void plx_cids_peer_drop(struct plx_cids_peer *p, uint64_t seq);
// The peer has asked this one back (or it is gone).
bool plx_cids_peer_is_stale(const struct plx_cids_peer *p, uint64_t seq);
// Drops one in use and takes another for the same path, for a change of ID or of path. NULL: none is left; nothing has changed.
const struct plx_cid_peer *plx_cids_peer_replace(struct plx_cids_peer *p, uint64_t seq);

// RETIRE_CONNECTION_ID frames that wait, as many as fit.
void plx_cids_peer_write(struct plx_cids_peer *p, struct plx_wr *w, struct plx_refs *refs);
bool plx_cids_peer_wants_write(const struct plx_cids_peer *p);
void plx_cids_peer_on_acked(struct plx_cids_peer *p, uint64_t seq);
void plx_cids_peer_on_lost(struct plx_cids_peer *p, uint64_t seq);

// Whether a datagram that could not be opened is a stateless reset: it ends with the token of an ID that we use. Constant time.
bool plx_cids_peer_is_reset(const struct plx_cids_peer *p, const uint8_t *dgram, size_t len);
// The tokens that the above compares with, at most PLX_PATHS_MAX. Returns how many.
unsigned plx_cids_peer_tokens(const struct plx_cids_peer *p, uint8_t out[PLX_PATHS_MAX][PLX_RESET_TOKEN_LEN]);
void plx_cids_peer_verify(const struct plx_cids_peer *p);

#endif
