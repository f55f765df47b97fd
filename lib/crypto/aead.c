// aead.c -- the choice of a backend, and the figures of RFC 9001 section 6.6.
//
// A wish is "NAME" or "NAME:ISA". Without one the order of the table below decides: the fast backend where
// the processor can run it, the reference everywhere else. The choice is made once, before anything runs;
// backends are constant tables, so several may be in use side by side (tests and benches do that).

#include "crypto/backends.h"

#include <stdio.h>
#include <string.h>

size_t plx_aead_key_len(enum plx_aead_alg alg)
{
    return alg == PLX_AEAD_AES_128_GCM ? 16 : 32;
}

uint64_t plx_aead_seal_limit(enum plx_aead_alg alg)
{
    //= rfc9001 6.6 "the confidentiality limit is 2^23 encrypted packets"
    //= rfc9001 6.6 "the confidentiality limit is greater than the number of possible packets (2^62)"
    return alg == PLX_AEAD_CHACHA20_POLY1305 ? UINT64_C(1) << 62 : UINT64_C(1) << 23;
}

uint64_t plx_aead_open_limit(enum plx_aead_alg alg)
{
    //= rfc9001 6.6 "the integrity limit is 2^52 invalid packets"
    //= rfc9001 6.6 "the integrity limit is 2^36 invalid packets"
    return alg == PLX_AEAD_CHACHA20_POLY1305 ? UINT64_C(1) << 36 : UINT64_C(1) << 52;
}

// "ipsecmb:avx2" is the backend "ipsecmb" with the instruction set "avx2". NULL when want names another one.
static const char *wish_isa(const char *want, const char *name)
{
    size_t len = strlen(name);
    if (strncmp(want, name, len) != 0)
        return NULL;
    if (want[len] == '\0')
        return "";
    return want[len] == ':' && want[len + 1] != '\0' ? want + len + 1 : NULL;
}

const struct plx_aead_backend *plx_aead_pick(const char *want, char *describe, size_t describe_len)
{
    char scratch[160];
    if (describe == NULL || describe_len == 0) {
        describe = scratch;
        describe_len = sizeof scratch;
    }
    if (want == NULL) {
        const struct plx_aead_backend *best = plx_aead_ipsecmb_pick("", describe, describe_len);
        return best != NULL ? best : plx_aead_ref_pick(describe, describe_len);
    }
    const char *isa = wish_isa(want, "ipsecmb");
    if (isa != NULL)
        return plx_aead_ipsecmb_pick(isa, describe, describe_len);
    if (strcmp(want, "openssl") == 0)
        return plx_aead_ref_pick(describe, describe_len);
    snprintf(describe, describe_len,
             "no cryptography backend is called \"%s\": use openssl, ipsecmb, or ipsecmb:{sse,avx2,avx512}",
             want);
    return NULL;
}
