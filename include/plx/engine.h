// plx/engine.h -- an engine: one port, one or more cores, connections of both roles.
//
// Each worker (struct plx_core) runs on a thread of its own, pinned if asked, owns a queue of the port and
// everything that happens on it, and shares nothing with the others. A program says what it wants in struct
// plx_engine_cfg, makes the engine, and runs it; from then on its handlers are called on the workers.
//
//   struct plx_engine_cfg cfg;
//   plx_engine_cfg_init(&cfg);
//   cfg.port = plx_port_udp();  cfg.listen = &addr;  cfg.listen_count = 1;
//   cfg.certs = &cert;          cfg.cert_count = 1;  cfg.h3 = &handler;
//   if ((e = plx_engine_new(&cfg, err, sizeof err)) == NULL) …;
//   plx_engine_run(e);          // until plx_engine_stop()
//   plx_engine_free(e);

#ifndef PLX_ENGINE_H
#define PLX_ENGINE_H

#include <plx/conn.h>
#include <plx/h3.h>
#include <plx/port.h>
#include <plx/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct plx_engine;
struct plx_core; // one worker

struct plx_cert {
    const char *cert_file; // PEM: certificate and its chain
    const char *key_file;  // PEM: private key
};

enum plx_congestion { PLX_CONGESTION_CUBIC, PLX_CONGESTION_NEWRENO };
enum plx_retry {
    PLX_RETRY_AUTO /* when half of the handshake objects are in use */,
    PLX_RETRY_ALWAYS,
    PLX_RETRY_NEVER
};

// How the engine is made. plx_engine_cfg_init() fills in the defaults named here; everything pointed to must
// live as long as the call of plx_engine_new(), handlers and their ctx as long as the engine.
struct plx_engine_cfg {
    // --- the port -------------------------------------------------------------------------------------------
    struct plx_port *port; // required; owned by the engine from plx_engine_new() on, also when that fails
    const char *port_args; // the driver's own argument text
    const struct plx_addr *listen; // where to serve; none for a pure client
    uint16_t listen_count;
    uint16_t mtu; // IP MTU, 0: the driver's default
    // Ports of frames: our own addresses and the way out.
    const struct plx_addr *ip; // addresses (port ignored) with prefix lengths beside them
    const uint8_t *ip_prefix;
    uint16_t ip_count;
    struct plx_addr gateway4, gateway6; // af NONE: none
    uint16_t vlan;                      // 802.1Q tag, 0: none
    // --- workers --------------------------------------------------------------------------------------------
    uint16_t workers; // 1
    const int *cpus;  // one per worker; NULL: not pinned with one worker, else CPU i for worker i
    bool busy_poll;   // never sleep, also where the port could (kernel sockets); default false
    // --- TLS ------------------------------------------------------------------------------------------------
    const struct plx_cert *certs; // server: the first answers unknown names
    size_t cert_count;
    const char *const *alpn; // NULL: {"h3"} with h3, plus what raw programs name here
    size_t alpn_count;
    const char *ca_file;               // client: trusted roots; NULL: the system's
    bool insecure;                     // client: do not verify the server. Default false
    const char *ciphersuites, *groups; // NULL: the defaults of plx-serve(1)
    uint32_t tickets;                  // server: session tickets per handshake; 1
    // server: accept early data (0-RTT) of HTTP/3 requests with safe methods. Early data can be replayed: read
    // docs/decisions/0028-early-data.md first, and see plx_h3_req_is_early(). Default false
    bool early_data;
    const char *keylog_file; // append NSS key log lines here (SSLKEYLOGFILE); NULL: none
    const char *crypto; // force a protection backend: "ipsecmb", "openssl", "ipsecmb:avx2" …; NULL: the best
    // --- limits, per worker ---------------------------------------------------------------------------------
    uint32_t conns_max;      // 16384
    uint32_t handshakes_max; // 2048, under way at once
    // 196608, open at once over all connections; an HTTP/3 connection has up to eight besides its requests
    uint32_t streams_max;
    // Hibernation, see on_hibernate below. Hibernated connections count against hibernated_max only: 1 KiB of
    // address space and five table entries each, touched as used but for the entries.
    plx_dur hibernate_after; // 0: never. A connection that was quiet for so long gives its objects back
    uint32_t hibernated_max; // 65536
    uint64_t buffer_memory;  // 512 MiB: address space for send, receive and record buffers; touched as used
    // --- transport ------------------------------------------------------------------------------------------
    plx_dur idle_timeout;                      // 30 s
    plx_dur handshake_timeout;                 // 10 s
    plx_dur keep_alive;                        // 0: none
    plx_dur max_ack_delay;                     // 25 ms
    uint64_t conn_window, conn_window_max;     // 1 MiB, 64 MiB
    uint64_t stream_window, stream_window_max; // 256 KiB, 16 MiB
    uint32_t streams_bidi, streams_uni;        // 128, 16: concurrent streams the peer may have open
    enum plx_congestion congestion;            // CUBIC
    uint32_t initial_cwnd_packets;             // 10
    bool no_hystart, no_pacing, no_ecn, no_migration, spin_bit;
    uint64_t key_update_packets; // 0: only near the cipher's limit
    // Ports of frames whose device does not look at checksums: that of UDP is left unverified where the datagram is
    // a packet with a short header, whose octets AEAD covers, from a host that was just spoken to. What a broken
    // cable makes of it fails to open then (auth_failed), or, of its port, is no packet of the path. IPv4's own and
    // everybody else's are verified. plx_core_stats().udp_unchecked counts them.
    bool no_udp_check;
    enum plx_retry retry; // AUTO
    // --- HTTP/3 ---------------------------------------------------------------------------------------------
    uint32_t field_section_max; // 16 KiB
    uint32_t qpack_table_max;   // 4096
    uint16_t qpack_blocked_max; // 16
    bool no_grease;
    // --- the program ----------------------------------------------------------------------------------------
    const struct plx_h3_handler *h3;    // connections whose ALPN is "h3"
    const struct plx_conn_handler *raw; // all others
    void *ctx;                          // given to the next three
    // Called on each worker's thread before its first breath; what it returns is plx_core_user(). May be
    // NULL.
    void *(*on_core_start)(void *ctx, struct plx_core *core);
    void (*on_core_stop)(void *ctx, struct plx_core *core);
    // Called on each worker about every tick (default 100 ms).
    void (*on_tick)(void *ctx, struct plx_core *core, plx_time now);
    plx_dur tick;
    // Called on a worker in the first breath that is not before what plx_core_alarm() asked for. May be NULL.
    void (*on_alarm)(void *ctx, struct plx_core *core, plx_time now);
    // A connection hibernates: from the return of on_hibernate until on_wake tells of its new address, pointers
    // to it (struct plx_conn, struct plx_h3_conn) are dead, and `id` names it, for plx_core_wake_conn(). What was
    // set with plx_conn_set_user() and plx_h3_conn_set_user() is still there afterwards. It wakes by itself for
    // whatever concerns it: packets, its deadline, the engine's end. on_hibernate may refuse: false. Neither may
    // use the connection for anything but looking at it. NULL: only servers' HTTP/3 connections without any user
    // pointer hibernate. A raw connection with open streams never does.
    bool (*on_hibernate)(void *ctx, struct plx_conn *conn, uint32_t id);
    void (*on_wake)(void *ctx, struct plx_conn *conn, uint32_t id);
    // Called on a worker in the next breath after plx_core_ring(), with ring_ctx. May be NULL.
    void (*on_ring)(void *ring_ctx, struct plx_core *core);
    void *ring_ctx;
    // level: 0 error, 1 warning, 2 information. NULL: to stderr up to warning
    void (*log)(void *ctx, int level, const char *line);
};

// Fills in the defaults that struct plx_engine_cfg names, and zero elsewhere. Any thread.
PLX_API void plx_engine_cfg_init(struct plx_engine_cfg *cfg);

// Opens the port, loads certificates, makes the pools.
//
// Ownership: the engine is the caller's, for plx_engine_free(). cfg is copied; cfg->port is taken, also on
//            failure.
// Context:   the starting thread. Two engines may live in one process.
// Returns:   the engine, or NULL with one sentence in err that names the cause and the remedy; nothing is
//            left open then.
// Cost:      address space of all pools at once; of their pages, what is touched.
PLX_API struct plx_engine *plx_engine_new(const struct plx_engine_cfg *cfg, char *err, size_t err_len);

// Runs worker 0 on the calling thread and the others on threads of their own, until plx_engine_stop() has
// taken effect on all.
//
// Context:   any one thread, once per engine.
// Returns:   PLX_OK          all have ended as asked
//            PLX_ERR_SYSTEM  a thread could not be started: the others were stopped; lower cfg.workers, or
//                            raise the limit of threads
PLX_API PLX_MUST_USE enum plx_err plx_engine_run(struct plx_engine *e);

// Ends plx_engine_run(): HTTP/3 connections get GOAWAY and may finish their requests for at most `grace`;
// then what is left is told to close, and its on_close is called on its worker, before on_core_stop. A second
// call with grace 0 ends it at once. Any thread, and safe in a signal handler. O(workers).
// See: RFC 9114 section 5.2
PLX_API void plx_engine_stop(struct plx_engine *e, plx_dur grace);

// After plx_engine_run() has returned (or was never called). Closes the port, and frees it with everything
// else; NULL is fine. Connections that are left hear on_close from inside. The thread that ran the engine, or
// made it.
PLX_API void plx_engine_free(struct plx_engine *e);

// What is in force: driver, addresses, offloads, instruction set. One line, lives as long as the engine. Any
// thread.
PLX_API const char *plx_engine_describe(const struct plx_engine *e);

// What the port can do and is bound to. Lives as long as the engine, never changes. Any thread.
PLX_API const struct plx_port_caps *plx_engine_caps(const struct plx_engine *e);

// How many workers there are. Any thread.
PLX_API uint16_t plx_engine_workers(const struct plx_engine *e);

// Worker `index`, below plx_engine_workers() (checked). Lives as long as the engine. Any thread; what may be
// done with it there is for its own thread.
PLX_API struct plx_core *plx_engine_core(struct plx_engine *e, uint16_t index);

// --- on a worker -------------------------------------------------------------------------------------------

// Its number, 0 to plx_engine_workers() - 1. Any thread.
PLX_API uint16_t plx_core_index(const struct plx_core *core);

// What on_core_start returned on it; NULL before. Its own thread.
PLX_API void *plx_core_user(const struct plx_core *core);

// The clock of this breath: monotonic, read once per breath, the same for all that happens in it. Its own
// thread. No system call.
PLX_API plx_time plx_core_now(const struct plx_core *core);

// Asks for one call of cfg.on_alarm at `at`, exact to the breath (a tick and its 100 ms are for
// housekeeping); a worker that sleeps wakes up for it. There is one alarm per worker: a later call moves it,
// PLX_NEVER takes it back, and after it went off it is unset. A program with many deadlines keeps their order
// itself. In the past: the next breath. On the worker, from any callback. O(1).
PLX_API void plx_core_alarm(struct plx_core *core, plx_time at);

// Asks for one call of cfg.on_ring in the worker's next breath, and wakes a worker that sleeps; several rings
// before it are one. What the caller wrote before is visible there. Any thread, until plx_engine_free(). O(1); a
// system call only when the worker sleeps.
PLX_API void plx_core_ring(struct plx_core *core);

// The engine that a worker belongs to. Any thread.
PLX_API struct plx_engine *plx_core_engine(const struct plx_core *core);

// Wakes the connection that on_hibernate called `id`; on_wake is called from inside.
//
// Context:   its worker, not from inside on_hibernate or on_wake.
// Returns:   the connection, at its new address; NULL when none of that id sleeps, or conns_max or streams_max is
//            reached (try again when connections have closed or fallen asleep)
// Cost:      about a microsecond; the first packet costs the expansion of its keys.
PLX_API struct plx_conn *plx_core_wake_conn(struct plx_core *core, uint32_t id);

// The HTTP/3 connection on a transport connection; NULL when there is none, or none yet. On its worker.
PLX_API struct plx_h3_conn *plx_conn_h3(const struct plx_conn *conn);

// The worker that owns a connection, which is the one that this is called on.
PLX_API struct plx_core *plx_conn_core(const struct plx_conn *conn);

struct plx_connect_cfg {
    const char *server_name; // SNI and the name to verify; a DNS name or a numeric address
    struct plx_addr peer;
    struct plx_addr local; // af NONE: chosen by the port; port 0: an address of ours, and any port
    bool own_port;         // a source port of its own (kernel sockets), for servers that need it
    const void *session;   // from on_session, NULL for a full handshake
    size_t session_len;
    // send requests in early data (0-RTT) if the session allows it and plx_h3_handler.on_early is set
    bool early_data;
    void *user; // plx_conn_user() from the first event on
};

// Starts a client connection on this worker; on_open or on_close of the handler that its ALPN leads to
// follows, not from inside.
//
// Ownership: cfg and all it points to are read before return; *out is Pollux's, good until on_close.
// Context:   the worker, from on_core_start, on_tick, on_alarm or any handler.
// Returns:   PLX_OK           *out is on its way
//            PLX_ERR_INVALID  no peer address or port
//            PLX_ERR_CLOSED   the engine is stopping; begin nothing new
//            PLX_ERR_NOMEM    conns_max or handshakes_max reached: try when a connection has closed or a
//                             handshake has ended
//            PLX_ERR_SYSTEM   own_port: no source port to be had; close connections, or raise the limit of
//                             open files
// Cost:      a TLS object and a key share: tens of microseconds. own_port on kernel sockets: a socket.
// See:       RFC 9000 section 7, RFC 9001 section 4
PLX_API PLX_MUST_USE enum plx_err plx_core_connect(struct plx_core *core, const struct plx_connect_cfg *cfg,
                                                   struct plx_conn **out);

// --- statistics --------------------------------------------------------------------------------------------

struct plx_core_stats {
    uint64_t busy_ns, idle_ns; // breaths that did work, and empty polls (time asleep counts in neither)
    uint64_t breaths, breaths_busy;
    uint64_t datagrams_rx, datagrams_tx, bytes_rx, bytes_tx;
    uint64_t udp_unchecked; // no_udp_check: datagrams received whose UDP checksum was left alone
    uint64_t packets_rx, packets_tx, packets_lost;
    uint64_t conns_open, conns_opened, conns_closed, handshakes_ok, handshakes_failed, resumed;
    uint64_t early_accepted, early_refused; // handshakes with early data
    // hibernated now, what their records take; how often connections fell asleep, found no room, and woke
    uint64_t conns_hibernated, hibernated_bytes, hibernations, hibernations_refused, wakes;
    uint64_t
        conns_parked; // whose own streams of HTTP/3 are put away since they rested; they count in conns_open
    uint64_t conns_cut;              // told to close when the grace of plx_engine_stop() was over
    uint64_t streams_open, requests; // requests: HTTP/3, both roles
    // datagrams that landed on the wrong core, and those received from other cores
    uint64_t handed_over, taken_over;
    uint64_t retries_sent, vneg_sent, resets_sent;
    uint64_t dropped;      // sum of plx_engine_drops
    uint64_t buffer_bytes; // slab memory in use
    struct plx_port_stats port;
};
// Counters since the start, of worker `core` or, with UINT16_MAX, the sum over all; zero for a worker that
// does not exist. Any thread; workers publish them about every tick, so figures may be a tick old, and
// different counters a moment apart. O(workers).
PLX_API void plx_engine_stats(const struct plx_engine *e, uint16_t core, struct plx_core_stats *out);

// The same for one's own worker, exact up to the breath before this one. On the worker, from any callback.
PLX_API void plx_core_stats(struct plx_core *core, struct plx_core_stats *out);

// Reasons for dropped packets, one row each: call with i from 0 until it returns false, which it does past
// the last row. name and help are static; count is of worker `core`, or with UINT16_MAX the sum over all. Any
// thread, as plx_engine_stats().
PLX_API bool plx_engine_drops(const struct plx_engine *e, uint16_t core, unsigned i, const char **name,
                              const char **help, uint64_t *count);

// The library's version, "0.1.0": static. Any thread.
PLX_API const char *plx_version(void);

#ifdef __cplusplus
}
#endif
#endif
