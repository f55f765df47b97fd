// cert.c -- see cert.h.

#include "tls/cert.h"
#include "tls/ctx.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

// --- files -----------------------------------------------------------------------------------------------

// Names the one cause that OpenSSL words worst: the file itself.
static bool file_is_readable(const char *what, const char *path, char *err, size_t err_len)
{
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        plx_tls_err(err, err_len, "cannot open the %s file %s: %s", what, path, strerror(errno));
        return false;
    }
    fclose(f);
    return true;
}

// Instead of OpenSSL's default, which would ask on the terminal.
static int no_passphrase(char *buf, int size, int is_writing, void *arg)
{
    (void)buf;
    (void)size;
    (void)is_writing;
    *(bool *)arg = true;
    return -1;
}

bool plx_cert_load(SSL_CTX *ctx, const char *cert_file, const char *key_file, char *err, size_t err_len)
{
    bool was_asked = false;

    if (!file_is_readable("certificate", cert_file, err, err_len) ||
        !file_is_readable("key", key_file, err, err_len))
        return false;
    ERR_clear_error();
    SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
    SSL_CTX_set_default_passwd_cb_userdata(ctx, &was_asked);
    bool is_ok = SSL_CTX_use_certificate_chain_file(ctx, cert_file) == 1;
    if (!is_ok) {
        plx_tls_err(err, err_len, "%s holds no certificate that can be used (PEM is needed): %s", cert_file,
                    plx_tls_ossl_reason());
    } else if (!(is_ok = SSL_CTX_use_PrivateKey_file(ctx, key_file, SSL_FILETYPE_PEM) == 1)) {
        unsigned long code = ERR_peek_error();
        if (was_asked)
            plx_tls_err(err, err_len, "the key in %s is encrypted: store it without a passphrase", key_file);
        else if (ERR_GET_LIB(code) == ERR_LIB_X509 && ERR_GET_REASON(code) == X509_R_KEY_VALUES_MISMATCH)
            plx_tls_err(err, err_len, "the key in %s does not belong to the certificate in %s", key_file,
                        cert_file);
        else
            plx_tls_err(err, err_len, "%s holds no private key that can be used (PEM is needed): %s",
                        key_file, plx_tls_ossl_reason());
    } else if (!(is_ok = SSL_CTX_check_private_key(ctx) == 1)) {
        plx_tls_err(err, err_len, "the key in %s does not belong to the certificate in %s", key_file,
                    cert_file);
    }
    SSL_CTX_set_default_passwd_cb_userdata(ctx, NULL);
    ERR_clear_error();
    return is_ok;
}

// --- names -----------------------------------------------------------------------------------------------

// DNS compares ASCII without case; no locale may have a say in that.
static bool lower_copy(char *to, size_t max, const char *from, size_t len)
{
    if (len == 0 || len >= max)
        return false;
    for (size_t i = 0; i < len; i++)
        to[i] = (char)(from[i] >= 'A' && from[i] <= 'Z' ? from[i] - 'A' + 'a' : from[i]);
    to[len] = '\0';
    return strlen(to) == len; // a NUL inside would make two names look like one
}

static bool name_push(struct plx_cert_names *n, const char *name, size_t idx)
{
    if (n->count == n->cap) {
        size_t cap = n->cap ? 2 * n->cap : 16;
        struct plx_cert_name *list = OPENSSL_realloc(n->list, cap * sizeof *list);
        if (list == NULL)
            return false;
        n->list = list;
        n->cap = cap;
    }
    char *copy = OPENSSL_strdup(name);
    if (copy == NULL)
        return false;
    n->list[n->count++] = (struct plx_cert_name){copy, idx};
    return true;
}

bool plx_cert_names_add(struct plx_cert_names *n, SSL_CTX *ctx, size_t idx)
{
    GENERAL_NAMES *sans = X509_get_ext_d2i(SSL_CTX_get0_certificate(ctx), NID_subject_alt_name, NULL, NULL);
    bool is_ok = true;

    for (int i = 0; is_ok && i < sk_GENERAL_NAME_num(sans); i++) {
        const GENERAL_NAME *san = sk_GENERAL_NAME_value(sans, i);
        char name[PLX_CERT_NAME_MAX];
        if (san->type != GEN_DNS)
            continue; // addresses never come as SNI, RFC 6066 section 3
        const ASN1_STRING *dns = san->d.dNSName;
        if (lower_copy(name, sizeof name, (const char *)ASN1_STRING_get0_data(dns),
                       (size_t)ASN1_STRING_length(dns)))
            is_ok = name_push(n, name, idx);
    }
    GENERAL_NAMES_free(sans);
    return is_ok;
}

static int name_compare(const void *a, const void *b)
{
    const struct plx_cert_name *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order != 0 ? order : x->idx < y->idx ? -1 : x->idx > y->idx;
}

void plx_cert_names_sort(struct plx_cert_names *n)
{
    if (n->count > 0)
        qsort(n->list, n->count, sizeof *n->list, name_compare);
}

void plx_cert_names_fini(struct plx_cert_names *n)
{
    for (size_t i = 0; i < n->count; i++)
        OPENSSL_free(n->list[i].name);
    OPENSSL_free(n->list);
    *n = (struct plx_cert_names){0};
}

// The first entry of that name (the earliest certificate), or NULL.
static const struct plx_cert_name *name_lookup(const struct plx_cert_names *n, const char *name)
{
    size_t low = 0, high = n->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (strcmp(n->list[mid].name, name) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low < n->count && strcmp(n->list[low].name, name) == 0 ? &n->list[low] : NULL;
}

size_t plx_cert_names_find(const struct plx_cert_names *n, const char *server_name)
{
    char name[PLX_CERT_NAME_MAX + 1];
    size_t len = strlen(server_name);

    if (len > 0 && server_name[len - 1] == '.')
        len--;
    if (!lower_copy(name, PLX_CERT_NAME_MAX, server_name, len))
        return 0;
    const struct plx_cert_name *found = name_lookup(n, name);
    char *dot = strchr(name, '.');
    if (found == NULL && dot != NULL && dot > name) {
        dot[-1] = '*';
        found = name_lookup(n, dot - 1);
    }
    return found != NULL ? found->idx : 0;
}
