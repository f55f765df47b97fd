// answer.c -- what to say to a GET or HEAD: RFC 9110 sections 13 (conditional requests) and 14 (ranges), and the saying of it.
//
// One range at a time: a request for several is answered with the whole file, as section 14.2 allows.

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "serve.h"

const char *status_text(uint16_t status)
{
    switch (status) {
    // clang-format off
    case 200: return "OK";
    case 206: return "Partial Content";
    case 301: return "Moved Permanently";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 412: return "Precondition Failed";
    case 414: return "URI Too Long";
    case 416: return "Range Not Satisfiable";
    case 503: return "Service Unavailable";
    default: return "Internal Server Error";
        // clang-format on
    }
}

static const struct plx_field *field(const struct plx_h3_head *head, const char *name)
{
    return head->field_count > 0 ? plx_h3_head_find(head, name) : NULL;
}

// Whether a list of entity tags (or *) holds ours. Weak tags match only where weak comparison is asked for (section 8.8.3.2).
static bool etag_in(const struct plx_field *list, const char *etag, bool is_weak_fine)
{
    const char *p = list->value, *end = p + list->value_len;
    size_t len = strlen(etag);

    while (p < end) {
        while (p < end && (*p == ' ' || *p == ',' || *p == '\t'))
            p++;
        if (p < end && *p == '*')
            return true;
        bool is_weak = end - p > 2 && p[0] == 'W' && p[1] == '/';
        if (is_weak)
            p += 2;
        if ((size_t)(end - p) >= len && memcmp(p, etag, len) == 0 && (!is_weak || is_weak_fine))
            return true;
        const char *close = p < end && *p == '"' ? memchr(p + 1, '"', (size_t)(end - p - 1)) : NULL;
        p = close != NULL ? close + 1 : end;
    }
    return false;
}

// An HTTP date as seconds; -1 when it is none (then the field is ignored, sections 13.1.3 and 13.1.4).
static time_t http_date(const struct plx_field *f)
{
    char text[40];
    struct tm tm = {0};

    if (f->value_len >= sizeof text)
        return -1;
    memcpy(text, f->value, f->value_len);
    text[f->value_len] = '\0';
    const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    return end != NULL && *end == '\0' ? timegm(&tm) : -1;
}

// Whether any field is there that the answer depends on: if-..., range.
static bool has_conditions(const struct plx_h3_head *head)
{
    for (uint16_t i = 0; i < head->field_count; i++) {
        const struct plx_field *f = &head->fields[i];
        if ((f->name_len > 3 && memcmp(f->name, "if-", 3) == 0) ||
            (f->name_len == 5 && memcmp(f->name, "range", 5) == 0))
            return true;
    }
    return false;
}

static bool is_get(const struct plx_h3_head *head)
{
    return head->method.len == 3 && memcmp(head->method.p, "GET", 3) == 0;
}

// Section 13.2.2, in its order. 0: go on.
static uint16_t precondition(const struct plx_h3_head *head, const struct file *f)
{
    const struct plx_field *c;

    if ((c = field(head, "if-match")) != NULL) {
        if (!etag_in(c, f->etag, false))
            return 412;
    } else if ((c = field(head, "if-unmodified-since")) != NULL) {
        time_t t = http_date(c);
        if (t >= 0 && f->mtime.tv_sec > t)
            return 412;
    }
    if ((c = field(head, "if-none-match")) != NULL)
        return etag_in(c, f->etag, true) ? 304 : 0;
    if ((c = field(head, "if-modified-since")) != NULL) {
        time_t t = http_date(c);
        if (t >= 0 && f->mtime.tv_sec <= t)
            return 304;
    }
    return 0;
}

static bool digits(const char **p, const char *end, uint64_t *out)
{
    const char *start = *p;

    *out = 0;
    for (; *p < end && isdigit((unsigned char)**p); ++*p)
        if (__builtin_mul_overflow(*out, 10u, out) ||
            __builtin_add_overflow(*out, (uint64_t)(**p - '0'), out))
            *out = UINT64_MAX / 20; // larger than any file: saturates
    return *p > start;
}

// "bytes=a-b", "bytes=a-", "bytes=-n". 200: no range that concerns us; 206: [first, end) is set; 416.
static uint16_t range(const struct plx_field *r, uint64_t size, uint64_t *first, uint64_t *end)
{
    const char *p = r->value, *stop = p + r->value_len;
    uint64_t a, b;

    if (r->value_len < 7 || strncasecmp(p, "bytes=", 6) != 0)
        return 200;
    p += 6;
    bool has_first = digits(&p, stop, &a);
    if (p == stop || *p++ != '-')
        return 200;
    bool has_last = digits(&p, stop, &b);
    if (p != stop || (!has_first && !has_last) || (has_first && has_last && b < a))
        return 200;
    if (!has_first) { // the last b octets
        if (b == 0 || size == 0)
            return 416;
        a = b < size ? size - b : 0;
        b = size - 1;
    } else if (!has_last || b >= size) {
        b = size - 1;
    }
    if (a >= size)
        return 416;
    *first = a;
    *end = b + 1;
    return 206;
}

static bool range_applies(const struct plx_h3_head *head, const struct file *f)
{
    const struct plx_field *c = field(head, "if-range");

    if (c == NULL)
        return true;
    if (c->value_len > 0 && (c->value[0] == '"' || c->value[0] == 'W'))
        return etag_in(c, f->etag, false);
    return http_date(c) == f->mtime.tv_sec;
}

static void refuse(struct answer *a, uint16_t status)
{
    a->status = status;
    a->text = status_text(status);
    if (a->file != NULL)
        file_release(a->file);
    a->file = NULL;
}

void answer_get(struct site *s, const struct plx_h3_head *head, struct answer *a)
{
    char name[NAME_MAX_LEN];
    uint16_t status = 500;
    bool wants_slash = false;

    memset(a, 0, offsetof(struct answer, location));
    a->location[0] = a->range[0] = '\0';
    a->is_head = head->method.len == 4 && memcmp(head->method.p, "HEAD", 4) == 0;
    if (!a->is_head && !is_get(head)) {
        refuse(a, 405);
        return;
    }
    if ((a->file = site_route(s, &head->path)) != NULL)
        a->file->users++;
    if (a->file == NULL && path_to_name((const char *)head->path.p, head->path.len, name) < 0) {
        refuse(a, head->path.len >= NAME_MAX_LEN ? 414 : 400);
        return;
    }
    if (a->file == NULL && (a->file = site_open(s, name, &status, &wants_slash)) != NULL)
        site_route_add(s, &head->path, a->file);
    if (a->file == NULL) {
        if (wants_slash && !path_from_name(name, (const char *)head->path.p, head->path.len, a->location,
                                           sizeof a->location)) {
            a->location[0] = '\0';
            status = 414;
        }
        refuse(a, status);
        return;
    }
    struct file *f = a->file;
    a->status = 200;
    a->end = f->size;
    if (!has_conditions(head))
        return;
    if ((status = precondition(head, f)) != 0) {
        a->status = status;
        a->first = a->end = 0;
        if (status == 412)
            refuse(a, 412);
        return;
    }
    const struct plx_field *r = a->is_head ? NULL : field(head, "range");
    if (r == NULL || !range_applies(head, f))
        return;
    a->status = range(r, f->size, &a->first, &a->end);
    if (a->status == 206)
        snprintf(a->range, sizeof a->range, "bytes %llu-%llu/%llu", (unsigned long long)a->first,
                 (unsigned long long)a->end - 1, (unsigned long long)f->size);
    if (a->status == 416) {
        snprintf(a->range, sizeof a->range, "bytes */%llu", (unsigned long long)f->size);
        refuse(a, 416);
    }
}

struct plx_h3_block *answer_prepared(struct site *s, const struct plx_h3_head *head)
{
    if (!is_get(head) || has_conditions(head))
        return NULL;
    const struct file *f = site_route(s, &head->path);
    return f != NULL ? f->block : NULL;
}

// --- saying it ----------------------------------------------------------------------------------------------

static void add(struct plx_field *fields, uint16_t *n, const char *name, const char *value)
{
    fields[(*n)++] = (struct plx_field){name, value, (uint32_t)strlen(name), (uint32_t)strlen(value), false};
}

static enum plx_err send_text(struct plx_h3_req *req, const struct answer *a)
{
    struct plx_field fields[8];
    char length[24];
    uint16_t n = 0;
    const char *text = a->text != NULL ? a->text : "";

    snprintf(length, sizeof length, "%zu", strlen(text));
    add(fields, &n, "server", "pollux");
    add(fields, &n, "content-type", "text/plain; charset=utf-8");
    add(fields, &n, "content-length", length);
    if (a->status == 405)
        add(fields, &n, "allow", "GET, HEAD");
    if (a->location[0] != '\0')
        add(fields, &n, "location", a->location);
    if (a->range[0] != '\0')
        add(fields, &n, "content-range", a->range);
    return plx_h3_respond(req, a->status, fields, n, (struct plx_buf){text, strlen(text), NULL}, true);
}

static uint16_t file_fields(const struct answer *a, char length[24], struct plx_field *fields)
{
    const struct file *f = a->file;
    uint16_t n = 0;

    add(fields, &n, "server", "pollux");
    if (a->status != 304) {
        snprintf(length, 24, "%llu", (unsigned long long)(a->end - a->first));
        add(fields, &n, "content-type", f->type);
        add(fields, &n, "content-length", length);
    }
    add(fields, &n, "last-modified", f->modified);
    add(fields, &n, "etag", f->etag);
    add(fields, &n, "accept-ranges", "bytes");
    if (a->range[0] != '\0')
        add(fields, &n, "content-range", a->range);
    return n;
}

enum plx_err answer_send(struct plx_h3_req *req, const struct answer *a, bool *is_streaming)
{
    struct file *f = a->file;
    struct plx_field fields[10];
    char length[24];

    *is_streaming = false;
    if (f == NULL)
        return send_text(req, a);
    // The usual case: the whole of a small file, prepared when it was asked for first.
    if (a->status == 200 && !a->is_head && f->body != NULL && f->is_cached) {
        if (f->block == NULL) {
            uint16_t n = file_fields(a, length, fields);
            f->users++; // the block's
            f->block = plx_h3_block_new(200, fields, n, (struct plx_buf){f->body, f->size, &f->owner});
            if (f->block == NULL)
                file_release(f);
        }
        if (f->block != NULL)
            return plx_h3_respond_block(req, f->block);
    }
    uint16_t n = file_fields(a, length, fields);
    if (a->is_head || a->status == 304 || a->end == a->first)
        return plx_h3_respond(req, a->status, fields, n, (struct plx_buf){0}, true);
    if (f->body != NULL) {
        struct plx_buf body = {f->body + a->first, (size_t)(a->end - a->first), &f->owner};
        f->users++;
        enum plx_err err = plx_h3_respond(req, a->status, fields, n, body, true);
        if (err == PLX_ERR_AGAIN || err == PLX_ERR_NOMEM || err == PLX_ERR_INVALID)
            file_release(f);
        return err;
    }
    *is_streaming = true;
    return plx_h3_respond(req, a->status, fields, n, (struct plx_buf){0}, false);
}
