// sched.h -- which stream writes next: two round-robin lists.
//
// A stream with something to send stands in one of two lists: `owed` when it has octets to send again or a bare FIN, which need no
// credit of the connection, or `fresh` when it has new octets that its own limit allows, which do. So whether anything can be
// sent is a look at two list heads and one number. Owed goes before fresh: what was lost holds the peer up.
//
// A stream that fills a packet goes to the end of its list; one that is done with leaves it, and the next small one shares the packet.

#ifndef PLX_QUIC_SCHED_H
#define PLX_QUIC_SCHED_H

#include "quic/stream/stream.h"

enum plx_sched_list { PLX_SCHED_NONE, PLX_SCHED_OWED, PLX_SCHED_FRESH };

struct plx_sched {
    struct plx_list owed, fresh;
};

void plx_sched_init(struct plx_sched *q);
// Puts s where its buffers and its limit say it belongs: at the end of that list, or where it is if it is there already.
void plx_sched_update(struct plx_sched *q, struct plx_stream *s);
// The same for one that stands nowhere, and that is known to have fresh octets, and credit for some.
static inline void plx_sched_add_fresh(struct plx_sched *q, struct plx_stream *s)
{
    s->ready_in = PLX_SCHED_FRESH;
    plx_list_add_tail(&q->fresh, &s->ready);
}
void plx_sched_remove(struct plx_stream *s);
// It had its turn and has more: behind the others.
void plx_sched_rotate(struct plx_sched *q, struct plx_stream *s);
// The next to write, or NULL. with_fresh: the connection has credit.
struct plx_stream *plx_sched_first(const struct plx_sched *q, bool with_fresh);
void plx_sched_verify(const struct plx_sched *q);

#endif
