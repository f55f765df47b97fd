// core.c -- a breath, and the life of a core: see core.h.

#include "engine/core.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/time.h"
#include "engine/engine.h"
#include "engine/glue_h3.h"
#include "engine/phase.h"
#include "h3/memo.h"

// --- connections --------------------------------------------------------------------------------------------

struct plx_conn *plx_core_conn_take(struct plx_core *k)
{
    struct plx_conn *c = plx_pool_take(&k->conns);

    if (c == NULL)
        return NULL;
    struct plx_econn *e = plx_econn_of(k, c);
    memset(e, 0, sizeof *e);
    e->core = k;
    plx_timer_init(&e->timer);
    plx_list_init(&e->ready);
    plx_list_init(&e->all);
    e->sleep_at = PLX_NEVER;
    return c;
}

void plx_core_conn_give(struct plx_core *k, struct plx_conn *c)
{
    struct plx_econn *e = plx_econn_of(k, c);

    plx_check(!plx_list_is_linked(&e->ready) && !plx_list_is_linked(&e->all));
    if (e->source.af != PLX_AF_NONE && k->ops->source_close != NULL)
        k->ops->source_close(k->port, k->queue, &e->source);
    plx_pool_give(&k->conns, c);
}

void plx_core_conn_begin(struct plx_core *k, struct plx_conn *c)
{
    struct plx_econn *e = plx_econn_of(k, c);

    plx_list_add_tail(&k->all, &e->all);
    k->n.conns_open++;
    if (k->berths.after.ns != 0)
        e->sleep_at = plx_time_after(k->now, k->berths.after);
    plx_core_wake(k, c);
    plx_core_rearm(k, c);
}

void plx_core_wake(struct plx_core *k, struct plx_conn *c)
{
    struct plx_econn *e = plx_econn_of(k, c);

    if (!plx_list_is_linked(&e->ready) && !e->is_dead)
        plx_list_add_tail(&k->ready, &e->ready);
}

void plx_core_rearm(struct plx_core *k, struct plx_conn *c)
{
    struct plx_econn *e = plx_econn_of(k, c);

    plx_wheel_set(&k->wheel, &e->timer, plx_time_min(plx_conn_deadline(c), e->sleep_at));
}

// The dead are buried at the end of the breath: until then packets and events may still hold pointers to them.
static void core_bury(struct plx_core *k)
{
    while (!plx_list_is_empty(&k->dead)) {
        struct plx_econn *e = PLX_CONTAINER(plx_list_first(&k->dead), struct plx_econn, all);
        struct plx_conn *c = plx_econn_conn(e);

        plx_list_remove(&e->all);
        plx_list_remove(&e->ready);
        plx_wheel_cancel(&k->wheel, &e->timer);
        plx_glue_dead(k, c);
        plx_conn_fini(c); // retires its connection IDs
        plx_park_forget(k, e);
        plx_demux_remove_odcid(k, e);
        plx_demux_set_resets(k, c, NULL, 0);
        plx_hibernate_forget(k, e);
        plx_core_conn_give(k, c);
        k->n.conns_open--;
    }
}

// --- time ---------------------------------------------------------------------------------------------------

static bool core_timers(struct plx_core *k)
{
    struct plx_timer *due[PLX_BURST_MAX];
    bool did = false;

    for (;;) {
        uint32_t n = plx_wheel_expire(&k->wheel, k->now, due, PLX_BURST_MAX);
        // Sleepers first: what the others do may wake some, whose timers would be gone.
        for (uint32_t i = 0; i < n; i++)
            if (due[i]->kind == PLX_TIMER_SLEEPER) {
                struct plx_econn *e = plx_hibernate_expired(k, due[i]);
                due[i] = e != NULL ? &e->timer : NULL;
            }
        for (uint32_t i = 0; i < n; i++) {
            if (due[i] == NULL)
                continue;
            struct plx_econn *e = PLX_CONTAINER(due[i], struct plx_econn, timer);
            struct plx_conn *c = plx_econn_conn(e);
            if (e->is_dead)
                continue;
            plx_conn_on_timeout(c, k->now);
            if (plx_hibernate_try(k, c))
                continue;
            plx_park_try(k, c);
            plx_core_wake(k, c); // tx re-arms the timer
        }
        did |= n > 0;
        if (n < PLX_BURST_MAX)
            return did;
    }
}

static void core_tick(struct plx_core *k)
{
    k->tick_at = plx_time_after(k->now, k->engine->cfg.tick);
    k->resets_left = PLX_RESETS_PER_TICK;
    if (k->stop_stage == PLX_STOP_GRACE)
        plx_list_foreach(node, &k->all) {
            struct plx_econn *e = PLX_CONTAINER(node, struct plx_econn, all);
            if (e->h3 != NULL)
                plx_glue_h3_linger(k, e);
        }
    if (k->index == 0)
        plx_engine_tick(k->engine, k->now);
    if (k->engine->cfg.on_tick != NULL)
        k->engine->cfg.on_tick(k->engine->cfg.ctx, k, k->now);
    plx_core_memory_trim(k);
    plx_core_publish(k);
}

void plx_core_alarm(struct plx_core *k, plx_time at)
{
    k->alarm_at = at;
}

static void core_alarm(struct plx_core *k)
{
    k->alarm_at = PLX_NEVER; // before the call: it may ask for the next one
    if (k->engine->cfg.on_alarm != NULL)
        k->engine->cfg.on_alarm(k->engine->cfg.ctx, k, k->now);
}

plx_time plx_core_deadline(const struct plx_core *k)
{
    if (!plx_list_is_empty(&k->ready) || !plx_list_is_empty(&k->dead))
        return k->now;
    plx_time at = plx_time_min(plx_time_min(plx_wheel_next(&k->wheel), k->tick_at), k->alarm_at);
    return k->stop_stage == PLX_STOP_GRACE ? plx_time_min(at, k->stop_at) : at;
}

// --- stopping -----------------------------------------------------------------------------------------------

void plx_core_stop(struct plx_core *k, plx_time deadline)
{
    k->stop_at = deadline;
    if (k->stop_stage != PLX_STOP_NO)
        return;
    k->stop_stage = PLX_STOP_GRACE;
    plx_list_foreach(node, &k->all) {
        struct plx_econn *e = PLX_CONTAINER(node, struct plx_econn, all);
        if (e->h3 != NULL) {
            plx_glue_h3_shutdown(plx_econn_conn(e), e->h3);
            plx_glue_h3_linger(k, e); // nothing under way: it need not wait
        }
        plx_core_wake(k, plx_econn_conn(e));
    }
}

// They are buried with the next who are. Nobody is left to answer for a closing period, so they wait for none.
static void core_let_go(struct plx_core *k)
{
    plx_list_foreach(node, &k->all) {
        struct plx_econn *e = PLX_CONTAINER(node, struct plx_econn, all);
        plx_list_remove(&e->ready);
        plx_list_remove(&e->all);
        e->is_dead = true;
        plx_list_add_tail(&k->dead, &e->all);
    }
}

// Drained connections close by themselves (glue); at the deadline the others are told to, and what they have to say about
// it still leaves in the same breath. With the next they are gone: what is open afterwards has been forgotten by somebody.
static void core_stop_step(struct plx_core *k)
{
    if (k->stop_stage >= PLX_STOP_CLOSING) {
        core_let_go(k);
        k->stop_stage = PLX_STOP_DONE;
        return;
    }
    // A few in each breath, the more often the pool is emptied again; at the deadline all that there are objects for.
    bool is_late = plx_time_reached(k->stop_at, k->now);
    if (k->berths.sleepers > 0 && plx_hibernate_sweep(k, is_late ? UINT32_MAX : PLX_BURST_MAX) && !is_late)
        return;
    // Whose connections are gone stays as long as others have some: their packets may land on its queue, and be handed over.
    if (!plx_time_reached(k->stop_at, k->now) && !plx_engine_is_empty(k->engine, k))
        return;
    plx_list_foreach(node, &k->all) {
        struct plx_econn *e = PLX_CONTAINER(node, struct plx_econn, all);
        k->n.conns_cut++;
        plx_conn_close(plx_econn_conn(e), e->h3 != NULL ? PLX_H3_NO_ERROR : 0, "shutting down");
        plx_core_wake(k, plx_econn_conn(e));
    }
    k->stop_stage = PLX_STOP_CLOSING;
}

bool plx_core_is_stopped(const struct plx_core *k)
{
    return k->stop_stage == PLX_STOP_DONE;
}

// --- the breath ---------------------------------------------------------------------------------------------

bool plx_core_breath(struct plx_core *k, plx_time now)
{
    k->now = now;
    if (k->frames != NULL && k->engine->core_count > 1)
        plx_frames_hear(k);
    bool did = plx_core_rx(k) > 0;
    plx_phase(PLX_PHASE_TIMERS);
    did |= core_timers(k);
    if (plx_time_reached(k->alarm_at, now)) {
        core_alarm(k);
        did = true;
    }
    if (plx_time_reached(k->tick_at, now))
        core_tick(k);
    if (plx_handoff_answer(k) && k->engine->cfg.on_ring != NULL) {
        k->engine->cfg.on_ring(k->engine->cfg.ring_ctx, k);
        did = true;
    }
    if (k->stop_stage != PLX_STOP_NO)
        core_stop_step(k);
    if (!plx_list_is_empty(&k->ready)) {
        plx_phase(PLX_PHASE_BUILD);
        plx_core_tx(k);
        did = true;
    }
    plx_phase(PLX_PHASE_OTHER);
    if (!did)
        plx_hibernate_warm(k);
    if (k->frames != NULL)
        plx_frames_breath(k);
    plx_handoff_collect(k);
    if (!plx_list_is_empty(&k->dead))
        core_bury(k);
    k->n.breaths++;
    k->n.breaths_busy += did;
    return did;
}

// --- birth and death of a core ------------------------------------------------------------------------------

static void env_init(struct plx_core *k)
{
    struct plx_engine *e = k->engine;

    k->quic_cfg = e->quic_cfg;
    k->env = (struct plx_conn_env){
        .cfg = &k->quic_cfg,
        .aead = e->aead,
        .tls_server = e->tls_server,
        .tls_client = e->tls_client,
        .events = &plx_glue_events,
        .events_arg = k,
        .handshakes = &k->handshakes,
        .keys = &k->keys,
        .streams = &k->streams,
        .slab = &k->slab,
        .token_keys = &e->token_keys,
        .reset_key = e->reset_key,
        .random = plx_random_get,
        .cid_codec = &e->codec,
        .random_arg = &k->random,
        .core = (uint8_t)k->index,
    };
    k->h3_env = (struct plx_h3_env){
        .cfg = e->h3_cfg, .conns = &k->h3_conns, .streams = &k->h3_streams, .slab = &k->slab};
    k->tx = (struct plx_tx){
        .spare = k->tx_spare,
        .out = k->tx_out,
        .out_max = PLX_TX_JOBS_MAX,
        .seals = k->tx_seals,
        .masks = k->tx_masks,
        .headers = k->tx_headers,
        .job_max = PLX_TX_JOBS_MAX,
    };
}

enum plx_err plx_core_init(struct plx_core *k, struct plx_engine *e, uint16_t index, plx_time now, char *err,
                           size_t err_len)
{
    k->engine = e;
    k->port = e->cfg.port;
    k->ops = k->port->ops;
    k->caps = e->caps;
    k->index = k->queue = index;
    k->now = now;
    k->tick_at = now;
    k->alarm_at = PLX_NEVER;
    k->conn_size = (plx_conn_size() + PLX_CONN_ALIGN - 1) & ~(size_t)(PLX_CONN_ALIGN - 1);
    plx_list_init(&k->ready);
    plx_list_init(&k->all);
    plx_list_init(&k->dead);
    plx_wheel_init(&k->wheel, now, PLX_US(64));
    plx_token_seen_init(&k->tokens_seen, now);
    plx_random_init(&k->random, e->seed == 0 ? 0 : e->seed + index);
    enum plx_err r = plx_core_memory_init(k, err, err_len);
    if (r != PLX_OK)
        return r;
    env_init(k);
    plx_random_get(&k->random, &k->h3_env.grease_seed, sizeof k->h3_env.grease_seed);
    uint64_t secret;
    plx_random_get(&k->random, &secret, sizeof secret);
    k->h3_env.memo = plx_memo_init(k->memo_memory, secret);
    if ((k->h3_env.scratch = plx_slab_take(&k->slab, plx_h3_scratch_size(&k->h3_env.cfg))) == NULL) {
        snprintf(err, err_len, "field_section_max (%u) is more than one block of buffers holds",
                 k->h3_env.cfg.field_section_max);
        return PLX_ERR_NOMEM;
    }
    return k->caps.is_frames ? plx_frames_init(e, k, err, err_len) : PLX_OK;
}

void plx_core_fini(struct plx_core *k)
{
    core_let_go(k);
    core_bury(k);
    // Those who slept to the end have objects too, which may lie in the slab, and a program that waits for on_close.
    while (k->berths.sleepers > 0) {
        uint32_t before = k->berths.sleepers;
        k->berths.swept = 0;
        plx_hibernate_sweep(k, UINT32_MAX);
        core_let_go(k);
        core_bury(k);
        plx_check(k->berths.sleepers < before); // every pool is full again: one at least fits
    }
    if (k->tx.spare_count > 0)
        k->ops->give(k->port, k->queue, k->tx.spare, k->tx.spare_count);
    k->tx.spare_count = 0;
    plx_handoff_collect(k);
    plx_frames_fini(k);
    if (k->h3_env.scratch != NULL)
        plx_slab_give(&k->slab, k->h3_env.scratch, plx_h3_scratch_size(&k->h3_env.cfg));
    plx_core_memory_fini(k);
}
