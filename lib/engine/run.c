// run.c -- threads: the loop around the breath, sleeping, stopping.

#include <pthread.h>
#include <string.h>

#include "base/check.h"
#include "base/time.h"
#include "engine/clock.h"
#include "engine/engine.h"
#include "engine/handoff.h"
#include "engine/place.h"

static const plx_dur sleep_max = PLX_MS(100);

bool plx_engine_should_stop(const struct plx_engine *e, plx_time *at)
{
    uint64_t ns = atomic_load_explicit(&e->stop_at, memory_order_relaxed);
    *at = (plx_time){ns};
    return ns != 0;
}

bool plx_engine_is_empty(struct plx_engine *e, struct plx_core *asking)
{
    if (!plx_list_is_empty(&asking->all) || asking->berths.sleepers > 0)
        return false;
    if (!asking->is_empty_told) {
        asking->is_empty_told = true;
        atomic_fetch_add_explicit(&e->cores_empty, 1, memory_order_relaxed); // a number and nothing behind it
    }
    return atomic_load_explicit(&e->cores_empty, memory_order_relaxed) == e->core_count;
}

void plx_engine_stop(struct plx_engine *e, plx_dur grace)
{
    plx_time at = plx_time_after(plx_clock_now(), grace);
    uint64_t before = atomic_load_explicit(&e->stop_at, memory_order_relaxed);

    // The nearer end wins; a lost race between two callers only delays one of them to the other's.
    if (before == 0 || at.ns < before)
        atomic_store_explicit(&e->stop_at, at.ns, memory_order_relaxed);
    for (uint16_t i = 0; i < e->core_count; i++)
        if (e->cores[i]->ops->wake != NULL)
            e->cores[i]->ops->wake(e->cores[i]->port, e->cores[i]->queue);
}

// Sleeps where the port can, until something arrives or the next deadline.
static void idle(struct plx_core *k, plx_time now)
{
    plx_time until = plx_core_deadline(k);

    if (!k->caps.can_wait || k->engine->cfg.busy_poll || plx_time_reached(until, now))
        return;
    plx_dur left = plx_dur_min(plx_time_since(until, now), sleep_max);
    if (!plx_handoff_sleep(k))
        return;
    k->ops->wait(k->port, k->queue, left);
    plx_handoff_awake(k);
}

static void core_loop(struct plx_core *k)
{
    struct plx_engine *e = k->engine;
    plx_time at, now = plx_clock_now();

    while (!plx_core_is_stopped(k)) {
        if (plx_engine_should_stop(e, &at))
            plx_core_stop(k, at);
        bool did = plx_core_breath(k, now);
        plx_time then = plx_clock_now();
        uint64_t spent = plx_time_since(then, now).ns;
        *(did ? &k->n.busy_ns : &k->n.idle_ns) += spent;
        now = then;
        if (!did) {
            idle(k, now);
            now = plx_clock_now();
        }
    }
}

static void *core_main(void *arg)
{
    struct plx_core *k = arg;
    const struct plx_engine_cfg *cfg = &k->engine->cfg;

    plx_place_worker(k);
    if (k->ops->thread_attach != NULL)
        k->ops->thread_attach(k->port, k->queue);
    k->now = plx_clock_now();
    if (cfg->on_core_start != NULL)
        k->user = cfg->on_core_start(cfg->ctx, k);
    core_loop(k);
    if (cfg->on_core_stop != NULL)
        cfg->on_core_stop(cfg->ctx, k);
    plx_core_publish(k);
    return NULL;
}

enum plx_err plx_engine_run(struct plx_engine *e)
{
    pthread_t thread[PLX_CORES_MAX];
    uint16_t started = 1;

    for (; started < e->core_count; started++)
        if (pthread_create(&thread[started], NULL, core_main, e->cores[started]) != 0)
            break;
    bool all = started == e->core_count;
    if (!all)
        plx_engine_stop(e, (plx_dur){0});
    core_main(e->cores[0]);
    for (uint16_t i = 1; i < started; i++)
        pthread_join(thread[i], NULL);
    // Cores leave one after the other. Until the last has left, packets for the connections of the others may still come.
    for (uint16_t i = 0; i < e->core_count; i++) {
        plx_handoff_drain(e->cores[i]);
        plx_core_publish(e->cores[i]);
    }
    return all ? PLX_OK : PLX_ERR_SYSTEM;
}
