// plx/conn.h -- a QUIC connection (RFC 9000) and its streams, for programs that speak their own protocol over it.
//
// HTTP/3 programs need plx/h3.h instead and meet this file only for addresses, statistics and closing. Everything here is
// for the core that owns the connection; the events are called on it, from inside the receive or timer phase, and must not block.

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

// Facts about a connection. Times are zero until measured.
struct plx_conn_info {
    struct plx_addr local, peer;
    uint32_t version;
    const char *cipher, *group, *alpn; // static strings ("" before the handshake is complete)
    bool was_resumed, is_confirmed;
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
    // In-order octets; returns how many were taken; the rest is kept (and the peer held back) until plx_stream_resume().
    // fin: nothing follows data+len.
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

PLX_API void *plx_conn_user(const struct plx_conn *conn);
PLX_API void plx_conn_set_user(struct plx_conn *conn, void *user);
PLX_API void *plx_conn_ctx(const struct plx_conn *conn); // the handler's ctx
PLX_API void plx_conn_info(const struct plx_conn *conn, struct plx_conn_info *out);
PLX_API bool plx_conn_is_server(const struct plx_conn *conn);

// Ends the connection at once with an application error code (RFC 9000 section 10.2); on_close follows, not from inside.
PLX_API void plx_conn_close(struct plx_conn *conn, uint64_t code, const char *reason);
// Sends a PING now (keep-alive by hand).
PLX_API void plx_conn_ping(struct plx_conn *conn);
// Starts a key update once the protocol allows it (RFC 9001 section 6). PLX_ERR_AGAIN: not confirmed, or one is under way.
PLX_API PLX_MUST_USE enum plx_err plx_conn_update_keys(struct plx_conn *conn);

// --- streams -----------------------------------------------------------------------------------------------

// Opens a stream of ours. PLX_ERR_AGAIN: the peer's limit (wait for on_streams_available); PLX_ERR_CLOSED; PLX_ERR_NOMEM.
PLX_API PLX_MUST_USE enum plx_err plx_stream_open(struct plx_conn *conn, bool is_uni,
                                                  struct plx_stream **out);

// Queue octets on a stream.
//
// Copies nothing: buf is borrowed until its owner's release (acknowledged, reset, or connection gone). Octets beyond the
// peer's flow-control credit are accepted and wait.
// Returns:  PLX_OK          all queued
//           PLX_ERR_AGAIN   nothing queued, the queue of buffers is full; wait for on_writable
//           PLX_ERR_CLOSED  sending side finished or reset; the data was not taken, its owner was not called
// Cost:     O(1), no allocation.  See: RFC 9000 sections 2.2, 4.1
PLX_API PLX_MUST_USE enum plx_err plx_stream_send(struct plx_stream *s, struct plx_buf buf, bool fin);
// Several buffers at once, all or nothing. Returns as plx_stream_send.
PLX_API PLX_MUST_USE enum plx_err plx_stream_send_many(struct plx_stream *s, const struct plx_buf *bufs,
                                                       uint16_t count, bool fin);
// The same for octets that do not outlive the call: copied into a block of the core. Also PLX_ERR_NOMEM.
PLX_API PLX_MUST_USE enum plx_err plx_stream_send_copy(struct plx_stream *s, const void *data, size_t len,
                                                       bool fin);
PLX_API void plx_stream_reset(struct plx_stream *s, uint64_t code); // RESET_STREAM, RFC 9000 section 3.1
// STOP_SENDING, RFC 9000 section 3.5
PLX_API void plx_stream_stop_sending(struct plx_stream *s, uint64_t code);
PLX_API void plx_stream_resume(struct plx_stream *s); // on_data may take more; called soon, not from inside
PLX_API uint64_t plx_stream_id(const struct plx_stream *s);
PLX_API bool plx_stream_is_uni(const struct plx_stream *s);
PLX_API bool plx_stream_is_local(const struct plx_stream *s);   // opened by us
PLX_API uint64_t plx_stream_unsent(const struct plx_stream *s); // queued, not yet acknowledged
// on_writable will be called once, when fewer than `below` octets are queued and unacknowledged: for programs that keep a bounded
// amount ahead of the peer rather than all that the queue takes. Takes effect with the next acknowledgement.
PLX_API void plx_stream_notify(struct plx_stream *s, uint64_t below);
PLX_API void *plx_stream_user(const struct plx_stream *s);
PLX_API void plx_stream_set_user(struct plx_stream *s, void *user);
PLX_API struct plx_conn *plx_stream_conn(const struct plx_stream *s);

#ifdef __cplusplus
}
#endif
#endif
