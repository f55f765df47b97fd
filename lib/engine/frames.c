// frames.c -- see frames.h.

#include "engine/frames.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "engine/core.h"
#include "engine/engine.h"

enum { CLIENT_PORT_FIRST = 32768, CLIENT_PORT_LAST = 60999 };

static const plx_dur hold_time = PLX_SEC(1);

// --- set-up -------------------------------------------------------------------------------------------------

static const char *cfg_fill(const struct plx_engine_cfg *cfg, struct plx_net_cfg *out)
{
    if (cfg->ip_count == 0)
        return "a port of frames has no address of its own yet: name one with its prefix, for example 192.0.2.2/24";
    if (cfg->ip_count > PLX_NET_ADDRS_MAX)
        return "more addresses than a port of frames takes (8)";
    for (uint16_t i = 0; i < cfg->ip_count; i++)
        out->addrs[i] = (struct plx_net_addr){cfg->ip[i], cfg->ip_prefix[i]};
    out->addr_count = (uint8_t)cfg->ip_count;
    for (uint16_t i = 0; i < cfg->listen_count; i++) {
        bool is_known = false;
        for (uint8_t j = 0; j < out->port_count; j++)
            is_known |= out->ports[j] == cfg->listen[i].port;
        if (is_known)
            continue;
        if (out->port_count == PLX_NET_PORTS_MAX)
            return "more UDP ports than a port of frames answers on (8)";
        out->ports[out->port_count++] = cfg->listen[i].port;
    }
    out->gateway4 = cfg->gateway4;
    out->gateway6 = cfg->gateway6;
    out->vlan = cfg->vlan;
    out->client_first = CLIENT_PORT_FIRST;
    out->client_last = CLIENT_PORT_LAST;
    return NULL;
}

enum plx_err plx_frames_init(struct plx_engine *e, struct plx_core *k, char *err, size_t err_len)
{
    struct plx_net_cfg cfg = {.tx_csum = k->caps.tx_csum, .no_udp_check = e->cfg.no_udp_check};
    const char *why = cfg_fill(&e->cfg, &cfg);

    if (why != NULL) {
        snprintf(err, err_len, "%s", why);
        return PLX_ERR_INVALID;
    }
    memcpy(cfg.mac, k->caps.mac, sizeof cfg.mac);
    plx_random_get(&k->random, cfg.key, sizeof cfg.key);
    k->frames = calloc(1, sizeof *k->frames);
    if (k->frames == NULL) {
        snprintf(err, err_len, "not enough memory");
        return PLX_ERR_NOMEM;
    }
    // Each core has ports of its own to begin with; connections with a port each spread over the whole range.
    k->frames->next_port =
        (uint16_t)(CLIENT_PORT_FIRST + k->index * ((CLIENT_PORT_LAST - CLIENT_PORT_FIRST) / PLX_CORES_MAX));
    if (plx_net_init(&k->frames->net, &cfg) == PLX_OK)
        return PLX_OK;
    snprintf(err, err_len, "addresses: a prefix length is out of range");
    return PLX_ERR_INVALID;
}

void plx_frames_fini(struct plx_core *k)
{
    if (k->frames == NULL)
        return;
    if (k->frames->held_count > 0)
        k->ops->give(k->port, k->queue, k->frames->held, k->frames->held_count);
    free(k->frames);
    k->frames = NULL;
}

void plx_frames_source(struct plx_core *k, const struct plx_addr *peer, bool own_port, struct plx_addr *local)
{
    struct plx_frames *f = k->frames;

    for (uint8_t i = 0; i < f->net.cfg.addr_count && local->af == PLX_AF_NONE; i++)
        if (f->net.cfg.addrs[i].ip.af == peer->af)
            *local = f->net.cfg.addrs[i].ip;
    local->af = peer->af;
    local->port = f->next_port;
    if (own_port)
        f->next_port = f->next_port == CLIENT_PORT_LAST ? CLIENT_PORT_FIRST : f->next_port + 1;
}

// --- news between cores -------------------------------------------------------------------------------------

static void news_put(struct plx_core *k, const struct plx_net_news *news, bool is_question)
{
    struct plx_frames_news *n = &k->engine->news;

    if (k->engine->core_count == 1)
        return;
    pthread_mutex_lock(&n->lock);
    uint64_t at = atomic_load_explicit(&n->count, memory_order_relaxed);
    n->v[at % PLX_FRAMES_NEWS_MAX] = *news;
    n->is_question[at % PLX_FRAMES_NEWS_MAX] = is_question;
    n->by[at % PLX_FRAMES_NEWS_MAX] = k->index;
    atomic_store_explicit(&n->count, at + 1, memory_order_release); // N1
    pthread_mutex_unlock(&n->lock);
}

// What the last frame has taught, if anything: an answered ping teaches nothing.
static void news_tell(struct plx_core *k)
{
    if (k->frames->net.news.ip.af == PLX_AF_NONE)
        return;
    k->frames->has_news = true;
    news_put(k, &k->frames->net.news, false);
}

void plx_frames_hear(struct plx_core *k)
{
    struct plx_frames_news *n = &k->engine->news;
    struct plx_frames *f = k->frames;

    if (atomic_load_explicit(&n->count, memory_order_acquire) == f->news_seen) // N2
        return;
    pthread_mutex_lock(&n->lock);
    uint64_t end = atomic_load_explicit(&n->count, memory_order_relaxed);
    uint64_t at = end - f->news_seen > PLX_FRAMES_NEWS_MAX ? end - PLX_FRAMES_NEWS_MAX : f->news_seen;
    for (; at < end; at++) {
        uint64_t i = at % PLX_FRAMES_NEWS_MAX;
        struct plx_net_news news = n->v[i];
        if (n->by[i] == k->index)
            continue;
        if (n->is_question[i])
            plx_net_expect(&f->net, &news.ip, k->now);
        else
            plx_net_learn(&f->net, &news.ip, news.mac, k->now);
    }
    f->news_seen = end;
    f->has_news = true;
    pthread_mutex_unlock(&n->lock);
}

// --- receive ------------------------------------------------------------------------------------------------

static enum plx_drop drop_reason(enum plx_net_verdict v)
{
    switch (v) {
    case PLX_NET_DROP_bad_checksum:
        return PLX_DROP_bad_checksum;
    case PLX_NET_DROP_wrong_port:
        return PLX_DROP_no_port;
    default:
        return PLX_DROP_not_udp;
    }
}

// The frame that answers stands where the question stood: it leaves in a buffer of our own. A whole frame begins where the
// headers of a datagram would: cap counts from its payload on.
static void send_reply(struct plx_core *k, const struct plx_pkt *reply)
{
    struct plx_pkt *out = plx_tx_reply(k, reply);

    if (out == NULL || out->cap + PLX_NET_HEADERS_MAX < reply->len) {
        plx_core_drop(k, PLX_DROP_tx_no_buffer);
        if (out != NULL)
            k->ops->give(k->port, k->queue, &out, 1);
        return;
    }
    out->data -= PLX_NET_HEADERS_MAX;
    memcpy(out->data, reply->data, reply->len);
    out->len = reply->len;
    k->ops->tx(k->port, k->queue, &out, 1);
}

bool plx_frames_rx(struct plx_core *k, struct plx_pkt *pkt)
{
    if (pkt->cap < pkt->len)
        pkt->cap = pkt->len;
    k->frames->net.news.ip.af = PLX_AF_NONE;
    enum plx_net_verdict v = plx_net_rx(&k->frames->net, pkt, k->now);

    switch (v) {
    case PLX_NET_UDP:
        return true;
    case PLX_NET_REPLY:
        send_reply(k, pkt);
        news_tell(k); // who asks has told us where he is
        return false;
    case PLX_NET_DONE:
        news_tell(k);
        return false;
    default:
        plx_core_drop(k, drop_reason(v));
        return false;
    }
}

// --- transmit -----------------------------------------------------------------------------------------------

static void hold(struct plx_core *k, struct plx_pkt *pkt)
{
    struct plx_frames *f = k->frames;

    if (f->held_count == PLX_FRAMES_HELD_MAX) {
        plx_core_drop(k, PLX_DROP_tx_no_neighbour);
        k->ops->give(k->port, k->queue, &pkt, 1);
        return;
    }
    if (f->held_count == 0)
        f->held_until = plx_time_after(k->now, hold_time);
    f->held[f->held_count++] = pkt;
}

uint16_t plx_frames_tx(struct plx_core *k, struct plx_pkt **pkts, uint16_t count)
{
    uint16_t n = 0;

    for (uint16_t i = 0; i < count; i++) {
        struct plx_pkt *pkt = pkts[i];
        if (plx_net_tx(&k->frames->net, pkt, k->now))
            pkts[n++] = pkt;
        else
            hold(k, pkt);
    }
    return n;
}

static void send_held(struct plx_core *k)
{
    struct plx_frames *f = k->frames;
    struct plx_pkt *pkts[PLX_FRAMES_HELD_MAX];
    uint16_t count = f->held_count;
    plx_time until = f->held_until;

    memcpy(pkts, f->held, count * sizeof *pkts);
    f->held_count = 0;
    f->has_news = false;
    uint16_t n = plx_frames_tx(k, pkts, count);
    f->held_until = until; // who is still held has waited since then: news of others prolongs nothing
    if (n > 0)
        k->ops->tx(k->port, k->queue, pkts, n);
}

void plx_frames_breath(struct plx_core *k)
{
    struct plx_frames *f = k->frames;

    while (plx_net_has_pending(&f->net)) {
        struct plx_pkt *out = plx_tx_reply(k, NULL);
        if (out == NULL)
            break;
        const struct plx_net_pending *next = &f->net.pending[f->net.pending_at % PLX_NET_PENDING_MAX];
        if (!next->is_announcement) // before it leaves: the answer may be quicker than we are
            news_put(k, &(struct plx_net_news){.ip = next->about}, true);
        if (!plx_net_pending(&f->net, out)) {
            k->ops->give(k->port, k->queue, &out, 1);
            break;
        }
        k->ops->tx(k->port, k->queue, &out, 1);
    }
    if (f->held_count == 0)
        return;
    if (f->has_news) {
        send_held(k);
    } else if (plx_time_reached(f->held_until, k->now)) {
        k->n.drops[PLX_DROP_tx_no_neighbour] += f->held_count;
        k->ops->give(k->port, k->queue, f->held, f->held_count);
        f->held_count = 0;
    }
}
