// aead_ipsecmb.c -- packet protection with Intel's multi-buffer library, by its direct calls.
//
// The library's job interface schedules packets over lanes; for GCM on processors of our time its direct calls
// are faster at every length, whether packets share a key or not, because one packet already fills the vector
// unit. So a burst is a loop over direct calls. What the loop adds is memory: with thousands of connections a
// key's tables (about 1 KB) are not in the cache when its packet comes, so the lines that the next packet will
// touch are prefetched while this one is worked on.
//
// The library fills a manager with functions for one instruction set. We copy the few we call into a table per
// instruction set and give the manager back: the direct calls do not use it, so the tables are all the state
// there is. Tables of different instruction sets are not interchangeable with each other's keys, hence one backend
// object for each.

#include "crypto/backends.h"
#include "crypto/hpmask.h"
#include "base/check.h"

#include <intel-ipsec-mb.h>
#include <stdio.h>
#include <string.h>

_Static_assert(sizeof(struct gcm_key_data) <= PLX_AEAD_SCHED_MAX, "raise PLX_AEAD_SCHED_MAX");
_Static_assert(offsetof(struct gcm_key_data, expanded_keys) == 0, "see expand");
_Static_assert(offsetof(struct plx_aead_key, iv) + 16 <= sizeof(struct plx_aead_key), "see nonce_write");
_Static_assert(15 * 16 <= PLX_HP_SCHED_MAX, "AES-256 has 15 round keys");

enum { LINE = 64, ROUND_KEYS = 15 * 16 };
enum isa { ISA_AVX512, ISA_AVX2, ISA_SSE, ISA_COUNT };

// The functions of one instruction set; is_ready says that this processor may use them.
struct calls {
    bool is_ready;
    aes_gcm_precomp_t powers[2]; // [alg]: AES-128, AES-256; of H, from the round keys
    aes_gcm_enc_dec_t seal[2], open[2];
    chacha_poly_init_t chacha_init;
    chacha_poly_enc_dec_update_t chacha_seal, chacha_open;
    chacha_poly_finalize_t chacha_final;
    uint64_t features;
    uint32_t table_len;             // octets of a table of powers of H,
    uint32_t table_end, table2_end; // and where in the key the table ends, and a second one if there is one
};

static struct calls calls[ISA_COUNT]; // filled by pick, read-only afterwards

// --- keys ------------------------------------------------------------------------------------------------

// The round keys are ours and stand where the library has them: its own function takes a third longer for both.
static inline void expand(const struct calls *c, struct plx_aead_key *out, enum plx_aead_alg alg,
                          const uint8_t *key, const uint8_t iv[12])
{
    memcpy(out->iv, iv, PLX_AEAD_IV_LEN);
    out->alg = (uint8_t)alg;
    if (alg == PLX_AEAD_CHACHA20_POLY1305) {
        memcpy(out->sched, key, 32);
        return;
    }
    if (alg == PLX_AEAD_AES_128_GCM)
        plx_hp_aes128_expand(out->sched, key);
    else
        plx_hp_aes256_expand(out->sched, key);
    c->powers[alg]((struct gcm_key_data *)out->sched);
}

static void hp_expand(struct plx_hp_key *out, enum plx_aead_alg alg, const uint8_t *key)
{
    out->alg = (uint8_t)alg;
    if (alg == PLX_AEAD_AES_128_GCM)
        plx_hp_aes128_expand(out->sched, key);
    else if (alg == PLX_AEAD_AES_256_GCM)
        plx_hp_aes256_expand(out->sched, key);
    else
        memcpy(out->sched, key, 32);
}

// --- packets ---------------------------------------------------------------------------------------------

// What a packet of that length will touch: IV, round keys, and as many powers of H as it has blocks, which the vector
// code keeps from the highest to the lowest, so that the end of a table is what short packets need. With 16384 keys this
// halves the time of a packet of 512 octets and saves 7 of 37 ns at 32; with keys in the cache it costs 2
// (bench/micro/crypto.c).
static inline void key_prefetch(const struct plx_aead_key *key, size_t text_len, const struct calls *c)
{
    const uint8_t *sched = key->sched;
    uint32_t powers = (uint32_t)text_len + LINE; // and one line for the header and the lengths

    if (powers > c->table_len)
        powers = c->table_len;
    __builtin_prefetch(key->iv);
    for (uint32_t at = 0; at < ROUND_KEYS; at += LINE)
        __builtin_prefetch(sched + at);
    for (uint32_t at = c->table_end - powers; at < c->table_end; at += LINE)
        __builtin_prefetch(sched + at);
    __builtin_prefetch(sched + c->table_end - 1);
    if (c->table2_end == 0)
        return;
    for (uint32_t at = c->table2_end - powers; at < c->table2_end; at += LINE)
        __builtin_prefetch(sched + at);
    __builtin_prefetch(sched + c->table2_end - 1);
}

// The nonce as one vector: the library loads it as one, and a load that spans two smaller stores waits for both.
// Reads 16 octets from the IV's place, which the structure has (the last four are not part of a nonce).
typedef uint64_t v2u64 __attribute__((vector_size(16)));

static inline void nonce_write(uint8_t nonce[16], const struct plx_aead_key *key, uint64_t pn)
{
    uint64_t be = __builtin_bswap64(pn);
    v2u64 iv;
    memcpy(&iv, key->iv, sizeof iv);
    iv ^= (v2u64){be << 32, be >> 32};
    memcpy(nonce, &iv, sizeof iv);
}

// A function of its own: its context is large, and AES would pay for the room.
__attribute__((noinline)) static void crypt_chacha(const struct calls *c, const struct plx_aead_job *j,
                                                   size_t len, bool is_seal, const uint8_t nonce[16],
                                                   uint8_t tag[16])
{
    struct chacha20_poly1305_context_data ctx;
    c->chacha_init(j->key->sched, &ctx, nonce, j->aad, j->aad_len);
    if (len > 0)
        (is_seal ? c->chacha_seal : c->chacha_open)(j->key->sched, &ctx, j->text, j->text, len);
    c->chacha_final(&ctx, tag, PLX_AEAD_TAG_LEN);
}

// Ciphertext or plaintext of one packet in place, and its tag aside.
static inline void crypt(const struct calls *c, const struct plx_aead_job *j, size_t len, bool is_seal,
                         uint8_t tag[16])
{
    _Alignas(16) uint8_t nonce[16];
    unsigned alg = j->key->alg;

    nonce_write(nonce, j->key, j->pn);
    if (__builtin_expect(alg == PLX_AEAD_CHACHA20_POLY1305, 0)) {
        crypt_chacha(c, j, len, is_seal, nonce, tag);
        return;
    }
    struct gcm_context_data ctx;
    (is_seal ? c->seal : c->open)[alg]((const struct gcm_key_data *)j->key->sched, &ctx, j->text, j->text,
                                       len, nonce, j->aad, j->aad_len, tag, PLX_AEAD_TAG_LEN);
}

static inline void seal(const struct calls *c, struct plx_aead_job *jobs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct plx_aead_job *j = &jobs[i];
        if (i + 1 < count && jobs[i + 1].key != j->key)
            key_prefetch(jobs[i + 1].key, jobs[i + 1].text_len, c);
        crypt(c, j, j->text_len, true, j->text + j->text_len);
        j->is_ok = true;
    }
}

static inline void open(const struct calls *c, struct plx_aead_job *jobs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct plx_aead_job *j = &jobs[i];
        uint8_t tag[PLX_AEAD_TAG_LEN];
        if (i + 1 < count && jobs[i + 1].key != j->key)
            key_prefetch(jobs[i + 1].key, jobs[i + 1].text_len, c);
        if (j->text_len < PLX_AEAD_TAG_LEN) {
            j->is_ok = false;
            continue;
        }
        size_t len = j->text_len - (size_t)PLX_AEAD_TAG_LEN;
        crypt(c, j, len, false, tag);
        j->is_ok = plx_aead_tag_equal(tag, j->text + len);
    }
}

enum { CHUNK = 64 };

static void mask_alg(unsigned alg, struct plx_mask_job *jobs, const uint8_t *idx, size_t count)
{
    if (alg == PLX_AEAD_AES_128_GCM) {
        plx_hp_aes128_mask(jobs, idx, count);
    } else if (alg == PLX_AEAD_AES_256_GCM) {
        plx_hp_aes256_mask(jobs, idx, count);
    } else {
        for (size_t i = 0; i < count; i++)
            plx_hp_chacha20_mask(jobs[idx[i]].mask, jobs[idx[i]].key->sched, jobs[idx[i]].sample);
    }
}

// Up to CHUNK jobs of any mixture: index lists by algorithm, so that AES runs eight wide whatever comes.
static void mask_mixed(struct plx_mask_job *jobs, size_t count)
{
    uint8_t idx[PLX_AEAD_ALG_COUNT][CHUNK];
    size_t n[PLX_AEAD_ALG_COUNT] = {0};

    for (size_t i = 0; i < count; i++) {
        unsigned alg = jobs[i].key->alg;
        idx[alg][n[alg]++] = (uint8_t)i;
    }
    for (unsigned alg = 0; alg < PLX_AEAD_ALG_COUNT; alg++)
        mask_alg(alg, jobs, idx[alg], n[alg]);
}

// Nearly always all keys of a burst are of one algorithm, and building lists would add a fifth to the work.
static void mask(struct plx_mask_job *jobs, size_t count)
{
    static const uint8_t all[CHUNK] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                       16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
                                       32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47,
                                       48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};
    while (count > 0) {
        size_t chunk = count < CHUNK ? count : CHUNK;
        unsigned first = jobs[0].key->alg, differ = 0;

        for (size_t i = 1; i < chunk; i++)
            differ |= jobs[i].key->alg ^ first;
        if (differ == 0)
            mask_alg(first, jobs, all, chunk);
        else
            mask_mixed(jobs, chunk);
        jobs += chunk;
        count -= chunk;
    }
}

// --- one backend per instruction set ------------------------------------------------------------------------

#define BACKEND(isa, row)                                                                         \
    static void expand_##isa(struct plx_aead_key *out, enum plx_aead_alg alg, const uint8_t *key, \
                             const uint8_t iv[12])                                                \
    {                                                                                             \
        expand(&calls[row], out, alg, key, iv);                                                   \
    }                                                                                             \
    static void seal_##isa(struct plx_aead_job *jobs, size_t count)                               \
    {                                                                                             \
        seal(&calls[row], jobs, count);                                                           \
    }                                                                                             \
    static void open_##isa(struct plx_aead_job *jobs, size_t count)                               \
    {                                                                                             \
        open(&calls[row], jobs, count);                                                           \
    }                                                                                             \
    static void prefetch_##isa(const struct plx_aead_key *key, size_t text_len)                   \
    {                                                                                             \
        key_prefetch(key, text_len, &calls[row]);                                                 \
    }

BACKEND(avx512, ISA_AVX512)
BACKEND(avx2, ISA_AVX2)
BACKEND(sse, ISA_SSE)
#undef BACKEND

static const struct {
    const char *isa;
    void (*init)(IMB_MGR *);
    uint64_t needs;
    struct plx_aead_backend backend;
} rows[ISA_COUNT] = {
    // best first
    [ISA_AVX512] = {"avx512",
                    init_mb_mgr_avx512,
                    IMB_CPUFLAGS_AVX512,
                    {"ipsecmb", expand_avx512, hp_expand, seal_avx512, open_avx512, mask, prefetch_avx512}},
    [ISA_AVX2] = {"avx2",
                  init_mb_mgr_avx2,
                  IMB_CPUFLAGS_AVX2,
                  {"ipsecmb", expand_avx2, hp_expand, seal_avx2, open_avx2, mask, prefetch_avx2}},
    [ISA_SSE] = {"sse",
                 init_mb_mgr_sse,
                 IMB_CPUFLAGS_SSE,
                 {"ipsecmb", expand_sse, hp_expand, seal_sse, open_sse, mask, prefetch_sse}},
};

// Where a GCM key keeps its powers of H. Up to 1.3 the VAES code has one table of 48, later two of 32; other code has
// eight and what belongs to them. A wrong guess would cost time, never correctness.
static void tables_find(struct calls *c, bool has_vaes)
{
    const struct gcm_key_data *k = NULL;
    uint32_t all = sizeof k->ghash_keys.vaes_avx512.shifted_hkey;
    bool is_split = has_vaes && all == 2 * 32 * 16;

    c->table_len = !has_vaes ? 16 * 16 : is_split ? all / 2 : all;
    c->table_end = ROUND_KEYS + c->table_len;
    c->table2_end = is_split ? ROUND_KEYS + all : 0;
}

// Copies the functions out of a manager made for this instruction set. False when the processor lacks it.
static bool calls_init(enum isa row)
{
    struct calls *c = &calls[row];
    if (c->is_ready)
        return true;
    IMB_MGR *mgr = alloc_mb_mgr(0);
    if (mgr == NULL)
        return false;
    bool is_usable = (mgr->features & rows[row].needs) == rows[row].needs && plx_hp_aes_is_usable();
    if (is_usable) {
        rows[row].init(mgr);
        *c = (struct calls){
            .is_ready = true,
            .powers = {mgr->gcm128_precomp, mgr->gcm256_precomp},
            .seal = {mgr->gcm128_enc, mgr->gcm256_enc},
            .open = {mgr->gcm128_dec, mgr->gcm256_dec},
            .chacha_init = mgr->chacha20_poly1305_init,
            .chacha_seal = mgr->chacha20_poly1305_enc_update,
            .chacha_open = mgr->chacha20_poly1305_dec_update,
            .chacha_final = mgr->chacha20_poly1305_finalize,
            .features = mgr->features,
        };
        tables_find(c, row == ISA_AVX512 && (mgr->features & IMB_FEATURE_VAES) != 0);
    }
    free_mb_mgr(mgr);
    return is_usable;
}

const struct plx_aead_backend *plx_aead_ipsecmb_pick(const char *isa, char *describe, size_t describe_len)
{
    const char *version = imb_get_version_str();
    bool is_known = false;

    version += *version == 'v';
    for (int row = 0; row < ISA_COUNT; row++) {
        if (*isa != '\0' && strcmp(isa, rows[row].isa) != 0)
            continue;
        is_known = true;
        if (!calls_init((enum isa)row))
            continue;
        bool has_vaes = (calls[row].features & IMB_FEATURE_VAES) != 0 && row == ISA_AVX512;
        snprintf(describe, describe_len, "ipsecmb %s %s%s", version, rows[row].isa, has_vaes ? "+vaes" : "");
        return &rows[row].backend;
    }
    if (is_known && *isa != '\0')
        snprintf(describe, describe_len, "this processor cannot run ipsecmb with %s", isa);
    else if (is_known)
        snprintf(describe, describe_len,
                 "this processor has no AES-NI and PCLMULQDQ, which ipsecmb needs here");
    else
        snprintf(describe, describe_len, "ipsecmb has no instruction set \"%s\": use sse, avx2 or avx512",
                 isa);
    return NULL;
}
