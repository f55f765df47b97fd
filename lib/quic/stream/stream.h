// stream.h -- one stream: its two state machines, its buffers and its place in the lists of its connection (RFC 9000 sections 2 and 3).
//
// An object of a pool, laid out by who touches it when. A message that arrives in one frame and one that leaves in one frame, whichever
// comes first, touch two lines: as long as that is all (`lean`) the others have not even been written. Whatever is the first to ask for more
// unfolds the stream before: plx_stream_unfold(), streams_int.h. With thousands of requests in flight it is these lines that do not fit the cache.
//
// Its functions for applications (plx_stream_*, include/plx/conn.h) are in stream.c; those of plx_streams_* that take a stream are the
// same for whoever has the container at hand.

#ifndef PLX_QUIC_STREAM_H
#define PLX_QUIC_STREAM_H

#include <plx/types.h>

#include "base/list.h"
#include "quic/stream/flow.h"
#include "quic/stream/recvbuf.h"
#include "quic/stream/sendbuf.h"
#include "quic/stream/stream_state.h"

struct plx_streams;

// Frames of a stream that wait to be written: ctl.
enum plx_stream_ctl {
    PLX_CTL_RESET_STREAM = 1,
    PLX_CTL_STOP_SENDING = 2,
    PLX_CTL_MAX_STREAM_DATA = 4,
    PLX_CTL_STREAM_DATA_BLOCKED = 8,
};

// Facts that no state holds: flags.
enum plx_stream_flag {
    PLX_STREAM_PAUSED = 1,        // on_data took less than it was offered: wait for resume
    PLX_STREAM_RESUMED = 2,       // in the list of streams to offer to again
    PLX_STREAM_DISCARDING = 4,    // nobody wants what arrives any more
    PLX_STREAM_STOP_HOLDS = 8,    // the receiving part stays until STOP_SENDING is acknowledged
    PLX_STREAM_BLOCKED_TOLD = 16, // STREAM_DATA_BLOCKED was sent for the present limit
    PLX_STREAM_WANTS_ROOM = 32,   // a send was refused: on_writable is owed
    PLX_STREAM_IN_DATA = 64,      // on_data runs
    PLX_STREAM_OVER = 128,        // both halves are done: in the list of streams to close
};

// How far a lean stream has come with what it sends, which is one piece with its FIN, in one frame: lean.
enum plx_stream_lean {
    PLX_LEAN_NO,     // it is not that simple, or not any more: all lines hold
    PLX_LEAN_READY,  // nothing was queued so far
    PLX_LEAN_QUEUED, // all of it waits in the list of what is fresh
    PLX_LEAN_SENT,   // it left in one frame, which has not been declared lost
    PLX_LEAN_ACKED,  // and has arrived
};

struct plx_stream {
    // --- line 0: who it is, and what arrives ---
    _Alignas(64) uint64_t id;
    struct plx_streams *streams;
    void *user;
    uint8_t send_state; // enum plx_send_state
    uint8_t recv_state; // enum plx_recv_state
    uint16_t flags;     // enum plx_stream_flag
    uint8_t ctl;        // enum plx_stream_ctl
    uint8_t ready_in;   // enum plx_sched_list
    uint8_t lean;       // enum plx_stream_lean
    uint8_t reserved;
    uint64_t read;       // octets consumed: handed on or thrown away
    uint64_t recvd;      // highest offset received; the final size once that is known
    uint64_t recv_limit; // what the peer was told: a copy of flow.limit
    uint64_t send_limit; // what the peer allows
    // --- line 1: what is sent, in pieces; of a lean stream the first, and nothing behind it means anything ---
    struct plx_list ready;   // sched.h
    struct plx_sendbuf send; // line 2: how much of it
    // --- line 3, after what the buffer needs under loss: where it stands ---
    struct plx_list ctl_node; // streams with ctl to write
    struct plx_list later;    // streams to resume, or to close
    struct plx_recvbuf *held;
    uint64_t notify_below; // on_writable is owed when fewer octets than this are unacknowledged; 0: not
    // --- cold ---
    struct plx_flow flow;           // until the size is known
    uint64_t reset_code, stop_code; // from when they are needed on
};

enum { PLX_STREAM_LEAN_SIZE = 128 }; // what a lean stream is
_Static_assert(offsetof(struct plx_stream, ready) == 64, "who it is and what arrives must fit one line");
_Static_assert(offsetof(struct plx_stream, send.acked) == PLX_STREAM_LEAN_SIZE,
               "the pieces must fit one line");
_Static_assert(offsetof(struct plx_stream, send.acks) == 192, "sending in order must fit one line");
_Static_assert(offsetof(struct plx_stream, flow) == 256, "all but credit must fit four lines");
_Static_assert(sizeof(struct plx_stream) == 320, "five lines");

//= rfc9000 2.1 "The least significant bit (0x01) of the stream ID identifies the initiator"
static inline bool plx_stream_id_is_server(uint64_t id)
{
    return (id & 1) != 0;
}
static inline bool plx_stream_id_is_uni(uint64_t id)
{
    return (id & 2) != 0;
}

#endif
