// hkdf.c -- HKDF (RFC 5869) and HKDF-Expand-Label (RFC 8446 section 7.1) from two digests.
//
// A new connection derives two dozen values before its first byte is understood, so this stands on the path of
// every Initial packet, real or forged. OpenSSL's EVP_KDF costs a fetch and a dozen allocations per value; digests
// on contexts that their thread keeps cost about 0.1 us. HMAC by hand is a few lines and the keys here are
// never longer than a block, so its rare half (hashing a long key) exists only for the salt of Extract.
// Half of an HMAC of so few octets is reading the key. What is derived from one secret is therefore asked for together: the
// key is read once, and each value begins with copies of what that left behind.
// What QUIC wants is at most 48 octets: one block of output, or with SHA-256 sometimes two.

#include "crypto/keys.h"
#include "crypto/evp.h"
#include "base/check.h"

#include <string.h>

enum { BLOCK_MAX = 128, DIGEST_MAX = 48, LABEL_MAX = 32, INFO_MAX = 2 + 1 + 6 + LABEL_MAX + 1 + 1 };

struct hash {
    const struct plx_evp_hash *ctx;
    const EVP_MD *md;
    size_t block, len;
};

static struct hash hash_get(size_t digest_len)
{
    const struct plx_evp *e = plx_evp_get();
    const struct plx_evp_thread *t = plx_evp_thread_get();
    if (digest_len == 48)
        return (struct hash){&t->sha384, e->sha384, 128, 48};
    plx_check(digest_len == 32);
    return (struct hash){&t->sha256, e->sha256, 64, 32};
}

// --- HMAC, RFC 2104 -----------------------------------------------------------------------------------------

static void key_read(const struct hash *h, EVP_MD_CTX *ctx, const uint8_t *pad)
{
    bool is_ok = EVP_DigestInit_ex2(ctx, h->md, NULL) == 1;
    is_ok = is_ok && EVP_DigestUpdate(ctx, pad, h->block) == 1;
    plx_check(is_ok);
}

static void hmac_begin(const struct hash *h, const uint8_t *key, size_t key_len)
{
    uint8_t pad[BLOCK_MAX];

    plx_check(key_len <= h->block);
    memset(pad, 0x36, h->block);
    for (size_t i = 0; i < key_len; i++)
        pad[i] ^= key[i];
    key_read(h, h->ctx->inner, pad);
    for (size_t i = 0; i < h->block; i++)
        pad[i] ^= 0x36 ^ 0x5c;
    key_read(h, h->ctx->outer, pad);
    plx_bytes_wipe(pad, h->block);
}

static void finish(const struct hash *h, const EVP_MD_CTX *begun, const void *msg, size_t len, uint8_t *out)
{
    bool is_ok = EVP_MD_CTX_copy_ex(h->ctx->work, begun) == 1;
    is_ok = is_ok && EVP_DigestUpdate(h->ctx->work, msg, len) == 1;
    is_ok = is_ok && EVP_DigestFinal_ex(h->ctx->work, out, NULL) == 1;
    plx_check(is_ok);
}

static void hmac(const struct hash *h, const void *msg, size_t len, uint8_t *out)
{
    uint8_t inner[DIGEST_MAX];

    finish(h, h->ctx->inner, msg, len, inner);
    finish(h, h->ctx->outer, inner, h->len, out);
}

// Forgets the key.
static void hmac_end(const struct hash *h)
{
    bool is_ok = EVP_DigestInit_ex2(h->ctx->inner, h->md, NULL) == 1;
    is_ok = is_ok && EVP_DigestInit_ex2(h->ctx->outer, h->md, NULL) == 1;
    plx_check(is_ok);
}

// --- HKDF ---------------------------------------------------------------------------------------------------

void plx_hkdf_extract(const uint8_t *salt, size_t salt_len, const uint8_t *ikm, size_t ikm_len,
                      uint8_t prk[32])
{
    struct hash h = hash_get(32);
    uint8_t short_salt[DIGEST_MAX];

    if (salt_len > h.block) {
        plx_check(EVP_DigestInit_ex2(h.ctx->inner, h.md, NULL) == 1); // nothing read yet
        finish(&h, h.ctx->inner, salt, salt_len, short_salt);
        salt = short_salt;
        salt_len = h.len;
    }
    hmac_begin(&h, salt, salt_len);
    hmac(&h, ikm, ikm_len, prk);
    hmac_end(&h);
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

static void expand(const struct hash *h, const char *label, uint8_t *out, size_t out_len)
{
    uint8_t info[INFO_MAX], block[DIGEST_MAX];

    plx_check(out_len <= DIGEST_MAX);
    size_t info_len = label_write(info, label, out_len);
    hmac(h, info, info_len, block);
    if (out_len > h->len) { // 33 to 48 octets from SHA-256: T(2) = HMAC(T(1) | info | 2)
        uint8_t second[DIGEST_MAX + INFO_MAX];
        memcpy(second, block, h->len);
        memcpy(second + h->len, info, info_len);
        second[h->len + info_len - 1] = 2;
        memcpy(out, block, h->len);
        hmac(h, second, h->len + info_len, block);
        memcpy(out + h->len, block, out_len - h->len);
    } else {
        memcpy(out, block, out_len);
    }
    plx_bytes_wipe(block, sizeof block);
}

void plx_hkdf_expand_labels(const struct plx_secret *secret, const struct plx_label *labels, size_t count)
{
    struct hash h = hash_get(secret->len);

    hmac_begin(&h, secret->bytes, secret->len);
    for (size_t i = 0; i < count; i++)
        expand(&h, labels[i].name, labels[i].out, labels[i].len);
    hmac_end(&h);
}

void plx_hkdf_expand_label(const struct plx_secret *secret, const char *label, uint8_t *out, size_t out_len)
{
    plx_hkdf_expand_labels(secret, &(struct plx_label){label, out, out_len}, 1);
}
