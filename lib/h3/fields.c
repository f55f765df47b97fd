// fields.c -- see fields.h.

#include "h3/fields.h"

#include <string.h>

// RFC 9110 section 5.6.2: tchar, without the upper-case letters.
//= rfc9114 4.2 "containing uppercase characters in field names MUST be treated as malformed"
static const bool name_octet[256] = {
    ['!'] = true, ['#'] = true, ['$'] = true, ['%'] = true,         ['&'] = true,         ['\''] = true,
    ['*'] = true, ['+'] = true, ['-'] = true, ['.'] = true,         ['^'] = true,         ['_'] = true,
    ['`'] = true, ['|'] = true, ['~'] = true, ['0' ... '9'] = true, ['a' ... 'z'] = true,
};

struct special {
    const char *name;
    uint8_t len, class;
};

#define S(text, class)                           \
    {                                            \
        text, sizeof text - 1, PLX_FIELD_##class \
    }

// By length, so that a name is compared with at most three.
static const struct special special[][3] = {
    [2] = {S("te", TE)},
    [4] = {S("host", HOST)},
    [5] = {S(":path", PATH)},
    [7] = {S(":method", METHOD), S(":scheme", SCHEME), S(":status", STATUS)},
    [9] = {S(":protocol", PROTOCOL)},
    [10] = {S(":authority", AUTHORITY), S("connection", CONNECTION_SPECIFIC),
            S("keep-alive", CONNECTION_SPECIFIC)},
    [14] = {S("content-length", CONTENT_LENGTH)},
    [16] = {S("proxy-connection", CONNECTION_SPECIFIC)},
    [17] = {S("transfer-encoding", CONNECTION_SPECIFIC)},
};
// "upgrade" shares its length with three pseudo-fields.
static const struct special upgrade = S("upgrade", CONNECTION_SPECIFIC);

static bool is_name(const struct special *s, const char *name, size_t len)
{
    return s->len == len && memcmp(s->name, name, len) == 0;
}

uint8_t plx_field_name_class(const char *name, size_t len)
{
    if (len < sizeof special / sizeof *special) {
        for (unsigned i = 0; i < 3 && special[len][i].len != 0; i++) {
            if (is_name(&special[len][i], name, len))
                return special[len][i].class;
        }
        if (is_name(&upgrade, name, len))
            return upgrade.class;
    }
    bool is_valid = len > 0;
    for (size_t i = 0; i < len; i++)
        is_valid &= name_octet[(uint8_t)name[i]]; // no early end: names are short and nearly always good
    return is_valid ? PLX_FIELD_PLAIN : PLX_FIELD_BAD;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

bool plx_field_value_is_valid(const char *value, size_t len)
{
    if (len == 0)
        return true;
    //= rfc9114 10.3 "a character not permitted in a field value MUST be treated as malformed"
    unsigned bad = 0;
    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)value[i];
        bad |= (c < 0x20 && c != '\t') | (c == 0x7f);
    }
    return !bad && !is_blank(value[0]) && !is_blank(value[len - 1]);
}

bool plx_fields_are_sendable(const struct plx_field *fields, uint16_t count)
{
    for (uint16_t i = 0; i < count; i++) {
        const struct plx_field *f = &fields[i];
        uint8_t class =
            plx_field_class_of(plx_field_name_class(f->name, f->name_len), f->value, f->value_len);
        //= rfc9114 4.2 "An endpoint MUST NOT generate an HTTP/3 field section containing connection-specific fields"
        if (class >= PLX_FIELD_CONNECTION_SPECIFIC || plx_field_is_pseudo(class))
            return false;
        if (class == PLX_FIELD_TE && (f->value_len != 8 || memcmp(f->value, "trailers", 8) != 0))
            return false;
    }
    return true;
}
