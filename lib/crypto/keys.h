// keys.h -- from TLS secrets to packet keys, RFC 9001 sections 5.1, 5.2, 5.8 and 6.1.
//
// A traffic secret is all that must be kept of a key: the expanded tables are derived from it whenever they
// are needed. Versions differ only in labels and salts, which are rows of a table (version 1 now; version 2,
// RFC 9369, is one more row). No function here allocates, and none fetches EVP objects per call.

#ifndef PLX_CRYPTO_KEYS_H
#define PLX_CRYPTO_KEYS_H

#include "crypto/aead.h"

struct plx_secret {
    uint8_t bytes[PLX_SECRET_MAX];
    uint8_t len; // 32 (SHA-256) or 48 (SHA-384: AES-256-GCM)
    uint8_t alg; // enum plx_aead_alg
};

#define PLX_QUIC_V1 UINT32_C(0x00000001)

// HKDF-Expand-Label of RFC 8446 section 7.1 with the hash that len of the secret implies. out_len <= 48.
void plx_hkdf_expand_label(const struct plx_secret *secret, const char *label, uint8_t *out, size_t out_len);
// The same for several values of one secret, which is then read once.
struct plx_label {
    const char *name;
    uint8_t *out;
    size_t len;
};
void plx_hkdf_expand_labels(const struct plx_secret *secret, const struct plx_label *labels, size_t count);
// HKDF-Extract with SHA-256.
void plx_hkdf_extract(const uint8_t *salt, size_t salt_len, const uint8_t *ikm, size_t ikm_len,
                      uint8_t prk[32]);

// Client and server Initial secrets from the client's first Destination Connection ID, RFC 9001 section 5.2.
void plx_secret_initial(uint32_t version, const uint8_t *dcid, size_t dcid_len, struct plx_secret *client,
                        struct plx_secret *server);

// What the tables of one direction are expanded from: to have them again costs a tenth of deriving them from the secret.
struct plx_material {
    uint8_t key[PLX_AEAD_KEY_MAX], hp[PLX_AEAD_KEY_MAX], iv[PLX_AEAD_IV_LEN];
    uint8_t alg; // enum plx_aead_alg
};

// "quic key", "quic iv" and their expansion.
void plx_keys_aead(const struct plx_aead_backend *b, uint32_t version, const struct plx_secret *s,
                   struct plx_aead_key *out);
// "quic hp" and its expansion.
void plx_keys_hp(const struct plx_aead_backend *b, uint32_t version, const struct plx_secret *s,
                 struct plx_hp_key *out);
// Both, which is cheaper together.
void plx_keys_both(const struct plx_aead_backend *b, uint32_t version, const struct plx_secret *s,
                   struct plx_aead_key *aead, struct plx_hp_key *hp);
// The same in two steps: "quic key", "quic iv" and "quic hp", and the secret of the next key phase where next is not NULL; or,
// for another key phase, "quic key" and "quic iv" alone...
void plx_material_all(uint32_t version, const struct plx_secret *s, struct plx_material *m,
                      struct plx_secret *next);
void plx_material_aead(uint32_t version, const struct plx_secret *s, struct plx_material *m);
// ...and the expansion.
void plx_expand_aead(const struct plx_aead_backend *b, const struct plx_material *m,
                     struct plx_aead_key *out);
void plx_expand_hp(const struct plx_aead_backend *b, const struct plx_material *m, struct plx_hp_key *out);

// "quic ku": the secret of the next key phase, RFC 9001 section 6.1.
void plx_secret_next(uint32_t version, const struct plx_secret *s, struct plx_secret *next);

// The Retry Integrity Tag over the pseudo-packet, RFC 9001 section 5.8. retry is the packet without its tag.
void plx_retry_tag(const struct plx_aead_backend *b, uint32_t version, const uint8_t *odcid, size_t odcid_len,
                   const uint8_t *retry, size_t retry_len, uint8_t tag[PLX_AEAD_TAG_LEN]);

// Forgets: overwritten in a way the compiler keeps.
void plx_secret_wipe(struct plx_secret *s);
void plx_bytes_wipe(void *p, size_t len);

// Constant-time comparison of secrets and tokens.
bool plx_bytes_equal(const void *a, const void *b, size_t len);

// Bytes from the operating system's generator, for keys made at start and for seeding; not on the packet path.
bool plx_random_bytes(void *p, size_t len);

#endif
