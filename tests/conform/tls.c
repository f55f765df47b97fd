// tls.c -- handshakes that break a rule of TLS 1.3 or of RFC 9001: each alert becomes CRYPTO_ERROR, 0x0100 + the alert.

#include "tests/conform/forger.h"

#include <stdio.h>
#include <string.h>

enum {
    ALERT = PLX_QUIC_CRYPTO_ERROR,
    UNEXPECTED_MESSAGE = 10,
    HANDSHAKE_FAILURE = 40,
    ILLEGAL_PARAMETER = 47,
    DECODE_ERROR = 50,
    DECRYPT_ERROR = 51,
    PROTOCOL_VERSION = 70,
    MISSING_EXTENSION = 109,
    NO_APPLICATION_PROTOCOL = 120
};

#define P(s) .params = (const uint8_t *)(s), .params_len = sizeof(s) - 1

static const struct {
    const char *name;
    struct stand_hello hello;
    uint64_t code;
} hellos[] = {
    {"a ClientHello for TLS 1.2", {.no_tls13 = true}, ALERT + PROTOCOL_VERSION},
    {"a protocol that nobody serves", {.alpn = "smtp"}, ALERT + NO_APPLICATION_PROTOCOL},
    {"no application protocol", {.no_alpn = true}, ALERT + NO_APPLICATION_PROTOCOL},
    {"no transport parameters", {.no_params = true}, ALERT + MISSING_EXTENSION},
    {"no key share", {.no_key_share = true}, ALERT + MISSING_EXTENSION},
    {"no groups", {.no_groups = true}, ALERT + MISSING_EXTENSION},
    {"no signature algorithms", {.no_signatures = true}, ALERT + MISSING_EXTENSION},
    {"no common cipher", {.no_shared_cipher = true}, ALERT + HANDSHAKE_FAILURE},
    {"no common group", {.no_shared_group = true}, ALERT + HANDSHAKE_FAILURE},
    {"a key share of five octets", {.has_bad_share = true}, ALERT + ILLEGAL_PARAMETER},
    {"a legacy session ID", {.has_session_id = true}, PLX_QUIC_PROTOCOL_VIOLATION},
    {"extensions longer than the message", {.is_cut = true}, ALERT + DECODE_ERROR},
    // transport parameters, RFC 9000 sections 7.4 and 18.2
    {"no initial_source_connection_id", {.no_scid = true}, PLX_QUIC_TRANSPORT_PARAMETER_ERROR},
    {"another initial_source_connection_id",
     {.no_scid = true,
      P("\x0f\x08"
        "abcdefgh")},
     PLX_QUIC_TRANSPORT_PARAMETER_ERROR},
    {"a parameter twice", {P("\x01\x01\x05\x01\x01\x06")}, PLX_QUIC_TRANSPORT_PARAMETER_ERROR},
    {"a server's parameter",
     {P("\x00\x04"
        "abcd")},
     PLX_QUIC_TRANSPORT_PARAMETER_ERROR},
    {"a stateless_reset_token from a client",
     {P("\x02\x10"
        "0123456789abcdef")},
     PLX_QUIC_TRANSPORT_PARAMETER_ERROR},
    {"max_udp_payload_size of 1199", {P("\x03\x02\x44\xaf")}, PLX_QUIC_TRANSPORT_PARAMETER_ERROR},
    {"ack_delay_exponent of 21", {P("\x0a\x01\x15")}, PLX_QUIC_TRANSPORT_PARAMETER_ERROR},
    {"max_ack_delay of 2^14", {P("\x0b\x04\x80\x00\x40\x00")}, PLX_QUIC_TRANSPORT_PARAMETER_ERROR},
    {"active_connection_id_limit of 1", {P("\x0e\x01\x01")}, PLX_QUIC_TRANSPORT_PARAMETER_ERROR},
    {"more than 2^60 streams",
     {P("\x08\x08\xd0\x00\x00\x00\x00\x00\x00\x01")},
     PLX_QUIC_TRANSPORT_PARAMETER_ERROR},
    {"a parameter that is cut", {P("\x01\x05\x05")}, PLX_QUIC_TRANSPORT_PARAMETER_ERROR},
};

// CRYPTO octets at offset 0 of a level.
static void crypto(struct stand *s, enum plx_space_id space, const uint8_t *data, size_t len)
{
    uint8_t out[1200];
    struct plx_wr w = plx_wr_init(out, sizeof out);

    plx_wr_u8(&w, 0x06);
    plx_wr_varint(&w, 0);
    plx_wr_varint(&w, len);
    plx_wr_bytes(&w, data, len);
    plx_check(!w.is_full);
    stand_forge(s, space, out, (size_t)(w.p - out), (struct stand_opt){0});
}

static const struct {
    const char *name;
    enum stand_stage stage;
    enum plx_space_id space;
    uint8_t octets[64];
    size_t len;
    uint64_t code;
} messages[] = {
    {"a Finished that proves nothing",
     STAND_HANDSHAKE,
     PLX_SPACE_HANDSHAKE,
     {0x14, 0, 0, 32},
     36,
     ALERT + DECRYPT_ERROR},
    {"a Finished of the wrong length",
     STAND_HANDSHAKE,
     PLX_SPACE_HANDSHAKE,
     {0x14, 0, 0, 3},
     7,
     ALERT + DECODE_ERROR},
    {"an unknown message", STAND_HANDSHAKE, PLX_SPACE_HANDSHAKE, {0x63}, 4, ALERT + UNEXPECTED_MESSAGE},
    {"EndOfEarlyData", STAND_HANDSHAKE, PLX_SPACE_HANDSHAKE, {0x05}, 4, ALERT + UNEXPECTED_MESSAGE},
    {"a Finished first", STAND_NEW, PLX_SPACE_INITIAL, {0x14, 0, 0, 32}, 36, ALERT + UNEXPECTED_MESSAGE},
    {"a ServerHello from a client",
     STAND_NEW,
     PLX_SPACE_INITIAL,
     {0x02, 0, 0, 4},
     8,
     ALERT + UNEXPECTED_MESSAGE},
    {"a ClientHello of nothing",
     STAND_NEW,
     PLX_SPACE_INITIAL,
     {0x01, 0, 0, 2, 3, 3},
     6,
     ALERT + DECODE_ERROR},
    {"a KeyUpdate of TLS", STAND_CONFIRMED, PLX_SPACE_APP, {0x18, 0, 0, 1, 0}, 5, ALERT + UNEXPECTED_MESSAGE},
};

void forger_tls(void)
{
    uint8_t out[1024];
    struct stand s;

    for (size_t i = 0; i < sizeof hellos / sizeof *hellos; i++) {
        if (!forger_wants(hellos[i].name))
            continue;
        stand_init(&s, true, NULL);
        stand_reach(&s, STAND_NEW);
        size_t len = stand_hello_write(&s, &hellos[i].hello, out, sizeof out);
        crypto(&s, PLX_SPACE_INITIAL, out, len);
        forger_expect_close(&s, "tls", hellos[i].name, QUIC, hellos[i].code);
    }
    if (forger_wants("a good ClientHello is answered")) { // else the rows above would prove nothing
        stand_init(&s, true, NULL);
        stand_reach(&s, STAND_NEW);
        size_t len = stand_hello_write(&s, &(struct stand_hello){0}, out, sizeof out);
        crypto(&s, PLX_SPACE_INITIAL, out, len);
        struct plx_conn *c = stand_server_conn(&s);
        // It has sent its whole flight. (The client's own hello, which is another one, then comes behind ours: that is an error.)
        bool ok = c != NULL && c->has_tx_keys;
        forger_row("tls", "a good ClientHello is answered", ok, "it was not");
        forger_row("tls", "a good ClientHello is answered", stand_fini(&s), "something was not given back");
    }
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
        if (!forger_wants(messages[i].name))
            continue;
        stand_init(&s, true, NULL);
        stand_reach(&s, messages[i].stage);
        crypto(&s, messages[i].space, messages[i].octets, messages[i].len);
        forger_expect_close(&s, "tls", messages[i].name, QUIC, messages[i].code);
    }
}
