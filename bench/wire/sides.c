// sides.c -- see sides.h.

#include "bench/wire/sides.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "engine/engine.h"
#include "tests/sim/world.h"

struct plx_engine *sides_engine(const struct sides_cfg *cfg, plx_time now, uint64_t seed)
{
    struct plx_engine_cfg e;
    struct plx_cert cert = {world_cert(), world_key()};
    char err[512];

    plx_engine_cfg_init(&e);
    e.port = cfg->port;
    e.crypto = cfg->crypto;
    e.conns_max = cfg->conns + 16;
    e.handshakes_max = cfg->conns + 16;                          // theirs last until the ticket is out
    e.streams_max = cfg->conns * (cfg->in_flight * 2 + 16) + 64; // the server keeps six for each handshake
    e.buffer_memory = cfg->buffer_memory;
    e.idle_timeout = PLX_SEC(3600);
    e.retry = PLX_RETRY_NEVER;
    e.insecure = true;
    e.h3 = cfg->handler;
    e.no_pacing = e.no_ecn = cfg->listen == NULL; // as plx-load
    if (cfg->listen != NULL) {
        e.workers = cfg->workers;
        e.listen = cfg->listen;
        e.listen_count = 1;
        e.certs = &cert;
        e.cert_count = 1;
    }
    struct plx_engine *engine = plx_engine_new_at(&e, now, seed, err, sizeof err);
    if (engine == NULL) {
        fprintf(stderr, "%s: %s\n", cfg->program, err);
        exit(1);
    }
    return engine;
}

uint8_t *sides_body(uint64_t octets)
{
    uint8_t *body = malloc(octets + 1);

    plx_check(body != NULL);
    memset(body, 'x', octets);
    return body;
}

struct plx_h3_block *sides_answer(const uint8_t *body, uint64_t octets)
{
    char length[24];
    struct plx_field field[] = {
        {.name = "content-type", .name_len = 12, .value = "text/plain", .value_len = 10},
        {.name = "content-length", .name_len = 14, .value = length}};

    field[1].value_len = (uint32_t)snprintf(length, sizeof length, "%llu", (unsigned long long)octets);
    struct plx_h3_block *block = plx_h3_block_new(200, field, 2, (struct plx_buf){body, octets, NULL});
    plx_check(block != NULL);
    return block;
}
