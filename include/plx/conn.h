// plx/conn.h -- a QUIC connection (RFC 9000) and its streams, for programs that speak their own protocol over
// it.
//
// HTTP/3 programs need plx/h3.h instead and meet this file only for addresses, statistics and closing.
// Everything here is for the core that owns the connection; the events are called on it, from inside the
// receive or timer phase, and must not block.

#ifndef PLX_CONN_H
#define PLX_CONN_H

#include <plx/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct plx_conn;
struct plx_stream;

// How a connection ended.
struct plx_close_info {
    enum {
        PLX_CLOSE_TRANSPORT,
        PLX_CLOSE_APPLICATION,
        PLX_CLOSE_IDLE,
        PLX_CLOSE_STATELESS_RESET,
        PLX_CLOSE_HANDSHAKE_TIMEOUT,
        PLX_CLOSE_VERSION
    } how;
    uint64_t code;       // transport (RFC 9000 section 20.1) or application error code
    uint64_t frame_type; // transport: the frame that raised it, 0 if unknown
    bool is_peer;        // the peer closed
    char reason[128];    // UTF-8 as far as the peer can be trusted; may be empty. For people.
};

// What became of early data (0-RTT).
enum plx_early {
    PLX_EARLY_NONE,    // none was offered, or the handshake is not complete
    PLX_EARLY_REFUSED, // what was sent early was sent again
    PLX_EARLY_ACCEPTED
};

// Facts about a connection. Times are zero until measured.
struct plx_conn_info {
    struct plx_addr local, peer;
    uint32_t version;
    const char *cipher, *group, *alpn; // static strings ("" before the handshake is complete)
    bool was_resumed, is_confirmed;
    enum plx_early early;
    plx_dur rtt, rtt_min, rtt_var;
    plx_dur handshake; // from the first packet to completion
    uint64_t cwnd, bytes_in_flight;
    // bytes: UDP payload
    uint64_t packets_rx, packets_tx, packets_lost, packets_retransmitted, bytes_rx, bytes_tx;
    uint64_t datagrams_rx, datagrams_tx;
    uint64_t ecn_ce; // CE marks the peer has reported
    uint16_t mtu;    // largest UDP payload in use
    uint8_t core;
};

// Events of raw QUIC connections (those whose ALPN is not h3). Any may be NULL.
struct plx_conn_handler {
    void *ctx;
    void (*on_open)(struct plx_conn *conn); // the handshake is complete: streams may be opened
    // The peer opened a stream, or (client) nothing: our own streams are known from plx_stream_open.
    void (*on_stream)(struct plx_stream *stream);
    // In-order octets; returns how many were taken; the rest is kept (and the peer held back) until
    // plx_stream_resume(). fin: nothing follows data+len.
    size_t (*on_data)(struct plx_stream *stream, const uint8_t *data, size_t len, bool fin);
    void (*on_reset)(struct plx_stream *stream, uint64_t code); // the peer gave up sending
    // the peer does not want ours: it was reset with that code
    void (*on_stop_sending)(struct plx_stream *stream, uint64_t code);
    void (*on_writable)(struct plx_stream *stream);      // after PLX_ERR_AGAIN, or as plx_stream_notify asked
    void (*on_stream_closed)(struct plx_stream *stream); // last call for it: forget the pointer
    void (*on_streams_available)(struct plx_conn *conn); // the peer raised a stream limit
    // client: for plx_connect_cfg.session later
    void (*on_session)(struct plx_conn *conn, const void *session, size_t len);
    // last call for the connection
    void (*on_close)(struct plx_conn *conn, const struct plx_close_info *info);
};

// --- connections -------------------------------------------------------------------------------------------
//
// All functions of this file: on the core that owns the connection, from any callback, until on_close (for a
// connection) or on_stream_closed (for a stream) has returned. None blocks, none allocates outside of the
// core's pools, and none calls the handler from inside. Cost: O(1) where nothing else is said.

// The program's own pointer. NULL on a server until it is set; on a client what plx_connect_cfg.user says.
PLX_API void *plx_conn_user(const struct plx_conn *conn);
// Pollux never looks at it and never frees it.
PLX_API void plx_conn_set_user(struct plx_conn *conn, void *user);

// The ctx of the handler that hears of this connection (plx_conn_handler, or plx_h3_handler with HTTP/3).
PLX_API void *plx_conn_ctx(const struct plx_conn *conn);

// Facts of this moment, copied to out. Its strings are static.
PLX_API void plx_conn_info(const struct plx_conn *conn, struct plx_conn_info *out);

// True when the peer began this connection.
PLX_API bool plx_conn_is_server(const struct plx_conn *conn);

// Ends the connection at once, with all its streams.
//
// code: application error code, below 2^62. reason: UTF-8 for people, copied, may be NULL; what does not fit
// into 127 octets is cut. on_close follows later. On a connection that is ending already it does nothing.
// See: RFC 9000 sections 10.2, 19.19
PLX_API void plx_conn_close(struct plx_conn *conn, uint64_t code, const char *reason);

// Sends a PING in this breath: keep-alive by hand, or to learn whether the peer is there. Nothing on a
// connection that is ending.
// See: RFC 9000 sections 10.1.2, 19.2
PLX_API void plx_conn_ping(struct plx_conn *conn);

// Starts a key update.
//
// Returns:  PLX_OK          it happens before the next packet is sent
//           PLX_ERR_AGAIN   the handshake is not confirmed, or an update is under way: try again some round
//                           trips later
//           PLX_ERR_CLOSED  the connection is ending
// Cost:     one key derivation (microseconds), later in the breath.
// See:      RFC 9001 section 6
PLX_API PLX_MUST_USE enum plx_err plx_conn_update_keys(struct plx_conn *conn);

// Changes the connection IDs in both directions: new ones of ours are issued and the peer is asked to retire all others, and we send to
// another one of the peer's, if it has given us one to spare. An observer cannot link packets before and after by them. Happens by itself
// with every key update that we start.
//
// Returns:  PLX_OK          the frames go out in this breath or the next; the old ones are ours until the peer retires them
//           PLX_ERR_AGAIN   the handshake is not confirmed, or the peer has not yet done what was asked last time: try again some
//                           round trips later
//           PLX_ERR_CLOSED  the connection is ending
// Cost:     a few random octets and a table entry for each ID.
// See:      RFC 9000 sections 5.1.1, 5.1.2, 19.15
PLX_API PLX_MUST_USE enum plx_err plx_conn_rotate_cids(struct plx_conn *conn);

// --- streams -----------------------------------------------------------------------------------------------

// Opens a stream of ours; nothing is sent until there is something to send. *out is Pollux's, good until
// on_stream_closed.
//
// Returns:  PLX_OK          *out is open
//           PLX_ERR_AGAIN   the peer's limit is reached, or the handshake is not complete; wait for
//                           on_streams_available (on_open)
//           PLX_ERR_CLOSED  the connection is ending
//           PLX_ERR_NOMEM   no stream object left: streams_max is too small for this load; try when another
//                           stream has closed
// See:      RFC 9000 sections 2.1, 4.6
PLX_API PLX_MUST_USE enum plx_err plx_stream_open(struct plx_conn *conn, bool is_uni,
                                                  struct plx_stream **out);

// Queue octets on a stream.
//
// Copies nothing: buf is borrowed until its owner's release (acknowledged, reset, or connection gone). Octets
// beyond the peer's flow-control credit are accepted and wait. fin: the stream ends behind them; len 0 with
// fin ends it.
// Returns:  PLX_OK          all queued
//           PLX_ERR_AGAIN   nothing queued, the queue of buffers is full; wait for on_writable
//           PLX_ERR_CLOSED  sending side finished or reset; the data was not taken, its owner was not called
//           PLX_ERR_NOMEM   nothing queued, no memory for a queue: buffer_memory is too small for this load;
//                           reset the stream or try later (no event tells when)
// Cost:     O(1), no allocation.  See: RFC 9000 sections 2.2, 4.1
PLX_API PLX_MUST_USE enum plx_err plx_stream_send(struct plx_stream *s, struct plx_buf buf, bool fin);

// Several buffers at once, all or nothing; the array itself is read before return. Returns as
// plx_stream_send. Cost: O(count).
PLX_API PLX_MUST_USE enum plx_err plx_stream_send_many(struct plx_stream *s, const struct plx_buf *bufs,
                                                       uint16_t count, bool fin);

// The same for octets that do not outlive the call: copied into blocks of the core. Returns as
// plx_stream_send. Cost: O(len).
PLX_API PLX_MUST_USE enum plx_err plx_stream_send_copy(struct plx_stream *s, const void *data, size_t len,
                                                       bool fin);

// Gives up sending: what is queued is dropped (its owners' release is called), the peer hears code (below
// 2^62). Nothing when everything has been acknowledged, or on a stream that was reset. RESET_STREAM, RFC 9000
// sections 3.1, 19.4.
PLX_API void plx_stream_reset(struct plx_stream *s, uint64_t code);

// Wants no more octets: on_data is not called again, the peer is asked to stop with code (below 2^62).
// Nothing when all has been read. STOP_SENDING, RFC 9000 sections 3.5, 19.5.
PLX_API void plx_stream_stop_sending(struct plx_stream *s, uint64_t code);

// on_data may be called again, with what it did not take before; soon, not from inside. Nothing when it was
// not held back.
PLX_API void plx_stream_resume(struct plx_stream *s);

// The stream ID on the wire. RFC 9000 section 2.1.
PLX_API uint64_t plx_stream_id(const struct plx_stream *s);
// One direction only.
PLX_API bool plx_stream_is_uni(const struct plx_stream *s);
// Opened by us.
PLX_API bool plx_stream_is_local(const struct plx_stream *s);
// Octets queued and not yet acknowledged in order from the front.
PLX_API uint64_t plx_stream_unsent(const struct plx_stream *s);

// on_writable will be called once, when fewer than `below` octets are queued and unacknowledged: for programs
// that keep a bounded amount ahead of the peer rather than all that the queue takes. Takes effect with the
// next acknowledgement; 0 takes it back.
PLX_API void plx_stream_notify(struct plx_stream *s, uint64_t below);

// The program's own pointer, NULL until it is set. Pollux never looks at it and never frees it.
PLX_API void *plx_stream_user(const struct plx_stream *s);
PLX_API void plx_stream_set_user(struct plx_stream *s, void *user);

// The connection that the stream belongs to.
PLX_API struct plx_conn *plx_stream_conn(const struct plx_stream *s);

#ifdef __cplusplus
}
#endif
#endif
