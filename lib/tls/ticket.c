// ticket.c -- see ticket.h.

#include "tls/ticket.h"
#include "base/time.h"
#include "crypto/keys.h"

#include <string.h>
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rand.h>

bool plx_ticket_keys_init(struct plx_ticket_keys *k, plx_dur period)
{
    *k = (struct plx_ticket_keys){.period = period, .rotated = PLX_NEVER};
    k->cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    if (k->cipher == NULL || !plx_random_bytes(&k->slot[1], sizeof k->slot[1])) {
        plx_ticket_keys_fini(k);
        return false;
    }
    atomic_store_explicit(&k->newest, 1, memory_order_release); // K1
    return true;
}

void plx_ticket_keys_fini(struct plx_ticket_keys *k)
{
    EVP_CIPHER_free(k->cipher);
    k->cipher = NULL;
    plx_bytes_wipe(k->slot, sizeof k->slot);
}

void plx_ticket_keys_tick(struct plx_ticket_keys *k, plx_time now)
{
    if (k->rotated.ns == PLX_NEVER.ns)
        k->rotated = now; // the first key starts to age when the engine starts
    if (!plx_time_reached(plx_time_after(k->rotated, k->period), now))
        return;
    uint32_t next = atomic_load_explicit(&k->newest, memory_order_relaxed) + 1; // ours alone to write
    struct plx_ticket_key *key = &k->slot[next % PLX_TICKET_SLOTS];
    if (!plx_random_bytes(key, sizeof *key))
        return; // the old key serves until the next tick finds randomness
    atomic_store_explicit(&k->newest, next, memory_order_release); // K1
    k->rotated = now;
    // Key next - 4 has opened nothing for three rotations: no reader can still be at it.
    plx_bytes_wipe(&k->slot[(next + PLX_TICKET_SLOTS / 2) % PLX_TICKET_SLOTS], sizeof *key);
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

int plx_ticket_keys_use(struct plx_ticket_keys *k, uint8_t *name, uint8_t *iv, EVP_CIPHER_CTX *ctx,
                        EVP_MAC_CTX *mac, bool is_sealing)
{
    uint32_t newest = atomic_load_explicit(&k->newest, memory_order_acquire); // K2

    if (is_sealing) {
        const struct plx_ticket_key *key = &k->slot[newest % PLX_TICKET_SLOTS];
        if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(k->cipher)) != 1)
            return -1;
        memcpy(name, key->name, sizeof key->name);
        return EVP_EncryptInit_ex2(ctx, k->cipher, key->aes, iv, NULL) == 1 && mac_init(mac, key) ? 1 : -1;
    }
    for (uint32_t n = newest; n > 0 && n + 1 >= newest; n--) {
        const struct plx_ticket_key *key = &k->slot[n % PLX_TICKET_SLOTS];
        if (memcmp(name, key->name, sizeof key->name) != 0)
            continue; // names are public
        return EVP_DecryptInit_ex2(ctx, k->cipher, key->aes, iv, NULL) == 1 && mac_init(mac, key) ? 2 : -1;
    }
    return 0;
}
