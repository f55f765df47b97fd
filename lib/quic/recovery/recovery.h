// recovery.h -- acknowledgement, loss and congestion of a connection as one thing (RFC 9002), over three packet number spaces.
//
// The connection owns a struct plx_space per packet number space (space.h: next number, received numbers, sent packets) and one
// struct plx_recovery (RTT, congestion controller, pacer, ECN, probe timer). References of frames come back through on_acked and on_lost.
// Congestion controllers are a table of operations (cc.h): NewReno and CUBIC with HyStart++ now.

#ifndef PLX_QUIC_RECOVERY_H
#define PLX_QUIC_RECOVERY_H

#include <plx/types.h>

#include "quic/recovery/space.h"
#include "quic/recovery/rtt.h"
#include "quic/recovery/cc.h"
#include "quic/recovery/pacer.h"
#include "quic/recovery/ecn.h"
#include "quic/recovery/loss.h"
#include "quic/wire/frame.h"
#include "quic/wire/ref.h"

enum plx_space_id { PLX_SPACE_INITIAL, PLX_SPACE_HANDSHAKE, PLX_SPACE_APP, PLX_SPACE_COUNT };

struct plx_recovery_cfg {
    const struct plx_cc_ops *cc; // plx_cc_cubic, plx_cc_newreno
    uint16_t initial_cwnd_packets;
    bool hystart, pacing, ecn;
    plx_dur initial_rtt; // 333 ms
};

// What happens to references; a table so that the connection dispatches by kind. Called from inside on_ack and on_timeout.
struct plx_recovery_events {
    // count references of one packet that stand in a row: one or two calls for each packet that has any.
    void (*on_acked)(void *arg, enum plx_space_id space, const struct plx_ref *refs, unsigned count);
    void (*on_lost)(void *arg, enum plx_space_id space, const struct plx_ref *ref);
};

struct plx_recovery_ack_result {
    uint64_t error; // 0, or PROTOCOL_VIOLATION: an acknowledgement of what was never sent
    bool newly_acked, any_ack_eliciting_acked, any_lost, persistent_congestion;
    uint64_t largest_newly_acked; // valid with newly_acked
    bool ecn_failed;              // validation failed just now (RFC 9000 section 13.4.2)
};

struct plx_recovery { // embedded in the connection
    const struct plx_recovery_events *events;
    void *arg;
    struct plx_rtt rtt;
    struct plx_pacer pacer;
    struct plx_ecn_path ecn;
    uint64_t bytes_in_flight; // of all spaces
    plx_time congestion_at; // when the last congestion event was: packets sent before it cannot cause another
    // when the window was last full: what left before counts for growth
    plx_time full_at;
    // last packet sent, acknowledgement or timeout: the anti-deadlock timer counts from here
    plx_time last_at;
    plx_dur peer_max_ack_delay; // 25 ms until set
    uint8_t peer_ack_delay_exponent;
    uint8_t pto_count; // doublings of the probe timeout since the last acknowledgement
    bool is_confirmed; // the handshake
    bool is_app_limited;
    plx_time path_at;    // since when this path is in use: older packets say nothing about it
    bool is_unvalidated; // the last timeout found a client whose address may not be validated yet
    uint32_t event_lost; // packets lost in the last congestion event that may still turn out spurious
    uint64_t lost_packets, spurious_packets; // ever
    struct plx_cc cc;                        // what slow start and CUBIC remember is at its end
    uint64_t lost_bytes, ptos, persistent;   // ever
    plx_dur initial_rtt;
    uint16_t initial_cwnd_packets;
    bool has_hystart, has_ecn;
};

void plx_recovery_init(struct plx_recovery *r, const struct plx_recovery_cfg *cfg, uint16_t mtu,
                       const struct plx_recovery_events *ev, void *arg);

// An ACK frame for a space (frame's ranges are still a cursor over the packet, see frame.h). peer_max_ack_delay and exponent were set by
// plx_recovery_set_peer once the transport parameters are known.
void plx_recovery_on_ack(struct plx_recovery *r, struct plx_space *sp, enum plx_space_id id,
                         const struct plx_frame_ack *ack, plx_time now, struct plx_recovery_ack_result *out);
void plx_recovery_set_peer(struct plx_recovery *r, plx_dur max_ack_delay, uint8_t ack_delay_exponent);
void plx_recovery_on_handshake_confirmed(struct plx_recovery *r); // PTO for the application space from now on

// Whether a packet could be remembered: ask before building one (plx_recovery_on_sent cannot fail after a true).
static inline bool plx_recovery_can_remember(struct plx_space *sp)
{
    return plx_sent_reserve(&sp->sent, sp->next_pn, PLX_REFS_MAX);
}
// The mark for the next packet: enum plx_ecn.
static inline uint8_t plx_recovery_ecn_mark(const struct plx_recovery *r)
{
    return plx_ecn_mark(&r->ecn);
}

// A packet leaves. refs of frames that need it (ACK-only packets: is_ack_eliciting and in_flight false). false: no memory for the record:
// the caller must not send it. Sets the ECN mark to use through plx_ecn_mark().
bool plx_recovery_on_sent(struct plx_recovery *r, struct plx_space *sp, enum plx_space_id id, uint64_t pn,
                          uint16_t bytes, bool is_ack_eliciting, bool in_flight, uint8_t ecn_mark,
                          const struct plx_refs *refs, plx_time now);

// How many octets congestion control and pacing let go now; 0 with *wait_until set (NEVER when only an ACK can help). Probes ignore it.
uint64_t plx_recovery_can_send(struct plx_recovery *r, plx_time now, plx_time *wait_until);
void plx_recovery_set_app_limited(struct plx_recovery *r, bool is_app_limited);

// Loss timer or PTO over the given spaces (NULL: discarded). has_keys tells for which spaces PTO packets may be sent; is_client_unvalidated: the
// anti-deadlock PTO of RFC 9002 section 6.2.2.1 applies.
plx_time plx_recovery_deadline(const struct plx_recovery *r, struct plx_space *const sp[PLX_SPACE_COUNT],
                               bool has_handshake_keys, bool is_client_unvalidated);
// The same when the handshake and its spaces are gone, which is nearly always.
plx_time plx_recovery_deadline_app(const struct plx_recovery *r, const struct plx_space *app);
enum plx_recovery_fired { PLX_FIRED_NOTHING, PLX_FIRED_LOSS, PLX_FIRED_PTO };
// PTO: the caller sends one or two ack-eliciting packets in *probe_space (sp->probes_wanted is set); what is oldest unacknowledged in that space has
// been reported through on_lost-like retransmission hints (on_lost is called for references of the oldest packets without declaring them lost in cc: see probe).
enum plx_recovery_fired plx_recovery_on_timeout(struct plx_recovery *r,
                                                struct plx_space *const sp[PLX_SPACE_COUNT],
                                                bool has_handshake_keys, bool is_client_unvalidated,
                                                plx_time now, enum plx_space_id *probe_space);

// Keys of a space are discarded: its packets leave flight uncounted (RFC 9002 section 6.4), its memory returns.
void plx_recovery_discard_space(struct plx_recovery *r, struct plx_space *sp, enum plx_space_id id);
// The path changed (migration to another IP): new controller state and RTT (RFC 9000 section 9.4).
void plx_recovery_on_path_change(struct plx_recovery *r, uint16_t mtu);
// The path was found to carry larger (or only smaller) packets.
void plx_recovery_set_mtu(struct plx_recovery *r, uint16_t mtu);
// Everything sent so far is to be sent again (Retry, version change): on_lost for all, not in cc.
void plx_recovery_requeue_all(struct plx_recovery *r, struct plx_space *sp, enum plx_space_id id);

plx_dur plx_recovery_pto(const struct plx_recovery *r, enum plx_space_id id); // without backoff
void plx_recovery_verify(const struct plx_recovery *r, struct plx_space *const sp[PLX_SPACE_COUNT]);

#endif
