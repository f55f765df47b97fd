// heard.c -- the short road of a frame: one that begins as all others from its host do.
//
// Nearly every frame is a datagram in an untagged IPv4 packet without options from a host that we have just sent something to. What such a
// frame begins with is known but for a few fields, and a flow has it written down; so it is compared as a whole, and what is left to look at are the
// lengths, the sums and the ports. This road only ever says yes. Whatever does not fit goes the long one, which knows a name for it; and once a second, so
// that the neighbour cache hears of the host.

#include "base/bits.h"
#include "base/time.h"
#include "net/net.h"

enum { TOS = 15, TOTAL_LEN = 16, SRC = 26, DST = 30, UDP = PLX_NET_PLAIN_LEN };

static uint64_t load(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static uint64_t load4(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

// But for type of service, length, identification, "don't fragment", time to live and checksum, all that is in front of the UDP header.
static bool is_alike(const uint8_t *frame, const uint8_t *heard)
{
    static const uint8_t second[8] = {255, 255, 255, 255, 255, 255, 255, 0},
                         third[8] = {[4] = 0xbf, [5] = 255, [7] = 255};

    return ((load(frame) ^ load(heard)) | ((load(frame + 8) ^ load(heard + 8)) & load(second)) |
            ((load(frame + 16) ^ load(heard + 16)) & load(third)) |
            (load(frame + SRC) ^ load(heard + SRC))) == 0;
}

bool plx_net_rx_heard(struct plx_net *n, struct plx_pkt *pkt, plx_time now)
{
    const uint8_t *frame = pkt->data, *udp = frame + UDP;

    if (pkt->len < UDP + PLX_UDP_LEN)
        return false;
    const struct plx_net_flow *f = plx_net_flow_slot(n, load4(frame + SRC), 0, load4(frame + DST), 0);
    if (!f->is_plain || !is_alike(frame, f->heard) || f->generation != n->neigh.generation ||
        plx_time_reached(f->heard_until, now))
        return false;

    uint16_t total_len = plx_load_be16(frame + TOTAL_LEN), udp_len = plx_load_be16(udp + 4);
    uint16_t from = plx_load_be16(udp), to = plx_load_be16(udp + 2);
    if (total_len > pkt->len - PLX_ETH_LEN || total_len < PLX_IP4_LEN + PLX_UDP_LEN ||
        udp_len < PLX_UDP_LEN || udp_len > total_len - PLX_IP4_LEN || from == 0 ||
        !plx_net_is_own_port(n, to) ||
        plx_cksum_end(plx_cksum_add_words(0, frame + PLX_ETH_LEN, PLX_IP4_LEN / 4)) != 0)
        return false;
    //= rfc9000 17.3.1 "The most significant bit (0x80) of byte 0 is set to 0"
    bool is_sealed = n->cfg.no_udp_check && udp_len > PLX_UDP_LEN && (udp[PLX_UDP_LEN] & 0x80) == 0;
    if (!is_sealed && plx_load_be16(udp + 6) != 0 && (pkt->flags & PLX_PKT_CSUM_OK) == 0 &&
        plx_cksum_end(plx_cksum_add(plx_cksum_add16(f->udp_sum, udp_len), udp, udp_len)) != 0)
        return false; // the pseudo-header's sum is that of the way back, too

    n->unchecked += is_sealed;
    pkt->ecn = frame[TOS] & 3;
    pkt->peer = (struct plx_addr){.af = PLX_AF_IP4, .port = from};
    pkt->local = (struct plx_addr){.af = PLX_AF_IP4, .port = to};
    memcpy(pkt->peer.ip, frame + SRC, 4);
    memcpy(pkt->local.ip, frame + DST, 4);
    pkt->data += UDP + PLX_UDP_LEN;
    pkt->cap = (uint16_t)(pkt->cap - (UDP + PLX_UDP_LEN));
    pkt->len = (uint16_t)(udp_len - PLX_UDP_LEN);
    return true;
}
