// stream_end.h -- one container of streams with an application that writes down what it is told, for timelines.

#ifndef PLX_TESTS_UNIT_QUIC_STREAM_END_H
#define PLX_TESTS_UNIT_QUIC_STREAM_END_H

#include <stdio.h>
#include <string.h>

#include "base/pool.h"
#include "base/slab.h"
#include "quic/stream/streams.h"
#include "tests/unit/base/rows.h"
#include "tests/unit/quic/stream_pair.h" // pair_dispatch

static struct end {
    struct plx_streams ss;
    struct plx_pool pool;
    struct plx_slab slab;
    char log[4096];                        // "open 0; data 0 5 fin; ..."
    size_t take;                           // on_data takes so many octets at most
    void (*in_data)(struct plx_stream *s); // what on_data does besides
    struct plx_stream *last;               // of on_stream
    bool (*recall)(void);                  // has back what the test has put away
    unsigned wakes, released;
    struct plx_owner owner;
    uint8_t packet[2000];
    size_t packet_len;
    struct plx_refs refs;
    plx_time now;
} end;

__attribute__((format(printf, 1, 2))) static inline void end_note(const char *format, ...)
{
    size_t len = strlen(end.log);
    va_list ap;
    va_start(ap, format);
    vsnprintf(end.log + len, sizeof end.log - len, format, ap);
    va_end(ap);
}

static inline void end_on_stream(void *arg, struct plx_stream *s)
{
    (void)arg;
    end.last = s;
    end_note("open %d; ", (int)s->id);
}

static inline size_t end_on_data(void *arg, struct plx_stream *s, const uint8_t *data, size_t len, bool fin)
{
    (void)arg;
    for (size_t i = 0; i < len; i++) // octets are the low byte of their offset
        assert_int_equal(data[i], (uint8_t)(s->read + i));
    end_note("data %d %d%s; ", (int)s->id, (int)len, fin ? " fin" : "");
    if (end.in_data != NULL)
        end.in_data(s);
    return len < end.take ? len : end.take;
}

static inline void end_on_reset(void *arg, struct plx_stream *s, uint64_t code)
{
    (void)arg;
    end_note("reset %d %d; ", (int)s->id, (int)code);
}

static inline void end_on_stop(void *arg, struct plx_stream *s, uint64_t code)
{
    (void)arg;
    end_note("stop %d %d; ", (int)s->id, (int)code);
}

static inline void end_on_writable(void *arg, struct plx_stream *s)
{
    (void)arg;
    end_note("writable %d; ", (int)s->id);
}

static inline void end_on_closed(void *arg, struct plx_stream *s)
{
    (void)arg;
    end_note("closed %d; ", (int)s->id);
}

static inline void end_on_available(void *arg, bool is_uni)
{
    (void)arg;
    end_note("available %s; ", is_uni ? "uni" : "bidi");
}

static inline void end_on_wake(void *arg)
{
    (void)arg;
    end.wakes++;
}

static inline void end_released(struct plx_owner *o, const void *data, size_t len)
{
    (void)o, (void)data, (void)len;
    end.released++;
}

static inline size_t end_on_message(void *arg, struct plx_stream *s, const uint8_t *data, size_t len)
{
    end.last = s;
    end_note("whole ");
    return end_on_data(arg, s, data, len, true);
}

static inline size_t end_on_answer(void *arg, struct plx_stream *s, const uint8_t *data, size_t len)
{
    end_note("answer ");
    return end_on_data(arg, s, data, len, true);
}

static inline bool end_on_recall(void *arg)
{
    (void)arg;
    end_note("recall; ");
    return end.recall();
}

// One side with small limits; the peer allows 1000 octets per stream, 5000 altogether, 3 streams of each kind.
static inline void end_init_as(uint32_t objects, bool is_server)
{
    static const struct plx_streams_events events = {
        end_on_stream,    end_on_data, end_on_reset,   end_on_stop,   end_on_writable, end_on_closed,
        end_on_available, end_on_wake, end_on_message, end_on_answer, end_on_recall};
    struct plx_streams_cfg cfg = {.is_server = is_server,
                                  .conn_window = 2500,
                                  .conn_window_max = 10000,
                                  .stream_window = 1000,
                                  .stream_window_max = 4000,
                                  .streams_bidi = 16,
                                  .streams_uni = 2,
                                  .refuse_code = 0x10b};
    struct plx_streams_peer peer = {5000, 1000, 1000, 1000, 3, 3};

    memset(&end, 0, sizeof end);
    end.take = SIZE_MAX;
    end.owner.release = end_released;
    end.now = (plx_time){1000000000};
    assert_true(plx_pool_init(&end.pool, "streams", sizeof(struct plx_stream), objects, NULL));
    assert_true(plx_slab_init(&end.slab, 1, PLX_NODE_ANY));
    plx_streams_init(&end.ss, &cfg, &end.pool, &end.slab, &events, &end);
    plx_streams_set_peer(&end.ss, &peer);
}

static inline void end_init(uint32_t objects)
{
    end_init_as(objects, true);
}

static inline void end_fini(void)
{
    plx_streams_verify(&end.ss);
    plx_streams_fini(&end.ss);
    assert_int_equal(plx_pool_in_use(&end.pool), 0);
    assert_int_equal(plx_slab_bytes_in_use(&end.slab), 0);
    plx_pool_fini(&end.pool);
    plx_slab_fini(&end.slab);
}

// What was noted since the last look.
static inline void end_expect_(const char *want, int line)
{
    if (strcmp(end.log, want) != 0)
        fail_msg("line %d: wanted \"%s\", got \"%s\"", line, want, end.log);
    end.log[0] = '\0';
}
#define end_expect(want) end_expect_(want, __LINE__)

// --- frames ----------------------------------------------------------------------------------------------

static inline uint64_t end_stream(uint64_t id, uint64_t offset, size_t len, bool fin)
{
    uint8_t octets[4096];
    for (size_t i = 0; i < len; i++)
        octets[i] = (uint8_t)(offset + i);
    struct plx_frame_stream f = {id, offset, octets, len, fin};
    uint64_t err = plx_streams_on_stream(&end.ss, &f, end.now);
    memset(octets, 0xee, len);
    if (err == 0)
        plx_streams_verify(&end.ss);
    return err;
}

static inline uint64_t end_reset(uint64_t id, uint64_t code, uint64_t final_size)
{
    return plx_streams_on_reset_stream(&end.ss, &(struct plx_frame_reset_stream){id, code, final_size});
}

static inline uint64_t end_stop(uint64_t id, uint64_t code)
{
    return plx_streams_on_stop_sending(&end.ss, &(struct plx_frame_stop_sending){id, code});
}

static inline void end_send(struct plx_stream *s, size_t len, bool fin)
{
    static const uint8_t zeros[8192];
    struct plx_buf buf = {zeros, len, &end.owner};
    assert_int_equal(plx_streams_send(&end.ss, s, &buf, 1, fin), PLX_OK);
    plx_streams_verify(&end.ss);
}

// Writes one packet and says what is in it: "stream 0 0+5 fin; max_data 1000; ..."
static inline const char *end_write(size_t cap)
{
    static char text[2000];
    struct plx_wr w = plx_wr_init(end.packet, cap);
    struct plx_frame f;

    end.refs.count = 0;
    plx_streams_write(&end.ss, &w, &end.refs, end.now, PLX_MS(10));
    plx_streams_verify(&end.ss);
    end.packet_len = (size_t)(w.p - end.packet);
    struct plx_rd r = plx_rd_init(end.packet, end.packet_len);
    text[0] = '\0';
    unsigned frames = 0;
    for (size_t at = 0; plx_rd_left(&r) > 0; at = strlen(text), frames++) {
        assert_int_equal(plx_frame_read(&r, &f), PLX_FRAME_OK);
        char *to = text + at;
        size_t left = sizeof text - at;
        const char *name = plx_frame_info[f.type].name;
        switch (f.type) {
        case 0x04:
            snprintf(to, left, "%s %d %d %d; ", name, (int)f.reset_stream.id, (int)f.reset_stream.code,
                     (int)f.reset_stream.final_size);
            break;
        case 0x05:
            snprintf(to, left, "%s %d %d; ", name, (int)f.stop_sending.id, (int)f.stop_sending.code);
            break;
        case 0x08 ... 0x0f:
            snprintf(to, left, "%s %d %d+%d%s; ", name, (int)f.stream.id, (int)f.stream.offset,
                     (int)f.stream.len, f.stream.fin ? " fin" : "");
            break;
        case 0x10:
            snprintf(to, left, "%s %d; ", name, (int)f.max_data.maximum);
            break;
        case 0x11:
            snprintf(to, left, "%s %d %d; ", name, (int)f.max_stream_data.id, (int)f.max_stream_data.maximum);
            break;
        case 0x12:
        case 0x13:
            snprintf(to, left, "%s %d %d; ", name, f.max_streams.is_uni, (int)f.max_streams.maximum);
            break;
        case 0x14:
            snprintf(to, left, "%s %d; ", name, (int)f.data_blocked.limit);
            break;
        case 0x15:
            snprintf(to, left, "%s %d %d; ", name, (int)f.stream_data_blocked.id,
                     (int)f.stream_data_blocked.limit);
            break;
        default:
            snprintf(to, left, "%s %d %d; ", name, f.streams_blocked.is_uni, (int)f.streams_blocked.limit);
        }
    }
    assert_int_equal(frames, end.refs.count); // one reference for each
    return text;
}

// The last packet was acknowledged, or lost.
static inline void end_acked(void)
{
    for (unsigned i = 0; i < end.refs.count; i++)
        plx_streams_on_acked(&end.ss, &end.refs.v[i]);
    plx_streams_verify(&end.ss);
}

static inline void end_lost(void)
{
    for (unsigned i = 0; i < end.refs.count; i++)
        plx_streams_on_lost(&end.ss, &end.refs.v[i]);
    plx_streams_verify(&end.ss);
}

#define end_expect_write(cap, want) assert_string_equal(end_write(cap), want)

#endif
