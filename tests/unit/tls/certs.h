// certs.h -- certificates made on the spot, in a folder of their own. Test programs only.

#ifndef PLX_TEST_CERTS_H
#define PLX_TEST_CERTS_H

#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

static char certs_dir[64];

struct made {
    X509 *cert;
    EVP_PKEY *key;
};

static inline void ext_add(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    plx_check(ext != NULL);
    plx_check(X509_add_ext(cert, ext, -1) == 1);
    X509_EXTENSION_free(ext);
}

// san: "DNS:a,IP:1.2.3.4". from, until: seconds from now. signer NULL: self-signed authority.
static inline struct made cert_make(const char *cn, const char *san, long from, long until,
                                    const struct made *signer)
{
    struct made m = {X509_new(), EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256")};
    static long serial = 1000;
    X509_NAME *name = X509_get_subject_name(m.cert);

    X509_set_version(m.cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(m.cert), serial++);
    X509_gmtime_adj(X509_getm_notBefore(m.cert), from);
    X509_gmtime_adj(X509_getm_notAfter(m.cert), until);
    X509_set_pubkey(m.cert, m.key);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0);
    X509_set_issuer_name(m.cert, signer ? X509_get_subject_name(signer->cert) : name);
    ext_add(m.cert, signer ? signer->cert : m.cert, NID_basic_constraints,
            signer ? "critical,CA:FALSE" : "critical,CA:TRUE");
    if (san != NULL)
        ext_add(m.cert, signer ? signer->cert : m.cert, NID_subject_alt_name, san);
    plx_check(X509_sign(m.cert, signer ? signer->key : m.key, EVP_sha256()) > 0);
    return m;
}

static inline const char *in_dir(const char *name)
{
    static char path[8][128];
    static unsigned turn;
    char *p = path[turn++ % 8];
    snprintf(p, 128, "%s/%s", certs_dir, name);
    return p;
}

static inline void cert_write(const struct made *m, const char *stem)
{
    char name[64];
    snprintf(name, sizeof name, "%s.pem", stem);
    FILE *f = fopen(in_dir(name), "w");
    plx_check(f != NULL);
    PEM_write_X509(f, m->cert);
    fclose(f);
    snprintf(name, sizeof name, "%s.key", stem);
    f = fopen(in_dir(name), "w");
    plx_check(f != NULL);
    PEM_write_PrivateKey(f, m->key, NULL, NULL, 0, NULL, NULL);
    fclose(f);
}

static inline void made_free(struct made *m)
{
    X509_free(m->cert);
    EVP_PKEY_free(m->key);
}

enum { DAY = 86400 };

static inline int certs_setup(void **state)
{
    (void)state;
    snprintf(certs_dir, sizeof certs_dir, "/tmp/plx-tls-XXXXXX");
    plx_check(mkdtemp(certs_dir) != NULL);
    struct made ca = cert_make("Test Authority", NULL, -DAY, 30 * DAY, NULL);
    struct made other = cert_make("Other Authority", NULL, -DAY, 30 * DAY, NULL);
    cert_write(&ca, "ca");
    cert_write(&other, "other");
    static const struct {
        const char *stem, *san;
        long from, until;
    } row[] = {
        {"main", "DNS:main.test,DNS:www.main.test,IP:127.0.0.1,IP:::1", -DAY, DAY},
        {"shop", "DNS:shop.test,DNS:*.shop.test", -DAY, DAY},
        {"blog", "DNS:Blog.Test,DNS:deep.shop.test", -DAY, DAY},
        {"old", "DNS:main.test", -9 * DAY, -DAY},
        {"young", "DNS:main.test", DAY, 9 * DAY},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct made m = cert_make(row[i].stem, row[i].san, row[i].from, row[i].until, &ca);
        cert_write(&m, row[i].stem);
        made_free(&m);
    }
    made_free(&ca);
    made_free(&other);
    return 0;
}

static inline int certs_teardown(void **state)
{
    static const char *const stems[] = {"ca", "other", "main", "shop", "blog", "old", "young"};
    (void)state;
    for (size_t i = 0; i < sizeof stems / sizeof *stems; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s.pem", stems[i]);
        unlink(in_dir(name));
        snprintf(name, sizeof name, "%s.key", stems[i]);
        unlink(in_dir(name));
    }
    return rmdir(certs_dir);
}

#endif
