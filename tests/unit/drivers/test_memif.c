// test_memif.c -- two ends of a memif, in one process and across its end: what goes in at one comes out at the other, whatever the order in
// which packets are taken and given back, and whoever leaves in the middle. What a side that lies may not do is in test_memif_hostile.c.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/prng.h"
#include "drivers/memif/memif.h"

static char path[64];

struct end {
    struct plx_port *port;
    struct plx_port_caps caps;
    bool is_server;
};

static enum plx_err end_open(struct end *e, bool is_server, const char *more, uint32_t buffers, char err[512])
{
    char args[256];
    snprintf(args, sizeof args, "role=%s,socket=%s,wait=0%s", is_server ? "server" : "client", path, more);
    struct plx_port_cfg cfg = {.args = args, .queues = 1, .numa_node = -1, .buffers = buffers};
    *e = (struct end){.port = plx_port_memif(), .is_server = is_server};
    assert_non_null(e->port);
    err[0] = '\0';
    enum plx_err r = e->port->ops->open(e->port, &cfg, &e->caps, err, 512);
    if (r == PLX_OK)
        e->port->ops->thread_attach(e->port, 0);
    return r;
}

static void end_must_open(struct end *e, bool is_server, const char *more, uint32_t buffers)
{
    char err[512];
    if (end_open(e, is_server, more, buffers, err) != PLX_OK)
        fail_msg("%s", err);
}

static void end_close(struct end *e)
{
    e->port->ops->close(e->port);
    plx_port_free(e->port);
    e->port = NULL;
}

static struct memif_port *inside(const struct end *e)
{
    return (struct memif_port *)e->port;
}

static uint16_t rx(struct end *e, struct plx_pkt **pkts, uint16_t max)
{
    return e->port->ops->rx(e->port, 0, pkts, max);
}

static void give(struct end *e, struct plx_pkt **pkts, uint16_t n)
{
    e->port->ops->give(e->port, 0, pkts, n);
}

static struct plx_port_stats stats_of(const struct end *e)
{
    struct plx_port_stats s;
    e->port->ops->stats(e->port, 0, &s);
    return s;
}

// Polls both until they are in a state. Nothing arrives meanwhile.
static void until(struct end *a, struct end *b, bool is_up)
{
    struct plx_pkt *pkt;

    while (inside(a)->is_up != is_up || inside(b)->is_up != is_up) {
        assert_int_equal(rx(a, &pkt, 1), 0);
        assert_int_equal(rx(b, &pkt, 1), 0);
    }
}

// ends[0] is the client.
static void pair_open(struct end ends[2], const char *more, uint32_t buffers)
{
    end_must_open(&ends[1], true, more, buffers);
    end_must_open(&ends[0], false, more, buffers);
    until(&ends[0], &ends[1], true);
}

static void pair_close(struct end ends[2], unsigned first)
{
    end_close(&ends[first]);
    end_close(&ends[1 - first]);
}

// --- opening -------------------------------------------------------------------------------------------------

static void test_what_is_wrong_is_said(void **state)
{
    (void)state;
    static const struct {
        const char *args;
        uint16_t queues, mtu;
        uint32_t buffers;
        const char *says;
    } row[] = {
        {"role=", 1, 0, 0, "client or server"},
        {"role=clients", 1, 0, 0, "client or server"},
        {"socket=", 1, 0, 0, "107 characters"},
        {"socket=/a/path/that/is/longer/than/what/a/local/socket/can/have/which/is/a/hundred/and/seven/characters/and/not/one/more",
         1, 0, 0, "107 characters"},
        {"id=x", 1, 0, 0, "same on both sides"},
        {"id=4294967296", 1, 0, 0, "same on both sides"},
        {"id=-1", 1, 0, 0, "same on both sides"},
        {"rsize=2", 1, 0, 0, "from 3 to 14"},
        {"rsize=15", 1, 0, 0, "from 3 to 14"},
        {"rsize=", 1, 0, 0, "from 3 to 14"},
        {"rsize=1e1", 1, 0, 0, "from 3 to 14"},
        {"bsize=255", 1, 0, 0, "from 256 to 16384"},
        {"bsize=16385", 1, 0, 0, "from 256 to 16384"},
        {"bsize=1500", 1, 0, 0, "bsize=1500 does not hold a frame of 1522"},
        {"bsize=2048", 1, 9000, 0, "does not hold a frame of 9022"},
        {"secret=", 1, 0, 0, "1 to 23"},
        {"secret=123456789012345678901234", 1, 0, 0, "1 to 23"},
        {"mac=02:00:00:00:00", 1, 0, 0, "02:00:00:00:00:01"},
        {"mac=02:00:00:00:00:0g", 1, 0, 0, "02:00:00:00:00:01"},
        {"mac=02-00-00-00-00-01", 1, 0, 0, "02:00:00:00:00:01"},
        {"mac=03:00:00:00:00:01", 1, 0, 0, "one station"},
        {"mac=00:00:00:00:00:00", 1, 0, 0, "one station"},
        {"wait=60001", 1, 0, 0, "60000 milliseconds"},
        {"zero-copy=yes", 1, 0, 0, "unknown driver argument \"zero-copy=yes\"; there are role=client|server"},
        {"role=client,,id=1", 1, 0, 0, "unknown driver argument \"\""},
        {"fast", 1, 0, 0, "\"fast\""},
        {"role=client", 2, 0, 0, "one worker, or DPDK's net_memif"},
        {"role=client", 1, 1000, 0, "from 1228 to 9600"},
        {"role=client", 1, 9601, 0, "from 1228 to 9600"},
        {"role=client", 1, 0, 2000000, "at most 1048576 buffers"},
        {"role=server,socket=/nonexistent/x", 1, 0, 0, "make the folder"},
        {"role=server,socket=/proc/x", 1, 0, 0, "cannot listen at /proc/x"},
        {"role=client,bsize=16384,rsize=14,wait=0", 1, 0, 1048576,
         "no memory for 1048576 packet buffers"}, // 32 bits of offset
    };
    for (unsigned i = 0; i < sizeof row / sizeof *row; i++) {
        struct plx_port *port = plx_port_memif();
        struct plx_port_caps caps;
        struct plx_port_cfg cfg = {.args = row[i].args,
                                   .queues = row[i].queues,
                                   .mtu = row[i].mtu,
                                   .buffers = row[i].buffers,
                                   .numa_node = -1};
        char err[512] = "";
        assert_int_not_equal(port->ops->open(port, &cfg, &caps, err, sizeof err), PLX_OK);
        if (strstr(err, row[i].says) == NULL)
            fail_msg("row %u: \"%s\"", i, err);
        plx_port_free(port);
    }
}

static void test_open(void **state)
{
    (void)state;
    struct end ends[2];
    const uint8_t mac[6] = {2, 0, 0, 0xa, 0xB, 0xc};

    end_must_open(&ends[0], false, ",mac=02:00:00:0a:0B:0c", 0); // nobody is there: that is no error
    assert_non_null(strstr(ends[0].caps.describe, "link not up yet"));
    assert_memory_equal(ends[0].caps.mac, mac, 6);
    assert_true(ends[0].caps.is_frames);
    assert_false(ends[0].caps.can_wait || ends[0].caps.rx_csum || ends[0].caps.tx_csum);
    assert_int_equal(ends[0].caps.payload_max, 1472);
    assert_int_equal(ends[0].caps.numa_node, -1);
    assert_true(ends[0].caps.headroom >= 128);
    end_must_open(&ends[1], true, "", 0);
    assert_int_equal(ends[1].caps.mac[0] & 3, 2); // of its own
    uint8_t before[6];
    memcpy(before, ends[1].caps.mac, 6);
    until(&ends[0], &ends[1], true); // the client tries again
    pair_close(ends, 0);
    assert_int_equal(access(path, F_OK), -1); // its socket goes with the server
    pair_open(ends, "", 0);
    assert_memory_equal(ends[1].caps.mac, before, 6); // whoever remembers it finds the next one
    assert_memory_not_equal(ends[0].caps.mac, before, 6);
    pair_close(ends, 1);
}

// A socket that nobody listens on is in nobody's way; one that somebody listens on stays his, and so does any other file.
static void test_stale_socket(void **state)
{
    (void)state;
    struct end server, second, client;
    char err[512];
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(un.sun_path, sizeof un.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof un), 0);
    close(fd);
    assert_int_equal(access(path, F_OK), 0);

    end_must_open(&server, true, "", 0);
    assert_int_equal(end_open(&second, true, "", 0, err), PLX_ERR_SYSTEM);
    assert_non_null(strstr(err, "stop the program that listens there"));
    plx_port_free(second.port);
    end_must_open(&client, false, "", 0);
    until(&server, &client, true);
    end_close(&server);
    end_close(&client);

    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fclose(f);
    assert_int_equal(end_open(&server, true, "", 0, err), PLX_ERR_SYSTEM);
    plx_port_free(server.port);
    assert_int_equal(unlink(path), 0); // still there
}

// open() itself waits for the other side, who is another thread.
static void *opener(void *arg)
{
    struct end *e = arg;
    char err[512];
    struct plx_pkt *pkt;

    if (end_open(e, false, ",wait=60000", 0, err) != PLX_OK)
        return e;
    while (!inside(e)->is_up)
        rx(e, &pkt, 1);
    return NULL;
}

static void test_open_waits(void **state)
{
    (void)state;
    struct end server, client;
    struct plx_pkt *pkt;
    pthread_t thread;
    void *failed;

    assert_int_equal(pthread_create(&thread, NULL, opener, &client), 0);
    end_must_open(&server, true, ",wait=60000", 0);
    assert_non_null(strstr(server.caps.describe, "link up"));
    while (!inside(&server)->is_up)
        assert_int_equal(rx(&server, &pkt, 1), 0);
    assert_int_equal(pthread_join(thread, &failed), 0);
    assert_null(failed);
    assert_non_null(strstr(client.caps.describe, "link up"));
    end_close(&server);
    end_close(&client);
}

// --- one thread: operations against a model ------------------------------------------------------------------

enum { BUFFERS = 40, HELD_MAX = 2000 };

struct model { // what each end holds, and what is on its way from it
    struct plx_pkt *taken[2][HELD_MAX], *received[2][HELD_MAX];
    unsigned taken_count[2], received_count[2];
    uint32_t sent[2], arrived[2]; // numbers on the packets
    uint64_t dropped[2];
};

static void model_send(struct end *end, struct model *m, unsigned e, unsigned n)
{
    uint32_t first = m->sent[e];
    for (unsigned i = 0; i < n; i++) {
        struct plx_pkt *pkt = m->taken[e][m->taken_count[e] - n + i];
        uint32_t number = first + i;
        pkt->data -= number % 67; // headers in front
        pkt->len = (uint16_t)(4 + number % 1400);
        memcpy(pkt->data, &number, 4);
        memset(pkt->data + 4, (int)(number & 0xff), pkt->len - 4u);
    }
    m->taken_count[e] -= n;
    uint16_t sent = end[e].port->ops->tx(end[e].port, 0, m->taken[e] + m->taken_count[e], (uint16_t)n);
    assert_true(sent <= n); // the first ones: what did not fit is gone
    m->sent[e] += sent;
    m->dropped[e] += n - sent;
    assert_int_equal(stats_of(&end[e]).tx_dropped, m->dropped[e]);
}

static void model_receive(struct end *end, struct model *m, unsigned e, unsigned max)
{
    struct plx_pkt **at = m->received[e] + m->received_count[e];
    unsigned from = 1 - e, n = rx(&end[e], at, (uint16_t)max);

    assert_true(n <= max && n <= m->sent[from] - m->arrived[from]);
    for (unsigned i = 0; i < n; i++) {
        uint32_t number;
        memcpy(&number, at[i]->data, 4);
        assert_int_equal(number, m->arrived[from]++);
        assert_int_equal(at[i]->len, 4 + number % 1400);
        assert_true(at[i]->cap >= at[i]->len);
        for (unsigned b = 4; b < at[i]->len; b++)
            if (at[i]->data[b] != (number & 0xff))
                fail_msg("octet %u of packet %u", b, number);
        memset(at[i]->data, 0xee, at[i]->len); // ours to write to
    }
    m->received_count[e] += n;
}

static void shuffle(struct plx_prng *r, struct plx_pkt **pkts, unsigned n)
{
    for (unsigned i = n; i > 1; i--) {
        unsigned j = (unsigned)plx_prng_below(r, i);
        struct plx_pkt *pkt = pkts[i - 1];
        pkts[i - 1] = pkts[j];
        pkts[j] = pkt;
    }
}

static void model_step(struct end *end, struct model *m, struct plx_prng *r)
{
    unsigned e = (unsigned)plx_prng_below(r, 2), n = (unsigned)plx_prng_below(r, 20);
    switch (plx_prng_below(r, 6)) {
    case 0:
    case 1:
        n = n < BUFFERS - m->taken_count[e] ? n : BUFFERS - m->taken_count[e];
        assert_int_equal(end[e].port->ops->take(end[e].port, 0, m->taken[e] + m->taken_count[e], (uint16_t)n),
                         n);
        for (unsigned i = 0; i < n; i++)
            assert_true(m->taken[e][m->taken_count[e] + i]->len == 0 &&
                        m->taken[e][m->taken_count[e] + i]->cap == 1472);
        m->taken_count[e] += n;
        break;
    case 2:
        model_send(end, m, e, n < m->taken_count[e] ? n : m->taken_count[e]);
        break;
    case 3:
        model_receive(end, m, e, n < 60 - m->received_count[e] ? n : 60 - m->received_count[e]);
        break;
    case 4:
        shuffle(r, m->received[e], m->received_count[e]);
        n = n < m->received_count[e] ? n : m->received_count[e];
        m->received_count[e] -= n;
        give(&end[e], m->received[e] + m->received_count[e], (uint16_t)n);
        break;
    default: // unsent ones
        shuffle(r, m->taken[e], m->taken_count[e]);
        n = m->taken_count[e] / 2;
        m->taken_count[e] -= n;
        give(&end[e], m->taken[e] + m->taken_count[e], (uint16_t)n);
    }
}

static void model_give_all(struct end *end, struct model *m)
{
    for (unsigned e = 0; e < 2; e++) {
        give(&end[e], m->received[e], (uint16_t)m->received_count[e]);
        give(&end[e], m->taken[e], (uint16_t)m->taken_count[e]);
        m->received_count[e] = m->taken_count[e] = 0;
    }
}

static void test_operations(void **state)
{
    (void)state;
    static const char *const args[] = {",rsize=3", ",rsize=4,bsize=1600", ",rsize=6,id=7,secret=open sesame",
                                       ",rsize=10"};
    static struct model m;

    for (uint64_t seed = 0; seed < 12; seed++) {
        struct end ends[2];
        struct plx_prng r;
        plx_prng_init(&r, seed);
        memset(&m, 0, sizeof m);
        pair_open(ends, args[seed % 4], BUFFERS);
        for (unsigned step = 0; step < 8000; step++)
            model_step(ends, &m, &r);
        model_give_all(ends, &m);
        for (unsigned e = 0; e < 2; e++) // what is on its way arrives
            while (m.arrived[1 - e] < m.sent[1 - e]) {
                model_receive(ends, &m, e, 64);
                model_give_all(ends, &m);
            }
        for (unsigned e = 0; e < 2; e++) {
            struct plx_port_stats s = stats_of(&ends[e]);
            assert_int_equal(s.tx_packets, m.sent[e]);
            assert_int_equal(s.rx_packets, m.sent[1 - e]);
            assert_int_equal(s.rx_bytes, stats_of(&ends[1 - e]).tx_bytes);
            assert_int_equal(s.rx_dropped, 0);
            assert_true(m.sent[e] > 1000);
        }
        pair_close(ends, seed % 2);
    }
}

// Every buffer that was asked for can be taken at once, and again: none is lost, whatever is in the rings.
static void test_pool(void **state)
{
    (void)state;
    static struct plx_pkt *all[20000];
    struct end ends[2];

    pair_open(ends, ",rsize=5", 1000);
    for (unsigned e = 0; e < 2; e++) {
        const struct plx_port_ops *ops = ends[e].port->ops;
        unsigned most[2];
        for (unsigned pass = 0; pass < 2; pass++) {
            most[pass] = ops->take(ends[e].port, 0, all, 20000);
            assert_true(most[pass] >= 1000 && most[pass] < 20000);
            assert_int_equal(ops->take(ends[e].port, 0, all + most[pass], 1), 0);
            give(&ends[e], all, (uint16_t)most[pass]);
        }
        assert_int_equal(most[0], most[1]);

        // A full ring: what does not fit is dropped and counted, and its buffers come home.
        assert_int_equal(ops->take(ends[e].port, 0, all, 100), 100);
        for (unsigned i = 0; i < 100; i++)
            all[i]->len = 60, memset(all[i]->data, 0, 60);
        assert_int_equal(ops->tx(ends[e].port, 0, all, 100), 32);
        assert_int_equal(stats_of(&ends[e]).tx_dropped, 68);
        uint16_t got = rx(&ends[1 - e], all, 64);
        assert_int_equal(got, 32);
        give(&ends[1 - e], all, got);
        assert_int_equal(ops->take(ends[e].port, 0, all, 20000), most[0]);
        give(&ends[e], all, (uint16_t)most[0]);
    }

    // A client whose engine has every buffer has none to offer; it offers them as soon as they are back.
    struct plx_pkt *pkts[64];
    const struct plx_port_ops *ops = ends[0].port->ops;
    unsigned n = ops->take(ends[0].port, 0, all, 20000);
    for (unsigned round = 0; round < 2; round++) {
        assert_int_equal(ops->take(ends[1].port, 0, pkts, 32), 32);
        for (unsigned i = 0; i < 32; i++)
            pkts[i]->len = 60, memset(pkts[i]->data, 0, 60);
        assert_int_equal(ops->tx(ends[1].port, 0, pkts, 32), round == 0 ? 32 : 0);
        assert_int_equal(rx(&ends[0], all + n, 64), round == 0 ? 32 : 0);
        n += round == 0 ? 32 : 0;
    }
    give(&ends[0], all, (uint16_t)n);
    assert_int_equal(rx(&ends[0], all, 1), 0);
    assert_int_equal(ops->take(ends[1].port, 0, pkts, 32), 32);
    for (unsigned i = 0; i < 32; i++)
        pkts[i]->len = 60, memset(pkts[i]->data, 0, 60);
    assert_int_equal(ops->tx(ends[1].port, 0, pkts, 32), 32);
    pair_close(ends, 1); // with packets in the ring
}

// --- two threads ---------------------------------------------------------------------------------------------

enum { TRIPS = 100000 };

struct side {
    struct end *end;
    bool is_asking;
    uint64_t sum;
    uint32_t received;
};

// The asking side sends numbers; the other sends each number's square back. No more are under way than a ring has places, so none is lost.
static void *side_run(void *arg)
{
    struct side *s = arg;
    struct plx_port *port = s->end->port;
    uint32_t sent = 0;
    struct plx_pkt *in[32], *out[32];

    while (s->received < TRIPS) {
        uint16_t want = 32;
        if (s->is_asking) {
            uint32_t under_way = sent - s->received, left = TRIPS - sent;
            want = (uint16_t)(left < 32 ? left : under_way > 200 ? 0 : 32);
        }
        uint16_t room = port->ops->take(port, 0, out, want), used = 0;
        uint16_t got = rx(s->end, in, s->is_asking ? 32 : room);
        for (uint16_t i = 0; i < got; i++) {
            uint64_t number;
            memcpy(&number, in[i]->data, 8);
            s->sum += number;
            if (s->is_asking)
                continue;
            number *= number;
            memcpy(out[used]->data, &number, 8);
            out[used++]->len = 8;
        }
        for (; s->is_asking && used < room; used++) {
            uint64_t number = ++sent;
            memcpy(out[used]->data, &number, 8);
            out[used]->len = 8;
        }
        s->received += got;
        give(s->end, in, got);
        port->ops->tx(port, 0, out, used);
        give(s->end, out + used, (uint16_t)(room - used));
        if (got == 0)
            sched_yield();
    }
    return NULL;
}

static void test_two_threads(void **state)
{
    (void)state;
    for (unsigned asking = 0; asking < 2; asking++) {
        struct end ends[2];
        pthread_t thread[2];
        pair_open(ends, ",rsize=8", 500);
        struct side side[2] = {{.end = &ends[0], .is_asking = asking == 0},
                               {.end = &ends[1], .is_asking = asking == 1}};
        for (unsigned i = 0; i < 2; i++)
            assert_int_equal(pthread_create(&thread[i], NULL, side_run, &side[i]), 0);
        for (unsigned i = 0; i < 2; i++)
            assert_int_equal(pthread_join(thread[i], NULL), 0);
        uint64_t n = TRIPS;
        assert_int_equal(side[1 - asking].sum, n * (n + 1) / 2);
        assert_int_equal(side[asking].sum, n * (n + 1) * (2 * n + 1) / 6);
        pair_close(ends, asking);
    }
}

// --- coming and going ----------------------------------------------------------------------------------------

static void exchange(struct end ends[2], unsigned from, uint8_t mark)
{
    struct plx_pkt *pkt;
    assert_int_equal(ends[from].port->ops->take(ends[from].port, 0, &pkt, 1), 1);
    pkt->len = 100;
    memset(pkt->data, mark, 100);
    assert_int_equal(ends[from].port->ops->tx(ends[from].port, 0, &pkt, 1), 1);
    assert_int_equal(rx(&ends[1 - from], &pkt, 1), 1);
    assert_int_equal(pkt->len, 100);
    assert_true(pkt->data[0] == mark && pkt->data[99] == mark);
    give(&ends[1 - from], &pkt, 1);
}

// One side leaves and comes back, again and again; the other has packets of before in its hands, which stay readable, may be given back when
// there is another, and are sent to it all the same.
static void test_leaving_and_coming_back(void **state)
{
    (void)state;
    for (unsigned leaver = 0; leaver < 2; leaver++) {
        struct end ends[2], *stays = &ends[1 - leaver];
        struct plx_pkt *received[5][8], *taken[5][8], *pkt;
        const struct plx_port_ops *ops;

        pair_open(ends, ",rsize=4", 30);
        ops = stays->port->ops;
        for (unsigned round = 0; round < 5; round++) {
            exchange(ends, 0, 1);
            exchange(ends, 1, 2);
            uint64_t dropped = stats_of(stays).tx_dropped;
            assert_int_equal(ops->take(ends[leaver].port, 0, received[round], 8), 8);
            for (unsigned i = 0; i < 8; i++)
                received[round][i]->len = 70, memset(received[round][i]->data, (int)(round * 16 + i), 70);
            assert_int_equal(ops->tx(ends[leaver].port, 0, received[round], 8), 8);
            assert_int_equal(rx(stays, received[round], 8), 8);
            assert_int_equal(ops->take(stays->port, 0, taken[round], 2), 2);
            end_close(&ends[leaver]);
            while (inside(stays)->is_up)
                assert_int_equal(rx(stays, &pkt, 1), 0);
            assert_int_equal(ops->take(stays->port, 0, &pkt, 1), 1); // nobody is there: it is dropped
            pkt->len = 60;
            assert_int_equal(ops->tx(stays->port, 0, &pkt, 1), 0);
            assert_int_equal(stats_of(stays).tx_dropped, ++dropped);
            end_must_open(&ends[leaver], leaver == 1, ",rsize=4", 30);
            until(&ends[0], &ends[1], true);
            taken[round][0]->len = 60; // of before
            memset(taken[round][0]->data, 0x99, 60);
            assert_int_equal(ops->tx(stays->port, 0, taken[round], 1), 1);
            assert_int_equal(rx(&ends[leaver], &pkt, 1), 1);
            assert_true(pkt->len == 60 && pkt->data[0] == 0x99 && pkt->data[59] == 0x99);
            give(&ends[leaver], &pkt, 1);
            if (round > 0) // of two rounds before: none of them hinders the ring of now
                give(stays, received[round - 1], 8), give(stays, taken[round - 1] + 1, 1);
            for (unsigned i = 0; i < 8; i++)
                assert_true(received[round][i]->data[0] == round * 16 + i &&
                            received[round][i]->data[69] == round * 16 + i);
        }
        give(stays, received[4], 8);
        give(stays, taken[4] + 1, 1);
        assert_null(inside(stays)->retired); // all memory of before is gone
        exchange(ends, 0, 3);
        exchange(ends, 1, 4);
        pair_close(ends, leaver);
    }
}

// A process that is killed says nothing; its end of the channel closes.
static void test_one_is_killed(void **state)
{
    (void)state;
    for (unsigned killed = 0; killed < 2; killed++) {
        struct end ends[2];
        for (unsigned round = 0; round < 3; round++) {
            if (round == 0)
                end_must_open(&ends[1 - killed], killed == 0, ",rsize=5", 100);
            pid_t child = fork();
            assert_true(child >= 0);
            if (child == 0) { // sends as much as goes, and gives nothing back
                struct end e;
                char err[512];
                struct plx_pkt *pkts[32];
                if (end_open(&e, killed == 1, ",rsize=5", 100, err) != PLX_OK)
                    _exit(1);
                for (;;) {
                    uint16_t n = e.port->ops->take(e.port, 0, pkts, 32);
                    for (uint16_t i = 0; i < n; i++)
                        pkts[i]->len = 1000;
                    e.port->ops->tx(e.port, 0, pkts, n);
                    if (rx(&e, pkts, 1) == 1)
                        give(&e, pkts, 1);
                }
            }
            struct end *e = &ends[1 - killed];
            struct plx_pkt *pkts[64];
            for (unsigned got = 0; got < 500;) {
                uint16_t n = rx(e, pkts, 64);
                got += n;
                give(e, pkts, n);
                if (n == 0)
                    sched_yield();
            }
            assert_int_equal(kill(child, SIGKILL), 0);
            int status;
            assert_int_equal(waitpid(child, &status, 0), child);
            assert_true(WIFSIGNALED(status));
            while (inside(e)->is_up)
                give(e, pkts, rx(e, pkts, 64));
            assert_int_equal(stats_of(e).rx_dropped, 0);
        }
        end_close(&ends[1 - killed]);
        unlink(path); // of a server that was killed
    }
}

static void test_who_may_not(void **state)
{
    (void)state;
    static const struct {
        const char *server, *client, *says;
    } row[] = {
        {",secret=one", ",secret=two", "wrong secret"},
        {",secret=one", "", "wrong secret"},
        {",id=1", ",id=2", "no interface of that id"},
    };
    for (unsigned i = 0; i < sizeof row / sizeof *row; i++) {
        struct end ends[2];
        struct plx_pkt *pkt;
        end_must_open(&ends[1], true, row[i].server, 0);
        end_must_open(&ends[0], false, row[i].client, 0);
        while (strstr(inside(&ends[0])->control.why, row[i].says) == NULL) {
            assert_int_equal(rx(&ends[0], &pkt, 1), 0);
            assert_int_equal(rx(&ends[1], &pkt, 1), 0);
            assert_false(inside(&ends[0])->is_up || inside(&ends[1])->is_up);
        }
        assert_true(inside(&ends[0])->pool->count > 0); // it has shared nothing
        end_close(&ends[0]);
        end_must_open(&ends[0], false, row[i].server, 0); // who may finds nothing in his way
        until(&ends[0], &ends[1], true);
        pair_close(ends, 0);
    }
    struct end ends[2], third; // a secret where none is wanted is no harm; one client is enough
    end_must_open(&ends[1], true, "", 0);
    end_must_open(&ends[0], false, ",secret=x", 0);
    until(&ends[0], &ends[1], true);
    end_must_open(&third, false, "", 0);
    while (strstr(inside(&third)->control.why, "there is a client already") == NULL) {
        struct plx_pkt *pkt;
        rx(&third, &pkt, 1);
        rx(&ends[1], &pkt, 1);
    }
    exchange(ends, 0, 1);
    end_close(&ends[0]);
    until(&third, &ends[1], true); // its turn
    end_close(&third);
    end_close(&ends[1]);
}

int main(void)
{
    snprintf(path, sizeof path, "/tmp/plx-test-memif-%d.sock", (int)getpid());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_wrong_is_said),
        cmocka_unit_test(test_open),
        cmocka_unit_test(test_stale_socket),
        cmocka_unit_test(test_open_waits),
        cmocka_unit_test(test_operations),
        cmocka_unit_test(test_pool),
        cmocka_unit_test(test_two_threads),
        cmocka_unit_test(test_leaving_and_coming_back),
        cmocka_unit_test(test_one_is_killed),
        cmocka_unit_test(test_who_may_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
