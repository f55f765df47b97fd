// hibernate.c -- see hibernate.h.

#include "h3/hibernate.h"

#include <string.h>

#include "base/check.h"
#include "h3/conn_int.h"

enum { USTREAMS_MAX = 6, NAME_NONE = 0, NAME_CONTROL, NAME_DECODER, NAME_ENCODER, NAME_FIRST };

struct ustreams {
    _Alignas(64) uint64_t count;
    struct ustream v[USTREAMS_MAX];
};
_Static_assert(offsetof(struct ustreams, v) == 8, "read one after the other");

size_t plx_h3_image_size(void)
{
    return (sizeof(struct plx_h3_conn) + 63) & ~(size_t)63;
}

bool plx_h3_can_sleep(const struct plx_h3_conn *c)
{
    unsigned count = 0;

    if (c->state != CONN_OPEN || c->shutdown != SHUTDOWN_NONE || !plx_list_is_empty(&c->requests) ||
        !plx_list_is_empty(&c->blocked) || c->decoder_out_len > 0 ||
        c->table.known_received != c->table.insert_count)
        return false;
    plx_list_foreach(node, &c->ustreams) {
        const struct ustream *u = PLX_CONTAINER(node, struct ustream, node);
        if (u->stash.cap > 0 || u->s.ts == NULL || ++count > USTREAMS_MAX)
            return false;
    }
    return true;
}

static void stream_blank(struct plx_h3_stream *s)
{
    s->conn = NULL;
    s->ts = NULL;
}

static void ustreams_save(const struct plx_h3_conn *c, struct ustreams *us)
{
    memset(us, 0, sizeof *us);
    plx_list_foreach(node, &c->ustreams) {
        struct ustream *to = &us->v[us->count++];
        memcpy(to, PLX_CONTAINER(node, struct ustream, node), sizeof *to);
        stream_blank(&to->s);
        memset(&to->node, 0, sizeof to->node);
    }
}

static void ustreams_give(struct plx_h3_conn *c)
{
    struct plx_list *node;

    while ((node = plx_list_take_first(&c->ustreams)) != NULL)
        plx_pool_give(c->env->streams, PLX_CONTAINER(node, struct ustream, node));
}

// False: the pool is empty, and nothing is held.
static bool ustreams_restore(struct plx_h3_conn *c, struct plx_unsqueeze *image)
{
    uint64_t count;

    plx_unsqueeze(image, &count, 1);
    for (uint64_t i = 0; i < count; i++) {
        struct ustream *u = plx_pool_take(c->env->streams);
        if (u == NULL) {
            ustreams_give(c);
            return false;
        }
        plx_unsqueeze(image, u, sizeof *u / 8);
        u->s.conn = c;
        plx_list_init(&u->node);
        plx_list_add_tail(&c->ustreams, &u->node);
    }
    plx_unsqueeze_skip(image, sizeof(struct ustreams) / 8 - 1 - count * (sizeof(struct ustream) / 8));
    return true;
}

void plx_h3_save(const struct plx_h3_conn *c, void *image)
{
    struct plx_h3_conn *copy = image;

    plx_check(plx_list_is_empty(&c->ustreams));
    memset(image, 0, plx_h3_image_size());
    memcpy(copy, c, sizeof *c);
    copy->io_arg = copy->transport = NULL;
    memset(&copy->requests, 0, sizeof copy->requests);
    memset(&copy->ustreams, 0, sizeof copy->ustreams);
    memset(&copy->blocked, 0, sizeof copy->blocked);
    memset(copy->decoder_out, 0, sizeof copy->decoder_out);
    stream_blank(&copy->control);
    stream_blank(&copy->decoder);
    stream_blank(&copy->encoder);
}

uint8_t plx_h3_name(const struct plx_h3_conn *c, const struct plx_h3_stream *hs)
{
    uint8_t name = NAME_FIRST;

    if (hs == NULL)
        return NAME_NONE;
    if (hs == &c->control || hs == &c->decoder || hs == &c->encoder)
        return hs == &c->control ? NAME_CONTROL : hs == &c->decoder ? NAME_DECODER : NAME_ENCODER;
    plx_list_foreach(node, &c->ustreams) {
        if (hs == &PLX_CONTAINER(node, struct ustream, node)->s)
            return name;
        name++;
    }
    plx_check(false); // streams of requests do not sleep
    return NAME_NONE;
}

void plx_h3_release(struct plx_h3_conn *c)
{
    plx_check(plx_list_is_empty(&c->ustreams));
    plx_pool_give(c->env->conns, c);
}

struct plx_h3_conn *plx_h3_restore(struct plx_h3_env *env, struct plx_unsqueeze *image, void *io_arg,
                                   struct plx_conn *transport)
{
    struct plx_h3_conn *c = plx_pool_take(env->conns);

    if (c == NULL)
        return NULL;
    plx_unsqueeze(image, c, sizeof *c / 8);
    c->io_arg = io_arg;
    c->transport = transport;
    plx_list_init(&c->requests);
    plx_list_init(&c->ustreams);
    plx_list_init(&c->blocked);
    c->control.conn = c->decoder.conn = c->encoder.conn = c;
    return c;
}

size_t plx_h3_park_size(void)
{
    return sizeof(struct ustreams);
}

unsigned plx_h3_park_save(const struct plx_h3_conn *c, void *image)
{
    struct ustreams *us = image;

    ustreams_save(c, us);
    return (unsigned)us->count;
}

void plx_h3_park(struct plx_h3_conn *c)
{
    ustreams_give(c);
    c->control.ts = c->decoder.ts = c->encoder.ts = NULL;
    c->is_parked = true;
}

bool plx_h3_unpark(struct plx_h3_conn *c, struct plx_unsqueeze *image)
{
    if (!ustreams_restore(c, image))
        return false;
    c->is_parked = false;
    return true;
}

struct plx_h3_stream *plx_h3_bind(struct plx_h3_conn *c, uint8_t name, void *ts)
{
    struct plx_h3_stream *hs = NULL;
    uint8_t at = NAME_FIRST;

    if (name == NAME_NONE)
        return NULL;
    if (name < NAME_FIRST) {
        hs = name == NAME_CONTROL ? &c->control : name == NAME_DECODER ? &c->decoder : &c->encoder;
    } else {
        plx_list_foreach(node, &c->ustreams)
            if (at++ == name)
                hs = &PLX_CONTAINER(node, struct ustream, node)->s;
    }
    plx_check(hs != NULL);
    hs->ts = ts;
    return hs;
}
