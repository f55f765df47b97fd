// bare.c -- the floor of bench/goals: what the packets of plx-serve and plx-load cost over memif when nobody speaks QUIC.
//
// Two processes, a core each, over the DPDK driver: receive, find the connection, unmask, open, build, seal, mask, send, with the engine's
// own lib/net for what stands in front of a payload. The server answers small packets, one in flight on each connection; or, with --send,
// it sends large ones, of which the client tells every so often how many it has. Busy is what it is in an engine: rounds that
// did nothing are not counted.
//
// The client leads. Every packet of it says how far it is (enum stage): the server counts while the client does, its figures come with
// the answers to the end, and it stays until they have arrived, because what is in a memif ring is gone with its other end. Neither waits for the other for longer than --patience.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/time.h"
#include "bench/bare/packets.h"
#include "bench/wire/options.h"
#include "engine/clock.h"
#include "net/net.h"

enum {
    BURST = 32,       // what memif's driver hands over at once
    ASK_LEN = 64,     // as plx-load asks for 64 octets,
    ANSWER_LEN = 118, // and as plx-serve answers
    BULK_LEN = 1400,
    WINDOW = 512, // packets of --send that the client has not told of: half of the usual ring
    TOLD_EVERY = 32,
    CONNS_MAX = 16384, // a datagram of each fits in the largest ring
    SERVER_PORT = 7443,
    CLIENT_PORT = 7444,
};

static const char usage[] =
    "Usage: bare --serve|--load [OPTION...] -- EAL...\n"
    "\n"
    "What protected packets cost without QUIC, between two processes over a DPDK port: nanoseconds of busy time.\n"
    "\n"
    "  --serve        the side whose time is the floor; start it first, it says \"ready\"\n"
    "  --load         the side that asks, says the figures of both, and ends both\n"
    "  --send         the server sends packets of 1,400 octets (else it answers one of 64 with one of 118)\n"
    "  --conns N      connections, one packet in flight on each; the same for both sides (64; with --send 1)\n"
    "  --ms N         measured time, after a quarter of it to warm up (500)\n"
    "  --patience S   seconds of silence from the other side after which this one gives up (10)\n"
    "  --json FILE    --load: writes the figures there too\n"
    "  --help         this\n"
    "\n"
    "Example, in two terminals:\n"
    "  bare --serve -- --no-pci --no-huge -m 256 --file-prefix=s --vdev net_memif0,role=server,socket=/tmp/bare.sock,socket-abstract=no\n"
    "  bare --load -- --no-pci --no-huge -m 256 --file-prefix=c --vdev net_memif0,role=client,socket=/tmp/bare.sock,socket-abstract=no\n";

static struct {
    bool is_serve, is_load, is_send;
    uint32_t conns, ms, patience;
    const char *json;
} opt = {.ms = 500, .patience = 10};

enum stage { STAGE_HELLO, STAGE_WARM, STAGE_COUNT, STAGE_END, STAGE_BYE };

// What a packet says in its first octets; of an answer to the end all of it, of any other what fits.
struct words {
    uint64_t stage;
    uint64_t packets; // --load, with --send: received so far; --serve: answered, or sent, while it counted
    uint64_t busy_ns, refused;
};

static struct {
    struct plx_port *port;
    const struct plx_port_ops *ops;
    struct plx_net net;
    struct bare_packets packets;
    struct plx_addr own, peer;
    plx_time now, heard, asked;
    struct words says; // what this side sends
    // --serve --send
    uint64_t sent, told;
    uint32_t turn;
    // --load
    struct words answer; // what the server said at the end
    uint64_t received, known,
        counted; // packets; of those, what the server was told of, what came in the measured time
    uint64_t restarts;
    plx_time until;
    struct bare_conn *todo[CONNS_MAX]; // connections with nothing in flight, in the order of their answers
    uint32_t todo_at, todo_count;
    bool is_out[CONNS_MAX];
} w;

static _Noreturn void fail(const char *why)
{
    fprintf(stderr, "bare: %s\n", why);
    if (w.ops != NULL) // memif's socket would be left behind, and nobody could listen there
        w.ops->close(w.port);
    exit(1);
}

// --- packets ------------------------------------------------------------------------------------------------

static bool has_passed(plx_time since, uint64_t ms)
{
    return plx_time_reached(plx_time_after(since, PLX_MS(ms)), w.now);
}

static void pending_send(void)
{
    struct plx_pkt *pkt;

    while (plx_net_has_pending(&w.net) && w.ops->take(w.port, 0, &pkt, 1) == 1) {
        plx_net_pending(&w.net, pkt);
        w.ops->tx(w.port, 0, &pkt, 1);
    }
}

// Everything that is no datagram: questions of the link, which are answered, and what is nobody's.
static void other_receive(struct plx_pkt *pkt, enum plx_net_verdict v)
{
    struct plx_pkt *reply;

    if (v == PLX_NET_REPLY && w.ops->take(w.port, 0, &reply, 1) == 1) {
        memcpy(reply->data, pkt->data, pkt->len);
        reply->len = pkt->len;
        w.ops->tx(w.port, 0, &reply, 1);
    }
    w.ops->give(w.port, 0, &pkt, 1);
}

// A burst of the other side's packets, opened; they are given back by the caller.
static uint16_t packets_receive(struct plx_pkt **pkts)
{
    struct plx_pkt *raw[BURST];
    uint16_t got = w.ops->rx(w.port, 0, raw, BURST), n = 0;

    for (uint16_t i = 0; i < got; i++) {
        enum plx_net_verdict v = plx_net_rx(&w.net, raw[i], w.now);
        if (v == PLX_NET_UDP)
            pkts[n++] = raw[i];
        else
            other_receive(raw[i], v);
    }
    pending_send();
    if (n == 0)
        return 0;
    if (!bare_packets_open(&w.packets, pkts, n, opt.is_serve))
        fail("a packet is of no connection of ours: both sides want the same --conns");
    w.heard = w.now;
    return n;
}

static struct words words_of(const struct plx_pkt *pkt)
{
    struct words said = {0};
    size_t len = pkt->len - (size_t)BARE_OVERHEAD;

    memcpy(&said, pkt->data + BARE_HDR_LEN, len < sizeof said ? len : sizeof said);
    return said;
}

// Packets of len octets to the connections, as many as the device takes: so many of the first.
static uint16_t packets_send(struct bare_conn *const *to, uint16_t want, uint16_t len)
{
    struct plx_pkt *pkts[BURST];
    uint16_t n = w.ops->take(w.port, 0, pkts, want), good = 0;

    memcpy(w.packets.text, &w.says, sizeof w.says);
    for (uint16_t i = 0; i < n; i++) {
        bare_packet_write(&w.packets, i, pkts[i], to[i], len, opt.is_serve);
        pkts[i]->peer = w.peer;
        pkts[i]->local = w.own;
    }
    bare_packets_seal(&w.packets, pkts, n);
    while (good < n && plx_net_tx(&w.net, pkts[good], w.now))
        good++;
    w.ops->give(w.port, 0, pkts + good, (uint16_t)(n - good));
    return good > 0 ? w.ops->tx(w.port, 0, pkts, good) : 0;
}

// --- the server ---------------------------------------------------------------------------------------------

static void server_stage(uint64_t stage)
{
    if (stage <= w.says.stage || stage > STAGE_BYE)
        return;
    if (stage == STAGE_COUNT)
        w.says = (struct words){0};
    w.says.stage = stage;
}

static bool server_bulk(void)
{
    struct bare_conn *to[BURST];
    uint64_t room = WINDOW - (w.sent - w.told);
    uint16_t want = room < BURST ? (uint16_t)room : BURST;

    if (w.says.stage < STAGE_WARM || w.says.stage >= STAGE_END || want == 0)
        return false;
    for (uint16_t i = 0; i < want; i++) {
        to[i] = &w.packets.conns[w.turn];
        w.turn = w.turn + 1 == opt.conns ? 0 : w.turn + 1;
    }
    uint16_t sent = packets_send(to, want, BULK_LEN);
    w.sent += sent;
    w.says.packets += sent;
    w.says.refused += (uint64_t)(want - sent);
    return true;
}

static bool server_round(void)
{
    struct plx_pkt *pkts[BURST];
    uint16_t n = packets_receive(pkts);

    for (uint16_t i = 0; i < n; i++) {
        struct words said = words_of(pkts[i]);
        server_stage(said.stage);
        if (opt.is_send && said.packets > w.told && said.packets <= w.sent)
            w.told = said.packets;
    }
    if (n > 0)
        w.ops->give(w.port, 0, pkts, n);
    if (n > 0 && (!opt.is_send || w.says.stage == STAGE_HELLO || w.says.stage >= STAGE_END)) {
        uint16_t sent = packets_send(w.packets.from, n, ANSWER_LEN);
        if (w.says.stage < STAGE_END) {
            w.says.packets += sent;
            w.says.refused += (uint64_t)(n - sent);
        }
    }
    return (opt.is_send && server_bulk()) || n > 0;
}

static bool server_is_done(void)
{
    if (w.says.stage == STAGE_BYE || !has_passed(w.heard, UINT64_C(1000) * opt.patience))
        return w.says.stage == STAGE_BYE;
    if (w.says.stage < STAGE_END)
        fail(
            "the other side has said nothing for --patience seconds: is bare --load there, with the same socket?");
    return true; // the figures were there for it
}

// --- the client ---------------------------------------------------------------------------------------------

static void todo_put(struct bare_conn *c)
{
    w.todo[(w.todo_at + w.todo_count++) % CONNS_MAX] = c;
}

static void todo_all(void)
{
    w.todo_at = w.todo_count = 0;
    memset(w.is_out, 0, sizeof w.is_out);
    for (uint32_t i = 0; i < opt.conns; i++)
        todo_put(&w.packets.conns[i]);
}

static void client_stage(enum stage stage, uint64_t ms)
{
    if (stage == STAGE_COUNT)
        w.says.busy_ns = 0, w.counted = w.received;
    w.says.stage = stage;
    w.until = plx_time_after(w.now, PLX_MS(ms));
}

// Where nothing but one packet at a time is wanted: at the beginning, until the link is there, and at the end.
static bool client_knock(void)
{
    if (!has_passed(w.asked, 10))
        return false;
    w.asked = w.now;
    packets_send(&(struct bare_conn *){w.packets.conns}, 1, ASK_LEN);
    return true;
}

static bool client_ask(void)
{
    struct bare_conn *to[BURST];
    uint16_t n = w.todo_count < BURST ? (uint16_t)w.todo_count : BURST;

    if (n == 0) {
        if (!has_passed(w.heard, 100) || !has_passed(w.asked, 100))
            return false;
        todo_all(); // whatever was lost
        w.asked = w.now;
        w.restarts++;
        return true;
    }
    for (uint16_t i = 0; i < n; i++)
        to[i] = w.todo[(w.todo_at + i) % CONNS_MAX];
    uint16_t sent = packets_send(to, n, ASK_LEN);
    for (uint16_t i = 0; i < sent; i++)
        w.is_out[to[i] - w.packets.conns] = true;
    w.todo_at = (w.todo_at + sent) % CONNS_MAX;
    w.todo_count -= sent;
    return true;
}

// Tells the server how many of its packets have come.
static bool client_tell(void)
{
    if (w.received - w.known < TOLD_EVERY && !has_passed(w.asked, 1))
        return false;
    w.asked = w.now;
    w.says.packets = w.received;
    if (packets_send(&(struct bare_conn *){w.packets.conns}, 1, ASK_LEN) == 1)
        w.known = w.received;
    return true;
}

static void client_take(struct plx_pkt **pkts, uint16_t n)
{
    for (uint16_t i = 0; i < n; i++) {
        struct words said = words_of(pkts[i]);
        uint64_t at = (uint64_t)(w.packets.from[i] - w.packets.conns);
        if (said.stage == STAGE_END)
            w.answer = said;
        w.received += !opt.is_send || pkts[i]->len == BULK_LEN;
        if (w.is_out[at]) {
            w.is_out[at] = false;
            todo_put(&w.packets.conns[at]);
        }
    }
    w.ops->give(w.port, 0, pkts, n);
}

static bool client_round(void)
{
    struct plx_pkt *pkts[BURST];
    uint16_t n = packets_receive(pkts);

    if (n > 0)
        client_take(pkts, n);
    if (w.says.stage == STAGE_HELLO && n > 0) {
        client_stage(STAGE_WARM, opt.ms / 4);
        todo_all();
    } else if (w.says.stage == STAGE_WARM && plx_time_reached(w.until, w.now) && w.received >= opt.conns) {
        client_stage(STAGE_COUNT, opt.ms);
    } else if (w.says.stage == STAGE_COUNT && plx_time_reached(w.until, w.now)) {
        w.counted = w.received - w.counted;
        client_stage(STAGE_END, 0);
    } else if (w.says.stage == STAGE_END && w.answer.stage == STAGE_END) {
        client_stage(STAGE_BYE, 50);
    }
    if (w.says.stage == STAGE_HELLO || w.says.stage >= STAGE_END)
        return client_knock() || n > 0;
    return (opt.is_send ? client_tell() : client_ask()) || n > 0;
}

static bool client_is_done(void)
{
    if (w.says.stage < STAGE_BYE && has_passed(w.heard, UINT64_C(1000) * opt.patience))
        fail(
            "the other side has said nothing for --patience seconds: is bare --serve there, with the same socket?");
    return w.says.stage == STAGE_BYE && plx_time_reached(w.until, w.now);
}

// --- running ------------------------------------------------------------------------------------------------

// As a core of an engine: the time of a round is busy when it did something.
static void rounds_run(bool (*round)(void), bool (*is_done)(void))
{
    w.heard = w.asked = w.now = plx_clock_now();
    while (!is_done()) {
        bool did = round();
        plx_time then = plx_clock_now();
        if (did && w.says.stage == STAGE_COUNT)
            w.says.busy_ns += plx_time_since(then, w.now).ns;
        w.now = then;
    }
}

static void figures_say(void)
{
    if (w.answer.packets == 0 || w.counted == 0)
        fail("nothing went through in the measured time");
    double server = (double)w.answer.busy_ns / (double)w.answer.packets,
           client = (double)w.says.busy_ns / (double)w.counted;

    printf(
        "%s, %u connections: server %.1f ns, client %.1f ns a %s; %llu of them, %llu refused, %llu restarts\n",
        opt.is_send ? "send" : "echo", opt.conns, server, client, opt.is_send ? "packet" : "request",
        (unsigned long long)w.answer.packets, (unsigned long long)w.answer.refused,
        (unsigned long long)w.restarts);
    if (opt.json == NULL)
        return;
    FILE *f = fopen(opt.json, "w");
    if (f == NULL)
        fail("--json: the file cannot be written");
    fprintf(
        f,
        "{\"way\": \"%s\", \"conns\": %u, \"ms\": %u, \"packets\": %llu, \"server_ns\": %.2f, \"client_ns\": %.2f,"
        " \"refused\": %llu, \"restarts\": %llu}\n",
        opt.is_send ? "send" : "echo", opt.conns, opt.ms, (unsigned long long)w.answer.packets, server,
        client, (unsigned long long)w.answer.refused, (unsigned long long)w.restarts);
    if (fclose(f) != 0)
        fail("--json: the file could not be written");
}

static void net_open(const struct plx_port_caps *caps)
{
    struct plx_net_cfg cfg = {.addr_count = 1,
                              .port_count = 1,
                              .tx_csum = caps->tx_csum,
                              .no_udp_check = opt.is_load, // as plx-load
                              .key = {1}};
    struct plx_addr server, client;

    plx_check(plx_addr_parse("10.214.0.1:1", &server) && plx_addr_parse("10.214.0.2:1", &client));
    server.port = SERVER_PORT;
    client.port = CLIENT_PORT;
    w.own = opt.is_serve ? server : client;
    w.peer = opt.is_serve ? client : server;
    memcpy(cfg.mac, caps->mac, sizeof cfg.mac);
    cfg.addrs[0] = (struct plx_net_addr){w.own, 24};
    cfg.ports[0] = w.own.port;
    plx_check(plx_net_init(&w.net, &cfg) == PLX_OK);
}

static void port_open(int argc, char **argv)
{
    struct plx_port_caps caps;
    char err[512] = "this build has no DPDK";

    w.port = plx_port_ethdev();
    if (w.port == NULL || plx_eal_init(argc, argv, err, sizeof err) != PLX_OK)
        fail(err);
    if (w.port->ops->open(w.port, &(struct plx_port_cfg){.args = "", .queues = 1, .numa_node = -1}, &caps,
                          err, sizeof err) != PLX_OK)
        fail(err);
    w.ops = w.port->ops;
    net_open(&caps);
    w.ops->thread_attach(w.port, 0);
}

static void options(int argc, char **argv)
{
    static const struct option names[] = {
        {"serve", 0, NULL, 's'}, {"load", 0, NULL, 'l'}, {"send", 0, NULL, 'b'},
        {"conns", 1, NULL, 'c'}, {"ms", 1, NULL, 'm'},   {"patience", 1, NULL, 'p'},
        {"json", 1, NULL, 'j'},  {"help", 0, NULL, 'h'}, {0}};
    int o;

    while ((o = getopt_long(argc, argv, "h", names, NULL)) != -1) {
        switch (o) {
        case 's':
            opt.is_serve = true;
            break;
        case 'l':
            opt.is_load = true;
            break;
        case 'b':
            opt.is_send = true;
            break;
        case 'c':
            opt.conns = (uint32_t)option_number("bare", "conns", optarg, 1, CONNS_MAX);
            break;
        case 'm':
            opt.ms = (uint32_t)option_number("bare", "ms", optarg, 10, 3600000);
            break;
        case 'p':
            opt.patience = (uint32_t)option_number("bare", "patience", optarg, 1, 3600);
            break;
        case 'j':
            opt.json = optarg;
            break;
        default:
            option_other("bare", o, usage);
        }
    }
    option_end("bare", argc, argv);
    if (opt.is_serve == opt.is_load || (opt.is_serve && opt.json != NULL)) {
        fprintf(stderr, "bare: %s; bare --help\n",
                opt.is_serve == opt.is_load ? "either --serve or --load" : "--json is for --load");
        exit(2);
    }
    if (opt.conns == 0)
        opt.conns = opt.is_send ? 1 : 64;
}

int main(int argc, char **argv)
{
    int split = 1;

    while (split < argc && strcmp(argv[split], "--") != 0)
        split++;
    options(split, argv);
    if (split == argc) {
        fprintf(stderr, "bare: EAL's arguments are wanted behind \"--\"; bare --help has an example\n");
        return 2;
    }
    port_open(argc - split - 1, argv + split + 1);
    bare_packets_init(&w.packets, opt.conns, NULL);
    if (opt.is_serve) {
        printf("ready\n");
        fflush(stdout);
        rounds_run(server_round, server_is_done);
    } else {
        rounds_run(client_round, client_is_done);
        figures_say();
    }
    bare_packets_fini(&w.packets);
    w.ops->close(w.port);
    plx_port_free(w.port);
    return 0;
}
