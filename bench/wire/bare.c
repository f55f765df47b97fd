// bare.c -- see bare.h.

#include "bench/wire/bare.h"

#include <stdlib.h>

#include "base/check.h"
#include "bench/bare/packets.h"
#include "bench/wire/pair.h"
#include "drivers/loop/loop.h"

struct bare {
    struct bare_cell cell;
    struct plx_port *server, *client;
    struct bare_packets packets;
    uint32_t turn;   // whose packet the client sends next
    uint64_t credit; // packets that the server still owes, in units of 1/datagrams_rx
};

// --- both ends ----------------------------------------------------------------------------------------------

static void packets_send(struct bare *b, struct plx_port *port, struct plx_pkt **pkts, uint16_t n)
{
    bare_packets_seal(&b->packets, pkts, n);
    plx_phase(PLX_PHASE_SEND);
    plx_check(port->ops->tx(port, 0, pkts, n) == n);
}

static void client_send(struct bare *b, uint16_t n)
{
    struct plx_pkt *pkts[BARE_BURST], *back[BARE_BURST];
    uint16_t got;

    while ((got = b->client->ops->rx(b->client, 0, back, BARE_BURST)) > 0)
        b->client->ops->give(b->client, 0, back, got);
    plx_check(b->client->ops->take(b->client, 0, pkts, n) == n);
    for (uint16_t i = 0; i < n; i++) {
        bare_packet_write(&b->packets, i, pkts[i], &b->packets.conns[b->turn], b->cell.rx_len, false);
        b->turn = b->turn + 1 == b->cell.conns ? 0 : b->turn + 1;
    }
    packets_send(b, b->client, pkts, n);
}

// --- the server ---------------------------------------------------------------------------------------------

static uint16_t server_receive(struct bare *b)
{
    struct plx_pkt *pkts[BARE_BURST];

    plx_phase(PLX_PHASE_RECEIVE);
    uint16_t n = b->server->ops->rx(b->server, 0, pkts, BARE_BURST);
    plx_check(bare_packets_open(&b->packets, pkts, n, true));
    plx_phase(PLX_PHASE_RECEIVE);
    b->server->ops->give(b->server, 0, pkts, n);
    return n;
}

// As many for as many as in the run whose floor this is, to those who asked.
static uint64_t server_answer(struct bare *b, uint16_t received)
{
    struct plx_pkt *pkts[BARE_BURST];
    uint64_t sent = 0;

    b->credit += received * b->cell.datagrams_tx;
    for (;;) {
        plx_phase(PLX_PHASE_BUILD);
        uint64_t owed = b->credit / b->cell.datagrams_rx;
        uint16_t n = owed < received ? (uint16_t)owed : received;
        if (n == 0)
            return sent;
        n = b->server->ops->take(b->server, 0, pkts, n);
        for (uint16_t i = 0; i < n; i++)
            bare_packet_write(&b->packets, i, pkts[i], b->packets.from[i], b->cell.tx_len, true);
        packets_send(b, b->server, pkts, n);
        b->credit -= (uint64_t)n * b->cell.datagrams_rx;
        sent += n;
    }
}

uint64_t bare_measure(struct bare *b, uint64_t datagrams, uint64_t cycles[PLX_PHASE_COUNT])
{
    uint64_t sent = 0;
    uint16_t most = BARE_BURST;

    // A bulk sender answers few packets with many: the burst is as large as its answers' slots allow.
    while (most > 1 && most * (b->cell.datagrams_tx / b->cell.datagrams_rx + 1) > 1024)
        most /= 2;
    for (uint64_t done = 0; done < datagrams;) {
        uint16_t n = datagrams - done < most ? (uint16_t)(datagrams - done) : most;
        client_send(b, n);
        books_open(cycles);
        plx_check(server_receive(b) == n);
        sent += server_answer(b, n);
        books_close();
        done += n;
    }
    return sent;
}

// --- making and ending --------------------------------------------------------------------------------------

struct bare *bare_new(const struct bare_cell *cell)
{
    struct bare *b = calloc(1, sizeof *b);
    struct plx_port_caps caps;
    char err[256];

    plx_check(b != NULL && cell->rx_len >= BARE_PACKET_MIN && cell->tx_len >= BARE_PACKET_MIN);
    b->cell = *cell;
    plx_check(plx_loop_pair(&b->server, &b->client, 4096));
    plx_check(b->server->ops->open(b->server, &(struct plx_port_cfg){.queues = 1}, &caps, err, sizeof err) ==
              PLX_OK);
    plx_check(b->client->ops->open(b->client, &(struct plx_port_cfg){.queues = 1}, &caps, err, sizeof err) ==
              PLX_OK);
    plx_check(cell->rx_len <= caps.payload_max && cell->tx_len <= caps.payload_max);
    bare_packets_init(&b->packets, cell->conns, cell->crypto);
    return b;
}

void bare_free(struct bare *b)
{
    b->server->ops->close(b->server);
    b->client->ops->close(b->client);
    b->server->free(b->server);
    b->client->free(b->client);
    bare_packets_fini(&b->packets);
    free(b);
}
