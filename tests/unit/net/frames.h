// frames.h -- the other side of the wire, for tests of lib/net: builds the frames that a neighbour would send.
//
// Built from octets and the plain checksum only, so that a mistake in lib/net's writers cannot hide in its readers.

#ifndef PLX_TESTS_NET_FRAMES_H
#define PLX_TESTS_NET_FRAMES_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/cksum.h"
#include "net/net.h"

static const uint8_t OUR_MAC[6] = {2, 0, 0, 0, 0, 1}, PEER_MAC[6] = {2, 0, 0, 0, 0, 2},
                     ALL_MAC[6] = {255, 255, 255, 255, 255, 255};
static const uint8_t OUR_IP4[4] = {10, 0, 0, 1}, PEER_IP4[4] = {10, 0, 0, 2}, FAR_IP4[4] = {192, 0, 2, 9};
static const uint8_t OUR_IP6[16] = {0xfd, 0, [15] = 1}, PEER_IP6[16] = {0xfd, 0, [15] = 2};

struct frame {
    uint8_t b[2048];
    uint16_t len;
};

static inline void put(struct frame *f, const void *p, size_t len)
{
    memcpy(f->b + f->len, p, len);
    f->len = (uint16_t)(f->len + len);
}
static inline void put8(struct frame *f, uint8_t v)
{
    put(f, &v, 1);
}
static inline void put16(struct frame *f, uint16_t v)
{
    put8(f, (uint8_t)(v >> 8)), put8(f, (uint8_t)v);
}
static inline void put32(struct frame *f, uint32_t v)
{
    put16(f, (uint16_t)(v >> 16)), put16(f, (uint16_t)v);
}
static inline void set16(struct frame *f, size_t at, uint16_t v)
{
    f->b[at] = (uint8_t)(v >> 8);
    f->b[at + 1] = (uint8_t)v;
}

static inline void put_eth(struct frame *f, const uint8_t dst[6], const uint8_t src[6], int vlan,
                           uint16_t type)
{
    put(f, dst, 6);
    put(f, src, 6);
    if (vlan >= 0)
        put16(f, 0x8100), put16(f, (uint16_t)vlan);
    put16(f, type);
}

// Header of 20 octets plus options; the length is right for a payload of payload_len.
static inline void put_ip4(struct frame *f, const uint8_t src[4], const uint8_t dst[4], uint8_t proto,
                           uint8_t tos, uint16_t fragment, uint16_t payload_len, uint8_t options)
{
    size_t at = f->len;
    put8(f, (uint8_t)(0x45 + options / 4)), put8(f, tos), put16(f, (uint16_t)(20 + options + payload_len));
    put16(f, 0x1234), put16(f, fragment), put8(f, 57), put8(f, proto), put16(f, 0);
    put(f, src, 4), put(f, dst, 4);
    for (uint8_t i = 0; i < options; i++)
        put8(f, 1);
    set16(f, at + 10, plx_cksum_plain(f->b + at, 20u + options));
}

static inline void put_ip6(struct frame *f, const uint8_t src[16], const uint8_t dst[16], uint8_t next,
                           uint8_t tclass, uint8_t hops, uint16_t payload_len)
{
    put32(f, 6u << 28 | (uint32_t)tclass << 20 | 0x54321), put16(f, payload_len), put8(f, next),
        put8(f, hops);
    put(f, src, 16), put(f, dst, 16);
}

// The checksum of what lies from `at` to the end, under a pseudo-header.
static inline uint16_t l4_checksum(const struct frame *f, size_t at, const uint8_t *src, const uint8_t *dst,
                                   size_t ip_len, uint8_t proto)
{
    struct frame p = {.len = 0};
    uint16_t len = (uint16_t)(f->len - at);
    put(&p, src, ip_len), put(&p, dst, ip_len), put32(&p, len), put32(&p, proto);
    put(&p, f->b + at, len);
    return plx_cksum_plain(p.b, p.len);
}

static inline void put_udp(struct frame *f, uint16_t src, uint16_t dst, const void *data, uint16_t len)
{
    put16(f, src), put16(f, dst), put16(f, (uint16_t)(8 + len)), put16(f, 0), put(f, data, len);
}

// A whole datagram to us from the neighbour.
static inline struct frame udp4_frame(uint16_t dst_port, const void *data, uint16_t len)
{
    struct frame f = {.len = 0};
    put_eth(&f, OUR_MAC, PEER_MAC, -1, 0x0800);
    put_ip4(&f, PEER_IP4, OUR_IP4, 17, 2, 0x4000, (uint16_t)(8 + len), 0);
    put_udp(&f, 5555, dst_port, data, len);
    set16(&f, 14 + 20 + 6, l4_checksum(&f, 14 + 20, PEER_IP4, OUR_IP4, 4, 17));
    return f;
}

static inline struct frame udp6_frame(uint16_t dst_port, const void *data, uint16_t len)
{
    struct frame f = {.len = 0};
    put_eth(&f, OUR_MAC, PEER_MAC, -1, 0x86dd);
    put_ip6(&f, PEER_IP6, OUR_IP6, 17, 1, 60, (uint16_t)(8 + len));
    put_udp(&f, 5555, dst_port, data, len);
    set16(&f, 14 + 40 + 6, l4_checksum(&f, 14 + 40, PEER_IP6, OUR_IP6, 16, 17));
    return f;
}

static inline struct frame arp_frame(uint16_t op, const uint8_t sender[4], const uint8_t target[4])
{
    struct frame f = {.len = 0};
    put_eth(&f, op == 1 ? ALL_MAC : OUR_MAC, PEER_MAC, -1, 0x0806);
    put16(&f, 1), put16(&f, 0x0800), put8(&f, 6), put8(&f, 4), put16(&f, op);
    put(&f, PEER_MAC, 6), put(&f, sender, 4), put(&f, op == 1 ? (const uint8_t[6]){0} : OUR_MAC, 6),
        put(&f, target, 4);
    while (f.len < 60)
        put8(&f, 0); // as the link pads it
    return f;
}

// type 135 or 136 about target; flags in the top octet; with the link-layer address option when mac is given.
static inline struct frame nd_frame(uint8_t type, const uint8_t src[16], const uint8_t dst[16],
                                    const uint8_t target[16], uint8_t flags, const uint8_t *mac, uint8_t hops)
{
    struct frame f = {.len = 0};
    uint8_t group_mac[6] = {0x33, 0x33, dst[12], dst[13], dst[14], dst[15]};
    put_eth(&f, dst[0] == 0xff ? group_mac : OUR_MAC, PEER_MAC, -1, 0x86dd);
    put_ip6(&f, src, dst, 58, 0, hops, (uint16_t)(mac != NULL ? 32 : 24));
    put8(&f, type), put8(&f, 0), put16(&f, 0), put8(&f, flags), put8(&f, 0), put16(&f, 0),
        put(&f, target, 16);
    if (mac != NULL)
        put8(&f, type == 135 ? 1 : 2), put8(&f, 1), put(&f, mac, 6);
    set16(&f, 14 + 40 + 2, l4_checksum(&f, 14 + 40, src, dst, 16, 58));
    return f;
}

static inline struct frame echo_frame(bool is_ip6, uint16_t data_len)
{
    struct frame f = {.len = 0};
    put_eth(&f, OUR_MAC, PEER_MAC, -1, is_ip6 ? 0x86dd : 0x0800);
    if (is_ip6)
        put_ip6(&f, PEER_IP6, OUR_IP6, 58, 0, 64, (uint16_t)(8 + data_len));
    else
        put_ip4(&f, PEER_IP4, OUR_IP4, 1, 0, 0, (uint16_t)(8 + data_len), 0);
    size_t at = f.len;
    put8(&f, is_ip6 ? 128 : 8), put8(&f, 0), put16(&f, 0), put32(&f, 0xabcd0001);
    for (uint16_t i = 0; i < data_len; i++)
        put8(&f, (uint8_t)i);
    set16(&f, at + 2,
          is_ip6 ? l4_checksum(&f, at, PEER_IP6, OUR_IP6, 16, 58) : plx_cksum_plain(f.b + at, f.len - at));
    return f;
}

static inline struct plx_net_cfg net_cfg(void)
{
    struct plx_net_cfg c = {.addr_count = 2, .ports = {443}, .port_count = 1};
    memcpy(c.mac, OUR_MAC, 6);
    c.addrs[0] = (struct plx_net_addr){{.af = PLX_AF_IP4}, 24};
    memcpy(c.addrs[0].ip.ip, OUR_IP4, 4);
    c.addrs[1] = (struct plx_net_addr){{.af = PLX_AF_IP6}, 64};
    memcpy(c.addrs[1].ip.ip, OUR_IP6, 16);
    return c;
}

#endif
