// steer.h -- which of the ways to the right queue a device gives: flow rules, RSS, or neither (docs/threading.md).

#ifndef PLX_DRIVERS_ETHDEV_STEER_H
#define PLX_DRIVERS_ETHDEV_STEER_H

#include <stddef.h>

#include "rule.h"

enum {
    STEER_PORTS_MAX = 4, // UDP ports with rules of their own; mlx5 has four flex items
    STEER_CORES_MAX = 128,
    STEER_RULES_MAX = STEER_CORES_MAX * 2 * STEER_PORTS_MAX,
    STEER_WHY_MAX = 112,
};

// The calls to a device, so that tests can stand in for one.
struct ethdev_flow_calls {
    struct rte_flow *(*create)(uint16_t port_id, const struct rte_flow_attr *attr,
                               const struct rte_flow_item pattern[], const struct rte_flow_action actions[],
                               struct rte_flow_error *error);
    int (*destroy)(uint16_t port_id, struct rte_flow *flow, struct rte_flow_error *error);
    struct rte_flow_item_flex_handle *(*flex_create)(uint16_t port_id,
                                                     const struct rte_flow_item_flex_conf *conf,
                                                     struct rte_flow_error *error);
    int (*flex_release)(uint16_t port_id, const struct rte_flow_item_flex_handle *handle,
                        struct rte_flow_error *error);
};
extern const struct ethdev_flow_calls ethdev_flow_device; // DPDK's

struct ethdev_steer_cfg {
    const char *driver; // name, as DPDK has it
    uint16_t port_id, queues;
    bool has_tag, has_rss;
    bool is_symmetric; // RSS with a key that gives both directions of a flow one queue
    uint16_t ports[STEER_PORTS_MAX + 1];
    uint16_t port_count; // more than STEER_PORTS_MAX: too many for rules
};

struct ethdev_steer {
    const struct ethdev_flow_calls *calls;
    uint16_t port_id, rule_count, flex_count;
    struct rte_flow *rules[STEER_RULES_MAX];
    struct rte_flow_item_flex_handle *flex[STEER_PORTS_MAX];
    char why[STEER_WHY_MAX]; // there are no rules
};

// Adds a port that is listened to, once.
void ethdev_steer_port(struct ethdev_steer_cfg *c, uint16_t port);

// Puts rules for all queues into the device, or none: true when they are in force, else s->why says why not.
bool ethdev_steer_open(struct ethdev_steer *s, const struct ethdev_steer_cfg *c,
                       const struct ethdev_flow_calls *calls);
void ethdev_steer_close(struct ethdev_steer *s); // also after an open() that failed, or none

// One sentence for people: what is in force, and why nothing better is.
void ethdev_steer_say(const struct ethdev_steer *s, const struct ethdev_steer_cfg *c, char *out,
                      size_t out_len);

#endif
