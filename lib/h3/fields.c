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

// Whether one of eight octets is a control character, the tab among them. (Both halves are exact about "any", not about which.)
static uint64_t has_control(uint64_t v)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t is_del = v ^ ones * 0x7f;

    return (((v - ones * 0x20) & ~v) | ((is_del - ones) & ~is_del)) & ones * 0x80;
}

static uint64_t load(const char *p, size_t len) // up to 8 octets, those beyond len are 0
{
    uint64_t v = 0;
    memcpy(&v, p, len);
    return v;
}

// Eight octets at a time; the last ones overlap, and short values are put together from parts that do.
static bool may_have_control(const char *p, size_t len)
{
    uint64_t any = 0;

    if (len >= 8) {
        for (size_t i = 0; i + 8 < len; i += 8)
            any |= has_control(load(p + i, 8));
        return (any | has_control(load(p + len - 8, 8))) != 0;
    }
    if (len >= 4)
        return has_control(load(p, 4) | load(p + len - 4, 4) << 32) != 0;
    for (size_t i = 0; i < len; i++)
        any |= (uint8_t)p[i] < 0x20 || p[i] == 0x7f;
    return any != 0;
}

bool plx_field_value_is_valid(const char *value, size_t len)
{
    if (len == 0)
        return true;
    //= rfc9114 10.3 "a character not permitted in a field value MUST be treated as malformed"
    if (may_have_control(value, len)) {
        for (size_t i = 0; i < len; i++) {
            uint8_t c = (uint8_t)value[i];
            if ((c < 0x20 && c != '\t') || c == 0x7f)
                return false;
        }
    }
    return !is_blank(value[0]) && !is_blank(value[len - 1]);
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
