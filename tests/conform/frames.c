// frames.c -- frames that break a rule of RFC 9000, in packets that are otherwise as they should be.

#include "tests/conform/forger.h"

enum { FINE = 0 };

#define CID8   "\xc1\xc2\xc3\xc4\xc5\xc6\xc7\xc8"
#define TOKEN  "0123456789abcdef"
#define F(s)   (s), sizeof(s) - 1
#define PN_FAR "\x02\x7f\xff\x00\x00\x00" // an ACK of 16383

static const struct row {
    const char *name;
    enum stand_stage stage;
    enum plx_space_id space;
    const char *payload;
    size_t len;
    uint64_t code;
} rows[] = {
    // the packet
    {"a packet without frames", STAND_CONFIRMED, PLX_SPACE_APP, F(""), PLX_QUIC_PROTOCOL_VIOLATION},
    {"a Handshake packet without frames", STAND_HANDSHAKE, PLX_SPACE_HANDSHAKE, F(""),
     PLX_QUIC_PROTOCOL_VIOLATION},
    {"an unknown frame", STAND_CONFIRMED, PLX_SPACE_APP, F("\x1f"), PLX_QUIC_FRAME_ENCODING_ERROR},
    {"a frame type that is too long", STAND_CONFIRMED, PLX_SPACE_APP, F("\x40\x01"),
     PLX_QUIC_PROTOCOL_VIOLATION},
    {"a truncated frame", STAND_CONFIRMED, PLX_SPACE_APP, F("\x06\x00"), PLX_QUIC_FRAME_ENCODING_ERROR},
    {"PADDING and PING", STAND_CONFIRMED, PLX_SPACE_APP, F("\x00\x00\x01\x00"), FINE},
    // frames in packets where they do not belong, RFC 9000 table 3
    {"STREAM in Initial", STAND_FIRST, PLX_SPACE_INITIAL, F("\x0a\x00\x01\x61"), PLX_QUIC_PROTOCOL_VIOLATION},
    {"MAX_DATA in Initial", STAND_FIRST, PLX_SPACE_INITIAL, F("\x10\x00"), PLX_QUIC_PROTOCOL_VIOLATION},
    {"application's close in Initial", STAND_FIRST, PLX_SPACE_INITIAL, F("\x1d\x00\x00"),
     PLX_QUIC_PROTOCOL_VIOLATION},
    {"STREAM in Handshake", STAND_HANDSHAKE, PLX_SPACE_HANDSHAKE, F("\x08\x00\x61"),
     PLX_QUIC_PROTOCOL_VIOLATION},
    {"PATH_CHALLENGE in Handshake", STAND_HANDSHAKE, PLX_SPACE_HANDSHAKE, F("\x1a" CID8),
     PLX_QUIC_PROTOCOL_VIOLATION},
    {"NEW_TOKEN in Handshake", STAND_HANDSHAKE, PLX_SPACE_HANDSHAKE, F("\x07\x01\x61"),
     PLX_QUIC_PROTOCOL_VIOLATION},
    // frames that only a server may send
    {"HANDSHAKE_DONE by a client", STAND_CONFIRMED, PLX_SPACE_APP, F("\x1e"), PLX_QUIC_PROTOCOL_VIOLATION},
    {"NEW_TOKEN by a client", STAND_CONFIRMED, PLX_SPACE_APP, F("\x07\x01\x61"), PLX_QUIC_PROTOCOL_VIOLATION},
    // ACK
    {"ACK of what was never sent", STAND_CONFIRMED, PLX_SPACE_APP, F(PN_FAR), PLX_QUIC_PROTOCOL_VIOLATION},
    {"ACK of what was never sent, Initial", STAND_FIRST, PLX_SPACE_INITIAL, F(PN_FAR),
     PLX_QUIC_PROTOCOL_VIOLATION},
    {"ACK below zero", STAND_CONFIRMED, PLX_SPACE_APP, F("\x02\x05\x00\x00\x06"),
     PLX_QUIC_FRAME_ENCODING_ERROR},
    {"ACK with missing ranges", STAND_CONFIRMED, PLX_SPACE_APP, F("\x02\x05\x00\x3f\x00"),
     PLX_QUIC_FRAME_ENCODING_ERROR},
    // streams
    {"STREAM on a server's stream that is not open", STAND_CONFIRMED, PLX_SPACE_APP, F("\x08\x01\x61"),
     PLX_QUIC_STREAM_STATE_ERROR},
    {"STREAM on a stream the server sends on", STAND_CONFIRMED, PLX_SPACE_APP, F("\x08\x03\x61"),
     PLX_QUIC_STREAM_STATE_ERROR},
    {"RESET_STREAM on a stream the server sends on", STAND_CONFIRMED, PLX_SPACE_APP, F("\x04\x03\x00\x00"),
     PLX_QUIC_STREAM_STATE_ERROR},
    {"STOP_SENDING of a stream that only receives", STAND_CONFIRMED, PLX_SPACE_APP, F("\x05\x02\x00"),
     PLX_QUIC_STREAM_STATE_ERROR},
    {"STOP_SENDING of what is not open", STAND_CONFIRMED, PLX_SPACE_APP, F("\x05\x01\x00"),
     PLX_QUIC_STREAM_STATE_ERROR},
    {"MAX_STREAM_DATA for what only receives", STAND_CONFIRMED, PLX_SPACE_APP, F("\x11\x02\x00"),
     PLX_QUIC_STREAM_STATE_ERROR},
    {"MAX_STREAM_DATA for what is not open", STAND_CONFIRMED, PLX_SPACE_APP, F("\x11\x01\x00"),
     PLX_QUIC_STREAM_STATE_ERROR},
    {"STREAM_DATA_BLOCKED on what only sends", STAND_CONFIRMED, PLX_SPACE_APP, F("\x15\x03\x00"),
     PLX_QUIC_STREAM_STATE_ERROR},
    {"one bidirectional stream too many", STAND_CONFIRMED, PLX_SPACE_APP, F("\x08\x42\x00\x61"),
     PLX_QUIC_STREAM_LIMIT_ERROR},
    {"one unidirectional stream too many", STAND_CONFIRMED, PLX_SPACE_APP, F("\x08\x40\x42\x61"),
     PLX_QUIC_STREAM_LIMIT_ERROR},
    {"the last stream that is allowed", STAND_CONFIRMED, PLX_SPACE_APP, F("\x08\x41\xfc\x61"), FINE},
    {"more than 2^60 streams allowed", STAND_CONFIRMED, PLX_SPACE_APP,
     F("\x12\xd0\x00\x00\x00\x00\x00\x00\x01"), PLX_QUIC_FRAME_ENCODING_ERROR},
    {"one octet beyond a stream's window", STAND_CONFIRMED, PLX_SPACE_APP,
     F("\x0e\x00\x80\x10\x00\x00\x01\x61"), PLX_QUIC_FLOW_CONTROL_ERROR},
    {"a reset beyond the window", STAND_CONFIRMED, PLX_SPACE_APP, F("\x04\x00\x00\x80\x10\x00\x01"),
     PLX_QUIC_FLOW_CONTROL_ERROR},
    {"one octet beyond the connection's window", STAND_CONFIRMED, PLX_SPACE_APP,
     F("\x0e\x00\x80\x0f\xff\xff\x01\x61\x0e\x04\x00\x01\x61"), PLX_QUIC_FLOW_CONTROL_ERROR},
    {"the last octet of the window", STAND_CONFIRMED, PLX_SPACE_APP, F("\x0e\x00\x80\x0f\xff\xff\x01\x61"),
     FINE},
    {"a stream of more than 2^62 octets", STAND_CONFIRMED, PLX_SPACE_APP,
     F("\x0e\x00\xff\xff\xff\xff\xff\xff\xff\xff\x01\x61"), PLX_QUIC_FRAME_ENCODING_ERROR},
    {"data behind the end", STAND_CONFIRMED, PLX_SPACE_APP,
     F("\x0f\x00\x00\x03\x61\x62\x63\x0e\x00\x03\x01\x64"), PLX_QUIC_FINAL_SIZE_ERROR},
    {"two ends", STAND_CONFIRMED, PLX_SPACE_APP, F("\x0f\x00\x02\x01\x61\x0f\x00\x01\x01\x61"),
     PLX_QUIC_FINAL_SIZE_ERROR},
    {"a reset below what came", STAND_CONFIRMED, PLX_SPACE_APP,
     F("\x0e\x00\x00\x03\x61\x62\x63\x04\x00\x00\x01"), PLX_QUIC_FINAL_SIZE_ERROR},
    // CRYPTO
    {"CRYPTO far ahead in Initial", STAND_FIRST, PLX_SPACE_INITIAL, F("\x06\x80\x01\x00\x00\x01\x00"),
     PLX_QUIC_CRYPTO_BUFFER_EXCEEDED},
    {"CRYPTO far ahead in Handshake", STAND_HANDSHAKE, PLX_SPACE_HANDSHAKE, F("\x06\x80\x01\x00\x00\x01\x00"),
     PLX_QUIC_CRYPTO_BUFFER_EXCEEDED},
    {"CRYPTO beyond 2^62", STAND_FIRST, PLX_SPACE_INITIAL, F("\x06\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00"),
     PLX_QUIC_FRAME_ENCODING_ERROR},
    // connection IDs
    {"RETIRE_CONNECTION_ID of what was never issued", STAND_CONFIRMED, PLX_SPACE_APP, F("\x19\x3f"),
     PLX_QUIC_PROTOCOL_VIOLATION},
    {"retire_prior_to above its number", STAND_CONFIRMED, PLX_SPACE_APP, F("\x18\x05\x06\x08" CID8 TOKEN),
     PLX_QUIC_FRAME_ENCODING_ERROR},
    {"an empty connection ID", STAND_CONFIRMED, PLX_SPACE_APP, F("\x18\x05\x00\x00" TOKEN),
     PLX_QUIC_FRAME_ENCODING_ERROR},
    {"more connection IDs than allowed", STAND_CONFIRMED, PLX_SPACE_APP, F("\x18\x04\x00\x08" CID8 TOKEN),
     PLX_QUIC_CONNECTION_ID_LIMIT_ERROR},
    {"two connection IDs with one number", STAND_CONFIRMED, PLX_SPACE_APP, F("\x18\x01\x00\x08" CID8 TOKEN),
     PLX_QUIC_PROTOCOL_VIOLATION},
    // paths
    {"half a challenge", STAND_CONFIRMED, PLX_SPACE_APP, F("\x1a\x01\x02"), PLX_QUIC_FRAME_ENCODING_ERROR},
    {"an answer to no challenge", STAND_CONFIRMED, PLX_SPACE_APP, F("\x1b" CID8), FINE},
};

static const struct {
    const char *name;
    enum stand_stage stage;
    enum plx_space_id space;
    uint8_t bits;
} reserved[] = {
    {"a reserved bit of a short header", STAND_CONFIRMED, PLX_SPACE_APP, 0x08},
    {"a reserved bit of an Initial", STAND_FIRST, PLX_SPACE_INITIAL, 0x08},
    {"a reserved bit of a Handshake packet", STAND_HANDSHAKE, PLX_SPACE_HANDSHAKE, 0x04},
};

static void key_phases(void)
{
    struct stand s;

    if (!forger_wants("old keys above new ones"))
        return;
    stand_init(&s, false, NULL);
    stand_reach(&s, STAND_CONFIRMED);
    stand_forge(&s, PLX_SPACE_APP, "\x01", 1, (struct stand_opt){.first_xor = 0x04, .use_next_keys = true});
    forger_row("frames", "the server follows a key update", stand_server_conn(&s)->tx_phase == 1,
               "it did not");
    stand_forge(&s, PLX_SPACE_APP, "\x01", 1, (struct stand_opt){0});
    // Its answer comes under keys that the client knows: the next ones.
    forger_expect_close(&s, "frames", "old keys above new ones", QUIC, PLX_QUIC_KEY_UPDATE_ERROR);
}

void forger_frames(void)
{
    struct stand s;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *r = &rows[i];
        if (!forger_wants(r->name))
            continue;
        stand_init(&s, false, NULL);
        stand_reach(&s, r->stage);
        stand_forge(&s, r->space, r->payload, r->len, (struct stand_opt){0});
        if (r->code == FINE)
            forger_expect_fine(&s, "frames", r->name);
        else
            forger_expect_close(&s, "frames", r->name, QUIC, r->code);
    }
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++) {
        if (!forger_wants(reserved[i].name))
            continue;
        stand_init(&s, false, NULL);
        stand_reach(&s, reserved[i].stage);
        stand_forge(&s, reserved[i].space, "\x01", 1, (struct stand_opt){.first_xor = reserved[i].bits});
        forger_expect_close(&s, "frames", reserved[i].name, QUIC, PLX_QUIC_PROTOCOL_VIOLATION);
    }
    key_phases();
}
