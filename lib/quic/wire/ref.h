// ref.h -- what must be remembered of a frame that was sent, so that it can be acknowledged or sent again.
//
// Frames are referenced, never copied (RFC 9000 section 13.3 says what each needs when lost). A writer of frames puts its bytes into
// the packet through a plx_wr and one reference into the packet's plx_refs; recovery keeps the references beside the packet's number
// and hands each back, once, as acknowledged or as lost, to the module that `kind` names.

#ifndef PLX_QUIC_REF_H
#define PLX_QUIC_REF_H

#include <stdbool.h>
#include <stdint.h>

enum plx_ref_kind {
    PLX_REF_ACK,    // offset: largest acknowledged in the frame; acked: forget ranges up to it. lost: nothing
    PLX_REF_PING,   // nothing either way
    PLX_REF_CRYPTO, // offset, len
    PLX_REF_STREAM, // id, offset, len, fin
    PLX_REF_RESET_STREAM,        // id
    PLX_REF_STOP_SENDING,        // id
    PLX_REF_MAX_DATA,            // offset: value
    PLX_REF_MAX_STREAM_DATA,     // id, offset: value
    PLX_REF_MAX_STREAMS,         // id: 0 bidi, 1 uni; offset: value
    PLX_REF_DATA_BLOCKED,        // offset: limit
    PLX_REF_STREAM_DATA_BLOCKED, // id, offset: limit
    PLX_REF_STREAMS_BLOCKED,     // id: 0 bidi, 1 uni; offset: limit
    PLX_REF_NEW_CID,             // id: sequence number
    PLX_REF_RETIRE_CID,          // id: sequence number
    PLX_REF_NEW_TOKEN,
    PLX_REF_PATH_CHALLENGE, // not repeated by loss; the path's own timer does
    PLX_REF_HANDSHAKE_DONE,
    PLX_REF_KIND_COUNT,
};

struct plx_ref {
    uint64_t id;
    uint64_t offset;
    uint32_t len;
    uint8_t kind; // enum plx_ref_kind
    bool fin;
};

enum { PLX_REFS_MAX = 64 }; // frames in one packet that must be remembered

struct plx_refs { // of the packet under construction
    uint8_t count;
    struct plx_ref v[PLX_REFS_MAX];
};

static inline bool plx_refs_has_room(const struct plx_refs *r)
{
    return r->count < PLX_REFS_MAX;
}

#endif
