// tparam.h -- transport parameters, RFC 9000 section 18, and the few of later RFCs that we know.
//
// They arrive once per connection inside the TLS handshake, as a list of (identifier, length, value). Reading checks all that the
// list itself can tell: duplicates, lengths, ranges, and what only a server may send. What has to agree with the connection (the
// three connection IDs of section 7.3) is the handshake's business. Unknown parameters are ignored, as they must be; some of them
// are there to see that we do.
//
// For 0-RTT a client remembers a subset of the server's parameters (section 7.4.1), and a server what it promised: the remembered
// form is again such a list, so that one reader understands both.

#ifndef PLX_QUIC_TPARAM_H
#define PLX_QUIC_TPARAM_H

#include <plx/types.h>

#include "quic/wire/frame.h"

struct plx_preferred_addr {
    struct plx_addr ip4, ip6; // af NONE when all zero: not offered
    struct plx_cid cid;
    uint8_t token[PLX_RESET_TOKEN_LEN];
};

struct plx_tparams {
    // Absent integers have their defaults (plx_tparams_init).
    uint64_t max_idle_timeout_ms;  // 0: none
    uint64_t max_udp_payload_size; // 65527
    uint64_t initial_max_data;
    uint64_t initial_max_stream_data_bidi_local, initial_max_stream_data_bidi_remote,
        initial_max_stream_data_uni;
    uint64_t initial_max_streams_bidi, initial_max_streams_uni;
    uint64_t ack_delay_exponent;         // 3
    uint64_t max_ack_delay_ms;           // 25
    uint64_t active_connection_id_limit; // 2
    uint64_t max_datagram_frame_size;    // RFC 9221; 0: no datagrams
    bool disable_active_migration;
    bool grease_quic_bit; // RFC 9287: the peer accepts any value of the fixed bit
    bool has_original_dcid, has_initial_scid, has_retry_scid, has_reset_token, has_preferred_addr;
    struct plx_cid original_dcid; // server only
    struct plx_cid initial_scid;
    struct plx_cid retry_scid;                // server only
    uint8_t reset_token[PLX_RESET_TOKEN_LEN]; // server only
    struct plx_preferred_addr preferred_addr; // server only
};

enum { PLX_TPARAMS_LEN_MAX = 512 }; // ours, written, with every parameter and grease

void plx_tparams_init(struct plx_tparams *t); // the defaults of section 18.2

// Reads a peer's list into *out (initialised here). is_from_server: server-only parameters may be there.
// Returns NULL, or what is wrong: the reason of a TRANSPORT_PARAMETER_ERROR, a constant sentence.
const char *plx_tparams_read(const uint8_t *p, size_t len, bool is_from_server, struct plx_tparams *out);

// Writes ours. Values that equal their defaults are left out. grease: not 0 adds a reserved parameter (section 18.1) with an
// identifier and content made from it. False: it did not fit and *w is unchanged.
bool plx_tparams_write(struct plx_wr *w, const struct plx_tparams *t, uint64_t grease);

// What is remembered for 0-RTT (section 7.4.1), as a list; plx_tparams_read(..., true, ...) reads it again.
bool plx_tparams_write_remembered(struct plx_wr *w, const struct plx_tparams *t);
// Whether a server's new parameters keep what an older connection was promised: none of the limits that 0-RTT data relied on is lower.
bool plx_tparams_is_kept(const struct plx_tparams *remembered, const struct plx_tparams *now);

#endif
