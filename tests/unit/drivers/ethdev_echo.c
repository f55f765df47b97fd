// ethdev_echo.c -- the smallest program on a DPDK port: answers ARP, ND and ping, and sends UDP datagrams back.
//
//   ethdev_echo serve ARGS IP4 IP6 PORT QUEUES -- EAL ARGUMENTS     until standard input ends
//   ethdev_echo ask   ARGS IP4 IP6 PORT PEER COUNT -- EAL ARGUMENTS sends COUNT datagrams to PEER, waits for them all
//
// ARGS is the driver's argument ("net_af_xdp0", or "" for the first device). Prints "ready DESCRIPTION", and at the end
// one line of counters. tests/smoke/ethdev runs it over every transport that needs no hardware.

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "net/net.h"
#include "plx/port.h"

// libxdp 1.3 keeps 80 octets of a closed AF_XDP socket; LeakSanitizer asks for this function by name.
PLX_API const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
    return "leak:xsk_umem__create";
}

static struct plx_port *port;
static struct plx_port_caps caps;
static struct plx_net nets[4]; // one per queue, as each core has its own
static uint16_t queues = 1;

static plx_time now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (plx_time){(uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec};
}

static bool copy_out(uint16_t queue, const struct plx_pkt *from, struct plx_pkt **tx, bool is_payload)
{
    if (port->ops->take(port, queue, tx, 1) != 1)
        return false;
    memcpy((*tx)->data, from->data, from->len);
    (*tx)->len = from->len;
    (*tx)->ecn = from->ecn;
    (*tx)->peer = from->peer;
    (*tx)->local = from->local;
    if (is_payload && !plx_net_tx(&nets[queue], *tx, now())) {
        port->ops->give(port, queue, tx, 1);
        return false;
    }
    return true;
}

static void pending_send(uint16_t queue)
{
    struct plx_pkt *pkt;
    while (plx_net_has_pending(&nets[queue]) && port->ops->take(port, queue, &pkt, 1) == 1) {
        plx_net_pending(&nets[queue], pkt);
        port->ops->tx(port, queue, &pkt, 1);
    }
}

// One breath of a queue; returns datagrams received. With is_echo they go back to where they came from.
static unsigned breathe(uint16_t queue, bool is_echo)
{
    struct plx_pkt *rx[64], *tx[64];
    uint16_t got = port->ops->rx(port, queue, rx, 64), out = 0;
    unsigned datagrams = 0;

    for (uint16_t i = 0; i < got; i++) {
        enum plx_net_verdict v = plx_net_rx(&nets[queue], rx[i], now());
        datagrams += v == PLX_NET_UDP;
        if (v == PLX_NET_REPLY || (v == PLX_NET_UDP && is_echo))
            out = (uint16_t)(out + copy_out(queue, rx[i], &tx[out], v == PLX_NET_UDP));
    }
    port->ops->give(port, queue, rx, got);
    if (out > 0)
        port->ops->tx(port, queue, tx, out);
    pending_send(queue);
    return datagrams;
}

static bool input_ended(void)
{
    struct pollfd p = {.fd = 0, .events = POLLIN};
    char c;
    return poll(&p, 1, 0) > 0 && read(0, &c, 1) <= 0;
}

static int ask(const struct plx_addr *peer, unsigned count)
{
    unsigned sent = 0, received = 0;
    plx_time until = {now().ns + UINT64_C(20000000000)};

    while (received < count && now().ns < until.ns) {
        struct plx_pkt *tx[32];
        uint16_t want = (uint16_t)(count - sent < 32 ? count - sent : 32);
        uint16_t room = sent - received < 256 && want > 0 ? port->ops->take(port, 0, tx, want) : 0, used = 0;
        for (; used < room; used++) {
            tx[used]->len = (uint16_t)(16 + (sent + used) % 1400);
            memset(tx[used]->data, 0x41, tx[used]->len);
            tx[used]->peer = *peer;
            if (!plx_net_tx(&nets[0], tx[used], now()))
                break; // the question is on its way
        }
        if (used > 0)
            port->ops->tx(port, 0, tx, used);
        port->ops->give(port, 0, tx + used, (uint16_t)(room - used));
        sent += used;
        received += breathe(0, false);
    }
    return received == count ? 0 : 1;
}

static bool net_open(char **argv)
{
    struct plx_net_cfg cfg = {
        .vlan = caps.vlan, .addr_count = 2, .port_count = 1, .tx_csum = caps.tx_csum, .key = {1}};
    char text[128];

    memcpy(cfg.mac, caps.mac, 6);
    cfg.ports[0] = (uint16_t)strtoul(argv[5], NULL, 10);
    snprintf(text, sizeof text, "%s:1", argv[3]);
    cfg.addrs[0].prefix_len = 24;
    cfg.addrs[1].prefix_len = 64;
    if (!plx_addr_parse(text, &cfg.addrs[0].ip))
        return false;
    snprintf(text, sizeof text, "[%s]:1", argv[4]);
    if (!plx_addr_parse(text, &cfg.addrs[1].ip))
        return false;
    for (uint16_t i = 0; i < queues; i++)
        if (plx_net_init(&nets[i], &cfg) != PLX_OK)
            return false;
    return true;
}

static void report(void)
{
    for (uint16_t q = 0; q < queues; q++) {
        struct plx_port_stats s;
        port->ops->stats(port, q, &s);
        printf("%srx %llu tx %llu dropped %llu", q > 0 ? "; " : "", (unsigned long long)s.rx_packets,
               (unsigned long long)s.tx_packets, (unsigned long long)s.tx_dropped);
        for (unsigned v = 0; v < PLX_NET_VERDICT_COUNT; v++)
            if (nets[q].verdicts[v] > 0)
                printf(" %s %llu", plx_net_verdict_name(v), (unsigned long long)nets[q].verdicts[v]);
    }
    printf("\n");
}

int main(int argc, char **argv)
{
    int split = 1;
    char err[512] = "";

    while (split < argc && strcmp(argv[split], "--") != 0)
        split++;
    bool is_serve = split == 7 && strcmp(argv[1], "serve") == 0,
         is_ask = split == 8 && strcmp(argv[1], "ask") == 0;
    if (split == argc || (!is_serve && !is_ask)) {
        fprintf(stderr,
                "usage: ethdev_echo serve ARGS IP4 IP6 PORT QUEUES -- EAL... | ask ARGS IP4 IP6 PORT PEER "
                "COUNT -- EAL...\n");
        return 2;
    }
    if (is_serve)
        queues = (uint16_t)strtoul(argv[6], NULL, 10);
    if (queues < 1 || queues > sizeof nets / sizeof *nets)
        return 2;
    struct plx_port_cfg cfg = {.args = argv[2], .queues = queues, .numa_node = -1};
    port = plx_port_ethdev();
    if (port == NULL || plx_eal_init(argc - split - 1, argv + split + 1, err, sizeof err) != PLX_OK ||
        port->ops->open(port, &cfg, &caps, err, sizeof err) != PLX_OK || !net_open(argv)) {
        fprintf(stderr, "%s\n", err);
        return 1;
    }
    port->ops->thread_attach(port, 0);
    printf("ready %s\n", caps.describe);
    fflush(stdout);

    int result = 0;
    struct plx_addr peer = {0};
    if (is_serve)
        while (!input_ended())
            for (uint16_t q = 0; q < queues; q++)
                breathe(q, true);
    else
        result = plx_addr_parse(argv[6], &peer) ? ask(&peer, (unsigned)strtoul(argv[7], NULL, 10)) : 2;

    report();
    port->ops->close(port);
    plx_port_free(port);
    return result;
}
