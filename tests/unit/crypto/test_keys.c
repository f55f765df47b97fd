// test_keys.c -- RFC 9001 Appendix A, with every backend this machine can run, and HKDF against RFC 5869 and OpenSSL.

#include "crypto/keys.h"
#include "hex.h"
#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>
#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

static const char *const wishes[] = {"openssl", "ipsecmb:sse", "ipsecmb:avx2", "ipsecmb:avx512"};
enum { WISHES = sizeof wishes / sizeof *wishes };

static void assert_hex(const char *what, const void *got, const char *want)
{
    uint8_t bytes[2048];
    size_t len = hex_read(want, bytes, sizeof bytes);
    if (memcmp(got, bytes, len) != 0)
        fail_msg("%s is not as the RFC has it", what);
}

static void secrets_a1(struct plx_secret *client, struct plx_secret *server)
{
    static const uint8_t dcid[] = {0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08};
    plx_secret_initial(PLX_QUIC_V1, dcid, sizeof dcid, client, server);
}

static void test_a1_keys(void **state)
{
    (void)state;
    struct plx_secret client, server;
    secrets_a1(&client, &server);
    assert_int_equal(client.alg, PLX_AEAD_AES_128_GCM);
    const struct {
        const struct plx_secret *s;
        const char *label, *want;
        uint8_t len;
    } row[] = {
        {&client, "quic key", "1f369613dd76d5467730efcbe3b1a22d", 16},
        {&client, "quic iv", "fa044b2f42a3fd3b46fb255c", 12},
        {&client, "quic hp", "9f50449e04a0e810283a1e9933adedd2", 16},
        {&server, "quic key", "cf3a5331653c364c88f0f379b6067e37", 16},
        {&server, "quic iv", "0ac1493ca1905853b0bba03e", 12},
        {&server, "quic hp", "c206b8d9b9f0f37644430b490eeaa314", 16},
    };
    assert_hex("client_initial_secret", client.bytes,
               "c00cf151ca5be075ed0ebfb5c80323c42d6b7db67881289af4008f1f6c357aea");
    assert_hex("server_initial_secret", server.bytes,
               "3c199828fd139efd216c155ad844cc81fb82fa8d7446fa7d78be803acdda951b");
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        uint8_t out[32];
        plx_hkdf_expand_label(row[i].s, row[i].label, out, row[i].len);
        assert_hex(row[i].label, out, row[i].want);
    }
}

// Protects a packet as RFC 9001 section 5 describes, compares, and takes it apart again.
struct packet {
    const struct plx_secret *s;
    const char *header, *want;
    uint8_t payload[1200];
    size_t payload_len;
    uint64_t pn;
    uint8_t pn_len;
};

static void packet_check(const struct plx_aead_backend *b, const struct packet *p)
{
    uint8_t pkt[1400], header[64], want[1400];
    struct plx_aead_key key;
    struct plx_hp_key hp;
    size_t hdr_len = hex_read(p->header, header, sizeof header),
           want_len = hex_read(p->want, want, sizeof want);

    plx_keys_aead(b, PLX_QUIC_V1, p->s, &key);
    plx_keys_hp(b, PLX_QUIC_V1, p->s, &hp);
    memcpy(pkt, header, hdr_len);
    memcpy(pkt + hdr_len, p->payload, p->payload_len);
    struct plx_aead_job job = {.key = &key,
                               .text = pkt + hdr_len,
                               .aad = header,
                               .pn = p->pn,
                               .text_len = (uint16_t)p->payload_len,
                               .aad_len = (uint16_t)hdr_len};
    b->seal(&job, 1);
    struct plx_mask_job mask = {.key = &hp, .sample = pkt + hdr_len - p->pn_len + 4};
    b->mask(&mask, 1);
    pkt[0] ^= mask.mask[0] & (pkt[0] & 0x80 ? 0x0f : 0x1f);
    for (uint8_t i = 0; i < p->pn_len; i++)
        pkt[hdr_len - p->pn_len + i] ^= mask.mask[1 + i];
    assert_int_equal(want_len, hdr_len + p->payload_len + 16);
    assert_memory_equal(pkt, want, want_len);

    job.text_len = (uint16_t)(p->payload_len + 16);
    b->open(&job, 1);
    assert_true(job.is_ok);
    assert_memory_equal(pkt + hdr_len, p->payload, p->payload_len);
}

static void packets_check(const struct plx_aead_backend *b)
{
    struct plx_secret client, server, short_hdr = {.len = 32, .alg = PLX_AEAD_CHACHA20_POLY1305};
    secrets_a1(&client, &server);
    hex_read("9ac312a7f877468ebe69422748ad00a15443f18203a07d6060f688f30f21632b", short_hdr.bytes, 32);

    struct packet a2 = {.s = &client,
                        .header = "c300000001088394c8f03e5157080000449e00000002",
                        .want = a2_packet,
                        .payload_len = 1162,
                        .pn = 2,
                        .pn_len = 4};
    hex_read(a2_crypto, a2.payload, sizeof a2.payload);
    packet_check(b, &a2);

    struct packet a3 = {.s = &server,
                        .header = "c1000000010008f067a5502a4262b50040750001",
                        .want = a3_packet,
                        .pn = 1,
                        .pn_len = 2};
    a3.payload_len = hex_read(a3_payload, a3.payload, sizeof a3.payload);
    packet_check(b, &a3);

    struct packet a5 = {.s = &short_hdr,
                        .header = "4200bff4",
                        .want = "4cfe4189655e5cd55c41f69080575d7999c25a5bfb",
                        .payload = {0x01},
                        .payload_len = 1,
                        .pn = 654360564,
                        .pn_len = 3};
    packet_check(b, &a5);
}

static void retry_check(const struct plx_aead_backend *b)
{
    uint8_t odcid[8], retry[64], tag[16];
    hex_read("8394c8f03e515708", odcid, sizeof odcid);
    size_t len = hex_read("ff000000010008f067a5502a4262b5746f6b656e04a265ba2eff4d829058fb3f0f2496ba", retry,
                          sizeof retry);
    plx_retry_tag(b, PLX_QUIC_V1, odcid, sizeof odcid, retry, len - 16, tag);
    assert_memory_equal(tag, retry + len - 16, 16);
    retry[5] ^= 1;
    plx_retry_tag(b, PLX_QUIC_V1, odcid, sizeof odcid, retry, len - 16, tag);
    assert_memory_not_equal(tag, retry + len - 16, 16);
}

static void test_a2_to_a5_packets(void **state)
{
    (void)state;
    unsigned tried = 0;
    for (size_t i = 0; i < WISHES; i++) {
        char describe[128] = "";
        const struct plx_aead_backend *b = plx_aead_pick(wishes[i], describe, sizeof describe);
        print_message("%s: %s\n", wishes[i], describe);
        assert_string_not_equal(describe, "");
        if (b == NULL)
            continue; // this processor cannot; describe has said so
        packets_check(b);
        retry_check(b);
        tried++;
    }
    assert_true(tried >= 2); // the reference, and at least one instruction set of every x86 of this century
}

static void test_a5_next_secret(void **state)
{
    (void)state;
    struct plx_secret s = {.len = 32, .alg = PLX_AEAD_CHACHA20_POLY1305};
    hex_read("9ac312a7f877468ebe69422748ad00a15443f18203a07d6060f688f30f21632b", s.bytes, 32);
    plx_secret_next(PLX_QUIC_V1, &s, &s);
    assert_hex("ku", s.bytes, "1223504755036d556342ee9361d253421a826c9ecdf3c7148684b36b714881f9");
    assert_int_equal(s.len, 32);
    assert_int_equal(s.alg, PLX_AEAD_CHACHA20_POLY1305);
}

static void test_extract_rfc5869(void **state)
{
    (void)state;
    // Test cases 1 to 3 of RFC 5869 Appendix A: ordinary, a salt longer than a block, no salt.
    static const struct {
        const char *ikm, *salt, *prk;
    } row[] = {
        {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "000102030405060708090a0b0c",
         "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5"},
        {"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f"
         "303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f",
         "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f"
         "909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
         "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244"},
        {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "",
         "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04"},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        uint8_t ikm[128], salt[128], prk[32];
        size_t ikm_len = hex_read(row[i].ikm, ikm, sizeof ikm),
               salt_len = hex_read(row[i].salt, salt, sizeof salt);
        plx_hkdf_extract(salt, salt_len, ikm, ikm_len, prk);
        assert_hex("prk", prk, row[i].prk);
    }
}

// OpenSSL's own TLS 1.3 derivation is the second opinion for every hash and length.
static void test_expand_label_against_openssl(void **state)
{
    (void)state;
    static const struct {
        const char *digest;
        uint8_t secret_len;
    } hash[] = {{"SHA256", 32}, {"SHA384", 48}};
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "TLS13-KDF", NULL);
    EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
    for (size_t h = 0; h < 2; h++) {
        for (size_t len = 1; len <= 48; len++) {
            struct plx_secret s = {.len = hash[h].secret_len};
            uint8_t ours[48], theirs[48];
            char label[33];
            assert_true(plx_random_bytes(s.bytes, s.len));
            size_t label_len =
                snprintf(label, sizeof label, "%.*s", (int)(len % 33), "quic label of any length you want");
            OSSL_PARAM p[] = {
                OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &(int){EVP_KDF_HKDF_MODE_EXPAND_ONLY}),
                OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)(uintptr_t)hash[h].digest, 0),
                OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, s.bytes, s.len),
                OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PREFIX, (char[]){"tls13 "}, 6),
                OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_LABEL, label, label_len),
                OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_DATA, label, 0),
                OSSL_PARAM_construct_end(),
            };
            assert_int_equal(EVP_KDF_derive(ctx, theirs, len, p), 1);
            plx_hkdf_expand_label(&s, label, ours, len);
            assert_memory_equal(ours, theirs, len);
        }
    }
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
}

// What is derived together is what is derived one by one.
static void test_together(void **state)
{
    (void)state;
    const struct plx_secret rows[] = {{.len = 32, .alg = PLX_AEAD_AES_128_GCM, .bytes = {1}},
                                      {.len = 48, .alg = PLX_AEAD_AES_256_GCM, .bytes = {2, 3}},
                                      {.len = 32, .alg = PLX_AEAD_CHACHA20_POLY1305, .bytes = {4}}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct plx_secret *s = &rows[i];
        struct plx_material all = {0}, two = {0};
        struct plx_secret next = {0}, want = {0};
        uint8_t hp[PLX_AEAD_KEY_MAX] = {0};

        plx_material_all(PLX_QUIC_V1, s, &all, &next);
        plx_material_aead(PLX_QUIC_V1, s, &two);
        plx_hkdf_expand_label(s, "quic hp", hp, plx_aead_key_len(s->alg));
        plx_secret_next(PLX_QUIC_V1, s, &want);
        assert_int_equal(all.alg, two.alg);
        assert_memory_equal(all.key, two.key, sizeof two.key);
        assert_memory_equal(all.iv, two.iv, sizeof two.iv);
        assert_memory_equal(all.hp, hp, sizeof hp);
        assert_int_equal(next.len, want.len);
        assert_int_equal(next.alg, want.alg);
        assert_memory_equal(next.bytes, want.bytes, sizeof want.bytes);

        struct plx_aead_key aead[2] = {0};
        struct plx_hp_key mask[2] = {0};
        const struct plx_aead_backend *b = plx_aead_pick("openssl", NULL, 0);
        plx_keys_both(b, PLX_QUIC_V1, s, &aead[0], &mask[0]);
        plx_keys_aead(b, PLX_QUIC_V1, s, &aead[1]);
        plx_keys_hp(b, PLX_QUIC_V1, s, &mask[1]);
        assert_memory_equal(&aead[0], &aead[1], sizeof *aead);
        assert_memory_equal(&mask[0], &mask[1], sizeof *mask);
    }
}

static void test_bytes(void **state)
{
    (void)state;
    struct plx_secret s = {.len = 32}, zero = {0};
    uint8_t a[32] = {0}, b[32] = {0}, c[32];
    assert_true(plx_random_bytes(s.bytes, sizeof s.bytes));
    assert_memory_not_equal(s.bytes, zero.bytes, sizeof s.bytes);
    plx_secret_wipe(&s);
    assert_memory_equal(&s, &zero, sizeof s);
    assert_true(plx_bytes_equal(a, b, 32));
    for (size_t bit = 0; bit < 256; bit++) {
        memcpy(c, a, 32);
        c[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(plx_bytes_equal(a, c, 32));
        assert_true(plx_bytes_equal(a, c, bit / 8));
    }
    assert_true(plx_bytes_equal(a, s.bytes, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a1_keys),
        cmocka_unit_test(test_a2_to_a5_packets),
        cmocka_unit_test(test_a5_next_secret),
        cmocka_unit_test(test_extract_rfc5869),
        cmocka_unit_test(test_expand_label_against_openssl),
        cmocka_unit_test(test_together),
        cmocka_unit_test(test_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
