// workers.c -- two workers over kernel sockets, and everything that threads can do to each other at once. For ThreadSanitizer.
//
// A server with two workers shares its port by SO_REUSEPORT, so the kernel chooses the worker by the addresses. Clients reach it through a
// relay that changes its own port every few datagrams, as a NAT that forgets: after each change half of the packets land on
// the worker that does not own the connection, and are handed over. Meanwhile another thread reads the statistics of both engines without
// pause, all workers write one key log, ticket keys rotate at every tick and token keys now and then, connections update their keys; and in the end
// the server is told to stop, from a thread that is none of its own, in the middle of downloads, which it finishes. From then on the
// relay repeats the last datagram of each client whenever it is quiet, from another port every time: networks do, and the workers, who end one after the
// other, keep getting packets of connections that the other one owned.
//
// Twice: where the kernel goes by addresses alone, and where the program on the sockets goes by connection ID (drivers/udp). Then
// every packet reaches the right worker at once, also right after a change of port in the middle of a handshake or a download, and
// there is nothing to hand over.
//
//   workers [steered]    exit status 0 when every octet arrived, everything went home, and packets were handed over (steered: none was)

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/time.h"
#include "tests/sim/world.h"

enum { CONNS = 16, REQUESTS = 3, BODY = 200000, LONG_BODY = 24 << 20, REBIND_EVERY = 25, RELAY_MAX = 64 };

static struct plx_engine *server;
static struct plx_addr target;
static _Atomic bool is_over, is_long; // the second act: long downloads, and the server stops
static _Atomic bool is_ending;        // the server has been told to
static _Atomic unsigned complete, broken, closed_conns, begun;
static uint64_t rotations; // of worker 0
static bool is_steered;

// --- the server ---------------------------------------------------------------------------------------------

static void on_request(struct plx_h3_req *req, const struct plx_h3_head *head, bool has_body)
{
    size_t size = head->path.len == 5 ? LONG_BODY : BODY;

    (void)has_body;
    if (plx_h3_respond(req, 200, NULL, 0, (struct plx_buf){world_body(), size, NULL}, true) != PLX_OK)
        plx_h3_cancel(req, PLX_H3_INTERNAL_ERROR);
}

// On worker 0, right before the next tick looks: the keys of tickets are due, and now and then those of tokens. Not more often than three
// times: a slot of token keys is written again at the fourth rotation (token.h), which is days later in earnest. That nobody reads it any
// more is a matter of those days and not of an order between threads, so ThreadSanitizer could not know it.
static void rotate(void *ctx, struct plx_core *core, plx_time now)
{
    (void)ctx;
    if (plx_core_index(core) != 0)
        return;
    struct plx_engine *e = plx_core_engine(core);
    e->ticket_rotate_at = now;
    rotations++;
    if (rotations == 10 || rotations == 50 || rotations == 200)
        e->token_rotate_at = now;
}

// What a client sees of an error here may be a stateless reset, when the port to which the reason went is no more.
static void on_server_close(struct plx_h3_conn *h3, struct plx_conn *transport,
                            const struct plx_close_info *why)
{
    (void)h3;
    (void)transport;
    if (!why->is_peer && why->code != PLX_H3_NO_ERROR)
        fprintf(stderr, "workers: the server has ended a connection in way %d, code 0x%llx: %s\n",
                (int)why->how, (unsigned long long)why->code, why->reason);
}

static const struct plx_h3_handler server_handler = {.on_request = on_request, .on_close = on_server_close};

static struct plx_engine *server_new(const char *keylog)
{
    static struct plx_addr listen;
    struct plx_cert cert = {world_cert(), world_key()};
    struct plx_engine_cfg cfg;
    char err[512];

    plx_engine_cfg_init(&cfg);
    plx_check(plx_addr_parse("127.0.0.1:0", &listen));
    cfg.port = plx_port_udp();
    cfg.port_args = is_steered ? NULL : "nosteer";
    cfg.listen = &listen;
    cfg.listen_count = 1;
    cfg.workers = 2;
    cfg.certs = &cert;
    cfg.cert_count = 1;
    cfg.keylog_file = keylog;
    cfg.conns_max = cfg.handshakes_max = 256;
    cfg.streams_max = 2048;
    cfg.buffer_memory = 64 << 20;
    cfg.key_update_packets = 40;
    cfg.handshake_timeout = cfg.idle_timeout = PLX_SEC(120);
    cfg.tick = PLX_MS(5);
    cfg.on_tick = rotate;
    cfg.h3 = &server_handler;
    struct plx_engine *e = plx_engine_new(&cfg, err, sizeof err);
    if (e == NULL)
        fprintf(stderr, "workers: %s\n", err);
    return e;
}

// --- the clients --------------------------------------------------------------------------------------------

struct ask {
    uint64_t got, want;
    bool is_bad;
};
static struct ask asks[CONNS][REQUESTS];

static void on_open(struct plx_h3_conn *h3)
{
    struct ask *a = plx_h3_conn_user(h3);
    bool wants_long = is_long;
    struct plx_h3_head head = {.method = world_span("GET"),
                               .scheme = world_span("https"),
                               .authority = world_span("localhost"),
                               .path = world_span(wants_long ? "/long" : "/"),
                               .content_length = PLX_H3_LENGTH_UNKNOWN};
    struct plx_h3_req *req;

    for (unsigned i = 0; i < (wants_long ? 1 : REQUESTS); i++) {
        a[i] = (struct ask){.want = wants_long ? LONG_BODY : BODY};
        if (plx_h3_request(h3, &head, false, &a[i], &req) != PLX_OK)
            broken++;
    }
}

static size_t on_body(struct plx_h3_req *req, const uint8_t *data, size_t len)
{
    struct ask *a = plx_h3_req_user(req);

    begun += a->got == 0;
    a->is_bad |= a->got + len > a->want || memcmp(world_body() + a->got, data, len) != 0;
    a->got += len;
    return len;
}

static void on_closed(struct plx_h3_req *req, uint64_t code, bool is_peer)
{
    struct ask *a = plx_h3_req_user(req);
    struct plx_h3_conn *h3 = plx_h3_req_conn(req);

    if (code == PLX_H3_NO_ERROR && a->got == a->want && !a->is_bad)
        complete++;
    else if (broken++ == 0)
        fprintf(stderr, "workers: code 0x%llx by the %s after %llu of %llu octets%s\n",
                (unsigned long long)code, is_peer ? "server" : "client", (unsigned long long)a->got,
                (unsigned long long)a->want, a->is_bad ? ", wrong ones" : "");
    if (plx_h3_conn_open_requests(h3) <= 1)
        plx_h3_conn_shutdown(h3);
}

static void on_close(struct plx_h3_conn *h3, struct plx_conn *transport, const struct plx_close_info *why)
{
    if (h3 == NULL) {
        fprintf(stderr, "workers: a connection never opened: way %d, code 0x%llx: %s\n", (int)why->how,
                (unsigned long long)why->code, why->reason);
        broken++;
    }
    if (h3 != NULL && why->code != PLX_H3_NO_ERROR)
        fprintf(stderr, "workers: a connection ended in way %d, code 0x%llx: %s\n", (int)why->how,
                (unsigned long long)why->code, why->reason);
    if (++closed_conns == CONNS)
        plx_engine_stop(plx_core_engine(plx_conn_core(transport)), PLX_SEC(1));
}

static void *on_core_start(void *ctx, struct plx_core *core)
{
    struct plx_conn *c;

    (void)ctx;
    for (unsigned i = 0; i < CONNS; i++) {
        struct plx_connect_cfg cfg = {
            .server_name = "localhost", .peer = target, .own_port = true, .user = asks[i]};
        plx_check(plx_core_connect(core, &cfg, &c) == PLX_OK);
    }
    return NULL;
}

static const struct plx_h3_handler client_handler = {
    .on_open = on_open, .on_body = on_body, .on_closed = on_closed, .on_close = on_close};

static struct plx_engine *client_new(const char *keylog)
{
    struct plx_engine_cfg cfg;
    char err[512];

    plx_engine_cfg_init(&cfg);
    cfg.port = plx_port_udp();
    cfg.ca_file = world_cert();
    cfg.keylog_file = keylog;
    cfg.conns_max = cfg.handshakes_max = 2 * CONNS;
    cfg.streams_max = 1024;
    cfg.buffer_memory = 64 << 20;
    cfg.tick = PLX_MS(5);
    cfg.handshake_timeout = cfg.idle_timeout =
        PLX_SEC(120); // sanitizers are slow, and probes double their wait
    // The one packet that tells the server of a new port may be lost: a client that only listens would never be heard of again.
    cfg.keep_alive = PLX_MS(500);
    cfg.h3 = &client_handler;
    cfg.on_core_start = on_core_start;
    struct plx_engine *e = plx_engine_new(&cfg, err, sizeof err);
    if (e == NULL)
        fprintf(stderr, "workers: %s\n", err);
    return e;
}

// --- the relay ----------------------------------------------------------------------------------------------

struct leg {
    struct sockaddr_in client;
    int up;        // towards the server
    unsigned sent; // since it was made
    uint8_t last[2048];
    size_t last_len;
};
static struct leg legs[RELAY_MAX];
static unsigned leg_count, rebound;
static int relay_socket;
static struct sockaddr_in server_sa;

static int up_socket(void)
{
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    plx_check(s >= 0 && connect(s, (struct sockaddr *)&server_sa, sizeof server_sa) == 0);
    return s;
}

static void from_client(void)
{
    uint8_t buf[2048];
    struct sockaddr_in a;
    socklen_t len = sizeof a;
    ssize_t n;

    while ((n = recvfrom(relay_socket, buf, sizeof buf, MSG_DONTWAIT, (struct sockaddr *)&a, &len)) > 0) {
        unsigned i = 0;
        while (i < leg_count && legs[i].client.sin_port != a.sin_port)
            i++;
        if (i == RELAY_MAX)
            continue;
        if (i == leg_count)
            legs[leg_count++] = (struct leg){.client = a, .up = up_socket()};
        struct leg *l = &legs[i];
        if (++l->sent == REBIND_EVERY) { // what is under way to the old port is lost, as behind a NAT
            close(l->up);
            l->up = up_socket();
            l->sent = 0;
            rebound++;
        }
        send(l->up, buf, (size_t)n, 0);
        memcpy(l->last, buf, (size_t)n);
        l->last_len = (size_t)n;
    }
}

// From ports of nobody, so that they reach either worker. One octet is another: a true copy that overtakes its original takes the
// connection along to a port where nobody listens (RFC 9000 section 9.3.3), and on a busy machine that may be every one.
static void repeat_last(void)
{
    for (unsigned i = 0; i < leg_count; i++) {
        int s = up_socket();
        legs[i].last[legs[i].last_len - 1] ^= 1;
        send(s, legs[i].last, legs[i].last_len, 0);
        legs[i].last[legs[i].last_len - 1] ^= 1;
        close(s);
    }
}

static void from_server(const struct leg *l)
{
    uint8_t buf[2048];
    ssize_t n;

    while ((n = recv(l->up, buf, sizeof buf, MSG_DONTWAIT)) > 0)
        sendto(relay_socket, buf, (size_t)n, 0, (const struct sockaddr *)&l->client, sizeof l->client);
}

static void *relay(void *arg)
{
    (void)arg;
    while (!is_over) {
        struct pollfd fd[RELAY_MAX + 1] = {{.fd = relay_socket, .events = POLLIN}};
        unsigned count = leg_count;
        for (unsigned i = 0; i < count; i++)
            fd[i + 1] = (struct pollfd){.fd = legs[i].up, .events = POLLIN};
        int ready = poll(fd, count + 1, is_ending ? 1 : 50);
        if (ready == 0 && is_ending)
            repeat_last();
        if (ready <= 0)
            continue;
        for (unsigned i = 0; i < count; i++)
            if (fd[i + 1].revents != 0)
                from_server(&legs[i]);
        if (fd[0].revents & POLLIN)
            from_client();
    }
    return NULL;
}

static void relay_open(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;

    server_sa = a;
    server_sa.sin_port = htons(plx_engine_caps(server)->bound.port);
    relay_socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    plx_check(relay_socket >= 0 && bind(relay_socket, (struct sockaddr *)&a, sizeof a) == 0);
    plx_check(getsockname(relay_socket, (struct sockaddr *)&a, &len) == 0);
    plx_check(plx_addr_parse("127.0.0.1:1", &target));
    target.port = ntohs(a.sin_port);
}

// --- readers ------------------------------------------------------------------------------------------------

struct watcher {
    pthread_t thread;
    struct plx_engine *engine;
    _Atomic bool is_over;
};

static void *watch(void *arg)
{
    struct watcher *w = arg;
    struct plx_core_stats s;
    const char *name, *help;
    uint64_t count, last = 0;

    while (!w->is_over) {
        plx_engine_stats(w->engine, UINT16_MAX, &s);
        plx_check(s.datagrams_rx >= last); // counters only grow
        last = s.datagrams_rx;
        for (unsigned i = 0; plx_engine_drops(w->engine, UINT16_MAX, i, &name, &help, &count); i++)
            plx_check(name[0] != '\0' && help[0] != '\0');
        usleep(300);
    }
    return NULL;
}

static void watch_begin(struct watcher *w, struct plx_engine *e)
{
    w->engine = e;
    w->is_over = false;
    plx_check(pthread_create(&w->thread, NULL, watch, w) == 0);
}

static void watch_end(struct watcher *w)
{
    w->is_over = true;
    pthread_join(w->thread, NULL);
}

static void *run(void *arg)
{
    plx_check(plx_engine_run(arg) == PLX_OK);
    return NULL;
}

// One set of clients from start to end. stops: the server is told to stop in the middle.
static void act(const char *keylog, bool stops)
{
    struct watcher watcher;
    struct plx_engine *client;
    pthread_t thread;

    complete = broken = closed_conns = begun = 0;
    is_long = stops;
    client = client_new(keylog);
    plx_check(client != NULL);
    plx_check(pthread_create(&thread, NULL, run, client) == 0);
    watch_begin(&watcher, client);
    while (stops && begun < CONNS && closed_conns < CONNS)
        usleep(1000);
    if (stops)
        plx_engine_stop(server, PLX_SEC(300));
    is_ending = stops;
    pthread_join(thread, NULL);
    watch_end(&watcher);
    plx_engine_free(client);
}

static bool expect(bool ok, const char *what)
{
    if (!ok)
        fprintf(stderr, "workers: %s\n", what);
    return ok;
}

static unsigned lines_of(const char *path)
{
    FILE *f = fopen(path, "r");
    unsigned lines = 0;
    char line[1024];

    plx_check(f != NULL);
    while (fgets(line, sizeof line, f) != NULL) { // whole ones, whoever wrote them
        plx_check(strchr(line, '\n') != NULL &&
                  (strncmp(line, "CLIENT_", 7) == 0 || strncmp(line, "SERVER_", 7) == 0 ||
                   strncmp(line, "EXPORTER", 8) == 0));
        lines++;
    }
    fclose(f);
    return lines;
}

static bool is_home(struct plx_engine *e)
{
    bool ok = true;

    for (uint16_t i = 0; i < 2; i++) {
        struct plx_core *k = plx_engine_core(e, i);
        ok &= plx_mailbox_count(&k->inbox) == 0;
        // Connections that were told to close when the server stopped may still stand in their closing time: free() ends them.
        ok &= plx_pool_in_use(&k->handshakes) <= plx_pool_in_use(&k->conns);
    }
    return ok;
}

int main(int argc, char **argv)
{
    struct watcher watcher;
    pthread_t thread, relayer;
    struct plx_core_stats s;
    char keylog[] = "/tmp/plx-workers-XXXXXX";

    is_steered = argc > 1 && strcmp(argv[1], "steered") == 0;
    (void)world_body(); // before there are threads
    int fd = mkstemp(keylog);
    plx_check(fd >= 0 && close(fd) == 0);
    server = server_new(keylog);
    plx_check(server != NULL);
    relay_open();
    plx_check(pthread_create(&thread, NULL, run, server) == 0);
    plx_check(pthread_create(&relayer, NULL, relay, NULL) == 0);
    watch_begin(&watcher, server);

    act(keylog, false);
    bool ok = expect(complete == CONNS * REQUESTS && broken == 0, "first act: not every answer came whole");
    act(keylog, true);
    ok &= expect(complete == CONNS && broken == 0,
                 "second act: a server that stops has not finished its downloads");
    pthread_join(thread, NULL);
    watch_end(&watcher);
    is_over = true;
    pthread_join(relayer, NULL);

    plx_engine_stats(server, UINT16_MAX, &s);
    ok &= expect(plx_engine_caps(server)->steer_by_cid == is_steered,
                 "the sockets are not as they were asked for");
    ok &= expect(rebound > 0, "no port was changed");
    ok &= expect(is_steered || s.handed_over > 0, "no packet was handed over");
    ok &= expect(!is_steered || s.handed_over == 0, "a packet reached the wrong worker");
    for (uint16_t i = 0; i < 2; i++) {
        struct plx_core_stats of_one;
        plx_engine_stats(server, i, &of_one);
        ok &= expect(of_one.conns_opened > 0, "a worker had no connection");
    }
    ok &= expect(s.handed_over == s.taken_over, "not every packet that was handed over was taken");
    ok &= expect(is_home(server), "something is still in a mailbox");
    ok &= expect(rotations > 200, "not all keys were rotated");
    unsigned lines = lines_of(keylog);
    ok &= expect(lines >= 2 * 2 * CONNS * 4, "the key log misses handshakes");
    printf(
        "workers: %llu handed over, %u ports changed, %llu rotations, %u lines of key log, %llu key updates: %s\n",
        (unsigned long long)s.handed_over, rebound, (unsigned long long)rotations, lines,
        (unsigned long long)(plx_engine_core(server, 0)->env.stats.key_updates +
                             plx_engine_core(server, 1)->env.stats.key_updates),
        ok ? "ok" : "FAILED");
    plx_engine_free(server);
    for (unsigned i = 0; i < leg_count; i++)
        close(legs[i].up);
    close(relay_socket);
    unlink(keylog);
    return ok ? 0 : 1;
}
