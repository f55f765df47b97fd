// fuzz_memif.c -- the memif driver against a peer made of octets: messages on the control channel, and what it writes to the shared memory.
//
// The first octet chooses the driver's role; then each operation is an octet and what it takes. Nothing may be touched outside of the
// memory (ASan), no promise may break, and every packet comes back.

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "drivers/memif/memif.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { REGION = 16384, RING_LOG2 = 4, RING_BYTES = MEMIF_RING_HEADER + (16 << RING_LOG2), HELD_MAX = 64 };

struct peer {
    struct memif_port *port;
    const uint8_t *at, *end; // what is left of the input
    int fd, listen_fd;       // our end of the channel, -1; where we listen when the driver is the client
    int mem_fd;              // what we pass; what a client has passed to us
    uint8_t *mem;
    size_t mem_size;
    uint64_t now;
    struct plx_pkt *held[HELD_MAX];
    unsigned held_count;
};

static uint64_t eat(struct peer *w, unsigned octets)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < octets && w->at < w->end; i++)
        v |= (uint64_t)*w->at++ << 8 * i;
    return v;
}

static struct sockaddr_un address(void)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(un.sun_path, sizeof un.sun_path, "/tmp/plx-fuzz-memif-%d.sock", (int)getpid());
    return un;
}

// --- the channel ---------------------------------------------------------------------------------------------

static void mem_set(struct peer *w, int fd, size_t size)
{
    if (w->mem != NULL)
        munmap(w->mem, w->mem_size);
    w->mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    plx_check(w->mem != MAP_FAILED);
    w->mem_size = size;
}

// What the driver says; a client's region is mapped.
static void hear(struct peer *w)
{
    while (w->fd >= 0) {
        struct memif_msg m;
        union {
            struct cmsghdr align;
            char octets[CMSG_SPACE(sizeof(int))];
        } control;
        struct iovec iov = {.iov_base = &m, .iov_len = sizeof m};
        struct msghdr mh = {
            .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
        ssize_t n = recvmsg(w->fd, &mh, MSG_DONTWAIT);
        if (n <= 0)
            return;
        plx_check(n == (ssize_t)sizeof m && m.type >= MEMIF_ACK && m.type <= MEMIF_DISCONNECT);
        const struct cmsghdr *c = CMSG_FIRSTHDR(&mh);
        if (c == NULL)
            continue;
        int fd;
        memcpy(&fd, CMSG_DATA(c), sizeof fd);
        if (m.type == MEMIF_ADD_REGION)
            mem_set(w, fd, m.region.size);
        close(fd);
    }
}

static void look(struct peer *w, uint64_t us)
{
    w->now += us;
    memif_control_look(w->port, w->now);
    hear(w);
}

static void say(struct peer *w, const struct memif_msg *m, bool pass)
{
    union {
        struct cmsghdr align;
        char octets[CMSG_SPACE(sizeof(int))];
    } control = {.octets = {0}};
    struct iovec iov = {.iov_base = (void *)(uintptr_t)m, .iov_len = sizeof *m};
    struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
    if (pass) {
        mh.msg_control = &control;
        mh.msg_controllen = sizeof control;
        struct cmsghdr *c = CMSG_FIRSTHDR(&mh);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &w->mem_fd, sizeof w->mem_fd);
    }
    if (w->fd >= 0)
        (void)sendmsg(w->fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT);
    look(w, 1);
}

// A channel of ours: the old one ends.
static void redial(struct peer *w)
{
    struct sockaddr_un un = address();
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
    look(w, 1);
    if (w->listen_fd >= 0) {
        look(w, MEMIF_RETRY_US + 1);
        w->fd = accept(w->listen_fd, NULL, NULL);
    } else {
        w->fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
        plx_check(connect(w->fd, (struct sockaddr *)&un, sizeof un) == 0);
        look(w, 1);
    }
}

// Everything as it should be, up to where packets flow, unless something was said before.
static void shake(struct peer *w)
{
    struct memif_msg m = {
        .type = MEMIF_HELLO,
        .hello = {.version_min = MEMIF_VERSION, .version_max = MEMIF_VERSION, .ring_log2_max = RING_LOG2}};
    if (w->listen_fd >= 0) {
        say(w, &m, false);
        for (unsigned i = 0; i < 4; i++)
            say(w, &(struct memif_msg){.type = MEMIF_ACK}, false);
        say(w, &(struct memif_msg){.type = MEMIF_CONNECTED}, false);
        return;
    }
    memset(w->mem, 0, REGION);
    for (unsigned i = 0; i < 2; i++)
        ((struct memif_ring *)(w->mem + i * RING_BYTES))->cookie = MEMIF_COOKIE;
    say(w, &(struct memif_msg){.type = MEMIF_INIT, .init.version = MEMIF_VERSION}, false);
    say(w, &(struct memif_msg){.type = MEMIF_ADD_REGION, .region.size = REGION}, true);
    for (unsigned i = 0; i < 2; i++)
        say(w,
            &(struct memif_msg){.type = MEMIF_ADD_RING,
                                .ring = {.flags = i == 0, .offset = i * RING_BYTES, .log2 = RING_LOG2}},
            false);
    say(w, &(struct memif_msg){.type = MEMIF_CONNECT}, false);
}

// --- packets -------------------------------------------------------------------------------------------------

static void packets(struct peer *w, unsigned how)
{
    struct plx_port *port = &w->port->port;
    unsigned room = HELD_MAX - w->held_count, n = how % 16;

    n = n < room ? n : room;
    if ((how & 16) != 0) {
        unsigned got = port->ops->rx(port, 0, w->held + w->held_count, (uint16_t)n);
        plx_check(got <= n);
        for (unsigned i = 0; i < got; i++)
            for (unsigned b = 0; b < w->held[w->held_count + i]->cap; b++)
                w->held[w->held_count + i]->data[b] ^= 1; // all of it is there
        w->held_count += got;
    }
    if ((how & 32) != 0) {
        struct plx_pkt *pkts[16];
        unsigned got = port->ops->take(port, 0, pkts, 16);
        for (unsigned i = 0; i < got; i++)
            pkts[i]->len = (uint16_t)(60 + how * 5);
        port->ops->tx(port, 0, pkts, (uint16_t)got);
    }
    if ((how & 64) != 0) { // some of them, the first ones first or last
        unsigned give = n < w->held_count ? n : w->held_count;
        struct plx_pkt **from = (how & 128) != 0 ? w->held : w->held + w->held_count - give;
        port->ops->give(port, 0, from, (uint16_t)give);
        w->held_count -= give;
        if ((how & 128) != 0)
            memmove(w->held, w->held + give, w->held_count * sizeof *w->held);
    }
}

static void operation(struct peer *w)
{
    struct memif_msg m = {0};
    unsigned op = (unsigned)eat(w, 1);

    switch (op % 8) {
    case 0: // a message
        m.type = (uint16_t)eat(w, 1) % 12;
        for (size_t n = eat(w, 1) % sizeof m.octets, i = 0; i < n; i++)
            m.octets[i] = (uint8_t)eat(w, 1);
        say(w, &m, (op & 8) != 0);
        break;
    case 1:
        shake(w);
        break;
    case 2: // a word of the memory
    case 3: // a counter or a descriptor: low, where the rings are
        if (w->mem != NULL) {
            size_t at = (size_t)eat(w, 2) * 2 % (op % 8 == 3 ? 2 * RING_BYTES : w->mem_size - 8);
            uint64_t v = eat(w, 1 + op / 8 % 8);
            memcpy(w->mem + at, &v, 1 + op / 8 % 8);
        }
        break;
    case 4:
        redial(w);
        break;
    case 5:
        look(w, eat(w, 3));
        break;
    default:
        packets(w, (unsigned)eat(w, 1));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct peer w = {.at = data, .end = data + len, .fd = -1, .listen_fd = -1, .mem_fd = -1, .now = 1};
    struct sockaddr_un un = address();
    struct plx_port *port = plx_port_memif();
    bool is_server = (eat(&w, 1) & 1) == 0;
    char args[160], err[512];
    struct plx_port_caps caps;

    plx_check(port != NULL);
    w.port = (struct memif_port *)port;
    if (is_server) {
        w.mem_fd = memfd_create("fuzz", MFD_ALLOW_SEALING);
        plx_check(w.mem_fd >= 0 && ftruncate(w.mem_fd, REGION) == 0 &&
                  fcntl(w.mem_fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0);
        mem_set(&w, w.mem_fd, REGION);
    } else {
        unlink(un.sun_path);
        w.listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);
        plx_check(bind(w.listen_fd, (struct sockaddr *)&un, sizeof un) == 0 && listen(w.listen_fd, 4) == 0);
    }
    snprintf(args, sizeof args, "role=%s,socket=%s,wait=0,rsize=4", is_server ? "server" : "client",
             un.sun_path);
    struct plx_port_cfg cfg = {.args = args, .queues = 1, .buffers = 16, .numa_node = -1};
    plx_check(port->ops->open(port, &cfg, &caps, err, sizeof err) == PLX_OK);
    w.port->control.retry_at = w.port->control.look_at = 0;
    w.now = UINT64_C(1) << 60; // past whatever the clock was
    redial(&w);
    for (unsigned i = 0; i < 200 && w.at < w.end; i++)
        operation(&w);
    port->ops->give(port, 0, w.held, (uint16_t)w.held_count);
    plx_check(w.port->retired == NULL); // nothing is held any more
    port->ops->close(port);
    plx_port_free(port);
    if (w.mem != NULL)
        munmap(w.mem, w.mem_size);
    for (unsigned i = 0; i < 3; i++)
        if ((i == 0 ? w.fd : i == 1 ? w.listen_fd : w.mem_fd) >= 0)
            close(i == 0 ? w.fd : i == 1 ? w.listen_fd : w.mem_fd);
    unlink(un.sun_path);
    return 0;
}
