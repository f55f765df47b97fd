// cstream.h -- the CRYPTO stream of one encryption level: what TLS wrote, until it is acknowledged, and what came out of order.
//
// Sending: the octets that TLS produced stand in one block that grows; `next` is the first never sent, `lost` what must go again,
// `acked` what need not. Nothing is copied but into packets. Receiving: octets in order go straight from the packet to TLS; only
// what comes ahead of a hole is copied, into a block that exists as long as there is a hole and covers at most
// PLX_CSTREAM_HELD_MAX octets beyond the first missing one (RFC 9000 section 7.5 asks for 4096 at least).
//
// There is no flow control here: TLS bounds its messages, and the bound above is what a peer can make us hold.

#ifndef PLX_QUIC_CSTREAM_H
#define PLX_QUIC_CSTREAM_H

#include <plx/types.h>

#include "base/cursor.h"
#include "base/range.h"
#include "quic/wire/ref.h"

struct plx_slab;

enum {
    // section 7.5; enough for any certificate chain that comes behind one lost packet
    PLX_CSTREAM_HELD_MAX = 32 * 1024,
    PLX_CSTREAM_SENT_MAX = 256 * 1024, // what our own TLS may write at one level: a long chain is 20 KB
};

struct plx_cstream_tx {
    uint8_t *buf;
    uint32_t cap, len; // octets [0, len) were written by TLS
    uint32_t next;     // first octet never sent
    struct plx_ranges acked, lost;
};

struct plx_cstream_rx {
    uint64_t read; // everything below went to TLS
    uint8_t *buf;  // octets from `read` on, with holes; NULL while nothing is held
    uint32_t cap;
    struct plx_ranges held; // offsets in the stream
};

// --- sending ---------------------------------------------------------------------------------------------------

void plx_cstream_tx_init(struct plx_cstream_tx *s);
void plx_cstream_tx_fini(struct plx_cstream_tx *s, struct plx_slab *slab);
// Appends; false when the slab is empty or PLX_CSTREAM_SENT_MAX is passed.
PLX_MUST_USE bool plx_cstream_tx_push(struct plx_cstream_tx *s, struct plx_slab *slab, const uint8_t *data,
                                      size_t len);
static inline bool plx_cstream_tx_wants(const struct plx_cstream_tx *s)
{
    return s->next < s->len || !plx_ranges_is_empty(&s->lost);
}
// Whether all that TLS wrote has arrived.
bool plx_cstream_tx_is_acked(const struct plx_cstream_tx *s);
// CRYPTO frames: lost octets first, then new ones, as far as w and refs have room.
void plx_cstream_tx_write(struct plx_cstream_tx *s, struct plx_wr *w, struct plx_refs *refs);
void plx_cstream_tx_on_acked(struct plx_cstream_tx *s, const struct plx_ref *ref);
void plx_cstream_tx_on_lost(struct plx_cstream_tx *s, const struct plx_ref *ref);

// --- receiving -------------------------------------------------------------------------------------------------

void plx_cstream_rx_init(struct plx_cstream_rx *s);
void plx_cstream_rx_fini(struct plx_cstream_rx *s, struct plx_slab *slab);

enum plx_cstream_held {
    PLX_CSTREAM_OK,
    PLX_CSTREAM_EXCEEDED /* too far ahead, or too many holes */,
    PLX_CSTREAM_NOMEM
};
// Keeps octets that lie ahead (offset > read). Octets that are there already stay as they are.
PLX_MUST_USE enum plx_cstream_held plx_cstream_rx_hold(struct plx_cstream_rx *s, struct plx_slab *slab,
                                                       uint64_t offset, const uint8_t *data, size_t len);
// The held octets that continue at `read`; len 0 when there are none. Borrowed until take.
struct plx_span plx_cstream_rx_peek(const struct plx_cstream_rx *s);
// TLS has taken len octets, from the packet or from peek.
void plx_cstream_rx_take(struct plx_cstream_rx *s, struct plx_slab *slab, size_t len);
static inline bool plx_cstream_rx_has_held(const struct plx_cstream_rx *s)
{
    return s->buf != NULL;
}

void plx_cstream_verify(const struct plx_cstream_tx *tx, const struct plx_cstream_rx *rx);

#endif
