// core.h -- one worker: a queue of the port and everything that happens on it.
//
// A breath takes up to 64 datagrams and walks them through phases, each a function over an array (DESIGN: "the engine handles
// bursts, not packets"):
//
//   rx.c:    pull, parse, find, unmask, open, deliver     demux.c: find's tables, births, hand-over
//   core.c:  timers, the dead, the breath itself          tx.c:    build, seal, mask, send
//   hibernate.c: connections without objects        park.c:  connections at rest, whose streams are put away
//   admit.c: answers without a connection                 glue_*.c: events of connections to HTTP/3 and to programs
//
// Datagrams with several QUIC packets are walked in rounds, one packet of each datagram a round, because the keys of the
// second packet may come out of the first. On established connections there is one round.
//
// A core shares nothing but the ring by which other cores hand it datagrams (handoff.c) and the counters that others read.
// Time comes in as an argument: the same core runs under the simulator, where an hour takes a second.

#ifndef PLX_ENGINE_CORE_H
#define PLX_ENGINE_CORE_H

#include <plx/engine.h>

#include "base/counter.h"
#include "base/list.h"
#include "base/mailbox.h"
#include "base/pool.h"
#include "base/slab.h"
#include "base/table.h"
#include "base/wheel.h"
#include "engine/frames.h"
#include "engine/handoff.h"
#include "engine/hibernate.h"
#include "engine/park.h"
#include "engine/random.h"
#include "h3/conn.h"
#include "quic/conn/conn.h"
#include "quic/limits.h"
#include "quic/wire/token.h"

enum {
    PLX_BURST_MAX = 64, // datagrams a breath takes, and QUIC packets a round walks
    // of them from the port. Half: with whole bursts two cores that answer each other fall into step, one working while the other waits
    PLX_PULL_MAX = 32,
    PLX_ROUNDS_MAX = 64,   // a 1500-octet datagram cannot hold more packets worth looking at
    PLX_LATER_TRIES = 3,   // rounds a packet waits for keys that come out of its own burst
    PLX_TX_JOBS_MAX = 256, // QUIC packets sealed together
    PLX_TX_QUANTUM = 32,   // datagrams one connection may send per breath
    PLX_CONN_ALIGN = 64,
    PLX_CONNS_CACHED = 128,    // see plx_core_is_crowded
    PLX_RESETS_PER_TICK = 100, // stateless resets per tick and core, RFC 9000 section 10.3.3
};

enum plx_drop {
#define X(name, side, help) PLX_DROP_##name,
#include "engine/drops.def"
#undef X
    PLX_DROP_COUNT,
};

enum plx_stop_stage {
    PLX_STOP_NO,
    PLX_STOP_GRACE /* no new connections, GOAWAY sent */,
    PLX_STOP_CLOSING /* all told to close */,
    PLX_STOP_DONE
};

struct plx_core;

// What the engine adds to a connection; it stands right behind struct plx_conn in the same pool object.
// Its first two lines are all that a packet touches.
struct plx_econn {
    // --- line 0 ---
    struct plx_timer timer;
    struct plx_list ready; // linked: has, or may have, something to send
    struct plx_h3_conn *h3;
    // --- line 1 ---
    struct plx_core *core;
    plx_time sleep_at; // when to look whether it may hibernate; NEVER
    bool is_dead;
    // --- rarely ---
    bool has_odcid;
    bool knows_odcid; // odcid_key is one
    bool is_told;     // the program knows of its end
    bool was_opened;  // on_open was called: on_close is owed
    bool wants_h3;    // client: which handler hears of a connection that never opened
    bool has_berth;   // of its last sleep: tables may name that and not the connection, hibernate.h
    uint8_t reset_count;
    uint32_t berth;
    struct plx_list all;
    uint8_t *parked;                    // streams that are put away, park.h; NULL: none
    const struct plx_conn_handler *raw; // NULL with h3, and before the handshake is complete
    uint64_t
        odcid_key; // server: the key in core->odcids of the ID that the client chose for its first packets
    uint64_t reset_key[PLX_PATHS_MAX]; // its keys in core->resets
    plx_time heard_at;                 // while stopping: when its last packet came
    struct plx_addr source;            // a source port of its own, af NONE: none
};
_Static_assert(offsetof(struct plx_econn, core) == 64, "timer, ready list and HTTP/3 must fit one line");
_Static_assert(offsetof(struct plx_econn, is_dead) < 128, "and the rest of what a packet touches the next");

// A datagram (or what is left of it) that waits for its round.
struct plx_work {
    struct plx_pkt *pkt;
    struct plx_conn *stash_of; // not NULL: the packet came out of that connection's stash
    uint16_t offset;
    uint8_t tries;
    bool is_first; // the datagram's first packet: its octets are counted with it
};

struct plx_slot { // one QUIC packet in a round
    struct plx_rx rx;
    struct plx_conn *conn; // NULL: dropped, or no more to do
    struct plx_work work;
};

struct plx_burst { // one round
    uint16_t count;
    struct plx_slot slot[PLX_BURST_MAX];
    uint16_t job_count;
    uint8_t job_slot[PLX_BURST_MAX]; // which slot a job belongs to
    struct plx_mask_job mask[PLX_BURST_MAX];
    struct plx_aead_job open[PLX_BURST_MAX];
};

struct plx_counters { // written by the core alone, read by anybody (base/counter.h)
    uint64_t busy_ns, idle_ns, breaths, breaths_busy;
    uint64_t datagrams_rx, datagrams_tx, bytes_rx, bytes_tx;
    uint64_t udp_unchecked, handed_over, taken_over, retries, vnegs, resets, requests;
    uint64_t conns_open, streams_open, buffer_bytes;
    uint64_t conns_hibernated, hibernated_bytes, hibernations, hibernations_refused, wakes;
    uint64_t conns_parked, conns_cut, trimmed_bytes;
    uint64_t drops[PLX_DROP_COUNT];
};

struct plx_core {
    struct plx_engine *engine;
    struct plx_port *port;
    const struct plx_port_ops *ops;
    struct plx_port_caps caps;
    uint16_t index, queue;
    plx_time now; // of this breath

    struct plx_conn_env env;
    struct plx_quic_cfg quic_cfg;
    struct plx_h3_env h3_env;
    void *memo_memory; // of h3_env.memo, cut from memory

    size_t conn_size;        // octets of struct plx_conn, rounded: where its plx_econn stands
    struct plx_arena memory; // of the pools, tables and rings
    struct plx_pool conns, handshakes, keys, streams, h3_conns, h3_streams;
    struct plx_slab slab;
    struct plx_table cids;   // connection IDs that we issued (8 octets as a number) -> index in conns
    struct plx_table odcids; // hash of clients' first Destination Connection IDs -> index in conns
    struct plx_table resets; // hash of peers' stateless reset tokens in use -> index in conns
    struct plx_wheel wheel;
    struct plx_list ready, all, dead;
    struct plx_berths berths;
    struct plx_parking parking;
    struct plx_random random;

    struct plx_frames *frames; // ports of frames: our end of IP; else NULL

    // receive
    struct plx_pkt *rx_pkts[PLX_BURST_MAX];
    uint16_t rx_count;
    struct plx_work work[4 * PLX_BURST_MAX];
    uint16_t work_count;
    struct plx_work next[4 * PLX_BURST_MAX];
    uint16_t next_count;
    struct plx_burst burst;

    // transmit
    struct plx_tx tx;
    struct plx_pkt *tx_spare[PLX_BURST_MAX];
    struct plx_pkt *tx_out[PLX_TX_JOBS_MAX];
    struct plx_aead_job tx_seals[PLX_TX_JOBS_MAX];
    struct plx_mask_job tx_masks[PLX_TX_JOBS_MAX];
    struct plx_tx_mask tx_headers[PLX_TX_JOBS_MAX];

    // answers without a connection
    struct plx_aead_key scratch_key;
    struct plx_hp_key scratch_hp;
    struct plx_token_seen tokens_seen;

    // hand-over between cores
    struct plx_mailbox inbox;   // datagrams for us that other queues received
    struct plx_mailbox returns; // ours that other cores are done with
    struct plx_sleep sleep;

    void *user; // of the program, from on_core_start
    plx_time tick_at, alarm_at;
    uint32_t resets_left;
    uint8_t stop_stage; // enum plx_stop_stage
    plx_time stop_at;
    bool is_empty_told; // while stopping: counted in engine->cores_empty
    struct plx_counters n;
    // What other threads may read: n and env.stats, copied every tick.
    struct plx_counter pub_n[sizeof(struct plx_counters) / 8];
    struct plx_counter pub_conn[sizeof(struct plx_conn_stats) / 8];
};

static inline struct plx_econn *plx_econn_of(const struct plx_core *k, const struct plx_conn *c)
{
    return (struct plx_econn *)((uint8_t *)(uintptr_t)c + k->conn_size);
}

static inline struct plx_conn *plx_econn_conn(const struct plx_econn *e)
{
    return (struct plx_conn *)((uint8_t *)(uintptr_t)e - e->core->conn_size);
}

static inline void plx_core_drop(struct plx_core *k, enum plx_drop why)
{
    k->n.drops[why]++;
}

// More connections than the second cache holds of what requests touch: worth asking for memory ahead of its use. With fewer it costs more
// than it brings.
static inline bool plx_core_is_crowded(const struct plx_core *k)
{
    return plx_pool_in_use(&k->conns) + k->berths.sleepers > PLX_CONNS_CACHED;
}

// core.c
PLX_MUST_USE enum plx_err plx_core_init(struct plx_core *k, struct plx_engine *e, uint16_t index,
                                        plx_time now, char *err, size_t err_len);
void plx_core_fini(struct plx_core *k);
// Everything once; true when there was work, or is some left. The simulator calls it with virtual time.
bool plx_core_breath(struct plx_core *k, plx_time now);
// The next moment at which a breath would do something without anything being received.
plx_time plx_core_deadline(const struct plx_core *k);
void plx_core_wake(struct plx_core *k, struct plx_conn *c);  // c is put on the ready list
void plx_core_rearm(struct plx_core *k, struct plx_conn *c); // its timer follows its deadline
// an object with its econn made; NULL and counted when there is none
struct plx_conn *plx_core_conn_take(struct plx_core *k);
void plx_core_conn_give(struct plx_core *k, struct plx_conn *c);
// it was initialised: timers, lists and counters take it on
void plx_core_conn_begin(struct plx_core *k, struct plx_conn *c);
void plx_core_stop(struct plx_core *k, plx_time deadline); // no new connections; GOAWAY
bool plx_core_is_stopped(const struct plx_core *k);

// memory.c
PLX_MUST_USE enum plx_err plx_core_memory_init(struct plx_core *k, char *err, size_t err_len);
void plx_core_memory_fini(struct plx_core *k); // also after an init that failed
void plx_core_memory_trim(
    struct plx_core *k); // a little of what nobody has used for a while goes back to the system

// rx.c
uint16_t plx_core_rx(struct plx_core *k);

// demux.c
struct plx_conn *plx_demux_find(struct plx_core *k, const struct plx_pkt_hdr *hdr);
void plx_demux_prefetch(const struct plx_core *k, const struct plx_pkt_hdr *hdr);
void plx_demux_prefetch_sleeper(const struct plx_core *k,
                                const struct plx_pkt_hdr *hdr); // its record, if it sleeps
bool plx_demux_add_cid(struct plx_core *k, const struct plx_conn *c, const struct plx_cid *cid);
void plx_demux_prefetch_cid(const struct plx_core *k, const struct plx_cid *cid);
void plx_demux_move_cid(struct plx_core *k, const struct plx_cid *cid, uint32_t value);
void plx_demux_remove_cid(struct plx_core *k, const struct plx_cid *cid);
// The client's first choice is known by its key; until that was retired, all IDs of the connection are compared with it.
void plx_demux_expect_odcid(struct plx_core *k, struct plx_conn *c, const struct plx_cid *cid);
bool plx_demux_is_odcid(const struct plx_core *k, const struct plx_conn *c, const struct plx_cid *cid);
bool plx_demux_add_odcid(struct plx_core *k, struct plx_conn *c, const struct plx_cid *cid);
void plx_demux_remove_odcid(struct plx_core *k, struct plx_econn *e);
struct plx_conn *plx_demux_find_reset(struct plx_core *k, const uint8_t *dgram,
                                      size_t len); // by the token at its end; NULL
void plx_demux_set_resets(struct plx_core *k, struct plx_conn *c, const uint8_t (*tokens)[16],
                          unsigned count);

// admit.c: a packet that no connection claims. Returns a new connection for it, or NULL when it was answered or dropped (and counted).
struct plx_conn *plx_admit(struct plx_core *k, struct plx_slot *s);
void plx_admit_vneg(struct plx_core *k, const struct plx_slot *s);
bool plx_admit_reset(
    struct plx_core *k,
    const struct plx_slot *s); // true: it was a stateless reset for a connection of ours, which now knows

// tx.c
bool plx_core_tx(struct plx_core *k); // true when some connection has more to say now
// an empty buffer, addressed to the sender of `to` unless that is NULL; NULL: none left
struct plx_pkt *plx_tx_reply(struct plx_core *k, const struct plx_pkt *to);
void plx_tx_reply_send(struct plx_core *k, struct plx_pkt *pkt);
void plx_tx_flush(struct plx_core *k);

// stats.c
void plx_core_publish(struct plx_core *k);

// glue.c
extern const struct plx_conn_events plx_glue_events;
// tells the program that c is over, before it is given back
void plx_glue_dead(struct plx_core *k, struct plx_conn *c);

#endif
