// settings.h -- the payload of a SETTINGS frame (RFC 9114 section 7.2.4), read and written.

#ifndef PLX_H3_SETTINGS_H
#define PLX_H3_SETTINGS_H

#include "base/cursor.h"

enum plx_setting {
#define X(id, name, initial) PLX_SETTING_##name,
#include "h3/setting.def"
#undef X
    PLX_SETTING_COUNT,
};

enum { PLX_SETTINGS_LEN_MAX = 1024 }; // octets of payload that we read; more is no honest peer's

struct plx_settings {
    uint64_t value[PLX_SETTING_COUNT];
};

enum plx_settings_err {
    PLX_SETTINGS_OK,
    PLX_SETTINGS_CUT,       // H3_FRAME_ERROR: the payload ends within a setting
    PLX_SETTINGS_FORBIDDEN, // H3_SETTINGS_ERROR: a duplicate, one of HTTP/2's, or a value that makes no sense
};

void plx_settings_init(struct plx_settings *s);

// Reads a whole payload of at most PLX_SETTINGS_LEN_MAX octets.
enum plx_settings_err plx_settings_read(struct plx_settings *s, struct plx_rd *r);

// The settings that differ from their initial values, and, when grease_id is not 0, a reserved one that says nothing.
void plx_settings_write(const struct plx_settings *s, uint64_t grease_id, uint64_t grease_value,
                        struct plx_wr *w);

#endif
