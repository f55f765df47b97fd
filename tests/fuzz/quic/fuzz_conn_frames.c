// fuzz_conn_frames.c -- any payload, at any level and stage, as if it had opened: what a peer that has the keys can say.
//
// Input: octet 0: bits 0-1 the stage of the handshake, bit 2 the victim. Then packets:  octet: bits 0-1 the space, bits 2-3 what to do
// before (nothing, let the victim write, let time pass, both ends talk) | octet: signed step of the packet number | 2 octets: length |
// payload. Whatever it is, the connection stays consistent, answers with an error or none, and gives everything back.

#include "../../unit/quic/forge.h"
#include "pair_once.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct pair p;

static void reach(uint8_t what)
{
    static const enum forge_stage stages[] = {FORGE_FIRST, FORGE_HANDSHAKE, FORGE_CONFIRMED, FORGE_CONFIRMED};
    forge_reach(&p, stages[what & 3]);
    if ((what & 3) != 3)
        return;
    // Streams in every state: requested, answered in part, done.
    plx_check(pair_request(&p, 100) != NULL);
    pair_run(&p, PLX_MS(100));
    plx_check(pair_request(&p, 200000) != NULL);
    pair_run(&p, PLX_MS(25));
}

static void before(int victim, uint8_t what)
{
    if (what == 1)
        pair_tx(&p, &p.e[victim]);
    if (what == 2)
        pair_run(&p, PLX_MS(150));
    if (what == 3)
        pair_step(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    pair_once();
    struct plx_rd r = plx_rd_init(data, len);
    uint8_t head = plx_rd_u8(&r);
    int victim = head >> 2 & 1;
    pair_init(&p, 1);
    reach(head);
    while (plx_rd_left(&r) > 0) {
        uint8_t how = plx_rd_u8(&r);
        int8_t step = (int8_t)plx_rd_u8(&r);
        size_t want = plx_rd_u16(&r) % PAIR_DGRAM_LEN;
        if (want > plx_rd_left(&r))
            want = plx_rd_left(&r);
        struct plx_span payload = plx_rd_span(&r, want);
        before(victim, how >> 2 & 3);
        struct plx_conn *c = p.e[victim].conn;
        if (c == NULL)
            break;
        enum plx_space_id space = (enum plx_space_id)((how & 3) % PLX_SPACE_COUNT);
        const struct plx_space *sp = conn_space(c, space);
        uint64_t pn = sp != NULL ? sp->acks.end + (uint64_t)(int64_t)step : 0;
        if (pn >> 62 == 0)
            forge_deliver(&p, victim, space, pn, payload.p, payload.len);
    }
    p.filter = NULL;
    pair_run(&p, PLX_SEC(2));
    pair_fini(&p);
    return 0;
}
