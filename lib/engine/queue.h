// queue.h -- what both ends of a stream queue know (plx/queue.h).
//
// One worker and one application thread share a pair of rings. What travels is a pointer to a message, and every
// message has a place of its own: five in each request's slot, one in each block of octets. A message is
// in at most one ring, so rings that are as large as the number of messages never fill, and no step can fail half-way.
//
// Who owns which memory. A slot is the worker's while free; from REQUEST on each side writes only its own half, and the worker
// has it back when it has said CLOSED and the thread has answered RELEASE. As nobody reuses it before, a
// handle cannot be stale. `in` blocks are the worker's, travel down with body octets (the one copy) and come back
// consumed; without one on_body takes less, and flow control holds the peer back. `out` blocks are the thread's, which writes
// into them; they travel up, are lent to the transport without a copy, and return when acknowledged or dropped. That may
// be after their slot was used again: so they carry its generation.
//
// Ends. Reset, STOP_SENDING and a lost connection all arrive as on_closed, and become CLOSED. A thread that stops says STOP, and the
// worker answers for it. Workers that end say CLOSED for what is open and then OVER. All memory is one set of allocations
// made before the start: nothing leaks whoever dies first.
//
// Memory-order edges: P1/C1 and P2/C2 of base/spsc.h carry all contents. Beside them
//   Q1 (seq_cst store, is_asleep) of a thread before it looks at its rings again pairs with
//   Q2 (seq_cst fence) of the worker between its push and its look at is_asleep;
//   Q3 (seq_cst store, core; fence) of the worker before it drains pairs with Q4 (seq_cst fence) of the thread between
//   its push and its look at core.

#ifndef PLX_ENGINE_QUEUE_H
#define PLX_ENGINE_QUEUE_H

#include <stdatomic.h>

#include "base/spsc.h"
#include "plx/queue.h"

enum plx_qmsg_kind {
    QMSG_REQUEST,
    QMSG_END,
    QMSG_CLOSED, // down
    QMSG_RESPOND,
    QMSG_FIN,
    QMSG_CANCEL,
    QMSG_RELEASE, // up
    QMSG_SLOT_COUNT,
    QMSG_IN = QMSG_SLOT_COUNT,
    QMSG_OUT,
    QMSG_STOP,
    QMSG_OVER,
};

struct plx_qmsg {
    enum plx_qmsg_kind kind;
    struct plx_queue_req *slot;
};

struct plx_qblock {
    struct plx_owner owner; // first: release() finds the block by it
    struct plx_qmsg m;
    struct plx_qpair *pair;
    struct plx_qblock *next;
    size_t len;
    uint32_t generation;
    bool fin;
    uint8_t *data;
};

struct plx_queue_req { // a slot
    struct plx_qpair *pair;
    struct plx_qmsg msg[QMSG_SLOT_COUNT];
    uint8_t *head_mem, *answer_mem;
    // --- written by the worker before REQUEST, or CLOSED ---
    struct plx_h3_head head;
    bool has_body, is_peer, is_early;
    uint64_t code;
    // --- written by the thread before RESPOND, or CANCEL ---
    uint16_t status, field_count;
    bool is_fin_at_once;
    uint64_t cancel_code;
    // --- the worker's ---
    _Alignas(64) struct plx_h3_req *req;
    struct plx_queue_req *next_free, *next_held;
    struct plx_qblock *out_first, **out_last;
    uint32_t in_count;
    bool is_live, is_held, wants_respond, has_responded, wants_fin;
    // --- the thread's ---
    _Alignas(64) struct plx_queue_req *next_wanting;
    struct plx_qblock *reserved;
    uint32_t out_count, generation;
    bool is_listed, wants, is_answered, is_ended, is_cancelled, is_closed;
    void *user;
};

struct plx_qpair {
    struct plx_queues *qs;
    struct plx_queue *q;
    struct plx_spsc down, up;
    struct plx_queue_req *slot;
    struct plx_qblock *in, *out;
    uint8_t *octets;
    struct plx_qmsg stop, over;
    _Atomic(struct plx_core *) core; // set by the worker with the first request
    // --- the worker's ---
    _Alignas(64) struct plx_queue_req *free_slots, *held_first, **held_last;
    struct plx_qblock *in_free;
    bool is_stopped;
    uint64_t refused;
    // --- the thread's ---
    _Alignas(64) struct plx_qblock *out_free;
    struct plx_queue_req *wanting_first, **wanting_last;
    bool is_over;
};

struct plx_queue {
    struct plx_queues *qs;
    uint16_t index, over_count, turn;
    bool is_over_told;
    int fd;
    _Alignas(64) _Atomic bool is_asleep;
};

struct plx_queues {
    struct plx_queues_cfg cfg;
    struct plx_h3_handler handler;
    struct plx_queue *queue;
    struct plx_qpair *pair; // [worker * threads + thread]
    uint16_t *turn;         // of each worker
};

// queue.c: the handler, and the worker's answer to a ring.
extern const struct plx_h3_handler plx_queue_handler;
void plx_queue_on_ring(void *ctx, struct plx_core *core);
void plx_queue_down(struct plx_qpair *p, struct plx_qmsg *m);
void plx_queue_block_release(struct plx_owner *owner, const void *data, size_t len);

#endif
