// rule.h -- the flow rules that bring a packet to the worker its connection ID names, as data. Nothing here calls a device.
//
// What is matched is the same for every kind of device: UDP to one of our ports, a short header (bit 7 of the first octet
// of the payload is 0), and the core in the low seven bits of the octet behind it, where the connection ID begins (decisions/0015). One rule
// per core, IP version and port. Packets with long headers are left to the hash: they belong to handshakes, whose addresses rarely
// change, and all of one client's go where its first one went.
//
//   payload  | 0 x x x x x x x | e c c c c c c c | 7 more of the ID, packet number, …
//   mask       1                   1 1 1 1 1 1 1      e: epoch of the process, c: core
//
// Intel's ice (and iavf, its virtual functions) takes a RAW pattern: a frame that its parser can walk through and a mask of the same
// length, both as hexadecimal text with a 0 behind it. The parser finds out by the frame what protocols there are, so everything before the
// payload must be well formed, although only the destination port is compared.
//
// NVIDIA's mlx5 takes a flex item: a made-up protocol above a UDP port, of which the device is told once where the octets lie that rules
// will compare (struct ethdev_flex), and then one rule each (struct ethdev_flex_rule).

#ifndef PLX_DRIVERS_ETHDEV_RULE_H
#define PLX_DRIVERS_ETHDEV_RULE_H

#include <rte_flow.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    RULE_PAYLOAD = 2,                                // octets of the payload that are compared
    RULE_FRAME_MAX = 14 + 4 + 40 + 8 + RULE_PAYLOAD, // Ethernet, tag, IPv6, UDP
    RULE_TEXT_MAX = 2 * RULE_FRAME_MAX + 1,
    RULE_FLEX_HEADER = 4, // octets that the made-up protocol takes: what a device samples at once
};

enum ethdev_rule_kind { RULE_NONE, RULE_RAW, RULE_FLEX };

// What a rule matches.
struct ethdev_rule {
    uint8_t ip;    // version: 4 or 6
    bool has_tag;  // frames carry a VLAN tag
    uint16_t port; // UDP, ours
    uint8_t core;  // and the queue it goes to
};

// Which kind a driver knows, by the name that DPDK has for it.
enum ethdev_rule_kind ethdev_rule_kind_of(const char *driver);

// The two octets of the payload. Bits that are not in the mask are 0 in spec.
void ethdev_rule_payload(uint8_t core, uint8_t spec[RULE_PAYLOAD], uint8_t mask[RULE_PAYLOAD]);

// A frame and its mask; returns their length.
uint16_t ethdev_rule_frame(const struct ethdev_rule *r, uint8_t spec[RULE_FRAME_MAX],
                           uint8_t mask[RULE_FRAME_MAX]);

struct ethdev_raw_rule { // points into itself: stays where it was made
    char spec_text[RULE_TEXT_MAX], mask_text[RULE_TEXT_MAX];
    struct rte_flow_item_raw spec, mask;
    struct rte_flow_item items[2];
};
void ethdev_rule_raw(const struct ethdev_rule *r, struct ethdev_raw_rule *out);

struct ethdev_flex { // points into itself
    struct rte_flow_item_udp udp_spec, udp_mask;
    struct rte_flow_item_flex_link above_udp;
    struct rte_flow_item_flex_field sample;
    struct rte_flow_item_flex_conf conf;
};
void ethdev_rule_flex_conf(uint16_t port, struct ethdev_flex *out);

struct ethdev_flex_rule { // points into itself
    uint8_t octets[RULE_PAYLOAD], octets_mask[RULE_PAYLOAD];
    struct rte_flow_item_udp udp_spec, udp_mask;
    struct rte_flow_item_flex spec, mask;
    struct rte_flow_item items[6];
};
void ethdev_rule_flex(const struct ethdev_rule *r, struct rte_flow_item_flex_handle *handle,
                      struct ethdev_flex_rule *out);

#endif
