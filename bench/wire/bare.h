// bare.h -- the floor under bench/wire: what is left when QUIC is taken away.
//
// Packets of the same lengths, as many each way, over the same port with the same protection: receive, look the connection up, unmask,
// open, build, seal, mask, send. Build is a copy of prepared octets behind a header; nothing is parsed, remembered or acknowledged.

#ifndef PLX_BENCH_WIRE_BARE_H
#define PLX_BENCH_WIRE_BARE_H

#include "engine/phase.h"

#include <stdint.h>

struct bare_cell {
    uint32_t conns;
    uint16_t rx_len, tx_len;             // octets of the UDP payloads that the server sees and sends
    uint64_t datagrams_rx, datagrams_tx; // the server's, of which the ratio counts
    const char *crypto;
};

struct bare;

struct bare *bare_new(const struct bare_cell *cell);
// Lets the server take `datagrams`; its cycles by phase go to `cycles` (zero without PLX_PHASES). Returns how many it sent.
uint64_t bare_measure(struct bare *b, uint64_t datagrams, uint64_t cycles[PLX_PHASE_COUNT]);
void bare_free(struct bare *b);

#endif
