// crypto.c -- nanoseconds per operation of packet protection and of keys, for each backend.
//
// Usage: crypto [BACKEND...]     e.g. crypto ipsecmb:avx2 openssl; default: the best one and openssl
//
// Jobs come in bursts of 32, as the engine makes them. With one key its tables stay in the nearest cache, with 64
// they nearly do, with 16384 (22 MB) every packet waits for memory: the keys follow each other in random order, the
// packets are always the same few buffers, so what is seen is the price of keys and nothing else. Each figure is
// the best of several runs, because on a shared machine only the best is the machine's own.

#include "base/prng.h"
#include "crypto/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BURST = 32, KEYS_MAX = 16384, RUNS = 9, TEXT_MAX = 1400 };

static struct plx_aead_key *keys;
static struct plx_hp_key *hp_keys;
static uint32_t order[KEYS_MAX];
static uint8_t text[BURST][TEXT_MAX + 64], aad[BURST][16], sample[BURST][PLX_HP_SAMPLE_LEN];
static const struct plx_aead_backend *backend;
static struct plx_prng prng;

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void must(bool is_ok, const char *what)
{
    if (is_ok)
        return;
    fprintf(stderr, "%s\n", what);
    exit(1);
}

// The best of RUNS runs; each calls step with a running number until about two milliseconds are over.
static double measure(void (*step)(uint32_t n, const void *arg), const void *arg, unsigned ops_per_step)
{
    double best = 1e18;
    uint32_t n = 0;
    for (int run = 0; run < RUNS; run++) {
        double start = now_ns(), end;
        uint32_t first = n;
        do {
            for (int i = 0; i < 16; i++)
                step(n++, arg);
            end = now_ns();
        } while (end - start < 2e6);
        double ns = (end - start) / ((double)(n - first) * ops_per_step);
        best = ns < best ? ns : best;
    }
    return best;
}

// --- packets ---------------------------------------------------------------------------------------------

struct packets {
    uint16_t len;
    uint32_t key_count;
};

static inline void jobs_make(struct plx_aead_job job[BURST], uint32_t n, uint32_t key_count, uint16_t len)
{
    for (uint32_t i = 0; i < BURST; i++)
        job[i] = (struct plx_aead_job){.key = &keys[order[(n * BURST + i) & (key_count - 1)]],
                                       .text = text[i],
                                       .aad = aad[i],
                                       .pn = n,
                                       .text_len = len,
                                       .aad_len = 13};
}

static void seal_step(uint32_t n, const void *arg)
{
    const struct packets *p = arg;
    struct plx_aead_job job[BURST];
    jobs_make(job, n, p->key_count, p->len);
    backend->seal(job, BURST);
}

// Opening garbage costs what opening the real thing costs: the tag is compared at the very end.
static void open_step(uint32_t n, const void *arg)
{
    const struct packets *p = arg;
    struct plx_aead_job job[BURST];
    jobs_make(job, n, p->key_count, (uint16_t)(p->len + PLX_AEAD_TAG_LEN));
    backend->open(job, BURST);
}

static void mask_step(uint32_t n, const void *arg)
{
    const struct packets *p = arg;
    struct plx_mask_job job[BURST];
    for (uint32_t i = 0; i < p->len; i++)
        job[i] = (struct plx_mask_job){.key = &hp_keys[order[(n * p->len + i) & (p->key_count - 1)]],
                                       .sample = sample[i]};
    backend->mask(job, p->len);
}

static void keys_fill(enum plx_aead_alg alg)
{
    uint8_t raw[32], iv[12];
    for (uint32_t i = 0; i < KEYS_MAX; i++) {
        plx_prng_bytes(&prng, raw, sizeof raw);
        memcpy(iv, raw, sizeof iv);
        backend->expand(&keys[i], alg, raw, iv);
        backend->hp_expand(&hp_keys[i], alg, raw);
    }
}

// A random order of the first key_count keys.
static void order_fill(uint32_t key_count)
{
    for (uint32_t i = 0; i < key_count; i++) {
        uint32_t j = (uint32_t)plx_prng_below(&prng, i + 1);
        order[i] = order[j];
        order[j] = i;
    }
}

static void packets_report(const char *name, enum plx_aead_alg alg)
{
    static const uint16_t lens[] = {32, 64, 128, 256, 512, 1200, 1400};
    static const uint32_t counts[] = {1, 64, KEYS_MAX};
    keys_fill(alg);
    printf("  %-18s", name);
    for (size_t l = 0; l < sizeof lens / sizeof *lens; l++)
        printf("%8u B", lens[l]);
    printf("\n");
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        order_fill(counts[c]);
        for (int is_open = 0; is_open < 2; is_open++) {
            printf("    %s, %5u keys ", is_open ? "open" : "seal", counts[c]);
            for (size_t l = 0; l < sizeof lens / sizeof *lens; l++) {
                struct packets p = {lens[l], counts[c]};
                printf("%10.1f", measure(is_open ? open_step : seal_step, &p, BURST));
            }
            printf("\n");
        }
    }
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        order_fill(counts[c]);
        struct packets many = {BURST, counts[c]}, one = {1, counts[c]};
        printf("    mask, %5u keys  burst of %d: %.1f   alone: %.1f\n", counts[c], BURST,
               measure(mask_step, &many, BURST), measure(mask_step, &one, 1));
    }
}

// --- keys ------------------------------------------------------------------------------------------------

static struct plx_secret secret = {.len = 32, .alg = PLX_AEAD_AES_128_GCM};

static void expand_step(uint32_t n, const void *arg)
{
    enum plx_aead_alg alg = *(const enum plx_aead_alg *)arg;
    backend->expand(&keys[n & 63], alg, secret.bytes, secret.bytes);
}

static void hp_expand_step(uint32_t n, const void *arg)
{
    enum plx_aead_alg alg = *(const enum plx_aead_alg *)arg;
    backend->hp_expand(&hp_keys[n & 63], alg, secret.bytes);
}

static void label_step(uint32_t n, const void *arg)
{
    uint8_t out[16];
    (void)n;
    plx_hkdf_expand_label(arg, "quic key", out, sizeof out);
}

static void initial_step(uint32_t n, const void *arg)
{
    struct plx_secret client, server;
    (void)arg;
    plx_secret_initial(PLX_QUIC_V1, (const uint8_t *)&n, sizeof n, &client, &server);
}

static void keys_step(uint32_t n, const void *arg)
{
    plx_keys_both(backend, PLX_QUIC_V1, arg, &keys[n & 63], &hp_keys[n & 63]);
}

static void next_step(uint32_t n, const void *arg)
{
    struct plx_secret next;
    (void)n;
    plx_secret_next(PLX_QUIC_V1, arg, &next);
}

static void retry_step(uint32_t n, const void *arg)
{
    uint8_t tag[PLX_AEAD_TAG_LEN];
    plx_retry_tag(backend, PLX_QUIC_V1, arg, 8, text[n & 7], 100, tag);
}

static void keys_report(void)
{
    static const enum plx_aead_alg algs[] = {PLX_AEAD_AES_128_GCM, PLX_AEAD_AES_256_GCM};
    struct plx_secret wide = {.len = 48, .alg = PLX_AEAD_AES_256_GCM};
    const struct {
        const char *what;
        void (*step)(uint32_t, const void *);
        const void *arg;
    } row[] = {
        {"AES-128-GCM key expanded", expand_step, &algs[0]},
        {"AES-256-GCM key expanded", expand_step, &algs[1]},
        {"AES-128 mask key expanded", hp_expand_step, &algs[0]},
        {"AES-256 mask key expanded", hp_expand_step, &algs[1]},
        {"expand label, SHA-256", label_step, &secret},
        {"expand label, SHA-384", label_step, &wide},
        {"both Initial secrets from a connection ID", initial_step, NULL},
        {"key, iv and hp of one secret, expanded", keys_step, &secret},
        {"next secret", next_step, &secret},
        {"Retry tag", retry_step, "8 octets"},
    };
    printf("  keys\n");
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        printf("    %-44s%8.1f\n", row[i].what, measure(row[i].step, row[i].arg, 1));
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"AES-128-GCM", "AES-256-GCM", "ChaCha20-Poly1305"};
    keys = aligned_alloc(64, KEYS_MAX * sizeof *keys);
    hp_keys = aligned_alloc(64, KEYS_MAX * sizeof *hp_keys);
    must(keys != NULL && hp_keys != NULL, "no memory for keys");
    plx_prng_init(&prng, 1);
    must(plx_random_bytes(secret.bytes, sizeof secret.bytes), "no random numbers");

    const char *wishes[] = {NULL, "openssl"};
    int count = argc > 1 ? argc - 1 : 2;
    for (int i = 0; i < count; i++) {
        char describe[160];
        backend = plx_aead_pick(argc > 1 ? argv[i + 1] : wishes[i], describe, sizeof describe);
        must(backend != NULL, describe);
        printf("%s: nanoseconds per operation\n", describe);
        for (int alg = 0; alg < PLX_AEAD_ALG_COUNT; alg++)
            packets_report(names[alg], (enum plx_aead_alg)alg);
        keys_report();
    }
    free(keys);
    free(hp_keys);
    return 0;
}
