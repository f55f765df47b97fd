// plx/h3.h -- HTTP/3 (RFC 9114) for servers and clients.
//
// One object, the request (struct plx_h3_req), stands for one exchange on one stream, on either side. The
// handler's functions are called on the core that owns the connection, from inside its receive phase: they
// must not block, and whatever they are given is borrowed for the duration of the call. What they hand over
// (struct plx_buf) is borrowed by Pollux until its owner is told. All functions below are for that core
// only, and may be called from inside the handler's functions.
//
//   server:  on_request ─► [on_body …] ─► on_end          … any time: plx_h3_respond / send_body / send_trailers
//   client:  plx_h3_request ─► [send_body …]              on_response ─► [on_body …] ─► on_end
//   both:    on_closed, exactly once and last: the request is gone, forget the pointer.

#ifndef PLX_H3_H
#define PLX_H3_H

#include <plx/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct plx_conn;       // plx/conn.h
struct plx_close_info; // plx/conn.h
struct plx_h3_conn;    // one HTTP/3 connection
struct plx_h3_req;     // one request and its response
struct plx_h3_block;   // a prepared response or request

// RFC 9114 section 8.1 and RFC 9204 section 6.
enum plx_h3_code {
    PLX_H3_DATAGRAM_ERROR = 0x33, // RFC 9297
    PLX_H3_NO_ERROR = 0x100,
    PLX_H3_GENERAL_PROTOCOL_ERROR,
    PLX_H3_INTERNAL_ERROR,
    PLX_H3_STREAM_CREATION_ERROR,
    PLX_H3_CLOSED_CRITICAL_STREAM,
    PLX_H3_FRAME_UNEXPECTED,
    PLX_H3_FRAME_ERROR,
    PLX_H3_EXCESSIVE_LOAD,
    PLX_H3_ID_ERROR,
    PLX_H3_SETTINGS_ERROR,
    PLX_H3_MISSING_SETTINGS,
    PLX_H3_REQUEST_REJECTED,
    PLX_H3_REQUEST_CANCELLED,
    PLX_H3_REQUEST_INCOMPLETE,
    PLX_H3_MESSAGE_ERROR,
    PLX_H3_CONNECT_ERROR,
    PLX_H3_VERSION_FALLBACK,
    PLX_QPACK_DECOMPRESSION_FAILED = 0x200,
    PLX_QPACK_ENCODER_STREAM_ERROR,
    PLX_QPACK_DECODER_STREAM_ERROR,
};

#define PLX_H3_LENGTH_UNKNOWN UINT64_MAX

// A validated message head (RFC 9114 section 4.3). Borrowed during the call that brings it.
struct plx_h3_head {
    struct plx_span method, scheme, authority, path, protocol; // requests; empty span (p NULL) when absent
    uint16_t status;                                           // responses; 0 in requests
    uint64_t content_length;                                   // PLX_H3_LENGTH_UNKNOWN when not given
    // without pseudo-fields, in order of arrival; cookie crumbs are not joined
    const struct plx_field *fields;
    uint16_t field_count;
};

// The first field of that (lower-case) name, or NULL; as borrowed as head is. Any thread. O(fields).
PLX_API const struct plx_field *plx_h3_head_find(const struct plx_h3_head *head, const char *name);

// What a program wants to be told. Any pointer may be NULL. user: as plx_h3_req_set_user set it, else NULL.
struct plx_h3_handler {
    void *ctx; // reachable by plx_h3_req_ctx()

    // Client, with plx_connect_cfg.early_data and a session that allows it: requests may be sent now, in early
    // data (0-RTT), before the server has said anything; those that do not fit it get PLX_ERR_AGAIN. on_open
    // follows when the handshake is complete; plx_conn_info().early tells then what became of it. What the
    // server refused is sent again by itself, and answered once. NULL: no early data is sent.
    // Anybody who overhears early data can send it to the server again: ask nothing early that must not be
    // done twice. See docs/decisions/0028-early-data.md, RFC 8470.
    void (*on_early)(struct plx_h3_conn *conn);
    // The connection speaks HTTP/3: a client may send requests now. Of a server that accepts early data, that is
    // before the handshake is complete.
    void (*on_open)(struct plx_h3_conn *conn);
    // The connection is over. What is left of its requests hear on_closed right after; then conn is gone.
    // Also called, with conn NULL, for a client connection that never opened.
    void (*on_close)(struct plx_h3_conn *conn, struct plx_conn *transport, const struct plx_close_info *info);
    // Client: the peer raised its stream limit after plx_h3_request returned PLX_ERR_AGAIN.
    void (*on_streams_available)(struct plx_h3_conn *conn);
    // Client: keep it for plx_connect_cfg.session to resume later.
    void (*on_session)(struct plx_h3_conn *conn, const void *session, size_t len);

    // Server: a request's head has arrived; has_body is false when the stream ends with it (GET): then on_end
    // follows at once.
    void (*on_request)(struct plx_h3_req *req, const struct plx_h3_head *head, bool has_body);
    // Client: a response's head; interim responses (1xx) come through on_interim.
    void (*on_response)(struct plx_h3_req *req, const struct plx_h3_head *head);
    void (*on_interim)(struct plx_h3_req *req, const struct plx_h3_head *head);
    // Body octets in order. Returns how many were taken; fewer than len: the rest is kept (and the peer held
    // back by flow control) until plx_h3_resume(). NULL: bodies are read and thrown away.
    size_t (*on_body)(struct plx_h3_req *req, const uint8_t *data, size_t len);
    // The message is complete and valid; trailers NULL or borrowed.
    void (*on_end)(struct plx_h3_req *req, const struct plx_field *trailers, uint16_t trailer_count);
    // Client, in place of on_response, on_body, on_end and on_closed, where all of an answer came at once and its
    // head is known from an answer before it: as valid as those would bring it, for programs that take thousands of
    // one kind. The request is gone when it returns true. False: nothing was done with it, it may be asked once more,
    // and the four follow. NULL: they always do.
    bool (*on_answer)(struct plx_h3_req *req, const struct plx_h3_head *head, const uint8_t *body,
                      size_t len);
    // After a send returned PLX_ERR_AGAIN, when there is room again; or as plx_h3_req_notify() asked.
    void (*on_writable)(struct plx_h3_req *req);
    // Last call for this request. code: PLX_H3_NO_ERROR when both directions ended well, else the reset or
    // connection error code; is_peer tells who raised it.
    void (*on_closed)(struct plx_h3_req *req, uint64_t code, bool is_peer);
    // Client: the server will process no request from this stream id on (GOAWAY); new requests are refused
    // with PLX_ERR_CLOSED. Server: the client sent GOAWAY (push id; informational).
    void (*on_goaway)(struct plx_h3_conn *conn, uint64_t id);
};

// --- about a request ---------------------------------------------------------------------------------------

// These and everything below but the blocks: on the core that owns the connection, until on_closed (of a
// request) or on_close (of a connection) has returned. None blocks. O(1) where nothing else is said.

// The program's own pointer: what plx_h3_request() was given, or plx_h3_req_set_user(); NULL before. Pollux
// never frees it.
PLX_API void *plx_h3_req_user(const struct plx_h3_req *req);
PLX_API void plx_h3_req_set_user(struct plx_h3_req *req, void *user);

// The handler's ctx.
PLX_API void *plx_h3_req_ctx(const struct plx_h3_req *req);

// The connection that it came or goes on.
PLX_API struct plx_h3_conn *plx_h3_req_conn(const struct plx_h3_req *req);

// The stream ID, which is unique on its connection and grows. RFC 9114 section 6.1.
PLX_API uint64_t plx_h3_req_id(const struct plx_h3_req *req);

// Server: the request came in early data (0-RTT). Its method is safe (GET, HEAD or OPTIONS; Pollux answers others
// with 425), but it may be a copy that somebody else sent again: this process answers no copy within the time
// that tickets count as fresh, other processes with the same ticket keys know nothing of it. A program that
// must know who asks, or how often, answers 425 (Too Early); the client asks again when the handshake is done.
// See: RFC 8470 section 5.2, RFC 9001 section 9.2
PLX_API bool plx_h3_req_is_early(const struct plx_h3_req *req);

// Octets accepted but not yet acknowledged, frame headers included; 0 when the stream is gone.
PLX_API uint64_t plx_h3_req_unsent(const struct plx_h3_req *req);

// on_writable will be called once, when fewer than `below` octets are accepted and unacknowledged: see
// plx_stream_notify().
PLX_API void plx_h3_req_notify(struct plx_h3_req *req, uint64_t below);

// --- server ------------------------------------------------------------------------------------------------

// Sends the response's head, and its body when there is one. HEAD requests: hand over the same body; only its
// length is used (a content-length field is the caller's). fin: nothing follows (no more body, no trailers).
//
// Ownership: fields are copied (encoded) before return; body is borrowed until its owner's release.
// Returns:   PLX_OK           accepted
//            PLX_ERR_AGAIN    nothing was sent: the send queue is full; again in on_writable
//            PLX_ERR_CLOSED   the stream is gone (the owner's release was called); drop it
//            PLX_ERR_INVALID  nothing was sent, body is still the caller's: a field that RFC 9114 section 4.2
//                             forbids, more fields than the peer takes, a second final response, a status
//                             outside of 200..599, or a body where the status has none (204, 304)
//            PLX_ERR_NOMEM    no send block left; buffer_memory is too small for this load; nothing was sent:
//                             plx_h3_cancel
// Cost:      one encoding pass over the fields, no allocation.
// See:       RFC 9114 sections 4.1, 4.3.2
PLX_API PLX_MUST_USE enum plx_err plx_h3_respond(struct plx_h3_req *req, uint16_t status,
                                                 const struct plx_field *fields, uint16_t count,
                                                 struct plx_buf body, bool fin);

// The fast path: a response prepared beforehand, whole with fin. One pointer is queued, nothing is encoded or
// copied.
//
// Ownership: the block stays the caller's; it counts its users, so plx_h3_block_free() may be called at any
//            time.
// Returns:   as plx_h3_respond; PLX_ERR_INVALID also for a block that is a request
PLX_API PLX_MUST_USE enum plx_err plx_h3_respond_block(struct plx_h3_req *req, struct plx_h3_block *block);

// Encodes a response once.
//
// Ownership: fields are copied. body may be empty (data NULL); at most 16 KB of it are copied into the block
//            (and its owner's release is called at once), more is borrowed until plx_h3_block_free() has been
//            called and the last user is gone.
// Context:   any thread, not on the packet path (allocates). One block is used from one core only.
// Returns:   NULL when a field is forbidden, the status is outside of 200..599 or has no body, or memory is
//            short.
// Cost:      one encoding pass and two allocations.
PLX_API struct plx_h3_block *plx_h3_block_new(uint16_t status, const struct plx_field *fields, uint16_t count,
                                              struct plx_buf body);

// The caller is done with it: it goes when the last exchange that uses it is over. NULL is fine. On the core
// that uses it.
PLX_API void plx_h3_block_free(struct plx_h3_block *block);

// 1xx before the final response; any number. fields are copied.
//
// Returns:   as plx_h3_respond; PLX_ERR_INVALID also for a status outside of 100..199, 101, or behind the
//            final response
// See:       RFC 9114 section 4.1
PLX_API PLX_MUST_USE enum plx_err plx_h3_send_interim(struct plx_h3_req *req, uint16_t status,
                                                      const struct plx_field *fields, uint16_t count);

// --- both --------------------------------------------------------------------------------------------------

// More body, a DATA frame each. len 0 with fin ends the message.
//
// Ownership: body is borrowed until its owner's release; small pieces are copied, and released before return.
// Returns:   PLX_OK           accepted
//            PLX_ERR_AGAIN    nothing was taken: the send queue is full; again in on_writable
//            PLX_ERR_CLOSED   the stream is gone (the owner's release was called); drop it
//            PLX_ERR_INVALID  no head was sent before, or the message has ended; body is still the caller's
//            PLX_ERR_NOMEM    nothing was taken: buffer_memory is too small for this load; plx_h3_cancel, or
//                             try later
// Cost:      O(1), no allocation; a small piece is copied.
// See:       RFC 9114 section 7.2.1
PLX_API PLX_MUST_USE enum plx_err plx_h3_send_body(struct plx_h3_req *req, struct plx_buf body, bool fin);

// Ends the message with trailer fields, which are copied. Returns as plx_h3_send_body; PLX_ERR_INVALID also
// for a field that RFC 9114 section 4.3 forbids in trailers, and after CONNECT. Cost: one encoding pass.
PLX_API PLX_MUST_USE enum plx_err plx_h3_send_trailers(struct plx_h3_req *req, const struct plx_field *fields,
                                                       uint16_t count);

// The handler can take body octets again after on_body took less than it was given. on_body is called soon,
// with what it left; be ready for a call from inside. Nothing when it was not held back.
PLX_API void plx_h3_resume(struct plx_h3_req *req);

// Gives the exchange up in both directions (RESET_STREAM, STOP_SENDING) with an error code of RFC 9114
// section 8.1; what is queued is dropped and its owners are told; on_closed follows later, not from inside.
// See: RFC 9114 section 4.1.1
PLX_API void plx_h3_cancel(struct plx_h3_req *req, uint64_t code);

// --- client ------------------------------------------------------------------------------------------------

// Starts a request. head carries the pseudo-fields (method, scheme, authority, path) and the other fields.
// has_body: plx_h3_send_body follows; else the request ends with its head. user is set before any callback.
//
// Ownership: head and all it points to are copied (encoded) before return; *out is Pollux's, good until
//            on_closed.
// Returns:   PLX_OK           *out is on its way
//            PLX_ERR_AGAIN    the peer's stream limit is reached: try in on_streams_available or when a
//                             request closes. Between on_early and on_open also for a method that is not
//                             safe (RFC 9110 section 9.2.1) or a request with a body: try in on_open
//            PLX_ERR_CLOSED   the connection is ending, or the server sent GOAWAY: use another connection
//            PLX_ERR_INVALID  a head that RFC 9114 section 4.3.1 forbids, or larger than the peer's limit;
//                             not from a server
//            PLX_ERR_NOMEM    streams_max reached, or buffer_memory too small for this load: try when a
//                             request closes
// Cost:      one encoding pass over the fields, no allocation.
PLX_API PLX_MUST_USE enum plx_err plx_h3_request(struct plx_h3_conn *conn, const struct plx_h3_head *head,
                                                 bool has_body, void *user, struct plx_h3_req **out);

// A request encoded once, whole with its body: for programs that send the same ones again and again. body as
// in plx_h3_block_new(), and freed as those are; a content-length field is the caller's. NULL when the head
// is not one that RFC 9114 allows, for CONNECT, or when memory is short. Any thread, not on the packet path
// (allocates). One block belongs to one core.
PLX_API struct plx_h3_block *plx_h3_block_new_request(const struct plx_h3_head *head, struct plx_buf body);

// Starts a prepared request: one pointer is queued, nothing is encoded or copied. Returns as plx_h3_request;
// PLX_ERR_INVALID also when the block is a response, or larger than the peer's
// SETTINGS_MAX_FIELD_SECTION_SIZE.
PLX_API PLX_MUST_USE enum plx_err plx_h3_request_block(struct plx_h3_conn *conn, struct plx_h3_block *block,
                                                       void *user, struct plx_h3_req **out);

// --- connection --------------------------------------------------------------------------------------------

// No new requests: sends GOAWAY (server: twice, first with the largest ID, then the true one, RFC 9114
// section 5.2); the connection closes with H3_NO_ERROR when the last request is done. A second call does
// nothing, unless objects or memory were short for the first: then it tries again.
PLX_API void plx_h3_conn_shutdown(struct plx_h3_conn *conn);

// The QUIC connection below: for addresses, statistics and closing (plx/conn.h). Its streams are not for the
// program.
PLX_API struct plx_conn *plx_h3_conn_transport(const struct plx_h3_conn *conn);

// The program's own pointer: what plx_connect_cfg.user said, or plx_h3_conn_set_user(); else NULL. Pollux
// never frees it.
PLX_API void *plx_h3_conn_user(const struct plx_h3_conn *conn);
PLX_API void plx_h3_conn_set_user(struct plx_h3_conn *conn, void *user);

// Requests that the program knows and whose on_closed is still to come.
PLX_API uint32_t plx_h3_conn_open_requests(const struct plx_h3_conn *conn);

#ifdef __cplusplus
}
#endif
#endif
