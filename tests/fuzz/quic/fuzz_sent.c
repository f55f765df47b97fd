// fuzz_sent.c -- the ring of sent packets against an array that remembers everything.
//
// Packets are sent (sometimes skipping numbers), acknowledged and lost in any order, forgotten, released. The ring may give up what
// nobody needs; what it still has must be what was put in, and what is outstanding and elicits an answer it must have.

#include <string.h>

#include "../base/ops.h"
#include "quic/recovery/sent.h"

enum { NUMBERS = 4096, NEVER_SENT = 0xff };

struct model {
    uint8_t state; // enum plx_sent_state, or NEVER_SENT
    uint8_t refs_count;
    bool is_eliciting;
    uint16_t bytes;
};

static struct plx_slab slab;
static struct plx_sent s;
static struct model model[NUMBERS];
static uint64_t next, clock_ns;

static void send(struct ops *o)
{
    uint8_t how = ops_u8(o);
    uint64_t pn = next + (how >= 240 ? how - 239u : 0); // now and then numbers are skipped
    struct plx_refs refs = {.count = (uint8_t)(how % 7)};
    struct plx_sent_rec rec = {.time = {++clock_ns},
                               .bytes = (uint16_t)(how + 20),
                               .is_eliciting = how % 3 != 0,
                               .is_in_flight = how % 3 != 0};

    if (pn >= NUMBERS)
        return;
    for (unsigned i = 0; i < refs.count; i++)
        refs.v[i] = (struct plx_ref){.id = pn, .offset = i, .len = how};
    if (!plx_sent_add(&s, pn, &rec, &refs))
        return;
    for (uint64_t k = next; k < pn; k++)
        model[k].state = PLX_SENT_SKIPPED;
    model[pn] = (struct model){PLX_SENT_OUTSTANDING, refs.count, rec.is_eliciting, rec.bytes};
    next = pn + 1;
}

// A run of up to 16 numbers, some back from the newest.
static void settle(struct ops *o, enum plx_sent_state to)
{
    uint64_t back = ops_u8(o), count = 1 + ops_u8(o) % 16;
    uint64_t from = next > back ? next - back : 0;

    for (uint64_t pn = from; pn < from + count && pn < next; pn++) {
        if (!plx_sent_has(&s, pn))
            continue;
        struct plx_sent_rec *rec = plx_sent_at(&s, pn);
        plx_check(rec->state == model[pn].state);
        if (rec->state == PLX_SENT_OUTSTANDING && to == PLX_SENT_LOST)
            plx_sent_set_lost(&s, rec);
        else if (to == PLX_SENT_ACKED && (rec->state == PLX_SENT_OUTSTANDING || rec->state == PLX_SENT_LOST))
            plx_sent_set_acked(&s, rec);
        model[pn].state = rec->state;
    }
    plx_sent_retire(&s);
}

static void compare(void)
{
    uint32_t eliciting = 0;

    plx_sent_verify(&s);
    plx_check(s.end <= next);
    for (uint64_t pn = 0; pn < next; pn++) {
        const struct model *m = &model[pn];
        bool is_needed = m->state == PLX_SENT_OUTSTANDING && m->is_eliciting;
        eliciting += is_needed;
        if (!plx_sent_has(&s, pn)) {
            plx_check(!is_needed);
            continue;
        }
        const struct plx_sent_rec *rec = plx_sent_at(&s, pn);
        plx_check(rec->state == m->state);
        if (m->state == PLX_SENT_SKIPPED)
            continue;
        plx_check(rec->bytes == m->bytes && rec->refs_count == m->refs_count);
        for (unsigned i = 0; i < rec->refs_count; i++) {
            const struct plx_ref *ref = plx_sent_ref(&s, rec, i);
            plx_check(ref->id == pn && ref->offset == i);
        }
    }
    plx_check(eliciting == s.eliciting);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct ops o = {data, data + len};

    if (slab.base == NULL)
        plx_check(plx_slab_init(&slab, 2 << 20, PLX_NODE_ANY));
    memset(model, NEVER_SENT, sizeof model);
    next = 0;
    clock_ns = 0;
    plx_sent_init(&s, &slab);
    for (unsigned n = 0; ops_left(&o) && n < 2000; n++) {
        uint8_t op = ops_u8(&o);
        if (op < 128)
            send(&o);
        else if (op < 200)
            settle(&o, PLX_SENT_ACKED);
        else if (op < 230)
            settle(&o, PLX_SENT_LOST);
        else if (op < 250)
            plx_sent_forget_lost(&s, (plx_time){clock_ns > ops_u8(&o) ? clock_ns - data[0] : 0});
        else
            plx_sent_release(&s);
        compare();
    }
    plx_sent_fini(&s);
    plx_sent_verify(&s);
    plx_check(plx_slab_bytes_in_use(&slab) == 0);
    return 0;
}
