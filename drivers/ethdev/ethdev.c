// ethdev.c -- any device that DPDK drives, as a port of frames.
//
// cfg->args: "NAME[,vlan=ID][,promiscuous][,gather=US]". NAME is the device as DPDK calls it ("net_af_xdp0", "0000:03:00.0"), or
// empty for the first there is. The tag of a VLAN is put on and checked in software (lib/net); what hardware could strip
// stays on. All multicast groups are listened to, because neighbour discovery needs some; where a device cannot do that,
// it listens to everything. gather: at least so many microseconds from one burst to the next (gather.h); what is good for AF_XDP unless
// said, for all others 0.
//
// Each queue has its own mempool on the device's NUMA node. With several queues packets find theirs by flow rules on the connection ID
// or by a hash of the UDP tuple (RSS), whichever the device can do: steer.h. caps->steering says what is in force.

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_lcore.h>

#include "base/bits.h"
#include "base/check.h"
#include "ethdev.h"

// --- which device ------------------------------------------------------------------------------------------

struct wanted {
    char name[RTE_ETH_NAME_MAX_LEN];
    uint16_t vlan;
    bool promiscuous;
    int gather_us; // -1: what the kind of device is best with
};

static bool word_is(const char *at, size_t len, const char *word)
{
    return len == strlen(word) && memcmp(at, word, len) == 0;
}

// "KEY" and a number behind it, and nothing else.
static bool word_has(const char *at, size_t len, const char *key, unsigned long *number)
{
    size_t skip = strlen(key);
    char *end;

    if (len <= skip || memcmp(at, key, skip) != 0 || at[skip] < '0' || at[skip] > '9')
        return false;
    *number = strtoul(at + skip, &end, 10);
    return end == at + len;
}

static enum plx_err args_read(const char *args, struct wanted *w, char *err, size_t err_len)
{
    const char *at = args == NULL ? "" : args;
    size_t len = strcspn(at, ",");

    *w = (struct wanted){.gather_us = -1};
    if (len >= sizeof w->name) {
        snprintf(err, err_len, "ethdev: device names are shorter than %zu characters", sizeof w->name);
        return PLX_ERR_INVALID;
    }
    memcpy(w->name, at, len);
    for (at += len; *at == ','; at += len) {
        len = strcspn(++at, ",");
        unsigned long number;
        if (word_is(at, len, "promiscuous")) {
            w->promiscuous = true;
        } else if (word_has(at, len, "vlan=", &number) && number >= 1 && number <= 4094) {
            w->vlan = (uint16_t)number;
        } else if (word_has(at, len, "gather=", &number) && number <= ETHDEV_GATHER_MAX_US) {
            w->gather_us = (int)number;
        } else {
            snprintf(err, err_len,
                     "ethdev: unknown driver argument \"%.*s\"; there are vlan=1..4094, promiscuous and "
                     "gather=0..%d",
                     (int)len, at, ETHDEV_GATHER_MAX_US);
            return PLX_ERR_INVALID;
        }
    }
    return PLX_OK;
}

static enum plx_err device_find(const char *name, uint16_t *port_id, char *err, size_t err_len)
{
    char why[ETHDEV_WHY_MAX];

    if (name[0] == '\0') {
        *port_id = (uint16_t)rte_eth_find_next(0);
        if (*port_id < RTE_MAX_ETHPORTS)
            return PLX_OK;
        ethdev_why(ethdev_why_has_vdev()
                       ? "the lines above say why the one of --vdev could not be made"
                       : "bind one to vfio-pci (dpdk-devbind.py), or name a virtual one: -- --vdev "
                         "net_af_xdp0,iface=INTERFACE",
                   why, sizeof why);
        snprintf(err, err_len, "ethdev: DPDK has found no device; %s", why);
        return PLX_ERR_SYSTEM;
    }
    if (rte_eth_dev_get_port_by_name(name, port_id) == 0)
        return PLX_OK;
    int at = snprintf(err, err_len, "ethdev: there is no device \"%s\"; there is:", name);
    uint16_t id, count = 0;
    RTE_ETH_FOREACH_DEV(id)
    {
        char other[RTE_ETH_NAME_MAX_LEN];
        if (rte_eth_dev_get_name_by_port(id, other) == 0 && at > 0 && (size_t)at < err_len) {
            at += snprintf(err + at, err_len - (size_t)at, " %s", other);
            count++;
        }
    }
    if (count == 0 && at > 0 && (size_t)at < err_len)
        snprintf(err + at, err_len - (size_t)at, " none (add one: -- --vdev net_af_xdp0,iface=INTERFACE)");
    return PLX_ERR_SYSTEM;
}

// --- configuring it ----------------------------------------------------------------------------------------

static enum plx_err say(char *err, size_t err_len, const char *what, int r, const char *remedy)
{
    char why[ETHDEV_WHY_MAX];

    ethdev_why(remedy, why, sizeof why);
    snprintf(err, err_len, "ethdev: %s: %s; %s", what, rte_strerror(-r), why);
    return PLX_ERR_SYSTEM;
}

static const uint64_t TX_CSUM = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM;
static const uint64_t RX_CSUM = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM;
static const uint64_t RSS_TUPLE = RTE_ETH_RSS_NONFRAG_IPV4_UDP | RTE_ETH_RSS_NONFRAG_IPV6_UDP;

// Toeplitz with this key gives both directions of a flow the same hash: it repeats every sixteen bits, as
// addresses and ports do when they change places.
enum { RSS_KEY_MAX = 64 };
static uint8_t rss_key[RSS_KEY_MAX];

static bool rss_is_symmetric(const struct rte_eth_dev_info *info)
{
    return info->hash_key_size > 0 && info->hash_key_size <= RSS_KEY_MAX;
}

static void rss_set(struct rte_eth_conf *c, const struct rte_eth_dev_info *info)
{
    c->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    c->rx_adv_conf.rss_conf.rss_hf = info->flow_type_rss_offloads & RSS_TUPLE;
    if (!rss_is_symmetric(info))
        return; // the device has a key of its own
    for (unsigned i = 0; i < RSS_KEY_MAX; i++)
        rss_key[i] = i % 2 == 0 ? 0x6d : 0x5a;
    c->rx_adv_conf.rss_conf.rss_key = rss_key;
    c->rx_adv_conf.rss_conf.rss_key_len = info->hash_key_size;
}

// What we ask of the device: all of it is offered by the device itself.
static struct rte_eth_conf conf_of(const struct rte_eth_dev_info *info, uint16_t queues)
{
    struct rte_eth_conf c = {0};

    if ((info->tx_offload_capa & TX_CSUM) == TX_CSUM)
        c.txmode.offloads |= TX_CSUM;
    if ((info->rx_offload_capa & RX_CSUM) == RX_CSUM)
        c.rxmode.offloads |= RX_CSUM;
    c.txmode.offloads |=
        info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE; // one pool, one owner: it holds here
    if (queues > 1 && (info->flow_type_rss_offloads & RSS_TUPLE) != 0)
        rss_set(&c, info);
    return c;
}

static enum plx_err queue_setup(struct ethdev_port *p, uint16_t i, const struct plx_port_cfg *cfg,
                                uint16_t mtu, const uint16_t descriptors[2], char *err, size_t err_len)
{
    struct ethdev_queue *q = &p->queues[i];
    uint32_t buffers = cfg->buffers > 0 ? cfg->buffers : ETHDEV_BUFFERS;
    uint32_t room = mtu + RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN + RTE_ETHER_CRC_LEN;
    int node = rte_eth_dev_socket_id(p->port_id);
    char name[RTE_MEMPOOL_NAMESIZE];

    q->port_id = p->port_id;
    q->id = i;
    q->cap = (uint16_t)(mtu - 28);
    room = (uint32_t)plx_align_up(room < 2048 ? 2048 : room, 64) + RTE_PKTMBUF_HEADROOM;
    snprintf(name, sizeof name, "plx_%u_%u", p->port_id, i);
    uint32_t count = buffers + descriptors[0] + descriptors[1] + ETHDEV_RX_BUFFERED + 2 * ETHDEV_CACHE;
    q->pool = rte_pktmbuf_pool_create(name, count, ETHDEV_CACHE,
                                      (uint16_t)plx_align_up(sizeof(struct plx_pkt), RTE_MBUF_PRIV_ALIGN),
                                      (uint16_t)room, node);
    if (q->pool == NULL)
        return say(err, err_len, "no memory for packet buffers", -rte_errno,
                   "give DPDK more (-m MEGABYTES, or huge pages)");
    int r = rte_eth_rx_queue_setup(p->port_id, i, descriptors[0], (unsigned)node, NULL, q->pool);
    if (r == 0)
        r = rte_eth_tx_queue_setup(p->port_id, i, descriptors[1], (unsigned)node, NULL);
    return r == 0 ? PLX_OK
                  : say(err, err_len, "the device refused a queue", r,
                        "see the lines above; another program may use it");
}

static enum plx_err mtu_set(uint16_t port_id, uint16_t mtu, char *err, size_t err_len)
{
    uint16_t now = 0;
    int r = rte_eth_dev_get_mtu(port_id, &now) == 0 && now == mtu ? 0 : rte_eth_dev_set_mtu(port_id, mtu);

    if (r == 0 || (r == -ENOTSUP && mtu <= ETHDEV_MTU_DEFAULT))
        return PLX_OK; // every device takes frames of the standard size
    snprintf(err, err_len, "ethdev: the device refused an MTU of %u: %s; choose a smaller one", mtu,
             rte_strerror(-r));
    return PLX_ERR_SYSTEM;
}

static enum plx_err device_configure(struct ethdev_port *p, const struct plx_port_cfg *cfg, uint16_t mtu,
                                     const struct rte_eth_dev_info *info, char *err, size_t err_len)
{
    struct rte_eth_conf conf = conf_of(info, p->queue_count);
    uint16_t descriptors[2] = {ETHDEV_DESCRIPTORS, ETHDEV_DESCRIPTORS};

    int r = rte_eth_dev_configure(p->port_id, p->queue_count, p->queue_count, &conf);
    if (r != 0)
        return say(err, err_len, "the device refused its configuration", r, "see the lines above");
    p->is_configured = true;
    enum plx_err e = mtu_set(p->port_id, mtu, err, err_len);
    if (e != PLX_OK)
        return e;
    r = rte_eth_dev_adjust_nb_rx_tx_desc(p->port_id, &descriptors[0], &descriptors[1]);
    if (r != 0)
        return say(err, err_len, "the device refused the length of its rings", r, "see the lines above");
    for (uint16_t i = 0; i < p->queue_count; i++)
        if ((e = queue_setup(p, i, cfg, mtu, descriptors, err, err_len)) != PLX_OK)
            return e;
    r = rte_eth_dev_start(p->port_id);
    if (r != 0)
        return say(err, err_len, "the device did not start", r, "see the lines above");
    p->is_started = true;
    return PLX_OK;
}

// True when the link is up, after a while at most. A memif server without its client, say, may come up later.
static bool link_wait(uint16_t port_id, struct rte_eth_link *link)
{
    for (unsigned tries = 0; tries < ETHDEV_LINK_TRIES; tries++) {
        if (rte_eth_link_get_nowait(port_id, link) == 0 && link->link_status == RTE_ETH_LINK_UP)
            return true;
        rte_delay_us_sleep(10000);
    }
    return false;
}

// Flow rules where the device takes them. It runs already: some refuse rules before.
static void steer_open(struct ethdev_port *p, const struct wanted *w, const struct plx_port_cfg *cfg,
                       const struct rte_eth_dev_info *info, struct plx_port_caps *caps)
{
    struct ethdev_steer_cfg c = {
        .driver = info->driver_name,
        .port_id = p->port_id,
        .queues = p->queue_count,
        .has_tag = w->vlan != 0,
        .has_rss = (info->flow_type_rss_offloads & RSS_TUPLE) != 0,
        .is_symmetric = rss_is_symmetric(info),
    };
    for (uint16_t i = 0; i < cfg->listen_count; i++)
        ethdev_steer_port(&c, cfg->listen[i].port);
    caps->steer_by_cid = ethdev_steer_open(&p->steer, &c, &ethdev_flow_device);
    ethdev_steer_say(&p->steer, &c, caps->steering, sizeof caps->steering);
}

static unsigned gather_set(struct ethdev_port *p, const struct wanted *w, const struct rte_eth_dev_info *info)
{
    bool is_xdp = strcmp(info->driver_name, "net_af_xdp") == 0;
    unsigned us = w->gather_us >= 0 ? (unsigned)w->gather_us : is_xdp ? ETHDEV_GATHER_XDP_US : 0;

    for (uint16_t i = 0; i < p->queue_count; i++)
        p->queues[i].gather.most = us * (rte_get_tsc_hz() / 1000000);
    return us;
}

// memif's driver takes its memory away in DPDK's interrupt thread: bursts and that thread take turns.
static enum plx_err gate_set(struct ethdev_port *p, const struct rte_eth_dev_info *info, char *err,
                             size_t err_len)
{
    if (strcmp(info->driver_name, "net_memif") != 0)
        return PLX_OK;
    if (!ethdev_gate_hire()) {
        snprintf(
            err, err_len,
            "ethdev: DPDK's interrupt thread takes no handler of ours, and without one a memif is not safe; "
            "are there file descriptors left (ulimit -n)?");
        return PLX_ERR_SYSTEM;
    }
    p->is_gated = true;
    for (uint16_t i = 0; i < p->queue_count; i++) {
        p->queues[i].is_gated = true;
        ethdev_gate_add(&p->queues[i].pass);
    }
    return PLX_OK;
}

static void gate_unset(struct ethdev_port *p)
{
    for (uint16_t i = 0; i < p->queue_count && p->is_gated; i++)
        ethdev_gate_remove(&p->queues[i].pass);
    if (p->is_gated)
        ethdev_gate_dismiss();
    p->is_gated = false;
}

static void caps_fill(struct ethdev_port *p, const struct wanted *w, uint16_t mtu,
                      const struct rte_eth_dev_info *info, struct plx_port_caps *caps)
{
    struct rte_eth_conf conf = conf_of(info, p->queue_count);
    struct rte_ether_addr mac;
    struct rte_eth_link link;
    char name[RTE_ETH_NAME_MAX_LEN] = "", gathered[32] = "";

    rte_eth_dev_get_name_by_port(p->port_id, name);
    *caps = (struct plx_port_caps){
        .queues_max = p->queue_count,
        .burst_max = ETHDEV_BURST_MAX,
        .headroom = RTE_PKTMBUF_HEADROOM,
        .payload_max = (uint16_t)(mtu - 28),
        .is_frames = true,
        .can_ecn = true,
        .vlan = w->vlan,
        .numa_node = rte_eth_dev_socket_id(p->port_id), // -1 where the device has none
        .rx_csum = conf.rxmode.offloads != 0,
        .tx_csum = (conf.txmode.offloads & TX_CSUM) != 0,
    };
    if (rte_eth_macaddr_get(p->port_id, &mac) == 0)
        memcpy(caps->mac, mac.addr_bytes, sizeof caps->mac);
    bool is_up = link_wait(p->port_id, &link);
    unsigned us = gather_set(p, w, info);
    if (us > 0)
        snprintf(gathered, sizeof gathered, ", bursts of %u us", us);
    snprintf(caps->describe, sizeof caps->describe,
             "DPDK %s (%s), %u queue%s%s, checksums: rx %s, tx %s, link %s%s", name, info->driver_name,
             p->queue_count, p->queue_count == 1 ? "" : "s",
             p->queue_count == 1                     ? ""
             : conf.rx_adv_conf.rss_conf.rss_hf != 0 ? " by RSS"
                                                     : " without RSS",
             caps->rx_csum ? "hardware" : "software", caps->tx_csum ? "hardware" : "software",
             is_up ? "up" : "not up yet", gathered);
}

// --- the contract ------------------------------------------------------------------------------------------

static void ethdev_close(struct plx_port *port)
{
    struct ethdev_port *p = (struct ethdev_port *)port;

    ethdev_steer_close(&p->steer);
    gate_unset(p);
    if (p->is_started)
        rte_eth_dev_stop(p->port_id);
    if (p->is_configured)
        rte_eth_dev_close(p->port_id);
    for (uint16_t i = 0; i < p->queue_count; i++)
        rte_mempool_free(p->queues[i].pool);
    free(p->queues);
    p->queues = NULL;
    p->queue_count = 0;
    p->is_started = p->is_configured = false;
}

static enum plx_err ethdev_open(struct plx_port *port, const struct plx_port_cfg *cfg,
                                struct plx_port_caps *caps, char *err, size_t err_len)
{
    struct ethdev_port *p = (struct ethdev_port *)port;
    uint16_t mtu = cfg->mtu > 0 ? cfg->mtu : ETHDEV_MTU_DEFAULT;
    struct rte_eth_dev_info info;
    struct wanted w;
    enum plx_err e;

    if ((e = args_read(cfg->args, &w, err, err_len)) != PLX_OK ||
        (e = ethdev_eal_ensure(err, err_len)) != PLX_OK ||
        (e = device_find(w.name, &p->port_id, err, err_len)) != PLX_OK)
        return e;
    int r = rte_eth_dev_info_get(p->port_id, &info);
    if (r != 0)
        return say(err, err_len, "the device does not answer", r, "is it still there?");
    p->queue_count = cfg->queues > 0 ? cfg->queues : 1;
    uint16_t most = info.max_rx_queues < info.max_tx_queues ? info.max_rx_queues : info.max_tx_queues;
    if (mtu < 1228 || mtu > 9600 || p->queue_count > most || p->queue_count > 256) {
        snprintf(err, err_len,
                 "ethdev: this device has %u queue%s, and the MTU must be from 1228 to 9600; ask for %s",
                 most, most == 1 ? "" : "s", p->queue_count > most ? "fewer workers" : "another MTU");
        p->queue_count = 0;
        return PLX_ERR_INVALID;
    }
    p->queues = aligned_alloc(64, p->queue_count * sizeof *p->queues);
    if (p->queues == NULL) {
        p->queue_count = 0;
        snprintf(err, err_len, "ethdev: out of memory for queues; ask for fewer workers");
        return PLX_ERR_NOMEM;
    }
    memset(p->queues, 0, p->queue_count * sizeof *p->queues);
    if ((e = device_configure(p, cfg, mtu, &info, err, err_len)) != PLX_OK) {
        ethdev_close(port);
        return e;
    }
    bool has_groups = rte_eth_allmulticast_enable(p->port_id) == 0;
    if (w.promiscuous || !has_groups)
        rte_eth_promiscuous_enable(
            p->port_id); // a virtual device that knows neither passes everything anyway
    caps_fill(p, &w, mtu, &info, caps);
    steer_open(p, &w, cfg, &info, caps);
    if ((e = gate_set(p, &info, err, err_len)) != PLX_OK)
        ethdev_close(port);
    return e;
}

// Mempools keep a cache per thread only for threads that DPDK knows.
static void ethdev_thread_attach(struct plx_port *port, uint16_t queue)
{
    plx_check(queue < ((struct ethdev_port *)port)->queue_count);
    if (rte_lcore_id() == LCORE_ID_ANY)
        (void)rte_thread_register(); // without it everything works, a little slower
}

static void ethdev_stats(const struct plx_port *port, uint16_t queue, struct plx_port_stats *out)
{
    const struct ethdev_port *p = (const struct ethdev_port *)port;
    const struct ethdev_queue *q = &p->queues[queue];
    struct rte_eth_stats device;

    *out = (struct plx_port_stats){
        .rx_packets = plx_counter_read(&q->stats.rx_packets),
        .rx_bytes = plx_counter_read(&q->stats.rx_bytes),
        .tx_packets = plx_counter_read(&q->stats.tx_packets),
        .tx_bytes = plx_counter_read(&q->stats.tx_bytes),
        .rx_dropped = plx_counter_read(&q->stats.rx_dropped),
        .tx_dropped = plx_counter_read(&q->stats.tx_dropped),
    };
    if (queue == 0 &&
        rte_eth_stats_get(p->port_id, &device) == 0) // the device counts for all queues together
        out->rx_dropped += device.imissed + device.rx_nombuf;
}

static const struct plx_port_ops ethdev_ops = {
    .name = "ethdev",
    .open = ethdev_open,
    .close = ethdev_close,
    .thread_attach = ethdev_thread_attach,
    .rx = ethdev_rx,
    .tx = ethdev_tx,
    .take = ethdev_take,
    .give = ethdev_give,
    .stats = ethdev_stats,
};

static void ethdev_free(struct plx_port *port)
{
    plx_check(((struct ethdev_port *)port)->queues == NULL); // closed first
    free(port);
}

struct plx_port *plx_port_ethdev(void)
{
    struct ethdev_port *p = calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    p->port = (struct plx_port){.ops = &ethdev_ops, .free = ethdev_free};
    return &p->port;
}
