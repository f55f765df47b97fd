// qpack_dec.c -- see qpack_dec.h.
//
// A representation is: which name (an index into either table, or a literal) and which value (of the same entry, or a
// literal). line() finds out which from the first octet; names and values are resolved by the same few leaves.

#include "h3/qpack_dec.h"

#include "h3/fields.h"
#include "h3/huffman.h"
#include "h3/qpack_int.h"
#include "h3/qpack_static.h"

struct decoding {
    struct plx_rd r;
    const struct plx_qpack_table *table;
    struct plx_qpack_section *s;
    uint64_t base;
    size_t text_len; // of s->text in use
    bool is_bad, is_too_large;
};

static void refuse(struct decoding *d, const char *why)
{
    if (!d->is_bad)
        d->s->why = why;
    d->is_bad = true;
    plx_rd_fail(&d->r);
}

static uint64_t rd_int(struct decoding *d, uint8_t first, unsigned prefix)
{
    return plx_qpack_rd_int(&d->r, first, prefix, &d->is_bad);
}

// The H bit is above the `prefix` bits of the length.
static const char *rd_string(struct decoding *d, uint8_t first, unsigned prefix, uint32_t *out_len)
{
    bool is_huffman = first >> prefix & 1;
    uint64_t len = rd_int(d, first, prefix);
    const uint8_t *p = len <= plx_rd_left(&d->r) ? plx_rd_bytes(&d->r, (size_t)len) : NULL;

    *out_len = 0;
    if (p == NULL || d->r.is_short) {
        refuse(d, "QPACK string beyond its section");
        return "";
    }
    if (!is_huffman) {
        *out_len = (uint32_t)len;
        return (const char *)p;
    }
    uint8_t *to = d->s->text + d->text_len;
    size_t decoded;
    switch (plx_huffman_decode(p, (size_t)len, to, d->s->text_cap - d->text_len, &decoded)) {
    case PLX_HUFFMAN_OK:
        d->text_len += decoded;
        *out_len = (uint32_t)decoded;
        return (const char *)to;
    case PLX_HUFFMAN_NO_ROOM:
        d->is_too_large = true;
        plx_rd_fail(&d->r);
        return "";
    case PLX_HUFFMAN_INVALID:
        break;
    }
    refuse(d, "QPACK string with an invalid Huffman code");
    return "";
}

static const struct plx_qpack_row *static_at(struct decoding *d, uint64_t idx)
{
    //= rfc9204 3.1 "When the decoder encounters an invalid static table index in a field line representation"
    if (idx < PLX_QPACK_STATIC_COUNT)
        return &plx_qpack_static[idx];
    refuse(d, "QPACK index beyond the static table");
    return &plx_qpack_static[0];
}

static const struct plx_qpack_entry *dynamic_at(struct decoding *d, uint64_t abs)
{
    static const struct plx_qpack_entry none;
    const struct plx_qpack_entry *e = NULL;

    //= rfc9204 2.2.3 "has an absolute index greater than or equal to the declared Required Insert Count"
    if (abs < d->s->required)
        e = plx_qpack_table_at(d->table, abs);
    if (e != NULL)
        return e;
    refuse(d, "QPACK reference to an entry that is evicted or not declared");
    return &none;
}

// Relative to the base, downwards; what lies below 0 wraps around and is then beyond every required insert count.
static const struct plx_qpack_entry *below_base(struct decoding *d, uint64_t idx)
{
    return dynamic_at(d, d->base - 1 - idx);
}

static const struct plx_qpack_entry *above_base(struct decoding *d, uint64_t idx)
{
    return dynamic_at(d, d->base + idx);
}

// Four ways to fill a field; each returns its class.

static uint8_t from_row(const struct plx_qpack_row *row, struct plx_field *f)
{
    *f = (struct plx_field){row->name, row->value, row->name_len, row->value_len, false};
    return row->name_class; // all values of the static table are valid
}

static uint8_t from_entry(const struct plx_qpack_entry *e, struct plx_field *f)
{
    const char *text = e->text != NULL ? e->text : "";
    *f = (struct plx_field){text, text + e->name_len, e->name_len, e->value_len, false};
    return e->class;
}

static uint8_t with_value(struct decoding *d, uint8_t name_class, struct plx_field *f)
{
    f->value = rd_string(d, plx_rd_u8(&d->r), 7, &f->value_len);
    return plx_field_class_of(name_class, f->value, f->value_len);
}

static uint8_t literal(struct decoding *d, uint8_t first, struct plx_field *f)
{
    f->name = rd_string(d, first, 3, &f->name_len);
    return with_value(d, plx_field_name_class(f->name, f->name_len), f);
}

// One field line representation.
static uint8_t line(struct decoding *d, struct plx_field *f)
{
    uint8_t first = plx_rd_u8(&d->r);

    if (first & 0x80) { // RFC 9204 section 4.5.2: 1T
        uint64_t idx = rd_int(d, first, 6);
        return first & 0x40 ? from_row(static_at(d, idx), f) : from_entry(below_base(d, idx), f);
    }
    if (first & 0x40) { // section 4.5.4: 01NT
        uint64_t idx = rd_int(d, first, 4);
        uint8_t class;
        if (first & 0x10) {
            class = from_row(static_at(d, idx), f);
        } else {
            const struct plx_qpack_entry *e = below_base(d, idx);
            (void)from_entry(e, f);
            class = e->name_class;
        }
        f->never_index = first & 0x20;
        return with_value(d, class, f);
    }
    if (first & 0x20) { // section 4.5.6: 001N
        f->never_index = first & 0x10;
        return literal(d, first, f);
    }
    if (first & 0x10) // section 4.5.3: 0001
        return from_entry(above_base(d, rd_int(d, first, 4)), f);
    // Section 4.5.5: 0000N
    const struct plx_qpack_entry *e = above_base(d, rd_int(d, first, 3));
    (void)from_entry(e, f);
    f->never_index = first & 0x08;
    return with_value(d, e->name_class, f);
}

// RFC 9204 section 4.5.1: the required insert count and the base.
static bool prefix(struct decoding *d)
{
    struct plx_qpack_section *s = d->s;

    s->required = plx_qpack_table_required(d->table, rd_int(d, plx_rd_u8(&d->r), 8));
    uint8_t first = plx_rd_u8(&d->r);
    uint64_t delta = rd_int(d, first, 7);
    if (d->r.is_short)
        return false;
    //= rfc9204 4.5.1.1 "EncodedInsertCount that could not have been produced by a conformant encoder"
    if (s->required == UINT64_MAX) {
        s->required = 0;
        return false;
    }
    if (!(first & 0x80)) {
        d->base = s->required + delta;
        return true;
    }
    //= rfc9204 4.5.1.2 "MUST treat a field block with a Sign bit of 1 as invalid"
    d->base = s->required - delta - 1;
    return s->required > delta;
}

enum plx_qpack_err plx_qpack_dec_section(const struct plx_qpack_table *t, const uint8_t *p, size_t len,
                                         struct plx_qpack_section *s)
{
    struct decoding d = {.r = plx_rd_init(p, len), .table = t, .s = s};

    s->count = 0;
    s->size = 0;
    s->required = 0;
    s->why = "QPACK section cut short";
    if (!prefix(&d)) {
        s->why = "QPACK section with an invalid prefix";
        return PLX_QPACK_FAILED;
    }
    if (s->required > t->insert_count)
        return PLX_QPACK_BLOCKED;
    while (plx_rd_left(&d.r) > 0) {
        if (s->count == s->count_max)
            return PLX_QPACK_TOO_LARGE;
        struct plx_field *f = &s->fields[s->count];
        f->never_index = false;
        s->classes[s->count] = line(&d, f);
        if (d.is_too_large)
            return PLX_QPACK_TOO_LARGE;
        if (d.r.is_short)
            return PLX_QPACK_FAILED;
        s->count++;
        s->size += plx_field_size(f->name_len, f->value_len);
        if (s->size > s->size_max)
            return PLX_QPACK_TOO_LARGE;
    }
    return PLX_QPACK_OK;
}
