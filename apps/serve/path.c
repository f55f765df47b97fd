// path.c -- from the path of a request to a name below the root.
//
// Nothing that a client writes may name anything outside: the path is decoded once, refused when it is not plain after that
// (NUL, backslash, a control character, a percent sign that begins nothing), and its dot segments are resolved here; one that
// climbs above the root is refused. What is left is opened with RESOLVE_BENEATH (files.c), so that links cannot lead out either.

#include <string.h>
#include <strings.h>

#include "serve.h"

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

// Percent-decodes up to the query. Returns the length, -1 when malformed.
static int decode(const char *path, size_t len, char *out)
{
    int n = 0;

    for (size_t i = 0; i < len && path[i] != '?' && path[i] != '#'; i++) {
        unsigned char c = (unsigned char)path[i];
        if (c == '%') {
            int high = i + 2 < len ? hex(path[i + 1]) : -1, low = i + 2 < len ? hex(path[i + 2]) : -1;
            if (high < 0 || low < 0)
                return -1;
            c = (unsigned char)(high << 4 | low);
            i += 2;
        }
        if (c < 0x20 || c == 0x7f || c == '\\' || n == NAME_MAX_LEN - 1)
            return -1;
        out[n++] = (char)c;
    }
    return n;
}

int path_to_name(const char *path, size_t len, char name[NAME_MAX_LEN])
{
    char text[NAME_MAX_LEN];
    int n = 0, end = decode(path, len, text);

    if (end < 1 || text[0] != '/')
        return -1;
    for (int i = 1; i <= end;) {
        int stop = i;
        while (stop < end && text[stop] != '/')
            stop++;
        int seg = stop - i;
        bool is_last = stop == end;
        if (seg == 2 && text[i] == '.' && text[i + 1] == '.') {
            if (n == 0)
                return -1; // above the root
            n--;           // the slash, then the name before it
            while (n > 0 && name[n - 1] != '/')
                n--;
        } else if (seg > 0 && !(seg == 1 && text[i] == '.')) {
            memcpy(name + n, text + i, (size_t)seg);
            n += seg;
            if (!is_last)
                name[n++] = '/';
        }
        i = stop + 1;
    }
    name[n] = '\0';
    return n;
}

bool path_from_name(const char *name, const char *path, size_t len, char *out, size_t cap)
{
    static const char plain[] =
        "!$&'()*+,-./:;=@_~"; // of a path, RFC 3986 section 3.3, besides letters and digits
    const char *query = memchr(path, '?', len);
    size_t query_len = query != NULL ? (size_t)(path + len - query) : 0, n = 0;

    if (cap < 3 + query_len)
        return false;
    out[n++] = '/';
    for (const char *p = name; *p != '\0'; p++) {
        unsigned char c = (unsigned char)*p;
        if (n + 3 + 2 + query_len > cap)
            return false;
        if ((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || strchr(plain, c) != NULL)
            out[n++] = (char)c;
        else
            n += (size_t)snprintf(out + n, cap - n, "%%%02X", c);
    }
    out[n++] = '/';
    if (query_len > 0)
        memcpy(out + n, query, query_len); // of a field that has been through HTTP/3's own checks
    out[n + query_len] = '\0';
    return true;
}

const char *media_type(const char *name)
{
    // clang-format off
    static const struct { const char *ending, *type; } row[] = {
        {"html", "text/html; charset=utf-8"}, {"htm", "text/html; charset=utf-8"}, {"css", "text/css; charset=utf-8"},
        {"js", "text/javascript; charset=utf-8"}, {"mjs", "text/javascript; charset=utf-8"}, {"json", "application/json"},
        {"txt", "text/plain; charset=utf-8"}, {"md", "text/markdown; charset=utf-8"}, {"xml", "application/xml"},
        {"svg", "image/svg+xml"}, {"png", "image/png"}, {"jpg", "image/jpeg"}, {"jpeg", "image/jpeg"}, {"gif", "image/gif"},
        {"webp", "image/webp"}, {"avif", "image/avif"}, {"ico", "image/vnd.microsoft.icon"}, {"bmp", "image/bmp"},
        {"woff", "font/woff"}, {"woff2", "font/woff2"}, {"ttf", "font/ttf"}, {"otf", "font/otf"}, {"wasm", "application/wasm"},
        {"pdf", "application/pdf"}, {"zip", "application/zip"}, {"gz", "application/gzip"}, {"xz", "application/x-xz"},
        {"zst", "application/zstd"}, {"tar", "application/x-tar"}, {"mp4", "video/mp4"}, {"webm", "video/webm"},
        {"m3u8", "application/vnd.apple.mpegurl"}, {"mpd", "application/dash+xml"}, {"ts", "video/mp2t"}, {"m4s", "video/iso.segment"},
        {"mp3", "audio/mpeg"}, {"ogg", "audio/ogg"}, {"opus", "audio/ogg"}, {"wav", "audio/wav"}, {"flac", "audio/flac"},
        {"csv", "text/csv; charset=utf-8"}, {"ics", "text/calendar; charset=utf-8"}, {"webmanifest", "application/manifest+json"},
    };
    // clang-format on
    const char *dot = strrchr(name, '.');

    if (dot != NULL && strchr(dot, '/') == NULL)
        for (size_t i = 0; i < sizeof row / sizeof *row; i++)
            if (strcasecmp(dot + 1, row[i].ending) == 0)
                return row[i].type;
    return "application/octet-stream";
}
