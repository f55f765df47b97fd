// ticket.c -- see ticket.h.

#include "tls/ticket.h"
#include "base/time.h"
#include "crypto/keys.h"

#include <string.h>
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rand.h>

enum { WORDS = sizeof(struct plx_ticket_key) / sizeof(uint64_t), AGE_MAX = PLX_TICKET_SLOTS / 2 };

static void slot_store(struct plx_ticket_keys *k, uint32_t n, const struct plx_ticket_key *key)
{
    uint64_t word[WORDS];
    memcpy(word, key, sizeof word);
    for (size_t i = 0; i < WORDS; i++)
        atomic_store_explicit(&k->slot[n % PLX_TICKET_SLOTS][i], word[i], memory_order_release); // K3
    plx_bytes_wipe(word, sizeof word);
}

// False when the key was being wiped meanwhile: then it is too old for anything.
static bool slot_load(struct plx_ticket_keys *k, uint32_t n, struct plx_ticket_key *key)
{
    uint64_t word[WORDS];
    for (size_t i = 0; i < WORDS; i++)
        word[i] = atomic_load_explicit(&k->slot[n % PLX_TICKET_SLOTS][i], memory_order_acquire); // K4
    memcpy(key, word, sizeof *key);
    plx_bytes_wipe(word, sizeof word);
    return atomic_load_explicit(&k->newest, memory_order_relaxed) - n < AGE_MAX;
}

// Makes key n and publishes it. False when the system has no randomness.
static bool key_make(struct plx_ticket_keys *k, uint32_t n)
{
    struct plx_ticket_key key;
    if (!plx_random_bytes(&key, sizeof key))
        return false;
    slot_store(k, n, &key);
    atomic_store_explicit(&k->newest, n, memory_order_release); // K1
    plx_bytes_wipe(&key, sizeof key);
    return true;
}

bool plx_ticket_keys_init(struct plx_ticket_keys *k, plx_dur period)
{
    *k = (struct plx_ticket_keys){.period = period, .rotated = PLX_NEVER};
    k->cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    if (k->cipher != NULL && key_make(k, 1))
        return true;
    plx_ticket_keys_fini(k);
    return false;
}

void plx_ticket_keys_fini(struct plx_ticket_keys *k)
{
    EVP_CIPHER_free(k->cipher);
    k->cipher = NULL;
    plx_bytes_wipe((void *)k->slot, sizeof k->slot);
}

void plx_ticket_keys_tick(struct plx_ticket_keys *k, plx_time now)
{
    static const struct plx_ticket_key none;
    uint32_t next = atomic_load_explicit(&k->newest, memory_order_relaxed) + 1; // ours alone to write

    if (k->rotated.ns == PLX_NEVER.ns)
        k->rotated = now; // the first key starts to age when the engine starts
    if (!plx_time_reached(plx_time_after(k->rotated, k->period), now))
        return;
    if (!key_make(k, next))
        return; // the old key serves until the next tick finds randomness
    k->rotated = now;
    slot_store(k, next - AGE_MAX, &none);
}

static bool mac_init(EVP_MAC_CTX *mac, const struct plx_ticket_key *key)
{
    char digest[] = "SHA256";
    uint8_t hmac[sizeof key->hmac];
    memcpy(hmac, key->hmac, sizeof hmac);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, hmac, sizeof hmac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    bool is_ok = EVP_MAC_CTX_set_params(mac, params) == 1;
    plx_bytes_wipe(hmac, sizeof hmac);
    return is_ok;
}

// Sets up cipher and mac with a key. -1 when OpenSSL has no memory.
static int key_apply(struct plx_ticket_keys *k, const struct plx_ticket_key *key, const uint8_t *iv,
                     EVP_CIPHER_CTX *ctx, EVP_MAC_CTX *mac, bool is_sealing)
{
    if (EVP_CipherInit_ex2(ctx, k->cipher, key->aes, iv, is_sealing, NULL) != 1 || !mac_init(mac, key))
        return -1;
    return is_sealing ? 1 : 2;
}

int plx_ticket_keys_use(struct plx_ticket_keys *k, uint8_t *name, uint8_t *iv, EVP_CIPHER_CTX *ctx,
                        EVP_MAC_CTX *mac, bool is_sealing)
{
    uint32_t newest = atomic_load_explicit(&k->newest, memory_order_acquire); // K2
    struct plx_ticket_key key;
    int result = 0;

    if (is_sealing) {
        result = -1;
        if (slot_load(k, newest, &key) && RAND_bytes(iv, EVP_CIPHER_get_iv_length(k->cipher)) == 1) {
            memcpy(name, key.name, sizeof key.name);
            result = key_apply(k, &key, iv, ctx, mac, true);
        }
    }
    for (uint32_t n = newest; !is_sealing && result == 0 && n > 0 && n + 1 >= newest; n--) {
        if (slot_load(k, n, &key) && memcmp(name, key.name, sizeof key.name) == 0) // names are public
            result = key_apply(k, &key, iv, ctx, mac, false);
    }
    plx_bytes_wipe(&key, sizeof key);
    return result;
}
