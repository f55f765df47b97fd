// plx/queue.h -- stream queues: requests answered on threads of the application's own.
//
// A handler of plx/h3.h runs on the worker and must not block. With stream queues the worker hands each request to
// an application thread through rings that nobody locks, and takes the response back the same way. Octets are
// copied once in each direction: out of the packet into a block that the thread reads, and by the program into a
// block that the transport sends from.
//
//   struct plx_queues *qs = plx_queues_new(&qcfg);     // before the engine
//   plx_queues_attach(qs, &engine_cfg);                // sets h3, on_ring, ring_ctx
//   … start application threads, each with plx_queues_thread(qs, i); plx_engine_new(); plx_engine_run();
//   plx_queues_end(qs);                                // the engine has ended: all hear CLOSED, then OVER
//   … join the application threads; plx_engine_free(); plx_queues_free(qs);
//
//   thread:  for (;;) { n = plx_queue_poll(q, ev, 64); …; if (n == 0) plx_queue_wait(q, 100); }
//
// The life of a request: REQUEST; any number of BODY; END when its body is complete; CLOSED, exactly once, however it
// went; plx_queue_release(). END is missing when the request was given up before. Each is answered by one thread, which
// the worker chooses in turn among those that have a place. Trailers and interim responses do not cross.
//
// Backpressure. A body that is not consumed stays in its blocks; when a request holds ahead_max of them, or all are
// held, the worker takes no more and flow control stops the peer. A response that is not acknowledged stays in its
// blocks too, and plx_queue_reserve() has none: WRITABLE tells when to go on.
//
// apps/examples/queue.c is a whole program.

#ifndef PLX_QUEUE_H
#define PLX_QUEUE_H

#include <plx/engine.h>

#ifdef __cplusplus
extern "C" {
#endif

struct plx_queues;    // all of them: workers times threads
struct plx_queue;     // one application thread's end
struct plx_queue_req; // a request on it

struct plx_queues_cfg {
    uint16_t workers, threads; // 1, 1: of the engine, and of the application
    uint32_t requests_max;     // 256: requests under way per worker and thread; more are answered 503
    uint32_t blocks;           // 1024: blocks in each direction per worker and thread
    uint32_t block_len;        // 16384 octets each
    uint32_t ahead_max;        // 64: blocks of one request in each direction
    uint32_t head_max;         // 8192 octets for a head with its fields; larger ones are answered 431
};

enum plx_queue_what {
    PLX_QUEUE_REQUEST,  // head, has_body: a new request, the thread's until plx_queue_release()
    PLX_QUEUE_BODY,     // data, len: body octets, the thread's until plx_queue_consumed()
    PLX_QUEUE_END,      // the request is complete
    PLX_QUEUE_WRITABLE, // plx_queue_reserve() failed before: try again
    PLX_QUEUE_CLOSED,   // the exchange is over (code, is_peer): plx_queue_release() it
    PLX_QUEUE_OVER,     // the workers have ended and nothing follows; req is NULL
};

struct plx_queue_event {
    enum plx_queue_what what;
    struct plx_queue_req *req;
    const struct plx_h3_head *head; // lives until plx_queue_release()
    bool has_body, is_peer;
    bool is_early; // REQUEST: it came in early data, see plx_h3_req_is_early()
    uint64_t code; // CLOSED: PLX_H3_NO_ERROR when both directions ended well, else as on_closed of plx/h3.h
    const uint8_t *data;
    size_t len;  // 1 to block_len
    void *block; // for plx_queue_consumed()
};

// The defaults named above. Any thread.
PLX_API void plx_queues_cfg_init(struct plx_queues_cfg *cfg);

// Takes all memory there will be: workers * threads * (2 * blocks * block_len + 2 * requests_max * head_max), and a
// little; and a descriptor for each thread.
//
// Ownership: the caller's, for plx_queues_free(). cfg is copied.
// Context:   the starting thread.
// Returns:   NULL when memory or descriptors are short, or a number is zero or absurd; nothing is left then
PLX_API struct plx_queues *plx_queues_new(const struct plx_queues_cfg *cfg);

// Sets cfg->h3, on_ring and ring_ctx. cfg->workers must not exceed those of qs (checked). qs must live longer than the
// engine, and serves one engine. Starting thread.
PLX_API void plx_queues_attach(struct plx_queues *qs, struct plx_engine_cfg *cfg);

// The end of thread `index` (checked). Each is used by one thread at a time.
PLX_API struct plx_queue *plx_queues_thread(struct plx_queues *qs, uint16_t index);

// After plx_engine_run() has returned, once, on the thread that ran it: every request still open hears CLOSED with
// H3_INTERNAL_ERROR, every thread OVER. Threads that sleep wake up. They may go on to use what they have until they
// are joined; nothing of it is sent. O(requests_max) for each pair.
PLX_API void plx_queues_end(struct plx_queues *qs);

// After plx_engine_free(), which still returns blocks, with all threads joined. NULL is fine.
PLX_API void plx_queues_free(struct plx_queues *qs);

// Requests that were refused for want of a thread or a place, or for a head too large. Worker's counter: exact once
// the engine has ended.
PLX_API uint64_t plx_queues_refused(const struct plx_queues *qs);

// --- on the application thread; none blocks but plx_queue_wait(), none allocates, all O(1) per event -------------

// At most max events (1 or more), in order per request; 0: nothing now. The workers take turns. WRITABLE is a hint:
// by the time it is acted upon, others of the same poll may have taken the blocks, and another one follows.
PLX_API unsigned plx_queue_poll(struct plx_queue *q, struct plx_queue_event *ev, unsigned max);

// Sleeps until there may be something to poll, at most timeout_ms (-1: for ever). Polling without it is fine: the
// worker makes a system call only for a thread that sleeps here. It may return early. The only call that blocks; after
// OVER nothing wakes it.
PLX_API void plx_queue_wait(struct plx_queue *q, int timeout_ms);

// The block of a BODY event goes back, and with it the peer's credit. In any order, exactly once, and before
// plx_queue_release() of its request, also after CLOSED (checked). RFC 9000 section 4.1.
PLX_API void plx_queue_consumed(struct plx_queue_req *req, void *block);

// The response's head; fields are copied. fin: there is no body.
// Returns:   PLX_OK           on its way; if it is one that RFC 9114 forbids the exchange is cancelled with
//                             H3_INTERNAL_ERROR
//            PLX_ERR_CLOSED   cancelled, or CLOSED was polled (it may stand further behind in the same array)
//            PLX_ERR_INVALID  a second head, or larger than head_max
PLX_API PLX_MUST_USE enum plx_err plx_queue_respond(struct plx_queue_req *req, uint16_t status,
                                                    const struct plx_field *fields, uint16_t count, bool fin);

// A block to write body octets into, *room long; the same one again until it is committed. NULL: none left, or ahead_max of this
// request are not acknowledged yet: WRITABLE follows. NULL without WRITABLE after CLOSED, or after fin.
PLX_API uint8_t *plx_queue_reserve(struct plx_queue_req *req, size_t *room);

// Sends the first len octets of the reserved block. len 0 with fin needs no block.
// Returns:   PLX_OK, PLX_ERR_CLOSED as above, PLX_ERR_INVALID: no head yet, nothing reserved, too long, or after fin
// See:       RFC 9114 section 7.2.1
PLX_API PLX_MUST_USE enum plx_err plx_queue_commit(struct plx_queue_req *req, size_t len, bool fin);

// Gives the exchange up with an error code of RFC 9114 section 8.1, and drops what was committed and not yet sent;
// CLOSED follows. A second call, or one after CLOSED, does nothing.
PLX_API void plx_queue_cancel(struct plx_queue_req *req, uint64_t code);

// After CLOSED (checked), once: its place is free for another request. Forget the pointer, the head and the user's own.
PLX_API void plx_queue_release(struct plx_queue_req *req);

// The thread stops: what it has not answered gets 503, what it has begun is reset with H3_INTERNAL_ERROR, new requests go
// to other threads; without any, they are answered 503. Nothing else may be called on q or its requests afterwards. What the
// thread held then stays with qs until plx_queues_free().
PLX_API void plx_queue_stop(struct plx_queue *q);

// The program's own pointer, NULL at REQUEST. Pollux never looks at it.
PLX_API void plx_queue_set_user(struct plx_queue_req *req, void *user);
PLX_API void *plx_queue_user(const struct plx_queue_req *req);

#ifdef __cplusplus
}
#endif
#endif
