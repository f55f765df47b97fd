// test_conn_forge.c -- what a peer can do wrong, and the error that it gets for it.
//
// One row per crime: the stage of the connection, who commits it, in what kind of packet, the frames octet by octet, and the transport
// error code of RFC 9000 section 20.1 that the victim closes with (NONE: it goes on as if nothing had happened).

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "forge.h"

static struct pair p;

enum { NONE = 0, TLS_UNEXPECTED = PLX_QUIC_CRYPTO_ERROR + 10 };

#define CID8  "\xc1\xc2\xc3\xc4\xc5\xc6\xc7\xc8"
#define TOKEN "0123456789abcdef"
#define F(s)  (s), sizeof(s) - 1

static const struct row {
    const char *name;
    enum forge_stage stage;
    int from;
    enum plx_space_id space;
    const char *payload;
    size_t len;
    uint64_t want;
} rows[] = {
    // --- the packet ---
    {"no frames", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP, F(""), PLX_QUIC_PROTOCOL_VIOLATION},
    {"no frames in Handshake", FORGE_HANDSHAKE, SERVER, PLX_SPACE_HANDSHAKE, F(""),
     PLX_QUIC_PROTOCOL_VIOLATION},
    {"unknown frame", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP, F("\x1f"), PLX_QUIC_FRAME_ENCODING_ERROR},
    {"unknown large frame", FORGE_CONFIRMED, SERVER, PLX_SPACE_APP, F("\x40\xff"),
     PLX_QUIC_FRAME_ENCODING_ERROR},
    {"type in more octets than it needs", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP, F("\x40\x01"),
     PLX_QUIC_PROTOCOL_VIOLATION},
    {"PADDING and PING", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP, F("\x00\x00\x01\x00"), NONE},
    {"PING in Initial", FORGE_FIRST, CLIENT, PLX_SPACE_INITIAL, F("\x01\x00\x00"), NONE},
    {"truncated frame", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP, F("\x06\x00"), PLX_QUIC_FRAME_ENCODING_ERROR},
    {"truncated type", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP, F("\x40"), PLX_QUIC_FRAME_ENCODING_ERROR},
    // --- frames in packets where they do not belong, table 3 ---
    {"STREAM in Initial", FORGE_FIRST, CLIENT, PLX_SPACE_INITIAL, F("\x08\x00\x61"),
     PLX_QUIC_PROTOCOL_VIOLATION},
    {"STREAM in Handshake", FORGE_HANDSHAKE, CLIENT, PLX_SPACE_HANDSHAKE, F("\x08\x00\x61"),
     PLX_QUIC_PROTOCOL_VIOLATION},
    {"HANDSHAKE_DONE in Handshake", FORGE_HANDSHAKE, SERVER, PLX_SPACE_HANDSHAKE, F("\x1e"),
     PLX_QUIC_PROTOCOL_VIOLATION},
    {"application close in Initial", FORGE_FIRST, SERVER, PLX_SPACE_INITIAL, F("\x1d\x00\x00"),
     PLX_QUIC_PROTOCOL_VIOLATION},
    {"MAX_DATA in Initial", FORGE_FIRST, SERVER, PLX_SPACE_INITIAL, F("\x10\x00"),
     PLX_QUIC_PROTOCOL_VIOLATION},
    {"NEW_TOKEN in Handshake", FORGE_HANDSHAKE, SERVER, PLX_SPACE_HANDSHAKE, F("\x07\x01\x61"),
     PLX_QUIC_PROTOCOL_VIOLATION},
    {"PATH_CHALLENGE in Handshake", FORGE_HANDSHAKE, CLIENT, PLX_SPACE_HANDSHAKE, F("\x1a" CID8),
     PLX_QUIC_PROTOCOL_VIOLATION},
    // --- frames that only one side may send ---
    {"HANDSHAKE_DONE by a client", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP, F("\x1e"),
     PLX_QUIC_PROTOCOL_VIOLATION},
    {"HANDSHAKE_DONE again", FORGE_CONFIRMED, SERVER, PLX_SPACE_APP, F("\x1e"), NONE},
    {"NEW_TOKEN by a client", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP, F("\x07\x01\x61"),
     PLX_QUIC_PROTOCOL_VIOLATION},
    {"NEW_TOKEN by a server", FORGE_CONFIRMED, SERVER, PLX_SPACE_APP, F("\x07\x01\x61"), NONE},
    {"NEW_TOKEN without a token", FORGE_CONFIRMED, SERVER, PLX_SPACE_APP, F("\x07\x00"),
     PLX_QUIC_FRAME_ENCODING_ERROR},
    // --- ACK ---
    {"ACK of what was never sent", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP, F("\x02\x7f\xff\x00\x00\x00"),
     PLX_QUIC_PROTOCOL_VIOLATION},
    {"ACK of what was never sent, Initial", FORGE_FIRST, SERVER, PLX_SPACE_INITIAL, F("\x02\x3f\x00\x00\x00"),
     PLX_QUIC_PROTOCOL_VIOLATION},
    {"ACK below zero", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP, F("\x02\x05\x00\x00\x06"),
     PLX_QUIC_FRAME_ENCODING_ERROR},
    {"ACK with a range below zero", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP, F("\x02\x05\x00\x01\x00\x02\x05"),
     PLX_QUIC_FRAME_ENCODING_ERROR},
    {"ACK with missing ranges", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP, F("\x02\x05\x00\x3f\x00"),
     PLX_QUIC_FRAME_ENCODING_ERROR},
    // --- streams ---
    {"STREAM on the victim's own stream that is not open", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP,
     F("\x08\x01\x61"), PLX_QUIC_STREAM_STATE_ERROR},
    {"STREAM on the victim's sending stream", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP, F("\x08\x03\x61"),
     PLX_QUIC_STREAM_STATE_ERROR},
    {"STREAM on the client's stream that is not open", FORGE_CONFIRMED, SERVER, PLX_SPACE_APP,
     F("\x08\x00\x61"), PLX_QUIC_STREAM_STATE_ERROR},
    {"more streams than allowed", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP, F("\x08\x42\x00\x61"),
     PLX_QUIC_STREAM_LIMIT_ERROR},
    {"more uni streams than allowed", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP, F("\x08\x22\x61"),
     PLX_QUIC_STREAM_LIMIT_ERROR},
    {"the last stream that is allowed", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP, F("\x08\x41\xfc\x61"), NONE},
    {"more than the stream's window", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP,
     F("\x0e\x00\x80\x04\x00\x00\x01\x61"), PLX_QUIC_FLOW_CONTROL_ERROR},
    {"the last octet of the window", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP,
     F("\x0e\x00\x80\x03\xff\xff\x01\x61"), NONE},
    {"beyond 2^62 octets", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP,
     F("\x0e\x00\xff\xff\xff\xff\xff\xff\xff\xff\x01\x61"), PLX_QUIC_FRAME_ENCODING_ERROR},
    {"beyond the connection's window", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP,
     F("\x0e\x00\x80\x03\xff\xff\x01\x61\x0e\x04\x80\x03\xff\xff\x01\x61\x0e\x08\x80\x03\xff\xff\x01\x61\x0e"
       "\x0c\x80\x03\xff\xff\x01\x61"
       "\x0e\x10\x80\x03\xff\xff\x01\x61"),
     PLX_QUIC_FLOW_CONTROL_ERROR},
    {"data behind the end", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP,
     F("\x0f\x00\x00\x03\x61\x62\x63\x0e\x00\x03\x01\x64"), PLX_QUIC_FINAL_SIZE_ERROR},
    {"two ends", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP,
     F("\x0f\x00\x00\x03\x61\x62\x63\x0f\x00\x00\x02\x61\x62"), PLX_QUIC_FINAL_SIZE_ERROR},
    {"reset below what came", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP,
     F("\x0e\x00\x00\x03\x61\x62\x63\x04\x00\x00\x01"), PLX_QUIC_FINAL_SIZE_ERROR},
    {"reset beyond the window", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP, F("\x04\x00\x00\x80\x04\x00\x01"),
     PLX_QUIC_FLOW_CONTROL_ERROR},
    {"reset of the victim's sending stream", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP, F("\x04\x03\x00\x00"),
     PLX_QUIC_STREAM_STATE_ERROR},
    {"stop of a stream that only receives", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP, F("\x05\x02\x00"),
     PLX_QUIC_STREAM_STATE_ERROR},
    {"stop of what is not open", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP, F("\x05\x01\x00"),
     PLX_QUIC_STREAM_STATE_ERROR},
    {"credit for what only receives", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP, F("\x11\x02\x00"),
     PLX_QUIC_STREAM_STATE_ERROR},
    {"credit for what is not open", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP, F("\x11\x01\x00"),
     PLX_QUIC_STREAM_STATE_ERROR},
    {"blocked on what only sends", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP, F("\x15\x03\x00"),
     PLX_QUIC_STREAM_STATE_ERROR},
    {"more than 2^60 streams", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP,
     F("\x12\xd0\x00\x00\x00\x00\x00\x00\x01"), PLX_QUIC_FRAME_ENCODING_ERROR},
    {"blocked at more than 2^60 streams", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP,
     F("\x16\xd0\x00\x00\x00\x00\x00\x00\x01"), PLX_QUIC_FRAME_ENCODING_ERROR},
    // --- CRYPTO ---
    {"CRYPTO far ahead", FORGE_FIRST, CLIENT, PLX_SPACE_INITIAL, F("\x06\x80\x01\x00\x00\x01\x00"),
     PLX_QUIC_CRYPTO_BUFFER_EXCEEDED},
    {"CRYPTO far ahead, Handshake", FORGE_HANDSHAKE, SERVER, PLX_SPACE_HANDSHAKE,
     F("\x06\x80\x01\x00\x00\x01\x00"), PLX_QUIC_CRYPTO_BUFFER_EXCEEDED},
    {"CRYPTO beyond 2^62", FORGE_FIRST, CLIENT, PLX_SPACE_INITIAL,
     F("\x06\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00"), PLX_QUIC_FRAME_ENCODING_ERROR},
    {"no TLS message", FORGE_HANDSHAKE, CLIENT, PLX_SPACE_HANDSHAKE, F("\x06\x00\x04\x63\x00\x00\x00"),
     TLS_UNEXPECTED},
    {"old CRYPTO octets again", FORGE_HANDSHAKE, SERVER, PLX_SPACE_HANDSHAKE,
     F("\x06\x00\x04\x63\x00\x00\x00"), NONE},
    {"KeyUpdate", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP, F("\x06\x00\x05\x18\x00\x00\x01\x00"),
     TLS_UNEXPECTED},
    {"empty CRYPTO", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP, F("\x06\x00\x00"), NONE},
    // --- connection IDs ---
    {"retiring what was never issued", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP, F("\x19\x3f"),
     PLX_QUIC_PROTOCOL_VIOLATION},
    {"retiring the ID of this packet", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP, F("\x19\x00"),
     PLX_QUIC_PROTOCOL_VIOLATION},
    {"retiring another one", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP, F("\x19\x02"), NONE},
    {"retire_prior_to above its sequence number", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP,
     F("\x18\x05\x06\x08" CID8 TOKEN), PLX_QUIC_FRAME_ENCODING_ERROR},
    {"an empty connection ID", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP, F("\x18\x05\x00\x00" TOKEN),
     PLX_QUIC_FRAME_ENCODING_ERROR},
    {"a connection ID of 21 octets", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP,
     F("\x18\x05\x00\x15" CID8 CID8 "abcde" TOKEN), PLX_QUIC_FRAME_ENCODING_ERROR},
    {"more connection IDs than allowed", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP,
     F("\x18\x04\x00\x08" CID8 TOKEN), PLX_QUIC_CONNECTION_ID_LIMIT_ERROR},
    {"more, but fewer stay", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP, F("\x18\x04\x02\x08" CID8 TOKEN), NONE},
    {"two IDs with one number", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP, F("\x18\x01\x00\x08" CID8 TOKEN),
     PLX_QUIC_PROTOCOL_VIOLATION},
    // --- paths ---
    {"an answer to no challenge", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP, F("\x1b" CID8), NONE},
    {"a challenge", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP, F("\x1a" CID8), NONE},
    {"half a challenge", FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP, F("\x1a\x01\x02"),
     PLX_QUIC_FRAME_ENCODING_ERROR},
};

static bool has_failed_with(int side, uint64_t code)
{
    const struct plx_conn *c = p.e[side].conn;
    if (c == NULL)
        return p.e[side].dead == 1 && p.e[side].close.code == code && !p.e[side].close.is_peer;
    return plx_conn_state(c) == PLX_CONN_CLOSING && c->has_close && c->close_code == code &&
           c->close_how == PLX_CLOSE_TRANSPORT && !c->is_close_by_peer;
}

static void test_crimes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *r = &rows[i];
        pair_init(&p, i);
        forge_reach(&p, r->stage);
        int victim = !r->from;
        uint8_t before = p.e[victim].conn->state;
        forge_send(&p, r->from, r->space, r->payload, r->len, (struct forge_opt){0});
        if (r->want == NONE) {
            if (p.e[victim].conn == NULL || p.e[victim].conn->state != before)
                fail_msg("%s: not forgiven, %s", r->name,
                         p.e[victim].conn ? plx_quic_error_name(p.e[victim].conn->close_code) : "dead");
        } else if (!has_failed_with(victim, r->want)) {
            fail_msg("%s: wanted %s, got %s", r->name, plx_quic_error_name(r->want),
                     p.e[victim].conn ? plx_quic_error_name(p.e[victim].conn->close_code) : "nothing");
        }
        // The news travels, and both ends come to rest.
        p.filter = NULL;
        pair_run(&p, PLX_SEC(1));
        if (r->want != NONE && r->stage == FORGE_CONFIRMED &&
            (p.e[r->from].dead != 1 || !p.e[r->from].close.is_peer || p.e[r->from].close.code != r->want))
            fail_msg("%s: the offender was not told", r->name);
        pair_fini(&p);
    }
}

static void test_reserved_bits(void **state)
{
    (void)state;
    static const struct {
        enum forge_stage stage;
        int from;
        enum plx_space_id space;
        uint8_t bits;
    } row[] = {
        {FORGE_CONFIRMED, CLIENT, PLX_SPACE_APP, 0x08},
        {FORGE_CONFIRMED, SERVER, PLX_SPACE_APP, 0x10},
        {FORGE_HANDSHAKE, SERVER, PLX_SPACE_HANDSHAKE, 0x04},
        {FORGE_FIRST, CLIENT, PLX_SPACE_INITIAL, 0x08},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        pair_init(&p, i);
        forge_reach(&p, row[i].stage);
        forge_send(&p, row[i].from, row[i].space, "\x01", 1, (struct forge_opt){.first_xor = row[i].bits});
        if (!has_failed_with(!row[i].from, PLX_QUIC_PROTOCOL_VIOLATION) ||
            p.e[!row[i].from].steps[PLX_RX_DROP_RESERVED_BITS] != 1)
            fail_msg("row %zu", i);
        pair_fini(&p);
    }
}

// --- keys ----------------------------------------------------------------------------------------------------------------------------

static void test_keys(void **state)
{
    (void)state;
    // New keys, and then old ones on a higher number.
    pair_init(&p, 1);
    forge_reach(&p, FORGE_CONFIRMED);
    forge_send(&p, CLIENT, PLX_SPACE_APP, "\x01", 1,
               (struct forge_opt){.first_xor = 0x04, .use_next_keys = true});
    assert_int_equal(p.e[SERVER].conn->rx_phase, 1);
    assert_int_equal(p.e[SERVER].conn->tx_phase, 1);
    forge_send(&p, CLIENT, PLX_SPACE_APP, "\x01", 1, (struct forge_opt){0});
    assert_true(has_failed_with(SERVER, PLX_QUIC_KEY_UPDATE_ERROR));
    pair_fini(&p);

    // New keys on a number below one that had old keys.
    pair_init(&p, 2);
    forge_reach(&p, FORGE_CONFIRMED);
    forge_send(&p, CLIENT, PLX_SPACE_APP, "\x01", 1, (struct forge_opt){.pn_add = 5});
    forge_send(&p, CLIENT, PLX_SPACE_APP, "\x01", 1,
               (struct forge_opt){.pn_add = -3, .first_xor = 0x04, .use_next_keys = true});
    assert_true(has_failed_with(SERVER, PLX_QUIC_KEY_UPDATE_ERROR));
    pair_fini(&p);

    // An acknowledgement of our new keys under the peer's old ones.
    pair_init(&p, 3);
    forge_reach(&p, FORGE_CONFIRMED);
    assert_non_null(pair_request(&p, 1000));
    pair_run(&p, PLX_MS(300));
    struct plx_conn *s = p.e[SERVER].conn;
    assert_int_equal(plx_conn_update_keys(s), PLX_OK);
    plx_conn_ping(s);
    pair_step(&p);
    pair_step(&p);
    assert_int_equal(s->tx_phase, 1);
    uint8_t ack[] = {0x02, 0x40, (uint8_t)(s->space.next_pn - 1), 0, 0, 0};
    forge_send(&p, CLIENT, PLX_SPACE_APP, ack, sizeof ack, (struct forge_opt){0});
    assert_true(has_failed_with(SERVER, PLX_QUIC_KEY_UPDATE_ERROR));
    pair_fini(&p);

    // A flipped key phase bit opens nothing and breaks nothing.
    pair_init(&p, 4);
    forge_reach(&p, FORGE_CONFIRMED);
    forge_send(&p, CLIENT, PLX_SPACE_APP, "\x01", 1, (struct forge_opt){.first_xor = 0x04});
    assert_int_equal(p.e[SERVER].steps[PLX_RX_DROP_AUTH], 1);
    assert_int_equal(plx_conn_state(p.e[SERVER].conn), PLX_CONN_CONFIRMED);
    pair_fini(&p);
}

// --- the same packet twice, and numbers out of order ---------------------------------------------------------------------------------------

static void test_numbers(void **state)
{
    (void)state;
    pair_init(&p, 5);
    forge_reach(&p, FORGE_CONFIRMED);
    struct plx_conn *s = p.e[SERVER].conn;
    uint64_t rx = s->packets_rx;
    forge_send(&p, CLIENT, PLX_SPACE_APP, "\x01", 1, (struct forge_opt){.pn_add = 9});
    forge_send(&p, CLIENT, PLX_SPACE_APP, "\x01", 1, (struct forge_opt){.pn_add = -1});
    assert_int_equal(p.e[SERVER].steps[PLX_RX_DROP_DUPLICATE], 1);
    for (int i = 2; i < 10; i++)
        forge_send(&p, CLIENT, PLX_SPACE_APP, "\x01", 1, (struct forge_opt){.pn_add = -i});
    assert_int_equal(p.e[SERVER].steps[PLX_RX_DROP_DUPLICATE], 1);
    assert_int_equal(s->packets_rx, rx + 9);
    forge_send(&p, CLIENT, PLX_SPACE_APP, "\x01", 1, (struct forge_opt){.pn_add = 300});
    forge_send(&p, CLIENT, PLX_SPACE_APP, "\x01", 1,
               (struct forge_opt){.pn_add = -290}); // below the window: nobody knows
    assert_int_equal(p.e[SERVER].steps[PLX_RX_DROP_DUPLICATE], 2);
    pair_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crimes),
        cmocka_unit_test(test_reserved_bits),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_numbers),
    };
    return cmocka_run_group_tests(tests, pair_group_setup, pair_group_teardown);
}
