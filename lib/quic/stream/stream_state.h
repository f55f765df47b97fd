// stream_state.h -- the state machines of the sending and the receiving part of a stream (RFC 9000 section 3).
//
// The arrows are listed once, in stream_state.def. Here they become enumerations; in stream_state.c tables, names and pictures.
// A part that a stream does not have (the sending part of the peer's unidirectional one) is in state NONE, from which no arrow
// leaves. Both machines end in a state without arrows: when both are there, the stream is over.

#ifndef PLX_QUIC_STREAM_STATE_H
#define PLX_QUIC_STREAM_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum plx_send_state {
    PLX_SEND_NONE,
#define PLX_SEND_STATE(name) PLX_SEND_##name,
#include "quic/stream/stream_state.def"
#undef PLX_SEND_STATE
    PLX_SEND_STATE_COUNT,
};

enum plx_send_event {
#define PLX_SEND_EVENT(name) PLX_SEND_ON_##name,
#include "quic/stream/stream_state.def"
#undef PLX_SEND_EVENT
    PLX_SEND_EVENT_COUNT,
};

enum plx_recv_state {
    PLX_RECV_NONE,
#define PLX_RECV_STATE(name) PLX_RECV_##name,
#include "quic/stream/stream_state.def"
#undef PLX_RECV_STATE
    PLX_RECV_STATE_COUNT,
};

enum plx_recv_event {
#define PLX_RECV_EVENT(name) PLX_RECV_ON_##name,
#include "quic/stream/stream_state.def"
#undef PLX_RECV_EVENT
    PLX_RECV_EVENT_COUNT,
};

extern const uint8_t plx_send_next[PLX_SEND_STATE_COUNT]
                                  [PLX_SEND_EVENT_COUNT]; // PLX_SEND_NONE: no such arrow
extern const uint8_t plx_recv_next[PLX_RECV_STATE_COUNT][PLX_RECV_EVENT_COUNT];

// Follows an arrow; false, and nothing changes, when there is none.
static inline bool plx_send_on(uint8_t *state, enum plx_send_event ev)
{
    uint8_t next = plx_send_next[*state][ev];
    if (next == PLX_SEND_NONE)
        return false;
    *state = next;
    return true;
}

static inline bool plx_recv_on(uint8_t *state, enum plx_recv_event ev)
{
    uint8_t next = plx_recv_next[*state][ev];
    if (next == PLX_RECV_NONE)
        return false;
    *state = next;
    return true;
}

static inline bool plx_send_is_over(uint8_t s)
{
    return s == PLX_SEND_NONE || s == PLX_SEND_DATA_RECVD || s == PLX_SEND_RESET_RECVD;
}

static inline bool plx_recv_is_over(uint8_t s)
{
    return s == PLX_RECV_NONE || s == PLX_RECV_DATA_READ || s == PLX_RECV_RESET_READ;
}

// "READY", "DATA_SENT": the names of the figures, for logs. Never NULL.
const char *plx_send_state_name(uint8_t state);
const char *plx_recv_state_name(uint8_t state);

// The machine as a picture in the language of dot: at most cap octets including the NUL, returns the length that it would have.
size_t plx_send_dot(char *out, size_t cap);
size_t plx_recv_dot(char *out, size_t cap);

#endif
