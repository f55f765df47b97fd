// qpack_table.c -- see qpack_table.h.

#include "h3/qpack_table.h"

#include "base/bits.h"
#include "base/check.h"
#include "h3/fields.h"
#include "h3/huffman.h"
#include "h3/qpack_int.h"
#include "h3/qpack_static.h"

enum { RING_MIN = 16, ENTRY_OVERHEAD = 32, CODE_BITS_MAX = 30 };

void plx_qpack_table_init(struct plx_qpack_table *t, struct plx_slab *slab, uint32_t capacity_max)
{
    *t = (struct plx_qpack_table){.slab = slab, .capacity_max = capacity_max};
}

static size_t ring_bytes(uint32_t cap)
{
    return (size_t)cap * sizeof(struct plx_qpack_entry);
}

static void evict_until(struct plx_qpack_table *t, uint32_t size)
{
    while (t->size > size) {
        struct plx_qpack_entry *e = &t->ring[(t->insert_count - t->count) & (t->ring_cap - 1)];
        uint32_t text_len = e->name_len + e->value_len;
        if (text_len > 0)
            plx_slab_give(t->slab, e->text, text_len);
        t->size -= text_len + ENTRY_OVERHEAD;
        t->count--;
    }
}

void plx_qpack_table_fini(struct plx_qpack_table *t)
{
    evict_until(t, 0);
    if (t->ring_cap > 0)
        plx_slab_give(t->slab, t->ring, ring_bytes(t->ring_cap));
    plx_stash_drop(&t->stash, t->slab);
    t->ring = NULL;
    t->ring_cap = 0;
}

static bool ring_grow(struct plx_qpack_table *t)
{
    uint32_t cap = t->ring_cap > 0 ? t->ring_cap * 2 : RING_MIN;
    struct plx_qpack_entry *ring = plx_slab_take(t->slab, ring_bytes(cap));
    if (ring == NULL)
        return false;
    for (uint64_t i = t->insert_count - t->count; i < t->insert_count; i++)
        ring[i & (cap - 1)] = t->ring[i & (t->ring_cap - 1)];
    if (t->ring_cap > 0)
        plx_slab_give(t->slab, t->ring, ring_bytes(t->ring_cap));
    t->ring = ring;
    t->ring_cap = cap;
    return true;
}

// --- instructions ----------------------------------------------------------------------------------------

// A string literal as it stands on the stream, not yet decoded.
struct literal {
    const uint8_t *p;
    size_t len;
    bool is_huffman;
};

// An instruction being read.
struct reading {
    struct plx_rd r;
    bool is_bad; // what came cannot become right any more
    const char *why;
};

static enum plx_qpack_err refuse(struct reading *in, const char *why)
{
    in->is_bad = true;
    in->why = why;
    return PLX_QPACK_FAILED;
}

// A string whose length prefix has `prefix` bits in `first`, below the H bit.
static struct literal rd_literal(struct reading *in, uint8_t first, unsigned prefix, uint32_t capacity)
{
    struct literal s = {.is_huffman = first >> prefix & 1};
    uint64_t len = plx_qpack_rd_int(&in->r, first, prefix, &in->is_bad);
    // The longest that could still fit: no code has more than 30 bits.
    uint64_t len_max = s.is_huffman ? ((uint64_t)capacity * CODE_BITS_MAX + 7) / 8 : capacity;

    if (in->r.is_short)
        return s;
    if (len > len_max) {
        refuse(in, "QPACK insertion larger than the table");
        plx_rd_fail(&in->r);
        return s;
    }
    s.len = (size_t)len;
    s.p = plx_rd_bytes(&in->r, s.len);
    return s;
}

// Decodes s to `to`, which has room for `cap` octets.
static bool literal_decode(const struct literal *s, uint8_t *to, size_t cap, size_t *len)
{
    if (s->is_huffman)
        return plx_huffman_decode(s->p, s->len, to, cap, len) == PLX_HUFFMAN_OK;
    if (s->len > cap)
        return false;
    memcpy(to, s->p, s->len);
    *len = s->len;
    return true;
}

// Puts a field into the table; the text is copied before anything is evicted.
//= rfc9204 3.2.2 "deleting the referenced name or value if the referenced entry is evicted"
static enum plx_qpack_err insert(struct plx_qpack_table *t, struct reading *in, const uint8_t *text,
                                 size_t name_len, size_t value_len, uint8_t name_class)
{
    uint64_t size = plx_field_size(name_len, value_len);
    struct plx_qpack_entry e = {NULL, (uint32_t)name_len, (uint32_t)value_len, name_class, 0};

    //= rfc9204 3.2.2 "It is an error if the encoder attempts to add an entry that is larger than the dynamic table capacity"
    if (size > t->capacity)
        return refuse(in, "QPACK insertion larger than the table");
    if (name_len + value_len > 0) {
        e.text = plx_slab_take(t->slab, name_len + value_len);
        if (e.text == NULL)
            return PLX_QPACK_NOMEM;
        memcpy(e.text, text, name_len + value_len);
    }
    e.class = plx_field_class_of(name_class, value_len > 0 ? e.text + name_len : NULL, value_len);
    evict_until(t, t->capacity - (uint32_t)size);
    if (t->count == t->ring_cap && !ring_grow(t)) {
        if (e.text != NULL)
            plx_slab_give(t->slab, e.text, name_len + value_len);
        return PLX_QPACK_NOMEM;
    }
    t->ring[t->insert_count & (t->ring_cap - 1)] = e;
    t->insert_count++;
    t->count++;
    t->size += (uint32_t)size;
    return PLX_QPACK_OK;
}

// Name and value are put together in a block of the slab, because either may be Huffman-coded and the name may come
// from an entry that this very insertion evicts.
static enum plx_qpack_err insert_parts(struct plx_qpack_table *t, struct reading *in,
                                       const struct literal *name, const struct literal *value,
                                       int name_class)
{
    size_t cap = t->capacity > 0 ? t->capacity
                                 : 1; // a table without capacity refuses below, like any that is too small
    uint8_t *text = plx_slab_take(t->slab, cap);
    if (text == NULL)
        return PLX_QPACK_NOMEM;

    size_t name_len = 0, value_len = 0;
    enum plx_qpack_err err;
    if (!literal_decode(name, text, cap, &name_len) ||
        !literal_decode(value, text + name_len, cap - name_len, &value_len)) {
        err = refuse(in, "QPACK insertion with a string that is larger than the table or wrongly coded");
    } else {
        uint8_t class = name_class >= 0 ? (uint8_t)name_class : plx_field_name_class((char *)text, name_len);
        err = insert(t, in, text, name_len, value_len, class);
    }
    plx_slab_give(t->slab, text, cap);
    return err;
}

// The entry that a relative index of the encoder stream means.
//= rfc9204 3.2.5 "a relative index of 0 refers to the most recently inserted value in the dynamic table"
static const struct plx_qpack_entry *entry_at(const struct plx_qpack_table *t, uint64_t relative)
{
    return relative < t->count ? plx_qpack_table_at(t, t->insert_count - 1 - relative) : NULL;
}

static enum plx_qpack_err insert_with_name_ref(struct plx_qpack_table *t, struct reading *in, uint8_t first)
{
    bool is_static = first & 0x40;
    uint64_t idx = plx_qpack_rd_int(&in->r, first, 6, &in->is_bad);
    struct literal value = rd_literal(in, plx_rd_u8(&in->r), 7, t->capacity);
    if (in->r.is_short)
        return PLX_QPACK_OK; // the caller looks

    if (is_static) {
        //= rfc9204 3.1 "If this index is received on the encoder stream"
        if (idx >= PLX_QPACK_STATIC_COUNT)
            return refuse(in, "QPACK insertion refers beyond the static table");
        const struct plx_qpack_row *row = &plx_qpack_static[idx];
        struct literal name = {(const uint8_t *)row->name, row->name_len, false};
        return insert_parts(t, in, &name, &value, row->name_class);
    }
    const struct plx_qpack_entry *e = entry_at(t, idx);
    //= rfc9204 2.2.3 "a reference in an encoder instruction to a dynamic table entry that has already been evicted"
    if (e == NULL)
        return refuse(in, "QPACK insertion refers to an entry that is not there");
    struct literal name = {(const uint8_t *)(e->text != NULL ? e->text : ""), e->name_len, false};
    return insert_parts(t, in, &name, &value, e->name_class);
}

static enum plx_qpack_err insert_with_literal_name(struct plx_qpack_table *t, struct reading *in,
                                                   uint8_t first)
{
    struct literal name = rd_literal(in, first, 5, t->capacity);
    struct literal value = rd_literal(in, plx_rd_u8(&in->r), 7, t->capacity);
    if (in->r.is_short)
        return PLX_QPACK_OK;
    return insert_parts(t, in, &name, &value, -1);
}

static enum plx_qpack_err set_capacity(struct plx_qpack_table *t, struct reading *in, uint8_t first)
{
    uint64_t capacity = plx_qpack_rd_int(&in->r, first, 5, &in->is_bad);
    if (in->r.is_short)
        return PLX_QPACK_OK;
    //= rfc9204 4.3.1 "The new capacity MUST be lower than or equal to the limit"
    if (capacity > t->capacity_max)
        return refuse(in, "QPACK table capacity beyond what was announced");
    t->capacity = (uint32_t)capacity;
    evict_until(t, t->capacity);
    return PLX_QPACK_OK;
}

static enum plx_qpack_err duplicate(struct plx_qpack_table *t, struct reading *in, uint8_t first)
{
    uint64_t idx = plx_qpack_rd_int(&in->r, first, 5, &in->is_bad);
    if (in->r.is_short)
        return PLX_QPACK_OK;
    const struct plx_qpack_entry *e = entry_at(t, idx);
    if (e == NULL)
        return refuse(in, "QPACK duplicate of an entry that is not there");
    return insert(t, in, (const uint8_t *)e->text, e->name_len, e->value_len, e->name_class);
}

static enum plx_qpack_err instruction(struct plx_qpack_table *t, struct reading *in)
{
    uint8_t first = plx_rd_u8(&in->r);
    if (first & 0x80)
        return insert_with_name_ref(t, in, first);
    if (first & 0x40)
        return insert_with_literal_name(t, in, first);
    if (first & 0x20)
        return set_capacity(t, in, first);
    return duplicate(t, in, first);
}

// As many whole instructions as there are; *used octets of them.
static enum plx_qpack_err instructions(struct plx_qpack_table *t, const uint8_t *p, size_t len, size_t *used,
                                       const char **why)
{
    struct reading in = {plx_rd_init(p, len), false, "QPACK encoder stream: an integer is too large"};
    const uint8_t *begin = in.r.p;

    *used = 0;
    while (plx_rd_left(&in.r) > 0) {
        enum plx_qpack_err err = instruction(t, &in);
        if (err == PLX_QPACK_NOMEM)
            return err;
        if (in.is_bad) {
            *why = in.why;
            return PLX_QPACK_FAILED;
        }
        if (in.r.is_short)
            return PLX_QPACK_OK; // the rest of it has not come yet
        *used = (size_t)(in.r.p - begin);
    }
    return PLX_QPACK_OK;
}

enum plx_qpack_err plx_qpack_table_on_data(struct plx_qpack_table *t, const uint8_t *data, size_t len,
                                           const char **why)
{
    size_t used;
    enum plx_qpack_err err;

    // Bytes join what waits a few at a time, so that a long run of instructions is not copied because of the first one.
    while (t->stash.len > 0 && len > 0) {
        size_t step = t->stash.len < len ? t->stash.len : len;
        if (!plx_stash_append(&t->stash, t->slab, data, step))
            return PLX_QPACK_NOMEM;
        data += step;
        len -= step;
        if ((err = instructions(t, t->stash.p, t->stash.len, &used, why)) != PLX_QPACK_OK)
            return err;
        plx_stash_consume(&t->stash, used);
    }
    if (t->stash.len > 0 || len == 0)
        return PLX_QPACK_OK;
    plx_stash_drop(&t->stash, t->slab);
    if ((err = instructions(t, data, len, &used, why)) != PLX_QPACK_OK)
        return err;
    return plx_stash_append(&t->stash, t->slab, data + used, len - used) ? PLX_QPACK_OK : PLX_QPACK_NOMEM;
}

// --- look-ups --------------------------------------------------------------------------------------------

uint64_t plx_qpack_table_required(const struct plx_qpack_table *t, uint64_t encoded)
{
    uint64_t entries_max = t->capacity_max / ENTRY_OVERHEAD, full_range = 2 * entries_max;

    if (encoded == 0)
        return 0;
    if (encoded > full_range)
        return UINT64_MAX;
    uint64_t value_max = t->insert_count + entries_max;
    uint64_t required = value_max / full_range * full_range + encoded - 1;
    if (required > value_max) {
        if (required <= full_range)
            return UINT64_MAX;
        required -= full_range;
    }
    return required == 0 ? UINT64_MAX : required;
}

void plx_qpack_table_verify(const struct plx_qpack_table *t)
{
    uint64_t size = 0;
    plx_check(t->ring_cap == 0 || plx_is_pow2(t->ring_cap));
    plx_check(t->count <= t->ring_cap);
    plx_check(t->count <= t->insert_count);
    plx_check(t->known_received <= t->insert_count);
    for (uint64_t i = t->insert_count - t->count; i < t->insert_count; i++) {
        const struct plx_qpack_entry *e = plx_qpack_table_at(t, i);
        plx_check(e != NULL);
        plx_check((e->text == NULL) == (e->name_len + e->value_len == 0));
        plx_check(e->class == e->name_class || e->class == PLX_FIELD_BAD);
        size += plx_field_size(e->name_len, e->value_len);
    }
    plx_check(plx_qpack_table_at(t, t->insert_count) == NULL);
    plx_check(t->count == t->insert_count || plx_qpack_table_at(t, t->insert_count - t->count - 1) == NULL);
    plx_check(size == t->size);
    plx_check(t->size <= t->capacity);
    plx_check(t->capacity <= t->capacity_max);
}
