// error.c -- names and sentences of transport error codes, from error.def.
//
// For logs, close reasons and people; the packet path never asks. A code that the table does not know is somebody else's extension and gets
// a name that says so. The codes are dense but for the TLS alerts, so one small array answers all.

#include "quic/wire/error.h"

#include <stddef.h>

struct text {
    const char *name, *help;
};

static const struct text texts[] = {
#define X(code, name, help) [code] = {#name, help},
#include "quic/wire/error.def"
#undef X
};

static const struct text crypto = {"CRYPTO_ERROR", "the TLS handshake failed"};
static const struct text unknown = {"(unknown)", "a code that RFC 9000 does not know"};

static const struct text *text_of(uint64_t code)
{
    if (code < sizeof texts / sizeof *texts && texts[code].name != NULL)
        return &texts[code];
    //= rfc9000 20.1 "range of 256 values is reserved for carrying error codes specific to the cryptographic handshake that is used"
    if (code >= PLX_QUIC_CRYPTO_ERROR && code <= PLX_QUIC_CRYPTO_ERROR + 0xff)
        return &crypto;
    return &unknown;
}

const char *plx_quic_error_name(uint64_t code)
{
    return text_of(code)->name;
}

const char *plx_quic_error_help(uint64_t code)
{
    return text_of(code)->help;
}
