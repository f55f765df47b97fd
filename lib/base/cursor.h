// cursor.h -- the only place where wire bytes become integers, and integers wire bytes.
//
// A reader and a writer over a span of bytes whose failure is sticky: after the first read past the end every
// later read yields 0 (or NULL) and `is_short` stays set; after the first write that did not fit nothing more is
// written and `is_full` stays set. So a parser is a straight line of reads with one check at its end, and no
// other file does arithmetic on raw pointers.
//
//   struct plx_rd r = plx_rd_init(p, len);        struct plx_wr w = plx_wr_init(p, cap);
//   f->stream_id = plx_rd_varint(&r);             plx_wr_varint(&w, f->stream_id);
//   f->maximum = plx_rd_varint(&r);               plx_wr_varint(&w, f->maximum);
//   return !r.is_short;                           return !w.is_full;
//
// The failure works by moving the cursor's own bounds (p == end from then on), so the common case pays for one
// comparison per read and none for the stickiness. The varint reader is the hottest function of the project: one
// byte is answered at once; with eight bytes at hand any length is one load, one swap and two shifts without a
// branch on the length; only the last seven bytes of a packet take the exact loads. The test proves it equal to
// the plain loop. The cursor borrows the bytes; it owns nothing and needs no end.

#ifndef PLX_BASE_CURSOR_H
#define PLX_BASE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/bits.h"
#include "base/check.h"
#include "plx/types.h"

//= rfc9000 16 "encode 6-, 14-, 30-, or 62-bit values, respectively"
#define PLX_VARINT_MAX ((UINT64_C(1) << 62) - 1)

// Bytes that v takes as a variable-length integer; v <= PLX_VARINT_MAX.
static inline size_t plx_varint_len(uint64_t v)
{
    return v < 1u << 6 ? 1 : v < 1u << 14 ? 2 : v < 1u << 30 ? 4 : 8;
}

// --- reading -----------------------------------------------------------------------------------------------

struct plx_rd {
    const uint8_t *p, *end;
    bool is_short; // something was read past the end: everything since is 0
};

static inline struct plx_rd plx_rd_init(const void *p, size_t len)
{
    // Nothing at NULL is a span too (an absent body); a real address keeps pointer arithmetic defined.
    const uint8_t *b = p != NULL ? p : "";
    return (struct plx_rd){b, b + len, false};
}

static inline size_t plx_rd_left(const struct plx_rd *r)
{
    return (size_t)(r->end - r->p);
}

static inline void plx_rd_fail(struct plx_rd *r)
{
    r->p = r->end;
    r->is_short = true;
}

// The next len bytes, borrowed; NULL when there are fewer.
static inline const uint8_t *plx_rd_bytes(struct plx_rd *r, size_t len)
{
    if (plx_rd_left(r) < len) {
        plx_rd_fail(r);
        return NULL;
    }
    const uint8_t *p = r->p;
    r->p += len;
    return p;
}

static inline void plx_rd_skip(struct plx_rd *r, size_t len)
{
    (void)plx_rd_bytes(r, len);
}

// The same as a span; {NULL, 0} when there are fewer.
static inline struct plx_span plx_rd_span(struct plx_rd *r, size_t len)
{
    const uint8_t *p = plx_rd_bytes(r, len);
    return (struct plx_span){p, p != NULL ? len : 0};
}

static inline uint8_t plx_rd_u8(struct plx_rd *r)
{
    const uint8_t *p = plx_rd_bytes(r, 1);
    return p != NULL ? *p : 0;
}

static inline uint16_t plx_rd_u16(struct plx_rd *r)
{
    const uint8_t *p = plx_rd_bytes(r, 2);
    return p != NULL ? plx_load_be16(p) : 0;
}

static inline uint32_t plx_rd_u24(struct plx_rd *r)
{
    const uint8_t *p = plx_rd_bytes(r, 3);
    return p != NULL ? plx_load_be24(p) : 0;
}

static inline uint32_t plx_rd_u32(struct plx_rd *r)
{
    const uint8_t *p = plx_rd_bytes(r, 4);
    return p != NULL ? plx_load_be32(p) : 0;
}

static inline uint64_t plx_rd_u64(struct plx_rd *r)
{
    const uint8_t *p = plx_rd_bytes(r, 8);
    return p != NULL ? plx_load_be64(p) : 0;
}

// What plx_rd_varint() does not answer at once.
static inline uint64_t plx_rd_varint_long(struct plx_rd *r)
{
    const uint8_t *p = r->p;
    size_t left = plx_rd_left(r);

    if (left >= 8) { // len bits of the swapped word are at the top: drop the prefix, then what follows
        unsigned bits = 8u << (*p >> 6);
        r->p = p + bits / 8;
        return plx_load_be64(p) << 2 >> (66 - bits);
    }
    if (left >= 4 && *p < 0xc0) {
        r->p = p + 4;
        return plx_load_be32(p) & 0x3fffffff;
    }
    plx_rd_fail(r);
    return 0;
}

// Variable-length integer, RFC 9000 section 16: the two top bits of the first byte are log2 of the length.
static inline __attribute__((always_inline)) uint64_t plx_rd_varint(struct plx_rd *r)
{
    if (r->p != r->end && *r->p < 0x40) // frame types, stream counts, lengths of names: most are one byte
        return *r->p++;
    if (plx_rd_left(r) >= 2 && *r->p < 0x80) { // stream IDs, and the lengths of most messages
        r->p += 2;
        return plx_load_be16(r->p - 2) & 0x3fff;
    }
    return plx_rd_varint_long(r);
}

// --- writing -----------------------------------------------------------------------------------------------

struct plx_wr {
    uint8_t *p, *end;
    bool is_full; // something did not fit: nothing was written since
};

static inline struct plx_wr plx_wr_init(void *p, size_t cap)
{
    return (struct plx_wr){p, cap != 0 ? (uint8_t *)p + cap : p, false};
}

static inline size_t plx_wr_left(const struct plx_wr *w)
{
    return (size_t)(w->end - w->p);
}

static inline void plx_wr_fail(struct plx_wr *w)
{
    w->end = w->p; // a shorter write must not slip in behind the one that did not fit
    w->is_full = true;
}

// Whether len bytes more fit; the write has failed if not. (Callers ask this and not for a pointer: a compiler that sees one
// compared with NULL goes on to warn of what would be written behind it.)
static inline bool plx_wr_fits(struct plx_wr *w, size_t len)
{
    if (plx_wr_left(w) >= len)
        return true;
    plx_wr_fail(w);
    return false;
}

// Leaves room for len bytes and says where; NULL when they do not fit (or when nothing is asked of no buffer).
static inline uint8_t *plx_wr_skip(struct plx_wr *w, size_t len)
{
    if (!plx_wr_fits(w, len))
        return NULL;
    uint8_t *p = w->p;
    if (len != 0)
        w->p += len;
    return p;
}

static inline void plx_wr_bytes(struct plx_wr *w, const void *p, size_t len)
{
    if (len == 0 || !plx_wr_fits(w, len))
        return;
    memcpy(w->p, p, len);
    w->p += len;
}

static inline void plx_wr_u8(struct plx_wr *w, uint8_t v)
{
    if (!plx_wr_fits(w, 1))
        return;
    *w->p = v;
    w->p += 1;
}

static inline void plx_wr_u16(struct plx_wr *w, uint16_t v)
{
    if (!plx_wr_fits(w, 2))
        return;
    plx_store_be16(w->p, v);
    w->p += 2;
}

static inline void plx_wr_u24(struct plx_wr *w, uint32_t v)
{
    if (!plx_wr_fits(w, 3))
        return;
    plx_store_be24(w->p, v);
    w->p += 3;
}

static inline void plx_wr_u32(struct plx_wr *w, uint32_t v)
{
    if (!plx_wr_fits(w, 4))
        return;
    plx_store_be32(w->p, v);
    w->p += 4;
}

static inline void plx_wr_u64(struct plx_wr *w, uint64_t v)
{
    if (!plx_wr_fits(w, 8))
        return;
    plx_store_be64(w->p, v);
    w->p += 8;
}

// v in exactly len bytes (1, 2, 4 or 8), which must be enough for it: for lengths that are filled in later.
static inline void plx_wr_varint_fixed(struct plx_wr *w, uint64_t v, size_t len)
{
    switch (len) {
    case 1:
        plx_check(v < 1u << 6);
        plx_wr_u8(w, (uint8_t)v);
        return;
    case 2:
        plx_check(v < 1u << 14);
        plx_wr_u16(w, (uint16_t)(v | 0x4000));
        return;
    case 4:
        plx_check(v < 1u << 30);
        plx_wr_u32(w, (uint32_t)v | 0x80000000u);
        return;
    case 8:
        plx_check(v <= PLX_VARINT_MAX);
        plx_wr_u64(w, v | UINT64_C(3) << 62);
        return;
    default:
        plx_check(!"a variable-length integer has 1, 2, 4 or 8 bytes");
    }
}

// v in as few bytes as it takes; v <= PLX_VARINT_MAX.
static inline void plx_wr_varint(struct plx_wr *w, uint64_t v)
{
    plx_wr_varint_fixed(w, v, plx_varint_len(v));
}

#endif
