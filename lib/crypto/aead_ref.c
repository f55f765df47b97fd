// aead_ref.c -- packet protection with OpenSSL: the plain second opinion.
//
// Here the expanded key is nothing but the raw key; the tables live in one EVP context per thread, algorithm
// and direction, which takes the key anew for every packet. That costs a fraction of a microsecond and makes
// the code as plain as it can be, which is the point of it: the fast backend is compared with this one, and
// machines that cannot run the fast one still work. Nothing is fetched or allocated per packet (evp.h).

#include "crypto/backends.h"
#include "crypto/evp.h"
#include "base/check.h"

#include <stdio.h>
#include <string.h>
#include <openssl/crypto.h>

static void ref_expand(struct plx_aead_key *out, enum plx_aead_alg alg, const uint8_t *key,
                       const uint8_t iv[12])
{
    memcpy(out->sched, key, plx_aead_key_len(alg));
    memcpy(out->iv, iv, PLX_AEAD_IV_LEN);
    out->alg = (uint8_t)alg;
}

static void ref_hp_expand(struct plx_hp_key *out, enum plx_aead_alg alg, const uint8_t *key)
{
    memcpy(out->sched, key, plx_aead_key_len(alg));
    out->alg = (uint8_t)alg;
}

static void seal_one(struct plx_aead_job *j, struct plx_evp_thread *t)
{
    EVP_CIPHER_CTX *ctx = t->aead[j->key->alg][1];
    uint8_t nonce[PLX_AEAD_IV_LEN];
    int len;
    bool is_ok;

    plx_aead_nonce(nonce, j->key->iv, j->pn);
    is_ok = EVP_EncryptInit_ex2(ctx, NULL, j->key->sched, nonce, NULL) == 1;
    if (j->aad_len > 0)
        is_ok = is_ok && EVP_EncryptUpdate(ctx, NULL, &len, j->aad, j->aad_len) == 1;
    if (j->text_len > 0)
        is_ok = is_ok && EVP_EncryptUpdate(ctx, j->text, &len, j->text, j->text_len) == 1;
    is_ok = is_ok && EVP_EncryptFinal_ex(ctx, j->text + j->text_len, &len) == 1;
    is_ok = is_ok &&
            EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, PLX_AEAD_TAG_LEN, j->text + j->text_len) == 1;
    plx_check(is_ok); // sealing has no input that could be wrong: a failure here would send plaintext
    j->is_ok = true;
}

static bool open_one(struct plx_aead_job *j, struct plx_evp_thread *t)
{
    EVP_CIPHER_CTX *ctx = t->aead[j->key->alg][0];
    uint8_t nonce[PLX_AEAD_IV_LEN], tag[PLX_AEAD_TAG_LEN];
    int len, text_len = (int)j->text_len - PLX_AEAD_TAG_LEN;

    if (text_len < 0)
        return false;
    memcpy(tag, j->text + text_len, sizeof tag);
    plx_aead_nonce(nonce, j->key->iv, j->pn);
    if (EVP_DecryptInit_ex2(ctx, NULL, j->key->sched, nonce, NULL) != 1)
        return false;
    if (EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, sizeof tag, tag) != 1)
        return false;
    if (j->aad_len > 0 && EVP_DecryptUpdate(ctx, NULL, &len, j->aad, j->aad_len) != 1)
        return false;
    if (text_len > 0 && EVP_DecryptUpdate(ctx, j->text, &len, j->text, text_len) != 1)
        return false;
    return EVP_DecryptFinal_ex(ctx, nonce, &len) == 1; // writes nothing for an AEAD
}

static void ref_seal(struct plx_aead_job *jobs, size_t count)
{
    struct plx_evp_thread *t = plx_evp_thread_get();
    for (size_t i = 0; i < count; i++)
        seal_one(&jobs[i], t);
}

static void ref_open(struct plx_aead_job *jobs, size_t count)
{
    struct plx_evp_thread *t = plx_evp_thread_get();
    for (size_t i = 0; i < count; i++)
        jobs[i].is_ok = open_one(&jobs[i], t);
}

//= rfc9001 5.4.3 "This algorithm samples 16 bytes from the packet ciphertext"
static bool mask_one(struct plx_mask_job *j, struct plx_evp_thread *t)
{
    static const uint8_t zeros[PLX_HP_SAMPLE_LEN];
    bool is_chacha = j->key->alg == PLX_AEAD_CHACHA20_POLY1305;
    EVP_CIPHER_CTX *ctx = t->hp[j->key->alg];
    uint8_t out[PLX_HP_SAMPLE_LEN];
    int len;

    // ChaCha20 takes counter and nonce from the sample and encrypts zeros; AES encrypts the sample itself.
    if (EVP_EncryptInit_ex2(ctx, NULL, j->key->sched, is_chacha ? j->sample : NULL, NULL) != 1)
        return false;
    if (EVP_EncryptUpdate(ctx, out, &len, is_chacha ? zeros : j->sample, PLX_HP_SAMPLE_LEN) != 1)
        return false;
    memcpy(j->mask, out, PLX_HP_MASK_LEN);
    return true;
}

static void ref_mask(struct plx_mask_job *jobs, size_t count)
{
    struct plx_evp_thread *t = plx_evp_thread_get();
    for (size_t i = 0; i < count; i++)
        plx_check(mask_one(&jobs[i], t));
}

static void ref_prefetch(const struct plx_aead_key *key, size_t text_len)
{
    (void)text_len;
    __builtin_prefetch(key->sched);
    __builtin_prefetch(key->iv);
}

static const struct plx_aead_backend backend_ref = {
    .name = "openssl",
    .expand = ref_expand,
    .hp_expand = ref_hp_expand,
    .seal = ref_seal,
    .open = ref_open,
    .mask = ref_mask,
    .prefetch = ref_prefetch,
};

const struct plx_aead_backend *plx_aead_ref_pick(char *describe, size_t describe_len)
{
    plx_evp_get();
    snprintf(describe, describe_len, "openssl %s", OpenSSL_version(OPENSSL_VERSION_STRING));
    return &backend_ref;
}
