// hibernate.c -- see hibernate.h.

#include "engine/hibernate.h"

#include <string.h>

#include "base/squeeze.h"
#include "base/time.h"
#include "crypto/keys.h"
#include "engine/engine.h"
#include "engine/glue_h3.h"
#include "engine/record.h"
#include "h3/hibernate.h"
#include "quic/conn/hibernate.h"

#define TRY_AGAIN PLX_MS(10) // until an object is free for a sleeper whose deadline has come

static size_t lines(size_t len)
{
    return (len + 63) & ~(size_t)63;
}

static size_t image_size(size_t *conn_at, size_t *h3_at)
{
    *conn_at = lines(sizeof(struct plx_econn));
    *h3_at = *conn_at + lines(plx_conn_image_size());
    return *h3_at + lines(plx_h3_image_size());
}

static size_t text_size(size_t image)
{
    return plx_park_text_max() + PLX_SQUEEZE_MAX(image / 8) + PLX_RECORD_SLACK;
}

size_t plx_berths_bytes(uint32_t sleepers)
{
    size_t a, b, image = image_size(&a, &b);

    if (sleepers == 0)
        return 0;
    return (size_t)sleepers * PLX_BERTHS_EACH * PLX_BERTH_LEN + 3 * image + lines(text_size(image)) +
           (size_t)5 * 64; // 5 * 64: what alignment may cost
}

bool plx_berths_init(struct plx_berths *b, uint32_t sleepers, struct plx_arena *arena)
{
    *b = (struct plx_berths){.free = PLX_BERTH_NONE};
    b->size = image_size(&b->conn_at, &b->h3_at);
    if (sleepers == 0)
        return true;
    b->count = b->left = sleepers * PLX_BERTHS_EACH;
    b->held_max = sleepers / 4; // a record needs six berths at most, and eight are there for each
    b->v = plx_arena_alloc(arena, (size_t)b->count * sizeof *b->v, 64);
    b->image = plx_arena_alloc(arena, b->size, 64);
    b->pattern[0] = plx_arena_alloc(arena, b->size, 64);
    b->pattern[1] = plx_arena_alloc(arena, b->size, 64);
    b->text = plx_arena_alloc(arena, text_size(b->size), 64);
    return b->v != NULL && b->image != NULL && b->pattern[0] != NULL && b->pattern[1] != NULL &&
           b->text != NULL;
}

// --- to sleep -----------------------------------------------------------------------------------------------

// A program that keeps pointers to the connection must have said that it can do without for a while.
static bool program_allows(struct plx_core *k, struct plx_conn *c)
{
    const struct plx_engine_cfg *cfg = &k->engine->cfg;
    const struct plx_econn *e = plx_econn_of(k, c);

    if (cfg->on_hibernate != NULL)
        return true;
    return plx_conn_is_server(c) && e->h3 != NULL && plx_conn_user(c) == NULL &&
           plx_h3_conn_user(e->h3) == NULL;
}

static bool can_sleep(struct plx_core *k, struct plx_conn *c)
{
    const struct plx_econn *e = plx_econn_of(k, c);

    return k->stop_stage == PLX_STOP_NO && !e->is_dead && e->was_opened && !e->has_odcid &&
           !plx_list_is_linked(&e->ready) && plx_conn_can_sleep(c) &&
           (e->h3 != NULL ? plx_h3_can_sleep(e->h3) : k->engine->cfg.on_hibernate != NULL) &&
           program_allows(k, c);
}

// Streams are put away first. A raw program's are its own: it keeps pointers to them that nobody could set right. False: some are there still.
static bool streams_park(struct plx_core *k, struct plx_conn *c)
{
    if (plx_conn_is_bare(c))
        return true;
    return plx_unpark(k, c) && plx_park(k, c); // what came since goes to the others
}

static void image_make(struct plx_core *k, struct plx_conn *c)
{
    struct plx_berths *b = &k->berths;
    struct plx_econn *image = (struct plx_econn *)b->image, *e = plx_econn_of(k, c);

    memset(b->image, 0, b->size);
    memcpy(image, e, sizeof *e);
    memset(&image->timer, 0, sizeof image->timer);
    memset(&image->ready, 0, sizeof image->ready);
    memset(&image->all, 0, sizeof image->all);
    image->core = NULL;
    image->sleep_at = PLX_NEVER; // counts from the waking
    image->h3 = NULL;
    image->parked = NULL; // plx_park_text()
    image->has_berth = false;
    image->berth = 0;
    plx_conn_save(c, (uint8_t *)b->image + b->conn_at);
    if (e->h3 != NULL)
        plx_h3_save(e->h3, (uint8_t *)b->image + b->h3_at);
}

static uint64_t *pattern_of(struct plx_berths *b, bool is_server)
{
    uint64_t *p = b->pattern[is_server];

    if (!b->has_pattern[is_server]) {
        memcpy(p, b->image, b->size);
        plx_conn_image_blank((uint8_t *)p + b->conn_at);
        b->has_pattern[is_server] = true;
    }
    return p;
}

// Whose berth it is that stayed behind.
static void berth_name(struct plx_core *k, uint32_t berth, const struct plx_conn *c)
{
    uint32_t idx = plx_pool_idx(&k->conns, c);

    memcpy(k->berths.v[berth].text, &idx, sizeof idx);
}

// Where tables name the connection: nobody has touched these places for long.
static void routes_prefetch(const struct plx_core *k, const struct plx_conn *c, const struct plx_econn *e)
{
    struct plx_cid cid[PLX_CONN_IMAGE_CIDS];
    unsigned count = plx_conn_cids(c, cid);

    for (unsigned i = 0; i < count; i++)
        plx_demux_prefetch_cid(k, &cid[i]);
    for (unsigned i = 0; i < e->reset_count; i++)
        plx_table_prefetch(&k->resets, e->reset_key[i]);
}

// Tables name the connection by another number.
static void route(struct plx_core *k, const struct plx_conn *c, const struct plx_econn *e, uint32_t value)
{
    struct plx_cid cid[PLX_CONN_IMAGE_CIDS];
    unsigned count = plx_conn_cids(c, cid);

    for (unsigned i = 0; i < count; i++)
        plx_demux_move_cid(k, &cid[i], value);
    for (unsigned i = 0; i < e->reset_count; i++)
        plx_table_set(&k->resets, e->reset_key[i], value);
}

static void conn_drop(struct plx_core *k, struct plx_conn *c)
{
    struct plx_econn *e = plx_econn_of(k, c);

    plx_list_remove(&e->all);
    plx_wheel_cancel(&k->wheel, &e->timer);
    plx_conn_release(c);
    if (e->h3 != NULL)
        plx_h3_release(e->h3);
    plx_park_forget(k, e);
    e->source.af = PLX_AF_NONE; // stays open
    plx_core_conn_give(k, c);
}

// Those that it has left behind are its own, if there are no others.
static bool has_berths(const struct plx_berths *b, const struct plx_econn *e, size_t len)
{
    uint32_t need = plx_record_berths(len);

    return need <= b->left || (e->has_berth && need <= b->left + plx_record_len(b, e->berth));
}

static bool hibernate(struct plx_core *k, struct plx_conn *c)
{
    struct plx_berths *b = &k->berths;
    struct plx_econn *e = plx_econn_of(k, c);
    bool is_server = plx_conn_is_server(c);
    bool ok = false;

    if (!can_sleep(k, c) || !streams_park(k, c))
        return false;
    image_make(k, c);
    size_t len = plx_park_text(e, b->text);
    len += plx_squeeze(b->image, pattern_of(b, is_server), b->size / 8, b->text + len);
    if (len > UINT16_MAX || !has_berths(b, e, len)) {
        k->n.hibernations_refused++;
    } else {
        uint32_t head = e->has_berth ? e->berth : plx_record_new(b);
        plx_record_make(b, head, len);
        ok = true;
        if (k->engine->cfg.on_hibernate != NULL) {
            b->is_moving = true;
            ok = k->engine->cfg.on_hibernate(k->engine->cfg.ctx, c, head);
            b->is_moving = false;
        }
        if (ok) {
            b->v[head].is_server = is_server;
            b->v[head].has_h3 = e->h3 != NULL;
            plx_wheel_set(&k->wheel, &b->v[head].timer, plx_conn_deadline(c));
            routes_prefetch(k, c, e);
            route(k, c, e, head | PLX_SLEEPER_BIT);
            b->held -= e->has_berth;
            conn_drop(k, c);
            b->sleepers++;
            k->n.conns_hibernated++;
            k->n.hibernations++;
            k->n.hibernated_bytes += plx_record_berths(len) * PLX_BERTH_LEN;
        } else {
            plx_record_wipe(b, head);
            if (e->has_berth)
                berth_name(k, head, c);
            else
                plx_record_give(b, head);
        }
    }
    plx_conn_image_blank((uint8_t *)b->image + b->conn_at);
    return ok;
}

bool plx_hibernate_try(struct plx_core *k, struct plx_conn *c)
{
    struct plx_econn *e = plx_econn_of(k, c);

    if (k->berths.after.ns == 0 || e->is_dead || !plx_time_reached(e->sleep_at, k->now))
        return false;
    plx_time at = plx_time_after(plx_conn_quiet_since(c), k->berths.after);
    if (plx_time_reached(at, k->now)) {
        if (hibernate(k, c))
            return true;
        at = plx_time_after(k->now, k->berths.after);
    }
    e->sleep_at = at;
    return false;
}

// --- awake --------------------------------------------------------------------------------------------------

static void econn_restore(struct plx_core *k, struct plx_econn *e, struct plx_unsqueeze *image)
{
    plx_unsqueeze(image, e, sizeof *e / 8);
    e->core = k;
    plx_timer_init(&e->timer);
    plx_list_init(&e->ready);
    plx_list_init(&e->all);
    e->sleep_at = plx_time_after(k->now, k->berths.after);
}

// What a connection is made of: conn and keys are more than a hundred lines that nobody has touched for long. Asking for so many takes as long
// as waiting for some of them, so it is done in breaths that have nothing else to do; what is left when one wakes is asked for then.
enum { WARM_CONN, WARM_REST, WARM_DONE };

static void pool_warm(struct plx_pool *p, size_t len)
{
    if (p->free_count == 0 && p->cold_count > 0 && !plx_pool_warm(p))
        return;
    plx_pool_prefetch(p, 0, 0, len);
}

static void warm_step(struct plx_core *k)
{
    switch (k->berths.warmed++) {
    case WARM_CONN:
        pool_warm(&k->conns, k->conns.obj_size);
        break;
    case WARM_REST:
        pool_warm(&k->h3_conns, k->h3_conns.obj_size);
        pool_warm(&k->keys, plx_conn_keys_waking());
        break;
    }
}

// The objects, each read where it shall stand. False: a pool or the slab is empty, and nothing is held.
static bool parts_make(struct plx_core *k, struct plx_conn *c, struct plx_unsqueeze *image,
                       const uint8_t *parked, bool has_h3)
{
    const struct plx_berths *b = &k->berths;
    struct plx_econn *e = plx_econn_of(k, c);

    econn_restore(k, e, image);
    plx_unsqueeze_skip(image, b->conn_at / 8 - image->at);
    plx_conn_restore(c, image);
    if (b->held == b->held_max)
        routes_prefetch(k, c, e); // they come while other objects are made
    if (b->warmed <= WARM_REST)
        warm_step(k);
    if (has_h3) {
        plx_unsqueeze_skip(image, b->h3_at / 8 - image->at);
        e->h3 = plx_h3_restore(&k->h3_env, image, c, c);
    }
    if (has_h3 == (e->h3 != NULL) && plx_park_from_text(k, e, parked))
        return true;
    plx_conn_release(c);
    if (e->h3 != NULL)
        plx_h3_release(e->h3);
    return false;
}

static struct plx_conn *objects_make(struct plx_core *k, const struct plx_berth *head)
{
    const struct plx_berths *b = &k->berths;
    const uint8_t *parked = b->text; // and the rest behind it
    struct plx_unsqueeze image;

    if (!plx_park_has_room(k, parked))
        return NULL;
    struct plx_conn *c = plx_pool_take(&k->conns);
    if (c == NULL)
        return NULL;
    plx_unsqueeze_begin(&image, b->pattern[head->is_server], parked + plx_park_text_len(parked));
    if (parts_make(k, c, &image, parked, head->has_h3))
        return c;
    plx_pool_give(&k->conns, c);
    return NULL;
}

void plx_hibernate_warm(struct plx_core *k)
{
    if (k->berths.warmed < WARM_DONE && k->berths.sleepers > 0)
        warm_step(k);
}

void plx_hibernate_prefetch(const struct plx_core *k, uint32_t berth)
{
    plx_record_prefetch(&k->berths, berth);
}

// It is awake. Tables go on naming its berths; or, when so many are held already, all of them are told now.
static void berth_leave(struct plx_core *k, struct plx_conn *c, uint32_t berth)
{
    struct plx_berths *b = &k->berths;
    struct plx_econn *e = plx_econn_of(k, c);

    if (b->held < b->held_max) {
        b->held++;
        e->berth = berth;
        e->has_berth = true;
        berth_name(k, berth, c);
    } else {
        plx_record_give(b, berth);
        route(k, c, e, plx_pool_idx(&k->conns, c));
    }
}

void plx_hibernate_forget(struct plx_core *k, struct plx_econn *e)
{
    if (!e->has_berth)
        return;
    e->has_berth = false;
    k->berths.held--;
    plx_record_give(&k->berths, e->berth);
}

struct plx_conn *plx_hibernate_find(struct plx_core *k, uint32_t berth)
{
    const struct plx_berth *v = &k->berths.v[berth];
    uint32_t idx;

    plx_check(berth < k->berths.fresh);
    if (v->len != 0)
        return plx_hibernate_wake(k, berth);
    memcpy(&idx, v->text, sizeof idx);
    plx_check(idx < k->conns.count);
    return plx_pool_at(&k->conns, idx);
}

struct plx_conn *plx_hibernate_wake(struct plx_core *k, uint32_t berth)
{
    struct plx_berths *b = &k->berths;
    struct plx_berth *head = &b->v[berth];

    plx_check(berth < b->fresh);
    plx_record_prefetch(b, berth);
    if (b->warmed <= WARM_CONN)
        warm_step(k);
    plx_check(head->len != 0);
    __builtin_prefetch(head->timer.link.next);
    __builtin_prefetch(head->timer.link.prev);
    plx_record_read(b, berth);
    struct plx_conn *c = objects_make(k, head);
    b->warmed = WARM_CONN;
    if (c == NULL) {
        plx_core_drop(k, PLX_DROP_no_room_to_wake);
        return NULL;
    }
    struct plx_econn *e = plx_econn_of(k, c);
    k->n.hibernated_bytes -= plx_record_berths(head->len) * PLX_BERTH_LEN;
    plx_wheel_cancel(&k->wheel, &head->timer);
    plx_record_wipe(b, berth);
    berth_leave(k, c, berth);
    b->sleepers--;
    k->n.conns_hibernated--;
    k->n.wakes++;
    plx_list_add_tail(&k->all, &e->all);
    plx_core_rearm(k, c);
    if (k->engine->cfg.on_wake != NULL) {
        b->is_moving = true;
        k->engine->cfg.on_wake(k->engine->cfg.ctx, c, berth);
        b->is_moving = false;
    }
    if (k->stop_stage != PLX_STOP_NO) {
        if (e->h3 != NULL)
            plx_glue_h3_shutdown(c, e->h3);
        plx_core_wake(k, c);
    }
    return c;
}

struct plx_econn *plx_hibernate_expired(struct plx_core *k, struct plx_timer *t)
{
    struct plx_berth *head = PLX_CONTAINER(t, struct plx_berth, timer);
    struct plx_conn *c = plx_hibernate_wake(k, (uint32_t)(head - k->berths.v));

    if (c != NULL)
        return plx_econn_of(k, c);
    plx_wheel_set(&k->wheel, t, plx_time_after(k->now, TRY_AGAIN));
    return NULL;
}

bool plx_hibernate_sweep(struct plx_core *k, uint32_t max)
{
    struct plx_berths *b = &k->berths;

    for (; b->swept < b->fresh && b->sleepers > 0 && max > 0; b->swept++)
        if (b->v[b->swept].len != 0) {
            if (plx_pool_in_use(&k->conns) == k->conns.count || plx_hibernate_wake(k, b->swept) == NULL)
                break;
            max--;
        }
    return b->sleepers > 0;
}

struct plx_conn *plx_core_wake_conn(struct plx_core *k, uint32_t id)
{
    struct plx_berths *b = &k->berths;

    if (b->is_moving || id >= b->fresh || b->v[id].len == 0)
        return NULL;
    return plx_hibernate_wake(k, id);
}
