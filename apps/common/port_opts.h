// port_opts.h -- the options by which every program of ours says what carries its packets.
//
//   --driver udp|ethdev|memif   kernel sockets (default), a DPDK port, or memory shared with another process
//   --udp WORDS           kernel sockets: what to do without (nogso, nogro, nosteer), separated by commas
//   --device NAME         DPDK port, by default the first; of memif role=client|server,socket=PATH and more
//   --ip ADDRESS/PREFIX   our address on such a port; may be given for IPv4 and for IPv6
//   --gateway ADDRESS     the way out of those networks; one per family
//   --vlan N              802.1Q tag on such a port
//   --mtu N               IP MTU
//   --pcap FILE           record every packet (pcapng)
//   -- ARGUMENTS          everything behind it is for DPDK's EAL

#ifndef PLX_APPS_PORT_OPTS_H
#define PLX_APPS_PORT_OPTS_H

#include <plx/plx.h>

enum { PORT_OPTS_IPS_MAX = 8 };

enum port_driver { PORT_DRIVER_UDP, PORT_DRIVER_ETHDEV, PORT_DRIVER_MEMIF };

struct port_opts {
    enum port_driver driver;
    const char *device, *udp, *pcap;
    struct plx_addr ip[PORT_OPTS_IPS_MAX];
    uint8_t prefix[PORT_OPTS_IPS_MAX];
    uint16_t ip_count;
    struct plx_addr gateway4, gateway6;
    uint16_t vlan, mtu;
    int eal_argc;
    char **eal_argv; // eal_argv[0] is the program's name
};

// Long options for getopt_long: splice PORT_OPTS_LONG into the table, and hand values from PORT_OPT_FIRST on to port_opts_take().
enum {
    PORT_OPT_FIRST = 1000,
    PORT_OPT_DRIVER = PORT_OPT_FIRST,
    PORT_OPT_UDP,
    PORT_OPT_DEVICE,
    PORT_OPT_IP,
    PORT_OPT_GATEWAY,
    PORT_OPT_VLAN,
    PORT_OPT_MTU,
    PORT_OPT_PCAP,
    PORT_OPT_LAST = PORT_OPT_PCAP
};
// clang-format off
#define PORT_OPTS_LONG                                                                                                  \
    {"driver", required_argument, NULL, PORT_OPT_DRIVER}, {"device", required_argument, NULL, PORT_OPT_DEVICE},         \
        {"udp", required_argument, NULL, PORT_OPT_UDP}, {"ip", required_argument, NULL, PORT_OPT_IP}, {"gateway", required_argument, NULL, PORT_OPT_GATEWAY},           \
        {"vlan", required_argument, NULL, PORT_OPT_VLAN}, {"mtu", required_argument, NULL, PORT_OPT_MTU},               \
        {"pcap", required_argument, NULL, PORT_OPT_PCAP}
#define PORT_OPTS_HELP                                                                                                  \
    "  --driver udp|ethdev|memif  kernel sockets (default), a DPDK port that bypasses the kernel, or\n"                 \
    "                        memory shared with another process\n"                                                     \
    "  --udp WORDS           kernel sockets: do without nogso, nogro, nosteer (commas between)\n"                       \
    "  --device NAME         DPDK port, by default the first one; memif: role=client|server,socket=PATH\n"              \
    "  --ip ADDRESS/PREFIX   our address on a port without the kernel; again for more, and for IPv6\n"                  \
    "  --gateway ADDRESS     the way out of those networks; again for the other family\n"                               \
    "  --vlan N              802.1Q tag on a port without the kernel\n"                                                 \
    "  --mtu N               IP MTU (default 1500; 9216 when listening on loopback alone)\n"                            \
    "  --pcap FILE           record every packet (pcapng)\n"                                                            \
    "  -- ARGUMENTS          everything behind it goes to DPDK's EAL\n"
// clang-format on

// Cuts "-- ARGUMENTS" off the command line and keeps it. Returns the shortened argc.
int port_opts_split(struct port_opts *o, int argc, char **argv);
// One option. False: err says what is wrong with it.
bool port_opts_take(struct port_opts *o, int option, const char *value, char *err, size_t err_len);
// Numbers and names that configuration files also use.
bool port_opts_ip(struct port_opts *o, const char *value, char *err, size_t err_len);
// Makes the port and fills in cfg's port and IP fields (which borrow from o). False: err says what is wrong.
bool port_opts_apply(struct port_opts *o, struct plx_engine_cfg *cfg, char *err, size_t err_len);

// A whole decimal number in [min, max].
bool parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *out);

#endif
