// nat.c -- a network address translator that forgets.
//
// Time is cut into epochs of rebind_every. In epoch 0 the outside is the inside. In each later epoch the first datagram
// of an inside address gets a new outside port, counted up from 40000 (and with rebind_ip an outside IP whose last octet
// tells the epoch), and only then can anything come back: as with a real translator, an answer to the mapping of an
// earlier epoch has nowhere to go. A full table forgets its oldest mapping.

#include <string.h>

#include "world.h"

static uint64_t epoch_of(const struct sim_link *l, plx_time now)
{
    return now.ns / l->cfg.rebind_every.ns;
}

struct plx_addr sim_nat_out(struct sim_link *l, const struct plx_addr *inside, plx_time now)
{
    uint64_t epoch = epoch_of(l, now);
    uint32_t kept = l->nat_count < SIM_NAT_MAX ? l->nat_count : SIM_NAT_MAX;

    for (uint32_t i = 0; i < kept; i++)
        if (l->nat[i].epoch == epoch && plx_addr_eq(&l->nat[i].inside, inside))
            return l->nat[i].outside;
    struct sim_mapping *m = &l->nat[l->nat_count++ % SIM_NAT_MAX];
    *m = (struct sim_mapping){.inside = *inside, .outside = *inside, .epoch = epoch};
    if (epoch > 0) {
        m->outside.port = l->nat_port++;
        if (l->nat_port == 0)
            l->nat_port = 40000;
        if (l->cfg.rebind_ip)
            m->outside.ip[inside->af == PLX_AF_IP4 ? 3 : 15] ^= (uint8_t)(0x80 | (epoch & 0x3f));
    }
    return m->outside;
}

bool sim_nat_in(const struct sim_link *l, const struct plx_addr *outside, plx_time now,
                struct plx_addr *inside)
{
    uint32_t kept = l->nat_count < SIM_NAT_MAX ? l->nat_count : SIM_NAT_MAX;

    for (uint32_t i = 0; i < kept; i++) {
        if (l->nat[i].epoch == epoch_of(l, now) && plx_addr_eq(&l->nat[i].outside, outside)) {
            *inside = l->nat[i].inside;
            return true;
        }
    }
    return false;
}
