// fuzz_recvbuf.c -- operations on a receive buffer against an array of booleans.

#include <string.h>

#include "base/slab.h"
#include "quic/stream/recvbuf.h"
#include "tests/fuzz/base/ops.h"
#include "tests/fuzz/quic/hog.h"

enum { OCTETS = 1 << 19, LEN_MAX = 20000 };

static struct {
    struct plx_slab slab;
    struct plx_recvbuf *b;
    uint64_t read, held;
    bool has[OCTETS];
    struct hog hog;
} m;

static uint8_t pattern(uint64_t i)
{
    return (uint8_t)(i * 5 + (i >> 8) * 3);
}

static void clear(void)
{
    plx_recvbuf_clear(&m.b, &m.slab);
    memset(m.has, 0, sizeof m.has);
    m.held = 0;
}

static void put(uint64_t offset, size_t len)
{
    static uint8_t octets[LEN_MAX];

    if (offset > OCTETS)
        return;
    len = len < OCTETS - offset ? len : (size_t)(OCTETS - offset);
    for (size_t i = 0; i < len; i++)
        octets[i] = pattern(offset + i);
    if (plx_recvbuf_put(&m.b, &m.slab, m.read, offset, octets, len)) {
        for (uint64_t i = offset > m.read ? offset : m.read; i < offset + len; i++) {
            m.held += !m.has[i];
            m.has[i] = true;
        }
        return;
    }
    plx_recvbuf_verify(m.b, m.read); // a part of it may be in: what the stream does is to give up
    clear();
}

static void drop(uint64_t len)
{
    len = len < OCTETS - m.read ? len : OCTETS - m.read;
    plx_recvbuf_drop(&m.b, &m.slab, m.read, len);
    for (; len > 0; len--)
        m.held -= m.has[m.read++];
}

static void check(void)
{
    const uint8_t *data;
    size_t len = plx_recvbuf_peek(m.b, m.read, &data), run = 0;

    plx_recvbuf_verify(m.b, m.read);
    for (size_t i = 0; i < len; i++) {
        plx_check(m.has[m.read + i]);
        plx_check(data[i] == pattern(m.read + i));
    }
    while (run < PLX_RECVBUF_CHUNK && m.read + run < OCTETS && m.has[m.read + run])
        run++;
    plx_check((len > 0) == (run > 0));
    // As much as lies in one chunk, and no less.
    size_t chunk_left = PLX_RECVBUF_CHUNK - m.read % PLX_RECVBUF_CHUNK;
    plx_check(len == (run < chunk_left ? run : chunk_left));
    plx_check(plx_recvbuf_held(m.b) == m.held);
    plx_check((m.b == NULL) == (m.held == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct ops o = {data, data + len};

    if (len > 2048)
        return 0;
    memset(&m, 0, sizeof m);
    plx_check(plx_slab_init(&m.slab, 2 << 20, PLX_NODE_ANY));
    while (ops_left(&o)) {
        uint8_t op = ops_u8(&o);
        if (op < 60) // anywhere in the window
            put(m.read + ops_u16(&o) * (1u + op % 4), ops_u16(&o) % LEN_MAX);
        else if (op < 140) // small ones, near: holes in one chunk
            put(m.read + ops_u8(&o) * (1u + op % 16), ops_u8(&o) % 64);
        else if (op < 160) // duplicates of what is gone
            put(m.read - (m.read < 1000 ? m.read : 1000), 1 + ops_u16(&o) % 3000);
        else if (op < 230) { // read on as far as it goes, or a part of it
            const uint8_t *at;
            size_t n = plx_recvbuf_peek(m.b, m.read, &at);
            drop(op & 1 ? n : n / 2);
        } else if (op < 250) // arrived otherwise
            drop(ops_u16(&o) % 3000);
        else if (op < 254)
            (op != 253 ? hog_take : hog_give)(&m.hog, &m.slab);
        else
            clear();
        check();
    }
    hog_give(&m.hog, &m.slab);
    plx_recvbuf_clear(&m.b, &m.slab);
    plx_check(plx_slab_bytes_in_use(&m.slab) == 0);
    plx_slab_verify(&m.slab);
    plx_slab_fini(&m.slab);
    return 0;
}
