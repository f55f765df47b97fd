// space.c -- a packet number space from birth to the day its keys are discarded.

#include "quic/recovery/space.h"

void plx_space_init(struct plx_space *sp, struct plx_slab *slab, plx_dur ack_delay_max)
{
    *sp = (struct plx_space){.largest_acked = UINT64_MAX, .loss_at = PLX_NEVER};
    plx_sent_init(&sp->sent, slab);
    plx_acks_init(&sp->acks, slab, ack_delay_max);
}

void plx_space_fini(struct plx_space *sp)
{
    plx_check(sp->bytes_in_flight == 0);
    plx_sent_fini(&sp->sent);
    plx_acks_shrink(&sp->acks);
}

void plx_space_shrink(struct plx_space *sp)
{
    if (sp->bytes_in_flight > 0 || sp->sent.eliciting > 0)
        return;
    // Packets that held only an ACK are never acknowledged by a peer that has nothing to say itself. Nobody waits for that.
    sp->sent.outstanding = 0;
    sp->loss_at = PLX_NEVER;
    plx_sent_release(&sp->sent);
    plx_acks_shrink(&sp->acks);
}

void plx_space_verify(const struct plx_space *sp)
{
    uint64_t bytes = 0;

    plx_sent_verify(&sp->sent);
    plx_acks_verify(&sp->acks);
    plx_check(sp->sent.end <= sp->next_pn);
    plx_check(sp->largest_acked == UINT64_MAX || sp->largest_acked < sp->next_pn);
    for (uint64_t pn = sp->sent.base; pn < sp->sent.end; pn++) {
        const struct plx_sent_rec *rec = plx_sent_at(&sp->sent, pn);
        if (rec->state == PLX_SENT_OUTSTANDING && rec->is_in_flight)
            bytes += rec->bytes;
    }
    plx_check(bytes == sp->bytes_in_flight);
}
