// qpack_table.h -- the dynamic table of a decoder (RFC 9204 section 3.2), and the encoder stream that fills it.
//
// Entries live in a ring indexed by absolute index: insertion at one end, eviction at the other, look-up by
// subtraction. Name and value of an entry are one block of the core's slab, so a field decoded from the table is two
// spans into it, valid until the next instruction is read. The ring itself grows by doubling up to what the announced
// maximum allows, so a peer that never uses the table costs nothing.
//
// Instructions are parsed whole. One that is cut off waits in a stash, which can hold the longest instruction that
// could still succeed; anything longer is an error as soon as its lengths are known.

#ifndef PLX_H3_QPACK_TABLE_H
#define PLX_H3_QPACK_TABLE_H

#include "base/slab.h"
#include "h3/stash.h"

struct plx_qpack_entry {
    char *text; // name, then value; NULL when both are empty
    uint32_t name_len, value_len;
    uint8_t name_class, class; // enum plx_field_class: of the name, of the whole field
};

struct plx_qpack_table {
    struct plx_slab *slab;
    struct plx_qpack_entry *ring; // by absolute index modulo ring_cap, a power of two
    uint32_t ring_cap;
    uint32_t count;          // entries in the table
    uint64_t insert_count;   // entries ever inserted
    uint64_t known_received; // what the peer's encoder has been told of, section 2.1.4
    uint32_t size, capacity; // as section 3.2.1 counts; capacity as the peer's encoder chose it
    uint32_t capacity_max;   // as we announced it
    struct plx_stash stash;  // of the encoder stream: an instruction that is not whole yet
};

enum plx_qpack_err {
    PLX_QPACK_OK,
    PLX_QPACK_FAILED,    // the peer's fault: QPACK_ENCODER_STREAM_ERROR or QPACK_DECOMPRESSION_FAILED
    PLX_QPACK_NOMEM,     // the slab is empty
    PLX_QPACK_BLOCKED,   // sections only: entries that it needs have not come yet
    PLX_QPACK_TOO_LARGE, // sections only: beyond our limits on size or number of fields
};

void plx_qpack_table_init(struct plx_qpack_table *t, struct plx_slab *slab, uint32_t capacity_max);
void plx_qpack_table_fini(struct plx_qpack_table *t);

// Bytes of the peer's encoder stream, cut anywhere. Returns: _OK, _FAILED (*why says how) or _NOMEM.
PLX_MUST_USE enum plx_qpack_err plx_qpack_table_on_data(struct plx_qpack_table *t, const uint8_t *data,
                                                        size_t len, const char **why);

// The entry with that absolute index, or NULL when it is evicted or not there yet.
static inline const struct plx_qpack_entry *plx_qpack_table_at(const struct plx_qpack_table *t, uint64_t abs)
{
    // One comparison for both ends: what is not below insert_count wraps around to something huge.
    return t->insert_count - 1 - abs < t->count ? &t->ring[abs & (t->ring_cap - 1)] : NULL;
}

// RFC 9204 section 4.5.1.1; UINT64_MAX when no conformant encoder could have sent that value.
uint64_t plx_qpack_table_required(const struct plx_qpack_table *t, uint64_t encoded);

// Checks every invariant, O(entries).
void plx_qpack_table_verify(const struct plx_qpack_table *t);

#endif
