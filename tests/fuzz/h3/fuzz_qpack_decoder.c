// fuzz_qpack_decoder.c -- encoder stream and field sections interleaved, on two tables: one gets the stream in the pieces
// of the input, the other octet by octet. They must agree about everything.
//
// Input: records of one octet and what it announces: below 0x80 that many octets of the encoder stream, from 0x80 on a
// section of the low seven bits' length.

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "h3/qpack_dec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { FIELDS_MAX = 64, SIZE_MAX_ = 4096 };

static struct plx_slab slab;

struct half {
    struct plx_qpack_table table;
    struct plx_field fields[FIELDS_MAX];
    uint8_t classes[FIELDS_MAX], text[SIZE_MAX_];
    struct plx_qpack_section s;
};

static struct half halves[2];

static enum plx_qpack_err feed(struct half *h, const uint8_t *p, size_t len, size_t piece)
{
    const char *why;
    enum plx_qpack_err err = PLX_QPACK_OK;

    for (size_t at = 0; at < len && err == PLX_QPACK_OK; at += piece)
        err = plx_qpack_table_on_data(&h->table, p + at, len - at < piece ? len - at : piece, &why);
    plx_qpack_table_verify(&h->table);
    return err;
}

static enum plx_qpack_err decode(struct half *h, const uint8_t *p, size_t len)
{
    h->s = (struct plx_qpack_section){.fields = h->fields,
                                      .classes = h->classes,
                                      .text = h->text,
                                      .text_cap = SIZE_MAX_,
                                      .size_max = SIZE_MAX_,
                                      .count_max = FIELDS_MAX};
    return plx_qpack_dec_section(&h->table, p, len, &h->s);
}

static bool one_record(const uint8_t **p, size_t *left)
{
    size_t len = **p & 0x7f;
    bool is_section = **p & 0x80;
    const uint8_t *at = *p + 1;

    if (len > *left - 1)
        len = *left - 1;
    *p += 1 + len;
    *left -= 1 + len;
    if (!is_section) {
        enum plx_qpack_err err = feed(&halves[0], at, len, len > 0 ? len : 1);
        plx_check(feed(&halves[1], at, len, 1) == err);
        plx_check(err == PLX_QPACK_OK || err == PLX_QPACK_FAILED);
        return err == PLX_QPACK_OK;
    }
    enum plx_qpack_err err = decode(&halves[0], at, len);
    plx_check(decode(&halves[1], at, len) == err);
    for (uint16_t i = 0; err == PLX_QPACK_OK && i < halves[0].s.count; i++) {
        const struct plx_field *a = &halves[0].fields[i], *b = &halves[1].fields[i];
        plx_check(a->name_len == b->name_len && memcmp(a->name, b->name, a->name_len) == 0);
        plx_check(a->value_len == b->value_len && memcmp(a->value, b->value, a->value_len) == 0);
        plx_check(halves[0].classes[i] == halves[1].classes[i]);
    }
    return err != PLX_QPACK_FAILED;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (slab.size == 0)
        plx_check(plx_slab_init(&slab, 1 << 20, PLX_NODE_ANY));
    for (unsigned i = 0; i < 2; i++)
        plx_qpack_table_init(&halves[i].table, &slab, 400);
    while (len > 0 && one_record(&data, &len))
        ;
    plx_check(halves[0].table.insert_count == halves[1].table.insert_count || len > 0);
    for (unsigned i = 0; i < 2; i++)
        plx_qpack_table_fini(&halves[i].table);
    plx_check(plx_slab_bytes_in_use(&slab) == 0);
    return 0;
}
