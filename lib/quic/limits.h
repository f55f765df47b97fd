// limits.h -- every limit of the transport, where it comes from, and how they depend on each other.

#ifndef PLX_QUIC_LIMITS_H
#define PLX_QUIC_LIMITS_H

#include "base/range.h"

enum {
    PLX_DGRAM_MIN = 1200,       // RFC 9000 section 14.1: smallest datagram of a path, and of an Initial
    PLX_DGRAM_MAX = 65527,      // RFC 9000 section 18.2, max_udp_payload_size
    PLX_ANTI_AMPLIFICATION = 3, // RFC 9000 section 8.1

    // Received packet numbers, per space.
    // numbers below the largest in which a late packet is still taken; 5 ms at 50 000 packets/s
    PLX_ACK_WINDOW = 256,
    PLX_ACK_RANGES_TX = 24, // ranges sent; those behind are stale (RFC 9000 section 13.2.3 lets us choose)
    PLX_ACK_EVERY = 2,      // RFC 9000 section 13.2.2: an ACK after two ack-eliciting packets

    // Sent packets, per space. 16 octets each and 24 for a frame reference: both blocks stay within the slab's largest.
    PLX_SENT_MIN = 16,
    PLX_SENT_MAX = 65536,
    PLX_SENT_REFS_MIN = 32,
    PLX_SENT_REFS_MAX = 32768,

    // RFC 9002
    PLX_LOSS_PACKET_THRESHOLD = 3,  // section 6.1.1
    PLX_PTO_BACKOFF_MAX = 6,        // doublings: 64 times; beyond that the idle timeout is nearer
    PLX_PROBES = 2,                 // section 6.2.4: up to two packets per PTO
    PLX_PERSISTENT_THRESHOLD = 3,   // section 7.6.1
    PLX_CWND_MIN_PACKETS = 2,       // section 7.2, kMinimumWindow
    PLX_CWND_INITIAL_PACKETS = 10,  // section 7.2
    PLX_CWND_INITIAL_BYTES = 14720, // section 7.2

    PLX_ECN_TEST_PACKETS = 10,    // RFC 9000 appendix A.4
    PLX_PACER_BURST_PACKETS = 10, // RFC 9002 section 7.7: not more than the initial window

    // Connection IDs. Both lists are short arrays: a peer that wants more gets the limit.
    // issued and not retired, whatever active_connection_id_limit the peer announces: each stands in the table of the core too
    PLX_CIDS_LOCAL_MAX = 6, // of which the last is kept for a rotation
    // the most that our active_connection_id_limit may say: one for each path, and one to change to. A slot is 48 octets of each connection
    PLX_CIDS_PEER_MAX = 4,
    // RETIRE_CONNECTION_ID frames that wait; section 5.1.2 wants at least twice the limit
    PLX_CIDS_RETIRED_MAX = 12,

    PLX_PATHS_MAX = 3,       // active, candidate, previous
    PLX_PATH_CHALLENGES = 3, // PATH_CHALLENGEs remembered per path
    PLX_PATH_RESPONSES = 4,  // PATH_RESPONSEs that wait per path; older ones fall out
};

_Static_assert(PLX_ACK_RANGES_TX + 0 <= PLX_RANGES_MAX + 0, "cannot send more ranges than are remembered");
_Static_assert(PLX_CIDS_RETIRED_MAX >= 2 * PLX_CIDS_PEER_MAX, "RFC 9000 section 5.1.2");
_Static_assert(PLX_CIDS_RETIRED_MAX < 16, "a bit each");
_Static_assert(PLX_CIDS_PEER_MAX > PLX_PATHS_MAX, "every path has an ID of its own, and one is left");
_Static_assert((PLX_SENT_MIN & (PLX_SENT_MIN - 1)) == 0 && (PLX_SENT_MAX & (PLX_SENT_MAX - 1)) == 0, "masks");
_Static_assert((PLX_SENT_REFS_MIN & (PLX_SENT_REFS_MIN - 1)) == 0 &&
                   (PLX_SENT_REFS_MAX & (PLX_SENT_REFS_MAX - 1)) == 0,
               "masks");

#endif
