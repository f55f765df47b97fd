// conn_int.h -- the objects of one HTTP/3 connection, and what its files ask of each other.
//
// Three kinds of stream objects share a first part, so that the transport's pointer can be any of them: our own
// unidirectional streams live inside the connection and need nothing else; a unidirectional stream of the peer has
// a reader of frames; a request has that and both halves of a message.
//
//   conn.c        life of a connection, entry points, failure      ustream.c     the peer's unidirectional streams
//   request.c     what every request has; cancel, close            shutdown.c    GOAWAY in both directions
//   request_rx.c  frames of a request stream, message heads        request_tx.c  respond, body, trailers, new requests
//   request_whole.c  messages in one piece
//
// The transport never calls back from inside an io function, so nothing here changes under a caller except by the
// program's own handler; after each handler call the state of the stream is looked at again.

#ifndef PLX_H3_CONN_INT_H
#define PLX_H3_CONN_INT_H

#include "base/list.h"
#include "base/pool.h"
#include "h3/conn.h"
#include "h3/frame.h"
#include "h3/qpack_dec.h"
#include "h3/settings.h"
#include "h3/stash.h"

enum {
    // a body up to this size is copied behind its head: one piece for the transport
    PLX_H3_INLINE_BODY_MAX = 1024,
    // a HEADERS frame's own header is put before its payload afterwards
    PLX_H3_TX_HEADROOM = PLX_FRAME_HEAD_MAX,
    PLX_H3_TX_TAILROOM = PLX_FRAME_HEAD_MAX, // the header of a DATA frame behind it
    PLX_H3_DECODER_OUT_MAX = 24,             // decoder instructions that wait for the transport
    PLX_H3_JUNK_MAX = 1000,      // unknown, empty and repeated things that a peer may send beyond...
    PLX_H3_JUNK_PER_MESSAGE = 8, // ...these for each message
    PLX_H3_JUNK_PER_CANCEL = 10, // a request that the client gives up: a little more than a message earns
};

enum stream_kind {
    STREAM_LOCAL_CONTROL,
    STREAM_LOCAL_DECODER,
    STREAM_LOCAL_ENCODER,
    STREAM_LOCAL_GREASE,
    STREAM_UNTYPED, // a unidirectional stream of the peer whose type is still coming
    STREAM_CONTROL,
    STREAM_ENCODER,
    STREAM_DECODER,
    STREAM_DISCARDED, // of an unknown type
    STREAM_REQUEST,
};

struct plx_h3_stream {
    struct plx_h3_conn *conn;
    void *ts;
    uint64_t id;
    uint8_t kind; // enum stream_kind
};

struct ustream {
    struct plx_h3_stream s;
    struct plx_list node;       // in conn->ustreams
    struct plx_framing framing; // of a control stream
    struct plx_stash stash;     // a frame's payload, or an integer, that is cut
};

enum message_state {
    MESSAGE_NONE, // in the tables: no such arrow
    MESSAGE_HEAD,
    MESSAGE_BODY,
    MESSAGE_TRAILED,
    MESSAGE_TUNNEL,
    MESSAGE_DONE,
    MESSAGE_ABANDONED, // reset, refused or cancelled
    MESSAGE_STATE_COUNT,
};

enum message_event {
    EVENT_INTERIM,
    EVENT_HEAD,
    EVENT_CONNECT,
    EVENT_DATA,
    EVENT_TRAILERS,
    EVENT_FIN,
    EVENT_COUNT,
};

enum wait {
    WAIT_NONE,
    WAIT_PROGRAM, // on_body took less than it was given
    WAIT_TABLE,   // a field section waits for the dynamic table
};

struct plx_h3_req {
    // --- line 0: both halves, the program, and all there is of a request that is lean
    struct plx_h3_stream s;
    struct plx_list node; // in conn->requests
    uint8_t rx, tx;       // enum message_state
    uint8_t wait;         // enum wait
    bool is_head, is_connect;
    bool is_announced; // the program knows it: on_closed is due
    bool is_lean;      // what is behind this line means nothing: plx_h3_req_unfold() first
    bool has_fin;      // the peer's last octet has been taken
    void *user;        // the program's
    // --- receiving
    struct plx_framing framing;
    struct plx_stash stash;  // a field section that is cut or blocked
    uint64_t content_length; // that the DATA frames must add up to, or PLX_H3_LENGTH_UNKNOWN
    uint64_t body_len;       // of DATA frames begun so far
    uint64_t required;       // insert count that a blocked section waits for
    struct plx_list blocked; // in conn->blocked
    // --- sending
    struct plx_buf pending; // accepted, but the transport had no room: goes first; data NULL: nothing
    bool is_pending_fin;
    bool is_early; // server: it came in early data (here, where there is room)
    bool is_peer;  // close_code came from the peer
    // --- the end
    uint64_t close_code; // 0: nothing went wrong so far
};

enum conn_state {
    CONN_OPEN,
    CONN_FAILED, // io.close has been called: nothing is sent or processed any more
    CONN_FREED,  // inside plx_h3_conn_free
};

enum shutdown_state {
    SHUTDOWN_NONE,
    SHUTDOWN_ASKED,  // GOAWAY could not be sent yet
    SHUTDOWN_WARNED, // server: the first GOAWAY is on its way
    SHUTDOWN_FINAL,  // the last one is
};

struct plx_h3_conn { // what a request touches stands in the first lines
    struct plx_h3_env *env;
    const struct plx_h3_io *io;
    void *io_arg;
    const struct plx_h3_handler *handler;
    struct plx_list requests;
    uint32_t open_requests; // those that the program knows
    uint32_t junk;
    uint8_t state;    // enum conn_state
    uint8_t shutdown; // enum shutdown_state
    bool is_server;
    uint8_t decoder_out_len;
    uint32_t blocked_count;
    uint64_t request_id_next; // server: the least stream ID that has not been seen
    uint64_t goaway_sent, goaway_received;
    struct plx_qpack_table table;

    struct plx_conn *transport;
    void *user;
    struct plx_list ustreams, blocked;
    bool has_settings;                          // the peer's have come
    bool is_early;                              // the handshake is not complete
    bool is_remembered;                         // client: `peer` is what an earlier connection was told
    bool has_control, has_encoder, has_decoder; // the peer's streams
    bool has_max_push_id;
    bool is_parked;     // ustreams is empty, and ours have no ts: hibernate.h
    uint64_t fail_code; // when CONN_FAILED
    uint64_t max_push_id;

    struct plx_settings peer;
    struct plx_h3_stream control, decoder,
        encoder; // ours; the encoder's only to be seen, see plx_h3_conn_start
    uint8_t decoder_out[PLX_H3_DECODER_OUT_MAX];
};

// --- conn.c ------------------------------------------------------------------------------------------------

// Ends the connection with a code; the first failure counts.
void plx_h3_conn_fail(struct plx_h3_conn *c, uint64_t code, const char *why);

// One more thing that means nothing, or a request given up; false when it was one too many: the connection has failed.
bool plx_h3_conn_junk(struct plx_h3_conn *c, uint32_t weight);

static inline bool plx_h3_conn_is_open(const struct plx_h3_conn *c)
{
    return c->state == CONN_OPEN;
}

// The parts of env->scratch.
struct scratch {
    struct plx_field *fields;
    uint8_t *classes, *text, *tx;
    size_t tx_len;
};
struct scratch plx_h3_scratch_of(const struct plx_h3_env *env);

// --- early.c ---------------------------------------------------------------------------------------------

// Methods that change nothing, RFC 9110 section 9.2.1: what may be asked, and answered, before the handshake is complete.
bool plx_h3_method_is_safe(struct plx_span method);
// The peer's settings have come: do they keep what was remembered?
bool plx_h3_settings_are_kept(const struct plx_settings *then, const struct plx_settings *now);

// --- decoder_stream.c: what our decoder tells the peer's encoder -----------------------------------------

void plx_h3_decoder_ack(struct plx_h3_conn *c, uint64_t id, uint64_t required);
void plx_h3_decoder_cancel(struct plx_h3_conn *c, uint64_t id);
void plx_h3_decoder_flush(struct plx_h3_conn *c); // everything that is due, Insert Count Increment included

// --- ustream.c ---------------------------------------------------------------------------------------------

void plx_h3_ustream_init(struct ustream *u, struct plx_h3_conn *c, void *ts, uint64_t id);
void plx_h3_ustream_on_data(struct ustream *u, const uint8_t *data, size_t len, bool fin);
void plx_h3_ustream_free(struct ustream *u);

// --- control.c ---------------------------------------------------------------------------------------------

void plx_h3_control_on_data(struct ustream *u, struct plx_rd *r);

// --- shutdown.c --------------------------------------------------------------------------------------------

void plx_h3_shutdown_step(struct plx_h3_conn *c); // after anything that may allow the next GOAWAY
void plx_h3_goaway_on(struct plx_h3_conn *c, uint64_t id);

// --- request.c ---------------------------------------------------------------------------------------------

// Lean, as most stay to their end: those that come and leave in one piece, with a head that was seen before, in either role. Whatever else
// may be the first to happen unfolds it: other events of its stream, what a program sends but a prepared answer, its failure.
struct plx_h3_req *plx_h3_req_new(struct plx_h3_conn *c, void *ts, uint64_t id);
void plx_h3_req_unfold_lean(struct plx_h3_req *req);
static inline void plx_h3_req_unfold(struct plx_h3_req *req)
{
    if (req->is_lean)
        plx_h3_req_unfold_lean(req);
}
void plx_h3_req_free(struct plx_h3_req *req);
// The same for one whose whole answer was taken as such: it holds nothing, and its program has heard the last of it.
static inline void plx_h3_req_gone(struct plx_h3_req *req)
{
    struct plx_h3_conn *c = req->s.conn;

    plx_list_remove(&req->node);
    c->open_requests--;
    plx_pool_give(c->env->streams, req);
}

// Follows an arrow of message_state.def; false when there is none.
bool plx_h3_rx_on(struct plx_h3_req *req, enum message_event ev);
bool plx_h3_tx_on(struct plx_h3_req *req, enum message_event ev);
bool plx_h3_rx_can(const struct plx_h3_req *req, enum message_event ev);
bool plx_h3_tx_can(const struct plx_h3_req *req, enum message_event ev);

static inline bool plx_h3_rx_is_over(const struct plx_h3_req *req)
{
    return req->rx >= MESSAGE_DONE;
}
static inline bool plx_h3_tx_is_over(const struct plx_h3_req *req)
{
    return req->tx >= MESSAGE_DONE;
}

// Gives up what is left of either half. code goes to the peer; the program hears `heard` from `is_peer` in on_closed.
void plx_h3_rx_abandon(struct plx_h3_req *req, uint64_t code, bool tell_peer);
void plx_h3_tx_abandon(struct plx_h3_req *req, uint64_t code);
void plx_h3_req_fail(struct plx_h3_req *req, uint64_t code, uint64_t heard, bool is_peer);

// --- request_rx.c ------------------------------------------------------------------------------------------

size_t plx_h3_request_on_data(struct plx_h3_req *req, const uint8_t *data, size_t len, bool fin);
void plx_h3_request_unblock(struct plx_h3_conn *c); // after the table has grown
// Nothing holds it up, and nothing has ended it.
static inline bool plx_h3_rx_can_go_on(const struct plx_h3_req *req)
{
    return req->wait == WAIT_NONE && !plx_h3_rx_is_over(req) && plx_h3_conn_is_open(req->s.conn);
}
// A message is worth something: of what was counted as junk some is forgiven.
static inline void plx_h3_rx_forgive(struct plx_h3_conn *c)
{
    if (__builtin_expect(c->junk > 0, 0))
        c->junk -= c->junk < PLX_H3_JUNK_PER_MESSAGE ? c->junk : PLX_H3_JUNK_PER_MESSAGE;
}
// The program hears of a request: of its end as well, then.
static inline void plx_h3_rx_announce(struct plx_h3_req *req)
{
    req->is_announced = true;
    req->s.conn->open_requests++;
    plx_h3_rx_forgive(req->s.conn);
}
// The steps. A field section at p, or in own; is_last: nothing follows.
void plx_h3_rx_head(struct plx_h3_req *req, const uint8_t *p, size_t len, struct plx_stash *own,
                    bool is_last);
void plx_h3_rx_data_begin(struct plx_h3_req *req); // a DATA frame of framing.left octets
// The last octet has been taken, and nothing is cut: the message is complete, or it never will be.
void plx_h3_rx_end(struct plx_h3_req *req, const struct plx_field *trailers, uint16_t count);
void plx_h3_rx_incomplete(struct plx_h3_req *req);

// --- request_whole.c ---------------------------------------------------------------------------------------

enum plx_whole {
    PLX_WHOLE_NO,    // it is not that simple, and nothing was done
    PLX_WHOLE_TAKEN, // but for *left octets
    PLX_WHOLE_GONE,  // all of it, and the program has no more use for the request: it is freed
};
// All of a stream, at its beginning.
enum plx_whole plx_h3_rx_whole(struct plx_h3_req *req, const uint8_t *data, size_t len, size_t *left);
// An answer that is like the one that came last, and a program that takes it whole: the request is freed. False: nothing was done.
bool plx_h3_rx_like(struct plx_h3_req *req, const uint8_t *data, size_t len);

// --- request_tx.c ------------------------------------------------------------------------------------------

void plx_h3_request_on_writable(struct plx_h3_req *req);
enum plx_err plx_h3_request_refuse(struct plx_h3_req *req, uint16_t status); // a bare response of our own

static inline void plx_h3_buf_release(const struct plx_buf *b)
{
    if (b->owner != NULL)
        b->owner->release(b->owner, b->data, b->len);
}

#endif
