// stash.c -- packets that came before the keys they need: kept for a moment, offered again, forgotten (RFC 9001 section 5.7).
//
// A datagram with Handshake packets that overtakes the one with the Initial is the common case. The engine first tries again within
// its burst; what is still too early then is copied here, at most CONN_STASH_MAX packets of a connection, and only while it is in
// its handshake. Nothing here is authenticated, so nothing here is worth more than its slab block: when the place is taken, the newcomer
// is dropped, and the peer's loss recovery does the rest.

#include "quic/conn/conn_impl.h"

#include "base/slab.h"

static struct conn_stashed *stashed_of(struct plx_pkt *pkt)
{
    return PLX_CONTAINER(pkt, struct conn_stashed, pkt);
}

static enum plx_level level_of(const struct conn_stashed *s)
{
    uint8_t first = s->pkt.data[0];
    if (!(first & 0x80))
        return PLX_LEVEL_APP;
    return (first & 0x30) == 0x10 ? PLX_LEVEL_EARLY : PLX_LEVEL_HANDSHAKE; // Initial packets never wait
}

static bool can_open(const struct plx_conn *c, enum plx_level level)
{
    return level == PLX_LEVEL_EARLY ? conn_early_can_open(c) : conn_keys_can_open(c, conn_level_space(level));
}

static bool is_hopeless(const struct plx_conn *c, enum plx_level level)
{
    return level == PLX_LEVEL_EARLY
               ? !conn_early_can_open(c) && !conn_early_is_awaited(c)
               : level == PLX_LEVEL_HANDSHAKE && c->hs->level[PLX_SPACE_HANDSHAKE].is_discarded;
}

bool conn_stash_is_mine(const struct plx_conn *c, const struct plx_pkt *pkt)
{
    if (c->hs == NULL)
        return false;
    for (unsigned i = 0; i < c->hs->stash_count; i++)
        if (&c->hs->stash[i]->pkt == pkt)
            return true;
    return false;
}

bool plx_conn_rx_stash(struct plx_conn *c, const struct plx_rx *rx, plx_time now)
{
    struct conn_hs *hs = c->hs;
    if (hs == NULL || !(c->state == PLX_CONN_HANDSHAKE || c->state == PLX_CONN_ESTABLISHED) ||
        hs->stash_count == CONN_STASH_MAX || conn_stash_is_mine(c, rx->pkt))
        return false;
    plx_paths_on_unauthenticated(&c->paths, &rx->pkt->peer, rx->dgram_len);
    uint32_t size = (uint32_t)(sizeof(struct conn_stashed) + rx->hdr.pkt_len);
    struct conn_stashed *s = plx_slab_take(c->env->slab, size);
    if (s == NULL)
        return false;
    *s = (struct conn_stashed){.pkt = *rx->pkt, .size = size};
    s->pkt.data = (uint8_t *)(s + 1);
    s->pkt.len = s->pkt.cap = rx->hdr.pkt_len;
    s->pkt.driver = NULL;
    memcpy(s->pkt.data, rx->p, rx->hdr.pkt_len);
    hs->stash[hs->stash_count++] = s;
    (void)now;
    return true;
}

static void forget(struct plx_conn *c, unsigned i)
{
    struct conn_hs *hs = c->hs;
    struct conn_stashed *s = hs->stash[i];
    hs->stash_count--;
    memmove(&hs->stash[i], &hs->stash[i + 1], (hs->stash_count - i) * sizeof hs->stash[0]);
    plx_slab_give(c->env->slab, s, s->size);
}

struct plx_pkt *plx_conn_rx_unstash(struct plx_conn *c)
{
    struct conn_hs *hs = c->hs;
    for (unsigned i = 0; hs != NULL && i < hs->stash_count;) {
        struct conn_stashed *s = hs->stash[i];
        enum plx_level level = level_of(s);
        if (!s->is_out && can_open(c, level)) {
            s->is_out = true;
            return &s->pkt;
        }
        if (!s->is_out && is_hopeless(c, level))
            forget(c, i); // its keys will not come any more
        else
            i++;
    }
    return NULL;
}

void plx_conn_rx_unstash_done(struct plx_conn *c, struct plx_pkt *pkt)
{
    struct conn_stashed *s = stashed_of(pkt);
    if (c->hs != NULL)
        for (unsigned i = 0; i < c->hs->stash_count; i++)
            if (c->hs->stash[i] == s) {
                forget(c, i);
                return;
            }
    plx_slab_give(c->env->slab, s, s->size); // the connection has let go of it while it was out
}

void conn_stash_clear(struct plx_conn *c)
{
    struct conn_hs *hs = c->hs;
    if (hs == NULL)
        return;
    for (unsigned i = hs->stash_count; i-- > 0;) {
        if (!hs->stash[i]->is_out)
            forget(c, i);
    }
    hs->stash_count = 0; // whoever has the rest gives it back with unstash_done
}
