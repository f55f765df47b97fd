// keys.c -- from secrets to keys: one row per version of QUIC, and straight lines that read it.
//
// A version of QUIC is a salt, four labels and the key of the Retry tag; nothing else here depends on it.
// Secrets and keys on the stack are wiped before the functions return.

#include "crypto/keys.h"
#include "base/check.h"

#include <string.h>

struct version {
    uint32_t number;
    uint8_t salt[20];
    const char *key, *iv, *hp, *ku;
    uint8_t retry_key[16], retry_nonce[PLX_AEAD_IV_LEN];
};

static const struct version versions[] = {
    {
        .number = PLX_QUIC_V1,
        //= rfc9001 5.2 "initial_salt = 0x38762cf7f55934b34d179ae6a4c80cadccbb7f0a"
        .salt = {0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,
                 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a},
        .key = "quic key",
        .iv = "quic iv",
        .hp = "quic hp",
        .ku = "quic ku",
        //= rfc9001 5.8 "0xbe0c690b9f66575a1d766b54e368c84e"
        .retry_key = {0xbe, 0x0c, 0x69, 0x0b, 0x9f, 0x66, 0x57, 0x5a, 0x1d, 0x76, 0x6b, 0x54, 0xe3, 0x68,
                      0xc8, 0x4e},
        //= rfc9001 5.8 "0x461599d35d632bf2239825bb"
        .retry_nonce = {0x46, 0x15, 0x99, 0xd3, 0x5d, 0x63, 0x2b, 0xf2, 0x23, 0x98, 0x25, 0xbb},
    },
};

// Callers have negotiated the version before they derive anything: an unknown one is our own mistake.
static const struct version *version_find(uint32_t number)
{
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        if (versions[i].number == number)
            return &versions[i];
    }
    plx_check(!"a version of QUIC without a row");
    return NULL;
}

void plx_secret_initial(uint32_t version, const uint8_t *dcid, size_t dcid_len, struct plx_secret *client,
                        struct plx_secret *server)
{
    const struct version *v = version_find(version);
    struct plx_secret common = {.len = 32};

    //= rfc9001 5.2 "initial_secret = HKDF-Extract(initial_salt,"
    plx_hkdf_extract(v->salt, sizeof v->salt, dcid, dcid_len, common.bytes);
    client->len = server->len = 32;
    client->alg = server->alg = PLX_AEAD_AES_128_GCM; //= rfc9001 5 "AEAD_AES_128_GCM"
    const struct plx_label labels[] = {{"client in", client->bytes, 32}, {"server in", server->bytes, 32}};
    plx_hkdf_expand_labels(&common, labels, 2);
    plx_secret_wipe(&common);
}

void plx_material_all(uint32_t version, const struct plx_secret *s, struct plx_material *m,
                      struct plx_secret *next)
{
    const struct version *v = version_find(version);
    size_t key_len = plx_aead_key_len(s->alg);
    struct plx_label labels[4] = {
        {v->key, m->key, key_len}, {v->iv, m->iv, sizeof m->iv}, {v->hp, m->hp, key_len}};
    size_t count = 3;

    m->alg = s->alg;
    if (next != NULL) {
        next->len = s->len;
        next->alg = s->alg;
        //= rfc9001 6.1 "secret_<n+1> = HKDF-Expand-Label(secret_<n>, "quic ku","
        labels[count++] = (struct plx_label){v->ku, next->bytes, s->len};
    }
    plx_hkdf_expand_labels(s, labels, count);
}

void plx_material_aead(uint32_t version, const struct plx_secret *s, struct plx_material *m)
{
    const struct version *v = version_find(version);
    const struct plx_label labels[] = {{v->key, m->key, plx_aead_key_len(s->alg)},
                                       {v->iv, m->iv, sizeof m->iv}};

    m->alg = s->alg;
    plx_hkdf_expand_labels(s, labels, 2);
}

void plx_expand_aead(const struct plx_aead_backend *b, const struct plx_material *m, struct plx_aead_key *out)
{
    b->expand(out, m->alg, m->key, m->iv);
}

void plx_expand_hp(const struct plx_aead_backend *b, const struct plx_material *m, struct plx_hp_key *out)
{
    b->hp_expand(out, m->alg, m->hp);
}

void plx_keys_aead(const struct plx_aead_backend *b, uint32_t version, const struct plx_secret *s,
                   struct plx_aead_key *out)
{
    struct plx_material m;

    plx_material_aead(version, s, &m);
    plx_expand_aead(b, &m, out);
    plx_bytes_wipe(&m, sizeof m);
}

void plx_keys_hp(const struct plx_aead_backend *b, uint32_t version, const struct plx_secret *s,
                 struct plx_hp_key *out)
{
    struct plx_material m = {.alg = s->alg};

    plx_hkdf_expand_label(s, version_find(version)->hp, m.hp, plx_aead_key_len(s->alg));
    plx_expand_hp(b, &m, out);
    plx_bytes_wipe(&m, sizeof m);
}

void plx_keys_both(const struct plx_aead_backend *b, uint32_t version, const struct plx_secret *s,
                   struct plx_aead_key *aead, struct plx_hp_key *hp)
{
    struct plx_material m;

    plx_material_all(version, s, &m, NULL);
    plx_expand_aead(b, &m, aead);
    plx_expand_hp(b, &m, hp);
    plx_bytes_wipe(&m, sizeof m);
}

void plx_secret_next(uint32_t version, const struct plx_secret *s, struct plx_secret *next)
{
    const struct version *v = version_find(version);
    struct plx_secret made = {.len = s->len, .alg = s->alg};

    //= rfc9001 6.1 "secret_<n+1> = HKDF-Expand-Label(secret_<n>, "quic ku","
    plx_hkdf_expand_label(s, v->ku, made.bytes, made.len);
    *next = made; // next may be s itself
    plx_secret_wipe(&made);
}

void plx_retry_tag(const struct plx_aead_backend *b, uint32_t version, const uint8_t *odcid, size_t odcid_len,
                   const uint8_t *retry, size_t retry_len, uint8_t tag[PLX_AEAD_TAG_LEN])
{
    // The longest UDP payload (65527 octets, IPv6) less its tag still fits, so no peer can reach the check.
    uint8_t pseudo[UINT16_MAX];
    const struct version *v = version_find(version);
    struct plx_aead_key key;

    plx_check(odcid_len <= 20);
    plx_check(retry_len <= sizeof pseudo - 21);
    pseudo[0] = (uint8_t)odcid_len;
    memcpy(pseudo + 1, odcid, odcid_len);
    memcpy(pseudo + 1 + odcid_len, retry, retry_len);
    b->expand(&key, PLX_AEAD_AES_128_GCM, v->retry_key, v->retry_nonce);
    struct plx_aead_job job = {
        .key = &key, .text = tag, .aad = pseudo, .aad_len = (uint16_t)(1 + odcid_len + retry_len)};
    //= rfc9001 5.8 "The plaintext, P, is empty"
    b->seal(&job, 1); // packet number 0: the nonce is the table's
}
