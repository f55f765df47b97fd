// port_opts.c -- see port_opts.h.

#include "port_opts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    char *end;

    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || v < min || v > max)
        return false;
    *out = v;
    return true;
}

int port_opts_split(struct port_opts *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--") != 0)
            continue;
        o->eal_argc = argc - i;
        o->eal_argv = argv + i;
        o->eal_argv[0] = argv[0]; // EAL wants a program's name in front
        return i;
    }
    return argc;
}

// A numeric address without a port.
static bool parse_ip(const char *text, struct plx_addr *out)
{
    char with_port[PLX_ADDR_STRLEN];
    bool is_ip6 = strchr(text, ':') != NULL;

    int n = snprintf(with_port, sizeof with_port, is_ip6 ? "[%s]:1" : "%s:1", text);
    if (n < 0 || (size_t)n >= sizeof with_port || !plx_addr_parse(with_port, out))
        return false;
    out->port = 0;
    return true;
}

bool port_opts_ip(struct port_opts *o, const char *value, char *err, size_t err_len)
{
    char ip[PLX_ADDR_STRLEN];
    const char *slash = strchr(value, '/');
    uint64_t prefix;

    if (o->ip_count == PORT_OPTS_IPS_MAX) {
        snprintf(err, err_len, "--ip: at most %d addresses", PORT_OPTS_IPS_MAX);
        return false;
    }
    if (slash == NULL || (size_t)(slash - value) >= sizeof ip)
        goto bad;
    memcpy(ip, value, (size_t)(slash - value));
    ip[slash - value] = '\0';
    struct plx_addr *a = &o->ip[o->ip_count];
    if (!parse_ip(ip, a) || !parse_number(slash + 1, 0, a->af == PLX_AF_IP4 ? 32 : 128, &prefix))
        goto bad;
    o->prefix[o->ip_count++] = (uint8_t)prefix;
    return true;
bad:
    snprintf(err, err_len, "--ip %s: want ADDRESS/PREFIX, for example 192.0.2.2/24 or 2001:db8::2/64", value);
    return false;
}

static bool take_gateway(struct port_opts *o, const char *value, char *err, size_t err_len)
{
    struct plx_addr a;

    if (!parse_ip(value, &a)) {
        snprintf(err, err_len, "--gateway %s: not a numeric address", value);
        return false;
    }
    *(a.af == PLX_AF_IP4 ? &o->gateway4 : &o->gateway6) = a;
    return true;
}

static bool take_number(const char *name, const char *value, uint64_t min, uint64_t max, uint16_t *out,
                        char *err, size_t err_len)
{
    uint64_t v;

    if (!parse_number(value, min, max, &v)) {
        snprintf(err, err_len, "--%s %s: want a number from %llu to %llu", name, value,
                 (unsigned long long)min, (unsigned long long)max);
        return false;
    }
    *out = (uint16_t)v;
    return true;
}

bool port_opts_take(struct port_opts *o, int option, const char *value, char *err, size_t err_len)
{
    switch (option) {
    case PORT_OPT_DRIVER:
        o->driver = strcmp(value, "ethdev") == 0  ? PORT_DRIVER_ETHDEV
                    : strcmp(value, "memif") == 0 ? PORT_DRIVER_MEMIF
                                                  : PORT_DRIVER_UDP;
        if (o->driver == PORT_DRIVER_UDP && strcmp(value, "udp") != 0) {
            snprintf(err, err_len, "--driver %s: want udp, ethdev or memif", value);
            return false;
        }
        return true;
    case PORT_OPT_UDP:
        o->udp = value;
        return true;
    case PORT_OPT_DEVICE:
        o->device = value;
        return true;
    case PORT_OPT_IP:
        return port_opts_ip(o, value, err, err_len);
    case PORT_OPT_GATEWAY:
        return take_gateway(o, value, err, err_len);
    case PORT_OPT_VLAN:
        return take_number("vlan", value, 1, 4094, &o->vlan, err, err_len);
    case PORT_OPT_MTU:
        return take_number("mtu", value, 1280, 9216, &o->mtu, err, err_len);
    default:
        o->pcap = value;
        return true;
    }
}

// What was said goes together with the driver.
static bool driver_check(const struct port_opts *o, char *err, size_t err_len)
{
    static const char *const names[] = {"udp", "ethdev", "memif"};

    if (o->driver == PORT_DRIVER_UDP &&
        (o->eal_argc > 0 || o->device != NULL || o->ip_count > 0 || o->vlan != 0)) {
        snprintf(
            err, err_len,
            "--device, --ip, --vlan and EAL arguments are for --driver ethdev, all but the last for memif too");
        return false;
    }
    if (o->driver == PORT_DRIVER_MEMIF && o->eal_argc > 0) {
        snprintf(err, err_len, "EAL arguments are for --driver ethdev: --driver memif goes without DPDK");
        return false;
    }
    if (o->driver != PORT_DRIVER_UDP && o->udp != NULL) {
        snprintf(err, err_len, "--udp is for --driver udp");
        return false;
    }
    if (o->driver != PORT_DRIVER_UDP && o->ip_count == 0) {
        snprintf(err, err_len, "--driver %s needs --ip ADDRESS/PREFIX: the kernel's addresses are not ours",
                 names[o->driver]);
        return false;
    }
    return true;
}

static bool make_port(struct port_opts *o, struct plx_engine_cfg *cfg, char *err, size_t err_len)
{
    if (!driver_check(o, err, err_len))
        return false;
    switch (o->driver) {
    case PORT_DRIVER_UDP:
        cfg->port = plx_port_udp();
        break;
    case PORT_DRIVER_MEMIF:
        cfg->port = plx_port_memif();
        break;
    case PORT_DRIVER_ETHDEV:
        if (o->eal_argc > 0 && plx_eal_init(o->eal_argc, o->eal_argv, err, err_len) != PLX_OK)
            return false;
        cfg->port = plx_port_ethdev();
        if (cfg->port == NULL) {
            snprintf(err, err_len, "this build has no DPDK: configure it with -Ddpdk=enabled");
            return false;
        }
    }
    if (cfg->port != NULL && o->pcap != NULL)
        cfg->port = plx_port_pcap(cfg->port, o->pcap);
    if (cfg->port == NULL)
        snprintf(err, err_len, "not enough memory for a port");
    return cfg->port != NULL;
}

bool port_opts_apply(struct port_opts *o, struct plx_engine_cfg *cfg, char *err, size_t err_len)
{
    if (!make_port(o, cfg, err, err_len))
        return false;
    cfg->port_args = o->driver == PORT_DRIVER_UDP ? o->udp : o->device;
    cfg->ip = o->ip;
    cfg->ip_prefix = o->prefix;
    cfg->ip_count = o->ip_count;
    cfg->gateway4 = o->gateway4;
    cfg->gateway6 = o->gateway6;
    cfg->vlan = o->vlan;
    cfg->mtu = o->mtu;
    return true;
}
