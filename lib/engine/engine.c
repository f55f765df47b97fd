// engine.c -- making and ending an engine. What runs is in core.c and run.c.

#include "engine/engine.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "engine/clock.h"
#include "engine/place.h"

const char *plx_version(void)
{
    return PLX_VERSION;
}

// Structures with parts of their own on cache lines must begin on one.
static void *zeroed(size_t size)
{
    size_t whole = (size + 63) & ~(size_t)63;
    void *p = aligned_alloc(64, whole);
    return p != NULL ? memset(p, 0, whole) : NULL;
}

static enum plx_err port_open(struct plx_engine *e, char *err, size_t err_len)
{
    struct plx_port *port = e->cfg.port;
    struct plx_port_cfg cfg = {
        .args = e->cfg.port_args,
        .listen = e->cfg.listen,
        .listen_count = e->cfg.listen_count,
        .queues = e->cfg.workers,
        .mtu = e->cfg.mtu,
        .numa_node = -1,
    };
    enum plx_err r = port->ops->open(port, &cfg, &e->caps, err, err_len);
    if (r != PLX_OK)
        return r;
    e->is_port_open = true;
    if (e->caps.queues_max < e->cfg.workers) {
        snprintf(err, err_len, "%u workers, but this port has only %u queues: lower workers", e->cfg.workers,
                 e->caps.queues_max);
        return PLX_ERR_INVALID;
    }
    char place[160];
    plx_place_describe(e->cfg.cpus, e->cfg.workers, e->caps.numa_node, plx_place_node_of_cpu, place,
                       sizeof place);
    snprintf(e->describe, sizeof e->describe, "%s%s", e->caps.describe, place);
    return PLX_OK;
}

static enum plx_err cores_init(struct plx_engine *e, plx_time now, char *err, size_t err_len)
{
    e->cores = calloc(e->cfg.workers, sizeof *e->cores);
    if (e->cores == NULL)
        goto nomem;
    for (uint16_t i = 0; i < e->cfg.workers; i++) {
        e->cores[i] = zeroed(sizeof **e->cores);
        if (e->cores[i] == NULL)
            goto nomem;
        e->core_count = i + 1; // from here on plx_core_fini() knows what to undo
        enum plx_err r = plx_core_init(e->cores[i], e, i, now, err, err_len);
        if (r != PLX_OK)
            return r;
    }
    return PLX_OK;
nomem:
    snprintf(err, err_len, "not enough memory for %u workers", e->cfg.workers);
    return PLX_ERR_NOMEM;
}

struct plx_engine *plx_engine_new_at(const struct plx_engine_cfg *cfg, plx_time now, uint64_t seed, char *err,
                                     size_t err_len)
{
    if (plx_config_check(cfg, err, err_len) != PLX_OK) {
        if (cfg->port != NULL)
            plx_port_free(cfg->port);
        return NULL;
    }
    struct plx_engine *e = zeroed(sizeof *e);
    if (e == NULL) {
        snprintf(err, err_len, "not enough memory");
        plx_port_free(cfg->port);
        return NULL;
    }
    e->cfg = *cfg;
    e->seed = seed;
    pthread_mutex_init(&e->news.lock, NULL);
    e->is_server = cfg->cert_count > 0;
    plx_cid_codec_init_plain(&e->codec, PLX_CID_LEN, 0);
    if (port_open(e, err, err_len) != PLX_OK)
        goto fail;
    plx_config_quic(cfg, &e->caps, &e->quic_cfg);
    plx_config_h3(cfg, &e->h3_cfg);
    if (plx_engine_secrets_init(e, now, err, err_len) != PLX_OK || cores_init(e, now, err, err_len) != PLX_OK)
        goto fail;
    return e;
fail:
    plx_engine_free(e);
    return NULL;
}

struct plx_engine *plx_engine_new(const struct plx_engine_cfg *cfg, char *err, size_t err_len)
{
    return plx_engine_new_at(cfg, plx_clock_now(), 0, err, err_len);
}

void plx_engine_free(struct plx_engine *e)
{
    if (e == NULL)
        return;
    // Buffers may be under way between cores: they come home before any queue closes.
    for (uint16_t i = 0; i < e->core_count; i++)
        if (e->cores[i]->ops != NULL)
            plx_handoff_drain(e->cores[i]);
    for (uint16_t i = 0; i < e->core_count; i++) {
        plx_core_fini(e->cores[i]);
        free(e->cores[i]);
    }
    free(e->cores);
    if (e->is_port_open)
        e->cfg.port->ops->close(e->cfg.port);
    plx_port_free(e->cfg.port);
    if (e->aead != NULL)
        plx_engine_secrets_fini(e);
    pthread_mutex_destroy(&e->news.lock);
    free(e);
}

// --- facts --------------------------------------------------------------------------------------------------

const char *plx_engine_describe(const struct plx_engine *e)
{
    return e->describe;
}

const struct plx_port_caps *plx_engine_caps(const struct plx_engine *e)
{
    return &e->caps;
}

uint16_t plx_engine_workers(const struct plx_engine *e)
{
    return e->core_count;
}

struct plx_core *plx_engine_core(struct plx_engine *e, uint16_t index)
{
    plx_check(index < e->core_count);
    return e->cores[index];
}

uint16_t plx_core_index(const struct plx_core *core)
{
    return core->index;
}

void *plx_core_user(const struct plx_core *core)
{
    return core->user;
}

plx_time plx_core_now(const struct plx_core *core)
{
    return core->now;
}

struct plx_engine *plx_core_engine(const struct plx_core *core)
{
    return core->engine;
}
