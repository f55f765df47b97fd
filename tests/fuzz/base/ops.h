// ops.h -- turns a fuzzer's bytes into operations: numbers are taken from the front, and zero follows the end.

#ifndef PLX_TESTS_FUZZ_BASE_OPS_H
#define PLX_TESTS_FUZZ_BASE_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct ops {
    const uint8_t *p, *end;
};

static inline bool ops_left(const struct ops *o)
{
    return o->p < o->end;
}

static inline uint8_t ops_u8(struct ops *o)
{
    return o->p < o->end ? *o->p++ : 0;
}

static inline uint16_t ops_u16(struct ops *o)
{
    uint16_t high = ops_u8(o);
    return (uint16_t)(high << 8 | ops_u8(o));
}

static inline uint32_t ops_u32(struct ops *o)
{
    uint32_t high = ops_u16(o);
    return high << 16 | ops_u16(o);
}

#endif
