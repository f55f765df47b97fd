// net.h -- from frames to datagrams and back: the engine's one door to Ethernet, ARP, ND, IP, ICMP and UDP.
//
// A port of frames hands the engine Ethernet headers. plx_net_rx() looks at one frame and says what it is: a datagram
// for us (the packet then looks exactly like one from a port of datagrams), a question that the same packet now answers,
// or one of the named ends in verdict.def. plx_net_tx() puts the headers in front of a payload.
//
// Each core has one of these; cores share nothing. Because a NIC steers ARP and ND to one queue, a core that learns
// something may tell the others with plx_net_learn() (see `news`).
//
// Sending looks up a *flow*: the finished headers for one pair of addresses, with partial checksums, in a
// direct-mapped table. A burst of packets to one host builds them once, whatever the ports. A flow is trusted for a second, or until the
// neighbour cache says that something has changed. Where to: a peer inside one of our prefixes is its own next hop;
// others go through the configured gateway of their family; without one, to whoever delivered the last packet from
// outside, which is a router by that act.
//
// Sans-I/O, allocates nothing, 100 KB. Specifications: RFC 768, 791, 792, 826, 1071, 1122, 1624, 4443, 4861, 8200.

#ifndef PLX_NET_NET_H
#define PLX_NET_NET_H

#include "net/eth.h"
#include "net/ip6.h"
#include "net/neigh.h"
#include "net/udp.h"
#include "net/verdict.h"
#include "plx/port.h"

enum {
    PLX_NET_ADDRS_MAX = 8,
    PLX_NET_PORTS_MAX = 8,
    PLX_NET_FLOWS = 256, // one per host that a burst may speak to, and some
    PLX_NET_PENDING_MAX = 16,
    PLX_NET_HEADERS_MAX = PLX_ETH_LEN_MAX + PLX_IP6_LEN + PLX_UDP_LEN, // 66 octets of headroom
    PLX_NET_PLAIN_LEN = PLX_ETH_LEN + PLX_IP4_LEN,
    PLX_NET_FRAME_MIN = 96, // room that plx_net_pending() needs: the longest is a solicitation with a tag, 90
};

struct plx_net_addr {
    struct plx_addr ip; // the port is ignored
    uint8_t prefix_len; // of the network it is in: neighbours share it
};

struct plx_net_cfg {
    uint8_t mac[6];
    uint16_t vlan; // tag on every frame, 0 for none
    struct plx_net_addr addrs[PLX_NET_ADDRS_MAX];
    uint8_t addr_count;
    struct plx_addr gateway4, gateway6; // af NONE: none
    uint16_t ports[PLX_NET_PORTS_MAX];  // UDP ports that we answer on
    uint8_t port_count;
    uint16_t client_first, client_last; // and a range of them, for clients; 0, 0: none
    bool tx_csum;                       // the device fills in IPv4 and UDP checksums
    bool
        no_udp_check; // on the short road, of what protects itself: a payload that is a QUIC packet with a short header
    uint8_t key[16]; // secret, for hashing
};

// The finished headers for one pair of hosts.
struct plx_net_flow {
    struct plx_addr peer, local;      // as asked for, whatever the ports; af NONE: the slot is empty
    uint16_t port;                    // ours, for packets that name none
    plx_time until;                   // trusted before this
    plx_time heard_until;             // signs of life before this need not be told to the neighbour cache
    uint64_t generation;              // of the neighbour cache when it was built
    uint64_t ip_sum, udp_sum;         // of what does not change from packet to packet
    uint8_t hdr_len, ip_at;           // ip_at: from the frame's beginning
    bool is_plain;                    // IPv4 without a tag: what comes back has a short road (heard.c)
    uint8_t hdr[PLX_NET_HEADERS_MAX]; // the last hdr_len of them
    uint8_t heard
        [PLX_NET_PLAIN_LEN]; // is_plain: what its frames to us begin with, but for what differs from packet to packet
};

// A frame that we owe the link: a question about a neighbour, or an announcement of ourselves.
struct plx_net_pending {
    struct plx_addr about;
    bool is_announcement;
};

struct plx_net_news { // what the last DONE, or REPLY, taught us
    struct plx_addr ip;
    uint8_t mac[6];
};

struct plx_net {
    struct plx_net_cfg cfg;
    uint64_t verdicts[PLX_NET_VERDICT_COUNT]; // how often each
    uint64_t no_neighbour, no_route;          // plx_net_tx() said false
    uint64_t unchecked;                       // no_udp_check: so many
    uint64_t pending_full;                    // questions that had to wait for their next turn
    struct plx_net_news news;
    uint8_t router_mac[2][6]; // IPv4, IPv6: who delivers from outside when no gateway is configured
    bool has_router[2];
    struct plx_net_pending pending[PLX_NET_PENDING_MAX];
    uint8_t pending_at, pending_count;
    struct plx_net_flow flows[PLX_NET_FLOWS];
    struct plx_neigh neigh;
};

// Copies cfg. Announcements of our addresses are pending afterwards, so that switches and neighbours know.
// PLX_ERR_INVALID when counts or prefix lengths are out of range.
PLX_MUST_USE enum plx_err plx_net_init(struct plx_net *n, const struct plx_net_cfg *cfg);

// Looks at one received frame: pkt->data, len and cap (octets that may be written, at least len).
//
// Returns:  UDP    data and len are the payload; peer, local and ecn are filled in (scope is 0)
//           REPLY  data and len are a frame to send: copy it into a packet of take(), or send it; then give pkt back
//           others are ends; each is counted in n->verdicts
// PLX_PKT_CSUM_OK in pkt->flags skips the checksum of UDP.
enum plx_net_verdict plx_net_rx(struct plx_net *n, struct plx_pkt *pkt, plx_time now);

// Puts UDP, IP and Ethernet headers in front of the payload at pkt->data, which has PLX_NET_HEADERS_MAX octets of
// headroom. pkt->local may be without family, IP or port: then the first of ours that fit are used.
//
// False when the peer's link-layer address is not known yet (a question is pending then, see plx_net_pending) or when
// there is no way to it. The packet is unchanged; drop it, or try again when plx_net_rx() has said DONE.
bool plx_net_tx(struct plx_net *n, struct plx_pkt *pkt, plx_time now);

// Writes the next frame that we owe the link into an empty packet (cap of PLX_NET_FRAME_MIN or more). False when there
// is none. Call it until then, once per breath.
bool plx_net_pending(struct plx_net *n, struct plx_pkt *pkt);
static inline bool plx_net_has_pending(const struct plx_net *n)
{
    return n->pending_count > 0;
}

// Another core has asked where ip is: the answer, which may come to us, is not unasked.
void plx_net_expect(struct plx_net *n, const struct plx_addr *ip, plx_time now);
// Another core has learned where ip is.
void plx_net_learn(struct plx_net *n, const struct plx_addr *ip, const uint8_t mac[6], plx_time now);

// --- between the files of this folder ----------------------------------------------------------------------

// The slot of a pair of hosts, whoever stands in it. IPv4 addresses are their four octets as a little-endian number, and zeros.
static inline struct plx_net_flow *plx_net_flow_slot(struct plx_net *n, uint64_t peer_low, uint64_t peer_high,
                                                     uint64_t local_low, uint64_t local_high)
{
    // Any mix will do: a collision costs a rebuilding (about 60 ns), and only what a peer sends to itself.
    uint64_t h = (peer_low ^ (peer_high ^ local_low) * UINT64_C(0x9e3779b97f4a7c15) ^ local_high << 17) *
                 UINT64_C(0xd6e8feb86659fd93);
    return &n->flows[h >> 32 & (PLX_NET_FLOWS - 1)];
}
// A datagram to us from a host of a flow, in a frame like all of its others: true, and pkt is as plx_net_rx() leaves it after UDP. False, and pkt is
// as it was: whatever it is, it takes the long road.
bool plx_net_rx_heard(struct plx_net *n, struct plx_pkt *pkt, plx_time now);
static inline bool plx_net_is_own_port(const struct plx_net *n, uint16_t port)
{
    for (uint8_t i = 0; i < n->cfg.port_count; i++)
        if (n->cfg.ports[i] == port)
            return true;
    return n->cfg.client_last != 0 && port >= n->cfg.client_first && port <= n->cfg.client_last;
}
const struct plx_net_addr *plx_net_own(const struct plx_net *n, uint8_t af, const uint8_t *ip);
bool plx_net_addr_holds(const struct plx_net_addr *own, const struct plx_addr *ip); // in the same network
bool plx_net_is_on_link(const struct plx_net *n, const struct plx_addr *ip);
void plx_net_ask(struct plx_net *n, const struct plx_addr *about, bool is_announcement);
enum plx_net_verdict plx_net_on_arp(struct plx_net *n, struct plx_pkt *pkt, struct plx_rd *r,
                                    const struct plx_eth *eth, plx_time now);
enum plx_net_verdict plx_net_on_nd(struct plx_net *n, struct plx_pkt *pkt, struct plx_rd *r,
                                   const struct plx_eth *eth, const struct plx_ip6 *ip, plx_time now);
void plx_net_on_heard(struct plx_net *n, const struct plx_pkt *pkt, const uint8_t mac[6], plx_time now);

// Whether the neighbour cache has been told lately that who sent pkt is alive at mac. False: tell it now.
bool plx_net_flow_is_heard(struct plx_net *n, const struct plx_pkt *pkt, const uint8_t mac[6], plx_time now);

#endif
