// test_udp.c -- two ports over the loopback interface: bursts, trains, ECN, queues, and every packet accounted for.
//
// Loopback delivers within the send call, so what was sent can be received at once; receive_all() still looks several
// times. A case ends with everything given back, and close() under AddressSanitizer proves the rest.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "drivers/udp/udp.h"
#include "plx/port.h"

enum { PKTS_MAX = 4096 };

struct end {
    struct plx_port *port;
    struct plx_port_caps caps;
};

static struct end end_open(const char *listen, uint16_t queues, uint16_t mtu, const char *args)
{
    struct plx_addr at = {0};
    struct plx_port_cfg cfg = {.args = args,
                               .listen = &at,
                               .listen_count = listen != NULL,
                               .queues = queues,
                               .mtu = mtu,
                               .numa_node = -1};
    struct end e = {.port = plx_port_udp()};
    char err[256] = "";

    assert_non_null(e.port);
    if (listen != NULL)
        assert_true(plx_addr_parse(listen, &at));
    if (e.port->ops->open(e.port, &cfg, &e.caps, err, sizeof err) != PLX_OK)
        fail_msg("open: %s", err);
    for (uint16_t i = 0; i < queues; i++)
        e.port->ops->thread_attach(e.port, i);
    return e;
}

static struct udp_queue *queue_of(struct end *e, uint16_t i)
{
    return udp_queue_of(e->port, i);
}

// Every record and buffer must be at home.
static void end_close(struct end *e)
{
    for (uint16_t i = 0; i < e->caps.queues_max; i++) {
        struct udp_queue *q = queue_of(e, i);
        uint32_t in_slots = 0; // buffers that wait in message slots for the next recvmmsg()
        for (unsigned m = 0; m < UDP_BURST_MAX; m++)
            in_slots += q->rx_buf[m] != NULL;
        assert_int_equal(q->tx_free_len, q->tx_count);
        assert_int_equal(q->rx_free_len, q->rx_count);
        assert_int_equal(q->buf_free_len + in_slots, q->buf_count);
    }
    e->port->ops->close(e->port);
    plx_port_free(e->port);
}

static uint8_t octet_of(unsigned i, size_t at)
{
    return (uint8_t)(i * 7 + at * 13);
}

static void fill(struct plx_pkt *pkt, unsigned i, uint16_t len, const struct plx_addr *to, uint8_t ecn)
{
    for (uint16_t at = 0; at < len; at++)
        pkt->data[at] = octet_of(i, at);
    pkt->len = len;
    pkt->peer = *to;
    pkt->ecn = ecn;
}

static void check_filled(const struct plx_pkt *pkt, unsigned i, uint16_t len)
{
    assert_int_equal(pkt->len, len);
    for (uint16_t at = 0; at < len; at++)
        if (pkt->data[at] != octet_of(i, at))
            fail_msg("packet %u differs at %u", i, at);
}

// Collects packets of one queue until `want` have come or nothing more does.
static unsigned receive_all(struct end *e, uint16_t queue, struct plx_pkt **pkts, unsigned want)
{
    unsigned n = 0;
    for (unsigned idle = 0; n < want && idle < 50;) {
        unsigned room = want - n < 64 ? want - n : 64;
        uint16_t got = e->port->ops->rx(e->port, queue, pkts + n, (uint16_t)room);
        n += got;
        if (got == 0) {
            idle++;
            e->port->ops->wait(e->port, queue, PLX_MS(10));
        }
    }
    return n;
}

static unsigned receive_one(struct end *e, uint16_t queue, struct plx_pkt **pkt)
{
    return e->port->ops->rx(e->port, queue, pkt, 1); // loopback has delivered before send returned
}

static void give_all(struct end *e, uint16_t queue, struct plx_pkt **pkts, unsigned count)
{
    e->port->ops->give(e->port, queue, pkts, (uint16_t)count);
}

static struct plx_port_stats stats_of(struct end *e, uint16_t queue)
{
    struct plx_port_stats s;
    e->port->ops->stats(e->port, queue, &s);
    return s;
}

// --- lengths, trains and answers ---------------------------------------------------------------------------

static void exchange(const char *listen, const char *server_args, const char *client_args)
{
    // Lengths that make every shape: a full train, a short last one, a longer one that breaks it, singles, one octet.
    static const uint16_t lengths[] = {1472, 1472, 1472, 1472, 300, 1200, 1200, 1200,
                                       1201, 1,    1,    1,    64,  1472, 1471, 1470};
    enum { COUNT = sizeof lengths / sizeof *lengths };
    struct end server = end_open(listen, 1, 0, server_args), client = end_open(NULL, 1, 0, client_args);
    struct plx_pkt *tx[COUNT], *rx[COUNT];
    struct plx_addr to = server.caps.bound;

    if (to.af == PLX_AF_IP4 && to.ip[0] == 0)
        memcpy(to.ip, (uint8_t[]){127, 0, 0, 1}, 4);
    assert_int_not_equal(to.port, 0);
    assert_int_equal(client.port->ops->take(client.port, 0, tx, COUNT), COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(tx[i]->cap, client.caps.payload_max);
        fill(tx[i], i, lengths[i], &to, (uint8_t)(i < 8 ? PLX_ECN_ECT0 : i & 3));
    }
    assert_int_equal(client.port->ops->tx(client.port, 0, tx, COUNT), COUNT);

    assert_int_equal(receive_all(&server, 0, rx, COUNT), COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        check_filled(rx[i], i, lengths[i]);
        assert_int_equal(rx[i]->ecn, i < 8 ? PLX_ECN_ECT0 : i & 3);
        assert_int_equal(rx[i]->peer.af, to.af);
        assert_true(plx_addr_eq(&rx[i]->local, &to)); // a wildcard tells which address was spoken to
    }

    // The answer leaves from the address that was spoken to, and reaches the client's port.
    struct plx_pkt *answer, *back;
    assert_int_equal(server.port->ops->take(server.port, 0, &answer, 1), 1);
    fill(answer, 99, 700, &rx[0]->peer, PLX_ECN_CE);
    answer->local = rx[0]->local;
    assert_int_equal(server.port->ops->tx(server.port, 0, &answer, 1), 1);
    assert_int_equal(receive_all(&client, 0, &back, 1), 1);
    check_filled(back, 99, 700);
    assert_int_equal(back->ecn, PLX_ECN_CE);
    assert_true(plx_addr_eq(&back->peer, &to));
    give_all(&client, 0, &back, 1);
    give_all(&server, 0, rx, COUNT);

    assert_int_equal(stats_of(&client, 0).tx_packets, COUNT);
    assert_int_equal(stats_of(&server, 0).rx_packets, COUNT);
    assert_int_equal(stats_of(&client, 0).tx_bytes, stats_of(&server, 0).rx_bytes);
    assert_int_equal(stats_of(&client, 0).tx_dropped + stats_of(&client, 0).tx_fallbacks, 0);
    end_close(&client);
    end_close(&server);
}

static void test_exchange(void **state)
{
    static const char *const listen[] = {"127.0.0.1:0", "[::1]:0", "0.0.0.0:0"};
    static const char *const args[] = {NULL, "nogso", "nogro", "nogso,nogro"};
    (void)state;
    for (unsigned l = 0; l < 3; l++)
        for (unsigned a = 0; a < 4; a++)
            exchange(listen[l], args[a], args[a]);
    exchange(listen[0], "nogro", NULL); // the kernel takes the trains apart
}

// --- one train: few system calls, and packets that outlive their neighbours --------------------------------

static void test_train_is_one_message(void **state)
{
    (void)state;
    struct end server = end_open("127.0.0.1:0", 1, 0, NULL), client = end_open(NULL, 1, 0, NULL);
    struct plx_pkt *tx[64], *rx[64];

    assert_int_equal(client.port->ops->take(client.port, 0, tx, 64), 64);
    for (unsigned i = 0; i < 64; i++)
        fill(tx[i], i, 1000, &server.caps.bound, 0);
    assert_int_equal(client.port->ops->tx(client.port, 0, tx, 64), 64);
    assert_int_equal(stats_of(&client, 0).syscalls, 1);

    // Ask for fewer than the train holds: the rest must wait in the port, not be lost.
    unsigned n = 0;
    for (unsigned want = 1; n < 64; want++) {
        unsigned room = want < 64 - n ? want : 64 - n;
        unsigned got = receive_all(&server, 0, rx + n, room);
        assert_int_equal(got, room);
        n += got;
    }
    for (unsigned i = 0; i < 64; i++)
        check_filled(rx[i], i, 1000);
    // Given back in an order of its own: the shared buffer must live until the last.
    for (unsigned i = 0; i < 64; i++)
        check_filled(rx[i * 29 % 64], i * 29 % 64, 1000), give_all(&server, 0, &rx[i * 29 % 64], 1);
    end_close(&client);
    end_close(&server);
}

// --- refusal: the kernel does not take the train -----------------------------------------------------------

static void test_refused_train_goes_singly(void **state)
{
    (void)state;
    struct end server = end_open("127.0.0.1:0", 1, 0, NULL), client = end_open(NULL, 1, 0, NULL);
    struct plx_pkt *tx[8], *rx[8];

    for (unsigned round = 0; round < UDP_GSO_FAILURES_MAX + 2; round++) {
        assert_int_equal(client.port->ops->take(client.port, 0, tx, 8), 8);
        for (unsigned i = 0; i < 8; i++)
            fill(tx[i], i, 500, &server.caps.bound, PLX_ECN_ECT1);
        if (round == 0) { // a socket without checksums cannot segment: the kernel says EINVAL
            int yes = 1;
            struct udp_sock *s =
                udp_sock_for((struct udp_port *)client.port, queue_of(&client, 0), &tx[0]->local, PLX_AF_IP4);
            assert_non_null(s);
            assert_int_equal(setsockopt(s->fd, SOL_SOCKET, SO_NO_CHECK, &yes, sizeof yes), 0);
        }
        assert_int_equal(client.port->ops->tx(client.port, 0, tx, 8), 8);
        assert_int_equal(receive_all(&server, 0, rx, 8), 8);
        for (unsigned i = 0; i < 8; i++) {
            check_filled(rx[i], i, 500);
            assert_int_equal(rx[i]->ecn, PLX_ECN_ECT1);
        }
        give_all(&server, 0, rx, 8);
    }
    assert_int_equal(stats_of(&client, 0).tx_fallbacks, UDP_GSO_FAILURES_MAX); // then it stopped trying
    assert_int_equal(stats_of(&client, 0).tx_dropped, 0);
    end_close(&client);
    end_close(&server);
}

// --- what cannot be sent -----------------------------------------------------------------------------------

static void test_unsendable_is_counted(void **state)
{
    (void)state;
    struct end client = end_open("127.0.0.1:0", 1, 0, NULL);
    struct plx_addr nowhere[3] = {{.af = PLX_AF_IP4, .ip = {127, 0, 0, 1}, .port = 0}, // port 0: EINVAL
                                  {.af = PLX_AF_NONE},
                                  {.af = PLX_AF_IP4, .ip = {127, 0, 0, 1}, .port = 9}};
    struct plx_pkt *tx[3];

    assert_int_equal(client.port->ops->take(client.port, 0, tx, 3), 3);
    for (unsigned i = 0; i < 3; i++)
        fill(tx[i], i, 100, &nowhere[i], 0);
    tx[2]->local = (struct plx_addr){.af = PLX_AF_IP4, .ip = {127, 0, 0, 1}, .port = 1}; // not ours
    assert_int_equal(client.port->ops->tx(client.port, 0, tx, 3), 0);
    assert_int_equal(stats_of(&client, 0).tx_dropped, 3);

    // Nobody listens on the discard port: whatever ICMP says, the socket stays usable.
    for (unsigned round = 0; round < 3; round++) {
        assert_int_equal(client.port->ops->take(client.port, 0, tx, 1), 1);
        fill(tx[0], 0, 100, &nowhere[2], 0);
        client.port->ops->tx(client.port, 0, tx, 1);
        assert_int_equal(client.port->ops->rx(client.port, 0, tx, 1), 0);
    }
    assert_int_equal(client.port->ops->take(client.port, 0, tx, 1), 1);
    fill(tx[0], 5, 100, &client.caps.bound, 0);
    assert_int_equal(client.port->ops->tx(client.port, 0, tx, 1), 1);
    assert_int_equal(receive_all(&client, 0, tx, 1), 1);
    check_filled(tx[0], 5, 100);
    give_all(&client, 0, tx, 1);
    end_close(&client);
}

// --- several queues, and source ports ----------------------------------------------------------------------

static void test_queues_share_an_address(void **state)
{
    (void)state;
    enum { SOURCES = 64 };
    struct end server = end_open("127.0.0.1:0", 2, 0, "nosteer"), client = end_open(NULL, 1, 0, NULL);
    struct plx_addr from[SOURCES];
    struct plx_pkt *tx[SOURCES], *rx[SOURCES], *back;
    unsigned got[2];

    assert_int_equal(client.port->ops->take(client.port, 0, tx, SOURCES), SOURCES);
    for (unsigned i = 0; i < SOURCES; i++) {
        assert_int_equal(client.port->ops->source_open(client.port, 0, PLX_AF_IP4, &from[i]), PLX_OK);
        fill(tx[i], i, 200, &server.caps.bound, 0);
        tx[i]->local = from[i];
    }
    assert_int_equal(client.port->ops->tx(client.port, 0, tx, SOURCES), SOURCES);
    got[0] = receive_all(&server, 0, rx, SOURCES);
    got[1] = receive_all(&server, 1, rx + got[0], SOURCES - got[0]);
    assert_int_equal(got[0] + got[1], SOURCES);
    assert_true(got[0] > 0 && got[1] > 0);

    bool seen[SOURCES] = {false};
    for (unsigned i = 0; i < SOURCES; i++) {
        unsigned queue = i >= got[0], k = 0;
        assert_int_equal(rx[i]->queue, queue);
        while (k < SOURCES && from[k].port != rx[i]->peer.port)
            k++;
        assert_true(k < SOURCES && !seen[k]);
        seen[k] = true;
        check_filled(rx[i], k, 200);
        // Each answer comes back to the source port it belongs to.
        assert_int_equal(server.port->ops->take(server.port, (uint16_t)queue, tx, 1), 1);
        fill(tx[0], k, 90, &rx[i]->peer, 0);
        assert_int_equal(server.port->ops->tx(server.port, (uint16_t)queue, tx, 1), 1);
        assert_int_equal(receive_all(&client, 0, &back, 1), 1);
        assert_int_equal(back->local.port, from[k].port);
        check_filled(back, k, 90);
        give_all(&client, 0, &back, 1);
        give_all(&server, (uint16_t)queue, &rx[i], 1);
    }
    for (unsigned i = 0; i < SOURCES; i += 2)
        client.port->ops->source_close(client.port, 0, &from[i]);
    for (unsigned i = 0; i < SOURCES; i += 2) // closed slots are used again
        assert_int_equal(client.port->ops->source_open(client.port, 0, PLX_AF_IP4, &from[i]), PLX_OK);
    assert_int_equal(queue_of(&client, 0)->socks_len, queue_of(&client, 0)->socks_fixed + SOURCES);
    end_close(&client);
    end_close(&server);
}

// One source, so one tuple: without the program all would reach one queue.
static void test_connection_ids_steer(void **state)
{
    (void)state;
    enum { QUEUES = 3 };
    struct end server = end_open("127.0.0.1:0", QUEUES, 0, NULL), client = end_open(NULL, 1, 0, NULL);
    static const struct {
        uint8_t first, core; // octet 0, and the first of the connection ID; bit 7 is the epoch
        uint8_t len;         // of the ID, in a long header
        bool is_tuple;       // the tuple decides
    } row[] = {
        {0x40, 0, 0, false}, {0x41, 1, 0, false},    {0x5f, 2, 0, false}, {0x40, 0x82, 0, false},
        {0xe0, 1, 8, false}, {0xe3, 0x82, 8, false}, {0xf0, 0, 8, false}, {0xc0, 1, 8, false},
        {0xd0, 2, 8, false}, {0xc0, 1, 9, true},     {0xe0, 2, 7, true},  {0xe0, 1, 0, true},
        {0xc0, 3, 8, true},  {0xd0, 0x7f, 8, true},  {0x40, 3, 0, true},  {0x40, 0x7f, 0, true},
    };
    unsigned by_tuple = QUEUES;
    struct plx_pkt *pkt;
    assert_true(server.caps.steer_by_cid);
    assert_non_null(strstr(server.caps.describe, "connection ID"));
    assert_non_null(strstr(server.caps.steering, "BPF"));
    for (unsigned i = 0; i < sizeof row / sizeof *row; i++) {
        assert_int_equal(client.port->ops->take(client.port, 0, &pkt, 1), 1);
        fill(pkt, i, 1200, &server.caps.bound, 0);
        pkt->data[0] = row[i].first;
        pkt->data[5] = row[i].len;
        pkt->data[row[i].first & 0x80 ? 6 : 1] = row[i].core;
        assert_int_equal(client.port->ops->tx(client.port, 0, &pkt, 1), 1);
        unsigned at = 0;
        while (at < QUEUES && receive_one(&server, (uint16_t)at, &pkt) == 0)
            at++;
        assert_true(at < QUEUES);
        give_all(&server, (uint16_t)at, &pkt, 1);
        if (row[i].is_tuple && by_tuple == QUEUES)
            by_tuple = at;
        assert_int_equal(at, row[i].is_tuple ? by_tuple : (unsigned)(row[i].core & 0x7f));
    }
    // Too short to have an ID: somebody gets it.
    assert_int_equal(client.port->ops->take(client.port, 0, &pkt, 1), 1);
    fill(pkt, 0, 1, &server.caps.bound, 0);
    pkt->data[0] = 0x40;
    client.port->ops->tx(client.port, 0, &pkt, 1);
    unsigned got = 0;
    for (uint16_t at = 0; at < QUEUES; at++) {
        unsigned n = receive_one(&server, at, &pkt);
        give_all(&server, at, &pkt, n);
        got += n;
    }
    assert_int_equal(got, 1);
    end_close(&client);
    end_close(&server);
}

// A program on each address, and none where it was not wanted.
static void test_every_listener_steers(void **state)
{
    (void)state;
    for (unsigned without = 0; without < 2; without++) {
        struct plx_addr at[3];
        assert_true(plx_addr_parse("127.0.0.1:0", &at[0]) && plx_addr_parse("127.0.0.2:0", &at[1]) &&
                    plx_addr_parse("[::1]:0", &at[2]));
        struct plx_port_cfg cfg = {.args = without ? "nogso,nosteer" : "nogso",
                                   .listen = at,
                                   .listen_count = 3,
                                   .queues = 4,
                                   .numa_node = -1};
        struct end server = {.port = plx_port_udp()}, client = end_open(NULL, 1, 0, NULL);
        char err[256] = "";
        assert_int_equal(server.port->ops->open(server.port, &cfg, &server.caps, err, sizeof err), PLX_OK);
        assert_int_equal(server.caps.steer_by_cid, !without);
        assert_true(without == (strstr(server.caps.steering, "nosteer") != NULL));
        for (unsigned l = 0; l < 3; l++) {
            unsigned right = 0;
            for (uint8_t core = 0; core < 4; core++) {
                struct plx_pkt *pkt;
                assert_int_equal(client.port->ops->take(client.port, 0, &pkt, 1), 1);
                fill(pkt, l, 100, &queue_of(&server, 0)->socks[l].bound, 0);
                pkt->data[0] = 0x40;
                pkt->data[1] = core;
                assert_int_equal(client.port->ops->tx(client.port, 0, &pkt, 1), 1);
                unsigned at_queue = 0;
                while (at_queue < 4 && receive_one(&server, (uint16_t)at_queue, &pkt) == 0)
                    at_queue++;
                assert_true(at_queue < 4);
                give_all(&server, (uint16_t)at_queue, &pkt, 1);
                right += at_queue == core;
            }
            assert_int_equal(right, without ? 1 : 4); // one source: without the program all went to one queue
        }
        end_close(&client);
        end_close(&server);
    }
}

// --- much at once ------------------------------------------------------------------------------------------

static void test_bursts_leave_nothing_behind(void **state)
{
    (void)state;
    for (unsigned gro = 0; gro < 2; gro++) {
        struct end server = end_open("127.0.0.1:0", 1, 0, gro ? NULL : "nogro"),
                   client = end_open(NULL, 1, 0, NULL);
        static struct plx_pkt *tx[PKTS_MAX], *rx[PKTS_MAX];
        unsigned sum = 0;

        for (unsigned round = 0; round < 200; round++) {
            uint16_t count = client.port->ops->take(client.port, 0, tx, PKTS_MAX); // more than there are
            assert_int_equal(count, UDP_TX_DEFAULT);
            uint16_t use = (uint16_t)(1 + round * 37 % 400);
            for (unsigned i = 0; i < use; i++)
                fill(tx[i], i, (uint16_t)(1 + (i / 5 + round) * 11 % 1400), &server.caps.bound,
                     (uint8_t)(i / 9 & 3));
            assert_int_equal(client.port->ops->tx(client.port, 0, tx, use), use);
            give_all(&client, 0, tx + use, (unsigned)(count - use));
            unsigned got = receive_all(&server, 0, rx, use);
            assert_int_equal(got, use);
            for (unsigned i = 0; i < use; i++)
                check_filled(rx[i], i, (uint16_t)(1 + (i / 5 + round) * 11 % 1400));
            give_all(&server, 0, rx, got);
            sum += got;
        }
        assert_int_equal(stats_of(&server, 0).rx_packets, sum);
        end_close(&client);
        end_close(&server);
    }
}

// Holding every packet must stall the port, not break it; what the kernel then loses is counted.
static void test_exhaustion_stalls_and_recovers(void **state)
{
    (void)state;
    struct end server = end_open("127.0.0.1:0", 1, 0, "nogro"), client = end_open(NULL, 1, 0, NULL);
    static struct plx_pkt *held[PKTS_MAX], *tx[64];
    unsigned kept = 0, sent = 0;
    uint16_t got;

    for (unsigned round = 0; round < 40; round++) { // 2560 packets; the server has 1024 buffers
        assert_int_equal(client.port->ops->take(client.port, 0, tx, 64), 64);
        for (unsigned i = 0; i < 64; i++)
            fill(tx[i], i, 64, &server.caps.bound, 0);
        sent += client.port->ops->tx(client.port, 0, tx, 64);
        while ((got = server.port->ops->rx(server.port, 0, held + kept, 64)) > 0)
            kept += got;
    }
    assert_int_equal(kept, queue_of(&server, 0)->buf_count);
    give_all(&server, 0, held, kept);
    unsigned rest = 0;
    while ((got = server.port->ops->rx(server.port, 0, held, 64)) > 0) {
        rest += got;
        give_all(&server, 0, held, got);
    }
    server.port->ops->wait(server.port, 0, PLX_NS(0)); // looks at the kernel's drop counter
    assert_int_equal(kept + rest + stats_of(&server, 0).rx_dropped, sent);
    assert_true(rest > 0);
    end_close(&client);
    end_close(&server);
}

// --- opening -----------------------------------------------------------------------------------------------

static void test_open_says_why_not(void **state)
{
    (void)state;
    struct end first = end_open("127.0.0.1:0", 1, 0, NULL);
    struct plx_addr taken = first.caps.bound, foreign = {.af = PLX_AF_IP4, .ip = {192, 0, 2, 1}, .port = 1},
                    empty = {0};
    const struct {
        const struct plx_addr *listen;
        const char *args;
        uint16_t mtu;
        enum plx_err err;
        const char *says;
    } row[] = {
        {&taken, NULL, 0, PLX_ERR_SYSTEM, "stop the program"},
        {&foreign, NULL, 0, PLX_ERR_SYSTEM, "192.0.2.1:1"},
        {&empty, NULL, 0, PLX_ERR_INVALID, "family"},
        {&taken, "fast", 0, PLX_ERR_INVALID, "\"fast\""},
        {&taken, NULL, 1000, PLX_ERR_INVALID, "1228"},
    };
    for (unsigned i = 0; i < sizeof row / sizeof *row; i++) {
        struct plx_port *port = plx_port_udp();
        struct plx_port_cfg cfg = {.args = row[i].args,
                                   .listen = row[i].listen,
                                   .listen_count = 1,
                                   .queues = 1,
                                   .mtu = row[i].mtu,
                                   .numa_node = -1};
        struct plx_port_caps caps;
        char err[256] = "";
        assert_int_equal(port->ops->open(port, &cfg, &caps, err, sizeof err), row[i].err);
        if (strstr(err, row[i].says) == NULL)
            fail_msg("row %u: \"%s\"", i, err);
        plx_port_free(port);
    }
    assert_non_null(strstr(first.caps.describe, "GSO"));
    end_close(&first);

    struct end large = end_open("127.0.0.1:0", 1, 65535, NULL);
    assert_int_equal(large.caps.payload_max, 65507);
    struct plx_pkt *pkt;
    assert_int_equal(large.port->ops->take(large.port, 0, &pkt, 1), 1);
    fill(pkt, 3, 65507, &large.caps.bound, 0);
    assert_int_equal(large.port->ops->tx(large.port, 0, &pkt, 1), 1);
    assert_int_equal(receive_all(&large, 0, &pkt, 1), 1);
    check_filled(pkt, 3, 65507);
    give_all(&large, 0, &pkt, 1);
    end_close(&large);
}

static void test_loopback_takes_large_datagrams(void **state)
{
    (void)state;
    static const struct {
        const char *listen[2];
        uint16_t mtu, payload_max;
    } row[] = {
        {{"127.0.0.1:0"}, 0, 9188},
        {{"127.200.3.4:0", "[::1]:0"}, 0, 9188},
        {{"127.0.0.1:0"}, 1500, 1472}, // named: it holds
        {{"0.0.0.0:0"}, 0, 1472},
        {{"[::]:0"}, 0, 1472},
        {{"127.0.0.1:0", "0.0.0.0:0"}, 0, 1472},
        {{NULL}, 0, 1472}, // a client does not know yet whom it will ask
    };
    for (unsigned i = 0; i < sizeof row / sizeof *row; i++) {
        struct plx_addr at[2] = {0};
        struct plx_port *port = plx_port_udp();
        struct plx_port_cfg cfg = {.listen = at, .queues = 1, .mtu = row[i].mtu, .numa_node = -1};
        struct plx_port_caps caps;
        char err[256] = "";
        for (; cfg.listen_count < 2 && row[i].listen[cfg.listen_count] != NULL; cfg.listen_count++)
            assert_true(plx_addr_parse(row[i].listen[cfg.listen_count], &at[cfg.listen_count]));
        if (port->ops->open(port, &cfg, &caps, err, sizeof err) != PLX_OK)
            fail_msg("row %u: %s", i, err);
        if (caps.payload_max != row[i].payload_max)
            fail_msg("row %u: %u", i, caps.payload_max);
        port->ops->close(port);
        plx_port_free(port);
    }

    // Whoever does not know that its peer is so near still takes them, with trains and without.
    struct end server = end_open("127.0.0.1:0", 1, 0, NULL);
    static const char *const words[] = {NULL, "nogro"};
    for (unsigned i = 0; i < 2; i++) {
        struct end client = end_open("127.0.0.1:0", 1, 1500, words[i]);
        struct plx_pkt *pkt[7];
        assert_int_equal(server.port->ops->take(server.port, 0, pkt, 7), 7);
        for (unsigned p = 0; p < 7; p++)
            fill(pkt[p], p, 9188, &client.caps.bound, 0);
        assert_int_equal(server.port->ops->tx(server.port, 0, pkt, 7), 7);
        assert_int_equal(receive_all(&client, 0, pkt, 7), 7);
        for (unsigned p = 0; p < 7; p++)
            check_filled(pkt[p], p, 9188);
        give_all(&client, 0, pkt, 7);
        end_close(&client);
    }
    end_close(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exchange),
        cmocka_unit_test(test_train_is_one_message),
        cmocka_unit_test(test_refused_train_goes_singly),
        cmocka_unit_test(test_unsendable_is_counted),
        cmocka_unit_test(test_queues_share_an_address),
        cmocka_unit_test(test_connection_ids_steer),
        cmocka_unit_test(test_every_listener_steers),
        cmocka_unit_test(test_bursts_leave_nothing_behind),
        cmocka_unit_test(test_exhaustion_stalls_and_recovers),
        cmocka_unit_test(test_open_says_why_not),
        cmocka_unit_test(test_loopback_takes_large_datagrams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
