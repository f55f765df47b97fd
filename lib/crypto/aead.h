// aead.h -- packet protection as jobs in arrays, RFC 9001 section 5.
//
// The transport never encrypts: it describes what is to be done as jobs, and the engine runs the jobs of a
// whole burst together. A backend is a table of functions chosen once at start; aead_ipsecmb.c is the fast
// one, aead_ref.c (OpenSSL) the plain second opinion that stays for ever and that tests compare with.
//
// Expanded keys are large (about 1 KB for AES-GCM), are the largest part of a connection, and can be rebuilt
// from the traffic secret: see keys.h. Everything here is read-only after start and may be used from any
// thread; a job array belongs to its caller.

#ifndef PLX_CRYPTO_AEAD_H
#define PLX_CRYPTO_AEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum plx_aead_alg {
    PLX_AEAD_AES_128_GCM,
    PLX_AEAD_AES_256_GCM,
    PLX_AEAD_CHACHA20_POLY1305,
    PLX_AEAD_ALG_COUNT,
};

enum {
    PLX_AEAD_TAG_LEN = 16, // all three, RFC 9001 section 5.3
    PLX_AEAD_IV_LEN = 12,
    PLX_AEAD_KEY_MAX = 32,  // raw key octets
    PLX_SECRET_MAX = 48,    // SHA-384
    PLX_HP_SAMPLE_LEN = 16, // RFC 9001 section 5.4.2
    PLX_HP_MASK_LEN = 5,
    PLX_AEAD_SCHED_MAX = 1280, // octets of the largest expanded AEAD key of any backend
    PLX_HP_SCHED_MAX = 240,    // octets of the largest expanded header-protection key
    PLX_HP_AES128_LEN = 192,   // octets of struct plx_hp_key that AES-128, nearly everybody's, reads
};

// Keys of one direction, expanded. Filled by plx_keys_*; read-only afterwards, 64-aligned.
// iv and alg share the last line; the backends prefetch that line and the part of the tables that a packet needs.
struct plx_aead_key {
    _Alignas(64) uint8_t sched[PLX_AEAD_SCHED_MAX];
    uint8_t iv[PLX_AEAD_IV_LEN];
    uint8_t alg; // enum plx_aead_alg
};

struct plx_hp_key {
    _Alignas(64) uint8_t alg; // leads, so that AES-128 reads three lines and no more
    _Alignas(16) uint8_t sched[PLX_HP_SCHED_MAX];
};

_Static_assert(sizeof(struct plx_hp_key) == 256, "four lines, of which AES-128 reads three");

// One packet to seal or open, in place.
struct plx_aead_job {
    const struct plx_aead_key *key;
    uint8_t *text;      // seal: text_len octets of plaintext and 16 writable octets behind them
                        // open: text_len octets of ciphertext of which the last 16 are the tag
    const uint8_t *aad; // the header, with its packet number unmasked
    uint64_t pn;        // the packet number: nonce = iv XOR pn, RFC 9001 section 5.3
    uint16_t text_len;
    uint16_t aad_len;
    bool is_ok; // open: the tag verified (text is garbage otherwise)
};

// One header-protection mask.
struct plx_mask_job {
    const struct plx_hp_key *key;
    const uint8_t *sample;         // 16 octets
    uint8_t mask[PLX_HP_MASK_LEN]; // out
};

// A backend: keys are expanded by the same backend that uses them.
struct plx_aead_backend {
    const char *name; // "ipsecmb", "openssl"
    void (*expand)(struct plx_aead_key *out, enum plx_aead_alg alg, const uint8_t *key, const uint8_t iv[12]);
    void (*hp_expand)(struct plx_hp_key *out, enum plx_aead_alg alg, const uint8_t *key);
    void (*seal)(struct plx_aead_job *jobs, size_t count);
    void (*open)(struct plx_aead_job *jobs, size_t count); // sets is_ok per job
    void (*mask)(struct plx_mask_job *jobs, size_t count); // any mixture of keys and algorithms
    // has what a packet of that length reads of its key on its way into the cache
    void (*prefetch)(const struct plx_aead_key *key, size_t text_len);
};

// Chooses a backend and an instruction set, once per process before the first engine. want: NULL for the best, "ipsecmb", "openssl",
// or "ipsecmb:sse", "ipsecmb:avx2", "ipsecmb:avx512" to force one. describe gets a line for people ("ipsecmb 1.3 avx512+vaes").
// Returns NULL when what was wanted is not usable here; describe then says why. Calling again with the same wish is free.
const struct plx_aead_backend *plx_aead_pick(const char *want, char *describe, size_t describe_len);

size_t plx_aead_key_len(enum plx_aead_alg alg);      // 16, 32, 32
uint64_t plx_aead_seal_limit(enum plx_aead_alg alg); // confidentiality limit in packets, RFC 9001 section 6.6
uint64_t plx_aead_open_limit(
    enum plx_aead_alg alg); // integrity limit in failed packets, RFC 9001 section 6.6

#endif
