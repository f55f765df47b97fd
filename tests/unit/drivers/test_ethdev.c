// test_ethdev.c -- the DPDK driver over a device that is a ring in memory: what is sent is received by the same port.
//
// Runs without rights, huge pages or hardware. The device speaks no checksums and no link; tests/smoke/ethdev runs the
// same code against the kernel.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "net/net.h"
#include "plx/port.h"

static enum plx_err open_port(struct plx_port **port, const char *args, uint16_t queues, uint16_t mtu,
                              struct plx_port_caps *caps, char err[512])
{
    struct plx_port_cfg cfg = {.args = args, .queues = queues, .mtu = mtu, .numa_node = -1, .buffers = 1000};
    *port = plx_port_ethdev();
    assert_non_null(*port);
    err[0] = '\0';
    return (*port)->ops->open(*port, &cfg, caps, err, 512);
}

static void test_what_is_wrong_is_said(void **state)
{
    (void)state;
    static const struct {
        const char *args;
        uint16_t queues, mtu;
        const char *says;
    } row[] = {
        {"net_ring9", 1, 0, "net_ring0"}, // lists what there is
        {"net_ring0,vlan=4095", 1, 0, "vlan=1..4094"},
        {"net_ring0,vlan=", 1, 0, "vlan=1..4094"},
        {"net_ring0,vlan=12x", 1, 0, "vlan=1..4094"},
        {"net_ring0,vlan=-1", 1, 0, "vlan=1..4094"},
        {"net_ring0,gather=", 1, 0, "gather=0..1000"},
        {"net_ring0,gather=1001", 1, 0, "gather=0..1000"},
        {"net_ring0,gather=5us", 1, 0, "gather=0..1000"},
        {"net_ring0,fast", 1, 0, "\"fast\""},
        {"a_name_that_is_longer_than_any_device_name_can_be_in_dpdk_at_all_0123", 1, 0, "shorter"},
        {"net_ring0", 200, 0, "fewer workers"},
        {"net_ring0", 1, 1000, "1228"},
    };
    for (unsigned i = 0; i < sizeof row / sizeof *row; i++) {
        struct plx_port *port;
        struct plx_port_caps caps;
        char err[512];
        assert_int_not_equal(open_port(&port, row[i].args, row[i].queues, row[i].mtu, &caps, err), PLX_OK);
        if (strstr(err, row[i].says) == NULL)
            fail_msg("row %u: \"%s\"", i, err);
        plx_port_free(port);
    }
    char err[512] = "";
    assert_int_equal(plx_eal_init(0, NULL, err, sizeof err), PLX_ERR_INVALID); // it runs already
    assert_non_null(strstr(err, "running"));
}

// Datagrams through lib/net and the ring, to ourselves, with a tag; then everything is given back.
static void test_datagrams_to_ourselves(void **state)
{
    (void)state;
    struct plx_port *port;
    struct plx_port_caps caps;
    char err[512];
    struct plx_pkt *tx[64], *rx[64];
    const plx_time now = {1};

    if (open_port(&port, "net_ring0,vlan=12", 1, 0, &caps, err) != PLX_OK)
        fail_msg("%s", err);
    port->ops->thread_attach(port, 0);
    assert_null(strstr(caps.describe, "bursts of")); // only where it pays, or is asked for
    assert_true(caps.is_frames);
    assert_int_equal(caps.vlan, 12);
    assert_true(caps.headroom >= PLX_NET_HEADERS_MAX);
    assert_int_equal(caps.payload_max, 1472);

    static struct plx_net net;
    struct plx_net_cfg cfg = {
        .vlan = caps.vlan, .addr_count = 1, .ports = {443}, .port_count = 1, .tx_csum = caps.tx_csum};
    cfg.addrs[0] = (struct plx_net_addr){{.af = PLX_AF_IP4, .ip = {10, 0, 0, 1}}, 24};
    memcpy(cfg.mac, caps.mac, 6);
    assert_int_equal(plx_net_init(&net, &cfg), PLX_OK);
    struct plx_addr to = {.af = PLX_AF_IP4, .ip = {10, 0, 0, 1}, .port = 443}, host = to;
    host.port = 0;
    plx_net_learn(&net, &host, caps.mac, now); // the next hop is this very device

    for (unsigned round = 0; round < 500; round++) {
        uint16_t n = (uint16_t)(1 + round % 64);
        assert_int_equal(port->ops->take(port, 0, tx, n), n);
        for (uint16_t i = 0; i < n; i++) {
            tx[i]->len = (uint16_t)(1 + (round * 7 + i * 31) % 1472);
            memset(tx[i]->data, (int)(round + i) & 0xff, tx[i]->len);
            tx[i]->peer = to;
            tx[i]->ecn = i & 3;
            assert_true(plx_net_tx(&net, tx[i], now));
        }
        assert_int_equal(port->ops->tx(port, 0, tx, n), n);
        assert_int_equal(port->ops->rx(port, 0, rx, 64), n);
        for (uint16_t i = 0; i < n; i++) {
            assert_true(rx[i]->cap >= rx[i]->len);
            assert_int_equal(plx_net_rx(&net, rx[i], now), PLX_NET_UDP);
            assert_int_equal(rx[i]->len, 1 + (round * 7 + i * 31) % 1472);
            assert_int_equal(rx[i]->ecn, i & 3);
            assert_int_equal(rx[i]->data[rx[i]->len - 1], (round + i) & 0xff);
        }
        port->ops->give(port, 0, rx, n);
    }

    // every buffer can be taken at once, and twice: none was lost on the way
    static struct plx_pkt *all[20000];
    unsigned most[2];
    for (unsigned pass = 0; pass < 2; pass++) {
        most[pass] = port->ops->take(port, 0, all, 20000);
        assert_true(most[pass] >= 1000 && most[pass] < 20000);
        struct plx_pkt *none;
        assert_int_equal(port->ops->take(port, 0, &none, 1), 0);
        port->ops->give(port, 0, all, (uint16_t)most[pass]);
    }
    assert_int_equal(most[0], most[1]);

    // A full ring: what does not fit is dropped and counted, and its buffers come home.
    struct plx_port_stats s;
    uint16_t sent = 0;
    unsigned n = port->ops->take(port, 0, all, 4000);
    assert_int_equal(n, 4000);
    for (unsigned i = 0; i < n; i++)
        all[i]->len = 60, memset(all[i]->data, 0, 60);
    sent = port->ops->tx(port, 0, all, (uint16_t)n);
    port->ops->stats(port, 0, &s);
    assert_true(sent < n);
    assert_int_equal(s.tx_dropped, n - sent);
    for (uint16_t got; (got = port->ops->rx(port, 0, rx, 64)) > 0;)
        port->ops->give(port, 0, rx, got);
    assert_int_equal(port->ops->take(port, 0, all, 20000), most[0]);
    port->ops->give(port, 0, all, (uint16_t)most[0]);
    port->ops->close(port);
    plx_port_free(port);
}

// Bursts that are put off lose nothing.
static void test_gathered_packets_all_arrive(void **state)
{
    (void)state;
    struct plx_port *port;
    struct plx_port_caps caps;
    char err[512];
    struct plx_pkt *pkts[64];
    unsigned sent = 0, got = 0, fetches = 0;

    if (open_port(&port, "net_ring1,gather=1000", 1, 0, &caps, err) != PLX_OK)
        fail_msg("%s", err);
    assert_non_null(strstr(caps.describe, "bursts of 1000 us"));
    port->ops->thread_attach(port, 0);
    for (unsigned polls = 0; got < 2000; polls++) {
        assert_true(polls < 100000000); // it comes, some time
        if (sent < 2000 && sent < got + 60) {
            assert_int_equal(port->ops->take(port, 0, pkts, 1), 1);
            pkts[0]->len = 60;
            memset(pkts[0]->data, (int)(sent & 0xff), 60);
            assert_int_equal(port->ops->tx(port, 0, pkts, 1), 1);
            sent++;
        }
        uint16_t n = port->ops->rx(port, 0, pkts, 64);
        for (uint16_t i = 0; i < n; i++)
            assert_int_equal(pkts[i]->data[59], (got + i) & 0xff);
        port->ops->give(port, 0, pkts, n);
        got += n;
        fetches += n > 0;
    }
    assert_true(fetches < got); // not one by one
    port->ops->close(port);
    plx_port_free(port);
}

int main(void)
{
    char prefix[40]; // its own: other programs may run beside it
    snprintf(prefix, sizeof prefix, "--file-prefix=plx%d", (int)getpid());
    char *eal[] = {"--no-pci",    "--no-huge", "-m",     "128",       prefix,   "--no-telemetry",
                   "--log-level", "critical",  "--vdev", "net_ring0", "--vdev", "net_ring1"};
    char err[512] = "";
    if (plx_eal_init(sizeof eal / sizeof *eal, eal, err, sizeof err) != PLX_OK) {
        print_error("%s\n", err);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_wrong_is_said),
        cmocka_unit_test(test_gathered_packets_all_arrive),
        cmocka_unit_test(test_datagrams_to_ourselves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
