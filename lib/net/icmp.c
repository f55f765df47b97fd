// icmp.c -- see icmp.h.

#include "net/icmp.h"

#include "base/cursor.h"
#include "net/cksum.h"

enum { ECHO4_REQUEST = 8, ECHO4_REPLY = 0, ECHO6_REQUEST = 128, ECHO6_REPLY = 129, ECHO_LEN = 8 };

enum plx_net_verdict plx_icmp_echo(uint8_t *msg, size_t len, bool is_ip6, uint64_t pseudo)
{
    struct plx_rd r = plx_rd_init(msg, len);
    uint8_t type = plx_rd_u8(&r), code = plx_rd_u8(&r);
    uint16_t check = plx_rd_u16(&r);
    plx_rd_skip(&r, 4); // identifier and sequence number
    if (r.is_short)
        return PLX_NET_DROP_short;
    if (type != (is_ip6 ? ECHO6_REQUEST : ECHO4_REQUEST) || code != 0)
        return PLX_NET_DROP_icmp;
    if (plx_cksum_end(plx_cksum_add(pseudo, msg, len)) != 0)
        return PLX_NET_DROP_bad_checksum;

    // Only the type changes; the addresses change places, which no sum notices.
    uint8_t reply = is_ip6 ? ECHO6_REPLY : ECHO4_REPLY;
    struct plx_wr w = plx_wr_init(msg, ECHO_LEN);
    plx_wr_u8(&w, reply);
    plx_wr_u8(&w, 0);
    check = plx_cksum_update(check, (uint16_t)(type << 8), (uint16_t)(reply << 8));
    plx_wr_u16(&w, check == 0 ? 0xffff : check); // an echo reply may be all zeros
    return PLX_NET_REPLY;
}
