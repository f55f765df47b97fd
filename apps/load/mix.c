// mix.c -- what is asked for: URLs of the command line, or the lines of a file, as requests prepared once per worker.
//
//   # weight  method  URL or path   what the answer must be, and what is sent
//   8         GET     /index.html   status=200 length=1234 crc32=89abcdef
//   1         POST    /upload       body=@photo.jpg header="content-type: image/jpeg"
//
// Words are separated by blanks; a word with blanks in it stands in double quotes. A path alone is one on the first URL's host. All
// requests go over the same connections: other hosts need --connect-to, which says that one address answers for all of them.

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

static const double WEIGHT_MAX = 1e9;

static void item_free(struct load_item *i)
{
    free(i->method);
    free(i->authority);
    free(i->path);
    free(i->body);
    load_fields_free(i->fields, i->field_count);
}

void load_mix_free(struct load *l)
{
    for (uint32_t i = 0; i < l->item_count; i++)
        item_free(&l->items[i]);
    free(l->items);
    l->items = NULL;
    l->item_count = 0;
}

static bool add_field(struct load_item *i, const char *name, const char *value)
{
    char text[8192];
    return (size_t)snprintf(text, sizeof text, "%s: %s", name, value) < sizeof text &&
           load_field_parse(text, &i->fields, &i->field_count);
}

static bool copy_fields(struct load_item *i, const struct load_opts *o)
{
    for (uint16_t n = 0; n < o->field_count; n++)
        if (!add_field(i, o->fields[n].name, o->fields[n].value))
            return false;
    return true;
}

// A new item of the command line's making: its method, fields, body and expectations.
static struct load_item *item_new(struct load *l, const char *method)
{
    const struct load_opts *o = &l->opts;
    struct load_item *list = realloc(l->items, (l->item_count + 1u) * sizeof *list);

    if (list == NULL)
        return NULL;
    l->items = list;
    struct load_item *i = &list[l->item_count++];
    *i = (struct load_item){
        .weight = 1, .method = strdup(method), .status = o->status, .length = o->length, .crc32 = o->crc32};
    if (o->body != NULL && (i->body = malloc(o->body_len + 1)) != NULL) {
        memcpy(i->body, o->body, o->body_len);
        i->body_len = o->body_len;
    }
    return i->method != NULL && (o->body == NULL || i->body != NULL) && copy_fields(i, o) ? i : NULL;
}

static bool set_target(struct load *l, struct load_item *i, const char *text, char *err, size_t err_len)
{
    struct url url;
    bool is_first = l->item_count == 1;

    if (text[0] == '/' && !is_first) {
        i->authority = strdup(l->url.authority);
        i->path = strdup(text);
        return i->authority != NULL && i->path != NULL;
    }
    if (text[0] == '/' || !url_parse(text, &url)) {
        snprintf(err, err_len,
                 text[0] == '/' ? "%s: the first request needs a whole URL: https://HOST[:PORT]/PATH"
                                : "%s: want https://HOST[:PORT]/PATH",
                 text);
        return false;
    }
    i->authority = strdup(url.authority);
    i->path = strdup(url.path);
    if (i->path != NULL)
        i->path[strcspn(i->path, "#")] = '\0'; // a fragment stays with the client
    if (is_first)
        l->url = url;
    if (strcasecmp(url.authority, l->url.authority) != 0 && l->opts.connect_to == NULL) {
        snprintf(err, err_len,
                 "%s: another host than %s: one run goes to one address (--connect-to ADDRESS:PORT names it)",
                 text, l->url.authority);
        return false;
    }
    return i->authority != NULL && i->path != NULL;
}

// --- the file -----------------------------------------------------------------------------------------------

// The next word of *p, cut out in place; NULL at the end, or when a quote is not closed (then *p is not at the end).
static char *next_word(char **p)
{
    char *in = *p + strspn(*p, " \t\r\n"), *word = in, *out = in;
    bool is_quoted = false;

    if (*in == '\0' || *in == '#') {
        *p = in + strlen(in);
        return NULL;
    }
    for (; *in != '\0' && (is_quoted || strchr(" \t\r\n", *in) == NULL); in++) {
        if (*in == '"')
            is_quoted = !is_quoted;
        else
            *out++ = *in;
    }
    if (is_quoted)
        return NULL;
    *p = *in != '\0' ? in + 1 : in;
    *out = '\0';
    return word;
}

static bool set_option(struct load_item *i, const char *word)
{
    const char *value = strchr(word, '=');
    size_t n = value != NULL ? (size_t)(value++ - word) : 0;

    if (n == 6 && strncmp(word, "status", n) == 0)
        return parse_number(value, 100, 599, &i->status);
    if (n == 6 && strncmp(word, "length", n) == 0)
        return parse_number(value, 0, UINT64_MAX - 1, &i->length);
    if (n == 5 && strncmp(word, "crc32", n) == 0)
        return load_read_hex(value, &i->crc32);
    if (n == 6 && strncmp(word, "header", n) == 0)
        return load_field_parse(value, &i->fields, &i->field_count);
    if (n == 4 && strncmp(word, "body", n) == 0) {
        free(i->body);
        i->body = NULL;
        return load_read_body(value, &i->body, &i->body_len);
    }
    return false;
}

static bool read_line(struct load *l, char *line, char *err, size_t err_len)
{
    char *p = line, *end, *weight = next_word(&p);

    if (weight == NULL)
        return *p == '\0'; // empty, or a comment
    double w = strtod(weight, &end);
    char *method = next_word(&p), *target = method != NULL ? next_word(&p) : NULL;
    if (end == weight || *end != '\0' || !(w > 0 && w < WEIGHT_MAX) || target == NULL) {
        snprintf(
            err, err_len,
            "want WEIGHT METHOD URL [status=N] [length=N] [crc32=HEX] [body=TEXT|@FILE] [header=\"NAME: VALUE\"]");
        return false;
    }
    struct load_item *i = item_new(l, method);
    if (i == NULL || !set_target(l, i, target, err, err_len))
        return false;
    i->weight = w;
    for (char *word; (word = next_word(&p)) != NULL;)
        if (!set_option(i, word)) {
            snprintf(err, err_len, "\"%s\": not understood", word);
            return false;
        }
    return *p == '\0';
}

static bool read_file(struct load *l, char *err, size_t err_len)
{
    FILE *f = fopen(l->opts.file, "r");
    char *line = NULL, why[300] = "a quote is not closed";
    size_t cap = 0;
    unsigned number = 0;
    bool ok = true;

    if (f == NULL) {
        snprintf(err, err_len, "%s: %s", l->opts.file, strerror(errno));
        return false;
    }
    while (ok && getline(&line, &cap, f) >= 0) {
        number++;
        ok = read_line(l, line, why, sizeof why);
    }
    if (!ok)
        snprintf(err, err_len, "%s, line %u: %s", l->opts.file, number, why);
    free(line);
    fclose(f);
    return ok;
}

bool load_mix(struct load *l, char *err, size_t err_len)
{
    const struct load_opts *o = &l->opts;

    snprintf(err, err_len, "not enough memory");
    for (int n = 0; n < o->url_count; n++) {
        struct load_item *i = item_new(l, o->method != NULL ? o->method : o->body != NULL ? "POST" : "GET");
        if (i == NULL || !set_target(l, i, o->urls[n], err, err_len))
            return false;
    }
    if (o->file != NULL && !read_file(l, err, err_len))
        return false;
    if (l->item_count == 0) {
        snprintf(err, err_len, "%s: no requests in it", o->file);
        return false;
    }
    for (uint32_t n = 0; n < l->item_count; n++) {
        char length[24];
        snprintf(length, sizeof length, "%zu", l->items[n].body_len);
        if (o->hq && (strcmp(l->items[n].method, "GET") != 0 || l->items[n].body != NULL ||
                      l->items[n].field_count > 0)) {
            snprintf(err, err_len, "--hq knows GET alone, without fields and bodies");
            return false;
        }
        if (!o->hq && l->items[n].body != NULL && !add_field(&l->items[n], "content-length", length))
            return false;
    }
    return true;
}

// --- prepared -----------------------------------------------------------------------------------------------

static struct plx_span span(const char *text)
{
    return (struct plx_span){(const uint8_t *)text, strlen(text)};
}

static struct plx_h3_block *block_of(const struct load_item *i)
{
    struct plx_field fields[256] = {{"user-agent", "plx-load", 10, 8, false}};
    struct plx_h3_head head = {.method = span(i->method),
                               .scheme = span("https"),
                               .authority = span(i->authority),
                               .path = span(i->path),
                               .content_length = PLX_H3_LENGTH_UNKNOWN,
                               .fields = fields,
                               .field_count = 1};

    for (uint16_t n = 0; n < i->field_count && head.field_count < 256; n++) {
        if (strcmp(i->fields[n].name, "user-agent") == 0)
            fields[0] = i->fields[n];
        else
            fields[head.field_count++] = i->fields[n];
    }
    return plx_h3_block_new_request(
        &head, (struct plx_buf){i->body, i->body_len, NULL}); // the body outlives the engine
}

bool load_mix_blocks(struct load_worker *w)
{
    const struct load *l = w->load;
    double sum = 0;

    w->blocks = calloc(l->item_count, sizeof(void *));
    w->weight_sums = calloc(l->item_count, sizeof *w->weight_sums);
    if (w->blocks == NULL || w->weight_sums == NULL)
        return false;
    for (uint32_t i = 0; i < l->item_count; i++) {
        w->weight_sums[i] = sum += l->items[i].weight;
        if (!l->opts.hq && (w->blocks[i] = block_of(&l->items[i])) == NULL) {
            fprintf(
                stderr,
                "plx-load: %s %s: method, path or fields are such as HTTP/3 forbids (RFC 9114 section 4)\n",
                l->items[i].method, l->items[i].path);
            return false;
        }
    }
    return true;
}

void load_mix_blocks_free(struct load_worker *w)
{
    for (uint32_t i = 0; w->blocks != NULL && i < w->load->item_count; i++)
        plx_h3_block_free(w->blocks[i]);
    free(w->blocks);
    free(w->weight_sums);
}

const struct load_item *load_mix_pick(struct load_worker *w)
{
    const struct load *l = w->load;
    uint32_t low = 0, high = l->item_count - 1;

    if (high == 0)
        return l->items;
    w->prng ^= w->prng << 13, w->prng ^= w->prng >> 7,
        w->prng ^= w->prng << 17; // Marsaglia's xorshift: the same mix in every run
    double at = (double)(w->prng >> 11) / (double)(UINT64_C(1) << 53) * w->weight_sums[high];
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        if (at < w->weight_sums[mid])
            high = mid;
        else
            low = mid + 1;
    }
    return &l->items[low];
}
