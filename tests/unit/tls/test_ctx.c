// test_ctx.c -- configurations that cannot work are refused with a sentence that names the cause.

#include "peers.h"

#include <sys/stat.h>

static void file_write(const char *name, const char *text)
{
    FILE *f = fopen(in_dir(name), "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void encrypted_key_write(void)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    FILE *f = fopen(in_dir("locked.key"), "w");
    assert_non_null(f);
    assert_int_equal(
        PEM_write_PrivateKey(f, key, EVP_aes_128_cbc(), (const unsigned char *)"secret", 6, NULL, NULL), 1);
    fclose(f);
    EVP_PKEY_free(key);
}

static void refused(const struct plx_tls_cfg *cfg, const char *says)
{
    char err[256] = "";
    assert_null(plx_tls_ctx_new(cfg, err, sizeof err));
    print_message("%s\n", err);
    if (strstr(err, says) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err, says);
    assert_null(plx_tls_ctx_new(cfg, NULL, 0)); // nobody listens
}

static void test_bad_files(void **state)
{
    (void)state;
    file_write("empty.pem", "");
    file_write("text.pem", "hello\n");
    encrypted_key_write();
    static const struct {
        const char *cert, *key, *says;
    } row[] = {
        {"absent.pem", "main.key", "cannot open the certificate file"},
        {"main.pem", "absent.key", "cannot open the key file"},
        {"empty.pem", "main.key", "empty.pem holds no certificate"},
        {"text.pem", "main.key", "text.pem holds no certificate"},
        {"main.key", "main.key", "main.key holds no certificate"},
        {"main.pem", "text.pem", "text.pem holds no private key"},
        {"main.pem", "main.pem", "main.pem holds no private key"},
        {"main.pem", "shop.key", "does not belong to the certificate"},
        {"main.pem", "locked.key", "is encrypted"},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        char cert[128], key[128];
        snprintf(cert, sizeof cert, "%s", in_dir(row[i].cert));
        snprintf(key, sizeof key, "%s", in_dir(row[i].key));
        struct plx_tls_cert files = {cert, key};
        refused(&(struct plx_tls_cfg){.is_server = true, .certs = &files, .cert_count = 1}, row[i].says);
    }
    refused(&(struct plx_tls_cfg){.verify_peer = true, .ca_file = in_dir("absent.pem")},
            "cannot read the CA file");
    refused(&(struct plx_tls_cfg){.verify_peer = true, .ca_file = in_dir("text.pem")},
            "text.pem holds no certificate");
    unlink(in_dir("empty.pem"));
    unlink(in_dir("text.pem"));
    unlink(in_dir("locked.key"));
}

static void test_bad_words(void **state)
{
    (void)state;
    static char long_name[300];
    memset(long_name, 'x', 299);
    static const char *const long_alpn[] = {long_name}, *const empty_alpn[] = {""};
    const struct {
        struct plx_tls_cfg cfg;
        const char *says;
    } row[] = {
        {{.ciphersuites = "TLS_AES_128_GCM_SHA256:TLS_AES_512"}, "no cipher suite \"TLS_AES_512\""},
        {{.ciphersuites = "TLS_AES_128_CCM_SHA256"}, "no cipher suite \"TLS_AES_128_CCM_SHA256\""},
        {{.ciphersuites = ""}, "is empty"},
        {{.groups = "X25519:P-999"}, "no group \"P-999\""},
        {{.groups = ""}, "cannot be used"},
        {{.alpn = long_alpn, .alpn_count = 1}, "application protocol"},
        {{.alpn = empty_alpn, .alpn_count = 1}, "application protocol"},
        {{.is_server = true}, "needs a certificate"},
        {{.ticket_lifetime = PLX_MS(10)}, "ticket lifetime"},
        {{.ticket_lifetime = PLX_SEC(86400 * 8)}, "ticket lifetime"},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        refused(&row[i].cfg, row[i].says);
    struct plx_tls_cert files = {in_dir("main.pem"), in_dir("main.key")};
    refused(&(struct plx_tls_cfg){.is_server = true, .certs = &files, .cert_count = 1, .tickets = 17},
            "too many");
}

static void test_good_words(void **state)
{
    (void)state;
    static const struct plx_tls_cfg row[] = {
        {.verify_peer = true}, // the system's roots, whatever they are
        {.ciphersuites = "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256"},
        {.groups = "*X25519:P-256"},
        {.groups = "x25519:secp384r1"},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        char err[256] = "";
        struct plx_tls_ctx *ctx = plx_tls_ctx_new(&row[i], err, sizeof err);
        assert_string_equal(err, "");
        assert_non_null(ctx);
        plx_tls_ctx_free(ctx);
    }
    plx_tls_ctx_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_bad_words),
        cmocka_unit_test(test_good_words),
    };
    return cmocka_run_group_tests(tests, certs_setup, certs_teardown);
}
