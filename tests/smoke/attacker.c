// attacker.c -- everything that a server on the open Internet gets besides requests, as fast as one socket can send it.
//
//   attacker MODE SERVER_PORT COUNT SECONDS SEED [LISTEN_PORT]
//
//   random      octets of any length; some begin like a QUIC packet
//   headers     well-formed headers of every type and many versions, with nothing true behind them
//   initials    Initial packets that open: junk inside, cut off at any place, tokens that nobody issued, or too small a datagram
//   handshakes  Initial packets with the beginning of a ClientHello and nothing after it: connections that come to nothing
//   relay       a client's packets on their way to the server (LISTEN_PORT), passed on, and each sent again: the same, with a bit
//               changed, cut, from another address; and again when the client is gone. Ends COUNT packets after the client does.
//
// Sends COUNT datagrams, for SECONDS at most, to 127.0.0.1:SERVER_PORT and nowhere else. What comes back is read and thrown away. One line at the end:
// how many were sent. The same seed sends the same octets (but in relay, where they are the client's).

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/cursor.h"
#include "base/prng.h"
#include "crypto/aead.h"
#include "crypto/keys.h"
#include "quic/wire/packet.h"

enum { DGRAM_MAX = 1452, KEPT_MAX = 4096, SOCKETS = 8 };

static struct plx_prng prng;
static int sock[SOCKETS]; // several addresses: what was bound to one is of no use from another
static uint64_t sent, left;
static struct timespec end;
static const struct plx_aead_backend *aead;

static unsigned below(unsigned n)
{
    return (unsigned)plx_prng_below(&prng, n);
}

static bool is_late(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec > end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec >= end.tv_nsec);
}

static void swallow(int s)
{
    char buf[2048];

    while (recv(s, buf, sizeof buf, MSG_DONTWAIT) > 0)
        continue;
}

static void say(int s, const uint8_t *p, size_t len)
{
    if (send(s, p, len, 0) >= 0 || errno == ECONNREFUSED || errno == ENOBUFS || errno == EAGAIN)
        sent++;
    if (sent % 64 == 0)
        swallow(s);
}

// --- forgeries ----------------------------------------------------------------------------------------------

static size_t random_octets(uint8_t *out)
{
    static const uint8_t first[] = {0xc0, 0xc3, 0xd0, 0xe0, 0xf0, 0x40, 0x43, 0x80, 0x00};
    size_t len = below(4) == 0 ? below(40) : below(DGRAM_MAX) + 1;

    plx_prng_bytes(&prng, out, len);
    if (len > 5 && below(2) == 0) {
        out[0] = (uint8_t)(first[below(sizeof first)] | (out[0] & 0x0f));
        if (below(2) == 0)
            memcpy(out + 1, "\0\0\0\1", 4);
    }
    return len;
}

static void random_cid(struct plx_cid *cid, unsigned min)
{
    *cid = (struct plx_cid){.len = (uint8_t)(min + below(PLX_CID_MAX - min + 1))};
    plx_prng_bytes(&prng, cid->bytes, cid->len);
}

static size_t header(uint8_t *out)
{
    static const uint32_t versions[] = {1, 0, 0x6b3343cf, 0xff00001d, 0x1a2a3a4a, 0xffffffff};
    struct plx_cid dcid, scid;
    struct plx_pkt_built b;
    struct plx_wr w = plx_wr_init(out, DGRAM_MAX);

    random_cid(&dcid, 0);
    random_cid(&scid, 0);
    plx_prng_bytes(&prng, out, DGRAM_MAX);
    if (below(3) == 0) {
        dcid.len = 8;
        plx_pkt_write_short(&w, &dcid, below(2) == 0, below(2) == 0, below(1000), 1 + (uint8_t)below(4), &b);
        return (size_t)(w.p - out) + below(200);
    }
    static const enum plx_pkt_type types[] = {PLX_PKT_INITIAL, PLX_PKT_ZERO_RTT, PLX_PKT_HANDSHAKE,
                                              PLX_PKT_RETRY};
    enum plx_pkt_type type = types[below(4)];
    if (type == PLX_PKT_RETRY) {
        plx_pkt_write_retry(&w, versions[below(6)], &dcid, &scid, out + 1000, below(60), 0);
        return (size_t)(w.p - out) + below(40);
    }
    plx_pkt_write_long(&w, type, versions[below(6)], &dcid, &scid, NULL, 0, below(100), 1 + (uint8_t)below(4),
                       &b);
    size_t rest = 20 + below(1100);
    plx_pkt_length_patch(
        &b, b.pn_len + (below(8) == 0 ? rest + 5000 : rest)); // now and then longer than the datagram
    size_t len = (size_t)(w.p - out) + rest;
    if (below(20) == 0)
        out[5] = 21 + (uint8_t)below(200); // a connection ID of impossible length
    return below(2) == 0 && len < 1200 ? 1200 : len;
}

// A packet that opens, with this payload behind it and PADDING to the size.
static size_t initial(uint8_t *out, const uint8_t *payload, size_t len, size_t size, const uint8_t *token,
                      size_t token_len)
{
    struct plx_cid dcid, scid;
    struct plx_secret client, server;
    struct plx_aead_key key;
    struct plx_hp_key hp;
    struct plx_pkt_built b;
    struct plx_wr w = plx_wr_init(out, size);

    random_cid(&dcid, below(50) == 0 ? 0 : 8);
    random_cid(&scid, 0);
    if (!plx_pkt_write_long(&w, PLX_PKT_INITIAL, PLX_QUIC_V1, &dcid, &scid, token, token_len, 0, 2, &b))
        return 0;
    uint8_t *text = w.p;
    if (len + PLX_AEAD_TAG_LEN > plx_wr_left(&w))
        return 0;
    size_t text_len = plx_wr_left(&w) - PLX_AEAD_TAG_LEN;
    memset(text, 0, text_len);
    memcpy(text, payload, len);
    plx_pkt_length_patch(&b, b.pn_len + text_len + PLX_AEAD_TAG_LEN);
    plx_secret_initial(PLX_QUIC_V1, dcid.bytes, dcid.len, &client, &server);
    plx_keys_aead(aead, PLX_QUIC_V1, &client, &key);
    plx_keys_hp(aead, PLX_QUIC_V1, &client, &hp);
    struct plx_aead_job seal = {.key = &key,
                                .text = text,
                                .aad = out,
                                .pn = 0,
                                .text_len = (uint16_t)text_len,
                                .aad_len = (uint16_t)(text - out)};
    struct plx_mask_job mask = {.key = &hp, .sample = b.pn + 4};
    aead->seal(&seal, 1);
    aead->mask(&mask, 1);
    out[0] ^= mask.mask[0] & 0x0f;
    for (unsigned i = 0; i < b.pn_len; i++)
        b.pn[i] ^= mask.mask[1 + i];
    return size;
}

static size_t junk_initial(uint8_t *out)
{
    uint8_t payload[1000], token[200];
    size_t len = below(sizeof payload), token_len = below(4) == 0 ? below(sizeof token) : 0;

    plx_prng_bytes(&prng, payload, sizeof payload);
    plx_prng_bytes(&prng, token, sizeof token);
    if (below(2) == 0)
        payload[0] = (uint8_t)below(0x20); // a frame, at least to begin with
    size_t size = below(8) == 0 ? 300 + below(899) : 1200 + below(252);
    size = initial(out, payload, len < size / 2 ? len : size / 2, size, token,
                   token_len < 100 ? token_len : 100);
    if (size > 0 && below(4) == 0)
        size = 1 + below((unsigned)size); // cut off
    if (size > 0 && below(8) == 0)
        out[below((unsigned)size)] ^= (uint8_t)(1 << below(8));
    return size;
}

// CRYPTO with the first octets of a ClientHello that never comes to an end.
static size_t handshake(uint8_t *out)
{
    static const uint8_t hello[] = {0x06, 0x00, 0x40, 0x60, 0x01, 0x00, 0x02, 0x00, 0x03, 0x03};
    uint8_t payload[4 + 0x60] = {0};

    memcpy(payload, hello, sizeof hello);
    return initial(out, payload, sizeof payload, 1200, NULL, 0);
}

static void flood(size_t (*make)(uint8_t *out))
{
    uint8_t buf[2 * DGRAM_MAX];

    for (; left > 0 && !(left % 256 == 0 && is_late()); left--) {
        size_t len = make(buf);
        say(sock[below(SOCKETS)], buf, len < DGRAM_MAX ? len : DGRAM_MAX);
    }
}

// --- replays ------------------------------------------------------------------------------------------------

static struct {
    uint16_t len;
    uint8_t p[DGRAM_MAX];
} kept[KEPT_MAX];
static unsigned kept_count;

static void again(void)
{
    uint8_t buf[DGRAM_MAX];
    unsigned i = below(kept_count);
    size_t len = kept[i].len;

    memcpy(buf, kept[i].p, len);
    switch (below(4)) {
    case 0:
        buf[below((unsigned)len)] ^= (uint8_t)(1 << below(8));
        break;
    case 1:
        len = 1 + below((unsigned)len);
        break;
    case 2:
        if (len > 40)
            plx_prng_bytes(&prng, buf + 20, len - 20); // the header stays
        break;
    default:
        break; // as it was
    }
    say(sock[below(SOCKETS)], buf, len); // sock[0] has the address that the server knows
}

static int bind_to(uint16_t port)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    plx_check(s >= 0);
    if (bind(s, (struct sockaddr *)&a, sizeof a) == 0)
        return s;
    perror("attacker: bind");
    exit(1);
}

// Both directions, until the client has been silent for two seconds.
static void relay(uint16_t port)
{
    struct sockaddr_in client = {0};
    socklen_t size = sizeof client;
    uint8_t buf[2048];
    int in = bind_to(port);
    bool has_client = false;

    printf("attacker: relay on 127.0.0.1:%u\n", port);
    fflush(stdout);
    while (!is_late()) {
        struct pollfd fd[2] = {{.fd = in, .events = POLLIN}, {.fd = sock[0], .events = POLLIN}};
        if (poll(fd, 2, has_client ? 2000 : 100) == 0) {
            if (has_client)
                break;
            continue;
        }
        if (fd[0].revents & POLLIN) {
            ssize_t n = recvfrom(in, buf, sizeof buf, 0, (struct sockaddr *)&client, &size);
            if (n > 0) {
                has_client = true;
                send(sock[0], buf, (size_t)n, 0);
                if (n <= DGRAM_MAX && kept_count < KEPT_MAX) {
                    kept[kept_count].len = (uint16_t)n;
                    memcpy(kept[kept_count++].p, buf, (size_t)n);
                }
                for (unsigned i = 0; i < 3 && kept_count > 0; i++)
                    if (below(4) == 0)
                        again();
            }
        }
        for (ssize_t n; (fd[1].revents & POLLIN) && (n = recv(sock[0], buf, sizeof buf, MSG_DONTWAIT)) > 0;)
            if (has_client)
                sendto(in, buf, (size_t)n, 0, (struct sockaddr *)&client, size);
    }
    for (; left > 0 && kept_count > 0 && !(left % 256 == 0 && is_late()); left--)
        again();
    close(in);
}

// ------------------------------------------------------------------------------------------------------------

static void sockets_open(uint16_t port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    for (unsigned i = 0; i < SOCKETS; i++) {
        sock[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        plx_check(sock[i] >= 0 && connect(sock[i], (struct sockaddr *)&to, sizeof to) == 0);
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        size_t (*make)(uint8_t *out);
    } modes[] = {{"random", random_octets},
                 {"headers", header},
                 {"initials", junk_initial},
                 {"handshakes", handshake}};
    char why[128];

    if (argc < 6) {
        fprintf(
            stderr,
            "usage: attacker random|headers|initials|handshakes|relay SERVER_PORT COUNT SECONDS SEED [LISTEN_PORT]\n");
        return 2;
    }
    left = strtoull(argv[3], NULL, 10);
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += strtol(argv[4], NULL, 10);
    plx_prng_init(&prng, strtoull(argv[5], NULL, 10));
    aead = plx_aead_pick(NULL, why, sizeof why);
    plx_check(aead != NULL);
    sockets_open((uint16_t)strtoul(argv[2], NULL, 10));
    bool is_known = false;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (strcmp(argv[1], modes[i].name) == 0)
            flood(modes[i].make), is_known = true;
    if (strcmp(argv[1], "relay") == 0 && argc > 6)
        relay((uint16_t)strtoul(argv[6], NULL, 10)), is_known = true;
    if (!is_known) {
        fprintf(stderr, "attacker: %s: no such mode\n", argv[1]);
        return 2;
    }
    for (unsigned i = 0; i < SOCKETS; i++)
        close(sock[i]);
    printf("attacker: %s: %llu sent, %u packets of a client\n", argv[1], (unsigned long long)sent,
           kept_count);
    return 0;
}
