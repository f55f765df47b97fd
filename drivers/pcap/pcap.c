// pcap.c -- a recorder between the engine and another port.
//
// Every call goes through to the port below; packets are copied into the queue's own buffer as they pass, as blocks of a
// pcapng file. A full buffer, which ends with a whole block, is appended to the file by one write(): the kernel keeps
// appends of several queues apart (O_APPEND), so there is no lock and no thread. A port of datagrams has no headers to
// show, so Ethernet, IP and UDP headers are made up around each payload, with right checksums: tools then take it for
// what was on the wire. Debian's libpcap cannot write the block that carries TLS secrets; this is why we write the
// format ourselves.
//
// Secrets are written at once, and so come before the packets that are still in memory: a reader that goes through the
// file once has the keys when it needs them.
//
// A write that fails (a full disk) loses that buffer and is remembered; the traffic goes on. flush() tells.

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "block.h"
#include "net/eth.h"
#include "net/ip4.h"
#include "net/ip6.h"
#include "net/udp.h"
#include "plx/port.h"

enum { BUFFER_BYTES = 256 * 1024, HEADERS_MAX = PLX_ETH_LEN + PLX_IP6_LEN + PLX_UDP_LEN };

_Static_assert(BUFFER_BYTES > 2 * 65536, "any packet fits an empty buffer");

struct pcap_queue {
    uint8_t *buf;
    size_t len;
};

struct pcap_port {
    struct plx_port port;    // first
    struct plx_port_ops ops; // ours, without those that the port below lacks
    struct plx_port *under;
    char *path;
    int fd, failed; // errno of the first write that failed; read and written without tearing, any thread
    bool is_frames, has_clock;
    plx_time clock; // given by the caller
    struct plx_addr bound;
    struct pcap_queue *queues;
    uint16_t queue_count;
};

static struct pcap_port *pcap_of(struct plx_port *port)
{
    return (struct pcap_port *)port;
}

// --- the file ----------------------------------------------------------------------------------------------

static void file_append(struct pcap_port *p, const uint8_t *b, size_t len)
{
    while (len > 0) {
        ssize_t n = write(p->fd, b, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            int none = 0, why = n < 0 ? errno : EIO;
            __atomic_compare_exchange_n(&p->failed, &none, why, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
            return;
        }
        b += n;
        len -= (size_t)n;
    }
}

static void queue_flush(struct pcap_port *p, struct pcap_queue *q)
{
    file_append(p, q->buf, q->len);
    q->len = 0;
}

static uint64_t stamp(const struct pcap_port *p)
{
    struct timespec t;

    if (p->has_clock)
        return p->clock.ns;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

// --- headers that were never sent --------------------------------------------------------------------------

// The end of `a` on a made-up Ethernet: a locally administered address that tells the last octets of the IP.
static void mac_of(const struct plx_addr *a, uint8_t mac[6])
{
    mac[0] = 2;
    mac[1] = a->af;
    memcpy(mac + 2, a->ip + (a->af == PLX_AF_IP4 ? 0 : 12), 4);
}

static size_t headers_write(uint8_t buf[HEADERS_MAX], const struct plx_pkt *pkt, const struct plx_addr *src,
                            const struct plx_addr *dst)
{
    struct plx_wr w = plx_wr_init(buf, HEADERS_MAX);
    bool is_ip6 = dst->af == PLX_AF_IP6;
    struct plx_eth eth = {.type = is_ip6 ? PLX_ETH_IP6 : PLX_ETH_IP4};
    struct plx_udp udp = {.src = src->port, .dst = dst->port, .len = (uint16_t)(PLX_UDP_LEN + pkt->len)};
    uint64_t sum;

    mac_of(src, eth.src);
    mac_of(dst, eth.dst);
    plx_eth_write(&w, &eth);
    if (is_ip6) {
        struct plx_ip6 ip = {
            .proto = PLX_IP_UDP, .hops = PLX_IP_HOPS, .ecn = pkt->ecn, .payload_len = udp.len};
        memcpy(ip.src, src->ip, 16);
        memcpy(ip.dst, dst->ip, 16);
        plx_ip6_write(&w, &ip);
        sum = plx_ip6_pseudo(ip.src, ip.dst, PLX_IP_UDP, udp.len);
    } else {
        struct plx_ip4 ip = {
            .proto = PLX_IP_UDP, .ttl = PLX_IP_HOPS, .ecn = pkt->ecn, .payload_len = udp.len};
        memcpy(ip.src, src->ip, 4);
        memcpy(ip.dst, dst->ip, 4);
        plx_ip4_write(&w, &ip);
        sum = plx_cksum_add16(plx_ip4_pseudo(ip.src, ip.dst, PLX_IP_UDP), udp.len);
    }
    sum = plx_cksum_add16(plx_cksum_add16(plx_cksum_add16(sum, udp.src), udp.dst), udp.len);
    udp.check = plx_cksum_end(plx_cksum_add(sum, pkt->data, pkt->len));
    udp.check = udp.check == 0 ? 0xffff : udp.check;
    plx_udp_write(&w, &udp);
    plx_check(!w.is_full);
    return (size_t)(w.p - buf);
}

// --- recording ---------------------------------------------------------------------------------------------

static void packet_record(struct pcap_port *p, struct pcap_queue *q, const struct plx_pkt *pkt,
                          enum pcap_direction direction, uint64_t ns)
{
    uint8_t head[HEADERS_MAX];
    size_t head_len = 0;

    if (!p->is_frames) {
        struct plx_addr local = pkt->local;
        if (local.af == PLX_AF_NONE) // the port below chooses: show what is known of it
            local = p->bound.af == pkt->peer.af ? p->bound : (struct plx_addr){.af = pkt->peer.af};
        bool is_in = direction == PCAP_INBOUND;
        head_len = headers_write(head, pkt, is_in ? &pkt->peer : &local, is_in ? &local : &pkt->peer);
    }
    if (BUFFER_BYTES - q->len < pcap_block_room(head_len + pkt->len))
        queue_flush(p, q);
    bool fits =
        pcap_packet_write(q->buf, BUFFER_BYTES, &q->len, ns, direction, head, head_len, pkt->data, pkt->len);
    plx_check(fits);
}

static uint16_t pcap_rx(struct plx_port *port, uint16_t queue, struct plx_pkt **pkts, uint16_t max)
{
    struct pcap_port *p = pcap_of(port);
    uint16_t n = p->under->ops->rx(p->under, queue, pkts, max);

    if (n == 0)
        return 0;
    uint64_t ns = stamp(p);
    for (uint16_t i = 0; i < n; i++)
        packet_record(p, &p->queues[queue], pkts[i], PCAP_INBOUND, ns);
    return n;
}

static uint16_t pcap_tx(struct plx_port *port, uint16_t queue, struct plx_pkt **pkts, uint16_t count)
{
    struct pcap_port *p = pcap_of(port);
    uint64_t ns = count > 0 ? stamp(p) : 0;

    for (uint16_t i = 0; i < count; i++) // before: afterwards they are the driver's again
        packet_record(p, &p->queues[queue], pkts[i], PCAP_OUTBOUND, ns);
    return p->under->ops->tx(p->under, queue, pkts, count);
}

void plx_port_pcap_secrets(struct plx_port *port, const char *text, size_t len)
{
    struct pcap_port *p = pcap_of(port);
    uint8_t block[4096];
    size_t used = 0;

    while (len > 0) { // in pieces of whole lines where they are long
        size_t n = len < 3900 ? len : 3900;
        while (n < len && n > 1 && text[n - 1] != '\n')
            n--;
        used = 0;
        bool fits = pcap_secrets_write(block, sizeof block, &used, text, n);
        plx_check(fits);
        file_append(p, block, used);
        text += n;
        len -= n;
    }
}

void plx_port_pcap_at(struct plx_port *port, plx_time now)
{
    pcap_of(port)->has_clock = true;
    pcap_of(port)->clock = now;
}

enum plx_err plx_port_pcap_flush(struct plx_port *port, char *err, size_t err_len)
{
    struct pcap_port *p = pcap_of(port);

    for (uint16_t i = 0; i < p->queue_count; i++)
        queue_flush(p, &p->queues[i]);
    int why = __atomic_load_n(&p->failed, __ATOMIC_RELAXED);
    if (why == 0)
        return PLX_OK;
    snprintf(err, err_len, "pcap: %s is not complete: %s; make room, or record elsewhere", p->path,
             strerror(why));
    return PLX_ERR_SYSTEM;
}

// --- passing on --------------------------------------------------------------------------------------------

static void pcap_thread_attach(struct plx_port *port, uint16_t queue)
{
    pcap_of(port)->under->ops->thread_attach(pcap_of(port)->under, queue);
}

static uint16_t pcap_take(struct plx_port *port, uint16_t queue, struct plx_pkt **pkts, uint16_t count)
{
    return pcap_of(port)->under->ops->take(pcap_of(port)->under, queue, pkts, count);
}

static void pcap_give(struct plx_port *port, uint16_t queue, struct plx_pkt **pkts, uint16_t count)
{
    pcap_of(port)->under->ops->give(pcap_of(port)->under, queue, pkts, count);
}

static void pcap_wait(struct plx_port *port, uint16_t queue, plx_dur max)
{
    pcap_of(port)->under->ops->wait(pcap_of(port)->under, queue, max);
}

static void pcap_wake(struct plx_port *port, uint16_t queue)
{
    pcap_of(port)->under->ops->wake(pcap_of(port)->under, queue);
}

static void pcap_stats(const struct plx_port *port, uint16_t queue, struct plx_port_stats *out)
{
    const struct pcap_port *p = (const struct pcap_port *)port;
    p->under->ops->stats(p->under, queue, out);
}

static enum plx_err pcap_source_open(struct plx_port *port, uint16_t queue, enum plx_af af,
                                     struct plx_addr *local)
{
    return pcap_of(port)->under->ops->source_open(pcap_of(port)->under, queue, af, local);
}

static void pcap_source_close(struct plx_port *port, uint16_t queue, const struct plx_addr *local)
{
    pcap_of(port)->under->ops->source_close(pcap_of(port)->under, queue, local);
}

// --- open and close ----------------------------------------------------------------------------------------

static void recorder_fini(struct pcap_port *p)
{
    for (uint16_t i = 0; i < p->queue_count; i++) {
        if (p->queues[i].buf != NULL)
            queue_flush(p, &p->queues[i]);
        free(p->queues[i].buf);
    }
    free(p->queues);
    p->queues = NULL;
    p->queue_count = 0;
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
}

static bool recorder_init(struct pcap_port *p, uint16_t queues)
{
    uint8_t start[256];
    size_t len = 0;

    p->queues = calloc(queues, sizeof *p->queues);
    if (p->queues == NULL)
        return false;
    p->queue_count = queues;
    for (uint16_t i = 0; i < queues; i++)
        if ((p->queues[i].buf = malloc(BUFFER_BYTES)) == NULL)
            return false;
    bool fits = pcap_section_write(start, sizeof start, &len) &&
                pcap_interface_write(start, sizeof start, &len, p->under->ops->name);
    plx_check(fits);
    file_append(p, start, len);
    return true;
}

static void pcap_close(struct plx_port *port)
{
    struct pcap_port *p = pcap_of(port);
    p->under->ops->close(p->under);
    recorder_fini(p);
}

static enum plx_err pcap_open(struct plx_port *port, const struct plx_port_cfg *cfg,
                              struct plx_port_caps *caps, char *err, size_t err_len)
{
    struct pcap_port *p = pcap_of(port);

    p->failed = 0;
    p->fd = open(p->path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600); // it may hold secrets
    if (p->fd < 0) {
        snprintf(err, err_len, "pcap: cannot write %s: %s; choose another file", p->path, strerror(errno));
        return PLX_ERR_SYSTEM;
    }
    enum plx_err e = p->under->ops->open(p->under, cfg, caps, err, err_len);
    if (e != PLX_OK) {
        recorder_fini(p);
        return e;
    }
    p->is_frames = caps->is_frames;
    p->bound = caps->bound;
    if (!recorder_init(p, cfg->queues > 0 ? cfg->queues : 1)) {
        snprintf(err, err_len, "pcap: no memory to record in; do without the recording");
        pcap_close(port);
        return PLX_ERR_NOMEM;
    }
    size_t len = strlen(caps->describe);
    snprintf(caps->describe + len, sizeof caps->describe - len, ", recorded");
    return PLX_OK;
}

static void pcap_free(struct plx_port *port)
{
    struct pcap_port *p = pcap_of(port);
    plx_check(p->fd < 0); // closed first
    plx_port_free(p->under);
    free(p->path);
    free(p);
}

struct plx_port *plx_port_pcap(struct plx_port *under, const char *path)
{
    struct pcap_port *p = calloc(1, sizeof *p);
    size_t len = strlen(path) + 1;

    if (p == NULL || (p->path = malloc(len)) == NULL) {
        free(p);
        return NULL;
    }
    memcpy(p->path, path, len);
    p->under = under;
    p->fd = -1;
    p->ops = (struct plx_port_ops){
        .name = "pcap",
        .open = pcap_open,
        .close = pcap_close,
        .thread_attach = pcap_thread_attach,
        .rx = pcap_rx,
        .tx = pcap_tx,
        .take = pcap_take,
        .give = pcap_give,
        .wait = under->ops->wait != NULL ? pcap_wait : NULL,
        .wake = under->ops->wake != NULL ? pcap_wake : NULL,
        .stats = pcap_stats,
        .source_open = under->ops->source_open != NULL ? pcap_source_open : NULL,
        .source_close = under->ops->source_close != NULL ? pcap_source_close : NULL,
    };
    p->port = (struct plx_port){.ops = &p->ops, .free = pcap_free};
    return &p->port;
}
