// token.h -- address validation tokens, RFC 9000 sections 8.1.2 to 8.1.4: what a server tells a client to say, and believes later.
//
// A token is sealed with AES-128-GCM under a key of the server (or of a fleet of servers), so that nothing needs to be remembered:
//
//   octet 0: kind (top bit) and the key's name (7 bits) | 12 random octets, the nonce | sealed content | 16 octets of tag
//
//   Retry      time, original destination connection ID, client's address *and port*; lives for seconds
//   NEW_TOKEN  time, client's address without the port; lives for days, and is good for one use
//
// A key's name comes from the key itself, so servers that share keys agree about names whatever the order in which they got them.
// The newest key seals; the newest two open.
//
// Threads: one writer (the control plane) calls rotate; any number of cores seal and open at the same time. Four slots stand in a
// ring: rotation n fills slot n % 4, and only then publishes n (release; readers acquire). Readers of n touch the slots of n
// and n - 1, so a slot is written again only three rotations after it was last current: rotations that lie minutes apart can
// never meet a reader, whose call takes a microsecond. Time is whatever clock all who share the keys agree on.
//
// Replay: a NEW_TOKEN that was used is remembered by its random octets in a small filter per core (struct plx_token_seen), two
// generations of bits. It forgets nothing within a generation's lifetime; it may take a fresh token for a used one (rarely: then
// the client is validated by Retry or by its handshake, which costs a round trip and nothing else).

#ifndef PLX_QUIC_TOKEN_H
#define PLX_QUIC_TOKEN_H

#include <plx/types.h>
#include <stdatomic.h>

#include "crypto/aead.h"
#include "quic/wire/packet.h"

enum {
    PLX_TOKEN_SECRET_LEN = 16,
    PLX_TOKEN_NONCE_LEN = 12,
    PLX_TOKEN_LEN_MAX = 112, // any token that we make
    PLX_TOKEN_SLOTS = 4,
    PLX_TOKEN_SEEN_BITS_LOG2 = 16,
};

enum plx_token_kind { PLX_TOKEN_RETRY, PLX_TOKEN_NEW };

struct plx_token_slot {
    struct plx_aead_key key;
    uint8_t name; // 7 bits
};

struct plx_token_keys {
    const struct plx_aead_backend *aead;
    _Atomic uint64_t epoch; // rotations so far; slot epoch % PLX_TOKEN_SLOTS is the newest
    struct plx_token_slot slot[PLX_TOKEN_SLOTS];
};

// Without a key until the first rotation (then open says INVALID and seal returns 0). Before any reader.
void plx_token_keys_init(struct plx_token_keys *k, const struct plx_aead_backend *aead);
// A new key seals from now on; the one before still opens. The writer's thread only.
void plx_token_keys_rotate(struct plx_token_keys *k, const uint8_t secret[PLX_TOKEN_SECRET_LEN]);

// Make a token of at most PLX_TOKEN_LEN_MAX octets in out; return its length (0: no key yet). nonce: unpredictable octets, never used before.
size_t plx_token_seal_retry(const struct plx_token_keys *k, const struct plx_cid *odcid,
                            const struct plx_cid *retry_scid, const struct plx_addr *peer, plx_time now,
                            const uint8_t nonce[PLX_TOKEN_NONCE_LEN], uint8_t out[PLX_TOKEN_LEN_MAX]);
size_t plx_token_seal_new(const struct plx_token_keys *k, const struct plx_addr *peer, plx_time now,
                          const uint8_t nonce[PLX_TOKEN_NONCE_LEN], uint8_t out[PLX_TOKEN_LEN_MAX]);

enum plx_token_result {
    PLX_TOKEN_OK,
    PLX_TOKEN_INVALID, // not ours, damaged, or of a key that is gone: as if there were no token (section 8.1.3)
    PLX_TOKEN_EXPIRED,  // ours, too old (or from the future)
    PLX_TOKEN_FOREIGN,  // ours, made for another address, or a Retry token used with another connection ID
    PLX_TOKEN_REPLAYED, // ours, used before
};

// The kind that a token claims to be of, without believing it. A Retry token that is not OK closes with INVALID_TOKEN
// (section 8.1.2), a NEW_TOKEN one is ignored.
static inline enum plx_token_kind plx_token_kind(const uint8_t *token, size_t len)
{
    return len > 0 && (token[0] & 0x80) ? PLX_TOKEN_RETRY : PLX_TOKEN_NEW;
}

struct plx_token_info { // of a token that is OK (and of EXPIRED, FOREIGN ones as far as known)
    enum plx_token_kind kind;
    plx_time made;
    struct plx_cid odcid; // RETRY: original_destination_connection_id
};

struct plx_token_life {
    plx_dur retry, new_token;
};

// Used NEW_TOKEN tokens of a core.
struct plx_token_seen {
    plx_time since; // when the younger generation began
    uint64_t bits[2][(1u << PLX_TOKEN_SEEN_BITS_LOG2) / 64];
    uint32_t count; // in the younger
    uint8_t young;
};
void plx_token_seen_init(struct plx_token_seen *s, plx_time now);

// dcid: of the Initial that carries the token (a Retry token is only good with the ID that the Retry named).
// seen may be NULL: replays are then not noticed. A NEW_TOKEN that is OK is marked as used.
enum plx_token_result plx_token_open(const struct plx_token_keys *k, const uint8_t *token, size_t len,
                                     const struct plx_addr *peer, const struct plx_cid *dcid, plx_time now,
                                     const struct plx_token_life *life, struct plx_token_seen *seen,
                                     struct plx_token_info *out);

#endif
