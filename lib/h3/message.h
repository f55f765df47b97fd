// message.h -- is a decoded field section a valid message head, or valid trailers? (RFC 9114 sections 4.2 to 4.4)
//
// The decoder has given every field its class (fields.h), so this is a walk over the classes: pseudo-fields first,
// each at most once and only where it is defined; then the few fields that have rules of their own; the rest is
// valid already. What the pseudo-fields must say together depends on the method (CONNECT, extended CONNECT, others),
// and is one function for what we receive and for what we send.
//
// All functions return NULL when all is well, else a sentence about what is wrong: the message is malformed, a
// stream error H3_MESSAGE_ERROR.

#ifndef PLX_H3_MESSAGE_H
#define PLX_H3_MESSAGE_H

#include <plx/h3.h>

#include "h3/qpack_dec.h"

// allows_protocol: extended CONNECT was announced (RFC 9220).
const char *plx_message_read_request(const struct plx_qpack_section *s, bool allows_protocol,
                                     struct plx_h3_head *head);
const char *plx_message_read_response(const struct plx_qpack_section *s, struct plx_h3_head *head);
const char *plx_message_read_trailers(const struct plx_qpack_section *s);

// The pseudo-fields of a request, and its host field (NULL when there is none), against each other.
const char *plx_message_check_request(const struct plx_h3_head *head, const struct plx_field *host,
                                      bool allows_protocol);

static inline bool plx_span_is(struct plx_span s, const char *text)
{
    size_t len = __builtin_strlen(text);
    return s.len == len && s.p != NULL && __builtin_memcmp(s.p, text, len) == 0;
}

#endif
