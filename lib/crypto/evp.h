// evp.h -- OpenSSL's digests and ciphers, fetched once, with working contexts that belong to a thread.
//
// EVP_*_fetch walks property queries and locks; it is done once per process. A context is memory that
// OpenSSL allocates; each thread makes its set on first use and keeps it, so that afterwards neither a digest
// nor a cipher allocates. The set is freed when its thread ends.

#ifndef PLX_CRYPTO_EVP_H
#define PLX_CRYPTO_EVP_H

#include "crypto/aead.h"

#include <openssl/evp.h>

// What all threads read.
struct plx_evp {
    EVP_MD *sha256, *sha384;
    EVP_CIPHER *aead[PLX_AEAD_ALG_COUNT]; // by enum plx_aead_alg
    EVP_CIPHER *hp[PLX_AEAD_ALG_COUNT];   // AES-ECB, AES-ECB, ChaCha20
};

// One to work with; two that have read the two halves of an HMAC key, for all that is derived from one secret.
struct plx_evp_hash {
    EVP_MD_CTX *work, *inner, *outer;
};

// What one thread works with.
struct plx_evp_thread {
    struct plx_evp_hash sha256, sha384;
    EVP_CIPHER_CTX *aead[PLX_AEAD_ALG_COUNT][2]; // [alg][is_seal]
    EVP_CIPHER_CTX *hp[PLX_AEAD_ALG_COUNT];
};

// Never NULL: a process whose OpenSSL lacks SHA-256 or AES-GCM, or has no memory at start, cannot go on.
const struct plx_evp *plx_evp_get(void);
struct plx_evp_thread *plx_evp_thread_get(void);

#endif
