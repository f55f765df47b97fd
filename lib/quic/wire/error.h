// error.h -- what is told to the peer: the transport error codes of RFC 9000 section 20.1.
//
// These are wire values and a space of their own (enum plx_err is what our own callers react to). The functions of the
// transport that judge what a peer did return such a code, and PLX_QUIC_NO_ERROR (0) means that all is well.

#ifndef PLX_QUIC_ERROR_H
#define PLX_QUIC_ERROR_H

#include <stdint.h>

enum plx_quic_error {
#define X(code, name, help) PLX_QUIC_##name = code,
#include "quic/wire/error.def"
#undef X
    PLX_QUIC_CRYPTO_ERROR = 0x0100, // + the TLS alert, up to 0x01ff
};

// "FLOW_CONTROL_ERROR", "CRYPTO_ERROR", or "(unknown)"; never NULL. Any thread.
const char *plx_quic_error_name(uint64_t code);
// A sentence for people, never NULL.
const char *plx_quic_error_help(uint64_t code);

#endif
