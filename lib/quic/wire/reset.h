// reset.h -- stateless resets, RFC 9000 section 10.3: the last word of a server that has forgotten the connection.
//
// The token of a connection ID is PRF(reset_key, ID): whoever has the key can make it again without any state, so a restarted
// process, or another server behind the same balancer, can end connections of the one before. The packet looks like a short
// header packet of random octets with the token at its end.

#ifndef PLX_QUIC_RESET_H
#define PLX_QUIC_RESET_H

#include "quic/wire/frame.h"

enum {
    PLX_RESET_KEY_LEN = 32,
    PLX_RESET_LEN_MIN = 21, // section 10.3: 5 octets of header and random bits, and the token
    PLX_RESET_LEN_MAX = 43, // what we send at most: long enough to look like any small packet
};

// HMAC-SHA256 of the ID, cut to 16 octets.
void plx_reset_token(const uint8_t key[PLX_RESET_KEY_LEN], const struct plx_cid *cid,
                     uint8_t token[PLX_RESET_TOKEN_LEN]);

// Writes a stateless reset as an answer to a datagram of trigger_len octets: always shorter than it (so that two endpoints do not
// reset each other for ever), and unpredictable. random: at least PLX_RESET_LEN_MAX octets.
// Returns its length; 0 when the trigger is too short to be answered or w has too little room.
size_t plx_reset_write(struct plx_wr *w, size_t trigger_len, const uint8_t token[PLX_RESET_TOKEN_LEN],
                       const uint8_t *random);

// Whether a datagram that could not be opened ends with this token. Constant time. See also plx_cids_peer_is_reset().
bool plx_reset_is_match(const uint8_t *dgram, size_t len, const uint8_t token[PLX_RESET_TOKEN_LEN]);

#endif
