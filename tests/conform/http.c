// http.c -- what a client may not do in HTTP/3 and QPACK: RFC 9114 section 8.1, RFC 9204 section 6. Scripts: see stand.h.

#include "tests/conform/forger.h"

#include <string.h>

enum outcome { FINE, CLOSE, STREAM };

#define S           "c 00 0400;" // a control stream as it should be
#define GET         "[:method=GET|:scheme=https|:authority=a|:path=/]"
#define POST(extra) "[:method=POST|:scheme=https|:authority=a|:path=/wait" extra "]"

static const char part[] = "http";

static const struct row {
    const char *name, *script;
    enum outcome outcome;
    uint64_t code;
} rows[] = {
    {"a good request", S "R" GET ".", FINE, 0},
    {"grease around a request", S "d 40bf0102; R 2103616263" GET "21 00.", STREAM,
     PLX_H3_STREAM_CREATION_ERROR},
    // streams
    {"two control streams", S "d 00 0400", CLOSE, PLX_H3_STREAM_CREATION_ERROR},
    {"two encoder streams", "c 02; d 02", CLOSE, PLX_H3_STREAM_CREATION_ERROR},
    {"a push stream from a client", "c 01 00", CLOSE, PLX_H3_STREAM_CREATION_ERROR},
    {"the control stream ends", S "c .", CLOSE, PLX_H3_CLOSED_CRITICAL_STREAM},
    {"the control stream is reset", S "c !", CLOSE, PLX_H3_CLOSED_CRITICAL_STREAM},
    {"the encoder stream ends", "c 02.", CLOSE, PLX_H3_CLOSED_CRITICAL_STREAM},
    {"the decoder stream is reset", "c 03!", CLOSE, PLX_H3_CLOSED_CRITICAL_STREAM},
    {"the server's control stream is stopped", S "?0", CLOSE, PLX_H3_CLOSED_CRITICAL_STREAM},
    // the control stream
    {"GOAWAY before SETTINGS", "c 00 070100", CLOSE, PLX_H3_MISSING_SETTINGS},
    {"DATA before SETTINGS", "c 00 0000", CLOSE, PLX_H3_MISSING_SETTINGS},
    {"SETTINGS twice", S "c 0400", CLOSE, PLX_H3_FRAME_UNEXPECTED},
    {"DATA on the control stream", S "c 000161", CLOSE, PLX_H3_FRAME_UNEXPECTED},
    {"HEADERS on the control stream", S "c" GET, CLOSE, PLX_H3_FRAME_UNEXPECTED},
    {"PING of HTTP/2", S "c 0600", CLOSE, PLX_H3_FRAME_UNEXPECTED},
    {"SETTINGS that are cut", "c 00 0401 06", CLOSE, PLX_H3_FRAME_ERROR},
    {"a setting twice", "c 00 0404 06010601", CLOSE, PLX_H3_SETTINGS_ERROR},
    {"a setting of HTTP/2", "c 00 0402 0200", CLOSE, PLX_H3_SETTINGS_ERROR},
    {"SETTINGS without end", "c 00 044401", CLOSE, PLX_H3_EXCESSIVE_LOAD},
    {"GOAWAY that grows", S "c 070104 070105", CLOSE, PLX_H3_ID_ERROR},
    {"MAX_PUSH_ID that shrinks", S "c 0d0105 0d0104", CLOSE, PLX_H3_ID_ERROR},
    {"CANCEL_PUSH of nothing", S "c 0d0105 030100", CLOSE, PLX_H3_ID_ERROR},
    {"GOAWAY with more than an ID", S "c 07020400", CLOSE, PLX_H3_FRAME_ERROR},
    // requests
    {"SETTINGS on a request", "R 0400", CLOSE, PLX_H3_FRAME_UNEXPECTED},
    {"PUSH_PROMISE from a client", "R 05030000d1", CLOSE, PLX_H3_FRAME_UNEXPECTED},
    {"DATA before HEADERS", "R 000161", CLOSE, PLX_H3_FRAME_UNEXPECTED},
    {"HEADERS behind trailers", "R" POST("") "[a=b][a=b]", CLOSE, PLX_H3_FRAME_UNEXPECTED},
    {"the end within HEADERS", "R 01050000.", CLOSE, PLX_H3_FRAME_ERROR},
    {"the end within DATA", "R" POST("") "000261.", CLOSE, PLX_H3_FRAME_ERROR},
    {"no request at all", "R.", STREAM, PLX_H3_REQUEST_INCOMPLETE},
    {"a request that is reset", "R" POST("") "!", STREAM, PLX_H3_REQUEST_CANCELLED},
    {"half a head that is reset", "R 010500!", STREAM, PLX_H3_REQUEST_REJECTED},
    {"a head larger than announced", "R 0144e9", STREAM, PLX_H3_NO_ERROR}, // 431, and the rest is not wanted
    {"no path", "R[:method=GET|:scheme=https|:authority=a].", STREAM, PLX_H3_MESSAGE_ERROR},
    {"upper case in a name", "R" POST("|Accept=x") ".", STREAM, PLX_H3_MESSAGE_ERROR},
    {"a field of the connection", "R" POST("|connection=close") ".", STREAM, PLX_H3_MESSAGE_ERROR},
    {"a response's pseudo-field", "R" POST("|:status=200") ".", STREAM, PLX_H3_MESSAGE_ERROR},
    {"less content than announced", "R" POST("|content-length=3") "00026162.", STREAM, PLX_H3_MESSAGE_ERROR},
    {"more content than announced", "R" POST("|content-length=1") "00026162", STREAM, PLX_H3_MESSAGE_ERROR},
    {"a pseudo-field in trailers", "R" POST("") "[:path=/].", STREAM, PLX_H3_MESSAGE_ERROR},
    // QPACK
    {"an index beyond the static table", "R 01040000ff24", CLOSE, PLX_QPACK_DECOMPRESSION_FAILED},
    {"a reference that was not declared", "R 0103000080", CLOSE, PLX_QPACK_DECOMPRESSION_FAILED},
    {"an empty field section", "R 0100", CLOSE, PLX_QPACK_DECOMPRESSION_FAILED},
    {"more blocked streams than allowed", "R 01020200; S 01020200", CLOSE, PLX_QPACK_DECOMPRESSION_FAILED},
    {"a table larger than announced", "c 02 3fe21f", CLOSE, PLX_QPACK_ENCODER_STREAM_ERROR},
    {"an insertion without a table", "c 02 c00161", CLOSE, PLX_QPACK_ENCODER_STREAM_ERROR},
    {"a duplicate of nothing", "c 02 3fe11f 00", CLOSE, PLX_QPACK_ENCODER_STREAM_ERROR},
    {"an acknowledgment of nothing", "c 03 80", CLOSE, PLX_QPACK_DECODER_STREAM_ERROR},
    {"an increment of 0", "c 03 00", CLOSE, PLX_QPACK_DECODER_STREAM_ERROR},
    {"an increment beyond what was sent", "c 03 01", CLOSE, PLX_QPACK_DECODER_STREAM_ERROR},
};

static void small_limits(struct plx_engine_cfg *cfg, bool is_server)
{
    if (!is_server)
        return;
    cfg->field_section_max = 1000;
    cfg->qpack_blocked_max = 1;
}

static void expect_stream(struct stand *s, const char *name, uint64_t code)
{
    stand_run(s, PLX_MS(300));
    for (unsigned i = 0; i < s->code_count; i++)
        forger_saw(H3, s->code[i]);
    forger_row(part, name, stand_has_code(s, code), "no stream ended with 0x%llx; %u codes, the first 0x%llx",
               (unsigned long long)code, s->code_count, (unsigned long long)s->code[0]);
    forger_expect_fine(s, part, name);
}

static void begin(struct stand *s)
{
    stand_init(s, true, small_limits);
    stand_reach(s, STAND_CONFIRMED);
}

static void run_row(const struct row *r)
{
    struct stand s;

    begin(&s);
    stand_play(&s, r->script);
    if (r->outcome == CLOSE)
        forger_expect_close(&s, part, r->name, H3, r->code);
    else if (r->outcome == STREAM)
        expect_stream(&s, r->name, r->code);
    else
        forger_expect_fine(&s, part, r->name);
}

// Frames that say nothing, without end.
static void junk(void)
{
    static const char name[] = "a thousand frames that say nothing";
    char script[16 + 4 * 1100] = S "c";
    struct stand s;

    if (!forger_wants(name))
        return;
    for (size_t i = 0, at = strlen(script); i < 1100; i++, at += 4)
        memcpy(script + at, "2100", 5);
    begin(&s);
    stand_play(&s, script);
    forger_expect_close(&s, part, name, H3, PLX_H3_EXCESSIVE_LOAD);
}

// No block of memory for the table's entry.
static void no_memory(void)
{
    static const char name[] = "a table that finds no memory";
    static struct {
        void *p;
        size_t size;
    } taken[1 << 19];
    struct stand s;
    unsigned count = 0;

    if (!forger_wants(name))
        return;
    begin(&s);
    for (size_t size = PLX_SLAB_BLOCK_MAX; size >= 2048; size /= 2) // the transport's own small needs are met
        for (void *p; (p = plx_slab_take(&s.server->slab, size)) != NULL; count++) {
            plx_check(count < sizeof taken / sizeof *taken);
            taken[count].p = p;
            taken[count].size = size;
        }
    stand_play(&s, "c 02 3fe11f c1042f343034");
    stand_run_closed(&s);
    while (count-- > 0)
        plx_slab_give(&s.server->slab, taken[count].p, taken[count].size);
    forger_expect_close(&s, part, name, H3, PLX_H3_INTERNAL_ERROR);
}

static void going_away(void)
{
    struct stand s;

    if (forger_wants("a server that stops, and nothing is open")) {
        begin(&s);
        stand_play(&s, S "R" GET ".");
        plx_core_stop(s.server, plx_time_after(s.w.now, PLX_SEC(20)));
        forger_expect_close(&s, part, "a server that stops, and nothing is open", H3, PLX_H3_NO_ERROR);
    }
    static const char name[] = "a request behind GOAWAY";
    if (forger_wants(name)) {
        begin(&s);
        stand_play(&s, S "R" POST(""));
        plx_core_stop(s.server, plx_time_after(s.w.now, PLX_SEC(20)));
        stand_run(&s, PLX_SEC(3)); // both GOAWAYs are out
        stand_play(&s, "T" GET ".");
        stand_run(&s, PLX_MS(300));
        for (unsigned i = 0; i < s.code_count; i++)
            forger_saw(H3, s.code[i]);
        forger_row(part, name, stand_has_code(&s, PLX_H3_REQUEST_REJECTED), "it was not rejected");
        forger_expect_close(&s, part, name, H3, PLX_H3_NO_ERROR); // when the grace is over
    }
}

void forger_http(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (forger_wants(rows[i].name))
            run_row(&rows[i]);
    junk();
    no_memory();
    going_away();
}
