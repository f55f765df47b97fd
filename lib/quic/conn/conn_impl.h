// conn_impl.h -- the inside of a connection: its layout, and what its files do for each other. Nobody outside of conn/ includes this
// (but for the tests that verify and forge).
//
//   conn.c       birth, death, facts          rx.c     begin, number, deliver      frames.c   what each frame means
//   handshake.c  TLS, levels, confirmation    tx.c     datagrams                   packet.c   one packet: header, frames, jobs
//   params.c     transport parameters         keys.c   key phases, limits          timer.c    one deadline out of many
//   first.c      Retry, Version Negotiation   close.c  every kind of end           stash.c    packets that came too early
//   prefetch.c   memory before its time
//   cstream.c    CRYPTO streams               session.c  resumption, tokens        migrate.c  paths and connection IDs
//   early.c      0-RTT
//
// The struct is laid out by who touches it when. What only a handshake needs is another object (struct conn_hs), given back
// when the handshake is confirmed and its last octets are acknowledged; expanded keys are a third one.

#ifndef PLX_QUIC_CONN_IMPL_H
#define PLX_QUIC_CONN_IMPL_H

#include "base/check.h"
#include "base/time.h"
#include "quic/conn/conn.h"
#include "quic/conn/cstream.h"
#include "quic/path/cid.h"
#include "quic/path/cidcodec.h"
#include "quic/path/path.h"
#include "quic/recovery/recovery.h"
#include "quic/stream/streams.h"
#include "quic/wire/error.h"
#include "quic/wire/reset.h"
#include "quic/wire/tparam.h"

enum {
    // early packets kept per connection: a flight of a server with a long certificate chain
    CONN_STASH_MAX = 8,
    CONN_TOKEN_MAX = 1024, // of a token that we keep to send it back; a longer one is not used
    // packets before the confidentiality limit where we close: more than one breath can send
    CONN_SEAL_RESERVE = 1024,
    CONN_ALPN_MAX = 16,        // the name as it is kept for plx_conn_info; ours are a few octets
    CONN_UPDATE_WAIT_PTOS = 3, // RFC 9001 section 6.5: between a confirmed key update and our next one
    // the same section: at most 3; less, so that a peer with another idea of the PTO finds the next keys
    CONN_OLD_KEYS_PTOS = 2,
    // a packet number is skipped every CONN_SKIP_MIN .. + CONN_SKIP_SPAN - 1 packets (section 21.4)
    CONN_SKIP_MIN = 64,
    CONN_SKIP_SPAN = 1024,
    // a datagram of a train that is short by at most this much is filled up, so that all have one length
    CONN_PAD_MAX = 48,
    CONN_ACK_DELAY_EXPONENT = 3, // the default of section 18.2, which we do not change
    CONN_BLACK_HOLE_PTOS = 3,    // probe timeouts in a row after which large datagrams are suspected
};
_Static_assert((int)CONN_OLD_KEYS_PTOS < (int)CONN_UPDATE_WAIT_PTOS,
               "an update must not meet keys that are still kept");
#define CONN_MEANS_WAIT   PLX_MS(1)  // between two looks whether the slab has something again
#define CONN_SHRINK_AFTER PLX_SEC(1) // longer than any pause between the requests of somebody who is busy
#define CONN_REST_AFTER   PLX_SEC(5) // of silence; then expanded keys go back to their pool
#define CONN_TICKET_WAIT  PLX_SEC(5) // a client keeps TLS for so long after the handshake while no ticket came
_Static_assert(CONN_TOKEN_MAX < PLX_DGRAM_MIN - 100,
               "an Initial with the token must have room for CRYPTO octets");

// What waits to be said that no other module remembers: want.
enum conn_want {
    CONN_WANT_CLOSE = 1, // CONNECTION_CLOSE now
    CONN_WANT_PING = 2,
    CONN_WANT_HANDSHAKE_DONE = 4,
    CONN_WANT_NEW_TOKEN = 8,
    CONN_WANT_KEY_UPDATE = 16, // the application asked
};

// What keeps ack-eliciting packets from leaving, as the last attempt to send found out: hold.
enum conn_hold {
    CONN_HOLD_NONE,
    CONN_HOLD_WINDOW /* only an ACK helps */,
    CONN_HOLD_PACE /* until pace_at */,
    CONN_HOLD_ADDRESS, // until octets come
    CONN_HOLD_MEANS, // no memory to remember a packet, or no connection ID to send it to: tried again at pace_at
};

enum conn_event {
    CONN_EV_COMPLETE,
    CONN_EV_CONFIRM,
    CONN_EV_CLOSE,
    CONN_EV_PEER_CLOSE,
    CONN_EV_EXPIRE,
    CONN_EV_COUNT
};
enum { CONN_STATE_COUNT = PLX_CONN_DEAD + 1 };

// --- objects of the pools --------------------------------------------------------------------------------------------

struct conn_keys { // 1-RTT, keys.c
    bool has_both; // after a rest the other one of rx is expanded only when it is asked for, or time is left
    struct plx_hp_key tx_hp, rx_hp;
    struct plx_aead_key tx;
    struct plx_aead_key rx[2]; // by Key Phase bit
};

struct conn_level { // Initial and Handshake
    struct plx_aead_key rx, tx;
    struct plx_hp_key rx_hp, tx_hp;
    bool has_rx, has_tx, is_discarded;
};

enum { CONN_EARLY_APP_MAX = 48 }; // what an application remembers beside the limits: HTTP/3's settings

struct conn_early {          // 0-RTT, early.c
    struct plx_aead_key key; // a client seals with it, a server opens
    struct plx_hp_key hp;
    struct plx_streams_peer then, now; // client: the limits remembered, and those of this handshake
    plx_time until;                    // server: the key is kept so long; NEVER: while there is a handshake
    uint8_t app[CONN_EARLY_APP_MAX];   // client: what the application remembered
    uint8_t app_len;
    bool has_key;
    bool is_offered; // there was a key
    bool is_told;    // on_early was called
};

struct conn_stashed {
    struct plx_pkt pkt; // data points behind this struct
    uint32_t size;      // of the slab block
    bool is_out;        // handed to the engine
};

enum { CONN_HS_SPACES = 2 }; // Initial, Handshake

struct conn_hs {
    struct conn_level level[CONN_HS_SPACES];
    struct conn_early early;
    struct plx_space space[CONN_HS_SPACES];
    struct plx_cstream_tx ctx[PLX_SPACE_COUNT];
    struct plx_cstream_rx crx[PLX_SPACE_COUNT];
    struct plx_tls *tls;
    // where this connection's Initials go first; after a Retry the ID that it named
    struct plx_cid first_dcid;
    struct plx_cid original_dcid; // the client's very first choice: original_destination_connection_id
    struct plx_cid retry_scid;    // retry_source_connection_id, valid with was_retried
    uint8_t *token;               // for our Initials (client), a slab block of CONN_TOKEN_MAX; NULL: none
    uint16_t token_len;
    bool was_retried;
    bool has_peer_scid;    // client: the server's ID is known
    bool has_odcid_route;  // server: first_dcid stands in the engine's table
    bool is_complete;      // TLS said so; conn_handshake_advance() acts upon it
    bool has_session;      // client: a ticket came
    bool has_new_token;    // client: token is of a NEW_TOKEN frame, for the next connection
    bool is_address_known; // client: the server has validated our address (RFC 9002 section 6.2.2.1)
    bool is_peer_params;   // the peer's transport parameters are in
    bool is_processed;     // some packet of the peer was authenticated
    uint8_t stash_count;
    struct conn_stashed *stash[CONN_STASH_MAX];
    plx_time deadline;     // the handshake has to be confirmed by then
    plx_time ticket_until; // client: waiting for a ticket so long; NEVER
    // client: transport parameters in their remembered form, a slab block; for the session
    uint8_t *remembered;
    uint8_t *session; // client: what TLS says and nobody has been told; a slab block of session_len octets
    uint32_t session_len;
    uint16_t remembered_len;
    const char *server_name; // valid during plx_conn_init_client only
};
enum { CONN_REMEMBERED_MAX = 256, CONN_REASON_MAX = sizeof((struct plx_close_info *)NULL)->reason };

// --- the connection --------------------------------------------------------------------------------------------------

struct plx_conn {
    // --- line 0: every received packet ---
    _Alignas(64) struct plx_conn_env *env;
    struct conn_keys *keys;
    struct conn_hs *hs;
    uint64_t rx_phase_first; // lowest number received in the present key phase
    // previous receiving keys are kept until then; NEVER: the other slot holds the next ones
    plx_time old_keys_until;
    plx_time heard_at; // the last packet that was processed
    plx_time now;      // the latest moment that anybody told us
    uint8_t state;     // enum plx_conn_state
    bool is_server;
    bool has_rx_keys, has_tx_keys; // 1-RTT
    uint8_t rx_phase, tx_phase;
    bool is_spin, spin; // RFC 9000 section 17.4: whether we take part, and our value
    // --- line 1: every sent packet ---
    uint64_t tx_phase_first; // first number sealed with the present key
    uint64_t tx_sealed;      // packets sealed with it
    uint64_t tx_restless;    // of them, from which on conn_keys_tick() looks
    uint64_t skip_at;        // the packet number that will not be used
    plx_time pace_at;        // with CONN_HOLD_PACE
    plx_time spoke_at;       // the first ack-eliciting packet since something was heard
    uint16_t want;           // enum conn_want
    uint8_t hold;            // enum conn_hold
    bool has_spoken;         // spoke_at is later than heard_at
    bool is_wound_down;      // streams are gone
    bool is_inside;          // an entry point is on the stack: its end settles things
    uint8_t close_levels;    // bit per space where CONNECTION_CLOSE goes
    uint8_t rx_path;         // index of the path of the packet that is delivered
    uint8_t ptos;            // probe timeouts since something was acknowledged
    bool is_dead_told;       // on_dead was called
    uint8_t tokens_told;     // peer_cids.tokens_changed when on_reset_tokens was called last
    bool is_parked;          // streams that were open when it rested are put away, hibernate.h
    uint16_t payload_max;    // of a validated path: ours and the peer's limits
    uint8_t questions;       // whether the peer is still there, since stream data came
    // --- line 2: counted, or asked, for every packet ---
    uint64_t packets_rx, packets_tx, bytes_rx, bytes_tx, datagrams_rx, datagrams_tx;
    plx_dur idle_timeout; // the smaller of both; 0: none
    plx_time update_from; // a key update may be started from then on; NEVER: the last one is not confirmed
    // --- packets, paths, streams ---
    _Alignas(64) struct plx_space space; // 1-RTT
    struct plx_recovery recovery;
    void *user; // these four are cold, and fill a gap
    plx_dur peer_ack_delay;
    plx_time opened_at, completed_at;
    _Alignas(64) struct plx_streams streams;
    struct plx_paths paths;
    struct plx_cids_local cids;
    struct plx_cids_peer peer_cids;
    uint64_t retransmitted; // STREAM and CRYPTO frames whose octets were queued again
    // --- cold ---
    plx_time end_at;     // closing and draining end; PLX_NEVER: not counted yet
    plx_time pinged_at;  // the last keep-alive, or question whether the peer is still there
    bool is_black_hole;  // large datagrams seem to vanish on this path
    uint64_t rx_failed;  // packets that did not open, RFC 9001 section 6.6
    uint32_t closing_rx; // packets that came while closing
    uint64_t closing_rx_bytes, closing_tx_bytes;
    struct plx_material rx_raw, tx_raw; // what the keys are expanded from again after a rest
    struct plx_secret rx_secret;        // of the next receiving key, and of the present sending one
    struct plx_secret tx_secret;
    const char *cipher, *group;
    char alpn[CONN_ALPN_MAX];
    bool was_resumed;
    uint8_t early; // enum plx_early, once the handshake is complete
    // how it ends: plx_conn_close_info()
    bool has_close, is_close_by_peer;
    uint8_t close_how;
    uint64_t close_code, close_frame_type;
    char *close_reason; // a slab block; NULL: none
};
_Static_assert(offsetof(struct plx_conn, tx_phase_first) == 64, "receiving must fit one line");
_Static_assert(offsetof(struct plx_conn, packets_rx) == 128, "sending must fit one line");
_Static_assert(offsetof(struct plx_conn, space) == 192, "what is counted must fit one line");
_Static_assert(offsetof(struct plx_conn, opened_at) + 16 == offsetof(struct plx_conn, streams),
               "the gap is filled");

// --- state -----------------------------------------------------------------------------------------------------------

bool conn_on_event(struct plx_conn *c, enum conn_event ev); // false: no such arrow
static inline bool conn_is_winding_down(const struct plx_conn *c)
{
    return c->state >= PLX_CONN_CLOSING;
}
static inline bool conn_is_handshaking(const struct plx_conn *c)
{
    return c->state == PLX_CONN_HANDSHAKE;
}
// Not complete, but streams may be used: with 0-RTT packets by a client, with 1-RTT packets by a server that has accepted those.
static inline bool conn_is_early(const struct plx_conn *c)
{
    return c->state == PLX_CONN_HANDSHAKE && c->hs->early.has_key;
}
static inline bool conn_is_complete(const struct plx_conn *c)
{
    return c->state == PLX_CONN_ESTABLISHED || c->state == PLX_CONN_CONFIRMED;
}
// For streams that are put away, should they be needed.
static inline bool conn_has_room(struct plx_conn *c)
{
    return !c->is_parked || c->env->events->can_unpark(c->env->events_arg, c);
}
static inline void conn_wake(struct plx_conn *c)
{
    if (!c->is_inside)
        c->env->events->on_wake(c->env->events_arg, c);
}
// The space of an enum plx_space_id; NULL when its keys are gone.
static inline struct plx_space *conn_space(struct plx_conn *c, enum plx_space_id id)
{
    if (id == PLX_SPACE_APP)
        return &c->space;
    return c->hs != NULL && !c->hs->level[id].is_discarded ? &c->hs->space[id] : NULL;
}
static inline void conn_spaces(const struct plx_conn *c, struct plx_space *out[PLX_SPACE_COUNT])
{
    for (int i = 0; i < PLX_SPACE_COUNT; i++)
        out[i] = conn_space((struct plx_conn *)(uintptr_t)c, (enum plx_space_id)i);
}
static inline enum plx_space_id conn_level_space(enum plx_level level)
{
    return level == PLX_LEVEL_INITIAL     ? PLX_SPACE_INITIAL
           : level == PLX_LEVEL_HANDSHAKE ? PLX_SPACE_HANDSHAKE
                                          : PLX_SPACE_APP;
}

// Every entry point from outside is between these two. leave() acts upon what happened inside: winds down, discards, tells.
void conn_settle(struct plx_conn *c);
static inline void conn_enter(struct plx_conn *c, plx_time now)
{
    plx_check(!c->is_inside); // callbacks must not call back into the engine's side of a connection
    c->is_inside = true;
    if (plx_time_lt(c->now, now))
        c->now = now;
}
static inline void conn_leave(struct plx_conn *c)
{
    if (conn_is_winding_down(c) || c->tokens_told != c->peer_cids.tokens_changed)
        conn_settle(c);
    c->is_inside = false;
}

// --- early.c ---------------------------------------------------------------------------------------------------------

struct conn_session {
    struct plx_span token, params, app, tls;
};
void conn_early_on_secret(struct plx_conn *c, bool is_tx, const struct plx_secret *s);
void conn_early_tell(struct plx_conn *c); // on_early, once
size_t conn_early_context_write(struct plx_conn *c, uint8_t *out, size_t cap);
bool conn_early_accepts(struct plx_conn *c, const char *alpn, const uint8_t *context, size_t len);
// Client. False: the session remembers too little.
bool conn_early_remember(struct plx_conn *c, const struct conn_session *s);
void conn_early_begin(struct plx_conn *c);
void conn_early_on_params(struct plx_conn *c, const struct plx_tparams *t);
bool conn_early_complete(struct plx_conn *c, plx_time now); // false: the connection has failed
void conn_early_discard(struct plx_conn *c);
bool conn_early_can_open(const struct plx_conn *c);
bool conn_early_is_awaited(const struct plx_conn *c); // its key may still come

// --- keys.c ----------------------------------------------------------------------------------------------------------

void conn_keys_initial(struct plx_conn *c, const struct plx_cid *dcid);
bool conn_keys_install(struct plx_conn *c, enum plx_level level, bool is_tx,
                       const struct plx_secret *s); // false: no key object
void conn_keys_discard(struct plx_conn *c, enum plx_space_id space);
bool conn_keys_can_open(const struct plx_conn *c, enum plx_space_id space);
bool conn_keys_can_seal(const struct plx_conn *c, enum plx_space_id space);
void conn_keys_next(struct plx_conn *c); // the other receiving key, if it is not there yet
const struct plx_hp_key *conn_keys_rx_hp(const struct plx_conn *c, enum plx_space_id space);
const struct plx_aead_key *conn_keys_rx(const struct plx_conn *c, enum plx_space_id space, uint8_t phase);
// A 1-RTT packet opened. False: the connection has failed.
bool conn_keys_on_opened(struct plx_conn *c, uint8_t phase, uint64_t pn, plx_time now);
bool conn_keys_on_open_failed(struct plx_conn *c, enum plx_space_id space, uint8_t phase, uint64_t pn,
                              plx_time now);
void conn_keys_on_acked(struct plx_conn *c, plx_time now); // 1-RTT packets were acknowledged
void conn_keys_tick(struct plx_conn *c, plx_time now);     // outside of the send phase only
// Whether the tick might find something to do: asked for each packet, so it only compares.
static inline bool conn_keys_are_restless(const struct plx_conn *c, plx_time now)
{
    return (c->want & CONN_WANT_KEY_UPDATE) != 0 || plx_time_reached(c->old_keys_until, now) ||
           c->tx_sealed >= c->tx_restless;
}
// Expanded keys are most of an idle connection: they go, and are made again from the secrets when something comes or leaves.
bool conn_keys_can_rest(const struct plx_conn *c);
void conn_keys_rest(struct plx_conn *c);
bool conn_keys_awake(struct plx_conn *c); // false: the pool is empty, or there are no keys yet
void conn_keys_release(struct plx_conn *c);

// --- handshake.c, params.c, first.c, session.c --------------------------------------------------------------------------

bool conn_tls_open(struct plx_conn *c, struct plx_tls_ctx *ctx, struct plx_span session, bool wants_early);
void conn_tls_close(struct plx_conn *c);
void conn_alpn_set(struct plx_conn *c, const char *alpn);
uint64_t conn_on_crypto(struct plx_conn *c, enum plx_level level, const struct plx_frame_crypto *f);
void conn_handshake_advance(struct plx_conn *c, plx_time now); // acts upon what TLS has said
void conn_handshake_confirm(struct plx_conn *c, plx_time now);
void conn_handshake_settle(struct plx_conn *c, plx_time now); // frees what is no longer needed
void conn_handshake_release(struct plx_conn *c);              // the whole object
void conn_on_validated(struct plx_conn *c);                   // the active path's address is true

void conn_params_ours(const struct plx_conn *c, struct plx_tparams *t);
size_t conn_params_write(struct plx_conn *c, uint8_t *out, size_t cap); // 0: does not fit
bool conn_params_read(struct plx_conn *c, const uint8_t *data, size_t len);

enum plx_rx_step conn_on_retry(struct plx_conn *c, const struct plx_rx *rx, plx_time now);
enum plx_rx_step conn_on_version_negotiation(struct plx_conn *c, const struct plx_rx *rx);
bool conn_token_set(struct plx_conn *c, const uint8_t *token, size_t len);

void conn_session_keep(struct plx_conn *c, const uint8_t *tls,
                       size_t len); // until the packet that brought it is through
void conn_session_emit(struct plx_conn *c);
void conn_session_forget(struct plx_conn *c);
bool conn_session_read(const void *blob, size_t len, struct conn_session *out);
uint64_t conn_on_new_token(struct plx_conn *c, const struct plx_frame_new_token *f);
bool conn_new_token_write(struct plx_conn *c, struct plx_wr *w, struct plx_refs *refs, plx_time now);

// --- stash.c -----------------------------------------------------------------------------------------------------------

bool conn_stash_is_mine(const struct plx_conn *c, const struct plx_pkt *pkt);
void conn_stash_clear(struct plx_conn *c);

// --- frames.c ----------------------------------------------------------------------------------------------------------

struct conn_delivery { // what the frames of one packet amount to
    struct plx_rx *rx;
    enum plx_space_id space;
    bool is_eliciting, is_probing_only;
};
// False: the connection has failed or ended.
bool conn_frames_deliver(struct plx_conn *c, struct conn_delivery *d, const uint8_t *payload, size_t len,
                         plx_time now);

// --- packet.c, tx.c ----------------------------------------------------------------------------------------------------

struct conn_build { // one packet under construction
    struct plx_pkt_built hdr;
    struct plx_wr w; // behind the last frame; its end leaves room for the tag
    uint8_t *payload;
    uint64_t pn;
    uint8_t space; // enum plx_space_id
    bool is_long;  // its header: all but 1-RTT
    bool is_eliciting, is_in_flight;
    struct plx_refs refs;
};

struct conn_dgram { // one datagram under construction
    struct plx_pkt *pkt;
    struct plx_path *path;
    uint16_t room; // octets that it may have
    uint16_t len;  // octets of finished packets
    uint8_t count; // packets
    bool is_1200;  // it has to be padded
    struct conn_build b[PLX_SPACE_COUNT];
};

// Begins a packet behind those of dg; NULL: no room, or no connection ID to send to.
struct conn_build *conn_packet_begin(struct plx_conn *c, struct conn_dgram *dg, enum plx_space_id space);
// The packet that was begun last holds nothing: as if it had not been begun.
void conn_packet_cancel(struct conn_dgram *dg);
// The packet that was begun last is closed: no further frame. The datagram goes on behind it.
void conn_packet_close(struct conn_dgram *dg);
// Pads, seals (as jobs), records, and hands the datagram over. Returns false when nothing could be sent (no memory).
bool conn_dgram_finish(struct plx_conn *c, struct conn_dgram *dg, struct plx_tx *tx, bool is_filled,
                       plx_time now);
static inline size_t conn_build_len(const struct conn_build *b)
{
    return (size_t)(b->w.p - b->hdr.first);
}
bool conn_has_frames(const struct plx_conn *c); // anything that is not stream data, an ACK or a close

// --- timer.c -----------------------------------------------------------------------------------------------------------

void conn_timer_on_heard(struct plx_conn *c, plx_time now);
plx_dur conn_pto(
    const struct plx_conn *c); // of the application space, or of the handshake as long as it lasts
bool conn_is_amplification_limited(const struct plx_conn *c);

// --- close.c -----------------------------------------------------------------------------------------------------------

// The connection fails with a transport error: later failures are echoes of the first. why: a constant sentence.
void conn_fail(struct plx_conn *c, uint64_t code, uint64_t frame_type, const char *why);
void conn_on_peer_close(struct plx_conn *c, const struct plx_frame_close *f);
void conn_on_stateless_reset(struct plx_conn *c);
void conn_expire(struct plx_conn *c, int how); // dies without a word: idle, timeouts, version
void conn_expire_lost(struct plx_conn *c);     // likewise: no path is left
void conn_end_begin(struct plx_conn *c);       // its time counts from now, if it does not yet
void conn_reason_forget(struct plx_conn *c);   // its words
void conn_wind_down(struct plx_conn *c);       // gives back what closing and draining do not need
void conn_on_packet_while_closing(struct plx_conn *c, const struct plx_rx *rx);
bool conn_tx_close(struct plx_conn *c, struct plx_tx *tx, plx_time now);

// --- migrate.c ---------------------------------------------------------------------------------------------------------

void conn_on_path_event(struct plx_conn *c, enum plx_path_event ev);
void conn_cids_fill(struct plx_conn *c); // issues as many connection IDs as the peer has room for
// Asks the peer to give back all that it has, for others, and sends to another of the peer's. False: not now.
bool conn_cids_rotate(struct plx_conn *c);
bool conn_cid_new(struct plx_conn *c,
                  struct plx_cid *out); // one that the engine accepts; false: it accepts none
uint64_t conn_on_new_connection_id(struct plx_conn *c, const struct plx_frame_new_connection_id *f);
uint64_t conn_on_retire_connection_id(struct plx_conn *c, const struct plx_frame_retire_connection_id *f,
                                      const struct plx_cid *dcid);
void conn_path_mtu_update(struct plx_conn *c);

#endif
