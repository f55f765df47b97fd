// park.c -- see park.h.

#include "engine/park.h"

#include <string.h>

#include "base/squeeze.h"
#include "engine/core.h"
#include "engine/engine.h"
#include "h3/hibernate.h"
#include "quic/conn/hibernate.h"

// What stands at the beginning of an image: plx_h3_name() of each stream's user.
enum { NAMES_LEN = 64 };
_Static_assert((int)PLX_CONN_IMAGE_STREAMS <= (int)NAMES_LEN, "a name each");

// A block: octets of the text (2), objects that it needs of `streams` and of `h3_streams`, and the text. Without text it is nothing.
enum { STREAMS_AT = 2, H3_STREAMS_AT = 3, HEAD_LEN = 4 };

static size_t lines(size_t len)
{
    return (len + 63) & ~(size_t)63;
}

static size_t image_size(size_t *h3_at)
{
    *h3_at = NAMES_LEN + lines(plx_conn_park_size());
    return *h3_at + lines(plx_h3_park_size());
}

size_t plx_parking_bytes(void)
{
    size_t h3_at, size = image_size(&h3_at);

    return 3 * size + lines(PLX_SQUEEZE_MAX(size / 8)) + (size_t)4 * 64; // 4 * 64: what alignment may cost
}

bool plx_parking_init(struct plx_parking *p, struct plx_arena *arena)
{
    *p = (struct plx_parking){0};
    p->size = image_size(&p->h3_at);
    p->image = plx_arena_alloc(arena, p->size, 64);
    p->pattern[0] = plx_arena_alloc(arena, p->size, 64);
    p->pattern[1] = plx_arena_alloc(arena, p->size, 64);
    p->text = plx_arena_alloc(arena, PLX_SQUEEZE_MAX(p->size / 8), 64);
    return p->image != NULL && p->pattern[0] != NULL && p->pattern[1] != NULL && p->text != NULL;
}

static size_t text_len(const uint8_t *block)
{
    return block[0] | (size_t)block[1] << 8;
}

static size_t block_size(size_t len)
{
    return HEAD_LEN + len + PLX_SQUEEZE_SLACK;
}

static bool can_park(const struct plx_core *k, const struct plx_conn *c)
{
    const struct plx_econn *e = plx_econn_of(k, c);

    return e->h3 != NULL && !e->is_dead && k->stop_stage == PLX_STOP_NO && plx_conn_can_park(c) &&
           plx_h3_can_sleep(e->h3);
}

static const uint64_t *pattern_of(struct plx_parking *p, bool is_server)
{
    if (!p->has_pattern[is_server])
        memcpy(p->pattern[is_server], p->image, p->size);
    p->has_pattern[is_server] = true;
    return p->pattern[is_server];
}

bool plx_park(struct plx_core *k, struct plx_conn *c)
{
    struct plx_parking *p = &k->parking;
    struct plx_econn *e = plx_econn_of(k, c);
    void *users[PLX_CONN_IMAGE_STREAMS];

    if (!can_park(k, c))
        return false;
    uint8_t *names = (uint8_t *)p->image;
    memset(names, 0, NAMES_LEN);
    unsigned count = plx_conn_park_save(c, names + NAMES_LEN, users);
    for (unsigned i = 0; i < count; i++)
        names[i] = plx_h3_name(e->h3, users[i]);
    unsigned h3_count = plx_h3_park_save(e->h3, names + p->h3_at);
    size_t len = plx_squeeze(p->image, pattern_of(p, plx_conn_is_server(c)), p->size / 8, p->text);
    uint8_t *block = len <= UINT16_MAX ? plx_slab_take(&k->slab, block_size(len)) : NULL;
    if (block == NULL)
        return false; // it stays as it is, and is tried again with its next timer
    block[0] = (uint8_t)len;
    block[1] = (uint8_t)(len >> 8);
    block[STREAMS_AT] = (uint8_t)count;
    block[H3_STREAMS_AT] = (uint8_t)h3_count;
    memcpy(block + HEAD_LEN, p->text, len);
    e->parked = block;
    plx_conn_park(c);
    plx_h3_park(e->h3);
    k->n.conns_parked++;
    return true;
}

void plx_park_try(struct plx_core *k, struct plx_conn *c)
{
    if (plx_conn_rests(c))
        (void)plx_park(k, c);
}

void plx_park_forget(struct plx_core *k, struct plx_econn *e)
{
    if (e->parked == NULL)
        return;
    plx_slab_give(&k->slab, e->parked, block_size(text_len(e->parked)));
    e->parked = NULL;
    k->n.conns_parked--;
}

bool plx_park_has_room(const struct plx_core *k, const uint8_t *block)
{
    return block == NULL || (plx_pool_left(&k->streams) >= block[STREAMS_AT] &&
                             plx_pool_left(&k->h3_streams) >= block[H3_STREAMS_AT]);
}

size_t plx_park_text_max(void)
{
    size_t h3_at;

    return HEAD_LEN + PLX_SQUEEZE_MAX(image_size(&h3_at) / 8);
}

size_t plx_park_text_len(const uint8_t *text)
{
    return HEAD_LEN + text_len(text);
}

size_t plx_park_text(const struct plx_econn *e, uint8_t *out)
{
    static const uint8_t nothing[HEAD_LEN] = {0};
    const uint8_t *from = e->parked != NULL ? e->parked : nothing;
    size_t len = plx_park_text_len(from);

    memcpy(out, from, len);
    return len;
}

bool plx_park_from_text(struct plx_core *k, struct plx_econn *e, const uint8_t *text)
{
    size_t len = text_len(text);

    if (len == 0)
        return true;
    e->parked = plx_slab_take(&k->slab, block_size(len));
    if (e->parked == NULL)
        return false;
    memcpy(e->parked, text, HEAD_LEN + len);
    k->n.conns_parked++;
    return true;
}

bool plx_unpark(struct plx_core *k, struct plx_conn *c)
{
    struct plx_parking *p = &k->parking;
    struct plx_econn *e = plx_econn_of(k, c);
    struct plx_stream *streams[PLX_CONN_IMAGE_STREAMS] = {0};
    struct plx_unsqueeze image;
    uint64_t words[NAMES_LEN / 8];
    const uint8_t *names = (const uint8_t *)words;

    if (e->parked == NULL)
        return true;
    if (e->h3 == NULL) // it ends, and HTTP/3 has gone ahead
        return false;
    plx_unsqueeze_begin(&image, p->pattern[plx_conn_is_server(c)], e->parked + HEAD_LEN);
    plx_unsqueeze(&image, words, NAMES_LEN / 8);
    if (!plx_conn_unpark(c, &image, streams))
        return false;
    plx_unsqueeze_skip(&image, p->h3_at / 8 - image.at);
    if (!plx_h3_unpark(e->h3, &image)) {
        plx_conn_park(c);
        return false;
    }
    for (unsigned i = 0; i < PLX_CONN_IMAGE_STREAMS && streams[i] != NULL; i++)
        plx_stream_set_user(streams[i], plx_h3_bind(e->h3, names[i], streams[i]));
    plx_park_forget(k, e);
    return true;
}
