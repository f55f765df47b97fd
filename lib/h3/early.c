// early.c -- HTTP/3 before the handshake is complete (RFC 9114 sections 7.2.4.2 and 10.9, RFC 8470).
//
// Early data may be sent again by whoever overheard it, so only requests that may as well come twice are asked and answered in it: those
// with safe methods. A client tries the others again when its connection is open; a server answers them with 425 (Too Early).
//
// A client knows the server's settings from the connection that its session is from, and keeps to them; when the server's own
// arrive, none may be lower.

#include "h3/conn_int.h"
#include "h3/message.h"

bool plx_h3_method_is_safe(struct plx_span method)
{
    return plx_span_is(method, "GET") || plx_span_is(method, "HEAD") || plx_span_is(method, "OPTIONS");
}

void plx_h3_conn_early(struct plx_h3_conn *c, const uint8_t *remembered, size_t len)
{
    struct plx_rd r = plx_rd_init(remembered, len);

    c->is_early = true;
    if (c->is_server)
        return;
    //= rfc9114 7.2.4.2 "the initial value of each server setting is the value used in the previous session"
    c->is_remembered = len > 0;
    if (plx_settings_read(&c->peer, &r) != PLX_SETTINGS_OK)
        plx_settings_init(&c->peer);
}

void plx_h3_conn_complete(struct plx_h3_conn *c, bool was_accepted)
{
    c->is_early = false;
    if (!c->is_remembered || was_accepted)
        return;
    c->is_remembered = false;
    if (!c->has_settings)
        plx_settings_init(&c->peer);
}

size_t plx_h3_conn_remember(const struct plx_h3_conn *c, uint8_t *out, size_t cap)
{
    struct plx_wr w = plx_wr_init(out, cap);

    if (!c->has_settings)
        return 0;
    plx_settings_write(&c->peer, 0, 0, &w);
    return w.is_full ? 0 : (size_t)(w.p - out);
}

bool plx_h3_settings_are_kept(const struct plx_settings *then, const struct plx_settings *now)
{
    //= rfc9114 7.2.4.2 "SETTINGS frame MUST NOT reduce any limits or alter any values"
    for (unsigned i = 0; i < PLX_SETTING_COUNT; i++)
        if (now->value[i] < then->value[i])
            return false;
    // The one whose absence means more, not less.
    //= rfc9114 7.2.4.2 "0-RTT but then sends a SETTINGS frame that omits a setting value"
    const enum plx_setting size = PLX_SETTING_MAX_FIELD_SECTION_SIZE;
    return now->value[size] != PLX_VARINT_MAX || then->value[size] == PLX_VARINT_MAX;
}
