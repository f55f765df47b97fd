// settings.c -- see settings.h.

#include "h3/settings.h"

static const struct {
    uint64_t id, initial;
} rows[] = {
#define X(id, name, initial) [PLX_SETTING_##name] = {id, initial},
#include "h3/setting.def"
#undef X
};

void plx_settings_init(struct plx_settings *s)
{
    for (unsigned i = 0; i < PLX_SETTING_COUNT; i++)
        s->value[i] = rows[i].initial;
}

// RFC 9114 section 11.2.2: HTTP/2 has them, HTTP/3 does not.
static bool is_reserved(uint64_t id)
{
    return id == 0 || (id >= 2 && id <= 5);
}

enum plx_settings_err plx_settings_read(struct plx_settings *s, struct plx_rd *r)
{
    uint64_t seen[PLX_SETTINGS_LEN_MAX / 2];
    unsigned count = 0;

    plx_settings_init(s);
    while (plx_rd_left(r) > 0) {
        uint64_t id = plx_rd_varint(r), value = plx_rd_varint(r);
        if (r->is_short)
            return PLX_SETTINGS_CUT;
        //= rfc9114 7.2.4.1 "These reserved settings MUST NOT be sent, and their receipt MUST be treated as a connection error"
        if (is_reserved(id))
            return PLX_SETTINGS_FORBIDDEN;
        //= rfc9114 7.2.4 "A receiver MAY treat the presence of duplicate setting identifiers as a connection error"
        for (unsigned i = 0; i < count; i++) {
            if (seen[i] == id)
                return PLX_SETTINGS_FORBIDDEN;
        }
        seen[count++] = id;
        for (unsigned i = 0; i < PLX_SETTING_COUNT; i++) {
            if (rows[i].id == id)
                s->value[i] = value;
        }
    }
    return s->value[PLX_SETTING_ENABLE_CONNECT_PROTOCOL] > 1 ? PLX_SETTINGS_FORBIDDEN : PLX_SETTINGS_OK;
}

void plx_settings_write(const struct plx_settings *s, uint64_t grease_id, uint64_t grease_value,
                        struct plx_wr *w)
{
    for (unsigned i = 0; i < PLX_SETTING_COUNT; i++) {
        if (s->value[i] != rows[i].initial) {
            plx_wr_varint(w, rows[i].id);
            plx_wr_varint(w, s->value[i]);
        }
    }
    if (grease_id != 0) {
        plx_wr_varint(w, grease_id);
        plx_wr_varint(w, grease_value);
    }
}
