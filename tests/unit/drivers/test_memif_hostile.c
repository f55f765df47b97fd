// test_memif_hostile.c -- the memif driver against peers who lie: on the control channel, and in the memory that both can write to. Whoever
// lies is told so and disconnected, the drop is counted, nothing outside of the memory is touched (the sanitizers watch), and the next one
// who comes is served.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/prng.h"
#include "drivers/memif/memif.h"

static char path[64];

static struct memif_port *port_open(const char *role)
{
    char args[256], err[512] = "";
    struct plx_port_caps caps;
    snprintf(args, sizeof args, "role=%s,socket=%s,wait=0,rsize=4,secret=sesame", role, path);
    struct plx_port_cfg cfg = {.args = args, .queues = 1, .numa_node = -1, .buffers = 40};
    struct plx_port *port = plx_port_memif();
    assert_non_null(port);
    if (port->ops->open(port, &cfg, &caps, err, sizeof err) != PLX_OK)
        fail_msg("%s", err);
    return (struct memif_port *)port;
}

static void port_close(struct memif_port *p)
{
    p->port.ops->close(&p->port);
    plx_port_free(&p->port);
}

static void nothing_comes(struct memif_port *p)
{
    struct plx_pkt *pkt;
    assert_int_equal(p->port.ops->rx(&p->port, 0, &pkt, 1), 0);
}

static uint64_t dropped(struct memif_port *p)
{
    struct plx_port_stats s;
    p->port.ops->stats(&p->port, 0, &s);
    return s.rx_dropped;
}

// --- a peer by hand ------------------------------------------------------------------------------------------

static struct sockaddr_un address(void)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(un.sun_path, sizeof un.sun_path, "%s", path);
    return un;
}

// len octets, with count descriptors.
static void say(int fd, const void *m, size_t len, const int *fds, unsigned count)
{
    union {
        struct cmsghdr align;
        char octets[CMSG_SPACE(4 * sizeof(int))];
    } control = {.octets = {0}};
    struct iovec iov = {.iov_base = (void *)(uintptr_t)m, .iov_len = len};
    struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
    if (count > 0) {
        mh.msg_control = control.octets;
        mh.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&mh);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(c), fds, count * sizeof(int));
    }
    (void)sendmsg(fd, &mh, MSG_NOSIGNAL); // it may have hung up already
}

static void say_message(int fd, const struct memif_msg *m, int passed)
{
    say(fd, m, sizeof *m, &passed, passed >= 0);
}

// The next message of the port, which is polled until it comes; type 0 at the end of the channel.
static struct memif_msg hear(struct memif_port *p, int fd, int *passed)
{
    struct memif_msg m = {0};
    union {
        struct cmsghdr align;
        char octets[CMSG_SPACE(sizeof(int))];
    } control;
    for (;;) {
        struct iovec iov = {.iov_base = &m, .iov_len = sizeof m};
        struct msghdr mh = {
            .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
        ssize_t n = recvmsg(fd, &mh, MSG_DONTWAIT);
        if (n < 0) {
            nothing_comes(p);
            continue;
        }
        if (n == 0)
            return (struct memif_msg){0};
        assert_int_equal(n, sizeof m);
        const struct cmsghdr *c = CMSG_FIRSTHDR(&mh);
        int got = -1;
        if (c != NULL)
            memcpy(&got, CMSG_DATA(c), sizeof got);
        if (passed != NULL)
            *passed = got;
        else if (got >= 0)
            close(got);
        return m;
    }
}

// It says why it will have no more of this, and hangs up.
static void must_be_thrown_out(struct memif_port *p, int fd, const char *reason, unsigned row)
{
    struct memif_msg m;
    do
        m = hear(p, fd, NULL);
    while (m.type != MEMIF_DISCONNECT && m.type != 0);
    if (m.type != MEMIF_DISCONNECT || strstr(m.disconnect.reason, reason) == NULL)
        fail_msg("row %u: type %u, \"%.90s\" where \"%s\" was expected", row, m.type, m.disconnect.reason,
                 reason);
    assert_int_equal(hear(p, fd, NULL).type, 0);
    assert_false(p->is_up);
    close(fd);
}

// --- against a server ------------------------------------------------------------------------------------------

enum { RING_LOG2 = 4, PLACES = 1 << RING_LOG2, RING_BYTES = MEMIF_RING_HEADER + 16 * PLACES };
enum { REGION = 16384 };

static int dial(struct memif_port *p)
{
    struct sockaddr_un un = address();
    int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof un), 0);
    struct memif_msg hello = hear(p, fd, NULL);
    assert_int_equal(hello.type, MEMIF_HELLO);
    assert_true(hello.hello.version_min <= MEMIF_VERSION && hello.hello.version_max >= MEMIF_VERSION);
    assert_int_equal(hello.hello.ring_last_to_server, 0);
    return fd;
}

static struct memif_msg good_init(void)
{
    return (struct memif_msg){.type = MEMIF_INIT, .init = {.version = MEMIF_VERSION, .secret = "sesame"}};
}

static int memory(size_t size, bool is_sealed)
{
    int fd = memfd_create("hostile", MFD_ALLOW_SEALING);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    if (is_sealed)
        assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
    return fd;
}

// What a client does up to a step, well, with both rings at the beginning of one region.
static uint8_t *good_client(struct memif_port *p, int fd, unsigned steps)
{
    struct memif_msg m = good_init();
    say_message(fd, &m, -1);
    assert_int_equal(hear(p, fd, NULL).type, MEMIF_ACK);
    if (steps < 2)
        return NULL;
    int mem_fd = memory(REGION, true);
    uint8_t *mem = mmap(NULL, REGION, PROT_READ | PROT_WRITE, MAP_SHARED, mem_fd, 0);
    assert_true(mem != MAP_FAILED);
    for (unsigned i = 0; i < 2; i++)
        ((struct memif_ring *)(mem + i * RING_BYTES))->cookie = MEMIF_COOKIE;
    m = (struct memif_msg){.type = MEMIF_ADD_REGION, .region = {.index = 0, .size = REGION}};
    say_message(fd, &m, mem_fd);
    close(mem_fd);
    assert_int_equal(hear(p, fd, NULL).type, MEMIF_ACK);
    for (unsigned i = 0; i < 2 && steps >= 3 + i; i++) {
        m = (struct memif_msg){.type = MEMIF_ADD_RING,
                               .ring = {.flags = i == 0 ? MEMIF_RING_TO_SERVER : 0,
                                        .offset = i * RING_BYTES,
                                        .log2 = RING_LOG2}};
        say_message(fd, &m, -1);
        assert_int_equal(hear(p, fd, NULL).type, MEMIF_ACK);
    }
    if (steps >= 5) {
        m = (struct memif_msg){.type = MEMIF_CONNECT};
        say_message(fd, &m, -1);
        assert_int_equal(hear(p, fd, NULL).type, MEMIF_CONNECTED);
        assert_true(p->is_up);
    }
    return mem;
}

static void test_messages_to_a_server(void **state)
{
    (void)state;
    struct memif_msg wrong_secret = good_init(), no_version = good_init(), no_mode = good_init(),
                     no_id = good_init();
    wrong_secret.init.secret[0] = 'S';
    no_version.init.version = 0x0100;
    no_mode.init.mode = 1;
    no_id.init.id = 5;
#define RING(...)                                       \
    {                                                   \
        .type = MEMIF_ADD_RING, .ring = { __VA_ARGS__ } \
    }
    struct {
        struct memif_msg m;
        unsigned after; // how many good ones before it
        int file;       // 0: none, else octets of the one passed
        bool is_open;   // not sealed
        const char *says;
    } row[] = {
        {{.type = 0}, 0, 0, false, "unexpected"},
        {{.type = 9}, 1, 0, false, "unexpected"},
        {{.type = MEMIF_HELLO}, 0, 0, false, "unexpected"},
        {{.type = MEMIF_ACK}, 1, 0, false, "unexpected"},
        {{.type = MEMIF_CONNECTED}, 4, 0, false, "unexpected"},
        {{.type = MEMIF_CONNECT}, 0, 0, false, "unexpected"},
        {{.type = MEMIF_ADD_REGION, .region.size = 4096}, 0, 4096, false, "unexpected"},
        {good_init(), 1, 0, false, "unexpected"},
        {good_init(), 5, 0, false, "unexpected"},
        {wrong_secret, 0, 0, false, "wrong secret"},
        {no_version, 0, 0, false, "version"},
        {no_mode, 0, 0, false, "Ethernet"},
        {no_id, 0, 0, false, "id"},
        {{.type = MEMIF_ADD_REGION, .region = {.index = 0, .size = 4096}},
         1,
         0,
         false,
         "without its descriptor"},
        {{.type = MEMIF_ADD_REGION, .region = {.index = 1, .size = 4096}}, 1, 4096, false, "in order"},
        {{.type = MEMIF_ADD_REGION, .region = {.index = 0, .size = 4096}}, 2, 4096, false, "in order"},
        {{.type = MEMIF_ADD_REGION, .region = {.index = 0, .size = 4097}},
         1,
         4096,
         false,
         "larger than its file"},
        {{.type = MEMIF_ADD_REGION, .region = {.index = 0, .size = UINT64_MAX}},
         1,
         4096,
         false,
         "larger than its file"},
        {{.type = MEMIF_ADD_REGION, .region = {.index = 0, .size = 0}},
         1,
         4096,
         false,
         "larger than its file"},
        {{.type = MEMIF_ADD_REGION, .region = {.index = 0, .size = 4096}}, 1, 4096, true, "not sealed"},
        {{.type = MEMIF_ADD_REGION, .region = {.index = 1, .size = 4096}}, 5, 4096, false, "unexpected"},
        {RING(.flags = 1, .log2 = 15), 2, 0, false, "16384"},
        {RING(.flags = 1, .log2 = 255), 2, 0, false, "16384"},
        {RING(.flags = 1, .log2 = 4, .index = 1), 2, 0, false, "one ring each way"},
        {RING(.flags = 1, .log2 = 4), 3, 0, false, "one ring each way"},
        {RING(.flags = 1, .log2 = 4, .region = 1), 2, 0, false, "region that there is not"},
        {RING(.flags = 1, .log2 = 4, .region = UINT16_MAX), 2, 0, false, "region that there is not"},
        {RING(.flags = 1, .log2 = 4), 1, 0, false, "region that there is not"},
        {RING(.flags = 1, .log2 = 4, .offset = 1), 2, 0, false, "inside"},
        {RING(.flags = 1, .log2 = 4, .offset = REGION - RING_BYTES + 16), 2, 0, false, "inside"},
        {RING(.flags = 1, .log2 = 4, .offset = UINT32_MAX - 15), 2, 0, false, "inside"},
        {RING(.flags = 1, .log2 = 14), 2, 0, false, "inside"},
        {RING(.flags = 1, .log2 = 4, .private_header = 8), 2, 0, false, "private"},
        {{.type = MEMIF_CONNECT}, 1, 0, false, "not all rings"},
        {{.type = MEMIF_CONNECT}, 3, 0, false, "not all rings"},
        {{.type = MEMIF_CONNECT}, 5, 0, false, "unexpected"},
    };
#undef RING
    struct memif_port *p = port_open("server");
    for (unsigned i = 0; i < sizeof row / sizeof *row; i++) {
        int fd = dial(p), file = row[i].file > 0 ? memory((size_t)row[i].file, !row[i].is_open) : -1;
        uint8_t *mem = row[i].after > 0 ? good_client(p, fd, row[i].after) : NULL;
        say_message(fd, &row[i].m, file);
        must_be_thrown_out(p, fd, row[i].says, i);
        if (mem != NULL)
            munmap(mem, REGION);
        if (file >= 0)
            close(file);
    }

    int fd = dial(p); // a file that is none of memory
    good_client(p, fd, 1);
    int file = open("/proc/self/exe", O_RDONLY);
    struct memif_msg m = {.type = MEMIF_ADD_REGION, .region.size = 4096};
    say_message(fd, &m, file);
    must_be_thrown_out(p, fd, "not sealed", 100);
    close(file);

    fd = dial(p); // no cookie
    uint8_t *mem = good_client(p, fd, 4);
    ((struct memif_ring *)(mem + RING_BYTES))->cookie++;
    m = (struct memif_msg){.type = MEMIF_CONNECT};
    say_message(fd, &m, -1);
    must_be_thrown_out(p, fd, "cookie", 101);
    munmap(mem, REGION);

    for (unsigned i = 0; i < 3; i++) { // too short, too long, too many descriptors
        static const char octets[300];
        int fds[4] = {0, 0, 0, 0};
        fd = dial(p);
        good_client(p, fd, 1);
        say(fd, octets, i == 0 ? 127 : i == 1 ? 129 : 128, fds, i == 2 ? 4 : 0);
        must_be_thrown_out(p, fd, "128 octets", 200 + i);
    }

    fd = dial(p); // says nothing: another one has his turn in time
    must_be_thrown_out(p, fd, "no answer", 300);
    port_close(p);
}

// Regions without end: they are counted.
static void test_many_regions(void **state)
{
    (void)state;
    struct memif_port *p = port_open("server");
    int fd = dial(p), file = memory(4096, true);
    good_client(p, fd, 1);
    for (uint16_t i = 0; i <= MEMIF_REGIONS_MAX; i++) {
        struct memif_msg m = {.type = MEMIF_ADD_REGION, .region = {.index = i, .size = 4096}};
        say_message(fd, &m, file);
        if (i < MEMIF_REGIONS_MAX)
            assert_int_equal(hear(p, fd, NULL).type, MEMIF_ACK);
    }
    must_be_thrown_out(p, fd, "too many", 0);
    close(file);
    port_close(p);
}

static void test_rings_of_a_client(void **state)
{
    (void)state;
    static const struct {
        uint16_t region;
        uint32_t offset, length;
        uint16_t head;
        const char *says; // NULL: it is a packet
    } row[] = {
        {0, 8192, 60, 1, NULL},
        {0, 0, REGION, 1, NULL}, // all of it, with its own descriptor: his affair
        {0, REGION - 60, 60, 1, NULL},
        {0, REGION, 0, 1, NULL},
        {0, REGION - 59, 60, 1, "inside"},
        {0, REGION + 1, 0, 1, "inside"},
        {0, 0, REGION + 1, 1, "inside"},
        {0, UINT32_MAX, 60, 1, "inside"},
        {0, UINT32_MAX, UINT32_MAX, 1, "inside"},
        {0, 64, UINT32_MAX - 32, 1, "inside"},
        {1, 0, 60, 1, "inside"},
        {MEMIF_REGIONS_MAX, 0, 60, 1, "inside"},
        {UINT16_MAX, 0, 60, 1, "inside"},
        {0, 8192, 60, PLACES, NULL},
        {0, 8192, 60, PLACES + 1, "more packets"},
        {0, 8192, 60, UINT16_MAX, "more packets"},
        {0, 8192, 60, 0x8000, "more packets"},
    };
    struct memif_port *p = port_open("server");
    for (unsigned i = 0; i < sizeof row / sizeof *row; i++) {
        int fd = dial(p);
        uint8_t *mem = good_client(p, fd, 5);
        struct memif_ring *ring = (struct memif_ring *)mem;
        for (unsigned n = 0; n < PLACES; n++)
            memif_desc_write(&ring->desc[n], row[i].region, row[i].length, row[i].offset);
        memif_counter_move(&ring->head, row[i].head);
        struct plx_pkt *pkts[64];
        uint64_t before = dropped(p);
        uint16_t n = p->port.ops->rx(&p->port, 0, pkts, 64);
        assert_int_equal(n, row[i].says == NULL ? row[i].head : 0);
        for (unsigned k = 0; k < n; k++) {
            assert_int_equal(pkts[k]->len, row[i].length);
            assert_true(pkts[k]->cap >= pkts[k]->len);
            if (row[i].offset > 4096)
                memset(pkts[k]->data, 0x55, pkts[k]->cap); // inside of the memory
        }
        p->port.ops->give(&p->port, 0, pkts, n);
        if (row[i].says != NULL) {
            assert_int_equal(dropped(p), before + 1);
            must_be_thrown_out(p, fd, row[i].says, i);
        } else {
            assert_int_equal(memif_counter_look(&ring->tail), row[i].head);
            close(fd);
        }
        munmap(mem, REGION);
    }
    port_close(p);
}

// Halves of packets, and a head that moves backwards with packets out.
static void test_chains_and_heads(void **state)
{
    (void)state;
    struct memif_port *p = port_open("server");
    int fd = dial(p);
    uint8_t *mem = good_client(p, fd, 5);
    struct memif_ring *ring = (struct memif_ring *)mem;
    struct plx_pkt *pkts[64];

    for (unsigned n = 0; n < PLACES; n++) {
        memif_desc_write(&ring->desc[n], 0, 60, 8192 + 64 * n);
        if (n == 2 || n == 3 || n == 7) // 2, 3 and 4 are one packet, and 7 and 8
            ring->desc[n].flags = MEMIF_DESC_NEXT;
    }
    memif_counter_move(&ring->head, 8); // the last one is not all there yet
    assert_int_equal(p->port.ops->rx(&p->port, 0, pkts, 64), 4);
    assert_int_equal(dropped(p), 1);
    memif_counter_move(&ring->head, 10);
    assert_int_equal(p->port.ops->rx(&p->port, 0, pkts + 4, 64), 1);
    assert_int_equal(dropped(p), 2);
    static const unsigned places[] = {0, 1, 5, 6, 9};
    for (unsigned n = 0; n < 5; n++)
        assert_int_equal(pkts[n]->data - pkts[0]->data, 64 * places[n]);
    assert_int_equal(memif_counter_look(&ring->tail), 0);
    p->port.ops->give(&p->port, 0, pkts + 1, 4); // back out of turn
    assert_int_equal(memif_counter_look(&ring->tail), 0);
    memif_counter_move(&ring->head, 9); // backwards
    assert_int_equal(p->port.ops->rx(&p->port, 0, pkts + 1, 64), 0);
    p->port.ops->give(&p->port, 0, pkts, 1);
    must_be_thrown_out(p, fd, "more packets", 0);
    assert_null(p->retired);
    munmap(mem, REGION);
    port_close(p);
}

static void test_offers_of_a_client(void **state)
{
    (void)state;
    static const struct {
        uint16_t region;
        uint32_t offset, length;
        uint16_t head;
        bool is_sent;
        const char *says;
    } row[] = {
        {0, 8192, 100, 1, true, NULL},
        {0, REGION - 100, 100, 1, true, NULL},
        {0, 8192, 99, 1, false, NULL}, // too short for the packet: it is dropped
        {0, REGION - 99, 100, 1, false, "inside"},
        {0, UINT32_MAX, UINT32_MAX, 1, false, "inside"},
        {1, 0, 100, 1, false, "inside"},
        {UINT16_MAX, 0, 100, 1, false, "inside"},
        {0, 8192, 100, 0, false, NULL}, // none
        {0, 8192, 100, PLACES + 1, false, "more buffers"},
        {0, 8192, 100, UINT16_MAX, false, "more buffers"},
    };
    struct memif_port *p = port_open("server");
    for (unsigned i = 0; i < sizeof row / sizeof *row; i++) {
        int fd = dial(p);
        uint8_t *mem = good_client(p, fd, 5);
        struct memif_ring *ring = (struct memif_ring *)(mem + RING_BYTES);
        for (unsigned n = 0; n < PLACES; n++)
            memif_desc_write(&ring->desc[n], row[i].region, row[i].length, row[i].offset);
        memif_counter_move(&ring->head, row[i].head);
        struct plx_pkt *pkt;
        assert_int_equal(p->port.ops->take(&p->port, 0, &pkt, 1), 1);
        pkt->len = 100;
        memset(pkt->data, 0x77, 100);
        assert_int_equal(p->port.ops->tx(&p->port, 0, &pkt, 1), row[i].is_sent);
        assert_int_equal(memif_counter_look(&ring->tail), row[i].is_sent);
        if (row[i].is_sent)
            assert_true(ring->desc[0].length == 100 && mem[row[i].offset] == 0x77 &&
                        mem[row[i].offset + 99] == 0x77);
        if (row[i].says != NULL)
            must_be_thrown_out(p, fd, row[i].says, i);
        else
            close(fd);
        munmap(mem, REGION);
    }
    port_close(p);
}

// --- against a client ------------------------------------------------------------------------------------------

static int listener(void)
{
    struct sockaddr_un un = address();
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);
    unlink(path);
    assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof un), 0);
    assert_int_equal(listen(fd, 4), 0);
    return fd;
}

static int answer(struct memif_port *p, int listen_fd)
{
    int fd;
    while ((fd = accept(listen_fd, NULL, NULL)) < 0)
        nothing_comes(p);
    return fd;
}

static struct memif_msg good_hello(void)
{
    return (struct memif_msg){
        .type = MEMIF_HELLO,
        .hello = {.version_min = MEMIF_VERSION, .version_max = MEMIF_VERSION, .ring_log2_max = RING_LOG2}};
}

// What a server does up to a step, well. The client's region is mapped as soon as it is known.
static uint8_t *good_server(struct memif_port *p, int fd, unsigned steps, uint64_t *size)
{
    struct memif_msg m = good_hello(), ack = {.type = MEMIF_ACK};
    uint8_t *mem = NULL;
    int passed;

    say_message(fd, &m, -1);
    m = hear(p, fd, NULL);
    assert_int_equal(m.type, MEMIF_INIT);
    assert_string_equal(m.init.secret, "sesame");
    if (steps >= 2) {
        say_message(fd, &ack, -1);
        m = hear(p, fd, &passed);
        assert_int_equal(m.type, MEMIF_ADD_REGION);
        assert_true(passed >= 0 && (fcntl(passed, F_GET_SEALS) & F_SEAL_SHRINK) != 0);
        *size = m.region.size;
        mem = mmap(NULL, m.region.size, PROT_READ | PROT_WRITE, MAP_SHARED, passed, 0);
        assert_true(mem != MAP_FAILED);
        close(passed);
    }
    for (unsigned i = 0; i < 2 && steps >= 3 + i; i++) {
        say_message(fd, &ack, -1);
        m = hear(p, fd, &passed);
        assert_int_equal(m.type, MEMIF_ADD_RING);
        assert_int_equal(m.ring.flags, i == 0 ? MEMIF_RING_TO_SERVER : 0);
        assert_true(m.ring.log2 == RING_LOG2 && m.ring.offset == i * RING_BYTES && passed >= 0);
        close(passed);
    }
    if (steps >= 5) {
        say_message(fd, &ack, -1);
        assert_int_equal(hear(p, fd, NULL).type, MEMIF_CONNECT);
        m = (struct memif_msg){.type = MEMIF_CONNECTED};
        say_message(fd, &m, -1);
        while (!p->is_up)
            nothing_comes(p);
    }
    return mem;
}

static void test_messages_to_a_client(void **state)
{
    (void)state;
    struct memif_msg old = good_hello(), young = good_hello(), tiny = good_hello();
    old.hello.version_max = 0x0100, old.hello.version_min = 0x0100;
    young.hello.version_min = 0x0300, young.hello.version_max = 0x0300;
    tiny.hello.ring_log2_max = 2;
    const struct {
        struct memif_msg m;
        unsigned after;
        const char *says;
    } row[] = {
        {old, 0, "version"},
        {young, 0, "version"},
        {tiny, 0, "8 places"},
        {{.type = MEMIF_ACK}, 0, "unexpected"},
        {{.type = MEMIF_INIT}, 0, "unexpected"},
        {{.type = 77}, 0, "unexpected"},
        {good_hello(), 1, "unexpected"},
        {{.type = MEMIF_CONNECTED}, 1, "unexpected"},
        {{.type = MEMIF_CONNECTED}, 4, "unexpected"},
        {{.type = MEMIF_ACK}, 5, "unexpected"},
        {{.type = MEMIF_CONNECTED}, 5, "unexpected"},
    };
    int listen_fd = listener();
    struct memif_port *p = port_open("client");
    for (unsigned i = 0; i < sizeof row / sizeof *row; i++) {
        uint64_t size = 0;
        int fd = answer(p, listen_fd);
        uint8_t *mem = row[i].after > 0 ? good_server(p, fd, row[i].after, &size) : NULL;
        say_message(fd, &row[i].m, -1);
        must_be_thrown_out(p, fd, row[i].says, i);
        if (mem != NULL)
            munmap(mem, size);
    }
    int fd = answer(p, listen_fd); // hangs up at once
    close(fd);
    fd = answer(p, listen_fd);
    must_be_thrown_out(p, fd, "no answer", 100);
    port_close(p);
    close(listen_fd);
}

static void test_rings_of_a_server(void **state)
{
    (void)state;
    static const struct {
        uint16_t filled, fetched; // the two counters that are the server's
        uint32_t length;
        uint16_t flags, got;
        uint64_t dropped;
        const char *says;
    } row[] = {
        {1, 0, 60, 0, 1, 0, NULL},
        {PLACES, 0, 2048, 0, PLACES, 0, NULL},
        {PLACES + 1, 0, 60, 0, 0, 1, "more buffers"},
        {UINT16_MAX, 0, 60, 0, 0, 1, "more buffers"},
        {2, 0, 2049, 0, 0, 1, "longer than its buffer"},
        {2, 0, UINT32_MAX, 0, 0, 1, "longer than its buffer"},
        {3, 0, 60, MEMIF_DESC_NEXT, 0, 0, NULL}, // never ends
        {0, 3, 60, 0, 0, 0, NULL},
        {0, 4, 60, 0, 0, 1, "more packets were fetched"},
        {0, UINT16_MAX, 60, 0, 0, 1, "more packets were fetched"},
    };
    int listen_fd = listener();
    struct memif_port *p = port_open("client");
    for (unsigned i = 0; i < sizeof row / sizeof *row; i++) {
        uint64_t size = 0, before = dropped(p);
        int fd = answer(p, listen_fd);
        uint8_t *mem = good_server(p, fd, 5, &size);
        struct memif_ring *out = (struct memif_ring *)mem, *in = (struct memif_ring *)(mem + RING_BYTES);
        struct plx_pkt *pkts[500];
        uint32_t free_before = p->pool->free_count;

        assert_int_equal(p->port.ops->take(&p->port, 0, pkts, 3), 3);
        for (unsigned n = 0; n < 3; n++)
            pkts[n]->len = 60;
        assert_int_equal(p->port.ops->tx(&p->port, 0, pkts, 3), 3);
        for (unsigned n = 0; n < 3; n++)
            assert_true(out->desc[n].length == 60 && out->desc[n].offset + 60ul <= size);
        for (unsigned n = 0; n < PLACES; n++) {
            in->desc[n].length = row[i].length;
            in->desc[n].flags = row[i].flags;
            in->desc[n].offset = UINT32_MAX; // nobody reads it back
            in->desc[n].region = UINT16_MAX;
        }
        memif_counter_move(&in->tail, row[i].filled);
        memif_counter_move(&out->tail, row[i].fetched);
        uint16_t n = p->port.ops->rx(&p->port, 0, pkts, 64);
        assert_int_equal(n, row[i].got);
        for (unsigned k = 0; k < n; k++)
            assert_true(pkts[k]->len == row[i].length && pkts[k]->data >= p->pool->region[0].mem &&
                        pkts[k]->data + pkts[k]->cap <= p->pool->region[0].mem + p->pool->region[0].size);
        p->port.ops->give(&p->port, 0, pkts, n);
        n = p->port.ops->take(&p->port, 0, pkts, 250); // all there are, so that it looks what was fetched
        uint16_t more = p->port.ops->take(&p->port, 0, pkts + n, 250);
        p->port.ops->give(&p->port, 0, pkts, (uint16_t)(n + more));
        assert_int_equal(dropped(p), before + row[i].dropped);
        if (row[i].says != NULL)
            must_be_thrown_out(p, fd, row[i].says, i);
        else
            close(fd);
        if (row[i].says == NULL && row[i].fetched == 3)
            assert_int_equal(p->pool->free_count, free_before);
        munmap(mem, size);
    }
    port_close(p);
    close(listen_fd);
    unlink(path);
}

// Both sides of the ring at random, for long: whatever comes of it, it stays inside.
static void test_random_memory(void **state)
{
    (void)state;
    struct memif_port *p = port_open("server");
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct plx_prng r;
        plx_prng_init(&r, seed);
        int fd = dial(p);
        uint8_t *mem = good_client(p, fd, 5);
        for (unsigned step = 0; step < 40 && p->is_up; step++) {
            struct plx_pkt *pkts[64];
            for (unsigned i = 0; i < 4; i++) {
                uint64_t word = plx_prng_u64(&r);
                size_t at = (size_t)plx_prng_below(&r, 2 * RING_BYTES / 8) * 8;
                if (plx_prng_below(&r, 4) > 0) // mostly small numbers: they get further
                    word &= 0x00003fff00000000;
                memcpy(mem + at, &word, 8);
            }
            if (plx_prng_below(&r, 2) == 0)
                ((struct memif_ring *)mem)->head =
                    (uint16_t)(((struct memif_ring *)mem)->tail + plx_prng_below(&r, PLACES + 1));
            uint16_t n = p->port.ops->rx(&p->port, 0, pkts, 64);
            for (unsigned i = 0; i < n; i++)
                pkts[i]->data[0] ^= 1;
            p->port.ops->give(&p->port, 0, pkts, n);
            n = p->port.ops->take(&p->port, 0, pkts, 8);
            for (unsigned i = 0; i < n; i++)
                pkts[i]->len = 300;
            p->port.ops->tx(&p->port, 0, pkts, n);
        }
        close(fd);
        while (p->control.state != MEMIF_DOWN)
            nothing_comes(p);
        munmap(mem, REGION);
    }
    port_close(p);
}

int main(void)
{
    snprintf(path, sizeof path, "/tmp/plx-test-hostile-%d.sock", (int)getpid());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages_to_a_server), cmocka_unit_test(test_many_regions),
        cmocka_unit_test(test_rings_of_a_client),    cmocka_unit_test(test_chains_and_heads),
        cmocka_unit_test(test_offers_of_a_client),   cmocka_unit_test(test_messages_to_a_client),
        cmocka_unit_test(test_rings_of_a_server),    cmocka_unit_test(test_random_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
