// demux.c -- from connection IDs to connections.
//
// IDs that we issued are eight octets, unpredictable but for the core in the first, and looked up as a number. A client's
// first Destination Connection ID is its own invention, of any length from 8 to 20 (RFC 9000 section 7.2): those go by a keyed
// hash into a table of their own, only while the handshake lasts, so that nobody can aim at a bucket.
//
// A stateless reset names no connection at all: its last sixteen octets are a token that the peer once gave us. Those in use stand in a
// third table, and are asked for only when a packet's ID is unknown (RFC 9000 section 10.3.1).

#include <string.h>

#include "engine/core.h"
#include "quic/wire/reset.h"

static uint64_t cid_key(const struct plx_cid *cid)
{
    uint64_t key;
    memcpy(&key, cid->bytes, sizeof key);
    return key;
}

// It sleeps, or has slept: the next look-up shall find it at once.
__attribute__((noinline)) static struct plx_conn *sleeper_at(struct plx_core *k, struct plx_table *t,
                                                             uint64_t key, uint32_t idx)
{
    struct plx_conn *c = plx_hibernate_find(k, idx & ~PLX_SLEEPER_BIT);

    k->berths.is_stuck = c == NULL;
    if (c != NULL)
        plx_table_set(t, key, plx_pool_idx(&k->conns, c));
    return c;
}

static struct plx_conn *conn_at(struct plx_core *k, struct plx_table *t, uint64_t key)
{
    uint32_t idx = plx_table_find(t, key);

    if (idx == PLX_TABLE_NONE)
        return NULL;
    if (__builtin_expect((idx & PLX_SLEEPER_BIT) != 0, 0))
        return sleeper_at(k, t, key, idx);
    return plx_pool_at(&k->conns, idx);
}

void plx_demux_prefetch(const struct plx_core *k, const struct plx_pkt_hdr *hdr)
{
    if (hdr->dcid.len == PLX_CID_LEN)
        plx_table_prefetch(&k->cids, cid_key(&hdr->dcid));
}

void plx_demux_prefetch_sleeper(const struct plx_core *k, const struct plx_pkt_hdr *hdr)
{
    if (hdr->dcid.len != PLX_CID_LEN)
        return;
    uint32_t value = plx_table_find(&k->cids, cid_key(&hdr->dcid));
    if (value != PLX_TABLE_NONE && (value & PLX_SLEEPER_BIT) != 0)
        plx_hibernate_prefetch(k, value & ~PLX_SLEEPER_BIT);
}

struct plx_conn *plx_demux_find(struct plx_core *k, const struct plx_pkt_hdr *hdr)
{
    struct plx_conn *c = NULL;

    if (hdr->dcid.len == PLX_CID_LEN)
        c = conn_at(k, &k->cids, cid_key(&hdr->dcid));
    if (c == NULL && (hdr->type == PLX_PKT_INITIAL || hdr->type == PLX_PKT_ZERO_RTT))
        c = conn_at(k, &k->odcids, plx_table_key(&k->odcids, hdr->dcid.bytes, hdr->dcid.len));
    return c;
}

bool plx_demux_add_cid(struct plx_core *k, const struct plx_conn *c, const struct plx_cid *cid)
{
    plx_check(cid->len == PLX_CID_LEN);
    return plx_table_add(&k->cids, cid_key(cid), plx_pool_idx(&k->conns, c));
}

void plx_demux_prefetch_cid(const struct plx_core *k, const struct plx_cid *cid)
{
    plx_table_prefetch(&k->cids, cid_key(cid));
}

void plx_demux_move_cid(struct plx_core *k, const struct plx_cid *cid, uint32_t value)
{
    plx_table_set(&k->cids, cid_key(cid), value);
}

void plx_demux_remove_cid(struct plx_core *k, const struct plx_cid *cid)
{
    plx_table_remove(&k->cids, cid_key(cid));
}

void plx_demux_expect_odcid(struct plx_core *k, struct plx_conn *c, const struct plx_cid *cid)
{
    struct plx_econn *e = plx_econn_of(k, c);

    e->odcid_key = plx_table_key(&k->odcids, cid->bytes, cid->len);
    e->knows_odcid = true;
}

bool plx_demux_is_odcid(const struct plx_core *k, const struct plx_conn *c, const struct plx_cid *cid)
{
    const struct plx_econn *e = plx_econn_of(k, c);

    return e->knows_odcid && plx_table_key(&k->odcids, cid->bytes, cid->len) == e->odcid_key;
}

bool plx_demux_add_odcid(struct plx_core *k, struct plx_conn *c, const struct plx_cid *cid)
{
    struct plx_econn *e = plx_econn_of(k, c);

    plx_demux_expect_odcid(k, c, cid);
    e->has_odcid = plx_table_add(&k->odcids, e->odcid_key, plx_pool_idx(&k->conns, c));
    return e->has_odcid;
}

void plx_demux_remove_odcid(struct plx_core *k, struct plx_econn *e)
{
    if (!e->has_odcid)
        return;
    plx_table_remove(&k->odcids, e->odcid_key);
    e->has_odcid = e->knows_odcid = false;
}

static uint64_t token_key(const struct plx_core *k, const uint8_t token[PLX_RESET_TOKEN_LEN])
{
    return plx_table_key(&k->resets, token, PLX_RESET_TOKEN_LEN);
}

struct plx_conn *plx_demux_find_reset(struct plx_core *k, const uint8_t *dgram, size_t len)
{
    if (len < PLX_RESET_LEN_MIN || plx_table_count(&k->resets) == 0)
        return NULL;
    return conn_at(k, &k->resets, token_key(k, dgram + len - PLX_RESET_TOKEN_LEN));
}

void plx_demux_set_resets(struct plx_core *k, struct plx_conn *c, const uint8_t (*tokens)[16], unsigned count)
{
    struct plx_econn *e = plx_econn_of(k, c);

    while (e->reset_count > 0)
        plx_table_remove(&k->resets, e->reset_key[--e->reset_count]);
    // Two peers that gave one token: the first has it. No harm but to the second, whose resets go unheard.
    for (unsigned i = 0; i < count && i < PLX_PATHS_MAX; i++) {
        uint64_t key = token_key(k, tokens[i]);
        if (plx_table_add(&k->resets, key, plx_pool_idx(&k->conns, c)))
            e->reset_key[e->reset_count++] = key;
    }
}
