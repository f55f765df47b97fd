// control.c -- the control channel of a memif port: connecting, being connected to, parting.
//
// No thread and no waiting: sockets are non-blocking, and looked at by the queue's own thread when a poll of the ring has found nothing,
// about once a millisecond, or at each such look at the clock while a connection is being made. Whatever comes of it, memory that goes
// for example, therefore happens between two bursts, and nothing has to be locked. While packets come all the time nobody looks here;
// a side that is gone sends none.
//
//            connect, accept                CONNECTED
//      DOWN ────────────────▶ SHAKING ─────────────────▶ UP
//        ▲                       │                        │
//        └───────────────────────┴────────────────────────┘   DISCONNECT, end of the channel, a lie
//
// A client tries again ten times a second; a server goes on listening, and tells whoever comes while it has a client that it has one.

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "memif.h"

uint64_t memif_now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void fd_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void why_set(struct memif_port *p, const char *who, const char *what)
{
    snprintf(p->control.why, sizeof p->control.why, "%s%.*s", who, MEMIF_REASON_LEN, what);
}

// --- messages ----------------------------------------------------------------------------------------------

static bool msg_send(struct memif_port *p, int fd, const struct memif_msg *m, int passed)
{
    union {
        struct cmsghdr align;
        char octets[CMSG_SPACE(sizeof(int))];
    } control = {.octets = {0}};
    struct iovec iov = {.iov_base = (void *)(uintptr_t)m, .iov_len = sizeof *m};
    struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};

    if (passed >= 0) {
        mh.msg_control = control.octets;
        mh.msg_controllen = sizeof control.octets;
        struct cmsghdr *c = CMSG_FIRSTHDR(&mh);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &passed, sizeof passed);
    }
    plx_counter_add(&p->stats.syscalls, 1);
    return sendmsg(fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof *m;
}

static bool ack_send(struct memif_port *p)
{
    return msg_send(p, p->control.fd, &(struct memif_msg){.type = MEMIF_ACK}, -1);
}

static void goodbye_send(struct memif_port *p, int fd, const char *reason)
{
    struct memif_msg m = {.type = MEMIF_DISCONNECT};
    snprintf(m.disconnect.reason, sizeof m.disconnect.reason, "%s", reason);
    (void)msg_send(p, fd, &m, -1); // who cannot be told notices the end of the channel
}

enum got { GOT_NOTHING, GOT_MESSAGE, GOT_END, GOT_RUBBISH };

// *passed is the descriptor that came along, the caller's to close, or -1.
static enum got msg_receive(struct memif_port *p, struct memif_msg *m, int *passed)
{
    union {
        struct cmsghdr align;
        char octets[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = {.iov_base = m, .iov_len = sizeof *m};
    struct msghdr mh = {.msg_iov = &iov,
                        .msg_iovlen = 1,
                        .msg_control = control.octets,
                        .msg_controllen = sizeof control.octets};

    *passed = -1;
    plx_counter_add(&p->stats.syscalls, 1);
    ssize_t n = recvmsg(p->control.fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? GOT_NOTHING : GOT_END;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&mh); c != NULL; c = CMSG_NXTHDR(&mh, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
            memcpy(passed, CMSG_DATA(c), sizeof *passed);
    if (n == 0)
        return GOT_END;
    return n == (ssize_t)sizeof *m && (mh.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0 ? GOT_MESSAGE
                                                                                     : GOT_RUBBISH;
}

// --- parting -----------------------------------------------------------------------------------------------

// The memory of a connection that is over: it goes once every packet in it has been given back.
static void area_retire(struct memif_port *p, struct memif_area *a, uint32_t held)
{
    if (a == NULL || held == 0) {
        memif_area_free(a);
        return;
    }
    a->held = held;
    a->next = p->retired;
    p->retired = a;
}

static struct memif_area *pool_new(const struct memif_port *p)
{
    uint32_t ring = 1u << p->args.ring_log2;
    uint32_t size = p->args.buffer + MEMIF_HEADROOM;

    if (p->args.is_server) // what is sent is copied and at home again at once
        return memif_area_new(p->buffers, size, -1, p->numa_node);
    return memif_area_new(p->buffers + 2 * ring + MEMIF_RX_HELD, size, (int)p->args.ring_log2, p->numa_node);
}

// The channel ends. reason: what the other side is told; NULL when it has told us, or is gone.
static void part(struct memif_port *p, const char *reason, uint64_t now)
{
    struct memif_control *c = &p->control;

    if (reason != NULL) {
        why_set(p, "", reason);
        goodbye_send(p, c->fd, reason);
    }
    fd_close(&c->fd);
    fd_close(&c->event_fd);
    p->is_up = false;
    if (p->args.is_server) {
        area_retire(p, p->map, c->state == MEMIF_UP ? memif_server_held(p) : 0);
        p->map = NULL;
    } else if (c->step >= 2) { // it has got the descriptor
        area_retire(p, p->pool, memif_client_held(p));
        p->pool = NULL;
    }
    p->lie = NULL;
    c->state = MEMIF_DOWN;
    c->step = 0;
    c->retry_at = now + MEMIF_RETRY_US;
}

void memif_accuse(struct memif_port *p, const char *lie)
{
    p->is_up = false; // nothing is read from its memory, nor written to it
    p->lie = lie;
    plx_counter_add(&p->stats.rx_dropped, 1);
}

// --- a client's half ---------------------------------------------------------------------------------------

static void rings_clear(struct memif_port *p)
{
    uint8_t *mem = p->pool->region[0].mem;

    for (unsigned i = 0; i < 2; i++) {
        struct memif_ring *ring = (struct memif_ring *)(mem + i * memif_ring_size(p->ring_log2));
        memset(ring, 0, memif_ring_size(p->ring_log2));
        ring->cookie = MEMIF_COOKIE;
    }
}

static bool client_init(struct memif_port *p, const struct memif_hello *h, const char **wrong)
{
    struct memif_msg m = {.type = MEMIF_INIT,
                          .init = {.version = MEMIF_VERSION, .id = p->args.id, .mode = MEMIF_MODE_ETHERNET}};

    if (h->version_min > MEMIF_VERSION || h->version_max < MEMIF_VERSION) {
        *wrong = "version 2.0 is all we speak";
        return false;
    }
    if (h->ring_log2_max < 3) {
        *wrong = "rings of 8 places are the least";
        return false;
    }
    p->ring_log2 = h->ring_log2_max < p->args.ring_log2 ? h->ring_log2_max : p->args.ring_log2;
    rings_clear(p);
    memcpy(m.init.secret, p->args.secret, sizeof m.init.secret);
    snprintf(m.init.name, sizeof m.init.name, "pollux");
    return msg_send(p, p->control.fd, &m, -1);
}

static bool client_region(struct memif_port *p)
{
    struct memif_msg m = {.type = MEMIF_ADD_REGION, .region = {.index = 0, .size = p->pool->region[0].size}};
    return msg_send(p, p->control.fd, &m, p->pool->fd);
}

static bool client_ring(struct memif_port *p, bool to_server)
{
    struct memif_msg m = {.type = MEMIF_ADD_RING,
                          .ring = {.flags = to_server ? MEMIF_RING_TO_SERVER : 0,
                                   .offset = to_server ? 0 : (uint32_t)memif_ring_size(p->ring_log2),
                                   .log2 = (uint8_t)p->ring_log2}};

    fd_close(&p->control.event_fd);
    p->control.event_fd =
        eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); // both sides poll, but the protocol wants one with each ring
    return msg_send(p, p->control.fd, &m, p->control.event_fd);
}

static bool client_connect(struct memif_port *p)
{
    struct memif_msg m = {.type = MEMIF_CONNECT};
    snprintf(m.interface, sizeof m.interface, "pollux");
    return msg_send(p, p->control.fd, &m, -1);
}

// Every answer of the server asks for the next message. False: *wrong is what the server is told, or NULL when it is gone.
static bool client_on(struct memif_port *p, const struct memif_msg *m, const char **wrong)
{
    struct memif_control *c = &p->control;

    if (m->type == MEMIF_HELLO && c->step == 0)
        return c->step++, client_init(p, &m->hello, wrong);
    if (m->type == MEMIF_ACK && c->step >= 1 && c->step <= 4) {
        switch (c->step++) {
        case 1:
            return client_region(p);
        case 2:
            return client_ring(p, true);
        case 3:
            return client_ring(p, false);
        default:
            return client_connect(p);
        }
    }
    if (m->type == MEMIF_CONNECTED && c->step == 5 && c->state == MEMIF_SHAKING) {
        c->state = MEMIF_UP;
        memif_client_start(p);
        return true;
    }
    *wrong = "unexpected message";
    return false;
}

static void client_dial(struct memif_port *p, uint64_t now)
{
    struct memif_control *c = &p->control;
    struct sockaddr_un un = {.sun_family = AF_UNIX};

    if (now < c->retry_at)
        return;
    c->retry_at = now + MEMIF_RETRY_US;
    if (p->pool == NULL) {
        why_set(p, "", "out of memory for packet buffers");
        return;
    }
    memcpy(un.sun_path, p->args.path, sizeof un.sun_path);
    plx_counter_add(&p->stats.syscalls, 2);
    c->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (const struct sockaddr *)&un, sizeof un) != 0) {
        why_set(p, "", strerror(errno));
        fd_close(&c->fd);
        return;
    }
    c->state = MEMIF_SHAKING;
    c->give_up_at = now + MEMIF_SHAKE_US;
}

// --- a server's half ---------------------------------------------------------------------------------------

static const char *server_on_init(const struct memif_port *p, const struct memif_init *i)
{
    uint8_t differs = 0;

    if (i->version != MEMIF_VERSION)
        return "version 2.0 is all we speak";
    if (i->id != p->args.id)
        return "no interface of that id here";
    if (i->mode != MEMIF_MODE_ETHERNET)
        return "Ethernet is the only mode";
    for (unsigned n = 0; n < sizeof i->secret; n++)
        differs |= (uint8_t)(i->secret[n] ^ p->args.secret[n]);
    return differs == 0 || p->args.secret[0] == '\0' ? NULL : "wrong secret";
}

static const char *server_on_region(struct memif_port *p, const struct memif_add_region *r, int fd)
{
    if (fd < 0)
        return "a region without its descriptor";
    if (p->map == NULL && (p->map = memif_area_map_new()) == NULL)
        return "out of memory";
    if (r->index != p->map->regions)
        return "regions come in order";
    return memif_area_map(p->map, fd, r->size);
}

// The ring that a message describes: all of it is in its region, and there is one in each direction.
static const char *server_on_ring(struct memif_port *p, const struct memif_add_ring *r)
{
    unsigned way = (r->flags & MEMIF_RING_TO_SERVER) != 0 ? 0 : 1;

    if (r->index != 0 || p->control.has_ring[way])
        return "one ring each way is all we take";
    if (r->log2 > MEMIF_RING_LOG2_MAX)
        return "a ring of more than 16384 places";
    if (p->map == NULL || r->region >= p->map->regions)
        return "a ring in a region that there is not";
    uint64_t size = p->map->region[r->region].size, need = memif_ring_size(r->log2);
    if (r->offset % sizeof(struct memif_desc) != 0 || need > size || r->offset > size - need)
        return "a ring that is not inside of its region";
    if (r->private_header != 0)
        return "private headers";
    p->control.has_ring[way] = true;
    p->control.ring[way] = *r;
    return NULL;
}

static const char *server_on_connect(struct memif_port *p)
{
    struct memif_control *c = &p->control;

    if (!c->has_ring[0] || !c->has_ring[1])
        return "not all rings are there";
    for (unsigned way = 0; way < 2; way++) {
        const uint8_t *at = p->map->region[c->ring[way].region].mem + c->ring[way].offset;
        if (((const struct memif_ring *)at)->cookie != MEMIF_COOKIE)
            return "a ring without its cookie";
    }
    if (!memif_area_map_records(p->map, 1u << c->ring[0].log2, p->numa_node))
        return "out of memory";
    return NULL;
}

// False: *wrong is what the client is told, or NULL when it is gone.
static bool server_on(struct memif_port *p, const struct memif_msg *m, int fd, const char **wrong)
{
    struct memif_control *c = &p->control;

    *wrong = "unexpected message";
    if (c->state == MEMIF_UP || (c->step == 0) != (m->type == MEMIF_INIT))
        return false;
    switch (m->type) {
    case MEMIF_INIT:
        if ((*wrong = server_on_init(p, &m->init)) != NULL)
            return false;
        c->step = 1;
        return ack_send(p);
    case MEMIF_ADD_REGION:
        return (*wrong = server_on_region(p, &m->region, fd)) == NULL && ack_send(p);
    case MEMIF_ADD_RING:
        return (*wrong = server_on_ring(p, &m->ring)) == NULL && ack_send(p);
    case MEMIF_CONNECT:
        if ((*wrong = server_on_connect(p)) != NULL)
            return false;
        memif_server_start(p); // before the client hears of it
        c->state = MEMIF_UP;
        struct memif_msg connected = {.type = MEMIF_CONNECTED};
        snprintf(connected.interface, sizeof connected.interface, "pollux");
        return msg_send(p, c->fd, &connected, -1);
    default:
        return false;
    }
}

static bool hello_send(struct memif_port *p)
{
    struct memif_msg m = {.type = MEMIF_HELLO,
                          .hello = {.version_min = MEMIF_VERSION,
                                    .version_max = MEMIF_VERSION,
                                    .region_last = MEMIF_REGIONS_MAX - 1,
                                    .ring_log2_max = MEMIF_RING_LOG2_MAX}};
    snprintf(m.hello.name, sizeof m.hello.name, "pollux");
    return msg_send(p, p->control.fd, &m, -1);
}

static void server_accept(struct memif_port *p, uint64_t now)
{
    struct memif_control *c = &p->control;

    plx_counter_add(&p->stats.syscalls, 1);
    int fd = accept4(c->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    if (c->state != MEMIF_DOWN) {
        goodbye_send(p, fd, "there is a client already");
        close(fd);
        return;
    }
    c->fd = fd;
    c->state = MEMIF_SHAKING;
    c->give_up_at = now + MEMIF_SHAKE_US;
    memset(c->has_ring, 0, sizeof c->has_ring);
    if (!hello_send(p))
        part(p, NULL, now);
}

// --- both --------------------------------------------------------------------------------------------------

// What the other side says has been heard, until there is nothing more, or nobody.
static void listen_to(struct memif_port *p, uint64_t now)
{
    while (p->control.fd >= 0) {
        struct memif_msg m;
        int passed;
        const char *wrong = NULL;
        enum got got = msg_receive(p, &m, &passed);
        if (got == GOT_NOTHING)
            return;
        bool is_well = false;
        if (got == GOT_RUBBISH) {
            wrong = "messages have 128 octets and one descriptor at most";
        } else if (got == GOT_END) {
            why_set(p, "", "the other side has left");
        } else if (m.type == MEMIF_DISCONNECT) {
            m.disconnect.reason[MEMIF_REASON_LEN - 1] = '\0';
            why_set(p, "the other side says: ", m.disconnect.reason);
        } else {
            is_well = p->args.is_server ? server_on(p, &m, passed, &wrong) : client_on(p, &m, &wrong);
        }
        if (passed >= 0)
            close(passed); // memory is mapped, and nobody needs waking
        if (!is_well)
            part(p, wrong, now);
    }
}

void memif_control_look(struct memif_port *p, uint64_t now)
{
    struct memif_control *c = &p->control;

    c->look_at = now + MEMIF_LOOK_US;
    if (p->lie != NULL)
        part(p, p->lie, now);
    listen_to(p, now);
    if (c->state == MEMIF_SHAKING && now >= c->give_up_at)
        part(p, "no answer", now);
    if (p->pool == NULL)
        p->pool = pool_new(p);
    if (p->args.is_server)
        server_accept(p, now);
    else if (c->state == MEMIF_DOWN)
        client_dial(p, now);
}

// --- open and close ----------------------------------------------------------------------------------------

// Somebody made this file and went without removing it. Only a socket that nobody listens on is removed.
static bool stale_remove(const struct sockaddr_un *un)
{
    struct stat st;
    if (lstat(un->sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
        return false;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool is_stale =
        fd >= 0 && connect(fd, (const struct sockaddr *)un, sizeof *un) != 0 && errno == ECONNREFUSED;
    fd_close(&fd);
    return is_stale && unlink(un->sun_path) == 0;
}

static enum plx_err server_listen(struct memif_port *p, char *err, size_t err_len)
{
    struct memif_control *c = &p->control;
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct stat st;

    memcpy(un.sun_path, p->args.path, sizeof un.sun_path);
    c->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int r = c->listen_fd < 0 ? -1 : bind(c->listen_fd, (const struct sockaddr *)&un, sizeof un);
    if (r != 0 && errno == EADDRINUSE && stale_remove(&un))
        r = bind(c->listen_fd, (const struct sockaddr *)&un, sizeof un);
    if (r != 0 || listen(c->listen_fd, 8) != 0 || lstat(un.sun_path, &st) != 0) {
        int why = errno;
        const char *remedy = why == EADDRINUSE
                                 ? "stop the program that listens there, or choose another socket=PATH"
                             : why == ENOENT                 ? "make the folder that it is in"
                             : why == EACCES || why == EROFS ? "choose a folder that this user may write to"
                             : why == EMFILE                 ? "raise the limit of open files (ulimit -n)"
                                                             : "choose another socket=PATH";
        snprintf(err, err_len, "memif: cannot listen at %s: %s; %s", p->args.path, strerror(why), remedy);
        fd_close(&c->listen_fd);
        return PLX_ERR_SYSTEM;
    }
    c->socket_dev = st.st_dev;
    c->socket_ino = st.st_ino;
    return PLX_OK;
}

// For whoever sends at once: a link that comes up within a moment is up when it does.
static void wait_for_link(struct memif_port *p)
{
    struct memif_control *c = &p->control;
    uint64_t now = memif_now_us(), until = now + p->args.wait_ms * UINT64_C(1000);

    for (;; now = memif_now_us()) {
        memif_control_look(p, now);
        if (p->is_up || now >= until)
            return;
        struct pollfd fds[] = {{.fd = c->fd, .events = POLLIN}, {.fd = c->listen_fd, .events = POLLIN}};
        (void)poll(fds, 2, 5); // a descriptor of -1 is passed over
    }
}

enum plx_err memif_control_open(struct memif_port *p, char *err, size_t err_len)
{
    struct memif_control *c = &p->control;

    *c = (struct memif_control){.fd = -1, .listen_fd = -1, .event_fd = -1, .why = "nobody has come yet"};
    p->pool = pool_new(p);
    if (p->pool == NULL) {
        snprintf(
            err, err_len,
            "memif: no memory for %u packet buffers of %u octets; ask for fewer, or give the system more",
            p->buffers, p->args.buffer);
        return PLX_ERR_SYSTEM;
    }
    if (p->args.is_server) {
        enum plx_err e = server_listen(p, err, err_len);
        if (e != PLX_OK)
            return e;
    }
    wait_for_link(p);
    return PLX_OK;
}

void memif_control_close(struct memif_port *p)
{
    struct memif_control *c = &p->control;
    struct stat st;

    if (c->state != MEMIF_DOWN)
        part(p, "the port is closed", 0);
    if (c->listen_fd >= 0 && lstat(p->args.path, &st) == 0 && st.st_dev == c->socket_dev &&
        st.st_ino == c->socket_ino)
        unlink(p->args.path);
    fd_close(&c->listen_fd);
    memif_area_free(p->pool);
    p->pool = NULL;
    while (p->retired != NULL) { // all packets have been given back
        struct memif_area *a = p->retired;
        p->retired = a->next;
        memif_area_free(a);
    }
}
