// plx-qif -- header lists to and from QPACK, in the format of the offline interop collection.
//
//   plx-qif decode --table N --blocked N FILE     encoder output -> header lists, on standard output
//   plx-qif encode FILE                           header lists -> encoder output, on standard output
//
// Header lists: one field a line, name TAB value; an empty line ends a list; lines that begin with '#' say nothing.
// Encoder output: records of stream ID (8 octets), length (4) and that many octets, big endian; stream 0 is the encoder
// stream, any other carries one field section. A section that refers to entries not inserted yet waits for them, as it
// would on a connection; at most --blocked of them at a time. Lists are written in the order of their stream IDs.
//
// Exit status: 0; 1 when the input is refused, with the reason on standard error; 2 when the program was called wrongly.

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/slab.h"
#include "h3/qpack_dec.h"
#include "h3/qpack_enc.h"

enum { FIELDS_MAX = 4096, TEXT_MAX = 1 << 20, SLAB_BYTES = 64 << 20, TABLE_MAX = 1 << 16 };

static const char usage[] = "usage: plx-qif decode --table N --blocked N FILE\n"
                            "       plx-qif encode FILE\n";

static _Noreturn void fail(const char *path, const char *why)
{
    fprintf(stderr, "plx-qif: %s: %s\n", path, why);
    exit(1);
}

// The whole file; *len octets.
static uint8_t *file_read(const char *path, size_t *len)
{
    FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    uint8_t *p = NULL;
    size_t cap = 0, got;

    if (f == NULL)
        fail(path, strerror(errno));
    *len = 0;
    do {
        if (*len == cap) {
            cap = cap > 0 ? cap * 2 : 1 << 16;
            p = realloc(p, cap);
            if (p == NULL)
                fail(path, "not enough memory for it");
        }
        got = fread(p + *len, 1, cap - *len, f);
        *len += got;
    } while (got > 0);
    if (ferror(f))
        fail(path, strerror(errno));
    if (f != stdin)
        fclose(f);
    return p;
}

static void out_flush(const char *path)
{
    if (fflush(stdout) != 0 || ferror(stdout))
        fail(path, "cannot write the result");
}

// --- decode ----------------------------------------------------------------------------------------------

// What one stream carried.
struct list {
    uint64_t stream;
    const uint8_t *section; // while it is blocked
    size_t section_len;
    char *text; // when it is decoded
    size_t text_len;
};

struct decoder {
    const char *path;
    struct plx_slab slab;
    struct plx_qpack_table table;
    struct plx_qpack_section section;
    struct list *lists;
    size_t count, cap;
    unsigned long blocked, blocked_max;
};

static void decoder_init(struct decoder *d, const char *path, uint32_t table_max, unsigned long blocked_max)
{
    *d = (struct decoder){.path = path, .blocked_max = blocked_max};
    if (!plx_slab_init(&d->slab, SLAB_BYTES, PLX_NODE_ANY))
        fail(path, "not enough memory for the table");
    plx_qpack_table_init(&d->table, &d->slab, table_max);
    d->table.capacity =
        table_max; // the collection's encoders take the whole table without an instruction that sets it
    d->section = (struct plx_qpack_section){
        .fields = calloc(FIELDS_MAX, sizeof *d->section.fields),
        .classes = calloc(FIELDS_MAX, 1),
        .text = malloc(TEXT_MAX),
        .text_cap = TEXT_MAX,
        .size_max = TEXT_MAX,
        .count_max = FIELDS_MAX,
    };
    if (d->section.fields == NULL || d->section.classes == NULL || d->section.text == NULL)
        fail(path, "not enough memory for a field section");
}

static void decoder_fini(struct decoder *d)
{
    for (size_t i = 0; i < d->count; i++)
        free(d->lists[i].text);
    free(d->lists);
    free(d->section.fields);
    free(d->section.classes);
    free(d->section.text);
    plx_qpack_table_fini(&d->table);
    plx_slab_fini(&d->slab);
}

// Tries a section; true when it is done with, false while it is blocked.
static bool list_decode(struct decoder *d, struct list *l)
{
    struct plx_qpack_section *s = &d->section;

    switch (plx_qpack_dec_section(&d->table, l->section, l->section_len, s)) {
    case PLX_QPACK_OK:
        break;
    case PLX_QPACK_BLOCKED:
        return false;
    case PLX_QPACK_TOO_LARGE:
        fail(d->path, "a field section is larger than a megabyte or 4096 fields");
    case PLX_QPACK_FAILED:
    case PLX_QPACK_NOMEM:
        fail(d->path, s->why);
    }
    FILE *f = open_memstream(&l->text, &l->text_len);
    if (f == NULL)
        fail(d->path, strerror(errno));
    for (uint16_t i = 0; i < s->count; i++) {
        fwrite(s->fields[i].name, 1, s->fields[i].name_len, f);
        fputc('\t', f);
        fwrite(s->fields[i].value, 1, s->fields[i].value_len, f);
        fputc('\n', f);
    }
    if (fclose(f) != 0)
        fail(d->path, "not enough memory for a list");
    l->section = NULL;
    return true;
}

static void on_encoder_stream(struct decoder *d, const uint8_t *p, size_t len)
{
    const char *why = "the table does not fit in memory";

    if (plx_qpack_table_on_data(&d->table, p, len, &why) != PLX_QPACK_OK)
        fail(d->path, why);
    for (size_t i = 0; i < d->count && d->blocked > 0; i++) {
        if (d->lists[i].section != NULL && list_decode(d, &d->lists[i]))
            d->blocked--;
    }
}

static void on_section(struct decoder *d, uint64_t stream, const uint8_t *p, size_t len)
{
    if (d->count == d->cap) {
        d->cap = d->cap > 0 ? d->cap * 2 : 256;
        d->lists = realloc(d->lists, d->cap * sizeof *d->lists);
        if (d->lists == NULL)
            fail(d->path, "not enough memory for the lists");
    }
    struct list *l = &d->lists[d->count++];
    *l = (struct list){.stream = stream, .section = p, .section_len = len};
    //= rfc9204 2.1.2 "If a decoder encounters more blocked streams than it promised to support"
    if (!list_decode(d, l) && ++d->blocked > d->blocked_max)
        fail(d->path, "more blocked streams than --blocked allows");
}

static int list_order(const void *a, const void *b)
{
    const struct list *x = a, *y = b;
    return x->stream < y->stream ? -1 : x->stream > y->stream;
}

static int decode(const char *path, uint32_t table_max, unsigned long blocked_max)
{
    struct decoder d;
    size_t len;
    uint8_t *file = file_read(path, &len);
    struct plx_rd r = plx_rd_init(file, len);

    decoder_init(&d, path, table_max, blocked_max);
    while (plx_rd_left(&r) > 0) {
        uint64_t stream = plx_rd_u64(&r);
        size_t record_len = plx_rd_u32(&r);
        const uint8_t *record = plx_rd_bytes(&r, record_len);
        if (r.is_short)
            fail(path, "the last record is cut short");
        if (stream == 0)
            on_encoder_stream(&d, record, record_len);
        else
            on_section(&d, stream, record, record_len);
    }
    if (d.blocked > 0)
        fail(path, "a field section waits for entries that never come");
    if (d.table.stash.len > 0)
        fail(path, "the encoder stream ends within an instruction");
    qsort(d.lists, d.count, sizeof *d.lists, list_order);
    for (size_t i = 0; i < d.count; i++) {
        fwrite(d.lists[i].text, 1, d.lists[i].text_len, stdout);
        putchar('\n');
    }
    out_flush(path);
    decoder_fini(&d);
    free(file);
    return 0;
}

// --- encode ----------------------------------------------------------------------------------------------

static void record_write(const char *path, uint64_t stream, const struct plx_field *fields, uint16_t count)
{
    static uint8_t buf[TEXT_MAX];
    uint8_t head[12];
    struct plx_wr w = plx_wr_init(buf, sizeof buf), h = plx_wr_init(head, sizeof head);

    plx_qpack_enc_prefix(&w);
    for (uint16_t i = 0; i < count; i++)
        plx_qpack_enc_field(&w, &fields[i]);
    if (w.is_full)
        fail(path, "a header list is larger than a megabyte");
    size_t len = (size_t)(w.p - buf);
    plx_wr_u64(&h, stream);
    plx_wr_u32(&h, (uint32_t)len);
    fwrite(head, 1, sizeof head, stdout);
    fwrite(buf, 1, len, stdout);
}

static int encode(const char *path)
{
    static struct plx_field fields[FIELDS_MAX];
    uint16_t count = 0;
    uint64_t stream = 1;
    size_t len;
    uint8_t *file = file_read(path, &len);

    for (char *at = (char *)file, *end = at + len; at < end;) {
        char *line_end = memchr(at, '\n', (size_t)(end - at));
        if (line_end == NULL)
            line_end = end;
        char *tab = memchr(at, '\t', (size_t)(line_end - at));
        if (line_end == at && count > 0) {
            record_write(path, stream++, fields, count);
            count = 0;
        } else if (line_end > at && *at != '#') {
            if (tab == NULL)
                fail(path, "a line without a tab between name and value");
            if (count == FIELDS_MAX)
                fail(path, "a header list of more than 4096 fields");
            fields[count++] =
                (struct plx_field){at, tab + 1, (uint32_t)(tab - at), (uint32_t)(line_end - tab - 1), false};
        }
        at = line_end + 1;
    }
    if (count > 0)
        record_write(path, stream, fields, count);
    out_flush(path);
    free(file);
    return 0;
}

// --- the command line ------------------------------------------------------------------------------------

static unsigned long number(const char *text, unsigned long max)
{
    char *end;
    errno = 0;
    unsigned long v = strtoul(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || v > max || *text == '-') {
        fprintf(stderr, "plx-qif: %s is not a number from 0 to %lu\n%s", text, max, usage);
        exit(2);
    }
    return v;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"table", required_argument, NULL, 't'},
        {"blocked", required_argument, NULL, 'b'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    unsigned long table = 0, blocked = 0;
    bool has_limits = false;

    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 't')
            table = number(optarg, TABLE_MAX);
        else if (c == 'b')
            blocked = number(optarg, UINT32_MAX);
        else {
            fputs(usage, c == 'h' ? stdout : stderr);
            return c == 'h' ? 0 : 2;
        }
        has_limits |= c == 't' || c == 'b';
    }
    if (argc - optind == 2 && strcmp(argv[optind], "decode") == 0)
        return decode(argv[optind + 1], (uint32_t)table, blocked);
    if (argc - optind == 2 && strcmp(argv[optind], "encode") == 0 && !has_limits)
        return encode(argv[optind + 1]);
    fputs(usage, stderr);
    return 2;
}
