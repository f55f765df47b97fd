// neigh.c -- see neigh.h.

#include "net/neigh.h"

#include <string.h>

#include "base/check.h"
#include "base/siphash.h"
#include "base/time.h"

static bool is_entry_of(const struct plx_neigh_entry *e, const struct plx_addr *ip)
{
    return e->af == ip->af && memcmp(e->ip, ip->ip, sizeof e->ip) == 0;
}

static unsigned set_of(const struct plx_neigh *t, const uint8_t ip[16])
{
    return (unsigned)(plx_siphash(t->key, ip, 16) % PLX_NEIGH_SETS);
}

static struct plx_neigh_entry *entry_find(const struct plx_neigh *t, const struct plx_addr *ip)
{
    const struct plx_neigh_entry *set = t->set[set_of(t, ip->ip)];

    for (unsigned i = 0; i < PLX_NEIGH_WAYS; i++)
        if (set[i].state != PLX_NEIGH_NONE && is_entry_of(&set[i], ip))
            return (struct plx_neigh_entry *)&set[i];
    return NULL;
}

// The lower the worthier to stay; ties go to the one heard (or asked) later.
static unsigned unworthiness(const struct plx_neigh_entry *e)
{
    static const uint8_t by_state[] = {[PLX_NEIGH_NONE] = 4,
                                       [PLX_NEIGH_INCOMPLETE] = 3,
                                       [PLX_NEIGH_STALE] = 2,
                                       [PLX_NEIGH_IS_REACHABLE] = 1};
    return e->is_pinned ? 0 : by_state[e->state];
}

static plx_time last_use(const struct plx_neigh_entry *e)
{
    return plx_time_max(e->heard, e->asked);
}

// A place for ip in its set; NULL when all of it is pinned. The new entry is empty but for its address.
static struct plx_neigh_entry *entry_make(struct plx_neigh *t, const struct plx_addr *ip)
{
    struct plx_neigh_entry *set = t->set[set_of(t, ip->ip)], *worst = &set[0];

    for (unsigned i = 1; i < PLX_NEIGH_WAYS; i++) {
        unsigned a = unworthiness(&set[i]), b = unworthiness(worst);
        if (a > b || (a == b && plx_time_lt(last_use(&set[i]), last_use(worst))))
            worst = &set[i];
    }
    if (worst->is_pinned)
        return NULL;
    if (worst->state == PLX_NEIGH_IS_REACHABLE || worst->state == PLX_NEIGH_STALE) {
        t->evicted++;
        t->generation++;
    }
    *worst = (struct plx_neigh_entry){.af = ip->af, .state = PLX_NEIGH_INCOMPLETE};
    memcpy(worst->ip, ip->ip, sizeof worst->ip);
    return worst;
}

// Time passes: REACHABLE ages to STALE, and STALE to INCOMPLETE when its last question has gone unanswered.
static void entry_age(struct plx_neigh *t, struct plx_neigh_entry *e, plx_time now)
{
    if (e->state == PLX_NEIGH_IS_REACHABLE &&
        plx_time_reached(plx_time_after(e->heard, PLX_NEIGH_REACHABLE), now))
        e->state = PLX_NEIGH_STALE;
    if (e->state == PLX_NEIGH_STALE && e->asks >= PLX_NEIGH_ASKS &&
        plx_time_reached(plx_time_after(e->asked, PLX_NEIGH_RETRANS), now)) {
        e->state = PLX_NEIGH_INCOMPLETE;
        t->generation++;
    }
}

// Whether a question may be sent now; if so it is counted.
static bool entry_ask(struct plx_neigh_entry *e, plx_time now)
{
    plx_dur pause = e->asks < PLX_NEIGH_ASKS ? PLX_NEIGH_RETRANS : PLX_NEIGH_PAUSE;

    if (e->asks > 0 && !plx_time_reached(plx_time_after(e->asked, pause), now))
        return false;
    e->asked = now;
    if (e->asks < UINT8_MAX)
        e->asks++;
    return true;
}

void plx_neigh_init(struct plx_neigh *t, const uint8_t key[16])
{
    memset(t, 0, sizeof *t);
    memcpy(t->key, key, sizeof t->key);
}

struct plx_neigh_answer plx_neigh_find(struct plx_neigh *t, const struct plx_addr *ip, plx_time now)
{
    struct plx_neigh_answer a = {false, false, {0}};
    struct plx_neigh_entry *e = entry_find(t, ip);

    if (e == NULL)
        e = entry_make(t, ip);
    if (e == NULL)
        return a;
    entry_age(t, e, now);
    a.is_known = e->state != PLX_NEIGH_INCOMPLETE;
    memcpy(a.mac, e->mac, sizeof a.mac);
    a.ask = e->state != PLX_NEIGH_IS_REACHABLE && entry_ask(e, now);
    return a;
}

void plx_neigh_learn(struct plx_neigh *t, const struct plx_addr *ip, const uint8_t mac[6], plx_time now)
{
    struct plx_neigh_entry *e = entry_find(t, ip);

    if (e == NULL)
        e = entry_make(t, ip);
    if (e == NULL)
        return; // a set full of gateways: they matter more
    if (e->state != PLX_NEIGH_INCOMPLETE && memcmp(e->mac, mac, sizeof e->mac) != 0)
        t->generation++;
    memcpy(e->mac, mac, sizeof e->mac);
    e->state = PLX_NEIGH_IS_REACHABLE;
    e->heard = now;
    e->asks = 0;
}

bool plx_neigh_peek(const struct plx_neigh *t, const struct plx_addr *ip, plx_time now, uint8_t mac[6])
{
    const struct plx_neigh_entry *e = entry_find(t, ip);

    if (e == NULL || e->state == PLX_NEIGH_INCOMPLETE)
        return false;
    if (e->asks >= PLX_NEIGH_ASKS && plx_time_reached(plx_time_after(e->asked, PLX_NEIGH_RETRANS), now))
        return false; // stale, and the last question has gone unanswered
    if (mac != NULL)
        memcpy(mac, e->mac, sizeof e->mac);
    return true;
}

bool plx_neigh_has(const struct plx_neigh *t, const struct plx_addr *ip)
{
    return entry_find(t, ip) != NULL;
}

bool plx_neigh_pin(struct plx_neigh *t, const struct plx_addr *ip)
{
    struct plx_neigh_entry *e = entry_find(t, ip);

    if (e == NULL)
        e = entry_make(t, ip);
    if (e == NULL)
        return false;
    e->is_pinned = true;
    return true;
}

void plx_neigh_verify(const struct plx_neigh *t)
{
    for (unsigned s = 0; s < PLX_NEIGH_SETS; s++) {
        for (unsigned i = 0; i < PLX_NEIGH_WAYS; i++) {
            const struct plx_neigh_entry *e = &t->set[s][i];
            if (e->state == PLX_NEIGH_NONE) {
                plx_check(!e->is_pinned);
                continue;
            }
            plx_check(set_of(t, e->ip) == s);
            plx_check(e->af == PLX_AF_IP4 || e->af == PLX_AF_IP6);
            plx_check(e->state != PLX_NEIGH_IS_REACHABLE || e->asks == 0);
            for (unsigned k = 0; k < i; k++) // nobody stands in a set twice
                plx_check(t->set[s][k].state == PLX_NEIGH_NONE || t->set[s][k].af != e->af ||
                          memcmp(t->set[s][k].ip, e->ip, sizeof e->ip) != 0);
        }
    }
}
