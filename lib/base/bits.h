// bits.h -- powers of two, counting zeros, and integers in network order.
//
// Each function is one or two instructions. Loads and stores go through memcpy, so that alignment and aliasing
// never matter; the compiler turns them into plain moves and byte swaps.

#ifndef PLX_BASE_BITS_H
#define PLX_BASE_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "big-endian machines need other loads and stores");

// --- powers of two -----------------------------------------------------------------------------------------

// The number of zero bits below the lowest one. v is not 0.
static inline unsigned plx_ctz64(uint64_t v)
{
    return (unsigned)__builtin_ctzll(v);
}

// The number of zero bits above the highest one. v is not 0.
static inline unsigned plx_clz64(uint64_t v)
{
    return (unsigned)__builtin_clzll(v);
}

static inline unsigned plx_popcount64(uint64_t v)
{
    return (unsigned)__builtin_popcountll(v);
}

static inline bool plx_is_pow2(uint64_t v)
{
    return v != 0 && (v & (v - 1)) == 0;
}

// The greatest n with 1 << n <= v. v is not 0.
static inline unsigned plx_log2_floor(uint64_t v)
{
    return 63u - plx_clz64(v);
}

// The least n with 1 << n >= v; 0 for 0. v is at most 1 << 63.
static inline unsigned plx_log2_ceil(uint64_t v)
{
    return v <= 1 ? 0 : 64u - plx_clz64(v - 1);
}

// The least power of two that is at least v; 1 for 0. v is at most 1 << 63.
static inline uint64_t plx_pow2_ceil(uint64_t v)
{
    return UINT64_C(1) << plx_log2_ceil(v);
}

// The least multiple of align (a power of two) that is at least v. The caller knows that it does not overflow.
static inline uint64_t plx_align_up(uint64_t v, uint64_t align)
{
    return (v + align - 1) & ~(align - 1);
}

// --- integers in network order ---------------------------------------------------------------------------

static inline uint16_t plx_load_be16(const void *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap16(v);
}

static inline uint32_t plx_load_be24(const void *p)
{
    const uint8_t *b = p;
    return (uint32_t)b[0] << 16 | (uint32_t)b[1] << 8 | b[2];
}

static inline uint32_t plx_load_be32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap32(v);
}

static inline uint64_t plx_load_be64(const void *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap64(v);
}

static inline void plx_store_be16(void *p, uint16_t v)
{
    v = __builtin_bswap16(v);
    memcpy(p, &v, sizeof v);
}

static inline void plx_store_be24(void *p, uint32_t v)
{
    uint8_t *b = p;
    b[0] = (uint8_t)(v >> 16);
    b[1] = (uint8_t)(v >> 8);
    b[2] = (uint8_t)v;
}

static inline void plx_store_be32(void *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, sizeof v);
}

static inline void plx_store_be64(void *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, sizeof v);
}

// --- integers in the machine's order -----------------------------------------------------------------------

static inline uint64_t plx_load_le64(const void *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void plx_store_le64(void *p, uint64_t v)
{
    memcpy(p, &v, sizeof v);
}

#endif
