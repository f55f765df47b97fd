// icmp.h -- echo requests become echo replies, in place: RFC 792 for IPv4, RFC 4443 section 4.2 for IPv6.
//
// Everything else of ICMP is ignored on purpose. Errors could tell us about a path, but anybody can forge them, and
// QUIC finds out by itself: RFC 9000 section 14.2.1 only permits their use.

#ifndef PLX_NET_ICMP_H
#define PLX_NET_ICMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/verdict.h"

// Turns the ICMP message at msg into its reply. REPLY, or DROP_short, DROP_bad_checksum, DROP_icmp; then the message is
// unchanged. `pseudo` is the sum that the checksum includes besides the message: 0 for IPv4.
enum plx_net_verdict plx_icmp_echo(uint8_t *msg, size_t len, bool is_ip6, uint64_t pseudo);

#endif
