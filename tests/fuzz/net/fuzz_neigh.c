// fuzz_neigh.c -- the neighbour cache against a stupid model, operation by operation.
//
// Input: three octets an operation: what, who, how much time passes before it. With few neighbours (who < 8: no set can
// overflow) the model is exact: it knows for each one when it was heard and asked, and recomputes every answer from the
// rules of neigh.h. Others, from 256 sets' worth of addresses, are there to push; they must only never break the
// structure or lend their address to somebody else.

#include <string.h>

#include "base/check.h"
#include "base/time.h"
#include "net/neigh.h"

enum { EXACT = 8, OTHERS = 4096 };

struct model {
    bool exists, is_known;
    uint8_t asks, mac;
    plx_time heard, asked;
};

static struct plx_neigh table;

static struct plx_addr who(unsigned i)
{
    struct plx_addr a = {.af = i % 2 ? PLX_AF_IP6 : PLX_AF_IP4, .ip = {10, (uint8_t)(i >> 8), (uint8_t)i}};
    return a;
}

static bool is_stale(const struct model *m, plx_time now)
{
    return m->is_known && now.ns - m->heard.ns >= PLX_NEIGH_REACHABLE.ns;
}

static void model_find(struct model *m, plx_time now, bool *known, bool *ask)
{
    m->exists = true;
    if (is_stale(m, now) && m->asks >= PLX_NEIGH_ASKS && now.ns - m->asked.ns >= PLX_NEIGH_RETRANS.ns)
        m->is_known = false;
    uint64_t pause = m->asks < PLX_NEIGH_ASKS ? PLX_NEIGH_RETRANS.ns : PLX_NEIGH_PAUSE.ns;
    *known = m->is_known;
    *ask = (!m->is_known || is_stale(m, now)) && (m->asks == 0 || now.ns - m->asked.ns >= pause);
    if (*ask) {
        m->asked = now;
        m->asks = m->asks < 255 ? (uint8_t)(m->asks + 1) : 255;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const uint8_t key[16] = {1, 2, 3};
    struct model model[EXACT] = {{0}};
    bool is_exact = len > 0 && (data[0] & 0x80) == 0; // without the others
    plx_time now = {0};

    plx_neigh_init(&table, key);
    for (size_t i = 0; i + 3 <= len; i += 3) {
        unsigned n = data[i + 1] % EXACT;
        uint8_t mac[6] = {2, 0, 0, 0, 0, data[i] >> 4 & 3}, out[6];
        now.ns += (uint64_t)data[i + 2] * data[i + 2] * 1000000; // up to a minute
        if (!is_exact && (data[i] & 4) != 0) {
            struct plx_addr a = who(EXACT + (data[i + 1] << 4 | data[i] >> 4) % OTHERS);
            memcpy(mac, a.ip, 4);
            plx_neigh_learn(&table, &a, mac, now);
            plx_check(plx_neigh_peek(&table, &a, now, out) && memcmp(out, mac, 6) == 0);
            continue;
        }
        struct plx_addr a = who(n);
        struct model *m = &model[n];
        uint64_t generation = table.generation;
        bool was_known = m->is_known, known, ask;
        if ((data[i] & 1) != 0) {
            plx_neigh_learn(&table, &a, mac, now);
            plx_check(!is_exact || !was_known || m->mac == mac[5] || table.generation > generation);
            *m = (struct model){.exists = true, .is_known = true, .mac = mac[5], .heard = now};
        } else {
            struct plx_neigh_answer r = plx_neigh_find(&table, &a, now);
            if (is_exact) {
                model_find(m, now, &known, &ask);
                plx_check(r.is_known == known);
                plx_check(r.ask == ask);
                plx_check(!was_known || known || table.generation > generation);
            }
            plx_check(!r.is_known || r.mac[5] == m->mac);
        }
        plx_check(!is_exact || plx_neigh_has(&table, &a) == m->exists);
        if (i % 96 == 0) // it looks at a thousand places
            plx_neigh_verify(&table);
    }
    plx_neigh_verify(&table);
    return 0;
}
