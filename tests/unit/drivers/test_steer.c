// test_steer.c -- flow rules by connection ID, octet by octet, and the ladder of ways to the right queue with a device that refuses.
//
// No NIC that takes such rules is needed: what the rules say is compared with what is to be said, and the RAW ones are run over frames
// that lib/net writes, each of which must be matched by the rule of its core and by no other.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/prng.h"
#include "drivers/ethdev/steer.h"
#include "net/net.h"
#include "quic/path/cidcodec.h"

// --- octets ------------------------------------------------------------------------------------------------

// clang-format off
#define MACS "000000000000" "000000000000"
// Headers of the shortest packet that a rule reaches into: ten octets of UDP, no addresses.
#define IP4 "4500001e" "00004000" "40110000" "00000000" "00000000"
#define IP6 "60000000" "000a1140" "00000000000000000000000000000000" "00000000000000000000000000000000"
#define UDP_TO(port) "0000" port "000a0000"
// All that a rule compares: the destination's port, the form of the QUIC header, and the core.
static const char mask_end[] = "0000ffff" "00000000" "807f";
// clang-format on

static void test_raw_rules_octet_by_octet(void **state)
{
    (void)state;
    static const struct {
        struct ethdev_rule rule;
        const char *spec;
    } row[] = {
        {{4, false, 443, 5}, MACS "0800" IP4 UDP_TO("01bb") "0005"},
        {{6, false, 443, 127}, MACS "86dd" IP6 UDP_TO("01bb") "007f"},
        {{4, true, 8443, 0}, MACS "81000000" /* the tag */ "0800" IP4 UDP_TO("20fb") "0000"},
    };
    for (unsigned i = 0; i < sizeof row / sizeof *row; i++) {
        struct ethdev_raw_rule r;
        char mask[RULE_TEXT_MAX];
        snprintf(mask, sizeof mask, "%0*d%s", (int)(strlen(row[i].spec) - strlen(mask_end)), 0, mask_end);
        ethdev_rule_raw(&row[i].rule, &r);
        assert_string_equal(r.spec_text, row[i].spec);
        assert_string_equal(r.mask_text, mask);
        assert_int_equal(r.items[0].type, RTE_FLOW_ITEM_TYPE_RAW);
        assert_int_equal(r.items[1].type, RTE_FLOW_ITEM_TYPE_END);
        assert_ptr_equal(r.items[0].spec, &r.spec);
        assert_ptr_equal(r.items[0].mask, &r.mask);
        assert_null(r.items[0].last);
        assert_ptr_equal(r.spec.pattern, r.spec_text);
        assert_ptr_equal(r.mask.pattern, r.mask_text);
        assert_int_equal(r.spec.length, strlen(row[i].spec));
        assert_int_equal(r.mask.length, strlen(row[i].spec));
        assert_int_equal(r.spec.relative | r.spec.search | r.spec.offset | r.spec.limit, 0);
    }
}

static void test_flex_item_field_by_field(void **state)
{
    (void)state;
    struct ethdev_flex f;
    ethdev_rule_flex_conf(443, &f);
    const struct rte_flow_item_flex_conf *c = &f.conf;
    const struct rte_flow_item_udp *udp = c->input_link->item.spec, *udp_mask = c->input_link->item.mask;
    const uint8_t port[2] = {1, 0xbb};

    assert_int_equal(c->tunnel, FLEX_TUNNEL_MODE_SINGLE);
    assert_int_equal(c->next_header.field_mode, FIELD_MODE_FIXED);
    assert_int_equal(c->next_header.field_base, 32); // bits
    assert_int_equal(c->next_header.field_size, 0);  // mlx5 refuses others where the length is fixed
    assert_int_equal(c->next_protocol.field_mode, FIELD_MODE_DUMMY);
    assert_int_equal(c->nb_outputs, 0);
    assert_int_equal(c->nb_samples, 1);
    assert_int_equal(c->sample_data->field_mode, FIELD_MODE_FIXED);
    assert_int_equal(c->sample_data->field_base, 0);
    assert_int_equal(c->sample_data->field_size, 16);
    assert_int_equal(c->nb_inputs, 1);
    assert_int_equal(c->input_link->item.type, RTE_FLOW_ITEM_TYPE_UDP);
    assert_memory_equal(&udp->hdr.dst_port, port, 2);
    assert_int_equal(udp_mask->hdr.dst_port, 0xffff);
    assert_int_equal(udp_mask->hdr.src_port | udp_mask->hdr.dgram_len | udp_mask->hdr.dgram_cksum, 0);

    for (unsigned i = 0; i < 4; i++) {
        struct rte_flow_item_flex_handle *handle = (struct rte_flow_item_flex_handle *)&f;
        const struct ethdev_rule rule = {.ip = i & 1 ? 6 : 4, .has_tag = i >= 2, .port = 443, .core = 9};
        struct ethdev_flex_rule r;
        ethdev_rule_flex(&rule, handle, &r);
        const enum rte_flow_item_type want[] = {RTE_FLOW_ITEM_TYPE_ETH,
                                                RTE_FLOW_ITEM_TYPE_VLAN,
                                                i & 1 ? RTE_FLOW_ITEM_TYPE_IPV6 : RTE_FLOW_ITEM_TYPE_IPV4,
                                                RTE_FLOW_ITEM_TYPE_UDP,
                                                RTE_FLOW_ITEM_TYPE_FLEX,
                                                RTE_FLOW_ITEM_TYPE_END};
        const struct rte_flow_item *item = r.items;
        for (unsigned k = 0; k < 6; k++)
            if (k != 1 || rule.has_tag)
                assert_int_equal((item++)->type, want[k]);
        const struct rte_flow_item *flex = item - 2;
        const struct rte_flow_item_flex *spec = flex->spec, *mask = flex->mask;
        udp = flex[-1].spec;
        assert_memory_equal(&udp->hdr.dst_port, port, 2);
        assert_ptr_equal(spec->handle, handle);
        assert_int_equal(spec->length, 2);
        assert_int_equal(mask->length, 2);
        assert_memory_equal(spec->pattern, ((uint8_t[]){0, 9}), 2);
        assert_memory_equal(mask->pattern, ((uint8_t[]){0x80, 0x7f}), 2);
    }
}

// --- over frames -------------------------------------------------------------------------------------------

static bool matches(const struct ethdev_rule *r, const uint8_t *frame, size_t len)
{
    uint8_t spec[RULE_FRAME_MAX], mask[RULE_FRAME_MAX];
    uint16_t n = ethdev_rule_frame(r, spec, mask);

    if (len < n)
        return false;
    // A device compares below its parser: same protocols in the same places.
    size_t type = r->has_tag ? 16 : 12;
    if (memcmp(frame + type, spec + type, 2) != 0 || frame[type + (r->ip == 4 ? 11 : 8)] != 17)
        return false;
    for (uint16_t i = 0; i < n; i++)
        if (((frame[i] ^ spec[i]) & mask[i]) != 0)
            return false;
    return true;
}

static void net_open(struct plx_net *net, uint16_t vlan)
{
    struct plx_net_cfg cfg = {
        .vlan = vlan, .addr_count = 2, .ports = {443}, .port_count = 1, .mac = {2, 0, 0, 0, 0, 1}};
    cfg.addrs[0] = (struct plx_net_addr){{.af = PLX_AF_IP4, .ip = {10, 0, 0, 1}}, 24};
    cfg.addrs[1] = (struct plx_net_addr){{.af = PLX_AF_IP6, .ip = {0x20, 1, 0xd, 0xb8, [15] = 1}}, 64};
    assert_int_equal(plx_net_init(net, &cfg), PLX_OK);
}

// Frames to `port`, with a payload that begins as said. The length of the frame, which is at *frame.
static size_t frame_make(struct plx_net *net, uint8_t ip, uint16_t port, const uint8_t *payload,
                         uint8_t buf[256], uint8_t **frame)
{
    struct plx_addr to =
        ip == 4 ? (struct plx_addr){.af = PLX_AF_IP4, .ip = {10, 0, 0, 2}, .port = port}
                : (struct plx_addr){.af = PLX_AF_IP6, .ip = {0x20, 1, 0xd, 0xb8, [15] = 2}, .port = port};
    struct plx_addr host = to;
    struct plx_pkt pkt = {.data = buf + 128, .len = 24, .cap = 128, .peer = to};

    host.port = 0;
    plx_net_learn(net, &host, (uint8_t[6]){2, 0, 0, 0, 0, 2}, (plx_time){1});
    memcpy(pkt.data, payload, 24);
    assert_true(plx_net_tx(net, &pkt, (plx_time){1}));
    *frame = pkt.data;
    return pkt.len;
}

static void test_a_frame_has_one_rule(void **state)
{
    (void)state;
    static struct plx_net net[2];
    struct plx_cid_codec codec;
    unsigned matched = 0, unmatched = 0;

    net_open(&net[0], 0);
    net_open(&net[1], 12);
    struct plx_prng rng;
    plx_prng_init(&rng, 1);
    for (unsigned round = 0; round < 2000; round++) {
        uint8_t buf[256], payload[24], random_octets[PLX_CID_MAX], *frame;
        struct plx_cid cid;
        const uint8_t core = (uint8_t)plx_prng_below(&rng, 128), ip = round & 1 ? 6 : 4;
        const bool is_long = plx_prng_chance(&rng, 1, 4), has_tag = round & 2;
        const uint16_t port = plx_prng_chance(&rng, 1, 8) ? 444 : 443;
        plx_prng_bytes(&rng, payload, sizeof payload);
        plx_prng_bytes(&rng, random_octets, sizeof random_octets);
        plx_cid_codec_init_plain(&codec, 8, round >> 2 & 1);
        plx_cid_make(&codec, core, random_octets, &cid);
        payload[0] = (uint8_t)((payload[0] & 0x7f) | (is_long ? 0x80 : 0));
        memcpy(payload + 1, cid.bytes, cid.len);
        size_t len = frame_make(&net[has_tag], ip, port, payload, buf, &frame);
        for (unsigned k = 0; k < 128; k++)
            for (uint8_t v = 4; v <= 6; v += 2) {
                const struct ethdev_rule r = {.ip = v, .has_tag = has_tag, .port = 443, .core = (uint8_t)k};
                const bool want = !is_long && port == 443 && v == ip && k == core;
                assert_int_equal(matches(&r, frame, len), want);
                matched += want;
                unmatched += !want;
            }
    }
    assert_true(matched > 1000 && unmatched > matched);
}

// --- the ladder --------------------------------------------------------------------------------------------

static struct {
    unsigned calls, refuse_at; // the call that fails, 0: none
    unsigned rules, flex;      // in force now
    unsigned per_queue[STEER_CORES_MAX];
    bool has_message;
} device;

static bool refused(struct rte_flow_error *error)
{
    if (++device.calls != device.refuse_at)
        return false;
    if (device.has_message)
        error->message = "no such match";
    return true;
}

static struct rte_flow *fake_create(uint16_t port_id, const struct rte_flow_attr *attr,
                                    const struct rte_flow_item pattern[],
                                    const struct rte_flow_action actions[], struct rte_flow_error *error)
{
    const struct rte_flow_action_queue *queue = actions[0].conf;
    uintptr_t number;

    assert_int_equal(port_id, 3);
    assert_true(attr->ingress && !attr->egress && !attr->transfer && attr->group == 0);
    assert_true(pattern[0].type == RTE_FLOW_ITEM_TYPE_RAW || pattern[0].type == RTE_FLOW_ITEM_TYPE_ETH);
    assert_int_equal(actions[0].type, RTE_FLOW_ACTION_TYPE_QUEUE);
    assert_int_equal(actions[1].type, RTE_FLOW_ACTION_TYPE_END);
    if (refused(error))
        return NULL;
    device.per_queue[queue->index]++;
    number = ++device.rules;
    return (struct rte_flow *)number; // never looked into
}

static int fake_destroy(uint16_t port_id, struct rte_flow *flow, struct rte_flow_error *error)
{
    (void)error;
    assert_int_equal(port_id, 3);
    assert_int_equal((uintptr_t)flow, device.rules--); // the last one first
    return 0;
}

static struct rte_flow_item_flex_handle *fake_flex_create(uint16_t port_id,
                                                          const struct rte_flow_item_flex_conf *conf,
                                                          struct rte_flow_error *error)
{
    uintptr_t number;

    assert_int_equal(port_id, 3);
    assert_int_equal(conf->nb_inputs, 1);
    if (refused(error))
        return NULL;
    number = ++device.flex;
    return (struct rte_flow_item_flex_handle *)number;
}

static int fake_flex_release(uint16_t port_id, const struct rte_flow_item_flex_handle *handle,
                             struct rte_flow_error *error)
{
    (void)error;
    assert_int_equal(port_id, 3);
    assert_int_equal(device.rules, 0); // the rules that use it went before it
    assert_int_equal((uintptr_t)handle, device.flex--);
    return 0;
}

static const struct ethdev_flow_calls fake = {fake_create, fake_destroy, fake_flex_create, fake_flex_release};

static void test_the_ladder(void **state)
{
    (void)state;
    static const struct {
        const char *driver;
        uint16_t queues;
        const char *ports; // one letter each
        bool has_rss, is_symmetric;
        unsigned refuse_at; // 0: nothing
        bool has_message;
        unsigned rules, flex;
        const char *says;
    } row[] = {
        {"net_ice", 4, "a", true, true, 0, false, 8, 0, "8 flow rules in the device (RAW pattern)"},
        {"net_iavf", 2, "ab", true, true, 0, false, 8, 0, "RAW pattern"},
        {"mlx5_pci", 4, "a", true, true, 0, false, 8, 1, "(flex item)"},
        {"mlx5_pci", 128, "abcd", true, true, 0, false, 1024, 4, "1024 flow rules"},
        {"net_ice", 4, "aaa", true, true, 0, false, 8, 0, "8 flow rules"}, // three addresses, one port
        {"net_ice", 4, "a", true, true, 1, true, 0, 0, "symmetric RSS"},
        {"net_ice", 4, "a", true, true, 1, true, 0, 0,
         "not by flow rules: the device refused a RAW rule: no such match"},
        {"net_ice", 4, "a", true, false, 8, false, 0, 0, "by RSS"}, // the last one: all others are taken back
        {"mlx5_pci", 4, "a", true, true, 1, true, 0, 0, "refused a flex item: no such match"},
        {"mlx5_pci", 4, "ab", true, true, 12, true, 0, 0, "refused a rule with a flex item"},
        {"net_ice", 4, "abcde", true, true, 0, false, 0, 0, "at most 4 UDP ports"},
        {"net_ice", 4, "", true, true, 0, false, 0, 0, "nothing is listened to"},
        {"net_memif", 4, "a", false, false, 0, false, 0, 0, "by hand-over in software alone; not by RSS"},
        {"net_memif", 4, "a", false, false, 0, false, 0, 0,
         "net_memif has none that reach into a UDP payload"},
        {"net_af_packet", 2, "a", false, false, 0, false, 0, 0, "alone"},
        {"net_ice", 1, "a", true, true, 0, false, 0, 0, ""},
    };
    for (unsigned i = 0; i < sizeof row / sizeof *row; i++) {
        static struct ethdev_steer s;
        struct ethdev_steer_cfg c = {.driver = row[i].driver,
                                     .port_id = 3,
                                     .queues = row[i].queues,
                                     .has_rss = row[i].has_rss,
                                     .is_symmetric = row[i].is_symmetric};
        char text[256];
        memset(&device, 0, sizeof device);
        device.refuse_at = row[i].refuse_at;
        device.has_message = row[i].has_message;
        for (const char *p = row[i].ports; *p != '\0'; p++)
            ethdev_steer_port(&c, (uint16_t)(400 + *p));
        assert_int_equal(ethdev_steer_open(&s, &c, &fake), row[i].rules > 0);
        assert_int_equal(device.rules, row[i].rules);
        assert_int_equal(device.flex, row[i].flex);
        for (unsigned q = 0; q < row[i].queues && row[i].rules > 0; q++)
            assert_int_equal(device.per_queue[q], row[i].rules / row[i].queues);
        ethdev_steer_say(&s, &c, text, sizeof text);
        if (strstr(text, row[i].says) == NULL || (row[i].says[0] == '\0') != (text[0] == '\0'))
            fail_msg("row %u: \"%s\"", i, text);
        ethdev_steer_close(&s);
        assert_int_equal(device.rules + device.flex, 0);
        ethdev_steer_close(&s); // nothing left to do
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_raw_rules_octet_by_octet),
        cmocka_unit_test(test_flex_item_field_by_field),
        cmocka_unit_test(test_a_frame_has_one_rule),
        cmocka_unit_test(test_the_ladder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
