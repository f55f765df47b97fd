// absent.c -- the ethdev driver of a library that was built without DPDK: it says so.

#include <stdio.h>

#include "plx/port.h"

struct plx_port *plx_port_ethdev(void)
{
    return NULL;
}

enum plx_err plx_eal_init(int argc, char **argv, char *err, size_t err_len)
{
    (void)argc;
    (void)argv;
    snprintf(err, err_len,
             "ethdev: this build is without DPDK; configure it with -Ddpdk=enabled, or use the udp driver");
    return PLX_ERR_SYSTEM;
}
