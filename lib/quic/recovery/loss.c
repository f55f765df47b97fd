// loss.c -- see loss.h for the idea.

#include "quic/recovery/loss.h"

// The longest stretch of lost packets so far, from its first to its last ack-eliciting one (section 7.6.2).
struct stretch {
    plx_time first;
    bool is_open;
};

static bool stretch_is_persistent(struct stretch *st, const struct plx_sent_rec *rec,
                                  const struct plx_rtt *rtt, plx_dur persistent)
{
    if (!rec->is_eliciting)
        return false;
    //= rfc9002 7.6.2 "a prior RTT sample existed when these two packets were sent"
    if (!plx_time_lt(rtt->first_sample_at, rec->time))
        return false;
    if (!st->is_open) {
        *st = (struct stretch){rec->time, true};
        return false;
    }
    return plx_time_since(rec->time, st->first).ns > persistent.ns;
}

static void lose(struct plx_space *sp, struct plx_sent_rec *rec,
                 void (*on_lost)(void *arg, const struct plx_ref *ref), void *arg, struct plx_loss *out)
{
    plx_sent_set_lost(&sp->sent, rec);
    sp->lost++;
    out->packets++;
    out->marked += rec->is_ect;
    if (rec->is_in_flight) {
        plx_check(sp->bytes_in_flight >= rec->bytes);
        sp->bytes_in_flight -= rec->bytes;
        out->bytes += rec->bytes;
        out->largest_lost_at = rec->time;
    }
    for (unsigned i = 0; !rec->is_probed && i < rec->refs_count; i++)
        on_lost(arg, plx_sent_ref(&sp->sent, rec, i));
}

void plx_loss_detect(struct plx_space *sp, const struct plx_rtt *rtt, plx_time now, plx_dur persistent,
                     void (*on_lost)(void *arg, const struct plx_ref *ref), void *arg, struct plx_loss *out)
{
    plx_dur delay = plx_rtt_loss_delay(rtt);
    struct stretch stretch = {.is_open = false};
    struct plx_sent *s = &sp->sent;

    *out = (struct plx_loss){0};
    sp->loss_at = PLX_NEVER;
    if (sp->largest_acked == UINT64_MAX)
        return;
    uint64_t pn = s->oldest;
    for (; pn < s->end && pn <= sp->largest_acked; pn++) {
        struct plx_sent_rec *rec = plx_sent_at(s, pn);
        if (rec->state != PLX_SENT_OUTSTANDING) {
            stretch.is_open &= rec->state != PLX_SENT_ACKED;
            continue;
        }
        //= rfc9002 6.1.1 "The RECOMMENDED initial value for the packet reordering threshold (kPacketThreshold) is 3"
        bool is_far = sp->largest_acked - pn >= PLX_LOSS_PACKET_THRESHOLD;
        plx_time due = plx_time_after(rec->time, delay);
        if (!is_far && !plx_time_reached(due, now)) {
            sp->loss_at = due;
            break; // those behind it left later and are nearer
        }
        lose(sp, rec, on_lost, arg, out);
        out->is_persistent |= stretch_is_persistent(&stretch, rec, rtt, persistent);
    }
    s->oldest = pn;
}
