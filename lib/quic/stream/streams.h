// streams.h -- all streams of a connection, and the flow control over them (RFC 9000 sections 2, 3, 4).
//
// Frames of streams come in here and go out here; the connection only dispatches. Request streams live in a window indexed by stream
// number, because clients open them in order and they close nearly in order; stragglers that the window has left behind stand in a
// small list. Nothing here knows packets, keys or time (but for auto-tuning, which is given now and the RTT).

#ifndef PLX_QUIC_STREAMS_H
#define PLX_QUIC_STREAMS_H

#include <plx/types.h>

#include "base/cursor.h"
#include "base/list.h"
#include "quic/wire/frame.h"
#include "quic/wire/ref.h"
#include "quic/stream/refused.h"
#include "quic/stream/sched.h"
#include "quic/stream/stream.h"
#include "quic/stream/window.h"

struct plx_pool;
struct plx_slab;

// Upwards; called from inside on_* and plx_streams_* functions. They may send, reset, open, resume, but not free the container.
// All must be set (on_message and on_answer where they are wanted, on_recall where streams are put away). on_reset is not called for a stream on which stop_sending was called: nobody waits for it.
struct plx_streams_events {
    void (*on_stream)(void *arg, struct plx_stream *s);
    size_t (*on_data)(void *arg, struct plx_stream *s, const uint8_t *data, size_t len, bool fin);
    void (*on_reset)(void *arg, struct plx_stream *s, uint64_t code);
    void (*on_stop_sending)(void *arg, struct plx_stream *s, uint64_t code);
    void (*on_writable)(void *arg, struct plx_stream *s);
    void (*on_closed)(void *arg, struct plx_stream *s);
    void (*on_available)(void *arg, bool is_uni);
    void (*on_wake)(void *arg); // something to send has appeared
    // In place of on_stream and on_data, where wants_messages is set: a new stream of the peer with all of its octets, and the FIN.
    size_t (*on_message)(void *arg, struct plx_stream *s, const uint8_t *data, size_t len);
    // In place of on_data, where wants_answers is set: all octets of a stream of two directions of ours, and the FIN.
    size_t (*on_answer)(void *arg, struct plx_stream *s, const uint8_t *data, size_t len);
    // After plx_streams_park() only: what was put away is needed (plx_streams_recall). False: there are no objects for it.
    bool (*on_recall)(void *arg);
};

struct plx_streams_cfg {
    bool is_server;
    uint64_t conn_window, conn_window_max, stream_window,
        stream_window_max;              // ours; stream_window <= PLX_RECVBUF_WINDOW_MAX
    uint32_t streams_bidi, streams_uni; // ours: concurrent, peer-initiated; <= PLX_WINDOW_OLD_MAX
    // application error code for a stream that finds the pool empty (HTTP/3: H3_REQUEST_REJECTED)
    uint64_t refuse_code;
};

// The peer's transport parameters (also remembered ones for 0-RTT): its limits on us.
struct plx_streams_peer {
    uint64_t max_data, max_stream_data_bidi_local, max_stream_data_bidi_remote, max_stream_data_uni,
        max_streams_bidi, max_streams_uni;
};

// Frames of the connection as a whole that wait to be written: ctl.
enum plx_streams_ctl {
    PLX_CTL_MAX_DATA = 1,
    PLX_CTL_DATA_BLOCKED = 2,
    PLX_CTL_MAX_STREAMS = 4,      // 4 bidi, 8 uni
    PLX_CTL_STREAMS_BLOCKED = 16, // 16 bidi, 32 uni
};
// What was said for the present limit and need not be said again: told.
enum plx_streams_told { PLX_TOLD_DATA_BLOCKED = 1, PLX_TOLD_STREAMS_BLOCKED = 2 /* 2 bidi, 4 uni */ };

struct plx_streams { // embedded in the connection; must not move
    // A request touches four lines, if the first begins one.
    // --- line 0: who to call, where from, and the connection's octets ---
    const struct plx_streams_events *events;
    void *arg; // a connection's: plx_stream_conn() returns it
    struct plx_pool *pool;
    struct plx_slab *slab;
    uint64_t recvd, consumed;  // octets over all streams
    uint64_t send_limit, sent; // octets over all streams: the peer's limit, and what was used of it
    // --- line 1: credit, and what waits for the end of a call ---
    struct plx_flow flow; // of the connection
    struct plx_list resumed, over;
    uint32_t count; // streams that are open
    uint8_t ctl;    // enum plx_streams_ctl
    uint8_t told;   // enum plx_streams_told
    uint8_t depth;  // entries from below that are under way: streams are closed when the outermost one ends
    bool is_server : 1;          // as cfg says
    bool is_ending : 1;          // fini runs: nobody is woken any more
    bool wants_messages : 1;     // of a server: on_message may be called
    bool wants_answers : 1;      // of a client: on_answer may be called
    bool is_refused_waiting : 1; // an entry of `refused` may have STOP or RESET: look
    // --- line 2: what is to be written ---
    struct plx_sched sched;
    struct plx_list ctl_streams; // streams with frames of flow control, reset and stop to write
    // Of streams that clients open, as cfg and the peer say: what we may send, and receive, at first. When the second does not fit it is cut.
    uint64_t request_send_limit;
    uint32_t request_window;
    int32_t
        requests_ahead; // the limit is raised when it is no more than so far ahead of those that are closed
    // --- line 3: who is where ---
    struct plx_window window[4]; // index: the two low bits of the stream ID. Requests are those of 0
    // --- cold ---
    struct plx_refused_list refused;
    struct plx_streams_peer peer;
    struct plx_streams_cfg cfg; // with its limits cut to what the structures can hold
    bool is_available_owed[2];  // an open was refused for the peer's limit: on_available is owed (bidi, uni)
    int32_t unis_ahead;         // as requests_ahead
    // --- counted ---
    uint64_t refused_total; // streams that found the pool empty
    uint64_t ignored_total; // frames for streams that are closed
    uint64_t stopped_total; // streams whose receive buffer found the slab empty
};
_Static_assert(offsetof(struct plx_streams, flow) == 64, "octets must fit one line");
_Static_assert(offsetof(struct plx_streams, sched) == 128, "credit must fit one line");
_Static_assert(offsetof(struct plx_streams, window) == 192, "what is to be written must fit one line");
_Static_assert(sizeof(struct plx_window) == 64, "requests must fit one line");

void plx_streams_init(struct plx_streams *ss, const struct plx_streams_cfg *cfg, struct plx_pool *pool,
                      struct plx_slab *slab, const struct plx_streams_events *events, void *arg);
void plx_streams_fini(struct plx_streams *ss); // closes all: on_closed for each, owners released

// May be called again with larger limits; smaller ones are ignored.
void plx_streams_set_peer(struct plx_streams *ss, const struct plx_streams_peer *p);
// Nothing that was sent counts, and these limits take the place of others, though they may be smaller (0-RTT was refused). False: more is
// used already than they allow.
PLX_MUST_USE bool plx_streams_reset_peer(struct plx_streams *ss, const struct plx_streams_peer *p);

// Frames received. Return 0, or a transport error code of RFC 9000 section 20.1 that closes the connection (STREAM_LIMIT_ERROR,
// STREAM_STATE_ERROR, FINAL_SIZE_ERROR, FLOW_CONTROL_ERROR). An empty pool is no error of the connection: the stream is refused with
// cfg.refuse_code; an empty slab likewise stops the stream (on_reset with refuse_code). INTERNAL_ERROR only when the slab has not even the small block
// left in which streams are found again. No stream is closed from inside the functions of "From above": on_closed waits for the next
// call from below (plx_streams_wants_write is true until then).
uint64_t plx_streams_on_stream(struct plx_streams *ss, const struct plx_frame_stream *f, plx_time now);
uint64_t plx_streams_on_reset_stream(struct plx_streams *ss, const struct plx_frame_reset_stream *f);
uint64_t plx_streams_on_stop_sending(struct plx_streams *ss, const struct plx_frame_stop_sending *f);
uint64_t plx_streams_on_max_data(struct plx_streams *ss, uint64_t maximum);
uint64_t plx_streams_on_max_stream_data(struct plx_streams *ss, uint64_t id, uint64_t maximum);
uint64_t plx_streams_on_max_streams(struct plx_streams *ss, bool is_uni, uint64_t maximum);
uint64_t plx_streams_on_data_blocked(struct plx_streams *ss, uint64_t limit);
uint64_t plx_streams_on_stream_data_blocked(struct plx_streams *ss, uint64_t id, uint64_t limit);
uint64_t plx_streams_on_streams_blocked(struct plx_streams *ss, bool is_uni, uint64_t limit);

// Offers kept octets again to streams on which resume was called. Call once per delivered packet or breath, outside of events.
// (resume calls on_wake, so that a breath comes.)
void plx_streams_run_resumed(struct plx_streams *ss, plx_time now);
static inline bool plx_streams_has_resumed(const struct plx_streams *ss)
{
    return !plx_list_is_empty(&ss->resumed);
}

// Frames to send: writes as many as fit into w, one reference each into refs. Order: flow-control and reset frames, then lost stream octets, then new ones,
// round robin between streams ready to send (each gets what fits into a packet; small streams are packed together). rtt for auto-tuning.
void plx_streams_write(struct plx_streams *ss, struct plx_wr *w, struct plx_refs *refs, plx_time now,
                       plx_dur rtt);
bool plx_streams_wants_write(
    const struct plx_streams *ss); // something that flow control allows, or a control frame
bool plx_streams_is_app_limited(const struct plx_streams *ss); // nothing left to send but for flow control

// References of kinds STREAM..STREAMS_BLOCKED of sent packets. A stream that is complete is closed from inside on_acked.
void plx_streams_on_acked(struct plx_streams *ss, const struct plx_ref *ref);
// The same for all references of STREAM frames at the front of these: returns how many they are.
unsigned plx_streams_on_frames_acked(struct plx_streams *ss, const struct plx_ref *refs, unsigned count);
void plx_streams_on_lost(struct plx_streams *ss, const struct plx_ref *ref);

// From above (plx/conn.h's functions are thin wrappers of these).
enum plx_err plx_streams_open(struct plx_streams *ss, bool is_uni, struct plx_stream **out);
enum plx_err plx_streams_send(struct plx_streams *ss, struct plx_stream *s, const struct plx_buf *bufs,
                              uint16_t count, bool fin); // all or nothing
enum plx_err plx_streams_send_copy(struct plx_streams *ss, struct plx_stream *s, const void *data, size_t len,
                                   bool fin);
// A client's: opens a stream of two directions on which buf is all that we say. NULL: it is not that simple now, and nothing was done; open
// and send tell why, or do it.
struct plx_stream *plx_streams_ask(struct plx_streams *ss, const struct plx_buf *buf, void *user);
void plx_streams_reset(struct plx_streams *ss, struct plx_stream *s, uint64_t code);
void plx_streams_stop_sending(struct plx_streams *ss, struct plx_stream *s, uint64_t code);
void plx_streams_resume(struct plx_streams *ss, struct plx_stream *s);
// Both directions at once, as far as they are still open: reset and stop_sending with one code.
void plx_streams_refuse(struct plx_streams *ss, struct plx_stream *s, uint64_t code);

// Bidirectional streams of ours are open: as a rule somebody owes us an answer.
static inline bool plx_streams_is_expecting(const struct plx_streams *ss)
{
    const struct plx_window *w = &ss->window[ss->cfg.is_server ? 1 : 0];
    return w->next > w->closed;
}
uint32_t plx_streams_count(const struct plx_streams *ss); // open ones, both sides
void plx_streams_verify(const struct plx_streams *ss);

#endif
