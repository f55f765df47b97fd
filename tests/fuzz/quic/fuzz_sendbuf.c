// fuzz_sendbuf.c -- operations on a send buffer against an array of what became of each octet.
//
// Octet i of the stream is pattern(i). Frames in flight are a list; each is acknowledged or lost, once or several times.
// The slab can be emptied for a while, so that every fallback is walked. At the end everything that is still owed
// is sent without loss: then all octets must have been acknowledged and every owner released exactly once.

#include <string.h>

#include "base/slab.h"
#include "quic/stream/sendbuf.h"
#include "tests/fuzz/base/ops.h"
#include "tests/fuzz/quic/hog.h"

enum { OCTETS = 1 << 16, FRAMES = 512, PIECES = 8192, PIECES_AT_ONCE = 8 };

struct piece {
    struct plx_owner owner;
    uint64_t end; // octets of the stream up to the end of this piece
    unsigned released;
};

struct frame {
    uint64_t offset, len;
    bool fin;
};

static struct {
    struct plx_slab slab;
    struct plx_sendbuf b;
    struct frame frame[FRAMES];
    unsigned frames;
    struct piece piece[PIECES];
    unsigned pieces;
    uint8_t is_acked[OCTETS];
    uint64_t queued, acked; // acked: the prefix
    bool is_fin_acked, is_cleared;
    struct hog hog;
    uint8_t octets[OCTETS];
} m;

static uint8_t pattern(uint64_t i)
{
    return (uint8_t)(i * 7 + (i >> 8));
}

static void released(struct plx_owner *o, const void *data, size_t len)
{
    struct piece *p = (struct piece *)o;
    plx_check(p->released++ == 0);
    plx_check(m.is_cleared || len == 0 || p->end <= m.acked); // not before its last octet is acknowledged
    plx_check(data == m.octets + p->end - len);
}

static void add(struct ops *o)
{
    struct plx_buf bufs[PIECES_AT_ONCE];
    uint16_t count = ops_u8(o) % PIECES_AT_ONCE;
    bool fin = ops_u8(o) > (m.queued == 0 ? 200 : 250);
    uint64_t end = m.queued;

    if (m.pieces + count > PIECES || plx_sendbuf_is_fin_queued(&m.b))
        return;
    for (uint16_t i = 0; i < count; i++) {
        size_t len = ops_u8(o) < 20 ? ops_u16(o) % 5000 : ops_u8(o) % 100;
        if (end + len > OCTETS)
            len = 0;
        end += len;
        struct piece *p = &m.piece[m.pieces + i];
        *p = (struct piece){.owner.release = released, .end = end};
        bufs[i] = (struct plx_buf){m.octets + end - len, len, &p->owner};
    }
    if (plx_sendbuf_add(&m.b, &m.slab, bufs, count, fin) != PLX_OK)
        return;
    m.pieces += count;
    m.queued = end;
}

static void add_copy(struct ops *o)
{
    size_t len = ops_u8(o) < 20 ? ops_u16(o) % 20000 : ops_u8(o);
    bool fin = ops_u8(o) > 250;
    static uint8_t copy[20000];

    if (m.queued + len > OCTETS || plx_sendbuf_is_fin_queued(&m.b))
        return;
    memcpy(copy, m.octets + m.queued, len);
    if (plx_sendbuf_add_copy(&m.b, &m.slab, copy, len, fin) == PLX_OK)
        m.queued += len;
    memset(copy, 0xee, len); // it does not outlive the call
}

// A message that is one piece, looked after outside: the buffer is made when it is on its way.
static bool is_whole(void)
{
    return m.b.count == 1 && m.b.sent_max == 0 && m.b.fin == PLX_FIN_QUEUED && m.b.ring == NULL;
}

static void send_whole(void)
{
    struct plx_buf piece = m.b.piece[m.b.head & (PLX_SENDBUF_INLINE - 1)];

    for (uint64_t i = 0; i < m.queued; i++)
        plx_check(((const uint8_t *)piece.data)[i] == pattern(i));
    plx_sendbuf_init_whole(&m.b, &piece, PLX_FIN_SENT);
    m.frame[m.frames++] = (struct frame){0, m.queued, true};
}

static void copy_whole(struct ops *o)
{
    size_t len = ops_u8(o) < 20 ? ops_u16(o) % 20000 : ops_u8(o);
    struct plx_buf piece;

    if (m.queued > 0 || plx_sendbuf_is_fin_queued(&m.b) || len == 0 || len > OCTETS ||
        !plx_sendbuf_copy_whole(&m.slab, m.octets, len, &piece))
        return;
    plx_sendbuf_init_whole(&m.b, &piece, PLX_FIN_QUEUED);
    m.queued = len;
}

static bool send_one(uint64_t credit, size_t max)
{
    struct plx_sendbuf_chunk c;
    static uint8_t out[2048];

    if (m.frames == FRAMES || !plx_sendbuf_peek(&m.b, credit, &c))
        return false;
    if (is_whole() && m.queued <= max && m.queued <= credit && m.queued % 4 != 0) {
        send_whole();
        return true;
    }
    plx_check(c.offset + c.len <= m.queued);
    plx_check(c.len > 0 || c.fin);
    plx_check(!c.is_new || c.offset + c.len <= credit);
    plx_check(c.is_new || c.offset + c.len <= m.b.sent_max);
    size_t len = c.len < max ? (size_t)c.len : max;
    plx_sendbuf_copy(&m.b, c.offset, len, out);
    for (size_t i = 0; i < len; i++)
        plx_check(out[i] == pattern(c.offset + i));
    bool fin = c.fin && len == c.len;
    plx_check(!fin || c.offset + len == m.queued);
    plx_sendbuf_on_sent(&m.b, &m.slab, &c, len, fin);
    m.frame[m.frames++] = (struct frame){c.offset, len, fin};
    return true;
}

static void report(unsigned i, bool is_acked, bool is_last_word)
{
    struct frame f = m.frame[i];
    if (is_last_word)
        m.frame[i] = m.frame[--m.frames];
    if (!is_acked) {
        plx_sendbuf_on_lost(&m.b, &m.slab, f.offset, f.len, f.fin);
        return;
    }
    memset(m.is_acked + f.offset, 1, f.len);
    while (m.acked < m.queued && m.is_acked[m.acked])
        m.acked++;
    m.is_fin_acked = m.is_fin_acked || f.fin;
    plx_sendbuf_on_acked(&m.b, &m.slab, f.offset, f.len, f.fin);
}

static void check(void)
{
    plx_sendbuf_verify(&m.b);
    if (m.is_cleared) {
        plx_check(m.b.count == 0);
        return;
    }
    plx_check(m.b.acked <= m.acked); // less only where an acknowledgement could not be remembered
    plx_check(m.b.end == m.queued);
}

static void finish(void)
{
    hog_give(&m.hog, &m.slab);
    if (!m.is_cleared) {
        if (!plx_sendbuf_is_fin_queued(&m.b))
            plx_check(plx_sendbuf_add(&m.b, &m.slab, NULL, 0, true) == PLX_OK);
        for (unsigned round = 0; !plx_sendbuf_is_complete(&m.b); round++) {
            plx_check(round < 1000);
            while (send_one(UINT64_MAX, 2048))
                check();
            while (m.frames > 0)
                report(0, true, true);
        }
        plx_check(m.acked == m.queued);
        plx_check(m.is_fin_acked);
        plx_check(!plx_sendbuf_has_owed(&m.b));
        check();
    }
    for (unsigned i = 0; i < m.pieces; i++)
        plx_check(m.piece[i].released == 1);
    plx_sendbuf_clear(&m.b, &m.slab);
    plx_check(plx_slab_bytes_in_use(&m.slab) == 0);
    plx_slab_verify(&m.slab);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct ops o = {data, data + len};

    if (len > 8192)
        return 0;
    memset(&m, 0, offsetof(__typeof__(m), octets));
    for (unsigned i = 0; i < OCTETS; i++)
        m.octets[i] = pattern(i);
    plx_check(plx_slab_init(&m.slab, 1, PLX_NODE_ANY));
    plx_sendbuf_init(&m.b);
    while (ops_left(&o)) {
        uint8_t op = ops_u8(&o);
        if (op < 40 && !m.is_cleared)
            add(&o);
        else if (op < 70 && !m.is_cleared)
            add_copy(&o);
        else if (op < 150)
            (void)send_one(op & 1 ? UINT64_MAX : ops_u16(&o), 1 + ops_u8(&o) * (op & 7u));
        else if (op < 245 && m.frames > 0)
            report(ops_u8(&o) % m.frames, (op & 1) != 0, (op & 6) != 0);
        else if (op >= 253)
            (op != 255 ? hog_take : hog_give)(&m.hog, &m.slab);
        else if (op == 251 && !m.is_cleared)
            copy_whole(&o);
        else if (op == 252 && !m.is_cleared) {
            m.is_cleared = true;
            plx_sendbuf_clear(&m.b, &m.slab);
        }
        check();
    }
    finish();
    plx_slab_fini(&m.slab);
    return 0;
}
