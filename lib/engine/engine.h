// engine.h -- what the cores of one engine share: configuration, TLS contexts and keys, all read-only while they run.

#ifndef PLX_ENGINE_ENGINE_H
#define PLX_ENGINE_ENGINE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "engine/core.h"
#include "quic/path/cidcodec.h"
#include "quic/wire/reset.h"
#include "quic/wire/token.h"

enum {
    PLX_RETURNS_MAX = 1 << 16, // buffers one queue can have under way on other cores
    PLX_CORES_MAX = 128,       // seven bits in a connection ID
};

struct plx_engine {
    // defaults filled in; handlers and ctx live as long as the engine, what else it points to does not
    struct plx_engine_cfg cfg;
    struct plx_port_caps caps;
    bool is_server, is_port_open;
    uint64_t seed; // not 0: deterministic randomness, for simulation

    struct plx_quic_cfg quic_cfg;
    struct plx_h3_cfg h3_cfg;
    const struct plx_aead_backend *aead;
    struct plx_tls_ctx *tls_server, *tls_client;
    struct plx_token_keys token_keys;
    struct plx_cid_codec codec; // of the connection IDs that we issue
    uint8_t reset_key[PLX_RESET_KEY_LEN];
    plx_time token_rotate_at, ticket_rotate_at;
    FILE *keylog;
    pthread_mutex_t keylog_lock; // a line at a time; only handshakes of a debugging session take it

    struct plx_frames_news news; // about neighbours, between cores

    uint16_t core_count;
    struct plx_core **cores;
    _Atomic uint64_t stop_at;     // 0: run; else the moment (ns) at which the grace ends
    _Atomic uint32_t cores_empty; // while stopping: those whose last connection is gone; none begins any more
    char describe[512];
};

// As plx_engine_new, at a moment of the caller's choice and with a seed (0: real randomness): the simulator's way in.
struct plx_engine *plx_engine_new_at(const struct plx_engine_cfg *cfg, plx_time now, uint64_t seed, char *err,
                                     size_t err_len);

// config.c
void plx_config_quic(const struct plx_engine_cfg *cfg, const struct plx_port_caps *caps,
                     struct plx_quic_cfg *out);
void plx_config_h3(const struct plx_engine_cfg *cfg, struct plx_h3_cfg *out);
PLX_MUST_USE enum plx_err plx_config_check(const struct plx_engine_cfg *cfg, char *err, size_t err_len);

// secrets.c: TLS contexts, token and reset keys, key log
PLX_MUST_USE enum plx_err plx_engine_secrets_init(struct plx_engine *e, plx_time now, char *err,
                                                  size_t err_len);
void plx_engine_secrets_fini(struct plx_engine *e);
// About ten times a second, on core 0: rotations that are due.
void plx_engine_tick(struct plx_engine *e, plx_time now);

// run.c
bool plx_engine_should_stop(const struct plx_engine *e, plx_time *at);
// While stopping: whether no core has a connection left. Asked by each core in turn, of itself.
bool plx_engine_is_empty(struct plx_engine *e, struct plx_core *asking);

#endif
