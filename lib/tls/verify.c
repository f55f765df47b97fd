// verify.c -- what is wrong with a certificate, in words that name the remedy.
//
// OpenSSL verifies; this file only listens. Its callback is asked at every problem while the certificate in
// question is at hand, which it no longer is when the handshake has failed.

#include "tls/pump.h"

#include <stdio.h>
#include <string.h>
#include <openssl/bio.h>
#include <openssl/x509v3.h>

static void address_write(BIO *out, const ASN1_OCTET_STRING *address)
{
    const uint8_t *ip = ASN1_STRING_get0_data(address);
    int len = ASN1_STRING_length(address);

    if (len == 4)
        BIO_printf(out, "%d.%d.%d.%d", ip[0], ip[1], ip[2], ip[3]);
    for (int i = 0; len == 16 && i < 16; i += 2)
        BIO_printf(out, "%s%x", i > 0 ? ":" : "", ip[i] << 8 | ip[i + 1]);
}

// The names that a certificate is good for, as many as fit.
static void names_write(BIO *out, const X509 *cert)
{
    GENERAL_NAMES *sans = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    const char *comma = "";

    for (int i = 0; i < sk_GENERAL_NAME_num(sans); i++) {
        const GENERAL_NAME *san = sk_GENERAL_NAME_value(sans, i);
        if (san->type == GEN_DNS) {
            BIO_printf(out, "%s%.*s", comma, ASN1_STRING_length(san->d.dNSName),
                       (const char *)ASN1_STRING_get0_data(san->d.dNSName));
        } else if (san->type == GEN_IPADD) {
            BIO_puts(out, comma);
            address_write(out, san->d.iPAddress);
        } else {
            continue;
        }
        comma = ", ";
    }
    if (*comma == '\0')
        BIO_puts(out, "no name at all");
    GENERAL_NAMES_free(sans);
}

static void detail_write(BIO *out, int error, const X509 *cert)
{
    switch (error) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        BIO_puts(out, ": certificate is for ");
        names_write(out, cert);
        break;
    case X509_V_ERR_CERT_HAS_EXPIRED:
        BIO_puts(out, " on ");
        ASN1_TIME_print(out, X509_get0_notAfter(cert));
        break;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        BIO_puts(out, " before ");
        ASN1_TIME_print(out, X509_get0_notBefore(cert));
        break;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        BIO_puts(out, ": ");
        X509_NAME_print_ex(out, X509_get_issuer_name(cert), 0, XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB);
        break;
    default:
        break;
    }
}

int plx_tls_on_verify(int is_ok, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct plx_tls *tls = SSL_get_app_data(ssl);

    if (is_ok || tls->verify_error[0] != '\0') // the first problem is the one to fix
        return is_ok;
    int error = X509_STORE_CTX_get_error(store);
    const X509 *cert = X509_STORE_CTX_get_current_cert(store);
    BIO *out = BIO_new(BIO_s_mem());
    if (out == NULL || cert == NULL) {
        snprintf(tls->verify_error, sizeof tls->verify_error, "%s", X509_verify_cert_error_string(error));
    } else {
        BIO_puts(out, X509_verify_cert_error_string(error));
        detail_write(out, error, cert);
        char *text;
        long len = BIO_get_mem_data(out, &text);
        snprintf(tls->verify_error, sizeof tls->verify_error, "%.*s", (int)len, text);
    }
    for (char *p = tls->verify_error; *p != '\0'; p++) // the peer wrote parts of this: keep terminals safe
        *p = (unsigned char)*p < ' ' || (unsigned char)*p == 0x7f ? '?' : *p;
    BIO_free(out);
    return 0;
}
