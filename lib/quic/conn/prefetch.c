// prefetch.c -- what a packet of a connection will touch, asked for before its turn comes.
//
// With thousands of connections nothing of one is in the cache when its packet comes, and a request reaches into eight objects of which
// each is found through another: connection, keys, records of sent packets, their references, the window of streams, a stream, and HTTP/3's
// two. Waiting for one after the other costs more than all the work. So the engine asks for what the packets behind the present one will
// touch, in steps, and each step reads only what the step before it asked for a packet or more ago:
//
//   find     plx_conn_prefetch_head     the lines that begin looks at, and the keys' address
//   unmask   plx_conn_prefetch_rx_keys  what unmasks and opens
//   deliver  plx_conn_prefetch          the connection, as far as delivering and building read it
//            plx_conn_prefetch_rings    records of sent packets, their references, the window of streams
//            plx_conn_prefetch_stream   the stream that was opened last: a packet acknowledges its answer
//   build    plx_conn_prefetch_tx_keys  what seals and masks
//
// All of it is advice: a connection that rests has no keys, a new one no rings, and an address that is out of date costs a line.

#include "quic/conn/conn_impl.h"

enum { LINE = 64, SHORT_TEXT = 128 /* octets of an answer without a body to speak of */ };

static inline __attribute__((always_inline)) void lines(const void *p, size_t from, size_t to)
{
#pragma GCC unroll 64
    for (size_t at = from & ~(size_t)(LINE - 1); at < to; at += LINE)
        __builtin_prefetch((const uint8_t *)p + at);
}

void plx_conn_prefetch_head(const struct plx_conn *c)
{
    lines(c, 0, offsetof(struct plx_conn, space));
    lines(c, offsetof(struct plx_conn, space.acks.end), offsetof(struct plx_conn, space.acks.end) + 1);
    __builtin_prefetch(&c->peer_cids);
}

void plx_conn_prefetch_rx_keys(const struct plx_conn *c, size_t text_len)
{
    const struct conn_keys *k = c->keys;

    if (k == NULL)
        return;
    lines(k, offsetof(struct conn_keys, rx_hp), offsetof(struct conn_keys, rx_hp) + PLX_HP_AES128_LEN);
    c->env->aead->prefetch(&k->rx[c->rx_phase], text_len);
}

void plx_conn_prefetch_tx_keys(const struct plx_conn *c)
{
    const struct conn_keys *k = c->keys;

    if (k == NULL)
        return;
    lines(k, offsetof(struct conn_keys, tx_hp), offsetof(struct conn_keys, tx_hp) + PLX_HP_AES128_LEN);
    c->env->aead->prefetch(&k->tx, SHORT_TEXT);
}

void plx_conn_prefetch(const struct plx_conn *c)
{
    lines(c, offsetof(struct plx_conn, space), offsetof(struct plx_conn, recovery.cc.prior_cwnd));
    lines(c, offsetof(struct plx_conn, recovery.cc.cubic.idle_since),
          offsetof(struct plx_conn, streams.window[1]));
    lines(c, offsetof(struct plx_conn, paths), offsetof(struct plx_conn, paths.v[1]));
    lines(c, offsetof(struct plx_conn, cids.may_want), offsetof(struct plx_conn, peer_cids.v[0].token));
}

void plx_conn_prefetch_rings(const struct plx_conn *c)
{
    const struct plx_sent *s = &c->space.sent;
    const struct plx_window *w = &c->streams.window[0]; // what clients open: requests

    if (s->recs != NULL) {
        __builtin_prefetch(&s->recs[s->base & (s->recs_cap - 1)]);
        __builtin_prefetch(&s->recs[s->end & (s->recs_cap - 1)]);
        __builtin_prefetch(&s->refs[s->refs_head & (s->refs_cap - 1)]);
    }
    if (w->ring != NULL)
        __builtin_prefetch(&w->ring[w->next & (w->cap - 1)]);
}

static const struct plx_stream *last_stream(const struct plx_conn *c)
{
    const struct plx_window *w = &c->streams.window[0];
    const struct plx_stream *s = w->ring != NULL ? w->ring[(w->next - 1) & (w->cap - 1)] : NULL;

    return plx_slot_is_stream(s) ? s : NULL;
}

void plx_conn_prefetch_stream(const struct plx_conn *c)
{
    const struct plx_stream *s = last_stream(c);

    if (s != NULL)
        lines(s, 0, PLX_STREAM_LEAN_SIZE);
}

const void *plx_conn_last_user(const struct plx_conn *c)
{
    const struct plx_stream *s = last_stream(c);

    return s != NULL ? s->user : NULL;
}
