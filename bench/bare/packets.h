// packets.h -- protected packets without QUIC: what the bare path of bench/wire (over loop) and bench/bare (over memif) do to each.
//
// A header of a connection ID and a packet number, prepared octets behind it, and the protection of QUIC. Nothing is parsed, remembered
// or acknowledged. Both ends have the same connections and keys, which are drawn from one seed: nobody shakes hands.

#ifndef PLX_BENCH_BARE_PACKETS_H
#define PLX_BENCH_BARE_PACKETS_H

#include "base/arena.h"
#include "base/table.h"
#include "crypto/aead.h"
#include "plx/port.h"

enum {
    BARE_BURST = 64,
    BARE_CID_LEN = 8,
    BARE_PN_LEN = 4,
    BARE_HDR_LEN = 1 + BARE_CID_LEN + BARE_PN_LEN,
    BARE_OVERHEAD = BARE_HDR_LEN + PLX_AEAD_TAG_LEN,
    BARE_PACKET_MIN = BARE_OVERHEAD + 4, // there must be a sample to mask by
};

struct bare_conn { // one key serves both directions; each has its lines to itself as in a connection
    struct plx_aead_key rx, tx; // of the server
    struct plx_hp_key rx_hp, tx_hp;
    uint64_t cid, pn;
};

struct bare_packets {
    const struct plx_aead_backend *aead;
    struct plx_arena memory;
    struct plx_table table;
    struct bare_conn *conns;
    uint32_t count;
    uint8_t text[2048];                 // what every packet says, from its beginning
    struct bare_conn *from[BARE_BURST]; // of the burst that was opened last
    struct plx_aead_job jobs[BARE_BURST];
    struct plx_mask_job masks[BARE_BURST];
};

void bare_packets_init(struct bare_packets *b, uint32_t conns, const char *crypto);
void bare_packets_fini(struct bare_packets *b);

// Finds the connections of a burst, unmasks and opens. is_server: they are a client's. False: one was none of ours.
PLX_MUST_USE bool bare_packets_open(struct bare_packets *b, struct plx_pkt **pkts, uint16_t n,
                                    bool is_server);
// Packet i of the burst that comes next, of len octets altogether.
void bare_packet_write(struct bare_packets *b, uint16_t i, struct plx_pkt *pkt, struct bare_conn *c,
                       uint16_t len, bool is_server);
// Seals and masks the burst that was written.
void bare_packets_seal(struct bare_packets *b, struct plx_pkt **pkts, uint16_t n);

#endif
