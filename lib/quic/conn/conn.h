// conn.h -- one QUIC connection, sans-I/O: what the engine sees of it (RFC 9000, 9001, 9002).
//
// Nothing here reads a clock, sleeps, encrypts, or allocates by malloc. Time and packets come in; plaintext packets, jobs for
// masks and seals, and a deadline come out. Receiving takes three steps so that the engine can run the cryptography of a whole
// burst between them; sending writes plaintext packets into buffers that the engine took from the port and leaves one job each.
//
//   engine: parse header, find connection ─► plx_conn_rx_begin ─► masks ─► plx_conn_rx_number ─► opens ─► plx_conn_rx_deliver
//   engine: for each connection with something to say: plx_conn_tx ─► seals ─► masks ─► plx_tx_apply_masks ─► port
//
// Everything belongs to one core. Objects come from the pools of plx_conn_env, which all connections of a core share.

#ifndef PLX_QUIC_CONN_H
#define PLX_QUIC_CONN_H

#include <plx/conn.h>
#include <plx/port.h>

#include "crypto/keys.h"
#include "quic/wire/packet.h"
#include "tls/tls.h"

struct plx_pool;
struct plx_slab;
struct plx_token_keys; // quic/wire/token.h
struct plx_cid_codec;  // quic/path/cidcodec.h

// --- settings ----------------------------------------------------------------------------------------------

enum plx_cc_alg { PLX_CC_CUBIC, PLX_CC_NEWRENO };

// The same for all connections of an engine and role. plx_quic_cfg_init() gives the defaults.
struct plx_quic_cfg {
    plx_dur idle_timeout;               // max_idle_timeout; 30 s
    plx_dur handshake_timeout;          // 10 s
    plx_dur keep_alive;                 // 0: none. PING when nothing was heard for so long
    plx_dur max_ack_delay;              // 25 ms, announced and kept
    uint64_t conn_window;               // initial_max_data; 1 MiB
    uint64_t conn_window_max;           // ceiling of auto-tuning; 64 MiB
    uint64_t stream_window;             // initial_max_stream_data_*; 256 KiB
    uint64_t stream_window_max;         // 16 MiB
    uint32_t streams_bidi, streams_uni; // concurrent streams the peer may have open; 128, 8 (h3 needs 3)
    enum plx_cc_alg cc;
    uint32_t initial_cwnd_packets; // 10, RFC 9002 section 7.2
    bool no_hystart, no_pacing, no_ecn;
    // largest UDP payload to send once the path has been probed; from the port's caps (PMTU probing comes
    // later: until then packets are min(this, peer's max_udp_payload_size, 1200 before validation … see path.h))
    uint16_t payload_max;
    // we update keys after so many packets sealed with one key; 0 (default) and anything above: half of
    // the AEAD's confidentiality limit (RFC 9001 section 6.6)
    uint64_t key_update_packets;
    uint8_t active_cid_limit; // active_connection_id_limit we announce; 4
    uint8_t cid_len;          // of the IDs that we issue: 8 (plain codec: octet 0 is the core)
    // application error code for streams that find a pool empty; 0 (HTTP/3: H3_REQUEST_REJECTED)
    uint64_t refuse_code;
    bool is_spin; // latency spin bit (RFC 9000 section 17.4) on one in 16 disabled as it demands; default off
    bool no_migration; // disable_active_migration
    bool early_data; // server: 0-RTT is accepted, where accepts_early agrees. tls_server was made for it, too
};
void plx_quic_cfg_init(struct plx_quic_cfg *cfg);

// --- what a core's connections share -----------------------------------------------------------------------

struct plx_conn_events;

struct plx_conn_stats { // written by the core only, read by others as relaxed counters
    uint64_t conns_opened, conns_closed, handshakes_ok, handshakes_failed, resumed, key_updates,
        cid_rotations;
    uint64_t packets_rx, packets_tx, packets_lost, spurious_lost, ptos, acks_only_tx, streams_opened,
        streams_closed;
    uint64_t early_accepted, early_refused; // handshakes with early data
    uint64_t retransmitted_bytes, migrations, cc_events, persistent_congestions, ecn_validation_failed;
};

struct plx_conn_env {
    const struct plx_quic_cfg *cfg;
    const struct plx_aead_backend *aead;
    struct plx_tls_ctx *tls_server, *tls_client; // either may be NULL
    const struct plx_conn_events *events;
    void *events_arg;
    // objects of plx_conn_handshake_size(): one per connection until it is confirmed
    struct plx_pool *handshakes;
    struct plx_pool *keys;    // objects of plx_conn_keys_size(): expanded tables of both directions
    struct plx_pool *streams; // objects of plx_conn_stream_size()
    struct plx_slab *slab;    // rings and buffers
    // shared by all cores, read-only between rotations; NULL: no NEW_TOKEN is sent
    const struct plx_token_keys *token_keys;
    const uint8_t *reset_key; // 32 octets: stateless reset tokens are PRF(reset_key, cid)
    // Unpredictable octets (seeded generator of the core; deterministic in simulation).
    void (*random)(void *arg, void *out, size_t len);
    void *random_arg;
    uint8_t core; // goes into every connection ID we issue
    // makes our connection IDs (quic/path/cidcodec.h); NULL: plain, cid_len octets, epoch 0
    const struct plx_cid_codec *cid_codec;
    struct plx_conn_stats stats;
};

// From the connection to whoever sits above. Called from inside rx_deliver, on_timeout and tx; must not free the connection.
struct plx_conn_events {
    // Server: early data was accepted. Client: early data may be sent (app is what early_context said when the session was made); from inside
    // plx_conn_tx. Streams may be opened and used from now on; on_open follows when the handshake is complete, with the verdict in
    // plx_conn_info. alpn is there, too.
    void (*on_early)(void *arg, struct plx_conn *c, const uint8_t *app, size_t len);
    // What early data relies on besides the transport's limits: a server's own settings, for a ticket; those that a client has heard of
    // the server, for its session. At most cap octets (48); returns how many.
    size_t (*early_context)(void *arg, struct plx_conn *c, uint8_t *out, size_t cap);
    // Server: early data is offered for a protocol; app is what early_context said when the ticket was made.
    bool (*accepts_early)(void *arg, struct plx_conn *c, const char *alpn, const uint8_t *app, size_t len);
    // Server and client: the handshake is complete, application data may flow. alpn is in plx_conn_info.
    void (*on_open)(void *arg, struct plx_conn *c);
    void (*on_stream)(void *arg, struct plx_conn *c, struct plx_stream *s);
    size_t (*on_data)(void *arg, struct plx_conn *c, struct plx_stream *s, const uint8_t *data, size_t len,
                      bool fin);
    void (*on_reset)(void *arg, struct plx_conn *c, struct plx_stream *s, uint64_t code);
    void (*on_stop_sending)(void *arg, struct plx_conn *c, struct plx_stream *s, uint64_t code);
    void (*on_writable)(void *arg, struct plx_conn *c, struct plx_stream *s);
    void (*on_stream_closed)(void *arg, struct plx_conn *c, struct plx_stream *s);
    void (*on_streams_available)(void *arg, struct plx_conn *c, bool is_uni);
    // Client: everything needed to resume (TLS session and remembered transport parameters), one opaque blob; and NEW_TOKEN tokens.
    void (*on_session)(void *arg, struct plx_conn *c, const void *session, size_t len);
    void (*on_new_token)(void *arg, struct plx_conn *c, const uint8_t *token, size_t len);
    // The state has become DEAD: no further call concerns c; the engine frees it after the burst.
    // plx_conn_close_info() says how it ended.
    void (*on_dead)(void *arg, struct plx_conn *c);
    // The engine keeps the table of connection IDs. false from on_cid_issued (collision, table full): another is tried.
    // On a server this includes the client's first choice (hdr.dcid of plx_conn_init_server, any length up to 20): it is issued from inside
    // init_server, where false makes init fail, and retired when the Initial keys go.
    bool (*on_cid_issued)(void *arg, struct plx_conn *c, const struct plx_cid *cid);
    void (*on_cid_retired)(void *arg, struct plx_conn *c, const struct plx_cid *cid);
    // The connection has something to send, or its deadline may have come earlier: the engine puts it on its list. Cheap, idempotent.
    void (*on_wake)(void *arg, struct plx_conn *c);
    // The stateless reset tokens of the peer that concern c now (RFC 9000 section 10.3.1): these and no others, at most PLX_PATHS_MAX.
    // A reset carries no connection ID that means anything, so the engine finds the connection by the token. May be NULL.
    void (*on_reset_tokens)(void *arg, struct plx_conn *c, const uint8_t (*tokens)[16], unsigned count);
    // After plx_conn_park() only. Its streams are needed (plx_conn_unpark); false: there are no objects for them, and whoever needs them has to do without,
    // which a peer's frame cannot: the connection ends. So before one that rests does anything it is asked whether there are some.
    bool (*on_unpark)(void *arg, struct plx_conn *c);
    bool (*can_unpark)(void *arg, struct plx_conn *c);
    // After plx_conn_want_messages() only, in place of on_stream and on_data: a new stream of two directions, and all that the peer says on it.
    size_t (*on_message)(void *arg, struct plx_conn *c, struct plx_stream *s, const uint8_t *data,
                         size_t len);
    // The same at a client, in place of on_data: all that the peer says on a stream of two directions of ours.
    size_t (*on_answer)(void *arg, struct plx_conn *c, struct plx_stream *s, const uint8_t *data, size_t len);
};

size_t plx_conn_size(void); // octets of struct plx_conn; the engine's own object begins with one. 64-aligned
size_t plx_conn_handshake_size(void);
size_t plx_conn_keys_size(void);
size_t plx_conn_stream_size(void);

// --- birth and death ---------------------------------------------------------------------------------------

enum plx_conn_state {
    PLX_CONN_HANDSHAKE,
    PLX_CONN_ESTABLISHED /* complete, not confirmed */,
    PLX_CONN_CONFIRMED,
    PLX_CONN_CLOSING,
    PLX_CONN_DRAINING,
    PLX_CONN_DEAD
};

// A server connection for a valid Initial (the engine has checked version, size and token; it delivers the packet afterwards by the usual steps).
// odcid: from the Retry token when one was validated, else hdr->dcid. is_validated: the token proves the address. false: a pool is empty.
bool plx_conn_init_server(struct plx_conn *c, struct plx_conn_env *env, const struct plx_pkt_hdr *hdr,
                          const struct plx_cid *odcid, bool was_retried, bool is_validated,
                          const struct plx_pkt *pkt, plx_time now);

struct plx_conn_client_cfg {
    const char *server_name;
    struct plx_addr peer, local; // local af NONE: the port chooses
    const void *session;
    size_t session_len; // from on_session
    const uint8_t *token;
    size_t token_len; // from on_new_token
    bool early_data;  // send early data if the session allows it
};
bool plx_conn_init_client(struct plx_conn *c, struct plx_conn_env *env, const struct plx_conn_client_cfg *cfg,
                          plx_time now);

// From now on what comes in one frame on a new stream comes in one event: on_message at a server, on_answer at a client, where streams without a user end untold.
void plx_conn_want_messages(struct plx_conn *c);
// A client's: a new stream of two directions on which buf is all that we say, with its user pointer. NULL: it is not that simple now, and
// nothing was done; plx_stream_open() and plx_stream_send() tell why, or do it.
struct plx_stream *plx_conn_ask(struct plx_conn *c, const struct plx_buf *buf, void *user);

// Gives everything back to the pools, retires all connection IDs, releases owners. Any state; on_dead is not called.
void plx_conn_fini(struct plx_conn *c);

// --- receive -----------------------------------------------------------------------------------------------

// One QUIC packet on its way through the receive phases. The engine fills the first group.
struct plx_rx {
    struct plx_pkt *pkt;    // the datagram it came in, borrowed until deliver returns
    uint8_t *p;             // first octet of this QUIC packet within it
    struct plx_pkt_hdr hdr; // parsed from p (wire/packet.h); hdr.pkt_len octets at p belong to it
    // UDP payload octets of the datagram, counted once: 0 for its second and later QUIC packets
    uint16_t dgram_len;
    // filled by begin and number
    uint64_t pn;
    uint8_t level; // enum plx_level
    uint8_t key_phase;
    uint8_t pn_len;
};

enum plx_rx_step {
    PLX_RX_GO,    // go on with the next step
    PLX_RX_LATER, // no keys for this level yet: offer it again after other packets of the burst were delivered
    PLX_RX_DONE,  // no further step: delivered, or consumed here (Retry, Version Negotiation, reset, closing)
    PLX_RX_DROP_KEYS, // dropped; the rest name the reason for the engine's counters
    PLX_RX_DROP_AUTH,
    PLX_RX_DROP_DUPLICATE,
    PLX_RX_DROP_INVALID,
    PLX_RX_DROP_STATE,
    PLX_RX_DROP_VERSION,
    PLX_RX_DROP_RESERVED_BITS,
    PLX_RX_DROP_NO_ROOM, // it rests, and there are no objects for its keys or streams
};

// What a packet touches, on its way into the cache (prefetch.c): in this order, a packet or more ahead of its turn, each step behind the one
// before it. Worth it for other connections than the one that is worked on, when there are more than a cache holds.
void plx_conn_prefetch_head(const struct plx_conn *c);
void plx_conn_prefetch_rx_keys(const struct plx_conn *c, size_t text_len);
void plx_conn_prefetch(const struct plx_conn *c);
void plx_conn_prefetch_rings(const struct plx_conn *c);
void plx_conn_prefetch_stream(const struct plx_conn *c);
const void *plx_conn_last_user(
    const struct plx_conn *c); // of the stream that the client opened last; NULL: none
void plx_conn_prefetch_tx_keys(const struct plx_conn *c);
enum plx_rx_step plx_conn_rx_begin(struct plx_conn *c, struct plx_rx *rx, struct plx_mask_job *job,
                                   plx_time now);
enum plx_rx_step plx_conn_rx_number(struct plx_conn *c, struct plx_rx *rx, const struct plx_mask_job *mask,
                                    struct plx_aead_job *job);
// job.is_ok decides. A stateless reset is recognised here too (RFC 9000 section 10.3.1: packets that cannot be opened).
enum plx_rx_step plx_conn_rx_deliver(struct plx_conn *c, struct plx_rx *rx, const struct plx_aead_job *job,
                                     plx_time now);
// A datagram that no connection ID leads to c, though its end may be a token that on_reset_tokens told of. True: it was a stateless reset.
bool plx_conn_rx_reset(struct plx_conn *c, const uint8_t *dgram, size_t len, plx_time now);
// A packet that stayed LATER to the end of the burst: kept (copied into a slab block, a few per connection) and replayed when its keys come:
// the engine asks after each burst of a connection in handshake. Returns false when it was not kept (count it as DROP_KEYS).
bool plx_conn_rx_stash(struct plx_conn *c, const struct plx_rx *rx, plx_time now);
// The next stashed packet whose keys are there now, as a datagram for the usual steps; NULL when none. Give it back afterwards. Ask after
// every deliver, whatever the state: a server is confirmed at the very moment from which on it takes early 1-RTT packets. Free when nothing is kept.
struct plx_pkt *plx_conn_rx_unstash(struct plx_conn *c);
void plx_conn_rx_unstash_done(struct plx_conn *c, struct plx_pkt *pkt);

// --- send --------------------------------------------------------------------------------------------------

// One breath's outgoing packets. The engine owns it, fills spare[] from the port, and after all connections have written runs the jobs.
struct plx_tx_mask {
    uint8_t *first, *pn;
    uint8_t pn_len;
};
struct plx_tx {
    struct plx_pkt **spare; // empty buffers; spare_count left; taken from the end
    uint16_t spare_count;
    struct plx_pkt *
        *out; // finished datagrams in order: data, len, ecn, addresses, time set. len includes tags
    uint16_t out_count, out_max;
    struct plx_aead_job *seals;  // one per QUIC packet
    struct plx_mask_job *masks;  // same index; sample points into the sealed text
    struct plx_tx_mask *headers; // same index
    uint16_t job_count, job_max;
};

// Writes what the connection has to say (jobs point at its keys and at tx's buffers: run them before any other call but plx_conn_tx on it): at most dgrams_max datagrams. Returns true when it has more to say now (budget, spare or jobs ran out;
// not when congestion, pacing or amplification limits hold it: those set the deadline).
bool plx_conn_tx(struct plx_conn *c, struct plx_tx *tx, uint16_t dgrams_max, plx_time now);
// After seal and mask jobs ran: header protection is applied to every packet of tx.
void plx_tx_apply_masks(struct plx_tx *tx);

// --- time --------------------------------------------------------------------------------------------------

// The earliest moment at which on_timeout or tx must be called, PLX_NEVER when none. O(1).
plx_time plx_conn_deadline(const struct plx_conn *c);
// Call when the deadline has been reached; then ask plx_conn_tx.
void plx_conn_on_timeout(struct plx_conn *c, plx_time now);

enum plx_conn_state plx_conn_state(const struct plx_conn *c);
// How it ends or ended, from PLX_CONN_CLOSING on; before, as if the program had closed it.
void plx_conn_close_info(const struct plx_conn *c, struct plx_close_info *out);
bool plx_conn_wants_tx(const struct plx_conn *c); // something may be sent at once
// Deep invariants; tests, simulation and fuzzers only.
void plx_conn_verify(const struct plx_conn *c);

#endif
