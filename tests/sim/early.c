// early.c -- 0-RTT through the real engine, HTTP/3 and all, over links that lose, reorder and duplicate.
//
// Each scenario visits the server once for a session, and a second time with early data: accepted or refused, every request has its whole
// answer, the server's program hears of each once, and the pools are full again at the end. What the server has forgotten or changed in between is the scenario's.

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/time.h"
#include "engine/engine.h"
#include "tests/sim/seeds.h"
#include "tests/sim/world.h"

static const plx_dur delay = PLX_MS(20); // one way

struct early {
    const char *name;
    struct plx_sim_link_cfg link; // both ways, of the second visit as of the first
    bool has_retry, loses_keys, lowers_limits, changes_settings, is_plain /* the server takes none */;
    unsigned count;
    uint64_t size, upload;
    enum plx_early verdict;
    bool
        is_certain; // the verdict: a lost datagram may bring the same ClientHello twice, whose second half is refused
    bool is_at_once; // the answer is there after one round trip
    bool is_cut;     // the server dies in the middle of the handshake
};

static bool fail(const struct early *s, uint64_t seed, const char *what)
{
    fprintf(stderr, "  %s, seed %llu: %s\n", s->name, (unsigned long long)seed, what);
    return false;
}

static const struct early *scenario; // that runs: tune() has no argument of its own

static void tune(struct plx_engine_cfg *cfg, bool is_server)
{
    if (!is_server)
        return;
    cfg->early_data = !scenario->is_plain;
    cfg->retry = scenario->has_retry ? PLX_RETRY_ALWAYS : PLX_RETRY_NEVER;
}

static bool first_visit(struct world *w)
{
    world_fetch(w, 0, (uint64_t[]){1000}, 1, 0);
    bool ok = world_run(w, plx_time_after(w->now, PLX_SEC(20)), world_all_complete);
    for (unsigned i = 0; i < 50 && w->client[0].session_len == 0; i++) // the ticket
        world_run(w, plx_time_after(w->now, PLX_MS(100)), NULL);
    if (w->client[0].conn != NULL)
        plx_conn_close(w->client[0].conn, PLX_H3_NO_ERROR, "");
    world_run(w, plx_time_after(w->now, PLX_SEC(5)), NULL);
    return ok && w->client[0].session_len > 0;
}

static void between(const struct early *s, struct world *w)
{
    struct plx_core *k = w->server->cores[0];

    for (uint64_t days = 1; s->loses_keys && days < 4; days++) // the ticket's key is forgotten
        plx_tls_ctx_rotate(w->server->tls_server, plx_time_after(w->now, PLX_SEC(days * 90000)));
    if (s->lowers_limits)
        k->quic_cfg.streams_bidi = 20;
    if (s->changes_settings)
        k->h3_env.cfg.field_section_max -= 1000;
}

static bool second_visit(const struct early *s, struct world *w, uint64_t seed)
{
    struct world_client *c = &w->client[0];
    uint64_t sizes[WORLD_REQUESTS_MAX], opened = w->server->cores[0]->n.requests;
    struct plx_conn_info info;

    for (unsigned i = 0; i < s->count; i++)
        sizes[i] = s->size;
    c->wants_early = true;
    w->early_requests = 0;
    plx_time begun = w->now;
    world_fetch(w, 0, sizes, s->count, s->upload);
    if (s->is_cut) {
        world_run(w, plx_time_after(w->now, PLX_MS(25)), NULL); // the server has answered, and is gone
        world_pause(w, WORLD_SERVER, plx_time_after(w->now, PLX_SEC(60)), true);
        world_run(w, plx_time_after(w->now, PLX_SEC(70)), NULL);
        return c->is_closed || fail(s, seed, "the client waits for ever");
    }
    if (!world_run(w, plx_time_after(w->now, PLX_SEC(60)), world_all_complete))
        return fail(s, seed, "not complete");
    plx_time ended = w->now;
    world_run(w, plx_time_after(w->now, PLX_SEC(1)), NULL);
    if (!c->was_early && s->verdict != PLX_EARLY_NONE)
        return fail(s, seed, "nothing was offered");
    plx_conn_info(c->conn, &info);
    if (info.early != s->verdict && (s->is_certain || info.early == PLX_EARLY_NONE))
        return fail(s, seed, "another verdict");
    if (w->early_requests !=
            (info.early == PLX_EARLY_ACCEPTED && s->upload == 0 && s->is_certain ? s->count : 0) &&
        s->is_certain)
        return fail(s, seed, "other requests came early");
    if (w->server->cores[0]->n.requests - opened != s->count)
        return fail(s, seed, "requests came twice, or not at all");
    if (s->is_at_once && ended.ns - begun.ns >= 2 * delay.ns + PLX_MS(5).ns)
        return fail(s, seed, "more than one round trip");
    return true;
}

static bool run(const struct early *s, uint64_t seed)
{
    struct world_cfg cfg = {.seed = seed, .up = s->link, .down = s->link, .tune = tune};
    struct world w;

    scenario = s;
    cfg.up.rate_bps = cfg.down.rate_bps = 100000000;
    cfg.up.delay = cfg.down.delay = delay;
    cfg.up.queue_bytes = cfg.down.queue_bytes = 250000;
    world_init(&w, &cfg);
    bool ok = first_visit(&w) || fail(s, seed, "no session from the first visit");
    if (ok) {
        between(s, &w);
        ok = second_visit(s, &w, seed);
    }
    return world_fini(&w) && ok;
}

// ------------------------------------------------------------------------------------------------------------

static const struct early table[] = {
    {.name = "clean",
     .count = 1,
     .size = 900,
     .verdict = PLX_EARLY_ACCEPTED,
     .is_certain = true,
     .is_at_once = true},
    {.name = "many", .count = 30, .size = 20000, .verdict = PLX_EARLY_ACCEPTED, .is_certain = true},
    // POST waits for the handshake.
    {.name = "upload",
     .count = 2,
     .size = 900,
     .upload = 5000,
     .verdict = PLX_EARLY_ACCEPTED,
     .is_certain = true},
    {.name = "loss_5", .link = {.loss = 0.05}, .count = 12, .size = 20000, .verdict = PLX_EARLY_ACCEPTED},
    {.name = "reorder",
     .link = {.reorder = 0.3, .jitter = PLX_MS(3)},
     .count = 12,
     .size = 20000,
     .verdict = PLX_EARLY_ACCEPTED},
    {.name = "duplicate",
     .link = {.duplicate = 0.3},
     .count = 12,
     .size = 20000,
     .verdict = PLX_EARLY_ACCEPTED},
    {.name = "retry",
     .has_retry = true,
     .count = 3,
     .size = 900,
     .verdict = PLX_EARLY_ACCEPTED,
     .is_certain = true},
    {.name = "lost_keys",
     .loses_keys = true,
     .count = 12,
     .size = 20000,
     .verdict = PLX_EARLY_REFUSED,
     .is_certain = true},
    {.name = "lost_keys_loss",
     .link = {.loss = 0.05},
     .loses_keys = true,
     .count = 12,
     .size = 20000,
     .verdict = PLX_EARLY_REFUSED,
     .is_certain = true},
    {.name = "lower_limits",
     .lowers_limits = true,
     .count = 12,
     .size = 900,
     .verdict = PLX_EARLY_REFUSED,
     .is_certain = true},
    {.name = "other_settings",
     .changes_settings = true,
     .count = 12,
     .size = 900,
     .verdict = PLX_EARLY_REFUSED,
     .is_certain = true},
    {.name = "not_offered",
     .is_plain = true,
     .count = 3,
     .size = 900,
     .verdict = PLX_EARLY_NONE,
     .is_certain = true},
    {.name = "cut_off", .count = 3, .size = 900, .is_cut = true},
};

// Scenarios by name, for the program's table.
static bool clean(uint64_t seed)
{
    return run(&table[0], seed);
}
static bool many(uint64_t seed)
{
    return run(&table[1], seed);
}
static bool upload(uint64_t seed)
{
    return run(&table[2], seed);
}
static bool loss_5(uint64_t seed)
{
    return run(&table[3], seed);
}
static bool reorder(uint64_t seed)
{
    return run(&table[4], seed);
}
static bool duplicate(uint64_t seed)
{
    return run(&table[5], seed);
}
static bool retry(uint64_t seed)
{
    return run(&table[6], seed);
}
static bool lost_keys(uint64_t seed)
{
    return run(&table[7], seed);
}
static bool lost_keys_loss(uint64_t seed)
{
    return run(&table[8], seed);
}
static bool lower_limits(uint64_t seed)
{
    return run(&table[9], seed);
}
static bool other_settings(uint64_t seed)
{
    return run(&table[10], seed);
}
static bool not_offered(uint64_t seed)
{
    return run(&table[11], seed);
}
static bool cut_off(uint64_t seed)
{
    return run(&table[12], seed);
}

static const struct seeds_row rows[] = {
    {"clean", clean, 1, 1},
    {"many", many, 1, 1},
    {"upload", upload, 1, 1},
    {"loss_5", loss_5, 1, 1},
    {"reorder", reorder, 1, 1},
    {"duplicate", duplicate, 1, 1},
    {"retry", retry, 1, 1},
    {"lost_keys", lost_keys, 1, 1},
    {"lost_keys_loss", lost_keys_loss, 1, 1},
    {"lower_limits", lower_limits, 1, 1},
    {"other_settings", other_settings, 1, 1},
    {"not_offered", not_offered, 1, 1},
    {"cut_off", cut_off, 1, 1},
};
_Static_assert(sizeof rows / sizeof *rows == sizeof table / sizeof *table, "a row each, in order");

int main(int argc, char **argv)
{
    return seeds_main(argc, argv, rows, sizeof rows / sizeof *rows);
}
