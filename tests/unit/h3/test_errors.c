// test_errors.c -- what a peer may not do, one row each, and the code that it gets for it (RFC 9114 section 8.1, RFC
// 9204 section 6). Every row is delivered at once, octet by octet, and in random pieces: the outcome must be the same.
//
// A script is statements separated by ';'. The first character names a stream of the forger: a lower-case letter a
// unidirectional one, an upper-case one bidirectional, opened when first named; '@' the request that the real client has
// made. Then follow hex octets; [name=value|...] for a HEADERS frame; '.' for the end, '!' for a reset. "?n" refuses the
// real side's n-th unidirectional stream.

#include "array.h"
#include "app.h"

#include <stdlib.h>
#include <string.h>

#include "../base/rows.h"
#include "base/check.h"
#include "h3/frame.h"
#include "h3/qpack_enc.h"

static struct world w;
static struct app a;

enum outcome { FINE, CLOSE, STREAM };

struct row {
    const char *what, *script;
    enum outcome outcome;
    uint64_t code;
};

#define S           "c 00 0400;" // a control stream as it should be
#define GET         "[:method=GET|:scheme=https|:authority=a|:path=/404]"
#define POST(extra) "[:method=POST|:scheme=https|:authority=a|:path=/404" extra "]"
#define OK200       "[:status=200]"

// --- scripts -----------------------------------------------------------------------------------------------

static size_t headers_frame(const char **at, uint8_t *out)
{
    uint8_t section[1024];
    struct plx_wr s = plx_wr_init(section, sizeof section), o = plx_wr_init(out, 2048);

    plx_qpack_enc_prefix(&s);
    for (const char *p = *at; *p != ']';) {
        size_t len = strcspn(p + 1, "|]") + 1, name_len = 1 + strcspn(p + 1, "=");
        plx_check(name_len < len);
        struct plx_field f = {p, p + name_len + 1, (uint32_t)name_len, (uint32_t)(len - name_len - 1), false};
        plx_qpack_enc_field(&s, &f);
        p += len;
        p += *p == '|';
        *at = p;
    }
    plx_frame_wr_head(&o, PLX_FRAME_TYPE_HEADERS, (uint64_t)(s.p - section));
    plx_wr_bytes(&o, section, (size_t)(s.p - section));
    plx_check(!o.is_full);
    (*at)++;
    return (size_t)(o.p - out);
}

static unsigned nibble(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static int find(unsigned opener, bool is_uni, unsigned nth)
{
    for (unsigned i = 0; i < WORLD_STREAMS; i++) {
        if (w.stream[i].is_used && w.stream[i].opener == opener && w.stream[i].is_uni == is_uni && nth-- == 0)
            return (int)i;
    }
    return -1;
}

// Runs a script of the side that is not real. Returns the stream that it spoke on last.
static unsigned play(const char *script, unsigned from)
{
    int known[128];
    unsigned stream = 0;

    memset(known, -1, sizeof known);
    known['@'] = find(!from, false, 0);
    while (*script != '\0') {
        uint8_t buf[4096];
        size_t len = 0;
        char name = *script++;
        if (name == ' ')
            continue;
        if (name == '?') {
            world_forge_refuse(&w, (unsigned)find(!from, true, nibble(*script++)), from, PLX_H3_NO_ERROR);
            script += strcspn(script, ";");
            script += *script == ';';
            world_run(&w, 100000);
            continue;
        }
        if (known[(int)name] < 0)
            known[(int)name] = (int)world_forge_open(&w, from, name >= 'a');
        stream = (unsigned)known[(int)name];
        bool fin = false;
        for (; *script != '\0' && *script != ';';) {
            char c = *script++;
            if (c == '[') {
                len += headers_frame(&script, buf + len);
            } else if (c == '.') {
                fin = true;
            } else if (c == '!') {
                world_forge(&w, stream, from, buf, len, false);
                world_run(&w, 100000);
                world_forge_reset(&w, stream, from, PLX_H3_REQUEST_CANCELLED);
                len = 0;
            } else if (c != ' ') {
                buf[len++] = (uint8_t)(nibble(c) << 4 | nibble(*script++));
            }
        }
        script += *script == ';';
        if (len > 0 || fin)
            world_forge(&w, stream, from, buf, len, fin);
        world_run(&w, 100000); // statement by statement: the order between streams is part of the script
    }
    return stream;
}

static void run_row(const struct row *row, unsigned i, unsigned real, size_t piece_max)
{
    static const struct plx_h3_cfg cfg = {.qpack_blocked_max = 1, .field_section_max = 1000};
    struct side *s = &w.side[real];

    world_init(&w, i + 1, piece_max, &cfg, real == CLIENT ? &app_client : NULL,
               real == SERVER ? &app_server : NULL);
    app_init(&a);
    if (real == CLIENT)
        plx_check(app_get(s->conn, 0, "GET", "/404", 0) == PLX_OK);
    unsigned stream = play(row->script, !real);
    const struct dir *ours = &w.stream[stream].dir[real], *theirs = &w.stream[stream].dir[!real];
    if (s->is_closed != (row->outcome == CLOSE) || (s->is_closed && s->close_code != row->code))
        fail_msg("row %u (%s), pieces of %zu: closed %d with 0x%lx: %s", i, row->what, piece_max,
                 s->is_closed, (unsigned long)s->close_code, s->close_why);
    bool is_hit = (ours->is_reset && ours->reset_code == row->code) ||
                  (theirs->is_refused && theirs->refused_code == row->code);
    is_hit |= real == CLIENT &&
              theirs->is_reset; // a request that is out has nothing to answer with; the program hears of it
    if (row->outcome == STREAM && !is_hit)
        fail_msg("row %u (%s), pieces of %zu: reset %d with 0x%lx, refused %d with 0x%lx", i, row->what,
                 piece_max, ours->is_reset, (unsigned long)ours->reset_code, theirs->is_refused,
                 (unsigned long)theirs->refused_code);
    if (row->outcome == STREAM && real == CLIENT)
        EXPECT_ROW(i, a.client[0].ends == 0);
    world_fini(&w, PLX_H3_NO_ERROR);
    if (row->outcome == STREAM && real == CLIENT)
        EXPECT_ROW(i, a.client[0].code == row->code && a.client[0].closes == 1);
    app_fini(&a);
}

static void run_rows(const struct row *row, unsigned count, unsigned real)
{
    for (unsigned i = 0; i < count; i++) {
        run_row(&row[i], i, real, 0);
        run_row(&row[i], i, real, 1);
        run_row(&row[i], i, real, 4);
    }
}

// --- tables --------------------------------------------------------------------------------------------------

static const struct row server_rows[] = {
    // streams
    {"a good request", S "R" GET ".", FINE, 0},
    {"a good request with grease around it", S "R 2103616263" GET "21 00.", FINE, 0},
    {"an unknown stream", S "d 21 ffffff.", STREAM, PLX_H3_STREAM_CREATION_ERROR},
    {"a stream that ends before its type", S "d 40!; e .", FINE, 0},
    {"two control streams", S "d 00 0400", CLOSE, PLX_H3_STREAM_CREATION_ERROR},
    {"two encoder streams", "c 02; d 02", CLOSE, PLX_H3_STREAM_CREATION_ERROR},
    {"two decoder streams", "c 03; d 4003", CLOSE, PLX_H3_STREAM_CREATION_ERROR},
    {"a client's push", "c 01 00", CLOSE, PLX_H3_STREAM_CREATION_ERROR},
    {"control stream ends", S "c .", CLOSE, PLX_H3_CLOSED_CRITICAL_STREAM},
    {"control stream reset", S "c !", CLOSE, PLX_H3_CLOSED_CRITICAL_STREAM},
    {"encoder stream ends", "c 02.", CLOSE, PLX_H3_CLOSED_CRITICAL_STREAM},
    {"encoder stream reset", "c 02!", CLOSE, PLX_H3_CLOSED_CRITICAL_STREAM},
    {"decoder stream ends", "c 03.", CLOSE, PLX_H3_CLOSED_CRITICAL_STREAM},
    {"decoder stream reset", "c 03!", CLOSE, PLX_H3_CLOSED_CRITICAL_STREAM},
    {"our control stream refused", S "?0", CLOSE, PLX_H3_CLOSED_CRITICAL_STREAM},
    {"our decoder stream refused", S "?1", CLOSE, PLX_H3_CLOSED_CRITICAL_STREAM},
    // the control stream
    {"GOAWAY first", "c 00 070100", CLOSE, PLX_H3_MISSING_SETTINGS},
    {"an unknown frame first", "c 00 2100", CLOSE, PLX_H3_MISSING_SETTINGS},
    {"DATA first", "c 00 0000", CLOSE, PLX_H3_MISSING_SETTINGS},
    {"SETTINGS twice", S "c 0400", CLOSE, PLX_H3_FRAME_UNEXPECTED},
    {"DATA on control", S "c 000161", CLOSE, PLX_H3_FRAME_UNEXPECTED},
    {"HEADERS on control", S "c" GET, CLOSE, PLX_H3_FRAME_UNEXPECTED},
    {"PUSH_PROMISE on control", S "c 050100", CLOSE, PLX_H3_FRAME_UNEXPECTED},
    {"PRIORITY of HTTP/2", S "c 0200", CLOSE, PLX_H3_FRAME_UNEXPECTED},
    {"PING of HTTP/2", S "c 0600", CLOSE, PLX_H3_FRAME_UNEXPECTED},
    {"WINDOW_UPDATE of HTTP/2", S "c 0800", CLOSE, PLX_H3_FRAME_UNEXPECTED},
    {"CONTINUATION of HTTP/2", S "c 0900", CLOSE, PLX_H3_FRAME_UNEXPECTED},
    {"good SETTINGS", "c 00 040a 0100 065000 0705 4021 05", FINE, 0},
    {"SETTINGS cut", "c 00 0401 06", CLOSE, PLX_H3_FRAME_ERROR},
    {"SETTINGS with a value cut", "c 00 0402 0640", CLOSE, PLX_H3_FRAME_ERROR},
    {"a setting twice", "c 00 0404 06010601", CLOSE, PLX_H3_SETTINGS_ERROR},
    {"an unknown setting twice", "c 00 0404 21012102", CLOSE, PLX_H3_SETTINGS_ERROR},
    {"setting 0", "c 00 0402 0000", CLOSE, PLX_H3_SETTINGS_ERROR},
    {"HTTP/2's ENABLE_PUSH", "c 00 0402 0200", CLOSE, PLX_H3_SETTINGS_ERROR},
    {"HTTP/2's MAX_CONCURRENT_STREAMS", "c 00 0402 0301", CLOSE, PLX_H3_SETTINGS_ERROR},
    {"HTTP/2's INITIAL_WINDOW_SIZE", "c 00 0402 0401", CLOSE, PLX_H3_SETTINGS_ERROR},
    {"HTTP/2's MAX_FRAME_SIZE", "c 00 0402 0501", CLOSE, PLX_H3_SETTINGS_ERROR},
    {"ENABLE_CONNECT_PROTOCOL of 2", "c 00 0402 0802", CLOSE, PLX_H3_SETTINGS_ERROR},
    {"SETTINGS too long", "c 00 044401", CLOSE, PLX_H3_EXCESSIVE_LOAD},
    {"GOAWAY that shrinks", S "c 070105 070104", FINE, 0},
    {"GOAWAY that grows", S "c 070104 070105", CLOSE, PLX_H3_ID_ERROR},
    {"GOAWAY without an ID", S "c 0700", CLOSE, PLX_H3_FRAME_ERROR},
    {"GOAWAY with more than an ID", S "c 07020400", CLOSE, PLX_H3_FRAME_ERROR},
    {"GOAWAY with half an ID", S "c 070140", CLOSE, PLX_H3_FRAME_ERROR},
    {"GOAWAY that is much too long", S "c 0709", CLOSE, PLX_H3_FRAME_ERROR},
    {"MAX_PUSH_ID that grows", S "c 0d0104 0d0105 0d0105", FINE, 0},
    {"MAX_PUSH_ID that shrinks", S "c 0d0105 0d0104", CLOSE, PLX_H3_ID_ERROR},
    {"CANCEL_PUSH of nothing", S "c 0d0105 030100", CLOSE, PLX_H3_ID_ERROR},
    // request streams
    {"SETTINGS on a request", "R 0400", CLOSE, PLX_H3_FRAME_UNEXPECTED},
    {"GOAWAY on a request", "R 070100", CLOSE, PLX_H3_FRAME_UNEXPECTED},
    {"MAX_PUSH_ID on a request", "R 0d0100", CLOSE, PLX_H3_FRAME_UNEXPECTED},
    {"CANCEL_PUSH on a request", "R 030100", CLOSE, PLX_H3_FRAME_UNEXPECTED},
    {"PUSH_PROMISE from a client", "R 05030000d1", CLOSE, PLX_H3_FRAME_UNEXPECTED},
    {"PING of HTTP/2 on a request", "R 0600", CLOSE, PLX_H3_FRAME_UNEXPECTED},
    {"DATA first", "R 000161", CLOSE, PLX_H3_FRAME_UNEXPECTED},
    {"DATA behind trailers", "R" POST("") "[a=b] 000161", CLOSE, PLX_H3_FRAME_UNEXPECTED},
    {"HEADERS behind trailers", "R" POST("") "[a=b][a=b]", CLOSE, PLX_H3_FRAME_UNEXPECTED},
    {"HEADERS in a tunnel", "R[:method=CONNECT|:authority=a:1]000161[a=b]", CLOSE, PLX_H3_FRAME_UNEXPECTED},
    {"the end within HEADERS", "R 01050000.", CLOSE, PLX_H3_FRAME_ERROR},
    {"the end within a frame's header", "R 01.", CLOSE, PLX_H3_FRAME_ERROR},
    {"the end within DATA", "R" POST("") "000261.", CLOSE, PLX_H3_FRAME_ERROR},
    {"the end within grease", "R" POST("") "210161 2105.", CLOSE, PLX_H3_FRAME_ERROR},
    {"no request at all", "R.", STREAM, PLX_H3_REQUEST_INCOMPLETE},
    {"grease and no request", "R 2100.", STREAM, PLX_H3_REQUEST_INCOMPLETE},
    {"a request that is reset", "R" POST("") "!", STREAM, PLX_H3_REQUEST_CANCELLED},
    {"half a head that is reset", "R 010500!", STREAM, PLX_H3_REQUEST_REJECTED},
    {"a head larger than we read", "R 0144e9", STREAM, PLX_H3_NO_ERROR}, // 431 and no more of it
    {"a good body and trailers", "R" POST("|content-length=3") "000261620001 63[x=y].", FINE, 0},
    // QPACK
    {"an index beyond the static table", "R 01040000ff24", CLOSE, PLX_QPACK_DECOMPRESSION_FAILED},
    {"a reference that was not declared", "R 0103000080", CLOSE, PLX_QPACK_DECOMPRESSION_FAILED},
    {"an impossible insert count", "R 0104ffff0100", CLOSE, PLX_QPACK_DECOMPRESSION_FAILED},
    {"a negative base", "R 01020281", CLOSE, PLX_QPACK_DECOMPRESSION_FAILED},
    {"an empty section", "R 0100", CLOSE, PLX_QPACK_DECOMPRESSION_FAILED},
    {"a section of one octet", "R 010100", CLOSE, PLX_QPACK_DECOMPRESSION_FAILED},
    {"a string beyond the section", "R 01040000 2761", CLOSE, PLX_QPACK_DECOMPRESSION_FAILED},
    {"a Huffman code of zeros' padding", "R 01050000 508100", CLOSE, PLX_QPACK_DECOMPRESSION_FAILED},
    {"more blocked streams than allowed", "R 01020200; S 01020200", CLOSE, PLX_QPACK_DECOMPRESSION_FAILED},
    {"a table larger than announced", "c 02 3fe21f", CLOSE, PLX_QPACK_ENCODER_STREAM_ERROR},
    {"an insertion without a table", "c 02 c00161", CLOSE, PLX_QPACK_ENCODER_STREAM_ERROR},
    {"an insertion larger than the table", "c 02 3f13 c009 616161616161616161", CLOSE,
     PLX_QPACK_ENCODER_STREAM_ERROR},
    {"an insertion from beyond the static table", "c 02 3fe11f ff2400", CLOSE,
     PLX_QPACK_ENCODER_STREAM_ERROR},
    {"an insertion from an entry that is not there", "c 02 3fe11f 8000", CLOSE,
     PLX_QPACK_ENCODER_STREAM_ERROR},
    {"a duplicate of nothing", "c 02 3fe11f 00", CLOSE, PLX_QPACK_ENCODER_STREAM_ERROR},
    {"an integer beyond 62 bits", "c 02 3fffffffffffffffffffff", CLOSE, PLX_QPACK_ENCODER_STREAM_ERROR},
    {"an acknowledgment of nothing", "c 03 80", CLOSE, PLX_QPACK_DECODER_STREAM_ERROR},
    {"an increment of 0", "c 03 00", CLOSE, PLX_QPACK_DECODER_STREAM_ERROR},
    {"an increment beyond what was sent", "c 03 01", CLOSE, PLX_QPACK_DECODER_STREAM_ERROR},
    {"an integer beyond 62 bits", "c 03 7fffffffffffffffffffff", CLOSE, PLX_QPACK_DECODER_STREAM_ERROR},
    {"a cancellation", "c 03 4040 7f9001", FINE, 0},
    // messages (more of them in test_message.c)
    {"no path", "R[:method=GET|:scheme=https|:authority=a].", STREAM, PLX_H3_MESSAGE_ERROR},
    {"upper case", "R" POST("|Accept=x") ".", STREAM, PLX_H3_MESSAGE_ERROR},
    {"a status in a request", "R" POST("|:status=200") ".", STREAM, PLX_H3_MESSAGE_ERROR},
    {"a field of the connection", "R" POST("|connection=close") ".", STREAM, PLX_H3_MESSAGE_ERROR},
    {"extended CONNECT, not announced", "R[:method=CONNECT|:protocol=x|:scheme=https|:authority=a|:path=/].",
     STREAM, PLX_H3_MESSAGE_ERROR},
    {"less content than announced", "R" POST("|content-length=3") "00026162.", STREAM, PLX_H3_MESSAGE_ERROR},
    {"more content than announced", "R" POST("|content-length=1") "00026162", STREAM, PLX_H3_MESSAGE_ERROR},
    {"no content at all, though announced", "R" POST("|content-length=1") ".", STREAM, PLX_H3_MESSAGE_ERROR},
    {"a pseudo-field in trailers", "R" POST("") "[:path=/].", STREAM, PLX_H3_MESSAGE_ERROR},
    {"trailers that wait for grease", "R" POST("") "[a=b] 2103616263.", FINE, 0},
};

static const struct row client_rows[] = {
    {"a good response", S "@" OK200 "000161.", FINE, 0},
    {"interim responses", S "@[:status=103|link=x][:status=100]" OK200 ".", FINE, 0},
    {"a server's bidirectional stream", S "R 00", CLOSE, PLX_H3_STREAM_CREATION_ERROR},
    {"a push", S "d 01", CLOSE, PLX_H3_ID_ERROR},
    {"a promise", "@ 05030000d1", CLOSE, PLX_H3_ID_ERROR},
    {"an empty promise", "@ 0500", CLOSE, PLX_H3_FRAME_ERROR},
    {"MAX_PUSH_ID from a server", S "c 0d0100", CLOSE, PLX_H3_FRAME_UNEXPECTED},
    {"GOAWAY with an ID that is no request's", S "c 070101", CLOSE, PLX_H3_ID_ERROR},
    {"GOAWAY that grows", S "c 070104 070108", CLOSE, PLX_H3_ID_ERROR},
    {"CANCEL_PUSH of nothing", S "c 030100", CLOSE, PLX_H3_ID_ERROR},
    {"no SETTINGS", "c 00 070100", CLOSE, PLX_H3_MISSING_SETTINGS},
    {"no status", "@[server=x].", STREAM, PLX_H3_MESSAGE_ERROR},
    {"a status of two digits", "@[:status=20].", STREAM, PLX_H3_MESSAGE_ERROR},
    {"status 101", "@[:status=101].", STREAM, PLX_H3_MESSAGE_ERROR},
    {"a method in a response", "@[:method=GET|:status=200].", STREAM, PLX_H3_MESSAGE_ERROR},
    {"te in a response", "@[:status=200|te=trailers].", STREAM, PLX_H3_MESSAGE_ERROR},
    {"content in a 204", "@[:status=204]000161.", STREAM, PLX_H3_MESSAGE_ERROR},
    {"content in a 304", "@[:status=304|content-length=1]000161.", STREAM, PLX_H3_MESSAGE_ERROR},
    {"a 304 with the length of what is not there", "@[:status=304|content-length=1].", FINE, 0},
    {"less content than announced", "@[:status=200|content-length=2]000161.", STREAM, PLX_H3_MESSAGE_ERROR},
    {"an end without a response", "@.", STREAM, PLX_H3_MESSAGE_ERROR},
    {"an end behind an interim response", "@[:status=103].", STREAM, PLX_H3_MESSAGE_ERROR},
    {"DATA behind an interim response", "@[:status=103]000161", CLOSE, PLX_H3_FRAME_UNEXPECTED},
    {"a response that is reset", "@" OK200 "000261!", STREAM, PLX_H3_REQUEST_CANCELLED},
    {"a head larger than we read", "@ 0144e9", STREAM, PLX_H3_EXCESSIVE_LOAD},
};

static void test_server(void **state)
{
    (void)state;
    run_rows(server_rows, ROWS(server_rows), SERVER);
}

static void test_client(void **state)
{
    (void)state;
    run_rows(client_rows, ROWS(client_rows), CLIENT);
}

// Things that say nothing are ignored, but not forever; requests in between earn patience.
static void test_excessive_load(void **state)
{
    static const struct {
        bool is_control;
        const char *octets;
        size_t len;
    } junk[] = {
        {true, "\x21\x00", 2},     // an unknown frame
        {false, "\x21\x00", 2},    // on a request
        {false, "\x00\x00", 2},    // empty DATA
        {true, "\x0d\x01\x05", 3}, // the same MAX_PUSH_ID again
        {true, "\x07\x01\x00", 3}, // the same GOAWAY again
    };

    (void)state;
    for (unsigned i = 0; i < ROWS(junk); i++) {
        world_init(&w, i + 1, 0, NULL, NULL, &app_server);
        app_init(&a);
        (void)play(S, CLIENT);
        unsigned control = (unsigned)find(CLIENT, true, 0), request = play("R" POST(""), CLIENT);
        unsigned n = 0;
        for (; n < 1100 && !w.side[SERVER].is_closed; n++) {
            world_forge(&w, junk[i].is_control ? control : request, CLIENT, junk[i].octets, junk[i].len,
                        false);
            world_run(&w, 1000);
        }
        EXPECT_ROW(i, n == 1001);
        EXPECT_ROW(i, w.side[SERVER].close_code == PLX_H3_EXCESSIVE_LOAD);
        world_fini(&w, PLX_H3_NO_ERROR);
        app_fini(&a);
    }
}

// A client that asks and gives up, again and again, makes work for nothing; one that waits now and then is patience enough.
static void test_too_many_cancellations(void **state)
{
    (void)state;
    for (unsigned patient = 0; patient < 2; patient++) {
        unsigned n = 0;
        world_init(&w, 1, 0, NULL, NULL, &app_server);
        app_init(&a);
        (void)play(S, CLIENT);
        for (; n < 2000 && !w.side[SERVER].is_closed; n++) {
            bool is_good = patient && n % 2;
            unsigned stream = play(is_good ? "R" GET "." : "R" POST("") "!", CLIENT);
            plx_check(w.side[SERVER].is_closed || is_good || w.stream[stream].is_over[SERVER]);
            w.stream[stream].is_used = false; // the forger's side is over as well
            if (is_good && !w.side[SERVER].is_closed) {
                plx_check(w.stream[stream].dir[SERVER].has_fin);
                plx_h3_on_closed(w.side[SERVER].conn, w.stream[stream].hs[SERVER]);
            }
        }
        // The first costs ten, the others two: 10 + 496 * 2 is more than a thousand.
        assert_int_equal(n, patient ? 2000 : 497);
        assert_true(patient || w.side[SERVER].close_code == PLX_H3_EXCESSIVE_LOAD);
        world_fini(&w, PLX_H3_NO_ERROR);
        app_fini(&a);
    }
}

// What the real side wrote on a stream contains these octets.
static bool has_written(unsigned stream, unsigned side, const void *p, size_t len)
{
    return memmem(w.stream[stream].dir[side].p, w.stream[stream].dir[side].len, p, len) != NULL;
}

static void test_431(void **state)
{
    static const char *const script[] = {
        "R 0144e9", // the frame is too long
        // The frame is not, but what it stands for is: 40 fields of a table's entry.
        "R 012a0000 d1d7 5001 61 c1 dfdfdfdfdfdfdfdfdfdfdfdfdfdfdfdfdfdfdfdfdfdfdfdfdfdfdfdfdfdfdfdfdfdfdf",
    };
    static const struct plx_h3_cfg cfg = {.field_section_max = 1000};

    (void)state;
    for (unsigned i = 0; i < ROWS(script); i++) {
        world_init(&w, 1, 0, &cfg, NULL, &app_server);
        app_init(&a);
        unsigned stream = play(script[i], CLIENT);
        EXPECT_ROW(i, has_written(stream, SERVER,
                                  "\x5f\x09\x03"
                                  "431",
                                  6));
        EXPECT_ROW(i, w.stream[stream].dir[SERVER].has_fin);
        EXPECT_ROW(i, w.stream[stream].dir[CLIENT].is_refused);
        EXPECT_ROW(i, w.stream[stream].dir[CLIENT].refused_code == PLX_H3_NO_ERROR);
        EXPECT_ROW(i, a.server_count == 0);
        EXPECT_ROW(i, !w.side[SERVER].is_closed);
        world_fini(&w, PLX_H3_NO_ERROR);
        app_fini(&a);
    }
}

// A section waits for its table entry; the acknowledgment, the increment and the cancellation go out.
static void test_blocked_and_told(void **state)
{
    // Capacity 4096; insert :path /404 (static name 1).
    static const char insert[] = "c 02 3fe11f c1042f343034";
    // Required insert count 1 (encoded 2), base 1: GET, https, authority a, and entry 0.
    static const char request[] = "R 0108 0200 d1 d7 500161 80.";

    (void)state;
    for (size_t piece = 0; piece < 3; piece++) {
        world_init(&w, piece + 1, piece, NULL, NULL, &app_server);
        app_init(&a);
        unsigned stream = play(request, CLIENT);
        assert_int_equal(a.server_count, 0);
        (void)play(insert, CLIENT);
        assert_int_equal(a.server_count, 1);
        assert_string_equal(a.server[0].path, "/404");
        assert_true(w.stream[stream].dir[SERVER].has_fin);
        unsigned decoder = (unsigned)find(SERVER, true, 1);
        assert_true(has_written(decoder, SERVER, "\x03\x80", 2)); // the acknowledgment says it all
        assert_int_equal(w.stream[decoder].dir[SERVER].len, 2);
        (void)play("d 01", CLIENT); // a push: ends the connection, not this test's affair
        world_fini(&w, PLX_H3_NO_ERROR);
        app_fini(&a);

        // Blocked and then reset: cancelled. The insertion alone: an increment.
        world_init(&w, piece + 1, piece, NULL, NULL, &app_server);
        app_init(&a);
        (void)play("R 0108 0200 d1 d7 500161 80!", CLIENT);
        (void)play(insert, CLIENT);
        decoder = (unsigned)find(SERVER, true, 1);
        assert_int_equal(w.stream[decoder].dir[SERVER].len, 3);
        assert_true(has_written(decoder, SERVER, "\x03\x40\x01", 3));
        assert_int_equal(a.server_count, 0);
        world_fini(&w, PLX_H3_NO_ERROR);
        app_fini(&a);
    }
}

// What we have to say on a stream that was put away it is had back for.
static void test_told_while_away(void **state)
{
    static const char insert[] = "c 02 3fe11f c1042f343034";
    static const char request[] = "R 0108 0200 d1 d7 500161 80.";

    (void)state;
    world_init(&w, 1, 0, NULL, NULL, &app_server);
    app_init(&a);
    (void)play(insert, CLIENT);
    unsigned decoder = (unsigned)find(SERVER, true, 1);
    assert_true(has_written(decoder, SERVER, "\x03\x01", 2)); // an increment
    assert_true(world_park(&w, SERVER));
    assert_int_equal(plx_pool_in_use(&w.side[SERVER].streams), 0);
    (void)play("R 0108 0000 d1 d7 500161 c1.", CLIENT); // nothing of the table
    assert_int_equal(a.server_count, 1);
    assert_int_equal(w.side[SERVER].wakes, 0);
    (void)play(request, CLIENT);
    assert_int_equal(a.server_count, 2);
    assert_string_equal(a.server[1].path, "/404");
    assert_int_equal(w.side[SERVER].wakes, 1);
    assert_true(has_written(decoder, SERVER, "\x03\x01\x84", 3)); // of stream 4
    assert_int_equal(w.stream[decoder].dir[SERVER].len, 3);
    world_fini(&w, PLX_H3_NO_ERROR);
    app_fini(&a);
}

// Trailers that refer to the table wait for it too.
static void test_blocked_trailers(void **state)
{
    (void)state;
    world_init(&w, 1, 0, NULL, NULL, &app_server);
    app_init(&a);
    (void)play("R" POST("") "000161 0103020080.", CLIENT);
    assert_int_equal(a.server_count, 1);
    assert_int_equal(a.server[0].ends, 0);
    (void)play("c 02 3fe11f 4161 0162", CLIENT); // insert a: b
    assert_int_equal(a.server[0].ends, 1);
    assert_string_equal(a.server[0].trailers, "a=b;");
    world_fini(&w, PLX_H3_NO_ERROR);
    app_fini(&a);
}

// A core without memory: a request that needs some is rejected untouched, one that needs none is served; a table that
// does not fit ends the connection. Afterwards everything goes on.
static void test_without_memory(void **state)
{
    static const struct {
        const char *script; // what it needs memory for is beside it
        enum outcome outcome;
        uint64_t code;
    } scripts[] = {
        {"R" GET ".", FINE, 0},
        {"R 0108 0200; R d1 d7", STREAM, PLX_H3_REQUEST_REJECTED},        // a head in two pieces
        {"R 0108 0200 d1 d7 500161 80", STREAM, PLX_H3_REQUEST_REJECTED}, // a head that is blocked
        {"R" POST("") "[a=b]; R 2100", STREAM, PLX_H3_INTERNAL_ERROR},    // trailers that wait for the end
        {"c 02 3fe11f c1042f343034", CLOSE, PLX_H3_INTERNAL_ERROR},       // an entry
        {"c 02 3fe11f c1042f", CLOSE, PLX_H3_INTERNAL_ERROR},             // an instruction that is cut
        {"c 00 0402 06; c 01", CLOSE, PLX_H3_INTERNAL_ERROR},             // SETTINGS that are cut
    };
    static void *taken[(1 << 16) + 1];

    (void)state;
    for (unsigned i = 0; i < ROWS(scripts); i++) {
        world_init(&w, 1, 0, NULL, NULL, &app_server);
        app_init(&a);
        struct side *s = &w.side[SERVER];
        unsigned count = 0;
        while ((taken[count] = plx_slab_take(&s->slab, 64)) != NULL)
            count++;
        unsigned stream = play(scripts[i].script, CLIENT);
        EXPECT_ROW(i, s->is_closed == (scripts[i].outcome == CLOSE));
        EXPECT_ROW(i, !s->is_closed || s->close_code == scripts[i].code);
        EXPECT_ROW(i, w.stream[stream].dir[SERVER].is_reset == (scripts[i].outcome == STREAM));
        EXPECT_ROW(i, scripts[i].outcome != STREAM ||
                          w.stream[stream].dir[SERVER].reset_code == scripts[i].code);
        while (count > 0)
            plx_slab_give(&s->slab, taken[--count], 64);
        if (!s->is_closed) {
            (void)play("S" GET ".", CLIENT);
            EXPECT_ROW(i, strcmp(a.server[a.server_count - 1].path, "/404") == 0);
        }
        world_fini(&w, PLX_H3_NO_ERROR);
        app_fini(&a);
    }
}

// No stream object left: the stream is refused, the connection stays.
static void test_without_objects(void **state)
{
    void *taken[WORLD_STREAMS];
    unsigned count = 0;

    (void)state;
    world_init(&w, 1, 0, NULL, NULL, &app_server);
    app_init(&a);
    (void)play(S, CLIENT);
    while (plx_pool_in_use(&w.side[SERVER].streams) < WORLD_STREAMS)
        taken[count++] = plx_pool_take(&w.side[SERVER].streams);
    unsigned stream = play("R" GET ".", CLIENT);
    assert_true(w.stream[stream].dir[SERVER].is_reset);
    assert_int_equal(w.stream[stream].dir[SERVER].reset_code, PLX_H3_REQUEST_REJECTED);
    while (count > 0)
        plx_pool_give(&w.side[SERVER].streams, taken[--count]);
    stream = play("S" GET ".", CLIENT);
    assert_true(w.stream[stream].dir[SERVER].has_fin);
    world_fini(&w, PLX_H3_NO_ERROR);
    app_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_server),
        cmocka_unit_test(test_client),
        cmocka_unit_test(test_excessive_load),
        cmocka_unit_test(test_431),
        cmocka_unit_test(test_blocked_and_told),
        cmocka_unit_test(test_told_while_away),
        cmocka_unit_test(test_blocked_trailers),
        cmocka_unit_test(test_without_memory),
        cmocka_unit_test(test_too_many_cancellations),
        cmocka_unit_test(test_without_objects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
