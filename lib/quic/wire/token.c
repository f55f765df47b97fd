// token.c -- see token.h for the idea.
//
// Content before sealing:  time (8) | family (1) | address (4 or 16)                                          NEW_TOKEN
//                          the same | port (2) | length, original destination ID | length, ID of our Retry    Retry
//
// The nonce is 12 random octets, so that servers which share a key need not share a counter; 2^32 tokens under one key are safe,
// and keys rotate long before. The IV is part of an expanded key, which others are reading: sealing works on a copy of it (1.3 KB, tens of
// nanoseconds; a token is made once per connection).

#include "quic/wire/token.h"

#include "base/time.h"
#include "crypto/keys.h"

enum {
    KIND_RETRY = 0x80,
    HEAD_LEN = 1 + PLX_TOKEN_NONCE_LEN,
    CONTENT_MAX = PLX_TOKEN_LEN_MAX - HEAD_LEN - PLX_AEAD_TAG_LEN,
    SEEN_MAX = 8192, // tokens of a generation: one in forty is then taken for used without being so
    SEEN_HASHES = 4, // 16 bits each, from the nonce
};
_Static_assert(8 + 1 + 16 + 2 + 2 * (1 + PLX_CID_MAX) <= CONTENT_MAX, "the longest content fits");
_Static_assert(PLX_TOKEN_SEEN_BITS_LOG2 == 16, "two octets of the nonce are one hash");

#define CLOCK_SKEW PLX_SEC(10) // between servers that share keys

// --- keys --------------------------------------------------------------------------------------------------

void plx_token_keys_init(struct plx_token_keys *k, const struct plx_aead_backend *aead)
{
    k->aead = aead;
    atomic_init(&k->epoch, 0);
}

//   W1 (release, epoch) pairs with R1 (acquire, epoch): a slot is written before it is named.
void plx_token_keys_rotate(struct plx_token_keys *k, const uint8_t secret[PLX_TOKEN_SECRET_LEN])
{
    uint64_t epoch = atomic_load_explicit(&k->epoch, memory_order_relaxed) + 1; // ours alone
    struct plx_token_slot *slot = &k->slot[epoch % PLX_TOKEN_SLOTS];
    struct plx_secret prk = {.len = 32, .alg = PLX_AEAD_AES_128_GCM};
    uint8_t key[16];
    static const uint8_t iv[PLX_AEAD_IV_LEN];

    plx_hkdf_extract((const uint8_t *)"plx token", 9, secret, PLX_TOKEN_SECRET_LEN, prk.bytes);
    plx_hkdf_expand_label(&prk, "plx token key", key, sizeof key);
    plx_hkdf_expand_label(&prk, "plx token name", &slot->name, 1);
    slot->name &= 0x7f;
    k->aead->expand(&slot->key, PLX_AEAD_AES_128_GCM, key, iv);
    plx_secret_wipe(&prk);
    plx_bytes_wipe(key, sizeof key);
    atomic_store_explicit(&k->epoch, epoch, memory_order_release); // W1
}

// --- sealing -----------------------------------------------------------------------------------------------

static void addr_write(struct plx_wr *w, const struct plx_addr *a)
{
    plx_wr_u8(w, a->af);
    plx_wr_bytes(w, a->ip, a->af == PLX_AF_IP4 ? 4 : 16);
}

static void cid_write(struct plx_wr *w, const struct plx_cid *cid)
{
    plx_wr_u8(w, cid->len);
    plx_wr_bytes(w, cid->bytes, cid->len);
}

// The content stands at out + HEAD_LEN, up to w->p.
static size_t seal(const struct plx_token_keys *k, uint8_t kind, const uint8_t *nonce, uint8_t *out,
                   const struct plx_wr *w)
{
    uint64_t epoch = atomic_load_explicit(&k->epoch, memory_order_acquire); // R1
    if (epoch == 0)
        return 0;
    const struct plx_token_slot *slot = &k->slot[epoch % PLX_TOKEN_SLOTS];
    struct plx_aead_key key = slot->key;
    size_t len = (size_t)(w->p - out) - HEAD_LEN;

    plx_check(!w->is_full);
    memcpy(key.iv, nonce, PLX_AEAD_IV_LEN);
    out[0] = kind | slot->name;
    memcpy(out + 1, nonce, PLX_TOKEN_NONCE_LEN);
    struct plx_aead_job job = {
        .key = &key, .text = out + HEAD_LEN, .aad = out, .text_len = (uint16_t)len, .aad_len = 1};
    k->aead->seal(&job, 1);
    return HEAD_LEN + len + PLX_AEAD_TAG_LEN;
}

size_t plx_token_seal_retry(const struct plx_token_keys *k, const struct plx_cid *odcid,
                            const struct plx_cid *retry_scid, const struct plx_addr *peer, plx_time now,
                            const uint8_t nonce[PLX_TOKEN_NONCE_LEN], uint8_t out[PLX_TOKEN_LEN_MAX])
{
    struct plx_wr w = plx_wr_init(out + HEAD_LEN, CONTENT_MAX);

    plx_wr_u64(&w, now.ns);
    addr_write(&w, peer);
    plx_wr_u16(&w, peer->port);
    cid_write(&w, odcid);
    cid_write(&w, retry_scid);
    return seal(k, KIND_RETRY, nonce, out, &w);
}

size_t plx_token_seal_new(const struct plx_token_keys *k, const struct plx_addr *peer, plx_time now,
                          const uint8_t nonce[PLX_TOKEN_NONCE_LEN], uint8_t out[PLX_TOKEN_LEN_MAX])
{
    struct plx_wr w = plx_wr_init(out + HEAD_LEN, CONTENT_MAX);

    plx_wr_u64(&w, now.ns);
    addr_write(&w, peer);
    return seal(k, 0, nonce, out, &w);
}

// --- what was used -----------------------------------------------------------------------------------------

void plx_token_seen_init(struct plx_token_seen *s, plx_time now)
{
    *s = (struct plx_token_seen){.since = now};
}

static bool seen_has(const uint64_t *bits, const uint8_t *nonce)
{
    for (unsigned i = 0; i < SEEN_HASHES; i++) {
        uint16_t at = plx_load_be16(nonce + 2 * i);
        if (!(bits[at / 64] >> at % 64 & 1))
            return false;
    }
    return true;
}

static void seen_add(uint64_t *bits, const uint8_t *nonce)
{
    for (unsigned i = 0; i < SEEN_HASHES; i++) {
        uint16_t at = plx_load_be16(nonce + 2 * i);
        bits[at / 64] |= UINT64_C(1) << at % 64;
    }
}

// Whether the token of this nonce was used before; it is from now on.
static bool seen_test_and_add(struct plx_token_seen *s, const uint8_t *nonce, plx_time now, plx_dur life)
{
    if (s->count >= SEEN_MAX || plx_time_since(now, s->since).ns >= life.ns) {
        s->young ^= 1;
        memset(s->bits[s->young], 0, sizeof s->bits[0]);
        s->count = 0;
        s->since = now;
    }
    if (seen_has(s->bits[0], nonce) || seen_has(s->bits[1], nonce))
        return true;
    seen_add(s->bits[s->young], nonce);
    s->count++;
    return false;
}

// --- opening -----------------------------------------------------------------------------------------------

static bool content_open_with(const struct plx_token_keys *k, const struct plx_token_slot *slot,
                              const uint8_t *token, size_t len, uint8_t *content)
{
    struct plx_aead_key key = slot->key;

    memcpy(key.iv, token + 1, PLX_AEAD_IV_LEN);
    memcpy(content, token + HEAD_LEN, len - HEAD_LEN); // in place work, but the packet is not ours to write
    struct plx_aead_job job = {
        .key = &key, .text = content, .aad = token, .text_len = (uint16_t)(len - HEAD_LEN), .aad_len = 1};
    k->aead->open(&job, 1);
    return job.is_ok;
}

// Octets of content, 0 when no key of ours opens it.
static size_t content_open(const struct plx_token_keys *k, const uint8_t *token, size_t len, uint8_t *content)
{
    uint64_t epoch = atomic_load_explicit(&k->epoch, memory_order_acquire); // R1

    if (len <= HEAD_LEN + PLX_AEAD_TAG_LEN || len > PLX_TOKEN_LEN_MAX)
        return 0;
    for (uint64_t e = epoch; e > 0 && epoch - e < 2; e--) {
        const struct plx_token_slot *slot = &k->slot[e % PLX_TOKEN_SLOTS];
        if (slot->name == (token[0] & 0x7f) && content_open_with(k, slot, token, len, content))
            return len - HEAD_LEN - PLX_AEAD_TAG_LEN;
    }
    return 0;
}

static bool addr_read_is(struct plx_rd *r, const struct plx_addr *peer)
{
    uint8_t af = plx_rd_u8(r);
    size_t len = af == PLX_AF_IP4 ? 4 : 16;
    const uint8_t *ip = plx_rd_bytes(r, len);
    return ip != NULL && af == peer->af && memcmp(ip, peer->ip, len) == 0;
}

static void cid_read(struct plx_rd *r, struct plx_cid *out)
{
    uint8_t len = plx_rd_u8(r);
    const uint8_t *p = plx_rd_bytes(r, len);

    *out = (struct plx_cid){0};
    if (p == NULL || len > PLX_CID_MAX)
        return;
    out->len = len;
    memcpy(out->bytes, p, len);
}

enum plx_token_result plx_token_open(const struct plx_token_keys *k, const uint8_t *token, size_t len,
                                     const struct plx_addr *peer, const struct plx_cid *dcid, plx_time now,
                                     const struct plx_token_life *life, struct plx_token_seen *seen,
                                     struct plx_token_info *out)
{
    uint8_t content[PLX_TOKEN_LEN_MAX];
    struct plx_cid retry_scid = {0};

    *out = (struct plx_token_info){.kind = plx_token_kind(token, len)};
    bool is_retry = out->kind == PLX_TOKEN_RETRY;
    size_t content_len = content_open(k, token, len, content);
    if (content_len == 0)
        return PLX_TOKEN_INVALID;

    struct plx_rd r = plx_rd_init(content, content_len);
    out->made.ns = plx_rd_u64(&r);
    bool is_home = addr_read_is(&r, peer);
    if (is_retry) {
        is_home &= plx_rd_u16(&r) == peer->port;
        cid_read(&r, &out->odcid);
        cid_read(&r, &retry_scid);
        is_home &= plx_cid_eq(&retry_scid, dcid);
    }
    if (r.is_short || plx_rd_left(&r) != 0)
        return PLX_TOKEN_INVALID; // ours, of another build

    plx_dur max = is_retry ? life->retry : life->new_token;
    if (plx_time_since(now, out->made).ns > max.ns || plx_time_since(out->made, now).ns > CLOCK_SKEW.ns)
        return PLX_TOKEN_EXPIRED;
    if (!is_home)
        return PLX_TOKEN_FOREIGN;
    //= rfc9000 8.1.4 "replay of tokens is prevented or limited"
    if (!is_retry && seen != NULL && seen_test_and_add(seen, token + 1, now, max))
        return PLX_TOKEN_REPLAYED;
    return PLX_TOKEN_OK;
}
