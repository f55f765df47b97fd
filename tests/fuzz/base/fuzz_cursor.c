// fuzz_cursor.c -- the reader against the plain loop, and what was read written and read again.

#include <string.h>

#include "base/cursor.h"
#include "ops.h"

static uint64_t varint_plain(const uint8_t *p, size_t left, size_t *len)
{
    *len = left > 0 ? (size_t)1 << (*p >> 6) : 1;
    if (left < *len)
        return 0;
    uint64_t v = p[0] & 0x3f;
    for (size_t i = 1; i < *len; i++)
        v = v << 8 | p[i];
    return v;
}

// Every integer that the bytes can be read as, with all lengths mixed, as the first bytes decide.
static void integers(const uint8_t *data, size_t len)
{
    struct plx_rd r = plx_rd_init(data, len);

    while (plx_rd_left(&r) > 0) {
        const uint8_t *at = r.p;
        size_t left = plx_rd_left(&r), take;
        uint64_t want = varint_plain(at, left, &take), v = plx_rd_varint(&r);
        plx_check(v == want);
        plx_check(r.is_short == (take > left));
        plx_check(r.p == (r.is_short ? r.end : at + take));
        if (r.is_short)
            break;

        uint8_t again[8];
        struct plx_wr w = plx_wr_init(again, sizeof again);
        plx_wr_varint_fixed(&w, v, take);
        plx_check(!w.is_full);
        plx_check(memcmp(again, at, take) == 0);
        w = plx_wr_init(again, sizeof again);
        plx_wr_varint(&w, v);
        plx_check((size_t)(w.p - again) == plx_varint_len(v));
        plx_check((size_t)(w.p - again) <= take);
        struct plx_rd r2 = plx_rd_init(again, plx_varint_len(v));
        plx_check(plx_rd_varint(&r2) == v);
    }
}

// Reads of all kinds in an order that the bytes choose, copied by the matching writes.
static void copy(const uint8_t *data, size_t len)
{
    uint8_t *out = malloc(len + 1);
    plx_check(out != NULL);
    struct plx_rd r = plx_rd_init(data, len);
    struct plx_wr w = plx_wr_init(out, len);

    for (size_t i = 0; i < len && !r.is_short; i++) {
        size_t n = data[len - 1 - i];
        const uint8_t *at = r.p;
        switch (n % 7) {
        case 0: {
            uint8_t v = plx_rd_u8(&r);
            r.is_short ? (void)0 : plx_wr_u8(&w, v);
            break;
        }
        case 1: {
            uint16_t v = plx_rd_u16(&r);
            r.is_short ? (void)0 : plx_wr_u16(&w, v);
            break;
        }
        case 2: {
            uint32_t v = plx_rd_u24(&r);
            r.is_short ? (void)0 : plx_wr_u24(&w, v);
            break;
        }
        case 3: {
            uint32_t v = plx_rd_u32(&r);
            r.is_short ? (void)0 : plx_wr_u32(&w, v);
            break;
        }
        case 4: {
            uint64_t v = plx_rd_u64(&r);
            r.is_short ? (void)0 : plx_wr_u64(&w, v);
            break;
        }
        case 5: {
            struct plx_span s = plx_rd_span(&r, n / 7);
            plx_check((s.p == NULL) == r.is_short);
            plx_wr_bytes(&w, s.p, s.len);
            break;
        }
        default: {
            uint8_t *to = w.p;
            plx_rd_skip(&r, n / 7);
            if (!r.is_short) {
                plx_check(plx_wr_skip(&w, n / 7) == to);
                memcpy(to, at, n / 7);
            }
        }
        }
        if (r.is_short) // and it stays so
            plx_check(plx_rd_left(&r) == 0 && plx_rd_u8(&r) == 0 && plx_rd_varint(&r) == 0);
    }
    plx_check(!w.is_full);
    plx_check(memcmp(out, data, (size_t)(w.p - out)) == 0);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len > 4096)
        return 0;
    integers(data, len);
    copy(data, len);
    return 0;
}
