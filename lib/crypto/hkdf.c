// hkdf.c -- HKDF (RFC 5869) and HKDF-Expand-Label (RFC 8446 section 7.1) from two digests.
//
// A new connection derives nine values before its first byte is understood, so this stands on the path of
// every Initial packet, real or forged. OpenSSL's EVP_KDF costs a fetch and a dozen allocations per value; two
// digests on a context that its thread keeps cost about 0.2 us. HMAC by hand is six lines and the keys here are
// never longer than a block, so its rare half (hashing a long key) exists only for the salt of Extract.
// What QUIC wants is at most 48 octets: one block of output, or with SHA-256 sometimes two.

#include "crypto/keys.h"
#include "crypto/evp.h"
#include "base/check.h"

#include <string.h>

enum { BLOCK_MAX = 128, DIGEST_MAX = 48, LABEL_MAX = 32, INFO_MAX = 2 + 1 + 6 + LABEL_MAX + 1 + 1 };

struct hash {
    EVP_MD_CTX *ctx;
    const EVP_MD *md;
    size_t block, len;
};

static struct hash hash_get(size_t digest_len)
{
    const struct plx_evp *e = plx_evp_get();
    struct plx_evp_thread *t = plx_evp_thread_get();
    if (digest_len == 48)
        return (struct hash){t->sha384, e->sha384, 128, 48};
    plx_check(digest_len == 32);
    return (struct hash){t->sha256, e->sha256, 64, 32};
}

static void digest(const struct hash *h, const void *a, size_t a_len, const void *b, size_t b_len,
                   uint8_t *out)
{
    bool is_ok = EVP_DigestInit_ex2(h->ctx, h->md, NULL) == 1;
    is_ok = is_ok && EVP_DigestUpdate(h->ctx, a, a_len) == 1;
    is_ok = is_ok && EVP_DigestUpdate(h->ctx, b, b_len) == 1;
    is_ok = is_ok && EVP_DigestFinal_ex(h->ctx, out, NULL) == 1;
    plx_check(is_ok);
}

// RFC 2104.
static void hmac(const struct hash *h, const uint8_t *key, size_t key_len, const void *msg, size_t msg_len,
                 uint8_t *out)
{
    uint8_t pad[BLOCK_MAX], inner[DIGEST_MAX], short_key[DIGEST_MAX];

    if (key_len > h->block) {
        digest(h, key, key_len, "", 0, short_key);
        key = short_key;
        key_len = h->len;
    }
    memset(pad, 0x36, h->block);
    for (size_t i = 0; i < key_len; i++)
        pad[i] ^= key[i];
    digest(h, pad, h->block, msg, msg_len, inner);
    for (size_t i = 0; i < h->block; i++)
        pad[i] ^= 0x36 ^ 0x5c;
    digest(h, pad, h->block, inner, h->len, out);
    plx_bytes_wipe(pad, h->block);
}

void plx_hkdf_extract(const uint8_t *salt, size_t salt_len, const uint8_t *ikm, size_t ikm_len,
                      uint8_t prk[32])
{
    struct hash h = hash_get(32);
    hmac(&h, salt, salt_len, ikm, ikm_len, prk);
}

// struct HkdfLabel of RFC 8446 section 7.1 with an empty context, and the counter octet of RFC 5869 behind it.
static size_t label_write(uint8_t info[INFO_MAX], const char *label, size_t out_len)
{
    size_t label_len = strlen(label);
    plx_check(label_len <= LABEL_MAX);
    info[0] = (uint8_t)(out_len >> 8);
    info[1] = (uint8_t)out_len;
    info[2] = (uint8_t)(6 + label_len);
    memcpy(info + 3, "tls13 ", 6);
    memcpy(info + 9, label, label_len);
    info[9 + label_len] = 0;
    info[10 + label_len] = 1;
    return 11 + label_len;
}

void plx_hkdf_expand_label(const struct plx_secret *secret, const char *label, uint8_t *out, size_t out_len)
{
    struct hash h = hash_get(secret->len);
    uint8_t info[INFO_MAX], block[DIGEST_MAX];

    plx_check(out_len <= DIGEST_MAX);
    size_t info_len = label_write(info, label, out_len);
    hmac(&h, secret->bytes, secret->len, info, info_len, block);
    if (out_len > h.len) { // 33 to 48 octets from SHA-256: T(2) = HMAC(T(1) | info | 2)
        uint8_t second[DIGEST_MAX + INFO_MAX];
        memcpy(second, block, h.len);
        memcpy(second + h.len, info, info_len);
        second[h.len + info_len - 1] = 2;
        memcpy(out, block, h.len);
        hmac(&h, secret->bytes, secret->len, second, h.len + info_len, block);
        memcpy(out + h.len, block, out_len - h.len);
    } else {
        memcpy(out, block, out_len);
    }
    plx_bytes_wipe(block, sizeof block);
}
