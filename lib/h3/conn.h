// conn.h -- one HTTP/3 connection, from the transport's side (RFC 9114).
//
// This layer does not know that QUIC exists. It needs streams that are reliable and ordered, can be opened,
// written, reset and refused: struct plx_h3_io. In the house that is engine/glue_h3.c; in tests it is an array.
// The application's side is plx/h3.h, whose functions are implemented here.
//
// A stream of the transport is a `void *ts`; ours for it is a struct plx_h3_stream (struct plx_h3_req is that same object
// when it carries a request), taken from the pools of struct plx_h3_env, which one core's connections share.

#ifndef PLX_H3_CONN_H
#define PLX_H3_CONN_H

#include <plx/h3.h>

struct plx_pool;
struct plx_slab;
struct plx_h3_stream;

// What the transport offers. Each may be called from inside any plx_h3_on_* call or public function; none of them calls
// back from inside.
struct plx_h3_io {
    // A new unidirectional / bidirectional stream of ours, with hs as its user pointer; NULL when the peer's limit is reached. *id gets its ID.
    void *(*open_uni)(void *arg, struct plx_h3_stream *hs, uint64_t *id);
    void *(*open_bidi)(void *arg, struct plx_h3_stream *hs, uint64_t *id);
    // A new bidirectional stream of ours and all that is sent on it, in one go. NULL: that is not possible now, and nothing was done; open_bidi and
    // send tell why, or do it.
    void *(*ask)(void *arg, struct plx_h3_stream *hs, const struct plx_buf *buf, uint64_t *id);
    // Queues bytes; all or nothing. Buffers with an owner are borrowed; those without are constants. PLX_OK, _AGAIN, _CLOSED.
    // On anything but PLX_OK no owner was taken or released.
    enum plx_err (*send)(void *arg, void *ts, const struct plx_buf *bufs, uint16_t count, bool fin);
    // The same for bytes that live on our stack: copied. PLX_OK, _AGAIN, _CLOSED, _NOMEM.
    enum plx_err (*send_copy)(void *arg, void *ts, const void *data, size_t len, bool fin);
    void (*reset)(void *arg, void *ts, uint64_t code);        // our sending direction
    void (*stop_sending)(void *arg, void *ts, uint64_t code); // the peer's
    // The bytes that plx_h3_on_data left should be offered again, soon (not from inside this call).
    void (*resume)(void *arg, void *ts);
    uint64_t (*unsent)(void *arg, void *ts); // octets not yet acknowledged
    // plx_h3_on_writable once, when fewer octets than that are not yet acknowledged.
    void (*notify)(void *arg, void *ts, uint64_t below);
    // The connection must end with this application error code.
    void (*close)(void *arg, uint64_t code, const char *why);
    // After plx_h3_park() only: has the unidirectional streams back, if there are objects for them (plx_h3_unpark).
    void (*wake)(void *arg);
};

// Settings of ours, the same for all connections of an engine. Zero takes the default.
struct plx_h3_cfg {
    uint32_t field_section_max; // SETTINGS_MAX_FIELD_SECTION_SIZE we announce and enforce; default 16 KiB
    uint16_t field_count_max;   // default 128
    uint32_t qpack_table_max;   // dynamic table the peer's encoder may use; default 4096
    uint16_t qpack_blocked_max; // streams that may wait for it; default 16
    bool no_grease; // reserved settings, frames and streams are sent by default (RFC 9114 section 7.2.8)
    // announce and accept extended CONNECT (RFC 9220); without it :protocol is malformed
    bool connect_protocol;
};

// Per core.
struct plx_h3_env {
    struct plx_h3_cfg cfg;
    struct plx_pool *conns;   // objects of plx_h3_conn_size()
    struct plx_pool *streams; // objects of plx_h3_stream_size()
    struct plx_slab *slab;    // partial frames, blocked sections, dynamic tables
    void *scratch; // plx_h3_scratch_size(&cfg) octets: decoded field sections live here during a callback
    struct plx_memo *memo; // memo.h; NULL: every section is decoded
    uint64_t grease_seed;  // differs per core and run
};

size_t plx_h3_conn_size(void);
size_t plx_h3_stream_size(void);
size_t plx_h3_scratch_size(const struct plx_h3_cfg *cfg);

// NULL when the pool is empty. Streams are opened by plx_h3_conn_start, which sends SETTINGS (send may queue before the handshake ends).
struct plx_h3_conn *plx_h3_conn_new(struct plx_h3_env *env, bool is_server, const struct plx_h3_io *io,
                                    void *io_arg, const struct plx_h3_handler *handler,
                                    struct plx_conn *transport);
void plx_h3_conn_start(struct plx_h3_conn *conn);
// Before plx_h3_conn_start: what comes and goes until plx_h3_conn_complete is early data (0-RTT). A client gives what
// plx_h3_conn_remember said on the connection that its session is from (or nothing), and sends only requests with safe methods; a server
// answers others with 425.
void plx_h3_conn_early(struct plx_h3_conn *conn, const uint8_t *remembered, size_t len);
// The handshake is complete. A client whose early data was refused forgets what it remembered.
void plx_h3_conn_complete(struct plx_h3_conn *conn, bool was_accepted);
// The peer's settings, for plx_h3_conn_early later: at most cap octets (48 do); 0 when they have not come. And those that a server
// says, which early data under its tickets relies on.
size_t plx_h3_conn_remember(const struct plx_h3_conn *conn, uint8_t *out, size_t cap);
size_t plx_h3_cfg_remember(const struct plx_h3_cfg *cfg, bool is_server, uint8_t *out, size_t cap);
// Closes all requests (on_closed with code) and gives everything back. ts pointers are not touched any more.
void plx_h3_conn_free(struct plx_h3_conn *conn, uint64_t code, bool is_peer);

// The peer opened a stream. NULL: no object left; the transport refuses it (reset + stop_sending H3_REQUEST_REJECTED).
struct plx_h3_stream *plx_h3_on_open(struct plx_h3_conn *conn, void *ts, uint64_t id, bool is_uni);
// Bytes in order; returns how many were consumed. The rest must be offered again after io.resume, with what came later behind it.
// fin: the stream ends after data+len (only true once all was offered). Errors go through io.close / io.reset; then returns len.
size_t plx_h3_on_data(struct plx_h3_conn *conn, struct plx_h3_stream *hs, const uint8_t *data, size_t len,
                      bool fin);
// The same for all of a request in one piece, right behind plx_h3_on_open().
size_t plx_h3_on_message(struct plx_h3_conn *conn, struct plx_h3_stream *hs, const uint8_t *data, size_t len);
// And for all of an answer in one piece, of which nothing was offered before. *is_gone: so is hs, and the stream is to be told
// nobody about any more.
size_t plx_h3_on_answer(struct plx_h3_conn *conn, struct plx_h3_stream *hs, const uint8_t *data, size_t len,
                        bool *is_gone);
void plx_h3_on_reset(struct plx_h3_conn *conn, struct plx_h3_stream *hs,
                     uint64_t code); // peer reset its direction
void plx_h3_on_stop_sending(struct plx_h3_conn *conn, struct plx_h3_stream *hs,
                            uint64_t code); // peer refused ours
void plx_h3_on_writable(struct plx_h3_conn *conn, struct plx_h3_stream *hs);
// The transport has finished with the stream in both directions (all acknowledged or reset); hs is freed, on_closed is called.
void plx_h3_on_closed(struct plx_h3_conn *conn, struct plx_h3_stream *hs);

// What a request touches of its connection, and of itself (the object of a request that is there, or anything else: it is advice), on its
// way into the cache.
void plx_h3_conn_prefetch(const struct plx_h3_conn *conn);
void plx_h3_req_prefetch(const void *hs);

// True when shutting down and no request is open: the transport may close with H3_NO_ERROR.
bool plx_h3_conn_is_drained(const struct plx_h3_conn *conn);

#endif
