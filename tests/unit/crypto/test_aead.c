// test_aead.c -- the fast backend beside the reference: every length, every alignment, every kind of damage.

#include "crypto/keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

enum { TEXT_MAX = 1500, AAD_MAX = 60, GUARD = 64, ROOM = TEXT_MAX + 16 + 2 * GUARD + 64 };

static const char *const isas[] = {"ipsecmb:sse", "ipsecmb:avx2", "ipsecmb:avx512"};
static const char *const alg_name[] = {"AES-128-GCM", "AES-256-GCM", "ChaCha20-Poly1305"};
static const struct plx_aead_backend *ref, *fast[3];
static size_t fast_count;

static uint64_t seed = 0x9e3779b97f4a7c15;

static uint64_t next_random(void) // xorshift64*: reproducible, no library state
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return seed * 0x2545f4914f6cdd1d;
}

static void fill(void *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)p)[i] = (uint8_t)next_random();
}

static int setup(void **state)
{
    (void)state;
    ref = plx_aead_pick("openssl", NULL, 0);
    assert_non_null(ref);
    for (size_t i = 0; i < 3; i++) {
        const struct plx_aead_backend *b = plx_aead_pick(isas[i], NULL, 0);
        if (b != NULL)
            fast[fast_count++] = b;
    }
    assert_true(fast_count >= 1); // SSE runs on every x86-64 with AES-NI
    return 0;
}

struct pair {
    struct plx_aead_key ref, fast;
};

static void pair_expand(struct pair *k, const struct plx_aead_backend *b, enum plx_aead_alg alg)
{
    uint8_t key[32], iv[12];
    fill(key, sizeof key);
    fill(iv, sizeof iv);
    ref->expand(&k->ref, alg, key, iv);
    b->expand(&k->fast, alg, key, iv);
}

// Seals with one backend and opens with the other, guards around the text, and then breaks it.
static void cross_check(const struct plx_aead_backend *b, const struct pair *k, size_t len, size_t aad_len,
                        size_t shift)
{
    static uint8_t room[2][ROOM], plain[TEXT_MAX], aad[AAD_MAX];
    uint64_t pn = next_random() >> 2;
    uint8_t *text[2];
    struct plx_aead_job job[2];

    fill(plain, len);
    fill(aad, aad_len);
    for (int s = 0; s < 2; s++) {
        memset(room[s], 0xa5, ROOM);
        text[s] = room[s] + GUARD + shift;
        memcpy(text[s], plain, len);
        job[s] = (struct plx_aead_job){.key = s ? &k->fast : &k->ref,
                                       .text = text[s],
                                       .aad = aad,
                                       .pn = pn,
                                       .text_len = (uint16_t)len,
                                       .aad_len = (uint16_t)aad_len};
        (s ? b : ref)->seal(&job[s], 1);
    }
    assert_memory_equal(room[0], room[1], ROOM); // ciphertext, tag and guards at once
    for (size_t i = len + 16; i < len + 16 + GUARD; i++)
        assert_int_equal(text[1][i], 0xa5);

    for (int s = 0; s < 2; s++) {
        job[s].text_len = (uint16_t)(len + 16);
        (s ? b : ref)->open(&job[s], 1);
        assert_true(job[s].is_ok);
        assert_memory_equal(text[s], plain, len);
        assert_int_equal(text[s][-1], 0xa5);
        assert_int_equal(text[s][len + 16], 0xa5);
    }
}

static void test_every_length(void **state)
{
    (void)state;
    for (size_t f = 0; f < fast_count; f++) {
        for (int alg = 0; alg < PLX_AEAD_ALG_COUNT; alg++) {
            struct pair k;
            pair_expand(&k, fast[f], (enum plx_aead_alg)alg);
            for (size_t len = 0; len <= TEXT_MAX; len++) {
                size_t aad_len = len % (AAD_MAX + 1);
                cross_check(fast[f], &k, len, aad_len, len % 64);
                if (len % 97 == 0)
                    pair_expand(&k, fast[f], (enum plx_aead_alg)alg);
            }
        }
    }
}

static void test_every_alignment(void **state)
{
    (void)state;
    static const size_t lens[] = {1, 15, 16, 17, 31, 64, 128, 255, 256, 257, 1200, 1472};
    for (size_t f = 0; f < fast_count; f++) {
        for (int alg = 0; alg < PLX_AEAD_ALG_COUNT; alg++) {
            struct pair k;
            pair_expand(&k, fast[f], (enum plx_aead_alg)alg);
            for (size_t shift = 0; shift < 64; shift++)
                for (size_t l = 0; l < sizeof lens / sizeof *lens; l++)
                    cross_check(fast[f], &k, lens[l], (shift * 7 + l) % (AAD_MAX + 1), shift);
        }
    }
}

// Any changed bit of text, tag, header or number is noticed, and only the damaged job of an array is.
static void damage_check(const struct plx_aead_backend *b, enum plx_aead_alg alg)
{
    enum { JOBS = 7, LEN = 40, AAD = 13 };
    struct pair k;
    uint8_t text[JOBS][LEN + 16], aad[JOBS][AAD];
    struct plx_aead_job job[JOBS];

    pair_expand(&k, b, alg);
    for (size_t bit = 0; bit < (LEN + 16 + AAD) * 8; bit++) {
        size_t victim = bit % JOBS, byte = bit / 8;
        for (size_t i = 0; i < JOBS; i++) {
            fill(text[i], LEN);
            fill(aad[i], AAD);
            job[i] = (struct plx_aead_job){.key = b == ref ? &k.ref : &k.fast,
                                           .text = text[i],
                                           .aad = aad[i],
                                           .pn = bit * JOBS + i,
                                           .text_len = LEN,
                                           .aad_len = AAD};
        }
        b->seal(job, JOBS);
        for (size_t i = 0; i < JOBS; i++)
            job[i].text_len = LEN + 16;
        uint8_t *at = byte < LEN + 16 ? &text[victim][byte] : &aad[victim][byte - LEN - 16];
        *at ^= (uint8_t)(1u << bit % 8);
        b->open(job, JOBS);
        for (size_t i = 0; i < JOBS; i++)
            assert_int_equal(job[i].is_ok, i != victim);
    }
    for (int wrong = 0; wrong < 62; wrong++) { // every bit of the packet number counts
        job[0] = (struct plx_aead_job){.key = b == ref ? &k.ref : &k.fast,
                                       .text = text[0],
                                       .aad = aad[0],
                                       .pn = 77,
                                       .text_len = LEN,
                                       .aad_len = AAD};
        b->seal(job, 1);
        job[0].text_len = LEN + 16;
        job[0].pn ^= UINT64_C(1) << wrong;
        b->open(job, 1);
        assert_false(job[0].is_ok);
    }
    for (uint16_t len = 0; len < 16; len++) { // no room for a tag
        job[0].text_len = len;
        job[0].is_ok = true;
        b->open(job, 1);
        assert_false(job[0].is_ok);
    }
}

static void test_damage(void **state)
{
    (void)state;
    for (int alg = 0; alg < PLX_AEAD_ALG_COUNT; alg++) {
        damage_check(ref, (enum plx_aead_alg)alg);
        for (size_t f = 0; f < fast_count; f++)
            damage_check(fast[f], (enum plx_aead_alg)alg);
    }
}

// Bursts of every size with a key of its own per job, all algorithms mixed.
static void test_bursts(void **state)
{
    (void)state;
    enum { MAX = 70 };
    static struct pair k[MAX];
    static uint8_t text[2][MAX][TEXT_MAX + 16], aad[MAX][AAD_MAX];
    static struct plx_aead_job job[2][MAX];

    for (size_t f = 0; f < fast_count; f++) {
        for (size_t count = 0; count <= MAX; count++) {
            for (size_t i = 0; i < count; i++) {
                pair_expand(&k[i], fast[f], (enum plx_aead_alg)(next_random() % PLX_AEAD_ALG_COUNT));
                uint16_t len = (uint16_t)(next_random() % (TEXT_MAX + 1)),
                         aad_len = (uint16_t)(next_random() % AAD_MAX);
                fill(text[0][i], len);
                memcpy(text[1][i], text[0][i], len);
                fill(aad[i], aad_len);
                for (int s = 0; s < 2; s++)
                    job[s][i] = (struct plx_aead_job){.key = s ? &k[i].fast : &k[i].ref,
                                                      .text = text[s][i],
                                                      .aad = aad[i],
                                                      .pn = i << 30,
                                                      .text_len = len,
                                                      .aad_len = aad_len};
            }
            ref->seal(job[0], count);
            fast[f]->seal(job[1], count);
            for (size_t i = 0; i < count; i++)
                assert_memory_equal(text[0][i], text[1][i], job[0][i].text_len + 16u);
        }
    }
}

static void test_masks(void **state)
{
    (void)state;
    enum { MAX = 150 };
    static struct plx_hp_key key[2][MAX];
    static uint8_t sample[MAX][PLX_HP_SAMPLE_LEN + 3];
    struct plx_mask_job job[2][MAX];

    for (size_t f = 0; f < fast_count; f++) {
        for (size_t count = 0; count <= MAX; count++) {
            unsigned only = (unsigned)(next_random() % 4); // one algorithm alone, or a mixture
            for (size_t i = 0; i < count; i++) {
                enum plx_aead_alg alg = (enum plx_aead_alg)(only < 3 ? only : next_random() % 3);
                uint8_t raw[32];
                fill(raw, sizeof raw);
                fill(sample[i], sizeof sample[i]);
                ref->hp_expand(&key[0][i], alg, raw);
                fast[f]->hp_expand(&key[1][i], alg, raw);
                for (int s = 0; s < 2; s++)
                    job[s][i] = (struct plx_mask_job){.key = &key[s][i], .sample = sample[i] + i % 4};
            }
            ref->mask(job[0], count);
            fast[f]->mask(job[1], count);
            for (size_t i = 0; i < count; i++)
                assert_memory_equal(job[0][i].mask, job[1][i].mask, PLX_HP_MASK_LEN);
        }
    }
}

static void test_pick(void **state)
{
    (void)state;
    char a[128], b[128];
    static const char *const wrong[] = {"",        "ipsec",   "ipsecmb:", "ipsecmb:avx1024", "openssl:sse",
                                        "OPENSSL", "ipsecmbx"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        a[0] = '\0';
        assert_null(plx_aead_pick(wrong[i], a, sizeof a));
        assert_string_not_equal(a, "");
    }
    const struct plx_aead_backend *best = plx_aead_pick(NULL, a, sizeof a);
    assert_non_null(best);
    assert_ptr_equal(best, plx_aead_pick(NULL, b, sizeof b));
    assert_string_equal(a, b);
    assert_ptr_equal(best, plx_aead_pick("ipsecmb", NULL, 0));
    assert_string_equal(ref->name, "openssl");
}

static void test_figures(void **state)
{
    (void)state;
    static const struct {
        size_t key_len;
        uint64_t seal, open;
    } row[] = {
        {16, UINT64_C(1) << 23, UINT64_C(1) << 52},
        {32, UINT64_C(1) << 23, UINT64_C(1) << 52},
        {32, UINT64_C(1) << 62, UINT64_C(1) << 36},
    };
    for (int alg = 0; alg < PLX_AEAD_ALG_COUNT; alg++) {
        print_message("%s\n", alg_name[alg]);
        assert_int_equal(plx_aead_key_len((enum plx_aead_alg)alg), row[alg].key_len);
        assert_true(plx_aead_seal_limit((enum plx_aead_alg)alg) == row[alg].seal);
        assert_true(plx_aead_open_limit((enum plx_aead_alg)alg) == row[alg].open);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_length), cmocka_unit_test(test_every_alignment),
        cmocka_unit_test(test_damage),       cmocka_unit_test(test_bursts),
        cmocka_unit_test(test_masks),        cmocka_unit_test(test_pick),
        cmocka_unit_test(test_figures),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
