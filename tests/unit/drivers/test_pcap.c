// test_pcap.c -- the recording is read back, block by block, and holds what passed, in order, with right checksums.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "drivers/loop/loop.h"
#include "net/net.h"
#include "plx/port.h"

// --- a reader ----------------------------------------------------------------------------------------------

struct record {
    uint32_t type;
    uint64_t ns;
    uint32_t direction;
    const uint8_t *data;
    uint32_t len;
};

static uint32_t get32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}

// The flags option of a packet block whose options lie in [p, end).
static uint32_t flags_find(const uint8_t *p, const uint8_t *end)
{
    while (end - p >= 4) {
        uint16_t code = (uint16_t)get32(p), len = (uint16_t)(get32(p) >> 16);
        if (code == 2 && len == 4)
            return get32(p + 4);
        p += 4 + (len + 3) / 4 * 4;
    }
    return 0;
}

static unsigned file_read(const char *path, uint8_t *file, size_t cap, struct record *out, unsigned max)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t len = fread(file, 1, cap, f), at = 0;
    fclose(f);
    assert_true(len < cap);
    unsigned n = 0;
    while (at < len) {
        assert_true(len - at >= 12 && n < max);
        uint32_t total = get32(file + at + 4);
        assert_true(total % 4 == 0 && total >= 12 && total <= len - at);
        assert_int_equal(get32(file + at + total - 4), total); // the length stands at both ends
        const uint8_t *body = file + at + 8;
        struct record *r = &out[n++];
        *r = (struct record){.type = get32(file + at)};
        if (r->type == 0x0a0d0d0a)
            assert_int_equal(get32(body), 0x1a2b3c4d);
        if (r->type == 10) {
            assert_int_equal(get32(body), 0x544c534b);
            r->len = get32(body + 4);
            r->data = body + 8;
        }
        if (r->type == 6) {
            assert_int_equal(get32(body), 0);
            r->ns = (uint64_t)get32(body + 4) << 32 | get32(body + 8);
            r->len = get32(body + 12);
            assert_int_equal(get32(body + 16), r->len);
            r->data = body + 20;
            r->direction = flags_find(body + 20 + (r->len + 3) / 4 * 4, file + at + total - 4);
        }
        if (r->type == 6 || r->type == 10)
            assert_true(r->data + r->len <= file + at + total);
        at += total;
    }
    return n;
}

static char path[64];
static uint8_t file[4 << 20];
static struct record record[5000];

static int make_path(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "/tmp/plx_test_pcap_XXXXXX");
    int fd = mkstemp(path);
    return fd < 0 || close(fd) != 0;
}

static int remove_path(void **state)
{
    (void)state;
    return unlink(path);
}

// --- datagrams ---------------------------------------------------------------------------------------------

static void open_or_fail(struct plx_port *port, const struct plx_addr *listen)
{
    struct plx_port_cfg cfg = {
        .queues = 1, .listen = listen, .listen_count = listen != NULL, .numa_node = -1};
    struct plx_port_caps caps;
    char err[300] = "";
    if (port->ops->open(port, &cfg, &caps, err, sizeof err) != PLX_OK)
        fail_msg("%s", err);
    port->ops->thread_attach(port, 0);
}

// lib/net reads what lib/net wrote, but verifies every checksum; addresses are compared octet by octet.
static void check_datagram(const struct record *r, const struct plx_addr *src, const struct plx_addr *dst,
                           uint8_t ecn, const uint8_t *payload, uint16_t len)
{
    static struct plx_net net;
    struct plx_net_cfg cfg = {.addr_count = 1, .ports = {dst->port}, .port_count = 1, .addrs = {{*dst, 8}}};
    uint8_t copy[2048];
    struct plx_pkt pkt = {.data = copy, .len = (uint16_t)r->len, .cap = sizeof copy};

    memcpy(copy, r->data, r->len);
    memcpy(cfg.mac, copy, 6);
    cfg.addrs[0].ip.port = 0;
    assert_int_equal(plx_net_init(&net, &cfg), PLX_OK);
    assert_int_equal(plx_net_rx(&net, &pkt, (plx_time){0}), PLX_NET_UDP);
    assert_true(plx_addr_eq(&pkt.peer, src));
    assert_true(plx_addr_eq(&pkt.local, dst));
    assert_int_equal(pkt.ecn, ecn);
    assert_int_equal(pkt.len, len);
    assert_memory_equal(pkt.data, payload, len);
}

static void test_datagrams(void **state)
{
    (void)state;
    enum { COUNT = 2000 };
    struct plx_port *a, *b;
    struct plx_addr ip[2] = {{.af = PLX_AF_IP4, .ip = {10, 0, 0, 1}, .port = 443},
                             {.af = PLX_AF_IP6, .ip = {0xfd, [15] = 1}, .port = 443}},
                    from[2] = {{.af = PLX_AF_IP4, .ip = {10, 0, 0, 2}, .port = 5},
                               {.af = PLX_AF_IP6, .ip = {0xfd, [15] = 2}, .port = 6}};
    static const char secrets[] =
        "CLIENT_HANDSHAKE_TRAFFIC_SECRET 00 11\nSERVER_HANDSHAKE_TRAFFIC_SECRET 00 22\n";
    uint8_t data[1472];

    for (unsigned i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 11);
    assert_true(plx_loop_pair(&a, &b, 64));
    struct plx_port *port = plx_port_pcap(b, path);
    assert_non_null(port);
    assert_null(port->ops->wait); // the port below cannot
    open_or_fail(a, NULL);
    open_or_fail(port, &ip[0]);
    for (unsigned i = 0; i < COUNT; i++) { // in and out by turns, more than the buffer holds
        struct plx_port *sender = i % 2 ? port : a, *receiver = i % 2 ? a : port;
        struct plx_pkt *pkt;
        plx_port_pcap_at(port, (plx_time){UINT64_C(5000000000) + i});
        assert_int_equal(sender->ops->take(sender, 0, &pkt, 1), 1);
        pkt->len = (uint16_t)(i % 1473);
        memcpy(pkt->data, data, pkt->len);
        pkt->ecn = i & 3;
        pkt->peer = i % 2 ? from[i / 2 % 2] : ip[i / 2 % 2];
        pkt->local = i % 2 ? ip[i / 2 % 2] : from[i / 2 % 2];
        assert_int_equal(sender->ops->tx(sender, 0, &pkt, 1), 1);
        assert_int_equal(receiver->ops->rx(receiver, 0, &pkt, 1), 1);
        receiver->ops->give(receiver, 0, &pkt, 1);
        if (i == 10)
            plx_port_pcap_secrets(port, secrets, sizeof secrets - 1);
    }
    char err[300] = "";
    assert_int_equal(plx_port_pcap_flush(port, err, sizeof err), PLX_OK);
    port->ops->close(port);
    plx_port_free(port); // and the port below
    a->ops->close(a);
    plx_port_free(a);

    assert_int_equal(file_read(path, file, sizeof file, record, 5000), COUNT + 3);
    assert_int_equal(record[0].type, 0x0a0d0d0a);
    assert_int_equal(record[1].type, 1);
    assert_int_equal(record[2].type, 10); // before the packets that were in memory
    assert_int_equal(record[2].len, sizeof secrets - 1);
    assert_memory_equal(record[2].data, secrets, sizeof secrets - 1);
    for (unsigned i = 0; i < COUNT; i++) {
        const struct record *r = &record[3 + i];
        assert_int_equal(r->type, 6);
        assert_int_equal(r->ns, UINT64_C(5000000000) + i);
        assert_int_equal(r->direction, i % 2 ? 2 : 1);
        const struct plx_addr *there = &from[i / 2 % 2], *here = &ip[i / 2 % 2];
        check_datagram(r, i % 2 ? here : there, i % 2 ? there : here, i & 3, data, (uint16_t)(i % 1473));
    }
}

static void test_long_secrets_keep_their_lines(void **state)
{
    (void)state;
    struct plx_port *a, *b;
    static char text[20000];
    size_t len = 0;
    while (len < 15000)
        len += (size_t)snprintf(text + len, sizeof text - len, "EXPORTER_SECRET %0*zu\n",
                                (int)(len % 190) + 1, len);
    assert_true(plx_loop_pair(&a, &b, 2));
    struct plx_port *port = plx_port_pcap(b, path);
    open_or_fail(port, NULL);
    plx_port_pcap_secrets(port, text, len);
    port->ops->close(port);
    plx_port_free(port);
    plx_port_free(a);
    unsigned n = file_read(path, file, sizeof file, record, 5000);
    size_t at = 0;
    for (unsigned i = 2; i < n; i++) {
        assert_int_equal(record[i].type, 10);
        assert_int_equal(record[i].data[record[i].len - 1], '\n');
        assert_memory_equal(record[i].data, text + at, record[i].len);
        at += record[i].len;
    }
    assert_true(n > 3 && at == len);
}

// --- frames, and what goes wrong ---------------------------------------------------------------------------

// A port of frames that has one to give and takes any.
static uint8_t frame[60] = {1, 2, 3};
static struct plx_pkt frame_pkt = {.data = frame, .len = sizeof frame, .cap = sizeof frame};
static unsigned frames_given, frames_sent;

static enum plx_err fake_open(struct plx_port *port, const struct plx_port_cfg *cfg,
                              struct plx_port_caps *caps, char *err, size_t err_len)
{
    (void)port;
    *caps = (struct plx_port_caps){.is_frames = true, .queues_max = 1};
    snprintf(err, err_len, "fake: too many buffers");
    return cfg->buffers == 99 ? PLX_ERR_SYSTEM : PLX_OK;
}
static void fake_close(struct plx_port *port)
{
    (void)port;
}
static void fake_attach(struct plx_port *port, uint16_t queue)
{
    (void)port, (void)queue;
}
static uint16_t fake_rx(struct plx_port *port, uint16_t queue, struct plx_pkt **pkts, uint16_t max)
{
    (void)port, (void)queue, (void)max;
    pkts[0] = &frame_pkt;
    return 1;
}
static uint16_t fake_tx(struct plx_port *port, uint16_t queue, struct plx_pkt **pkts, uint16_t count)
{
    (void)port, (void)queue, (void)pkts;
    frames_sent += count;
    return count;
}
static void fake_give(struct plx_port *port, uint16_t queue, struct plx_pkt **pkts, uint16_t count)
{
    (void)port, (void)queue, (void)pkts;
    frames_given += count;
}
static const struct plx_port_ops fake_ops = {.name = "fake",
                                             .open = fake_open,
                                             .close = fake_close,
                                             .thread_attach = fake_attach,
                                             .rx = fake_rx,
                                             .tx = fake_tx,
                                             .give = fake_give};
static void fake_free(struct plx_port *port)
{
    free(port);
}

static struct plx_port *fake_port(void)
{
    struct plx_port *p = calloc(1, sizeof *p);
    assert_non_null(p);
    *p = (struct plx_port){.ops = &fake_ops, .free = fake_free};
    return p;
}

static void test_frames_as_they_are(void **state)
{
    (void)state;
    struct plx_port *port = plx_port_pcap(fake_port(), path);
    struct plx_pkt *pkt;
    open_or_fail(port, NULL);
    assert_int_equal(port->ops->rx(port, 0, &pkt, 1), 1);
    frame[3] = 9; // it was copied
    assert_int_equal(port->ops->tx(port, 0, &pkt, 1), 1);
    port->ops->give(port, 0, &pkt, 1);
    assert_int_equal(frames_sent, 1);
    assert_int_equal(frames_given, 1);
    port->ops->close(port);
    plx_port_free(port);
    assert_int_equal(file_read(path, file, sizeof file, record, 5000), 4);
    assert_int_equal(record[2].len, sizeof frame);
    assert_int_equal(record[2].data[3], 0);
    assert_memory_equal(record[3].data, frame, sizeof frame);
    assert_true(record[3].ns >= record[2].ns &&
                record[2].ns > UINT64_C(1600000000000000000)); // the wall clock, after 2020
}

static void test_failures_are_told(void **state)
{
    (void)state;
    struct plx_port_cfg cfg = {.queues = 1};
    struct plx_port_caps caps;
    char err[300] = "";

    struct plx_port *port = plx_port_pcap(fake_port(), "/nowhere/at/all.pcapng");
    assert_int_equal(port->ops->open(port, &cfg, &caps, err, sizeof err), PLX_ERR_SYSTEM);
    assert_non_null(strstr(err, "/nowhere/at/all.pcapng"));
    plx_port_free(port);

    port = plx_port_pcap(fake_port(), path);
    cfg.buffers = 99;
    assert_int_equal(port->ops->open(port, &cfg, &caps, err, sizeof err), PLX_ERR_SYSTEM);
    assert_non_null(strstr(err, "fake:")); // the port below says why
    plx_port_free(port);

    port = plx_port_pcap(fake_port(), "/dev/full");
    cfg.buffers = 0;
    struct plx_pkt *pkt;
    assert_int_equal(port->ops->open(port, &cfg, &caps, err, sizeof err), PLX_OK);
    for (unsigned i = 0; i < 5000; i++) // traffic goes on
        assert_int_equal(port->ops->rx(port, 0, &pkt, 1), 1);
    assert_int_equal(plx_port_pcap_flush(port, err, sizeof err), PLX_ERR_SYSTEM);
    assert_non_null(strstr(err, "No space left"));
    port->ops->close(port);
    plx_port_free(port);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_datagrams, make_path, remove_path),
        cmocka_unit_test_setup_teardown(test_long_secrets_keep_their_lines, make_path, remove_path),
        cmocka_unit_test_setup_teardown(test_frames_as_they_are, make_path, remove_path),
        cmocka_unit_test_setup_teardown(test_failures_are_told, make_path, remove_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
