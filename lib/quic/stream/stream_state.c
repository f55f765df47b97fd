// stream_state.c -- the arrows of stream_state.def as tables, names and pictures.

#include "quic/stream/stream_state.h"

#include <stdio.h>

const uint8_t plx_send_next[PLX_SEND_STATE_COUNT][PLX_SEND_EVENT_COUNT] = {
#define PLX_SEND_ARROW(from, event, to) [PLX_SEND_##from][PLX_SEND_ON_##event] = PLX_SEND_##to,
#include "quic/stream/stream_state.def"
#undef PLX_SEND_ARROW
};

const uint8_t plx_recv_next[PLX_RECV_STATE_COUNT][PLX_RECV_EVENT_COUNT] = {
#define PLX_RECV_ARROW(from, event, to) [PLX_RECV_##from][PLX_RECV_ON_##event] = PLX_RECV_##to,
#include "quic/stream/stream_state.def"
#undef PLX_RECV_ARROW
};

const char *plx_send_state_name(uint8_t state)
{
    static const char *const name[PLX_SEND_STATE_COUNT] = {
        "NONE",
#define PLX_SEND_STATE(name) #name,
#include "quic/stream/stream_state.def"
#undef PLX_SEND_STATE
    };
    return state < PLX_SEND_STATE_COUNT ? name[state] : "?";
}

const char *plx_recv_state_name(uint8_t state)
{
    static const char *const name[PLX_RECV_STATE_COUNT] = {
        "NONE",
#define PLX_RECV_STATE(name) #name,
#include "quic/stream/stream_state.def"
#undef PLX_RECV_STATE
    };
    return state < PLX_RECV_STATE_COUNT ? name[state] : "?";
}

size_t plx_send_dot(char *out, size_t cap)
{
    int len = snprintf(out, cap,
                       "digraph send {\n"
#define PLX_SEND_ARROW(from, event, to) "  " #from " -> " #to " [label=\"" #event "\"];\n"
#include "quic/stream/stream_state.def"
#undef PLX_SEND_ARROW
                       "}\n");
    return len < 0 ? 0 : (size_t)len;
}

size_t plx_recv_dot(char *out, size_t cap)
{
    int len = snprintf(out, cap,
                       "digraph recv {\n"
#define PLX_RECV_ARROW(from, event, to) "  " #from " -> " #to " [label=\"" #event "\"];\n"
#include "quic/stream/stream_state.def"
#undef PLX_RECV_ARROW
                       "}\n");
    return len < 0 ? 0 : (size_t)len;
}
