// steer.c -- see steer.h. The ladder: flow rules by connection ID where the device takes all of them; else its hash over addresses
// and ports, which is right until a client's address changes; else nothing, and the engine's hand-over does it all. The hand-over
// stands behind each of them, so a rung that is missing costs time and nothing else.

#define ALLOW_EXPERIMENTAL_API // flex items are, in every version there is

#include "steer.h"

#include <stdio.h>
#include <string.h>

#include <rte_errno.h>

const struct ethdev_flow_calls ethdev_flow_device = {
    .create = rte_flow_create,
    .destroy = rte_flow_destroy,
    .flex_create = rte_flow_flex_item_create,
    .flex_release = rte_flow_flex_item_release,
};

void ethdev_steer_port(struct ethdev_steer_cfg *c, uint16_t port)
{
    for (uint16_t i = 0; i < c->port_count; i++)
        if (c->ports[i] == port)
            return;
    if (c->port_count <= STEER_PORTS_MAX)
        c->ports[c->port_count++] = port;
}

static bool say_refused(struct ethdev_steer *s, const char *what, const struct rte_flow_error *error)
{
    snprintf(s->why, sizeof s->why, "the device refused %s: %.60s", what,
             error->message != NULL ? error->message : rte_strerror(rte_errno));
    return false;
}

static bool rule_add(struct ethdev_steer *s, enum ethdev_rule_kind kind, const struct ethdev_rule *r,
                     struct rte_flow_item_flex_handle *flex)
{
    static const struct rte_flow_attr attr = {.ingress = 1};
    struct rte_flow_action_queue queue = {.index = r->core};
    const struct rte_flow_action actions[] = {{.type = RTE_FLOW_ACTION_TYPE_QUEUE, .conf = &queue},
                                              {.type = RTE_FLOW_ACTION_TYPE_END}};
    struct rte_flow_error error = {0};
    struct ethdev_raw_rule raw;
    struct ethdev_flex_rule above;

    if (kind == RULE_RAW)
        ethdev_rule_raw(r, &raw);
    else
        ethdev_rule_flex(r, flex, &above);
    struct rte_flow *flow =
        s->calls->create(s->port_id, &attr, kind == RULE_RAW ? raw.items : above.items, actions, &error);
    if (flow == NULL)
        return say_refused(s, kind == RULE_RAW ? "a RAW rule" : "a rule with a flex item", &error);
    s->rules[s->rule_count++] = flow;
    return true;
}

static bool port_add(struct ethdev_steer *s, const struct ethdev_steer_cfg *c, enum ethdev_rule_kind kind,
                     uint16_t port)
{
    struct rte_flow_item_flex_handle *flex = NULL;

    if (kind == RULE_FLEX) {
        struct rte_flow_error error = {0};
        struct ethdev_flex f;
        ethdev_rule_flex_conf(port, &f);
        flex = s->calls->flex_create(s->port_id, &f.conf, &error);
        if (flex == NULL)
            return say_refused(s, "a flex item", &error);
        s->flex[s->flex_count++] = flex;
    }
    for (uint16_t core = 0; core < c->queues; core++)
        for (uint8_t ip = 4; ip <= 6; ip = (uint8_t)(ip + 2)) {
            const struct ethdev_rule r = {
                .ip = ip, .has_tag = c->has_tag, .port = port, .core = (uint8_t)core};
            if (!rule_add(s, kind, &r, flex))
                return false;
        }
    return true;
}

bool ethdev_steer_open(struct ethdev_steer *s, const struct ethdev_steer_cfg *c,
                       const struct ethdev_flow_calls *calls)
{
    enum ethdev_rule_kind kind = ethdev_rule_kind_of(c->driver);

    *s = (struct ethdev_steer){.calls = calls, .port_id = c->port_id};
    if (c->queues <= 1)
        snprintf(s->why, sizeof s->why, "there is one queue");
    else if (kind == RULE_NONE)
        snprintf(s->why, sizeof s->why, "%.40s has none that reach into a UDP payload", c->driver);
    else if (c->port_count == 0)
        snprintf(s->why, sizeof s->why, "nothing is listened to");
    else if (c->port_count > STEER_PORTS_MAX || c->queues > STEER_CORES_MAX)
        snprintf(s->why, sizeof s->why, "they are for at most %d UDP ports and %d workers", STEER_PORTS_MAX,
                 STEER_CORES_MAX);
    if (s->why[0] != '\0')
        return false;
    for (uint16_t i = 0; i < c->port_count; i++)
        if (!port_add(s, c, kind, c->ports[i])) {
            ethdev_steer_close(s);
            return false;
        }
    return true;
}

void ethdev_steer_close(struct ethdev_steer *s)
{
    struct rte_flow_error error;

    while (s->rule_count > 0)
        s->calls->destroy(s->port_id, s->rules[--s->rule_count], &error);
    while (s->flex_count > 0)
        s->calls->flex_release(s->port_id, s->flex[--s->flex_count], &error);
}

void ethdev_steer_say(const struct ethdev_steer *s, const struct ethdev_steer_cfg *c, char *out,
                      size_t out_len)
{
    if (c->queues <= 1)
        out[0] = '\0';
    else if (s->rule_count > 0)
        snprintf(out, out_len, "by connection ID, %u flow rules in the device (%s)", s->rule_count,
                 s->flex_count > 0 ? "flex item" : "RAW pattern");
    else if (c->has_rss)
        snprintf(
            out, out_len,
            "by %sRSS over addresses and ports, and handed over in software where that is wrong; not by flow rules: %s",
            c->is_symmetric ? "symmetric " : "", s->why);
    else
        snprintf(
            out, out_len,
            "by hand-over in software alone; not by RSS: the device has none for UDP; not by flow rules: %s",
            s->why);
}
