// message.c -- see message.h.

#include "h3/message.h"

#include <string.h>

#include "base/check.h"
#include "h3/fields.h"

#define BIT(class) (1u << PLX_FIELD_##class)

// Where each pseudo-field is defined.
enum {
    IN_REQUEST = BIT(METHOD) | BIT(SCHEME) | BIT(AUTHORITY) | BIT(PATH) | BIT(PROTOCOL),
    IN_RESPONSE = BIT(STATUS),
    IN_TRAILERS = 0,
};

// What the walk collects: the pseudo-fields by class, and the fields with rules.
struct found {
    const struct plx_field *pseudo[PLX_FIELD_PSEUDO_LAST + 1];
    const struct plx_field *host;
    uint64_t content_length;
    uint16_t pseudo_count;
};

static struct plx_span value_of(const struct plx_field *f)
{
    // Present and empty is not the same as absent.
    return f == NULL ? (struct plx_span){NULL, 0}
                     : (struct plx_span){(const uint8_t *)f->value, f->value_len};
}

// --- characters ------------------------------------------------------------------------------------------

// What a character may stand in: a token (RFC 9110 section 5.6.2); an authority without userinfo, a scheme behind its
// first letter (RFC 3986 sections 3.2 and 3.1); a path with its query. Octets beyond ASCII are let through in paths:
// what they name is the program's affair.
enum { T = 1, A = 2, S = 4, P = 8 };
static const uint8_t stands_in[256] = {
    ['!'] = T | A | P,
    ['"'] = P,
    ['#'] = T,
    ['$' ... '\''] = T | A | P,
    ['(' ... ')'] = A | P,
    ['*'] = T | A | P,
    ['+'] = T | A | S | P,
    [','] = A | P,
    ['-' ... '.'] = T | A | S | P,
    ['/'] = P,
    ['0' ... '9'] = T | A | S | P,
    [':' ... ';'] = A | P,
    ['<'] = P,
    ['='] = A | P,
    ['>' ... '@'] = P,
    ['A' ... 'Z'] = T | A | S | P,
    ['['] = A | P,
    ['\\'] = P,
    [']'] = A | P,
    ['^'] = T | P,
    ['_'] = T | A | P,
    ['`'] = T | P,
    ['a' ... 'z'] = T | A | S | P,
    ['{'] = P,
    ['|'] = T | P,
    ['}'] = P,
    ['~'] = T | A | P,
    [0x80 ... 0xff] = P,
};

static bool all_stand_in(struct plx_span s, uint8_t where)
{
    uint8_t all = where;
    for (size_t i = 0; i < s.len; i++)
        all &= stands_in[s.p[i]];
    return all != 0 && s.len > 0;
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}
static bool is_token(struct plx_span s)
{
    return all_stand_in(s, T);
}
//= rfc9114 4.3.1 "The authority MUST NOT include the deprecated userinfo subcomponent"
static bool is_authority(struct plx_span s)
{
    return all_stand_in(s, A);
}
static bool is_path(struct plx_span s)
{
    return all_stand_in(s, P);
}
static bool is_scheme(struct plx_span s)
{
    return all_stand_in(s, S) && (s.p[0] | 0x20) >= 'a' && (s.p[0] | 0x20) <= 'z';
}

// --- fields with rules -------------------------------------------------------------------------------------

static const char *content_length_add(struct found *f, const struct plx_field *field)
{
    uint64_t v = 0;

    for (uint32_t i = 0; i < field->value_len; i++) {
        uint8_t c = (uint8_t)field->value[i];
        if (!is_digit(c) || v > (UINT64_MAX >> 1) / 10)
            return "content-length is not a number";
        v = v * 10 + (uint64_t)(c - '0');
    }
    if (field->value_len == 0)
        return "content-length is empty";
    // RFC 9110 section 8.6: the same number said twice is harmless, anything else could hide a second message.
    if (f->content_length != PLX_H3_LENGTH_UNKNOWN && f->content_length != v)
        return "two different content-lengths";
    f->content_length = v;
    return NULL;
}

// A field that is not PLAIN, behind the pseudo-fields.
static const char *special_add(struct found *f, const struct plx_field *field, uint8_t class,
                               unsigned allowed)
{
    switch (class) {
    case PLX_FIELD_HOST:
        if (f->host != NULL && allowed == IN_REQUEST)
            return "two host fields";
        f->host = field;
        return NULL;
    case PLX_FIELD_CONTENT_LENGTH:
        return content_length_add(f, field);
    case PLX_FIELD_TE:
        //= rfc9114 4.2 "it MUST NOT contain any value other than"
        if (allowed == IN_REQUEST && plx_span_is(value_of(field), "trailers"))
            return NULL;
        return "te with something other than trailers, or not in a request";
    case PLX_FIELD_CONNECTION_SPECIFIC:
        //= rfc9114 4.2 "any message containing connection-specific fields MUST be treated as malformed"
        return "connection-specific field";
    case PLX_FIELD_BAD:
        return "field with invalid characters";
    default:
        //= rfc9114 4.3 "All pseudo-header fields MUST appear in the header section before regular header fields"
        return "pseudo-field behind other fields";
    }
}

static const char *walk(const struct plx_qpack_section *s, unsigned allowed, struct found *f)
{
    uint16_t i = 0;

    *f = (struct found){.content_length = PLX_H3_LENGTH_UNKNOWN};
    for (; i < s->count && plx_field_is_pseudo(s->classes[i]); i++) {
        uint8_t class = s->classes[i];
        //= rfc9114 4.3 "Pseudo-header fields are only valid in the context in which they are defined"
        if (!(allowed >> class & 1))
            return "pseudo-field where it is not defined";
        if (f->pseudo[class] != NULL)
            return "pseudo-field given twice";
        f->pseudo[class] = &s->fields[i];
    }
    f->pseudo_count = i;
    for (; i < s->count; i++) {
        if (s->classes[i] == PLX_FIELD_PLAIN)
            continue;
        const char *why = special_add(f, &s->fields[i], s->classes[i], allowed);
        if (why != NULL)
            return why;
    }
    return NULL;
}

static void head_fields(const struct plx_qpack_section *s, const struct found *f, struct plx_h3_head *head)
{
    head->content_length = f->content_length;
    head->fields = s->fields + f->pseudo_count;
    head->field_count = (uint16_t)(s->count - f->pseudo_count);
}

// --- messages ----------------------------------------------------------------------------------------------

static const char *check_connect(const struct plx_h3_head *head)
{
    //= rfc9114 4.4 "The :scheme and :path pseudo-header fields are omitted"
    if (head->scheme.p != NULL || head->path.p != NULL)
        return "CONNECT with a scheme or a path";
    return is_authority(head->authority) ? NULL : "CONNECT without a valid authority";
}

static const char *check_authority(const struct plx_h3_head *head, const struct plx_field *host, bool is_web)
{
    struct plx_span h = value_of(host);

    //= rfc9114 4.3.1 "the request MUST contain either an :authority pseudo-header field or a Host header field"
    if (is_web && head->authority.p == NULL && h.p == NULL)
        return "neither :authority nor host";
    if (is_web &&
        ((head->authority.p != NULL && !is_authority(head->authority)) || (h.p != NULL && !is_authority(h))))
        return "invalid :authority or host";
    //= rfc9114 4.3.1 "If both fields are present, they MUST contain the same value"
    if (head->authority.p != NULL && h.p != NULL &&
        (head->authority.len != h.len || memcmp(head->authority.p, h.p, h.len) != 0))
        return ":authority and host differ";
    return NULL;
}

static const char *check_path(const struct plx_h3_head *head, bool is_web)
{
    if (!is_path(
            head->path)) //= rfc9114 4.3.1 "This pseudo-header field MUST NOT be empty for \"http\" or \"https\" URIs"
        return is_web || head->path.len > 0 ? "invalid :path" : NULL;
    if (!is_web || head->path.p[0] == '/')
        return NULL;
    //= rfc9114 4.3.1 "An OPTIONS request that does not include a path component includes the value *"
    return plx_span_is(head->path, "*") && plx_span_is(head->method, "OPTIONS") ? NULL : "invalid :path";
}

const char *plx_message_check_request(const struct plx_h3_head *head, const struct plx_field *host,
                                      bool allows_protocol)
{
    bool is_connect = plx_span_is(head->method, "CONNECT");

    if (!is_token(head->method))
        return "no valid :method";
    if (head->protocol.p != NULL && (!is_connect || !allows_protocol || !is_token(head->protocol)))
        return ":protocol without extended CONNECT";
    if (is_connect && head->protocol.p == NULL)
        return check_connect(head);
    //= rfc9114 4.3.1 "exactly one value for the :method, :scheme, and :path pseudo-header fields"
    bool is_web = plx_span_is(head->scheme, "https") || plx_span_is(head->scheme, "http");
    if ((!is_web && !is_scheme(head->scheme)) || head->path.p == NULL)
        return "no valid :scheme and :path";
    const char *why = check_path(head, is_web);
    return why != NULL ? why : check_authority(head, host, is_web);
}

const char *plx_message_read_request(const struct plx_qpack_section *s, bool allows_protocol,
                                     struct plx_h3_head *head)
{
    struct found f;
    const char *why = walk(s, IN_REQUEST, &f);

    if (why != NULL)
        return why;
    *head = (struct plx_h3_head){
        .method = value_of(f.pseudo[PLX_FIELD_METHOD]),
        .scheme = value_of(f.pseudo[PLX_FIELD_SCHEME]),
        .authority = value_of(f.pseudo[PLX_FIELD_AUTHORITY]),
        .path = value_of(f.pseudo[PLX_FIELD_PATH]),
        .protocol = value_of(f.pseudo[PLX_FIELD_PROTOCOL]),
    };
    head_fields(s, &f, head);
    return plx_message_check_request(head, f.host, allows_protocol);
}

const char *plx_message_read_response(const struct plx_qpack_section *s, struct plx_h3_head *head)
{
    struct found f;
    const char *why = walk(s, IN_RESPONSE, &f);

    if (why != NULL)
        return why;
    struct plx_span status = value_of(f.pseudo[PLX_FIELD_STATUS]);
    //= rfc9114 4.3.2 "field MUST be included in all responses"
    if (status.len != 3 || !is_digit(status.p[0]) || !is_digit(status.p[1]) || !is_digit(status.p[2]))
        return "no valid :status";
    *head = (struct plx_h3_head){
        .status = (uint16_t)((status.p[0] - '0') * 100 + (status.p[1] - '0') * 10 + (status.p[2] - '0')),
    };
    //= rfc9114 4.5 "HTTP/3 does not support the HTTP Upgrade mechanism"
    if (head->status < 100 || head->status == 101)
        return "a status that HTTP/3 does not have";
    head_fields(s, &f, head);
    return NULL;
}

const char *plx_message_read_trailers(const struct plx_qpack_section *s)
{
    struct found f;
    return walk(s, IN_TRAILERS, &f);
}

const struct plx_field *plx_h3_head_find(const struct plx_h3_head *head, const char *name)
{
    size_t len = strlen(name);

    for (uint16_t i = 0; i < head->field_count; i++) {
        if (head->fields[i].name_len == len && memcmp(head->fields[i].name, name, len) == 0)
            return &head->fields[i];
    }
    return NULL;
}
