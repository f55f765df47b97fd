// cert.h -- a server's certificates: loading them with errors that name the cause, and finding one by name.
//
// Names come from the certificate itself (subjectAltName), so there is nothing to configure twice. They are sorted once;
// a ClientHello costs two binary searches: the name as it is, then with its first label replaced by "*". One label
// is all that a wildcard covers (RFC 6125 section 6.4.3). Where two certificates have a name, the earlier one has it.

#ifndef PLX_TLS_CERT_H
#define PLX_TLS_CERT_H

#include <stdbool.h>
#include <stddef.h>

#include <openssl/ssl.h>

enum { PLX_CERT_NAME_MAX = 254 }; // a DNS name and its NUL

struct plx_cert_name {
    char *name; // lower case
    size_t idx; // which certificate
};

struct plx_cert_names {
    struct plx_cert_name *list;
    size_t count, cap;
};

// Loads chain and key into ctx. False with a sentence in err.
bool plx_cert_load(SSL_CTX *ctx, const char *cert_file, const char *key_file, char *err, size_t err_len);

// Adds the DNS names of the certificate that ctx holds. False when there is no memory.
bool plx_cert_names_add(struct plx_cert_names *n, SSL_CTX *ctx, size_t idx);
void plx_cert_names_sort(struct plx_cert_names *n);
void plx_cert_names_fini(struct plx_cert_names *n);

// The index of the certificate for a name from the network; 0, the first, when there is none.
size_t plx_cert_names_find(const struct plx_cert_names *n, const char *server_name);

#endif
