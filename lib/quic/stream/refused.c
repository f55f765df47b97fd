// refused.c -- see refused.h.

#include "quic/stream/refused.h"

#include <string.h>

#include "base/check.h"
#include "base/slab.h"

static bool has_grown(struct plx_refused_list *l, struct plx_slab *slab)
{
    uint32_t cap = l->cap == 0 ? 4 : l->cap * 2;
    struct plx_refused *v = plx_slab_take(slab, cap * sizeof *v);
    if (v == NULL)
        return false;
    if (l->cap != 0) {
        memcpy(v, l->v, l->count * sizeof *v);
        plx_slab_give(slab, l->v, l->cap * sizeof *v);
    }
    l->v = v;
    l->cap = cap;
    return true;
}

struct plx_refused *plx_refused_add(struct plx_refused_list *l, struct plx_slab *slab, uint64_t id)
{
    if (l->count == l->cap && !has_grown(l, slab))
        return NULL;
    struct plx_refused *r = &l->v[l->count++];
    *r = (struct plx_refused){.id = id};
    return r;
}

struct plx_refused *plx_refused_find(const struct plx_refused_list *l, uint64_t id)
{
    for (uint32_t i = 0; i < l->count; i++)
        if (l->v[i].id == id)
            return &l->v[i];
    return NULL;
}

void plx_refused_remove(struct plx_refused_list *l, struct plx_slab *slab, struct plx_refused *r)
{
    plx_check((size_t)(r - l->v) < l->count);
    *r = l->v[--l->count];
    if (l->count == 0)
        plx_refused_fini(l, slab);
}

void plx_refused_fini(struct plx_refused_list *l, struct plx_slab *slab)
{
    if (l->cap != 0)
        plx_slab_give(slab, l->v, l->cap * sizeof *l->v);
    *l = (struct plx_refused_list){0};
}
