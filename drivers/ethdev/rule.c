// rule.c -- see rule.h.

#include "rule.h"

#include <string.h>

#include <rte_ether.h>

#include "base/bits.h"

enum { LONG_HEADER = 0x80, OWN_CORE = 0x7f, UDP = 17 };

enum ethdev_rule_kind ethdev_rule_kind_of(const char *driver)
{
    if (strcmp(driver, "net_ice") == 0 || strcmp(driver, "net_iavf") == 0)
        return RULE_RAW;
    if (strncmp(driver, "mlx5", 4) == 0 || strcmp(driver, "net_mlx5") == 0)
        return RULE_FLEX;
    return RULE_NONE;
}

void ethdev_rule_payload(uint8_t core, uint8_t spec[RULE_PAYLOAD], uint8_t mask[RULE_PAYLOAD])
{
    //= rfc9000 17.3.1 "The most significant bit (0x80) of byte 0 is set to 0 for the short header."
    spec[0] = 0;
    mask[0] = LONG_HEADER;
    spec[1] = core & OWN_CORE;
    mask[1] = OWN_CORE;
}

// --- RAW ---------------------------------------------------------------------------------------------------

uint16_t ethdev_rule_frame(const struct ethdev_rule *r, uint8_t spec[RULE_FRAME_MAX],
                           uint8_t mask[RULE_FRAME_MAX])
{
    const uint16_t udp_len = 8 + RULE_PAYLOAD;
    uint16_t at = 12; // both Ethernet addresses are nobody's

    memset(spec, 0, RULE_FRAME_MAX);
    memset(mask, 0, RULE_FRAME_MAX);
    if (r->has_tag) {
        plx_store_be16(spec + at, RTE_ETHER_TYPE_VLAN);
        at = (uint16_t)(at + 4); // whichever it is: lib/net looks
    }
    plx_store_be16(spec + at, r->ip == 4 ? RTE_ETHER_TYPE_IPV4 : RTE_ETHER_TYPE_IPV6);
    at = (uint16_t)(at + 2);
    if (r->ip == 4) {
        spec[at] = 0x45; // version and length in words
        plx_store_be16(spec + at + 2, (uint16_t)(20 + udp_len));
        spec[at + 6] = 0x40; // not to be fragmented
        spec[at + 8] = 64;
        spec[at + 9] = UDP;
        at = (uint16_t)(at + 20);
    } else {
        spec[at] = 0x60;
        plx_store_be16(spec + at + 4, udp_len);
        spec[at + 6] = UDP;
        spec[at + 7] = 64;
        at = (uint16_t)(at + 40);
    }
    plx_store_be16(spec + at + 2, r->port);
    plx_store_be16(mask + at + 2, 0xffff);
    plx_store_be16(spec + at + 4, udp_len);
    at = (uint16_t)(at + 8);
    ethdev_rule_payload(r->core, spec + at, mask + at);
    return (uint16_t)(at + RULE_PAYLOAD);
}

static void text_write(const uint8_t *octets, uint16_t len, char *out)
{
    static const char digit[] = "0123456789abcdef";

    for (uint16_t i = 0; i < len; i++) {
        *out++ = digit[octets[i] >> 4];
        *out++ = digit[octets[i] & 15];
    }
    *out = '\0';
}

void ethdev_rule_raw(const struct ethdev_rule *r, struct ethdev_raw_rule *out)
{
    uint8_t spec[RULE_FRAME_MAX], mask[RULE_FRAME_MAX];
    uint16_t len = ethdev_rule_frame(r, spec, mask);

    *out = (struct ethdev_raw_rule){0};
    text_write(spec, len, out->spec_text);
    text_write(mask, len, out->mask_text);
    out->spec.pattern = (const uint8_t *)out->spec_text;
    out->mask.pattern = (const uint8_t *)out->mask_text;
    out->spec.length = out->mask.length = (uint16_t)(2 * len);
    out->items[0] =
        (struct rte_flow_item){.type = RTE_FLOW_ITEM_TYPE_RAW, .spec = &out->spec, .mask = &out->mask};
    out->items[1].type = RTE_FLOW_ITEM_TYPE_END;
}

// --- flex item ---------------------------------------------------------------------------------------------

static void udp_to(uint16_t port, struct rte_flow_item_udp *spec, struct rte_flow_item_udp *mask)
{
    *spec = (struct rte_flow_item_udp){.hdr.dst_port = RTE_BE16(port)};
    *mask = (struct rte_flow_item_udp){.hdr.dst_port = RTE_BE16(0xffff)};
}

void ethdev_rule_flex_conf(uint16_t port, struct ethdev_flex *out)
{
    *out = (struct ethdev_flex){0};
    udp_to(port, &out->udp_spec, &out->udp_mask);
    out->above_udp.item = (struct rte_flow_item){
        .type = RTE_FLOW_ITEM_TYPE_UDP, .spec = &out->udp_spec, .mask = &out->udp_mask};
    out->sample = (struct rte_flow_item_flex_field){
        .field_mode = FIELD_MODE_FIXED, .field_base = 0, .field_size = 8 * RULE_PAYLOAD};
    out->conf = (struct rte_flow_item_flex_conf){
        .tunnel = FLEX_TUNNEL_MODE_SINGLE,
        // of fixed length, which is the base; nothing follows
        .next_header = {.field_mode = FIELD_MODE_FIXED, .field_base = 8 * RULE_FLEX_HEADER},
        .next_protocol = {.field_mode = FIELD_MODE_DUMMY},
        .sample_data = &out->sample,
        .nb_samples = 1,
        .input_link = &out->above_udp,
        .nb_inputs = 1,
    };
}

void ethdev_rule_flex(const struct ethdev_rule *r, struct rte_flow_item_flex_handle *handle,
                      struct ethdev_flex_rule *out)
{
    struct rte_flow_item *item = out->items;

    *out = (struct ethdev_flex_rule){0};
    udp_to(r->port, &out->udp_spec, &out->udp_mask);
    ethdev_rule_payload(r->core, out->octets, out->octets_mask);
    out->spec = (struct rte_flow_item_flex){.handle = handle, .length = RULE_PAYLOAD, .pattern = out->octets};
    out->mask =
        (struct rte_flow_item_flex){.handle = handle, .length = RULE_PAYLOAD, .pattern = out->octets_mask};
    (item++)->type = RTE_FLOW_ITEM_TYPE_ETH;
    if (r->has_tag)
        (item++)->type = RTE_FLOW_ITEM_TYPE_VLAN;
    (item++)->type = r->ip == 4 ? RTE_FLOW_ITEM_TYPE_IPV4 : RTE_FLOW_ITEM_TYPE_IPV6;
    *item++ = (struct rte_flow_item){
        .type = RTE_FLOW_ITEM_TYPE_UDP, .spec = &out->udp_spec, .mask = &out->udp_mask};
    *item++ = (struct rte_flow_item){.type = RTE_FLOW_ITEM_TYPE_FLEX, .spec = &out->spec, .mask = &out->mask};
    item->type = RTE_FLOW_ITEM_TYPE_END;
}
