// port.c -- what all ports have in common: an end.

#include "plx/port.h"

void plx_port_free(struct plx_port *port)
{
    if (port != NULL)
        port->free(port);
}
