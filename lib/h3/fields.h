// fields.h -- what the names and values of fields may be made of (RFC 9110 section 5, RFC 9114 section 4.2).
//
// Every field gets a class, one octet: what its name means to HTTP/3's own rules. Most fields are PLAIN, so that the
// validation of a message (message.h) is a walk over octets that are nearly all zero. The class depends on the field
// alone, not on where it stands, so the QPACK decoder finds it once when an entry enters the dynamic table, and
// the static table has it at compile time; only literals are looked at when they arrive.

#ifndef PLX_H3_FIELDS_H
#define PLX_H3_FIELDS_H

#include <plx/types.h>

enum plx_field_class {
    PLX_FIELD_PLAIN = 0,
    // The pseudo-fields of RFC 9114 section 4.3 and RFC 9220.
    PLX_FIELD_METHOD,
    PLX_FIELD_SCHEME,
    PLX_FIELD_AUTHORITY,
    PLX_FIELD_PATH,
    PLX_FIELD_PROTOCOL,
    PLX_FIELD_STATUS,
    PLX_FIELD_PSEUDO_LAST = PLX_FIELD_STATUS,
    // Fields with rules of their own.
    PLX_FIELD_HOST,
    PLX_FIELD_CONTENT_LENGTH,
    PLX_FIELD_TE,
    PLX_FIELD_CONNECTION_SPECIFIC, // never allowed
    PLX_FIELD_BAD,                 // no valid name, or no valid value
};

static inline bool plx_field_is_pseudo(uint8_t class)
{
    return class >= PLX_FIELD_METHOD && class <= PLX_FIELD_PSEUDO_LAST;
}

// The class of a name as it stands on the wire: lower case, a token, or a known pseudo-field.
uint8_t plx_field_name_class(const char *name, size_t len);

// Visible characters, obs-text, spaces and tabs; neither of the latter two at the ends.
bool plx_field_value_is_valid(const char *value, size_t len);

// Both together: the name's class, or BAD when the value is not valid.
static inline uint8_t plx_field_class_of(uint8_t name_class, const char *value, size_t len)
{
    return plx_field_value_is_valid(value, len) ? name_class : (uint8_t)PLX_FIELD_BAD;
}

// What we may send ourselves among the fields of a message (no pseudo-fields).
bool plx_fields_are_sendable(const struct plx_field *fields, uint16_t count);

// The size of a field line as RFC 9114 section 4.2.2 and RFC 9204 section 3.2.1 count it.
static inline uint64_t plx_field_size(uint64_t name_len, uint64_t value_len)
{
    return name_len + value_len + 32;
}

#endif
